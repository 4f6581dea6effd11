"""The built-in listener: who may come, what they may say, and that FIELD never reaches SYSTEM."""

from __future__ import annotations

import asyncio
import contextlib
import json
import stat
import time

import nats
import pytest

from isthmus.bus.broker import inbox_prefix
from isthmus.values import mqtt
from isthmus.values.errors import ConfigError

pytestmark = [pytest.mark.mission("M38"), pytest.mark.real("nats-server", "paho-mqtt")]


async def until(wanted) -> None:
    async with asyncio.timeout(20):
        while not wanted():
            await asyncio.sleep(0.02)


async def admitted(listener, name: str, *topics: str) -> str:
    return await asyncio.to_thread(listener.devices.add, name, topics, topics)


async def test_each_device_has_its_own_topics(listener) -> None:
    press = await admitted(listener, "press", "plant/press/#")
    oven = await admitted(listener, "oven", "plant/oven/+")
    one, two = await listener.client("press", press, "same-id"), await listener.client("oven", oven, "same-id")
    assert (one.code, two.code) == (0, 0)
    two.client.subscribe([("plant/oven/+", 1), ("plant/press/#", 1), ("#", 0)])
    await until(lambda: len(two.said_no) == 3)
    assert [code >= 0x80 for code in two.said_no] == [False, True, True]
    await one.say("plant/oven/temp", "forged")
    await one.say("plant/press/temp", "1")
    await two.say("plant/oven/temp", "2")
    await until(lambda: two.heard)
    assert [payload for _, payload, _ in two.heard] == [b"2"]
    assert not one.gone.is_set(), "the same client id of another user pushed it aside"


async def test_no_device_forges_a_frame_or_a_command(listener) -> None:
    """Whatever a device is admitted for, and however it names it: core's account hears nothing of it."""
    names = ("f/v1", "cmd/v1", "hb/v1", "mdl/v1", "ask/v1")
    password = await admitted(listener, "evil", *(f"{n}/#" for n in names))
    core = listener.broker.addresses["core"]
    heard: list[str] = []
    connection = await nats.connect(
        core.url, user="core", password=core.password, inbox_prefix=inbox_prefix("core").encode()
    )

    async def hear(message) -> None:
        heard.append(message.subject)

    await connection.subscribe(">", cb=hear)
    await connection.flush()
    evil = await listener.client("evil", password, "evil")
    for topic in ("f/v1/site/edge-1/live", "cmd/v1/site/edge-1/write", "hb/v1/site/edge-1", "f.v1.site.edge-1.live"):
        await evil.say(topic, b"forged", 1)
    await evil.say("$JS/API/STREAM/DELETE/frames", b"", 0)
    await asyncio.sleep(0.3)
    await connection.close()
    assert [s for s in heard if "v1" in s or "JS" in s] == []


@pytest.mark.leaks("nats-py leaves the socket of a connection that was refused")
async def test_passwords_of_one_account_are_none_of_the_other(listener) -> None:
    core = listener.broker.addresses["core"]
    assert (await listener.client("core", core.password, "x")).code != 0
    password = await admitted(listener, "press", "plant/#")
    with pytest.raises(Exception, match="Authorization"):
        await nats.connect(core.url, user="press", password=password, allow_reconnect=False)
    assert (await listener.client("press", "wrong", "x")).code != 0
    assert (await listener.client("", "", "x")).code != 0


async def test_a_revoked_device_is_out_within_a_second_and_the_others_notice_nothing(listener) -> None:
    one, two = await admitted(listener, "one", "plant/1"), await admitted(listener, "two", "plant/2")
    first, second = await listener.client("one", one, "a"), await listener.client("two", two, "b")
    began = time.monotonic()
    listener.devices.revoke("one")
    assert await asyncio.to_thread(first.gone.wait, 60)
    took_s = time.monotonic() - began
    await second.say("plant/2", "still here")
    assert not second.gone.is_set()
    assert (await listener.client("one", one, "a")).code != 0
    assert took_s < 5  # a second on a quiet machine; what is shown here is that no reconnect is needed


async def test_passwords_are_kept_as_hashes_in_private_files(listener) -> None:
    password = await admitted(listener, "press", "plant/#")
    for file in (listener.broker.files.devices, listener.broker.files.field.config):
        assert password not in file.read_text()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(listener.broker.files.devices.read_text())["press"]["password"].startswith("$2a$")


@pytest.mark.parametrize("name", ["core", "edge-1", "field-x", "a b", ""])
async def test_names_that_are_ours(listener, name) -> None:
    with pytest.raises(ConfigError):
        listener.devices.add(name, ["a"], [])


@pytest.mark.parametrize("topic", ["#", "+/a", "$SYS/x", "a//b", "a/#/b", ""])
async def test_topics_that_would_be_everybodys(listener, topic) -> None:
    with pytest.raises(ConfigError):
        listener.devices.add("press", [topic], [])


async def test_a_will_may_not_say_what_its_device_may_not(listener) -> None:
    password = await admitted(listener, "press", "plant/press")
    other = await admitted(listener, "oven", "plant/oven")
    hears = await listener.client("oven", other, "oven")
    hears.client.subscribe("plant/oven")
    liar = await listener.client("press", password, "press", will=("plant/oven", "dead", 1))
    liar.client.socket().shutdown(2)
    await asyncio.sleep(0.3)
    assert hears.heard == []


async def test_nonsense_ends_that_client_alone(listener) -> None:
    password = await admitted(listener, "press", "plant/#")
    good = await listener.client("press", password, "good")
    for nonsense in (b"GET / HTTP/1.1\r\n\r\n", b"\x10\xff\xff\xff\xff\xff", mqtt.packet(0x30, mqtt.string("a"))):
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(nonsense)
        async with asyncio.timeout(60):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()
    await good.say("plant/x", "still here")
    assert listener.front.counts.malformed == 3
    assert listener.front.counts.open == 1


@pytest.mark.mission("M47")
async def test_what_was_confirmed_to_a_device_outlives_kill_9_of_the_server(listener) -> None:
    """The very last confirmation counts: the server is killed in the moment it arrives. Every device has its kill."""
    password = await admitted(listener, "press", "plant/#")
    hears = await listener.client("press", password, "reader", clean_session=False)
    hears.client.subscribe("plant/#", 1)
    while not hears.said_no:
        await asyncio.sleep(0.02)
    await hears.stop()
    confirmed: list[bytes] = []
    for turn in range(4):
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        credentials = mqtt.string("press") + mqtt.string(password)
        writer.write(mqtt.packet(0x10, mqtt.string("MQTT"), b"\x04\xc2\0\0", mqtt.string("says"), credentials))
        assert await reader.readexactly(4) == b"\x20\x02\0\0"
        for number in range(1, 30):
            payload = b"%d-%d" % (turn, number)
            writer.write(mqtt.packet(0x32, mqtt.string("plant/n"), number.to_bytes(2, "big"), payload))
            assert await reader.readexactly(4) == b"\x40\x02" + number.to_bytes(2, "big")
            confirmed.append(payload)
        await listener.broker.kill()
        writer.close()
        await listener.broker.start()
    again = await listener.client("press", password, "reader", clean_session=False)
    async with asyncio.timeout(60):
        while len({payload for _, payload, _ in again.heard}) < len(confirmed):
            await asyncio.sleep(0.05)
    assert {payload for _, payload, _ in again.heard} == set(confirmed)

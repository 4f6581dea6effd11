"""Writing through real brokers: messages and Sparkplug commands reach the device once, and only where it is declared."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from isthmus.bus.field import let_say, node_topics
from isthmus.drivers.sparkplug import payload as sparkplug
from isthmus.ports.drivers import Point
from isthmus.ports.writes import PointWrite
from isthmus.simulators.sparkplug import EdgeNode
from isthmus.values.errors import NotConnected, Rejected

pytestmark = [pytest.mark.mission("M42", "M22"), pytest.mark.real("nats-server", "mosquitto", "paho-mqtt")]
SET = "'plant/oven 1/state' $.temp write='plant/oven 1/set' as=$.to"
ASIDE = "'plant/oven 1/state' $.temp write='plant/oven 2/set'"
SPEED = 'plant/press 1/"motor 1":speed'


async def comes(look: Any) -> None:
    async with asyncio.timeout(60):
        while not look():
            await asyncio.sleep(0.01)


def declare(place: Any, *topics: str) -> None:
    """What core does when a plant is applied; nothing to do at a broker of somebody else."""
    if place.devices is not None:
        let_say(place.broker.files, {"edge-1": list(topics)})


async def test_a_message_reaches_the_topic_that_is_declared_and_no_other(place) -> None:
    device = await place.publisher()
    device.client.subscribe("plant/#", 1)
    await comes(lambda: device.said_no)
    driver = place.driver(timeout_s=10.0)
    await driver.open()
    declare(place, "plant/oven 1/set")  # a link that stands follows
    await driver.write([PointWrite(SET, 21.5)])
    await comes(lambda: device.heard)
    if place.devices is not None:
        with contextlib.suppress(NotConnected, Rejected):  # whatever it is told: nothing must come of it
            await driver.write([PointWrite(ASIDE, 1.0)])
    await driver.close()
    await device.say("plant/last", "x")
    await comes(lambda: ("plant/last", b"x", False) in device.heard)
    assert device.heard == [("plant/oven 1/set", b'{"to":21.5}', False), ("plant/last", b"x", False)]


async def test_what_is_declared_no_more_is_refused(listener) -> None:
    device = await listener.publisher()
    device.client.subscribe("plant/#", 1)
    await comes(lambda: device.said_no)
    declare(listener, "plant/oven 1/set", "plant/oven 2/set")
    driver = listener.driver(timeout_s=10.0)
    await driver.open()
    await driver.write([PointWrite(SET, 1.0)])
    await comes(lambda: device.heard)
    declare(listener, "plant/oven 2/set")
    try:
        await driver.write([PointWrite(SET, 2.0)])
    except (NotConnected, Rejected):
        await driver.open()
    await driver.write([PointWrite(ASIDE, 3.0)])
    await comes(lambda: len(device.heard) > 1)
    assert [payload for _, payload, _ in device.heard] == [b'{"to":1.0}', b"3.0"]


async def test_a_broker_of_version_5_tells_that_nobody_hears(run_mosquitto) -> None:
    async with run_mosquitto() as place:
        driver = place.driver(version="5")
        await driver.open()
        with pytest.raises(Rejected, match="nobody hears this topic"):
            await driver.write([PointWrite(SET, 1.0)])


class Hearing:
    """A driver that streams in a task of its own."""

    def __init__(self, driver: Any, *addresses: str) -> None:
        self.driver, self._points = driver, [Point(i, a) for i, a in enumerate(addresses)]
        self.newest: dict[int, Any] = {}

    async def __aenter__(self) -> Any:
        await self.driver.open()
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.driver.close()

    async def _read(self) -> None:
        async for batches in self.driver.stream(self._points):
            for batch in batches:
                self.newest |= dict(zip(batch.id.tolist(), batch.value.tolist(), strict=True))


async def test_a_command_reaches_the_device_and_its_answer_ends_the_write(place) -> None:
    user = password = ""
    if place.devices is not None:
        user = "press"
        password = await asyncio.to_thread(place.devices.add, user, *node_topics("plant", "press 1"))
        declare(place, "spBv1.0/plant/DCMD/+/+")
    metrics = {"": {"limit": (sparkplug.INT32, 1)}, "motor 1": {"speed": (sparkplug.DOUBLE, 1.5)}}
    node = EdgeNode(
        place.port,
        "plant",
        "press 1",
        metrics,
        user=user,
        password=password,
        client_id="press",
        writable={("motor 1", "speed"), ("", "limit")},
    )
    node.start()
    try:
        await comes(node.born.is_set)
        async with Hearing(place.driver("sparkplug"), SPEED, "plant/press 1:limit int") as hearing:
            await comes(lambda: hearing.newest.get(0) == 1.5 and 1 in hearing.newest)
            await hearing.driver.write([PointWrite(SPEED, 9.25), PointWrite("plant/press 1:limit int", -3)])
            assert list(node.commands) == [("motor 1", "speed", 9.25), ("", "limit", -3)]
            await comes(lambda: hearing.newest == {0: 9.25, 1: -3})
            assert hearing.driver.traffic.errors == 0
    finally:
        await asyncio.to_thread(node.stop)


async def test_a_node_that_does_not_tell_leaves_it_open_unless_the_broker_is_enough(place) -> None:
    declare(place, "spBv1.0/plant/DCMD/+/+")
    user = password = ""
    if place.devices is not None:
        user = "press"
        password = await asyncio.to_thread(place.devices.add, user, *node_topics("plant", "press 1"))
    metrics = {"motor 1": {"speed": (sparkplug.DOUBLE, 1.5)}}
    node = EdgeNode(place.port, "plant", "press 1", metrics, user=user, password=password, client_id="press")
    node.start()
    try:
        await comes(node.born.is_set)
        async with Hearing(place.driver("sparkplug", timeout_s=1.0), SPEED) as hearing:
            await comes(lambda: hearing.newest.get(0) == 1.5)
            with pytest.raises(NotConnected, match="did not tell the value within 1 s"):
                await hearing.driver.write([PointWrite(SPEED, 2.0)])
        async with Hearing(place.driver("sparkplug", confirm="broker"), SPEED) as hearing:
            await comes(lambda: hearing.newest.get(0) == 1.5)
            await hearing.driver.write([PointWrite(SPEED, 3.0)])
            await comes(lambda: len(node.commands) == 2)
        assert list(node.commands) == [("motor 1", "speed", 2.0), ("motor 1", "speed", 3.0)]
    finally:
        await asyncio.to_thread(node.stop)

"""`isthmus device add | list | revoke`, and a listener that speaks TLS."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import logging
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typer.testing import CliRunner

from isthmus.app.datadir import DataDir
from isthmus.app.listener import shown
from isthmus.app.settings import MqttSettings
from isthmus.bus.shim import Front
from isthmus.cli.main import command_line
from isthmus.values import mqtt
from isthmus.values.errors import ConfigError

pytestmark = [pytest.mark.mission("M38"), pytest.mark.real("nats-server", "paho-mqtt")]


def device(folder: Path, *words: str) -> str:
    answer = CliRunner().invoke(command_line(), ["device", *words, "--data", str(folder)])
    if answer.exception is not None and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    assert answer.exit_code == 0, answer.output
    return answer.output


async def test_add_list_and_revoke_reach_a_running_listener(listener, tmp_path) -> None:
    """The listener's broker lives in ``bus`` of this data directory."""
    said = await asyncio.to_thread(device, tmp_path, "add", "door", "--topics", "hall 1/+", "--publish", "log/door")
    user, password = (line.split(" ", 1)[1] for line in said.splitlines())
    assert (user, len(password)) == ("door", 43)
    client = await listener.client(user, password, "a")
    assert client.code == 0
    client.client.subscribe([("hall 1/+", 1), ("log/door", 1)])
    while len(client.said_no) < 2:
        await asyncio.sleep(0.02)
    assert [code >= 0x80 for code in client.said_no] == [False, True]
    listed = await asyncio.to_thread(device, tmp_path, "list")
    assert listed == "door\tpublish hall 1/+ log/door\tsubscribe hall 1/+\n"
    assert password not in listed
    await asyncio.to_thread(device, tmp_path, "revoke", "door")
    assert await asyncio.to_thread(client.gone.wait, 60)
    assert await asyncio.to_thread(device, tmp_path, "list") == ""


def test_a_sparkplug_node_gets_its_own_topics_and_none_else(tmp_path) -> None:
    device(tmp_path, "add", "press", "--sparkplug", "plant/press 1")
    publish, subscribe = device(tmp_path, "list").split("\t")[1:]
    assert "spBv1.0/plant/NBIRTH/press 1" in publish
    assert "spBv1.0/plant/DDATA/press 1/+" in publish
    assert "NCMD" not in publish
    assert "spBv1.0/plant/NCMD/press 1" in subscribe


@pytest.mark.parametrize(
    "words",
    [
        ("add", "door"),
        ("add", "core", "--topics", "a"),
        ("add", "door", "--topics", "#"),
        ("add", "door", "--sparkplug", "plant"),
        ("add", "door", "--sparkplug", "/press"),
        ("add", "door", "--sparkplug", "plant/+"),
        ("revoke", "nobody"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(tmp_path, words) -> None:
    with pytest.raises(ConfigError):
        device(tmp_path, *words)
    assert device(tmp_path, "list") == ""


def self_signed(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "listener")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "listener.crt", folder / "listener.key"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return public, private


async def test_devices_speak_tls_and_nothing_else_where_a_certificate_is_set(listener, tmp_path) -> None:
    public, private = self_signed(tmp_path)
    password = await asyncio.to_thread(listener.devices.add, "door", ["hall/#"], [])
    front = Front(listener.broker.mqtt_port, logging.getLogger("test"))
    port = await front.listen(
        "127.0.0.1", 0, shown(DataDir(tmp_path), MqttSettings(certificate=str(public), key=str(private))).context
    )
    connect = mqtt.packet(
        0x10,
        *(mqtt.string("MQTT"), b"\x04\xc2\0\0", mqtt.string("a"), mqtt.string("door"), mqtt.string(password)),
    )
    try:
        trusts = ssl.create_default_context(cafile=str(public))
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusts)
        writer.write(connect)
        assert await reader.readexactly(4) == b"\x20\x02\0\0"
        writer.write(mqtt.packet(0x32, mqtt.string("hall/door"), b"\0\x01", b"1"))
        assert await reader.readexactly(4) == b"\x40\x02\0\x01"
        writer.close()
        await writer.wait_closed()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("127.0.0.1", port, ssl=ssl.create_default_context())
        plain, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(connect)
        async with asyncio.timeout(60):
            assert b"\x20\x02" not in await plain.read()
        writer.close()
    finally:
        await front.close()


def test_a_certificate_that_cannot_be_used_is_told(tmp_path) -> None:
    public, _ = self_signed(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    _, wrong = self_signed(other)
    for key in (wrong, tmp_path / "missing"):
        with pytest.raises(ConfigError, match=r"mqtt\.certificate"):
            shown(DataDir(tmp_path), MqttSettings(certificate=str(public), key=str(key)))

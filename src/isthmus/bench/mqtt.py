"""MQTT and Sparkplug: messages and metrics per CPU second of an edge by replay, and messages a second through the listener.

By replay: a process of its own speaks like a broker and sends recorded PUBLISH packets over TCP as fast as they are taken; the driver and
the binding run here, and their CPU seconds count. Through the listener: a process that publishes, the front, nats-server, the driver.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from isthmus.acquisition.binding import Binder, TagTable
from isthmus.bench.system import environment
from isthmus.bus.broker import LocalBroker, field_user
from isthmus.bus.field import Devices
from isthmus.bus.shim import Front
from isthmus.drivers.mqtt import Mqtt, MqttConfig
from isthmus.drivers.sparkplug import Sparkplug, SparkplugConfig
from isthmus.drivers.sparkplug import payload as sparkplug
from isthmus.ports.drivers import DriverContext, FieldAddress, Point, Streams
from isthmus.values import mqtt
from isthmus.values.clock import SystemClock
from isthmus.values.model import Budget, TagColumns

BUDGET: dict[str, tuple[str, float]] = {
    "mqtt_messages_per_edge_cpu_s": (">=", 30_000.0),
    "mqtt_listener_qos0_messages_s": (">=", 12_000.0),
    "mqtt_listener_qos1_messages_s": (">=", 5_000.0),
    "sparkplug_metrics_per_edge_cpu_s": (">=", 300_000.0),
}
TOPICS = 1000
METRICS = 500
"""Of the node, each said in each message."""
WINDOW = 1000


def _json_packets() -> bytes:
    """One message of each of a thousand sensors."""
    packets = []
    for i in range(TOPICS):
        payload = f'{{"id":"s{i}","temp":{20 + i % 50}.{i % 10},"humidity":{40 + i % 20},"ts":1700000000000,"ok":true}}'
        packets.append(mqtt.packet(0x30, mqtt.string(f"plant/s{i}/state"), payload.encode()))
    return b"".join(packets)


def _births() -> bytes:
    message = sparkplug.Payload(timestamp=1, seq=0)
    for i in range(METRICS):
        sparkplug.add_metric(message, f"m{i}", sparkplug.DOUBLE, 1.5, 1, alias=i)
    return mqtt.packet(0x30, mqtt.string("spBv1.0/G/NBIRTH/N"), message.SerializeToString())


def _data_packets() -> bytes:
    """256 messages, whose numbers go round once."""
    packets = []
    for turn in range(256):
        message = sparkplug.Payload(timestamp=1_700_000_000_000 + turn, seq=(turn + 1) & 0xFF)
        for i in range(METRICS):
            sparkplug.add_metric(message, "", sparkplug.DOUBLE, turn + i / 10, 1_700_000_000_000 + turn, alias=i)
        packets.append(mqtt.packet(0x30, mqtt.string("spBv1.0/G/NDATA/N"), message.SerializeToString()))
    return b"".join(packets)


async def _peer(kind: str) -> None:
    """A broker for one client, which says yes to everything and then sends without end."""
    first = b"" if kind == "mqtt" else _births()
    data = _json_packets() if kind == "mqtt" else _data_packets()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        packets = mqtt.Packets(2**20)
        sending = False
        try:
            while not sending:
                for head, body in packets.feed(await reader.read(65_536)):
                    if head >> 4 == mqtt.CONNECT:
                        writer.write(mqtt.packet(0x20, b"\0\0"))
                    elif head >> 4 == mqtt.SUBSCRIBE:
                        count, at = 0, 2
                        while at < len(body):
                            _, at = mqtt.take_string(body, at)
                            count, at = count + 1, at + 1
                        writer.write(mqtt.packet(0x90, body[:2], b"\0" * count))
                        sending = kind == "mqtt"
                    elif head >> 4 == mqtt.PUBLISH and head & 0x06:
                        _, at = mqtt.take_string(body, 0)
                        writer.write(mqtt.packet(0x40, body[at : at + 2]))
                    elif head >> 4 == mqtt.PUBLISH:  # the wish for a rebirth
                        sending = True
            writer.write(first)
            while True:
                writer.write(data)
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def _binder(points: Sequence[Point]) -> Binder:
    n = len(points)
    tags = TagColumns(id=list(range(1, n + 1)), type=["float"] * n, deadband=[-1.0] * n)
    return Binder(TagTable.of(tags, range(n)))


async def _replay(driver: Streams, addresses: list[str], seconds: float) -> float:
    """Samples bound per CPU second of this process."""
    clock = SystemClock()
    points = tuple(Point(i, a) for i, a in enumerate(addresses))
    binder = _binder(points)
    await driver.open()
    stream = driver.stream(points)
    samples, began_cpu, began = 0, 0.0, 0.0
    try:
        async for batches in stream:
            bound = binder.bind(batches, clock.now_ns(), clock.monotonic_ns())
            now = time.monotonic()
            if not began and samples > 2_000:  # routes are known, aliases learnt
                samples, began, began_cpu = 0, now, time.process_time()
            samples += sum(len(b) for b in bound)
            if began and now - began > seconds:
                break
            await asyncio.sleep(0)
        return samples / (time.process_time() - began_cpu)
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()
        await driver.close()


def _context(field: Any = None) -> DriverContext:
    more = {"field": field} if field else {}
    return DriverContext(Budget(), SystemClock(), name="bench", **more)


async def _replays(seconds: float) -> dict[str, float]:
    figures = {}
    for kind in ("mqtt", "sparkplug"):
        peer = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "isthmus.bench.mqtt", kind), stdout=asyncio.subprocess.PIPE, env=environment()
        )
        assert peer.stdout is not None  # noqa: S101  asked for above
        try:
            port = int(await peer.stdout.readline())
            if kind == "mqtt":
                driver: Streams = Mqtt(
                    MqttConfig(broker=f"127.0.0.1:{port}", qos=0, subscribe=("plant/#",)), _context()
                )
                addresses = [f"plant/s{i}/state $.temp" for i in range(TOPICS)]
                figures["mqtt_messages_per_edge_cpu_s"] = await _replay(driver, addresses, seconds)
            else:
                driver = Sparkplug(SparkplugConfig(broker=f"127.0.0.1:{port}"), _context())
                addresses = [f"G/N:m{i}" for i in range(METRICS)]
                figures["sparkplug_metrics_per_edge_cpu_s"] = await _replay(driver, addresses, seconds)
        finally:
            peer.kill()
            await peer.wait()
    return figures


async def _pump(port: int, user: str, password: str, qos: int) -> None:
    """Publish without end; with QoS 1 at most WINDOW messages are on their way."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        mqtt.packet(
            0x10, mqtt.string("MQTT"), b"\x04\xc2\0\0", mqtt.string("pump"), mqtt.string(user), mqtt.string(password)
        )
    )
    await reader.readexactly(4)
    packets = mqtt.Packets(2**20)
    number, free = 0, WINDOW
    while True:
        out = []
        for _ in range(100 if not qos else min(free, 100)):
            number = number % 65_535 + 1
            topic = mqtt.string(f"plant/s{number % TOPICS}/state")
            payload = b'{"temp":%d.5,"ok":true}' % (number % 90)
            out.append(mqtt.packet(0x30 | qos << 1, topic, number.to_bytes(2, "big") if qos else b"", payload))
        free -= len(out) if qos else 0
        writer.write(b"".join(out))
        await writer.drain()
        if qos and free < 100:
            free += sum(head >> 4 == mqtt.PUBACK for head, _ in packets.feed(await reader.read(65_536)))


async def _front(inner_port: int) -> None:
    front = Front(inner_port, logging.getLogger("bench"))
    print(await front.listen("127.0.0.1", 0), flush=True)
    await asyncio.Event().wait()


async def _through(qos: int, seconds: float) -> float:
    """Messages a second that reach the driver through the listener."""
    with tempfile.TemporaryDirectory() as name:
        async with LocalBroker(Path(name) / "bus", mqtt=True) as broker:
            devices = Devices(broker.files)
            password = await asyncio.to_thread(devices.add, "pump", ["plant/#"], [])
            words = (sys.executable, "-m", "isthmus.bench.mqtt")
            front = await asyncio.create_subprocess_exec(
                *words, "front", str(broker.mqtt_port), stdout=asyncio.subprocess.PIPE, env=environment()
            )
            assert front.stdout is not None  # noqa: S101  asked for above
            port = int(await front.stdout.readline())
            field = FieldAddress("127.0.0.1", port, field_user("edge-1"), broker.files.field_password("edge-1"))
            driver = Mqtt(MqttConfig(qos=qos, subscribe=("plant/#",)), _context(lambda: field))
            await driver.open()
            points = tuple(Point(i, f"plant/s{i}/state $.temp") for i in range(TOPICS))
            stream = driver.stream(points)
            pump = await asyncio.create_subprocess_exec(
                *words, "pump", str(port), "pump", password, str(qos), env=environment()
            )
            try:
                return await _rate(driver, stream, seconds)
            finally:
                for process in (pump, front):
                    process.kill()
                    await process.wait()
                await driver.close()


async def _rate(driver: Mqtt, stream: Any, seconds: float) -> float:
    samples = yields = 0
    began = 0.0
    async for batches in stream:
        yields += 1
        samples += sum(len(b) for b in batches)
        driver.delivered(yields, whole=True)
        now = time.monotonic()
        if not began and samples > 1000:
            samples, began = 0, now
        if began and now - began > seconds:
            await stream.aclose()
            return samples / (now - began)
    return 0.0


async def measure(*, quick: bool) -> dict[str, float]:
    """All figures of both drivers."""
    seconds = 3.0 if quick else 10.0
    figures = await _replays(seconds)
    for qos in (0, 1):
        figures[f"mqtt_listener_qos{qos}_messages_s"] = await _through(qos, seconds)
    return {name: float(np.round(value)) for name, value in figures.items()}


if __name__ == "__main__":
    part = sys.argv[1]
    if part == "front":
        uvloop.run(_front(int(sys.argv[2])))
    elif part == "pump":
        uvloop.run(_pump(int(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5])))
    else:
        uvloop.run(_peer(part))

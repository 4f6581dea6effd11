"""Real brokers: the built-in listener (nats-server behind its front) and mosquitto; publishers are paho."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

import isthmus.drivers.mqtt
import isthmus.drivers.sparkplug  # noqa: F401  registers the drivers, also where the package is not installed
from isthmus.bus import broker
from isthmus.bus.broker import LocalBroker, field_user, free_port
from isthmus.bus.field import Devices
from isthmus.bus.shim import Front
from isthmus.ports.drivers import DriverContext, FieldAddress, driver_spec
from isthmus.values.clock import SystemClock
from isthmus.values.model import Budget


class Client:
    """A paho client in a thread of its own; keeps what it heard and whether it is connected."""

    def __init__(self, port: int, user: str, password: str, client_id: str, **options: Any) -> None:
        options.setdefault("clean_session", True)
        self.heard: list[tuple[str, bytes, bool]] = []
        self.code: int | None = None
        self.said_no: list[int] = []
        self.connected, self.gone = threading.Event(), threading.Event()
        self.client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id,
            reconnect_on_failure=False,
            clean_session=options["clean_session"],
        )
        if user:
            self.client.username_pw_set(user, password)
        if "will" in options:
            self.client.will_set(*options["will"])
        self.client.on_message = lambda _c, _u, m: self.heard.append((m.topic, m.payload, m.retain))
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = lambda _c, _u, _m, codes, _p: self.said_no.extend(c.value for c in codes)
        self.client.on_disconnect = lambda *_: self.gone.set()
        self._port = port

    def _on_connect(self, _c: Any, _u: Any, _f: Any, code: Any, _p: Any) -> None:
        self.code = code.value
        self.connected.set()

    async def start(self) -> Client:
        await asyncio.to_thread(self.client.connect, "127.0.0.1", self._port)
        self.client.loop_start()
        await asyncio.to_thread(self.connected.wait, 60)
        return self

    async def say(self, topic: str, payload: bytes | str, qos: int = 1, *, retain: bool = False) -> None:
        info = self.client.publish(topic, payload, qos, retain)
        if qos:
            await asyncio.to_thread(info.wait_for_publish, 60)

    async def stop(self) -> None:
        self.client.disconnect()
        await asyncio.to_thread(self.client.loop_stop)
        self.client._reset_sockets()  # paho closes its own socket pair only when it is collected


class Place:
    """A broker that tests publish to and drivers read from."""

    def __init__(self, port: int, settings: dict[str, Any], field: Callable[[], FieldAddress] | None) -> None:
        self.port, self.settings, self._field = port, settings, field
        self.clients: list[Client] = []
        self.drivers: list[Any] = []
        self.devices: Any = None
        self.broker: Any = None
        self.front: Any = None

    async def client(self, user: str = "", password: str = "", client_id: str = "test", **options: Any) -> Client:
        client = Client(self.port, user, password, client_id, **options)
        self.clients.append(client)
        return await client.start()

    async def publisher(self) -> Client:
        """One that may say everything the tests say."""
        if self.devices is None:
            return await self.client(client_id=f"publisher-{len(self.clients)}")
        name = f"publisher-{len(self.clients)}"
        topics = ["plant/#", "spBv1.0/#"]
        password = await asyncio.to_thread(self.devices.add, name, topics, topics)
        return await self.client(name, password, name)

    def driver(self, kind: str = "mqtt", name: str = "isthmus-edge-1-press", **settings: Any) -> Any:
        spec = driver_spec(kind)
        field = {"field": self._field} if self._field else {}
        context = DriverContext(Budget(), SystemClock(), name=name, **field)
        made = spec.build(spec.configure(self.settings | settings), context)
        self.drivers.append(made)
        return made

    async def end(self) -> None:
        for driver in self.drivers:
            await driver.close()
        for client in self.clients:
            await client.stop()


@contextlib.asynccontextmanager
async def builtin(folder: Path):
    async with LocalBroker(folder / "bus", mqtt=True) as server:
        front = Front(server.mqtt_port, logging.getLogger("test"))
        port = await front.listen("127.0.0.1", 0)
        user, password = field_user("edge-1"), server.files.field_password("edge-1")
        place = Place(port, {"broker": "builtin"}, lambda: FieldAddress("127.0.0.1", port, user, password))
        place.broker, place.front, place.devices = server, front, Devices(server.files)
        try:
            yield place
        finally:
            await place.end()
            await front.close()


def mosquitto_binary() -> str:
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin")
    if found is None:
        pytest.fail("mosquitto is not installed; `make broker` installs it")
    return found


@contextlib.asynccontextmanager
async def mosquitto(folder: Path, *more: str):
    port = free_port()
    config = folder / "mosquitto.conf"
    lines = [
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        "persistence false",
        "max_queued_messages 100000",
        *more,
    ]
    config.write_text("\n".join(lines) + "\n")
    process = await asyncio.create_subprocess_exec(
        mosquitto_binary(), "-c", str(config), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    for _ in range(1500):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            break
        await asyncio.sleep(0.02)
    place = Place(port, {"broker": f"127.0.0.1:{port}"}, None)
    place.broker = process
    try:
        yield place
    finally:
        await place.end()
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "MQTT_ACK_WAIT", "1s")


@pytest.fixture
async def listener(tmp_path: Path):
    async with builtin(tmp_path) as place:
        yield place


@pytest.fixture(params=["builtin", "mosquitto-3.1.1", "mosquitto-5"])
async def place(request: pytest.FixtureRequest, tmp_path: Path):
    """Each broker, each version of the protocol."""
    if request.param == "builtin":
        async with builtin(tmp_path) as found:
            yield found
        return
    async with mosquitto(tmp_path) as found:
        found.settings["version"] = request.param.partition("-")[2]
        yield found


@pytest.fixture
def run_mosquitto(tmp_path: Path):
    """``async with run_mosquitto(*lines_of_settings) as place``"""
    return lambda *more: mosquitto(tmp_path, *more)

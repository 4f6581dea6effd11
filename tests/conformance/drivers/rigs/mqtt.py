"""The peer of the MQTT driver: mosquitto behind a link that can lie; paho is the device."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import shutil
import socket
import tempfile
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho

from isthmus.bus.broker import free_port
from isthmus.drivers.mqtt.address import parse
from isthmus.simulators.link import Link

_PLACES = "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"


class Broker:
    """mosquitto on a free port, and the link to it; the device keeps a connection of its own that no lie reaches."""

    def __init__(self) -> None:
        self.port = free_port()
        self.link = Link("127.0.0.1", self.port)
        self.link.port = free_port()
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        if self._process is None:
            binary = shutil.which("mosquitto") or shutil.which("mosquitto", path=_PLACES)
            assert binary, "mosquitto is not installed; `make broker` installs it"
            lines = (f"listener {self.port} 127.0.0.1", "allow_anonymous true", "persistence false")
            with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
                config.write("\n".join(lines) + "\nmax_queued_messages 100000\n")
                config.flush()
                os.chmod(config.name, 0o644)  # noqa: PTH101  mosquitto gives up its rights before it reads
                self._process = await asyncio.create_subprocess_exec(
                    binary, "-c", config.name, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
                )
                await self._ready()
        await self.link.start()

    async def _ready(self) -> None:
        for _ in range(500):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.2):
                return
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        await self.link.stop()
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None


def _counted(n: int) -> str:
    """Large, so that the buffers of the system hold few of them."""
    return f'{{"n": {n}, "pad": "{"x" * 4000}"}}'


class Rig:
    modes = {"3.1.1": {}, "5": {"version": "5"}}  # noqa: RUF012  read only
    truth = {  # noqa: RUF012  read only
        "plant/press/state $.temp": 21.5,
        "plant/press/state $.count int": 7,
        "plant/press/state $.open bool": 1,
        "plant/press/state values[0].name text": "grün",
        "'plant/hall 1/level' int": -5,
        "plant/n $.n int": 1_000,
    }
    refused = "plant/press/state $.temp"  # declares no topic to write to
    writable = {  # noqa: RUF012  read only
        "plant/oven/state $.speed write=plant/oven/set/speed": 2.5,
        "plant/oven/state $.count int write=plant/oven/set/count as=$.set.to": -7,
        """plant/oven/state $.open bool write=plant/oven/set/open as='{"cmd":"open","to":["$value"]}'""": 1,
        "plant/oven/state $.name text write='plant/oven/set/the name'": "grün",
        "plant/oven/state $.fast int write=plant/oven/set/fast qos=0": 2**40,
    }
    unfit = {  # noqa: RUF012  read only
        "plant/oven/state $.count int write=plant/oven/set/count as=$.set.to": [0.5, 2**63, "7", math.nan],
        """plant/oven/state $.open bool write=plant/oven/set/open as='{"cmd":"open","to":["$value"]}'""": [2, "true"],
        "plant/oven/state $.name text write='plant/oven/set/the name'": [5, "\ud800"],
    }
    later = {"plant/press/state $.temp": 22.25, "'plant/hall 1/level' int": 6}  # noqa: RUF012  read only
    counting = "plant/n $.n int"
    last_seen_s = 0.3
    most_held = 6_000
    waivers = {  # noqa: RUF012  read only
        "tags_turn_bad_when_the_device_is_silent": (
            "A device behind a broker may be silent for as long as it likes; declare age=30s where silence means trouble"
        ),
    }

    def __init__(self) -> None:
        self._broker = Broker()
        self._device: paho.Client | None = None
        self._present = dict(self.truth)
        self._oven = {"speed": 1.0, "count": 0, "open": False, "name": "", "fast": 0}
        self._taken: list[str] = []

    def settings(self, timeout_s: float) -> dict[str, Any]:
        return {
            "broker": f"127.0.0.1:{self._broker.link.port}",
            "qos": 0,
            "timeout_s": timeout_s,
            "keep_alive_s": max(timeout_s, 0.1),
            "max_waiting": 100,
        }

    async def start(self) -> None:
        await self._broker.start()
        if self._device is None:
            self._device = paho.Client(paho.CallbackAPIVersion.VERSION2, "device")
            self._device.on_message = self._obey
            self._device.connect("127.0.0.1", self._broker.port)
            self._device.subscribe("plant/oven/set/+", 1)
            self._device.loop_start()
            await self.change({})
            await self._say("plant/n", _counted(self.truth[self.counting]))
            await self._say("plant/oven/state", json.dumps(self._oven))

    async def stop(self) -> None:
        if self._device is not None:
            self._device.disconnect()
            self._device.loop_stop()
            self._device._reset_sockets()
            self._device = None
        await self._broker.stop()

    async def cut(self) -> None:
        await self._broker.link.cut()

    def say(self, lie: Callable[[bytes], bytes] | None) -> None:
        self._broker.link.tamper = lie

    async def _say(self, topic: str, payload: str, *, retain: bool = True) -> None:
        assert self._device is not None
        info = self._device.publish(topic, payload, 1, retain)
        async with asyncio.timeout(60):
            while not info.is_published():  # a thread to wait in would outlive the test
                await asyncio.sleep(0.002)

    async def change(self, values: dict[str, Any]) -> None:
        self._present |= values
        temp = self._present["plant/press/state $.temp"]
        await self._say(
            "plant/press/state", f'{{"temp": {temp}, "count": 7, "open": true, "values": [{{"name": "grün"}}]}}'
        )
        await self._say("plant/hall 1/level", str(self._present["'plant/hall 1/level' int"]))

    async def count(self, first: int, last: int) -> None:
        assert self._device is not None
        for n in range(first, last):
            self._device.publish("plant/n", _counted(n), 0, retain=False)
            if n % 200 == 0:
                await asyncio.sleep(0)
        await self._say("plant/n", _counted(last))

    async def mangle(self) -> int:
        for payload in ("{", "", "[" * 5000, '{"temp": 1e', "\x00\x01"):
            await self._say("plant/press/state", payload, retain=False)
        return 5

    def _obey(self, client: paho.Client, _: Any, message: paho.MQTTMessage) -> None:
        """In the client's thread: take a value out of its message, and show it."""
        name = message.topic.rpartition("/")[2].replace("the name", "name")
        said = message.payload.decode()
        value = said if name == "name" else json.loads(said)
        if name == "count":
            value = value["set"]["to"]
        elif name == "open":
            (value,) = value["to"]
        assert type(value) is type(self._oven[name])
        assert not message.retain
        self._oven[name] = value
        self._taken.append(message.topic)
        client.publish("plant/oven/state", json.dumps(self._oven), 1, retain=True)

    async def arrived(self, address: str) -> int:
        return self._taken.count(parse(address).write)

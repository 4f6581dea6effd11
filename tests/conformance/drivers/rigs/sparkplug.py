"""The peer of the Sparkplug driver: mosquitto behind a link that can lie; our own edge node, spoken by paho."""

from __future__ import annotations

import asyncio
import importlib.util
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from isthmus.drivers.sparkplug import payload as sparkplug
from isthmus.simulators.sparkplug import EdgeNode


def _neighbour(name: str) -> Any:
    """The rig beside this one; rigs are loaded by path, so they cannot import each other."""
    key = f"rig_neighbour_{name}"
    if key not in sys.modules:
        spec = importlib.util.spec_from_file_location(key, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[key] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[key])
    return sys.modules[key]


_TYPES = {
    "plant/press:uptime int": ("", "uptime", sparkplug.UINT64),
    "plant/press/motor:temperature float": ("motor", "temperature", sparkplug.DOUBLE),
    "plant/press/motor:offset int": ("motor", "offset", sparkplug.INT16),
    "plant/press/motor:running int": ("motor", "running", sparkplug.BOOLEAN),
    "plant/press/motor:note text": ("motor", "note", sparkplug.STRING),
    "plant/press/motor:n int": ("motor", "n", sparkplug.INT32),
}


_TAKES = {
    "plant/press/motor:speed float": ("motor", "speed", sparkplug.FLOAT, 0.0),
    "plant/press/motor:steps int": ("motor", "steps", sparkplug.INT8, 0),
    "plant/press/motor:enable int": ("motor", "enable", sparkplug.BOOLEAN, False),
    "plant/press/motor:label text": ("motor", "label", sparkplug.STRING, "none"),
    "plant/press:limit int": ("", "limit", sparkplug.UINT32, 0),
}
_PAD = "x" * 4000  # so that the buffers of the system hold few messages


class Rig:
    truth = {  # noqa: RUF012  read only
        "plant/press:uptime int": 12,
        "plant/press/motor:temperature float": 21.5,
        "plant/press/motor:offset int": -2,
        "plant/press/motor:running int": 1,
        "plant/press/motor:note text": "grün",
        "plant/press/motor:n int": 1_000,
    }
    refused = "plant/press/motor:temperature float"  # its birth says that it is read-only
    writable = {  # noqa: RUF012  read only
        "plant/press/motor:speed float": 2.5,
        "plant/press/motor:steps int": -5,
        "plant/press/motor:enable int": 1,
        "plant/press/motor:label text": "grün",
        "plant/press:limit int": 2**32 - 2,
    }
    unfit = {  # noqa: RUF012  read only
        "plant/press/motor:speed float": [1e39, "2.5"],
        "plant/press/motor:steps int": [128, -129, 0.5, math.nan],
        "plant/press/motor:enable int": [2, "true"],
        "plant/press/motor:label text": [5],
        "plant/press:limit int": [-1, 2**32],
    }
    later = {"plant/press/motor:temperature float": 22.25, "plant/press/motor:offset int": -300}  # noqa: RUF012  read only
    counting = "plant/press/motor:n int"
    last_seen_s = 0.3
    most_held = 6_000
    waivers = {  # noqa: RUF012  read only
        "tags_turn_bad_when_the_device_is_silent": (
            "By exception is Sparkplug's rule: a node that says nothing has nothing new; its death is told by the broker"
        ),
    }

    def __init__(self) -> None:
        self._broker = _neighbour("mqtt").Broker()
        self._node: EdgeNode | None = None
        self._present = dict(self.truth)

    def settings(self, timeout_s: float) -> dict[str, Any]:
        return {
            "broker": f"127.0.0.1:{self._broker.link.port}",
            "timeout_s": timeout_s,
            "keep_alive_s": max(timeout_s, 0.1),
            "max_waiting": 100,
        }

    async def start(self) -> None:
        await self._broker.start()
        if self._node is None:
            await self.back()

    async def stop(self) -> None:
        await self.leave()
        await self._broker.stop()

    async def leave(self) -> None:
        if self._node is not None:
            self._node.stop()
            self._node = None

    async def back(self) -> None:
        metrics: dict[str, dict[str, Any]] = {}
        for address, value in self._present.items():
            device, name, datatype = _TYPES[address]
            metrics.setdefault(device, {})[name] = (datatype, bool(value) if datatype == sparkplug.BOOLEAN else value)
        metrics["motor"]["pad"] = (sparkplug.STRING, "")
        for device, name, datatype, value in _TAKES.values():
            metrics[device][name] = (datatype, value)
        self._node = EdgeNode(
            self._broker.port,
            "plant",
            "press",
            metrics,
            writable={(device, name) for device, name, _, _ in _TAKES.values()},
            read_only={("motor", "temperature")},
        )
        self._node.start()
        async with asyncio.timeout(60):
            while not self._node.born.is_set():  # a thread to wait in would outlive the test
                await asyncio.sleep(0.002)
        await asyncio.sleep(0.05)  # the birth is through the broker, so that who comes now hears all of one or nothing

    async def cut(self) -> None:
        await self._broker.link.cut()

    def say(self, lie: Callable[[bytes], bytes] | None) -> None:
        self._broker.link.tamper = lie

    async def change(self, values: dict[str, Any]) -> None:
        self._present |= values
        assert self._node is not None
        for address, value in values.items():
            device, name, _ = _TYPES[address]
            self._node.say(device, {name: value})

    async def count(self, first: int, last: int) -> None:
        for n in range(first, last + 1):
            if self._node is not None:
                self._node.say("motor", {"n": n, "pad": _PAD})
            if n % 100 == 0:
                await asyncio.sleep(0.002)

    async def mangle(self) -> int:
        assert self._node is not None
        for data in (b"\xff", b"\x12\x7f", b"{}"):
            self._node.raw("DDATA", "motor", data)
        return 3

    async def arrived(self, address: str) -> int:
        device, name, _, _ = _TAKES[address]
        return 0 if self._node is None else sum(c[:2] == (device, name) for c in list(self._node.commands))

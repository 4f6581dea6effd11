"""The peer of the Modbus TCP driver: the simulator."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from isthmus.drivers.modbus_tcp.address import parse
from isthmus.simulators.modbus import Memory, ModbusServer


class Rig:
    refused = "hr 900"
    writable = {  # noqa: RUF012  read only
        "hr 50": 7,
        "hr 52 float32 cdab": 2.5,
        "hr 54 int64": -5,
        "hr 60 string 4": "valve",
        "hr 70.3": 1,
        "co 9": 1,
    }
    unfit = {  # noqa: RUF012  read only
        "hr 50": [65_536, -1, 1.5, "7"],
        "hr 52 float32 cdab": [1e39, "2.5", math.nan],
        "hr 54 int64": [2**63, 0.5],
        "hr 60 string 4": ["a text too long", 5],
        "hr 70.3": [2, "on"],
        "co 9": [2, -1, math.nan],
    }
    truth = {  # noqa: RUF012  read only
        "hr 0": 65_535,
        "hr 1 int16": -2,
        "hr 2 float32": 1.5,
        "hr 4 int64": -(2**40),
        "hr 1.15": 1,
        "ir 3": 3,
        "hr 20 string 4": "pump 7",
        "co 3": 1,
        "di 8": 0,
        "hr 300": 300,
    }

    def __init__(self) -> None:
        memory = Memory.sized(1000)
        memory.hr[:] = np.arange(1000)
        memory.ir[:] = np.arange(1000)
        memory.hr[0:2] = 65_535, 65_534
        memory.hr[2:4] = np.array([1.5], ">f4").view(">u2")
        memory.hr[4:8] = np.array([-(2**40)], ">i8").view(">u2")
        memory.hr[20:24] = np.frombuffer(b"pump 7\0\0", ">u2")
        memory.co[3] = True
        memory.refuse.append(("hr", 900, 901))
        self._server = ModbusServer("127.0.0.1", 0, {3: memory})

    def settings(self, timeout_s: float) -> dict[str, Any]:
        return {"host": "127.0.0.1", "port": self._server.port, "unit": 3, "timeout_s": timeout_s}

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop()

    async def cut(self) -> None:
        self._server.cut()

    def say(self, lie: Callable[[bytes], bytes] | None) -> None:
        self._server.tamper = lie

    @property
    def asked(self) -> int:
        return self._server.requests

    async def arrived(self, address: str) -> int:
        place = parse(address)
        functions = {5, 15} if place.area == "co" else {6, 16, 22}
        return sum(f.taken and f.start == place.start and f.function in functions for f in self._server.writes)

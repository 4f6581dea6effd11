"""From the sample to the last command on the wire, with core and bus dead: an edge alone, on the model it kept.

One device of ours in this process, which knows to the microsecond when a value changed and when the write came; each trip fires
once. The time from the sample is the edge's own, from its journal; the time from the change has the wait for the next poll in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from isthmus.app.datadir import DataDir
from isthmus.bench.system import System, environment
from isthmus.control.journal import Journal
from isthmus.simulators.modbus import Memory, ModbusServer
from isthmus.values.clock import SystemClock

BUDGET: dict[str, tuple[str, float]] = {
    "sample_to_wire_p99_ms": ("<=", 100.0),
    "missed": ("<=", 0.0),
}
FIRST_WRITTEN = 400
POLL_MS = 50


def plant_yaml(port: int, trips: int) -> str:
    """As many hazards as set-points; each trip has a value and a set-point of its own."""
    tags = "".join(f"      x{i}: {{at: hr {i} uint16}}\n" for i in range(trips))
    tags += "".join(f"      y{i}: {{at: hr {FIRST_WRITTEN + i} uint16, write: operator}}\n" for i in range(trips))
    rules = "".join(
        f"  t{i}: {{at: hall/machine, when: x{i} > 100, on_loss: ignore, actions: [{{set: y{i}, to: 0}}]}}\n"
        for i in range(trips)
    )
    return (
        "plant: {enterprise: acme, site: bench}\nconnections:\n"
        f"  plc: {{driver: modbus-tcp, host: 127.0.0.1, port: {port}, poll: {POLL_MS} ms, access: read-write}}\n"
        f"assets:\n  hall/machine:\n    source: plc\n    tags:\n{tags}trips:\n{rules}"
    )


class Device:
    """Registers that a trip reads and writes, and when they changed."""

    def __init__(self) -> None:
        self.memory = Memory.sized(1_000)
        self.memory.hr[FIRST_WRITTEN:] = 7
        self.memory.on_write = self._written
        self.server = ModbusServer("127.0.0.1", 0, {1: self.memory})
        self.changed: dict[int, float] = {}
        self.written: dict[int, float] = {}
        self._waiting: dict[int, asyncio.Event] = {}

    def _written(self, _: str, start: int, __: int) -> None:
        number = start - FIRST_WRITTEN
        self.written.setdefault(number, time.monotonic())
        if number in self._waiting:
            self._waiting[number].set()

    async def hazard(self, number: int) -> None:
        """One value goes beyond its limit; until its trip has written, or two seconds are over."""
        self._waiting[number] = asyncio.Event()
        self.changed[number] = time.monotonic()
        self.memory.hr[number] = 200
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._waiting[number].wait(), 2.0)


@contextlib.asynccontextmanager
async def lonely_edge(folder: Path) -> AsyncIterator[None]:
    """An edge without core and bus."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "isthmus", "edge", "--data", str(folder), "--name", "edge-1"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=sys.stderr,
        env=environment(),
    )
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGINT)
        await process.wait()


async def _until(condition: Any, what: str, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        await asyncio.sleep(0.05)


async def _measure(trips: int) -> dict[str, float]:
    device, random = Device(), np.random.default_rng(3)
    await device.server.start()
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "data"
            async with System(folder) as system:
                await asyncio.to_thread(system.apply, plant_yaml(device.server.port, trips))
                await _until((DataDir(folder).edge("edge-1") / "model").exists, "the edge has kept no model")
            asked = device.server.requests
            async with lonely_edge(folder):
                await _until(lambda: device.server.requests > asked + 20, "the edge reads nothing")
                for number in range(trips):
                    await device.hazard(number)
                    await asyncio.sleep(float(random.uniform(0, 2 * POLL_MS / 1e3)))
            lines = _lines(folder)
    finally:
        await device.server.stop()
    took = [line["took_s"] for line in lines if line["state"] == "ended" and not line["failed"]]
    whole = [device.written[i] - device.changed[i] for i in device.changed if i in device.written]
    return {
        "sample_to_wire_p50_ms": float(np.percentile(took, 50)) * 1e3,
        "sample_to_wire_p99_ms": float(np.percentile(took, 99)) * 1e3,
        "sample_to_wire_max_ms": max(took) * 1e3,
        "change_to_wire_p99_ms": float(np.percentile(whole, 99)) * 1e3,
        "trips": float(trips),
        "missed": float(trips - len(whole)),
    }


def _lines(folder: Path) -> list[dict[str, Any]]:
    journal = Journal(DataDir(folder).edge("edge-1") / "control" / "journal", SystemClock())
    try:
        return [line for line in journal.lines() if line["kind"] == "trip"]
    finally:
        journal.close()


def run(*, quick: bool) -> dict[str, Any]:
    """Reactions of an edge that is alone."""
    result: dict[str, Any] = {"figures": uvloop.run(_measure(100 if quick else 300)), "budget": BUDGET}
    if quick:
        result["shortened"] = "100 trips instead of 300"
    return result

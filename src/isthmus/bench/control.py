"""A permitted write from core's command on the bus to its answer: judged, on the edge's disk, on the wire, read back, on the disk again.

A whole Isthmus in its own processes, a Modbus server in another, one command at a time while everything is polled as usual.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import uvloop

from isthmus.bench.system import System, environment
from isthmus.bus import subjects
from isthmus.bus.broker import BrokerFiles, BusAddress
from isthmus.bus.client import Bus
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import IsthmusError
from isthmus.values.messages.control import Result, WriteCommand

BUDGET: dict[str, tuple[str, float]] = {"write_p99_ms": ("<=", 250.0), "not_done": ("<=", 0.0)}
POINTS, READ = 40, 160
_LOG = logging.getLogger("bench")


def plant_yaml(port: int) -> str:
    """Set-points with an interlock that holds, among values that are only read."""
    points = "".join(
        f"      s{i}: {{at: hr {200 + i} uint16, range: [0, 65535], write: {{role: operator, interlock: r0 >= 0}}}}\n"
        for i in range(POINTS)
    )
    read = "".join(f"      r{i}: {{at: hr {i} uint16}}\n" for i in range(READ))
    return (
        "plant: {enterprise: acme, site: bench}\n"
        f"connections:\n  plc: {{driver: modbus-tcp, host: 127.0.0.1, port: {port}, poll: 250 ms, access: read-write}}\n"
        f"assets:\n  hall/machine:\n    source: plc\n    tags:\n{read}{points}"
    )


@contextlib.asynccontextmanager
async def device(*options: str) -> AsyncIterator[int]:
    """A Modbus server in a process of its own; its port."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "isthmus.simulators.modbus", "--size", "400", *options),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None  # noqa: S101  it was asked for
    try:
        yield int(await asyncio.wait_for(process.stdout.readline(), 60))
    finally:
        process.terminate()
        await process.wait()


class Core:
    """Sends commands as core does, with its address."""

    def __init__(self, bus: Bus, version: int) -> None:
        self._bus, self._version, self._number = bus, version, 0

    async def write(self, tag: int, value: int) -> dict[str, Any]:
        """One command; its answer."""
        self._number += 1
        now_ns = time.time_ns()
        command = WriteCommand(
            f"b{self._number}", tag, value, now_ns + 30 * NS_PER_S, self._version, now_ns, "bench", "bench"
        )
        subject = subjects.command("bench", "edge-1", "write")
        answer: dict[str, Any] = orjson.loads(
            (await self._bus.request(subject, orjson.dumps(asdict(command)), 30)).data
        )
        return answer

    async def until_permitted(self, tag: int, timeout_s: float = 60) -> None:
        """Wait until the edge runs the plant and reads it."""
        deadline = time.monotonic() + timeout_s
        answer: dict[str, Any] = {}
        while answer.get("result") != Result.DONE:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the edge lets no write pass: {answer}")
            with contextlib.suppress(IsthmusError):
                answer = await self.write(tag, 1)
            await asyncio.sleep(0.2)


async def _measure(writes: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        async with device() as port, System(Path(name) / "data") as system:
            version = await asyncio.to_thread(system.apply, plant_yaml(port))
            known = (await asyncio.to_thread(system.get, f"tags?under=hall/machine&limit={POINTS + READ}"))["tags"]
            tags = [t["id"] for t in known if t["path"].rpartition("/")[2].startswith("s")]
            bus = Bus(BusAddress.load(BrokerFiles(system.folder / "bus").address_file("core")), _LOG)
            await bus.connect()
            try:
                core = Core(bus, version)
                await core.until_permitted(tags[0])
                took, not_done = await _writes(core, tags, writes)
            finally:
                await bus.close()
    return {
        "write_p50_ms": float(np.percentile(took, 50)) * 1e3,
        "write_p99_ms": float(np.percentile(took, 99)) * 1e3,
        "write_max_ms": max(took) * 1e3,
        "writes": float(writes),
        "not_done": float(not_done),
    }


async def _writes(core: Core, tags: list[int], writes: int) -> tuple[list[float], int]:
    random = np.random.default_rng(5)
    took, not_done = [], 0
    for _ in range(writes):
        tag, value = int(random.choice(tags)), int(random.integers(0, 65_536))
        began = time.monotonic()
        answer = await core.write(tag, value)
        took.append(time.monotonic() - began)
        if answer["result"] != Result.DONE:
            not_done += 1
            print(answer, file=sys.stderr)
        await asyncio.sleep(float(random.uniform(0, 0.02)))
    return took, not_done


def run(*, quick: bool) -> dict[str, Any]:
    """Ages of answers."""
    result: dict[str, Any] = {"figures": uvloop.run(_measure(200 if quick else 2_000)), "budget": BUDGET}
    if quick:
        result["shortened"] = "200 writes instead of 2,000"
    return result

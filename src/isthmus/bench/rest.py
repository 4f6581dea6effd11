"""What Isthmus costs when nothing happens, how soon it is back after a restart, and what the demo needs of memory."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import uvloop

from isthmus.bench.latency import tags
from isthmus.bench.load import TAGS, LoadServers, plant_yaml
from isthmus.bench.system import System

BUDGET: dict[str, tuple[str, float]] = {
    "idle_percent_of_a_core": ("<=", 3.0),
    "first_value_s": ("<=", 5.0),
    "demo_memory_mib": ("<=", 1024.0),
    "stop_s": ("<=", 5.0),
}
SETTLE_S = 5.0


async def idle(folder: Path, seconds: float) -> dict[str, float]:
    """CPU of everything together without a connection and without a viewer, in percent of one core."""
    async with System(folder) as system:
        await asyncio.sleep(SETTLE_S)
        await _spares_ready(system)
        before, at = system.cpu_s(), time.monotonic()
        await asyncio.sleep(seconds)
        took = time.monotonic() - at
        percent = {name: (s - before.get(name, 0.0)) / took * 100 for name, s in system.cpu_s().items()}
    return {f"idle_{name.replace('-', '_')}_percent": p for name, p in percent.items()} | {
        "idle_percent_of_a_core": sum(percent.values())
    }


async def _spares_ready(system: System) -> None:
    """Wait until the processes that stand by have loaded, which belongs to the start."""
    spent = -1.0
    async with asyncio.timeout(120):
        while True:
            before, spent = spent, sum(s for name, s in system.cpu_s().items() if name.endswith("-spare"))
            if 0 < spent == before:
                return
            await asyncio.sleep(3)


async def second_start(folder: Path) -> dict[str, float]:
    """From the command of a second start to the first live value that is newer than it."""
    async with LoadServers(1) as servers, System(folder) as system:
        await asyncio.to_thread(system.apply, plant_yaml(servers.ports, send_all=True))
        await tags(system, TAGS)
        stop_s = await system.stop()
        began, began_ns = time.monotonic(), time.time_ns()
        await system.start()
        ready_s = time.monotonic() - began
        async with asyncio.timeout(60):
            while not await asyncio.to_thread(_newer, system, began_ns):
                await asyncio.sleep(0.05)
        return {"stop_s": stop_s, "ready_s": ready_s, "first_value_s": time.monotonic() - began}


def _newer(system: System, than_ns: int) -> bool:
    than = np.datetime64(than_ns, "ns")
    values = system.get("tags/values?under=load&limit=1000")["values"]
    return any(v["time"] and np.datetime64(v["time"].rstrip("Z")) > than for v in values)


async def demo(folder: Path, seconds: float) -> dict[str, float]:
    """Memory of the demo's processes at the end; the simulators, which stand for the hall's PLCs, are told apart."""
    async with System(folder, command="demo") as system:
        await asyncio.sleep(seconds)
        rss = system.rss_bytes()
        known = {p.pid for p in (system.processes() | system.spares()).values()}
        simulators = 0
        for child in system.processes()["up"].children(recursive=True):
            with contextlib.suppress(psutil.Error):
                simulators += 0 if child.pid in known else child.memory_info().rss
    return {f"demo_{name.replace('-', '_')}_mib": size / 2**20 for name, size in rss.items()} | {
        "demo_memory_mib": sum(rss.values()) / 2**20,
        "demo_simulators_mib": simulators / 2**20,
    }


async def _measure(seconds: float, demo_s: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = await idle(folder / "idle", seconds)
        figures |= await second_start(folder / "again")
        return figures | await demo(folder / "demo", demo_s)


def run(*, quick: bool) -> dict[str, Any]:
    """A minute at rest and five of the demo, or 10 s each."""
    figures = uvloop.run(_measure(10.0, 10.0) if quick else _measure(60.0, 300.0))
    result: dict[str, Any] = {"figures": figures, "budget": BUDGET}
    if quick:
        result["shortened"] = "10 s at rest instead of 60 s, 10 s of the demo instead of 5 minutes"
    return result

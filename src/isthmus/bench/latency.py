"""From the bytes at the edge to a browser's socket: 10,000 tags at 1 Hz, 20 viewers of 1,000 scattered tags each.

A sample's time is when its bytes had reached the edge, quantised down to the millisecond, so ages are at most 1 ms too long.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from isthmus.bench.load import TAGS, LoadServers, plant_yaml
from isthmus.bench.system import System
from isthmus.bench.viewers import Viewer, percentile_ms, stop

BUDGET: dict[str, tuple[str, float]] = {"edge_to_viewer_p99_ms": ("<=", 150.0)}
SERVERS, VIEWERS, SEEN = 10, 20, 1_000


async def tags(system: System, rows: int, timeout_s: float = 60) -> list[str]:
    """Paths of the plant's tags, once at least ``rows`` of them have a value."""
    deadline = asyncio.get_running_loop().time() + timeout_s
    while True:
        values = (await asyncio.to_thread(system.get, "tags/values?under=load"))["values"]
        if sum(1 for v in values if v["status"] == "Good") >= rows:
            return [v["path"] for v in values]
        if asyncio.get_running_loop().time() > deadline:
            raise TimeoutError(f"after {timeout_s:g} s fewer than {rows} of {len(values)} tags were good")
        await asyncio.sleep(0.5)


def scattered(paths: list[str], seed: int) -> list[str]:
    """What one viewer looks at."""
    return list(np.random.default_rng(seed).choice(paths, min(SEEN, len(paths)), replace=False))


async def _measure(seconds: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        async with LoadServers(SERVERS) as servers, System(Path(name) / "data") as system:
            await asyncio.to_thread(system.apply, plant_yaml(servers.ports, send_all=True))
            paths = await tags(system, SERVERS * TAGS)
            viewers = [Viewer(system.port, system.token(), scattered(paths, i)) for i in range(VIEWERS)]
            tasks = [asyncio.create_task(v.run()) for v in viewers]
            before = system.cpu_s()
            await asyncio.sleep(seconds)
            cpu = {k: v - before.get(k, 0) for k, v in system.cpu_s().items()}
            await stop(tasks)
    samples = sum(v.samples for v in viewers)
    return {
        "edge_to_viewer_p50_ms": percentile_ms(viewers, 50),
        "edge_to_viewer_p99_ms": percentile_ms(viewers, 99),
        "edge_to_viewer_max_ms": percentile_ms(viewers, 100),
        "viewer_samples_s": samples / seconds,
        "system_cores": sum(cpu.values()) / seconds,
    }


def run(*, quick: bool) -> dict[str, Any]:
    """Ages of samples at twenty sockets."""
    result: dict[str, Any] = {"figures": uvloop.run(_measure(15.0 if quick else 120.0)), "budget": BUDGET}
    if quick:
        result["shortened"] = "15 s instead of 120 s"
    return result

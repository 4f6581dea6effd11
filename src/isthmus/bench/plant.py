"""A plant of 50,000 tags at 1 s through the whole system, with viewers and questions to the historian, on this machine."""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import uvloop

from isthmus.bench.latency import scattered, tags
from isthmus.bench.load import TAGS, LoadServers, plant_yaml
from isthmus.bench.system import System
from isthmus.bench.viewers import Viewer, percentile_ms, stop

BUDGET: dict[str, tuple[str, float]] = {
    "lag_growth_s": ("<=", 1.0),
    "recorded_ratio": (">=", 0.98),
    "memory_gib": ("<=", 2.5),
}
SERVERS, VIEWERS = 50, 20


async def _ask(system: System, paths: list[str], took_ms: list[float]) -> None:
    """History questions of all kinds, one after the other, with a pause."""
    random = np.random.default_rng(3)
    while True:
        some = random.choice(paths, 4, replace=False)
        query = urlencode({"tag": list(some), "start": "now-10m", "end": "now", "points": 500}, doseq=True)
        began = time.monotonic()
        await asyncio.to_thread(system.get, f"history?{query}")
        took_ms.append((time.monotonic() - began) * 1e3)
        await asyncio.sleep(0.5)


async def _measure(seconds: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        async with LoadServers(SERVERS) as servers, System(Path(name) / "data") as system:
            began = time.monotonic()
            await asyncio.to_thread(system.apply, plant_yaml(servers.ports, send_all=True))
            figures = {"apply_s": time.monotonic() - began}
            paths = await tags(system, SERVERS * TAGS, 120)
            viewers = [Viewer(system.port, system.token(), scattered(paths, i)) for i in range(VIEWERS)]
            took_ms: list[float] = []
            tasks = [asyncio.create_task(v.run()) for v in viewers]
            tasks.append(asyncio.create_task(_ask(system, paths, took_ms)))
            await asyncio.sleep(min(5.0, seconds / 4))
            first, cpu, at = await _site(system), system.cpu_s(), time.monotonic()
            lags: list[float] = []
            while time.monotonic() - at < seconds:
                await asyncio.sleep(2.0)
                lags.append((await _site(system))["historian"]["lag_s"])
            last, took = await _site(system), time.monotonic() - at
            cpu = {k: (v - cpu.get(k, 0)) / took for k, v in system.cpu_s().items()}
            memory = sum(system.rss_bytes().values())
            await stop(tasks)
    half = len(lags) // 2
    recorded = (last["historian"]["rows"] - first["historian"]["rows"]) / took
    return {
        **figures,
        "recorded_samples_s": recorded,
        "recorded_ratio": recorded / (SERVERS * TAGS),
        "lag_growth_s": float(np.median(lags[half:]) - np.median(lags[:half])) if half else 0.0,
        "lag_max_s": max(lags, default=0.0),
        **{f"{name.replace('-', '_')}_cores": value for name, value in cpu.items()},
        "system_cores": sum(cpu.values()),
        "memory_gib": memory / 2**30,
        "edge_to_viewer_p50_ms": percentile_ms(viewers, 50),
        "edge_to_viewer_p99_ms": percentile_ms(viewers, 99),
        "history_p95_ms": float(np.percentile(took_ms, 95)) if took_ms else float("nan"),
    }


async def _site(system: System) -> Any:
    return await asyncio.to_thread(system.get, "site")


def run(*, quick: bool) -> dict[str, Any]:
    """Ten minutes, or a quarter of one."""
    result: dict[str, Any] = {"figures": uvloop.run(_measure(14.0 if quick else 600.0)), "budget": BUDGET}
    if quick:
        result["shortened"] = "14 s instead of 10 minutes"
    return result

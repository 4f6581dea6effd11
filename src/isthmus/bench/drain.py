"""Core is stopped while samples queue on the bus; then it starts and takes them all.

50,000 tags as the plant of the budgets has them. Frames go onto the bus as fast as it confirms them, by the edge's own
publisher, with one sample a second and tag. The drain is timed from the first answer of core (its start is a figure of its
own) to the last sample in the record.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import uvloop

from isthmus.app.core import store_config
from isthmus.app.datadir import DataDir
from isthmus.app.settings import Settings
from isthmus.app.up import core_answers
from isthmus.bench.load import TAGS, plant_yaml
from isthmus.bench.system import System, environment
from isthmus.bus.broker import BusAddress, command, configure, edge_user, find_binary, free_port, wait_ready
from isthmus.bus.client import Bus
from isthmus.bus.publisher import Publisher
from isthmus.historian.service import Historian
from isthmus.values.clock import NS_PER_S, SystemClock
from isthmus.values.frame import Lane
from isthmus.values.sample import SampleBatch

BUDGET: dict[str, tuple[str, float]] = {
    "drain_over_realtime_ratio": (">=", 5.0),
    "core_rss_max_mib": ("<=", 1536.0),
    "lost_samples": ("<=", 0.0),
    "live_current_s": ("<=", 30.0),
    "live_asked_p95_ms": ("<=", 150.0),
}
SERVERS = 50
PLANT_TAGS = SERVERS * TAGS
REAL_TIME_S = float(PLANT_TAGS)
"""Samples per second of this plant."""
QUEUED = 400_000
_LOG = logging.getLogger("bench")


@dataclass(slots=True)
class Peak:
    """The most memory a process was seen to use, in bytes."""

    rss: int = 0

    async def watch(self, pid: int) -> None:
        """Until cancelled."""
        process = psutil.Process(pid)
        while True:
            with contextlib.suppress(psutil.Error):
                self.rss = max(self.rss, int(process.memory_info().rss))
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def _running(*words: str) -> AsyncIterator[int]:
    """A process that is asked to stop at the end; its id."""
    process = await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.DEVNULL, stdout=sys.stderr, env=environment()
    )
    try:
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _tags(system: System) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Ids of the plant's tags.

    Raises: RuntimeError if they are not as many as the figures assume
    """
    known = (await asyncio.to_thread(system.get, f"tags?under=load&limit={PLANT_TAGS}"))["tags"]
    if len(known) != PLANT_TAGS:
        raise RuntimeError(f"the plant has {len(known)} tags instead of {PLANT_TAGS}")
    return np.array([t["id"] for t in known], np.int32)


async def _fill(data: DataDir, ids: np.ndarray[Any, np.dtype[np.int32]], seconds: int) -> tuple[float, np.datetime64]:
    """Put one sample a second of every tag onto the bus; how long it took, and the time of the newest."""
    bus = Bus(BusAddress.load(data.bus.address_file(edge_user("edge-1"))), _LOG)
    await bus.connect()
    publisher = Publisher(bus, "load", "edge-1", 1, SystemClock(), _LOG)
    publishing = asyncio.create_task(publisher.run())
    random = np.random.default_rng(3)
    values = random.normal(50, 10, len(ids))
    start_ns = time.time_ns() // NS_PER_S * NS_PER_S - seconds * NS_PER_S
    began = time.monotonic()
    try:
        for second in range(seconds):
            values += random.normal(0, 1, len(values))
            times = np.full(len(ids), start_ns + second * NS_PER_S, np.int64)
            publisher.offer(Lane.LIVE, [SampleBatch(ids, times, values.round(2), np.zeros(len(ids), np.uint32))])
            while publisher.queued > QUEUED:
                await asyncio.sleep(0.002)
        left = await publisher.drain(60)
        if left or publisher.dropped:
            raise RuntimeError(f"{left} samples did not reach the bus, {publisher.dropped} were dropped")
        return time.monotonic() - began, np.datetime64(start_ns + (seconds - 1) * NS_PER_S, "ns")
    finally:
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
        await bus.close()


async def _recorded(system: System, rows: int, timeout_s: float = 600) -> None:
    deadline = time.monotonic() + timeout_s
    while (await asyncio.to_thread(system.get, "site"))["historian"]["rows"] < rows:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not all of {rows} samples were recorded within {timeout_s:g} s")
        await asyncio.sleep(0.1)


@dataclass(slots=True)
class Live:
    """How live values fare while the record catches up: when they are the newest again, and how long an answer takes."""

    current_s: float = float("inf")
    asked_s: list[float] = field(default_factory=list)

    async def watch(self, system: System, newest: np.datetime64) -> None:
        """Until cancelled."""
        began = time.monotonic()
        while True:
            at = time.monotonic()
            values = (await asyncio.to_thread(system.get, "tags/values?under=load&limit=100"))["values"]
            now = time.monotonic()
            self.asked_s.append(now - at)
            times = [np.datetime64(v["time"].rstrip("Z")) for v in values if v["time"]]
            if times and min(times) >= newest and self.current_s == float("inf"):
                self.current_s = now - began
            await asyncio.sleep(0.1)


async def drain(samples: int) -> dict[str, float]:
    """The drill with that many samples, rounded down to whole seconds of the plant."""
    seconds = samples // PLANT_TAGS
    samples = seconds * PLANT_TAGS
    with tempfile.TemporaryDirectory() as name:
        data = DataDir(Path(name) / "data")
        data.prepare()
        bus_port, port = free_port(), free_port()
        configure(data.bus, bus_port, ["edge-1"], "isthmus-drain")
        system = System(data.root, port)
        core = (sys.executable, "-m", "isthmus", "core", "--data", str(data.root), "--port", str(port))
        peak, live = Peak(), Live()
        async with _running(*command(find_binary(), data.bus)):
            await wait_ready(bus_port)
            async with _running(*core):
                await core_answers(data.socket)
                await asyncio.to_thread(system.apply, plant_yaml(range(1, SERVERS + 1), send_all=True))
                ids = await _tags(system)
                system.token()
            fill_s, newest = await _fill(data, ids, seconds)
            figures = {"fill_samples_s": samples / fill_s}
            figures["bus_mib"] = sum(f.stat().st_size for f in data.bus.store.rglob("*") if f.is_file()) / 2**20
            began = time.monotonic()
            async with _running(*core) as pid:
                watching = [asyncio.create_task(peak.watch(pid))]
                try:
                    await core_answers(data.socket)
                    figures["core_answers_s"] = time.monotonic() - began
                    began = time.monotonic()
                    watching.append(asyncio.create_task(live.watch(system, newest)))
                    await _recorded(system, samples)
                    took = time.monotonic() - began
                finally:
                    for task in watching:
                        task.cancel()
                    await asyncio.gather(*watching, return_exceptions=True)
        recorded = await _count(data)
    return figures | {
        "samples": float(samples),
        "drain_s": took,
        "drain_samples_s": samples / took,
        "drain_over_realtime_ratio": samples / took / REAL_TIME_S,
        "live_current_s": live.current_s,
        "live_asked_p95_ms": float(np.percentile(live.asked_s, 95)) * 1000 if live.asked_s else float("inf"),
        "core_rss_max_mib": peak.rss / 2**20,
        "lost_samples": float(samples - recorded),
    }


async def _count(data: DataDir) -> int:
    """Samples in the record, each counted once, as a process of its own would find them."""
    historian = Historian(store_config(data, Settings()), SystemClock())
    await historian.open()
    try:
        return await historian.count()
    finally:
        await historian.close()


def run(*, quick: bool) -> dict[str, Any]:
    """30 million samples, or 2."""
    result: dict[str, Any] = {"figures": uvloop.run(drain(2_000_000 if quick else 30_000_000)), "budget": BUDGET}
    if quick:
        result["shortened"] = "2 million samples instead of 30 million"
    return result

"""From a sample's time at the edge to its alarm in the list, over the real bus: 50,000 tags, each with a limit, at 1 Hz in
bursts of a fiftieth; then 10,000 alarms within one second.

The edge is a process of its own, which stamps a sample as it makes it; frame, bus and core's side are between. The list
counts when it shows the alarm, the journal when it is stored.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import uvloop

from isthmus.alarms import store
from isthmus.alarms.service import Alarms
from isthmus.app.alarms import AlarmPump
from isthmus.app.process import settle_collector
from isthmus.app.records import open_records
from isthmus.bench.system import environment
from isthmus.bus.broker import BusAddress, LocalBroker, edge_user
from isthmus.bus.client import Bus
from isthmus.bus.publisher import Publisher
from isthmus.namespace.compiled import make_plant
from isthmus.namespace.live import LiveTable
from isthmus.namespace.model import Alarm, AlarmSpec, Plant, Tag
from isthmus.values.clock import NS_PER_S, SystemClock
from isthmus.values.frame import Lane
from isthmus.values.messages.alarms import AlarmChange
from isthmus.values.sample import SampleBatch, ValueType

BUDGET: dict[str, tuple[str, float]] = {
    "raised_p99_ms": ("<=", 30.0),
    "flood_lost": ("<=", 0.0),
    "flood_blocked_max_ms": ("<=", 50.0),
}
TAGS, BURSTS, CROSSING, FLOOD = 50_000, 50, 4, 10_000
"""Tags, bursts a second, tags of each burst that cross their limit, alarms of the flood."""


def plant(tags: int) -> Plant:
    """Tags with a high limit each."""
    spec = AlarmSpec("high", "high", "high", "{tag} too high", "bar", 8.0, 0.5)
    made = tuple(
        Tag(
            i + 1,
            f"load/m{i // 100}/t{i:05d}",
            f"load/m{i // 100}",
            f"t{i:05d}",
            "value",
            ValueType.FLOAT,
            edge="edge-1",
        )
        for i in range(tags)
    )
    alarms = tuple(Alarm(f"{t.path}#high", t.path, t.asset, "", "edge-1", spec, t.id) for t in made)
    return make_plant(
        version=1, enterprise="bench", site="s", timezone="UTC", tags=made, alarms=alarms, edges=("edge-1",)
    )


class _Listener:
    """Hears what is stored, and when."""

    name = "bench"

    def __init__(self) -> None:
        self.stored: list[tuple[AlarmChange, int]] = []

    async def after(self) -> int:
        return self.stored[-1][0].seq if self.stored else 0

    async def heard(self, changes: Sequence[AlarmChange]) -> None:
        now_ns = time.time_ns()
        self.stored += [(change, now_ns) for change in changes]


async def _blocked(found: list[tuple[float, float]]) -> None:
    """How long the loop does nothing else, again and again, in ms: by the wall, and in computing time of its thread."""
    while True:
        began, busy = time.perf_counter(), time.thread_time()
        await asyncio.sleep(0.001)
        found.append(((time.perf_counter() - began) * 1e3 - 1.0, (time.thread_time() - busy) * 1e3))


async def _measure(seconds: float, tags: int) -> dict[str, float]:
    log = logging.getLogger("bench")
    settle_collector()  # as core does
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        engine = open_records(folder / "records.db")
        store.metadata.create_all(engine)
        alarms, listener, made = Alarms(engine, SystemClock(), log), _Listener(), plant(tags)
        alarms.feed(listener)
        async with LocalBroker(folder / "bus") as broker:
            bus = Bus(broker.addresses["core"], log)
            await bus.connect()
            await bus.ensure_stream(folder)
            pump = AlarmPump(bus, alarms, lambda: made, LiveTable(), log)
            blocked: list[tuple[float, float]] = []
            tasks = [asyncio.create_task(pump.run()), asyncio.create_task(_blocked(blocked))]
            address = broker.files.address_file(edge_user("edge-1"))
            try:
                figures = await _run(pump, alarms, listener, address, seconds, tags, blocked)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await bus.close()
        engine.dispose()
    return figures


async def _edge(address: Path, seconds: float, tags: int, flood: int) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "isthmus.bench.alarms", str(address), str(seconds), str(tags), str(flood)),
        env=environment(),
    )
    if await process.wait():
        raise RuntimeError("the edge of the bench failed")


async def _until(done: Any, timeout_s: float = 60) -> None:
    async with asyncio.timeout(timeout_s):
        while not done():
            await asyncio.sleep(0.02)


async def _run(
    pump: AlarmPump,
    alarms: Alarms,
    listener: _Listener,
    address: Path,
    seconds: float,
    tags: int,
    blocked: list[tuple[float, float]],
) -> dict[str, float]:
    await _until(lambda: pump.begun)
    me = psutil.Process()
    samples, cpu = pump.reader.counts.samples, sum(me.cpu_times()[:2])
    blocked.clear()
    await _edge(address, seconds, tags, 0)
    samples, cpu = pump.reader.counts.samples - samples, sum(me.cpu_times()[:2]) - cpu
    await alarms.flush()
    entries = await alarms.journal(0, 2**62, limit=1_000_000)
    raised = [(e.heard_ns - e.change.time_ns) / 1e6 for e in entries if str(e.trigger) == "raised"]
    await _until(lambda: len(listener.stored) >= len(entries))
    stored = [(at_ns - c.time_ns) / 1e6 for c, at_ns in listener.stored if c.after == "Unacknowledged"]
    steady = [wall_ms for wall_ms, _ in blocked]
    blocked.clear()
    before = alarms.counts().states
    flood = min(FLOOD, tags)
    await _edge(address, 1.0, tags, flood)
    await _until(lambda: sum(alarms.counts().states.values()) >= flood)
    blocks = list(blocked)
    began = time.perf_counter()
    alarms.rows()
    rows_ms = (time.perf_counter() - began) * 1e3
    await alarms.flush()
    await asyncio.sleep(0.2)
    told = {
        e.change.alarm for e in await alarms.journal(0, 2**62, limit=1_000_000) if e.change.after == "Unacknowledged"
    }
    return {
        "tags": float(tags),
        "samples_s": samples / seconds,
        "alarms": float(len(raised)),
        "raised_p50_ms": float(np.percentile(raised, 50)),
        "raised_p99_ms": float(np.percentile(raised, 99)),
        "raised_max_ms": max(raised),
        "stored_p50_ms": float(np.percentile(stored, 50)),
        "stored_p99_ms": float(np.percentile(stored, 99)),
        "cpu_us_per_sample": cpu / max(samples, 1) * 1e6,
        "core_cores": cpu / seconds,
        "blocked_p99_ms": float(np.percentile(steady, 99)),
        "flood_alarms": float(flood),
        "flood_lost": float(len(_flooded(flood) - told)),
        "flood_blocked_max_ms": max((wall_ms for wall_ms, _ in blocks), default=0.0),
        "flood_busy_max_ms": max((busy_ms for _, busy_ms in blocks), default=0.0),
        "flood_rows_ms": rows_ms,
        "standing_before_flood": float(sum(before.values())),
    }


def _flooded(flood: int) -> frozenset[str]:
    """Keys of the alarms that the flood raises: those of the first tags."""
    return frozenset(f"load/m{i // 100}/t{i:05d}#high" for i in range(flood))


# --- the edge, in a process of its own ------------------------------------------------------------------------------------


async def _make(address: Path, seconds: float, tags: int, flood: int) -> None:
    """Bursts of tags; a few of each cross their limit, or as many as the flood asks for."""
    log = logging.getLogger("bench-edge")
    bus = Bus(BusAddress.load(address), log)
    await bus.connect()
    publisher = Publisher(bus, "s", "edge-1", time.time_ns() // NS_PER_S, SystemClock(), log)
    publishing = asyncio.create_task(publisher.run())
    random = np.random.default_rng(1)
    ids = np.arange(1, tags + 1, dtype=np.int32)
    values = np.full(tags, 5.0)
    size = tags // BURSTS
    bursts = round(seconds * BURSTS)
    began = time.monotonic()
    for n in range(bursts):
        part = slice((n % BURSTS) * size, (n % BURSTS + 1) * size)
        mine = values[part]
        mine[:] = 5.0 + random.random(size)
        if flood:
            values[n * flood // bursts : (n + 1) * flood // bursts] = 9.0
            touched = np.union1d(
                np.arange(part.start, part.stop), np.arange(n * flood // bursts, (n + 1) * flood // bursts)
            )
        else:
            mine[random.integers(0, size, CROSSING)] = 9.0
            touched = np.arange(part.start, part.stop)
        now = np.full(len(touched), time.time_ns())
        publisher.offer(Lane.LIVE, [SampleBatch(ids[touched], now, values[touched], np.zeros(len(touched), np.uint32))])
        await asyncio.sleep(max(0.0, began + (n + 1) / BURSTS - time.monotonic()))
    await publisher.drain(30)
    publishing.cancel()
    await asyncio.gather(publishing, return_exceptions=True)
    await bus.close()


def run(*, quick: bool) -> dict[str, Any]:
    """Ages of alarms, and what a flood does."""
    result: dict[str, Any] = {"figures": uvloop.run(_measure(8.0 if quick else 60.0, TAGS)), "budget": BUDGET}
    if quick:
        result["shortened"] = "8 s instead of 60 s"
    return result


if __name__ == "__main__":
    uvloop.run(_make(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))

"""Production over 100 machines and a year of states: the whole recomputation, any page, and the update of one more day.

Samples are made once for four machines and lent to all others; what is measured is from samples in memory to facts on disk,
and from a question to its figures. How fast the record hands samples over is measured beside it, over a part of them; and how
soon a stop is on the floor's page, through a whole system (`isthmus.bench.floor`).
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
import uvloop

from isthmus.app.migrate import migrate
from isthmus.app.production import SampleRecord
from isthmus.app.records import open_records
from isthmus.bench import floor
from isthmus.historian.service import Historian
from isthmus.historian.store import StoreConfig
from isthmus.namespace.compiled import make_plant
from isthmus.namespace.model import Calendar, Machine, Plant, ProductionLine, Reason, Shift, Tag
from isthmus.ports.frames import Arrived
from isthmus.ports.history import Gap
from isthmus.production.calendar import Calendars
from isthmus.production.planner import CalendarPlanner
from isthmus.production.service import Production
from isthmus.production.states import Series
from isthmus.values.clock import NS_PER_S, ManualClock
from isthmus.values.frame import Frame, Lane
from isthmus.values.sample import SampleBatch, ValueType

BUDGET: dict[str, tuple[str, float]] = {
    "intervals_per_s": (">=", 1_000_000.0),
    "page_p95_ms": ("<=", 300.0),
    "stop_seen_ms": ("<=", 1_000.0),
    "stop_on_floor_p99_ms": ("<=", 1_000.0),
    "day_late_over_early": ("<=", 1.5),
}
MACHINES: Final = 100
LINES: Final = 10
STATES_A_DAY: Final = 288
COUNTS_A_DAY: Final = 288
DAY_NS: Final = 86_400 * NS_PER_S
FIRST: Final = 1_735_689_600 * NS_PER_S  # 2025-01-01
CLASSES: Final = {1: "running", 2: "stopped", 3: "idle", 4: "starved", 5: "blocked"}


def plant(machines: int) -> Plant:
    """Lines of machines with three shifts, a break in each, and Sundays off."""
    tags, counted = [], []
    per_line = max(1, machines // LINES)
    for n in range(machines):
        asset = f"hall/line{n // per_line:02d}/m{n % per_line:02d}"
        ids = [3 * n + i + 1 for i in range(3)]
        tags += [
            Tag(i, f"{asset}/{name}", asset, name, "value", ValueType.INT, edge="edge-1")
            for i, name in zip(ids, ("state", "good", "reject"), strict=True)
        ]
        counted.append(
            Machine(
                asset, f"hall/line{n // per_line:02d}", n % per_line, ids[0], CLASSES, good=ids[1], reject=ids[2],
                ideal_count=2, ideal_per_ns=NS_PER_S, cost_per_min=10.0 + n % 7,
            )
        )  # fmt: skip
    lines = sorted({m.line for m in counted})
    shifts = tuple(
        Shift(
            name,
            tuple(range(6)),
            480 * i + 360,
            480 * i + 840,
            ((480 * i + 600, 480 * i + 615, "break"),),
            ("A", "B", "C"),
        )
        for i, name in enumerate(("early", "late", "night"))
    )
    return make_plant(
        version=1, enterprise="bench", site="s", timezone="Europe/Paris", tags=tuple(sorted(tags, key=lambda t: t.path)),
        edges=("edge-1",), machines=tuple(counted),
        lines=tuple(ProductionLine(path, tuple(m.asset for m in counted if m.line == path)) for path in lines),
        calendars=(Calendar("", shifts, day_start_min=360),),
        reasons=(Reason("mechanical/jam", "mechanical", "jam", "Jam", loss="breakdown"),), currency="EUR",
    )  # fmt: skip


def samples(days: int, seed: int) -> tuple[Series, Series, Series]:
    """A machine's life: it runs, and something else, in turn; counters every five minutes."""
    random = np.random.default_rng(seed)
    n = STATES_A_DAY * days
    lengths = random.exponential(86_400_000 / STATES_A_DAY, n).astype(np.int64) + 1
    at = FIRST + np.cumsum(lengths * days * 86_400_000 // int(lengths.sum())) * 1_000_000
    state = np.where(np.arange(n) % 2 == 0, 1, random.integers(2, 6, n)).astype(np.int64)
    fresh = np.r_[True, at[1:] > at[:-1]]
    clock = FIRST + np.arange(COUNTS_A_DAY * days, dtype=np.int64) * (DAY_NS // COUNTS_A_DAY)
    good = np.cumsum(random.integers(0, 500, len(clock)))
    reject = np.cumsum(random.integers(0, 12, len(clock)))
    none = np.zeros(len(clock), np.uint32)
    states = Series(at[fresh], state[fresh], np.zeros(int(fresh.sum()), np.uint32))
    return states, Series(clock, good, none), Series(clock, reject, none)


class _Lent:
    """A record in memory: every machine has the samples of one of four."""

    def __init__(self, made: Sequence[tuple[Series, Series, Series]]) -> None:
        self._made = made

    def of(self, tag: int) -> Series:
        """Samples of a tag."""
        machine, which = divmod(tag - 1, 3)
        return self._made[machine % len(self._made)][which]

    async def samples(self, tags: Sequence[int], start_ns: int, end_ns: int) -> Mapping[int, Series]:
        return {tag: self.of(tag).between(start_ns - 1, end_ns) for tag in tags}

    async def gaps(self, edges: Sequence[str], start_ns: int, end_ns: int) -> Sequence[Gap]:
        return ()

    async def oldest(self, tags: Sequence[int]) -> int | None:
        return min(int(self.of(tag).time_ns[0]) for tag in tags)

    def committed(self) -> int:
        return 1 << 40


async def _measure(machines: int, days: int) -> dict[str, float]:
    log = logging.getLogger("bench")
    made = plant(machines)
    calendars = Calendars(made)
    lent = _Lent([samples(days + 3, seed) for seed in range(4)])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        engine = open_records(folder / "records.db")
        migrate(engine, folder / "records.db", log)
        clock = ManualClock(FIRST + DAY_NS)
        room = Production(engine, clock, lent, lambda: made, CalendarPlanner(lambda: calendars), log)
        await room.begin()
        before = psutil.Process().memory_info().rss
        early = await _days(room, clock, FIRST + DAY_NS, 2)
        clock.set_wall(FIRST + days * DAY_NS + 8 * 3600 * NS_PER_S)
        room = Production(engine, clock, lent, lambda: made, CalendarPlanner(lambda: calendars), log)
        await room.begin()
        figures = await _recompute(room, machines, days)
        late = await _days(room, clock, FIRST + days * DAY_NS, 2)
        figures |= {"day_ms_a_machine": late / machines * 1e3, "day_late_over_early": late / max(early, 1e-9)}
        figures |= await _pages(room, clock, made, days)
        figures["stop_seen_ms"] = await _stop_seen(room, clock)
        figures["rss_growth_mb"] = (psutil.Process().memory_info().rss - before) / 2**20
        figures["records_mb"] = (folder / "records.db").stat().st_size / 2**20
        engine.dispose()
    return figures


async def _days(room: Production, clock: ManualClock, start_ns: int, count: int) -> float:
    """Seconds of computing that closing one more day of all machines takes, the better one of some."""
    found = []
    for n in range(count):
        clock.set_wall(start_ns + (n + 1) * DAY_NS + 7 * 3600 * NS_PER_S)
        began = time.process_time()
        for _ in range(3):
            await room.tick()
        found.append(time.process_time() - began)
    return min(found)


async def _recompute(room: Production, machines: int, days: int) -> dict[str, float]:
    began, cpu = time.perf_counter(), time.process_time()
    asked = await room.recompute("", FIRST, FIRST + days * DAY_NS)
    while room.waiting():
        await room.tick()
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    intervals = await room.intervals_kept()
    return {
        "machines": float(machines),
        "days": float(days),
        "machine_days": float(asked),
        "intervals": float(intervals),
        "recompute_s": took,
        "recompute_cpu_s": cpu,
        "intervals_per_s": intervals / took,
    }


async def _pages(room: Production, clock: ManualClock, made: Plant, days: int) -> dict[str, float]:
    end = clock.now_ns()
    year, month, week, day = (end - n * DAY_NS for n in (days, 30, 7, 1))
    line, machine = made.lines[0].path, made.machines[0].asset
    questions: list[tuple[str, int, tuple[str, ...]]] = [
        ("", year, ()),
        ("", year, ("machine",)),
        ("", year, ("line",)),
        ("", year, ("shift",)),
        ("", year, ("reason",)),
        ("", year, ("loss",)),
        ("", year, ("team", "shift")),
        ("", month, ("day",)),
        ("", week, ("machine", "shift")),
        ("", day, ("hour",)),
        (line, year, ("day",)),
        (line, day, ("machine",)),
        (machine, year, ("day",)),
        (machine, day, ("class",)),
    ]
    cold: list[float] = []
    warm: list[float] = []
    for again in range(8):
        for under, start_ns, by in questions:
            began = time.perf_counter()
            await room.figures(under, start_ns, end, by)
            (warm if again else cold).append((time.perf_counter() - began) * 1e3)
    return {
        "page_p50_ms": float(np.percentile(warm, 50)),
        "page_p95_ms": float(np.percentile(warm, 95)),
        "page_max_ms": max(warm),
        "page_first_ms": cold[0],
    }


async def _stop_seen(room: Production, clock: ManualClock) -> float:
    """From a frame with a stop to the machine shown as stopped, among all of them and in core alone, in ms."""
    worst = 0.0
    for n in range(20):
        at = np.array([clock.now_ns() + 1_000_000 * (n + 1)], np.int64)
        batch = SampleBatch(np.array([1], np.int32), at, np.array([1 + n % 2], np.int64), np.zeros(1, np.uint32))
        began = time.perf_counter()
        version = room.version
        room.take([Arrived("edge-1", Frame(Lane.LIVE, 1, n + 1, int(at[0]), 1, (batch,)), n + 1)])
        await room.wait(version, 5)
        room.machines()
        worst = max(worst, (time.perf_counter() - began) * 1e3)
    return worst


async def _read(days: int) -> dict[str, float]:
    """How fast the record hands over samples: those of some machines, written and read back as production reads them."""
    with tempfile.TemporaryDirectory() as name:
        historian = Historian(StoreConfig(path=Path(name) / "history"), ManualClock(FIRST + (days + 5) * DAY_NS))
        await historian.open()
        try:
            made = plant(4)
            await historian.describe(made.tags)
            rows = 0
            for n in range(4):
                for which, some in enumerate(samples(days, n)):
                    ids = np.full(len(some), 3 * n + which + 1, np.int32)
                    batch = SampleBatch(ids, some.time_ns, some.value, some.status)
                    frame = Frame(Lane.BACKFILL, 1, 3 * n + which + 1, FIRST, 1, (batch,))
                    await historian.take([Arrived("edge-1", frame, 3 * n + which + 1)])
                    rows += len(some)
            record = SampleRecord(historian, lambda: 0)
            began = time.perf_counter()
            for n in range(4):
                await record.samples([3 * n + 1, 3 * n + 2, 3 * n + 3], FIRST, FIRST + days * DAY_NS)
            return {"record_rows_per_s": rows / (time.perf_counter() - began)}
        finally:
            await historian.close()


def run(*, quick: bool) -> dict[str, Any]:
    """Recomputation, pages, one more day, and how soon a stop is seen."""
    days = 36 if quick else 365
    figures = uvloop.run(_measure(MACHINES, days)) | uvloop.run(_read(days))
    figures |= uvloop.run(floor.measure(20 if quick else 200))
    result: dict[str, Any] = {"figures": figures, "budget": BUDGET}
    if quick:
        result["shortened"] = "36 d instead of 365 d, 20 stops on the floor instead of 200"
    return result

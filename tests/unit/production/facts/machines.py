"""What tests of facts share: a calendar of three shifts with a break, samples by hand, and a record in memory."""

from __future__ import annotations

import logging

import numpy as np

from isthmus.namespace.compiled import make_plant
from isthmus.namespace.model import Machine, Reason, Tag
from isthmus.ports.frames import Arrived
from isthmus.production import store
from isthmus.production.facts import Names, by_day
from isthmus.production.fold import BREAK, NO_SHIFT, WORK, Carry, Ground, Segments, fold
from isthmus.production.model import CLASSES
from isthmus.production.service import Production
from isthmus.production.states import NOTHING, Series, join, tidy
from isthmus.values.clock import ManualClock
from isthmus.values.frame import Frame, Lane
from isthmus.values.sample import SampleBatch, ValueType

S = 1_000_000_000
MIN, H, D = 60 * S, 3600 * S, 86_400 * S
DAY0 = 739_001
T0 = (DAY0 - 719_163) * D  # midnight of that day

STATES = {1: "running", 2: "stopped", 3: "idle", 4: "starved", 5: "blocked", 6: "setup"}
FILLER = Machine(
    "line/filler", line="line", state=1, classes=STATES, micro_stop_s=120, good=2, reject=3, ideal_count=2, ideal_per_ns=S,
    cost_per_min=10.0,
)  # fmt: skip
REASONS = (
    Reason("mechanical/jam", "mechanical", "jam", "Jam", loss="breakdown"),
    Reason("planned/clean", "planned", "clean", "Cleaning", planned=True),
    Reason("scrap/dent", "scrap", "dent", "Dent", kind="scrap"),
)


class Shifts:
    """Days from midnight UTC, shifts of eight hours, ten minutes of break four hours into each; nothing on every seventh day."""

    def segments(self, asset, start_ns, end_ns):
        rows = []
        for day in range(start_ns // D, (end_ns - 1) // D + 1):
            for n, name in enumerate(("early", "late", "night")):
                begin = day * D + n * 8 * H
                free = day % 7 == 6
                for a, b, kind in ((0, 240, WORK), (240, 250, BREAK), (250, 480, WORK)):
                    told = NO_SHIFT if free else kind
                    rows.append(
                        (begin + a * MIN, begin + b * MIN, day, told, "" if free else name, "" if free else "ABC"[n])
                    )
        rows = [(max(a, start_ns), *rest) for a, b, *rest in rows if b > start_ns and a < end_ns]
        return Segments(
            np.array([r[0] for r in rows], np.int64), end_ns, np.array([r[1] + 719_163 for r in rows], np.int32),
            np.array([r[2] for r in rows], np.uint8), tuple(r[3] for r in rows), tuple(r[4] for r in rows),
        )  # fmt: skip

    def day_span(self, asset, day):
        return (day - 719_163) * D, (day - 719_162) * D

    def day_of(self, asset, time_ns):
        return time_ns // D + 719_163


class Always:
    """Meant to run at any time."""

    def segments(self, asset, start_ns, end_ns):
        begins = np.unique(np.r_[start_ns, np.arange(start_ns // D * D + D, end_ns, D)])
        n = len(begins)
        day = (begins // D + 719_163).astype(np.int32)
        return Segments(begins, end_ns, day, np.zeros(n, np.uint8), ("",) * n, ("",) * n)

    day_span = Shifts.day_span
    day_of = Shifts.day_of


def series(*samples):
    """Samples as (seconds after T0, value) or (seconds, value, status)."""
    rows = [(T0 + round(t * S), v, *(rest or (0,))) for t, v, *rest in samples]
    values = [r[1] for r in rows]
    kind = (
        object
        if any(isinstance(v, str) for v in values)
        else float
        if any(isinstance(v, float) for v in values)
        else int
    )
    return tidy(
        np.array([r[0] for r in rows], np.int64), np.array(values, kind), np.array([r[2] for r in rows], np.uint32)
    )


def folded(
    machine, samples, hours=24.0, *, start=0.0, planner=None, names=None, carry=None, known=None, entries=(), gaps=()
):
    """A fold over so many hours, all of it known."""
    a, b = T0 + round(start * H), T0 + round((start + hours) * H)
    planned = frozenset(r.key for r in REASONS if r.planned)
    ground = Ground(machine, list(entries), list(gaps), planned)
    known_ns = known or b + 10 * MIN
    segments = (planner or Always()).segments(machine.asset, a, b)
    return fold(ground, segments, samples, carry or Carry(), Names() if names is None else names, known_ns)


def times(result):
    """Seconds by class."""
    rows = result.rows
    return {str(CLASSES[c]): int(rows["ns"][rows["klass"] == c].sum()) / S for c in np.unique(rows["klass"]).tolist()}


def count_of(result, name):
    """Pieces."""
    return int(result.rows[name].sum()) / 1e6


def day(seed=1, *, days=1, every_s=300.0, counts_s=60.0):
    """Some days of a machine by chance, as samples by tag."""
    rng = np.random.default_rng(seed)
    n = max(2, round(days * 86_400 / every_s))
    at = T0 + np.sort(rng.integers(0, days * 86_400_000, n)) * 1_000_000
    states = Series(at, rng.integers(1, 7, n), np.where(rng.random(n) < 0.02, 0x80000000, 0).astype(np.uint32))
    clock = (
        T0
        + (np.arange(round(days * 86_400 / counts_s)) * counts_s * S).astype(np.int64)
        + rng.integers(0, 50) * S // 10
    )
    good = np.cumsum(rng.integers(0, round(2 * counts_s), len(clock)))
    good = np.where(np.arange(len(good)) > len(good) // 3, good - good[len(good) // 3], good)  # a reset
    none = np.zeros(len(clock), np.uint32)
    return {
        1: tidy(states.time_ns, states.value, states.status),
        2: Series(clock, good, none),
        3: Series(clock, np.cumsum(rng.integers(0, 3, len(clock))), none),
    }


def shifted(some, by_ns):
    """Samples at other times."""
    return Series(some.time_ns + by_ns, some.value, some.status)


def plant(*machines, lines=(), **rest):
    """A plant of machines; their tags are numbers."""
    ids = sorted(
        {
            t
            for m in machines
            for t in (m.state, m.good, m.reject, m.total, m.rework, m.pulse, m.product, *m.inputs.values(), *m.energy)
            if t
        }
    )
    tags = tuple(Tag(i, f"tags/t{i}", "tags", f"t{i}", "value", ValueType.INT, edge="edge-1") for i in ids)
    return make_plant(
        version=1, enterprise="acme", site="s", timezone="UTC", tags=tags, edges=("edge-1",), machines=tuple(machines),
        lines=tuple(lines), reasons=REASONS, currency="EUR", **rest,
    )  # fmt: skip


class MemoryRecord:
    """A record in memory; what comes last for a time wins, as there."""

    def __init__(self):
        self.kept = {}
        self.seq = 0
        self.marks = []
        self.asked = 0

    def store(self, tag, more):
        self.kept[tag] = join([self.kept.get(tag, NOTHING), more])

    async def samples(self, tags, start_ns, end_ns):
        self.asked += 1
        return {t: self.kept[t].between(start_ns - 1, end_ns) for t in tags if t in self.kept}

    async def gaps(self, edges, start_ns, end_ns):
        return [g for g in self.marks if g.edge in edges and g.start_ns < end_ns and g.end_ns > start_ns]

    async def oldest(self, tags):
        return min((int(self.kept[t].time_ns[0]) for t in tags if len(self.kept.get(t, NOTHING))), default=None)

    def committed(self):
        return self.seq


class Room:
    """The service over a record in memory, with time that moves when it is told to."""

    def __init__(self, engine, made, planner=None, now_ns=T0, record=None):
        store.metadata.create_all(engine)
        self.clock = ManualClock(now_ns)
        self.record = record or MemoryRecord()
        self.plant = made
        self.silent = {}
        self.room = Production(
            engine, self.clock, self.record, lambda: self.plant, planner or Shifts(), logging.getLogger("test"),
            heard=self.silent.get,
        )  # fmt: skip

    def now(self, ns):
        self.clock.advance((ns - self.clock.now_ns()) / S)

    def send(self, samples, *, recorded=True, lane=Lane.LIVE):
        """Samples by tag, as one frame."""
        self.record.seq += 1
        batches = []
        for tag, some in samples.items():
            if not len(some):
                continue
            ids = np.full(len(some), tag, np.int32)
            batches.append(SampleBatch(ids, some.time_ns, some.value.astype(np.int64), some.status))
            if recorded:
                self.record.store(tag, some)
        frame = Frame(
            lane=lane,
            epoch=1,
            seq=self.record.seq,
            model_version=1,
            sealed_ns=self.clock.now_ns(),
            batches=tuple(batches),
        )
        self.room.take([Arrived("edge-1", frame, self.record.seq)])

    async def settle(self, times=4):
        """Let it do what is due."""
        for _ in range(times):
            await self.room.tick()


def rows_of(result, machine=1):
    """Facts of a fold by day, with words for codes: what must not depend on the way they were computed."""
    return by_day(result.rows, machine)

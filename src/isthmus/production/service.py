"""The room production: hears samples, keeps facts, and answers what machines do, did and made.

The day that runs is in memory (`LiveMachine`); a closed day is computed from the record and kept (`ProductionStore`). Both
come from the same fold. What arrives late, or is said later, makes days dirty: they are computed again, and what differs is
told (`Restatement`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from isthmus.namespace.model import EMPTY, Machine, Plant, ProductionLine
from isthmus.ports.frames import Arrived
from isthmus.ports.history import Gap
from isthmus.production.blocks import Blocks
from isthmus.production.days import DayFacts, differences, iso_day
from isthmus.production.facts import AMOUNTS, BY, FACT, Names, Table, Words, cost_u, order_of, sums, unpack
from isthmus.production.figures import Figures, add, figures
from isthmus.production.fold import Carry, Folded, Ground, Planner, Segments, effective, fold
from isthmus.production.fold import intervals as told_intervals
from isthmus.production.fold import stops as told_stops
from isthmus.production.folding import WORTH_DAYS, Folders, Work
from isthmus.production.lineage import questions
from isthmus.production.live import GRACE_NS, LiveMachine
from isthmus.production.model import (
    CLASSES,
    CODE,
    HOUR_NS,
    Entry,
    EntryKind,
    FactSum,
    Interval,
    Lineage,
    MachineNow,
    Mark,
    Restatement,
    StateClass,
    Stop,
    pieces,
    stop_id,
)
from isthmus.production.replay import Difference, Replayed, intervals_differ, of_range, rows_differ, stops_differ
from isthmus.production.states import NO_STATE, Series, Span, tidy
from isthmus.production.store import Kept, ProductionStore
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError, TryLater
from isthmus.values.frame import Lane
from isthmus.values.ids import is_under
from isthmus.values.sample import SampleBatch, ValueType

DAY_NS: Final = 86_400 * NS_PER_S
WARM_UP_NS: Final = 26 * HOUR_NS
"""An unchanged value is sent again at least once a day: so far back there is one, where no computed day hands one on."""
CLOSE_AFTER_NS: Final = 180 * NS_PER_S
"""A day is computed so long after its end, so that what is a little late is in it."""
OPEN_DAYS: Final = 2
"""Days that may be over and not computed yet before they are computed together."""
TICK_S: Final = 0.5
COUNTED_AT_ONCE: Final = 20
"""Machines whose counts are told anew with each question."""
COUNTS_S: Final = 1.0
"""Counts alone are news at most so often."""
CHUNK_DAYS: Final = (16, 192)
"""Days of a machine that are computed in one go: at first, when nobody knows how many samples it has, and at most."""
CHUNK_ROWS: Final = 1_000_000
MACHINES_AT_ONCE: Final = 2
"""Machines whose days are computed at the same time."""
MAX_DAYS_OF_INTERVALS: Final = 31
MAX_DAYS_BY_HOUR: Final = 62
MAX_INTERVALS: Final = 5_000
ROWS_AT_ONCE: Final = 400_000
"""Rows of facts that are added up in one go."""
BEGIN_AT_ONCE: Final = 20
"""Machines whose open spans are read with one question."""
RETRY_S: Final = 5.0
MAX_REPLAYED_DAYS: Final = 400
"""Days of machines that are computed again to answer one question."""
REPLAY_TRIES: Final = 4
RECORD_S: Final = 20.0
"""So long a replay waits for the record."""
PLAN_BACK_DAYS: Final = 62
"""How far back an exception of a calendar is looked for in computed days."""


class Record(Protocol):
    """The record of samples, as this room needs it."""

    async def samples(self, tags: Sequence[int], start_ns: int, end_ns: int) -> Mapping[int, Series]:
        """Every sample with start <= time <= end, by tag."""
        ...

    async def gaps(self, edges: Sequence[str], start_ns: int, end_ns: int) -> Sequence[Gap]:
        """Gap marks overlapping the range."""
        ...

    async def oldest(self, tags: Sequence[int]) -> int | None:
        """Time of the oldest sample of any of them; None if there is none."""
        ...

    def committed(self) -> int:
        """Number of the newest frame of the bus that is in the record."""
        ...


@dataclass(frozen=True, slots=True)
class _Closed:
    """Closed days as they are kept, and as they come out of raw samples. Rows as FACT, by quarter of an hour"""

    days: int
    kept: NDArray[np.void]
    computed: NDArray[np.void]
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class _Job:
    """Days of a machine that are to be computed, in a row."""

    live: LiveMachine
    first: int
    last: int
    why: str


_Touched = tuple[LiveMachine, int, int]
"""A machine with a range that something was said of. Units: UTC ns"""


class Production:
    """Facts of all machines. Everything but `machines` and `take` is a coroutine; work goes to threads."""

    name = "production"

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        record: Record,
        plant: Callable[[], Plant],
        planner: Planner,
        log: logging.Logger,
        *,
        heard: Callable[[str], int | None] = lambda _: None,
        helps: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """``heard`` tells up to when an edge is heard, None for now; ``helps`` whether a call for help is open at a machine."""
        self._store, self._clock, self._record, self._planner, self._log = (
            ProductionStore(engine), clock, record, planner, log,
        )  # fmt: skip
        self._plant_now, self._heard, self.helps = plant, heard, helps
        self._plant = EMPTY
        self._names = Names()
        self._folders: Folders | None = None  # while many days are computed again
        self._blocks = Blocks(self._store, self._names)
        self._machines: dict[str, LiveMachine] = {}
        self._by_tag: dict[int, list[LiveMachine]] = {}
        self._wanted = np.zeros(1, np.bool_)
        self._entries: dict[str, list[Entry]] = {}
        self._dirty: dict[tuple[int, int], str] = {}
        self._dirty_at: dict[tuple[int, int], int] = {}  # frames that must be in the record first
        self._mark_number = 0
        self._marked: dict[
            tuple[int, int], int
        ] = {}  # the last mark of a day: what comes while it is computed is another
        self._unsaved: dict[tuple[int, int], str] = {}
        self._seen_late: dict[tuple[int, int], None] = {}
        self._newest_seq = 0
        self._taken: deque[tuple[int, int]] = deque(maxlen=20_000)  # number of a frame, and when it was here
        self._recorded_ns = 0
        self._now: dict[str, tuple[int, MachineNow]] = {}
        self._silent: frozenset[str] = frozenset()
        self._computing: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)  # by code of machine
        self._writing = threading.Lock()
        self._replaying = asyncio.Lock()
        self._pending = asyncio.Event()
        self._news = asyncio.Event()
        self._counted = False
        self._counts_at = 0.0
        self.version = 1
        self.loaded = False
        self.problem = ""

    # --- life ------------------------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Take up what is kept. May be called again after a failure."""
        if not self.loaded:
            names, entries, self._dirty = await asyncio.to_thread(
                lambda: (self._store.names(), self._store.entries(), self._store.dirty())
            )
            self._names.load(names)
            for entry in entries:
                self._entries.setdefault(entry.asset, []).append(entry)
            self.loaded = True
        await self.plant_changed()

    async def run(self) -> None:
        """Until cancelled: settles, closes days, computes again what is dirty."""
        while True:
            try:
                await self.tick()
                self._tell(healed=True)
            except Exception as error:
                if not self.problem:
                    self._log.warning("production waits: %s", error, exc_info=True)
                self.problem = str(error) or type(error).__name__
                await asyncio.sleep(RETRY_S)
            self._pending.clear()
            try:
                async with asyncio.timeout(TICK_S):
                    await self._pending.wait()
            except TimeoutError:
                pass

    def _tell(self, *, healed: bool) -> None:
        if healed and self.problem:
            self._log.info("production goes on")
            self.problem = ""

    async def tick(self) -> None:
        """One look at what is due."""
        now_ns = self._clock.now_ns()
        silent = frozenset(e for live in self._machines.values() for e in live.edges if self._heard(e) is not None)
        if silent != self._silent:
            self._silent = silent
            for live in self._machines.values():
                live.touch(state=True)
            self._say()
        if self._counted and self._clock.monotonic_ns() / NS_PER_S - self._counts_at >= COUNTS_S:
            self._say()
        self._look_at_record(now_ns)
        await self._save_dirty()
        await self._begin_machines()
        for live in list(self._machines.values()):
            if not live.begun or 0 <= live.reload_at <= self._record.committed():
                await self._reload(live)
            elif live.due(now_ns):
                live.settle(self._settled_until(live))
                await asyncio.sleep(0)
        await self._close_days(now_ns)
        if self._dirty:
            await self._compute_dirty()

    def _look_at_record(self, now_ns: int) -> None:
        """Up to when everything that came is in the record."""
        committed = self._record.committed()
        self._taken.append((self._newest_seq, now_ns))
        while self._taken and self._taken[0][0] <= committed:
            self._recorded_ns = self._taken.popleft()[1]

    def _settled_until(self, live: LiveMachine) -> int:
        """What is older may be folded for good: it is here, it is in the record, and its edge was heard."""
        return min(self._clock.now_ns(), self._recorded_ns, self._heard_of(live)) - GRACE_NS

    def news(self) -> None:
        """Something that is shown with machines changed elsewhere, such as a call for help."""
        self._say()

    def _say(self) -> None:
        """Something is new."""
        self._counted = False
        self._counts_at = self._clock.monotonic_ns() / NS_PER_S
        self.version += 1
        self._news.set()
        self._news = asyncio.Event()

    async def wait(self, version: int, timeout_s: float) -> int:
        """The version as soon as it is another one, or when the time is up."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.version == version:
                    await self._news.wait()
        except TimeoutError:
            pass
        return self.version

    async def plant_changed(self) -> None:
        """Judge by the plant as it is now. Closed days stay as they are until somebody asks for them again."""
        plant = self._plant_now()
        planned = frozenset(r.key for r in plant.reasons if r.planned)
        known = self._machines
        found: dict[str, LiveMachine] = {}
        newest = await asyncio.to_thread(self._store.newest)
        changed = plant.calendars != self._plant.calendars or plant.timezone != self._plant.timezone
        for machine in plant.machines:
            live = known.get(machine.asset)
            edges = frozenset(
                t.edge for i in (machine.state, *machine.inputs.values(), machine.pulse) if (t := plant.by_id.get(i))
            )
            same = live is not None and live.machine == machine and live.edges == edges and live.planned == planned
            if live is None or not same or changed:
                live = LiveMachine(
                    machine, self._names.code("machine", machine.asset), edges, self._names, self._planner
                )
                live.entries = effective(self._entries.get(machine.asset, ()))
                live.planned = planned
                live.open_ns = self._opens(live, newest.get(live.code))
                live.water_ns = live.open_ns
                if live.code not in newest:
                    await self._first_days(live)
            found[machine.asset] = live
        self._plant, self._machines, self._now = plant, found, {}
        self._by_tag = {}
        for live in found.values():
            for tag in live.tags:
                self._by_tag.setdefault(tag, []).append(live)
        self._wanted = np.zeros(max(self._by_tag, default=0) + 1, np.bool_)
        self._wanted[list(self._by_tag)] = True
        self._say()
        self._pending.set()

    def _opens(self, live: LiveMachine, newest: tuple[int, int] | None) -> int:
        """Where the open span of a machine begins; closed days that are missing before it become dirty."""
        asset, now_ns = live.machine.asset, self._clock.now_ns()
        today = self._planner.day_of(asset, now_ns)
        start_ns = self._planner.day_span(asset, today)[0]
        if newest is None:
            return start_ns
        day, end_ns = newest
        if day >= today:
            return max(start_ns, end_ns)
        if day >= today - 2 and end_ns == self._planner.day_span(asset, day)[1]:
            return end_ns
        for missing in range(day + 1, today):
            self._mark(live, missing, "core did not run")
        return start_ns

    async def _first_days(self, live: LiveMachine) -> None:
        """A machine that was never counted: whatever the record has of it is."""
        oldest = await self._record.oldest(live.state_tags) if live.state_tags else None
        if oldest is None or oldest >= live.open_ns:
            return
        asset = live.machine.asset
        for day in range(self._planner.day_of(asset, oldest), self._planner.day_of(asset, live.open_ns)):
            self._mark(live, day, "counted for the first time")

    # --- what arrives ----------------------------------------------------------------------------------------------

    def take(self, arrived: Sequence[Arrived]) -> None:
        """Frames from the bus, any lane. Repeating is harmless."""
        for one in arrived:
            self._newest_seq = max(self._newest_seq, one.stream_seq)
            for batch in one.frame.batches:
                self._take(batch, one.stream_seq, slow=one.frame.lane is Lane.BACKFILL)

    def _take(self, batch: SampleBatch, seq: int, *, slow: bool) -> None:
        ids = batch.id
        inside = (ids >= 0) & (ids < len(self._wanted))
        own = np.flatnonzero(inside & self._wanted[np.where(inside, ids, 0)])
        if not len(own):
            return
        order = own[np.lexsort((batch.time_ns[own], ids[own]))]
        of = ids[order]
        first = np.flatnonzero(np.r_[True, of[1:] != of[:-1]])
        value = batch.value[order]
        if batch.type is ValueType.TEXT:
            value = np.array([*batch.text, ""], object)[value.astype(np.intp)]
        moved = False
        for a, b in zip(first.tolist(), [*first[1:].tolist(), len(of)], strict=True):
            tag = int(of[a])
            series = tidy(batch.time_ns[order[a:b]], value[a:b], batch.status[order[a:b]])
            for live in self._by_tag[tag]:
                self._late(live, tag, live.hear(tag, series), seq)
                moved = moved or tag in live.state_tags
        if moved and not slow:
            self._say()
        else:
            self._counted = True

    def _late(self, live: LiveMachine, tag: int, late: Series, seq: int) -> None:
        if not len(late):
            return
        if len(self._seen_late) > 10_000:
            self._seen_late.clear()
        self._seen_late[tag, int(late.time_ns[0])] = None
        if int(late.time_ns[-1]) >= live.open_ns:
            live.reload_at = max(live.reload_at, seq)
        asset, before = live.machine.asset, late.time_ns[late.time_ns <= live.open_ns]
        if len(before):
            days = {
                self._planner.day_of(asset, int(t))
                for t in (before[0], before[-1], *before[:: max(1, len(before) // 64)])
            }
            for day in range(min(days), max(days) + 1):
                self._mark(live, day, "samples came late", seq)

    def restated(self, tags: Sequence[int], since_ns: Sequence[int]) -> None:
        """The record has rows older than the newest of their tag: from an import, or as they came from the bus."""
        for tag, since in zip(tags, since_ns, strict=True):
            for live in self._by_tag.get(tag, ()):
                if (tag, since) in self._seen_late or (since > live.water_ns and live.heard(tag, since)):
                    continue  # they came from the bus
                asset = live.machine.asset
                for day in range(self._planner.day_of(asset, since), self._planner.day_of(asset, live.open_ns)):
                    self._mark(live, day, "rows were imported")
                live.reload_at = max(live.reload_at, 0)
        self._pending.set()

    def gap_found(self, edge: str, start_ns: int, end_ns: int) -> None:
        """Samples of an edge are missing: nobody knows what its machines did meanwhile."""
        for live in self._machines.values():
            if edge not in live.edges:
                continue
            asset = live.machine.asset
            if end_ns > live.open_ns:
                live.reload_at = max(live.reload_at, 0)
            for day in range(
                self._planner.day_of(asset, start_ns), self._planner.day_of(asset, min(end_ns, live.open_ns))
            ):
                self._mark(live, day, "samples are missing")
            if start_ns < live.open_ns:
                self._mark(live, self._planner.day_of(asset, min(end_ns, live.open_ns - 1)), "samples are missing")
        self._pending.set()

    def _mark(self, live: LiveMachine, day: int, why: str, seq: int = 0) -> None:
        key = live.code, day
        self._unsaved[key] = self._dirty.setdefault(key, why)  # also where it is: it may just have been computed
        self._dirty_at[key] = max(self._dirty_at.get(key, 0), seq)
        self._mark_number += 1
        self._marked[key] = self._mark_number

    def _done(self, key: tuple[int, int]) -> None:
        """A day is computed, or need not be."""
        for marks in (self._dirty, self._dirty_at, self._marked):
            marks.pop(key, None)

    async def _save_dirty(self) -> None:
        if self._unsaved:
            unsaved = dict(self._unsaved)
            await asyncio.to_thread(self._save_marks, unsaved)
            for key in unsaved:
                self._unsaved.pop(key, None)

    def _save_marks(self, marks: Mapping[tuple[int, int], str]) -> None:
        with self._writing:
            fresh = list(self._names.fresh)
            self._store.add_names(fresh)
            del self._names.fresh[: len(fresh)]
            self._store.mark_dirty(marks)

    async def note(self) -> None:
        """Days that are to be computed again are on disk."""
        await self._save_dirty()

    async def acknowledgeable(self) -> int:
        """The newest frame that need not come again: its effect is stored, or the record has it and marks are durable."""
        newest = self._newest_seq
        await self._save_dirty()
        return min(newest, self._record.committed())

    # --- computing -------------------------------------------------------------------------------------------------

    async def _begin_machines(self) -> None:
        """Open spans after a start, of some machines with one question to the record."""
        waiting = [live for live in self._machines.values() if not live.begun]
        for open_ns in sorted({live.open_ns for live in waiting}):
            alike = [live for live in waiting if live.open_ns == open_ns]
            for i in range(0, len(alike), BEGIN_AT_ONCE):
                await self._begin_some(alike[i : i + BEGIN_AT_ONCE], open_ns)

    async def _begin_some(self, lives: Sequence[LiveMachine], open_ns: int) -> None:
        for live in lives:
            live.reload_at = -1
        tags = tuple(dict.fromkeys(tag for live in lives for tag in live.tags))
        try:
            samples = await self._record.samples(tags, open_ns, max(self._clock.now_ns(), open_ns + 1))
        except TryLater:  # too much for one answer
            samples = None
        for live in lives:
            same = samples is not None and live.open_ns == open_ns
            await self._reload(live, samples if same else None)

    async def _reload(self, live: LiveMachine, read: Mapping[int, Series] | None = None) -> None:
        """The open span of a machine from the record; ``read`` are samples that were read for it already."""
        async with self._computing[live.code]:
            asset, open_ns = live.machine.asset, live.open_ns
            if read is None:
                live.reload_at = -1
            try:
                carry = await self._carry_at(live, open_ns)
                end_ns = max(self._clock.now_ns(), open_ns + 1)
                samples = await self._record.samples(live.tags, open_ns, end_ns) if read is None else read
                gaps = await self._gaps(live, open_ns, end_ns)
            except BaseException:
                live.reload_at = max(live.reload_at, 0)
                raise
            if live.open_ns != open_ns or self._machines.get(asset) is not live:
                return
            live.load(open_ns, carry, samples, gaps)
            live.settle(self._settled_until(live))
        self._say()

    async def _gaps(self, live: LiveMachine, start_ns: int, end_ns: int) -> list[Span]:
        gaps = await self._record.gaps(sorted(live.edges), start_ns - WARM_UP_NS, end_ns) if live.edges else ()
        return merge_spans((g.start_ns, g.end_ns) for g in gaps)

    async def _carry_at(self, live: LiveMachine, time_ns: int) -> Carry:
        """What the time before hands on: from the day that ends there, or from a day of samples before it."""
        asset = live.machine.asset
        kept = await asyncio.to_thread(self._store.carry, live.code, self._planner.day_of(asset, time_ns - 1))
        if kept is not None and kept[0] == time_ns:
            return kept[1]
        start_ns = time_ns - WARM_UP_NS
        samples = await self._record.samples(live.tags, start_ns, time_ns)
        if not any(len(s) for s in samples.values()):
            return Carry()
        gaps = await self._gaps(live, start_ns, time_ns)
        ground = replace(live.ground(), gaps=gaps)
        segments = self._planner.segments(asset, start_ns, time_ns)
        folded = await asyncio.to_thread(fold, ground, segments, samples, Carry(), self._names, time_ns)
        return folded.days[-1].carry

    async def _close_days(self, now_ns: int) -> None:
        """Days that are over, once the record has them and their edge was heard after their end."""
        due = []
        for live in self._machines.values():
            if not live.begun:
                continue
            asset = live.machine.asset
            day = self._planner.day_of(asset, live.open_ns)
            end_ns = self._planner.day_span(asset, day)[1]
            micro_ns = round(live.machine.micro_stop_s * NS_PER_S)
            known_ns = min(now_ns, self._recorded_ns, self._heard_of(live))
            if known_ns < end_ns + max(CLOSE_AFTER_NS, micro_ns + GRACE_NS):
                continue
            today = self._planner.day_of(asset, now_ns)
            if today - day > OPEN_DAYS:
                self._skip(live, day, today)
            else:
                due.append(_Job(live, day, day, ""))
        for job in due:
            await self._compute(job)

    def _skip(self, live: LiveMachine, day: int, today: int) -> None:
        """The open span is too long to be read again for each of its days: they are computed as closed ones, in one go."""
        for missing in range(day, today):
            self._mark(live, missing, "core did not run")
        live.open_ns = live.water_ns = self._planner.day_span(live.machine.asset, today)[0]
        live.begun = False

    async def _compute_dirty(self) -> None:
        committed = self._record.committed()
        by_code = {live.code: live for live in self._machines.values()}
        jobs: list[_Job] = []
        for code, day in sorted(self._dirty):
            live = by_code.get(code)
            if live is None or self._dirty_at.get((code, day), 0) > committed:
                continue
            why = self._dirty[code, day]
            if jobs and jobs[-1].live is live and jobs[-1].last == day - 1 and jobs[-1].why == why:
                jobs[-1] = replace(jobs[-1], last=day)
            else:
                jobs.append(_Job(live, day, day, why))
        waiting = iter([list(some) for _, some in groupby(jobs, key=lambda job: job.live.code)])

        async def work() -> None:
            for some in waiting:
                for job in some:
                    await self._compute(job)

        many = sum(job.last - job.first + 1 for job in jobs) >= WORTH_DAYS
        self._folders = await asyncio.to_thread(Folders, os.cpu_count() or 1) if many else None
        try:
            # while one machine is read or written, others are folded
            at_once = MACHINES_AT_ONCE + (os.cpu_count() or 1 if many else 0)
            done = await asyncio.gather(*(work() for _ in range(at_once)), return_exceptions=True)
        finally:
            if self._folders is not None:
                folders, self._folders = self._folders, None
                await asyncio.to_thread(folders.close)
        for error in done:
            if isinstance(error, BaseException):
                raise error

    async def _compute(self, job: _Job) -> None:
        """Days of a machine from the record, some at a time, each with what the one before hands on."""
        live, day, width = job.live, job.first, CHUNK_DAYS[0]
        while day <= job.last:
            last = min(job.last, day + width - 1)
            rows = await self._compute_days(live, day, last, job)
            a_day = max(1, rows // (last - day + 1))
            width = max(1, min(CHUNK_DAYS[1], CHUNK_ROWS // a_day))
            day = last + 1

    async def _compute_days(self, live: LiveMachine, first: int, last: int, job: _Job) -> int:
        async with self._computing[live.code]:
            asset = live.machine.asset
            start_ns = self._planner.day_span(asset, first)[0]
            end_ns = self._planner.day_span(asset, last)[1]
            if end_ns > self._clock.now_ns():
                await self._forget_dirty(live, first, last)
                return 0
            beyond_ns = end_ns + round(live.machine.micro_stop_s * NS_PER_S)
            seen = self._mark_number
            carry = await self._carry_at(live, start_ns)
            samples = await self._record.samples(live.tags, start_ns, beyond_ns)
            gaps = await self._gaps(live, start_ns, beyond_ns)
            segments = self._planner.segments(asset, start_ns, end_ns)
            ground = replace(live.ground(), gaps=gaps)
            follows = await asyncio.to_thread(
                self._compute_now, live, ground, segments, samples, carry, beyond_ns, job.why, first, last, seen
            )
            again = self._marked_since(seen, live, first, last)
            for d in range(first, last + 1):
                key = live.code, d
                if d not in again:
                    self._done(key)
                elif key in self._dirty:
                    self._unsaved[key] = self._dirty[key]
            self._blocks.forget(range(first, last + 1))
            if follows and last == job.last and await asyncio.to_thread(self._store.has_day, live.code, last + 1):
                self._mark(live, last + 1, job.why)
        if start_ns <= live.open_ns < end_ns:
            live.open_ns = live.water_ns = end_ns
            await self._reload(live)
        elif follows and live.open_ns == end_ns:
            await self._reload(live)
        self._say()
        return sum(len(s) for s in samples.values())

    def _marked_since(self, seen: int, live: LiveMachine, first: int, last: int) -> set[int]:
        """Days of which more was heard after a mark of that number: what is computed from before may not have it."""
        return {d for d in range(first, last + 1) if self._marked.get((live.code, d), 0) > seen}

    async def _forget_dirty(self, live: LiveMachine, first: int, last: int) -> None:
        keys = [(live.code, d) for d in range(first, last + 1)]
        await asyncio.to_thread(self._store.forget_dirty, keys)
        for key in keys:
            self._done(key)

    def _compute_now(
        self, live: LiveMachine, ground: Ground, segments: Segments, samples: Mapping[int, Series], carry: Carry,
        known_ns: int, why: str, first: int, last: int, seen: int,
    ) -> bool:  # fmt: skip
        """In a thread: fold, compare, write. Whether the last day hands on something else than before."""
        work, folders = Work(live.code, ground, segments, samples, carry, known_ns), self._folders
        days = work.done(self._names) if folders is None else folders.done(work, self._names)
        known = self._store.known(live.code, first, last)
        restated = [r for d in days if (r := self._restatement(live, d, known, why)) is not None]
        versions = {day: one.version for day, one in known.items()}
        with self._writing:
            fresh = list(self._names.fresh)
            again = self._marked_since(seen, live, first, last)
            self._store.write_days(days, fresh, restated, self._clock.now_ns(), versions, again)
            del self._names.fresh[: len(fresh)]
        return last not in known or known[last].carry != days[-1].carry

    def _restatement(self, live: LiveMachine, day: DayFacts, known: Mapping[int, Kept], why: str) -> Restatement | None:
        old = known.get(day.day)
        if old is None or old.facts == day.facts:
            return None
        before, after = differences(old.facts, day.facts, self._names)
        if before == after:
            return None
        return Restatement(
            0, live.machine.asset, iso_day(day.day), self._clock.now_ns(), why or "computed again", before, after
        )

    async def recompute(self, under: str, start_ns: int, end_ns: int, why: str = "asked for") -> int:
        """Compute closed days again from the record; how many there are. They follow in the background."""
        count = 0
        end_ns = min(end_ns, self._clock.now_ns())
        for live in self._under(under):
            asset = live.machine.asset
            oldest = await self._record.oldest(live.state_tags) if live.state_tags else None
            begin = max(start_ns, oldest) if oldest is not None else start_ns
            if oldest is None or begin >= end_ns:
                continue
            last = self._planner.day_of(asset, min(end_ns, live.open_ns) - 1)
            for day in range(self._planner.day_of(asset, begin), last + 1):
                self._mark(live, day, why)
                count += 1
            if end_ns > live.open_ns:
                live.reload_at = max(live.reload_at, 0)
        await self._save_dirty()
        self._pending.set()
        return count

    async def intervals_kept(self) -> int:
        """Intervals that the facts of closed days are made of."""
        return await asyncio.to_thread(self._store.intervals)

    def waiting(self) -> int:
        """Days that are to be computed again."""
        return len(self._dirty)

    def ready(self, asset: str) -> bool:
        """Whether what a machine made until now is known: after a start not before its open span was read and no day is due."""
        live = self._machines.get(asset)
        return live is not None and live.begun and all(code != live.code for code, _ in self._dirty)

    async def calendar_changed(self, area: str, start_ns: int = 0, end_ns: int = 0) -> None:
        """An exception of a calendar changed: days in it are computed again; without a range the last two months are."""
        now_ns = self._clock.now_ns()
        start_ns = start_ns or now_ns - PLAN_BACK_DAYS * DAY_NS
        end_ns = min(end_ns or now_ns, now_ns)
        for live in self._under(area):
            asset = live.machine.asset
            newest = (await asyncio.to_thread(self._store.newest)).get(live.code)
            if newest is not None and start_ns < end_ns:
                for day in range(
                    self._planner.day_of(asset, start_ns), min(newest[0], self._planner.day_of(asset, end_ns)) + 1
                ):
                    if await asyncio.to_thread(self._store.has_day, live.code, day):
                        self._mark(live, day, "the calendar was changed")
            live.reload_at = max(live.reload_at, 0)
        await self._save_dirty()
        self._pending.set()

    # --- what people say -------------------------------------------------------------------------------------------

    async def enter(self, entry: Entry) -> int:
        """Store what somebody said; its number. The facts have followed when this returns.

        Raises: ConfigError if it says nothing sensible
        """
        return (await self.enter_all((entry,)))[0]

    async def enter_all(self, entries: Sequence[Entry]) -> list[int]:
        """Store what belongs together, all of it or nothing; the numbers. The facts have followed when this returns.

        Closed days are marked with it, so that they follow after a kill as well.
        Raises: ConfigError if one says nothing sensible
        """
        for entry in entries:
            if entry.asset not in self._machines:
                raise ConfigError(f"asset: no machine is counted at {entry.asset!r}")
            self._check(entry)
        now_ns = self._clock.now_ns()
        spans: list[_Touched] = []
        for entry in entries:
            replaced = [e for e in self._entries.get(entry.asset, ()) if entry.replaces and e.number == entry.replaces]
            live = self._machines[entry.asset]
            spans += [(live, one.start_ns, one.end_ns or now_ns) for one in (entry, *replaced)]
        numbers = await asyncio.to_thread(self._store.add_entries, entries, sorted(await self._closed(spans)))
        for entry, number in zip(entries, numbers, strict=True):
            self._entries.setdefault(entry.asset, []).append(replace(entry, number=number))
        for live in {id(live): live for live, _, _ in spans}.values():
            live.entries = effective(self._entries[live.machine.asset])
            live.touch(state=True)
        await self._follow(spans, f"entry {numbers[0]}")
        self._say()
        return numbers

    def _check(self, entry: Entry) -> None:
        if entry.end_ns and entry.end_ns < entry.start_ns:
            raise ConfigError("end: must not be before start")
        if entry.replaces and all(e.number != entry.replaces for e in self._entries.get(entry.asset, ())):
            raise ConfigError(f"replaces: there is no entry {entry.replaces} at {entry.asset}")
        if entry.void:
            return
        if entry.kind is EntryKind.REASON:
            key = str(entry.values.get("reason", ""))
            if all(r.key != key for r in self._plant.reasons):
                raise ConfigError(f"reason: {key!r} is not offered")
        if entry.kind in (EntryKind.SCRAP, EntryKind.REWORK) and int(entry.values.get("count", 0)) == 0:
            raise ConfigError("count: must not be 0")

    async def _closed(self, spans: Iterable[_Touched]) -> dict[tuple[int, int], LiveMachine]:
        """Computed days that ranges touch, by (machine, day)."""
        found: dict[tuple[int, int], LiveMachine] = {}
        for live, start_ns, end_ns in spans:
            if start_ns < live.open_ns:
                asset = live.machine.asset
                first = self._planner.day_of(asset, start_ns)
                last = self._planner.day_of(asset, min(max(end_ns, start_ns + 1), live.open_ns) - 1)
                for day in await asyncio.to_thread(self._store.days_kept, live.code, first, last):
                    found[live.code, day] = live
        return found

    async def _follow(self, spans: Sequence[_Touched], why: str) -> None:
        """Facts of ranges again, at once; each day and each open span one time."""
        closed = await self._closed(spans)  # once more: a day may have been closed before it knew of this
        self._dirty |= {key: self._dirty.get(key, why) for key in closed}
        for (_, day), live in sorted(closed.items(), key=lambda one: one[0]):
            await self._compute(_Job(live, day, day, why))
        for live in {id(live): live for live, _, _ in spans}.values():
            if any(one is live and b >= live.open_ns and a <= live.water_ns for one, a, b in spans):
                await self._reload(live)

    async def entries(self, asset: str, start_ns: int, end_ns: int) -> list[Entry]:
        """What was said about a range, entries that were replaced included."""
        return [
            e for e in self._entries.get(asset, ()) if e.start_ns < end_ns and (not e.end_ns or e.end_ns >= start_ns)
        ]

    # --- answers ---------------------------------------------------------------------------------------------------

    def _under(self, under: str) -> list[LiveMachine]:
        return [live for live in self._machines.values() if is_under(live.machine.asset, under)]

    def _heard_of(self, live: LiveMachine) -> int:
        """Up to when all edges of a machine are heard."""
        now_ns = self._clock.now_ns()
        return min((h for e in live.edges if (h := self._heard(e)) is not None), default=now_ns + DAY_NS)

    def machines(self) -> list[MachineNow]:
        """Every machine as it is now. Cost: about 1 ms for one about which something is new, for a few at a time.

        A machine whose state changed is always as it is now; of many where only counts grew some are told a little later.
        """
        now_ns = self._clock.now_ns()
        counted = sorted(
            (live for live in self._machines.values() if self._told(live) == live.state_stamp),
            key=lambda live: self._now[live.machine.asset][0],
        )
        for live in counted[:COUNTED_AT_ONCE]:
            self._now.pop(live.machine.asset, None)
        found = []
        for asset, live in self._machines.items():
            known = self._now.get(asset)
            if known is None or self._told(live) != live.state_stamp:
                known = self._now[asset] = (now_ns, self._machine_now(live, now_ns))
                live.told_stamp = live.state_stamp
            found.append(known[1])
        return found

    def _told(self, live: LiveMachine) -> int:
        return live.told_stamp if live.machine.asset in self._now else -1

    def _machine_now(self, live: LiveMachine, now_ns: int) -> MachineNow:
        machine = live.machine
        if not live.begun:
            return MachineNow(
                machine.asset, machine.line, StateClass.UNKNOWN, None, now_ns, help=self.helps(machine.asset)
            )
        heard_ns = self._heard_of(live)
        view = live.view(now_ns, heard_ns)
        last = len(view.pieces.start_ns) - 1
        cell, state = int(view.pieces.cell[last]), int(view.pieces.state[last])
        names, cells = self._names, view.cells
        rows = live.rows(now_ns, heard_ns)
        day, shift = int(cells.day[cell]), int(cells.shift[cell])
        mine = rows[(rows["day"] == day) & (rows["shift"] == shift)]
        busy = mine[(mine["klass"] != CODE[StateClass.PLANNED]) & (mine["klass"] != CODE[StateClass.OFF])]
        target = self._target(busy) if live.counts else None
        good = pieces(int(mine["good"].sum()))
        recent = rows[rows["slot_ns"] >= now_ns - 1_800 * NS_PER_S]
        took_ns = int(recent["ns"].sum())
        rate_count, rate_ns = names.rate_of(int(cells.rate[cell]))
        stop_ns = int(view.pieces.stop_ns[last])
        open_stops = live.stops(now_ns, heard_ns)
        return MachineNow(
            asset=machine.asset,
            line=machine.line,
            state_class=CLASSES[int(view.pieces.klass[last])],
            state=None if state == NO_STATE else state,
            since_ns=stop_ns or view.open_ns,
            reason=open_stops[-1].reason if open_stops and open_stops[-1].open else "",
            order=order_of(names.text("order", int(cells.order[cell]))),
            product=names.text("product", int(cells.product[cell])),
            shift=names.text("shift", shift),
            team=names.text("team", int(cells.team[cell])),
            good=good,
            reject=pieces(int(mine["reject"].sum())),
            total=pieces(int(mine["total"].sum())),
            rate=int(recent["total"].sum()) / 1e6 * HOUR_NS / took_ns if took_ns else None,
            ideal_rate=rate_count * HOUR_NS / rate_ns if rate_ns else None,
            target=target,
            ahead=None if target is None else good - target,
            uncoded=sum(s.asks for s in open_stops),
            help=self.helps(machine.asset),
            stop=stop_id(machine.asset, stop_ns) if stop_ns else "",
        )

    def _target(self, busy: NDArray[np.void]) -> float | None:
        """Pieces at the ideal rate over the planned time so far; None where no rate is declared."""
        if not len(busy) or not (busy["rate"] > 0).all():
            return None
        found = 0.0
        for rate in np.unique(busy["rate"]).tolist():
            count, per_ns = self._names.rate_of(rate)
            found += int(busy["ns"][busy["rate"] == rate].sum()) * count / per_ns
        return found

    async def facts(
        self,
        under: str,
        start_ns: int,
        end_ns: int,
        by: Sequence[str] = (),
        *,
        sees: Callable[[str], bool] = lambda _: True,
    ) -> list[FactSum]:
        """Sums over [start, end), cut at quarters of an hour and where shifts change.

        Unless machines are asked for one by one, a line that has a constraint is that machine, with the counts of where
        the line is counted.
        Raises: ConfigError if it asks for too much or for something that is not known
        """
        unknown = [name for name in by if name not in BY]
        if unknown:
            raise ConfigError(f"by: known are {', '.join(BY)}, was {unknown[0]!r}")
        if "hour" in by and end_ns - start_ns > MAX_DAYS_BY_HOUR * DAY_NS:
            raise ConfigError(f"by: hours of at most {MAX_DAYS_BY_HOUR} d")
        lives = [live for live in self._under(under) if sees(live.machine.asset)]
        if not lives:
            return []
        now_ns = self._clock.now_ns()
        open_tables = [t for live in lives if (t := self._open_table(live, start_ns, end_ns, now_ns)) is not None]
        return await asyncio.to_thread(self._facts_now, lives, under, start_ns, end_ns, tuple(by), open_tables)

    def _open_table(self, live: LiveMachine, start_ns: int, end_ns: int, now_ns: int) -> Table | None:
        if not live.begun or end_ns <= live.open_ns or start_ns > now_ns:
            return None
        rows = live.rows(now_ns, self._heard_of(live))
        rows = rows[(rows["slot_ns"] >= start_ns) & (rows["slot_ns"] < end_ns)]
        return Table.of_slots(rows, np.full(len(rows), live.code, np.int32)) if len(rows) else None

    def _facts_now(
        self, lives: Sequence[LiveMachine], under: str, start_ns: int, end_ns: int, by: tuple[str, ...],
        open_tables: Sequence[Table],
    ) -> list[FactSum]:  # fmt: skip
        codes = np.array([live.code for live in lives], np.int32)
        tables = [t for t in (*self._blocks.table(codes, start_ns, end_ns, by), *open_tables) if len(t)]
        if not tables:
            return []
        costs = {live.code: live.machine.cost_per_min for live in lives}
        size = max(len(self._names.texts("machine")), int(codes.max()) + 1)
        line = [""] * size
        for live in lives:
            line[live.code] = live.machine.line
        reasons = {r.key: r for r in self._plant.reasons}
        found: dict[tuple[str, ...], list[FactSum]] = {}
        for whole in _together(tables):
            table = whole
            if "machine" not in by:
                table, costs = self._as_lines(whole, lives, under, costs)
            cost = [cost_u(costs.get(code, 0.0)) for code in range(size)]
            words = Words(self._names, line, cost, reasons, *self._without(table, lives, under, by))
            for one in sums(table, by, words, iso_day, _iso_hour):
                found.setdefault(tuple(one.key.values()), []).append(one)
        return [some[0] if len(some) == 1 else add(some, some[0].key) for some in found.values()]

    def _without(
        self, table: Table, lives: Sequence[LiveMachine], under: str, by: Sequence[str]
    ) -> tuple[frozenset[int], frozenset[int]]:
        """Machines that count no pieces, and those that never had an ideal rate; a line's constraint counts where its line does."""
        seen = {live.machine.asset: live for live in lives}
        counts = {asset: live.counts for asset, live in seen.items()}
        rates = {asset: live.has_rate for asset, live in seen.items()}
        for line in self._plant.lines if "machine" not in by else ():
            if line.constraint in seen and line.counts_at in seen and under not in line.machines:
                counts[line.constraint] = counts[line.counts_at]
        uncounted = {seen[asset].code for asset, some in counts.items() if not some}
        if uncounted:  # one that had a counter once did count then
            uncounted -= set(np.unique(table.machine[table.columns["total"] != 0]).tolist())
        return frozenset(uncounted), frozenset(seen[asset].code for asset, some in rates.items() if not some)

    def _as_lines(
        self, table: Table, lives: Sequence[LiveMachine], under: str, costs: Mapping[int, float]
    ) -> tuple[Table, dict[int, float]]:
        """Lines with a constraint as that machine, with what is counted at their last one."""
        code = {live.machine.asset: live.code for live in lives}
        costs = dict(costs)
        for line in self._plant.lines:
            if not line.constraint or line.constraint not in code or under in line.machines:
                continue
            table = self._as_line(table, line, code)
            if line.cost_per_min:
                costs[code[line.constraint]] = line.cost_per_min
        return table, costs

    def _as_line(self, table: Table, line: ProductionLine, code: Mapping[str, int]) -> Table:
        constraint = code[line.constraint]
        counts_at = code.get(line.counts_at, constraint)
        others = np.array(
            [code[m] for m in line.machines if m in code and code[m] not in (constraint, counts_at)], np.int32
        )
        if len(others):
            table = table.take(~np.isin(table.machine, others))
        if counts_at == constraint:
            return table
        mine, counted = table.machine == constraint, table.machine == counts_at
        columns = {name: table.columns[name].copy() for name in AMOUNTS}
        columns["rate"] = table.columns["rate"].astype(np.int32)
        for name in ("total", "good", "reject", "rework"):
            columns[name][mine] = 0
        for name in ("ns", "stops", "failures", "energy", "material"):
            columns[name][counted] = 0
        own = {live.code: live for live in self._machines.values()}
        rates = [self._declared(own[c].machine) for c in (counts_at, constraint)]
        columns["rate"][counted & np.isin(columns["rate"], (0, rates[0]))] = rates[1]
        table = table.replaced(**columns)
        kept = table.take(~counted | (columns["total"] != 0) | (columns["good"] != 0) | (columns["rework"] != 0))
        machine = kept.machine.copy()
        machine[machine == counts_at] = constraint
        return Table(machine, kept.day, kept.hour, kept.columns)

    def _declared(self, machine: Machine) -> int:
        return self._names.rate(machine.ideal_count, machine.ideal_per_ns) if machine.ideal_count else 0

    async def figures(
        self,
        under: str,
        start_ns: int,
        end_ns: int,
        by: Sequence[str] = (),
        *,
        sees: Callable[[str], bool] = lambda _: True,
    ) -> list[tuple[FactSum, Figures]]:
        """The same with its figures."""
        return [(one, figures(one)) for one in await self.facts(under, start_ns, end_ns, by, sees=sees)]

    # --- intervals and stops -----------------------------------------------------------------------------------------

    async def intervals(self, asset: str, start_ns: int, end_ns: int) -> list[Interval]:
        """What a machine did, in order.

        Raises: ConfigError for more than a month
        """
        live = self._machines.get(asset)
        if live is None:
            raise ConfigError(f"asset: no machine is counted at {asset!r}")
        found: list[Interval] = []
        for folded in await self._spans(live, start_ns, end_ns):
            more = told_intervals(folded, self._names, max(start_ns, folded.start_ns), min(end_ns, folded.end_ns))
            if found and more and _same(found[-1], more[0]):
                found[-1] = replace(found[-1], end_ns=more[0].end_ns)
                more = more[1:]
            found += more
        return found

    async def stops(
        self,
        under: str,
        start_ns: int,
        end_ns: int,
        *,
        uncoded: bool = False,
        sees: Callable[[str], bool] = lambda _: True,
    ) -> list[Stop]:
        """Stops that overlap a range, oldest first; with ``uncoded`` only those that ask for a reason.

        Raises: ConfigError for more than a month
        """
        found: dict[str, Stop] = {}
        for live in self._under(under):
            if not sees(live.machine.asset):
                continue
            for folded in await self._spans(live, start_ns, end_ns):
                for stop in told_stops(folded, self._names, live.entries, self._clock.now_ns()):
                    before = found.get(stop.id)
                    found[stop.id] = stop if before is None else _joined(before, stop)
        some = [s for s in found.values() if s.start_ns < end_ns and s.end_ns > start_ns and (s.asks or not uncoded)]
        return sorted(some, key=lambda s: (s.start_ns, s.asset))

    async def _spans(self, live: LiveMachine, start_ns: int, end_ns: int) -> list[Folded]:
        """Folds that cover a range: closed days from the record, then the open span."""
        if end_ns - start_ns > MAX_DAYS_OF_INTERVALS * DAY_NS:
            raise ConfigError(f"start: at most {MAX_DAYS_OF_INTERVALS} d at a time")
        found: list[Folded] = []
        asset, now_ns = live.machine.asset, self._clock.now_ns()
        if start_ns < live.open_ns and start_ns < end_ns:
            begin_ns = self._planner.day_span(asset, self._planner.day_of(asset, start_ns))[0]
            stop_ns = min(end_ns, live.open_ns)
            beyond_ns = min(stop_ns + round(live.machine.micro_stop_s * NS_PER_S), now_ns)
            carry = await self._carry_at(live, begin_ns)
            samples = await self._record.samples(live.state_tags, begin_ns, beyond_ns)
            ground = replace(live.ground(), gaps=await self._gaps(live, begin_ns, beyond_ns))
            segments = self._planner.segments(asset, begin_ns, stop_ns)
            found.append(await asyncio.to_thread(fold, ground, segments, samples, carry, self._names, beyond_ns))
        if live.begun and end_ns > live.open_ns and start_ns <= now_ns:
            found.append(live.whole(now_ns, self._heard_of(live)))
        return found

    # --- the same again from raw samples -------------------------------------------------------------------------------

    async def replay(
        self, under: str, start_ns: int, end_ns: int, *, sees: Callable[[str], bool] = lambda _: True
    ) -> list[Replayed]:
        """Facts of a range computed again from raw samples and held against those that are kept; nothing is changed.

        Closed days begin with what the day before them hands on, where it is kept. One question at a time is worked on.
        Raises: ConfigError if it asks for too much; TryLater where the record stays behind
        """
        lives = [live for live in self._under(under) if sees(live.machine.asset)]
        end_ns = min(end_ns, self._clock.now_ns())
        days = len(lives) * max(0, end_ns - start_ns) / DAY_NS
        if days > MAX_REPLAYED_DAYS:
            raise ConfigError(
                f"under: {len(lives)} machines over this time are {days:,.0f} days of machines, at most {MAX_REPLAYED_DAYS} at a time"
            )
        async with self._replaying:
            return [await self._replay(live, start_ns, end_ns) for live in lives]

    async def _replay(self, live: LiveMachine, start_ns: int, end_ns: int) -> Replayed:
        notes = [f"{why}: {days} days wait to be computed" for why, days in self._waiting_of(live).items()]
        closed = await self._replay_closed(live, start_ns, min(end_ns, live.open_ns), notes)
        sides = [[closed.kept], [closed.computed]]
        found, count = list(closed.differences), 0
        if end_ns > live.open_ns:
            if not live.begun:
                raise TryLater("what runs is not read from the record yet", after_s=2.0)
            kept, computed, differences, count = await self._replay_open(live, start_ns, end_ns)
            sides[0].append(kept)
            sides[1].append(computed)
            found += differences
        left, right = (self._figures_of(live, np.concatenate(side)) for side in sides)
        return Replayed(live.machine.asset, closed.days, count, left, right, tuple(found), tuple(notes))

    def _waiting_of(self, live: LiveMachine) -> dict[str, int]:
        found: dict[str, int] = {}
        for (code, _), why in self._dirty.items():
            if code == live.code:
                found[why] = found.get(why, 0) + 1
        return found

    def _figures_of(self, live: LiveMachine, rows: NDArray[np.void]) -> Figures | None:
        if not len(rows):
            return None
        table = Table.of_slots(rows, np.full(len(rows), live.code, np.int32))
        size = max(len(self._names.texts("machine")), live.code + 1)
        cost = [cost_u(live.machine.cost_per_min)] * size
        words = Words(
            self._names, [""] * size, cost, {}, *self._without(table, (live,), live.machine.asset, ("machine",))
        )
        return figures(sums(table, (), words, iso_day, _iso_hour)[0])

    async def _replay_closed(self, live: LiveMachine, start_ns: int, end_ns: int, notes: list[str]) -> _Closed:
        asset, days = live.machine.asset, 0
        kept_rows, rows = [np.zeros(0, FACT)], [np.zeros(0, FACT)]
        differences: list[Difference] = []
        oldest = await self._record.oldest(live.state_tags) if live.state_tags else None
        if end_ns <= start_ns:
            return _Closed(0, kept_rows[0], rows[0], ())
        first, last = self._planner.day_of(asset, start_ns), self._planner.day_of(asset, end_ns - 1)
        begin = last + 1 if oldest is None else max(first, self._planner.day_of(asset, oldest))
        bare = await asyncio.to_thread(self._store.days_kept, live.code, first, begin - 1)
        if bare:
            notes.append("of some kept days the record has no samples any more; they were not computed again")
        carry: Carry | None = None
        for day in range(begin, last + 1, CHUNK_DAYS[0]):
            until = min(last, day + CHUNK_DAYS[0] - 1)
            async with self._computing[live.code]:
                kept, again, handed, carry = await self._replay_days(live, day, until, carry)
            days += until - day + 1
            kept, again = (of_range(some, start_ns, end_ns) for some in (kept, again))
            differences += [*handed, *rows_differ(asset, kept, again, self._names)]
            kept_rows.append(kept)
            rows.append(again)
        return _Closed(days, np.concatenate(kept_rows), np.concatenate(rows), tuple(differences))

    async def _replay_days(
        self, live: LiveMachine, first: int, last: int, carry: Carry | None
    ) -> tuple[NDArray[np.void], NDArray[np.void], list[Difference], Carry]:
        """Rows that are kept of some days, those computed again, where what they hand on differs, and what they hand on."""
        asset = live.machine.asset
        start_ns, end_ns = self._planner.day_span(asset, first)[0], self._planner.day_span(asset, last)[1]
        beyond_ns = end_ns + round(live.machine.micro_stop_s * NS_PER_S)
        before = await self._carry_at(live, start_ns) if carry is None else carry
        samples = await self._record.samples(live.tags, start_ns, beyond_ns)
        ground = replace(live.ground(), gaps=await self._gaps(live, start_ns, beyond_ns))
        segments = self._planner.segments(asset, start_ns, end_ns)
        folded = await asyncio.to_thread(fold, ground, segments, samples, before, self._names, beyond_ns)
        begins = {(live.code, d): self._planner.day_span(asset, d)[0] for d in range(first, last + 1)}
        known = await asyncio.to_thread(self._store.known, live.code, first, last)
        slots = await asyncio.to_thread(self._store.slots, begins)
        kept = [unpack(data, d, begins[code, d]) for code, d, data in slots]
        handed = [
            Difference(asset, d.start_ns, d.end_ns, "handed on to the next day", "other", "other")
            for d in folded.days
            if d.day in known and known[d.day].carry != d.handed
        ]
        return np.concatenate([np.zeros(0, FACT), *kept]), folded.rows, handed, folded.days[-1].carry

    async def _replay_open(
        self, live: LiveMachine, start_ns: int, end_ns: int
    ) -> tuple[NDArray[np.void], NDArray[np.void], list[Difference], int]:
        """The same of the span that runs, which is in memory. What comes meanwhile may be on one side only: it is looked at again."""
        for more in reversed(range(REPLAY_TRIES)):
            kept, computed, differences, count = await self._replay_running(live, start_ns, end_ns)
            if not differences or not more:
                break
        return kept, computed, differences, count

    async def _replay_running(
        self, live: LiveMachine, start_ns: int, end_ns: int
    ) -> tuple[NDArray[np.void], NDArray[np.void], list[Difference], int]:
        asset, open_ns, seq = live.machine.asset, live.open_ns, self._newest_seq
        until_ns = max(live.water_ns, min(self._clock.now_ns(), self._heard_of(live)), open_ns + 1)
        rows, whole = live.told(until_ns)
        kept, told, stopped = of_range(rows, start_ns, end_ns), self._told_of(whole), self._stops_of(live, whole)
        await self._until_recorded(max(seq, live.reload_at))
        carry = await self._carry_at(live, open_ns)
        samples = await self._record.samples(live.tags, open_ns, until_ns)
        ground = replace(live.ground(), gaps=await self._gaps(live, open_ns, until_ns))
        segments = self._planner.segments(asset, open_ns, until_ns)
        folded = await asyncio.to_thread(fold, ground, segments, samples, carry, self._names, until_ns)
        computed, again = of_range(folded.rows, start_ns, end_ns), self._told_of(folded)
        differences = [
            *rows_differ(asset, kept, computed, self._names),
            *intervals_differ(asset, told, again),
            *stops_differ(asset, stopped, self._stops_of(live, folded)),
        ]
        return kept, computed, differences, len(again)

    def _told_of(self, folded: Folded) -> list[Interval]:
        return told_intervals(folded, self._names, folded.start_ns, folded.end_ns)

    def _stops_of(self, live: LiveMachine, folded: Folded) -> list[Stop]:
        return told_stops(folded, self._names, live.entries, folded.end_ns)

    async def _until_recorded(self, seq: int) -> None:
        """Until the record has a frame. Raises: TryLater when it stays behind"""
        try:
            async with asyncio.timeout(RECORD_S):
                while self._record.committed() < seq:
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise TryLater("the record is behind what came", after_s=RECORD_S) from None

    # --- where figures come from ---------------------------------------------------------------------------------------

    async def lineage(self, asset: str, start_ns: int, end_ns: int, figure: str) -> Lineage:
        """What a figure of a machine was computed from."""
        live = self._machines.get(asset)
        if live is None:
            raise ConfigError(f"asset: no machine is counted at {asset!r}")
        intervals = await self.intervals(asset, start_ns, end_ns)
        found = await self.facts(asset, start_ns, end_ns)
        one = found[0] if found else FactSum()
        counts = {name: getattr(one, name) for name in ("total", "good", "reject", "rework")}
        return Lineage(
            asset, figure, start_ns, end_ns, tuple(intervals[:MAX_INTERVALS]), counts,
            tuple(await self._marks(live, start_ns, end_ns)), tuple(await self.entries(asset, start_ns, end_ns)),
            questions(live.machine, self._plant, figure, start_ns, end_ns), len(intervals) > MAX_INTERVALS,
        )  # fmt: skip

    async def _marks(self, live: LiveMachine, start_ns: int, end_ns: int) -> list[Mark]:
        asset = live.machine.asset
        first, last = (self._planner.day_of(asset, t) for t in (start_ns, end_ns))
        kept = await asyncio.to_thread(self._store.marks, live.code, first, last, asset)
        now_ns = self._clock.now_ns()
        fresh = [*live.marks, *live.view(now_ns, self._heard_of(live)).marks] if live.begun else []
        return [m for m in (*kept, *fresh) if start_ns <= m.time_ns <= end_ns]

    async def restatements(
        self, under: str = "", limit: int = 200, *, sees: Callable[[str], bool] = lambda _: True
    ) -> list[Restatement]:
        """Closed days that came out differently, newest first."""
        found = await asyncio.to_thread(self._store.restatements, 10 * limit)
        return [r for r in found if is_under(r.asset, under) and sees(r.asset)][:limit]


def _together(tables: Sequence[Table]) -> Iterator[Table]:
    """Tables joined to fewer, none of them as large as a year of everything would be."""
    some: list[Table] = []
    rows = 0
    for table in tables:
        if some and rows + len(table) > ROWS_AT_ONCE:
            yield Table.joined(some)
            some, rows = [], 0
        some.append(table)
        rows += len(table)
    yield Table.joined(some)


def _same(a: Interval, b: Interval) -> bool:
    return a.end_ns == b.start_ns and replace(a, start_ns=0, end_ns=0) == replace(b, start_ns=0, end_ns=0)


def _joined(a: Stop, b: Stop) -> Stop:
    """One stop that two folds saw a part of."""
    return replace(
        a, end_ns=max(a.end_ns, b.end_ns), ns=a.ns + b.ns, open=b.open, minor=a.minor and b.minor,
        reason=a.reason or b.reason, entry=a.entry or b.entry,
    )  # fmt: skip


def _iso_hour(hour: int) -> str:
    return datetime.fromtimestamp(hour * 3600, UTC).strftime("%Y-%m-%dT%H:00:00Z")


def merge_spans(spans: Iterable[Span]) -> list[Span]:
    """Spans in order, overlapping and touching ones joined."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        elif end > start:
            merged.append((start, end))
    return merged

"""Alarms: hears frames, people and other rooms; keeps how each alarm stands; tells whoever listens.

An alarm is shown as soon as it is judged, and stored by the next grouped commit: journal, states and how far frames were
heard are one transaction. A mark of the judge is stored now and then, and the bus keeps the frames behind it. A new
beginning takes that mark and judges those frames again; what they said before the last commit is not said again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from heapq import nsmallest
from itertools import takewhile
from typing import Any, Final

import numpy as np
from sqlalchemy import Engine

from isthmus.alarms.evaluate import Heard, Judge, Kind, Past, Signal
from isthmus.alarms.model import (
    ASIDE,
    CHANGEABLE,
    MAX_SHELVE_S,
    TABLE,
    AlarmRow,
    Counts,
    Definition,
    Entry,
    Occurrence,
    Person,
    Sees,
    Standing,
    Trigger,
    Value,
    filled,
    settle,
)
from isthmus.alarms.store import Changed, Pending, Store
from isthmus.namespace.model import EMPTY, Alarm, AlarmSpec, Plant
from isthmus.ports.alarms import AlarmListener
from isthmus.ports.frames import Arrived, Cursor, Position
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError, Malformed, TryLater
from isthmus.values.ids import is_under
from isthmus.values.messages.alarms import PRIORITIES, AlarmChange, Reported, State
from isthmus.values.plant.alarms import LIMITS, MAX_DELAY_S
from isthmus.values.sample import SampleBatch

LATE_NS: Final = 10 * NS_PER_S
"""A frame that is older was not heard when it happened: what it raises waits, for it may be over already."""
PAST_NS: Final = 60 * NS_PER_S
"""So is a sample that lies this far behind the frame it came in: a device told what it had kept."""
QUIET_NS: Final = 2 * NS_PER_S
"""So long nothing more of the past may come until it counts as all there is."""
TICK_S: Final = 0.1
BEHIND_NS: Final = NS_PER_S
"""Delays are over by the clock of core only when no frame says so for this long."""
MARK_S: Final = 30.0
AT_ONCE: Final = 100
"""Changes worked through before everything else gets its turn."""
INLINE_ROWS: Final = 1_000
INLINE_STEPS: Final = 100
"""Rows that are judged at once instead of in a thread; fewer where each may be a step of its own."""
RETRY_S: Final = 1.0
FEED: Final = 1_000
_RANK: Final = {priority: i for i, priority in enumerate(PRIORITIES)}
_WANTING: Final = (State.UNACKNOWLEDGED, State.RETURNED_UNACKNOWLEDGED)
_NOWHERE: Final = Position(-1, -1)

Place = tuple[bool, int, int, str, State]
"""Where an alarm stands in the list, in its order: whether nobody needs to look, rank of the priority, -changed_ns, key; state."""


class Alarms:
    """A `ports.frames.FrameSink` on every lane, and a `ports.alarms.AlarmReports`. Everything runs on one event loop; frames that
    are large are judged in a thread.
    """

    name = "alarms"

    def __init__(self, engine: Engine, clock: Clock, log: logging.Logger | None = None) -> None:
        self._store, self._clock = Store(engine), clock
        self._log = log or logging.getLogger("isthmus.alarms")
        self._plant: Plant = EMPTY
        self._lock, self._committing = asyncio.Lock(), asyncio.Lock()
        self._begun = asyncio.Event()
        self._forget()
        self._version = 0
        self._news = asyncio.Event()
        self._dirty = asyncio.Event()
        self._listeners: list[tuple[AlarmListener, asyncio.Event]] = []
        self._complaint = ""
        self._definitions: tuple[int, list[Definition], dict[str, int]] = (-1, [], {})
        self._counted = (-1, Counts())
        self._declared = 0  # grows when definitions change
        self.newest_ns = 0  # when the newest frame was sealed

    def _forget(self) -> None:
        self._judge = Judge({}, ())
        self._standings: dict[str, Standing] = {}
        self._open: dict[int, str] = {}
        self._occurrences: dict[int, Occurrence] = {}
        self._held: dict[str, int] = {}  # since when, by the monotonic clock
        self._timed: set[str] = set()  # what is shelved or out of service until some time
        self._changes: dict[str, Changed] = {}
        self._reported: dict[str, Reported] = {}
        self._extra: dict[str, Alarm] = {}
        self._board: dict[str, Place] = {}  # what is not normal
        self._pending = Pending()
        self._done: Cursor = {}  # what is stored
        self._taken: Cursor = {}  # what was judged
        self._resync = False  # whether frames that were heard before are judged again
        self._seq = self._occurrence = 0
        self._stream_seq = self._skip_to = 0
        self._marked_ns = self._clock.monotonic_ns()
        self._heard_ns = self._late_ns = self._clock.monotonic_ns()

    # --- beginning ---------------------------------------------------------------------------------------------------

    async def begin(self, plant: Plant, newest_seq: int | None = None, seed: Iterable[SampleBatch] = ()) -> int:
        """Go on from what is stored; the number of the stream up to which frames need not come again.

        ``newest_seq`` is the bus's last frame, where there is a bus: a first beginning hears what follows it. ``seed`` are the
        values tags hold.
        """
        async with self._lock:
            stored = await asyncio.to_thread(self._store.load)
            mark = await asyncio.to_thread(self._store.mark)
            self._forget()
            self._plant = plant
            self._standings, self._occurrences = stored.standings, stored.occurrences
            self._open = {s.occurrence: key for key, s in stored.standings.items() if s.occurrence}
            self._changes, self._reported = stored.changes, stored.reported
            self._extra = {key: self._alarm_of(reported) for key, reported in stored.reported.items()}
            self._done, self._seq, self._occurrence = stored.cursor, stored.seq, stored.occurrence
            self._timed = {k for k, s in self._standings.items() if s.shelved_until_ns or s.removed_until_ns}
            self._judge = await asyncio.to_thread(self._judge_of, plant)
            now_ns = self._clock.monotonic_ns()
            self._held = {key: now_ns for key, s in self._standings.items() if s.held}
            first = mark is None and not stored.cursor and not stored.seq
            if mark is not None and newest_seq is not None and mark[0] > newest_seq:
                self._log.warning("the bus began anew: alarms go on from what comes now")
                await asyncio.to_thread(self._store.drop_mark)
                mark = None
            if mark is not None:
                self._carry(mark[2])
                self._taken, self._skip_to = dict(mark[1]), mark[0]
            elif first:
                self._skip_to = newest_seq or 0
            self._stream_seq = self._skip_to
            self._resync = any(p > self._taken.get(key, _NOWHERE) for key, p in self._done.items())
            if not self._resync:
                self._set_active()
            self._show_all()
            await self._withdraw()
            if mark is None and not self._resync:
                await self._apply(self._judge.seed(seed, self._clock.now_ns()), 0)
            self._declared += 1
            self._begun.set()
            self._bump()
            self._wake()
        if first:
            await self.mark()
        return self._skip_to

    def _carry(self, data: bytes) -> None:
        try:
            self._judge.carry(data)
        except Malformed as error:
            self._log.warning("alarms begin without what they held: %s", error)

    def _judge_of(self, plant: Plant) -> Judge:
        return Judge(plant.by_id, [self._in_force(alarm) for alarm in plant.alarms])

    def _in_force(self, alarm: Alarm) -> Alarm:
        changed = self._changes.get(alarm.key)
        return alarm if changed is None else replace(alarm, spec=replace(alarm.spec, **changed.values))

    async def describe(self, plant: Plant, seed: Iterable[SampleBatch] = ()) -> None:
        """Another version of the plant: alarms that are still there stay as they are, the others are withdrawn.

        ``seed`` are the values tags hold, for those that no alarm looked at before.
        """
        async with self._lock:
            before = self._judge.capture()
            judge = await asyncio.to_thread(self._judge_of, plant)
            data = await asyncio.to_thread(before.pack)
            judge.carry(data)
            self._plant, self._judge = plant, judge
            self._declared += 1
            if not self._resync:
                self._set_active()
            self._show_all()
            await self._withdraw()
            now_ns = self._clock.now_ns()
            heard = await asyncio.to_thread(lambda: (judge.seed(seed, now_ns), judge.refresh(now_ns)))
            if not self._resync:
                for one in heard:
                    await self._apply(one, 0)
            self._bump()
            self._wake()
        if self._begun.is_set():
            await self.mark()

    async def _withdraw(self) -> None:
        """Alarms that are declared no more are over."""
        now_ns = self._clock.now_ns()
        for key in [k for k in self._standings if k not in self._judge.place and k not in self._extra]:
            standing = self._standings[key]
            if standing.state is not State.NORMAL:
                standing.removed, standing.shelved_until_ns, standing.suppressed = False, 0, False
                self._fire(key, Trigger.WITHDRAWN, now_ns)
            standing.active = standing.held = False
            self._keep(key, standing)

    def _set_active(self) -> None:
        """The judge goes on from how alarms are known to stand."""
        place = self._judge.place
        stand = {place[k]: s.active for k, s in self._standings.items() if k in place}
        silent = {i: False for i in np.flatnonzero(self._judge.cells.active).tolist() if i not in stand}
        suppressed = [place[k] for k, s in self._standings.items() if s.suppressed and k in place]
        self._judge.set_active(silent | stand, suppressed)
        self._resync = False

    # --- frames ------------------------------------------------------------------------------------------------------

    async def cursor(self) -> Cursor:
        """What is stored."""
        return dict(self._done)

    async def take(self, arrived: Sequence[Arrived]) -> None:
        """Judge frames; what they bring is shown when this returns, and stored by the next commit."""
        async with self._lock:
            if any(one.stream_seq > self._skip_to for one in arrived):
                fresh = [one for one in arrived if one.stream_seq > self._skip_to]
                self._skip_to = 0  # what follows a bus that began anew has small numbers again
            else:
                fresh = [one for one in arrived if not self._skip_to]
            if arrived:
                self._stream_seq = arrived[-1].stream_seq
            fresh = self._unheard(fresh)
            again = list(
                takewhile(lambda one: self._resync and one.position <= self._done.get(one.key, _NOWHERE), fresh)
            )
            if again:
                await self._judged(again)
                for one in again:
                    self._taken[one.key] = one.position
                fresh = fresh[len(again) :]
            if not fresh:
                return
            if self._resync:
                self._set_active()
            late = self._judge.counts.late
            judged = await self._judged(fresh)
            if self._judge.counts.late > late:
                self._late_ns = self._clock.monotonic_ns()
            for one, heard in zip(fresh, judged, strict=True):
                await self._apply(heard, one.frame.sealed_ns, one.edge)
                self._taken[one.key] = one.position
            self._heard_ns = self._clock.monotonic_ns()
            self.newest_ns = max(self.newest_ns, fresh[-1].frame.sealed_ns)
            self._wake()

    def _unheard(self, arrived: Sequence[Arrived]) -> list[Arrived]:
        """Frames that were not judged yet."""
        seen = dict(self._taken)
        fresh = []
        for one in arrived:
            if one.position > seen.get(one.key, _NOWHERE):
                seen[one.key] = one.position
                fresh.append(one)
        return fresh

    async def _judged(self, arrived: Sequence[Arrived]) -> list[Heard]:
        judge = self._judge
        if sum(one.frame.rows for one in arrived) <= (INLINE_STEPS if judge.steps else INLINE_ROWS):
            return [judge.take(one.edge, one.frame) for one in arrived]
        return await asyncio.to_thread(lambda: [judge.take(one.edge, one.frame) for one in arrived])

    async def _apply(self, heard: Heard, sealed_ns: int, edge: str = "") -> None:
        now_ns = self._clock.now_ns()
        late = bool(sealed_ns) and sealed_ns < now_ns - LATE_NS
        for n, signal in enumerate(heard.signals, 1):
            held = late or (bool(sealed_ns) and signal.time_ns < sealed_ns - PAST_NS)
            self._signal(signal, now_ns, held)
            if not n % AT_ONCE:
                self._wake()
                await asyncio.sleep(0)
        for past in heard.past:
            await self._heard_late(past)
        if self._held and edge and not late:
            self._release(edge)

    def _signal(self, signal: Signal, now_ns: int, held: bool) -> None:
        alarm = self._judge.alarms[signal.alarm]
        key = alarm.key
        standing = self._standings.get(key) or Standing()
        if signal.kind in (Kind.SUPPRESSED, Kind.UNSUPPRESSED):
            standing.suppressed = signal.kind is Kind.SUPPRESSED
            self._standings[key] = standing
            self._settle(key, signal.time_ns)
        elif signal.kind is Kind.RAISED:
            self._raised(alarm, standing, signal.time_ns, signal.value, held)
        else:
            self._returned(alarm, standing, signal.time_ns, now_ns)

    def _raised(self, alarm: Alarm, standing: Standing, time_ns: int, value: Value, held: bool) -> None:
        standing.active, standing.value = True, value
        self._standings[alarm.key] = standing
        if held and standing.state is State.NORMAL:
            standing.held, standing.raised_ns = True, time_ns
            self._held[alarm.key] = self._clock.monotonic_ns()
        elif self._fire(alarm.key, Trigger.RAISED, time_ns, value=value):
            return
        self._keep(alarm.key, standing)

    def _returned(self, alarm: Alarm, standing: Standing, time_ns: int, now_ns: int) -> None:
        if standing.held and not alarm.spec.latch:
            standing.active = standing.held = False
            del self._held[alarm.key]
            self._over(alarm, standing.raised_ns, time_ns, standing.value)
            standing.raised_ns = 0
            self._keep(alarm.key, standing)
            return
        if standing.held:
            self._announce(alarm.key)
        standing.active = False
        latches = alarm.spec.latch
        if standing.state in ASIDE and standing.occurrence and not latches:
            self._close(alarm.key, standing, time_ns)  # nobody is told of what is set aside
        if not self._fire(alarm.key, Trigger.RETURNED_LATCHED if latches else Trigger.RETURNED, time_ns):
            self._keep(alarm.key, standing)

    def _over(self, alarm: Alarm, raised_ns: int, returned_ns: int, value: Value) -> None:
        """It was over before it was heard: the journal tells, nobody is called."""
        self._occurrence += 1
        occurrence = self._new_occurrence(alarm, self._occurrence, raised_ns, value, replayed=True)
        self._pending.occurrences[occurrence.id] = replace(occurrence, returned_ns=returned_ns, cleared_ns=returned_ns)
        for before, after, trigger, time_ns in (
            (State.NORMAL, State.UNACKNOWLEDGED, Trigger.RAISED, raised_ns),
            (State.UNACKNOWLEDGED, TABLE[State.UNACKNOWLEDGED, Trigger.OVER], Trigger.OVER, returned_ns),
        ):
            self._write(alarm, occurrence, before, after, trigger, time_ns, value, replayed=True)

    async def _heard_late(self, past: Past) -> None:
        """Samples that came late showed an alarm that is over; journalled where nothing of that time is known."""
        alarm = self._judge.alarms[past.alarm]
        standing = self._standings.get(alarm.key)
        if standing is not None and standing.active and standing.raised_ns <= past.returned_ns:
            return
        if any(
            o.alarm == alarm.key
            and o.raised_ns <= past.returned_ns
            and (o.returned_ns or past.raised_ns) >= past.raised_ns
            for o in self._pending.occurrences.values()
        ):
            return
        if not await asyncio.to_thread(self._store.known, alarm.key, past.raised_ns, past.returned_ns):
            self._over(alarm, past.raised_ns, past.returned_ns, past.value)

    def _release(self, edge: str, *, every: bool = False) -> None:
        """What was held and still holds is told now: whoever raised it has caught up."""
        now_ns = self._clock.monotonic_ns()
        for key, since_ns in list(self._held.items()):
            place = self._judge.place.get(key)
            of_edge = place is None or self._judge.alarms[place].edge in ("", edge)
            if now_ns - since_ns >= QUIET_NS and (every or of_edge):
                self._announce(key)

    def _announce(self, key: str) -> None:
        standing = self._standings[key]
        standing.held = False
        self._held.pop(key, None)
        self._fire(key, Trigger.RAISED, standing.raised_ns, value=standing.value)
        self._keep(key, standing)

    # --- the life of an alarm ----------------------------------------------------------------------------------------

    def _fire(
        self,
        key: str,
        trigger: Trigger,
        time_ns: int,
        *,
        by: str = "",
        comment: str = "",
        value: Value = None,
    ) -> bool:
        """What the table says of a trigger; whether anything came of it."""
        standing = self._standings[key]
        before = standing.state
        after = TABLE.get((before, trigger))
        if after is None:
            return False
        alarm = self._alarm(key)
        standing.state, standing.changed_ns = after, time_ns
        if after is State.UNACKNOWLEDGED:
            self._opened(alarm, standing, time_ns)
        occurrence = self._occurrences.get(standing.occurrence)
        if trigger in (Trigger.RETURNED, Trigger.RETURNED_LATCHED):
            standing.returned_ns = time_ns
            occurrence = occurrence and replace(occurrence, returned_ns=time_ns)
        elif trigger in (Trigger.ACKNOWLEDGED, Trigger.ACKNOWLEDGED_LATCHED):
            standing.acknowledged_ns, standing.by, standing.comment = time_ns, by, comment
            if occurrence is not None and occurrence.acknowledged_ns is None:
                occurrence = replace(occurrence, acknowledged_ns=time_ns, by=by)
        if occurrence is not None:
            self._occurrences[occurrence.id] = self._pending.occurrences[occurrence.id] = occurrence
        told = value if value is not None else standing.value
        self._write(alarm, occurrence, before, after, trigger, time_ns, told, by=by, comment=comment)
        if after is State.NORMAL:
            self._close(key, standing, time_ns)
        self._keep(key, standing)
        return True

    def _opened(self, alarm: Alarm, standing: Standing, time_ns: int) -> None:
        """Raised, or raised again before it was cleared."""
        standing.returned_ns = standing.acknowledged_ns = standing.cleared_ns = 0
        standing.by = standing.comment = ""
        if standing.occurrence:
            known = self._occurrences[standing.occurrence]
            self._occurrences[known.id] = replace(known, returned_ns=None)
            return
        self._occurrence += 1
        standing.occurrence, standing.raised_ns = self._occurrence, time_ns
        self._open[self._occurrence] = alarm.key
        self._occurrences[self._occurrence] = self._new_occurrence(alarm, self._occurrence, time_ns, standing.value)

    def _new_occurrence(
        self, alarm: Alarm, number: int, raised_ns: int, value: Value, *, replayed: bool = False
    ) -> Occurrence:
        spec = alarm.spec
        return Occurrence(
            number,
            alarm.key,
            alarm.path,
            alarm.asset,
            alarm.zone,
            spec.name,
            spec.kind,
            spec.priority,
            filled(spec.message, alarm, value, spec.limit),
            value,
            spec.unit,
            spec.limit,
            raised_ns,
            None,
            None,
            None,
            "",
            replayed,
        )

    def _close(self, key: str, standing: Standing, time_ns: int) -> None:
        """The occurrence is over."""
        occurrence = self._occurrences.pop(standing.occurrence, None)
        self._open.pop(standing.occurrence, None)
        standing.cleared_ns, standing.occurrence = time_ns, 0
        if occurrence is not None:
            self._pending.occurrences[occurrence.id] = replace(
                occurrence, cleared_ns=time_ns, returned_ns=occurrence.returned_ns or time_ns
            )

    def _write(
        self,
        alarm: Alarm,
        occurrence: Occurrence | None,
        before: State,
        after: State,
        trigger: Trigger,
        time_ns: int,
        value: Value,
        *,
        by: str = "",
        comment: str = "",
        replayed: bool = False,
    ) -> None:
        """One line of the journal."""
        spec = alarm.spec
        self._seq += 1
        message = occurrence.message if occurrence is not None else filled(spec.message, alarm, value, spec.limit)
        change = AlarmChange(
            self._seq,
            occurrence.id if occurrence is not None else 0,
            alarm.key,
            alarm.path,
            alarm.asset,
            alarm.zone,
            spec.priority,
            message,
            before,
            after,
            time_ns,
            value,
            spec.unit,
            spec.limit,
            by,
            replayed,
        )
        self._pending.journal.append(Entry(change, trigger, spec.name, spec.kind, comment[:500], self._clock.now_ns()))
        self._bump()
        self._dirty.set()

    def _keep(self, key: str, standing: Standing) -> None:
        """Remember how it stands, and store it with the next commit."""
        if standing.plain:
            self._standings.pop(key, None)
            self._extra.pop(key, None)
            if self._reported.pop(key, None) is not None:
                self._pending.reported[key] = None
            if self._definitions[0] >= 0 and key not in self._judge.place:
                self._declared += 1
        else:
            self._standings[key] = standing
        self._show(key, standing)
        self._pending.standings[key] = standing.copied()
        self._dirty.set()

    def _settle(self, key: str, time_ns: int, *, by: str = "", comment: str = "") -> bool:
        """Set it aside, or let it back, as its reasons ask."""
        standing = self._standings[key]
        alarm = self._alarm(key)
        (self._timed.add if standing.shelved_until_ns or standing.removed_until_ns else self._timed.discard)(key)
        trigger = settle(standing, alarm.spec.latch)
        if trigger is None:
            self._keep(key, standing)
            return False
        if standing.held:
            standing.held = False
            self._held.pop(key, None)
        return self._fire(key, trigger, time_ns, by=by, comment=comment)

    def _alarm(self, key: str) -> Alarm:
        place = self._judge.place.get(key)
        if place is not None:
            return self._judge.alarms[place]
        found = self._extra.get(key)
        if found is None:  # declared no more: what its occurrence said of it is left
            known = self._occurrences.get(self._standings[key].occurrence)
            path, _, name = key.rpartition("#")
            spec = AlarmSpec(
                name,
                known.kind if known else "",
                known.priority if known else "low",
                known.message if known else key,
                known.unit if known else "",
                known.limit if known else None,
            )
            found = Alarm(key, path, known.asset if known else path, known.zone if known else "", "", spec)
        return found

    # --- time --------------------------------------------------------------------------------------------------------

    async def tick(self) -> None:
        """Time went on: delays, shelves that end, and what came late and has no more behind it."""
        if not self._begun.is_set():
            return
        async with self._lock:
            now_ns, monotonic_ns = self._clock.now_ns(), self._clock.monotonic_ns()
            silent = monotonic_ns - self._heard_ns
            if self._resync:
                if silent < QUIET_NS:
                    return
                self._set_active()
            if silent > QUIET_NS or self.newest_ns > now_ns - LATE_NS:
                await self._apply(self._judge.tick(now_ns - BEHIND_NS), 0)
            if self._held and silent > QUIET_NS:
                self._release("", every=True)
            if self._judge.late_open and monotonic_ns - self._late_ns > QUIET_NS:
                await self._apply(self._judge.end_late(), 0)
            for key in [k for k in self._timed if self._is_due(self._standings[k], now_ns)]:
                standing = self._standings[key]
                if 0 < standing.shelved_until_ns <= now_ns:
                    standing.shelved_until_ns = 0
                if 0 < standing.removed_until_ns <= now_ns:
                    standing.removed, standing.removed_until_ns = False, 0
                self._settle(key, now_ns, comment="its time was up")
            self._wake()

    @staticmethod
    def _is_due(standing: Standing, now_ns: int) -> bool:
        return 0 < standing.shelved_until_ns <= now_ns or 0 < standing.removed_until_ns <= now_ns

    def mark_due(self) -> bool:
        """Whether it is time for a mark."""
        return self._clock.monotonic_ns() - self._marked_ns >= MARK_S * NS_PER_S

    async def mark(self) -> int:
        """Store how the judge stands; the number of the stream up to which the bus may forget."""
        async with self._lock:
            if self._resync:
                return 0
            captured, taken, seq = self._judge.capture(), dict(self._taken), self._stream_seq
            self._marked_ns = self._clock.monotonic_ns()
        await self.flush()
        data = await asyncio.to_thread(captured.pack)
        await asyncio.to_thread(self._store.save_mark, seq, taken, data)
        return seq

    # --- storing and telling -----------------------------------------------------------------------------------------

    async def flush(self) -> None:
        """Store everything that happened up to now; several who ask at once share one commit."""
        async with self._committing:
            async with self._lock:  # never between two changes of one frame
                pending, self._pending = self._pending, Pending()
                pending.cursor = dict(self._taken) if not self._resync else {}
            if not pending:
                return
            try:
                await asyncio.to_thread(self._store.write, pending)
            except BaseException:
                async with self._lock:
                    self._pending = pending.before(self._pending)
                raise
            self._done = self._done | pending.cursor
        for _, stored in self._listeners:
            stored.set()

    async def run(self) -> None:
        """Commits, time, and listeners; until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._commit(), name="alarms-commit")
            group.create_task(self._pass_time(), name="alarms-time")
            for listener, stored in self._listeners:
                group.create_task(self._tell(listener, stored), name=f"alarms-{listener.name}")

    async def _commit(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self.flush()
            except Exception as error:
                if not self._complaint:
                    self._log.warning("alarms are not stored: %s", error)
                self._complaint = str(error) or type(error).__name__
                await asyncio.sleep(RETRY_S)
                self._dirty.set()
            else:
                if self._complaint:
                    self._log.info("alarms are stored again")
                self._complaint = ""

    async def _pass_time(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            await self.tick()

    def feed(self, listener: AlarmListener) -> None:
        """Somebody who hears every change that is stored; before ``run``."""
        self._listeners.append((listener, asyncio.Event()))

    async def _tell(self, listener: AlarmListener, stored: asyncio.Event) -> None:
        """From where it has stored, in order, for ever."""
        failed = False
        while True:
            stored.clear()
            try:
                after = await listener.after()
                while changes := await asyncio.to_thread(self._store.after, after, FEED):
                    await listener.heard(changes)
                    after = changes[-1].seq
            except Exception as error:
                if not failed:
                    self._log.warning("%s does not hear of alarms: %s", listener.name, error or type(error).__name__)
                failed = True
                await asyncio.sleep(RETRY_S)
                continue
            if failed:
                self._log.info("%s hears of alarms again", listener.name)
            failed = False
            await stored.wait()

    def _bump(self) -> None:
        self._version += 1

    def _wake(self) -> None:
        """Whoever waits for another version looks."""
        self._news.set()
        self._news = asyncio.Event()

    # --- what people see ---------------------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """Grows with each change."""
        return self._version

    @property
    def state(self) -> str:
        """Empty when all is well, else why nothing is stored."""
        return self._complaint

    async def wait(self, version: int, timeout_s: float) -> int:
        """The version as soon as it is another one, or when the time is up."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._version == version:
                    await self._news.wait()
        except TimeoutError:
            pass
        return self._version

    def rows(
        self,
        *,
        under: str = "",
        states: Sequence[State] = (),
        priorities: Sequence[str] = (),
        limit: int = 500,
        sight: Sees | None = None,
        newest: bool = False,
    ) -> list[AlarmRow]:
        """Alarms that are not normal: unacknowledged first, then by priority, then the newest; or the newest of all first.

        Cost: 0.3 µs for each that is not normal (1 µs where a part is asked for), 5 µs for each that is told
        """
        found = self._wanted(under, states, priorities, sight)
        chosen = nsmallest(limit, found, key=self._newest_first) if newest else nsmallest(limit, found)
        return [self._row(place[3]) for place in chosen]

    def total(
        self,
        *,
        under: str = "",
        states: Sequence[State] = (),
        priorities: Sequence[str] = (),
        sight: Sees | None = None,
    ) -> int:
        """How many rows there would be without a limit."""
        return len(self._wanted(under, states, priorities, sight))

    def _wanted(
        self, under: str, states: Sequence[State], priorities: Sequence[str], sight: Sees | None
    ) -> Collection[Place]:
        if not (under or states or priorities or sight is not None):
            return self._board.values()

        def wanted(place: Place) -> bool:
            if (states and place[4] not in states) or (priorities and PRIORITIES[place[1]] not in priorities):
                return False
            path = self._alarm(place[3]).path
            return is_under(path, under) and (sight is None or sight.path(path))

        return [place for place in self._board.values() if wanted(place)]

    def _newest_first(self, place: Place) -> tuple[int, str]:
        standing = self._standings[place[3]]
        return -(standing.raised_ns or standing.changed_ns), place[3]

    def _show(self, key: str, standing: Standing) -> None:
        """Put it where it belongs on the board, or take it away."""
        if standing.state is State.NORMAL:
            self._board.pop(key, None)
            return
        rank = _RANK[self._alarm(key).spec.priority]
        self._board[key] = (standing.state not in _WANTING, rank, -standing.changed_ns, key, standing.state)

    def _show_all(self) -> None:
        self._board = {}
        for key, standing in self._standings.items():
            self._show(key, standing)

    def paths(self, occurrences: Iterable[int]) -> dict[int, str]:
        """Where those of these occurrences are that have not cleared."""
        return {number: self._alarm(key).path for number in occurrences if (key := self._open.get(number)) is not None}

    def path_of(self, key: str) -> str | None:
        """Where an alarm is that another room reported; None when it is over."""
        known = self._extra.get(key)
        return None if known is None else known.path

    def _row(self, key: str) -> AlarmRow:
        alarm, standing = self._alarm(key), self._standings[key]
        spec = alarm.spec
        occurrence = self._occurrences.get(standing.occurrence)
        until_ns = standing.removed_until_ns if standing.removed else standing.shelved_until_ns
        return AlarmRow(
            occurrence=standing.occurrence,
            alarm=alarm.key,
            path=alarm.path,
            asset=alarm.asset,
            zone=alarm.zone,
            name=spec.name,
            kind=spec.kind,
            message=occurrence.message if occurrence else filled(spec.message, alarm, standing.value, spec.limit),
            priority=spec.priority,
            state=standing.state,
            value=standing.value,
            unit=spec.unit,
            limit=spec.limit,
            raised_ns=standing.raised_ns or None,
            changed_ns=standing.changed_ns or None,
            returned_ns=standing.returned_ns or None,
            cleared_ns=standing.cleared_ns or None,
            acknowledged_ns=standing.acknowledged_ns or None,
            by=standing.by,
            comment=standing.comment,
            shelved_until_ns=until_ns or None,
            reason=standing.reason,
            cause=spec.cause,
            consequence=spec.consequence,
            response=spec.response,
            response_s=spec.response_s,
            latched=spec.latch,
        )

    def counts(self, sight: Sees | None = None) -> Counts:
        """How many there are, or how many of them somebody sees.

        Cost: 0.2 µs for each that is not normal, once in a version; 1 µs each time for who sees a part
        """
        if sight is None and self._counted[0] == self._version:
            return self._counted[1]
        states: Counter[State] = Counter()
        priorities, wanting = dict.fromkeys(PRIORITIES, 0), dict.fromkeys(PRIORITIES, 0)
        seen = (
            (place[4], place[1])
            for place in self._board.values()
            if sight is None or sight.path(self._alarm(place[3]).path)
        )
        for (state, rank), many in Counter(seen).items():
            states[state] += many
            if state not in ASIDE:
                priorities[PRIORITIES[rank]] += many
                wanting[PRIORITIES[rank]] += many if state in _WANTING else 0
        counts = Counts(dict(states), priorities, wanting)
        if sight is None:
            self._counted = (self._version, counts)
        return counts

    async def journal(
        self,
        start_ns: int,
        end_ns: int,
        *,
        under: str = "",
        alarm: str = "",
        limit: int = 1000,
        before: int = 2**63 - 1,
    ) -> list[Entry]:
        """Changes with a time in [start, end) and a number below ``before``, the last first."""
        before = min(before, 2**63 - 1)
        return await asyncio.to_thread(self._store.journal, start_ns, end_ns, under, alarm, limit, before)

    async def occurrences(
        self, start_ns: int, end_ns: int, *, under: str = "", alarm: str = "", limit: int = 100_000
    ) -> list[Occurrence]:
        """What was raised, or had not cleared, in [start, end); raised last first."""
        return await asyncio.to_thread(self._store.occurrences, start_ns, end_ns, under, alarm, limit)

    def definitions(self, under: str = "") -> list[Definition]:
        """Every alarm that is judged, and those other rooms report, by key. Cost: 5 µs each once in a version of the plant"""
        version, known, places = self._definitions
        if version != self._declared:
            alarms = [
                *zip(self._judge.alarms, self._plant.alarms, strict=True),
                *((a, a) for a in self._extra.values()),
            ]
            known = [self._definition(now, said) for now, said in alarms]
            places = {one.key: i for i, one in enumerate(known)}
            self._definitions = (self._declared, known, places)
        found = list(known)
        for key, standing in self._standings.items():
            if key in places and standing.state is not State.NORMAL:
                found[places[key]] = replace(found[places[key]], state=standing.state)
        return [one for one in found if is_under(one.path, under)] if under else found

    def _definition(self, alarm: Alarm, said: Alarm) -> Definition:
        changed = self._changes.get(alarm.key)
        values = {name: getattr(alarm.spec, name) for name in CHANGEABLE}
        declared = {name: getattr(said.spec, name) for name in (changed.values if changed else ())}
        return Definition(
            alarm=None if alarm.key in self._extra else said,
            key=alarm.key,
            path=alarm.path,
            asset=alarm.asset,
            zone=alarm.zone,
            name=alarm.spec.name,
            kind=alarm.spec.kind,
            values=values,
            declared={name: value for name, value in declared.items() if value != values[name]},
            changed_by=changed.by if changed else "",
            changed_ns=changed.changed_ns if changed else None,
            change_reason=changed.reason if changed else "",
            state=State.NORMAL,
        )

    # --- what people do ----------------------------------------------------------------------------------------------

    async def acknowledge(self, who: Person, occurrences: Sequence[int], comment: str = "") -> list[int]:
        """Somebody has seen these and takes care of them; the ones that this changed."""

        def act(key: str) -> bool:
            latches = self._alarm(key).spec.latch
            trigger = Trigger.ACKNOWLEDGED_LATCHED if latches else Trigger.ACKNOWLEDGED
            return self._fire(key, trigger, self._clock.now_ns(), by=who.name, comment=comment[:500])

        return await self._act_on(occurrences, act)

    async def reset(self, who: Person, occurrences: Sequence[int]) -> list[int]:
        """Let latched alarms go whose condition is over and that somebody acknowledged; the ones that this changed."""
        return await self._act_on(
            occurrences, lambda key: self._fire(key, Trigger.RESET, self._clock.now_ns(), by=who.name)
        )

    async def _act_on(self, occurrences: Sequence[int], act: Callable[[str], bool]) -> list[int]:
        done: list[int] = []
        async with self._lock:
            self._check_begun()
            for n, number in enumerate(occurrences, 1):
                key = self._open.get(number)  # unknown: it cleared meanwhile
                if key is not None and act(key):
                    done.append(number)
                if not n % AT_ONCE:
                    await asyncio.sleep(0)
            self._wake()
        await self._stored()
        return done

    async def shelve(self, who: Person, alarms: Sequence[str], until_ns: int, reason: str) -> list[str]:
        """Call nobody for them until then.

        Raises: ConfigError for an alarm that does not exist, no reason, or an end that is over or too far
        """
        now_ns = self._clock.now_ns()
        if not now_ns < until_ns <= now_ns + round((MAX_SHELVE_S + 60) * NS_PER_S):
            hours = MAX_SHELVE_S / 3600
            raise ConfigError(f"until: must lie ahead and within {hours:g} h, was {(until_ns - now_ns) / 3600e9:g} h")
        _need_reason(reason)

        def act(key: str, standing: Standing) -> bool:
            standing.shelved_until_ns, standing.shelved_by = until_ns, who.name
            if not standing.removed:
                standing.reason = reason[:500]
            self._settle(key, self._clock.now_ns(), by=who.name, comment=reason)
            return True

        return await self._act_with(alarms, act)

    async def unshelve(self, who: Person, alarms: Sequence[str]) -> list[str]:
        """Take them back before their time; the ones that were shelved."""

        def act(key: str, standing: Standing) -> bool:
            if not standing.shelved_until_ns:
                return False
            standing.shelved_until_ns, standing.shelved_by = 0, ""
            self._settle(key, self._clock.now_ns(), by=who.name)
            return True

        return await self._act_with(alarms, act)

    async def out_of_service(
        self, who: Person, alarms: Sequence[str], reason: str, until_ns: int | None = None
    ) -> list[str]:
        """Judge them no more for people, until then or until somebody puts them back.

        Raises: ConfigError for an alarm that does not exist, no reason, or an end that is over
        """
        if until_ns is not None and until_ns <= self._clock.now_ns():
            raise ConfigError("until: must lie ahead")
        _need_reason(reason)

        def act(key: str, standing: Standing) -> bool:
            standing.removed, standing.removed_until_ns = True, until_ns or 0
            standing.removed_by, standing.reason = who.name, reason[:500]
            self._settle(key, self._clock.now_ns(), by=who.name, comment=reason)
            return True

        return await self._act_with(alarms, act)

    async def in_service(self, who: Person, alarms: Sequence[str]) -> list[str]:
        """Put them back; the ones that were out of service."""

        def act(key: str, standing: Standing) -> bool:
            if not standing.removed:
                return False
            standing.removed, standing.removed_until_ns, standing.removed_by = False, 0, ""
            self._settle(key, self._clock.now_ns(), by=who.name)
            return True

        return await self._act_with(alarms, act)

    async def _act_with(self, alarms: Sequence[str], act: Callable[[str, Standing], bool]) -> list[str]:
        done: list[str] = []
        async with self._lock:
            self._check_begun()
            for key in alarms:
                self._check_known(key)
            for n, key in enumerate(alarms, 1):
                standing = self._standings.get(key) or Standing()
                self._standings[key] = standing
                if act(key, standing):
                    done.append(key)
                if standing.plain:
                    self._standings.pop(key, None)
                if not n % AT_ONCE:
                    await asyncio.sleep(0)
            self._wake()
        await self._stored()
        return done

    def _check_begun(self) -> None:
        if not self._begun.is_set():
            raise TryLater("alarms are being read; try again in a moment")

    def _check_known(self, key: str) -> None:
        if key not in self._judge.place and key not in self._extra:
            raise ConfigError(f"alarms: no such alarm, was {key[:200]!r}")

    async def _stored(self) -> None:
        """Until what was done is durable.

        Raises: TryLater where it cannot be stored: it is in force, and stored as soon as there is room
        """
        try:
            await self.flush()
        except Exception as error:
            self._dirty.set()
            raise TryLater(f"this is in force, but could not be stored yet: {error}") from error

    async def change(self, who: Person, alarm: str, values: Mapping[str, Any], reason: str) -> Definition:
        """Judge an alarm by other numbers from now on; what is as the plant file says is changed no more.

        Raises: ConfigError for an alarm the plant file does not declare, or values that make no sense
        """
        _need_reason(reason)
        async with self._lock:
            self._check_begun()
            place = self._judge.place.get(alarm)
            if place is None:
                raise ConfigError(f"alarm: the plant file declares no such alarm, was {alarm[:200]!r}")
            said = self._plant.alarms[place]
            before = self._changes.get(alarm)
            wanted = {**(before.values if before else {}), **values}
            self._check_values(said, wanted)
            differing = {name: value for name, value in wanted.items() if value != getattr(said.spec, name)}
            now_ns = self._clock.now_ns()
            if differing:
                changed = Changed(differing, who.name, reason[:500], now_ns)
                self._changes[alarm] = self._pending.changes[alarm] = changed
            else:
                self._changes.pop(alarm, None)
                self._pending.changes[alarm] = None
            self._declared += 1
            await self._apply(self._judge.retune(place, self._in_force(said), now_ns), 0)
            self._bump()
            self._wake()
            found = self._definition(self._judge.alarms[place], said)
            standing = self._standings.get(alarm)
            if standing is not None:
                self._show(alarm, standing)  # its priority may be another one now
        await self._stored()
        return replace(found, state=standing.state if standing else State.NORMAL)

    def _check_values(self, said: Alarm, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if name not in CHANGEABLE:
                raise ConfigError(f"values.{name}: cannot be changed at run time, known are {', '.join(CHANGEABLE)}")
            if name == "priority":
                if value not in PRIORITIES:
                    raise ConfigError(f"values.priority: must be one of {', '.join(PRIORITIES)}, was {value!r}")
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
                raise ConfigError(f"values.{name}: must be a number, was {value!r}")
            if name in ("limit", "deadband") and said.spec.limit is None:
                raise ConfigError(f"values.{name}: an alarm of kind {said.spec.kind} has none")
            if name != "limit" and value < 0:
                raise ConfigError(f"values.{name}: may not be negative, was {value:g}")
            if name.endswith("_delay_s") and value > MAX_DELAY_S:
                raise ConfigError(f"values.{name}: must be at most 1 d, was {value:g} s")
        if "limit" in values and said.spec.kind in LIMITS:
            self._check_order(said, values["limit"])
        elif "limit" in values and values["limit"] < 0:
            raise ConfigError(f"values.limit: may not be negative, was {values['limit']:g}")

    def _check_order(self, said: Alarm, limit: float) -> None:
        """Limits of one tag stay in their order."""
        for rank, name in enumerate(LIMITS):
            place = self._judge.place.get(f"{said.path}#{name}")
            other = self._judge.alarms[place].spec.limit if place is not None and name != said.spec.kind else None
            if other is None:
                continue
            above = rank < LIMITS.index(said.spec.kind)
            if (limit >= other) if above else (limit <= other):
                word = "below" if above else "above"
                raise ConfigError(f"values.limit: must be {word} {name} ({other:g}), was {limit:g}")

    # --- what other rooms know ---------------------------------------------------------------------------------------

    async def report(self, alarm: Reported, *, active: bool, time_ns: int) -> None:
        """Another room says that it holds, or does no more; durable when this returns."""
        await self._begun.wait()
        if alarm.priority not in PRIORITIES:
            raise ConfigError(f"priority: must be one of {', '.join(PRIORITIES)}, was {alarm.priority!r}")
        async with self._lock:
            standing = self._standings.get(alarm.key)
            if active and (standing is None or not standing.active):
                self._extra[alarm.key] = self._alarm_of(alarm)
                self._reported[alarm.key] = self._pending.reported[alarm.key] = alarm
                self._declared += 1
                self._raised(self._extra[alarm.key], standing or Standing(), time_ns, None, held=False)
            elif not active and standing is not None and standing.active:
                self._returned(self._extra[alarm.key], standing, time_ns, time_ns)
            self._wake()
        await self.flush()

    def reported(self) -> frozenset[str]:
        """Keys of what other rooms reported and that is not over."""
        return frozenset(key for key in self._reported if key in self._standings and self._standings[key].active)

    def _alarm_of(self, reported: Reported) -> Alarm:
        tag = self._plant.by_path.get(reported.path)
        asset = tag.asset if tag is not None else reported.path
        zone = next((a.zone for a in self._plant.assets if a.path == asset), "")
        spec = AlarmSpec(
            reported.key,
            "reported",
            reported.priority,
            reported.message,
            cause=reported.cause,
            consequence=reported.consequence,
            response=reported.response,
        )
        return Alarm(reported.key, reported.path, asset, zone, "", spec)


def _need_reason(reason: str) -> None:
    if not reason.strip():
        raise ConfigError("reason: must say why")

"""Finds changes of guarded points that nobody recorded: neither a write of ours, nor the journal of the edge, nor somebody
who operates the machine itself.

It hears every live frame. What a point showed last and could be explained is kept in the records together with the cursor,
so that neither a restart nor a link that comes back looks like a change, and none is missed over them. A value that differs
waits until the edge's journal was asked and the inputs of `local` had their turn, and is judged then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from isthmus.control import store
from isthmus.control.lines import Lines
from isthmus.control.model import Asker, Change, Refusal, Stage, Write, same_value
from isthmus.namespace.model import Plant, Tag
from isthmus.ports.alarms import AlarmReports
from isthmus.ports.audit import Audit
from isthmus.ports.frames import Arrived, Cursor, Position
from isthmus.values import status
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import IsthmusError
from isthmus.values.expression import Expression, ExpressionError, compile_expression
from isthmus.values.frame import Lane
from isthmus.values.messages.alarms import Reported
from isthmus.values.messages.control import Written
from isthmus.values.model import WritePoint
from isthmus.values.sample import SampleBatch, ValueType

CURSOR_EVERY_S = 5.0
"""The cursor is stored this often where nothing changed: those frames have no effect when they come again."""
SLACK_S = 2.0
"""The clocks of core and edge may differ by so much, and a command may be so long under way."""
JUDGE_EVERY_S = 0.1
IDLE_S = 5.0
PATIENCE_S = 5.0
"""A change is judged after so long also when the edge has fallen silent, or its journal cannot be asked."""
_SLACK_NS = round(SLACK_S * NS_PER_S)
KEPT_TURNS = 64
"""Turns of a local switch that are remembered for each point."""
KEPT_DOUBTS = 32

Held = Callable[[int], tuple[float, int, int] | None]
"""What core's live table has of a tag: value, status, time. None for a text, or where there never was anything."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How a tag comes to its value: what its device and its binding can tell apart. Units: in the tag's unit"""

    factor: float = 1.0
    offset: float = 0.0
    deadband: float = 0.0


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A value that differs and is not judged yet.

    Units: before_ns is when the value before was seen last, time_ns when this one was first, by the samples; seen_ns by core's
    clock
    """

    before: Written | None
    before_ns: int
    value: Written
    time_ns: int
    seen_ns: int


@dataclass(slots=True)
class _Guarded:
    """One point, and what it showed last."""

    point: WritePoint
    tag: Tag  # the point
    shown: Tag  # the tag that shows it: its read-back, or itself
    tolerance: float
    signature: str
    grace_s: float
    local: Expression | None
    value: Written | None = None
    time_ns: int = 0
    doubts: list[_Doubt] = field(default_factory=list)  # in their order
    inputs: dict[int, tuple[float, int]] = field(default_factory=dict)  # of local: value and status by tag
    turns: list[tuple[int, bool]] = field(
        default_factory=list
    )  # when it came to be operated at the machine, and when not

    def kept(self) -> dict[str, Any]:
        """What outlives a restart."""
        said: dict[str, Any] = {"signature": self.signature, "value": self.value, "time_ns": self.time_ns}
        said |= {"inputs": {str(tag): list(held) for tag, held in self.inputs.items()}, "turns": self.turns}
        return said | {"doubts": [asdict(doubt) for doubt in self.doubts]}

    def restore(self, said: Mapping[str, Any]) -> None:
        """Inverse of ``kept``; nothing where the tag is not what it was."""
        if said.get("signature") != self.signature:
            return
        self.value, self.time_ns = said["value"], said["time_ns"]
        self.inputs = {int(tag): (held[0], held[1]) for tag, held in said["inputs"].items()}
        self.turns = [(at, is_local) for at, is_local in said["turns"]]
        self.doubts = [_Doubt(**doubt) for doubt in said["doubts"]]

    @property
    def newest(self) -> tuple[Written | None, int]:
        """What it showed last, and when, judged or not."""
        return (self.doubts[-1].value, self.doubts[-1].time_ns) if self.doubts else (self.value, self.time_ns)


class Watch:
    """A `ports.frames.FrameSink` on the live lanes."""

    name = "control-watch"
    lanes = frozenset({Lane.LIVE})

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        accepted: Callable[[int], Sequence[Write]],
        lines: Lines,
        reports: AlarmReports,
        audit: Audit,
        log: logging.Logger,
        held: Held = lambda _: None,
    ) -> None:
        self._held = held
        self._engine, self._clock, self._accepted, self._lines = engine, clock, accepted, lines
        self._reports, self._audit, self._log = reports, audit, log
        self._points: dict[int, _Guarded] = {}  # by the tag of the point
        self._shown: dict[int, list[_Guarded]] = {}  # by the tag that shows it
        self._inputs: dict[int, list[_Guarded]] = {}  # by inputs of local
        self._wanted = np.zeros(1, np.bool_)
        self._cursor: Cursor = {}
        self._stream, self._place = 0, 0  # which stream of the bus, and how far
        self._stored_ns = 0
        self._edge_ns: dict[str, int] = {}  # how far the frames of each edge have come, by its clock
        self._lock = asyncio.Lock()
        self._doubtful = asyncio.Event()
        self._unreported = True

    @property
    def busy(self) -> bool:
        """Whether there is anything to watch."""
        return bool(self._points)

    async def describe(self, plant: Plant, scales: Mapping[int, Scale]) -> None:
        """Watch the guarded points of a plant. What they showed is taken up again where they are what they were."""
        async with self._lock:
            points = [p for p in plant.points if p.guarded and p.tag in plant.by_id]
            found = [_guarded(plant, point, scales) for point in points]
            await asyncio.to_thread(self._restore, found)
            self._arrange(found)

    def _restore(self, found: Sequence[_Guarded]) -> None:
        with self._engine.begin() as db:
            store.save_watch(db, {tag: one.kept() for tag, one in self._points.items()})
            kept = store.load_watch(db)
            self._cursor = store.load_cursor(db) | self._cursor
        for one in found:
            one.restore(kept.get(one.tag.id, {}))

    def _arrange(self, found: Sequence[_Guarded]) -> None:
        self._points = {one.tag.id: one for one in found}
        self._shown, self._inputs = {}, {}
        for one in found:
            self._shown.setdefault(one.shown.id, []).append(one)
            for tag in _inputs_of_local(one):
                self._inputs.setdefault(tag, []).append(one)
                known = self._held(tag)
                if tag not in one.inputs and known is not None:
                    _turn(one, tag, *known)
        ids = [*self._shown, *self._inputs]
        self._wanted = np.zeros(max(ids, default=0) + 1, np.bool_)
        self._wanted[ids] = True

    async def begin(self, stream: int, newest: int) -> int:
        """From which number of a stream of the bus frames are wanted: behind what was watched; a first watch begins now."""

        def load() -> tuple[int, int] | None:
            with self._engine.begin() as db:
                return store.load_place(db)

        kept = await asyncio.to_thread(load)
        self._stream = stream
        if kept is None:
            self._place = newest
        else:
            self._place = min(kept[1], newest) if kept[0] == stream else 0
        return self._place + 1

    async def forget(self) -> None:
        """Nothing is watched any more."""

        def drop() -> None:
            with self._engine.begin() as db:
                store.drop_place(db)

        await asyncio.to_thread(drop)

    async def cursor(self) -> Cursor:
        """What is stored, or had no effect."""
        return dict(self._cursor)

    async def take(self, arrived: Sequence[Arrived]) -> None:
        """Look at frames in order. When this returns, what they changed is stored."""
        async with self._lock:
            fresh = [a for a in arrived if a.frame.lane is Lane.LIVE and a.position > self._known(a)]
            touched: set[int] = set()
            for one in fresh:
                for batch in one.frame.batches:
                    touched |= self._look(batch)
                self._cursor[one.key] = one.position
                self._edge_ns[one.edge] = one.frame.sealed_ns
            self._place = arrived[-1].stream_seq if arrived else self._place
            await self._keep(touched)
        if any(one.doubts for one in self._points.values()):
            self._doubtful.set()

    def _known(self, one: Arrived) -> Position:
        return self._cursor.get(one.key, Position(-1, -1))

    async def _keep(self, touched: set[int]) -> None:
        now_ns = self._clock.monotonic_ns()
        if not touched and now_ns - self._stored_ns < CURSOR_EVERY_S * NS_PER_S:
            return
        said = {tag: self._points[tag].kept() for tag in touched}
        moved, stream, place = dict(self._cursor), self._stream, self._place

        def save() -> None:
            with self._engine.begin() as db:
                store.save_watch(db, said)
                store.save_cursor(db, moved)
                store.save_place(db, stream, place)

        await asyncio.to_thread(save)
        self._stored_ns = now_ns

    # looking

    def _look(self, batch: SampleBatch) -> set[int]:
        """Take the rows that concern somebody; which points changed by it."""
        wanted = self._wanted
        ids = batch.id
        inside = (ids >= 0) & (ids < len(wanted))
        rows: NDArray[np.intp] = np.flatnonzero(inside & wanted[np.where(inside, ids, 0)])
        touched: set[int] = set()
        for row in rows.tolist():
            tag, at, code = int(ids[row]), int(batch.time_ns[row]), int(batch.status[row])
            value: Written = batch.value[row].item()
            if batch.type is ValueType.TEXT:
                value = batch.text[int(value)]
            for one in self._inputs.get(tag, ()):
                if not isinstance(value, str) and _turn(one, tag, value, code, at):
                    touched.add(one.tag.id)
            if code & status.SEVERITY_MASK:
                continue  # what is not good says nothing; what was known stays known
            for one in self._shown.get(tag, ()):
                if self._sees(one, value, at):
                    touched.add(one.tag.id)
        return touched

    def _sees(self, one: _Guarded, value: Written, time_ns: int) -> bool:
        """A good value of a point; whether there is something to keep."""
        newest, newest_ns = one.newest
        if time_ns < newest_ns:
            return False
        if newest is None:
            one.value, one.time_ns = value, time_ns  # the first there is: nothing to differ from
            return True
        if same_value(value, newest, one.tolerance):
            if not one.doubts:
                one.time_ns = time_ns
            return False
        if len(one.doubts) >= KEPT_DOUBTS:
            one.doubts[-1] = replace(one.doubts[-1], value=value, time_ns=time_ns)
        else:
            one.doubts.append(_Doubt(newest, newest_ns, value, time_ns, self._clock.now_ns()))
        return True

    # judging

    async def run(self) -> None:
        """Until cancelled: judge what waits, and tell the alarm list."""
        while True:
            waits = self._unreported or any(one.doubts for one in self._points.values())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(JUDGE_EVERY_S if waits else IDLE_S):
                    await self._doubtful.wait()
            self._doubtful.clear()
            await self.judge()

    async def judge(self) -> None:
        """Judge everything that is ripe."""
        doubtful = [one for one in self._points.values() if one.doubts]
        edges = {one.tag.edge for one in doubtful if not self._explained(one, 0)}
        pulled = await asyncio.gather(*(self._lines.pull(edge) for edge in edges))
        asked = {edge for edge, known in zip(edges, pulled, strict=True) if known}
        async with self._lock:
            changes: list[Change] = []
            settled: set[int] = set()
            for one in doubtful:
                if self._points.get(one.tag.id) is not one:
                    continue  # another plant was described meanwhile
                while one.doubts:
                    judged, change = self._judged(one, one.tag.edge in asked or one.tag.edge not in edges)
                    if not judged:
                        break
                    settled.add(one.tag.id)
                    changes += [change] if change is not None else []
            if settled:
                await self._conclude(changes, settled)
        if self._unreported:
            await self._report()

    def _judged(self, one: _Guarded, asked: bool) -> tuple[bool, Change | None]:
        """Whether the first doubt can be judged now, and what it turned out to be; None where a record explains it."""
        doubt = one.doubts[0]
        if self._explained(one, 0):
            return True, self._settle(one)
        if self._locally(one, doubt):
            return True, self._settle(one, "local")
        waited_s = (self._clock.now_ns() - doubt.seen_ns) / NS_PER_S
        patience_s = one.grace_s + PATIENCE_S
        heard = self._edge_ns.get(one.tag.edge, 0) >= doubt.time_ns + round(one.grace_s * NS_PER_S)
        if waited_s < patience_s and not (asked and heard):
            return False, None
        over_ns = self._on_its_way(one, doubt)
        if over_ns and self._clock.now_ns() < over_ns:
            return False, None
        return True, self._settle(one, "unexplained")

    def _settle(self, one: _Guarded, kind: str = "") -> Change | None:
        doubt = one.doubts.pop(0)
        one.value, one.time_ns = doubt.value, doubt.time_ns
        if not kind:
            return None
        state = "open" if kind == "unexplained" else "recorded"
        return Change(
            0, one.tag.path, one.tag.id, kind, state, doubt.before, doubt.value, one.tag.unit, doubt.time_ns,
            self._clock.now_ns(),
        )  # fmt: skip

    def _explained(self, one: _Guarded, place: int) -> bool:
        """Whether a record tells where a doubtful value comes from."""
        doubt, writes = one.doubts[place], self._accepted(one.tag.id)
        for write in writes:
            if self._made(one, doubt, write, last=write is writes[-1]):
                return True
            passed = _between(doubt.value, doubt.before, write.value) and doubt.time_ns >= write.sent_ns - _SLACK_NS
            later = one.doubts[place + 1 :]
            if passed and any(self._made(one, d, write, last=write is writes[-1]) for d in later):
                return True  # it was on its way there, and arrived
        return any(
            same_value(doubt.value, value, one.tolerance)
            and doubt.before_ns - _SLACK_NS <= at <= doubt.time_ns + _SLACK_NS
            for at, value in self._lines.written(one.tag.id)
        )

    def _made(self, one: _Guarded, doubt: _Doubt, write: Write, *, last: bool) -> bool:
        """Whether a write made a value: it is the one written, and the value before was seen until the write, not long after.

        Of a write whose end nobody knows, nobody knows either when it took effect, until there is a later one.
        """
        if not same_value(doubt.value, write.value, one.tolerance) or doubt.time_ns < write.sent_ns - _SLACK_NS:
            return False
        if write.state is not Stage.DONE and last:
            return True
        return doubt.before_ns <= self._over_ns(one, write)

    def _over_ns(self, one: _Guarded, write: Write) -> int:
        """Until when a write explains what is on its way."""
        since = max(write.done_ns, write.sent_ns)
        return since + round((SLACK_S + one.point.within_s + one.grace_s) * NS_PER_S)

    def _on_its_way(self, one: _Guarded, doubt: _Doubt) -> int:
        """Until when a value may be one between that before and one that was just written; 0 where it is none."""
        over = [
            self._over_ns(one, write)
            for write in self._accepted(one.tag.id)
            if _between(doubt.value, doubt.before, write.value)
            and write.sent_ns - _SLACK_NS <= doubt.time_ns <= self._over_ns(one, write)
        ]
        return max(over, default=0)

    def _locally(self, one: _Guarded, doubt: _Doubt) -> bool:
        """Whether the machine was operated by hand at some time within a poll of its switch before or after."""
        grace_ns = round(one.grace_s * NS_PER_S)
        found = False
        for at, is_local in one.turns:
            if at <= doubt.time_ns - grace_ns:
                found = is_local
            elif at <= doubt.time_ns + grace_ns:
                found = found or is_local
        return found

    async def _conclude(self, changes: list[Change], settled: set[int]) -> None:
        said = {tag: self._points[tag].kept() for tag in settled}

        def save() -> None:
            with self._engine.begin() as db:
                store.save_watch(db, said)
                for change in changes:
                    store.add_change(db, change)

        await asyncio.to_thread(save)
        for change in changes:
            self._audit.note(
                {"name": "", "proof": "system"},
                f"control.{change.kind}",
                change.path,
                before=change.before,
                value=change.value,
            )
            if change.kind == "unexplained":
                self._unreported = True
                self._log.warning(
                    "%s changed from %s to %s, and nothing explains it", change.path, change.before, change.value
                )

    # telling

    async def _report(self) -> None:
        """Tell the alarm list what it does not know, until it has it."""

        def load() -> list[tuple[Change, bool]]:
            with self._engine.begin() as db:
                return store.unreported(db)

        told = []
        for change, active in await asyncio.to_thread(load):
            at_ns = change.time_ns if change.state == "open" else change.accepted_ns or change.seen_ns
            try:
                await self._reports.report(_alarm(change), active=active, time_ns=at_ns)
            except IsthmusError as error:
                self._log.debug("alarm of %s: %s", change.path, error)
                return
            told.append(change.id)

        def save() -> None:
            with self._engine.begin() as db:
                store.set_reported(db, told)

        if told:
            await asyncio.to_thread(save)
        self._unreported = False

    async def changes(
        self, under: str = "", *, state: str = "", kind: str = "", before_ns: int | None = None, limit: int = 100
    ) -> list[Change]:
        """Changes that no write explains, newest first."""
        bound = self._clock.now_ns() + 1 if before_ns is None else before_ns

        def load() -> list[Change]:
            with self._engine.begin() as db:
                return store.list_changes(db, under, state, kind, bound, limit)

        return await asyncio.to_thread(load)

    async def change(self, number: int) -> Change:
        """One of them.

        Raises: LookupError
        """

        def load() -> Change | None:
            with self._engine.begin() as db:
                return store.load_change(db, number)

        found = await asyncio.to_thread(load)
        if found is None:
            raise LookupError(number)
        return found

    async def accept(self, asker: Asker, number: int, reason: str) -> Change:
        """Somebody says where a change comes from; its alarm ends. Who may is asked before.

        Raises: LookupError, Refusal
        """
        change = await self.change(number)
        if not reason.strip():
            raise Refusal("reason_needed", "say where the change comes from")

        def save() -> bool:
            with self._engine.begin() as db:
                return store.accept_change(db, number, asker.name, reason, self._clock.now_ns())

        if not await asyncio.to_thread(save):
            raise Refusal("wrong_state", f"change {number} of {change.path} is {change.state}")
        self._unreported = True
        await self._report()
        return await self.change(number)


def _guarded(plant: Plant, point: WritePoint, scales: Mapping[int, Scale]) -> _Guarded:
    tag = plant.by_id[point.tag]
    shown = plant.by_id.get(point.read_back, tag)
    scale, written = scales.get(shown.id, Scale()), scales.get(tag.id, Scale())
    grain = max((abs(s.factor) / 2 for s in (scale, written) if abs(s.factor) != 1.0), default=0.0)
    local = _compiled(point.local)
    inputs = {point.inputs.get(name, -1) for name in local.names} if local is not None else set()
    periods = [plant.by_id[i].period_s for i in inputs if i in plant.by_id]
    signature = f"{shown.id} {shown.connection} {shown.address} {shown.unit} {shown.formula} {scale} {point.local}"
    return _Guarded(
        point,
        tag,
        shown,
        max(point.tolerance, scale.deadband, written.deadband) + grain * 1.01,
        signature,
        max([shown.period_s, *periods]) + 0.5 if local is not None else 0.0,
        local,
    )


def _inputs_of_local(one: _Guarded) -> set[int]:
    if one.local is None:
        return set()
    return {one.point.inputs[name] for name in one.local.names if name in one.point.inputs}


def _compiled(text: str) -> Expression | None:
    try:
        return compile_expression(text) if text else None
    except ExpressionError:
        return None


def _turn(one: _Guarded, tag: int, value: float, code: int, at: int) -> bool:
    """An input of ``local`` came; whether the machine turned from one to the other."""
    one.inputs[tag] = (value, code)
    local = one.local
    if local is None:
        return False
    names = {name: one.inputs.get(one.point.inputs.get(name, -1), (0.0, status.BAD)) for name in local.names}
    found, good = local.evaluate_one(names)
    if good & status.SEVERITY_MASK:
        return False  # not known: what was known stays
    was = one.turns[-1][1] if one.turns else None
    if bool(found) == was:
        return False
    one.turns.append((at, bool(found)))
    del one.turns[:-KEPT_TURNS]
    return True


def _between(value: Written, one: Written | None, other: Written) -> bool:
    if isinstance(value, str) or one is None or isinstance(one, str) or isinstance(other, str):
        return False
    return min(one, other) <= value <= max(one, other)


def _alarm(change: Change) -> Reported:
    unit = change.unit and f" {change.unit}"
    return Reported(
        key=f"control/unexplained/{change.path}",
        path=change.path,
        priority="high",
        message=f"Changed from {change.before}{unit} to {change.value}{unit}, and nothing explains it",
        cause="Somebody or something other than Isthmus wrote to the device: a panel, an engineering tool, an intruder.",
        consequence="The machine runs with a value nobody answers for.",
        response="Find out who changed it; set the value it shall have, or accept the change with a reason.",
    )

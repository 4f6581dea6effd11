"""The one way a value takes to a device, as far as core walks it.

select → who may → what the point takes → (second person) → durable intent → durable ``sent`` → one command to the edge →
its answer. Everything up to ``sent`` refuses when in doubt; everything after it is asked for until the edge knows, and never
sent again: not after a time-out, not when the bus was away, not by a core that starts anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from isthmus.bus.client import NobodyListens
from isthmus.bus.tasks import end, together
from isthmus.control import store
from isthmus.control.link import Edges
from isthmus.control.model import (
    ACCEPTED,
    APPROVAL_S,
    APPROVE,
    EXPIRES_S,
    MAX_REASON_CHARS,
    OFFSET_S,
    READ,
    SELECTION_S,
    WRITE,
    Asker,
    EdgeState,
    InputRow,
    May,
    Permissions,
    PointRow,
    Refusal,
    Selection,
    Stage,
    Trigger,
    Write,
    check_direction,
    check_rate,
    check_step,
    checked_value,
    follow,
    same_person,
    same_value,
)
from isthmus.control.modes import Modes
from isthmus.control.people import who
from isthmus.namespace.live import LiveTable
from isthmus.namespace.model import Connection, Plant, Tag
from isthmus.ports.alarms import AlarmReports
from isthmus.ports.audit import Audit, NotDurable
from isthmus.values import status
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import Denied, IsthmusError
from isthmus.values.expression import Expression, ExpressionError, compile_expression
from isthmus.values.ids import is_under
from isthmus.values.messages.alarms import Reported
from isthmus.values.messages.control import Mode, Result, WriteAnswer, WriteCommand, Written
from isthmus.values.model import WritePoint

T = TypeVar("T")

ANSWER_S = 3.0
"""Beyond the time a device may take to show the value: how long the edge's answer is waited for."""
PATIENCE_S = 2.0
"""After that, how long whoever asked waits while the edge is asked what became of it."""
ASK_EVERY_S = 1.0
NEVER_S = OFFSET_S + 1.0
"""A command an edge does not know so long after it expired never reached it, and will not."""
ALARM_S = 10.0
"""A write whose end is not known after so long is an alarm."""
MOST_SELECTIONS = 1000
MOST_WAITING = 200
RECENT = 8

_AWAY = frozenset(
    {status.BAD_COMMUNICATION_ERROR, status.BAD_TIMEOUT, status.BAD_NO_COMMUNICATION, status.BAD_NOT_CONNECTED}
)
"""What a point shows while its device does not answer."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What control needs of the rest of core. ``behind`` are people who answer for a program, ``pseudonym`` what an edge is told."""

    plant: Callable[[], Plant]
    live: LiveTable
    permissions: Permissions
    edges: Callable[[str], EdgeState | None]
    link: Edges
    audit: Audit
    reports: AlarmReports
    behind: Callable[[Asker], tuple[str, ...]]
    pseudonym: Callable[[Asker], str]


@dataclass(frozen=True, slots=True)
class _Place:
    """A point with what belongs to it."""

    tag: Tag
    point: WritePoint
    zone: str
    connection: Connection


class _Index:
    """The points of one version of the plant, with their expressions."""

    def __init__(self, plant: Plant) -> None:
        self.plant = plant
        connections = {c.name: c for c in plant.connections}
        self.points: dict[int, tuple[WritePoint, Connection]] = {}
        for point in plant.points:
            tag = plant.by_id.get(point.tag)
            if tag is not None and tag.connection in connections:
                self.points[point.tag] = (point, connections[tag.connection])
        self._compiled: dict[str, Expression | None] = {}

    def expression(self, text: str) -> Expression | None:
        """None for one this build cannot read: then nothing is known."""
        if text not in self._compiled:
            try:
                self._compiled[text] = compile_expression(text)
            except ExpressionError:
                self._compiled[text] = None
        return self._compiled[text]


class Control:
    """Writes, from the question to the outcome. One per core; not safe to call from other threads."""

    def __init__(self, engine: Engine, clock: Clock, around: Surroundings, log: logging.Logger) -> None:
        self._engine, self._clock, self._around, self._log = engine, clock, around, log
        self.modes = Modes(
            engine, clock, around.permissions, around.audit, around.link, around.plant, around.edges, log
        )
        self._indexed = _Index(around.plant())
        self._selections: OrderedDict[str, Selection] = OrderedDict()
        self._askers: dict[str, Asker] = {}  # of writes that wait for a second person
        self._busy: dict[int, str] = {}  # tags with a write under way, by its id
        self._flying: dict[str, asyncio.Task[Write]] = {}
        self._open: dict[str, Write] = {}  # left for the edge, and their end is not known
        self._awaiting: dict[str, Write] = {}
        self._accepted: dict[int, deque[Write]] = {}  # the last that reached the device of each tag, or may have
        self._last: dict[int, Write] = {}
        self._settled: dict[str, asyncio.Event] = {}
        self._alarmed: dict[str, bool] = {}  # what the alarm list knows of uncertain writes, by path
        self._wake = asyncio.Event()

    async def open(self) -> None:
        """Take up what an earlier core had begun: what was sent is asked for, what waited for a person has expired."""
        await self.modes.open()

        def load() -> tuple[list[Write], list[Write]]:
            with self._engine.begin() as db:
                last = store.recent_writes(db, 1)
                return store.open_writes(db), [*store.recent_writes(db, RECENT, ACCEPTED), *last]

        begun, recent = await asyncio.to_thread(load)
        for write in recent:
            self._remember(write)
        for write in begun:
            if write.state is Stage.AWAITING:
                await self._move(
                    write, Trigger.EXPIRE, code="restarted", detail="core started again before another person agreed",
                    clears="ask for it again",
                )  # fmt: skip
            else:
                self._open[write.id] = write
                self._busy[write.tag] = write.id

    async def close(self) -> None:
        """End what is under way. What was sent stays so in the records, and the next core asks for it."""
        await end(self._flying.values())
        self._flying.clear()

    async def run(self) -> None:
        """Until cancelled: ask for what is not settled, let selections and approvals expire, bring modes to edges."""
        await together(settle=self._settle_all(), modes=self.modes.run())

    # what somebody sees

    def points(self, asker: Asker, under: str = "") -> list[PointRow]:
        """Every point at or below a path that somebody may read, with whether he may write it now."""
        index = self._index()
        tags = sorted((index.plant.by_id[tag] for tag in index.points), key=lambda tag: tag.path)
        decide = self._around.permissions.decide
        return [
            self._point_row(asker, t) for t in tags if is_under(t.path, under) and decide(asker, READ, t.path).allowed
        ]

    def _point_row(self, asker: Asker, tag: Tag) -> PointRow:
        place = self._place(tag)
        locked = self._around.permissions.locked(tag.path)
        return PointRow(
            tag=tag,
            point=place.point,
            zone=place.zone,
            mode=self.modes.of(place.zone),
            value=self.value(tag),
            holds=self._holds(place.point, place.point.interlock),
            local=self._holds(place.point, place.point.local),
            inputs=self._inputs(place.point),
            lockout=locked.reason if locked is not None else "",
            may=self._may(asker, tag.path),
            recent=self._last.get(tag.id),
        )

    def _may(self, asker: Asker, path: str) -> May:
        try:
            self._check_place(asker, path)
        except Refusal as no:
            return May(False, no.code, no.reason, no.clears)
        return May(True)

    async def get(self, ident: str) -> Write:
        """One write.

        Raises: LookupError
        """
        for known in (self._open, self._awaiting):
            if ident in known:
                return known[ident]

        def load() -> Write | None:
            with self._engine.begin() as db:
                return store.load_write(db, ident)

        found = await asyncio.to_thread(load)
        if found is None:
            raise LookupError(ident)
        return found

    async def writes(self, under: str = "", *, before_ns: int | None = None, limit: int = 100) -> list[Write]:
        """The journal of writes at or below a path, newest first."""
        bound = self._clock.now_ns() + 1 if before_ns is None else before_ns

        def load() -> list[Write]:
            with self._engine.begin() as db:
                return store.list_writes(db, under, bound, limit)

        return await asyncio.to_thread(load)

    def accepted(self, tag: int) -> tuple[Write, ...]:
        """The last writes of a point that reached the device, or may have; oldest first."""
        return tuple(self._accepted.get(tag, ()))

    def value(self, tag: Tag) -> Written | None:
        """What a point holds as core sees it; None where that is not good."""
        return self._read(tag.id)[0]

    # select, write, approve

    async def select(self, asker: Asker, path: str) -> Selection:
        """Choose a point; what it shows now is what the write is held against.

        Raises: LookupError, Refusal
        """
        place = self._check_place(asker, path)
        now_ns = self._clock.now_ns()
        made = Selection(
            secrets.token_urlsafe(16), path, asker.key, asker.name, self.value(place.tag),
            now_ns + round(SELECTION_S * NS_PER_S),
        )  # fmt: skip
        self._selections[made.id] = made
        while len(self._selections) > MOST_SELECTIONS:
            self._selections.popitem(last=False)
        return made

    async def write(
        self,
        asker: Asker,
        path: str,
        value: object,
        *,
        selection: str = "",
        base: Written | None = None,
        reason: str = "",
        second: Asker | None = None,
    ) -> Write:
        """Walk the whole path; the write as it stands when its end is known, or when it waits for somebody.

        ``base`` is what was shown when it was asked for; a point that holds something else by now is not written. ``second`` has
        agreed to exactly this value already, together with others: what asks for a second person then waits for nobody.
        Raises: LookupError (no such tag), Refusal (nothing was sent), NotDurable (the audit log or the records take nothing)
        """
        chosen = self._chosen(asker, path, selection)
        base = chosen.value if chosen is not None and chosen.value is not None else base
        place = self._check_place(asker, path)
        made = self._new(asker, place, base, reason)
        try:
            made = replace(made, value=self._check_value(place, value, base))
            _check_reason(place.point, reason)
            if place.point.second_person and second is not None:
                self._check_second(made, second)
                made = replace(made, approved_by=second.name)
        except Refusal as no:
            await self._keep_denied(made, no, value)
            raise
        if place.point.second_person and not made.approved_by:
            return await self._await_second(made, asker)
        return await self._send(made, asker, place)

    async def check(
        self, asker: Asker, path: str, value: object, *, reason: str = "", second: Asker | None = None
    ) -> bool:
        """Everything that is checked before a write is sent, and nothing sent; whether it needs a second person.

        Raises: LookupError, Refusal; also where ``second`` is given and may not agree to it
        """
        place = self._check_place(asker, path)
        _check_reason(place.point, reason)
        self._check_value(place, value, None)
        if place.point.second_person and second is not None:
            self._check_second(self._new(asker, place, None, reason), second)
        return place.point.second_person

    async def approve(self, asker: Asker, ident: str) -> Write:
        """A second person agrees to exactly this value; it is checked anew and sent. What stands against it now leaves it waiting.

        Raises: LookupError, Refusal, NotDurable
        """
        write = await self._seen(asker, ident)
        self._check_second(write, asker)
        by = self._askers.get(ident)
        if write.state is not Stage.AWAITING or by is None:
            raise Refusal("wrong_state", f"this write is {write.state} and waits for nobody")
        if self._clock.now_ns() >= write.expires_ns:
            await self._expire(write)
            raise Refusal("wrong_state", "this write has waited for too long", "ask for it again")
        place = self._check_place(by, write.path)
        self._check_value(place, write.value, write.base)
        del self._askers[ident]  # from here on nobody else can agree to it or take it back
        del self._awaiting[ident]
        return await self._send(replace(write, approved_by=asker.name), by, place)

    def _check_second(self, write: Write, asker: Asker) -> None:
        """Raises: Refusal if somebody may not agree to it as the second person"""
        self._allowed(asker, APPROVE, write.path)
        if asker.proof != "session":
            raise Refusal(
                "needs_session", "only a person who signed in can agree to a write; a token cannot do it for one"
            )
        if same_person(write, asker, self._around.behind(asker)):
            raise Refusal("same_person", f"{write.by} asked for this write", "another person must agree to it")

    async def reject(self, asker: Asker, ident: str, reason: str) -> Write:
        """Say no to a write that waits, take back one's own, or give up asking for one whose end is not known.

        Raises: LookupError, Refusal
        """
        write = await self._seen(asker, ident)
        own = same_person(write, asker, self._around.behind(asker))
        if not own:
            self._allowed(asker, APPROVE, write.path)
        if not reason.strip():
            raise Refusal("reason_needed", "say why")
        detail = f"{asker.name}: {reason[:MAX_REASON_CHARS]}"
        if write.open and write.state is Stage.UNCERTAIN and ident not in self._flying:
            self._allowed(asker, APPROVE, write.path)
            return await self._settle(
                write, Trigger.LOSE, code="given_up", detail=f"nobody knows how it ended; {detail}"
            )
        if write.state is not Stage.AWAITING or self._askers.pop(ident, None) is None:
            raise Refusal("wrong_state", f"this write is {write.state} and waits for nobody")
        self._awaiting.pop(ident, None)
        code = "withdrawn" if own else "rejected"
        return await self._move(write, Trigger.REJECT, code=code, detail=detail)

    async def _seen(self, asker: Asker, ident: str) -> Write:
        write = await self.get(ident)
        if not self._around.permissions.decide(asker, READ, write.path).allowed:
            raise LookupError(ident)
        return write

    # the checks, in their order

    def _index(self) -> _Index:
        plant = self._around.plant()
        if self._indexed.plant is not plant:
            self._indexed = _Index(plant)
        return self._indexed

    def _place(self, tag: Tag) -> _Place:
        point, connection = self._index().points[tag.id]
        return _Place(tag, point, point.zone or self._around.permissions.zone_at(tag.path), connection)

    def _allowed(self, asker: Asker, action: str, path: str) -> None:
        answer = self._around.permissions.decide(asker, action, path)
        if not answer.allowed:
            clears = "whoever holds it takes the lock-out away" if answer.code == "locked_out" else ""
            raise Refusal(answer.code, answer.reason, clears)

    def _check_place(self, asker: Asker, path: str) -> _Place:
        """Whether somebody may write there at all, and whether anything stands against it now.

        Raises: LookupError, Refusal
        """
        index = self._index()
        tag = index.plant.by_path.get(path)
        if tag is None or not self._around.permissions.decide(asker, READ, path).allowed:
            raise LookupError(path)
        self._allowed(asker, WRITE, path)
        if tag.id not in index.points:
            raise Refusal(
                "not_writable",
                f"{path} is not declared as a point that may be written",
                "the plant file gives it `write`",
            )
        place = self._place(tag)
        if not self._around.permissions.at_least(asker.role, place.point.role):
            raise Refusal(
                "role_too_low",
                f"writing {path} needs role {place.point.role} or one that has all of it; {asker.name} has role {asker.role}",
                "somebody with that role writes it",
            )
        self._check_ways(place)
        self._check_point(place)
        return place

    def _check_ways(self, place: _Place) -> None:
        """The way to the device: connection, mode of the zone, edge, bus."""
        if place.connection.access != "read-write":
            raise Refusal(
                "read_only",
                f"connection {place.connection.name} is {place.connection.access}",
                "the plant file says `access: read-write` for it",
            )
        self._check_mode(place)
        edge = place.tag.edge or place.connection.edge
        if not self._around.link.connected:
            raise Refusal("bus_gone", "core does not reach its bus", "it comes back by itself")
        known = self._around.edges(edge)
        if known is None or not known.fresh:
            heard = "was never heard" if known is None else f"was not heard for {known.age_s:.0f} s"
            raise Refusal("edge_silent", f"edge {edge} {heard}", "the edge runs and reaches the bus again")
        if abs(known.offset_s) > OFFSET_S:
            raise Refusal(
                "clock_offset",
                f"the clocks of edge {edge} and core differ by {known.offset_s:.1f} s, more than {OFFSET_S:g} s",
                "set the clocks right",
            )
        version = self._indexed.plant.version
        if known.model_version != version:
            raise Refusal(
                "model_version",
                f"edge {edge} runs plant version {known.model_version}, core {version}",
                "wait until the edge has the new version",
            )

    def _check_mode(self, place: _Place) -> None:
        if self.modes.of(place.zone) is Mode.HALTED:
            raise Refusal("halted", f"zone {place.zone} is halted", "somebody who may change modes sets it to normal")

    def _check_point(self, place: _Place) -> None:
        """What core sees of local mode and interlock, so that people hear it at once. What it does not know the gate decides."""
        if self._holds(place.point, place.point.local):
            raise Refusal("local", f"{place.tag.path} is operated at the machine", "switch the machine to remote")
        if place.point.interlock and self._holds(place.point, place.point.interlock) is False:
            seen = self._looked_at(place.point, place.point.interlock)
            raise Refusal(
                "interlock",
                f"the interlock of {place.tag.path} does not hold: {place.point.interlock}; {seen}",
                "make its condition true",
            )
        _, code = self._read(place.tag.id)
        if code in _AWAY:
            raise Refusal(
                "not_connected",
                f"connection {place.connection.name} does not reach its device: {place.tag.path} is {status.name(code)}",
                "mend the connection",
            )
        busy = self._busy.get(place.tag.id)
        if busy is not None:
            raise Refusal(
                "write_open",
                f"an earlier write of {place.tag.path} is under way, or its end is not known yet",
                "wait until the edge has told",
            )

    def _check_value(self, place: _Place, value: object, base: Written | None) -> Written:
        tag, point = place.tag, place.point
        fit = checked_value(tag, point, value)
        current = self.value(tag)
        if base is not None and current is not None and not same_value(base, current, point.tolerance):
            raise Refusal("value_changed", f"{tag.path} holds {current} by now, shown was {base}", "look again")
        check_step(tag, point, fit, current)
        check_rate(tag, point, fit, self._last_accepted(tag.id), self._clock.now_ns())
        if self.modes.of(place.zone) is Mode.SAFE_DIRECTION_ONLY:
            check_direction(tag, point, fit, current)
        return fit

    def _last_accepted(self, tag: int) -> Write | None:
        return next(reversed(self._accepted.get(tag, ())), None)

    def _chosen(self, asker: Asker, path: str, ident: str) -> Selection | None:
        """The selection, used up. Who sits at a screen needs one; a program says what it was shown by ``base``.

        Raises: Refusal (selection_needed, selection_gone)
        """
        if not ident:
            if asker.proof == "session":
                raise Refusal("selection_needed", "a point is selected before it is written", "select it first")
            return None
        chosen = self._selections.get(ident)
        mine = chosen is not None and (chosen.key, chosen.name, chosen.path) == (asker.key, asker.name, path)
        if chosen is None or not mine or self._clock.now_ns() >= chosen.expires_ns:
            raise Refusal(
                "selection_gone",
                "this selection is used up, too old, or of somebody or something else",
                "select it anew",
            )
        del self._selections[ident]
        return chosen

    # what core sees of the plant

    def _read(self, tag: int) -> tuple[Written | None, int]:
        """The value core has of a tag, None unless it is good, with its status."""
        known = self._index().plant.by_id.get(tag)
        rows = self._around.live.rows_of([known.path] if known is not None else [])
        if not len(rows) or rows[0] < 0:
            return None, status.BAD_NO_DATA
        found = self._around.live.read(rows)
        code = int(found.status[0])
        return (found.python()[0] if _good(code) else None), code

    def _inputs(self, point: WritePoint) -> tuple[InputRow, ...]:
        plant, live, now_ns = self._index().plant, self._around.live, self._clock.now_ns()
        tags = [plant.by_id[tag] for tag in dict.fromkeys(point.inputs.values()) if tag in plant.by_id]
        rows = live.rows_of([tag.path for tag in tags])
        tags = [tag for tag, row in zip(tags, rows, strict=True) if row >= 0]
        found = live.read(rows[rows >= 0])
        ages = [None if not at else max(0.0, (now_ns - at) / NS_PER_S) for at in found.time_ns.tolist()]
        return tuple(
            InputRow(tag.path, value, code, age)
            for tag, value, code, age in zip(tags, found.python(), found.status.tolist(), ages, strict=True)
        )

    def _looked_at(self, point: WritePoint, text: str) -> str:
        """Each input of a condition with what core has of it."""
        compiled = self._index().expression(text)
        values = {name: self._read(point.inputs.get(name, -1))[0] for name in (compiled.names if compiled else ())}
        return ", ".join(f"{name} is {'not known' if value is None else value}" for name, value in values.items())

    def _holds(self, point: WritePoint, text: str) -> bool | None:
        """Whether a condition of a point holds on core's live values; None where there is none, or it is not known."""
        compiled = self._index().expression(text) if text else None
        if compiled is None:
            return None
        inputs = {}
        for name in compiled.names:
            value, code = self._read(point.inputs.get(name, -1))
            inputs[name] = (0.0 if value is None else value, code if value is not None else code | status.BAD)
        value, code = compiled.evaluate_one(inputs)
        return bool(value) if _good(code) else None

    # sending

    def _new(self, asker: Asker, place: _Place, base: Written | None, reason: str) -> Write:
        return Write(
            id=secrets.token_hex(12),
            path=place.tag.path,
            tag=place.tag.id,
            value=0,
            unit=place.tag.unit,
            zone=place.zone,
            edge=place.tag.edge or place.connection.edge,
            by=asker.name,
            proof=str(asker.proof),
            requested_ns=self._clock.now_ns(),
            base=base,
            user_id=asker.user_id,
            behind=self._around.behind(asker),
            why=reason[:MAX_REASON_CHARS],
        )

    async def _keep_denied(self, write: Write, no: Refusal, value: object) -> None:
        """A refusal of somebody who may write there is in the journal; one that cannot be kept is refused all the same."""
        shown = value if isinstance(value, int | float | str) and not isinstance(value, bool) else str(value)
        if isinstance(shown, float) and not -1e308 < shown < 1e308:
            shown = str(shown)
        if isinstance(shown, int) and not -(2**63) <= shown < 2**63:
            shown = str(shown)[:80]
        denied = replace(
            write, value=shown[:200] if isinstance(shown, str) else shown, state=Stage.DENIED, settled=True, code=no.code,
            detail=no.reason, clears=no.clears, done_ns=self._clock.now_ns(),
        )  # fmt: skip
        with contextlib.suppress(NotDurable):
            await self._put(denied)

    async def _await_second(self, write: Write, asker: Asker) -> Write:
        if len(self._awaiting) >= MOST_WAITING:
            raise Refusal(
                "too_many_waiting", f"{MOST_WAITING} writes wait for a second person", "decide about some first"
            )
        waiting = replace(write, state=Stage.AWAITING, expires_ns=write.requested_ns + round(APPROVAL_S * NS_PER_S))
        await self._put(waiting)
        self._awaiting[waiting.id], self._askers[waiting.id] = waiting, asker
        return waiting

    async def _send(self, write: Write, asker: Asker, place: _Place) -> Write:
        """Intent, ``sent``, command. Not cancelled by whoever asked going away.

        Raises: Refusal, NotDurable
        """
        self._busy[write.tag] = write.id
        task = asyncio.create_task(self._carry(write, asker), name=f"write {write.id}")
        self._flying[write.id] = task

        def over(_: asyncio.Task[Write]) -> None:
            self._flying.pop(write.id, None)

        task.add_done_callback(over)
        found = await asyncio.shield(task)
        if found.open:  # nobody knows yet: ask, for as long as somebody can be expected to wait
            with contextlib.suppress(TimeoutError):
                settled = self._settled.setdefault(found.id, asyncio.Event())
                self._wake.set()
                async with asyncio.timeout(PATIENCE_S):
                    await settled.wait()
            found = self._open.get(found.id) or await self.get(found.id)
        return found

    async def _carry(self, write: Write, asker: Asker) -> Write:
        awaited = write.state is Stage.AWAITING
        try:
            sent = await self._make_durable(write, asker)
        except BaseException:
            self._release(write)
            if awaited:  # nothing was sent, and it waits as before
                self._awaiting[write.id], self._askers[write.id] = replace(write, approved_by=""), asker
            raise
        self._open[sent.id] = sent
        self._remember(sent)
        try:
            place = self._check_again(sent, asker)
        except (Refusal, LookupError) as no:
            code, clears = (no.code, no.clears) if isinstance(no, Refusal) else ("unknown_tag", "")
            return await self._settle(sent, Trigger.DENY, code=code, detail=f"{no}; nothing was sent", clears=clears)
        command = WriteCommand(
            id=sent.id,
            tag=sent.tag,
            value=sent.value,
            expires_ns=sent.expires_ns,
            model_version=self._indexed.plant.version,
            sent_ns=self._clock.now_ns(),
            by=self._around.pseudonym(asker),
            intent=sent.intent,
            base=sent.base,
        )
        try:
            return await self._exchange(sent, command, place.point.within_s + ANSWER_S)
        except NotDurable as error:
            self._log.warning("how write %s of %s ended cannot be recorded yet: %s", sent.id, sent.path, error)
            return sent

    async def _make_durable(self, write: Write, asker: Asker) -> Write:
        """The intent in the audit log and the row ``sent``, both on disk.

        Raises: NotDurable
        """
        audit, new = self._around.audit, {"value": write.value, "unit": write.unit}
        more = {"approved_by": self._person(write.approved_by)} if write.approved_by else {}
        intent = await audit.intent(who(asker), WRITE, write.path, old=write.base, new=new | more, reason=write.why)
        now_ns = self._clock.now_ns()
        sent = replace(
            write, state=Stage.SENT, intent=intent, sent_ns=now_ns, expires_ns=now_ns + round(EXPIRES_S * NS_PER_S)
        )
        try:
            if write.state is Stage.AWAITING:
                await self._store(sent, follow(write.state, Trigger.SEND), write.state)
            else:
                await self._put(sent)
        except (NotDurable, Denied):
            await audit.outcome(intent, "refused not_durable", target=write.path)
            raise
        return sent

    def _check_again(self, write: Write, asker: Asker) -> _Place:
        """What may have changed while the disk was waited for; nothing is waited for between this and the command."""
        del self._busy[write.tag]  # it is our own
        try:
            place = self._check_place(asker, write.path)
            if self.modes.of(place.zone) is Mode.SAFE_DIRECTION_ONLY:
                check_direction(place.tag, place.point, write.value, self.value(place.tag))
            return place
        finally:
            self._busy[write.tag] = write.id

    async def _exchange(self, sent: Write, command: WriteCommand, timeout_s: float) -> Write:
        try:
            answer = await self._around.link.write(sent.edge, command, timeout_s)
        except NobodyListens:
            return await self._settle(
                sent, Trigger.DENY, code="edge_unreachable", detail=f"edge {sent.edge} takes no commands; nothing was sent",
                clears="the edge runs, and a conduit lets commands pass to its zone",
            )  # fmt: skip
        except IsthmusError as error:
            self._log.warning("write %s of %s: %s; the edge is asked what became of it", sent.id, sent.path, error)
            lost = await self._store(
                replace(
                    sent, code="no_answer", detail=f"the edge has not told how it ended: {error}",
                    clears="it is asked until it tells; nothing is sent again",
                ),
                follow(sent.state, Trigger.LOSE), sent.state,
            )  # fmt: skip
            self._open[sent.id] = lost
            self._remember(lost)
            return lost
        return await self._answered(sent, answer)

    async def _answered(self, write: Write, answer: WriteAnswer) -> Write:
        trigger = {Result.DONE: Trigger.DONE, Result.DENIED: Trigger.DENY, Result.UNCERTAIN: Trigger.LOSE}[
            answer.result
        ]
        code = answer.code or ("" if answer.result is Result.DONE else str(answer.result))
        return await self._settle(
            replace(write, read_back=answer.read_back, before=answer.before), trigger, code=code, detail=answer.reason,
            clears=answer.clears,
        )  # fmt: skip

    # after it was sent

    async def _settle_all(self) -> None:
        """Ask edges for what is not settled, until they know."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ASK_EVERY_S):
                    await self._wake.wait()
            self._wake.clear()
            await self.sweep()

    async def sweep(self) -> None:
        """One round of asking; what expired meanwhile is ended."""
        now_ns = self._clock.now_ns()
        for selection in [s for s in self._selections.values() if now_ns >= s.expires_ns]:
            del self._selections[selection.id]
        late = [self._expire(w) for w in self._awaiting.values() if now_ns >= w.expires_ns]
        asked = [self._ask(write) for write in self._open.values() if write.id not in self._flying]
        for found in await asyncio.gather(*late, *asked, return_exceptions=True):
            if isinstance(found, IsthmusError):
                self._log.debug("a write cannot be settled yet: %s", found)
            elif isinstance(found, BaseException):
                raise found
        await self._tell_alarms()

    async def _expire(self, write: Write) -> None:
        await self._move(
            write, Trigger.EXPIRE, code="expired", detail="no second person agreed in time", clears="ask for it again"
        )

    async def _ask(self, write: Write) -> None:
        if write.edge not in self._around.plant().edges:
            await self._settle(
                write, Trigger.LOSE, code="edge_gone", detail=f"edge {write.edge} is not part of the plant any more"
            )
            return
        try:
            answer = await self._around.link.outcome(write.edge, write.id)
        except IsthmusError as error:
            self._log.debug("outcome of %s: %s", write.id, error)
            return
        if answer is None:
            await self._unknown(write)
        elif self._open.get(write.id) is write:
            await self._answered(write, answer)

    async def _unknown(self, write: Write) -> None:
        """The edge has never seen it. It may still be on its way until it expires; after that it has no effect any more."""
        late = self._clock.now_ns() >= write.expires_ns + round(NEVER_S * NS_PER_S)
        if late and self._open.get(write.id) is write:
            await self._settle(
                write, Trigger.DENY, code="not_received", detail=f"it never reached edge {write.edge}",
                clears="ask for it again",
            )  # fmt: skip

    async def _settle(self, write: Write, trigger: Trigger, *, code: str, detail: str, clears: str = "") -> Write:
        """The end of a write that left for the edge; nothing more will be known of it."""
        state = follow(write.state, trigger)
        ended = replace(write, settled=True, code=code, detail=detail, clears=clears, done_ns=self._clock.now_ns())
        ended = await self._store(ended, state, write.state)
        self._open.pop(write.id, None)
        self._release(write)
        self._remember(ended)
        shown = f"{state} {code}".strip()
        await self._around.audit.outcome(
            write.intent, shown, detail, new={"read_back": ended.read_back}, target=write.path
        )
        settled = self._settled.pop(write.id, None)
        if settled is not None:
            settled.set()
        if state is Stage.UNCERTAIN:
            self._log.warning("write %s of %s is uncertain: %s", write.id, write.path, detail)
        return ended

    def _release(self, write: Write) -> None:
        if self._busy.get(write.tag) == write.id:
            del self._busy[write.tag]

    def _remember(self, write: Write) -> None:
        last = self._last.get(write.tag)
        if last is None or last.id == write.id or write.requested_ns >= last.requested_ns:
            self._last[write.tag] = write
        kept = self._accepted.setdefault(write.tag, deque(maxlen=RECENT))
        at = next((place for place, known in enumerate(kept) if known.id == write.id), None)
        if write.state not in ACCEPTED:
            if at is not None:
                del kept[at]
        elif at is None:
            kept.append(write)
        else:
            kept[at] = write
        if write.state is Stage.UNCERTAIN:
            self._alarmed.setdefault(write.path, False)

    async def _tell_alarms(self) -> None:
        """An uncertain write is an alarm until a later write of the point is certain. Said again until the alarm list has it."""
        for path, known in list(self._alarmed.items()):
            tag = self._around.plant().by_path.get(path)
            last = self._last_accepted(tag.id) if tag is not None else None
            active = last is not None and last.state is Stage.UNCERTAIN and (last.settled or self._overdue(last))
            if last is not None and last.state is Stage.UNCERTAIN and not active:
                continue
            if active == known and known:
                continue
            at_ns = (last.done_ns or last.sent_ns) if last is not None else self._clock.now_ns()
            try:
                await self._around.reports.report(_uncertain_alarm(path, last), active=active, time_ns=at_ns)
            except IsthmusError as error:
                self._log.debug("alarm of an uncertain write at %s: %s", path, error)
                continue
            if active:
                self._alarmed[path] = True
            else:
                del self._alarmed[path]

    def _overdue(self, write: Write) -> bool:
        return self._clock.now_ns() >= write.sent_ns + round(ALARM_S * NS_PER_S)

    # the records

    async def _move(self, write: Write, trigger: Trigger, *, code: str, detail: str, clears: str = "") -> Write:
        """The end of a write that never left."""
        ended = replace(write, settled=True, code=code, detail=detail, clears=clears, done_ns=self._clock.now_ns())
        self._awaiting.pop(write.id, None)
        self._askers.pop(write.id, None)
        ended = await self._store(ended, follow(write.state, trigger), write.state)
        self._remember(ended)
        return ended

    async def _put(self, write: Write) -> None:
        """Raises: NotDurable"""

        def put() -> None:
            with self._engine.begin() as db:
                store.put_write(db, write)

        await _durably(put)
        self._remember(write)

    async def _store(self, write: Write, state: Stage, old: Stage) -> Write:
        """Raises: NotDurable; Denied (wrong_state) if it was moved meanwhile"""
        moved = replace(write, state=state)

        def move() -> bool:
            with self._engine.begin() as db:
                return store.move_write(db, moved, old)

        if not await _durably(move):
            raise Denied(f"write {write.id} was moved by somebody else meanwhile", "wrong_state")
        return moved

    def _person(self, name: str) -> str:
        known: Callable[[str], str] | None = getattr(self._around.audit, "person", None)
        return known(name) if known is not None else "another person"


def _good(code: int) -> bool:
    return not code & status.SEVERITY_MASK


def _check_reason(point: WritePoint, reason: str) -> None:
    if point.needs_reason and not reason.strip():
        raise Refusal("reason_needed", "this point asks for a reason with each write", "say why")


def _uncertain_alarm(path: str, write: Write | None) -> Reported:
    value = "" if write is None else f" of {write.value}{write.unit and f' {write.unit}'}"
    return Reported(
        key=f"control/uncertain/{path}",
        path=path,
        priority="high",
        message=f"Nobody knows whether the write{value} reached the device",
        cause="The edge, the bus or the device was lost between sending and answer.",
        consequence="The machine may run with either value.",
        response="Look at the machine, then write the value it shall have.",
    )


async def _durably(do: Callable[[], T]) -> T:
    """Raises: NotDurable"""
    try:
        return await asyncio.to_thread(do)
    except SQLAlchemyError as error:
        raise NotDurable(f"the records take nothing ({str(error.__cause__ or error)[:200]})") from error

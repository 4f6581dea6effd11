"""The last step before a device: every command from core passes here, or does not pass.

A command is judged, journalled on this edge's own disk, judged again when it is its turn on the wire, written, and read back. One at
a time per connection. What ends in between (a crash, a silent device) is uncertain and never sent again: an id that is known
is answered from the journal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson

from isthmus.control.journal import Journal, answer_to
from isthmus.control.judgement import Condition, Moment, Refusal, judge, same, still, usable
from isthmus.control.leases import Leases
from isthmus.control.messages import read_command, read_json
from isthmus.control.standing import Standing, locks_of, modes_of
from isthmus.ports.field import Field, HeldValue
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError, Denied, IsthmusError, Malformed, Rejected, TryLater
from isthmus.values.expression import compile_expression
from isthmus.values.messages.control import Result, Told, WriteAnswer, WriteCommand, Written
from isthmus.values.model import EdgeModel, WritePoint
from isthmus.values.sample import ValueType

Log = logging.Logger | logging.LoggerAdapter[Any]

MOST_WAITING: Final = 64
"""Commands in hand; beyond it they are refused."""
FIRST_LOOK_S: Final = 0.01
_NO_VERSION: Final = -1
LONGEST_PAUSE_S: Final = 0.25

_RESTARTED = WriteAnswer(
    "",
    Result.UNCERTAIN,
    "edge_restarted",
    "the edge ended between sending and the device's answer",
    "look at the value; it is not sent again",
)


class Refused(Denied):
    """A refusal on its way up."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason, refusal.code)
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Target:
    """A point with everything compiled that its judgement needs."""

    point: WritePoint
    path: str
    shown: str  # the path of what shows it
    connection: str
    text: bool
    whole: bool
    local: Condition | None
    interlock: Condition | None


class Gate:
    """``write``, ``outcome``, ``mode`` and ``lock`` take messages of core and give the answer's bytes; they never raise on any bytes."""

    def __init__(
        self,
        field: Field,
        journal: Journal,
        standing: Standing,
        clock: Clock,
        log: Log,
        trip_of: Callable[[int], str] = lambda _: "",
    ) -> None:
        """``trip_of`` tells which trip holds a tag."""
        self._field, self._journal, self._standing = field, journal, standing
        self._clock, self._log, self._trip_of = clock, log, trip_of
        self._version = 0
        self._targets: dict[int, Target] = {}
        self._paths: dict[int, str] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._running: dict[str, tuple[WriteCommand, asyncio.Task[WriteAnswer]]] = {}
        self._written_ns: dict[int, int] = {}  # monotonic, by tag
        self._began_ns = clock.monotonic_ns()
        self.leases = Leases(journal, clock, log, self._lapse)
        self._close_what_was_open()

    # --- life --------------------------------------------------------------------------------------------------------

    def apply(self, model: EdgeModel) -> None:
        """Judge by this model from now on. Raises: ConfigError if a condition does not compile; then the old one stays"""
        targets = compile_targets(model)
        wanted = {tag for t in targets.values() for tag in (t.point.tag, t.point.read_back, *t.point.inputs.values())}
        self._paths = {tag: path for tag, path in zip(model.tags.id, model.tags.path, strict=False) if tag in wanted}
        self._targets, self._version = targets, model.version
        self.leases.apply({tag: t.point for tag, t in targets.items() if t.point.hold_s > 0})

    def pause(self) -> None:
        """Let nothing pass until ``apply``: what the edge reads is being changed."""
        self._version = _NO_VERSION

    def resume(self, version: int) -> None:
        """The change was refused: judge by what was there before."""
        self._version = version

    async def run(self) -> None:
        """Watch over leases until cancelled."""
        await self.leases.run()

    async def stop(self) -> None:
        """End what is in hand; it is uncertain from then on."""
        tasks = [task for _, task in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- messages ----------------------------------------------------------------------------------------------------

    async def write(self, data: bytes) -> bytes:
        """A WriteCommand; answered by a WriteAnswer once it has ended."""
        received_ns = self._clock.now_ns()
        try:
            command = read_command(WriteCommand, data)
        except Malformed as error:
            self._log.warning("a command is refused: %s", error)
            return _said(WriteAnswer("", Result.DENIED, "malformed", str(error), "send a whole command"))
        return _said(await self.carry_out(command, received_ns))

    async def outcome(self, data: bytes) -> bytes:
        """How a command ended, by its id; null where nothing is known of it."""
        try:
            id_ = read_json(data).get("id")
        except Malformed:
            return b"null"
        if not isinstance(id_, str):
            return b"null"
        running = self._running.get(id_)
        if running is not None:
            return _said(await asyncio.shield(running[1]))
        known = self._journal.command(id_)
        return b"null" if known is None else _said(known.answer or replace(_RESTARTED, id=id_))

    async def mode(self, data: bytes) -> bytes:
        """The modes of all zones."""
        return await self._stand(data, "mode", lambda raw: self._standing.set_modes(modes_of(raw.get("modes"))))

    async def lock(self, data: bytes) -> bytes:
        """Everything that is locked out."""
        return await self._stand(data, "lock", lambda raw: self._standing.set_locks(locks_of(raw.get("locks"))))

    async def _stand(self, data: bytes, kind: str, change: Callable[[dict[str, Any]], None]) -> bytes:
        try:
            raw = read_json(data)
            change(raw)
        except Malformed as error:
            return orjson.dumps(Told(ok=False, code="malformed", reason=str(error)))
        except OSError as error:
            self._log.error("the edge cannot keep the %ss over a restart: %s", kind, error)
            reason = f"it holds, but is lost when the edge restarts: {error.strerror}"
            return orjson.dumps(Told(ok=False, code="not_kept", reason=reason, clears="make room on the edge's disk"))
        if kind == "mode":
            await self._note("mode", modes=dict(self._standing.modes))
        else:
            await self._note("lock", paths=[lock.path for lock in self._standing.locks])
        return orjson.dumps(Told(ok=True))

    # --- a command ---------------------------------------------------------------------------------------------------

    async def carry_out(self, command: WriteCommand, received_ns: int) -> WriteAnswer:
        """How it ended. The same id again is the same command, however often it comes."""
        known = self._known(command)
        if known is not None:
            return known
        running = self._running.get(command.id)
        if running is None:
            if len(self._running) >= MOST_WAITING:
                busy = Refusal("busy", f"{MOST_WAITING} commands are in hand at this edge", "ask again in a moment")
                return _denied(command, busy)
            task = asyncio.create_task(self._one(command, received_ns), name=f"write {command.id}")
            self._running[command.id] = running = command, task
            task.add_done_callback(lambda _: self._running.pop(command.id, None))
        return await asyncio.shield(running[1])

    def _known(self, command: WriteCommand) -> WriteAnswer | None:
        """The answer of an id that was seen before; None for one that is new or still in hand."""
        if not command.id:
            return _denied(command, Refusal("no_intent", "a command without an id", "ask for the write through core"))
        before = self._running.get(command.id)
        known = self._journal.command(command.id) if before is None else None
        if before is None and known is None:
            return None
        tag, value = (before[0].tag, before[0].value) if before else (known.tag, known.value)  # type: ignore[union-attr]  # one of them is there
        if tag != command.tag or value != command.value:
            refusal = Refusal("id_reused", "another command had this id", "give each command an id of its own")
            return _denied(command, refusal)
        if known is None:
            return None
        return known.answer or replace(_RESTARTED, id=command.id)

    async def _one(self, command: WriteCommand, received_ns: int) -> WriteAnswer:
        offset_s = (command.sent_ns - received_ns) / NS_PER_S
        target = self._targets.get(command.tag)
        if target is None:
            refusal = Refusal("not_writable", f"nothing says that tag {command.tag} may be written here", "")
            return await self._end(command, _denied(command, refusal))
        async with self._turns.setdefault(target.connection, asyncio.Lock()):
            found = judge(command, target.point, self._moment(target, offset_s))
            if found is not None:
                return await self._end(command, _denied(command, found))
            before = self._field.held(command.tag)
            try:
                self._record_sent(command, before)
                await self._journal.sync()
            except TryLater as error:
                refusal = Refusal("journal", str(error), "make room on the edge's disk")
                return await self._end(command, _denied(command, refusal))
            answer = await self._send(command, target, offset_s)
            held = before.value if usable(before) and before is not None else None
            return await self._end(command, replace(answer, before=held))

    def _record_sent(self, command: WriteCommand, before: HeldValue | None) -> None:
        self._journal.append(
            "write",
            state="sent",
            id=command.id,
            tag=command.tag,
            path=self._paths.get(command.tag, ""),
            value=command.value,
            before=before.value if before is not None else None,
            by=command.by,
            intent=command.intent,
        )

    async def _send(self, command: WriteCommand, target: Target, offset_s: float) -> WriteAnswer:
        """On the wire and back, or refused at the last moment."""
        sent_ns = 0

        def ready() -> None:
            nonlocal sent_ns
            if self._targets.get(command.tag) is None:
                raise Refused(Refusal("model_version", "the plant was changed meanwhile", "look again and ask again"))
            found = judge(command, self._targets[command.tag].point, self._moment(self._targets[command.tag], offset_s))
            if found is not None:
                raise Refused(found)
            sent_ns = self._clock.now_ns()
            self._written_ns[command.tag] = self._clock.monotonic_ns()

        try:
            await self._field.write(command.tag, command.value, ready)
        except Refused as error:
            return _denied(command, error.refusal)
        except Denied as error:
            return _denied(command, Refusal(error.code, str(error), "mend what it names, then ask again"))
        except ConfigError as error:
            return _denied(command, Refusal("not_writable", str(error), "change the plant file"))
        except Rejected as error:
            refusal = Refusal("device_refused", f"the device refuses: {error}", "look at the device")
            return replace(_denied(command, refusal), sent_ns=sent_ns)
        except (IsthmusError, TimeoutError, OSError) as error:
            self.leases.renew(target.point, command.value)
            return _uncertain(command, "no_answer", f"nobody knows whether it arrived: {error}", sent_ns)
        except Exception as error:
            self._log.exception("writing %s failed", target.path)
            self.leases.renew(target.point, command.value)
            return _uncertain(command, "driver_failed", f"the driver failed: {type(error).__name__}: {error}", sent_ns)
        self.leases.renew(target.point, command.value)
        return await self._look(command, target, sent_ns)

    async def _look(self, command: WriteCommand, target: Target, sent_ns: int) -> WriteAnswer:
        """Read back until the device shows it, or the time is over."""
        point, pause_s = target.point, FIRST_LOOK_S
        until_ns = self._clock.monotonic_ns() + round(point.within_s * NS_PER_S)
        shown: HeldValue | None = None
        why = ""
        while True:
            left_s = (until_ns - self._clock.monotonic_ns()) / NS_PER_S
            try:
                async with asyncio.timeout(max(left_s, FIRST_LOOK_S)):
                    shown = await self._field.read_back(point.read_back or point.tag)
            except (IsthmusError, TimeoutError) as error:
                shown, why = None, str(error) or "it did not answer in time"
            if shown is not None and usable(shown) and same(shown.value, command.value, point.tolerance):
                return WriteAnswer(
                    id=command.id,
                    result=Result.DONE,
                    sent_ns=sent_ns,
                    read_ns=self._clock.now_ns(),
                    read_back=shown.value,
                    read_status=shown.status,
                )
            left_s = (until_ns - self._clock.monotonic_ns()) / NS_PER_S
            if left_s <= 0:
                return self._not_shown(command, target, sent_ns, shown, why)
            await asyncio.sleep(min(pause_s, left_s))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _not_shown(
        self, command: WriteCommand, target: Target, sent_ns: int, shown: HeldValue | None, why: str
    ) -> WriteAnswer:
        if shown is None:
            return _uncertain(command, "read_back_failed", f"{target.shown} could not be read back: {why}", sent_ns)
        reason = f"{target.shown} shows {shown.value} after {target.point.within_s:g} s, {command.value} was written"
        return replace(
            _uncertain(command, "read_back_differs", reason, sent_ns),
            read_ns=self._clock.now_ns(),
            read_back=shown.value,
            read_status=shown.status,
        )

    async def _end(self, command: WriteCommand, answer: WriteAnswer) -> WriteAnswer:
        """Keep how it ended, then tell. A refusal is not worth a wait for the disk: nothing has happened."""
        await self._note(
            "write",
            wait=answer.result is not Result.DENIED or bool(answer.sent_ns),
            state="answered",
            id=command.id,
            tag=command.tag,
            path=self._paths.get(command.tag, ""),
            value=command.value,
            by=command.by,
            intent=command.intent,
            answer=answer_to(answer),
        )
        return answer

    async def _note(self, kind: str, *, wait: bool = True, **said: Any) -> None:
        """A line that tells what happened; a full disk is no reason to keep silent about it."""
        try:
            self._journal.append(kind, **said)
            if wait:
                await self._journal.sync()
        except TryLater as error:
            self._log.error("not in the journal: %s", error)

    # --- small parts -------------------------------------------------------------------------------------------------

    def _moment(self, target: Target, offset_s: float = 0.0) -> Moment:
        point = target.point
        since_ns = self._written_ns.get(point.tag, self._began_ns)
        return Moment(
            now_ns=self._clock.now_ns(),
            offset_s=offset_s,
            version=self._version,
            path=target.path,
            shown_path=target.shown,
            mode=self._standing.mode(point.zone),
            lock=self._standing.lock(target.path, target.connection) or point.lockout,
            trip=self._trip_of(point.tag),
            idle_s=(self._clock.monotonic_ns() - since_ns) / NS_PER_S,
            held=self._field.held,
            path_of=lambda tag: self._paths.get(tag, f"tag {tag}"),
            local=target.local,
            interlock=target.interlock,
            text=target.text,
            whole=target.whole,
        )

    async def _lapse(self, point: WritePoint, value: Written) -> None:
        """Write the safe value of a lease that nobody renewed.

        Raises: as ``Field.write``; Denied where it has to wait
        """
        target = self._targets[point.tag]
        nobody = WriteCommand("lease", point.tag, value, 0, self._version, 0, "edge", "lease")
        held = self._standing.lock(target.path, target.connection) or point.lockout
        if held or self._trip_of(point.tag):
            raise Denied(f"{target.path} is held: {held or self._trip_of(point.tag)}", "held")

        def ready() -> None:
            found = still(nobody, point, self._moment(target))
            if found is not None:
                raise Refused(found)

        async with self._turns.setdefault(target.connection, asyncio.Lock()):
            if not self.leases.lapsed(point.tag):  # renewed while it waited for its turn
                raise Denied("renewed", "renewed")
            await self._field.write(point.tag, value, ready)

    def _close_what_was_open(self) -> None:
        """After a crash: what was sent without an answer is uncertain for ever."""
        for id_, known in self._journal.unanswered():
            self._log.warning("command %s was on its way when the edge ended: uncertain", id_)
            answer = replace(_RESTARTED, id=id_, sent_ns=known.at_ns)
            try:
                self._journal.append(
                    "write", state="answered", id=id_, tag=known.tag, value=known.value, answer=answer_to(answer)
                )
            except TryLater as error:
                self._log.error("not in the journal: %s", error)


def compile_targets(model: EdgeModel) -> dict[int, Target]:
    """Each point of a model by its tag.

    Raises: ConfigError if a condition does not compile
    """
    if not model.points:
        return {}
    tags = model.tags
    at = {tag: i for i, tag in enumerate(tags.id)}
    compiled: dict[str, Condition] = {}

    def condition(text: str) -> Condition | None:
        if not text:
            return None
        if text not in compiled:
            compiled[text] = compile_expression(text)
        return compiled[text]

    found = {}
    for point in model.points:
        i = at.get(point.tag)
        if i is None:
            raise ConfigError(f"tag {point.tag} may be written, and is not of this edge")
        type_ = tags.type[i]
        found[point.tag] = Target(
            point=point,
            path=tags.path[i],
            shown=tags.path[at.get(point.read_back, i)],
            connection=tags.connection[i],
            text=type_ == ValueType.TEXT,
            whole=type_ == ValueType.INT,
            local=condition(point.local),
            interlock=condition(point.interlock),
        )
    return found


def _denied(command: WriteCommand, refusal: Refusal) -> WriteAnswer:
    return WriteAnswer(command.id, Result.DENIED, refusal.code, refusal.reason, refusal.clears)


def _uncertain(command: WriteCommand, code: str, reason: str, sent_ns: int) -> WriteAnswer:
    return WriteAnswer(command.id, Result.UNCERTAIN, code, reason, "look at the device; it is not sent again", sent_ns)


def _said(answer: WriteAnswer) -> bytes:
    return orjson.dumps(answer)

"""Hazards judged at the edge, on every reading and by a timer, whatever else is dead.

A trip that fires writes its actions in order, at once and before anything else is told; it stays tripped, over a restart too, until a
person resets it, and is not reset while its cause stands. It outranks the modes of zones and leases; a tag of a safety system cannot
be among its actions at all. What it wrote is in the journal, like everything that goes to a device.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Final

import numpy as np
import orjson

from isthmus.control.journal import Journal
from isthmus.control.judgement import Condition
from isthmus.control.messages import read_command
from isthmus.control.standing import Fired, Standing
from isthmus.ports.field import Field, HeldValue
from isthmus.ports.outbox import Outbox
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError, Denied, IsthmusError, Malformed, Rejected, TryLater
from isthmus.values.expression import Window, compile_expression, window_of
from isthmus.values.lane import Lane
from isthmus.values.messages.control import Result, Told, TripCommand, Written
from isthmus.values.model import EdgeModel, TripModel
from isthmus.values.sample import SampleBatch
from isthmus.values.status import BAD, BAD_WAITING_FOR_INITIAL_DATA, GOOD, SEVERITY_MASK, name

Log = logging.Logger | logging.LoggerAdapter[Any]

LOOK_S: Final = 0.25
"""How often age and delays are looked at where nothing is read."""
TEST_S: Final = 10.0
"""A test that came to no end by then has failed."""
INSIST_S: Final = 1.0
"""An action whose link is down is tried again this often, as long as the trip stands."""
GRACE_S: Final = 5.0
"""How long an edge that just began may take to read an input for the first time, at least."""
MOST_KEPT: Final = 4_096
"""Readings a window keeps; beyond it the oldest but one goes."""
ARMED, TRIPPED, TEST, UNSURE = 0, 1, 2, 3


class _Look:
    """`first`, `last`, `min` or `max` of one tag over the last seconds. A value holds until the next reading."""

    def __init__(self, window: Window, tag: int) -> None:
        self.tag, self._function, self._span_ns = tag, window.function, window.seconds * NS_PER_S
        self._kept: deque[tuple[int, float, bool]] = deque()  # monotonic, value, good

    def take(self, value: float, good: bool, now_ns: int) -> None:
        """A reading."""
        self._kept.append((now_ns, value, good))
        if len(self._kept) > MOST_KEPT:
            del self._kept[1]

    def value(self, now_ns: int) -> float | None:
        """None while the window is not covered by good readings."""
        begin_ns = now_ns - self._span_ns
        while len(self._kept) > 1 and self._kept[1][0] <= begin_ns:
            self._kept.popleft()
        if not self._kept or self._kept[0][0] > begin_ns or not all(good for _, _, good in self._kept):
            return None
        values = [value for _, value, _ in self._kept]
        if self._function in {"first", "last"}:
            return values[0 if self._function == "first" else -1]
        return min(values) if self._function == "min" else max(values)


@dataclass(slots=True)
class _Vote:
    text: str
    condition: Condition
    tags: dict[str, int]  # by name
    looks: dict[str, _Look]
    since_ns: int | None = None  # since when it is true
    seen: list[tuple[Written, int]] = field(default_factory=list)  # what it was evaluated with last
    said: tuple[bool | None, int] = (False, 0)  # and what that gave


@dataclass(slots=True)
class _Armed:
    """A trip at run time. Units: armed_ns, since_ns monotonic"""

    model: TripModel
    votes: list[_Vote]
    armed_ns: int
    since_ns: int | None = None  # since when enough votes are true
    unsure: bool = False
    said: tuple[int, str] | None = None
    testing: bool = False
    broken: bool = False
    acting: set[asyncio.Task[str]] = field(default_factory=set)
    insisting: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an action goes. ``lockout`` is that of the plant file."""

    path: str
    connection: str
    lockout: str


@dataclass(frozen=True, slots=True)
class _Verdict:
    """How many votes count, and why."""

    count: int
    cause: str
    unsure: bool


class Trips:
    """All trips of an edge. ``taken`` hears of each tag that a trip writes; ``trip`` takes commands."""

    def __init__(
        self, field_: Field, journal: Journal, standing: Standing, outbox: Outbox, clock: Clock, log: Log
    ) -> None:
        self._field, self._journal, self._standing, self._outbox = field_, journal, standing, outbox
        self._clock, self._log = clock, log
        self._trips: dict[str, _Armed] = {}
        self._by_tag: dict[int, list[_Armed]] = {}
        self._looks: dict[int, list[_Look]] = {}
        self._holds: dict[int, list[str]] = {}
        self._places: dict[int, _Place] = {}
        self._changed = asyncio.Event()
        self._recall()
        self._end_listening: Callable[[], None] = lambda: None
        self.taken: Callable[[int], None] = lambda _: None

    # --- life --------------------------------------------------------------------------------------------------------

    def apply(self, model: EdgeModel) -> None:
        """Watch these from now on. Raises: ConfigError if a condition does not compile; then the old ones stay"""
        now_ns = self._clock.monotonic_ns()
        trips = {trip.name: arm(trip, now_ns) for trip in model.trips}
        for trip_name, trip in trips.items():
            before = self._trips.get(trip_name)
            if (
                before is not None
                and before.model.votes == trip.model.votes
                and before.model.inputs == trip.model.inputs
            ):
                trip.votes, trip.since_ns, trip.armed_ns = before.votes, before.since_ns, before.armed_ns
                trip.said = before.said
        for old in self._trips.values():
            _cancel(old.insisting)
        self._trips = trips
        self._by_tag, self._looks, self._holds = {}, {}, {}
        for trip in trips.values():
            self._index(trip)
        self._places = _places(model)
        self._end_listening()
        self._end_listening = self._field.listen(self._hear) if trips else lambda: None
        for trip in trips.values():
            self._judge(trip, now_ns, None)
        self._changed.set()

    async def run(self) -> None:
        """Look at ages and delays until cancelled."""
        while True:
            if not self._trips:
                self._changed.clear()
                await self._changed.wait()
            await asyncio.sleep(self._pause_s())
            for trip in list(self._trips.values()):
                self._judge(trip, self._clock.monotonic_ns(), None)

    async def stop(self) -> None:
        """Listen no more; what is being written goes on to its end."""
        self._end_listening()
        self._end_listening = lambda: None
        for trip in self._trips.values():
            _cancel(trip.insisting)
        tasks = [task for trip in self._trips.values() for task in (*trip.acting, trip.insisting) if task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    def trip_of(self, tag: int) -> str:
        """The tripped one that holds a tag; empty where none does."""
        return next((n for n in self._holds.get(tag, ()) if n in self._standing.fired), "")

    def _recall(self) -> None:
        """What the journal knows of trips that fired, as a killed edge may not have come to keeping it elsewhere."""
        for line in self._journal.lines():
            if line["kind"] == "trip" and line["state"] == "fired" and not line["test"]:
                self._standing.fire(line["trip"], Fired(line["at_ns"], line["cause"]))
            elif line["kind"] == "trip" and line["state"] == "reset":
                self._standing.reset(line["trip"])

    def _index(self, trip: _Armed) -> None:
        for tag, _ in trip.model.actions:
            self._holds.setdefault(tag, []).append(trip.model.name)
        for vote in trip.votes:
            for tag in vote.tags.values():
                if trip not in self._by_tag.setdefault(tag, []):
                    self._by_tag[tag].append(trip)
            for look in vote.looks.values():
                self._looks.setdefault(look.tag, []).append(look)

    def _pause_s(self) -> float:
        """Until the next delay is over, or age has to be looked at."""
        now_ns = self._clock.monotonic_ns()
        left = [
            (t.since_ns - now_ns) / NS_PER_S + t.model.delay_s
            for t in self._trips.values()
            if t.since_ns is not None and t.model.name not in self._standing.fired
        ]
        return min([LOOK_S, *(max(s, 0.001) for s in left)])

    # --- judging -----------------------------------------------------------------------------------------------------

    def _hear(self, batches: Sequence[SampleBatch]) -> None:
        """Readings, before they go anywhere else."""
        now_ns = self._clock.monotonic_ns()
        touched: dict[str, _Armed] = {}
        newest_ns = 0
        for batch in batches:
            for row, tag in enumerate(batch.id.tolist()):
                for look in self._looks.get(tag, ()):
                    good = not int(batch.status[row]) & SEVERITY_MASK
                    look.take(float(batch.value[row]), good, now_ns)
                for trip in self._by_tag.get(tag, ()):
                    touched[trip.model.name] = trip
            newest_ns = max(newest_ns, int(batch.time_ns.max()))
        for trip in touched.values():
            self._judge(trip, now_ns, newest_ns)

    def _judge(self, trip: _Armed, now_ns: int, sampled_ns: int | None) -> None:
        """``sampled_ns`` is the time of the sample that asks, None for the timer. One that fails harms no other; said once."""
        try:
            self._weigh(trip, now_ns, sampled_ns)
        except Exception:
            if not trip.broken:
                trip.broken = True
                self._log.exception("trip %s cannot be judged", trip.model.name)

    def _weigh(self, trip: _Armed, now_ns: int, sampled_ns: int | None) -> None:
        model = trip.model
        verdict = self._verdict(trip, now_ns)
        trip.unsure = verdict.unsure
        if verdict.count < model.need:
            trip.since_ns = None
        elif trip.since_ns is None:
            trip.since_ns = now_ns
        due = trip.since_ns is not None and now_ns - trip.since_ns >= model.delay_s * NS_PER_S
        if due and model.name not in self._standing.fired:
            self._fire(trip, verdict.cause, sampled_ns)
        self._tell(trip)

    def _verdict(self, trip: _Armed, now_ns: int) -> _Verdict:
        """The votes as they are; the cause is the one that was true first."""
        causes: list[tuple[int, str]] = []
        unsure = False
        for vote in trip.votes:
            truth, why = self._truth(vote, trip, now_ns)
            if truth is None:
                unsure, why = True, f"lost: {why}"
                truth = trip.model.on_loss and not self._waits(vote, trip, now_ns)
            if not truth:
                vote.since_ns = None
                continue
            vote.since_ns = now_ns if vote.since_ns is None else vote.since_ns
            causes.append((vote.since_ns, f"{vote.text} ({why})" if why else vote.text))
        return _Verdict(len(causes), min(causes, key=itemgetter(0))[1] if causes else "", unsure)

    def _waits(self, vote: _Vote, trip: _Armed, now_ns: int) -> bool:
        """Whether what it lacks was never read yet, and need not have been: an edge that starts does not trip by that."""
        if now_ns - trip.armed_ns > max(GRACE_S, trip.model.fresh_s) * NS_PER_S:
            return False
        held = [self._field.held(tag) for tag in vote.tags.values()]
        return any(h is None or h.status == BAD_WAITING_FOR_INITIAL_DATA for h in held)

    def _truth(self, vote: _Vote, trip: _Armed, now_ns: int) -> tuple[bool | None, str]:
        """Whether a condition is true, with what it looked at; None where it cannot be judged."""
        inputs: list[tuple[Written, int]] = []
        for word, tag in vote.tags.items():
            held = self._field.held(tag)
            lost = _lost(held, trip.model.fresh_s)
            if lost or held is None or held.value is None:
                return None, f"{self._path(tag, word)} {lost or 'has no value'}"
            value: Written | None = held.value
            look = vote.looks.get(word)
            if look is not None:
                value = look.value(now_ns)
                if (
                    value is None
                ):  # a time that is not filled yet says nothing, and is no loss: else each start would trip
                    return False, f"{word} is not filled yet"
            inputs.append((value if value is not None else 0, held.status))
        if inputs != vote.seen or not vote.seen:  # most readings say the same again
            result, status = vote.condition.evaluate_one(dict(zip(vote.tags, inputs, strict=True)))
            vote.seen, vote.said = inputs, (bool(result) if not status & SEVERITY_MASK else None, status)
        truth, status = vote.said
        return truth, "" if truth is False else self._words(vote, status)

    def _words(self, vote: _Vote, status: int) -> str:
        """What a condition looked at."""
        held = {tag: self._field.held(tag) for tag in vote.tags.values()}
        looked = ", ".join(f"{self._path(tag)} {_shown(one.value) if one else ''}" for tag, one in held.items())
        return f"{name(status)}: {looked}" if status & SEVERITY_MASK else looked

    # --- firing ------------------------------------------------------------------------------------------------------

    def _fire(self, trip: _Armed, cause: str, sampled_ns: int | None) -> None:
        """Act first, then tell."""
        model = trip.model
        task = asyncio.get_running_loop().create_task(
            self._act(trip, model.actions, cause, sampled_ns, test=False), name=f"trip {model.name}"
        )
        trip.acting.add(task)
        task.add_done_callback(trip.acting.discard)
        self._standing.fire(model.name, Fired(self._clock.now_ns(), cause))

    async def _act(
        self,
        trip: _Armed,
        actions: Sequence[tuple[int, float]],
        cause: str,
        sampled_ns: int | None,
        *,
        test: bool,
    ) -> str:
        """Write in order; one that fails keeps none behind it from being tried. What failed, in words; empty when all went well.

        Each line of the journal is there before its frame is on the wire; its flush is waited for behind it, as a hazard
        does not wait for a disk.
        """
        name_ = trip.model.name
        self._line(state="fired", trip=name_, cause=cause, test=test)
        failed, down = [], []
        for tag, value in actions:
            result, why, again = await self._write(trip, tag, value, test=test)
            if result is not Result.DONE:
                failed.append(f"{self._path(tag)}: {why}")
            if again:
                down.append((tag, value))
        took_s = (self._clock.now_ns() - sampled_ns) / NS_PER_S if sampled_ns is not None else 0.0
        late = took_s > trip.model.bound_s
        self._line(state="ended", trip=name_, took_s=round(took_s, 6), late=late, failed=failed, test=test)
        if not test:
            self._log.critical("trip %s: %s", name_, cause)
        if failed:
            self._log.critical("trip %s could not do all of it: %s", name_, "; ".join(failed))
        if late:
            self._log.critical("trip %s took %.3f s, its bound is %.3f s", name_, took_s, trip.model.bound_s)
        if not test:
            if down:
                trip.insisting = asyncio.create_task(self._insist(trip, down), name=f"insist {name_}")
            await self._keep()
        return "; ".join(failed)

    async def _keep(self) -> None:
        """What happened reaches the disk; the hazard did not wait for it."""
        try:
            await self._journal.sync()
            self._standing.keep()
        except (TryLater, OSError) as error:
            self._log.error("a trip is not kept on the disk: %s", error)

    async def _insist(self, trip: _Armed, left: list[tuple[int, float]]) -> None:
        """Devices that could not be reached get their value as soon as they can, while the trip stands."""
        while left and trip.model.name in self._standing.fired:
            await asyncio.sleep(INSIST_S)
            left = [one for one in left if (await self._write(trip, *one, test=False))[2]]

    async def _write(self, trip: _Armed, tag: int, value: float, *, test: bool) -> tuple[Result, str, bool]:
        """One action: how it ended, why, and whether to try again as nothing could be sent."""
        place = self._places.get(tag, _Place(f"tag {tag}", "", ""))
        said = {"trip": trip.model.name, "tag": tag, "path": place.path, "value": value, "test": test}
        lock = place.lockout or self._standing.lock(place.path, place.connection)
        if lock:
            self._line(state="answered", result=Result.DENIED, reason=f"locked out: {lock}", **said)
            return Result.DENIED, f"locked out: {lock}", False
        self.taken(tag)
        try:
            await self._field.write(tag, value, lambda: self._line(state="sent", **said))
        except Denied as error:
            return Result.DENIED, str(error), error.code == "not_connected"
        except (ConfigError, Rejected) as error:
            result, why = Result.DENIED, str(error)
        except Exception as error:  # nobody knows whether it arrived
            result, why = Result.UNCERTAIN, f"{type(error).__name__}: {error}"
        else:
            result, why = Result.DONE, ""
        self._line(state="answered", result=result, reason=why, **said)
        return result, why, False

    def _path(self, tag: int, word: str = "") -> str:
        place = self._places.get(tag)
        return place.path if place is not None else word or f"tag {tag}"

    def _line(self, **said: Any) -> None:
        """A full disk keeps no trip from acting."""
        try:
            self._journal.append("trip", **said)
        except TryLater as error:
            self._log.error("not in the journal: %s", error)

    # --- telling -----------------------------------------------------------------------------------------------------

    def _tell(self, trip: _Armed) -> None:
        """Its two tags, when they changed."""
        fired = self._standing.fired.get(trip.model.name)
        state = TRIPPED if fired else TEST if trip.testing else UNSURE if trip.unsure else ARMED
        cause = fired.cause if fired else ""
        if trip.said == (state, cause) or not trip.model.state:
            return
        trip.said = state, cause
        now_ns = self._clock.now_ns()
        self._outbox.offer(
            Lane.EVENT,
            (
                _one(trip.model.state, now_ns, np.array([state], np.int64)),
                _one(trip.model.cause, now_ns, np.array([0], np.int32), (cause,)),
            ),
        )

    # --- commands ----------------------------------------------------------------------------------------------------

    async def trip(self, data: bytes) -> bytes:
        """A TripCommand; answered by Told."""
        try:
            command = read_command(TripCommand, data)
        except Malformed as error:
            return _answer(Told(ok=False, code="malformed", reason=str(error)))
        trip = self._trips.get(command.trip)
        if trip is None:
            return _answer(Told(ok=False, code="unknown_trip", reason=f"this edge has no trip {command.trip!r}"))
        if not command.intent:
            return _answer(Told(ok=False, code="no_intent", reason="no durable record says that somebody wants this"))
        if command.do not in {"reset", "test"}:
            return _answer(Told(ok=False, code="malformed", reason=f"do must be reset or test, was {command.do!r}"))
        told = await (self._reset(trip, command) if command.do == "reset" else self._test(trip, command))
        return _answer(told)

    async def _reset(self, trip: _Armed, command: TripCommand) -> Told:
        model = trip.model
        if model.name not in self._standing.fired:
            return Told(ok=False, code="not_tripped", reason=f"trip {model.name} is not tripped")
        if trip.acting:
            return Told(ok=False, code="acting", reason="it is still writing", clears="wait until it has ended")
        verdict = self._verdict(trip, self._clock.monotonic_ns())
        if verdict.count >= model.need:
            return Told(
                ok=False, code="cause_stands", reason=f"its cause stands: {verdict.cause}", clears="clear the cause"
            )
        self._line(state="reset", trip=model.name, by=command.by, intent=command.intent)
        try:
            await self._journal.sync()
            self._standing.reset(model.name)
            self._standing.keep()
        except (TryLater, OSError) as error:
            return Told(
                ok=False, code="journal", reason=f"it cannot be recorded: {error}", clears="make room on the disk"
            )
        _cancel(trip.insisting)
        self._tell(trip)
        self._log.warning("trip %s is reset", model.name)
        return Told(ok=True)

    async def _test(self, trip: _Armed, command: TripCommand) -> Told:
        """The whole chain with every condition taken as true: inputs, votes, delay, the way to each device, the journal, and
        what the test may write. A hazard that comes meanwhile trips as ever.
        """
        model = trip.model
        if model.name in self._standing.fired:
            return Told(ok=False, code="tripped", reason="it is tripped; reset it first", clears="reset it")
        if trip.testing:
            return Told(ok=False, code="testing", reason="a test of it runs")
        self._line(state="test", trip=model.name, by=command.by, intent=command.intent)
        trip.testing = True
        self._tell(trip)
        try:
            async with asyncio.timeout(TEST_S + model.delay_s):
                problem = await self._chain(trip)
        except TimeoutError:
            problem = f"it came to no end within {TEST_S + model.delay_s:g} s"
        except TryLater as error:
            problem = str(error)
        finally:
            trip.testing = False
            self._tell(trip)
        if model.name in self._standing.fired:
            problem = f"it tripped during the test: {self._standing.fired[model.name].cause}"
        self._line(state="tested", trip=model.name, ok=not problem, reason=problem)
        if problem:
            return Told(ok=False, code="test_failed", reason=problem, clears="mend what failed, then test again")
        return Told(
            ok=True, reason=f"{len(trip.votes)} conditions, {len(model.actions)} actions, {len(model.test)} written"
        )

    async def _chain(self, trip: _Armed) -> str:
        """Every link of it; what failed, in words."""
        model, now_ns = trip.model, self._clock.monotonic_ns()
        blind = [why for vote in trip.votes for truth, why in [self._truth(vote, trip, now_ns)] if truth is None]
        if blind:
            return f"its inputs are not all there: {'; '.join(blind)}"
        if model.delay_s:
            await asyncio.sleep(model.delay_s)
        for tag, _ in model.actions:
            try:
                shown = await self._field.read_back(tag)
            except IsthmusError as error:
                return f"{self._path(tag)} cannot be reached: {error}"
            if shown.status & BAD:
                return f"{self._path(tag)} is {name(shown.status)}"
        failed = await self._act(trip, model.test, "test", self._clock.now_ns(), test=True)
        await self._journal.sync()
        return failed


def arm(trip: TripModel, now_ns: int) -> _Armed:
    """A trip ready to judge.

    Raises: ConfigError if a condition does not compile
    """
    votes = []
    for text in trip.votes:
        condition = compile_expression(text, windows=True)
        tags, looks = {}, {}
        for word in sorted(condition.names):
            if word not in trip.inputs:
                raise ConfigError(f"trip {trip.name}: needs {word}, which the model does not give")
            tags[word] = trip.inputs[word]
            window = window_of(word)
            if window is not None:
                looks[word] = _Look(window, tags[word])
        votes.append(_Vote(text, condition, tags, looks))
    return _Armed(trip, votes, now_ns)


def _places(model: EdgeModel) -> dict[int, _Place]:
    """Where the tags of trips and points are."""
    wanted = {tag for t in model.trips for tag in (*t.inputs.values(), *dict(t.actions), *dict(t.test))}
    locks = {p.tag: p.lockout for p in model.points}
    tags = model.tags
    return {
        tag: _Place(tags.path[i], tags.connection[i], locks.get(tag, ""))
        for i, tag in enumerate(tags.id)
        if tag in wanted
    }


def _cancel(task: asyncio.Task[Any] | None) -> None:
    if task is not None:
        task.cancel()


def _shown(value: Written | None) -> str:
    """A value in a sentence: six figures say enough, and a float of 32 bits has no more."""
    return f"{value:.6g}" if isinstance(value, float) and abs(value) < 1e6 else f"{value}"


def _lost(held: HeldValue | None, fresh_s: float) -> str:
    """Why a signal does not count; empty where it does."""
    if held is None:
        return "was never read"
    if held.status & SEVERITY_MASK:
        return f"is {name(held.status)}"
    return f"is {held.age_s:.1f} s old" if held.age_s > fresh_s else ""


def _one(tag: int, time_ns: int, value: np.ndarray[Any, Any], text: tuple[str, ...] = ()) -> SampleBatch:
    times, codes = np.array([time_ns], np.int64), np.array([GOOD], np.uint32)
    return SampleBatch(np.array([tag], np.int32), times, value, codes, text)


def _answer(told: Told) -> bytes:
    return orjson.dumps(told)

"""Tags calculated in Python: which calls are due, with which inputs, and what becomes of the answers.

No poll ever waits for a script: a sample that arrives is remembered, the calls it makes due go into a queue, and a
process of its own (one for each script file) works through it in batches. Answers come back as samples like those of a
device. Inputs are the samples that were sent, so a replay of the record makes the same calls: on change, one call for
each arrival of inputs, with the time of the newest of them; periodically, at each whole multiple of the period (UTC),
with the inputs as they were at that time.

A call that ends its process (too long, too much memory, an exit) makes its tag bad, and only that tag: it is not called
again for a while, the process begins anew at once, and all other calls are made. A script that does not begin is tried
again with growing waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.acquisition.binding import FLOAT, INT, KINDS, TEXT, Binder, TagTable
from isthmus.acquisition.latest import Latest
from isthmus.acquisition.script_process import Call, Outcome, Result, Script, ScriptProcess, Unusable
from isthmus.values import status as codes
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError
from isthmus.values.model import EdgeModel, ScriptModel
from isthmus.values.sample import SampleBatch, ValueType
from isthmus.values.status import (
    BAD,
    BAD_CONFIGURATION_ERROR,
    BAD_RESOURCE_UNAVAILABLE,
    BAD_TYPE_MISMATCH,
    BAD_WAITING_FOR_INITIAL_DATA,
    SEVERITY_MASK,
)

Log = logging.Logger | logging.LoggerAdapter[Any]

BATCH_CALLS = 1_000
QUEUE_CALLS = 20_000
"""Calls of one script that may wait; beyond that the oldest are dropped, counted, and their tags say so."""
SETTLE_S = 0.05
"""How long a periodic call waits for samples of its own time to arrive."""
FIRST_REST_S, LONGEST_REST_S = 1.0, 300.0
"""How long a tag whose call ended the process is left alone: doubling, until it held for as long as its last rest."""
MANY_CULPRITS = 3
"""So many tags of one function at rest, and the function itself is."""


@dataclass(frozen=True, slots=True)
class Done:
    """The answer of one call."""

    call: Call
    result: Result


Deliver = Callable[[Sequence[Done]], None]


@dataclass(frozen=True, slots=True)
class Decided:
    """A call that need not be made: the answer is known, and keeps its turn."""

    call: Call
    result: Result


@dataclass(slots=True)
class _Rest:
    """Why something is left alone, until when (monotonic), and how long it will be next time."""

    function: str
    until_ns: int
    next_s: float


class Runner:
    """One script: its queue and its process. ``run`` is its task, until cancelled.

    Limits: QUEUE_CALLS calls wait, policy drop_oldest
    """

    def __init__(self, script: Script, clock: Clock, deliver: Deliver, log: Log) -> None:
        self.script = script
        self._clock, self._deliver, self._log = clock, deliver, log
        self._queue: deque[Call | Decided] = deque()
        self._filled = asyncio.Event()
        self._states: dict[int, str] = {}
        self._rests: dict[int | str, _Rest] = {}
        self._process: ScriptProcess | None = None
        self._said = ""
        self.dropped = 0
        self.started = 0

    def submit(self, calls: Iterable[Call | Decided]) -> None:
        """Queue calls; never waits."""
        self._queue.extend(calls)
        lost: dict[int, Call] = {}
        while len(self._queue) > QUEUE_CALLS:
            old = self._queue.popleft()
            self.dropped += 1
            call = old.call if isinstance(old, Decided) else old
            lost[call.tag] = call
        if lost:
            self._complain(f"the script is too slow: {self.dropped} calls were left out")
            result = Result(None, BAD_RESOURCE_UNAVAILABLE, "the script is too slow: calls were left out")
            self._deliver([Done(call, result) for call in lost.values()])
        self._filled.set()

    def forget(self, keep: set[int]) -> None:
        """Tags that are no longer part of the plant have no state."""
        self._states = {tag: state for tag, state in self._states.items() if tag in keep}

    async def run(self) -> None:
        """Work through the queue until cancelled."""
        wait_s = FIRST_REST_S
        try:
            while True:
                if self._process is None:
                    try:
                        await self._begin()
                        wait_s = FIRST_REST_S
                    except (Unusable, OSError) as error:
                        self._complain(str(error))
                        self._fail(Result(None, BAD_CONFIGURATION_ERROR, f"the script does not begin: {error}"))
                        with contextlib.suppress(TimeoutError):
                            await asyncio.wait_for(self._failing(str(error)), wait_s)
                        wait_s = min(2 * wait_s, LONGEST_REST_S)
                        continue
                if not self._queue:
                    self._filled.clear()
                    await self._filled.wait()
                while self._queue and self._process is not None:
                    await self._work()
        finally:
            if self._process is not None:
                await asyncio.shield(self._process.stop())

    async def _begin(self) -> None:
        process = ScriptProcess(self.script)
        await process.start(self._states)
        self._process = process
        self.started += 1
        if self.started == 1:
            self._log.info("script %s runs, confined by %s", self.script.file, ", ".join(process.granted))

    async def _failing(self, reason: str) -> None:
        """While the script cannot begin, whatever is asked of it is bad."""
        while True:
            self._filled.clear()
            await self._filled.wait()
            self._fail(Result(None, BAD_CONFIGURATION_ERROR, f"the script does not begin: {reason}"))

    def _fail(self, result: Result) -> None:
        waiting, self._queue = self._queue, deque()
        calls = {c.tag: c for c in (one.call if isinstance(one, Decided) else one for one in waiting)}
        if calls:
            self._deliver([Done(call, result) for call in calls.values()])

    async def _work(self) -> None:
        """One batch: what need not be called keeps its place between what must."""
        taken = [self._queue.popleft() for _ in range(min(BATCH_CALLS, len(self._queue)))]
        now_ns = self._clock.monotonic_ns()
        turns = [one for one in taken if isinstance(one, Decided) or not self._rests_now(one, now_ns)]
        calls = [one for one in turns if isinstance(one, Call)]
        process, outcome = self._process, Outcome()
        try:
            if calls and process is not None:
                outcome = await process.run(calls)
        except Unusable as error:
            self._process = None
            self._complain(str(error))
            outcome.ended, outcome.blamed = Result(None, BAD_CONFIGURATION_ERROR, str(error)), 0
        done: list[Done] = []
        again: list[Call | Decided] = []
        number = 0
        for one in turns:
            if isinstance(one, Decided):
                if again:
                    again.append(one)
                else:
                    done.append(Done(one.call, one.result))
                continue
            if number < len(outcome.results):
                done.append(Done(one, outcome.results[number]))
                self._keep(one, outcome.results[number])
            elif number == outcome.blamed and outcome.ended is not None:
                done.append(Done(one, outcome.ended))
                self._rest(one, outcome.ended)
            else:
                again.append(one)
            number += 1
        self._queue.extendleft(reversed(again))
        if outcome.ended is not None:
            self._process = None
        if outcome.printed and not self._said:
            self._complain(f"prints {outcome.printed[:100]!r}; nobody reads what a script prints")
        self._deliver(done)

    def _keep(self, call: Call, result: Result) -> None:
        if result.state is not None:
            self._states[call.tag] = result.state
        rest = self._rests.get(call.tag)
        if rest is not None and self._clock.monotonic_ns() - rest.until_ns > rest.next_s * NS_PER_S:
            del self._rests[call.tag]

    def _rests_now(self, call: Call, now_ns: int) -> bool:
        return any(
            rest is not None and now_ns < rest.until_ns
            for rest in (self._rests.get(call.tag), self._rests.get(call.function))
        )

    def _rest(self, call: Call, result: Result) -> None:
        """Leave alone whoever ended the process."""
        self._complain(f"function {call.function} {result.reason}")
        now_ns = self._clock.monotonic_ns()
        for key in (call.tag, call.function):
            before = self._rests.get(key)
            if key == call.function and before is None:
                others = [r for r in self._rests.values() if r.function == call.function and now_ns < r.until_ns]
                if len(others) < MANY_CULPRITS:
                    continue
            length_s = before.next_s if before is not None else FIRST_REST_S
            self._rests[key] = _Rest(
                call.function, now_ns + round(length_s * NS_PER_S), min(2 * length_s, LONGEST_REST_S)
            )

    def _complain(self, what: str) -> None:
        """Say it once; the tags themselves say it all the time."""
        if what != self._said:
            self._said = what
            self._log.warning("script %s: %s", self.script.file, what)


class ScriptPool:
    """The runners of an edge, kept over changes of the model."""

    def __init__(self, clock: Clock, deliver: Deliver, log: Log) -> None:
        self._clock, self._deliver, self._log = clock, deliver, log
        self._runners: dict[str, tuple[Runner, asyncio.Task[None]]] = {}

    async def configure(self, scripts: Iterable[Script], keep: set[int]) -> None:
        """Run exactly these; a script that stays the same goes on with its state."""
        wanted = {script.file: script for script in scripts}
        for file, (runner, _) in list(self._runners.items()):
            if wanted.get(file) != runner.script:
                await self._stop(file)
            else:
                runner.forget(keep)
        for file, script in wanted.items():
            if file not in self._runners:
                runner = Runner(script, self._clock, self._deliver, self._log)
                self._runners[file] = runner, asyncio.create_task(runner.run(), name=f"script-{file}")

    def submit(self, file: str, calls: Iterable[Call | Decided]) -> None:
        """Queue calls of one script."""
        found = self._runners.get(file)
        if found is not None:
            found[0].submit(calls)

    async def stop(self) -> None:
        """End every process."""
        for file in list(self._runners):
            await self._stop(file)

    async def _stop(self, file: str) -> None:
        _, task = self._runners.pop(file)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _Input:
    name: str
    slot: int
    factor: float
    offset: float


@dataclass(slots=True)
class _Tag:
    """One calculated tag; ``row`` is its row in both binders."""

    row: int
    model: ScriptModel
    inputs: tuple[_Input, ...]
    kind: int


@dataclass(slots=True)
class _Period:
    tags: list[_Tag] = field(default_factory=list)
    last_ns: int = 0


class Scripts:
    """All tags of an edge that are calculated in Python, for one model.

    Cost: some 3 µs an input and call on the loop of the edge; all else is in the scripts' processes
    Raises: ConfigError if the model contradicts itself
    """

    def __init__(self, model: EdgeModel, pool: ScriptPool, clock: Clock, log: Log) -> None:
        self._pool, self._clock, self._log = pool, clock, log
        index = {tag: i for i, tag in enumerate(model.tags.id)}
        for one in model.scripts:
            if one.id not in index or one.reason not in index or one.file not in model.files:
                raise ConfigError(f"script of tag {one.id}: the model has no such tag, reason or file {one.file}")
        self.scripts = tuple(
            Script(file, text, max((s.memory_mb for s in model.scripts if s.file == file), default=256))
            for file, text in model.files.items()
        )
        self.ids = {s.id for s in model.scripts}
        self._values = Binder(TagTable.of(model.tags, [index[s.id] for s in model.scripts]))
        self._reasons = Binder(TagTable.of(model.tags, [index[s.reason] for s in model.scripts]))
        wanted = sorted({tag for s in model.scripts for tag, _, _ in s.inputs.values()})
        kinds = [KINDS[ValueType(model.tags.type[index[tag]])] if tag in index else FLOAT for tag in wanted]
        self._latest = Latest(np.array(wanted, np.int32), np.array(kinds, np.int8))
        slot_of = {tag: slot for slot, tag in enumerate(wanted)}
        self._tags = [
            _Tag(
                row,
                one,
                tuple(_Input(n, slot_of[tag], factor, offset) for n, (tag, factor, offset) in one.inputs.items()),
                int(self._values.table.kind[row]),
            )
            for row, one in enumerate(model.scripts)
        ]
        self._by_id = {tag.model.id: tag for tag in self._tags}
        self._readers: dict[int, list[_Tag]] = {}
        self._periods: dict[int, _Period] = {}
        for tag in self._tags:
            if tag.model.every_s:
                self._periods.setdefault(round(tag.model.every_s * NS_PER_S), _Period()).tags.append(tag)
            else:
                for slot in {i.slot for i in tag.inputs}:
                    self._readers.setdefault(slot, []).append(tag)

    @property
    def periodic(self) -> bool:
        """Whether any tag is called by the clock."""
        return bool(self._periods)

    def adopt(self, other: Scripts) -> None:
        """Go on from what the model before had seen and said."""
        self._values.adopt(other._values)
        self._reasons.adopt(other._reasons)
        self._latest.adopt(other._latest)

    def retired(self, keep: set[int], status: int, now_ns: int, monotonic_ns: int) -> tuple[SampleBatch, ...]:
        """Say of the tags that are not among those kept that nothing more will come."""
        found: list[SampleBatch] = []
        for binder in (self._values, self._reasons):
            gone = [row for row, tag in enumerate(binder.table.id.tolist()) if tag not in keep]
            found += binder.mark(np.array(gone, np.intp), status, now_ns, monotonic_ns)
        return tuple(found)

    def start(self, now_ns: int, monotonic_ns: int) -> tuple[SampleBatch, ...]:
        """Tags that never had an answer say that they wait."""
        rows = self._values.unsent(np.arange(len(self._tags)))
        return self._values.mark(rows, BAD_WAITING_FOR_INITIAL_DATA, now_ns, monotonic_ns)

    def heard(self, batches: Sequence[SampleBatch]) -> None:
        """Samples were sent: remember them, and queue the calls they make due."""
        if not self._tags or not batches:
            return
        touched = np.concatenate([self._latest.store(b) for b in batches])
        if not len(touched) or not self._readers:
            return
        due: dict[int, _Tag] = {}
        for slot in np.unique(touched).tolist():
            for tag in self._readers.get(slot, ()):
                due[tag.row] = tag
        self._submit(due.values(), None)

    async def run(self) -> None:
        """Periodic calls, until cancelled."""
        settle_ns = round(SETTLE_S * NS_PER_S)
        for period_ns, period in self._periods.items():
            period.last_ns = (self._clock.now_ns() - settle_ns) // period_ns * period_ns
        while True:
            now_ns = self._clock.now_ns() - settle_ns
            for period_ns, period in self._periods.items():
                at_ns = now_ns // period_ns * period_ns
                if at_ns > period.last_ns:
                    self._submit(period.tags, at_ns)
                period.last_ns = at_ns  # goes back with the clock, so that nothing stands still until it has caught up
            waits = [p.last_ns + period_ns - now_ns for period_ns, p in self._periods.items()]
            await asyncio.sleep(max(min(waits) / NS_PER_S, 0.001))

    def take(self, done: Sequence[Done], now_ns: int, monotonic_ns: int) -> tuple[SampleBatch, ...]:
        """The samples that answers make; an answer for a tag the model does not have is dropped."""
        mine = [(self._by_id[d.call.tag], d) for d in done if d.call.tag in self._by_id]
        if not mine:
            return ()
        judged = [(tag, d.call.time_ns, *judge(tag.model, tag.kind, d)) for tag, d in mine]
        values = self._values.bind(_columns(judged), now_ns, monotonic_ns)
        reasons = [(tag, time_ns, reason, codes.GOOD, "") for tag, time_ns, _, _, reason in judged]
        told = self._reasons.bind(_columns(reasons), now_ns, monotonic_ns)
        return (*values, *told)

    def _submit(self, tags: Iterable[_Tag], at_ns: int | None) -> None:
        calls: dict[str, list[Call | Decided]] = {}
        for tag in tags:
            calls.setdefault(tag.model.file, []).append(self._call(tag, at_ns))
        for file, some in calls.items():
            self._pool.submit(file, some)

    def _call(self, tag: _Tag, at_ns: int | None) -> Call | Decided:
        given: dict[str, list[Any]] = {}
        newest = 0
        worst = codes.GOOD
        blame = ""
        for one in tag.inputs:
            value, time_ns, code = self._latest.at(one.slot, at_ns)
            if not isinstance(value, str) and (one.factor != 1.0 or one.offset):
                value = value * one.factor + one.offset
            given[one.name] = [value, time_ns, code]
            newest = max(newest, time_ns)
            if (code & SEVERITY_MASK) > (worst & SEVERITY_MASK):
                worst, blame = code, one.name
        when = at_ns if at_ns is not None else newest or self._clock.now_ns()
        model = tag.model
        call = Call(model.id, model.function, when, given, model.state, model.limit_s)
        if worst & BAD and not model.bad_inputs:
            return Decided(call, Result(None, worst, f"input {blame} is {codes.name(worst)}"))
        return call


def judge(model: ScriptModel, kind: int, done: Done) -> tuple[float | int | str, int, str]:
    """Value, status and reason of an answer, by the tag's type and the quality of its inputs."""
    result = done.result
    if result.status & BAD or result.value is None:
        return _BLANK[kind], result.status or BAD, result.reason
    if isinstance(result.value, str) != (kind == TEXT):
        told = "a text, and the tag is a number" if isinstance(result.value, str) else "a number, and the tag is a text"
        return _BLANK[kind], BAD_TYPE_MISMATCH, f"returned {told}"
    if kind == INT and isinstance(result.value, float) and not result.value.is_integer():
        return 0, BAD_TYPE_MISMATCH, f"returned {result.value:g}, and the tag is a whole number"
    status, reason = result.status, result.reason
    if not model.bad_inputs:
        for name, (_, _, code) in done.call.inputs.items():
            if (code & SEVERITY_MASK) > (status & SEVERITY_MASK):
                status, reason = code, reason or f"input {name} is {codes.name(code)}"
    return result.value, status, reason


_BLANK: tuple[float | int | str, ...] = (0.0, 0, "")


def _columns(judged: Sequence[tuple[_Tag, int, float | int | str, int, str]]) -> list[SampleBatch]:
    """Rows of a binder, at most one batch per type; rows of one tag keep their order."""
    found: list[SampleBatch] = []
    for kind in (float, int, str):
        some = [j for j in judged if type(j[2]) is kind]
        if not some:
            continue
        text: dict[str, int] = {}
        value: NDArray[Any]
        if kind is str:
            value = np.array([text.setdefault(str(j[2]), len(text)) for j in some], np.int32)
        else:
            value = np.array([j[2] for j in some], np.float64 if kind is float else np.int64)
        found.append(
            SampleBatch(
                np.array([j[0].row for j in some], np.int32),
                np.array([j[1] for j in some], np.int64),
                value,
                np.array([j[3] for j in some], np.uint32),
                tuple(text),
            )
        )
    return found

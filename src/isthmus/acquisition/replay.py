"""Computes a calculated tag again from what was recorded, and tells where the record says something else.

The calls are those the edge made: one for each arrival of inputs (samples of one time are one arrival), or one at each
multiple of the period; with each input as it was then. The answers go through the same conversion and range as at the
edge. What the tag's own deadband hid is no difference.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.acquisition.binding import FLOAT, INT, KINDS, TEXT, Binder, Ints, Statuses, TagTable
from isthmus.acquisition.formulas import CompileFormula, result_batch
from isthmus.acquisition.script_process import Call, Result, Script, ScriptProcess, Unusable
from isthmus.acquisition.scripts import BATCH_CALLS, Done, judge
from isthmus.namespace.model import Tag
from isthmus.ports.history import Format, Gap, HistoryQuery, HistoryReader, Shape
from isthmus.values import status as codes
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError, TryLater
from isthmus.values.expression import Column
from isthmus.values.model import EdgeModel, FormulaModel, ScriptModel
from isthmus.values.sample import SampleBatch
from isthmus.values.status import (
    BAD,
    BAD_CONFIGURATION_ERROR,
    BAD_OUT_OF_SERVICE,
    BAD_RESOURCE_UNAVAILABLE,
    BAD_TIMEOUT,
    BAD_WAITING_FOR_INITIAL_DATA,
    SEVERITY_MASK,
)

MAX_CALLS = 200_000
MAX_ROWS = 2_000_000
MAX_SHOWN = 1_000
MAX_ENDED = 5
SLACK_S = 60.0

_OF_THE_DAY = frozenset({
    BAD_TIMEOUT, BAD_RESOURCE_UNAVAILABLE, BAD_CONFIGURATION_ERROR, BAD_OUT_OF_SERVICE, BAD_WAITING_FOR_INITIAL_DATA,
})  # fmt: skip
"""Statuses that tell how the edge was, not what the inputs were."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The record says something else; None where there is no such sample. Units: time_ns UTC ns"""

    time_ns: int
    recorded: tuple[Any, int] | None
    computed: tuple[Any, int] | None
    why: str


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """What a replay found. ``differences`` holds the first thousand of ``differing``; ``notes`` are for people."""

    tag: str
    how: str
    start_ns: int
    end_ns: int
    computed: int
    recorded: int
    differing: int
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Series:
    """Samples of one tag in the order of time. Shapes: (n,)"""

    time_ns: Ints
    value: NDArray[Any]
    status: Statuses

    def at(self, times: Ints) -> NDArray[np.intp]:
        """The newest sample at or before each time; -1 where there is none."""
        return np.searchsorted(self.time_ns, times, side="right") - 1


@dataclass(slots=True)
class Replay:
    """One replay: of ``tag``, over [start_ns, end_ns), by the model its edge runs now."""

    model: EdgeModel
    tag: Tag
    tags: dict[int, Tag]
    start_ns: int
    end_ns: int
    history: HistoryReader
    compile_formula: CompileFormula
    notes: list[str] = field(default_factory=list)

    async def run(self) -> ReplayReport:
        """Compute and compare.

        Raises: ConfigError if the tag is not calculated, or the range holds too much; TryLater if the script fails
        """
        formula = next((f for f in self.model.formulas if f.id == self.tag.id), None)
        script = next((s for s in self.model.scripts if s.id == self.tag.id), None)
        if formula is None and script is None:
            raise ConfigError(f"tag: {self.tag.path} is not calculated, there is nothing to replay")
        ids = formula.inputs if formula is not None else {n: i[0] for n, i in script.inputs.items()} if script else {}
        back_ns = self._lookback_ns(ids.values())
        inputs = {name: await self._read(tag, self.start_ns - back_ns) for name, tag in ids.items()}
        recorded = await self._read(self.tag.id, self.start_ns - back_ns)
        if formula is not None:
            computed, judged_by = self._formula(formula, inputs), "formula"
        else:
            assert script is not None  # noqa: S101  one of them is, as checked above
            computed, judged_by = await self._script(script, inputs), f"python {script.file}: {script.function}"
        gaps = await self.history.gaps([self.tag.edge], self.start_ns, self.end_ns)
        differences = self._compare(computed, recorded, gaps)
        return ReplayReport(
            self.tag.path,
            judged_by,
            self.start_ns,
            self.end_ns,
            len(computed.time_ns),
            int(np.count_nonzero(recorded.time_ns >= self.start_ns)),
            len(differences),
            tuple(differences[:MAX_SHOWN]),
            tuple(self.notes),
        )

    # --- the record --------------------------------------------------------------------------------------------------

    def _lookback_ns(self, inputs: Any) -> int:
        """How far back each input must have a sample: an unchanged value is sent again after its max gap."""
        columns = self.model.tags
        row = {tag: i for i, tag in enumerate(columns.id)}
        gaps = [columns.max_gap_s[row[tag]] for tag in (*inputs, self.tag.id) if tag in row]
        return round((min(max(gaps, default=0.0), 86_400.0) + SLACK_S) * NS_PER_S)

    async def _read(self, tag: int, start_ns: int) -> _Series:
        import pyarrow as pa

        query = HistoryQuery((tag,), start_ns, self.end_ns, Shape.RAW, format=Format.ARROW)
        body = (await self.history.query(query)).body
        known = self.tags[tag]
        with pa.ipc.open_stream(io.BytesIO(body)) as stream:
            table = stream.read_all()
        if table.num_rows > MAX_ROWS:
            raise ConfigError(f"start: {known.path} has more than {MAX_ROWS:,} samples in this time; ask for less")
        times = np.asarray(table["time"].cast(pa.timestamp("ns", "UTC")).cast(pa.int64()), np.int64)
        status = np.asarray(table["status"], np.uint32)
        return _Series(times, _values(table["value"].to_pylist(), known), status)

    # --- computing ---------------------------------------------------------------------------------------------------

    def _times(self, inputs: Sequence[_Series], every_s: float) -> Ints:
        """When it is computed: the last time before the range, which gives what holds at its start, and those inside."""
        if every_s:
            step = round(every_s * NS_PER_S)
            first = self.start_ns // step * step
            return first + step * np.arange(-(-(self.end_ns - first) // step), dtype=np.int64)
        if not inputs:
            return np.array([self.start_ns], np.int64)
        times = np.unique(np.concatenate([s.time_ns for s in inputs]))
        first = max(0, int(np.searchsorted(times, self.start_ns)) - 1)
        return np.asarray(times[first:], np.int64)

    def _columns(self, inputs: dict[str, _Series], times: Ints) -> dict[str, tuple[Column, Ints]]:
        found = {}
        for name, series in inputs.items():
            at = series.at(times)
            known = at >= 0
            if not len(series.time_ns):
                empty = Column(np.zeros(len(times)), np.full(len(times), BAD_WAITING_FOR_INITIAL_DATA, np.uint32))
                found[name] = empty, np.zeros(len(times), np.int64)
                continue
            at = np.maximum(at, 0)
            status = np.where(known, series.status[at], np.uint32(BAD_WAITING_FOR_INITIAL_DATA))
            found[name] = Column(series.value[at], status), np.where(known, series.time_ns[at], 0)
        return found

    def _binder(self) -> Binder:
        row = self.model.tags.id.index(self.tag.id)
        return Binder(TagTable.of(self.model.tags, [row]))

    def _formula(self, formula: FormulaModel, inputs: dict[str, _Series]) -> _Series:
        times = self._times(list(inputs.values()), 0.0)
        columns = {name: column for name, (column, _) in self._columns(inputs, times).items()}
        compiled = self.compile_formula(formula.expression)
        result = compiled.evaluate({name: columns[name] for name in compiled.names})
        rows = np.zeros(len(times), np.intp)
        return _series(self._binder().judge(result_batch(rows, times, result)))

    async def _script(self, script: ScriptModel, inputs: dict[str, _Series]) -> _Series:
        times = self._times(list(inputs.values()), script.every_s)
        if len(times) > MAX_CALLS:
            raise ConfigError(f"start: {len(times):,} calls in this time, at most {MAX_CALLS:,}; ask for less")
        if script.state:
            self.notes.append(
                "the function keeps state, and the replay began without any: it may need some calls to agree"
            )
        columns = self._columns(inputs, times)
        kind = KINDS[self.tag.type]
        calls: list[Call | Done] = [self._call(script, columns, row, t) for row, t in enumerate(times.tolist())]
        answers = [judge(script, kind, done) for done in await self._made(script, calls)]
        status = np.array([a[1] for a in answers], np.uint32)
        values = [a[0] for a in answers]
        return _series(self._binder().judge(_batch(kind, times, values, status)))

    def _call(
        self, script: ScriptModel, columns: dict[str, tuple[Column, Ints]], row: int, time_ns: int
    ) -> Call | Done:
        given: dict[str, list[Any]] = {}
        worst, blame = codes.GOOD, ""
        for name, (_, factor, offset) in script.inputs.items():
            column, sampled_ns = columns[name]
            value, code = column.value[row], int(column.status[row])
            value = value if isinstance(value, str) else value.item()
            if not isinstance(value, str) and (factor != 1.0 or offset):
                value = value * factor + offset
            given[name] = [value, int(sampled_ns[row]), code]
            if (code & SEVERITY_MASK) > (worst & SEVERITY_MASK):
                worst, blame = code, name
        call = Call(script.id, script.function, time_ns, given, script.state, script.limit_s)
        if worst & BAD and not script.bad_inputs:
            return Done(call, Result(None, worst, f"input {blame} is {codes.name(worst)}"))
        return call

    async def _made(self, script: ScriptModel, calls: Sequence[Call | Done]) -> list[Done]:
        """Answers in the order of the calls, from a process of our own."""
        results: dict[int, Result] = {}
        states: dict[int, str] = {}
        waiting = [i for i, c in enumerate(calls) if isinstance(c, Call)]
        source = Script(script.file, self.model.files[script.file], script.memory_mb)
        process: ScriptProcess | None = None
        ended = 0
        try:
            while waiting:
                if process is None:
                    process = ScriptProcess(source)
                    await process.start(states)
                batch = waiting[:BATCH_CALLS]
                outcome = await process.run([c for i in batch if isinstance(c := calls[i], Call)])
                for i, result in zip(batch, outcome.results, strict=False):
                    results[i] = result
                    if result.state is not None:
                        states[script.id] = result.state
                waiting = waiting[len(outcome.results) :]
                if outcome.ended is not None:
                    process, ended = None, ended + 1
                    blamed = batch[outcome.blamed]
                    results[blamed] = outcome.ended
                    waiting.remove(blamed)
                    if ended == MAX_ENDED:
                        raise TryLater(f"the script {outcome.ended.reason}, {ended} times; the replay was given up")
        except Unusable as error:
            raise TryLater(f"the script does not run: {error}") from None
        finally:
            if process is not None:
                await process.stop()
        return [c if isinstance(c, Done) else Done(c, results[i]) for i, c in enumerate(calls)]

    # --- comparing ---------------------------------------------------------------------------------------------------

    def _compare(self, computed: _Series, recorded: _Series, gaps: Sequence[Gap]) -> list[Difference]:
        """In the order of time: samples that are not as computed, and computed ones the record should have."""
        found: list[Difference] = []
        begins_ns = self.start_ns
        if len(recorded.time_ns) and recorded.time_ns[0] > self.start_ns:
            begins_ns = int(recorded.time_ns[0])
            self.notes.append("the record of this tag begins within this time; what is before is left out")
        times = np.union1d(computed.time_ns, recorded.time_ns)
        times = times[(times >= begins_ns) & (times < self.end_ns)]
        ours, theirs = computed.at(times), recorded.at(times)
        for time_ns, mine, its in zip(times.tolist(), ours.tolist(), theirs.tolist(), strict=True):
            here = its >= 0 and int(recorded.time_ns[its]) == time_ns
            a = _sample(computed, mine)
            b = _sample(recorded, its)
            if a is not None and b is not None and (_same(a, b) if here else self._hidden(a, b)):
                continue
            if not here and b is None and a is not None and a[1] == BAD_WAITING_FOR_INITIAL_DATA:
                continue
            found.append(Difference(time_ns, b if here else None, a, self._why(time_ns, a, b, here, gaps)))
        return found

    def _hidden(self, computed: tuple[Any, int], recorded: tuple[Any, int]) -> bool:
        """Whether report by exception would have left this one out."""
        if computed[1] != recorded[1]:
            return False
        if computed[1] & BAD or isinstance(computed[0], str):
            return bool(computed[1] & BAD) or computed[0] == recorded[0]
        row = self.model.tags.id.index(self.tag.id)
        percent = self.model.tags.deadband_percent[row]
        band = percent / 100 * abs(recorded[0]) if percent > 0 else max(self.model.tags.deadband[row], 0.0)
        return bool(abs(computed[0] - recorded[0]) <= band)

    def _why(
        self,
        time_ns: int,
        computed: tuple[Any, int] | None,
        recorded: tuple[Any, int] | None,
        here: bool,
        gaps: Sequence[Gap],
    ) -> str:
        gap = next((g for g in gaps if g.start_ns <= time_ns < g.end_ns), None)
        if gap is not None:
            return f"samples of {gap.edge} are missing here: {gap.reason}"
        if here and recorded is not None and recorded[1] in _OF_THE_DAY:
            return "the edge could not compute it then"
        if computed is None or computed[1] == BAD_WAITING_FOR_INITIAL_DATA:
            return "an input has no sample in the record at or before this time"
        return "the record has no such sample" if not here else "the record says something else"


def _sample(series: _Series, index: int) -> tuple[Any, int] | None:
    if index < 0:
        return None
    value = series.value[index]
    return (value if isinstance(value, str) else value.item()), int(series.status[index])


def _same(a: tuple[Any, int], b: tuple[Any, int]) -> bool:
    return a[1] == b[1] and (bool(a[1] & BAD) or a[0] == b[0])


def _series(judged: Sequence[tuple[Ints, NDArray[Any], Statuses]]) -> _Series:
    if not judged:
        return _Series(np.empty(0, np.int64), np.empty(0), np.empty(0, np.uint32))
    times, values, status = judged[0]
    # several calls may fall into one quantum of time: the last one counts, as it does in the record
    last = np.r_[times[1:] != times[:-1], True] if len(times) else np.empty(0, np.bool_)
    return _Series(times[last], values[last], status[last])


def _batch(kind: int, times: Ints, values: Sequence[Any], status: Statuses) -> SampleBatch:
    ids = np.zeros(len(times), np.int32)
    if kind == TEXT:
        texts: dict[str, int] = {}
        column = np.array([texts.setdefault(str(v), len(texts)) for v in values], np.int32)
        return SampleBatch(ids, times, column, status, tuple(texts) or ("",))
    if kind == INT:
        return SampleBatch(ids, times, np.array([int(v) for v in values], np.int64), status)
    return SampleBatch(ids, times, np.array(values, np.float64), status)


def _values(found: Sequence[Any], tag: Tag) -> NDArray[Any]:
    """Values of the record in the tag's own type; names of states become numbers again, bad ones nothing."""
    kind = KINDS[tag.type]
    if kind == TEXT:
        texts: NDArray[Any] = np.array([*("" if v is None else str(v) for v in found), None], object)
        return texts[:-1]
    if kind == FLOAT:
        return np.array([0.0 if v is None else float(v) for v in found], np.float64)
    numbers = {name: number for number, name in (tag.states or {}).items()}
    return np.array([0 if v is None else int(numbers.get(v, v)) for v in found], np.int64)

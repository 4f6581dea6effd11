"""Answers questions: decides which tables to read, asks the engine, and hands on its bytes."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from isthmus.historian import cells
from isthmus.historian import query as sql
from isthmus.historian.cells import Answer, Cells
from isthmus.historian.codec import INT, decode, decode_sql
from isthmus.historian.model import BUCKET_NS, NO_TIME, Dirty, TagInfo, TagTable, merge_spans
from isthmus.historian.query import Before, Scope, Span
from isthmus.historian.schema import DATABASE, bucket_of, during
from isthmus.historian.store import Store
from isthmus.ports.history import Format, Function, Gap, HistoryAnswer, HistoryQuery, Shape
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError
from isthmus.values.sample import ValueType

MEDIA = {
    Format.JSON: "application/json",
    Format.CSV: "text/csv; charset=utf-8",
    Format.ARROW: "application/vnd.apache.arrow.stream",
}
MAX_POINTS = 100_000
MAX_TAGS = 50_000
_SLICE_ROWS = 500_000  # rows of one block of a stream
_TOGETHER = 400_000  # rows read at a time where many tags are asked
_HERE = 2_000_000  # samples, or rows of the rollup, of a bounded answer that is joined in memory
_LOOK_BACK = tuple(s * NS_PER_S for s in (3_600, 8 * 86_400, 400 * 86_400))


Samples = tuple[NDArray[np.int64], NDArray[Any], NDArray[np.uint32]]
"""Times in UTC ns, values (int64 where all of them are whole numbers in the record, else float64, or texts), statuses."""


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest sample of a tag; ``value`` is undefined where the status is Bad."""

    time_ns: int
    value: float | int | str
    status: int


@dataclass(frozen=True, slots=True)
class Plan:
    """How a question is answered: SELECTs to be joined, and what the answer will say of itself."""

    parts: tuple[str, ...]
    columns: tuple[str, ...]
    kind: str
    snapped_ns: int
    start_ns: int
    end_ns: int


class Reader:
    """Answers questions in a reading thread of the store; everything it knows is shared with the writing side."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        tags: TagTable,
        dirty: Dirty,
        info: Callable[[int], TagInfo],
        gaps: Callable[[], Sequence[Gap]],
        oldest: Callable[[], int],
    ) -> None:
        self._store, self._clock, self._tags, self._dirty = store, clock, tags, dirty
        self._info, self._gaps, self._oldest = info, gaps, oldest

    def answer(self, query: HistoryQuery) -> HistoryAnswer:
        """The whole answer at once."""
        check_query(query)
        found = self._here(query, query)
        if found:
            plan, body = found
        else:
            plan = self._plan(query)
            body = self._ask(plan, query, Format(query.format))
            body = _joined(body) if query.format is Format.JSON else body
        if query.format is Format.JSON:
            body = b"[" + body + b"]"
        return HistoryAnswer(MEDIA[query.format], body, plan.snapped_ns, plan.start_ns, plan.end_ns)

    def blocks(self, query: HistoryQuery) -> Iterator[bytes]:
        """The same answer, asked for in slices that fit in memory."""
        check_query(query)
        slices = self._slices(query)
        if query.format is Format.ARROW:
            yield from self._arrow_blocks(query, slices)
            return
        started = False
        if query.format is Format.JSON:
            yield b"["
        for part in slices:
            found = self._here(part, query)
            if found:
                body = found[1]
            else:
                body = self._ask(self._plan(part, query), query, query.format, head=not started)
                body = _joined(body) if query.format is Format.JSON else body
            if query.format is Format.JSON and body and started:
                body = b",\n" + body
            started = started or bool(body)
            if body:
                yield body
        if query.format is Format.JSON:
            yield b"]"

    def samples(self, tags: Sequence[int], start_ns: int, end_ns: int) -> dict[int, Samples]:
        """Every sample with start <= time <= end as columns, by tag and time: what another room computes from.

        Raises: TryLater when a limit was hit
        """
        known = [self._info(t) for t in dict.fromkeys(tags)]
        spans = [(start_ns, end_ns + 1)]
        found: dict[int, Samples] = {}
        numbers = [t for t in known if t.type is not ValueType.TEXT]
        if numbers:
            body = self._store.answer(
                f"SELECT {', '.join(cells.SAMPLE)} FROM {DATABASE}.sample FINAL "
                f"WHERE tag IN ({sql.ids(numbers)}) AND {during(spans)} ORDER BY tag, ts",
                "Native",
                max_threads=1,
            )
            found |= _samples(cells.read(body, cells.SAMPLE))
        texts = [t for t in known if t.type is ValueType.TEXT]
        if texts:
            rows = self._store.rows(
                f"SELECT tag, toUnixTimestamp64Nano(ts), text, status FROM {DATABASE}.text FINAL "
                f"WHERE tag IN ({sql.ids(texts)}) AND {during(spans)} ORDER BY tag, ts"
            )
            for tag in {row[0] for row in rows}:
                mine = [row for row in rows if row[0] == tag]
                value = np.array([*(row[2] for row in mine), ""], object)[:-1]
                found[tag] = (
                    np.array([row[1] for row in mine], np.int64),
                    value,
                    np.array([row[3] for row in mine], np.uint32),
                )
        return found

    def oldest(self, tags: Sequence[int]) -> int | None:
        """Time of the oldest sample of any of the tags."""
        known = [self._info(t) for t in dict.fromkeys(tags)]
        times = []
        for table, some in (
            ("sample", [t for t in known if t.type is not ValueType.TEXT]),
            ("text", [t for t in known if t.type is ValueType.TEXT]),
        ):
            if some:
                statement = f"SELECT count(), min(toUnixTimestamp64Nano(ts)) FROM {DATABASE}.{table} WHERE tag IN ({sql.ids(some)})"
                times += [first for count, first in self._store.rows(statement) if count]
        return min(times, default=None)

    def latest(self, tags: Sequence[int]) -> dict[int, Latest]:
        """The newest sample of each tag that has one."""
        found: dict[int, Latest] = {}
        known = [(t, self._tags.newest(t)) for t in tags]
        known = [(t, ns) for t, ns in known if ns != NO_TIME]
        for start in range(0, len(known), 5_000):
            some = known[start : start + 5_000]
            pairs = ", ".join(f"({t}, fromUnixTimestamp64Nano({ns}, 'UTC'))" for t, ns in some)
            where = f"(tag, ts) IN ({pairs})"
            at = "toUnixTimestamp64Nano(ts)"
            for t, ns, mantissa, exponent, value, status in self._store.rows(
                f"SELECT tag, {at}, mantissa, exponent, {decode_sql()}, status FROM {DATABASE}.sample FINAL WHERE {where}"
            ):
                number = mantissa if exponent == -1 else float("nan") if value is None else value
                found[t] = Latest(ns, number, status)
            for t, ns, text, status in self._store.rows(
                f"SELECT tag, {at}, text, status FROM {DATABASE}.text FINAL WHERE {where}"
            ):
                found[t] = Latest(ns, text, status)
        return found

    def _ask(self, plan: Plan, query: HistoryQuery, fmt: Format, *, head: bool = True) -> bytes:
        order = [self._info(t) for t in query.tags]
        statement = sql.dress(plan.parts, query.shape, plan.columns, order, fmt, plan.kind)
        if fmt is Format.JSON:
            return self._store.answer(
                statement,
                "JSONCompactEachRow",
                output_format_json_quote_64bit_integers=0,
                output_format_json_quote_denormals=0,
            )
        if fmt is Format.CSV:
            return self._store.answer(
                statement,
                "CSVWithNames" if head else "CSV",
                date_time_output_format="iso",
                format_csv_null_representation="",
            )
        return self._store.answer(statement, "ArrowStream", output_format_arrow_string_as_string=1)

    def _plan(self, query: HistoryQuery, whole: HistoryQuery | None = None) -> Plan:
        """``whole`` is the question of which ``query`` is a slice: it decides types, so that slices agree."""
        tags = [self._info(t) for t in query.tags]
        kind = _kind([self._info(t) for t in (whole or query).tags], query)
        if query.shape is Shape.RAW:
            return self._plan_raw(query, tags, kind)
        if query.shape is Shape.AGGREGATE:
            return self._plan_aggregate(query, tags, kind)
        return self._plan_bounded(query, tags, kind)

    def _plan_raw(self, query: HistoryQuery, tags: Sequence[TagInfo], kind: str) -> Plan:
        spans = [(query.start_ns, query.end_ns)]
        groups = (
            [t for t in tags if t.type is ValueType.TEXT],
            [t for t in tags if t.symbolic and t.type is not ValueType.TEXT],
            [t for t in tags if not t.symbolic],
        )
        parts = tuple(sql.raw(g, spans, kind) for g in groups if g)
        return Plan(parts, sql.RAW_COLUMNS, kind, 0, query.start_ns, query.end_ns)

    def _here(self, query: HistoryQuery, whole: HistoryQuery) -> tuple[Plan, bytes] | None:
        """A bounded answer to numbers joined in memory; None if the engine has to do it.

        The engine's bytes leave as they are in every other answer. These are few, and most of the time the engine would
        take for them is planning.
        """
        if query.shape is not Shape.BOUNDED or query.format is Format.CSV:
            return None
        asked = [self._info(t) for t in dict.fromkeys(query.tags)]
        if query.format is Format.ARROW and any(self._info(t).symbolic for t in whole.tags):
            return None  # what the words are called is the engine's to say
        numbers = [t for t in asked if not t.symbolic]
        if not numbers:
            return None
        plan, answers, heavy = self._numbers(query, numbers)
        if not answers or (heavy and query.format is Format.ARROW):
            return None
        index: dict[int, int] = {}
        for place, tag in enumerate(whole.tags):
            index.setdefault(tag, place)
        if query.format is Format.ARROW:
            return plan, cells.joined(answers).arrow(index)
        rows = cells.joined(answers).rows(index)
        rest = [t.id for t in asked if t.symbolic or t.id in heavy]
        if rest:
            other = self._plan(replace(query, tags=tuple(rest)))
            rows += [orjson.loads(line) for line in self._ask(other, whole, Format.JSON).splitlines()]
            rows.sort(key=lambda row: whole.tags[row[0]])  # type: ignore[call-overload]  # the first column is the place
            plan = other if other.snapped_ns else plan
        return plan, orjson.dumps(rows)[1:-1]

    def _numbers(self, query: HistoryQuery, tags: Sequence[TagInfo]) -> tuple[Plan, list[Answer], set[int]]:
        """Bounded answers to tags that are numbers, some tags at a time, and the tags that are too much to be joined in memory."""
        plan = Plan((), sql.BOUNDED_COLUMNS, "", 0, query.start_ns, query.end_ns)
        answers: list[Answer] = []
        heavy: set[int] = set()
        long = sql.width_for(query.start_ns, query.end_ns, query.points) >= BUCKET_NS
        each = (query.end_ns - query.start_ns) // (BUCKET_NS if long else NS_PER_S) + 1  # rows of a tag at 1 Hz
        left, step = list(tags), max(1, _TOGETHER // each)
        while left:
            some = left[:step]
            found = self._some_numbers(query, some)
            if found is None and step > 1:
                step = max(1, step // 8)
                continue
            left = left[step:]
            if found is None:
                heavy.add(some[0].id)
                continue
            snapped, parts, rows = found
            answers += parts
            plan = snapped if snapped.snapped_ns else plan
            step = max(1, min(8 * step, step * _TOGETHER // max(1, rows)))
        return plan, answers, heavy

    def _some_numbers(self, query: HistoryQuery, tags: Sequence[TagInfo]) -> tuple[Plan, list[Answer], int] | None:
        """The same of tags that are taken together, and how many rows were read; None if they are too many."""
        width = sql.width_for(query.start_ns, query.end_ns, query.points)
        start, end = query.start_ns, query.end_ns
        if width < BUCKET_NS:
            found = self._samples(tags, start, end)
            if found is None:
                return None
            counts = cells.counted(found[1], start, end)
            sparse = {t.id for t in tags if counts.get(t.id, 0) <= query.points}
        else:
            start, end, width = sql.snap(start, end, query.points)
            found = self._rolled(tags, start, end)
            if found is None:
                return None
            sparse = self._sparse(query, tags, found[1])
        scope, known = found
        answers = []
        rows = len(known)
        if len(sparse) < len(tags):
            dense = known if not sparse else known.take(np.flatnonzero(~np.isin(known.g, list(sparse))))
            answers.append(cells.buckets(dense, scope, width))
        if sparse:
            if width >= BUCKET_NS:
                again = self._samples([t for t in tags if t.id in sparse], query.start_ns, query.end_ns)
                if again is None:
                    return None
                within, few = again
            else:
                within, few = scope, known.take(np.flatnonzero(np.isin(known.g, list(sparse))))
            answers.append(cells.steps(few, within, query.points))
        if len(sparse) == len(tags):
            width, start, end = 0, query.start_ns, query.end_ns
        return Plan((), sql.BOUNDED_COLUMNS, "", width, start, end), answers, rows

    def _sparse(self, query: HistoryQuery, tags: Sequence[TagInfo], known: Cells) -> set[int]:
        """Tags with no more samples than points, told from cells that may reach a little over the range."""
        most = cells.counted(known, 0, 1 << 62)
        first, last = -(-query.start_ns // BUCKET_NS) * BUCKET_NS, query.end_ns // BUCKET_NS * BUCKET_NS
        least = cells.counted(known, first, last)
        unsure = [t for t in tags if least.get(t.id, 0) <= query.points < most.get(t.id, 0)]
        counts = most | dict.fromkeys((t.id for t in unsure), 0)
        if unsure:
            counts |= self._counts(unsure, query.start_ns, query.end_ns, long=True)
        return {t.id for t in tags if counts.get(t.id, 0) <= query.points}

    def _samples(self, tags: Sequence[TagInfo], start_ns: int, end_ns: int) -> tuple[Scope, Cells] | None:
        """Samples of tags in a range and the one before it; None if they are too many."""
        rows = self._columns("sample", cells.SAMPLE, tags, [(self._earlier(start_ns, end_ns), end_ns)])
        return None if rows is None else self._with_before(tags, [cells.of_samples(rows)], start_ns, end_ns)

    def _rolled(self, tags: Sequence[TagInfo], start_ns: int, end_ns: int) -> tuple[Scope, Cells] | None:
        """The same as cells, from the rollup where it is right; the range is on its grid."""
        early = start_ns if start_ns <= self._oldest() else start_ns - _LOOK_BACK[0]
        if len(tags) * (end_ns - early) // BUCKET_NS > _HERE:
            return None
        gaps = self._gaps_of(tags, early, end_ns)
        raw, rolled = self._split_spans(Scope(tuple(tags), early, end_ns, 0, gaps), (early, end_ns))
        parts = []
        for table, layout, spans, made in (
            ("rollup", cells.ROLLUP, rolled, cells.of_rollup),
            ("sample", cells.SAMPLE, raw, cells.of_samples),
        ):
            if spans:
                rows = self._columns(table, layout, tags, spans)
                if rows is None:
                    return None
                parts.append(made(rows))
        return self._with_before(tags, parts, start_ns, end_ns)

    def _earlier(self, start_ns: int, end_ns: int) -> int:
        """Where to begin to read so that the sample before the range is most likely among what is read."""
        if start_ns <= self._oldest():
            return start_ns
        return start_ns - min(_LOOK_BACK[0], max(60 * NS_PER_S, (end_ns - start_ns) // 10))

    def _columns(
        self, table: str, layout: cells.Layout, tags: Sequence[TagInfo], spans: Sequence[Span]
    ) -> cells.Columns | None:
        """Rows of tags in spans as the table has them; None if they are too many."""
        body = self._store.answer(
            f"SELECT {', '.join(layout)} FROM {DATABASE}.{table} FINAL "
            f"WHERE tag IN ({sql.ids(tags)}) AND {during(spans)} LIMIT {_HERE + 1}",
            "Native",
            max_threads=1,  # two threads cost these few rows more than they save, and wait for two cores
        )
        rows = cells.read(body, layout)
        return rows if len(rows["ts"]) <= _HERE else None

    def _with_before(
        self, tags: Sequence[TagInfo], parts: Sequence[Cells], start_ns: int, end_ns: int
    ) -> tuple[Scope, Cells]:
        known = cells.since(cells.join(parts), start_ns)
        first = cells.starts(known.g)
        seen = set(known.g[first[known.tf[first] < start_ns]].tolist())
        missing = [t for t in tags if t.id not in seen]
        found = self._before(missing, start_ns, words=False, good=False) if missing else {}
        if found:
            known = cells.join([cells.of_before(found), known])
        earliest = int(known.tf.min(initial=start_ns))
        return Scope(
            tuple(tags), start_ns, end_ns, self._hold_ns(start_ns, end_ns), self._gaps_of(tags, earliest, end_ns)
        ), known

    def _hold_ns(self, start_ns: int, end_ns: int) -> int:
        """As far as values of a range are held: to its end, or now."""
        return max(start_ns, min(end_ns, self._clock.now_ns()))

    def _gaps_of(self, tags: Sequence[TagInfo], start_ns: int, end_ns: int) -> dict[str, list[Span]]:
        """Gaps that touch a range, merged, by the edges of some tags."""
        by_edge: dict[str, list[Span]] = {}
        edges = {t.edge for t in tags}
        for gap in self._gaps():
            if gap.edge in edges and gap.start_ns < end_ns and gap.end_ns > start_ns:
                by_edge.setdefault(gap.edge, []).append((gap.start_ns, gap.end_ns))
        return {edge: merge_spans(spans) for edge, spans in by_edge.items()}

    def _scope(self, tags: Sequence[TagInfo], start_ns: int, end_ns: int, *, words: bool, good: bool = False) -> Scope:
        before = self._before(tags, start_ns, words=words, good=good)
        earliest = min((b.time_ns for b in before.values()), default=start_ns)
        gaps = self._gaps_of(tags, earliest, end_ns)
        return Scope(tuple(tags), start_ns, end_ns, self._hold_ns(start_ns, end_ns), gaps, before)

    def _before(self, tags: Sequence[TagInfo], start_ns: int, *, words: bool, good: bool) -> dict[int, Before]:
        """The newest sample of each tag before a time, looked for where it is likely first."""
        found: dict[int, Before] = {}
        if start_ns <= self._oldest():
            return found
        for members in (
            [t for t in tags if t.symbolic],
            [t for t in tags if not t.symbolic],
        ):
            left = {t.id: t for t in members}
            newest = {t: self._tags.newest(t) for t in left}
            left = {t: i for t, i in left.items() if newest[t] != NO_TIME}
            still = {t: i for t, i in left.items() if newest[t] < start_ns}
            if still:
                # Nothing came since: the sample is the newest one, and its time is known.
                spans = [(ns, ns + 1) for ns in sorted({newest[t] for t in still})]
                found |= self._last(list(still.values()), spans, words=words)
            for step_ns in _LOOK_BACK:
                missing = [i for t, i in left.items() if t not in found]
                if not missing:
                    break
                found |= self._last(missing, [(start_ns - step_ns, start_ns)], words=words)
            missing = [i for t, i in left.items() if t not in found]
            if missing:
                found |= self._last(missing, [(0, start_ns - _LOOK_BACK[-1])], words=words)
        if good:
            self._add_good(found, {t.id: t for t in tags}, start_ns)
        return found

    def _last(self, tags: Sequence[TagInfo], spans: Sequence[Span], *, words: bool) -> dict[int, Before]:
        scope = Scope(tuple(tags), 0, 0, 0)
        inner = sql.rows(scope, spans, words=words)
        found = {}
        for g, t, v, s, ok in self._store.rows(
            f"SELECT r.g, max(r.t), argMax(r.v, r.t), argMax(r.s, r.t), argMax(r.ok, r.t) FROM ({inner}) AS r GROUP BY r.g"
        ):
            found[g] = Before(t, bool(ok), v if ok else 0.0, s, bool(ok))
        return found

    def _add_good(self, found: dict[int, Before], tags: Mapping[int, TagInfo], start_ns: int) -> None:
        """The last value that counted, for tags whose last one does not."""
        for step_ns in (*_LOOK_BACK, start_ns):
            missing = [tags[t] for t, b in found.items() if not b.good]
            if not missing:
                return
            inner = sql.rows(Scope(tuple(missing), 0, 0, 0), [(start_ns - step_ns, start_ns)])
            for g, v in self._store.rows(f"SELECT r.g, argMax(r.v, r.t) FROM ({inner}) AS r WHERE r.ok GROUP BY r.g"):
                found[g] = replace(found[g], value=v, good=True)

    def _plan_aggregate(self, query: HistoryQuery, tags: Sequence[TagInfo], kind: str) -> Plan:
        width = sql.width_for(query.start_ns, query.end_ns, query.points)
        points = -(-(query.end_ns - query.start_ns) // width)
        increase = Function.INCREASE in query.functions
        timed = Function.DURATION in query.functions
        parts = []
        for members in _split(tags):
            scope = self._scope(
                members, query.start_ns, query.end_ns, words=timed or members[0].symbolic, good=increase
            )
            grows, sums = increase and not scope.symbolic, Function.SUM in query.functions and not scope.symbolic
            raw, rolled = [(query.start_ns, query.end_ns)], list[Span]()
            if not (scope.symbolic or sums or timed) and width >= 2 * BUCKET_NS:
                raw, rolled = self._whole_buckets(scope, width, increase=increase)
            cells = [sql.rolled(scope, rolled, query.start_ns, width, increase=grows)] if rolled else []
            if raw:
                cells.append(sql.cells(scope, raw, query.start_ns, width, grid=bool(rolled), sums=sums, increase=grows))
            inner = sql.buckets(scope, cells, query.start_ns, width, every=True, sums=sums, increase=grows)
            states = sql.durations(scope, width) if timed else ""
            parts.append(sql.aggregate(scope, query.functions, points, width, inner, states))
        columns = ("tag", "time", *(f.value for f in query.functions))
        return Plan(tuple(parts), columns, kind, width, query.start_ns, query.end_ns)

    def _whole_buckets(self, scope: Scope, width_ns: int, *, increase: bool) -> tuple[list[Span], list[Span]]:
        """Spans to be read from samples, and those where the rollup has whole buckets, inside parts of ``width_ns``."""
        start, end = scope.start_ns, scope.end_ns
        ragged = [b for b in (*range(start, end, width_ns), end) if b % BUCKET_NS]
        raw, rolled = self._split_spans(scope, (start, end), ragged)
        if increase and rolled:
            falling = self._store.rows(
                f"SELECT {bucket_of()} AS b FROM {DATABASE}.rollup FINAL "
                f"WHERE tag IN ({sql.ids(scope.tags)}) AND {during(rolled)} AND NOT rising GROUP BY b"
            )
            raw, rolled = self._split_spans(scope, (start, end), [*ragged, *(b * BUCKET_NS for (b,) in falling)])
        if 2 * sum(b - a for a, b in raw) > end - start:
            return [(start, end)], []  # one way for all costs less than both for halves
        return raw, rolled

    def _plan_bounded(self, query: HistoryQuery, tags: Sequence[TagInfo], kind: str) -> Plan:
        width = sql.width_for(query.start_ns, query.end_ns, query.points)
        long = width >= BUCKET_NS
        counts = self._counts(tags, query.start_ns, query.end_ns, long=long)
        parts: list[str] = []
        sparse = [t for t in tags if counts.get(t.id, 0) <= query.points]
        for members in _split(sparse):
            scope = self._scope(members, query.start_ns, query.end_ns, words=members[0].symbolic)
            lead = [t.id for t in members if t.id in scope.before and counts.get(t.id, 0) < query.points]
            parts.append(sql.bounded_steps(scope, lead))
        dense = [t for t in tags if counts.get(t.id, 0) > query.points]
        if not dense:
            return Plan(tuple(parts), sql.BOUNDED_COLUMNS, kind, 0, query.start_ns, query.end_ns)
        start, end = query.start_ns, query.end_ns
        if long:
            start, end, width = sql.snap(start, end, query.points)
        for members in _split(dense):
            scope = self._scope(members, start, end, words=members[0].symbolic)
            cells = self._cells(scope, start, width, long=long)
            inner = sql.buckets(scope, cells, start, width)
            parts.append(sql.bounded_buckets(scope, inner, start, width))
        return Plan(tuple(parts), sql.BOUNDED_COLUMNS, kind, width, start, end)

    def _cells(self, scope: Scope, origin_ns: int, width_ns: int, *, long: bool) -> list[str]:
        """SELECTs of cells: from the rollup where it is right, from samples elsewhere."""
        whole = [(scope.start_ns, scope.end_ns)]
        if not long or scope.symbolic:
            return [sql.cells(scope, whole, origin_ns, width_ns)]
        raw, rolled = self._split_spans(scope, whole[0])
        parts = []
        if rolled:
            parts.append(sql.rolled(scope, rolled, origin_ns, width_ns))
        if raw:
            parts.append(sql.cells(scope, raw, origin_ns, width_ns, grid=True))
        return parts

    def _split_spans(self, scope: Scope, span: Span, also: Sequence[int] = ()) -> tuple[list[Span], list[Span]]:
        """Spans to be read from samples (dirty, touched by a gap, around one of the times), and those the rollup answers for."""
        start, end = span
        raw = self._dirty.spans({t.id for t in scope.tags}, start, end)
        for gaps in scope.gaps.values():
            raw += [(a // BUCKET_NS * BUCKET_NS, -(-b // BUCKET_NS) * BUCKET_NS) for a, b in gaps]
        raw += [(t // BUCKET_NS * BUCKET_NS, (t // BUCKET_NS + 1) * BUCKET_NS) for t in also]
        raw = merge_spans((max(a, start), min(b, end)) for a, b in raw if a < end and b > start)
        edges = [start, *(x for s in raw for x in s), end]
        rolled = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if a < b]
        return raw, rolled

    def _counts(self, tags: Sequence[TagInfo], start_ns: int, end_ns: int, *, long: bool) -> dict[int, int]:
        """Samples of each tag in the range."""
        counts: dict[int, int] = {}
        for table, members in (
            ("text", [t for t in tags if t.type is ValueType.TEXT]),
            ("sample", [t for t in tags if t.type is not ValueType.TEXT]),
        ):
            if not members:
                continue
            raw, rolled = [(start_ns, end_ns)], list[Span]()
            if long and table == "sample":
                inside = -(-start_ns // BUCKET_NS) * BUCKET_NS, end_ns // BUCKET_NS * BUCKET_NS
                raw, rolled = self._split_spans(Scope(tuple(members), *inside, 0), inside)
                raw = merge_spans([*raw, (start_ns, inside[0]), (inside[1], end_ns)])
            where = f"tag IN ({sql.ids(members)})"
            parts = []
            if raw:
                parts.append(
                    f"SELECT tag, count() AS n FROM {DATABASE}.{table} FINAL WHERE {where} AND {during(raw)} GROUP BY tag"
                )
            if rolled:
                parts.append(
                    f"SELECT tag, sum(good + other) AS n FROM {DATABASE}.rollup FINAL WHERE {where} AND {during(rolled)} GROUP BY tag"
                )
            counts |= dict(self._store.rows(f"SELECT tag, sum(n) FROM ({' UNION ALL '.join(parts)}) GROUP BY tag"))
        return counts

    def _slices(self, query: HistoryQuery) -> list[HistoryQuery]:
        """The question cut by tags, and raw ones by days too, so that no slice is large; together they are the whole."""
        tags = sorted(set(query.tags))
        if query.shape is not Shape.RAW:
            step = max(1, _SLICE_ROWS // query.points)
            return [replace(query, tags=tuple(tags[i : i + step])) for i in range(0, len(tags), step)]
        days: dict[int, dict[int, int]] = {}
        for table in ("sample", "text"):
            for tag, day, n in self._store.rows(
                f"SELECT tag, intDiv(toUnixTimestamp64Nano(ts), {86_400 * NS_PER_S}) AS day, count() FROM {DATABASE}.{table} "
                f"WHERE tag IN ({', '.join(map(str, tags))}) AND {during([(query.start_ns, query.end_ns)])} GROUP BY tag, day"
            ):
                of_tag = days.setdefault(tag, {})
                of_tag[day] = of_tag.get(day, 0) + n
        slices: list[HistoryQuery] = []
        together: list[int] = []
        total = 0
        for tag in tags:
            n = sum(days.get(tag, {}).values())
            if together and total + n > _SLICE_ROWS:
                slices.append(replace(query, tags=tuple(together)))
                together, total = [], 0
            if n > _SLICE_ROWS:
                slices += [replace(query, tags=(tag,), start_ns=a, end_ns=b) for a, b in _cut(days[tag], query)]
            else:
                together.append(tag)
                total += n
        if together or not slices:
            slices.append(replace(query, tags=tuple(together or tags)))
        return slices

    def _arrow_blocks(self, query: HistoryQuery, slices: Sequence[HistoryQuery]) -> Iterator[bytes]:
        """Slices are Arrow streams of their own; their batches are passed on in one."""
        import pyarrow as pa

        out = io.BytesIO()
        writer: Any = None
        for part in slices:
            found = self._here(part, query)
            body = found[1] if found else self._ask(self._plan(part, query), query, Format.ARROW)
            with pa.ipc.open_stream(body) as batches:
                if writer is None:
                    writer = pa.ipc.new_stream(out, batches.schema)
                for batch in batches:
                    writer.write_batch(batch)
            yield out.getvalue()
            out.seek(0)
            out.truncate()
        writer.close()
        yield out.getvalue()


def check_query(query: HistoryQuery) -> None:
    """Refuse what cannot be answered.

    Raises: ConfigError naming the part and the value
    """
    if not query.tags:
        raise ConfigError("history: asks for no tag")
    if len(query.tags) > MAX_TAGS:
        raise ConfigError(f"history: at most {MAX_TAGS} tags in one question, was {len(query.tags)}")
    if query.end_ns <= query.start_ns:
        raise ConfigError("history: end must be after start")
    if not 1 <= query.points <= MAX_POINTS:
        raise ConfigError(f"history: points must be 1 to {MAX_POINTS}, was {query.points}")
    if query.shape is Shape.AGGREGATE and not query.functions:
        raise ConfigError("history: an aggregate needs at least one function")


def _joined(lines: bytes) -> bytes:
    """Rows of JSON, a line each, as the inside of an array."""
    return lines.rstrip(b"\n").replace(b"\n", b",\n")


def _split(tags: Sequence[TagInfo]) -> list[tuple[TagInfo, ...]]:
    """Numbers, and words (texts and states) apart; empty groups are left out."""
    groups = tuple(t for t in tags if not t.symbolic), tuple(t for t in tags if t.symbolic)
    return [g for g in groups if g]


def _kind(tags: Sequence[TagInfo], query: HistoryQuery) -> str:
    """Engine type of the value column when tags of different types meet in one answer."""
    words = any(t.symbolic for t in tags)
    numbers = {t.type for t in tags if not t.symbolic}
    if query.shape is not Shape.RAW:
        return ("String" if query.format is Format.ARROW else sql.VARIANT) if words and numbers else ""
    if words and numbers:
        return "String" if query.format is Format.ARROW else sql.VARIANT
    if words:
        return "String"
    if len(numbers) > 1:
        return "Float64" if query.format is Format.ARROW else sql.VARIANT
    return "Int64" if ValueType.INT in numbers else "Float64"


def _cut(days: Mapping[int, int], query: HistoryQuery) -> Iterator[Span]:
    """Ranges of whole days with few rows each, together the whole range."""
    day_ns = 86_400 * NS_PER_S
    start, total = query.start_ns, 0
    for day in sorted(days):
        if total and total + days[day] > _SLICE_ROWS:
            yield start, day * day_ns
            start, total = day * day_ns, 0
        total += days[day]
    yield start, query.end_ns


def _samples(rows: cells.Columns) -> dict[int, Samples]:
    """Columns of the record, taken apart by tag."""
    tag = rows["tag"]
    if not len(tag):
        return {}
    first = np.flatnonzero(np.r_[True, tag[1:] != tag[:-1]])
    found: dict[int, Samples] = {}
    for a, b in zip(first.tolist(), [*first[1:].tolist(), len(tag)], strict=True):
        mantissa, exponent = rows["mantissa"][a:b], rows["exponent"][a:b]
        value = mantissa.copy() if (exponent == INT).all() else decode(mantissa, exponent)
        found[int(tag[a])] = rows["ts"][a:b].copy(), value, rows["status"][a:b].copy()
    return found

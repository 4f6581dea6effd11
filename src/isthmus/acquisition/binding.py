"""Binding: raw rows of a driver become samples of permanent tags, and only those that say something new go on.

Everything is a column. A `Binder` owns the tags of one connection; its dense rows 0 … n-1 are the ids the driver echoes.

Conversion to the tag's type
    int   -> int    exact; scaled in exact integers where factor and offset are whole, else rounded to the nearest
    int   -> float  raw * factor + offset
    float -> float  raw * factor + offset
    float -> int    a whole number as it is, a fraction is refused (BadTypeMismatch): rounding would invent a value;
                    where a scale is declared, the result is rounded to the nearest
    text  -> text   as it is (longer than MAX_TEXT_CHARS is refused); text and numbers never convert into each other
NaN, infinities and what does not fit into int64 are BadOutOfRange.

Time: quantised down to the tag's resolution. A tag's time never decreases: a reading older than the tag's newest is
held at that newest time, and what is sent of it moves on by one resolution step, at a quarter of real time at most, so
that the clock catches up. Held back, or ahead of the edge's clock, by more than 5 s: the status is Uncertain.

Report by exception: a sample is sent when its status differs from the last one sent, when its value moved by more than
the deadband from the last one sent, or when the tag was silent for its max gap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.values.clock import NS_PER_MS, NS_PER_S
from isthmus.values.errors import Malformed
from isthmus.values.model import TagColumns
from isthmus.values.sample import SampleBatch, ValueType, join_by_type
from isthmus.values.status import (
    BAD,
    BAD_OUT_OF_RANGE,
    BAD_TYPE_MISMATCH,
    SEVERITY_MASK,
    UNCERTAIN,
    UNCERTAIN_ENGINEERING_UNITS_EXCEEDED,
)

HOLD_LIMIT_NS = 5 * NS_PER_S
"""A time held back, or ahead, by more than this makes the sample Uncertain."""

MAX_TEXT_CHARS = 65_536

_NEVER_SENT = 0xFFFFFFFF  # no status code: the next sample differs from it whatever it is
_NEVER_NS = np.iinfo(np.int64).min
_INT_LIMIT = float(2**63 - 2**12)  # beyond it a float estimate cannot tell whether an int64 overflows
_SLOWDOWN = 4  # held times move at most at a quarter of real time

FLOAT, INT, TEXT = 0, 1, 2
KINDS = {ValueType.FLOAT: FLOAT, ValueType.INT: INT, ValueType.TEXT: TEXT}

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Statuses = NDArray[np.uint32]
Rows = NDArray[np.intp]
Flags = NDArray[np.bool_]
Values = NDArray[Any]  # float64, int64 or object (str), as the tag's type says
Watch = Callable[[SampleBatch, int], None]
"""Takes readings as samples of permanent tags, and the monotonic time they were judged at."""


@dataclass(frozen=True, slots=True)
class TagTable:
    """How tags are bound, column by column; row i is one tag.

    Shapes: all (n,)
    Units:  low, high, deadband in the tag's unit; percent as a fraction of the last sent value
    """

    id: NDArray[np.int32]
    kind: NDArray[np.int8]
    factor: Floats
    offset: Floats
    low: Floats
    high: Floats
    deadband: Floats
    percent: Floats
    max_gap_ns: Ints
    resolution_ns: Ints

    def __len__(self) -> int:
        return len(self.id)

    @classmethod
    def of(cls, tags: TagColumns, index: Sequence[int]) -> TagTable:
        """The chosen tags of a model, in the given order; columns that were left empty take their defaults."""

        def column(values: Sequence[float | None], default: float) -> Floats:
            if not values:
                return np.full(len(index), default)
            return np.array([default if (v := values[i]) is None else v for i in index], np.float64)

        percent = column(tags.deadband_percent, 0.0) / 100
        resolution = [max(1, tags.resolution_ns[i]) if tags.resolution_ns else NS_PER_MS for i in index]
        return cls(
            id=np.array([tags.id[i] for i in index], np.int32),
            kind=np.array([KINDS[ValueType(tags.type[i])] for i in index], np.int8),
            factor=column(tags.factor, 1.0),
            offset=column(tags.offset, 0.0),
            low=column(tags.low, -np.inf),
            high=column(tags.high, np.inf),
            deadband=np.where(percent > 0, 0.0, column(tags.deadband, 0.0)),  # a percentage replaces it
            percent=percent,
            max_gap_ns=np.minimum(column(tags.max_gap_s, np.inf) * NS_PER_S, 2.0**62).astype(np.int64),
            resolution_ns=np.array(resolution, np.int64),
        )


@dataclass(slots=True)
class Counts:
    """What a binder has seen; counts only grow."""

    readings: int = 0
    sent: int = 0
    collisions: int = 0  # sent samples that share their quantised time with the tag's sample before
    held: int = 0  # readings older than the tag's newest one
    ahead: int = 0  # readings more than 5 s ahead of the edge's clock
    unknown: int = 0  # rows with ids nobody had asked for


class _Memory:
    """What was last sent and seen of each tag."""

    def __init__(self, table: TagTable) -> None:
        n = len(table)
        self.status = np.full(n, _NEVER_SENT, np.uint32)
        self.number = np.zeros(n, np.float64)  # last sent value of float tags
        self.integer = np.zeros(n, np.int64)  # … of int tags
        self.text = np.full(n if (table.kind == TEXT).any() else 0, "", object)  # … of text tags
        self.sent_ns = np.full(n, _NEVER_NS, np.int64)  # sample time of the last one sent
        self.sent_at_ns = np.zeros(n, np.int64)  # monotonic time at which it was
        self.seen_ns = np.full(n, _NEVER_NS, np.int64)  # sample time of the newest reading, sent or not

    def value(self, kind: int) -> Values:
        if kind == FLOAT:
            return self.number
        return self.integer if kind == INT else self.text


class Binder:
    """Binds the rows of one connection. Not thread-safe; one supervisor owns it.

    Cost: some 20 passes over the columns: 25-50 ns a row in groups of ten thousand, 0.05 ms for a call at least.
    A batch with several samples of one tag is taken in as many rounds.
    """

    def __init__(self, table: TagTable) -> None:
        self.table = table
        self.counts = Counts()
        self.held_ns = 0  # the longest hold in the last call
        self._memory = _Memory(table)
        self._scratch = np.zeros(len(table), np.intp)
        kinds = np.unique(table.kind)
        self._only_kind = int(kinds[0]) if len(kinds) == 1 else None
        self._scaled = (table.factor != 1.0) | (table.offset != 0.0)
        self._any_scaled = bool(self._scaled.any())
        self._exact = (table.factor == np.rint(table.factor)) & (table.offset == np.rint(table.offset))
        self._exact &= (np.abs(table.factor) < _INT_LIMIT) & (np.abs(table.offset) < _INT_LIMIT)
        self._any_range = bool((np.isfinite(table.low) | np.isfinite(table.high)).any())
        self._any_percent = bool((table.percent > 0).any())
        self._watched: Flags | None = None
        self._watch: Watch | None = None
        self._low_int = _whole(np.ceil(table.low))
        self._high_int = _whole(np.floor(table.high))

    def adopt(self, other: Binder) -> None:
        """Take over what ``other`` remembers of the tags both have, so that a new model repeats nothing."""
        _, mine, theirs = np.intersect1d(self.table.id, other.table.id, assume_unique=True, return_indices=True)
        same = self.table.kind[mine] == other.table.kind[theirs]
        mine, theirs = mine[same], theirs[same]
        for name in ("status", "number", "integer", "sent_ns", "sent_at_ns", "seen_ns"):
            getattr(self._memory, name)[mine] = getattr(other._memory, name)[theirs]
        if len(self._memory.text) and len(other._memory.text):
            self._memory.text[mine] = other._memory.text[theirs]
        self.counts = other.counts

    def watch(self, rows: Flags, hear: Watch) -> None:
        """From now on tell ``hear`` every reading of these rows as it was judged, also what report by exception leaves out."""
        self._watched, self._watch = (rows, hear) if rows.any() else (None, None)

    @property
    def watched(self) -> Rows:
        """The rows that are watched."""
        return np.empty(0, np.intp) if self._watched is None else np.flatnonzero(self._watched)

    def unsent(self, rows: Rows) -> Rows:
        """Those of the rows of which nothing was ever sent."""
        never: Rows = rows[self._memory.status[rows] == _NEVER_SENT]
        return never

    def bind(self, batches: Iterable[SampleBatch], now_ns: int, monotonic_ns: int) -> tuple[SampleBatch, ...]:
        """What of the driver's rows goes on, as samples of permanent tags.

        Shapes: any batches -> at most one batch per value type
        Raises: Malformed if a batch contradicts itself
        """
        self.held_ns = 0
        parts: tuple[list[_Part], list[_Part], list[_Part]] = ([], [], [])
        for batch in batches:
            for kind, part in self._split(batch):
                parts[kind].append(part)
        out = []
        for kind, found in enumerate(parts):
            if found:
                out += self._take(kind, _join(found), now_ns, monotonic_ns)
        return _only_filled(out)

    def judge(self, batch: SampleBatch) -> tuple[tuple[Ints, Values, Statuses], ...]:
        """Rows of a batch as `bind` would convert and judge them, at their quantised times; nothing is remembered and
        nothing is left out. For replays. Shapes: -> (times, values, statuses) for each type that occurs
        """
        found = []
        for kind, part in self._split(batch):
            status = part.status
            if self._any_range and kind != TEXT:
                status = self._judge_range(kind, part.rows, part.value, status)
            times = part.time_ns - part.time_ns % self.table.resolution_ns[part.rows]
            found.append((times, part.value, status.astype(np.uint32, copy=False)))
        return tuple(found)

    def bind_kept(self, batches: Iterable[SampleBatch], now_ns: int) -> tuple[SampleBatch, ...]:
        """What a device had kept while it was away: converted, judged by range, at its own (quantised) time, all of it.

        Nothing is remembered of it, as it says nothing about now. A time ahead of the edge's clock is not believed: Uncertain, and now.
        Shapes: any batches -> at most one batch per value type
        Raises: Malformed if a batch contradicts itself
        """
        out = []
        for batch in batches:
            for kind, part in self._split(batch):
                rows, value, status = part.rows, part.value, part.status
                if self._any_range and kind != TEXT:
                    status = self._judge_range(kind, rows, value, status)
                ahead = part.time_ns > now_ns + HOLD_LIMIT_NS
                status = _worse(status, UNCERTAIN, ahead) if ahead.any() else status
                times = np.where(ahead, now_ns, part.time_ns)
                times -= times % self.table.resolution_ns[rows]
                bad = (status & BAD) != 0
                value = np.where(bad, _blank(kind, 1), value) if bad.any() else value
                value, text = _coded(value) if kind == TEXT else (value, ())
                self.counts.readings += len(rows)
                self.counts.sent += len(rows)
                codes = status.astype(np.uint32, copy=False)
                out.append(SampleBatch(self.table.id[rows], times, value, codes, text))
        return _only_filled(out)

    def mark(self, rows: Rows, status: int, now_ns: int, monotonic_ns: int) -> tuple[SampleBatch, ...]:
        """Give tags a bad status that no device sent; only what is new, or silent for its max gap, goes on."""
        out = []
        for kind in (FLOAT, INT, TEXT):
            mine = rows[self.table.kind[rows] == kind]
            if len(mine):
                value = _blank(kind, len(mine))
                times, codes = np.full(len(mine), now_ns, np.int64), np.full(len(mine), status, np.uint32)
                out.append(self._judge(kind, mine, times, value, codes, now_ns, monotonic_ns, from_device=False))
        return _only_filled(out)

    def _split(self, batch: SampleBatch) -> Iterable[tuple[int, _Part]]:
        """The batch's rows by the type of their tags, converted to it."""
        n = len(batch.id)
        if not (len(batch.time_ns) == len(batch.value) == len(batch.status) == n):
            raise Malformed("a batch has columns of different lengths")
        if not n:
            return
        rows = batch.id.astype(np.intp)
        if int(rows.min()) < 0 or int(rows.max()) >= len(self.table):
            known = (rows >= 0) & (rows < len(self.table))
            self.counts.unknown += n - int(np.count_nonzero(known))
            batch, rows = batch.rows(known), rows[known]
            if not len(rows):
                return
        raw = _raw(batch)
        part = _Part(rows, batch.time_ns, raw, batch.status)
        if self._only_kind is not None:
            yield self._only_kind, self._convert(self._only_kind, part)
            return
        kinds = self.table.kind[rows]
        for kind in (FLOAT, INT, TEXT):
            mine = kinds == kind
            if mine.all():
                yield kind, self._convert(kind, part)
                return
            if mine.any():
                yield kind, self._convert(kind, part.only(mine))

    def _convert(self, kind: int, part: _Part) -> _Part:
        is_text = part.value.dtype == object
        if is_text != (kind == TEXT):
            return _Part(part.rows, part.time_ns, _blank(kind, len(part.rows)), _worse(part.status, BAD_TYPE_MISMATCH))
        if kind == TEXT:
            return _limit_text(part)
        return self._to_float(part) if kind == FLOAT else self._to_int(part)

    def _to_float(self, part: _Part) -> _Part:
        value = part.value.astype(np.float64, copy=False)
        if self._any_scaled:
            with np.errstate(over="ignore", invalid="ignore"):
                value = value * self.table.factor[part.rows] + self.table.offset[part.rows]
        finite = np.isfinite(value)
        if finite.all():
            return _Part(part.rows, part.time_ns, value, part.status)
        return _Part(
            part.rows, part.time_ns, np.where(finite, value, 0.0), _worse(part.status, BAD_OUT_OF_RANGE, ~finite)
        )

    def _to_int(self, part: _Part) -> _Part:
        rows, status = part.rows, part.status
        scaled = self._scaled[rows] if self._any_scaled else None
        if part.value.dtype == np.int64 and (scaled is None or not scaled.any()):
            return part
        factor, offset = self.table.factor[rows], self.table.offset[rows]
        with np.errstate(over="ignore", invalid="ignore"):
            estimate = part.value.astype(np.float64) * factor + offset
            fits = np.abs(estimate) < _INT_LIMIT  # false for NaN
            value = np.rint(np.where(fits, estimate, 0.0)).astype(np.int64)
        if part.value.dtype == np.int64:
            exact = self._exact[rows]
            whole = part.value * np.where(exact, factor, 1).astype(np.int64)
            whole += np.where(exact, offset, 0).astype(np.int64)
            value = np.where(exact & fits, whole, value)
            if scaled is not None:  # an unscaled one is kept to the last bit, however large
                value, fits = np.where(scaled, value, part.value), fits | ~scaled
        else:
            fraction = fits & (part.value != np.rint(part.value))
            if scaled is not None:
                fraction &= ~scaled
            if fraction.any():
                status = _worse(status, BAD_TYPE_MISMATCH, fraction)
        if not fits.all():
            status = _worse(status, BAD_OUT_OF_RANGE, ~fits)
        return _Part(rows, part.time_ns, value, status)

    def _take(self, kind: int, part: _Part, now_ns: int, monotonic_ns: int) -> list[SampleBatch]:
        """Judge rows in rounds in which no tag occurs twice."""
        rows = part.rows
        order = np.arange(len(rows))
        self._scratch[rows] = order
        if (self._scratch[rows] == order).all():
            return [self._judge(kind, rows, part.time_ns, part.value, part.status, now_ns, monotonic_ns)]
        occurrence = _occurrences(rows)
        rounds = (part.only(occurrence == turn) for turn in range(int(occurrence.max()) + 1))
        return [self._judge(kind, p.rows, p.time_ns, p.value, p.status, now_ns, monotonic_ns) for p in rounds]

    def _judge(
        self,
        kind: int,
        rows: Rows,
        time_ns: Ints,
        value: Values,
        status: Statuses,
        now_ns: int,
        monotonic_ns: int,
        *,
        from_device: bool = True,
    ) -> SampleBatch:
        """Range, time, report by exception; rows are distinct and of one kind."""
        memory = self._memory
        if self._any_range and kind != TEXT:
            status = self._judge_range(kind, rows, value, status)
        times, held, status = self._judge_time(rows, time_ns, status, now_ns)
        if self._watched is not None:
            self._tell(kind, rows, times, value, status, monotonic_ns)
        bad = (status & BAD) != 0
        if not bad.any():
            bad = None
        send = status != memory.status[rows]
        send |= monotonic_ns - memory.sent_at_ns[rows] >= self.table.max_gap_ns[rows]
        if from_device:
            moved = self._moved(kind, rows, value)
            if bad is not None:  # the value of a bad sample is undefined; only "every reading" repeats it
                moved &= ~bad | (self.table.deadband[rows] < 0)
            send |= moved
            self.counts.readings += len(rows)
        if not send.all():
            rows, times, value, status = rows[send], times[send], value[send], status[send]
            held = held[send] if held is not None else None
            bad = bad[send] if bad is not None else None
        return self._send(kind, rows, times, value, status, held, bad, monotonic_ns)

    def _tell(self, kind: int, rows: Rows, times: Ints, value: Values, status: Statuses, monotonic_ns: int) -> None:
        """Readings of watched rows to whoever watches."""
        if self._watched is None or self._watch is None:
            return
        mine = self._watched[rows]
        if not mine.any():
            return
        value, text = _coded(value[mine]) if kind == TEXT else (value[mine], ())
        codes = status[mine].astype(np.uint32, copy=False)
        self._watch(SampleBatch(self.table.id[rows[mine]], times[mine], value, codes, text), monotonic_ns)

    def _judge_range(self, kind: int, rows: Rows, value: Values, status: Statuses) -> Statuses:
        low, high = (self.table.low, self.table.high) if kind == FLOAT else (self._low_int, self._high_int)
        outside = (value < low[rows]) | (value > high[rows])
        if outside.any():
            return _worse(status, UNCERTAIN_ENGINEERING_UNITS_EXCEEDED, outside)
        return status

    def _judge_time(
        self, rows: Rows, time_ns: Ints, status: Statuses, now_ns: int
    ) -> tuple[Ints, Flags | None, Statuses]:
        """Quantised times that never decrease, which rows were held, and the status after that."""
        memory = self._memory
        ahead = time_ns > now_ns + HOLD_LIMIT_NS
        if ahead.any():
            self.counts.ahead += int(np.count_nonzero(ahead))
            time_ns = np.where(ahead, now_ns, time_ns)
            status = _worse(status, UNCERTAIN, ahead)
        times = time_ns - time_ns % self.table.resolution_ns[rows]
        seen = memory.seen_ns[rows]
        held = times < seen
        if not held.any():
            memory.seen_ns[rows] = times
            return times, None, status
        hold_ns = np.where(held, seen - times, 0)
        self.counts.held += int(np.count_nonzero(held))
        self.held_ns = max(self.held_ns, int(hold_ns.max()))
        late = hold_ns > HOLD_LIMIT_NS
        if late.any():
            status = _worse(status, UNCERTAIN, late)
        times = np.where(held, seen, times)
        memory.seen_ns[rows] = times
        return times, held, status

    def _moved(self, kind: int, rows: Rows, value: Values) -> Flags:
        """Which values lie further from the last one sent than their deadband."""
        last = self._memory.value(kind)[rows]
        deadband = self.table.deadband[rows]
        if kind == TEXT:
            moved: Flags = (value != last) | (deadband < 0)
            return moved
        if kind == FLOAT:
            with np.errstate(over="ignore"):
                distance = np.abs(value - last)
        else:  # exact even where the difference does not fit into an int64
            distance = np.maximum(value, last).astype(np.uint64) - np.minimum(value, last).astype(np.uint64)
        if self._any_percent:
            percent = self.table.percent[rows]
            deadband = np.where(percent > 0, percent * np.abs(last.astype(np.float64)), deadband)
        if kind == INT:
            return _beyond(distance, deadband)
        beyond: Flags = distance > deadband
        return beyond

    def _send(
        self,
        kind: int,
        rows: Rows,
        times: Ints,
        value: Values,
        status: Statuses,
        held: Flags | None,
        bad: Flags | None,
        monotonic_ns: int,
    ) -> SampleBatch:
        """Remember what goes on, and say it with permanent ids."""
        memory = self._memory
        sent_ns = memory.sent_ns[rows]
        if held is not None:
            resolution = self.table.resolution_ns[rows]
            step = held & (monotonic_ns - memory.sent_at_ns[rows] >= _SLOWDOWN * resolution)
            times = np.where(step & (times <= sent_ns), sent_ns + resolution, times)
            memory.seen_ns[rows] = times
        self.counts.collisions += int(np.count_nonzero(times == sent_ns))
        self.counts.sent += len(rows)
        memory.sent_ns[rows] = times
        memory.sent_at_ns[rows] = monotonic_ns
        memory.status[rows] = status
        if bad is not None:  # what a bad sample is compared with does not matter: the next good one differs in status
            value = np.where(bad, _blank(kind, 1), value)
        memory.value(kind)[rows] = value
        text: tuple[str, ...] = ()
        if kind == TEXT:
            value, text = _coded(value)
        return SampleBatch(self.table.id[rows], times, value, status.astype(np.uint32, copy=False), text)


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows on their way through a binder; text values are Python strings in an object column."""

    rows: Rows
    time_ns: Ints
    value: Values
    status: Statuses

    def only(self, mask: Flags) -> _Part:
        return _Part(self.rows[mask], self.time_ns[mask], self.value[mask], self.status[mask])


def _join(parts: Sequence[_Part]) -> _Part:
    if len(parts) == 1:
        return parts[0]
    return _Part(
        np.concatenate([p.rows for p in parts]),
        np.concatenate([p.time_ns for p in parts]),
        np.concatenate([p.value for p in parts]),
        np.concatenate([p.status for p in parts]),
    )


def _only_filled(batches: Sequence[SampleBatch]) -> tuple[SampleBatch, ...]:
    filled = [b for b in batches if len(b)]
    return join_by_type(filled) if len(filled) > 1 else tuple(filled)


def _raw(batch: SampleBatch) -> Values:
    """The value column, texts spelt out.

    Raises: Malformed if a code points at no text
    """
    if batch.type is not ValueType.TEXT:
        return batch.value
    codes = batch.value.astype(np.intp)
    if not batch.text or int(codes.min()) < 0 or int(codes.max()) >= len(batch.text):
        raise Malformed("a batch has a text code that points at no text")
    spelt: Values = np.array([*batch.text, None], object)[codes]  # the None keeps numpy from guessing a text type
    return spelt


def _coded(value: Values) -> tuple[Values, tuple[str, ...]]:
    """Texts as codes into the texts that occur."""
    codes: dict[str, int] = {}
    column = np.array([codes.setdefault(text, len(codes)) for text in value.tolist()], np.int32)
    return column, tuple(codes)


def _limit_text(part: _Part) -> _Part:
    long = np.array([len(text) > MAX_TEXT_CHARS for text in part.value.tolist()], np.bool_)
    if not long.any():
        return part
    return _Part(part.rows, part.time_ns, np.where(long, "", part.value), _worse(part.status, BAD_OUT_OF_RANGE, long))


def _blank(kind: int, n: int) -> Values:
    """The value bad samples carry: nothing may be read into it."""
    if kind == TEXT:
        return np.full(n, "", object)
    return np.zeros(n, np.float64 if kind == FLOAT else np.int64)


def _worse(status: Statuses, code: int, where: Flags | None = None) -> Statuses:
    """``code`` where it is more severe than what is there already."""
    milder = (status & SEVERITY_MASK) < (code & SEVERITY_MASK)
    if where is not None:
        milder &= where
    return np.where(milder, np.uint32(code), status)


def _whole(bound: Floats) -> Ints:
    """A bound as int64; infinities and what lies beyond become the type's own limits."""
    low, high = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    inside = np.abs(bound) < 2.0**63
    return np.where(inside, np.where(inside, bound, 0).astype(np.int64), np.where(bound > 0, high, low))


def _beyond(distance: Values, deadband: Floats) -> Flags:
    """Whether an exact uint64 distance exceeds a deadband; below 0 everything does."""
    # a distance is whole, so it is beyond 2.5 exactly when it is beyond 2
    limit = np.clip(deadband, 0, 2.0**64 - 2048).astype(np.uint64)
    beyond: Flags = (distance > limit) | (deadband < 0)
    return beyond


def _occurrences(rows: Rows) -> Rows:
    """How often each row's tag has occurred before it: 0 for first ones."""
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    index = np.arange(len(rows))
    first = np.r_[True, ordered[1:] != ordered[:-1]]
    start = np.maximum.accumulate(np.where(first, index, 0))
    result = np.empty(len(rows), np.intp)
    result[order] = index - start
    return result

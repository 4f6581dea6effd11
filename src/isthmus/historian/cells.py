"""Bounded answers to numbers, joined in memory from plain columns of the engine.

The engine takes tens of milliseconds to plan the joining of cells; to hand over a day of samples or a year of rollup it
takes a few. What is computed here is what ``query.buckets`` and ``query.bounded_steps`` compute there (see ``query`` for
cells), and a sample is a cell of its own.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from isthmus.historian.codec import BITS, INT, MAX_DECIMALS, decode
from isthmus.historian.query import BOUNDED_COLUMNS, Before, Scope
from isthmus.historian.rollup import SMALL
from isthmus.values.status import SEVERITY_MASK

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

Layout = Mapping[str, str]
Columns = Mapping[str, NDArray[Any]]

SAMPLE: Layout = {"tag": "<i4", "ts": "<i8", "mantissa": "<i8", "exponent": "i1", "status": "<u4"}
ROLLUP: Layout = {
    "tag": "<i4", "ts": "<i8", "first_ns": "<i8", "lasts_ns": "<i8", "exponent": "i1", "first": "<i8", "last": "<i8",
    "below": "<i8", "above": "<i8", "good": "<u4", "other": "<u4", "last_good": "u1", "area": "<i8", "bad_ns": "<i8",
}  # fmt: skip
"""Columns asked for, and what the engine's Native format makes of them."""

_FAR_NS = 1 << 62
N = TypeVar("N", np.int64, np.float64)


@dataclass(frozen=True, slots=True)
class Cells:
    """Cells as columns, by tag and time.

    Units:  tf, tl UTC ns; gd ns; ig value x ns
    Shapes: all (n,)
    """

    g: Ints
    tf: Ints
    tl: Ints
    no: Ints
    nb: Ints
    lo: Flags
    gd: Ints
    mn: Floats
    mx: Floats
    fv: Floats
    lv: Floats
    ig: Floats

    def __len__(self) -> int:
        return len(self.g)

    def take(self, rows: NDArray[np.intp] | Flags | slice) -> Cells:
        """Some of the cells. Cost: columns that are one and the same, as those of samples, are taken once."""
        taken: dict[int, NDArray[Any]] = {}
        for column in self._columns():
            if id(column) not in taken:
                taken[id(column)] = column[rows]
        return Cells(*(taken[id(column)] for column in self._columns()))

    def emptied(self, at: NDArray[np.intp]) -> Cells:
        """The same, some of them as samples before a range: held into it, without content of their own."""
        none = {name: getattr(self, name).copy() for name in ("no", "nb", "gd", "ig")}
        for column in none.values():
            column[at] = 0
        tf = self.tf
        if tf is not self.tl:
            tf = tf.copy()
            tf[at] = self.tl[at]
        return replace(self, tf=tf, **none)

    def _columns(self) -> Iterator[NDArray[Any]]:
        return (getattr(self, f.name) for f in fields(self))


@dataclass(frozen=True, slots=True)
class Answer:
    """Rows of a bounded answer as columns; NaN is no value.

    Units:  at UTC ns
    Shapes: all (n,)
    """

    g: Ints
    at: Ints
    first: Floats
    low: Floats
    high: Floats
    last: Floats
    mean: Floats
    count: Ints
    bad_s: Floats

    def rows(self, index: Mapping[int, int]) -> list[Sequence[object]]:
        """As JSON has them: the tag's place among the asked ones, the time in ms."""
        place = [index[g] for g in self.g.tolist()]
        whole, part = np.divmod(self.at, 1_000_000)
        time = (whole + part / 1e6 if part.any() else whole).tolist()
        rest = (self.first, self.low, self.high, self.last, self.mean, self.count, self.bad_s)
        return list(zip(place, time, *(c.tolist() for c in rest), strict=True))

    def arrow(self, index: Mapping[int, int]) -> bytes:
        """As an Arrow stream, of the types the engine would give."""
        import pyarrow as pa

        tags, row = tags_of(self.g)
        place = np.array([index[g] for g in tags.tolist()], np.uint32)[row]
        time = pa.array(self.at).cast(pa.timestamp("ns", "UTC"))
        count = pa.array(self.count.astype(np.uint64))
        numbers = [pa.array(c, from_pandas=True) for c in (self.first, self.low, self.high, self.last, self.mean)]
        always = ("tag", "time", "count", "bad_s")
        columns = [pa.array(place), time, *numbers, count, pa.array(self.bad_s)]
        schema = pa.schema(
            [pa.field(n, c.type, n not in always) for n, c in zip(BOUNDED_COLUMNS, columns, strict=True)]
        )
        batch = pa.record_batch(columns, schema=schema)
        out = io.BytesIO()
        with pa.ipc.new_stream(out, batch.schema) as stream:
            stream.write_batch(batch)
        return out.getvalue()


def joined(answers: Sequence[Answer]) -> Answer:
    """Answers about different tags in one, by tag."""
    if len(answers) == 1:
        return answers[0]
    columns = [np.concatenate([getattr(a, f.name) for a in answers]) for f in fields(Answer)]
    order = np.argsort(columns[0], kind="stable")
    return Answer(*(c[order] for c in columns))


def _varint(body: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while body[at] > 127:
        number |= (body[at] & 127) << shift
        at, shift = at + 1, shift + 7
    return number | body[at] << shift, at + 1


def _blocks(body: bytes, layout: Layout) -> Iterator[Columns]:
    """Blocks of the engine's Native format whose columns all have one width, without copying any."""
    at = 0
    while at < len(body):
        _, at = _varint(body, at)
        rows, at = _varint(body, at)
        block: dict[str, NDArray[Any]] = {}
        for name, dtype in layout.items():
            for _ in ("its name", "its type"):
                length, at = _varint(body, at)
                at += length
            block[name] = np.frombuffer(body, dtype, rows, at)
            at += block[name].nbytes
        if rows:
            yield block


def read(body: bytes, layout: Layout) -> Columns:
    """What the engine handed over as Native. Threads of the engine hand over blocks in any order: they are put by tag and time."""
    blocks = sorted(_blocks(body, layout), key=lambda b: (b["tag"][0], b["ts"][0]))
    if len(blocks) == 1:
        return blocks[0]
    empty = [{name: np.zeros(0, dtype) for name, dtype in layout.items()}]
    return {name: np.concatenate([b[name] for b in blocks or empty]) for name in layout}


def of_samples(rows: Columns) -> Cells:
    """Samples as the engine hands them over, a cell each."""
    value = decode(rows["mantissa"], rows["exponent"])
    good = (rows["status"] & SEVERITY_MASK == 0) & np.isfinite(value)
    if not good.all():
        value = np.where(good, value, 0.0)
    none, area = np.zeros(len(value), np.int64), np.zeros(len(value))
    n_good, tag, time = good.astype(np.int64), rows["tag"].astype(np.int64), rows["ts"]
    return Cells(tag, time, time, n_good, 1 - n_good, good, none, value, value, value, value, area)


def of_rollup(rows: Columns) -> Cells:
    """Rows of the rollup as the engine hands them over; ``rollup.cells`` says how they are kept."""
    exponent, first, area = rows["exponent"], rows["first"], rows["area"]
    bits = exponent == BITS
    low = np.where(bits, rows["below"], first - rows["below"])
    high = np.where(bits, rows["above"], first + rows["above"])
    begin = rows["ts"] + rows["first_ns"]
    good_ns = rows["lasts_ns"] - rows["bad_ns"]
    exact = (exponent >= INT) & (exponent <= MAX_DECIMALS) & (np.maximum(np.abs(low), np.abs(high)) < SMALL)
    scale = np.where(exact, np.maximum(exponent, 0), 0).astype(np.int64)
    with np.errstate(over="ignore"):
        sums = (area + first * good_ns) / np.array([float(10**k) for k in range(MAX_DECIMALS + 1)])[scale]
    return Cells(
        rows["tag"].astype(np.int64),
        begin,
        begin + rows["lasts_ns"],
        rows["good"].astype(np.int64),
        rows["other"].astype(np.int64),
        rows["last_good"] != 0,
        good_ns,
        decode(low, exponent),
        decode(high, exponent),
        decode(first, exponent),
        decode(rows["last"], exponent),
        np.where(exact, sums, area.view(np.float64)),
    )


def of_before(before: Mapping[int, Before]) -> Cells:
    """Samples that were looked for, as cells without content."""
    time = np.array([b.time_ns for b in before.values()], np.int64)
    value = np.array([b.value for b in before.values()], np.float64)
    ok = np.array([b.ok for b in before.values()], np.bool_)
    none, area = np.zeros(len(time), np.int64), np.zeros(len(time))
    return Cells(np.array(list(before), np.int64), time, time, none, none, ok, none, value, value, value, value, area)


def join(parts: Sequence[Cells]) -> Cells:
    """Cells of several kinds in one, by tag and time."""
    some = [p for p in parts if len(p)] or list(parts[:1])
    cells = some[0]
    if len(some) > 1:
        cells = Cells(*(np.concatenate([getattr(p, f.name) for p in some]) for f in fields(Cells)))
    g, tf = cells.g, cells.tf
    if ((g[1:] > g[:-1]) | ((g[1:] == g[:-1]) & (tf[1:] >= tf[:-1]))).all():
        return cells
    return cells.take(np.lexsort((tf, g)))


def since(cells: Cells, start_ns: int) -> Cells:
    """From a time on; of what was before, the last one of each tag, without content."""
    earlier = cells.tf < start_ns
    if not earlier.any():
        return cells
    last = earlier.copy()
    last[:-1] &= ~(earlier[1:] & (cells.g[1:] == cells.g[:-1]))
    at = np.flatnonzero(last)
    if cells.g[0] == cells.g[-1]:
        return cells.take(slice(int(at[0]), None)).emptied(np.zeros(1, np.intp))
    kept = np.flatnonzero(last | ~earlier)
    return cells.take(kept).emptied(np.searchsorted(kept, at))


def starts(g: Ints) -> NDArray[np.intp]:
    """Where each tag begins. Shapes: (n,) -> (tags,)"""
    return np.concatenate((np.zeros(min(len(g), 1), np.intp), np.flatnonzero(g[1:] != g[:-1]) + 1))


def tags_of(g: Ints) -> tuple[Ints, NDArray[np.intp]]:
    """Tags in order, and which of them each cell belongs to. Shapes: (n,) -> (tags,), (n,)"""
    at = starts(g)
    return g[at], np.repeat(np.arange(len(at)), np.diff(np.append(at, len(g))))


def counted(cells: Cells, start_ns: int, end_ns: int) -> dict[int, int]:
    """Samples of each tag in the cells that begin in a range."""
    if not len(cells):
        return {}
    inside = (cells.tf >= start_ns) & (cells.tf < end_ns)
    at = starts(cells.g)
    counts = np.add.reduceat((cells.no + cells.nb) * inside, at)
    return dict(zip(cells.g[at].tolist(), counts.tolist(), strict=True))


def _next(cells: Cells, hold_ns: int) -> Ints:
    """Until when the last sample of each cell would be held: to the next one of its tag, or as far as is known."""
    following = np.full(len(cells), hold_ns, np.int64)
    same = cells.g[1:] == cells.g[:-1]
    following[:-1][same] = cells.tf[1:][same]
    return np.maximum(cells.tl, following)


def _known_until(cells: Cells, scope: Scope) -> Ints:
    """Where a gap of its edge ends what is known of each cell's last sample."""
    until = np.full(len(cells), _FAR_NS, np.int64)
    for edge, gaps in scope.gaps.items():
        tags = [t.id for t in scope.tags if t.edge == edge]
        mine = np.flatnonzero(np.isin(cells.g, tags))
        starts, ends = np.array([*gaps, (_FAR_NS, _FAR_NS)], np.int64).T
        time = cells.tl[mine]
        until[mine] = np.maximum(starts[np.searchsorted(ends, time, side="right")], time)
    return until


class _Groups:
    """Runs of equal, ascending keys, and the way back into one slot a key."""

    def __init__(self, key: Ints, slots: int) -> None:
        changes = np.flatnonzero(key[1:] != key[:-1]) + 1
        self._starts = np.concatenate((np.zeros(min(len(key), 1), np.intp), changes))
        self._ends = np.concatenate((changes - 1, np.full(min(len(key), 1), len(key) - 1, np.intp)))
        self._at, self._slots = key[self._starts], slots

    def total(self, values: NDArray[N]) -> NDArray[N]:
        out = np.zeros(self._slots, values.dtype)
        if len(self._starts):
            out[self._at] = np.add.reduceat(values, self._starts)
        return out

    def reduce(self, ufunc: np.ufunc, values: Floats) -> Floats:
        out = np.full(self._slots, np.nan)
        if len(self._starts):
            out[self._at] = ufunc.reduceat(values, self._starts)
        return out

    def first(self, values: Floats) -> Floats:
        out = np.full(self._slots, np.nan)
        out[self._at] = values[self._starts]
        return out

    def last(self, values: Floats) -> Floats:
        out = np.full(self._slots, np.nan)
        out[self._at] = values[self._ends]
        return out


def buckets(cells: Cells, scope: Scope, width_ns: int) -> Answer:
    """One row per tag and bucket that holds samples, and the first one when something was known before it."""
    origin = scope.start_ns
    count = -(-(scope.end_ns - origin) // width_ns)
    tags, row = tags_of(cells.g)
    slots, base = len(tags) * count, row * count
    begin, following = np.maximum(cells.tl, origin), _next(cells, scope.hold_ns)
    until = np.where(cells.lo, np.minimum(following, _known_until(cells, scope)), begin)
    held = following > begin
    # What a cell's last sample holds beyond the cell goes to the bucket it is in, and to the one where the next cell is.
    low, high = (begin - origin) // width_ns, np.maximum(following - 1 - origin, 0) // width_ns
    edge = origin + (low + 1) * width_ns
    here, span = _Groups(base + low, slots), np.where(held, np.minimum(following, edge) - begin, 0)
    hold = np.where(held, np.maximum(np.minimum(until, edge) - begin, 0), 0)
    over = np.flatnonzero(held & (high > low))
    edge = origin + high[over] * width_ns
    there, hold_over = _Groups((base + high)[over], slots), np.maximum(until[over] - edge, 0)
    # What was before has no content: any bucket will do. Samples begin where they end.
    alike = cells.tf is cells.tl
    own = base + (low if alike else np.maximum((cells.tf - origin) // width_ns, 0))
    mine = here if alike else _Groups(own, slots)
    known = mine.total(cells.tl - cells.tf) + here.total(span) + there.total(following[over] - edge)
    good_ns = mine.total(cells.gd) + here.total(hold) + there.total(hold_over)
    area = mine.total(cells.ig) + here.total(cells.lv * hold) + there.total(cells.lv[over] * hold_over)
    n_good, n_other = mine.total(cells.no), mine.total(cells.nb)
    content = cells.no > 0
    every = bool(content.all())
    good = slice(None) if every else np.flatnonzero(content)
    best = mine if every else _Groups(own[good], slots)
    lead = np.flatnonzero((low == 0) & (hold > 0))
    led_value = _Groups(base[lead], slots).first(cells.lv[lead])
    has, at_start = n_good > 0, np.arange(slots) % count == 0
    present = np.zeros(slots, np.bool_)
    present[own] = True
    shown = np.flatnonzero(present & ((n_good + n_other > 0) | at_start))
    has, led = has[shown], (at_start & (good_ns > 0))[shown]

    def pick(values: Floats) -> Floats:
        return np.where(has, values[shown], np.where(led, led_value[shown], np.nan))

    first = pick(best.first(cells.fv[good]))
    with np.errstate(all="ignore"):
        mean = np.where(good_ns[shown] > 0, area[shown] / good_ns[shown], first)
    return Answer(
        tags[shown // count],
        origin + shown % count * width_ns,
        first,
        pick(best.reduce(np.minimum, cells.mn[good])),
        pick(best.reduce(np.maximum, cells.mx[good])),
        pick(best.last(cells.lv[good])),
        np.where(has | led, mean, np.nan),
        n_good[shown],
        (known - good_ns)[shown] / 1e9,
    )


def steps(samples: Cells, scope: Scope, points: int) -> Answer:
    """One row per sample, and one at the start for what holds into the range, for tags that have room for it."""
    inside = samples.tf >= scope.start_ns
    at, following = np.maximum(samples.tf, scope.start_ns), _next(samples, scope.hold_ns)
    hold = np.where(samples.lo, np.maximum(np.minimum(following, _known_until(samples, scope)) - at, 0), 0)
    tags, row = tags_of(samples.g)
    room = (np.bincount(row, inside, len(tags)) < points)[row]
    kept = inside | (room & (following > scope.start_ns))
    value = np.where(samples.lo & (inside | (hold > 0)), samples.lv, np.nan)[kept]
    bad_s = (np.maximum(following - at, 0) - hold)[kept] / 1e9
    return Answer(
        samples.g[kept],
        at[kept],
        value,
        value,
        value,
        value,
        value,
        (samples.lo & inside)[kept].astype(np.int64),
        bad_s,
    )

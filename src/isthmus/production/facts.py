"""Facts as columns: their layout, how they are packed for the records, and how any question is a sum of integers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from isthmus.namespace.model import Reason
from isthmus.production.model import CLASSES, CODE, MILLION, MINOR, FactSum, IdealCounts, StateClass

Ints = NDArray[np.int64]
Columns = Mapping[str, NDArray[Any]]
"""Rows of facts, each column by itself and all of one length."""

KEYS: Final = ("shift", "team", "order", "product", "reason", "rate")
"""Columns that are codes of names."""
AMOUNTS: Final = ("ns", "stops", "failures", "total", "good", "reject", "rework", "energy", "material")

FACT: Final = np.dtype(
    [("slot_ns", np.int64), ("day", np.int32)]
    + [(name, np.int32) for name in KEYS]
    + [("klass", np.uint8)]
    + [(name, np.int64) for name in AMOUNTS]
)
"""A granule of the accounts: what a machine did in a part of a quarter of an hour, with codes of `Names`."""

DAY: Final = np.dtype(
    [("machine", np.int32), ("day", np.int32)]
    + [(name, np.int32) for name in KEYS]
    + [("klass", np.uint8), ("_", np.uint8, 3)]
    + [("stops", np.int32), ("failures", np.int32)]
    + [(name, np.int64) for name in AMOUNTS if name not in ("stops", "failures")]
)
"""The same by production day, as it is kept: rows of many machines and days are one array."""

_PACKED: Final = ("slot_ns", "klass", *KEYS, *AMOUNTS)
_WIDTHS: Final = (None, np.int8, np.int16, np.int32, np.int64)
_FITS: Final = 2**62
_SAFE: Final = 9.0e18
"""So much fits in 64 bits, and is far enough from what does not for a float to tell."""
_LOOSE: Final = 8
"""Keys that lie so many times further apart than there are keys are sorted to be grouped."""
_SCALED: Final = 8
"""Added to the place of a width: values are kept in millionths of what they are."""


class Names:
    """Words and the codes that columns have for them; 0 is the empty one. Codes are given once and never change."""

    def __init__(self) -> None:
        self._codes: dict[tuple[str, str], int] = {}
        self._texts: dict[str, list[str]] = {}
        self._lock = threading.Lock()  # days are computed in a thread while the loop goes on
        self.fresh: list[tuple[str, int, str]] = []  # kind, code, text: not in the records yet

    def code(self, kind: str, text: str) -> int:
        """The code of a word, given if it is new."""
        if not text:
            return 0
        found = self._codes.get((kind, text))
        if found is None:
            with self._lock:
                found = self._codes.get((kind, text))
                if found is None:
                    found = self._add(kind, text)
                    self.fresh.append((kind, found, text))
        return found

    def known(self, kind: str, text: str) -> int:
        """The code of a word; -1 if nothing was ever called so."""
        return self._codes.get((kind, text), -1) if text else 0

    def text(self, kind: str, code: int) -> str:
        """Inverse of ``code``."""
        return self._texts.get(kind, [""])[code] if code else ""

    def texts(self, kind: str) -> Sequence[str]:
        """All words of a kind by code."""
        return self._texts.get(kind, [""])

    def rate(self, count: int, per_ns: int) -> int:
        """The code of an ideal rate."""
        return self.code("rate", f"{count}/{per_ns}")

    def rate_of(self, code: int) -> tuple[int, int]:
        """Pieces and the time they take at best; nothing where none is declared."""
        if not code:
            return 0, 0
        count, _, per_ns = self.text("rate", code).partition("/")
        return int(count), int(per_ns)

    def load(self, rows: Iterable[tuple[str, int, str]]) -> None:
        """Words as the records have them, by kind and code."""
        for kind, code, text in rows:
            found = self._add(kind, text)
            if found != code:
                raise ValueError(f"names of {kind} are not whole: {text!r} is {code}, should be {found}")

    def since(self, told: Mapping[str, int]) -> list[tuple[str, int, str]]:
        """Words beyond the last code that was told of each kind, as ``load`` takes them."""
        with self._lock:
            return [
                (kind, code, texts[code])
                for kind, texts in self._texts.items()
                for code in range(told.get(kind, 0) + 1, len(texts))
            ]

    def _add(self, kind: str, text: str) -> int:
        texts = self._texts.setdefault(kind, [""])
        texts.append(text)
        self._codes[kind, text] = len(texts) - 1
        return len(texts) - 1


def combine(*columns: NDArray[Any]) -> tuple[Ints, bool]:
    """Columns of codes (0 or more) as one key, equal where all are equal; whether the key keeps their order."""
    key = columns[0].astype(np.int64)
    most, ordered = int(key.max(initial=0)) + 1, True
    for column in columns[1:]:
        width = int(column.max(initial=0)) + 1
        if width == 1:
            continue
        if most * width >= 2**62:
            values, key = np.unique(key, return_inverse=True)
            most, ordered = len(values), True
        key = key * width + column
        most *= width
    return key, ordered


def changed(column: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a value is another one than before; the first always is. Shapes: (n,) -> (n,)"""
    found = np.ones(len(column), np.bool_)
    np.not_equal(column[1:], column[:-1], out=found[1:])
    return found


def grouped(key: Ints) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Keys (0 or more) as places among the keys there are, in their order; and of each of these a row that has it.

    Cost: a few ns a key where they lie close together; else they are sorted
    """
    span = int(key.max(initial=-1)) + 1
    if span > _LOOSE * len(key) + 65_536:
        _, some, place = np.unique(key, return_index=True, return_inverse=True)
        return place, some
    there = np.zeros(span, np.bool_)
    there[key] = True
    places = np.cumsum(there) - 1
    place = places[key]
    some = np.zeros(int(places[-1]) + 1 if span else 0, np.intp)
    some[place] = np.arange(len(key))
    return place, some


def totals(column: NDArray[Any], place: NDArray[np.intp], size: int) -> Ints:
    """Exact sums by place, as long as they fit; always of Python's numbers. Shapes: (n,), (n,) -> (size,)"""
    kind = np.dtype(object if column.dtype == object else np.int64)
    found = np.zeros(size, kind)
    np.add.at(found, place, column.astype(kind, copy=False))
    return found


def structured(columns: Columns) -> NDArray[np.void]:
    """Columns by slot as rows."""
    rows = np.zeros(len(columns["day"]), FACT)
    for name in FACT.names or ():
        rows[name] = columns[name]
    return rows


def by_day(rows: Columns | NDArray[np.void], machine: int) -> NDArray[np.void]:
    """Rows of slots added up by production day, in order of the days."""
    if not len(rows["day"]):
        return np.zeros(0, DAY)
    columns = {name: np.ascontiguousarray(rows[name]) for name in ("day", *KEYS, "klass", *AMOUNTS)}
    some = {name: column for name, column in columns.items() if column.any()}
    low = int(columns["day"].min())
    key, _ = combine(columns["day"] - low, *(some[k] for k in (*KEYS, "klass") if k in some))
    place, row = grouped(key)
    found = np.zeros(len(row), DAY)
    found["machine"] = machine
    for name, column in some.items():
        found[name] = totals(column, place, len(row)) if name in AMOUNTS else column[row]
    return found


def pack(rows: Columns | NDArray[np.void], bounds: Sequence[int], begins_ns: Sequence[int]) -> list[bytes]:
    """Rows of slots as bytes, a piece for each part between bounds; each column in the width it needs, none where it is 0.

    Units: begins_ns is when each part's day begins: slots are kept from there on
    """
    columns, widths = [], bytearray()
    begins = np.repeat(np.array(begins_ns, np.int64), np.diff(bounds))
    for name in _PACKED:
        column = rows[name][bounds[0] : bounds[-1]]
        if name == "slot_ns":
            column = column - begins
        most = max(int(column.max(initial=0)), -int(column.min(initial=0)))
        if not most and name != "slot_ns":
            widths.append(0)
            continue
        scaled = most >= MILLION and _whole_millions(column)
        if scaled:
            column, most = column // MILLION, most // MILLION
        width = 0 if not most else next(i for i, bits in enumerate((7, 15, 31, 63), 1) if most < 1 << bits)
        widths.append(width + _SCALED * scaled)
        columns.append(column.astype(_WIDTHS[width]) if width else None)
    packed = []
    for a, b in pairwise(bounds):
        parts = [c[a - bounds[0] : b - bounds[0]].tobytes() for c in columns if c is not None]
        packed.append(b"".join([(b - a).to_bytes(4, "little"), widths, *parts]))
    return packed


def _whole_millions(column: NDArray[Any]) -> bool:
    first = column[:64]
    return bool((first // MILLION * MILLION == first).all() and (column // MILLION * MILLION == column).all())


def unpack(data: bytes, day: int, begin_ns: int) -> NDArray[np.void]:
    """Inverse of ``pack`` for one part."""
    n = int.from_bytes(data[:4], "little")
    rows = np.zeros(n, FACT)
    at = 4 + len(_PACKED)
    for name, code in zip(_PACKED, data[4:at], strict=True):
        dtype = _WIDTHS[code % _SCALED]
        if dtype is None:
            continue
        column = np.frombuffer(data, dtype, n, at)
        at += column.nbytes
        rows[name] = column
        if code >= _SCALED:
            rows[name] *= MILLION
    rows["day"] = day
    rows["slot_ns"] += begin_ns
    return rows


@dataclass(frozen=True, slots=True)
class Table:
    """Rows to be added up, as columns; those of days and those of slots look the same here. Shapes: all (n,)"""

    machine: NDArray[np.int32]
    day: NDArray[np.int32]
    hour: Ints  # UTC hours since 1970; 0 where rows are of whole days
    columns: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.machine)

    @classmethod
    def of_days(cls, rows: NDArray[np.void]) -> Table:
        """Rows by day, each column by itself: what is added up lies together then."""
        columns = {name: _narrow(rows[name]) for name in (*KEYS, "klass", *AMOUNTS)}
        machine, day = np.ascontiguousarray(rows["machine"]), np.ascontiguousarray(rows["day"])
        return cls(machine, day, _nothing(len(rows)), columns)

    @classmethod
    def of_slots(cls, rows: NDArray[np.void], machine: NDArray[np.int32]) -> Table:
        """Rows by slot."""
        columns = {name: rows[name] for name in (*KEYS, "klass", *AMOUNTS)}
        return cls(machine, rows["day"], rows["slot_ns"] // 3_600_000_000_000, columns)

    @classmethod
    def joined(cls, tables: Sequence[Table]) -> Table:
        """Rows of several tables."""
        if len(tables) == 1:
            return tables[0]
        machine, day, hour = (_joined([getattr(t, name) for t in tables]) for name in ("machine", "day", "hour"))
        return cls(machine, day, hour, {n: _joined([t.columns[n] for t in tables]) for n in tables[0].columns})

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        own: list[NDArray[Any]] = [self.machine, self.day, self.hour, *self.columns.values()]
        return sum(column.nbytes for column in own if not _is_nothing(column))

    def summed(self, keys: Sequence[str], *, days: bool) -> Table | None:
        """Rows added up by machine, class and these keys, and by day if ``days``; None where sums would go over 64 bits.

        Hours are gone, and so are other keys.
        """
        if not len(self):
            return self
        day = self.day - int(self.day.min()) if days else _nothing(len(self))
        kept = [self.columns[name] for name in (*keys, "klass") if not _is_nothing(self.columns[name])]
        place, row = grouped(combine(self.machine, day, *kept)[0])
        size, together = len(row), int(np.bincount(place).max())
        columns: dict[str, NDArray[Any]] = {}
        for name, column in self.columns.items():
            if name in AMOUNTS:
                if max(int(column.max()), -int(column.min())) * together >= _FITS:
                    return None
                columns[name] = _nothing(size) if _is_nothing(column) else _narrow(totals(column, place, size))
            else:
                columns[name] = column[row] if name in keys or name == "klass" else _nothing(size)
        return Table(self.machine[row], self.day[row] if days else _nothing(size), _nothing(size), columns)

    def take(self, chosen: NDArray[Any]) -> Table:
        """Some rows."""
        columns = {name: column[chosen] for name, column in self.columns.items()}
        return Table(self.machine[chosen], self.day[chosen], self.hour[chosen], columns)

    def replaced(self, **columns: NDArray[Any]) -> Table:
        """The same with other columns."""
        return Table(self.machine, self.day, self.hour, {**self.columns, **columns})


def _nothing(size: int) -> NDArray[Any]:
    """A column of zeros that takes no room."""
    return np.broadcast_to(np.zeros(1, np.int8), size)


def _is_nothing(column: NDArray[Any]) -> bool:
    return column.strides == (0,) and column.dtype == np.int8


def _narrow(column: NDArray[Any]) -> NDArray[Any]:
    """A column in the room it needs."""
    most = max(int(column.max(initial=0)), -int(column.min(initial=0)))
    if not most:
        return _nothing(len(column))
    width = next((w for w in (np.int8, np.int16, np.int32) if most <= np.iinfo(w).max), np.int64)
    return column.astype(width)


def _joined(columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
    if all(_is_nothing(column) for column in columns):
        return _nothing(sum(len(column) for column in columns))
    return np.concatenate(columns)


@dataclass(frozen=True, slots=True)
class Words:
    """What a question needs to know of codes. Shapes: lookups by code of machine"""

    names: Names
    line: Sequence[str]  # by machine
    cost_u: Sequence[int]  # millionths of the currency a minute, by machine
    reasons: Mapping[str, Reason] = field(default_factory=dict)
    uncounted: frozenset[int] = frozenset()  # machines that count no pieces
    unrated: frozenset[int] = frozenset()  # machines that never had an ideal rate, so no time of theirs has one


BY: Final = (
    *("machine", "line", "shift", "day", "order", "operation", "product", "team"),
    *("reason", "group", "loss", "class", "hour"),
)
"""What facts can be asked by."""

_DOWN: Final = [
    CODE[c] for c in (StateClass.IDLE, StateClass.STOPPED, StateClass.STARVED, StateClass.BLOCKED, StateClass.SETUP)
]
_OUTSIDE: Final = (CODE[StateClass.PLANNED], CODE[StateClass.OFF])
_LOSS_OF_CLASS: Final = {
    StateClass.SETUP: "setup",
    StateClass.STOPPED: "breakdown",
    StateClass.STARVED: "starved",
    StateClass.BLOCKED: "blocked",
    StateClass.IDLE: "idle",
    StateClass.UNKNOWN: "unknown",
    StateClass.PLANNED: "planned",
    StateClass.OFF: "off",
}
"""What a time without a reason is lost to."""


def loss_of(reason: str, state_class: StateClass, reasons: Mapping[str, Reason]) -> str:
    """What a time is lost to: as its reason says, else as its class does; nothing while it runs."""
    if reason == MINOR:
        return "minor_stop"
    known = reasons.get(reason)
    if known is not None and known.loss:
        return known.loss
    return _LOSS_OF_CLASS.get(state_class, "")


def order_name(order: str, operation: str | int) -> str:
    """What columns call an operation of an order: two of one order at one machine are two things."""
    return f"{order}/{operation}" if order and operation else order


def order_of(name: str) -> str:
    """The order of such a name."""
    return name.partition("/")[0]


def operation_of(name: str) -> str:
    """The operation of such a name; "" where nobody said which."""
    return name.partition("/")[2]


def group_of(reason: str) -> str:
    """The group of a reason's key."""
    return reason.partition("/")[0]


def sums(
    table: Table, by: Sequence[str], words: Words, text_of_day: Callable[[int], str], text_of_hour: Callable[[int], str]
) -> list[FactSum]:
    """One sum for each thing asked by, in the order of their codes. Integers throughout.

    Cost: about 40 ns a row
    """
    if not len(table):
        return []
    asked, tell = _asked(table, by, words, text_of_day, text_of_hour)
    cost_values, cost = np.unique(np.array([*words.cost_u, 0], np.int64), return_inverse=True)
    klass, reason = table.columns["klass"], table.columns["reason"]
    minor = (
        reason == max(words.names.known("reason", MINOR), 0) if words.names.known("reason", MINOR) > 0 else reason < 0
    )
    uncounted, bare = _of_codes(table.machine, words.uncounted), _of_codes(table.machine, words.unrated)
    rate = np.where(uncounted, 0, table.columns["rate"]) if words.uncounted else table.columns["rate"]
    key, _ = combine(asked, rate, cost[table.machine], klass, minor, uncounted, bare)
    place, row = grouped(key)
    added = {name: _added(table.columns[name], place, len(row)) for name in AMOUNTS}
    group, first = grouped(asked[row])
    unrated = uncounted[row] | ((rate[row] == 0) & (bare[row] | (klass[row] == CODE[StateClass.RUNNING])))
    parts = _Parts(
        group, len(first), rate[row], cost_values[cost[table.machine[row]]], klass[row], minor[row], unrated,
        ~uncounted[row], added,
    )  # fmt: skip
    return parts.facts([tell(number) for number in asked[row][first].tolist()], words.names)


def _of_codes(machine: NDArray[np.int32], codes: frozenset[int]) -> NDArray[np.bool_]:
    """Rows of some machines."""
    return np.isin(machine, list(codes)) if codes else np.broadcast_to(np.zeros(1, np.bool_), len(machine))


def _added(column: NDArray[Any], place: NDArray[np.intp], size: int) -> NDArray[Any]:
    """Exact sums, however large: as Python's numbers where they, or sums of them, could go over 64 bits."""
    if _is_nothing(column):
        return np.zeros(size, np.int64)
    values = column.astype(np.int64, copy=False)
    if float(np.abs(values.astype(np.float64)).sum()) < _SAFE:
        return totals(values, place, size)
    high, low = (totals(half, place, size).astype(object) for half in (values >> 32, values & 0xFFFFFFFF))
    return np.asarray(high * 2**32 + low)


@dataclass(frozen=True, slots=True)
class _Parts:
    """Sums of what is alike in group, rate, cost, class and whether it is minor. Shapes: all (n,)"""

    group: NDArray[np.intp]
    groups: int
    rate: NDArray[Any]
    cost_u: Ints
    klass: NDArray[np.uint8]
    minor: NDArray[np.bool_]
    unrated: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    amounts: Mapping[str, NDArray[Any]]

    def facts(self, keys: Sequence[Mapping[str, str]], names: Names) -> list[FactSum]:
        """One for each group."""
        ns, down = self.amounts["ns"], np.isin(self.klass, _DOWN)
        major, short = down & ~self.minor, down & self.minor
        failed = major & (self.klass == CODE[StateClass.STOPPED])
        sums = {
            "stops": self._of("stops", major),
            "minor_stops": self._of("stops", short),
            "failures": self._of("failures", failed),
            "failure_ns": self._of("ns", failed),
            **{f"{name}_u": self._of(name) for name in ("total", "good", "reject", "rework", "energy", "material")},
        }
        all_ns, minor_ns, unrated_ns = (self._by_class(some) for some in (ns != 0, short, self.unrated))
        cost, rates = self._cost(down), self._rates()
        counted = np.bincount(self.group, self.counted, self.groups) > 0
        return [
            FactSum(
                key=key,
                ns=all_ns.get(i, {}),
                minor=minor_ns.get(i, {}),
                ideal=tuple(IdealCounts(*one) for one in sorted((*names.rate_of(r), t, g) for r, t, g in rates[i])),
                cost_u=cost[i],
                unrated=unrated_ns.get(i, {}),
                counted=bool(counted[i]),
                **{name: column[i] for name, column in sums.items()},
            )
            for i, key in enumerate(keys)
        ]

    def _of(self, name: str, chosen: NDArray[np.bool_] | None = None) -> list[int]:
        column, group = self.amounts[name], self.group
        if chosen is not None:
            column, group = column[chosen], group[chosen]
        found: list[int] = totals(column, group, self.groups).tolist()
        return found

    def _by_class(self, chosen: NDArray[np.bool_]) -> dict[int, dict[StateClass, int]]:
        """Times by group and class, in their order."""
        found: dict[int, dict[StateClass, int]] = {}
        size = len(CLASSES)
        cells = totals(self.amounts["ns"][chosen], self.group[chosen] * size + self.klass[chosen], self.groups * size)
        for cell in np.flatnonzero(cells).tolist():
            group, code = divmod(cell, size)
            found.setdefault(group, {})[CLASSES[code]] = int(cells[cell])
        return found

    def _cost(self, down: NDArray[np.bool_]) -> list[int]:
        """Time times cost goes over 64 bits soon: Python multiplies."""
        values, which = np.unique(self.cost_u, return_inverse=True)
        cells = totals(
            self.amounts["ns"][down], self.group[down] * len(values) + which[down], self.groups * len(values)
        )
        costs, found = values.tolist(), [0] * self.groups
        for cell in np.flatnonzero(cells).tolist():
            group, place = divmod(cell, len(costs))
            found[group] += int(cells[cell]) * costs[place]
        return found

    def _rates(self) -> list[list[tuple[int, int, int]]]:
        """Of each group its rates, with what was made and what of it was good; one at which nothing was made could have."""
        total, good = self.amounts["total"], self.amounts["good"]
        there = (total != 0) | (good != 0) | ((self.rate > 0) & ~np.isin(self.klass, _OUTSIDE))
        found: list[list[tuple[int, int, int]]] = [[] for _ in range(self.groups)]
        rows = np.flatnonzero(np.asarray(there, np.bool_))
        if not len(rows):
            return found
        place, row = grouped(combine(self.group[rows], self.rate[rows])[0])
        sums = [totals(column[rows], place, len(row)).tolist() for column in (total, good)]
        columns = (self.group[rows[row]].tolist(), self.rate[rows[row]].tolist(), *sums)
        for group, rate, made, fine in zip(*columns, strict=True):
            found[group].append((rate, made, fine))
        return found


def _asked(
    table: Table, by: Sequence[str], words: Words, text_of_day: Callable[[int], str], text_of_hour: Callable[[int], str]
) -> tuple[Ints, Callable[[int], dict[str, str]]]:
    """A number of each row's group, and what a number stands for."""
    columns, texts = [], []
    for name in by:
        column, text = _dimension(name, table, words, text_of_day, text_of_hour)
        columns.append(column)
        texts.append(text)
    if not columns:
        return np.zeros(len(table), np.int64), lambda _: {}
    # each dimension is made dense first: days and hours are large numbers that lie close together
    dense, values = [], []
    for column in columns:
        low = int(column.min())
        found = column - low
        if int(found.max()) > 4 * len(table):
            some, found = np.unique(found, return_inverse=True)
            values.append((some + low).astype(np.int64))
        else:
            values.append(np.arange(low, low + int(found.max()) + 1, dtype=np.int64))
        dense.append(found)
    key = dense[0].astype(np.int64)
    for column, known in zip(dense[1:], values[1:], strict=True):
        key = key * len(known) + column

    def tell(number: int) -> dict[str, str]:
        told = []
        for text, known in zip(reversed(texts), reversed(values), strict=True):
            number, place = divmod(number, len(known))
            told.append(text(int(known[place])))
        return dict(zip(by, reversed(told), strict=True))

    return key, tell


def _dimension(
    name: str, table: Table, words: Words, text_of_day: Callable[[int], str], text_of_hour: Callable[[int], str]
) -> tuple[Ints, Callable[[int], str]]:
    names = words.names
    if name == "machine":
        return table.machine.astype(np.int64), lambda code: names.text("machine", code)
    if name == "line":
        return _looked_up(table.machine, words.line)
    if name == "day":
        return table.day.astype(np.int64), text_of_day
    if name == "hour":
        return table.hour, text_of_hour
    klass, reason = table.columns["klass"].astype(np.int64), table.columns["reason"].astype(np.int64)
    if name == "class":
        return klass, lambda code: str(CLASSES[code])
    if name == "group":
        return _looked_up(reason, [group_of(text) for text in names.texts("reason")])
    if name == "loss":
        losses = [loss_of(text, c, words.reasons) for text in names.texts("reason") for c in CLASSES]
        return _looked_up(reason * len(CLASSES) + klass, losses)
    if name in ("order", "operation"):
        part = order_of if name == "order" else operation_of
        return _looked_up(table.columns["order"], [part(text) for text in names.texts("order")])
    if name in KEYS:
        return table.columns[name].astype(np.int64), lambda code: names.text(name, code)
    raise ValueError(f"by: unknown {name!r}")


def _looked_up(codes: NDArray[Any], texts: Sequence[str]) -> tuple[Ints, Callable[[int], str]]:
    """Codes as places among the texts that differ."""
    known = sorted(set(texts) or {""})
    place = {text: i for i, text in enumerate(known)}
    lookup = np.array([place[text] for text in texts] or [0], np.int64)
    return lookup[codes], lambda code: known[code]


def cost_u(cost_per_min: float) -> int:
    """A cost as columns have it."""
    return round(cost_per_min * MILLION)

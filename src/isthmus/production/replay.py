"""What is kept held against what raw samples say: rows of facts, what days hand on, intervals and stops. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from isthmus.production.facts import AMOUNTS, KEYS, Names, combine, grouped, totals
from isthmus.production.figures import Figures
from isthmus.production.fold import QUARTER_NS
from isthmus.production.model import CLASSES, Interval, Stop, pieces

MAX_DIFFERENCES: Final = 1_000
"""Of one answer; the rest is counted."""
FIGURES: Final = ("availability", "performance", "quality", "oee")

Told = float | int | str | None


@dataclass(frozen=True, slots=True)
class Difference:
    """Something kept that raw samples do not say, or the other way round. None: it is not there. Units: UTC ns; s; pieces"""

    asset: str
    start_ns: int
    end_ns: int
    what: str
    kept: Told
    computed: Told


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came out for one machine. ``kept`` and ``computed`` are its figures; None where nothing is kept or there is no sample."""

    asset: str
    days: int  # closed days that were computed again
    intervals: int  # of the span that runs
    kept: Figures | None
    computed: Figures | None
    differences: tuple[Difference, ...]
    notes: tuple[str, ...] = ()


def of_range(rows: NDArray[np.void], start_ns: int, end_ns: int) -> NDArray[np.void]:
    """Rows of quarters of an hour that begin in a range, each called by its quarter: where it was cut says nothing."""
    found = rows.copy()
    found["slot_ns"] -= found["slot_ns"] % QUARTER_NS
    return found[(found["slot_ns"] >= start_ns) & (found["slot_ns"] < end_ns)]


def rows_differ(asset: str, kept: NDArray[np.void], computed: NDArray[np.void], names: Names) -> Iterator[Difference]:
    """Each amount of a quarter of an hour that is not the same on both sides, in order of time."""
    rows = np.concatenate([kept, computed])
    if not len(rows):
        return
    columns = [rows[name] for name in ("klass", *KEYS)]
    place, some = grouped(combine(rows["slot_ns"] - int(rows["slot_ns"].min()), *columns)[0])
    first = np.arange(len(rows)) < len(kept)
    left, right = ({n: _sums(rows[n], place, len(some), side) for n in AMOUNTS} for side in (first, ~first))
    odd = np.zeros(len(some), np.bool_)
    for name in AMOUNTS:
        odd |= left[name] != right[name]
    which = np.flatnonzero(odd)
    for i in which[np.argsort(rows["slot_ns"][some[which]], kind="stable")].tolist():
        row = rows[int(some[i])]
        start_ns, where = int(row["slot_ns"]), _where(row, names)
        for name in AMOUNTS:
            a, b = int(left[name][i]), int(right[name][i])
            if a != b:
                yield Difference(
                    asset, start_ns, start_ns + QUARTER_NS, _what(name, row) + where, _amount(name, a), _amount(name, b)
                )


def _sums(column: NDArray[Any], place: NDArray[np.intp], size: int, side: NDArray[np.bool_]) -> NDArray[np.int64]:
    return totals(column[side], place[side], size)


def _what(name: str, row: np.void) -> str:
    return f"{CLASSES[int(row['klass'])]} s" if name == "ns" else name


def _where(row: np.void, names: Names) -> str:
    words = [names.text(key, int(row[key])) for key in KEYS]
    return f" ({', '.join(word for word in words if word)})" if any(words) else ""


def _amount(name: str, value: int) -> Told:
    """As people count it; nothing of it is as if it were not there."""
    if not value:
        return None
    if name == "ns":
        return value / 1e9
    return value if name in ("stops", "failures") else pieces(value)


def intervals_differ(asset: str, kept: Sequence[Interval], computed: Sequence[Interval]) -> Iterator[Difference]:
    """Intervals that only one side has."""
    left, right = ({one.start_ns: one for one in side} for side in (kept, computed))
    for start_ns in sorted({*left, *right}):
        a, b = left.get(start_ns), right.get(start_ns)
        if a != b:
            end_ns = max(one.end_ns for one in (a, b) if one is not None)
            yield Difference(asset, start_ns, end_ns, "interval", _interval(a), _interval(b))


def _interval(one: Interval | None) -> str | None:
    if one is None:
        return None
    words = (
        f"{one.state_class} for {(one.end_ns - one.start_ns) / 1e9:g} s",
        one.order,
        one.shift,
        one.team,
        one.reason,
    )
    return ", ".join(word for word in words if word)


def stops_differ(asset: str, kept: Sequence[Stop], computed: Sequence[Stop]) -> Iterator[Difference]:
    """Stops that only one side has, or that last differently."""
    left, right = ({one.id: one for one in side} for side in (kept, computed))
    for ident in sorted({*left, *right}):
        a, b = left.get(ident), right.get(ident)
        if a != b:
            one = a or b
            assert one is not None  # noqa: S101  one of both has it
            yield Difference(asset, one.start_ns, one.end_ns, f"stop {ident}", _stop(a), _stop(b))


def _stop(one: Stop | None) -> str | None:
    if one is None:
        return None
    return f"{one.state_class} for {one.ns / 1e9:g} s{', ' + one.reason if one.reason else ''}{', minor' if one.minor else ''}"

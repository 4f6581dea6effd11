"""Closed days: from a fold to what is kept of each, and where it says something else than before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from isthmus.production.facts import AMOUNTS, DAY, KEYS, Columns, Names, by_day, pack
from isthmus.production.fold import Folded
from isthmus.production.model import CLASSES, Mark

MAX_DIFFERENCES = 40
"""Of one restatement; what is more is told as one number."""


class DayFacts(NamedTuple):
    """A closed day of a machine, as it is written. Units: UTC ns"""

    machine: int
    day: int
    start_ns: int
    end_ns: int
    intervals: int
    facts: bytes
    slots: bytes
    carry: bytes
    marks: bytes


def day_facts(folded: Folded, machine: int) -> list[DayFacts]:
    """What is kept of each day of a fold over whole days."""
    slots = _in_order(folded.columns)
    rows = by_day(slots, machine)
    days = np.array([d.day for d in folded.days], np.int32)
    bounds = np.r_[days, days[-1] + 1]
    slot_at, row_at = (_places(found["day"], bounds) for found in (slots, rows))
    cuts = [*(d.start_ns for d in folded.days), folded.end_ns]
    steps: list[int] = np.diff(np.searchsorted(folded.steps_ns, cuts)).tolist()
    packed = pack(slots, slot_at, [d.start_ns for d in folded.days])
    marks = sorted(folded.marks, key=lambda m: m.time_ns)
    return [
        DayFacts(
            machine, d.day, d.start_ns, d.end_ns, steps[i], rows[row_at[i] : row_at[i + 1]].tobytes(), packed[i],
            d.handed, _packed(_of_day(marks, d.start_ns, d.end_ns, first=i == 0)),
        )
        for i, d in enumerate(folded.days)
    ]  # fmt: skip


def _in_order(columns: Columns) -> Columns:
    """Rows in order of their days, as they nearly always are."""
    day = columns["day"]
    if bool((day[1:] >= day[:-1]).all()):
        return columns
    order = np.argsort(day, kind="stable")
    return {name: column[order] for name, column in columns.items()}


def _places(days: NDArray[Any], bounds: NDArray[Any]) -> list[int]:
    """Where each day begins among rows in their order."""
    return [int(place) for place in np.searchsorted(days, bounds)]


def _of_day(marks: Sequence[Mark], start_ns: int, end_ns: int, *, first: bool) -> list[Mark]:
    """Marks of a day; what is read at its end was counted in it."""
    return [m for m in marks if start_ns < m.time_ns <= end_ns or (first and m.time_ns == start_ns)]


def _packed(marks: Iterable[Mark]) -> bytes:
    return orjson.dumps([[m.tag, m.time_ns, str(m.kind), m.before, m.after] for m in marks])


def differences(before: bytes, after: bytes, names: Names) -> tuple[dict[str, int], dict[str, int]]:
    """What differs between two versions of a day, by name: times by class in ns, counts in millionths.

    Where these agree and only shift, order, product or reason of something changed, they are told with it.
    """
    if before == after:
        return {}, {}
    old, new = (np.frombuffer(data, DAY) for data in (before, after))
    coarse = _differing(_told(old, names, fine=False), _told(new, names, fine=False))
    if coarse[0] or coarse[1]:
        return coarse
    return _differing(_told(old, names, fine=True), _told(new, names, fine=True))


def _told(rows: NDArray[np.void], names: Names, *, fine: bool) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        where = ""
        if fine:
            words = [names.text(key, int(row[key])) for key in KEYS]
            where = " of " + ", ".join(w for w in words if w) if any(words) else ""
        for name in AMOUNTS:
            value = int(row[name])
            if value:
                key = (f"{CLASSES[int(row['klass'])]} ns" if name == "ns" else name) + where
                found[key] = found.get(key, 0) + value
    return found


def _differing(old: dict[str, int], new: dict[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    keys = sorted(k for k in {*old, *new} if old.get(k, 0) != new.get(k, 0))
    before = {k: old.get(k, 0) for k in keys[:MAX_DIFFERENCES]}
    after = {k: new.get(k, 0) for k in keys[:MAX_DIFFERENCES]}
    if len(keys) > MAX_DIFFERENCES:
        before["and so many more"], after["and so many more"] = 0, len(keys) - MAX_DIFFERENCES
    return before, after


def iso_day(day: int) -> str:
    """A production day as people write it."""
    return date.fromordinal(day).isoformat()

"""How well an alarm system serves its operators: the figures of ISA-18.2 and IEC 62682 over columns of occurrences.

Source: ANSI/ISA-18.2-2016 and IEC 62682, clause 16 (monitoring and assessment); the names of the metrics are theirs
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from isthmus.values.clock import NS_PER_S
from isthmus.values.messages.alarms import PRIORITIES

SLOT_NS: Final = 600 * NS_PER_S
DAY_NS: Final = 86_400 * NS_PER_S
LONG_NS: Final = DAY_NS
"""What lasts longer is standing, or stale."""
CHATTER_NS: Final = 60 * NS_PER_S
CHATTER_TIMES: Final = 3
FLEETING_NS: Final = 10 * NS_PER_S
FLOOD_ABOVE: Final = 10
FLOOD_BELOW: Final = 5
MOST_LISTED: Final = 10
LASTS: Final = int(np.iinfo(np.int64).max)
"""A time that has not come."""

TARGET_SHARES: Final = {"critical": 0.01, "high": 0.05, "medium": 0.15, "low": 0.80}
"""About 80 % low, 15 % medium and 5 % high; with a fourth, highest priority no more than 1 % of that."""


class Occurrence(Protocol):
    """An alarm from raised to cleared. Units: UTC ns, None while it has not happened"""

    @property
    def alarm(self) -> str: ...
    @property
    def priority(self) -> str: ...
    @property
    def raised_ns(self) -> int: ...
    @property
    def acknowledged_ns(self) -> int | None: ...
    @property
    def returned_ns(self) -> int | None: ...
    @property
    def cleared_ns(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Columns:
    """Occurrences in columns, in the order they were raised.

    Shapes: each (n,); alarm and priority are places in names and PRIORITIES
    Units:  UTC ns; LASTS where it has not happened
    """

    names: tuple[str, ...]
    alarm: NDArray[np.intp]
    priority: NDArray[np.intp]
    raised_ns: NDArray[np.int64]
    acknowledged_ns: NDArray[np.int64]
    returned_ns: NDArray[np.int64]
    cleared_ns: NDArray[np.int64]

    @classmethod
    def of(cls, occurrences: Iterable[Occurrence]) -> Columns:
        """The columns of rows in any order."""
        rows = sorted(occurrences, key=lambda one: one.raised_ns)
        places: dict[str, int] = {}
        alarm = [places.setdefault(row.alarm, len(places)) for row in rows]

        def times(found: Iterable[int | None]) -> NDArray[np.int64]:
            return np.array([LASTS if at is None else at for at in found], np.int64)

        return cls(
            tuple(places),
            np.array(alarm, np.intp),
            np.array([PRIORITIES.index(row.priority) for row in rows], np.intp),
            times(row.raised_ns for row in rows),
            times(row.acknowledged_ns for row in rows),
            times(row.returned_ns for row in rows),
            times(row.cleared_ns for row in rows),
        )

    def __len__(self) -> int:
        return len(self.alarm)

    def take(self, which: NDArray[np.bool_]) -> Columns:
        """Some of the rows. Shapes: (n,)"""
        return Columns(
            self.names,
            self.alarm[which],
            self.priority[which],
            self.raised_ns[which],
            self.acknowledged_ns[which],
            self.returned_ns[which],
            self.cleared_ns[which],
        )


@dataclass(frozen=True, slots=True)
class Frequent:
    """An alarm and how often. Units: ``share`` of all that were raised"""

    alarm: str
    count: int
    share: float


@dataclass(frozen=True, slots=True)
class Long:
    """An occurrence that lasts. Units: UTC ns"""

    alarm: str
    since_ns: int


@dataclass(frozen=True, slots=True)
class Flood:
    """A time of more alarms than anybody can answer. Units: UTC ns; ``peak`` in one slot of ten minutes"""

    start_ns: int
    end_ns: int
    alarms: int
    peak: int


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure beside what is recommended. ``met`` is None where there is nothing to judge."""

    name: str
    value: float
    target: float
    met: bool | None
    source: str


@dataclass(frozen=True, slots=True)
class Performance:
    """Everything about one range of time.

    Shapes: rate (slots of ten minutes,)
    Units:  UTC ns; shares from 0 to 1
    """

    start_ns: int
    end_ns: int
    alarms: int
    first_slot_ns: int
    rate: NDArray[np.int64]
    average: float
    per_day: float
    peak: int
    peak_ns: int
    above_peak_share: float
    floods: tuple[Flood, ...]
    flood_share: float
    standing: tuple[Long, ...]
    stale: tuple[Long, ...]
    chattering: tuple[Frequent, ...]
    fleeting: tuple[Frequent, ...]
    top: tuple[Frequent, ...]
    top_share: float
    distribution: dict[str, int]
    figures: tuple[Figure, ...]


def judge(columns: Columns, start_ns: int, end_ns: int) -> Performance:
    """The figures of [start, end), from all occurrences that touch it.

    Rates count what was raised within it; what is standing or stale is so at its end.
    Raises: ValueError if the range is empty
    """
    if start_ns >= end_ns:
        raise ValueError("the range is empty")
    within = columns.take((columns.raised_ns >= start_ns) & (columns.raised_ns < end_ns))
    total, first, rate = len(within), *rates(within.raised_ns, start_ns, end_ns)
    average = total / ((end_ns - start_ns) / SLOT_NS)
    peak = int(rate.max(initial=0))
    found = floods(rate, first, start_ns, end_ns)
    flood_share = sum(one.end_ns - one.start_ns for one in found) / (end_ns - start_ns)
    standing, stale = lasting(columns, columns.returned_ns, end_ns), lasting(columns, columns.cleared_ns, end_ns)
    bursts = chattering(within)
    chatter, brief = counted(within, bursts), counted(within, fleeting(within) & ~bursts)
    top = counted(within, np.ones(total, np.bool_))[:MOST_LISTED]
    top_share = sum(one.count for one in top) / total if total else 0.0
    by_priority = np.bincount(within.priority, minlength=len(PRIORITIES)).tolist()
    distribution = dict(zip(PRIORITIES, by_priority, strict=True))
    above = float((rate > FLOOD_ABOVE).mean()) if len(rate) else 0.0
    return Performance(
        start_ns=start_ns,
        end_ns=end_ns,
        alarms=total,
        first_slot_ns=first,
        rate=rate,
        average=average,
        per_day=total / ((end_ns - start_ns) / DAY_NS),
        peak=peak,
        peak_ns=first + int(rate.argmax()) * SLOT_NS if peak else start_ns,
        above_peak_share=above,
        floods=found,
        flood_share=flood_share,
        standing=standing,
        stale=stale,
        chattering=chatter,
        fleeting=brief,
        top=top,
        top_share=top_share,
        distribution=distribution,
        figures=_figures(
            average, peak, above, flood_share, len(stale), len(chatter), len(brief), top_share, distribution
        ),
    )


def rates(raised_ns: NDArray[np.int64], start_ns: int, end_ns: int) -> tuple[int, NDArray[np.int64]]:
    """Where the first slot begins, and how many were raised in each. Slots stand on whole ten minutes of UTC, so that a
    figure does not depend on when it is asked for.

    Source: ISA-18.2 clause 16, "average annunciated alarm rate" (alarms per 10 minutes)
    """
    first, last = start_ns // SLOT_NS, -(-end_ns // SLOT_NS)
    slots = raised_ns // SLOT_NS - first
    return first * SLOT_NS, np.bincount(slots, minlength=last - first).astype(np.int64)


def floods(rate: NDArray[np.int64], first_ns: int, start_ns: int, end_ns: int) -> tuple[Flood, ...]:
    """A flood begins with a slot of more than 10 alarms and ends before the first one of fewer than 5.

    Source: ISA-18.2 clause 16, "alarm floods"
    """
    found: list[Flood] = []
    calm = np.flatnonzero(rate < FLOOD_BELOW)
    after = 0
    for begin in np.flatnonzero(rate > FLOOD_ABOVE).tolist():
        if begin < after:
            continue
        place = int(np.searchsorted(calm, begin))
        after = int(calm[place]) if place < len(calm) else len(rate)
        begins, ends = max(start_ns, first_ns + begin * SLOT_NS), min(end_ns, first_ns + after * SLOT_NS)
        slots = rate[begin:after]
        found.append(Flood(begins, ends, int(slots.sum()), int(slots.max())))
    return tuple(found)


def lasting(columns: Columns, over_ns: NDArray[np.int64], end_ns: int) -> tuple[Long, ...]:
    """What had begun more than 24 hours before the end and was not over then, oldest first.

    With the times the conditions returned it is what is standing; with those they were cleared, what is stale: it is still
    annunciated, be it that nobody acknowledged it.
    Source: ISA-18.2 clause 16, "stale alarms" (annunciated for more than 24 hours); EEMUA 191, "standing alarms"
    """
    which = (columns.raised_ns < end_ns - LONG_NS) & (over_ns > end_ns)
    names = [columns.names[i] for i in columns.alarm[which].tolist()]
    return tuple(Long(name, at) for name, at in zip(names, columns.raised_ns[which].tolist(), strict=True))


def chattering(columns: Columns) -> NDArray[np.bool_]:
    """Which occurrences belong to a burst: the same alarm three times or more within a minute. Shapes: (n,)

    Source: ISA-18.2 clause 16, "chattering and fleeting alarms"
    """
    found = np.zeros(len(columns), np.bool_)
    order = np.lexsort((columns.raised_ns, columns.alarm))
    alarm, raised = columns.alarm[order], columns.raised_ns[order]
    ahead = CHATTER_TIMES - 1
    if len(order) <= ahead:
        return found
    burst = np.flatnonzero((alarm[ahead:] == alarm[:-ahead]) & (raised[ahead:] - raised[:-ahead] <= CHATTER_NS))
    for step in range(CHATTER_TIMES):
        found[order[burst + step]] = True
    return found


def fleeting(columns: Columns) -> NDArray[np.bool_]:
    """Which occurrences returned within 10 seconds, before anybody had acknowledged them. Shapes: (n,)

    Source: ISA-18.2 clause 16, "chattering and fleeting alarms"; the standard names no number, 10 s is ours
    """
    returned = columns.returned_ns != LASTS
    brief = np.where(returned, columns.returned_ns, columns.raised_ns) - columns.raised_ns < FLEETING_NS
    result: NDArray[np.bool_] = returned & brief & (columns.acknowledged_ns >= columns.returned_ns)
    return result


def counted(columns: Columns, which: NDArray[np.bool_]) -> tuple[Frequent, ...]:
    """The alarms of some occurrences, the most frequent first; among equals by name. Shapes: which (n,)"""
    places, counts = np.unique(columns.alarm[which], return_counts=True)
    pairs = [(columns.names[place], count) for place, count in zip(places.tolist(), counts.tolist(), strict=True)]
    pairs.sort(key=lambda pair: (-pair[1], pair[0]))
    return tuple(Frequent(name, count, count / len(columns)) for name, count in pairs)


def bars(rate: NDArray[np.int64], most: int) -> tuple[int, NDArray[np.int64]]:
    """The rate in at most so many bars: how many slots one stands for, and the greatest rate within it. Shapes: (n,) -> (k,)"""
    wide = max(1, -(-len(rate) // most))
    padded = np.concatenate([rate, np.zeros(-len(rate) % wide, np.int64)])
    return wide, padded.reshape(-1, wide).max(axis=1, initial=0)


_CLAUSE = "ISA-18.2-2016 / IEC 62682, clause 16"


def _figures(
    average: float,
    peak: int,
    above: float,
    flood_share: float,
    stale: int,
    chatter: int,
    brief: int,
    top_share: float,
    distribution: dict[str, int],
) -> tuple[Figure, ...]:
    """The figures the standard names a value for."""
    total = sum(distribution.values())

    def most(name: str, value: float, target: float, metric: str, *, judged: bool = True) -> Figure:
        return Figure(name, value, target, value <= target if judged else None, f"{_CLAUSE}: {metric}")

    spread = [
        most(
            f"share_{name}",
            distribution[name] / total if total else 0.0,
            share,
            "priority distribution",
            judged=total > 0,
        )
        for name, share in TARGET_SHARES.items()
        if name != "low"
    ]
    low = distribution["low"] / total if total else 0.0
    return (
        most("average", average, 1.0, "average alarm rate, alarms per 10 minutes and operator position"),
        most("peak", peak, FLOOD_ABOVE, "peak alarm rate, alarms in 10 minutes"),
        most("above_peak_share", above, 0.01, "share of 10-minute periods with more than 10 alarms"),
        most("flood_share", flood_share, 0.01, "alarm floods, share of time"),
        most("stale", stale, 5, "stale alarms"),
        most("chattering", chatter, 0, "chattering and fleeting alarms"),
        most("fleeting", brief, 0, "chattering and fleeting alarms"),
        most(
            "top_share",
            top_share,
            0.05,
            "frequently occurring alarms, share of the ten most frequent",
            judged=total > 0,
        ),
        *spread,
        Figure(
            "share_low",
            low,
            TARGET_SHARES["low"],
            low >= TARGET_SHARES["low"] if total else None,
            f"{_CLAUSE}: priority distribution",
        ),
    )

"""From readings of a counter to what was counted: across resets and roll-overs, and refusing what cannot be.

What counts between two readings is a function of these two alone, so a day that is cut anywhere adds up to itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.production.model import MILLION, Mark, MarkKind
from isthmus.production.states import Flags, Ints, Series
from isthmus.values import status as codes
from isthmus.values.clock import NS_PER_S
from isthmus.values.plant.production import MAX_PIECES_PER_S

ABSURD: Final = 5
"""So many times its ideal rate, and a machine did not count but jump."""
SLACK_U: Final = 20 * MILLION
"""A few pieces more are never absurd: a reading may be late by seconds."""
_MOST_U: Final = 2**61


@dataclass(frozen=True, slots=True)
class Limit:
    """How fast a counter can be: ``count`` pieces in ``per_ns`` at best; 0 where nobody says."""

    count: int = 0
    per_ns: int = 0


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted at each reading since the one before, in millionths. Shapes: (n,)"""

    time_ns: Ints
    amount_u: Ints
    marks: tuple[Mark, ...] = ()

    def over(self, edges_ns: Ints) -> Ints:
        """What was counted in each (edge, next edge]. Shapes: (k+1,) -> (k,)"""
        sums = np.concatenate([np.zeros(1, np.int64), np.cumsum(self.amount_u)])
        return np.diff(sums[np.searchsorted(self.time_ns, edges_ns, side="right")])


def _numbers(series: Series) -> tuple[Ints, Flags, Flags]:
    """Readings in millionths, which can be used, and which are no number."""
    told = ~codes.is_bad(series.status)
    if series.value.dtype.kind == "O":
        none = np.zeros(len(series), np.bool_)
        return np.zeros(len(series), np.int64), none, told
    if series.value.dtype.kind == "f":
        with np.errstate(invalid="ignore", over="ignore"):
            odd = told & ~(np.abs(series.value) < _MOST_U / MILLION)
            value = np.rint(np.where(odd | ~told, 0.0, series.value) * MILLION).astype(np.int64)
    else:
        odd = told & ~(np.abs(series.value) < _MOST_U // MILLION)
        value = np.where(odd, 0, series.value).astype(np.int64) * MILLION
    return value, told & ~odd, odd


def usable(series: Series) -> Flags:
    """Readings that count, or that the next one is counted from. Shapes: -> (n,)"""
    value, fine, _ = _numbers(series)
    return fine & (value >= 0)


def count(
    series: Series, *, asset: str = "", tag: int = 0, modulo: int = 0, limit: Limit = Limit(), whole: bool = True
) -> Counted:
    """What a counter counted. ``whole`` is for pieces; what is measured (energy) has no rate that would be absurd.

    A fall is a roll-over if going on over ``modulo`` is what a machine can do; else a reset if the counter shows what can
    have been made since; else it jumped back, and nothing is counted.
    """
    value, fine, odd = _numbers(series)
    good = fine & (value >= 0)
    time_ns, kept = series.time_ns[good], value[good]
    marks = [Mark(asset, tag, t, MarkKind.NOT_A_NUMBER, 0.0, 0.0) for t in series.time_ns[odd].tolist()]
    refused = fine & (value < 0)
    for t, v in zip(series.time_ns[refused].tolist(), value[refused].tolist(), strict=True):
        marks.append(Mark(asset, tag, t, MarkKind.NEGATIVE, 0.0, v / MILLION))
    if len(kept) < 2:
        return Counted(time_ns[1:], np.zeros(max(0, len(kept) - 1), np.int64), tuple(marks))
    grown = np.diff(kept)
    amount = np.maximum(grown, 0)
    declared = limit.count > 0 and limit.per_ns > 0
    fastest = limit if declared else Limit(MAX_PIECES_PER_S, NS_PER_S)  # no machine at all makes more
    allowed = _allowed(np.diff(time_ns), fastest) if whole else None
    absurd = grown > allowed if allowed is not None else np.zeros(len(grown), np.bool_)
    amount[absurd] = 0
    kinds = {MarkKind.ABSURD: absurd}
    fell = np.flatnonzero(grown < 0)
    if len(fell):
        most = None if allowed is None else allowed[fell]
        amount[fell], back = _after_fall(kept[fell], kept[fell + 1], modulo * MILLION, most, declared=declared)
        for kind, chosen in back.items():
            kinds[kind] = np.zeros(len(grown), np.bool_)
            kinds[kind][fell[chosen]] = True
    for kind, chosen in kinds.items():
        for i in np.flatnonzero(chosen).tolist():
            before, after = int(kept[i]) / MILLION, int(kept[i + 1]) / MILLION
            marks.append(Mark(asset, tag, int(time_ns[i + 1]), kind, before, after))
    marks.sort(key=lambda m: (m.time_ns, m.kind))
    return Counted(time_ns[1:], amount, tuple(marks))


def _allowed(took_ns: Ints, limit: Limit) -> NDArray[np.float64]:
    per_ns = ABSURD * limit.count * MILLION / limit.per_ns
    return took_ns.astype(np.float64) * per_ns + float(SLACK_U)


def _after_fall(
    before: Ints, after: Ints, modulo_u: int, most: NDArray[np.float64] | None, *, declared: bool
) -> tuple[Ints, dict[MarkKind, Flags]]:
    """What was counted where a counter shows less than before, and which of the three it was.

    Where no rate is ``declared``, it must also be much less than before.
    """
    over = after + modulo_u - before
    rolled = np.zeros(len(before), np.bool_)
    possible = np.ones(len(before), np.bool_) if most is None else over <= most
    if modulo_u:
        rolled = (before < modulo_u) & (over > 0) & possible & (declared | (over < modulo_u // 2))
    began = np.ones(len(before), np.bool_) if most is None else after <= most
    began &= (declared and most is not None) | (after * 2 <= before)
    reset = ~rolled & began
    amount = np.where(rolled, over, np.where(reset, after, 0))
    return amount, {MarkKind.ROLLOVER: rolled, MarkKind.RESET: reset, MarkKind.JUMP_BACK: ~rolled & ~reset}

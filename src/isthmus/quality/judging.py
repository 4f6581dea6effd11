"""Checks against their chart: points of checks, the signals a new one gives, limits that are learned, a chart to be drawn. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from isthmus.quality import spc
from isthmus.quality.model import Characteristic, Check, LimitsKept
from isthmus.quality.spc import CHARTS, MEASURED, Capability, Chart, Limits, Points
from isthmus.values.errors import ConfigError

LOOK_BACK: Final = 32
"""Checks that are looked at to judge a new one by rules; the longest rule takes 15."""
LOOK_BACK_SUMMED: Final = 500
"""The same for EWMA and CUSUM, which carry what was before."""
NOT_KNOWN: Final = Limits(math.nan, math.nan)


def look_back(one: Characteristic) -> int:
    """How many earlier checks a judgement needs."""
    return LOOK_BACK_SUMMED if one.chart in ("ewma", "cusum") else LOOK_BACK


def points_of(one: Characteristic, checks: Sequence[Check]) -> Points:
    """Checks as points of a chart."""
    if one.is_measured:
        return spc.measured([check.values for check in checks])
    return spc.counted([check.defects for check in checks], [check.size for check in checks])


def signals_of(one: Characteristic, limits: LimitsKept, checks: Sequence[Check]) -> tuple[str, ...]:
    """The rules the last of some checks completes, all judged by the same limits."""
    drawn = spc.chart(one.chart, points_of(one, checks), Limits(limits.center, limits.sigma), one.shape, one.rules)
    return drawn.signals[-1]


def learned(one: Characteristic, checks: Sequence[Check]) -> Limits | None:
    """Limits from checks of a process in control; None while there are too few, no spread, or one that is outside."""
    if len(checks) < one.learn:
        return None
    points = points_of(one, checks[-one.learn :])
    found = spc.estimate(one.chart, points)
    if not (found.sigma > 0 if one.is_measured else found.center > 0):
        return None
    trial = spc.chart(one.chart, points, found, one.shape)
    return None if any(trial.signals) else found


@dataclass(frozen=True, slots=True)
class Drawn:
    """A chart with the checks it is of. ``trial[i]``: the point is shown against limits that are still learned."""

    one: Characteristic
    chart: Chart
    checks: tuple[Check, ...]
    trial: tuple[bool, ...]
    capability: Capability | None


def check_kind(one: Characteristic, kind: str) -> str:
    """The chart that was asked for; the plan's own where none was.

    Raises: ConfigError where it does not fit what is checked
    """
    kind = kind or one.chart
    if kind not in CHARTS:
        raise ConfigError(f"chart: must be one of {', '.join(CHARTS)}, was {kind!r}")
    fits = (kind in MEASURED) == one.is_measured
    if kind == "imr":
        fits = fits and one.size == 1
    elif kind in ("xbar_r", "xbar_s"):
        fits = fits and one.size > 1
    if not fits:
        raise ConfigError(f"chart: {kind} does not fit {one.title}")
    return kind


def draw(one: Characteristic, kind: str, checks: Sequence[Check], kept: Mapping[int, LimitsKept]) -> Drawn:
    """The chart of some checks that count, each against the limits it was judged by.

    ``kept`` are limits by number; checks with none are held against an estimate from themselves.
    """
    fresh = [c for c in checks if c.limits not in kept]
    trial = NOT_KNOWN
    if len(fresh) >= 2:
        trial = spc.estimate(kind, points_of(one, fresh))
    limits = [
        Limits(kept[c.limits].center, max(0.0, kept[c.limits].sigma)) if c.limits in kept else trial for c in checks
    ]
    points = points_of(one, checks)
    drawn = spc.chart(kind, points, limits, one.shape, one.rules)
    capability = None
    if one.is_measured and len(points.value) >= 2 and (one.lsl is not None or one.usl is not None) and len(checks) >= 2:
        capability = spc.capability(kind, points, one.lsl, one.usl)
    return Drawn(one, drawn, tuple(checks), tuple(c.limits not in kept for c in checks), capability)

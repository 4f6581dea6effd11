"""What an action against a loss brought: before against after, with an interval that says how sure one can be.

Nothing here takes a result from anybody: it is computed from lost and planned time as it was recorded, or from runs of a
simulated line with the same seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

CONFIDENCE: Final = 0.95
MOST_DAYS: Final = 400
LEAST_DAYS: Final = 3
"""Before and after; with fewer nobody can tell chance from effect."""
LEAST_PLANNED_NS: Final = 30 * 60 * 1_000_000_000
"""A day with less planned time says nothing."""


@dataclass(frozen=True, slots=True)
class Span:
    """A difference with its interval. ``low`` to ``high`` holds the true one with the confidence told.

    Units: those of what went in; df in degrees of freedom
    """

    mean: float
    low: float
    high: float
    count: int
    df: float
    confidence: float = CONFIDENCE

    @property
    def proven(self) -> bool:
        """Whether chance alone hardly explains it."""
        return self.low > 0 or self.high < 0

    def times(self, factor: float) -> Span:
        """The same in another unit; the factor is above 0."""
        return Span(self.mean * factor, self.low * factor, self.high * factor, self.count, self.df, self.confidence)


@dataclass(frozen=True, slots=True)
class Rate:
    """Lost time over planned time of some days, as a ratio of sums: a mean of daily shares would be none.

    Units: shares of planned time; variance is that of the ratio
    """

    share: float
    variance: float
    days: int
    lost_ns: int
    planned_ns: int


@dataclass(frozen=True, slots=True)
class Effect:
    """Before against after. ``saved`` is positive where less is lost. Units: saved in minutes a week of planned time"""

    before: Rate
    after: Rate
    saved: Span


def rate(lost_ns: Sequence[int], planned_ns: Sequence[int]) -> Rate:
    """Lost time as a share of planned time, with its variance from day to day.

    Shapes: one value a day each
    Raises: ValueError where nothing was planned
    Source: ratio estimator with its linearised variance, Cochran, Sampling Techniques, 3rd ed., section 2.11
    """
    lost, planned = sum(lost_ns), sum(planned_ns)
    if not planned:
        raise ValueError("nothing was planned")
    share, days = lost / planned, len(planned_ns)
    rest = sum((x - share * p) ** 2 for x, p in zip(lost_ns, planned_ns, strict=True))
    variance = days / (days - 1) * rest / planned**2 if days > 1 else math.inf
    return Rate(share, variance, days, lost, planned)


def compare(before: Rate, after: Rate, week_ns: float, confidence: float = CONFIDENCE) -> Effect:
    """What is saved in a week with ``week_ns`` of planned time.

    Source: Welch, The generalization of Student's problem when several different population variances are involved, 1947
    """
    variance = before.variance + after.variance
    below = before.variance**2 / (before.days - 1) + after.variance**2 / (after.days - 1)
    df = variance**2 / below if below else float(before.days + after.days - 2)
    half = quantile(df, confidence) * math.sqrt(variance)
    saved = before.share - after.share
    span = Span(saved, saved - half, saved + half, before.days + after.days, df, confidence)
    return Effect(before, after, span.times(week_ns / 60e9))


def over_seeds(before: Mapping[int, float], after: Mapping[int, float], confidence: float = CONFIDENCE) -> Span:
    """What a change brought on the same seeds: before less after, seed by seed, with the interval of their mean.

    Raises: ValueError where the seeds differ or there are less than two
    Source: paired Student's t interval
    """
    if before.keys() != after.keys():
        raise ValueError("before and after must have the same seeds")
    count = len(before)
    if count < 2:
        raise ValueError(f"two seeds at least, was {count}")
    gained = [before[seed] - after[seed] for seed in sorted(before)]
    mean = math.fsum(gained) / count
    variance = math.fsum((one - mean) ** 2 for one in gained) / (count - 1)
    half = quantile(count - 1, confidence) * math.sqrt(variance / count)
    return Span(mean, mean - half, mean + half, count, count - 1, confidence)


def quantile(df: float, confidence: float) -> float:
    """Of Student's t: so many standard errors on both sides hold the truth with this confidence.

    Raises: ValueError if df <= 0 or the confidence does not lie between 0 and 1
    """
    if not (df > 0 and 0 < confidence < 1):
        raise ValueError(f"df above 0 and confidence between 0 and 1, were {df} and {confidence}")
    from scipy.special import stdtrit  # type: ignore[import-untyped]  # it ships no types; late: few ask for an interval

    return float(stdtrit(df, 0.5 + confidence / 2))

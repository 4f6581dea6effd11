"""Statistical process control: constants, charts, rules and capability. Pure; everything is computed in columns.

A chart has one or two tracks (mean and range, say). Constants come from the distribution of the range and of the standard
deviation of normal samples, by quadrature and the gamma function, so any subgroup size has its own.
Source: Montgomery, Introduction to Statistical Quality Control, chapters 6 to 9; NIST/SEMATECH e-Handbook, chapter 6
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]

CHARTS: Final = ("imr", "xbar_r", "xbar_s", "p", "np", "c", "u", "ewma", "cusum")
MEASURED: Final = frozenset({"imr", "xbar_r", "xbar_s", "ewma", "cusum"})
"""Charts of measured values; the others count."""
MOST_IN_A_GROUP: Final = 50
SIGMAS: Final = 3.0


# --- constants -----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _range_moments(n: int) -> tuple[float, float]:
    """Mean and standard deviation of the range of n standard normal values.

    The range W has F(w) = n ∫ φ(x) [Φ(x + w) - Φ(x)]^(n-1) dx; its mean is ∫ (1 - F), its second moment 2 ∫ w (1 - F). The inner
    integrand is smooth and vanishes at both ends, where the trapezoidal rule converges faster than any power.
    Source: Tippett, Biometrika 17 (1925), "On the extreme individuals and the range of samples"
    """
    x = np.linspace(-8.5, 8.5, 341)
    step = float(x[1] - x[0])
    density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    below = _normal_cdf(x)
    nodes, weights = np.polynomial.legendre.leggauss(128)
    w = 0.5 * 17.0 * (nodes + 1.0)
    scale = 0.5 * 17.0 * weights
    within = _normal_cdf(x[None, :] + w[:, None]) - below[None, :]
    beyond = 1.0 - n * step * np.sum(density[None, :] * within ** (n - 1), axis=1)
    mean = float(np.sum(scale * beyond))
    second = float(2.0 * np.sum(scale * w * beyond))
    return mean, math.sqrt(second - mean * mean)


def _normal_cdf(x: Floats) -> Floats:
    return np.array([0.5 * math.erfc(-v / math.sqrt(2.0)) for v in x.ravel()]).reshape(x.shape)


def d2(n: int) -> float:
    """Mean range of n values in standard deviations.

    Raises: ValueError if n < 2
    """
    _check_size(n)
    return 2.0 / math.sqrt(math.pi) if n == 2 else _range_moments(n)[0]


def d3(n: int) -> float:
    """Standard deviation of that range.

    Raises: ValueError if n < 2
    """
    _check_size(n)
    return math.sqrt(2.0 - 4.0 / math.pi) if n == 2 else _range_moments(n)[1]


def c4(n: int) -> float:
    """Mean of the standard deviation of n values (by n - 1) in standard deviations.

    Raises: ValueError if n < 2
    """
    _check_size(n)
    return math.sqrt(2.0 / (n - 1)) * math.exp(math.lgamma(n / 2) - math.lgamma((n - 1) / 2))


def _check_size(n: int) -> None:
    if n < 2:
        raise ValueError(f"a subgroup has at least 2 values, was {n}")


# --- points and limits ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Points:
    """What was measured or counted, in order of time.

    Shapes: size (k,); value is all values of all subgroups one after the other (size.sum(),) where they are measured, and the
            counts (k,) where they are counted, size then being how many units were looked at
    """

    value: Floats
    size: Ints

    def __len__(self) -> int:
        return len(self.size)


def measured(groups: Sequence[Sequence[float]]) -> Points:
    """Subgroups of measured values."""
    size = np.array([len(g) for g in groups], np.int64)
    flat = [v for g in groups for v in g]
    return Points(np.array(flat, np.float64), size)


def counted(counts: Sequence[float], sizes: Sequence[int]) -> Points:
    """Counts of defective units or of defects, and the units looked at."""
    return Points(np.array(counts, np.float64), np.array(sizes, np.int64))


@dataclass(frozen=True, slots=True)
class Limits:
    """What a process is held against: where its centre is, and the standard deviation of one value of it.

    Of counts ``center`` is the share of defective units or the defects per unit (of a c chart per subgroup), and ``sigma``
    follows from it: it is 0.
    """

    center: float
    sigma: float = 0.0


@dataclass(frozen=True, slots=True)
class Shape:
    """What a chart needs beside its points. Units: width and h in standard deviations of what is plotted; k as well"""

    weight: float = 0.2  # λ of an EWMA
    width: float = 3.0  # L of an EWMA
    k: float = 0.5  # allowance of a CUSUM
    h: float = 5.0  # its decision interval
    steady: bool = False  # limits of an EWMA as they become in the end


DEFAULT_SHAPE: Final = Shape()


@dataclass(frozen=True, slots=True)
class Track:
    """One line of a chart with its limits.

    Shapes: value, center, lower, upper, sigma are (n,); value is NaN where there is none
    Units:  sigma of what is plotted, 0 where the rules on zones say nothing
    """

    name: str
    value: Floats
    center: Floats
    lower: Floats
    upper: Floats
    sigma: Floats

    def beyond(self) -> Flags:
        """Which points are outside of the limits. A point that only rounding takes over a limit is not."""
        slack = 1e-12 * (np.abs(self.upper) + np.abs(self.lower) + 1e-300)
        with np.errstate(invalid="ignore"):
            out: Flags = (self.value > self.upper + slack) | (self.value < self.lower - slack)
        return out


@dataclass(frozen=True, slots=True)
class Chart:
    """One or two tracks; ``signals[i]`` are the rules that point i completes."""

    kind: str
    tracks: tuple[Track, ...]
    signals: tuple[tuple[str, ...], ...] = ()


def means(points: Points) -> Floats:
    """Mean of each subgroup. Shapes: -> (k,)"""
    return np.asarray(np.add.reduceat(points.value, _starts(points)) / points.size, np.float64)


def ranges(points: Points) -> Floats:
    """Range of each subgroup. Shapes: -> (k,)"""
    starts = _starts(points)
    spread = np.maximum.reduceat(points.value, starts) - np.minimum.reduceat(points.value, starts)
    return np.asarray(spread, np.float64)


def deviations(points: Points) -> Floats:
    """Standard deviation (by n - 1) of each subgroup; NaN of a single value. Shapes: -> (k,)"""
    residual = points.value - np.repeat(means(points), points.size)
    squares = np.add.reduceat(residual * residual, _starts(points))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.sqrt(squares / (points.size - 1)), np.float64)


def moving_ranges(values: Floats) -> Floats:
    """Between neighbours; the first has none. Shapes: (n,) -> (n,)"""
    return np.r_[np.nan, np.abs(np.diff(values))] if len(values) else values


def _starts(points: Points) -> NDArray[np.intp]:
    starts: NDArray[np.intp] = np.r_[0, np.cumsum(points.size)[:-1]].astype(np.intp)
    return starts


def estimate(kind: str, points: Points) -> Limits:
    """Limits from points of a process that is in control.

    Raises: ValueError if there are too few, or no spread can be told from them
    """
    if len(points) < 2:
        raise ValueError("limits need at least 2 points")
    if kind in ("p", "np", "u"):
        return Limits(float(points.value.sum() / points.size.sum()))
    if kind == "c":
        return Limits(float(points.value.mean()))
    center = float(points.value.mean())
    if kind == "imr" or not (points.size > 1).any():
        return Limits(center, float(np.mean(np.abs(np.diff(means(points))))) / d2(2))
    grouped = points.size > 1
    sizes = points.size[grouped]
    if kind == "xbar_r":
        spread = ranges(points)[grouped] / _of_sizes(d2, sizes)
    else:
        spread = deviations(points)[grouped] / _of_sizes(c4, sizes)
    return Limits(center, float(spread.mean()))


def _of_sizes(constant: Callable[[int], float], sizes: Ints) -> Floats:
    """A constant for each subgroup; subgroups are of few sizes. Single values have none: NaN."""
    table = {int(n): constant(int(n)) if n > 1 else math.nan for n in np.unique(sizes)}
    return np.array([table[int(n)] for n in sizes], np.float64)


# --- charts --------------------------------------------------------------------------------------------------------------


def chart(
    kind: str,
    points: Points,
    limits: Limits | Sequence[Limits],
    shape: Shape = DEFAULT_SHAPE,
    rules: Sequence[str] = (),
) -> Chart:
    """The chart of some points against limits, which may be each point's own.

    Raises: ValueError for a kind there is none of
    """
    given = [limits] * len(points) if isinstance(limits, Limits) else limits
    center = np.array([one.center for one in given], np.float64)
    sigma = np.array([one.sigma for one in given], np.float64)
    if not len(points):
        return Chart(kind, ())
    if kind in MEASURED:
        tracks = _measured(kind, points, center, sigma, shape)
    elif kind in CHARTS:
        tracks = (_counted(kind, points, center),)
    else:
        raise ValueError(f"there is no chart {kind!r}")
    return Chart(kind, tracks, judge(tracks, rules if kind not in ("ewma", "cusum") else ()))


def _measured(kind: str, points: Points, center: Floats, sigma: Floats, shape: Shape) -> tuple[Track, ...]:
    value = means(points)
    error = sigma / np.sqrt(points.size)
    if kind == "ewma":
        return (_ewma(value, center, error, shape),)
    if kind == "cusum":
        return _cusum(value, center, error, shape)
    first = Track(
        "individual" if kind == "imr" else "mean",
        value,
        center,
        center - SIGMAS * error,
        center + SIGMAS * error,
        error,
    )
    if kind == "imr":
        return first, _spread(
            "moving_range", moving_ranges(value), sigma, np.full(len(value), d2(2)), np.full(len(value), d3(2))
        )
    if kind == "xbar_r":
        return first, _spread("range", ranges(points), sigma, _of_sizes(d2, points.size), _of_sizes(d3, points.size))
    mean = _of_sizes(c4, points.size)
    return first, _spread("deviation", deviations(points), sigma, mean, np.sqrt(1.0 - mean * mean))


def _spread(name: str, value: Floats, sigma: Floats, mean: Floats, spread: Floats) -> Track:
    """A track of ranges or deviations, whose distribution is lopsided: no rules on zones."""
    lower = np.maximum(0.0, mean - SIGMAS * spread) * sigma
    shown = np.where(np.isnan(mean), np.nan, value)
    return Track(name, shown, mean * sigma, lower, (mean + SIGMAS * spread) * sigma, np.zeros(len(value)))


def _counted(kind: str, points: Points, center: Floats) -> Track:
    n = points.size.astype(np.float64)
    if kind in ("p", "np"):
        value, middle, sigma = points.value / n, center, np.sqrt(center * (1.0 - center) / n)
        if kind == "np":
            value, middle, sigma = points.value, center * n, sigma * n
        top = np.where(kind == "np", n, 1.0)
        name = "proportion" if kind == "p" else "defective"
    else:
        value = points.value if kind == "c" else points.value / n
        middle, sigma = center, np.sqrt(center if kind == "c" else center / n)
        top = np.full(len(n), np.inf)
        name = "defects" if kind == "c" else "defects_per_unit"
    lower = np.maximum(0.0, middle - SIGMAS * sigma)
    return Track(name, value, middle, lower, np.minimum(top, middle + SIGMAS * sigma), sigma)


def _ewma(value: Floats, center: Floats, error: Floats, shape: Shape) -> Track:
    """Source: NIST/SEMATECH e-Handbook 6.3.2.4"""
    plotted = np.empty(len(value))
    last = float(center[0])
    for i, v in enumerate(value):
        last = plotted[i] = shape.weight * v + (1.0 - shape.weight) * last
    share = np.full(len(value), shape.weight / (2.0 - shape.weight))
    if not shape.steady:
        share = share * (1.0 - (1.0 - shape.weight) ** (2.0 * np.arange(1, len(value) + 1)))
    half = shape.width * error * np.sqrt(share)
    return Track("ewma", plotted, center, center - half, center + half, np.zeros(len(value)))


def _cusum(value: Floats, center: Floats, error: Floats, shape: Shape) -> tuple[Track, Track]:
    """Upper and lower sums, both told as what they have summed up. Source: NIST/SEMATECH e-Handbook 6.3.2.3"""
    up, down = np.empty(len(value)), np.empty(len(value))
    high = low = 0.0
    for i, (v, c, e) in enumerate(zip(value, center, error, strict=True)):
        high = up[i] = max(0.0, v - c - shape.k * e + high)
        low = down[i] = max(0.0, c - shape.k * e - v + low)
    zero, most = np.zeros(len(value)), shape.h * error
    return Track("sum_above", up, zero, zero, most, zero), Track("sum_below", down, zero, zero, most, zero)


# --- rules ---------------------------------------------------------------------------------------------------------------


def _in_a_row(flags: Flags) -> Ints:
    """How many in a row, up to each point. Shapes: (n,) -> (n,)"""
    place = np.arange(1, len(flags) + 1)
    return np.asarray(place - np.maximum.accumulate(np.where(flags, 0, place)), np.int64)


def _of_last(flags: Flags, window: int) -> Ints:
    """How many of the last so many points, up to each; fewer points are no window. Shapes: (n,) -> (n,)"""
    total = np.cumsum(flags)
    before = (
        np.r_[np.zeros(window, np.int64), total[:-window]] if len(flags) > window else np.zeros(len(flags), np.int64)
    )
    return np.asarray(total - before[: len(flags)], np.int64)


def _steady(z: Floats, points: int) -> Flags:
    step = np.r_[0.0, np.diff(z)]
    need = points - 1
    return (_in_a_row(step > 0) >= need) | (_in_a_row(step < 0) >= need)


def _alternating(z: Floats, points: int) -> Flags:
    step = np.sign(np.r_[0.0, np.diff(z)])
    turns = np.r_[False, step[1:] * step[:-1] < 0]
    return _in_a_row(turns) >= points - 2


def _same_side(z: Floats, points: int) -> Flags:
    return (_in_a_row(z > 0) >= points) | (_in_a_row(z < 0) >= points)


def _some_beyond(z: Floats, some: int, window: int, sigmas: float) -> Flags:
    """So many of a window beyond, on one side; the point that completes it is one of them."""
    up, down = z > sigmas, z < -sigmas
    return (up & (_of_last(up, window) >= some)) | (down & (_of_last(down, window) >= some))


RULES: Final[Mapping[str, Callable[[Floats], Flags]]] = {
    "nelson2": lambda z: _same_side(z, 9),
    "nelson3": lambda z: _steady(z, 6),
    "nelson4": lambda z: _alternating(z, 14),
    "nelson5": lambda z: _some_beyond(z, 2, 3, 2.0),
    "nelson6": lambda z: _some_beyond(z, 4, 5, 1.0),
    "nelson7": lambda z: _in_a_row(np.abs(z) < 1.0) >= 15,
    "nelson8": lambda z: _in_a_row(np.abs(z) > 1.0) >= 8,
    "western2": lambda z: _some_beyond(z, 2, 3, 2.0),
    "western3": lambda z: _some_beyond(z, 4, 5, 1.0),
    "western4": lambda z: _same_side(z, 8),
}
"""Rules on the standardised points of one track.

Source: Nelson, Journal of Quality Technology 16 (1984) 237, "The Shewhart control chart: tests for special causes"; Western
        Electric, Statistical Quality Control Handbook (1956)
"""
NELSON: Final = tuple(f"nelson{i}" for i in range(1, 9))
WESTERN: Final = tuple(f"western{i}" for i in range(1, 5))
LONGEST: Final = 15
"""Points the longest rule looks back on."""
BEYOND: Final = frozenset({"nelson1", "western1"})


def judge(tracks: Sequence[Track], rules: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The rules each point completes. A point outside of the limits of its second track says ``spread``.

    With no rules at all a point outside still says ``limit``: a chart that nothing can signal would be a picture.
    """
    found: list[list[str]] = [[] for _ in range(len(tracks[0].value))]

    def add(flags: Flags, name: str) -> None:
        for i in np.flatnonzero(flags):
            if name not in found[i]:
                found[i].append(name)

    first = tracks[0]
    beyond = next((rule for rule in rules if rule in BEYOND), "limit")
    add(first.beyond(), beyond)
    for track in tracks[1:]:
        add(track.beyond(), "limit" if track.name == "sum_below" else "spread")
    if rules and (first.sigma > 0).any():
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.where(first.sigma > 0, (first.value - first.center) / first.sigma, 0.0)
        for rule in rules:
            if rule in RULES:
                add(RULES[rule](z), rule)
    return tuple(tuple(one) for one in found)


# --- capability ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Index:
    """A capability index with its confidence interval; None where it does not exist."""

    value: float | None
    low: float | None = None
    high: float | None = None


NO_INDEX: Final = Index(None)


@dataclass(frozen=True, slots=True)
class Capability:
    """What a process does against its specification. Units: ``within``, ``overall`` are standard deviations of one value"""

    n: int
    mean: float
    within: float
    overall: float
    cp: Index = NO_INDEX
    cpk: Index = NO_INDEX
    pp: Index = NO_INDEX
    ppk: Index = NO_INDEX
    confidence: float = 0.95
    notes: tuple[str, ...] = field(default=())


def capability(
    kind: str,
    points: Points,
    lsl: float | None,
    usl: float | None,
    *,
    within: float | None = None,
    confidence: float = 0.95,
) -> Capability:
    """Cp, Cpk by the spread within subgroups; Pp, Ppk by that of all values.

    ``within`` stands in for the spread within subgroups, where it is known. Intervals: χ² of Cp and Pp, with the degrees of
    freedom a range or a deviation is worth; of Cpk and Ppk the normal approximation.
    Raises: ValueError with fewer than 2 values, without a specification limit, or where they are the wrong way round
    Source: NIST/SEMATECH e-Handbook 6.1.6; Bissell, Applied Statistics 39 (1990) 331, "How reliable is your capability index?"
    """
    value = points.value
    if len(value) < 2:
        raise ValueError("a capability needs at least 2 values")
    if lsl is None and usl is None:
        raise ValueError("a capability needs a specification limit")
    if lsl is not None and usl is not None and lsl >= usl:
        raise ValueError(f"the lower specification limit must be below the upper one, was {lsl} and {usl}")
    mean, overall = float(value.mean()), float(value.std(ddof=1))
    inside = estimate(kind, points).sigma if within is None else within
    freedom, free = _freedom(kind, points), float(len(value) - 1)
    sides = [(usl - mean) if usl is not None else None, (mean - lsl) if lsl is not None else None]
    nearest = min(s for s in sides if s is not None)
    width = usl - lsl if usl is not None and lsl is not None else None
    notes = []
    if inside <= 0 or overall <= 0:
        notes.append("no_spread")
    if len(value) < 30:
        notes.append("few_values")
    return Capability(
        len(value),
        mean,
        inside,
        overall,
        _two_sided(width, inside, freedom, confidence),
        _one_sided(nearest, inside, freedom, len(value), confidence),
        _two_sided(width, overall, free, confidence),
        _one_sided(nearest, overall, free, len(value), confidence),
        confidence,
        tuple(notes),
    )


def _two_sided(width: float | None, sigma: float, freedom: float, confidence: float) -> Index:
    if width is None or sigma <= 0:
        return NO_INDEX
    value, tail = width / (6.0 * sigma), (1.0 - confidence) / 2.0
    low, high = chi_square_quantile(tail, freedom), chi_square_quantile(1.0 - tail, freedom)
    return Index(value, value * math.sqrt(low / freedom), value * math.sqrt(high / freedom))


def _one_sided(nearest: float, sigma: float, freedom: float, n: int, confidence: float) -> Index:
    if sigma <= 0:
        return NO_INDEX
    value = nearest / (3.0 * sigma)
    half = NormalDist().inv_cdf(0.5 + confidence / 2.0) * math.sqrt(1.0 / (9.0 * n) + value * value / (2.0 * freedom))
    return Index(value, value - half, value + half)


def chi_square_quantile(share: float, freedom: float) -> float:
    """The value below which this share of a χ² distribution lies; degrees of freedom need not be whole.

    Raises: ValueError unless 0 < share < 1 and freedom > 0
    """
    if not 0.0 < share < 1.0 or freedom <= 0:
        raise ValueError(f"no quantile of {share} with {freedom} degrees of freedom")
    from scipy.special import gammaincinv  # type: ignore[import-untyped]  # it ships no types; late: few ask for intervals

    return 2.0 * float(gammaincinv(freedom / 2.0, share))


def _freedom(kind: str, points: Points) -> float:
    """Degrees of freedom that the estimate of the spread within is worth: those whose χ has its coefficient of variation.

    Of a mean moving range Var/σ² = (a·m + 2b·(m-1)) / (m·d2)² with a the variance of one and b the covariance of neighbours, whose
    differences are correlated by -1/2.
    """
    sizes = points.size[points.size > 1]
    if kind == "imr" or not len(sizes):
        m = len(points) - 1
        a = 2.0 - 4.0 / math.pi
        b = (4.0 / math.pi) * (math.sqrt(0.75) + 0.5 * math.asin(0.5)) - 4.0 / math.pi
        variance = (a * m + 2.0 * b * (m - 1)) / (m * d2(2)) ** 2
    elif kind == "xbar_r":
        variance = float(np.sum((_of_sizes(d3, sizes) / _of_sizes(d2, sizes)) ** 2)) / len(sizes) ** 2
    else:
        mean = _of_sizes(c4, sizes)
        variance = float(np.sum((1.0 - mean * mean) / (mean * mean))) / len(sizes) ** 2
    return 1.0 / (2.0 * variance)

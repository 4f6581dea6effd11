"""Before and after of an improvement, on the same seeds: one part of a machine is changed, and what the line makes of it is measured.

A change is said in what somebody does to a machine: how often a fault comes, how long it takes to mend. What that brings is for the
line to say: it may be next to nothing where the accumulation hides the fault, and it is never an input.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.simulators.bottling import fast
from isthmus.simulators.bottling.machines import CASE
from isthmus.simulators.bottling.physics import CAUSES, EXECUTE

SEEDS: Final = 20
CONFIDENCE: Final = 0.95
_CONSTRAINT: Final = 0  # the filler
_COUNTS_AT: Final = 3  # the palletiser


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to a machine. Units: mean seconds of running between two faults, mean seconds to mend one; None leaves it"""

    machine: str
    cause: int
    between_s: float | None = None
    repair_s: float | None = None

    def __post_init__(self) -> None:
        if self.machine not in fast.MACHINES:
            raise ValueError(f"machine: must be one of {', '.join(fast.MACHINES)}, was {self.machine!r}")
        known = [cause for cause, _, _ in fast.MACHINES[self.machine].STOPS]
        if self.cause not in known:
            names = ", ".join(f"{c} ({CAUSES[c]})" for c in known)
            raise ValueError(f"cause: the {self.machine} has {names}, was {self.cause}")
        for name in ("between_s", "repair_s"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name}: must be more than 0, was {value}")

    @property
    def stops(self) -> fast.Stops:
        """The faults of the machine after it."""
        return tuple(
            (cause, self.between_s or between, self.repair_s or repair)
            if cause == self.cause
            else (cause, between, repair)
            for cause, between, repair in fast.MACHINES[self.machine].STOPS
        )


@dataclass(frozen=True, slots=True)
class Effect:
    """One figure before and after, by seed, and the mean of the paired differences with its interval.

    Shapes: before, after (seeds,)
    """

    before: NDArray[np.float64]
    after: NDArray[np.float64]
    difference: float
    low: float
    high: float

    @property
    def certain(self) -> bool:
        """Whether the interval leaves out that nothing changed."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True)
class Trial:
    """What a change did. Units: a day of production each; minutes in which the filler did not run, its causes, bottles, cases"""

    seeds: tuple[int, ...]
    days: int
    downtime_min: Effect
    stopped_min: Effect
    """Minutes in which the changed machine stood for the changed cause."""
    good: Effect

    @property
    def cases(self) -> float:
        """Cases a day that are won."""
        return self.good.difference / CASE


def interval(differences: NDArray[np.float64], confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """Mean of paired differences, and where it lies: Student's t. Shapes: (n,), n > 1"""
    from scipy.special import stdtrit  # type: ignore[import-untyped]  # it ships no types; late: only a trial loads it

    n = len(differences)
    mean = float(differences.mean())
    half = float(stdtrit(n - 1, 0.5 + confidence / 2) * differences.std(ddof=1) / math.sqrt(n))
    return mean, mean - half, mean + half


def compare(
    change: Change,
    seeds: Sequence[int] = tuple(range(1, SEEDS + 1)),
    days: int = 1,
    length_s: int = 86_400,
    progress: Callable[[float], None] = lambda _: None,
) -> Trial:
    """The same days twice, as they are and changed. Cost: one `fast.run` with two columns for each seed and day.

    Raises: ValueError for fewer than two seeds or no day
    """
    if len(set(seeds)) < 2 or days < 1:
        raise ValueError(f"seeds: needs two different ones and a day at least, was {len(set(seeds))} on {days} d")
    columns = [fast.Day(d * length_s, length_s, (seed, d)) for seed in seeds for d in range(days)]
    changed = np.repeat([False, True], len(columns))
    record = fast.run([*columns, *columns], {change.machine: change.stops}, progress=progress, changed=changed)
    shape = (len(seeds), days)

    def effect(of: Callable[[fast.Record], NDArray[np.float64]]) -> Effect:
        was, is_ = of(record).reshape((2, *shape)).mean(axis=2)
        return Effect(was, is_, *interval(is_ - was))

    place = list(fast.MACHINES).index(change.machine)
    return Trial(
        tuple(seeds),
        days,
        effect(lambda r: _minutes(r, _CONSTRAINT, lambda state, _: state != EXECUTE)),
        effect(lambda r: _minutes(r, place, lambda state, cause: (state != EXECUTE) & (cause == change.cause))),
        effect(lambda r: r.grid["good"][-1, _COUNTS_AT].astype(np.float64)),
    )


def _minutes(
    record: fast.Record,
    machine: int,
    holds: Callable[[NDArray[np.int32], NDArray[np.int32]], NDArray[np.bool_]],
) -> NDArray[np.float64]:
    """Minutes of each day in which something held, from the exact changes, while the line is meant to run.

    Shapes: -> (days,)
    """
    change, found = record.change, np.zeros(len(record.days))
    for day, about in enumerate(record.days):
        rows = np.flatnonzero((change["day"] == day) & (change["machine"] == machine))
        end = about.length_s - fast.EMPTY_S["filler"]
        at = np.minimum(np.concatenate(([0], change["second"][rows], [end])), end)
        state = np.concatenate((record.grid["state"][:1, machine, day], change["state"][rows]))
        cause = np.concatenate((record.grid["cause"][:1, machine, day], change["cause"][rows]))
        found[day] = float(np.diff(at)[holds(state, cause)].sum()) / 60.0
    return found

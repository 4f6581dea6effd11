"""The reference data of the historian: a plant of 5,000 tags over a day, 50.7 million samples, always the same.

| tags  | what                | sampled                                        |
| ----- | ------------------- | ---------------------------------------------- |
| 100   | fast measurements   | every second, one time for all, ms jitter       |
| 3,400 | analogue, 2 decimals| about every 10 s, each on its own, ms jitter    |
| 500   | counters            | every 5 s, one time for all                     |
| 900   | booleans            | about every 20 s                                |
| 100   | machine states      | about every minute                              |

Measurements are a slow wave with correlated noise; how noisy differs from tag to tag by a factor of 25.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus.values.clock import NS_PER_MS, NS_PER_S
from isthmus.values.sample import SampleBatch

START_NS = 1_767_571_200 * NS_PER_S  # Monday, 2026-01-05
WINDOW_S = 600


@dataclass(slots=True)
class _Group:
    """Tags that behave alike. ``spread_ms`` moves each sample of a tag, ``shared_ms`` all samples of a poll."""

    kind: str
    id: NDArray[np.int32]
    period_s: int
    spread_ms: float
    shared_ms: float
    level: NDArray[np.float64]
    noise: NDArray[np.float64]
    last: NDArray[np.float64]


def tags(scale: float = 1.0) -> dict[str, int]:
    """How many tags of each kind."""
    whole = {"fast": 100, "analogue": 3_400, "counter": 500, "boolean": 900, "state": 100}
    return {kind: max(1, round(n * scale)) for kind, n in whole.items()}


def windows(
    scale: float = 1.0, hours: float = 24.0, seed: int = 7, start_ns: int = START_NS
) -> Iterator[tuple[SampleBatch, ...]]:
    """Ten-minute windows in order of time, each a float and an int batch, rows in order of time within."""
    rng = np.random.default_rng(seed)
    groups = _groups(rng, scale)
    for window in range(round(hours * 3600 / WINDOW_S)):
        at_s = window * WINDOW_S
        floats: list[tuple[NDArray[np.generic], ...]] = []
        ints: list[tuple[NDArray[np.generic], ...]] = []
        for group in groups:
            made = _window(rng, group, start_ns, at_s)
            (floats if group.kind in {"fast", "analogue"} else ints).append(made)
        yield _joined(floats, np.dtype(np.float64)), _joined(ints, np.dtype(np.int64))


def _groups(rng: np.random.Generator, scale: float) -> list[_Group]:
    how = {"fast": (1, 0.0, 3.0), "analogue": (10, 5.0, 0.0), "counter": (5, 0.0, 3.0), "boolean": (20, 2000.0, 0.0)}
    groups, first = [], 1
    for kind, n in tags(scale).items():
        period_s, spread_ms, shared_ms = how.get(kind, (60, 5000.0, 0.0))
        groups.append(
            _Group(
                kind,
                np.arange(first, first + n, dtype=np.int32),
                period_s,
                spread_ms,
                shared_ms,
                level=rng.uniform(5, 200, n),
                noise=np.exp(rng.uniform(np.log(0.02), np.log(0.5), n)),
                last=np.zeros(n),
            )
        )
        first += n
    return groups


def _window(rng: np.random.Generator, group: _Group, start_ns: int, at_s: int) -> tuple[NDArray[np.generic], ...]:
    n, polls = len(group.id), WINDOW_S // group.period_s
    grid_ms = (at_s + np.arange(polls) * group.period_s) * 1000
    phase_ms = np.zeros(n) if group.shared_ms else np.arange(n) * (1000.0 * group.period_s / n)
    jitter = rng.normal(0, group.spread_ms, (n, polls)) if group.spread_ms else rng.normal(0, group.shared_ms, polls)
    limit = group.period_s * 450  # of two samples of a tag, the later one stays later
    time_ms = np.rint(grid_ms + phase_ms[:, None] + np.clip(jitter, -limit, limit) + limit).astype(np.int64)
    value = _values(rng, group, (at_s + np.arange(polls) * group.period_s) / 86_400, polls)
    time_ns = (start_ns + time_ms * NS_PER_MS).ravel()
    return np.repeat(group.id, polls), time_ns, value.ravel()


def _values(rng: np.random.Generator, group: _Group, day: NDArray[np.float64], polls: int) -> NDArray[np.float64]:
    n = len(group.id)
    if group.kind in {"fast", "analogue"}:
        scale = group.noise * (0.2 if group.kind == "fast" else 1.0)
        steps = rng.normal(0, 1, (n, polls)) * scale[:, None]
        drift = np.empty((n, polls))
        state = group.last
        for k in range(polls):
            state = 0.95 * state + steps[:, k]
            drift[:, k] = state
        group.last = state
        wave = 0.1 * group.level[:, None] * np.sin(2 * np.pi * (day * 3 + group.level[:, None]))
        rounded: NDArray[np.float64] = np.round(group.level[:, None] + wave + drift, 2)
        return rounded
    if group.kind == "counter":
        counts: NDArray[np.float64] = group.last[:, None] + np.cumsum(
            rng.poisson(group.noise[:, None] * 20, (n, polls)), axis=1
        )
        group.last = counts[:, -1]
        return counts
    if group.kind == "boolean":
        return (rng.random((n, polls)) < 0.5).astype(np.float64)
    return rng.integers(0, 9, (n, polls)).astype(np.float64)


def _joined(parts: list[tuple[NDArray[np.generic], ...]], dtype: np.dtype[np.generic]) -> SampleBatch:
    ident, time_ns, value = (np.concatenate([p[i] for p in parts]) for i in range(3))
    order = np.argsort(time_ns, kind="stable")
    return SampleBatch(
        ident[order].astype(np.int32),
        time_ns[order].astype(np.int64),
        value[order].astype(dtype),
        np.zeros(len(order), np.uint32),
    )

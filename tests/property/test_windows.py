"""Windows against the slow and obvious way to compute them, over random samples in random order."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.analytics.model import LATE_S, EdgeRules
from isthmus.namespace.model import Plant, Rule, RuleInstance, Tag
from isthmus.values.expression import Window
from isthmus.values.frame import Frame, Lane
from isthmus.values.sample import SampleBatch, ValueType

pytestmark = pytest.mark.mission("M64")

S = 1_000_000_000
T0 = 1_700_000_000
FUNCTIONS = ("mean", "min", "max", "sum", "count", "stdev", "first", "last", "increase", "rate")


def naive(samples: list[tuple[int, float, bool]], begin: int, second: int, window: Window) -> float | None:
    """``samples`` in the order of time; nothing is known before ``begin``. None where no good value held."""
    start, end = (second - window.seconds) * S, second * S
    inside = [(t, v, g) for t, v, g in samples if start < t <= end]
    before = [(t, v, g) for t, v, g in samples if t <= start]
    if window.function == "count":
        return float(sum(g for _, _, g in inside))
    if window.function == "sum":
        return float(sum(v for _, v, g in inside if g))
    at = [(max(start, begin * S), *before[-1][1:])] if before else []
    spans = []
    held = at + inside
    for (t, v, g), until in zip(held, [*(h[0] for h in held[1:]), end][: len(held)], strict=True):
        last = until == end and (t, v, g) == held[-1]
        if g and (until > t or last):
            spans.append((v, (until - t) / S))
    if window.function == "last":
        return held[-1][1] if held and held[-1][2] else None
    if window.function == "first":
        return before[-1][1] if before and before[-1][2] else None
    if not spans:
        return None
    values = [v for v, _ in spans]
    if window.function in {"min", "max"}:
        return min(values) if window.function == "min" else max(values)
    if window.function in {"increase", "rate"}:
        grown, newest = 0.0, None
        for t, v, g in samples:
            if not g or t > end:
                continue
            if newest is not None and t > start:
                grown += v - newest if v >= newest else v
            newest = v
        return grown / (window.seconds if window.function == "rate" else 1)
    total = sum(s for _, s in spans)
    if not total:
        return None
    mean = sum(v * s for v, s in spans) / total
    if window.function == "mean":
        return mean
    return math.sqrt(sum(s * (v - mean) ** 2 for v, s in spans) / total)


sample = st.tuples(
    st.integers(0, 40_000),  # ms after the beginning
    st.integers(-50, 50).map(float),
    st.booleans() | st.just(True),
    st.integers(0, int(LATE_S * 1000) - 1),  # how late it comes, ms
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(sample, max_size=25, unique_by=lambda s: s[0]), min_size=1, max_size=3),
    st.sampled_from([1, 2, 5, 20, 40]),
    st.integers(1, 45),
)
def test_windows_are_what_the_slow_way_says(rows, seconds: int, until: int) -> None:
    tags = {i + 1: Tag(i + 1, f"t{i}", "", f"t{i}", "value", ValueType.FLOAT, edge="e") for i in range(len(rows))}
    windows = [Window(f, "x", seconds) for f in FUNCTIONS]
    rules = tuple(
        (Rule(w.name, "", f"{{{w.name}}} > 1e9"), tuple(RuleInstance(f"a{i}", "e", {w.name: i}) for i in tags))
        for w in windows
    )
    judged = EdgeRules(Plant(1, "", "", "UTC", tags=tuple(tags.values()), by_id=tags, rules=rules), "e")
    judged.advance(judged.take(Frame(Lane.LIVE, 1, 1, (T0 + LATE_S) * S, 1, ())))
    begin = judged.second
    arrivals = sorted(
        (T0 * S + (ms + late) * 1_000_000, tag, T0 * S + ms * 1_000_000, value, good)
        for tag, some in zip(tags, rows, strict=True)
        for ms, value, good, late in some
        if ms > 0 and ms <= until * 1000
    )
    for number, (sealed, tag, time_ns, value, good) in enumerate(arrivals, 2):
        batch = SampleBatch(
            np.array([tag], np.int32), np.array([time_ns]), np.array([value]),
            np.array([0 if good else 0x80050000], np.uint32),
        )  # fmt: skip
        judged.advance(judged.take(Frame(Lane.LIVE, 1, number, sealed, 1, (batch,))))
    judged.advance(T0 + until)
    assert judged.counts.late == 0
    assert judged.second == T0 + until
    for row, tag in enumerate(tags):
        known = sorted((t, v, g) for _, which, t, v, g in arrivals if which == tag)
        for window in windows:
            column = judged.windows.ask(window, np.array([row]), judged.second)
            found = None if column.status[0] else float(column.value[0])
            wanted = naive(known, begin, judged.second, window)
            if wanted is None or found is None:
                assert found == wanted, window
            else:
                assert found == pytest.approx(wanted, abs=1e-6), window

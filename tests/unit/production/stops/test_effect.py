"""What an action brought: the interval holds what it says, and nothing says a result."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from isthmus.production.stops.actions import ActionChange, ActionDraft
from isthmus.production.stops.effect import compare, over_seeds, quantile, rate

H = 3_600_000_000_000


def test_the_quantile_is_that_of_student():
    # tables of the t distribution: 0.975 and 0.995
    for df, value in (
        (1, 12.7062047),
        (2, 4.30265273),
        (4, 2.77644511),
        (10, 2.22813885),
        (19, 2.09302405),
        (100, 1.98397152),
    ):
        assert quantile(df, 0.95) == pytest.approx(value, rel=1e-7)
    assert quantile(9, 0.99) == pytest.approx(3.24983554, rel=1e-7)
    assert quantile(1e7, 0.95) == pytest.approx(1.95996398, rel=1e-5)
    for df, confidence in ((0, 0.95), (3, 1.0), (3, 0.0)):
        with pytest.raises(ValueError, match="df above 0"):
            quantile(df, confidence)


@pytest.mark.mission("M51")
def test_the_same_seeds_are_compared_seed_by_seed():
    before = {1: 30.0, 2: 50.0, 3: 10.0, 4: 80.0, 5: 40.0}
    after = {1: 25.0, 2: 44.0, 3: 6.0, 4: 73.0, 5: 37.0}
    found = over_seeds(before, after)
    gained = np.array([5, 6, 4, 7, 3], float)
    half = 2.7764451 * gained.std(ddof=1) / math.sqrt(5)
    assert (found.mean, found.count) == (5.0, 5)
    assert (found.low, found.high) == (pytest.approx(5 - half), pytest.approx(5 + half))
    assert found.proven
    with pytest.raises(ValueError, match="same seeds"):
        over_seeds(before, {1: 2.0})
    with pytest.raises(ValueError, match="two seeds"):
        over_seeds({1: 1.0}, {1: 1.0})


def test_the_interval_over_20_seeds_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(1000):
        common = rng.exponential(60, 20)  # what chance does to both
        after = common - 4 + rng.normal(0, 6, 20)
        found = over_seeds(dict(enumerate(common)), dict(enumerate(after)))
        held += found.low <= 4 <= found.high
    assert 930 <= held <= 970


def test_a_rate_is_a_ratio_of_sums_and_its_interval_holds_the_truth():
    assert rate([H, 0], [10 * H, 30 * H]).share == 0.025
    with pytest.raises(ValueError, match="planned"):
        rate([], [])
    assert rate([H], [8 * H]).variance == math.inf
    rng = np.random.default_rng(8)
    held = proven = 0
    for _ in range(400):
        planned = rng.integers(6, 24, 40) * H
        lost = (planned * np.r_[rng.gamma(4, 0.02, 20), rng.gamma(4, 0.015, 20)]).astype(np.int64)
        a, b = (rate(lost[half].tolist(), planned[half].tolist()) for half in (slice(0, 20), slice(20, 40)))
        found = compare(a, b, 100 * H)
        held += found.saved.low <= 0.02 * 6000 <= found.saved.high
        proven += found.saved.proven
    assert held >= 360
    assert 0 < proven < 400


def test_nobody_can_say_what_an_action_brought():
    said = {f.name for kind in (ActionDraft, ActionChange) for f in dataclasses.fields(kind)}
    assert said == {
        "title", "text", "under", "loss_by", "loss_key", "owner", "due", "expected_min", "before_start_ns", "before_end_ns",
        "state", "done_ns",
    }  # fmt: skip

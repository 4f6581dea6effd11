"""Before and after of a change, on the same seeds: what it brings is measured, never said."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from isthmus.simulators.bottling import fast, trial
from isthmus.simulators.bottling.physics import JAM, WEB

SHORT_S = 3_600


@pytest.fixture(autouse=True)
def soon_empty(monkeypatch) -> None:
    monkeypatch.setattr(fast, "EMPTY_S", dict.fromkeys(fast.MACHINES, 300))
    monkeypatch.setattr(fast, "CLEARED_S", 100)


@pytest.mark.mission("M51")
def test_a_change_that_changes_nothing_brings_nothing() -> None:
    found = trial.compare(trial.Change("labeller", WEB, repair_s=110.0), (1, 2, 3), length_s=1_500)
    for effect in (found.downtime_min, found.stopped_min, found.good):
        assert np.array_equal(effect.before, effect.after)
        assert (effect.difference, effect.low, effect.high) == (0.0, 0.0, 0.0)
        assert not effect.certain


@pytest.mark.mission("M51")
def test_a_real_change_shows_on_the_same_seeds() -> None:
    change = trial.Change("labeller", WEB, between_s=200.0, repair_s=400.0)  # somebody makes it worse
    found = trial.compare(change, tuple(range(1, 9)), length_s=SHORT_S)
    assert found.stopped_min.certain
    assert found.stopped_min.low > 5.0
    assert found.good.certain
    assert found.good.high < 0.0
    assert found.cases < 0.0
    assert found.downtime_min.low <= found.downtime_min.difference <= found.downtime_min.high


def test_the_interval_is_students() -> None:
    mean, low, high = trial.interval(np.array([1.0, 2.0, 3.0, 4.0]))
    assert mean == 2.5
    assert high - mean == pytest.approx(3.1824463 * 1.2909944 / 2.0, rel=1e-6)  # t(0.975; 3) · s / √n
    assert mean - low == pytest.approx(high - mean)


def test_no_parameter_names_the_result() -> None:
    said = {*inspect.signature(trial.Change).parameters, *inspect.signature(trial.compare).parameters}
    assert said == {"machine", "cause", "between_s", "repair_s", "change", "seeds", "days", "length_s", "progress"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("washer", JAM), "machine: must be one of"),
        (("labeller", 4), "cause: the labeller has 5"),
        (("labeller", WEB, -1.0), "between_s: must be more than 0"),
        (("labeller", WEB, None, float("nan")), "repair_s: must be more than 0"),
    ],
)
def test_what_is_no_change_is_refused(words, message) -> None:
    with pytest.raises(ValueError, match=message):
        trial.Change(*words)


def test_one_seed_has_no_interval() -> None:
    with pytest.raises(ValueError, match="two different ones"):
        trial.compare(trial.Change("filler", JAM, repair_s=10.0), (4, 4))

"""What holds of every chart, whatever was measured."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.quality import spc
from isthmus.quality.spc import Limits, chart, counted, estimate, measured

pytestmark = pytest.mark.mission("M58")

VALUES = st.floats(-1e6, 1e6).map(lambda v: round(v, 4))
GROUPS = st.integers(2, 6).flatmap(
    lambda n: st.lists(st.lists(VALUES, min_size=n, max_size=n), min_size=2, max_size=40)
)


@settings(deadline=None)  # the first of each size computes its constants
@given(GROUPS, st.sampled_from(["xbar_r", "xbar_s"]), st.floats(0.01, 100), st.floats(-1e4, 1e4))
def test_a_change_of_unit_changes_no_signal(groups, kind, factor, offset) -> None:
    first = measured(groups)
    limits = estimate(kind, first)
    if limits.sigma * factor < 1e-3:
        return  # rounding would decide
    second = measured([[v * factor + offset for v in g] for g in groups])
    scaled = estimate(kind, second)
    assert math.isclose(scaled.sigma, limits.sigma * factor, rel_tol=1e-6)
    nudged = Limits(limits.center, limits.sigma * 1.0001), Limits(scaled.center, scaled.sigma * 1.0001)
    one, two = chart(kind, first, nudged[0]), chart(kind, second, nudged[1])
    near = [np.min(np.abs(np.r_[t.value - t.upper, t.value - t.lower])) < 1e-6 * nudged[0].sigma for t in one.tracks]
    assert one.signals == two.signals or any(near)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(50, 500)), min_size=2, max_size=40),
    st.sampled_from(["p", "np", "u"]),
)
def test_limits_of_counts_lie_around_their_centre(rows, kind) -> None:
    points = counted([d for d, _ in rows], [n for _, n in rows])
    track = chart(kind, points, estimate(kind, points)).tracks[0]
    assert (track.lower <= track.center + 1e-12).all()
    assert (track.center <= track.upper + 1e-12).all()
    assert (track.lower >= 0).all()


@settings(deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=60))
def test_a_rule_says_the_same_of_the_mirrored_points(z) -> None:
    points, mirrored = measured([[v] for v in z]), measured([[-v] for v in z])
    for rules in (spc.NELSON, spc.WESTERN):
        one = chart("imr", points, Limits(0, 1), rules=rules).signals
        assert one == chart("imr", mirrored, Limits(0, 1), rules=rules).signals


@settings(deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=20, max_size=80))
def test_a_window_of_the_longest_rule_judges_the_last_point_as_the_whole_does(z) -> None:
    whole = chart("imr", measured([[v] for v in z]), Limits(0, 1), rules=spc.NELSON).signals[-1]
    tail = chart("imr", measured([[v] for v in z[-spc.LONGEST :]]), Limits(0, 1), rules=spc.NELSON).signals[-1]
    assert whole == tail


@settings(deadline=None)
@given(st.floats(0.001, 0.999), st.integers(1, 60))
def test_a_quantile_of_chi_square_has_its_share_below(share, half) -> None:
    """Held against the closed form that even degrees of freedom have: a sum of Poisson's."""
    x = spc.chi_square_quantile(share, 2.0 * half) / 2.0
    above = math.fsum(math.exp(k * math.log(x) - x - math.lgamma(k + 1)) for k in range(half))
    assert 1.0 - above == pytest.approx(share, abs=1e-10)

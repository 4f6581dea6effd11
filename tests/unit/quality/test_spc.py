"""Charts, constants, rules and capability against published cases.

Cases named `nist` are from the NIST/SEMATECH e-Handbook of Statistical Methods (public domain); those named `shewhart` are figures
of validation cases of the package shewhart (MIT licence), derived by hand there.
"""

from __future__ import annotations

import csv
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from isthmus.quality import spc
from isthmus.quality.spc import Limits, Shape, capability, chart, counted, estimate, measured

pytestmark = pytest.mark.mission("M58")

ROOT = Path(__file__).resolve().parents[3]
SHARED = Path(os.environ.get("ISTHMUS_SPC_CASES", ROOT.parent / "shared" / "data" / "spc"))


def singles(*values: float) -> spc.Points:
    return measured([[v] for v in values])


# --- constants


def test_constants_are_those_of_the_distribution_of_the_range() -> None:
    assert spc.d2(2) == pytest.approx(2 / math.sqrt(math.pi), abs=1e-15)
    assert spc.d2(3) == pytest.approx(3 / math.sqrt(math.pi), abs=1e-11)  # closed forms
    assert spc.d2(4) == pytest.approx(2 * 1.02937537300396, abs=1e-11)  # twice the mean of the largest of four
    assert spc.d2(5) == pytest.approx(2 * 1.16296447364052, abs=1e-11)
    assert spc.d3(2) == pytest.approx(math.sqrt(2 - 4 / math.pi), abs=1e-15)
    table = {3: (1.693, 0.888), 5: (2.326, 0.864), 10: (3.078, 0.797), 25: (3.931, 0.708)}  # as printed in handbooks
    for n, (mean, spread) in table.items():
        assert spc.d2(n) == pytest.approx(mean, abs=5e-4)
        assert spc.d3(n) == pytest.approx(spread, abs=5e-4)


def test_the_quadrature_agrees_with_the_closed_form_it_is_not_used_for() -> None:
    mean, spread = spc._range_moments(2)
    assert mean == pytest.approx(2 / math.sqrt(math.pi), abs=1e-11)
    assert spread == pytest.approx(math.sqrt(2 - 4 / math.pi), abs=1e-10)


def test_the_constants_agree_with_drawn_samples() -> None:
    drawn = np.random.default_rng(7).normal(size=(200_000, 7))
    spread = drawn.max(axis=1) - drawn.min(axis=1)
    assert spread.mean() == pytest.approx(spc.d2(7), abs=0.01)
    assert spread.std() == pytest.approx(spc.d3(7), abs=0.01)
    assert drawn.std(axis=1, ddof=1).mean() == pytest.approx(spc.c4(7), abs=0.005)


def test_c4_is_the_gamma_quotient() -> None:
    assert spc.c4(2) == pytest.approx(math.sqrt(2 / math.pi), abs=1e-15)
    assert spc.c4(5) == pytest.approx(0.939985602986625, abs=1e-12)


@pytest.mark.parametrize("constant", [spc.d2, spc.d3, spc.c4])
def test_a_group_of_one_has_no_spread(constant) -> None:
    with pytest.raises(ValueError, match="at least 2"):
        constant(1)


@pytest.mark.parametrize(
    ("share", "freedom", "value"),
    [
        (0.95, 1, 3.841458820694124),
        (0.025, 10, 3.246972780236842),
        (0.975, 10, 20.483177350807388),
        (0.5, 2, 2 * math.log(2)),
        (0.99, 2, -2 * math.log(0.01)),
    ],
)
def test_quantiles_of_chi_square(share, freedom, value) -> None:
    assert spc.chi_square_quantile(share, freedom) == pytest.approx(value, abs=1e-10)


def test_a_quantile_that_there_is_none_of_is_refused() -> None:
    for share, freedom in ((0, 3), (1, 3), (0.5, 0)):
        with pytest.raises(ValueError, match="no quantile"):
            spc.chi_square_quantile(share, freedom)


# --- charts


def test_shewhart_individuals_and_moving_range() -> None:
    points = singles(10, 12, 11, 13, 12)
    individual, moving = chart("imr", points, estimate("imr", points)).tracks
    assert individual.center[0] == pytest.approx(11.6, abs=1e-9)
    assert individual.upper[0] == pytest.approx(15.588021164537412, abs=1e-9)
    assert individual.lower[0] == pytest.approx(7.611978835462588, abs=1e-9)
    assert moving.center[0] == pytest.approx(1.5, abs=1e-9)
    assert moving.upper[0] == pytest.approx(4.89979787893309, abs=1e-9)
    assert math.isnan(moving.value[0])
    assert moving.value[1:].tolist() == [2, 1, 2, 1]


def test_nist_individuals_6_3_2_2() -> None:
    points = singles(49.6, 47.6, 49.9, 51.3, 47.8, 51.2, 52.6, 52.4, 53.6, 52.1)
    drawn = chart("imr", points, estimate("imr", points)).tracks[0]
    assert drawn.center[0] == pytest.approx(50.81, abs=1e-9)
    half = 3 * (16.9 / 9) * math.sqrt(math.pi) / 2  # the handbook prints 55.8041: it rounds d2 to 1.128
    assert drawn.upper[0] == pytest.approx(50.81 + half, abs=1e-9)
    assert drawn.upper[0] == pytest.approx(55.8041, abs=2e-3)
    assert drawn.lower[0] == pytest.approx(45.8159, abs=2e-3)


def test_shewhart_mean_and_deviation() -> None:
    points = measured([[10, 12], [11, 13], [9, 11], [12, 14], [10, 12]])
    mean, deviation = chart("xbar_s", points, estimate("xbar_s", points)).tracks
    assert mean.center[0] == pytest.approx(11.4, abs=1e-9)
    assert deviation.center[0] == pytest.approx(1.4142135623730951, abs=1e-9)
    assert deviation.upper[0] == pytest.approx(4.619573742182559, abs=1e-9)


def test_nist_ewma_6_3_2_4() -> None:
    data = [
        52.0,
        47.0,
        53.0,
        49.3,
        50.1,
        47.0,
        51.0,
        50.1,
        51.2,
        50.5,
        49.6,
        47.6,
        49.9,
        51.3,
        47.8,
        51.2,
        52.6,
        52.4,
        53.6,
        52.1,
    ]
    shape = Shape(weight=0.3, width=3, steady=True)
    track = chart("ewma", singles(*data), Limits(50, 2.0539), shape).tracks[0]
    assert track.upper[0] == pytest.approx(50 + 3 * 2.0539 * math.sqrt(0.3 / 1.7), abs=1e-9)
    assert track.upper[0] == pytest.approx(52.5884, abs=1e-3)
    assert track.lower[0] == pytest.approx(47.4115, abs=1e-3)
    assert np.round(track.value[:4], 2).tolist() == [50.60, 49.52, 50.56, 50.18]  # as printed there
    rising = chart("ewma", singles(*data), Limits(50, 2.0539), Shape(weight=0.3)).tracks[0]
    assert rising.upper[0] == pytest.approx(50 + 3 * 2.0539 * 0.3, abs=1e-9)  # of the first value alone
    assert rising.upper[-1] == pytest.approx(track.upper[-1], abs=1e-4)


def test_shewhart_cusum() -> None:
    drawn = chart("cusum", singles(10, 10, 10, 11, 12, 13), Limits(10, 1), Shape(k=0.5, h=4))
    assert drawn.tracks[0].value.tolist() == pytest.approx([0, 0, 0, 0.5, 2.0, 4.5], abs=1e-12)
    assert [i + 1 for i, said in enumerate(drawn.signals) if said] == [6]


def test_nist_proportions_6_3_3_2() -> None:
    counts = [
        12,
        15,
        8,
        10,
        4,
        7,
        16,
        9,
        14,
        10,
        5,
        6,
        17,
        12,
        22,
        8,
        10,
        5,
        13,
        11,
        20,
        18,
        24,
        15,
        9,
        12,
        7,
        13,
        9,
        6,
    ]
    points = counted(counts, [50] * 30)
    drawn = chart("p", points, estimate("p", points))
    share = 347 / 1500
    half = 3 * math.sqrt(share * (1 - share) / 50)
    assert drawn.tracks[0].center[0] == pytest.approx(share, abs=1e-12)
    assert drawn.tracks[0].upper[0] == pytest.approx(share + half, abs=1e-12)
    assert drawn.tracks[0].upper[0] == pytest.approx(0.4102, abs=5e-5)
    assert drawn.tracks[0].lower[0] == pytest.approx(0.0524, abs=5e-5)
    assert [i + 1 for i, said in enumerate(drawn.signals) if said] == [15, 23]
    number = chart("np", points, estimate("np", points)).tracks[0]
    assert (number.value / 50).tolist() == pytest.approx(drawn.tracks[0].value.tolist())
    assert number.upper[0] == pytest.approx(50 * (share + half), abs=1e-9)


def test_nist_counts_6_3_3_1() -> None:
    counts = [16, 14, 28, 16, 12, 20, 10, 12, 10, 17, 19, 17, 14, 16, 15, 13, 14, 16, 11, 20, 11, 19, 16, 31, 13]
    points = counted(counts, [1] * 25)
    drawn = chart("c", points, estimate("c", points))
    track = drawn.tracks[0]
    assert (track.center[0], track.upper[0], track.lower[0]) == pytest.approx((16, 28, 4), abs=1e-12)
    assert [i + 1 for i, said in enumerate(drawn.signals) if said] == [24]  # 28 is on the limit, not beyond it
    each = chart("u", points, estimate("u", points)).tracks[0]
    assert each.upper.tolist() == pytest.approx(track.upper.tolist())


def test_limits_follow_the_size_of_each_sample() -> None:
    points = counted([2, 5, 1], [100, 400, 25])
    track = chart("p", points, Limits(0.01)).tracks[0]
    assert track.upper.tolist() == pytest.approx([0.01 + 3 * math.sqrt(0.0099 / n) for n in (100, 400, 25)])
    assert (track.lower == 0).all()
    defects = chart("u", points, Limits(0.02)).tracks[0]
    assert defects.upper.tolist() == pytest.approx([0.02 + 3 * math.sqrt(0.02 / n) for n in (100, 400, 25)])
    assert chart("p", counted([1, 1], [1, 2]), Limits(0.9)).tracks[0].upper.tolist() == [1, 1]  # no share above one


def test_subgroups_of_other_sizes_have_their_own_constants() -> None:
    points = measured([[1.0, 2.0, 3.0], [2.0, 4.0], [1.0, 1.0, 2.0, 2.0]])
    limits = estimate("xbar_r", points)
    assert limits.sigma == pytest.approx((2 / spc.d2(3) + 2 / spc.d2(2) + 1 / spc.d2(4)) / 3)
    mean, spread = chart("xbar_r", points, limits).tracks
    assert mean.upper.tolist() == pytest.approx([2 + 3 * limits.sigma / math.sqrt(n) for n in (3, 2, 4)])
    assert spread.center.tolist() == pytest.approx([limits.sigma * spc.d2(n) for n in (3, 2, 4)])
    assert spread.lower.tolist() == [0, 0, 0]
    by_deviation = estimate("xbar_s", points)
    wanted = [np.std(g, ddof=1) / spc.c4(len(g)) for g in ([1, 2, 3], [2, 4], [1, 1, 2, 2])]
    assert by_deviation.sigma == pytest.approx(np.mean(wanted))


def test_each_point_may_have_limits_of_its_own() -> None:
    drawn = chart("imr", singles(1, 1, 9, 9), [Limits(1, 1), Limits(1, 1), Limits(9, 1), Limits(1, 1)])
    assert [i for i, said in enumerate(drawn.signals) if "limit" in said] == [3]


def test_a_range_beyond_its_limit_says_spread() -> None:
    points = measured([[0, 1], [0, 1], [0, 1], [-5, 6]])
    drawn = chart("xbar_r", points, Limits(0.5, 1.0))
    assert drawn.signals == ((), (), (), ("spread",))


def test_nothing_to_draw_and_nothing_to_estimate() -> None:
    assert chart("imr", singles(), Limits(0, 1)).tracks == ()
    with pytest.raises(ValueError, match="at least 2 points"):
        estimate("imr", singles(1))
    with pytest.raises(ValueError, match="no chart"):
        chart("pareto", singles(1, 2), Limits(0, 1))


# --- rules


def rule_at(rule: str, *z: float) -> list[int]:
    """Where a rule is completed, from 1, of points told in standard deviations."""
    drawn = chart("imr", singles(*z), Limits(0, 1), rules=[rule])
    return [i + 1 for i, said in enumerate(drawn.signals) if rule in said]


@pytest.mark.parametrize(
    ("rule", "points", "at"),
    [
        ("nelson1", [0, 3.0, 3.01, -3.1], [3, 4]),
        ("nelson2", [0.1] * 8 + [0.0] + [0.1] * 8, []),
        ("nelson2", [0.1] * 9, [9]),
        ("nelson2", [-0.1] * 10, [9, 10]),
        ("nelson3", [0, 0.1, 0.2, 0.3, 0.4], []),
        ("nelson3", [0, 0.1, 0.2, 0.3, 0.4, 0.5], [6]),
        ("nelson3", [0.5, 0.4, 0.3, 0.2, 0.1, 0.1, 0.0], []),
        ("nelson4", [0.1, -0.1] * 7, [14]),
        ("nelson4", [0.1, -0.1] * 6 + [0.1], []),
        ("nelson5", [2.1, 0, 2.1], [3]),
        ("nelson5", [2.1, 2.1, 0], [2]),
        ("nelson5", [2.1, -2.1, 0], []),
        ("nelson6", [1.1, 1.1, 0, 1.1, 1.1], [5]),
        ("nelson6", [1.1, 1.1, -1.1, 0, 1.1], []),
        ("nelson7", [0.5, -0.5] * 7 + [0.9], [15]),
        ("nelson7", [0.5] * 14 + [1.0], []),
        ("nelson8", [1.1, -1.1] * 4, [8]),
        ("nelson8", [1.1, -1.1] * 3 + [0.9, 1.1], []),
        ("western1", [3.5, 0], [1]),
        ("western2", [0, -2.5, -2.5], [3]),
        ("western3", [-1.5, -1.5, -1.5, -1.5], [4]),
        ("western4", [0.1] * 7, []),
        ("western4", [-0.1] * 8, [8]),
    ],
)
def test_a_rule_is_completed_where_its_pattern_is(rule, points, at) -> None:
    assert rule_at(rule, *points) == at


def test_rules_say_nothing_on_charts_that_remember() -> None:
    drawn = chart("cusum", singles(*[0.2] * 20), Limits(0, 1), rules=spc.NELSON)
    assert not any(drawn.signals)


# --- capability


def test_shewhart_capability() -> None:
    found = capability("imr", singles(10, 12, 11, 13, 12), 6, 16)
    assert found.cp.value == pytest.approx(1.2537546301061249, abs=1e-9)
    assert found.cpk.value == pytest.approx(1.10330407449339, abs=1e-9)
    assert found.pp.value == pytest.approx(1.4617633655117155, abs=1e-9)
    assert found.ppk.value == pytest.approx(1.2863517616503097, abs=1e-9)
    assert found.notes == ("few_values",)


def test_the_interval_of_pp_is_that_of_chi_square() -> None:
    found = capability("imr", singles(10, 12, 11, 13, 12), 6, 16)
    low, high = 0.48441855708793 / 4, 11.143286781877796 / 4  # chi-square of 2.5 % and 97.5 % with 4 degrees of freedom
    assert found.pp.low == pytest.approx(found.pp.value * math.sqrt(low), abs=1e-6)
    assert found.pp.high == pytest.approx(found.pp.value * math.sqrt(high), abs=1e-6)
    half = 1.959963984540054 * math.sqrt(1 / 45 + found.ppk.value**2 / 8)
    assert found.ppk.low == pytest.approx(found.ppk.value - half, abs=1e-9)
    assert found.ppk.high == pytest.approx(found.ppk.value + half, abs=1e-9)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    drawn = np.random.default_rng(3).normal(0, 1, size=(400, 20, 5))
    held = {"cp": 0, "cpk": 0, "pp": 0, "ppk": 0}
    for groups in drawn:
        found = capability("xbar_r", measured(groups.tolist()), -4, 4)
        for name in held:
            index = getattr(found, name)
            held[name] += index.low <= 4 / 3 <= index.high
    assert all(0.9 <= count / 400 <= 0.985 for count in held.values()), held


def test_a_moving_range_is_worth_fewer_degrees_of_freedom() -> None:
    drawn = np.random.default_rng(5).normal(size=(3000, 50))
    estimates = np.abs(np.diff(drawn, axis=1)).mean(axis=1) / spc.d2(2)
    freedom = spc._freedom("imr", singles(*drawn[0]))
    assert estimates.std() == pytest.approx(1 / math.sqrt(2 * freedom), rel=0.05)
    assert freedom < 49


def test_one_limit_alone_and_none() -> None:
    found = capability("imr", singles(*np.linspace(9, 11, 40)), None, 12)
    assert found.cp.value is None
    assert found.pp.value is None
    assert found.ppk.value == pytest.approx((12 - 10) / (3 * found.overall))
    for lsl, usl in ((None, None), (3, 3)):
        with pytest.raises(ValueError, match="specification limit"):
            capability("imr", singles(1, 2), lsl, usl)
    with pytest.raises(ValueError, match="at least 2"):
        capability("imr", singles(1), 0, 2)


def test_a_process_without_spread_has_no_index() -> None:
    found = capability("imr", singles(5, 5, 5), 0, 10)
    assert found.cpk.value is None
    assert "no_spread" in found.notes


# --- data that may not be copied


@pytest.mark.soak
@pytest.mark.skipif(not SHARED.is_dir(), reason="the data is not here")
def test_piston_rings_and_circuit_boards() -> None:
    rows = list(csv.DictReader((SHARED / "pistonrings.csv").read_text().splitlines()))
    groups = [[float(row[f"x{i}"]) for i in range(1, 6)] for row in rows]
    wanted = json.loads((SHARED / "pistonrings.expected.json").read_text())
    first = measured(groups[:25])
    limits = estimate("xbar_r", first)
    assert limits.center == pytest.approx(wanted["center"], abs=1e-6)
    assert limits.sigma == pytest.approx(wanted["sigma"], abs=1e-6)
    drawn = chart("xbar_r", measured(groups), limits)
    assert drawn.tracks[0].upper[0] == pytest.approx(wanted["ucl3"], abs=1e-6)
    assert drawn.tracks[0].lower[0] == pytest.approx(wanted["lcl3"], abs=1e-6)
    assert float(drawn.tracks[1].center[0]) == pytest.approx(wanted["rbar"], abs=1e-6)
    beyond = [i + 1 for i, out in enumerate(drawn.tracks[0].beyond()) if out]
    assert [i for i in beyond if i > 25] == wanted["phase2_beyond_3sigma"]
    rows = [row for row in csv.DictReader((SHARED / "circuit.csv").read_text().splitlines()) if int(row["sample"]) <= 26]
    wanted = json.loads((SHARED / "circuit.expected.json").read_text())
    boards = counted([float(row["x"]) for row in rows], [1] * len(rows))
    drawn = chart("c", boards, estimate("c", boards))
    track = drawn.tracks[0]
    assert (track.center[0], track.upper[0], track.lower[0]) == pytest.approx(
        (wanted["center"], wanted["ucl"], wanted["lcl"]), abs=1e-6
    )
    assert [i + 1 for i, said in enumerate(drawn.signals) if said] == wanted["beyond"]

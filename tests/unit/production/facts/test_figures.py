"""Figures of ISO 22400 from sums of facts, against worked examples with known answers."""

from __future__ import annotations

import pytest

from isthmus.production.figures import add, figures, waterfall
from isthmus.production.model import MILLION, FactSum, IdealCounts, StateClass

pytestmark = pytest.mark.mission("M50", "M52")
MIN = 60_000_000_000


def of(run_min, down_min=0, off_min=0, *, total=0, good=None, rate=None, unknown_min=0, **rest):
    good = total if good is None else good
    ns = {StateClass.RUNNING: run_min * MIN, StateClass.STOPPED: down_min * MIN, StateClass.OFF: off_min * MIN}
    ideal = () if rate is None else (IdealCounts(*rate, total * MILLION, good * MILLION),)
    ns |= {StateClass.UNKNOWN: unknown_min * MIN}
    rest.setdefault("unrated", {} if rate and rate[0] else ns)
    return FactSum(
        ns=ns,
        total_u=total * MILLION,
        good_u=good * MILLION,
        reject_u=(total - good) * MILLION,
        ideal=ideal,
        **rest,
    )


def test_the_example_of_the_fast_guide():
    """Source: Vorne, The Fast Guide to OEE: 480 min shift, 60 min of breaks, 47 min down, 60 pieces/min, 19,271 made, 423 bad"""
    said = figures(of(373, 47, 60, total=19_271, good=19_271 - 423, rate=(60, MIN)))
    assert said.planned_ns == 420 * MIN
    assert said.availability == pytest.approx(0.8881, abs=1e-4)
    assert said.performance == pytest.approx(0.8611, abs=1e-4)
    assert said.quality == pytest.approx(0.978, abs=1e-4)
    assert said.oee == pytest.approx(0.748, abs=1e-4)
    assert said.teep == pytest.approx(0.6544, abs=2e-4)
    assert said.utilization == 0.875


def test_factors_of_world_class():
    """Source: Nakajima's benchmark: 90 % × 95 % × 99.9 % = 85.41 %"""
    said = figures(of(900, 100, total=855_000, good=854_145, rate=(1_000, MIN)))
    assert (said.availability, said.performance, said.quality) == (0.9, 0.95, 0.999)
    assert said.oee == pytest.approx(0.8541, abs=1e-4)


def test_two_machines_are_summed_and_not_averaged():
    """Source: two machines, 100 and 300 min planned, ideal 1 min a piece: 53.75 %, where the mean of both would say 62.5 %"""
    one = of(90, 10, total=80, rate=(1, MIN))
    other = of(150, 150, total=150, good=135, rate=(1, MIN))
    together = figures(add([one, other]))
    assert together.oee == 0.5375
    assert ((figures(one).oee or 0) + (figures(other).oee or 0)) / 2 == 0.625


def test_pieces_of_different_rates_add_up_as_time():
    fast, slow = of(60, 0, total=3600, rate=(60, MIN)), of(60, 60, total=50, good=40, rate=(1, MIN))
    said = figures(add([fast, slow]))
    assert said.availability is not None
    assert said.performance is not None
    assert said.quality is not None
    assert said.oee == (60 + 40) / 180
    assert said.availability * said.performance * said.quality == pytest.approx(said.oee, rel=1e-12)


def test_what_has_no_denominator_is_null_and_says_why():
    said = figures(of(0, 0, 480))
    assert said.availability is None
    assert said.oee is None
    assert said.why["availability"] == "no planned time"
    assert said.why["mtbf_ns"] == "no failure"
    undeclared = figures(of(10, total=5))
    assert undeclared.oee is None
    assert undeclared.why["oee"] == "no ideal rate is declared for what was made"
    assert undeclared.quality == 1.0


def test_a_machine_without_a_rate_hides_no_other_and_drags_none_down():
    rated = of(60, 20, total=2_700, good=2_400, rate=(60, MIN))
    both = figures(add([of(70, 10, total=5, rate=(0, 0)), rated, of(50, 30, counted=False)]))
    alone = figures(rated)
    assert (
        (both.performance, both.quality, both.oee)
        == (alone.performance, alone.quality, alone.oee)
        == (0.75, 8 / 9, 0.5)
    )
    assert both.availability == 180 / 240
    assert (both.unrated_run_ns, both.unrated_ns) == (120 * MIN, 160 * MIN)
    assert both.teep == both.oee  # all time is planned
    steps = {s.key: s.ns / MIN for s in waterfall(add([rated, of(70, 10, total=5, rate=(0, 0))]))}
    assert steps["run"] - steps["not_rated"] - steps["speed"] - steps["quality"] == steps["good"] == 40


def test_where_nothing_counts_there_is_no_number():
    said = figures(of(60, 20, counted=False))
    none = ("performance", "quality", "oee", "teep", "throughput_per_h", "first_pass_yield", "scrap_ratio")
    assert all(getattr(said, name) is None for name in none)
    assert {said.why[name] for name in none} == {"nothing counts pieces here"}
    assert said.availability == 0.75


def test_what_is_rated_and_stood_has_no_performance():
    said = figures(add([of(0, 60, total=0, rate=(60, MIN)), of(60, 0)]))
    assert (said.performance, said.oee) == (None, 0.0)
    assert said.why["performance"] == "what has an ideal rate did not run"


def test_unknown_time_is_told_beside_and_counts_as_lost():
    said = figures(of(60, 30, unknown_min=30, total=60, rate=(1, MIN)))
    assert (said.unknown_ns, said.down_ns) == (30 * MIN, 30 * MIN)
    assert said.availability == 0.5


def test_failures_and_repair():
    said = figures(of(90, 30, stops=5, failures=3, failure_ns=30 * MIN))
    assert (said.mtbf_ns, said.mttr_ns) == (30 * MIN, 10 * MIN)


def test_the_waterfall_adds_up():
    facts = add([of(300, 100, 80, total=280, good=270, rate=(1, MIN)), FactSum(minor={StateClass.STOPPED: 20 * MIN})])
    steps = {s.key: s.ns / MIN for s in waterfall(facts)}
    assert steps["all"] - steps["off"] - steps["planned"] == steps["planned_busy"] == 400
    assert steps["planned_busy"] - steps["stopped"] - steps["minor_stop"] == steps["run"] == 300
    assert steps["run"] - steps["speed"] - steps["quality"] == steps["good"] == 270


def test_cost_is_a_fraction_until_the_end():
    assert figures(FactSum(cost_u=3 * MIN * 42 * MILLION)).cost == 126.0


def test_sums_are_the_same_in_any_order():
    parts = [of(i % 7, i % 5, total=i, rate=(i % 3 + 1, MIN), stops=i) for i in range(1, 40)]
    assert add(parts) == add(reversed(parts)) == add([add(parts[:11]), add(parts[11:])])

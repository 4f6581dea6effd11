"""The fold: states, stops, shifts, entries and counts become facts that add up."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from isthmus.namespace.model import Machine
from isthmus.production.facts import Names
from isthmus.production.fold import Carry, effective, intervals, stops
from isthmus.production.model import Entry, EntryKind, MarkKind, StateClass

_spec = importlib.util.spec_from_file_location("machines", Path(__file__).with_name("machines.py"))
assert _spec is not None
machines = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(machines)
S, MIN, H, T0 = machines.S, machines.MIN, machines.H, machines.T0
FILLER, series, folded, times = machines.FILLER, machines.series, machines.folded, machines.times
pytestmark = pytest.mark.mission("M50", "M52")


def stopped(*spans, until=86_400):
    """Running but for some spans, in minutes."""
    rows = [(0, 1)]
    for a, b in spans:
        rows += [(a * 60, 2), (b * 60, 1)]
    return {1: series(*rows)}


def entry(kind, start_min, end_min, number=1, **values):
    return Entry(
        EntryKind(kind), FILLER.asset, T0 + start_min * MIN, T0 + end_min * MIN if end_min else 0, values, number=number
    )


def test_times_add_up_to_the_day():
    found = folded(FILLER, stopped((10, 20), (30, 31)))
    assert times(found) == {"running": 86_400 - 660, "stopped": 660}
    assert int(found.rows["ns"].sum()) == machines.D


def test_a_short_stop_is_a_minor_one_and_a_long_one_is_a_failure():
    names = Names()
    found = folded(FILLER, stopped((10, 20), (30, 31)), names=names)
    rows = found.rows
    minor = rows["reason"] == names.known("reason", "minor-stop")
    assert int(rows["ns"][minor].sum()) == 60 * S
    assert int(rows["stops"].sum()) == 2
    assert int(rows["failures"].sum()) == 1
    told = stops(found, names, (), T0 + 24 * H)
    assert [(s.ns // MIN, s.minor, s.coded) for s in told] == [(10, False, False), (1, True, True)]
    assert told[0].id == f"line/filler@{T0 + 10 * MIN}"


def test_stopping_idling_and_setting_up_are_one_stop_but_starving_is_another():
    samples = {1: series((0, 1), (600, 2), (700, 3), (800, 6), (900, 4), (1200, 1))}
    told = stops(folded(FILLER, samples), Names(), (), T0 + 24 * H)
    assert [(s.start_ns - T0) // S for s in told] == [600, 900]
    assert [s.state_class for s in told] == [StateClass.STOPPED, StateClass.STARVED]


def test_a_bad_status_and_a_gap_are_unknown_until_the_next_sample():
    samples = {1: series((0, 1), (600, 0, 0x80000000), (900, 1), (7200, 1))}
    gaps = [(T0 + 3600 * S, T0 + 4000 * S)]
    assert times(folded(FILLER, samples, 3, gaps=gaps)) == {"unknown": 300 + 3600, "running": 10_800 - 3900}


def test_a_state_missing_for_an_hour_is_unknown_after_the_time_it_may_be_silent():
    samples = {1: series((0, 1), (3600, 1), (3610, 1))}
    silent = replace(FILLER, stale_after_s=30)
    assert times(folded(silent, samples, 2))["unknown"] == 3570 + 3590 - 30
    assert times(folded(FILLER, samples, 2)) == {"running": 7200}


def test_before_the_first_sample_ever_a_machine_is_accountable_for_nothing():
    assert times(folded(FILLER, {1: series((600, 1))}, 1)) == {"off": 600, "running": 3000}
    assert times(folded(FILLER, {1: series((600, 1, 0x80000000), (700, 1)), 2: series((0, 0))}, 1)) == {
        "off": 600,
        "unknown": 100,
        "running": 2900,
    }
    assert times(folded(FILLER, {2: series((0, 0))}, 1)) == {"unknown": 3600}  # it may tell yet


def test_what_was_said_the_day_before_holds_until_the_first_sample_of_a_day():
    before = Carry({1: series((-60, 2))})
    assert times(folded(FILLER, {1: series((600, 1))}, 1, carry=before)) == {"stopped": 600, "running": 3000}


def test_a_number_without_a_class_is_unknown_and_marked():
    found = folded(FILLER, {1: series((0, 1), (60, 99), (120, 1))}, 1)
    assert times(found)["unknown"] == 60
    assert [(m.kind, m.after) for m in found.marks] == [(MarkKind.STATE_UNKNOWN, 99.0)]


def test_breaks_and_time_off_are_no_loss_but_running_through_them_is_running():
    shifts = machines.Shifts()
    standing = folded(FILLER, {1: series((0, 2))}, 8, planner=shifts)
    assert times(standing) == {"stopped": 8 * 3600 - 600, "planned": 600}
    running = folded(FILLER, {1: series((0, 1))}, 8, planner=shifts)
    assert times(running) == {"running": 8 * 3600}
    free = (6 - (T0 // machines.D) % 7) % 7 * 24
    off = folded(FILLER, {1: series((0, 2))}, 24, start=free, planner=shifts)
    assert times(off) == {"off": 86_400}


def test_a_stop_that_spans_a_break_is_one_stop_and_one_in_a_break_is_none():
    found = folded(FILLER, stopped((230, 260)), 8, planner=machines.Shifts())
    assert int(found.rows["stops"].sum()) == 1
    within = folded(FILLER, stopped((241, 249)), 8, planner=machines.Shifts())
    assert int(within.rows["stops"].sum()) == 0
    assert times(within)["planned"] == 480


def test_shifts_and_teams_are_keys():
    names = Names()
    rows = folded(FILLER, {1: series((0, 1))}, 24, planner=machines.Shifts(), names=names).rows
    by_shift = {
        names.text("shift", s): int(rows["ns"][rows["shift"] == s].sum()) // H
        for s in np.unique(rows["shift"]).tolist()
    }
    assert by_shift == {"early": 8, "late": 8, "night": 8}
    assert {names.text("team", t) for t in rows["team"].tolist()} == {"A", "B", "C"}


def test_a_reason_lies_over_stops_only_and_the_last_one_counts():
    names = Names()
    said = [entry("reason", 0, 60, 1, reason="mechanical/jam"), entry("reason", 15, 60, 2, reason="planned/clean")]
    found = folded(FILLER, stopped((10, 20)), 1, names=names, entries=said)
    rows = found.rows
    by = {
        names.text("reason", r): int(rows["ns"][rows["reason"] == r].sum()) // MIN
        for r in np.unique(rows["reason"]).tolist()
    }
    assert by == {"": 50, "mechanical/jam": 5, "planned/clean": 5}
    assert times(found)["planned"] == 300
    assert stops(found, names, said, T0 + H)[0].entry == 1


def test_splitting_makes_two_stops_and_merging_makes_one():
    names = Names()
    split = folded(FILLER, stopped((10, 20)), 1, names=names, entries=[entry("split", 15, 15)])
    assert [(s.start_ns - T0) // MIN for s in stops(split, names, (), T0 + H)] == [10, 15]
    assert int(split.rows["stops"].sum()) == 2
    merged = folded(FILLER, stopped((10, 20), (21, 22)), 1, names=names, entries=[entry("merge", 10, 22)])
    told = stops(merged, names, (), T0 + H)
    assert [(s.ns // MIN, s.minor) for s in told] == [(11, False)]
    assert int(merged.rows["stops"].sum()) == 1


def test_entries_are_taken_back_by_entries():
    first = entry("reason", 0, 9, 1, reason="a")
    second = replace(entry("reason", 0, 9, 2, reason="b"), replaces=1)
    gone = replace(entry("reason", 0, 9, 3), replaces=2, void=True)
    assert effective([second, first]) == [second]
    assert effective([first, second, gone]) == []


def test_counts_go_to_the_order_that_ran_and_bring_its_rate():
    names = Names()
    samples = {1: series((0, 1)), 2: series(*((60 * i, 100 * i) for i in range(61)))}
    said = [entry("order", 20, 40, 1, order="4711", product="cola", ideal_count=1, ideal_per_ns=S)]
    rows = folded(FILLER, samples, 1, names=names, entries=said).rows
    mine = rows[rows["order"] == names.known("order", "4711")]
    assert int(mine["good"].sum()) == 2_000 * 10**6
    assert {names.rate_of(r) for r in mine["rate"].tolist()} == {(1, S)}
    assert int(mine["ns"].sum()) == 20 * MIN
    assert {names.text("product", p) for p in mine["product"].tolist()} == {"cola"}


def test_scrap_moves_good_pieces_and_rework_adds():
    names = Names()
    samples = {1: series((0, 1)), 2: series((0, 0), (600, 100)), 3: series((0, 0), (600, 5))}
    said = [entry("scrap", 5, 5, 1, count=7, reason="scrap/dent"), entry("rework", 6, 6, 2, count=3)]
    found = folded(FILLER, samples, 1, names=names, entries=said)
    assert [machines.count_of(found, n) for n in ("total", "good", "reject", "rework")] == [105, 93, 12, 3]
    dented = found.rows[found.rows["reason"] == names.known("reason", "scrap/dent")]
    assert int(dented["reject"].sum()) == 7 * 10**6


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"good": 2, "reject": 3}, (110, 100, 10)),
        ({"good": 2, "reject": 3, "total": 4}, (112, 100, 10)),
        ({"good": 0, "reject": 3, "total": 4}, (112, 102, 10)),
        ({"good": 2, "reject": 0, "total": 4}, (112, 100, 12)),
        ({"good": 0, "reject": 0, "total": 4}, (112, 112, 0)),
    ],
)
def test_what_no_counter_tells_follows_from_the_others(tags, expected):
    samples = {
        1: series((0, 1)),
        2: series((0, 0), (600, 100)),
        3: series((0, 0), (600, 10)),
        4: series((0, 0), (600, 112)),
    }
    found = folded(replace(FILLER, **tags), samples, 1)
    assert tuple(machines.count_of(found, n) for n in ("total", "good", "reject")) == expected


@pytest.mark.mission("M39")
def test_a_sensor_that_is_not_read_tells_nothing_until_it_is_heard_again():
    bad = 0x80000000
    wrapper = Machine("line/wrapper", pulse=9, idle_after_s=20, stopped_after_s=60, micro_stop_s=120)
    beam = series((0, 0), (30, 1), (60, 2), (70, 0, bad), (400, 0, bad), (600, 2), (700, 3))
    assert times(folded(wrapper, {9: beam}, 1)) == {
        "idle": 30 + 10 + 40, "running": 20 + 10 + 20, "unknown": 530, "stopped": 100 + 3600 - 760,
    }, "not idle and stopped while nobody knows; when it is heard again, no pulse has come for long"  # fmt: skip
    oven = Machine("line/oven", pulse=9, pulse_on=2.5, idle_after_s=20, stopped_after_s=60)
    amps = series((0, 3.0), (100, 0.0, bad), (3000, 3.0))
    assert times(folded(oven, {9: amps}, 1)) == {"running": 700, "unknown": 2900}
    assert times(folded(oven, {9: series((0, 0.0, bad), (100, 3.0))}, 1)) == {"unknown": 100, "running": 3500}


@pytest.mark.mission("M39")
def test_a_pulse_alone_tells_running_idle_and_stopped_and_counts():
    wrapper = Machine("line/wrapper", pulse=9, idle_after_s=20, stopped_after_s=60, micro_stop_s=120)
    samples = {9: series((0, 0), (100, 1), (110, 2), (120, 4), (1000, 5))}
    found = folded(wrapper, samples, 0.5)
    assert times(found) == {"idle": 60 + 40 + 40, "stopped": 40 + (1000 - 180) + (1800 - 1060), "running": 40 + 20}
    assert machines.count_of(found, "total") == 5


@pytest.mark.mission("M39")
def test_a_current_tells_the_same_without_counting():
    wrapper = Machine("line/wrapper", pulse=9, pulse_on=2.5, idle_after_s=20, stopped_after_s=60)
    samples = {9: series((0, 0.1), (100, 3.0), (160, 0.2))}
    found = folded(wrapper, samples, 0.25)
    assert times(found)["running"] == 60 + 20
    assert machines.count_of(found, "total") == 0


def test_rules_over_several_tags_the_first_that_holds_counts():
    ruled = Machine("line/m", rules=(("blocked", "full"), ("running", "speed > 5")), inputs={"speed": 5, "full": 6})
    samples = {5: series((0, 10.0), (600, 0.0), (900, 0.0, 0x80000000)), 6: series((0, 0), (300, 1), (400, 0))}
    found = folded(ruled, samples, 0.5)
    assert times(found) == {"running": 500, "blocked": 100, "stopped": 300, "unknown": 900}


def test_a_product_tag_tells_what_is_made_where_no_order_does():
    names = Names()
    made = replace(FILLER, product=7)
    samples = {1: series((0, 1)), 7: series((0, "cola"), (600, "cola"), (1800, "lemon"))}
    rows = folded(made, samples, 1, names=names).rows
    by = {
        names.text("product", p): int(rows["ns"][rows["product"] == p].sum()) // MIN
        for p in np.unique(rows["product"]).tolist()
    }
    assert by == {"cola": 30, "lemon": 30}


def test_intervals_are_joined_where_nothing_changes():
    names = Names()
    found = folded(FILLER, stopped((10, 20)), 2, names=names)
    told = intervals(found, names, T0 + 5 * MIN, T0 + 2 * H)
    assert [(i.state_class, (i.start_ns - T0) // MIN, (i.end_ns - T0) // MIN) for i in told] == [
        (StateClass.RUNNING, 5, 10),
        (StateClass.STOPPED, 10, 20),
        (StateClass.RUNNING, 20, 120),
    ]
    assert told[1].stop == f"line/filler@{T0 + 10 * MIN}"


def test_a_stop_over_midnight_is_told_once():
    names = Names()
    samples = {1: series((0, 1), (86_000, 2), (87_000, 1))}
    first = folded(FILLER, samples, 24, names=names, planner=machines.Shifts())
    carry = Carry.from_bytes(first.days[-1].carry.to_bytes())
    later = {1: samples[1].between(T0 + machines.D - 1, 2**62)}
    second = folded(FILLER, later, 24, start=24, names=names, carry=carry, planner=machines.Shifts())
    assert int(first.rows["stops"].sum()) == 1
    assert int(second.rows["stops"].sum()) == 0
    told = stops(second, names, (), T0 + 2 * machines.D)
    assert [(s.start_ns - T0) // S for s in told] == [86_000]


@pytest.mark.mission("M57")
def test_energy_is_counted_to_the_millionth():
    measured = replace(FILLER, energy=(8,))
    samples = {1: series((0, 1)), 8: series((0, 10.1), (600, 10.35), (1200, 0.05))}
    assert int(folded(measured, samples, 1).rows["energy"].sum()) == 250_000 + 50_000

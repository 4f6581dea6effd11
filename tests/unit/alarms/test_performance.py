"""Figures of ISA-18.2 against cases worked out by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.alarms.performance import (
    DAY_NS,
    LASTS,
    SLOT_NS,
    Columns,
    bars,
    chattering,
    fleeting,
    floods,
    judge,
    rates,
)
from isthmus.values.clock import NS_PER_S

START = 1_700_000_400 * NS_PER_S  # a whole ten minutes
pytestmark = pytest.mark.mission("M24")


@dataclass(frozen=True)
class One:
    """Seconds after START; None where it has not happened."""

    alarm: str
    raised_s: float
    returned_s: float | None = None
    acknowledged_s: float | None = None
    cleared_s: float | None = None
    priority: str = "low"

    @property
    def raised_ns(self) -> int:
        return START + round(self.raised_s * NS_PER_S)

    @property
    def returned_ns(self) -> int | None:
        return None if self.returned_s is None else START + round(self.returned_s * NS_PER_S)

    @property
    def acknowledged_ns(self) -> int | None:
        return None if self.acknowledged_s is None else START + round(self.acknowledged_s * NS_PER_S)

    @property
    def cleared_ns(self) -> int | None:
        return None if self.cleared_s is None else START + round(self.cleared_s * NS_PER_S)


def figures(*ones: One, hours: float = 1.0):
    return judge(Columns.of(ones), START, START + round(hours * 3600) * NS_PER_S)


def by_name(found):
    return {one.name: one for one in found.figures}


def test_start_is_a_whole_ten_minutes():
    assert START % SLOT_NS == 0


def test_nothing_raised_is_nothing_judged():
    found = figures()
    assert (found.alarms, found.average, found.peak, found.flood_share, found.top_share) == (0, 0.0, 0, 0.0, 0.0)
    assert found.rate.tolist() == [0] * 6
    assert by_name(found)["share_low"].met is None
    assert by_name(found)["average"].met is True


def test_rates_by_ten_minutes():
    # 3 in the first slot, 1 in the third, 0 else: 4 in an hour are 4/6 in ten minutes and 96 a day
    found = figures(One("a", 0), One("b", 1), One("a", 599.9), One("c", 1200))
    assert found.rate.tolist() == [3, 0, 1, 0, 0, 0]
    assert found.average == pytest.approx(4 / 6)
    assert found.per_day == pytest.approx(96)
    assert (found.peak, found.peak_ns) == (3, START)


def test_only_what_was_raised_within_counts_and_the_end_does_not():
    found = figures(One("a", -0.001), One("b", 0), One("c", 3600))
    assert found.alarms == 1


def test_a_range_that_begins_within_a_slot_has_its_slots_on_whole_ten_minutes():
    first, rate = rates(np.array([START + 60 * NS_PER_S]), START + 30 * NS_PER_S, START + 660 * NS_PER_S)
    assert (first, rate.tolist()) == (START, [1, 0])


def test_a_flood_begins_above_ten_and_ends_below_five():
    # slots: 10 is no flood; 11 begins one, 5 keeps it, 4 ends it; 12 begins the next, which lasts to the end
    rate = np.array([10, 11, 5, 4, 9, 12])
    found = floods(rate, START, START, START + 6 * SLOT_NS)
    assert [((f.start_ns - START) // SLOT_NS, (f.end_ns - START) // SLOT_NS, f.alarms, f.peak) for f in found] == [
        (1, 3, 16, 11),
        (5, 6, 12, 12),
    ]


def test_the_share_of_time_in_flood():
    ones = [One(f"a{i}", i) for i in range(11)] + [One(f"b{i}", 600 + i) for i in range(5)]
    found = figures(*ones)  # slots 11, 5, 0, 0, 0, 0: two of six
    assert found.flood_share == pytest.approx(2 / 6)
    assert by_name(found)["flood_share"].met is False
    assert by_name(found)["peak"].met is False


def test_a_flood_is_cut_at_the_ends_of_the_range():
    columns = Columns.of([One(f"a{i}", 300 + i) for i in range(11)])
    found = judge(columns, START + 300 * NS_PER_S, START + 900 * NS_PER_S)
    assert found.flood_share == pytest.approx(0.5)  # 300 s of 600 s


def test_chattering_is_three_times_in_sixty_seconds_of_one_alarm():
    ones = [
        One("a", 0, 1),
        One("b", 10, 11),
        One("a", 30, 31),
        One("a", 60, 61),
        One("a", 121, 122),
        One("a", 150),
        One("a", 181.1),
    ]
    columns = Columns.of(ones)
    assert [int(i) for i in np.flatnonzero(chattering(columns))] == [
        0,
        2,
        3,
    ]  # 60 s apart still counts, 60.1 s does not
    found = figures(*ones)
    assert [(one.alarm, one.count) for one in found.chattering] == [("a", 3)]


def test_fleeting_is_back_within_ten_seconds_before_anybody_answered():
    columns = Columns.of([One("a", 0, 9.9), One("b", 0, 10), One("c", 0, 5, 3), One("d", 0), One("e", 0, 5, 6)])
    assert [columns.names[i] for i in columns.alarm[fleeting(columns)]] == ["a", "e"]


def test_what_chatters_is_not_counted_as_fleeting_too():
    found = figures(One("a", 0, 1), One("a", 20, 21), One("a", 40, 41), One("b", 50, 51))
    assert [one.alarm for one in found.chattering] == ["a"]
    assert [one.alarm for one in found.fleeting] == ["b"]


def test_standing_and_stale_differ_in_what_returned_but_was_never_answered():
    day = 86_400.0
    ones = [
        One("active", 0),
        One("returned", 1, returned_s=100),
        One("over", 2, returned_s=100, cleared_s=200),
        One("young", 0.5 * day + 1),
        One("just a day", 0.5 * day),
    ]
    found = judge(Columns.of(ones), START, START + round(1.5 * day) * NS_PER_S)
    assert [one.alarm for one in found.standing] == ["active"]
    assert [one.alarm for one in found.stale] == ["active", "returned"]
    assert by_name(found)["stale"].value == 2


def test_what_began_before_the_range_stands_though_it_does_not_count():
    found = judge(Columns.of([One("old", -2 * 86_400)]), START, START + SLOT_NS)
    assert (found.alarms, len(found.standing)) == (0, 1)
    assert found.standing[0].since_ns == START - 2 * DAY_NS


def test_the_top_ten_and_their_share():
    # alarm i is raised i times, i = 1 … 12: 78 in all, the ten greatest are 3 … 12 with 75
    ones = [One(f"a{i:02}", 300 * i + n) for i in range(1, 13) for n in range(i)]
    found = figures(*ones, hours=2)
    assert [one.count for one in found.top] == [12, 11, 10, 9, 8, 7, 6, 5, 4, 3]
    assert found.top[0].alarm == "a12"
    assert found.top_share == pytest.approx(75 / 78)


def test_among_equals_the_name_decides():
    found = figures(One("b", 0), One("a", 1))
    assert [one.alarm for one in found.top] == ["a", "b"]


def test_the_spread_of_priorities_against_eighty_fifteen_five():
    ones = [One("a", i, priority="low") for i in range(80)]
    ones += [One("b", 100 + i, priority="medium") for i in range(15)]
    ones += [One("c", 200 + i, priority="high") for i in range(5)]
    found = figures(*ones)
    assert found.distribution == {"critical": 0, "high": 5, "medium": 15, "low": 80}
    shares = {name: one.met for name, one in by_name(found).items() if name.startswith("share_")}
    assert shares == {"share_critical": True, "share_high": True, "share_medium": True, "share_low": True}
    worse = figures(*ones, One("d", 300, priority="critical"), One("d", 400, priority="critical"))
    assert by_name(worse)["share_critical"].met is False
    assert by_name(worse)["share_low"].met is False


def test_every_figure_names_its_source():
    assert all("clause 16" in one.source for one in figures().figures)


def test_bars_keep_the_greatest_rate():
    assert [(w, b.tolist()) for w, b in [bars(np.array([1, 5, 2, 0, 9]), 2)]] == [(3, [5, 9])]
    assert bars(np.array([1, 2]), 10)[0] == 1


def test_an_empty_range_is_refused():
    with pytest.raises(ValueError, match="empty"):
        judge(Columns.of([]), START, START)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 7200), st.none() | st.floats(0, 300)), max_size=80))
def test_figures_agree_with_counting_one_by_one(given):
    ones = [One(name, at, None if lasts is None else at + lasts) for name, at, lasts in given]
    found = figures(*ones, hours=2)
    within = sorted((one for one in ones if one.raised_ns < START + 7200 * NS_PER_S), key=lambda one: one.raised_ns)
    assert found.alarms == len(within) == int(found.rate.sum()) == sum(found.distribution.values())
    times = {name: [o.raised_ns for o in within if o.alarm == name] for name in "abc"}
    bursts = {name for name, at in times.items() if any(at[i + 2] - at[i] <= 60 * NS_PER_S for i in range(len(at) - 2))}
    assert {one.alarm for one in found.chattering} == bursts
    assert 0 <= found.flood_share <= 1


def test_what_has_not_happened_is_last():
    assert Columns.of([One("a", 0)]).cleared_ns.tolist() == [LASTS]

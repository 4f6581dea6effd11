"""Which shift it is, and what it did."""

from __future__ import annotations

from typing import Any

import pytest
from shift_plant import CAPPER, EARLY, FILLER, LATE, LINE, START, FakeProduction, FakeShifts, line_plant

from isthmus.production.model import HOUR_NS, MINOR, MINUTE_NS, StateClass
from isthmus.production.shiftreport import ShiftDesk, Span, days
from isthmus.values.clock import NS_PER_S, ManualClock

pytestmark = pytest.mark.mission("M91", "M13")


def desk(at_h: float = 3.0, *spans: Span, **more: Any) -> ShiftDesk:
    return ShiftDesk(
        FakeProduction(), FakeShifts(*spans), line_plant, ManualClock(START + round(at_h * HOUR_NS)), **more
    )  # type: ignore[arg-type]  # of the room's service only what is asked here


def test_the_shift_of_a_moment_and_its_neighbours() -> None:
    room = desk()
    assert room.around("hall", START - 1).now == EARLY
    assert (room.around("hall", START).now, room.around("hall", START).last) == (LATE, EARLY)
    night = room.around("hall", LATE.end_ns)
    assert (night.now, night.last, night.next) == (None, LATE, None)
    before = room.around("hall", EARLY.start_ns - 1)
    assert (before.now, before.last, before.next) == (None, None, EARLY)


def test_without_a_calendar_days_take_the_place_of_shifts_also_when_the_clock_changes() -> None:
    nothing = FakeShifts(Span("never", 0, 1))
    room = ShiftDesk(FakeProduction(), nothing, line_plant, ManualClock(START))  # type: ignore[arg-type]  # as above
    now = room.around("hall", START).now
    assert now is not None
    assert (now.name, now.day) == ("day", "2023-11-14")
    summer = days("Europe/Paris", 1_711_864_800 * NS_PER_S)  # 31 March 2024, 23 hours long
    assert [(s.end_ns - s.start_ns) // HOUR_NS for s in summer] == [24, 23, 24]
    assert [a.end_ns for a in summer[:-1]] == [b.start_ns for b in summer[1:]]


async def test_a_shift_that_runs_is_told_up_to_now_from_its_facts() -> None:
    facts = await desk(2.5).facts(LINE, LATE)
    assert facts.until_ns == START + 5 * HOUR_NS // 2
    assert [h.end_ns - h.start_ns for h in facts.hours] == [HOUR_NS, HOUR_NS, HOUR_NS // 2]
    assert sum(h.good for h in facts.hours) == facts.whole.good == sum(f.good for _, f in facts.machines)
    assert [asset for asset, _ in facts.machines] == [FILLER, CAPPER]  # along the line
    assert [(m.order, m.product, m.figures.good) for m in facts.made] == [
        ("MO-24117", "Still water 0.75 L", facts.whole.good)
    ]
    assert facts.hours[0].target == pytest.approx(2 * 60 * 60)  # two machines, an hour at 60 a minute


async def test_losses_add_up_to_what_did_not_run_and_stops_are_the_longest_first() -> None:
    facts = await desk().facts(LINE, LATE)
    assert [(loss.reason, loss.ns // MINUTE_NS, loss.count, loss.cost) for loss in facts.losses] == [
        ("mechanical/jam", 60, 4, 60.0),
        ("", 30, 2, 30.0),
        (MINOR, 30, 24, 0.0),
    ]
    assert sum(loss.ns for loss in facts.losses) == facts.whole.down_ns
    assert [s.ns // MINUTE_NS for s in facts.stops] == [17, 16, 15]
    assert facts.uncoded == 1
    filler = facts.strips[0]
    assert filler.asset == FILLER
    assert filler.pieces[1] == (
        START + 10 * MINUTE_NS,
        START + 25 * MINUTE_NS,
        StateClass.STOPPED,
    )  # two intervals, one piece
    assert sum(end - start for start, end, _ in filler.pieces) == 3 * HOUR_NS

"""Which shift it is, and what it did."""

from __future__ import annotations

from dataclasses import replace

import pytest
from shift_plant import CAPPER, EARLY, FILLER, LATE, LINE, START, TWO_SHIFTS, FakeProduction, FakeSchedule, line_plant

from isthmus.production.model import HOUR_NS, MINOR, MINUTE_NS, StateClass
from isthmus.production.shiftreport import ShiftDesk
from isthmus.values.clock import ManualClock

pytestmark = pytest.mark.mission("M91", "M13")


def desk(at_h: float = 3.0) -> ShiftDesk:
    clock = ManualClock(START + round(at_h * HOUR_NS))
    return ShiftDesk(FakeProduction(), TWO_SHIFTS, line_plant, clock)


def test_the_shift_of_a_moment_and_its_neighbours() -> None:
    room = desk()
    assert room.around("hall", START - 1).now == EARLY
    assert (room.around("hall", START).now, room.around("hall", START).last) == (LATE, EARLY)
    night = room.around("hall", LATE.end_ns)
    assert (night.now, night.last, night.next) == (None, LATE, None)
    before = room.around("hall", EARLY.start_ns - 1)
    assert (before.now, before.last, before.next) == (None, None, EARLY)


def test_without_shifts_production_days_take_their_place() -> None:
    room = ShiftDesk(FakeProduction(), FakeSchedule(), line_plant, ManualClock(START))
    around = room.around("hall", START)
    assert around.now is not None
    assert around.last is not None
    assert around.next is not None
    assert [(s.name, s.day) for s in (around.last, around.now, around.next)] == [
        ("day", "2023-11-13"), ("day", "2023-11-14"), ("day", "2023-11-15")
    ]  # fmt: skip
    assert around.last.end_ns == around.now.start_ns <= START < around.now.end_ns == around.next.start_ns


def test_a_shift_that_was_called_off_is_none() -> None:
    off = FakeSchedule(EARLY, LATE)
    off.spans[1] = replace(off.spans[1], planned_ns=0)
    room = ShiftDesk(FakeProduction(), off, line_plant, ManualClock(START))
    assert (room.around("hall", START).now, room.around("hall", START).last) == (None, EARLY)


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
    assert [s.ns // MINUTE_NS for s in facts.stops] == [17, 16, 15], (
        "who waited asks for no reason, and what was planned is no loss"
    )
    assert facts.uncoded == 1
    filler = facts.strips[0]
    assert filler.asset == FILLER
    assert filler.pieces[1] == (
        START + 10 * MINUTE_NS,
        START + 25 * MINUTE_NS,
        StateClass.STOPPED,
    )  # two intervals, one piece
    assert sum(end - start for start, end, _ in filler.pieces) == 3 * HOUR_NS


async def test_who_sees_one_machine_alone_gets_the_figures_of_that_one_and_nothing_is_no_fault() -> None:
    facts = await desk().facts(LINE, LATE, sees=lambda asset: asset == CAPPER)
    assert [asset for asset, _ in facts.machines] == [s.asset for s in facts.strips] == [CAPPER]
    assert facts.whole.good == 3 * 2000 + 30
    blind = await desk().facts(LINE, LATE, sees=lambda _: False)
    assert (blind.whole.oee, blind.whole.good, blind.machines, blind.strips, blind.losses) == (None, 0, (), (), ())

"""Calendars at the moments that are easy to get wrong: nights, clock changes, turns of crews, holidays, exceptions."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from isthmus.namespace.model import EMPTY, Calendar, PlannedStop, Shift
from isthmus.production.calendar import CalendarException, Calendars, Piece, Schedule, instant_ns
from isthmus.values.clock import NS_PER_S

pytestmark = pytest.mark.mission("M13", "M50")

PARIS = ZoneInfo("Europe/Paris")
HOUR = 3_600 * NS_PER_S
EARLY = Shift("early", (0, 1, 2, 3, 4), 360, 840, ((600, 615, "tea"),), ("A", "B", "C"))
LATE = Shift("late", (0, 1, 2, 3, 4), 840, 1320, (), ("B", "C", "A"))
NIGHT = Shift("night", (6, 0, 1, 2, 3), 1320, 1800)
HALL = Calendar(
    "hall",
    (EARLY, LATE, NIGHT),
    (("2026-12-25", "Christmas"),),
    (PlannedStop("cleaning", (4,), 780, 840, "2026-01-01", "2026-06-30"),),
    360,
    "2026-01-05",
)


def at(text: str, fold: int = 0) -> int:
    """UTC ns of a time in Paris."""
    return int(datetime.fromisoformat(text).replace(tzinfo=PARIS, fold=fold).timestamp()) * NS_PER_S


def hall(*exceptions: CalendarException) -> Schedule:
    return Schedule(HALL, PARIS, exceptions)


def hours(pieces: list[Piece], kind: str = "run") -> float:
    return sum(p.end_ns - p.start_ns for p in pieces if p.kind == kind) / HOUR


def test_a_day_of_three_shifts_with_its_break_and_planned_stop() -> None:
    pieces = hall().pieces(at("2026-03-06T06:00"), at("2026-03-07T06:00"))
    told = [(p.kind, p.name, p.shift, (p.end_ns - p.start_ns) / HOUR) for p in pieces]
    assert told == [
        ("run", "", "early", 4),
        ("break", "tea", "early", 0.25),
        ("run", "", "early", 2.75),
        ("planned", "cleaning", "early", 1),
        ("run", "", "late", 8),
        ("off", "", "", 8),
    ]
    assert {p.day for p in pieces} == {"2026-03-06"}
    assert hall().planned_ns(at("2026-03-06T06:00"), at("2026-03-07T06:00")) == 14.75 * HOUR
    later = hall().pieces(at("2026-07-03T06:00"), at("2026-07-03T14:00"))
    assert hours(later, "planned") == 0  # it held until June


def test_a_night_belongs_to_the_production_day_it_began_in() -> None:
    night = hall().at(at("2026-03-04T03:00"))
    assert (night.shift, night.day) == ("night", "2026-03-03")
    span = hall().shift_at(at("2026-03-04T03:00"))
    assert span is not None
    assert (span.start_ns, span.end_ns, span.day) == (at("2026-03-03T22:00"), at("2026-03-04T06:00"), "2026-03-03")


@pytest.mark.parametrize(("begin", "long"), [("2026-03-28T22:00", 7), ("2026-10-24T22:00", 9), ("2026-06-06T22:00", 8)])
def test_the_night_of_a_clock_change_is_an_hour_shorter_or_longer(begin: str, long: int) -> None:
    calendar = replace(HALL, shifts=(replace(NIGHT, days=(5,)),), holidays=(), planned=())
    (span,) = [s for s in Schedule(calendar, PARIS).shifts(at(begin), at(begin) + 12 * HOUR) if s.start_ns == at(begin)]
    assert (span.end_ns - span.start_ns) / HOUR == long
    assert span.planned_ns == long * HOUR


def test_shifts_that_meet_in_an_hour_that_comes_twice_or_never_meet_in_time() -> None:
    first, second = Shift("first", tuple(range(7)), 0, 150), Shift("second", tuple(range(7)), 150, 600)
    schedule = Schedule(Calendar("", (first, second)), PARIS)
    for day, lengths in (("2026-10-25", (2.5, 8.5)), ("2026-03-29", (2.0, 7.0)), ("2026-05-05", (2.5, 7.5))):
        start, end = schedule.day_span(day)
        pieces = schedule.pieces(start, end)
        assert [p.shift for p in pieces] == ["first", "second", ""]
        assert tuple((p.end_ns - p.start_ns) / HOUR for p in pieces[:2]) == lengths
    skipped = Shift("skipped", tuple(range(7)), 125, 170)  # 02:05 to 02:50 is not there that night
    assert Schedule(Calendar("", (skipped,)), PARIS).planned(at("2026-03-29T00:00"), at("2026-03-30T00:00")) == []


def test_crews_take_turns_week_by_week_from_the_first_week_on() -> None:
    assert [hall().at(at(f"2026-01-{day:02}T08:00")).crew for day in (5, 12, 19, 26)] == ["A", "B", "C", "A"]
    assert [hall().at(at(f"2026-01-{day:02}T16:00")).crew for day in (5, 12, 19)] == ["B", "C", "A"]
    assert hall().at(at("2025-12-29T08:00")).crew == "C"  # before the first week, too
    slow = replace(HALL, shifts=(replace(EARLY, turn_weeks=2),))
    crews = [Schedule(slow, PARIS).at(at(f"2026-01-{day:02}T08:00")).crew for day in (5, 12, 19, 26)]
    assert crews == ["A", "A", "B", "B"]
    unsaid = Schedule(replace(HALL, first_week=""), PARIS)
    assert unsaid.at(at("2026-01-05T08:00")).crew in {"A", "B", "C"}


def test_no_shift_begins_on_a_holiday_but_the_night_before_ends_in_it() -> None:
    schedule = hall()
    assert schedule.at(at("2026-12-25T03:00")).shift == "night"
    day = schedule.pieces(*schedule.day_span("2026-12-25"))
    assert [(p.kind, p.name) for p in day] == [("holiday", "Christmas")]


def test_without_a_calendar_all_time_is_meant_for_production() -> None:
    plant = replace(EMPTY, timezone="Europe/Paris", calendars=(HALL,))
    yard = Calendars(plant).of("yard/crane")
    assert yard.planned_ns(at("2026-03-01T00:00"), at("2026-04-01T00:00")) == (31 * 24 - 1) * HOUR
    assert yard.day_of(at("2026-03-01T23:59")) == "2026-03-01"
    closed = Schedule(Calendar("", holidays=(("2026-03-03", "fair"),)), PARIS)
    assert hours(closed.pieces(at("2026-03-02T00:00"), at("2026-03-05T00:00")), "holiday") == 24


def test_the_nearest_calendar_above_holds_as_a_whole() -> None:
    line = Calendar("hall/line2", (Shift("day", (0,), 480, 960),))
    plant = replace(EMPTY, timezone="Europe/Paris", calendars=(HALL, line, Calendar("")))
    calendars = Calendars(plant)
    assert calendars.of("hall/line1/filler").calendar is HALL
    assert calendars.of("hall/line2/capper").calendar is line
    assert calendars.of("yard").calendar.path == ""
    assert calendars.of("hall/line1/filler") is calendars.of("hall/line1/capper")


def exception(number: int, kind: str, start: str, end: str, name: str = "", crew: str = "") -> CalendarException:
    return CalendarException(number, "hall", kind, at(start), at(end), name, crew)  # type: ignore[arg-type]  # one of the kinds


def test_exceptions_lie_over_the_calendar() -> None:
    closed = hall(exception(1, "closed", "2026-03-04T08:00", "2026-03-04T16:00", "stock-taking"))
    pieces = closed.pieces(at("2026-03-04T06:00"), at("2026-03-04T22:00"))
    assert [(p.kind, p.shift) for p in pieces] == [
        ("run", "early"),
        ("planned", "early"),
        ("planned", "late"),
        ("run", "late"),
    ]
    assert hours(pieces) == 8
    through = hall(exception(1, "open", "2026-03-06T06:00", "2026-03-06T14:00"))
    assert hours(through.pieces(at("2026-03-06T06:00"), at("2026-03-06T14:00"))) == 8
    saturday = hall(exception(1, "shift", "2026-03-07T06:00", "2026-03-07T14:00", "extra", "B"))
    span = saturday.shift_at(at("2026-03-07T10:00"))
    assert span is not None
    assert (span.shift, span.crew, span.planned_ns) == ("extra", "B", 8 * HOUR)
    lent = hall(exception(1, "crew", "2026-01-06T06:00", "2026-01-06T14:00", crew="Z"))
    assert (lent.at(at("2026-01-06T08:00")).crew, lent.at(at("2026-01-06T15:00")).crew) == ("Z", "B")
    called_off = hall(exception(1, "closed", "2026-03-04T06:00", "2026-03-04T14:00", "strike"))
    span = called_off.shift_at(at("2026-03-04T08:00"))
    assert span is not None
    assert span.planned_ns == 0
    assert hours(hall(exception(1, "closed", "2026-03-07T00:00", "2026-03-08T00:00", "x")).pieces(
        at("2026-03-07T06:00"), at("2026-03-08T00:00")), "planned") == 0  # nothing was meant anyway  # fmt: skip


def test_an_exception_holds_at_its_path_and_below() -> None:
    plant = replace(EMPTY, timezone="Europe/Paris", calendars=(HALL,))
    one = CalendarException(1, "hall/line1", "closed", at("2026-03-04T06:00"), at("2026-03-04T14:00"), "x")
    calendars = Calendars(plant, (one,))
    moment = at("2026-03-04T08:00")
    assert calendars.of("hall/line1/filler").at(moment).kind == "planned"
    assert calendars.of("hall/line2/filler").at(moment).kind == "run"
    assert calendars.of("hall").at(moment).kind == "run"


def test_local_times_that_come_twice_or_never() -> None:
    october, march = (datetime(2026, month, day).toordinal() for month, day in ((10, 25), (3, 29)))  # noqa: DTZ001  a date alone
    assert instant_ns(PARIS, october, 150) == at("2026-10-25T02:30", fold=0)
    assert {instant_ns(PARIS, march, minute) for minute in (120, 150, 179, 180)} == {at("2026-03-29T03:00")}

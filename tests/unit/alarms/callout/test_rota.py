"""Who is on duty when."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from isthmus.alarms.callout.rota import (
    Exchange,
    Holiday,
    Rota,
    check_rota,
    gaps,
    instant_ns,
    intervals,
    now_and_next,
    on_duty,
    schedule,
)
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError

PARIS = ZoneInfo("Europe/Paris")
HOUR = 3600 * NS_PER_S


local = datetime.fromisoformat


def ns(text: str) -> int:
    """UTC ns of a local time in Paris."""
    return instant_ns(datetime.fromisoformat(text), PARIS)


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NS_PER_S


NIGHTS = Rota("nights", ("ana", "ben", "cho"), date(2026, 3, 2))


@pytest.mark.mission("M14")
def test_people_take_weekly_turns_from_hand_over_to_hand_over() -> None:
    assert on_duty(NIGHTS, ns("2026-03-02T08:00"), "Europe/Paris") == "ana"
    assert on_duty(NIGHTS, ns("2026-03-09T07:59"), "Europe/Paris") == "ana"
    assert on_duty(NIGHTS, ns("2026-03-09T08:00"), "Europe/Paris") == "ben"
    assert on_duty(NIGHTS, ns("2026-03-16T08:00"), "Europe/Paris") == "cho"
    assert on_duty(NIGHTS, ns("2026-03-23T08:00"), "Europe/Paris") == "ana"
    assert on_duty(NIGHTS, ns("2026-03-02T07:59"), "Europe/Paris") == "cho"  # turns go back for ever
    now, later = now_and_next(NIGHTS, ns("2026-03-04T12:00"), "Europe/Paris")
    assert (now.person, now.end_ns) == ("ana", ns("2026-03-09T08:00"))
    assert later is not None
    assert (later.person, later.start_ns) == ("ben", ns("2026-03-09T08:00"))


@pytest.mark.mission("M14")
def test_hand_over_is_by_the_clock_on_the_wall_when_it_is_put_forward_and_back() -> None:
    """In 2026 clocks of Paris jump on 29 March and 25 October, both Sundays: the turn is an hour shorter, and one longer."""
    spring = schedule(NIGHTS, ns("2026-03-23T08:00"), ns("2026-04-06T08:00"), "Europe/Paris")
    assert [turn.person for turn in spring] == ["ana", "ben"]
    assert spring[0].end_ns == utc("2026-03-30T06:00") == ns("2026-03-30T08:00")
    assert spring[0].end_ns - spring[0].start_ns == (7 * 24 - 1) * HOUR
    assert spring[1].end_ns - spring[1].start_ns == 7 * 24 * HOUR
    autumn = schedule(NIGHTS, ns("2026-10-19T08:00"), ns("2026-10-26T08:00"), "Europe/Paris")
    assert autumn[0].end_ns - autumn[0].start_ns == (7 * 24 + 1) * HOUR


def test_a_hand_over_in_the_hour_that_is_skipped_or_comes_twice_happens_once() -> None:
    early = Rota("early", ("ana", "ben"), date(2026, 3, 22), hand_over="Sun 02:30")
    assert on_duty(early, utc("2026-03-29T00:59"), "Europe/Paris") == "ana"
    assert on_duty(early, utc("2026-03-29T01:30"), "Europe/Paris") == "ben"  # 03:30, as long after the jump
    turns = schedule(early, utc("2026-10-24T00:00"), utc("2026-10-26T00:00"), "Europe/Paris")
    assert len(turns) == 2
    assert turns[0].end_ns == utc("2026-10-25T00:30")  # the first 02:30


def test_times_outside_of_the_hours_are_nobodys() -> None:
    rota = Rota("nights", ("ana", "ben"), date(2026, 3, 2), hours="17:00-08:00")
    turns = schedule(rota, ns("2026-03-03T00:00"), ns("2026-03-04T00:00"), "Europe/Paris")
    assert [(t.person, t.why) for t in turns] == [("ana", "turn"), ("", "hours"), ("ana", "turn")]
    assert (turns[1].start_ns, turns[1].end_ns) == (ns("2026-03-03T08:00"), ns("2026-03-03T17:00"))
    assert [(t.start_ns, t.end_ns) for t in gaps(rota, ns("2026-03-03T09:00"), "Europe/Paris", 1)] == [
        (ns("2026-03-03T09:00"), ns("2026-03-03T17:00")),
        (ns("2026-03-04T08:00"), ns("2026-03-04T09:00")),
    ]


def test_hours_over_the_change_of_the_clock_are_those_of_the_wall() -> None:
    found = intervals("22:00-06:00", ns("2026-03-28T12:00"), ns("2026-03-29T12:00"), PARIS)
    assert found == [(ns("2026-03-28T22:00"), ns("2026-03-29T06:00"))]
    assert found[0][1] - found[0][0] == 7 * HOUR


@pytest.mark.mission("M14")
def test_holidays_and_exceptions_lie_over_turns() -> None:
    rota = Rota(
        "nights", ("ana", "ben"), date(2026, 12, 21),
        holidays=(Holiday(date(2026, 12, 25), "cho"), Holiday(date(2026, 12, 26))),
        exceptions=(Exchange(local("2026-12-25T20:00"), local("2026-12-26T12:00"), "dan", "concert"),),
    )  # fmt: skip
    turns = schedule(rota, ns("2026-12-24T08:00"), ns("2026-12-28T09:00"), "Europe/Paris")
    assert [(t.person, t.why, t.start_ns) for t in turns] == [
        ("ana", "turn", ns("2026-12-24T08:00")),
        ("cho", "holiday", ns("2026-12-25T08:00")),
        ("dan", "exception", ns("2026-12-25T20:00")),
        ("", "holiday", ns("2026-12-26T12:00")),
        ("ana", "turn", ns("2026-12-27T08:00")),
        ("ben", "turn", ns("2026-12-28T08:00")),
    ]
    assert rota.everybody() == ("ana", "ben", "cho", "dan")
    assert [t.why for t in gaps(rota, ns("2026-12-24T08:00"), "Europe/Paris", 7)] == ["holiday"]


def test_one_person_has_one_long_turn_and_nobody_comes_next() -> None:
    rota = Rota("alone", ("ana",), date(2026, 3, 2))
    now, later = now_and_next(rota, ns("2026-03-03T00:00"), "Europe/Paris")
    assert now.person == "ana"
    assert later is None


@pytest.mark.mission("M14")
@pytest.mark.parametrize(
    ("rota", "problem"),
    [
        (Rota("r", (), date(2026, 1, 1)), "people: nobody is on it"),
        (Rota("r", ("a",) * 51, date(2026, 1, 1)), "people: at most 50"),
        (Rota("r", ("a",), date(2026, 1, 1), weeks=0), "weeks: a turn lasts 1 to 12 weeks"),
        (Rota("r", ("a",), date(2026, 1, 1), hand_over="Monday 8"), "hand_over: must be a day and a time"),
        (Rota("r", ("a",), date(2026, 1, 1), hand_over="Mon 24:00"), "hand_over: must be a day and a time"),
        (Rota("r", ("a",), date(2026, 1, 1), hours="always"), "hours: a window is such as"),
        (Rota("r", ("a",), date(1, 1, 1)), "days lie between"),
        (Rota("1 r", ("a",), date(2026, 1, 1)), "must begin with a letter"),
        (Rota("r", ("a",), date(2026, 1, 1), holidays=(Holiday(date(2026, 1, 1)),) * 2), "a day is named twice"),
        (Rota("r", ("a",), date(2026, 1, 1), exceptions=(Exchange(local("2026-01-02T00:00"), local("2026-01-02T00:00"), "a"),)), "must end after"),
        (Rota("r", ("a",), date(2026, 1, 1), exceptions=(Exchange(local("2026-01-02T00:00+00:00"), local("2026-01-03T00:00"), "a"),)), "without Z or an offset"),
    ],
)  # fmt: skip
def test_a_rota_that_cannot_be_is_refused_by_name(rota: Rota, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        check_rota(rota)


def test_a_schedule_has_an_end() -> None:
    with pytest.raises(ConfigError, match="at most 400 days"):
        schedule(NIGHTS, 0, 401 * 24 * HOUR, "Europe/Paris")

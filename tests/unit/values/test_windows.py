"""Windows of the week: what they hold, and that each opens once, also where the clock is put forward or back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError
from isthmus.values.windows import parse_window

PARIS = "Europe/Paris"
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def at(text: str, zone: str = PARIS, fold: int = 0) -> int:
    local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
    return round(local.timestamp()) * NS_PER_S


@pytest.mark.parametrize(
    ("when", "is_open"),
    [
        ("2026-06-13T21:59", False),
        ("2026-06-13T22:00", True),
        ("2026-06-14T00:00", True),
        ("2026-06-14T05:59:59", True),
        ("2026-06-14T06:00", False),
        ("2026-06-17T23:00", False),
    ],
)
def test_a_window_over_midnight(when, is_open):
    assert parse_window("Sat 22:00-Sun 06:00").is_open(at(when), PARIS) is is_open


def test_daily_and_several_spans_and_over_the_end_of_the_week():
    night = parse_window("22:00-06:00, Wed 12:00-Wed 13:00")
    assert [night.is_open(at(f"2026-06-17T{t}"), PARIS) for t in ("05:59", "06:00", "12:30", "13:00", "22:00")] == [
        True, False, True, False, True,
    ]  # fmt: skip
    over = parse_window("Sun 23:00-Mon 01:00")
    assert [over.is_open(at(t), PARIS) for t in ("2026-06-14T23:30", "2026-06-15T00:30", "2026-06-15T01:00")] == [
        True, True, False,
    ]  # fmt: skip
    assert parse_window("Mon 00:00-Mon 24:00").is_open(at("2026-06-15T23:59"), PARIS)


@pytest.mark.mission("M86")
def test_the_hour_that_is_skipped():
    """In Paris 02:00 to 03:00 of 29 March 2026 does not exist."""
    spring = parse_window("Sun 01:00-Sun 02:30")
    assert spring.is_open(at("2026-03-29T01:59"), PARIS)
    assert not spring.is_open(at("2026-03-29T03:00"), PARIS), "what ends within the gap ends at the jump"
    late = parse_window("Sun 02:30-Sun 04:00")
    assert late.is_open(at("2026-03-29T03:00"), PARIS), "what begins within the gap begins at the jump"
    assert late.opens_ns(at("2026-03-29T00:00"), PARIS) == at("2026-03-29T03:00")
    gone = parse_window("Sun 02:10-Sun 02:50")
    assert gone.opens_ns(at("2026-03-29T00:00"), PARIS) == at("2026-04-05T02:10"), "skipped as a whole: a week later"


@pytest.mark.mission("M86")
def test_the_hour_that_comes_twice():
    """In Paris 02:00 to 03:00 of 25 October 2026 comes twice."""
    inside = parse_window("Sun 02:10-Sun 02:50")
    assert inside.is_open(at("2026-10-25T02:30"), PARIS)
    assert not inside.is_open(at("2026-10-25T02:30", fold=1), PARIS), "it had its turn"
    ends = parse_window("Sun 01:00-Sun 02:30")
    assert ends.is_open(at("2026-10-25T02:15"), PARIS)
    assert not ends.is_open(at("2026-10-25T02:15", fold=1), PARIS)
    over = parse_window("Sat 22:00-Sun 06:00")
    assert over.is_open(at("2026-10-25T02:30"), PARIS)
    assert over.is_open(at("2026-10-25T02:30", fold=1), PARIS)


ZONES = ("Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC")
CHANGES = ("2026-03-06", "2026-03-27", "2026-04-03", "2026-10-02", "2026-10-23", "2026-10-30")
"""Each begins four days in which some clock is changed."""


@given(
    zone=st.sampled_from(ZONES),
    week=st.sampled_from(CHANGES),
    start=st.integers(0, 7 * 24 * 12 - 1),
    length=st.integers(1, 24 * 12),
)
@settings(max_examples=80, deadline=None)
@pytest.mark.mission("M86")
def test_whatever_the_clock_does_a_span_opens_once_and_only_within_its_times(zone, week, start, length):
    """Walks four days minute by minute, in steps of five."""
    first, last = start * 5, (start + length) * 5 % (7 * 24 * 60)
    text = "-".join(f"{DAYS[m // 1440]} {m % 1440 // 60:02}:{m % 60:02}" for m in (first, last))
    window = parse_window(text)
    began = at(f"{week}T00:00", zone) // NS_PER_S
    opened, before = 0, None
    for second in range(began, began + 4 * 86_400, 300):
        is_open = window.is_open(second * NS_PER_S, zone)
        local = datetime.fromtimestamp(second, UTC).astimezone(ZoneInfo(zone))
        minute = local.weekday() * 1440 + local.hour * 60 + local.minute
        if is_open:
            assert (minute - first) % 10_080 < length * 5
        elif local.fold == 0:
            assert (minute - first) % 10_080 >= length * 5
        opened += is_open and before is False
        before = is_open
    assert opened <= 1
    opens = window.opens_ns(began * NS_PER_S, zone)
    assert opens is not None
    assert window.is_open(opens, zone)
    if opens > began * NS_PER_S:
        assert not window.is_open(opens - 60 * NS_PER_S, zone)


@pytest.mark.parametrize(
    "text", ["", "Sat", "Sat 22:00", "Sat 22:00-06:00", "sat 22:00-sun 06:00", "Xyz 22:00-Sun 06:00", "25:00-06:00", "24:30-06:00", "22:60-06:00", "22:00-06:00,", "22:00–06:00"]
)  # fmt: skip
def test_what_is_no_window_says_what_one_is(text):
    with pytest.raises(ConfigError):
        parse_window(text)


def test_the_next_opening_of_several():
    window = parse_window("Wed 12:00-Wed 13:00, Sat 22:00-Sun 06:00")
    now = at("2026-06-18T10:00")
    assert window.opens_ns(now, PARIS) == at("2026-06-20T22:00")
    assert window.opens_ns(now + round(timedelta(days=4).total_seconds()) * NS_PER_S, PARIS) == at("2026-06-24T12:00")


def test_bounds():
    with pytest.raises(ConfigError, match="at most 50"):
        parse_window(", ".join(["01:00-02:00"] * 8))


def test_a_window_that_the_clock_always_skips_has_no_next_opening(monkeypatch):
    monkeypatch.setattr("isthmus.values.windows._opening", lambda *_: None)
    assert parse_window("Sun 02:10-Sun 02:50").opens_ns(at("2026-06-18T10:00"), PARIS) is None

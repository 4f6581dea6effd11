"""Any calendar over any clock change: no gap, no overlap, and what the wall clock says is what holds."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.namespace.model import Calendar, PlannedStop, Shift
from isthmus.production.calendar import CalendarException, Schedule, instant_ns
from isthmus.values.clock import NS_PER_S

pytestmark = pytest.mark.mission("M13", "M50")

DAY_NS = 86_400 * NS_PER_S
ZONES = ["Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Sao_Paulo", "Africa/Cairo"]
"""Lord Howe's clock moves by half an hour."""


@st.composite
def shifts(draw: st.DrawFn) -> tuple[Shift, ...]:
    """Shifts that follow each other through the day, so that none overlap; on drawn days, with a break in some."""
    edges = sorted(draw(st.sets(st.integers(0, 1439), min_size=2, max_size=6)))
    begin = edges[0]
    found = []
    for number, (start, end) in enumerate(pairwise([*edges, begin + 1440])):
        days = draw(st.sets(st.integers(0, 6), max_size=7))
        if not days:
            continue
        pauses: tuple[tuple[int, int, str], ...] = ()
        if end - start > 10 and draw(st.booleans()):
            pauses = ((start + 3, start + 3 + draw(st.integers(1, 5)), "pause"),)
        crews = draw(st.sampled_from([(), ("A",), ("A", "B", "C")]))
        found.append(Shift(f"s{number}", tuple(sorted(days)), start, end, pauses, crews, draw(st.integers(1, 3))))
    return tuple(found)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    stops = draw(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 1400), st.integers(1, 600)), max_size=3))
    planned = tuple(PlannedStop(f"p{i}", (day,), start, start + length) for i, (day, start, length) in enumerate(stops))
    holidays = draw(st.sets(st.dates(date(2025, 1, 1), date(2026, 12, 31)), max_size=4))
    calendar = Calendar(
        "",
        draw(shifts()),
        tuple((day.isoformat(), "holiday") for day in sorted(holidays)),
        planned,
        draw(st.integers(0, 1439)),
        draw(st.sampled_from(["", "2026-01-05", "2027-01-04"])),
    )
    spans = draw(st.lists(st.tuples(st.integers(0, 700), st.integers(1, 3000)), max_size=3))
    kinds = draw(st.lists(st.sampled_from(["closed", "open", "crew"]), min_size=3, max_size=3))
    base = instant(draw(ranges()))
    exceptions = [
        CalendarException(i, "", kind, base + day * DAY_NS // 100, base + day * DAY_NS // 100 + minutes * 60 * NS_PER_S, "x", "Z")
        for i, ((day, minutes), kind) in enumerate(zip(spans, kinds, strict=False))
    ]  # fmt: skip
    return Schedule(calendar, ZoneInfo(draw(st.sampled_from(ZONES))), exceptions)


def ranges() -> st.SearchStrategy[datetime]:
    """Mostly around the nights in which some clock of the list is changed."""
    nights = [(2026, 3, 8), (2026, 3, 29), (2026, 10, 25), (2026, 11, 1), (2026, 4, 5), (2026, 10, 4), (2025, 4, 25)]
    near = st.builds(
        lambda night, minutes: datetime(*night, tzinfo=UTC) + timedelta(minutes=minutes),
        st.sampled_from(nights),
        st.integers(-3000, 3000),
    )
    anywhere = st.datetimes(datetime(2025, 1, 1), datetime(2026, 12, 1), timezones=st.just(UTC))  # noqa: DTZ001  hypothesis wants it so
    return st.one_of(near, anywhere)


def instant(moment: datetime) -> int:
    return int(moment.timestamp()) * NS_PER_S


@given(schedule=schedules(), start=ranges(), minutes=st.integers(1, 6 * 1440))
@settings(max_examples=60, deadline=None)
def test_pieces_tile_any_range(schedule: Schedule, start: datetime, minutes: int) -> None:
    first = instant(start)
    last = first + minutes * 60 * NS_PER_S
    pieces = schedule.pieces(first, last)
    assert (pieces[0].start_ns, pieces[-1].end_ns) == (first, last)
    for one, following in pairwise(pieces):
        assert one.start_ns < one.end_ns == following.start_ns
    for piece in pieces:
        begin, end = schedule.day_span(piece.day)
        assert begin <= piece.start_ns < piece.end_ns <= end
        assert schedule.day_of(piece.start_ns) == piece.day
        held = schedule.at(piece.start_ns)
        assert (held.kind, held.shift, held.crew) == (piece.kind, piece.shift, piece.crew)
    run = sum(p.end_ns - p.start_ns for p in pieces if p.planned)
    assert run == schedule.planned_ns(first, last) == sum(b - a for a, b in schedule.planned(first, last))


@given(schedule=schedules(), start=ranges(), cuts=st.lists(st.integers(1, 4 * 1440), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_planned_time_of_a_range_is_the_sum_of_its_parts(schedule: Schedule, start: datetime, cuts: list[int]) -> None:
    edges = [instant(start) + minutes * 60 * NS_PER_S for minutes in sorted({0, *cuts, 4 * 1440 + 1})]
    parts = sum(schedule.planned_ns(a, b) for a, b in pairwise(edges))
    assert parts == schedule.planned_ns(edges[0], edges[-1])


@given(schedule=schedules(), start=ranges())
@settings(max_examples=40, deadline=None)
def test_shifts_do_not_overlap_and_are_whole(schedule: Schedule, start: datetime) -> None:
    first = instant(start)
    spans = schedule.shifts(first, first + 3 * DAY_NS)
    for one, following in pairwise(spans):
        assert one.end_ns <= following.start_ns
    for span in spans:
        assert span.pieces[0].shift_start_ns == span.start_ns
        again = schedule.shift_at(span.start_ns)
        assert again is not None
        assert (again.start_ns, again.end_ns) == (span.start_ns, span.end_ns)


@given(zone=st.sampled_from(ZONES), start=ranges(), days=shifts(), offset=st.integers(0, 3 * 1440))
@settings(max_examples=100, deadline=None)
def test_what_the_wall_clock_says_is_what_holds(
    zone: str, start: datetime, days: tuple[Shift, ...], offset: int
) -> None:
    """Apart from an hour that comes twice, where the first time counts as the time and the second as what follows."""
    schedule = Schedule(Calendar("", days), ZoneInfo(zone))
    moment = start.replace(second=0, microsecond=0) + timedelta(minutes=offset)
    local = moment.astimezone(ZoneInfo(zone))
    twice = any((moment + timedelta(hours=h)).astimezone(ZoneInfo(zone)).fold for h in (-1, 0, 1))
    if twice:
        return
    minute = local.hour * 60 + local.minute
    wanted = ""
    for shift in days:
        for begin, at in ((local.weekday(), minute), ((local.weekday() - 1) % 7, minute + 1440)):
            if begin in shift.days and shift.start_min <= at < shift.end_min:
                wanted = shift.name
    assert schedule.at(instant(moment)).shift == wanted


@given(zone=st.sampled_from(ZONES), start=ranges(), minutes=st.lists(st.integers(0, 2880), min_size=2, max_size=6))
@settings(max_examples=100, deadline=None)
def test_later_on_the_wall_is_never_earlier_in_time(zone: str, start: datetime, minutes: list[int]) -> None:
    moments = [instant_ns(ZoneInfo(zone), start.toordinal(), minute) for minute in sorted(minutes)]
    assert moments == sorted(moments)
    if moments:
        local = datetime.fromtimestamp(moments[0] // NS_PER_S, UTC).astimezone(ZoneInfo(zone))
        told = (local.toordinal() - start.toordinal()) * 1440 + local.hour * 60 + local.minute
        assert told >= min(minutes)  # it, or the jump over it

"""Exceptions: what is refused, what is kept, and that the calendars in force follow."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from isthmus.app.records import open_records
from isthmus.namespace.model import EMPTY, Asset, Calendar, Plant, Shift
from isthmus.production.exception_store import metadata
from isthmus.production.exceptions import MAX_STANDING, CalendarRoom, Wish
from isthmus.values.clock import NS_PER_S, ManualClock
from isthmus.values.errors import ConfigError, Denied

pytestmark = [pytest.mark.mission("M13", "M50"), pytest.mark.real("sqlite")]

PARIS = ZoneInfo("Europe/Paris")
DAY = Shift("day", (0, 1, 2, 3, 4), 480, 960, ((720, 750, "lunch"),), ("A", "B"))


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=PARIS).timestamp()) * NS_PER_S


def plant() -> Plant:
    paths = ("", "hall", "hall/line1", "hall/line1/filler", "hall/line2", "yard")
    assets = tuple(Asset(p, p, "area", "", p.rpartition("/")[0], i) for i, p in enumerate(paths))
    return replace(EMPTY, version=1, timezone="Europe/Paris", assets=assets, calendars=(Calendar("hall", (DAY,)),))


@pytest.fixture
def engine(tmp_path):
    engine = open_records(tmp_path / "records.sqlite")
    metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def clock():
    return ManualClock(at("2026-03-02T06:00"))


@pytest.fixture
def room(engine, clock):
    known = plant()
    return CalendarRoom(engine, lambda: known, clock)


def wish(kind: str, start: str, end: str, **more: str) -> Wish:
    return Wish(more.pop("path", "hall"), kind, at(start), at(end), **more)  # type: ignore[arg-type]  # one of the kinds


SATURDAY = wish("shift", "2026-03-07T08:00", "2026-03-07T14:00", name="extra", crew="B", reason="late order")


def test_an_extra_shift_holds_until_it_is_withdrawn(room, engine, clock):
    before = room.calendars()
    assert before is room.calendars()
    kept = room.add(SATURDAY, "Sam")
    assert (kept.exception.id, kept.by, kept.reason) == (1, "Sam", "late order")
    assert room.calendars() is not before
    moment = at("2026-03-07T09:00")
    assert room.calendars().of("hall/line1/filler").at(moment).shift == "extra"
    assert room.calendars().of("yard").at(moment).shift == ""
    again = CalendarRoom(engine, plant, clock)
    again.open()
    assert again.calendars().of("hall").at(moment).crew == "B"
    gone = room.withdraw(1, "Ann")
    assert (gone.withdrawn_by, gone.withdrawn_ns) == ("Ann", clock.now_ns())
    assert room.calendars().of("hall").at(moment).shift == ""
    assert room.listed("hall", at("2026-03-01T00:00"), at("2026-04-01T00:00")) == (gone,)
    with pytest.raises(Denied, match="withdrawn by Ann already"):
        room.withdraw(1, "Sam")
    with pytest.raises(LookupError):
        room.withdraw(9, "Sam")
    with pytest.raises(LookupError):
        room.get(9)


def test_an_extra_shift_never_meets_another(room):
    with pytest.raises(Denied, match=r"overlaps with the shift day \(2026-03-04 08:00 to 16:00\)"):
        room.add(wish("shift", "2026-03-04T15:00", "2026-03-04T20:00", name="extra"), "Sam")
    with pytest.raises(Denied, match="overlaps with the shift day"):  # the site's own has none there, the hall's has
        room.add(wish("shift", "2026-03-04T15:00", "2026-03-04T20:00", name="extra", path=""), "Sam")
    room.add(wish("shift", "2026-03-04T15:00", "2026-03-04T20:00", name="extra", path="yard"), "Sam")
    room.add(wish("closed", "2026-03-05T08:00", "2026-03-05T16:00", name="no glass"), "Sam")
    made = room.add(
        wish("shift", "2026-03-05T12:00", "2026-03-05T18:00", name="short"), "Sam"
    )  # the other is called off
    assert room.calendars().of("hall").at(at("2026-03-05T13:00")).shift == "short"
    assert made.exception.id == 3


def test_two_people_do_not_make_the_same_exception(room):
    room.add(wish("closed", "2026-03-04T08:00", "2026-03-04T12:00", name="stock-taking"), "Sam")
    with pytest.raises(
        Denied, match=r"overlaps with exception 1 \(stock-taking, 2026-03-04 08:00 to 12:00\)"
    ) as caught:
        room.add(wish("closed", "2026-03-04T10:00", "2026-03-04T14:00", name="stocktaking"), "Ann")
    assert caught.value.code == "conflict"
    room.add(wish("closed", "2026-03-04T10:00", "2026-03-04T14:00", name="line", path="hall/line1"), "Ann")


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (wish("closed", "2026-03-04T08:00", "2026-03-04T08:00", name="x"), "end: must lie behind start"),
        (wish("closed", "2026-03-04T08:00", "2027-03-06T08:00", name="x"), "end: at most 366 d"),
        (wish("shift", "2026-03-07T08:00", "2026-03-08T09:00", name="x"), "end: at most 1 d"),
        (wish("closed", "2024-03-04T08:00", "2024-03-04T09:00", name="x"), "start: must lie in the last 400 days"),
        (wish("closed", "2036-03-04T08:00", "2036-03-04T09:00", name="x"), "start: must lie in the last 400 days"),
        (wish("closed", "2026-03-04T08:00", "2026-03-04T09:00"), "name: say what it is closed for"),
        (wish("shift", "2026-03-07T08:00", "2026-03-07T09:00", name="a b"), "name: the name of a shift"),
        (wish("crew", "2026-03-04T08:00", "2026-03-04T09:00"), "crew: say which crew comes"),
        (wish("crew", "2026-03-07T08:00", "2026-03-07T09:00", crew="B"), "start: there is no shift in this time"),
        (wish("open", "2026-03-04T08:00", "2026-03-04T09:00"), "start: no break and no planned stop"),
        (wish("open", "2026-03-04T08:00", "2026-03-04T16:00", crew="B"), "crew: only a shift has a crew"),
        (
            wish("shift", "2026-03-07T08:00", "2026-03-07T09:00", name="x", crew="Z"),
            "crew: no calendar of this plant has a crew 'Z', asked for hall; there are: A, B",
        ),
        (
            wish("crew", "2026-03-04T08:00", "2026-03-04T09:00", crew="b", path="hall/line1"),
            "crew 'b', asked for hall/line1; there are: A, B",
        ),
        (wish("closed", "2026-03-04T08:00", "2026-03-04T09:00", name="x", path="hal"), "path: no area, line or asset"),
    ],
)
def test_what_says_nothing_sensible_is_refused(room, bad, told):
    with pytest.raises(ConfigError, match=told):
        room.add(bad, "Sam")
    assert room.listed("", at("2020-01-01T00:00"), at("2040-01-01T00:00")) == ()


def test_a_list_has_what_holds_above_and_what_is_below(room):
    room.add(wish("closed", "2026-03-04T08:00", "2026-03-04T12:00", name="all", path=""), "Sam")
    room.add(wish("closed", "2026-03-04T08:00", "2026-03-04T12:00", name="one", path="hall/line1"), "Sam")
    room.add(wish("closed", "2026-03-04T08:00", "2026-03-04T12:00", name="two", path="hall/line2"), "Sam")
    span = at("2026-03-04T00:00"), at("2026-03-05T00:00")
    assert [k.exception.name for k in room.listed("hall/line1", *span)] == ["all", "one"]
    assert [k.exception.name for k in room.listed("hall", *span)] == ["all", "one", "two"]
    assert room.listed("hall", at("2026-03-05T00:00"), at("2026-03-06T00:00")) == ()
    assert MAX_STANDING >= 1000


def test_the_calendars_follow_the_plant(engine, clock):
    plants = [plant(), replace(plant(), version=2, calendars=())]
    room = CalendarRoom(engine, lambda: plants[0], clock)
    assert room.calendars().of("hall").at(at("2026-03-04T09:00")).shift == "day"
    del plants[0]
    assert room.calendars().of("hall").at(at("2026-03-04T09:00")).shift == ""

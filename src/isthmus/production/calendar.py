"""When production is meant: shifts, crews, breaks, holidays and planned stops at any moment, right also over clock changes.

Pure: everything follows from the plant's calendars and the exceptions people made. A local time that comes twice means the
first one, one the clock jumps over means the jump, so shifts that meet on the wall meet in time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Final, Literal
from zoneinfo import ZoneInfo

from isthmus.namespace.model import Calendar, PlannedStop, Plant, Shift
from isthmus.values.clock import NS_PER_S
from isthmus.values.ids import is_under

Kind = Literal["run", "break", "planned", "holiday", "off"]
"""What a time is meant for: to produce, a break, a planned stop, a holiday, or nothing since no shift is there."""

ExceptionKind = Literal["closed", "open", "shift", "crew"]
"""closed: no production is meant; open: it is, whatever break or planned stop the calendar has; shift: a shift beside the
calendar's; crew: another crew than the one whose turn it is."""

FIRST_WEEK: Final = date(1970, 1, 5)
_NS_PER_MIN: Final = 60 * NS_PER_S
_DAY_MIN: Final = 1_440
_KEPT_DAYS: Final = 4_000


@dataclass(frozen=True, slots=True)
class CalendarException:
    """What people changed about a calendar for once, at a path and all below it. Units: UTC ns"""

    id: int
    path: str
    kind: ExceptionKind
    start_ns: int
    end_ns: int
    name: str = ""  # of the shift, or why
    crew: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """A time in which nothing about the calendar changes. Units: UTC ns"""

    start_ns: int
    end_ns: int
    day: str  # the production day, an ISO date
    kind: Kind
    name: str = ""  # of the break, planned stop or holiday
    shift: str = ""
    crew: str = ""
    shift_start_ns: int = 0  # when its shift began; tells two shifts of one name apart

    @property
    def planned(self) -> bool:
        """Whether production is meant: it is planned busy time (ISO 22400: PBT)."""
        return self.kind == "run"


@dataclass(frozen=True, slots=True)
class ShiftSpan:
    """One shift as it takes place. Units: UTC ns"""

    start_ns: int
    end_ns: int
    day: str  # the production day it begins in
    shift: str
    crew: str
    pieces: tuple[Piece, ...]

    @property
    def planned_ns(self) -> int:
        """How long production is meant in it; 0 for one that was called off."""
        return sum(p.end_ns - p.start_ns for p in self.pieces if p.planned)


class Calendars:
    """All calendars of a plant with all exceptions. Made anew when either changes."""

    def __init__(self, plant: Plant, exceptions: Sequence[CalendarException] = ()) -> None:
        self._zone = ZoneInfo(plant.timezone)
        self._calendars = {calendar.path: calendar for calendar in plant.calendars}
        self._exceptions = tuple(sorted(exceptions, key=lambda e: e.id))
        self._schedules: dict[tuple[str | None, tuple[int, ...]], Schedule] = {}

    def of(self, path: str) -> Schedule:
        """The schedule that holds for an asset, line or area; assets with the same one share it."""
        holding = next((p for p in _upwards(path) if p in self._calendars), None)
        exceptions = tuple(e for e in self._exceptions if is_under(path, e.path))
        key = (holding, tuple(e.id for e in exceptions))
        schedule = self._schedules.get(key)
        if schedule is None:
            calendar = self._calendars[holding] if holding is not None else Calendar("")
            schedule = self._schedules[key] = Schedule(calendar, self._zone, exceptions)
        return schedule


def _upwards(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition("/")[0]
    yield ""


class Schedule:
    """One calendar with the exceptions that hold for it. A day is worked out once and kept.

    Cost: about 0.4 ms for a day not seen before, a few µs for one that was
    """

    def __init__(self, calendar: Calendar, zone: ZoneInfo, exceptions: Sequence[CalendarException] = ()) -> None:
        self.calendar, self.zone = calendar, zone
        self.exceptions = tuple(exceptions)
        self._holidays = dict(calendar.holidays)
        self._first_week = date.fromisoformat(calendar.first_week) if calendar.first_week else FIRST_WEEK
        self._days: dict[int, tuple[Piece, ...]] = {}

    # days

    def day_of(self, time_ns: int) -> str:
        """The production day a moment belongs to, an ISO date."""
        return date.fromordinal(self._ordinal(time_ns)).isoformat()

    def day_span(self, day: str) -> tuple[int, int]:
        """Begin and end of a production day. Units: UTC ns"""
        return self._span(date.fromisoformat(day).toordinal())

    def _span(self, ordinal: int) -> tuple[int, int]:
        start = self.calendar.day_start_min
        return instant_ns(self.zone, ordinal, start), instant_ns(self.zone, ordinal + 1, start)

    def _ordinal(self, time_ns: int) -> int:
        local = datetime.fromtimestamp(time_ns // NS_PER_S, UTC).astimezone(self.zone)
        ordinal = local.toordinal()
        if time_ns < self._span(ordinal)[0]:
            return ordinal - 1
        return ordinal + 1 if time_ns >= self._span(ordinal)[1] else ordinal

    # what holds when

    def at(self, time_ns: int) -> Piece:
        """What holds at a moment."""
        pieces = self._day(self._ordinal(time_ns))
        return pieces[bisect_right(pieces, time_ns, key=lambda p: p.start_ns) - 1]

    def pieces(self, start_ns: int, end_ns: int) -> list[Piece]:
        """Everything in [start, end) without a gap; a piece never reaches over the end of its production day."""
        found: list[Piece] = []
        if start_ns >= end_ns:
            return found
        ordinal = self._ordinal(start_ns)
        while not found or found[-1].end_ns < end_ns:
            day = self._day(ordinal)
            found += [_clipped(p, start_ns, end_ns) for p in day if p.end_ns > start_ns and p.start_ns < end_ns]
            ordinal += 1
        return found

    def planned(self, start_ns: int, end_ns: int) -> list[tuple[int, int]]:
        """The times in [start, end) in which production is meant, joined where they meet."""
        found: list[tuple[int, int]] = []
        for piece in self.pieces(start_ns, end_ns):
            if not piece.planned:
                continue
            if found and found[-1][1] == piece.start_ns:
                found[-1] = (found[-1][0], piece.end_ns)
            else:
                found.append((piece.start_ns, piece.end_ns))
        return found

    def planned_ns(self, start_ns: int, end_ns: int) -> int:
        """How long production is meant in [start, end)."""
        return sum(p.end_ns - p.start_ns for p in self.pieces(start_ns, end_ns) if p.planned)

    def shifts(self, start_ns: int, end_ns: int) -> list[ShiftSpan]:
        """The shifts that take place at some time in [start, end), each whole."""
        reach = 2 * _DAY_MIN * _NS_PER_MIN
        found: dict[int, list[Piece]] = {}
        for piece in self.pieces(start_ns - reach, end_ns + reach):
            if piece.shift:
                found.setdefault(piece.shift_start_ns, []).append(piece)
        spans = [_shift_span(pieces) for pieces in found.values()]
        return [s for s in spans if s.end_ns > start_ns and s.start_ns < end_ns]

    def shift_at(self, time_ns: int) -> ShiftSpan | None:
        """The shift of a moment, None where there is none."""
        piece = self.at(time_ns)
        if not piece.shift:
            return None
        spans = self.shifts(time_ns, time_ns + 1)
        return next((s for s in spans if s.pieces[0].shift_start_ns == piece.shift_start_ns), None)

    # one day

    def _day(self, ordinal: int) -> tuple[Piece, ...]:
        pieces = self._days.get(ordinal)
        if pieces is None:
            if len(self._days) >= _KEPT_DAYS:
                self._days.clear()
            pieces = self._days[ordinal] = tuple(self._work_out(ordinal))
        return pieces

    def _work_out(self, ordinal: int) -> list[Piece]:
        start, end = self._span(ordinal)
        if start >= end:  # a day the zone left out; whoever looks for it finds its neighbours
            return []
        layers = [
            layer
            for layer in (*self._shifts_near(ordinal), *self._planned_near(ordinal), *self._exceptional(start, end))
            if layer.start_ns < end and layer.end_ns > start
        ]
        edges = {start, end}
        for layer in layers:
            edges.update(edge for edge in (layer.start_ns, layer.end_ns) if start < edge < end)
        cuts = sorted(edges)
        blank = self._blank(ordinal)
        found: list[Piece] = []
        for first, last in pairwise(cuts):
            piece = replace(blank, start_ns=first, end_ns=last)
            for layer in layers:
                if layer.start_ns <= first and layer.end_ns >= last:
                    piece = layer.laid_over(piece)
            if found and replace(found[-1], end_ns=last) == replace(piece, start_ns=found[-1].start_ns):
                found[-1] = replace(found[-1], end_ns=last)
            else:
                found.append(piece)
        return found

    def _blank(self, ordinal: int) -> Piece:
        """A day before anything is laid over it: idle where there are shifts, meant for production where there are none."""
        day = date.fromordinal(ordinal).isoformat()
        if day in self._holidays:
            return Piece(0, 0, day, "holiday", self._holidays[day])
        return Piece(0, 0, day, "off" if self.calendar.shifts else "run")

    def _shifts_near(self, ordinal: int) -> Iterator[_Layer]:
        """Shifts that may reach into a production day, then their breaks."""
        for begin in range(ordinal - 2, ordinal + 3):
            day = date.fromordinal(begin)
            if day.isoformat() in self._holidays:
                continue
            for shift in self.calendar.shifts:
                if day.weekday() not in shift.days:
                    continue
                start, end = (instant_ns(self.zone, begin, m) for m in (shift.start_min, shift.end_min))
                if start >= end:  # the clock jumps over all of it
                    continue
                yield _Layer(start, end, "shift", shift.name, self._crew(shift, day))
                for first, last, name in shift.breaks:
                    start, end = (instant_ns(self.zone, begin, m) for m in (first, last))
                    yield _Layer(start, end, "break", name)

    def _crew(self, shift: Shift, day: date) -> str:
        if not shift.crews:
            return ""
        weeks = (day - timedelta(days=day.weekday()) - self._first_week).days // 7
        return shift.crews[weeks // shift.turn_weeks % len(shift.crews)]

    def _planned_near(self, ordinal: int) -> Iterator[_Layer]:
        for begin in range(ordinal - 2, ordinal + 3):
            day = date.fromordinal(begin)
            for stop in self.calendar.planned:
                if day.weekday() in stop.days and _holds(stop, day):
                    start, end = (instant_ns(self.zone, begin, m) for m in (stop.start_min, stop.end_min))
                    yield _Layer(start, end, "planned", stop.name)

    def _exceptional(self, start_ns: int, end_ns: int) -> Iterator[_Layer]:
        for one in self.exceptions:
            if one.start_ns < end_ns and one.end_ns > start_ns:
                kind = "planned" if one.kind == "closed" else one.kind
                yield _Layer(one.start_ns, one.end_ns, kind, one.name, one.crew)


@dataclass(frozen=True, slots=True)
class _Layer:
    """Something that holds over a time; those that come later lie on top."""

    start_ns: int
    end_ns: int
    what: str  # shift, break, planned, open or crew
    name: str = ""
    crew: str = ""

    def laid_over(self, below: Piece) -> Piece:
        match self.what:
            case "shift":
                return replace(
                    below, kind="run", name="", shift=self.name, crew=self.crew, shift_start_ns=self.start_ns
                )
            case "break" if below.shift:
                return replace(below, kind="break", name=self.name)
            case "planned" if below.kind in {"run", "break", "planned"}:
                return replace(below, kind="planned", name=self.name)
            case "open" if below.kind in {"break", "planned"}:
                return replace(below, kind="run", name="")
            case "crew" if below.shift:
                return replace(below, crew=self.crew)
        return below


def _holds(stop: PlannedStop, day: date) -> bool:
    told = day.isoformat()
    return (not stop.first or stop.first <= told) and (not stop.last or told <= stop.last)


def _clipped(piece: Piece, start_ns: int, end_ns: int) -> Piece:
    if piece.start_ns >= start_ns and piece.end_ns <= end_ns:
        return piece
    return replace(piece, start_ns=max(piece.start_ns, start_ns), end_ns=min(piece.end_ns, end_ns))


def _shift_span(pieces: Sequence[Piece]) -> ShiftSpan:
    first = pieces[0]
    return ShiftSpan(first.start_ns, pieces[-1].end_ns, first.day, first.shift, first.crew, tuple(pieces))


def instant_ns(zone: ZoneInfo, ordinal: int, minute: int) -> int:
    """The moment of a local time: the first of two, and the jump where the clock skips it. Units: minutes since midnight"""
    naive = datetime.fromordinal(ordinal) + timedelta(minutes=minute)
    before, after = (naive.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    moment = naive.replace(tzinfo=UTC) - before
    if before < after:
        moment = _jump(zone, naive.replace(tzinfo=UTC) - after, moment)
    return round(moment.timestamp()) * NS_PER_S


def _jump(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """The moment between two at which the clock of a zone is put forward."""
    old = low.astimezone(zone).utcoffset()
    while (high - low).total_seconds() > 1:
        middle = low + timedelta(seconds=round((high - low).total_seconds()) // 2)
        if middle.astimezone(zone).utcoffset() == old:
            low = middle
        else:
            high = middle
    return high

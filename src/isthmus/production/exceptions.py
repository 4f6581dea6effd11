"""Exceptions from calendars: what people change for once, and the calendars in force with all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from isthmus.namespace.model import Plant
from isthmus.production import exception_store as store
from isthmus.production.calendar import CalendarException, Calendars, ExceptionKind, Schedule
from isthmus.production.exception_store import Kept
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError, Denied
from isthmus.values.ids import check_name, is_under

DAY_NS: Final = 86_400 * NS_PER_S
MAX_SPAN_NS: Final = 366 * DAY_NS
MAX_SHIFT_NS: Final = DAY_NS
BACK_NS: Final = 400 * DAY_NS
AHEAD_NS: Final = 5 * 366 * DAY_NS
MAX_STANDING: Final = 5_000
MAX_LISTED: Final = 5_000


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for. ``name`` is that of the shift, or what people read. Units: UTC ns"""

    path: str
    kind: ExceptionKind
    start_ns: int
    end_ns: int
    name: str = ""
    crew: str = ""
    reason: str = ""


class CalendarRoom:
    """Keeps exceptions and answers with the calendars in force. Blocking but ``calendars``; safe from several threads."""

    def __init__(self, engine: Engine, plant: Callable[[], Plant], clock: Clock) -> None:
        self._engine, self._plant, self._clock = engine, plant, clock
        self._lock = threading.Lock()
        self._standing: tuple[Kept, ...] | None = None
        self._known: tuple[Plant, tuple[Kept, ...], Calendars] | None = None

    def open(self) -> None:
        """Read what is kept, so that the first question need not."""
        self._load()

    def calendars(self) -> Calendars:
        """The calendars of the plant in force with all exceptions that hold; the same object until one of both changes."""
        plant, standing = self._plant(), self._load()
        with self._lock:
            known = self._known
            if known is None or known[0] is not plant or known[1] is not standing:
                known = self._known = (plant, standing, Calendars(plant, [k.exception for k in standing]))
            return known[2]

    def listed(self, path: str, start_ns: int, end_ns: int) -> tuple[Kept, ...]:
        """What overlaps [start, end) at, above or below a path, withdrawn ones included, by their begin."""
        with self._engine.begin() as connection:
            found = store.overlapping(connection, start_ns, end_ns, MAX_LISTED)
        return tuple(k for k in found if is_under(k.exception.path, path) or is_under(path, k.exception.path))

    def add(self, wish: Wish, by: str) -> Kept:
        """Make one.

        Raises: ConfigError where it says nothing sensible; Denied (conflict) where it meets a shift or another exception
        """
        self._check(wish)
        made = Kept(
            CalendarException(0, wish.path, wish.kind, wish.start_ns, wish.end_ns, wish.name.strip(), wish.crew),
            wish.reason.strip(),
            by,
            self._clock.now_ns(),
        )
        with self._engine.begin() as connection:
            standing = store.standing(connection)
            if len(standing) >= MAX_STANDING:
                raise Denied(f"there are {MAX_STANDING:,} exceptions; withdraw some first", "conflict")
            self._check_fit(wish, standing)
            ident = store.add(connection, made)
        self._forget()
        return replace(made, exception=replace(made.exception, id=ident))

    def withdraw(self, ident: int, by: str) -> Kept:
        """It holds no more; what it was stays on record.

        Raises: LookupError if there is none; Denied (wrong_state) if it was withdrawn before
        """
        with self._engine.begin() as connection:
            if store.load(connection, ident) is None:
                raise LookupError(ident)
            done = store.withdraw(connection, ident, by, self._clock.now_ns())
            kept = store.load(connection, ident)
        if not done or kept is None:
            told = f" by {kept.withdrawn_by}" if kept is not None else ""
            raise Denied(f"exception {ident} was withdrawn{told} already", "wrong_state")
        self._forget()
        return kept

    def get(self, ident: int) -> Kept:
        """One, whether it holds or not.

        Raises: LookupError
        """
        with self._engine.begin() as connection:
            kept = store.load(connection, ident)
        if kept is None:
            raise LookupError(ident)
        return kept

    # what is kept

    def _load(self) -> tuple[Kept, ...]:
        standing = self._standing
        if standing is None:
            with self._lock:
                if self._standing is None:
                    with self._engine.begin() as connection:
                        self._standing = store.standing(connection)
                standing = self._standing
        return standing

    def _forget(self) -> None:
        with self._lock:
            self._standing = None

    # what is refused

    def _check(self, wish: Wish) -> None:
        plant, now_ns = self._plant(), self._clock.now_ns()
        if not any(asset.path == wish.path for asset in plant.assets):
            raise ConfigError(f"path: no area, line or asset is there, was {wish.path!r}")
        if wish.start_ns >= wish.end_ns:
            raise ConfigError("end: must lie behind start")
        most = MAX_SHIFT_NS if wish.kind == "shift" else MAX_SPAN_NS
        if wish.end_ns - wish.start_ns > most:
            raise ConfigError(f"end: at most {most // DAY_NS} d behind start")
        if wish.start_ns < now_ns - BACK_NS or wish.end_ns > now_ns + AHEAD_NS:
            raise ConfigError("start: must lie in the last 400 days or the next five years")
        if wish.kind == "shift":
            check_name(wish.name, "name: the name of a shift")
        elif wish.kind == "closed" and not wish.name.strip():
            raise ConfigError("name: say what it is closed for")
        if wish.crew:
            check_name(wish.crew, "crew: the name of a crew")
        if wish.kind == "crew" and not wish.crew:
            raise ConfigError("crew: say which crew comes")
        if wish.crew and wish.kind not in {"crew", "shift"}:
            raise ConfigError(f"crew: only a shift has a crew, was {wish.crew!r}")
        if wish.crew:
            _check_crew(plant, wish)

    def _check_fit(self, wish: Wish, standing: tuple[Kept, ...]) -> None:
        plant = self._plant()
        zone = ZoneInfo(plant.timezone)
        for kept in standing:
            one = kept.exception
            same = one.path == wish.path and one.kind == wish.kind
            if same and one.start_ns < wish.end_ns and wish.start_ns < one.end_ns:
                when = _span(one.start_ns, one.end_ns, zone)
                raise Denied(
                    f"overlaps with exception {one.id} ({one.name or one.crew or one.kind}, {when})", "conflict"
                )
        calendars = Calendars(plant, [k.exception for k in standing])
        schedules = list(dict.fromkeys(_schedules(calendars, plant, wish.path)))
        if wish.kind == "shift":
            self._check_no_shift(wish, schedules, zone)
        elif wish.kind != "closed":
            self._check_something(wish, schedules)

    def _check_no_shift(self, wish: Wish, schedules: list[Schedule], zone: ZoneInfo) -> None:
        for schedule in schedules:
            for span in schedule.shifts(wish.start_ns, wish.end_ns):
                if span.planned_ns:
                    when = _span(span.start_ns, span.end_ns, zone)
                    raise Denied(
                        f"overlaps with the shift {span.shift} ({when}); no two shifts at one time", "conflict"
                    )

    def _check_something(self, wish: Wish, schedules: list[Schedule]) -> None:
        pieces = [p for s in schedules for p in s.pieces(wish.start_ns, wish.end_ns)]
        if wish.kind == "crew" and not any(p.shift for p in pieces):
            raise ConfigError("start: there is no shift in this time whose crew could be another")
        if wish.kind == "open" and not any(p.kind in {"break", "planned"} for p in pieces):
            raise ConfigError("start: no break and no planned stop lies in this time; where no shift is, add one")


def _check_crew(plant: Plant, wish: Wish) -> None:
    """Figures are told by crew: a crew nobody knows would be one more, and its figures nobody's. Any of the plant may step in."""
    known = sorted({crew for calendar in plant.calendars for shift in calendar.shifts for crew in shift.crews})
    if wish.crew not in known:
        place, named = wish.path or "the whole site", ", ".join(known) or "none"
        raise ConfigError(
            f"crew: no calendar of this plant has a crew {wish.crew!r}, asked for {place}; there are: {named}"
        )


def _schedules(calendars: Calendars, plant: Plant, path: str) -> Iterator[Schedule]:
    """Every schedule that holds at or below a path."""
    yield calendars.of(path)
    for asset in plant.assets:
        if is_under(asset.path, path):
            yield calendars.of(asset.path)


def _span(start_ns: int, end_ns: int, zone: ZoneInfo) -> str:
    first, last = (datetime.fromtimestamp(ns // NS_PER_S, UTC).astimezone(zone) for ns in (start_ns, end_ns))
    return (
        f"{first:%Y-%m-%d %H:%M} to {last:%H:%M}"
        if first.date() == last.date()
        else f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"
    )

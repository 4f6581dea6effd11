"""Calendars: which shift runs where with which crew, what is planned to stand, and what people changed for once."""

from __future__ import annotations

import asyncio
import re
from datetime import datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from fastapi import Path, Query, Request, Response
from pydantic import Field

from isthmus.namespace.model import Calendar
from isthmus.production.calendar import Schedule, ShiftSpan, instant_ns
from isthmus.production.exception_store import Kept
from isthmus.production.exceptions import CalendarRoom, Wish
from isthmus.security.model import Action, Principal
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError
from isthmus.values.ids import MAX_PATH_CHARS, is_under
from isthmus.values.plant.production import DAY_NAMES
from isthmus.web.access import Room, Seen, Sight, Who, allow
from isthmus.web.audited import told
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.problems import NotFound
from isthmus.web.services import Services
from isthmus.web.sheets import FILES, Form, sheet
from isthmus.web.times import iso, parse_time

router = routes_of("calendar")

MOST_DAYS = 400
_DAY_NS = 86_400 * NS_PER_S
_LOCAL = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d\Z")

Place = Annotated[
    str, Query(max_length=MAX_PATH_CHARS, description="path of an area, a line or a machine; empty: the whole site")
]
When = Annotated[str, Query(max_length=64, description="ISO 8601, now, now-8h; without Z or offset it is plant time")]
ExceptionNumber = Annotated[int, Path(ge=1, le=2**31 - 1)]
Kinds = Literal["closed", "open", "shift", "crew"]


class CalendarPiece(BaseModel):
    start: str
    end: str
    day: str = Field(description="the production day, an ISO date")
    kind: Literal["run", "break", "planned", "holiday", "off"] = Field(
        description="what the time is meant for: `run` is planned busy time"
    )
    name: str = Field(description="of the break, planned stop or holiday")
    shift: str
    crew: str


class CalendarShift(BaseModel):
    shift: str
    crew: str
    start: str
    end: str
    day: str = Field(description="the production day it begins in")
    planned_s: float = Field(description="time meant for production; 0 for a shift that was called off")


class CalendarBreak(BaseModel):
    start: str
    end: str
    name: str


class CalendarRule(BaseModel):
    name: str
    days: list[str] = Field(description="on which it begins")
    start: str = Field(description="plant time")
    end: str = Field(description="plant time; not later than start means the next day")
    breaks: list[CalendarBreak] = Field(default=[])
    crews: list[str] = Field(default=[])
    turn_weeks: int = 1


class CalendarHoliday(BaseModel):
    day: str
    name: str


class CalendarExceptionOut(BaseModel):
    id: int
    path: str
    kind: Kinds
    start: str
    end: str
    name: str
    crew: str
    reason: str
    by: str
    at: str
    withdrawn_by: str
    withdrawn_at: str | None = Field(description="since when it does not hold any more")
    may: bool = Field(description="whether whoever asks may withdraw it")


class CalendarAnswer(BaseModel):
    path: str
    declared_at: str | None = Field(
        description="path of the calendar that holds here; null: none, so all time is meant for production"
    )
    timezone: str
    day_start: str = Field(description="when a production day begins, plant time")
    start: str
    end: str
    planned_s: float = Field(description="time meant for production within the range")
    rules: list[CalendarRule] = Field(description="shifts as declared in the plant file")
    planned: list[CalendarRule] = Field(description="planned stops as declared in the plant file")
    holidays: list[CalendarHoliday]
    shifts: list[CalendarShift]
    pieces: list[CalendarPiece]
    exceptions: list[CalendarExceptionOut] = Field(description="those that hold and overlap the range")
    may: bool = Field(description="whether whoever asks may make exceptions here")
    paths: list[str] = Field(description="where calendars are declared, as far as whoever asks sees")


class CalendarExceptions(BaseModel):
    exceptions: list[CalendarExceptionOut]


class CalendarExceptionIn(BaseModel):
    path: str = Field(max_length=MAX_PATH_CHARS, description="it holds here and below")
    kind: Kinds = Field(
        description="closed: no production is meant; open: work through breaks and planned stops; shift: one more; crew: another crew"
    )
    start: str = Field(
        max_length=64, description="ISO 8601; without Z or offset it is plant time, such as 2026-11-28T06:00"
    )
    end: str = Field(max_length=64)
    name: str = Field("", max_length=120, description="of the shift, or what it is closed for")
    crew: str = Field("", max_length=63)
    reason: str = Field("", max_length=500)


def _room(services: Services) -> CalendarRoom:
    if services.calendar is None:
        raise NotFound("no calendars are kept here", "no_calendar")
    return services.calendar


def _place(services: Services, sight: Sight, path: str) -> str:
    """A place that is there and seen."""
    known = not path or any(asset.path == path for asset in services.live.plant.assets)
    if not known or not (sight.path(path) or (not path and not sight.narrowed)):
        raise NotFound(f"path: there is nothing at {path[:200]!r}", "unknown_path")
    return path


def _moment(services: Services, text: str, name: str) -> int:
    """UTC ns of a text; one without an offset is plant time, in which people think of shifts."""
    if _LOCAL.match(text):
        zone = ZoneInfo(services.live.plant.timezone)
        try:
            local = datetime.fromisoformat(text)
            return instant_ns(zone, local.toordinal(), local.hour * 60 + local.minute)
        except (ValueError, OverflowError):
            raise ConfigError(f"{name}: is no time, was {text!r}") from None
    return parse_time(text, services.clock.now_ns(), name)


def _range(services: Services, start: str, end: str) -> tuple[int, int]:
    start_ns, end_ns = _moment(services, start, "start"), _moment(services, end, "end")
    if not 0 < end_ns - start_ns <= MOST_DAYS * _DAY_NS:
        raise ConfigError(f"start: must lie before end, by at most {MOST_DAYS} days")
    if start_ns < 2 * _DAY_NS or end_ns > 2**62:
        raise ConfigError("start: calendars go from 1970 to 2116")
    return start_ns, end_ns


def _may(services: Services, principal: Principal, path: str) -> bool:
    return services.policies.current().decide(principal, Action.PRODUCTION_PLAN, path).allowed


@router.get("/calendar", dependencies=allow(Action.READ, part=True), response_model=CalendarAnswer, responses=FILES)
async def get_calendar(
    services: Room,
    principal: Who,
    sight: Seen,
    path: Place = "",
    start: When = "now",
    end: When = "",
    form: Form = "json",
) -> CalendarAnswer | Response:
    """What holds at a place: shifts with crew, breaks, planned stops, holidays and exceptions. Without ``end``: a week."""
    room = _room(services)
    path = _place(services, sight, path)
    start_ns = _moment(services, start, "start")
    start_ns, end_ns = _range(services, start, end or iso(start_ns + 7 * _DAY_NS))

    def work() -> CalendarAnswer:
        schedule = room.calendars().of(path)
        kept = [k for k in room.listed(path, start_ns, end_ns) if k.withdrawn_ns is None]
        return _answer(
            services, principal, sight, path, schedule, [k for k in kept if _holds(k, path)], start_ns, end_ns
        )

    answer = await asyncio.to_thread(work)
    if form == "json":
        return answer
    return await sheet(form, f"calendar-{path or 'site'}", answer.pieces)


def _holds(kept: Kept, path: str) -> bool:
    return is_under(path, kept.exception.path)


def _answer(
    services: Services,
    principal: Principal,
    sight: Sight,
    path: str,
    schedule: Schedule,
    exceptions: list[Kept],
    start_ns: int,
    end_ns: int,
) -> CalendarAnswer:
    plant, calendar = services.live.plant, schedule.calendar
    declared = {c.path for c in plant.calendars}
    pieces = schedule.pieces(start_ns, end_ns)
    return CalendarAnswer(
        path=path,
        declared_at=calendar.path if calendar.path in declared else None,
        timezone=plant.timezone,
        day_start=_clock(calendar.day_start_min),
        start=iso(start_ns),
        end=iso(end_ns),
        planned_s=sum(p.end_ns - p.start_ns for p in pieces if p.planned) / NS_PER_S,
        rules=_shift_rules(calendar),
        planned=[
            CalendarRule(name=p.name, days=_days(p.days), start=_clock(p.start_min), end=_clock(p.end_min))
            for p in calendar.planned
        ],
        holidays=[CalendarHoliday(day=day, name=name) for day, name in calendar.holidays],
        shifts=[_shift(s) for s in schedule.shifts(start_ns, end_ns)],
        pieces=[
            CalendarPiece(
                start=iso(p.start_ns),
                end=iso(p.end_ns),
                day=p.day,
                kind=p.kind,
                name=p.name,
                shift=p.shift,
                crew=p.crew,
            )
            for p in pieces
        ],
        exceptions=[_exception(services, principal, k) for k in exceptions],
        may=_may(services, principal, path),
        paths=[c.path for c in plant.calendars if not sight.narrowed or sight.path(c.path)],
    )


def _shift(span: ShiftSpan) -> CalendarShift:
    return CalendarShift(
        shift=span.shift,
        crew=span.crew,
        start=iso(span.start_ns),
        end=iso(span.end_ns),
        day=span.day,
        planned_s=span.planned_ns / NS_PER_S,
    )


def _shift_rules(calendar: Calendar) -> list[CalendarRule]:
    return [
        CalendarRule(
            name=s.name,
            days=_days(s.days),
            start=_clock(s.start_min),
            end=_clock(s.end_min),
            breaks=[CalendarBreak(start=_clock(a), end=_clock(b), name=name) for a, b, name in s.breaks],
            crews=list(s.crews),
            turn_weeks=s.turn_weeks,
        )
        for s in calendar.shifts
    ]


def _days(days: tuple[int, ...]) -> list[str]:
    return [DAY_NAMES[day] for day in days]


def _clock(minutes: int) -> str:
    return f"{minutes // 60 % 24:02}:{minutes % 60:02}"


def _exception(services: Services, principal: Principal, kept: Kept) -> CalendarExceptionOut:
    one = kept.exception
    return CalendarExceptionOut(
        id=one.id,
        path=one.path,
        kind=one.kind,
        start=iso(one.start_ns),
        end=iso(one.end_ns),
        name=one.name,
        crew=one.crew,
        reason=kept.reason,
        by=kept.by,
        at=iso(kept.at_ns),
        withdrawn_by=kept.withdrawn_by,
        withdrawn_at=iso(kept.withdrawn_ns) if kept.withdrawn_ns is not None else None,
        may=kept.withdrawn_ns is None and _may(services, principal, one.path),
    )


@router.get(
    "/calendar/exceptions",
    dependencies=allow(Action.READ, part=True),
    response_model=CalendarExceptions,
    responses=FILES,
)
async def list_calendar_exceptions(
    services: Room,
    principal: Who,
    sight: Seen,
    path: Place = "",
    start: When = "now-30d",
    end: When = "",
    form: Form = "json",
) -> CalendarExceptions | Response:
    """What people changed for once at, above or below a place, withdrawn ones included. Without ``end``: a year."""
    room = _room(services)
    if path or sight.narrowed:
        path = _place(services, sight, path) if path else ""
    start_ns = _moment(services, start, "start")
    start_ns, end_ns = _range(services, start, end or iso(start_ns + 365 * _DAY_NS))
    kept = await asyncio.to_thread(room.listed, path, start_ns, end_ns)
    seen = [k for k in kept if sight.path(k.exception.path) or (not k.exception.path and not sight.narrowed)]
    rows = [_exception(services, principal, k) for k in seen]
    if form == "json":
        return CalendarExceptions(exceptions=rows)
    return await sheet(form, f"exceptions-{path or 'site'}", rows)


@router.post("/calendar/exceptions", dependencies=allow(Action.PRODUCTION_PLAN, part=True), status_code=201)
async def add_calendar_exception(
    services: Room, principal: Who, sight: Seen, body: CalendarExceptionIn, http: Request
) -> CalendarExceptionOut:
    """Change the calendar for once; figures of that time are computed again. 409 `conflict` where it meets a shift or
    another exception.
    """
    room = _room(services)
    path = _place(services, sight, body.path)
    services.policies.current().decide(principal, Action.PRODUCTION_PLAN, path).check()
    start_ns, end_ns = _moment(services, body.start, "start"), _moment(services, body.end, "end")
    wish = Wish(path, body.kind, start_ns, end_ns, body.name, body.crew, body.reason)
    kept = await asyncio.to_thread(room.add, wish, principal.name)
    answer = _exception(services, principal, kept)
    told(http).update(new=answer.model_dump(exclude={"may", "by", "withdrawn_by"}), reason=body.reason)
    await _recompute(services, kept)
    return answer


@router.delete("/calendar/exceptions/{ident}", dependencies=allow(Action.PRODUCTION_PLAN, part=True))
async def withdraw_calendar_exception(
    services: Room, principal: Who, sight: Seen, ident: ExceptionNumber, http: Request
) -> CalendarExceptionOut:
    """An exception holds no more; figures of that time are computed again. 409 `wrong_state` where somebody was faster."""
    room = _room(services)
    try:
        path = (await asyncio.to_thread(room.get, ident)).exception.path
        _place(services, sight, path)
    except (LookupError, NotFound):
        raise NotFound(f"there is no exception {ident}", "unknown_exception") from None
    services.policies.current().decide(principal, Action.PRODUCTION_PLAN, path).check()
    kept = await asyncio.to_thread(room.withdraw, ident, principal.name)
    answer = _exception(services, principal, kept)
    told(http)["old"] = answer.model_dump(exclude={"may", "by", "withdrawn_by"})
    await _recompute(services, kept)
    return answer


async def _recompute(services: Services, kept: Kept) -> None:
    if services.production is not None:
        one = kept.exception
        await services.production.calendar_changed(one.path, one.start_ns, one.end_ns)

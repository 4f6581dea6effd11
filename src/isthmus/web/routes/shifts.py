"""Shifts: which one runs, what it did, the log that goes from one to the next, and the report to print."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Path, Query, Request, Response
from pydantic import Field

from isthmus.production.figures import Figures
from isthmus.production.model import Stop
from isthmus.production.shiftlog import HANDS, MOST_LISTED, MOST_TEXT, Note, NoteKind, ShiftLog
from isthmus.production.shiftreport import ShiftDesk, Span
from isthmus.security.model import Action, Principal
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError
from isthmus.web.access import Room, Seen, Sight, Who, allow
from isthmus.web.audited import told
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.problems import NotFound
from isthmus.web.reports.model import AlarmSummary, ShiftReport, summarised
from isthmus.web.services import Services
from isthmus.web.sheets import FILES, Form, file_name, sheet
from isthmus.web.times import iso, parse_time

router = routes_of("shifts")

MOST_ALARMS = 20_000
MOST_DAYS = 400

Area = Annotated[str, Query(max_length=400, description="path of an area, a line or a machine; empty: the whole site")]
Begin = Annotated[
    str, Query(max_length=64, description="any time within the shift; empty: the one that runs, else the last one")
]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
T = TypeVar("T")


class ShiftSpanOut(BaseModel):
    name: str = Field(description="`day` where the calendar has no shifts here")
    crew: str
    day: str = Field(description="the production day")
    start: str
    end: str


class ShiftNowOut(BaseModel):
    area: str
    now: ShiftSpanOut | None = Field(description="the shift that runs; none between shifts")
    last: ShiftSpanOut | None
    next: ShiftSpanOut | None


class ShiftFiguresOut(BaseModel):
    """Ratios as such: 1 is 100 %. A figure without a denominator is null, and ``why`` says which is missing."""

    oee: float | None
    availability: float | None
    performance: float | None
    quality: float | None
    planned_s: float
    run_s: float
    down_s: float
    unknown_s: float
    unrated_run_s: float = Field(description="of run_s, without an ideal rate or a counter; not in performance and OEE")
    counted: bool = Field(description="whether anything counts pieces here")
    stops: int
    minor_stops: int
    mtbf_s: float | None
    mttr_s: float | None
    total: float
    good: float
    reject: float
    rework: float
    throughput_per_h: float | None
    energy_per_good: float | None
    material_per_good: float | None
    cost: float
    why: dict[str, str]


class ShiftMachineOut(BaseModel):
    asset: str
    figures: ShiftFiguresOut


class ShiftLossOut(BaseModel):
    reason: str = Field(description="empty where nobody said one")
    text: str
    s: float
    count: int
    cost: float


class ShiftHourOut(BaseModel):
    start: str
    end: str
    good: float
    reject: float
    target: float | None = Field(description="pieces that the planned time allows at the ideal rate")


class ShiftMadeOut(BaseModel):
    order: str
    product: str
    good: float
    reject: float
    rework: float


class ShiftStopOut(BaseModel):
    stop: str
    asset: str
    start: str
    end: str
    s: float
    state: str
    reason: str
    text: str
    open: bool = Field(description="the machine still stands")


class ShiftPieceOut(BaseModel):
    start: str
    end: str
    state: str = Field(description="its class: running, idle, stopped, starved, blocked, setup, planned, off, unknown")


class ShiftStripOut(BaseModel):
    asset: str
    pieces: list[ShiftPieceOut]


class ShiftTopAlarmOut(BaseModel):
    alarm: str
    message: str
    priority: str
    count: int


class ShiftAlarmsOut(BaseModel):
    raised: int
    unacknowledged: int
    complete: bool
    counts: dict[str, int] = Field(description="by priority")
    top: list[ShiftTopAlarmOut]


class ShiftTextOut(BaseModel):
    text: str
    by: str
    at: str


class ShiftNoteOut(BaseModel):
    id: int
    version: int = Field(description="the base of a correction")
    path: str
    time: str = Field(description="what it is about")
    kind: NoteKind
    text: str
    open: bool = Field(description="somebody has to see to it")
    by: str
    at: str = Field(description="when this text was written")
    own: bool
    before: list[ShiftTextOut] = Field(description="what it said before, oldest first")
    closed_by: str
    closed_at: str | None
    closing: str


class ShiftLogOut(BaseModel):
    notes: list[ShiftNoteOut]


class ShiftReportOut(BaseModel):
    area: str
    shift: ShiftSpanOut
    until: str = Field(description="the end of the shift, or now while it runs")
    previous: str | None = Field(description="a time within the shift before, for the link to it")
    following: str | None
    currency: str
    figures: ShiftFiguresOut
    machines: list[ShiftMachineOut]
    losses: list[ShiftLossOut]
    hours: list[ShiftHourOut]
    made: list[ShiftMadeOut]
    stops: list[ShiftStopOut] = Field(description="the longest")
    uncoded: int
    strips: list[ShiftStripOut] = Field(description="what each machine did")
    alarms: ShiftAlarmsOut
    notes: list[ShiftNoteOut]
    open: list[ShiftNoteOut] = Field(description="of whatever shift: somebody still has to see to it")
    handover: ShiftNoteOut | None
    takeover: ShiftNoteOut | None


class ShiftNoteIn(BaseModel):
    path: str = Field(max_length=400, description="the object it is about; of a handover the area")
    kind: NoteKind = NoteKind.NOTE
    text: str = Field("", max_length=MOST_TEXT)
    open: bool = Field(
        False, description="somebody has to see to it: it stays on every shift's page until it is closed"
    )
    time: str = Field(
        "", max_length=64, description="of a handover any time within the shift; of a note what it is about"
    )


class ShiftCorrectionIn(BaseModel):
    text: str = Field(min_length=1, max_length=MOST_TEXT)
    base: int = Field(ge=1, le=2**31 - 1, description="the version it takes the place of")


class ShiftClosingIn(BaseModel):
    text: str = Field("", max_length=MOST_TEXT, description="what was done")


def _log(services: Services) -> ShiftLog:
    if services.shift_log is None:
        raise NotFound("no shift log is kept here", "no_shift_log")
    return services.shift_log


def _desk(services: Services) -> ShiftDesk:
    if services.shift_desk is None:
        raise NotFound("nothing is counted here", "no_production")
    return services.shift_desk


def _area(services: Services, sight: Sight, area: str) -> str:
    """A place of the plant that is seen; another is answered like one that does not exist."""
    plant = services.namespace.current()
    if (area and not any(a.path == area for a in plant.assets)) or not sight.path(area):
        raise NotFound(f"there is no asset {area or 'of the whole site'}", "unknown_asset")
    return area


# which shift


@router.get("/shifts/now", dependencies=allow(Action.READ, part=True))
async def get_shift_now(services: Room, sight: Seen, area: Area = "") -> ShiftNowOut:
    """The shift that runs at a place, the one before and the one after."""
    around = _desk(services).around(_area(services, sight, area), services.clock.now_ns())
    spans = [None if span is None else _span(span) for span in (around.now, around.last, around.next)]
    return ShiftNowOut(area=area, now=spans[0], last=spans[1], next=spans[2])


def _find(services: Services, area: str, start: str) -> tuple[Span, Span | None, Span | None]:
    """A shift and its neighbours.

    Raises: NotFound where no shift was at that time
    """
    now_ns = services.clock.now_ns()
    desk = _desk(services)
    if start:
        time_ns = parse_time(start, now_ns, "start")
        around = desk.around(area, time_ns)
        if around.now is None:
            raise NotFound(f"no shift was there at {start[:64]}", "no_shift")
        if around.now.start_ns > now_ns:
            raise NotFound("this shift has not begun", "no_shift")
        return around.now, around.last, around.next
    around = desk.around(area, now_ns)
    if around.now is None and around.last is not None:
        around = desk.around(area, around.last.start_ns)
    if around.now is None:
        raise NotFound("no shift ran in the last week", "no_shift")
    return around.now, around.last, around.next


# the report


@router.get(
    "/shifts/report", dependencies=allow(Action.READ, part=True), response_model=ShiftReportOut, responses=FILES
)
async def get_shift_report(
    services: Room,
    principal: Who,
    sight: Seen,
    area: Area = "",
    start: Begin = "",
    part: Annotated[
        Literal["machines", "losses", "hours", "made", "stops"], Query(description="the table of a file")
    ] = "machines",
    form: Form = "json",
) -> ShiftReportOut | Response:
    """What a shift did, filled in from the facts, with its log."""
    span, before, after = _find(services, _area(services, sight, area), start)
    report = await _report(services, sight, area, span)
    answer = _answer(services, principal, report, before, after)
    if form == "json":
        return answer
    name = f"shift-{area or 'site'}-{span.day}-{span.name}-{part}"
    if part == "machines":
        return await sheet(form, name, [_flat(m) for m in answer.machines])
    return await sheet(form, name, getattr(answer, part))


def _flat(machine: ShiftMachineOut) -> dict[str, Any]:
    return {"asset": machine.asset, **machine.figures.model_dump(exclude={"why"})}


@router.get(
    "/shifts/report.pdf",
    dependencies=allow(Action.READ, part=True),
    response_class=Response,
    responses={200: {"content": {"application/pdf": {"schema": {"type": "string", "format": "binary"}}}}},
)
async def get_shift_report_pdf(
    services: Room,
    sight: Seen,
    area: Area = "",
    start: Begin = "",
    language: Literal["en", "fr", "de"] = "en",
) -> Response:
    """The same as pages to print."""
    span, _, _ = _find(services, _area(services, sight, area), start)
    report = await _report(services, sight, area, span)
    body = await asyncio.to_thread(_pdf, report, language)
    name = file_name(f"shift-{area or 'site'}-{span.day}-{span.name}")
    return Response(
        body, media_type="application/pdf", headers={"content-disposition": f'inline; filename="{name}.pdf"'}
    )


def _pdf(report: ShiftReport, language: str) -> bytes:
    from isthmus.web.reports.shift import shift_pdf  # loaded when somebody prints: it is large

    return shift_pdf(report, language)


async def _report(services: Services, sight: Sight, area: str, span: Span) -> ShiftReport:
    facts = await _desk(services).facts(area, span, sight.path)
    log = _log(services)
    notes = await asyncio.to_thread(log.listed, area, span.start_ns, span.end_ns)
    waiting = await asyncio.to_thread(log.open, area)
    return ShiftReport(
        facts=facts,
        notes=tuple(n for n in reversed(notes) if sight.path(n.path)),
        open=tuple(n for n in waiting if sight.path(n.path)),
        alarms=await _alarms(services, sight, area, span.start_ns, facts.until_ns),
        plant=services.namespace.current(),
        made_ns=services.clock.now_ns(),
    )


async def _alarms(services: Services, sight: Sight, area: str, start_ns: int, end_ns: int) -> AlarmSummary:
    if services.alarms is None:
        return AlarmSummary()
    found = await services.alarms.occurrences(start_ns, end_ns, under=area, limit=MOST_ALARMS)
    seen = [o for o in found if sight.path(o.path)] if sight.narrowed else found
    return summarised(seen, start_ns, end_ns, complete=len(found) < MOST_ALARMS)


# the log


@router.get("/shifts/log", dependencies=allow(Action.READ, part=True), response_model=ShiftLogOut, responses=FILES)
async def get_shift_log(
    services: Room,
    principal: Who,
    sight: Seen,
    under: Area = "",
    start: Annotated[str, Query(max_length=64, description="ISO 8601, now, or now-8h")] = "now-1d",
    end: Annotated[str, Query(max_length=64)] = "now",
    waiting: Annotated[
        bool, Query(alias="open", description="only what somebody still has to see to, of whatever time")
    ] = False,
    before: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="only notes with a smaller number")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 200,
    form: Form = "json",
) -> ShiftLogOut | Response:
    """Notes at or below a path, newest first; what is open oldest first."""
    log, now_ns = _log(services), services.clock.now_ns()
    if waiting:
        found = await asyncio.to_thread(log.open, under, limit)
    else:
        start_ns, end_ns = parse_time(start, now_ns, "start"), parse_time(end, now_ns, "end") + 1  # now is in it
        if not 0 < end_ns - start_ns <= MOST_DAYS * 86_400 * NS_PER_S:
            raise ConfigError(f"start: must lie before end, by at most {MOST_DAYS} days")
        found = await asyncio.to_thread(lambda: log.listed(under, start_ns, end_ns, before=before, limit=limit))
    notes = [_note(n, principal) for n in found if sight.path(n.path)]
    if form == "json":
        return ShiftLogOut(notes=notes)
    return await sheet(form, f"shift-log-{under or 'site'}", notes)


@router.post("/shifts/log", dependencies=allow(Action.PRODUCTION_RECORD, part=True), status_code=201)
async def add_shift_note(services: Room, principal: Who, sight: Seen, body: ShiftNoteIn, http: Request) -> ShiftNoteOut:
    """Write a note on an object, or hand a shift over or take it over; 409 `conflict` where that was done before."""
    path = _area(services, sight, body.path)
    _check(services, principal, Action.PRODUCTION_RECORD, path)
    log, by = _log(services), principal.name

    def work() -> Note:
        if body.kind in HANDS:
            span, _, _ = _find(services, path, body.time)
            return log.hand(path, body.kind, span.start_ns, span.end_ns, body.text, by)
        time_ns = parse_time(body.time, services.clock.now_ns(), "time") if body.time else None
        return log.write(path, body.kind, body.text, by, time_ns=time_ns, open=body.open)

    return await _done(work, principal, http)


@router.post("/shifts/log/{ident}/correct", dependencies=allow(Action.PRODUCTION_RECORD, part=True))
async def correct_shift_note(
    services: Room,
    principal: Who,
    sight: Seen,
    ident: Number,
    body: ShiftCorrectionIn,
    http: Request,
) -> ShiftNoteOut:
    """Another text in the place of one's own; `production.correct` for somebody else's. 409 `conflict` where it changed."""
    note = await _known(services, sight, ident)
    action = Action.PRODUCTION_RECORD if note.by == principal.name else Action.PRODUCTION_CORRECT
    _check(services, principal, action, note.path)
    told(http)["old"] = {"version": note.version}
    return await _done(lambda: _log(services).correct(ident, body.base, body.text, principal.name), principal, http)


@router.post("/shifts/log/{ident}/close", dependencies=allow(Action.PRODUCTION_RECORD, part=True))
async def close_shift_note(
    services: Room,
    principal: Who,
    sight: Seen,
    ident: Number,
    body: ShiftClosingIn,
    http: Request,
) -> ShiftNoteOut:
    """Somebody saw to it; 409 `conflict` where somebody else did before."""
    note = await _known(services, sight, ident)
    _check(services, principal, Action.PRODUCTION_RECORD, note.path)
    return await _done(lambda: _log(services).close(ident, body.text, principal.name), principal, http)


def _check(services: Services, principal: Principal, action: Action, path: str) -> None:
    services.policies.current().decide(principal, action, path).check()


async def _known(services: Services, sight: Sight, ident: int) -> Note:
    note = await _threaded(lambda: _log(services).get(ident))
    if not sight.path(note.path):
        raise NotFound(f"there is no note {ident}", "unknown_note")
    return note


async def _done(work: Callable[[], Note], principal: Principal, http: Request) -> ShiftNoteOut:
    """The note after something was done, and a line of it for the audit trail."""
    note = await _threaded(work)
    told(http)["new"] = {
        "note": note.id,
        "version": note.version,
        "path": note.path,
        "kind": note.kind,
        "open": note.open,
    }
    return _note(note, principal)


async def _threaded(work: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(work)
    except LookupError as error:
        raise NotFound(f"there is no note {error}", "unknown_note") from None


# answers


def _span(span: Span) -> ShiftSpanOut:
    return ShiftSpanOut(name=span.name, crew=span.crew, day=span.day, start=iso(span.start_ns), end=iso(span.end_ns))


def _figures(said: Figures) -> ShiftFiguresOut:
    seconds = {
        f"{name}_s": None if value is None else value / NS_PER_S
        for name, value in {
            "planned": said.planned_ns, "run": said.run_ns, "down": said.down_ns, "unknown": said.unknown_ns,
            "unrated_run": said.unrated_run_ns, "mtbf": said.mtbf_ns, "mttr": said.mttr_ns,
        }.items()
    }  # fmt: skip
    own = {name: getattr(said, name) for name in ShiftFiguresOut.model_fields if not name.endswith("_s")}
    return ShiftFiguresOut.model_validate({**own, **seconds, "why": dict(said.why)})


def _note(note: Note, principal: Principal) -> ShiftNoteOut:
    return ShiftNoteOut(
        id=note.id,
        version=note.version,
        path=note.path,
        time=iso(note.time_ns),
        kind=note.kind,
        text=note.text,
        open=note.open,
        by=note.by,
        at=iso(note.at_ns),
        own=note.by == principal.name,
        before=[ShiftTextOut(text=v.text, by=v.by, at=iso(v.at_ns)) for v in note.before],
        closed_by=note.closed_by,
        closed_at=iso(note.closed_ns) if note.closed_ns else None,
        closing=note.closing,
    )


def _stop(stop: Stop, report: ShiftReport) -> ShiftStopOut:
    return ShiftStopOut(
        stop=stop.id,
        asset=stop.asset,
        start=iso(stop.start_ns),
        end=iso(stop.end_ns),
        s=stop.ns / NS_PER_S,
        state=stop.state_class,
        reason=stop.reason,
        text=report.reason(stop.reason),
        open=stop.open,
    )


def _answer(
    services: Services, principal: Principal, report: ShiftReport, before: Span | None, after: Span | None
) -> ShiftReportOut:
    facts = report.facts
    hands = [report.hand(kind) for kind in HANDS]
    alarms = report.alarms
    begun = after is not None and after.start_ns <= services.clock.now_ns()
    return ShiftReportOut(
        area=facts.area,
        shift=_span(facts.span),
        until=iso(facts.until_ns),
        previous=iso(before.start_ns) if before else None,
        following=iso(after.start_ns) if after is not None and begun else None,
        currency=report.plant.currency,
        figures=_figures(facts.whole),
        machines=[ShiftMachineOut(asset=asset, figures=_figures(said)) for asset, said in facts.machines],
        losses=[
            ShiftLossOut(
                reason=loss.reason,
                text=report.reason(loss.reason),
                s=loss.ns / NS_PER_S,
                count=loss.count,
                cost=loss.cost,
            )
            for loss in facts.losses
        ],
        hours=[
            ShiftHourOut(start=iso(h.start_ns), end=iso(h.end_ns), good=h.good, reject=h.reject, target=h.target)
            for h in facts.hours
        ],
        made=[
            ShiftMadeOut(
                order=m.order,
                product=m.product,
                good=m.figures.good,
                reject=m.figures.reject,
                rework=m.figures.rework,
            )
            for m in facts.made
        ],
        stops=[_stop(stop, report) for stop in facts.stops],
        uncoded=facts.uncoded,
        strips=[
            ShiftStripOut(
                asset=s.asset, pieces=[ShiftPieceOut(start=iso(a), end=iso(b), state=what) for a, b, what in s.pieces]
            )
            for s in facts.strips
        ],
        alarms=ShiftAlarmsOut(
            raised=alarms.raised,
            unacknowledged=alarms.unacknowledged,
            complete=alarms.complete,
            counts=dict(alarms.counts),
            top=[
                ShiftTopAlarmOut(alarm=a.alarm, message=a.message, priority=a.priority, count=a.count)
                for a in alarms.top
            ],
        ),
        notes=[_note(n, principal) for n in report.notes],
        open=[_note(n, principal) for n in report.open],
        handover=_note(hands[0], principal) if hands[0] else None,
        takeover=_note(hands[1], principal) if hands[1] else None,
    )

"""Stops and their reasons, what stopped a line first, calls for help, and improvement actions with what they brought."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Path, Query, Request, Response
from pydantic import Field

from isthmus.namespace.model import Plant
from isthmus.production.model import Entry, Stop
from isthmus.production.stops.actions import ActionChange, ActionDraft, Measured
from isthmus.production.stops.cause import Cause, CauseSum
from isthmus.production.stops.coding import Coded, CodedStop
from isthmus.production.stops.effect import Rate
from isthmus.production.stops.model import HelpRequest, ImprovementAction, Verb
from isthmus.production.stops.requests import times
from isthmus.production.stops.service import StopRoom
from isthmus.security.model import Action, Principal
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError
from isthmus.values.ids import MAX_PATH_CHARS
from isthmus.web.access import Room, Seen, Sight, Who, allow
from isthmus.web.audited import told
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.problems import NotFound
from isthmus.web.services import Services
from isthmus.web.sheets import FILES, Form, sheet
from isthmus.web.times import iso, parse_time

router = routes_of("production")

MOST_ROWS = 10_000
MOST_RANGE_NS = 31 * 86_400 * NS_PER_S
_MOST_NUMBER = 2**31 - 1

Under = Annotated[str, Query(max_length=MAX_PATH_CHARS, description="at or below this path; empty: everything")]
Moment = Annotated[str, Query(max_length=80, description="ISO 8601, or now, now-8h, now-30d")]
StopId = Annotated[str, Field(min_length=3, max_length=MAX_PATH_CHARS + 20, description="asset@start, as listed")]
Number = Annotated[int, Path(ge=1, le=_MOST_NUMBER)]
Base = Annotated[
    int, Field(ge=0, le=_MOST_NUMBER, description="what was seen; refused with 409 when it is another now")
]


class StopCause(BaseModel):
    kind: Literal["own", "machine", "outside", "slow", "unclear"] = Field(
        description="the machine itself; another one of the line; outside of the line; no machine stood, the one named was slow; "
        "the neighbour waits for this one"
    )
    asset: str = Field(description="the machine that stopped it; empty where none did")
    stop: str
    reason: str
    text: str = Field(description="the reason in words")
    state_class: str
    path: list[str] = Field(description="machines the stop came along, from the cause on")


class StopRow(BaseModel):
    id: str
    asset: str
    start: str
    end: str | None = Field(description="null while it stands")
    s: float = Field(description="how long it stood")
    planned_s: float = Field(description="of it within planned time")
    state_class: str
    minor: bool
    asks: bool = Field(description="whether it waits for a reason")
    reason: str
    text: str
    offered: bool = Field(description="whether the plant file still has the reason")
    base: int = Field(description="send it with what you change")
    by: str
    at: str | None
    comment: str
    order: str
    product: str
    shift: str
    team: str
    cause: StopCause | None


class StopList(BaseModel):
    total: int
    asking: int = Field(description="of all in this time, those that wait for a reason")
    stops: list[StopRow] = Field(description="those that wait for a reason first, then the newest")


class StopCauseRow(BaseModel):
    line: str
    machine: str = Field(description="the machine whose stops are the line's")
    kind: str
    asset: str
    reason: str
    text: str
    stops: int
    s: float


class StopCauses(BaseModel):
    causes: list[StopCauseRow] = Field(description="line by line, the longest first")


class StopSpan(BaseModel):
    start: str
    end: str
    state_class: str = Field(description="running, idle, stopped, starved, blocked, setup, planned, off or unknown")
    stop: str = Field(description="the stop it belongs to, if any")


class StopMachine(BaseModel):
    asset: str
    line: str
    spans: list[StopSpan]


class StopTimeline(BaseModel):
    start: str
    end: str
    machines: list[StopMachine] = Field(description="line by line, along the flow")


class StopCode(BaseModel):
    stop: StopId
    reason: str = Field(max_length=200, description="group/reason; empty takes back what was said")
    comment: str = Field("", max_length=1000)
    base: Base = 0


class StopSplit(BaseModel):
    stop: StopId
    at: str = Field(max_length=80, description="ISO 8601, within the stop")
    base: Base = 0


class StopMerge(BaseModel):
    stops: list[StopId] = Field(min_length=2, max_length=50)


class StopsDone(BaseModel):
    stops: list[StopRow] = Field(description="as they are now")


class StopEntry(BaseModel):
    number: int
    kind: str
    start: str
    end: str | None
    reason: str
    text: str
    comment: str
    by: str
    at: str
    replaces: int | None
    taken_back: bool


class StopHistory(BaseModel):
    entries: list[StopEntry]


class StopReason(BaseModel):
    key: str
    group: str
    text: str
    kind: str
    planned: bool
    loss: str
    time: str = Field(description="the time of ISO 22400 it counts as")
    used: int = Field(description="how often it was given at the asset in the last 90 days")
    offered: bool = Field(description="false: it was used, and is no more in the plant file")


class StopReasons(BaseModel):
    reasons: list[StopReason] = Field(description="those used most first")


class StopEvidence(BaseModel):
    asset: str
    cause: str
    text: str
    start: str
    end: str
    tags: list[str]
    link: str


class StopRequestIn(BaseModel):
    asset: str = Field(min_length=1, max_length=MAX_PATH_CHARS)
    kind: Literal["help", "maintenance", "material", "quality"] = "help"
    title: str = Field("", max_length=200)
    text: str = Field("", max_length=1000)
    stop: str = Field("", max_length=MAX_PATH_CHARS + 20, description="the stop it is about, if any")


class StopRequestRow(BaseModel):
    id: int
    kind: str
    title: str
    asset: str
    stop: str
    state: Literal["open", "acknowledged", "answered", "closed"]
    version: int
    evidence: StopEvidence
    asked_by: str
    asked_at: str
    acknowledged_by: str
    acknowledged_at: str | None
    answered_by: str
    answered_at: str | None
    answer: str
    closed_by: str
    closed_at: str | None
    closing: str
    response_s: float | None = Field(description="until somebody took it up")
    repair_s: float | None = Field(description="from then until it was put right")


class StopRequestTimes(BaseModel):
    asked: int
    waiting: int
    response_median_s: float | None
    response_most_s: float | None
    repair_median_s: float | None
    repair_most_s: float | None


class StopRequests(BaseModel):
    times: StopRequestTimes
    requests: list[StopRequestRow]


class StopRequestMove(BaseModel):
    base: Base
    text: str = Field("", max_length=1000, description="what was done, or why it is closed")


class StopVerified(BaseModel):
    saved_min: float
    low_min: float
    high_min: float
    days_before: int
    days_after: int
    at: str
    by: str


class StopActionIn(BaseModel):
    title: str = Field(min_length=1, max_length=200)
    text: str = Field("", max_length=2000)
    under: str = Field("", max_length=MAX_PATH_CHARS)
    loss_by: Literal["reason", "group", "loss", "class"]
    loss_key: str = Field(min_length=1, max_length=200)
    owner: str = Field(min_length=1, max_length=200)
    due: str = Field(max_length=10, description="a date")
    expected_min: float = Field(ge=0, le=10_080, description="minutes a week it is expected to save")
    before_start: str | None = Field(
        None, max_length=80, description="the time it is compared with; the last four weeks if absent"
    )
    before_end: str | None = Field(None, max_length=80)


class StopActionPatch(BaseModel):
    base: Base
    title: str | None = Field(None, min_length=1, max_length=200)
    text: str | None = Field(None, max_length=2000)
    owner: str | None = Field(None, min_length=1, max_length=200)
    due: str | None = Field(None, max_length=10)
    expected_min: float | None = Field(None, ge=0, le=10_080)
    state: Literal["open", "doing", "done", "verified", "dropped"] | None = Field(
        None, description="verified keeps what is measured then"
    )
    done: str | None = Field(None, max_length=80, description="since when it works; now if absent")


class StopActionRow(BaseModel):
    id: int
    title: str
    text: str
    under: str
    loss_by: str
    loss_key: str
    loss_text: str
    owner: str
    due: str
    expected_min: float
    state: Literal["open", "doing", "done", "verified", "dropped"]
    version: int
    before_start: str
    before_end: str
    done: str | None
    created_by: str
    created_at: str
    changed_by: str
    changed_at: str
    verified: StopVerified | None


class StopActions(BaseModel):
    actions: list[StopActionRow] = Field(description="those due first come first")


class StopRate(BaseModel):
    start: str
    end: str
    days: int = Field(description="with at least half an hour of planned time")
    lost_s: float
    planned_s: float
    share: float = Field(description="lost of planned time")


class StopEffect(BaseModel):
    action: int
    before: StopRate | None
    after: StopRate | None
    saved_min: float | None = Field(description="minutes a week; below 0 is more lost than before")
    low_min: float | None
    high_min: float | None
    confidence: float
    proven: bool = Field(description="whether the interval leaves out 0")
    why: str = Field(description="why nobody can say yet; empty where one can")


def _room(services: Services) -> StopRoom:
    if services.stops is None:
        raise NotFound("no production is counted here", "no_production")
    return services.stops


def _range(services: Services, start: str, end: str) -> tuple[int, int]:
    now_ns = services.clock.now_ns()
    start_ns, end_ns = parse_time(start, now_ns, "start"), parse_time(end, now_ns, "end")
    if start_ns >= end_ns:
        raise ConfigError(f"start: must be before end, was {start!r} with end {end!r}")
    if end_ns - start_ns > MOST_RANGE_NS:
        raise ConfigError(f"start: at most 31 days before end, was {start!r}")
    return start_ns, end_ns


def _at(time_ns: int | None) -> str | None:
    return iso(time_ns) if time_ns else None


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / NS_PER_S


def _check(
    services: Services, principal: Principal, sight: Sight, action: Action, path: str, unknown: NotFound
) -> None:
    """Whether somebody may do it there; who does not see it is told that it does not exist."""
    if not sight.path(path):
        raise unknown
    services.policies.current().decide(principal, action, path).check()


def _no_stop(ident: str) -> NotFound:
    return NotFound(f"there is no stop {ident[:200]!r}; it may have been merged or split meanwhile", "unknown_stop")


async def _stop(services: Services, principal: Principal, sight: Sight, action: Action, ident: str) -> Stop:
    try:
        stop = await _room(services).stops.stop(ident)
    except LookupError:
        raise _no_stop(ident) from None
    _check(services, principal, sight, action, stop.asset, _no_stop(ident))
    return stop


def _text(plant: Plant, key: str) -> str:
    return next((r.text for r in plant.reasons if r.key == key), key)


def _cause(plant: Plant, cause: Cause, sight: Sight) -> StopCause:
    hidden = bool(cause.asset) and not sight.path(cause.asset)
    return StopCause(
        kind=cause.kind.value,
        asset="" if hidden else cause.asset,
        stop="" if hidden else cause.stop,
        reason="" if hidden else cause.reason,
        text="" if hidden else _text(plant, cause.reason),
        state_class=cause.state_class.value,
        path=[path for path in cause.path if sight.path(path)],
    )


def _row(plant: Plant, row: CodedStop, sight: Sight) -> StopRow:
    stop = row.stop
    return StopRow(
        id=stop.id,
        asset=stop.asset,
        start=iso(stop.start_ns),
        end=None if stop.open else iso(stop.end_ns),
        s=(stop.end_ns - stop.start_ns) / NS_PER_S,
        planned_s=stop.ns / NS_PER_S,
        state_class=stop.state_class.value,
        minor=stop.minor,
        asks=row.asks,
        reason=stop.reason,
        text=row.text,
        offered=row.offered,
        base=stop.entry,
        by=row.by,
        at=_at(row.at_ns),
        comment=row.comment,
        order=stop.order,
        product=stop.product,
        shift=stop.shift,
        team=stop.team,
        cause=None if row.cause is None else _cause(plant, row.cause, sight),
    )


# --- stops ---------------------------------------------------------------------------------------------------------------


@router.get("/production/stops", dependencies=allow(Action.READ, part=True), response_model=StopList, responses=FILES)
async def list_stops(
    services: Room,
    sight: Seen,
    under: Under = "",
    start: Moment = "now-1d",
    end: Moment = "now",
    uncoded: Annotated[bool, Query(description="only those that wait for a reason")] = False,
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 1000,
    form: Form = "json",
) -> StopList | Response:
    """Stops that overlap [start, end), each with its reason and with what stopped it first."""
    room, (start_ns, end_ns) = _room(services), _range(services, start, end)
    found = await room.stops.listed(under, start_ns, end_ns, uncoded=uncoded)
    seen = [row for row in found if sight.path(row.stop.asset)]
    plant = services.live.plant
    rows = [_row(plant, row, sight) for row in seen[:limit]]
    if form != "json":
        return await sheet(form, "stops", [_flat(row) for row in rows])
    return StopList(total=len(seen), asking=sum(row.asks for row in seen), stops=rows)


def _flat(row: StopRow) -> dict[str, Any]:
    cause = row.cause
    return {
        **row.model_dump(exclude={"cause"}),
        "cause": "" if cause is None else cause.kind,
        "cause_asset": "" if cause is None else cause.asset,
        "cause_reason": "" if cause is None else cause.reason,
    }


@router.get(
    "/production/stops/causes",
    dependencies=allow(Action.READ, part=True),
    response_model=StopCauses,
    responses=FILES,
)
async def list_stop_causes(
    services: Room,
    sight: Seen,
    under: Under = "",
    start: Moment = "now-1d",
    end: Moment = "now",
    form: Form = "json",
) -> StopCauses | Response:
    """What stopped the lines, by the machine that stood first; a machine that waited is never counted as the cause."""
    room, (start_ns, end_ns) = _room(services), _range(services, start, end)
    plant = services.live.plant
    found = await room.stops.causes(under, start_ns, end_ns)
    rows = [_cause_row(plant, row) for row in found if sight.path(row.line) and _shown(row, sight)]
    return StopCauses(causes=rows) if form == "json" else await sheet(form, "causes", rows)


def _shown(row: CauseSum, sight: Sight) -> bool:
    return not row.asset or sight.path(row.asset)


def _cause_row(plant: Plant, row: CauseSum) -> StopCauseRow:
    return StopCauseRow(
        line=row.line,
        machine=row.machine,
        kind=row.kind.value,
        asset=row.asset,
        reason=row.reason,
        text=_text(plant, row.reason),
        stops=row.stops,
        s=row.ns / NS_PER_S,
    )


@router.get("/production/stops/timeline", dependencies=allow(Action.READ, part=True))
async def show_stop_timeline(
    services: Room, sight: Seen, under: Under = "", start: Moment = "now-8h", end: Moment = "now"
) -> StopTimeline:
    """What machines did in [start, end), for a picture: one row a machine."""
    room, (start_ns, end_ns) = _room(services), _range(services, start, end)
    found = await room.stops.timeline(under, start_ns, end_ns)
    machines = [
        StopMachine(
            asset=machine.asset,
            line=machine.line,
            spans=[
                StopSpan(start=iso(i.start_ns), end=iso(i.end_ns), state_class=i.state_class.value, stop=i.stop)
                for i in intervals
            ],
        )
        for machine, intervals in found
        if sight.path(machine.asset)
    ]
    return StopTimeline(start=iso(start_ns), end=iso(end_ns), machines=machines)


@router.get("/production/stops/history", dependencies=allow(Action.READ, part=True))
async def show_stop_history(
    services: Room, principal: Who, sight: Seen, stop: Annotated[str, Query(max_length=MAX_PATH_CHARS + 20)]
) -> StopHistory:
    """All that was ever said of a stop, oldest first."""
    await _stop(services, principal, sight, Action.READ, stop)
    try:
        found = await _room(services).stops.history(stop)
    except LookupError:
        raise _no_stop(stop) from None
    plant = services.live.plant
    return StopHistory(entries=[_entry(plant, entry) for entry in found])


def _entry(plant: Plant, entry: Entry) -> StopEntry:
    reason = str(entry.values.get("reason", ""))
    text = _text(plant, reason)
    return StopEntry(
        number=entry.number,
        kind=entry.kind.value,
        start=iso(entry.start_ns),
        end=_at(entry.end_ns),
        reason=reason,
        text=str(entry.values.get("text") or reason) if text == reason else text,
        comment=str(entry.values.get("comment", "")),
        by=entry.by,
        at=iso(entry.at_ns),
        replaces=entry.replaces or None,
        taken_back=entry.void,
    )


async def _done(services: Services, sight: Sight, http: Request, done: Coded, target: str) -> StopsDone:
    told(http).update(target=f"production/stops/{target}", old=dict(done.old), new=dict(done.new))
    room, plant = _room(services), services.live.plant
    return StopsDone(stops=[_row(plant, await room.stops.described(stop), sight) for stop in done.stops])


@router.post("/production/stops/code", dependencies=allow(Action.PRODUCTION_RECORD, part=True))
async def code_stop(request: StopCode, services: Room, sight: Seen, principal: Who, http: Request) -> StopsDone:
    """Say why a machine stood. Another reason in the place of somebody else's asks for `production.correct`.

    409 `stale_base` tells what somebody else said meanwhile.
    """
    stop = await _stop(services, principal, sight, Action.PRODUCTION_RECORD, request.stop)
    policy = services.policies.current()

    def correct() -> None:
        policy.decide(principal, Action.PRODUCTION_CORRECT, stop.asset).check()

    told(http)["reason"] = request.comment
    try:
        done = await _room(services).stops.code(
            request.stop, request.reason, request.comment.strip(), request.base, principal.name, correct
        )
    except LookupError:
        raise _no_stop(request.stop) from None
    return await _done(services, sight, http, done, request.stop)


@router.post("/production/stops/split", dependencies=allow(Action.PRODUCTION_CORRECT, part=True))
async def split_stop(request: StopSplit, services: Room, sight: Seen, principal: Who, http: Request) -> StopsDone:
    """Make two stops of one; both keep its reason until they are given another."""
    await _stop(services, principal, sight, Action.PRODUCTION_CORRECT, request.stop)
    at_ns = parse_time(request.at, services.clock.now_ns(), "at")
    try:
        done = await _room(services).stops.split(request.stop, at_ns, request.base, principal.name)
    except LookupError:
        raise _no_stop(request.stop) from None
    return await _done(services, sight, http, done, request.stop)


@router.post("/production/stops/merge", dependencies=allow(Action.PRODUCTION_CORRECT, part=True))
async def merge_stops(request: StopMerge, services: Room, sight: Seen, principal: Who, http: Request) -> StopsDone:
    """Make one stop of several of a machine that follow each other."""
    for ident in dict.fromkeys(request.stops):
        await _stop(services, principal, sight, Action.PRODUCTION_CORRECT, ident)
    try:
        done = await _room(services).stops.merge(request.stops, principal.name)
    except LookupError as error:
        raise _no_stop(str(error.args[0])) from None
    return await _done(services, sight, http, done, request.stops[0])


@router.get(
    "/production/reasons", dependencies=allow(Action.READ, part=True), response_model=StopReasons, responses=FILES
)
async def list_reasons(
    services: Room,
    sight: Seen,
    kind: Annotated[Literal["stop", "scrap", "rework"], Query()] = "stop",
    asset: Annotated[str, Query(max_length=MAX_PATH_CHARS, description="counts how often each was given there")] = "",
    form: Form = "json",
) -> StopReasons | Response:
    """Reasons to choose from, those used most at the asset first; then those that were used and are no more offered."""
    found = await _room(services).stops.reasons(kind, asset if asset and sight.path(asset) else "")
    rows = [
        StopReason(
            key=one.key,
            group=one.group,
            text=one.text,
            kind=one.kind,
            planned=one.planned,
            loss=one.loss,
            time=one.time,
            used=one.used,
            offered=one.offered,
        )
        for one in found
    ]
    return StopReasons(reasons=rows) if form == "json" else await sheet(form, "reasons", rows)


# --- requests ------------------------------------------------------------------------------------------------------------


def _request(one: HelpRequest) -> StopRequestRow:
    evidence = one.evidence
    return StopRequestRow(
        id=one.id,
        kind=one.kind,
        title=one.title,
        asset=one.asset,
        stop=one.stop,
        state=one.state.value,
        version=one.version,
        evidence=StopEvidence(
            asset=evidence.asset,
            cause=evidence.cause,
            text=evidence.text,
            start=iso(evidence.start_ns),
            end=iso(evidence.end_ns),
            tags=list(evidence.tags),
            link=evidence.link,
        ),
        asked_by=one.asked_by,
        asked_at=iso(one.asked_ns),
        acknowledged_by=one.acknowledged_by,
        acknowledged_at=_at(one.acknowledged_ns),
        answered_by=one.answered_by,
        answered_at=_at(one.answered_ns),
        answer=one.answer,
        closed_by=one.closed_by,
        closed_at=_at(one.closed_ns),
        closing=one.closing,
        response_s=_seconds(one.response_ns),
        repair_s=_seconds(one.repair_ns),
    )


@router.get(
    "/production/requests", dependencies=allow(Action.READ, part=True), response_model=StopRequests, responses=FILES
)
async def list_requests(
    services: Room,
    sight: Seen,
    under: Under = "",
    start: Annotated[str, Query(max_length=80, description="empty: all that are not closed")] = "",
    end: Moment = "now",
    state: Annotated[list[Literal["open", "acknowledged", "answered", "closed"]], Query(max_length=4)] = [],  # noqa: B006  FastAPI copies it
    form: Form = "json",
) -> StopRequests | Response:
    """Calls for help and maintenance requests, newest first, with how long they took."""
    room = _room(services)
    if start:
        start_ns, end_ns = _range(services, start, end)
        found = await room.requests.listed(start_ns, end_ns, under, state)
    else:
        found = await room.requests.listed(None, services.clock.now_ns() + 1, under, state)
    seen = [one for one in found if sight.path(one.asset)]
    rows = [_request(one) for one in seen]
    if form != "json":
        return await sheet(form, "requests", rows)
    took = times(seen)
    return StopRequests(
        times=StopRequestTimes(
            asked=took.asked,
            waiting=took.waiting,
            response_median_s=took.response_median_s,
            response_most_s=took.response_most_s,
            repair_median_s=took.repair_median_s,
            repair_most_s=took.repair_most_s,
        ),
        requests=rows,
    )


@router.post("/production/requests", dependencies=allow(Action.PRODUCTION_RECORD, part=True), status_code=201)
async def call_for_help(
    request: StopRequestIn, services: Room, sight: Seen, principal: Who, http: Request, response: Response
) -> StopRequestRow:
    """Call for help, or ask for maintenance, with the evidence gathered here. What is asked for already is answered by 200."""
    unknown = NotFound(f"there is no asset {request.asset[:200]!r}", "unknown_asset")
    _check(services, principal, sight, Action.PRODUCTION_RECORD, request.asset, unknown)
    try:
        made, new = await _room(services).call(
            request.asset, request.kind, request.title, request.text, request.stop, principal.name
        )
    except LookupError:
        raise _no_stop(request.stop) from None
    if not new:
        response.status_code = 200
    told(http).update(target=f"production/requests/{made.id}", new={"kind": made.kind, "title": made.title})
    return _request(made)


async def _moved(
    services: Services,
    sight: Sight,
    principal: Principal,
    http: Request,
    ident: int,
    verb: Verb,
    asked: StopRequestMove,
) -> StopRequestRow:
    unknown = NotFound(f"there is no request {ident}", "unknown_request")
    room = _room(services).requests
    try:
        there = await room.request(ident)
        _check(services, principal, sight, Action.PRODUCTION_RECORD, there.asset, unknown)
        before, after = await room.move(ident, verb, asked.text, asked.base, principal.name)
    except LookupError:
        raise unknown from None
    told(http).update(reason=asked.text, old={"state": before.state.value}, new={"state": after.state.value})
    return _request(after)


@router.post("/production/requests/{ident}/acknowledge", dependencies=allow(Action.PRODUCTION_RECORD, part=True))
async def acknowledge_request(
    request: StopRequestMove, services: Room, sight: Seen, principal: Who, http: Request, ident: Number
) -> StopRequestRow:
    """Take it up; the time until now is the response time. Again after an answer that was none."""
    return await _moved(services, sight, principal, http, ident, Verb.ACKNOWLEDGE, request)


@router.post("/production/requests/{ident}/answer", dependencies=allow(Action.PRODUCTION_RECORD, part=True))
async def answer_request(
    request: StopRequestMove, services: Room, sight: Seen, principal: Who, http: Request, ident: Number
) -> StopRequestRow:
    """Say what was done; the time since it was taken up is the repair time."""
    return await _moved(services, sight, principal, http, ident, Verb.ANSWER, request)


@router.post("/production/requests/{ident}/close", dependencies=allow(Action.PRODUCTION_RECORD, part=True))
async def close_request(
    request: StopRequestMove, services: Room, sight: Seen, principal: Who, http: Request, ident: Number
) -> StopRequestRow:
    """Close it; without an answer it needs a reason."""
    return await _moved(services, sight, principal, http, ident, Verb.CLOSE, request)


# --- improvement actions -------------------------------------------------------------------------------------------------


def _action(plant: Plant, one: ImprovementAction) -> StopActionRow:
    measured = one.verified
    return StopActionRow(
        id=one.id,
        title=one.title,
        text=one.text,
        under=one.under,
        loss_by=one.loss_by,
        loss_key=one.loss_key,
        loss_text=_text(plant, one.loss_key),
        owner=one.owner,
        due=one.due,
        expected_min=one.expected_min,
        state=one.state.value,
        version=one.version,
        before_start=iso(one.before_start_ns),
        before_end=iso(one.before_end_ns),
        done=_at(one.done_ns),
        created_by=one.created_by,
        created_at=iso(one.created_ns),
        changed_by=one.changed_by,
        changed_at=iso(one.changed_ns),
        verified=None
        if measured is None
        else StopVerified(
            saved_min=measured.saved_min,
            low_min=measured.low_min,
            high_min=measured.high_min,
            days_before=measured.days_before,
            days_after=measured.days_after,
            at=iso(measured.at_ns),
            by=measured.by,
        ),
    )


def _optional(services: Services, text: str | None, name: str) -> int | None:
    return None if text is None else parse_time(text, services.clock.now_ns(), name)


@router.get(
    "/production/actions", dependencies=allow(Action.READ, part=True), response_model=StopActions, responses=FILES
)
async def list_actions(services: Room, sight: Seen, form: Form = "json") -> StopActions | Response:
    """Improvement actions, those due first first."""
    plant = services.live.plant
    found = await _room(services).actions.listed()
    rows = [_action(plant, one) for one in found if sight.path(one.under)]
    return StopActions(actions=rows) if form == "json" else await sheet(form, "actions", rows)


@router.post("/production/actions", dependencies=allow(Action.PRODUCTION_PLAN, part=True), status_code=201)
async def create_action(
    request: StopActionIn, services: Room, sight: Seen, principal: Who, http: Request
) -> StopActionRow:
    """Somebody does something against a loss until a day."""
    unknown = NotFound(f"there is nothing at {request.under[:200]!r}", "unknown_asset")
    _check(services, principal, sight, Action.PRODUCTION_PLAN, request.under, unknown)
    draft = ActionDraft(
        request.title, request.under, request.loss_by, request.loss_key, request.owner, request.due, request.expected_min,
        request.text, _optional(services, request.before_start, "before_start"),
        _optional(services, request.before_end, "before_end"),
    )  # fmt: skip
    made = await _room(services).actions.create(draft, principal.name)
    told(http).update(target=f"production/actions/{made.id}", new={"title": made.title, "owner": made.owner})
    return _action(services.live.plant, made)


async def _known_action(services: Services, sight: Sight, ident: int) -> ImprovementAction:
    unknown = NotFound(f"there is no action {ident}", "unknown_action")
    try:
        found = await _room(services).actions.get(ident)
    except LookupError:
        raise unknown from None
    if not sight.path(found.under):
        raise unknown
    return found


@router.patch("/production/actions/{ident}", dependencies=allow(Action.PRODUCTION_PLAN, part=True))
async def change_action(
    request: StopActionPatch, services: Room, sight: Seen, principal: Who, http: Request, ident: Number
) -> StopActionRow:
    """Change an action. What it brought is never sent: `verified` keeps what is measured at that moment."""
    found = await _known_action(services, sight, ident)
    services.policies.current().decide(principal, Action.PRODUCTION_PLAN, found.under).check()
    change = ActionChange(
        request.title, request.text, request.owner, request.due, request.expected_min, request.state,
        _optional(services, request.done, "done"),
    )  # fmt: skip
    before, after = await _room(services).actions.change(ident, change, request.base, principal.name)
    old, new = _action(services.live.plant, before), _action(services.live.plant, after)
    fields = [name for name in StopActionRow.model_fields if getattr(old, name) != getattr(new, name)]
    told(http).update(old=old.model_dump(include=set(fields)), new=new.model_dump(include=set(fields)))
    return new


@router.get("/production/actions/{ident}/effect", dependencies=allow(Action.READ, part=True))
async def show_action_effect(services: Room, sight: Seen, ident: Number) -> StopEffect:
    """What an action brought: its loss before and after, as the facts have it, with an interval of 95 %."""
    await _known_action(services, sight, ident)
    return _effect(await _room(services).actions.effect(ident))


def _effect(measured: Measured) -> StopEffect:
    action, effect = measured.action, measured.effect
    saved = None if effect is None else effect.saved
    return StopEffect(
        action=action.id,
        before=_rate(measured.before, action.before_start_ns, action.before_end_ns),
        after=_rate(measured.after, measured.after_start_ns, measured.after_end_ns),
        saved_min=None if saved is None else saved.mean,
        low_min=None if saved is None else saved.low,
        high_min=None if saved is None else saved.high,
        confidence=0.95 if saved is None else saved.confidence,
        proven=saved is not None and saved.proven,
        why=measured.why,
    )


def _rate(rate: Rate | None, start_ns: int, end_ns: int) -> StopRate | None:
    if rate is None:
        return None
    return StopRate(
        start=iso(start_ns),
        end=iso(end_ns),
        days=rate.days,
        lost_s=rate.lost_ns / NS_PER_S,
        planned_s=rate.planned_ns / NS_PER_S,
        share=rate.share,
    )

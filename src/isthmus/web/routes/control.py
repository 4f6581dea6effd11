"""The way back to the machines: points, writes, modes of zones, lock-outs, trips, and changes that nobody recorded."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import Path, Query, Request, Response
from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from isthmus.control import model
from isthmus.control.model import Change, EdgeLine, ModeRow, PointRow, Refusal, Stage, Write
from isthmus.control.trip_list import TripRow
from isthmus.namespace.model import Lockout
from isthmus.security.model import Action, Principal
from isthmus.values import status
from isthmus.values.clock import NS_PER_S
from isthmus.values.ids import MAX_PATH_CHARS, is_under
from isthmus.values.messages.control import Mode
from isthmus.web.access import Room, Seen, Sight, Who, allow
from isthmus.web.audited import told
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.problems import NotFound
from isthmus.web.services import ControlParts, Services
from isthmus.web.times import iso, parse_time

router = routes_of("control")

Under = Annotated[str, Query(max_length=MAX_PATH_CHARS, description="at or below this path; empty: everything")]
Limit = Annotated[int, Query(ge=1, le=1000)]
Before = Annotated[str, Query(max_length=64, description="only what came before this time; now unless told")]
Ident = Annotated[str, Path(max_length=64)]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
Name = Annotated[str, Path(max_length=120)]
Reason = Annotated[str, Field(max_length=model.MAX_REASON_CHARS)]
Value = StrictBool | StrictInt | StrictFloat | StrictStr


class InputAnswer(BaseModel):
    path: str
    value: float | int | str | None
    status: str
    age_s: float | None


class InterlockAnswer(BaseModel):
    expression: str
    holds: bool | None = Field(
        description="by core's live values; null where that is not known. The truth is the edge's"
    )
    inputs: list[InputAnswer]


class MayAnswer(BaseModel):
    allowed: bool
    code: str = Field(description="empty when allowed")
    reason: str
    clears: str = Field(description="what would clear it")


class RecentAnswer(BaseModel):
    id: str
    state: str
    value: float | int | str
    by: str
    at: str


class PointAnswer(BaseModel):
    path: str
    unit: str
    value: float | int | str | None = Field(description="null where it is not good")
    low: float | None
    high: float | None
    step: float | None = Field(description="the most it may change at once")
    rate_s: float | None = Field(description="the most it may change per second")
    role: str
    second_person: bool
    needs_reason: bool
    safe_direction: Literal["up", "down", ""]
    hold_s: float = Field(description="lease: so long after a write its safe value is written; 0: it stays")
    safe: float | int | None
    interlock: InterlockAnswer | None
    local: bool | None = Field(
        description="operated at the machine; null where that is not known, or there is no such switch"
    )
    zone: str
    mode: str
    lockout: str = Field(description="who locked it out and why; empty where nobody did")
    may: MayAnswer
    recent: RecentAnswer | None


class Points(BaseModel):
    points: list[PointAnswer]


class SelectRequest(BaseModel):
    path: str = Field(max_length=MAX_PATH_CHARS)


class SelectionAnswer(BaseModel):
    selection: str
    expires_at: str
    value: float | int | str | None = Field(description="what is shown; the write is held against it")
    point: PointAnswer


class WriteRequest(BaseModel):
    path: str = Field(max_length=MAX_PATH_CHARS)
    value: Value
    selection: str = Field("", max_length=64, description="of POST control/selections; who signed in needs one")
    base: StrictInt | StrictFloat | StrictStr | None = Field(
        None, description="the value shown; another one is refused"
    )
    reason: Reason = ""


class WriteAnswer(BaseModel):
    id: str
    path: str
    tag: int
    value: float | int | str
    unit: str
    base: float | int | str | None
    state: Literal["awaiting_approval", "sent", "done", "denied", "uncertain", "expired", "rejected"]
    settled: bool = Field(description="false while it waits for somebody, or the edge is asked how it ended")
    by: str
    approved_by: str
    reason: str = Field(description="how it ended, where there is a code; else why it was asked for")
    why: str = Field(description="why it was asked for")
    code: str
    clears: str
    requested_at: str
    expires_at: str | None = Field(description="until when it waits for a second person")
    sent_at: str | None
    done_at: str | None
    read_back: float | int | str | None
    before: float | int | str | None = Field(description="what the device held before")
    edge: str
    own: bool = Field(description="whether whoever asks is who asked for it")


class Writes(BaseModel):
    writes: list[WriteAnswer]


class WriteRejection(BaseModel):
    reason: Reason


class ModeAnswer(BaseModel):
    zone: str
    mode: Literal["normal", "safe-direction-only", "halted"]
    by: str
    reason: str
    since: str | None
    edges: list[str]
    pending: list[str] = Field(description="edges that have not confirmed it yet")


class ModesAnswer(BaseModel):
    modes: list[ModeAnswer]


class ModeRequest(BaseModel):
    mode: Mode
    reason: Reason


class LockedOutAnswer(BaseModel):
    path: str
    who: str
    why: str
    since: str
    declared: bool = Field(description="by the plant file; only a plan takes it away")


class LockoutsAnswer(BaseModel):
    lockouts: list[LockedOutAnswer]


class LockoutRequest(BaseModel):
    path: str = Field(max_length=MAX_PATH_CHARS)
    why: Reason


class TripAnswer(BaseModel):
    name: str
    asset: str
    edge: str
    state: Literal["armed", "tripped", "test", "cannot judge", "unknown"]
    cause: str
    since: str | None
    votes: list[str]
    need: int
    message: str
    priority: str
    actions: int = Field(description="how many values it writes; 0: an alert only")


class Trips(BaseModel):
    trips: list[TripAnswer]


class TripRequest(BaseModel):
    reason: Reason


class UnexplainedAnswer(BaseModel):
    id: int
    path: str
    kind: Literal["unexplained", "local"]
    state: Literal["open", "accepted", "recorded"]
    before: float | int | str | None
    value: float | int | str | None
    unit: str
    at: str
    seen_at: str
    by: str
    reason: str
    accepted_at: str | None


class Unexplained(BaseModel):
    changes: list[UnexplainedAnswer]


class ControlJournalLine(BaseModel):
    at: str
    kind: str = Field(description="write, unexplained, local, or what an edge noted: lease, trip, mode, lock")
    path: str
    text: str
    by: str
    edge: str
    id: str


class ControlJournal(BaseModel):
    lines: list[ControlJournalLine]


def parts_of(services: Services) -> ControlParts:
    """The room, where there is one."""
    if services.control is None:
        raise NotFound("nothing is controlled here", "no_control")
    return services.control


# points and writes


@router.get("/control/points", dependencies=allow(Action.READ, part=True))
async def list_points(services: Room, principal: Who, under: Under = "") -> Points:
    """Points that may be written, with their interlocks as core sees them and whether whoever asks may write them now."""
    return Points(points=[_point(row) for row in parts_of(services).control.points(principal, under)])


@router.post("/control/selections", dependencies=allow(Action.WRITE, part=True), status_code=201)
async def select_point(services: Room, principal: Who, request: SelectRequest, http: Request) -> SelectionAnswer:
    """Choose a point for one write: good for a minute, once, and against the value it shows now."""
    control = parts_of(services).control
    told(http)["target"] = request.path
    try:
        chosen = await control.select(principal, request.path)
    except LookupError:
        raise _no_tag(request.path) from None
    row = next(row for row in control.points(principal, request.path) if row.tag.path == request.path)
    return SelectionAnswer(
        selection=chosen.id, expires_at=iso(chosen.expires_ns), value=chosen.value, point=_point(row)
    )


@router.post("/control/writes", dependencies=allow(Action.WRITE, part=True))
async def request_write(
    services: Room, principal: Who, request: WriteRequest, http: Request, response: Response
) -> WriteAnswer:
    """Write a point. 200 with the finished write, whatever became of it at the edge; 202 while it waits for a person or an answer."""
    control = parts_of(services).control
    told(http).update(target=request.path, reason=request.reason, new=_shown(request.value), old=request.base)
    try:
        done = await control.write(
            principal,
            request.path,
            request.value,
            selection=request.selection,
            base=request.base,
            reason=request.reason,
        )
    except LookupError:
        raise _no_tag(request.path) from None
    told(http).update(old=done.base, target=f"{done.path} {done.id} {done.state}")
    response.status_code = 200 if done.settled else 202
    return _write(done, principal)


@router.get("/control/writes", dependencies=allow(Action.READ, part=True))
async def list_writes(
    services: Room, principal: Who, sight: Seen, under: Under = "", limit: Limit = 100, before: Before = "now"
) -> Writes:
    """The journal of writes, newest first."""
    found = await parts_of(services).control.writes(under, before_ns=_before(services, before), limit=limit)
    return Writes(writes=[_write(w, principal) for w in found if _sees(services, sight, w.path)])


@router.get("/control/writes/{ident}", dependencies=allow(Action.READ, part=True))
async def get_write(services: Room, principal: Who, sight: Seen, ident: Ident) -> WriteAnswer:
    """One write."""
    try:
        found = await parts_of(services).control.get(ident)
    except LookupError:
        raise _no_write(ident) from None
    if not _sees(services, sight, found.path):
        raise _no_write(ident)
    return _write(found, principal)


@router.post("/control/writes/{ident}/approve", dependencies=allow(Action.CONTROL_APPROVE, part=True))
async def approve_write(services: Room, principal: Who, ident: Ident, http: Request, response: Response) -> WriteAnswer:
    """Agree to a write as a second person: it is checked anew and sent."""
    try:
        done = await parts_of(services).control.approve(principal, ident)
    except LookupError:
        raise _no_write(ident) from None
    told(http).update(target=f"{done.path} {done.id} {done.state}", new=done.value, old=done.base, reason=done.why)
    response.status_code = 200 if done.settled else 202
    return _write(done, principal)


@router.post("/control/writes/{ident}/reject", dependencies=allow(Action.CONTROL_APPROVE, part=True))
async def reject_write(
    services: Room, principal: Who, ident: Ident, request: WriteRejection, http: Request
) -> WriteAnswer:
    """Say no to a write that waits, take back one's own, or give up asking how one ended."""
    told(http)["reason"] = request.reason
    try:
        done = await parts_of(services).control.reject(principal, ident, request.reason)
    except LookupError:
        raise _no_write(ident) from None
    told(http).update(target=f"{done.path} {done.id} {done.state}", new=done.value)
    return _write(done, principal)


# modes, lock-outs, trips


@router.get("/control/modes", dependencies=allow(Action.READ, part=True))
async def list_modes(services: Room, principal: Who, sight: Seen) -> ModesAnswer:
    """What each zone lets pass, and which edges have not confirmed it yet."""
    return ModesAnswer(
        modes=[
            _mode(row) for row in parts_of(services).control.modes.rows() if _sees_zone(services, principal, sight, row)
        ]
    )


@router.put("/control/modes/{zone}", dependencies=allow(Action.READ, part=True))
async def set_mode(
    services: Room, principal: Who, sight: Seen, zone: Name, request: ModeRequest, http: Request
) -> ModeAnswer:
    """Change what a zone lets pass. Stricter: whoever may write there. Letting more pass: `control.mode`."""
    modes = parts_of(services).control.modes
    told(http).update(reason=request.reason, old=str(modes.of(zone)), new=str(request.mode))
    try:
        return _mode(await modes.set(principal, zone, request.mode, request.reason))
    except LookupError:
        raise NotFound(f"the plant has no zone {zone}", "unknown_zone") from None


@router.get("/control/lockouts", dependencies=allow(Action.READ, part=True))
async def list_lockouts(services: Room, sight: Seen, under: Under = "") -> LockoutsAnswer:
    """What is locked out: while it stands nothing there or below is written."""
    held, own = services.policies.current().lockouts, services.lockouts.all()
    return LockoutsAnswer(
        lockouts=[
            LockedOutAnswer(path=path, who=one.who, why=one.why, since=one.since, declared=path not in own)
            for path, one in sorted(held.items())
            if is_under(path, under) and _sees(services, sight, path)
        ]
    )


@router.post("/control/lockouts", dependencies=allow(Action.CONTROL_LOCKOUT, part=True), status_code=201)
async def lock_out(
    services: Room, principal: Who, sight: Seen, request: LockoutRequest, http: Request
) -> LockedOutAnswer:
    """Lock a tag, an asset or connections/NAME out, in one's own name."""
    told(http).update(target=f"lockouts {request.path}", reason=request.why)
    _check_lockable(services, principal, sight, request.path)
    if not request.why.strip():
        raise Refusal("reason_needed", "say why it is locked out")
    since = datetime.fromtimestamp(services.clock.now_ns() // NS_PER_S, UTC).isoformat().replace("+00:00", "Z")
    lockout = Lockout(principal.name, request.why, since)
    await asyncio.to_thread(services.lockouts.lock, request.path, lockout)
    told(http)["new"] = {"why": request.why}
    return LockedOutAnswer(path=request.path, who=lockout.who, why=lockout.why, since=since, declared=False)


@router.delete("/control/lockouts/{path:path}", dependencies=allow(Action.CONTROL_LOCKOUT, part=True), status_code=204)
async def take_lockout_away(
    services: Room,
    principal: Who,
    sight: Seen,
    path: Annotated[str, Path(max_length=MAX_PATH_CHARS)],
    http: Request,
    reason: Annotated[str, Query(max_length=model.MAX_REASON_CHARS, description="needed for somebody else's")] = "",
) -> None:
    """Take a lock-out away: one's own; somebody else's with `control.mode` and a reason."""
    told(http).update(target=f"lockouts {path}", reason=reason)
    _check_lockable(services, principal, sight, path, gone=True)
    held = services.lockouts.all().get(path)
    if held is None:
        raise NotFound(
            f"nothing locks {path} out at run time; what the plant file locks only a plan takes away", "unknown_lockout"
        )
    if held.who != principal.name:
        services.policies.current().decide(principal, Action.CONTROL_MODE, path).check()
        if not reason.strip():
            raise Refusal(
                "reason_needed", f"{path} is locked out by {held.who}", "say why it is taken away in their place"
            )
    told(http)["old"] = {"why": held.why}
    await asyncio.to_thread(services.lockouts.unlock, path)


@router.get("/control/trips", dependencies=allow(Action.READ, part=True))
async def list_trips(services: Room, principal: Who) -> Trips:
    """Trips, judged at the edges, and how they are."""
    return Trips(trips=[_trip(row) for row in parts_of(services).trips.rows(principal)])


@router.post("/control/trips/{name}/{do}", dependencies=allow(Action.READ, part=True))
async def command_trip(
    services: Room, principal: Who, name: Name, do: Literal["reset", "test"], request: TripRequest, http: Request
) -> TripAnswer:
    """Reset a trip that fired (`control.write` at its asset), or test one (`control.mode`)."""
    told(http).update(target=f"trips/{name}", reason=request.reason, new=do)
    try:
        return _trip(await parts_of(services).trips.command(principal, name, do, request.reason))
    except LookupError:
        raise NotFound(f"the plant has no trip {name}", "unknown_trip") from None


# what nobody recorded, and the journal


@router.get("/control/unexplained", dependencies=allow(Action.READ, part=True))
async def list_unexplained(
    services: Room,
    sight: Seen,
    under: Under = "",
    state: Literal["", "open", "accepted", "recorded"] = "",
    kind: Literal["", "unexplained", "local"] = "",
    limit: Limit = 100,
    before: Before = "now",
) -> Unexplained:
    """Changes of guarded points that no write explains, and those made at the machines, newest first."""
    found = await parts_of(services).watch.changes(
        under, state=state, kind=kind, before_ns=_before(services, before), limit=limit
    )
    return Unexplained(changes=[_change(one) for one in found if _sees(services, sight, one.path)])


@router.post("/control/unexplained/{n}/accept", dependencies=allow(Action.WRITE, part=True))
async def accept_unexplained(
    services: Room, principal: Who, sight: Seen, n: Number, request: WriteRejection, http: Request
) -> UnexplainedAnswer:
    """Say where a change comes from; its alarm ends."""
    watch = parts_of(services).watch
    told(http)["reason"] = request.reason
    try:
        change = await watch.change(n)
        if not _sees(services, sight, change.path):
            raise LookupError(n)
        _check_accept(services, principal, change.path)
        done = await watch.accept(principal, n, request.reason)
    except LookupError:
        raise NotFound(f"there is no change {n}", "unknown_change") from None
    told(http).update(target=done.path, old=done.before, new=done.value)
    return _change(done)


@router.get("/control/journal", dependencies=allow(Action.READ, part=True))
async def get_journal(
    services: Room,
    sight: Seen,
    under: Under = "",
    text: Annotated[str, Query(max_length=200, description="anywhere in the line")] = "",
    edges: Annotated[bool, Query(description="only what edges noted, their side of each write too")] = False,
    limit: Limit = 100,
    before: Before = "now",
) -> ControlJournal:
    """Everything about writing, newest first: writes, changes nobody recorded, and what edges noted."""
    parts, bound = parts_of(services), _before(services, before)
    lines = await parts.lines.listed(under, before_ns=bound, limit=1000)
    found = [(line.time_ns, _line_of_edge(line)) for line in lines if edges or line.kind != "write"]
    if not edges:
        writes, changes = await asyncio.gather(
            parts.control.writes(under, before_ns=bound, limit=1000),
            parts.watch.changes(under, before_ns=bound, limit=1000),
        )
        found += [(w.requested_ns, _line_of_write(w)) for w in writes]
        found += [(c.time_ns, _line_of_change(c)) for c in changes]
    wanted = text.casefold()
    shown = [
        line
        for _, line in sorted(found, key=lambda pair: -pair[0])
        if (_sees(services, sight, line.path) if line.path else not sight.narrowed)
        and (not wanted or wanted in f"{line.kind} {line.path} {line.text} {line.by} {line.id}".casefold())
    ]
    return ControlJournal(lines=shown[:limit])


# small parts


def _before(services: Services, text: str) -> int:
    now_ns = services.clock.now_ns()
    return now_ns + 1 if text == "now" else parse_time(text, now_ns, "before")


def _sees(services: Services, sight: Sight, path: str) -> bool:
    tag = services.namespace.current().by_path.get(path)
    return sight.path(path) if tag is None else sight.tag(tag)


def _sees_zone(services: Services, principal: Principal, sight: Sight, row: ModeRow) -> bool:
    """A zone that may be read, or has a point that may."""
    if not sight.narrowed:
        return True
    policy, plant = services.policies.current(), services.namespace.current()
    if policy.decide(principal, Action.READ, zone=row.zone).allowed:
        return True
    tags = (plant.by_id[p.tag] for p in plant.points if p.tag in plant.by_id)
    return any(sight.tag(tag) and policy.zone_at(tag.path) == row.zone for tag in tags)


def _check_lockable(services: Services, principal: Principal, sight: Sight, path: str, *, gone: bool = False) -> None:
    """Raises: NotFound, Denied; ``gone``: what the plant has no more can be unlocked all the same"""
    plant = services.namespace.current()
    known = path in plant.by_path or any(a.path == path for a in plant.assets if a.path)
    known = known or path in {f"connections/{c.name}" for c in plant.connections}
    if not (known or gone) or not _sees(services, sight, path):
        raise NotFound(f"the plant has no {path}", "unknown_path")
    services.policies.current().decide(principal, Action.CONTROL_LOCKOUT, path).check()


def _check_accept(services: Services, principal: Principal, path: str) -> None:
    """Whoever may write there, also while it is locked out: this writes nothing."""
    answer = services.policies.current().decide(principal, Action.WRITE, path)
    if answer.code not in ("", "locked_out", "role_state"):
        answer.check()


def _no_tag(path: str) -> NotFound:
    return NotFound(f"there is no tag {path[:MAX_PATH_CHARS]}", "unknown_tag")


def _no_write(ident: str) -> NotFound:
    return NotFound(f"there is no write {ident}", "unknown_write")


def _shown(value: Value) -> object:
    """A value as the audit trail takes it: JSON knows no NaN, and an int no more than 64 bits."""
    if isinstance(value, float) and not -1e308 <= value <= 1e308:
        return str(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)[:80]
    return value[:200] if isinstance(value, str) else value


def _iso(time_ns: int | None) -> str | None:
    return iso(time_ns) if time_ns else None


def _point(row: PointRow) -> PointAnswer:
    point, recent = row.point, row.recent
    low, high = model.limits(row.tag, point)
    inputs = [
        InputAnswer(
            path=i.path,
            value=i.value,
            status=status.name(i.status),
            age_s=None if i.age_s is None else round(i.age_s, 3),
        )
        for i in row.inputs
    ]
    return PointAnswer(
        path=row.tag.path,
        unit=row.tag.unit,
        value=row.value,
        low=low,
        high=high,
        step=point.step,
        rate_s=point.rate_s,
        role=point.role,
        second_person=point.second_person,
        needs_reason=point.needs_reason,
        safe_direction="up" if point.direction > 0 else "down" if point.direction < 0 else "",
        hold_s=point.hold_s,
        safe=point.safe,
        interlock=InterlockAnswer(expression=point.interlock, holds=row.holds, inputs=inputs) if point.interlock else None,
        local=row.local,
        zone=row.zone,
        mode=str(row.mode),
        lockout=row.lockout,
        may=MayAnswer(allowed=row.may.allowed, code=row.may.code, reason=row.may.reason, clears=row.may.clears),
        recent=None
        if recent is None
        else RecentAnswer(
            id=recent.id, state=str(recent.state), value=recent.value, by=recent.by,
            at=iso(recent.done_ns or recent.sent_ns or recent.requested_ns),
        ),
    )  # fmt: skip


def _write(write: Write, principal: Principal) -> WriteAnswer:
    return WriteAnswer(
        id=write.id,
        path=write.path,
        tag=write.tag,
        value=write.value,
        unit=write.unit,
        base=write.base,
        state=write.state.value,
        settled=write.settled,
        by=write.by,
        approved_by=write.approved_by,
        reason=write.detail if write.code else write.why,
        why=write.why,
        code=write.code,
        clears=write.clears,
        requested_at=iso(write.requested_ns),
        expires_at=_iso(write.expires_ns) if write.state is Stage.AWAITING else None,
        sent_at=_iso(write.sent_ns),
        done_at=_iso(write.done_ns),
        read_back=write.read_back,
        before=write.before,
        edge=write.edge,
        own=model.same_person(write, principal),
    )


def _mode(row: ModeRow) -> ModeAnswer:
    return ModeAnswer(
        zone=row.zone, mode=row.mode.value, by=row.by, reason=row.reason, since=_iso(row.since_ns), edges=list(row.edges),
        pending=list(row.pending),
    )  # fmt: skip


def _trip(row: TripRow) -> TripAnswer:
    trip = row.trip
    return TripAnswer.model_validate(
        {
            "name": trip.name,
            "asset": trip.asset,
            "edge": row.edge,
            "state": row.state,
            "cause": row.cause,
            "since": _iso(row.since_ns),
            "votes": list(trip.votes),
            "need": trip.need,
            "message": trip.message,
            "priority": trip.priority,
            "actions": len(trip.actions),
        }
    )


def _change(change: Change) -> UnexplainedAnswer:
    return UnexplainedAnswer.model_validate(
        {
            "id": change.id,
            "path": change.path,
            "kind": change.kind,
            "state": change.state,
            "before": change.before,
            "value": change.value,
            "unit": change.unit,
            "at": iso(change.time_ns),
            "seen_at": iso(change.seen_ns),
            "by": change.by,
            "reason": change.reason,
            "accepted_at": _iso(change.accepted_ns),
        }
    )


def _line_of_write(write: Write) -> ControlJournalLine:
    unit = write.unit and f" {write.unit}"
    more = f": {write.detail if write.code else write.why}" if write.detail or write.why else ""
    text = f"{_told(write.base)} → {write.value}{unit} {write.state}{write.code and f' ({write.code})'}{more}"
    return ControlJournalLine(
        at=iso(write.requested_ns), kind="write", path=write.path, text=text, by=write.by, edge=write.edge, id=write.id
    )


def _line_of_change(change: Change) -> ControlJournalLine:
    unit = change.unit and f" {change.unit}"
    text = f"{_told(change.before)} → {change.value}{unit} {change.state}{change.reason and f': {change.reason}'}"
    return ControlJournalLine(
        at=iso(change.time_ns), kind=change.kind, path=change.path, text=text, by=change.by, edge="", id=str(change.id)
    )


def _told(value: object) -> object:
    return "not known" if value is None else value


def _line_of_edge(line: EdgeLine) -> ControlJournalLine:
    left_out = {"n", "at_ns", "kind", "path", "tag"}
    text = ", ".join(
        f"{key} {'none' if value in ([], {}) else value}"
        for key, value in line.said.items()
        if key not in left_out and value not in ("", None, False)
    )
    return ControlJournalLine(
        at=iso(line.time_ns), kind=line.kind, path=line.path, text=text[:1000], by="", edge=line.edge, id=str(line.n)
    )

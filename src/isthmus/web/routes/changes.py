"""Changes of the plant that are put forward: list, diff, approve, reject, withdraw, apply."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import Path, Query, Request
from pydantic import Field

from isthmus.namespace.change_store import ChangeRequest
from isthmus.namespace.changes import MOST_LISTED, NEXT, ChangeRequests, Hand, State, Trigger, is_author
from isthmus.namespace.control import Obstacle
from isthmus.security.model import Action, Principal, Proof
from isthmus.values.errors import Denied
from isthmus.web.access import Room, Who, allow, check_policy_change
from isthmus.web.audited import told
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.problems import NotFound
from isthmus.web.routes.plant import (
    Applied,
    ApplyRequest,
    ChangeAnswer,
    ObstacleAnswer,
    difference,
    emergency_of,
    files_of,
    obstacles_of,
    tell_rooms,
)
from isthmus.web.services import Services
from isthmus.web.times import iso

router = routes_of("changes")

Number = Annotated[int, Path(ge=1, le=2**31 - 1)]


class ChangeSummary(BaseModel):
    id: int
    state: Literal["proposed", "approved", "rejected", "withdrawn", "applied", "stale"]
    base: int = Field(description="the version it was planned on")
    author: str
    own: bool = Field(description="whether whoever asks is its author")
    created: str
    reason: str
    zones: list[str] = Field(description="what it touches; an empty text stands for what belongs to no zone")
    decided_by: str
    decided: str | None
    decision: str = Field(description="why it was approved or rejected")
    closed_by: str
    closed: str | None
    version: int | None = Field(description="the version it became")


class ChangeDetail(ChangeSummary):
    changes: list[ChangeAnswer]
    obstacles: list[ObstacleAnswer] = Field(description="what stands against applying it now")
    may: list[Literal["approve", "reject", "withdraw", "apply"]] = Field(
        description="what whoever asks may do to it now"
    )
    text: str


class Changes(BaseModel):
    changes: list[ChangeSummary]


class Decision(BaseModel):
    reason: str = Field("", max_length=1000)


class Rejection(BaseModel):
    reason: str = Field(min_length=1, max_length=1000)


class ApplyChange(BaseModel):
    emergency: str = Field("", max_length=1000, description="why the rules are passed over; on the local socket only")


def _room(services: Services) -> ChangeRequests:
    if services.changes is None:
        raise NotFound("no changes are kept here", "no_changes")
    return services.changes


def _hand(services: Services, principal: Principal) -> Hand:
    """Who acts; for a token also the people who made one of its name."""
    behind: tuple[str, ...] = ()
    if principal.proof is Proof.TOKEN:
        behind = tuple({t.created_by for t in services.security.tokens() if t.name == principal.name})
    return Hand(principal.name, principal.user_id, principal.proof is Proof.SESSION, behind)


def _iso(time_ns: int | None) -> str | None:
    return None if time_ns is None else iso(time_ns)


def _summary(change: ChangeRequest, principal: Principal) -> dict[str, Any]:
    return {
        "id": change.id,
        "state": change.state,
        "base": change.base,
        "author": change.author,
        "own": change.author_id == principal.user_id if change.author_id else change.author == principal.name,
        "created": iso(change.created_ns),
        "reason": change.reason,
        "zones": list(change.zones),
        "decided_by": change.decided_by,
        "decided": _iso(change.decided_ns),
        "decision": change.decision,
        "closed_by": change.closed_by,
        "closed": _iso(change.closed_ns),
        "version": change.version,
    }


def _may(services: Services, change: ChangeRequest, principal: Principal, *, blocked: bool) -> list[Trigger]:
    """What somebody may do to a change now; doing it asks again."""
    hand = _hand(services, principal)
    own = is_author(change, hand)
    fit = {
        Trigger.APPROVE: hand.person and not own and _allowed(services, principal, Action.PLANT_APPROVE),
        Trigger.REJECT: _allowed(services, principal, Action.PLANT_APPROVE),
        Trigger.WITHDRAW: own and _allowed(services, principal, Action.PLANT_CHANGE),
        Trigger.APPLY: not blocked and _allowed(services, principal, Action.PLANT_CHANGE),
    }
    return [trigger for trigger, good in fit.items() if good and (State(change.state), trigger) in NEXT]


def _allowed(services: Services, principal: Principal, action: Action) -> bool:
    return services.policies.current().decide(principal, action).allowed


async def _detail(services: Services, principal: Principal, do: Callable[[], ChangeRequest]) -> ChangeDetail:
    """The change after something was done, with what stands against applying it now."""

    def work() -> tuple[ChangeRequest, tuple[Obstacle, ...], list[Trigger]]:
        change = do()
        obstacles = _room(services).obstacles(change)
        return change, obstacles, _may(services, change, principal, blocked=bool(obstacles))

    try:
        change, obstacles, may = await asyncio.to_thread(work)
    except LookupError as error:
        raise NotFound(f"there is no change {error}", "unknown_change") from None
    return ChangeDetail.model_validate(
        {
            **_summary(change, principal),
            "changes": list(change.diff),
            "obstacles": obstacles_of(obstacles),
            "may": may,
            "text": change.text,
        }
    )


@router.get("/plant/changes", dependencies=allow(Action.READ))
async def list_changes(
    services: Room,
    principal: Who,
    state: Literal["", "proposed", "approved", "rejected", "withdrawn", "applied", "stale"] = "",
    before: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="only changes with a smaller number")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_LISTED)] = 100,
) -> Changes:
    """Changes that were put forward, newest first."""
    found = await asyncio.to_thread(_room(services).listed, state, before, limit)
    return Changes(changes=[ChangeSummary.model_validate(_summary(change, principal)) for change in found])


@router.post("/plant/changes", dependencies=allow(Action.PLANT_CHANGE), status_code=201)
async def propose_change(request: ApplyRequest, services: Room, principal: Who) -> ChangeDetail:
    """Put a plan forward, for another person to look at or for a window to come."""
    if request.emergency:
        raise Denied("an emergency is applied, not put forward", "emergency_refused")
    room, files = _room(services), files_of(request)

    def propose() -> ChangeRequest:
        return room.propose(request.text, request.base, _hand(services, principal), request.reason, files)

    return await _detail(services, principal, propose)


@router.get("/plant/changes/{n}", dependencies=allow(Action.READ))
async def get_change(services: Room, principal: Who, n: Number) -> ChangeDetail:
    """One change with its diff, its text and what stands against applying it now."""
    return await _detail(services, principal, lambda: _room(services).get(n))


@router.post("/plant/changes/{n}/approve", dependencies=allow(Action.PLANT_APPROVE))
async def approve_change(services: Room, principal: Who, n: Number, decision: Decision) -> ChangeDetail:
    """Agree as a second person; the author cannot, nor can a token for a person."""
    return await _detail(
        services, principal, lambda: _room(services).approve(n, _hand(services, principal), decision.reason)
    )


@router.post("/plant/changes/{n}/reject", dependencies=allow(Action.PLANT_APPROVE))
async def reject_change(services: Room, principal: Who, n: Number, decision: Rejection) -> ChangeDetail:
    """Say no, and why."""
    return await _detail(
        services, principal, lambda: _room(services).reject(n, _hand(services, principal), decision.reason)
    )


@router.post("/plant/changes/{n}/withdraw", dependencies=allow(Action.PLANT_CHANGE))
async def withdraw_change(services: Room, principal: Who, n: Number) -> ChangeDetail:
    """Take one's own change back."""
    return await _detail(services, principal, lambda: _room(services).withdraw(n, _hand(services, principal)))


@router.post("/plant/changes/{n}/apply", dependencies=allow(Action.PLANT_CHANGE))
async def apply_change(services: Room, principal: Who, n: Number, request: ApplyChange, http: Request) -> Applied:
    """Make it the plant; rules, window and base are looked at again at this moment."""
    emergency = emergency_of(request.emergency, principal)
    room, before = _room(services), services.namespace.current()
    try:
        change = await asyncio.to_thread(room.get, n)
        check_policy_change(services, principal, (part["what"] for part in change.diff))
        told(http).update(reason=change.reason, old={"version": before.version})
        version = await asyncio.to_thread(lambda: room.apply(n, _hand(services, principal), emergency))
    except LookupError:
        raise NotFound(f"there is no change {n}", "unknown_change") from None
    told(http)["new"] = await asyncio.to_thread(difference, services, before, version, change.text)
    await tell_rooms(services, version)
    return Applied(version=version)

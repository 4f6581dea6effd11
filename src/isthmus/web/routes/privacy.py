"""What is kept about people: what it is, all of one person, and its erasure."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import Path, Query, Request
from pydantic import Field

from isthmus.security.model import Action
from isthmus.security.names import name_key
from isthmus.security.privacy import KEPT, check_reason
from isthmus.values.errors import Denied
from isthmus.web.access import Room, Who, allow
from isthmus.web.audited import told, who_asks
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.problems import NotFound

router = routes_of("privacy")

Name = Annotated[str, Path(min_length=1, max_length=64)]


class KeptAnswer(BaseModel):
    what: str
    where: str
    purpose: str
    retention: str
    erasing: str


class TeamRule(BaseModel):
    smallest_group: int = Field(description="people; figures of fewer are not shown")


class PrivacyAnswer(BaseModel):
    kept: list[KeptAnswer]
    team_figures: TeamRule


class PersonAnswer(BaseModel):
    name: str
    rows: list[dict[str, Any]] = Field(description="times are ns since 1970")
    audit: list[dict[str, Any]]
    audit_complete: bool


class Erased(BaseModel):
    pseudonyms: list[str] = Field(description="what the person is called in the audit log; they lead to nobody now")
    rows: dict[str, int]


@router.get("/privacy", dependencies=allow(Action.PRIVACY))
async def get_privacy(services: Room) -> PrivacyAnswer:
    """What is recorded about people, why, and for how long."""
    return PrivacyAnswer(
        kept=[
            KeptAnswer(what=k.what, where=k.where, purpose=k.purpose, retention=k.retention, erasing=k.erasing)
            for k in KEPT
        ],
        team_figures=TeamRule(smallest_group=services.privacy.team_figures.smallest_group),
    )


@router.get("/privacy/people/{name}", dependencies=allow(Action.PRIVACY))
async def export_person(name: Name, services: Room, principal: Who, request: Request) -> PersonAnswer:
    """Everything that is kept about a person."""
    pseudonym = await asyncio.to_thread(services.audit.names.find, name, "person")
    services.audit.note(who_asks(principal, request.scope), "GET privacy/people/{name}", " ".join(pseudonym))
    try:
        return PersonAnswer(name=name, **await asyncio.to_thread(services.privacy.export, name))
    except LookupError:
        raise NotFound(f"nothing is kept about {name}", "unknown_person") from None


@router.delete("/privacy/people/{name}", dependencies=allow(Action.PRIVACY))
async def erase_person(
    name: Name,
    services: Room,
    principal: Who,
    request: Request,
    reason: Annotated[str, Query(max_length=1000)],
) -> Erased:
    """Erase a person: their account, and what ties their pseudonym to their name."""
    told(request)["reason"] = check_reason(reason)
    if principal.user_id is not None and name_key(principal.name) == name_key(name):
        raise Denied("nobody erases themselves: somebody else must still be there who can", "own_account")
    try:
        erased = await asyncio.to_thread(services.privacy.erase, name)
    except LookupError:
        raise NotFound(f"nothing is kept about {name}", "unknown_person") from None
    told(request)["new"] = {"rows": erased["rows"]}
    return Erased(**erased)

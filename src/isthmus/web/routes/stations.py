"""Shared tablets and terminals."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Path
from pydantic import Field

from isthmus.security.model import Action, Role
from isthmus.security.names import MAX_NAME_CHARS
from isthmus.web.access import Room, Who, allow
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.problems import NotFound
from isthmus.web.times import iso

router = routes_of("stations")


class NewStation(BaseModel):
    name: str = Field(max_length=MAX_NAME_CHARS)
    under: list[str] = Field(max_length=100, description="paths of the plant it belongs to, and all below them")
    role: Role = Field(Role.OPERATOR, description="what somebody may do there at most")
    badge_only: bool = Field(False, description="a badge alone is enough there, without a PIN")
    idle_s: float | None = Field(None, description="seconds without anybody doing anything until they are signed out")


class CreatedStation(BaseModel):
    name: str
    code: str = Field(description="to be typed into the station's browser once, within the hour; shown this once")


class OneStation(BaseModel):
    name: str
    under: list[str]
    role: str
    badge_only: bool
    idle_s: float
    created: str
    created_by: str
    enrolled: str | None
    seen: str | None = Field(description="to the hour")


class StationList(BaseModel):
    stations: list[OneStation]


@router.get("/stations", dependencies=allow(Action.SECURITY))
async def list_stations(services: Room) -> StationList:
    """Every station."""
    found = await asyncio.to_thread(services.security.stations.all)
    return StationList(
        stations=[
            OneStation(
                name=s.name,
                under=list(s.under),
                role=s.role.value,
                badge_only=s.badge_only,
                idle_s=s.idle_s,
                created=iso(s.created_ns),
                created_by=s.created_by,
                enrolled=None if s.enrolled_ns is None else iso(s.enrolled_ns),
                seen=None if s.seen_ns is None else iso(s.seen_ns),
            )
            for s in found
        ]
    )


@router.post("/stations", dependencies=allow(Action.SECURITY), status_code=201)
async def create_station(new: NewStation, services: Room, principal: Who) -> CreatedStation:
    """A new station; its browser becomes it by the code."""
    await asyncio.to_thread(services.security.require_fresh, principal)

    def make() -> str:
        return services.security.stations.create(
            new.name, new.under, principal.name, role=new.role, badge_only=new.badge_only, idle_s=new.idle_s
        )

    return CreatedStation(name=new.name, code=await asyncio.to_thread(make))


@router.delete("/stations/{name}", dependencies=allow(Action.SECURITY), status_code=204)
async def remove_station(name: Annotated[str, Path(max_length=MAX_NAME_CHARS)], services: Room, principal: Who) -> None:
    """Forget a station; who is signed in there is signed out at once."""
    if not await asyncio.to_thread(services.security.stations.remove, name, principal.name):
        raise NotFound(f"there is no station {name[:80]!r}", "unknown_station")

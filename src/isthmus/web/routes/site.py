"""The site as a whole."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

import isthmus
from isthmus.security.model import Action
from isthmus.web.access import Room, allow
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.times import iso

router = routes_of("site")


class Health(BaseModel):
    status: Literal["ok"]


class Edge(BaseModel):
    name: str
    state: str
    age_s: float | None = Field(description="since its last heartbeat; null if it was never heard")
    queued: int = Field(description="samples waiting for the bus")
    dropped: int = Field(description="samples dropped since it started")


class Historian(BaseModel):
    lag_s: float | None
    rows: int
    state: str
    disk_hours: float | None = Field(description="until the volume is full; null if not known yet")


class Site(BaseModel):
    enterprise: str
    site: str
    timezone: str
    version: str = Field(description="of Isthmus")
    model_version: int = Field(description="of the plant")
    now: str
    edges: list[Edge]
    historian: Historian


@router.get("/health")
async def health() -> Health:
    """Whether core answers; needs no token."""
    return Health(status="ok")


@router.get("/site", dependencies=allow(Action.READ, part=True))
async def get_site(services: Room) -> Site:
    """Names, versions, edges and the historian."""
    plant, status = services.namespace.current(), services.site_status()
    return Site(
        enterprise=plant.enterprise,
        site=plant.site,
        timezone=plant.timezone,
        version=isthmus.__version__,
        model_version=plant.version,
        now=iso(services.clock.now_ns()),
        edges=[Edge.model_validate(edge) for edge in status["edges"]],
        historian=Historian.model_validate(status["historian"]),
    )

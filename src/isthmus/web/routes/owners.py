"""Who answers for what, and what nobody answers for."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from pydantic import Field

from isthmus.namespace.owners import compensations, owners
from isthmus.security.model import Action
from isthmus.values.clock import NS_PER_S
from isthmus.web.access import Room, allow
from isthmus.web.late import BaseModel, routes_of

router = routes_of("owners")


class OwnedAnswer(BaseModel):
    kind: str = Field(description="asset, connection or connector")
    path: str
    owner: list[str]
    source: str = Field(
        description="where it was declared: itself, or what is above it; empty where nobody answers for it"
    )


class CompensationAnswer(BaseModel):
    connection: str
    reason: str
    control: str
    review: str
    due: bool


class Owners(BaseModel):
    owners: list[OwnedAnswer]
    gaps: list[OwnedAnswer] = Field(description="what has no owner")
    compensations: list[CompensationAnswer] = Field(description="devices that cannot be patched, oldest review first")


@router.get("/owners", dependencies=allow(Action.READ))
async def get_owners(services: Room) -> Owners:
    """Owner of every asset, connection and connector, the gaps, and compensating controls with their reviews."""
    plant = services.namespace.current()
    now = datetime.fromtimestamp(services.clock.now_ns() // NS_PER_S, UTC)
    today = now.astimezone(ZoneInfo(plant.timezone)).date().isoformat()
    found = [
        OwnedAnswer(kind=one.kind, path=one.path, owner=list(one.owner), source=one.source) for one in owners(plant)
    ]
    due = [
        CompensationAnswer(connection=c.connection, reason=c.reason, control=c.control, review=c.review, due=c.due)
        for c in compensations(plant, today)
    ]
    return Owners(owners=found, gaps=[one for one in found if not one.owner], compensations=due)

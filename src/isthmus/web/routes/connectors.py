"""Connectors: how each way out is, and what the other side refused."""

from __future__ import annotations

import math
from typing import Annotated

from fastapi import Query
from pydantic import Field

from isthmus.security.model import Action
from isthmus.values import status
from isthmus.web.access import Room, allow
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.problems import NotFound
from isthmus.web.times import iso

router = routes_of("connectors")

MOST_LETTERS = 100


class ConnectorAnswer(BaseModel):
    name: str
    connector: str
    endpoint: str
    state: str = Field(description="Connecting, Delivering, Waiting or Stopped")
    reason: str
    since: str = Field(description="when it took this state")
    delivered: int = Field(description="samples the other side has taken")
    rejected: int = Field(description="samples the other side has refused; they are dead letters")
    missed_frames: int = Field(description="frames the bus had dropped before they could be sent, since core started")
    dead_letters: int = Field(description="refused batches that are kept")
    forgotten_letters: int = Field(description="refused batches that had to go for newer ones")
    lag_s: float = Field(description="age of the oldest sample that waits; 0 when none does")


class Connectors(BaseModel):
    connectors: list[ConnectorAnswer]


class Refused(BaseModel):
    tag: str
    time: str
    value: float | int | str | None
    status: str


class Letter(BaseModel):
    time: str
    key: str
    reason: str
    rows: int
    samples: list[Refused]


class Letters(BaseModel):
    dead_letters: list[Letter]


@router.get("/connectors", dependencies=allow(Action.READ))
async def get_connectors(services: Room) -> Connectors:
    """Every way out with its state."""
    return Connectors(
        connectors=[
            ConnectorAnswer(since=iso(one["since_ns"]), **{k: v for k, v in one.items() if k != "since_ns"})  # type: ignore[arg-type]  # pydantic checks them
            for one in await services.connectors.statuses()
        ]
    )


@router.get("/connectors/{name}/dead-letters", dependencies=allow(Action.READ))
async def get_dead_letters(
    services: Room, name: str, limit: Annotated[int, Query(ge=1, le=MOST_LETTERS)] = 10
) -> Letters:
    """What the other side refused, newest first, with the samples."""
    if name not in {one["name"] for one in await services.connectors.statuses()}:
        raise NotFound(f"no connector is called {name!r}")
    return Letters(
        dead_letters=[
            Letter(
                time=iso(one["time_ns"]),
                key=one["key"],
                reason=one["reason"],
                rows=one["rows"],
                samples=[
                    Refused(tag=path, time=iso(time_ns), value=_shown(value, code), status=status.name(code))
                    for path, time_ns, value, code in one["samples"]
                ],
            )
            for one in await services.connectors.dead_letters(name, limit)
        ]
    )


def _shown(value: float | str | None, code: int) -> float | str | None:
    """JSON has no word for what is no number, and a bad sample no value."""
    if code & status.BAD or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value

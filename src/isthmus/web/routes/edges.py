"""Edges on other machines: invitations, the one public door by which they come, and the way out."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Path, Request
from pydantic import Field

from isthmus.security.model import Action
from isthmus.values.errors import ConfigError
from isthmus.web.access import Room, allow
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.services import Enrolment, Services
from isthmus.web.times import iso

router = routes_of("edges")

_EDGE_CHARS = 100


class NewInvite(BaseModel):
    edge: str = Field(max_length=_EDGE_CHARS)


class Invite(BaseModel):
    token: str = Field(description="for `isthmus edge join`; works once, for 15 minutes")


class Join(BaseModel):
    token: str = Field(max_length=200, description="the secret inside the join token")
    request: str = Field(max_length=8192, description="a certificate request in PEM, for a key on P-256 or P-384")
    nkey: str = Field(max_length=100, description="the public NKey of a user")


class WelcomeAnswer(BaseModel):
    edge: str
    certificate: str = Field(description="for the key of the request, in PEM")
    authority: str = Field(description="the root of the bus's certificate, in PEM")
    host: str = Field(description="of the bus; empty: the one this was asked at")
    port: int
    server_name: str


class EnrolledAnswer(BaseModel):
    edge: str
    nkey: str
    since: str
    source: str = Field(description="the address it joined from")
    certificate_expires: str


class EnrolledEdges(BaseModel):
    edges: list[EnrolledAnswer]


def _enrolment(services: Services) -> Enrolment:
    if services.enrolment is None:
        raise ConfigError("edges: none can be enrolled here")
    return services.enrolment


@router.get("/edges/enrolled", dependencies=allow(Action.READ))
async def list_enrolled(services: Room) -> EnrolledEdges:
    """Edges on other machines that may come."""
    found = await asyncio.to_thread(_enrolment(services).edges)
    return EnrolledEdges(
        edges=[
            EnrolledAnswer(
                edge=e.edge, nkey=e.nkey, since=iso(e.since_ns), source=e.source, certificate_expires=iso(e.until_ns)
            )
            for e in found
        ]
    )


@router.post("/edges/invites", dependencies=allow(Action.SECURITY), status_code=201)
async def invite_edge(new: NewInvite, services: Room) -> Invite:
    """A join token for an edge on another machine."""
    return Invite(token=await asyncio.to_thread(_enrolment(services).invite, new.edge))


@router.post("/edges/enrol", status_code=201)
async def enrol_edge(join: Join, services: Room, request: Request) -> WelcomeAnswer:
    """Come in by a join token, which is spent by this."""
    source = request.client.host if request.client else "unknown"
    found = await asyncio.to_thread(_enrolment(services).enrol, join.token, join.request, join.nkey, source)
    return WelcomeAnswer(
        edge=found.edge,
        certificate=found.certificate,
        authority=found.authority,
        host=found.host,
        port=found.port,
        server_name=found.server_name,
    )


@router.delete("/edges/enrolled/{edge}", dependencies=allow(Action.SECURITY), status_code=204)
async def revoke_edge(edge: Annotated[str, Path(max_length=_EDGE_CHARS)], services: Room) -> None:
    """Cut an edge off; its link to the bus ends at once, and its open invitations are void."""
    await asyncio.to_thread(_enrolment(services).revoke, edge)

"""Signing in and out."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

import isthmus
from isthmus.security.audit.store import PERSON
from isthmus.security.model import MAX_NAME_CHARS, Action, Principal
from isthmus.security.service import SignedIn
from isthmus.values.errors import Denied
from isthmus.web.access import Room, Who, allow
from isthmus.web.audited import told
from isthmus.web.doors import COOKIE
from isthmus.web.services import Services

router = APIRouter(tags=["session"])


class User(BaseModel):
    name: str
    role: str
    has_password: bool


class Session(BaseModel):
    user: User
    enterprise: str
    site: str
    timezone: str
    version: str


class Link(BaseModel):
    link: str = Field(max_length=200)


class Credentials(BaseModel):
    name: str = Field(max_length=MAX_NAME_CHARS)
    password: str = Field(max_length=1024)


class NewPassword(BaseModel):
    name: str = Field(max_length=MAX_NAME_CHARS)
    password: str = Field(max_length=1024)
    current: str | None = Field(None, max_length=1024)


def _session(services: Services, principal: Principal) -> Session:
    plant = services.namespace.current()
    user = User(name=principal.name, role=str(principal.role), has_password=principal.has_password)
    return Session(
        user=user, enterprise=plant.enterprise, site=plant.site, timezone=plant.timezone, version=isthmus.__version__
    )


def _source(request: Request) -> str:
    return request.client.host if request.client else "unknown"


def _enter(services: Services, request: Request, response: Response, signed_in: SignedIn) -> Session:
    told(request)["principal"] = signed_in.principal
    response.set_cookie(
        COOKIE,
        signed_in.secret,
        max_age=round(services.security.policy.session_s),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return _session(services, signed_in.principal)


@router.post("/session/link")
async def sign_in_by_link(link: Link, services: Room, request: Request, response: Response) -> Session:
    """Sign in by a one-time link, which is spent by this."""
    signed_in = await asyncio.to_thread(services.security.sign_in_by_link, link.link, _source(request))
    return _enter(services, request, response, signed_in)


@router.post("/session")
async def sign_in(credentials: Credentials, services: Room, request: Request, response: Response) -> Session:
    """Sign in by name and password; the answer sets the session cookie."""
    told(request)["tried"] = credentials.name
    signed_in = await asyncio.to_thread(
        services.security.sign_in, credentials.name, credentials.password, _source(request)
    )
    return _enter(services, request, response, signed_in)


@router.get("/session", dependencies=allow(Action.READ))
async def get_session(services: Room, principal: Who) -> Session:
    """Who is signed in, and where."""
    return _session(services, principal)


@router.delete("/session", status_code=204, dependencies=allow(Action.ACCOUNT_OWN))
async def sign_out(services: Room, principal: Who, response: Response) -> None:
    """Sign out; the session is void at once."""
    await asyncio.to_thread(services.security.sign_out, principal)
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")


@router.put("/session/password", dependencies=allow(Action.ACCOUNT_OWN))
async def set_password(new: NewPassword, services: Room, principal: Who, request: Request) -> Session:
    """Set one's name and password; one's other sessions end."""
    try:
        changed = await asyncio.to_thread(
            services.security.set_password, principal, new.name, new.password, new.current, _source(request)
        )
    except Denied as denied:
        if denied.code == "wrong_password":  # not a 401: the session itself is still good
            raise Denied("the current password is wrong", "wrong_current_password") from None
        raise
    if changed.name != principal.name:
        await asyncio.to_thread(services.audit.names.rename, PERSON, principal.name, changed.name)
    return _session(services, changed)

"""Signing in and out, and one's own session."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import Depends, Request, Response
from pydantic import Field
from starlette.datastructures import Headers

import isthmus
from isthmus.security.audit.store import PERSON
from isthmus.security.codes import key_of
from isthmus.security.emergency import State
from isthmus.security.model import Action, Principal
from isthmus.security.names import MAX_NAME_CHARS
from isthmus.security.second import MOST_CODE_CHARS
from isthmus.security.sessions import SignedIn
from isthmus.values.errors import Denied
from isthmus.web.access import Room, Who, allow
from isthmus.web.audited import told
from isthmus.web.doors import COOKIE, STATION_COOKIE, cookie, cookie_name
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.services import Services

router = routes_of("session")


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
    station: str = Field("", description="the station this session is bound to")
    emergency: Literal["none", "ready", "in use", "spent"] = Field(
        "none", description="how it is with the break-glass credential; shown as a banner from `in use` on"
    )


class Link(BaseModel):
    link: str = Field(max_length=200)
    code: str = Field("", max_length=MOST_CODE_CHARS, description="of the second factor, where one is set")


class Credentials(BaseModel):
    name: str = Field(max_length=MAX_NAME_CHARS)
    password: str = Field(max_length=1024)
    code: str = Field("", max_length=MOST_CODE_CHARS, description="of the second factor, or a recovery code")


class StepUp(BaseModel):
    password: str = Field(max_length=1024)
    code: str = Field("", max_length=MOST_CODE_CHARS)


class NewPassword(BaseModel):
    name: str = Field(max_length=MAX_NAME_CHARS)
    password: str = Field(max_length=1024)
    current: str | None = Field(None, max_length=1024)


class Badge(BaseModel):
    badge: str = Field(max_length=64)
    pin: str = Field("", max_length=16)


class BreakGlass(BaseModel):
    credential: str = Field(max_length=100)


class Enrolment(BaseModel):
    code: str = Field(max_length=100, description="from `isthmus station add`")


class StationAnswer(BaseModel):
    station: str
    under: list[str]
    badge_only: bool


def _answer(services: Services, principal: Principal, emergency: State) -> Session:
    plant = services.namespace.current()
    user = User(name=principal.name, role=str(principal.role), has_password=principal.has_password)
    return Session(
        user=user,
        enterprise=plant.enterprise,
        site=plant.site,
        timezone=plant.timezone,
        version=isthmus.__version__,
        station=principal.station,
        emergency=emergency.value,
    )


async def session_answer(services: Services, principal: Principal) -> Session:
    """Who is signed in, and where."""
    return _answer(services, principal, await asyncio.to_thread(services.security.emergency.state))


def source_of(request: Request) -> str:
    """The address a request comes from."""
    return request.client.host if request.client else "unknown"


class Browser:
    """What a sign-in needs to know of the request: where it comes from, with what, and the session it had before."""

    def __init__(self, request: Request) -> None:
        headers = Headers(scope=request.scope)
        before = cookie(request.scope, headers, COOKIE)
        self.source = source_of(request)
        self.station = cookie(request.scope, headers, STATION_COOKIE)
        self.more: dict[str, Any] = {
            "program": headers.get("user-agent", ""),
            "replaces": key_of(before) if before else "",
        }


From = Annotated[Browser, Depends(Browser)]


def set_cookie(request: Request, response: Response, name: str, secret: str, lifetime_s: float) -> None:
    """A cookie that no script reads and no other site's page sends; over TLS bound to this host."""
    response.set_cookie(
        cookie_name(request.scope, name),
        secret,
        max_age=round(lifetime_s),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


async def enter(services: Services, request: Request, response: Response, signed_in: SignedIn) -> Session:
    """Set the session cookie, and tell who signed in."""
    told(request)["principal"] = signed_in.principal
    set_cookie(request, response, COOKIE, signed_in.secret, signed_in.lifetime_s)
    return await session_answer(services, signed_in.principal)


@router.post("/session/link")
async def sign_in_by_link(link: Link, services: Room, request: Request, response: Response, browser: From) -> Session:
    """Sign in by a one-time link, which is spent by this."""
    signed_in = await asyncio.to_thread(
        services.security.sign_in_by_link, link.link, browser.source, link.code, **browser.more
    )
    return await enter(services, request, response, signed_in)


@router.post("/session")
async def sign_in(
    credentials: Credentials, services: Room, request: Request, response: Response, browser: From
) -> Session:
    """Sign in by name and password, and a code where a second factor is set; the answer sets the session cookie."""
    told(request)["tried"] = credentials.name
    signed_in = await asyncio.to_thread(
        services.security.sign_in,
        credentials.name,
        credentials.password,
        browser.source,
        credentials.code,
        **browser.more,
    )
    return await enter(services, request, response, signed_in)


@router.post("/session/badge")
async def sign_in_by_badge(
    badge: Badge, services: Room, request: Request, response: Response, browser: From
) -> Session:
    """Sign in by badge and PIN, at an enrolled station; the session is narrowed to the station's place and role."""
    signed_in = await asyncio.to_thread(
        services.security.stations.sign_in, badge.badge, badge.pin, browser.station, browser.source, **browser.more
    )
    return await enter(services, request, response, signed_in)


@router.post("/session/break-glass")
async def sign_in_by_break_glass(
    given: BreakGlass, services: Room, request: Request, response: Response, browser: From
) -> Session:
    """Sign in by the sealed credential of the safe. It works once, is short, and everybody is told."""
    signed_in = await asyncio.to_thread(
        services.security.emergency.sign_in, given.credential, browser.source, **browser.more
    )
    return await enter(services, request, response, signed_in)


@router.post("/session/station")
async def enrol_station(
    enrolment: Enrolment, services: Room, request: Request, response: Response, browser: From
) -> StationAnswer:
    """Make this browser a station, by a one-time code."""
    secret, station = await asyncio.to_thread(services.security.stations.enrol, enrolment.code, browser.source)
    set_cookie(request, response, STATION_COOKIE, secret, services.security.lifetimes.station_s)
    return StationAnswer(station=station.name, under=list(station.under), badge_only=station.badge_only)


@router.get("/session", dependencies=allow(Action.READ, part=True))
async def get_session(services: Room, principal: Who) -> Session:
    """Who is signed in, and where."""
    return await session_answer(services, principal)


@router.post("/session/touch", status_code=204, dependencies=allow(Action.ACCOUNT_OWN))
async def touch_session(principal: Who) -> None:
    """Somebody is still there: at a station only what changes something counts as use, and this."""


@router.post("/session/step-up", dependencies=allow(Action.ACCOUNT_OWN))
async def step_up(given: StepUp, services: Room, principal: Who, request: Request, response: Response) -> Session:
    """Say again who one is, which changes to accounts ask for; the session goes on under a new key."""
    try:
        signed_in = await asyncio.to_thread(
            services.security.step_up, principal, given.password, given.code, source_of(request)
        )
    except Denied as denied:
        raise _still_in(denied) from None
    return await enter(services, request, response, signed_in)


@router.delete("/session", status_code=204, dependencies=allow(Action.ACCOUNT_OWN))
async def sign_out(services: Room, principal: Who, request: Request, response: Response) -> None:
    """Sign out; the session is void at once."""
    await asyncio.to_thread(services.security.sign_out, principal)
    response.delete_cookie(
        cookie_name(request.scope, COOKIE),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


@router.put("/session/password", dependencies=allow(Action.ACCOUNT_OWN))
async def set_password(
    new: NewPassword, services: Room, principal: Who, request: Request, response: Response
) -> Session:
    """Set one's name and password; one's other sessions end, and this one goes on under a new key."""
    security = services.security
    try:
        changed = await asyncio.to_thread(
            security.set_password, principal, new.name, new.password, new.current, source_of(request)
        )
    except Denied as denied:
        raise _still_in(denied) from None
    if changed.name != principal.name:
        await asyncio.to_thread(services.audit.names.rename, PERSON, principal.name, changed.name)
    rotated = await asyncio.to_thread(security.rotate, changed, proved=True)
    return await enter(services, request, response, rotated)


def _still_in(denied: Denied) -> Denied:
    """Not a 401: the session itself is still good."""
    if denied.code == "wrong_password":
        return Denied("the current password is wrong", "wrong_current_password")
    if denied.code in ("totp_needed", "wrong_code"):
        return Denied(
            str(denied), {"totp_needed": "current_totp_needed", "wrong_code": "wrong_current_code"}[denied.code]
        )
    return denied

"""One's own account: sessions, second factor, PIN."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Path, Request, Response
from pydantic import Field

from isthmus.security.model import Action, Principal, session_id
from isthmus.security.model import Session as OpenSession
from isthmus.security.model import User as Account
from isthmus.security.second import MOST_CODE_CHARS
from isthmus.web.access import Room, Who, allow
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.problems import NotFound
from isthmus.web.routes.session import enter
from isthmus.web.services import Services
from isthmus.web.times import iso

router = routes_of("account")

SessionId = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")]


class AccountAnswer(BaseModel):
    name: str
    role: str
    has_password: bool
    totp: bool = Field(description="a second factor is in force")
    recovery_codes: int = Field(description="that are left")
    badge: str
    has_pin: bool
    station: str


class OneSession(BaseModel):
    id: str
    user: str
    role: str
    means: str = Field(description="password, link, badge, break-glass, passkey, oidc")
    station: str
    source: str = Field(description="the address it was opened from")
    program: str = Field(description="as the browser calls itself")
    created: str
    seen: str = Field(description="to the minute")
    expires: str
    this: bool = Field(description="the one that asks")


class SessionList(BaseModel):
    sessions: list[OneSession]


class NewTotp(BaseModel):
    secret: str = Field(description="to be typed into an authenticator app; shown this once")
    uri: str = Field(description="the same as otpauth://…, for a QR code")


class Code(BaseModel):
    code: str = Field(max_length=MOST_CODE_CHARS)


class RecoveryCodes(BaseModel):
    recovery_codes: list[str] = Field(description="each works once in place of a code; shown this once")


class Pin(BaseModel):
    pin: str = Field(max_length=16, description="6 to 12 digits; empty takes it away")


def listed(found: list[OpenSession], asking: Principal) -> SessionList:
    """Sessions as they are shown."""
    here = session_id(asking.key) if asking.key else ""
    return SessionList(
        sessions=[
            OneSession(
                id=s.id,
                user=s.name,
                role=s.role,
                means=s.means,
                station=s.station,
                source=s.source,
                program=s.program,
                created=iso(s.created_ns),
                seen=iso(s.seen_ns),
                expires=iso(s.expires_ns),
                this=s.id == here,
            )
            for s in found
        ]
    )


async def _own(services: Services, principal: Principal) -> Account:
    return await asyncio.to_thread(services.security.account, principal)


@router.get("/account", dependencies=allow(Action.ACCOUNT_OWN))
async def get_account(services: Room, principal: Who) -> AccountAnswer:
    """One's own account."""
    user = await _own(services, principal)
    left = await asyncio.to_thread(services.security.second.recovery_left, principal)
    return AccountAnswer(
        name=user.name,
        role=user.role,
        has_password=user.has_password,
        totp=user.totp,
        recovery_codes=left,
        badge=user.badge,
        has_pin=user.has_pin,
        station=principal.station,
    )


@router.get("/account/sessions", dependencies=allow(Action.ACCOUNT_OWN))
async def list_own_sessions(services: Room, principal: Who) -> SessionList:
    """Where one is signed in."""
    user = await _own(services, principal)
    return listed(await asyncio.to_thread(services.security.sessions, user.id), principal)


@router.delete("/account/sessions", dependencies=allow(Action.ACCOUNT_OWN), status_code=204)
async def end_own_sessions(services: Room, principal: Who) -> None:
    """Sign out everywhere but here."""
    user = await _own(services, principal)
    await asyncio.to_thread(services.security.end_sessions, user.id, user.name, principal.key)


@router.delete("/account/sessions/{id}", dependencies=allow(Action.ACCOUNT_OWN), status_code=204)
async def end_own_session(id: SessionId, services: Room, principal: Who) -> None:  # noqa: A002  the word of the path
    """Sign out one of one's sessions."""
    user = await _own(services, principal)
    if not await asyncio.to_thread(services.security.end_session, id, user.name, user.id):
        raise NotFound(f"you have no session {id}", "unknown_session")


@router.post("/account/totp", dependencies=allow(Action.ACCOUNT_OWN), status_code=201)
async def begin_totp(services: Room, principal: Who) -> NewTotp:
    """A new second factor, in force once it is confirmed by a code."""
    security = services.security
    await asyncio.to_thread(security.require_fresh, principal)
    user, plant = await _own(services, principal), services.namespace.current()
    issuer = f"Isthmus {plant.enterprise} {plant.site}".strip()
    secret, uri = await asyncio.to_thread(security.second.begin, user, issuer)
    return NewTotp(secret=secret, uri=uri)


@router.put("/account/totp", dependencies=allow(Action.ACCOUNT_OWN))
async def confirm_totp(
    code: Code, services: Room, principal: Who, request: Request, response: Response
) -> RecoveryCodes:
    """Put it in force; from now on signing in asks for a code. One's other sessions end."""
    security = services.security
    await asyncio.to_thread(security.require_fresh, principal)
    user = await _own(services, principal)
    codes = await asyncio.to_thread(security.second.confirm, user, code.code)
    await asyncio.to_thread(security.end_sessions, user.id, user.name, principal.key)
    await enter(services, request, response, await asyncio.to_thread(security.rotate, principal))
    return RecoveryCodes(recovery_codes=codes)


@router.delete("/account/totp", dependencies=allow(Action.ACCOUNT_OWN), status_code=204)
async def remove_totp(services: Room, principal: Who, request: Request, response: Response) -> None:
    """Take one's second factor away."""
    security = services.security
    await asyncio.to_thread(security.require_fresh, principal)
    user = await _own(services, principal)
    await asyncio.to_thread(security.second.remove, user, user.name)
    await enter(services, request, response, await asyncio.to_thread(security.rotate, principal))


@router.put("/account/pin", dependencies=allow(Action.ACCOUNT_OWN), status_code=204)
async def set_pin(pin: Pin, services: Room, principal: Who) -> None:
    """Set the PIN that goes with one's badge."""
    await asyncio.to_thread(services.security.set_pin, principal, pin.pin)

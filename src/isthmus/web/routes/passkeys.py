"""Passkeys: adding, listing, removing, and signing in by one."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import Path, Request, Response
from pydantic import Field

from isthmus.security.model import Action
from isthmus.security.names import MAX_NAME_CHARS
from isthmus.security.passkey_store import Passkey as Kept
from isthmus.web.access import Room, Who, allow
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.problems import NotFound
from isthmus.web.routes.session import From, Session, enter, source_of
from isthmus.web.routes.sso import page_origin
from isthmus.web.times import iso

router = routes_of("session")


class Options(BaseModel):
    id: str = Field(description="names the challenge; good for one answer within 5 minutes")
    public_key: dict[str, Any] = Field(description="for PublicKeyCredential.parse…OptionsFromJSON of the browser")


class Answer(BaseModel):
    id: str = Field(max_length=64)
    credential: dict[str, Any] = Field(description="what toJSON() of the browser's credential gives")


class NewPasskey(Answer):
    name: str = Field(max_length=MAX_NAME_CHARS)


class Passkey(BaseModel):
    id: int
    name: str
    rp_id: str = Field(description="the name of the address it works at")
    synced: bool = Field(description="kept by a provider of passkeys on several devices")
    created: str
    used: str | None
    suspect: str | None = Field(description="since when it is refused, as there may be a copy of it")


class Passkeys(BaseModel):
    passkeys: list[Passkey]


def _shown(kept: Kept) -> Passkey:
    return Passkey(
        id=kept.id,
        name=kept.name,
        rp_id=kept.rp_id,
        synced=kept.synced,
        created=iso(kept.created_ns),
        used=None if kept.used_ns is None else iso(kept.used_ns),
        suspect=None if kept.suspect_ns is None else iso(kept.suspect_ns),
    )


@router.post("/passkeys/options", dependencies=allow(Action.ACCOUNT_OWN))
async def passkey_options(services: Room, principal: Who, request: Request) -> Options:
    """Begin to add a passkey to one's account."""
    await asyncio.to_thread(services.security.require_fresh, principal)
    found = await asyncio.to_thread(
        services.passkeys.registration_options, principal, page_origin(services, request), source_of(request)
    )
    return Options(**found)


@router.post("/passkeys", status_code=201, dependencies=allow(Action.ACCOUNT_OWN))
async def add_passkey(new: NewPasskey, services: Room, principal: Who, request: Request) -> Passkey:
    """Keep the passkey that the browser made."""
    kept = await asyncio.to_thread(
        services.passkeys.register, principal, page_origin(services, request), new.id, new.credential, new.name
    )
    return _shown(kept)


@router.get("/passkeys", dependencies=allow(Action.ACCOUNT_OWN))
async def list_passkeys(services: Room, principal: Who) -> Passkeys:
    """One's own passkeys."""
    found = await asyncio.to_thread(services.passkeys.of, principal)
    return Passkeys(passkeys=[_shown(kept) for kept in found])


@router.delete("/passkeys/{ident}", status_code=204, dependencies=allow(Action.ACCOUNT_OWN))
async def remove_passkey(ident: Annotated[int, Path(ge=1, lt=2**63)], services: Room, principal: Who) -> None:
    """Take a passkey no more."""
    await asyncio.to_thread(services.security.require_fresh, principal)
    if not await asyncio.to_thread(services.passkeys.remove, principal, ident):
        raise NotFound("you have no such passkey", "unknown_passkey")


@router.post("/session/passkey/options")
async def sign_in_options(services: Room, request: Request) -> Options:
    """Begin to sign in by passkey."""
    found = await asyncio.to_thread(
        services.passkeys.sign_in_options, page_origin(services, request), source_of(request)
    )
    return Options(**found)


@router.post("/session/passkey")
async def sign_in_by_passkey(
    answer: Answer, services: Room, request: Request, response: Response, browser: From
) -> Session:
    """Sign in by passkey; the answer sets the session cookie."""
    signed_in = await asyncio.to_thread(
        services.passkeys.sign_in,
        page_origin(services, request),
        answer.id,
        answer.credential,
        browser.source,
        **browser.more,
    )
    return await enter(services, request, response, signed_in)

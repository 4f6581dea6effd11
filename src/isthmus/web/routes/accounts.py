"""Other people's accounts, tokens and links."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field

from isthmus.security.model import MAX_NAME_CHARS, Action, Role, name_key
from isthmus.security.service import Security
from isthmus.web.access import Room, Who, allow
from isthmus.web.audited import told
from isthmus.web.problems import NotFound
from isthmus.web.times import iso

router = APIRouter(tags=["accounts"])


class NewToken(BaseModel):
    name: str = Field(max_length=MAX_NAME_CHARS)
    role: Role
    lifetime_s: float | None = Field(None, description="seconds; null for no end")


class CreatedToken(BaseModel):
    id: int
    token: str = Field(description="shown this once")


class TokenAnswer(BaseModel):
    id: int
    name: str
    role: str
    hint: str = Field(description="its first characters")
    created: str
    created_by: str
    expires: str | None
    revoked: str | None


class Tokens(BaseModel):
    tokens: list[TokenAnswer]


class UserAnswer(BaseModel):
    name: str
    role: str
    has_password: bool
    disabled: bool


class Users(BaseModel):
    users: list[UserAnswer]


class NewLink(BaseModel):
    name: str = Field(max_length=MAX_NAME_CHARS)
    role: Role = Field(Role.VIEWER, description="of a user who is made by this")


class LinkAnswer(BaseModel):
    link: str = Field(description="for /welcome?link=…; works once")


@router.post("/tokens", dependencies=allow(Action.ACCOUNTS), status_code=201)
async def create_token(new: NewToken, services: Room, principal: Who, request: Request) -> CreatedToken:
    """A new API token."""
    secret, token = await asyncio.to_thread(
        services.security.create_token, new.name, new.role, principal.name, new.lifetime_s
    )
    told(request)["new"] = {"token": token.id, "role": str(new.role), "lifetime_s": new.lifetime_s}
    return CreatedToken(id=token.id, token=secret)


@router.get("/tokens", dependencies=allow(Action.ACCOUNTS))
async def list_tokens(services: Room) -> Tokens:
    """Every token that was ever made."""

    def when(time_ns: int | None) -> str | None:
        return None if time_ns is None else iso(time_ns)

    found = await asyncio.to_thread(services.security.tokens)
    return Tokens(
        tokens=[
            TokenAnswer(
                id=t.id,
                name=t.name,
                role=t.role,
                hint=t.hint,
                created=iso(t.created_ns),
                created_by=t.created_by,
                expires=when(t.expires_ns),
                revoked=when(t.revoked_ns),
            )
            for t in found
        ]
    )


@router.delete("/tokens/{n}", dependencies=allow(Action.ACCOUNTS), status_code=204)
async def revoke_token(n: Annotated[int, Path(ge=1, le=2**31 - 1)], services: Room) -> None:
    """Refuse a token from now on."""
    if not await asyncio.to_thread(services.security.revoke_token, n):
        raise NotFound(f"there is no valid token {n}", "unknown_token")


@router.get("/users", dependencies=allow(Action.ACCOUNTS))
async def list_users(services: Room) -> Users:
    """Every account."""
    found = await asyncio.to_thread(services.security.users)
    return Users(
        users=[UserAnswer(name=u.name, role=u.role, has_password=u.has_password, disabled=u.disabled) for u in found]
    )


def _link(security: Security, new: NewLink) -> str:
    if name_key(new.name) not in {name_key(u.name) for u in security.users()}:
        security.create_user(new.name, new.role)
    return security.create_link(new.name)


@router.post("/users/link", dependencies=allow(Action.ACCOUNTS), status_code=201)
async def create_link(new: NewLink, services: Room, request: Request) -> LinkAnswer:
    """A one-time sign-in link for an account, made if it is new; an earlier link of the account is void."""
    told(request).update(about=new.name, new={"role_if_new": str(new.role)})
    return LinkAnswer(link=await asyncio.to_thread(_link, services.security, new))

"""Other people's accounts and sessions, tokens and links."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Path, Request
from pydantic import Field

from isthmus.security.model import WHOLE, Action, Principal, Role, Scope, TokenKind
from isthmus.security.model import User as Account
from isthmus.security.names import MAX_NAME_CHARS, name_key
from isthmus.security.scopes import make_scope, to_dict
from isthmus.security.service import Security
from isthmus.values.errors import Denied
from isthmus.web.access import Room, Who, allow
from isthmus.web.audited import told
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.problems import NotFound
from isthmus.web.routes.account import SessionId, SessionList, listed
from isthmus.web.services import Services
from isthmus.web.times import iso

router = routes_of("accounts")

RoleName = Annotated[str, Field(max_length=64, description="one of ours, or one of the plant's own")]
Name = Annotated[str, Path(max_length=MAX_NAME_CHARS)]


class ScopeModel(BaseModel):
    """What narrows a token; an empty list narrows nothing."""

    actions: list[str] = Field(default=[], max_length=100)
    under: list[str] = Field(default=[], max_length=100, description="paths of the plant, and all below them")
    zones: list[str] = Field(default=[], max_length=100)
    sources: list[str] = Field(default=[], max_length=100, description="addresses or networks it may be used from")

    def scope(self) -> Scope:
        """Checked.

        Raises: ConfigError
        """
        return make_scope(self.actions, self.under, self.zones, self.sources)


class NewToken(BaseModel):
    name: str = Field(max_length=MAX_NAME_CHARS)
    role: RoleName
    lifetime_s: float | None = Field(None, description="seconds; null for no end")
    kind: TokenKind = TokenKind.PROGRAM
    scope: ScopeModel = ScopeModel()


class CreatedToken(BaseModel):
    id: int
    token: str = Field(description="shown this once")


class TokenAnswer(BaseModel):
    id: int
    name: str
    role: str
    kind: str
    hint: str = Field(description="its first characters")
    scope: ScopeModel
    created: str
    created_by: str
    expires: str | None
    revoked: str | None
    seen: str | None = Field(description="used last, to the minute")


class Tokens(BaseModel):
    tokens: list[TokenAnswer]


class UserAnswer(BaseModel):
    name: str
    role: str
    has_password: bool
    disabled: bool
    totp: bool
    badge: str
    has_pin: bool
    created: str
    seen: str | None = Field(description="signed in last")


class Users(BaseModel):
    users: list[UserAnswer]


class NewUser(BaseModel):
    name: str = Field(max_length=MAX_NAME_CHARS)
    role: RoleName = Role.VIEWER.value


class CreatedUser(BaseModel):
    user: UserAnswer
    link: str = Field(description="for /welcome?link=…; works once")


class UserChange(BaseModel):
    """Null leaves a thing as it is; an empty badge or PIN takes it away."""

    name: str | None = Field(None, max_length=MAX_NAME_CHARS)
    role: RoleName | None = None
    disabled: bool | None = None
    badge: str | None = Field(None, max_length=64)
    pin: str | None = Field(None, max_length=16)


class NewLink(BaseModel):
    name: str = Field(max_length=MAX_NAME_CHARS)
    role: RoleName = Field(Role.VIEWER.value, description="of a user who is made by this")


class LinkAnswer(BaseModel):
    link: str = Field(description="for /welcome?link=…; works once")


class BreakGlassAnswer(BaseModel):
    credential: str = Field(description="to be printed once and put into the safe; the one before it is void")


def _when(time_ns: int | None) -> str | None:
    return None if time_ns is None else iso(time_ns)


def _user(user: Account) -> UserAnswer:
    return UserAnswer(
        name=user.name,
        role=user.role,
        has_password=user.has_password,
        disabled=user.disabled,
        totp=user.totp,
        badge=user.badge,
        has_pin=user.has_pin,
        created=iso(user.created_ns),
        seen=_when(user.seen_ns),
    )


async def _fresh(services: Services, principal: Principal, role: str = "") -> None:
    """Pass who may hand out rights now; ``role`` is the one that is handed out, or of the account that is changed.

    Raises: Denied (step_up_needed, out_of_scope, role_missing)
    """
    if principal.scope != WHOLE:
        raise Denied(f"{principal.name} is narrowed, and hands out no rights", "out_of_scope")
    if role == Role.ADMIN and principal.role != Role.ADMIN:
        raise Denied("only an administrator makes or changes an administrator", "role_missing")
    await asyncio.to_thread(services.security.require_fresh, principal)


def _role_of(security: Security, name: str) -> str:
    return next((u.role for u in security.users() if name_key(u.name) == name_key(name)), "")


# Tokens


@router.post("/tokens", dependencies=allow(Action.ACCOUNTS), status_code=201)
async def create_token(new: NewToken, services: Room, principal: Who, request: Request) -> CreatedToken:
    """A new API token, perhaps narrowed to actions, paths, zones and addresses."""
    await _fresh(services, principal, new.role)

    def make() -> CreatedToken:
        secret, token = services.security.create_token(
            new.name, new.role, principal.name, new.lifetime_s, scope=new.scope.scope(), kind=new.kind
        )
        return CreatedToken(id=token.id, token=secret)

    made = await asyncio.to_thread(make)
    told(request)["new"] = {
        "token": made.id,
        "role": new.role,
        "lifetime_s": new.lifetime_s,
        "scope": new.scope.model_dump(),
    }
    return made


@router.get("/tokens", dependencies=allow(Action.ACCOUNTS))
async def list_tokens(services: Room) -> Tokens:
    """Every token that was ever made."""
    found = await asyncio.to_thread(services.security.tokens)
    return Tokens(
        tokens=[
            TokenAnswer(
                id=t.id,
                name=t.name,
                role=t.role,
                kind=t.kind.value,
                hint=t.hint,
                scope=ScopeModel(**to_dict(t.scope)),
                created=iso(t.created_ns),
                created_by=t.created_by,
                expires=_when(t.expires_ns),
                revoked=_when(t.revoked_ns),
                seen=_when(t.seen_ns),
            )
            for t in found
        ]
    )


@router.delete("/tokens/{n}", dependencies=allow(Action.ACCOUNTS), status_code=204)
async def revoke_token(n: Annotated[int, Path(ge=1, le=2**31 - 1)], services: Room, principal: Who) -> None:
    """Refuse a token from now on; its live connections are cut."""
    if not await asyncio.to_thread(services.security.revoke_token, n, principal.name):
        raise NotFound(f"there is no valid token {n}", "unknown_token")


# People


@router.get("/users", dependencies=allow(Action.ACCOUNTS))
async def list_users(services: Room) -> Users:
    """Every account."""
    return Users(users=[_user(u) for u in await asyncio.to_thread(services.security.users)])


@router.post("/users", dependencies=allow(Action.ACCOUNTS), status_code=201)
async def create_user(new: NewUser, services: Room, principal: Who) -> CreatedUser:
    """A new account, with a one-time link by which its owner enters and sets a password."""
    await _fresh(services, principal, new.role)

    def make() -> CreatedUser:
        security = services.security
        made = security.create_user(new.name, new.role)
        return CreatedUser(user=_user(made), link=security.create_link(made.name))

    return await asyncio.to_thread(make)


@router.patch("/users/{name}", dependencies=allow(Action.ACCOUNTS))
async def change_user(name: Name, change: UserChange, services: Room, principal: Who) -> UserAnswer:
    """Change an account, at once. With another role, or closed, all its sessions end."""
    await _fresh(services, principal, await asyncio.to_thread(_role_of, services.security, name))
    await _fresh(services, principal, change.role or "")

    def make() -> tuple[str, UserAnswer]:
        before = _known(services.security, name).name
        return before, _user(
            services.security.change_user(
                name,
                role=change.role,
                disabled=change.disabled,
                new_name=change.name,
                badge=change.badge,
                pin=change.pin,
                by=principal.name,
            )
        )

    before, user = await asyncio.to_thread(make)
    if services.callout is not None and user.name != before:
        await services.callout.renamed(before, user.name)  # who is on duty stays on duty
    return user


@router.delete("/users/{name}/sessions", dependencies=allow(Action.ACCOUNTS), status_code=204)
async def end_user_sessions(name: Name, services: Room, principal: Who) -> None:
    """Sign somebody out everywhere."""
    security = services.security
    user = await asyncio.to_thread(_known, security, name)
    await asyncio.to_thread(security.end_sessions, user.id, principal.name)


@router.delete("/users/{name}/totp", dependencies=allow(Action.ACCOUNTS), status_code=204)
async def reset_user_totp(name: Name, services: Room, principal: Who) -> None:
    """Take somebody's second factor away, when the phone is gone."""
    security = services.security
    user = await asyncio.to_thread(_known, security, name)
    await _fresh(services, principal, user.role)
    await asyncio.to_thread(security.second.remove, user, principal.name)


@router.delete("/users/{name}/passkeys", dependencies=allow(Action.ACCOUNTS), status_code=204)
async def remove_user_passkeys(name: Name, services: Room, principal: Who) -> None:
    """Take somebody's passkeys no more, when the device they are on is gone; sessions that are open end."""
    security = services.security
    user = await asyncio.to_thread(_known, security, name)
    await _fresh(services, principal, user.role)
    await asyncio.to_thread(services.passkeys.remove_all, user.id, principal.name)
    await asyncio.to_thread(security.end_sessions, user.id, principal.name)


def _known(security: Security, name: str) -> Account:
    found = next((u for u in security.users() if u.name and name_key(u.name) == name_key(name)), None)
    if found is None:
        raise NotFound(f"there is no account {name[:80]!r}", "unknown_user")
    return found


def _link(security: Security, new: NewLink) -> str:
    if name_key(new.name) not in {name_key(u.name) for u in security.users()}:
        security.create_user(new.name, new.role)
    return security.create_link(new.name)


@router.post("/users/link", dependencies=allow(Action.ACCOUNTS), status_code=201)
async def create_link(new: NewLink, services: Room, principal: Who, request: Request) -> LinkAnswer:
    """A one-time sign-in link for an account, made if it is new; an earlier link of the account is void."""
    told(request).update(about=new.name, new={"role_if_new": new.role})
    known = await asyncio.to_thread(_role_of, services.security, new.name)
    await _fresh(services, principal, known or new.role)
    return LinkAnswer(link=await asyncio.to_thread(_link, services.security, new))


@router.post("/users/break-glass", dependencies=allow(Action.ACCOUNTS), status_code=201)
async def make_break_glass(services: Room, principal: Who) -> BreakGlassAnswer:
    """A new sealed credential for emergencies; the one before it is void, and its session ends."""
    await _fresh(services, principal, Role.ADMIN)
    return BreakGlassAnswer(credential=await asyncio.to_thread(services.security.emergency.make, principal.name))


# Sessions


@router.get("/sessions", dependencies=allow(Action.ACCOUNTS))
async def list_sessions(services: Room, principal: Who) -> SessionList:
    """Who is signed in now, from where."""
    return listed(await asyncio.to_thread(services.security.sessions), principal)


@router.delete("/sessions/{id}", dependencies=allow(Action.ACCOUNTS), status_code=204)
async def end_session(id: SessionId, services: Room, principal: Who) -> None:  # noqa: A002  the word of the path
    """End somebody's session; its live connections are cut."""
    if not await asyncio.to_thread(services.security.end_session, id, principal.name):
        raise NotFound(f"there is no session {id}", "unknown_session")

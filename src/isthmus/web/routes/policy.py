"""The policy in force: roles, zones, conduits, every flow with its rule, and why somebody may or may not do something."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Query
from pydantic import Field

from isthmus.namespace.model import Zone
from isthmus.security.model import WHOLE, Action, Principal, Proof
from isthmus.security.names import MAX_NAME_CHARS, name_key
from isthmus.security.policy import Policy
from isthmus.security.service import Security
from isthmus.values.errors import ConfigError
from isthmus.values.ids import MAX_PATH_CHARS
from isthmus.values.plant.policy import OUTSIDE, SITE, MessageKind
from isthmus.web.access import Room, allow
from isthmus.web.late import BaseModel, routes_of

router = routes_of("policy")

_WORDS = {SITE: "core, and all that is told no other zone", OUTSIDE: "every address that no zone names"}


class RoleAnswer(BaseModel):
    name: str
    own: bool = Field(description="declared in the plant file")
    extends: list[str]
    actions: list[str]
    under: list[str] = Field(description="paths it is narrowed to; empty: the whole plant")
    zones: list[str] = Field(description="zones it is narrowed to; empty: all")
    when: list[str] = Field(description="states in which it may change anything; empty: any")
    description: str


class ZoneAnswer(BaseModel):
    name: str
    networks: list[str]
    programs: list[str]
    edges: list[str]
    connections: list[str]
    security_level: int | None = Field(description="target SL-T of IEC 62443-3-3; null if not told")
    description: str


class ConduitAnswer(BaseModel):
    name: str
    source: str = Field(serialization_alias="from")
    target: str = Field(serialization_alias="to")
    allow: list[str]
    description: str


class FlowAnswer(BaseModel):
    source: str = Field(serialization_alias="from", description="zone")
    target: str = Field(serialization_alias="to", description="zone")
    kind: str
    what: str = Field(description="the two parties, where it is machines")
    rule: str = Field(description="what allows it: same zone, or a conduit")


class LockoutAnswer(BaseModel):
    path: str
    who: str
    why: str
    since: str


class PolicyAnswer(BaseModel):
    version: int = Field(description="of the plant it is compiled from")
    zoned: bool = Field(description="false: no zone is declared, and everything is one")
    actions: list[str]
    roles: list[RoleAnswer]
    zones: list[ZoneAnswer]
    conduits: list[ConduitAnswer]
    flows: list[FlowAnswer]
    lockouts: list[LockoutAnswer]


class Explanation(BaseModel):
    allowed: bool
    reason: str
    code: str = Field(description="empty when allowed")
    rule: str = Field(description="what decided")
    who: str
    role: str
    action: str
    path: str
    from_zone: str
    to_zone: str


@router.get("/policy", dependencies=allow(Action.READ))
async def get_policy(services: Room) -> PolicyAnswer:
    """Who may do what, and what may pass between zones."""
    return await asyncio.to_thread(policy_answer, services.policies.current())


def policy_answer(policy: Policy) -> PolicyAnswer:
    """A policy as the API shows it."""
    declared = {zone.name: zone for zone in policy.plant.zones}
    connections: dict[str, list[str]] = {}
    for c in policy.plant.connections:
        connections.setdefault(policy.zone_at(f"connections/{c.name}"), []).append(c.name)
    return PolicyAnswer(
        version=policy.plant.version,
        zoned=policy.zoned,
        actions=[action.value for action in Action],
        roles=[RoleAnswer.model_validate(role) for role in policy.roles()],
        zones=[_zone(declared.get(name, Zone(name)), connections.get(name, [])) for name in policy.zone_names],
        conduits=[
            ConduitAnswer(name=c.name, source=c.source, target=c.target, allow=list(c.allow), description=c.description)
            for c in policy.plant.conduits
        ],
        flows=[
            FlowAnswer(source=f["from"], target=f["to"], kind=f["kind"], what=f["what"], rule=f["rule"])
            for f in policy.flows()
        ],
        lockouts=[
            LockoutAnswer(path=path, who=held.who, why=held.why, since=held.since)
            for path, held in sorted(policy.lockouts.items())
        ],
    )


def _zone(zone: Zone, connections: list[str]) -> ZoneAnswer:
    return ZoneAnswer(
        name=zone.name,
        networks=list(zone.networks),
        programs=list(zone.programs),
        edges=list(zone.edges),
        connections=connections,
        security_level=zone.security_level,
        description=zone.description or _WORDS.get(zone.name, ""),
    )


@router.get("/policy/explain", dependencies=allow(Action.ACCOUNTS))
async def explain_policy(
    services: Room,
    who: Annotated[str, Query(max_length=MAX_NAME_CHARS + 6, description="a user, a token, or role:NAME")],
    action: Action,
    path: Annotated[str, Query(max_length=MAX_PATH_CHARS, description="of the plant; empty: the whole site")] = "",
    source: Annotated[str, Query(max_length=64, description="the address it comes from")] = "127.0.0.1",
    state: Annotated[str, Query(max_length=64, description="what the target is doing")] = "",
    kind: Annotated[MessageKind | None, Query(description="of message; that of the action unless told")] = None,
) -> Explanation:
    """Whether somebody may do something somewhere, and why: the decision itself, asked without doing anything."""
    principal = await asyncio.to_thread(_principal, services.security, who, source)
    policy = services.policies.current()
    decision = policy.decide(principal, action, path, state=state, kind=kind or "")
    return Explanation(
        allowed=decision.allowed,
        reason=decision.reason,
        code=decision.code,
        rule=decision.rule,
        who=principal.name,
        role=str(principal.role),
        action=action.value,
        path=path,
        from_zone=policy.zone_of(source, principal.name if principal.proof is Proof.TOKEN else ""),
        to_zone=policy.zone_at(path),
    )


def _principal(security: Security, who: str, source: str) -> Principal:
    """Somebody as he would ask: a user by a session, a token, or nobody in particular with a role.

    Raises: ConfigError
    """
    if who.startswith("role:"):
        return Principal(who, who.removeprefix("role:"), Proof.SESSION, "", source=source)
    for user in security.users():
        if name_key(user.name) == name_key(who):
            if user.disabled:
                raise ConfigError(f"who: this account is switched off, was {who!r}")
            return Principal(user.name, user.role, Proof.SESSION, "", user.id, source=source)
    for token in security.tokens():
        if token.name == who and token.revoked_ns is None:
            return Principal(
                token.name, token.role, Proof.TOKEN, "", scope=getattr(token, "scope", None) or WHOLE, source=source
            )
    raise ConfigError(f"who: no user and no valid token has this name (a role is role:NAME), was {who!r}")

"""The plant file: read, plan, apply, and its versions."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import logging
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import Path, Request
from pydantic import Field

from isthmus.namespace.control import NO_CONSENT, Consent, Demands, Obstacle
from isthmus.namespace.model import Plant
from isthmus.security.model import Action, Principal, Proof
from isthmus.values.errors import ConfigError, Denied
from isthmus.web.access import Room, Who, allow, check_policy_change
from isthmus.web.audited import told
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.problems import NotFound, Place, place
from isthmus.web.services import PlanResult, PlantVersion, Services
from isthmus.web.times import iso

router = routes_of("plant")

_log = logging.getLogger("isthmus.web")

MOST_TEXT_CHARS = 30_000_000


class PlantAnswer(BaseModel):
    version: int = Field(description="0: no plant was applied yet")
    text: str
    applied: str | None
    by: str
    reason: str
    files: dict[str, str] = Field({}, description="tag lists and scripts of this version, base64, by name")


class VersionAnswer(BaseModel):
    version: int
    applied: str
    by: str
    reason: str


class Versions(BaseModel):
    versions: list[VersionAnswer]


class TagListAnswer(BaseModel):
    columns: list[str]
    rows: list[list[str | int | float | None]]
    left_out: list[str] = Field(description="what a tag list has no columns for: it stays in the plant file")


class PlanRequest(BaseModel):
    text: str = Field(max_length=MOST_TEXT_CHARS)
    base: int | None = Field(
        None, ge=0, le=2**31 - 1, description="the version this text was made from; the current one if absent"
    )
    files: dict[str, str] = Field(
        {}, description="tag lists beside the plant file, base64, by name; those of the base are kept"
    )


class ApplyRequest(PlanRequest):
    base: int = Field(
        ge=0, le=2**31 - 1, description="the version the plan was made on; refused when another one is current"
    )
    reason: str = Field(max_length=1000)
    emergency: str = Field(
        "", max_length=1000, description="why the rules of change control are passed over; on the local socket only"
    )


class ChangeAnswer(BaseModel):
    action: str
    what: str
    path: str
    detail: str


class ObstacleAnswer(BaseModel):
    zone: str = Field(description="empty for what belongs to no zone")
    rule: str = Field(description="the key of change_control that asks for it")
    code: str
    reason: str
    opens: str | None = Field(description="when a closed window opens next")


class Control(BaseModel):
    """What change control asks for."""

    zones: list[str] = Field(description="the zones the plan touches")
    reason_required: bool
    approvals: int = Field(description="how many other persons must agree")
    obstacles: list[ObstacleAnswer] = Field(description="what stands against applying it now, given a reason")


class Plan(BaseModel):
    base: int
    token: str
    changes: list[ChangeAnswer]
    warnings: list[Place]
    control: Control


class Applied(BaseModel):
    version: int


class NewConnection(BaseModel):
    name: str = Field(max_length=64)
    connection: dict[str, Any]
    base: int = Field(ge=0, le=2**31 - 1)


class PlanWithText(Plan):
    text: str


def files_of(request: PlanRequest) -> dict[str, bytes]:
    """The tag lists that were sent along; those of the current version stand for the others.

    Raises: ConfigError naming the list that is not base64
    """
    given = {}
    for name, content in request.files.items():
        try:
            given[name] = base64.b64decode(content, validate=True)
        except ValueError:
            raise ConfigError(f"files.{name}: must be base64") from None
    return given


def plan_of(services: Services, request: PlanRequest) -> PlanResult:
    """What applying a text would change. Called from threads."""
    base = services.namespace.current().version if request.base is None else request.base
    return services.namespace.plan(request.text, base, files_of(request))


def _applied(services: Services, request: ApplyRequest, principal: Principal) -> int:
    emergency = emergency_of(request.emergency, principal)
    files, consent = files_of(request), Consent(emergency=emergency) if emergency else NO_CONSENT
    return services.namespace.apply(request.text, request.base, principal.name, request.reason, files, consent=consent)


def difference(services: Services, before: Plant, version: int, text: str) -> dict[str, Any]:
    """What the audit trail says of a change; the texts themselves are kept with the versions."""
    after = services.namespace.current()
    new = Counter(text.splitlines())
    old: Counter[str] = Counter()
    if before.version:
        with contextlib.suppress(ConfigError, LookupError):
            old = Counter(services.namespace.version(before.version).text.splitlines())
    return {
        "version": version,
        "lines": {"added": (new - old).total(), "removed": (old - new).total()},
        "tags": [len(before.tags), len(after.tags)],
        "connections": [len(before.connections), len(after.connections)],
        "sha256": hashlib.sha256(text.encode("utf-8", "replace")).hexdigest(),
    }


def emergency_of(reason: str, principal: Principal) -> str:
    """The reason for passing over the rules, from whom it may come.

    Raises: Denied (local_only)
    """
    if reason.strip() and principal.proof is not Proof.SOCKET:
        raise Denied("an emergency is declared on the machine itself: isthmus apply --emergency REASON", "local_only")
    return reason.strip()


def obstacles_of(found: Iterable[Obstacle]) -> list[dict[str, Any]]:
    """What stands against a plan, as it is sent."""
    return [
        {
            "zone": one.zone,
            "rule": one.rule,
            "code": one.code,
            "reason": one.reason,
            "opens": None if one.opens_ns is None else iso(one.opens_ns),
        }
        for one in found
    ]


def _control(services: Services, demands: Demands) -> dict[str, Any]:
    """What a plan has to fulfil, with a reason taken as given."""
    return {
        "zones": list(demands.zones),
        "reason_required": any(rule.reason for _, rule in demands.rules),
        "approvals": demands.approvals,
        "obstacles": obstacles_of(demands.obstacles(services.clock.now_ns(), "given")),
    }


def plan_answer(services: Services, result: PlanResult) -> dict[str, Any]:
    """A plan as it is sent."""
    return {
        "base": result.base,
        "token": result.token,
        "changes": [{"action": c.action, "what": c.what, "path": c.path, "detail": c.detail} for c in result.changes],
        "warnings": [place(warning) for warning in result.warnings],
        "control": _control(services, result.demands),
    }


def _version(services: Services, number: int) -> PlantAnswer:
    found: PlantVersion = services.namespace.version(number)
    files = services.namespace.files(number)
    return PlantAnswer(
        version=found.version,
        text=found.text,
        applied=iso(found.applied_ns),
        by=found.by,
        reason=found.reason,
        files={name: base64.b64encode(data).decode() for name, data in files.items()},
    )


async def _current_text(services: Services) -> PlantAnswer:
    version = services.namespace.current().version
    if not version:
        return PlantAnswer(version=0, text="", applied=None, by="", reason="", files={})
    return await asyncio.to_thread(_version, services, version)


@router.get("/plant", dependencies=allow(Action.READ))
async def get_plant(services: Room) -> PlantAnswer:
    """The plant file as it was applied last."""
    return await _current_text(services)


@router.get("/plant/tag-list", dependencies=allow(Action.READ))
async def get_tag_list(services: Room) -> TagListAnswer:
    """The tags of the current plant as a tag list has them, with what their types say written out."""
    found = await asyncio.to_thread(services.namespace.tag_list)
    return TagListAnswer(columns=found.columns, rows=found.rows, left_out=found.left_out)


@router.get("/plant/versions", dependencies=allow(Action.READ))
async def list_versions(services: Room) -> Versions:
    """Every version that was ever applied, as the namespace orders them."""
    found = await asyncio.to_thread(services.namespace.versions)
    return Versions(
        versions=[VersionAnswer(version=v.version, applied=iso(v.applied_ns), by=v.by, reason=v.reason) for v in found]
    )


@router.get("/plant/versions/{n}", dependencies=allow(Action.READ))
async def get_version(services: Room, n: Annotated[int, Path(ge=1, le=2**31 - 1)]) -> PlantAnswer:
    """One version of the plant file."""
    try:
        return await asyncio.to_thread(_version, services, n)
    except (ConfigError, LookupError):
        raise NotFound(f"there is no version {n} of the plant", "unknown_version") from None


@router.post("/plant/plan", dependencies=allow(Action.PLANT_CHANGE))
async def plan_plant(request: PlanRequest, services: Room) -> Plan:
    """What applying this text would change; changes nothing."""
    result = await asyncio.to_thread(plan_of, services, request)
    return Plan.model_validate(plan_answer(services, result))


@router.post("/plant/apply", dependencies=allow(Action.PLANT_CHANGE))
async def apply_plant(request: ApplyRequest, services: Room, principal: Who, http: Request) -> Applied:
    """Make this text the plant, in one transaction, if `base` is still the current version."""
    planned = await asyncio.to_thread(plan_of, services, request)
    check_policy_change(services, principal, (change.what for change in planned.changes))
    before = services.namespace.current()
    told(http).update(reason=request.reason, old={"version": before.version})
    version = await asyncio.to_thread(_applied, services, request, principal)
    told(http)["new"] = await asyncio.to_thread(difference, services, before, version, request.text)
    await tell_rooms(services, version)
    return Applied(version=version)


async def tell_rooms(services: Services, version: int) -> None:
    """Let the rooms take up a version that was applied."""
    try:
        await asyncio.to_thread(lambda: services.policies.current().prepare())  # off the loop: it is large
        await services.on_applied(version)
    except Exception:
        # the version is applied whatever the rooms make of it, and they take it up at their next start
        _log.exception("plant version %d is applied, but telling the rooms failed", version)


@router.post("/plant/connections", dependencies=allow(Action.PLANT_CHANGE))
async def add_connection(new: NewConnection, services: Room) -> PlanWithText:
    """The plant text with one more connection, comments kept, and what applying it would change; changes nothing."""
    text = await asyncio.to_thread(_with_connection, services, new)
    result = await asyncio.to_thread(plan_of, services, PlanRequest(text=text, base=new.base, files={}))
    return PlanWithText.model_validate({**plan_answer(services, result), "text": text})


def _with_connection(services: Services, new: NewConnection) -> str:
    base = services.namespace.version(new.base).text if new.base else ""
    return services.namespace.add_connection(base, new.name, new.connection)

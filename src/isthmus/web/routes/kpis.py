"""KPIs: the catalogue with formulas, owners and targets, and their values by line, shift, order and whatever else."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import Path, Query, Request, Response
from pydantic import Field

from isthmus.production.kpi.catalogue import ELEMENTS, MAX_NAME_CHARS, Kpi
from isthmus.production.kpi.service import LEVELS, Entry, KpiRoom, ValueRow
from isthmus.production.kpi.store import Target
from isthmus.security.model import Action, Principal
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError
from isthmus.values.ids import MAX_PATH_CHARS
from isthmus.web.access import Room, Seen, Sight, Who, allow
from isthmus.web.audited import told
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.problems import NotFound
from isthmus.web.services import Services
from isthmus.web.sheets import FILES, Form, sheet
from isthmus.web.times import check_quarters, iso, parse_time

router = routes_of("kpis")

MOST_NAMES = 40
MOST_DAYS = 800
KpiName = Annotated[str, Path(pattern=f"^[a-z][a-z0-9_]{{0,{MAX_NAME_CHARS - 1}}}$")]
Base = Annotated[int, Field(ge=0, le=2**31 - 1, description="the revision it was changed from, 0 for a new one")]


class KpiTargetOut(BaseModel):
    path: str = Field(description="empty: the whole site; the nearest above what is looked at holds")
    value: float
    per: Literal["", "hour", "shift", "day"] = Field(description="of what is counted: in each of these of planned time")


class KpiOut(BaseModel):
    name: str
    title: str
    formula: str
    unit: str = Field(description="as values of this plant have it; empty: a plain number")
    better: Literal["up", "down", ""] = Field(description="which way is better; empty: neither")
    source: str = Field(description="the standard it is defined in, or this plant")
    description: str
    owner: str = Field(description="who answers for it")
    sum: bool = Field(description="grows with the time it is looked at: its targets are per hour, shift or day")
    own: bool = Field(description="made by people of this plant, by formula")
    rev: int = Field(description="the base of a change")
    changed_by: str
    changed_at: str | None
    targets: list[KpiTargetOut]


class KpiElement(BaseModel):
    name: str
    unit: str
    description: str


class KpiCatalogue(BaseModel):
    kpis: list[KpiOut]
    elements: list[KpiElement] = Field(description="what formulas may read beside other KPIs")
    may: bool = Field(description="whether whoever asks may change KPIs and targets")


class KpiIn(BaseModel):
    base: Base
    owner: str = Field("", max_length=200)
    title: str = Field("", max_length=120)
    formula: str = Field("", max_length=4_000, description="of the plant's own ones; the others have theirs")
    unit: str = Field("", max_length=20, description="the unit the formula's result is told in")
    better: Literal["up", "down", ""] = "up"
    description: str = Field("", max_length=500)


class KpiTargetIn(BaseModel):
    path: str = Field("", max_length=MAX_PATH_CHARS)
    value: float
    per: Literal["", "hour", "shift", "day"] = ""


class KpiTargets(BaseModel):
    base: Base
    targets: list[KpiTargetIn] = Field(
        max_length=1_000, description="all of them; what is not here has no target any more"
    )


class KpiValue(BaseModel):
    value: float | None = Field(description="null where it has no denominator or nothing counts it")
    why: str = Field(description="why there is none")
    target: float | None = Field(description="of the row's own time")
    met: bool | None
    per: Literal["", "hour", "shift", "day"] = Field(description="what the target of something counted was scaled from")
    each: float | None = Field(description="the target in each of these")


class KpiRow(BaseModel):
    key: dict[str, str] = Field(description="what the row is of, by the words of ``by``")
    path: str = Field(description="whose targets hold")
    values: dict[str, KpiValue] = Field(description="by name of the KPI")
    unrated_run_s: float = Field(
        description="time it ran without an ideal rate or a counter; performance and OEE leave it out"
    )


class KpiUnit(BaseModel):
    name: str
    title: str
    unit: str
    better: Literal["up", "down", ""]


class KpiValues(BaseModel):
    under: str
    start: str
    end: str
    by: list[str]
    kpis: list[KpiUnit]
    rows: list[KpiRow]


def _room(services: Services) -> KpiRoom:
    if services.kpis is None:
        raise NotFound("no KPIs are kept here", "no_kpis")
    return services.kpis


def _may(services: Services, principal: Principal) -> bool:
    return services.policies.current().decide(principal, Action.PRODUCTION_PLAN).allowed


def _out(room: KpiRoom, sight: Sight, entry: Entry) -> KpiOut:
    kpi = entry.kpi
    targets = sorted(entry.targets.items())
    return KpiOut(
        name=kpi.name,
        title=kpi.title,
        formula=kpi.formula,
        unit=room.unit(kpi),
        better=kpi.better,
        source=kpi.source,
        description=kpi.description,
        owner=entry.owner,
        sum=entry.sum,
        own=kpi.own,
        rev=entry.rev,
        changed_by=entry.changed_by,
        changed_at=iso(entry.changed_ns) if entry.changed_ns else None,
        targets=[
            KpiTargetOut.model_validate({"path": p, "value": t.value, "per": t.per})
            for p, t in targets
            if not sight.narrowed or sight.path(p)
        ],
    )


@router.get("/kpis", dependencies=allow(Action.READ, part=True), response_model=KpiCatalogue, responses=FILES)
async def list_kpis(services: Room, principal: Who, sight: Seen, form: Form = "json") -> KpiCatalogue | Response:
    """The catalogue: every KPI with formula, unit, source, owner and targets."""
    room = _room(services)
    entries = await asyncio.to_thread(room.catalogue)
    kpis = [_out(room, sight, entry) for entry in entries.values()]
    if form != "json":
        return await sheet(form, "kpis", [_flat(kpi) for kpi in kpis])
    elements = [KpiElement(name=n, unit=unit, description=what) for n, (unit, what) in ELEMENTS.items()]
    return KpiCatalogue(kpis=kpis, elements=elements, may=_may(services, principal))


def _flat(kpi: KpiOut) -> dict[str, Any]:
    """A line of the catalogue as a file has it."""
    targets = "; ".join(f"{t.path or 'site'}: {t.value:g}{f' per {t.per}' if t.per else ''}" for t in kpi.targets)
    return {**kpi.model_dump(exclude={"targets", "rev", "changed_by", "changed_at"}), "targets": targets}


@router.get("/kpis/values", dependencies=allow(Action.READ, part=True), response_model=KpiValues, responses=FILES)
async def get_kpi_values(
    services: Room,
    sight: Seen,
    name: Annotated[list[str], Query(description="KPIs; may be given several times")],
    under: Annotated[
        str, Query(max_length=MAX_PATH_CHARS, description="at or below this path; empty: everything")
    ] = "",
    start: Annotated[str, Query(max_length=64, description="ISO 8601, now, or now-8h (s, m, h, d, w)")] = "now-7d",
    end: Annotated[str, Query(max_length=64)] = "now",
    by: Annotated[
        str, Query(max_length=100, description=f"a row for each of: {', '.join(LEVELS)}; several by commas")
    ] = "",
    form: Form = "json",
) -> KpiValues | Response:
    """Values of KPIs, each computed from the sums of its row. Without ``by`` one row for all of it."""
    room = _room(services)
    if services.production is None:
        raise NotFound("no production is counted here", "no_production")
    names = list(dict.fromkeys(name))
    if not 0 < len(names) <= MOST_NAMES:
        raise ConfigError(f"name: from 1 to {MOST_NAMES}, were {len(names)}")
    parts = [part.strip() for part in by.split(",") if part.strip()]
    if not set(parts) <= set(LEVELS) or len(parts) > 3:
        raise ConfigError(f"by: up to three of {', '.join(LEVELS)}, was {by[:60]!r}")
    now_ns = services.clock.now_ns()
    start_ns, end_ns = parse_time(start, now_ns, "start"), parse_time(end, now_ns, "end")
    if not 0 < end_ns - start_ns <= MOST_DAYS * 86_400 * NS_PER_S:
        raise ConfigError(f"start: must lie before end, by at most {MOST_DAYS} days")
    _check_seen(services, sight, under, parts)
    await asyncio.to_thread(room.catalogue)
    try:
        entries = [room.get(one) for one in names]
    except LookupError as error:
        raise NotFound(f"name: there is no KPI {str(error.args[0])[:60]}", "unknown_kpi") from None
    costs = None if services.orders is None else services.orders.costs
    rows = await room.values(services.production, names, under, start_ns, end_ns, parts, costs)
    check_quarters(start_ns, end_ns, now_ns, told=bool(rows))
    seen = [r for r in rows if not sight.narrowed or sight.path(r.path)]
    answer = KpiValues(
        under=under,
        start=iso(start_ns),
        end=iso(end_ns),
        by=parts,
        kpis=[KpiUnit(name=e.kpi.name, title=e.kpi.title, unit=room.unit(e.kpi), better=e.kpi.better) for e in entries],
        rows=[_row(row) for row in seen],
    )
    if form == "json":
        return answer
    return await sheet(form, f"kpis-{under or 'site'}", [_cells(row, answer) for row in answer.rows])


def _check_seen(services: Services, sight: Sight, under: str, parts: Sequence[str]) -> None:
    """A sum over what somebody may not see tells of it: who is narrowed asks for what he sees, or row by row."""
    known = not under or any(asset.path == under for asset in services.live.plant.assets)
    apart = not sight.narrowed or bool({"machine", "line"} & set(parts))
    if not known or not (sight.path(under) if under else apart):
        raise NotFound(f"under: there is nothing at {under[:200]!r}", "unknown_path")


def _row(row: ValueRow) -> KpiRow:
    values = {name: KpiValue.model_validate(asdict(v)) for name, v in row.values.items()}
    return KpiRow(key=dict(row.key), path=row.path, values=values, unrated_run_s=row.unrated_run_ns / NS_PER_S)


def _cells(row: KpiRow, answer: KpiValues) -> Mapping[str, Any]:
    """A row as a file has it: a column for each KPI, named with its unit, and its target beside it."""
    cells: dict[str, Any] = {"under": answer.under, "start": answer.start, "end": answer.end}
    cells |= {part: row.key.get(part, "") for part in answer.by}
    for kpi in answer.kpis:
        value = row.values[kpi.name]
        cells[f"{kpi.title} ({kpi.unit})" if kpi.unit else kpi.title] = value.value
        cells[f"{kpi.title} target"] = value.target
    cells["Running time that is not rated (s)"] = row.unrated_run_s
    return cells


@router.put("/kpis/{name}", dependencies=allow(Action.PRODUCTION_PLAN))
async def put_kpi(services: Room, principal: Who, sight: Seen, name: KpiName, body: KpiIn, http: Request) -> KpiOut:
    """Make or change a KPI of the plant's own by its formula; of one every plant has, who owns it."""
    room = _room(services)
    kpi = Kpi(name, body.title, body.formula, body.unit, body.better, "this plant", body.description, own=True)
    before = (await asyncio.to_thread(room.catalogue)).get(name)
    if before is not None:
        told(http)["old"] = _said(_out(room, sight, before))
    entry = await asyncio.to_thread(room.put, kpi, body.owner, body.base, principal.name)
    answer = _out(room, sight, entry)
    told(http)["new"] = _said(answer)
    return answer


def _said(kpi: KpiOut) -> dict[str, Any]:
    return kpi.model_dump(include={"title", "formula", "unit", "better", "targets", "rev"})


@router.put("/kpis/{name}/targets", dependencies=allow(Action.PRODUCTION_PLAN))
async def put_kpi_targets(
    services: Room, principal: Who, sight: Seen, name: KpiName, body: KpiTargets, http: Request
) -> KpiOut:
    """All targets of a KPI."""
    room = _room(services)
    wanted = {t.path: Target(t.value, t.per) for t in body.targets}
    if len(wanted) < len(body.targets):
        raise ConfigError("targets: a path stands there twice")
    try:
        before = await asyncio.to_thread(room.get, name)
        told(http)["old"] = _said(_out(room, sight, before))
        entry = await asyncio.to_thread(room.set_targets, name, wanted, body.base, principal.name)
    except LookupError:
        raise NotFound(f"there is no KPI {name}", "unknown_kpi") from None
    answer = _out(room, sight, entry)
    told(http)["new"] = _said(answer)
    return answer


@router.delete("/kpis/{name}", dependencies=allow(Action.PRODUCTION_PLAN), status_code=204)
async def remove_kpi(
    services: Room,
    sight: Seen,
    name: KpiName,
    base: Annotated[int, Query(ge=1, le=2**31 - 1, description="its revision")],
    http: Request,
) -> None:
    """Remove a KPI of the plant's own that no other one reads."""
    room = _room(services)
    try:
        before = await asyncio.to_thread(room.get, name)
        told(http)["old"] = _said(_out(room, sight, before))
        await asyncio.to_thread(room.remove, name, base)
    except LookupError:
        raise NotFound(f"there is no KPI {name}", "unknown_kpi") from None

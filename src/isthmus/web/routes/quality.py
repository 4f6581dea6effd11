"""Quality as people meet it: plans, checks that are due and are recorded, charts, holds, nonconformances, actions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Annotated, Any, Final, Literal

import numpy as np
from fastapi import Path, Query, Request, Response
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from isthmus.quality.judging import Drawn
from isthmus.quality.model import (
    CLOSED,
    VERIFIED,
    Characteristic,
    Check,
    CorrectiveAction,
    Entered,
    Hold,
    LimitsKept,
    Nonconformance,
    Plan,
    Sampling,
    Violation,
)
from isthmus.quality.service import CharacteristicNow, Due, Quality, Recorded
from isthmus.quality.spc import Capability, Index, Shape
from isthmus.security.model import Action, Principal
from isthmus.values.errors import ConfigError
from isthmus.values.ids import MAX_PATH_CHARS
from isthmus.web.access import Room, Seen, SeenBefore, Sight, Who, allow
from isthmus.web.audited import told
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.problems import NotFound
from isthmus.web.services import Services
from isthmus.web.sheets import FILES, Form, sheet
from isthmus.web.times import iso, parse_time

router = routes_of("quality")

MOST_ROWS: Final = 5_000

Under = Annotated[str, Query(max_length=MAX_PATH_CHARS, description="at or below this path; empty: everything")]
Moment = Annotated[str, Query(max_length=64)]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
Key = Annotated[str, Path(min_length=1, max_length=125, description="plan.characteristic")]
Base = Annotated[
    int, Field(ge=0, le=2**31 - 1, description="the version it was changed from; refused when it is another")
]
Reason = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"\S")]
Short = Annotated[str, Field(max_length=120)]
Asset = Annotated[str, Field(min_length=1, max_length=MAX_PATH_CHARS)]
Title = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
Value = Annotated[float, Field(ge=-1e15, le=1e15, allow_inf_nan=False)]
Severity = Literal["minor", "major", "critical"]
Disposition = Literal["use as is", "rework", "regrade", "scrap", "return"]
Consequence = Literal["chart", "nonconformance", "hold"]
ChartKind = Literal["imr", "xbar_r", "xbar_s", "p", "np", "c", "u", "ewma", "cusum"]
Rule = Literal[
    "nelson1", "nelson2", "nelson3", "nelson4", "nelson5", "nelson6", "nelson7", "nelson8",
    "western1", "western2", "western3", "western4",
]  # fmt: skip


class QualitySampling(BaseModel):
    every_s: float = Field(0, ge=0, le=31 * 86_400, description="0: not by time")
    pieces: int = Field(
        0, ge=0, le=100_000_000, description="as the machine counts them, of a live tag its samples; 0: not by count"
    )
    event: Literal["", "order", "product", "lot", "tag"] = ""
    tag: str = Field("", max_length=MAX_PATH_CHARS + 80, description="of the event tag")
    becomes: Value = 1


class QualityShape(BaseModel):
    weight: float = Field(0.2, gt=0, le=1, description="of an EWMA: λ")
    width: float = Field(3, gt=0, le=10, description="of an EWMA: L, in standard deviations")
    k: float = Field(0.5, ge=0, le=10, description="of a CUSUM: allowance, in standard deviations")
    h: float = Field(5, gt=0, le=100, description="of a CUSUM: decision interval, in standard deviations")
    steady: bool = Field(False, description="limits of an EWMA as they become in the end")


class QualityCharacteristic(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: str = Field(max_length=60, description="lower-case letters, digits and -")
    title: str = Field(max_length=200)
    kind: Literal["variable", "attribute", "visual"] = "variable"
    chart: ChartKind = "imr"
    unit: str = Field("", max_length=40)
    decimals: int = Field(2, ge=0, le=9)
    size: int = Field(1, ge=1, le=1_000_000, description="values of one check, or units looked at")
    target: Value | None = None
    lsl: Value | None = Field(None, description="lower specification limit")
    usl: Value | None = None
    center: Value | None = Field(None, description="control limits that are given; without it they are learned")
    sigma: Value | None = Field(None, description="standard deviation of one value within subgroups")
    learn: int = Field(25, ge=5, le=500, description="checks limits are learned from")
    rules: list[Rule] = Field(default=["nelson1"], max_length=12)
    shape: QualityShape = Field(default_factory=lambda: QualityShape.model_validate({}))
    sampling: QualitySampling = Field(default_factory=lambda: QualitySampling.model_validate({}))
    tag: str = Field(
        "", max_length=MAX_PATH_CHARS + 80, description="measured live by this tag; empty: a person enters it"
    )
    units: str = Field(
        "",
        max_length=MAX_PATH_CHARS + 80,
        description="of what a counter counts live: the counter of all units looked at",
    )
    faults: list[Annotated[str, Field(min_length=1, max_length=120)]] = Field(default=[], max_length=50)
    allowed: int = Field(0, ge=0, le=1_000_000, description="defective units or defects that still pass")
    on_signal: Consequence = "chart"
    on_fail: Consequence = "nonconformance"
    maintenance: bool = Field(False, description="the nonconformance its checks open asks for maintenance as well")
    severity: Severity = "minor"
    instructions: str = Field("", max_length=4000)


class QualityPlanIn(BaseModel):
    id: str = Field(max_length=60)
    title: Title
    asset: Asset
    product: Short = Field("", description="only while this is made; empty: always")
    characteristics: list[QualityCharacteristic] = Field(max_length=50)
    active: bool = True
    base: Base
    reason: Reason


class QualityPlanOut(BaseModel):
    id: str
    title: str
    asset: str
    product: str
    characteristics: list[QualityCharacteristic]
    active: bool
    version: int
    changed: str
    changed_by: str
    reason: str


class QualityPlans(BaseModel):
    plans: list[QualityPlanOut]


class QualityCheckIn(BaseModel):
    characteristic: str = Field(min_length=1, max_length=125)
    time: str = Field("now", max_length=64)
    values: list[Value] = Field(default=[], max_length=50, description="of a variable: as many as the plan says")
    defects: int = Field(0, ge=0, le=1_000_000_000, description="of the others: defective units, or defects")
    size: int = Field(0, ge=0, le=1_000_000, description="units looked at; 0: as the plan says")
    fault: Short = ""
    comment: str = Field("", max_length=1000)
    due: str = Field("", max_length=200, description="the due check this answers; 409 where somebody did meanwhile")
    lot: Short = Field("", description="empty: the lot that runs")


class QualityCheckOut(BaseModel):
    id: int
    characteristic: str
    asset: str
    time: str
    values: list[float]
    defects: int
    size: int
    passed: bool
    signals: list[str] = Field(description="rules it completed")
    fault: str
    comment: str
    source: Literal["entered", "tag"]
    by: str
    order: str
    product: str
    lot: str
    void_by: str
    void_reason: str


class QualityRecorded(BaseModel):
    check: QualityCheckOut
    nonconformance: int | None
    hold: int | None


class QualityVoid(BaseModel):
    reason: Reason


class QualityDue(BaseModel):
    key: str
    characteristic: str
    plan: str
    title: str
    asset: str
    due: str
    is_due: bool
    why: Literal["first", "time", "pieces", "order", "product", "lot", "tag"]
    left: int = Field(description="pieces until it is due")
    order: str
    product: str
    lot: str


class QualityDues(BaseModel):
    due: list[QualityDue]


class QualityLimits(BaseModel):
    id: int
    since: str
    center: float
    sigma: float
    checks: int = Field(description="how many they were learned from; 0: given")
    by: str
    reason: str


class QualityLimitsIn(BaseModel):
    center: Value | None = Field(None, description="none: learn them anew")
    sigma: Value | None = None
    base: Base
    reason: Reason


class QualityNow(BaseModel):
    id: str
    title: str
    asset: str
    plan: str
    live: bool
    state: Literal["unchecked", "learning", "in control", "signal", "failed"]
    last: QualityCheckOut | None
    limits: QualityLimits | None
    late: int = Field(description="samples of its tag that came too late to count")
    definition: QualityCharacteristic


class QualityNows(BaseModel):
    characteristics: list[QualityNow]
    open: dict[str, int] = Field(description="holds, nonconformances and actions that stand open")


class QualityTrack(BaseModel):
    name: str
    value: list[float | None]
    center: list[float | None]
    lower: list[float | None]
    upper: list[float | None]


class QualityPoint(BaseModel):
    check: QualityCheckOut
    signals: list[str] = Field(description="rules the point completes on this chart")
    trial: bool = Field(description="shown against limits that are still learned")


class QualityIndex(BaseModel):
    value: float | None
    low: float | None
    high: float | None


class QualityCapability(BaseModel):
    n: int
    mean: float
    within: float
    overall: float
    cp: QualityIndex
    cpk: QualityIndex
    pp: QualityIndex
    ppk: QualityIndex
    confidence: float
    notes: list[Literal["no_spread", "few_values"]]


class QualityChart(BaseModel):
    id: str
    asset: str
    chart: ChartKind
    charts: list[ChartKind] = Field(description="others that fit")
    definition: QualityCharacteristic
    limits: QualityLimits | None
    points: list[QualityPoint]
    tracks: list[QualityTrack]
    capability: QualityCapability | None


class QualityViolation(BaseModel):
    code: Literal["failed", "signal"] = Field(description="outside of the specification, or rules of the chart")
    title: str = Field(description="of the characteristic")
    unit: str
    decimals: int
    values: list[float]
    lsl: float | None
    usl: float | None
    defects: int
    size: int
    fault: str
    rules: list[str]


class QualityHold(BaseModel):
    id: int
    version: int
    state: Literal["open", "released"]
    asset: str
    lot: str
    order: str
    product: str
    reason: str
    since: str = Field(description="from when on what was made is in doubt")
    opened: str
    opened_by: str
    check: int | None
    nonconformance: int | None
    released: str | None
    released_by: str
    release_reason: str
    disposition: str
    violation: QualityViolation | None = Field(description="what the check said that put it there")


class QualityHolds(BaseModel):
    holds: list[QualityHold]


class QualityHoldIn(BaseModel):
    asset: Asset
    lot: Short = ""
    reason: Reason
    nonconformance: int = Field(0, ge=0, le=2**31 - 1)


class QualityRelease(BaseModel):
    base: Base
    reason: Reason
    disposition: Disposition


class QualityNonconformance(BaseModel):
    id: int
    version: int
    state: Literal["open", "closed"]
    title: str
    asset: str
    severity: Severity
    opened: str
    opened_by: str
    characteristic: str
    check: int | None
    checks: int = Field(description="how many checks said so")
    order: str
    product: str
    lot: str
    quantity: float
    cause: str
    disposition: str
    owner: str
    due: str | None
    overdue: bool
    closed: str | None
    closed_by: str
    violation: QualityViolation | None = Field(description="what the check said that opened it")
    request: int | None = Field(description="number of its request for maintenance")


class QualityNonconformances(BaseModel):
    nonconformances: list[QualityNonconformance]


class QualityNonconformanceIn(BaseModel):
    title: Title
    asset: Asset
    severity: Severity = "minor"
    lot: Short = ""
    order: Short = ""
    product: Short = ""
    quantity: float = Field(0, ge=0, le=1e12, allow_inf_nan=False)
    owner: str = Field("", max_length=64)
    due: str = Field("", max_length=64, description="a time; empty: none")


class QualityNonconformanceChange(BaseModel):
    base: Base
    state: Literal["open", "closed"] | None = None
    severity: Severity | None = None
    cause: str | None = Field(None, max_length=2000)
    disposition: Disposition | None = None
    quantity: float | None = Field(None, ge=0, le=1e12, allow_inf_nan=False)
    owner: str | None = Field(None, max_length=64)
    due: str | None = Field(None, max_length=64)


class QualityAction(BaseModel):
    id: int
    version: int
    state: Literal["open", "done", "verified"]
    nonconformance: int
    asset: str
    title: str
    owner: str
    due: str
    overdue: bool
    opened: str
    opened_by: str
    result: str
    done: str | None
    done_by: str
    verified: str | None
    verified_by: str


class QualityActions(BaseModel):
    actions: list[QualityAction]


class QualityActionIn(BaseModel):
    nonconformance: int = Field(ge=1, le=2**31 - 1)
    title: Title
    owner: str = Field(min_length=1, max_length=64, pattern=r"\S")
    due: str = Field(min_length=1, max_length=64)


class QualityActionChange(BaseModel):
    base: Base
    state: Literal["open", "done", "verified"] | None = None
    title: Title | None = None
    owner: str | None = Field(None, min_length=1, max_length=64, pattern=r"\S")
    due: str | None = Field(None, min_length=1, max_length=64)
    result: str | None = Field(None, max_length=2000)


# --- answers -------------------------------------------------------------------------------------------------------------


def _room(services: Services) -> Quality:
    if services.quality is None:
        raise NotFound("no quality is kept here", "no_quality")
    return services.quality


def _gone(error: LookupError) -> NotFound:
    return NotFound(f"there is no {error.args[0] if error.args else ''}", "unknown_quality")


def _check_place(services: Services, principal: Principal, sight: Sight, action: Action, asset: str, what: str) -> None:
    """Whether somebody may do it there; what is not seen does not exist."""
    if not sight.path(asset):
        raise NotFound(f"there is no {what}", "unknown_quality")
    services.policies.current().decide(principal, action, asset).check()


def _at(time_ns: int) -> str | None:
    return iso(time_ns) if time_ns else None


def _definition(one: Characteristic) -> QualityCharacteristic:
    values = {
        name: getattr(one, name) for name in QualityCharacteristic.model_fields if name not in ("shape", "sampling")
    }
    shape = {name: getattr(one.shape, name) for name in QualityShape.model_fields}
    sampling = {name: getattr(one.sampling, name) for name in QualitySampling.model_fields}
    return QualityCharacteristic.model_validate({**values, "shape": shape, "sampling": sampling})


def _plan(plan: Plan) -> QualityPlanOut:
    return QualityPlanOut(
        id=plan.id, title=plan.title, asset=plan.asset, product=plan.product, active=plan.active, version=plan.version,
        characteristics=[_definition(one) for one in plan.characteristics], changed=iso(plan.changed_ns), changed_by=plan.changed_by,
        reason=plan.reason,
    )  # fmt: skip


def _check(check: Check) -> QualityCheckOut:
    named = {name: getattr(check, name) for name in QualityCheckOut.model_fields if name != "time"}
    return QualityCheckOut.model_validate({**named, "time": iso(check.time_ns)})


def _recorded(done: Recorded) -> QualityRecorded:
    return QualityRecorded(check=_check(done.check), nonconformance=done.nonconformance or None, hold=done.hold or None)


def _due(due: Due) -> QualityDue:
    running = due.running
    return QualityDue.model_validate(
        {
            "key": due.key, "characteristic": due.characteristic, "plan": due.plan.id, "title": due.one.title, "asset": due.plan.asset,
            "due": iso(due.due_ns), "is_due": due.is_due, "why": due.why, "left": due.left, "order": running.order,
            "product": running.product, "lot": running.lot,
        }
    )  # fmt: skip


def _limits(limits: LimitsKept | None) -> QualityLimits | None:
    if limits is None or limits.learning:
        return None
    return QualityLimits(
        id=limits.id, since=iso(limits.since_ns), center=limits.center, sigma=limits.sigma, checks=limits.checks, by=limits.by,
        reason=limits.reason,
    )  # fmt: skip


def _now(one: CharacteristicNow) -> QualityNow:
    return QualityNow.model_validate(
        {
            "id": one.key, "title": one.one.title, "asset": one.plan.asset, "plan": one.plan.id, "live": bool(one.one.tag),
            "state": one.state, "last": _check(one.last) if one.last else None, "limits": _limits(one.limits), "late": one.late,
            "definition": _definition(one.one),
        }
    )  # fmt: skip


def _numbers(column: NDArray[np.float64]) -> list[float | None]:
    return [v if math.isfinite(v) else None for v in column.tolist()]


def _index(index: Index) -> QualityIndex:
    return QualityIndex(value=index.value, low=index.low, high=index.high)


def _fitting(one: Characteristic) -> list[str]:
    if one.is_measured:
        return ["imr", "ewma", "cusum"] if one.size == 1 else ["xbar_r", "xbar_s", "ewma", "cusum"]
    return ["p", "np", "c", "u"]


def _capability(can: Capability | None) -> QualityCapability | None:
    if can is None:
        return None
    named = {name: getattr(can, name) for name in ("n", "mean", "within", "overall", "confidence", "notes")}
    indexes = {name: _index(getattr(can, name)) for name in ("cp", "cpk", "pp", "ppk")}
    return QualityCapability.model_validate({**named, **indexes})


def _chart(key: str, asset: str, drawn: Drawn, limits: LimitsKept | None) -> QualityChart:
    signals = drawn.chart.signals or ((),) * len(drawn.checks)
    points = [
        QualityPoint(check=_check(check), signals=list(said), trial=trial)
        for check, said, trial in zip(drawn.checks, signals, drawn.trial, strict=True)
    ]
    tracks = [
        QualityTrack(
            name=track.name,
            value=_numbers(track.value),
            center=_numbers(track.center),
            lower=_numbers(track.lower),
            upper=_numbers(track.upper),
        )
        for track in drawn.chart.tracks
    ]
    return QualityChart.model_validate(
        {
            "id": key, "asset": asset, "chart": drawn.chart.kind, "charts": _fitting(drawn.one), "definition": _definition(drawn.one),
            "limits": _limits(limits), "points": points, "tracks": tracks, "capability": _capability(drawn.capability),
        }
    )  # fmt: skip


def _violation(said: Violation | None) -> QualityViolation | None:
    return None if said is None else QualityViolation.model_validate(asdict(said))


def _hold(one: Hold) -> QualityHold:
    named = {name: getattr(one, name, None) for name in QualityHold.model_fields}
    return QualityHold.model_validate(
        {
            **named, "violation": _violation(one.violation), "since": iso(one.since_ns), "opened": iso(one.opened_ns), "released": _at(one.released_ns),
            "check": one.check or None, "nonconformance": one.nonconformance or None,
        }
    )  # fmt: skip


def _nonconformance(one: Nonconformance, now_ns: int) -> QualityNonconformance:
    named = {name: getattr(one, name, None) for name in QualityNonconformance.model_fields}
    return QualityNonconformance.model_validate(
        {
            **named, "opened": iso(one.opened_ns), "closed": _at(one.closed_ns), "due": _at(one.due_ns), "check": one.check or None,
            "overdue": one.state != CLOSED and 0 < one.due_ns < now_ns, "violation": _violation(one.violation),
            "request": one.request if one.request > 0 else None,
        }
    )  # fmt: skip


def _action(one: CorrectiveAction, now_ns: int) -> QualityAction:
    named = {name: getattr(one, name, None) for name in QualityAction.model_fields}
    return QualityAction.model_validate(
        {
            **named, "opened": iso(one.opened_ns), "due": iso(one.due_ns), "done": _at(one.done_ns), "verified": _at(one.verified_ns),
            "overdue": one.state == "open" and one.due_ns < now_ns,
        }
    )  # fmt: skip


def _when(services: Services, text: str, name: str) -> int:
    return parse_time(text, services.clock.now_ns(), name) if text else 0


def _given(asked: BaseModel, services: Services) -> dict[str, Any]:
    """What of a change was told, as the records keep it."""
    values = {
        name: value
        for name, value in asked.model_dump(exclude_unset=True).items()
        if name != "base" and value is not None
    }
    if "due" in values:
        values["due_ns"] = _when(services, values.pop("due"), "due")
    return values


# --- plans and checks ----------------------------------------------------------------------------------------------------


@router.get("/quality/plans", dependencies=allow(Action.READ, part=True), response_model=QualityPlans, responses=FILES)
async def list_quality_plans(
    services: Room,
    sight: Seen,
    under: Under = "",
    format: Form = "json",  # noqa: A002  as every table calls it
) -> QualityPlans | Response:
    """Inspection plans in their newest version, by title; as a file a row for each characteristic."""
    plans = [_plan(p) for p in _room(services).plans(under) if sight.path(p.asset)]
    if format == "json":
        return QualityPlans(plans=plans)
    return await sheet(format, "inspection-plans", [row for plan in plans for row in _plan_rows(plan)])


def _plan_rows(plan: QualityPlanOut) -> Iterator[dict[str, Any]]:
    """A row for each of its characteristics; what is a list is one text."""
    whole: dict[str, Any] = {
        "plan": plan.id,
        "version": plan.version,
        "plan_title": plan.title,
        "asset": plan.asset,
        "product": plan.product,
    }
    for one in plan.characteristics:
        told = one.model_dump(mode="json")
        sampling = told.pop("sampling") or {}
        cells = told | {f"sampling_{key}": value for key, value in sampling.items()}
        yield whole | {key: ", ".join(map(str, v)) if isinstance(v, list) else v for key, v in cells.items()}


@router.post("/quality/plans", dependencies=allow(Action.PRODUCTION_PLAN, part=True))
async def save_quality_plan(
    asked: QualityPlanIn, services: Room, principal: Who, sight: Seen, request: Request
) -> QualityPlanOut:
    """A new plan (base 0) or the next version of one; refused whole with every place that is wrong."""
    room = _room(services)
    _check_place(services, principal, sight, Action.PRODUCTION_PLAN, asked.asset, f"asset {asked.asset}")
    old = next((p for p in room.plans() if p.id == asked.id), None)
    if old is not None:
        _check_place(services, principal, sight, Action.PRODUCTION_PLAN, old.asset, f"plan {asked.id}")
    told(request).update(
        target=f"quality/plans/{asked.id}"[:200],
        reason=asked.reason,
        old={"version": asked.base},
        new={"characteristics": len(asked.characteristics)},
    )
    plan = Plan(
        asked.id, asked.title.strip(), asked.asset, asked.product,
        tuple(_characteristic(one) for one in asked.characteristics), asked.active,
    )  # fmt: skip
    return _plan(await room.save_plan(plan, asked.base, principal.name, asked.reason))


def _characteristic(one: QualityCharacteristic) -> Characteristic:
    values = one.model_dump()
    values |= {
        "shape": Shape(**values["shape"]),
        "sampling": Sampling(**values["sampling"]),
        "rules": tuple(dict.fromkeys(values["rules"])),
        "faults": tuple(values["faults"]),
    }
    return Characteristic(**values)


@router.get("/quality/due", dependencies=allow(Action.READ, part=True), response_model=QualityDues, responses=FILES)
async def list_due_checks(
    services: Room,
    sight: Seen,
    asset: Annotated[
        str, Query(max_length=MAX_PATH_CHARS, description="at or below this path; empty: everywhere")
    ] = "",
    format: Form = "json",  # noqa: A002  as every table calls it
) -> QualityDues | Response:
    """Checks that people owe, and when the next ones are due; the most overdue first."""
    found = [_due(d) for d in await _room(services).due(asset) if sight.path(d.plan.asset)]
    return QualityDues(due=found) if format == "json" else await sheet(format, "due-checks", found)


@router.post("/quality/checks", dependencies=allow(Action.PRODUCTION_RECORD, part=True), status_code=201)
async def record_quality_check(
    asked: QualityCheckIn, services: Room, principal: Who, sight: Seen, request: Request
) -> QualityRecorded:
    """What somebody found. Answers which rules it breaks, and what was opened and held because of it."""
    room = _room(services)
    try:
        plan, _ = room.characteristic(asked.characteristic)
        what = f"characteristic {asked.characteristic}"
        _check_place(services, principal, sight, Action.PRODUCTION_RECORD, plan.asset, what)
        entered = Entered(
            asked.characteristic, _when(services, asked.time, "time"), tuple(asked.values), asked.defects, asked.size, asked.fault,
            asked.comment, asked.due, asked.lot, "entered", principal.name,
        )  # fmt: skip
        done = await room.record(entered)
    except LookupError as error:
        raise _gone(error) from None
    told(request).update(
        target=f"quality/{asked.characteristic}",
        new={"check": done.check.id, "passed": done.check.passed, "hold": done.hold},
    )
    return _recorded(done)


@router.post("/quality/checks/{n}/void", dependencies=allow(Action.PRODUCTION_CORRECT, part=True))
async def void_quality_check(
    asked: QualityVoid, services: Room, principal: Who, sight: Seen, n: Number, request: Request
) -> QualityCheckOut:
    """A check that was entered wrongly does not count any more; it stays in the record, with the reason."""
    room = _room(services)
    told(request)["reason"] = asked.reason
    try:
        check = await room.check(n)
        _check_place(services, principal, sight, Action.PRODUCTION_CORRECT, check.asset, f"check {n}")
        return _check(await room.void(n, principal.name, asked.reason))
    except LookupError as error:
        raise _gone(error) from None


@router.get(
    "/quality/characteristics", dependencies=allow(Action.READ, part=True), response_model=QualityNows, responses=FILES
)
async def list_characteristics(
    services: Room,
    sight: Seen,
    under: Under = "",
    format: Form = "json",  # noqa: A002  as every table calls it
) -> QualityNows | Response:
    """Everything that is checked and how it stands."""
    room = _room(services)
    found = [_now(one) for one in await room.characteristics(under) if sight.path(one.plan.asset)]
    if format != "json":
        rows = [
            {
                "id": one.id, "title": one.title, "asset": one.asset, "state": one.state, "last": one.last.time if one.last else None,
                "center": one.limits.center if one.limits else None, "sigma": one.limits.sigma if one.limits else None,
            }
            for one in found
        ]  # fmt: skip
        return await sheet(format, "characteristics", rows)
    counts = {} if sight.narrowed else await room.open_counts()
    return QualityNows(characteristics=found, open=counts)


@router.post("/quality/characteristics/{ident}/limits", dependencies=allow(Action.PRODUCTION_PLAN, part=True))
async def set_quality_limits(
    asked: QualityLimitsIn,
    services: Room,
    principal: Who,
    sight: Seen,
    ident: Key,
    request: Request,
) -> QualityNow:
    """Control limits from now on, or, without a center, learned anew. ``base`` is the number of those in force, 0 for none."""
    room = _room(services)
    told(request).update(reason=asked.reason, new={"center": asked.center, "sigma": asked.sigma})
    try:
        plan, _ = room.characteristic(ident)
        _check_place(services, principal, sight, Action.PRODUCTION_PLAN, plan.asset, f"characteristic {ident}")
        await room.set_limits(ident, asked.center, asked.sigma, asked.base, principal.name, asked.reason)
        return next(_now(one) for one in await room.characteristics(plan.asset) if one.key == ident)
    except LookupError as error:
        raise _gone(error) from None
    except StopIteration:
        raise NotFound(f"plan of {ident} is not in use", "unknown_quality") from None


@router.get(
    "/quality/charts/{ident}",
    dependencies=allow(Action.READ, "history", part=True),
    response_model=QualityChart,
    responses=FILES,
)
async def show_quality_chart(
    services: Room,
    sight: SeenBefore,
    ident: Key,
    start: Moment = "now-30d",
    end: Moment = "now",
    chart: Annotated[str, Query(max_length=16, description="as another chart than the plan's")] = "",
    format: Form = "json",  # noqa: A002  as every table calls it
) -> QualityChart | Response:
    """The control chart of what was checked in [start, end): points with the rules they complete, limits, capability."""
    room = _room(services)
    now_ns = services.clock.now_ns()
    start_ns, end_ns = parse_time(start, now_ns, "start"), parse_time(end, now_ns, "end")
    if start_ns >= end_ns:
        raise ConfigError(f"start: must be before end, was {start!r} with end {end!r}")
    if end == "now":
        end_ns += 1  # what was recorded at this very moment belongs to it
    try:
        plan, _ = room.characteristic(ident)
        if not sight.path(plan.asset):
            raise LookupError(f"characteristic {ident}")
        drawn = await room.chart(ident, start_ns, end_ns, chart)
        kept = await room.limits(ident)
    except LookupError as error:
        raise _gone(error) from None
    if format != "json":
        return await sheet(format, ident, list(_chart_rows(drawn)))
    return _chart(ident, plan.asset, drawn, kept[-1] if kept else None)


def _chart_rows(drawn: Drawn) -> Iterable[dict[str, Any]]:
    for i, check in enumerate(drawn.checks):
        row: dict[str, Any] = {"time": iso(check.time_ns), "check": check.id}
        for track in drawn.chart.tracks:
            for name in ("value", "center", "lower", "upper"):
                number = float(getattr(track, name)[i])
                row[track.name if name == "value" else f"{track.name}_{name}"] = (
                    number if math.isfinite(number) else None
                )
        row |= {
            "signals": " ".join(drawn.chart.signals[i]), "passed": check.passed, "values": " ".join(map(repr, check.values)),
            "by": check.by, "lot": check.lot, "order": check.order, "comment": check.comment,
        }  # fmt: skip
        yield row


# --- holds ---------------------------------------------------------------------------------------------------------------


@router.get("/quality/holds", dependencies=allow(Action.READ, part=True), response_model=QualityHolds, responses=FILES)
async def list_holds(
    services: Room,
    sight: Seen,
    under: Under = "",
    state: Annotated[list[Literal["open", "released"]], Query(max_length=2)] = [],  # noqa: B006  FastAPI copies it
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 500,
    format: Form = "json",  # noqa: A002  as every table calls it
) -> QualityHolds | Response:
    """What is held, and what was released; newest first."""
    found = [_hold(one) for one in await _room(services).holds(under, state, limit) if sight.path(one.asset)]
    return QualityHolds(holds=found) if format == "json" else await sheet(format, "holds", found)


@router.post("/quality/holds", dependencies=allow(Action.PRODUCTION_RECORD, part=True), status_code=201)
async def hold_back(asked: QualityHoldIn, services: Room, principal: Who, sight: Seen, request: Request) -> QualityHold:
    """Hold a lot, or what an asset makes from now on, until somebody with the right releases it."""
    _check_place(services, principal, sight, Action.PRODUCTION_RECORD, asked.asset, f"asset {asked.asset}")
    told(request).update(target="quality/holds", reason=asked.reason, new={"asset": asked.asset, "lot": asked.lot})
    try:
        return _hold(
            await _room(services).hold(asked.asset, asked.lot, asked.reason, principal.name, asked.nonconformance)
        )
    except LookupError as error:
        raise _gone(error) from None


@router.post("/quality/holds/{n}/release", dependencies=allow(Action.PRODUCTION_CORRECT, part=True))
async def release_hold(
    asked: QualityRelease, services: Room, principal: Who, sight: Seen, n: Number, request: Request
) -> QualityHold:
    """Let what was held go on: with the right to, a reason, and what becomes of it."""
    room = _room(services)
    told(request).update(reason=asked.reason, new={"disposition": asked.disposition})
    try:
        one = await room.one_hold(n)
        _check_place(services, principal, sight, Action.PRODUCTION_CORRECT, one.asset, f"hold {n}")
        return _hold(await room.release(n, asked.base, principal.name, asked.reason, asked.disposition))
    except LookupError as error:
        raise _gone(error) from None


# --- nonconformances and actions ---------------------------------------------------------------------------------------------


@router.get(
    "/quality/nonconformances",
    dependencies=allow(Action.READ, part=True),
    response_model=QualityNonconformances,
    responses=FILES,
)
async def list_nonconformances(
    services: Room,
    sight: Seen,
    under: Under = "",
    state: Annotated[list[Literal["open", "closed"]], Query(max_length=2)] = [],  # noqa: B006  FastAPI copies it
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 500,
    format: Form = "json",  # noqa: A002  as every table calls it
) -> QualityNonconformances | Response:
    """What was not as it should be; newest first."""
    now_ns = services.clock.now_ns()
    rows = await _room(services).nonconformances(under, state, limit)
    found = [_nonconformance(one, now_ns) for one in rows if sight.path(one.asset)]
    if format != "json":
        return await sheet(format, "nonconformances", found)
    return QualityNonconformances(nonconformances=found)


@router.post("/quality/nonconformances", dependencies=allow(Action.PRODUCTION_RECORD, part=True), status_code=201)
async def open_nonconformance(
    asked: QualityNonconformanceIn, services: Room, principal: Who, sight: Seen, request: Request
) -> QualityNonconformance:
    """Somebody found something that no check tells."""
    _check_place(services, principal, sight, Action.PRODUCTION_RECORD, asked.asset, f"asset {asked.asset}")
    told(request).update(target="quality/nonconformances", new={"asset": asked.asset, "severity": asked.severity})
    values = asked.model_dump(exclude={"due"})
    one = Nonconformance(
        id=0, version=1, state="open", opened_ns=0, opened_by=principal.name, due_ns=_when(services, asked.due, "due"), **values
    )  # fmt: skip
    return _nonconformance(await _room(services).open_nonconformance(one), services.clock.now_ns())


@router.patch("/quality/nonconformances/{n}", dependencies=allow(Action.PRODUCTION_RECORD, part=True))
async def change_nonconformance(
    asked: QualityNonconformanceChange, services: Room, principal: Who, sight: Seen, n: Number, request: Request
) -> QualityNonconformance:
    """Say more about it; whoever may correct closes it, once cause and disposition are told, actions done, holds released."""
    room = _room(services)
    needed = Action.PRODUCTION_CORRECT if asked.state == CLOSED or asked.disposition else Action.PRODUCTION_RECORD
    try:
        one = await room.nonconformance(n)
        _check_place(services, principal, sight, needed, one.asset, f"nonconformance {n}")
        values = _given(asked, services)
        told(request)["new"] = {k: str(v)[:200] for k, v in values.items() if k != "owner"}
        done = await room.change_nonconformance(n, asked.base, values, principal.name)
    except LookupError as error:
        raise _gone(error) from None
    return _nonconformance(done, services.clock.now_ns())


@router.get(
    "/quality/actions", dependencies=allow(Action.READ, part=True), response_model=QualityActions, responses=FILES
)
async def list_quality_actions(
    services: Room,
    sight: Seen,
    under: Under = "",
    state: Annotated[list[Literal["open", "done", "verified"]], Query(max_length=3)] = [],  # noqa: B006  FastAPI copies it
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 500,
    format: Form = "json",  # noqa: A002  as every table calls it
) -> QualityActions | Response:
    """What is done so that it does not come back; newest first."""
    now_ns = services.clock.now_ns()
    rows = await _room(services).actions(under, state, limit)
    found = [_action(one, now_ns) for one in rows if sight.path(one.asset)]
    return QualityActions(actions=found) if format == "json" else await sheet(format, "corrective-actions", found)


@router.post("/quality/actions", dependencies=allow(Action.PRODUCTION_RECORD, part=True), status_code=201)
async def open_quality_action(
    asked: QualityActionIn, services: Room, principal: Who, sight: Seen, request: Request
) -> QualityAction:
    """Somebody does something about a nonconformance until some time."""
    room = _room(services)
    try:
        about = await room.nonconformance(asked.nonconformance)
        what = f"nonconformance {asked.nonconformance}"
        _check_place(services, principal, sight, Action.PRODUCTION_RECORD, about.asset, what)
        told(request).update(target=f"quality/nonconformances/{about.id}", new={"title": asked.title, "due": asked.due})
        due_ns = _when(services, asked.due, "due")
        done = await room.open_action(about.id, asked.title, asked.owner, due_ns, principal.name)
    except LookupError as error:
        raise _gone(error) from None
    return _action(done, services.clock.now_ns())


@router.patch("/quality/actions/{n}", dependencies=allow(Action.PRODUCTION_RECORD, part=True))
async def change_quality_action(
    asked: QualityActionChange, services: Room, principal: Who, sight: Seen, n: Number, request: Request
) -> QualityAction:
    """Change it, or say that it is done; whoever may correct, and did not do it, says that it works."""
    room = _room(services)
    needed = Action.PRODUCTION_CORRECT if asked.state == VERIFIED else Action.PRODUCTION_RECORD
    try:
        one = await room.action(n)
        _check_place(services, principal, sight, needed, one.asset, f"action {n}")
        values = _given(asked, services)
        told(request)["new"] = {k: str(v)[:200] for k, v in values.items() if k != "owner"}
        done = await room.change_action(n, asked.base, values, principal.name)
    except LookupError as error:
        raise _gone(error) from None
    return _action(done, services.clock.now_ns())

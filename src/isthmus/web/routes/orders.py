"""Job orders: list, plan, run at machines, count, take material, sign, work on; who may work on what."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from fractions import Fraction
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from pydantic import Field

from isthmus.production.orders.cost import CostKind, CostPart, Spent, money
from isthmus.production.orders.model import (
    ChangeOver,
    Count,
    Done,
    Job,
    Labour,
    Need,
    Order,
    Product,
    Run,
    Signature,
    Skill,
    State,
)
from isthmus.production.orders.past import Past
from isthmus.production.orders.quantity import ONE, quantity, shown
from isthmus.production.orders.service import Detail, places, wip
from isthmus.security.model import Action, Principal
from isthmus.security.names import MAX_NAME_CHARS
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError
from isthmus.values.ids import MAX_PATH_CHARS
from isthmus.web.access import Room, Seen, Sight, Who, allow
from isthmus.web.audited import told
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.routes.products import (
    MOST_TEXT,
    Amount,
    Ident,
    NewIdent,
    OperationOut,
    hand_of,
    operation_out,
    room_of,
    unknown,
)
from isthmus.web.services import Services
from isthmus.web.sheets import FILES, Form, sheet
from isthmus.web.times import iso, parse_time

router = routes_of("orders")

Text = Annotated[str, Field(max_length=1000)]
Base = Annotated[int, Field(ge=1, le=2**31 - 1, description="the revision it was seen at; refused when it moved on")]
AnyOperation = Annotated[int, Field(ge=0, le=9999, description="0: the one that fits")]
AssetPath = Annotated[str, Field(max_length=MAX_PATH_CHARS)]
Scanned = Annotated[str, Field(min_length=1, max_length=64)]


class OrderIn(BaseModel):
    id: NewIdent = Field("", description="empty: the next number")
    product: str = Field(max_length=64)
    quantity: Amount
    due: str | None = Field(None, max_length=40)
    priority: int = Field(5, ge=1, le=9, description="1 is run first")
    reference: str = Field("", max_length=200, description="its number in the business system")
    note: str = Field("", max_length=MOST_TEXT)
    over_percent: Amount | None = Field(None, ge=0, le=1000, description="unless told, as the product says")
    under_percent: Amount | None = Field(None, ge=0, le=100)


class OrderMove(BaseModel):
    base: Base
    reason: Text = ""


class OrderStart(BaseModel):
    base: Base
    operation: AnyOperation = 0
    asset: AssetPath = Field("", description="not needed where the operation runs at one place")


class OrderPast(BaseModel):
    base: Base
    operation: AnyOperation = Field(0, description="0: what runs, else the next that waits")
    asset: AssetPath = ""
    start: str = Field("", max_length=40, description="when it began; of what runs it may stay as it is")
    end: str = Field("", max_length=40, description="when it ended; empty: it goes on")
    complete: bool = Field(False, description="it was complete at its end; else it pauses from then on")
    run: int = Field(
        0, ge=0, le=2**31 - 1, description="a run that is over, at other times; 0: of what is completed the last"
    )
    reason: str = Field(min_length=1, max_length=1000, pattern=r"\S")


class OrderStop(BaseModel):
    base: Base
    operation: AnyOperation = 0
    reason: Text = ""


class OrderLoss(BaseModel):
    quantity: Amount
    reason: str = Field(min_length=1, max_length=200, description="key of a reason of the plant")
    operation: AnyOperation = 0


class OrderReport(BaseModel):
    quantity: Amount
    operation: AnyOperation = 0


class OrderConsume(BaseModel):
    lot: Scanned
    quantity: Amount
    operation: AnyOperation = 0
    into: str = Field("", max_length=64, description="serial number it goes into; else the order's lot")


class OrderStep(BaseModel):
    operation: int = Field(ge=1, le=9999)
    step: str = Field(max_length=40)
    result: Text = ""


class OrderSign(BaseModel):
    operation: int = Field(ge=1, le=9999)
    step: str = Field(max_length=40)
    comment: Text = ""
    password: str = Field("", max_length=1024, description="who signs says again who they are")
    code: str = Field("", max_length=64, description="of the second factor, where one is set")
    pin: str = Field("", max_length=16, description="in place of the password, at a station")


class OrderLabour(BaseModel):
    do: Literal["begin", "end"]
    operation: AnyOperation = 0
    person: str = Field(
        "", max_length=MAX_NAME_CHARS, description="empty: whoever asks; another needs production.correct"
    )


class OrderCount(BaseModel):
    total: str
    good: str
    reject: str
    rework: str


class OrderJob(BaseModel):
    operation: int
    name: str
    state: State
    asset: str
    count: OrderCount
    wip: str = Field(description="finished here and not taken up by the next operation")


class OrderRow(BaseModel):
    id: str
    product: str
    name: str
    unit: str
    version: int
    quantity: str = Field(description="all quantities are decimal text, exact")
    state: State
    rev: int
    lot: str
    due: str | None
    priority: int
    reference: str
    note: str
    created: str
    by: str
    ended: str | None
    least: str
    most: str
    good: str
    reject: str
    progress: float = Field(description="of the ordered quantity, 1 is all of it")
    over: bool
    jobs: list[OrderJob]


class OrderList(BaseModel):
    orders: list[OrderRow]


class OrderRun(BaseModel):
    id: int
    operation: int
    asset: str
    start: str
    end: str | None
    by: str
    count: OrderCount


class OrderNeed(BaseModel):
    material: str
    operation: int
    each: str
    automatic: bool
    planned: str
    needed: str = Field(description="by what was counted")
    booked: str
    owed: str = Field(description="used by the machine, and no lot covers it")


class OrderStepDone(BaseModel):
    operation: int
    step: str
    at: str
    by: str
    result: str


class OrderSignature(BaseModel):
    id: int
    order: str
    operation: int
    step: str
    lot: str
    meaning: str
    by: str
    at: str
    content: str
    hash: str = Field(description="SHA-256 of content; it is in the audit log, too")
    valid: bool = Field(description="the text is the one that was signed")


class OrderLabourOut(BaseModel):
    operation: int
    asset: str
    person: str
    start: str
    end: str | None


class OrderEvent(BaseModel):
    operation: int
    kind: str
    at: str
    by: str
    detail: dict[str, str | int]


class OrderChangeOver(BaseModel):
    asset: str
    before: str = Field(description="product")
    start: str
    end: str | None = Field(description="null while it lasts")
    seconds: float
    target_s: int
    late: bool


class OrderDetail(OrderRow):
    routing: list[OperationOut] = Field(description="with the work instructions of the version it is made by")
    runs: list[OrderRun]
    materials: list[OrderNeed]
    steps: list[OrderStepDone]
    signatures: list[OrderSignature]
    labour: list[OrderLabourOut]
    change_overs: list[OrderChangeOver]
    events: list[OrderEvent] = Field(description="newest first")


class OrderCostPart(BaseModel):
    kind: CostKind
    operation: int
    what: str = Field(description="the lot, or the machine or line")
    material: str
    amount: str = Field(description="hours worked, minutes of down time, or units of the material; decimal text")
    unit: str
    rate: str | None = Field(
        description="of an hour, or of a unit; null: not known, and of down time, where each machine has its own"
    )
    cost: str | None = Field(description="null: not known")
    why: str = Field(description="why it is not known; else what is to be said of it")


class OrderCost(BaseModel):
    order: str
    currency: str
    labour: str | None = Field(description="decimal text, rounded to millionths; null where a part of it is not known")
    material: str | None
    machine: str | None = Field(description="of machines that stood while they ran it")
    total: str | None
    known: str = Field(description="sum of all that is known: it cost that at least")
    per_good: str | None = Field(description="the total by good pieces of the last operation")
    unknown: list[str] = Field(description="what is missing, and time nobody knows of that is too short to count")
    parts: list[OrderCostPart]


class SkillBody(BaseModel):
    skill: str = Field(min_length=1, max_length=80)
    until: str | None = Field(None, max_length=40)


class PersonSkills(BaseModel):
    person: str = Field(min_length=1, max_length=MAX_NAME_CHARS)
    skills: list[SkillBody] = Field(max_length=200)


class SkillList(BaseModel):
    people: list[PersonSkills]


# what is there


@router.get("/orders", dependencies=allow(Action.READ, part=True), response_model=OrderList, responses=FILES)
async def list_orders(
    services: Room,
    sight: Seen,
    state: Annotated[list[State] | None, Query(max_length=7)] = None,
    product: Annotated[str, Query(max_length=64)] = "",
    asset: Annotated[str, Query(max_length=MAX_PATH_CHARS, description="those that run there, or may")] = "",
    search: Annotated[str, Query(max_length=100)] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    form: Form = "json",
) -> OrderList | Response:
    """Orders: what runs, then by priority and due time; ended ones last, newest first."""
    found = await room_of(services).orders.listed(
        states=[str(one) for one in state or ()], product=product, search=search, asset=asset, limit=limit
    )
    rows = [_row(*row) for row in found if _seen(sight, row[0], row[1])]
    return OrderList(orders=rows) if form == "json" else await sheet(form, "orders", [_flat(row) for row in rows])


def _flat(row: OrderRow) -> dict[str, str | int | float | None]:
    return row.model_dump(mode="json", exclude={"jobs"})


@router.post("/orders", dependencies=allow(Action.PRODUCTION_PLAN), status_code=201)
async def create_order(body: OrderIn, services: Room, principal: Who, http: Request) -> OrderRow:
    """Plan an order; it is released when it may be run."""
    due_ns = None if body.due is None else parse_time(body.due, services.clock.now_ns(), "due")
    given = Order(
        body.id, body.product, 0, quantity(body.quantity, "quantity"), due_ns=due_ns, priority=body.priority,
        reference=body.reference, note=body.note,
    )  # fmt: skip
    over = None if body.over_percent is None else quantity(body.over_percent, "over_percent", least=0)
    under = None if body.under_percent is None else quantity(body.under_percent, "under_percent", least=0)
    made = await room_of(services).orders.create(given, hand_of(principal), over=over, under=under)
    told(http).update(target=f"orders/{made.id}", new={"product": made.product, "quantity": shown(made.quantity)})
    return await _one(services, made.id)


@router.get("/orders/{id}", dependencies=allow(Action.READ, part=True))
async def get_order(id: Ident, services: Room, sight: Seen) -> OrderDetail:  # noqa: A002  the word of the path
    """One with its routing and instructions, counts, material, steps, signatures, labour and journal, counted now."""
    await _order(services, sight, id)
    room = room_of(services)
    found = await room.orders.detail(id)
    signed = await room.signing.signatures(order=id)
    return _detail(found, signed, services.clock.now_ns())


@router.get("/orders/{id}/cost", dependencies=allow(Action.READ, part=True), response_model=OrderCost, responses=FILES)
async def get_cost_of_order(
    id: Ident,  # noqa: A002  the word of the path
    services: Room,
    sight: Seen,
    form: Form = "json",
) -> OrderCost | Response:
    """What it cost by now: people's time, lots that were taken and machines that stood, each part with amount and rate.

    What nobody knows is null and says why, never 0.
    """
    await _order(services, sight, id)
    room = room_of(services)
    order, _, counts = await room.orders.row(id)
    good = counts.get(order.jobs[-1].operation, Count()).good if order.jobs else 0
    spent = await room.costs.of_order(id)
    materials = {one.material for one in spent.parts if one.material}
    units = {name: (await room.products.get(name)).unit for name in sorted(materials)}
    answer = _cost(id, spent, good, units, services.namespace.current().currency)
    if form == "json":
        return answer
    rows = [{"order": id, **part.model_dump(mode="json"), "currency": answer.currency} for part in answer.parts]
    return await sheet(form, f"cost-{id}", rows, ("order", *OrderCostPart.model_fields, "currency"))


def _cost(ident: str, spent: Spent, good: int, units: Mapping[str, str], currency: str) -> OrderCost:
    def told(*kinds: CostKind) -> str | None:
        found = spent.of(*kinds)
        return None if found is None else money(found)

    whole = spent.of()
    return OrderCost(
        order=ident,
        currency=currency,
        labour=told(CostKind.LABOUR),
        material=told(CostKind.MATERIAL),
        machine=told(CostKind.MACHINE),
        total=told(),
        known=money(spent.known),
        per_good=None if whole is None or not good else money(whole * ONE / good),
        unknown=list(spent.remarks()),
        parts=[_cost_part(one, units) for one in spent.parts],
    )


_COST_UNITS = {CostKind.LABOUR: ("h", 3_600 * NS_PER_S), CostKind.MACHINE: ("min", 60 * NS_PER_S)}


def _cost_part(one: CostPart, units: Mapping[str, str]) -> OrderCostPart:
    unit, each = _COST_UNITS.get(one.kind, (units.get(one.material, ""), ONE))
    return OrderCostPart(
        kind=one.kind,
        operation=one.operation,
        what=one.what,
        material=one.material,
        amount=money(Fraction(one.amount * ONE, each)),
        unit=unit,
        rate=None if one.rate is None else shown(one.rate),
        cost=None if one.cost is None else money(one.cost),
        why=one.why,
    )


# its life


@router.post("/orders/{id}/release", dependencies=allow(Action.PRODUCTION_PLAN))
async def release_order(id: Ident, body: OrderMove, services: Room, principal: Who, http: Request) -> OrderRow:  # noqa: A002  the word of the path
    """It may be run; it keeps this version of its product from now on."""
    return await _moved(services, id, http, room_of(services).orders.release(id, body.base, hand_of(principal)))


@router.post("/orders/{id}/start", dependencies=allow(Action.PRODUCTION_RECORD, part=True))
async def start_order(
    id: Ident,  # noqa: A002  the word of the path
    body: OrderStart,
    services: Room,
    principal: Who,
    sight: Seen,
    http: Request,
) -> OrderRow:
    """Run an operation at a machine or line, whose counts are the order's from now on."""
    await _act(services, principal, sight, id, body.operation, body.asset)
    started = room_of(services).orders.start(
        id, body.base, hand_of(principal), operation=body.operation, asset=body.asset
    )
    return await _moved(services, id, http, started)


@router.post("/orders/{id}/pause", dependencies=allow(Action.PRODUCTION_RECORD, part=True))
async def pause_order(
    id: Ident,  # noqa: A002  the word of the path
    body: OrderStop,
    services: Room,
    principal: Who,
    sight: Seen,
    http: Request,
) -> OrderRow:
    """Stop an operation for a while; its machine is free for another."""
    await _act(services, principal, sight, id, body.operation)
    paused = room_of(services).orders.pause(
        id, body.base, hand_of(principal), operation=body.operation, reason=body.reason
    )
    return await _moved(services, id, http, paused, body.reason)


@router.post("/orders/{id}/past", dependencies=allow(Action.PRODUCTION_CORRECT, part=True))
async def enter_past_of_order(
    id: Ident,  # noqa: A002  the word of the path
    body: OrderPast,
    services: Room,
    principal: Who,
    sight: Seen,
    http: Request,
) -> OrderRow:
    """Say afterwards when an operation ran, or that it ran at other times, with a reason; figures of that time are restated.

    409 `machine_busy` names the order that ran there then.
    """
    operation, asset = body.operation, body.asset
    if body.run:
        run = await room_of(services).orders.run_of(id, body.run)
        if run is None:
            raise unknown("run", body.run)
        operation, asset = run.operation, asset or run.asset
    await _act(services, principal, sight, id, operation, asset, Action.PRODUCTION_CORRECT)
    now_ns = services.clock.now_ns()
    start_ns = parse_time(body.start, now_ns, "start") if body.start else None
    end_ns = parse_time(body.end, now_ns, "end") if body.end else None
    entered = room_of(services).orders.enter_past(
        id, body.base, hand_of(principal), Past(start_ns, end_ns, body.complete, body.reason, body.run),
        operation=operation, asset=body.asset,
    )  # fmt: skip
    answer = await _moved(services, id, http, entered, body.reason)
    told(http)["new"] = {"state": str(answer.state), "start": body.start, "end": body.end, "complete": body.complete}
    return answer


@router.post("/orders/{id}/resume", dependencies=allow(Action.PRODUCTION_RECORD, part=True))
async def resume_order(
    id: Ident,  # noqa: A002  the word of the path
    body: OrderStart,
    services: Room,
    principal: Who,
    sight: Seen,
    http: Request,
) -> OrderRow:
    """Go on, where it was or elsewhere."""
    await _act(services, principal, sight, id, body.operation, body.asset)
    resumed = room_of(services).orders.resume(
        id, body.base, hand_of(principal), operation=body.operation, asset=body.asset
    )
    return await _moved(services, id, http, resumed)


@router.post("/orders/{id}/complete", dependencies=allow(Action.PRODUCTION_RECORD, part=True))
async def complete_order(
    id: Ident,  # noqa: A002  the word of the path
    body: OrderStop,
    services: Room,
    principal: Who,
    sight: Seen,
    http: Request,
) -> OrderRow:
    """An operation is done; refused while steps are missing, and without a reason where more or less was made than ordered."""
    await _act(services, principal, sight, id, body.operation)
    done = room_of(services).orders.complete(
        id, body.base, hand_of(principal), operation=body.operation, reason=body.reason
    )
    return await _moved(services, id, http, done, body.reason)


@router.post("/orders/{id}/close", dependencies=allow(Action.PRODUCTION_PLAN))
async def close_order(id: Ident, body: OrderMove, services: Room, principal: Who, http: Request) -> OrderRow:  # noqa: A002  the word of the path
    """Its books are final. Refused while its lot is held."""
    closed = room_of(services).orders.close(id, body.base, hand_of(principal), reason=body.reason)
    return await _moved(services, id, http, closed, body.reason)


@router.post("/orders/{id}/cancel", dependencies=allow(Action.PRODUCTION_PLAN))
async def cancel_order(id: Ident, body: OrderMove, services: Room, principal: Who, http: Request) -> OrderRow:  # noqa: A002  the word of the path
    """It is not made, or not to its end."""
    cancelled = room_of(services).orders.cancel(id, body.base, hand_of(principal), reason=body.reason)
    return await _moved(services, id, http, cancelled, body.reason)


# what is counted, taken, done and signed


@router.post("/orders/{id}/scrap", dependencies=allow(Action.PRODUCTION_RECORD, part=True))
async def scrap_of_order(
    id: Ident,  # noqa: A002  the word of the path
    body: OrderLoss,
    services: Room,
    principal: Who,
    sight: Seen,
    http: Request,
) -> OrderCount:
    """Pieces that were counted good are scrap."""
    return await _lost("scrap", id, body, services, principal, sight, http)


@router.post("/orders/{id}/rework", dependencies=allow(Action.PRODUCTION_RECORD, part=True))
async def rework_of_order(
    id: Ident,  # noqa: A002  the word of the path
    body: OrderLoss,
    services: Room,
    principal: Who,
    sight: Seen,
    http: Request,
) -> OrderCount:
    """Pieces that were counted good must be worked on again."""
    return await _lost("rework", id, body, services, principal, sight, http)


async def _lost(
    kind: str, ident: str, body: OrderLoss, services: Services, principal: Principal, sight: Sight, http: Request
) -> OrderCount:
    await _act(services, principal, sight, ident, body.operation)
    told(http).update(reason=body.reason, new={"quantity": str(body.quantity)})
    amount = quantity(body.quantity, "quantity")
    found = await room_of(services).orders.throw_away(
        kind, ident, amount, body.reason, hand_of(principal), operation=body.operation
    )
    return _count(found)


@router.post("/orders/{id}/report", dependencies=allow(Action.PRODUCTION_RECORD, part=True))
async def report_of_order(
    id: Ident,  # noqa: A002  the word of the path
    body: OrderReport,
    services: Room,
    principal: Who,
    sight: Seen,
    http: Request,
) -> OrderCount:
    """Good pieces of an operation that no machine counts."""
    await _act(services, principal, sight, id, body.operation)
    told(http)["new"] = {"quantity": str(body.quantity)}
    amount = quantity(body.quantity, "quantity")
    found = await room_of(services).orders.report(id, amount, hand_of(principal), operation=body.operation)
    return _count(found)


@router.post("/orders/{id}/consume", dependencies=allow(Action.PRODUCTION_RECORD, part=True))
async def consume_for_order(
    id: Ident,  # noqa: A002  the word of the path
    body: OrderConsume,
    services: Room,
    principal: Who,
    sight: Seen,
    http: Request,
) -> OrderNeed:
    """Take of a lot that was scanned; beyond what is on hand it is refused with both quantities."""
    order, _ = await _act(services, principal, sight, id, body.operation)
    told(http)["new"] = {"lot": body.lot, "quantity": str(body.quantity)}
    room, amount = room_of(services), quantity(body.quantity, "quantity")
    try:
        done = await room.lots.consume(order.id, body.lot, amount, body.operation, hand_of(principal), body.into)
        lot = await room.lots.get(body.lot)
    except LookupError as error:
        raise unknown("lot", error.args[0] if error.args else body.lot) from None
    needs = (await room.orders.detail(id)).needs
    return _need(next(one for one in needs if (one.material, one.operation) == (lot.product, done.operation)))


@router.post("/orders/{id}/step", dependencies=allow(Action.PRODUCTION_RECORD, part=True))
async def step_of_order(
    id: Ident,  # noqa: A002  the word of the path
    body: OrderStep,
    services: Room,
    principal: Who,
    sight: Seen,
) -> OrderStepDone:
    """A step of the work instructions was read or done."""
    order, product = await _act(services, principal, sight, id, body.operation)
    try:
        done = await room_of(services).signing.do(
            order, product, body.operation, body.step, body.result, hand_of(principal)
        )
    except LookupError:
        raise unknown("step", body.step) from None
    return _done(done)


@router.post("/orders/{id}/sign", dependencies=allow(Action.PRODUCTION_SIGN, part=True), status_code=201)
async def sign_order(
    id: Ident,  # noqa: A002  the word of the path
    body: OrderSign,
    services: Room,
    principal: Who,
    sight: Seen,
    http: Request,
) -> OrderSignature:
    """Sign a step: who signs proves anew who they are, and the hash of what was signed goes into the audit log."""
    order, product = await _act(services, principal, sight, id, body.operation, action=Action.PRODUCTION_SIGN)
    proof = await asyncio.to_thread(
        services.security.prove_again, principal, body.password, body.code, body.pin, principal.source
    )
    try:
        made = await room_of(services).signing.sign(
            order, product, body.operation, body.step, hand_of(principal), proof, body.comment
        )
    except LookupError:
        raise unknown("step", body.step) from None
    told(http).update(reason=body.comment, new={"hash": made.hash, "lot": made.lot, "meaning": made.meaning})
    return signature_out(made, valid=True)


@router.post("/orders/{id}/labour", dependencies=allow(Action.PRODUCTION_RECORD, part=True))
async def labour_on_order(
    id: Ident,  # noqa: A002  the word of the path
    body: OrderLabour,
    services: Room,
    principal: Who,
    sight: Seen,
    http: Request,
) -> OrderLabourOut:
    """Somebody begins or ends work on an operation; refused where they were not taught what it asks for."""
    order, product = await _act(services, principal, sight, id, body.operation)
    person = body.person or principal.name
    if person != principal.name:
        job = _job_of(order, body.operation)
        services.policies.current().decide(principal, Action.PRODUCTION_CORRECT, job.asset if job else "").check()
        told(http)["about"] = person
    people = room_of(services).people
    if body.do == "end":
        return _labour(await people.end(id, person))
    job = _job_of(order, body.operation)
    if job is None:
        raise ConfigError(f"operation: order {id} has no such operation, was {body.operation}")
    skills = product.operation(job.operation).skills
    return _labour(await people.begin(order, job.operation, job.asset, person, skills))


# people


@router.get("/people/skills", dependencies=allow(Action.PRODUCTION_PLAN), response_model=SkillList, responses=FILES)
async def list_skills(services: Room, form: Form = "json") -> SkillList | Response:
    """Who was taught what, until when."""
    found = _people(await room_of(services).people.skills())
    if form == "json":
        return found
    rows = [{"person": one.person, "skill": s.skill, "until": s.until} for one in found.people for s in one.skills]
    return await sheet(form, "skills", rows, ("person", "skill", "until"))


@router.put("/people/skills", dependencies=allow(Action.PRODUCTION_PLAN))
async def set_skills(body: PersonSkills, services: Room, http: Request) -> SkillList:
    """What somebody may work on from now on, and nothing else."""
    told(http).update(about=body.person, new={"skills": [one.skill for one in body.skills]})
    now_ns = services.clock.now_ns()
    found = [
        Skill(body.person, one.skill, None if one.until is None else parse_time(one.until, now_ns, "until"))
        for one in body.skills
    ]
    return _people(await room_of(services).people.set_skills(body.person, found))


# who may, and how it is told


def _seen(sight: Sight, order: Order, product: Product) -> bool:
    return not sight.narrowed or any(sight.path(path) for path in places(order, product))


async def _order(services: Services, sight: Sight, ident: str) -> tuple[Order, Product]:
    try:
        order, product = await room_of(services).orders.get(ident)
    except LookupError:
        raise unknown("order", ident) from None
    if not _seen(sight, order, product):
        raise unknown("order", ident)
    return order, product


def _job_of(order: Order, operation: int) -> Job | None:
    """The operation that is meant: this one, else the one that runs, pauses or waits first."""
    if operation:
        return next((job for job in order.jobs if job.operation == operation), None)
    for state in (State.RUNNING, State.PAUSED, State.RELEASED):
        for job in order.jobs:
            if job.state is state:
                return job
    return order.jobs[-1] if order.jobs else None


async def _act(
    services: Services,
    principal: Principal,
    sight: Sight,
    ident: str,
    operation: int,
    asset: str = "",
    action: Action = Action.PRODUCTION_RECORD,
) -> tuple[Order, Product]:
    """The order, when somebody may do it where its operation runs, or is to run.

    Raises: NotFound; Denied
    """
    order, product = await _order(services, sight, ident)
    job = _job_of(order, operation)
    if job is None:
        raise unknown("operation", operation)
    one = product.operation(job.operation)
    paths = [path for path in (asset, job.asset) if path] or list(one.assets)
    policy = services.policies.current()
    answers = [policy.decide(principal, action, path) for path in dict.fromkeys(paths)]
    if asset or not any(answer.allowed for answer in answers):
        for answer in answers:
            answer.check()
    return order, product


async def _moved(services: Services, ident: str, http: Request, moving: Awaitable[Order], reason: str = "") -> OrderRow:
    try:
        made = await moving
    except LookupError as error:
        named = error.args[0] if error.args else ident
        raise unknown("order" if named == ident else "operation", named) from None
    told(http).update(reason=reason, new={"state": str(made.state), "rev": made.rev})
    return await _one(services, ident)


async def _one(services: Services, ident: str) -> OrderRow:
    return _row(*await room_of(services).orders.row(ident))


def _row(order: Order, product: Product, counts: Mapping[int, Count]) -> OrderRow:
    return OrderRow(**_fields(order, product, counts))


def _fields(order: Order, product: Product, counts: Mapping[int, Count]) -> dict[str, Any]:
    last = counts.get(order.jobs[-1].operation, Count()) if order.jobs else Count()
    between = wip(order, counts)
    names = {one.number: one.name for one in product.operations}
    return {
        "id": order.id, "product": order.product, "name": product.name, "unit": product.unit, "version": order.version,
        "quantity": shown(order.quantity), "state": order.state, "rev": order.rev, "lot": order.lot,
        "due": iso(order.due_ns) if order.due_ns is not None else None, "priority": order.priority,
        "reference": order.reference, "note": order.note, "created": iso(order.created_ns), "by": order.by,
        "ended": iso(order.ended_ns) if order.ended_ns is not None else None,
        "least": shown(order.least), "most": shown(order.most), "good": shown(last.good),
        "reject": shown(sum(count.reject for count in counts.values())),
        "progress": last.good / order.quantity, "over": last.good > order.most,
        "jobs": [
            OrderJob(
                operation=job.operation, name=names.get(job.operation, ""), state=job.state, asset=job.asset,
                count=_count(counts.get(job.operation, Count())), wip=shown(between.get(job.operation, 0)),
            )
            for job in order.jobs
        ],
    }  # fmt: skip


def _of_people(detail: Mapping[str, str | int]) -> dict[str, str | int]:
    """What a line of the journal tells, without where it stands in the accounts."""
    return {key: value for key, value in detail.items() if key not in ("run", "moment_ns")}


def _detail(found: Detail, signed: list[tuple[Signature, bool]], now_ns: int) -> OrderDetail:
    return OrderDetail(
        **_fields(found.order, found.product, found.counts),
        routing=[operation_out(one) for one in found.product.operations],
        runs=[_run(run) for run in found.runs],
        materials=[_need(one) for one in found.needs],
        steps=[_done(one) for one in found.done],
        signatures=[signature_out(one, valid=valid) for one, valid in signed],
        labour=[_labour(one) for one in found.labour],
        change_overs=[_change_over(one, now_ns) for one in found.change_overs],
        events=[
            OrderEvent(
                operation=one.operation, kind=one.kind, at=iso(one.at_ns), by=one.by, detail=_of_people(one.detail)
            )
            for one in found.events
        ],
    )


def _count(one: Count) -> OrderCount:
    return OrderCount(total=shown(one.total), good=shown(one.good), reject=shown(one.reject), rework=shown(one.rework))


def _run(one: Run) -> OrderRun:
    end = None if one.end_ns is None else iso(one.end_ns)
    return OrderRun(
        id=one.id,
        operation=one.operation,
        asset=one.asset,
        start=iso(one.start_ns),
        end=end,
        by=one.by,
        count=_count(one.count),
    )


def _need(one: Need) -> OrderNeed:
    return OrderNeed(
        material=one.material,
        operation=one.operation,
        each=shown(one.each),
        automatic=one.automatic,
        planned=shown(one.planned),
        needed=shown(one.needed),
        booked=shown(one.booked),
        owed=shown(one.owed),
    )


def _done(one: Done) -> OrderStepDone:
    return OrderStepDone(operation=one.operation, step=one.step, at=iso(one.at_ns), by=one.by, result=one.result)


def signature_out(one: Signature, *, valid: bool) -> OrderSignature:
    """A signature as it is told."""
    return OrderSignature(
        id=one.id, order=one.order, operation=one.operation, step=one.step, lot=one.lot, meaning=one.meaning, by=one.by,
        at=iso(one.at_ns), content=one.content, hash=one.hash, valid=valid,
    )  # fmt: skip


def _labour(one: Labour) -> OrderLabourOut:
    end = None if one.end_ns is None else iso(one.end_ns)
    return OrderLabourOut(operation=one.operation, asset=one.asset, person=one.person, start=iso(one.start_ns), end=end)


def _change_over(one: ChangeOver, now_ns: int) -> OrderChangeOver:
    until_ns = now_ns if one.end_ns is None else one.end_ns
    seconds = max(0, until_ns - one.start_ns) / NS_PER_S
    return OrderChangeOver(
        asset=one.asset, before=one.before, start=iso(one.start_ns), end=iso(one.end_ns) if one.end_ns is not None else None,
        seconds=seconds, target_s=one.target_s, late=bool(one.target_s) and seconds > one.target_s,
    )  # fmt: skip


def _people(found: list[Skill]) -> SkillList:
    people: dict[str, list[SkillBody]] = {}
    for one in found:
        until = None if one.until_ns is None else iso(one.until_ns)
        people.setdefault(one.person, []).append(SkillBody(skill=one.skill, until=until))
    return SkillList(people=[PersonSkills(person=name, skills=skills) for name, skills in people.items()])

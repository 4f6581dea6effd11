"""Products: routing, bill of material, work instructions; each change is a new version."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from fastapi import Path, Query, Request, Response
from pydantic import Field

from isthmus.namespace.changes import Hand
from isthmus.production.orders.model import (
    MOST_COMPONENTS,
    MOST_OPERATIONS,
    MOST_STEPS,
    Component,
    Operation,
    Product,
    Step,
    StepKind,
    Tracking,
)
from isthmus.production.orders.quantity import quantity, shown
from isthmus.production.orders.room import OrderRoom
from isthmus.security.model import Action, Principal, Proof
from isthmus.values.clock import NS_PER_S
from isthmus.values.ids import MAX_PATH_CHARS
from isthmus.web.access import Room, Who, allow
from isthmus.web.audited import told
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.problems import NotFound
from isthmus.web.services import Services
from isthmus.web.sheets import FILES, Form, sheet
from isthmus.web.times import iso

router = routes_of("orders")

MOST_TEXT = 4000
Ident = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
NewIdent = Annotated[str, Field(max_length=64, description="letters, digits and . _ -")]
Amount = Annotated[Decimal, Field(max_digits=18, decimal_places=6, description="exact: a number, or its decimal text")]
Money = Annotated[Decimal | None, Field(ge=0, le=10**9, max_digits=15, decimal_places=6)]
"""In the plant's currency, exact; null: nobody said, which is not the same as nothing."""
Number = Annotated[int, Field(ge=1, le=9999)]
Version = Annotated[int, Query(ge=0, le=2**31 - 1, description="0 is the newest")]


class OrderStepBody(BaseModel):
    key: str = Field(max_length=40, description="small letters, digits, _ and -")
    title: str = Field(min_length=1, max_length=200)
    text: str = Field("", max_length=MOST_TEXT)
    kind: StepKind = StepKind.READ
    required: bool = Field(True, description="the operation is not completed before it is done")
    meaning: str = Field("", max_length=200, description="of a signature")
    point: str = Field("", max_length=64, description="of a reading")


class OperationBody(BaseModel):
    number: Number
    name: str = Field(min_length=1, max_length=200)
    assets: list[Annotated[str, Field(max_length=MAX_PATH_CHARS)]] = Field(
        min_length=1, max_length=50, description="machines or lines it may run at"
    )
    counted: bool = Field(True, description="by the machine; else by hand")
    ideal_count: int = Field(0, ge=0, le=10**9, description="pieces in ideal_s at full speed; 0: as the machine says")
    ideal_s: int = Field(60, ge=1, le=86_400)
    setup_s: int = Field(0, ge=0, le=864_000, description="target of a change-over to this product")
    setup_from: dict[str, Annotated[int, Field(ge=0, le=864_000)]] = Field(
        default_factory=dict, max_length=200, description="the same, by the product before"
    )
    skills: list[Annotated[str, Field(min_length=1, max_length=80)]] = Field(default_factory=list, max_length=20)
    steps: list[OrderStepBody] = Field(default_factory=list, max_length=MOST_STEPS)
    labour_per_h: Money = Field(None, description="cost of an hour of somebody's work on it; null: not known")


class ComponentBody(BaseModel):
    material: str = Field(max_length=64, description="number of a product")
    each: Amount = Field(description="what one piece takes")
    operation: Number
    automatic: bool = Field(True, description="taken by the count; else somebody scans it")


class ProductBody(BaseModel):
    name: str = Field(min_length=1, max_length=200)
    unit: str = Field("pcs", min_length=1, max_length=20)
    tracking: Tracking = Tracking.LOT
    operations: list[OperationBody] = Field(default_factory=list, max_length=MOST_OPERATIONS)
    components: list[ComponentBody] = Field(default_factory=list, max_length=MOST_COMPONENTS)
    over_percent: Amount = Field(Decimal(0), ge=0, le=1000)
    under_percent: Amount = Field(Decimal(0), ge=0, le=100)
    note: str = Field("", max_length=MOST_TEXT)
    cost: Money = Field(None, description="of one unit, in the plant's currency; null: not known")
    reason: str = Field("", max_length=500, description="why it changes")


class NewProduct(ProductBody):
    id: NewIdent


class ChangedProduct(ProductBody):
    base: int = Field(ge=1, le=2**31 - 1, description="the version it began from; refused when there is a newer one")


class ComponentOut(BaseModel):
    material: str
    each: str
    operation: int
    automatic: bool


class OperationOut(OperationBody):
    pass


class ProductRow(BaseModel):
    id: str
    version: int
    name: str
    unit: str
    tracking: Tracking
    made: bool = Field(description="it has a routing; else it is bought")
    on_hand: str = Field(description="of all lots, decimal text")
    cost: str | None = Field(description="of one unit, in the plant's currency; null: not known")


class ProductList(BaseModel):
    products: list[ProductRow]


class ProductOut(BaseModel):
    id: str
    version: int
    name: str
    unit: str
    tracking: Tracking
    operations: list[OperationOut]
    components: list[ComponentOut]
    over_percent: str
    under_percent: str
    note: str
    cost: str | None = Field(description="of one unit, in the plant's currency; null: not known")
    by: str
    at: str
    reason: str


class ProductVersions(BaseModel):
    versions: list[ProductOut]


def room_of(services: Services) -> OrderRoom:
    """The room, where there is one. Raises: NotFound"""
    if services.orders is None:
        raise NotFound("no orders are kept here", "no_orders")
    return services.orders


def hand_of(principal: Principal) -> Hand:
    """Who acts."""
    return Hand(principal.name, principal.user_id, principal.proof is Proof.SESSION)


def unknown(what: str, name: object) -> NotFound:
    """There is none of this number."""
    return NotFound(f"there is no {what} {str(name)[:80]}", f"unknown_{what}")


@router.get("/products", dependencies=allow(Action.READ, part=True), response_model=ProductList, responses=FILES)
async def list_products(
    services: Room,
    search: Annotated[str, Query(max_length=100)] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
    form: Form = "json",
) -> ProductList | Response:
    """What is made and what goes into it, by number, each with its stock."""
    found = await room_of(services).products.listed(search, limit)
    rows = [
        ProductRow(
            id=one.id,
            version=one.version,
            name=one.name,
            unit=one.unit,
            tracking=one.tracking,
            made=bool(one.operations),
            on_hand=shown(stock),
            cost=_said(one.cost),
        )
        for one, stock in found
    ]
    return ProductList(products=rows) if form == "json" else await sheet(form, "products", rows)


@router.post("/products", dependencies=allow(Action.PRODUCTION_PLAN), status_code=201)
async def create_product(body: NewProduct, services: Room, principal: Who, http: Request) -> ProductOut:
    """A new product or material."""
    told(http).update(target=f"products/{body.id}"[:200], reason=body.reason)
    made = await room_of(services).products.save(_product(body.id, body), 0, hand_of(principal))
    return product_out(made)


@router.get("/products/{id}", dependencies=allow(Action.READ, part=True))
async def get_product(id: Ident, services: Room, version: Version = 0) -> ProductOut:  # noqa: A002  the word of the path
    """One version of a product."""
    try:
        return product_out(await room_of(services).products.get(id, version))
    except LookupError:
        raise unknown("product", id) from None


@router.get("/products/{id}/versions", dependencies=allow(Action.READ, part=True))
async def list_product_versions(id: Ident, services: Room) -> ProductVersions:  # noqa: A002  the word of the path
    """All versions, newest first."""
    try:
        found = await room_of(services).products.versions(id)
    except LookupError:
        raise unknown("product", id) from None
    return ProductVersions(versions=[product_out(one) for one in found])


@router.put("/products/{id}", dependencies=allow(Action.PRODUCTION_PLAN))
async def change_product(
    id: Ident,  # noqa: A002  the word of the path
    body: ChangedProduct,
    services: Room,
    principal: Who,
    http: Request,
) -> ProductOut:
    """The next version; orders that were released before keep theirs."""
    room = room_of(services).products
    try:
        await room.get(id)
    except LookupError:
        raise unknown("product", id) from None
    made = await room.save(_product(id, body), body.base, hand_of(principal))
    told(http).update(reason=body.reason, new={"version": made.version})
    return product_out(made)


def _product(ident: str, body: ProductBody) -> Product:
    return Product(
        ident,
        0,
        body.name,
        body.unit,
        body.tracking,
        tuple(_operation(one) for one in body.operations),
        tuple(
            Component(one.material, quantity(one.each, f"components.{place}.each"), one.operation, one.automatic)
            for place, one in enumerate(body.components)
        ),
        quantity(body.over_percent, "over_percent", least=0),
        quantity(body.under_percent, "under_percent", least=0),
        body.note,
        reason=body.reason,
        cost=_money(body.cost, "cost"),
    )


def _money(given: Decimal | None, name: str) -> int | None:
    return None if given is None else quantity(given, name, least=0)


def _said(millionths: int | None) -> str | None:
    return None if millionths is None else shown(millionths)


def _operation(one: OperationBody) -> Operation:
    return Operation(
        one.number,
        one.name,
        tuple(one.assets),
        one.counted,
        one.ideal_count,
        one.ideal_s * NS_PER_S if one.ideal_count else 0,
        one.setup_s,
        tuple(sorted(one.setup_from.items())),
        tuple(one.skills),
        tuple(
            Step(step.key, step.title, step.text, step.kind, step.required, step.meaning, step.point)
            for step in one.steps
        ),
        _money(one.labour_per_h, f"operations.{one.number}.labour_per_h"),
    )


def product_out(one: Product) -> ProductOut:
    """A version as it is told."""
    return ProductOut(
        id=one.id,
        version=one.version,
        name=one.name,
        unit=one.unit,
        tracking=one.tracking,
        operations=[operation_out(operation) for operation in one.operations],
        components=[
            ComponentOut(
                material=part.material, each=shown(part.each), operation=part.operation, automatic=part.automatic
            )
            for part in one.components
        ],
        over_percent=shown(one.over),
        under_percent=shown(one.under),
        note=one.note,
        cost=_said(one.cost),
        by=one.by,
        at=iso(one.at_ns),
        reason=one.reason,
    )


def operation_out(one: Operation) -> OperationOut:
    """An operation as it is told, with its instructions."""
    return OperationOut(
        number=one.number,
        name=one.name,
        assets=list(one.assets),
        counted=one.counted,
        ideal_count=one.ideal_count,
        ideal_s=one.ideal_ns // NS_PER_S or 60,
        setup_s=one.setup_s,
        setup_from=dict(one.setup_from),
        skills=list(one.skills),
        steps=[
            OrderStepBody(
                key=step.key,
                title=step.title,
                text=step.text,
                kind=step.kind,
                required=step.required,
                meaning=step.meaning,
                point=step.point,
            )
            for step in one.steps
        ],
        labour_per_h=None if one.labour_per_h is None else Decimal(shown(one.labour_per_h)),
    )

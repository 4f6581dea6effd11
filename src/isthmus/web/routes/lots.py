"""Material lots and serial numbers: stock, what came and went, genealogy up and down."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from fastapi import Query, Request, Response
from pydantic import Field

from isthmus.production.orders.model import Lot, Move
from isthmus.production.orders.quantity import quantity, shown
from isthmus.security.model import Action
from isthmus.web.access import Room, Who, allow
from isthmus.web.audited import told
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.routes.orders import OrderSignature, Scanned, signature_out
from isthmus.web.routes.products import Amount, Ident, NewIdent, hand_of, room_of, unknown
from isthmus.web.sheets import FILES, Form, sheet
from isthmus.web.times import iso, parse_time

router = routes_of("orders")


class LotPart(BaseModel):
    lot: Scanned
    quantity: Amount


class LotIn(BaseModel):
    id: NewIdent = Field(description="as it stands on the label")
    product: str = Field("", max_length=64, description="what is received; not needed for a serial number of an order")
    quantity: Amount = Decimal(1)
    serial: bool = Field(False, description="one piece")
    supplier: str = Field("", max_length=200, description="and its own number there")
    place: str = Field("", max_length=200)
    expires: str | None = Field(None, max_length=40)
    order: str = Field(
        "", max_length=64, description="the order that made this piece: then it is a serial number of it"
    )
    parts: list[LotPart] = Field(default_factory=list, max_length=200, description="what went into this piece")


class LotRow(BaseModel):
    id: str
    product: str
    on_hand: str = Field(description="decimal text, exact")
    order: str = Field(description="that made it; empty: it came from outside")
    serial: bool
    supplier: str
    place: str
    expires: str | None
    created: str
    by: str
    held: str = Field(description="why it is held; empty: it is not")


class LotList(BaseModel):
    lots: list[LotRow]


class LotMove(BaseModel):
    quantity: str
    kind: str = Field(description="receipt, produce, consume, give_back or adjust")
    at: str
    by: str
    order: str
    operation: int
    automatic: bool
    reason: str


class LotDetail(LotRow):
    moves: list[LotMove] = Field(description="newest first, at most 1,000")
    signatures: list[OrderSignature]


class LotNode(LotRow):
    distance: int


class LotLink(BaseModel):
    parent: str
    child: str
    order: str
    quantity: str


class LotFamily(BaseModel):
    lots: list[LotNode] = Field(description="the lot itself first, then by distance")
    links: list[LotLink]
    complete: bool = Field(description="false: there are more than 2,000")


class LotCounted(BaseModel):
    counted: Amount = Field(ge=0)
    base: Amount = Field(ge=0, description="what the record had when it was counted")
    reason: str = Field(max_length=500)


@router.get("/lots", dependencies=allow(Action.READ, part=True), response_model=LotList, responses=FILES)
async def list_lots(
    services: Room,
    product: Annotated[str, Query(max_length=64)] = "",
    order: Annotated[str, Query(max_length=64)] = "",
    search: Annotated[str, Query(max_length=100)] = "",
    stocked: Annotated[bool, Query(description="only those with something on hand")] = False,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    form: Form = "json",
) -> LotList | Response:
    """Lots and serial numbers, newest first."""
    room = room_of(services).lots
    found = await room.listed(product=product, order=order, search=search, stocked=stocked, limit=limit)
    held = await room.holds.held([one.id for one in found])
    rows = [_row(one, held) for one in found]
    return LotList(lots=rows) if form == "json" else await sheet(form, "lots", rows)


@router.post("/lots", dependencies=allow(Action.PRODUCTION_RECORD, part=True), status_code=201)
async def create_lot(body: LotIn, services: Room, principal: Who, http: Request) -> LotRow:
    """A lot that comes from outside; or, with an order, one piece it made, with what went into it."""
    told(http).update(target=f"lots/{body.id}"[:200], new={"product": body.product, "order": body.order})
    room, hand = room_of(services).lots, hand_of(principal)
    if body.order:
        parts = [(one.lot, quantity(one.quantity, f"parts.{i}.quantity")) for i, one in enumerate(body.parts)]
        try:
            made = await room.serial(body.id, body.order, hand, parts)
        except LookupError as error:
            named = str(error.args[0]) if error.args else ""
            raise unknown("order" if named == body.order else "lot", named) from None
        return _row(made, {})
    expires_ns = None if body.expires is None else parse_time(body.expires, services.clock.now_ns(), "expires")
    lot = Lot(
        body.id, body.product, 0, serial=body.serial, supplier=body.supplier, place=body.place, expires_ns=expires_ns
    )
    return _row(await room.receive(lot, quantity(body.quantity, "quantity"), hand), {})


@router.get("/lots/{id}", dependencies=allow(Action.READ, part=True))
async def get_lot(id: Ident, services: Room) -> LotDetail:  # noqa: A002  the word of the path
    """One with what came and went, and what was signed for it."""
    room = room_of(services)
    try:
        found = await room.lots.get(id)
    except LookupError:
        raise unknown("lot", id) from None
    held = await room.lots.holds.held([id])
    signed = await room.signing.signatures(lot=found.order if found.serial and found.order else id)
    return LotDetail(
        **_row(found, held).model_dump(),
        moves=[_move(one) for one in await room.lots.moves(id)],
        signatures=[signature_out(one, valid=valid) for one, valid in signed],
    )


@router.get("/lots/{id}/genealogy", dependencies=allow(Action.READ, part=True))
async def lot_genealogy(id: Ident, services: Room, direction: Literal["up", "down"] = "up") -> LotFamily:  # noqa: A002  the word of the path
    """Up: everything it was made of. Down: everything that was made of it."""
    room = room_of(services).lots
    try:
        family = await room.genealogy(id, direction)
    except LookupError:
        raise unknown("lot", id) from None
    held = await room.holds.held([lot.id for lot, _ in family.lots])
    return LotFamily(
        lots=[LotNode(**_row(lot, held).model_dump(), distance=far) for lot, far in family.lots],
        links=[
            LotLink(parent=one.parent, child=one.child, order=one.order, quantity=shown(one.quantity))
            for one in family.links
        ],
        complete=family.complete,
    )


@router.post("/lots/{id}/count", dependencies=allow(Action.PRODUCTION_CORRECT, part=True))
async def count_lot(id: Ident, body: LotCounted, services: Room, principal: Who, http: Request) -> LotRow:  # noqa: A002  the word of the path
    """What is there was counted by hand; the record follows, with the reason."""
    told(http).update(reason=body.reason, old={"on_hand": str(body.base)}, new={"on_hand": str(body.counted)})
    room = room_of(services).lots
    counted, base = quantity(body.counted, "counted", least=0), quantity(body.base, "base", least=0)
    try:
        return _row(await room.adjust(id, counted, base, body.reason, hand_of(principal)), {})
    except LookupError:
        raise unknown("lot", id) from None


def _row(one: Lot, held: dict[str, str]) -> LotRow:
    return LotRow(
        id=one.id, product=one.product, on_hand=shown(one.on_hand), order=one.order, serial=one.serial,
        supplier=one.supplier, place=one.place, expires=iso(one.expires_ns) if one.expires_ns is not None else None,
        created=iso(one.created_ns), by=one.by, held=held.get(one.id, ""),
    )  # fmt: skip


def _move(one: Move) -> LotMove:
    return LotMove(
        quantity=shown(one.quantity),
        kind=one.kind,
        at=iso(one.at_ns),
        by=one.by,
        order=one.order,
        operation=one.operation,
        automatic=one.automatic,
        reason=one.reason,
    )

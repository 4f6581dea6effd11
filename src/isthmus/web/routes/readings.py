"""Readings that people key in: points with their limits, and what was read."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from fastapi import Query, Request, Response
from pydantic import Field

from isthmus.production.orders.model import Point, Reading
from isthmus.production.orders.quantity import quantity, shown
from isthmus.security.model import Action, Principal
from isthmus.values.ids import MAX_PATH_CHARS
from isthmus.web.access import Room, Seen, Sight, Who, allow
from isthmus.web.audited import told
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.problems import NotFound
from isthmus.web.routes.products import Amount, Ident, hand_of, room_of, unknown
from isthmus.web.services import Services
from isthmus.web.sheets import FILES, Form, sheet
from isthmus.web.times import iso, parse_time

router = routes_of("readings")


class ReadingPoint(BaseModel):
    id: str
    name: str
    asset: str = Field(description="empty: of the site")
    unit: str
    decimals: int
    lowest: str | None = Field(description="below it a reading is refused; decimal text")
    low: str | None = Field(description="below it a reading asks for a comment")
    high: str | None
    highest: str | None


class ReadingPoints(BaseModel):
    points: list[ReadingPoint]


class ReadingPointIn(BaseModel):
    name: str = Field(min_length=1, max_length=200)
    asset: str = Field("", max_length=MAX_PATH_CHARS)
    unit: str = Field("", max_length=40)
    decimals: int = Field(1, ge=0, le=6)
    lowest: Amount | None = None
    low: Amount | None = None
    high: Amount | None = None
    highest: Amount | None = None


class ReadingIn(BaseModel):
    point: str = Field(max_length=64)
    value: Decimal = Field(max_digits=18, decimal_places=6, description="a number, or its decimal text")
    unit: str | None = Field(None, max_length=40, description="where it is told it must be that of the point")
    at: str = Field("", max_length=40, description="empty: now")
    order: str = Field("", max_length=64)
    operation: int = Field(0, ge=0, le=9999)
    step: str = Field("", max_length=40, description="of the order's instructions, which is done by this")
    comment: str = Field("", max_length=1000)
    replaces: int = Field(0, ge=0, le=2**31 - 1, description="the reading it corrects")


class ReadingOut(BaseModel):
    id: int
    point: str
    at: str
    value: str = Field(description="decimal text, exact")
    by: str
    taken: str = Field(description="when it was keyed in")
    order: str
    outside: str = Field(description="low, high, or empty")
    comment: str
    replaces: int


class ReadingList(BaseModel):
    readings: list[ReadingOut]


@router.get(
    "/readings/points", dependencies=allow(Action.READ, part=True), response_model=ReadingPoints, responses=FILES
)
async def list_reading_points(services: Room, sight: Seen, form: Form = "json") -> ReadingPoints | Response:
    """What is read by hand, by number."""
    found = await room_of(services).readings.points()
    points = [_point(one) for one in found if _seen(sight, one)]
    if form == "json":
        return ReadingPoints(points=points)
    return await sheet(form, "reading-points", [one.model_dump(mode="json") for one in points])


@router.put("/readings/points/{id}", dependencies=allow(Action.PRODUCTION_PLAN))
async def set_reading_point(id: Ident, body: ReadingPointIn, services: Room, http: Request) -> ReadingPoint:  # noqa: A002  the word of the path
    """A new point, or what holds for new readings of one; what was read stays as it was."""
    told(http)["new"] = {"name": body.name, "unit": body.unit}
    limits = {
        name: None if given is None else quantity(given, name, least=None)
        for name, given in (
            ("lowest", body.lowest),
            ("low", body.low),
            ("high", body.high),
            ("highest", body.highest),
        )
    }
    point = Point(id, body.name, body.asset, body.unit, body.decimals, **limits)
    return _point(await room_of(services).readings.save_point(point))


@router.get("/readings", dependencies=allow(Action.READ, part=True), response_model=ReadingList, responses=FILES)
async def list_readings(
    services: Room,
    sight: Seen,
    point: Annotated[str, Query(max_length=64)] = "",
    order: Annotated[str, Query(max_length=64)] = "",
    start: Annotated[str, Query(max_length=40)] = "now-7d",
    end: Annotated[str, Query(max_length=40)] = "now",
    every: Annotated[bool, Query(description="with those that were replaced")] = False,
    limit: Annotated[int, Query(ge=1, le=5000)] = 2000,
    form: Form = "json",
) -> ReadingList | Response:
    """What was read over [start, end], newest first."""
    room, now_ns = room_of(services).readings, services.clock.now_ns()
    seen = {one.id for one in await room.points() if _seen(sight, one)}
    found = await room.listed(
        point, parse_time(start, now_ns, "start"), parse_time(end, now_ns, "end") + 1, order=order, every=every, limit=limit
    )  # fmt: skip
    rows = [_reading(one) for one in found if one.point in seen]
    return ReadingList(readings=rows) if form == "json" else await sheet(form, "readings", rows)


@router.post("/readings", dependencies=allow(Action.PRODUCTION_RECORD, part=True), status_code=201)
async def take_reading(body: ReadingIn, services: Room, principal: Who, sight: Seen, http: Request) -> ReadingOut:
    """Key in a reading. Beyond what it can be it is refused; beyond its limits it asks for a comment."""
    told(http).update(target=f"readings/{body.point}"[:200], reason=body.comment)
    room, now_ns = room_of(services), services.clock.now_ns()
    point = next((one for one in await room.readings.points() if one.id == body.point and _seen(sight, one)), None)
    if point is None:
        raise unknown("point", body.point)
    _check(services, principal, Action.PRODUCTION_RECORD, point)
    corrects = services.policies.current().decide(principal, Action.PRODUCTION_CORRECT, point.asset).allowed
    at_ns = parse_time(body.at, now_ns, "at") if body.at else now_ns
    if body.order:
        try:
            order, product = await room.orders.get(body.order)
        except LookupError:
            raise unknown("order", body.order) from None
    try:
        if body.order and body.step:
            room.signing.check_reading(product, body.operation, body.step, body.point)
        made = await room.readings.take(
            body.point, body.value, hand_of(principal), at_ns=at_ns, unit=body.unit, order=body.order,
            comment=body.comment, replaces=body.replaces, may_correct=corrects,
        )  # fmt: skip
        if body.order and body.step:
            await room.signing.read(order, body.operation, body.step, made.id, hand_of(principal))
    except LookupError as error:
        raise NotFound(f"there is no {error.args[0] if error.args else body.point}", "unknown_reading") from None
    told(http)["new"] = {"value": shown(made.value), "outside": made.outside}
    return _reading(made)


def _seen(sight: Sight, point: Point) -> bool:
    return not point.asset or sight.path(point.asset)


def _check(services: Services, principal: Principal, action: Action, point: Point) -> None:
    services.policies.current().decide(principal, action, point.asset, part=not point.asset).check()


def _point(one: Point) -> ReadingPoint:
    def limit(value: int | None) -> str | None:
        return None if value is None else shown(value)

    return ReadingPoint(
        id=one.id, name=one.name, asset=one.asset, unit=one.unit, decimals=one.decimals, lowest=limit(one.lowest),
        low=limit(one.low), high=limit(one.high), highest=limit(one.highest),
    )  # fmt: skip


def _reading(one: Reading) -> ReadingOut:
    return ReadingOut(
        id=one.id, point=one.point, at=iso(one.at_ns), value=shown(one.value), by=one.by, taken=iso(one.taken_ns),
        order=one.order, outside=one.outside, comment=one.comment, replaces=one.replaces,
    )  # fmt: skip

"""Material in and out of lots, within one transaction: never below nothing, nothing lost, no lot in itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from isthmus.production.orders import lot_store as store
from isthmus.production.orders.model import Component, Count, Link, Lot, Move, Need, Order, Product, Tracking
from isthmus.production.orders.quantity import shown, times
from isthmus.values.errors import Denied

HELD = Mapping[str, str]
"""Lots that are held back, with the reason."""


@dataclass(frozen=True, slots=True)
class Taking:
    """Who takes for what, and when."""

    order: str
    operation: int
    into: str  # the lot it goes into; "" where none is kept
    by: str
    at_ns: int
    automatic: bool = False


def obstacle(db: Connection, lot: Lot, into: str, held: HELD, now_ns: int) -> Denied | None:
    """Why nothing may be taken of a lot for another."""
    if lot.id in held:
        return Denied(
            f"lot {lot.id} is held: {held[lot.id]}; it is used again when quality releases it (/quality, On hold)",
            "lot_held",
        )
    if lot.expires_ns is not None and lot.expires_ns <= now_ns:
        return Denied(f"lot {lot.id} of {lot.product} has expired", "lot_expired")
    if into and store.leads_to(db, into, lot.id):
        return Denied(f"lot {lot.id} was made of lot {into}: it cannot go into it", "lot_circle")
    return None


def take(db: Connection, lot: Lot, amount: int, taking: Taking) -> None:
    """Take from a lot, and remember what it went into.

    Raises: Denied (beyond_stock) naming the lot and both quantities
    """
    if amount > lot.on_hand:
        raise Denied(
            f"lot {lot.id} of {lot.product} has {shown(lot.on_hand)} on hand; {shown(amount)} were asked for",
            "beyond_stock",
        )
    _move(db, lot.id, -amount, "consume", taking)
    if taking.into:
        store.add_link(db, Link(lot.id, taking.into, taking.order, amount))


def give_back(db: Connection, lot: str, amount: int, taking: Taking) -> None:
    """What was taken and not used comes back."""
    _move(db, lot, amount, "give_back", taking)
    if taking.into:
        store.add_link(db, Link(lot, taking.into, taking.order, -amount))


def _move(db: Connection, lot: str, amount: int, kind: str, taking: Taking) -> None:
    store.add_move(
        db,
        Move(lot, amount, kind, taking.at_ns, taking.by, taking.order, taking.operation, taking.automatic),
    )


def needs(db: Connection, order: Order, product: Product, counts: Mapping[int, Count]) -> list[Need]:
    """What an order takes, by what was counted, and what was booked of it."""
    sums: dict[tuple[str, int], int] = {}
    for (material, operation, _), amount in store.booked(db, order.id).items():
        sums[material, operation] = sums.get((material, operation), 0) + amount
    return [
        Need(
            part.material, part.operation, part.each, part.automatic, times(order.quantity, part.each),
            times(counts.get(part.operation, Count()).total, part.each), sums.get((part.material, part.operation), 0),
        )
        for part in product.components
    ]  # fmt: skip


def backflush(
    db: Connection, order: Order, product: Product, counts: Mapping[int, Count], held: HELD, now_ns: int, by: str
) -> list[Need]:
    """Book what the machine used by its count: from what expires first, then from what came first. What no stock covers stays
    owed, and is booked when there is some. A count that came down gives back what was taken last.
    """
    for need in needs(db, order, product, counts):
        if not need.automatic:
            continue
        taking = Taking(order.id, need.operation, order.lot, by, now_ns, automatic=True)
        if need.owed:
            _book(db, need, taking, held)
        elif need.booked > need.needed:
            _return(db, need, taking)
    return needs(db, order, product, counts)


def _book(db: Connection, need: Need, taking: Taking, held: HELD) -> None:
    left = need.owed
    for lot in store.stock(db, need.material):
        if not left:
            return
        if obstacle(db, lot, taking.into, held, taking.at_ns) is None:
            amount = min(left, lot.on_hand)
            take(db, lot, amount, taking)
            left -= amount


def _return(db: Connection, need: Need, taking: Taking) -> None:
    left = need.booked - need.needed
    sums = store.booked(db, taking.order)
    for lot in store.taken_last(db, taking.order, need.operation, need.material):
        amount = min(left, sums.get((need.material, need.operation, lot), 0))
        if amount > 0:
            give_back(db, lot, amount, taking)
            left -= amount


def bring_in(db: Connection, order: Order, product: Product, good: int, by: str, now_ns: int) -> None:
    """What the last operation made is on hand in the order's lot. A count that came down takes off what is still there."""
    if product.tracking is not Tracking.LOT or not order.lot:
        return
    lot = store.lot(db, order.lot)
    if lot is None:
        return
    more = max(good - store.produced(db, order.id), -lot.on_hand)
    if more:
        store.add_move(db, Move(lot.id, more, "produce", now_ns, by, order.id, automatic=True))


def component_of(product: Product, material: str, operation: int) -> Component:
    """The line of the bill that a material fits.

    Raises: Denied (not_in_bill)
    """
    for part in product.components:
        if part.material == material and operation in (0, part.operation):
            return part
    at = f" at operation {operation}" if operation else ""
    raise Denied(f"{material} is not in the bill of material of {product.id}{at}", "not_in_bill")

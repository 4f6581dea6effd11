"""The records of material: lots, what came and went, which lot went into which; and readings by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from isthmus.production.orders.model import Link, Lot, Move, Point, Reading
from isthmus.production.orders.store import metadata, values_of

LOT = Table(
    "orders_lot",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("product", String(64), nullable=False),
    Column("on_hand", BigInteger, nullable=False),
    Column("order", String(64), nullable=False),
    Column("serial", Boolean, nullable=False),
    Column("supplier", String(200), nullable=False),
    Column("place", String(200), nullable=False),
    Column("expires_ns", BigInteger),
    Column("created_ns", BigInteger, nullable=False),
    Column("by", String(200), nullable=False),
    CheckConstraint("on_hand >= 0", name="orders_lot_not_below_zero"),
    Index("orders_lot_by_product", "product", "created_ns"),
    Index("orders_lot_by_order", "order"),
)
MOVE = Table(
    "orders_move",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("lot", ForeignKey(LOT.c.id), nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("by", String(200), nullable=False),
    Column("order", String(64), nullable=False),
    Column("operation", Integer, nullable=False),
    Column("automatic", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Index("orders_move_by_lot", "lot", "seq"),
    Index("orders_move_by_order", "order", "seq"),
)
LINK = Table(
    "orders_link",
    metadata,
    Column("parent", ForeignKey(LOT.c.id), primary_key=True),
    Column("child", ForeignKey(LOT.c.id), primary_key=True),
    Column("order", String(64), primary_key=True),
    Column("quantity", BigInteger, nullable=False),
    Index("orders_link_by_child", "child"),
)
POINT = Table(
    "orders_point",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("asset", String(400), nullable=False),
    Column("unit", String(40), nullable=False),
    Column("decimals", Integer, nullable=False),
    *(Column(name, BigInteger) for name in ("lowest", "highest", "low", "high")),
)
READING = Table(
    "orders_reading",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("point", ForeignKey(POINT.c.id), nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("value", BigInteger, nullable=False),
    Column("by", String(200), nullable=False),
    Column("taken_ns", BigInteger, nullable=False),
    Column("order", String(64), nullable=False),
    Column("outside", String(8), nullable=False),
    Column("comment", Text, nullable=False),
    Column("replaces", Integer, nullable=False),
    Index("orders_reading_by_point", "point", "at_ns"),
    Index("orders_reading_by_replaced", "replaces"),
)


def lot(db: Connection, ident: str) -> Lot | None:
    """One."""
    row = db.execute(select(LOT).where(LOT.c.id == ident)).first()
    return Lot(**values_of(row)) if row else None


def lots(
    db: Connection, *, product: str = "", order: str = "", search: str = "", stocked: bool = False, limit: int = 200
) -> list[Lot]:
    """Newest first."""
    wanted = select(LOT).order_by(LOT.c.created_ns.desc(), LOT.c.id)
    wanted = wanted.where(LOT.c.product == product) if product else wanted
    wanted = wanted.where(LOT.c.order == order) if order else wanted
    wanted = wanted.where(LOT.c.on_hand > 0) if stocked else wanted
    if search:
        word = f"%{search.replace('%', '').replace('_', '')}%"
        wanted = wanted.where(or_(LOT.c.id.like(word), LOT.c.product.like(word), LOT.c.supplier.like(word)))
    return [Lot(**values_of(row)) for row in db.execute(wanted.limit(limit))]


def add_lot(db: Connection, one: Lot) -> None:
    """A new one; empty, until something comes to it."""
    db.execute(insert(LOT).values(asdict(replace(one, on_hand=0))))


def add_move(db: Connection, one: Move) -> None:
    """Something comes or goes. The caller has looked that there is enough; the table refuses what would go below 0."""
    values = asdict(one)
    del values["seq"]
    db.execute(insert(MOVE).values(values))
    db.execute(update(LOT).where(LOT.c.id == one.lot).values(on_hand=LOT.c.on_hand + one.quantity))


def moves(db: Connection, *, lot: str = "", order: str = "", limit: int = 1000) -> list[Move]:
    """Of a lot or an order, newest first."""
    wanted = select(MOVE).order_by(MOVE.c.seq.desc()).limit(limit)
    wanted = wanted.where(MOVE.c.lot == lot) if lot else wanted
    wanted = wanted.where(MOVE.c.order == order) if order else wanted
    return [Move(**values_of(row)) for row in db.execute(wanted)]


def consumed(
    db: Connection, *, order: str = "", start_ns: int | None = None, end_ns: int | None = None
) -> list[tuple[Move, Lot]]:
    """What orders took and gave back, each with its lot: of one order, or of all over [start, end)."""
    wanted = select(MOVE, LOT).join(LOT, LOT.c.id == MOVE.c.lot).where(MOVE.c.kind.in_(["consume", "give_back"]))
    wanted = wanted.where(MOVE.c.order == order) if order else wanted.where(MOVE.c.order != "")
    wanted = wanted if start_ns is None else wanted.where(MOVE.c.at_ns >= start_ns)
    wanted = wanted if end_ns is None else wanted.where(MOVE.c.at_ns < end_ns)
    width = len(MOVE.c)
    names, more = [column.name for column in MOVE.c], [column.name for column in LOT.c]
    return [
        (Move(**dict(zip(names, row[:width], strict=True))), Lot(**dict(zip(more, row[width:], strict=True))))
        for row in db.execute(wanted.order_by(MOVE.c.seq))
    ]


def booked(db: Connection, order: str) -> dict[tuple[str, int, str], int]:
    """What an order took of each lot so far, by (product of the lot, operation, lot)."""
    wanted = select(LOT.c.product, MOVE.c.operation, MOVE.c.lot, -func.sum(MOVE.c.quantity))
    wanted = wanted.join(LOT, LOT.c.id == MOVE.c.lot).where(MOVE.c.order == order)
    wanted = wanted.where(MOVE.c.kind.in_(["consume", "give_back"]))
    found = db.execute(wanted.group_by(LOT.c.product, MOVE.c.operation, MOVE.c.lot))
    return {(row[0], row[1], row[2]): int(row[3]) for row in found}


def taken_last(db: Connection, order: str, operation: int, product: str) -> list[str]:
    """Lots of a material that an operation took by itself, the last taken first."""
    newest = func.max(MOVE.c.seq)
    wanted = select(MOVE.c.lot).join(LOT, LOT.c.id == MOVE.c.lot)
    wanted = wanted.where(MOVE.c.order == order, MOVE.c.operation == operation, LOT.c.product == product)
    wanted = wanted.where(MOVE.c.kind == "consume", MOVE.c.automatic)
    return list(db.scalars(wanted.group_by(MOVE.c.lot).order_by(newest.desc())))


def produced(db: Connection, order: str) -> int:
    """What an order brought into stock so far."""
    wanted = select(func.sum(MOVE.c.quantity)).where(MOVE.c.order == order, MOVE.c.kind == "produce")
    return int(db.scalar(wanted) or 0)


def stock(db: Connection, product: str) -> list[Lot]:
    """Lots of a product with something on hand: what expires first, then what came first."""
    wanted = select(LOT).where(LOT.c.product == product, LOT.c.on_hand > 0)
    ranked = wanted.order_by(LOT.c.expires_ns.nulls_last(), LOT.c.created_ns, LOT.c.id)
    return [Lot(**values_of(row)) for row in db.execute(ranked)]


def on_hand(db: Connection) -> dict[str, int]:
    """What is in stock, by product."""
    wanted = select(LOT.c.product, func.sum(LOT.c.on_hand)).group_by(LOT.c.product)
    return {row[0]: int(row[1]) for row in db.execute(wanted)}


# genealogy


def add_link(db: Connection, one: Link) -> None:
    """A lot went into another; more of it adds up, and what is given back is taken off."""
    place = (LINK.c.parent == one.parent) & (LINK.c.child == one.child) & (LINK.c.order == one.order)
    if not db.execute(update(LINK).where(place).values(quantity=LINK.c.quantity + one.quantity)).rowcount:
        db.execute(insert(LINK).values(asdict(one)))


def reach(db: Connection, ident: str, direction: str, limit: int = 10_000) -> list[tuple[str, int]]:
    """Every lot above (what it was made of) or below (what was made of it), with the shortest distance; the lot itself is at 0.

    Cost: one recursive query; each lot is visited once a distance, and lots cannot go in circles
    """
    here, there = (LINK.c.child, LINK.c.parent) if direction == "up" else (LINK.c.parent, LINK.c.child)
    walk = select(LOT.c.id.label("lot"), literal(0).label("far")).where(LOT.c.id == ident).cte("walk", recursive=True)
    walk = walk.union(select(there, walk.c.far + 1).where(here == walk.c.lot, LINK.c.quantity > 0))
    wanted = select(walk.c.lot, func.min(walk.c.far)).group_by(walk.c.lot).order_by(func.min(walk.c.far), walk.c.lot)
    return [(row[0], int(row[1])) for row in db.execute(wanted.limit(limit))]


def leads_to(db: Connection, above: str, below: str) -> bool:
    """Whether one lot is, or is part of, another."""
    walk = select(LOT.c.id.label("lot")).where(LOT.c.id == above).cte("walk", recursive=True)
    walk = walk.union(select(LINK.c.child).where(LINK.c.parent == walk.c.lot, LINK.c.quantity > 0))
    return db.scalar(select(walk.c.lot).where(walk.c.lot == below).limit(1)) is not None


def links(db: Connection, idents: Sequence[str]) -> list[Link]:
    """Between lots of a set."""
    wanted = select(LINK).where(LINK.c.parent.in_(idents), LINK.c.child.in_(idents), LINK.c.quantity > 0)
    return [Link(**values_of(row)) for row in db.execute(wanted.order_by(LINK.c.child, LINK.c.parent))]


def lots_of(db: Connection, idents: Sequence[str]) -> dict[str, Lot]:
    """Lots by number."""
    found = db.execute(select(LOT).where(LOT.c.id.in_(idents)))
    return {row.id: Lot(**values_of(row)) for row in found}


# readings


def points(db: Connection) -> list[Point]:
    """All, by number."""
    return [Point(**values_of(row)) for row in db.execute(select(POINT).order_by(POINT.c.id))]


def point(db: Connection, ident: str) -> Point | None:
    """One."""
    row = db.execute(select(POINT).where(POINT.c.id == ident)).first()
    return Point(**values_of(row)) if row else None


def save_point(db: Connection, one: Point) -> None:
    """A new one, or what holds for new readings of one from now on."""
    if not db.execute(update(POINT).where(POINT.c.id == one.id).values(asdict(one))).rowcount:
        db.execute(insert(POINT).values(asdict(one)))


def add_reading(db: Connection, one: Reading) -> Reading:
    """A reading; with its number."""
    values: dict[str, Any] = asdict(one)
    del values["id"]
    made = db.execute(insert(READING).values(values))
    return replace(one, id=int(made.inserted_primary_key[0]) if made.inserted_primary_key else 0)


def reading(db: Connection, ident: int) -> Reading | None:
    """One."""
    row = db.execute(select(READING).where(READING.c.id == ident)).first()
    return Reading(**values_of(row)) if row else None


def replaced(db: Connection, ident: int) -> bool:
    """Whether another took its place."""
    return db.scalar(select(READING.c.id).where(READING.c.replaces == ident).limit(1)) is not None


def readings(
    db: Connection, point: str, start_ns: int, end_ns: int, *, order: str = "", every: bool = False, limit: int = 2000
) -> list[Reading]:
    """Over [start, end), newest first; ``every`` with those that were replaced."""
    wanted = select(READING).where(READING.c.at_ns >= start_ns, READING.c.at_ns < end_ns)
    wanted = wanted.where(READING.c.point == point) if point else wanted
    wanted = wanted.where(READING.c.order == order) if order else wanted
    if not every:
        wanted = wanted.where(READING.c.id.not_in(select(READING.c.replaces).where(READING.c.replaces > 0)))
    ranked = wanted.order_by(READING.c.at_ns.desc(), READING.c.id.desc())
    return [Reading(**values_of(row)) for row in db.execute(ranked.limit(limit))]

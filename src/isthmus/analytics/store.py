"""The records of rules: events, how far each edge was judged, and marks from which a beginning can go on."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from isthmus.analytics.model import Began, Ended, Key
from isthmus.ports.frames import Position

metadata = MetaData()

EVENT = Table(
    "analytics_event",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("rule", String(140), nullable=False),
    Column("asset", String(400), nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("raised_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger),
    Column("priority", String(16), nullable=False),
    Column("message", String(500), nullable=False),
    Column("values", Text, nullable=False),
    UniqueConstraint("rule", "asset", "raised_ns"),
    Index("analytics_event_by_time", "raised_ns"),
)
CURSOR = Table(
    "analytics_cursor",
    metadata,
    Column("edge", String(64), primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("second", BigInteger, nullable=False),  # the last step whose events are stored
)
MARK = Table(
    "analytics_mark",
    metadata,
    Column("stream_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)
"""Everything but the windows after a frame of the bus; the frames behind it fill the windows again."""

KEPT = 200_000
"""Events kept; older ones go."""


@dataclass(frozen=True, slots=True)
class Event:
    """A rule held at an asset over [start_ns, end_ns); ``end_ns`` is None while it does. Times are UTC ns."""

    id: int
    rule: str
    asset: str
    start_ns: int
    raised_ns: int
    end_ns: int | None
    priority: str
    message: str
    values: dict[str, Any]


def load_cursor(db: Connection) -> dict[str, tuple[Position, int]]:
    """The last frame and the last second of each edge."""
    rows = db.execute(select(CURSOR.c.edge, CURSOR.c.epoch, CURSOR.c.seq, CURSOR.c.second)).all()
    return {edge: (Position(epoch, seq), second) for edge, epoch, seq, second in rows}


def save_cursor(db: Connection, edge: str, position: Position, second: int) -> None:
    """How far an edge was judged."""
    values = {"epoch": position.epoch, "seq": position.seq, "second": second}
    if not db.execute(update(CURSOR).where(CURSOR.c.edge == edge).values(values)).rowcount:
        db.execute(insert(CURSOR).values(edge=edge, **values))


def open_events(db: Connection) -> set[Key]:
    """What holds, as far as it was recorded."""
    return {(r, a) for r, a in db.execute(select(EVENT.c.rule, EVENT.c.asset).where(EVENT.c.end_ns.is_(None)))}


def save_events(db: Connection, said: Iterable[Began | Ended]) -> None:
    """Events that began or ended."""
    for one in said:
        mine = (EVENT.c.rule == one.rule) & (EVENT.c.asset == one.asset) & EVENT.c.end_ns.is_(None)
        if isinstance(one, Ended):
            db.execute(update(EVENT).where(mine).values(end_ns=one.at_ns))
            continue
        db.execute(
            insert(EVENT).values(
                rule=one.rule,
                asset=one.asset,
                start_ns=one.since_ns,
                raised_ns=one.at_ns,
                priority=one.priority,
                message=one.message,
                values=orjson.dumps(one.values).decode(),
            )
        )


def prune(db: Connection) -> None:
    """Keep the record bounded."""
    last = db.scalar(select(func.max(EVENT.c.id)))
    if last is not None and last > KEPT:
        db.execute(delete(EVENT).where(EVENT.c.id <= last - KEPT, EVENT.c.end_ns.is_not(None)))


def list_events(
    db: Connection, under: str, start_ns: int, end_ns: int, rule: str | None, limit: int
) -> tuple[Event, ...]:
    """Events that held at some time in [start_ns, end_ns), those raised last first."""
    wanted = select(EVENT).where(EVENT.c.start_ns < end_ns, or_(EVENT.c.end_ns.is_(None), EVENT.c.end_ns > start_ns))
    if under:
        wanted = wanted.where(or_(EVENT.c.asset == under, EVENT.c.asset.startswith(under + "/", autoescape=True)))
    if rule is not None:
        wanted = wanted.where(EVENT.c.rule == rule)
    rows = db.execute(wanted.order_by(EVENT.c.raised_ns.desc(), EVENT.c.id.desc()).limit(limit)).all()
    return tuple(_event(*row) for row in rows)


def _event(number: int, rule: str, asset: str, *rest: Any) -> Event:
    start_ns, raised_ns, end_ns, priority, message, values = rest
    return Event(number, rule, asset, start_ns, raised_ns, end_ns, priority, message, orjson.loads(values))


def load_mark(db: Connection) -> tuple[int, dict[str, Any]] | None:
    """The oldest mark, which frames of the bus still follow."""
    row = db.execute(select(MARK.c.stream_seq, MARK.c.data).order_by(MARK.c.stream_seq).limit(1)).first()
    return (row[0], orjson.loads(zlib.decompress(row[1]))) if row else None


def save_mark(db: Connection, stream_seq: int, state: dict[str, Any], oldest: int) -> None:
    """One more mark; those older than ``oldest`` are done with."""
    db.execute(delete(MARK).where(or_(MARK.c.stream_seq < oldest, MARK.c.stream_seq == stream_seq)))
    db.execute(insert(MARK).values(stream_seq=stream_seq, data=zlib.compress(orjson.dumps(state), 1)))


def drop_marks(db: Connection) -> None:
    """After the bus began anew its numbers mean nothing."""
    db.execute(delete(MARK))

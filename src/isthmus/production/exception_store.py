"""The records of exceptions from calendars. A row is never deleted: what was withdrawn tells when and by whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from sqlalchemy import BigInteger, Column, Connection, Integer, MetaData, Row, String, Table, insert, select, update

from isthmus.production.calendar import CalendarException, ExceptionKind

metadata = MetaData()

EXCEPTION = Table(
    "production_calendar_exception",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("path", String(400), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("name", String(120), nullable=False),
    Column("crew", String(63), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("by", String(200), nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Column("withdrawn_by", String(200), nullable=False),
    Column("withdrawn_ns", BigInteger, nullable=True),
)


@dataclass(frozen=True, slots=True)
class Kept:
    """An exception with who made it, and who withdrew it. Units: UTC ns"""

    exception: CalendarException
    reason: str
    by: str
    at_ns: int
    withdrawn_by: str = ""
    withdrawn_ns: int | None = None


def add(connection: Connection, kept: Kept) -> int:
    """Keep a new one; its number."""
    one = kept.exception
    done = connection.execute(
        insert(EXCEPTION).values(
            path=one.path,
            kind=one.kind,
            start_ns=one.start_ns,
            end_ns=one.end_ns,
            name=one.name,
            crew=one.crew,
            reason=kept.reason,
            by=kept.by,
            at_ns=kept.at_ns,
            withdrawn_by="",
            withdrawn_ns=None,
        )
    )
    return int(cast("tuple[int]", done.inserted_primary_key)[0])


def withdraw(connection: Connection, ident: int, by: str, at_ns: int) -> bool:
    """It does not hold any more; False when it did not hold before."""
    done = connection.execute(
        update(EXCEPTION)
        .where(EXCEPTION.c.id == ident, EXCEPTION.c.withdrawn_ns.is_(None))
        .values(withdrawn_by=by, withdrawn_ns=at_ns)
    )
    return done.rowcount == 1


def load(connection: Connection, ident: int) -> Kept | None:
    """One, whether it holds or not."""
    row = connection.execute(select(EXCEPTION).where(EXCEPTION.c.id == ident)).first()
    return _kept(row) if row else None


def standing(connection: Connection) -> tuple[Kept, ...]:
    """All that hold, oldest first."""
    rows = connection.execute(select(EXCEPTION).where(EXCEPTION.c.withdrawn_ns.is_(None)).order_by(EXCEPTION.c.id))
    return tuple(map(_kept, rows))


def overlapping(connection: Connection, start_ns: int, end_ns: int, limit: int) -> tuple[Kept, ...]:
    """Those that overlap [start, end), withdrawn ones included, by their begin."""
    rows = connection.execute(
        select(EXCEPTION)
        .where(EXCEPTION.c.start_ns < end_ns, EXCEPTION.c.end_ns > start_ns)
        .order_by(EXCEPTION.c.start_ns, EXCEPTION.c.id)
        .limit(limit)
    )
    return tuple(map(_kept, rows))


def _kept(row: Row[tuple[object, ...]]) -> Kept:
    kind = cast("ExceptionKind", row.kind)
    one = CalendarException(row.id, row.path, kind, row.start_ns, row.end_ns, row.name, row.crew)
    return Kept(one, row.reason, row.by, row.at_ns, row.withdrawn_by, row.withdrawn_ns)

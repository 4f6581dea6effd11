"""The records of the shift log: notes on objects, what corrects them and what closes them. Rows are only ever added."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    and_,
    insert,
    or_,
    select,
)

metadata = MetaData()

LOG = Table(
    "production_shift_log",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("path", String(400), nullable=False),
    Column("time_ns", BigInteger, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("ref", Integer, ForeignKey("production_shift_log.id"), nullable=True),
    Column("by", String(200), nullable=False),
    Column("at_ns", BigInteger, nullable=False),
    Index("production_shift_log_time", "time_ns"),
    Index("production_shift_log_ref", "ref"),
    sqlite_autoincrement=True,
)

CORRECTS, CLOSES = "corrects", "closes"
"""Kinds of rows that say something about another one, their ``ref``."""


@dataclass(frozen=True, slots=True)
class Line:
    """One row. ``time_ns`` is the time it is about, ``at_ns`` when it was written; both UTC ns."""

    id: int
    path: str
    time_ns: int
    kind: str
    text: str
    open: bool
    ref: int | None
    by: str
    at_ns: int


def add(connection: Connection, line: Line) -> int:
    """Keep one; its number."""
    values: dict[str, Any] = {c.name: getattr(line, c.name) for c in LOG.c if c.name != "id"}
    return int(connection.execute(insert(LOG).values(values).returning(LOG.c.id)).scalar_one())


def load(connection: Connection, ident: int) -> Line | None:
    """One note; not what corrects or closes one."""
    row = connection.execute(select(LOG).where(LOG.c.id == ident, LOG.c.ref.is_(None))).first()
    return _line(row) if row else None


def about(connection: Connection, idents: Sequence[int]) -> list[Line]:
    """What corrects or closes the notes, oldest first."""
    found: list[Line] = []
    for at in range(0, len(idents), 500):  # a statement takes so many values
        rows = connection.execute(select(LOG).where(LOG.c.ref.in_(idents[at : at + 500])).order_by(LOG.c.id))
        found += map(_line, rows)
    return found


def listed(
    connection: Connection, under: str, start_ns: int, end_ns: int, before: int | None, limit: int
) -> list[Line]:
    """Notes about a time in [start, end) at or below a path, newest first."""
    where = [LOG.c.ref.is_(None), LOG.c.time_ns >= start_ns, LOG.c.time_ns < end_ns, *_under(under)]
    if before is not None:
        where.append(LOG.c.id < before)
    rows = connection.execute(select(LOG).where(*where).order_by(LOG.c.id.desc()).limit(limit))
    return list(map(_line, rows))


def still_open(connection: Connection, under: str, limit: int) -> list[Line]:
    """Notes that somebody has to see to and nobody closed, oldest first."""
    closing = LOG.alias("closing")
    closed = select(closing.c.id).where(closing.c.ref == LOG.c.id, closing.c.kind == CLOSES).exists()
    where = and_(LOG.c.ref.is_(None), LOG.c.open, ~closed, *_under(under))
    return list(map(_line, connection.execute(select(LOG).where(where).order_by(LOG.c.id).limit(limit))))


def hands(connection: Connection, path: str, kinds: Iterable[str], start_ns: int, end_ns: int) -> list[Line]:
    """Notes of such kinds on exactly this place about a time in [start, end), oldest first."""
    where = [LOG.c.path == path, LOG.c.kind.in_(tuple(kinds)), LOG.c.time_ns >= start_ns, LOG.c.time_ns < end_ns]
    return list(map(_line, connection.execute(select(LOG).where(*where).order_by(LOG.c.id))))


def _under(under: str) -> list[ColumnElement[bool]]:
    """At or below a path: by its bytes, as LIKE takes no note of capitals."""
    if not under:
        return []
    return [or_(LOG.c.path == under, and_(LOG.c.path > f"{under}/", LOG.c.path < f"{under}0"))]  # 0 follows /


def _line(row: Row[Any]) -> Line:
    return Line(row.id, row.path, row.time_ns, row.kind, row.text, row.open, row.ref, row.by, row.at_ns)

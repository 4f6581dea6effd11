"""The connection outage log: when each connection was away, and why. Kept in core, fed by the event lanes of all edges.

A stateful room with the cursor contract of `ports.frames`: what a frame changes and the frame's position are stored in
one transaction, frames at or below the stored position are ignored, so a frame counts once however often it comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    delete,
    insert,
    select,
    update,
)

from isthmus.acquisition.model import Link
from isthmus.ports.frames import Arrived, Cursor, Position
from isthmus.values.frame import Frame, Lane
from isthmus.values.sample import SampleBatch, ValueType
from isthmus.values.status import BAD

metadata = MetaData()
"""Both tables of the room, for the migrations."""

OUTAGE = Table(
    "acquisition_outage",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("connection", String(64), nullable=False),
    Column("start_ns", BigInteger, nullable=False),
    Column("end_ns", BigInteger),
    Column("reason", String(500), nullable=False),
    Index("acquisition_outage_by_connection", "connection", "id"),
)

CURSOR = Table(
    "acquisition_cursor",
    metadata,
    Column("edge", String(64), primary_key=True),
    Column("lane", Integer, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
)

KEPT = 5_000
"""Outages kept of each connection; older ones go when a new one begins."""

MAX_REASON_CHARS = 500

Describe = Callable[[int], tuple[str, str] | None]
"""Which connection's `state` or `reason` a tag is, None for any other tag: ("plc1", "state")."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A connection was away over [start_ns, end_ns), UTC ns; ``end_ns`` is None while it still is."""

    connection: str
    start_ns: int
    end_ns: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class _Word:
    """What a connection said of itself at one time; None for what it did not say."""

    connection: str
    time_ns: int
    state: str | None
    reason: str | None


class OutageLog:
    """A `ports.frames.FrameSink`. Bad begins an outage; Good, Slow and Stopped end it; Connecting says nothing yet.

    It takes the event lane only, and keeps no cursor for the others: their frames have no effect here.
    Times are cut to 1 ms by the tags they come by.
    """

    name = "outages"
    lanes = frozenset({Lane.EVENT})

    def __init__(self, engine: Engine, describe: Describe) -> None:
        self._engine, self._describe = engine, describe
        self._cursor: Cursor | None = None

    async def cursor(self) -> Cursor:
        """What is stored, one position for each edge's event lane."""
        if self._cursor is None:
            self._cursor = await asyncio.to_thread(self._load)
        return dict(self._cursor)

    async def take(self, arrived: Sequence[Arrived]) -> None:
        """Store what the frames say of connections, and how far they went."""
        known = await self.cursor()
        fresh: list[Arrived] = []
        for one in arrived:
            if one.frame.lane in self.lanes and one.position > known.get(one.key, Position(-1, -1)):
                known[one.key] = one.position
                fresh.append(one)
        if fresh:
            words = [word for one in fresh for word in self._words(one.frame)]
            moved = {one.key: known[one.key] for one in fresh}
            await asyncio.to_thread(self._store, words, moved)
            self._cursor = known

    async def outages(self, connection: str | None = None, limit: int = 100) -> tuple[Outage, ...]:
        """Outages of one connection, or of all; those that began last come first."""
        return await asyncio.to_thread(self._outages, connection, limit)

    def _words(self, frame: Frame) -> list[_Word]:
        """State and reason said together, in the order of their time."""
        words: list[_Word] = []
        said: dict[tuple[int, str], dict[str, str]] = {}
        for batch in frame.batches:
            if batch.type is ValueType.TEXT:
                for tag, time_ns, text in _texts(batch):
                    meant = self._describe(tag)
                    if meant is not None:
                        connection, name = meant
                        together = said.setdefault((time_ns, connection), {})
                        if name in together:  # twice within one quantum of time: in the order they were said
                            words.append(_word(connection, time_ns, together))
                            together.clear()
                        together[name] = text
        words += [_word(connection, time_ns, together) for (time_ns, connection), together in said.items()]
        return sorted(words, key=lambda word: word.time_ns)

    def _load(self) -> Cursor:
        with self._engine.begin() as db:
            rows = db.execute(select(CURSOR.c.edge, CURSOR.c.lane, CURSOR.c.epoch, CURSOR.c.seq)).all()
        return {(edge, Lane(lane)): Position(epoch, seq) for edge, lane, epoch, seq in rows}

    def _store(self, words: Iterable[_Word], moved: Cursor) -> None:
        with self._engine.begin() as db:
            for word in words:
                _apply(db, word)
            for (edge, lane), position in moved.items():
                mine = (CURSOR.c.edge == edge) & (CURSOR.c.lane == int(lane))
                values = {"epoch": position.epoch, "seq": position.seq}
                if not db.execute(update(CURSOR).where(mine).values(values)).rowcount:
                    db.execute(insert(CURSOR).values(edge=edge, lane=int(lane), **values))

    def _outages(self, connection: str | None, limit: int) -> tuple[Outage, ...]:
        wanted = select(OUTAGE.c.connection, OUTAGE.c.start_ns, OUTAGE.c.end_ns, OUTAGE.c.reason)
        if connection is not None:
            wanted = wanted.where(OUTAGE.c.connection == connection)
        wanted = wanted.order_by(OUTAGE.c.start_ns.desc(), OUTAGE.c.id.desc()).limit(limit)
        with self._engine.begin() as db:
            return tuple(Outage(*row) for row in db.execute(wanted).all())


def _texts(batch: SampleBatch) -> Iterator[tuple[int, int, str]]:
    for tag, time_ns, code, status in zip(
        batch.id.tolist(), batch.time_ns.tolist(), batch.value.tolist(), batch.status.tolist(), strict=True
    ):
        if not status & BAD:
            yield tag, time_ns, batch.text[code]


def _word(connection: str, time_ns: int, said: dict[str, str]) -> _Word:
    return _Word(connection, time_ns, said.get("state"), said.get("reason"))


def _apply(db: Connection, word: _Word) -> None:
    """One word's effect on the table."""
    is_open = (OUTAGE.c.connection == word.connection) & OUTAGE.c.end_ns.is_(None)
    reason = (word.reason or "")[:MAX_REASON_CHARS]
    if word.state in (Link.GOOD, Link.SLOW, Link.STOPPED):
        db.execute(update(OUTAGE).where(is_open).values(end_ns=word.time_ns))
        return
    if word.state == Link.BAD and db.execute(select(OUTAGE.c.id).where(is_open)).first() is None:
        values = {"connection": word.connection, "start_ns": word.time_ns, "reason": reason}
        db.execute(insert(OUTAGE).values(values))
        _prune(db, word.connection)
    elif reason:  # the first cause is the one worth keeping
        db.execute(update(OUTAGE).where(is_open & (OUTAGE.c.reason == "")).values(reason=reason))


def _prune(db: Connection, connection: str) -> None:
    oldest = select(OUTAGE.c.id).where(OUTAGE.c.connection == connection).order_by(OUTAGE.c.id.desc()).offset(KEPT)
    last = db.execute(oldest.limit(1)).scalar()
    if last is not None:
        db.execute(delete(OUTAGE).where((OUTAGE.c.connection == connection) & (OUTAGE.c.id <= last)))

"""What a connector's place in the stream, its batch under way and its dead letters are on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    delete,
    func,
    insert,
    select,
    update,
)

from isthmus.ports.frames import Cursor, Position
from isthmus.values.frame import Lane

metadata = MetaData()
"""The tables of delivery, for the migrations."""

STATE = Table(
    "delivery_state",
    metadata,
    Column("connector", String(64), primary_key=True),
    Column("stream", String(64), nullable=False),
    Column("stream_seq", BigInteger, nullable=False),
    Column("under_way", Integer, nullable=False),
    Column("delivered", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("forgotten", BigInteger, nullable=False),
)

CURSOR = Table(
    "delivery_cursor",
    metadata,
    Column("connector", String(64), primary_key=True),
    Column("edge", String(64), primary_key=True),
    Column("lane", Integer, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
)

LETTER = Table(
    "delivery_letter",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("connector", String(64), nullable=False),
    Column("time_ns", BigInteger, nullable=False),
    Column("key", String(300), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("samples", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Index("delivery_letter_by_connector", "connector", "id"),
)

KEPT_LETTERS = 1_000
"""Dead letters kept of each connector; the oldest go first, and are counted."""

MAX_REASON_CHARS = 500


@dataclass(frozen=True, slots=True)
class Place:
    """How far a connector is.

    ``cursor`` holds the last frame of each edge and lane that is done with; ``under_way`` is how many frames behind it
    make up the batch that was begun last, 0 for none. ``stream`` and ``stream_seq`` are the same place in the bus's own
    count, good only as long as the stream is the same one.
    """

    stream: str = ""
    stream_seq: int = 0
    under_way: int = 0
    cursor: Cursor = field(default_factory=dict)
    delivered: int = 0  # samples
    rejected: int = 0  # samples
    forgotten: int = 0  # dead letters that had to go for newer ones


@dataclass(frozen=True, slots=True)
class Letter:
    """A batch the other side refused; ``data`` is a frame (`values/frame.py`) of its samples."""

    id: int
    time_ns: int
    key: str
    reason: str
    samples: int
    data: bytes = b""


class DeliveryStore:
    """The records of all connectors. Blocking."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def load(self, connector: str) -> Place | None:
        """Where a connector stands; None for a new one."""
        with self._engine.begin() as db:
            row = db.execute(select(STATE).where(STATE.c.connector == connector)).one_or_none()
            cells = db.execute(
                select(CURSOR.c.edge, CURSOR.c.lane, CURSOR.c.epoch, CURSOR.c.seq).where(
                    CURSOR.c.connector == connector
                )
            ).all()
        if row is None:
            return None
        cursor = {(edge, Lane(lane)): Position(epoch, seq) for edge, lane, epoch, seq in cells}
        return Place(row.stream, row.stream_seq, row.under_way, cursor, row.delivered, row.rejected, row.forgotten)

    def save(self, connector: str, place: Place, moved: Mapping[tuple[str, Lane], Position]) -> None:
        """Store a place; ``moved`` are the parts of its cursor that differ from what is stored."""
        values = {
            "stream": place.stream,
            "stream_seq": place.stream_seq,
            "under_way": place.under_way,
            "delivered": place.delivered,
            "rejected": place.rejected,
            "forgotten": place.forgotten,
        }
        with self._engine.begin() as db:
            if not db.execute(update(STATE).where(STATE.c.connector == connector).values(values)).rowcount:
                db.execute(insert(STATE).values(connector=connector, **values))
            for (edge, lane), position in moved.items():
                mine = (CURSOR.c.connector == connector) & (CURSOR.c.edge == edge) & (CURSOR.c.lane == int(lane))
                at = {"epoch": position.epoch, "seq": position.seq}
                if not db.execute(update(CURSOR).where(mine).values(at)).rowcount:
                    db.execute(insert(CURSOR).values(connector=connector, edge=edge, lane=int(lane), **at))

    def bury(self, connector: str, letter: Letter) -> int:
        """Keep a refused batch, once for each key; how many older ones had to go for it."""
        mine = LETTER.c.connector == connector
        with self._engine.begin() as db:
            if db.execute(select(LETTER.c.id).where(mine & (LETTER.c.key == letter.key))).first() is not None:
                return 0  # refused before core was killed, and now again
            db.execute(
                insert(LETTER).values(
                    connector=connector,
                    time_ns=letter.time_ns,
                    key=letter.key,
                    reason=letter.reason[:MAX_REASON_CHARS],
                    samples=letter.samples,
                    data=letter.data,
                )
            )
            old = select(LETTER.c.id).where(mine).order_by(LETTER.c.id.desc()).offset(KEPT_LETTERS).limit(1)
            last = db.execute(old).scalar()
            if last is None:
                return 0
            return db.execute(delete(LETTER).where(mine & (LETTER.c.id <= last))).rowcount

    def letters(self, connector: str, limit: int) -> list[Letter]:
        """The newest dead letters, newest first, with their samples."""
        wanted = select(LETTER).where(LETTER.c.connector == connector).order_by(LETTER.c.id.desc()).limit(limit)
        with self._engine.begin() as db:
            rows = db.execute(wanted).all()
        return [Letter(r.id, r.time_ns, r.key, r.reason, r.samples, r.data) for r in rows]

    def letter_counts(self) -> dict[str, int]:
        """Dead letters kept, by connector."""
        with self._engine.begin() as db:
            rows = db.execute(select(LETTER.c.connector, func.count()).group_by(LETTER.c.connector)).all()
        return {connector: int(count) for connector, count in rows}

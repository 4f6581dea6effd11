"""The records of control: writes, modes of zones, changes nobody recorded, and what edges wrote in their journals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Index,
    Integer,
    MetaData,
    Row,
    Select,
    String,
    Table,
    Text,
    and_,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from isthmus.control.model import Change, EdgeLine, ModeRow, Stage, Write
from isthmus.ports.frames import Position
from isthmus.values.frame import Lane
from isthmus.values.messages.control import Mode

metadata = MetaData()

WRITE = Table(
    "control_write",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("path", String(400), nullable=False),
    Column("tag", Integer, nullable=False),
    Column("value", Text, nullable=False),
    Column("unit", String(64), nullable=False),
    Column("zone", String(64), nullable=False),
    Column("edge", String(64), nullable=False),
    Column("by", String(200), nullable=False),
    Column("proof", String(16), nullable=False),
    Column("user_id", Integer),
    Column("behind", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("state", String(24), nullable=False),
    Column("settled", Boolean, nullable=False),
    Column("approved_by", String(200), nullable=False),
    Column("code", String(64), nullable=False),
    Column("detail", Text, nullable=False),
    Column("clears", Text, nullable=False),
    Column("intent", String(64), nullable=False),
    Column("base", Text, nullable=False),
    Column("before", Text, nullable=False),
    Column("read_back", Text, nullable=False),
    Column("requested_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
    Column("sent_ns", BigInteger, nullable=False),
    Column("done_ns", BigInteger, nullable=False),
    Index("control_write_by_path", "path", "seq"),
    Index("control_write_by_settled", "settled"),
)
MODE = Table(
    "control_mode",
    metadata,
    Column("zone", String(64), primary_key=True),
    Column("mode", String(24), nullable=False),
    Column("by", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("since_ns", BigInteger, nullable=False),
)
CHANGE = Table(
    "control_change",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("path", String(400), nullable=False),
    Column("tag", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("before", Text, nullable=False),
    Column("value", Text, nullable=False),
    Column("unit", String(64), nullable=False),
    Column("time_ns", BigInteger, nullable=False),
    Column("seen_ns", BigInteger, nullable=False),
    Column("by", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("accepted_ns", BigInteger),
    Column("reported", Boolean, nullable=False),  # whether the alarm list knows how it stands
    Index("control_change_by_path", "path", "id"),
    Index("control_change_by_reported", "reported"),
)
WATCH = Table(
    "control_watch",
    metadata,
    Column("tag", Integer, primary_key=True, autoincrement=False),
    Column("data", Text, nullable=False),
)
CURSOR = Table(
    "control_cursor",
    metadata,
    Column("edge", String(64), primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
)
LINE = Table(
    "control_line",
    metadata,
    Column("edge", String(96), primary_key=True),
    Column("n", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(32), nullable=False),
    Column("time_ns", BigInteger, nullable=False),
    Column("path", String(400), nullable=False),
    Column("data", Text, nullable=False),
    Index("control_line_by_time", "time_ns"),
)

KEPT = 200_000
"""Rows of each journal; the oldest go."""
_JSON = ("value", "base", "before", "read_back")
_PRUNE_EVERY = 500


def put_write(db: Connection, write: Write) -> None:
    """A new one."""
    made = db.execute(insert(WRITE).values(_row(write)))
    seq = made.inserted_primary_key[0] if made.inserted_primary_key else 0
    if seq > KEPT and seq % _PRUNE_EVERY == 0:
        db.execute(delete(WRITE).where(WRITE.c.seq <= seq - KEPT, WRITE.c.settled))


def move_write(db: Connection, write: Write, old: Stage) -> bool:
    """Take one on from a stage; False when it is not there any more."""
    done = db.execute(
        update(WRITE).where(WRITE.c.id == write.id, WRITE.c.state == old, ~WRITE.c.settled).values(_row(write))
    )
    return done.rowcount == 1


def load_write(db: Connection, ident: str) -> Write | None:
    """One by its id."""
    row = db.execute(select(WRITE).where(WRITE.c.id == ident)).first()
    return _write(row) if row else None


def open_writes(db: Connection) -> list[Write]:
    """Everything that is not settled, oldest first."""
    return [_write(row) for row in db.execute(select(WRITE).where(~WRITE.c.settled).order_by(WRITE.c.seq))]


def recent_writes(db: Connection, each: int, states: Sequence[Stage] = tuple(Stage)) -> list[Write]:
    """The last so many of each point in one of these states, oldest first."""
    rank = func.row_number().over(partition_by=WRITE.c.tag, order_by=WRITE.c.seq.desc()).label("rank")
    newest = select(WRITE.c.seq, rank).where(WRITE.c.state.in_(states)).subquery()
    rows = db.execute(
        select(WRITE).join(newest, newest.c.seq == WRITE.c.seq).where(newest.c.rank <= each).order_by(WRITE.c.seq)
    )
    return [_write(row) for row in rows]


def list_writes(db: Connection, under: str, before_ns: int, limit: int) -> list[Write]:
    """Those asked for before a time at or below a path, newest first."""
    wanted = select(WRITE).where(WRITE.c.requested_ns < before_ns)
    wanted = _below(wanted, WRITE.c.path, under).order_by(WRITE.c.requested_ns.desc(), WRITE.c.seq.desc())
    return [_write(row) for row in db.execute(wanted.limit(limit))]


def _below(wanted: Select[Any], path: Column[Any], under: str) -> Select[Any]:
    if not under:
        return wanted
    return wanted.where(or_(path == under, path.startswith(under + "/", autoescape=True)))


def _row(write: Write) -> dict[str, Any]:
    values = asdict(write)
    return values | {name: _dump(values[name]) for name in _JSON} | {"behind": _dump(list(write.behind))}


def _write(row: Row[Any]) -> Write:
    values = dict(row._mapping)  # noqa: SLF001  SQLAlchemy's own name for it
    del values["seq"]
    values |= {name: orjson.loads(values[name]) for name in _JSON}
    return Write(**values | {"behind": tuple(orjson.loads(values["behind"])), "state": Stage(values["state"])})


def _dump(value: object) -> str:
    return orjson.dumps(value).decode()


# modes


def load_modes(db: Connection) -> dict[str, ModeRow]:
    """What was set, by zone."""
    rows = db.execute(select(MODE.c.zone, MODE.c.mode, MODE.c.by, MODE.c.reason, MODE.c.since_ns)).all()
    return {zone: ModeRow(zone, Mode(mode), by, reason, since) for zone, mode, by, reason, since in rows}


def save_mode(db: Connection, row: ModeRow) -> None:
    """The mode of one zone."""
    values = {"mode": row.mode, "by": row.by, "reason": row.reason, "since_ns": row.since_ns}
    if not db.execute(update(MODE).where(MODE.c.zone == row.zone).values(values)).rowcount:
        db.execute(insert(MODE).values(zone=row.zone, **values))


# changes nobody recorded


def add_change(db: Connection, change: Change) -> int:
    """A new one; its number."""
    values = {k: v for k, v in asdict(change).items() if k != "id"}
    values |= {"before": _dump(change.before), "value": _dump(change.value)}
    made = db.execute(insert(CHANGE).values(**values, reported=change.kind != "unexplained"))
    number = int(made.inserted_primary_key[0]) if made.inserted_primary_key else 0
    if number > KEPT and number % _PRUNE_EVERY == 0:
        db.execute(delete(CHANGE).where(CHANGE.c.id <= number - KEPT, CHANGE.c.state != "open"))
    return number


def load_change(db: Connection, number: int) -> Change | None:
    """One by its number."""
    row = db.execute(select(CHANGE).where(CHANGE.c.id == number)).first()
    return _change(row) if row else None


def list_changes(db: Connection, under: str, state: str, kind: str, before_ns: int, limit: int) -> list[Change]:
    """Those seen before a time at or below a path, newest first."""
    wanted = _below(select(CHANGE).where(CHANGE.c.seen_ns < before_ns), CHANGE.c.path, under)
    for column, value in ((CHANGE.c.state, state), (CHANGE.c.kind, kind)):
        if value:
            wanted = wanted.where(column == value)
    rows = db.execute(wanted.order_by(CHANGE.c.seen_ns.desc(), CHANGE.c.id.desc()).limit(limit))
    return [_change(row) for row in rows]


def accept_change(db: Connection, number: int, by: str, reason: str, now_ns: int) -> bool:
    """Somebody knows where it comes from; False when it is not open."""
    done = db.execute(
        update(CHANGE)
        .where(CHANGE.c.id == number, CHANGE.c.state == "open")
        .values(state="accepted", by=by, reason=reason, accepted_ns=now_ns, reported=False)
    )
    return done.rowcount == 1


def unreported(db: Connection) -> list[tuple[Change, bool]]:
    """Changes that the alarm list does not know of as they stand, each with whether anything of its point is open."""
    rows = [_change(row) for row in db.execute(select(CHANGE).where(~CHANGE.c.reported).order_by(CHANGE.c.id))]
    holding = set(
        db.scalars(select(CHANGE.c.path).where(CHANGE.c.state == "open", CHANGE.c.path.in_({c.path for c in rows})))
    )
    return [(change, change.path in holding) for change in rows]


def set_reported(db: Connection, numbers: Iterable[int]) -> None:
    """The alarm list knows."""
    db.execute(update(CHANGE).where(CHANGE.c.id.in_(list(numbers))).values(reported=True))


def _change(row: Row[Any]) -> Change:
    values = dict(row._mapping)  # noqa: SLF001  SQLAlchemy's own name for it
    del values["reported"]
    return Change(**values | {name: orjson.loads(values[name]) for name in ("before", "value")})


def load_watch(db: Connection) -> dict[int, dict[str, Any]]:
    """What guarded points last said, by tag."""
    return {tag: orjson.loads(data) for tag, data in db.execute(select(WATCH.c.tag, WATCH.c.data))}


def save_watch(db: Connection, said: Mapping[int, Mapping[str, Any]]) -> None:
    """What guarded points say now."""
    for tag, data in said.items():
        values = {"data": _dump(dict(data))}
        if not db.execute(update(WATCH).where(WATCH.c.tag == tag).values(values)).rowcount:
            db.execute(insert(WATCH).values(tag=tag, **values))


def load_cursor(db: Connection) -> dict[tuple[str, Lane], Position]:
    """How far each edge's live lane was watched."""
    rows = db.execute(select(CURSOR.c.edge, CURSOR.c.epoch, CURSOR.c.seq).where(CURSOR.c.edge != "")).all()
    return {(edge, Lane.LIVE): Position(epoch, seq) for edge, epoch, seq in rows}


def save_cursor(db: Connection, moved: Mapping[tuple[str, Lane], Position]) -> None:
    """How far they are watched now."""
    for (edge, _), position in moved.items():
        values = {"epoch": position.epoch, "seq": position.seq}
        if not db.execute(update(CURSOR).where(CURSOR.c.edge == edge).values(values)).rowcount:
            db.execute(insert(CURSOR).values(edge=edge, **values))


def load_place(db: Connection) -> tuple[int, int] | None:
    """Which stream of the bus was watched, and up to which of its numbers."""
    row = db.execute(select(CURSOR.c.epoch, CURSOR.c.seq).where(CURSOR.c.edge == "")).first()
    return (row[0], row[1]) if row else None


def save_place(db: Connection, stream: int, seq: int) -> None:
    """How far it is watched now."""
    if not db.execute(update(CURSOR).where(CURSOR.c.edge == "").values(epoch=stream, seq=seq)).rowcount:
        db.execute(insert(CURSOR).values(edge="", epoch=stream, seq=seq))


def drop_place(db: Connection) -> None:
    """Nothing is watched any more; whatever is later begins with what comes then."""
    db.execute(delete(CURSOR).where(CURSOR.c.edge == ""))


# journals of edges


def last_line(db: Connection, edge: str) -> int:
    """The number of the last line of an edge's journal that is kept here."""
    return int(db.scalar(select(func.max(LINE.c.n)).where(LINE.c.edge == edge)) or 0)


def add_lines(db: Connection, lines: Sequence[EdgeLine]) -> None:
    """Lines that are new."""
    for line in lines:
        values = {"kind": line.kind, "time_ns": line.time_ns, "path": line.path, "data": _dump(dict(line.said))}
        db.execute(insert(LINE).values(edge=line.edge, n=line.n, **values))
    if lines and lines[-1].n > KEPT:
        db.execute(delete(LINE).where(and_(LINE.c.edge == lines[-1].edge, LINE.c.n <= lines[-1].n - KEPT)))


def set_aside(db: Connection, edge: str, name: str) -> None:
    """The edge began a new journal: what is kept of the old one goes by another name."""
    db.execute(update(LINE).where(LINE.c.edge == edge).values(edge=name))


def list_lines(db: Connection, under: str, before_ns: int, limit: int) -> list[EdgeLine]:
    """Those written before a time at or below a path, newest first."""
    columns = select(LINE.c.edge, LINE.c.n, LINE.c.kind, LINE.c.time_ns, LINE.c.path, LINE.c.data)
    wanted = _below(columns.where(LINE.c.time_ns < before_ns), LINE.c.path, under)
    rows = db.execute(wanted.order_by(LINE.c.time_ns.desc(), LINE.c.n.desc()).limit(limit))
    return [EdgeLine(edge, n, kind, at, path, orjson.loads(data)) for edge, n, kind, at, path, data in rows]

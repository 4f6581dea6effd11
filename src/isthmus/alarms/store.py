"""The records of alarms: how each stands, the journal, occurrences, changes at run time, and how far frames were heard."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    Index,
    LargeBinary,
    MetaData,
    Select,
    String,
    Table,
    Text,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
)
from sqlalchemy import Integer as Int

from isthmus.alarms.model import Entry, Occurrence, Standing, Trigger
from isthmus.ports.frames import Cursor, Position
from isthmus.values.frame import Lane
from isthmus.values.messages.alarms import AlarmChange, Reported, State

metadata = MetaData()

STANDING = Table(
    "alarms_standing",
    metadata,
    Column("alarm", String(700), primary_key=True),
    Column("state", String(24), nullable=False),
    Column("active", Boolean, nullable=False),
    Column("held", Boolean, nullable=False),
    Column("suppressed", Boolean, nullable=False),
    Column("occurrence", BigInteger, nullable=False),
    Column("raised_ns", BigInteger, nullable=False),
    Column("changed_ns", BigInteger, nullable=False),
    Column("returned_ns", BigInteger, nullable=False),
    Column("cleared_ns", BigInteger, nullable=False),
    Column("acknowledged_ns", BigInteger, nullable=False),
    Column("value", Text, nullable=False),
    Column("by", String(200), nullable=False),
    Column("comment", String(500), nullable=False),
    Column("shelved_until_ns", BigInteger, nullable=False),
    Column("shelved_by", String(200), nullable=False),
    Column("removed", Boolean, nullable=False),
    Column("removed_until_ns", BigInteger, nullable=False),
    Column("removed_by", String(200), nullable=False),
    Column("reason", String(500), nullable=False),
)
"""Alarms that are not simply normal."""

JOURNAL = Table(
    "alarms_journal",
    metadata,
    Column("seq", BigInteger().with_variant(Int, "sqlite"), primary_key=True, autoincrement=False),
    Column("occurrence", BigInteger, nullable=False),
    Column("alarm", String(700), nullable=False),
    Column("path", String(400), nullable=False),
    Column("asset", String(400), nullable=False),
    Column("zone", String(64), nullable=False),
    Column("name", String(200), nullable=False),
    Column("kind", String(24), nullable=False),
    Column("priority", String(16), nullable=False),
    Column("message", String(500), nullable=False),
    Column("before", String(24), nullable=False),
    Column("after", String(24), nullable=False),
    Column("trigger", String(32), nullable=False),
    Column("time_ns", BigInteger, nullable=False),
    Column("heard_ns", BigInteger, nullable=False),
    Column("value", Text, nullable=False),
    Column("unit", String(64), nullable=False),
    Column("limit", Float),
    Column("by", String(200), nullable=False),
    Column("comment", String(500), nullable=False),
    Column("replayed", Boolean, nullable=False),
    Index("alarms_journal_by_time", "time_ns", "seq"),
    Index("alarms_journal_by_alarm", "alarm", "time_ns"),
)

OCCURRENCE = Table(
    "alarms_occurrence",
    metadata,
    Column("id", BigInteger().with_variant(Int, "sqlite"), primary_key=True, autoincrement=False),
    Column("alarm", String(700), nullable=False),
    Column("path", String(400), nullable=False),
    Column("asset", String(400), nullable=False),
    Column("zone", String(64), nullable=False),
    Column("name", String(200), nullable=False),
    Column("kind", String(24), nullable=False),
    Column("priority", String(16), nullable=False),
    Column("message", String(500), nullable=False),
    Column("value", Text, nullable=False),
    Column("unit", String(64), nullable=False),
    Column("limit", Float),
    Column("raised_ns", BigInteger, nullable=False),
    Column("acknowledged_ns", BigInteger),
    Column("returned_ns", BigInteger),
    Column("cleared_ns", BigInteger),
    Column("by", String(200), nullable=False),
    Column("replayed", Boolean, nullable=False),
    Index("alarms_occurrence_by_time", "raised_ns"),
    Index("alarms_occurrence_by_alarm", "alarm", "raised_ns"),
)

CHANGE = Table(
    "alarms_change",
    metadata,
    Column("alarm", String(700), primary_key=True),
    Column("values", Text, nullable=False),
    Column("by", String(200), nullable=False),
    Column("reason", String(500), nullable=False),
    Column("changed_ns", BigInteger, nullable=False),
)
"""What was changed at run time."""

REPORTED = Table(
    "alarms_reported",
    metadata,
    Column("key", String(700), primary_key=True),
    Column("path", String(400), nullable=False),
    Column("priority", String(16), nullable=False),
    Column("message", String(500), nullable=False),
    Column("cause", Text, nullable=False),
    Column("consequence", Text, nullable=False),
    Column("response", Text, nullable=False),
)
"""Alarms that other rooms know of, while they are not normal."""

CURSOR = Table(
    "alarms_cursor",
    metadata,
    Column("edge", String(64), primary_key=True),
    Column("lane", Int, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
)

MARK = Table(
    "alarms_mark",
    metadata,
    Column("id", Int, primary_key=True),
    Column("stream_seq", BigInteger, nullable=False),
    Column("taken", Text, nullable=False),  # the last frame of each edge and lane it has in it
    Column("data", LargeBinary, nullable=False),
)
"""How the judge stood after a frame of the bus; the frames behind it bring it to where it was."""

KEPT: Final = 2_000_000
"""Lines of the journal, and occurrences, that are kept; older ones go."""
_PRUNE_EVERY: Final = 10_000


@dataclass(slots=True)
class Pending:
    """What one transaction is to store."""

    journal: list[Entry] = field(default_factory=list)
    standings: dict[str, Standing] = field(default_factory=dict)
    occurrences: dict[int, Occurrence] = field(default_factory=dict)
    cursor: Cursor = field(default_factory=dict)
    changes: dict[str, Changed | None] = field(default_factory=dict)
    reported: dict[str, Reported | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.journal or self.standings or self.occurrences or self.changes or self.reported)

    def before(self, later: Pending) -> Pending:
        """Both together, this one first."""
        return Pending(
            self.journal + later.journal,
            self.standings | later.standings,
            self.occurrences | later.occurrences,
            self.cursor | later.cursor,
            self.changes | later.changes,
            self.reported | later.reported,
        )


@dataclass(frozen=True, slots=True)
class Changed:
    """What somebody changed of an alarm at run time."""

    values: Mapping[str, Any]
    by: str
    reason: str
    changed_ns: int


@dataclass(slots=True)
class Stored:
    """Everything a core begins with."""

    standings: dict[str, Standing]
    occurrences: dict[int, Occurrence]  # the open ones
    changes: dict[str, Changed]
    reported: dict[str, Reported]
    cursor: Cursor
    seq: int
    occurrence: int


class Store:
    """The only I/O of the room. Synchronous: called from threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._written = 0
        # what the tables hold, so that a flood of new rows costs no deletes
        self._standing: set[str] = set()
        self._occurrence = 0

    def load(self) -> Stored:
        """What was stored last."""
        with self._engine.begin() as db:
            standings = {row["alarm"]: _standing(row) for row in db.execute(select(STANDING)).mappings()}
            self._standing = set(standings)
            self._occurrence = int(db.scalar(select(func.max(OCCURRENCE.c.id))) or 0)
            open_ = [s.occurrence for s in standings.values() if s.occurrence]
            found: dict[int, Occurrence] = {}
            for some in _parts(open_):
                rows = db.execute(select(OCCURRENCE).where(OCCURRENCE.c.id.in_(some))).mappings()
                found |= {row["id"]: _occurrence(row) for row in rows}
            return Stored(
                standings,
                found,
                {
                    r.alarm: Changed(orjson.loads(r[1]), r.by, r.reason, r.changed_ns)
                    for r in db.execute(select(CHANGE))
                },
                {r["key"]: Reported(**r) for r in db.execute(select(REPORTED)).mappings()},
                load_cursor(db),
                int(db.scalar(select(func.max(JOURNAL.c.seq))) or 0),
                self._occurrence,
            )

    def write(self, pending: Pending) -> None:
        """Everything in one transaction."""
        with self._engine.begin() as db:
            there = self._standing.intersection(pending.standings)
            _replace(db, STANDING, "alarm", pending.standings, there, _standing_row, _gone)
            old = [number for number in pending.occurrences if number <= self._occurrence]
            _replace(db, OCCURRENCE, "id", pending.occurrences, old, _occurrence_row)
            if pending.journal:
                db.execute(insert(JOURNAL), [_entry_row(entry) for entry in pending.journal])
            _replace(db, CHANGE, "alarm", pending.changes, pending.changes, _change_row)
            _replace(db, REPORTED, "key", pending.reported, pending.reported, _reported_row)
            save_cursor(db, pending.cursor)
            self._written += len(pending.journal)
            if self._written >= _PRUNE_EVERY:
                self._written = 0
                _prune(db)
        self._standing -= pending.standings.keys()
        self._standing |= {key for key, standing in pending.standings.items() if not standing.plain}
        self._occurrence = max(self._occurrence, *pending.occurrences, 0)

    def mark(self) -> tuple[int, Cursor, bytes] | None:
        """The last mark: the number of the stream, the positions, and the judge."""
        with self._engine.begin() as db:
            row = db.execute(select(MARK.c.stream_seq, MARK.c.taken, MARK.c.data)).first()
        if row is None:
            return None
        taken = {(e, Lane(lane)): Position(p, s) for e, lane, p, s in orjson.loads(row[1])}
        return int(row[0]), taken, row[2]

    def save_mark(self, stream_seq: int, taken: Cursor, data: bytes) -> None:
        """Take the place of the mark before."""
        rows = [[edge, int(lane), p.epoch, p.seq] for (edge, lane), p in taken.items()]
        with self._engine.begin() as db:
            db.execute(delete(MARK))
            db.execute(insert(MARK).values(id=1, stream_seq=stream_seq, taken=orjson.dumps(rows).decode(), data=data))

    def drop_mark(self) -> None:
        """After the bus began anew its numbers mean nothing."""
        with self._engine.begin() as db:
            db.execute(delete(MARK))

    def known(self, alarm: str, start_ns: int, end_ns: int) -> bool:
        """Whether an occurrence of it overlaps this time."""
        over = or_(OCCURRENCE.c.returned_ns.is_(None), OCCURRENCE.c.returned_ns >= start_ns)
        wanted = select(OCCURRENCE.c.id).where(OCCURRENCE.c.alarm == alarm, OCCURRENCE.c.raised_ns <= end_ns, over)
        with self._engine.begin() as db:
            return db.execute(wanted.limit(1)).first() is not None

    def journal(self, start_ns: int, end_ns: int, under: str, alarm: str, limit: int, before: int) -> list[Entry]:
        """Changes in [start, end), the last first."""
        wanted = select(JOURNAL).where(
            JOURNAL.c.seq < before, JOURNAL.c.time_ns >= start_ns, JOURNAL.c.time_ns < end_ns
        )
        wanted = _narrowed(wanted, JOURNAL, under, alarm).order_by(JOURNAL.c.seq.desc()).limit(limit)
        with self._engine.begin() as db:
            return [_entry(row) for row in db.execute(wanted).mappings()]

    def after(self, seq: int, limit: int) -> list[AlarmChange]:
        """Changes behind a number, the first first."""
        wanted = select(JOURNAL).where(JOURNAL.c.seq > seq).order_by(JOURNAL.c.seq).limit(limit)
        with self._engine.begin() as db:
            return [_entry(row).change for row in db.execute(wanted).mappings()]

    def occurrences(self, start_ns: int, end_ns: int, under: str, alarm: str, limit: int) -> list[Occurrence]:
        """What was raised or had not cleared in [start, end), raised last first."""
        open_ = or_(OCCURRENCE.c.cleared_ns.is_(None), OCCURRENCE.c.cleared_ns >= start_ns)
        wanted = _narrowed(select(OCCURRENCE).where(OCCURRENCE.c.raised_ns < end_ns, open_), OCCURRENCE, under, alarm)
        wanted = wanted.order_by(OCCURRENCE.c.raised_ns.desc(), OCCURRENCE.c.id.desc()).limit(limit)
        with self._engine.begin() as db:
            return [_occurrence(row) for row in db.execute(wanted).mappings()]


def load_cursor(db: Connection) -> Cursor:
    """The last frame of each edge and lane whose effect is stored."""
    rows = db.execute(select(CURSOR.c.edge, CURSOR.c.lane, CURSOR.c.epoch, CURSOR.c.seq)).all()
    return {(edge, Lane(lane)): Position(epoch, seq) for edge, lane, epoch, seq in rows}


def save_cursor(db: Connection, cursor: Cursor) -> None:
    """How far frames were heard."""
    for (edge, lane), position in cursor.items():
        db.execute(delete(CURSOR).where(CURSOR.c.edge == edge, CURSOR.c.lane == int(lane)))
        db.execute(insert(CURSOR).values(edge=edge, lane=int(lane), epoch=position.epoch, seq=position.seq))


def _replace(
    db: Connection,
    table: Table,
    key: str,
    found: Mapping[Any, Any],
    there: Collection[Any],
    row_of: Any,
    gone: Any = lambda value: value is None,
) -> None:
    """Rows in place of those that are there; what is gone leaves none."""
    if there:
        db.execute(delete(table).where(table.c[key] == bindparam("old")), [{"old": one} for one in there])
    rows = [row_of(one, value) for one, value in found.items() if not gone(value)]
    if rows:
        db.execute(insert(table), rows)


def _gone(standing: Standing) -> bool:
    return standing.plain


_STANDING_FIELDS = tuple(f.name for f in fields(Standing))
_OCCURRENCE_FIELDS = tuple(f.name for f in fields(Occurrence))


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _standing_row(alarm: str, standing: Standing) -> dict[str, Any]:
    row = {name: getattr(standing, name) for name in _STANDING_FIELDS}
    return {**row, "alarm": alarm, "state": str(standing.state), "value": _json(standing.value)}


def _standing(row: Mapping[Any, Any]) -> Standing:
    said = {name: row[name] for name in _STANDING_FIELDS}
    return Standing(**{**said, "state": State(row["state"]), "value": orjson.loads(row["value"])})


def _occurrence_row(_: int, one: Occurrence) -> dict[str, Any]:
    return {**{name: getattr(one, name) for name in _OCCURRENCE_FIELDS}, "value": _json(one.value)}


def _occurrence(row: Mapping[Any, Any]) -> Occurrence:
    said = {name: row[name] for name in _OCCURRENCE_FIELDS}
    return Occurrence(**{**said, "value": orjson.loads(row["value"])})


def _change_row(alarm: str, changed: Changed) -> dict[str, Any]:
    return {
        "alarm": alarm,
        "values": _json(changed.values),
        "by": changed.by,
        "reason": changed.reason,
        "changed_ns": changed.changed_ns,
    }


def _reported_row(_: str, reported: Reported) -> dict[str, Any]:
    return {f.name: getattr(reported, f.name) for f in fields(Reported)}


def _entry_row(entry: Entry) -> dict[str, Any]:
    change = entry.change
    return {
        "seq": change.seq,
        "occurrence": change.occurrence,
        "alarm": change.alarm,
        "path": change.path,
        "asset": change.asset,
        "zone": change.zone,
        "name": entry.name,
        "kind": entry.kind,
        "priority": change.priority,
        "message": change.message,
        "before": str(change.before),
        "after": str(change.after),
        "trigger": str(entry.trigger),
        "time_ns": change.time_ns,
        "heard_ns": entry.heard_ns,
        "value": _json(change.value),
        "unit": change.unit,
        "limit": change.limit,
        "by": change.by,
        "comment": entry.comment,
        "replayed": change.replayed,
    }


def _entry(row: Mapping[Any, Any]) -> Entry:
    change = AlarmChange(
        row["seq"],
        row["occurrence"],
        row["alarm"],
        row["path"],
        row["asset"],
        row["zone"],
        row["priority"],
        row["message"],
        State(row["before"]),
        State(row["after"]),
        row["time_ns"],
        orjson.loads(row["value"]),
        row["unit"],
        row["limit"],
        row["by"],
        row["replayed"],
    )
    return Entry(change, Trigger(row["trigger"]), row["name"], row["kind"], row["comment"], row["heard_ns"])


def _narrowed(wanted: Select[Any], table: Table, under: str, alarm: str) -> Select[Any]:
    if under:
        wanted = wanted.where(or_(table.c.path == under, table.c.path.startswith(under + "/", autoescape=True)))
    return wanted.where(table.c.alarm == alarm) if alarm else wanted


def _parts(ids: Sequence[int], size: int = 500) -> Iterable[Sequence[int]]:
    return (ids[i : i + size] for i in range(0, len(ids), size))


def _prune(db: Connection) -> None:
    """Keep the record bounded; what has not cleared stays."""
    last = db.scalar(select(func.max(JOURNAL.c.seq))) or 0
    db.execute(delete(JOURNAL).where(JOURNAL.c.seq <= last - KEPT))
    newest = db.scalar(select(func.max(OCCURRENCE.c.id))) or 0
    db.execute(delete(OCCURRENCE).where(OCCURRENCE.c.id <= newest - KEPT, OCCURRENCE.c.cleared_ns.is_not(None)))

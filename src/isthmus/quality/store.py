"""The records of quality: plans in versions, checks, limits, holds, nonconformances, actions, and how far frames were heard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import orjson
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    Row,
    Select,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from isthmus.ports.frames import Cursor, Position
from isthmus.quality.model import (
    OPEN,
    OWED,
    Check,
    CorrectiveAction,
    Hold,
    LimitsKept,
    Nonconformance,
    Plan,
    Violation,
    characteristics_of,
    plan_document,
)
from isthmus.values.frame import Lane

metadata = MetaData()

PLAN = Table(
    "quality_plan",
    metadata,
    Column("id", String(60), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("title", String(200), nullable=False),
    Column("asset", String(400), nullable=False),
    Column("product", String(120), nullable=False),
    Column("active", Boolean, nullable=False),
    Column("document", Text, nullable=False),
    Column("changed_by", String(200), nullable=False),
    Column("changed_ns", BigInteger, nullable=False),
    Column("reason", String(1000), nullable=False),
)
CHECK = Table(
    "quality_check",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("characteristic", String(125), nullable=False),
    Column("asset", String(400), nullable=False),
    Column("time_ns", BigInteger, nullable=False),
    Column("values", Text, nullable=False),
    Column("defects", Integer, nullable=False),
    Column("size", Integer, nullable=False),
    Column("passed", Boolean, nullable=False),
    Column("signals", String(200), nullable=False),
    Column("limits", Integer, nullable=False),
    Column("fault", String(120), nullable=False),
    Column("comment", String(1000), nullable=False),
    Column("source", String(16), nullable=False),
    Column("by", String(200), nullable=False),
    Column("order", String(120), nullable=False),
    Column("product", String(120), nullable=False),
    Column("lot", String(120), nullable=False),
    Column("due", String(200), nullable=True, unique=True),
    Column("void_ns", BigInteger, nullable=False),
    Column("void_by", String(200), nullable=False),
    Column("void_reason", String(1000), nullable=False),
    Index("quality_check_by_time", "characteristic", "time_ns", "id"),
)
LIMITS = Table(
    "quality_limits",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("characteristic", String(125), nullable=False),
    Column("since_ns", BigInteger, nullable=False),
    Column("center", Float, nullable=False),
    Column("sigma", Float, nullable=False),
    Column("checks", Integer, nullable=False),
    Column("by", String(200), nullable=False),
    Column("reason", String(1000), nullable=False),
    Index("quality_limits_by_characteristic", "characteristic", "id"),
)
HOLD = Table(
    "quality_hold",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("asset", String(400), nullable=False),
    Column("lot", String(120), nullable=False),
    Column("order", String(120), nullable=False),
    Column("product", String(120), nullable=False),
    Column("reason", String(1000), nullable=False),
    Column("since_ns", BigInteger, nullable=False),
    Column("opened_ns", BigInteger, nullable=False),
    Column("opened_by", String(200), nullable=False),
    Column("check", Integer, nullable=False),
    Column("nonconformance", Integer, nullable=False),
    Column("released_ns", BigInteger, nullable=False),
    Column("released_by", String(200), nullable=False),
    Column("release_reason", String(1000), nullable=False),
    Column("disposition", String(16), nullable=False),
    Column("violation", JSON(none_as_null=True), nullable=True),
    Index("quality_hold_by_lot", "lot", "state"),
)
NONCONFORMANCE = Table(
    "quality_nonconformance",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("title", String(400), nullable=False),
    Column("asset", String(400), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("opened_ns", BigInteger, nullable=False),
    Column("opened_by", String(200), nullable=False),
    Column("characteristic", String(125), nullable=False),
    Column("check", Integer, nullable=False),
    Column("checks", Integer, nullable=False),
    Column("order", String(120), nullable=False),
    Column("product", String(120), nullable=False),
    Column("lot", String(120), nullable=False),
    Column("quantity", Float, nullable=False),
    Column("cause", String(2000), nullable=False),
    Column("disposition", String(16), nullable=False),
    Column("owner", String(200), nullable=False),
    Column("due_ns", BigInteger, nullable=False),
    Column("closed_ns", BigInteger, nullable=False),
    Column("closed_by", String(200), nullable=False),
    Column("violation", JSON(none_as_null=True), nullable=True),
    Column("request", Integer, nullable=False, server_default="0"),
    Index("quality_nonconformance_by_state", "state", "characteristic"),
)
ACTION = Table(
    "quality_action",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("nonconformance", Integer, nullable=False, index=True),
    Column("asset", String(400), nullable=False),
    Column("title", String(400), nullable=False),
    Column("owner", String(200), nullable=False),
    Column("due_ns", BigInteger, nullable=False),
    Column("opened_ns", BigInteger, nullable=False),
    Column("opened_by", String(200), nullable=False),
    Column("result", String(2000), nullable=False),
    Column("done_ns", BigInteger, nullable=False),
    Column("done_by", String(200), nullable=False),
    Column("verified_ns", BigInteger, nullable=False),
    Column("verified_by", String(200), nullable=False),
)
CURSOR = Table(
    "quality_cursor",
    metadata,
    Column("edge", String(64), primary_key=True),
    Column("lane", Integer, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
)
SAMPLER = Table(
    "quality_sampler",
    metadata,
    Column("characteristic", String(125), primary_key=True),
    Column("state", Text, nullable=False),
)

Kept = TypeVar("Kept", Hold, Nonconformance, CorrectiveAction)
_TABLES: Mapping[type[Any], Table] = {Hold: HOLD, Nonconformance: NONCONFORMANCE, CorrectiveAction: ACTION}


# --- plans ---------------------------------------------------------------------------------------------------------------


def load_plans(db: Connection) -> tuple[Plan, ...]:
    """The newest version of each, by title."""
    newest = select(PLAN.c.id, func.max(PLAN.c.version).label("version")).group_by(PLAN.c.id).subquery()
    rows = db.execute(
        select(PLAN)
        .join(newest, (PLAN.c.id == newest.c.id) & (PLAN.c.version == newest.c.version))
        .order_by(PLAN.c.title, PLAN.c.id)
    )
    return tuple(_plan(row) for row in rows)


def add_plan(db: Connection, plan: Plan) -> None:
    """Keep a version."""
    values = {c.name: getattr(plan, c.name) for c in PLAN.c if c.name != "document"}
    db.execute(insert(PLAN).values(**values, document=orjson.dumps(plan_document(plan)).decode()))


def _plan(row: Row[Any]) -> Plan:
    values = dict(row._mapping)  # noqa: SLF001  SQLAlchemy's documented way to a row's names
    characteristics = characteristics_of(orjson.loads(values.pop("document")))
    return Plan(**values, characteristics=characteristics)


# --- checks and limits ---------------------------------------------------------------------------------------------------


def add_check(db: Connection, check: Check) -> int:
    """Keep a check; its number."""
    values = {c.name: getattr(check, c.name) for c in CHECK.c if c.name != "id"}
    values |= {
        "values": orjson.dumps(check.values).decode(),
        "signals": ",".join(check.signals),
        "due": check.due or None,
    }
    key = db.execute(insert(CHECK).values(values)).inserted_primary_key
    return int(key[0]) if key else 0


def load_check(db: Connection, number: int) -> Check | None:
    """One check."""
    row = db.execute(select(CHECK).where(CHECK.c.id == number)).first()
    return None if row is None else _check(row)


def answered(db: Connection, due: str) -> Check | None:
    """The check that answered what was due."""
    row = db.execute(select(CHECK).where(CHECK.c.due == due)).first()
    return None if row is None else _check(row)


def void_check(db: Connection, number: int, now_ns: int, by: str, reason: str) -> None:
    """It does not count any more; what was due is due again."""
    values = {"void_ns": now_ns, "void_by": by, "void_reason": reason, "due": None}
    db.execute(update(CHECK).where(CHECK.c.id == number).values(values))


def last_checks(db: Connection, characteristic: str, most: int, *, limits: int | None = None) -> list[Check]:
    """The newest that count, oldest first; those judged by some limits only, if they are told."""
    wanted = select(CHECK).where(CHECK.c.characteristic == characteristic, CHECK.c.void_ns == 0)
    if limits is not None:
        wanted = wanted.where(CHECK.c.limits == limits)
    rows = db.execute(wanted.order_by(CHECK.c.time_ns.desc(), CHECK.c.id.desc()).limit(most))
    return [_check(row) for row in rows][::-1]


def checks_between(
    db: Connection, characteristic: str, start_ns: int, end_ns: int, most: int, *, void: bool = True
) -> list[Check]:
    """Those of [start, end), oldest first; of more than ``most`` the newest."""
    wanted = select(CHECK).where(
        CHECK.c.characteristic == characteristic, CHECK.c.time_ns >= start_ns, CHECK.c.time_ns < end_ns
    )
    if not void:
        wanted = wanted.where(CHECK.c.void_ns == 0)
    rows = db.execute(wanted.order_by(CHECK.c.time_ns.desc(), CHECK.c.id.desc()).limit(most))
    return [_check(row) for row in rows][::-1]


def last_of_each(db: Connection, keys: Iterable[str]) -> dict[str, Check]:
    """The newest check that counts of each characteristic. Cost: one step in the index for each, however many there are"""
    found = {key: last_checks(db, key, 1) for key in keys}
    return {key: checks[0] for key, checks in found.items() if checks}


def last_good_ns(db: Connection, characteristic: str, before_ns: int) -> int:
    """When a check last found nothing wrong before then; 0 where none did."""
    found = db.scalar(
        select(func.max(CHECK.c.time_ns)).where(
            CHECK.c.characteristic == characteristic,
            CHECK.c.void_ns == 0,
            CHECK.c.passed,
            CHECK.c.signals == "",
            CHECK.c.time_ns < before_ns,
        )
    )
    return int(found or 0)


def _check(row: Row[Any]) -> Check:
    values = dict(row._mapping)  # noqa: SLF001  as above
    values["values"] = tuple(orjson.loads(values["values"]))
    values["signals"] = tuple(filter(None, values["signals"].split(",")))
    values["due"] = values["due"] or ""
    return Check(**values)


def add_limits(db: Connection, limits: LimitsKept) -> int:
    """Keep limits; their number."""
    key = db.execute(insert(LIMITS).values({k: v for k, v in asdict(limits).items() if k != "id"})).inserted_primary_key
    return int(key[0]) if key else 0


def limits_of(db: Connection, characteristic: str) -> list[LimitsKept]:
    """All limits of a characteristic, oldest first."""
    rows = db.execute(select(LIMITS).where(LIMITS.c.characteristic == characteristic).order_by(LIMITS.c.id))
    return [LimitsKept(*row) for row in rows]


def limits_in_force(db: Connection, keys: Iterable[str]) -> dict[str, LimitsKept]:
    """The newest of each characteristic."""
    found = {}
    for key in keys:
        row = db.execute(
            select(LIMITS).where(LIMITS.c.characteristic == key).order_by(LIMITS.c.id.desc()).limit(1)
        ).first()
        if row is not None:
            found[key] = LimitsKept(*row)
    return found


# --- holds, nonconformances, actions ---------------------------------------------------------------------------------------


def add(db: Connection, one: Hold | Nonconformance | CorrectiveAction) -> int:
    """Keep a new one; its number."""
    table = _TABLES[type(one)]
    key = db.execute(insert(table).values({k: v for k, v in asdict(one).items() if k != "id"})).inserted_primary_key
    return int(key[0]) if key else 0


def change(db: Connection, one: Hold | Nonconformance | CorrectiveAction, base: int) -> bool:
    """Keep what became of it; False when it is not at that version any more."""
    table = _TABLES[type(one)]
    values = {k: v for k, v in asdict(one).items() if k != "id"}
    return db.execute(update(table).where(table.c.id == one.id, table.c.version == base).values(values)).rowcount == 1


def _made(kind: type[Kept], row: Row[Any]) -> Kept:
    values = dict(row._mapping)  # noqa: SLF001  as above
    said = values.get("violation")
    if said:
        values["violation"] = Violation(**{**said, "values": tuple(said["values"]), "rules": tuple(said["rules"])})
    return kind(**values)


def owed_requests(db: Connection) -> list[tuple[Nonconformance, int, int]]:
    """Open nonconformances whose request is to be asked for, with from when to when what their check saw may be in doubt."""
    rows = db.execute(
        select(NONCONFORMANCE)
        .where(NONCONFORMANCE.c.state == OPEN, NONCONFORMANCE.c.request == OWED)
        .order_by(NONCONFORMANCE.c.id)
    ).all()
    found = []
    for row in rows:
        one = _made(Nonconformance, row)
        last = last_checks(db, one.characteristic, 1)
        end_ns = last[0].time_ns if last else one.opened_ns
        found.append((one, last_good_ns(db, one.characteristic, end_ns) or end_ns, end_ns))
    return found


def set_request(db: Connection, number: int, request: int) -> None:
    """What was asked for; no change that anybody must have seen."""
    db.execute(update(NONCONFORMANCE).where(NONCONFORMANCE.c.id == number).values(request=request))


def load(db: Connection, kind: type[Kept], number: int) -> Kept | None:
    """One of them."""
    row = db.execute(select(_TABLES[kind]).where(_TABLES[kind].c.id == number)).first()
    return None if row is None else _made(kind, row)


def listed(
    db: Connection, kind: type[Kept], under: str, states: Sequence[str], most: int, before: int | None = None
) -> list[Kept]:
    """Newest first, at or below a path; of some states only if they are told."""
    table = _TABLES[kind]
    wanted: Select[Any] = select(table)
    if under:
        wanted = wanted.where(or_(table.c.asset == under, table.c.asset.startswith(under + "/", autoescape=True)))
    if states:
        wanted = wanted.where(table.c.state.in_(states))
    if before is not None:
        wanted = wanted.where(table.c.id < before)
    rows = db.execute(wanted.order_by(table.c.id.desc()).limit(most))
    return [_made(kind, row) for row in rows]


def held_lots(db: Connection, lots: Sequence[str]) -> dict[str, str]:
    """Which of them are held, and why; the first reason counts."""
    found: dict[str, str] = {}
    for at in range(0, len(lots), 500):
        rows = db.execute(
            select(HOLD.c.lot, HOLD.c.reason)
            .where(HOLD.c.state == OPEN, HOLD.c.lot.in_(lots[at : at + 500]))
            .order_by(HOLD.c.id)
        )
        for lot, reason in rows:
            found.setdefault(lot, reason)
    return found


def open_hold(db: Connection, asset: str, lot: str, nonconformance: int) -> Hold | None:
    """The hold that a nonconformance put on a lot already."""
    row = db.execute(
        select(HOLD).where(
            HOLD.c.state == OPEN,
            HOLD.c.asset == asset,
            HOLD.c.lot == lot,
            HOLD.c.nonconformance == nonconformance,
        )
    ).first()
    return None if row is None else _made(Hold, row)


def open_nonconformance(db: Connection, characteristic: str) -> Nonconformance | None:
    """The one that checks of a characteristic opened and nobody closed yet."""
    row = db.execute(
        select(NONCONFORMANCE)
        .where(NONCONFORMANCE.c.state == OPEN, NONCONFORMANCE.c.characteristic == characteristic)
        .order_by(NONCONFORMANCE.c.id)
    ).first()
    return None if row is None else _made(Nonconformance, row)


def pending(db: Connection, nonconformance: int) -> tuple[int, int]:
    """How many of its actions are not done, and how many of its holds stand."""
    actions = db.scalar(
        select(func.count())
        .select_from(ACTION)
        .where(ACTION.c.nonconformance == nonconformance, ACTION.c.state == OPEN)
    )
    holds = db.scalar(
        select(func.count()).select_from(HOLD).where(HOLD.c.nonconformance == nonconformance, HOLD.c.state == OPEN)
    )
    return int(actions or 0), int(holds or 0)


def open_counts(db: Connection) -> dict[str, int]:
    """How many of each stand open."""
    return {
        kind.__name__: int(db.scalar(select(func.count()).select_from(table).where(table.c.state == OPEN)) or 0)
        for kind, table in _TABLES.items()
    }


# --- how far frames were heard -------------------------------------------------------------------------------------------


def load_cursor(db: Connection) -> Cursor:
    """The last frame of each edge and lane whose effect is stored."""
    return {(row.edge, Lane(row.lane)): Position(row.epoch, row.seq) for row in db.execute(select(CURSOR))}


def save_cursor(db: Connection, cursor: Cursor) -> None:
    """As far as samplers are stored, too."""
    for (edge, lane), position in cursor.items():
        values = {"epoch": position.epoch, "seq": position.seq}
        mine = (CURSOR.c.edge == edge) & (CURSOR.c.lane == int(lane))
        if not db.execute(update(CURSOR).where(mine).values(values)).rowcount:
            db.execute(insert(CURSOR).values(edge=edge, lane=int(lane), **values))


def load_samplers(db: Connection) -> dict[str, dict[str, Any]]:
    """What samplers had gathered, by characteristic."""
    return {row.characteristic: orjson.loads(row.state) for row in db.execute(select(SAMPLER))}


def save_samplers(db: Connection, states: Iterable[tuple[str, dict[str, Any]]]) -> None:
    """All there are; those that are gone are forgotten."""
    rows = [{"characteristic": key, "state": orjson.dumps(state).decode()} for key, state in states]
    db.execute(delete(SAMPLER))
    if rows:
        db.execute(insert(SAMPLER), rows)

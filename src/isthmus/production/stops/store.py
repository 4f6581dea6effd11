"""The records of requests and of improvement actions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Float,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    insert,
    or_,
    select,
    update,
)

from isthmus.ports.production import Evidence
from isthmus.production.stops.model import (
    ActionState,
    HelpRequest,
    ImprovementAction,
    RequestState,
    Verified,
    evidence_values,
)

metadata = MetaData()

REQUEST = Table(
    "production_request",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("open_key", String(400), nullable=True, unique=True),  # the key while it is not closed
    Column("key", String(400), nullable=False),
    Column("kind", String(24), nullable=False),
    Column("asset", String(400), nullable=False),
    Column("title", String(400), nullable=False),
    Column("stop", String(440), nullable=False),
    Column("evidence", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("asked_by", String(200), nullable=False),
    Column("asked_ns", BigInteger, nullable=False),
    Column("acknowledged_by", String(200), nullable=False),
    Column("acknowledged_ns", BigInteger, nullable=True),
    Column("answered_by", String(200), nullable=False),
    Column("answered_ns", BigInteger, nullable=True),
    Column("answer", Text, nullable=False),
    Column("closed_by", String(200), nullable=False),
    Column("closed_ns", BigInteger, nullable=True),
    Column("closing", Text, nullable=False),
    sqlite_autoincrement=True,
)
Index("production_request_asked", REQUEST.c.asked_ns)

ACTION = Table(
    "production_action",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("title", String(200), nullable=False),
    Column("text", Text, nullable=False),
    Column("under", String(400), nullable=False),
    Column("loss_by", String(16), nullable=False),
    Column("loss_key", String(200), nullable=False),
    Column("owner", String(200), nullable=False),
    Column("due", String(10), nullable=False),
    Column("expected_min", Float, nullable=False),
    Column("state", String(16), nullable=False),
    Column("version", Integer, nullable=False),
    Column("before_start_ns", BigInteger, nullable=False),
    Column("before_end_ns", BigInteger, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("changed_by", String(200), nullable=False),
    Column("changed_ns", BigInteger, nullable=False),
    Column("done_ns", BigInteger, nullable=True),
    Column("verified", Text, nullable=True),
    Column("verified_by", String(200), nullable=False),
    sqlite_autoincrement=True,
)


def add_request(connection: Connection, request: HelpRequest) -> int:
    """Keep a new one; its number.

    Raises: IntegrityError where one of its key is open
    """
    values = _request_row(request)
    del values["id"]
    return int(connection.execute(insert(REQUEST).values(values).returning(REQUEST.c.id)).scalar_one())


def change_request(connection: Connection, request: HelpRequest, version: int) -> bool:
    """Keep what became of one; False when it is not at that version any more."""
    where = (REQUEST.c.id == request.id, REQUEST.c.version == version)
    return connection.execute(update(REQUEST).where(*where).values(_request_row(request))).rowcount == 1


def request(connection: Connection, number: int) -> HelpRequest | None:
    """One by its number."""
    row = connection.execute(select(REQUEST).where(REQUEST.c.id == number)).first()
    return _request(row) if row else None


def last_request(connection: Connection, key: str) -> HelpRequest | None:
    """The newest of a key, whatever became of it."""
    row = connection.execute(select(REQUEST).where(REQUEST.c.key == key).order_by(REQUEST.c.id.desc()).limit(1)).first()
    return _request(row) if row else None


def open_request(connection: Connection, key: str) -> HelpRequest | None:
    """The one of a key that is not closed."""
    row = connection.execute(select(REQUEST).where(REQUEST.c.open_key == key)).first()
    return _request(row) if row else None


def requests(
    connection: Connection, start_ns: int | None, end_ns: int, under: str, states: Sequence[str], limit: int
) -> list[HelpRequest]:
    """Newest first: asked for in [start, end), and with no start all that are not closed."""
    query = select(REQUEST).where(REQUEST.c.asked_ns < end_ns)
    query = query.where(REQUEST.c.open_key.is_not(None) if start_ns is None else REQUEST.c.asked_ns >= start_ns)
    if under:
        below = REQUEST.c.asset.startswith(f"{under}/", autoescape=True)
        query = query.where(or_(REQUEST.c.asset == under, below))
    if states:
        query = query.where(REQUEST.c.state.in_(states))
    rows = connection.execute(query.order_by(REQUEST.c.asked_ns.desc(), REQUEST.c.id.desc()).limit(limit))
    return [_request(row) for row in rows]


def calling(connection: Connection) -> list[tuple[str, int]]:
    """Assets with the number of requests that nobody has put right yet."""
    states = (RequestState.OPEN.value, RequestState.ACKNOWLEDGED.value)
    rows = connection.execute(select(REQUEST.c.asset).where(REQUEST.c.state.in_(states)))
    counts: dict[str, int] = {}
    for (asset,) in rows:
        counts[asset] = counts.get(asset, 0) + 1
    return sorted(counts.items())


def add_action(connection: Connection, action: ImprovementAction) -> int:
    """Keep a new one; its number."""
    values = _action_row(action)
    del values["id"]
    return int(connection.execute(insert(ACTION).values(values).returning(ACTION.c.id)).scalar_one())


def change_action(connection: Connection, action: ImprovementAction, version: int) -> bool:
    """Keep what became of one; False when it is not at that version any more."""
    where = (ACTION.c.id == action.id, ACTION.c.version == version)
    return connection.execute(update(ACTION).where(*where).values(_action_row(action))).rowcount == 1


def action(connection: Connection, number: int) -> ImprovementAction | None:
    """One by its number."""
    row = connection.execute(select(ACTION).where(ACTION.c.id == number)).first()
    return _action(row) if row else None


def actions(connection: Connection, limit: int) -> list[ImprovementAction]:
    """Those due first come first."""
    rows = connection.execute(select(ACTION).order_by(ACTION.c.due, ACTION.c.id).limit(limit))
    return [_action(row) for row in rows]


def _request_row(one: HelpRequest) -> dict[str, Any]:
    values = {c.name: getattr(one, c.name) for c in REQUEST.c if c.name not in ("open_key", "evidence")}
    return values | {
        "open_key": None if one.state is RequestState.CLOSED else one.key,
        "evidence": orjson.dumps(evidence_values(one.evidence)).decode(),
        "state": one.state.value,
    }


def _request(row: Row[Any]) -> HelpRequest:
    values = dict(row._mapping)  # noqa: SLF001  SQLAlchemy's documented way to a row's names
    evidence = orjson.loads(values.pop("evidence"))
    for name in ("open_key", "asset"):
        values.pop(name)
    values["state"] = RequestState(values["state"])
    return HelpRequest(**values, evidence=Evidence(**{**evidence, "tags": tuple(evidence["tags"])}))


def _action_row(one: ImprovementAction) -> dict[str, Any]:
    values = {c.name: getattr(one, c.name) for c in ACTION.c if c.name not in ("verified", "verified_by")}
    measured = None if one.verified is None else asdict(one.verified)
    by = "" if measured is None else measured.pop("by")
    return values | {
        "state": one.state.value,
        "verified": None if measured is None else orjson.dumps(measured).decode(),
        "verified_by": by,
    }


def _action(row: Row[Any]) -> ImprovementAction:
    values = dict(row._mapping)  # noqa: SLF001  SQLAlchemy's documented way to a row's names
    text, by = values.pop("verified"), values.pop("verified_by")
    values["state"] = ActionState(values["state"])
    return ImprovementAction(**values, verified=None if text is None else Verified(**orjson.loads(text), by=by))

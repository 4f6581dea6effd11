"""The records of proposed changes of the plant: what was put forward, by whom, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Integer,
    Row,
    String,
    Table,
    Text,
    func,
    insert,
    select,
    update,
)

from isthmus.namespace.store import CONTENT, VERSION, metadata

CHANGE = Table(
    "namespace_change",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("state", String(16), nullable=False, index=True),
    Column("base", Integer, nullable=False),
    Column("author", String(200), nullable=False),
    Column("author_id", Integer, nullable=True),
    Column("behind", Text, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("zones", Text, nullable=False),
    Column("diff", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("decided_by", String(200), nullable=False),
    Column("decided_ns", BigInteger, nullable=True),
    Column("decision", Text, nullable=False),
    Column("closed_by", String(200), nullable=False),
    Column("closed_ns", BigInteger, nullable=True),
    Column("version", ForeignKey(VERSION.c.version), nullable=True),
)
CHANGE_FILE = Table(
    "namespace_change_file",
    metadata,
    Column("change", ForeignKey(CHANGE.c.id), primary_key=True),
    Column("name", String(400), primary_key=True),
    Column("digest", ForeignKey(CONTENT.c.digest), nullable=False),
)

OPEN = ("proposed", "approved")
_LISTED = tuple(c for c in CHANGE.c if c.name != "text")


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """A plan that was put forward. ``behind`` are people who answer for its author, if that is a program.

    Units: created_ns, decided_ns, closed_ns are UTC ns
    """

    id: int
    state: str
    base: int
    author: str
    author_id: int | None
    behind: tuple[str, ...]
    created_ns: int
    reason: str
    zones: tuple[str, ...]
    diff: tuple[dict[str, str], ...]  # as a plan tells them: action, what, path, detail
    decided_by: str = ""
    decided_ns: int | None = None
    decision: str = ""
    closed_by: str = ""
    closed_ns: int | None = None
    version: int | None = None  # the version it became
    text: str = ""  # left out where changes are listed


def add(connection: Connection, change: ChangeRequest, files: Mapping[str, bytes]) -> int:
    """Keeps a new one with the files beside its text; the number it gets."""
    values = {c.name: getattr(change, c.name) for c in CHANGE.c if c.name != "id"}
    values |= {name: json.dumps(values[name]) for name in ("behind", "zones", "diff")}
    made = connection.execute(insert(CHANGE).values(values))
    number = int(made.inserted_primary_key[0]) if made.inserted_primary_key else 0
    for name, data in files.items():
        digest = sha256(data).hexdigest()
        if connection.scalar(select(CONTENT.c.digest).where(CONTENT.c.digest == digest)) is None:
            connection.execute(insert(CONTENT).values(digest=digest, data=data))
        connection.execute(insert(CHANGE_FILE).values(change=number, name=name, digest=digest))
    return number


def listed(connection: Connection, state: str, before: int | None, limit: int) -> tuple[ChangeRequest, ...]:
    """Newest first, without their texts."""
    asked = select(*_LISTED).order_by(CHANGE.c.id.desc()).limit(limit)
    if state:
        asked = asked.where(CHANGE.c.state == state)
    if before is not None:
        asked = asked.where(CHANGE.c.id < before)
    return tuple(map(_change, connection.execute(asked)))


def load(connection: Connection, number: int) -> ChangeRequest | None:
    """One with its text."""
    row = connection.execute(select(CHANGE).where(CHANGE.c.id == number)).first()
    return _change(row) if row else None


def load_files(connection: Connection, number: int) -> dict[str, bytes]:
    """The files that came with one, by name."""
    rows = connection.execute(
        select(CHANGE_FILE.c.name, CONTENT.c.data)
        .join(CONTENT, CHANGE_FILE.c.digest == CONTENT.c.digest)
        .where(CHANGE_FILE.c.change == number)
    )
    return {name: bytes(data) for name, data in rows}


def count_open(connection: Connection) -> int:
    """How many wait for something."""
    return int(connection.scalar(select(func.count()).select_from(CHANGE).where(CHANGE.c.state.in_(OPEN))) or 0)


def move(connection: Connection, number: int, old: str, new: str, **more: Any) -> bool:
    """Takes one from a state to another; False when somebody else moved it meanwhile."""
    done = connection.execute(
        update(CHANGE).where(CHANGE.c.id == number, CHANGE.c.state == old).values(state=new, **more)
    )
    return done.rowcount == 1


def make_stale(connection: Connection, version: int, now_ns: int) -> None:
    """Ends all that were planned on a version before this one."""
    connection.execute(
        update(CHANGE)
        .where(CHANGE.c.state.in_(OPEN), CHANGE.c.base != version)
        .values(state="stale", closed_by=f"version {version}", closed_ns=now_ns)
    )


def _change(row: Row[Any]) -> ChangeRequest:
    values = dict(row._mapping)  # noqa: SLF001  SQLAlchemy's own name for it
    return ChangeRequest(
        **values
        | {
            "behind": tuple(json.loads(values["behind"])),
            "zones": tuple(json.loads(values["zones"])),
            "diff": tuple(json.loads(values["diff"])),
        }
    )

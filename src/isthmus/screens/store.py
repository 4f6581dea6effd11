"""The records of screens: each one's draft with its state, and every version that was published."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    insert,
    select,
    update,
)
from sqlalchemy import delete as sql_delete

metadata = MetaData()

SCREEN = Table(
    "screens_screen",
    metadata,
    Column("id", String(60), primary_key=True),
    Column("title", String(120), nullable=False),
    Column("draft", Text, nullable=False),
    Column("rev", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("draft_by", String(200), nullable=False),
    Column("draft_ns", BigInteger, nullable=False),
    Column("editors", Text, nullable=False),
    Column("live", Integer, nullable=True),
    Column("review_by", String(200), nullable=False),
    Column("review_ns", BigInteger, nullable=True),
    Column("note", Text, nullable=False),
    Column("retired_ns", BigInteger, nullable=True),
)
VERSION = Table(
    "screens_version",
    metadata,
    Column("screen", ForeignKey(SCREEN.c.id), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("text", Text, nullable=False),
    Column("authors", Text, nullable=False),
    Column("published_by", String(200), nullable=False),
    Column("published_ns", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Screen:
    """One screen. ``rev`` grows with everything that happens to its draft; ``editors`` drew since it was last published.

    Units: draft_ns, review_ns, retired_ns are UTC ns
    """

    id: str
    title: str
    rev: int
    state: str  # draft, review or published
    draft_by: str
    draft_ns: int
    editors: tuple[str, ...] = ()
    live: int | None = None  # the version people see
    review_by: str = ""
    review_ns: int | None = None
    note: str = ""  # what its author says about it, or why it came back
    retired_ns: int | None = None
    draft: dict[str, Any] | None = None  # left out where screens are listed


@dataclass(frozen=True, slots=True)
class Version:
    """What was published once; it never changes. Units: published_ns is UTC ns"""

    screen: str
    version: int
    authors: tuple[str, ...]
    published_by: str
    published_ns: int
    note: str
    document: dict[str, Any] | None = None  # left out where versions are listed


def add(connection: Connection, screen: Screen) -> None:
    """Keep a new one."""
    connection.execute(insert(SCREEN).values(_row(screen)))


def change(connection: Connection, screen: Screen, rev: int) -> bool:
    """Keep what became of one; False when it is not at that revision any more."""
    done = connection.execute(update(SCREEN).where(SCREEN.c.id == screen.id, SCREEN.c.rev == rev).values(_row(screen)))
    return done.rowcount == 1


def remove(connection: Connection, ident: str) -> None:
    """Forget one that was never published."""
    connection.execute(sql_delete(SCREEN).where(SCREEN.c.id == ident))


def load(connection: Connection, ident: str) -> Screen | None:
    """One with its draft."""
    row = connection.execute(select(SCREEN).where(SCREEN.c.id == ident)).first()
    return _screen(row) if row else None


def listed(connection: Connection) -> tuple[Screen, ...]:
    """All that are in use with their drafts, by title."""
    rows = connection.execute(select(SCREEN).where(SCREEN.c.retired_ns.is_(None)).order_by(SCREEN.c.title, SCREEN.c.id))
    return tuple(map(_screen, rows))


def add_version(connection: Connection, version: Version) -> None:
    """Keep what is published."""
    connection.execute(
        insert(VERSION).values(
            screen=version.screen,
            version=version.version,
            text=orjson.dumps(version.document).decode(),
            authors=json.dumps(version.authors),  # as `security.privacy` looks for a name
            published_by=version.published_by,
            published_ns=version.published_ns,
            note=version.note,
        )
    )


def versions(connection: Connection, ident: str) -> tuple[Version, ...]:
    """Newest first, without their documents."""
    columns = [c for c in VERSION.c if c.name != "text"]
    rows = connection.execute(select(*columns).where(VERSION.c.screen == ident).order_by(VERSION.c.version.desc()))
    return tuple(
        Version(r.screen, r.version, tuple(orjson.loads(r.authors)), r.published_by, r.published_ns, r.note)
        for r in rows
    )


def load_version(connection: Connection, ident: str, number: int) -> Version | None:
    """One with its document."""
    row = connection.execute(select(VERSION).where(VERSION.c.screen == ident, VERSION.c.version == number)).first()
    if row is None:
        return None
    return Version(
        row.screen, row.version, tuple(orjson.loads(row.authors)), row.published_by, row.published_ns, row.note,
        orjson.loads(row.text),
    )  # fmt: skip


def live_documents(connection: Connection) -> dict[str, dict[str, Any]]:
    """What people see of each screen that is published."""
    rows = connection.execute(
        select(SCREEN.c.id, VERSION.c.text)
        .join(VERSION, (VERSION.c.screen == SCREEN.c.id) & (VERSION.c.version == SCREEN.c.live))
        .where(SCREEN.c.retired_ns.is_(None))
    )
    return {row.id: orjson.loads(row.text) for row in rows}


def _row(screen: Screen) -> dict[str, Any]:
    values = {c.name: getattr(screen, c.name) for c in SCREEN.c}
    return values | {
        "draft": orjson.dumps(screen.draft).decode(),
        "editors": json.dumps(screen.editors),
    }


def _screen(row: Row[Any]) -> Screen:
    values = dict(row._mapping)  # noqa: SLF001  SQLAlchemy's documented way to a row's names
    return Screen(**{**values, "draft": orjson.loads(row.draft), "editors": tuple(orjson.loads(row.editors))})

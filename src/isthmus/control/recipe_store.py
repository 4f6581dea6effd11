"""The records of recipes: their versions, and each download with what was written and what not."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    ForeignKey,
    Index,
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

from isthmus.control.recipe_model import Download, Item, Line, Recipe, Version
from isthmus.control.store import metadata

RECIPE = Table(
    "control_recipe",
    metadata,
    Column("name", String(120), primary_key=True),
    Column("type", String(120), nullable=False),
    Column("asset", String(400), nullable=False),
    Column("description", Text, nullable=False),
)
VERSION = Table(
    "control_recipe_version",
    metadata,
    Column("recipe", ForeignKey(RECIPE.c.name), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),
    Column("items", Text, nullable=False),
    Column("author", String(200), nullable=False),
    Column("author_id", Integer),
    Column("behind", Text, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("approved_by", String(200), nullable=False),
    Column("approved_ns", BigInteger),
)
DOWNLOAD = Table(
    "control_download",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("recipe", String(120), nullable=False),
    Column("number", Integer, nullable=False),
    Column("asset", String(400), nullable=False),
    Column("by", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("began_ns", BigInteger, nullable=False),
    Column("ended_ns", BigInteger),
    Column("lines", Text, nullable=False),
    Column("second", String(200), nullable=False, server_default=""),
    Column("said", Text, nullable=False, server_default=""),
    Column("expires_ns", BigInteger),
    Index("control_download_by_recipe", "recipe", "id"),
)


def recipes(db: Connection) -> list[Recipe]:
    """All, by name."""
    return [Recipe(*row) for row in db.execute(select(*RECIPE.c).order_by(RECIPE.c.name))]


def recipe(db: Connection, name: str) -> Recipe | None:
    """One."""
    row = db.execute(select(*RECIPE.c).where(RECIPE.c.name == name)).first()
    return Recipe(*row) if row else None


def save_recipe(db: Connection, one: Recipe) -> None:
    """A new one, or another description."""
    values = asdict(one)
    if not db.execute(update(RECIPE).where(RECIPE.c.name == one.name).values(values)).rowcount:
        db.execute(insert(RECIPE).values(values))


def versions(db: Connection, name: str) -> list[Version]:
    """Of one recipe, newest first."""
    rows = db.execute(select(VERSION).where(VERSION.c.recipe == name).order_by(VERSION.c.number.desc()))
    return [_version(row) for row in rows]


def version(db: Connection, name: str, number: int) -> Version | None:
    """One."""
    row = db.execute(select(VERSION).where(VERSION.c.recipe == name, VERSION.c.number == number)).first()
    return _version(row) if row else None


def add_version(db: Connection, one: Version) -> Version:
    """The next version; with the number it got."""
    last = db.scalar(select(func.max(VERSION.c.number)).where(VERSION.c.recipe == one.recipe)) or 0
    made = replace(one, number=last + 1)
    values = asdict(made) | {"items": _dump([asdict(i) for i in made.items]), "behind": _dump(list(made.behind))}
    db.execute(insert(VERSION).values(values))
    return made


def approve(db: Connection, name: str, number: int, by: str, now_ns: int) -> bool:
    """A second person agrees; False when it does not wait for one."""
    done = db.execute(
        update(VERSION)
        .where(VERSION.c.recipe == name, VERSION.c.number == number, VERSION.c.state == "draft")
        .values(state="approved", approved_by=by, approved_ns=now_ns)
    )
    return done.rowcount == 1


def add_download(db: Connection, one: Download) -> int:
    """One that begins; its number."""
    made = db.execute(insert(DOWNLOAD).values(_download_row(one)))
    return int(made.inserted_primary_key[0]) if made.inserted_primary_key else 0


def save_download(db: Connection, one: Download) -> None:
    """How far it is."""
    db.execute(update(DOWNLOAD).where(DOWNLOAD.c.id == one.id).values(_download_row(one)))


def downloads(db: Connection, name: str, limit: int) -> list[Download]:
    """Of one recipe, newest first."""
    wanted = select(DOWNLOAD).where(DOWNLOAD.c.recipe == name).order_by(DOWNLOAD.c.id.desc())
    return [_download(row) for row in db.execute(wanted.limit(limit))]


def download(db: Connection, number: int) -> Download | None:
    """One."""
    row = db.execute(select(DOWNLOAD).where(DOWNLOAD.c.id == number)).first()
    return _download(row) if row else None


def open_downloads(db: Connection) -> list[Download]:
    """Those that an earlier core had begun and not ended, or that waited for a second person."""
    wanted = select(DOWNLOAD).where(DOWNLOAD.c.state.in_(("running", "waiting")))
    return [_download(row) for row in db.execute(wanted)]


def _download_row(one: Download) -> dict[str, Any]:
    values = asdict(one) | {"lines": _dump([asdict(line) for line in one.lines])}
    del values["id"]
    return values


def _download(row: Row[Any]) -> Download:
    values = dict(row._mapping)  # noqa: SLF001  SQLAlchemy's own name for it
    return Download(**values | {"lines": tuple(Line(**line) for line in orjson.loads(values["lines"]))})


def _version(row: Row[Any]) -> Version:
    values = dict(row._mapping)  # noqa: SLF001  SQLAlchemy's own name for it
    items = tuple(Item(**item) for item in orjson.loads(values["items"]))
    return Version(**values | {"items": items, "behind": tuple(orjson.loads(values["behind"]))})


def _dump(value: object) -> str:
    return orjson.dumps(value).decode()

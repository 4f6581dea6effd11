"""Brings the records to this build's schema, keeping a copy of what was there; and back again."""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.values.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy import Engine

HEAD = "0020"
"""Revision this build writes; held against the migrations by a test."""
KNOWN = (
    "0001",
    "0002",
    "0003",
    "0004",
    "0005",
    "0006",
    "0007",
    "0008",
    "0009",
    "0010",
    "0011",
    "0012",
    "0013",
    "0014",
    "0015",
    "0016",
    "0017",
    "0018",
    "0019",
    "0020",
)


@dataclass(frozen=True, slots=True)
class Chain:
    """The steps from nothing to a schema. ``known`` are its revisions, oldest first."""

    folder: Path = Path(__file__).parent / "migrations"
    head: str = HEAD
    known: tuple[str, ...] = KNOWN


OURS = Chain()


def refuse_newer(file: Path, chain: Chain = OURS) -> None:
    """Look before anything is opened or changed, and before what opens records is loaded.

    Raises: ConfigError if the records were written by a newer build
    """
    if not file.exists():
        return
    with closing(sqlite3.connect(file, timeout=20)) as records:
        known = records.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
        found = records.execute("SELECT version_num FROM alembic_version").fetchone() if known else None
    if found:
        _refuse_unknown(str(found[0]), file, chain)


def _refuse_unknown(current: str, file: Path, chain: Chain) -> None:
    if current and current not in chain.known:
        raise ConfigError(
            f"{file}: records are of revision {current}, which this build does not know: they were written by a "
            "newer Isthmus; install that version, nothing was changed"
        )


def revision(engine: Engine) -> str:
    """What schema the records have; empty where there are none yet."""
    from sqlalchemy import inspect, text

    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return ""
        return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")


def migrate(engine: Engine, file: Path, log: logging.Logger, chain: Chain = OURS) -> None:
    """Upgrade if needed, in one transaction; cheap when there is nothing to do, as Alembic is imported only then.

    Raises: ConfigError if the records were written by a newer build; nothing was changed
    """
    current = revision(engine)
    if current == chain.head:
        return
    _refuse_unknown(current, file, chain)
    if current:
        aside = copy_aside(file, f"before-{chain.head}")
        log.info("records are copied to %s before their schema changes from %s to %s", aside.name, current, chain.head)
    _step(engine, chain, chain.head, up=True)
    if current:
        _check(engine, file)
        log.info("records are of revision %s now, nothing was lost; `isthmus rollback` goes back", chain.head)


def roll_back(engine: Engine, file: Path, to: str, log: logging.Logger, chain: Chain = OURS) -> None:
    """Take the records back to an older schema with everything that it can hold, in one transaction; a copy stays aside.

    Raises: ConfigError if that revision is unknown or not older; nothing was changed
    """
    current = revision(engine)
    if current not in chain.known:
        raise ConfigError(f"{file}: records are of revision {current or 'none'}, which this build cannot change")
    if to not in chain.known or chain.known.index(to) >= chain.known.index(current):
        older = ", ".join(chain.known[: chain.known.index(current)]) or "none"
        raise ConfigError(f"to: must be a revision older than {current}, known are {older}, was {to!r}")
    aside = copy_aside(file, f"after-{current}")
    log.info("records are copied to %s before their schema goes back from %s to %s", aside.name, current, to)
    _step(engine, chain, to, up=False)
    _check(engine, file)
    log.info("records are of revision %s again; start the Isthmus that knows it", to)


def revision_before(file: Path) -> str:
    """The revision of the newest copy that an upgrade left beside the records; empty if there is none."""
    copies = sorted(file.parent.glob(f"{file.name}.before-*"), key=lambda p: p.stat().st_mtime_ns)
    if not copies:
        return ""
    with closing(sqlite3.connect(f"file:{copies[-1]}?mode=ro", uri=True)) as copy:
        found = copy.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(found[0]) if found else ""


def copy_aside(file: Path, suffix: str) -> Path:
    """A whole copy beside the file, or none: a plain copy of a file in WAL mode would miss its log."""
    aside = file.with_name(f"{file.name}.{suffix}")
    partial = aside.with_name(f".{aside.name}")
    partial.unlink(missing_ok=True)
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(partial)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode=DELETE")
    partial.chmod(0o600)
    with partial.open("rb") as done:
        os.fsync(done.fileno())
    partial.replace(aside)
    return aside


def _check(engine: Engine, file: Path) -> None:
    from sqlalchemy import text

    with engine.connect() as connection:
        problem = connection.execute(text("PRAGMA integrity_check")).scalar()
        loose = connection.execute(text("PRAGMA foreign_key_check")).first()
    if problem != "ok" or loose is not None:
        raise ConfigError(
            f"{file}: is not whole after its schema changed ({problem}, {loose}); take back the copy beside it"
        )


def _step(engine: Engine, chain: Chain, to: str, *, up: bool) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(chain.folder))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        (command.upgrade if up else command.downgrade)(config, to)

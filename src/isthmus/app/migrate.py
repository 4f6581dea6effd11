"""Brings the records to this build's schema, keeping a copy of what was there."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine, inspect, text

from isthmus.values.errors import ConfigError

HEAD = "0002"
"""Revision this build writes; held against the migrations by a test."""
KNOWN = ("0001", "0002")


def migrate(engine: Engine, file: Path, log: logging.Logger) -> None:
    """Upgrade if needed; cheap when there is nothing to do, as Alembic is imported only then.

    Raises: ConfigError if the records were written by a newer build; nothing was changed
    """
    with engine.connect() as connection:
        new = not inspect(connection).has_table("alembic_version")
        current = "" if new else str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")
    if current == HEAD:
        return
    if current and current not in KNOWN:
        raise ConfigError(
            f"{file}: records are of revision {current}, which this build does not know: they were written by a "
            "newer Isthmus; install that version, nothing was changed"
        )
    if current:
        aside = file.with_name(f"{file.name}.before-{HEAD}")
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(aside)) as target:
            source.backup(target)  # a plain copy of a file in WAL mode would miss its log
        log.info("records are copied to %s before their schema changes from %s to %s", aside.name, current, HEAD)
    _upgrade(engine)


def _upgrade(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

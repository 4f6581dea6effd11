from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData

import isthmus.acquisition.store
import isthmus.alarms.callout.store
import isthmus.alarms.store
import isthmus.analytics.store
import isthmus.app.delivery_store
import isthmus.control.recipe_store  # its tables stand in the metadata of the room
import isthmus.control.store
import isthmus.namespace.change_store  # as above
import isthmus.namespace.store
import isthmus.production.exception_store
import isthmus.production.kpi.store
import isthmus.production.orders.lot_store  # as above
import isthmus.production.orders.store
import isthmus.production.shiftlog_store
import isthmus.production.stops.store
import isthmus.production.store
import isthmus.quality.store
import isthmus.screens.store
import isthmus.security.audit.store
import isthmus.security.oidc_store  # its tables stand in the metadata of the room
import isthmus.security.passkey_store
import isthmus.security.store
from isthmus.app import migrate as module
from isthmus.app.migrate import HEAD, KNOWN, migrate, refuse_newer
from isthmus.app.records import open_records
from isthmus.values.errors import ConfigError

LOG = logging.getLogger("test")


def declared() -> MetaData:
    whole = MetaData()
    for room in (
        isthmus.acquisition.store,
        isthmus.alarms.callout.store,
        isthmus.alarms.store,
        isthmus.analytics.store,
        isthmus.app.delivery_store,
        isthmus.control.store,
        isthmus.namespace.store,
        isthmus.production.orders.store,
        isthmus.quality.store,
        isthmus.production.shiftlog_store,
        isthmus.production.store,
        isthmus.screens.store,
        isthmus.production.exception_store,
        isthmus.production.kpi.store,
        isthmus.production.stops.store,
        isthmus.security.audit.store,
        isthmus.security.store,
    ):
        for table in room.metadata.tables.values():
            table.to_metadata(whole)
    return whole


@pytest.mark.mission("M4")
@pytest.mark.real("sqlite")
def test_the_migrations_make_exactly_what_the_rooms_declare(tmp_path: Path) -> None:
    engine = open_records(tmp_path / "records.db")
    migrate(engine, tmp_path / "records.db", LOG)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), declared()) == []
    migrate(engine, tmp_path / "records.db", LOG)  # nothing to do
    engine.dispose()


def test_the_head_is_the_one_the_build_names() -> None:
    scripts = ScriptDirectory(str(Path(module.__file__).parent / "migrations"))
    assert scripts.get_current_head() == HEAD
    assert {s.revision for s in scripts.walk_revisions()} == set(KNOWN)


@pytest.mark.real("sqlite")
def test_records_that_are_not_there_or_known_are_let_pass(tmp_path: Path) -> None:
    file = tmp_path / "records.db"
    refuse_newer(file)
    assert not file.exists()
    sqlite3.connect(file).close()
    refuse_newer(file)  # empty
    engine = open_records(file)
    migrate(engine, file, LOG)
    engine.dispose()
    refuse_newer(file)


@pytest.mark.mission("M82")
@pytest.mark.real("sqlite")
def test_records_of_a_newer_build_are_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "records.db"
    engine = open_records(file)
    migrate(engine, file, LOG)
    engine.dispose()
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = file.read_bytes()
    with pytest.raises(ConfigError, match="newer Isthmus"):
        refuse_newer(file)
    engine = open_records(file)
    with pytest.raises(ConfigError, match="newer Isthmus"):
        migrate(engine, file, LOG)
    engine.dispose()
    assert file.read_bytes() == before

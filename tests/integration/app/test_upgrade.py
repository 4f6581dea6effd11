"""A data directory of the first schema, with real rows, goes up to this build's and back."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isthmus.app import migrate as module
from isthmus.app.migrate import HEAD, KNOWN, Chain, migrate, revision, revision_before, roll_back
from isthmus.app.records import open_records
from isthmus.cli.processes import rollback
from isthmus.historian import schema
from isthmus.historian.service import Historian
from isthmus.historian.store import StoreConfig
from isthmus.namespace.service import Namespace
from isthmus.ports.drivers import driver_spec
from isthmus.ports.frames import Arrived
from isthmus.security.codes import key_of
from isthmus.security.model import Proof
from isthmus.security.service import Security
from isthmus.values.clock import NS_PER_S, ManualClock
from isthmus.values.errors import ConfigError
from isthmus.values.frame import Frame, Lane
from isthmus.values.sample import SampleBatch

DUMP = Path(__file__).parent / "records-0001.sql"
TOKEN = "isk_1CvQfErY5He1dgeOsiCGlNTuYLBi7hNCY0m9BLQLUPA"
LOG = logging.getLogger("test")

_NEXT = '''
"""A step that adds and fills"""
import sqlalchemy as sa
from alembic import op
revision, down_revision = "next", "{head}"

def upgrade():
    op.create_table("extra", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("what", sa.Text(), nullable=False))
    op.execute("INSERT INTO extra (what) SELECT reason FROM acquisition_outage")
    with op.batch_alter_table("acquisition_outage") as table:
        table.add_column(sa.Column("severity", sa.Integer(), nullable=False, server_default="1"))
    {more}

def downgrade():
    with op.batch_alter_table("acquisition_outage") as table:
        table.drop_column("severity")
    op.drop_table("extra")
'''


def old(folder: Path) -> Path:
    """Records as the first build wrote them."""
    file = folder / "records.db"
    with closing(sqlite3.connect(file)) as records:
        records.executescript(DUMP.read_text())
    return file


def rows(file: Path) -> dict[str, list[Any]]:
    """Every row of every table of the first schema, by the columns it had then."""
    with closing(sqlite3.connect(file)) as first, closing(sqlite3.connect(":memory:")) as then:
        then.executescript(DUMP.read_text())
        found = {}
        for (table,) in then.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'alembic_version'"
        ):
            columns = ", ".join(f'"{c[1]}"' for c in then.execute(f"PRAGMA table_info({table})"))
            found[table] = first.execute(f"SELECT {columns} FROM {table} ORDER BY 1, 2").fetchall()
    return found


@pytest.fixture
def longer(tmp_path: Path) -> Chain:
    """This build's chain with one step more, as the next build will have it."""
    return _chain(tmp_path / "longer")


def _chain(folder: Path, more: str = "") -> Chain:
    shutil.copytree(Path(module.__file__).parent / "migrations", folder)
    (folder / "versions" / "next.py").write_text(_NEXT.format(head=HEAD, more=more))
    return Chain(folder, "next", (*KNOWN, "next"))


@pytest.mark.mission("M4")
@pytest.mark.real("sqlite")
def test_records_of_the_first_build_come_to_this_one_with_every_row(tmp_path: Path) -> None:
    file = old(tmp_path)
    before = rows(file)
    assert sum(map(len, before.values())) > 12
    engine = open_records(file)
    migrate(engine, file, LOG)
    assert revision(engine) == HEAD
    plant = Namespace(engine, ManualClock(), driver_spec).current()
    assert plant.version == 2
    assert [t.path for t in plant.tags if t.kind != "system"] == [
        f"hall/line1/{pump}/{tag}" for pump in ("pump1", "pump2") for tag in ("on", "speed")
    ]
    principal = Security(engine, ManualClock()).verify(Proof.TOKEN, key_of(TOKEN))
    assert principal is not None
    assert principal.name == "grafana"
    engine.dispose()
    assert rows(file) == before


@pytest.mark.mission("M4")
@pytest.mark.real("sqlite")
def test_an_upgrade_says_what_it_did_keeps_a_copy_and_goes_back(
    tmp_path: Path, longer: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    file = old(tmp_path)
    engine = open_records(file)
    migrate(engine, file, LOG)  # to this build
    before = rows(file)
    migrate(engine, file, LOG, longer)  # to the next
    assert revision(engine) == "next"
    with closing(sqlite3.connect(file)) as records:
        assert records.execute("SELECT count(*) FROM extra").fetchone() == (2,)
        records.execute(
            "INSERT INTO acquisition_outage (connection, start_ns, reason, severity) VALUES ('plc1', 9, 'since', 3)"
        )
        records.commit()
    assert revision_before(file) == HEAD
    assert "records.db.before-next" in caplog.text
    assert f"from {HEAD} to next" in caplog.text
    roll_back(engine, file, HEAD, LOG, longer)
    assert revision(engine) == HEAD
    engine.dispose()
    after = rows(file)
    assert after.pop("acquisition_outage")[:2] == before.pop("acquisition_outage")
    assert after == before  # and what came since is kept where the old schema has a place for it
    with closing(sqlite3.connect(file)) as records:
        assert records.execute("SELECT reason FROM acquisition_outage").fetchall()[-1] == ("since",)
    assert (tmp_path / "records.db.after-next").stat().st_mode & 0o777 == 0o600
    engine = open_records(file)
    migrate(engine, file, LOG)  # the old build finds its own
    engine.dispose()


@pytest.mark.real("sqlite")
def test_an_upgrade_that_dies_midway_changes_nothing(tmp_path: Path) -> None:
    file = old(tmp_path)
    engine = open_records(file)
    migrate(engine, file, LOG)
    before = rows(file)
    broken = _chain(tmp_path / "broken", "raise ZeroDivisionError")
    with pytest.raises(ZeroDivisionError):
        migrate(engine, file, LOG, broken)
    assert revision(engine) == HEAD
    with closing(sqlite3.connect(file)) as records:
        assert records.execute("SELECT count(*) FROM sqlite_master WHERE name = 'extra'").fetchone() == (0,)
    assert rows(file) == before
    engine.dispose()


def test_going_back_is_refused_where_it_leads_nowhere_or_something_lives(tmp_path: Path, longer: Chain) -> None:
    from isthmus.app.datadir import DataDir

    data = DataDir(tmp_path / "data")
    data.prepare()
    with pytest.raises(ConfigError, match="there are no records"):
        rollback(data.root)
    shutil.copy(old(tmp_path), data.records)
    engine = open_records(data.records)
    migrate(engine, data.records, LOG)
    engine.dispose()
    lock = data.lock("core")
    with pytest.raises(ConfigError, match="core already runs there"):
        rollback(data.root, "0001")
    lock.release()
    with pytest.raises(ConfigError, match=f"must be a revision older than {HEAD}"):
        rollback(data.root, HEAD)
    for copy in data.root.glob("records.db.before-*"):
        copy.unlink()
    with pytest.raises(ConfigError, match="no upgrade left a copy"):
        rollback(data.root)
    engine = open_records(data.records)
    migrate(engine, data.records, LOG, longer)
    with pytest.raises(ConfigError, match="newer Isthmus"):
        migrate(engine, data.records, LOG)
    engine.dispose()


@pytest.mark.mission("M4")
@pytest.mark.real("chdb")
async def test_a_record_of_an_older_schema_opens_with_its_rows_and_a_newer_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = StoreConfig(path=tmp_path / "history")
    batch = SampleBatch(
        np.array([7], np.int32), np.array([ManualClock().now_ns()]), np.array([1.5]), np.zeros(1, np.uint32)
    )
    historian = Historian(config, ManualClock())
    await historian.open()
    await historian.take([Arrived("edge-1", Frame(Lane.LIVE, 1, 1, 0, 1, (batch,)), 1)])
    await historian.close()
    monkeypatch.setattr(schema, "VERSION", schema.VERSION + 1)
    for _ in range(2):  # the upgrade, and a start after it
        historian = Historian(config, ManualClock(ManualClock().now_ns() + NS_PER_S))
        await historian.open()
        assert await historian.count() == 1
        await historian.close()
    monkeypatch.setattr(schema, "VERSION", schema.VERSION - 1)
    historian = Historian(config, ManualClock())
    with pytest.raises(ConfigError, match="newer Isthmus"):
        await historian.open()

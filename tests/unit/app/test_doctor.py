from __future__ import annotations

import json
import logging
import shutil
import socket
from pathlib import Path

import pytest

from isthmus.app import doctor
from isthmus.app.clockwatch import Kernel
from isthmus.app.datadir import DataDir
from isthmus.app.doctor import Check, examine
from isthmus.app.migrate import HEAD, migrate
from isthmus.app.records import open_records
from isthmus.bus.broker import configure, free_port


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    place = DataDir(tmp_path / "data")
    place.prepare()
    engine = open_records(place.records)
    migrate(engine, place.records, logging.getLogger("test"))
    engine.dispose()
    configure(place.bus, 4222, ["edge-1"], "here")
    return place


def found(data: DataDir, port: int | None = None) -> dict[str, Check]:
    return {one.what: one for one in examine(data, port or free_port())}


@pytest.mark.real("nats-server", "sqlite")
def test_a_sound_installation_has_nothing_wrong(data: DataDir) -> None:
    checks = found(data)
    assert [c for c in checks.values() if c.state == "fail"] == []
    assert checks["nats-server"].detail.startswith("2.15")
    assert checks["records"].detail == f"whole, revision {HEAD}"
    assert checks["core"].state == "warn"
    assert {"settings", "versions", "chdb", "data directory", "file modes", "port", "disk", "clock", "limits", "backup"} <= {*checks}  # fmt: skip


def test_what_is_wrong_is_named_with_what_to_do(data: DataDir, monkeypatch: pytest.MonkeyPatch) -> None:
    data.settings.write_text("[web]\nprot = 1\n")
    data.root.chmod(0o755)
    data.bus.passwords.chmod(0o644)
    (data.root / "format.json").write_text(json.dumps({"format": 99}))
    data.records.write_bytes(b"no database at all, sorry" * 100)
    monkeypatch.setenv("ISTHMUS_NATS_BIN", "/bin/true")
    monkeypatch.setattr(doctor, "kernel_clock", lambda: Kernel(False, 0, 16))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 2**20))  # type: ignore[attr-defined]  # the library's own type
    with socket.create_server(("127.0.0.1", 0)) as other:
        checks = found(data, other.getsockname()[1])
    failed = {c.what for c in checks.values() if c.state == "fail"}
    assert failed == {"settings", "data directory", "file modes", "records", "nats-server", "port", "disk"}
    assert all(c.advice for c in checks.values() if c.state != "ok")
    assert "passwords.json" in checks["file modes"].detail
    assert checks["clock"].state == "warn"


def test_a_directory_that_is_not_there_yet_is_no_failure(tmp_path: Path) -> None:
    checks = found(DataDir(tmp_path / "nothing"))
    assert checks["data directory"].state == "warn"
    assert not (tmp_path / "nothing").exists()
    assert [c for c in checks.values() if c.state == "fail"] == []

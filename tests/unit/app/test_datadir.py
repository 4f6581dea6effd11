from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from isthmus.app.datadir import FORMAT, DataDir
from isthmus.app.disk import DiskReserve
from isthmus.app.edge import next_epoch
from isthmus.values.errors import ConfigError


def test_a_newer_directory_is_refused_and_left_alone(tmp_path: Path) -> None:
    data = DataDir(tmp_path / "d")
    data.prepare()
    (data.root / "format.json").write_text(json.dumps({"format": FORMAT + 1}))
    before = sorted(p.name for p in data.root.rglob("*"))
    with pytest.raises(ConfigError, match="newer Isthmus"):
        data.prepare()
    assert sorted(p.name for p in data.root.rglob("*")) == before


def test_only_the_owner_may_look_inside(tmp_path: Path) -> None:
    data = DataDir(tmp_path / "d")
    data.prepare()
    assert stat.S_IMODE(data.root.stat().st_mode) == 0o700
    assert stat.S_IMODE((data.root / "format.json").stat().st_mode) == 0o600


def test_two_processes_never_share_a_directory(tmp_path: Path) -> None:
    data = DataDir(tmp_path / "d")
    data.prepare()
    lock = data.lock("core")
    code = f"from pathlib import Path; from isthmus.app.datadir import DataDir; DataDir(Path({str(data.root)!r})).lock('core')"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"core already runs there (process {os.getpid()})" in other.stderr
    lock.release()
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_a_socket_fits_its_name_wherever_the_directory_is(tmp_path: Path) -> None:
    assert DataDir(tmp_path / "d").socket.name == "core.sock"
    deep = DataDir(tmp_path / ("x" * 60) / ("y" * 60))
    assert len(os.fsencode(deep.socket)) < 104
    assert deep.socket != DataDir(tmp_path / ("x" * 60) / ("z" * 60)).socket


def test_epochs_grow_even_when_the_clock_is_set_back(tmp_path: Path) -> None:
    file = tmp_path / "epoch"
    assert next_epoch(file, 1000) == 1000
    assert next_epoch(file, 500) == 1001
    assert next_epoch(file, 2000) == 2000
    file.write_text("not a number")
    assert next_epoch(file, 3000) == 3000


def test_a_volume_below_its_reserve_is_full_until_there_is_room(tmp_path: Path) -> None:
    assert DiskReserve(tmp_path, 1).reason() == ""
    reason = DiskReserve(tmp_path, 2**62).reason()
    assert reason.startswith("disk is full:")
    assert "kept in reserve" in reason

"""Processes that stand by: real ones, and a real `isthmus up` whose parts are killed."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from isthmus.app import spare as module
from isthmus.app.datadir import DataDir
from isthmus.app.spare import Spare, code_state, stand_by
from isthmus.app.up import Child, Supervisor, core_answers
from isthmus.bench.system import System, environment

PATIENCE_S = 300


async def until(look, what: str):
    deadline = time.monotonic() + PATIENCE_S
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
        await asyncio.sleep(0.05)
    return found


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])


def words(data: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "isthmus", "edge", "--data", str(data), "--supervised", *more]


async def ready(spare: Spare) -> None:
    """Wait until it has loaded and stands by."""
    await until(lambda: _rests(psutil.Process(spare.pid)), "it stands by")


@pytest.mark.usefixtures("here")
async def test_a_spare_touches_nothing_and_ends_with_its_supervisor(tmp_path: Path):
    spare = await Spare.start(words(tmp_path / "data"))
    await ready(spare)
    process = psutil.Process(spare.pid)
    assert not (tmp_path / "data").exists()
    assert not process.net_connections("inet")
    assert not [f for f in process.open_files() if str(tmp_path) in f.path]
    assert process.children() == []
    spare._line.close()  # as the end of the supervisor would
    assert await spare._process.wait() == 0
    assert await spare.until_over()
    await spare.end()


@pytest.mark.usefixtures("here")
async def test_at_the_word_it_is_the_part(tmp_path: Path):
    spare = await Spare.start(words(tmp_path / "data"))
    await ready(spare)
    process = await spare.take()
    assert process is not None
    assert process.pid == spare.pid
    assert not await spare.until_over()
    assert await process.wait() == 2  # without a bus there is no address: the part itself says so
    assert (tmp_path / "data" / "logs").is_dir()


@pytest.mark.usefixtures("here")
async def test_one_that_still_loads_begins_when_it_has(tmp_path: Path):
    spare = await Spare.start(words(tmp_path / "data"))
    process = await spare.take()
    assert process is not None
    assert await process.wait() == 2
    assert (tmp_path / "data" / "logs").is_dir()


@pytest.mark.usefixtures("here")
async def test_one_of_older_code_is_replaced_and_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spare = await Spare.start(words(tmp_path / "data"))
    monkeypatch.setattr(module, "code_state", lambda: (1, 2, 3))
    assert not await spare.until_over()  # returns, so that the supervisor makes another
    assert await spare.take() is None
    assert not psutil.pid_exists(spare.pid)
    assert not (tmp_path / "data").exists()


def test_an_upgrade_is_seen_and_a_compiled_file_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    package = tmp_path / "isthmus"
    (package / "app").mkdir(parents=True)
    for file in (package / "__init__.py", package / "app" / "core.py"):
        file.touch()
    monkeypatch.setattr(module.isthmus, "__file__", str(package / "__init__.py"))
    before = code_state()
    (package / "app" / "core.pyc").touch()
    assert code_state() == before
    os.utime(package / "app" / "core.py", ns=(2**62, 2**62))
    changed = code_state()
    assert changed != before
    (package / "new.py").touch()
    assert code_state() not in (before, changed)


def test_nobody_waits_without_being_asked_to():
    loaded = []
    stand_by(lambda: loaded.append(1), lambda: [loaded.append(2)], waits=False)
    assert loaded == [1]


async def test_a_spare_that_dies_is_made_again_later_and_a_stop_leaves_none(tmp_path: Path, monkeypatch, caplog):
    monkeypatch.setattr("isthmus.app.up.SPARE_AFTER_S", 0.05)
    part = [
        sys.executable,
        "-c",
        "import sys; sys.stdin.read() if '--spare' in sys.argv else __import__('time').sleep(60)",
    ]

    async def works() -> None:
        """At once."""

    supervisor = Supervisor(logging.getLogger("test"), tmp_path / "pids.json", spares=True)
    child = Child("part", part, works=works)
    await supervisor.add(child)
    supervisor.provide()
    try:
        first = (await until(lambda: child.spare, "there is a spare")).pid
        known = json.loads((tmp_path / "processes.json").read_text())
        assert known["part-spare"]["pid"] == first
        psutil.Process(first).kill()
        second = await until(lambda: child.spare and child.spare.pid != first and child.spare.pid, "there is another")
        assert "there is no spare of part any more" in caplog.text
        assert set(json.loads((tmp_path / "pids.json").read_text())) == {"part"}
    finally:
        await supervisor.stop()
    assert not psutil.pid_exists(second)


@pytest.mark.mission("M82")
@pytest.mark.real("nats-server", "chdb")
async def test_a_killed_core_and_edge_are_followed_by_their_spares(tmp_path: Path):
    async with System(tmp_path / "data") as system:
        for part in ("core", "edge-1"):
            name = f"{part}-spare"
            waiting = await until(lambda name=name: system.spares().get(name), f"{part} has a spare")
            await until(lambda one=waiting: _rests(one), "it has loaded")
            system.processes()[part].kill()
            await until(lambda part=part, one=waiting: system.processes().get(part) == one, "the spare is the part")
            await core_answers(DataDir(system.folder).socket)
            await until(lambda name=name, one=waiting: system.spares().get(name, one) != one, f"{part} has another")
        shown = {p["name"]: p for p in system.get("system")["processes"]}
        assert {"core", "core-spare", "edge-1", "edge-1-spare"} <= shown.keys()
        assert shown["core"]["restarts"] == 1
        assert shown["core-spare"]["memory_bytes"] > 2**20
        everybody = [*system.processes().values(), *system.spares().values()]
        await system.stop()
        assert not [p for p in everybody if p.is_running()]
        assert "was killed" not in system.log()
        assert "Traceback" not in system.log()


def _rests(process: psutil.Process) -> bool:
    """It has used the processor, and does so no more."""
    before = process.cpu_times().user
    time.sleep(0.3)
    return 0.2 < before == process.cpu_times().user


@pytest.mark.real("nats-server", "chdb")
async def test_without_spares_a_killed_part_starts_anew(tmp_path: Path):
    system = System(tmp_path / "data")
    system.folder.mkdir()
    (system.folder / "isthmus.toml").write_text("[node]\nspare = false\n")
    async with system:
        before = system.processes()["edge-1"]
        before.kill()
        await until(lambda: system.processes().get("edge-1", before) != before, "it is started again")
        assert system.spares() == {}

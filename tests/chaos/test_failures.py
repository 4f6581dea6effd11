"""What goes wrong when people start, stop and kill things: a clear word, nothing damaged, nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from isthmus.app.datadir import FORMAT, DataDir
from isthmus.app.up import core_answers
from isthmus.bench.crash import compare, holes, read_stream, settled
from isthmus.bench.latency import tags
from isthmus.bench.load import TAGS, LoadServers, plant_yaml
from isthmus.bench.system import System, environment
from isthmus.bus.broker import BusAddress, command, configure, find_binary, free_port, wait_ready
from isthmus.bus.client import Bus

pytestmark = [pytest.mark.mission("M82"), pytest.mark.real("nats-server", "chdb"), pytest.mark.timeout(400)]


def isthmus(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "isthmus", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=environment() | variables,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_taken_port_is_named_before_anything_starts(tmp_path: Path):
    folder = tmp_path / "data"
    DataDir(folder).prepare()
    before = contents(folder)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = isthmus("up", "--data", str(folder), "--port", str(port))
    assert answer.returncode == 2
    assert str(port) in answer.stderr
    assert "taken by another program" in answer.stderr
    assert "Traceback" not in answer.stderr
    after = contents(folder)
    assert {k: v for k, v in after.items() if not k.endswith(".lock") and not k.startswith("logs/")} == before


def test_a_newer_data_directory_is_refused_unchanged(tmp_path: Path):
    folder = tmp_path / "data"
    DataDir(folder).prepare()
    (folder / "format.json").write_text(json.dumps({"format": FORMAT + 1}))
    before = contents(folder)
    answer = isthmus("up", "--data", str(folder), "--port", str(free_port()))
    assert answer.returncode == 2
    assert "newer Isthmus" in answer.stderr
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("binary", "said"), [("no-such-program", "does not run"), ("not-nats", "no build information")]
)
def test_a_missing_or_wrong_nats_server_is_named(tmp_path: Path, binary: str, said: str):
    program = tmp_path / "not-nats"
    program.write_text("#!/bin/sh\necho nats-server: v2.15.1\n")
    program.chmod(0o755)
    wanted = tmp_path / binary
    port = str(free_port())
    answer = isthmus("up", "--data", str(tmp_path / "data"), "--port", port, ISTHMUS_NATS_BIN=str(wanted))
    assert answer.returncode == 2
    assert str(wanted) in answer.stderr
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr


async def test_a_second_up_is_refused_and_the_first_goes_on(tmp_path: Path):
    async with System(tmp_path / "data") as system:
        before = {name: p.pid for name, p in system.processes().items()}
        port = str(free_port())
        answer = await asyncio.to_thread(isthmus, "up", "--data", str(system.folder), "--port", port)
        assert answer.returncode == 2
        assert "already runs there" in answer.stderr
        assert str(before["up"]) in answer.stderr
        assert {name: p.pid for name, p in system.processes().items()} == before
        assert system.call("GET", "site")["historian"]["state"] == "recording"


async def test_ctrl_c_leaves_nothing_running(tmp_path: Path):
    system = System(tmp_path / "data")
    async with system:
        family = system.processes()
        assert set(family) == {"up", "nats-server", "core", "edge-1"}
        await system.stop()
        assert not [name for name, p in family.items() if alive(p)]
        assert not listening(system.port)
        assert "was killed" not in system.log()  # all of them went by themselves, in time
        assert "Traceback" not in system.log()


async def test_ctrl_c_while_it_starts_leaves_nothing_running(tmp_path: Path, until):
    folder = tmp_path / "data"
    up = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "isthmus", "up", "--data", str(folder), "--port", str(free_port())),
        stderr=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        env=environment(),
    )
    pids = await until(lambda: json.loads((folder / "run" / "pids.json").read_text()), "children started")
    children = [psutil.Process(pid) for pid in pids.values()]
    up.send_signal(signal.SIGINT)
    assert await up.wait() == 0
    assert not [p for p in children if alive(p)]


async def test_a_killed_up_takes_its_children_along_and_starts_again(tmp_path: Path, until):
    async with LoadServers(1) as servers, System(tmp_path / "data") as system:
        await asyncio.to_thread(system.apply, plant_yaml(servers.ports, send_all=True))
        await tags(system, TAGS)
        family = system.processes()
        family["up"].kill()
        await system.stop()
        await system.start()  # at once, while the children of the first are still leaving
        await until(lambda: not [p for p in family.values() if alive(p)], "the first family is gone")
        await core_answers(DataDir(system.folder).socket)  # the core of the first may have answered until now
        assert set(system.processes()) == set(family)
        await tags(system, TAGS)
        await record_agrees(system)


@pytest.mark.real("modbus")
async def test_a_core_that_stood_still_catches_up_in_full(tmp_path: Path, until):
    async with LoadServers(2) as servers, System(tmp_path / "data") as system:
        await asyncio.to_thread(system.apply, plant_yaml(servers.ports, send_all=True))
        await tags(system, 2 * TAGS)
        core = system.processes()["core"]
        async with watcher(DataDir(system.folder)) as bus:
            core.suspend()
            try:
                await grow(bus, 12)
            finally:
                core.resume()
        await until(lambda: system.get("site")["edges"][0]["state"] == "running", "core hears the edge again")
        assert system.processes()["core"].pid == core.pid
        await record_agrees(system)


@pytest.mark.real("modbus")
@pytest.mark.mission("M63")
async def test_edge_and_bus_go_on_without_core_and_its_return_misses_nothing(tmp_path: Path, until):
    data = DataDir(tmp_path / "data")
    data.prepare()
    bus_port, port = free_port(), free_port()
    configure(data.bus, bus_port, ["edge-1"], "isthmus-drill")
    system = System(data.root, port)
    core_words = ("core", "--data", str(data.root), "--port", str(port))
    async with (
        LoadServers(2) as servers,
        part(*command(find_binary(), data.bus)),
        part(sys.executable, "-m", "isthmus", "edge", "--data", str(data.root)) as edge,
    ):
        await wait_ready(bus_port, 60)
        async with part(sys.executable, "-m", "isthmus", *core_words):
            await core_answers(data.socket)
            await asyncio.to_thread(system.apply, plant_yaml(servers.ports, send_all=True))
            await tags(system, 2 * TAGS)
            newest = (await asyncio.to_thread(system.get, "site"))["now"]
        async with watcher(data) as bus:
            await grow(bus, 12)  # while there is no core
        async with part(sys.executable, "-m", "isthmus", *core_words):
            await core_answers(data.socket)
            await until(lambda: newer(system, newest) == 2 * TAGS, "live values are new")
            psutil.Process(edge.pid).suspend()
            try:
                await settled(system)
                frames = await read_stream(data.root)
                assert holes(frames) == 0
                assert len({a.frame.epoch for a in frames}) == 1  # the edge never restarted
                assert await compare(system, frames, 20) == NOTHING_WRONG
                assert not (await asyncio.to_thread(system.get, "gaps?start=now-1h&end=now"))["gaps"]
            finally:
                psutil.Process(edge.pid).resume()


@pytest.mark.real("modbus")
@pytest.mark.mission("M47")
async def test_what_an_edge_had_to_drop_is_a_gap_for_whoever_asks(tmp_path: Path, until):
    folder = tmp_path / "data"
    DataDir(folder).prepare()
    (folder / "isthmus.toml").write_text("[node]\nbuffer_rows = 10000\n")
    async with LoadServers(2) as servers, System(folder) as system:
        await asyncio.to_thread(system.apply, plant_yaml(servers.ports, send_all=True))
        path = (await tags(system, 2 * TAGS))[0]
        bus = system.processes()["nats-server"]
        bus.suspend()
        try:
            await until(lambda: "outbox is full" in system.log(), "the edge has to drop samples")
        finally:
            bus.resume()
        gaps = await until(lambda: system.get("gaps?start=now-1h&end=now")["gaps"], "the hole is told")
        assert [g["edge"] for g in gaps] == ["edge-1"]
        start, end = gaps[0]["start"], gaps[0]["end"]
        assert start < end
        await until(lambda: newer(system, end) == 2 * TAGS, "values go on")
        raw = await asyncio.to_thread(system.get, f"history?tag={path}&start=now-1h&end=now&shape=raw")
        times = [row[raw["columns"].index("time")] for row in raw["rows"]]
        low, high = (np.datetime64(t.rstrip("Z"), "ms").astype(int) for t in (start, end))
        assert min(times) <= low + 1
        assert max(times) >= high
        assert [t for t in times if low + 1 < t < high] == []


NOTHING_WRONG = {"lost_samples": 0, "doubled_samples": 0, "strange_samples": 0}


def alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def newer(system: System, than: str) -> int:
    """How many of the load's tags have a value taken after a moment."""
    return sum(1 for v in system.get("tags/values?under=load")["values"] if v["time"] and v["time"] > than)


async def record_agrees(system: System) -> None:
    edge = system.processes()["edge-1"]
    edge.suspend()
    try:
        await settled(system)
        frames = await read_stream(system.folder)
        assert holes(frames) == 0
        assert await compare(system, frames, 20) == NOTHING_WRONG
    finally:
        edge.resume()


@contextlib.asynccontextmanager
async def watcher(data: DataDir) -> AsyncIterator[Bus]:
    bus = Bus(BusAddress.load(data.bus.address_file("core")), logging.getLogger("drill"))
    await bus.connect()
    try:
        yield bus
    finally:
        await bus.close()


async def grow(bus: Bus, frames: int, timeout_s: float = 90) -> None:
    """Wait until the stream holds that many frames more."""
    _, start, _ = await bus.stream_state()
    async with asyncio.timeout(timeout_s):
        while (await bus.stream_state())[1] < start + frames:
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def part(*words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """One process, which is asked to stop at the end."""
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, env=dict(os.environ)
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait_for(process.wait(), 60)

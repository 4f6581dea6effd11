"""Backup of a living Isthmus and restore, with the real bus, historian and records."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import shutil
import socket
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isthmus.acquisition.store import OutageLog
from isthmus.app import archive
from isthmus.app import backup as module
from isthmus.app.backup import make_backup, read_frames, verify_backup
from isthmus.app.ca import Authority
from isthmus.app.datadir import FORMAT, DataDir
from isthmus.app.disk import DiskReserve
from isthmus.app.migrate import migrate
from isthmus.app.records import open_records
from isthmus.app.restore import check_known, restore_backup
from isthmus.app.secrets import Secrets
from isthmus.app.snapshot import Snapshots
from isthmus.bench.load import LoadServers, plant_yaml
from isthmus.bench.system import System
from isthmus.bus import subjects
from isthmus.bus.broker import LocalBroker, write_private
from isthmus.bus.client import Bus
from isthmus.bus.reader import FrameReader
from isthmus.historian.service import Historian
from isthmus.historian.store import StoreConfig
from isthmus.ports.history import Format, HistoryQuery, Shape
from isthmus.values.clock import NS_PER_S, ManualClock
from isthmus.values.errors import ConfigError, Denied, Malformed, NotConnected, TryLater
from isthmus.values.frame import Frame, Lane, encode
from isthmus.values.sample import SampleBatch

LOG = logging.getLogger("test")
START = 1_700_000_000 * NS_PER_S
ROWS = 100


@pytest.fixture(autouse=True)
def cheap_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive.Encryptor.__init__, "__defaults__", (2,))


def frame(seq: int) -> Frame:
    time_ns = START + (seq * ROWS + np.arange(ROWS)) * NS_PER_S
    batch = SampleBatch(
        np.full(ROWS, 7, np.int32), time_ns.astype(np.int64), np.arange(ROWS) + seq / 10, np.zeros(ROWS, np.uint32)
    )
    return Frame(Lane.LIVE, 5, seq, START, 1, (batch,))


@dataclass
class Living:
    """As much of an Isthmus as a backup meets, without its processes."""

    data: DataDir
    bus: Bus
    historian: Historian
    snapshots: Snapshots
    reader: FrameReader

    async def publish(self, first: int, last: int) -> None:
        """Frames that the bus confirmed."""
        for seq in range(first, last + 1):
            ident = {"Nats-Msg-Id": f"edge-1-5-{seq}"}
            await self.bus.js.publish(subjects.frames("lyon", "edge-1", Lane.LIVE), encode(frame(seq)), headers=ident)

    async def record(self, count: int) -> None:
        """The historian takes so many of them, and acknowledges."""
        stream = self.reader.frames()
        taken = []
        while len(taken) < count:
            taken += await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]  # an async generator
        await self.historian.take(taken[:count])
        await self.reader.acknowledge(taken[count - 1].stream_seq)
        await self.bus.nc.flush()
        await self.reader.open()


@contextlib.asynccontextmanager
async def living(folder: Path) -> AsyncIterator[Living]:
    data = DataDir(folder)
    data.prepare()
    engine = open_records(data.records)
    migrate(engine, data.records, LOG)
    OutageLog(engine, lambda _: None)
    write_private(data.bus.folder / "server_name", "isthmus-here")
    write_private(data.edge("edge-1") / "epoch", "5")
    data.settings.write_text("[disk]\nreserve_mb = 1\n")
    historian = Historian(StoreConfig(path=data.history), ManualClock(START + 10**6 * NS_PER_S))
    await historian.open()
    async with LocalBroker(data.bus.folder) as broker:
        bus = Bus(broker.addresses["core"], LOG)
        await bus.connect()
        await bus.ensure_stream(data.root)
        reader = FrameReader(bus, "historian", LOG)
        await reader.open()
        snapshots = Snapshots(data, bus, historian, DiskReserve(data.root, 2**20), embedded=True, log=LOG)
        yield Living(data, bus, historian, snapshots, reader)
        await bus.close()
    await historian.close()
    engine.dispose()


@contextlib.asynccontextmanager
async def reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Living]:
    """The command reaches core without HTTP here; the whole way is in the test of a real system."""
    loop = asyncio.get_running_loop()
    async with living(tmp_path / "data") as one:

        def reach(_: Path, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
            if path == "site":
                return {"site": "lyon"}
            work: Any = (
                one.snapshots.hold(os.getpid()) if method == "POST" else one.snapshots.release(path.rpartition("/")[2])
            )
            return asyncio.run_coroutine_threadsafe(work, loop).result(20)

        monkeypatch.setattr(module, "call", reach)
        yield one


@pytest.fixture
async def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Living]:
    async with reached(tmp_path, monkeypatch) as one:
        yield one


def leftovers(folder: Path) -> list[Path]:
    return list(folder.glob(".new*"))


async def answers(folder: Path) -> dict[str, bytes]:
    """What the record says, byte by byte."""
    historian = Historian(StoreConfig(path=folder / "history"), ManualClock(START + 10**6 * NS_PER_S))
    await historian.open()
    try:
        return await _ask(historian)
    finally:
        await historian.close()


async def _ask(historian: Historian) -> dict[str, bytes]:
    found = {}
    for shape in (Shape.RAW, Shape.BOUNDED):
        for kind in Format:
            query = HistoryQuery((7,), START, START + 100_000 * NS_PER_S, shape, 50, format=kind)
            found[f"{shape} {kind}"] = (await historian.query(query)).body
    return found


async def catch_up(folder: Path) -> None:
    """What core does after a restore: take what the bus still holds."""
    data = DataDir(folder)
    historian = Historian(StoreConfig(path=data.history), ManualClock(START + 10**6 * NS_PER_S))
    await historian.open()
    async with LocalBroker(data.bus.folder) as broker:
        bus = Bus(broker.addresses["core"], LOG)
        await bus.connect()
        first, last, _ = await bus.stream_state()
        reader = FrameReader(bus, "historian", LOG)
        await reader.open()
        stream, seen = reader.frames(), first - 1
        while seen < last:
            arrived = await anext(stream)
            await historian.take(arrived)
            seen = arrived[-1].stream_seq
        await stream.aclose()  # type: ignore[attr-defined]  # an async generator
        await bus.close()
    await historian.close()


@pytest.mark.mission("M78")
@pytest.mark.real("nats-server", "chdb", "sqlite")
async def test_the_authority_is_in_a_backup_and_the_key_of_the_secrets_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reached(tmp_path, monkeypatch) as here:
        Secrets.of(here.data.root).set("door", "open sesame")
        root = Authority(here.data.tls, ManualClock(START)).root()
        await asyncio.to_thread(make_backup, here.data, tmp_path / "plain.isb")
        await asyncio.to_thread(make_backup, here.data, tmp_path / "whole.isb", b"pass", with_key=True)
        with pytest.raises(ConfigError, match=r"with-key: .* encrypted backup only"):
            await asyncio.to_thread(make_backup, here.data, tmp_path / "no.isb", with_key=True)
    assert b"open sesame" not in (tmp_path / "plain.isb").read_bytes()
    without, whole = DataDir(tmp_path / "without"), DataDir(tmp_path / "whole")
    await asyncio.to_thread(restore_backup, tmp_path / "plain.isb", without)
    await asyncio.to_thread(restore_backup, tmp_path / "whole.isb", whole, b"pass")
    assert Authority(without.tls, ManualClock(START)).root() == root
    with pytest.raises(ConfigError, match=r"secrets\.key: the key of the secrets is not there"):
        Secrets.of(without.root).reveal("secret:door")
    assert Secrets.of(whole.root).reveal("secret:door") == "open sesame"


@pytest.mark.mission("M4")
@pytest.mark.real("nats-server", "chdb", "sqlite")
async def test_what_the_bus_confirmed_and_nobody_stored_yet_is_in_the_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reached(tmp_path, monkeypatch) as here:
        await here.publish(1, 10)
        await here.record(6)
        made = await asyncio.to_thread(make_backup, here.data, tmp_path / "b.isb")
        assert (made.rows, made.frames, made.verified) == (600, 4, True)
        await here.publish(11, 12)
        await here.record(6)
        whole = await _ask(here.historian)
    restored = await asyncio.to_thread(restore_backup, tmp_path / "b.isb", DataDir(tmp_path / "new"))
    assert (restored.rows, restored.frames) == (600, 4)
    assert (tmp_path / "new" / "edges" / "edge-1" / "epoch").read_text() == "5"
    assert (tmp_path / "new" / "bus" / "passwords.json").read_bytes() == here.data.bus.passwords.read_bytes()
    assert leftovers(tmp_path) == []
    await catch_up(tmp_path / "new")
    raw = json.loads((await answers(tmp_path / "new"))["raw json"])
    assert len(raw) == 1000
    assert json.loads(whole["raw json"])[:1000] == raw
    assert await gaps(tmp_path / "new") == []


async def gaps(folder: Path) -> list[Any]:
    historian = Historian(StoreConfig(path=folder / "history"), ManualClock(START))
    await historian.open()
    try:
        return list(await historian.gaps((), 0, 2**62))
    finally:
        await historian.close()


@pytest.mark.mission("M4")
@pytest.mark.real("nats-server", "chdb")
async def test_answers_after_a_restore_are_equal_byte_by_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = b"correct horse battery"
    async with reached(tmp_path, monkeypatch) as here:
        await here.publish(1, 20)
        await here.record(20)
        await here.historian.roll()
        before = await _ask(here.historian)
        made = await asyncio.to_thread(make_backup, here.data, tmp_path / "b.isb", key)
        assert made.encrypted
        assert not (here.data.history / "shadow").exists()
    with pytest.raises(Malformed, match="passphrase is wrong"):
        await asyncio.to_thread(restore_backup, made.file, DataDir(tmp_path / "new"), b"wrong horse battery")
    assert not (tmp_path / "new").exists()
    await asyncio.to_thread(restore_backup, made.file, DataDir(tmp_path / "new"), key)
    assert await answers(tmp_path / "new") == before


@pytest.mark.real("nats-server", "chdb")
async def test_recording_goes_on_while_a_snapshot_is_held_and_only_one_is(here: Living) -> None:
    await here.publish(1, 2)
    await here.record(2)
    held = await here.snapshots.hold(os.getpid())
    with pytest.raises(Denied, match="makes a backup already"):
        await here.snapshots.hold(os.getpid())
    await here.publish(3, 4)
    await here.record(2)
    assert held["bus"] == {"first": 3, "last": 2}
    assert {t["name"]: t["rows"] for t in held["historian"]["tables"]}["sample"] == 200
    here.snapshots._owner = 2**22 - 1  # a process that is gone
    await here.snapshots.watch()
    assert (await here.snapshots.hold(os.getpid()))["bus"] == {"first": 5, "last": 4}


@pytest.mark.mission("M4")
@pytest.mark.real("nats-server", "chdb")
async def test_a_full_disk_leaves_nothing_behind_and_harms_nobody(
    here: Living, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await here.publish(1, 3)
    await here.record(3)
    place = tmp_path / "backups"
    place.mkdir()

    def full(self: Any, block: bytes) -> None:
        self._file.write(block)
        if self._file.tell() > 4000:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(module._Careful, "write", full)
        with pytest.raises(TryLater, match="no room for the backup"):
            await asyncio.to_thread(make_backup, here.data, place)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 2**20))  # type: ignore[attr-defined]  # the library's own type
        with pytest.raises(TryLater, match=r"reserve"):
            await asyncio.to_thread(make_backup, here.data, place)
    assert list(place.iterdir()) == []
    assert not (here.data.history / "shadow").exists()
    here.snapshots._reserve._looked_at = 0.0
    await here.publish(4, 4)
    await here.record(1)
    assert (await asyncio.to_thread(make_backup, here.data, place)).rows == 400


@pytest.mark.real("nats-server", "chdb")
async def test_a_folder_keeps_as_many_as_wished_and_nothing_is_overwritten(here: Living, tmp_path: Path) -> None:
    place = tmp_path / "backups"
    place.mkdir()
    for day in ("20200101", "20200102", "20200103"):
        (place / f"isthmus-lyon-{day}T000000Z.isb").write_bytes(b"old")
    made = await asyncio.to_thread(make_backup, here.data, place, keep=2)
    assert sorted(p.name for p in place.iterdir()) == ["isthmus-lyon-20200103T000000Z.isb", made.file.name]
    with pytest.raises(ConfigError, match="never overwrites"):
        await asyncio.to_thread(make_backup, here.data, made.file)
    assert made.file.stat().st_mode & 0o777 == 0o600


@pytest.mark.mission("M4")
@pytest.mark.real("nats-server", "chdb")
async def test_a_restore_over_something_living_or_lying_is_refused(here: Living, tmp_path: Path) -> None:
    made = await asyncio.to_thread(make_backup, here.data, tmp_path / "b.isb")
    lock = here.data.lock("core")
    with pytest.raises(ConfigError, match=rf"an Isthmus lives there \(core, process {os.getpid()}\)"):
        restore_backup(made.file, here.data)
    lock.release()
    with pytest.raises(ConfigError, match="is not empty"):
        restore_backup(made.file, here.data)
    whole = made.file.read_bytes()
    made.file.write_bytes(whole[: len(whole) // 2])
    for refuse in (
        lambda: restore_backup(made.file, DataDir(tmp_path / "new")),
        lambda: verify_backup(made.file, None),
    ):
        with pytest.raises(Malformed, match="cut off or was altered"):
            refuse()
    assert not (tmp_path / "new").exists()
    assert leftovers(tmp_path) == []


def test_a_backup_of_a_newer_build_is_refused() -> None:
    about = {"version": "9.0", "format": FORMAT, "records": {"revision": "9999"}, "historian": {"schema": 99}}
    with pytest.raises(ConfigError, match=r"newer Isthmus \(9.0: records of revision 9999, historian schema 99\)"):
        check_known(about)
    with pytest.raises(Malformed):
        check_known({})


def test_without_a_running_core_there_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(NotConnected, match="no Isthmus runs"):
        make_backup(DataDir(tmp_path / "data"), tmp_path / "b.isb")
    with pytest.raises(Malformed):
        list(read_frames(b"\x01\0\x01\0\xff\0\0\0ab"))


@pytest.mark.mission("M4")
@pytest.mark.real("nats-server", "chdb", "uvicorn")
async def test_a_whole_isthmus_is_backed_up_while_it_runs_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the commands themselves."""
    from isthmus.cli import backup as commands

    monkeypatch.setattr(os, "nice", lambda _: 0)
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.setblocking(False)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

    async with LoadServers(1) as servers:
        async with System(tmp_path / "data") as system:
            await asyncio.to_thread(system.apply, plant_yaml(servers.ports, send_all=True))
            paths = [t["path"] for t in system.call("GET", "tags?limit=5&under=load")["tags"]]
            question = "&".join(f"tag={p}" for p in paths)
            while len(system.call("GET", f"history?{question}&start=now-1h&shape=raw")["rows"]) < 15:
                await asyncio.sleep(0.2)
            system.token("admin")
            assert manager.recv(200) == f"READY=1\nSTATUS=serves port {system.port}".encode()
            end = system.call("GET", "site")["now"]
            await asyncio.to_thread(commands.backup, f"{tmp_path}/b.isb", None, system.folder, None, 0, True, True)
            until = f"history?{question}&start=2020-01-01&end={end}&shape=raw"
            while system.call("GET", "site")["historian"]["lag_s"] > 0:
                await asyncio.sleep(0.05)
            before = [await asyncio.to_thread(ask, system, until, kind) for kind in KINDS]
            others = [await asyncio.to_thread(ask, system, path) for path in ("plant", "tags", "assets", "users")]
            state = system.call("GET", "system")["backups"]
            assert (state["state"], state["kept"][0]["verified"]) == ("ok", True)
            with pytest.raises(ConfigError, match="lives there"):
                commands.restore(tmp_path / "b.isb", system.folder)
        assert manager.recv(200) == b"STOPPING=1"
        manager.close()
        logs = system.folder / "logs"
        assert {"up.log", "core.log", "edge-1.log"} >= {p.name for p in logs.iterdir()} > set()
        assert "plant version 1 applied" in (logs / "core.log").read_text()
        await asyncio.to_thread(commands.restore, tmp_path / "b.isb", tmp_path / "new", None, True)
        async with System(tmp_path / "new") as again:
            again._token = system.token("admin")  # tokens are restored, too
            while again.call("GET", "site")["historian"]["lag_s"] > 0:
                await asyncio.sleep(0.05)
            assert [await asyncio.to_thread(ask, again, until, kind) for kind in KINDS] == before
            assert [
                await asyncio.to_thread(ask, again, path) for path in ("plant", "tags", "assets", "users")
            ] == others
            assert len(before[1]) > 300


KINDS = ("application/json", "text/csv", "application/vnd.apache.arrow.stream")


def ask(system: System, path: str, accept: str = "application/json") -> bytes:
    """The very bytes of an answer, over HTTP."""
    headers = {"Authorization": f"Bearer {system.token('admin')}", "Accept": accept}
    question = urllib.request.Request(f"http://127.0.0.1:{system.port}/api/v1/{path}", headers=headers)
    with urllib.request.urlopen(question, timeout=30) as answer:
        return answer.read()

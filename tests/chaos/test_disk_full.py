"""A full disk: a clear state, reading goes on, nothing crashes, and it resumes by itself without a hole in the record."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from urllib.parse import urlencode

import psutil
import pytest

from isthmus.bench.crash import compare, holes, read_stream, settled
from isthmus.bench.latency import tags
from isthmus.bench.load import TAGS, LoadServers, plant_yaml
from isthmus.bench.system import System

pytestmark = [pytest.mark.mission("M82"), pytest.mark.real("nats-server", "chdb", "modbus")]


def states(system: System) -> tuple[str, str]:
    site = system.get("site")
    return site["historian"]["state"], site["edges"][0]["state"]


def screens(system: System) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{system.port}/", timeout=10) as answer:
            answer.read()
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


async def free(volume, system: System, until) -> None:
    """Give the space back and wait for the bus to have started anew, as whoever asks it meanwhile is cut off."""
    before = pids(system)["nats-server"]
    volume.release()
    await until(lambda: pids(system).get("nats-server", before) != before, "the bus starts anew")


def pids(system: System) -> dict[str, int]:
    return {name: process.pid for name, process in system.processes().items()}


async def reads_go_on(system: System, path: str) -> None:
    query = urlencode({"tag": path, "start": "now-10m", "end": "now", "shape": "raw"})
    assert (await asyncio.to_thread(system.get, f"history?{query}"))["rows"]
    assert (await asyncio.to_thread(system.get, "tags/values?under=load&limit=5"))["values"]
    assert await asyncio.to_thread(screens, system) in (200, 503)  # 503 where the screens are not built


async def record_agrees(system: System) -> None:
    """The edge pauses, then the record is held against the stream."""
    edge = system.processes()["edge-1"]
    edge.suspend()
    try:
        await settled(system)
        frames = await read_stream(system.folder)
        assert holes(frames) == 0
        assert await compare(system, frames, 20) == {"lost_samples": 0, "doubled_samples": 0, "strange_samples": 0}
    finally:
        edge.resume()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("left_mb", [4, 0], ids=["reserve touched", "not a byte left"])
async def test_full_disk_is_said_and_survived(volume, until, left_mb):
    folder = volume.folder / "data"
    folder.mkdir()
    (folder / "isthmus.toml").write_text(f"[disk]\nreserve_mb = {volume.reserve_mb}\n")
    async with LoadServers(1) as servers, System(folder) as system:
        await asyncio.to_thread(system.apply, plant_yaml(servers.ports, send_all=True))
        (path, *_) = await tags(system, TAGS)
        await until(lambda: system.get("site")["historian"]["rows"] > TAGS, "recording")
        before = pids(system)

        volume.fill(left_mb)
        said = await until(
            lambda: all("disk is full" in s for s in states(system)) and states(system), "full disk said"
        )
        assert "free some space" in said[0]
        rows = (await asyncio.to_thread(system.get, "site"))["historian"]["rows"]
        waiting = await until(lambda: system.get("site")["edges"][0]["queued"] > 2 * TAGS, "edge buffers")
        assert waiting
        await reads_go_on(system, path)
        assert pids(system) == before  # nobody died
        assert (await asyncio.to_thread(system.get, "site"))["historian"]["rows"] - rows < 2 * TAGS  # one group at most

        await free(volume, system, until)
        await until(lambda: states(system) == ("recording", "running"), "resumes by itself")
        await until(lambda: system.get("site")["edges"][0]["queued"] < TAGS, "what waited has left")
        await until(lambda: system.get("site")["historian"]["rows"] > rows + 3 * TAGS, "records again")
        assert (await asyncio.to_thread(system.get, "site"))["edges"][0]["dropped"] == 0
        del before["nats-server"]  # having met the end of the disk it refuses its stream for good, until it starts anew
        assert pids(system).items() >= before.items()
        await record_agrees(system)


@pytest.mark.timeout(400)
async def test_core_and_bus_killed_on_a_full_disk_come_back_and_read(volume, until):
    folder = volume.folder / "data"
    folder.mkdir()
    (folder / "isthmus.toml").write_text(f"[disk]\nreserve_mb = {volume.reserve_mb}\n")
    async with LoadServers(1) as servers, System(folder) as system:
        await asyncio.to_thread(system.apply, plant_yaml(servers.ports, send_all=True))
        (path, *_) = await tags(system, TAGS)
        await until(lambda: system.get("site")["historian"]["rows"] > TAGS, "recording")
        volume.fill()
        await until(lambda: all("disk is full" in s for s in states(system)), "full disk said")
        for victim in ("core", "nats-server"):
            process: psutil.Process = system.processes()[victim]
            process.kill()
            await until(lambda v=victim, p=process.pid: pids(system).get(v, p) != p, f"{victim} started again")
        await until(lambda: all("disk is full" in s for s in states(system)), "still said")
        await reads_go_on(system, path)
        await free(volume, system, until)
        await until(lambda: states(system) == ("recording", "running"), "resumes by itself")
        await until(lambda: system.get("site")["edges"][0]["queued"] < TAGS, "what waited has left")
        await record_agrees(system)

"""kill -9 of edge, core, nats-server and all together, in random order, under 10,000 samples a second.

What counts as acknowledged is what nats-server confirmed, so the truth is the stream itself: within an epoch the numbers of
frames must have no hole (a confirmed frame that is missing would leave one), and the record, asked over the API, must hold
every sample of the stream exactly once and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import psutil
import pyarrow as pa
import uvloop

from isthmus.bench.latency import tags
from isthmus.bench.load import TAGS, LoadServers, plant_yaml
from isthmus.bench.system import System
from isthmus.bus import subjects
from isthmus.bus.broker import BrokerFiles, BusAddress
from isthmus.bus.client import Bus
from isthmus.bus.reader import FrameReader
from isthmus.ports.frames import Arrived
from isthmus.values.frame import Lane
from isthmus.values.sample import ValueType

BUDGET: dict[str, tuple[str, float]] = {
    "lost_samples": ("<=", 0.0),
    "doubled_samples": ("<=", 0.0),
    "strange_samples": ("<=", 0.0),
    "back_max_s": ("<=", 5.0),
}
SERVERS = 10
VICTIMS = ("edge-1", "core", "nats-server", "all")


async def _kill(system: System, victim: str) -> None:
    """Kill it, and wait for nothing: everything at once is on its way again when this returns."""
    if victim == "all":
        await system.kill_all()
        await system.begin()
        return
    process = system.processes().get(victim)
    if process is not None:
        with contextlib.suppress(psutil.Error):
            process.kill()


async def _back(system: System, after_ns: int, path: str, timeout_s: float = 180) -> None:
    """Wait until a sample taken after this moment is in the record, as the API tells it."""
    deadline = time.monotonic() + timeout_s
    start = np.datetime64(after_ns, "ns")
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            query = urlencode({"tag": path, "start": f"{start}Z", "end": "now", "shape": "raw"})
            if (await asyncio.to_thread(system.get, f"history?{query}", "application/json", 5))["rows"]:
                return
        await asyncio.sleep(0.1)
    raise TimeoutError(f"nothing newer was recorded within {timeout_s:g} s: {system.log()[-3000:]}")


async def cycles(system: System, path: str, victims: list[str], pause_s: float) -> tuple[list[float], list[float]]:
    """Kill them one after the other; seconds from each kill until new samples are recorded again, and until every room is open."""
    took, opened = [], []
    random = np.random.default_rng(11)
    for victim in victims:
        await asyncio.sleep(pause_s * random.random())
        at, at_ns = time.monotonic(), time.time_ns()
        await _kill(system, victim)
        await _back(system, at_ns, path)
        took.append(time.monotonic() - at)
        await system.ready()
        opened.append(time.monotonic() - at)
        if took[-1] > BUDGET["back_max_s"][1]:
            _tell_slow(system, victim, took[-1])
    return took, opened


def _tell_slow(system: System, victim: str, took_s: float) -> None:
    """What the system said meanwhile, for whoever wants to know why it took so long."""
    lines = system.log().splitlines()[-40:]
    print(f"{victim}: back after {took_s:.1f} s, load {os.getloadavg()[0]:.1f}", *lines, sep="\n  ", file=sys.stderr)


async def read_stream(folder: Path) -> list[Arrived]:
    """Every frame that the bus has confirmed."""
    bus = Bus(BusAddress.load(BrokerFiles(folder / "bus").address_file("core")), logging.getLogger("bench"))
    await bus.connect()
    try:
        _, last, _ = await bus.stream_state()
        reader = FrameReader(bus, "verify", logging.getLogger("bench"))
        await reader.open()
        found: list[Arrived] = []
        incoming = reader.frames()
        async for arrived in incoming:
            found += [a for a in arrived if a.stream_seq <= last]
            if arrived[-1].stream_seq >= last:
                break
        await incoming.aclose()  # type: ignore[attr-defined]  # an async generator
        return found
    finally:
        await bus.close()


def holes(frames: list[Arrived]) -> int:
    """Frames whose successor is there while they are not: confirmed and lost, or dropped by the edge and confessed."""
    seen: dict[tuple[str, Lane, int], list[int]] = {}
    for a in frames:
        seen.setdefault((a.edge, a.frame.lane, a.frame.epoch), []).append(a.frame.seq)
    return sum(max(seqs) - len(set(seqs)) for seqs in seen.values())


def truth(frames: list[Arrived], ids: set[int]) -> dict[int, dict[int, float]]:
    """By tag id the samples of the stream: time in ns to value; the last one wins, as in the record."""
    found: dict[int, dict[int, float]] = {i: {} for i in ids}
    for arrived in frames:
        for batch in arrived.frame.batches:
            if batch.type is ValueType.TEXT:
                continue
            for i, t, v in zip(batch.id.tolist(), batch.time_ns.tolist(), batch.value.tolist(), strict=True):
                if i in found:
                    found[i][t] = v
    return found


async def compare(system: System, frames: list[Arrived], sample: int) -> dict[str, float]:
    """Hold the record against the stream for every ``sample``-th tag of the load."""
    known = (await asyncio.to_thread(system.get, "tags?under=load&limit=50000"))["tags"][::sample]
    expected = truth(frames, {tag["id"] for tag in known})
    lost = doubled = strange = 0
    for start in range(0, len(known), 100):
        part = known[start : start + 100]
        query = urlencode(
            {"tag": [t["path"] for t in part], "start": "now-1d", "end": "now", "shape": "raw"}, doseq=True
        )
        body = await asyncio.to_thread(system.get, f"history?{query}", "application/vnd.apache.arrow.stream", 120)
        table = pa.ipc.open_stream(io.BytesIO(body)).read_all()
        rows_of: dict[int, list[tuple[int, float]]] = {}
        for tag, at, value in zip(
            table.column("tag").to_pylist(),
            _times_ns(table.column("time")),
            table.column("value").to_pylist(),
            strict=True,
        ):
            rows_of.setdefault(_id(tag, part), []).append((at, value))
        for tag in part:
            rows, wanted = rows_of.get(tag["id"], []), expected[tag["id"]]
            times = [at for at, _ in rows]
            doubled += len(times) - len(set(times))
            lost += len(wanted.keys() - set(times))
            strange += len(set(times) - wanted.keys())
            strange += sum(1 for at, v in rows if at in wanted and v is not None and float(v) != float(wanted[at]))
    return {"lost_samples": lost, "doubled_samples": doubled, "strange_samples": strange}


def _id(tag: Any, part: list[dict[str, Any]]) -> int:
    """The tag's id, whether the answer numbers tags by their place in the question or by id."""
    return int(part[int(tag)]["id"])


def _times_ns(column: pa.ChunkedArray) -> list[int]:
    return [int(t) for t in column.cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_pylist()]


async def measure(kills: int, pause_s: float, sample: int) -> dict[str, float]:
    """The whole drill."""
    random = np.random.default_rng(5)
    victims = [*VICTIMS, *random.choice(VICTIMS, max(0, kills - len(VICTIMS)))][:kills]
    random.shuffle(victims)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        async with LoadServers(SERVERS) as servers, System(folder) as system:
            await asyncio.to_thread(system.apply, plant_yaml(servers.ports, send_all=True))
            paths = await tags(system, SERVERS * TAGS)
            took, opened = await cycles(system, paths[0], [str(v) for v in victims], pause_s)
            await asyncio.sleep(2)
            edge = system.processes()["edge-1"]
            edge.suspend()  # nothing new arrives while the two are compared
            await settled(system)
            frames = await read_stream(folder)
            figures = await compare(system, frames, sample)
            edge.resume()
            figures |= {
                "kills": float(kills),
                "stream_samples": float(sum(a.frame.rows for a in frames)),
                "holes_frames": float(holes(frames)),
                "back_p50_s": float(np.percentile(took, 50)),
                "back_max_s": max(took),
                "open_max_s": max(opened),
                "stop_s": await system.stop(),
            }
            figures |= {
                f"back_max_{victim.replace('-', '_')}_s": max(
                    t for t, v in zip(took, victims, strict=True) if v == victim
                )
                for victim in sorted(set(victims))
            }
            figures["lost_samples"] += figures["holes_frames"]
    return figures


async def settled(system: System, timeout_s: float = 180) -> None:
    """Wait until the record has caught up with the bus: with what is there now, and then with all that core knows of."""
    deadline = time.monotonic() + timeout_s
    await _caught_up(system.folder, deadline)
    calm = 0
    while calm < 4:
        lag = (await asyncio.to_thread(system.get, "site"))["historian"]["lag_s"]
        calm = calm + 1 if lag == 0 else 0
        if time.monotonic() > deadline:
            raise TimeoutError(f"the record is still {lag} s behind")
        await asyncio.sleep(0.5)


async def _caught_up(folder: Path, deadline: float) -> None:
    """Until the historian has acknowledged what is on the bus now; core itself may not have seen the last of it yet."""
    bus = Bus(BusAddress.load(BrokerFiles(folder / "bus").address_file("core")), logging.getLogger("bench"))
    await bus.connect()
    try:
        _, last, _ = await bus.stream_state()
        while True:
            info = await bus.js.consumer_info(subjects.FRAME_STREAM, "historian")
            if (info.ack_floor.stream_seq if info.ack_floor else 0) >= last:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"the record has not taken the frames up to {last}")
            await asyncio.sleep(0.1)
    finally:
        await bus.close()


def run(*, quick: bool) -> dict[str, Any]:
    """100 kills, or 4."""
    figures = uvloop.run(measure(4, 1.0, 20) if quick else measure(100, 4.0, 4))
    result: dict[str, Any] = {"figures": figures, "budget": BUDGET}
    if quick:
        result["shortened"] = "4 kills instead of 100, every 20th tag compared instead of every 4th"
    return result

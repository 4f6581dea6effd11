"""Production over the real bus and the real record: a stop is seen as it comes, and what was killed goes on where it was."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from isthmus.acquisition.model import Heartbeats
from isthmus.app.production import ProductionPump, SampleRecord, heard_until
from isthmus.app.pumps import HistorianPump
from isthmus.app.records import open_records
from isthmus.bus import subjects
from isthmus.bus.broker import LocalBroker, edge_user
from isthmus.bus.client import Bus
from isthmus.historian.service import Historian
from isthmus.historian.store import StoreConfig
from isthmus.namespace.compiled import make_plant
from isthmus.namespace.model import Machine, Tag
from isthmus.production.calendar import Calendars
from isthmus.production.model import StateClass
from isthmus.production.planner import CalendarPlanner
from isthmus.production.service import Production
from isthmus.production.store import metadata
from isthmus.values.clock import NS_PER_S, SystemClock
from isthmus.values.frame import Frame, Lane, encode
from isthmus.values.messages.historian import GapFound, Restated
from isthmus.values.sample import SampleBatch, ValueType

LOG = logging.getLogger("test")
PLANT = make_plant(
    version=1, enterprise="acme", site="lyon", timezone="UTC", edges=("edge-1",),
    tags=tuple(
        Tag(i, f"line/m/{name}", "line/m", name, kind, ValueType.INT, edge="edge-1", states={1: "Run", 2: "Stop"} if i == 1 else None)
        for i, name, kind in ((1, "state", "state"), (2, "good", "counter"))
    ),
    machines=(Machine("line/m", state=1, classes={1: "running", 2: "stopped"}, good=2),),
)  # fmt: skip


class Part:
    """A core of bus, record and production."""

    def __init__(self, folder: Path, bus: Bus) -> None:
        clock = SystemClock()
        self.engine = open_records(folder / "records.db")
        metadata.create_all(self.engine)
        self.historian = Historian(StoreConfig(path=folder / "history"), clock)
        self.recording = HistorianPump(bus, self.historian, lambda: "", LOG)
        record = SampleRecord(self.historian, lambda: self.recording.committed_seq)
        calendars = Calendars(PLANT)
        self.production = Production(
            self.engine, clock, record, lambda: PLANT, CalendarPlanner(lambda: calendars), LOG,
            heard=heard_until(Heartbeats(), clock),
        )  # fmt: skip
        self.pump = ProductionPump(bus, self.production, record, LOG)

    @contextlib.asynccontextmanager
    async def runs(self) -> AsyncIterator[Production]:
        await self.historian.open()
        await self.historian.describe(PLANT.tags)
        tasks = [asyncio.create_task(self.recording.run()), asyncio.create_task(self.pump.run())]
        try:
            async with asyncio.timeout(60):
                while not self.pump.begun:
                    await asyncio.sleep(0.02)
            yield self.production
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.historian.close()
            self.engine.dispose()


def frame(seq: int, at_ns: int, state: int, good: int, lane: Lane = Lane.LIVE) -> bytes:
    ids, times = np.array([1, 2], np.int32), np.full(2, at_ns // 1_000_000 * 1_000_000)
    batch = SampleBatch(ids, times, np.array([state, good], np.int64), np.zeros(2, np.uint32))
    return encode(Frame(lane, 1, seq, at_ns, 1, (batch,)))


async def until(production: Production, wanted: StateClass, good: float) -> None:
    async with asyncio.timeout(60):
        while True:
            version = production.version
            found = production.machines()[0]
            if (found.state_class, found.good) == (wanted, good):
                return
            await production.wait(version, 5)


@pytest.mark.leaks("chdb keeps two pipes of its own until the process ends")
@pytest.mark.mission("M32", "M50", "M63")
@pytest.mark.real("nats-server", "chdb", "sqlite")
async def test_a_stop_comes_through_and_a_kill_changes_no_figure(tmp_path: Path) -> None:
    async with LocalBroker(tmp_path / "bus") as broker:
        core, edge = Bus(broker.addresses["core"], LOG), Bus(broker.addresses[edge_user("edge-1")], LOG)
        await core.connect()
        await core.ensure_stream(tmp_path)
        await edge.connect()
        live = subjects.frames("lyon", "edge-1", Lane.LIVE)
        now = time.time_ns()
        try:
            async with Part(tmp_path, core).runs() as production:
                await edge.js.publish(live, frame(1, now - 3 * NS_PER_S, 1, 10))
                await edge.js.publish(live, frame(2, now - 2 * NS_PER_S, 1, 25))
                await until(production, StateClass.RUNNING, 15)
                await edge.js.publish(live, frame(3, now - NS_PER_S, 2, 30))
                await until(production, StateClass.STOPPED, 20)
            await edge.js.publish(live, frame(4, now, 1, 31))  # while nobody hears
            async with Part(tmp_path, core).runs() as production:
                await until(production, StateClass.RUNNING, 21)
                told = await production.intervals("line/m", now - 3 * NS_PER_S, time.time_ns())
                kinds = [i.state_class for i in told if i.state_class is not StateClass.UNKNOWN]
                assert kinds == [StateClass.RUNNING, StateClass.STOPPED, StateClass.RUNNING]
                assert [i.state for i in told][-2:] == [2, 1]
        finally:
            await edge.close()
            await core.close()


@pytest.mark.leaks("chdb keeps two pipes of its own until the process ends")
@pytest.mark.real("chdb")
async def test_the_record_hands_over_whole_numbers_floats_and_words(tmp_path: Path) -> None:
    tags = (
        *PLANT.tags,
        Tag(3, "line/m/product", "line/m", "product", "text", ValueType.TEXT),
        Tag(4, "line/m/kwh", "line/m", "kwh", "counter", ValueType.FLOAT),
    )
    historian = Historian(StoreConfig(path=tmp_path / "history"), SystemClock())
    await historian.open()
    try:
        await historian.describe(tags)
        at = 1_700_000_000 * NS_PER_S + np.arange(3, dtype=np.int64) * NS_PER_S
        none = np.zeros(3, np.uint32)
        batches = (
            SampleBatch(np.full(3, 1, np.int32), at, np.array([1, 2, 1]), none),
            SampleBatch(
                np.full(3, 4, np.int32), at, np.array([0.1, 0.25, 1e300]), np.array([0, 0, 0x80000000], np.uint32)
            ),
            SampleBatch(np.full(3, 3, np.int32), at, np.array([0, 1, 0], np.int32), none, ("cola", "lemon")),
        )
        assert await historian.take_import("k", _position(), batches)
        record = SampleRecord(historian, lambda: 0)
        found = await record.samples([1, 2, 3, 4], int(at[0]), int(at[1]))
        assert set(found) == {1, 3, 4}
        assert (found[1].value.dtype, found[1].value.tolist()) == (np.int64, [1, 2])
        assert found[3].value.tolist() == ["cola", "lemon"]
        assert found[4].value.tolist() == [0.1, 0.25]
        assert found[4].time_ns.tolist() == at[:2].tolist()
        last = await record.samples([4], int(at[2]), int(at[2]))
        assert last[4].status.tolist() == [0x80000000]
        assert await record.oldest([2, 3]) == int(at[0])
        assert await record.oldest([2]) is None
    finally:
        await historian.close()


@pytest.mark.leaks("chdb keeps two pipes of its own until the process ends")
@pytest.mark.real("nats-server", "chdb")
async def test_what_was_found_before_production_began_reaches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Restated | GapFound] = []
    early, late, gap = Restated((1,), (NS_PER_S,)), Restated((2,), (NS_PER_S,)), GapFound("edge-1", 1, 2, "lost")
    async with LocalBroker(tmp_path / "bus") as broker:
        core = Bus(broker.addresses["core"], LOG)
        await core.connect()
        await core.ensure_stream(tmp_path)
        try:
            part = Part(tmp_path, core)
            monkeypatch.setattr(part.production, "restated", lambda tags, since: heard.append(Restated(tags, since)))
            monkeypatch.setattr(part.production, "gap_found", lambda *what: heard.append(GapFound(*what, "lost")))
            part.pump.found(early)
            part.pump.found(gap)
            assert heard == []
            async with part.runs():
                part.pump.found(late)
                assert heard == [early, gap, late]
        finally:
            await core.close()


def _position():
    from isthmus.ports.frames import Position

    return Position(1, 1)

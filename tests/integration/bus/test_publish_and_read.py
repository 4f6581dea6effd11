from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import numpy as np
import pytest

from isthmus.bus import subjects
from isthmus.bus.broker import LocalBroker, edge_user
from isthmus.bus.client import Bus
from isthmus.bus.publisher import Publisher
from isthmus.bus.reader import FrameReader
from isthmus.ports.frames import Arrived
from isthmus.values.clock import SystemClock
from isthmus.values.errors import NotConnected
from isthmus.values.frame import Lane
from isthmus.values.sample import SampleBatch

LOG = logging.getLogger("test")


def batch(start: int, rows: int) -> SampleBatch:
    return SampleBatch(
        np.arange(start, start + rows, dtype=np.int32),
        np.full(rows, start, np.int64),
        np.arange(start, start + rows, dtype=np.float64),
        np.zeros(rows, np.uint32),
    )


class Rig:
    """A broker, core's and an edge's client, and a publisher that runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broker = LocalBroker(folder / "bus")

    async def __aenter__(self) -> Rig:
        await self.broker.start()
        self.core = Bus(self.broker.addresses["core"], LOG)
        self.edge = Bus(self.broker.addresses[edge_user("edge-1")], LOG)
        await self.core.connect()
        await self.core.ensure_stream(self.folder)
        await self.edge.connect()
        self.publisher = Publisher(self.edge, "lyon", "edge-1", 1, SystemClock(), LOG)
        self._running = asyncio.create_task(self.publisher.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        await self.edge.close()
        await self.core.close()
        await self.broker.kill()


async def read_until(reader: FrameReader, rows: int, found: list[Arrived] | None = None) -> list[Arrived]:
    found = [] if found is None else found
    frames = reader.frames()
    try:
        async for arrived in frames:
            found += arrived
            if sum(a.frame.rows for a in found) >= rows:
                return found
    finally:
        await frames.aclose()
    raise AssertionError


def ids(found: list[Arrived]) -> list[int]:
    return [int(i) for a in found for b in a.frame.batches for i in b.id]


@pytest.mark.mission("M47")
@pytest.mark.real("nats-server")
async def test_what_is_offered_arrives_once_and_in_order(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        for start in range(0, 20_000, 500):
            rig.publisher.offer(Lane.LIVE, [batch(start, 500)])
        reader = FrameReader(rig.core, "test", LOG)
        await reader.open()
        found = await asyncio.wait_for(read_until(reader, 20_000), 20)
        assert ids(found) == list(range(20_000))
        assert [a.frame.seq for a in found] == list(range(1, len(found) + 1))
        assert max(a.frame.rows for a in found) <= 8192


@pytest.mark.mission("M47", "M82")
@pytest.mark.real("nats-server")
async def test_a_killed_broker_loses_and_doubles_nothing(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        reader = FrameReader(rig.core, "test", LOG)
        await reader.open()
        reading = asyncio.create_task(read_until(reader, 6_000))
        for round_ in range(3):
            for start in range(0, 2_000, 100):
                rig.publisher.offer(Lane.LIVE, [batch(round_ * 2_000 + start, 100)])
                await asyncio.sleep(0.002)
            await rig.broker.kill()
            await rig.broker.start()
        found = await asyncio.wait_for(reading, 30)
        seen: dict[int, Arrived] = {a.frame.seq: a for a in found}
        assert ids([seen[s] for s in sorted(seen)]) == list(range(6_000))


@pytest.mark.mission("M47")
@pytest.mark.real("nats-server")
async def test_what_is_no_frame_is_counted_said_once_and_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Rig(tmp_path) as rig:
        reader = FrameReader(rig.core, "test", LOG)
        await reader.open()
        subject = subjects.frames("lyon", "edge-1", Lane.LIVE)
        for _ in range(50):
            await rig.core.js.publish(subject, b"no frame")
        rig.publisher.offer(Lane.LIVE, [batch(0, 10)])
        found = await asyncio.wait_for(read_until(reader, 10), 20)
        assert ids(found) == list(range(10))
        assert reader.counts.refused == 50
        said = [r.getMessage() for r in caplog.records if "refused" in r.getMessage()]
        assert len(said) == 2
        assert said[0].startswith("frame 1 of the stream refused: ")
        assert said[1] == "50 frames up to 50 of the stream were refused"


@pytest.mark.mission("M82")
@pytest.mark.real("nats-server")
async def test_a_new_reader_begins_behind_what_was_acknowledged(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        for start in range(10):
            rig.publisher.offer(Lane.LIVE, [batch(start, 1)])
            assert await rig.publisher.drain(5) == 0
        first = FrameReader(rig.core, "test", LOG)
        await first.open()
        found = await asyncio.wait_for(read_until(first, 10), 10)
        await first.acknowledge(found[3].stream_seq)
        await rig.core.nc.flush()
        second = FrameReader(rig.core, "test", LOG)
        await second.open()
        again = await asyncio.wait_for(read_until(second, 6), 10)
        assert ids(again) == [4, 5, 6, 7, 8, 9]


@pytest.mark.real("nats-server")
async def test_an_overfull_outbox_drops_the_oldest_and_leaves_a_number_out(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        rig.publisher._max_rows = 250
        rig.publisher._hold = lambda: "the disk is full"
        rig.publisher.offer(Lane.LIVE, [batch(0, 100)])
        async with asyncio.timeout(20):
            while not rig.publisher.in_flight:
                await asyncio.sleep(0.002)
        for start in range(100, 600, 100):
            rig.publisher.offer(Lane.LIVE, [batch(start, 100)])
        assert rig.publisher.dropped == 300
        assert rig.publisher.state == "the disk is full"
        rig.publisher._hold = lambda: ""
        reader = FrameReader(rig.core, "test", LOG)
        await reader.open()
        found = await asyncio.wait_for(read_until(reader, 300), 10)
        assert ids(found) == [*range(100), *range(400, 600)]
        assert [a.frame.seq for a in found] == [1, 3]


@pytest.mark.mission("M36")
@pytest.mark.real("nats-server")
async def test_an_edge_may_say_only_its_own(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        heard: list[str] = []

        async def hear(subject: str, _: bytes) -> None:
            heard.append(subject)

        for subject in ("f.v1.>", "cmd.v1.>", "hb.v1.>"):
            await rig.core.listen(subject, hear)
        await rig.core.nc.flush()
        for subject in ("f.v1.lyon.edge-2.live", "cmd.v1.lyon.edge-1.write", "hb.v1.lyon.edge-1"):
            await rig.edge.nc.publish(subject, b"x")
        await rig.edge.nc.flush()
        async with asyncio.timeout(20):
            while "hb.v1.lyon.edge-1" not in heard:  # in order: what came before it on the same link would be here
                await asyncio.sleep(0.02)
        assert heard == ["hb.v1.lyon.edge-1"]


@pytest.mark.real("nats-server")
async def test_another_server_on_our_port_is_not_ours(tmp_path: Path) -> None:
    async with LocalBroker(tmp_path / "bus") as broker:
        import dataclasses

        bus = Bus(dataclasses.replace(broker.addresses["core"], server_name="somebody-else"), LOG)
        with pytest.raises(NotConnected, match="not by our"):
            await bus.connect()


@pytest.mark.real("nats-server")
async def test_a_model_waits_for_its_edge(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        assert await rig.edge.get_model("edge-1") is None
        await rig.core.put_model("edge-1", b"model")
        assert await rig.edge.get_model("edge-1") == b"model"


@pytest.mark.mission("M47")
@pytest.mark.real("nats-server")
async def test_only_what_every_reader_has_handled_is_let_go_and_some_of_it_stays(tmp_path: Path) -> None:
    async with Rig(tmp_path) as rig:
        quick, slow = FrameReader(rig.core, "quick", LOG), FrameReader(rig.core, "slow", LOG)
        await quick.open()
        await slow.open()
        for start in range(0, 40_000, 500):
            rig.publisher.offer(Lane.LIVE, [batch(start, 500)])
            await rig.publisher.drain(5)
        found = await asyncio.wait_for(read_until(quick, 40_000), 20)
        assert len(found) == 80
        await quick.acknowledge(found[-1].stream_seq)
        _, _, size = await rig.core.stream_state()
        assert await rig.core.trim(size // 4) == 0, "the slow one has read nothing"
        early = await asyncio.wait_for(read_until(slow, 5_000), 20)
        await slow.acknowledge(early[9].stream_seq)
        async with asyncio.timeout(60):
            while await rig.core.acknowledged() < early[9].stream_seq:
                await asyncio.sleep(0.02)
        assert await rig.core.trim(size // 4) == 10
        await slow.open()
        rest = await asyncio.wait_for(read_until(slow, 35_000), 20)
        assert ids(rest) == list(range(5_000, 40_000))
        await slow.acknowledge(rest[-1].stream_seq)
        async with asyncio.timeout(60):
            while await rig.core.acknowledged() < rest[-1].stream_seq:
                await asyncio.sleep(0.02)
        assert await rig.core.trim(size // 4) > 0
        first, last, kept = await rig.core.stream_state()
        assert last - first + 1 >= 20, "a quarter stays also when everybody has read it"
        assert kept >= size // 4
        assert await rig.core.trim(size) == 0

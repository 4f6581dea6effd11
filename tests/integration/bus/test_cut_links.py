"""Links that break in the middle of what they carry, while both ends live on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from isthmus.bus.broker import BusAddress, LocalBroker, edge_user
from isthmus.bus.client import Bus
from isthmus.bus.publisher import Publisher
from isthmus.bus.reader import FrameReader
from isthmus.values.clock import SystemClock
from isthmus.values.frame import Lane
from isthmus.values.sample import SampleBatch

LOG = logging.getLogger("test")
FRAMES = 400
ROWS = 2_000
READERS = 4


class Cutter:
    """Carries bytes to the bus and back, and cuts a link after so many bytes from the bus; the last of them are lost on the way."""

    def __init__(self, port: int, cuts: Iterator[int]) -> None:
        self._port, self._cuts = port, cuts
        self.cuts = 0
        self._links: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Cutter:
        self._server = await asyncio.start_server(self._link, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)
        await self._server.wait_closed()

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        task.add_done_callback(self._links.discard)
        from_bus, to_bus = await asyncio.open_connection("127.0.0.1", self._port)
        left = next(self._cuts, None)

        async def inward() -> None:
            while data := await reader.read(65_536):
                to_bus.write(data)
                await to_bus.drain()

        async def outward() -> None:
            nonlocal left
            while data := await from_bus.read(65_536):
                if left is not None and len(data) >= left:
                    self.cuts += 1
                    return
                left = None if left is None else left - len(data)
                writer.write(data)
                await writer.drain()

        ways = [asyncio.create_task(inward()), asyncio.create_task(outward())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for side in (to_bus, writer):
                side.transport.abort()
                with contextlib.suppress(OSError):
                    await side.wait_closed()


def at(address: BusAddress, port: int) -> BusAddress:
    return replace(address, url=f"nats://127.0.0.1:{port}")


async def read(core: Bus, name: str, last: int) -> tuple[set[int], int]:
    """What a busy reader has seen when the last came; and what it says it missed."""
    reader = FrameReader(core, name, LOG)
    await reader._reopen()  # by a link that may break at once
    seen: set[int] = set()
    async with contextlib.aclosing(reader.frames()) as frames:
        async for arrived in frames:
            time.sleep(0.003)  # noqa: ASYNC251  what it does keeps the loop, and deliveries queue up meanwhile
            seen |= {a.frame.seq for a in arrived}
            await reader.acknowledge(arrived[-1].stream_seq)
            if arrived[-1].frame.seq == last:
                break
    return seen, reader.counts.missed


@pytest.mark.mission("M47", "M82")
@pytest.mark.real("nats-server")
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_no_frame_is_passed_over_when_the_link_of_readers_breaks(tmp_path: Path, seed: int) -> None:
    """What is acknowledged acknowledges all before it: a frame that was under way as the link broke must come again first."""
    random = np.random.default_rng(seed)
    broker = LocalBroker(tmp_path / "bus")
    await broker.start()
    edge = Bus(broker.addresses[edge_user("edge-1")], LOG)
    port = int(broker.addresses["core"].url.rpartition(":")[2])
    cuts = (int(random.integers(100_000, 4_000_000)) for _ in range(12))
    async with Cutter(port, cuts) as cutter:
        core = Bus(at(broker.addresses["core"], cutter.port), LOG)
        try:
            await edge.connect()
            last = await fill(broker, edge, tmp_path, random)
            await core.connect()
            async with asyncio.timeout(120):
                found = await asyncio.gather(*(read(core, f"test-{n}", last) for n in range(READERS)))
            for seen, missed in found:
                assert seen == set(range(1, last + 1))
                assert missed == 0
            assert cutter.cuts > 5
        finally:
            await edge.close()
            await core.close()
            await broker.kill()


async def fill(broker: LocalBroker, edge: Bus, folder: Path, random: np.random.Generator) -> int:
    """Put frames onto the bus; how many."""
    core = Bus(broker.addresses["core"], LOG)
    await core.connect()
    await core.ensure_stream(folder)
    publisher = Publisher(edge, "lyon", "edge-1", 1, SystemClock(), LOG)
    publishing = asyncio.create_task(publisher.run())
    try:
        for n in range(FRAMES):
            values = random.normal(size=ROWS)
            publisher.offer(Lane.LIVE, [SampleBatch(np.arange(ROWS, dtype=np.int32), np.full(ROWS, n, np.int64), values, np.zeros(ROWS, np.uint32))])  # fmt: skip
            while publisher.queued > 10 * ROWS:
                await asyncio.sleep(0.001)
        assert await publisher.drain(20) == 0
    finally:
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
        _, last, _ = await core.stream_state()
        await core.close()
    return last

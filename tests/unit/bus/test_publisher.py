"""Who is told what when samples leave the outbox; the bus answers when the test lets it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from nats.js.api import PubAck

from isthmus.bus.publisher import Publisher
from isthmus.values.clock import SystemClock
from isthmus.values.frame import MAX_ROWS, Lane
from isthmus.values.sample import SampleBatch


class SlowBus:
    """Confirms a frame for each call of ``confirm``."""

    def __init__(self) -> None:
        self.js = SimpleNamespace(publish=self._publish)
        self._may = asyncio.Semaphore(0)

    @contextlib.contextmanager
    def reconnects(self):
        yield asyncio.Event()

    async def _publish(self, *_: Any, **__: Any) -> PubAck:
        await self._may.acquire()
        return PubAck(stream="frames", seq=1, duplicate=False)

    async def confirm(self, frames: int = 1) -> None:
        for _ in range(frames):
            self._may.release()
        for _ in range(20):
            await asyncio.sleep(0)


def rows(n: int) -> SampleBatch:
    return SampleBatch(np.arange(n, dtype=np.int32), np.zeros(n, np.int64), np.zeros(n), np.zeros(n, np.uint32))


@pytest.fixture
async def outbox():
    bus = SlowBus()
    publisher = Publisher(bus, "lyon", "edge-1", 1, SystemClock(), logging.getLogger("test"), max_rows=MAX_ROWS + 10)  # type: ignore[arg-type]  # stands in for the bus
    running = asyncio.create_task(publisher.run())
    yield bus, publisher
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_nothing_waits_so_it_is_told_at_once(outbox) -> None:
    _, publisher = outbox
    said: list[bool] = []
    publisher.when_delivered(said.append)
    assert said == [True]


async def test_told_once_what_was_offered_before_is_confirmed_and_not_later(outbox) -> None:
    bus, publisher = outbox
    said: list[str] = []
    publisher.offer(Lane.LIVE, [rows(3)])
    publisher.when_delivered(lambda whole: said.append(f"first {whole}"))
    await bus.confirm(0)
    publisher.offer(Lane.LIVE, [rows(4)])  # the first frame is on its way already
    publisher.when_delivered(lambda whole: said.append(f"second {whole}"))
    assert said == []
    await bus.confirm()
    assert said == ["first True"]
    await bus.confirm()
    assert said == ["first True", "second True"]
    publisher.when_delivered(lambda whole: said.append(f"third {whole}"))
    assert said[-1] == "third True"


async def test_all_lanes_count(outbox) -> None:
    bus, publisher = outbox
    said: list[bool] = []
    live, other = list(Lane)[:2]
    publisher.offer(live, [rows(1)])
    publisher.offer(other, [rows(1)])
    publisher.when_delivered(said.append)
    await bus.confirm()
    assert said == []
    await bus.confirm()
    assert said == [True]


async def test_a_batch_larger_than_a_frame_counts_with_its_last_row(outbox) -> None:
    bus, publisher = outbox
    said: list[bool] = []
    publisher.offer(Lane.LIVE, [rows(MAX_ROWS + 5)])
    publisher.when_delivered(said.append)
    await bus.confirm()
    assert said == []
    await bus.confirm()
    assert said == [True]


async def test_what_was_dropped_is_told_as_not_whole(outbox) -> None:
    bus, publisher = outbox
    said: list[str] = []
    publisher.offer(Lane.LIVE, [rows(1)])
    await bus.confirm(0)  # in flight from here on: what follows waits behind it
    publisher.offer(Lane.LIVE, [rows(20)])
    publisher.when_delivered(lambda whole: said.append(f"old {whole}"))
    publisher.offer(Lane.LIVE, [rows(MAX_ROWS)])  # pushes the twenty out
    publisher.when_delivered(lambda whole: said.append(f"new {whole}"))
    assert publisher.dropped == 20
    await bus.confirm()
    assert said == ["old False"]
    await bus.confirm()
    assert said == ["old False", "new True"]

"""Production in core: frames of all lanes on a cursor of their own, the record to compute days from, and who is heard."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import nats.js.errors

from isthmus.acquisition.model import Heartbeats
from isthmus.bus import subjects
from isthmus.bus.client import Bus
from isthmus.bus.reader import FrameReader
from isthmus.historian.service import Historian
from isthmus.ports.history import Gap
from isthmus.production.service import Production
from isthmus.production.states import Series
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import TryLater
from isthmus.values.messages.historian import GapFound, Restated

ACK_WAIT_S = 600.0
"""Frames stay unacknowledged until the record has them."""
ACKNOWLEDGE_S = 2.0
NOTED_AGAIN_S = 1.0
MOST_BEFORE = 1000
"""Of what the historian finds before production has begun, the newest are kept for it."""


class SampleRecord:
    """The historian, as production asks it."""

    def __init__(self, historian: Historian, committed: Callable[[], int]) -> None:
        self._historian, self._committed = historian, committed
        self.floor = 0  # what the historian had acknowledged when this run began

    async def samples(self, tags: Sequence[int], start_ns: int, end_ns: int) -> Mapping[int, Series]:
        """Every sample with start <= time <= end, by tag."""
        found = await self._historian.samples(tags, start_ns, end_ns)
        return {tag: Series(*columns) for tag, columns in found.items()}

    async def gaps(self, edges: Sequence[str], start_ns: int, end_ns: int) -> Sequence[Gap]:
        """Gap marks overlapping the range."""
        return await self._historian.gaps(edges, start_ns, end_ns)

    async def oldest(self, tags: Sequence[int]) -> int | None:
        """Time of the oldest sample of any of them."""
        return await self._historian.oldest(tags)

    def committed(self) -> int:
        """Number of the newest frame that is in the record."""
        return max(self.floor, self._committed())


def heard_until(heartbeats: Heartbeats, clock: Clock) -> Callable[[str], int | None]:
    """Up to when an edge is heard: None while it is, or before it was ever heard since core began."""

    def heard(edge: str) -> int | None:
        health = heartbeats.edge(edge, clock.monotonic_ns())
        if health is None or health.fresh:
            return None
        return clock.now_ns() - round(health.age_s * NS_PER_S)

    return heard


class ProductionPump:
    """Frames → production on arrival; the bus is acknowledged behind what the record has."""

    def __init__(self, bus: Bus, production: Production, record: SampleRecord, log: logging.Logger) -> None:
        self._bus, self._production, self._record, self._log = bus, production, record, log
        self.reader = FrameReader(bus, production.name, log, ack_wait_s=ACK_WAIT_S)
        self.begun = False
        self._before: deque[Restated | GapFound] = deque(maxlen=MOST_BEFORE)

    async def run(self) -> None:
        """Until cancelled. The first time of all it begins behind what the record has already."""
        self.begun = False
        self._record.floor = max(self._record.floor, await self._place("historian") or 0)
        place = await self._place(self._production.name)
        begin = (self._record.floor if place is None else place) + 1
        self.reader = FrameReader(self._bus, self._production.name, self._log, begin, ack_wait_s=ACK_WAIT_S)
        await self._production.begin()
        self.begun = True
        while self._before:
            self.found(self._before.popleft())
        await self.reader.open()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hear(), name="production-hear")
            group.create_task(self._acknowledge(), name="production-acknowledge")
            group.create_task(self._production.run(), name="production-run")

    async def plant_changed(self) -> None:
        """Judge by the plant as it is now."""
        if self.begun:
            await self._production.plant_changed()

    def found(self, event: Restated | GapFound) -> None:
        """The historian found that the record changed, or that something is missing in it."""
        if not self.begun:
            self._before.append(event)
        elif isinstance(event, GapFound):
            self._production.gap_found(event.edge, event.start_ns, event.end_ns)
        else:
            self._production.restated(event.tags, event.since_ns)

    async def noted(self) -> None:
        """What the historian has told so far of imports is on disk.

        Raises: TryLater while production is not open
        """
        if not self.begun:
            raise TryLater("what machines did is still being read: the block is asked for again", NOTED_AGAIN_S)
        await self._production.note()

    async def _place(self, durable: str) -> int | None:
        """Up to where a reader acknowledged; None if there is no such reader."""
        try:
            info = await self._bus.js.consumer_info(subjects.FRAME_STREAM, durable)
        except nats.js.errors.NotFoundError:
            return None
        return int(info.ack_floor.stream_seq) if info.ack_floor is not None else 0

    async def _hear(self) -> None:
        incoming = self.reader.frames()
        try:
            async for arrived in incoming:
                self._production.take(arrived)
        finally:
            await incoming.aclose()  # type: ignore[attr-defined]  # an async generator

    async def _acknowledge(self) -> None:
        done = 0
        while True:
            await asyncio.sleep(ACKNOWLEDGE_S)
            stored = await self._production.acknowledgeable()
            if stored > done:
                await self.reader.acknowledge(stored)
                done = stored

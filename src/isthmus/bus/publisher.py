"""An edge's way onto the bus: one frame in flight per lane; what arrives meanwhile is the next frame.

No timer, no reordering, low latency at low load and large frames at high load. A frame is sent again under the same
message id until the bus has confirmed it, so the bus holds it exactly once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import nats.errors
import nats.js.errors
from nats.js.api import PubAck

from isthmus.bus import subjects
from isthmus.bus.client import Bus
from isthmus.values.clock import Clock
from isthmus.values.frame import MAX_ROWS, Frame, Lane, encode
from isthmus.values.sample import SampleBatch, join_by_type

ACK_TIMEOUT_S = 2.5
RETRY_S = 0.5
MAX_WAITING_ROWS = 2_000_000


@dataclass(slots=True)
class _Receipt:
    """Somebody who waits until what was offered has left."""

    done: Callable[[bool], None]
    lanes: int = 0
    whole: bool = True


@dataclass(slots=True)
class _Queue:
    """Batches of one lane that wait, and what became of those that did not.

    ``offered`` and ``left`` count rows; ``receipts`` wait for ``left`` to reach their mark
    """

    batches: deque[SampleBatch] = field(default_factory=deque)
    rows: int = 0
    seq: int = 0
    skip: bool = False  # samples were dropped since the last frame: its successor leaves a number out
    filled: asyncio.Event = field(default_factory=asyncio.Event)
    offered: int = 0
    left: int = 0
    receipts: deque[tuple[int, _Receipt]] = field(default_factory=deque)

    def release(self, rows: int) -> None:
        """So many rows have left: tell those who waited for it."""
        self.left += rows
        while self.receipts and self.receipts[0][0] <= self.left:
            receipt = self.receipts.popleft()[1]
            receipt.lanes -= 1
            if not receipt.lanes:
                receipt.done(receipt.whole)


class Publisher:
    """Implements `ports.outbox.Outbox` on the bus.

    Limits: ``max_rows`` samples wait per lane, then the oldest are dropped (policy drop_oldest); the hole is confessed
            by a sequence number left out, which the historian turns into a gap mark
    """

    def __init__(
        self,
        bus: Bus,
        site: str,
        edge: str,
        epoch: int,
        clock: Clock,
        log: logging.Logger,
        *,
        max_rows: int = MAX_WAITING_ROWS,
        hold: Callable[[], str] = lambda: "",
    ) -> None:
        """``hold`` tells why nothing may be published now (a full disk), or the empty string."""
        self._bus, self._edge, self._epoch, self._clock, self._log = bus, edge, epoch, clock, log
        self.site = site
        self.model_version = 0
        self._max_rows = max_rows
        self._hold = hold
        self._queues = {lane: _Queue() for lane in Lane}
        self.published = 0
        self._dropped = 0
        self._in_flight = 0
        self.state = ""

    @property
    def queued(self) -> int:
        """Samples waiting, all lanes."""
        return sum(q.rows for q in self._queues.values())

    @property
    def in_flight(self) -> int:
        """Samples sent and not yet confirmed."""
        return self._in_flight

    @property
    def dropped(self) -> int:
        """Samples dropped since the start because the bus was away for too long."""
        return self._dropped

    def offer(self, lane: Lane, batches: Sequence[SampleBatch]) -> None:
        """Queue batches; never waits."""
        queue = self._queues[lane]
        for batch in batches:
            if len(batch):
                queue.batches.append(batch)
                queue.rows += len(batch)
                queue.offered += len(batch)
        while queue.rows > self._max_rows and len(queue.batches) > 1:
            oldest = queue.batches.popleft()
            queue.rows -= len(oldest)
            if not self._dropped:
                self._log.warning("outbox is full: oldest samples are dropped and will show as a gap")
            self._dropped += len(oldest)
            queue.skip = True
            for _, receipt in queue.receipts:
                receipt.whole = False
            queue.release(len(oldest))
        if queue.rows:
            queue.filled.set()

    def when_delivered(self, done: Callable[[bool], None]) -> None:
        """Call ``done`` once all that was offered so far has left; see `ports.outbox`."""
        receipt = _Receipt(done)
        for queue in self._queues.values():
            if queue.left < queue.offered:
                queue.receipts.append((queue.offered, receipt))
                receipt.lanes += 1
        if not receipt.lanes:
            done(True)

    async def run(self) -> None:
        """Publish until cancelled; whatever waits stays queued."""
        async with asyncio.TaskGroup() as group:
            for lane in Lane:
                group.create_task(self._run_lane(lane), name=f"publish-{lane.name.lower()}")

    async def drain(self, timeout_s: float) -> int:
        """Wait until everything queued is confirmed; samples left when the time is over."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while (self.queued or self._in_flight) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
        return self.queued + self._in_flight

    async def _run_lane(self, lane: Lane) -> None:
        queue = self._queues[lane]
        while True:
            await queue.filled.wait()
            batches = self._take(queue)
            if not batches:
                queue.filled.clear()
                continue
            rows = sum(len(b) for b in batches)
            self._in_flight += rows
            queue.seq += 2 if queue.skip else 1
            queue.skip = False
            frame = Frame(lane, self._epoch, queue.seq, self._clock.now_ns(), self.model_version, batches)
            await self._send(lane, frame)
            self._in_flight -= rows
            self.published += rows
            queue.release(rows)

    def _take(self, queue: _Queue) -> tuple[SampleBatch, ...]:
        """What the next frame holds: as much as waits, at most MAX_ROWS."""
        taken: list[SampleBatch] = []
        room = MAX_ROWS
        while queue.batches and room:
            batch = queue.batches.popleft()
            if len(batch) > room:
                queue.batches.appendleft(batch.rows(slice(room, None)))
                batch = batch.rows(slice(0, room))
            taken.append(batch)
            room -= len(batch)
            queue.rows -= len(batch)
        return join_by_type(taken)

    async def _send(self, lane: Lane, frame: Frame) -> None:
        data = encode(frame)
        subject = subjects.frames(self.site, self._edge, lane)
        headers = {"Nats-Msg-Id": f"{self._edge}-{lane.name[0]}-{frame.epoch}-{frame.seq}"}
        first = True
        while True:
            reason = self._hold()
            if reason:
                self._tell(reason)
                await asyncio.sleep(RETRY_S)
                continue
            try:
                answer = await self._publish(subject, data, headers)
                if answer is None:  # the link came back while we waited: nobody will answer any more
                    first = False
                    continue
                if answer.duplicate and first:
                    self._log.error("bus took frame %s for a duplicate: another edge uses our name and epoch", headers)
                self._tell("")
                return
            except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as error:
                self._tell(_reason(error))
                first = False
                await asyncio.sleep(RETRY_S if not isinstance(error, nats.errors.ConnectionClosedError) else 1)

    async def _publish(self, subject: str, data: bytes, headers: dict[str, str]) -> PubAck | None:
        with self._bus.reconnects() as returned:
            sending = asyncio.ensure_future(self._bus.js.publish(subject, data, timeout=ACK_TIMEOUT_S, headers=headers))
            back = asyncio.ensure_future(returned.wait())
            try:
                await asyncio.wait({sending, back}, return_when=asyncio.FIRST_COMPLETED)
                return sending.result() if sending.done() else None
            finally:
                back.cancel()
                if not sending.done():
                    sending.cancel()
                    with contextlib.suppress(asyncio.CancelledError, Exception):
                        await sending

    def _tell(self, reason: str) -> None:
        """Say it once when it breaks, once when it heals."""
        if reason and not self.state:
            self._log.warning("nothing reaches the bus: %s", reason)
        elif self.state and not reason:
            self._log.info("samples reach the bus again, %d waited", self.queued)
        self.state = reason


def _reason(error: Exception) -> str:
    if isinstance(error, nats.js.errors.NoStreamResponseError):
        return "the stream of frames does not exist yet; core makes it"
    if isinstance(error, nats.js.errors.APIError):
        return f"the bus refuses: {error.description}"
    if isinstance(error, (TimeoutError, nats.errors.TimeoutError)):
        return f"no confirmation within {ACK_TIMEOUT_S:g} s"
    return str(error) or type(error).__name__

"""Frames from the bus, in order, from where the reader last acknowledged.

Whoever takes up a durable consumer with AckPolicy ALL rewinds it first: what a dead process held is not sent again
before its acknowledgement is overdue, and the first group the new one acknowledges would acknowledge that too, unseen.
For the same reason each beginning has an inbox of its own, and the server's count of what it gave has no hole: what a broken
link took with it comes again before anything behind it counts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from isthmus.bus import subjects
from isthmus.bus.client import Bus
from isthmus.bus.turns import Urgency
from isthmus.ports.frames import Arrived
from isthmus.values.errors import Malformed
from isthmus.values.frame import decode

BATCH = 256
EXPIRES_S = 2.0
"""A pull request that a restarting server forgot costs at most this and a second more."""
IN_HAND_BYTES = 2 * 1024 * 1024
"""What one pull request may bring. Core has a dozen readers on one link: what all have asked for must get over it within the
server's write deadline, also while core is busy.
"""
LARGEST_BYTES = 10 * 1024 * 1024
"""More than the bus carries in one message: asked for when the next one is larger than a request may bring."""
_TOO_LARGE = "409"
AT_ONCE_BYTES = 512 * 1024
"""Frames of this size are taken apart in some 5 ms."""


@dataclass(slots=True)
class ReaderCounts:
    """What came by. ``refused`` frames did not parse: they are said, counted and left in the stream."""

    frames: int = 0
    samples: int = 0
    bytes: int = 0
    refused: int = 0
    missed: int = 0  # frames that the stream dropped before we read them


@dataclass(frozen=True, slots=True)
class _Post:
    """Where the server's deliveries arrive. What was under way to another one is not seen."""

    inbox: str
    queue: asyncio.Queue[Msg]
    subscription: Subscription


def _portions(messages: list[Msg]) -> Iterator[list[Msg]]:
    """Messages in portions small enough for everything else to go on in between, also while a long queue is read."""
    portion: list[Msg] = []
    size = 0
    for message in messages:
        portion.append(message)
        size += len(message.data)
        if size >= AT_ONCE_BYTES:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


class FrameReader:
    """A durable pull consumer of all frames of a site's stream, with one standing pull request.

    ``begin`` is for readers that keep their place themselves: the consumer is made anew, from this number of the stream on.
    ``ack_wait_s`` must be longer than whoever reads keeps frames unacknowledged, or they all come again.
    """

    def __init__(
        self, bus: Bus, durable: str, log: logging.Logger, begin: int | None = None, *, ack_wait_s: float = 60,
        urgency: Urgency = Urgency.OTHERS,
    ) -> None:  # fmt: skip
        self._bus, self._durable, self._log, self._begin = bus, durable, log, begin
        self._ack_wait_s, self._urgency = ack_wait_s, urgency
        self._begun = False
        self.counts = ReaderCounts()
        self.pending = 0  # messages the server holds for us, by the latest delivery
        self._stream_seq = 0
        self._given = 0  # what the server has given since the last rewind, by its own count
        self._torn = False  # something it gave did not arrive
        self._refused_in_a_row = 0
        self._replies: dict[int, str] = {}  # where to acknowledge each frame in hand; void after a rewind

    async def open(self) -> None:
        """Make the consumer if it is new, and rewind it to what was acknowledged last."""
        config = ConsumerConfig(
            durable_name=self._durable,
            ack_policy=AckPolicy.ALL,
            deliver_policy=DeliverPolicy.ALL,
            ack_wait=self._ack_wait_s,
            max_ack_pending=-1,
            max_deliver=-1,
            filter_subject=subjects.FRAME_FILTER,
        )
        fresh = await self._forget_place(config)
        await self._bus.js.add_consumer(subjects.FRAME_STREAM, config)
        answer = await self._bus.request(
            f"$JS.API.CONSUMER.RESET.{subjects.FRAME_STREAM}.{self._durable}", b"{}", timeout_s=5
        )
        reply = json.loads(answer.data)
        if "error" in reply:
            raise nats.js.errors.APIError.from_error(reply["error"])
        self._stream_seq = max(0, (config.opt_start_seq or 0) - 1) if fresh else 0
        self._given, self._torn = 0, False
        self._replies.clear()

    async def _forget_place(self, config: ConsumerConfig) -> bool:
        """Let the consumer begin where we say, once; whether it is a new one."""
        if self._begin is None:
            return False
        fresh = not self._begun
        if fresh:
            await self._bus.drop_reader(self._durable)
        else:
            try:
                await self._bus.js.consumer_info(subjects.FRAME_STREAM, self._durable)
            except nats.js.errors.NotFoundError:
                self._begin, fresh = 1, True  # it went with its stream: the new stream has numbers of its own
        config.deliver_policy, config.opt_start_seq = DeliverPolicy.BY_START_SEQUENCE, self._begin
        self._begun = True
        return fresh

    async def frames(self) -> AsyncIterator[list[Arrived]]:
        """Groups of frames as they arrive, for ever. A frame that does not parse is counted, said and passed over."""
        with self._bus.reconnects() as returned:
            async with contextlib.aclosing(self._pulls(returned)) as pulls:
                async for messages in pulls:
                    for some in _portions(messages):
                        await self._bus.turns.mine(self._urgency)
                        arrived = [a for a in map(self._open_message, some) if a is not None]
                        if arrived:
                            yield arrived

    async def _pulls(self, returned: asyncio.Event) -> AsyncGenerator[list[Msg], None]:
        """Keep one pull request standing; a new one when it is used up or over. All anew when the link came back, or when
        something did not arrive.
        """
        post = await self._subscribe()
        standing, most = 0, IN_HAND_BYTES
        asked_at = 0.0
        loop = asyncio.get_running_loop()
        try:
            while True:
                if returned.is_set() or self._torn:
                    # deliveries of ours may have been under way: begin again behind what was acknowledged
                    returned.clear()
                    await _forget(post)
                    await self._reopen()
                    post = await self._subscribe()
                    standing = 0
                if standing <= 0:
                    await self._bus.turns.room(self._urgency)
                    await self._ask(post, most)
                    standing, asked_at = BATCH, loop.time()
                try:
                    async with asyncio.timeout(1.0):
                        message = await post.queue.get()
                except TimeoutError:
                    if loop.time() - asked_at > EXPIRES_S + 1:
                        standing = 0
                    continue
                messages: list[Msg] = []
                while True:
                    if message.headers and "Status" in message.headers and not message.data:
                        # the request is over: expired, byte limit, or the consumer went away
                        large = message.headers["Status"] == _TOO_LARGE and standing == BATCH and not messages
                        most = LARGEST_BYTES if large else IN_HAND_BYTES
                        standing = 0
                    else:
                        messages.append(message)
                        standing -= 1
                    if post.queue.empty():
                        break
                    message = post.queue.get_nowait()
                if messages:
                    yield messages
                    self._bus.turns.waits(self, self._urgency, self.pending)
        finally:
            self._bus.turns.waits(self, self._urgency, 0)
            await _forget(post)

    async def _subscribe(self) -> _Post:
        queue: asyncio.Queue[Msg] = asyncio.Queue(maxsize=BATCH * 4)

        async def receive(message: Msg) -> None:
            await queue.put(message)

        inbox = self._bus.nc.new_inbox()
        subscription = await self._bus.nc.subscribe(
            inbox, cb=receive, pending_msgs_limit=BATCH * 4, pending_bytes_limit=LARGEST_BYTES * 4
        )
        return _Post(inbox, queue, subscription)

    async def _ask(self, post: _Post, most: int) -> None:
        request = {"batch": BATCH, "max_bytes": most, "expires": int(EXPIRES_S * 1e9)}
        with contextlib.suppress(nats.errors.Error, OSError):
            await self._bus.nc.publish(
                f"$JS.API.CONSUMER.MSG.NEXT.{subjects.FRAME_STREAM}.{self._durable}",
                json.dumps(request).encode(),
                reply=post.inbox,
            )

    async def _reopen(self) -> None:
        while True:
            try:
                await self.open()
                return
            except Exception as error:
                self._log.debug("consumer %s: %s", self._durable, error)
                await asyncio.sleep(0.1)

    def _open_message(self, message: Msg) -> Arrived | None:
        metadata = message.metadata
        self._given += 1
        self._torn = self._torn or int(metadata.sequence.consumer) != self._given
        if self._torn:
            return None
        stream_seq = int(metadata.sequence.stream)
        self.pending = int(metadata.num_pending)
        if stream_seq <= self._stream_seq:
            return None
        if self._stream_seq and stream_seq != self._stream_seq + 1:
            self.counts.missed += stream_seq - self._stream_seq - 1
        self._stream_seq = stream_seq
        self._replies[stream_seq] = message.reply
        try:
            _, edge, lane = subjects.parse_frames(message.subject)
            frame = decode(message.data)
            if frame.lane != lane:
                raise Malformed(f"frame of lane {frame.lane.name} came on {message.subject}")
        except Malformed as error:
            self._refuse(stream_seq, error)
            return None
        if self._refused_in_a_row > 1:
            self._log.error("%d frames up to %d of the stream were refused", self._refused_in_a_row, stream_seq - 1)
        self._refused_in_a_row = 0
        self.counts.frames += 1
        self.counts.samples += frame.rows
        self.counts.bytes += len(message.data)
        return Arrived(edge, frame, stream_seq)

    def _refuse(self, stream_seq: int, error: Malformed) -> None:
        """Count it, and say the first of a row: a mad peer must not fill the log as well."""
        self.counts.refused += 1
        self._refused_in_a_row += 1
        if self._refused_in_a_row == 1:
            self._log.error("frame %d of the stream refused: %s", stream_seq, error)

    async def acknowledge(self, stream_seq: int) -> None:
        """Everything up to and including this frame is durably handled; nothing happens if a rewind came between."""
        reply = self._replies.get(stream_seq)
        if reply is None or not self._bus.connected:
            return
        await self._bus.nc.publish(reply, b"+ACK")
        self._replies = {seq: where for seq, where in self._replies.items() if seq > stream_seq}


async def _forget(post: _Post) -> None:
    with contextlib.suppress(Exception):
        await post.subscription.unsubscribe()

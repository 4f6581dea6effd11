"""One TCP connection to a device: sends requests as its budget allows, and matches replies to them.

The work happens in the protocol's callbacks: a read of sixty blocks costs one future, not sixty tasks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, cast

import numpy as np

from isthmus.drivers.modbus_tcp.framer import Request, frame_end, is_reply, misfit
from isthmus.ports.drivers import Traffic
from isthmus.values.clock import Clock
from isthmus.values.errors import Malformed, NotConnected
from isthmus.values.model import Budget

TIMED_OUT: Final = -1
WRONG_REPLY: Final = -2

ABSENT: Final = frozenset((10, 11))
"""Exceptions by which a gateway says that the device behind it is not there."""

_SILENCES: Final = 2  # unanswered requests in a row after which the link counts as gone
_LATE: Final = 64  # so many transactions back an answer may belong to a request that was given up
_TICK_S: Final = 0.001  # the finest timer of an event loop


class Exchange:
    """Requests that belong together, and what became of them.

    ``failed`` holds what went wrong by index: an exception code, TIMED_OUT or WRONG_REPLY; all others are in ``image``.
    Units: ended_ns is UTC, when the last byte had arrived
    """

    __slots__ = ("done", "ended_ns", "failed", "image", "left", "misfit", "next", "requests")

    def __init__(self, requests: Sequence[Request], image: memoryview, done: asyncio.Future[None]) -> None:
        self.requests, self.image, self.done = requests, image, done
        self.failed: dict[int, int] = {}
        self.left = len(requests)
        self.next = 0
        self.ended_ns = 0
        self.misfit = ""  # what was wrong with the last wrong reply

    def give_up_rest(self, code: int) -> None:
        """What was not sent yet would fail the same way, and hold the line for others while it does."""
        for i in range(self.next, len(self.requests)):
            self.failed[i] = code
        self.left -= len(self.requests) - self.next
        self.next = len(self.requests)


class Pace:
    """Spaces requests as the budget says; outlives a connection, so that reconnecting is no way around it."""

    def __init__(self, budget: Budget) -> None:
        self.depth = max(1, budget.outstanding)
        self.unlimited = budget.requests_per_s <= 0 and budget.pause_s <= 0
        self._interval_s = 1 / budget.requests_per_s if budget.requests_per_s > 0 else 0.0
        self._pause_s = max(0.0, budget.pause_s)
        self._free_at = float("-inf")

    def wait_s(self, now: float) -> float:
        """Seconds until the next request may go; 0 or less: now."""
        return self._free_at - now

    def sent(self, now: float) -> None:
        self._free_at = max(self._free_at, now + self._interval_s)

    def answered(self, now: float) -> None:
        self._free_at = max(self._free_at, now + self._pause_s)


class Link(asyncio.Protocol):
    """A connection from being made to being lost. ``lost`` says why it ended, once it has."""

    def __init__(self, peer: str, unit: int, timeout_s: float, pace: Pace, traffic: Traffic, clock: Clock) -> None:
        self._unit = unit
        self._peer, self._timeout_s, self._pace, self._traffic, self._clock = peer, timeout_s, pace, traffic, clock
        self._loop = asyncio.get_running_loop()
        self._depth = pace.depth
        self._waiting: dict[bytes, tuple[Exchange, int, float, int]] = {}  # by transaction: index, loop time, monotonic
        self._exchange: Exchange | None = None
        self._rest = b""
        self._transaction = 0
        self._silences = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._pacing: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self.lost: NotConnected | None = None

    # What the driver calls

    async def run(self, requests: Sequence[Request], image: memoryview) -> Exchange:
        """Send the requests in order and wait until each has its outcome. One caller at a time.

        Raises: NotConnected when the link is gone
        """
        if self.lost is not None:
            raise NotConnected(str(self.lost))
        exchange = Exchange(requests, image, self._loop.create_future())
        if not requests:
            exchange.ended_ns = self._clock.now_ns()
            return exchange
        self._exchange = exchange
        self._send()
        try:
            await exchange.done
        finally:
            self._exchange = None  # what a cancelled caller still has outstanding counts until it is answered
        return exchange

    async def close(self) -> None:
        """Let go of the socket."""
        self.give_up("closed")
        await asyncio.shield(self._closed)

    def give_up(self, reason: str) -> None:
        """End the connection: whoever waits gets NotConnected with this reason."""
        self._end(NotConnected(reason))
        if self._transport is None:
            if not self._closed.done():
                self._closed.set_result(None)
        elif self._transport.get_write_buffer_size():
            self._transport.abort()  # a peer that takes nothing would hold a polite close for ever
        else:
            self._transport.close()

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance, yet does the same
        if self.lost is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(NotConnected(f"{self._peer} closed the connection" + (f" ({exc})" if exc else "")))
        self._transport = None
        if not self._closed.done():
            self._closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._traffic.received_bytes += len(data)
        entry = self._waiting.get(data[:2])
        if entry is not None and not self._rest and len(self._waiting) == 1:
            request = entry[0].requests[entry[1]]
            if len(data) == request.size and data.startswith(request.head, 2):  # nearly always: one whole good reply
                del self._waiting[data[:2]]
                self._take(entry, data)
                self._send()
                return
        self._rest += data
        self._scan()

    # Inside

    def _send(self) -> None:
        """Send what the depth and the pace allow."""
        exchange = self._exchange
        if exchange is None or self._transport is None or exchange.next >= len(exchange.requests):
            return
        frames: list[bytes] = []
        now = self._loop.time()
        while exchange.next < len(exchange.requests) and len(self._waiting) < self._depth:
            if not self._pace.unlimited:
                wait_s = self._pace.wait_s(now)
                if wait_s > 0:
                    self._send_later(wait_s)
                    break
                self._pace.sent(now)
            self._transaction = self._transaction + 1 & 0xFFFF
            key = self._transaction.to_bytes(2, "big")
            self._waiting[key] = (exchange, exchange.next, now, self._clock.monotonic_ns())
            frames.append(key + exchange.requests[exchange.next].tail)
            exchange.next += 1
        if frames:
            data = frames[0] if len(frames) == 1 else b"".join(frames)
            self._traffic.requests += len(frames)
            self._traffic.sent_bytes += len(data)
            if self._deadline is None:
                self._deadline = self._loop.call_at(now + self._timeout_s, self._expire)
            self._transport.write(data)

    def _send_later(self, wait_s: float) -> None:
        if self._pacing is None:
            self._pacing = self._loop.call_later(max(wait_s, _TICK_S), self._paced)

    def _paced(self) -> None:
        self._pacing = None
        self._send()

    def _scan(self) -> None:
        """Take every whole frame out of what has arrived.

        Bytes that a device adds to or leaves out of a frame show only by what follows it: so a frame is believed when
        nothing follows, or another frame.
        """
        data, at = self._rest, 0
        frames: list[bytes] = []
        try:
            while stop := frame_end(data, at):
                frames.append(data[at:stop])
                at = stop
            self._check(frames, len(data) - at)
        except Malformed as error:
            self._traffic.dropped += 1
            self._rest = b""
            self.give_up(f"{self._peer} does not speak Modbus TCP: {error}")
            return
        if frames and at < len(data):
            at -= len(frames.pop())
        self._rest = data[at:]
        for frame in frames:
            self._match(frame)
        self._send()

    def _check(self, frames: list[bytes], left: int) -> None:
        """Nothing follows an answer but other answers, late or doubled ones among them, and nothing at all the last.

        Raises: Malformed if something else does, so that the answer before it is in doubt as well
        """
        for frame in frames:
            if len(self._waiting) > 1 and self._swallowed(frame):
                raise Malformed("an answer inside another one")
        awaited = [i for i, frame in enumerate(frames) if frame[:2] in self._waiting]
        if not awaited:
            return
        for frame in frames[awaited[0] + 1 :]:
            age = (self._transaction - int.from_bytes(frame[:2], "big")) & 0xFFFF
            if age > _LATE or not is_reply(frame, self._unit):
                raise Malformed("a frame nobody asked for behind an answer")
        if left and len({frames[i][:2] for i in awaited}) == len(self._waiting):
            raise Malformed(f"{left} bytes too many behind an answer")

    def _swallowed(self, frame: bytes) -> bool:
        """Whether a frame that lost bytes was filled up with an answer to another outstanding request."""
        for key, (exchange, index, _, _) in self._waiting.items():
            if frame.find(key, 1) < 0:
                continue
            request = exchange.requests[index]
            refusal = key + b"\0\0\0\3" + bytes((request.tail[4], request.function | 0x80))
            if frame.find(key + request.head, 1) > 0 or frame.find(refusal, 1) > 0:
                return True
        return False

    def _match(self, frame: bytes) -> None:
        """Give one whole frame to the request it answers."""
        entry = self._waiting.pop(frame[:2], None)
        if entry is None:
            self._traffic.dropped += 1  # too late, twice, or never asked for
            return
        request = entry[0].requests[entry[1]]
        if len(frame) == request.size and frame.startswith(request.head, 2):
            self._take(entry, frame)
            return
        self._note_answer(entry)
        if len(frame) == 9 and frame[6] == request.tail[4] and frame[7] == request.function | 0x80 and frame[8]:
            if frame[8] in ABSENT:
                entry[0].give_up_rest(frame[8])
            self._fail(entry, frame[8])
        else:
            self._traffic.dropped += 1
            entry[0].misfit = misfit(frame, request)
            self._fail(entry, WRONG_REPLY)

    def _take(self, entry: tuple[Exchange, int, float, int], frame: bytes) -> None:
        """A good reply: its data into the image."""
        exchange, index, _, _ = entry
        self._note_answer(entry)
        request = exchange.requests[index]
        if request.bits:
            packed = np.frombuffer(frame, np.uint8, offset=9)
            exchange.image[request.at : request.stop] = np.unpackbits(
                packed, count=request.bits, bitorder="little"
            ).data
        elif request.stop > request.at:
            exchange.image[request.at : request.stop] = frame[9:]
        exchange.left -= 1
        if not exchange.left:
            self._finish(exchange)

    def _note_answer(self, entry: tuple[Exchange, int, float, int]) -> None:
        self._silences = 0
        self._traffic.slowest_s = max(self._traffic.slowest_s, (self._clock.monotonic_ns() - entry[3]) * 1e-9)
        if not self._pace.unlimited:
            self._pace.answered(self._loop.time())

    def _fail(self, entry: tuple[Exchange, int, float, int], code: int) -> None:
        exchange, index, _, _ = entry
        self._traffic.errors += 1
        exchange.failed[index] = code
        exchange.left -= 1
        if not exchange.left:
            self._finish(exchange)

    def _finish(self, exchange: Exchange) -> None:
        exchange.ended_ns = self._clock.now_ns()
        if not exchange.done.done():
            exchange.done.set_result(None)

    def _expire(self) -> None:
        """The oldest request may have waited too long."""
        self._deadline = None
        now = self._loop.time()
        while self._waiting:
            key, entry = next(iter(self._waiting.items()))
            due = entry[2] + self._timeout_s
            if due > now + _TICK_S / 2:
                self._deadline = self._loop.call_at(due, self._expire)
                break
            self._silences += 1
            if self._silences >= _SILENCES or self._rest:
                short = f" (a frame ended after {len(self._rest)} bytes)" if self._rest else ""
                self.give_up(f"no answer from {self._peer} within {self._timeout_s:g} s{short}")
                return
            del self._waiting[key]
            self._traffic.slowest_s = max(self._traffic.slowest_s, self._timeout_s)
            self._fail(entry, TIMED_OUT)
        self._send()

    def _end(self, why: NotConnected) -> None:
        if self.lost is not None:
            return
        self.lost = why
        for timer in (self._deadline, self._pacing):
            if timer is not None:
                timer.cancel()
        self._deadline = self._pacing = None
        self._traffic.errors += len(self._waiting)
        self._waiting.clear()
        if self._exchange is not None and not self._exchange.done.done():
            self._exchange.done.set_exception(why)

"""The MQTT listener's front: rewrites topics the bus cannot carry, and keeps devices apart.

nats-server drops a client that names a topic with a blank, and takes `*` and `>` for wildcards of its own; both are legal in MQTT. Between
client and server only bytes of topics change: in CONNECT (the will), PUBLISH, SUBSCRIBE and UNSUBSCRIBE on the way in, in PUBLISH
on the way out. Besides, a client id gets the user's name in front, so that no device can take over another's session. Whatever does
not parse ends that one client.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from dataclasses import dataclass
from typing import cast

from isthmus.values.errors import Malformed
from isthmus.values.ids import encode_segment
from isthmus.values.mqtt import (
    CONNECT,
    PUBLISH,
    SUBSCRIBE,
    UNSUBSCRIBE,
    boundary,
    from_field,
    packet,
    string,
    take_string,
    to_field,
)

MAX_PACKET = 1024 * 1024
MAX_CLIENTS = 2000
CONNECT_S = 10.0
"""Who has not said CONNECT by then is closed; so is the attempt to reach nats-server."""
HIGH_WATER = 256 * 1024


@dataclass(slots=True)
class Counts:
    """What the front has seen; all but ``open`` only grow."""

    open: int = 0
    accepted: int = 0
    refused: int = 0  # too many clients, or nats-server away
    malformed: int = 0
    rewritten: int = 0  # packets whose topics were changed


class _Rewriter:
    """Cuts a stream into packets and gives it on, some of them changed. Not usable any more after Malformed."""

    limit = MAX_PACKET

    def __init__(self) -> None:
        self._rest, self._need = bytearray(), 2

    def feed(self, chunk: bytes) -> bytes:
        """What goes on now.

        Raises: Malformed
        """
        rest = self._rest
        if rest:
            rest += chunk
            if len(rest) < self._need:
                return b""
            data = bytes(rest)
            rest.clear()
        else:
            data = chunk
        out: list[bytes] = []
        at = kept = 0
        end = len(data)
        self._need = 2
        while at < end:
            body, stop = boundary(data, at, end, self.limit)
            if stop == 0 or stop > end:
                self._need = max(stop - at, end - at + 1)
                break
            changed = self._packet(data, at, body, stop)
            if changed is not None:
                out.append(data[kept:at])
                out.append(changed)
                kept = stop
            at = stop
        if at < end:
            rest += data[at:]
        if not out:
            return data if at == end else data[:at]
        out.append(data[kept:at])
        return b"".join(out)

    def _packet(self, data: bytes, at: int, body: int, stop: int) -> bytes | None:
        """The packet rewritten, or None if it stays as it is."""
        raise NotImplementedError


class Inward(_Rewriter):
    """What a client sends."""

    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self._counts = counts
        self.connected = False  # CONNECT has been seen

    def feed(self, chunk: bytes) -> bytes:
        """What goes on to the server now.

        Raises: Malformed
        """
        if not self.connected and not self._rest and chunk and chunk[0] >> 4 != CONNECT:
            raise Malformed("the first packet is not CONNECT")
        return super().feed(chunk)

    def _packet(self, data: bytes, at: int, body: int, stop: int) -> bytes | None:
        changed = self._rewritten(data, at, body, stop)
        if changed is not None:
            self._counts.rewritten += 1
        return changed

    def _rewritten(self, data: bytes, at: int, body: int, stop: int) -> bytes | None:
        first = data[at]
        kind = first >> 4
        if not self.connected:
            self.connected = True
            return _connect(first, data[body:stop])
        if kind == PUBLISH:
            end = body + 2 + (data[body] << 8 | data[body + 1]) if stop - body >= 2 else stop + 1
            if end > stop or first & 0x06 == 0x06:
                raise Malformed("a PUBLISH that contradicts itself")
            topic = data[body + 2 : end]
            safe = _safe(topic)
            return None if safe is topic else packet(first, string(safe), data[end:stop])
        if kind in (SUBSCRIBE, UNSUBSCRIBE):
            return _subscribe(first, data[body:stop], options=kind == SUBSCRIBE)
        if kind == CONNECT:
            raise Malformed("a second CONNECT")
        return None


def _safe(topic: bytes) -> bytes:
    """A topic as the bus carries it; the same object if nothing changes.

    Raises: Malformed if it is none
    """
    if not topic or b"\0" in topic:
        raise Malformed("a topic that is empty or has a NUL")
    if not topic.isascii():
        try:
            topic.decode()
        except UnicodeDecodeError:
            raise Malformed("a topic that is not UTF-8") from None
    return to_field(topic)


def _subscribe(first: int, body: bytes, *, options: bool) -> bytes | None:
    if len(body) < 5:
        raise Malformed("a SUBSCRIBE without a topic")
    parts, changed, at = [body[:2]], False, 2
    while at < len(body):
        topic, at = take_string(body, at)
        safe = _safe(topic)
        changed = changed or safe is not topic
        parts.append(string(safe))
        if options:
            if at >= len(body):
                raise Malformed("a SUBSCRIBE that ends too early")
            parts.append(body[at : at + 1])
            at += 1
    return packet(first, *parts) if changed else None


def _connect(first: int, body: bytes) -> bytes | None:
    """CONNECT of MQTT 3 with the will's topic rewritten and the user in front of the client id; other versions go on as they are,
    and are refused by nats-server in the way their version wants it.
    """
    name, at = take_string(body, 0)
    if name not in (b"MQTT", b"MQIsdp") or at + 4 > len(body):
        raise Malformed("a CONNECT of another protocol")
    level, flags = body[at], body[at + 1]
    if level not in (3, 4):
        return None
    head = body[: at + 4]
    client, at = take_string(body, at + 4)
    will = b""
    if flags & 0x04:
        topic, at = take_string(body, at)
        message, at = take_string(body, at)
        will = string(_safe(topic)) + string(message)
    rest = body[at:]
    if client and flags & 0x80:
        user, _ = take_string(rest, 0)
        try:  # nats-server also refuses client ids with blanks, dots and slashes
            client = user + b":" + encode_segment(client.decode()).encode()
        except UnicodeDecodeError:
            raise Malformed("a client id that is not UTF-8") from None
    try:
        return packet(first, head, string(client), will, rest)
    except ValueError as error:
        raise Malformed(str(error)) from None


class Outward(_Rewriter):
    """What nats-server sends to a client: topics become what the publisher said."""

    limit = 4 * MAX_PACKET

    def _packet(self, data: bytes, at: int, body: int, stop: int) -> bytes | None:
        if data[at] >> 4 != PUBLISH:
            return None
        topic, tail = take_string(data, body)
        if tail > stop:
            raise Malformed("a PUBLISH that contradicts itself")
        return packet(data[at], string(from_field(topic)), data[tail:stop]) if b"%" in topic else None


class _Server(asyncio.Protocol):
    """The side towards nats-server."""

    def __init__(self, client: _Client) -> None:
        self._client, self._outward = client, Outward()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=HIGH_WATER)

    def data_received(self, data: bytes) -> None:
        try:
            self._client.say(self._outward.feed(data))
        except Malformed as error:
            self._client.end(f"nats-server: {error}")

    def pause_writing(self) -> None:
        self._client.hold()

    def resume_writing(self) -> None:
        self._client.go_on()

    def connection_lost(self, error: Exception | None) -> None:
        self._client.end("")


class _Client(asyncio.Protocol):
    """One client and its way to nats-server."""

    def __init__(self, front: Front) -> None:
        self._front, self._inward = front, Inward(front.counts)
        self._transport: asyncio.Transport | None = None
        self._server: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._early = bytearray()
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        self._transport.pause_reading()
        if not self._front.admit(self):
            self.end("")
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(CONNECT_S, self.end, "")
        self._task = loop.create_task(self._reach())

    async def _reach(self) -> None:
        server = _Server(self)
        try:
            async with asyncio.timeout(CONNECT_S):
                await asyncio.get_running_loop().create_connection(lambda: server, "127.0.0.1", self._front.inner_port)
        except (OSError, TimeoutError):
            self._front.counts.refused += 1
            self.end("")
            return
        self._server = server.transport
        if self.ended:
            if self._server is not None:
                self._server.abort()
        elif self._transport is not None and self._server is not None:
            self._server.write(bytes(self._early))
            self._early.clear()
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        try:
            safe = self._inward.feed(data)
        except Malformed as error:
            self._front.counts.malformed += 1
            self.end(str(error))
            return
        if self._server is not None:
            if safe:
                self._server.write(safe)
        else:  # not every loop lets a transport be paused before it has begun to read
            self._early += safe
            if len(self._early) > MAX_PACKET:
                self.end("too much before the server was reached")
        if self._timer is not None and self._inward.connected:
            self._timer.cancel()
            self._timer = None

    def say(self, data: bytes) -> None:
        """Bytes for the client."""
        if data and self._transport is not None:
            self._transport.write(data)

    def hold(self) -> None:
        """The server takes no more for now."""
        if self._transport is not None and not self.ended:
            self._transport.pause_reading()

    def go_on(self) -> None:
        """The server takes again."""
        if self._transport is not None and not self.ended:
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        if self._server is not None and not self.ended:
            self._server.pause_reading()

    def resume_writing(self) -> None:
        if self._server is not None and not self.ended:
            self._server.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.end("")

    def end(self, reason: str) -> None:
        """Close both sides; what nats-server has already said still arrives."""
        if self.ended:
            return
        self.ended = True
        self._front.leave(self, reason)
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._server.abort() if reason else self._server.close()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close both sides at once."""
        self.end("")
        for transport in (self._server, self._transport):
            if transport is not None:
                transport.abort()

    async def gone(self) -> None:
        """Wait until nothing of it is left."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task


class Front:
    """Listens for devices (with TLS, if wanted) and, on a loopback port of its own, for edges of this machine."""

    def __init__(self, inner_port: int, log: logging.Logger) -> None:
        self.inner_port, self._log = inner_port, log
        self.counts = Counts()
        self._clients: set[_Client] = set()
        self._servers: list[asyncio.Server] = []
        self._told = 0

    async def listen(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen, on one more place; the port.

        Raises: OSError if the place is taken
        """
        server = await asyncio.get_running_loop().create_server(lambda: _Client(self), host, port, ssl=tls)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """End every link and listen no more."""
        for server in self._servers:
            server.close()
        clients = list(self._clients)
        for client in clients:
            client.abort()
        await asyncio.gather(*(c.gone() for c in clients))
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()
        await asyncio.sleep(0)

    def admit(self, client: _Client) -> bool:
        """Whether there is room for one more."""
        if len(self._clients) >= MAX_CLIENTS:
            self.counts.refused += 1
            return False
        self._clients.add(client)
        self.counts.open += 1
        self.counts.accepted += 1
        return True

    def leave(self, client: _Client, reason: str) -> None:
        """One has gone; of those who went because of nonsense, only some are told, as a device tries again and again."""
        if client in self._clients:
            self._clients.discard(client)
            self.counts.open -= 1
        if reason:
            self._told += 1
            if self._told & (self._told - 1) == 0:  # the 1st, 2nd, 4th, 8th …
                self._log.warning("a client was cut off (%d so far): %s", self._told, reason)

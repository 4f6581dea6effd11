"""One connection to a broker: MQTT 3.1.1 and 5 on the event loop itself, confirmations only when told to.

What arrives is kept in a bounded inbox that its reader takes whole; beyond the bound the socket is not read, so that the broker waits.

Source: OASIS MQTT 3.1.1 and MQTT 5.0, section 3 (packets) and 4.3 (delivery)
"""

from __future__ import annotations

import asyncio
import errno
import math
import secrets
import socket
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Final, cast

from isthmus.drivers.mqtt.config import BUILTIN, BrokerConfig
from isthmus.drivers.mqtt.mapping import Message
from isthmus.ports.drivers import DriverContext, Traffic
from isthmus.values import mqtt
from isthmus.values.clock import Clock
from isthmus.values.errors import ConfigError, Malformed, NotConnected

MAX_PACKET: Final = 16 * 1024 * 1024
"""A larger packet ends the link; it could not be left out without reading it."""
MAX_INBOX_BYTES: Final = 64 * 1024 * 1024
RECEIVE_MAXIMUM: Final = 5000
"""Messages of QoS 1 and 2 a broker of version 5 may have on their way to us."""
SUBSCRIBE_BYTES: Final = 60_000

_REFUSED: Final = {
    1: "it does not speak this version of MQTT",
    2: "it refuses the client id",
    3: "it is not available",
    4: "user or password is wrong",
    5: "not authorised (user, password or address)",
    0x81: "it takes our packet for malformed",
    0x84: "it does not speak this version of MQTT",
    0x85: "it refuses the client id",
    0x86: "user or password is wrong",
    0x87: "not authorised",
    0x88: "it is not available",
    0x89: "it is busy",
    0x8A: "we are banned",
    0x8B: "it is shutting down",
    0x8D: "it heard nothing from us for too long",
    0x8E: "another client came with our client id",
    0x93: "more unconfirmed messages than it may send",
    0x95: "a packet was too large for it",
    0x97: "a quota is exceeded",
}


class Link(asyncio.Protocol):
    """Made by `connect`; ``lost`` tells why it ended."""

    def __init__(self, config: BrokerConfig, traffic: Traffic, clock: Clock) -> None:
        self._version, self._keep_alive_s = 5 if config.version == "5" else 4, config.keep_alive_s
        self._max_waiting = config.max_waiting
        self._traffic, self._clock = traffic, clock
        self._packets = mqtt.Packets(MAX_PACKET)
        self._transport: asyncio.Transport | None = None
        self._inbox: list[Message] = []
        self._inbox_bytes = 0
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._answers: dict[int, asyncio.Future[bytes]] = {}  # by packet id; 0 is CONNACK
        self._number = 0
        self._held: set[int] = set()  # messages that came and were not confirmed yet
        self._released: set[int] = set()  # QoS 2 messages we have answered by PUBREC
        self._timer: asyncio.TimerHandle | None = None
        self._heard_s = 0.0
        self._closing = False
        self._pings = self._pongs = 0
        self._pinging: list[tuple[int, asyncio.Future[None]]] = []  # which answer somebody waits for
        self._gone = asyncio.get_running_loop().create_future()
        self.lost: str | None = None
        self.resumed = False  # the broker had kept our session

    # ------------------------------------------------------------- transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._end(f"the broker closed the connection{f' ({error})' if error else ''}")
        if not self._gone.done():
            self._gone.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._traffic.received_bytes += len(data)
        try:
            packets = self._packets.feed(data)
            now_ns = self._clock.now_ns()
            for first, body in packets:
                if first >> 4 == mqtt.PUBLISH:
                    self._published(first, body, now_ns)
                else:
                    self._control(first >> 4, body)
        except (Malformed, IndexError) as error:
            self._traffic.dropped += 1
            self._end(f"the broker sent what is no MQTT: {error}")
            return
        self._heard_s = asyncio.get_running_loop().time()
        if self._inbox:
            self._wake()
            if len(self._inbox) >= self._max_waiting or self._inbox_bytes >= MAX_INBOX_BYTES:
                self._pause()

    def _published(self, first: int, body: bytes, now_ns: int) -> None:
        topic_end = 2 + (body[0] << 8 | body[1])
        at, number = topic_end, 0
        qos = first >> 1 & 3
        if qos:
            if qos == 3 or topic_end + 2 > len(body):
                raise Malformed("a PUBLISH that contradicts itself")
            number = body[at] << 8 | body[at + 1]
            at += 2
            if not number:
                raise Malformed("a PUBLISH without a number")
            if qos == 2 and number in self._released:  # we had it; our answer was lost
                self._send(mqtt.packet(mqtt.PUBREC << 4, number.to_bytes(2, "big")))
                return
            if number in self._held:  # sent again because we have not confirmed it yet
                return
        if self._version == 5:
            size, at = mqtt.take_varint(body, at)
            at += size
        if at > len(body) or topic_end <= 2:
            raise Malformed("a PUBLISH without a topic, or that ends too early")
        if number:
            self._held.add(number)
        self._inbox.append(Message(body[2:topic_end], body[at:], first, number, now_ns))
        self._inbox_bytes += len(body)

    def _control(self, kind: int, body: bytes) -> None:
        if kind == mqtt.CONNACK:
            self._answer(0, body)
        elif kind in (mqtt.SUBACK, mqtt.UNSUBACK, mqtt.PUBACK, mqtt.PUBCOMP):
            self._answer(int.from_bytes(body[:2], "big"), body[2:])
        elif kind == mqtt.PUBREL:
            self._released.discard(int.from_bytes(body[:2], "big"))
            self._send(mqtt.packet(mqtt.PUBCOMP << 4, body[:2]))
        elif kind == mqtt.DISCONNECT and self._version == 5:
            code = body[0] if body else 0
            self._end(f"the broker said good-bye: {_REFUSED.get(code, f'code 0x{code:02X}')}")
        elif kind == mqtt.PINGRESP:
            self._ponged()
        else:
            raise Malformed(f"a packet of kind {kind}, which no broker sends")

    def _ponged(self) -> None:
        """An answer to the oldest ping that has none; one too many is nobody's."""
        self._pongs = min(self._pongs + 1, self._pings)
        for number, waiting in self._pinging:
            if number <= self._pongs and not waiting.done():
                waiting.set_result(None)

    def _answer(self, number: int, body: bytes) -> None:
        waiting = self._answers.pop(number, None)
        if waiting is None:
            self._traffic.dropped += 1
        elif not waiting.done():
            waiting.set_result(body)

    def _send(self, data: bytes) -> None:
        if self._transport is not None and self.lost is None:
            self._traffic.sent_bytes += len(data)
            self._transport.write(data)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _pause(self) -> None:
        if not self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def _end(self, reason: str) -> None:
        """The link is over; whoever waits is told."""
        if self.lost is not None:
            return
        self.lost = reason
        if self._timer is not None:
            self._timer.cancel()
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_exception(NotConnected(reason))
                waiting.exception()  # whoever waited may have been cancelled
        self._answers.clear()
        for _, pinged in self._pinging:
            if not pinged.done():
                pinged.set_exception(NotConnected(reason))
                pinged.exception()  # as above
        self._wake()
        if self._transport is not None:
            self._transport.abort()

    # ---------------------------------------------------------------- asking

    async def _ask(self, number: int, data: bytes, timeout_s: float, what: str) -> bytes:
        if self.lost is not None:
            raise NotConnected(self.lost)
        waiting = self._answers[number] = asyncio.get_running_loop().create_future()
        began_ns = self._clock.monotonic_ns()
        self._traffic.requests += 1
        self._send(data)
        try:
            async with asyncio.timeout(timeout_s):
                answer: bytes = await waiting
        except TimeoutError:
            self._traffic.errors += 1
            raise NotConnected(f"the broker did not answer {what} within {timeout_s:g} s") from None
        finally:
            self._answers.pop(number, None)
        self._traffic.slowest_s = max(self._traffic.slowest_s, (self._clock.monotonic_ns() - began_ns) / 1e9)
        return answer

    def _next(self) -> int:
        self._number = self._number % 65_535 + 1
        return self._number

    async def hello(self, data: bytes, timeout_s: float) -> None:
        """Say CONNECT.

        Raises: NotConnected with the broker's reason
        """
        answer = await self._ask(0, data, timeout_s, "CONNECT")
        if len(answer) < 2:
            self._end("the broker's CONNACK is too short")
            raise NotConnected(str(self.lost))
        if answer[1]:
            reason = f"the broker refuses us: {_REFUSED.get(answer[1], f'code 0x{answer[1]:02X}')}"
            self._end(reason)
            raise NotConnected(reason)
        self.resumed = bool(answer[0] & 1)
        if self._version == 5:
            self._keep_alive_s = _server_keep_alive(answer) or self._keep_alive_s
        self._heard_s = asyncio.get_running_loop().time()
        self._look_after()

    def _look_after(self) -> None:
        """Ping when it is quiet; end the link when it stays so."""
        loop = asyncio.get_running_loop()
        quiet_s = loop.time() - self._heard_s
        if quiet_s > 1.5 * self._keep_alive_s and not self._paused:
            self._end(f"nothing heard from the broker for {quiet_s:.0f} s")
            return
        self._ping()
        self._timer = loop.call_later(self._keep_alive_s / 2, self._look_after)

    async def subscribe(self, filters: Sequence[str], qos: int, timeout_s: float) -> dict[str, str]:
        """Subscribe; refused filters with the reason.

        Raises: NotConnected when the link is gone
        """
        refused: dict[str, str] = {}
        for group in mqtt.batches(list(filters), SUBSCRIBE_BYTES):
            number = self._next()
            parts = [number.to_bytes(2, "big"), b"\0" if self._version == 5 else b""]
            for one in group:
                parts += [mqtt.string(one), bytes((qos,))]
            answer = await self._ask(
                number, mqtt.packet(mqtt.SUBSCRIBE << 4 | 2, *parts), timeout_s, f"SUBSCRIBE {group[0]}"
            )
            codes = answer
            if self._version == 5:
                size, at = mqtt.take_varint(answer, 0)
                codes = answer[at + size :]
            if len(codes) != len(group):
                self._end("the broker's SUBACK does not fit")
                raise NotConnected(str(self.lost))
            refused |= {
                one: f"the broker refuses the subscription to {one} (code 0x{code:02X})"
                for one, code in zip(group, codes, strict=True)
                if code >= 0x80
            }
        return refused

    async def publish(
        self,
        topic: str,
        payload: bytes,
        timeout_s: float,
        *,
        qos: int = 0,
        retain: bool = False,
        expiry_s: int = 0,
    ) -> int:
        """Publish; with QoS 1 until the broker has it. The broker's reason code, 0 if it has none.

        ``expiry_s`` keeps a broker of version 5 from delivering it later than that; 0: whenever.
        Raises: NotConnected when the link is gone, or the broker did not answer
        """
        five = self._version == 5
        number = self._next() if qos else 0
        properties = b""
        if five:
            expiry = b"\x02" + expiry_s.to_bytes(4, "big") if expiry_s else b""
            properties = mqtt.varint(len(expiry)) + expiry
        parts = [mqtt.string(topic), number.to_bytes(2, "big") if qos else b"", properties]
        data = mqtt.packet(mqtt.PUBLISH << 4 | qos << 1 | retain, *parts, payload)
        if qos:
            answer = await self._ask(number, data, timeout_s, f"PUBLISH {topic}")
            return answer[0] if five and answer else 0
        if self.lost is not None:
            raise NotConnected(self.lost)
        self._send(data)
        return 0

    async def settle(self, timeout_s: float) -> None:
        """Wait until the broker has taken everything that was sent, QoS 0 too: it answers a ping behind it.

        Raises: NotConnected
        """
        if self.lost is not None:
            raise NotConnected(self.lost)
        waiting = asyncio.get_running_loop().create_future()
        entry = self._pings + 1, waiting
        self._pinging.append(entry)
        self._ping()
        try:
            async with asyncio.timeout(timeout_s):
                await waiting
        except TimeoutError:
            self._traffic.errors += 1
            raise NotConnected(f"the broker did not answer a ping within {timeout_s:g} s") from None
        finally:
            self._pinging.remove(entry)

    def _ping(self) -> None:
        self._pings += 1
        self._send(mqtt.packet(mqtt.PINGREQ << 4))

    # --------------------------------------------------------------- reading

    async def messages(self, until_s: float | None = None) -> list[Message]:
        """All messages that came since the last call; waits for the first one, until a time of the loop at most.

        Raises: NotConnected when the link is gone and everything was taken
        """
        loop = asyncio.get_running_loop()
        if not self._inbox:
            if self.lost is not None:
                raise NotConnected(self.lost)
            self._waiter = loop.create_future()
            alarm = None if until_s is None else loop.call_at(until_s, self._wake)
            try:
                await self._waiter
            finally:
                self._waiter = None
                if alarm is not None:
                    alarm.cancel()
        taken, self._inbox, self._inbox_bytes = self._inbox, [], 0
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._heard_s = loop.time()
            self._transport.resume_reading()
        if not taken and self.lost is not None:
            raise NotConnected(self.lost)
        return taken

    def confirm(self, numbers: Sequence[tuple[int, int]]) -> None:
        """Tell the broker that messages, as (packet id, QoS), are safe."""
        out = []
        for number, qos in numbers:
            self._held.discard(number)
            if qos == 2:
                self._released.add(number)
            out.append(bytes(((mqtt.PUBACK if qos == 1 else mqtt.PUBREC) << 4, 2, number >> 8, number & 0xFF)))
        if out:
            self._send(b"".join(out))

    def give_up(self, reason: str) -> None:
        """End the link, so that what was not confirmed is sent again in the next one."""
        self._end(reason)

    async def close(self) -> None:
        """Say good-bye and let go."""
        if self.lost is None:
            self._send(mqtt.packet(mqtt.DISCONNECT << 4))
            if self._transport is not None:
                self._transport.close()
                await asyncio.wait({self._gone}, timeout=0.5)
        self._end("closed")
        if self._transport is not None:
            await asyncio.wait({self._gone}, timeout=0.5)


class Unconfirmed:
    """Which messages the broker waits to have confirmed, by the yield that carried them."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, list[tuple[int, int]]]] = deque()
        self._count = 0

    def carried(self, messages: Sequence[Message]) -> None:
        """The next yield carries these."""
        self._count += 1
        numbers = [(m.number, m.first >> 1 & 3) for m in messages if m.number]
        if numbers:
            self._waiting.append((self._count, numbers))

    def until(self, count: int) -> list[tuple[int, int]]:
        """What the first ``count`` yields carried and was not given before."""
        found: list[tuple[int, int]] = []
        while self._waiting and self._waiting[0][0] <= count:
            found += self._waiting.popleft()[1]
        return found


def _server_keep_alive(connack: bytes) -> float:
    """The keep-alive a broker of version 5 insists on, 0 if it does not."""
    size, at = mqtt.take_varint(connack, 2)
    end = min(at + size, len(connack))
    lengths = {0x11: 4, 0x21: 2, 0x24: 1, 0x25: 1, 0x27: 4, 0x22: 2, 0x28: 1, 0x29: 1, 0x2A: 1, 0x13: 2}
    while at < end:
        name = connack[at]
        at += 1
        if name == 0x13:
            return float(int.from_bytes(connack[at : at + 2], "big"))
        if name in lengths:
            at += lengths[name]
        elif name == 0x26:
            _, at = mqtt.take_string(connack, at)
            _, at = mqtt.take_string(connack, at)
        else:
            _, at = mqtt.take_string(connack, at)
    return 0.0


def _hello(
    config: BrokerConfig, client_id: str, user: str, password: str, *, clean: bool, will: tuple[str, bytes] | None
) -> bytes:
    """CONNECT. The will is retained and sent with QoS 1.

    Raises: ConfigError if a text is too long for the protocol
    """
    five = config.version == "5"
    flags = (0x80 if user else 0) | (0x40 if password else 0) | (0x02 if clean else 0)
    properties = b""
    if five:
        own = b"" if clean else b"\x11" + int(config.session_s).to_bytes(4, "big")
        own += b"\x21" + RECEIVE_MAXIMUM.to_bytes(2, "big") + b"\x27" + MAX_PACKET.to_bytes(4, "big")
        properties = mqtt.varint(len(own)) + own
    parts = [
        mqtt.string("MQTT"),
        b"\x05" if five else b"\x04",
        b"",
        math.ceil(config.keep_alive_s).to_bytes(2, "big"),
        properties,
    ]
    try:
        parts.append(mqtt.string(client_id))
        if will is not None:
            flags |= 0x04 | 0x08 | 0x20
            parts += [b"\0" if five else b"", mqtt.string(will[0]), mqtt.string(will[1])]
        parts += [mqtt.string(user)] if user else []
        parts += [mqtt.string(password)] if password else []
    except ValueError as error:
        raise ConfigError(f"user, password or client_id: {error}") from None
    parts[2] = bytes((flags,))
    return mqtt.packet(mqtt.CONNECT << 4, *parts)


def _tls(config: BrokerConfig) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=config.ca or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"ca: {config.ca} cannot be used: {error}") from None


def place_of(config: BrokerConfig, context: DriverContext) -> tuple[str, int, str, str]:
    """Host, port, user and password, as they are now.

    Raises: NotConnected while the built-in listener is off; ConfigError for a secret that is not there
    """
    if config.broker != BUILTIN:
        return *config.place, config.user, context.secret(config.password) if config.password else ""
    try:
        field = context.field()
    except ConfigError as error:
        raise NotConnected(str(error)) from None  # it may be switched on by a new start of the bus, without a new model
    return field.host, field.port, field.user, field.password


async def connect(
    config: BrokerConfig,
    context: DriverContext,
    traffic: Traffic,
    *,
    clean: bool,
    will: tuple[str, bytes] | None = None,
    suffix: str = "",
) -> Link:
    """A link whose broker has said yes.

    Raises: NotConnected with the reason in words a technician understands
    """
    host, port, user, password = place_of(config, context)
    client_id = (config.client_id or context.name) + suffix
    hello = _hello(config, client_id, user, password, clean=clean, will=will)
    tls = _tls(config) if config.tls else None
    loop = asyncio.get_running_loop()
    link = Link(config, traffic, context.clock)
    try:
        async with asyncio.timeout(config.timeout_s):
            await loop.create_connection(lambda: link, host, port, ssl=tls)
    except TimeoutError:
        raise NotConnected(f"no answer from {host} port {port} within {config.timeout_s:g} s") from None
    except ssl.SSLCertVerificationError as error:
        raise NotConnected(f"the certificate of {host} is not trusted: {error.verify_message}") from None
    except ssl.SSLError as error:
        raise NotConnected(f"{host} port {port} does not speak TLS with us ({error.reason or error})") from None
    except ConnectionRefusedError:
        raise NotConnected(f"nobody listens on port {port} at {host} (connection refused)") from None
    except socket.gaierror as error:
        raise NotConnected(f"the name {host} is not known ({error.strerror})") from None
    except OSError as error:
        words = {errno.EHOSTUNREACH: "no way to", errno.ENETUNREACH: "no network to"}
        said = words.get(error.errno or 0, "cannot connect to")
        raise NotConnected(f"{said} {host} port {port} ({error.strerror or error})") from None
    try:
        await link.hello(hello, config.timeout_s)
    except BaseException:
        await link.close()
        raise
    return link


def probe_suffix() -> str:
    """Makes a client id nobody else has, so that a test does not push the running connection aside."""
    return f"-{secrets.token_hex(4)}"

"""A client of the bus that stays: connects, checks who answers, and tells when the link comes and goes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext
from nats.js.api import (
    ConsumerConfig,
    DeliverPolicy,
    KeyValueConfig,
    RetentionPolicy,
    StorageType,
    StoreCompression,
    StreamConfig,
)

from isthmus.bus import subjects
from isthmus.bus.broker import BusAddress, inbox_prefix
from isthmus.bus.turns import Turns
from isthmus.values.errors import NotConnected, TryLater


class NobodyListens(NotConnected):
    """The bus has said that nobody listens there: what was asked reached nobody."""


MAX_STREAM_BYTES = 10 * 1024**3
KEEP_BYTES = 256 * 1024**2
"""So much stays also when everybody has read it: a killed nats-server reads it in two seconds."""
MAX_STREAM_AGE_S = 7 * 24 * 3600
DUPLICATE_WINDOW_S = 600


class Bus:
    """One connection, kept open for ever; ``reconnected`` is set anew at each come-back."""

    def __init__(self, address: BusAddress, log: logging.Logger) -> None:
        self._address = address
        self._tls = address.context()
        self._log = log
        self.nc: Client = Client()
        self.js: JetStreamContext = self.nc.jetstream(timeout=5)
        self._waiters: set[asyncio.Event] = set()
        self._answering: set[asyncio.Task[None]] = set()
        self._lost = self._refused = False
        self.turns = Turns()

    @property
    def connected(self) -> bool:
        """Whether the link is up as far as we know."""
        return bool(self.nc.is_connected)

    async def connect(self, timeout_s: float = 30.0) -> None:
        """Connect, waiting for the server to come up.

        Raises: NotConnected when nobody, or somebody else, answers
        """
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            try:
                await self.nc.connect(
                    self._address.url,
                    **self._credentials(),
                    name=self._address.user,
                    inbox_prefix=inbox_prefix(self._address.user).encode(),
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=0.2,
                    ping_interval=2,
                    max_outstanding_pings=3,
                    connect_timeout=2,
                    allow_reconnect=True,
                    reconnected_cb=self._on_reconnected,
                    disconnected_cb=self._on_disconnected,
                    error_cb=self._on_error,
                    pending_size=32 * 1024 * 1024,
                )
                break
            except (OSError, TimeoutError, nats.errors.Error) as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise NotConnected(f"no bus at {self._address.url}: {error or type(error).__name__}") from error
                self.nc = Client()
                self.js = self.nc.jetstream(timeout=5)
                await asyncio.sleep(0.05)
        server = str(self.nc._server_info.get("server_name", ""))  # noqa: SLF001  the client offers no public way to the greeting
        if server != self._address.server_name:
            await self.nc.close()
            raise NotConnected(
                f"{self._address.url} is answered by {server!r}, not by our {self._address.server_name!r}"
            )

    def _credentials(self) -> dict[str, Any]:
        found: dict[str, Any] = {"user": self._address.user, "password": self._address.password}
        if self._address.seed:
            found = {"nkeys_seed_str": self._address.seed}
        if self._tls is not None:
            found |= {"tls": self._tls, "tls_handshake_first": True}
        return found

    async def close(self) -> None:
        """Flush what is written and close; never waits longer than two seconds."""
        for task in self._answering:
            task.cancel()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self.nc.flush(), 1)
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self.nc.close(), 1)
        reconnecting = self.nc._reconnection_task  # noqa: SLF001  one that was refused as it closed may outlive it
        if reconnecting is not None and not reconnecting.done():
            reconnecting.cancel()
            await asyncio.wait({reconnecting}, timeout=1)

    async def _on_reconnected(self) -> None:
        if self._lost:
            self._log.info("bus is back")
        self._lost = self._refused = False
        for waiter in tuple(self._waiters):
            waiter.set()

    async def _on_disconnected(self) -> None:
        if self._tls is not None:  # it may have been renewed since; one that is being written keeps the old one
            with contextlib.suppress(OSError):
                self._tls.load_cert_chain(self._address.certificate)
        if not self._lost and not self.nc.is_closed:
            self._log.warning("bus is gone; reconnecting")
            self._lost = True

    async def _on_error(self, error: Exception) -> None:
        if "authorization violation" in str(error).lower():
            if not self._refused:
                self._log.error("the bus refuses %s: it was cut off, or its credentials are old", self._address.user)
            self._refused = True
            return
        if not self._lost and not isinstance(error, (OSError, TimeoutError)):
            self._log.warning("bus: %s", error or type(error).__name__)

    @contextlib.contextmanager
    def reconnects(self) -> Iterator[asyncio.Event]:
        """An event that is set each time the link came back; whoever clears it waits for the next time."""
        event = asyncio.Event()
        self._waiters.add(event)
        try:
            yield event
        finally:
            self._waiters.discard(event)

    # what core does once, before anybody publishes

    async def ensure_stream(self, folder: Path) -> int:
        """Make (or adjust) the stream of frames; its size limit in bytes.

        Cost: kept bytes are at most 10 GB and a tenth of the volume; the oldest go first. ``trim`` lets go of what was read.
        """
        max_bytes = min(MAX_STREAM_BYTES, shutil.disk_usage(folder).total // 10)
        config = StreamConfig(
            name=subjects.FRAME_STREAM,
            subjects=[subjects.FRAME_FILTER],
            retention=RetentionPolicy.LIMITS,
            storage=StorageType.FILE,
            max_bytes=max_bytes,
            max_age=MAX_STREAM_AGE_S,
            duplicate_window=DUPLICATE_WINDOW_S,
            compression=StoreCompression.S2,
            num_replicas=1,
        )
        try:
            await self.js.add_stream(config)
        except nats.js.errors.BadRequestError:
            await self.js.update_stream(config)
        try:
            await self.js.key_value(subjects.MODEL_BUCKET)
        except nats.js.errors.BucketNotFoundError:
            await self.js.create_key_value(KeyValueConfig(bucket=subjects.MODEL_BUCKET, history=3, direct=True))
        return max_bytes

    async def stream_state(self) -> tuple[int, int, int]:
        """First and last sequence and bytes of the stream of frames."""
        info = await self.js.stream_info(subjects.FRAME_STREAM)
        return info.state.first_seq, info.state.last_seq, info.state.bytes

    async def stream_place(self) -> tuple[str, int]:
        """Which stream of frames it is, and its last sequence; a bus that lost its files has another stream."""
        info = await self.js.stream_info(subjects.FRAME_STREAM)
        return (info.created.isoformat() if info.created else ""), info.state.last_seq

    async def drop_reader(self, durable: str) -> None:
        """Forget the place of a reader; nothing happens if there is none."""
        with contextlib.suppress(nats.js.errors.NotFoundError):
            await self.js.delete_consumer(subjects.FRAME_STREAM, durable)

    async def acknowledged(self) -> int:
        """The last frame that every reader of the stream has durably handled; what follows is owed to somebody."""
        readers = await self.js.consumers_info(subjects.FRAME_STREAM)
        return min((r.ack_floor.stream_seq if r.ack_floor else 0 for r in readers), default=0)

    async def trim(self, keep_bytes: int = KEEP_BYTES) -> int:
        """Let the oldest frames go that every reader has durably handled, down to so many bytes; how many went.

        A killed nats-server reads all it holds before it answers again, so what nobody is owed must not become gigabytes.
        """
        info = await self.js.stream_info(subjects.FRAME_STREAM)
        state = info.state
        if state.bytes <= keep_bytes or not state.messages:
            return 0
        surplus = int(state.messages * (1 - keep_bytes / state.bytes))
        first = int(state.first_seq)
        until = min(first + surplus, await self.acknowledged() + 1)
        if until <= first:
            return 0
        await self.js.purge_stream(subjects.FRAME_STREAM, seq=until)
        return until - first

    async def copy(self, first: int, last: int) -> AsyncIterator[Msg]:
        """Stored frames from one number to another, in order, as they lie there; those that are gone are left out."""
        subscription = await self.js.subscribe(
            subjects.FRAME_FILTER,
            stream=subjects.FRAME_STREAM,
            ordered_consumer=True,
            config=ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=first),
        )
        try:
            while True:
                try:
                    message = await subscription.next_msg(timeout=30)
                except (nats.errors.TimeoutError, TimeoutError):
                    raise TryLater(f"the bus did not give frame {last} within 30 s") from None
                number = int(message.metadata.sequence.stream)
                if number <= last:
                    yield message
                if number >= last:
                    return
        finally:
            with contextlib.suppress(Exception):
                await subscription.unsubscribe()

    # models

    async def put_model(self, edge: str, data: bytes) -> None:
        """Store an edge's model and tell the edge; does nothing when it is there already."""
        bucket = await self.js.key_value(subjects.MODEL_BUCKET)
        key = subjects.model_key(edge)
        with contextlib.suppress(nats.js.errors.KeyNotFoundError):
            if (await bucket.get(key)).value == data:
                return
        await bucket.put(key, data)
        await self.nc.publish(subjects.model_poke(edge))

    async def get_model(self, edge: str) -> bytes | None:
        """The model that waits for an edge, or None.

        Raises: NotConnected, TryLater
        """
        key = f"$JS.API.DIRECT.GET.KV_{subjects.MODEL_BUCKET}.$KV.{subjects.MODEL_BUCKET}.{subjects.model_key(edge)}"
        answer = await self.request(key, b"", timeout_s=3)
        status = (answer.headers or {}).get("Status", "")
        if status == "404":
            return None
        if status:
            raise TryLater(f"model store answers {status}")
        return bytes(answer.data)

    # plain messages

    async def publish_json(self, subject: str, message: dict[str, object]) -> None:
        """Say something nobody stores; lost when the link is gone."""
        if self.connected:
            await self.nc.publish(subject, json.dumps(message).encode())

    async def request(self, subject: str, data: bytes, timeout_s: float) -> Msg:
        """Ask and wait for one answer.

        Raises: NotConnected when nobody listens (NobodyListens) or the link is gone, TryLater when the answer did not come in
                time
        """
        try:
            return await self.nc.request(subject, data, timeout=timeout_s)
        except nats.errors.NoRespondersError:
            raise NobodyListens(f"nobody answers on {subject}") from None
        except (nats.errors.TimeoutError, TimeoutError):
            raise TryLater(f"no answer on {subject} within {timeout_s:g} s") from None
        except (nats.errors.Error, OSError) as error:
            raise NotConnected(f"bus: {error}") from error

    async def listen(
        self, subject: str, handle: Callable[[str, bytes], Awaitable[bytes | None]], *, together: bool = False
    ) -> Callable[[], Awaitable[None]]:
        """Call ``handle(subject, data)`` for each message; bytes it returns are the answer. What is returned ends it.

        One message after the other, or ``together``: a slow answer keeps none waiting, and the handler bounds how many it takes.
        """

        async def receive(message: Msg) -> None:
            try:
                answer = await handle(message.subject, message.data)
            except Exception:
                self._log.exception("handler of %s failed", subject)
                return
            if answer is not None and message.reply:
                await message.respond(answer)

        async def begin(message: Msg) -> None:
            task = asyncio.create_task(receive(message), name=f"answer {subject}")
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

        subscription = await self.nc.subscribe(subject, cb=begin if together else receive)
        return partial(_unsubscribe, subscription)


async def _unsubscribe(subscription: Subscription) -> None:
    with contextlib.suppress(nats.errors.Error, OSError):
        await subscription.unsubscribe()

"""The live stream: what is in view, and of that only what changed. The layout is told in docs/api.md.

Each viewer has a task of its own that sends what changed since its last completed send, so a slow viewer gets fewer and
newer frames and holds nobody else. One ticker wakes them, at most 20 times a second, and only those for whom there is
something.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

import numpy as np
import orjson
from numpy.typing import NDArray
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from isthmus.namespace.live import FORMS, LiveRows, LiveTable
from isthmus.security.model import Action, Principal
from isthmus.security.policy import Policies
from isthmus.security.service import Security
from isthmus.values import status
from isthmus.values.clock import NS_PER_MS, Clock
from isthmus.values.errors import Denied, Malformed, TryLater
from isthmus.values.sample import ValueType
from isthmus.web.access import among
from isthmus.web.doors import PRINCIPAL
from isthmus.web.problems import NotFound
from isthmus.web.services import EdgeStatus

VERSION: Final = 1
KIND_VALUES: Final = 1
MOST_SLOTS: Final = 50_000
MOST_VIEWERS: Final = 1_000
TICK_S: Final = 0.05
BEAT_TICKS: Final = 40
ALARM_TICKS: Final = 5
PROTOCOL: Final = "isthmus.live.v1"
SIGNED_OUT: Final = 4401
NOT_ALLOWED: Final = 4403
GOING_AWAY: Final = 1001

_HEADER = struct.Struct("<BBHIIId")
_EXACT = 2**53
_INT, _TEXT = FORMS.index(ValueType.INT), FORMS.index(ValueType.TEXT)


def encode_values(view: int, now_ns: int, slots: NDArray[np.uint32], rows: LiveRows) -> bytes:
    """One binary frame. Shapes: slots (n,), the columns of rows (n,)"""
    n = len(slots)
    parts = [
        _HEADER.pack(VERSION, KIND_VALUES, 0, n, view, 0, now_ns / NS_PER_MS),
        (rows.time_ns // NS_PER_MS + rows.time_ns % NS_PER_MS / NS_PER_MS)
        .astype("<f8")
        .tobytes(),  # whole ms stay whole
        rows.value.astype("<f8", copy=False).tobytes(),
        slots.astype("<u4", copy=False).tobytes(),
        b"\0" * (4 * (n % 2)),
        rows.status.astype("<u4", copy=False).tobytes(),
    ]
    texts = _texts(slots, rows)
    if texts:  # blanks keep it on a multiple of 8, and JSON does not mind them
        parts += [b" " * (4 * (n % 2)), orjson.dumps(texts)]
    return b"".join(parts)


def _texts(slots: NDArray[np.uint32], rows: LiveRows) -> list[list[object]]:
    """What a float64 cannot carry: texts, and integers beyond 2^53."""
    large = (rows.form == _INT) & ((rows.ints > _EXACT) | (rows.ints < -_EXACT))
    wanted = ((rows.form == _TEXT) | large) & ~status.is_bad(rows.status)
    found = np.flatnonzero(wanted).tolist()
    return [[int(slots[i]), rows.text[i] if rows.form[i] == _TEXT else str(int(rows.ints[i]))] for i in found]


def encode_last_good(view: int, slots: NDArray[np.uint32], rows: LiveRows) -> str | None:
    """What bad tags said while they were good, as JSON text; None when none of them ever was. Shapes: as encode_values"""
    said, times = rows.python(), rows.time_ns.tolist()
    known = [
        [int(slot), time_ns / NS_PER_MS, str(value) if type(value) is int and abs(value) > _EXACT else value]
        for slot, time_ns, value in zip(slots, times, said, strict=True)
        if value is not None
    ]
    return orjson.dumps({"last_good": known, "of_view": view}).decode() if known else None


@dataclass(frozen=True, slots=True)
class View:
    """What a client says is in view."""

    number: int
    paths: tuple[str, ...]

    @classmethod
    def parse(cls, message: str | bytes) -> View:
        """The view in a client's message.

        Raises: Malformed
        """
        try:
            given = orjson.loads(message)
        except ValueError:
            raise Malformed("the view is not JSON") from None
        number = given.get("view") if isinstance(given, dict) else None
        paths = given.get("paths") if isinstance(given, dict) else None
        if type(number) is not int or not 0 <= number < 2**32:
            raise Malformed("view must be an integer from 0 to 2^32 - 1")
        if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
            raise Malformed("paths must be a list of texts")
        if len(paths) > MOST_SLOTS:
            raise Malformed(f"a view has at most {MOST_SLOTS} paths, was {len(paths)}")
        return cls(number, tuple(paths))


class Viewer:
    """One client's view of the table: which rows, in which slots, and up to which tick they were sent.

    ``sight`` tells by tag id what it may see, None for everything; what it may not see it asks for in vain.
    """

    def __init__(self, table: LiveTable, sight: Callable[[], NDArray[np.bool_] | None] = lambda: None) -> None:
        self._table, self._sight = table, sight
        self._seen: NDArray[np.bool_] | None = None
        self._view: View | None = None
        self._asked: View | None = None
        self._generation = -1
        self._rows = np.empty(0, np.intp)
        self._slots = np.empty(0, np.uint32)
        self._tick = 0
        self._everything = False

    def ask(self, view: View) -> None:
        """The client looks elsewhere; a view it asked for before and never got is forgotten."""
        self._asked = view

    @property
    def waiting(self) -> bool:
        """Whether there may be something to send. Cost: no array is touched"""
        if self._asked is not None:
            return True
        return self._view is not None and self._tick != self._table.tick

    def turn(self) -> bytes | None:
        """The answer to a new view, and again whenever another plant or policy moved the rows; None when nothing of that is due."""
        seen = self._sight()
        moved = self._generation != self._table.generation or seen is not self._seen
        view = self._asked or (self._view if moved else None)
        if view is None:
            return None
        self._seen = seen
        rows = self._table.rows_of(view.paths)
        if seen is not None:
            there = np.flatnonzero(rows >= 0)
            rows[there[~among(seen, self._table.id[rows[there]])]] = -1
        known = np.flatnonzero(rows >= 0)
        self._view, self._asked, self._generation = view, None, self._table.generation
        self._rows, self._slots = rows[known], known.astype(np.uint32)
        self._everything = True
        slots: list[str | None] = list(view.paths)
        for gone in np.flatnonzero(rows < 0):
            slots[gone] = None
        return orjson.dumps({"view": view.number, "slots": slots})

    def news(self, now_ns: int) -> list[str | bytes]:
        """What changed since last time, as messages in order; none when nothing did. Cost: slices of the view's length"""
        if self._view is None:
            return []
        table = self._table
        if self._everything:
            rows, slots = self._rows, self._slots
        else:
            changed = table.changed_since(self._rows, self._tick)
            rows, slots = self._rows[changed], self._slots[changed]
        first, self._everything, self._tick = self._everything, False, table.tick
        if not len(rows) and not first:
            return []
        read = table.read(rows)
        messages: list[str | bytes] = [encode_values(self._view.number, now_ns, slots, read)]
        bad = status.is_bad(read.status)
        if bad.any():  # told before the frame, so that no client draws a bad value without knowing the good one
            before = encode_last_good(self._view.number, slots[bad], table.last_good(rows[bad]))
            messages[:0] = [] if before is None else [before]
        return messages


class AlarmNews(Protocol):
    """How the alarms are, for clients that opened their stream with `?alarms=1`; ``version`` grows with each change."""

    @property
    def version(self) -> int: ...
    def told(self, principal: Principal, /) -> str: ...


@dataclass(eq=False, slots=True)
class _Seat:
    """A connected client, as the hub sees it."""

    viewer: Viewer
    principal: Principal
    loop: asyncio.AbstractEventLoop
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    beat: str | None = None
    alarms: int | None = None  # the version told last; None for who did not ask
    alarms_due: bool = False
    revoked: asyncio.Event = field(default_factory=asyncio.Event)

    def cut(self) -> None:
        """End it, from any thread."""
        with contextlib.suppress(RuntimeError):  # its loop is closed, and so is its connection
            self.loop.call_soon_threadsafe(self.revoked.set)


class LiveHub:
    """All viewers of one core. ``viewers`` and ``sent_bytes`` are for diagnostics."""

    def __init__(
        self,
        table: LiveTable,
        security: Security,
        edges: Callable[[], list[EdgeStatus]],
        clock: Clock,
        tick_s: float = TICK_S,
        policies: Policies | None = None,
        alarms: AlarmNews | None = None,
    ) -> None:
        self._policies = policies or Policies(lambda: table.plant)
        self._alarms = alarms
        self._table, self._security, self._edges, self._clock = table, security, edges, clock
        self._tick_s = tick_s
        self._seats: set[_Seat] = set()
        self._ticker: asyncio.Task[None] | None = None
        self._closing = False
        self._log = logging.getLogger("isthmus.web")
        self.sent_bytes = 0
        self.empty = asyncio.Event()
        self.empty.set()
        security.on_revoked(self._revoked)
        security.on_rotated(self._rotated)

    @property
    def viewers(self) -> int:
        """Clients connected now."""
        return len(self._seats)

    async def attend(self, socket: WebSocket) -> None:
        """Serve one client until it goes.

        Raises: Denied, TryLater before the stream is accepted
        """
        principal: Principal | None = socket.scope.get(PRINCIPAL)
        self._policies.current().decide(principal, Action.READ, kind="live", part=True).check()
        if principal is None or self._closing or len(self._seats) >= MOST_VIEWERS:
            raise TryLater(f"{len(self._seats)} live streams are open, more than that are not taken", 5.0)
        who = principal  # not None from here on, also within the lambda
        viewer = Viewer(self._table, lambda: self._policies.current().sight(who, "live"))
        seat = _Seat(viewer, principal, asyncio.get_running_loop())
        if self._alarms is not None and b"alarms=1" in socket.scope.get("query_string", b"").split(b"&"):
            seat.alarms, seat.alarms_due = -1, True
            seat.wake.set()
        self._seats.add(seat)
        self.empty.clear()
        if self._ticker is None:
            self._ticker = asyncio.create_task(self._tick(), name="live ticker")
        try:
            if not await self._still(principal):  # revoked on the way here
                raise Denied("this token or session is not valid any more; sign in again", "no_credentials")
            offered = socket.scope.get("subprotocols", ())
            await socket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
            await self._converse(socket, seat)
        finally:
            self._seats.discard(seat)
            if not self._seats:
                self.empty.set()
                if self._ticker is not None:
                    self._ticker.cancel()
                    self._ticker = None

    def _revoked(self, keys: set[str], user_ids: set[int]) -> None:
        """Whoever is nobody any more is cut off, now and not at the next beat. Called on any thread."""
        for seat in list(self._seats):
            if seat.principal.key in keys or seat.principal.user_id in user_ids:
                seat.cut()

    def _rotated(self, old: str, new: str) -> None:
        """The session goes on under another key, and so does its stream. Called on any thread."""
        for seat in list(self._seats):
            if seat.principal.key == old:
                seat.principal = replace(seat.principal, key=new)

    async def _converse(self, socket: WebSocket, seat: _Seat) -> None:
        """Listen and send side by side; whichever ends first ends both, and so does a revocation, even of who never reads."""
        tasks = [
            asyncio.create_task(self._until_revoked(seat), name="live guard"),
            asyncio.create_task(self._listen(socket, seat), name="live listen"),
            asyncio.create_task(self._send(socket, seat), name="live send"),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            if task.cancelled():
                continue
            error = task.exception()
            if isinstance(error, Malformed):
                await _close(socket, 1008, str(error))
            elif error is None:
                await _close(socket, *task.result())
            elif not isinstance(error, WebSocketDisconnect):
                raise error

    @staticmethod
    async def _until_revoked(seat: _Seat) -> tuple[int, str]:
        await seat.revoked.wait()
        return SIGNED_OUT, "signed out"

    async def _listen(self, socket: WebSocket, seat: _Seat) -> tuple[int, str]:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1005))
            seat.viewer.ask(View.parse(message.get("text") or message.get("bytes") or b""))
            # woken by the ticker, not here: however often a client changes its mind, it costs 20 views a second

    async def _send(self, socket: WebSocket, seat: _Seat) -> tuple[int, str]:
        """Runs until the hub closes or the client is nobody any more."""
        while True:
            await seat.wake.wait()
            seat.wake.clear()
            if self._closing:
                return GOING_AWAY, "core stops"
            if seat.beat is not None:
                if not await self._still(seat.principal):
                    return SIGNED_OUT, "signed out"
                allowed = self._policies.current().decide(seat.principal, Action.READ, kind="live", part=True)
                if not allowed.allowed:
                    return NOT_ALLOWED, allowed.reason
                beat, seat.beat = seat.beat, None
                await socket.send_text(beat)
            if seat.alarms_due and self._alarms is not None:
                seat.alarms, seat.alarms_due = self._alarms.version, False
                await socket.send_text(self._alarms.told(seat.principal))
            answer = seat.viewer.turn()
            if answer is not None:
                await socket.send_text(answer.decode())
            for message in seat.viewer.news(self._clock.now_ns()):
                self.sent_bytes += len(message)
                await (socket.send_bytes(message) if isinstance(message, bytes) else socket.send_text(message))

    async def _still(self, principal: Principal) -> bool:
        """Whether the session or token is still good; watching counts as use, except at a station."""
        proof, key = principal.proof, principal.key
        if self._security.recall(proof, key, active=False) is not None:
            return True
        return await asyncio.to_thread(self._security.verify, proof, key, active=False) is not None

    async def _tick(self) -> None:
        """Wake whoever has something to send."""
        count = 0
        while True:
            await asyncio.sleep(self._tick_s)
            count += 1
            beat = self._beat() if count % BEAT_TICKS == 0 else None
            version = self._alarms.version if self._alarms is not None and count % ALARM_TICKS == 0 else None
            for seat in self._seats:
                if beat is not None:
                    seat.beat = beat
                if version is not None and seat.alarms not in (None, version):
                    seat.alarms_due = True
                if beat is not None or seat.alarms_due or seat.viewer.waiting:
                    seat.wake.set()

    def _beat(self) -> str:
        ages: dict[str, Any] = {}
        try:
            ages = {edge["name"]: edge["age_s"] for edge in self._edges() if edge["age_s"] is not None}
        except Exception:
            self._log.exception("the state of the edges cannot be told")  # the stream goes on; their ages are missing
        now_ms = self._clock.now_ns() // NS_PER_MS
        return orjson.dumps({"beat": now_ms, "edges": ages, "model_version": self._table.model_version}).decode()

    def close(self) -> None:
        """Tell every viewer to go; those that do not read are cut off by the server."""
        self._closing = True
        for seat in self._seats:
            seat.wake.set()


class Streams:
    """ASGI middleware: WebSockets go to the hub, and only at its path."""

    def __init__(self, app: ASGIApp, hub: LiveHub, path: str) -> None:
        self._app, self._hub, self._path = app, hub, path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
        elif scope["path"] == self._path:
            await self._hub.attend(WebSocket(scope, receive, send))
        else:
            raise NotFound(f"there is no WebSocket at {scope['path'][:200]}")


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # it is gone already
        await socket.close(code, reason[:100])

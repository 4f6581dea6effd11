"""The core process: first the record of samples and its history, then the rooms, the whole API and the screens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from isthmus.app.datadir import DataDir
from isthmus.app.exposure import refuse
from isthmus.app.frozen import clear_snapshot
from isthmus.app.logs import log_to_files
from isthmus.app.migrate import refuse_newer
from isthmus.app.process import settle_collector, without_search
from isthmus.app.settings import Settings
from isthmus.bus.tasks import end
from isthmus.historian.service import Historian
from isthmus.historian.store import StoreConfig
from isthmus.values.clock import SystemClock
from isthmus.values.errors import ConfigError, IsthmusError
from isthmus.values.messages.historian import GapFound, Restated

if TYPE_CHECKING:
    from isthmus.app.ground import Ground
    from isthmus.app.renewal import Shown
    from isthmus.app.rooms import Rooms
    from isthmus.bus.client import Bus
    from isthmus.web.first import Gate

ALONE_S = 1.0
"""Where a plant is, the record goes on alone until it has something new, for so long at most; then the rooms are loaded."""
MOST_FOUND = 1000
"""What the historian finds before the rooms are open and is kept for them."""
_ROOMS = (
    "isthmus.alarms.service",
    "isthmus.app.control",
    "isthmus.app.production",
    "isthmus.app.rooms",
    "isthmus.web.api",
)
"""All of them, as each brings what it needs."""


class Core:
    """Wires one core; ``run`` returns when ``stop`` is set and everything taken is stored or still on the bus."""

    def __init__(self, data: DataDir, settings: Settings, port: int, log: logging.Logger) -> None:
        self._data, self._settings, self._port, self._log = data, settings, port, log
        self._clock = SystemClock()
        self._historian = Historian(store_config(data, settings), self._clock, self._on_found, log)
        self._bus: Bus | None = None
        self._stream_limit = 0
        self._rooms: Rooms | None = None
        self._works: list[asyncio.Task[None]] = []
        self._events: set[asyncio.Task[None]] = set()
        self._found: list[Restated | GapFound] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Until stopped."""
        opening = asyncio.create_task(self._open_history(), name="open")
        try:
            ground = await self._lay()
            try:
                await self._run(ground, opening, stop)
            finally:
                await asyncio.to_thread(ground.trail.close)
                ground.engine.dispose()
        finally:
            await end([opening])
            await self._historian.close()

    async def _run(self, ground: Ground, opening: asyncio.Task[None], stop: asyncio.Event) -> None:
        try:
            await self._open(ground, opening)
            gate, shown = await self._first(ground)
            serving = asyncio.create_task(_serve(ground, gate, shown, stop), name="serve")
            rest = asyncio.create_task(self._open_rooms(ground, gate, shown), name="rooms")
            stopping = asyncio.create_task(stop.wait(), name="stop")
            self._start("rollups", self._historian.run)
            try:
                await asyncio.wait({serving, rest, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if rest.done():
                    rest.result()
                    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if serving.done():
                    serving.result()
            finally:
                await end([rest, stopping])
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(serving), 1.0)
                await end([serving, *self._works])
                if self._rooms is not None:
                    await self._rooms.close()
        finally:
            await end(self._works)
            await ground.bus.close()

    # the record

    async def _open_history(self) -> None:
        """Work outside of Python for the most part, while Python loads the rest."""
        await asyncio.to_thread(clear_snapshot, self._data, embedded=not self._settings.historian.url)
        await self._historian.open()

    async def _lay(self) -> Ground:
        """What the record and all rooms stand on."""
        with without_search():
            await asyncio.to_thread(load_ground)
        from isthmus.app.ground import Ground

        ground = Ground.of(self._data, self._settings, self._port, self._clock, self._historian, self._log)
        self._bus = ground.bus
        ground.trail.open()
        return ground

    async def _open(self, ground: Ground, opening: asyncio.Task[None]) -> None:
        """Bus and live values while the record opens; it takes frames at once, also while what serves is loaded."""
        with without_search():
            async with asyncio.TaskGroup() as group:
                live = group.create_task(asyncio.to_thread(self._restore_live, ground), name="live")
                group.create_task(asyncio.to_thread(load_first), name="load")
                await ground.bus.connect()
                self._stream_limit = await ground.bus.ensure_stream(self._data.root)
                await opening
                await live
                plant = ground.namespace.current()
                await self._historian.describe(plant.tags, plant.retention)
                self._start("historian", ground.pump.run)

    def _restore_live(self, ground: Ground) -> None:
        ground.live.describe(ground.namespace.current())
        if ground.live.load(ground.data.live) is None:
            self._log.info("no snapshot of live values: they fill as samples arrive")

    def _on_found(self, event: Restated | GapFound) -> None:
        """Tell whoever derives something that its ground changed, or that something is missing."""
        if isinstance(event, GapFound):
            self._log.warning("gap in the record of %s: %s", event.edge, event.reason)
        if self._rooms is not None:
            self._rooms.found(event)
        elif len(self._found) < MOST_FOUND:
            self._found.append(event)
        kind = "restated" if isinstance(event, Restated) else "gap"
        assert self._bus is not None  # noqa: S101  nothing is taken before it is there
        task = asyncio.create_task(self._bus.publish_json(f"evt.v1.historian.{kind}", asdict(event)))
        self._events.add(task)
        task.add_done_callback(self._events.discard)

    # the rooms

    async def _open_rooms(self, ground: Ground, gate: Gate, shown: Shown | None) -> None:
        """Load and open everything else, in a thread as far as it can; the record has the processor to itself before."""
        if ground.namespace.current().edges:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ground.pump.current.wait(), ALONE_S)
        with without_search():
            await asyncio.to_thread(lambda: list(load_rooms()))
        settle_collector()
        from isthmus.app.rooms import Rooms
        from isthmus.web.api import create_app

        rooms = Rooms(ground, self._stream_limit, shown)
        await rooms.open()
        self._rooms = rooms
        for name, work in rooms.works:
            self._start(name, work)
        for event in self._found:
            rooms.found(event)
        self._found.clear()
        gate.open(create_app(rooms.services()))

    def _start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self._works.append(asyncio.create_task(self._keep(name, work), name=name))

    async def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """A part that fails is begun again; one line when it breaks, one when it lasts."""
        failures = 0
        while True:
            began = time.monotonic()
            try:
                await work()
            except Exception as error:
                failures = 1 if time.monotonic() - began > 10 else failures + 1
                if failures == 1:
                    self._log.warning(
                        "%s broke: %s",
                        name,
                        error or type(error).__name__,
                        exc_info=not isinstance(error, IsthmusError),
                    )
                await asyncio.sleep(min(5.0, 0.2 * failures))

    async def _first(self, ground: Ground) -> tuple[Gate, Shown | None]:
        """The gate to what is served, with the history behind it; and the certificate shown, where there is one."""
        from isthmus.web.first import Gate, create_first
        from isthmus.web.services import First

        first = First(
            namespace=ground.namespace,
            live=ground.live,
            history=ground.historian,
            security=ground.security,
            audit=ground.trail,
            clock=ground.clock,
            hosts=ground.hosts,
            lockouts=ground.lockouts,
        )
        shown = await asyncio.to_thread(_certificate, ground) if ground.settings.web.tls else None
        return Gate(create_first(first)), shown


def _certificate(ground: Ground) -> Shown:
    from isthmus.app.ca import Authority, wanted_names
    from isthmus.app.renewal import Shown

    authority = Authority(ground.data.tls, ground.clock)
    authority.server(wanted_names(ground.settings))
    return Shown(authority.shown_file)


async def _serve(ground: Ground, gate: Gate, shown: Shown | None, stop: asyncio.Event) -> None:
    """The API and the screens, on the network and on the local socket."""
    from isthmus.web.doors import LocalDoor
    from isthmus.web.server import running

    web, tls = ground.settings.web, shown.context if shown is not None else None
    async with (
        running(gate, web.host, ground.port, trusted_proxy=web.trusted_proxy, tls=tls),
        running(LocalDoor(gate), local=ground.data.socket),
    ):
        await stop.wait()


def load_ground() -> None:
    """What the record and all rooms stand on."""
    import isthmus.app.ground  # noqa: F401  loading it is all that is wanted


def load_first() -> None:
    """What serves the history is loaded while the record opens, which is work outside of Python."""
    import isthmus.web.deferred
    import isthmus.web.first
    import isthmus.web.server  # noqa: F401  loading it is all that is wanted


def load_rooms() -> Iterator[None]:
    """What is loaded when the record goes on, in steps of some tenths of a second."""
    for name in _ROOMS:
        import_module(name)
        yield


def store_config(data: DataDir, settings: Settings) -> StoreConfig:
    """Where the record is: embedded in the data directory, or a ClickHouse server.

    Raises: ConfigError if the URL is none
    """
    if not settings.historian.url:
        return StoreConfig(path=data.history, reserve=settings.disk.reserve_mb * 2**20 // 2)
    url = urlsplit(settings.historian.url)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ConfigError(f"historian.url: must be http://user@host:port, was {settings.historian.url!r}")
    return StoreConfig(
        host=url.hostname,
        port=url.port or (8443 if url.scheme == "https" else 8123),
        username=url.username or "",
        password=url.password or "",
        secure=url.scheme == "https",
    )


async def run_core(data: DataDir, settings: Settings, port: int, stop: asyncio.Event, log: logging.Logger) -> None:
    """The core process's main."""
    refuse(settings)
    data.prepare()
    log_to_files(data.logs, "core", settings.log)
    lock = data.lock("core")
    try:
        refuse_newer(data.records)
        await Core(data, settings, port, log).run(stop)
    finally:
        lock.release()

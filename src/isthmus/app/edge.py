"""The edge process: drivers and acquisition on one side, the bus on the other.

Starts, polls and buffers without core: it keeps its last good model and its own epoch on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import orjson

from isthmus.acquisition.probe import PROBE
from isthmus.acquisition.service import Acquisition
from isthmus.app.datadir import DataDir
from isthmus.app.disk import DiskReserve
from isthmus.app.exposure import refuse_address
from isthmus.app.join import keep_certificate
from isthmus.app.logs import log_to_files
from isthmus.app.secrets import Secrets
from isthmus.app.settings import Settings
from isthmus.bus import subjects
from isthmus.bus.broker import BusAddress, edge_user, field_user, write_private
from isthmus.bus.client import Bus
from isthmus.bus.field import ListenerAddress
from isthmus.bus.publisher import Publisher
from isthmus.bus.tasks import end
from isthmus.control.door import write_one
from isthmus.control.edge import EdgeControl, Handle
from isthmus.ports.drivers import DriverContext, FieldAddress, driver_spec
from isthmus.values.clock import SystemClock
from isthmus.values.errors import ConfigError, IsthmusError, Malformed
from isthmus.values.expression import compile_expression
from isthmus.values.messages.acquisition import Heartbeat
from isthmus.values.model import Budget, EdgeModel

HEARTBEAT_S = 1.0
MODEL_LOOK_S = 15.0
DRAIN_S = 2.0


def next_epoch(file: Path, now_ns: int) -> int:
    """A number larger than every one before, even when the clock was set back; kept in the file."""
    last = 0
    with contextlib.suppress(FileNotFoundError, ValueError):
        last = int(file.read_text())
    epoch = max(now_ns, last + 1)
    write_private(file, str(epoch))
    return epoch


class EdgeProcess:
    """Wires one edge; ``run`` returns when ``stop`` is set and what was read is on the bus, as far as it answers."""

    def __init__(self, data: DataDir, settings: Settings, name: str, address: BusAddress, log: logging.Logger) -> None:
        self._name, self._log = name, log
        self._folder = data.edge(name)
        self._secrets = Secrets.of(data.root, settings.secrets.key_file)
        self._bus_files = data.bus
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._clock = SystemClock()
        self._reserve = DiskReserve(data.root, settings.disk.reserve_mb * 2**20)
        self._epoch = next_epoch(self._folder / "epoch", self._clock.now_ns())
        self._bus, self._address = Bus(address, log), address
        self._model: EdgeModel | None = None
        self._publisher = Publisher(
            self._bus,
            "",
            name,
            self._epoch,
            self._clock,
            log,
            max_rows=settings.node.buffer_rows,
            hold=self._reserve.reason,
        )
        self._acquisition = Acquisition(
            self._publisher,
            self._clock,
            driver_spec,
            self._context,
            log,
            random.Random(),
            compile_expression,
            write_one,
        )
        self._control = EdgeControl(self._folder / "control", self._acquisition, self._publisher, self._clock, log)
        self._listening: list[Callable[[], Awaitable[None]]] = []
        self._new_model = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Until stopped."""
        publishing = asyncio.create_task(self._publisher.run(), name="publisher")
        acquiring = asyncio.create_task(self._acquisition.run(), name="acquisition")
        await self._load_kept_model()
        others = [
            asyncio.create_task(self._control.run(), name="control"),
            asyncio.create_task(self._be_connected(), name="bus"),
            asyncio.create_task(self._heartbeats(), name="heartbeats"),
        ]
        if self._address.seed:
            keeping = keep_certificate(self._bus, self._address, self._name, self._clock, self._log)
            others.append(asyncio.create_task(keeping, name="certificate"))
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            done, _ = await asyncio.wait(
                {publishing, acquiring, stopping, *others}, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done - {stopping}:
                task.result()
        finally:
            for task in (*others, stopping):
                task.cancel()
            await self._control.stop()
            await self._acquisition.stop()
            if self._bus.connected:
                left = await self._publisher.drain(DRAIN_S)
                if left:
                    self._log.warning("%d samples had not reached the bus", left)
            await end((publishing, acquiring, *others, stopping))
            await self._bus.close()

    async def _load_kept_model(self) -> None:
        file = self._folder / "model"
        if not file.exists():
            return
        try:
            await self._apply(EdgeModel.from_bytes(file.read_bytes()))
        except IsthmusError as error:
            self._log.warning("kept model is not usable, waiting for core's: %s", error)

    def _context(self, driver: str, connection: str, budget: Budget) -> DriverContext:
        return DriverContext(
            budget,
            self._clock,
            name=f"isthmus-{self._name}-{connection}",
            home=self._folder / "drivers" / driver,
            secret=self._secrets.reveal,
            field=self._field,
            lasting=connection != PROBE,
        )

    def _field(self) -> FieldAddress:
        """Where the MQTT listener of this machine is now; asked at each connecting, as a new start may move it."""
        place = ListenerAddress.load(self._bus_files.listener)
        return FieldAddress(
            "127.0.0.1", place.local_port, field_user(self._name), self._bus_files.field_password(self._name)
        )

    async def _apply(self, model: EdgeModel) -> None:
        self._control.check(model)
        self._publisher.site = model.site
        self._publisher.model_version = model.version
        self._control.pause()
        try:
            await self._acquisition.apply(model)
        except BaseException:
            self._control.resume()
            raise
        self._control.apply(model)
        self._model = model
        self._log.info(
            "runs plant version %d: %d connections, %d tags", model.version, len(model.connections), len(model.tags)
        )

    async def _be_connected(self) -> None:
        """Connect, then look for a new model whenever core says so, the link came back, or some time went by."""
        await self._bus.connect(timeout_s=float("inf"))
        await self._bus.listen(subjects.model_poke(self._name), self._on_poke)
        await self._bus.listen(subjects.ask(self._name, "probe"), self._on_probe)
        await self._bus.listen(subjects.ask(self._name, "browse"), self._on_browse)
        await self._bus.listen(subjects.ask(self._name, "journal"), lambda _, data: self._control.lines(data))
        if self._model is not None:
            await self._take_commands(self._model.site)
        with self._bus.reconnects() as returned:
            while True:
                self._new_model.clear()
                returned.clear()
                await self._look_for_model()
                waits = [asyncio.create_task(e.wait()) for e in (self._new_model, returned)]
                try:
                    await asyncio.wait(
                        waits, timeout=MODEL_LOOK_S if self._model else 1, return_when=asyncio.FIRST_COMPLETED
                    )
                finally:
                    for task in waits:
                        task.cancel()

    async def _on_poke(self, _: str, __: bytes) -> None:
        self._new_model.set()

    async def _look_for_model(self) -> None:
        try:
            data = await self._bus.get_model(self._name)
        except IsthmusError:
            return
        if data is None:
            return
        try:
            model = EdgeModel.from_bytes(data)
            if self._model is None or model != self._model:
                await self._apply(model)
                await self._take_commands(model.site)
                kept = self._folder / "model"
                temporary = kept.with_suffix(".new")
                temporary.write_bytes(data)
                temporary.replace(kept)
        except (ConfigError, Malformed) as error:
            self._log.error("core's model is refused, the last good one goes on: %s", error)

    async def _take_commands(self, site: str) -> None:
        """Listen to core's commands, anew with each model: the right to it may have come with the plan that made the model."""
        ending, self._listening = self._listening, []
        for stop in ending:
            await stop()
        for what, handle in self._control.commands.items():
            subject = subjects.command(site, self._name, what)
            answer = partial(_answered, handle)
            self._listening.append(await self._bus.listen(subject, answer, together=True))

    async def _on_probe(self, _: str, data: bytes) -> bytes:
        """A test read for the person who adds a connection."""
        question = orjson.loads(data)
        try:
            answer = await self._acquisition.probe(question["driver"], question["config"], question["addresses"])
        except IsthmusError as error:
            return orjson.dumps({"error": str(error)})
        return orjson.dumps({"steps": answer.steps, "values": answer.readings})

    async def _on_browse(self, _: str, data: bytes) -> bytes:
        """What a device offers; compressed, for ten thousand nodes do not fit into one message otherwise."""
        question = orjson.loads(data)
        try:
            found = await self._acquisition.browse(
                question["connection"], question["driver"], question["config"], question["root"]
            )
        except IsthmusError as error:
            return zlib.compress(orjson.dumps({"error": str(error)}))
        return zlib.compress(orjson.dumps({"nodes": found}))

    async def _heartbeats(self) -> None:
        while True:
            beat = Heartbeat(
                edge=self._name,
                epoch=self._epoch,
                time_ns=time.time_ns(),
                model_version=self._publisher.model_version,
                queued=self._publisher.queued,
                dropped=self._publisher.dropped,
                published=self._publisher.published,
                state=self._publisher.state,
                journal=self._control.journal.newest,
            )
            await self._bus.publish_json(subjects.heartbeat(self._publisher.site, self._name), asdict(beat))
            await asyncio.sleep(HEARTBEAT_S)


async def _answered(handle: Handle, _: str, data: bytes) -> bytes:
    return await handle(data)


async def run_edge(
    data: DataDir, settings: Settings, name: str, address_file: Path | None, stop: asyncio.Event, log: logging.Logger
) -> None:
    """The edge process's main."""
    data.prepare()
    log_to_files(data.logs, name, settings.log)
    lock = data.lock(f"edge-{name}")
    try:
        address = BusAddress.load(address_file or data.bus.address_file(edge_user(name)))
        refuse_address(address)
        Secrets.of(data.root, settings.secrets.key_file).seal_plain()
        await EdgeProcess(data, settings, name, address, log).run(stop)
    finally:
        lock.release()

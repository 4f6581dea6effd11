"""A receiver in another process, a bus with an edge, and the deliveries of a core."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import isthmus.connectors.http_push  # noqa: F401  registers itself also where the package is not installed
from isthmus.app.delivery import Deliveries
from isthmus.app.delivery_store import DeliveryStore, metadata
from isthmus.app.records import open_records
from isthmus.bus.broker import LocalBroker, edge_user
from isthmus.bus.client import Bus
from isthmus.bus.publisher import Publisher
from isthmus.bus.tasks import end
from isthmus.namespace.compiled import make_plant
from isthmus.namespace.model import Asset, Connector, Plant, Tag
from isthmus.ports.connectors import ConnectorContext, ConnectorSpec, connector_spec
from isthmus.values.clock import SystemClock
from isthmus.values.errors import ConfigError
from isthmus.values.frame import Lane
from isthmus.values.sample import SampleBatch, ValueType

LOG = logging.getLogger("deliveries")
TOKEN = "a long secret"


class Receiver:
    """The process, and what it has on disk; survives being killed."""

    def __init__(self, folder: Path, token: str = "") -> None:
        self.file = folder / "received.jsonl"
        self.mood = folder / "received.d"
        self.mood.mkdir()
        self.port = 0
        self._token = token
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        program = Path(__file__).with_name("receiver.py")
        self._process = subprocess.Popen(
            [sys.executable, str(program), str(self.port), str(self.file), self._token],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def be(self, mood: str, text: str = "") -> None:
        (self.mood / mood).write_text(text)

    def be_not(self, mood: str) -> None:
        (self.mood / mood).unlink(missing_ok=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/in"

    def batches(self) -> list[dict[str, Any]]:
        if not self.file.exists():
            return []
        return [json.loads(line) for line in self.file.read_text().rpartition("\n")[0].splitlines()]  # whole lines

    def samples(self) -> list[tuple[str, Any]]:
        """(tag, value) of every batch, a double by its key counted once; doubles must be equal."""
        by_key: dict[str, dict[str, Any]] = {}
        for one in self.batches():
            assert by_key.setdefault(one["key"], one) == one
        return [(s["tag"], s["value"]) for one in by_key.values() for s in one["samples"]]


def plant_of(*connectors: Connector, version: int = 1) -> Plant:
    def tag(ident: int, path: str, type_: ValueType = ValueType.FLOAT, **more: Any) -> Tag:
        asset, _, name = path.rpartition("/")
        return Tag(ident, path, asset, name, more.pop("kind", "value"), type_, edge="edge-1", **more)

    return make_plant(
        version=version,
        enterprise="acme",
        site="lyon",
        timezone="UTC",
        tags=(
            tag(1, "connections/plc1/state", ValueType.TEXT, kind="system"),
            tag(2, "hall/filler/count", ValueType.INT, kind="counter"),
            tag(3, "hall/filler/recipe", ValueType.TEXT, kind="text"),
            tag(4, "hall/filler/speed", unit="1/min"),
            tag(5, "yard/pump/level", unit="m"),
        ),
        assets=(Asset("hall/filler", "filler", "asset", "filler", "hall", 0), Asset("yard/pump", "pump", "asset", "pump", "yard", 1)),
        connectors=connectors,
        edges=("edge-1",),
    )  # fmt: skip


def connector(url: str, name: str = "cloud", **more: Any) -> Connector:
    given = {
        "tags": (),
        "types": (),
        "rows": 500,
        "linger_s": 0.02,
        "start": "all",
        "connector": "http-push",
        "endpoint": url,
    }
    own = more.pop("config", {})
    config = {"url": url, "timeout_s": 5.0, **own} if "connector" not in more else own
    return Connector(name=name, config=config, **(given | more))


class Site:
    """A bus with one edge that publishes, and deliveries that can be killed and begun again on the same records."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.broker = LocalBroker(folder / "bus")
        self._next = 0
        self.specs: dict[str, ConnectorSpec] = {}

    async def __aenter__(self) -> Site:
        await self.broker.start()
        self.core = Bus(self.broker.addresses["core"], LOG)
        self.edge = Bus(self.broker.addresses[edge_user("edge-1")], LOG)
        await self.core.connect()
        await self.core.ensure_stream(self._folder)
        await self.edge.connect()
        self.publisher = Publisher(self.edge, "lyon", "edge-1", 1, SystemClock(), LOG)
        self._publishing = asyncio.create_task(self.publisher.run())
        self.engine = open_records(self._folder / "records.db")
        metadata.create_all(self.engine)
        self.deliveries, self._running = None, None
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()
        self._publishing.cancel()
        await asyncio.gather(self._publishing, return_exceptions=True)
        await self.edge.close()
        await self.core.close()
        await self.broker.kill()
        self.engine.dispose()

    def begin(self, *connectors: Connector, version: int = 1) -> None:
        """What a core does at its start."""
        if self.deliveries is None:
            self.deliveries = Deliveries(
                self.core, DeliveryStore(self.engine), SystemClock(), self._spec, self._context, LOG
            )
            self._running = asyncio.create_task(self.deliveries.run())
        self.deliveries.apply(plant_of(*connectors, version=version))

    async def kill(self) -> None:
        """At any moment, whatever is under way; what is in memory is gone."""
        if self._running is not None:
            await end([self._running])
            self.deliveries, self._running = None, None

    def _spec(self, name: str) -> ConnectorSpec:
        return self.specs.get(name) or connector_spec(name)

    def _context(self, kind: str, name: str) -> ConnectorContext:
        return ConnectorContext(SystemClock(), name, self._folder / kind, self._secret)

    @staticmethod
    def _secret(reference: str) -> str:
        if reference != "secret:receiver":
            raise ConfigError(f"{reference}: not set here")
        return TOKEN

    async def say(self, rows: int = 100) -> list[tuple[str, Any]]:
        """The counter and the speed go on by so many samples; what a receiver of all must have got of it."""
        numbers = np.arange(self._next, self._next + rows)
        self._next += rows
        time_ns = 1_700_000_000_000_000_000 + numbers * 1_000_000
        good = np.zeros(rows, np.uint32)
        count = SampleBatch(np.full(rows, 2, np.int32), time_ns, numbers.astype(np.int64), good)
        speed = SampleBatch(np.full(rows, 4, np.int32), time_ns, numbers / 2, good)
        self.publisher.offer(Lane.LIVE, [count, speed])
        while self.publisher.queued:
            await asyncio.sleep(0.005)
        return [("hall/filler/count", int(n)) for n in numbers] + [("hall/filler/speed", float(n) / 2) for n in numbers]

    async def until(self, wanted: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not wanted():
                await asyncio.sleep(0.01)

    def runs(self, name: str) -> bool:
        """Whether the connector reads the bus."""
        found = self.deliveries._running.get(name)
        return found is not None and found.runner._reader is not None

    def holds(self, name: str) -> bool:
        """Whether the connector has something in hand that is not delivered."""
        found = self.deliveries._running.get(name)
        return found is not None and found.runner._oldest_ns > 0

    async def status(self, name: str = "cloud") -> dict[str, Any]:
        assert self.deliveries is not None
        return next((dict(one) for one in await self.deliveries.statuses() if one["name"] == name), {})

    async def until_state(self, **wanted: Any) -> dict[str, Any]:
        async with asyncio.timeout(30):
            while True:
                found = await self.status()
                if wanted.items() <= found.items():
                    return found
                await asyncio.sleep(0.01)


@pytest.fixture
async def site(tmp_path: Path):
    async with Site(tmp_path) as site:
        yield site


@pytest.fixture
def receiver(tmp_path: Path):
    receiver = Receiver(tmp_path)
    receiver.start()
    yield receiver
    receiver.kill()


@pytest.fixture
def guarded(tmp_path: Path):
    """One that asks for a token."""
    receiver = Receiver(tmp_path, TOKEN)
    receiver.start()
    yield receiver
    receiver.kill()


@pytest.fixture
def to():
    """``to(url, …)``: a connector as a plant declares it."""
    return connector

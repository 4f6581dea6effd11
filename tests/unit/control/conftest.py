"""An edge without devices: a field that does as it is told, a journal on a real disk, a clock by hand."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from isthmus.control.edge import EdgeControl
from isthmus.control.journal import answer_of
from isthmus.ports.field import HeldValue
from isthmus.values.clock import NS_PER_S, ManualClock
from isthmus.values.errors import NotConnected
from isthmus.values.messages.control import WriteAnswer
from isthmus.values.model import EdgeModel, TagColumns, TripModel, WritePoint
from isthmus.values.sample import SampleBatch

SPEED, GUARD, LOCAL, SHOWN, RECIPE, LEVEL, VALVE, TEST_LAMP, COUNT = range(1, 10)
PATHS = {
    SPEED: ("hall/filler/speed", "float"),
    GUARD: ("hall/filler/guard", "int"),
    LOCAL: ("hall/filler/local", "int"),
    SHOWN: ("hall/filler/shown", "float"),
    RECIPE: ("hall/filler/recipe", "text"),
    LEVEL: ("hall/tank/level", "float"),
    VALVE: ("hall/tank/valve", "int"),
    TEST_LAMP: ("hall/tank/lamp", "int"),
    COUNT: ("hall/filler/count", "int"),
}
STATE, CAUSE = 100, 101


class FakeField:
    """Devices as dictionaries."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.values: dict[int, tuple[Any, int, int]] = {}  # value, status, monotonic
        self.frames: list[tuple[int, Any]] = []
        self.listeners: list[Callable[..., None]] = []
        self.before: Callable[[], None] = lambda: None  # while a value waits for its turn on the wire
        self.error: Exception | None = None  # of a write, behind its frame
        self.refuse: Exception | None = None  # of a write, before any frame
        self.deaf = False  # takes frames and shows nothing
        self.hang: asyncio.Event | None = None
        self.down = False  # cannot be read back
        self.looks_s = 0.0

    def set(self, tag: int, value: Any, status: int = 0, *, tell: bool = True) -> None:
        self.values[tag] = value, status, self.clock.monotonic_ns()
        if tell:
            dtype = np.int64 if isinstance(value, int) else np.float64
            number = 0 if isinstance(value, str) or value is None else value
            batch = SampleBatch(
                np.array([tag], np.int32),
                np.array([self.clock.now_ns()], np.int64),
                np.array([number], dtype),
                np.array([status], np.uint32),
            )
            for hear in tuple(self.listeners):
                hear([batch])

    def held(self, tag: int) -> HeldValue | None:
        if tag not in self.values:
            return None
        value, status, at_ns = self.values[tag]
        return HeldValue(value, status, at_ns, (self.clock.monotonic_ns() - at_ns) / NS_PER_S)

    def listen(self, hear: Callable[..., None]) -> Callable[[], None]:
        self.listeners.append(hear)
        return lambda: self.listeners.remove(hear)

    async def write(self, tag: int, value: Any, ready: Callable[[], None]) -> None:
        self.before()
        if self.refuse is not None:
            raise self.refuse
        ready()
        self.frames.append((tag, value))
        if self.hang is not None:
            await self.hang.wait()
        if self.error is not None:
            raise self.error
        if not self.deaf:
            self.set(tag, value, tell=False)

    async def read_back(self, tag: int) -> HeldValue:
        self.clock.advance(self.looks_s)
        if self.down:
            raise NotConnected("gone")
        value, status, _ = self.values.get(tag, (None, 0x80000000, 0))
        self.values[tag] = value, status, self.clock.monotonic_ns()
        held = self.held(tag)
        assert held is not None
        return held


class Outbox:
    queued = dropped = 0

    def __init__(self) -> None:
        self.said: list[tuple[int, Any]] = []

    def offer(self, lane: Any, batches: Any) -> None:
        for batch in batches:
            value = batch.value[0].item()
            self.said.append((int(batch.id[0]), batch.text[value] if batch.text else value))

    def when_delivered(self, done: Callable[[bool], None]) -> None:
        done(True)

    def of(self, tag: int) -> list[Any]:
        return [value for t, value in self.said if t == tag]


def point(tag: int = SPEED, **said: Any) -> WritePoint:
    inputs = {"guard": GUARD, "local": LOCAL} if said.get("interlock") or said.get("local") else {}
    return WritePoint(**{"tag": tag, "role": "operator", "zone": "line1", "read_back": tag, "inputs": inputs, **said})


FULL = point(interlock="guard == 1", local="local == 1", low=0.0, high=100.0)


def model(*points: WritePoint, trips: tuple[TripModel, ...] = (), version: int = 7) -> EdgeModel:
    tags = TagColumns()
    for tag, (path, type_) in PATHS.items():
        tags.id.append(tag)
        tags.path.append(path)
        tags.type.append(type_)
        tags.connection.append("plc1" if "filler" in path else "plc2")
        tags.address.append(f"a{tag}")
    return EdgeModel(version, "acme", "lyon", "edge-1", tags=tags, points=points, trips=trips)


class Edge:
    """An edge's control over a fake field; ``crash`` is kill -9, ``start`` begins anew on the same disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.field = FakeField(self.clock)
        self.outbox = Outbox()
        self.log = logging.getLogger("test.control")
        self.control: EdgeControl
        self.model = model(FULL)
        self.number = 0
        self.start()

    def start(self) -> None:
        self.field.listeners.clear()
        self.control = EdgeControl(self.folder, self.field, self.outbox, self.clock, self.log)
        self.control.apply(self.model)

    def use(self, *points: WritePoint, trips: tuple[TripModel, ...] = (), version: int = 7) -> None:
        self.model = model(*points, trips=trips, version=version)
        self.control.check(self.model)
        self.control.apply(self.model)

    def good(self) -> None:
        """Everything as it must be for a write of the full point."""
        for tag, value in ((SPEED, 40.0), (GUARD, 1), (LOCAL, 0), (SHOWN, 40.0), (RECIPE, "A"), (COUNT, 3)):
            self.field.set(tag, value, tell=False)
        for tag, value in ((LEVEL, 10.0), (VALVE, 1), (TEST_LAMP, 0)):
            self.field.set(tag, value, tell=False)

    def command(self, **said: Any) -> dict[str, Any]:
        self.number += 1
        now_ns = self.clock.now_ns()
        return {
            "id": f"w{self.number}",
            "tag": SPEED,
            "value": 50.0,
            "expires_ns": now_ns + 10 * NS_PER_S,
            "model_version": 7,
            "sent_ns": now_ns,
            "by": "p-1",
            "intent": "i-1",
            **said,
        }

    async def write(self, **said: Any) -> WriteAnswer:
        return await self.send(self.command(**said))

    async def send(self, command: dict[str, Any]) -> WriteAnswer:
        return answer_of(orjson.loads(await self.control.gate.write(orjson.dumps(command))))

    async def tell(self, what: str, **said: Any) -> dict[str, Any]:
        answer: dict[str, Any] = orjson.loads(await self.control.commands[what](orjson.dumps(said)))
        return answer

    def lines(self, kind: str = "write", **said: Any) -> list[dict[str, Any]]:
        found = [line for line in self.control.journal.lines() if line["kind"] == kind]
        return [line for line in found if all(line.get(k) == v for k, v in said.items())]

    async def until(self, holds: Callable[[], Any]) -> None:
        """Until it is so; the journal writes to a real disk, which may be busy."""
        async with asyncio.timeout(20):
            while not holds():
                await asyncio.sleep(0.001)

    async def settle(self) -> None:
        """Until nothing moves any more but what waits for a device or a clock."""
        for trip in self.control.trips._trips.values():
            await asyncio.gather(*trip.acting)
        for _ in range(3):
            await asyncio.sleep(0)


@pytest.fixture
async def edge(tmp_path):
    edge = Edge(tmp_path / "control")
    edge.good()
    yield edge
    with contextlib.suppress(RuntimeError):
        await edge.control.stop()


if "control_rig" not in sys.modules:
    _spec = importlib.util.spec_from_file_location("control_rig", Path(__file__).with_name("rig.py"))
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules["control_rig"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["control_rig"])


@pytest.fixture
def works(tmp_path: Path) -> Iterator[Any]:
    made = sys.modules["control_rig"].Works(tmp_path)
    yield made
    made.close()

"""A rig in virtual time: an event loop whose clock jumps to the next timer instead of waiting, and fake devices."""

from __future__ import annotations

import asyncio
import logging
import selectors
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
import pytest

from isthmus.acquisition.service import Acquisition
from isthmus.ports.drivers import Address, DriverContext, DriverSpec, Point, Traffic
from isthmus.values.clock import NS_PER_S, ManualClock
from isthmus.values.errors import ConfigError
from isthmus.values.frame import Lane
from isthmus.values.model import SYSTEM_TAGS, Budget, ConnectionModel, EdgeModel, FormulaModel, TagColumns
from isthmus.values.sample import SampleBatch, ValueType


class _Leaps(selectors.DefaultSelector):
    """Where a real selector would wait, the clock leaps."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("everything waits, and no timer runs")
        if not ready and timeout:
            self._clock.advance(max(timeout, 1e-6))
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: ManualClock) -> None:
        super().__init__(_Leaps(clock))
        self._manual = clock

    def time(self) -> float:
        return self._manual.monotonic_ns() / NS_PER_S


@dataclass
class Outbox:
    """Keeps everything that was offered, row by row."""

    offers: list[tuple[Lane, Sequence[SampleBatch]]] = field(default_factory=list)
    queued: int = 0
    dropped: int = 0
    holds: bool = False
    receipts: list[Callable[[bool], None]] = field(default_factory=list)

    def offer(self, lane: Lane, batches: Sequence[SampleBatch]) -> None:
        assert batches
        assert all(len(b) for b in batches)
        assert len({b.type for b in batches}) == len(batches)
        self.offers.append((lane, batches))

    def when_delivered(self, done: Callable[[bool], None]) -> None:
        """Confirmed at once, unless ``holds``; then by whoever calls what waits in ``receipts``."""
        if self.holds:
            self.receipts.append(done)
        else:
            done(True)

    def rows(self, *tags: int, lane: Lane | None = None) -> list[tuple[int, int, Any, int]]:
        """(tag, time, value, status) in the order they were offered."""
        found = []
        for where, batches in self.offers:
            for batch in batches if lane in (None, where) else ():
                for tag, time_ns, value, status in zip(
                    batch.id.tolist(), batch.time_ns.tolist(), batch.value.tolist(), batch.status.tolist(), strict=True
                ):
                    spelt = batch.text[value] if batch.type is ValueType.TEXT else value
                    if not tags or tag in tags:
                        found.append((tag, time_ns, spelt, status))
        return found

    def values(self, tag: int) -> list[Any]:
        return [value for _, _, value, _ in self.rows(tag)]

    def statuses(self, tag: int) -> list[int]:
        return [status for *_, status in self.rows(tag)]

    def clear(self) -> None:
        self.offers.clear()


class Device:
    """A fake device and the counts of what was done to it. Replace ``answer`` or ``opening`` to make it misbehave."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.opened = self.closed = self.built = self.in_flight = 0
        self.reads: list[tuple[float, int]] = []  # seconds on the monotonic clock, points
        self.value = 1.0
        self.takes_s = 0.0
        self.opening: Callable[[], Any] | None = None
        self.answer: Callable[[Sequence[Point]], Any] | None = None
        self.closing: Callable[[], Any] | None = None
        self.budgets: list[Budget] = []

    def batch(self, points: Sequence[Point], value: Any = None, status: int = 0) -> SampleBatch:
        n = len(points)
        value = self.value if value is None else value
        dtype = np.int64 if isinstance(value, int) else np.float64
        return SampleBatch(
            np.array([p.id for p in points], np.int32),
            np.full(n, self.clock.now_ns()),
            np.full(n, value, dtype),
            np.full(n, status, np.uint32),
        )


async def _result(outcome: Any) -> Any:
    return await outcome if asyncio.iscoroutine(outcome) else outcome


class FakePolls:
    def __init__(self, device: Device) -> None:
        self.traffic = Traffic()
        self.device = device

    async def open(self) -> None:
        self.device.opened += 1
        if self.device.opening:
            await _result(self.device.opening())

    async def close(self) -> None:
        self.device.closed += 1
        if self.device.closing:
            await _result(self.device.closing())

    async def read(self, points: Sequence[Point]) -> Sequence[SampleBatch]:
        device = self.device
        assert device.in_flight == 0, "two reads at once"
        device.in_flight += 1
        device.reads.append((device.clock.monotonic_ns() / NS_PER_S, len(points)))
        self.traffic.requests += 1
        try:
            if device.takes_s:
                await asyncio.sleep(device.takes_s)
            if device.answer:
                return await _result(device.answer(points))
            self.traffic.slowest_s = max(self.traffic.slowest_s, 0.002)
            return [device.batch(points)]
        finally:
            device.in_flight -= 1


class FakeProbes(FakePolls):
    async def probe(self) -> Sequence[tuple[str, bool, str]]:
        return [("Host answers", True, "0.2 ms"), ("Port 502 open", self.device.value > 0, "refused")]


class FakeMute:
    """Neither polls nor streams."""

    def __init__(self, device: Device) -> None:
        self.traffic = Traffic()
        self.device = device

    async def open(self) -> None:
        self.device.opened += 1

    async def close(self) -> None:
        raise OSError("already closed")


def unbuildable(device: Device) -> None:
    raise LookupError("no such library")


class FakeStreams:
    def __init__(self, device: Device) -> None:
        self.traffic = Traffic()
        self.device = device
        self.queue: asyncio.Queue[Any] = asyncio.Queue(100)
        device.queue = self.queue  # type: ignore[attr-defined]  # tests put batches or errors here

    async def open(self) -> None:
        self.device.opened += 1
        if self.device.opening:
            await _result(self.device.opening())

    async def close(self) -> None:
        self.device.closed += 1

    async def stream(self, points: Sequence[Point]):
        self.device.points = points  # type: ignore[attr-defined]  # tests look at them
        try:
            while True:
                item = await self.queue.get()
                if item is None:
                    return
                if isinstance(item, Exception):
                    raise item
                yield [item]
        finally:
            self.device.ended = getattr(self.device, "ended", 0) + 1  # type: ignore[attr-defined]  # as above


@dataclass(frozen=True)
class FakeConfig:
    host: str = ""
    bad: bool = False

    def __post_init__(self) -> None:
        if self.bad:
            raise ConfigError("bad: must not be true, was True")


class Rig:
    """Devices by host, a log, an outbox and an acquisition over them, all in virtual time."""

    def __init__(self, log: logging.Logger) -> None:
        self.clock = ManualClock()
        self.outbox = Outbox()
        self.devices: dict[str, Device] = {}
        self.log = log
        self.lines: list[str] = []
        self.traces = 0
        self.compile: Callable[[str], Any] | None = None

    def device(self, host: str) -> Device:
        return self.devices.setdefault(host, Device(self.clock))

    def driver_of(self, name: str) -> DriverSpec:
        kinds = {
            "fake": FakePolls,
            "stream": FakeStreams,
            "probes": FakeProbes,
            "mute": FakeMute,
            "unbuildable": unbuildable,
        }
        if name not in kinds:
            raise ConfigError(f"driver: unknown, known are fake, stream, was {name!r}")

        def build(config: FakeConfig, context: DriverContext) -> Any:
            device = self.device(config.host)
            device.built += 1
            device.budgets.append(context.budget)
            return kinds[name](device)

        def parse(address: str) -> Address:
            if address.startswith("!"):
                raise ConfigError(f"address: must not begin with !, was {address!r}")
            return Address(ValueType.FLOAT)

        return DriverSpec(name, FakeConfig, build, parse)

    def context_of(self, driver: str, connection: str, budget: Budget) -> DriverContext:
        return DriverContext(budget, self.clock)

    def acquisition(self) -> Acquisition:
        extra = {"compile_formula": self.compile} if self.compile else {}
        return Acquisition(self.outbox, self.clock, self.driver_of, self.context_of, self.log, Random(1), **extra)

    def play(self, story: Callable[[Acquisition], Coroutine[Any, Any, None]]) -> None:
        """Run a story with a running acquisition, stop it, and see that nothing is left."""

        async def whole() -> None:
            acquisition = self.acquisition()
            running = asyncio.create_task(acquisition.run())
            try:
                await story(acquisition)
            finally:
                await acquisition.stop()
                await running
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not [t for t in left if not t.get_name().startswith("hung")], left

        with asyncio.Runner(loop_factory=lambda: VirtualLoop(self.clock)) as runner:
            runner.run(whole())

    def seconds(self) -> float:
        return self.clock.monotonic_ns() / NS_PER_S


SYSTEM_BASE = 100_000


def make_model(
    *connections: str | ConnectionModel,
    tags: int = 2,
    period_s: float = 1.0,
    version: int = 1,
    formulas: tuple[FormulaModel, ...] = (),
    extra: Sequence[dict[str, Any]] = (),
    **columns: Any,
) -> EdgeModel:
    """A model of fake connections; connection k has the tags 100*k + 1 … of one period, one host named like it."""
    made = []
    table = TagColumns()

    def add(row: dict[str, Any]) -> None:
        defaults = {
            "type": "float",
            "connection": "",
            "address": "",
            "period_s": period_s,
            "factor": 1.0,
            "offset": 0.0,
            "low": None,
            "high": None,
            "deadband": 0.0,
            "deadband_percent": 0.0,
            "max_gap_s": 600.0,
            "resolution_ns": 1_000_000,
        }
        row = {"path": f"tag{row['id']}", **defaults, **columns, **row}
        for name, value in row.items():
            getattr(table, name).append(value)

    for k, given in enumerate(connections, 1):
        ids = {name: SYSTEM_BASE + 10 * k + j for j, name in enumerate(SYSTEM_TAGS)}
        named = isinstance(given, str)
        connection = ConnectionModel(given, "fake", {"host": given}, system=ids) if named else given
        made.append(connection)
        for i in range(1, tags + 1):
            add({"id": 100 * k + i, "connection": connection.name, "address": f"a{i}"})
    for row in extra:
        add(row)
    return EdgeModel(version, "acme", "lyon", "edge-1", tuple(made), table, formulas)


@pytest.fixture
def rig() -> Iterator[Rig]:
    log = logging.getLogger("test.acquisition")
    rig = Rig(log)

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            rig.lines.append(record.getMessage())
            rig.traces += bool(record.exc_info)

    handler = Keep()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield rig
    log.removeHandler(handler)


@pytest.fixture
def model() -> Callable[..., EdgeModel]:
    return make_model

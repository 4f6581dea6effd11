"""Every registered driver meets the suite through its rig; the protocol of a rig is in `rigs/README.md`.

A file of the suite belongs to a capability (`FILES`); each of its tests is a promise, named by the test, which a driver
keeps or waives with a reason in its rig. `scripts/driver_reference.py` prints both on the driver's page.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import re
import sys
import tempfile
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import uvloop

from isthmus.ports.drivers import DriverContext, DriverSpec, Point, drivers
from isthmus.ports.writes import PointWrite
from isthmus.values import status
from isthmus.values.clock import SystemClock
from isthmus.values.errors import ConfigError
from isthmus.values.model import Budget
from isthmus.values.sample import DTYPES

HERE = Path(__file__).parent
PROJECT = HERE.parents[2]

FILES = {
    "test_every.py": "",
    "test_polls.py": "read",
    "test_streams.py": "stream",
    "test_browses.py": "browse",
    "test_probes.py": "probe",
    "test_writes.py": "write",
}
"""Which method a driver has that a file of the suite is about; "" for all drivers."""

NEEDS = {
    "what_the_device_refuses_spoils_itself_alone": "refused",
    "a_device_that_goes_is_bad_until_it_is_back": "leave",
    "a_refusal_stops_the_rest_and_leaves_the_device_as_it_was": "refused",
    "a_write_to_a_device_that_is_gone_is_refused": "leave",
}
"""Promises that mean something only where the rig has this: elsewhere they do not apply."""

LIES: dict[str, Callable[[bytes], bytes]] = {
    "zeros": lambda reply: b"\0" * len(reply),
    "ones": lambda _: b"\xff" * 300,
    "http": lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "short": lambda reply: reply[:-1],
    "headless": lambda reply: reply[1:],
    "long": lambda reply: reply + b"\0",
    "one": lambda reply: reply[:1],
    "backwards": lambda reply: reply[::-1],
    "twice": lambda reply: reply + reply,
    "flipped": lambda reply: bytes(b ^ 0x80 for b in reply[:8]) + reply[8:],
}
PATIENCE_S = 20.0
"""How long a busy machine may take for what a quiet one does at once; it bounds a failing test, no passing one."""


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"conformance_{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def _registered() -> dict[str, DriverSpec]:
    """The registry; our own drivers also where the package is not installed and has no entry points."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    for module in project["project"]["entry-points"]["isthmus.drivers"].values():
        importlib.import_module(module)
    return drivers()


@dataclass(frozen=True)
class Kind:
    """A driver as the suite meets it; ``rig`` is None where it has none yet."""

    spec: DriverSpec
    rig: Any
    mode: str = ""

    @property
    def label(self) -> str:
        return f"{self.spec.name}-{self.mode}" if self.mode else self.spec.name


def _kinds() -> list[Kind]:
    """Every registered driver in each of its modes, and the reference, which is not registered."""
    found = []
    for name, spec in sorted(_registered().items()):
        path = HERE / "rigs" / f"{name.replace('-', '_')}.py"
        rig = _load(path).Rig if path.exists() else None
        found += [Kind(spec, rig, mode) for mode in getattr(rig, "modes", {"": {}})]
    reference = _load(HERE / "reference" / "lines.py")
    return [*found, Kind(reference.SPEC, reference.Rig)]


KINDS = _kinds()


def has(kind: Kind, capability: str) -> bool:
    """Whether a driver has the method; in a mode of its own a rig may say so itself."""
    if not capability:
        return True
    said = getattr(kind.rig, "capabilities", {}).get(kind.mode)
    return capability in said if said is not None else callable(getattr(kind.spec.build, capability, None))


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Any]:
    """Both loops: they differ in transports, timers and the moment a lost link is told."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "bench" in metafunc.fixturenames:
        kinds = [k for k in KINDS if has(k, FILES[Path(metafunc.module.__file__).name])]
        metafunc.parametrize("bench", kinds, ids=[k.label for k in kinds], indirect=True)
    if "lie" in metafunc.fixturenames:
        metafunc.parametrize("lie", LIES.values(), ids=LIES)


class Bench:
    """One driver kind, its peer, and what a test built; all closed at the end."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self.kind, self.spec, self.rig = kind, kind.spec, kind.rig()
        self._folder = folder
        self._built: list[Any] = []
        self._heard: list[Listener] = []

    @property
    def truth(self) -> dict[str, Any]:
        return dict(self.rig.truth)

    @property
    def refused(self) -> str | None:
        return getattr(self.rig, "refused", None)

    @property
    def asked(self) -> int | None:
        """Requests the peer has had, where the rig sees them."""
        return getattr(self.rig, "asked", None)

    @property
    def last_seen_s(self) -> float:
        """The shortest time in which the protocol can notice that nobody speaks any more."""
        return float(getattr(self.rig, "last_seen_s", 0.05))

    def settings(self, timeout_s: float = 5.0) -> dict[str, Any]:
        modes: dict[str, Any] = getattr(self.rig, "modes", {"": {}})
        return self.rig.settings(timeout_s) | modes[self.kind.mode]

    def build(self, timeout_s: float = 5.0, budget: Budget | None = None) -> Any:
        """A driver for the rig's peer; by default with a time-out that a busy machine does not reach."""
        config = self.spec.configure(self.settings(timeout_s))
        context = self.context(self.spec.name, f"conformance-{len(self._built)}", budget or Budget())
        self._built.append(self.spec.build(config, context))
        return self._built[-1]

    def context(self, driver: str, connection: str, budget: Budget) -> DriverContext:
        """What an edge would hand the driver; secrets are those of the rig."""
        return DriverContext(budget, SystemClock(), connection, self._folder / driver, self._secret)

    def _secret(self, reference: str) -> str:
        try:
            return str(getattr(self.rig, "secrets", {})[reference])
        except KeyError:
            raise ConfigError(f"{reference}: the rig has no such secret") from None

    async def opened(self, timeout_s: float = 5.0, budget: Budget | None = None) -> Any:
        driver = self.build(timeout_s, budget)
        await driver.open()
        return driver

    def points(self, start: int = 1000) -> list[Point]:
        return [Point(start + 7 * i, address) for i, address in enumerate(self.truth)]

    def listen(self, driver: Any, start: int = 1000) -> Listener:
        """Listen to everything the rig tells about."""
        self._heard.append(Listener(self, driver, self.points(start)))
        return self._heard[-1]

    async def present(self, driver: Any, addresses: Any) -> dict[str, Any]:
        """The values of these addresses as the driver has them now."""
        points = [Point(i, address) for i, address in enumerate(addresses)]
        if not has(self.kind, "read"):
            heard = Listener(self, driver, points)
            self._heard.append(heard)
            await heard.until(lambda: len(heard.newest) == len(points))
            return heard.newest
        found = {}
        for batch in await driver.read(points):
            for i, value in enumerate(batch.value.tolist()):
                shown = batch.text[value] if batch.type == "text" else value
                found[points[int(batch.id[i])].address] = None if status.is_bad(batch.status)[i] else shown
        return found

    async def writing(self, timeout_s: float = 5.0) -> Any:
        """A driver that is ready to write; one that only streams has heard all there is."""
        driver = await self.opened(timeout_s)
        if not has(self.kind, "read"):
            addresses = [*self.truth, *self.rig.writable]
            self._heard.append(Listener(self, driver, [Point(i, a) for i, a in enumerate(addresses)]))
            await self._heard[-1].until(lambda: len(self._heard[-1].newest) == len(addresses))
            # what a device still tells of the opening comes before what it tells of a write
            last, value = list(self.rig.writable.items())[-1]
            count = await self.rig.arrived(last) + 1
            await driver.write([PointWrite(last, value)])
            await self.arrives(last, count)
        return driver

    async def shows(self, driver: Any, values: dict[str, Any]) -> None:
        """The driver tells these values, one that only streams as soon as the device does."""
        if has(self.kind, "read"):
            assert await self.present(driver, values) == values
        else:
            await self._heard[-1].hears(values)

    async def arrives(self, address: str, count: int) -> None:
        """The device has taken so many writes of an address, and no more."""
        async with asyncio.timeout(PATIENCE_S):
            while await self.rig.arrived(address) < count:
                await asyncio.sleep(0.005)
        assert await self.rig.arrived(address) == count

    async def end(self) -> None:
        for heard in self._heard:
            await heard.close()
        for driver in self._built:
            await driver.close()
        await self.rig.stop()


class Listener:
    """Reads a stream in a task of its own, checks the shape of what comes and remembers it.

    ``rows`` are (address, value or None where bad, status, time_ns) in order of arrival.
    """

    def __init__(self, bench: Bench, driver: Any, points: list[Point]) -> None:
        self._bench, self._driver, self.points = bench, driver, points
        self._address = {p.id: p.address for p in points}
        self.rows: list[tuple[str, Any, int, int]] = []
        self._more = asyncio.Event()
        self._going = asyncio.Event()
        self._going.set()
        self._task = asyncio.ensure_future(self._listen())

    async def _listen(self) -> None:
        stream = self._driver.stream(self.points)
        try:
            async for batches in stream:
                for batch in batches:
                    self._take(batch)
                self._more.set()
                await self._going.wait()
        finally:
            if (aclose := getattr(stream, "aclose", None)) is not None:
                await aclose()
            self._more.set()

    def _take(self, batch: Any) -> None:
        assert batch.id.dtype == np.int32
        assert batch.time_ns.dtype == np.int64
        assert batch.status.dtype == np.uint32
        assert batch.value.dtype == DTYPES[batch.type]
        assert len(batch.id) == len(batch.time_ns) == len(batch.value) == len(batch.status)
        bad = status.is_bad(batch.status)
        for i, value in enumerate(batch.value.tolist()):
            address = self._address[int(batch.id[i])]
            if not bad[i]:
                assert batch.type == self._bench.spec.parse_address(address).type
            shown = None if bad[i] else batch.text[value] if batch.type == "text" else value
            self.rows.append((address, shown, int(batch.status[i]), int(batch.time_ns[i])))

    @property
    def newest(self) -> dict[str, Any]:
        return {address: value for address, value, _, _ in self.rows}

    def of(self, address: str) -> list[Any]:
        return [value for one, value, _, _ in self.rows if one == address]

    def pause(self) -> None:
        """Take nothing more than what is taken already."""
        self._going.clear()

    def go(self) -> None:
        self._going.set()

    async def until(self, wanted: Callable[[], bool]) -> None:
        """Wait until it is so; a stream that ends before raises what it ended with."""
        async with asyncio.timeout(PATIENCE_S):
            while not wanted():
                if self._task.done():
                    self._task.result()
                    pytest.fail(f"the stream ended by itself, without NotConnected; heard so far: {self.newest}")
                self._more.clear()
                await self._more.wait()

    async def hears(self, values: dict[str, Any]) -> None:
        """Wait until these are the newest values."""
        try:
            await self.until(lambda: values.items() <= self.newest.items())
        except TimeoutError:
            newest = self.newest
            wrong = {a: (newest.get(a, "nothing"), v) for a, v in values.items() if newest.get(a, "nothing") != v}
            pytest.fail(f"(heard, wanted) by address: {wrong}")

    async def ends(self) -> None:
        """Wait until the stream is over and raise what it ended with."""
        self.go()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.wait({self._task})
        self._task.result()

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.exception()


@pytest.fixture
def kinds() -> list[Kind]:
    return KINDS


@pytest.fixture
def promises() -> set[str]:
    """The names of all promises: every test of the suite that meets a driver."""
    return {name for file in FILES for name in re.findall(r"def test_(\w+)\(bench", (HERE / file).read_text())}


@pytest.fixture
async def bench(request: pytest.FixtureRequest):
    kind: Kind = request.param
    if kind.rig is None:
        path = HERE.relative_to(PROJECT) / "rigs" / f"{kind.spec.name.replace('-', '_')}.py"
        pytest.fail(f"driver {kind.spec.name} has no rig: write {path} (see rigs/README.md)")
    promise = request.node.originalname.removeprefix("test_")
    if waived := getattr(kind.rig, "waivers", {}).get(promise):
        pytest.skip(f"waived: {waived}")
    if promise in NEEDS and getattr(kind.rig, NEEDS[promise], None) is None:
        pytest.skip(f"does not apply: the rig has no {NEEDS[promise]}")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(kind, Path(folder))
        await bench.rig.start()
        try:
            yield bench
        finally:
            await bench.end()

"""Every registered driver meets the suite through its rig: `rigs/<driver>.py` with a class `Rig`.

A rig is a peer that can be started, cut and made to lie. It has

- ``settings(timeout_s)``: the driver's settings to reach the peer, answering within that time
- ``truth``: address -> value, for every value type the driver has
- ``start()``, ``stop()``: listen and listen no more (on the same place again after a stop), cutting every link
- ``cut()``: cut every link, go on listening
- ``say(lie)``: from now on every answer is changed by this function of bytes to bytes; None: the truth again
- ``refused``: an address the device refuses to read, or None
- ``writable``: address -> value to write, for drivers that write
- ``asked``: requests the peer has had
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import tomllib
from pathlib import Path
from typing import Any

import pytest
import uvloop

from isthmus.ports.drivers import DriverContext, DriverSpec, drivers
from isthmus.values.clock import SystemClock
from isthmus.values.model import Budget

HERE = Path(__file__).parent


def _registered() -> dict[str, DriverSpec]:
    """The registry; our own drivers also where the package is not installed and has no entry points."""
    project = tomllib.loads((HERE.parents[2] / "pyproject.toml").read_text())
    for module in project["project"]["entry-points"]["isthmus.drivers"].values():
        importlib.import_module(module)
    return drivers()


def _rig(name: str) -> Any:
    path = HERE / "rigs" / f"{name.replace('-', '_')}.py"
    if not path.exists():
        pytest.fail(f"driver {name} has no rig: write {path.relative_to(HERE.parents[2])}")
    spec = importlib.util.spec_from_file_location(f"rig_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Rig()


class Bench:
    """One driver kind, its peer, and the drivers a test built; all closed at the end."""

    def __init__(self, spec: DriverSpec) -> None:
        self.spec, self.rig = spec, _rig(spec.name)
        self.built: list[Any] = []

    def build(self, timeout_s: float = 5.0, budget: Budget | None = None) -> Any:
        """A driver for the rig's peer; by default with a time-out that a busy machine does not reach."""
        config = self.spec.configure(self.rig.settings(timeout_s))
        self.built.append(self.spec.build(config, DriverContext(budget or Budget(), SystemClock())))
        return self.built[-1]


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Any]:
    """Both loops: they differ in transports, timers and the moment a lost link is told."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=sorted(_registered()))
async def bench(request: pytest.FixtureRequest):
    bench = Bench(drivers()[request.param])
    await bench.rig.start()
    yield bench
    for driver in bench.built:
        await driver.close()
    await bench.rig.stop()

"""A driver of its own for these tests, so that they need no real one."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from isthmus.app.records import open_records
from isthmus.namespace.service import Namespace
from isthmus.namespace.store import metadata
from isthmus.ports.drivers import Address, DriverSpec
from isthmus.values.clock import ManualClock
from isthmus.values.errors import ConfigError
from isthmus.values.sample import ValueType


@dataclass(frozen=True, slots=True)
class RegisterConfig:
    """Settings of the test driver."""

    host: str
    """Name or address of the device."""
    port: int = 502
    """TCP port."""
    timeout_s: float = 1.0
    word_order: str = "big"

    def __post_init__(self) -> None:
        if not 0 < self.port < 65536:
            raise ConfigError(f"port: must lie between 1 and 65535, was {self.port}")


_ADDRESS = re.compile(r"(hr|ir|co) (\d+)(?: (int16|uint16|uint32|float32|string\d+|bit\d+))?\Z")


def parse_address(text: str) -> Address:
    match = _ADDRESS.match(text)
    if match is None:
        raise ConfigError(f"an address is such as 'hr 2 float32', was {text!r}")
    area, start, form = match[1], int(match[2]), match[3] or "uint16"
    if start > 65535:
        raise ConfigError(f"register must be at most 65535, was {start}")
    if area == "co":
        return Address(ValueType.INT, area, start, start + 1)
    if form.startswith("bit"):
        at = start * 16 + int(form[3:])
        return Address(ValueType.INT, area, at, at + 1)
    if form.startswith("string"):
        return Address(ValueType.TEXT, area, start * 16, (start + int(form[6:])) * 16)
    words = 2 if form.endswith("32") else 1
    kind = ValueType.FLOAT if form == "float32" else ValueType.INT
    return Address(kind, area, start * 16, (start + words) * 16)


SPEC = DriverSpec("modbus-tcp", RegisterConfig, lambda *_: None, parse_address, "Test registers")


def driver_of(name: str) -> DriverSpec:
    if name != "modbus-tcp":
        raise ConfigError(f"driver: unknown, known are modbus-tcp, was {name!r}")
    return SPEC


@pytest.fixture(scope="session")
def empty_records(tmp_path_factory):
    """A file with the tables, to be copied: making them costs more than most tests."""
    path = tmp_path_factory.mktemp("records") / "empty.sqlite"
    engine = open_records(path)
    metadata.create_all(engine)
    engine.dispose()
    return path


@pytest.fixture
def engine(empty_records, tmp_path):
    engine = open_records(Path(shutil.copy(empty_records, tmp_path / "records.sqlite")))
    yield engine
    engine.dispose()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def another(engine, clock):
    """Opens one more namespace on the same records."""
    return lambda: Namespace(engine, clock, driver_of, lambda: {"modbus-tcp": SPEC})


@pytest.fixture
def namespace(another):
    return another()


EXAMPLE = """\
# plant.yaml: the whole plant as one reviewable file (also editable on screen; both go through plan/apply)
plant: {enterprise: acme, site: lyon, timezone: Europe/Paris}
connections:
  plc1: {driver: modbus-tcp, host: 127.0.0.1, port: 5020, edge: edge-1, zone: line1, access: read-write}
types:
  filler:
    tags:
      state:   {kind: state, map: packml}
      speed:   {unit: 1/min, range: [0, 160], decimals: 1, deadband: 0.5, alarms: {high: 140, high_high: 150}}
      good:    {kind: counter}
      reject:  {kind: counter}
      yield:   {unit: "%", formula: "100 * good / (good + reject)"}
      target:  {unit: 1/min, range: [0, 140], write: {role: operator, interlock: "guard_closed and state != Aborted"}}
    production:  {state: state, good: good, reject: reject, ideal_rate: 120/min}
    maintenance: {plan: [{every: 500 h running, task: grease-spindle}]}
assets:
  packaging/line1/filler: {type: filler, source: plc1, at: {state: "hr 0", speed: "hr 2 float32", good: "hr 4 uint32"}}
"""


@pytest.fixture
def example():
    return EXAMPLE

"""The state of the whole hall in one small file that all its controllers map into memory.

Each controller writes its own numbers and reads those of its neighbours. Bottles and litres pass between two controllers as
pairs of counters, each written by one side only, so nothing is lost or doubled whenever either of them stops.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Collection, Mapping
from operator import attrgetter
from pathlib import Path
from random import Random
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from isthmus.simulators.bottling.machines import Capper, Conveyor, Filler, Labeller, Palletiser, Wrapper
from isthmus.simulators.bottling.physics import STOPPED, Machine, Panel, Unit, field_names
from isthmus.simulators.bottling.process import (
    LINE,
    Air,
    Boiler,
    Chilled,
    Cip,
    Product,
    Site,
    Syrup,
    Water,
    meter,
)

TANKS: Final = ("water", "syrup", "product", "cip")

UNITS: Final[Mapping[str, Mapping[str, type[Unit]]]] = {
    "plc-filler": {"filler": Filler},
    "plc-capper": {"capper": Capper},
    "plc-line1": {"conveyor": Conveyor, "labeller": Labeller, "palletiser": Palletiser},
    "plc-tanks": {"water": Water, "syrup": Syrup, "product": Product, "cip": Cip},
    "plc-utilities": {"boiler": Boiler, "air": Air, "chilled": Chilled},
    "meters": {
        "m_filler": meter("FillerMeter", ("filler",)),
        "m_capper": meter("CapperMeter", ("capper",)),
        "m_packing": meter("PackingMeter", ("conveyor", "labeller", "palletiser")),
        "m_tanks": meter("TanksMeter", TANKS),
        "m_boiler": meter("BoilerMeter", ("boiler",)),
        "m_air": meter("AirMeter", ("air",)),
        "m_chilled": meter("ChilledMeter", ("chilled",)),
        "m_main": meter("MainMeter", (*LINE, "conveyor", *TANKS, "boiler", "air", "chilled"), 6.5),
        "site": Site,
        "wrapper": Wrapper,
    },
}
"""Which controller runs which units."""

PLCS: Final = tuple(UNITS)

OPCUA: Final = ("plc-capper",)
"""Controllers that speak OPC UA; all others speak Modbus TCP."""

PANELS: Final[Mapping[str, str]] = {
    name: plc for plc, units in UNITS.items() for name, kind in units.items() if issubclass(kind, Panel)
}
"""Units with a switch between local and remote, and their controllers."""

MACHINES: Final = tuple(name for plc in UNITS for name, kind in UNITS[plc].items() if issubclass(kind, Machine))
"""Units with guards and an emergency stop."""

RUN_IN_S: Final = 600
"""How long a new hall has been running when it is first seen."""

SILENCE_NS: Final = 2_000_000_000
"""A controller that was not heard of for so long counts as stopped."""

_STOPPED: Final = {"state": float(STOPPED), "speed": 0.0, "power": 0.0, "flow": 0.0, "inflow": 0.0, "pressure": 0.0}
"""What neighbours see of a stopped controller; its counters stay as they were."""

_PLACES: dict[str, int] = {}
_OWNER: dict[str, str] = {}
_SPANS: dict[str, tuple[int, int]] = {}  # of a controller: heartbeat, number of starts, then its units
_at = 0
for _plc, _units in UNITS.items():
    _start, _at = _at, _at + 2
    for _unit, _kind in _units.items():
        for _field in field_names(_kind):
            _PLACES[f"{_unit}.{_field}"], _OWNER[f"{_unit}.{_field}"] = _at, _plc
            _at += 1
    _SPANS[_plc] = (_start, _at)
SIZE: Final = _at


def place(key: str) -> int:
    """Where a number lies in the file, e.g. "filler.good"."""
    return _PLACES[key]


def span(plc: str) -> tuple[int, int]:
    """First and behind the last number of a controller; its heartbeat is the first, its starts the second."""
    return _SPANS[plc]


def fresh(run_in_s: int = 0) -> NDArray[np.float64]:
    """The numbers of a hall nobody has used yet, after running in for so long. Cost: about 1 ms a second"""
    numbers = np.zeros(SIZE)
    for plc, units in UNITS.items():
        at = _SPANS[plc][0] + 2
        for kind in units.values():
            values = attrgetter(*field_names(kind))(kind())
            numbers[at : at + len(values)] = values
            at += len(values)
    hall = Hall(numbers, seed=0)
    for second in range(run_in_s):
        hall.step(1.0, second * 10**9)
    for start, _ in _SPANS.values():
        numbers[start : start + 2] = 0.0
    return numbers


def open_state(state_dir: Path) -> NDArray[np.float64]:
    """The shared numbers of the hall, made on first use with the line already at speed.

    Any number of processes may come at once.
    """
    layout = zlib.crc32(" ".join(_PLACES).encode())  # another layout is another file
    path = state_dir / f"hall-{layout:08x}.state"
    if not path.exists():
        state_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=state_dir, delete=False) as file:
            file.write(fresh(RUN_IN_S).tobytes())
        try:
            os.link(file.name, path)
        except FileExistsError:
            pass  # a neighbour was first, and its file is as good
        finally:
            Path(file.name).unlink()
    return np.memmap(path, np.float64, "r+", shape=(SIZE,))


class Hall:
    """The hall as one controller sees it: its own units, and everybody's numbers."""

    def __init__(self, numbers: NDArray[np.float64], plcs: Collection[str] = PLCS, seed: int = 1) -> None:
        self.numbers = np.asarray(numbers)
        self._cells = cast(
            "memoryview[float]", self.numbers.data
        )  # reads single numbers four times faster than the array
        self._plcs = tuple(plcs)
        self._dead: set[str] = set()
        self._first_ns = 0  # when it lived first
        self.units: dict[str, Unit] = {}
        self._chance: dict[str, Random] = {}
        self._numbers: dict[str, attrgetter[tuple[float, ...]]] = {}  # take a unit's state in one go
        for plc in self._plcs:
            self._cells[_SPANS[plc][0] + 1] += 1.0
            starts = int(self._cells[_SPANS[plc][0] + 1])
            for name, kind in UNITS[plc].items():
                self.units[name] = kind()
                self._numbers[name] = attrgetter(*field_names(kind))
                self._chance[name] = Random(f"{seed} {name} {starts}")
        self.load()

    def load(self) -> None:
        """Take the state of the own units from the shared numbers."""
        for plc in self._plcs:
            at = _SPANS[plc][0] + 2
            for name, kind in UNITS[plc].items():
                count = len(field_names(kind))
                self.units[name].restore(self.numbers[at : at + count].tolist())
                at += count

    def step(self, dt: float, now_ns: int, faults: Collection[str] = ()) -> None:
        """All own units live for ``dt`` seconds, each seeing what the ones before it did."""
        cells = self._cells
        for plc in self._plcs:
            cells[_SPANS[plc][0]] = float(now_ns)
        self._first_ns = self._first_ns or now_ns
        if abs(now_ns - self._first_ns) > SILENCE_NS:  # until then the others may still be starting
            self._dead = {plc for plc, (beat, _) in _SPANS.items() if abs(now_ns - cells[beat]) > SILENCE_NS}
        for plc in self._plcs:
            at = _SPANS[plc][0] + 2
            for name in UNITS[plc]:
                unit = self.units[name]
                unit.step(dt, self.see, self._chance[name], faults)
                values = self._numbers[name](unit)
                self.numbers[at : at + len(values)] = values
                at += len(values)

    def see(self, key: str) -> float:
        """A number of any unit; of a stopped controller what a neighbour would notice."""
        if self._dead and _OWNER[key] in self._dead:
            stopped = _STOPPED.get(key.rpartition(".")[2])
            if stopped is not None:
                return stopped
        return self._cells[_PLACES[key]]

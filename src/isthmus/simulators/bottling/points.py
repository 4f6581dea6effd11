"""What one point of a controller is, and how the numbers of the hall become its registers and bits, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from isthmus.simulators.modbus import Memory

_DTYPES: Final = {"uint16": ">u2", "int16": ">i2", "uint32": ">u4", "int32": ">i4", "float32": ">f4"}

Limit = float | tuple[float | str, ...]
"""An alarm limit: the number, or with priority, what the operator reads, and what the operator is to do."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """One tag: where its number comes from, where it lies in the device, and what people are told about it.

    ``at`` counts from the base of its block. ``scale`` is the factor from the device's whole numbers to the unit.
    """

    name: str
    at: str
    of: str = ""  # the field of the unit; its name unless told
    text: Mapping[int, str] | None = None  # a string register shows one of these
    kind: str = "value"
    unit: str = ""
    range: tuple[float, float] | None = None
    decimals: int | None = None
    deadband: float | str | None = None
    scale: float | None = None
    every: str = ""
    map: str | Mapping[int, str] | None = None
    alarms: Mapping[str, Limit] | None = None
    setpoint: str = ""
    write: str | Mapping[str, str] | None = None  # a role, or role and interlock: it is a set-point
    description: str = ""

    @property
    def field(self) -> str:
        return self.of or self.name


@dataclass(frozen=True)
class TypeMap:
    """Points that all assets of a type have, and what the plant file says of it besides."""

    name: str
    description: str
    points: tuple[Point, ...]
    extends: str = ""
    formulas: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)  # production, maintenance


@dataclass(frozen=True)
class Block:
    """One asset in a device: its points from ``base`` on. ``{n}`` in a field name is filled with ``number``."""

    asset: str
    unit: str  # of the hall
    type: str
    base: int
    number: int = 0
    description: str = ""


@dataclass(frozen=True)
class Place:
    """A parsed address."""

    area: str
    start: int
    bit: int | None
    kind: str
    count: int
    words_swapped: bool
    bytes_swapped: bool


def parse_at(at: str, base: int = 0) -> Place:
    """The place of an address that counts from ``base``."""
    words = at.split()
    match = re.fullmatch(r"(\d+)(?:\.(\d+))?", words[1])
    if match is None:
        raise ValueError(f"not an address: {at}")
    bit = None if match[2] is None else int(match[2])
    rest = words[2:]
    kind = rest.pop(0) if rest and (rest[0] in _DTYPES or rest[0] == "string") else "uint16"
    if words[0] in {"co", "di"} or bit is not None:
        kind = "bit"
    count = int(rest.pop(0)) if kind == "string" else {"2": 2}.get("2" if kind.endswith("32") else "", 1)
    order = rest[0] if rest else "abcd"
    return Place(words[0], base + int(match[1]), bit, kind, count, order in {"cdab", "dcba"}, order in {"badc", "dcba"})


def template(at: str) -> str:
    """The address as a type of the plant file writes it: "hr 2 float32" to "hr {base+2} float32"."""
    area, rest = at.split(" ", 1)
    number, *more = re.split(r"(?=[ .])", rest, maxsplit=1)
    base = "{base}" if number == "0" else f"{{base+{number}}}"
    return f"{area} {base}{more[0] if more else ''}"


@dataclass
class _Group:
    """Registers of one kind: which numbers, their scale, and where they go. Shapes: (n,), (n,), (n, registers)"""

    dtype: str
    index: NDArray[np.intp]
    factor: NDArray[np.float64]
    low: float
    high: float
    cells: NDArray[np.intp]
    swap_bytes: bool


@dataclass
class _Bits:
    """Coils, inputs, or bits within registers."""

    index: NDArray[np.intp]
    cells: NDArray[np.intp]
    weight: NDArray[np.uint16]


class Encoder:
    """Writes numbers of the hall into a device's memory, a whole kind at a time.

    ``places`` gives, for each point, its block, itself, and where its number lies in the hall.
    """

    def __init__(self, memory: Memory, points: Sequence[tuple[Block, Point, int]]) -> None:
        self._memory = memory
        self._groups: list[tuple[str, _Group]] = []
        self._bits: list[tuple[str, _Bits]] = []
        self._texts: list[tuple[NDArray[np.uint16], int, Mapping[int, str]]] = []
        self._shown: dict[int, int] = {}
        self.setpoints: dict[tuple[str, int], tuple[Block, Point, Place]] = {}
        registers: dict[tuple[str, str, bool], list[tuple[int, float, Place]]] = {}
        bits: dict[str, list[tuple[int, Place]]] = {}
        for block, point, at in points:
            place = parse_at(point.at, block.base)
            if point.write is not None:
                for cell in range(place.start, place.start + place.count):
                    self.setpoints[place.area, cell] = (block, point, place)
            if place.kind == "string":
                area = getattr(memory, place.area)
                self._texts.append((area[place.start : place.start + place.count], at, point.text or {}))
            elif place.kind == "bit":
                bits.setdefault(place.area, []).append((at, place))
            else:
                key = (place.area, place.kind, place.bytes_swapped)
                registers.setdefault(key, []).append((at, point.scale or 1.0, place))
        for (area, kind, swapped), rows in registers.items():
            self._groups.append((area, _group(kind, swapped, rows)))
        for area, found in bits.items():
            self._bits.append((area, _bits(found)))

    def write(self, numbers: NDArray[np.float64]) -> None:
        """Bring the memory up to date. Cost: about 10 µs a kind"""
        for area, group in self._groups:
            values = numbers[group.index] / group.factor
            if group.dtype != ">f4":
                values = np.rint(values).clip(group.low, group.high)
            words = values.astype(group.dtype).view("<u2" if group.swap_bytes else ">u2")
            getattr(self._memory, area)[group.cells] = words.reshape(group.cells.shape)
        for area, bits in self._bits:
            on = numbers[bits.index] > 0.5
            cells = getattr(self._memory, area)
            if area in {"co", "di"}:
                cells[bits.cells] = on
            else:
                words16 = np.zeros(int(bits.cells.max()) + 1, np.uint16)
                np.bitwise_or.at(words16, bits.cells, bits.weight * on)
                touched = np.unique(bits.cells)
                cells[touched] = words16[touched]
        for cells, at, names in self._texts:
            number = int(numbers[at])
            if self._shown.get(at) != number:
                self._shown[at] = number
                cells[:] = np.frombuffer(names.get(number, "").encode().ljust(2 * len(cells), b"\0"), ">u2")

    def read(self, point: Point, place: Place) -> float:
        """What a client wrote to a set-point, within its range."""
        cells = getattr(self._memory, place.area)[place.start : place.start + place.count]
        if place.kind == "bit":
            bit = int(cells[0]) >> (place.bit or 0) & 1
            return float(bit)
        words = cells[::-1] if place.words_swapped else cells
        raw = np.ascontiguousarray(words, "<u2" if place.bytes_swapped else ">u2").view(_DTYPES[place.kind])[0]
        value = float(raw) * (point.scale or 1.0)
        low, high = point.range or (-np.inf, np.inf)
        return min(high, max(low, value)) if np.isfinite(value) else float(low)


def _group(kind: str, swapped: bool, rows: Sequence[tuple[int, float, Place]]) -> _Group:
    cells = [list(range(p.start, p.start + p.count)) for _, _, p in rows]
    ordered = [c[::-1] if p.words_swapped else c for c, (_, _, p) in zip(cells, rows, strict=True)]
    whole = np.iinfo(_DTYPES[kind]) if kind != "float32" else None
    return _Group(
        dtype=_DTYPES[kind],
        index=np.array([at for at, _, _ in rows], np.intp),
        factor=np.array([factor for _, factor, _ in rows]),
        low=float(whole.min) if whole else 0.0,
        high=float(whole.max) if whole else 0.0,
        cells=np.array(ordered, np.intp),
        swap_bytes=swapped,
    )


def _bits(found: Sequence[tuple[int, Place]]) -> _Bits:
    return _Bits(
        np.array([at for at, _ in found], np.intp),
        np.array([p.start for _, p in found], np.intp),
        np.array([1 << (p.bit or 0) for _, p in found], np.uint16),
    )

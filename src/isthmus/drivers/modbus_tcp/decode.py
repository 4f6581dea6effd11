"""Bytes to columns: every value of a read is taken out of one image of the device by index arrays made beforehand.

Byte and word orders cost nothing here: they are in the indices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.drivers.modbus_tcp.address import ModbusAddress, wire_order
from isthmus.values import status
from isthmus.values.sample import SampleBatch, ValueType

_DTYPES: Final = {
    "int16": "<i2",
    "uint16": "<u2",
    "int32": "<i4",
    "uint32": "<u4",
    "int64": "<i8",
    "uint64": "<i8",  # what does not fit shows as negative
    "float32": "<f4",
    "float64": "<f8",
    "bool": "<u2",
}
_TYPES: Final = (ValueType.INT, ValueType.FLOAT, ValueType.TEXT)


@dataclass(slots=True)
class _Group:
    """Values of one kind, rows [start, stop) of their type's batch. Shapes: index (rows * bytes of one value,)"""

    kind: str
    start: int
    stop: int
    index: NDArray[np.intp]
    mask: NDArray[np.uint8] | None = None  # of a bit, in its byte
    width: int = 0  # bytes of one value


@dataclass(slots=True)
class _Column:
    """One value type: ids in row order, and the groups that fill the values."""

    type: ValueType
    id: NDArray[np.int32]
    start: int  # first row among all rows of the read
    groups: list[_Group] = field(default_factory=list)


class Decoder:
    """Made once for a sequence of points.

    Shapes: addresses, places, ids are n long; rows of the read are numbered 0..n-1, integers first, then floats, then
            texts. ``rows[i]`` is the row of point i. An address of None gives a row whose status somebody else sets
    """

    def __init__(
        self,
        addresses: Sequence[ModbusAddress | None],
        places: Sequence[int],
        ids: Sequence[int],
        swap_bytes: bool = False,
        swap_words: bool = False,
    ) -> None:
        self._addresses = addresses
        self._swaps = swap_bytes, swap_words
        self.rows = np.zeros(len(addresses), np.intp)
        self._columns: list[_Column] = []
        self._texts: tuple[bytes, NDArray[np.int32], tuple[str, ...]] = (b"", np.zeros(0, np.int32), ())
        groups: dict[ValueType, dict[tuple[str, int], list[int]]] = {type_: {} for type_ in _TYPES}
        for i, address in enumerate(addresses):
            if address is None:
                groups[ValueType.INT].setdefault(("", 0), []).append(i)
            else:
                groups[address.type].setdefault((address.kind, address.count), []).append(i)
        row = 0
        for type_, by_kind in groups.items():
            chosen = [i for points in by_kind.values() for i in points]
            if not chosen:
                continue
            column = _Column(type_, np.array([ids[i] for i in chosen], np.int32), row)
            column.id.flags.writeable = False  # shared by the batches of many reads
            self.rows[chosen] = np.arange(row, row + len(chosen))
            start = 0
            for (kind, count), points in by_kind.items():
                members = [address for i in points if (address := addresses[i]) is not None]
                if members:
                    base = np.array([places[i] for i in points], np.intp)
                    column.groups.append(self._group(kind, count, start, members, base))
                start += len(points)
            self._columns.append(column)
            row += len(chosen)
        self._point_of_row = np.argsort(self.rows)

    def _group(self, kind: str, count: int, start: int, members: list[ModbusAddress], base: NDArray[np.intp]) -> _Group:
        """Shapes: members, base (rows,)"""
        stop = start + len(members)
        if kind == "bit":
            offsets, masks = zip(*[self._bit(a) for a in members], strict=True)
            return _Group(kind, start, stop, base + np.array(offsets, np.intp), np.array(masks, np.uint8))
        orders = [self._order(kind, count, a) for a in members]
        index = base[:, None] + np.array(orders, np.intp)
        return _Group(kind, start, stop, index.ravel(), width=2 * count)

    def _bit(self, address: ModbusAddress) -> tuple[int, int]:
        """Offset and mask. A coil or input has a byte of the image to itself; bits 0 to 7 of a register come second."""
        if address.area in {"co", "di"}:
            return 0, 1
        second = (address.bit < 8) != self._swap(address)[0]
        return int(second), 1 << address.bit % 8

    def _order(self, kind: str, count: int, address: ModbusAddress) -> tuple[int, ...]:
        """Where each byte of a value lies behind its first one: least significant first, texts as they are read."""
        swap_bytes, swap_words = self._swap(address)
        if kind == "string":
            return tuple(i ^ swap_bytes for i in range(2 * count))
        return wire_order(count, swap_bytes, swap_words)

    def _swap(self, address: ModbusAddress) -> tuple[bool, bool]:
        swap_bytes, swap_words = self._swaps
        return (
            swap_bytes if address.swap_bytes is None else address.swap_bytes,
            swap_words if address.swap_words is None else address.swap_words,
        )

    def decode(
        self, image: NDArray[np.uint8], time_ns: int, codes: NDArray[np.uint32]
    ) -> tuple[list[SampleBatch], str]:
        """All rows, and a word about the first value that is none (or "").

        Shapes: image (bytes,), codes (n,) by row and taken over as they are, never changed
        """
        batches = []
        note = ""
        for column in self._columns:
            own = codes[column.start : column.start + len(column.id)]
            times = np.full(len(column.id), time_ns, np.int64)
            if column.type is ValueType.TEXT:
                text_codes, texts = self._decode_texts(column, image)
                batches.append(SampleBatch(column.id, times, text_codes, own, texts))
                continue
            decode = _decode_whole if column.type is ValueType.INT else _decode_floats
            value, surprise = decode(column, image)
            if surprise is not None:
                surprise[own != 0] = 0  # what did not arrive cannot surprise
                own = own | surprise
                if not note and surprise.any():
                    note = self._say(column, surprise)
            batches.append(SampleBatch(column.id, times, value, own))
        return batches, note

    def _say(self, column: _Column, surprise: NDArray[np.uint32]) -> str:
        first = int(np.flatnonzero(surprise)[0])
        address = self._addresses[int(self._point_of_row[column.start + first])]
        name = "" if address is None else address.text
        if column.type is ValueType.INT:
            return f"{name}: the value is beyond the largest signed 64-bit integer"
        what = "infinite" if surprise[first] == status.BAD_OUT_OF_RANGE else "not a number"
        return f"{name}: the device's value is {what}"

    def _decode_texts(self, column: _Column, image: NDArray[np.uint8]) -> tuple[NDArray[np.int32], tuple[str, ...]]:
        """Codes and texts. Texts rarely change, so the bytes of the last read are compared before any is decoded."""
        raw = [image.take(g.index).tobytes() for g in column.groups]
        key = b"".join(raw)
        if key != self._texts[0] or len(self._texts[1]) != len(column.id):
            table: dict[str, int] = {}
            codes = [
                table.setdefault(_text(data[i : i + g.width]), len(table))
                for g, data in zip(column.groups, raw, strict=True)
                for i in range(0, len(data), g.width)
            ]
            self._texts = key, np.array(codes, np.int32), tuple(table)
            self._texts[1].flags.writeable = False  # shared by the batches of many reads
        return self._texts[1], self._texts[2]


def _decode_whole(column: _Column, image: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.uint32] | None]:
    """Values, and where some do not fit a status for each row (0: fits)."""
    value = np.zeros(len(column.id), np.int64)
    surprise = None
    for group in column.groups:
        raw = image.take(group.index)
        here = value[group.start : group.stop]
        if group.mask is not None:
            here[:] = (raw & group.mask) != 0
        elif group.kind == "bool":
            here[:] = raw.view("<u2") != 0
        else:
            here[:] = raw.view(_DTYPES[group.kind])
        if group.kind == "uint64" and (here < 0).any():
            surprise = np.zeros(len(value), np.uint32)
            surprise[group.start : group.stop][here < 0] = status.BAD_OUT_OF_RANGE
    return value, surprise


def _decode_floats(column: _Column, image: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.uint32] | None]:
    """Values, and where some are no numbers a status for each row (0: a number)."""
    value = np.zeros(len(column.id), np.float64)
    with np.errstate(invalid="ignore"):  # widening a signalling NaN; it is noticed right below
        for group in column.groups:
            value[group.start : group.stop] = image.take(group.index).view(_DTYPES[group.kind])
    finite = np.isfinite(value)
    if finite.all():
        return value, None
    surprise = np.where(np.isnan(value), status.BAD_SENSOR_FAILURE, status.BAD_OUT_OF_RANGE)
    return value, np.where(finite, 0, surprise).astype(np.uint32)


def _text(data: bytes) -> str:
    """Up to the first NUL, without blanks at its end; UTF-8, else every byte is a Latin-1 character."""
    data = data.split(b"\0", 1)[0]
    try:
        return data.decode().rstrip()
    except UnicodeDecodeError:
        return data.decode("latin-1").rstrip()

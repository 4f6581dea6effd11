"""Many metrics of one make at once: where all metrics of a message have the same bytes at the same places, they are columns.

A message of doubles (or floats) by alias, each with its time, is read by numpy in place of metric by metric. Whatever looks different is not
touched here: the answer is None, and the message is read the plain way.

Source: https://protobuf.dev (wire format); Eclipse Sparkplug 3.0, section 6.4
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

FEWEST: Final = 16
"""Metrics from which on this is faster."""
_VARINT, _FIXED64, _FIXED32 = 0, 1, 5
_ALIAS, _TIME, _DATATYPE, _FLOAT, _DOUBLE = 2, 3, 4, 12, 13
_KINDS: Final = {(_ALIAS, _VARINT), (_TIME, _VARINT), (_DATATYPE, _VARINT), (_FLOAT, _FIXED32), (_DOUBLE, _FIXED64)}


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where in a metric its parts are; ``mask`` are the bits all metrics must share."""

    mask: NDArray[np.uint8]
    alias: slice
    time: slice
    value: slice
    double: bool


@dataclass(frozen=True, slots=True)
class Columns:
    """Metrics of a message. ``time_ms`` is 0 where none is said."""

    alias: list[int]
    time_ms: list[int]
    value: list[float]
    double: bool


@lru_cache(1024)
def _layout(shape: bytes) -> _Layout | None:
    """The layout of a metric like this one; None if it has other parts than those read here."""
    mask = np.zeros(len(shape), np.uint8)
    parts: dict[int, slice] = {}
    at = 0
    while at < len(shape):
        number, wire = shape[at] >> 3, shape[at] & 7
        if (number, wire) not in _KINDS or number in parts:
            return None
        mask[at] = 0xFF
        at = begin = at + 1
        if wire == _VARINT:
            while at < len(shape) and shape[at] & 0x80:
                at += 1
            at += 1
            mask[begin:at] = 0x80
        else:
            at += 8 if wire == _FIXED64 else 4
        if at > len(shape) or at - begin > 8:
            return None
        parts[number] = slice(begin, at)
    if _ALIAS not in parts or _TIME not in parts or (_FLOAT in parts) == (_DOUBLE in parts):
        return None
    double = _DOUBLE in parts
    return _Layout(mask, parts[_ALIAS], parts[_TIME], parts[_DOUBLE if double else _FLOAT], double)


def _shape(metric: bytes) -> bytes:
    """The metric with everything blanked that does not make its layout, so that few layouts are remembered."""
    out, at = bytearray(len(metric)), 0
    while at < len(metric):
        out[at] = metric[at]
        wire, at = metric[at] & 7, at + 1
        if wire == _VARINT:
            while at < len(metric) and metric[at] & 0x80:
                out[at] = 0x80
                at += 1
            at += 1
        else:
            at += 8 if wire == _FIXED64 else 4
    return bytes(out)


def _varints(part: NDArray[np.uint8]) -> list[int]:
    """At most 8 bytes each."""
    total = np.zeros(len(part), np.int64)
    for i in range(part.shape[1]):
        total |= (part[:, i] & 0x7F).astype(np.int64) << (7 * i)
    found: list[int] = total.tolist()
    return found


def read(metrics: Any) -> list[Columns] | None:
    """The metrics (each as its bytes) as columns, one for each length; None if any of them is of another make."""
    by_length: dict[int, list[bytes]] = {}
    for metric in metrics:
        by_length.setdefault(len(metric), []).append(metric)
    if len(by_length) > 4:
        return None
    found = []
    for length, some in by_length.items():
        layout = _layout(_shape(some[0])) if length else None
        if layout is None:
            return None
        table = np.frombuffer(b"".join(some), np.uint8).reshape(len(some), length)
        if ((table ^ table[0]) & layout.mask).any():
            return None
        value = np.ascontiguousarray(table[:, layout.value]).view("<f8" if layout.double else "<f4").ravel()
        found.append(
            Columns(
                _varints(table[:, layout.alias]),
                _varints(table[:, layout.time]),
                value.astype(np.float64).tolist(),
                layout.double,
            )
        )
    return found

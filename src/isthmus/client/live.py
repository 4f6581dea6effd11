"""The live stream, decoded. Its layout is told in docs/api.md."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEADER = struct.Struct("<BBHIIId")
_BAD = 0x80000000


@dataclass(frozen=True, slots=True)
class Update:
    """A tag's new value. ``value`` is None where the status is Bad; status is an OPC UA status code, 0 is Good."""

    path: str
    value: float | str | None
    time: datetime
    status: int

    @property
    def good(self) -> bool:
        """Whether it may be counted on."""
        return self.status >> 30 == 0


@dataclass(frozen=True, slots=True)
class Frame:
    """What one binary message says. Shapes: all (n,); texts by slot. Units: ms since 1970"""

    view: int
    server_ms: float
    time_ms: NDArray[np.float64]
    value: NDArray[np.float64]
    slot: NDArray[np.uint32]
    status: NDArray[np.uint32]
    texts: dict[int, str]


def decode(message: bytes) -> Frame:
    """A binary message.

    Raises: ValueError if it is none this client knows
    """
    version, kind, _, n, view, _, server_ms = _HEADER.unpack_from(message)
    if version != 1 or kind != 1:
        raise ValueError(f"live stream of version {version}, kind {kind}; this client knows version 1, kind 1")
    at = _HEADER.size
    columns: list[NDArray[Any]] = []
    for dtype in ("<f8", "<f8", "<u4", "<u4"):
        columns.append(np.frombuffer(message, dtype, n, at))
        at += -(-columns[-1].nbytes // 8) * 8
    rest = message[at:].strip()
    time_ms, value, slot, status = columns
    return Frame(view, server_ms, time_ms, value, slot, status, dict(json.loads(rest)) if rest else {})


def updates(frame: Frame, slots: Sequence[str | None]) -> Iterator[Update]:
    """A frame's rows one by one."""
    columns = zip(frame.slot.tolist(), frame.time_ms.tolist(), frame.value.tolist(), frame.status.tolist(), strict=True)
    for slot, time_ms, value, status in columns:
        path = slots[slot]
        if path is None:
            continue
        text = frame.texts.get(slot)
        shown = None if status & _BAD else value if text is None else text
        yield Update(path, shown, datetime.fromtimestamp(time_ms / 1000, UTC), status)

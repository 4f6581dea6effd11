"""From a value to a command, and from what a node says afterwards to what became of it.

A command goes with QoS 0 and nobody confirms it: that it arrived shows by the metric telling the value (Eclipse Sparkplug
3.0, sections 5.10 and 6.4.20 to 6.4.21).
"""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from isthmus.drivers.sparkplug import payload as sparkplug
from isthmus.drivers.sparkplug.host import Host, Target
from isthmus.ports.drivers import Point
from isthmus.ports.writes import PointWrite
from isthmus.values import status
from isthmus.values.errors import NotConnected, Rejected
from isthmus.values.sample import SampleBatch, ValueType

_MOST_ROWS: Final = 4_000_000
_INTEGERS: Final = {
    sparkplug.BOOLEAN: (0, 1),
    sparkplug.INT8: (-(1 << 7), (1 << 7) - 1),
    sparkplug.INT16: (-(1 << 15), (1 << 15) - 1),
    sparkplug.INT32: (-(1 << 31), (1 << 31) - 1),
    sparkplug.INT64: (-(1 << 63), (1 << 63) - 1),
    sparkplug.UINT8: (0, (1 << 8) - 1),
    sparkplug.UINT16: (0, (1 << 16) - 1),
    sparkplug.UINT32: (0, (1 << 32) - 1),
    sparkplug.UINT64: (0, (1 << 63) - 1),  # what is larger could not be read back
    sparkplug.DATETIME: (0, (1 << 63) - 1),
}


@dataclass(frozen=True, slots=True)
class Command:
    """One value on its way; ``wanted`` is what its metric will tell once it has arrived."""

    address: str
    target: Target
    value: float | int | str | bool
    wanted: float | int | str

    def payload(self, now_ms: int) -> bytes:
        """The message; the datatype is said, though it need not be: common decoders give null without it."""
        said = sparkplug.Payload(timestamp=now_ms)
        sparkplug.add_metric(said, self.target.name, self.target.datatype, self.value, now_ms, alias=self.target.alias)
        data: bytes = said.SerializeToString()
        return data


def command(host: Host | None, item: PointWrite) -> Command:
    """What to send.

    Raises: Rejected if nobody is there to take it, or the value does not fit
    """
    if host is None:
        raise Rejected(f"{item.address}: nothing was heard of any node yet")
    target = host.target(item.address)
    value = _fitting(item, target.datatype)
    wanted = float(np.float32(value)) if target.datatype == sparkplug.FLOAT else value
    return Command(item.address, target, value, int(wanted) if isinstance(wanted, bool) else wanted)


def _fitting(item: PointWrite, datatype: int) -> float | int | str | bool:
    """The value in the metric's type.

    Raises: Rejected
    """
    value = item.value
    if datatype in (sparkplug.STRING, sparkplug.TEXT, sparkplug.UUID):
        if not isinstance(value, str):
            raise Rejected(f"{item.address}: needs a text, was {value!r}")
        return value
    if isinstance(value, str) or not math.isfinite(value):
        raise Rejected(f"{item.address}: needs a finite number, was {value!r}")
    if datatype in (sparkplug.FLOAT, sparkplug.DOUBLE):
        try:
            struct.pack("<f" if datatype == sparkplug.FLOAT else "<d", value)
        except OverflowError:
            raise Rejected(f"{item.address}: {value!r} is too large for {sparkplug.NAMES[datatype]}") from None
        return float(value)
    low, high = _INTEGERS[datatype]
    if value != int(value) or not low <= value <= high:
        raise Rejected(f"{item.address}: needs a whole number from {low} to {high}, was {value!r}")
    return bool(value) if datatype == sparkplug.BOOLEAN else int(value)


class Answers:
    """What each tag last told, and who waits for one of them to tell something.

    Cost: one assignment a batch; a text costs a dictionary entry
    """

    def __init__(self, points: Sequence[Point]) -> None:
        size = max((p.id for p in points), default=-1) + 1
        self._numbers = np.full(size if size <= _MOST_ROWS else 0, np.nan)
        self._texts: dict[int, str] = {}
        self._waiting: list[tuple[dict[int, ValueType], Any, asyncio.Future[None]]] = []

    def hear(self, batches: Sequence[SampleBatch]) -> None:
        """What nodes said."""
        for batch in batches:
            good = ~status.is_bad(batch.status)
            if batch.type is ValueType.TEXT:
                for row, code, fine in zip(batch.id.tolist(), batch.value.tolist(), good.tolist(), strict=True):
                    self._texts[row] = batch.text[code] if fine else ""
            elif len(self._numbers):
                self._numbers[batch.id] = np.where(good, batch.value, np.nan)
            for rows, wanted, done in self._waiting:
                if not done.done() and _tells(batch, good, rows, wanted):
                    done.set_result(None)

    def tells(self, sent: Command) -> bool:
        """Whether a tag of the metric told this value last: a node need not say again what has not changed."""
        for row, kind in sent.target.rows:
            if kind is ValueType.TEXT:
                same = self._texts.get(row) == sent.wanted
            else:
                same = row < len(self._numbers) and bool(self._numbers[row] == sent.wanted)
            if same:
                return True
        return False

    @contextmanager
    def awaited(self, sent: Command) -> Iterator[asyncio.Future[None]]:
        """Done once a tag of the metric tells the value."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = dict(sent.target.rows), sent.wanted, done
        self._waiting.append(entry)
        try:
            yield done
        finally:
            self._waiting.remove(entry)
            if done.done() and not done.cancelled():
                done.exception()  # nobody may have waited for it any more

    def end(self, reason: str) -> None:
        """Nobody will hear anything any more."""
        for _, _, done in self._waiting:
            if not done.done():
                done.set_exception(NotConnected(reason))


def _tells(batch: SampleBatch, good: Any, rows: dict[int, ValueType], wanted: Any) -> bool:
    for row, kind in rows.items():
        if kind is not batch.type:
            continue
        said = batch.value[(batch.id == row) & good]
        if batch.type is ValueType.TEXT:
            if any(batch.text[code] == wanted for code in said.tolist()):
                return True
        elif (said == wanted).any():
            return True
    return False

"""The newest reading of each tag that the gate or a trip looks at, however little of it goes to the bus.

Report by exception keeps from the bus what lies within a deadband; a hazard must be seen within it too, and a value that
was read again is as young as that reading. So binding tells every reading of these tags, before it leaves any out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.acquisition.binding import Binder
from isthmus.ports.field import HeldValue
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.messages.control import Written
from isthmus.values.model import EdgeModel
from isthmus.values.sample import SampleBatch, ValueType
from isthmus.values.status import BAD

Hear = Callable[[Sequence[SampleBatch]], None]
Log = logging.Logger | logging.LoggerAdapter[Any]


@dataclass(slots=True)
class _Newest:
    value: Written | None
    status: int
    time_ns: int
    at_ns: int  # monotonic


class Held:
    """What the tags of one model hold. ``listeners`` outlive a model, as they are handed on."""

    def __init__(self, model: EdgeModel, clock: Clock, log: Log) -> None:
        self._clock, self._log = clock, log
        self._inputs = {f.id: tuple(f.inputs.values()) for f in model.formulas}
        self._inputs |= {s.id: tuple(tag for tag, _, _ in s.inputs.values()) for s in model.scripts}
        self._ids = np.array(sorted(self._wanted(model)), np.int32)
        self._of: dict[int, _Newest] = {}
        self._fresh: list[SampleBatch] = []
        self.listeners: list[Hear] = []

    def adopt(self, other: Held) -> None:
        """Go on with what the model before had read, and who listened."""
        mine = set(self._ids.tolist())
        self._of = {tag: newest for tag, newest in other._of.items() if tag in mine}
        self.listeners = other.listeners

    def watch(self, binder: Binder) -> None:
        """Hear of every reading that this binder judges."""
        binder.watch(np.isin(binder.table.id, self._ids), self._take)

    def heard(self, batches: Iterable[SampleBatch]) -> None:
        """Take what was calculated, and tell the listeners."""
        now_ns = self._clock.monotonic_ns()
        for batch in batches:
            mine = np.isin(batch.id, self._ids)
            if mine.any():
                self._take(batch.rows(mine), now_ns)
        self.tell()

    def tell(self) -> None:
        """Everything of one answer is in: tell the listeners, whatever one of them does."""
        if not self._fresh:
            return
        batches, self._fresh = tuple(self._fresh), []
        for hear in tuple(self.listeners):
            try:
                hear(batches)
            except Exception:
                self._log.exception("a listener to readings failed")

    def of(self, tag: int) -> HeldValue | None:
        """What a tag holds. What is calculated is as old as the oldest of what it is calculated from."""
        newest = self._of.get(tag)
        if newest is None:
            return None
        age_ns = self._clock.monotonic_ns() - self._confirmed_ns(tag, newest)
        return HeldValue(newest.value, newest.status, newest.time_ns, age_ns / NS_PER_S)

    def at_ns(self, tag: int) -> int:
        """When a tag was last read, by the monotonic clock; before everything if never."""
        newest = self._of.get(tag)
        return newest.at_ns if newest is not None else -(2**63)

    def _confirmed_ns(self, tag: int, newest: _Newest) -> int:
        inputs = self._inputs.get(tag, ())
        oldest = newest.at_ns if not inputs else 2**63
        for one in inputs:  # formulas go in no circle
            known = self._of.get(one)
            oldest = min(oldest, self._confirmed_ns(one, known) if known is not None else -(2**63))
        return oldest

    def _take(self, batch: SampleBatch, now_ns: int) -> None:
        self._fresh.append(batch)
        texts = batch.text if batch.type is ValueType.TEXT else None
        for tag, time_ns, value, status in zip(
            batch.id.tolist(), batch.time_ns.tolist(), batch.value.tolist(), batch.status.tolist(), strict=True
        ):
            spelt: Written | None = value if texts is None else texts[value]
            self._of[tag] = _Newest(None if status & BAD else spelt, status, time_ns, now_ns)

    def _wanted(self, model: EdgeModel) -> set[int]:
        """Tags of points and trips, and what the calculated ones among them are calculated from."""
        waiting: list[int] = []
        for point in model.points:
            waiting += (point.tag, point.read_back or point.tag, *point.inputs.values())
        for trip in model.trips:
            waiting += (*trip.inputs.values(), *(tag for tag, _ in (*trip.actions, *trip.test)))
        found: set[int] = set()
        while waiting:
            tag = waiting.pop()
            if tag not in found:
                found.add(tag)
                waiting += self._inputs.get(tag, ())
        return found

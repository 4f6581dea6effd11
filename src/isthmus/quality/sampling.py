"""Which samples of live tags make a check: by time, by count or by another tag. Pure, so a replay makes the same checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isthmus.quality.model import Characteristic
from isthmus.values.clock import NS_PER_S
from isthmus.values.sample import SampleBatch, ValueType
from isthmus.values.status import is_good


@dataclass(frozen=True, slots=True)
class Row:
    """One good sample. Units: UTC ns"""

    time_ns: int
    tag: int
    value: float


@dataclass(frozen=True, slots=True)
class Gathered:
    """A whole subgroup; its time is that of its last value."""

    characteristic: str
    time_ns: int
    values: tuple[float, ...] = ()
    defects: int = 0
    size: int = 0


def rows_of(batches: Sequence[SampleBatch], tags: np.ndarray[Any, np.dtype[np.int32]]) -> list[Row]:
    """Good samples of some tags, by time; of equal times the tags in their order. ``tags`` is sorted."""
    found: list[Row] = []
    for batch in batches:
        if batch.type is ValueType.TEXT or not len(batch):
            continue
        wanted = np.isin(batch.id, tags) & is_good(batch.status)
        if not wanted.any():
            continue
        for time_ns, tag, value in zip(
            batch.time_ns[wanted].tolist(), batch.id[wanted].tolist(), batch.value[wanted].tolist(), strict=True
        ):
            found.append(Row(time_ns, tag, float(value)))
    found.sort(key=lambda row: (row.time_ns, row.tag))
    return found


@dataclass(slots=True)
class Sampler:
    """Gathers one characteristic; without a tag of its own it only watches its trigger. A sample that is not newer than the one before it is late, and is passed over.

    By time: the first sample in each period, periods beginning at whole multiples since 1970. By count: each n-th. By another tag: the
    newest value whenever that tag comes to its value.
    """

    key: str
    one: Characteristic
    tag: int
    trigger: int = 0  # or, of counters, the counter of units
    from_ns: int = 0
    newest_ns: int = 0
    period: int = -1
    count: int = 0
    value: float | None = None
    held: float | None = None  # what the trigger was
    trigger_ns: int = 0
    risen_ns: int = 0  # when it last came to its value
    group: list[float] = field(default_factory=list)
    defects: float = 0.0  # what the counters grew since the last check
    units: float = 0.0
    late: int = 0  # samples that came too late, and counts that cannot be

    def take(self, rows: Sequence[Row]) -> list[Gathered]:
        """Subgroups that some samples complete."""
        return self._measure(rows) if self.one.is_measured or not self.tag else self._count(rows)

    def _count(self, rows: Sequence[Row]) -> list[Gathered]:
        """By growth of counters; a lower value began again at 0. What grew up to a sample belongs to the period it came in."""
        made: list[Gathered] = []
        for row in rows:
            newest_ns = self.newest_ns if row.tag == self.tag else self.trigger_ns
            if row.tag not in (self.tag, self.trigger) or row.time_ns < self.from_ns:
                continue
            if row.time_ns <= newest_ns:
                self.late += 1
                continue
            if self.one.sampling.every_s > 0:
                period = row.time_ns // round(self.one.sampling.every_s * NS_PER_S)
                if period > self.period:
                    made += self._close(row.time_ns) if self.period >= 0 else []
                    self.period = period
            before = self.value if row.tag == self.tag else self.held
            grown = 0.0 if before is None else row.value - before if row.value >= before else row.value
            if row.tag == self.tag:
                self.newest_ns, self.value, self.defects = row.time_ns, row.value, self.defects + grown
            else:
                self.trigger_ns, self.held, self.units = row.time_ns, row.value, self.units + grown
            if 0 < self.one.sampling.pieces <= self.units:
                made += self._close(row.time_ns)
        return made

    def _close(self, time_ns: int) -> list[Gathered]:
        """A check of what was counted since the last; none where nothing was looked at."""
        defects, units = round(self.defects), round(self.units) if self.trigger else self.one.size
        self.defects = self.units = 0.0
        if units <= 0 or defects < 0 or (self.one.chart in ("p", "np") and defects > units):
            self.late += units > 0
            return []
        return [Gathered(self.key, time_ns, (), defects, units)]

    def _measure(self, rows: Sequence[Row]) -> list[Gathered]:
        made: list[Gathered] = []
        for row in rows:
            picked = False
            if row.tag == self.tag and row.time_ns >= self.from_ns:
                if row.time_ns <= self.newest_ns:
                    self.late += 1
                    continue
                self.newest_ns, self.value = row.time_ns, row.value
                picked = self._pick(row.time_ns)
            if self.trigger and row.tag == self.trigger and row.time_ns > self.trigger_ns:
                rises = self.held is not None and self.held != row.value == self.one.sampling.becomes
                self.held, self.trigger_ns = row.value, row.time_ns
                self.risen_ns = row.time_ns if rises else self.risen_ns
                picked = picked or (rises and self.value is not None)
            if picked and self.value is not None:
                self.group.append(self.value)
                if len(self.group) >= self.one.size:
                    made.append(Gathered(self.key, row.time_ns, tuple(self.group)))
                    self.group = []
        return made

    def _pick(self, time_ns: int) -> bool:
        sampling = self.one.sampling
        if sampling.every_s > 0:
            period = time_ns // round(sampling.every_s * NS_PER_S)
            fresh, self.period = period > self.period, max(period, self.period)
            return fresh
        if sampling.pieces > 0:
            self.count += 1
            if self.count >= sampling.pieces:
                self.count = 0
                return True
        return False

    @property
    def likeness(self) -> list[Any]:
        """What must be the same for a later sampler to go on from this one."""
        sampling = self.one.sampling
        return [self.tag, self.trigger, self.one.size, sampling.every_s, sampling.pieces, sampling.becomes]

    def carried(self) -> dict[str, Any]:
        """What a later beginning goes on from."""
        names = (
            "from_ns",
            "newest_ns",
            "period",
            "count",
            "value",
            "held",
            "trigger_ns",
            "risen_ns",
            "group",
            "defects",
            "units",
            "late",
        )
        return {"likeness": self.likeness} | {name: getattr(self, name) for name in names}

    def carry(self, saved: dict[str, Any]) -> None:
        """Go on from there, where it was gathered in the same way."""
        if saved["likeness"] != self.likeness:
            return
        for name, value in saved.items():
            if name != "likeness":
                setattr(self, name, value)

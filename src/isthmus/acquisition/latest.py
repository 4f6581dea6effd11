"""The newest samples of each tag that something is calculated from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from isthmus.acquisition.binding import FLOAT, INT, KINDS, TEXT, Ints, Rows, Statuses
from isthmus.values.expression import Column
from isthmus.values.sample import SampleBatch
from isthmus.values.status import BAD_TYPE_MISMATCH, BAD_WAITING_FOR_INITIAL_DATA


class _Samples:
    def __init__(self, n: int) -> None:
        self.number = np.zeros(n, np.float64)
        self.integer = np.zeros(n, np.int64)
        self.text = np.full(n, "", object)
        self.time_ns: Ints = np.zeros(n, np.int64)
        self.status: Statuses = np.full(n, BAD_WAITING_FOR_INITIAL_DATA, np.uint32)

    def copy(self, other: _Samples, mine: Rows, theirs: Rows) -> None:
        for name in ("number", "integer", "text", "time_ns", "status"):
            getattr(self, name)[mine] = getattr(other, name)[theirs]


class Newest:
    """The newest sample of each tag. ``id`` ascends; ``kind`` is FLOAT, INT or TEXT, and a sample of another is bad."""

    def __init__(self, ids: NDArray[np.int32], kinds: NDArray[np.int8]) -> None:
        self.id, self.kind = ids, kinds
        self._now = _Samples(len(ids))

    @property
    def time_ns(self) -> Ints:
        """When each was sampled; 0 before the first."""
        return self._now.time_ns

    def slots(self, ids: Iterable[int]) -> Rows:
        """Where tags are kept."""
        found: Rows = np.searchsorted(self.id, np.array(list(ids), np.int32))
        return found

    def store(self, batch: SampleBatch) -> Rows:
        """Take in a batch, of whose tags each occurs in the order of time; the slots it touched."""
        if not len(self.id):
            return np.empty(0, np.intp)
        slot = np.minimum(np.searchsorted(self.id, batch.id), len(self.id) - 1)
        mine = self.id[slot] == batch.id
        if not mine.any():
            return np.empty(0, np.intp)
        touched: Rows = slot[mine]
        batch = batch.rows(mine)
        kind = KINDS[batch.type]
        values: NDArray[Any] = batch.value
        if kind == TEXT:
            values = np.array([*batch.text, None], object)[batch.value.astype(np.intp)]
        self._put(kind, touched, values, batch.time_ns, batch.status)
        return touched

    def _put(self, kind: int, slots: Rows, values: NDArray[Any], time_ns: Ints, status: Statuses) -> None:
        now = self._now
        (now.number, now.integer, now.text)[kind][slots] = values
        now.time_ns[slots] = time_ns
        now.status[slots] = np.where(self.kind[slots] == kind, status, np.uint32(BAD_TYPE_MISMATCH))

    def column(self, kind: int, slots: Rows) -> Column:
        """Values and status of tags of one kind."""
        now = self._now
        source: NDArray[Any] = (now.number, now.integer, now.text)[kind]
        return Column(source[slots], now.status[slots])

    def adopt(self, other: Self) -> None:
        """Take over what another knows of the tags both have."""
        self._now.copy(other._now, *self._common(other))

    def _common(self, other: Self) -> tuple[Rows, Rows]:
        _, mine, theirs = np.intersect1d(self.id, other.id, assume_unique=True, return_indices=True)
        same = self.kind[mine] == other.kind[theirs]
        return mine[same], theirs[same]


class Latest(Newest):
    """The newest sample of each tag, and the one before it."""

    def __init__(self, ids: NDArray[np.int32], kinds: NDArray[np.int8]) -> None:
        super().__init__(ids, kinds)
        self._before = _Samples(len(ids))

    def _put(self, kind: int, slots: Rows, values: NDArray[Any], time_ns: Ints, status: Statuses) -> None:
        if len(np.unique(slots)) != len(slots):  # one by one, so that each has the one before it
            for row in range(len(slots)):
                only = slice(row, row + 1)
                self._put(kind, slots[only], values[only], time_ns[only], status[only])
            return
        self._before.copy(self._now, slots, slots)
        super()._put(kind, slots, values, time_ns, status)

    def at(self, slot: int, time_ns: int | None) -> tuple[Any, int, int]:
        """Value, time and status of a tag now, or as it was at a time not far back."""
        now = self._now
        if time_ns is not None and now.time_ns[slot] > time_ns:
            now = self._before
        kind = self.kind[slot]
        source: NDArray[Any] = now.number if kind == FLOAT else now.integer if kind == INT else now.text
        value = source[slot]
        return value if kind == TEXT else value.item(), int(now.time_ns[slot]), int(now.status[slot])

    def adopt(self, other: Self) -> None:
        """Take over what another knows of the tags both have."""
        super().adopt(other)
        self._before.copy(other._before, *self._common(other))

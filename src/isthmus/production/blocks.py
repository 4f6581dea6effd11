"""Facts of closed days in memory, as far as they are asked for: blocks of 32 days, the least used ones leave first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.production.facts import Table, unpack
from isthmus.production.store import Block, ProductionStore

DAYS: Final = 32
MAX_BYTES: Final = 48 * 2**20
MARGIN_DAYS: Final = 2
"""A production day begins at most so far from midnight UTC of its date."""
_EPOCH: Final = 719_163  # 1970-01-01 as an ordinal
_DAY_NS: Final = 86_400_000_000_000


class Blocks:
    """Answers with rows of closed days. Safe from several threads."""

    def __init__(self, store: ProductionStore) -> None:
        self._store = store
        self._known: OrderedDict[int, Block] = OrderedDict()
        self._lock = threading.Lock()
        self._changed = 0

    def forget(self, days: Sequence[int]) -> None:
        """They were written again."""
        with self._lock:
            self._changed += 1
            for number in {day // DAYS for day in days}:
                self._known.pop(number, None)

    def block(self, number: int) -> Block:
        """One of them, read if it is not there."""
        with self._lock:
            found = self._known.get(number)
            if found is not None:
                self._known.move_to_end(number)
                return found
            changed = self._changed
        found = self._store.block(number * DAYS, number * DAYS + DAYS - 1)
        with self._lock:
            if changed == self._changed:
                self._known[number] = found
                size = sum(b.nbytes for b in self._known.values())
                while size > MAX_BYTES and len(self._known) > 1:
                    _, gone = self._known.popitem(last=False)
                    size -= gone.nbytes
        return found

    def table(self, machines: NDArray[np.int32], start_ns: int, end_ns: int, *, by_hour: bool = False) -> list[Table]:
        """Rows of machines over [start_ns, end_ns): whole days as they are kept, days that are cut by quarters of an hour.

        A slot belongs to the range if it begins in it.
        """
        first = start_ns // _DAY_NS + _EPOCH - MARGIN_DAYS
        last = end_ns // _DAY_NS + _EPOCH + MARGIN_DAYS
        wanted = np.zeros(int(machines.max(initial=0)) + 1, np.bool_)
        wanted[machines] = True
        found: list[Table] = []
        cut: list[tuple[int, int, int]] = []
        for number in range(first // DAYS, last // DAYS + 1):
            block = self.block(number)
            if not len(block.day):
                continue
            mine = _chosen(wanted, block.machine) & (block.start_ns < end_ns) & (block.end_ns > start_ns)
            whole = mine & (block.start_ns >= start_ns) & (block.end_ns <= end_ns)
            if by_hour:
                whole = np.zeros(len(mine), np.bool_)
            some = np.flatnonzero(mine & ~whole)
            columns = (block.machine[some], block.day[some], block.start_ns[some])
            cut += zip(*(column.tolist() for column in columns), strict=True)
            if whole.all():
                found.append(block.table)
            elif whole.any():
                found.append(block.table.take(_rows_of(block, whole)))
        if cut:
            found += self._slots(cut, start_ns, end_ns)
        return found

    def _slots(self, cut: Sequence[tuple[int, int, int]], start_ns: int, end_ns: int) -> list[Table]:
        begins = {(machine, day): begin for machine, day, begin in cut}
        parts, machines = [], []
        for machine, day, data in self._store.slots(begins):
            rows = unpack(data, day, begins[machine, day])
            rows = rows[(rows["slot_ns"] >= start_ns) & (rows["slot_ns"] < end_ns)]
            parts.append(rows)
            machines.append(np.full(len(rows), machine, np.int32))
        if not parts:
            return []
        return [Table.of_slots(np.concatenate(parts), np.concatenate(machines))]


def _chosen(wanted: NDArray[np.bool_], machine: NDArray[np.int32]) -> NDArray[np.bool_]:
    return wanted[np.minimum(machine, len(wanted) - 1)] & (machine < len(wanted))


def _rows_of(block: Block, days: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Rows of the chosen (machine, day) pairs."""
    width = int(block.machine.max()) + 1
    first = int(block.day.min())
    table = np.zeros((int(block.day.max()) - first + 1) * width, np.bool_)
    table[((block.day - first).astype(np.int64) * width + block.machine)[days]] = True
    found: NDArray[np.bool_] = table[(block.table.day - first).astype(np.int64) * width + block.table.machine]
    return found

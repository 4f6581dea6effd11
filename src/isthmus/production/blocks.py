"""Facts of closed days in memory, as far as they are asked for: blocks of 32 days, the least used ones leave first.

Of a block there are three forms, all made from what the records have of its days: every row; rows without days, for what asks
for none of them; and days without shift, order and the like, for what asks for nothing else. A year is twelve small tables
then. They leave together when a day of theirs is written again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.production.facts import KEYS, Names, Table, unpack
from isthmus.production.model import MINOR
from isthmus.production.store import Block, ProductionStore

DAYS: Final = 32
MAX_BYTES: Final = 96 * 2**20
MARGIN_DAYS: Final = 2
"""A production day begins at most so far from midnight UTC of its date."""
_EPOCH: Final = 719_163  # 1970-01-01 as an ordinal
_DAY_NS: Final = 86_400_000_000_000
ALL, NO_DAYS, BRIEF = "all", "no days", "brief"
_Key = tuple[int, str]
_TOLD_BRIEFLY: Final = frozenset({"machine", "line", "day", "class"})


class Blocks:
    """Answers with rows of closed days. Safe from several threads."""

    def __init__(self, store: ProductionStore, names: Names) -> None:
        self._store, self._names = store, names
        self._known: OrderedDict[_Key, Block] = OrderedDict()
        self._lock = threading.Lock()
        self._changed = 0

    def forget(self, days: Sequence[int]) -> None:
        """They were written again."""
        with self._lock:
            self._changed += 1
            gone = {day // DAYS for day in days}
            for key in [key for key in self._known if key[0] in gone]:
                del self._known[key]

    def block(self, number: int, form: str = ALL) -> Block:
        """One of them, read if it is not there."""
        with self._lock:
            found = self._known.get((number, form))
            if found is not None:
                self._known.move_to_end((number, form))
                return found
            changed, whole = self._changed, self._known.get((number, ALL))
        if whole is None:
            whole = self._store.block(number * DAYS, number * DAYS + DAYS - 1)
        made = {form: whole} if form == ALL else {f: self._made(whole, f) for f in (NO_DAYS, BRIEF)}
        with self._lock:
            if changed == self._changed:
                for kind, one in made.items():
                    self._known[number, kind] = one
                self._known.move_to_end((number, form))
                self._shrink()
        return made[form]

    def _shrink(self) -> None:
        size = sum(b.nbytes for b in self._known.values())
        while size > MAX_BYTES and len(self._known) > 1:
            _, gone = self._known.popitem(last=False)
            size -= gone.nbytes

    def _made(self, whole: Block, form: str) -> Block:
        """A form of a block; every row where sums would go over 64 bits."""
        table = whole.table
        if form == NO_DAYS:
            summed = table.summed(KEYS, days=False)
        else:
            reason, minor = table.columns["reason"], self._names.known("reason", MINOR)
            short = np.where(reason == minor, reason, 0)
            summed = table.replaced(reason=short).summed(("rate", "reason"), days=True)
        return whole if summed is None else replace(whole, table=summed)

    def table(self, machines: NDArray[np.int32], start_ns: int, end_ns: int, by: Sequence[str] = ()) -> list[Table]:
        """Rows of machines over [start_ns, end_ns): whole days as they are kept, days that are cut by quarters of an hour.

        A slot belongs to the range if it begins in it. Rows tell what is asked by, no more.
        """
        first = start_ns // _DAY_NS + _EPOCH - MARGIN_DAYS
        last = end_ns // _DAY_NS + _EPOCH + MARGIN_DAYS
        wanted = np.zeros(int(machines.max(initial=0)) + 1, np.bool_)
        wanted[machines] = True
        few = BRIEF if _TOLD_BRIEFLY.issuperset(by) else ALL
        found: list[Table] = []
        cut: list[tuple[int, int, int]] = []
        for number in range(first // DAYS, last // DAYS + 1):
            block = self.block(number, few if "day" in by else NO_DAYS)
            if not len(block.day):
                continue
            own = _chosen(wanted, block.machine)
            mine = own & (block.start_ns < end_ns) & (block.end_ns > start_ns)
            whole = mine & (block.start_ns >= start_ns) & (block.end_ns <= end_ns)
            if "hour" in by:
                whole = np.zeros(len(mine), np.bool_)
            some = np.flatnonzero(mine & ~whole)
            columns = (block.machine[some], block.day[some], block.start_ns[some])
            cut += zip(*(column.tolist() for column in columns), strict=True)
            if not whole.any():
                continue
            if bool((whole == own).all()):
                found.append(_of_machines(block.table, wanted))
            else:
                block = self.block(number, few)
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


def _of_machines(table: Table, wanted: NDArray[np.bool_]) -> Table:
    chosen = _chosen(wanted, table.machine)
    return table if chosen.all() else table.take(chosen)


def _rows_of(block: Block, days: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Rows of the chosen (machine, day) pairs."""
    width = int(block.machine.max()) + 1
    first = int(block.day.min())
    table = np.zeros((int(block.day.max()) - first + 1) * width, np.bool_)
    table[((block.day - first).astype(np.int64) * width + block.machine)[days]] = True
    found: NDArray[np.bool_] = table[(block.table.day - first).astype(np.int64) * width + block.table.machine]
    return found

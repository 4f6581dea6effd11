"""Orders meet the machines: which of them a place has, what they counted, and what their accounts are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from isthmus.namespace.model import Plant
from isthmus.production.model import Entry, EntryKind, FactSum, Interval, StateClass
from isthmus.production.orders.model import ChangeOver, Count, Operation, Run
from isthmus.values.clock import NS_PER_S

LOOK_NS = 7 * 86_400 * NS_PER_S
"""So far before and after a change of products a machine's last and first piece are looked for."""


class Shop(Protocol):
    """What orders ask of the machines' accounts; `production.service` offers it."""

    def ready(self, asset: str) -> bool:
        """Whether what a machine made until now is known."""
        ...

    async def intervals(self, asset: str, start_ns: int, end_ns: int) -> list[Interval]:
        """What a machine did."""
        ...

    async def facts(self, under: str, start_ns: int, end_ns: int, by: Sequence[str] = ()) -> list[FactSum]:
        """Sums over a range."""
        ...

    async def enter(self, entry: Entry) -> int:
        """Store what somebody said; its number."""
        ...

    async def enter_all(self, entries: Sequence[Entry]) -> list[int]:
        """The same for what belongs together: all of it or nothing."""
        ...


class NoShop:
    """Where no machine is accounted for: everything is counted by hand."""

    def ready(self, asset: str) -> bool:
        return False

    async def intervals(self, asset: str, start_ns: int, end_ns: int) -> list[Interval]:
        return []

    async def facts(self, under: str, start_ns: int, end_ns: int, by: Sequence[str] = ()) -> list[FactSum]:
        return []

    async def enter(self, entry: Entry) -> int:
        return 0

    async def enter_all(self, entries: Sequence[Entry]) -> list[int]:
        return [0 for _ in entries]


@dataclass(frozen=True, slots=True)
class Place:
    """A machine or a line. ``counter`` is the machine whose pieces count; "" where none does."""

    machines: tuple[str, ...]
    counter: str


def place_of(plant: Plant, asset: str) -> Place:
    """What stands at a path that an operation may run at."""
    known = {machine.asset for machine in plant.machines}
    if asset in known:
        return Place((asset,), asset)
    for line in plant.lines:
        if line.path == asset:
            machines = tuple(one for one in line.machines if one in known)
            last = machines[-1] if machines else ""
            return Place(machines, line.counts_at or line.constraint or last)
    return Place((), "")


def touches(plant: Plant, one: str, other: str) -> bool:
    """Whether two places share a machine."""
    return one == other or bool(set(place_of(plant, one).machines) & set(place_of(plant, other).machines))


async def count_run(shop: Shop, plant: Plant, run: Run, now_ns: int) -> Count | None:
    """What the machine counted in a run by now; None where nothing counts there, or where it is not known now."""
    counter = place_of(plant, run.asset).counter
    if not counter or not run.told or not shop.ready(counter):
        return None
    end_ns = now_ns if run.end_ns is None else run.end_ns
    if end_ns <= run.start_ns:
        return Count()
    found = await shop.facts(counter, run.start_ns, end_ns, ("order",))
    count = Count()
    for one in found:
        if one.key.get("order") == run.order:
            count += Count(one.total_u, one.good_u, one.reject_u, one.rework_u)
    return count


def entries_of(plant: Plant, run: Run, operation: Operation, now_ns: int) -> list[Entry]:
    """What the accounts of every machine of a place are told of when and what it makes."""
    values: dict[str, str | int] = {"order": run.order, "operation": run.operation, "product": run.product}
    if operation.ideal_count and operation.ideal_ns:
        values |= {"ideal_count": operation.ideal_count, "ideal_per_ns": operation.ideal_ns}
    said: list[Entry] = []
    for place, machine in enumerate(place_of(plant, run.asset).machines):
        replaces = run.entries[place] if place < len(run.entries) else 0
        entry = Entry(
            EntryKind.ORDER, machine, run.start_ns, run.end_ns or 0, values, run.by, now_ns, replaces=replaces
        )
        said.append(entry)
    return said


async def change_over(shop: Shop, plant: Plant, before: Run, run: Run, target_s: int, now_ns: int) -> ChangeOver:
    """From when the machine last ran for the product before to when it first ran for this one.

    Where the machine tells no states it is from the end of one run to the begin of the other.
    """
    counter = place_of(plant, run.asset).counter
    ended_ns = min(before.end_ns or run.start_ns, run.start_ns)
    start_ns, end_ns = ended_ns, None if shop.ready(counter) else run.start_ns
    if counter and shop.ready(counter):
        until_ns = now_ns if run.end_ns is None else run.end_ns
        from_ns = max(before.start_ns, ended_ns - LOOK_NS)
        told = await shop.intervals(counter, from_ns, max(min(until_ns, run.start_ns + LOOK_NS), run.start_ns + 1))
        running = [one for one in told if one.state_class is StateClass.RUNNING]
        last = [min(one.end_ns, ended_ns) for one in running if one.start_ns < ended_ns]
        first = [max(one.start_ns, run.start_ns) for one in running if one.end_ns > run.start_ns]
        start_ns = max(last, default=ended_ns)
        end_ns = min(first, default=None) if told else run.start_ns
    return ChangeOver(run.asset, before.product, start_ns, end_ns, target_s)

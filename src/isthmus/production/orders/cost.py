"""What an order cost: people's time, material taken and machines that stood, from what was booked. Unknown is never nothing.

Money is a fraction of millionths until it is told, so that parts and sums are exact and the same in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from typing import Final

from sqlalchemy import Connection

from isthmus.namespace.model import Plant
from isthmus.production.figures import Figures, add, figures
from isthmus.production.model import MINUTE_NS, FactSum
from isthmus.production.orders import lot_store, stock, store
from isthmus.production.orders.floor import NoShop, Shop, place_of
from isthmus.production.orders.model import Labour, Lot, Move, Order, Product, Run
from isthmus.production.orders.quantity import ONE, shown
from isthmus.production.orders.records import Records
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.ids import is_under

HOUR_NS: Final = 3_600 * NS_PER_S
LONG_UNKNOWN_NS: Final = 60 * NS_PER_S
"""So much unknown time of a place's machines makes what down time cost unknown; less is told beside it."""


class CostKind(StrEnum):
    """What money went into."""

    LABOUR = "labour"
    MATERIAL = "material"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True)
class CostPart:
    """One part of what an order cost. Where ``cost`` is None nobody knows it, and ``why`` says why; else that is a remark.

    Units: amount in ns of work or of down time, in millionths of the material's unit; rate in millionths of the currency
    for an hour, a minute or a unit; cost in millionths
    """

    kind: CostKind
    order: str
    operation: int
    product: str  # that the order makes
    place: str
    what: str  # the lot; of machines the place
    material: str
    amount: int
    rate: int | None
    cost: Fraction | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Spent:
    """Parts added up by kind; None where one of them is not known, and ``why`` says which."""

    parts: tuple[CostPart, ...]

    def of(self, *kinds: CostKind) -> Fraction | None:
        """What went into some kinds; into all without one."""
        found = [one.cost for one in self.parts if not kinds or one.kind in kinds]
        known = [one for one in found if one is not None]
        return sum(known, Fraction(0)) if len(known) == len(found) else None

    @property
    def known(self) -> Fraction:
        """All that is known of it: what was spent at least."""
        return sum((one.cost for one in self.parts if one.cost is not None), Fraction(0))

    def why(self, *kinds: CostKind) -> tuple[str, ...]:
        """What is missing, each once."""
        mine = [one for one in self.parts if one.cost is None and (not kinds or one.kind in kinds)]
        return tuple(dict.fromkeys(one.why for one in mine))

    def remarks(self) -> tuple[str, ...]:
        """What is missing, and what is to be said of the rest."""
        return (*self.why(), *dict.fromkeys(one.why for one in self.parts if one.why and one.cost is not None))


def money(cost: Fraction) -> str:
    """As people and programs read it: decimal text, rounded to millionths here and nowhere before."""
    return shown(round(cost))


def lot_cost(versions: Sequence[Product], created_ns: int) -> int | None:
    """What a unit of a lot costs: what its product cost when the lot came; where nobody had said by then, what was said first after it."""
    oldest_first = sorted(versions, key=lambda one: one.version)
    held = [one for one in oldest_first if one.at_ns <= created_ns][-1:]
    later = [one for one in oldest_first if one.at_ns > created_ns]
    return next((one.cost for one in (*held, *later) if one.cost is not None), None)


def labour_rate(versions: Sequence[Product], version: int, operation: int) -> int | None:
    """What an hour of an operation costs: as the order's version of its product says, else the first later one that does."""
    for one in sorted(versions, key=lambda one: one.version):
        if one.version < version:
            continue
        for step in one.operations:
            if step.number == operation and step.labour_per_h is not None:
                return step.labour_per_h
    return None


def unpriced(plant: Plant, place: str) -> tuple[str, ...]:
    """Machines of a place whose down time has no cost a minute. A line with a constraint costs what that machine, or the line, does."""
    rates = {machine.asset: machine.cost_per_min for machine in plant.machines}
    for line in plant.lines:
        if line.path == place and line.constraint:
            return () if line.cost_per_min or rates.get(line.constraint) else (line.path,)
    return tuple(one for one in place_of(plant, place).machines if not rates.get(one))


def machine_gap(said: Figures, missing: Sequence[str]) -> str:
    """Why nobody knows what down time cost; "" where somebody does."""
    if said.unknown_ns >= LONG_UNKNOWN_NS:
        return unknown_text(said)
    if said.down_ns and missing:
        return f"no cost of down time is declared for {', '.join(missing)}"
    return ""


def unknown_text(said: Figures) -> str:
    """Of how much time nobody knows."""
    return f"for {said.unknown_ns / NS_PER_S:,.1f} s nobody knows what machines did"


class Costs:
    """Tells what orders cost."""

    def __init__(self, records: Records, clock: Clock, plant: Callable[[], Plant], shop: Shop | None = None) -> None:
        self._records, self._clock, self._plant = records, clock, plant
        self.shop: Shop = shop or NoShop()

    async def of_order(self, ident: str) -> Spent:
        """Everything one order cost by now. Raises: LookupError"""
        now_ns = self._clock.now_ns()

        def load(db: Connection) -> tuple[Order, list[Run], list[CostPart]]:
            order = store.order(db, ident)
            if order is None:
                raise LookupError(ident)
            book = _Book(db, now_ns)
            parts = book.labour(store.labour(db, order=ident), 0, now_ns)
            parts += book.material(lot_store.consumed(db, order=ident))
            return order, store.runs(db, ident), [*parts, *book.owed(order)]

        order, runs, parts = await self._records.do(load)
        return Spent((*parts, *await self._machines(order, runs, now_ns)))

    async def _machines(self, order: Order, runs: Sequence[Run], now_ns: int) -> list[CostPart]:
        """Down time of machines while they ran it, as their accounts have it."""
        plant, found = self._plant(), []
        for place, operation in dict.fromkeys((run.asset, run.operation) for run in runs):
            if not place_of(plant, place).machines:
                continue  # nothing is accounted for there: hands only
            mine = [run for run in runs if (run.asset, run.operation) == (place, operation)]
            made = CostPart(CostKind.MACHINE, order.id, operation, order.product, place, place, "", 0, None, None)
            found.append(await self._machine(made, mine, plant, now_ns))
        return found

    async def _machine(self, part: CostPart, runs: Sequence[Run], plant: Plant, now_ns: int) -> CostPart:
        ready = all(self.shop.ready(one) for one in place_of(plant, part.place).machines)
        if not ready or not all(run.told for run in runs):
            return replace(part, why=f"what {part.place} did is not known now")
        rows: list[FactSum] = []
        for run in runs:
            found = await self.shop.facts(part.place, run.start_ns, run.end_ns or now_ns, ("order", "operation"))
            rows += [row for row in found if row.key == {"order": part.order, "operation": str(part.operation)}]
        said = figures(add(rows))
        cost = Fraction(sum(row.cost_u for row in rows), MINUTE_NS)
        why = machine_gap(said, unpriced(plant, part.place))
        if why:
            return replace(part, amount=said.down_ns, why=why)
        return replace(part, amount=said.down_ns, cost=cost, why=unknown_text(said) if said.unknown_ns else "")

    async def between(self, under: str, start_ns: int, end_ns: int) -> list[CostPart]:
        """Work and material of all orders over [start, end), and, with a ``why``, machines that ran one and have no cost.

        Work lasts across the ends of a range: what lies inside counts. Material counts when it was booked.
        """
        now_ns, plant = self._clock.now_ns(), self._plant()

        def load(db: Connection) -> list[CostPart]:
            book = _Book(db, now_ns)
            parts = book.labour(store.labour_between(db, start_ns, end_ns), start_ns, min(end_ns, now_ns))
            parts += book.material(lot_store.consumed(db, start_ns=start_ns, end_ns=end_ns))
            ran = store.runs_between(db, start_ns, end_ns)
            for ident in dict.fromkeys(run.order for run in ran):
                parts += book.owed(book.order(ident))
            for key in dict.fromkeys((run.order, run.operation, run.product, run.asset) for run in ran):
                parts += [_bare(*key, one) for one in unpriced(plant, key[3])]
            return parts

        return [_cut(one, under) for one in await self._records.do(load) if _meets(one.place, under)]


class _Book:
    """Reads of one transaction, each once."""

    def __init__(self, db: Connection, now_ns: int) -> None:
        self.db, self.now_ns = db, now_ns
        self._orders: dict[str, Order] = {}
        self._versions: dict[str, list[Product]] = {}

    def order(self, ident: str) -> Order:
        found = self._orders.get(ident) or store.order(self.db, ident)
        if found is None:
            raise LookupError(ident)
        return self._orders.setdefault(ident, found)

    def versions(self, product: str) -> list[Product]:
        if product not in self._versions:
            self._versions[product] = store.product_versions(self.db, product)
        return self._versions[product]

    def labour(self, worked: Iterable[Labour], start_ns: int, end_ns: int) -> list[CostPart]:
        """Time worked within a range, by operation and place."""
        sums: dict[tuple[str, int, str], int] = {}
        for one in worked:
            until_ns = self.now_ns if one.end_ns is None else one.end_ns
            inside = max(0, min(until_ns, end_ns) - max(one.start_ns, start_ns))
            key = (one.order, one.operation, one.asset)
            sums[key] = sums.get(key, 0) + inside
        found = []
        for (ident, operation, asset), ns in sums.items():
            order = self.order(ident)
            rate = labour_rate(self.versions(order.product), order.version, operation)
            why = "" if rate is not None else f"operation {operation} of {order.product} has no cost of an hour's work"
            cost = None if rate is None else Fraction(ns * rate, HOUR_NS)
            found.append(CostPart(CostKind.LABOUR, ident, operation, order.product, asset, "", "", ns, rate, cost, why))
        return found

    def material(self, moves: Iterable[tuple[Move, Lot]]) -> list[CostPart]:
        """What was taken and not given back, by operation and lot."""
        sums: dict[tuple[str, int, str], int] = {}
        lots: dict[str, Lot] = {}
        for move, lot in moves:
            key = (move.order, move.operation, lot.id)
            sums[key] = sums.get(key, 0) - move.quantity
            lots[lot.id] = lot
        found = []
        for (ident, operation, name), amount in sums.items():
            order, lot = self.order(ident), lots[name]
            rate = lot_cost(self.versions(lot.product), lot.created_ns)
            why = "" if rate is not None else f"{lot.product} has no cost of a unit"
            cost = None if rate is None else Fraction(amount * rate, ONE)
            found.append(_material(order, operation, lot.product, amount, name, rate, cost, why))
        return found

    def owed(self, order: Order) -> list[CostPart]:
        """What the machine used and no lot covers yet: of which lot it will be nobody knows, nor what that costs."""
        product = store.product(self.db, order.product, order.version)
        if product is None:
            return []
        counts = {at: one for (_, at), one in store.counts(self.db, [order.id]).items()}
        found = []
        for need in stock.needs(self.db, order, product, counts):
            if need.owed:
                why = f"no lot covers {shown(need.owed)} of {need.material}"
                found.append(_material(order, need.operation, need.material, need.owed, "", None, None, why))
        return found


def _material(
    order: Order,
    operation: int,
    material: str,
    amount: int,
    lot: str,
    rate: int | None,
    cost: Fraction | None,
    why: str,
) -> CostPart:
    place = next((job.asset for job in order.jobs if job.operation == operation), "")
    return CostPart(
        CostKind.MATERIAL, order.id, operation, order.product, place, lot, material, amount, rate, cost, why
    )


def _bare(order: str, operation: int, product: str, place: str, machine: str) -> CostPart:
    why = f"no cost of down time is declared for {machine}"
    return CostPart(CostKind.MACHINE, order, operation, product, place, machine, "", 0, None, None, why)


def _meets(place: str, under: str) -> bool:
    return is_under(place, under) or is_under(under, place)


def _cut(part: CostPart, under: str) -> CostPart:
    """Of what was booked at a line nobody knows which of its machines it went to."""
    if is_under(part.place, under):
        return part
    return replace(part, cost=None, why=f"it was booked at {part.place or 'no place'}; ask there")

"""A hall with two machines and a line, whose pieces are told one by one, and the room over real records."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from isthmus.app.records import open_records
from isthmus.namespace.changes import Hand
from isthmus.namespace.model import Asset, Machine, Plant, ProductionLine, Reason
from isthmus.production.model import Entry, EntryKind, FactSum, Interval, StateClass
from isthmus.production.orders.model import Component, Operation, Order, Product, Step, StepKind, Tracking
from isthmus.production.orders.quantity import ONE
from isthmus.production.orders.room import OrderRoom
from isthmus.production.orders.store import metadata
from isthmus.values.clock import NS_PER_S, ManualClock

LOG = logging.getLogger("test")
FILLER, CAPPER, LINE = "hall/line1/filler", "hall/line1/capper", "hall/line1"
ANA, SUE = Hand("ana", 1, person=True), Hand("sue", 2, person=True)
PROGRAM = Hand("erp")


def plant() -> Plant:
    paths = (("hall", "area"), (LINE, "line"), (FILLER, "asset"), (CAPPER, "asset"), ("hall/bench", "asset"))
    return Plant(
        1, "acme", "lyon", "Europe/Paris",
        assets=tuple(Asset(p, p.rpartition("/")[2], level, "", p.rpartition("/")[0], i) for i, (p, level) in enumerate(paths)),
        reasons=(Reason("scrap/dent", "scrap", "dent", "Dent", "scrap"), Reason("rework/label", "rework", "label", "Label", "rework")),
        machines=(Machine(FILLER, LINE, 0), Machine(CAPPER, LINE, 1)),
        lines=(ProductionLine(LINE, (FILLER, CAPPER), counts_at=CAPPER),),
    )  # fmt: skip


@dataclass
class FakeShop:
    """The machines' accounts: pieces at times, attributed by what was entered."""

    made: list[tuple[str, int, bool]] = field(default_factory=list)
    said: list[Entry] = field(default_factory=list)
    states: list[Interval] = field(default_factory=list)
    fails: Exception | None = None
    known: bool = True

    def ready(self, asset: str) -> bool:
        return self.known

    async def enter(self, entry: Entry) -> int:
        if self.fails:
            raise self.fails
        self.said.append(replace(entry, number=len(self.said) + 1))
        return len(self.said)

    async def enter_all(self, entries: Sequence[Entry]) -> list[int]:
        return [await self.enter(entry) for entry in entries]

    def holding(self) -> list[Entry]:
        gone = {one.replaces for one in self.said}
        return [one for one in self.said if one.number not in gone]

    def order_at(self, asset: str, at_ns: int) -> str:
        for one in reversed(self.holding()):
            mine = one.kind is EntryKind.ORDER and one.asset == asset and one.start_ns <= at_ns
            if mine and (not one.end_ns or at_ns < one.end_ns):
                return str(one.values["order"])
        return ""

    async def facts(self, under: str, start_ns: int, end_ns: int, by: Sequence[str] = ()) -> list[FactSum]:
        sums: dict[str, list[int]] = {}
        for asset, at_ns, good in self.made:
            if asset == under and start_ns <= at_ns < end_ns:
                row = sums.setdefault(self.order_at(asset, at_ns) if by else "", [0, 0, 0, 0])
                row[0] += ONE
                row[1 if good else 2] += ONE
        for one in self.holding():
            if (
                one.kind in (EntryKind.SCRAP, EntryKind.REWORK)
                and one.asset == under
                and start_ns <= one.start_ns < end_ns
            ):
                row = sums.setdefault(self.order_at(under, one.start_ns) if by else "", [0, 0, 0, 0])
                amount = int(one.values["count"]) * ONE
                row[1] -= amount
                row[2 if one.kind is EntryKind.SCRAP else 3] += amount
        return [
            FactSum({"order": order}, total_u=row[0], good_u=row[1], reject_u=row[2], rework_u=row[3])
            for order, row in sums.items()
        ]

    async def intervals(self, asset: str, start_ns: int, end_ns: int) -> list[Interval]:
        return [one for one in self.states if one.asset == asset and one.end_ns > start_ns and one.start_ns < end_ns]

    def state(self, asset: str, start_ns: int, end_ns: int, found: StateClass = StateClass.RUNNING) -> None:
        self.states.append(Interval(asset, start_ns, end_ns, found, None))


@dataclass
class FakeHolds:
    """What quality holds back."""

    lots: dict[str, str] = field(default_factory=dict)

    async def held(self, lots: Sequence[str]) -> dict[str, str]:
        return {lot: why for lot, why in self.lots.items() if lot in lots}


STEPS = (
    Step("read", "Read the card"),
    Step("first", "First piece looked at", kind=StepKind.CHECK),
    Step("free", "Line is free", kind=StepKind.SIGN, meaning="line clearance"),
)
BOTTLE, CAP, LABEL = (Product(name, 0, name.title()) for name in ("bottle", "cap", "label"))


def cola(ident: str = "cola", **more: Any) -> Product:
    """Filled from bottles, capped with caps by hand."""
    values: dict[str, Any] = {
        "operations": (
            Operation(10, "Fill", (FILLER,), ideal_count=120, ideal_ns=60 * NS_PER_S, setup_s=600, setup_from=(("fanta", 900),)),
            Operation(20, "Cap", (CAPPER, "hall/bench")),
        ),
        "components": (Component("bottle", ONE, 10), Component("cap", 2 * ONE, 20, automatic=False)),
        "over": 10 * ONE,
        "under": 0,
    }  # fmt: skip
    return Product(ident, 0, ident.title(), **{**values, **more})


def simple(ident: str, *, material: str = "", automatic: bool = True, each: int = ONE, **more: Any) -> Product:
    """One operation at the filler."""
    components = (Component(material, each, 10, automatic),) if material else ()
    operation = Operation(10, "Make", (FILLER,), **more.pop("operation", {}))
    return Product(ident, 0, ident.title(), operations=(operation,), components=components, **more)


class Works:
    """The room, its clock and what it meets."""

    def __init__(self, folder: Path) -> None:
        self.engine = open_records(folder / "records.db")
        metadata.create_all(self.engine)
        self.clock, self.shop, self.holds, self.plant = ManualClock(), FakeShop(), FakeHolds(), plant()
        self.room = self.again()

    def again(self) -> OrderRoom:
        """Another core over the same records."""
        room = OrderRoom(self.engine, self.clock, lambda: self.plant, lambda name: f"p-{name}", self.shop, LOG)
        room.attach(holds=self.holds)
        self.room = room
        return room

    def close(self) -> None:
        self.engine.dispose()

    async def products(self, *found: Product) -> None:
        for one in found:
            await self.room.products.save(one, 0, SUE)

    async def ordered(self, product: str, pieces: int, ident: str = "") -> Order:
        made = await self.room.orders.create(Order(ident, product, 0, pieces * ONE), SUE)
        return await self.room.orders.release(made.id, made.rev, SUE)

    async def started(self, product: str, pieces: int, ident: str = "", **more: Any) -> Order:
        order = await self.ordered(product, pieces, ident)
        return await self.room.orders.start(order.id, order.rev, ANA, **more)

    def make(self, asset: str, good: int, bad: int = 0, seconds: float = 10) -> None:
        """Pieces, evenly over a time that goes by."""
        count, start_ns = good + bad, self.clock.now_ns()
        for i in range(count):
            self.shop.made.append((asset, start_ns + round(i * seconds * NS_PER_S / count), i < good))
        self.clock.advance(seconds)

    async def rev(self, ident: str) -> int:
        return (await self.room.orders.get(ident))[0].rev

    async def on_hand(self, *lots: str) -> list[int]:
        return [(await self.room.lots.get(one)).on_hand // ONE for one in lots]

    async def counts(self, ident: str) -> Mapping[int, tuple[int, int, int]]:
        found = await self.room.orders.detail(ident)
        return {at: (one.total // ONE, one.good // ONE, one.reject // ONE) for at, one in found.counts.items()}


__all__ = [
    "ANA",
    "CAPPER",
    "FILLER",
    "LINE",
    "PROGRAM",
    "SUE",
    "FakeHolds",
    "FakeShop",
    "Tracking",
    "Works",
    "cola",
    "plant",
    "simple",
]

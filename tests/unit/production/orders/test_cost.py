"""What an order cost: exact to the last digit, the same by any way to ask, and what nobody knows is never 0."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from orders_rig import ANA, FILLER, LOG, SUE, Works, simple

from isthmus.app.records import open_records
from isthmus.namespace.model import Asset
from isthmus.production.kpi import store as kpi_store
from isthmus.production.kpi.service import KpiRoom
from isthmus.production.orders import store
from isthmus.production.orders.cost import CostKind, Spent, lot_cost, money
from isthmus.production.orders.model import Component, Labour, Lot, Operation, Order, Product, product_from
from isthmus.production.orders.quantity import ONE
from isthmus.production.orders.room import OrderRoom
from isthmus.production.orders.store import metadata
from isthmus.values.clock import NS_PER_S

pytestmark = [pytest.mark.mission("M15", "M58"), pytest.mark.real("sqlite")]

_spec = importlib.util.spec_from_file_location("machines", Path(__file__).parents[1] / "facts" / "machines.py")
assert _spec is not None
assert _spec.loader is not None
machines = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(machines)
H, T0 = machines.H, machines.T0
LABOUR, MATERIAL, MACHINE = CostKind.LABOUR, CostKind.MATERIAL, CostKind.MACHINE
NAMES = ("labour_cost", "material_cost", "order_cost", "downtime_cost", "order_cost_per_good")


class Hall:
    """One machine with its real accounts, orders over them, and the catalogue of KPIs."""

    def __init__(self, folder: Path, machine: Any) -> None:
        self.engine = open_records(folder / "records.db")
        metadata.create_all(self.engine)
        kpi_store.metadata.create_all(self.engine)
        place = Asset(machine.asset, "filler", "asset", "", "line", 0)
        self.accounts = machines.Room(self.engine, machines.plant(machine, assets=(place,)))
        self.asset = machine.asset

        def plant() -> Any:
            return self.accounts.plant

        self.room = OrderRoom(self.engine, self.accounts.clock, plant, str, self.accounts.room, LOG)
        self.kpis = KpiRoom(self.engine, plant, self.accounts.clock)

    async def ran(self, *states: tuple[float, ...], **more: Any) -> Order:
        """A bottle each for ten pieces of water, ordered at T0 and made from then on for two hours."""
        await self.accounts.room.begin()
        samples = {1: machines.series(*states), 2: machines.series((0, 0), (3600, 4), (7000, 10))}
        bottle = Product("bottle", 0, "Bottle", cost=more.pop("bottle", 250_000))
        operation = Operation(10, "Fill", (self.asset,), labour_per_h=more.pop("rate", 30 * ONE))
        water = replace(simple("water", material="bottle"), operations=(operation,), **more)
        for one in (bottle, water):
            await self.room.products.save(one, 0, SUE)
        await self.room.lots.receive(Lot("B1", "bottle", 0), 100 * ONE, ANA)
        order = await self.room.orders.create(Order("O1", "water", 0, 10 * ONE), SUE)
        order = await self.room.orders.release("O1", order.rev, SUE)
        order = await self.room.orders.start("O1", order.rev, ANA)
        await self.room.people.begin(order, 10, self.asset, "ana", ())
        self.accounts.now(T0 + 2 * H)
        self.accounts.send(samples)
        await self.accounts.settle()
        await self.room.orders.catch_up()
        return await self.room.orders.complete("O1", order.rev, ANA)

    async def told(self, by: tuple[str, ...], under: str = "") -> dict[str, dict[str, Any]]:
        rows = await self.kpis.values(
            self.accounts.room, NAMES, under, T0, self.accounts.clock.now_ns() + 1, by, self.room.costs
        )
        return {"/".join(row.key[name] for name in by): dict(row.values) for row in rows}


RUNS_AND_STOPS = ((0, 1), (3600, 2), (3600 + 600, 1))
"""It stands for ten minutes."""


@pytest.fixture
async def hall(tmp_path: Path) -> AsyncIterator[Hall]:
    made = Hall(tmp_path, replace(machines.FILLER, reject=0))
    yield made
    made.engine.dispose()


async def test_labour_material_and_down_time_add_up_exactly_and_as_kpis_too(hall: Hall) -> None:
    await hall.ran(*RUNS_AND_STOPS)
    spent = await hall.room.costs.of_order("O1")
    assert {one.kind: (one.amount, one.rate, one.cost) for one in spent.parts} == {
        LABOUR: (2 * H, 30 * ONE, 60 * ONE),
        MATERIAL: (10 * ONE, 250_000, Fraction(2_500_000)),
        MACHINE: (600 * NS_PER_S, None, 100 * ONE),
    }
    assert spent.of() == Fraction(162_500_000)
    assert money(spent.known) == "162.5"
    for by in (("order",), ("product",), ("order", "operation"), ("operation", "product")):
        (row,) = [values for key, values in (await hall.told(by)).items() if key.strip("/")]
        told = {name: value.value for name, value in row.items()}
        assert told == {
            "labour_cost": 60.0, "material_cost": 2.5, "order_cost": 162.5, "downtime_cost": 100.0, "order_cost_per_good": 16.25,
        }, by  # fmt: skip
    for by in ((), ("line",), ("order", "day")):
        for row in (await hall.told(by)).values():
            assert row["order_cost"].value is None
            assert "by order, operation or product" in row["order_cost"].why


async def test_what_nobody_said_is_unknown_and_said_later_it_is_known(hall: Hall) -> None:
    await hall.ran(*RUNS_AND_STOPS, rate=None, bottle=None)
    spent = await hall.room.costs.of_order("O1")
    assert (spent.of(LABOUR), spent.of(MATERIAL), spent.of()) == (None, None, None)
    assert spent.known == 100 * ONE, "what is known stands"
    assert spent.why() == ("operation 10 of water has no cost of an hour's work", "bottle has no cost of a unit")
    row = (await hall.told(("order",)))["O1"]
    assert [row[name].value for name in NAMES] == [None, None, None, 100.0, None]
    assert "bottle has no cost of a unit" in row["order_cost"].why
    assert "bottle has no cost of a unit" in row["order_cost_per_good"].why
    products = hall.room.products
    bottle = await products.get("bottle")
    await products.save(replace(bottle, cost=0), 1, SUE)
    await products.save(replace(bottle, cost=9 * ONE), 2, SUE)
    assert (await hall.room.costs.of_order("O1")).of(MATERIAL) == 0, "the first that was said, and 0 is a cost"


async def test_a_machine_without_a_cost_and_time_nobody_knows_leave_the_sum_unknown(tmp_path: Path) -> None:
    for name, machine, states, problem in (
        ("bare", replace(machines.FILLER, reject=0, cost_per_min=0.0), RUNS_AND_STOPS, "no cost of down time is declared for line/filler"),
        ("gap", replace(machines.FILLER, reject=0), (*RUNS_AND_STOPS, (5000, 1, 0x80000000), (5060, 1)), "for 60.0 s nobody knows"),
    ):  # fmt: skip
        (tmp_path / name).mkdir()
        hall = Hall(tmp_path / name, machine)
        await hall.ran(*states)
        spent = await hall.room.costs.of_order("O1")
        assert (spent.of(MACHINE), spent.of(), spent.of(LABOUR)) == (None, None, 60 * ONE)
        assert problem in spent.why()[0]
        row = (await hall.told(("order",)))["O1"]
        assert (row["order_cost"].value, row["downtime_cost"].value) == (None, None)
        assert problem in row["order_cost"].why
        hall.engine.dispose()


async def test_a_moment_nobody_knows_of_is_told_beside_the_cost(hall: Hall) -> None:
    await hall.ran(*RUNS_AND_STOPS, (5000, 1, 0x80000000), (5002, 1))
    spent = await hall.room.costs.of_order("O1")
    assert (spent.of(MACHINE), spent.why()) == (100 * ONE, ())
    assert spent.remarks() == ("for 2.0 s nobody knows what machines did",)
    assert (await hall.told(("order",)))["O1"]["order_cost"].value == 162.5


async def test_what_the_machine_used_and_no_lot_covers_has_no_cost_yet(works: Works) -> None:
    await works.products(simple("bottle", cost=ONE), simple("water", material="bottle"))
    order = await works.started("water", 10)
    works.make(FILLER, 3)
    await works.room.orders.catch_up()
    spent = await works.room.costs.of_order(order.id)
    assert spent.of(MATERIAL) is None
    assert spent.why(MATERIAL) == ("no lot covers 3 of bottle",)
    await works.room.lots.receive(Lot("B1", "bottle", 0), 5 * ONE, ANA)
    await works.room.orders.catch_up()
    assert (await works.room.costs.of_order(order.id)).of(MATERIAL) == 3 * ONE
    del works.shop.made[1:]
    await works.room.orders.catch_up()
    assert (await works.room.costs.of_order(order.id)).of(MATERIAL) == ONE, "what came back is not paid for"


async def test_work_that_goes_on_counts_until_now_and_a_range_takes_what_lies_in_it(works: Works) -> None:
    await works.products(simple("water", operation={"labour_per_h": 12_345_678}))
    order = await works.started("water", 10)
    begin_ns = works.clock.now_ns()
    await works.room.people.begin(order, 10, FILLER, "ana", ())
    works.clock.advance(7)
    (part,) = [one for one in (await works.room.costs.of_order(order.id)).parts if one.kind is LABOUR]
    assert part.cost == Fraction(7 * 12_345_678, 3600)
    whole = Spent(tuple(await works.room.costs.between("", begin_ns, begin_ns + 7 * NS_PER_S))).of(LABOUR)
    halves = [
        Spent(tuple(await works.room.costs.between("", begin_ns + a * NS_PER_S, begin_ns + b * NS_PER_S))).of(LABOUR)
        for a, b in ((0, 3), (3, 7))
    ]
    assert halves[0] is not None
    assert halves[1] is not None
    assert halves[0] + halves[1] == whole == part.cost
    assert await works.room.costs.between("hall/line2", begin_ns, begin_ns + NS_PER_S) == []


async def test_what_was_booked_at_a_line_is_not_the_cost_of_one_of_its_machines(works: Works) -> None:
    line = FILLER.rpartition("/")[0]
    await works.products(replace(simple("water"), operations=(Operation(10, "Pack", (line,), labour_per_h=ONE),)))
    order = await works.started("water", 10)
    await works.room.people.begin(order, 10, line, "ana", ())
    works.clock.advance(3600)
    now_ns = works.clock.now_ns()
    asked = {
        under: Spent(tuple(await works.room.costs.between(under, now_ns - 3600 * NS_PER_S, now_ns)))
        for under in (line, FILLER)
    }
    assert asked[line].of(LABOUR) == ONE
    assert asked[FILLER].of(LABOUR) is None
    assert f"it was booked at {line}; ask there" in asked[FILLER].why()


async def test_an_order_by_hand_has_a_row_without_facts_of_machines(hall: Hall) -> None:
    await hall.ran(*RUNS_AND_STOPS)
    made = await hall.room.orders.get("O1")
    with hall.engine.begin() as db:
        store.add_order(db, replace(made[0], id="HAND", lot=""))
        store.add_labour(db, Labour(0, "HAND", 10, "bench", "bo", T0, T0 + H))
    row = (await hall.told(("order",)))["HAND"]
    assert (row["labour_cost"].value, row["order_cost"].value, row["order_cost_per_good"].value) == (30.0, 30.0, None)


def test_a_lot_costs_what_its_product_did_when_it_came() -> None:
    def told(*costs: int | None) -> list[Product]:
        return [Product("p", i + 1, "P", at_ns=10 * i, cost=cost) for i, cost in enumerate(costs)]

    assert lot_cost(told(5, 7, 9), 15) == 7
    assert lot_cost(told(5, None, 9, 11), 15) == 9
    assert lot_cost(told(5, None), 15) is None
    assert lot_cost(told(5), -1) == 5
    assert lot_cost([], 0) is None


def test_products_kept_before_costs_were_known_are_read(works: Works) -> None:
    body = Component("x", 1, 1)
    one = replace(simple("old"), components=(body,))
    kept = one.body()
    del kept["cost"]
    del kept["operations"][0]["labour_per_h"]

    assert product_from({"id": "old", "version": 0}, kept) == one

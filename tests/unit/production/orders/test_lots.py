"""Material: taken by scan or by count, never below nothing; where a lot came from and where it went."""

from __future__ import annotations

from dataclasses import replace

import pytest
from orders_rig import ANA, CAPPER, FILLER, SUE, Tracking, Works, cola, simple

from isthmus.production.orders.model import Component, Lot, Move
from isthmus.production.orders.quantity import ONE
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError, Denied


async def receive(works: Works, ident: str, product: str, pieces: int, expires_ns: int | None = None) -> Lot:
    works.clock.advance(1)
    return await works.room.lots.receive(Lot(ident, product, 0, expires_ns=expires_ns), pieces * ONE, ANA)


async def filled(works: Works) -> None:
    await works.products(simple("bottle"), simple("cap"), cola())


@pytest.mark.mission("M28", "M58")
async def test_the_count_of_the_machine_takes_material_what_expires_first_then_what_came_first(works: Works) -> None:
    await filled(works)
    soon = works.clock.now_ns() + 3600 * NS_PER_S
    await receive(works, "B1", "bottle", 5)
    await receive(works, "B2", "bottle", 5)
    await receive(works, "B3", "bottle", 2, expires_ns=soon)
    await receive(works, "B4", "bottle", 50, expires_ns=works.clock.now_ns() + NS_PER_S)
    await receive(works, "B5", "bottle", 50)
    works.holds.lots["B5"] = "glass in it"
    works.clock.advance(5)
    order = await works.started("cola", 20)
    works.make(FILLER, 5, 1)
    await works.room.orders.catch_up()
    await works.room.orders.catch_up()  # again is the same
    assert await works.on_hand("B1", "B2", "B3", "B4", "B5") == [1, 5, 0, 50, 50]
    works.make(FILLER, 9)
    need = (await works.room.orders.detail(order.id)).needs[0]
    assert (need.needed, need.booked, need.owed) == (15 * ONE, 12 * ONE, 3 * ONE)
    assert await works.on_hand("B1", "B2", "B3", "B4", "B5") == [0, 0, 0, 50, 50]
    await receive(works, "B6", "bottle", 5)
    await works.room.orders.catch_up()
    assert await works.on_hand("B6") == [2]
    assert (await works.room.orders.detail(order.id)).needs[0].owed == 0


async def test_a_count_that_comes_down_gives_back_what_was_taken_last(works: Works) -> None:
    await filled(works)
    for ident in ("B1", "B2"):
        await receive(works, ident, "bottle", 3)
    order = await works.started("cola", 20)
    works.make(FILLER, 5)
    await works.room.orders.catch_up()
    assert await works.on_hand("B1", "B2") == [0, 1]
    del works.shop.made[1:]
    await works.room.orders.catch_up()
    assert await works.on_hand("B1", "B2") == [2, 3]
    family = await works.room.lots.genealogy(order.lot, "up")
    assert [lot.id for lot, _ in family.lots] == [order.lot, "B1"]


async def test_an_order_is_not_closed_over_material_nobody_brought(works: Works) -> None:
    await works.products(simple("bottle"), simple("water", material="bottle"))
    order = await works.started("water", 2)
    works.make(FILLER, 2)
    order = await works.room.orders.complete(order.id, order.rev, ANA)
    works.holds.lots[order.lot] = "foam"
    with pytest.raises(Denied, match="foam") as no:
        await works.room.orders.close(order.id, order.rev, SUE)
    assert no.value.code == "lot_held"
    works.holds.lots.clear()
    with pytest.raises(Denied, match="used 2 bottle that no lot covers") as no:
        await works.room.orders.close(order.id, order.rev, SUE)
    assert no.value.code == "reason_needed"
    await works.room.orders.close(order.id, order.rev, SUE, reason="bottles came without a delivery note")


@pytest.mark.mission("M28")
async def test_a_lot_is_not_consumed_beyond_stock_and_the_refusal_names_lot_and_quantities(works: Works) -> None:
    await filled(works)
    await receive(works, "C1", "cap", 10)
    await receive(works, "B1", "bottle", 10)
    order = await works.ordered("cola", 5)
    lots = works.room.lots
    with pytest.raises(Denied, match=r"lot C1 of cap has 10 on hand; 10\.5 were asked for") as no:
        await lots.consume(order.id, "C1", 10 * ONE + ONE // 2, 0, ANA)
    assert no.value.code == "beyond_stock"
    done = await lots.consume(order.id, "C1", 4 * ONE, 0, ANA)
    assert (done.quantity, done.operation, done.by) == (-4 * ONE, 20, "ana")
    assert await works.on_hand("C1") == [6]
    for lot, operation, code in (("C1", 10, "not_in_bill"), (order.lot, 0, "not_in_bill")):
        with pytest.raises(Denied) as no:
            await lots.consume(order.id, lot, ONE, operation, ANA)
        assert no.value.code == code
    works.holds.lots["C1"] = "wrong colour"
    with pytest.raises(Denied, match="lot C1 is held: wrong colour"):
        await lots.consume(order.id, "C1", ONE, 0, ANA)
    await receive(works, "C2", "cap", 10, expires_ns=works.clock.now_ns())
    with pytest.raises(Denied) as no:
        await lots.consume(order.id, "C2", ONE, 0, ANA)
    assert no.value.code == "lot_expired"
    with pytest.raises(LookupError):
        await lots.consume(order.id, "C9", ONE, 0, ANA)
    with pytest.raises(LookupError):
        await lots.consume("JO-9", "C1", ONE, 0, ANA)


async def test_what_is_not_released_takes_nothing(works: Works) -> None:
    from isthmus.production.orders.model import Order

    await filled(works)
    await receive(works, "C1", "cap", 10)
    planned = await works.room.orders.create(Order("", "cola", 0, ONE), SUE)
    with pytest.raises(Denied) as no:
        await works.room.lots.consume(planned.id, "C1", ONE, 0, ANA)
    assert no.value.code == "wrong_state"


@pytest.mark.mission("M28", "M58")
async def test_genealogy_goes_up_to_what_was_bought_and_down_to_what_was_shipped(works: Works) -> None:
    await works.products(
        simple("sand"), simple("bottle", material="sand", each=2 * ONE), simple("cap"), cola(),
        simple("crate", material="cola", automatic=False, operation={}),
    )  # fmt: skip
    await receive(works, "S1", "sand", 100)
    bottles = await works.started("bottle", 10, "BO")
    works.make(FILLER, 10)
    bottles = await works.room.orders.complete(bottles.id, bottles.rev, ANA)
    await receive(works, "C1", "cap", 100)
    drinks = await works.started("cola", 4, "CO")
    works.make(FILLER, 4)
    await works.room.orders.complete(drinks.id, drinks.rev, ANA, operation=10)
    drinks = (await works.room.orders.get("CO"))[0]
    drinks = await works.room.orders.start("CO", drinks.rev, ANA, asset=CAPPER)
    await works.room.lots.consume("CO", "C1", 8 * ONE, 20, ANA)
    works.make(CAPPER, 4)
    await works.room.orders.complete("CO", drinks.rev, ANA)
    crates = await works.started("crate", 1, "CR")
    await works.room.lots.consume("CR", "CO", 4 * ONE, 10, ANA)
    up = await works.room.lots.genealogy("CR", "up")
    assert [(lot.id, far) for lot, far in up.lots] == [("CR", 0), ("CO", 1), ("BO", 2), ("C1", 2), ("S1", 3)]
    assert {(one.parent, one.child, one.quantity // ONE) for one in up.links} == {
        ("CO", "CR", 4), ("BO", "CO", 4), ("C1", "CO", 8), ("S1", "BO", 20),
    }  # fmt: skip
    down = await works.room.lots.genealogy("S1", "down")
    assert [lot.id for lot, _ in down.lots] == ["S1", "BO", "CO", "CR"]
    assert await works.on_hand("S1", "BO", "CO", "C1") == [80, 6, 0, 92]
    assert crates.lot == "CR"
    with pytest.raises(LookupError):
        await works.room.lots.genealogy("nothing", "up")


@pytest.mark.mission("M28")
async def test_a_lot_never_goes_into_what_it_was_made_of(works: Works) -> None:
    await works.products(simple("raw"), simple("a"), simple("b"))
    a = replace(
        simple("a"), components=(Component("b", ONE, 10, automatic=False), Component("raw", ONE, 10, automatic=False))
    )
    b = replace(simple("b"), components=(Component("a", ONE, 10, automatic=False),))
    await works.room.products.save(a, 1, SUE)
    await works.room.products.save(b, 1, SUE)
    await receive(works, "R", "raw", 10)
    first = await works.started("a", 10, "A")
    await works.room.lots.consume("A", "R", ONE, 0, ANA)
    works.make(FILLER, 5)
    first = await works.room.orders.pause("A", first.rev, ANA)
    second = await works.started("b", 10, "B")
    await works.room.lots.consume("B", "A", ONE, 0, ANA)
    works.make(FILLER, 5)
    await works.room.orders.pause("B", second.rev, ANA)
    with pytest.raises(Denied, match="lot B was made of lot A") as no:
        await works.room.lots.consume("A", "B", ONE, 0, ANA)
    assert no.value.code == "lot_circle"


@pytest.mark.mission("M28")
async def test_serial_numbers_know_their_own_parts(works: Works) -> None:
    await works.products(simple("motor"), simple("pump", material="motor", automatic=False, tracking=Tracking.SERIAL))
    order = await works.started("pump", 2)
    assert order.lot == ""
    for ident in ("M1", "M2"):
        await works.room.lots.receive(Lot(ident, "motor", 0, serial=True), ONE, ANA)
    made = await works.room.lots.serial("P1", order.id, ANA, [("M1", ONE)])
    assert (made.serial, made.order, made.on_hand) == (True, order.id, ONE)
    with pytest.raises(Denied) as no:
        await works.room.lots.serial("P2", order.id, ANA, [("M1", ONE)])
    assert no.value.code == "beyond_stock"
    await works.room.lots.serial("P2", order.id, ANA)
    await works.room.lots.consume(order.id, "M2", ONE, 10, ANA, into="P2")
    assert [lot.id for lot, _ in (await works.room.lots.genealogy("P2", "up")).lots] == ["P2", "M2"]
    with pytest.raises(Denied) as no:
        await works.room.lots.serial("P3", order.id, ANA)
    assert no.value.code == "beyond_order"
    with pytest.raises(Denied) as no:
        await works.room.lots.serial("P1", order.id, ANA)
    assert no.value.code in ("name_taken", "beyond_order")
    with pytest.raises(ConfigError, match="one piece"):
        await works.room.lots.receive(Lot("M9", "motor", 0, serial=True), 2 * ONE, ANA)
    with pytest.raises(LookupError):
        await works.room.lots.serial("P9", "JO-9", ANA)


async def test_what_is_counted_by_hand_is_an_adjustment_with_its_reason(works: Works) -> None:
    await works.products(simple("cap"))
    await receive(works, "C1", "cap", 10)
    lots = works.room.lots
    with pytest.raises(Denied) as no:
        await lots.adjust("C1", 9 * ONE, 10 * ONE, "", ANA)
    assert no.value.code == "reason_needed"
    with pytest.raises(Denied) as no:
        await lots.adjust("C1", 9 * ONE, 11 * ONE, "lost", ANA)
    assert no.value.code == "stale_base"
    assert (await lots.adjust("C1", 9 * ONE, 10 * ONE, "lost one", ANA)).on_hand == 9 * ONE
    moves: list[Move] = await lots.moves("C1")
    assert [(one.kind, one.quantity // ONE, one.reason) for one in moves] == [
        ("adjust", -1, "lost one"),
        ("receipt", 10, ""),
    ]
    with pytest.raises(Denied) as no:
        await receive(works, "C1", "cap", 1)
    assert no.value.code == "name_taken"
    with pytest.raises(ConfigError):
        await receive(works, "C2", "nothing", 1)
    with pytest.raises(ConfigError):
        await receive(works, "C/2", "cap", 1)
    assert [one.id for one in await lots.listed(search="c1", stocked=True)] == ["C1"]
    assert [(one.id, stock) for one, stock in await works.room.products.listed("CA")] == [("cap", 9 * ONE)]

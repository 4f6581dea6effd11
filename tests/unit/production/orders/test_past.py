"""Orders that ran without anybody saying so: entered afterwards, alone at their machine, with the figures that follow."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest
from orders_rig import ANA, FILLER, LINE, LOG, SUE, Works, simple

from isthmus.app.records import open_records
from isthmus.namespace.model import Asset
from isthmus.production.model import EntryKind
from isthmus.production.orders.model import Operation, Order, State
from isthmus.production.orders.past import Past
from isthmus.production.orders.quantity import ONE
from isthmus.production.orders.room import OrderRoom
from isthmus.production.orders.store import metadata
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError, Denied

pytestmark = [pytest.mark.mission("M28", "M53"), pytest.mark.real("sqlite")]

_spec = importlib.util.spec_from_file_location("machines", Path(__file__).parents[1] / "facts" / "machines.py")
assert _spec is not None
machines = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(machines)


async def test_an_order_that_ran_this_morning_is_entered_with_its_end_and_counted(works: Works) -> None:
    await works.products(simple("water"))
    order = await works.ordered("water", 10)
    start_ns = works.clock.now_ns()
    works.make(FILLER, 9, 1)
    end_ns = works.clock.now_ns()
    works.clock.advance(3600)
    orders = works.room.orders
    order = await orders.enter_past(order.id, order.rev, SUE, Past(start_ns, end_ns, True, "tablet was off"))
    assert (order.state, order.ended_ns) == (State.COMPLETED, end_ns)
    assert await works.counts("JO-1") == {10: (10, 9, 1)}
    (said,) = [one for one in works.shop.holding() if one.kind is EntryKind.ORDER]
    assert (said.start_ns, said.end_ns, said.values["order"]) == (start_ns, end_ns, "JO-1")
    event = (await orders.detail("JO-1")).events[0]
    assert (event.kind, event.by, event.detail["reason"]) == ("past", "sue", "tablet was off")
    with pytest.raises(Denied, match="completed") as no:
        await orders.enter_past(order.id, order.rev, SUE, Past(start_ns, end_ns, True, "again"))
    assert no.value.code == "wrong_state"


async def test_what_was_started_late_begins_earlier_and_what_was_forgotten_ends_earlier(works: Works) -> None:
    await works.products(simple("water"))
    order = await works.ordered("water", 10)
    start_ns = works.clock.now_ns()
    works.make(FILLER, 4)
    order = await works.room.orders.start(order.id, order.rev, ANA)
    works.make(FILLER, 6)
    end_ns = works.clock.now_ns()
    works.make(FILLER, 5)  # of the next, which nobody started
    orders = works.room.orders
    order = await orders.enter_past(order.id, order.rev, SUE, Past(start_ns, None, False, "pressed late"))
    assert order.state is State.RUNNING
    assert await works.counts("JO-1") == {10: (15, 15, 0)}
    order = await orders.enter_past(order.id, order.rev, SUE, Past(None, end_ns, True, "went home"))
    assert order.state is State.COMPLETED
    assert await works.counts("JO-1") == {10: (10, 10, 0)}
    assert len([one for one in works.shop.holding() if one.kind is EntryKind.ORDER]) == 1
    assert works.room.orders.running(FILLER).order == ""


async def test_two_orders_never_ran_at_one_machine_at_the_same_time(works: Works) -> None:
    await works.products(simple("water"), replace(simple("juice"), operations=(Operation(10, "Pack", (LINE,)),)))
    order = await works.started("water", 10)
    first_ns = works.clock.now_ns()
    works.clock.advance(600)
    order = await works.room.orders.complete(order.id, order.rev, ANA, reason="none came")
    after_ns = works.clock.now_ns()
    works.clock.advance(600)
    other = await works.ordered("juice", 5)
    orders = works.room.orders
    for past in (
        Past(first_ns - NS_PER_S, None, False, "x"), Past(first_ns + 1, first_ns + NS_PER_S, True, "x"),
        Past(first_ns - NS_PER_S, after_ns + NS_PER_S, True, "x"),
    ):  # fmt: skip
        with pytest.raises(Denied, match=r"order JO-2, operation 10, cannot have run .*order JO-1, operation 10") as no:
            await orders.enter_past(other.id, other.rev, SUE, past)
        assert no.value.code == "machine_busy"
    assert (await orders.get(other.id))[0] == other
    assert not (await orders.detail(other.id)).runs
    done = await orders.enter_past(other.id, other.rev, SUE, Past(after_ns, after_ns + NS_PER_S, False, "x"))
    assert done.state is State.PAUSED


@pytest.mark.parametrize(
    ("past", "problem"),
    [
        ((-60, None, False, " "), "say why"), ((None, None, False, "x"), "say when it began"), ((-60, None, True, "x"), "when it was complete"),
        ((60, None, False, "x"), "within the last 31 days"), ((-32 * 86_400, None, False, "x"), "within the last 31 days"),
        ((-60, -90, True, "x"), "must be after"), ((None, -60, True, "x"), "does not run; say when it began"),
    ],
)  # fmt: skip
async def test_what_cannot_have_been_is_refused(works: Works, past, problem) -> None:
    await works.products(simple("water"))
    order = await works.ordered("water", 10)
    now_ns = works.clock.now_ns()
    start, end = (None if s is None else now_ns + s * NS_PER_S for s in past[:2])
    with pytest.raises((ConfigError, Denied), match=problem):
        await works.room.orders.enter_past(order.id, order.rev, SUE, Past(start, end, *past[2:]))
    with pytest.raises(Denied) as no:
        await works.room.orders.enter_past(order.id, order.rev + 1, SUE, Past(now_ns - NS_PER_S, None, False, "x"))
    assert no.value.code == "stale_base"


async def test_a_closed_day_is_restated_by_an_order_that_is_entered_afterwards(tmp_path: Path) -> None:
    engine = open_records(tmp_path / "records.db")
    metadata.create_all(engine)
    place = Asset(machines.FILLER.asset, "filler", "asset", "", "line", 0)
    hall = machines.Room(engine, machines.plant(machines.FILLER, assets=(place,)))
    samples, asset, t0, hour = machines.day(1), machines.FILLER.asset, machines.T0, machines.H
    await hall.room.begin()
    hall.now(t0 + 30 * hour)
    hall.send(samples)
    await hall.settle()
    await hall.settle()
    assert await hall.room.intervals_kept()
    before = {one.key["order"]: one for one in await hall.room.facts(asset, t0, t0 + 24 * hour, ("order",))}
    room = OrderRoom(engine, hall.clock, lambda: hall.plant, lambda name: name, hall.room, LOG)
    await room.products.save(replace(simple("water"), operations=(Operation(10, "Fill", (asset,)),)), 0, SUE)
    order = await room.orders.create(Order("", "water", 0, 10 * ONE), SUE)
    order = await room.orders.release(order.id, order.rev, SUE)
    past = Past(t0 + 6 * hour, t0 + 8 * hour, True, "paper")
    order = await room.orders.enter_past(order.id, order.rev, SUE, past)
    after = {one.key["order"]: one for one in await hall.room.facts(asset, t0, t0 + 24 * hour, ("order",))}
    assert set(before) == {""}
    assert set(after) == {"", order.id}
    assert sum(after[order.id].ns.values()) == 2 * hour
    assert after[order.id].total_u + after[""].total_u == before[""].total_u
    found = await room.orders.detail(order.id)
    assert found.counts[10].total == after[order.id].total_u
    assert found.counts[10].total > 100 * ONE
    engine.dispose()


async def test_a_completed_operation_is_moved_with_a_reason_and_its_counts_follow(works: Works) -> None:
    await works.products(simple("water"))
    works.make(FILLER, 4)  # of the order, which was started late
    order = await works.started("water", 10)
    works.make(FILLER, 6)
    works.make(FILLER, 5)  # of the next: completed late
    end_ns = works.clock.now_ns() - 10 * NS_PER_S
    orders = works.room.orders
    order = await orders.complete(order.id, order.rev, ANA, reason="more came")
    assert await works.counts("JO-1") == {10: (11, 11, 0)}
    works.clock.advance(60)
    start_ns = works.clock.now_ns() - 90 * NS_PER_S
    past = Past(start_ns, end_ns, False, "pressed late twice")
    order = await orders.enter_past(order.id, order.rev, SUE, past, operation=10)
    assert (order.state, order.ended_ns) == (State.COMPLETED, end_ns)
    assert await works.counts("JO-1") == {10: (10, 10, 0)}
    (said,) = [one for one in works.shop.holding() if one.kind is EntryKind.ORDER]
    assert (said.start_ns, said.end_ns) == (start_ns, end_ns)
    event = (await orders.detail("JO-1")).events[0]
    assert (event.kind, event.by, event.detail["reason"]) == ("correct", "sue", "pressed late twice")
    assert event.detail["was_start"] > event.detail["start"]
    assert event.detail["was_end"] > event.detail["end"]


@pytest.mark.mission("M30")
async def test_what_ran_at_a_time_of_the_past_is_known_to_whoever_asks(works: Works) -> None:
    await works.products(simple("water"), replace(simple("juice"), operations=(Operation(10, "Pack", (LINE,)),)))
    orders, start_ns = works.room.orders, works.clock.now_ns()
    order = await works.started("water", 10, "O1")
    works.clock.advance(60)
    order = await orders.complete("O1", order.rev, ANA, reason="none came")
    works.clock.advance(60)
    await works.started("juice", 10, "O2")
    works.clock.advance(60)

    def ran(asset: str, second: int) -> tuple[str, str, str]:
        found = orders.ran(asset, start_ns + second * NS_PER_S)
        return found.order, found.product, found.lot

    for room in (works.room, works.again()):  # another core asks its records until it knows what runs
        orders = room.orders
        assert ran(FILLER, -1) == ("", "", "")
        assert ran(FILLER, 30) == ("O1", "water", "O1")
        assert ran(FILLER, 60) == ran(FILLER, 100) == ("", "", "")
        assert ran(FILLER, 150) == ran(LINE, 150) == ("O2", "juice", "O2")
        assert ran("hall/bench", 150) == ran(LINE, 30) == ("", "", "")


async def test_any_run_that_is_over_is_corrected_by_its_number(works: Works) -> None:
    await works.products(simple("water"))
    order = await works.started("water", 10)
    works.make(FILLER, 3)
    orders = works.room.orders
    order = await orders.pause(order.id, order.rev, ANA)
    works.make(FILLER, 2)
    paused_ns = works.clock.now_ns()
    order = await orders.resume(order.id, order.rev, ANA)
    works.make(FILLER, 5)
    first, second = (await orders.detail("JO-1")).runs
    order = await orders.enter_past(order.id, order.rev, SUE, Past(None, paused_ns, False, "x", first.id))
    assert order.state is State.RUNNING, "what runs goes on"
    assert await works.counts("JO-1") == {10: (10, 10, 0)}
    for past, asset, problem in (
        (Past(None, paused_ns, False, "x", second.id), "", "goes on"),
        (Past(None, paused_ns, True, "x", first.id), "", "complete: "),
        (Past(None, paused_ns, False, "x", first.id), "hall/bench", "stays there"),
        (Past(None, first.start_ns, False, "x", first.id), "", "must be after"),
        (Past(None, works.clock.now_ns(), False, "x", first.id), "", "cannot have run"),
        (Past(None, paused_ns, False, "x", 99), "", "no such run"),
    ):
        with pytest.raises((ConfigError, Denied), match=problem):
            await orders.enter_past(order.id, order.rev, SUE, past, operation=10, asset=asset)
    assert await works.rev("JO-1") == order.rev, "nothing is half done"


async def test_what_was_thrown_away_stays_with_the_run_that_is_moved(works: Works) -> None:
    await works.products(simple("water"))
    order = await works.started("water", 10)
    works.make(FILLER, 10)
    end_ns = works.clock.now_ns()
    works.make(FILLER, 5)
    orders = works.room.orders
    await orders.throw_away("scrap", "JO-1", 2 * ONE, "scrap/dent", ANA)
    order = await orders.complete("JO-1", await works.rev("JO-1"), ANA, reason="x")
    await orders.throw_away("rework", "JO-1", ONE, "rework/label", ANA)
    works.clock.advance(5)
    order = await orders.enter_past("JO-1", order.rev, SUE, Past(None, end_ns, False, "went home"), operation=10)
    count = (await orders.detail("JO-1")).counts[10]
    assert (count.total, count.good, count.reject, count.rework) == (10 * ONE, 7 * ONE, 2 * ONE, ONE)
    order = await orders.enter_past(
        "JO-1", order.rev, SUE, Past(None, end_ns + 5 * NS_PER_S, False, "not so soon"), operation=10
    )
    count = (await orders.detail("JO-1")).counts[10]
    assert (count.total, count.reject, count.rework) == (13 * ONE, 2 * ONE, ONE), "once, and not twice"


async def test_the_books_of_a_closed_order_are_final(works: Works) -> None:
    await works.products(simple("water"))
    order = await works.started("water", 10)
    works.make(FILLER, 10)
    orders = works.room.orders
    order = await orders.complete(order.id, order.rev, ANA)
    run = (await orders.detail("JO-1")).runs[0]
    order = await orders.close(order.id, order.rev, ANA)
    for past in (Past(None, works.clock.now_ns(), False, "x"), Past(None, works.clock.now_ns(), False, "x", run.id)):
        with pytest.raises(Denied, match="closed") as no:
            await orders.enter_past(order.id, order.rev, SUE, past, operation=10)
        assert no.value.code == "wrong_state"

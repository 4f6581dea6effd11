"""Whatever people and machines do, in any order: an order walks its table, no stock goes below nothing, nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.production.orders.model import NEXT, Lot, State, Trigger
from isthmus.production.orders.quantity import ONE, quantity, shown, times
from isthmus.values.errors import Denied, IsthmusError

if "orders_rig" not in sys.modules:
    _spec = importlib.util.spec_from_file_location(
        "orders_rig", Path(__file__).parents[1] / "unit" / "production" / "orders" / "rig.py"
    )
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules["orders_rig"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["orders_rig"])
rig = sys.modules["orders_rig"]

FEW = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


@given(st.integers(-(10**18), 10**18))
def test_a_quantity_comes_back_as_it_was(millionths: int) -> None:
    assert quantity(shown(millionths), "x", least=None) == millionths


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_what_is_needed_is_never_less_than_what_was_used(count: int, each: int) -> None:
    assert times(count, each) * ONE >= count * each > (times(count, each) - 1) * ONE or count * each == 0


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("do"), st.sampled_from(list(Trigger)), st.booleans()),
        st.tuples(st.just("make"), st.integers(0, 6), st.integers(0, 3)),
        st.tuples(st.just("receive"), st.integers(1, 8), st.just(0)),
        st.tuples(st.just("scan"), st.integers(0, 3), st.integers(1, 2_500_000)),
        st.tuples(st.just("count"), st.integers(0, 3), st.integers(0, 9)),
        st.tuples(st.just("late"), st.integers(0, 20), st.just(0)),
        st.tuples(st.just("scrap"), st.integers(1, 3), st.just(0)),
        st.tuples(st.just("core"), st.just(0), st.just(0)),
    ),
    max_size=30,
)


class Model:
    """What the state of an order must be by the table alone."""

    def __init__(self) -> None:
        self.state = State.PLANNED


async def act(works: Any, order: str, trigger: Trigger, model: Model, *, stale: bool) -> None:
    orders, rev = works.room.orders, await works.rev(order)
    base = rev - 1 if stale and rev > 1 else rev
    calls = {
        Trigger.RELEASE: lambda: orders.release(order, base, rig.SUE),
        Trigger.START: lambda: orders.start(order, base, rig.ANA),
        Trigger.PAUSE: lambda: orders.pause(order, base, rig.ANA),
        Trigger.RESUME: lambda: orders.resume(order, base, rig.ANA),
        Trigger.COMPLETE: lambda: orders.complete(order, base, rig.ANA, reason="so"),
        Trigger.CLOSE: lambda: orders.close(order, base, rig.SUE, reason="so"),
        Trigger.CANCEL: lambda: orders.cancel(order, base, rig.SUE, reason="so"),
    }
    after = NEXT.get((model.state, trigger))
    if after is None or base != rev:
        with pytest.raises(Denied) as no:
            await calls[trigger]()
        assert no.value.code in ("wrong_state", "stale_base")
        return
    assert (await calls[trigger]()).state is after
    model.state = after


async def lots_of(works: Any) -> list[Lot]:
    return sorted(await works.room.lots.listed(product="bottle"), key=lambda one: one.id)


async def check(works: Any, order: str, received: int) -> None:
    """Nothing is below nothing, and nothing is lost."""
    everything, found = await works.room.lots.listed(), await works.room.orders.detail(order)
    moves = {lot.id: await works.room.lots.moves(lot.id) for lot in everything}
    for lot in everything:
        assert lot.on_hand == sum(one.quantity for one in moves[lot.id]) >= 0, lot
    bottles = [lot for lot in everything if lot.product == "bottle"]
    adjusted = sum(one.quantity for lot in bottles for one in moves[lot.id] if one.kind == "adjust")
    need = found.needs[0]
    assert received + adjusted == sum(lot.on_hand for lot in bottles) + need.booked
    assert need.owed == max(0, need.needed - need.booked)
    if found.order.lot:
        family = await works.room.lots.genealogy(found.order.lot, "up")
        assert sum(link.quantity for link in family.links) == need.booked
    if found.order.state not in (State.PLANNED, State.CLOSED):
        made = next((lot for lot in everything if lot.id == found.order.lot), None)
        assert made is None or made.on_hand == max(0, found.good())
        assert not need.owed or not any(lot.on_hand for lot in bottles), "owed, and there is some"
    running = works.room.orders.running(rig.FILLER).order
    assert (running == order) == (found.order.state is State.RUNNING)


async def play(steps: list[tuple[str, Any, Any]], folder: Path) -> None:
    works, model, received = rig.Works(folder), Model(), 0
    try:
        await works.products(rig.simple("bottle"), rig.simple("water", material="bottle", each=1_250_000))
        order = (await works.room.orders.create(rig.Order("", "water", 0, 9 * ONE), rig.SUE)).id
        for kind, one, two in steps:
            if kind == "do":
                await act(works, order, one, model, stale=two)
            elif kind == "make":
                works.make(rig.FILLER, one, two)
            elif kind == "late" and works.shop.made:
                works.shop.made.pop(one % len(works.shop.made))
            elif kind == "receive":
                ident = f"B{len(await lots_of(works))}"
                await works.room.lots.receive(Lot(ident, "bottle", 0), one * ONE, rig.ANA)
                received += one * ONE
            elif kind == "core":
                await works.again().open()
            else:
                with contextlib.suppress(IsthmusError, LookupError):
                    await by_hand(works, order, kind, one, two)
            await works.room.orders.catch_up(late=True)
            await check(works, order, received)
    finally:
        works.close()


async def by_hand(works: Any, order: str, kind: str, one: int, two: int) -> None:
    """Things that may be refused."""
    lots = await lots_of(works)
    if kind == "scrap":
        await works.room.orders.throw_away("scrap", order, one * ONE, "scrap/dent", rig.ANA)
    elif kind == "scan":
        await works.room.lots.consume(order, lots[one].id if one < len(lots) else "none", two, 0, rig.ANA)
    elif one < len(lots):
        await works.room.lots.adjust(lots[one].id, two * ONE, lots[one].on_hand, "counted", rig.ANA)


@pytest.mark.mission("M28", "M53")
@FEW
@given(STEPS)
def test_orders_walk_their_table_and_stock_is_never_below_nothing(steps: list[tuple[str, Any, Any]]) -> None:
    with TemporaryDirectory() as folder:
        asyncio.run(play(steps, Path(folder)))


@pytest.mark.soak
@pytest.mark.timeout(3600)
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(STEPS)
def test_orders_walk_their_table_at_length(steps: list[tuple[str, Any, Any]]) -> None:
    with TemporaryDirectory() as folder:
        asyncio.run(play(steps, Path(folder)))

"""Orders from planned to closed: what may follow on what, what the machine counts, and what is refused with which words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from orders_rig import ANA, CAPPER, FILLER, LINE, PROGRAM, SUE, Works, cola, simple

from isthmus.production.model import EntryKind, StateClass
from isthmus.production.orders.model import (
    NEXT,
    Operation,
    Order,
    Skill,
    State,
    Trigger,
    follow,
    overall,
)
from isthmus.production.orders.quantity import ONE
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError, Denied


@pytest.mark.mission("M28", "M53")
async def test_an_order_is_run_paused_and_completed_by_what_the_machine_counts(works: Works) -> None:
    await works.products(simple("water"))
    order = await works.started("water", 10)
    orders = works.room.orders
    assert (order.id, order.state, order.lot) == ("JO-1", State.RUNNING, "JO-1")
    works.make(FILLER, 4, 1)
    order = await orders.pause(order.id, order.rev, ANA, reason="lunch")
    works.make(FILLER, 7)  # nobody's
    order = await orders.resume(order.id, order.rev, ANA)
    works.make(FILLER, 6)
    assert await works.counts("JO-1") == {10: (11, 10, 1)}
    order = await orders.complete(order.id, order.rev, ANA)
    works.make(FILLER, 3)
    order = await orders.close(order.id, order.rev, SUE)
    found = await orders.detail("JO-1")
    assert (found.order.state, found.good()) == (State.CLOSED, 10 * ONE)
    assert [one.kind for one in reversed(found.events)] == [
        "create", "release", "start", "pause", "resume", "complete", "close",
    ]  # fmt: skip
    assert await works.on_hand("JO-1") == [10]
    spans = [one for one in works.shop.holding() if one.kind is EntryKind.ORDER]
    assert [(one.asset, one.values["order"], one.values["operation"]) for one in spans] == [(FILLER, "JO-1", 10)] * 2
    assert all(one.end_ns > one.start_ns for one in spans)


@pytest.mark.mission("M28")
async def test_finishing_twice_is_refused(works: Works) -> None:
    await works.products(simple("water"))
    order = await works.started("water", 2)
    works.make(FILLER, 2)
    done = await works.room.orders.complete(order.id, order.rev, ANA)
    for base, code in ((done.rev, "wrong_state"), (order.rev, "stale_base")):
        with pytest.raises(Denied) as no:
            await works.room.orders.complete(order.id, base, SUE)
        assert no.value.code == code
    assert "complete by ana" in str(no.value)
    with pytest.raises(Denied, match="completed already"):
        await works.room.orders.complete(order.id, done.rev, SUE)


def test_what_is_not_in_the_table_is_refused() -> None:
    for state in State:
        for trigger in Trigger:
            if (state, trigger) in NEXT:
                assert follow(state, trigger, "it") is NEXT[state, trigger]
            else:
                with pytest.raises(Denied) as no:
                    follow(state, trigger, "it")
                assert no.value.code == "wrong_state"


def test_an_order_stands_where_its_operations_stand() -> None:
    assert overall([State.COMPLETED, State.RELEASED]) is State.PAUSED
    assert overall([State.COMPLETED, State.RUNNING]) is State.RUNNING
    assert overall([State.COMPLETED, State.CANCELLED]) is State.CANCELLED
    assert overall([State.CLOSED, State.CLOSED]) is State.CLOSED


@pytest.mark.mission("M28", "M32")
async def test_operations_follow_each_other_and_what_lies_between_is_work_in_progress(works: Works) -> None:
    await works.products(*(simple(name) for name in ("bottle", "cap")), cola())
    order = await works.ordered("cola", 10)
    with pytest.raises(Denied) as no:
        await works.room.orders.start(order.id, order.rev, ANA, operation=20, asset=CAPPER)
    assert no.value.code == "operation_order"
    with pytest.raises(ConfigError, match="runs at"):
        await works.room.orders.start(order.id, order.rev, ANA, asset=CAPPER)
    order = await works.room.orders.start(order.id, order.rev, ANA)
    works.make(FILLER, 8)
    with pytest.raises(ConfigError, match="runs at"):  # two places: say which
        await works.room.orders.start(order.id, order.rev, ANA, operation=20)
    order = await works.room.orders.start(order.id, order.rev, ANA, operation=20, asset=CAPPER)
    works.make(CAPPER, 5, 1)
    from isthmus.production.orders.service import wip

    found = await works.room.orders.detail(order.id)
    assert wip(found.order, found.counts) == {10: 2 * ONE}
    assert works.room.orders.running(FILLER).operation == "10"
    assert works.room.orders.running(CAPPER).operation == "20"
    order = await works.room.orders.complete(order.id, order.rev, ANA, operation=10)
    assert (order.state, works.room.orders.running(FILLER).order) == (State.RUNNING, "")
    order = await works.room.orders.complete(order.id, order.rev, ANA, operation=20, reason="no more bottles")
    assert order.state is State.COMPLETED


@pytest.mark.mission("M53")
@pytest.mark.parametrize(("made", "told"), [(9, "under"), (10, ""), (11, ""), (12, "over")])
async def test_more_or_less_than_was_ordered_asks_for_a_reason(works: Works, made: int, told: str) -> None:
    await works.products(simple("water", over=10 * ONE))
    order = await works.started("water", 10)
    works.make(FILLER, made)
    if told:
        with pytest.raises(Denied, match=f"for 10 and has {made} good, {told}") as no:
            await works.room.orders.complete(order.id, order.rev, ANA, reason=" ")
        assert no.value.code == "reason_needed"
    await works.room.orders.complete(order.id, order.rev, ANA, reason="that is how it is" if told else "")
    event = (await works.room.orders.detail(order.id)).events[0]
    assert event.detail.get("quantity", "") == told


async def test_a_machine_makes_one_order_at_a_time_and_a_line_holds_its_machines(works: Works) -> None:
    line = replace(simple("pack"), operations=(Operation(10, "Pack", (LINE,)),))
    await works.products(simple("water"), line)
    first = await works.started("water", 10)
    second = await works.ordered("pack", 10)
    with pytest.raises(Denied, match="makes order JO-1") as no:
        await works.room.orders.start(second.id, second.rev, SUE)
    assert no.value.code == "machine_busy"
    await works.room.orders.pause(first.id, first.rev, ANA)
    second = await works.room.orders.start(second.id, second.rev, SUE)
    works.make(FILLER, 9)
    works.make(CAPPER, 4)
    assert await works.counts(second.id) == {10: (4, 4, 0)}  # at the machine that counts for the line
    assert works.room.orders.running(FILLER).order == works.room.orders.running(LINE).order == second.id
    assert await works.room.orders.pieces(LINE, 0, works.clock.now_ns()) == 4
    spans = [one.asset for one in works.shop.holding() if one.values.get("order") == second.id]
    assert spans == [FILLER, CAPPER]


async def test_two_tablets_do_not_undo_each_other(works: Works) -> None:
    await works.products(simple("water"))
    order = await works.started("water", 10)
    paused = await works.room.orders.pause(order.id, order.rev, ANA)
    with pytest.raises(Denied, match=f"is paused at revision {paused.rev} now .pause by ana") as no:
        await works.room.orders.pause(order.id, order.rev, SUE)
    assert no.value.code == "stale_base"


@pytest.mark.mission("M15", "M28")
async def test_only_who_was_taught_starts_and_works(works: Works) -> None:
    await works.products(simple("water", operation={"skills": ("filling", "forklift")}))
    order = await works.ordered("water", 10)
    people, now_ns = works.room.people, works.clock.now_ns()
    await people.set_skills("ana", [Skill("ana", "filling", now_ns - 1)])
    with pytest.raises(Denied, match="was not taught forklift; filling has run out") as no:
        await works.room.orders.start(order.id, order.rev, ANA)
    assert no.value.code == "skill_missing"
    await people.set_skills("ana", [Skill("ana", "filling"), Skill("ana", "forklift", now_ns + NS_PER_S)])
    order = await works.room.orders.start(order.id, order.rev, ANA)
    with pytest.raises(Denied) as no:
        await people.begin(order, 10, FILLER, "sue", ("filling",))
    assert no.value.code == "skill_missing"
    await people.begin(order, 10, FILLER, "ana", ("filling",))
    with pytest.raises(Denied) as no:
        await people.begin(order, 10, FILLER, "ana", ())
    assert no.value.code == "busy_elsewhere"
    works.clock.advance(60)
    assert (await people.end(order.id, "ana")).end_ns == now_ns + 60 * NS_PER_S
    with pytest.raises(Denied):
        await people.end(order.id, "ana")
    await people.begin(order, 10, FILLER, "sue", ())
    works.make(FILLER, 10)
    await works.room.orders.complete(order.id, order.rev, ANA)
    assert all(one.end_ns for one in (await works.room.orders.detail(order.id)).labour)
    with pytest.raises(ConfigError):
        await people.set_skills("ana", [Skill("ana", "x"), Skill("ana", "x")])


@pytest.mark.mission("M28")
async def test_scrap_and_rework_are_said_to_the_machine_with_a_reason_of_the_plant(works: Works) -> None:
    await works.products(simple("water"))
    order = await works.started("water", 10)
    works.make(FILLER, 8, 1)
    with pytest.raises(ConfigError, match="scrap/dent"):
        await works.room.orders.throw_away("scrap", order.id, ONE, "fell", ANA)
    with pytest.raises(Denied, match="has 8 good; 9 were said") as no:
        await works.room.orders.throw_away("scrap", order.id, 9 * ONE, "scrap/dent", ANA)
    assert no.value.code == "beyond_count"
    with pytest.raises(ConfigError, match="whole pieces"):
        await works.room.orders.throw_away("scrap", order.id, ONE // 2, "scrap/dent", ANA)
    found = await works.room.orders.throw_away("scrap", order.id, 2 * ONE, "scrap/dent", ANA)
    assert (found.total, found.good, found.reject) == (9 * ONE, 6 * ONE, 3 * ONE)
    found = await works.room.orders.throw_away("rework", order.id, ONE, "rework/label", ANA)
    assert (found.good, found.rework) == (5 * ONE, ONE)
    assert [one.values["reason"] for one in works.shop.said[-2:]] == ["scrap/dent", "rework/label"]
    assert await works.on_hand(order.lot) == [5]


async def test_what_no_machine_counts_is_reported_by_hand(works: Works) -> None:
    bench = replace(simple("box"), operations=(Operation(10, "Pack", ("hall/bench",)),))
    await works.products(bench, simple("water"))
    order = await works.ordered("box", 5)
    with pytest.raises(Denied) as no:
        await works.room.orders.report(order.id, ONE, ANA)
    assert no.value.code == "wrong_state"
    order = await works.room.orders.start(order.id, order.rev, ANA)
    await works.room.orders.report(order.id, 3 * ONE, ANA)
    await works.room.orders.report(order.id, 2 * ONE, ANA)
    found = await works.room.orders.throw_away("scrap", order.id, ONE, "scrap/dent", ANA)
    assert (found.total, found.good, found.reject) == (5 * ONE, 4 * ONE, ONE)
    await works.room.orders.catch_up(late=True)
    assert await works.counts(order.id) == {10: (5, 4, 1)}
    other = await works.started("water", 5)
    with pytest.raises(Denied) as no:
        await works.room.orders.report(other.id, ONE, ANA)
    assert no.value.code == "counted_by_machine"


@pytest.mark.mission("M53")
async def test_cancelling_says_why_and_a_running_order_is_paused_first(works: Works) -> None:
    await works.products(simple("water"))
    order = await works.started("water", 10)
    with pytest.raises(Denied) as no:
        await works.room.orders.cancel(order.id, order.rev, SUE, reason="")
    assert no.value.code == "reason_needed"
    with pytest.raises(Denied) as no:
        await works.room.orders.cancel(order.id, order.rev, SUE, reason="gone")
    assert no.value.code == "wrong_state"
    works.make(FILLER, 3)
    order = await works.room.orders.pause(order.id, order.rev, ANA)
    order = await works.room.orders.cancel(order.id, order.rev, SUE, reason="customer gone")
    assert (order.state, await works.on_hand(order.lot)) == (State.CANCELLED, [3])
    with pytest.raises(Denied):
        await works.room.orders.cancel(order.id, order.rev, SUE, reason="again")


@pytest.mark.mission("M28")
async def test_a_change_over_is_measured_from_the_last_piece_before_to_the_first_one_now(works: Works) -> None:
    await works.products(*(simple(name) for name in ("bottle", "cap", "fanta")), cola())
    t0 = works.clock.now_ns()
    first = await works.started("fanta", 5)
    works.make(FILLER, 5, seconds=100)
    works.shop.state(FILLER, t0, t0 + 80 * NS_PER_S)
    works.shop.state(FILLER, t0 + 80 * NS_PER_S, t0 + 1000 * NS_PER_S, StateClass.STOPPED)
    await works.room.orders.complete(first.id, first.rev, ANA)
    works.clock.advance(300)
    second = await works.started("cola", 5)
    found = (await works.room.orders.detail(second.id)).change_overs
    assert [(one.before, one.start_ns, one.end_ns, one.target_s) for one in found] == [
        ("fanta", t0 + 80 * NS_PER_S, None, 900)
    ]
    works.clock.advance(700)
    works.shop.state(FILLER, t0 + 1000 * NS_PER_S, t0 + 1100 * NS_PER_S)
    (found_one,) = (await works.room.orders.detail(second.id)).change_overs
    assert found_one.end_ns == t0 + 1000 * NS_PER_S
    assert (await works.room.orders.detail(first.id)).change_overs == ()


@pytest.mark.mission("M63")
async def test_what_was_not_told_when_core_died_is_told_by_the_next(works: Works) -> None:
    await works.products(simple("water"))
    order = await works.ordered("water", 10)
    works.shop.fails = ConnectionError("gone")
    with pytest.raises(ConnectionError):
        await works.room.orders.start(order.id, order.rev, ANA)
    works.shop.fails = None
    room = works.again()
    await room.open()
    assert room.orders.running(FILLER).order == order.id
    works.make(FILLER, 2)
    assert await works.counts(order.id) == {10: (2, 2, 0)}
    assert len(works.shop.said) == 1


async def test_accounts_that_are_not_ready_change_no_count_and_are_told_later(works: Works) -> None:
    await works.products(simple("water"))
    works.shop.fails = ConfigError("asset: no machine is counted yet")
    order = await works.started("water", 10)
    works.make(FILLER, 2)
    assert await works.counts(order.id) == {10: (0, 0, 0)}
    works.shop.fails = None
    await works.room.orders.catch_up()
    assert await works.counts(order.id) == {10: (2, 2, 0)}
    works.shop.known = False
    works.shop.made.clear()
    await works.room.orders.catch_up(late=True)
    assert (await works.counts(order.id), await works.on_hand(order.lot)) == ({10: (2, 2, 0)}, [2])


async def test_late_samples_change_the_count_until_the_order_is_closed(works: Works) -> None:
    await works.products(simple("water"))
    order = await works.started("water", 3)
    works.make(FILLER, 3)
    order = await works.room.orders.complete(order.id, order.rev, ANA)
    works.shop.made.append((FILLER, works.clock.now_ns() - NS_PER_S, True))
    await works.room.orders.catch_up(late=True)
    assert (await works.counts(order.id), await works.on_hand(order.lot)) == ({10: (4, 4, 0)}, [4])
    order = await works.room.orders.close(order.id, order.rev, SUE)
    works.shop.made.clear()
    await works.room.orders.catch_up(late=True)
    assert await works.counts(order.id) == {10: (4, 4, 0)}


async def test_orders_are_planned_with_numbers_of_their_own_and_listed_by_what_is_first(works: Works) -> None:
    await works.products(simple("water"), replace(simple("bottle"), operations=()))
    orders = works.room.orders
    with pytest.raises(ConfigError, match="no routing"):
        await orders.create(Order("", "bottle", 0, ONE), SUE)
    with pytest.raises(ConfigError, match="none of this number"):
        await orders.create(Order("", "nothing", 0, ONE), SUE)
    await orders.create(Order("JO-2", "water", 0, ONE, priority=9), SUE)
    await orders.create(Order("", "water", 0, ONE, priority=1, reference="SO-77"), SUE)
    await orders.create(Order("", "water", 0, ONE), SUE)
    assert [row[0].id for row in await orders.listed()] == ["JO-3", "JO-4", "JO-2"]
    assert [row[0].id for row in await orders.listed(search="so-77")] == ["JO-3"]
    assert [row[0].id for row in await orders.listed(asset=CAPPER)] == []
    assert len(await orders.listed(asset=LINE)) == 3
    with pytest.raises(Denied) as no:
        await orders.create(Order("JO-2", "water", 0, ONE), PROGRAM)
    assert no.value.code == "name_taken"
    with pytest.raises(LookupError):
        await orders.get("JO-99")
    with pytest.raises(LookupError):
        await orders.release("JO-99", 1, SUE)


async def test_a_released_order_keeps_the_version_of_its_product(works: Works) -> None:
    await works.products(simple("water"))
    planned = await works.room.orders.create(Order("", "water", 0, ONE), SUE)
    two = replace(simple("water"), operations=(Operation(5, "Rinse", (FILLER,)), Operation(10, "Fill", (FILLER,))))
    assert (await works.room.products.save(two, 1, SUE)).version == 2
    with pytest.raises(Denied, match="version 2, not at 1") as no:
        await works.room.products.save(two, 1, ANA)
    assert no.value.code == "stale_base"
    order = await works.room.orders.release(planned.id, planned.rev, SUE)
    assert (order.version, [job.operation for job in order.jobs]) == (2, [5, 10])
    await works.room.products.save(simple("water"), 2, SUE)
    assert [one.version for one in await works.room.products.versions("water")] == [3, 2, 1]
    order = await works.room.orders.start(order.id, order.rev, ANA)
    assert (await works.room.orders.detail(order.id)).product.operations[0].name == "Rinse"


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"operations": (Operation(10, "Fill", ("hall/nowhere",)),)}, "operations.0.assets"),
        ({"operations": (Operation(10, "Fill", ()),)}, "operations.0.assets"),
        ({"operations": (Operation(20, "B", (FILLER,)), Operation(10, "A", (FILLER,)))}, "must grow"),
        (
            {"operations": (Operation(10, "A", (FILLER,), ideal_count=10**9, ideal_ns=NS_PER_S),)},
            "no machine makes that",
        ),
        ({"operations": (Operation(10, "A", (FILLER,), ideal_count=60),)}, "operations.0.ideal_s"),
    ],
)
async def test_a_product_that_cannot_be_made_here_is_refused_by_its_place(works: Works, wrong: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        await works.room.products.save(replace(simple("water"), **wrong), 0, SUE)
    with pytest.raises(ConfigError, match="does not go into itself"):
        await works.room.products.save(simple("water", material="water"), 0, SUE)
    with pytest.raises(ConfigError, match="no product of this number"):
        await works.room.products.save(simple("water", material="x"), 0, SUE)
    with pytest.raises(ConfigError):
        await works.room.products.save(simple("a/b"), 0, SUE)
    with pytest.raises(LookupError):
        await works.room.products.get("water")


async def test_what_is_under_way_is_listed_before_what_waits(works: Works) -> None:
    await works.products(simple("water"))
    for ident in ("planned", "waiting", "running"):
        made = await works.room.orders.create(
            Order(ident, "water", 0, ONE, due_ns=1 if ident == "waiting" else None), SUE
        )
        if ident != "planned":
            made = await works.room.orders.release(ident, made.rev, SUE)
        if ident == "running":
            await works.room.orders.start(ident, made.rev, ANA)
    assert [row[0].id for row in await works.room.orders.listed()] == ["running", "waiting", "planned"]

"""Plans, checks and what follows from them, over real records."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from filling import FILLER, Bench, label, make_plant, plan, weight

from isthmus.ports.production import Holds, Running
from isthmus.production.stops import store as stop_store
from isthmus.production.stops.model import Verb
from isthmus.production.stops.requests import HelpDesk
from isthmus.quality.model import OWED, Entered, Nonconformance, Sampling, Violation
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError, Denied, Findings

pytestmark = [pytest.mark.mission("M58"), pytest.mark.real("sqlite")]

MONTH_NS = 30 * 86_400 * NS_PER_S


async def chart_of(bench: Bench, key: str = "bottle.weight", kind: str = ""):
    return await bench.quality.chart(key, bench.clock.now_ns() - MONTH_NS, bench.clock.now_ns() + 1, kind)


# --- plans


async def test_a_plan_is_kept_in_versions_and_refused_when_somebody_else_changed_it(bench: Bench) -> None:
    first = await bench.quality.save_plan(plan(), 0, "Eva", "new bottle")
    second = await bench.quality.save_plan(plan(weight(usl=509.0)), 1, "Eva", "tighter")
    assert (first.version, second.version) == (1, 2)
    with pytest.raises(Denied, match="is at version 2, by Eva, not 1") as refused:
        await bench.quality.save_plan(plan(), 1, "Sam", "x")
    assert refused.value.code == "stale_base"
    again = bench.again()
    await again.begin(make_plant())
    kept = again.plan("bottle")
    assert (kept.version, kept.characteristics[0].usl, kept.changed_by, kept.reason) == (2, 509.0, "Eva", "tighter")
    assert kept.characteristics == second.characteristics


async def test_a_wrong_plan_is_refused_whole_with_every_place(bench: Bench) -> None:
    wrong = plan(
        weight(lsl=520.0, sigma=None),
        weight(chart="xbar_r", rules=("nelson9",), learn=1),
        label(chart="imr", center=2.0, tag=f"{FILLER}/name", sampling=Sampling(every_s=0.1)),
        title=" ",
    )
    with pytest.raises(Findings) as refused:
        await bench.quality.save_plan(replace(wrong, asset="hall/none", id="Bad Name"), 0, "Eva", "x")
    paths = [f.path for f in refused.value.findings]
    for path in ("id", "title", "asset", "characteristics.1.id", "characteristics.0.lsl", "characteristics.0.center"):
        assert path in paths
    for path in (
        "characteristics.1.size",
        "characteristics.1.rules",
        "characteristics.1.learn",
        "characteristics.2.chart",
    ):
        assert path in paths
    assert "characteristics.2.tag" in paths
    assert bench.quality.plans() == []


async def test_plans_are_found_by_their_place(bench: Bench) -> None:
    await bench.quality.save_plan(plan(), 0, "Eva", "x")
    assert [p.id for p in bench.quality.plans("hall/line1")] == ["bottle"]
    assert bench.quality.plans("hall/line2") == []
    for ask in (lambda: bench.quality.plan("none"), lambda: bench.quality.characteristic("bottle.none")):
        with pytest.raises(LookupError):
            ask()


# --- checks


async def test_a_good_check_is_only_a_point_on_its_chart(bench: Bench) -> None:
    await bench.quality.save_plan(plan(), 0, "Eva", "x")
    bench.orders.now = Running(FILLER, "J7", "op10", "cola", "L1")
    done = await bench.measure(500.4, comment="fine")
    assert (done.check.passed, done.check.signals, done.nonconformance, done.hold) == (True, (), 0, 0)
    assert (done.check.order, done.check.product, done.check.lot, done.check.by) == ("J7", "cola", "L1", "Otto")
    drawn = await chart_of(bench)
    assert drawn.chart.tracks[0].value.tolist() == [500.4]
    assert drawn.chart.tracks[0].upper.tolist() == [506.0]
    assert drawn.trial == (False,)


async def test_a_check_of_earlier_belongs_to_the_order_that_ran_then(bench: Bench) -> None:
    await bench.quality.save_plan(plan(), 0, "Eva", "x")
    change_ns = bench.clock.now_ns() + 60 * NS_PER_S
    bench.orders.before = ((change_ns, Running(FILLER, "J7", "10", "cola", "L7")),)
    bench.orders.now = Running(FILLER, "J8", "10", "fanta", "L8")
    bench.clock.advance(3600)
    then = await bench.quality.record(Entered("bottle.weight", change_ns - NS_PER_S, (515.0,), by="Otto"))
    assert (then.check.order, then.check.product, then.check.lot) == ("J7", "cola", "L7")
    hold = await bench.quality.one_hold(then.hold)
    assert (hold.order, hold.lot) == ("J7", "L7")
    assert set(await bench.quality.held(["L7", "L8"])) == {"L7"}, "the lot that runs now is not to blame"
    now = await bench.measure(500.0)
    assert now.check.order == "J8"


async def test_out_of_specification_holds_the_lot_and_opens_one_nonconformance(bench: Bench) -> None:
    await bench.quality.save_plan(plan(), 0, "Eva", "x")
    bench.orders.now = Running(FILLER, "J7", "op10", "cola", "L1")
    good = await bench.measure(500.0)
    bad = await bench.measure(511.0)
    assert not bad.check.passed
    assert bad.nonconformance
    assert bad.hold
    holds: Holds = bench.quality
    assert await holds.held(["L1", "L2", ""]) == {"L1": "Fill weight is outside of its specification"}
    hold = await bench.quality.one_hold(bad.hold)
    assert (hold.since_ns, hold.check, hold.order) == (good.check.time_ns, bad.check.id, "J7")
    again = await bench.measure(512.0)
    assert (again.nonconformance, again.hold) == (bad.nonconformance, bad.hold)
    found = await bench.quality.nonconformance(bad.nonconformance)
    assert (found.checks, found.severity, found.version) == (2, "major", 2)
    bench.orders.now = Running(FILLER, "J7", "op10", "cola", "L2")
    other = await bench.measure(512.0)
    assert other.nonconformance == bad.nonconformance
    assert other.hold not in (0, bad.hold)
    assert set(await holds.held(["L1", "L2"])) == {"L1", "L2"}


def desk(bench: Bench) -> HelpDesk:
    """Where requests are kept, over the same record."""
    stop_store.metadata.create_all(bench.engine)
    return HelpDesk(bench.engine, make_plant, bench.clock)


async def test_a_violation_asks_for_maintenance_where_the_plan_says_so_and_once_while_it_is_open(bench: Bench) -> None:
    requests = bench.quality.requests = desk(bench)
    await bench.quality.save_plan(plan(weight(maintenance=True, on_fail="chart"), label()), 0, "Eva", "x")
    good = await bench.measure(500.0)
    assert (await bench.count(3)).nonconformance  # of another characteristic, which asks for nothing
    assert not await requests.listed(None, 2**62)
    bad = await bench.measure(507.0)
    (asked,) = await requests.listed(None, 2**62)
    assert (asked.kind, asked.title, asked.asked_by) == ("maintenance", "Fill weight: nelson1", "Otto")
    said = asked.evidence
    assert (said.asset, said.text, said.link) == (
        FILLER,
        asked.title,
        f"/quality?char=bottle.weight&violation={bad.nonconformance}-1",
    )
    assert (said.start_ns, said.end_ns) == (good.check.time_ns, bad.check.time_ns)
    assert (await bench.quality.nonconformance(bad.nonconformance)).request == asked.id
    await bench.measure(508.0)
    assert len(await requests.listed(None, 2**62)) == 1
    await requests.move(asked.id, Verb.ACKNOWLEDGE, "", 1, "max")
    bench.clock.advance(60)
    _, answered = await requests.move(asked.id, Verb.ANSWER, "new nozzle", 2, "max")
    assert answered.repair_ns == 60 * NS_PER_S
    await requests.move(asked.id, Verb.CLOSE, "", 3, "sam")
    again = await bench.measure(509.0)
    (second,) = await requests.listed(None, 2**62)
    found = await bench.quality.nonconformance(again.nonconformance)
    assert (again.nonconformance, found.request) == (bad.nonconformance, second.id)
    assert second.id > asked.id


async def test_a_request_that_a_kill_or_a_refusal_cut_off_is_asked_for_later(bench: Bench) -> None:
    await bench.quality.save_plan(plan(weight(maintenance=True)), 0, "Eva", "x")
    bad = await bench.measure(511.0)  # core dies before it can ask
    assert (await bench.quality.nonconformance(bad.nonconformance)).request == OWED
    again = bench.again()
    await again.begin(make_plant())
    requests = desk(bench)
    refusals = 1

    class Full:
        async def ask(self, *given):
            nonlocal refusals
            if refusals:
                refusals -= 1
                raise Denied("1000 requests wait already", "too_many_waiting")
            return await requests.ask(*given)

    again.requests = Full()
    await again.take([bench.frame((1, 1, 500.0))])
    assert not await requests.listed(None, 2**62)
    await again.take([bench.frame((1, 1, 500.0))])  # not at once
    assert not await requests.listed(None, 2**62)
    bench.clock.advance(31)
    await again.take([bench.frame((1, 1, 500.0))])
    (asked,) = await requests.listed(None, 2**62)
    assert asked.title == "Fill weight: 511.00 [490 … 510] g"
    assert (await again.nonconformance(bad.nonconformance)).request == asked.id


@pytest.mark.mission("M63")
async def test_a_kill_between_making_a_request_and_noting_it_makes_no_second_one(bench: Bench) -> None:
    """Not even where somebody has answered and closed it before core is back; a violation after that asks again."""
    requests = desk(bench)
    await bench.quality.save_plan(plan(weight(maintenance=True, on_fail="nonconformance")), 0, "Eva", "x")

    class Killed:
        async def ask(self, *given):
            await requests.ask(*given)
            raise RuntimeError("kill -9")

    bench.quality.requests = Killed()
    with pytest.raises(RuntimeError, match="kill -9"):
        await bench.measure(511.0)
    (asked,) = await requests.listed(None, 2**62)
    found = (await bench.quality.nonconformances(""))[0]
    assert (asked.key, found.request) == (f"quality/{found.id}", OWED)
    await requests.move(asked.id, Verb.CLOSE, "seen to", 1, "max")
    again = bench.again()
    await again.begin(make_plant())
    again.requests = requests
    await again.take([bench.frame((1, 1, 500.0))])
    assert [one.id for one in await requests.listed(0, 2**62)] == [asked.id]
    assert (await again.nonconformance(found.id)).request == asked.id
    bench.quality = again
    await bench.measure(512.0)
    assert len(await requests.listed(0, 2**62)) == 2


async def test_a_plan_cannot_ask_for_maintenance_where_nothing_follows(bench: Bench) -> None:
    with pytest.raises(Findings, match="with a nonconformance"):
        await bench.quality.save_plan(plan(weight(maintenance=True, on_fail="chart", on_signal="chart")), 0, "Eva", "x")


async def test_what_a_check_said_is_kept_in_parts_for_screens_of_any_language(bench: Bench) -> None:
    await bench.quality.save_plan(plan(weight(), label(on_fail="hold")), 0, "Eva", "x")
    bad = await bench.measure(511.0)
    said = Violation("failed", "Fill weight", "g", 2, (511.0,), 490.0, 510.0, 0, 1, "", ("nelson1",))
    assert (await bench.quality.nonconformance(bad.nonconformance)).violation == said
    assert (await bench.quality.one_hold(bad.hold)).violation == said
    torn = await bench.count(3, fault="torn")
    found = (await bench.quality.one_hold(torn.hold)).violation
    assert (found.code, found.defects, found.size, found.fault) == ("failed", 3, 50, "torn")
    assert str(found) == "Label: 3/50, torn"
    hand = await bench.quality.hold(FILLER, "L9", "wet", "Eva")
    assert (await bench.quality.one_hold(hand.id)).violation is None


async def test_a_rule_is_judged_over_checks_of_the_same_limits(bench: Bench) -> None:
    await bench.quality.save_plan(plan(), 0, "Eva", "x")
    for _ in range(8):
        assert (await bench.measure(500.5)).check.signals == ()
    ninth = await bench.measure(500.5)
    assert ninth.check.signals == ("nelson2",)
    assert ninth.nonconformance
    assert ninth.hold == 0
    now = next(iter(await bench.quality.characteristics()))
    assert (now.state, now.limits.center) == ("signal", 500.0)
    await bench.quality.set_limits("bottle.weight", 500.5, 2.0, now.limits.id, "Eva", "centred anew")
    assert (await bench.measure(500.6)).check.signals == ()  # the run began anew with the limits


async def test_a_check_that_comes_late_is_judged_at_its_own_time(bench: Bench) -> None:
    await bench.quality.save_plan(plan(), 0, "Eva", "x")
    for _ in range(9):
        await bench.measure(500.5)
    early = bench.clock.now_ns() - 3600 * NS_PER_S

    late = await bench.quality.record(Entered("bottle.weight", early, (500.5,), by="Otto"))
    assert late.check.signals == ()


async def test_limits_are_learned_from_a_process_in_control_only(bench: Bench) -> None:
    await bench.quality.save_plan(plan(weight(center=None, sigma=None, learn=8, on_fail="chart")), 0, "Eva", "x")
    values = [500.1, 499.8, 500.3, 499.9, 500.2, 499.7, 500.0]
    for value in values:
        await bench.measure(value)
    assert (await bench.quality.characteristics())[0].state == "learning"
    await bench.measure(530.0)  # outside of the trial limits: nothing is learned
    assert (await bench.quality.characteristics())[0].limits is None
    for value in [500.1, *values]:
        await bench.measure(value)
    limits = (await bench.quality.characteristics())[0].limits
    assert limits is not None
    assert (limits.by, limits.checks) == ("Isthmus", 8)
    assert limits.center == pytest.approx(500.0125)
    judged = await bench.measure(503.0)
    assert judged.check.limits == limits.id
    assert "nelson1" in judged.check.signals
    drawn = await chart_of(bench)
    assert drawn.trial == (True,) * 16 + (False,)


async def test_limits_are_learned_anew_when_asked_or_when_the_chart_is_another(bench: Bench) -> None:
    await bench.quality.save_plan(plan(), 0, "Eva", "x")
    first = (await bench.quality.characteristics())[0].limits
    await bench.quality.set_limits("bottle.weight", None, None, first.id, "Eva", "new nozzle")
    assert (await bench.quality.characteristics())[0].limits is None
    with pytest.raises(Denied, match="other limits"):
        await bench.quality.set_limits("bottle.weight", 500, 2, first.id, "Sam", "x")
    kept = await bench.quality.limits("bottle.weight")
    assert [k.learning for k in kept] == [False, True]
    await bench.quality.save_plan(plan(weight(center=None, sigma=None, chart="xbar_r", size=3)), 1, "Eva", "threes")
    assert [k.learning for k in await bench.quality.limits("bottle.weight")] == [False, True, True]
    with pytest.raises(ConfigError, match="sigma"):
        await bench.quality.set_limits("bottle.weight", 500, None, 3, "Eva", "x")


async def test_attributes_and_visual_checks(bench: Bench) -> None:
    await bench.quality.save_plan(plan(label()), 0, "Eva", "x")
    for defects in (1, 2, 0, 2, 1):
        assert (await bench.count(defects)).check.passed
    limits = (await bench.quality.characteristics())[0].limits
    assert limits.center == pytest.approx(6 / 250)
    bad = await bench.count(20, fault="torn")
    assert (bad.check.passed, bad.check.signals) == (False, ("nelson1",))
    assert (await bench.quality.nonconformance(bad.nonconformance)).title.endswith("specification: torn")
    more = await bench.count(1, size=200)
    assert more.check.size == 200
    drawn = await chart_of(bench, "bottle.label", "np")
    assert drawn.chart.kind == "np"
    with pytest.raises(ConfigError, match="does not fit"):
        await chart_of(bench, "bottle.label", "imr")
    with pytest.raises(ConfigError, match="must be one of"):
        await chart_of(bench, "bottle.label", "pie")


@pytest.mark.parametrize(
    ("values", "more", "why"),
    [
        ((), {}, "needs 1, was 0"),
        ((1.0, 2.0), {}, "needs 1, was 2"),
        ((float("nan"),), {}, "must be numbers"),
        ((1e300,), {}, "must be numbers"),
        ((500.0,), {"fault": "torn"}, "fault"),
    ],
)
async def test_what_does_not_fit_the_plan_is_refused(bench: Bench, values, more, why) -> None:
    await bench.quality.save_plan(plan(), 0, "Eva", "x")
    with pytest.raises(ConfigError, match=why):
        await bench.measure(*values, **more)
    assert len((await chart_of(bench)).checks) == 0


@pytest.mark.parametrize(("defects", "size"), [(-1, 50), (51, 50), (1, -4)])
async def test_absurd_counts_are_refused(bench: Bench, defects, size) -> None:
    await bench.quality.save_plan(plan(label()), 0, "Eva", "x")
    with pytest.raises(ConfigError):
        await bench.count(defects, size=size)


async def test_a_check_from_the_future_or_of_last_month_is_refused(bench: Bench) -> None:

    await bench.quality.save_plan(plan(), 0, "Eva", "x")
    for seconds, why in ((3600, "future"), (-8 * 86_400, "seven days")):
        with pytest.raises(ConfigError, match=why):
            await bench.quality.record(
                Entered("bottle.weight", bench.clock.now_ns() + seconds * NS_PER_S, (500.0,), by="Otto")
            )


async def test_two_people_answer_one_due_check_once(bench: Bench) -> None:
    await bench.quality.save_plan(plan(weight(sampling=Sampling(every_s=600))), 0, "Eva", "x")
    (owed,) = await bench.quality.due(FILLER)
    assert (owed.is_due, owed.why) == (True, "first")
    done = await asyncio.gather(
        bench.measure(500.0, due=owed.key), bench.measure(501.0, due=owed.key, by="Ona"), return_exceptions=True
    )
    refused = [one for one in done if isinstance(one, Denied)]
    assert len(refused) == 1
    assert refused[0].code == "conflict"
    assert len((await chart_of(bench)).checks) == 1


async def test_a_wrong_entry_is_voided_with_a_reason_and_is_due_again(bench: Bench) -> None:
    await bench.quality.save_plan(plan(weight(sampling=Sampling(every_s=600))), 0, "Eva", "x")
    (owed,) = await bench.quality.due()
    done = await bench.measure(50.0, due=owed.key)
    voided = await bench.quality.void(done.check.id, "Sam", "read in ounces")
    assert (voided.void_by, voided.void_reason) == ("Sam", "read in ounces")
    assert len((await chart_of(bench)).checks) == 0
    (again,) = await bench.quality.due()
    assert again.key == owed.key
    await bench.measure(500.0, due=again.key)
    with pytest.raises(Denied, match="Sam said so already"):
        await bench.quality.void(done.check.id, "Sam", "x")
    with pytest.raises(LookupError):
        await bench.quality.void(999, "Sam", "x")
    assert (await bench.quality.check(done.check.id)).void_by == "Sam"


# --- sampling


async def test_due_by_time_by_count_and_by_event(bench: Bench) -> None:
    some = plan(
        weight(id="timed", sampling=Sampling(every_s=600)),
        weight(id="counted", sampling=Sampling(pieces=1000)),
        weight(id="started", sampling=Sampling(event="order")),
        weight(id="free"),
    )
    await bench.quality.save_plan(some, 0, "Eva", "x")
    bench.orders.now = Running(FILLER, "J1", since_ns=bench.clock.now_ns())
    for name in ("timed", "counted", "started"):
        await bench.measure(500.0, key=f"bottle.{name}")
    owed = {d.one.id: d for d in await bench.quality.due()}
    assert set(owed) == {"timed", "counted"}
    assert not owed["timed"].is_due
    assert (owed["counted"].is_due, owed["counted"].left) == (False, 1000)
    bench.clock.advance(601)
    bench.orders.made = 1200
    bench.orders.now = Running(FILLER, "J2", since_ns=bench.clock.now_ns())
    found = await bench.quality.due()
    assert {(d.one.id, d.is_due, d.why) for d in found} == {
        ("timed", True, "time"),
        ("counted", True, "pieces"),
        ("started", True, "order"),
    }
    assert found[0].one.id == "timed"  # the most overdue first


async def test_a_plan_of_another_product_owes_nothing(bench: Bench) -> None:
    await bench.quality.save_plan(replace(plan(weight(sampling=Sampling(every_s=600))), product="cola"), 0, "Eva", "x")
    bench.orders.now = Running(FILLER, product="water")
    assert await bench.quality.due() == []
    bench.orders.now = Running(FILLER, product="cola")
    assert len(await bench.quality.due()) == 1


async def test_a_plan_that_is_not_in_use_takes_no_checks(bench: Bench) -> None:
    await bench.quality.save_plan(replace(plan(), active=False), 0, "Eva", "x")
    with pytest.raises(Denied, match="not in use"):
        await bench.measure(500.0)
    assert await bench.quality.characteristics() == []


# --- holds, nonconformances, actions


async def test_a_hold_is_released_once_with_a_reason(bench: Bench) -> None:
    hold = await bench.quality.hold(FILLER, "L9", "glass in a bottle", "Otto")
    assert await bench.quality.held(["L9"]) == {"L9": "glass in a bottle"}
    with pytest.raises(Denied, match="held already"):
        await bench.quality.hold(FILLER, "L9", "again", "Ona")
    with pytest.raises(ConfigError, match="disposition"):
        await bench.quality.release(hold.id, 1, "Sam", "looked at all", "eat it")
    done = await bench.quality.release(hold.id, 1, "Sam", "looked at all", "use as is")
    assert (done.state, done.released_by, done.version) == ("released", "Sam", 2)
    assert await bench.quality.held(["L9"]) == {}
    for base, code in ((1, "stale_base"), (2, "wrong_state")):
        with pytest.raises(Denied) as refused:
            await bench.quality.release(hold.id, base, "Ona", "me too", "scrap")
        assert refused.value.code == code
    with pytest.raises(LookupError):
        await bench.quality.release(77, 1, "Sam", "x", "scrap")
    assert [h.id for h in await bench.quality.holds(states=["open"])] == []
    with pytest.raises(ConfigError, match="no asset"):
        await bench.quality.hold("hall/none", "", "x", "Otto")


async def test_a_nonconformance_closes_when_all_is_done(bench: Bench) -> None:
    await bench.quality.save_plan(plan(), 0, "Eva", "x")
    bad = await bench.measure(520.0)
    number = bad.nonconformance

    async def change(**values):
        base = (await bench.quality.nonconformance(number)).version
        return await bench.quality.change_nonconformance(number, base, values, "Sam")

    with pytest.raises(Denied) as refused:
        await change(state="closed")
    for text in ("no disposition", "no cause", "1 of its holds"):
        assert text in str(refused.value)
    due_ns = bench.clock.now_ns() + NS_PER_S
    action = await bench.quality.open_action(number, "Change the nozzle", "Max", due_ns, "Sam")
    assert action.asset == FILLER
    await change(cause="worn nozzle", disposition="scrap", owner="Sam", due_ns=due_ns)
    with pytest.raises(Denied, match="1 of its actions"):
        await change(state="closed")
    with pytest.raises(ConfigError, match="what was done"):
        await bench.quality.change_action(action.id, 1, {"state": "done"}, "Max")
    await bench.quality.change_action(action.id, 1, {"state": "done", "result": "changed"}, "Max")
    with pytest.raises(Denied, match="somebody else"):
        await bench.quality.change_action(action.id, 2, {"state": "verified"}, "Max")
    verified = await bench.quality.change_action(action.id, 2, {"state": "verified"}, "Sam")
    assert (verified.state, verified.done_by, verified.verified_by) == ("verified", "Max", "Sam")
    with pytest.raises(Denied, match="cannot become"):
        await bench.quality.change_action(action.id, 3, {"state": "open"}, "Max")
    await bench.quality.release(bad.hold, 1, "Sam", "scrapped", "scrap")
    closed = await change(state="closed")
    assert (closed.state, closed.closed_by) == ("closed", "Sam")
    with pytest.raises(Denied, match="Sam closed it"):
        await change(cause="other")
    with pytest.raises(Denied, match="closed nonconformance"):
        await bench.quality.open_action(number, "late", "Max", due_ns, "Sam")
    assert (await bench.quality.open_counts()) == {"Hold": 0, "Nonconformance": 0, "CorrectiveAction": 0}
    fresh = await bench.measure(520.0)
    assert fresh.nonconformance != number  # what comes after it was closed is another one


async def test_somebody_finds_what_no_check_tells(bench: Bench) -> None:
    bench.orders.now = Running(FILLER, "J7", product="cola", lot="L1")
    one = Nonconformance(0, 1, "open", "Oil on the belt", FILLER, "minor", 0, "Otto")
    found = await bench.quality.open_nonconformance(one)
    assert (found.order, found.lot, found.opened_ns) == ("J7", "L1", bench.clock.now_ns())
    assert [n.id for n in await bench.quality.nonconformances("hall")] == [found.id]
    assert await bench.quality.nonconformances("hall/line2") == []
    with pytest.raises(ConfigError, match="severity"):
        await bench.quality.change_nonconformance(found.id, 1, {"severity": "awful"}, "Sam")


async def test_capability_is_told_of_what_has_a_specification(bench: Bench) -> None:
    await bench.quality.save_plan(plan(), 0, "Eva", "x")
    for value in (499.0, 501.0, 500.0, 502.0):
        await bench.measure(value)
    drawn = await chart_of(bench)
    assert drawn.capability.n == 4
    assert drawn.capability.ppk.value == pytest.approx(min(510 - 500.5, 500.5 - 490) / 3 / drawn.capability.overall)
    summed = await chart_of(bench, kind="cusum")
    assert [t.name for t in summed.chart.tracks] == ["sum_above", "sum_below"]

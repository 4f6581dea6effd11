"""Checks that tags make by themselves: each once, whatever comes twice, late or after a kill."""

from __future__ import annotations

import itertools

import pytest
from filling import FILLER, STATE, WEIGHT, Bench, label, make_plant, plan, weight
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.ports.production import Running
from isthmus.quality.model import Sampling
from isthmus.quality.sampling import Row, Sampler
from isthmus.quality.service import MARK_S
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import Denied
from isthmus.values.frame import Lane
from isthmus.values.status import BAD

pytestmark = pytest.mark.mission("M58", "M64")

TAG = f"{FILLER}/weight"
MONTH_NS = 30 * 86_400 * NS_PER_S


async def values_of(bench: Bench) -> list[tuple[float, ...]]:
    drawn = await bench.quality.chart("bottle.weight", 0, bench.clock.now_ns() + MONTH_NS)
    return [check.values for check in drawn.checks]


async def live(bench: Bench, **more) -> None:
    given = {"sampling": Sampling(pieces=1), "tag": TAG}
    await bench.quality.save_plan(plan(weight(**{**given, **more})), 0, "Eva", "x")


async def test_every_sample_a_check_with_what_follows(bench: Bench) -> None:
    await live(bench)
    bench.orders.now = Running(FILLER, "J1", lot="L1")
    await bench.quality.take([bench.frame((WEIGHT, 1, 500.0), (WEIGHT, 2, 515.0))])
    assert await values_of(bench) == [(500.0,), (515.0,)]
    assert await bench.quality.held(["L1"])
    (hold,) = await bench.quality.holds()
    assert hold.opened_by == "Isthmus"
    assert bench.quality.acknowledged == 1001
    with pytest.raises(Denied, match="measured live"):
        await bench.measure(500.0)
    assert await bench.quality.due() == []


async def test_samples_that_come_after_the_change_of_orders_belong_to_the_one_before(bench: Bench) -> None:
    await live(bench)
    bench.orders.before = ((bench.clock.now_ns() + 90 * NS_PER_S, Running(FILLER, "J1", lot="L1")),)
    bench.orders.now = Running(FILLER, "J2", lot="L2")
    await bench.quality.take([bench.frame((WEIGHT, 1, 515.0), (WEIGHT, 100, 500.0))])
    drawn = await bench.quality.chart("bottle.weight", 0, bench.clock.now_ns() + MONTH_NS)
    assert [check.order for check in drawn.checks] == ["J1", "J2"]
    assert set(await bench.quality.held(["L1", "L2"])) == {"L1"}


@pytest.mark.parametrize(
    ("rule", "values", "at"),
    [
        ("western1", (500.2, 499.8, 506.5), 3),  # beyond three sigma
        ("western2", (500.2, 504.5, 499.9, 504.5), 4),  # two of three beyond two
        ("western3", (502.5, 502.5, 499.9, 502.5, 502.5), 5),  # four of five beyond one
        ("western4", (500.1,) * 8, 8),  # eight on one side
    ],
)
async def test_western_electric_rules_fire_from_samples_of_a_tag(
    bench: Bench, rule: str, values: tuple[float, ...], at: int
) -> None:
    await live(bench, rules=("western1", "western2", "western3", "western4"))
    bench.orders.now = Running(FILLER, "J1", product="cola", lot="L1")
    for n, value in enumerate(values, 1):  # each by itself, as they come; across a new beginning, too
        if n == at:
            bench.again()._begin(make_plant())
        await bench.quality.take([bench.frame((WEIGHT, 1, value))])
        bench.clock.advance(10)
        found = await bench.quality.nonconformances()
        assert len(found) == (n == at), (n, found)
    checks = (await bench.quality.chart("bottle.weight", 0, bench.clock.now_ns() + MONTH_NS)).checks
    assert [check.signals for check in checks[:-1]] == [()] * (at - 1)
    assert rule in checks[-1].signals
    assert (found[0].order, found[0].lot, found[0].check, found[0].opened_by) == ("J1", "L1", checks[-1].id, "Isthmus")


async def test_by_time_the_first_of_each_period_in_subgroups(bench: Bench) -> None:
    await live(bench, chart="xbar_r", size=3, sampling=Sampling(every_s=10))
    begin = -(bench.clock.now_ns() // NS_PER_S % 10) + 10  # the next period
    await bench.quality.take([bench.frame(*[(WEIGHT, begin + i, 500.0 + i) for i in range(0, 60, 5)])])
    assert await values_of(bench) == [(500.0, 510.0, 520.0), (530.0, 540.0, 550.0)]


async def test_by_another_tag_the_newest_value_when_it_rises(bench: Bench) -> None:
    await live(bench, sampling=Sampling(event="tag", tag=f"{FILLER}/batch_end", becomes=1))
    await bench.quality.take([bench.frame((WEIGHT, 1, 499.0), (STATE, 2, 1))])  # it may have been so for long
    await bench.quality.take([bench.frame((STATE, 3, 0), (WEIGHT, 4, 501.0), (WEIGHT, 5, 502.0), (STATE, 6, 1))])
    await bench.quality.take([bench.frame((STATE, 7, 1), (STATE, 8, 0), (STATE, 9, 1))])
    assert await values_of(bench) == [(502.0,), (502.0,)]


async def test_what_is_bad_late_or_of_another_lane_makes_no_check(bench: Bench) -> None:
    await live(bench)
    await bench.quality.take([bench.frame((WEIGHT, 5, 500.0))])
    await bench.quality.take([bench.frame((WEIGHT, 6, 501.0), status=BAD)])
    await bench.quality.take([bench.frame((WEIGHT, 3, 502.0)), bench.frame((WEIGHT, 7, 503.0), lane=Lane.BACKFILL)])
    await bench.quality.take([bench.frame((WEIGHT, -3600, 504.0))])  # before there was a plan
    assert await values_of(bench) == [(500.0,)]
    assert (await bench.quality.characteristics())[0].late == 1


async def test_a_kill_at_any_frame_makes_each_check_once(bench: Bench) -> None:
    await live(bench, chart="xbar_r", size=2, sampling=Sampling(pieces=3))
    frames = [bench.frame(*[(WEIGHT, 10 * i + j, 500.0 + (10 * i + j) % 7) for j in range(1, 5)]) for i in range(12)]
    samples = [500.0 + (10 * i + j) % 7 for i in range(12) for j in range(1, 5)]
    picked = samples[2::3]
    wanted = (
        [tuple(pair) for pair in itertools.batched(picked, 2)]
        if hasattr(itertools, "batched")
        else list(zip(picked[::2], picked[1::2], strict=True))
    )
    for kill in (1, 4, 5, 9, 12):
        await bench.quality.take(frames[:kill])
        await bench.again().begin(
            make_plant()
        )  # nothing but the record is left; the bus brings what was not acknowledged
    await bench.quality.take(frames)
    await bench.quality.take(frames)
    assert await values_of(bench) == wanted


async def test_how_far_frames_were_heard_is_stored_now_and_then(bench: Bench) -> None:
    await live(bench, sampling=Sampling(pieces=100))
    await bench.quality.take([bench.frame((WEIGHT, 1, 500.0))])
    assert bench.quality.acknowledged == 0
    bench.clock.advance(MARK_S + 1)
    await bench.quality.take([bench.frame((WEIGHT, 1, 500.0))])
    assert bench.quality.acknowledged == 1002
    again = bench.again()
    await again.begin(make_plant())
    assert [p.seq for p in (await again.cursor()).values()] == [2]
    assert again._samplers["bottle.weight"].count == 2
    await bench.quality.take([bench.frame((WEIGHT, 1.5, 500.0))])
    await bench.quality.flush()
    assert [p.seq for p in (await bench.quality.cursor()).values()] == [3]


async def test_a_record_that_cannot_be_written_takes_nothing(bench: Bench, monkeypatch) -> None:
    from isthmus.quality import store

    await live(bench)
    frame = bench.frame((WEIGHT, 1, 500.0))

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(store, "save_cursor", full)
    with pytest.raises(OSError, match="disk full"):
        await bench.quality.take([frame])
    monkeypatch.undo()
    assert await values_of(bench) == []
    await bench.quality.take([frame])
    assert await values_of(bench) == [(500.0,)]


async def test_a_tag_that_goes_takes_its_sampler_along(bench: Bench) -> None:
    await live(bench)
    bare = make_plant()
    bare.by_path.pop(TAG)
    await bench.quality.plant_changed(bare)
    await bench.quality.take([bench.frame((WEIGHT, 1, 500.0))])
    assert await values_of(bench) == []


async def test_an_entered_check_is_due_when_a_tag_rises(bench: Bench) -> None:
    one = label(sampling=Sampling(event="tag", tag=f"{FILLER}/batch_end", becomes=1))
    await bench.quality.save_plan(plan(one), 0, "Eva", "x")
    assert await bench.quality.due() == []
    await bench.quality.take([bench.frame((STATE, 1, 0), (STATE, 2, 1))])
    bench.clock.advance(5)
    (owed,) = await bench.quality.due()
    assert (owed.why, owed.is_due) == ("tag", True)
    await bench.count(1, due=owed.key)
    assert await bench.quality.due() == []


def counts(chart: str = "p", **more) -> Sampler:
    one = label(kind="attribute", chart=chart, tag="a", units="b" if chart != "c" else "", **more)
    return Sampler("k", one, 1, 2 if chart != "c" else 0)


def counted(*rows: tuple[float, int, float]) -> list[Row]:
    return [Row(round(t * NS_PER_S), tag, value) for t, tag, value in rows]


def found(sampler: Sampler, rows: list[Row]) -> list[tuple[int, int]]:
    return [(g.defects, g.size) for g in sampler.take(rows)]


def test_counters_make_a_check_of_each_period() -> None:
    rows = counted(
        (1, 1, 100),
        (1, 2, 5000),
        (5, 1, 102),
        (5, 2, 5060),
        (11, 1, 103),
        (11, 2, 5100),
        (21, 1, 103),
        (21, 2, 5100),
        (31, 2, 5100),
    )
    sampler = counts(sampling=Sampling(every_s=10))
    assert found(sampler, rows) == [(2, 60), (1, 40)]  # nothing was made in the last: no check
    assert sampler.late == 0


def test_counters_make_a_check_of_so_many_units() -> None:
    rows = counted((1, 1, 0), (1, 2, 0), (2, 1, 3), (2, 2, 60), (3, 2, 110), (4, 1, 4), (5, 2, 215))
    assert found(counts(sampling=Sampling(pieces=100)), rows) == [(3, 110), (1, 105)]


def test_a_counter_that_begins_again_and_one_that_cannot_be() -> None:
    rows = counted((1, 1, 90), (1, 2, 900), (5, 1, 2), (5, 2, 30), (11, 1, 80), (11, 2, 31), (21, 2, 40))
    sampler = counts(sampling=Sampling(every_s=10))
    assert found(sampler, rows) == [(2, 30)]
    assert sampler.late == 1  # 78 defective of one


def test_defects_are_counted_by_time_alone() -> None:
    rows = counted((1, 1, 7), (5, 1, 9), (11, 1, 9), (21, 1, 12))
    assert found(counts("c", size=1, sampling=Sampling(every_s=10)), rows) == [(2, 1), (0, 1)]


async def test_a_counter_of_defects_is_judged_like_what_people_count(bench: Bench) -> None:
    from isthmus.values.errors import Findings

    one = label(
        kind="attribute",
        center=0.02,
        tag=TAG,
        units=f"{FILLER}/batch_end",
        sampling=Sampling(pieces=100),
        on_fail="chart",
        on_signal="hold",
    )
    for wrong in (
        {"units": ""},
        {"kind": "visual"},
        {"sampling": Sampling()},
        {"chart": "c"},
        {"units": f"{FILLER}/name"},
    ):
        with pytest.raises(Findings):
            await bench.quality.save_plan(plan(label(**{**vars_of(one), **wrong})), 0, "Eva", "x")
    await bench.quality.save_plan(plan(one), 0, "Eva", "x")
    await bench.quality.take([bench.frame((WEIGHT, 1, 10.0), (STATE, 1, 1000), (WEIGHT, 2, 12.0), (STATE, 2, 1100))])
    await bench.quality.take([bench.frame((WEIGHT, 3, 30.0), (STATE, 4, 1205))])
    drawn = await bench.quality.chart("bottle.label", 0, bench.clock.now_ns() + MONTH_NS)
    assert [(c.defects, c.size, c.signals) for c in drawn.checks] == [(2, 100, ()), (18, 105, ("nelson1",))]
    assert len(await bench.quality.holds()) == 1


def vars_of(one) -> dict:
    return {name: getattr(one, name) for name in ("kind", "chart", "center", "tag", "units", "sampling")}


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 50), st.floats(-5, 5)), min_size=1, max_size=60),
    st.sampled_from([Sampling(every_s=3), Sampling(pieces=4)]),
    st.integers(1, 3),
    st.data(),
)
def test_how_samples_are_cut_into_frames_makes_no_difference(rows, sampling, size, data) -> None:
    samples = [Row(t * NS_PER_S, 1, v) for t, v in sorted(rows)]

    def sampler() -> Sampler:
        return Sampler("k", weight(chart="xbar_r", size=size, sampling=sampling), 1)

    whole = sampler().take(samples)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(samples)), max_size=6)))
    parts, pieced = sampler(), []
    for start, end in itertools.pairwise([0, *cuts, len(samples)]):
        pieced += parts.take(samples[start:end])
        later = sampler()
        later.carry(parts.carried())
        parts = later
    assert pieced == whole

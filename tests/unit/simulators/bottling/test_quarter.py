"""A past of the hall: what its historian would have recorded, whole, in order, and the same each time."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest

from isthmus.app.plantcheck import check_plant
from isthmus.simulators.bottling import fast, quarter
from isthmus.simulators.bottling.hall import PLCS, Hall, fresh, place
from isthmus.simulators.bottling.plant import plant_yaml
from isthmus.simulators.bottling.production import LINE
from isthmus.values.clock import NS_PER_S
from isthmus.values.sample import ValueType

PORTS = {plc: 15_020 + i for i, plc in enumerate(PLCS)}
LENGTH_S = 2_400
START_S = 1_790_000_000 // 10 * 10


def past_of(monkeypatch, days: int = 3, seed: int = 2, cut_s: int = 503) -> quarter.Past:
    """A past of short days, the last one cut off."""
    made = [fast.Day(START_S + d * LENGTH_S, LENGTH_S, (seed, 738_000 + d)) for d in range(days)]
    monkeypatch.setattr(quarter, "production_days", lambda *_: made)
    monkeypatch.setattr(quarter, "TOGETHER", 2)
    monkeypatch.setattr(fast, "EMPTY_S", {name: 600 if name == "filler" else 420 for name in fast.MACHINES})
    monkeypatch.setattr(fast, "CLEARED_S", 300)
    return quarter.simulate(days, START_S + days * LENGTH_S - cut_s, seed)


@pytest.fixture(scope="module")
def made():
    with pytest.MonkeyPatch.context() as patch:
        past = past_of(patch)
        days = list(quarter.Recorder(past, 2).days())
    return past, days


def joined(days):
    times, values = defaultdict(list), defaultdict(list)
    for day in days:
        for one in day:
            times[one.path].append(one.time_ns)
            values[one.path].append(np.asarray(one.value))
    return {path: (np.concatenate(times[path]), np.concatenate(values[path])) for path in times}


@pytest.mark.mission("M95", "M30")
def test_it_is_in_order_and_about_tags_that_are(made) -> None:
    past, days = made
    plant, _ = check_plant(plant_yaml(PORTS), {}, "plant.yaml")
    tags = {tag.path: tag for tag in plant.tags}
    found = joined(days)
    assert len(found) > 110
    for path, (time_ns, value) in found.items():
        assert (np.diff(time_ns) > 0).all(), path
        assert len(time_ns) == len(value)
        assert time_ns[-1] < past.end_s * NS_PER_S
        tag = tags[path]
        assert (tag.type is ValueType.TEXT) == (value.dtype.kind == "U"), path
        if tag.type is ValueType.INT:
            assert value.dtype.kind == "i", path
        if tag.low is not None and value.dtype.kind != "U":
            assert tag.low <= value.min(), path
            assert value.max() <= tag.high, path
        if tag.kind == "counter":
            assert (np.diff(value) >= 0).all(), path


def test_states_and_counters_are_exact(made) -> None:
    past, days = made
    found = joined(days)
    record = past.record
    for m, name in enumerate(record.machines):
        time_ns, state = found[f"{LINE}/{name}/state"]
        good_ns, good = found[f"{LINE}/{name}/good"]
        for d, day in enumerate(record.days):
            for step in range(0, LENGTH_S // 10, 53):
                now_ns = (day.start_s + step * 10) * NS_PER_S
                if now_ns >= past.end_s * NS_PER_S:
                    continue
                assert state[np.searchsorted(time_ns, now_ns, "right") - 1] == record.grid["state"][step, m, d]
                said = good[np.searchsorted(good_ns, now_ns, "right") - 1]
                assert said == past.good[name][d] + record.grid["good"][step, m, d]


def test_it_is_by_exception(made) -> None:
    _, days = made
    known = quarter.signals()
    for path, (_, value) in joined(days[:1]).items():
        signal = known.get(path)
        if signal is None or signal.counts or path.endswith(("/state", "/cause")) or value.dtype.kind != "f":
            continue
        least = max(0.0, signal.deadband - 10.0**-signal.decimals)
        assert (np.abs(np.diff(value)) >= least - 1e-9).all(), path


def test_the_same_seed_gives_the_same_past_and_another_one_another(made, monkeypatch) -> None:
    _, days = made
    again = joined(quarter.Recorder(past_of(monkeypatch), 2).days())
    for path, (time_ns, value) in joined(days).items():
        assert np.array_equal(again[path][0], time_ns), path
        assert np.array_equal(again[path][1], value), path
    other = joined(quarter.Recorder(past_of(monkeypatch, seed=3), 3).days())
    assert not np.array_equal(other[f"{LINE}/filler/good"][1], again[f"{LINE}/filler/good"][1])


def test_the_hall_goes_on_where_its_past_ends(made) -> None:
    past, days = made
    found = joined(days)
    numbers = fresh(60)
    quarter.carry_on(numbers, past)
    hall = Hall(numbers, seed=1)
    for name in fast.MACHINES:
        unit = hall.units[name]
        for key in ("infeed", "good", "reject"):
            assert getattr(unit, key) == found[f"{LINE}/{name}/{key}"][1][-1], (name, key)
        assert found[f"{LINE}/{name}/energy"][1][-1] == pytest.approx(unit.energy, abs=0.2)
    assert numbers[place("m_main.energy")] == pytest.approx(found["energy/main/energy"][1][-1], abs=0.2)
    before = {name: hall.units[name].good for name in fast.MACHINES}
    street = numbers[place("site.gas_total")]
    for second in range(1, 240):
        hall.step(1.0, second * NS_PER_S)
    for name in fast.MACHINES:
        unit = hall.units[name]
        assert 0 <= unit.good - before[name] < 240 * 3
    assert numbers[place("site.gas_total")] - street < 20.0


def test_what_was_made_is_told_by_product(made) -> None:
    past, days = made
    runs = quarter.runs(past)
    assert runs[0].start_ns == START_S * NS_PER_S
    assert runs[-1].end_ns == past.end_s * NS_PER_S
    assert all(one.end_ns == two.start_ns for one, two in pairwise(runs))
    good = joined(days)[f"{LINE}/palletiser/good"][1]
    assert sum(run.good for run in runs) == good[-1] - good[0]


def test_production_days_follow_the_clock_of_the_plant() -> None:
    march, october = 1_774_567_200, 1_792_900_000  # around the changes of 2026
    spring = quarter.production_days(march, march + 4 * 86_400, 1)
    autumn = quarter.production_days(october - 86_400, october + 3 * 86_400, 1)
    assert {day.length_s for day in spring} == {86_400, 82_800}
    assert {day.length_s for day in autumn} == {86_400, 90_000}
    for days in (spring, autumn):
        assert all(one.start_s + one.length_s == two.start_s for one, two in pairwise(days))
    christmas = quarter.production_days(1_798_100_000, 1_798_300_000, 1)
    assert [day.closed for day in christmas].count(True) == 1

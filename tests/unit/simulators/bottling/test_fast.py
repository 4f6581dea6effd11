"""The line in fast time is the line: the same states, counters and speeds as the controllers' own steps, to the last bottle."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from isthmus.simulators.bottling import fast, physics
from isthmus.simulators.bottling.hall import Hall, fresh, place
from isthmus.simulators.bottling.machines import Filler, Labeller, Palletiser
from isthmus.simulators.bottling.physics import CHANGE, EXECUTE, GUARD, HELD, JAM, OPERATOR, STOPPED, WEB
from isthmus.values.clock import NS_PER_S

SHORT_S = 2_700
"""A day that is over after three quarters of an hour; the line is run empty for the last ten minutes."""


@pytest.fixture(autouse=True, scope="module")
def soon_empty():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast, "EMPTY_S", {name: 600 if name == "filler" else 420 for name in fast.MACHINES})
        patch.setattr(fast, "CLEARED_S", 300)
        yield


def short_days(n: int, seed: int = 3, length_s: int = SHORT_S) -> list[fast.Day]:
    return [fast.Day(d * length_s, length_s, (seed, d)) for d in range(n)]


class Planned:
    """Chance for one machine: its one fault comes after so many seconds of running and takes so long to mend."""

    def __init__(self, after_s: int, repair_s: float) -> None:
        self.after_s, self.repair_s, self.run_s = after_s, repair_s, 0

    def gauss(self, mean: float, _: float) -> float:
        return mean

    def random(self) -> float:
        return 1.0

    def expovariate(self, _: float) -> float:
        return self.repair_s


PLANS = {
    "a web that takes ten minutes: the accumulation fills, slows the filler and stops the line": {
        "labeller": (Labeller, WEB, 400, 900.0)
    },
    "a guard at the end, and a jam at the start": {
        "palletiser": (Palletiser, GUARD, 300, 140.0),
        "filler": (Filler, JAM, 500, 45.0),
    },
    "a change-over": {"filler": (Filler, CHANGE, 350, 260.0)},
    "nothing at all": {},
}


@pytest.mark.mission("M95")
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_it_is_the_line_of_the_controllers_to_the_last_bottle(plan, monkeypatch) -> None:
    stop_s, last_s = 1_900, 2_300
    for kind in fast.MACHINES.values():
        monkeypatch.setattr(kind, "STOPS", ())
        monkeypatch.setattr(kind, "REJECTS", 0.0)
    for kind, cause, _, _ in plan.values():
        monkeypatch.setattr(kind, "STOPS", ((cause, 1.0, 1e9),))

    def comes(chance: Planned, dt: float, mean_s: float) -> bool:
        chance.run_s += 1
        return chance.run_s == chance.after_s

    monkeypatch.setattr(physics, "happens", comes)
    hall = Hall(fresh(), seed=1)
    base = 0
    for name in reversed(fast.MACHINES):
        unit = hall.units[name]
        unit.state, unit.cause, unit.inside = float(STOPPED), float(OPERATOR), float(unit.PLACES)
        unit.good = float(base)
        base += unit.PLACES
        unit.infeed = float(base)
        _, _, after_s, repair_s = plan.get(name, (None, 0, 0, 0.0))
        hall._chance[name] = Planned(after_s, repair_s)
    for name in fast.MACHINES:  # neighbours look at the shared numbers
        for key in ("state", "cause", "inside", "good", "infeed"):
            hall.numbers[place(f"{name}.{key}")] = getattr(hall.units[name], key)
    before = {name: hall.units[name].good for name in fast.MACHINES}

    line = fast._line(short_days(1), {}, {}, None)
    for column in line:
        if column.name in plan:
            _, _, after_s, repair_s = plan[column.name]
            column.due[0][:] = after_s
            column.draws.between[0][:] = 1e9
            column.draws.repair[0][:] = repair_s
    level = np.zeros(1)
    seen = set()
    for second in range(1, last_s):
        for name in fast.MACHINES:
            hall.units[name].enabled = float(second < stop_s)
        hall.step(1.0, second * NS_PER_S)
        for column in line:
            slow = level > 90.0 if column.place == 0 else None
            column.step(np.array([second < stop_s]), second >= stop_s, slow)
            if column.name == "capper":
                level = np.minimum(100.0, 100.0 * np.maximum(0, column.good - line[2].infeed) / 1000)
        for column in line:
            unit = hall.units[column.name]
            told = (int(column.state[0]), int(column.cause[0]), float(column.speed[0]), int(column.good[0]))
            assert told == (unit.state, unit.cause, unit.speed, unit.good - before[column.name]), (second, column.name)
            seen.add((column.name, told[0], told[1]))
    assert line[3].good[0] > 1_000
    for name, (_, cause, _, _) in plan.items():
        assert any(one[0] == name and one[2] == cause for one in seen)


@pytest.fixture(scope="module")
def record(soon_empty) -> fast.Record:
    return fast.run(short_days(12))


@pytest.mark.mission("M95")
def test_every_bottle_is_somewhere_on_every_day(record) -> None:
    grid = record.grid
    assert (grid["infeed"] == grid["good"] + grid["reject"]).all()
    for above, below in pairwise(range(4)):
        waiting = grid["good"][:, above] - grid["infeed"][:, below]
        assert (waiting >= 0).all()
        assert (waiting <= list(fast.MACHINES.values())[above].ROOM).all()
        assert (waiting[-1] == 0).all(), "the line is empty at the end of the day"
    assert (np.diff(grid["good"], axis=0) >= 0).all()
    assert (np.diff(grid["reject"], axis=0) >= 0).all()
    assert (grid["state"][-1] == STOPPED).all()
    made = grid["good"][-1, 3]
    assert (made > 1_000).all()
    share = grid["reject"][-1].sum() / grid["infeed"][-1].sum()
    assert 0.002 < share < 0.01


def test_changes_and_grid_tell_the_same(record) -> None:
    change = record.change
    for machine in range(4):
        for day in (0, 7):
            rows = (change["machine"] == machine) & (change["day"] == day)
            second, state = change["second"][rows], change["state"][rows]
            assert (np.diff(second) > 0).all()
            for step in range(0, len(record.speed), 37):
                before = np.flatnonzero(second <= step * fast.GRID_S)
                said = state[before[-1]] if len(before) else STOPPED
                assert said == record.grid["state"][step, machine, day]
    assert {"good", "infeed", "reject"} <= change.keys()


def test_faults_come_as_often_as_they_are_said_to() -> None:
    columns = fast.run([fast.Day(0, 4_000, (seed, 0)) for seed in range(90)])
    change = columns.change
    jams = np.count_nonzero((change["machine"] == 0) & (change["cause"] == JAM) & (change["state"] == HELD))
    running_s = (columns.grid["state"][:, 0] == EXECUTE).sum() * fast.GRID_S
    mean_s = next(mean for cause, mean, _ in Filler.STOPS if cause == JAM)
    expected = running_s / mean_s
    assert abs(jams - expected) < 4 * expected**0.5


def test_the_same_seed_gives_the_same_day_and_a_closed_one_makes_nothing() -> None:
    days = short_days(2, length_s=2_000)
    one, two = fast.run(days), fast.run(days)
    assert all(np.array_equal(one.grid[key], two.grid[key]) for key in one.grid)
    assert all(np.array_equal(one.change[key], two.change[key]) for key in one.change)
    alone = fast.run(days[1:])
    assert np.array_equal(alone.grid["good"][:, :, 0], one.grid["good"][:, :, 1]), "days do not need each other"
    closed = fast.run([fast.Day(0, 1_000, (3, 0), closed=True)])
    assert not closed.grid["good"].any()
    assert not len(closed.change["day"])


def test_what_one_fault_draws_does_not_move_what_another_draws() -> None:
    seeds = [(5, d) for d in range(3)]
    was = fast.Draws(seeds, 2, ((WEB, 3000.0, 110.0), (JAM, 4200.0, 35.0)), 0.006)
    now = fast.Draws(seeds, 2, ((WEB, 9000.0, 20.0), (JAM, 4200.0, 35.0)), 0.006)
    assert np.array_equal(was.between[1], now.between[1])
    assert np.array_equal(was.bottles, now.bottles)
    assert np.allclose(now.between[0], 3.0 * was.between[0])


def test_the_recipe_changes_with_each_change_over() -> None:
    record = fast.run(short_days(3), {"filler": ((CHANGE, 400.0, 30.0),)})
    found = fast.recipes(record)
    assert found[0] == (0, 0, 1)
    assert len(found) > 3
    assert [recipe for *_, recipe in found] == [i % 3 + 1 for i in range(len(found))]
    assert found == sorted(found)


def test_a_change_on_some_days_leaves_the_others_as_they_are(soon_empty) -> None:
    days = short_days(3)
    stops = tuple((cause, between / 4, repair) for cause, between, repair in fast.MACHINES["labeller"].STOPS)
    both = fast.run([*days, *days], {"labeller": stops}, changed=np.array([False] * 3 + [True] * 3))
    for at, alone in ((slice(0, 3), fast.run(days)), (slice(3, 6), fast.run(days, {"labeller": stops}))):
        for name in fast.GRID_COLUMNS:
            assert np.array_equal(both.grid[name][:, :, at], alone.grid[name]), name

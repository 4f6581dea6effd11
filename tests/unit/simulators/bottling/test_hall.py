"""The physics: nothing appears or vanishes, nothing leaves its bounds, and machines wait for each other."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.simulators.bottling.faults import FAULTS
from isthmus.simulators.bottling.hall import PLCS, SIZE, Hall, fresh, place, span
from isthmus.simulators.bottling.machines import ACCUMULATION
from isthmus.simulators.bottling.maps import BLOCKS, points_of
from isthmus.simulators.bottling.physics import (
    ABORTED,
    BLOCKED,
    ESTOP,
    EXECUTE,
    HELD,
    JAM,
    JOG,
    MAINTENANCE,
    MANUAL,
    PRODUCTION,
    RESET,
    START,
    STARVED,
    STOP,
    STOPPED,
    SUSPENDED,
)
from isthmus.values.clock import NS_PER_S
from isthmus.values.packml import STATES

LINE = ("filler", "capper", "labeller", "palletiser")
GROWING = [
    place(f"{unit}.{name}")
    for unit, names in {
        **dict.fromkeys(LINE, ("infeed", "good", "reject", "run_h", "stops")),
        **{f"m_{m}": ("energy",) for m in ("filler", "capper", "packing", "tanks", "boiler", "air", "chilled", "main")},
        **dict.fromkeys(("water", "syrup", "product", "cip"), ("filled_l", "taken_l")),
        "air": ("total", "hours1", "hours2", "hours3"),
        "boiler": ("steam_total", "gas_total"),
        "site": ("water_total", "gas_total"),
    }.items()
    for name in names
]
BOUNDED = [
    (place(f"{block.unit}.{point.field.format(n=block.number)}"), point.range, f"{block.asset}/{point.name}")
    for blocks in BLOCKS.values()
    for block in blocks
    for point in points_of(block.type)
    if point.range
]


@cache
def _at_speed() -> bytes:
    return fresh(600).tobytes()


def at_speed():
    """A hall with the line at speed."""
    return np.frombuffer(bytearray(_at_speed()))


class Run:
    """A hall with a clock of its own."""

    def __init__(self, seed: int = 1, plcs=PLCS, numbers=None) -> None:
        self.numbers = fresh() if numbers is None else numbers
        self.hall = Hall(self.numbers, plcs, seed)
        self.now_ns = NS_PER_S

    def go(self, seconds: float, dt: float = 1.0, faults=()) -> Run:
        for _ in range(round(seconds / dt)):
            self.now_ns += round(dt * NS_PER_S)
            self.hall.step(dt, self.now_ns, faults)
        return self

    def __getitem__(self, key: str) -> float:
        return float(self.numbers[place(key)])


def check_bottles(run: Run) -> None:
    """Every bottle is somewhere, and they are whole."""
    for name in LINE:
        infeed, good, reject, inside = (run[f"{name}.{k}"] for k in ("infeed", "good", "reject", "inside"))
        assert infeed == good + reject + inside
        assert all(float(x).is_integer() and x >= 0 for x in (infeed, good, reject, inside))
    for above, below in pairwise(LINE):
        assert run[f"{above}.good"] >= run[f"{below}.infeed"]
    for above, below, room in (("filler", "capper", 120), ("capper", "labeller", ACCUMULATION)):
        assert run[f"{above}.good"] - run[f"{below}.infeed"] <= room


def check_litres(run: Run) -> None:
    """What left the tank is in bottles or in the bowl, apart from rounding."""
    assert run["filler.drawn_l"] + 100.0 == pytest.approx(run["filler.filled_l"] + run["filler.bowl_l"], abs=1e-5)
    assert run["product.volume"] == pytest.approx(2500.0 + run["product.filled_l"] - run["product.taken_l"], abs=1e-5)
    assert run["product.taken_l"] <= run["filler.drawn_l"] + 1e-6


@pytest.mark.mission("M95")
@pytest.mark.parametrize(("seed", "dt"), [(1, 30.0), (2, 45.0), (3, 60.0)])
def test_a_day_keeps_every_bottle_and_litre_and_stays_in_bounds(seed, dt) -> None:
    run = Run(seed)
    before = run.numbers.copy()
    for _ in range(96):
        run.go(900.0, dt)
        assert np.isfinite(run.numbers).all()
        assert (run.numbers[GROWING] >= before[GROWING]).all()
        for at, (low, high), name in BOUNDED:
            assert low <= run.numbers[at] <= high, name
        check_bottles(run)
        check_litres(run)
        before = run.numbers.copy()
    assert run["palletiser.good"] > 60_000  # it works, too
    assert run["m_main.energy"] == pytest.approx(
        sum(run[f"m_{m}.energy"] for m in ("filler", "capper", "packing", "tanks", "boiler", "air", "chilled"))
        + 6.5 * 24.0,
        rel=1e-3,
    )


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    acts=st.lists(
        st.tuples(
            st.sets(st.sampled_from([f for f in FAULTS if not f.startswith(PLCS)])), st.sampled_from([0.1, 1.0, 7.0])
        ),
        max_size=8,
    ),
)
def test_whatever_goes_wrong_no_bottle_is_lost(seed, acts) -> None:
    run = Run(seed)
    for faults, dt in acts:
        run.go(60 * dt, dt, faults)
        check_bottles(run)
        check_litres(run)
        assert np.isfinite(run.numbers).all()
        assert all(int(run[f"{name}.state"]) in STATES for name in LINE)


def test_the_same_seed_gives_the_same_day() -> None:
    one, two, other = Run(5).go(600), Run(5).go(600), Run(6).go(600)
    assert np.array_equal(one.numbers, two.numbers)
    assert not np.array_equal(one.numbers, other.numbers)


@pytest.mark.mission("M30")
def test_a_web_break_fills_the_accumulation_and_then_stops_the_filler() -> None:
    run = Run(numbers=at_speed())
    run.go(60, faults={"web-break"})
    assert (run["labeller.state"], run["palletiser.state"]) == (HELD, SUSPENDED)
    assert run["palletiser.cause"] == STARVED
    assert run["labeller.web_tension"] < 1.0
    run.go(700, faults={"web-break"})
    assert run["conveyor.level"] > 90
    assert (run["capper.state"], run["capper.cause"]) == (SUSPENDED, BLOCKED)
    assert run["filler.state"] == SUSPENDED
    run.go(600)
    assert [run[f"{name}.state"] for name in LINE[2:]] == [EXECUTE, EXECUTE]


@pytest.mark.parametrize(
    ("fault", "machine", "states", "seconds"),
    [
        ("jam", "filler", {HELD}, 10),
        ("cap-empty", "capper", {HELD}, 10),
        ("web-break", "labeller", {HELD}, 10),
        ("guard-open", "palletiser", {9}, 10),
        ("guard-filler", "filler", {9}, 10),
        ("estop-labeller", "labeller", {9}, 10),
        ("overheat", "capper", {HELD}, 400),
        ("air-leak", "filler", {SUSPENDED}, 600),
        ("refill-stuck", "filler", {SUSPENDED}, 1800),
    ],
)
def test_each_fault_on_command_stops_its_machine_until_it_is_cleared(fault, machine, states, seconds) -> None:
    run = Run(numbers=at_speed())
    assert run[f"{machine}.state"] == EXECUTE
    seen = set()
    for _ in range(seconds):
        run.go(1, faults={fault})
        seen.add(int(run[f"{machine}.state"]))
    assert states <= seen
    assert run[f"{machine}.state"] != EXECUTE
    for _ in range(1800):
        run.go(1)
        if run[f"{machine}.state"] == EXECUTE and run[f"{machine}.speed"] > 50:
            return
    pytest.fail(f"{machine} never ran again: state {run[f'{machine}.state']}, cause {run[f'{machine}.cause']}")


def test_an_operator_stops_and_releases_a_machine_and_changes_its_speed() -> None:
    run = Run(numbers=at_speed())
    filler = run.hall.units["filler"]
    filler.target = 90.0
    run.go(10)
    assert run["filler.speed"] == 90.0
    filler.enabled = 0.0
    run.go(10)
    assert (run["filler.state"], run["filler.speed"]) == (STOPPED, 0.0)
    filler.enabled = 1.0
    run.go(30)
    assert run["filler.state"] == EXECUTE


GUARDED = {
    place(f"{block.unit}.{point.field.format(n=block.number)}"): f"{block.asset}/{point.name}"
    for blocks in BLOCKS.values()
    for block in blocks
    for point in points_of(block.type)
    if point.write is not None
}


def _a_day_of_physics(dt: float, seed: int) -> None:
    """Nothing but what controllers do by themselves, jams and change-overs included."""
    run = Run(seed, tuple(plc for plc in PLCS if plc != "meters"), at_speed())
    at = np.array(list(GUARDED))
    before = run.numbers[at].copy()
    stops = run["filler.stops"]
    for _ in range(round(86_400 / dt)):
        run.go(dt, dt)
        now = run.numbers[at]
        changed = [GUARDED[int(i)] for i in at[now != before]]
        assert not changed
    assert run["filler.stops"] > stops + 10
    assert run["palletiser.good"] > 60_000


@pytest.mark.mission("M22", "M42")
def test_in_a_day_nothing_that_is_guarded_changes_by_itself() -> None:
    assert len(GUARDED) >= 30
    _a_day_of_physics(10.0, 3)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.mission("M22", "M42")
@pytest.mark.parametrize("seed", range(2))
def test_in_many_days_nothing_that_is_guarded_changes_by_itself(seed) -> None:
    _a_day_of_physics(1.0, seed)


@pytest.mark.mission("M22")
def test_a_machine_obeys_command_words_each_time_they_are_written() -> None:
    run = Run(numbers=at_speed())
    filler = run.hall.units["filler"]
    for _ in range(2):
        filler.obey("command", STOP)
        run.go(10)
        assert (run["filler.state"], run["filler.speed"], run["filler.command"]) == (STOPPED, 0.0, STOP)
        filler.obey("command", START)
        run.go(40)
        assert run["filler.state"] == EXECUTE
        assert run["filler.enabled"] == 1.0
    filler.obey("command", 77.0)
    run.go(2)
    assert (run["filler.state"], run["filler.command"]) == (EXECUTE, 0.0)


@pytest.mark.mission("M22", "M84")
def test_reset_mends_what_is_over_and_nothing_else() -> None:
    run = Run(numbers=at_speed())
    filler = run.hall.units["filler"]
    filler._stop(JAM, 600.0)  # a jam of its own, ten minutes to clear
    run.go(5)
    assert run["filler.state"] == HELD
    filler.obey("command", RESET)
    run.go(5)
    assert run["filler.state"] == EXECUTE
    run.go(5, faults={"estop-filler"})
    filler.obey("command", RESET)
    run.go(5, faults={"estop-filler"})
    assert (run["filler.state"], run["filler.cause"], run["filler.estop_ok"]) == (ABORTED, ESTOP, 0.0)
    run.go(60)
    assert run["filler.estop_ok"] == 1.0
    assert run["filler.state"] == EXECUTE


@pytest.mark.mission("M84", "M22")
def test_an_emergency_stop_holds_even_behind_an_open_guard() -> None:
    run = Run(numbers=at_speed()).go(5, faults={"guard-filler"})
    assert (run["filler.state"], run["filler.guard_closed"], run["filler.estop_ok"]) == (ABORTED, 0.0, 1.0)
    run.go(5, faults={"guard-filler", "estop-filler"})
    run.go(60, faults={"estop-filler"})
    assert (run["filler.state"], run["filler.cause"], run["filler.guard_closed"]) == (ABORTED, ESTOP, 1.0)


@pytest.mark.mission("M31", "M22")
def test_modes_limit_what_a_machine_does() -> None:
    run = Run(numbers=at_speed())
    filler = run.hall.units["filler"]
    filler.obey("mode", MANUAL)
    run.go(20)
    assert run["filler.speed"] == JOG
    filler.obey("mode", MAINTENANCE)
    run.go(120)
    assert run["filler.state"] == STOPPED
    filler.obey("mode", PRODUCTION)
    run.go(60)
    assert run["filler.state"] == EXECUTE
    assert run["filler.speed"] > JOG


@pytest.mark.mission("M34", "M22")
def test_a_panel_in_local_and_a_knob_that_somebody_turns() -> None:
    run = Run(numbers=at_speed()).go(2)
    assert (run["filler.local"], run["filler.target"]) == (0.0, 120.0)
    run.go(2, faults={"local-filler"})
    assert (run["filler.local"], run["filler.target"]) == (1.0, 120.0)
    run.go(2, faults={"local-filler", "touch-filler"})
    assert run["filler.target"] == 90.0
    run.hall.units["filler"].obey("target", 110.0)
    run.go(2, faults={"touch-filler"})
    assert (run["filler.local"], run["filler.target"]) == (0.0, 110.0)  # turned once, not held
    run.go(2)
    run.go(2, faults={"touch-filler"})
    assert run["filler.target"] == 90.0


@pytest.mark.mission("M68")
def test_a_jacket_that_sticks_overheats_its_tank_until_it_is_shut_off() -> None:
    run = Run(numbers=at_speed()).go(120, faults={"heater-stuck"})
    assert run["cip.temp"] > 95.0
    assert run["cip.pressure"] > 0.2
    hot = run["cip.temp"]
    run.hall.units["cip"].obey("jacket", 0.0)
    run.go(1)
    assert run["cip.temp"] <= hot + 0.05
    run.go(600, faults={"heater-stuck"})
    assert run["cip.temp"] < hot
    run.hall.units["cip"].obey("jacket", 1.0)
    run.go(4000)
    assert run["cip.temp"] == pytest.approx(72.7, abs=1.0)  # its set-point less what the hall takes


@pytest.mark.mission("M68")
def test_a_burner_that_sticks_blows_the_boiler_up_until_its_release_is_gone() -> None:
    run = Run(numbers=at_speed()).go(200, faults={"burner-stuck"})
    for name in ("pressure", "pressure2", "pressure3"):
        assert run[f"boiler.{name}"] > 10.8
    run.hall.units["boiler"].obey("burner_release", 0.0)
    run.go(60, faults={"burner-stuck"})
    assert (run["boiler.burner"], run["boiler.flame"]) == (0.0, 0.0)
    run.go(300, faults={"burner-stuck"})
    assert run["boiler.pressure"] < 10.8


@pytest.mark.mission("M68")
def test_a_pump_that_runs_dry_gets_hot_until_it_is_stopped_and_the_filler_starves() -> None:
    run = Run(numbers=at_speed())
    product = run.hall.units["product"]
    product.volume = 200.0
    run.go(300, faults={"refill-stuck"})
    assert run["product.pump_temp"] > 95.0
    product.obey("outlet_pump", 0.0)
    run.go(600)
    assert run["product.pump_temp"] < 40.0
    assert run["product.level"] > 20.0  # refilled, as nobody draws
    assert run["filler.state"] == SUSPENDED
    product.obey("outlet_pump", 1.0)
    run.go(300)
    assert run["filler.state"] == EXECUTE


@pytest.mark.mission("M22")
def test_without_water_no_product_is_mixed() -> None:
    run = Run(numbers=at_speed())
    run.hall.units["water"].obey("outlet_pump", 0.0)
    filled = run["product.filled_l"]
    run.hall.units["product"].volume = 1000.0
    run.go(120)
    assert run["product.filled_l"] == pytest.approx(filled, abs=1.0)


def test_controllers_stepped_apart_lose_nothing_and_a_dead_one_counts_as_stopped() -> None:
    numbers = at_speed()
    runs = {plc: Run(1, (plc,), numbers) for plc in PLCS}

    def all_go(seconds: int, but: str = "") -> None:
        for _ in range(seconds * 2):
            for plc, run in runs.items():
                if plc != but:
                    run.go(0.5, 0.5)
                else:
                    run.now_ns += NS_PER_S // 2

    all_go(60)
    any_run = runs["plc-filler"]
    check_bottles(any_run)
    power = any_run["filler.power"]
    assert power > 5.0
    all_go(30, but="plc-filler")
    assert any_run["filler.power"] == power  # its own numbers stay
    assert any_run["m_filler.power"] == 0.0  # but nobody counts it as running
    assert any_run["capper.cause"] == STARVED
    check_bottles(any_run)


def test_a_hall_goes_on_where_it_stopped() -> None:
    run = Run(numbers=at_speed()).go(30)
    again = Run(seed=9, numbers=run.numbers)
    assert again["filler.good"] == run["filler.good"] > 0
    assert again.hall.units["filler"].good == run["filler.good"]
    again.go(60)
    check_bottles(again)
    start, stop = span("plc-filler")
    assert again.numbers[start + 1] == 2.0  # two starts, so chance does not repeat itself
    assert 0 <= start < stop <= SIZE


def test_a_jam_is_told_as_such() -> None:
    run = Run(numbers=at_speed()).go(3, faults={"jam"})
    assert (run["filler.state"], run["filler.cause"]) == (HELD, JAM)

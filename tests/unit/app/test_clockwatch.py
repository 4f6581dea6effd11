from __future__ import annotations

import logging
import sys

import pytest

from isthmus.app.clockwatch import ClockWatch, Kernel, kernel_clock
from isthmus.values.clock import NS_PER_S, ManualClock

GOOD, BAD = Kernel(True, 0.0001, 0.001), Kernel(False, 0.0, 16.0)
LOG = logging.getLogger("clock")


def watch(clock: ManualClock, *answers: Kernel | None) -> ClockWatch:
    left = list(answers)
    return ClockWatch(clock, LOG, lambda: left.pop(0) if len(left) > 1 else left[0])


def test_losing_and_finding_the_time_source_is_said_once_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = ManualClock()
    one = watch(clock, GOOD, BAD, BAD, BAD, GOOD, GOOD)
    states = []
    for _ in range(6):
        clock.advance(2)
        one.look({})
        states.append(one.state)
    assert states == ["ok", "unsynchronised", "unsynchronised", "unsynchronised", "ok", "ok"]
    assert [r.levelname for r in caplog.records] == ["WARNING", "INFO"]


@pytest.mark.parametrize("seconds", [3.0, -120.0])
def test_a_jump_of_the_wall_clock_is_said_once_and_forgotten_after_an_hour(
    caplog: pytest.LogCaptureFixture, seconds: float
) -> None:
    caplog.set_level(logging.INFO)
    clock = ManualClock()
    one = watch(clock, GOOD)
    clock.advance(2)
    one.look({})
    clock.set_wall(clock.now_ns() + round(seconds * NS_PER_S))
    one.look({})
    assert (one.state, one.jumps) == ("jumped", 1)
    assert one.last_jump_s == pytest.approx(seconds)
    for _ in range(61):
        clock.advance(60)
        one.look({})
    assert (one.state, one.jumps) == ("ok", 1)
    assert [r.levelname for r in caplog.records] == ["WARNING", "INFO"]


def test_slewing_is_no_jump() -> None:
    clock = ManualClock()
    one = watch(clock, GOOD)
    for _ in range(1000):
        clock.advance(2)
        clock.set_wall(clock.now_ns() + NS_PER_S // 100)
        one.look({})
    assert one.jumps == 0


def test_an_edge_that_is_off_is_said_once_and_its_return_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one = watch(ManualClock(), GOOD)
    for offset in (0.1, 2.5, 2.4, 1.9, 2.2, 0.5, 0.1):
        one.look({"edge-1": offset})
    assert [r.getMessage() for r in caplog.records] == [
        "the clock of edge-1 is +2.5 s off core's: synchronise both machines",
        "the clock of edge-1 agrees with core's again",
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="adjtimex is Linux's")
@pytest.mark.real("adjtimex")
def test_this_kernel_answers_and_nothing_is_changed() -> None:
    found = kernel_clock()
    assert found is not None
    assert 0 <= found.error_s <= 16.1
    assert abs(found.offset_s) < 1
    assert watch(ManualClock(), None).state == "unknown"

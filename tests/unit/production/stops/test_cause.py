"""Which machine stopped a line: by hand, and against a line whose true causes are known."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.namespace.model import ProductionLine
from isthmus.production.model import WAITING, StateClass, Stop, stop_id
from isthmus.production.stops.cause import CauseKind, LineStops, reach_ns, speaker, sums

pytestmark = pytest.mark.mission("M51")

S = 1_000_000_000
LINE = ProductionLine("l", ("a", "b", "c", "d"), counts_at="d", buffers=(60.0, 30.0, 20.0))


def stop(asset, start_s, end_s, state="stopped", reason=""):
    a, b = round(start_s * S), round(end_s * S)
    return Stop(stop_id(asset, a), asset, a, b, StateClass(state), b - a, reason=reason)


def line(*stops, mute=(), of=LINE):
    return LineStops(of, {asset: [s for s in stops if s.asset == asset] for asset in of.machines}, mute)


def test_a_machine_that_stands_by_itself_is_its_own_cause():
    own = stop("b", 100, 200)
    found = line(own).cause(own)
    assert (found.kind, found.asset, found.stop) == (CauseKind.OWN, "b", own.id)
    elsewhere = stop("z", 100, 200)
    assert line(own).cause(elsewhere).kind is CauseKind.OWN


def test_starved_goes_up_the_line_and_blocked_down_through_machines_that_wait():
    jam = stop("a", 100, 400, reason="mechanical/jam")
    b, c, d = stop("b", 160, 405, "starved"), stop("c", 190, 410, "starved"), stop("d", 210, 415, "starved")
    found = line(jam, b, c, d).cause(d)
    assert (found.kind, found.asset, found.stop, found.reason) == (CauseKind.MACHINE, "a", jam.id, "mechanical/jam")
    assert found.path == ("a", "b", "c", "d")
    last = stop("d", 100, 400)
    c, b, a = stop("c", 120, 402, "blocked"), stop("b", 150, 404, "blocked"), stop("a", 210, 406, "blocked")
    found = line(last, a, b, c).cause(a)
    assert (found.asset, found.path) == ("d", ("d", "c", "b", "a"))


def test_a_stop_that_is_over_still_explains_what_its_hole_reaches_later():
    short = stop("a", 100, 130)
    starved = stop("b", 185, 215, "starved")  # the belt held 60 s
    assert line(short, starved).cause(starved).stop == short.id
    late = stop("b", 200, 215, "starved")
    assert line(short, late).cause(late).kind is CauseKind.SLOW


def test_of_several_stops_the_one_that_took_most_out_of_the_buffer_counts():
    long, brief = stop("a", 100, 150), stop("a", 155, 158)
    starved = stop("b", 160, 200, "starved")
    assert line(long, brief, starved).cause(starved).stop == long.id


def test_what_no_machine_of_the_line_did_is_said_to_be_outside_slow_or_unclear():
    first, last = stop("a", 100, 200, "starved"), stop("d", 100, 200, "blocked")
    assert line(first).cause(first).kind is CauseKind.OUTSIDE
    assert line(last).cause(last).kind is CauseKind.OUTSIDE
    slow = stop("c", 100, 130, "starved")
    found = line(slow).cause(slow)
    assert (found.kind, found.asset, found.stop) == (CauseKind.SLOW, "b", "")
    waits = stop("b", 95, 140, "blocked")
    found = line(slow, waits).cause(slow)
    assert (found.kind, found.asset) == (CauseKind.UNCLEAR, "")


def test_idle_and_machines_that_only_show_a_pulse_may_have_waited():
    jam, idle = stop("a", 100, 300), stop("b", 160, 305, "idle")
    assert line(jam, idle).cause(idle).asset == "a"
    alone = stop("b", 900, 1000, "idle")
    assert line(jam, alone).cause(alone).kind is CauseKind.OWN
    pulse = stop("b", 160, 305)
    assert line(jam, pulse).cause(pulse).kind is CauseKind.OWN
    assert line(jam, pulse, mute=["b"]).cause(pulse).asset == "a"
    said = stop("b", 160, 305, reason="mechanical/drive")
    assert line(jam, said, mute=["b"]).cause(said).kind is CauseKind.OWN  # somebody knows better


def test_what_machines_lost_is_added_up_by_first_cause():
    stops = [stop("c", 195, 300, reason="r"), stop("d", 210, 310, "starved"), stop("d", 500, 600), stop("d", 690, 790)]
    found = sums(LINE, line(*stops), [s for s in stops if s.asset == "d"], 0, 700 * S)
    assert [(row.asset, row.reason, row.stops, row.ns // S) for row in found] == [("d", "", 2, 110), ("c", "r", 1, 100)]
    assert speaker(LINE) == "d"
    assert speaker(ProductionLine("l", ("a", "b"), constraint="a")) == "a"
    assert reach_ns(LINE) == (110 + 3600) * S


ASSETS = st.sampled_from(LINE.machines)


@given(
    st.lists(
        st.tuples(ASSETS, st.integers(0, 5000), st.integers(1, 400), st.sampled_from(["stopped", "starved", "blocked", "idle", "setup"])),
        max_size=40,
    ),
    st.sets(ASSETS),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_a_machine_that_waits_is_never_the_cause(rows, mute):
    free: dict[str, int] = {}
    stops = []
    for asset, start, length, state in sorted(rows, key=lambda r: r[1]):
        begin = max(start, free.get(asset, 0))
        stops.append(stop(asset, begin, begin + length, state))
        free[asset] = begin + length + 1
    way = line(*stops, mute=mute)
    by_id = {s.id: s for s in stops}
    for one in stops:
        cause = way.cause(one)
        if cause.stop:
            assert by_id[cause.stop].state_class not in WAITING
            assert cause.path[0] == cause.asset
            assert cause.path[-1] == one.asset
        else:
            assert cause.kind in (CauseKind.OUTSIDE, CauseKind.SLOW, CauseKind.UNCLEAR)

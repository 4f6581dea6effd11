"""Calls for help: one while it is open, taken up, answered, closed; how long each took, and what they stand on."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from line import CAPPER, FILLER, LABELLER, at, floor, may

from isthmus.ports.production import Evidence, Requests
from isthmus.production.stops.model import NEXT, HelpRequest, RequestState, Verb
from isthmus.production.stops.requests import moved, times
from isthmus.values.errors import ConfigError, Denied

pytestmark = [pytest.mark.mission("M51"), pytest.mark.real("sqlite")]


@pytest.fixture
async def hall(tmp_path):
    async with floor(tmp_path) as made:
        yield made


async def test_a_call_about_a_waiting_machine_names_the_one_that_stopped_it(hall):
    first = (await hall.stops(FILLER))[0].stop
    await hall.room.stops.code(first.id, "mechanical/jam", "", 0, "ana", may)
    starved = (await hall.stops(LABELLER))[0].stop
    made, new = await hall.room.call(LABELLER, "maintenance", "", "comes to a halt again", starved.id, "ana")
    assert new
    assert made.title == "comes to a halt again"
    assert made.evidence.cause == "mechanical/jam"
    assert made.evidence.text == f"comes to a halt again. {FILLER}: Bottle jam"
    assert (made.evidence.start_ns, made.evidence.end_ns) == (at(660), at(910))
    assert made.evidence.tags == (f"{FILLER}/state",)
    assert made.evidence.link.startswith("/trends?pen=hall%2Fline1%2Ffiller%2Fstate&start=")
    with pytest.raises(ConfigError, match="is of"):
        await hall.room.call(CAPPER, "help", "", "", starved.id, "ana")
    with pytest.raises(LookupError):
        await hall.room.call(CAPPER, "help", "", "", f"{CAPPER}@1", "ana")


async def test_the_same_call_is_the_same_request_while_it_is_open(hall):
    port: Requests = hall.room.requests
    evidence = Evidence(FILLER, "", "over the limit", at(0), at(10))
    number = await port.ask("quality:12", "quality", "Weight out of control", evidence, "spc")
    assert await port.ask("quality:12", "quality", "again", evidence, "spc") == number
    at_once = await asyncio.gather(*(hall.room.call(FILLER, "help", "", "", "", who) for who in ("ana", "bob", "cleo")))
    assert len({made.id for made, _ in at_once}) == 1
    assert sorted(new for _, new in at_once) == [False, False, True]
    assert hall.news == 2
    await hall.room.requests.move(number, Verb.CLOSE, "a mistake", 1, "sam")
    assert await port.ask("quality:12", "quality", "again", evidence, "spc") > number
    for kind, title, where in (("tea", "x", FILLER), ("help", " ", FILLER), ("help", "x", "nowhere")):
        with pytest.raises(ConfigError):
            await port.ask("k", kind, title, Evidence(where, "", "", 0, 0), "ana")


async def test_response_and_repair_are_measured_and_the_floor_shows_who_calls(hall):
    desk = hall.room.requests
    made, _ = await hall.room.call(FILLER, "help", "Jam", "", "", "ana")
    assert [m.help for m in hall.production.machines()] == [True, False, False]
    await hall.at(2090)
    _, taken = await desk.move(made.id, Verb.ACKNOWLEDGE, "", 1, "max")
    await hall.at(2690)
    with pytest.raises(ConfigError, match="what was done"):
        await desk.move(made.id, Verb.ANSWER, " ", 2, "max")
    with pytest.raises(
        Denied, match="changed meanwhile: max made it acknowledged, version 2; yours began at 1"
    ) as held:
        await desk.move(made.id, Verb.ANSWER, "guide set", 1, "bob")
    assert held.value.code == "stale_base"
    _, done = await desk.move(made.id, Verb.ANSWER, "guide set", taken.version, "max")
    assert (done.response_ns, done.repair_ns) == (90 * 10**9, 600 * 10**9)
    assert not hall.production.machines()[0].help
    _, again = await desk.move(made.id, Verb.ACKNOWLEDGE, "", 3, "ana")  # it jams again
    assert (again.response_ns, again.repair_ns) == (90 * 10**9, None)
    assert hall.production.machines()[0].help
    await hall.at(2990)
    await desk.move(made.id, Verb.ANSWER, "rail changed", 4, "max")
    _, closed = await desk.move(made.id, Verb.CLOSE, "", 5, "ana")
    assert closed.repair_ns == 900 * 10**9
    with pytest.raises(Denied, match="is closed") as held:
        await desk.move(made.id, Verb.ANSWER, "x", 6, "max")
    assert held.value.code == "wrong_state"
    assert await desk.listed(None, at(4000)) == []
    listed = await desk.listed(at(0), at(4000), "hall")
    assert listed == [closed]
    told = times(listed)
    assert (told.asked, told.waiting, told.response_median_s, told.repair_most_s) == (1, 0, 90.0, 900.0)
    assert await desk.listed(at(0), at(4000), "hall/line2") == []
    assert await desk.listed(at(0), at(4000), "hall", ["open"]) == []
    assert times([]).response_median_s is None


async def test_calls_outlive_a_restart(hall, tmp_path):
    await hall.room.call(FILLER, "help", "", "", "", "ana")
    again = type(hall.room)(hall.engine, hall.production, lambda: hall.plant, hall.clock)
    assert again.requests.calls(FILLER)
    assert not again.requests.calls(CAPPER)


@given(st.lists(st.tuples(st.sampled_from(list(Verb)), st.integers(1, 1000)), max_size=12))
def test_whatever_people_do_times_never_go_backwards_and_nothing_is_lost(deeds):
    request = HelpRequest(1, "k", "help", "t", Evidence("a", "", "", 0, 0), RequestState.OPEN, 1, "ana", 0)
    now = 0
    for verb, step in deeds:
        now += step
        try:
            after = moved(request, verb, "words", now, "max")
        except Denied:
            assert (request.state, verb) not in NEXT
            continue
        assert after.version == request.version + 1
        assert after.state is NEXT[request.state, verb]
        if request.acknowledged_ns is not None:
            assert after.acknowledged_ns == request.acknowledged_ns  # the first response stays
        for took in (after.response_ns, after.repair_ns):
            assert took is None or took >= 0
        if after.state is RequestState.ANSWERED:
            assert after.repair_ns is not None
        request = after

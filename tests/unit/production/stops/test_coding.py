"""Reasons of stops over the real facts: given, changed, split, merged, taken back, and two tablets at one station."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from line import CAPPER, CLEAN, FILLER, LABELLER, REASONS, T0, D, S, at, floor, may, plant

from isthmus.production import store as production_store
from isthmus.production.model import StateClass
from isthmus.production.stops.cause import CauseKind
from isthmus.values.errors import ConfigError, Denied

pytestmark = [pytest.mark.mission("M51"), pytest.mark.real("sqlite")]


@pytest.fixture
async def hall(tmp_path):
    async with floor(tmp_path) as made:
        yield made


def refuse():
    raise Denied("needs production.correct", "role_missing")


async def lost(hall, by="reason"):
    """Seconds that stood at the filler, by reason."""
    found = await hall.production.facts(FILLER, T0, T0 + D, (by,))
    return {
        one.key[by]: sum(ns for c, ns in one.ns.items() if c not in (StateClass.RUNNING, StateClass.UNKNOWN)) / S
        for one in found
        if set(one.ns) - {StateClass.RUNNING, StateClass.UNKNOWN}
    }


async def test_what_waits_for_a_reason_comes_first_and_waiting_machines_need_none(hall):
    rows = await hall.room.stops.listed("", T0 - D, T0 + D)
    assert [(row.stop.asset, row.asks) for row in rows[:2]] == [(FILLER, True), (FILLER, True)]
    assert not any(row.asks for row in rows[2:])
    starved = [row for row in rows if row.stop.asset == LABELLER]
    assert {(row.cause.kind, row.cause.asset) for row in starved} == {(CauseKind.MACHINE, FILLER)}
    assert starved[0].cause.path == (FILLER, CAPPER, LABELLER)
    assert [row.stop.asset for row in await hall.room.stops.listed("", T0 - D, T0 + D, uncoded=True)] == [FILLER] * 2


async def test_a_reason_is_given_once_and_the_second_tablet_is_told_what_is_there(hall):
    desk = hall.room.stops
    first = (await hall.stops(FILLER))[0].stop
    done = await desk.code(first.id, "mechanical/jam", "at the star wheel", 0, "ana", refuse)
    assert done.stops[0].reason == "mechanical/jam"
    assert (done.old, done.new["reason"]) == ({"reason": ""}, "mechanical/jam")
    with pytest.raises(
        Denied, match=r"ana coded stop .* meanwhile: it is Bottle jam \(at the star wheel\) now"
    ) as held:
        await desk.code(first.id, "mechanical/drive", "", 0, "bob", may)
    assert held.value.code == "stale_base"
    same = await desk.code(first.id, "mechanical/jam", "", 0, "bob", refuse)  # both said the same
    assert len(await desk.history(first.id)) == 1
    assert same.old == same.new
    row = (await hall.stops(FILLER))[0]
    assert (row.text, row.by, row.comment, row.asks, row.at_ns) == (
        "Bottle jam", "ana", "at the star wheel", False, at(2000),
    )  # fmt: skip
    assert await lost(hall) == {"mechanical/jam": 300.0, "": 100.0}
    starved = (await hall.stops(LABELLER))[0]
    assert starved.cause.reason == "mechanical/jam"


async def test_two_tablets_at_the_same_moment_leave_one_reason(hall):
    first = (await hall.stops(FILLER))[0].stop
    said = [hall.room.stops.code(first.id, key, "", 0, who, may) for key, who in (("mechanical/jam", "ana"), ("mechanical/drive", "bob"))]  # fmt: skip
    answers = await asyncio.gather(*said, return_exceptions=True)
    assert [isinstance(a, Denied) for a in answers] == [False, True]
    assert (await hall.stops(FILLER))[0].stop.reason == "mechanical/jam"


async def test_another_reason_needs_the_right_to_correct_but_not_for_ones_own_of_just_now(hall):
    desk = hall.room.stops
    first = (await hall.stops(FILLER))[0].stop
    base = (await desk.code(first.id, "mechanical/jam", "", 0, "ana", refuse)).stops[0].entry
    own = (await desk.code(first.id, "mechanical/drive", "", base, "ana", refuse)).stops[0]
    with pytest.raises(Denied, match=r"production\.correct"):
        await desk.code(first.id, "mechanical/jam", "", own.entry, "bob", refuse)
    await hall.at(2000 + 31 * 60)
    with pytest.raises(Denied, match=r"production\.correct"):
        await desk.code(first.id, "mechanical/jam", "", own.entry, "ana", refuse)
    done = await desk.code(first.id, "mechanical/jam", "looked again", own.entry, "sam", may)
    assert (done.old["reason"], done.new["reason"], done.old["by"]) == ("mechanical/drive", "mechanical/jam", "ana")
    history = await desk.history(first.id)
    assert [(e.by, e.values["reason"], e.replaces) for e in history] == [
        ("ana", "mechanical/jam", 0), ("ana", "mechanical/drive", base), ("sam", "mechanical/jam", own.entry),
    ]  # fmt: skip


async def test_a_reason_is_taken_back(hall):
    desk = hall.room.stops
    first = (await hall.stops(FILLER))[0].stop
    with pytest.raises(ConfigError, match="taken back"):
        await desk.code(first.id, "", "", 0, "ana", may)
    base = (await desk.code(first.id, "mechanical/jam", "", 0, "ana", may)).stops[0].entry
    await desk.code(first.id, "", "", base, "ana", may)
    assert (await hall.stops(FILLER))[0].asks
    with pytest.raises(Denied, match="has no reason now"):
        await desk.code(first.id, "mechanical/jam", "", base, "ana", may)
    assert [e.void for e in await desk.history(first.id)] == [False, True]


async def test_what_is_no_reason_of_a_stop_is_refused(hall):
    desk = hall.room.stops
    first = (await hall.stops(FILLER))[0].stop
    with pytest.raises(ConfigError, match="no reason 'x/y'"):
        await desk.code(first.id, "x/y", "", 0, "ana", may)
    with pytest.raises(ConfigError, match="a reason of scrap"):
        await desk.code(first.id, "scrap/dent", "", 0, "ana", may)
    for ident in ("", "nowhere@1", f"{FILLER}@{at(601)}", f"{FILLER}@x", f"{FILLER}@{'9' * 30}"):
        with pytest.raises(LookupError):
            await desk.code(ident, "mechanical/jam", "", 0, "ana", may)


async def test_a_reason_said_while_it_stands_ends_with_that_stop(hall):
    hall.record.put(1, (0, 1), (600, 2), (900, 1), (1000, 2), (1100, 1), (2100, 2))
    await hall.at(2200)
    stands = (await hall.stops(FILLER))[-1].stop
    assert stands.open
    done = await hall.room.stops.code(stands.id, "mechanical/jam", "", 0, "ana", may)
    assert done.stops[0].open
    hall.record.put(1, (0, 1), (600, 2), (900, 1), (1000, 2), (1100, 1), (2100, 2), (2400, 1), (2600, 2), (2700, 1))
    await hall.at(3000)
    rows = await hall.stops(FILLER)
    assert [(row.stop.start_ns, row.stop.reason, row.asks) for row in rows[-2:]] == [
        (at(2100), "mechanical/jam", False), (at(2600), "", True),
    ]  # fmt: skip
    assert await lost(hall) == {"mechanical/jam": 300.0, "": 500.0}
    again = await hall.room.stops.code(stands.id, "mechanical/drive", "", rows[-2].stop.entry, "ana", may)
    assert again.stops[0].reason == "mechanical/drive"
    assert await lost(hall) == {"mechanical/drive": 300.0, "": 500.0}


@pytest.mark.parametrize("coded", [False, True])
async def test_a_stop_is_split_and_each_part_gets_its_own_reason(hall, coded):
    desk = hall.room.stops
    first = (await hall.stops(FILLER))[0].stop
    base = 0
    if coded:
        base = (await desk.code(first.id, "planned/clean", "", 0, "ana", may)).stops[0].entry
        first = (await hall.stops(FILLER))[0].stop
    for wrong in (600, 600.5, 899.5, 900, 5000):
        with pytest.raises(ConfigError, match="within the stop"):
            await desk.split(first.id, at(wrong), base, "sam")
    with pytest.raises(Denied, match="stop"):
        await desk.split(first.id, at(700), base + 7, "sam")
    done = await desk.split(first.id, at(700), base, "sam")
    assert [(s.start_ns, s.end_ns) for s in done.stops] == [(at(600), at(700)), (at(700), at(900))]
    assert len(done.old["stops"]) == 1
    a, b = done.stops
    for part in (a, b):
        assert "split" in [e.kind for e in await desk.history(part.id)]
    assert (a.reason, b.reason) == (("planned/clean",) * 2 if coded else ("", ""))
    if coded:
        history = await desk.history(b.id)
        assert {e.by for e in history if e.kind == "reason"} == {"ana"}  # her words, not his who split
    await desk.code(b.id, "mechanical/jam", "", b.entry, "sam", may)
    expected = (
        {"planned/clean": 100.0, "mechanical/jam": 200.0, "": 100.0} if coded else {"mechanical/jam": 200.0, "": 200.0}
    )
    assert await lost(hall) == expected


async def test_stops_are_merged_and_the_running_between_stays_running(hall):
    desk = hall.room.stops
    a, b = (row.stop for row in await hall.stops(FILLER))
    running = sum(one.ns.get(StateClass.RUNNING, 0) for one in await hall.production.facts(FILLER, T0, T0 + D))
    await desk.code(b.id, "mechanical/jam", "", 0, "ana", may)
    done = await desk.merge([b.id, a.id], "sam")
    assert [(s.start_ns, s.end_ns, s.reason) for s in done.stops] == [(at(600), at(1100), "mechanical/jam")]
    assert sum(one.ns.get(StateClass.RUNNING, 0) for one in await hall.production.facts(FILLER, T0, T0 + D)) == running
    assert await lost(hall) == {"mechanical/jam": 400.0}
    again = await desk.code(done.stops[0].id, "mechanical/drive", "", done.stops[0].entry, "sam", may)
    assert again.stops[0].reason == "mechanical/drive"
    assert await lost(hall) == {"mechanical/drive": 400.0}


async def test_what_cannot_be_merged_is_refused_with_the_reason(hall):
    desk = hall.room.stops
    a, b = (row.stop for row in await hall.stops(FILLER))
    other = (await hall.stops(CAPPER))[0].stop
    with pytest.raises(ConfigError, match="2 to 50"):
        await desk.merge([a.id, a.id], "sam")
    with pytest.raises(ConfigError, match="of one machine"):
        await desk.merge([a.id, other.id], "sam")
    await desk.code(a.id, "mechanical/jam", "", 0, "ana", may)
    await desk.code(b.id, "mechanical/drive", "", 0, "ana", may)
    with pytest.raises(Denied, match="different reasons") as held:
        await desk.merge([a.id, b.id], "sam")
    assert held.value.code == "wrong_state"
    hall.record.put(1, (0, 1), (600, 2), (900, 1), (1000, 2), (1100, 1), (1200, 2), (1300, 1))
    await hall.at(2100)
    third = (await hall.stops(FILLER))[-1].stop
    with pytest.raises(ConfigError, match="which is not named"):
        await desk.merge([a.id, third.id], "sam")


async def test_a_reason_that_left_the_plant_file_stays_where_it_was_said(hall):
    desk = hall.room.stops
    a, b = (row.stop for row in await hall.stops(FILLER))
    base = (await desk.code(a.id, "mechanical/jam", "", 0, "ana", may)).stops[0].entry
    before = await lost(hall)
    hall.plant = plant(tuple(r for r in REASONS if r.key != "mechanical/jam"))
    await hall.production.plant_changed()
    await hall.at(2001)
    row = (await hall.stops(FILLER))[0]
    assert (row.text, row.offered, row.asks) == ("Bottle jam", False, False)
    assert await lost(hall) == before
    with pytest.raises(ConfigError, match="or has it no more"):
        await desk.code(b.id, "mechanical/jam", "", 0, "ana", may)
    choices = await desk.reasons("stop", FILLER)
    assert [(c.key, c.offered, c.used) for c in choices][-1] == ("mechanical/jam", False, 1)
    assert choices[-1].text == "Bottle jam"
    split = await desk.split(a.id, at(700), base, "sam")
    assert [s.reason for s in split.stops] == ["mechanical/jam"] * 2
    second = split.stops[1]
    await desk.code(second.id, "mechanical/drive", "", second.entry, "sam", may)
    assert [row.stop.reason for row in (await hall.stops(FILLER))[:2]] == ["mechanical/jam", "mechanical/drive"]
    first = (await hall.stops(FILLER))[0].stop
    with pytest.raises(ConfigError, match="more than this stop"):
        await desk.code(first.id, "", "", first.entry, "sam", may)


async def test_reasons_used_most_come_first(hall):
    desk = hall.room.stops
    a, b = (row.stop for row in await hall.stops(FILLER))
    assert [c.key for c in await desk.reasons("stop", "")] == [r.key for r in REASONS if r.kind == "stop"]
    base = (await desk.code(a.id, "mechanical/jam", "", 0, "ana", may)).stops[0].entry
    await desk.code(a.id, "material/labels", "", base, "ana", may)
    await desk.code(b.id, "material/labels", "", 0, "ana", may)
    found = await desk.reasons("stop", FILLER)
    assert (found[0].key, found[0].used) == ("material/labels", 2)
    assert {c.key: c.used for c in found}["mechanical/jam"] == 0  # replaced
    assert [c.key for c in await desk.reasons("scrap", FILLER)] == ["scrap/dent"]


async def test_a_planned_reason_leaves_planned_time(hall):
    first = (await hall.stops(FILLER))[0].stop
    done = await hall.room.stops.code(first.id, CLEAN.key, "", 0, "ana", may)
    assert done.stops[0].ns == 0
    found = (await hall.production.facts(FILLER, T0, T0 + D))[0]
    assert found.ns[StateClass.PLANNED] == 300 * S


async def test_lines_and_machines_are_told_in_the_order_of_the_flow(hall):
    found = await hall.room.stops.timeline("", T0, at(2000))
    assert [machine.asset for machine, _ in found] == [FILLER, CAPPER, LABELLER]
    assert [(i.state_class.value, (i.end_ns - i.start_ns) // S) for i in found[0][1]] == [
        ("running", 600), ("stopped", 300), ("running", 100), ("stopped", 100), ("running", 900),
    ]  # fmt: skip
    causes = await hall.room.stops.causes("hall", T0, at(2000))
    assert [(row.machine, row.asset, row.stops, row.ns // S) for row in causes] == [(LABELLER, FILLER, 2, 300)]
    hall.plant = replace(hall.plant, lines=())
    assert (await hall.stops(LABELLER))[0].cause is None


@pytest.mark.parametrize("dies_at", [1, 2])
@pytest.mark.parametrize("what", ["split", "merge"])
async def test_a_kill_amid_splitting_or_merging_leaves_nothing_half_said(hall, monkeypatch, what, dies_at):
    desk = hall.room.stops
    a, b = (row.stop for row in await hall.stops(FILLER))
    for stop in (a, b):
        await desk.code(stop.id, "mechanical/jam", "", 0, "ana", may)
    a, b = before = [row.stop for row in await hall.stops(FILLER)]
    kept, lost_before = hall.production._store.entries(), await lost(hall)
    store_one, stored = production_store._add_entry, []

    def dies(connection, entry):
        if len(stored) == dies_at:
            raise OSError("killed")
        stored.append(entry)
        return store_one(connection, entry)

    monkeypatch.setattr(production_store, "_add_entry", dies)
    with pytest.raises(OSError, match="killed"):
        await (desk.split(a.id, at(700), a.entry, "sam") if what == "split" else desk.merge([a.id, b.id], "sam"))
    monkeypatch.undo()
    assert hall.production._store.entries() == kept
    assert [row.stop for row in await hall.stops(FILLER)] == before
    assert await lost(hall) == lost_before
    if what == "split":
        assert len((await desk.split(a.id, at(700), a.entry, "sam")).stops) == 2
    else:
        assert len((await desk.merge([a.id, b.id], "sam")).stops) == 1
    assert len(hall.production._store.entries()) == len(kept) + 3


async def test_machines_count_the_stops_that_ask_and_no_others(hall):
    await hall.at(2000)
    counted = {now.asset: now.uncoded for now in hall.production.machines()}
    listed = await hall.room.stops.listed("", T0 - D, T0 + D, uncoded=True)
    assert counted == {FILLER: 2, CAPPER: 0, LABELLER: 0}
    assert [row.stop.asset for row in listed] == [FILLER] * 2
    assert {s.asset for s in await hall.production.stops("", T0, T0 + D, uncoded=True)} == {FILLER}

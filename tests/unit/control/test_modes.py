"""Modes of zones and lock-outs: who may, what holds when, and that every edge hears of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from control_rig import TARGET, Works, person, plant, program

from isthmus.control.model import EdgeState, Refusal, Stage
from isthmus.namespace.model import Lockout
from isthmus.ports.audit import NotDurable
from isthmus.values.messages.control import Mode

ANA, SUE = person("ana", user_id=1), person("sue", "supervisor", user_id=3)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.control.modes.CONFIRM_S", 0.01)


@pytest.mark.mission("M84", "M31")
@pytest.mark.usefixtures("quick")
async def test_whoever_may_write_there_may_halt_and_only_control_mode_lets_run_again(works: Works) -> None:
    modes = works.control.modes
    row = await modes.set(ANA, "line1", Mode.SAFE_DIRECTION_ONLY, "leak")
    assert (row.mode, row.by, row.reason, row.edges, row.pending) == (
        Mode.SAFE_DIRECTION_ONLY,
        "ana",
        "leak",
        ("edge-1",),
        ("edge-1",),
    )
    await modes.set(ANA, "line1", Mode.HALTED, "worse")
    for who in (ANA, program("mes"), person("e", "engineer"), person("a", "admin")):
        for mode in (Mode.NORMAL, Mode.SAFE_DIRECTION_ONLY):
            with pytest.raises(Refusal) as no:
                await modes.set(who, "line1", mode, "go")
            assert no.value.code == "role_missing"
    with pytest.raises(Refusal) as no:
        await works.write(ANA, TARGET, 120)
    assert no.value.code == "halted"
    assert (await modes.set(SUE, "line1", Mode.NORMAL, "mended")).mode is Mode.NORMAL
    assert [b["action"] for b in works.audit.begun] == ["control.mode"] * 3
    assert (await works.write(ANA, TARGET, 120)).state is Stage.DONE


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("who", "zone", "may"),
    [
        (
            person("kim", "crew"),
            "line1",
            True,
        ),  # narrowed to a path in it, and it does not matter what the machine does
        (person("kim", "crew"), "line2", False),
        (person("x", "line2-only"), "line2", True),
        (person("x", "line2-only"), "line1", False),
        (person("v", "viewer"), "line1", False),
        (person("e", "engineer"), "line1", False),
        (person("o", source="10.9.0.5"), "line1", False),
    ],
)
async def test_halting_is_for_those_who_write_there(works: Works, who: Any, zone: str, may: bool) -> None:
    works.feed({"hall/line1/filler/state": 6})
    works.lockouts.lock("hall", Lockout("ben", "inside"))
    if may:
        assert (await works.control.modes.set(who, zone, Mode.HALTED, "smoke")).mode is Mode.HALTED
        return
    with pytest.raises(Refusal):
        await works.control.modes.set(who, zone, Mode.HALTED, "smoke")
    assert works.control.modes.of(zone) is Mode.NORMAL


@pytest.mark.usefixtures("quick")
async def test_a_mode_needs_a_reason_a_zone_and_a_disk(works: Works) -> None:
    modes = works.control.modes
    with pytest.raises(Refusal, match="reason"):
        await modes.set(SUE, "line1", Mode.HALTED, "  ")
    with pytest.raises(LookupError):
        await modes.set(SUE, "nowhere", Mode.HALTED, "r")
    works.audit.full = True
    with pytest.raises(NotDurable):
        await modes.set(SUE, "line1", Mode.HALTED, "fire")
    assert modes.of("line1") is Mode.HALTED, "what is stricter holds at once, recorded or not"
    with pytest.raises(NotDurable):
        await modes.set(SUE, "line1", Mode.NORMAL, "out")
    assert modes.of("line1") is Mode.HALTED


@pytest.mark.mission("M84", "M63")
@pytest.mark.usefixtures("quick")
async def test_edges_hear_it_again_after_each_time_somebody_was_away(works: Works) -> None:
    modes = works.control.modes
    works.edges.deaf = True
    await modes.set(SUE, "line1", Mode.HALTED, "fire")
    await modes.bring()
    assert [row.pending for row in modes.rows() if row.zone == "line1"] == [("edge-1",)]
    with pytest.raises(Refusal):
        await works.write(ANA, TARGET, 120)  # core refuses by itself
    works.edges.deaf = False
    await modes.bring()
    assert [row.pending for row in modes.rows() if row.zone == "line1"] == [()]
    told = len(works.edges.told)
    await modes.bring()
    assert len(works.edges.told) == told, "who has confirmed is left in peace"
    known = works.state["edge-1"]
    assert known is not None
    works.state["edge-1"] = replace(known, epoch=2)  # the edge began anew
    assert [row.pending for row in modes.rows() if row.zone == "line1"] == [("edge-1",)]
    await modes.bring()
    assert works.edges.told[told:] == [("edge-1", "modes", {"line1": Mode.HALTED}), ("edge-1", "locks", [])]
    works.lockouts.lock(TARGET, Lockout("ben", "inside"))
    await modes.bring()
    assert ("edge-1", "locks", [TARGET]) in works.edges.told
    again = works.make()
    await again.open()
    assert again.modes.of("line1") is Mode.HALTED
    before = len(works.edges.told)
    await again.modes.bring()
    assert ("edge-1", "modes", {"line1": Mode.HALTED}) in works.edges.told[before:]


async def test_setting_waits_until_the_edges_of_the_zone_have_confirmed(works: Works) -> None:
    running = asyncio.create_task(works.control.modes.run())
    try:
        row = await works.control.modes.set(SUE, "line1", Mode.HALTED, "fire")
        assert row.pending == ()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_an_edge_that_is_not_heard_is_not_asked(works: Works) -> None:
    works.state["edge-1"] = EdgeState(False, 9.0, 0.0, 1, 7)
    works.state["edge-2"] = None
    await works.control.modes.bring()
    assert works.edges.told == []


async def test_zones_without_a_declaration_are_there_by_their_points(works: Works) -> None:
    works.apply(plant(version=8, zones=(), conduits=(), roles=()))
    assert works.control.modes.zones() == ["site", "line1", "line2"]

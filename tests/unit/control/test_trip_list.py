"""Trips as core sees them."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from control_rig import LOG, Works, person

from isthmus.control.model import Refusal
from isthmus.control.trip_list import TripList
from isthmus.values.messages.control import Told
from isthmus.values.sample import SampleBatch

ANA, SUE = person("ana"), person("sue", "supervisor")


@pytest.fixture
def trips(works: Works) -> TripList:
    return TripList(
        works.clock, lambda: works.plant, works.live, works.permissions, works.edges, works.audit, works.reports,
        lambda asker: f"p-{asker.name}", LOG,
    )  # fmt: skip


def says(works: Works, state: int, cause: str = "") -> None:
    works.feed({"trips/hot/state": state})
    text: Any = np.zeros(1, np.int32)
    batch = SampleBatch(
        np.array([21], np.int32), np.array([works.clock.now_ns()]), text, np.zeros(1, np.uint32), (cause,)
    )
    works.live.apply([batch], works.clock.now_ns())


@pytest.mark.mission("M84")
async def test_a_trip_that_fired_is_an_alarm_until_it_is_reset(works: Works, trips: TripList) -> None:
    assert [row.state for row in trips.rows(ANA)] == ["unknown"]
    await trips.tell()
    assert works.reports.active == {}
    says(works, 1, "speed > 1")
    works.reports.down = True
    await trips.tell()
    works.reports.down = False
    await trips.tell()
    assert works.reports.active == {"control/trip/hot": True}
    assert [(row.state, row.cause, row.edge) for row in trips.rows(ANA)] == [("tripped", "speed > 1", "edge-1")]
    says(works, 0)
    await trips.tell()
    assert works.reports.active == {"control/trip/hot": False}
    assert trips.rows(person("x", "line2-only")) == []


async def test_resetting_and_testing_are_recorded_and_asked_of_the_edge(works: Works, trips: TripList) -> None:
    await trips.command(ANA, "hot", "reset", "cooled down")
    assert works.edges.told == [("edge-1", "reset", "hot")]
    assert (works.audit.begun[0]["action"], works.audit.ended) == ("control.trip.reset", [("i1", "ok")])
    with pytest.raises(Refusal) as no:
        await trips.command(ANA, "hot", "test", "monthly")
    assert no.value.code == "role_missing"
    with pytest.raises(Refusal, match="reason"):
        await trips.command(SUE, "hot", "test", " ")
    with pytest.raises(LookupError):
        await trips.command(SUE, "cold", "test", "r")
    works.edges.trip_says = Told(ok=False, code="still_hot", reason="speed is 3", clears="let it cool")
    with pytest.raises(Refusal, match="let it cool"):
        await trips.command(SUE, "hot", "reset", "r")
    assert works.audit.ended[-1] == ("i2", "refused still_hot")


async def test_the_answer_to_a_reset_is_what_the_edge_shows_after_it(works: Works, trips: TripList) -> None:
    says(works, 1, "speed > 1")
    asked = asyncio.create_task(trips.command(ANA, "hot", "reset", "cooled down"))
    while not works.audit.ended:
        await asyncio.sleep(0)
    works.clock.advance(1)
    says(works, 0)
    assert (await asked).state == "armed"

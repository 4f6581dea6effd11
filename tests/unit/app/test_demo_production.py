"""What the hall's people enter: once, whole, and only in rooms that are there."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from isthmus.app import demo_production
from isthmus.app.demo_production import furnish, give_reasons
from isthmus.simulators.bottling import fast, quarter
from isthmus.simulators.bottling.physics import JAM, STARVED
from isthmus.simulators.bottling.production import BY_CAUSE, LINE, REASONS
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import Denied

LOG = logging.getLogger("test")
NOW = datetime(2026, 11, 12, 13, 0, tzinfo=UTC)


class Core:
    """Answers as the rooms do; keeps what it was told."""

    def __init__(self, rooms: set[str]) -> None:
        self.rooms, self.told = rooms, []
        self.lists: dict[str, list[Any]] = {"products": [], "readings/points": [], "quality/plans": []}
        self.stops: list[dict[str, Any]] = []

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        room = path.partition("?")[0].partition("/")[0]
        if room not in self.rooms:
            raise Denied("Not Found", "not_found")
        if method == "GET":
            if path.startswith("production/stops?"):
                found, self.stops = self.stops, []
                return {"stops": found}
            return {path.rsplit("/", 1)[-1]: self.lists[path]}
        self.told.append((method, path, body))
        if path in self.lists:
            self.lists[path].append(body)
        if path.startswith("readings/points/"):
            self.lists["readings/points"].append(body)
        return {"id": f"PO-{len(self.told)}", "rev": len(self.told)}


@pytest.mark.mission("M53", "M58", "M21")
def test_everything_is_entered_once() -> None:
    core = Core({"products", "lots", "orders", "readings", "quality"})
    assert furnish(core, LOG, NOW) == ["products and orders", "readings", "inspection plans"]
    told = list(core.told)
    orders = [body for _, path, body in told if path == "orders"]
    assert [one["product"] for one in orders] == ["still-075", "lemon-075", "mint-075", "still-075"]
    assert orders[0]["due"] == "2026-11-12T21:00:00Z"
    released = [path for _, path, _ in told if path.endswith("/release")]
    started = [(path, body) for _, path, body in told if path.endswith("/start")]
    assert len(released) == 2
    assert len(started) == 1
    assert [path.rsplit("/", 1)[-1] for _, path, _ in told if path.startswith("orders/")] == [
        "release",
        "release",
        "start",
    ]
    assert started[0][1]["asset"] == LINE
    made = {body["id"]: body for _, path, body in told if path == "products"}
    for key, body in made.items():
        for part in body.get("components", []):
            assert part["material"] in made, key
    assert furnish(core, LOG, NOW) == []
    assert core.told == told


def test_a_room_that_is_not_there_is_left_out() -> None:
    core = Core({"readings"})
    assert furnish(core, LOG, NOW) == ["readings"]
    for _, path, body in core.told:
        if path == "readings":
            low, high = (
                demo_production.POINTS[body["point"]]["lowest"],
                demo_production.POINTS[body["point"]]["highest"],
            )
            assert float(low) <= float(body["value"]) <= float(high)
            assert body["comment"]


def test_every_reason_given_is_one_of_the_plant() -> None:
    known = {f"{group}/{name}" for group, about in REASONS.items() for name in about["reasons"]}
    assert set(BY_CAUSE.values()) <= known


@pytest.mark.mission("M51")
def test_stops_of_the_past_get_the_reason_the_machine_told() -> None:
    day = fast.Day(1_790_000_000, 86_400, (1, 1))
    rows = {
        "day": [0, 0, 0],
        "machine": [0, 0, 0],
        "second": [100, 200, 300],
        "state": [10, 6, 13],
        "cause": [JAM, 0, STARVED],
    }
    record = fast.Record((day,), tuple(fast.MACHINES), {k: np.array(v, np.int32) for k, v in rows.items()})
    past = quarter.Past(record, day.start_s + 86_400, {}, {}, {}, {})
    core = Core({"production"})
    at = day.start_s * NS_PER_S
    ids = [
        f"{LINE}/filler@{at + 100 * NS_PER_S}",
        f"{LINE}/filler@{at + 300 * NS_PER_S}",  # it waited
        f"{LINE}/filler@{at + 50 * NS_PER_S}",  # before anything was told
        f"packaging/wrapper@{at}",  # nobody asks it
    ]
    core.stops = [{"id": one} for one in ids]
    assert give_reasons(core, past, LOG, seed=2) == 1
    assert core.told == [("POST", "production/stops/code", {"stop": ids[0], "reason": "mechanical/jam"})]
    core.stops = [{"id": ids[0]}]
    assert give_reasons(core, past, LOG, stopped=lambda: True) == 0
    assert give_reasons(Core(set()), past, LOG) == 0

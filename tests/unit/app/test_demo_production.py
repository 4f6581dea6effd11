"""What the hall's people enter: once, whole, and only in rooms that are there."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from isthmus.app import demo_production
from isthmus.app.demo_production import furnish
from isthmus.simulators.bottling.production import BY_CAUSE, LINE, REASONS
from isthmus.values.errors import Denied

LOG = logging.getLogger("test")
NOW = datetime(2026, 11, 12, 13, 0, tzinfo=UTC)


class Core:
    """Answers as the rooms do; keeps what it was told."""

    def __init__(self, rooms: set[str]) -> None:
        self.rooms, self.told = rooms, []
        self.lists: dict[str, list[Any]] = {"products": [], "readings/points": [], "quality/plans": []}

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        room = path.partition("?")[0].partition("/")[0]
        if room not in self.rooms:
            raise Denied("Not Found", "not_found")
        if method == "GET":
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

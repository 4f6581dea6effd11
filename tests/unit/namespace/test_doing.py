"""What machines are doing: the nearest state above a path, in the words of the plant file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from isthmus.namespace.doing import Doing
from isthmus.namespace.live import LiveTable
from isthmus.namespace.model import Asset, Plant, Tag
from isthmus.values import status
from isthmus.values.sample import SampleBatch, ValueType

LINE_STATE, FILLER_STATE, FILLER_SPEED = "hall/line1/state", "hall/line1/filler/state", "hall/line1/filler/speed"


def plant(version: int = 1) -> Plant:
    def tag(number: int, path: str, kind: ValueType, **more: Any) -> Tag:
        asset, _, name = path.rpartition("/")
        return Tag(id=number, path=path, asset=asset, name=name, kind="value", type=kind, edge="e", **more)

    tags = (
        tag(1, FILLER_SPEED, ValueType.FLOAT),
        tag(2, FILLER_STATE, ValueType.INT, states={0: "Idle", 6: "Execute"}),
        tag(3, LINE_STATE, ValueType.TEXT),
    )
    assets = (
        Asset("", "lyon", "site", "", "", 0),
        Asset("hall", "hall", "area", "", "", 1),
        Asset("hall/line1", "line1", "line", "", "hall", 2, production={"state": LINE_STATE}),
        Asset("hall/line1/filler", "filler", "asset", "", "hall/line1", 3, production={"state": FILLER_STATE}),
        Asset("hall/line1/capper", "capper", "asset", "", "hall/line1", 4, production={"state": "hall/gone"}),
    )
    paths = {one.path: one for one in tags}
    return Plant(version, "acme", "lyon", "UTC", tags, assets, (), ("e",), paths, {one.id: one for one in tags})


@pytest.fixture
def live() -> LiveTable:
    table = LiveTable()
    table.describe(plant())
    return table


def feed(live: LiveTable, tag: int, value: Any, code: int = status.GOOD, *, at: int = 1) -> None:
    text = (value,) if isinstance(value, str) else ()
    column = np.array([0], np.int32) if text else np.array([value], np.int64)
    batch = SampleBatch(np.array([tag], np.int32), np.array([at]), column, np.array([code], np.uint32), text)
    live.apply([batch], at)


def test_the_nearest_state_at_or_above_a_path_holds(live: LiveTable) -> None:
    doing = Doing(live)
    assert doing.at(FILLER_SPEED) == doing.at("hall/line1") == ""  # nothing is known yet
    feed(live, 2, 6)
    feed(live, 3, "Held")
    assert doing.at(FILLER_SPEED) == doing.at(FILLER_STATE) == doing.at("hall/line1/filler") == "Execute"
    assert (
        doing.at("hall/line1/filler/pump/duty") == "Execute"
    )  # what the plant does not have lies below it all the same
    assert doing.at("hall/line1") == doing.at("hall/line1/conveyor") == "Held"
    assert doing.at("hall/line1/capper") == "Held"  # its own is a tag the plant does not have
    assert doing.at("hall") == doing.at("") == doing.at("connections/plc1") == ""


def test_what_is_not_good_or_has_no_word_is_not_known(live: LiveTable) -> None:
    doing = Doing(live)
    feed(live, 2, 6, status.BAD_NO_COMMUNICATION)
    assert doing.at(FILLER_SPEED) == ""
    feed(live, 2, 6, status.UNCERTAIN_LAST_USABLE_VALUE, at=2)
    assert doing.at(FILLER_SPEED) == ""
    feed(live, 2, 5, at=3)
    assert doing.at(FILLER_SPEED) == ""
    feed(live, 2, 0, at=4)
    assert doing.at(FILLER_SPEED) == "Idle"
    live.edge_stale("e", True)
    assert doing.at(FILLER_SPEED) == ""


def test_another_version_of_the_plant_is_followed(live: LiveTable) -> None:
    doing = Doing(live)
    feed(live, 2, 0)
    feed(live, 3, "Held")
    assert doing.at(FILLER_SPEED) == "Idle"
    changed = plant(2)
    assets = tuple(replace(a, production={}) if a.name == "filler" else a for a in changed.assets)
    live.describe(replace(changed, assets=assets))
    assert doing.at(FILLER_SPEED) == "Held"

"""The hall's past in the real record: whole, once, and answered like any history."""

from __future__ import annotations

import numpy as np
import orjson
import pytest

from isthmus.app.demo_history import batches_of
from isthmus.app.plantcheck import check_plant
from isthmus.historian.service import Historian
from isthmus.historian.store import StoreConfig
from isthmus.ports.frames import Position
from isthmus.ports.history import HistoryQuery, Shape
from isthmus.simulators.bottling import fast, quarter
from isthmus.simulators.bottling.hall import PLCS
from isthmus.simulators.bottling.plant import plant_yaml
from isthmus.simulators.bottling.production import LINE
from isthmus.values.clock import NS_PER_S, ManualClock

pytestmark = [pytest.mark.real("chdb"), pytest.mark.mission("M95", "M4")]

START_S, LENGTH_S = 1_790_000_000, 1_800


async def test_a_past_is_recorded_whole_and_once(tmp_path, monkeypatch) -> None:
    days = [fast.Day(START_S + d * LENGTH_S, LENGTH_S, (4, 738_000 + d)) for d in range(2)]
    monkeypatch.setattr(quarter, "production_days", lambda *_: days)
    monkeypatch.setattr(fast, "EMPTY_S", dict.fromkeys(fast.MACHINES, 300))
    monkeypatch.setattr(fast, "CLEARED_S", 100)
    past = quarter.simulate(2, START_S + 2 * LENGTH_S, 4)
    made = list(quarter.Recorder(past, 4).days())
    plant, _ = check_plant(plant_yaml({plc: 15_020 + i for i, plc in enumerate(PLCS)}), {}, "plant.yaml")
    known = {tag.path: (tag.id, tag.type) for tag in plant.tags}
    blocks = [list(batches_of(day, known)) for day in made]
    samples = sum(len(batch) for block in blocks for batch in block)
    assert samples == sum(len(one.time_ns) for day in made for one in day), "every tag of the past is one of the plant"
    historian = Historian(StoreConfig(path=tmp_path), ManualClock((START_S + 90_000) * NS_PER_S))
    await historian.open()
    try:
        await historian.describe(plant.tags)
        for _ in range(2):
            for number, block in enumerate(blocks, 1):
                await historian.take_import("ab", Position(1, number), block)
        assert await historian.count() == samples
        tag, _ = known[f"{LINE}/palletiser/good"]
        asked = HistoryQuery((tag,), START_S * NS_PER_S, (START_S + 2 * LENGTH_S) * NS_PER_S, Shape.RAW, 100_000, ())
        rows = orjson.loads((await historian.query(asked)).body)
        said = [one for day in made for one in day if one.path == f"{LINE}/palletiser/good"]
        assert [row[2] for row in rows] == np.concatenate([np.asarray(one.value) for one in said]).tolist()
    finally:
        await historian.close()

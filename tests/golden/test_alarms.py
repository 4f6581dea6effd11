"""Each kind of alarm: a plant, the frames that came, and the journal they must make."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from isthmus.values.frame import Lane

pytestmark = [pytest.mark.mission("M24", "M85"), pytest.mark.real("sqlite")]
CASES = sorted((Path(__file__).parent / "alarms").glob("*/case.json"))
_spec = importlib.util.spec_from_file_location("plants", Path(__file__).parents[1] / "unit" / "alarms" / "plants.py")
assert _spec is not None
plants = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(plants)


def read(case: Path):
    return json.loads(case.read_text()), plants.plant_of((case.parent / "plant.yaml").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.parent.name)
async def test_the_journal_is_what_it_must_be(case: Path, tmp_path: Path) -> None:
    said, plant = read(case)
    site = plants.Site(tmp_path, plant)
    await site.begin()
    for step in said["steps"]:
        if "frame" in step:
            lane = Lane[step.get("lane", "live").upper()]
            await site.hear(step["frame"], sealed=step.get("sealed"), lane=lane, later=step.get("later"))
        elif "tick" in step:
            site.at(step["tick"])
            await site.alarms.tick()
        else:
            numbers = [r.occurrence for r in site.alarms.rows() if r.alarm == step["alarm"]]
            done = await getattr(site.alarms, step["act"])(plants.Ann(), numbers)
            assert done == numbers, step
    found = await site.journal()
    site.close()
    assert [list(line) for line in found] == said["journal"]


def test_there_is_a_case_for_each_kind() -> None:
    kinds = {"limits", "delays", "deviation", "rate", "state", "quality", "communication", "expression", "suppression"}
    assert {c.parent.name for c in CASES} >= {*kinds, "latch", "late", "heard-late", "held"}

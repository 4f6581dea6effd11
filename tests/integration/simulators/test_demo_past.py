"""A demo's past in a real core: cut off and taken up again, and the notebook that joins its samples, orders and costs."""

from __future__ import annotations

import asyncio
import logging
import runpy
import time
from pathlib import Path

import pytest

from isthmus.app.datadir import DataDir
from isthmus.app.demo_history import Stopped, prepare, read_plan, record
from isthmus.app.demo_past import enter_past
from isthmus.app.local import call
from isthmus.app.plantcheck import check_plant
from isthmus.bench.system import System
from isthmus.simulators.bottling.hall import PLCS
from isthmus.simulators.bottling.plant import plant_yaml
from isthmus.simulators.bottling.production import LINE

ROOT = Path(__file__).resolve().parents[3]
LOG = logging.getLogger("test")

pytestmark = [
    pytest.mark.real("isthmus up", "chdb", "nats-server"),
    pytest.mark.mission("M95", "M45", "M50", "M53"),
    pytest.mark.timeout(400),
]


async def test_a_past_that_was_cut_off_goes_on_and_the_notebook_reads_it(
    tmp_path, short_days, monkeypatch, capsys
) -> None:
    data = DataDir(tmp_path / "data")
    data.prepare()
    past = prepare(tmp_path, 3, LOG, now_s=time.time())
    assert past is not None
    text = plant_yaml({plc: i for i, plc in enumerate(PLCS, 1)})
    assert await asyncio.to_thread(enter_past, data.records, check_plant(text, {}, "plant.yaml")[0], past, LOG)
    async with System(data.root) as system:
        await asyncio.to_thread(system.apply, text)
        looks = iter([False, True])
        with pytest.raises(Stopped):
            await asyncio.to_thread(record, data.root, tmp_path, past, LOG, lambda: next(looks))
        samples = await asyncio.to_thread(record, data.root, tmp_path, past, LOG)
        plan = read_plan(tmp_path)
        assert plan is not None
        assert (plan.done, plan.samples) == (True, samples)
        made = past.good["palletiser"][-1] - past.good["palletiser"][0]
        assert 0 < await counted(data.root) <= int(made)
        made_token = await asyncio.to_thread(call, data.root, "POST", "tokens", {"name": "book", "role": "viewer"})
        monkeypatch.setenv("ISTHMUS_URL", f"http://127.0.0.1:{system.port}")
        monkeypatch.setenv("ISTHMUS_TOKEN", made_token["token"])
        seen = await asyncio.to_thread(runpy.run_path, str(ROOT / "docs" / "examples" / "production_costs.py"))
    row = seen["by_order"].loc["JO-1"]
    assert 0 < row["good"] <= int(made)
    assert 0 < row["kwh"] < 40.0
    assert 0.5 < seen["joined"]["wh_per_bottle"].dropna().median() < 20.0
    assert "Still 0.75 L glass" in capsys.readouterr().out


async def counted(data: Path) -> float:
    """Good bottles of the order, once the accounts have read what was imported; no controller answers that would say how it went on."""
    good = -1.0
    for _ in range(240):
        answer = await asyncio.to_thread(
            call, data, "GET", f"production/oee?under={LINE}&start=now-1d&end=now&by=order"
        )
        found = sum(row["good"] for row in answer["rows"] if row["key"]["order"] == "JO-1")
        if found > 0 and found == good:
            break
        good = found
        await asyncio.sleep(0.5)
    return good

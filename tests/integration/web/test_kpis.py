"""KPIs over HTTP: the catalogue, own formulas, targets, values and files, and who may do what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from isthmus.production.figures import Figures, figures
from isthmus.production.model import FactSum, IdealCounts, StateClass
from isthmus.security.model import Role
from isthmus.security.model import Scope as Narrowed
from isthmus.values.clock import NS_PER_S

pytestmark = [pytest.mark.real("uvicorn", "sqlite"), pytest.mark.mission("M61", "M64")]

HOUR = 3_600 * NS_PER_S


class Production:
    """Stands for the room production: two lines, one of them at rest."""

    async def figures(
        self, under: str, start_ns: int, end_ns: int, by: Sequence[str] = ()
    ) -> list[tuple[FactSum, Figures]]:
        rate = IdealCounts(2, 60 * NS_PER_S, 640_000_000, 600_000_000)
        ns = {StateClass.RUNNING: 6 * HOUR, StateClass.STOPPED: 2 * HOUR}
        one = FactSum({"line": "hall/line1"} if by else {}, ns, total_u=640_000_000, good_u=600_000_000, ideal=(rate,))
        rows = [one, FactSum({"line": "hall/line2"})] if by else [one]
        return [(row, figures(row)) for row in rows]


@pytest.fixture
def counted(works: Any) -> None:
    works.services.production = Production()


async def test_the_catalogue(as_: Any) -> None:
    answer = (await as_.viewer.get("/kpis")).json()
    first = answer["kpis"][0]
    assert (first["name"], first["unit"], first["own"], first["rev"], first["targets"]) == ("oee", "%", False, 0, [])
    assert {"name": "run_time", "unit": "s", "description": "actual production time, APT"} in answer["elements"]
    assert answer["may"] is False
    assert (await as_.engineer.get("/kpis")).json()["may"] is True
    file = await as_.viewer.get("/kpis", params={"format": "xlsx"})
    assert file.content[:2] == b"PK"


async def test_an_own_kpi_from_formula_to_value(as_: Any, counted: None) -> None:
    body = {"base": 0, "title": "Lost hours", "formula": "planned_time - ideal_good_time", "unit": "h", "better": "down", "owner": "Ann"}  # fmt: skip
    made = await as_.engineer.put("/kpis/lost_hours", json=body)
    assert made.status_code == 200, made.text
    assert (made.json()["rev"], made.json()["owner"], made.json()["own"]) == (1, "Ann", True)
    stale = await as_.supervisor.put("/kpis/lost_hours", json=body)
    assert (stale.status_code, stale.json()["code"]) == (409, "stale_base")
    wrong = await as_.engineer.put("/kpis/lost_hours", json={**body, "base": 1, "formula": "planned_time - lost_hours"})
    assert (wrong.status_code, "circle" in wrong.json()["detail"]) == (422, True)
    bare = {"base": 1, "targets": [{"path": "", "value": 3}]}
    refused = await as_.engineer.put("/kpis/lost_hours/targets", json=bare)
    assert (refused.status_code, "say per what" in refused.json()["detail"]) == (422, True)
    rows = [{"path": "", "value": 3, "per": "shift"}, {"path": "hall/line1", "value": 2, "per": "day"}]
    targets = {"base": 1, "targets": rows}
    assert (await as_.engineer.put("/kpis/lost_hours/targets", json=targets)).json()["rev"] == 2
    twice = {"base": 2, "targets": [{"path": "", "value": 3}, {"path": "", "value": 2}]}
    assert (await as_.engineer.put("/kpis/lost_hours/targets", json=twice)).status_code == 422
    asked = {"name": ["lost_hours", "oee"], "by": "line", "under": "hall"}
    answer = (await as_.viewer.get("/kpis/values", params=asked)).json()
    line1, line2 = answer["rows"]
    told = line1["values"]["lost_hours"]
    assert told.pop("target") == pytest.approx(14)  # a week of it
    assert told == {"value": 3.0, "why": "", "met": True, "per": "day", "each": 2.0}
    assert line1["values"]["oee"]["value"] == pytest.approx(62.5)
    assert line2["values"]["oee"] == {
        "value": None,
        "why": "no planned time",
        "target": None,
        "met": None,
        "per": "",
        "each": None,
    }
    assert [k["unit"] for k in answer["kpis"]] == ["h", "%"]
    file = await as_.viewer.get("/kpis/values", params={**asked, "format": "csv"})
    assert file.text.splitlines()[0] == (
        "under,start,end,line,Lost hours (h),Lost hours target,OEE (%),OEE target,Running time that is not rated (s)"
    )
    assert (await as_.engineer.delete("/kpis/lost_hours", params={"base": 2})).status_code == 204
    assert (await as_.engineer.delete("/kpis/lost_hours", params={"base": 2})).json()["code"] == "unknown_kpi"
    records = (await as_.security.get("/audit", params={"target": "kpis/lost_hours"})).json()["records"]
    assert any("ideal_good_time" in str(r) for r in records)


async def test_what_is_refused(as_: Any, counted: None, works: Any) -> None:
    for params in ({}, {"name": "oee", "by": "moon"}, {"name": "oee", "start": "now", "end": "now-1d"}):
        assert (await as_.viewer.get("/kpis/values", params=params)).status_code == 422
    assert (await as_.viewer.get("/kpis/values", params={"name": "nothing"})).json()["code"] == "unknown_kpi"
    assert (await as_.viewer.get("/kpis/values", params={"name": "oee", "under": "nowhere"})).json()[
        "code"
    ] == "unknown_path"
    body = {"base": 0, "title": "x", "formula": "good"}
    for role in ("viewer", "operator", "maintainer"):
        assert (await getattr(as_, role).put("/kpis/x", json=body)).json()["code"] == "role_missing"
    own = await as_.engineer.put("/kpis/oee", json=body)
    assert (own.status_code, "its own" in own.json()["detail"]) == (422, True)
    assert (await as_.engineer.put("/kpis/nothing/targets", json={"base": 0, "targets": []})).status_code == 404
    works.services.production = None
    assert (await as_.viewer.get("/kpis/values", params={"name": "oee"})).json()["code"] == "no_production"


async def test_who_is_narrowed_sees_rows_of_his_part(works: Any, as_: Any, counted: None) -> None:
    token, _ = works.security.create_token("line", Role.VIEWER, "test", scope=Narrowed(under=("hall/line1",)))
    mine = {"headers": {"Authorization": f"Bearer {token}"}}
    rows = (await as_.nobody.get("/kpis/values", params={"name": "oee", "by": "line"}, **mine)).json()["rows"]
    assert [row["key"]["line"] for row in rows] == ["hall/line1"]
    assert (await as_.nobody.get("/kpis/values", params={"name": "oee"}, **mine)).status_code == 404

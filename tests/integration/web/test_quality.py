"""Quality over HTTP: who may plan, record, release; what is refused; charts as JSON and as files."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from isthmus.ports.production import Running
from isthmus.security.model import Role, Scope

pytestmark = [pytest.mark.real("uvicorn", "sqlite"), pytest.mark.mission("M58", "M28")]

FILLER = "hall/line1/filler"
WEIGHT = {
    "id": "weight", "title": "Fill weight", "unit": "g", "lsl": 490, "usl": 510, "center": 500, "sigma": 2,
    "rules": ["nelson1", "nelson2"], "on_fail": "hold", "on_signal": "nonconformance", "sampling": {"every_s": 600},
}  # fmt: skip


def plan(*characteristics: dict[str, Any], **more: Any) -> dict[str, Any]:
    given = {"id": "bottle", "title": "Bottle", "asset": FILLER, "base": 0, "reason": "new", "characteristics": list(characteristics or (WEIGHT,))}  # fmt: skip
    return {**given, **more}


class Orders:
    """What runs."""

    def running(self, asset: str) -> Running:
        return Running(asset, "J7", "op10", "cola", "L1")

    def ran(self, asset: str, at_ns: int) -> Running:
        return self.running(asset)

    async def pieces(self, asset: str, start_ns: int, end_ns: int) -> int:
        return 0


@pytest.fixture
async def planned(works: Any, as_: Any) -> Any:
    works.services.quality.executions = Orders()
    answer = await as_.engineer.post("/quality/plans", json=plan())
    assert answer.status_code == 200, answer.text
    return as_


async def measure(client: Any, *values: float, **more: Any) -> Any:
    return await client.post(
        "/quality/checks", json={"characteristic": "bottle.weight", "values": list(values), **more}
    )


async def test_from_plan_to_hold_to_release_to_closed(works: Any, planned: Any) -> None:
    operator, supervisor = planned.operator, planned.supervisor
    (owed,) = (await operator.get("/quality/due", params={"asset": FILLER})).json()["due"]
    assert (owed["is_due"], owed["why"], owed["order"], owed["lot"]) == (True, "first", "J7", "L1")
    good = await measure(operator, 500.5, due=owed["key"])
    assert good.status_code == 201
    assert (good.json()["check"]["passed"], good.json()["hold"]) == (True, None)
    twice = await measure(operator, 500.5, due=owed["key"])
    assert (twice.status_code, twice.json()["code"]) == (409, "conflict")
    bad = (await measure(operator, 511.0, comment="foam")).json()
    assert (bad["check"]["passed"], bad["check"]["lot"], bool(bad["hold"])) == (False, "L1", True)
    (hold,) = (await operator.get("/quality/holds", params={"state": "open"})).json()["holds"]
    release = {"base": hold["version"], "reason": "sorted by hand", "disposition": "rework"}
    assert (await operator.post(f"/quality/holds/{hold['id']}/release", json=release)).status_code == 403
    assert (
        await supervisor.post(f"/quality/holds/{hold['id']}/release", json=release | {"reason": " "})
    ).status_code == 422
    done = await supervisor.post(f"/quality/holds/{hold['id']}/release", json=release)
    assert (done.json()["state"], done.json()["released_by"]) == ("released", "supervisor")
    again = await supervisor.post(f"/quality/holds/{hold['id']}/release", json=release)
    assert (again.status_code, again.json()["code"]) == (409, "stale_base")
    number = bad["nonconformance"]
    action = {"nonconformance": number, "title": "Check the nozzle", "owner": "Max", "due": "2023-11-20"}
    made = (await operator.post("/quality/actions", json=action)).json()
    assert (made["state"], made["overdue"], made["due"]) == ("open", False, "2023-11-20T00:00:00.000Z")
    works.clock.advance(30 * 86_400)
    (late,) = (await operator.get("/quality/actions")).json()["actions"]
    assert late["overdue"]
    change = {"base": 1, "state": "done", "result": "cleaned"}
    assert (await operator.patch(f"/quality/actions/{made['id']}", json=change)).json()["state"] == "done"
    verify = {"base": 2, "state": "verified"}
    assert (await operator.patch(f"/quality/actions/{made['id']}", json=verify)).status_code == 403
    assert (await supervisor.patch(f"/quality/actions/{made['id']}", json=verify)).json()["verified_by"] == "supervisor"
    base = (await operator.get("/quality/nonconformances")).json()["nonconformances"][0]["version"]
    early = await supervisor.patch(f"/quality/nonconformances/{number}", json={"base": base, "state": "closed"})
    assert (early.status_code, early.json()["code"]) == (409, "wrong_state")
    close = {"base": base, "state": "closed", "cause": "worn nozzle", "disposition": "rework"}
    assert (await operator.patch(f"/quality/nonconformances/{number}", json=close)).status_code == 403
    closed = await supervisor.patch(f"/quality/nonconformances/{number}", json=close)
    assert (closed.json()["state"], closed.json()["closed_by"]) == ("closed", "supervisor")


async def test_a_chart_with_its_rules_limits_and_capability(planned: Any, works: Any) -> None:
    for value in [500.5] * 9 + [506.5]:
        works.clock.advance(60)
        assert (await measure(planned.operator, value)).status_code == 201
    chart = (await planned.viewer.get("/quality/charts/bottle.weight")).json()
    said = [p["signals"] for p in chart["points"]]
    assert said[:9] == [[]] * 8 + [["nelson2"]]
    assert said[9] == ["nelson1", "nelson2"]  # the moving range of 6 is within its limit of 7.37
    first, moving = chart["tracks"]
    assert (first["upper"][0], first["lower"][0], first["center"][0]) == (506, 494, 500)
    assert moving["value"][0] is None
    assert chart["capability"]["n"] == 10
    assert chart["capability"]["cp"]["low"] < chart["capability"]["cp"]["value"] < chart["capability"]["cp"]["high"]
    assert chart["charts"] == ["imr", "ewma", "cusum"]
    summed = (await planned.viewer.get("/quality/charts/bottle.weight", params={"chart": "cusum"})).json()
    assert [t["name"] for t in summed["tracks"]] == ["sum_above", "sum_below"]
    wrong = await planned.viewer.get("/quality/charts/bottle.weight", params={"chart": "p"})
    assert (wrong.status_code, "does not fit" in wrong.json()["detail"]) == (422, True)
    assert (await planned.viewer.get("/quality/charts/bottle.none")).status_code == 404
    backwards = await planned.viewer.get("/quality/charts/bottle.weight", params={"start": "now", "end": "now-1d"})
    assert backwards.status_code == 422
    text = (await planned.viewer.get("/quality/charts/bottle.weight", params={"format": "csv"})).text
    assert text.splitlines()[0].startswith("time,check,individual,individual_center")
    assert len(text.splitlines()) == 11
    now = (await planned.viewer.get("/quality/characteristics")).json()
    assert (now["characteristics"][0]["state"], now["open"]["Nonconformance"]) == ("signal", 1)


@pytest.mark.parametrize(
    "path", ["plans", "due", "characteristics", "charts/bottle.weight", "holds", "nonconformances", "actions"]
)
async def test_every_table_leaves_as_a_workbook(planned: Any, path: str) -> None:
    await measure(planned.operator, 520.0)
    answer = await planned.viewer.get(f"/quality/{path}", params={"format": "xlsx"})
    assert answer.status_code == 200
    assert answer.content[:2] == b"PK"


async def test_plans_are_versions_and_wrong_ones_are_refused_whole(planned: Any) -> None:
    wrong = await planned.engineer.post("/quality/plans", json=plan(WEIGHT | {"lsl": 600}, WEIGHT, id="other"))
    assert (wrong.status_code, wrong.json()["code"]) == (422, "findings")
    assert {e["path"] for e in wrong.json()["errors"]} == {"characteristics.0.lsl", "characteristics.1.id"}
    stale = await planned.engineer.post("/quality/plans", json=plan())
    assert (stale.status_code, stale.json()["code"]) == (409, "stale_base")
    assert (await planned.operator.post("/quality/plans", json=plan(id="x"))).status_code == 403
    assert (await planned.engineer.post("/quality/plans", json=plan(id="x", asset="hall/none"))).status_code == 422
    assert (await planned.engineer.post("/quality/plans", json=plan(base=1, active=False))).json()["version"] == 2
    (one,) = (await planned.viewer.get("/quality/plans", params={"under": "hall"})).json()["plans"]
    assert (one["version"], one["active"], one["changed_by"]) == (2, False, "engineer")
    assert one["characteristics"][0]["sampling"]["every_s"] == 600
    gone = await measure(planned.operator, 500)
    assert (gone.status_code, gone.json()["code"]) == (409, "wrong_state")


async def test_limits_are_set_on_what_is_in_force(planned: Any) -> None:
    (now,) = (await planned.viewer.get("/quality/characteristics")).json()["characteristics"]
    path = "/quality/characteristics/bottle.weight/limits"
    asked = {"center": 501, "sigma": 1.5, "base": now["limits"]["id"], "reason": "after the repair"}
    assert (await planned.operator.post(path, json=asked)).status_code == 403
    done = (await planned.engineer.post(path, json=asked)).json()
    assert (done["limits"]["center"], done["limits"]["by"]) == (501, "engineer")
    assert (await planned.engineer.post(path, json=asked)).status_code == 409
    anew = {"base": done["limits"]["id"], "reason": "learn"}
    assert (await planned.engineer.post(path, json=anew)).json()["limits"] is None
    unknown = await planned.engineer.post("/quality/characteristics/x.y/limits", json=anew)
    assert unknown.status_code == 404


async def test_a_wrong_entry_is_voided_by_who_may_correct(planned: Any) -> None:
    check = (await measure(planned.operator, 50.0)).json()["check"]["id"]
    path = f"/quality/checks/{check}/void"
    assert (await planned.operator.post(path, json={"reason": "typo"})).status_code == 403
    assert (await planned.supervisor.post(path, json={"reason": "typo"})).json()["void_by"] == "supervisor"
    assert (await planned.supervisor.post(path, json={"reason": "typo"})).status_code == 409
    assert (await planned.supervisor.post("/quality/checks/99/void", json={"reason": "typo"})).status_code == 404


async def test_what_is_entered_is_taken_whole_or_refused_whole(planned: Any) -> None:
    for given in ({"values": []}, {"values": [1, 2]}, {"values": ["x"]}, {"time": "2099-01-01T00:00:00Z"}):  # fmt: skip
        answer = await planned.operator.post(
            "/quality/checks", json={"characteristic": "bottle.weight", "values": [500], **given}
        )
        assert answer.status_code == 422, given
    assert (
        await planned.operator.post("/quality/checks", json={"characteristic": "a.b", "values": [1]})
    ).status_code == 404
    endless = '{"characteristic": "bottle.weight", "values": [1e400]}'
    raw = await planned.operator.post("/quality/checks", content=endless, headers={"content-type": "application/json"})
    assert raw.status_code == 422
    assert (await planned.viewer.get("/quality/charts/bottle.weight")).json()["points"] == []


async def test_holds_and_nonconformances_by_hand(planned: Any) -> None:
    hold = {"asset": FILLER, "lot": "L5", "reason": "glass"}
    made = await planned.operator.post("/quality/holds", json=hold)
    assert (made.status_code, made.json()["opened_by"]) == (201, "operator")
    assert (await planned.operator.post("/quality/holds", json=hold)).status_code == 409
    assert (await planned.operator.post("/quality/holds", json=hold | {"nonconformance": 77})).status_code == 404
    assert (await planned.viewer.post("/quality/holds", json=hold | {"lot": "L6"})).status_code == 403
    found = {"title": "Oil on the belt", "asset": FILLER, "severity": "critical", "due": "2023-11-30"}
    made = (await planned.operator.post("/quality/nonconformances", json=found)).json()
    assert (made["state"], made["lot"], made["due"]) == ("open", "L1", "2023-11-30T00:00:00.000Z")
    assert (await planned.operator.patch("/quality/nonconformances/99", json={"base": 1})).status_code == 404
    assert (await planned.operator.patch("/quality/actions/99", json={"base": 1})).status_code == 404


async def test_who_is_narrowed_sees_and_touches_an_own_part_only(works: Any, planned: Any, port: int) -> None:
    token = works.security.create_token("line 2", Role.SUPERVISOR, "test", scope=Scope(under=("hall/line2",)))[0]
    await measure(planned.operator, 520.0)
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}/api/v1", headers=headers, trust_env=False, verify=False
    ) as there:
        assert (await there.get("/quality/characteristics")).json() == {"characteristics": [], "open": {}}
        for path, name in (
            ("plans", "plans"),
            ("due", "due"),
            ("holds", "holds"),
            ("nonconformances", "nonconformances"),
        ):
            assert (await there.get(f"/quality/{path}")).json()[name] == []
        assert (await there.get("/quality/charts/bottle.weight")).status_code == 404
        assert (await measure(there, 500)).status_code == 404
        release = {"base": 1, "reason": "x", "disposition": "scrap"}
        assert (await there.post("/quality/holds/1/release", json=release)).status_code == 404


async def test_without_the_room_nothing_is_served(works: Any, as_: Any) -> None:
    works.services.quality = None
    answer = await as_.viewer.get("/quality/plans")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_quality")

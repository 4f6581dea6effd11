"""Calendars over HTTP: what holds where, exceptions with who may make them, conflicts and the audit trail."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from isthmus.namespace.model import Calendar, Shift
from isthmus.security.model import Role
from isthmus.security.model import Scope as Narrowed

pytestmark = [pytest.mark.real("uvicorn", "sqlite"), pytest.mark.mission("M13", "M50")]

DAY = Shift("day", (0, 1, 2, 3, 4, 5), 480, 960, ((720, 750, "lunch"),), ("A", "B"))
LINE = "hall/line1"


class Told:
    """Stands for the room production: keeps what it is told."""

    def __init__(self) -> None:
        self.changed: list[str] = []

    async def calendar_changed(self, area: str, start_ns: int, end_ns: int) -> None:
        assert 0 < start_ns < end_ns
        self.changed.append(area)


@pytest.fixture
def told(works: Any) -> Told:
    plant = works.namespace.plant
    works.namespace.plant = replace(plant, timezone="Europe/Paris", calendars=(Calendar("hall", (DAY,)),))
    works.live.describe(works.namespace.plant)
    works.services.production = Told()
    return works.services.production


WEEK = {"path": LINE, "start": "2023-11-13T00:00", "end": "2023-11-20T00:00"}


async def test_a_week_of_a_line(as_: Any, told: Told) -> None:
    answer = (await as_.viewer.get("/calendar", params=WEEK)).json()
    assert (answer["declared_at"], answer["timezone"], answer["day_start"]) == ("hall", "Europe/Paris", "00:00")
    assert (answer["start"], len(answer["shifts"]), answer["planned_s"]) == (
        "2023-11-12T23:00:00.000Z",
        6,
        6 * 7.5 * 3600,
    )
    assert answer["shifts"][0]["start"] == "2023-11-13T07:00:00.000Z"
    assert {p["kind"] for p in answer["pieces"]} == {"run", "break", "off"}
    assert answer["rules"][0] == {
        "name": "day", "days": ["mon", "tue", "wed", "thu", "fri", "sat"], "start": "08:00", "end": "16:00",
        "breaks": [{"start": "12:00", "end": "12:30", "name": "lunch"}], "crews": ["A", "B"], "turn_weeks": 1,
    }  # fmt: skip
    assert (answer["may"], answer["paths"]) == (False, ["hall"])
    file = await as_.viewer.get("/calendar", params={**WEEK, "format": "csv"})
    assert file.headers["content-type"].startswith("text/csv")
    assert file.text.splitlines()[0] == "start,end,day,kind,name,shift,crew"
    for wrong in (
        {"path": "nowhere"},
        {"path": LINE, "start": "2023-11-13", "end": "2023-11-12"},
        {"start": "2023-13-01T00:00"},
    ):
        assert (await as_.viewer.get("/calendar", params=wrong)).status_code in (404, 422)
    wide = {"path": LINE, "start": "2020-01-01", "end": "2023-01-01"}
    assert "400 days" in (await as_.viewer.get("/calendar", params=wide)).json()["detail"]


SUNDAY = {"path": LINE, "kind": "shift", "start": "2023-11-19T06:00", "end": "2023-11-19T12:00", "name": "extra", "crew": "B", "reason": "late order"}  # fmt: skip


async def test_an_exception_is_made_seen_recorded_and_withdrawn(as_: Any, told: Told) -> None:
    made = await as_.supervisor.post("/calendar/exceptions", json=SUNDAY)
    assert made.status_code == 201
    one = made.json()
    assert (one["id"], one["start"], one["crew"], one["may"]) == (1, "2023-11-19T05:00:00.000Z", "B", True)
    assert told.changed == [LINE]
    week = (await as_.viewer.get("/calendar", params=WEEK)).json()
    assert [s["shift"] for s in week["shifts"]][-1] == "extra"
    assert [(e["id"], e["may"]) for e in week["exceptions"]] == [(1, False)]
    again = await as_.engineer.post("/calendar/exceptions", json={**SUNDAY, "kind": "closed", "path": "hall", "crew": ""})
    assert again.status_code == 201
    same = await as_.engineer.post("/calendar/exceptions", json={**SUNDAY, "end": "2023-11-19T13:00"})
    assert (same.status_code, same.json()["code"]) == (409, "conflict")
    assert "exception 1" in same.json()["detail"]
    gone = await as_.supervisor.delete("/calendar/exceptions/1")
    assert gone.status_code == 200
    assert gone.json()["withdrawn_by"]
    second = await as_.engineer.delete("/calendar/exceptions/1")
    assert (second.status_code, second.json()["code"]) == (409, "wrong_state")
    assert (await as_.engineer.delete("/calendar/exceptions/77")).json()["code"] == "unknown_exception"
    listed = (await as_.viewer.get("/calendar/exceptions", params={**WEEK, "path": "hall"})).json()["exceptions"]
    assert [(e["id"], e["withdrawn_at"] is not None) for e in listed] == [(1, True), (2, False)]
    records = (await as_.security.get("/audit", params={"target": "calendar/exceptions"})).json()["records"]
    outcomes = [r for r in records if r.get("result")]
    assert any("late order" in str(r) for r in records)
    assert any("refused 409 conflict" in r["result"] for r in outcomes)


async def test_an_overlapping_shift_and_bad_input_are_refused(as_: Any, told: Told) -> None:
    monday = {**SUNDAY, "start": "2023-11-20T15:00", "end": "2023-11-20T20:00"}
    found = await as_.supervisor.post("/calendar/exceptions", json=monday)
    assert (found.status_code, found.json()["code"]) == (409, "conflict")
    assert "overlaps with the shift day" in found.json()["detail"]
    for wrong in (
        {"start": "2023-11-19T12:00", "end": "2023-11-19T06:00"},
        {"end": "2023-11-25T06:00"},
        {"kind": "crew", "crew": ""},
        {"kind": "party"},
        {"start": "1970-01-01T00:00"},
        {"name": "two words"},
    ):
        assert (await as_.supervisor.post("/calendar/exceptions", json=SUNDAY | wrong)).status_code == 422, wrong
    assert (await as_.supervisor.post("/calendar/exceptions", json=SUNDAY | {"path": "nowhere"})).status_code == 404
    for role in ("viewer", "operator", "maintainer"):
        refused = await getattr(as_, role).post("/calendar/exceptions", json=SUNDAY)
        assert (refused.status_code, refused.json()["code"]) == (403, "role_missing")
    assert told.changed == []


async def test_who_is_narrowed_plans_his_own_part_only(works: Any, as_: Any, told: Told) -> None:
    token, _ = works.security.create_token("line", Role.SUPERVISOR, "test", scope=Narrowed(under=(LINE,)))
    mine = {"headers": {"Authorization": f"Bearer {token}"}}
    assert (await as_.nobody.post("/calendar/exceptions", json=SUNDAY, **mine)).status_code == 201
    assert (await as_.nobody.post("/calendar/exceptions", json={**SUNDAY, "path": "hall"}, **mine)).status_code in (
        403,
        404,
    )
    assert (await as_.nobody.get("/calendar", params={**WEEK, "path": "hall"}, **mine)).status_code == 404
    assert (await as_.nobody.get("/calendar", params=WEEK, **mine)).status_code == 200
    await as_.supervisor.post(
        "/calendar/exceptions", json={**SUNDAY, "path": "hall", "kind": "closed", "crew": "", "name": "secret"}
    )
    assert "secret" not in (await as_.nobody.get("/calendar/exceptions", params={"start": "2023-11-01"}, **mine)).text

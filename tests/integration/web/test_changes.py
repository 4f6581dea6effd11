"""Change control and owners over HTTP, with a real plant behind it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from isthmus.app.local import call
from isthmus.security.model import Role
from isthmus.values.errors import Denied
from isthmus.web.api import create_app
from isthmus.web.doors import LocalDoor
from isthmus.web.server import running

pytestmark = pytest.mark.real("uvicorn")


@pytest.fixture
async def people(controlled: Any, port: int) -> Any:
    """Browsers of people who signed in: an engineer and a supervisor."""
    found = {}
    for name, role in (("Eva", Role.ENGINEER), ("Sam", Role.SUPERVISOR), ("Root", Role.ADMIN)):
        controlled.security.create_user(name, role)
        headers = {"X-Isthmus": "1", "Origin": f"http://127.0.0.1:{port}"}
        browser = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}/api/v1", headers=headers, trust_env=False, verify=False
        )
        await browser.post("/session/link", json={"link": controlled.security.create_link(name)})
        found[name] = browser
    yield found
    await asyncio.gather(*(browser.aclose() for browser in found.values()))


def edited(works: Any, host: str) -> dict[str, Any]:
    text = works.services.namespace.export().replace(host, host + "9")
    return {"text": text, "base": works.services.namespace.current().version, "reason": "new address"}


@pytest.mark.mission("M86")
async def test_from_plan_to_applied_by_two_people(controlled: Any, people: Any, as_: Any) -> None:
    eva, sam = people["Eva"], people["Sam"]
    body = edited(controlled, "10.0.0.1")
    planned = (await eva.post("/plant/plan", json={"text": body["text"]})).json()["control"]
    assert (planned["zones"], planned["reason_required"], planned["approvals"]) == (["line1"], True, 1)
    assert [o["code"] for o in planned["obstacles"]] == ["approval_needed"]
    refused = await eva.post("/plant/apply", json=body)
    assert (refused.status_code, refused.json()["code"]) == (409, "approval_needed")
    assert "change_control 'line1'" in refused.json()["detail"]
    silent = await eva.post("/plant/changes", json={**body, "reason": ""})
    assert (silent.status_code, silent.json()["code"]) == (422, "reason_needed")
    made = await eva.post("/plant/changes", json=body)
    assert made.status_code == 201
    number = made.json()["id"]
    assert made.json()["own"]
    early = await eva.post(f"/plant/changes/{number}/apply", json={})
    assert (early.status_code, early.json()["code"]) == (409, "approval_needed")
    assert (await eva.post(f"/plant/changes/{number}/approve", json={})).json()["code"] == "role_missing"
    assert (await as_.supervisor.post(f"/plant/changes/{number}/approve", json={})).json()["code"] == "needs_session"
    approved = await sam.post(f"/plant/changes/{number}/approve", json={"reason": "seen"})
    assert (approved.json()["state"], approved.json()["decided_by"], approved.json()["own"]) == (
        "approved",
        "Sam",
        False,
    )
    assert approved.json()["obstacles"] == []
    assert approved.json()["may"] == ["reject"]
    seen = {name: (await people[name].get(f"/plant/changes/{number}")).json()["may"] for name in people}
    assert seen == {"Eva": ["withdraw", "apply"], "Sam": ["reject"], "Root": ["reject", "apply"]}
    assert (await eva.post(f"/plant/changes/{number}/apply", json={})).json() == {"version": 2}
    assert controlled.applied == [2]
    found = (await as_.viewer.get("/plant/changes", params={"state": "applied"})).json()["changes"]
    assert [(c["id"], c["version"], c["author"]) for c in found] == [(number, 2, "Eva")]
    detail = (await as_.viewer.get(f"/plant/changes/{number}")).json()
    assert detail["changes"] == [
        {"action": "change", "what": "connection", "path": "plc1", "detail": "settings (host: 10.0.0.1 → 10.0.0.19)"}
    ]
    again = await eva.post(f"/plant/changes/{number}/withdraw")
    assert (again.status_code, again.json()["code"]) == (409, "wrong_state")


@pytest.mark.mission("M86")
async def test_nobody_approves_their_own_nor_through_a_token_of_theirs(controlled: Any, people: Any, as_: Any) -> None:
    root = people["Root"]
    mine = (await root.post("/plant/changes", json=edited(controlled, "10.0.0.1"))).json()["id"]
    answer = await root.post(f"/plant/changes/{mine}/approve", json={})
    assert (answer.status_code, answer.json()["code"]) == (403, "same_person")
    token = (await root.post("/tokens", json={"name": "deploy", "role": "engineer"})).json()["token"]
    program = {"Authorization": f"Bearer {token}"}
    made = await as_.nobody.post("/plant/changes", json=edited(controlled, "10.0.0.1"), headers=program)
    answer = await root.post(f"/plant/changes/{made.json()['id']}/approve", json={})
    assert answer.json()["code"] == "same_person"


@pytest.mark.mission("M86")
async def test_the_window_is_looked_at_when_it_is_applied(controlled: Any, people: Any) -> None:
    body = edited(controlled, "10.0.0.2")
    refused = await people["Eva"].post("/plant/apply", json=body)  # it is a Tuesday
    assert (refused.status_code, refused.json()["code"]) == (409, "window_closed")
    made = (await people["Eva"].post("/plant/changes", json=body)).json()
    assert made["obstacles"][0]["opens"] == "2023-11-15T00:00:00.000Z"
    controlled.clock.advance(2 * 3600)
    assert (await people["Eva"].get(f"/plant/changes/{made['id']}")).json()["obstacles"] == []
    assert (await people["Eva"].post(f"/plant/changes/{made['id']}/apply", json={})).status_code == 200


async def test_rejected_stale_and_unknown(controlled: Any, people: Any) -> None:
    eva, sam = people["Eva"], people["Sam"]
    first = (await eva.post("/plant/changes", json=edited(controlled, "10.0.0.1"))).json()["id"]
    second = (await eva.post("/plant/changes", json=edited(controlled, "10.0.0.1"))).json()["id"]
    assert (await sam.post(f"/plant/changes/{first}/reject", json={"reason": ""})).status_code == 422
    assert (await sam.post(f"/plant/changes/{first}/reject", json={"reason": "later"})).json()["state"] == "rejected"
    harmless = {"text": controlled.services.namespace.export() + "# x\n", "base": 1, "reason": ""}
    assert (await eva.post("/plant/apply", json=harmless)).json() == {"version": 2}
    assert (await eva.get(f"/plant/changes/{second}")).json()["state"] == "stale"
    for verb in ("approve", "reject", "withdraw", "apply"):
        answer = await people["Root"].post(f"/plant/changes/4711/{verb}", json={"reason": "x"})
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_change")
    controlled.services.changes = None
    assert (await eva.get("/plant/changes")).json()["code"] == "no_changes"


@pytest.mark.mission("M86")
async def test_an_emergency_only_on_the_machine_itself(controlled: Any, people: Any, tmp_path: Path) -> None:
    body = {**edited(controlled, "10.0.0.1"), "emergency": "line is down"}
    for path in ("/plant/apply", "/plant/changes/1/apply"):
        answer = await people["Root"].post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "local_only")
    (tmp_path / "run").mkdir(mode=0o700)
    async with running(LocalDoor(create_app(controlled.services)), local=tmp_path / "run" / "core.sock"):
        plain = {**body, "emergency": ""}
        with pytest.raises(Denied, match="approval"):
            await asyncio.to_thread(call, tmp_path, "POST", "plant/apply", plain)
        assert await asyncio.to_thread(call, tmp_path, "POST", "plant/apply", body) == {"version": 2}
    assert controlled.services.namespace.version(2).reason.startswith("EMERGENCY")


@pytest.mark.mission("M90", "M79")
async def test_owners_gaps_and_reviews_that_are_due(controlled: Any, as_: Any) -> None:
    found = (await as_.viewer.get("/owners")).json()
    assert {(o["kind"], o["path"]): (o["owner"], o["source"]) for o in found["owners"]} == {
        ("asset", "hall"): (["Ana", "Shift A"], "hall"),
        ("asset", "hall/p1"): (["Ana", "Shift A"], "hall"),
        ("asset", "yard/p2"): ([], ""),
        ("connection", "plc1"): (["Automation"], "plc1"),
        ("connection", "plc2"): ([], ""),
    }
    assert [o["path"] for o in found["gaps"]] == ["yard/p2", "plc2"]
    # it is 14 November, 23:13 in Paris
    assert [(c["connection"], c["due"]) for c in found["compensations"]] == [("plc1", True), ("plc2", False)]

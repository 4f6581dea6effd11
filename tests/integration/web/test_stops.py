"""Stops, calls for help and actions over HTTP: who may, what is refused, what the audit trail says."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "unit" / "production" / "stops"))
from line import CAPPER, FILLER, LABELLER, T0, floor
from settled import settled

from isthmus.security.audit.search import Question
from isthmus.security.model import Role, Scope
from isthmus.web.times import iso

pytestmark = [pytest.mark.real("uvicorn", "sqlite"), pytest.mark.mission("M51")]
ALL = {"start": iso(T0 - 86_400 * 10**9), "end": iso(T0 + 86_400 * 10**9)}


@pytest.fixture
async def hall(works: Any, tmp_path: Path) -> Any:
    (tmp_path / "floor").mkdir()
    async with floor(tmp_path / "floor") as made:
        works.services.stops, works.services.clock = made.room, made.clock
        works.namespace.plant = made.plant
        works.live.describe(made.plant)
        yield made


async def trail(works: Any, action: str) -> dict[str, Any]:
    """The outcome of the newest of an action that says what it changed."""
    await settled(works.services.audit)
    found = (await asyncio.to_thread(works.services.audit.search, Question(limit=200)))[0].records
    return next(r for r in found if action in str(r.get("action", "")) and r.get("old") and r.get("new"))


async def stops_of(client: Any, asset: str) -> list[dict[str, Any]]:
    found = (await client.get("production/stops", params={**ALL, "under": asset})).json()["stops"]
    return sorted(found, key=lambda stop: str(stop["start"]))


async def test_stops_are_listed_coded_and_recoded(works: Any, hall: Any, as_: Any) -> None:
    found = (await as_.viewer.get("production/stops", params=ALL)).json()
    assert (found["asking"], found["total"]) == (2, 6)
    assert [stop["asks"] for stop in found["stops"][:3]] == [True, True, False]
    cause = next(stop["cause"] for stop in found["stops"] if stop["asset"] == LABELLER)
    assert (cause["kind"], cause["asset"], cause["path"]) == ("machine", FILLER, [FILLER, CAPPER, LABELLER])
    first = (await stops_of(as_.viewer, FILLER))[0]
    assert (first["s"], first["state_class"], first["base"], first["reason"]) == (300.0, "stopped", 0, "")
    asked = {"stop": first["id"], "reason": "mechanical/jam", "comment": "star wheel"}
    assert (await as_.viewer.post("production/stops/code", json=asked)).status_code == 403
    done = await as_.operator.post("production/stops/code", json=asked)
    assert done.status_code == 200, done.text
    now = done.json()["stops"][0]
    assert (now["reason"], now["text"], now["by"], now["comment"]) == (
        "mechanical/jam",
        "Bottle jam",
        "operator",
        "star wheel",
    )
    late = await as_.maintainer.post("production/stops/code", json={**asked, "reason": "mechanical/drive"})
    assert (late.status_code, late.json()["code"]) == (409, "stale_base")
    assert "operator coded stop" in late.json()["detail"]
    assert "Bottle jam" in late.json()["detail"]
    other = {"stop": first["id"], "reason": "mechanical/drive", "base": now["base"]}
    assert (await as_.maintainer.post("production/stops/code", json=other)).json()["code"] == "role_missing"
    assert (await as_.supervisor.post("production/stops/code", json=other)).status_code == 200
    history = (await as_.viewer.get("production/stops/history", params={"stop": first["id"]})).json()["entries"]
    assert [(e["by"], e["reason"], e["replaces"]) for e in history] == [
        ("operator", "mechanical/jam", None), ("supervisor", "mechanical/drive", now["base"]),
    ]  # fmt: skip
    record = await trail(works, "production/stops/code")
    assert (record["old"]["reason"], record["new"]["reason"]) == ("mechanical/jam", "mechanical/drive")


async def test_what_does_not_fit_is_refused(hall: Any, as_: Any) -> None:
    first = (await stops_of(as_.viewer, FILLER))[0]["id"]
    for body, code in (
        ({"stop": first, "reason": "x/y"}, 422), ({"stop": "nowhere@5", "reason": "mechanical/jam"}, 404),
        ({"stop": f"{FILLER}@7", "reason": "mechanical/jam"}, 404), ({"stop": first, "reason": "scrap/dent"}, 422),
        ({"stop": first}, 422), ({"stop": first, "reason": ""}, 422),
    ):  # fmt: skip
        answer = await as_.operator.post("production/stops/code", json=body)
        assert answer.status_code == code, answer.text
    assert (await as_.viewer.get("production/stops", params={"start": "now-32d"})).status_code == 422
    assert (await as_.viewer.get("production/stops", params={"start": "now", "end": "now-1d"})).status_code == 422
    assert (await as_.viewer.get("production/stops/history", params={"stop": "x"})).status_code == 404


async def test_split_and_merge_need_the_right_to_correct(hall: Any, as_: Any) -> None:
    first, second = (await stops_of(as_.viewer, FILLER))[:2]
    split = {"stop": first["id"], "at": iso(T0 + 700 * 10**9)}
    assert (await as_.operator.post("production/stops/split", json=split)).status_code == 403
    assert (await as_.supervisor.post("production/stops/split", json={**split, "at": iso(T0)})).status_code == 422
    parts = (await as_.supervisor.post("production/stops/split", json=split)).json()["stops"]
    assert [part["s"] for part in parts] == [100.0, 200.0]
    merge = {"stops": [*(part["id"] for part in parts), second["id"]]}
    assert (await as_.maintainer.post("production/stops/merge", json=merge)).status_code == 403
    merged = (await as_.supervisor.post("production/stops/merge", json=merge)).json()["stops"]
    assert [stop["s"] for stop in merged] == [500.0]
    assert (await as_.supervisor.post("production/stops/merge", json=merge)).status_code == 404


async def test_reasons_causes_and_the_timeline(hall: Any, as_: Any) -> None:
    reasons = (await as_.viewer.get("production/reasons", params={"asset": FILLER})).json()["reasons"]
    assert [r["key"] for r in reasons] == ["mechanical/jam", "mechanical/drive", "material/labels", "planned/clean"]
    assert [r["key"] for r in (await as_.viewer.get("production/reasons?kind=scrap")).json()["reasons"]] == [
        "scrap/dent"
    ]
    causes = (await as_.viewer.get("production/stops/causes", params=ALL)).json()["causes"]
    assert [(row["asset"], row["stops"], row["s"]) for row in causes] == [(FILLER, 2, 300.0)]
    picture = (await as_.viewer.get("production/stops/timeline", params=ALL)).json()
    assert [machine["asset"] for machine in picture["machines"]] == [FILLER, CAPPER, LABELLER]
    assert "starved" in {span["state_class"] for span in picture["machines"][2]["spans"]}


async def test_tables_leave_as_files(hall: Any, as_: Any) -> None:
    for path in (
        "production/stops",
        "production/stops/causes",
        "production/reasons",
        "production/requests",
        "production/actions",
    ):
        params = ALL if "stops" in path else {}
        book = await as_.viewer.get(path, params={**params, "format": "xlsx"})
        assert (book.status_code, book.content[:2]) == (200, b"PK"), path
        text = await as_.viewer.get(path, params={**params, "format": "csv"})
        assert text.headers["content-type"].startswith("text/csv")
    assert "mechanical/jam" in (await as_.viewer.get("production/reasons?format=csv")).text


async def test_a_call_is_taken_up_answered_and_closed(works: Any, hall: Any, as_: Any) -> None:
    stop = (await stops_of(as_.viewer, LABELLER))[0]
    asked = {"asset": LABELLER, "kind": "maintenance", "stop": stop["id"], "text": "again"}
    assert (await as_.viewer.post("production/requests", json=asked)).status_code == 403
    made = await as_.operator.post("production/requests", json=asked)
    assert made.status_code == 201, made.text
    call = made.json()
    assert (call["state"], call["version"], call["evidence"]["start"]) == ("open", 1, stop["start"])
    assert FILLER in call["evidence"]["text"]
    again = await as_.supervisor.post("production/requests", json=asked)
    assert (again.status_code, again.json()["id"]) == (200, call["id"])
    assert (await as_.operator.post("production/requests", json={"asset": "nowhere"})).status_code == 422
    hall.clock.advance(120)
    path = f"production/requests/{call['id']}"
    taken = (await as_.maintainer.post(f"{path}/acknowledge", json={"base": 1})).json()
    assert (taken["state"], taken["acknowledged_by"], taken["response_s"]) == ("acknowledged", "maintainer", 120.0)
    stale = await as_.operator.post(f"{path}/close", json={"base": 1, "text": "x"})
    assert (stale.status_code, stale.json()["code"]) == (409, "stale_base")
    hall.clock.advance(300)
    assert (await as_.maintainer.post(f"{path}/answer", json={"base": 2})).status_code == 422
    answered = (await as_.maintainer.post(f"{path}/answer", json={"base": 2, "text": "rail set"})).json()
    assert (answered["state"], answered["repair_s"]) == ("answered", 300.0)
    assert (await as_.operator.post(f"{path}/close", json={"base": 3})).json()["state"] == "closed"
    assert (await as_.operator.post(f"{path}/close", json={"base": 4})).json()["code"] == "wrong_state"
    assert (await as_.operator.post("production/requests/999/close", json={"base": 1})).status_code == 404
    assert (await as_.viewer.get("production/requests")).json()["requests"] == []
    told = (await as_.viewer.get("production/requests", params={"start": "now-1d"})).json()
    assert (told["times"]["asked"], told["times"]["response_median_s"]) == (1, 120.0)
    record = await trail(works, "acknowledge")
    assert (record["old"]["state"], record["new"]["state"]) == ("open", "acknowledged")


async def test_actions_have_an_owner_and_nobody_types_a_result(works: Any, hall: Any, as_: Any) -> None:
    asked = {
        "title": "New rail",
        "loss_by": "reason",
        "loss_key": "mechanical/jam",
        "owner": "Ana",
        "due": "2023-12-01",
        "expected_min": 30,
    }
    assert (await as_.operator.post("production/actions", json=asked)).status_code == 403
    made = await as_.engineer.post("production/actions", json=asked)
    assert made.status_code == 201, made.text
    assert (made.json()["loss_text"], made.json()["state"]) == ("Bottle jam", "open")
    assert (await as_.engineer.post("production/actions", json={**asked, "under": "nowhere"})).status_code == 422
    assert (await as_.engineer.post("production/actions", json={**asked, "due": "soon"})).status_code == 422
    path = f"production/actions/{made.json()['id']}"
    done = (await as_.supervisor.patch(path, json={"base": 1, "state": "done", "verified": {"saved_min": 999}})).json()
    assert (done["state"], done["verified"]) == ("done", None)
    effect = (await as_.viewer.get(f"{path}/effect")).json()
    assert (effect["saved_min"], effect["why"]) == (None, "before it there are less than 3 days with planned time")
    refused = await as_.supervisor.patch(path, json={"base": 2, "state": "verified"})
    assert (refused.status_code, "cannot be verified" in refused.text) == (422, True)
    assert (await as_.supervisor.patch(path, json={"base": 1, "title": "x"})).status_code == 409
    assert (await as_.supervisor.patch("production/actions/99", json={"base": 1})).status_code == 404
    assert (await as_.viewer.get("production/actions/99/effect")).status_code == 404
    record = await trail(works, "PATCH production/actions")
    assert (record["old"]["state"], record["new"]["state"]) == ("open", "done")


async def test_who_is_narrowed_to_a_part_sees_and_codes_no_more(works: Any, hall: Any, as_: Any) -> None:
    first = (await stops_of(as_.viewer, FILLER))[0]
    token = works.security.create_token("tablet", Role.OPERATOR, "test", scope=Scope(under=(LABELLER,)))[0]
    as_.nobody.headers["Authorization"] = f"Bearer {token}"
    seen = (await as_.nobody.get("production/stops", params=ALL)).json()
    assert {stop["asset"] for stop in seen["stops"]} == {LABELLER}
    assert FILLER not in str(seen)
    asked = {"stop": first["id"], "reason": "mechanical/jam"}
    assert (await as_.nobody.post("production/stops/code", json=asked)).status_code == 404
    assert (await as_.nobody.get("production/stops/history", params={"stop": first["id"]})).status_code == 404
    assert (await as_.nobody.post("production/requests", json={"asset": FILLER})).status_code == 404
    assert (await as_.nobody.post("production/requests", json={"asset": LABELLER, "title": "Help"})).status_code == 201


async def test_without_production_there_is_a_reason(as_: Any) -> None:
    answer = await as_.viewer.get("production/stops")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_production")

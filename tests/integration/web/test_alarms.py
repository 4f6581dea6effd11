"""Alarms over HTTP: who sees and does what, what is recorded of it, the journal, performance and rationalisation."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fake_alarms import NOW, Alarm, Definition, Entry, FakeDesk, Occurrence, Spec, alarm_at
from settled import settled
from websockets.asyncio.client import connect

from isthmus.namespace.control import Consent
from isthmus.namespace.model import OwnRole
from isthmus.security.audit.search import Question
from isthmus.security.model import Scope
from isthmus.values.clock import NS_PER_S
from isthmus.values.messages.alarms import AlarmChange, State

SPEED, SPEED2 = "hall/line1/filler/speed", "hall/line2/filler/speed"
pytestmark = [pytest.mark.real("uvicorn"), pytest.mark.mission("M24")]


@pytest.fixture
def desk(works: Any) -> FakeDesk:
    made = FakeDesk(
        alarm_at(SPEED, "high_high", 1, priority="critical", raised_ns=NOW - 9 * NS_PER_S),
        alarm_at(SPEED, "high", 2, priority="high", state=State.ACKNOWLEDGED, by="ana", raised_ns=NOW - 5 * NS_PER_S),
        alarm_at(SPEED2, "high", 3, priority="low", raised_ns=NOW - NS_PER_S),
        alarm_at(SPEED2, "low", 4, state=State.LATCHED, latched=True),
        alarm_at(SPEED2, "rate", 5, state=State.SHELVED, shelved_until_ns=NOW + 60 * NS_PER_S, reason="cleaning"),
        alarm_at(SPEED2, "quality", 6, state=State.SUPPRESSED_BY_DESIGN),
        alarm_at(SPEED2, "low_low", 7, state=State.RETURNED_UNACKNOWLEDGED),
    )
    works.services.alarms = made
    return made


@asynccontextmanager
async def narrowed(works: Any, port: int, role: str = "operator") -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who sees line 1 only."""
    token, _ = works.security.create_token(f"{role}1", role, "test", scope=Scope(under=("hall/line1",)))
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}/api/v1", headers=headers, trust_env=False, verify=False
    ) as client:
        yield client


async def trail(works: Any, action: str) -> dict[str, Any]:
    """The last outcome of an action that was carried out, once everything that waited has been written."""
    await settled(works.services.audit)
    found, _ = works.services.audit.search(Question(action=action, limit=50), "", "")
    return next(r for r in found.records if r["kind"] == "outcome" and r["result"].startswith("ok"))


async def test_the_list_is_ordered_by_urgency_and_counted(desk: FakeDesk, as_: Any) -> None:
    answer = (await as_.viewer.get("alarms")).json()
    assert [row["occurrence"] for row in answer["alarms"]][:3] == [1, 7, 3]
    assert answer["total"] == 7
    assert answer["counts"]["critical"] == {"active": 1, "unacknowledged": 1}
    assert answer["counts"]["medium"] == {"active": 2, "unacknowledged": 1}
    assert (answer["counts"]["shelved"], answer["counts"]["suppressed"]) == (1, 1)
    assert answer["most_shelve_minutes"] == 720
    first = answer["alarms"][0]
    assert first["raised_at"] == "2023-11-14T22:13:11.000Z"
    assert (first["state"], first["cause"], first["response_s"], first["limit"]) == (
        "Unacknowledged",
        "drive",
        300,
        150,
    )


async def test_the_list_is_narrowed_by_what_is_asked(desk: FakeDesk, as_: Any) -> None:
    async def ids(**asked: Any) -> list[int]:
        return [row["occurrence"] for row in (await as_.viewer.get("alarms", params=asked)).json()["alarms"]]

    assert await ids(under="hall/line1") == [1, 2]
    assert await ids(priority=["critical", "low"]) == [1, 3]
    assert await ids(state="Shelved") == [5]
    assert await ids(order="newest", state=["Unacknowledged", "ReturnedUnacknowledged"]) == [7, 3, 1]
    assert await ids(limit=1) == [1]
    assert (await as_.viewer.get("alarms", params={"state": "Loud"})).status_code == 422


async def test_who_sees_a_part_sees_and_counts_that_part(desk: FakeDesk, works: Any, port: int) -> None:
    async with narrowed(works, port) as client:
        answer = (await client.get("alarms")).json()
        assert [row["occurrence"] for row in answer["alarms"]] == [1, 2]
        assert answer["counts"]["low"] == {"active": 0, "unacknowledged": 0}
        assert answer["counts"]["shelved"] == 0
        desk.past = [Occurrence(1, f"{SPEED}#high", SPEED, "a"), Occurrence(2, f"{SPEED2}#high", SPEED2, "b")]
        past = (await client.get("alarms/occurrences", params={"end": "2030-01-01"})).json()
        assert [one["occurrence"] for one in past["occurrences"]] == [1]
        assert (await client.get("alarms/definitions")).json()["total"] == 2
        assert SPEED2 not in (await client.get("alarms/rationalisation")).text
        for path, body in (
            ("acknowledge", {"occurrences": [1, 3]}),
            ("shelve", {"alarms": [f"{SPEED2}#high"], "minutes": 5, "reason": "x"}),
        ):
            refused = await client.post(f"alarms/{path}", json=body)
            assert (refused.status_code, refused.json()["code"]) == (404, "unknown_alarm")
        assert desk.held[0].state is State.UNACKNOWLEDGED  # nothing of it was done


async def test_the_value_of_a_state_is_told_by_its_word(works: Any, as_: Any) -> None:
    state = "hall/line1/filler/state"
    rows = [alarm_at(state, "state", n, value=value) for n, value in enumerate((6, 6.0, 7, 6.5, None), 1)]
    works.services.alarms = made = FakeDesk(*rows, alarm_at(SPEED, "high", 9))
    change = AlarmChange(1, 1, f"{state}#state", state, "hall/line1/filler", "", "low", "runs", State.NORMAL,
                         State.UNACKNOWLEDGED, NOW, 6, "", None, "", False)  # fmt: skip
    made.entries = [Entry(change)]
    found = {row["occurrence"]: row["word"] for row in (await as_.viewer.get("alarms")).json()["alarms"]}
    assert found == {1: "Execute", 2: "Execute", 3: "", 4: "", 5: "", 9: ""}
    lines = (await as_.viewer.get("alarms/journal", params={"end": "2030-01-01"})).json()["changes"]
    assert [line["word"] for line in lines] == ["Execute"]
    told = await as_.viewer.get("alarms/journal/export", params={"end": "2030-01-01"})
    assert [line["word"] for line in csv.DictReader(io.StringIO(told.text))] == ["Execute"]


async def test_acknowledging_is_recorded_and_says_what_was_done(desk: FakeDesk, works: Any, as_: Any) -> None:
    answer = await as_.operator.post("alarms/acknowledge", json={"occurrences": [1, 2, 7, 99], "comment": "on my way"})
    assert answer.json() == {"version": desk.version, "done": [1, 7]}
    assert {row.occurrence: row.state for row in desk.held}[1] is State.ACKNOWLEDGED
    assert 7 not in {row.occurrence for row in desk.held}
    record = await trail(works, "alarms/acknowledge")
    assert record["reason"] == "on my way"
    assert record["new"] == {"acknowledged": {"count": 4, "first": [1, 2, 7, 99]}}
    assert desk.entries[0].change.by == "operator"


async def test_more_than_a_page_is_never_acknowledged_at_once(desk: FakeDesk, as_: Any) -> None:
    many = await as_.operator.post("alarms/acknowledge", json={"occurrences": list(range(1, 1002))})
    assert many.status_code == 422
    assert (await as_.operator.post("alarms/acknowledge", json={"occurrences": []})).status_code == 422


async def test_shelving_needs_a_reason_and_an_end(desk: FakeDesk, works: Any, as_: Any) -> None:
    alarm = f"{SPEED}#high"
    for wrong in ({"minutes": 721}, {"minutes": 0}, {"reason": "  "}, {"reason": ""}):
        asked = {"alarms": [alarm], "minutes": 30, "reason": "cleaning", **wrong}
        assert (await as_.operator.post("alarms/shelve", json=asked)).status_code == 422
    asked = {"alarms": [alarm, alarm], "minutes": 30, "reason": "cleaning"}
    assert (await as_.operator.post("alarms/shelve", json=asked)).json()["done"] == [alarm]
    row = next(row for row in desk.held if row.alarm == alarm)
    assert row.shelved_until_ns == works.clock.now_ns() + 1800 * NS_PER_S
    assert (await trail(works, "alarms/shelve"))["reason"] == "cleaning"
    assert (await as_.operator.post("alarms/unshelve", json={"alarms": [alarm]})).json()["done"] == [alarm]
    unknown = await as_.operator.post("alarms/shelve", json={**asked, "alarms": ["elsewhere"]})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_alarm")
    gone = await as_.operator.post("alarms/shelve", json={**asked, "alarms": [f"{SPEED}#gone"]})
    assert gone.status_code == 422


async def test_who_may_do_what(desk: FakeDesk, as_: Any) -> None:
    alarm = f"{SPEED}#high"
    out = {"alarms": [alarm], "reason": "new sensor"}
    assert (await as_.viewer.post("alarms/acknowledge", json={"occurrences": [1]})).status_code == 403
    assert (await as_.operator.post("alarms/out-of-service", json=out)).status_code == 403
    assert (await as_.engineer.post("alarms/out-of-service", json=out)).json()["done"] == [alarm]
    assert (await as_.engineer.post("alarms/acknowledge", json={"occurrences": [1]})).status_code == 403
    assert (await as_.supervisor.post("alarms/in-service", json={"alarms": [alarm]})).json()["done"] == [alarm]
    assert (await as_.nobody.get("alarms")).status_code == 401


async def test_who_is_narrowed_by_state_changes_something_while_the_machine_is_in_it(
    desk: FakeDesk, works: Any, port: int
) -> None:
    plant, filler = works.namespace.plant, "hall/line1/filler"
    assets = tuple(
        replace(asset, production={"state": f"{filler}/state"}) if asset.path == filler else asset
        for asset in plant.assets
    )
    works.namespace.plant = replace(plant, assets=assets, roles=(OwnRole("fitters", ("operator",), when=("Idle",)),))
    works.live.describe(works.namespace.plant)
    note = {"path": filler, "text": "nozzle 3 was blocked"}
    async with narrowed(works, port, "fitters") as client:
        for state, codes in ((6, (403, 403)), (0, (200, 201))):
            works.feed({f"{filler}/state": state})
            answers = [
                await client.post("alarms/acknowledge", json={"occurrences": [1]}),
                await client.post("shifts/log", json=note),
            ]
            assert tuple(answer.status_code for answer in answers) == codes
            for refused in answers[: 2 * (state == 6)]:
                assert refused.json()["code"] == "role_state"
                assert "it is Execute" in refused.json()["detail"]
            assert desk.held[0].state is (State.UNACKNOWLEDGED if state == 6 else State.ACKNOWLEDGED)
        works.feed({f"{filler}/state": 0}, at_s=1, code=0x80050000)
        assert "not known" in (await client.post("shifts/log", json=note)).json()["detail"]


async def test_what_is_latched_is_reset(desk: FakeDesk, as_: Any) -> None:
    assert (await as_.operator.post("alarms/reset", json={"occurrences": [4, 1]})).json()["done"] == [4]


async def test_the_long_poll_answers_when_something_changes(desk: FakeDesk, as_: Any) -> None:
    now = (await as_.viewer.get("alarms/wait")).json()["version"]
    waiting = asyncio.create_task(as_.viewer.get("alarms/wait", params={"version": now, "timeout_s": 20}))
    await asyncio.sleep(0)
    await as_.operator.post("alarms/acknowledge", json={"occurrences": [1]})
    answer = (await waiting).json()
    assert answer["version"] > now
    assert answer["counts"]["critical"] == {"active": 1, "unacknowledged": 0}
    idle = await as_.viewer.get("alarms/wait", params={"version": desk.version, "timeout_s": 0})
    assert idle.json()["version"] == desk.version


async def test_the_live_stream_tells_who_asked_for_it(desk: FakeDesk, works: Any, as_: Any, port: int) -> None:
    headers = {"Authorization": f"Bearer {works.tokens['viewer']}"}

    async def news(socket: Any) -> dict[str, Any]:
        while True:
            message = await asyncio.wait_for(socket.recv(), 20)
            found = json.loads(message) if isinstance(message, str) else {}
            assert "beat" not in found or not plain, "nothing but a beat came"
            if "alarms" in found:
                return found["alarms"]

    plain = False
    where = f"ws://127.0.0.1:{port}/api/v1/live"
    async with connect(f"{where}?alarms=1", additional_headers=headers, proxy=None) as socket:
        first = await news(socket)
        assert (first["version"], first["counts"]["critical"]["unacknowledged"]) == (desk.version, 1)
        await as_.operator.post("alarms/acknowledge", json={"occurrences": [1]})
        after = await news(socket)
        assert (after["version"], after["counts"]["critical"]["unacknowledged"]) == (desk.version, 0)
    async with connect(where, additional_headers=headers, proxy=None) as socket:
        message = json.loads(await asyncio.wait_for(socket.recv(), 20))
        assert "alarms" not in message


async def test_ten_thousand_alarms_are_one_answer(works: Any, as_: Any) -> None:
    works.services.alarms = FakeDesk(
        *(alarm_at(f"hall/line1/t{i:05}", "high", i + 1, raised_ns=NOW - i) for i in range(10_000))
    )
    answer = (await as_.viewer.get("alarms", params={"limit": 10_000}, timeout=60)).json()
    assert len(answer["alarms"]) == answer["total"] == 10_000
    assert answer["alarms"][0]["path"] == "hall/line1/t00000"


def entry(seq: int, path: str = SPEED, **more: Any) -> Entry:
    change = AlarmChange(
        seq, seq, f"{path}#high", path, path.rpartition("/")[0], "line1", "high", "too fast", State.NORMAL,
        State.UNACKNOWLEDGED, NOW - 10 * NS_PER_S + seq, 151.5, "1/min", 150.0,
    )  # fmt: skip
    return Entry(replace(change, **more))


async def test_the_journal_is_searched_and_paged(desk: FakeDesk, as_: Any) -> None:
    desk.entries = [entry(n) for n in range(1, 8)]
    desk.entries[2] = entry(3, by="Ana", message="=cmd|x", priority="low")
    ask = as_.viewer.get
    first = (await ask("alarms/journal", params={"limit": 3})).json()
    assert [c["seq"] for c in first["changes"]] == [7, 6, 5]
    rest = (await ask("alarms/journal", params={"limit": 9, "before": first["before"]})).json()
    assert ([c["seq"] for c in rest["changes"]], rest["before"]) == ([4, 3, 2, 1], 0)
    exact = (await ask("alarms/journal", params={"limit": 7})).json()
    assert (len(exact["changes"]), exact["before"]) == (7, 0)
    for asked in ({"by": "ana"}, {"text": "CMD"}, {"priority": "low"}):
        assert [c["seq"] for c in (await ask("alarms/journal", params=asked)).json()["changes"]] == [3]
    wrong = await ask("alarms/journal", params={"start": "now", "end": "now-1h"})
    assert wrong.status_code == 422


async def test_the_journal_leaves_as_csv_that_no_spreadsheet_runs(desk: FakeDesk, as_: Any) -> None:
    desk.entries = [entry(n) for n in range(1, 2503)]
    desk.entries[7] = entry(8, message="=cmd|x", by="+ana")
    answer = await as_.viewer.get("alarms/journal/export")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [int(row["seq"]) for row in rows] == list(range(2502, 0, -1))
    odd = next(row for row in rows if row["seq"] == "8")
    assert (odd["message"], odd["by"], odd["value"], odd["after"]) == ("'=cmd|x", "'+ana", "151.5", "Unacknowledged")


async def test_durations_leave_as_csv(desk: FakeDesk, as_: Any) -> None:
    s = NS_PER_S
    desk.past = [
        Occurrence(1, "a#x", SPEED, "a", raised_ns=NOW - 60 * s, acknowledged_ns=NOW - 50 * s, returned_ns=NOW - 30 * s, cleared_ns=NOW - 30 * s),
        Occurrence(2, "b#x", SPEED, "b", raised_ns=NOW - 5 * s),
    ]  # fmt: skip
    answer = await as_.viewer.get("alarms/journal/export", params={"shape": "occurrences"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(r["occurrence"], r["acknowledged_after_s"], r["active_s"], r["annunciated_s"]) for r in rows] == [
        ("2", "", "", ""),
        ("1", "10.0", "30.0", "30.0"),
    ]


async def test_performance_over_http(desk: FakeDesk, as_: Any) -> None:
    desk.past = [Occurrence(i, f"t{i % 3}#x", SPEED, "a", raised_ns=NOW - i * NS_PER_S) for i in range(1, 13)]
    answer = (await as_.viewer.get("alarms/performance", params={"start": "now-1h"})).json()
    assert (answer["alarms"], answer["complete"], answer["peak"]) == (12, True, 12)
    assert answer["average"] == pytest.approx(2.0)
    assert len(answer["floods"]) == 1
    assert answer["distribution"]["low"] == 12
    assert {one["alarm"]: one["count"] for one in answer["top"]} == {"t0#x": 4, "t1#x": 4, "t2#x": 4}
    assert sum(answer["rate"]["peaks"]) == 12
    assert all("ISA-18.2" in figure["source"] for figure in answer["figures"])
    too_long = await as_.viewer.get("alarms/performance", params={"start": "now-401d"})
    assert too_long.status_code == 422


async def test_a_limit_is_changed_while_everything_runs(desk: FakeDesk, works: Any, as_: Any) -> None:
    alarm = f"{SPEED}#high"
    asked = {"alarm": alarm, "values": {"limit": 145}, "reason": "new bottles"}
    assert (await as_.operator.patch("alarms/definitions", json=asked)).status_code == 403
    answer = (await as_.engineer.patch("alarms/definitions", json=asked)).json()
    assert (answer["values"]["limit"], answer["declared"]["limit"], answer["reason"]) == (145, 150, "new bottles")
    record = await trail(works, "alarms/definitions")
    assert (record["target"], record["old"], record["new"]) == (f"alarms/{alarm}", {"limit": 150.0}, {"limit": 145.0})
    for wrong in ({}, {"limits": 3}, {"deadband": -1}, {"priority": "urgent"}):
        assert (await as_.engineer.patch("alarms/definitions", json={**asked, "values": wrong})).status_code == 422
    unknown = await as_.engineer.patch("alarms/definitions", json={**asked, "alarm": f"{SPEED}#gone"})
    assert unknown.status_code == 404
    listed = (await as_.viewer.get("alarms/definitions", params={"under": SPEED})).json()
    assert {one["alarm"]: one["changed_by"] for one in listed["definitions"]}[alarm] == "engineer"

    async def found(**asked: Any) -> list[str]:
        answer = (await as_.viewer.get("alarms/definitions", params=asked)).json()
        return [one["alarm"] for one in answer["definitions"]]

    assert await found(changed=True) == [alarm]
    assert await found(changed=True, text="SPEED high") == [alarm]
    assert await found(changed=True, text="level") == []
    assert alarm not in await found(priority="critical")
    back = {"alarm": alarm, "values": {"limit": 150}, "reason": "old bottles"}
    assert (await as_.engineer.patch("alarms/definitions", json=back)).json()["declared"] == {}
    assert await found(changed=True) == []


PLANT = "plant: {enterprise: acme, site: lyon}\nassets:\n  hall/p1:\n    tags:\n      speed: {unit: 1/min, formula: 1 + 1, alarms: {high: 150}} # mine\n"


async def test_rationalisation_goes_out_and_comes_back_as_a_plan(controlled: Any, as_: Any) -> None:
    version = controlled.services.namespace.apply(PLANT, 1, "ana", "alarms", consent=Consent(emergency="a test"))
    path = "hall/p1/speed"
    alarm = Alarm(
        f"{path}#high",
        path,
        "hall/p1",
        "high",
        Spec(message="", cause="", consequence="", response="", response_s=None),
    )
    made = FakeDesk()
    made.defined = [Definition(alarm, alarm.key, path, "hall/p1", "high"), Definition(None, "control/x", path, "", "x")]
    controlled.services.alarms = made
    table = (await as_.engineer.get("alarms/rationalisation", params={"delimiter": "semicolon"})).content
    rows = list(csv.DictReader(io.StringIO(table.decode("utf-8-sig")), delimiter=";"))
    assert [(row["alarm"], row["limit"], row["priority"]) for row in rows] == [(alarm.key, "150", "medium")]
    worked = table.replace(b";150;", b";145,5;")
    assert (await as_.operator.post("alarms/rationalisation", content=worked)).status_code == 403
    plan = (await as_.engineer.post("alarms/rationalisation", content=worked)).json()
    assert (plan["base"], plan["alarms"]) == (version, [alarm.key])
    assert plan["text"] == PLANT.replace("high: 150", "high: {limit: 145.5}")
    assert plan["changes"]
    assert controlled.services.namespace.current().version == version  # nothing is applied by it
    applied = await as_.engineer.post(
        "plant/apply", json={"text": plan["text"], "base": plan["base"], "reason": "rationalised"}
    )
    assert applied.json()["version"] == version + 1
    wrong = await as_.engineer.post("alarms/rationalisation", content=f"alarm,limit\n{alarm.key},x\n".encode())
    assert (wrong.status_code, wrong.json()["errors"][0]["line"], wrong.json()["errors"][0]["column"]) == (422, 2, 2)


async def test_where_no_alarms_are_judged_it_is_said(works: Any, as_: Any) -> None:
    answer = await as_.viewer.get("alarms")
    assert (answer.status_code, answer.json()["code"]) == (501, "no_alarms")

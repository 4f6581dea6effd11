"""Call-out over the API: what is in force, who may change it, and the page behind a link."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest

from isthmus.alarms.callout.texts import Message
from isthmus.security.model import Principal, Proof, Role
from isthmus.security.privacy import KEPT
from isthmus.values.errors import Rejected
from isthmus.values.messages.alarms import AlarmChange, State
from isthmus.web.api import create_app
from isthmus.web.doors import API, LocalDoor

pytestmark = [pytest.mark.mission("M14"), pytest.mark.real("uvicorn")]

ROTA = {"people": ["ana", "ben"], "first": "2023-11-13", "hand_over": "Mon 08:00"}
RULE = {
    "priorities": ["critical", "high"], "group_s": 0,
    "steps": [
        {"who": "rota:nights", "channels": ["mail"], "repeat_s": 300, "times": 1},
        {"who": "person:ben", "channels": ["mail"], "after_s": 900},
    ],
}  # fmt: skip


class Ways:
    def __init__(self) -> None:
        self.sent: list[tuple[str, Message]] = []
        self.down = False

    def missing(self, channel: Any) -> str:
        return ""

    def check(self, channel: Any) -> None: ...

    def send(self, channel: Any, address: str, message: Message) -> None:
        if self.down:
            raise Rejected("no route")
        self.sent.append((address, message))


class Alarms:
    def __init__(self) -> None:
        self.acknowledged: list[tuple[Principal, list[int]]] = []

    async def acknowledge(self, who: Principal, occurrences: list[int], comment: str) -> None:
        self.acknowledged.append((who, occurrences))


@pytest.fixture
async def set_up(works, as_) -> tuple[Ways, Alarms]:
    """With people, a channel, a rota and a rule in force."""
    ways, alarms = Ways(), Alarms()
    works.services.callout._ways = ways
    works.services.callout.attach(alarms, None)
    for name, role in (("ana", Role.OPERATOR), ("ben", Role.SUPERVISOR), ("eve", Role.MAINTAINER)):
        works.security.create_user(name, role, "correct horse battery")
    engineer = as_.engineer
    assert (await engineer.put("/callout/channels/mail", json={"kind": "email", "url": "secret:mail"})).json() == {
        "version": 1
    }
    for name, language in (("ana", "en"), ("ben", "de")):
        body = {"language": language, "addresses": {"mail": f"{name}@plant.example"}}
        assert (await engineer.put(f"/callout/contacts/{name}", json=body)).status_code == 204
    assert (await engineer.put("/callout/rotas/nights", json=ROTA)).json() == {"version": 1}
    assert (await engineer.put("/callout/rules/urgent", json={**RULE, "reason": "first"})).json() == {"version": 1}
    return ways, alarms


def raised(
    seq: int, occurrence: int, after: State = State.UNACKNOWLEDGED, path: str = "hall/line1/filler/speed"
) -> AlarmChange:
    return AlarmChange(
        seq, occurrence, f"{path}#high", path, path.rpartition("/")[0], "", "high", f"<Filler> too fast {occurrence}",
        State.NORMAL, after, 1_700_000_000_000_000_000, 151.5, "1/min", 150.0,
    )  # fmt: skip


async def test_everybody_sees_who_is_on_duty_and_nobody_unentitled_an_address(set_up, as_) -> None:
    answer = (await as_.viewer.get("/callout")).json()
    assert answer["timezone"] == "Europe/Paris"
    (rota,) = answer["rotas"]
    assert (rota["now"]["person"], rota["next"]["person"], rota["gaps"], rota["problems"]) == ("ana", "ben", [], [])
    assert [step["who"] for step in answer["rules"][0]["steps"]] == ["rota:nights", "person:ben"]
    assert answer["channels"][0]["url"] == "secret:mail"
    assert {p["name"]: p["channels"] for p in answer["people"]} == {"ana": ["mail"], "ben": ["mail"], "eve": []}
    assert "@" not in str(answer)
    assert (await as_.viewer.get("/callout/contacts")).status_code == 403
    contacts = (await as_.engineer.get("/callout/contacts")).json()["contacts"]
    assert [c["addresses"] for c in contacts] == [{"mail": "ana@plant.example"}, {"mail": "ben@plant.example"}]
    turns = (await as_.viewer.get("/callout/rotas/nights/schedule?start=2023-11-13T07:00:00Z&days=14")).json()["turns"]
    assert [(t["person"], t["start"]) for t in turns] == [
        ("ana", "2023-11-13T07:00:00.000Z"),
        ("ben", "2023-11-20T07:00:00.000Z"),
    ]
    assert (await as_.viewer.get("/callout/rotas/days/schedule")).status_code == 404


async def test_only_who_may_changes_it(set_up, as_) -> None:
    for who in (as_.viewer, as_.operator, as_.maintainer, as_.security):
        assert (await who.put("/callout/rotas/nights", json=ROTA)).status_code == 403
        assert (await who.put("/callout/rules/urgent", json=RULE)).status_code == 403
        assert (await who.delete("/callout/rules/urgent")).status_code == 403
        assert (await who.post("/callout/test", json={"channel": "mail", "person": "ana"})).status_code == 403
    assert (await as_.supervisor.put("/callout/rotas/nights", json={**ROTA, "weeks": 2})).status_code == 200
    assert (await as_.nobody.get("/callout")).status_code == 401


@pytest.mark.parametrize(
    ("path", "body", "problem"),
    [
        ("rotas/nights", {**ROTA, "people": []}, "nobody is on it"),
        ("rotas/nights", {**ROTA, "people": ["zoe"]}, "no account has the name 'zoe'"),
        ("rotas/nights", {**ROTA, "exceptions": [{"start": "2026-01-01T08:00:00Z", "end": "2026-01-02T08:00", "person": "ana"}]}, "without Z"),
        ("rotas/nights", {**ROTA, "holidays": [{"day": "2026-12-25", "person": "zoe"}]}, "no account has the name 'zoe'"),
        ("rules/urgent", {**RULE, "steps": [{"who": "rota:nights", "channels": ["mail"], "repeat_s": 60}]}, "never ends"),
        ("rules/urgent", {**RULE, "steps": [{"who": "person:zoe", "channels": ["mail"]}]}, "no account has the name 'zoe'"),
        ("rules/urgent", {**RULE, "steps": []}, "steps: must be 1 to 20"),
        ("channels/mail", {"kind": "email", "url": "mailto://ana:hunter2@plant.example"}, "must be a reference"),
        ("contacts/zoe", {"addresses": {}}, "no account has this name"),
    ],
)  # fmt: skip
async def test_bad_input_is_refused_by_name(set_up, as_, path: str, body: dict[str, Any], problem: str) -> None:
    answer = await as_.engineer.put(f"/callout/{path}", json=body)
    assert answer.status_code == 422
    assert problem in answer.json()["detail"]
    assert "hunter2" not in answer.text


async def test_gaps_are_reported(set_up, as_) -> None:
    await as_.engineer.put("/callout/rotas/nights", json={**ROTA, "hours": "Mon 17:00-Fri 08:00"})
    gaps = (await as_.viewer.get("/callout")).json()["rotas"][0]["gaps"]
    assert {gap["person"] for gap in gaps} == {""}
    assert len(gaps) >= 4


async def test_versions_are_kept_and_a_stale_change_is_refused(set_up, as_) -> None:
    assert (
        await as_.engineer.put("/callout/rotas/nights", json={**ROTA, "weeks": 2, "base": 1, "reason": "longer"})
    ).json() == {"version": 2}
    stale = await as_.engineer.put("/callout/rotas/nights", json={**ROTA, "base": 1})
    assert (stale.status_code, stale.json()["code"]) == (409, "stale_base")
    found = (await as_.viewer.get("/callout/rotas/nights/versions")).json()["versions"]
    assert [(one["version"], one["value"]["weeks"], one["reason"]) for one in found] == [(2, 2, "longer"), (1, 1, "")]
    used = await as_.engineer.delete("/callout/rotas/nights")
    assert (used.status_code, used.json()["code"]) == (409, "conflict")
    assert (await as_.engineer.delete("/callout/rules/urgent?reason=done")).status_code == 204
    assert (await as_.engineer.delete("/callout/rules/urgent")).status_code == 404
    assert (await as_.viewer.get("/callout/rules/urgent/versions")).json()["versions"][0]["removed"] is True
    assert (await as_.viewer.get("/callout/rules/none/versions")).status_code == 404


async def test_a_test_message_says_how_it_went_and_stands_in_the_log(set_up, as_) -> None:
    ways, _ = set_up
    good = (await as_.engineer.post("/callout/test", json={"channel": "mail", "person": "ben"})).json()
    assert (good["state"], good["call"], good["attempts"][0]["result"]) == ("delivered", None, "delivered")
    assert ways.sent[0][1].title == "Isthmus: Testnachricht"
    ways.down = True
    bad = (await as_.engineer.post("/callout/test", json={"channel": "mail", "person": "ana"})).json()
    assert (bad["state"], bad["reason"]) == ("failed", "no route")
    log = (await as_.viewer.get("/callout/deliveries")).json()["deliveries"]
    assert [one["state"] for one in log] == ["failed", "delivered"]
    state = (await as_.viewer.get("/callout")).json()["channels"][0]
    assert (state["state"], state["reason"]) == ("failing", "no route")
    missing = await as_.engineer.post("/callout/test", json={"channel": "mail", "person": "eve"})
    assert missing.status_code == 422


def local_client(works: Any) -> httpx.AsyncClient:
    """As the owner of the data directory asks."""
    door = httpx.ASGITransport(LocalDoor(create_app(works.services)))  # type: ignore[arg-type]  # starlette's spelling of the same protocol
    return httpx.AsyncClient(transport=door, base_url=f"http://localhost{API}")


async def call(works, ways: Ways, *changes: AlarmChange) -> str:
    """Somebody is called; the address of the link, without the host."""
    await works.services.callout.heard(changes)
    await works.services.callout.step()
    found = re.search(r"https://plant\.example/api/v1(/callout/answer/\S+)", ways.sent[-1][1].body)
    assert found
    return found[1]


async def test_looking_at_a_link_changes_nothing_and_the_button_acknowledges_once(works, set_up, as_) -> None:
    ways, alarms = set_up
    link = await call(works, ways, raised(1, 11), raised(2, 12))
    for _ in range(3):  # scanners of mail follow links
        page = await as_.nobody.get(link)
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert "form-action 'self'" in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-store"
        assert "&lt;Filler&gt; too fast 12" in page.text
        assert '<form method="post">' in page.text
        assert "<script" not in page.text
    assert alarms.acknowledged == []
    done = await as_.nobody.post(link)
    assert done.status_code == 200
    assert "Acknowledged. Thank you, ana." in done.text
    who, occurrences = alarms.acknowledged[0]
    assert (who.name, who.role, who.proof, occurrences) == ("ana", "operator", Proof.LINK, [11, 12])
    again = await as_.nobody.post(link)
    assert again.status_code == 410
    assert len(alarms.acknowledged) == 1
    shown = await as_.nobody.get(link)
    assert "ana acknowledged with this link at 2023-11-14" in shown.text
    assert "<form" not in shown.text
    shown = (await as_.viewer.get("/callout")).json()["calls"][0]
    assert (shown["answered_by"], shown["path"]) == ("ana", "hall/line1/filler/speed")


async def test_who_is_signed_in_answers_by_the_link_like_anybody(works, set_up, as_) -> None:
    """A form of the page sends the cookie and an Origin of null; neither counts, as the link alone proves who answers."""
    ways, alarms = set_up
    link = await call(works, ways, raised(1, 11))
    headers = {"Origin": "null", "Cookie": "isthmus_session=x"}
    assert (await as_.nobody.post(link, headers=headers)).status_code == 200
    assert alarms.acknowledged[0][0].name == "ana"


async def test_links_that_do_nothing_say_so_in_the_readers_language(works, set_up, as_) -> None:
    ways, alarms = set_up
    link = await call(works, ways, raised(1, 11))
    wrong = await as_.nobody.get(link[:-2] + "zz", headers={"Accept-Language": "fr-FR,fr"})
    assert wrong.status_code == 404
    assert "Ce lien n’est pas des nôtres" in wrong.text
    works.security.change_user("ana", disabled=True)
    closed = await as_.nobody.post(link)
    assert closed.status_code == 403
    assert "the account this link was sent to is closed" in closed.text
    works.security.change_user("ana", disabled=False)
    works.security.change_user("ana", role="viewer")
    refused = await as_.nobody.post(link)
    assert refused.status_code == 403
    assert "acknowledging alarms (alarm.acknowledge) needs role" in refused.text
    works.clock.advance(13 * 3600)
    assert (await as_.nobody.get(link)).status_code == 410
    assert (await as_.nobody.post(link)).status_code == 410
    assert alarms.acknowledged == []


async def test_whose_alarms_are_acknowledged_already_finds_nothing_left(works, set_up, as_) -> None:
    ways, alarms = set_up
    link = await call(works, ways, raised(1, 11))
    await works.services.callout.heard([raised(2, 11, State.ACKNOWLEDGED)])
    page = await as_.nobody.get(link)
    assert "Nothing is left to acknowledge" in page.text
    assert "<form" not in page.text
    assert "Nothing is left to acknowledge" in (await as_.nobody.post(link)).text
    assert alarms.acknowledged == []


async def test_nobody_asks_for_links_without_end(works, set_up, as_) -> None:
    answers = [(await as_.nobody.get("/callout/answer/x")).status_code for _ in range(25)]
    assert answers == [404] * 20 + [429] * 5
    works.clock.advance(3)
    assert (await as_.nobody.get("/callout/answer/x")).status_code == 404
    refused = await as_.nobody.post("/callout/answer/x")
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "3"


async def test_the_audit_log_knows_what_was_changed_and_answered_without_names_addresses_and_links(
    works, set_up, as_
) -> None:
    ways, _ = set_up
    link = await call(works, ways, raised(1, 11))
    await as_.nobody.post(link)
    await as_.engineer.post("/callout/test", json={"channel": "mail", "person": "ana"})
    expected = {
        "PUT callout/channels/{name}", "PUT callout/contacts/{name}", "PUT callout/rotas/{name}", "PUT callout/rules/{name}",
        "POST callout/answer/{token}", "POST callout/test",
    }  # fmt: skip
    records: list[dict[str, Any]] = []
    async with asyncio.timeout(20):  # notes are written behind the answers they are about
        while {r["action"] for r in records} < expected:
            found = (await as_.security.get("/audit?limit=200")).json()
            records = [r for r in found["records"] if "callout" in r["action"]]
    assert {r["action"] for r in records} == expected
    text = str(records)
    assert link.rpartition("/")[2] not in text
    assert "@plant.example" not in text
    answered = next(r for r in records if r["action"] == "POST callout/answer/{token}")
    assert (answered["who"]["name"], answered["who"]["proof"], answered["target"]) == (
        "ana",
        "link",
        "callout/answer 1",
    )
    rule = next(r for r in records if r["action"] == "PUT callout/rules/{name}" and r["kind"] == "outcome")
    assert rule["reason"] == "first"
    assert re.fullmatch(r"person:p-[0-9a-f]{12}", rule["new"]["steps"][1]["who"])


async def test_whose_account_is_renamed_stays_on_duty(works, set_up, as_) -> None:
    ways, alarms = set_up
    link = await call(works, ways, raised(1, 11))
    async with local_client(works) as owner:
        assert (await owner.patch("/users/ANA", json={"name": "anna"})).status_code == 200
    state = (await as_.viewer.get("/callout")).json()
    assert (state["rotas"][0]["now"]["person"], state["rotas"][0]["problems"], state["rules"][0]["problems"]) == (
        "anna",
        [],
        [],
    )
    assert (await as_.nobody.post(link)).status_code == 200
    assert alarms.acknowledged[0][0].name == "anna"


async def test_a_person_is_told_all_of_it_and_erased_from_it(works, set_up, as_) -> None:
    ways, _ = set_up
    await call(works, ways, raised(1, 11))
    told = (await as_.security.get("/privacy/people/ana")).json()["rows"]
    whats = {kept.what for kept in KEPT if kept.table.startswith("callout_")}
    assert whats & {row["what"] for row in told} == {
        "How a person on duty is reached: addresses, language",
        "Who was told of an alarm, by which channel, and when",
        "Who is or was on a rota or a step of the call-out",
    }
    assert (await as_.security.delete("/privacy/people/ana?reason=left")).status_code == 200
    shown = (await as_.engineer.get("/callout")).json()
    log = (await as_.engineer.get("/callout/deliveries")).json()
    contacts = (await as_.engineer.get("/callout/contacts")).json()
    versions = (await as_.engineer.get("/callout/rotas/nights/versions")).json()
    assert "ana" not in re.findall(r"[a-z]+", f"{shown} {log} {contacts} {versions}")
    assert shown["rotas"][0]["now"]["person"].startswith("p-")
    assert "has no open account" in shown["rotas"][0]["problems"][0]

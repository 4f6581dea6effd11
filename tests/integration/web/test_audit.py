"""Every change leaves its traces in the audit trail, no secret does, and people can be taken out of it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import orjson
import pytest
from fastapi.routing import APIRoute
from settled import settled

from isthmus.app.migrate import migrate
from isthmus.app.records import open_records
from isthmus.ports.audit import NotDurable
from isthmus.security.audit.verify import verify_export
from isthmus.security.model import Role
from isthmus.security.privacy import KEPT, NO_PEOPLE, TeamFigures, undeclared
from isthmus.web.api import ROUTERS, create_app
from isthmus.web.audited import OWN, QUIET, SAFE
from isthmus.web.doors import API, PUBLIC, LocalDoor

pytestmark = pytest.mark.mission("M78")

PLANT = "plant: {enterprise: acme, site: lyon}\n"


async def written(works: Any) -> list[dict[str, Any]]:
    """What is in the log, once everything that waited has been written."""
    records = await settled(works.services.audit)
    return [r for r in records if r["kind"] != "checkpoint" and r["action"] != "audit.open"]


def changing() -> list[tuple[str, str]]:
    """Every route that is not safe: (method, template)."""
    routes = [r for router in ROUTERS for r in router.routes if isinstance(r, APIRoute)]
    return sorted((m, r.path) for r in routes for m in r.methods - SAFE if (m, r.path) not in QUIET)


NAMES_OTHERS = (
    "/stations/",
    "/edges/",
    "/callout/rotas/",
    "/callout/rules/",
    "/callout/channels/",
    "/recipes/",
    "/control/trips/",
    "/readings/points/",
    "/kpis/",
)
"""Their names are not those of people."""


def filled(template: str) -> str:
    for part, value in {
        "{n}": "7",
        "{name}": "ana",
        "{ident}": "s1",
        "{id}": "7",
        "{edge}": "edge-7",
        "{token}": "x",
        "{zone}": "line1",
        "{do}": "reset",
    }.items():
        template = template.replace(part, value)
    return template.split("{")[0]


def local(works: Any) -> httpx.AsyncClient:
    door = httpx.ASGITransport(LocalDoor(create_app(works.services)))  # type: ignore[arg-type]  # starlette's spelling of the same protocol
    return httpx.AsyncClient(transport=door, base_url=f"http://localhost{API}")


@pytest.mark.parametrize(("method", "template"), changing())
async def test_no_route_that_changes_something_is_without_audit(works, as_, method, template) -> None:
    await as_.admin.request(method, filled(template), json={}, params={"reason": "test"})
    found = await written(works)
    if (method, template) in OWN:
        async with local(works) as client:
            given = {"action": "secret set", "target": "press-7", "result": "ok"}
            assert (await client.request(method, filled(template), json=given)).status_code in (201, 204)
        assert any(r["action"] in ("secret set", "") for r in await written(works))
        return
    mine = [r for r in found if r["action"] == f"{method} {template.removeprefix('/')}"]
    assert mine, f"{method} {template} leaves no trace"
    kinds = [r["kind"] for r in mine]
    assert kinds == (["note"] if (method, API + template) in PUBLIC else ["intent", "outcome"])
    assert template.startswith(NAMES_OTHERS) or "ana" not in mine[0]["target"]


async def test_an_intent_is_before_the_effect_and_an_outcome_after_it(works, as_) -> None:
    seen: list[int] = []
    works.namespace.plan_before = works.namespace.apply

    def apply(*given, **more):
        seen.append(works.services.audit.log.confirmed)
        return works.namespace.plan_before(*given, **more)

    works.namespace.apply = apply
    asked = {"text": PLANT, "base": 1, "reason": "line 2 is new"}
    assert (await as_.engineer.post("/plant/apply", json=asked)).status_code == 200
    intent, outcome = [r for r in await written(works) if r["action"] == "POST plant/apply"]
    assert intent["seq"] <= seen[0] < outcome["seq"]
    assert intent["id"] == outcome["id"]
    assert outcome["result"] == "ok 200"
    assert outcome["reason"] == "line 2 is new"
    assert outcome["old"] == {"version": 1}
    assert outcome["new"]["version"] == 2
    assert outcome["new"]["lines"] == {"added": 1, "removed": 1}
    assert intent["who"]["role"] == "engineer"
    assert intent["who"]["source"] == "127.0.0.1"
    assert intent["who"]["id"].startswith("t-")


async def test_refusals_are_recorded_with_their_code_and_bounded_from_outside(works, as_) -> None:
    assert (await as_.viewer.post("/plant/apply", json={"text": "", "base": 1, "reason": ""})).status_code == 403
    assert (await as_.engineer.post("/plant/apply", json={"text": "wrong", "base": 1, "reason": ""})).status_code == 422
    assert (await as_.engineer.get("/audit")).status_code == 403
    for _ in range(20):
        await as_.nobody.post("/plant/apply", json={})
    results = [(r["action"], r.get("result")) for r in await written(works) if r["kind"] == "outcome"]
    assert results == [("POST plant/apply", "refused 403 role_missing"), ("POST plant/apply", "refused 422 findings")]
    notes = [r for r in await written(works) if r["action"].endswith("refused")]
    assert [(r["action"], r["target"]) for r in notes[:1]] == [("GET refused", "audit")]
    assert len([r for r in notes if r["who"]["id"] == "unknown"]) == 5
    works.clock.advance(61)
    await as_.nobody.post("/plant/apply", json={})
    assert [r["new"]["more"] for r in await written(works) if r["target"] == "repeated"] == [15]


async def test_a_log_that_cannot_be_written_refuses_changes_and_reading_goes_on(works, as_, monkeypatch) -> None:
    from isthmus.security.audit import log as log_module

    monkeypatch.setattr(log_module, "RESERVE_BYTES", 2**80)
    answer = await as_.engineer.post("/plant/apply", json={"text": PLANT, "base": 1, "reason": "x"})
    assert answer.status_code == 503
    assert answer.json()["code"] == "audit_unavailable"
    assert "free some space" in answer.json()["detail"]
    assert int(answer.headers["retry-after"]) > 0
    assert works.namespace.current().version == 1
    assert (await as_.viewer.get("/site")).status_code == 200
    monkeypatch.undo()
    assert (await as_.engineer.post("/plant/apply", json={"text": PLANT, "base": 1, "reason": "x"})).status_code == 200


async def test_no_secret_of_a_whole_session_is_in_the_log(works, port) -> None:
    secrets = ["correct horse 9 battery", "another long pass 77", "sEcret-typed-as-name!"]
    works.security.create_user("ana", Role.ADMIN)
    link = works.security.create_link("ana")
    origin = f"http://127.0.0.1:{port}"
    headers = {"origin": origin, "x-isthmus": "1"}
    async with httpx.AsyncClient(base_url=origin + API, headers=headers, trust_env=False, verify=False) as client:
        assert (await client.post("/session/link", json={"link": link})).status_code == 200
        cookies = [c.value for c in client.cookies.jar]
        new = {"name": "ana", "password": secrets[0]}
        assert (await client.put("/session/password", json=new)).status_code == 200
        again = {"name": "ana", "password": secrets[1], "current": secrets[0]}
        assert (await client.put("/session/password", json=again)).status_code == 200
        token = (await client.post("/tokens", json={"name": "erp", "role": "viewer"})).json()
        assert (await client.delete(f"/tokens/{token['id']}")).status_code == 204
        made = (await client.post("/users/link", json={"name": "bob", "role": "viewer"})).json()
        assert (await client.delete("/session")).status_code == 204
        wrong = {"name": secrets[2], "password": secrets[1]}
        assert (await client.post("/session", json=wrong)).status_code == 401
        assert (await client.post("/session", json={"name": "ana", "password": "x" * 12})).status_code == 401
        assert (await client.post("/session", json={"name": "ana", "password": secrets[1]})).status_code == 200
    found = await written(works)
    content = b"".join(data for _, data in works.services.audit.files.contents())
    for secret in [*secrets, link, token["token"], made["link"], *cookies, "ana", "bob"]:
        assert secret.encode() not in content, secret
    ana = works.services.audit.names.find("ana")[0]
    signs = [(r["who"]["id"], r["new"]["result"]) for r in found if r["action"].startswith("POST session")]
    assert signs == [
        (ana, "ok 200"),
        ("unknown", "refused 401 wrong_password"),
        (ana, "refused 401 wrong_password"),
        (ana, "ok 200"),
    ]
    bob = works.services.audit.names.find("bob")[0]
    assert [r["target"] for r in found if r["action"] == "POST users/link" and r["kind"] == "outcome"] == [
        f"users/link {bob}"
    ]
    outs = [(r["action"], r["result"]) for r in found if r["kind"] == "outcome"]
    assert ("DELETE session", "ok 204") in outs
    assert ("DELETE tokens/{n}", "ok 204") in outs


async def test_search_answers_with_names_and_page_by_page(works, as_) -> None:
    for _ in range(6):
        await as_.engineer.post("/plant/plan", json={"text": PLANT})
    await as_.admin.post("/users/link", json={"name": "Zoé", "role": "viewer"})
    await written(works)

    async def ask(**query: Any) -> dict[str, Any]:
        answer = await as_.security.get("/audit", params=query)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    first = await ask(action="plant/plan", limit=5)
    assert [r["kind"] for r in first["records"]] == ["outcome", "intent", "outcome", "intent", "outcome"]
    assert first["records"][0]["who"]["name"] == "engineer"
    rest = await ask(action="plant/plan", limit=50, before=first["before"])
    assert len(rest["records"]) == 7
    assert rest["before"] == 0
    assert {r["action"] for r in (await ask(who="admin"))["records"]} == {"POST users/link"}
    found = await ask(text="Zoé")
    assert len(found["records"]) == 1
    assert "Zoé" in found["people"].values()
    assert (await ask(end="now-1h"))["records"] == []
    assert (await as_.security.get("/audit", params={"limit": 5000})).status_code == 422
    assert (await as_.security.get("/audit", params={"start": "yesterday"})).status_code == 422
    for client in (as_.viewer, as_.engineer, as_.nobody):
        for path in ("/audit", "/audit/export", "/audit/verify", "/privacy", "/privacy/people/ana"):
            assert (await client.get(path)).status_code in (401, 403)


async def test_ten_thousand_records_are_searched_in_one_answer(works, as_) -> None:
    for number in range(10_000):
        works.services.audit.note({"name": "ana", "proof": "session"}, "sensor", f"s/{number}")
        if number % 2000 == 0:
            await written(works)
    await written(works)
    answer = (await as_.security.get("/audit", params={"target": "s/17", "limit": 1000})).json()
    assert len(answer["records"]) == 111
    assert answer["before"] == 0
    assert (await as_.security.get("/audit/verify")).json()["records"] > 10_000


async def test_an_export_is_signed_and_every_change_of_it_is_found(works, as_) -> None:
    for _ in range(4):
        await as_.engineer.post("/plant/plan", json={"text": PLANT})
    await written(works)
    answer = await as_.security.get("/audit/export")
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    lines = answer.content.split(b"\n")[:-1]
    public = works.services.audit.log.public
    report, header = verify_export(lines, public)
    assert report.problem is None
    assert report.records >= 9
    assert header["site"] == "lyon"
    for at in range(len(lines)):
        edited = lines[at].replace(b'"', b'" ', 1) if at % 2 else lines[at][:-2] + b"0}"
        for changed in (
            lines[:at] + lines[at + 1 :],
            [*lines[:at], edited, *lines[at + 1 :]],
            lines[: at + 1] + lines[at:],
        ):
            assert verify_export(changed, public)[0].problem is not None, at
    assert "another key" in str(verify_export(lines, bytes(32))[0].problem)
    assert verify_export([b"x"])[0].problem is not None
    assert verify_export([])[0].problem is not None
    empty = (await as_.security.get("/audit/export", params={"end": "2001-01-01"})).content.split(b"\n")[:-1]
    assert verify_export(empty, public)[0].problem is None
    assert len(empty) == 2


async def test_verify_says_where_a_log_was_changed(works, as_) -> None:
    await as_.engineer.post("/plant/plan", json={"text": PLANT})
    await written(works)
    verdict = (await as_.security.get("/audit/verify")).json()
    assert verdict["whole"] is True
    assert verdict["keep_days"] == 1095
    (_, path), *_ = works.services.audit.files.segments()
    path.write_bytes(path.read_bytes().replace(b"plant/plan", b"plant/plam", 1))
    verdict = (await as_.security.get("/audit/verify")).json()
    assert verdict["whole"] is False
    assert verdict["problem"]["seq"] == 2
    assert "was edited" in verdict["problem"]["what"]


async def test_commands_hand_in_what_they_change_by_the_local_socket_only(works, as_) -> None:
    given = {"action": "secret set", "target": "press-7"}
    assert (await as_.admin.post("/audit/intents", json=given)).json()["code"] == "local_only"
    async with local(works) as client:
        ident = (await client.post("/audit/intents", json=given)).json()["id"]
        assert (await client.put(f"/audit/intents/{ident}", json={"result": "ok"})).status_code == 204
    intent, outcome = [r for r in await written(works) if r["action"] == "secret set"]
    assert intent["who"]["proof"] == "socket"
    assert intent["who"]["id"].startswith("u-")
    assert (outcome["id"], outcome["result"], outcome["target"]) == (ident, "ok", "press-7")


async def test_a_person_is_exported_and_erased_and_the_chain_stays_whole(works, as_, port) -> None:
    works.security.create_user("Ana", Role.ENGINEER, "correct horse 9 battery")
    origin = f"http://127.0.0.1:{port}"
    headers = {"origin": origin, "x-isthmus": "1"}
    async with httpx.AsyncClient(base_url=origin + API, headers=headers, trust_env=False, verify=False) as client:
        given = {"name": "ana", "password": "correct horse 9 battery"}
        assert (await client.post("/session", json=given)).status_code == 200
        await client.post("/plant/plan", json={"text": PLANT})
        await written(works)
        exported = (await as_.security.get("/privacy/people/ana")).json()
        kinds = {row["what"].split(":")[0] for row in exported["rows"]}
        assert {"Account", "Sessions"} <= kinds
        assert "argon2" not in orjson.dumps(exported["rows"]).decode().replace("argon2id hash)", "")
        assert len(exported["audit"]) == 3
        pseudonym = exported["audit"][0]["who"]["id"]
        assert (await as_.security.delete("/privacy/people/ana")).status_code == 422
        assert (await as_.security.delete("/privacy/people/ana", params={"reason": " "})).status_code == 422
        erased = await as_.security.delete("/privacy/people/ana", params={"reason": "left the company"})
        assert erased.status_code == 200
        assert erased.json()["pseudonyms"] == [pseudonym]
        assert erased.json()["rows"]["security_users"] == 1
        assert (await client.get("/session")).status_code == 401  # at once
    assert (await as_.security.get("/privacy/people/ana")).status_code == 404
    assert (await as_.security.delete("/privacy/people/ana", params={"reason": "x"})).status_code == 404
    assert works.services.audit.verify().problem is None
    shown = (await as_.security.get("/audit", params={"who": pseudonym})).json()
    assert shown["records"]
    assert {r["who"]["name"] for r in shown["records"]} == {""}
    outcome = next(
        r for r in reversed(await written(works)) if r["kind"] == "outcome" and r.get("reason") == "left the company"
    )
    assert outcome["target"] == "" or "ana" not in outcome["target"].casefold()
    assert (await as_.security.get("/users")).json()["users"] == []


async def test_somebody_who_changes_their_name_stays_who_they_are(works, port) -> None:
    works.security.create_user("admin", Role.ADMIN, "correct horse 9 battery")
    origin = f"http://127.0.0.1:{port}"
    headers = {"origin": origin, "x-isthmus": "1"}
    async with httpx.AsyncClient(base_url=origin + API, headers=headers, trust_env=False, verify=False) as client:
        await client.post("/session", json={"name": "admin", "password": "correct horse 9 battery"})
        new = {"name": "Ada", "password": "another long pass 77", "current": "correct horse 9 battery"}
        assert (await client.put("/session/password", json=new)).status_code == 200
        await client.post("/plant/plan", json={"text": PLANT})
    names = works.services.audit.names
    assert names.find("admin", "person") == []
    assert {r["who"]["id"] for r in await written(works)} - {"system"} == set(names.find("ada", "person"))


async def test_nobody_erases_themselves(works, port) -> None:
    works.security.create_user("root", Role.ADMIN, "correct horse 9 battery")
    origin = f"http://127.0.0.1:{port}"
    headers = {"origin": origin, "x-isthmus": "1"}
    async with httpx.AsyncClient(base_url=origin + API, headers=headers, trust_env=False, verify=False) as client:
        await client.post("/session", json={"name": "root", "password": "correct horse 9 battery"})
        answer = await client.delete("/privacy/people/Root", params={"reason": "x"})
        assert (answer.status_code, answer.json()["code"]) == (403, "own_account")


async def test_what_is_kept_about_people_is_said(as_) -> None:
    answer = (await as_.security.get("/privacy")).json()
    assert len(answer["kept"]) == len(KEPT)
    assert all(all(one.values()) for one in answer["kept"])
    assert answer["team_figures"] == {"smallest_group": 5}
    assert not TeamFigures(5).may_show(4)
    assert TeamFigures(1).may_show(1)


def test_every_table_says_whether_it_holds_something_about_people(tmp_path) -> None:
    """Whoever adds a table says so in `isthmus.security.privacy`: in KEPT with purpose and retention, or in NO_PEOPLE."""
    import logging

    from sqlalchemy import inspect

    file = tmp_path / "records.db"
    engine = open_records(file)
    migrate(engine, file, logging.getLogger("test"))
    assert undeclared(engine) == set()
    there = inspect(engine)
    tables = set(there.get_table_names())
    assert tables >= NO_PEOPLE
    for kept in KEPT:
        if kept.table:
            columns = {c["name"] for c in there.get_columns(kept.table)}
            assert {kept.by, *kept.shown} <= columns, kept.table
            assert kept.erase in ("delete", "pseudonym", "within")
            assert not {c for c in kept.shown if "hash" in c or "secret" in c}
    engine.dispose()


async def test_a_disk_that_hangs_refuses_after_a_while(works, monkeypatch) -> None:
    from isthmus.security.audit import service

    monkeypatch.setattr(service, "_LONGEST_S", 0.05)
    log, going = works.services.audit.log, threading.Event()
    write = log._write
    log._write = lambda items, *, closing: (going.wait(10), write(items, closing=closing))
    with pytest.raises(NotDurable, match="slow or stuck"):
        await works.services.audit.intent({"proof": "system"}, "x", "y")
    going.set()


async def test_many_changes_at_once_share_flushes(works) -> None:
    commits = []
    log = works.services.audit.log
    put_head = log._put_head
    log._put_head = lambda end, **more: (commits.append(end.seq), put_head(end, **more))
    who = {"name": "ana", "proof": "session"}
    await asyncio.gather(*(works.services.audit.intent(who, "x", str(n)) for n in range(200)))
    assert len(commits) < 60

"""The contract of docs/api.md over real HTTP."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.ports.history import Format, Function, Shape
from isthmus.security.model import Role
from isthmus.values import status
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import TryLater
from isthmus.web.api import ROUTERS, openapi_document
from isthmus.web.doors import API, PUBLIC
from isthmus.web.problems import Problem
from isthmus.web.routes.history import History
from isthmus.web.routes.tags import Tags, TagValues

NOW = 1_700_000_000 * NS_PER_S
PLAN = {"text": "plant: {}", "base": 1}

pytestmark = pytest.mark.real("uvicorn")


def is_problem(answer: httpx.Response, status_code: int, code: str = "") -> dict[str, Any]:
    """Every error has the one shape."""
    assert answer.status_code == status_code, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = Problem.model_validate_json(answer.content, strict=True)
    assert found.status == status_code
    assert found.type == f"urn:isthmus:problem:{found.code}"
    assert found.title
    assert found.detail
    if code:
        assert found.code == code
    body: dict[str, Any] = answer.json()
    return body


def operations() -> list[tuple[str, str]]:
    return [
        (method, API + route.path.replace("tokens/{n}", "tokens/9999").replace("{n}", "1"))
        for router in ROUTERS
        for route in router.routes
        for method in route.methods
    ]  # fmt: skip


CHANGING = [
    ("POST", f"{API}/plant/plan"),
    ("POST", f"{API}/plant/apply"),
    ("POST", f"{API}/plant/connections"),
    ("POST", f"{API}/connections/test"),
    ("POST", f"{API}/history/import"),
    ("POST", f"{API}/connections/browse"),
    ("POST", f"{API}/plant/changes"),
    ("POST", f"{API}/plant/changes/1/withdraw"),
    ("POST", f"{API}/plant/changes/1/apply"),
]


def url(path: str) -> str:
    return path.removeprefix(API)


# Doors


@pytest.mark.mission("M36", "M43")
async def test_everything_but_the_public_list_is_closed(as_: Any) -> None:
    posts = ("", "/link", "/badge", "/break-glass", "/station", "/passkey", "/passkey/options")
    gets = ("/methods", "/oidc/{provider}", "/oidc/{provider}/callback")
    ways_in = {("POST", f"{API}/session{way}") for way in posts} | {("GET", f"{API}/session{way}") for way in gets}
    answers = {(method, f"{API}/callout/answer/{{token}}") for method in ("GET", "POST")}  # by the link of a message
    assert ways_in | answers | {("GET", f"{API}/health"), ("POST", f"{API}/edges/enrol")} == PUBLIC
    assert len(operations()) >= 25
    for method, path in operations():
        answer = await as_.nobody.request(method, url(path))
        if (method, path) in PUBLIC:
            expected = (
                404 if "oidc" in path or "callout" in path else 403 if path.endswith("options") else 200
            )  # no provider; no name
            assert answer.status_code in (expected, 422), path
        else:
            is_problem(answer, 401, "no_credentials")
            assert answer.headers["www-authenticate"] == "Bearer"
    is_problem(await as_.nobody.get("/no/such/thing"), 401)  # strangers learn nothing of what there is


@pytest.mark.mission("M36")
async def test_a_viewer_changes_nothing_and_an_engineer_may(as_: Any) -> None:
    reading = {("PUT", f"{API}/control/modes/{{zone}}"), ("POST", f"{API}/control/trips/{{name}}/{{do}}")} | PUBLIC
    own = ("/session", "/account", "/passkeys")
    changing = [(m, p) for m, p in operations() if m != "GET" and (m, p) not in reading]
    changing = [(m, p) for m, p in changing if not p.removeprefix(API).startswith(own) or "/sessions/" in p]
    changing = [(m, p) for m, p in changing if "/account/" not in p]
    accounts = [(m, p) for m, p in changing if p.split("/")[3] in ("tokens", "users", "sessions", "stations")]
    assert len(accounts) >= 10
    for method, path in accounts:
        for client in (as_.viewer, as_.engineer):
            body = {"name": "x", "role": "viewer", "under": ["hall"]}
            found = is_problem(await client.request(method, url(path), json=body), 403)
            assert "needs role security or admin" in found["detail"]
    people = [(m, p) for m, p in changing if "/audit/" in p or "/privacy/" in p]  # test_audit.py
    for method, path in people:
        is_problem(await as_.engineer.request(method, url(path), json={}), 403)
    local = [
        (m, p) for m, p in changing if "/system/backups" in p or "/edges/" in p
    ]  # test_system.py, test_enrolment.py
    for method, path in local:
        is_problem(await as_.engineer.request(method, url(path), json={}), 403)
    approving = [(m, p) for m, p in changing if p.endswith(("/approve", "/reject"))]
    for method, path in approving:  # a second person, never the engineer who made it
        for client in (as_.viewer, as_.engineer):
            is_problem(await client.request(method, url(path), json={"reason": "x"}), 403, "role_missing")
        is_problem(await as_.supervisor.request(method, url(path), json={"reason": "x"}), 404)
    control = [(m, p) for m, p in changing if p.split("/")[3] in ("control", "recipes")]  # test_control.py
    for method, path in set(control) - set(approving):
        body = {"path": "hall", "value": 1, "why": "x", "reason": "x", "name": "x", "items": []}
        is_problem(await as_.viewer.request(method, url(path), json=body), 403, "role_missing")
    rooms = (  # each has tests of its own
        "alarms",
        "callout",
        "screens",
        "calendar",
        "kpis",
        "products",
        "orders",
        "lots",
        "people",
        "readings",
        "quality",
        "shifts",
        "production",
    )
    desks = [(m, p) for m, p in changing if p.split("/")[3] in rooms]
    for method, path in desks:
        is_problem(await as_.viewer.request(method, url(path), json={}), 403, "role_missing")
    changing = [one for one in changing if one not in (*accounts, *people, *local, *approving, *control, *desks)]
    assert sorted(changing) == sorted(CHANGING)
    for method, path in changing:
        found = is_problem(await as_.viewer.request(method, url(path), json=PLAN), 403, "role_missing")
        assert "engineer" in found["detail"]
        answer = await as_.engineer.request(method, url(path), json=PLAN)
        assert answer.status_code in (200, 422) or is_problem(answer, 404, "no_changes"), path


async def test_every_error_has_one_shape(as_: Any, works: Any) -> None:
    for method, path in operations():
        if "/callout/answer/" in path:
            continue  # pages for people, by the link of a message
        for client in (as_.nobody, as_.viewer, as_.admin):
            for wrong in ({"content": b"{"}, {"content": b'"x"', "headers": {"content-type": "application/json"}}, {}):
                if method == "GET" and wrong:
                    continue
                answer = await client.request(method, url(path), params={"limit": "x", "start": "x"}, **wrong)
                if answer.status_code >= 400:
                    is_problem(answer, answer.status_code)
    is_problem(await as_.viewer.get("/nothing"), 404, "not_found")
    is_problem(await as_.viewer.get("/plant/versions/77"), 404, "unknown_version")
    wrong_method = await as_.viewer.patch("/site")
    is_problem(wrong_method, 405, "method_not_allowed")
    assert wrong_method.headers["allow"] == "GET"
    is_problem(await as_.viewer.get("/live"), 426, "upgrade_required")
    works.crash = True
    assert "ZeroDivision" not in is_problem(await as_.viewer.get("/site"), 500, "internal")["detail"]


async def test_wrong_tokens_are_nobody(as_: Any, works: Any) -> None:
    good = works.tokens["viewer"]
    for wrong in (good[:-1], good + "x", "isk_" + "A" * 43, "x", "isk_é"):
        headers = {"Authorization": f"Bearer {wrong}".encode()}
        is_problem(await as_.nobody.get("/site", headers=headers), 401)
    is_problem(await as_.nobody.get("/site", headers={"Authorization": f"Basic {good}"}), 401)
    assert (await as_.nobody.get("/site", headers={"Authorization": f"bearer {good}"})).status_code == 200
    works.security.revoke_token(works.security.tokens()[0].id)
    is_problem(await as_.viewer.get("/site"), 401)


async def test_only_known_names_are_answered(as_: Any) -> None:
    for host in ("localhost:8420", "127.0.0.1", "[::1]:8420", "192.168.0.7:80", "plant.example", "PLANT.example:1"):
        assert (await as_.nobody.get("/health", headers={"Host": host})).status_code == 200, host
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1:80.evil.example", ""):
        is_problem(await as_.nobody.get("/health", headers={"Host": host}), 421, "unknown_host")


async def test_answers_carry_the_security_headers(as_: Any) -> None:
    for path in ("/health", "/nothing", "/../../"):
        headers = (await as_.nobody.get(path)).headers
        policy = headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers
    assert (await as_.nobody.get("/health")).headers["cache-control"] == "no-store"


async def test_bodies_are_bounded_announced_or_not(as_: Any) -> None:
    async def chunks() -> Any:
        for _ in range(40):
            yield b" " * 10_000

    json_type = {"content-type": "application/json"}
    is_problem(await as_.nobody.post("/session", content=b" " * 300_000, headers=json_type), 413, "too_large")
    is_problem(await as_.nobody.post("/session", content=chunks(), headers=json_type), 413, "too_large")
    large = {"text": "#" * 11_000_000, "base": 1}
    assert (await as_.engineer.post("/plant/plan", json=large, timeout=60)).status_code == 200


# Signing in


def origin(client: httpx.AsyncClient) -> dict[str, str]:
    return {"X-Isthmus": "1", "Origin": f"http://{client.base_url.netloc.decode()}"}


async def test_from_the_first_link_to_a_password(as_: Any, works: Any) -> None:
    browser = as_.nobody
    link = works.security.first_link()
    entered = await browser.post("/session/link", json={"link": link})
    assert entered.json() == {
        "user": {"name": "admin", "role": "admin", "has_password": False},
        "enterprise": "acme", "site": "lyon", "timezone": "Europe/Paris", "version": "0.1.0",
        "station": "", "emergency": "none",
    }  # fmt: skip
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    is_problem(await browser.post("/session/link", json={"link": link}, headers=origin(browser)), 401, "link_spent")
    assert (await browser.get("/session")).json() == entered.json()
    new = {"name": "Ana", "password": "correct horse battery"}
    short = is_problem(
        await browser.put("/session/password", json={**new, "password": "short"}, headers=origin(browser)), 422
    )
    assert "12 characters" in short["detail"]
    assert "short" not in json.dumps(short["errors"])
    changed = await browser.put("/session/password", json=new, headers=origin(browser))
    assert changed.json()["user"] == {"name": "Ana", "role": "admin", "has_password": True}
    again = {**new, "password": "another password", "current": "wrong password"}
    is_problem(
        await browser.put("/session/password", json=again, headers=origin(browser)), 403, "wrong_current_password"
    )
    assert (await browser.delete("/session", headers=origin(browser))).status_code == 204
    is_problem(await browser.get("/session"), 401)
    assert (await browser.post("/session", json=new)).json()["user"]["name"] == "Ana"
    assert (await browser.get("/site")).status_code == 200


async def test_five_wrong_passwords_then_wait(as_: Any, works: Any) -> None:
    works.security.create_user("ana", Role.VIEWER, "correct horse battery")
    for _ in range(5):
        is_problem(await as_.nobody.post("/session", json={"name": "ana", "password": "wrong"}), 401, "wrong_password")
    answer = await as_.nobody.post("/session", json={"name": "ana", "password": "correct horse battery"})
    is_problem(answer, 429, "too_many_failures")
    assert answer.headers["retry-after"] == "30"


async def test_secrets_are_not_repeated_in_answers(as_: Any) -> None:
    answer = await as_.nobody.post("/session", json={"name": "x" * 65, "password": "y" * 2000})
    assert "yyy" not in answer.text
    assert is_problem(answer, 422, "invalid")["errors"][0]["path"] == "name"


async def test_a_session_changes_things_only_from_its_own_pages(as_: Any, works: Any) -> None:
    browser = as_.nobody
    await browser.post("/session/link", json={"link": works.security.first_link()})
    good = origin(browser)
    for wrong in (
        {},
        {"X-Isthmus": "1"},
        {"Origin": good["Origin"]},
        {**good, "Origin": "http://evil.example"},
        {**good, "Origin": "null"},
        {**good, "X-Isthmus": "0"},
    ):
        is_problem(await browser.post("/plant/plan", json=PLAN, headers=wrong), 403, "cross_site")
    assert (await browser.post("/plant/plan", json=PLAN, headers=good)).status_code == 200
    is_problem(
        await as_.engineer.post("/plant/plan", json=PLAN, headers={"Origin": "http://evil.example"}), 403, "cross_site"
    )
    assert (await as_.engineer.post("/plant/plan", json=PLAN)).status_code == 200


# Reading


@pytest.mark.mission("M43")
async def test_health_needs_nothing(as_: Any) -> None:
    answer = await as_.nobody.get("/health")
    assert answer.json() == {"status": "ok"}


async def test_site(as_: Any) -> None:
    site = (await as_.viewer.get("/site")).json()
    assert site["now"] == "2023-11-14T22:13:20.000Z"
    assert (site["enterprise"], site["model_version"]) == ("acme", 1)
    assert site["edges"][1] == {"name": "edge-2", "state": "unknown", "age_s": None, "queued": 0, "dropped": 0}
    assert site["historian"] == {"lag_s": 0.4, "rows": 10, "state": "running", "disk_hours": None}


async def test_assets_and_tags(as_: Any) -> None:
    assets = (await as_.viewer.get("/assets")).json()["assets"]
    assert [(a["path"], a["tags"]) for a in assets] == [
        ("", 9),
        ("hall", 5),
        ("hall/line1", 4),
        ("hall/line1/filler", 4),
    ]
    assert len((await as_.viewer.get("/assets", params={"under": "hall/line1"})).json()["assets"]) == 2
    answer = await as_.viewer.get("/tags", params={"under": "hall/line1"})
    tags = Tags.model_validate_json(answer.content, strict=True)
    assert [t.name for t in tags.tags] == ["batch", "good", "speed", "state"]
    assert answer.json()["tags"][2] == {
        "id": 1, "path": "hall/line1/filler/speed", "asset": "hall/line1/filler", "name": "speed", "kind": "value",
        "type": "float", "unit": "1/min", "decimals": 1, "description": "Bottles a minute", "low": 0.0, "high": 160.0,
        "limits": {"high": 140.0}, "setpoint": "", "states": None, "connection": "plc1", "address": "hr 2 float32",
        "formula": "", "edge": "edge-1", "order": 0,
    }  # fmt: skip
    assert tags.tags[3].states == {"0": "Idle", "6": "Execute"}
    page = (await as_.viewer.get("/tags", params={"search": "SPEED line2"})).json()
    assert (page["total"], page["tags"][0]["path"]) == (1, "hall/line2/filler/speed")
    page = (await as_.viewer.get("/tags", params={"offset": 1, "limit": 2})).json()
    assert (page["total"], len(page["tags"])) == (9, 2)


async def test_values(as_: Any, works: Any) -> None:
    works.feed(
        {"hall/line1/filler/speed": 99.5, "hall/line1/filler/good": 2**60 + 1, "hall/line1/filler/batch": "B-7"}, 0.25
    )
    answer = await as_.viewer.get("/tags/values", params={"under": "hall/line1"})
    values = TagValues.model_validate_json(answer.content)
    assert [(v.value, v.status) for v in values.values] == [
        ("B-7", "Good"), (2**60 + 1, "Good"), (99.5, "Good"), (None, "BadWaitingForInitialData"),
    ]  # fmt: skip
    assert answer.json()["values"][2]["time"] == "2023-11-14T22:13:20.250Z"
    assert answer.json()["values"][3]["time"] is None
    works.live.edge_stale("edge-1", True)
    stale = (await as_.viewer.get("/tags/values", params={"under": "hall/line1/filler/speed"})).json()["values"]
    assert (stale[0]["value"], stale[0]["status"]) == (99.5, "UncertainNoCommunicationLastUsableValue")
    assert "last_good" not in stale[0]
    works.feed({"hall/line1/filler/speed": 0.0, "hall/line1/filler/state": 0}, 1, status.BAD_NO_COMMUNICATION)
    bad = (await as_.viewer.get("/tags/values", params={"under": "hall/line1"})).json()["values"]
    assert [v.get("last_good") for v in bad] == [
        None, None, {"value": 99.5, "time": "2023-11-14T22:13:20.250Z"}, None,
    ]  # fmt: skip


@pytest.mark.mission("M43")
async def test_history_in_json(as_: Any, works: Any) -> None:
    tags = ["hall/line1/filler/speed", "hall/line1/filler/good", "hall/line1/filler/speed"]
    answer = await as_.viewer.get("/history", params={"tag": tags, "start": "now-8h", "end": "now", "points": 50})
    history = History.model_validate_json(answer.content)
    assert history.tags == tags[:2]
    assert history.columns == ["tag", "time", "first", "min", "max", "last", "mean", "count", "bad_s"]
    assert history.rows == [[0, 1700000000000, 1.5, 0.5, 2, 1.25, None, 4, 0]]
    assert (history.start, history.end, history.snapped_s) == (
        "2023-11-14T14:13:20.000Z",
        "2023-11-14T22:13:20.000Z",
        600,
    )
    asked = works.history.asked[0]
    assert (asked.tags, asked.points, asked.shape, asked.format) == ((1, 2), 50, Shape.BOUNDED, Format.JSON)
    assert asked.end_ns - asked.start_ns == 8 * 3600 * NS_PER_S
    raw = (await as_.viewer.get("/history", params={"tag": tags[0], "shape": "raw"})).json()
    assert raw["columns"] == ["tag", "time", "value", "status"]
    params = {"tag": tags[0], "shape": "aggregate", "functions": "min,sum"}
    assert (await as_.viewer.get("/history", params=params)).json()["columns"] == ["tag", "time", "min", "sum"]
    assert works.history.asked[-1].functions == (Function.MIN, Function.SUM)


@pytest.mark.parametrize("shape", ["bounded", "raw"])
async def test_history_in_csv_and_arrow(as_: Any, shape: str) -> None:
    params = {"tag": "hall/line1/filler/speed", "start": "2023-11-14T00:00:00Z", "end": "2023-11-15", "shape": shape}
    csv = await as_.viewer.get("/history", params=params, headers={"Accept": "text/csv"})
    assert csv.headers["content-type"].startswith("text/csv")
    assert csv.text.startswith("tag,time,")
    assert csv.headers["content-encoding"] == "gzip"
    assert csv.headers["content-disposition"] == (
        'attachment; filename="hall-line1-filler-speed_2023-11-14T000000Z_2023-11-15T000000Z.csv"'
    )
    accept = "application/json;q=0.1, application/vnd.apache.arrow.stream"
    arrow = await as_.viewer.get("/history", params=params, headers={"Accept": accept})
    assert arrow.headers["content-type"] == "application/vnd.apache.arrow.stream"
    assert "content-encoding" not in arrow.headers


async def test_history_refuses_what_makes_no_sense(as_: Any, works: Any) -> None:
    good = {"tag": "hall/line1/filler/speed"}
    for wrong in (
        {"tag": []},
        {**good, "points": 0},
        {**good, "points": 20_001},
        {**good, "start": "now", "end": "now-1h"},
        {**good, "start": "yesterday"},
        {**good, "start": "2023-01-01T00:00:00"},
        {**good, "start": "1969-12-31"},
        {**good, "shape": "aggregate"},
        {**good, "functions": "min"},
        {**good, "shape": "aggregate", "functions": "median"},
        {**good, "shape": "odd"},
    ):
        is_problem(await as_.viewer.get("/history", params=wrong), 422, "invalid")
    found = is_problem(
        await as_.viewer.get("/history", params={"tag": ["hall/line1/filler/speed", "no/such"]}), 404, "unknown_tag"
    )
    assert "no/such" in found["detail"]
    is_problem(await as_.viewer.get("/history", params=good, headers={"Accept": "image/png"}), 406, "not_acceptable")
    assert works.history.asked == []


@pytest.mark.parametrize("shape", ["bounded", "raw"])
async def test_a_busy_historian_says_when_to_come_again(as_: Any, works: Any, shape: str) -> None:
    works.history.fails = TryLater("the question takes too long; ask for a shorter range", 2.5)
    for accept in ("application/json", "text/csv"):
        params = {"tag": "hall/line1/filler/speed", "shape": shape}
        answer = await as_.viewer.get("/history", params=params, headers={"Accept": accept})
        is_problem(answer, 503, "try_later")
        assert answer.headers["retry-after"] == "3"


async def test_a_thousand_tags_fit_into_one_question(as_: Any, works: Any) -> None:
    paths = [f"area/line-{i:04d}/cell/machine/temperature" for i in range(1000)]
    tag = works.live.plant.tags[0]
    by_path = {path: replace(tag, id=i, path=path) for i, path in enumerate(paths)}
    works.live.plant = replace(works.live.plant, by_path=by_path)
    answer = await as_.viewer.get(
        "/history", params={"tag": paths, "shape": "raw"}, headers={"Accept": "application/vnd.apache.arrow.stream"}
    )
    assert answer.status_code == 200
    assert len(works.history.asked[0].tags) == 1000
    found = is_problem(await as_.viewer.get("/history", params={"tag": paths[:101], "shape": "raw"}), 422, "invalid")
    assert "100" in found["detail"]


async def test_gaps_and_outages(as_: Any) -> None:
    gaps = (await as_.viewer.get("/gaps", params={"start": "now-10m"})).json()["gaps"]
    assert gaps[0] == {
        "edge": "edge-1", "start": "2023-11-14T22:03:20.000Z", "end": "2023-11-14T22:13:20.000Z", "reason": "bus away",
    }  # fmt: skip
    outages = (await as_.viewer.get("/connections/outages")).json()["outages"]
    assert [(o["connection"], o["end"]) for o in outages] == [("plc2", None), ("plc1", "2023-11-14T22:13:20.000Z")]
    assert len((await as_.viewer.get("/connections/outages", params={"connection": "plc1"})).json()["outages"]) == 1
    assert len((await as_.viewer.get("/connections/outages", params={"limit": 1})).json()["outages"]) == 1


async def test_connections_tell_how_they_are(as_: Any, works: Any) -> None:
    works.feed(
        {
            "connections/plc1/state": "Bad",
            "connections/plc1/reason": "no answer",
            "connections/plc1/latency": 2.5,
            "connections/plc1/errors": 3,
        },
        9,
    )
    works.feed({"connections/plc1/state": "Bad"}, 11)  # said again, and still the same
    works.feed({"hall/line1/filler/speed": 1.0}, 5)
    works.feed({"hall/line1/filler/good": 1}, 7, code=status.BAD_TIMEOUT)
    plc1, plc2 = (await as_.viewer.get("/connections")).json()["connections"]
    assert plc1 == {
        "name": "plc1", "driver": "modbus-tcp", "edge": "edge-1", "zone": "line1", "access": "read-only",
        "endpoint": "127.0.0.1:5020", "tags": 4, "state": "Bad", "reason": "no answer",
        "since": "2023-11-14T22:13:29.000Z", "latency_ms": 2.5, "requests_s": None, "values_s": None, "errors": 3,
        "lag_s": None, "last_good": "2023-11-14T22:13:25.000Z",
    }  # fmt: skip
    assert (plc2["state"], plc2["last_good"]) == ("Unknown", None)
    works.live.edge_stale("edge-1", True)
    plc1 = (await as_.viewer.get("/connections")).json()["connections"][0]
    assert (plc1["state"], plc1["last_good"]) == ("Stale", "2023-11-14T22:13:25.000Z")
    assert "edge-1" in plc1["reason"]


async def test_drivers_tell_their_settings(as_: Any) -> None:
    assert (await as_.viewer.get("/drivers")).json()["drivers"] == [
        {
            "name": "sine",
            "title": "A sine",
            "settings": [
                {"name": "host", "type": "text", "default": None, "doc": "Where it is.", "required": True, "choices": None},
                {"name": "order", "type": "text", "default": "big", "doc": "", "required": False, "choices": None},
                {"name": "port", "type": "int", "default": 502, "doc": "TCP port;\n502 by rule.", "required": False, "choices": None},
                {"name": "secure", "type": "bool", "default": False, "doc": "", "required": False, "choices": None},
            ],
        }
    ]  # fmt: skip


async def test_a_connection_is_tested_from_its_edge(as_: Any) -> None:
    test = {"edge": "edge-1", "driver": "sine", "config": {"host": "x"}, "addresses": ["hr 1"]}
    answer = (await as_.engineer.post("/connections/test", json=test)).json()
    assert answer["steps"][0] == {"what": "Port open", "reached": True, "detail": "sine {'host': 'x'}"}
    assert answer["values"] == [{"address": "hr 1", "value": 1, "status": "Good", "problem": ""}]
    is_problem(await as_.engineer.post("/connections/test", json={**test, "edge": "edge-9"}), 503, "not_connected")
    later = await as_.engineer.post("/connections/test", json={**test, "edge": "edge-8"})
    is_problem(later, 503, "try_later")
    assert later.headers["retry-after"] == "3"


@pytest.mark.mission("M44")
async def test_a_device_is_browsed_from_its_edge(as_: Any) -> None:
    device = {"driver": "sine", "config": {"host": "x"}, "root": "ns=2;s=Line"}
    answer = (await as_.engineer.post("/connections/browse", json=device)).json()
    assert answer["nodes"][0]["address"] == "edge-1 sine {'host': 'x'} ns=2;s=Line"
    known = (await as_.engineer.get("/connections")).json()["connections"][0]
    answer = (await as_.engineer.post("/connections/browse", json={"connection": known["name"]})).json()
    assert answer["nodes"][0]["name"] == known["name"]
    assert answer["nodes"][0]["address"].startswith(known["edge"])
    for wrong in ({}, {"connection": "no-such"}):
        is_problem(await as_.engineer.post("/connections/browse", json=wrong), 422)


# Changing


async def test_the_plant_is_planned_applied_and_read_back(as_: Any, works: Any) -> None:
    plan = (await as_.engineer.post("/plant/plan", json={**PLAN, "files": {"a.csv": "eA=="}})).json()
    assert plan["changes"] == [{"action": "add", "what": "tag", "path": "hall/x", "detail": "float, 1 files"}]
    assert plan["warnings"][0]["severity"] == "warning"
    assert works.applied == []
    wrong = await as_.engineer.post("/plant/plan", json={**PLAN, "files": {"a.csv": "é"}})
    assert "files.a.csv: must be base64" in is_problem(wrong, 422)["detail"]
    applied = await as_.engineer.post("/plant/apply", json={"text": "plant: {a: 1}", "base": 1, "reason": "more"})
    assert applied.json() == {"version": 2}
    assert works.applied == [2]
    assert (await as_.viewer.get("/plant")).json() == {
        "version": 2, "text": "plant: {a: 1}", "applied": "2023-11-14T22:13:20.000Z", "by": "engineer", "reason": "more",
        "files": {},
    }  # fmt: skip
    assert [v["version"] for v in (await as_.viewer.get("/plant/versions")).json()["versions"]] == [2, 1]
    assert (await as_.viewer.get("/plant/versions/1")).json()["text"] == "plant: {}\n"
    stale = await as_.engineer.post("/plant/apply", json={"text": "plant: {}", "base": 1, "reason": ""})
    is_problem(stale, 409, "stale_base")


async def test_a_wrong_plant_names_every_place(as_: Any) -> None:
    found = is_problem(await as_.engineer.post("/plant/plan", json={"text": "wrong", "base": 1}), 422, "findings")
    assert found["errors"] == [
        {
            "where": "plant.yaml", "line": 3, "column": 7, "path": "assets.filler", "problem": "unknown type",
            "value": "fillr", "severity": "error",
        }
    ]  # fmt: skip


async def test_a_connection_is_added_to_the_text(as_: Any) -> None:
    new = {"name": "plc3", "connection": {"driver": "sine", "host": "x"}, "base": 1}
    answer = (await as_.engineer.post("/plant/connections", json=new)).json()
    assert answer["text"] == "plant: {}\n# plc3 ['driver', 'host']\n"
    assert answer["changes"]


async def test_rooms_that_fail_do_not_make_an_applied_version_look_refused(as_: Any, works: Any) -> None:
    async def broken(_: int) -> None:
        raise NotImplementedError

    works.services.on_applied = broken
    applied = await as_.engineer.post("/plant/apply", json={"text": "plant: {}", "base": 1, "reason": ""})
    assert applied.json() == {"version": 2}


async def test_a_plant_without_points_is_not_written(as_: Any) -> None:
    body = {"path": "hall/line1/filler/speed", "value": 1}
    for client in (as_.viewer, as_.engineer, as_.admin):
        is_problem(await client.post("/control/writes", json=body), 403, "role_missing")
    for client in (as_.operator, as_.supervisor):
        is_problem(await client.post("/control/writes", json=body), 403, "not_writable")
        is_problem(await client.post("/control/writes", json={**body, "path": "hall/nope"}), 404, "unknown_tag")
        is_problem(await client.post("/control/writes", content=b""), 422)


# The contract itself


@pytest.mark.mission("M43")
async def test_the_contract_is_served_and_whole(as_: Any) -> None:
    document = (await as_.viewer.get("/openapi.json")).json()
    assert document == json.loads(json.dumps(openapi_document()))
    seen = {(m.upper(), p) for p, methods in document["paths"].items() for m in methods}
    routes = {(m, API + r.path_format) for router in ROUTERS for r in router.routes for m in r.methods}
    assert seen == routes - {("GET", f"{API}/openapi.json")}
    names = [o["operationId"] for methods in document["paths"].values() for o in methods.values()]
    assert len(names) == len(set(names))
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["tags"]
            assert (operation["security"] == []) == ((method.upper(), path) in PUBLIC)
            for code, answer in operation["responses"].items():
                if code == "default" or int(code) >= 400:
                    assert answer["content"]["application/problem+json"]["schema"]["$ref"].endswith("/Problem")


async def test_large_json_is_compressed_and_small_is_not(as_: Any) -> None:
    large = await as_.viewer.get("/tags")
    assert large.headers["content-encoding"] == "gzip"
    assert "Accept-Encoding" in large.headers["vary"]
    assert len(large.json()["tags"]) == 9
    plain = await as_.viewer.get("/tags", headers={"Accept-Encoding": "br, gzip;q=0"})
    assert "content-encoding" not in plain.headers
    assert plain.json() == large.json()
    assert "content-encoding" not in (await as_.viewer.get("/health")).headers


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
anything = st.one_of(
    text, st.sampled_from(["now", "now-8h", "raw", "hall", "-1", "1e9", "99999999999999999999", "NaN", "%00"])
)
QUESTIONS = [
    "/tags",
    "/tags/values",
    "/history",
    "/gaps",
    "/assets",
    "/connections/outages",
    "/plant/versions/1",
    "/site",
]


async def test_no_question_breaks_it(as_: Any) -> None:
    names = st.sampled_from(
        ["under", "search", "offset", "limit", "tag", "start", "end", "points", "shape", "functions", "connection"]
    )

    async def ask(path: str, params: list[tuple[str, str]]) -> None:
        answer = await as_.viewer.get(path, params=params)
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            is_problem(answer, answer.status_code)

    loop = asyncio.get_running_loop()

    @settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(QUESTIONS), st.lists(st.tuples(names, anything), max_size=6))
    def fuzz(path: str, params: list[tuple[str, str]]) -> None:
        asyncio.run_coroutine_threadsafe(ask(path, params), loop).result(30)

    await asyncio.to_thread(fuzz)


async def test_no_body_breaks_it(as_: Any) -> None:
    leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), text)
    bodies = st.dictionaries(
        st.sampled_from(["text", "base", "reason", "files", "name", "connection", "edge", "driver", "config", "addresses", "link", "password"]),
        st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=5),
    )  # fmt: skip

    async def ask(path: str, body: bytes) -> None:
        answer = await as_.admin.post(url(path), content=body, headers={"content-type": "application/json"})
        assert answer.status_code < 500, answer.text

    loop = asyncio.get_running_loop()
    paths = [p for _, p in CHANGING] + [f"{API}/session", f"{API}/session/link"]

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(paths), bodies)
    def fuzz(path: str, body: dict[str, Any]) -> None:
        asyncio.run_coroutine_threadsafe(ask(path, json.dumps(body).encode()), loop).result(30)

    await asyncio.to_thread(fuzz)


async def test_a_download_that_is_broken_off_ends_the_question(
    as_: Any, works: Any, caplog: pytest.LogCaptureFixture
) -> None:
    ended = asyncio.Event()

    async def endless(_: object) -> Any:
        try:
            while True:
                yield b"0,1,2,0\n" * 1000
                await asyncio.sleep(0)
        finally:
            ended.set()

    works.history.stream = endless
    params = {"tag": "hall/line1/filler/speed", "shape": "raw"}
    async with as_.viewer.stream("GET", "/history", params=params, headers={"Accept": "text/csv"}) as answer:
        async for _ in answer.aiter_raw():
            break
    await asyncio.wait_for(ended.wait(), 10)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_stream_that_fails_half_way_is_not_taken_for_whole(as_: Any, works: Any) -> None:
    async def broken(_: object) -> Any:
        yield b"tag,time,value,status\n" * 5000
        raise TryLater("the engine gave up")

    works.history.stream = broken
    params = {"tag": "hall/line1/filler/speed", "shape": "raw"}
    for encoding in ("gzip", "identity"):
        with pytest.raises(httpx.RemoteProtocolError):
            await as_.viewer.get("/history", params=params, headers={"Accept": "text/csv", "Accept-Encoding": encoding})


@pytest.mark.mission("M46")
async def test_connectors_tell_how_they_are_and_what_was_refused(as_) -> None:
    (one,) = (await as_.viewer.get("/connectors")).json()["connectors"]
    assert (one["name"], one["state"], one["lag_s"], one["since"]) == (
        "cloud",
        "Waiting",
        1.5,
        "2023-11-14T22:13:20.000Z",
    )
    (letter,) = (await as_.viewer.get("/connectors/cloud/dead-letters?limit=5")).json()["dead_letters"]
    assert letter["reason"] == "answered 422"
    assert [(s["tag"], s["value"], s["status"]) for s in letter["samples"]] == [
        ("hall/line1/filler/speed", None, "Good"),
        ("hall/line1/filler/good", None, "BadCommunicationError"),
        ("hall/line1/filler/batch", "B 7", "Good"),
    ]
    assert (await as_.viewer.get("/connectors/nobody/dead-letters")).status_code == 404
    assert (await as_.viewer.get("/connectors/cloud/dead-letters?limit=0")).status_code == 422
    assert (await as_.nobody.get("/connectors")).status_code == 401

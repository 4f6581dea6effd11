"""Every route × every role × every zone against a table written by hand, and what a narrowed principal is shown."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.responses import Response
from typer.testing import CliRunner
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from isthmus.app.datadir import DataDir
from isthmus.cli.main import command_line
from isthmus.namespace.model import Asset, Conduit, Lockout, OwnRole, Plant, Rule, RuleInstance, Zone
from isthmus.security.model import Action, Principal, Proof, Role, Scope
from isthmus.security.service import key_of
from isthmus.web.access import Allow, asked_of
from isthmus.web.api import ROUTERS, create_app
from isthmus.web.doors import API, PUBLIC, LocalDoor
from isthmus.web.routes.system import scraped
from isthmus.web.server import running

ALL = {role.value for role in Role} | {"crew"}
MAY: dict[Action, set[str]] = {
    Action.READ: ALL,
    Action.WRITE: {"operator", "supervisor", "crew"},
    Action.CONTROL_APPROVE: {"operator", "supervisor", "crew"},
    Action.CONTROL_MODE: {"supervisor"},
    Action.CONTROL_LOCKOUT: {"supervisor", "engineer", "maintainer", "admin"},
    Action.ALARM_ACKNOWLEDGE: {"operator", "supervisor", "crew", "admin"},
    Action.ALARM_SHELVE: {"operator", "supervisor", "crew", "admin"},
    Action.ALARM_CHANGE: {"supervisor", "engineer", "admin"},
    Action.CALLOUT_CHANGE: {"supervisor", "engineer", "admin"},
    Action.RECIPE_CHANGE: {"supervisor", "engineer", "admin"},
    Action.RECIPE_APPROVE: {"supervisor", "admin"},
    Action.SCREEN_CHANGE: {"engineer", "admin"},
    Action.SCREEN_PUBLISH: {"supervisor", "engineer", "admin"},
    Action.PRODUCTION_RECORD: {"operator", "supervisor", "crew", "maintainer", "admin"},
    Action.PRODUCTION_SIGN: {"operator", "supervisor", "crew", "engineer", "maintainer", "admin"},
    Action.PRODUCTION_CORRECT: {"supervisor", "admin"},
    Action.PRODUCTION_PLAN: {"supervisor", "engineer", "admin"},
    Action.PLANT_CHANGE: {"engineer", "admin"},
    Action.PLANT_APPROVE: {"supervisor", "security", "admin"},
    Action.CONNECTION_TEST: {"engineer", "maintainer", "admin", "crew"},
    Action.ACCOUNT_OWN: ALL,
    Action.ACCOUNTS: {"security", "admin"},
    Action.SECURITY: {"security", "admin"},
    Action.AUDIT_READ: {"security", "admin"},
    Action.PRIVACY: {"security", "admin"},
    Action.BACKUP: {"admin"},
}
"""The table. ``crew`` is a role of the plant: an operator that may test connections."""

CONDUIT = {"read", "live", "sign-in", "change"}
"""What the office may send to core: so no test, no administration, no history."""

KIND = {
    Action.CONTROL_APPROVE: "write", Action.CONTROL_MODE: "write", Action.CONTROL_LOCKOUT: "write", Action.ALARM_ACKNOWLEDGE: "write",
    Action.ALARM_SHELVE: "write", Action.ALARM_CHANGE: "change", Action.CALLOUT_CHANGE: "change", Action.RECIPE_CHANGE: "change",
    Action.RECIPE_APPROVE: "change", Action.SCREEN_CHANGE: "change", Action.SCREEN_PUBLISH: "change",
    Action.PRODUCTION_RECORD: "write", Action.PRODUCTION_SIGN: "write", Action.PRODUCTION_CORRECT: "change", Action.PRODUCTION_PLAN: "change",
    Action.READ: "read", Action.WRITE: "write", Action.PLANT_CHANGE: "change", Action.PLANT_APPROVE: "change",
    Action.CONNECTION_TEST: "test", Action.ACCOUNT_OWN: "sign-in", Action.ACCOUNTS: "administer", Action.SECURITY: "administer",
    Action.AUDIT_READ: "audit", Action.PRIVACY: "administer", Action.BACKUP: "administer",
}  # fmt: skip
ZONES = {"same zone": "127.0.0.1", "with conduit": "127.9.0.1", "without conduit": "127.5.0.1"}
REACHED = 299


def zoned(plant: Plant) -> Plant:
    """The plant of these tests with zones, an office, a cut-off zone, and own roles."""
    assets = (*plant.assets, Asset("hall/line2", "line2", "line", "", "hall", 4), Asset("hall/line2/filler", "filler", "asset", "filler", "hall/line2", 5, {"state": "x"}, "secret", zone="line2"))  # fmt: skip
    rule = Rule("fast", "filler", "speed > 1")
    return replace(
        plant,
        assets=assets,
        rules=((rule, (RuleInstance("hall/line1/filler", "edge-1"), RuleInstance("hall/line2/filler", "edge-2"))),),
        zones=(
            Zone("office", networks=("127.9.0.0/16",)),
            Zone("cut", networks=("127.5.0.0/16",)),
            Zone("line1"),
            Zone("line2"),
        ),
        conduits=(
            Conduit("office", "office", "site", tuple(sorted(CONDUIT))),
            Conduit("office1", "office", "line1", ("read", "live")),
            Conduit("core1", "site", "line1", ("read", "live", "history", "write")),
            Conduit("core2", "site", "line2", ("read", "live", "history", "write")),
        ),
        roles=(
            OwnRole("crew", extends=("operator",), allow=("connection.test",)),
            OwnRole("narrow", extends=("admin",), under=("hall/line1",)),
        ),
    )


@pytest.fixture
def known(works: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Principal]:
    """Tokens by what they say: ``isk_`` and anything, as the fixture's caller fills them in."""
    found: dict[str, Principal] = {}
    works.namespace.plant = zoned(works.namespace.plant)
    works.live.describe(works.namespace.plant)
    monkeypatch.setattr(works.security, "recall", lambda _, key, **_how: found.get(key))
    monkeypatch.setattr(works.security, "verify", lambda _, key, **_how: found.get(key))
    return found


def admit(
    known: dict[str, Principal], name: str, role: str, proof: Proof = Proof.TOKEN, **scope: Any
) -> dict[str, str]:
    """Somebody with a token; the headers he sends."""
    token = "isk_" + name.ljust(43, "x")
    known[key_of(token)] = Principal(name, role, proof, key_of(token), 1, scope=Scope(**scope))
    return {"Authorization": f"Bearer {token}"}


async def ask(app: Any, method: str, path: str, source: str, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """One request, handed to the application as a server would: the matrix asks it some twenty thousand times."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    raw = [(b"host", b"localhost"), *((k.lower().encode(), v.encode()) for k, v in headers.items())]
    await app(
        {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http", "path": path,
            "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": raw, "client": (source, 4711),
            "server": ("localhost", 80),
        },
        receive,
        send,
    )  # fmt: skip
    kind = dict(sent[0]["headers"]).get(b"content-type", b"")
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], json.loads(body) if b"problem" in kind else {}


def filled(path: str) -> str:
    """A path with its parameters filled in."""
    while "{" in path:
        head, _, rest = path.partition("{")
        name, _, tail = rest.partition("}")
        path = f"{head}{2**31 - 1 if name in ('n', 'id', 'ident') else 'nobody'}{tail}"
    return path


def allowed(asked: Allow, role: str, proof: Proof, zone: str) -> bool:
    """What the table says."""
    if asked.action is Action.ACCOUNT_OWN and proof is not Proof.SESSION:
        return False
    kind = asked.kind or KIND[asked.action]
    if zone == "without conduit" or (zone == "with conduit" and kind not in CONDUIT):
        return False
    if role == "narrow":  # an administrator of one line: nothing that concerns the whole site
        return "admin" in MAY[asked.action] and (asked.part or asked.action is Action.ACCOUNT_OWN)
    return role in MAY[asked.action]


def stubbed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, Allow | None]]:
    """All routes; what they do is replaced by a note that they were reached, before the application is made of them."""

    async def reached() -> Response:
        return Response(status_code=REACHED)

    found = []
    for router, prefix in [*((router, API) for router in ROUTERS), (scraped, "")]:
        for route in router.routes:
            assert isinstance(route, APIRoute), f"{route} is no route the policy knows how to guard"
            monkeypatch.setattr(route, "endpoint", reached)
            found += [(method, prefix + route.path, asked_of(route)) for method in sorted(route.methods)]
    return found


@pytest.mark.mission("M36", "M76", "M77")
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("proof", [Proof.TOKEN, Proof.SESSION])
async def test_every_route_answers_every_role_from_every_zone_as_the_table_says(
    works: Any, known: dict[str, Principal], monkeypatch: pytest.MonkeyPatch, proof: Proof, zone: str
) -> None:
    routes = stubbed(monkeypatch)
    app = create_app(works.services)
    served = {(method, route.path) for route in app.routes for method in route.methods}  # type: ignore[attr-defined]  # all are ours
    assert served == {(method, path) for method, path, _ in routes}
    assert len(routes) > 45
    wrong = []
    for role in [*sorted(ALL), "narrow", "gone"]:
        headers = admit(known, f"{role}-{proof}-{zone}".replace(" ", "-"), role, proof)
        for method, path, asked in routes:
            code, problem = await ask(app, method, filled(path), ZONES[zone], headers)
            if asked is None:
                assert (method, path) in PUBLIC, f"{method} {path} asks for nothing and is not public"
                expected = zone != "without conduit" or path == f"{API}/health"
            else:
                expected = role != "gone" and allowed(asked, role, proof, zone)
            if code != (REACHED if expected else 403):
                wrong.append((method, path, role, expected, code, problem.get("code")))
    assert wrong == []


@pytest.mark.mission("M76")
def test_the_table_names_every_action(works: Any) -> None:
    assert MAY.keys() == KIND.keys() == set(Action)


@pytest.mark.parametrize("zone", ZONES)
async def test_the_live_stream_is_guarded_as_the_table_says(works: Any, known: dict[str, Principal], zone: str) -> None:
    app = create_app(works.services)
    for role in [*sorted(ALL), "narrow", "gone"]:
        headers = admit(known, role, role)
        expected = role != "gone" and allowed(Allow(Action.READ, "live", part=True), role, Proof.TOKEN, zone)
        sent: list[Any] = []

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        coming = [{"type": "websocket.disconnect", "code": 1000}, {"type": "websocket.connect"}]

        async def receive(coming: list[Any] = coming) -> Any:
            return coming.pop()

        raw = [(b"host", b"localhost"), (b"authorization", headers["Authorization"].encode())]
        scope = {
            "type": "websocket", "path": f"{API}/live", "headers": raw, "client": (ZONES[zone], 1), "subprotocols": [],
            "extensions": {"websocket.http.response": {}}, "scheme": "ws", "query_string": b"", "root_path": "",
        }  # fmt: skip
        await app(scope, receive, send)
        assert (sent[0]["type"] == "websocket.accept") == expected, (role, zone, sent)
        assert expected or sent[0]["status"] == 403


@dataclass
class Plantside:
    """A real server, and a way to ask it from any loopback address."""

    port: int
    known: dict[str, Principal]

    async def get(self, path: str, headers: dict[str, str], source: str = "127.0.0.1", method: str = "GET") -> Any:
        transport = httpx.AsyncHTTPTransport(local_address=source, verify=False)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://127.0.0.1:{self.port}/api/v1") as client:
            return await client.request(method, path, headers=headers)


@pytest.fixture
async def side(works: Any, known: dict[str, Principal]) -> AsyncIterator[Plantside]:
    works.feed({"hall/line1/filler/speed": 3.0, "hall/line2/filler/speed": 4.0})
    async with running(create_app(works.services), port=0) as port:
        yield Plantside(port, known)


HIDDEN = "hall/line2/filler/speed"
SHOWN = "hall/line1/filler/speed"
NARROWED: dict[str, Callable[[dict[str, Principal]], tuple[dict[str, str], str]]] = {
    "by role": lambda known: (admit(known, "n", "narrow"), "127.0.0.1"),
    "by scope": lambda known: (admit(known, "t", "viewer", under=("hall/line1",)), "127.0.0.1"),
    "by zone of the scope": lambda known: (admit(known, "z", "viewer", zones=("line1",)), "127.0.0.1"),
    "by conduit": lambda known: (admit(known, "c", "viewer"), "127.9.0.1"),
}


@pytest.mark.mission("M36")
@pytest.mark.real("uvicorn")
@pytest.mark.parametrize("how", NARROWED)
async def test_what_may_not_be_read_does_not_exist(side: Plantside, works: Any, how: str) -> None:
    headers, source = NARROWED[how](side.known)

    async def get(path: str) -> Any:
        answer = await side.get(path, headers, source)
        assert answer.status_code == 200, answer.text
        assert HIDDEN not in answer.text
        assert "secret" not in answer.text
        return answer.json()

    tags = await get("tags")
    paths = {tag["path"] for tag in tags["tags"]}
    assert {p for p in paths if p.startswith("hall")} == {
        f"hall/line1/filler/{n}" for n in ("speed", "good", "state", "batch")
    }
    assert tags["total"] == len(paths)
    assert (await get("tags?search=line2"))["total"] == 0
    assert SHOWN in {value["path"] for value in (await get("tags/values"))["values"]}
    assert (await get("tags/values?under=hall/line2"))["values"] == []
    assets = {asset["path"]: asset for asset in (await get("assets"))["assets"]}
    assert "hall/line2" not in assets or assets["hall/line2"]["tags"] == 0
    assert {"", "hall", "hall/line1", "hall/line1/filler"} <= assets.keys()
    assert assets["hall"]["tags"] == 4
    assert "hall/line2/filler" not in str((await get("rules"))["rules"])
    assert "plc2" not in str(await get("connections")) + str(await get("connections/outages"))
    assert (await get("connections/outages?connection=plc2"))["outages"] == []


@pytest.mark.mission("M36")
async def test_the_record_shows_what_may_be_read_and_says_no_more(side: Plantside, works: Any) -> None:
    headers, source = NARROWED["by role"](side.known)
    good = await side.get(f"history?tag={SHOWN}", headers, source)
    assert good.status_code == 200
    there = await side.get(f"history?tag={HIDDEN}", headers, source)
    never = await side.get("history?tag=hall/line9/none", headers, source)
    assert there.status_code == never.status_code == 404
    assert there.json()["detail"].replace(HIDDEN, "x") == never.json()["detail"].replace("hall/line9/none", "x")
    assert {gap["edge"] for gap in (await side.get("gaps", headers, source)).json()["gaps"]} == {"edge-1"}
    whole = admit(side.known, "v", "viewer")
    assert {gap["edge"] for gap in (await side.get("gaps", whole)).json()["gaps"]} == {"edge-1", "edge-2"}
    office = await side.get(f"history?tag={SHOWN}", whole, "127.9.0.1")  # its conduit lets no history through
    assert (office.status_code, office.json()["code"]) == (403, "conduit_missing")


@pytest.mark.mission("M36", "M76")
@pytest.mark.real("websockets")
async def test_the_live_stream_shows_what_may_be_read_and_follows_the_policy(side: Plantside, works: Any) -> None:
    headers, source = NARROWED["by conduit"](side.known)
    url = f"ws://127.0.0.1:{side.port}/api/v1/live"

    async def slots(socket: Any) -> Any:
        while True:
            message = await socket.recv()
            if isinstance(message, str) and "slots" in message:
                return json.loads(message)["slots"]

    async with connect(url, additional_headers=headers, proxy=None, local_addr=(source, 0)) as socket:
        await socket.send(json.dumps({"view": 1, "paths": [SHOWN, HIDDEN]}))
        assert await slots(socket) == [SHOWN, None]
        plant = works.namespace.plant
        works.namespace.plant = replace(plant, conduits=(*plant.conduits, Conduit("new", "office", "line2", ("live",))))
        works.feed({SHOWN: 5.0}, at_s=1)
        assert await slots(socket) == [SHOWN, HIDDEN]
        works.namespace.plant = replace(plant, conduits=plant.conduits[:1])
        works.feed({SHOWN: 6.0}, at_s=2)
        assert await slots(socket) == [None, None]


async def test_sites_and_plants_as_a_whole_are_not_for_who_sees_a_part(side: Plantside) -> None:
    headers, source = NARROWED["by scope"](side.known)
    for path in ("plant", "plant/tag-list", "plant/versions", "system", "connectors", "policy"):
        answer = await side.get(path, headers, source)
        assert (answer.status_code, answer.json()["code"]) == (403, "scope_path"), path
    for path in ("site", "session", "drivers", "openapi.json"):
        assert (await side.get(path, headers, source)).status_code == 200, path


async def test_signing_in_passes_a_conduit_too(side: Plantside) -> None:
    answer = await side.get("session", {}, "127.5.0.1", "POST")
    assert (answer.status_code, answer.json()["code"]) == (403, "conduit_missing")
    assert (await side.get("session", {}, "127.9.0.1", "POST")).status_code == 422
    assert (await side.get("health", {}, "127.5.0.1")).status_code == 200


async def test_only_a_trusted_proxy_is_believed_about_where_a_request_comes_from(works: Any, known: Any) -> None:
    headers = admit(known, "v", "viewer") | {"X-Forwarded-For": "127.5.0.1"}
    for trusted, code in (("", 200), ("127.0.0.1", 403)):
        async with running(create_app(works.services), port=0, trusted_proxy=trusted) as port:
            assert (await Plantside(port, known).get("tags", headers)).status_code == code
            far = await Plantside(port, known).get("tags", headers, "127.9.0.1")  # no proxy anybody named
            assert far.status_code == 200


@pytest.mark.mission("M5", "M76", "M84")
async def test_the_policy_tells_roles_zones_and_every_flow(side: Plantside, works: Any) -> None:
    works.services.lockouts.lock("hall/line1", Lockout("ana", "inside"))
    found = (await side.get("policy", admit(side.known, "v", "viewer"))).json()
    assert found["zoned"]
    roles = {role["name"]: role for role in found["roles"]}
    assert {name for name, role in roles.items() if "backup" in role["actions"]} == {"admin", "narrow"}
    assert roles["narrow"]["under"] == ["hall/line1"]
    zones = {zone["name"]: zone for zone in found["zones"]}
    assert zones["line1"]["connections"] == ["plc1"]
    assert zones["office"]["networks"] == ["127.9.0.0/16"]
    assert {"from": "office", "to": "line1", "kind": "live", "what": "", "rule": "conduit office1"} in found["flows"]
    assert any("plc2" in flow["what"] for flow in found["flows"])
    assert found["lockouts"] == [{"path": "hall/line1", "who": "ana", "why": "inside", "since": ""}]


@pytest.mark.mission("M76")
async def test_an_explanation_is_the_decision_itself(
    side: Plantside, works: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    works.security.create_user("Bo", Role.OPERATOR)
    admin = admit(side.known, "a", "admin")
    policy = works.services.policies.current()
    asked = {
        "role:narrow": ("narrow", Proof.SESSION),
        "bo": ("operator", Proof.SESSION),
        "viewer": ("viewer", Proof.TOKEN),
    }
    base = f"http://127.0.0.1:{side.port}/api/v1"
    async with httpx.AsyncClient(base_url=base, headers=admin, verify=False) as client:
        for i, (who, action, path) in enumerate(itertools.product(asked, Action, ("", SHOWN, HIDDEN))):
            source = tuple(ZONES.values())[i % 3]
            params = {"who": who, "action": action.value, "path": path, "source": source}
            told = (await client.get("policy/explain", params=params)).json()
            role, proof = asked[who]
            expected = policy.decide(Principal(told["who"], role, proof, "", source=source), action, path)
            assert {key: told[key] for key in ("allowed", "reason", "code", "rule")} == asdict(expected)
    assert (await side.get("policy/explain?who=nobody&action=read", admin)).status_code == 422
    assert (await side.get("policy/explain?who=bo&action=reed", admin)).status_code == 422
    assert (await side.get("policy/explain?who=bo&action=read", admit(side.known, "v", "viewer"))).status_code == 403


@pytest.mark.mission("M76", "M86")
@pytest.mark.parametrize("what", ["zone", "conduit", "role"])
async def test_who_may_do_what_is_not_changed_by_who_may_only_change_the_plant(
    side: Plantside, works: Any, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def plan(text: str, base: int, files: Any) -> Any:
        planned = original(text, base, files)
        return replace(planned, changes=(replace(planned.changes[0], what=what),))

    original: Callable[..., Any] = works.namespace.plan
    monkeypatch.setattr(works.namespace, "plan", plan)
    body = {"text": "plant: {}", "base": 1, "reason": "more for me"}
    answers: dict[str, Awaitable[Any]] = {}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{side.port}/api/v1", verify=False) as client:
        for role in ("engineer", "admin"):
            answers[role] = await client.post("plant/apply", json=body, headers=admit(side.known, role, role))
    assert answers["engineer"].status_code == 403
    assert answers["engineer"].json()["code"] == "role_missing"
    assert "security.change" in answers["engineer"].json()["detail"]
    assert answers["admin"].status_code == 200


async def until_closed(socket: Any) -> None:
    while True:
        await socket.recv()


async def test_who_may_not_watch_any_more_is_cut_off(
    side: Plantside, works: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isthmus.web.live.BEAT_TICKS", 1)
    headers, source = NARROWED["by conduit"](side.known)
    url = f"ws://127.0.0.1:{side.port}/api/v1/live"
    async with connect(url, additional_headers=headers, proxy=None, local_addr=(source, 0)) as socket:
        await socket.recv()
        works.namespace.plant = replace(works.namespace.plant, conduits=())
        with pytest.raises(ConnectionClosed) as closed:
            await until_closed(socket)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
        4403,
        "no conduit from zone office to zone site allows live",
    )


@pytest.mark.mission("M5", "M76")
async def test_the_command_shows_the_policy_and_explains_it(works: Any, known: Any, tmp_path: Path) -> None:
    data = DataDir(tmp_path / "d")
    data.run.mkdir(parents=True)
    works.services.lockouts.lock("hall/line1", Lockout("ana", "inside", "2026-03-01"))

    def run(*words: str) -> tuple[int, str]:
        answer = CliRunner().invoke(command_line(), ["policy", *words, "--data", str(data.root)])
        return answer.exit_code, answer.output

    async with running(LocalDoor(create_app(works.services)), local=data.socket):
        code, shown = await asyncio.to_thread(run, "show")
        assert code == 0
        for line in (
            "under hall/line1",
            "office → line1 live conduit office1",
            "ana: inside since 2026-03-01",
        ):
            assert line in " ".join(shown.split()), shown
        code, whole = await asyncio.to_thread(run, "show", "--json")
        assert json.loads(whole)["zoned"]
        code, yes = await asyncio.to_thread(run, "explain", "role:viewer", "read", SHOWN, "--from", "127.9.0.1")
        assert (code, yes.splitlines()[0]) == (0, "allowed")
        assert "rule: role viewer; conduit office1" in yes
        code, no = await asyncio.to_thread(run, "explain", "role:operator", "control.write", SHOWN)
        assert (code, no.splitlines()[0]) == (1, "denied (locked_out)")
        assert "hall/line1 is locked out by ana since 2026-03-01: inside" in no
        code, answer = await asyncio.to_thread(run, "explain", "role:operator", "control.write", HIDDEN, "--json")
        assert (code, json.loads(answer)["allowed"]) == (0, True)
        code, _ = await asyncio.to_thread(run, "explain", "nobody", "read")
        assert code == 1  # the command's own entry makes 2 of what is declared wrong

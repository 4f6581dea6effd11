"""The routes of control and recipes, over a plant with points and an edge that obeys."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from settled import settled

from isthmus.namespace.model import OwnRole, Plant
from isthmus.security.model import Proof
from isthmus.values.messages.acquisition import Heartbeat
from isthmus.values.model import WritePoint
from isthmus.web.api import create_app
from isthmus.web.server import running

if "control_rig" not in sys.modules:
    _spec = importlib.util.spec_from_file_location(
        "control_rig", Path(__file__).parents[2] / "unit" / "control" / "rig.py"
    )
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules["control_rig"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["control_rig"])
rig = sys.modules["control_rig"]
SPEED, GOOD, OTHER = "hall/line1/filler/speed", "hall/line1/filler/good", "hall/line2/filler/speed"


def pointed(plant: Plant) -> Plant:
    points = (
        WritePoint(1, "operator", low=0.0, high=160.0),
        WritePoint(2, "operator", second_person=True),
        WritePoint(5, "operator"),
    )
    access = tuple(replace(c, access="read-write") for c in plant.connections)
    return replace(
        plant, points=points, connections=access, roles=(OwnRole("crew", extends=("operator",), under=("hall/line2",)),)
    )


@pytest.fixture
async def desk(works: Any) -> AsyncIterator[Any]:
    works.namespace.plant = pointed(works.namespace.plant)
    works.live.describe(works.namespace.plant)
    works.feed({SPEED: 50.0, GOOD: 7, OTHER: 1.0})
    room, edges = works.services.control, rig.FakeEdges()
    room.control._around = replace(room.control._around, link=edges)
    room.control.modes._link = edges
    for edge in ("edge-1", "edge-2"):
        beat = Heartbeat(edge, 1, works.clock.now_ns(), 1, 0, 0, 0)
        room._heartbeats.heard(beat, works.clock.now_ns(), works.clock.monotonic_ns())
    works.edges = edges
    async with running(create_app(works.services), port=0) as port:
        works.base = f"http://127.0.0.1:{port}/api/v1"
        yield works


def as_token(works: Any, role: str) -> httpx.AsyncClient:
    token = works.tokens.get(role) or works.tokens.setdefault(role, works.security.create_token(role, role, "test")[0])
    return httpx.AsyncClient(
        base_url=works.base, headers={"Authorization": f"Bearer {token}"}, timeout=30, verify=False
    )


def as_person(works: Any, name: str, role: str, monkeypatch: pytest.MonkeyPatch) -> httpx.AsyncClient:
    """Somebody with a session: the token of the same role, told to be one."""
    for way in ("recall", "verify"):
        original = getattr(works.security, way)

        def known(proof: Any, key: str, *, ask: Any = original, **how: Any) -> Any:
            found = ask(proof, key, **how)
            mine = found is not None and found.name == name
            return replace(found, proof=Proof.SESSION, user_id=len(name)) if mine else found

        monkeypatch.setattr(works.security, way, known)
    token = works.security.create_token(name, role, "test")[0]
    return httpx.AsyncClient(
        base_url=works.base, headers={"Authorization": f"Bearer {token}"}, timeout=30, verify=False
    )


@pytest.mark.mission("M31", "M84")
async def test_select_write_and_the_journal(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with as_person(desk, "ana", "operator", monkeypatch) as ana, as_token(desk, "viewer") as viewer:
        row = (await viewer.get("control/points", params={"under": SPEED})).json()["points"][0]
        assert (row["path"], row["value"], row["may"]["allowed"], row["may"]["code"]) == (
            SPEED,
            50.0,
            False,
            "role_missing",
        )
        chosen = (await ana.post("control/selections", json={"path": SPEED})).json()
        assert (chosen["value"], chosen["point"]["may"]["allowed"]) == (50.0, True)
        body = {"path": SPEED, "value": 60, "selection": chosen["selection"], "reason": "order 7"}
        answer = await ana.post("control/writes", json=body)
        done = answer.json()
        assert (answer.status_code, done["state"], done["read_back"], done["why"], done["own"]) == (
            200,
            "done",
            60.0,
            "order 7",
            True,
        )
        again = await ana.post("control/writes", json=body)
        assert (again.status_code, again.json()["code"]) == (409, "selection_gone")
        for bad, code in (("fast", "value_type"), (1000, "out_of_range")):
            chosen = (await ana.post("control/selections", json={"path": SPEED})).json()
            no = await ana.post("control/writes", json={"path": SPEED, "value": bad, "selection": chosen["selection"]})
            assert (no.status_code, no.json()["code"]) == (422, code)
        text = f'{{"path": "{SPEED}", "value": NaN}}'  # JSON has none, and some write it
        async with as_token(desk, "operator") as program:
            assert (await program.post("control/writes", content=text)).json()["code"] in ("value_type", "invalid")
        listed = (await viewer.get("control/writes", params={"under": "hall"})).json()["writes"]
        assert [w["state"] for w in listed[-3:]] == ["denied", "denied", "done"]
        assert (await viewer.get(f"control/writes/{done['id']}")).json()["own"] is False
        journal = (await viewer.get("control/journal", params={"text": "order 7"})).json()["lines"]
        assert [(line["kind"], line["path"], line["by"]) for line in journal] == [("write", SPEED, "ana")]
    await settled(desk.services.audit)
    found, _ = await asyncio.to_thread(desk.services.audit.search, question("control.write"))
    assert {r["kind"] for r in found.records} == {"intent", "outcome"}


def question(action: str) -> Any:
    from isthmus.security.audit.search import Question

    return Question(action=action)


async def test_a_second_person_over_the_api(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with as_token(desk, "operator") as program, as_person(desk, "ben", "operator", monkeypatch) as ben:
        waiting = await program.post("control/writes", json={"path": GOOD, "value": 9})
        assert (waiting.status_code, waiting.json()["state"]) == (202, "awaiting_approval")
        ident = waiting.json()["id"]
        no = await program.post(f"control/writes/{ident}/approve")
        assert (no.status_code, no.json()["code"]) == (403, "needs_session")
        done = await ben.post(f"control/writes/{ident}/approve")
        assert (done.json()["state"], done.json()["approved_by"]) == ("done", "ben")
        late = await ben.post(f"control/writes/{ident}/reject", json={"reason": "no"})
        assert (late.status_code, late.json()["code"]) == (409, "wrong_state")


async def test_modes_and_lockouts_over_the_api(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.control.modes.CONFIRM_S", 0.01)
    async with as_token(desk, "operator") as operator, as_token(desk, "supervisor") as supervisor:
        halted = await operator.put("control/modes/site", json={"mode": "halted", "reason": "smoke"})
        assert (halted.json()["mode"], halted.json()["pending"]) == ("halted", ["edge-1", "edge-2"])
        assert (await operator.post("control/writes", json={"path": SPEED, "value": 1})).json()["code"] == "halted"
        assert (await operator.put("control/modes/site", json={"mode": "normal", "reason": "x"})).status_code == 403
        assert (await supervisor.put("control/modes/site", json={"mode": "normal", "reason": "x"})).status_code == 200
        assert (
            await supervisor.put("control/modes/nowhere", json={"mode": "normal", "reason": "x"})
        ).status_code == 404
        assert [m["mode"] for m in (await operator.get("control/modes")).json()["modes"]] == ["normal"]
        async with as_token(desk, "maintainer") as maintainer:
            locked = await maintainer.post("control/lockouts", json={"path": "hall/line1", "why": "changing the seal"})
            assert locked.status_code == 201
            assert (await operator.post("control/writes", json={"path": SPEED, "value": 1})).json()[
                "code"
            ] == "locked_out"
            assert (await operator.get("control/lockouts")).json()["lockouts"][0]["who"] == "maintainer"
            assert (await operator.delete("control/lockouts/hall/line1")).json()["code"] == "role_missing"
            assert (await supervisor.delete("control/lockouts/hall%2Fline1")).json()["code"] == "reason_needed"
            assert (await maintainer.delete("control/lockouts/hall/line1")).status_code == 204
            assert (await maintainer.delete("control/lockouts/hall/line1")).status_code == 404
            assert (
                await maintainer.post("control/lockouts", json={"path": "hall/nowhere", "why": "x"})
            ).status_code == 404


@pytest.mark.mission("M76")
async def test_who_is_narrowed_sees_and_does_that_part_only(desk: Any) -> None:
    async with as_token(desk, "operator") as operator, as_token(desk, "crew") as crew:
        done = (await operator.post("control/writes", json={"path": SPEED, "value": 60})).json()
        await operator.post("control/writes", json={"path": OTHER, "value": 2})
        assert [p["path"] for p in (await crew.get("control/points")).json()["points"]] == [OTHER]
        assert [w["path"] for w in (await crew.get("control/writes")).json()["writes"]] == [OTHER]
        assert [line["path"] for line in (await crew.get("control/journal")).json()["lines"]] == [OTHER]
        assert (await crew.get(f"control/writes/{done['id']}")).status_code == 404
        assert (await crew.post("control/writes", json={"path": SPEED, "value": 70})).status_code == 404
        assert (await crew.post("control/selections", json={"path": SPEED})).status_code == 404
        assert (await crew.post("control/writes", json={"path": OTHER, "value": 3})).json()["state"] == "done"
        assert (await crew.post("control/lockouts", json={"path": OTHER, "why": "x"})).status_code == 403
        assert (await crew.get("recipes")).json() == {"recipes": []}


async def test_recipes_over_the_api(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with as_token(desk, "engineer") as engineer, as_person(desk, "sue", "supervisor", monkeypatch) as sue:
        body: dict[str, Any] = {"name": "Cola", "asset": "hall/line1/filler", "items": [{"tag": "speed", "value": 999}]}
        wrong = await engineer.post("recipes", json=body)
        assert (wrong.status_code, "160" in wrong.json()["detail"]) == (422, True)
        body["items"] = [{"tag": "speed", "value": 80}]
        assert (await engineer.post("recipes", json={**body, "name": "a/b"})).status_code == 422
        assert (await engineer.post("recipes", json={**body, "type": "filler"})).status_code == 422
        assert (await engineer.post("recipes", json=body)).json()["number"] == 1
        async with as_token(desk, "operator") as operator:
            assert (await operator.post("recipes/Cola/download", json={})).json()["code"] == "not_approved"
            assert (await sue.post("recipes/Cola/versions/1/approve")).json()["approved_by"] == "sue"
            assert (await sue.post("recipes/Cola/versions/9/approve")).status_code == 404
            report = (await operator.post("recipes/Cola/download", json={"reason": "order 7"})).json()
            assert (report["state"], report["lines"][0]["before"], report["lines"][0]["state"]) == (
                "done",
                50.0,
                "done",
            )
            assert (await operator.get("recipes/Cola")).json()["approved"]["number"] == 1
            assert len((await operator.get("recipes/Cola/versions")).json()["versions"]) == 1
            assert len((await operator.get("recipes/Cola/downloads")).json()["downloads"]) == 1
            for path in ("recipes/Fanta", "recipes/Fanta/versions", "recipes/Fanta/downloads"):
                assert (await operator.get(path)).status_code == 404


async def test_a_download_waits_for_a_second_person_over_the_api(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async with as_token(desk, "engineer") as engineer, as_person(desk, "sue", "supervisor", monkeypatch) as sue:
        items = [{"tag": "speed", "value": 80}, {"tag": "good", "value": 9}]
        assert (
            await engineer.post("recipes", json={"name": "Tank", "asset": "hall/line1/filler", "items": items})
        ).status_code == 201
        assert (await sue.post("recipes/Tank/versions/1/approve")).status_code == 200
        async with as_token(desk, "operator") as operator, as_token(desk, "crew") as crew:
            asked = await operator.post("recipes/Tank/download", json={"reason": "order 8"})
            assert (asked.status_code, asked.json()["state"]) == (202, "waiting")
            n = asked.json()["id"]
            [mine] = (await operator.get("control/downloads")).json()["downloads"]
            assert (mine["id"], mine["own"], mine["expires_at"] is not None) == (n, True, True)
            assert (await crew.get("control/downloads")).json() == {"downloads": []}, "seen by who may read all of it"
            no = await operator.post(f"recipes/Tank/downloads/{n}/approve")
            assert (no.status_code, no.json()["code"], desk.edges.sent) == (403, "needs_session", [])
            done = (await sue.post(f"recipes/Tank/downloads/{n}/approve")).json()
            assert (done["state"], done["second"], [line["state"] for line in done["lines"]]) == (
                "done",
                "sue",
                ["done", "done"],
            )
            again = (await operator.post("recipes/Tank/download", json={})).json()["id"]
            no = await sue.post(f"recipes/Tank/downloads/{again}/reject", json={"reason": ""})
            assert (no.status_code, no.json()["code"]) == (422, "reason_needed")
            said = (await sue.post(f"recipes/Tank/downloads/{again}/reject", json={"reason": "not now"})).json()
            assert (said["state"], said["second"], said["said"]) == ("rejected", "sue", "not now")
            late = await sue.post(f"recipes/Tank/downloads/{again}/approve")
            assert (late.status_code, late.json()["code"]) == (409, "wrong_state")
            assert (await sue.post("recipes/Tank/downloads/99/approve")).status_code == 404


async def test_the_journal_of_edges_stands_alone(desk: Any) -> None:
    from isthmus.control import store
    from isthmus.control.model import EdgeLine

    at = desk.clock.now_ns()
    lines = [
        EdgeLine("edge-1", 1, "write", at, SPEED, {"id": "w1", "state": "sent", "value": 60}),
        EdgeLine("edge-1", 2, "lease", at + 1, OTHER, {"value": 0}),
    ]
    with desk.services.control.lines._engine.begin() as db:
        store.add_lines(db, lines)
    desk.clock.advance(1)
    async with as_token(desk, "operator") as operator, as_token(desk, "crew") as crew:

        async def kinds(who: httpx.AsyncClient, **asked: Any) -> list[str]:
            return [line["kind"] for line in (await who.get("control/journal", params=asked)).json()["lines"]]

        await operator.post("control/writes", json={"path": SPEED, "value": 60})
        assert await kinds(operator) == ["write", "lease"], "a write of ours and the edge's line of it are told once"
        assert await kinds(operator, edges=True) == ["lease", "write"]
        assert await kinds(operator, edges=True, text="w1") == ["write"]
        assert await kinds(crew, edges=True) == ["lease"]


async def test_what_nobody_recorded_is_listed_and_accepted(desk: Any) -> None:
    from isthmus.control import store
    from isthmus.control.model import Change

    watch = desk.services.control.watch
    now_ns = desk.clock.now_ns()
    with watch._engine.begin() as db:
        for path, tag in ((SPEED, 1), (OTHER, 5)):
            store.add_change(db, Change(0, path, tag, "unexplained", "open", 50.0, 70.0, "1/min", now_ns, now_ns))
    async with (
        as_token(desk, "operator") as operator,
        as_token(desk, "crew") as crew,
        as_token(desk, "viewer") as viewer,
    ):
        assert [c["path"] for c in (await crew.get("control/unexplained")).json()["changes"]] == [OTHER]
        assert (await crew.post("control/unexplained/1/accept", json={"reason": "x"})).status_code == 404
        assert (await viewer.post("control/unexplained/1/accept", json={"reason": "x"})).status_code == 403
        done = (await operator.post("control/unexplained/1/accept", json={"reason": "the maker's engineer"})).json()
        assert (done["state"], done["by"]) == ("accepted", "operator")
        assert (await operator.post("control/unexplained/9/accept", json={"reason": "x"})).status_code == 404
        assert (await operator.get("control/unexplained", params={"state": "open"})).json()["changes"][0][
            "path"
        ] == OTHER
        assert (await viewer.get("control/trips")).json() == {"trips": []}
        assert (await operator.post("control/trips/hot/reset", json={"reason": "x"})).status_code == 404


async def test_the_commands_and_the_client_go_the_same_way(desk: Any, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from isthmus.app.datadir import DataDir
    from isthmus.cli.main import command_line
    from isthmus.client import NotFound, WriteRefused, connect
    from isthmus.web.doors import LocalDoor

    data = DataDir(tmp_path / "d")
    data.run.mkdir(parents=True)
    url, token = desk.base.removesuffix("/api/v1"), desk.tokens["operator"]

    def run(*words: str) -> tuple[int, str]:
        answer = CliRunner().invoke(command_line(), [*words])
        return answer.exit_code, answer.output

    def here(*words: str) -> tuple[int, str]:
        return run("control", *words, "--data", str(data.root))

    def client() -> None:
        with connect(url, token) as plant:
            done = plant.write(SPEED, 61, "from a notebook", base=50.0)
            assert (done.state, done.read_back, plant.written(done.id)) == ("done", 61.0, done)
            for value, code in ((999, "out_of_range"), (1, "locked_out")):
                if code == "locked_out":
                    assert here("lock", SPEED, "--why", "seal")[0] == 0
                with pytest.raises(WriteRefused) as no:
                    plant.write(SPEED, value, "r")
                assert no.value.code == code
            with pytest.raises(NotFound):
                plant.write("hall/nowhere", 1, "r")

    async with running(LocalDoor(create_app(desk.services)), local=data.socket):
        code, said = await asyncio.to_thread(run, "write", SPEED, "60", "--reason", "r", "--token", token, "--url", url)
        assert (code, said.split()) == (0, ["done", SPEED, "60.0", "1/min"])
        await asyncio.to_thread(client)
        for words, line in (
            (("points",), f"{SPEED} 50.0 1/min operator site normal"),
            (("modes",), "site normal"),
            (("lockouts",), f"{SPEED} owner of the data directory: seal since"),
            (("journal", "--text", "notebook"), "50.0 → 61.0 1/min done: from a notebook operator"),
        ):
            code, said = await asyncio.to_thread(here, *words)
            assert code == 0
            assert line in " ".join(said.split()), words
        assert (await asyncio.to_thread(here, "unlock", SPEED))[0] == 0
        desk.edges.how = [rig.Result.UNCERTAIN]
        code, _ = await asyncio.to_thread(run, "write", SPEED, "62", "--reason", "r", "--token", token, "--url", url)
        assert code == 3
        assert (await asyncio.to_thread(run, "write", SPEED, "62", "--reason", "r", "--url", url))[0] != 0

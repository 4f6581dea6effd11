"""The routes of products, orders, lots and readings: who may, what is refused, what the audit log keeps."""

from __future__ import annotations

import asyncio
import copy
import importlib.util
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from settled import settled

from isthmus.namespace.model import Machine, OwnRole
from isthmus.production.orders.room import OrderRoom
from isthmus.security.model import Role
from isthmus.web.api import create_app
from isthmus.web.server import running

if "orders_rig" not in sys.modules:
    _spec = importlib.util.spec_from_file_location(
        "orders_rig", Path(__file__).parents[2] / "unit" / "production" / "orders" / "rig.py"
    )
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules["orders_rig"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["orders_rig"])
rig = sys.modules["orders_rig"]
FILLER = "hall/line1/filler"
PASSWORD = "correct horse 9 battery"
PRODUCT: dict[str, Any] = {
    "id": "water", "name": "Water", "over_percent": "5", "reason": "first",
    "operations": [{
        "number": 10, "name": "Fill", "assets": [FILLER], "ideal_count": 120, "ideal_s": 60, "setup_s": 600,
        "setup_from": {"cola": 900},
        "steps": [{"key": "free", "title": "Line is free", "kind": "sign", "meaning": "line clearance"}],
    }],
    "components": [{"material": "bottle", "each": 1, "operation": 10, "automatic": False}],
}  # fmt: skip
BOTTLE = {"id": "bottle", "name": "Bottle"}


@pytest.fixture
async def desk(works: Any) -> AsyncIterator[Any]:
    plant = works.namespace.plant
    works.namespace.plant = replace(
        plant, machines=(Machine(FILLER),), roles=(OwnRole("crew", extends=("supervisor",), under=("hall/line2",)),)
    )
    works.live.describe(works.namespace.plant)
    works.shop = rig.FakeShop()
    works.services.orders.attach(shop=works.shop)
    async with running(create_app(works.services), port=0) as port:
        works.base = f"http://127.0.0.1:{port}/api/v1"
        yield works


def as_token(works: Any, role: str) -> httpx.AsyncClient:
    token = works.tokens.get(role) or works.tokens.setdefault(role, works.security.create_token(role, role, "test")[0])
    return httpx.AsyncClient(
        base_url=works.base, headers={"Authorization": f"Bearer {token}"}, timeout=30, verify=False
    )


@asynccontextmanager
async def as_person(works: Any, name: str, role: str) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who signed in by password."""
    works.security.create_user(name, Role(role), PASSWORD)
    origin = works.base.removesuffix("/api/v1")
    async with httpx.AsyncClient(
        base_url=works.base, headers={"X-Isthmus": "1", "Origin": origin}, timeout=30, verify=False
    ) as client:
        answer = await client.post("session", json={"name": name, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        yield client


async def made(sue: httpx.AsyncClient) -> dict[str, Any]:
    for body in (BOTTLE, PRODUCT):
        answer = await sue.post("products", json=body)
        assert answer.status_code == 201, answer.text
    answer = await sue.post("orders", json={"product": "water", "quantity": "3", "due": "2026-12-01T06:00:00Z"})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.mission("M28", "M53", "M59")
@pytest.mark.real("uvicorn")
async def test_an_order_from_plan_to_close_with_a_signature(desk: Any) -> None:
    async with as_token(desk, "supervisor") as sue, as_person(desk, "ana", "operator") as ana:
        order = await made(sue)
        assert (order["id"], order["quantity"], order["most"], order["due"]) == (
            "JO-1",
            "3",
            "3.15",
            "2026-12-01T06:00:00.000Z",
        )
        assert (await ana.post("orders/JO-1/release", json={"base": 1})).json()["code"] == "role_missing"
        order = (await sue.post("orders/JO-1/release", json={"base": 1})).json()
        order = (await ana.post("orders/JO-1/start", json={"base": order["rev"]})).json()
        assert (order["state"], order["jobs"][0]["asset"]) == ("running", FILLER)
        for at in range(4):
            desk.shop.made.append((FILLER, desk.clock.now_ns() + at, True))
        desk.clock.advance(60)
        for body, status, code in (
            ({"lot": "B1", "quantity": 3}, 404, "unknown_lot"),
            ({"lot": "B1", "quantity": 0}, 422, "invalid"),
        ):
            answer = await ana.post("orders/JO-1/consume", json=body)
            assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert (await ana.post("lots", json={"id": "B1", "product": "bottle", "quantity": "10.5"})).json()[
            "on_hand"
        ] == "10.5"
        no = await ana.post("orders/JO-1/consume", json={"lot": "B1", "quantity": "11"})
        assert (no.status_code, no.json()["code"]) == (409, "beyond_stock")
        assert "lot B1 of bottle has 10.5 on hand; 11 were asked for" in no.json()["detail"]
        need = (await ana.post("orders/JO-1/consume", json={"lot": "B1", "quantity": "4"})).json()
        assert (need["material"], need["needed"], need["booked"], need["owed"]) == ("bottle", "4", "4", "0")
        count = (await ana.post("orders/JO-1/scrap", json={"quantity": 1, "reason": "dent"})).json()
        assert count == {"total": "4", "good": "3", "reject": "1", "rework": "0"}
        await ana.post("orders/JO-1/labour", json={"do": "begin"})
        no = await ana.post("orders/JO-1/labour", json={"do": "begin", "person": "sue"})
        assert no.json()["code"] == "role_missing"
        no = await ana.post("orders/JO-1/complete", json={"base": order["rev"]})
        assert (no.status_code, no.json()["code"]) == (409, "steps_open")
        step = {"operation": 10, "step": "free"}
        for more, status, code in (
            ({"password": "wrong"}, 403, "not_proved"),
            ({}, 403, "not_proved"),
            ({"pin": "123456"}, 403, "not_proved"),
        ):
            answer = await ana.post("orders/JO-1/sign", json={**step, **more})
            assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert (await sue.post("orders/JO-1/sign", json={**step, "password": "x"})).json()["code"] == "needs_session"
        signed = (await ana.post("orders/JO-1/sign", json={**step, "password": PASSWORD, "comment": "clean"})).json()
        assert (signed["meaning"], signed["lot"], signed["valid"]) == ("line clearance", "JO-1", True)
        done = (await ana.post("orders/JO-1/complete", json={"base": order["rev"]})).json()
        assert (done["state"], done["good"], done["progress"]) == ("completed", "3", 1.0)
        past = {"base": done["rev"], "start": "now-1h", "end": "now-30m", "reason": "tablet was off"}
        assert (await ana.post("orders/JO-1/past", json=past)).json()["code"] == "role_missing"
        again = await sue.post("orders/JO-1/past", json=past)
        assert (again.status_code, again.json()["code"]) == (409, "wrong_state")
        twice = await ana.post("orders/JO-1/complete", json={"base": done["rev"]})
        assert (twice.status_code, twice.json()["code"]) == (409, "wrong_state")
        assert (await sue.post("orders/JO-1/close", json={"base": done["rev"]})).json()["state"] == "closed"
        detail = (await ana.get("orders/JO-1")).json()
        assert [one["kind"] for one in detail["events"]][:3] == ["close", "complete", "sign"]
        assert detail["routing"][0]["setup_from"] == {"cola": 900}
        lot = (await ana.get("lots/JO-1")).json()
        assert (lot["on_hand"], [one["hash"] for one in lot["signatures"]]) == ("3", [signed["hash"]])
        family = (await ana.get("lots/JO-1/genealogy", params={"direction": "up"})).json()
        assert [(one["id"], one["distance"]) for one in family["lots"]] == [("JO-1", 0), ("B1", 1)]
        assert family["links"][0]["quantity"] == "4"
    from isthmus.security.audit.search import Question

    await settled(desk.services.audit)
    found = (await asyncio.to_thread(desk.services.audit.search, Question(action="POST orders", limit=50)))[0]
    assert any(signed["hash"] in str(record) for record in found.records)
    assert PASSWORD not in str(found.records)


@pytest.mark.mission("M15", "M58")
async def test_the_cost_of_an_order_over_http_and_as_a_file(desk: Any) -> None:
    body = copy.deepcopy(PRODUCT)
    body["operations"][0] |= {"labour_per_h": "36.5", "steps": []}
    async with as_token(desk, "supervisor") as sue, as_token(desk, "operator") as ana:
        for one in ({**BOTTLE, "cost": "0.125"}, body):
            made = await sue.post("products", json=one)
            assert made.status_code == 201, made.text
        assert made.json()["operations"][0]["labour_per_h"] == "36.5"
        assert (await sue.post("products", json={**BOTTLE, "id": "cap", "cost": "-1"})).status_code == 422
        assert (await sue.get("products/bottle")).json()["cost"] == "0.125"
        await ana.post("lots", json={"id": "B1", "product": "bottle", "quantity": "10"})
        order = (await sue.post("orders", json={"product": "water", "quantity": "3"})).json()
        order = (await sue.post(f"orders/{order['id']}/release", json={"base": 1})).json()
        order = (await ana.post(f"orders/{order['id']}/start", json={"base": order["rev"]})).json()
        at = f"orders/{order['id']}"
        assert (await ana.post(f"{at}/consume", json={"lot": "B1", "quantity": "4"})).status_code == 200
        assert (await ana.post(f"{at}/labour", json={"do": "begin"})).status_code == 200
        desk.services.clock.advance(1800)
        assert (await ana.post(f"{at}/labour", json={"do": "end"})).status_code == 200
        told = (await ana.get(f"{at}/cost")).json()
        assert (told["labour"], told["material"], told["known"]) == ("18.25", "0.5", "18.75"), told
        labour = next(one for one in told["parts"] if one["kind"] == "labour")
        assert (labour["amount"], labour["unit"], labour["rate"]) == ("0.5", "h", "36.5")
        file = (await ana.get(f"{at}/cost", params={"format": "csv"})).text
        assert "B1,bottle,4,pcs,0.125,0.5" in file
        assert (await ana.get("orders/none/cost")).json()["code"] == "unknown_order"


@pytest.mark.mission("M33")
async def test_who_sees_a_part_sees_and_runs_orders_of_that_part(desk: Any) -> None:
    async with as_token(desk, "supervisor") as sue, as_token(desk, "crew") as crew, as_token(desk, "viewer") as viewer:
        await made(sue)
        order = (await sue.post("orders/JO-1/release", json={"base": 1})).json()
        assert (await crew.get("orders")).json() == {"orders": []}
        assert (await crew.get("orders/JO-1")).json()["code"] == "unknown_order"
        assert (await crew.post("orders/JO-1/start", json={"base": order["rev"]})).status_code == 404
        assert [one["id"] for one in (await viewer.get("orders", params={"asset": FILLER})).json()["orders"]] == [
            "JO-1"
        ]
        assert (await viewer.get("orders", params={"state": ["running", "paused"]})).json()["orders"] == []
        assert (await viewer.post("orders/JO-1/start", json={"base": order["rev"]})).json()["code"] == "role_missing"
        stale = await sue.post("orders/JO-1/start", json={"base": 1})
        assert (stale.status_code, stale.json()["code"]) == (409, "stale_base")
        started = (await sue.post("orders/JO-1/start", json={"base": order["rev"]})).json()
        for verb in ("pause", "resume", "pause"):
            started = (await sue.post(f"orders/JO-1/{verb}", json={"base": started["rev"]})).json()
        gone = await sue.post("orders/JO-1/cancel", json={"base": started["rev"], "reason": "no customer"})
        assert gone.json()["state"] == "cancelled"


async def test_products_have_versions_and_say_what_is_wrong(desk: Any) -> None:
    async with as_token(desk, "engineer") as eve:
        wrong = await eve.post("products", json=PRODUCT)
        assert "components.0.material" in wrong.json()["detail"]
        await made(eve)
        assert (await eve.post("products", json=BOTTLE)).json()["code"] == "name_taken"
        for table in ("orders", "products", "lots", "readings"):
            sheet = await eve.get(table, params={"format": "csv"})
            assert (sheet.status_code, sheet.headers["content-type"].split(";")[0]) == (200, "text/csv"), table
        assert "JO-1" in (await eve.get("orders", params={"format": "csv"})).text
        body = {**PRODUCT, "base": 1, "name": "Still water"}
        del body["id"]
        assert (await eve.put("products/water", json=body)).json()["version"] == 2
        assert (await eve.put("products/water", json=body)).json()["code"] == "stale_base"
        assert (await eve.put("products/nothing", json=body)).status_code == 404
        assert (await eve.get("products/water", params={"version": 1})).json()["name"] == "Water"
        assert (await eve.get("products/water")).json()["components"][0]["each"] == "1"
        assert [one["version"] for one in (await eve.get("products/water/versions")).json()["versions"]] == [2, 1]
        assert [one["made"] for one in (await eve.get("products")).json()["products"]] == [False, True]


@pytest.mark.mission("M15")
async def test_a_run_that_is_over_is_corrected_where_one_may_and_audited(desk: Any) -> None:
    async with as_token(desk, "supervisor") as sue, as_token(desk, "operator") as ana:
        await sue.post("products", json={**PRODUCT, "components": [], "operations": [{**PRODUCT["operations"][0], "steps": []}]})  # fmt: skip
        made = (await sue.post("orders", json={"product": "water", "quantity": "1", "id": "O1"})).json()
        for verb in ("release", "start", "complete"):
            made = await sue.post(f"orders/O1/{verb}", json={"base": made["rev"], **({"reason": "x"} if verb == "complete" else {})})  # fmt: skip
            assert made.status_code == 200, made.text
            made = made.json()
        (run,) = (await sue.get("orders/O1")).json()["runs"]
        body = {"base": made["rev"], "run": run["id"], "start": "now-1h", "end": "now-30m", "reason": "pressed late"}
        assert (await ana.post("orders/O1/past", json=body)).status_code == 403
        assert (await sue.post("orders/O1/past", json={**body, "run": 99})).status_code == 404
        answer = await sue.post("orders/O1/past", json=body)
        assert (answer.status_code, answer.json()["state"]) == (200, "completed")
        (moved,) = (await sue.get("orders/O1")).json()["runs"]
        assert (moved["id"], moved["start"] < run["start"], moved["end"] < run["end"]) == (run["id"], True, True)
        event = (await sue.get("orders/O1")).json()["events"][0]
        assert (event["kind"], event["detail"]["reason"]) == ("correct", "pressed late")


async def test_skills_are_set_by_who_plans(desk: Any) -> None:
    async with as_token(desk, "supervisor") as sue, as_token(desk, "operator") as ana:
        body = {"person": "ana", "skills": [{"skill": "filling", "until": "2030-01-01"}, {"skill": "forklift"}]}
        assert (await ana.put("people/skills", json=body)).status_code == 403
        assert (await sue.put("people/skills", json=body)).status_code == 200
        told = (await sue.get("people/skills")).json()["people"]
        assert told == [{"person": "ana", "skills": [{"skill": "filling", "until": "2030-01-01T00:00:00.000Z"}, {"skill": "forklift", "until": None}]}]  # fmt: skip
        table = (await sue.get("people/skills", params={"format": "csv"})).text.splitlines()
        assert table[0] == "person,skill,until"
        assert [line.split(",")[:2] for line in table[1:]] == [["ana", "filling"], ["ana", "forklift"]]


@pytest.mark.mission("M21")
async def test_readings_are_taken_within_limits_and_corrected(desk: Any) -> None:
    point = {
        "name": "Rinse water",
        "asset": FILLER,
        "unit": "pH",
        "decimals": 1,
        "lowest": 0,
        "low": 6,
        "high": "8",
        "highest": 14,
    }
    async with as_token(desk, "supervisor") as sue, as_token(desk, "operator") as ana, as_token(desk, "crew") as crew:
        assert (await ana.put("readings/points/ph", json=point)).status_code == 403
        assert (await sue.put("readings/points/ph", json=point)).json()["high"] == "8"
        table = (await ana.get("readings/points", params={"format": "csv"})).text.splitlines()
        assert (len(table), "Rinse water" in table[1]) == (2, True)
        no = await ana.post("readings", json={"point": "ph", "value": "15"})
        assert (no.status_code, no.json()["code"]) == (422, "out_of_range")
        assert (await ana.post("readings", json={"point": "ph", "value": 7.25})).status_code == 422
        assert (await ana.post("readings", json={"point": "ph", "value": 9})).json()["code"] == "reason_needed"
        assert (await crew.post("readings", json={"point": "ph", "value": 7})).json()["code"] == "unknown_point"
        first = (await ana.post("readings", json={"point": "ph", "value": "8.4", "comment": "told sue"})).json()
        assert (first["value"], first["outside"]) == ("8.4", "high")
        fix = {"point": "ph", "value": "7.4", "replaces": first["id"], "comment": "typo"}
        assert (await sue.post("readings", json=fix)).json()["replaces"] == first["id"]
        assert [one["value"] for one in (await ana.get("readings", params={"point": "ph"})).json()["readings"]] == [
            "7.4"
        ]
        every = (await ana.get("readings", params={"every": True})).json()["readings"]
        assert [one["value"] for one in every] == ["7.4", "8.4"]
        assert (await crew.get("readings/points")).json() == {"points": []}


async def test_the_client_reads_orders_lots_and_readings(desk: Any) -> None:
    from isthmus.client import connect

    async with as_token(desk, "supervisor") as sue:
        order = await made(sue)
        await sue.post("orders/JO-1/release", json={"base": order["rev"]})
        await sue.post("lots", json={"id": "B1", "product": "bottle", "quantity": 2})

    def ask() -> None:
        with connect(desk.base.removesuffix("/api/v1"), desk.tokens["viewer"]) as plant:
            assert [one["id"] for one in plant.orders(states=["released"], asset=FILLER)] == ["JO-1"]
            assert plant.orders(states=["running"]) == []
            assert plant.order("JO-1")["quantity"] == "3"
            assert [one["on_hand"] for one in plant.products("bot")] == ["2"]
            assert [one["id"] for one in plant.lots(product="bottle", stocked=True)] == ["B1"]
            assert [one["id"] for one in plant.genealogy("JO-1")["lots"]] == ["JO-1"]
            assert plant.readings() == []

    await asyncio.to_thread(ask)


async def test_a_server_without_the_room_says_so(desk: Any) -> None:
    desk.services.orders = None
    async with as_token(desk, "viewer") as viewer:
        assert (await viewer.get("orders")).json()["code"] == "no_orders"


def test_the_fixture_has_the_room(works: Any) -> None:
    assert isinstance(works.services.orders, OrderRoom)

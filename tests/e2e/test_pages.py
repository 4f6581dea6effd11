"""Every page on a desk and on a phone, light and dark: silent console, no sideways scrolling, nothing that shuts people out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.async_api import expect

from .conftest import AXE, BOTH_WAYS

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.leaks("the browser and the demo serve all tests of this folder"),
    pytest.mark.real("chromium", "axe-core"),
]

LINE = "packaging/line1"
PAGES = {  # where it is, and what shows that its data has come
    "overview": ("/overview", ".unit-row .lv[data-q=good]"),
    "tags": (f"/tags?under={LINE}/filler&tag={LINE}/filler/speed", ".vbody .lv[data-q=good]"),
    "trends": (
        f"/trends?pen={LINE}/filler/speed&pen={LINE}/filler/bowl_level&pen={LINE}/filler/state&span=10min",
        ".trend-detail:text-matches('sample|point')",
    ),
    "connections": ("/connections?name=plc-filler", "tr:has-text('plc-filler') .quality[data-q=good]"),
    "alarms": ("/alarms", ".apanel .blank, .apanel .aitem"),
    "changes": ("/changes", ".panel-head h2"),
    "callout": ("/callout", ".panel-head h2"),
    "kpi": ("/kpi?mode=catalogue", ".records tbody tr"),
    "calendar": ("/calendar", ".panel-head h2"),
    "quality": ("/quality", ".quality-tabs"),
    "line": (
        f"/line/{LINE}",
        ".column .lv",
    ),  # on a phone the columns begin below the fold, and only what is in view is alive
    "account": ("/account", ".records tbody tr"),
    "people": ("/admin", ".records tbody tr"),
    "roles": ("/admin?tab=roles", ".records tbody tr"),
    "audit": ("/audit", ".records tbody tr"),
    "asset": (f"/asset/{LINE}/filler", ".lv[data-q=good]"),
}
SERIOUS = """async () => (await axe.run({resultTypes: ['violations']})).violations
    .filter((v) => v.impact === 'serious' || v.impact === 'critical')
    .map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).slice(0, 5).join(', ')}`)"""
WIDER = "() => document.documentElement.scrollWidth - window.innerWidth"
CUT = """() => [...document.querySelectorAll('main button, main a, main select, main input')]
    .filter((e) => e.checkVisibility({visibilityProperty: true}) && !e.closest('.vtable, .connections-scroll, .records-scroll, .sr'))
    .filter((e) => e.getBoundingClientRect().right > window.innerWidth + 1)
    .map((e) => e.textContent.trim() || e.getAttribute('aria-label') || e.outerHTML.slice(0, 80))"""
SHOTS = os.environ.get("ISTHMUS_SHOTS")


@pytest.fixture(scope="module")
def axe() -> Path:
    if not AXE.exists():
        pytest.fail("axe-core is not installed: run `make setup`")
    return AXE


@pytest.mark.parametrize(("size", "theme"), BOTH_WAYS)
async def test_every_page_is_quiet_fits_and_shuts_nobody_out(demo, signed_in, opens, axe, size, theme):
    screen = await opens(demo.origin, signed_in, size, theme, axe)
    found: list[str] = []
    for name, (path, alive) in PAGES.items():
        page = await screen.go(path)
        await expect(page.locator("main").locator(alive).first).to_be_attached()
        await expect(page.locator("html")).to_have_attribute("data-theme", theme)
        wider = await page.evaluate(WIDER)
        if wider > 1:
            found.append(f"{name}: {wider} px wider than the screen")
        found += [f"{name}: {violation}" for violation in await page.evaluate(SERIOUS)]
        if SHOTS:
            await page.wait_for_load_state("networkidle")
            await page.screenshot(path=Path(SHOTS) / f"{name}-{size}-{theme}.png")
    assert not found, "\n".join(found)


@pytest.mark.parametrize("size", ["narrow", "zoomed", "wall"])
async def test_every_page_fits_a_narrow_a_zoomed_and_a_wall_screen(demo, signed_in, opens, size):
    """320 px is the least a phone has; 720 px is a desk at 200 %; 2,560 px hangs on a wall."""
    screen = await opens(demo.origin, signed_in, size)
    found: list[str] = []
    for name, (path, alive) in PAGES.items():
        page = await screen.go(path)
        shape = alive.replace("[data-q=good]", "")  # what is below the edge of the screen has no value yet
        await expect(page.locator("main").locator(shape).first).to_be_attached()
        wider = await page.evaluate(WIDER)
        if wider > 1:
            found.append(f"{name}: {wider} px wider than the screen")
        cut = await page.evaluate(CUT)
        found += [f"{name}: cut off at the right: {what}" for what in cut]
        if SHOTS:
            await page.screenshot(path=Path(SHOTS) / f"{name}-{size}.png")
    assert not found, "\n".join(found)

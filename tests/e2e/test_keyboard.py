"""Everything by keyboard: the skip link, the palette, the keys for pages and help, and a ring that shows where one is."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, expect

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.leaks("the browser and the demo serve all tests of this folder"),
    pytest.mark.real("chromium"),
]

RING = """() => { const s = getComputedStyle(document.activeElement)
    return s.outlineStyle === 'none' ? 0 : parseFloat(s.outlineWidth) }"""
UNDER = """() => { const b = document.activeElement.getBoundingClientRect()
    const top = document.elementFromPoint(b.left + b.width / 2, b.top + b.height / 2)
    return top !== null && (document.activeElement.contains(top) || top.contains(document.activeElement)) }"""


async def no_mouse(page: Page) -> Page:
    await expect(page.get_by_role("main").locator(".lv[data-q=good]").first).to_be_visible()
    return page


async def test_the_skip_link_leads_to_the_content_and_focus_is_always_seen(demo, signed_in, opens):
    page = await no_mouse(await (await opens(demo.origin, signed_in)).go("/overview"))
    await page.keyboard.press("Tab")
    await expect(page.locator(":focus")).to_have_text("Skip to the content")
    await expect(page.locator(":focus")).to_be_in_viewport()
    for _ in range(12):
        assert await page.evaluate(RING) >= 2, await page.evaluate("() => document.activeElement.outerHTML")
        assert await page.evaluate(UNDER), await page.evaluate("() => document.activeElement.outerHTML")
        await page.keyboard.press("Tab")
    await page.goto(page.url)
    await no_mouse(page)
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_be_focused()
    await page.keyboard.press("Tab")
    assert await page.evaluate("() => document.querySelector('main').contains(document.activeElement)")


async def test_the_palette_finds_a_tag(demo, signed_in, opens):
    page = await no_mouse(await (await opens(demo.origin, signed_in)).go("/overview"))
    await page.keyboard.press("Control+k")
    await expect(page.get_by_role("combobox", name="Tag, asset or page")).to_be_focused()
    await page.keyboard.type("filler bowl_level")
    hit = page.get_by_role("option").filter(has_text="bowl_level")
    await expect(hit).to_be_visible()
    for _ in range(12):
        if await hit.get_attribute("aria-selected") == "true":
            break
        await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(r"/tags\?.*tag=packaging.*line1.*filler.*bowl_level"))
    await expect(page.get_by_role("row", selected=True)).to_contain_text("bowl_level")


async def test_keys_open_pages_and_help_and_escape_leaves(demo, signed_in, opens):
    page = await no_mouse(await (await opens(demo.origin, signed_in)).go("/overview"))
    for key, path in (("t", "/trends"), ("c", "/connections"), ("l", "/tags"), ("o", "/overview")):
        await page.keyboard.press("g")
        await page.keyboard.press(key)
        await expect(page).to_have_url(re.compile(path + "$"))
    await page.keyboard.press("?")
    sheet = page.get_by_role("dialog", name="Keys and help")
    await expect(sheet).to_be_visible()
    await page.keyboard.press("Tab")
    assert await page.evaluate("() => document.querySelector('[role=dialog]').contains(document.activeElement)")
    await page.keyboard.press("Escape")
    await expect(sheet).to_be_hidden()
    await page.keyboard.press("Control+k")
    await expect(page.get_by_role("dialog", name="Go to")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog", name="Go to")).to_be_hidden()

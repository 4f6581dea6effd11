"""What somebody sees who started the demo a minute ago, and what they see when a PLC loses its power."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import expect

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.leaks("the browser and the demo serve all tests of this folder"),
    pytest.mark.real("nats-server", "chdb", "chromium"),
]

FILLER = "packaging/line1/filler"


async def number(locator) -> float:
    text = (await locator.inner_text()).replace(",", "").strip()
    return float(text) if re.fullmatch(r"-?[\d.]+", text) else float("nan")


@pytest.mark.mission("M95")
async def test_the_printed_link_works_once_and_shows_the_line_running(demo, signed_in, opens):
    screen = await opens(demo.origin, signed_in)
    page = await screen.go("/overview")
    line = page.get_by_role("row").filter(has=page.get_by_role("link", name=re.compile("^Line 1")))
    await expect(line).to_contain_text("Running")
    await expect(line.locator("svg[data-shape=running]").first).to_be_visible()
    await expect(page.get_by_role("region", name="Health of the connections")).to_contain_text("All 8 connections good")

    again = await opens(demo.origin, None)
    await again.page.goto(demo.origin + demo.link)
    await expect(again.page.get_by_role("alert")).to_contain_text("already used")
    again.trouble.clear()  # the browser itself logs the two refusals (401) that this is about


@pytest.mark.mission("M24", "M32")
async def test_a_trend_of_the_good_counter_rises_while_one_watches(demo, signed_in, opens):
    screen = await opens(demo.origin, signed_in)
    page = await screen.go(f"/trends?pen={FILLER}/good")
    now = page.get_by_role("complementary", name="Pens").locator("dl.pen-values .lv-num")
    await expect(now).to_have_text(re.compile(r"^[\d,]+$"))
    before = await number(now)
    await page.wait_for_function(
        "([a, was]) => Number(a.textContent.replace(/,/g, '')) > was", arg=[await now.element_handle(), before]
    )
    await page.keyboard.press("d")
    table = page.get_by_role("region", name="Data as a table")
    await expect(table.locator("tbody tr").nth(2)).to_be_visible()
    cells = [
        float(text.replace(",", "")) for text in await table.locator("tbody td.num").all_inner_texts() if text != "bad"
    ]
    assert cells == sorted(cells)
    assert cells[-1] > cells[0]
    async with page.expect_download() as started:
        await page.get_by_role("button", name="Export").click()
    exported = (await (await started.value).path()).read_text().splitlines()
    assert len(exported) > len(cells) / 2
    assert f"{FILLER}/good" in exported[1]


@pytest.mark.mission("M19")
async def test_a_plc_without_power_looks_bad_with_its_reason_and_heals(demo, signed_in, opens):
    asset = await opens(demo.origin, signed_in)
    await asset.go(f"/asset/{FILLER}")
    other = await opens(demo.origin, signed_in)
    await other.go("/trends?pen=packaging/line1/palletiser/state_time")
    connections = await opens(demo.origin, signed_in)
    await connections.go("/connections")
    row = connections.page.get_by_role("row").filter(has=connections.page.get_by_role("button", name="plc-filler"))
    speed = asset.page.locator(".band-card").filter(has=asset.page.get_by_role("link", name="Speed")).locator(".lv.mid")
    await expect(speed).to_have_attribute("data-q", "good")

    await demo.plug("plc-filler", out=True)
    try:
        await expect(speed).to_have_attribute("data-q", "bad")
        await expect(asset.page.get_by_role("main")).to_contain_text("plc-filler")
        # Somebody who comes only now sees the last good value as well: struck, with a cross and its age.
        late = await opens(demo.origin, signed_in)
        await late.go(f"/asset/{FILLER}")
        struck = late.page.locator(".band-card .lv.mid[data-q=bad]").first
        await expect(struck.locator(".lv-num")).to_have_text(re.compile(r"^[\d,.]+$"))
        await expect(struck.locator(".lv-num")).to_have_css("text-decoration-line", "line-through")
        await expect(struck.locator(".lv-note")).to_have_text(re.compile(r"^Bad, .+ old$"))
        await expect(asset.page.get_by_role("main")).to_contain_text(re.compile("refused|closed|answer", re.IGNORECASE))
        await expect(row).to_contain_text("Bad")
        await row.get_by_role("button", name="plc-filler").click()
        detail = connections.page.get_by_role("complementary", name="Connection plc-filler")
        await expect(detail).to_contain_text(re.compile("refused|closed|answer", re.IGNORECASE))
        health = other.page.get_by_role("region", name="Health of the connections")
        await expect(health).to_contain_text("1 of 8 connections bad")
        elsewhere = other.page.get_by_role("complementary", name="Pens").locator("dl.pen-values .lv")
        await expect(elsewhere).to_have_attribute("data-q", "good")
        was = await elsewhere.locator(".lv-num").inner_text()
        await expect(elsewhere.locator(".lv-num")).not_to_have_text(was)
    finally:
        await demo.plug("plc-filler", out=False)
    await expect(speed).to_have_attribute("data-q", "good")
    await expect(row).to_contain_text("Good")
    await expect(other.page.get_by_role("region", name="Health of the connections")).to_contain_text(
        "All 8 connections good"
    )

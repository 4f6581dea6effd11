"""Trends: history plays back, another period lies over this one, and the language changes without losing the place."""

from __future__ import annotations

import asyncio
import contextlib
import re
import urllib.parse
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, expect
from playwright.async_api import TimeoutError as PlaywrightTimeout

from .conftest import until

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.leaks("the browser and the demo serve all tests of this folder"),
    pytest.mark.real("chromium", "chdb"),
]

GOOD = "packaging/line1/filler/good"


async def recorded(demo) -> tuple[str, str]:
    """Start and end of stored history of at least ten seconds."""

    async def ask() -> list[list]:
        rows = (await demo.ask("GET", f"history?tag={GOOD}&start=now-1h&end=now&shape=raw"))["rows"]
        return [row for row in rows if row[2] is not None][1:]

    rows = await until(ask, lambda r: len(r) > 2 and r[-1][1] - r[0][1] > 10_000, "ten seconds are recorded")
    ends = (datetime.fromtimestamp(rows[0][1] / 1000, UTC), datetime.fromtimestamp(rows[-1][1] / 1000, UTC))
    return tuple((t + timedelta(milliseconds=1)).isoformat().replace("+00:00", "Z") for t in ends)  # type: ignore[return-value]  # two of two


def place(page: Page) -> str:
    return urllib.parse.parse_qs(urllib.parse.urlsplit(page.url).query).get("at", [""])[0]


@pytest.mark.mission("M43")
async def test_history_plays_back_by_keyboard_and_its_place_is_in_the_address(demo, signed_in, opens):
    start, end = await recorded(demo)
    screen = await opens(demo.origin, signed_in)
    page = await screen.go(f"/trends?pen={GOOD}&start={start}&end={end}")
    await page.get_by_role("button", name="Playback").click()
    bar = page.get_by_role("group", name="Playback")
    then = page.get_by_role("complementary", name="Pens").locator("dl.pen-values dd").first
    await expect(then).to_have_text(re.compile(r"^[\d,]+$"))
    first = int((await then.inner_text()).replace(",", ""))

    time = bar.get_by_role("slider", name="Time of the playback")
    await time.focus()
    await page.keyboard.press("End")
    await expect(then).not_to_have_text(f"{first:,}")
    last = int((await then.inner_text()).replace(",", ""))
    assert last > first
    await page.keyboard.press("Home")
    await expect(then).to_have_text(f"{first:,}")

    await bar.get_by_role("button", name="600×").click()
    await time.focus()
    await page.keyboard.press(" ")
    await until(
        then.inner_text, lambda text: text != "–" and int(text.replace(",", "")) > first, "the pen follows the playback"
    )
    with contextlib.suppress(PlaywrightTimeout):  # it may have come to its end by itself
        await bar.get_by_role("button", name="Pause").click(timeout=2_000)
    await expect(bar.get_by_role("button", name="Play", exact=True)).to_be_visible()
    await expect(page).to_have_url(re.compile(r"[?&]at=.*[?&]speed=600"))

    address = ""
    while address != page.url:  # the address follows the slider at its own pace
        address = page.url
        await asyncio.sleep(1)
    again = await opens(demo.origin, signed_in)
    await again.go(address.removeprefix(demo.origin))
    assert place(again.page) == place(page)
    await expect(again.page.get_by_role("group", name="Playback")).to_be_visible()


def an_hour_ago(url: str) -> bool:
    end = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query).get("end", ["now"])[0]
    return end != "now" and datetime.fromisoformat(end) < datetime.now(UTC) - timedelta(minutes=55)


async def test_an_earlier_period_lies_over_this_one(demo, signed_in, opens):
    await recorded(demo)
    screen = await opens(demo.origin, signed_in)
    page = await screen.go(f"/trends?pen={GOOD}&span=10s")
    async with page.expect_request(lambda r: "/history?" in r.url and an_hour_ago(r.url)):
        await page.get_by_role("combobox", name="Compare").select_option(label="With 1 h earlier")
    await expect(page).to_have_url(re.compile("earlier=1h"))
    await expect(page.get_by_role("complementary", name="Pens")).to_contain_text("1 h earlier")


async def test_the_language_changes_in_the_menu_is_kept_and_follows_the_browser(demo, signed_in, opens, chromium):
    screen = await opens(demo.origin, signed_in)
    page = await screen.go("/tags?q=bowl_level")
    await page.get_by_role("button", name=re.compile("menu$")).click()
    await page.get_by_role("menuitem", name="Français").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Variables")
    await expect(page.locator("html")).to_have_attribute("lang", "fr")
    await expect(page.get_by_role("searchbox")).to_have_value("bowl_level")
    await page.reload()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Variables")

    context = await chromium.new_context(storage_state=signed_in, locale="de-AT")
    try:
        german = await context.new_page()
        await german.goto(f"{demo.origin}/connections")
        await expect(german.get_by_role("heading", level=1)).to_have_text("Verbindungen")
    finally:
        await context.close()

"""The power goes, for everything at once; what people saw before is still there afterwards, and it goes on."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from .conftest import until

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.leaks("the browser and the demo serve all tests of this folder"),
    pytest.mark.real("nats-server", "chdb", "chromium"),
]

GOOD = "energy/main/energy"  # counts also while the line stands


async def history(demo, end: str) -> list[list]:
    answer = await demo.ask("GET", f"history?tag={GOOD}&start=now-2h&end={end}&shape=raw")
    return [row for row in answer["rows"] if row[-1] == 0 or row[-1] == "Good"]


@pytest.mark.mission("M95")
async def test_after_kill_9_of_everything_nothing_that_was_seen_is_lost(demo, signed_in, opens):
    screen = await opens(demo.origin, signed_in)
    page = await screen.go(f"/trends?pen={GOOD}")
    value = page.get_by_role("complementary", name="Pens").locator("dl.pen-values .lv")
    await expect(value).to_have_attribute("data-q", "good")
    earlier = await history(demo, "now")
    seen = await demo.value(GOOD)
    assert await demo.kill_all() >= 10, "demo, six PLCs, sensors, two brokers, core, edge, listener"
    await expect(page.get_by_role("alert")).to_contain_text("No connection to Isthmus")
    await expect(value).not_to_have_attribute("data-q", "good")

    await demo.start()
    now = await until(
        lambda: demo.value(GOOD),
        lambda v: v["status"] == "Good" and v["time"] > seen["time"] and v["value"] > seen["value"],
        f"the counter goes on beyond {seen}",
    )
    assert now["value"] < seen["value"] + 10_000, "from where it was"
    recorded = await until(
        lambda: history(demo, "now"), lambda rows: rows[-1][2] > seen["value"], "it is recorded again"
    )
    assert recorded[: len(earlier)] == earlier
    assert seen["value"] in [row[2] for row in recorded]
    counts = [row[2] for row in recorded]
    assert counts == sorted(counts)
    await expect(page.get_by_role("alert")).to_be_hidden()
    await expect(value).to_have_attribute("data-q", "good")  # the same page, still signed in
    screen.trouble.clear()  # the browser itself logs that the line was cut
    await until(
        lambda: demo.ask("GET", "connections"),
        lambda a: {c["state"] for c in a["connections"]} == {"Good"},
        "all PLCs are connected again",
    )

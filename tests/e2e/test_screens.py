"""Process screens: drawn, bound, reviewed, published by another person and seen live; by mouse, by keys, on a phone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import struct
import time
from typing import Any

import psutil
import pytest
from playwright.async_api import Page, WebSocketRoute, expect

from .conftest import AXE, BOTH_WAYS, PATIENCE_S, Screen, until
from .test_pages import CUT, SERIOUS, WIDER

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.leaks("the browser and the demo serve all tests of this folder"),
    pytest.mark.real("chromium"),
    pytest.mark.mission("M23", "M24"),
]

LINE = "packaging/line1"
PATIENT = PATIENCE_S * 1000
_HEADER = struct.Struct("<BBHIIId")  # docs/api.md, "Live stream"


async def person(demo: Any, chromium: Any, name: str, role: str) -> Any:
    """The cookies of somebody with a role."""
    made = await demo.ask("POST", "users/link", {"name": name, "role": role})
    context = await chromium.new_context()
    page = await context.new_page()
    await page.goto(f"{demo.origin}/welcome?link={made['link']}")
    await page.get_by_role("button", name="Later").click()
    await expect(page).not_to_have_url(re.compile("/welcome"))  # each role begins where its work is
    state = await context.storage_state()
    await context.close()
    return state


async def quiet(screen: Screen) -> Screen:
    """Where alarms have no list yet, one without alarms."""

    async def none(route: Any) -> None:
        answer = json.dumps({"version": 0, "counts": {}, "alarms": []})
        await route.fulfill(status=200, content_type="application/json", body=answer)

    await screen.page.route(re.compile(r"/api/v1/alarms\?"), none)
    return screen


async def element(page: Page, ident: str) -> Any:
    return page.locator(f'[data-el="{ident}"]').first


async def test_a_pump_is_drawn_bound_reviewed_published_and_seen_live(demo, chromium, signed_in, opens):
    eva, sam = await person(demo, chromium, "Eva Draws", "engineer"), await person(demo, chromium, "Sam Looks", "supervisor")  # fmt: skip
    drawing = await quiet(await opens(demo.origin, eva))
    page = await drawing.go("/screens")
    await page.get_by_role("button", name="New screen").click()
    await page.get_by_label("Title", exact=True).fill("Water supply")
    await page.get_by_role("button", name="Draw it").click()
    await expect(page).to_have_url(f"{demo.origin}/screens/water-supply/edit")
    await page.get_by_role("region", name="Symbols").get_by_role("button", name="Filler", exact=True).click()
    await page.get_by_label("Asset", exact=True).fill(f"{LINE}/filler")
    await page.get_by_label("Asset", exact=True).press("Enter")
    await page.get_by_role("combobox", name="State").fill("state")
    await page.get_by_role("option").filter(has_text="./state").first.click()
    await page.get_by_role("combobox", name="Value").fill("./vibration")
    await page.get_by_role("combobox", name="Value").press("Enter")
    await page.get_by_role("button", name="Try with live values").click()
    await expect(await element(page, "filler1")).to_have_attribute("data-run", re.compile("running|stopped|waiting"))
    await page.get_by_role("button", name="Send to review").click()
    await page.get_by_label("What was changed").fill("the filler")
    await page.get_by_role("dialog").get_by_role("button", name="Send to review").click()
    await expect(page.get_by_text("put forward by Eva Draws")).to_be_visible()
    await expect(page.get_by_role("button", name="Publish", exact=True)).to_have_count(0)

    looking = await quiet(await opens(demo.origin, sam))
    page = await looking.go("/screens/water-supply")
    await expect(await element(page, "filler1")).to_be_visible()
    await page.get_by_role("button", name="Publish", exact=True).click()
    await page.get_by_role("dialog").get_by_role("button", name="Publish").click()
    await expect(page.get_by_text(re.compile(r"^version 1, "))).to_be_visible()

    seeing = await quiet(await opens(demo.origin, signed_in))
    page = await seeing.go("/screens")
    await page.get_by_role("link", name="Water supply", exact=True).click()
    filler = await element(page, "filler1")
    await expect(filler).to_have_attribute("data-q", "good")
    number = page.locator("[data-of=filler1] .el-num")
    await expect(number).to_have_text(re.compile(r"\d"))
    await expect(filler).to_have_attribute("aria-label", re.compile(r"Filler.*Vibration [\d.,]+"))
    first = await number.text_content()
    await expect(number).not_to_have_text(first or "")
    await filler.focus()
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(r"/screens/water-supply\?open=packaging.*filler"))
    beside = page.locator(".line-side")
    await expect(beside.locator(".lv").first).to_be_visible()
    await expect(beside).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(beside).to_have_count(0)
    await expect(filler).to_be_focused()


async def test_a_drawing_is_made_by_keys_alone_and_nothing_is_lost(demo, chromium, signed_in, opens):
    await demo.ask("POST", "screens", {"id": "by-keys", "document": {"schema": 1, "title": "Keys", "width": 800, "height": 400, "grid": 8, "elements": []}})  # fmt: skip
    screen = await quiet(await opens(demo.origin, signed_in))
    page = await screen.go("/screens/by-keys/edit")
    symbols, sheet = page.get_by_role("region", name="Symbols"), page.get_by_role("application")
    for name in ("Pump", "Tank"):
        await symbols.get_by_role("button", name=name, exact=True).focus()
        await page.keyboard.press("Enter")
        await expect(sheet).to_be_focused()
    await expect(await element(page, "tank1")).to_be_attached()
    x = page.get_by_label("X", exact=True)
    placed = float(await x.input_value())
    for _ in range(4):
        await page.keyboard.press("ArrowRight")
    before = placed + 32  # by the grid
    await expect(x).to_have_value(f"{before:g}")
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("Alt+ArrowRight")
    await expect(x).to_have_value(f"{before + 9:g}")
    wide = float(await page.get_by_label("W", exact=True).input_value())
    await page.keyboard.press("Shift+ArrowRight")
    await expect(page.get_by_label("W", exact=True)).to_have_value(f"{wide + 8:g}")
    await page.keyboard.press("Control+a")
    await page.get_by_role("button", name="Connect two objects").focus()
    await page.keyboard.press("Enter")
    await expect(await element(page, "pipe1")).to_be_attached()
    await sheet.focus()
    await page.keyboard.press("Control+z")
    await expect(await element(page, "pipe1")).not_to_be_attached()
    await page.keyboard.press("Control+y")
    await expect(await element(page, "pipe1")).to_be_attached()
    await page.keyboard.press("Control+d")
    await expect(await element(page, "pipe2")).to_be_attached()
    await expect(page.get_by_text("Not saved yet; kept in this browser")).to_be_visible()
    await page.wait_for_function("() => Object.keys(localStorage).some((key) => key.startsWith('isthmus.screen.'))")
    again = await screen.page.context.new_page()
    await again.goto(page.url)
    await again.get_by_role("button", name="Take it up").click()
    await expect(await element(again, "pipe2")).to_be_attached()
    await again.get_by_role("application").focus()
    await again.keyboard.press("Control+s")
    await expect(again.get_by_text(re.compile("^Saved "))).to_be_visible()
    kept = await demo.ask("GET", "screens/by-keys?version=0")
    assert {e["id"] for e in kept["document"]["elements"]} == {"pump1", "tank1", "pipe1", "pipe2"}
    pipe = next(e for e in kept["document"]["elements"] if e["id"] == "pipe1")
    assert (pipe["from"]["id"], pipe["to"]["id"]) == ("pump1", "tank1")
    await again.close()


async def test_a_drawing_of_another_program_is_cleaned_and_told(demo, signed_in, opens):
    await demo.ask("POST", "screens", {"id": "imported", "document": {"schema": 1, "title": "Imported", "width": 800, "height": 400, "elements": []}})  # fmt: skip
    page = await (await quiet(await opens(demo.origin, signed_in))).go("/screens/imported/edit")
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="200" height="100"><script>document.title="x"</script><rect width="90" height="40"/></svg>'  # fmt: skip
    await page.locator("input[type=file]").set_input_files({"name": "plan.svg", "mimeType": "image/svg+xml", "buffer": svg})  # fmt: skip
    await expect(page.get_by_text("1 × scripts")).to_be_visible()
    await expect(page.locator("[data-el=picture1] image")).to_have_attribute("href", re.compile("^data:image/svg"))
    await page.get_by_role("button", name="Save draft").click()
    await expect(page.get_by_text(re.compile("^Saved "))).to_be_visible()


@pytest.mark.parametrize(("size", "theme"), BOTH_WAYS)
async def test_screens_shut_nobody_out_and_fit(demo, signed_in, opens, size, theme):
    if not any(s["id"] == "line-1" for s in (await demo.ask("GET", "screens"))["screens"]):
        await demo.ask("POST", "screens", {"id": "line-1", "asset": LINE})
    screen = await quiet(await opens(demo.origin, signed_in, size, theme, AXE))
    found: list[str] = []
    for path, alive in (("/screens", ".records tbody tr"), ("/screens/line-1", ".el[data-q=good]"), ("/screens/line-1/edit", ".ed-sheet [data-el]")):  # fmt: skip
        page = await screen.go(path)
        await expect(page.locator("main").locator(alive).first).to_be_attached()
        wider = await page.evaluate(WIDER)
        if wider > 1:
            found.append(f"{path}: {wider} px wider than the screen")
        found += [f"{path}: {violation}" for violation in await page.evaluate(SERIOUS)]
        if size == "desk":
            found += [f"{path}: cut off: {cut}" for cut in await page.evaluate(CUT)]
    assert not found, "\n".join(found)


HEIGHTS = """(trend) => ({ lanes: [...trend.querySelectorAll('.lane')].map((lane) => lane.offsetHeight),
    curves: [...trend.querySelectorAll('.lane')].map((lane) => lane.querySelector('canvas')?.clientHeight ?? 0),
    cut: trend.scrollHeight - trend.clientHeight })"""


async def test_a_trend_has_the_height_it_was_drawn_with(demo, signed_in, opens):
    """Its lanes share it, and the curves fill them; without their styles they were once four pixels high."""
    tags = (await demo.ask("GET", "tags?limit=5000"))["tags"]
    paths = [t["path"] for t in tags if t["kind"] == "value" and t["path"].startswith(f"{LINE}/filler/")][:3]
    assert len(paths) == 3
    drawn = [
        {"id": f"trend{n}", "kind": "trend", "x": 16, "y": 16 + 256 * i, "w": 480, "h": 240, "label": "Filler", "pens": paths[:n], "span_s": 600}
        for i, n in enumerate((1, 3))
    ]  # fmt: skip
    await demo.ask("POST", "screens", {"id": "heights", "document": {"schema": 1, "title": "Heights", "width": 512, "height": 528, "elements": drawn}})  # fmt: skip
    page = await (await quiet(await opens(demo.origin, signed_in))).go("/screens/heights")
    for one in drawn:
        n, room = len(one["pens"]), one["h"] - 20  # its label stands above the lanes

        def fills(found: dict[str, Any], n: int = n, room: int = room) -> bool:
            whole = len(found["lanes"]) == n and 0.9 * room <= sum(found["lanes"]) <= room and found["cut"] <= 0
            return whole and all(c >= 0.9 * lane for c, lane in zip(found["curves"], found["lanes"], strict=True))

        trend = page.locator(f"[data-el={one['id']}] .el-trend")
        await until(lambda trend=trend: trend.evaluate(HEIGHTS), fills, f"{n} lanes and their curves fill {room} px")


def chromium_cpu_s() -> float:
    """Of all processes of the browser; raster without a GPU is work of its threads, and counts."""
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "chrom" in process.name():
                total += sum(process.cpu_times()[:2])
    return total


FRAMES = """(ms) => new Promise((done) => { const gaps = []; let last = performance.now(); const end = last + ms
    const next = (now) => { gaps.push(now - last); last = now; now < end ? requestAnimationFrame(next) : done(gaps) }
    requestAnimationFrame(next) })"""


@pytest.mark.soak
async def test_two_hundred_live_symbols_at_five_hertz(demo, signed_in, opens, record_property):
    """Every one of 200 symbols changes state and value five times a second; the figures are recorded, not judged."""
    tags = (await demo.ask("GET", "tags?limit=5000"))["tags"]
    paths = [t["path"] for t in tags if t["kind"] == "value" and t["type"] == "float"][:200]
    symbols = ("pump", "motor", "tank", "valve", "fan", "filler", "conveyor", "mixer")
    slot = {"tank": "level", "mixer": "level"}
    elements = [
        {
            "id": f"e{i}", "kind": "symbol", "symbol": symbols[i % 8], "x": 16 + 64 * (i % 20), "y": 16 + 72 * (i // 20), "w": 40, "h": 40,
            "bind": {"state": path} | {slot.get(symbols[i % 8], "value" if symbols[i % 8] not in slot else "level"): path},
        }
        for i, path in enumerate(paths)
    ]  # fmt: skip
    await demo.ask("POST", "screens", {"id": "many", "document": {"schema": 1, "title": "Many", "width": 1320, "height": 760, "elements": elements}})  # fmt: skip
    screen = await quiet(await opens(demo.origin, signed_in))
    seen: dict[str, Any] = {"view": 0, "slots": []}
    sent = {"frames": 0}
    tasks: list[asyncio.Task[None]] = []

    async def pump(ws: WebSocketRoute) -> None:
        turn = 0
        while True:
            await asyncio.sleep(0.2)
            sent["frames"] += 1
            n, turn = len(seen["slots"]), turn + 1
            now = time.time() * 1000
            head = _HEADER.pack(1, 1, 0, n, seen["view"], 0, now)
            values = [float((i * 7 + turn * 13) % 100 if (i + turn) % 3 else 0) for i in range(n)]
            ws.send(
                head + struct.pack(f"<{n}d", *[now] * n) + struct.pack(f"<{n}d", *values) + struct.pack(f"<{n}I", *range(n))
                + b"\0" * (4 * (n % 2)) + struct.pack(f"<{n}I", *[0] * n)
            )  # fmt: skip

    def between(ws: WebSocketRoute) -> None:
        server = ws.connect_to_server()

        def heard(message: str | bytes) -> None:
            if isinstance(message, bytes):
                return  # only the made frames count
            said = json.loads(message)
            if "slots" in said:
                seen.update(said)
            ws.send(message)

        server.on_message(heard)
        tasks.append(asyncio.ensure_future(pump(ws)))

    await screen.page.route_web_socket(re.compile("/api/v1/live"), between)
    page = await screen.go("/screens/many")
    try:
        await expect(page.locator(".el[data-q=good]")).to_have_count(len(paths))
        cpu, before = chromium_cpu_s(), sent["frames"]
        gaps = sorted((await page.evaluate(FRAMES, 10_000))[2:])
        each = (chromium_cpu_s() - cpu) / max(1, sent["frames"] - before) * 1000
        changed = await page.locator(".el-num").all_text_contents()
        await asyncio.sleep(0.6)
        assert changed != await page.locator(".el-num").all_text_contents()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    frame = 1000 / 60
    of = [gaps[int(len(gaps) * share)] for share in (0.5, 0.95, 0.99)]
    late = sum(gap > 33.4 for gap in gaps) / len(gaps)  # longer than two frames of the display
    dropped = 1 - len(gaps) * frame / sum(gaps)
    figures = {
        "symbols": len(paths), "p50 ms": f"{of[0]:.1f}", "p95 ms": f"{of[1]:.1f}", "p99 ms": f"{of[2]:.1f}", "worst ms": f"{gaps[-1]:.1f}",
        "over 33.4 ms": f"{late:.1%}", "dropped frames": f"{dropped:.1%}", "CPU ms an update in all of Chromium": f"{each:.1f}",
    }  # fmt: skip
    for name, value in figures.items():
        record_property(name, value)

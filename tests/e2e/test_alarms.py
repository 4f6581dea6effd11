"""Alarms as an operator meets them, over an API that holds rows here: keys, the page that was seen, rows that wait, shelving, a lost link."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import Page, Route, WebSocketRoute, expect

from .conftest import AXE, BOTH_WAYS
from .test_pages import SERIOUS, WIDER

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.leaks("the browser and the demo serve all tests of this folder"),
    pytest.mark.real("chromium", "axe-core"),
    pytest.mark.mission("M24", "M23"),
]

PRIORITIES = ("critical", "high", "medium", "low")
WAITING = ("Unacknowledged", "ReturnedUnacknowledged")
ASIDE = {"Shelved": "shelved", "SuppressedByDesign": "suppressed", "OutOfService": "out_of_service"}


def row(number: int, priority: str = "medium", state: str = "Unacknowledged", **more: Any) -> dict[str, Any]:
    path = f"packaging/line1/m{number}/speed"
    return {
        "occurrence": number, "alarm": f"{path}#high", "path": path, "asset": path.rpartition("/")[0], "name": "high",
        "kind": "high", "message": f"Machine {number} too fast", "priority": priority, "state": state, "value": 151.5,
        "unit": "1/min", "limit": 150.0, "raised_at": f"2026-01-01T00:{number // 60 % 60:02}:{number % 60:02}.000Z",
        "changed_at": "2026-01-01T00:00:00.000Z", "returned_at": None, "cleared_at": None, "acknowledged_at": None,
        "by": "", "comment": "", "shelved_until": None, "reason": "", "cause": "The drive races",
        "consequence": "Bottles break", "response": "Slow it down", "response_s": 300.0, "latched": False, **more,
    }  # fmt: skip


class Desk:
    """What the routes of alarms answer, and the news of the live stream."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self.rows = list(rows)
        self.version = 1
        self.asked: list[tuple[str, Any]] = []
        self.lost = False
        self._sockets: list[WebSocketRoute] = []

    async def over(self, page: Page) -> None:
        """Stand before the API of one page."""
        await page.route(re.compile(r"/api/v1/alarms"), self._answer)
        await page.route_web_socket(re.compile(r"/api/v1/live"), self._live)

    def _counts(self) -> dict[str, Any]:
        found: dict[str, Any] = {p: {"active": 0, "unacknowledged": 0} for p in PRIORITIES}
        found |= dict.fromkeys(ASIDE.values(), 0)
        for one in self.rows:
            if one["state"] in ASIDE:
                found[ASIDE[one["state"]]] += 1
            else:
                found[one["priority"]]["active"] += 1
                found[one["priority"]]["unacknowledged"] += one["state"] in WAITING
        return found

    def news(self) -> None:
        """Something changed: who looks is told."""
        self.version += 1
        for socket in self._sockets:
            socket.send(self._told())

    def _told(self) -> str:
        return json.dumps({"alarms": {"version": self.version, "counts": self._counts()}})

    def cut(self) -> None:
        """The link is lost, and stays so."""
        self.lost = True

    async def _live(self, socket: WebSocketRoute) -> None:
        if self.lost:
            await socket.close()
            return
        server = socket.connect_to_server()

        def from_core(message: str | bytes) -> None:
            if not self.lost and not (isinstance(message, str) and message.startswith('{"alarms"')):
                socket.send(message)

        server.on_message(from_core)
        self._sockets.append(socket)
        socket.send(self._told())

    async def _answer(self, route: Route) -> None:
        url = urlsplit(route.request.url)
        what, asked = url.path.removeprefix("/api/v1/alarms").strip("/"), parse_qs(url.query)
        if route.request.method != "GET":
            body = route.request.post_data_json
            self.asked.append((what, body))
            await route.fulfill(json={"version": self.version, "done": self._done(what, body)})
            self.news()
        elif what == "":
            found = [
                r
                for r in self.rows
                if r["state"] in asked.get("state", [r["state"]]) and r["priority"] in asked.get("priority", PRIORITIES)
            ]
            found.sort(key=lambda r: r["raised_at"], reverse=True)
            if asked.get("order") != ["newest"]:
                found.sort(key=lambda r: (r["state"] not in WAITING, PRIORITIES.index(r["priority"])))
            limit = int(asked.get("limit", ["500"])[0])
            head = {"version": self.version, "counts": self._counts(), "total": len(found), "most_shelve_minutes": 720}
            await route.fulfill(json={**head, "alarms": found[:limit]})
        elif what == "occurrences":
            await route.fulfill(json={"occurrences": [], "complete": True})
        else:
            await route.continue_()

    def _done(self, what: str, body: dict[str, Any]) -> list[Any]:
        after = {"acknowledge": "Acknowledged", "shelve": "Shelved", "unshelve": "Unacknowledged"}[what]
        chosen = [
            r
            for r in self.rows
            if r["occurrence"] in body.get("occurrences", ()) or r["alarm"] in body.get("alarms", ())
        ]
        for one in chosen:
            one["state"] = after
        return [r["occurrence"] for r in chosen]


async def desk_at(opens: Any, demo: Any, signed_in: Any, desk: Desk, path: str, *how: Any) -> Page:
    screen = await opens(demo.origin, signed_in, *how)
    await desk.over(screen.page)
    return await screen.go(path)


def line(page: Page, number: int) -> Any:
    return page.get_by_role("row").filter(has_text=f"Machine {number} too fast")


async def test_an_alarm_is_acknowledged_by_keys_alone(demo, signed_in, opens):
    desk = Desk(row(1, "critical"), row(2), row(3, "low", "Acknowledged"))
    page = await desk_at(opens, demo, signed_in, desk, "/overview")
    bar = page.get_by_role("region", name="Alarms", exact=True)
    await expect(bar).to_contain_text("Machine 2 too fast")
    await page.keyboard.press("g")
    await page.keyboard.press("a")
    await expect(page).to_have_url(re.compile("/alarms$"))
    await expect(line(page, 1)).to_contain_text("Unack")
    await page.get_by_role("grid", name="Alarm list").focus()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    for text in ("The drive races", "Bottles break", "Slow it down", "5 min"):
        await expect(page.get_by_role("grid")).to_contain_text(text)
    await page.keyboard.press("a")
    await expect(line(page, 1).first).to_contain_text("Ack")
    assert desk.asked == [("acknowledge", {"occurrences": [1], "comment": ""})]


async def test_a_page_acknowledges_what_is_seen_and_ten_thousand_rows_are_no_burden(demo, signed_in, opens):
    desk = Desk(*(row(n) for n in range(1, 10_001)))
    page = await desk_at(opens, demo, signed_in, desk, "/alarms")
    await expect(page.get_by_role("grid")).to_have_attribute("aria-rowcount", "10001")
    assert await page.locator(".aitem").count() < 60
    await page.locator(".alist").evaluate("e => { e.scrollTop = e.scrollHeight / 2 }")
    button = page.get_by_role("button", name=re.compile(r"^Acknowledge page \((?!0\))"))
    await expect(button).to_be_enabled()
    visible = await page.locator(".alist").evaluate(
        """e => { const box = e.getBoundingClientRect(), head = e.querySelector('.ahead').getBoundingClientRect().height
        return [...e.querySelectorAll('.aitem')].filter(i => { const b = i.getBoundingClientRect()
            return b.bottom > box.top + head && b.top < box.bottom })
            .map(i => Number(/Machine (\\d+)/.exec(i.textContent)[1])) }"""
    )
    await button.click()
    await expect(page.get_by_role("region", name="Alarms", exact=True)).to_be_visible()
    what, body = desk.asked[0]
    assert what == "acknowledge"
    assert 5 <= len(body["occurrences"]) <= 40
    assert set(body["occurrences"]) <= set(visible)


async def test_new_rows_wait_while_somebody_points_at_the_list(demo, signed_in, opens):
    desk = Desk(*(row(n) for n in range(1, 4)))
    page = await desk_at(opens, demo, signed_in, desk, "/alarms")
    await line(page, 2).hover()
    before = await page.locator(".aitem .c-message").all_inner_texts()
    desk.rows += [row(n, "critical") for n in range(10, 15)]
    desk.news()
    await expect(page.locator(".alist-note")).to_contain_text("5 new")
    assert await page.locator(".aitem .c-message").all_inner_texts() == before
    await expect(page.locator("[data-says=assertive]")).to_contain_text("Machine 14 too fast")
    await page.locator(".alist-note").get_by_role("button", name="Show").click()
    await expect(page.locator(".aitem .c-message").first).to_contain_text("Machine 14")


async def test_shelving_asks_for_a_reason_and_an_end(demo, signed_in, opens):
    desk = Desk(row(1))
    page = await desk_at(opens, demo, signed_in, desk, "/alarms")
    await page.get_by_role("grid", name="Alarm list").focus()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("s")
    sheet = page.get_by_role("dialog", name="Shelve this alarm")
    await expect(sheet).to_contain_text("At most 12 h")
    await sheet.get_by_role("button", name="Shelve", exact=True).click()
    assert desk.asked == []  # the browser asks for a reason first
    await sheet.get_by_role("button", name="Maintenance work").click()
    await sheet.get_by_role("button", name="Shelve", exact=True).click()
    await expect(sheet).to_be_hidden()
    assert desk.asked == [("shelve", {"alarms": [desk.rows[0]["alarm"]], "minutes": 30, "reason": "Maintenance work"})]
    await expect(page.get_by_role("navigation", name="Kinds of alarms")).to_contain_text("Shelved 1")
    await expect(page.locator("main")).to_contain_text("No alarm is active")


async def test_the_bar_is_above_every_page_and_a_mark_is_steady_where_motion_is_unwanted(demo, signed_in, opens):
    desk = Desk(row(1, "critical"), row(2, "high", "Shelved"))
    page = await desk_at(opens, demo, signed_in, desk, "/overview")
    for path in ("/overview", "/asset/packaging/line1/filler", "/trends", "/connections"):
        await page.goto(demo.origin + path)
        bar = page.get_by_role("region", name="Alarms", exact=True)
        await expect(bar).to_contain_text("Critical: 1 active, 1 unacknowledged")
        await expect(bar).to_contain_text("1 shelved")
    blinks = "() => getComputedStyle(document.querySelector('.amark-ring')).animationName"
    assert await page.evaluate(blinks) == "amark-blink"
    await page.emulate_media(reduced_motion="reduce")
    assert await page.evaluate(blinks) == "none"
    await expect(page.locator(".amark-ring").first).to_be_visible()


async def test_without_a_link_the_list_says_so_and_nothing_is_acknowledged(demo, signed_in, opens):
    desk = Desk(row(1))
    page = await desk_at(opens, demo, signed_in, desk, "/alarms")
    await expect(line(page, 1).get_by_role("button", name="Acknowledge")).to_be_visible()
    desk.cut()
    await expect(page.locator(".alost")).to_contain_text("Not connected")
    await expect(line(page, 1).get_by_role("button", name="Acknowledge")).to_be_hidden()
    await expect(page.get_by_role("button", name=re.compile("^Acknowledge page"))).to_be_disabled()


@pytest.mark.parametrize(("size", "theme"), BOTH_WAYS)
async def test_the_list_shuts_nobody_out(demo, signed_in, opens, size, theme):
    states = ("Unacknowledged", "Acknowledged", "ReturnedUnacknowledged", "Latched")
    desk = Desk(*(row(4 * i + j, p, s) for i, p in enumerate(PRIORITIES) for j, s in enumerate(states)))
    page = await desk_at(opens, demo, signed_in, desk, "/alarms", size, theme, AXE)
    await expect(page.locator(".aitem").first).to_be_visible()
    await page.get_by_role("button", name=re.compile("^Open Machine")).first.click()
    await expect(page.locator(".adetail")).to_be_visible()
    assert await page.evaluate(WIDER) <= 1
    assert await page.evaluate(SERIOUS) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_what_was_last_heard_is_grey_and_as_easy_to_read_when_the_link_is_lost(demo, signed_in, opens, theme):
    """Beside other work the link is lost for a moment now and then: that bar was see-through, and too faint to read."""
    states = ("Unacknowledged", "Acknowledged", "ReturnedUnacknowledged", "Latched", "Shelved")
    desk = Desk(*(row(5 * i + j, p, s) for i, p in enumerate(PRIORITIES) for j, s in enumerate(states)))
    page = await desk_at(opens, demo, signed_in, desk, "/alarms", "desk", theme, AXE)
    await expect(page.locator(".aitem").first).to_be_visible()
    desk.cut()
    for lost in (".abar[data-lost]", ".alist[data-lost]"):
        await expect(page.locator(lost)).to_have_css("opacity", "1")
        await expect(page.locator(lost)).to_have_css("filter", "grayscale(1)")
    await expect(page.locator(".abar .amark-ring").first).to_have_css("animation-name", "none")
    assert await page.evaluate(SERIOUS) == []


async def test_the_value_of_a_state_is_a_word_and_an_alarm_of_nothing_smaller_is_of_the_site(demo, signed_in, opens):
    desk = Desk(row(1, value=11, word="Held", unit="", limit=None), row(2, "low", asset="", path=""))
    page = await desk_at(opens, demo, signed_in, desk, "/alarms")
    await expect(line(page, 1).locator(".avalue")).to_have_text("Held")
    desk.rows = desk.rows[1:]
    desk.news()
    await expect(page.get_by_role("region", name="Alarms", exact=True).locator(".abar-text b")).to_have_text("site")

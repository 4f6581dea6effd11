"""The screens of control against a plant that is made up: each way a write can end, the second person, halting, lines, kiosk.

What the server does is seen elsewhere; here is seen that no screen says more than the server said.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from .conftest import AXE, BOTH_WAYS, PATIENCE_S, SIZES
from .stub import FILLER, LINE, STATIC, TARGET, VALVE, Files, Stub, iso
from .test_pages import CUT, SERIOUS, WIDER

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.leaks("the browser serves all tests of this folder"),
    pytest.mark.real("chromium", "axe-core"),
]

PRESSURE = f"{FILLER}/pressure-set"
PAGES = {
    "line": (f"/line/{LINE}", ".column .lv"),
    "line with a faceplate": (f"/line/{LINE}?open={FILLER}", ".line-side .set-points"),
    "faceplate": (f"/asset/{FILLER}", ".set-points .lv"),
    "write dialog": (f"/asset/{FILLER}?write={TARGET}", ".write-input input"),
    "control": ("/control", ".wait-row"),
    "trips": ("/control?tab=trips", ".trip-row"),
    "journal": ("/control?tab=journal", ".journal-row"),
    "recipes": ("/control?tab=recipes&against=1", ".recipe-values tbody tr"),
}

FOCUS = """() => { window.focused = []; new MutationObserver(() => {
    const end = document.querySelector('.write-dialog .ending')
    if (end) window.focused.push(document.activeElement.tagName)
}).observe(document.body, { subtree: true, childList: true }) }"""
"""Notes where the focus is whenever something has changed in a dialog that has come to its end."""

EXPECTED = ("Failed to load resource", "WebSocket connection to")
"""What the browser itself notes when a request is refused or a connection is cut, which is what some tests are about."""

Shows = Callable[..., Awaitable[Page]]


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    """Where the built screens are served from; the API and the live stream are answered in the browser."""
    if not (STATIC / "index.html").is_file():
        pytest.fail("the screens are not built: run `make setup`")
    with Files() as files:
        yield files.origin


@pytest_asyncio.fixture(loop_scope="session")
async def shows(chromium, origin) -> AsyncIterator[Shows]:
    """Opens a path of a made-up plant; what the page complained about, or asked for in vain, fails the test."""
    contexts: list[tuple[BrowserContext, Stub]] = []
    trouble: list[str] = []

    async def one(
        stub: Stub, path: str, size: str = "desk", theme: str = "light", *, touch: bool = False, axe: bool = False
    ) -> Page:
        width, height = SIZES[size]
        context = await chromium.new_context(viewport={"width": width, "height": height}, has_touch=touch)
        contexts.append((context, stub))
        await context.add_init_script(f"localStorage.setItem('isthmus.theme', '{theme}')")
        if axe:
            await context.add_init_script(path=AXE)

        def broke(error: Any) -> None:
            if "/assets/" in str(error.stack):  # what stands for the server runs scripts in the page, too
                trouble.append(f"{path}: {error.stack}")

        page = await context.new_page()
        page.set_default_timeout(PATIENCE_S * 1000)
        page.on("pageerror", broke)

        def heard(message: Any) -> None:
            if message.type in ("error", "warning") and not message.text.startswith(EXPECTED):
                trouble.append(f"{path}: {message.text}")

        page.on("console", heard)
        await stub.serve(page)
        await page.goto(f"{origin}{path}")
        await expect(page.locator("h1")).to_be_visible()
        return page

    yield one
    for context, _ in contexts:
        await context.close()
    assert trouble + [line for _, stub in contexts for line in stub.unknown] == []


def writes_of(stub: Stub) -> list[dict[str, Any]]:
    return [body for method, what, body in stub.asked if (method, what) == ("POST", "control/writes")]


async def review(page: Page, value: str, name: str = "Change target") -> None:
    """From the faceplate to the review."""
    await page.get_by_role("button", name=name).first.click()
    entry = page.get_by_role("textbox", name="New value")
    await expect(entry).to_be_focused()
    await entry.fill(value)
    await page.get_by_role("button", name="Review", exact=True).click()


def dialog(page: Page) -> Any:
    return page.get_by_role("dialog", name="Change")


@pytest.mark.mission("M22", "M34")
async def test_a_permitted_write_goes_to_its_end_and_says_what_the_device_has(shows):
    stub = Stub()
    page = await shows(stub, f"/asset/{FILLER}")
    await review(page, "90")
    box = dialog(page)
    for text in (
        "120.0",
        "90.0",
        "Change \u221230.0 1/min (\u221225 %)",
        "Your right",
        "Interlock",
        "Lock-out",
        "not needed",
    ):
        await expect(box).to_contain_text(text)
    assert writes_of(stub) == []  # nothing is sent before it is confirmed
    await page.get_by_role("button", name="Write 90.0 1/min").click()
    await expect(box.get_by_role("status")).to_contain_text("Verified by read-back")
    await expect(box).to_contain_text("The device has 90.0 1/min")
    assert writes_of(stub) == [{"path": TARGET, "value": 90, "selection": "s1", "base": 120}]
    await box.locator(".write-acts").get_by_role("button", name="Close").click()
    await expect(page.locator(f"[data-point='{TARGET}']").first).to_be_focused()


@pytest.mark.mission("M22")
async def test_a_denied_write_says_why_and_what_would_clear_it(shows):
    stub = Stub(outcome="denied")
    page = await shows(stub, f"/asset/{FILLER}")
    await review(page, "90")
    await page.get_by_role("button", name="Write 90.0 1/min").click()
    box = dialog(page)
    await expect(box.get_by_role("heading", name="Denied")).to_be_focused()
    await expect(box).to_contain_text(f"the interlock of {TARGET} does not hold")
    await expect(box).to_contain_text("What would clear it: close the guard")
    await expect(box).to_contain_text("Nothing reached the device")
    await page.get_by_role("button", name="Begin again").click()
    await expect(page.get_by_role("textbox", name="New value")).to_have_value("90")  # what was entered is kept


@pytest.mark.parametrize(
    ("outcome", "title", "why"),
    [("refused", "Denied", "zone line1 is halted"), ("down", "Control does not answer", "silent for 12 s")],
)
async def test_a_refusal_by_the_server_is_told_in_its_words(shows, outcome, title, why):
    page = await shows(Stub(outcome=outcome), f"/asset/{FILLER}")
    await review(page, "90")
    await page.get_by_role("button", name="Write 90.0 1/min").click()
    await expect(dialog(page).get_by_role("heading", name=title)).to_be_visible()
    await expect(dialog(page)).to_contain_text(why)


async def test_an_uncertain_write_is_never_shown_as_done_and_followed_until_it_is_known(shows):
    stub = Stub(outcome="uncertain")
    page = await shows(stub, f"/asset/{FILLER}")
    await review(page, "90")
    await page.get_by_role("button", name="Write 90.0 1/min").click()
    box = dialog(page)
    await expect(box.get_by_role("alert")).to_contain_text("Uncertain: it may have been written")
    await expect(box).to_contain_text("does not send it again")
    await expect(box).not_to_contain_text("Verified")
    stub.writes[0].update(state="done", settled=True, code="", read_back=90)
    await expect(box).to_contain_text("Verified by read-back")
    assert len(writes_of(stub)) == 1


async def test_a_write_whose_answer_is_lost_is_looked_for_and_not_sent_again(shows):
    stub = Stub(outcome="lost")
    page = await shows(stub, f"/asset/{FILLER}")
    await review(page, "90")
    await page.get_by_role("button", name="Write 90.0 1/min").click()
    await expect(dialog(page)).to_contain_text("Verified by read-back")  # the journal knew
    assert len(writes_of(stub)) == 1


async def test_a_write_that_did_not_arrive_is_called_so_when_its_selection_is_over(shows):
    stub = Stub(outcome="never", selection_s=3)
    page = await shows(stub, f"/asset/{FILLER}")
    await review(page, "90")
    await page.get_by_role("button", name="Write 90.0 1/min").click()
    await expect(dialog(page)).to_contain_text("The answer was lost")
    await expect(dialog(page)).to_contain_text("It did not arrive")
    assert len(writes_of(stub)) == 1


async def test_a_selection_that_ends_sends_nothing_and_keeps_what_was_entered(shows):
    stub = Stub(selection_s=1)
    page = await shows(stub, f"/asset/{FILLER}?write={TARGET}")
    await page.get_by_role("textbox", name="New value").fill("91")
    await expect(dialog(page)).to_contain_text("The selection has ended; nothing was sent")
    await expect(page.get_by_role("button", name="Review", exact=True)).to_be_disabled()
    stub.selection_s = 60
    await page.get_by_role("button", name="Select again").click()
    await expect(page.get_by_role("textbox", name="New value")).to_have_value("91")
    assert writes_of(stub) == []


async def test_a_value_that_cannot_be_is_not_reviewed(shows):
    stub = Stub()
    page = await shows(stub, f"/asset/{FILLER}?write={TARGET}")
    entry, problem = page.get_by_role("textbox", name="New value"), page.locator("#write-problem")
    for entered in ("NaN", "1e3", "141", "60", "120", "", "1,500"):
        await entry.fill(entered)
        await page.keyboard.press("Enter")
        await expect(problem).to_have_attribute("role", "alert")
        await expect(problem).not_to_be_empty()
        await expect(page.get_by_role("button", name="Review", exact=True)).to_be_visible()
    assert writes_of(stub) == []


async def test_what_changes_while_it_is_reviewed_is_reviewed_again(shows):
    stub = Stub()
    page = await shows(stub, f"/asset/{FILLER}")
    await review(page, "90")
    await expect(page.get_by_role("button", name="Write 90.0 1/min")).to_be_enabled()
    stub.values[TARGET] = 118.0
    await stub.sockets[-1].close()  # the new connection brings the new value
    await expect(dialog(page)).to_contain_text("The value has changed meanwhile: it is 118.0 1/min")
    await expect(page.get_by_role("button", name="Write 90.0 1/min")).to_be_disabled()
    await page.get_by_role("button", name="Review again").click()
    await page.get_by_role("button", name="Write 90.0 1/min").click()
    await expect(dialog(page)).to_contain_text("Verified by read-back")
    assert writes_of(stub)[0]["base"] == 118


AGAINST: tuple[tuple[dict[str, Any], str], ...] = (
    ({"local": True}, "Local, at the machine"),
    ({"mode": "halted"}, "Halted"),
    ({"mode": "safe-direction-only", "safe_direction": "up"}, "Only upwards"),
    ({"lockout": "J. Roche: glue pump"}, "J. Roche: glue pump"),
    ({"interlock": {"expression": "guard-closed", "holds": None}}, "not known"),
    ({"interlock": {"expression": "guard-closed", "holds": False}}, "does not hold"),
)


@pytest.mark.mission("M34")
async def test_what_stands_against_a_write_is_told_before_it_is_confirmed(shows):
    stub = Stub()
    page = await shows(stub, f"/asset/{FILLER}")
    await review(page, "90")
    free = dict(stub.points[TARGET])
    confirm, checks = (
        page.get_by_role("button", name="Write 90.0 1/min"),
        page.get_by_role("region", name="Checked now"),
    )
    for change, told in AGAINST:
        await expect(confirm).to_be_enabled()
        stub.points[TARGET].update(change)  # it changes under the review
        await expect(checks).to_contain_text(told)
        await expect(confirm).to_be_disabled()
        stub.points[TARGET].update(free)
    assert writes_of(stub) == []


@pytest.mark.mission("M34")
async def test_a_point_in_local_cannot_be_chosen_and_says_what_would_clear_it(shows):
    stub = Stub()
    stub.points[TARGET]["local"] = True
    stub.deny(TARGET, "local", f"{TARGET} is operated at the machine", "switch the machine to remote")
    page = await shows(stub, f"/asset/{FILLER}")
    await expect(page.get_by_role("img", name="Operated from: Local, at the machine")).to_be_visible()
    await expect(page.locator(".set-points")).to_contain_text("switch the machine to remote")
    await expect(page.locator(f".set-points [data-point='{TARGET}']")).to_be_disabled()


@pytest.mark.mission("M22")
async def test_a_valve_is_commanded_by_word(shows):
    stub = Stub()
    page = await shows(stub, f"/asset/{FILLER}")
    await page.get_by_role("button", name="Change inlet valve").first.click()
    await dialog(page).get_by_role("button", name="Off").click()
    await page.get_by_role("button", name="Review", exact=True).click()
    await page.get_by_role("button", name="Write Off").click()
    await expect(dialog(page)).to_contain_text("The device has Off")
    assert writes_of(stub) == [{"path": VALVE, "value": 0, "selection": "s1", "base": 1}]


async def test_a_write_with_a_second_person_waits_and_another_approves_it(shows):
    stub = Stub()
    page = await shows(stub, f"/asset/{FILLER}")
    await review(page, "2.5", "Change pressure set")
    ask = page.get_by_role("button", name="Ask for 2.50 bar")
    await ask.click()
    await expect(dialog(page)).to_contain_text("This point is written only with a reason")
    assert writes_of(stub) == []
    await page.get_by_role("textbox", name="Reason").fill("Foam at the valves")
    await ask.click()
    await expect(dialog(page)).to_contain_text("Waits for a second person")
    await expect(dialog(page)).to_contain_text("is not written")
    own = await shows(stub, "/control")
    await expect(own.locator(".wait-row")).to_contain_text("Your own request")
    await expect(own.get_by_role("button", name="Approve …")).to_have_count(0)
    stub.user = "J. Roche"
    stub.writes[0]["own"] = False
    other = await shows(stub, "/overview")
    await other.get_by_role("link", name="Look").click()
    await expect(other.locator(".wait-row")).to_contain_text("Foam at the valves")
    await other.get_by_role("button", name="Approve …").click()
    await other.get_by_role("button", name="Approve: write 2.50 bar").click()
    await expect(other.get_by_role("status").filter(has_text="Verified by read-back")).to_be_visible()
    await expect(dialog(page)).to_contain_text("Approved by J. Roche")


async def test_a_request_of_somebody_else_is_rejected_with_a_reason(shows):
    stub = Stub().full()
    page = await shows(stub, "/control")
    await page.get_by_role("button", name="Reject …").click()
    await page.get_by_role("textbox", name="Reason").fill("Not during the run")
    await page.get_by_role("button", name="Reject", exact=True).click()
    await expect(page.get_by_role("status").filter(has_text="Not during the run")).to_be_visible()
    assert ("POST", "control/writes/w3/reject", {"reason": "Not during the run"}) in stub.asked


@pytest.mark.mission("M22")
async def test_a_write_by_keyboard_alone_and_no_second_enter_confirms(shows):
    stub = Stub()
    page = await shows(stub, f"/asset/{FILLER}")
    await expect(page.locator(f".set-points [data-point='{TARGET}']")).to_be_enabled()
    for _ in range(60):
        await page.keyboard.press("Tab")
        if await page.evaluate("() => document.activeElement.textContent") == "Change target":
            break
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("textbox", name="New value")).to_be_focused()
    await page.keyboard.type("90")
    for _ in range(3):
        await page.keyboard.press("Enter")  # whoever drums on the key reviews, and no more
    await expect(page.get_by_role("button", name="Write 90.0 1/min")).to_be_visible()
    assert writes_of(stub) == []
    for _ in range(10):
        await page.keyboard.press("Tab")
        if await page.evaluate("() => document.activeElement.textContent") == "Write 90.0 1/min":
            break
    await page.evaluate(FOCUS)
    await page.keyboard.press("Enter")
    await expect(dialog(page)).to_contain_text("Verified by read-back")
    assert set(await page.evaluate("() => window.focused")) == {"H3"}, "who sees the end can close it by a key at once"
    await page.keyboard.press("Escape")
    await expect(dialog(page)).to_have_count(0)
    assert len(writes_of(stub)) == 1


async def test_a_lost_connection_stops_the_confirmation_and_keeps_the_draft(shows):
    stub = Stub()
    page = await shows(stub, f"/asset/{FILLER}")
    await review(page, "90")
    await expect(page.get_by_role("button", name="Write 90.0 1/min")).to_be_enabled()
    await page.unroute_all()
    await page.context.set_offline(True)
    await stub.sockets[-1].close()
    await page.evaluate("() => { window.WebSocket = class extends EventTarget { close() {} send() {} } }")
    await expect(dialog(page)).to_contain_text("Nothing was sent. What you entered is kept.")
    await expect(page.get_by_role("button", name="Write 90.0 1/min")).to_be_disabled()


@pytest.mark.mission("M33")
async def test_the_keypad_serves_gloves(shows):
    stub = Stub()
    page = await shows(stub, f"/line/{LINE}?open={FILLER}&write={TARGET}&kiosk=1", touch=True)
    pad = page.get_by_role("group", name="Keypad")
    for key in ("Clear", "9", "0", "Decimal sign", "5"):
        button = pad.get_by_role("button", name=key, exact=True)
        box = await button.bounding_box()
        assert box is not None
        assert box["height"] >= 56
        assert box["width"] >= 56
        await button.click()
    await expect(page.get_by_role("textbox", name="New value")).to_have_value("90.5")
    await page.get_by_role("button", name="Review", exact=True).click()
    await page.get_by_role("button", name="Write 90.5 1/min").click()
    await expect(dialog(page)).to_contain_text("The device has 90.5 1/min")


@pytest.mark.mission("M33")
async def test_a_kiosk_has_no_navigation_is_remembered_and_comes_back_when_nobody_is_there(shows, origin):
    stub = Stub().full()
    page = await shows(stub, f"/line/{LINE}?kiosk=1&idle=10")
    await expect(page.get_by_role("navigation", name="Pages")).to_have_count(0)
    await page.keyboard.press("Control+k")
    await expect(page.get_by_role("combobox")).to_have_count(0)
    await page.goto(f"{origin}/line/{LINE}?open={FILLER}")  # remembered: nothing says kiosk any more
    await expect(page.get_by_role("navigation", name="Pages")).to_have_count(0)
    await expect(page.locator(".line-side .set-points")).to_be_visible()
    await page.clock.install()
    await page.goto(f"{origin}/line/{LINE}?open={FILLER}")
    await expect(page.locator(".line-side .set-points")).to_be_visible()
    await page.clock.run_for(15_000)
    await expect(page).to_have_url(f"{origin}/line/{LINE}")
    await page.get_by_role("button", name="Leave full screen").click()
    await page.get_by_role("button", name="Leave, sure?").click()
    await expect(page.get_by_role("navigation", name="Pages").first).to_be_visible()


@pytest.mark.mission("M23")
async def test_from_the_overview_to_a_faceplate_takes_two_steps(shows, origin):
    page = await shows(Stub().full(), "/overview")
    await page.get_by_role("link", name="Line 1").click()
    await expect(page.get_by_role("region", name="Web tension low-low")).to_contain_text("clear the splice on reel 2")
    await expect(page.get_by_text("7 loops, 6 inside the band")).to_be_visible()
    await page.get_by_role("button", name="Open labeller").first.click()
    await expect(page).to_have_url(re.compile("open=packaging/line1/labeller"))
    await expect(page.get_by_role("complementary", name="Labeller")).to_contain_text("Values in their band")
    await expect(page.get_by_role("navigation", name="Path")).to_contain_text("packaging")
    await page.get_by_role("navigation", name="Path").get_by_role("link", name="packaging").click()
    await expect(page).to_have_url(f"{origin}/asset/packaging")


async def test_halting_takes_two_touches_and_letting_go_a_reason(shows):
    stub = Stub()
    page = await shows(stub, "/control")
    await page.get_by_role("button", name="Halt line1").click()
    await page.get_by_role("button", name="Halt now").click()
    row = page.locator(".zone-row").filter(has_text="line1")
    await expect(row).to_contain_text("Halted")
    await row.get_by_role("button", name="Let go …").click()
    await page.get_by_role("textbox", name="Reason").fill("Cleaning done")
    await page.get_by_role("button", name="Let go", exact=True).click()
    await expect(row).to_contain_text("Normal")
    assert [body for method, what, body in stub.asked if method == "PUT"] == [
        {"mode": "halted", "reason": "Halted on the page Control"},
        {"mode": "normal", "reason": "Cleaning done"},
    ]


async def test_lock_outs_trips_and_unexplained_changes_are_dealt_with(shows):
    stub = Stub().full()
    page = await shows(stub, "/control")
    await page.get_by_role("button", name="Lock out …").click()
    await page.get_by_role("combobox", name="What").fill(f"{LINE}/capper")
    await page.get_by_role("textbox", name="Why").fill("Belt change, M. Perrin inside")
    await page.get_by_role("button", name="Lock out", exact=True).click()
    await expect(page.get_by_text("Belt change, M. Perrin inside")).to_be_visible()
    await page.locator(".zone-row").filter(has_text="Glue pump out").get_by_role("button", name="Take away …").click()
    await page.get_by_role("textbox", name="Reason").fill("He has left")
    await page.get_by_role("button", name="Take away", exact=True).click()
    await expect(page.get_by_text("Glue pump out")).to_have_count(0)
    await page.get_by_role("button", name="Accept …").click()
    await page.get_by_role("textbox", name="Who changed it").fill("The fitter, agreed")
    await page.get_by_role("button", name="Accept", exact=True).click()
    await expect(page.get_by_text("Accepted by M. Perrin: The fitter, agreed")).to_be_visible()
    await page.get_by_role("link", name="Trips").click()
    await expect(page.get_by_text("First cause: bowl-pressure > 3.6 bar")).to_be_visible()
    await page.get_by_role("button", name="Reset …").click()
    await page.get_by_role("textbox", name="Reason").fill("Valve freed")
    await page.get_by_role("button", name="Reset", exact=True).click()
    await expect(page.locator(".trip-row[data-state=tripped]")).to_have_count(0)
    assert ("POST", "control/trips/bowl-overpressure/reset", {"reason": "Valve freed"}) in stub.asked


async def test_the_journal_is_filtered_by_its_address_and_draws_only_what_is_seen(shows):
    stub = Stub()
    for n in range(1500):
        stub.write(TARGET, 100 + n % 20, "done" if n % 3 else "denied", "J. Roche" if n % 2 else "A. Blanc")
    page = await shows(stub, "/control?tab=journal")
    await expect(page.locator(".journal-row").first).to_be_visible()
    assert await page.locator(".journal-row").count() < 60
    await page.get_by_role("textbox", name="Who").fill("blanc")
    await page.get_by_role("combobox", name="Result").select_option("denied")
    await page.get_by_role("button", name="Filter").click()
    await expect(page).to_have_url(re.compile("who=blanc.*state=denied"))
    await expect(page.locator(".journal-row").first).to_contain_text("Denied")
    assert set(await page.locator(".journal-row .journal-state").all_inner_texts()) == {"Denied"}


async def test_recipes_are_compared_edited_approved_and_downloaded_with_a_report(shows):
    stub = Stub().full()
    page = await shows(stub, "/control?tab=recipes&against=1")
    await expect(page.locator("tr[data-differs='1']")).to_have_count(2)
    await page.get_by_role("button", name="Approve …").click()
    await page.get_by_role("button", name="Approve", exact=True).click()
    await expect(page.get_by_text("Approved by M. Perrin.")).to_be_visible()
    await page.get_by_role("button", name="New version …").click()
    await page.get_by_role("textbox", name="Value").first.fill("112.5")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("112.5 1/min")).to_be_visible()
    saved = next(body for method, what, body in stub.asked if (method, what) == ("POST", "recipes"))
    assert saved["items"][0] == {"tag": "target", "value": 112.5}
    assert saved["asset"] == FILLER
    await page.get_by_role("button", name="Download …").click()
    await page.get_by_role("button", name="Write 3 values").click()
    report = page.get_by_role("status", name="Report of the download")
    for text in ("It stopped", "Verified by read-back", "close the guard", "Not written"):
        await expect(report).to_contain_text(text)


async def test_a_write_whose_end_nobody_knows_is_given_up_with_a_reason(shows):
    stub = Stub().full()
    stub.write(TARGET, 131, "uncertain", "J. Roche", settled=False, code="no_answer", reason="the edge has not told")
    page = await shows(stub, "/control")
    await expect(page.get_by_text("1 write whose end is not known")).to_be_visible()
    await page.get_by_role("button", name="Give up asking …").click()
    await page.get_by_role("textbox", name="Reason").fill("Looked: it runs at 131")
    await page.get_by_role("button", name="It stays uncertain").click()
    await expect(page.get_by_role("button", name="Give up asking …")).to_have_count(0)
    assert ("POST", f"control/writes/w{len(stub.writes)}/reject", {"reason": "Looked: it runs at 131"}) in stub.asked
    await page.get_by_role("link", name="Journal").click()
    await expect(page.locator(".journal-row[data-state=uncertain]")).to_contain_text("Looked: it runs at 131")


async def test_a_recipe_waits_for_a_second_person_once(shows):
    stub = Stub().full()
    line = {"path": TARGET, "value": 110, "before": 120, "state": "not written", "write": "", "code": "", "reason": "", "clears": ""}  # fmt: skip
    stub.downloads = [
        {**stub.download(), "id": 7, "by": "J. Roche", "state": "waiting", "own": False, "ended": None, "expires_at": iso(-400), "lines": [line]}
    ]  # fmt: skip
    page = await shows(stub, "/control")
    row = page.locator(".wait-row").filter(has_text="still-water")
    await row.get_by_role("button", name="Approve …").click()
    await page.get_by_role("button", name="Approve: write 1 value").click()
    await expect(page.get_by_role("status", name="Report of the download")).to_contain_text("M. Perrin")
    assert any((method, what) == ("POST", "recipes/still-water/downloads/7/approve") for method, what, _ in stub.asked)
    await page.get_by_role("link", name="Recipes").click()
    await page.locator(".earlier summary").click()
    await expect(page.locator(".earlier")).to_contain_text("All values were written and read back.")


async def test_what_edges_noted_is_read_on_a_tab_of_its_own(shows):
    stub = Stub().full()
    stub.edge_lines = [
        {"at": iso(60), "kind": "lease", "path": TARGET, "text": "state answered, value 0", "by": "", "edge": "edge-1", "id": "12"}
    ]  # fmt: skip
    page = await shows(stub, "/control?tab=edges")
    await expect(page.get_by_role("row").filter(has_text="Lease")).to_contain_text("value 0")
    await page.get_by_role("textbox", name="Words").fill("lease")
    await page.get_by_role("button", name="Filter").click()
    await expect(page).to_have_url(re.compile("text=lease"))


async def test_the_second_factor_shows_a_code_for_the_camera(shows):
    page = await shows(Stub(), "/account")
    await page.get_by_role("button", name="Add a code app").click()
    code = page.get_by_role("img", name="QR code for the app on a phone")
    await expect(code).to_be_visible()
    assert len(await code.locator("path").get_attribute("d") or "") > 2000


async def test_without_control_and_alarms_the_pages_are_as_before(shows):
    """A role that may not see them, or a server that has none."""
    stub = Stub()
    stub.points.clear()
    page = await shows(stub, f"/asset/{FILLER}")
    await expect(page.locator(".band-card .lv[data-q=good]").first).to_be_visible()
    await expect(page.get_by_text("Commands and set-points")).to_have_count(0)
    await expect(page.get_by_role("link", name="Open trend")).to_have_class(re.compile("primary"))


@pytest.mark.parametrize(("size", "theme"), BOTH_WAYS)
async def test_the_pages_fit_and_shut_nobody_out(shows, origin, size, theme):
    found: list[str] = []
    page = await shows(Stub().full(), "/overview", size, theme, touch=size == "phone", axe=True)
    for name, (path, alive) in PAGES.items():
        await page.goto(f"{origin}{path}")
        await expect(page.locator(alive).first).to_be_attached()
        wider = await page.evaluate(WIDER)
        if wider > 1:
            found.append(f"{name}: {wider} px wider than the screen")
        found += [f"{name}: cut off at the right: {what}" for what in await page.evaluate(CUT)]
        found += [f"{name}: {violation}" for violation in await page.evaluate(SERIOUS)]
    assert not found, json.dumps(found, indent=1)

"""The station on the floor and the page of a shift against a plant that is made up: two touches, two tablets, a lost line."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.async_api import expect

from .conftest import BOTH_WAYS
from .stub_floor import LABELLER, STOP, FloorStub, iso, machine
from .test_control_screens import origin, shows  # noqa: F401  fixtures of the made-up plant
from .test_pages import CUT, SERIOUS, WIDER

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.leaks("the browser serves all tests of this folder"),
    pytest.mark.real("chromium", "axe-core"),
]

FLOOR = f"/floor?asset={LABELLER}"
SMALL = """() => [...document.querySelectorAll('main button, main a, main select')]
    .filter((e) => e.checkVisibility() && !e.closest('.sr') && e.getBoundingClientRect().height < 56)
    .map((e) => `${e.textContent} ${e.getBoundingClientRect().height}`)"""


def sent(stub: FloorStub, what: str) -> list[dict[str, Any]]:
    return [body for method, asked, body in stub.asked if (method, asked) == ("POST", what)]


@pytest.mark.mission("M51", "M30")
async def test_a_stop_comes_by_itself_and_is_coded_in_two_touches(shows):  # noqa: F811  the fixture
    stub = FloorStub()
    page = await shows(stub, FLOOR)
    await expect(page.get_by_role("region", name="Now")).to_contain_text("Labeller: runs")
    await expect(page.get_by_text("Every stop has its reason.")).to_be_visible()
    stub.stop()  # nothing but the news tells the page
    await expect(page.get_by_role("region", name="Now")).to_contain_text("Labeller: stopped")
    coding = page.get_by_role("region", name="Reason for the stop")
    await coding.get_by_role("button", name="Mechanical").click()
    await coding.get_by_role("button", name="Bottle jam", exact=False).last.click()
    await expect(page.get_by_role("status").filter(has_text="Saved: Bottle jam")).to_be_visible()
    assert sent(stub, "production/stops/code") == [{"stop": STOP, "reason": "mechanical/jam", "base": 0}]
    await expect(page.get_by_text("Every stop has its reason.")).to_be_visible()
    await page.get_by_role("button", name="Change it").click()
    await coding.get_by_role("button", name="Web splice broke").last.click()  # the usual group is open already
    await expect(page.get_by_role("status").filter(has_text="Saved: Web splice broke")).to_be_visible()
    assert sent(stub, "production/stops/code")[1] == {"stop": STOP, "reason": "material/splice", "base": 1}


@pytest.mark.mission("M51")
async def test_the_second_tablet_is_told_plainly_who_was_first(shows):  # noqa: F811  the fixture
    stub = FloorStub(conflict="A. Kurz coded this stop meanwhile: it is Break now; look again")
    stub.stop()
    page = await shows(stub, FLOOR)
    await page.get_by_role("button", name="Label reel empty 2 times").click()
    told = page.get_by_role("alert").filter(has_text="Somebody else was first. Nothing of yours was saved.")
    await expect(told).to_contain_text("A. Kurz coded this stop meanwhile: it is Break now")
    await expect(page.get_by_text("Every stop has its reason.")).to_be_visible()  # what is there now is on the screen
    await told.get_by_role("button", name="Understood").click()
    await expect(told).to_have_count(0)


@pytest.mark.mission("M30", "M28")
async def test_scrap_help_and_a_note_are_few_touches_away(shows):  # noqa: F811  the fixture
    stub = FloorStub()
    stub.stop()
    page = await shows(stub, FLOOR)
    job = page.get_by_role("region", name="Job")
    await expect(job).to_contain_text("356 behind")
    await expect(job).to_contain_text("17,204 of 42,000 bottles")
    await page.get_by_role("button", name="Scrap").click()
    box = page.get_by_role("dialog", name="Scrap of Labeller")
    reason = box.get_by_role("button", name="Label crooked")
    await expect(reason).to_be_disabled()
    for figure in "12":
        await box.get_by_role("button", name=figure, exact=True).click()
    await reason.click()
    await expect(page.get_by_role("status").filter(has_text="Saved: 12 scrap, Label crooked")).to_be_visible()
    assert sent(stub, "orders/MO-24117/scrap") == [{"quantity": "12", "reason": "scrap/label"}]
    await page.get_by_role("button", name="Call for help").click()
    await page.get_by_role("button", name="Maintenance").click()
    await expect(page.get_by_text(re.compile("Maintenance called at .*; nobody has answered yet"))).to_be_visible()
    assert sent(stub, "production/requests") == [{"asset": LABELLER, "kind": "maintenance", "text": "", "stop": STOP}]
    stub.requests[0].update(state="acknowledged", acknowledged_by="R. Weil")
    stub.tell()
    await expect(page.get_by_text("R. Weil comes")).to_be_visible()
    await page.get_by_role("button", name="Note for the log").click()
    await page.get_by_role("textbox", name="What the next shift should know").fill("Glue thickens")
    await page.get_by_role("checkbox", name="Somebody has to see to it").check()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("The note is in the shift log")).to_be_visible()
    assert sent(stub, "shifts/log") == [{"path": LABELLER, "kind": "machine", "text": "Glue thickens", "open": True}]


async def test_a_station_chooses_its_machine_once(shows):  # noqa: F811  the fixture
    stub = FloorStub()
    page = await shows(stub, "/floor")
    await page.get_by_role("button", name="Labeller").click()
    await expect(page.get_by_role("region", name="Now")).to_contain_text("Labeller")
    await page.goto(page.url.split("/floor")[0] + "/floor")
    await expect(page.get_by_role("region", name="Now")).to_contain_text("Labeller")  # remembered on this device
    await page.get_by_role("link", name="Other machine").click()
    await page.get_by_role("button", name="Filler").click()
    await expect(page.get_by_role("region", name="Now")).to_contain_text("Filler")


async def test_without_news_the_station_says_that_it_may_be_old_and_looks_on_where_one_may_not_act(shows):  # noqa: F811  the fixture
    stub = FloorStub(silent=True, role="viewer")
    stub.stop()
    page = await shows(stub, FLOOR)
    await expect(page.get_by_role("alert").filter(has_text="what is shown may be old")).to_be_visible()
    await expect(page.get_by_text("Your role looks on; it does not code stops.")).to_be_visible()
    for name in ("Scrap", "Call for help", "Note for the log"):
        await expect(page.get_by_role("button", name=name)).to_be_disabled()
    stub.silent = False
    await expect(page.get_by_role("alert").filter(has_text="may be old")).to_have_count(0)


async def test_a_stop_is_coded_by_keys_alone(shows):  # noqa: F811  the fixture
    stub = FloorStub()
    stub.stop()
    page = await shows(stub, FLOOR)
    await page.get_by_role("button", name="Mechanical").focus()
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Drive fault", exact=True).focus()
    await page.keyboard.press("Space")
    await expect(page.get_by_role("status").filter(has_text="Saved: Drive fault")).to_be_visible()


@pytest.mark.mission("M51")
async def test_on_a_phone_the_likeliest_reason_is_one_touch_and_a_group_opens_its_own(shows):  # noqa: F811  the fixture
    stub = FloorStub()
    stub.stop()
    page = await shows(stub, FLOOR, "phone", touch=True)
    await expect(page.get_by_text("one touch saves")).to_be_visible()
    await expect(page.get_by_role("button", name="Glue empty")).to_be_hidden()
    await page.get_by_role("button", name="Material", exact=True).tap()
    await expect(page.get_by_role("button", name="Glue empty")).to_be_visible()
    await page.get_by_role("button", name="Material", exact=True).tap()  # and back
    await page.locator(".floor-likely .floor-reason").tap()
    await expect(page.get_by_role("status").filter(has_text="Saved: Web splice broke")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_the_station_fits_a_tablet_and_everything_is_wide_enough_for_a_glove(shows, theme):  # noqa: F811  the fixture
    stub = FloorStub()
    stub.stop()
    stub.alarm("labeller", "web-tension", "Web tension low-low", "high")
    page = await shows(stub, FLOOR, "desk", theme, axe=True)
    await page.set_viewport_size({"width": 1024, "height": 768})
    await expect(page.locator(".floor-reasons .floor-reason").first).to_be_visible()
    assert await page.evaluate(WIDER) <= 0
    assert await page.evaluate(SMALL) == []
    assert await page.evaluate(SERIOUS) == []


@pytest.mark.mission("M91")
async def test_a_shift_is_filled_in_written_on_and_handed_over(shows):  # noqa: F811  the fixture
    stub = FloorStub()
    stub.note("Order a seal", open=True, time=iso(90_000))
    page = await shows(stub, "/shift?area=packaging/line1")
    await expect(page.get_by_role("heading", name="Shift late")).to_be_visible()
    await expect(page.get_by_role("region", name="Figures of the shift")).to_contain_text("81.4")
    await expect(page.get_by_text("For 10 min nobody knows what machines did")).to_be_visible()
    await expect(page.get_by_role("img", name="Good pieces by hour")).to_be_visible()
    link = await page.get_by_role("link", name="Print (PDF)").get_attribute("href")
    assert link == "/api/v1/shifts/report.pdf?area=packaging%2Fline1&start=2026-11-12T13%3A00%3A00Z&language=en"
    await page.get_by_role("button", name="Write a note").click()
    await page.get_by_role("combobox", name="On what").select_option(LABELLER)
    await page.get_by_role("textbox", name="What the next shift should know").fill("Glue thickens")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator(".shift-notes")).to_contain_text("Glue thickens")
    await page.get_by_role("button", name="Done").click()
    await page.get_by_role("textbox", name="What was done").fill("It lies in the store")
    await page.get_by_role("dialog").get_by_role("button", name="Done").click()
    await expect(page.get_by_text("Done by M. Perrin")).to_be_visible()
    await page.get_by_role("button", name="Hand over").click()
    await page.get_by_role("dialog").get_by_role("button", name="Hand over").click()
    await expect(page.get_by_text("Handed over by M. Perrin")).to_be_visible()
    await page.get_by_role("button", name="Shift before").click()
    await expect(page.get_by_role("heading", name="Shift early")).to_be_visible()


@pytest.mark.mission("M91")
async def test_a_note_that_changed_meanwhile_is_not_overwritten(shows):  # noqa: F811  the fixture
    stub = FloorStub(conflict="A. Kurz changed this note meanwhile; it says now: 21 bottles")
    stub.note("12 bottles")
    page = await shows(stub, "/shift")
    await page.get_by_role("button", name="Correct").click()
    await page.get_by_role("textbox", name="What it should say").fill("22 bottles")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("alert").filter(has_text="it says now: 21 bottles")).to_be_visible()


@pytest.mark.parametrize(("size", "theme"), BOTH_WAYS)
async def test_floor_and_shift_fit_every_screen_and_shut_nobody_out(shows, size, theme):  # noqa: F811  the fixture
    stub = FloorStub(
        machines=[
            machine("labeller"),
            machine("filler"),
            machine("packer", "starved", order="", target=None, ahead=None),
        ]
    )
    stub.stop()
    stub.note("Order a seal for the very long word Schneckenradgetriebegehäuse", open=True)
    for path, alive in ((FLOOR, ".floor-job"), ("/floor?asset=%3F", ".floor-machines"), ("/shift", ".shift-notes")):
        page = await shows(stub, path, size, theme, axe=True)
        await expect(page.locator(alive).first).to_be_visible()
        assert await page.evaluate(WIDER) <= 0, path
        assert await page.evaluate(CUT) == [], path
        assert await page.evaluate(SERIOUS) == [], path

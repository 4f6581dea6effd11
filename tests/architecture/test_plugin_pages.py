"""Pages of drivers and connectors tell what is declared and what the conformance suite holds them to."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("plugin_reference", ROOT / "scripts" / "plugin_reference.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_the_reference_of_every_driver_and_connector_is_up_to_date(script) -> None:
    pages = script.pages()
    assert len(pages) >= 2
    for page, text in pages.items():
        assert page.exists(), f"{page} is missing: run `make docs`"
        assert page.read_text() == text, f"{page} is out of date: run `make docs`"


def test_a_waiver_is_printed_with_its_reason_and_a_promise_that_cannot_apply_says_so(script, monkeypatch) -> None:
    (kind,) = [k for k in script.load_suite().KINDS if k.spec.name == "reference-lines"]
    monkeypatch.setattr(
        kind.rig, "waivers", {"silence_ends_in_not_connected": "its line | is never silent"}, raising=False
    )
    part = script.driver_part(kind.spec)
    assert "| silence ends in not connected" in part
    assert "**waived**: its line \\| is never silent" in part
    assert "| a device that goes is bad until it is back" in part
    assert "| does not apply |" in part
    assert "| a burst faster than its reader is kept in order or confessed | kept |" in part
    assert "| `timeout_s` | a number | `1.0` | Seconds of silence after which the device counts as gone. |" in part
    assert "| `made int` | int | 0 |" in part
    assert "a write arrives" not in part


def test_the_hand_written_part_of_a_page_stays(script) -> None:
    page = f"# A\n\nmine\n\n{script.BEGIN}\nold\n{script.END}\n\n## Mine too\n"
    part = f"{script.BEGIN}\nnew\n{script.END}"
    assert script.with_part(page, part) == page.replace("old", "new")
    assert script.with_part("# A\n", part) == f"# A\n\n{part}\n"

"""Documents that name code name code that exists; rooms have their pages."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from isthmus.app.settings import load_settings
from isthmus.security.oidc_model import ProviderSettings

ROOT = Path(__file__).resolve().parents[2]
_PATH = re.compile(r"`((?:src|ui|docs|tests|scripts)/[\w./<>-]+)`")
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")


def test_the_life_of_a_sample_names_files_that_exist_in_order_of_the_story() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    named = _PATH.findall(text)
    assert len(named) > 30
    assert [name for name in named if not (ROOT / name).exists()] == []
    story = [
        "drivers/",
        "acquisition/",
        "bus/publisher",
        "bus/broker",
        "bus/reader",
        "namespace/live",
        "historian/",
        "web/routes/history",
    ]
    places = [text.index(f"src/isthmus/{step}") for step in story]
    assert places == sorted(places)


@pytest.mark.parametrize(
    "page", sorted(p.relative_to(ROOT).as_posix() for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
)
def test_links_between_pages_lead_somewhere(page: str) -> None:
    file = ROOT / page
    missing = [link for link in _LINK.findall(file.read_text()) if not (file.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize(
    "room", ["acquisition", "alarms", "analytics", "control", "historian", "namespace", "quality", "security", "web"]
)
def test_a_room_has_its_page_and_says_what_it_is_for(room: str) -> None:
    assert (ROOT / "docs" / f"{room}.md").exists()
    first = (ROOT / "src" / "isthmus" / room / "__init__.py").read_text()
    assert first.startswith('"""')


def test_every_driver_has_its_page() -> None:
    from isthmus.ports.drivers import drivers

    for name in drivers():
        assert (ROOT / "docs" / "drivers" / f"{name}.md").exists(), name


def test_every_setting_of_a_machine_is_explained_with_its_default() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    settings = load_settings(Path("nowhere"))
    for section in dataclasses.fields(settings):
        named = section.name == "oidc"  # one section for each of its kind: [oidc.NAME]
        values = ProviderSettings() if named else getattr(settings, section.name)
        name = f"{section.name}.NAME" if named else section.name
        for key in dataclasses.fields(values):
            value = getattr(values, key.name)
            if named and key.name == "name":
                continue
            spelt = json.dumps(value) if isinstance(value, tuple | bool) else str(value or "empty")
            row = re.search(rf"^\| `{name}\.{key.name}` \| `?([^|`]*)`? \|", page, re.MULTILINE)
            assert row, f"docs/settings.md does not explain {name}.{key.name}"
            assert row[1] == spelt, f"{name}.{key.name}: the page says {row[1]}, the default is {spelt}"


def test_lock_files_name_no_download_host_and_no_machine() -> None:
    assert "://" not in (ROOT / "requirements.lock").read_text()
    for name, package in json.loads((ROOT / "ui" / "package-lock.json").read_text())["packages"].items():
        assert "resolved" not in package, name
        thanks = package.pop("funding", None)  # where to thank authors is no place to download from
        assert "://" not in json.dumps(package), (name, thanks)


def test_no_bare_clock_and_no_unbounded_queue_in_the_rooms() -> None:
    """Rooms take time from a Clock; a queue says its limit."""
    wrong = []
    for room in (
        "namespace",
        "acquisition",
        "alarms",
        "analytics",
        "control",
        "historian",
        "drivers",
        "quality",
        "security",
    ):
        for file in (ROOT / "src" / "isthmus" / room).rglob("*.py"):
            for number, line in enumerate(file.read_text().splitlines(), 1):
                if re.search(r"\btime\.time(_ns)?\(|datetime\.now\(|asyncio\.Queue\(\)|queue\.Queue\(\)", line):
                    wrong.append(f"{file.relative_to(ROOT)}:{number}: {line.strip()}")
    assert wrong == []

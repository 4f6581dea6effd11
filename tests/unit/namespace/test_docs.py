"""The pages tell what is so."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

from isthmus.values.plant.namespace import PlantFile
from isthmus.values.schema import members, scalar_of

ROOT = Path(__file__).resolve().parents[3]


def test_the_reference_is_up_to_date():
    spec = importlib.util.spec_from_file_location("plant_reference", ROOT / "scripts" / "plant_reference.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.PAGE.read_text() == script.render(), "run scripts/plant_reference.py"


def test_every_field_is_documented():
    seen, waiting = set(), [PlantFile]
    while waiting:
        section = waiting.pop()
        if section in seen:
            continue
        seen.add(section)
        for key, member in members(section).items():
            assert member.doc, f"{section.__name__}.{key} says nothing about itself"
            waiting += [cls for cls in _sections(member.hint) if cls not in seen]
    assert len(seen) > 10


def _sections(hint):
    if scalar_of(hint) is not None:  # read from one value; its parts are no keys of the file
        return []
    found = [hint] if hasattr(hint, "__dataclass_fields__") else []
    for inner in getattr(hint, "__args__", ()):
        found += _sections(inner)
    return found


def test_the_example_of_the_page_applies(namespace):
    page = (ROOT / "docs" / "namespace.md").read_text()
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    namespace.apply(example, 0, "ann", "as in the book")
    tags = namespace.current().by_path
    assert tags["hall/line1/pump2/reject"].address == "hr 124 uint32"
    assert tags["hall/line1/pump2/running"].address == "co 2"
    assert namespace.current().retention == {"standard": 400, "long": 3650}

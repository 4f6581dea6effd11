"""Writes the reference of every driver into docs/drivers/<name>.md, and that of the connectors into docs/connectors.md.

Settings come from the declarations, addresses and promises from the conformance suite and its rigs. `--check` fails when a
page is out of date. The hand-written part of a page, around the two markers, is left alone.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

from isthmus.ports.connectors import ConnectorSpec, connectors
from isthmus.ports.drivers import DriverSpec, drivers
from isthmus.values.schema import Member, members, words

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
SUITE = ROOT / "tests" / "conformance" / "drivers"
BEGIN = "<!-- reference: written by `make docs`; edits between this line and the end are lost -->"
END = "<!-- end of reference -->"

CAPABILITIES = {
    "read": "is polled",
    "stream": "speaks by itself",
    "write": "writes",
    "browse": "lists what a device offers",
    "probe": "tells how far a connection gets",
}


def load_suite() -> ModuleType:
    """The conformance suite's own declarations; it registers our drivers also where the package is not installed."""
    name = "conformance_suite"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, SUITE / "conftest.py")
        if spec is None or spec.loader is None:
            sys.exit(f"{SUITE} holds no suite")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def promises(file: str) -> list[tuple[str, str]]:
    """The promises of one file of the suite, as (name, what else is to be said)."""
    return [
        (node.name.removeprefix("test_"), " ".join((ast.get_docstring(node) or "").split()))
        for node in ast.parse((SUITE / file).read_text()).body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name.startswith("test_")
        and "bench" in {a.arg for a in node.args.args}
    ]


def cell(text: Any) -> str:
    """A text in a table."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def default(member: Member) -> str:
    """A default as it would be written in the plant file."""
    value = member.default
    if member.required:
        return "required"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return "" if value in ("", None, (), {}) else f"`{cell(value)}`"


def settings(config: type[Any]) -> list[str]:
    """The table of settings."""
    return [
        "| setting | type | default | meaning |",
        "| --- | --- | --- | --- |",
        *(f"| `{key}` | {cell(words(m.hint))} | {default(m)} | {cell(m.doc)} |" for key, m in members(config).items()),
    ]


def driver_part(spec: DriverSpec) -> str:
    """Everything about a driver that can be told without its author."""
    suite = load_suite()
    kinds = [k for k in suite.KINDS if k.spec.name == spec.name]
    rig = kinds[0].rig if kinds else None
    can = [said for method, said in CAPABILITIES.items() if any(suite.has(k, method) for k in kinds)]
    lines = [
        BEGIN,
        "",
        "## Reference",
        "",
        f"{spec.title} (`driver: {spec.name}`): {', '.join(can)}.",
        "",
        *settings(spec.config),
        "",
    ]
    if rig is not None:
        lines += ["### Addresses", "", "As the conformance suite reads them:", ""]
        lines += ["| address | type | reads as |", "| --- | --- | --- |"]
        lines += [
            f"| `{cell(address)}` | {spec.parse_address(address).type} | {cell(value)} |"
            for address, value in rig.truth.items()
        ]
    lines += ["", "### Promises", "", *_promises(suite, kinds, rig), "", END]
    return "\n".join(lines)


def _promises(suite: ModuleType, kinds: list[Any], rig: Any) -> list[str]:
    """Every promise of the suite that concerns the driver, kept or waived."""
    lines = [
        "The conformance suite (`tests/conformance/drivers`) holds the driver to these against its rig, on both event loops.",
        "",
        "| promise | |",
        "| --- | --- |",
    ]
    waivers = getattr(rig, "waivers", {})
    seen = set()
    for file, method in suite.FILES.items():
        if not any(suite.has(k, method) for k in kinds):
            continue
        for name, said in promises(file):
            if name in seen:
                continue
            seen.add(name)
            verdict = "kept"
            if name in waivers:
                verdict = f"**waived**: {cell(waivers[name])}"
            elif name in suite.NEEDS and getattr(rig, suite.NEEDS[name], None) is None:
                verdict = "does not apply"
            lines.append(f"| {name.replace('_', ' ')}{f' ({cell(said)})' if said else ''} | {verdict} |")
    return lines


def connector_part() -> str:
    """All connectors with their settings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    ours = project["project"]["entry-points"]["isthmus.connectors"]
    for module in ours.values():
        importlib.import_module(module)
    lines = [BEGIN, ""]
    for name, spec in sorted(connectors().items()):
        if name in ours:
            lines += _connector(spec)
    return "\n".join([*lines, END])


def _connector(spec: ConnectorSpec) -> list[str]:
    return [f"## `{spec.name}`: {spec.title}", "", *settings(spec.config), ""]


def with_part(text: str, part: str) -> str:
    """A page with its reference in place, at the end where it had none yet."""
    if BEGIN in text and END in text:
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        return before + part + after
    return f"{text.rstrip()}\n\n{part}\n"


def pages() -> dict[Path, str]:
    """Every page as it should be."""
    load_suite()
    ours = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["isthmus.drivers"]
    found = {}
    for name, spec in sorted(drivers().items()):
        if name in ours:
            page = DOCS / "drivers" / f"{name}.md"
            found[page] = with_part(page.read_text() if page.exists() else f"# {spec.title}", driver_part(spec))
    page = DOCS / "connectors.md"
    found[page] = with_part(page.read_text() if page.exists() else "# Connectors", connector_part())
    return found


if __name__ == "__main__":
    for page, text in pages().items():
        if "--check" not in sys.argv:
            page.write_text(text)
        elif not page.exists() or page.read_text() != text:
            sys.exit(f"{page.relative_to(ROOT)} is out of date; run `make docs` and commit it")

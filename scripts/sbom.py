"""Writes the bill of materials (CycloneDX 1.6) of everything that runs with Isthmus into src/isthmus/sbom.cdx.json.

Python: the run-time dependencies with the versions of requirements.lock; the closure and licences are read from what is
installed here. Where it is not installed (an isolated build) every locked package is listed, and the file says so.
npm: the production tree of ui/package-lock.json. The same inputs give the same bytes.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import sys
import tomllib
import uuid
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

from cyclonedx.model import Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.contact import OrganizationalEntity
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

sys.path.insert(0, str(Path(__file__).resolve().parent))
from licences import ROOT, Package, npm, run_time

TARGET = ROOT / "src" / "isthmus" / "sbom.cdx.json"
_LOCKED = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)
_SPDX = re.compile(r"[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*\Z")


def python_packages() -> tuple[list[Package], str]:
    """What runs with us, with the versions of the lock; and how that was found: `installed` or `lock`."""
    locked = {name.lower().replace("_", "-"): version for name, version in _LOCKED.findall(lock_text())}
    try:
        found = list(run_time())
    except PackageNotFoundError:
        return [Package("pypi", name, version, "") for name, version in locked.items()], "lock"
    return [Package("pypi", p.name, locked.get(p.name, p.version), p.licence, p.needs) for p in found], "installed"


def lock_text() -> str:
    """The lock of the Python packages."""
    return (ROOT / "requirements.lock").read_text()


def make() -> str:
    """The document as JSON."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    python, how = python_packages()
    packages = [*python, *npm()]
    bom = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, "\n".join(f"{p.kind} {p.name} {p.version}" for p in packages))
    )
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "1580601600"))  # as hatchling stamps the files of a wheel
    bom.metadata.timestamp = dt.datetime.fromtimestamp(epoch, dt.UTC)
    bom.metadata.properties.add(Property(name="isthmus:python-closure", value=how))
    root = Component(
        name=project["name"], version=project["version"], type=ComponentType.APPLICATION, bom_ref="isthmus",
        licenses=[LicenseExpression(project["license"])], supplier=OrganizationalEntity(name="Isthmus"),
    )  # fmt: skip
    bom.metadata.component = root
    components: dict[tuple[str, str], Component] = {}
    for package in packages:
        component = _component(package)
        components.setdefault((package.kind, package.name), component)
        bom.components.add(component)
    bom.register_dependency(root, components.values())
    for package in packages:
        inner = [components[package.kind, name] for name in package.needs if (package.kind, name) in components]
        bom.register_dependency(components[package.kind, package.name], inner)
    return make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1)


def _component(package: Package) -> Component:
    scope, _, name = package.name.rpartition("/")
    url = PackageURL(type=package.kind, namespace=scope or None, name=name, version=package.version)
    return Component(
        name=name, group=scope or None, version=package.version, type=ComponentType.LIBRARY, purl=url,
        bom_ref=url.to_string(), licenses=list(_licences(package)),
    )  # fmt: skip


def _licences(package: Package) -> Iterable[Any]:
    if not package.licence:
        return
    expression = package.licence.replace("(", "").replace(")", "")
    yield LicenseExpression(package.licence) if _SPDX.match(expression) else DisjunctiveLicense(name=package.licence)


def write() -> None:
    """Write it when it is not there as it is."""
    text = make()
    if not TARGET.exists() or TARGET.read_text() != text:
        TARGET.write_text(text)


if __name__ == "__main__":
    write()

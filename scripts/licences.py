"""The licence gate: what runs with Isthmus is permissive, or LGPL and unmodified. Fails on GPL and AGPL, and on what is unknown.

Walks the run-time dependencies of pyproject.toml as they are installed here, and the production tree of ui/package-lock.json.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent

PERMISSIVE = frozenset(
    [
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSD",
        "BlueOak-1.0.0",
        "CC0-1.0",
        "HPND",
        "ISC",
        "MIT",
        "MIT-0",
        "MIT-CMU",
        "MPL-2.0",
        "OFL-1.1",
        "PSF-2.0",
        "Python-2.0",
        "Unlicense",
        "Zlib",
    ]
)
UNMODIFIED = re.compile(r"LGPL-(2\.1|3\.0)(-only|-or-later|\+)?\Z")
FORBIDDEN = re.compile(r"\b(A?GPL|SSPL|BUSL|CC-BY-NC)", re.IGNORECASE)

CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "Historical Permission Notice and Disclaimer (HPND)": "HPND",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "zlib/libpng License": "Zlib",
}
"""What trove classifiers mean as SPDX; `OSI Approved` alone says nothing."""

TEXTS = {
    "Apache 2": "Apache-2.0", "Apache 2.0": "Apache-2.0", "Apache License 2.0": "Apache-2.0", "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0", "BSD License": "BSD", "3-Clause BSD License": "BSD-3-Clause", "MIT License": "MIT",
    "The MIT License": "MIT", "The MIT License (MIT)": "MIT", "PSF": "PSF-2.0", "LGPLv3+": "LGPL-3.0-or-later", "LGPL-3.0": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later": "LGPL-3.0-or-later",
}  # fmt: skip
"""What free texts in the old field License mean."""

EXCEPTIONS: dict[str, tuple[str, str]] = {}
"""name: (licence, why it is known although the package does not say it in a way that can be read)."""


@dataclass(frozen=True, slots=True)
class Package:
    """One thing that runs with us. ``licence`` is an SPDX expression, "" where it could not be read."""

    kind: str  # pypi or npm
    name: str
    version: str
    licence: str
    needs: tuple[str, ...] = ()


def run_time() -> Iterator[Package]:
    """What the package needs at run time, as installed here, in the order it is found.

    Raises: PackageNotFoundError naming what is not installed
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    todo = [Requirement(line) for line in project["dependencies"]]
    seen: set[str] = set()
    while todo:
        wanted = todo.pop(0)
        name = canonicalize_name(wanted.name)
        if name in seen:
            continue
        seen.add(name)
        found = distribution(wanted.name)
        extras = wanted.extras or {""}
        needs = [
            need
            for need in map(Requirement, found.requires or [])
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras)
        ]
        todo += needs
        yield Package("pypi", name, found.version, licence_of(found), tuple(canonicalize_name(n.name) for n in needs))


def licence_of(found: Distribution) -> str:
    """What a distribution says about itself, as an SPDX expression."""
    name = canonicalize_name(found.metadata["Name"])
    if name in EXCEPTIONS:
        return EXCEPTIONS[name][0]
    said = (found.metadata.get("License-Expression") or "").strip()
    if said:
        return said
    marked = [
        CLASSIFIERS.get(line.rpartition(" :: ")[2], line.rpartition(" :: ")[2])
        for line in found.metadata.get_all("Classifier") or []
        if line.startswith("License :: ") and line != "License :: OSI Approved"
    ]
    if marked:
        return " OR ".join(marked)
    text = " ".join((found.metadata.get("License") or "").split())
    return TEXTS.get(text, text if len(text) <= 80 else "")


def npm() -> Iterator[Package]:
    """The production tree of the screens, as the lock file has it."""
    packages = json.loads((ROOT / "ui" / "package-lock.json").read_text())["packages"]
    for path, package in sorted(packages.items()):
        if path and not package.get("dev") and not package.get("devOptional"):
            name = path.rpartition("node_modules/")[2]
            yield Package(
                "npm", name, package["version"], package.get("license", ""), tuple(package.get("dependencies", ()))
            )


def verdict(licence: str) -> str:
    """Empty when a licence is welcome, else why not."""
    if not licence:
        return "says no licence"
    expression = licence.replace("(", " ").replace(")", " ")
    choices = [[part.strip() for part in re.split(r"\bAND\b", choice)] for choice in re.split(r"\bOR\b|/", expression)]
    if any(all(_welcome(part) for part in parts) for parts in choices):
        return ""
    return "is not for us" if FORBIDDEN.search(licence.replace("LGPL", "")) else "is not known"


def _welcome(part: str) -> bool:
    identifier = part.split(" WITH ", maxsplit=1)[0].strip()
    return identifier in PERMISSIVE or bool(UNMODIFIED.match(identifier))


def main() -> int:
    """Judge everything; 1 when something is not welcome."""
    try:
        found = [*run_time(), *npm()]
    except PackageNotFoundError as error:
        sys.exit(f"licences: {error.name} is not installed; run `make setup`")
    wrong = [(package, why) for package in found if (why := verdict(package.licence))]
    for package, why in wrong:
        print(f"licences: {package.kind} {package.name} {package.version}: {package.licence or 'nothing'!r} {why}")
    lesser = sorted(package.name for package in found if "LGPL" in package.licence)
    print(
        f"licences: {len(found)} packages at run time, {len(wrong)} refused; unmodified under LGPL: {', '.join(lesser) or 'none'}"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

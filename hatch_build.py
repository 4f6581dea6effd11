"""Builds the screens and the bill of materials into the wheel; an editable install leaves that to `make setup`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Screens(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's base is generic over builder settings we do not use
    """Runs before the files are collected."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build both unless this is an editable install or they came ready-made in a source archive."""
        root = Path(self.root)
        if version == "editable" or not (root / "ui" / "package.json").exists():
            return
        subprocess.run([sys.executable, str(root / "scripts" / "sbom.py")], check=True)
        subprocess.run([sys.executable, str(root / "scripts" / "screens.py"), "build"], check=True)

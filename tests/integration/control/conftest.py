"""The rig of control, for its way over a real bus."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

if "control_rig" not in sys.modules:
    _spec = importlib.util.spec_from_file_location(
        "control_rig", Path(__file__).parents[2] / "unit" / "control" / "rig.py"
    )
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules["control_rig"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["control_rig"])


@pytest.fixture
def works(tmp_path: Path) -> Iterator[Any]:
    made = sys.modules["control_rig"].Works(tmp_path)
    yield made
    made.close()

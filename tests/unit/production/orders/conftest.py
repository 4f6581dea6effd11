"""The rig under a name of its own, so that other folders may load it, too."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

if "orders_rig" not in sys.modules:
    _spec = importlib.util.spec_from_file_location("orders_rig", Path(__file__).with_name("rig.py"))
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules["orders_rig"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["orders_rig"])


@pytest.fixture
def works(tmp_path: Path) -> Iterator[Any]:
    made = sys.modules["orders_rig"].Works(tmp_path)
    yield made
    made.close()

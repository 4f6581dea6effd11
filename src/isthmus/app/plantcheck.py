"""Checking a plant file without a running system."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from isthmus.app.records import open_records
from isthmus.namespace.model import Plant
from isthmus.namespace.service import Namespace
from isthmus.namespace.store import metadata
from isthmus.values.clock import SystemClock
from isthmus.values.errors import Finding


def check_plant(text: str, files: Mapping[str, bytes], name: str) -> tuple[Plant, tuple[Finding, ...]]:
    """Compile a plant file as `apply` would, on records that are thrown away.

    Raises: Findings naming every mistake
    """
    with tempfile.TemporaryDirectory() as folder:
        engine = open_records(Path(folder) / "records.db")
        try:
            metadata.create_all(engine)
            namespace = Namespace(engine, SystemClock())
            planned = namespace.plan(text, 0, files, name)
            namespace.apply(text, 0, "check", "check", files)
            return namespace.current(), planned.warnings
        finally:
            engine.dispose()


def plant_schema() -> dict[str, Any]:
    """JSON Schema of the plant file with the settings of every installed driver."""
    from isthmus.namespace.jsonschema import plant_schema as schema
    from isthmus.ports.drivers import drivers

    return schema(drivers())

"""JSON Schema of the plant file, so that editors complete and check it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.ports.drivers import DriverSpec
from isthmus.values.plant.acquisition import ConnectionSection
from isthmus.values.plant.namespace import PlantFile
from isthmus.values.schema import json_schema, members, property_schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def plant_schema(specs: Mapping[str, DriverSpec]) -> dict[str, Any]:
    """The schema of the whole file with the settings of the given drivers."""
    definitions: dict[str, Any] = {}
    root = json_schema(PlantFile, definitions)
    connection = definitions[ConnectionSection.__name__]
    connection.pop("additionalProperties", None)
    connection["properties"]["driver"] = {**connection["properties"]["driver"], "enum": sorted(specs)}
    connection["allOf"] = [_settings(spec, definitions) for _, spec in sorted(specs.items())]
    connection["unevaluatedProperties"] = False
    return {"$schema": DIALECT, "title": "Isthmus plant file", **root, "$defs": definitions}


def _settings(spec: DriverSpec, definitions: dict[str, Any]) -> dict[str, Any]:
    """What holds for connections of one driver."""
    known = members(spec.config)
    return {
        "if": {"properties": {"driver": {"const": spec.name}}, "required": ["driver"]},
        "then": {
            "properties": {key: property_schema(m, definitions) for key, m in known.items()},
            "required": [key for key, m in known.items() if m.required],
        },
    }

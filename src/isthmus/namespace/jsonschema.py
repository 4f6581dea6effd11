"""JSON Schema of the plant file, so that editors complete and check it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.ports.connectors import ConnectorSpec, connectors
from isthmus.ports.drivers import DriverSpec
from isthmus.values.plant.acquisition import ConnectionSection
from isthmus.values.plant.connectors import ConnectorSection
from isthmus.values.plant.namespace import PlantFile
from isthmus.values.schema import json_schema, members, property_schema

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def plant_schema(specs: Mapping[str, DriverSpec]) -> dict[str, Any]:
    """The schema of the whole file with the settings of the given drivers, and of all connectors."""
    definitions: dict[str, Any] = {}
    root = json_schema(PlantFile, definitions)
    _choose(definitions, ConnectionSection, "driver", specs)
    _choose(definitions, ConnectorSection, "connector", connectors())
    return {"$schema": DIALECT, "title": "Isthmus plant file", **root, "$defs": definitions}


def _choose(
    definitions: dict[str, Any], section: type[Any], key: str, specs: Mapping[str, DriverSpec | ConnectorSpec]
) -> None:
    """Let the plugin that ``key`` names say which other keys there are."""
    schema = definitions[section.__name__]
    schema.pop("additionalProperties", None)
    schema["properties"][key] = {**schema["properties"][key], "enum": sorted(specs)}
    schema["allOf"] = [_settings(key, spec, definitions) for _, spec in sorted(specs.items())]
    schema["unevaluatedProperties"] = False


def _settings(key: str, spec: DriverSpec | ConnectorSpec, definitions: dict[str, Any]) -> dict[str, Any]:
    """What holds for one driver or connector."""
    known = members(spec.config)
    return {
        "if": {"properties": {key: {"const": spec.name}}, "required": [key]},
        "then": {
            "properties": {name: property_schema(m, definitions) for name, m in known.items()},
            "required": [name for name, m in known.items() if m.required],
        },
    }

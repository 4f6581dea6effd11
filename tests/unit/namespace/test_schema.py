"""The JSON Schema follows from the sections and the drivers."""

from __future__ import annotations

from isthmus.namespace.plantfile import Document, plain_data


def check(schema, value, root):
    """The few words of JSON Schema that ours uses; true when the value fits."""
    if schema is True or not schema:
        return True
    if "$ref" in schema and not check(root["$defs"][schema["$ref"].rpartition("/")[2]], value, root):
        return False
    if "const" in schema and value != schema["const"]:
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "anyOf" in schema and not any(check(s, value, root) for s in schema["anyOf"]):
        return False
    if not all(check(s, value, root) for s in schema.get("allOf", ())):
        return False
    if "if" in schema and check(schema["if"], value, root) and not check(schema["then"], value, root):
        return False
    kinds = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "object": dict,
        "array": list,
        "null": type(None),
    }
    types = schema.get("type")
    if types and not isinstance(value, tuple(kinds[t] for t in ([types] if isinstance(types, str) else types))):
        return False
    if isinstance(value, dict):
        known = schema.get("properties", {})
        if any(key not in value for key in schema.get("required", ())):
            return False
        for key, inside in value.items():
            if not check(known.get(key, schema.get("additionalProperties", True)), inside, root):
                return False
            if key not in known and schema.get("additionalProperties") is False:
                return False
    return True


def test_the_example_fits_and_a_mistake_does_not(namespace, example):
    schema = namespace.schema()
    value = plain_data(Document(example, "x").root)
    assert check(schema, value, schema)
    value["connections"]["plc1"]["port"] = "many"
    assert not check(schema, value, schema)
    value["connections"]["plc1"]["port"] = 502
    value["types"]["filler"]["tags"]["speed"]["unti"] = "bar"
    assert not check(schema, value, schema)


def test_it_tells_what_each_field_is_for(namespace):
    schema = namespace.schema()
    tag = schema["$defs"]["TagSection"]["properties"]
    assert tag["unit"]["description"] == "Engineering unit."
    assert set(tag) >= {"kind", "at", "formula", "alarms", "write"}
    assert "with" in schema["$defs"]["AssetSection"]["properties"]
    (driver,) = schema["$defs"]["ConnectionSection"]["allOf"]
    assert driver["then"]["properties"]["host"] == {
        "type": ["string", "number", "boolean"],
        "description": "Name or address of the device.",
    }
    assert driver["then"]["required"] == ["host"]

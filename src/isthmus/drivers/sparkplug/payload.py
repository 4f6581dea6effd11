"""Sparkplug B's payload: the part of its schema that is used here, and numbers as they are meant.

The schema is built when this is imported; nothing is generated, and the binary decoder of protobuf does the work.

Source: Eclipse Sparkplug 3.0, section 6.4 (payload component definitions) and its `sparkplug_b.proto`
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import (  # type: ignore[import-untyped]  # protobuf ships no types
    descriptor_pb2,
    descriptor_pool,
    message_factory,
)
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # as above

from isthmus.values.errors import Malformed
from isthmus.values.sample import ValueType

INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64 = 1, 2, 3, 4, 5, 6, 7, 8
FLOAT, DOUBLE, BOOLEAN, STRING, DATETIME, TEXT, UUID, DATASET, BYTES, FILE, TEMPLATE = range(9, 20)

TYPES: Final = {
    **dict.fromkeys((INT8, INT16, INT32, INT64, UINT8, UINT16, UINT32, UINT64, BOOLEAN, DATETIME), ValueType.INT),
    **dict.fromkeys((FLOAT, DOUBLE), ValueType.FLOAT),
    **dict.fromkeys((STRING, TEXT, UUID), ValueType.TEXT),
}
"""What a datatype becomes; those missing are refused: sets of data, bytes, files, templates, arrays."""

NAMES: Final = {
    INT8: "Int8",
    INT16: "Int16",
    INT32: "Int32",
    INT64: "Int64",
    UINT8: "UInt8",
    UINT16: "UInt16",
    UINT32: "UInt32",
    UINT64: "UInt64",
    FLOAT: "Float",
    DOUBLE: "Double",
    BOOLEAN: "Boolean",
    STRING: "String",
    DATETIME: "DateTime",
    TEXT: "Text",
    UUID: "UUID",
    DATASET: "DataSet",
    BYTES: "Bytes",
    FILE: "File",
    TEMPLATE: "Template",
}

MASKS: Final = {INT8: (0xFF, 0x80), INT16: (0xFFFF, 0x8000), INT32: (2**32 - 1, 2**31), INT64: (2**64 - 1, 2**63)}
"""Mask and sign bit: negative numbers travel as two's complement in unsigned fields."""

UNSIGNED: Final = {UINT8: 0xFF, UINT16: 0xFFFF, UINT32: 2**32 - 1}
"""What an unsigned number may have at most; some senders leave more bits set."""

READ_ONLY: Final = "readOnly"
"""The property by which a birth says that nobody may write a metric; a custom of senders, not of the standard."""

_FIELD: Final = descriptor_pb2.FieldDescriptorProto
_PACKAGE: Final = "isthmus.sparkplug"


def _field(
    message: Any, name: str, number: int, kind: int, *, many: bool = False, of: str = "", choice: bool = False
) -> None:
    field = message.field.add(name=name, number=number, type=kind)
    field.label = _FIELD.LABEL_REPEATED if many else _FIELD.LABEL_OPTIONAL
    if of:
        field.type_name = f".{_PACKAGE}.{of}"
    if choice:
        field.oneof_index = 0


def _classes() -> tuple[Any, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="isthmus_sparkplug_b.proto", package=_PACKAGE, syntax="proto2")
    template = file.message_type.add(name="Template")
    _field(template, "version", 1, _FIELD.TYPE_STRING)
    _field(template, "metrics", 2, _FIELD.TYPE_MESSAGE, many=True, of="Metric")
    _field(template, "template_ref", 4, _FIELD.TYPE_STRING)
    _field(template, "is_definition", 5, _FIELD.TYPE_BOOL)
    worth = file.message_type.add(name="PropertyValue")
    worth.oneof_decl.add(name="value")
    _field(worth, "type", 1, _FIELD.TYPE_UINT32)
    _field(worth, "boolean_value", 7, _FIELD.TYPE_BOOL, choice=True)  # of no other kind is anything looked at
    properties = file.message_type.add(name="PropertySet")
    _field(properties, "keys", 1, _FIELD.TYPE_STRING, many=True)
    _field(properties, "values", 2, _FIELD.TYPE_MESSAGE, many=True, of="PropertyValue")
    metric = file.message_type.add(name="Metric")
    metric.oneof_decl.add(name="value")
    _field(metric, "name", 1, _FIELD.TYPE_STRING)
    _field(metric, "alias", 2, _FIELD.TYPE_UINT64)
    _field(metric, "timestamp", 3, _FIELD.TYPE_UINT64)
    _field(metric, "datatype", 4, _FIELD.TYPE_UINT32)
    _field(metric, "is_historical", 5, _FIELD.TYPE_BOOL)
    _field(metric, "is_transient", 6, _FIELD.TYPE_BOOL)
    _field(metric, "is_null", 7, _FIELD.TYPE_BOOL)
    _field(metric, "properties", 9, _FIELD.TYPE_MESSAGE, of="PropertySet")
    _field(metric, "int_value", 10, _FIELD.TYPE_UINT32, choice=True)
    _field(metric, "long_value", 11, _FIELD.TYPE_UINT64, choice=True)
    _field(metric, "float_value", 12, _FIELD.TYPE_FLOAT, choice=True)
    _field(metric, "double_value", 13, _FIELD.TYPE_DOUBLE, choice=True)
    _field(metric, "boolean_value", 14, _FIELD.TYPE_BOOL, choice=True)
    _field(metric, "string_value", 15, _FIELD.TYPE_STRING, choice=True)
    _field(metric, "bytes_value", 16, _FIELD.TYPE_BYTES, choice=True)
    _field(metric, "dataset_value", 17, _FIELD.TYPE_BYTES, choice=True)  # not looked into
    _field(metric, "template_value", 18, _FIELD.TYPE_MESSAGE, of="Template", choice=True)
    outline = file.message_type.add(name="Outline")
    _field(outline, "timestamp", 1, _FIELD.TYPE_UINT64)
    _field(outline, "metrics", 2, _FIELD.TYPE_BYTES, many=True)
    _field(outline, "seq", 3, _FIELD.TYPE_UINT64)
    payload = file.message_type.add(name="Payload")
    _field(payload, "timestamp", 1, _FIELD.TYPE_UINT64)
    _field(payload, "metrics", 2, _FIELD.TYPE_MESSAGE, many=True, of="Metric")
    _field(payload, "seq", 3, _FIELD.TYPE_UINT64)
    _field(payload, "uuid", 4, _FIELD.TYPE_STRING)
    _field(payload, "body", 5, _FIELD.TYPE_BYTES)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())
    full, outline_only = (pool.FindMessageTypeByName(f"{_PACKAGE}.{name}") for name in ("Payload", "Outline"))
    return message_factory.GetMessageClass(full), message_factory.GetMessageClass(outline_only)


Payload, Outline = _classes()
"""A payload; and the same with its metrics left as bytes."""


def parse(data: bytes) -> Any:
    """A payload.

    Raises: Malformed
    """
    try:
        return Payload.FromString(data)
    except DecodeError:
        raise Malformed("no Sparkplug B payload") from None


def outline(data: bytes) -> Any:
    """A payload whose metrics are bytes.

    Raises: Malformed
    """
    try:
        return Outline.FromString(data)
    except DecodeError:
        raise Malformed("no Sparkplug B payload") from None


def add_metric(
    payload: Any,
    name: str,
    datatype: int,
    value: float | str | bool | None,
    time_ms: int,
    *,
    alias: int | None = None,
    historical: bool = False,
    read_only: bool = False,
) -> None:
    """Append one metric; ``name`` empty where only the alias is said, ``value`` None for null."""
    metric = payload.metrics.add(timestamp=time_ms, datatype=datatype)
    if name:
        metric.name = name
    if alias is not None:
        metric.alias = alias
    if historical:
        metric.is_historical = True
    if read_only:
        metric.properties.keys.append(READ_ONLY)
        metric.properties.values.add(type=BOOLEAN, boolean_value=True)
    if value is None:
        metric.is_null = True
    elif datatype == FLOAT:
        metric.float_value = value
    elif datatype == DOUBLE:
        metric.double_value = value
    elif datatype == BOOLEAN:
        metric.boolean_value = value
    elif datatype in (STRING, TEXT, UUID):
        metric.string_value = value
    elif datatype in (INT64, UINT64, DATETIME):
        metric.long_value = int(value) & (2**64 - 1)
    else:
        metric.int_value = int(value) & (2**32 - 1)


def is_read_only(metric: Any) -> bool:
    """Whether a metric of a birth says that it may not be written."""
    if not metric.HasField("properties"):
        return False
    said = metric.properties
    return any(k == READ_ONLY and v.boolean_value for k, v in zip(said.keys, said.values, strict=False))

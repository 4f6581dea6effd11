"""What an address may say, and what it may not."""

from __future__ import annotations

import uuid

import pytest

from isthmus.drivers.opcua.address import parse, parse_address
from isthmus.values.errors import ConfigError
from isthmus.values.sample import ValueType

pytestmark = pytest.mark.mission("M25")


@pytest.mark.parametrize(
    ("text", "namespace", "kind", "identifier", "steps", "value_type"),
    [
        ("ns=2;s=Line.Speed", 2, "s", "Line.Speed", (), ValueType.FLOAT),
        ("ns=2;s=Line.Speed int", 2, "s", "Line.Speed", (), ValueType.INT),
        ("i=2258 text", 0, "i", 2258, (), ValueType.TEXT),
        ("nsu=http://plc.example/ua;s=Line Speed bool", "http://plc.example/ua", "s", "Line Speed", (), ValueType.INT),
        ("nsu=urn:a%3Bb;i=1", "urn:a;b", "i", 1, (), ValueType.FLOAT),
        ('ns=3;s="Data"."values"[0]', 3, "s", '"Data"."values"[0]', (), ValueType.FLOAT),
        ("ns=2;s=Arr [3]", 2, "s", "Arr", ((3,),), ValueType.FLOAT),
        ("ns=2;s=Arr [3,1] int", 2, "s", "Arr", ((3, 1),), ValueType.INT),
        ("ns=2;s=Pump [2] #Motor #Speed", 2, "s", "Pump", ((2,), "Motor", "Speed"), ValueType.FLOAT),
        ("ns=2;s=My int int", 2, "s", "My int", (), ValueType.INT),
        (
            "g=12345678-1234-5678-1234-567812345678",
            0,
            "g",
            uuid.UUID("12345678-1234-5678-1234-567812345678"),
            (),
            ValueType.FLOAT,
        ),
        ("ns=1;b=AQI= int", 1, "b", b"\x01\x02", (), ValueType.INT),
    ],
)
def test_addresses(text, namespace, kind, identifier, steps, value_type) -> None:
    found = parse(text)
    assert (found.namespace, found.kind, found.identifier, found.steps) == (namespace, kind, identifier, steps)
    assert parse_address(text).type is value_type


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "needs a node"),
        ("Line.Speed", "needs a node"),
        ("ns=x;s=a", "number of a namespace"),
        ("ns=70000;s=a", "number of a namespace"),
        ("ns=2", "number of a namespace"),
        ("nsu=;s=a", "URI of a namespace"),
        ("ns=2;s=", "name of the node"),
        ("i=-1", "whole number of 32 bits"),
        ("i=4294967296", "whole number of 32 bits"),
        ("g=12", "a GUID"),
        ("b=%%", "base64"),
        ("s=" + "x" * 5000, "longer than"),
    ],
)
def test_what_is_none_is_refused_with_the_problem_and_the_value(text, problem) -> None:
    with pytest.raises(ConfigError, match=problem):
        parse(text)

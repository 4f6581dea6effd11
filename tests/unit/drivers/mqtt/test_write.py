"""Messages that write a value: what an address declares, what fits, and what a broker's answer means."""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.drivers.mqtt.address import parse
from isthmus.drivers.mqtt.write import message, refusal
from isthmus.ports.writes import PointWrite
from isthmus.values.errors import ConfigError, Rejected

pytestmark = pytest.mark.mission("M42", "M22")
OVEN = "oven/state $.temp"


@pytest.mark.parametrize(
    ("address", "value", "topic", "payload"),
    [
        (f"{OVEN} write=oven/set", 21.5, "oven/set", "21.5"),
        (f"{OVEN} write='oven/the set'", 21, "oven/the set", "21.0"),
        (f"{OVEN} int write=oven/set as=$.set.temp", -7.0, "oven/set", '{"set":{"temp":-7}}'),
        (f"{OVEN} bool write=oven/set as=on", 1, "oven/set", '{"on":true}'),
        (
            f"""{OVEN} text write=oven/set as='{{"cmd":"name","to":["$value",1]}}'""",
            'a "b"',
            "oven/set",
            '{"cmd":"name","to":["a \\"b\\"",1]}',
        ),
        ("oven/name text write=oven/set", "grün", "oven/set", "grün"),
        ("oven/name raw write=oven/set", "{x", "oven/set", "{x"),
        (f"{OVEN} write=oven/set as=$.temp qos=0", 2.5e-7, "oven/set", '{"temp":2.5e-7}'),
    ],
)
def test_a_value_becomes_the_message_that_is_declared(address: str, value: Any, topic: str, payload: str) -> None:
    parsed, data = message(PointWrite(address, value))
    assert (parsed.write, data.decode()) == (topic, payload)


@pytest.mark.parametrize(
    ("address", "value", "problem"),
    [
        (OVEN, 1.0, "declare the topic by write=TOPIC"),
        (f"{OVEN} write=a", "1", "finite number, was '1'"),
        (f"{OVEN} write=a", math.nan, "finite number"),
        (f"{OVEN} write=a", math.inf, "finite number"),
        (f"{OVEN} int write=a", 0.5, "whole number"),
        (f"{OVEN} int write=a", 2**63, "whole number from -9223372036854775808 to 9223372036854775807"),
        (f"{OVEN} bool write=a", 2, "whole number from 0 to 1"),
        (f"{OVEN} text write=a", 5, "needs a text"),
        (f"{OVEN} text write=a", "\ud800", "half a character"),
    ],
)
def test_what_does_not_fit_is_never_sent(address: str, value: Any, problem: str) -> None:
    with pytest.raises(Rejected, match=problem):
        message(PointWrite(address, value))


@pytest.mark.parametrize(
    ("tail", "problem"),
    [
        ("write=a/+", "one topic"),
        ("write=a/#", "one topic"),
        ("write=$SYS/a", "one topic"),
        ("write=", "write"),
        ("write=spBv1.0/g/NCMD/n", "driver sparkplug"),
        ("as=$.x", "need write=TOPIC"),
        ("qos=1", "need write=TOPIC"),
        ("write=a qos=2", "qos is 0 or 1"),
        ("write=a as=$.x[0]", "path of names"),
        ("write=a as=$", "path of names"),
        ("write=a as='{'", "no JSON"),
        ("""write=a as='{"x": 1}'""", "must hold"),
        ("write=a write=b", "given twice"),
        ("raw write=a as=x", "raw is the payload"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused_with_the_plant_file(tail: str, problem: str) -> None:
    address = "oven/state raw write=a as=x" if tail.startswith("raw") else f"{OVEN} {tail}"
    with pytest.raises(ConfigError, match=problem):
        parse(address)


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_whatever_the_text_the_message_stays_json_and_holds_it(text: str) -> None:
    _, data = message(PointWrite(f"""{OVEN} text write=a as='{{"to":"$value","n":1}}'""", text))
    assert orjson.loads(data) == {"to": text, "n": 1}


def test_the_brokers_answer_in_words() -> None:
    assert refusal(0) == ""
    assert refusal(0x10) == "nobody hears this topic"
    assert refusal(0x87) == "not authorised"
    assert refusal(0xFE) == "code 0xFE"

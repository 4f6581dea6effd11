"""The front's rewriting, byte by byte, and what it does with nonsense."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.bus.broker import field_subject
from isthmus.bus.field import Device, device_entry
from isthmus.bus.shim import Counts, Inward, Outward
from isthmus.values import mqtt
from isthmus.values.errors import ConfigError, Malformed

pytestmark = pytest.mark.mission("M38")

TOPIC = st.text(st.characters(exclude_characters="\0+#", exclude_categories=("Cs",)), min_size=1, max_size=30)


def connect(user: str = "press", client: str = "c", will: str = "") -> bytes:
    flags = 0x80 | 0x40 | (0x04 if will else 0)
    parts = [mqtt.string("MQTT"), bytes((4, flags, 0, 30)), mqtt.string(client)]
    parts += [mqtt.string(will), mqtt.string("gone")] if will else []
    return mqtt.packet(0x10, *parts, mqtt.string(user), mqtt.string("secret"))


def publish(topic: str, payload: bytes = b"1", qos: int = 0) -> bytes:
    return mqtt.packet(0x30 | qos << 1, mqtt.string(topic), b"\0\7" if qos else b"", payload)


def inward() -> Inward:
    shim = Inward(Counts())
    shim.feed(connect())
    return shim


def test_what_needs_no_change_goes_on_byte_by_byte() -> None:
    shim = inward()
    data = publish("a/b", b"x y % z") + mqtt.packet(0xC0) + publish("ü/1", qos=1)
    assert shim.feed(data) == data


def test_topics_are_rewritten_everywhere_and_payloads_nowhere() -> None:
    shim = Inward(Counts())
    said = shim.feed(connect(client="c 1", will="a b"))
    assert said == connect(client="press:c%201", will="a%20b")
    assert shim.feed(publish("hall 1/50%", b"hall 1")) == publish("hall%201/50%25", b"hall 1")
    subscribe = mqtt.packet(0x82, b"\0\1", mqtt.string("a b/+/#"), b"\1", mqtt.string("*/>"), b"\0")
    wanted = mqtt.packet(0x82, b"\0\1", mqtt.string("a%20b/+/#"), b"\1", mqtt.string("%2A/%3E"), b"\0")
    assert shim.feed(subscribe) == wanted
    leave = mqtt.packet(0xA2, b"\0\2", mqtt.string("a b"))
    assert shim.feed(leave) == mqtt.packet(0xA2, b"\0\2", mqtt.string("a%20b"))
    assert Outward().feed(publish("hall%201/50%25", b"%20")) == publish("hall 1/50%", b"%20")


@given(st.lists(st.tuples(TOPIC, st.binary(max_size=20), st.integers(0, 2)), max_size=8), st.data())
def test_whatever_is_cut_wherever_comes_out_as_it_was_meant(messages, data) -> None:
    sent = b"".join(publish(t, p, q) for t, p, q in messages)
    shim, back = inward(), Outward()
    out = b""
    at = 0
    while at < len(sent):
        step = data.draw(st.integers(1, len(sent) - at))
        out += back.feed(shim.feed(sent[at : at + step]))
        at += step
    assert out == sent
    carried = inward().feed(sent)
    for first, body in mqtt.Packets(10_000).feed(carried):
        assert first >> 4 == mqtt.PUBLISH
        topic, _ = mqtt.take_string(body, 0)
        assert not set(topic) & set(b" *>")


@pytest.mark.parametrize(
    "data",
    [
        publish("a"),  # before CONNECT
        connect() + connect(),
        connect() + publish("a\0b"),
        connect() + publish(""),
        connect() + mqtt.packet(0x36, mqtt.string("a")),
        connect() + mqtt.packet(0x30, b"\xff\xffab"),
        connect() + mqtt.packet(0x30, b"\0"),
        connect() + mqtt.packet(0x30, mqtt.string(b"\xff\xfe")),
        connect() + mqtt.packet(0x82, b"\0\1"),
        connect() + mqtt.packet(0x82, b"\0\1", mqtt.string("a")),
        connect() + mqtt.packet(0x82, b"\0\1", b"\0\x09abc"),
        connect() + b"\x30\xff\xff\xff\xff\x01",
        connect() + b"\x30\xff\xff\xff\x7f",
        mqtt.packet(0x10, mqtt.string("HTTP"), b"\4\0\0\0"),
        mqtt.packet(0x10, b""),
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_does_not_parse_ends_the_client(data) -> None:
    with pytest.raises(Malformed):
        Inward(Counts()).feed(data)


def mutated(count: int) -> None:
    """Broken bytes end the client or pass; never anything but Malformed, never more bytes held than one packet."""
    chance = random.Random(5)
    good = connect(will="a b") + publish("hall 1/x", b"12", 1) + mqtt.packet(0x82, b"\0\1", mqtt.string("a b"), b"\1")
    ended = 0
    for _ in range(count):
        data = bytearray(good)
        for _ in range(chance.randrange(1, 5)):
            at = chance.randrange(len(data))
            if chance.random() < 0.6:
                data[at] = chance.randrange(256)
            elif chance.random() < 0.5:
                del data[at : at + chance.randrange(1, 9)]
            else:
                data[at:at] = chance.randbytes(3)
        for shim in (Inward(Counts()), Outward()):
            cut = chance.randrange(len(data))
            try:
                out = shim.feed(bytes(data[:cut])) + shim.feed(bytes(data[cut:]))
                assert len(out) <= 3 * len(data) + 20
            except Malformed:
                ended += 1
    assert ended > count // 10


def test_two_thousand_broken_streams() -> None:
    mutated(2_000)


@pytest.mark.soak
def test_fifty_thousand_broken_streams() -> None:
    mutated(50_000)


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("a/+/b", "a.*.b"),
        ("a/#", "a.>"),
        ("v1.5/x", "v1//5.x"),
        ("hall 1/*", "hall%201.%2A"),
    ],
)
def test_topics_as_subjects(topic, expected) -> None:
    assert field_subject(topic) == expected


def test_a_device_may_do_what_it_was_admitted_for_and_nothing_else() -> None:
    entry = device_entry(Device("press", ("a/#",), (), "$2a$x"))
    assert entry["permissions"] == {
        "publish": {"allow": ["a.>", "a"]},
        "subscribe": {"allow": ["$MQTT.sub.>"]},
    }
    assert entry["allowed_connection_types"] == ["MQTT"]
    assert "$2a$x" not in repr(Device("press", ("a/#",), (), "$2a$x"))


@pytest.mark.parametrize("bad", ["", "a/#/b", "a+/b", "a\0"])
def test_filters_that_are_none(bad) -> None:
    with pytest.raises(ConfigError):
        mqtt.check_filter(bad, "topics")


@given(TOPIC)
def test_a_topic_comes_back_as_it_was(topic) -> None:
    carried = mqtt.to_field(topic.encode())
    assert mqtt.from_field(carried) == topic.encode()
    assert mqtt.matches(topic, topic) or topic.startswith("$")


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("a/#", "a/b", True),
        ("a/#", "a", True),
        ("a/+", "a/b", True),
        ("a/+", "a/#", False),
        ("#", "$SYS/x", False),
        ("+/b", "a/b", True),
        ("a/b", "a/+", False),
        ("a/+/c", "a/+/c", True),
    ],
)
def test_filters_that_cover_others(wide, narrow, expected) -> None:
    assert mqtt.covers(wide, narrow) is expected
    if not mqtt.is_wild(narrow):
        assert mqtt.matches(wide, narrow) is expected
    assert (mqtt.fewest([wide, narrow]) == [wide]) is expected

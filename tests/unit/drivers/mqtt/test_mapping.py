"""Messages to columns: paths, times, qualities, and everything that can be wrong with a message."""

from __future__ import annotations

import random
from typing import Any

import pytest

from isthmus.drivers.mqtt.address import parse, parse_address
from isthmus.drivers.mqtt.mapping import Mapping, Message
from isthmus.ports.drivers import Point, Traffic
from isthmus.values import status
from isthmus.values.errors import ConfigError
from isthmus.values.sample import ValueType

pytestmark = pytest.mark.mission("M38")
NOW_NS = 1_700_000_000_000_000_000


def heard(addresses: list[str], *payloads: bytes | str, topic: str = "t", retained: bool = False, **more: Any):
    traffic = Traffic()
    points = [Point(i, a) for i, a in enumerate(addresses)]
    mapping = Mapping(points, traffic, more.get("max_bytes", 100_000), more.get("keeps", "initial"))
    messages = [
        Message(topic.encode(), p.encode() if isinstance(p, str) else p, 0x30 | retained, 0, NOW_NS) for p in payloads
    ]
    rows = []
    for batch in mapping.decode(messages):
        for row, value, code, time_ns in zip(
            batch.id.tolist(), batch.value.tolist(), batch.status.tolist(), batch.time_ns.tolist(), strict=True
        ):
            shown = batch.text[value] if batch.type is ValueType.TEXT else value
            rows.append((row, None if code >= status.BAD else shown, code, time_ns))
    return sorted(rows, key=lambda r: r[0]), traffic


def one(address: str, payload: bytes | str, **more: Any) -> tuple[Any, int]:
    rows, _ = heard([address], payload, **more)
    assert len(rows) == 1
    return rows[0][1], rows[0][2]


@pytest.mark.parametrize(
    ("address", "payload", "value"),
    [
        ("t", "21.5", 21.5),
        ("t", " 21.5\n", 21.5),
        ("t", "true", 1.0),
        ("t int", "-7", -7),
        ("t int", "7.0", 7),
        ("t bool", "ON", 1),
        ("t bool", "false", 0),
        ("t text", "some text", "some text"),
        ("t text", '"quoted"', "quoted"),
        ("t raw", '"quoted"', '"quoted"'),
        ("t $.a.b[1]", '{"a": {"b": [1, 2]}}', 2.0),
        ("t a.b[-1] int", '{"a": {"b": [1, 2]}}', 2),
        ("t $['x.y'] int", '{"x.y": 3}', 3),
        ('t $."x y" int', '{"x y": 3}', 3),
        ("t $.float int", '{"float": 3}', 3),
        ("t $ int", "3", 3),
        ("t $.a bool", '{"a": 1}', 1),
        ("t $.a int", '{"a": -9223372036854775808}', -(2**63)),
    ],
)
def test_values(address, payload, value) -> None:
    assert one(address, payload) == (value, status.GOOD)


@pytest.mark.parametrize(
    ("address", "payload", "code"),
    [
        ("t $.a", "{}", status.BAD_NO_DATA),
        ("t $.a", '{"a": null}', status.BAD_NO_DATA),
        ("t $.a[0]", '{"a": "xyz"}', status.BAD_NO_DATA),
        ("t $.a[0]", '{"a": {"0": 1}}', status.BAD_NO_DATA),
        ("t $.a", '{"a": "21.5"}', status.BAD_TYPE_MISMATCH),
        ("t $.a", '{"a": [1]}', status.BAD_TYPE_MISMATCH),
        ("t $.a int", '{"a": 1.5}', status.BAD_TYPE_MISMATCH),
        ("t $.a text", '{"a": 1}', status.BAD_TYPE_MISMATCH),
        ("t $.a bool", '{"a": 2}', status.BAD_TYPE_MISMATCH),
        ("t $.a int", '{"a": 9223372036854775808}', status.BAD_OUT_OF_RANGE),
        ("t $.a", "{not json", status.BAD_DECODING_ERROR),
        ("t $.a", "[" * 5000, status.BAD_DECODING_ERROR),
        ("t $.a", b"\xff\xfe", status.BAD_DECODING_ERROR),
        ("t raw", b"\xff\xfe", status.BAD_DECODING_ERROR),
        ("t $.a time=$.t", '{"a": 1}', status.BAD_DECODING_ERROR),
        ("t $.a time=$.t", '{"a": 1, "t": "yesterday"}', status.BAD_DECODING_ERROR),
        ("t $.a time=$.t:ms", '{"a": 1, "t": -5}', status.BAD_DECODING_ERROR),
        ("t $.a time=$.t:s", '{"a": 1, "t": 1e300}', status.BAD_DECODING_ERROR),
        ("t $.a quality=$.q", '{"a": 1, "q": "purple"}', status.BAD_UNKNOWN_RESPONSE),
    ],
)
def test_what_is_wrong_is_bad_with_a_reason(address, payload, code) -> None:
    rows, traffic = heard([address, "t $.other"], payload)
    assert (rows[0][1], rows[0][2]) == (None, code)
    assert traffic.errors + traffic.dropped > 0
    assert traffic.last_error.startswith("t: ")


@pytest.mark.parametrize(
    ("path", "said", "ns"),
    [
        ("$.t", '"2023-11-14T22:13:20.123456Z"', NOW_NS + 123_456_000),
        ("$.t", '"2023-11-14T23:13:20+01:00"', NOW_NS),
        ("$.t", '"2023-11-14T22:13:20"', NOW_NS),
        ("$.t", "1700000000", NOW_NS),
        ("$.t", "1700000000123", NOW_NS + 123_000_000),
        ("$.t:us", "1700000000000001", NOW_NS + 1000),
        ("$.t:ns", "1700000000000000001", NOW_NS + 1),
        ("$.t:s", "1700000000.5", NOW_NS + 500_000_000),
    ],
)
def test_times(path, said, ns) -> None:
    rows, _ = heard([f"t $.a time={path}"], f'{{"a": 1, "t": {said}}}', retained=True)
    assert rows == [(0, 1.0, status.GOOD, ns)]


@pytest.mark.parametrize(
    ("path", "said", "code"),
    [
        ("$.q", "true", status.GOOD),
        ("$.q", "false", status.BAD),
        ("$.q", '"GOOD"', status.GOOD),
        ("$.q", '"uncertain"', status.UNCERTAIN),
        ("$.q", '"BadSensorFailure"', status.BAD_SENSOR_FAILURE),
        ("$.q", "0", status.GOOD),
        ("$.q", str(status.BAD_TIMEOUT), status.BAD_TIMEOUT),
        ("$.q:da", "192", status.GOOD),
        ("$.q:da", "64", status.UNCERTAIN),
        ("$.q:da", "0", status.BAD),
    ],
)
def test_qualities(path, said, code) -> None:
    assert one(f"t $.a quality={path}", f'{{"a": 1, "q": {said}}}')[1] == code


def test_one_topic_for_many_devices() -> None:
    addresses = ["t $.v where=$.id=door-7", "t $.v where=$.id=8"]
    rows, _ = heard(addresses, '{"id": "door-7", "v": 1}', '{"id": 8, "v": 2}', '{"id": 9, "v": 3}', "{broken")
    assert [r[:2] for r in rows] == [(0, 1.0), (1, 2.0)]


def test_retained_messages() -> None:
    assert one("t", "1", retained=True) == (1.0, status.UNCERTAIN_INITIAL_VALUE)
    assert one("t", "1", retained=True, keeps="good") == (1.0, status.GOOD)
    assert heard(["t"], "1", retained=True, keeps="ignore")[0] == []


def test_a_large_message_is_not_looked_at() -> None:
    assert one("t raw", "x" * 101, max_bytes=100) == (None, status.BAD_OUT_OF_RANGE)


def test_a_wrong_part_spoils_its_own_tag_alone() -> None:
    rows, _ = heard(["t $.a", "t $.b int", "t raw"], '{"a": "x", "b": 5}')
    assert [r[1] for r in rows] == [None, 5, '{"a": "x", "b": 5}']


@pytest.mark.parametrize(
    "address",
    [
        "",
        "a/#/b $.x",
        "a+b",
        "'open $.x",
        "t $.a $.b",
        "t time=$.a time=$.b",
        "t $.a time=$.t:years",
        "t $.a quality=$.q:xyz",
        "t $.a where=$.id",
        "t age=soon",
        "t raw $.a",
        "t $.a[x]",
        "t " + ".a" * 40,
        "x" * 401,
    ],
)
def test_addresses_that_are_none(address) -> None:
    with pytest.raises(ConfigError, match="address"):
        parse_address(address)


def test_a_topic_with_blanks_and_quotes() -> None:
    assert parse("'hall 1/it' $.x").topic == "hall 1/it"
    assert parse('"it\'s" int age=5min').age_s == 300


def mutated(count: int) -> None:
    chance = random.Random(3)
    good = b'{"a": 1.5, "b": {"c": [1, "x"]}, "t": "2023-11-14T22:13:20Z", "q": "GOOD"}'
    addresses = ["t $.a time=$.t quality=$.q", "t $.b.c[0] int", "t $.b.c[1] text", "t raw", "t $.q bool"]
    for _ in range(count):
        data = bytearray(good)
        for _ in range(chance.randrange(1, 5)):
            at = chance.randrange(len(data))
            data[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        rows, _ = heard(addresses, bytes(data))
        assert [r[0] for r in rows] == [0, 1, 2, 3, 4]


def test_two_thousand_broken_messages() -> None:
    mutated(2_000)


@pytest.mark.soak
def test_fifty_thousand_broken_messages() -> None:
    mutated(50_000)


def late(*steps: tuple[int, int], retained: bool = False) -> tuple[list[int], list[int]]:
    """Own times (s, and when each came) through one mapping that began at 100 s: those that are live, and late."""
    mapping = Mapping([Point(0, "t $.v time=$.t:s")], Traffic(), 1000, "initial", since_ns=100 * 10**9)
    live, kept = [], []
    for own_s, came_s in steps:
        payload = b'{"v": 1, "t": %d}' % own_s
        batches = mapping.decode([Message(b"t", payload, 0x30 | retained, 0, came_s * 10**9)])
        live += [t // 10**9 for b in batches for t in b.time_ns.tolist()]
        kept += [t // 10**9 for b in mapping.take_late() for t in b.time_ns.tolist()]
    return live, kept


def test_what_is_older_than_what_its_tag_says_is_late() -> None:
    assert late((90, 101), (95, 101), (101, 101), (100, 102), (101, 102), (103, 103)) == (
        [101, 101, 103],
        [90, 95, 100],
    )


def test_a_retained_message_tells_what_is_so_however_old() -> None:
    assert late((10, 101), retained=True) == ([10], [])


def test_a_clock_that_is_behind_or_was_ahead_is_followed_after_a_minute() -> None:
    assert late((50, 110), (60, 161), (61, 162)) == ([60, 61], [50])
    assert late((150, 150), (60, 151), (119, 209), (120, 210), (121, 211)) == ([150, 120, 121], [60, 119])
    assert late((9000, 110), (120, 120), (121, 121)) == ([9000, 120, 121], [])

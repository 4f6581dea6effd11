"""The host's knowledge, without a network: births, aliases, sequence, deaths, values."""

from __future__ import annotations

import random
from typing import Any

import pytest

from isthmus.drivers.sparkplug import payload as sparkplug
from isthmus.drivers.sparkplug.host import Host
from isthmus.ports.drivers import Point, Traffic
from isthmus.values import status
from isthmus.values.sample import ValueType

pytestmark = pytest.mark.mission("M42")
NOW_NS = 1_700_000_000_000_000_000
NOW_MS = NOW_NS // 1_000_000


class Rig:
    def __init__(self, *addresses: str) -> None:
        self.traffic = Traffic()
        self.addresses = addresses
        self.host = Host([Point(i, a) for i, a in enumerate(addresses)], self.traffic)
        self.host.wanted.clear()
        self.seq = 0

    def say(
        self, kind: str, *metrics: tuple[Any, ...], device: str = "", seq: int | None = None, at_ms: int = NOW_MS
    ) -> None:
        """Metrics as (name, datatype, value[, alias[, historical]]); an empty name says the alias alone."""
        message = sparkplug.Payload(timestamp=at_ms)
        if kind == "NBIRTH":
            self.seq = 0
        if kind != "NDEATH":
            message.seq = self.seq if seq is None else seq
            self.seq = (message.seq + 1) & 0xFF
        for name, datatype, value, *rest in metrics:
            alias = rest[0] if rest else None
            historical = len(rest) > 1 and rest[1]
            sparkplug.add_metric(message, name, datatype, value, at_ms, alias=alias, historical=historical)
        self.raw(kind, message.SerializeToString(), device)

    def raw(self, kind: str, data: bytes, device: str = "") -> None:
        topic = f"spBv1.0/G/{kind}/N" + (f"/{device}" if device else "")
        self.host.hear(topic.encode(), data, NOW_NS)

    def rows(self) -> list[tuple[str, Any, int]]:
        return self._rows(0)

    def kept(self) -> list[tuple[str, Any, int]]:
        return self._rows(1)

    def _rows(self, which: int) -> list[tuple[str, Any, int]]:
        found = []
        taken = self.host.take()
        for batch in taken[which].batches():
            for row, value, code in zip(batch.id.tolist(), batch.value.tolist(), batch.status.tolist(), strict=True):
                shown = batch.text[value] if batch.type is ValueType.TEXT else value
                found.append((self.addresses[row], None if code >= status.BAD else shown, code))
        return found


def born(*addresses: str, metrics: tuple[tuple[Any, ...], ...]) -> Rig:
    rig = Rig(*addresses)
    rig.say("NBIRTH", ("bdSeq", sparkplug.INT64, 3), *metrics)
    return rig


@pytest.mark.parametrize(
    ("datatype", "value", "address"),
    [
        (sparkplug.INT8, -128, "int"),
        (sparkplug.INT16, -2, "int"),
        (sparkplug.INT32, -(2**31), "int"),
        (sparkplug.INT64, -(2**63), "int"),
        (sparkplug.UINT8, 255, "int"),
        (sparkplug.UINT16, 65_535, "int"),
        (sparkplug.UINT32, 2**32 - 1, "int"),
        (sparkplug.UINT64, 2**63 - 1, "int"),
        (sparkplug.DATETIME, NOW_MS, "int"),
        (sparkplug.FLOAT, 1.5, "float"),
        (sparkplug.DOUBLE, -2.25, "float"),
        (sparkplug.BOOLEAN, True, "bool"),
        (sparkplug.STRING, "grün", "text"),
        (sparkplug.INT16, -2, "float"),
        (sparkplug.DOUBLE, 4.0, "int"),
    ],
)
def test_every_datatype_by_birth_and_by_alias(datatype, value, address) -> None:
    address = f"G/N:m {address}"
    rig = born(address, metrics=(("m", datatype, value, 7),))
    assert rig.rows()[-1] == (address, value, status.GOOD)
    rig.say("NDATA", ("", datatype, value, 7))
    assert rig.rows() == [(address, value, status.GOOD)]


def test_a_negative_number_in_an_unsigned_field_without_all_its_bits() -> None:
    """Some write -2 of an Int16 as 0xFFFE, others as 0xFFFFFFFE."""
    rig = born("G/N:m int", metrics=(("m", sparkplug.INT16, 0, 1),))
    rig.rows()
    for bits in (0xFFFE, 0xFFFFFFFE):
        message = sparkplug.Payload(timestamp=NOW_MS, seq=rig.seq)
        rig.seq += 1
        message.metrics.add(alias=1, int_value=bits)
        rig.raw("NDATA", message.SerializeToString())
        assert rig.rows() == [("G/N:m int", -2, status.GOOD)]


def test_data_without_a_datatype_uses_that_of_the_birth() -> None:
    rig = born("G/N:m int", metrics=(("m", sparkplug.INT64, 0, 1),))
    rig.rows()
    message = sparkplug.Payload(timestamp=NOW_MS, seq=1)
    message.metrics.add(alias=1, long_value=2**64 - 5)
    rig.raw("NDATA", message.SerializeToString())
    assert rig.rows() == [("G/N:m int", -5, status.GOOD)]


@pytest.mark.parametrize(
    ("datatype", "value", "address", "code"),
    [
        (sparkplug.INT32, None, "int", status.BAD_NO_DATA),
        (sparkplug.UINT64, 2**63, "int", status.BAD_OUT_OF_RANGE),
        (sparkplug.STRING, "x", "float", status.BAD_TYPE_MISMATCH),
        (sparkplug.DOUBLE, 1.5, "int", status.BAD_TYPE_MISMATCH),
        (sparkplug.DOUBLE, 1.5, "text", status.BAD_TYPE_MISMATCH),
    ],
)
def test_what_cannot_be_is_bad_with_a_reason(datatype, value, address, code) -> None:
    address = f"G/N:m {address}"
    rig = born(address, metrics=(("m", datatype, value, 1),))
    assert rig.rows()[-1] == (address, None, code)
    rig.say("NDATA", ("", datatype, value, 1))
    assert rig.rows() == [(address, None, code)]


def test_a_metric_without_a_value_is_no_zero_and_one_said_as_another_type_is_refused() -> None:
    rig = born("G/N:m int", metrics=(("m", sparkplug.INT32, 5, 1),))
    rig.rows()
    for fields, code in (({}, status.BAD_NO_DATA), ({"string_value": "5"}, status.BAD_DECODING_ERROR)):
        message = sparkplug.Payload(timestamp=NOW_MS, seq=rig.seq)
        rig.seq += 1
        message.metrics.add(alias=1, **fields)
        rig.raw("NDATA", message.SerializeToString())
        assert rig.rows() == [("G/N:m int", None, code)]
    assert "m" in rig.traffic.last_error


def test_a_gap_asks_for_a_rebirth_and_the_data_still_counts() -> None:
    rig = born("G/N:m int", metrics=(("m", sparkplug.INT32, 1, 1),))
    rig.rows()
    for _ in range(300):  # around 255 there is no gap
        rig.say("NDATA", ("", sparkplug.INT32, 2, 1))
    assert not rig.host.wanted
    rig.say("NDATA", ("", sparkplug.INT32, 3, 1), seq=(rig.seq + 1) & 0xFF)
    assert (b"G", b"N") in rig.host.wanted
    assert rig.rows()[-1][1] == 3


def test_data_before_a_birth_is_counted_and_asks_for_one() -> None:
    rig = Rig("G/N:m int", "G/N/D:m int")
    rig.say("NDATA", ("m", sparkplug.INT32, 1, 1))
    assert (rig.rows(), rig.traffic.dropped) == ([], 1)
    assert (b"G", b"N") in rig.host.wanted
    rig.say("NBIRTH", ("m", sparkplug.INT32, 1, 1))
    assert not rig.host.wanted
    rig.rows()
    rig.say("DDATA", ("m", sparkplug.INT32, 1, 2), device="D")
    assert (rig.rows(), rig.traffic.dropped) == ([], 2)
    assert rig.host.wanted


def test_an_alias_that_stands_for_two_metrics_is_nobodys() -> None:
    rig = born("G/N:a int", "G/N:b int", "G/N:c int", metrics=(("a", 3, 1, 9), ("b", 3, 2, 9), ("c", 3, 3, 8)))
    rows = rig.rows()
    assert [(a, v) for a, v, _ in rows[-3:]] == [("G/N:a int", None), ("G/N:b int", None), ("G/N:c int", 3)]
    assert "alias 9" in rig.traffic.last_error
    rig.say("NDATA", ("", 3, 7, 9), ("", 3, 8, 8))
    assert rig.rows() == [("G/N:c int", 8, status.GOOD)]
    assert rig.host.wanted


def test_a_new_birth_gives_aliases_a_new_meaning() -> None:
    rig = born("G/N:a int", "G/N:b int", metrics=(("a", 3, 1, 1), ("b", 3, 2, 2)))
    rig.say("NBIRTH", ("a", 3, 1, 2), ("b", 3, 2, 1))
    rig.rows()
    rig.say("NDATA", ("", 3, 10, 1))
    assert rig.rows() == [("G/N:b int", 10, status.GOOD)]


def test_a_device_is_born_gives_data_and_dies() -> None:
    rig = Rig("G/N/D:m", "G/N:n")
    rig.say("NBIRTH", ("n", sparkplug.DOUBLE, 1.0, 1))
    assert rig.rows() == [("G/N:n", 1.0, status.GOOD)]
    rig.host.settle(NOW_NS + 1)
    assert rig.rows() == []
    rig.host.settle(NOW_NS + 2_000_000_000)
    assert rig.rows() == [("G/N/D:m", None, status.BAD_WAITING_FOR_INITIAL_DATA)]
    rig.say("DBIRTH", ("m", sparkplug.DOUBLE, 2.0, 2), device="D")
    assert rig.rows() == [("G/N/D:m", 2.0, status.GOOD)]
    rig.say("DDATA", ("", sparkplug.DOUBLE, 3.0, 2), device="D")
    assert rig.rows() == [("G/N/D:m", 3.0, status.GOOD)]
    rig.say("DDEATH", device="D")
    assert rig.rows() == [("G/N/D:m", None, status.BAD_NO_COMMUNICATION)]
    assert not rig.host.wanted
    rig.say("DDATA", ("", sparkplug.DOUBLE, 4.0, 2), device="D")
    assert rig.rows() == []
    assert rig.host.wanted


def test_a_death_counts_for_its_own_session_only() -> None:
    rig = born("G/N:m int", metrics=(("m", 3, 1, 1),))
    rig.rows()
    rig.say("NDEATH", ("bdSeq", sparkplug.INT64, 2))
    assert rig.rows() == []
    rig.say("NDEATH", ("bdSeq", sparkplug.INT64, 3))
    assert rig.rows() == [("G/N:m int", None, status.BAD_NO_COMMUNICATION)]
    rig.say("NDATA", ("", 3, 5, 1))
    assert rig.rows() == []


def test_what_a_device_had_kept_goes_its_own_way() -> None:
    rig = born("G/N:m int", metrics=(("m", 3, 1, 1),))
    rig.rows()
    rig.say("NDATA", ("", 3, 5, 1, True), at_ms=NOW_MS - 3_600_000)
    assert rig.kept() == [("G/N:m int", 5, status.GOOD)]


def test_templates_by_member_and_never_whole() -> None:
    rig = Rig("G/N:pump#speed", "G/N:pump#motor#temp int", "G/N:pump", "G/N:pump#none")
    message = sparkplug.Payload(timestamp=NOW_MS, seq=0)
    pump = message.metrics.add(name="pump", datatype=sparkplug.TEMPLATE, alias=4)
    pump.template_value.metrics.add(name="speed", datatype=sparkplug.DOUBLE, double_value=1.5)
    motor = pump.template_value.metrics.add(name="motor", datatype=sparkplug.TEMPLATE)
    motor.template_value.metrics.add(name="temp", datatype=sparkplug.INT16, int_value=0xFFFF)
    rig.raw("NBIRTH", message.SerializeToString())
    assert {a: v for a, v, _ in rig.rows()} == {
        "G/N:pump#speed": 1.5,
        "G/N:pump#motor#temp int": -1,
        "G/N:pump": None,
        "G/N:pump#none": None,
    }
    assert rig.host.offered() == []


def test_browsing_offers_addresses_that_read_back() -> None:
    names = ["plain", "with blank", "a/b", 'quote"d', "x#y", "Temp float"]
    rig = born(metrics=tuple((n, sparkplug.DOUBLE, 1.0, i) for i, n in enumerate(names)))
    found = rig.host.offered("G/N")
    assert [f.name for f in found] == names
    again = born(*(f.address for f in found), metrics=tuple((n, sparkplug.DOUBLE, 1.0, i) for i, n in enumerate(names)))
    assert [(a, v) for a, v, _ in again.rows()] == [(f.address, 1.0) for f in found]


def mutated(count: int) -> None:
    """Broken messages never raise, and never make a value that nobody said."""
    chance = random.Random(8)
    rig = born("G/N:m int", "G/N:t text", metrics=(("m", 3, 1, 1), ("t", sparkplug.STRING, "x", 2)))
    rig.rows()
    message = sparkplug.Payload(timestamp=NOW_MS, seq=1)
    sparkplug.add_metric(message, "", 3, 77, NOW_MS, alias=1)
    sparkplug.add_metric(message, "t", sparkplug.STRING, "hello", NOW_MS, alias=2)
    good = message.SerializeToString()
    kinds = ["NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH"]
    for _ in range(count):
        data = bytearray(good)
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(data))
            choice = chance.randrange(3)
            if choice == 0:
                data[at] ^= 1 << chance.randrange(8)
            elif choice == 1:
                del data[at:]
            else:
                data[at:at] = chance.randbytes(chance.randrange(1, 9))
            data = data or bytearray(b"\0")
        kind = chance.choice(kinds)
        rig.raw(kind, bytes(data), "D" if kind[0] == "D" else "")
        live, kept = rig.host.take()
        for batch in (*live.batches(), *kept.batches()):
            assert len(batch.id) == len(batch.value) == len(batch.status)
    rig.say("NBIRTH", ("m", 3, 5, 1))
    assert ("G/N:m int", 5, status.GOOD) in rig.rows()


def test_two_thousand_broken_messages() -> None:
    mutated(2_000)


@pytest.mark.soak
def test_fifty_thousand_broken_messages() -> None:
    mutated(50_000)

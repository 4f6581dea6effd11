"""What is written comes back as it was, in every type and order; what comes in is what the standard library reads."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.drivers.modbus_tcp.address import ORDERS, REGISTERS, parse
from isthmus.drivers.modbus_tcp.config import ModbusTcpConfig
from isthmus.drivers.modbus_tcp.decode import Decoder
from isthmus.drivers.modbus_tcp.write import encode, write_request
from isthmus.ports.writes import PointWrite
from isthmus.simulators.modbus import Memory
from isthmus.values import status

FORMATS = {
    "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q", "float32": "f", "float64": "d",
}  # fmt: skip
ADDRESSES = [
    f"hr 3 {kind} {order}"
    for kind in FORMATS
    for order, (registers, _, _) in ORDERS.items()
    if registers == REGISTERS[kind]
]

pytestmark = pytest.mark.mission("M40")


def decoded(texts: list[str], data: bytes, swap_bytes: bool = False, swap_words: bool = False):
    """Each address decoded from the same bytes: (values, status codes) in the order asked."""
    decoder = Decoder([parse(t) for t in texts], [0] * len(texts), list(range(len(texts))), swap_bytes, swap_words)
    batches, note = decoder.decode(np.frombuffer(data, np.uint8), 5, np.zeros(len(texts), np.uint32))
    found = {}
    for batch in batches:
        for i, value in enumerate(batch.value.tolist()):
            found[int(batch.id[i])] = batch.text[value] if batch.text else value, int(batch.status[i])
    return [found[i] for i in range(len(texts))], note


def on_the_wire(order: str, big_endian: bytes) -> bytes:
    """By the letters of the order alone."""
    return bytes(big_endian["abcdefgh".index(letter)] for letter in order)


@given(st.binary(min_size=8, max_size=8))
def test_values_are_what_struct_reads(raw: bytes) -> None:
    for text in ADDRESSES:
        _, _, kind, order = text.split()
        big = raw[: 2 * REGISTERS[kind]]
        (expected,) = struct.unpack(">" + FORMATS[kind], big)
        [(value, code)], note = decoded([text], on_the_wire(order, big))
        if isinstance(expected, float) and not math.isfinite(expected):
            assert code == (status.BAD_SENSOR_FAILURE if math.isnan(expected) else status.BAD_OUT_OF_RANGE)
            assert note.startswith(text)
        elif expected > 2**63 - 1 and kind == "uint64":
            assert code == status.BAD_OUT_OF_RANGE
            assert note.startswith(text)
        else:
            assert (value, code, note) == (expected, 0, "")


@given(st.sampled_from(ADDRESSES), st.data(), st.booleans(), st.booleans(), st.booleans())
def test_what_is_written_is_what_is_read(text, data, named, swap_bytes, swap_words) -> None:
    if not named:
        text = text.rsplit(" ", 1)[0]
    address = parse(text)
    if address.kind.startswith("float"):
        width = 32 if address.kind == "float32" else 64
        value = data.draw(st.floats(allow_nan=False, allow_infinity=False, width=width))
    else:
        bits = 16 * address.count
        low, high = (0, 2**bits - 1) if address.kind.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        value = data.draw(st.integers(low, min(high, 2**63 - 1)))
    raw = encode(address, value, swap_bytes, swap_words)
    [(back, code)], _ = decoded([text], raw, swap_bytes, swap_words)
    assert (back, code) == (value, 0)


@given(st.text(max_size=8).filter(lambda t: "\0" not in t and len(t.encode()) <= 16 and t == t.rstrip()), st.booleans())
def test_texts_come_back(text, swap_bytes) -> None:
    raw = encode(parse("hr 0 string 8"), text, swap_bytes)
    [(back, code)], _ = decoded(["hr 0 string 8"], raw, swap_bytes)
    assert (back, code) == (text, 0)


@given(st.binary(min_size=6, max_size=6))
def test_any_bytes_are_some_text(raw: bytes) -> None:
    [(text, code)], _ = decoded(["hr 0 string 3"], raw)
    assert code == 0
    assert "\0" not in text
    assert text == text.rstrip()


@given(st.binary(min_size=2, max_size=2), st.booleans())
def test_bits_are_those_of_the_register(raw: bytes, swap: bool) -> None:
    register = int.from_bytes(raw, "little" if swap else "big")
    rows, _ = decoded([f"hr 0.{i}" for i in range(16)] + ["hr 0 bool"], raw, swap)
    assert [value for value, _ in rows] == [register >> i & 1 for i in range(16)] + [int(register != 0)]


@given(st.integers(0, 65_535), st.integers(0, 15), st.booleans(), st.booleans())
def test_a_bit_that_is_written_is_read_and_the_other_fifteen_stay(register, bit, on, swap) -> None:
    memory = Memory.sized(1)
    memory.hr[0] = register
    config = ModbusTcpConfig("plc1", byte_order="little" if swap else "big")
    request = write_request(config, PointWrite(f"hr 0.{bit}", int(on)))
    assert memory.answer(request.tail[5:]) == request.tail[5:]
    bits = [f"hr 0.{i}" for i in range(16)]
    before, _ = decoded(bits, register.to_bytes(2), swap)
    after, _ = decoded(bits, int(memory.hr[0]).to_bytes(2), swap)
    assert after == [(int(on), 0) if i == bit else row for i, row in enumerate(before)]


def test_a_text_that_stays_is_not_decoded_again_and_one_that_changes_is() -> None:
    decoder = Decoder([parse("hr 0 string 2")], [0], [1])
    image = np.frombuffer(bytearray(b"pump"), np.uint8)
    codes = np.zeros(1, np.uint32)
    one, two = decoder.decode(image, 1, codes)[0][0], decoder.decode(image, 2, codes)[0][0]
    assert one.value is two.value
    image[0] = ord("b")
    assert decoder.decode(image, 3, codes)[0][0].text == ("bump",)
    assert one.text == ("pump",)


def test_what_did_not_arrive_is_not_called_not_a_number() -> None:
    decoder = Decoder([parse("hr 0 float32")], [0], [1])
    image = np.frombuffer(bytes.fromhex("7fc00000"), np.uint8)
    [batch], note = decoder.decode(image, 1, np.array([status.BAD_TIMEOUT], np.uint32))
    assert (batch.status.tolist(), note) == ([status.BAD_TIMEOUT], "")

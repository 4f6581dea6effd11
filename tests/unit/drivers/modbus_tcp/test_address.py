from __future__ import annotations

import pytest

from isthmus.drivers.modbus_tcp.address import ORDERS, parse, parse_address, wire_order
from isthmus.ports.drivers import Address
from isthmus.values.errors import ConfigError
from isthmus.values.sample import ValueType

INT, FLOAT, TEXT = ValueType.INT, ValueType.FLOAT, ValueType.TEXT


@pytest.mark.mission("M40")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hr 0", Address(INT, "hr", 0, 16)),
        ("HR 0 UINT16", Address(INT, "hr", 0, 16)),
        ("hr 2 float32", Address(FLOAT, "hr", 32, 64)),
        ("hr 2 float32 cdab", Address(FLOAT, "hr", 32, 64)),
        ("hr 4 uint32", Address(INT, "hr", 64, 96)),
        ("ir 10 int16", Address(INT, "ir", 160, 176)),
        ("ir 10 float64 hgfedcba", Address(FLOAT, "ir", 160, 224)),
        ("ir 10 float64 cdab", Address(FLOAT, "ir", 160, 224)),
        ("co 5", Address(INT, "co", 5, 6)),
        ("co 5 bool", Address(INT, "co", 5, 6)),
        ("di 65535", Address(INT, "di", 65535, 65536)),
        ("hr 5.3", Address(INT, "hr", 83, 84)),
        ("hr 5.15 bool ba", Address(INT, "hr", 95, 96)),
        ("hr 5 bool", Address(INT, "hr", 80, 96)),
        ("hr 20 string 8", Address(TEXT, "hr", 320, 448)),
        ("hr 65532 uint64", Address(INT, "hr", 65532 * 16, 65536 * 16)),
        ("40001", Address(INT, "hr", 0, 16)),
        ("400001", Address(INT, "hr", 0, 16)),
        ("465536", Address(INT, "hr", 65535 * 16, 65536 * 16)),
        ("40003 float32 badc", Address(FLOAT, "hr", 32, 64)),
        ("40006.3", Address(INT, "hr", 83, 84)),
        ("30011 int16", Address(INT, "ir", 160, 176)),
        ("10004", Address(INT, "di", 3, 4)),
        ("00006", Address(INT, "co", 5, 6)),
        ("  hr\t0 ", Address(INT, "hr", 0, 16)),
    ],
)
def test_what_an_address_occupies(text: str, expected: Address) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("hr", "a number must follow 'hr'"),
        ("hr x", "'x' is no register number"),
        ("hr -1", "'-1' is no register number"),
        ("hr ٣", "is no register number"),
        ("hr 65536", "the highest number is 65535"),
        ("hr 65535 uint32", "reaches beyond hr 65535"),
        ("hr 5.16", "bits 0 to 15"),
        ("co 5.1", "takes no bit number"),
        ("co 5 uint16", "single bits"),
        ("di 5 abcd", "single bits"),
        ("hr 5 float", "'float' is neither a type"),
        ("hr 5 float32 abdc", "'abdc' is neither a type"),
        ("hr 5 float32 cdab cdab", "'cdab' is neither"),
        ("hr 5 float32 ab", "does not fit float32, which takes abcd, badc, cdab, dcba"),
        ("hr 5 uint16 abcd", "does not fit uint16, which takes ab, ba"),
        ("hr 5.3 cdab", "does not fit bit"),
        ("hr 5 string", "needs its length in registers"),
        ("hr 5 string 0", "needs its length in registers"),
        ("hr 5 string 126", "needs its length in registers"),
        ("hr 5 string 4 cdab", "does not fit string"),
        ("xr 5", "'xr' is no register number; write hr, ir, co or di"),
        ("4001", "'4001' is no register number"),
        ("40000", "classic addresses begin at"),
        ("20001", "classic addresses begin at"),
        ("465537", "the highest number is 65535"),
    ],
)
def test_a_wrong_address_says_what_and_where(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_address(text)
    assert problem in str(raised.value)
    assert repr(text) in str(raised.value)


def test_orders_are_what_their_names_say() -> None:
    for name, (registers, swap_bytes, swap_words) in ORDERS.items():
        little_endian = wire_order(registers, swap_bytes, swap_words)
        assert [name[place] for place in little_endian] == sorted(name, reverse=True)


def test_the_connection_decides_where_the_address_is_silent() -> None:
    assert (parse("hr 0 float32").swap_bytes, parse("hr 0 float32").swap_words) == (None, None)
    assert (parse("hr 0 float32 abcd").swap_bytes, parse("hr 0 float32 abcd").swap_words) == (False, False)

from __future__ import annotations

from typing import Any

import pytest

from isthmus.drivers.modbus_tcp import ModbusTcpConfig
from isthmus.drivers.modbus_tcp.write import write_request
from isthmus.ports.writes import PointWrite
from isthmus.values.errors import ConfigError, Rejected

CONFIG = ModbusTcpConfig("plc1", unit=17)
MANY = ModbusTcpConfig("plc1", unit=17, write_single=False)


@pytest.mark.mission("M40", "M19")
@pytest.mark.parametrize(
    ("config", "address", "value", "frame"),
    [
        (CONFIG, "co 172", 1, "0000 0006 11 05 00ac ff00"),
        (CONFIG, "co 172", False, "0000 0006 11 05 00ac 0000"),
        (MANY, "co 172", 1, "0000 0008 11 0f 00ac 0001 01 01"),
        (CONFIG, "hr 1", 3, "0000 0006 11 06 0001 0003"),
        (CONFIG, "hr 1 int16", -2.0, "0000 0006 11 06 0001 fffe"),
        (CONFIG, "hr 1 ba", 3, "0000 0006 11 06 0001 0300"),
        (MANY, "hr 1", 3, "0000 0009 11 10 0001 0001 02 0003"),
        (CONFIG, "hr 1 float32", 1.5, "0000 000b 11 10 0001 0002 04 3fc00000"),
        (CONFIG, "hr 1 float32 cdab", 1.5, "0000 000b 11 10 0001 0002 04 00003fc0"),
        (CONFIG, "hr 1 int32 dcba", -2, "0000 000b 11 10 0001 0002 04 feffffff"),
        (CONFIG, "hr 1 uint64", 2**64 - 2, "0000 000f 11 10 0001 0004 08 fffffffffffffffe"),
        (CONFIG, "hr 4.1", 1, "0000 0008 11 16 0004 fffd 0002"),
        (CONFIG, "hr 4.1", 0, "0000 0008 11 16 0004 fffd 0000"),
        (CONFIG, "hr 4.1 ba", 1, "0000 0008 11 16 0004 fdff 0200"),
        (MANY, "hr 4.15", True, "0000 0008 11 16 0004 7fff 8000"),
        (CONFIG, "hr 1 string 3", "pump", "0000 000d 11 10 0001 0003 06 70756d700000"),
        (CONFIG, "hr 1 string 2 ba", "pump", "0000 000b 11 10 0001 0002 04 7570706d"),
    ],
)
def test_bytes_of_a_write(config: ModbusTcpConfig, address: str, value: Any, frame: str) -> None:
    assert write_request(config, PointWrite(address, value)).tail == bytes.fromhex(frame)


@pytest.mark.parametrize(
    ("address", "value", "problem"),
    [
        ("ir 1", 1, "only be read"),
        ("di 1", 1, "only be read"),
        ("ir 1.2", 1, "only be read"),
        ("hr 1.2", 2, "whole number from 0 to 1, was 2"),
        ("hr 1.2", float("nan"), "was nan"),
        ("co 1", 2, "whole number from 0 to 1, was 2"),
        ("hr 1", 65_536, "whole number from 0 to 65535, was 65536"),
        ("hr 1", -1, "was -1"),
        ("hr 1", 1.5, "was 1.5"),
        ("hr 1", "1", "was '1'"),
        ("hr 1", float("nan"), "was nan"),
        ("hr 1", float("inf"), "was inf"),
        ("hr 1 float32", float("inf"), "finite"),
        ("hr 1 float32", 1e39, "too large for float32"),
        ("hr 1 float64", "x", "finite"),
        ("hr 1 string 2", "pumps", "room for 4 bytes, the text has 5"),
        ("hr 1 string 2", 5, "needs a text"),
        ("hr 1 string 2", "a\0b", "without NUL"),
        ("hr 1 string 124", "a", "at most 123"),
    ],
)
def test_what_does_not_fit_is_never_sent(address: str, value: Any, problem: str) -> None:
    with pytest.raises(Rejected, match=problem):
        write_request(CONFIG, PointWrite(address, value))


def test_a_wrong_address_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError):
        write_request(CONFIG, PointWrite("hr", 1))

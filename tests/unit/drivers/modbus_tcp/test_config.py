from __future__ import annotations

from typing import Any

import pytest

from isthmus.drivers.modbus_tcp import ModbusTcpConfig
from isthmus.ports.drivers import driver_spec
from isthmus.values.errors import ConfigError


def test_a_host_is_enough() -> None:
    assert driver_spec("modbus-tcp").configure({"host": "plc1"}) == ModbusTcpConfig("plc1")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("host", ""),
        ("host", "a b"),
        ("host", 7),
        ("port", 0),
        ("port", 65_536),
        ("port", "502"),
        ("port", True),
        ("unit", -1),
        ("unit", 256),
        ("timeout_s", 0),
        ("timeout_s", float("nan")),
        ("timeout_s", "1"),
        ("connect_timeout_s", 61),
        ("max_block", 0),
        ("max_block", 126),
        ("max_bits", 2001),
        ("gap", -1),
        ("byte_order", "BIG"),
        ("word_order", None),
        ("write_single", 1),
    ],
)
def test_a_wrong_setting_names_key_and_value(key: str, value: Any) -> None:
    with pytest.raises(ConfigError) as raised:
        ModbusTcpConfig(**{"host": "plc1", key: value})
    assert str(raised.value).startswith(f"{key}: must be ")
    assert str(raised.value).endswith(f", was {value!r}")


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match="hosts: not a setting of driver modbus-tcp"):
        driver_spec("modbus-tcp").configure({"host": "a", "hosts": "b"})

"""From a value to the request that writes it.

Source: MODBUS Application Protocol Specification V1.1b3 sections 6.5, 6.6, 6.11, 6.12, 6.16
"""

from __future__ import annotations

import math
import struct
from typing import Final

from isthmus.drivers.modbus_tcp.address import REGISTERS, ModbusAddress, parse, wire_order
from isthmus.drivers.modbus_tcp.config import ModbusTcpConfig
from isthmus.drivers.modbus_tcp.framer import Request, write_many_request, write_mask_request, write_one_request
from isthmus.drivers.modbus_tcp.transport import TIMED_OUT, WRONG_REPLY
from isthmus.ports.writes import PointWrite
from isthmus.values.errors import Rejected

UNCERTAIN: Final = frozenset((TIMED_OUT, WRONG_REPLY, 5, 11))
"""Outcomes after which nobody knows whether a write took effect: 5 is still at it, 11 is a gateway that heard nothing."""

_MOST_REGISTERS: Final = 123
_INTEGERS: Final = {
    "bool": (0, 1),
    "bit": (0, 1),
    "int16": (-(1 << 15), (1 << 15) - 1),
    "uint16": (0, (1 << 16) - 1),
    "int32": (-(1 << 31), (1 << 31) - 1),
    "uint32": (0, (1 << 32) - 1),
    "int64": (-(1 << 63), (1 << 63) - 1),
    "uint64": (0, (1 << 64) - 1),
}


def write_request(config: ModbusTcpConfig, item: PointWrite) -> Request:
    """The request that writes one value.

    A bit of a register is written by a mask, so that the other fifteen stay whatever the device made of them meanwhile.

    Raises: Rejected if the address cannot be written or the value does not fit; ConfigError if the address is wrong
    """
    address = parse(item.address)
    if address.area in {"ir", "di"}:
        raise Rejected(f"{item.address}: input registers and discrete inputs can only be read")
    if address.area == "co":
        on = _whole(address, item.value)
        if config.write_single:
            return write_one_request(config.unit, 5, address.start, 0xFF00 if on else 0)
        return write_many_request(config.unit, 15, address.start, 1, bytes((on,)))
    if address.kind == "bit":
        on = _whole(address, item.value)
        swapped = config.byte_order == "little" if address.swap_bytes is None else address.swap_bytes
        bit = 1 << (address.bit ^ 8 if swapped else address.bit)
        return write_mask_request(config.unit, address.start, 0xFFFF ^ bit, bit if on else 0)
    data = encode(address, item.value, config.byte_order == "little", config.word_order == "little")
    if address.count == 1 and config.write_single:
        return write_one_request(config.unit, 6, address.start, int.from_bytes(data, "big"))
    if address.count > _MOST_REGISTERS:
        raise Rejected(f"{item.address}: at most {_MOST_REGISTERS} registers can be written at once")
    return write_many_request(config.unit, 16, address.start, address.count, data)


def encode(address: ModbusAddress, value: float | str, swap_bytes: bool = False, swap_words: bool = False) -> bytes:
    """The registers' bytes as they go over the wire; the swaps are what the address leaves open.

    Raises: Rejected if the value does not fit the address's type
    """
    swap_bytes = swap_bytes if address.swap_bytes is None else address.swap_bytes
    swap_words = swap_words if address.swap_words is None else address.swap_words
    if address.kind == "string":
        text = _string(address, value)
        return bytes(text[i ^ 1] for i in range(len(text))) if swap_bytes else text
    little = _little_endian(address, value)
    wire = bytearray(len(little))
    for i, place in enumerate(wire_order(REGISTERS[address.kind], swap_bytes, swap_words)):
        wire[place] = little[i]
    return bytes(wire)


def _little_endian(address: ModbusAddress, value: float | str) -> bytes:
    size = 2 * address.count
    if not address.kind.startswith("float"):
        return _whole(address, value).to_bytes(size, "little", signed=address.kind.startswith("int"))
    if isinstance(value, str) or not math.isfinite(value):
        raise Rejected(f"{address.text}: needs a finite number, was {value!r}")
    try:
        return struct.pack("<f" if size == 4 else "<d", value)
    except OverflowError:
        raise Rejected(f"{address.text}: {value!r} is too large for {address.kind}") from None


def _whole(address: ModbusAddress, value: float | str) -> int:
    low, high = _INTEGERS[address.kind]
    if isinstance(value, str) or not math.isfinite(value) or value != int(value) or not low <= value <= high:
        raise Rejected(f"{address.text}: needs a whole number from {low} to {high}, was {value!r}")
    return int(value)


def _string(address: ModbusAddress, value: float | str) -> bytes:
    if not isinstance(value, str) or "\0" in value:
        raise Rejected(f"{address.text}: needs a text without NUL, was {value!r}")
    data = value.encode()
    if len(data) > 2 * address.count:
        raise Rejected(f"{address.text}: has room for {2 * address.count} bytes, the text has {len(data)}")
    return data.ljust(2 * address.count, b"\0")

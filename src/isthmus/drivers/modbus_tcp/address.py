"""What a Modbus address says: area, number, type and byte order, e.g. "hr 2 float32 cdab", "hr 5.3" or "40003".

Numbers count from zero. The classic notation ("40001", "400001") counts from one and means the same registers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

from isthmus.ports.drivers import Address
from isthmus.values.errors import ConfigError
from isthmus.values.sample import ValueType

REGISTERS: Final[dict[str, int]] = {
    "bool": 1,
    "int16": 1,
    "uint16": 1,
    "int32": 2,
    "uint32": 2,
    "float32": 2,
    "int64": 4,
    "uint64": 4,
    "float64": 4,
}
"""Registers each type takes; a string takes as many as its address says."""

ORDERS: Final[dict[str, tuple[int, bool, bool]]] = {
    "ab": (1, False, False),
    "ba": (1, True, False),
    "abcd": (2, False, False),
    "badc": (2, True, False),
    "cdab": (2, False, True),
    "dcba": (2, True, True),
    "abcdefgh": (4, False, False),
    "badcfehg": (4, True, False),
    "ghefcdab": (4, False, True),
    "hgfedcba": (4, True, True),
}
"""Bytes as they come over the wire, `a` the most significant: registers, bytes swapped in each, registers reversed."""

_CLASSIC_AREAS: Final = {"0": "co", "1": "di", "3": "ir", "4": "hr"}
_LETTERS: Final = "abcdefgh"
_SPACE: Final = 65_536
_PLACE = re.compile(r"(?P<number>\d{1,6})(?:\.(?P<bit>\d{1,3}))?\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class ModbusAddress:
    """One parsed address. ``count`` cells from ``start``: registers in hr and ir, bits in co and di.

    A swap of None is left to the connection's setting.
    """

    text: str
    area: str  # hr, ir, co or di
    start: int
    count: int
    kind: str  # a key of REGISTERS, "bit" (of a register, or a coil or input) or "string"
    bit: int = 0  # 0 is the least significant bit of the register
    swap_bytes: bool | None = None
    swap_words: bool | None = None

    @property
    def type(self) -> ValueType:
        """The batch its values come in."""
        if self.kind == "string":
            return ValueType.TEXT
        return ValueType.FLOAT if self.kind.startswith("float") else ValueType.INT


def parse(text: str) -> ModbusAddress:
    """The address, with every part checked.

    Raises: ConfigError naming the problem and the value
    """
    words = text.lower().split()
    area, start, bit, rest = _place(text, words)
    if area in {"co", "di"}:
        if rest not in ([], ["bool"]):
            raise _wrong(f"{area} holds single bits, {rest[0]!r} does not fit", text)
        return ModbusAddress(text, area, start, 1, "bit")
    if bit is not None:
        if rest[:1] == ["bool"]:
            rest = rest[1:]
        kind, count = "bit", 1
    elif rest and rest[0] == "string":
        kind, count, rest = "string", _length(text, rest), rest[2:]
    elif rest and rest[0] in REGISTERS:
        kind, count, rest = rest[0], REGISTERS[rest[0]], rest[1:]
    else:
        kind, count = "uint16", 1
    if start + count > _SPACE:
        raise _wrong(f"reaches beyond {area} {_SPACE - 1}", text)
    swap_bytes, swap_words = _order(text, rest, kind, count)
    return ModbusAddress(text, area, start, count, kind, bit or 0, swap_bytes, swap_words)


def parse_address(text: str) -> Address:
    """What a plan needs to know of an address. A register is 16 bits, a coil or discrete input is one.

    Raises: ConfigError naming the problem and the value
    """
    parsed = parse(text)
    if parsed.area in {"co", "di"}:
        return Address(parsed.type, parsed.area, parsed.start, parsed.start + 1)
    if parsed.kind == "bit":
        start = 16 * parsed.start + parsed.bit
        return Address(parsed.type, parsed.area, start, start + 1)
    return Address(parsed.type, parsed.area, 16 * parsed.start, 16 * (parsed.start + parsed.count))


@cache
def wire_order(registers: int, swap_bytes: bool, swap_words: bool) -> tuple[int, ...]:
    """Where each byte of a little-endian value lies among the bytes on the wire. Shapes: -> 2 * registers"""
    name = _LETTERS[: 2 * registers]
    pairs = [name[i : i + 2] for i in range(0, len(name), 2)]
    wire = "".join(pair[::-1] if swap_bytes else pair for pair in (pairs[::-1] if swap_words else pairs))
    return tuple(wire.index(letter) for letter in reversed(name))


def _wrong(problem: str, text: str) -> ConfigError:
    return ConfigError(f"address: {problem}, was {text!r}")


def _place(text: str, words: list[str]) -> tuple[str, int, int | None, list[str]]:
    """Area, number, bit within the register, and the words that follow."""
    if not words:
        raise _wrong("is empty; write an area and a number, e.g. 'hr 0'", text)
    if words[0] in {"hr", "ir", "co", "di"}:
        if len(words) < 2:
            raise _wrong(f"a number must follow {words[0]!r}", text)
        area, number, rest = words[0], words[1], words[2:]
        classic = False
    else:
        area, number, rest = "", words[0], words[1:]
        classic = True
    place = _PLACE.match(number)
    if place is None or (classic and len(place["number"]) < 5):
        known = "hr, ir, co or di and a number, or a classic address such as 40001"
        raise _wrong(f"{number!r} is no register number; write {known}", text)
    start = int(place["number"])
    if classic:
        area = _CLASSIC_AREAS.get(number[0], "")
        start = int(place["number"][1:]) - 1
        if not area or start < 0:
            raise _wrong("classic addresses begin at 00001, 10001, 30001 or 40001", text)
    if start >= _SPACE:
        raise _wrong(f"the highest number is {_SPACE - 1}", text)
    if place["bit"] is None:
        return area, start, None, rest
    bit = int(place["bit"])
    if area in {"co", "di"}:
        raise _wrong(f"{area} holds single bits and takes no bit number", text)
    if bit > 15:
        raise _wrong("a register has bits 0 to 15", text)
    return area, start, bit, rest


def _length(text: str, rest: list[str]) -> int:
    """Registers of a string."""
    if len(rest) < 2 or not (rest[1].isascii() and rest[1].isdigit()) or not 1 <= int(rest[1]) <= 125:
        raise _wrong("a string needs its length in registers (1 to 125, two characters each), e.g. 'string 8'", text)
    return int(rest[1])


def _order(text: str, rest: list[str], kind: str, count: int) -> tuple[bool | None, bool | None]:
    """Byte order named at the end of an address: (swap bytes, swap words)."""
    if not rest:
        return None, None
    if len(rest) > 1 or rest[0] not in ORDERS:
        known = ", ".join(REGISTERS)
        raise _wrong(f"{rest[0]!r} is neither a type ({known}, string) nor a byte order such as cdab", text)
    registers, swap_bytes, swap_words = ORDERS[rest[0]]
    needed = 1 if kind == "string" else count
    if registers != needed and not (registers == 2 and needed == 4):
        fitting = [name for name, (width, _, _) in ORDERS.items() if width == needed]
        raise _wrong(f"byte order {rest[0]!r} does not fit {kind}, which takes {', '.join(fitting)}", text)
    return swap_bytes, swap_words

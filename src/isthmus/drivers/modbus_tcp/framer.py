"""Bytes on the wire: requests, the replies that fit them, and where one frame ends in a stream.

Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b section 3.1.3 (MBAP header);
        MODBUS Application Protocol Specification V1.1b3 sections 6 (functions) and 7 (exception codes)
"""

from __future__ import annotations

import struct
from typing import Final

from isthmus.values import status
from isthmus.values.errors import Malformed

READ_FUNCTIONS: Final = {"co": 1, "di": 2, "hr": 3, "ir": 4}

_LONGEST = 254  # unit identifier and PDU; the standard's PDU ends at 253 bytes
_REQUEST = struct.Struct(">HHBBHH")  # protocol, length, unit, function, start, count or value
_MASK = struct.Struct(">HHBBHHH")  # protocol, length, unit, function, register, and-mask, or-mask
_READ_REPLY = struct.Struct(">HHBBB")  # protocol, length, unit, function, bytes that follow

EXCEPTIONS: Final[dict[int, tuple[int, str]]] = {
    1: (status.BAD_NOT_SUPPORTED, "it does not know this function"),
    2: (status.BAD_NODE_ID_UNKNOWN, "it has no such address"),
    3: (status.BAD_OUT_OF_RANGE, "it does not take this value or length"),
    4: (status.BAD_DEVICE_FAILURE, "it failed while doing it"),
    5: (status.BAD_RESOURCE_UNAVAILABLE, "it needs more time"),
    6: (status.BAD_RESOURCE_UNAVAILABLE, "it is busy"),
    7: (status.BAD_DEVICE_FAILURE, "it cannot do it"),
    8: (status.BAD_DEVICE_FAILURE, "its memory is damaged (parity error)"),
    10: (status.BAD_NO_COMMUNICATION, "the gateway has no path to it"),
    11: (status.BAD_NO_COMMUNICATION, "the device behind the gateway does not answer"),
}
"""What an exception code means: the status of the rows, and words for a technician."""


class Request:
    """One request and all that is known about a fitting reply. ``tail`` is the frame without its transaction id.

    ``head`` is what a good reply says from the third byte on; ``size`` is its length. A reply's data go to ``at`` in
    the image, one byte for each of ``bits`` where that is not 0.
    """

    __slots__ = ("at", "bits", "function", "head", "size", "stop", "tail")

    def __init__(self, tail: bytes, head: bytes, size: int, *, at: int = 0, stop: int = 0, bits: int = 0) -> None:
        self.tail, self.head, self.size = tail, head, size
        self.at, self.stop, self.bits = at, stop, bits
        self.function = tail[5]


def read_request(unit: int, area: str, start: int, count: int, at: int = 0) -> Request:
    """Read ``count`` cells of an area; the data go to byte ``at`` of the image."""
    function = READ_FUNCTIONS[area]
    bits = count if function < 3 else 0
    size = (bits + 7) // 8 if bits else 2 * count
    return Request(
        _REQUEST.pack(0, 6, unit, function, start, count),
        _READ_REPLY.pack(0, 3 + size, unit, function, size),
        9 + size,
        at=at,
        stop=at + (bits or size),
        bits=bits,
    )


def write_one_request(unit: int, function: int, address: int, value: int) -> Request:
    """Functions 5 (a coil, 0xFF00 is on) and 6 (a register); the device echoes the request."""
    tail = _REQUEST.pack(0, 6, unit, function, address, value)
    return Request(tail, tail, 12)


def write_many_request(unit: int, function: int, address: int, count: int, data: bytes) -> Request:
    """Functions 15 (coils, eight in a byte) and 16 (registers); the device echoes start and count."""
    tail = _REQUEST.pack(0, 7 + len(data), unit, function, address, count) + bytes((len(data),)) + data
    return Request(tail, _REQUEST.pack(0, 6, unit, function, address, count), 12)


def write_mask_request(unit: int, register: int, keep: int, put: int) -> Request:
    """Function 22: the device itself keeps the bits of ``keep`` and puts those of ``put`` in place of the others; it echoes the request."""
    tail = _MASK.pack(0, 8, unit, 22, register, keep, put)
    return Request(tail, tail, 14)


def frame_end(data: bytes, at: int) -> int:
    """Where the frame that begins at ``at`` ends; 0 when not all of it has arrived.

    Raises: Malformed if no Modbus frame begins here, so that nobody can tell where the next one begins
    """
    here = len(data) - at
    if here >= 4 and (data[at + 2] or data[at + 3]):
        raise Malformed(f"protocol identifier {data[at + 2] << 8 | data[at + 3]} instead of 0")
    if here < 6:
        return 0
    length = data[at + 4] << 8 | data[at + 5]
    if not 2 <= length <= _LONGEST:
        raise Malformed(f"a frame of {length} bytes, allowed are 2 to {_LONGEST}")
    return at + 6 + length if here >= 6 + length else 0


def is_reply(frame: bytes, unit: int) -> bool:
    """Whether a whole frame could be this unit's answer to any request of ours."""
    if frame[6] != unit:
        return False
    function, size = frame[7], len(frame)
    if function & 0x80:
        return size == 9
    if function in READ_FUNCTIONS.values():
        return size > 9 and size == 9 + frame[8]
    return size == (14 if function == 22 else 12) and function in {5, 6, 15, 16, 22}


def misfit(frame: bytes, request: Request) -> str:
    """What is wrong with a whole frame that carries this request's transaction and yet is no answer to it."""
    unit, function = request.tail[4:6]
    if frame[6] != unit:
        return f"unit {frame[6]} answered instead of unit {unit}"
    if frame[7] & 0x7F != function:
        return f"it answered function {frame[7] & 0x7F} instead of {function}"
    if frame[7] & 0x80:
        return "it refused without saying why"
    if len(frame) != request.size:
        return f"it answered {len(frame)} bytes instead of {request.size}"
    return "its answer contradicts itself" if request.stop else "its answer repeats something else than was written"

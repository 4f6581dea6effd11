"""A light Modbus TCP server: register memory in numpy arrays that a plant simulation or a test writes as it likes.

`python -m isthmus.simulators.modbus --port 0` runs one in a process of its own and prints the port it got.

Source: MODBUS Application Protocol Specification V1.1b3 and MODBUS Messaging on TCP/IP Implementation Guide V1.0b
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import struct
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

ILLEGAL_FUNCTION = 1
ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3
GATEWAY_NO_RESPONSE = 11

WRITE_FUNCTIONS: Final = frozenset((5, 6, 15, 16, 22))
MAX_WRITES: Final = 250_000
"""Write frames a server remembers; older ones are only counted."""

_HEADER = struct.Struct(">HHHB")  # transaction, protocol, length of what follows, unit
_TWO = struct.Struct(">HH")
_WRITE_MANY = struct.Struct(">HHB")
_MASK = struct.Struct(">HHH")
_MAX_LENGTH = 254


def _registers() -> NDArray[np.uint16]:
    return np.zeros(0, np.uint16)


def _bits() -> NDArray[np.bool_]:
    return np.zeros(0, np.bool_)


@dataclass(frozen=True, slots=True)
class WriteFrame:
    """One write as it came over the wire, whatever became of it. ``values`` are bits for 5 and 15, registers for 6 and 16, the
    masks (and, or) for 22; empty where the frame contradicts itself. ``taken``: the device has it, answered or not.
    """

    unit: int
    function: int
    start: int
    values: tuple[int, ...]
    taken: bool


def write_frame(unit: int, pdu: bytes, *, taken: bool) -> WriteFrame:
    """A request of a write function, from the function code on."""
    function, values = pdu[0], tuple[int, ...]()
    start = int.from_bytes(pdu[1:3])
    if function in {5, 6} and len(pdu) == 5:
        value = int.from_bytes(pdu[3:5])
        values = (value == 0xFF00,) if function == 5 else (value,)
    elif function == 22 and len(pdu) == 7:
        values = _TWO.unpack(pdu[3:7])
    elif function in {15, 16} and len(pdu) >= 6 and len(pdu) == 6 + pdu[5]:
        count = int.from_bytes(pdu[3:5])
        if function == 16:
            values = tuple(int.from_bytes(pdu[i : i + 2]) for i in range(6, len(pdu) - 1, 2))
        else:
            values = tuple(pdu[6 + i // 8] >> i % 8 & 1 for i in range(min(count, 8 * pdu[5])))
    return WriteFrame(unit, function, start, tuple(map(int, values)), taken)


@dataclass(slots=True)
class Memory:
    """What one unit holds, and how it misbehaves. Addresses beyond an array's end are refused with exception 2.

    Write the arrays in place at any time; a request sees them as they are at that moment.
    Units: delay_s in seconds between a request and its answer
    """

    hr: NDArray[np.uint16] = field(default_factory=_registers)  # holding registers
    ir: NDArray[np.uint16] = field(default_factory=_registers)  # input registers
    co: NDArray[np.bool_] = field(default_factory=_bits)  # coils
    di: NDArray[np.bool_] = field(default_factory=_bits)  # discrete inputs

    delay_s: float = 0.0
    silent: bool = False  # takes requests and never answers
    exception: int = 0  # answers everything with this exception code
    refuse: list[tuple[str, int, int]] = field(default_factory=list)  # (area, start, stop): exception 2 if touched
    on_write: Callable[[str, int, int], None] | None = None  # told (area, start, stop) after a client's write
    masks: bool = True  # knows function 22; many devices do not

    @classmethod
    def sized(cls, size: int = 65_536) -> Memory:
        """All four areas with ``size`` zeros each."""
        return cls(np.zeros(size, "u2"), np.zeros(size, "u2"), np.zeros(size, np.bool_), np.zeros(size, np.bool_))

    def answer(self, pdu: bytes) -> bytes:
        """The reply to one request, both from the function code on."""
        function = pdu[0]
        if self.exception:
            return bytes((function | 0x80, self.exception))
        try:
            if 1 <= function <= 4:
                return self._read(function, *_TWO.unpack(pdu[1:]))
            if function in {5, 6}:
                return self._write_one(function, pdu, *_TWO.unpack(pdu[1:]))
            if function in {15, 16}:
                return self._write_many(function, pdu[6:], *_WRITE_MANY.unpack(pdu[1:6]))
            if function == 22 and self.masks:
                return self._write_mask(pdu, *_MASK.unpack(pdu[1:]))
        except struct.error:  # the request is shorter or longer than its function says
            return bytes((function | 0x80, ILLEGAL_VALUE))
        return bytes((function | 0x80, ILLEGAL_FUNCTION))

    def _area(self, function: int) -> tuple[str, NDArray[np.uint16] | NDArray[np.bool_]]:
        if function in {1, 5, 15}:
            return "co", self.co
        if function == 2:
            return "di", self.di
        if function == 4:
            return "ir", self.ir
        return "hr", self.hr

    def _refused(self, area: str, start: int, stop: int) -> bool:
        return any(name == area and low < stop and start < high for name, low, high in self.refuse)

    def _read(self, function: int, start: int, count: int) -> bytes:
        area, cells = self._area(function)
        if not 1 <= count <= (2000 if function < 3 else 125):
            return bytes((function | 0x80, ILLEGAL_VALUE))
        stop = start + count
        if stop > len(cells) or (self.refuse and self._refused(area, start, stop)):
            return bytes((function | 0x80, ILLEGAL_ADDRESS))
        if function < 3:
            data = np.packbits(cells[start:stop], bitorder="little").tobytes()
        else:
            data = cells[start:stop].astype(">u2").tobytes()
        return bytes((function, len(data))) + data

    def _write_one(self, function: int, pdu: bytes, address: int, value: int) -> bytes:
        area, cells = self._area(function)
        if function == 5 and value not in {0x0000, 0xFF00}:
            return bytes((function | 0x80, ILLEGAL_VALUE))
        if address >= len(cells) or self._refused(area, address, address + 1):
            return bytes((function | 0x80, ILLEGAL_ADDRESS))
        cells[address] = value
        self._written(area, address, address + 1)
        return pdu

    def _write_many(self, function: int, data: bytes, start: int, count: int, size: int) -> bytes:
        area, cells = self._area(function)
        most, wanted = (1968, (count + 7) // 8) if function == 15 else (123, 2 * count)
        if not 1 <= count <= most or size != wanted or len(data) != size:
            return bytes((function | 0x80, ILLEGAL_VALUE))
        stop = start + count
        if stop > len(cells) or self._refused(area, start, stop):
            return bytes((function | 0x80, ILLEGAL_ADDRESS))
        if function == 15:
            cells[start:stop] = np.unpackbits(np.frombuffer(data, np.uint8), count=count, bitorder="little")
        else:
            cells[start:stop] = np.frombuffer(data, ">u2")
        self._written(area, start, stop)
        return bytes((function,)) + _TWO.pack(start, count)

    def _write_mask(self, pdu: bytes, address: int, keep: int, put: int) -> bytes:
        if address >= len(self.hr) or self._refused("hr", address, address + 1):
            return bytes((22 | 0x80, ILLEGAL_ADDRESS))
        self.hr[address] = int(self.hr[address]) & keep | put & ~keep & 0xFFFF
        self._written("hr", address, address + 1)
        return pdu

    def _written(self, area: str, start: int, stop: int) -> None:
        if self.on_write is not None:
            self.on_write(area, start, stop)


class ModbusServer:
    """Serves units by number. A unit it does not have is answered as a gateway does: exception 11.

    ``tamper`` may change each whole reply before it is sent; an empty one is not sent at all. ``writes`` are the write frames that
    came, the newest MAX_WRITES of ``write_count``; ``on_frame`` is told each.
    """

    def __init__(self, host: str, port: int, units: Mapping[int, Memory]) -> None:
        self.host, self.port = host, port  # port 0 becomes the real one in start
        self.units = units
        self.tamper: Callable[[bytes], bytes] | None = None
        self.requests = 0
        self.writes: deque[WriteFrame] = deque(maxlen=MAX_WRITES)
        self.write_count = 0
        self.on_frame: Callable[[WriteFrame], None] | None = None
        self.connections: set[asyncio.Transport] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen; connections are served until ``stop``."""
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Connection(self), self.host, self.port, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more and cut every connection; safe twice. ``start`` takes the same port again."""
        if self._server is not None:
            server, self._server = self._server, None
            server.close()
            self.cut()
            await server.wait_closed()

    def cut(self) -> None:
        """Cut every open connection; new ones are still taken."""
        for transport in list(self.connections):
            transport.abort()

    def answer(self, frame: bytes) -> tuple[bytes, float]:
        """One request frame to (reply frame or nothing, delay in seconds)."""
        self.requests += 1
        transaction, _, _, unit = _HEADER.unpack_from(frame)
        memory = self.units.get(unit)
        if memory is None:
            pdu, delay_s = bytes((frame[7] | 0x80, GATEWAY_NO_RESPONSE)), 0.0
        elif memory.silent:
            pdu, delay_s = b"", 0.0
        else:
            pdu, delay_s = memory.answer(frame[7:]), memory.delay_s
        if frame[7] in WRITE_FUNCTIONS:
            self._heard(write_frame(unit, frame[7:], taken=pdu[:1] == frame[7:8]))
        if not pdu:
            return b"", 0.0
        reply = _HEADER.pack(transaction, 0, len(pdu) + 1, unit) + pdu
        return (reply if self.tamper is None else self.tamper(reply)), delay_s

    def _heard(self, frame: WriteFrame) -> None:
        self.write_count += 1
        self.writes.append(frame)
        if self.on_frame is not None:
            self.on_frame(frame)


class _Connection(asyncio.Protocol):
    def __init__(self, server: ModbusServer) -> None:
        self._server = server
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance, yet does the same
        self._server.connections.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        replies: list[bytes] = []
        at, end = 0, len(data)
        while end - at >= 8:
            stop = at + 6 + int.from_bytes(data[at + 4 : at + 6])
            if data[at + 2] or data[at + 3] or not at + 8 <= stop <= at + 6 + _MAX_LENGTH:
                self._transport.abort()  # not Modbus: there is no way to find the next frame
                return
            if stop > end:
                break
            reply, delay_s = self._server.answer(data[at:stop])
            at = stop
            if not delay_s:
                replies.append(reply)
            elif reply:
                asyncio.get_running_loop().call_later(delay_s, self._send, reply)
        self._rest = data[at:]
        if replies:
            self._send(b"".join(replies))

    def _send(self, data: bytes) -> None:
        if data and not self._transport.is_closing():
            self._transport.write(data)


async def serve(server: ModbusServer) -> None:
    """Start, print the port on a line of its own, and serve until SIGINT or SIGTERM."""
    await server.start()
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    await ended.wait()
    await server.stop()


def main() -> None:
    """Units 1..n, each with the same repeatable noise in all four areas."""
    parser = argparse.ArgumentParser(description="A Modbus TCP server with repeatable noise in its registers.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--units", type=int, default=1)
    parser.add_argument("--size", type=int, default=65_536, help="addresses in each area")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    options = parser.parse_args()
    chance = np.random.default_rng(1)
    units = {}
    for unit in range(1, options.units + 1):
        registers = chance.integers(0, 65_536, (2, options.size), dtype=np.uint16)
        bits = chance.integers(0, 2, (2, options.size), dtype=np.uint8).astype(np.bool_)
        units[unit] = Memory(registers[0], registers[1], bits[0], bits[1], delay_s=options.delay)
    import uvloop

    uvloop.run(serve(ModbusServer(options.host, options.port, units)))


if __name__ == "__main__":
    main()

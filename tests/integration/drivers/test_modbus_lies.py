"""A server that changes its replies on the way: no crash, no hang, and no good value that is wrong.

What changes only the data inside a frame cannot be seen (Modbus TCP has no checksum of its own), so such lies are told
apart: under them a read must merely end.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from isthmus.drivers.modbus_tcp import ModbusTcp, ModbusTcpConfig
from isthmus.ports.drivers import DriverContext, Point
from isthmus.simulators.modbus import Memory, ModbusServer
from isthmus.values.clock import SystemClock
from isthmus.values.errors import NotConnected
from isthmus.values.model import Budget

pytestmark = [pytest.mark.mission("M40"), pytest.mark.real("own simulator")]

AT_ONCE = 40
ADDRESSES = [
    *(f"hr {i}" for i in range(40)),
    "hr 100 float32", "hr 102 uint32 cdab", "hr 104 int64", "hr 110 string 6",
    "ir 0 int16", "ir 7", *(f"co {i}" for i in range(0, 30, 3)), *(f"di {i}" for i in range(19)),
]  # fmt: skip


class Liar:
    """Changes replies; each way of lying is a method that takes and gives bytes."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.told = 0
        self.honest = 0.3  # share of replies left as they are
        self.kept = b""
        self.ways: list[Callable[[bytes], bytes]] = [
            self.header, self.header, self.length, self.cut_off, self.twice, self.insert, self.leave_out, self.garbage,
            self.noise, self.turn, self.hold_back, self.exception, self.nothing,
        ]  # fmt: skip

    def __call__(self, reply: bytes) -> bytes:
        if self.chance.random() < self.honest:
            return reply
        lie = self.chance.choice(self.ways)(reply)
        self.told += lie != reply
        return lie

    def some(self, most: int) -> bytes:
        return self.chance.randbytes(self.chance.randint(1, most))

    def header(self, reply: bytes) -> bytes:
        """Any byte up to the byte count."""
        at = self.chance.randrange(min(9, len(reply)))
        return reply[:at] + self.chance.randbytes(1) + reply[at + 1 :]

    def length(self, reply: bytes) -> bytes:
        return reply[:4] + self.chance.randrange(300).to_bytes(2, "big") + reply[6:]

    def cut_off(self, reply: bytes) -> bytes:
        return reply[: self.chance.randrange(len(reply))]

    def twice(self, reply: bytes) -> bytes:
        return reply * self.chance.randint(2, 4)

    def insert(self, reply: bytes) -> bytes:
        at = self.chance.randrange(len(reply))
        return reply[:at] + self.some(16) + reply[at:]

    def leave_out(self, reply: bytes) -> bytes:
        at = self.chance.randrange(len(reply))
        return reply[:at] + reply[at + self.chance.randint(1, 16) :]

    def garbage(self, reply: bytes) -> bytes:
        return self.some(40) + reply

    def noise(self, reply: bytes) -> bytes:
        return self.some(300)

    def turn(self, reply: bytes) -> bytes:
        at = self.chance.randrange(len(reply))
        return reply[at:] + reply[:at]

    def hold_back(self, reply: bytes) -> bytes:
        """An earlier reply now, this one later."""
        now, self.kept = self.kept, reply
        return now

    def exception(self, reply: bytes) -> bytes:
        return reply[:2] + b"\0\0\0\3" + reply[6:7] + bytes((reply[7] | 0x80, self.chance.randrange(256)))

    def nothing(self, reply: bytes) -> bytes:
        return b""

    def data(self, reply: bytes) -> bytes:
        at = self.chance.randrange(min(9, len(reply) - 1), len(reply))
        return reply[:at] + self.chance.randbytes(1) + reply[at + 1 :]


def machine() -> tuple[Memory, dict[int, Any]]:
    """A device full of small numbers, whose bytes look most like headers, and the values of ADDRESSES by id."""
    chance = np.random.default_rng(7)
    memory = Memory.sized(200)
    memory.hr[:] = chance.choice([0, 0, 0, 1, 2, 3, 5, 6, 259, 1027], 200)
    memory.ir[:] = chance.choice([0, 1, 3, 5, 65_535], 200)
    memory.co[:] = chance.random(200) < 0.5
    memory.di[:] = chance.random(200) < 0.2
    memory.hr[100:102] = np.array([-7.25], ">f4").view(">u2")
    memory.hr[110:116] = np.frombuffer(b"bottling 1\0\0", ">u2")
    words = memory.hr.astype(int)
    truth: list[Any] = [int(v) for v in words[:40]]
    truth += [-7.25, int(words[103] << 16 | words[102])]
    truth += [int(memory.hr[104:108].astype(">u2").view(">i8")[0]), "bottling 1"]
    truth += [int(memory.ir[:1].view(np.int16)[0]), int(memory.ir[7])]
    truth += [int(memory.co[i]) for i in range(0, 30, 3)] + [int(memory.di[i]) for i in range(19)]
    return memory, dict(enumerate(truth))


def wrong(batches: Any, truth: dict[int, Any]) -> list[Any]:
    """Good rows whose value is not the truth."""
    found = []
    for batch in batches:
        for row, value, code in zip(batch.id.tolist(), batch.value.tolist(), batch.status.tolist(), strict=True):
            shown = batch.text[value] if batch.text else value
            if not code and shown != truth[row]:
                found.append((ADDRESSES[row], shown, truth[row]))
    return found


async def hear(count: int, seed: int, *, depth: int = 1, only_data: bool = False) -> tuple[int, int, int]:
    """Read until ``count`` lies were told: (lies, reads that ended well, links lost)."""
    memory, truth = machine()
    server = ModbusServer("127.0.0.1", 0, {1: memory})
    liar = Liar(seed)
    if depth > 1:
        liar.honest = 0.8  # one lie often spoils all that is outstanding
    if only_data:
        liar.ways = [liar.data]
    server.tamper = liar
    await server.start()
    well = lost = 0

    async def one() -> None:
        nonlocal well, lost
        points = [Point(i, a) for i, a in enumerate(ADDRESSES)]
        # Max block and gap give blocks of different lengths, so that no reply fits another one's request at depth > 1.
        config = ModbusTcpConfig("127.0.0.1", server.port, timeout_s=0.03, max_block=28, max_bits=24)
        driver = ModbusTcp(config, DriverContext(Budget(outstanding=depth), SystemClock()))
        try:
            while liar.told < count:
                try:
                    await driver.open()
                    while liar.told < count:
                        batches = await driver.read(points)
                        assert sum(len(b) for b in batches) == len(points)
                        assert only_data or wrong(batches, truth) == []
                        well += 1
                except NotConnected:
                    lost += 1
        finally:
            await driver.close()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(one())
    finally:
        await server.stop()
    return liar.told, well, lost


@pytest.mark.parametrize(
    ("count", "seed", "depth"),
    [
        (2_000, 1, 1),
        (500, 2, 4),
        pytest.param(50_000, 3, 1, marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
        pytest.param(20_000, 4, 4, marks=[pytest.mark.soak, pytest.mark.timeout(900)]),
    ],
)
async def test_no_lie_makes_a_wrong_value_good(count: int, seed: int, depth: int) -> None:
    told, well, lost = await hear(count, seed, depth=depth)
    assert told >= count
    assert well
    assert lost


async def test_changed_data_end_as_a_read() -> None:
    told, well, lost = await hear(300, 5, only_data=True)
    assert told >= 300
    assert well
    assert lost <= AT_ONCE  # a busy machine may let a time-out pass

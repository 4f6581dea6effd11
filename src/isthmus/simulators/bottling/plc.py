"""One controller: its units live ten times a second, and a Modbus TCP server shows them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from random import Random
from typing import Final

from isthmus.simulators.bottling import faults
from isthmus.simulators.bottling.hall import Hall, open_state, place
from isthmus.simulators.bottling.maps import BLOCKS, points_of
from isthmus.simulators.bottling.points import Block, Encoder, Place, Point
from isthmus.simulators.bottling.writes import WriteLog
from isthmus.simulators.modbus import Memory, ModbusServer
from isthmus.values.clock import NS_PER_S, Clock

SIZE: Final = 512
STEP_S: Final = 0.1
LONGEST_S: Final = 1.0  # a process that was held up does not jump further than this


class Plc:
    """The controller ``name``. ``tick`` is called ten times a second; it reads the clock once."""

    def __init__(self, name: str, state_dir: Path, clock: Clock, port: int = 0, seed: int = 1) -> None:
        self.name, self._state_dir, self._clock = name, state_dir, clock
        self.hall = Hall(open_state(state_dir), (name,), seed)
        self.memory = Memory.sized(SIZE)
        self.memory.on_write = self._written
        rows = [(block, point, _place(block, point)) for block in BLOCKS[name] for point in points_of(block.type)]
        self.encoder = Encoder(self.memory, rows)
        self.server = ModbusServer("127.0.0.1", port, {1: self.memory})
        self._log = WriteLog(state_dir, name, clock)
        self.server.on_frame = self._log.add
        self._faults = faults.Watch(state_dir, clock)
        self._chance = Random(seed)
        self._last_ns = clock.monotonic_ns()
        self.encoder.write(self.hall.numbers)

    def tick(self) -> None:
        """Live for as long as it was since the last one."""
        now_ns = self._clock.monotonic_ns()
        dt = min(LONGEST_S, (now_ns - self._last_ns) / NS_PER_S)
        self._last_ns = now_ns
        held = self._faults.active()
        if dt > 0:
            self.hall.step(dt, self._clock.now_ns(), held)
        self._misbehave(held)
        if f"{self.name}-freeze" not in held:
            self.encoder.write(self.hall.numbers)

    def _misbehave(self, held: frozenset[str]) -> None:
        """Faults of the device itself."""
        self.memory.silent = f"{self.name}-silent" in held
        self.memory.delay_s = 0.8 if f"{self.name}-slow" in held else 0.0
        self.memory.exception = 4 if f"{self.name}-exceptions" in held else 0
        self.server.tamper = self._garble if f"{self.name}-garbage" in held else None

    def _garble(self, reply: bytes) -> bytes:
        """Noise in place of the answer, at its own length."""
        return reply and self._chance.randbytes(len(reply))

    def _written(self, area: str, start: int, stop: int) -> None:
        """A client wrote: set-points take effect, everything else is overwritten by the next tick."""
        done: set[Place] = set()
        for cell in range(start, stop):
            found = self.encoder.setpoints.get((area, cell))
            if found is None or found[2] in done:
                continue
            block, point, where = found
            done.add(where)
            self.hall.units[block.unit].obey(_field(block, point), self.encoder.read(point, where))


def _field(block: Block, point: Point) -> str:
    return point.field.format(n=block.number)


def _place(block: Block, point: Point) -> int:
    return place(f"{block.unit}.{_field(block, point)}")


async def ended() -> None:
    """Until SIGINT, SIGTERM, or the end of standard input: whoever started us is gone."""
    loop = asyncio.get_running_loop()
    end = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end.set)
    descriptor = sys.stdin.fileno()

    def readable() -> None:
        try:
            gone = not os.read(descriptor, 4096)
        except OSError:
            gone = True
        if gone:
            loop.remove_reader(descriptor)
            end.set()

    with contextlib.suppress(OSError):  # a stdin that cannot be waited for, such as /dev/null, is no lifeline
        loop.add_reader(descriptor, readable)
    await end.wait()


async def serve(plc: Plc) -> None:
    """Serve and live until told to end; prints `ready PORT` once it listens."""
    await plc.server.start()
    sys.stdout.write(f"ready {plc.server.port}\n")
    sys.stdout.flush()
    end = asyncio.ensure_future(ended())
    loop = asyncio.get_running_loop()
    due = loop.time()
    try:
        while not end.done():
            plc.tick()
            due = max(due + STEP_S, loop.time())
            await asyncio.wait({end}, timeout=due - loop.time())
    finally:
        end.cancel()
        await plc.server.stop()

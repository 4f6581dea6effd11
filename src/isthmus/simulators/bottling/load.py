"""Load servers: many plain values at next to no cost, to see what the system carries.

A server holds 1,000 tags for 20 assets: 25 float32 and 25 uint16 each, float32 in registers 0 to 999 (asset a, value i at
50 a + 2 i), uint16 in 1000 to 1499 (asset a, value i at 1000 + 25 a + i).
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from isthmus.simulators.bottling.plc import ended
from isthmus.simulators.modbus import Memory, ModbusServer

TAGS: Final = 1000
HALF: Final = 500
ASSETS: Final = 20
EACH: Final = TAGS // ASSETS // 2  # of float32, and of uint16, in an asset
STEP: Final = 0.06  # of a walk; about 60 % of steps are larger than DEADBAND
DEADBAND: Final = 0.0315


class Walk:
    """Random walks of several servers, written into their registers at once.

    About 60 % of the values move further than the deadband in a step; the others stay within it.
    """

    def __init__(self, servers: int, seed: int = 1) -> None:
        self._chance = np.random.default_rng(seed)
        self._values = self._chance.uniform(20.0, 80.0, (servers, TAGS)).astype(np.float32)
        self.registers = np.zeros((servers, 3 * HALF), np.uint16)
        self._write()

    def step(self) -> None:
        """One second on."""
        self._values += STEP * self._chance.standard_normal(self._values.shape, np.float32)
        np.clip(self._values, 0.0, 100.0, out=self._values)
        self._write()

    def _write(self) -> None:
        words = np.ascontiguousarray(self._values[:, :HALF]).view(np.uint32)
        self.registers[:, 0 : 2 * HALF : 2] = words >> 16
        self.registers[:, 1 : 2 * HALF : 2] = words & 0xFFFF
        self.registers[:, 2 * HALF :] = np.rint(self._values[:, HALF:] * 100.0)


async def serve(ports: Sequence[int], seed: int = 1) -> None:
    """One server on each port (0 takes a free one); prints `ready PORT PORT …` and runs until told to end."""
    walk = Walk(len(ports), seed)
    servers = [
        ModbusServer("127.0.0.1", port, {1: Memory(hr=registers)})
        for port, registers in zip(ports, walk.registers, strict=True)
    ]
    for server in servers:
        await server.start()
    sys.stdout.write("ready " + " ".join(str(server.port) for server in servers) + "\n")
    sys.stdout.flush()
    end = asyncio.ensure_future(ended())
    loop = asyncio.get_running_loop()
    due = loop.time()
    try:
        while not end.done():
            due = max(due + 1.0, loop.time())
            await asyncio.wait({end}, timeout=due - loop.time())
            walk.step()
    finally:
        end.cancel()
        for server in servers:
            await server.stop()


def connection_lines(ports: Sequence[int], poll: str) -> Iterator[str]:
    """Connections of the plant file, one a server."""
    if ports:
        yield "  # Load: a thousand plain values each.\n"
    for i, port in enumerate(ports, 1):
        yield f"  load{i}: {{driver: modbus-tcp, host: 127.0.0.1, port: {port}, poll: {poll}, zone: load}}\n"


def type_lines(send_all: bool, each: int = EACH) -> Iterator[str]:
    """The type of all load assets."""
    every = "every" if send_all else f"{DEADBAND}"
    yield "  # Fifty plain values, half of them float32 and half scaled uint16.\n  load:\n"
    yield "    description: Plain values that walk about at random\n    tags:\n"
    for i in range(each):
        at = f"hr {{base+{2 * i}}} float32" if i else "hr {base} float32"
        yield f'      f{i:02}: {{unit: "%", range: [0, 100], decimals: 2, deadband: {every}, at: "{at}"}}\n'
    for i in range(each):
        at = f"hr {{whole+{i}}}" if i else "hr {whole}"
        tail = f'scale: {{factor: 0.01}}, at: "{at}"'
        yield f'      u{i:02}: {{unit: "%", range: [0, 100], decimals: 2, deadband: {every}, {tail}}}\n'
    yield "\n"


def asset_lines(servers: int, assets: int = ASSETS) -> Iterator[str]:
    """Twenty assets a server."""
    for server in range(1, servers + 1):
        yield "\n"
        for a in range(assets):
            fill = f"{{base: {2 * EACH * a}, whole: {2 * HALF + EACH * a}}}"
            yield f"  load/server{server}/unit{a + 1}: {{type: load, source: load{server}, with: {fill}}}\n"


def load_plant_yaml(
    ports: Sequence[int], tags_per_server: int = TAGS, poll: str = "1 s", send_all: bool = False
) -> str:
    """A plant of load servers alone, for measurements. ``send_all`` sends every reading, changed or not.

    Raises: ValueError if the tags of a server are no multiple of 50 up to 1,000
    """
    if not 0 < tags_per_server <= TAGS or tags_per_server % (2 * EACH):
        raise ValueError(f"tags_per_server must be a multiple of {2 * EACH} up to {TAGS}, was {tags_per_server}")
    return "".join(
        [
            "# Load servers for measurements: nothing but values that walk about at random.\n",
            "plant: {enterprise: acme, site: load, timezone: UTC}\n\nconnections:\n",
            *connection_lines(ports, poll),
            "\ntypes:\n",
            *type_lines(send_all),
            "assets:\n",
            *asset_lines(len(ports), tags_per_server // (2 * EACH)),
        ]
    )

"""A real Modbus device in a process of its own, a wire that counts, and an edge that writes through it."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import random
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from isthmus.acquisition.service import Acquisition
from isthmus.bench.system import environment
from isthmus.control.door import write_one
from isthmus.control.edge import EdgeControl
from isthmus.namespace.compile import compile_plant
from isthmus.namespace.compiled import finish, tag_paths
from isthmus.namespace.plantfile import Document
from isthmus.ports.drivers import DriverContext, driver_spec
from isthmus.simulators.link import Link
from isthmus.values.clock import SystemClock
from isthmus.values.expression import compile_expression
from isthmus.values.model import EdgeModel

PLANT = """\
plant: {enterprise: acme, site: lyon}
connections:
  plc: {driver: modbus-tcp, host: 127.0.0.1, port: %d, access: read-write, zone: line1, poll: %s, timeout_s: 2}
assets:
  hall/filler:
    source: plc
    local: hand
    tags:
      guard: {at: co 0, kind: switch}
      hand: {at: co 1, kind: switch}
      speed: {at: hr 0 float32, unit: 1/min}
      target: {at: hr 10 float32, unit: 1/min, range: [0, 140], write: {role: operator, interlock: guard and speed < 150, safe_direction: down}}
      level: {at: hr 12 uint16, unit: "%%", scale: {factor: 0.01}, range: [0, 100], write: {role: operator, interlock: guard}}
      gone: {at: hr 5000}
      blind: {at: hr 14 uint16, write: {role: operator, interlock: gone > 0}}
trips:
  overspeed: {at: hall/filler, when: speed > 1000, on_loss: ignore, actions: [{set: target, to: 0}]}
"""


def model_of(port: int, poll: str = "1 d", version: int = 7) -> tuple[EdgeModel, dict[str, int]]:
    """What the edge runs, and the ids of its tags by name."""
    draft = compile_plant(Document(PLANT % (port, poll), "plant.yaml"), {}.get, driver_spec)
    ids = {path: i for i, path in enumerate(tag_paths(draft), 1)}
    return finish(draft, ids, version).edges["edge-1"], {path.rpartition("/")[2]: i for path, i in ids.items()}


class Nowhere:
    """An outbox without a bus."""

    queued = dropped = 0

    def offer(self, lane: object, batches: object) -> None: ...

    def when_delivered(self, done: object) -> None: ...


class Wire(Link):
    """Carries bytes to the device and keeps every frame that writes."""

    def __init__(self, port: int) -> None:
        super().__init__("127.0.0.1", port)
        self.writes: list[bytes] = []
        self.total = 0

    async def _way(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, tampered: bool = False) -> None:
        if tampered:
            await super()._way(source, sink, tampered)
            return
        rest = b""
        while data := await source.read(65_536):
            rest += data
            while len(rest) >= 8 and len(rest) >= 6 + int.from_bytes(rest[4:6], "big"):
                frame, rest = rest[: 6 + int.from_bytes(rest[4:6], "big")], rest[6 + int.from_bytes(rest[4:6], "big") :]
                if frame[7] in {5, 6, 15, 16, 22, 23}:
                    self.writes.append(frame)
                    self.total += 1
            sink.write(data)
            await sink.drain()


@dataclass
class Device:
    """A device in a process of its own; ``poke`` writes to it past every wire of ours."""

    process: asyncio.subprocess.Process
    port: int
    number: int = 0
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def poke(self, function: int, address: int, data: bytes) -> None:
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.streams
        self.number = self.number % 60_000 + 1
        if function == 5:
            pdu = struct.pack(">BH2s", 5, address, data)
        else:
            pdu = struct.pack(">BHHB", 16, address, len(data) // 2, len(data)) + data
        writer.write(struct.pack(">HHHB", self.number, 0, len(pdu) + 1, 1) + pdu)
        head = await reader.readexactly(7)
        await reader.readexactly(int.from_bytes(head[4:6], "big") - 1)

    async def switch(self, coil: int, on: bool) -> None:
        await self.poke(5, coil, b"\xff\0" if on else b"\0\0")

    async def number_at(self, register: int, value: float) -> None:
        await self.poke(16, register, struct.pack(">f", value))

    async def stop(self) -> None:
        if self.streams is not None:
            self.streams[1].close()
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        self.process._transport.close()  # type: ignore[attr-defined]  # asyncio keeps the pipe open until it is collected


async def start_device(*options: str) -> Device:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "isthmus.simulators.modbus", "--size", "100", *options),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None
    return Device(process, int(await asyncio.wait_for(process.stdout.readline(), 60)))


@dataclass
class Edge:
    """Acquisition and control of one edge in this process, writing through the wire."""

    acquisition: Acquisition
    control: EdgeControl
    ids: dict[str, int]
    model: EdgeModel
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.control.stop()
        await self.acquisition.stop()


async def start_edge(folder: Path, port: int, poll: str = "1 d", field_of=lambda acquisition: acquisition) -> Edge:
    log = logging.getLogger("test.edge")
    clock = SystemClock()
    acquisition = Acquisition(
        Nowhere(),
        clock,
        driver_spec,
        lambda _, __, budget: DriverContext(budget, clock),
        log,
        random.Random(1),
        compile_expression,
        write_one,
    )
    model, ids = model_of(port, poll)
    control = EdgeControl(folder, field_of(acquisition), Nowhere(), clock, log)
    await acquisition.apply(model)
    control.apply(model)
    edge = Edge(acquisition, control, ids, model, [asyncio.create_task(control.run())])
    for _ in range(1500):
        held = [acquisition.held(ids[name]) for name in ("guard", "target", "level")]
        if all(one is not None and one.value is not None for one in held):
            break
        await asyncio.sleep(0.02)
    return edge


@pytest.fixture
async def device():
    device = await start_device()
    yield device
    await device.stop()


@pytest.fixture
async def wire(device):
    wire = Wire(device.port)
    await wire.start()
    yield wire
    await wire.stop()


if "control_rig" not in sys.modules:
    _spec = importlib.util.spec_from_file_location(
        "control_rig", Path(__file__).parents[2] / "unit" / "control" / "rig.py"
    )
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules["control_rig"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["control_rig"])


@pytest.fixture
def works(tmp_path: Path) -> Iterator[Any]:
    made = sys.modules["control_rig"].Works(tmp_path)
    yield made
    made.close()

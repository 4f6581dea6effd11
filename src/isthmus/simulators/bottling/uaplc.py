"""A controller of the hall as an OPC UA machine: the same units and points, as nodes instead of registers.

Scaled points stay whole numbers, so that the type of the plant file holds for this machine as for those with registers.

`async with UaPlc(…) as plc: await plc.run(end)`; `address` tells what the plant file says in place of a register.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asyncua import ua

from isthmus.simulators.bottling import faults
from isthmus.simulators.bottling.hall import Hall, open_state, place
from isthmus.simulators.bottling.maps import BLOCKS, points_of
from isthmus.simulators.bottling.plc import LONGEST_S, STEP_S, ended
from isthmus.simulators.bottling.points import Block, Point, parse_at
from isthmus.simulators.bottling.writes import WriteLog
from isthmus.simulators.opcua import URI, NodeWrite, OpcUaServer, Variable
from isthmus.values.clock import NS_PER_S, Clock


def node_name(block: Block, point: Point) -> str:
    """The node of a point, such as `Capper.torque`."""
    return f"{block.unit.capitalize()}.{point.name}"


def kind_of(block: Block, point: Point) -> ua.VariantType:
    """What its value is."""
    where = parse_at(point.at, block.base)
    if where.kind == "string":
        return ua.VariantType.String
    if where.kind == "bit":
        return ua.VariantType.Boolean
    if where.kind == "float32":
        return ua.VariantType.Double
    return ua.VariantType.Int64 if where.kind == "uint32" else ua.VariantType.Int32


def address(block: Block, point: Point) -> str:
    """The point as an address of the driver `opcua`."""
    kind = kind_of(block, point)
    word = {ua.VariantType.String: "text", ua.VariantType.Double: "float"}.get(kind, "int")
    return f"nsu={URI};s={node_name(block, point)} {word}"


async def serve(plc: UaPlc) -> None:
    """Serve and live until told to end; prints `ready PORT` once it listens."""
    end = asyncio.Event()
    async with plc:
        sys.stdout.write(f"ready {plc.server.port}\n")
        sys.stdout.flush()
        living = asyncio.create_task(plc.run(end))
        try:
            await ended()
        finally:
            end.set()
            await living


class UaPlc:
    """The controller ``name`` with a certificate below ``home``, for these users, or open to everybody without ``home``."""

    def __init__(
        self,
        name: str,
        state_dir: Path,
        clock: Clock,
        port: int = 0,
        seed: int = 1,
        home: Path | None = None,
        users: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self._clock = name, clock
        self.hall = Hall(open_state(state_dir), (name,), seed)
        self.server = OpcUaServer(port, home, users)
        self._points = [(block, point) for block in BLOCKS[name] for point in points_of(block.type)]
        self._setpoints = {node_name(b, p): (b, p) for b, p in self._points if p.write is not None}
        self._log = WriteLog(state_dir, name, clock)
        self.server.on_write = self._written
        self._faults = faults.Watch(state_dir, clock)
        self._shown: dict[str, Any] = {}
        self._last_ns = clock.monotonic_ns()

    async def __aenter__(self) -> UaPlc:
        variables = []
        for block, point in self._points:
            name = node_name(block, point)
            self._shown[name] = self._value(block, point)
            variables.append(
                Variable(name, self._shown[name], kind_of(block, point), point.unit, writable=point.write is not None)
            )
        await self.server.start(variables)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.stop()

    async def run(self, end: asyncio.Event) -> None:
        """Live ten times a second until told to end."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not end.is_set():
            await self.tick()
            due = max(due + STEP_S, loop.time())
            await asyncio.sleep(due - loop.time())

    async def tick(self) -> None:
        """Live for as long as it was since the last tick, and show what changed."""
        now_ns = self._clock.monotonic_ns()
        dt = min(LONGEST_S, (now_ns - self._last_ns) / NS_PER_S)
        self._last_ns = now_ns
        held = self._faults.active()
        if dt > 0:
            self.hall.step(dt, self._clock.now_ns(), held)
        if f"{self.name}-freeze" in held:
            return
        for block, point in self._points:
            name, value = node_name(block, point), self._value(block, point)
            if value != self._shown[name]:
                self._shown[name] = value
                await self.server.set(name, value, kind_of(block, point))

    def _written(self, write: NodeWrite) -> None:
        """A client wrote: a set-point takes effect, within its range."""
        self._log.add(write)
        found = self._setpoints.get(write.name)
        if found is None or write.status:
            return
        block, point = found
        self._shown[write.name] = write.value  # so that what it becomes is shown if it is something else
        low, high = point.range or (float("-inf"), float("inf"))
        value = min(high, max(low, float(write.value) * (point.scale or 1.0)))
        self.hall.units[block.unit].obey(point.field.format(n=block.number), value)

    def _value(self, block: Block, point: Point) -> Any:
        number = float(self.hall.numbers[place(f"{block.unit}.{point.field.format(n=block.number)}")])
        kind = kind_of(block, point)
        if kind is ua.VariantType.String:
            return (point.text or {}).get(int(number), "")
        if kind is ua.VariantType.Boolean:
            return number > 0.5
        number /= point.scale or 1.0
        return round(number, 6) if kind is ua.VariantType.Double else round(number)

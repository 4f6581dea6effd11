"""From a stop in a machine to the answer the floor's page shows: a simulated PLC, edge, bus, core and HTTP, as they are installed.

The page waits at `production/wait` and asks for `production/machines` when it is answered; so does the viewer here. Ages are told
from the sample's time, which is when its bytes had reached the edge, and from when the PLC's register changed.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from isthmus.bench.system import System
from isthmus.simulators.modbus import Memory, ModbusServer

MACHINES: Final = 20
RUN, STOP = 1, 2
WIDTH: Final = 10
"""Registers of a machine: its state, then good and rejected pieces, then a weight."""
PATIENCE_S: Final = 60.0


class Machines:
    """A PLC with machines that run, stand and count as they are told."""

    def __init__(self, machines: int = MACHINES) -> None:
        self.count = machines
        self.memory = Memory(hr=np.zeros(machines * WIDTH, np.uint16))
        self._server = ModbusServer("127.0.0.1", 0, {1: self.memory})
        for n in range(machines):
            self.set(n, state=RUN, weight=500)

    async def __aenter__(self) -> Machines:
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop()

    def set(self, machine: int, **values: int) -> None:
        """Registers of a machine by name."""
        at = machine * WIDTH
        for name, value in values.items():
            if name in ("good", "reject"):
                at_name = at + (1 if name == "good" else 3)
                self.memory.hr[at_name : at_name + 2] = value >> 16, value & 0xFFFF
            else:
                self.memory.hr[at + (0 if name == "state" else 5)] = value

    def asset(self, machine: int) -> str:
        """Path of a machine."""
        return f"hall/line{machine // 10 + 1}/m{machine:02d}"

    def plant_yaml(self, poll: str = "100 ms") -> str:
        """The plant file that reads them."""
        assets = "".join(
            f"  {self.asset(n)}: {{type: machine, source: plc, with: {{state: {n * WIDTH}, good: {n * WIDTH + 1}, "
            f"reject: {n * WIDTH + 3}, weight: {n * WIDTH + 5}}}}}\n"
            for n in range(self.count)
        )
        return f"""\
plant: {{enterprise: acme, site: floor, timezone: UTC}}
connections:
  plc: {{driver: modbus-tcp, host: 127.0.0.1, port: {self._server.port}, poll: {poll}}}
types:
  machine:
    tags:
      state: {{kind: state, map: {{{RUN}: Run, {STOP}: Stop}}, at: "hr {{state}}"}}
      good: {{kind: counter, at: "hr {{good}} uint32"}}
      reject: {{kind: counter, at: "hr {{reject}} uint32"}}
      weight: {{unit: g, at: "hr {{weight}}"}}
    production: {{state: state, classes: {{{RUN}: running, {STOP}: stopped}}, good: good, reject: reject, ideal_rate: 100/s, micro_stop: 1 s}}
assets:
{assets}"""


class Floor:
    """What the floor's page does, over one connection that stays open."""

    def __init__(self, system: System) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", system.port, timeout=PATIENCE_S)
        self._headers = {"Authorization": f"Bearer {system.token()}", "Accept": "application/json"}
        self._version = 0

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()

    def _get(self, path: str) -> Any:
        self._connection.request("GET", f"/api/v1/{path}", headers=self._headers)
        answer = self._connection.getresponse()
        content = json.loads(answer.read())
        if answer.status != http.client.OK:
            raise RuntimeError(f"{path}: {answer.status} {content}")
        return content

    def seen(self, asset: str, state_class: str) -> dict[str, Any]:
        """A machine as soon as it is told to be in a state.

        Raises: TimeoutError
        """
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            self._version = self._get(f"production/wait?version={self._version}&timeout_s=20")["version"]
            for one in self._get("production/machines")["machines"]:
                if one["asset"] == asset and one["state_class"] == state_class:
                    return dict(one)
        raise TimeoutError(f"{asset} was not told to be {state_class} within {PATIENCE_S:g} s")


def _ns(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1e6) * 1_000


async def _stops(machines: Machines, floor: Floor, stops: int) -> tuple[list[float], list[float]]:
    """Ages in ms at which stops were seen: from their sample, and from the PLC."""
    chance = np.random.default_rng(7)
    of_sample, of_plc = [], []
    for n in range(stops):
        which = int(chance.integers(machines.count))
        await asyncio.sleep(0.05 + 0.3 * chance.random())  # so that stops come at any moment between two polls
        began_ns = time.time_ns()
        machines.set(which, state=STOP, good=10 * n, reject=n)
        told = await asyncio.to_thread(floor.seen, machines.asset(which), "stopped")
        now_ns = time.time_ns()
        of_sample.append((now_ns - _ns(told["since"])) / 1e6)
        of_plc.append((now_ns - began_ns) / 1e6)
        machines.set(which, state=RUN)
        await asyncio.to_thread(floor.seen, machines.asset(which), "running")
    return of_sample, of_plc


async def measure(stops: int) -> dict[str, float]:
    """The whole way, through a system of its own."""
    with tempfile.TemporaryDirectory() as name:
        async with Machines() as machines, System(Path(name) / "data") as system:
            await asyncio.to_thread(system.apply, machines.plant_yaml())
            floor = Floor(system)
            try:
                for n in range(machines.count):
                    await asyncio.to_thread(floor.seen, machines.asset(n), "running")
                of_sample, of_plc = await _stops(machines, floor, stops)
            finally:
                floor.close()
    return {
        "floor_stops": float(stops),
        "stop_on_floor_p50_ms": float(np.percentile(of_sample, 50)),
        "stop_on_floor_p99_ms": float(np.percentile(of_sample, 99)),
        "stop_on_floor_max_ms": max(of_sample),
        "stop_from_plc_p50_ms": float(np.percentile(of_plc, 50)),
        "stop_from_plc_p99_ms": float(np.percentile(of_plc, 99)),
    }

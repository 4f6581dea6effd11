"""Modbus registers to the durable bus: values per CPU second of edge and nats-server together.

The edge is the real process on per-tag configuration, every reading is sent; stock pymodbus reads the same registers of the
same servers in the same run, one request per tag and one request per block, without doing anything with them.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import uvloop

from isthmus.app.records import open_records
from isthmus.bench.load import LoadServers, plant_yaml
from isthmus.bench.system import environment
from isthmus.bus.broker import LocalBroker
from isthmus.bus.client import Bus
from isthmus.bus.reader import FrameReader
from isthmus.namespace.service import Namespace
from isthmus.namespace.store import metadata
from isthmus.ports.drivers import driver_spec
from isthmus.values.clock import SystemClock
from isthmus.values.model import EdgeModel

BUDGET: dict[str, tuple[str, float]] = {
    "values_per_cpu_s": (">=", 300_000.0),
    "over_pymodbus_per_tag_ratio": (">=", 10.0),
}
SERVERS = 10
PERIOD = "50 ms"


def _compile(folder: Path, text: str) -> EdgeModel:
    engine = open_records(folder / "records.db")
    metadata.create_all(engine)
    namespace = Namespace(engine, SystemClock(), driver_spec)
    namespace.apply(text, 0, "bench", "bench")
    model = namespace.edge_model("edge-1")
    engine.dispose()
    return model


def _cpu_s(*pids: int) -> float:
    return float(sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids))


async def _edge(ports: list[int], seconds: float) -> dict[str, float]:
    log = logging.getLogger("bench")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = _compile(folder, plant_yaml(ports, poll=PERIOD, send_all=True))
        async with LocalBroker(folder / "bus") as broker:
            core = Bus(broker.addresses["core"], log)
            await core.connect()
            await core.ensure_stream(folder)
            await core.put_model("edge-1", model.to_bytes())
            edge = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "isthmus", "edge", "--data", str(folder), "--name", "edge-1"),
                stderr=asyncio.subprocess.DEVNULL,
                env=environment(),
            )
            reader = FrameReader(core, "bench", log)
            await reader.open()
            counting = asyncio.create_task(_count(reader))
            try:
                await _until(lambda: reader.counts.samples > 50_000, 30)
                samples, cpu, began = reader.counts.samples, _cpu_s(edge.pid, broker.pid), time.monotonic()
                edge_cpu = _cpu_s(edge.pid)
                await asyncio.sleep(seconds)
                samples = reader.counts.samples - samples
                cpu, edge_cpu = _cpu_s(edge.pid, broker.pid) - cpu, _cpu_s(edge.pid) - edge_cpu
                took = time.monotonic() - began
            finally:
                counting.cancel()
                await asyncio.gather(counting, return_exceptions=True)
                edge.terminate()
                await edge.wait()
                await core.close()
    return {
        "values_s": samples / took,
        "values_per_cpu_s": samples / cpu,
        "values_per_edge_cpu_s": samples / edge_cpu,
        "cores_used": cpu / took,
    }


async def _count(reader: FrameReader) -> None:
    async for arrived in reader.frames():
        await reader.acknowledge(arrived[-1].stream_seq)


async def _until(condition: Any, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the edge did not begin to publish")
        await asyncio.sleep(0.05)


async def _pymodbus(port: int, seconds: float) -> dict[str, float]:
    """Stock pymodbus in this process: values per CPU second, by tag and by block of 125 registers."""
    from pymodbus.client import AsyncModbusTcpClient

    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    await client.connect()
    figures = {}
    try:
        for name, count, values in (("per_tag", 2, 1), ("per_block", 125, 83)):
            done, began = 0, time.process_time()
            while time.process_time() - began < seconds:
                answer = await client.read_holding_registers(0, count=count)
                client.convert_from_registers(answer.registers[:2], client.DATATYPE.FLOAT32)
                done += values
            figures[f"pymodbus_{name}_values_per_cpu_s"] = done / (time.process_time() - began)
    finally:
        client.close()
    return figures


async def _measure(seconds: float) -> dict[str, float]:
    async with LoadServers(SERVERS) as servers:
        figures = await _edge(servers.ports, seconds)
        figures |= await _pymodbus(servers.ports[0], min(seconds, 3.0))
    figures["over_pymodbus_per_tag_ratio"] = figures["values_per_cpu_s"] / figures["pymodbus_per_tag_values_per_cpu_s"]
    return figures


def run(*, quick: bool) -> dict[str, Any]:
    """10 devices of 1,000 tags, read ten times a second."""
    result: dict[str, Any] = {"figures": uvloop.run(_measure(8.0 if quick else 30.0)), "budget": BUDGET}
    if quick:
        result["shortened"] = "8 s of load instead of 30 s"
    return result

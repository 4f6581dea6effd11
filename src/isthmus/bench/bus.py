"""Frames over a real nats-server that syncs every write: throughput, CPU and confirmation latency.

The peer in the same run is one JetStream message per sample, the way a readable namespace would carry them.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import uvloop

from isthmus.bus.broker import LocalBroker, edge_user
from isthmus.bus.client import Bus
from isthmus.bus.publisher import Publisher
from isthmus.bus.reader import FrameReader
from isthmus.values.clock import SystemClock
from isthmus.values.frame import Lane
from isthmus.values.sample import SampleBatch

BUDGET: dict[str, tuple[str, float]] = {"frames_over_messages_ratio": (">=", 20.0)}
ROWS = 1_000


def _batch(turn: int) -> SampleBatch:
    return SampleBatch(
        np.arange(ROWS, dtype=np.int32),
        np.full(ROWS, time.time_ns(), np.int64),
        np.random.default_rng(turn).normal(50, 10, ROWS).round(2),
        np.zeros(ROWS, np.uint32),
    )


async def _measure(seconds: float) -> dict[str, float]:
    log = logging.getLogger("bench")
    with tempfile.TemporaryDirectory() as folder:
        async with LocalBroker(Path(folder) / "bus") as broker:
            core, edge = Bus(broker.addresses["core"], log), Bus(broker.addresses[edge_user("edge-1")], log)
            await core.connect()
            await core.ensure_stream(Path(folder))
            await edge.connect()
            publisher = Publisher(edge, "s", "edge-1", 1, SystemClock(), log)
            publishing = asyncio.create_task(publisher.run())
            reader = FrameReader(core, "bench", log)
            await reader.open()
            try:
                figures = await _frames(publisher, reader, broker.pid, seconds)
                figures |= await _latency(publisher)
                figures["messages_samples_s"] = await _messages(core, min(seconds, 3.0))
            finally:
                publishing.cancel()
                await asyncio.gather(publishing, return_exceptions=True)
                await edge.close()
                await core.close()
    figures["frames_over_messages_ratio"] = figures["samples_s"] / figures["messages_samples_s"]
    return figures


async def _frames(publisher: Publisher, reader: FrameReader, broker_pid: int, seconds: float) -> dict[str, float]:
    received = 0

    async def read() -> None:
        nonlocal received
        async for arrived in reader.frames():
            received += sum(a.frame.rows for a in arrived)
            await reader.acknowledge(arrived[-1].stream_seq)

    reading = asyncio.create_task(read())
    broker, me = psutil.Process(broker_pid), psutil.Process()
    cpu = sum(sum(p.cpu_times()[:2]) for p in (broker, me))
    began = time.monotonic()
    turn = 0
    while time.monotonic() - began < seconds:
        if publisher.queued < 50_000:
            turn += 1
            publisher.offer(Lane.LIVE, [_batch(turn % 16)])
        await asyncio.sleep(0)
    await publisher.drain(10)
    while received < turn * ROWS:
        await asyncio.sleep(0.005)
    took = time.monotonic() - began
    cpu = sum(sum(p.cpu_times()[:2]) for p in (broker, me)) - cpu
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    return {"samples_s": received / took, "samples_per_cpu_s": received / cpu}


async def _latency(publisher: Publisher) -> dict[str, float]:
    times = []
    for turn in range(200):
        began = time.perf_counter()
        publisher.offer(Lane.LIVE, [_batch(turn % 16)])
        while publisher.queued or publisher.in_flight:
            await asyncio.sleep(0)
        times.append((time.perf_counter() - began) * 1e3)
    return {"confirm_p50_ms": float(np.percentile(times, 50)), "confirm_p99_ms": float(np.percentile(times, 99))}


async def _messages(core: Bus, seconds: float) -> float:
    done = 0
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        await asyncio.gather(*(core.js.publish(f"f.v1.s.edge-1.x{i}", b'{"v":50.12,"t":1}') for i in range(100)))
        done += 100
    return done / (time.monotonic() - began)


def run(*, quick: bool) -> dict[str, Any]:
    """Samples per second and per CPU second of client, reader and nats-server together; confirmation latency."""
    seconds = 3.0 if quick else 20.0
    result: dict[str, Any] = {"figures": uvloop.run(_measure(seconds)), "budget": BUDGET}
    if quick:
        result["shortened"] = "3 s of load instead of 20 s"
    return result

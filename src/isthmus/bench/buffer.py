"""A buffer must not make a restart slow: everything is killed after gigabytes went over the bus, and comes back.

What fills the bus are messages of a frame's size that do not compress; core reads past them once, and lets them go. What is
timed is the same as in `crash`: from kill -9 of everything to new samples in the record. Then the same bytes lie on a bus
nobody reads, and nats-server is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from isthmus.bench.crash import cycles, settled
from isthmus.bench.latency import tags
from isthmus.bench.load import TAGS, LoadServers, plant_yaml
from isthmus.bench.system import System
from isthmus.bus import subjects
from isthmus.bus.broker import BrokerFiles, BusAddress, LocalBroker
from isthmus.bus.client import KEEP_BYTES, Bus
from isthmus.values.frame import Lane

BUDGET: dict[str, tuple[str, float]] = {"back_max_s": ("<=", 5.0), "unread_bus_back_s": ("<=", 5.0)}
SERVERS = 10
MESSAGE_BYTES = 190_000
"""What a second of fifty thousand tags is cut into."""
IN_FLIGHT = 16


async def fill(address: BusAddress, size: int) -> None:
    """Put that many bytes onto the stream of frames."""
    bus = Bus(address, logging.getLogger("bench"))
    await bus.connect()
    try:
        subject = subjects.frames("load", "elsewhere", Lane.BACKFILL)
        slots = asyncio.Semaphore(IN_FLIGHT)

        async def put() -> None:
            try:
                await bus.js.publish(subject, os.urandom(MESSAGE_BYTES), timeout=60)
            finally:
                slots.release()

        async with asyncio.TaskGroup() as group:
            for number in range(size // MESSAGE_BYTES):
                await slots.acquire()  # no more tasks than may be on their way
                group.create_task(put())
                if not number % 500 and sys.stderr.isatty():
                    sys.stderr.write(f"\rfilling the bus: {number * MESSAGE_BYTES / 1e9:.1f} of {size / 1e9:.1f} GB")
    finally:
        await bus.close()


def _stored(folder: Path) -> int:
    with contextlib.suppress(OSError):
        return sum(f.stat().st_size for f in BrokerFiles(folder / "bus").store.rglob("*") if f.is_file())
    return 0  # a file went while we looked


async def trimmed(folder: Path) -> None:
    """Wait until what everybody has read is let go."""
    async with asyncio.timeout(300):
        while not 0 < _stored(folder) <= 2 * KEEP_BYTES:
            await asyncio.sleep(1)


async def unread(folder: Path, size: int) -> float:
    """Kill -9 of a nats-server that holds so much nobody has read: seconds until it answers again. It reads all of it."""
    async with LocalBroker(folder) as broker:
        bus = Bus(broker.addresses["core"], logging.getLogger("bench"))
        await bus.connect()
        try:
            await bus.ensure_stream(folder)
            await fill(broker.addresses["core"], size)
        finally:
            await bus.close()
        await broker.kill()
        began = time.monotonic()
        await broker.start(timeout_s=600)
        return time.monotonic() - began


async def measure(size: int, kills: int) -> dict[str, float]:
    """Fill, wait until core has read past it, and kill."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"
        async with LoadServers(SERVERS) as servers, System(folder) as system:
            await asyncio.to_thread(system.apply, plant_yaml(servers.ports, send_all=True))
            paths = await tags(system, SERVERS * TAGS)
            await fill(BusAddress.load(BrokerFiles(folder / "bus").address_file("core")), size)
            await settled(system, 600)
            await trimmed(folder)
            took, _ = await cycles(system, paths[0], ["all", "nats-server", "core"] * kills, 4.0)
            figures = {
                "passed_gib": size / 2**30,
                "kept_gib": _stored(folder) / 2**30,
                "kills": float(len(took)),
                "back_p50_s": float(np.percentile(took, 50)),
                "back_max_s": max(took),
                "stop_s": await system.stop(),
            }
        figures |= {"unread_gib": size / 2**30, "unread_bus_back_s": await unread(Path(name) / "alone", size)}
    return figures


def run(*, quick: bool) -> dict[str, Any]:
    """Close to the 10 GB the bus keeps at most, or 0.3 GB."""
    result: dict[str, Any] = {
        "figures": uvloop.run(measure(300_000_000, 1) if quick else measure(9_500_000_000, 3)),
        "budget": BUDGET,
    }
    if quick:
        result["shortened"] = "0.3 GB and 3 kills instead of 9.5 GB and 9"
    return result

"""Checks of a live tag over the real bus: core is killed between frames, and each check is there once."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import numpy as np
import pytest

from isthmus.app.migrate import migrate
from isthmus.app.quality import QualityPump
from isthmus.app.records import open_records
from isthmus.bus.broker import LocalBroker, edge_user
from isthmus.bus.client import Bus
from isthmus.bus.publisher import Publisher
from isthmus.namespace.model import Asset, Plant, Tag
from isthmus.quality import store
from isthmus.quality.model import Characteristic, Plan, Sampling
from isthmus.quality.service import Quality
from isthmus.values.clock import NS_PER_S, SystemClock
from isthmus.values.frame import Lane
from isthmus.values.sample import SampleBatch, ValueType

pytestmark = [pytest.mark.mission("M58", "M63"), pytest.mark.real("nats-server", "sqlite")]

LOG = logging.getLogger("test")
TAG = Tag(7, "hall/scale/weight", "hall/scale", "weight", "value", ValueType.FLOAT, unit="g", edge="edge-1")
PLANT = Plant(
    1, "acme", "lyon", "UTC", (TAG,), (Asset("hall/scale", "scale", "asset", "", "", 0),), (), ("edge-1",), {TAG.path: TAG}, {7: TAG}
)  # fmt: skip
WEIGHT = Characteristic(
    "weight", "Weight", lsl=0.0, usl=1e6, tag=TAG.path, sampling=Sampling(pieces=10), size=2, chart="xbar_r"
)


def batch(start: int, begin_ns: int) -> SampleBatch:
    numbers = np.arange(start, start + 25)
    return SampleBatch(
        np.full(25, 7, np.int32), begin_ns + numbers, numbers.astype(np.float64), np.zeros(25, np.uint32)
    )


async def until(condition, what: str) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError(what)


async def test_a_core_that_dies_again_and_again_makes_each_check_once(tmp_path: Path) -> None:
    engine = open_records(tmp_path / "records.db")
    migrate(engine, tmp_path / "records.db", LOG)
    clock = SystemClock()
    begin_ns = clock.now_ns() + NS_PER_S
    first = Quality(engine, clock)
    await first.begin(PLANT)
    await first.save_plan(Plan("scale", "Scale", "hall/scale", characteristics=(WEIGHT,)), 0, "Eva", "x")

    def kept() -> list[tuple[float, ...]]:
        with engine.begin() as db:
            return [c.values for c in store.checks_between(db, "scale.weight", 0, 2**62, 1000)]

    async with LocalBroker(tmp_path / "bus") as broker:
        core, edge = Bus(broker.addresses["core"], LOG), Bus(broker.addresses[edge_user("edge-1")], LOG)
        await core.connect()
        await core.ensure_stream(tmp_path)
        await edge.connect()
        publisher = Publisher(edge, "lyon", "edge-1", 1, clock, LOG)
        publishing = asyncio.create_task(publisher.run())
        try:
            for life in range(4):
                # each life of core is a service and a pump of its own; what it had not stored is gone with it
                pump = QualityPump(core, Quality(engine, clock), lambda: PLANT, LOG)
                running = asyncio.create_task(pump.run())
                for i in range(4):
                    publisher.offer(Lane.LIVE, [batch((life * 4 + i) * 25, begin_ns)])
                    await asyncio.sleep(0)
                wanted = (life + 1) * 100 // 20
                await until(lambda wanted=wanted: len(kept()) >= wanted - 1, f"life {life}: {len(kept())} checks")
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
            last = Quality(engine, clock)
            running = asyncio.create_task(QualityPump(core, last, lambda: PLANT, LOG).run())
            await until(lambda: len(kept()) == 20, f"{len(kept())} checks")
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        finally:
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
            await edge.close()
            await core.close()
    assert kept() == [(20.0 * i + 9, 20.0 * i + 19) for i in range(20)]
    engine.dispose()

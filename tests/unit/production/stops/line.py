"""A line of three machines over the real facts: samples in memory, records in SQLite, a clock by hand."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager

import numpy as np

from isthmus.app.records import open_records
from isthmus.namespace.model import Asset, Machine, Plant, ProductionLine, Reason, Tag
from isthmus.production.fold import Segments
from isthmus.production.service import Production
from isthmus.production.states import NOTHING, tidy
from isthmus.production.stops import store as stop_store
from isthmus.production.stops.service import StopRoom
from isthmus.production.store import metadata as production_metadata
from isthmus.values.clock import ManualClock
from isthmus.values.sample import ValueType

S = 1_000_000_000
D = 86_400 * S
T0 = (1_700_000_000 * S // D) * D + 8 * 3600 * S
FILLER, CAPPER, LABELLER = "hall/line1/filler", "hall/line1/capper", "hall/line1/labeller"
CLASSES = {1: "running", 2: "stopped", 3: "idle", 4: "starved", 5: "blocked", 6: "setup"}
JAM = Reason("mechanical/jam", "mechanical", "jam", "Bottle jam", loss="breakdown", time="ADOT")
DRIVE = Reason("mechanical/drive", "mechanical", "drive", "Drive", loss="breakdown", time="ADOT")
LABELS = Reason("material/labels", "material", "labels", "No labels", loss="breakdown")
CLEAN = Reason("planned/clean", "planned", "clean", "Cleaning", planned=True, time="PDOT")
DENT = Reason("scrap/dent", "scrap", "dent", "Dent", kind="scrap")
REASONS = (JAM, DRIVE, LABELS, CLEAN, DENT)


def plant(reasons=REASONS):
    """Filler, capper, labeller, with half a minute between them."""
    names = (FILLER, CAPPER, LABELLER)
    tags = tuple(
        Tag(i, f"{path}/state", path, "state", "state", ValueType.INT, edge="edge-1") for i, path in enumerate(names, 1)
    )
    machines = tuple(
        Machine(path, "hall/line1", i, state=i + 1, classes=CLASSES, micro_stop_s=10, cost_per_min=12.0)
        for i, path in enumerate(names)
    )
    assets = (
        Asset("", "lyon", "site", "", "", 0), Asset("hall", "hall", "area", "", "", 1),
        Asset("hall/line1", "line1", "line", "", "hall", 2),
        *(Asset(path, path.rpartition("/")[2], "asset", "filler", "hall/line1", 3 + i) for i, path in enumerate(names)),
    )  # fmt: skip
    lines = (ProductionLine("hall/line1", names, counts_at=LABELLER, buffers=(30.0, 30.0)),)
    return Plant(
        1, "acme", "lyon", "UTC", tags, assets, (), ("edge-1",), {t.path: t for t in tags}, {t.id: t for t in tags},
        reasons=reasons, machines=machines, lines=lines, currency="EUR",
    )  # fmt: skip


class Always:
    """Meant to run at any time; days begin at midnight UTC."""

    def segments(self, asset, start_ns, end_ns):
        begins = np.unique(np.r_[start_ns, np.arange(start_ns // D * D + D, end_ns, D)])
        day = (begins // D + 719_163).astype(np.int32)
        none = ("",) * len(begins)
        return Segments(begins, end_ns, day, np.zeros(len(begins), np.uint8), none, none)

    def day_span(self, asset, day):
        return (day - 719_163) * D, (day - 719_162) * D

    def day_of(self, asset, time_ns):
        return time_ns // D + 719_163


class Memory:
    """The record: states by tag."""

    def __init__(self):
        self.series = {}

    def put(self, tag, *states):
        """(seconds after T0, number of the state)"""
        times = np.array([T0 + round(s * S) for s, _ in states], np.int64)
        self.series[tag] = tidy(times, np.array([n for _, n in states], np.int64), np.zeros(len(times), np.uint32))

    async def samples(self, tags, start_ns, end_ns):
        return {tag: self.series.get(tag, NOTHING).between(start_ns - 1, end_ns) for tag in tags}

    async def gaps(self, edges, start_ns, end_ns):
        return []

    async def oldest(self, tags):
        return min((int(s.time_ns[0]) for t in tags if len(s := self.series.get(t, NOTHING))), default=None)

    def committed(self):
        return 2**60


class Floor:
    """Everything that belongs together in these tests."""

    def __init__(self, engine, clock):
        self.engine, self.clock, self.record, self.plant = engine, clock, Memory(), plant()
        self.news = 0
        self.production = Production(
            engine, clock, self.record, lambda: self.plant, Always(), logging.getLogger("test")
        )
        self.room = StopRoom(engine, self.production, lambda: self.plant, clock, self._told)
        self.production.helps = self.room.requests.calls

    def _told(self):
        self.news += 1

    async def at(self, seconds):
        """Let time pass up to so many seconds after T0; the open day is read again."""
        self.clock.advance((T0 + round(seconds * S) - self.clock.now_ns()) / S)
        for live in self.production._machines.values():
            live.reload_at = 0
        await self.production.tick()

    async def stops(self, asset):
        found = await self.room.stops.listed(asset, T0 - D, T0 + D)
        return sorted((row for row in found if row.stop.asset == asset), key=lambda row: row.stop.start_ns)


@asynccontextmanager
async def floor(tmp_path):
    """Where the filler stands from 600 to 900 s and from 1,000 to 1,100 s, and the labeller is starved by it a minute later."""
    engine = open_records(tmp_path / "records.db")
    production_metadata.create_all(engine)
    stop_store.metadata.create_all(engine)
    made = Floor(engine, ManualClock(T0))
    made.record.put(1, (0, 1), (600, 2), (900, 1), (1000, 2), (1100, 1))
    made.record.put(2, (0, 1), (630, 4), (905, 1), (1030, 4), (1105, 1))
    made.record.put(3, (0, 1), (660, 4), (910, 1), (1060, 4), (1110, 1))
    await made.production.begin()
    await made.at(2000)
    try:
        yield made
    finally:
        engine.dispose()


def may():
    """Whoever asks may correct."""


def at(seconds):
    return T0 + round(seconds * S)

"""A filler with a scale, its orders as a fake, and a record in a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isthmus.namespace.model import Asset, Plant, Tag
from isthmus.ports.frames import Arrived
from isthmus.ports.production import Running
from isthmus.quality.model import Characteristic, Entered, Plan
from isthmus.quality.service import Quality
from isthmus.values.clock import NS_PER_S, ManualClock
from isthmus.values.frame import Frame, Lane
from isthmus.values.sample import SampleBatch, ValueType

FILLER = "hall/line1/filler"
WEIGHT, STATE, NAME = 1, 2, 3


def make_plant() -> Plant:
    tags = (
        Tag(WEIGHT, f"{FILLER}/weight", FILLER, "weight", "value", ValueType.FLOAT, unit="g", edge="e"),
        Tag(STATE, f"{FILLER}/batch_end", FILLER, "batch_end", "switch", ValueType.INT, edge="e"),
        Tag(NAME, f"{FILLER}/name", FILLER, "name", "text", ValueType.TEXT, edge="e"),
    )
    assets = (
        Asset("", "lyon", "site", "", "", 0),
        Asset("hall", "hall", "area", "", "", 1),
        Asset("hall/line1", "line1", "line", "", "hall", 2),
        Asset(FILLER, "filler", "asset", "filler", "hall/line1", 3),
    )
    return Plant(1, "acme", "lyon", "UTC", tags, assets, (), ("e",), {t.path: t for t in tags}, {t.id: t for t in tags})


@dataclass
class Orders:
    """What runs, as a test says."""

    now: Running = field(default_factory=lambda: Running(FILLER))
    made: int = 0
    before: tuple[tuple[int, Running], ...] = ()  # until when, what

    def running(self, asset: str) -> Running:
        return self.now if asset == FILLER else Running(asset)

    def ran(self, asset: str, at_ns: int) -> Running:
        past = next((what for until_ns, what in self.before if at_ns < until_ns), self.now)
        return past if asset == FILLER else Running(asset)

    async def pieces(self, asset: str, start_ns: int, end_ns: int) -> int:
        return self.made


def weight(**more: Any) -> Characteristic:
    given: dict[str, Any] = {
        "id": "weight", "title": "Fill weight", "unit": "g", "lsl": 490.0, "usl": 510.0, "center": 500.0, "sigma": 2.0,
        "rules": ("nelson1", "nelson2"), "on_signal": "nonconformance", "on_fail": "hold", "severity": "major",
    }  # fmt: skip
    return Characteristic(**{**given, **more})


def label(**more: Any) -> Characteristic:
    given: dict[str, Any] = {
        "id": "label", "title": "Label", "kind": "visual", "chart": "p", "size": 50, "learn": 5, "faults": ("torn", "crooked"), "allowed": 2,
    }  # fmt: skip
    return Characteristic(**{**given, **more})


def plan(*characteristics: Characteristic, **more: Any) -> Plan:
    return Plan("bottle", more.pop("title", "Bottle"), FILLER, characteristics=characteristics or (weight(),), **more)


@dataclass
class Bench:
    """The room over a record, with its clock."""

    quality: Quality
    clock: ManualClock
    orders: Orders
    engine: Any
    seq: int = 0

    async def measure(self, *values: float, key: str = "bottle.weight", **more: Any) -> Any:
        self.clock.advance(1)
        by = more.pop("by", "Otto")
        return await self.quality.record(Entered(key, self.clock.now_ns(), tuple(values), by=by, **more))

    async def count(self, defects: int, key: str = "bottle.label", **more: Any) -> Any:
        self.clock.advance(1)
        return await self.quality.record(Entered(key, self.clock.now_ns(), defects=defects, by="Otto", **more))

    def again(self) -> Quality:
        """Another beginning over the same record."""
        self.quality = Quality(self.engine, self.clock, self.orders)
        return self.quality

    def frame(self, *samples: tuple[int, float, float], lane: Lane = Lane.LIVE, status: int = 0) -> Arrived:
        """Samples as (tag, seconds after now, value)."""
        self.seq += 1
        rows = sorted(samples, key=lambda s: s[1])
        batches = []
        for kind, mine in (
            (np.int64, [s for s in rows if s[0] == STATE]),
            (np.float64, [s for s in rows if s[0] == WEIGHT]),
        ):
            if mine:
                batches.append(
                    SampleBatch(
                        np.array([s[0] for s in mine], np.int32),
                        np.array([self.clock.now_ns() + round(s[1] * NS_PER_S) for s in mine], np.int64),
                        np.array([s[2] for s in mine], kind),
                        np.full(len(mine), status, np.uint32),
                    )
                )
        return Arrived("e", Frame(lane, 1, self.seq, self.clock.now_ns(), 1, tuple(batches)), 1000 + self.seq)

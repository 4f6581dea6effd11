"""Plants, frames and services for tests of alarms; loaded by path, as tests are no package."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from isthmus.alarms import store
from isthmus.alarms.service import Alarms
from isthmus.app.records import open_records
from isthmus.namespace.compile import compile_plant
from isthmus.namespace.compiled import finish, tag_paths
from isthmus.namespace.model import Plant
from isthmus.namespace.plantfile import Document
from isthmus.ports.drivers import driver_spec
from isthmus.ports.frames import Arrived
from isthmus.values.clock import ManualClock
from isthmus.values.frame import Frame, Lane
from isthmus.values.sample import SampleBatch, ValueType

S = 1_000_000_000
T0 = 1_700_000_000
HEAD = """
plant: {enterprise: acme, site: lyon}
connections: {plc1: {driver: modbus-tcp, host: 127.0.0.1}}
"""
_DTYPES = {ValueType.FLOAT: np.float64, ValueType.INT: np.int64, ValueType.TEXT: np.int32}


class Ann:
    name = "ann"


def plant_of(text: str, version: int = 1, ids: dict[str, int] | None = None) -> Plant:
    """A plant file compiled; ids by path, those of another version first where given."""
    draft = compile_plant(Document(text, "plant.yaml"), lambda _: None, driver_spec)
    known = dict(ids or {})
    for path in tag_paths(draft):
        known.setdefault(path, max(known.values(), default=0) + 1)
    return finish(draft, known, version).plant


def frame(
    plant: Plant,
    seq: int,
    rows: Iterable[Sequence],
    *,
    sealed: float | None = None,
    lane: Lane = Lane.LIVE,
    epoch: int = 1,
) -> Frame:
    """A frame of rows (seconds since T0, path, value, status = 0)."""
    by_type: dict[ValueType, list] = {}
    last = 0.0
    for t, path, value, *status in rows:
        tag = plant.by_path[path]
        by_type.setdefault(tag.type, []).append((tag.id, round((T0 + t) * S), value, status[0] if status else 0))
        last = max(last, t)
    batches = []
    for kind, some in by_type.items():
        texts: tuple[str, ...] = ()
        values = [v for _, _, v, _ in some]
        if kind is ValueType.TEXT:
            texts = tuple(dict.fromkeys(values))
            values = [texts.index(v) for v in values]
        batches.append(
            SampleBatch(
                np.array([i for i, *_ in some], np.int32),
                np.array([t for _, t, *_ in some], np.int64),
                np.array(values, _DTYPES[kind]),
                np.array([s for *_, s in some], np.uint32),
                texts,
            )
        )
    at = round((T0 + (last if sealed is None else sealed)) * S)
    return Frame(lane, epoch, seq, at, plant.version, tuple(batches))


class Site:
    """A service on records of its own, fed by hand: each frame is heard ``later`` seconds after it was sealed."""

    def __init__(self, folder: Path, plant: Plant, later: float = 0.005) -> None:
        self.folder, self.plant, self.later = folder, plant, later
        self.clock = ManualClock(T0 * S)
        self.engine = open_records(folder / "records.db")
        store.metadata.create_all(self.engine)
        self.alarms = Alarms(self.engine, self.clock)
        self.seqs: dict[tuple[str, Lane], int] = {}
        self.stream_seq = 0

    async def begin(self) -> None:
        await self.alarms.begin(self.plant)

    async def again(self) -> None:
        """A core that was killed, and one that comes after it."""
        self.alarms = Alarms(self.engine, self.clock)
        await self.begin()

    def arrived(self, rows, *, sealed=None, lane=Lane.LIVE, edge="edge-1") -> Arrived:
        self.seqs[edge, lane] = self.seqs.get((edge, lane), 0) + 1
        self.stream_seq += 1
        return Arrived(edge, frame(self.plant, self.seqs[edge, lane], rows, sealed=sealed, lane=lane), self.stream_seq)

    async def hear(self, rows, *, sealed=None, lane=Lane.LIVE, edge="edge-1", later=None) -> Arrived:
        one = self.arrived(rows, sealed=sealed, lane=lane, edge=edge)
        self.at((one.frame.sealed_ns - T0 * S) / S + (self.later if later is None else later))
        await self.alarms.take([one])
        return one

    def at(self, t: float) -> None:
        """Time goes on to T0 + t."""
        step = (T0 + t) - self.clock.now_ns() / S
        if step > 0:
            self.clock.advance(step)

    async def journal(self) -> list[tuple]:
        """(seconds, alarm, before, after, value, replayed), as they were told."""
        await self.alarms.flush()
        entries = await self.alarms.journal(0, 2**62, limit=1_000_000)
        return [
            (
                round((e.change.time_ns - T0 * S) / S, 6),
                e.change.alarm,
                str(e.change.before),
                str(e.change.after),
                e.change.value,
                e.change.replayed,
            )
            for e in reversed(entries)
        ]

    def states(self) -> dict[str, str]:
        return {row.alarm: str(row.state) for row in self.alarms.rows(limit=1_000_000)}

    def close(self) -> None:
        self.engine.dispose()

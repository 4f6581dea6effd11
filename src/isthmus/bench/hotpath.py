"""The hot path inside one process: frame bytes in, live table out, and a limit check, in columns and as objects.

The peer in the same run is a frozen dataclass per sample, which is how most gateways move values.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from isthmus.namespace.live import LiveTable
from isthmus.namespace.model import Plant, Tag
from isthmus.values.frame import Frame, Lane, decode, encode
from isthmus.values.sample import SampleBatch, ValueType

BUDGET: dict[str, tuple[str, float]] = {"columns_over_objects_ratio": (">=", 10.0)}


@dataclass(frozen=True, slots=True)
class _Sample:
    path: str
    time_ns: int
    value: float
    status: int


def _batch(rows: int, turn: int, random: np.random.Generator) -> SampleBatch:
    return SampleBatch(
        np.arange(1, rows + 1, dtype=np.int32),
        np.full(rows, turn * 1_000_000, np.int64),
        random.normal(50, 10, rows).round(2),
        np.zeros(rows, np.uint32),
    )


def _columns(rows: int, seconds: float) -> float:
    """Samples per CPU second through encode, decode, the live table and a limit check."""
    tags = tuple(Tag(i, f"a/t{i}", "a", f"t{i}", "value", ValueType.FLOAT, edge="e") for i in range(1, rows + 1))
    live = LiveTable()
    live.describe(Plant(1, "a", "s", "UTC", tags, by_path={t.path: t for t in tags}, by_id={t.id: t for t in tags}))
    random = np.random.default_rng(1)
    done, turn, alarms = 0, 0, 0
    batches = [_batch(rows, i, random) for i in range(8)]
    began = time.process_time()
    while time.process_time() - began < seconds:
        turn += 1
        source = batches[turn % 8]
        batch = SampleBatch(source.id, np.full(rows, turn * 1_000_000, np.int64), source.value, source.status)
        frame = decode(encode(Frame(Lane.LIVE, 1, turn, turn, 1, (batch,))))
        live.apply(frame.batches, turn * 1_000_000)
        alarms += int(np.count_nonzero(np.greater(frame.batches[0].value, 80)))
        done += rows
    return done / (time.process_time() - began)


def _objects(rows: int, seconds: float) -> float:
    random = np.random.default_rng(1)
    values = random.normal(50, 10, rows).round(2).tolist()
    paths = [f"a/t{i}" for i in range(rows)]
    live: dict[str, _Sample] = {}
    done, turn, alarms = 0, 0, 0
    began = time.process_time()
    while time.process_time() - began < seconds:
        turn += 1
        for path, value in zip(paths, values, strict=True):
            sample = _Sample(path, turn * 1_000_000, value, 0)
            known = live.get(path)
            if known is None or known.time_ns <= sample.time_ns:
                live[path] = sample
            alarms += sample.value > 80
        done += rows
    return done / (time.process_time() - began)


def run(*, quick: bool) -> dict[str, Any]:
    """Figures in samples per CPU second, by batch size."""
    seconds = 1.0 if quick else 5.0
    figures = {f"columns_{rows}_samples_s": _columns(rows, seconds) for rows in (100, 1_000, 8_000)}
    figures["objects_samples_s"] = _objects(1_000, seconds)
    figures["columns_over_objects_ratio"] = figures["columns_1000_samples_s"] / figures["objects_samples_s"]
    result: dict[str, Any] = {"figures": figures, "budget": BUDGET}
    if quick:
        result["shortened"] = "1 s instead of 5 s a figure"
    return result

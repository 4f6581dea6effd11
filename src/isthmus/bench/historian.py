"""Measures the historian: size of the reference data, insert rate, how long questions take, and that it stays flat."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.bench import reference
from isthmus.historian.schema import DATABASE
from isthmus.historian.service import Historian
from isthmus.historian.store import Store, StoreConfig
from isthmus.ports.frames import Arrived
from isthmus.ports.history import Format, HistoryQuery, Shape
from isthmus.values.clock import NS_PER_S, ManualClock
from isthmus.values.frame import Frame, Lane
from isthmus.values.sample import SampleBatch

DAY_S = 86_400
GROUP_ROWS = 100_000
YEAR_TAG = 1_000_001
HOUR_TAGS = 2_000_000

BUDGET: dict[str, list[Any]] = {
    "size_B_per_sample": ["<=", 1.9],
    "year_p95_ms": ["<=", 60],
    "month_p95_ms": ["<=", 150],
    "day_p95_ms": ["<=", 60],
    "arrow_1000_tags_1h_s": ["<=", 1.0],
    "year_growth_ratio": ["<=", 1.5],
}


def run(quick: bool = False) -> dict[str, Any]:
    """Figures and budgets. Cost: about 40 s quick, some minutes in full; up to 2 GB of disk."""
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as folder:
        return asyncio.run(_run(Path(folder), quick))


async def _run(folder: Path, quick: bool) -> dict[str, Any]:
    scale, days = (0.04, 60) if quick else (1.0, 365)
    clock = ManualClock(reference.START_NS + 2 * DAY_S * NS_PER_S)
    historian = Historian(StoreConfig(path=folder), clock)
    await historian.open()
    try:
        figures: dict[str, float] = {}
        feed = _Feed(historian)
        await feed.take(
            _fast(YEAR_TAG, 1, days * DAY_S, reference.START_NS + DAY_S * NS_PER_S - days * DAY_S * NS_PER_S)
        )
        await historian.roll()
        small = await _questions(historian, days, 5 if quick else 20)
        before = await _size(historian)
        started, taking = feed.rows, feed.seconds
        await feed.take(w for w in reference.windows(scale))
        figures["insert_rows_per_s"] = (feed.rows - started) / (feed.seconds - taking)
        await historian.roll()
        after = await _size(historian)
        figures["size_B_per_sample"] = (after - before) / (feed.rows - started)
        figures |= await _questions(historian, days, 5 if quick else 20)
        figures["year_growth_ratio"] = figures["year_p50_ms"] / small["year_p50_ms"]
        figures["archive_growth_ratio"] = feed.rows / started
        tags = 1000
        await feed.take(_fast(HOUR_TAGS, tags, 3600, reference.START_NS))
        figures |= await _arrow(historian, tags)
        notes = (
            [f"reference data at {scale:g} of its tags, {days} days of one tag at 1 Hz instead of a year"]
            if quick
            else []
        )
        return {"figures": {k: round(v, 4) for k, v in figures.items()}, "budget": BUDGET, "shortened": notes}
    finally:
        await historian.close()


class _Feed:
    """Sends batches as frames of one edge, in groups as the bus reader makes them."""

    def __init__(self, historian: Historian) -> None:
        self._historian, self._seq = historian, 0
        self.rows, self.seconds = 0, 0.0

    async def take(self, windows: Iterator[tuple[SampleBatch, ...]]) -> None:
        for window in windows:
            groups = max(1, -(-sum(map(len, window)) // GROUP_ROWS))
            for k in range(groups):
                parts = tuple(b.rows(slice(len(b) * k // groups, len(b) * (k + 1) // groups)) for b in window)
                self._seq += 1
                frame = Frame(Lane.LIVE, 1, self._seq, 0, 1, tuple(b for b in parts if len(b)))
                started = time.perf_counter()
                await self._historian.take([Arrived("bench", frame, self._seq)])
                self.seconds += time.perf_counter() - started
                self.rows += frame.rows


def _fast(first: int, tags: int, seconds: int, start_ns: int) -> Iterator[tuple[SampleBatch, ...]]:
    """Tags at 1 Hz with two decimals, a million rows at a time."""
    rng = np.random.default_rng(5)
    step = max(1, 1_000_000 // tags)
    for at in range(0, seconds, step):
        n = min(step, seconds - at)
        time_ns = np.repeat(start_ns + (at + np.arange(n)) * NS_PER_S, tags)
        value = np.round(50 + 20 * np.sin((at + np.arange(n * tags) / tags) / 7000) + rng.normal(0, 0.1, n * tags), 2)
        ident = np.tile(np.arange(first, first + tags, dtype=np.int32), n)
        yield (SampleBatch(ident, time_ns.astype(np.int64), value, np.zeros(n * tags, np.uint32)),)


async def _size(historian: Historian) -> int:
    """Bytes of samples and rollup once background merges have done what they will do anyway."""

    def measure(store: Store) -> int:
        for table in ("sample", "rollup"):
            store.command(f"OPTIMIZE TABLE {DATABASE}.{table} FINAL")
        rows = store.rows(f"SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = '{DATABASE}'")  # noqa: S608  our own constant
        return int(rows[0][0])

    return await historian._store.write(measure)  # noqa: SLF001  the bench looks at the engine's own count


async def _questions(historian: Historian, days: int, repeats: int) -> dict[str, float]:
    """Milliseconds of a year (all there is), a month and a day of one tag, each from a different start."""
    end = reference.START_NS + DAY_S * NS_PER_S
    figures: dict[str, float] = {}
    for name, length in (("year", days), ("month", 30), ("day", 1)):
        taken = []
        for k in range(repeats):
            start = end - length * DAY_S * NS_PER_S - (0 if name == "year" else k * DAY_S * NS_PER_S)
            query = HistoryQuery((YEAR_TAG,), start, start + length * DAY_S * NS_PER_S, Shape.BOUNDED, 2000)
            started = time.perf_counter()
            answer = await historian.query(query)
            taken.append((time.perf_counter() - started) * 1000)
            if len(answer.body) < 1000:
                raise RuntimeError(f"{name}: {answer.body[:200]!r}")
        figures |= {
            f"{name}_p50_ms": float(np.percentile(taken, 50)),
            f"{name}_p95_ms": float(np.percentile(taken, 95)),
        }
    return figures


async def _arrow(historian: Historian, tags: int) -> dict[str, float]:
    """Seconds for every sample of many tags over an hour, as Arrow."""
    query = HistoryQuery(
        tuple(range(HOUR_TAGS, HOUR_TAGS + tags)),
        reference.START_NS,
        reference.START_NS + 3600 * NS_PER_S,
        Shape.RAW,
        format=Format.ARROW,
    )
    taken = []
    for _ in range(3):
        started = time.perf_counter()
        body = (await historian.query(query)).body
        taken.append(time.perf_counter() - started)
    return {"arrow_1000_tags_1h_s": float(np.median(taken)), "arrow_MB": len(body) / 1e6}


if __name__ == "__main__":
    print(json.dumps(run("--quick" in sys.argv), indent=2))

"""Measures the historian: size of the reference data, insert rate, how long questions take, and that it stays flat."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
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
FILL_ROWS = 1_000_000
"""Rows of one insert where only what is stored matters."""
MERGES_S = 600
YEAR_TAG = 1_000_001
HOUR_TAGS = 2_000_000
HOUR_COPIES = 10
END_NS = reference.START_NS + DAY_S * NS_PER_S
_PARTS = f"system.parts WHERE active AND database = '{DATABASE}'"

BUDGET: dict[str, list[Any]] = {
    "size_B_per_sample": ["<=", 1.9],
    "year_p95_ms": ["<=", 60],
    "month_p95_ms": ["<=", 150],
    "day_p95_ms": ["<=", 60],
    "year_growth_ratio": ["<=", 1.5],
    "month_growth_ratio": ["<=", 1.5],
    "day_growth_ratio": ["<=", 1.5],
    "archive_growth_ratio": [">=", 10],
    "arrow_1000_tags_1h_s": ["<=", 1.0],
    "ten_tags_in_one_ratio": ["<=", 1.0],
}


@dataclass(frozen=True, slots=True)
class _Form:
    """How much is measured: share of the reference's tags, days of the one tag at 1 Hz, questions of each kind."""

    scale: float
    days: int
    questions: int


FULL, QUICK = _Form(1.0, 365, 60), _Form(0.04, 30, 20)


def run(quick: bool = False) -> dict[str, Any]:
    """Figures and budgets. Cost: about 35 s quick, 10 minutes in full; up to 3 GB of disk."""
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as folder:
        return asyncio.run(_run(Path(folder), QUICK if quick else FULL))


async def _run(folder: Path, form: _Form) -> dict[str, Any]:
    clock = ManualClock(END_NS + DAY_S * NS_PER_S)
    historian = Historian(StoreConfig(path=folder), clock)
    await historian.open()
    try:
        figures: dict[str, float] = {}
        feed = _Feed(historian)
        year = _fast(YEAR_TAG, 1, form.days * DAY_S, END_NS - form.days * DAY_S * NS_PER_S)
        await feed.take(year, FILL_ROWS, f"{form.days} days of a tag at 1 Hz")
        _say("rollup")
        await historian.roll()
        before = await _size(historian)
        _say("questions to a small record")
        small = await _questions(historian, feed, form)
        started, taking = feed.rows, feed.seconds
        await feed.take(reference.windows(form.scale), what="reference day")
        figures["insert_rows_per_s"] = (feed.rows - started) / (feed.seconds - taking)
        await historian.roll()
        figures["size_B_per_sample"] = (await _size(historian) - before) / (feed.rows - started)
        figures |= await _ten_tags(historian, form)
        rows = await _grow(historian, 10 * started)
        _say("questions to a large record")
        large = await _questions(historian, feed, form)
        for name in ("year", "month", "day"):
            figures |= {f"{name}_p50_ms": large[name][0], f"{name}_p95_ms": large[name][1]}
            figures |= {f"{name}_small_p50_ms": small[name][0], f"{name}_small_p95_ms": small[name][1]}
            figures[f"{name}_growth_ratio"] = large[name][1] / small[name][1]
        figures |= {"archive_rows": rows, "archive_growth_ratio": rows / started}
        await feed.take(_fast(HOUR_TAGS, 1000 // HOUR_COPIES, 3600, reference.START_NS))
        await historian._store.write(_copied_hour)  # noqa: SLF001  faster than sending them, and the same rows
        figures |= await _arrow(historian, 1000)
        answer = {"figures": {k: round(v, 4) for k, v in figures.items()}, "budget": BUDGET}
        if form is QUICK:
            answer["shortened"] = (
                f"reference data at {form.scale:g} of its tags, {form.days} days of one tag at 1 Hz instead of a year"
            )
        return answer
    finally:
        await historian.close()


def _say(what: str) -> None:
    """Progress, for who looks on."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{what}")
        sys.stderr.flush()


class _Feed:
    """Sends batches as frames of one edge, in groups as the bus reader makes them."""

    def __init__(self, historian: Historian) -> None:
        self._historian, self._seq = historian, 0
        self.rows, self.seconds = 0, 0.0
        self.written = 0  # turns of the writer beside the questions

    async def take(
        self, windows: Iterable[tuple[SampleBatch, ...]], group_rows: int = GROUP_ROWS, what: str = ""
    ) -> None:
        for window in windows:
            if what:
                _say(f"{what}: {self.rows / 1e6:.1f} M rows")
            groups = max(1, -(-sum(map(len, window)) // group_rows))
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
        rows = store.rows(f"SELECT sum(bytes_on_disk) FROM {_PARTS} AND table IN ('sample', 'rollup')")  # noqa: S608  our own constant
        return int(rows[0][0])

    return await historian._store.write(measure)  # noqa: SLF001  the bench looks at the engine's own count


async def _questions(historian: Historian, feed: _Feed, form: _Form) -> dict[str, tuple[float, float]]:
    """Median and 95th percentile in ms for a year (all there is), a month and a day of one tag, beside a writer."""
    found = {}
    writer = asyncio.create_task(_write(feed))
    try:
        for name, length in (("year", form.days), ("month", 30), ("day", 1)):
            taken = []
            for k in range(form.questions):
                back = k % (form.days - length) if form.days > length else 0  # each from a different start
                start = END_NS - (length + back) * DAY_S * NS_PER_S
                query = HistoryQuery((YEAR_TAG,), start, start + length * DAY_S * NS_PER_S, Shape.BOUNDED, 2000)
                began = time.perf_counter()
                answer = await historian.query(query)
                taken.append((time.perf_counter() - began) * 1000)
                if len(answer.body) < 1000:
                    raise RuntimeError(f"{name}: {answer.body[:200]!r}")
                await asyncio.sleep(0.02)
            found[name] = float(np.percentile(taken, 50)), float(np.percentile(taken, 95))
    finally:
        writer.cancel()
        await asyncio.gather(writer, return_exceptions=True)
    return found


async def _write(feed: _Feed) -> None:
    """5,000 rows every 0.2 s, a row of each of 5,000 tags, the asked one among them."""
    ids = np.append(np.arange(1, 5000, dtype=np.int32), np.int32(YEAR_TAG))
    none = np.zeros(len(ids), np.uint32)
    while True:
        at_ns = END_NS + feed.written * NS_PER_S // 5
        feed.written += 1
        value = np.round(50 + np.sin(ids + feed.written / 50), 2)
        # To its end, also when we are stopped: a frame half sent would be a frame lost.
        await asyncio.shield(feed.take([(SampleBatch(ids, np.full(len(ids), at_ns, np.int64), value, none),)]))
        await asyncio.sleep(0.2)


async def _grow(historian: Historian, rows: int) -> int:
    """Samples of the archive after the reference day was copied to other tags and weeks until there are that many.

    The engine copies, which takes a tenth of the time of sending; then its merges are waited for.
    """

    def copy(store: Store) -> int:
        copies = 0
        count = f"SELECT sum(rows) FROM {_PARTS} AND table = 'sample'"  # noqa: S608  our own constants
        while (total := int(store.rows(count)[0][0])) < rows:
            copies += 1
            _say(f"growing: {total / 1e6:.0f} of {rows / 1e6:.0f} M rows")
            weeks = copies % 4  # into weeks the questions read too
            for table in ("sample", "rollup"):
                _copy(
                    store,
                    table,
                    f"tag + {copies * 10_000}",
                    weeks,
                    f"tag < 10000 AND ts >= {_time(reference.START_NS)}",
                )
        return total

    total = await historian._store.write(copy)  # noqa: SLF001  the bench fills the engine's own tables
    _say("growing: waiting for merges")
    deadline = time.monotonic() + MERGES_S
    while time.monotonic() < deadline and await historian._store.read(_merging):  # noqa: SLF001  as above
        await asyncio.sleep(0.5)
    return total


def _merging(store: Store) -> bool:
    return bool(store.rows("SELECT 1 FROM system.merges"))


def _copied_hour(store: Store) -> None:
    for k in range(1, HOUR_COPIES):
        _copy(
            store,
            "sample",
            f"tag + {k * 1000 // HOUR_COPIES}",
            0,
            f"tag BETWEEN {HOUR_TAGS} AND {HOUR_TAGS + 1000 // HOUR_COPIES - 1}",
        )


def _copy(store: Store, table: str, tag: str, weeks: int, condition: str) -> None:
    """Rows again, under other tags and some weeks earlier."""
    named = f"SELECT name FROM system.columns WHERE database = '{DATABASE}' AND table = '{table}'"  # noqa: S608  our own constants
    columns = [name for name, *_ in store.rows(named)]
    changed = {"tag": tag, "ts": f"ts - toIntervalWeek({weeks})"}
    chosen = ", ".join(f"{changed[c]} AS {c}2" if c in changed else c for c in columns)
    source = f"SELECT {chosen} FROM {DATABASE}.{table} WHERE {condition}"  # noqa: S608  our own names and numbers
    # The rows are in order and each there once: nothing is gained by merging a block with itself.
    store.command(f"INSERT INTO {DATABASE}.{table} ({', '.join(columns)}) {source} SETTINGS optimize_on_insert = 0")


def _time(time_ns: int) -> str:
    return f"fromUnixTimestamp64Nano({time_ns}, 'UTC')"


async def _ten_tags(historian: Historian, form: _Form) -> dict[str, float]:
    """A day of four fast and six ordinary tags in one question, against ten questions."""
    fast = reference.tags(form.scale)["fast"]
    tags = (1, 2, 3, 4, *range(fast + 1, fast + 7))
    query = HistoryQuery(tags, reference.START_NS, END_NS, Shape.BOUNDED, 2000)
    one, each = [], []
    for _ in range(5):
        began = time.perf_counter()
        await historian.query(query)
        one.append(time.perf_counter() - began)
        began = time.perf_counter()
        for tag in tags:
            await historian.query(replace(query, tags=(tag,)))
        each.append(time.perf_counter() - began)
    together, apart = float(np.median(one)), float(np.median(each))
    return {
        "ten_tags_day_ms": together * 1000,
        "ten_questions_day_ms": apart * 1000,
        "ten_tags_in_one_ratio": together / apart,
    }


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

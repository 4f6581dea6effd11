"""The audit log: what a record costs, and how long somebody waits until theirs is on the disk."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import uvloop
from sqlalchemy import Engine

from isthmus.app.records import open_records
from isthmus.security.audit.search import Question
from isthmus.security.audit.service import Trail
from isthmus.security.audit.store import metadata
from isthmus.values.clock import SystemClock

BUDGET: dict[str, tuple[str, float]] = {
    "cpu_us_per_event": ("<=", 50.0),
    "durable_p99_ms": ("<=", 20.0),
    "search_10k_ms": ("<=", 250.0),
}
AT_ONCE = 64
A_SECOND = 500
_WHO = {"name": "ana", "role": "engineer", "proof": "session", "source": "192.0.2.7"}


async def _change(trail: Trail, number: int, waits_s: list[float]) -> None:
    began = time.perf_counter()
    ident = await trail.intent(_WHO, "POST plant/apply", f"plant/{number}", old={"version": number}, reason="bench")
    waits_s.append(time.perf_counter() - began)
    await trail.outcome(ident, "ok 200", new={"version": number + 1})


async def _many(trail: Trail, changes: int, at_once: int) -> tuple[float, list[float]]:
    """CPU seconds of the whole process, and the seconds each waited."""
    waits_s: list[float] = []
    numbers = iter(range(changes))

    async def one() -> None:
        for number in numbers:
            await _change(trail, number, waits_s)

    began = time.process_time()
    await asyncio.gather(*(one() for _ in range(at_once)))
    return time.process_time() - began, waits_s


async def _paced(trail: Trail, a_second: int, seconds: float) -> list[float]:
    """Changes that arrive by chance, so many a second; the seconds each waited."""
    waits_s: list[float] = []
    random = np.random.default_rng(7)
    arrivals_s = np.cumsum(random.exponential(1 / a_second, round(a_second * seconds)))
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number, at_s in enumerate(arrivals_s):
            await asyncio.sleep(max(0.0, float(at_s) - (time.perf_counter() - began)))
            group.create_task(_change(trail, number, waits_s))
    return waits_s


def _disk_p99_ms(file: Path) -> float:
    """What the disk alone takes for a record: append and flush, 500 times. The log can be no faster."""
    took_s = []
    with file.open("ab", buffering=0) as out:
        for _ in range(500):
            began = time.perf_counter()
            out.write(bytes(500))
            os.fdatasync(out.fileno())
            took_s.append(time.perf_counter() - began)
            time.sleep(0.002)
    return float(np.percentile(took_s, 99)) * 1e3


def _measure(folder: Path, engine: Engine, changes: int) -> dict[str, float]:
    metadata.create_all(engine)
    trail = Trail(folder / "audit", engine, SystemClock())
    trail.open()
    try:
        uvloop.run(_many(trail, 200, AT_ONCE))  # warm
        cpu_s, burst_s = uvloop.run(_many(trail, changes, AT_ONCE))
        waits_s = uvloop.run(_paced(trail, A_SECOND, changes / 2000))
        alone_s, alone_waits_s = uvloop.run(_many(trail, changes // 20, 1))
        began = time.process_time()
        trail.search(Question(target="plant/77777"))
        search_s = time.process_time() - began
        began = time.process_time()
        report = trail.verify()
        verify_s = time.process_time() - began
    finally:
        trail.close()
    if report.problem is not None:
        raise AssertionError(str(report.problem))
    return {
        "cpu_us_per_event": cpu_s / (2 * changes) * 1e6,
        "durable_p50_ms": float(np.percentile(waits_s, 50)) * 1e3,
        "durable_p99_ms": float(np.percentile(waits_s, 99)) * 1e3,
        "disk_alone_p99_ms": _disk_p99_ms(folder / "beside"),
        "burst_p99_ms": float(np.percentile(burst_s, 99)) * 1e3,
        "alone_cpu_us_per_event": alone_s / (2 * (changes // 20)) * 1e6,
        "alone_p99_ms": float(np.percentile(alone_waits_s, 99)) * 1e3,
        "search_10k_ms": search_s * 1e3 * 10_000 / report.records,
        "verify_us_per_record": verify_s / report.records * 1e6,
        "records": float(report.records),
    }


def run(*, quick: bool) -> dict[str, Any]:
    """A burst of 64 who change something without a pause, 500 changes a second that arrive by chance, and one alone."""
    with tempfile.TemporaryDirectory() as name:
        engine = open_records(Path(name) / "records.db")
        try:
            figures = _measure(Path(name), engine, 10_000 if quick else 100_000)
        finally:
            engine.dispose()
    result: dict[str, Any] = {"figures": figures, "budget": BUDGET}
    if quick:
        result["shortened"] = "10,000 changes (20,000 records) instead of 100,000"
    return result

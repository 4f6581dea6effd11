"""Backup and restore: 10,000 samples a second arrive and are watched while a large record is backed up; then it comes back.

Backups follow one another for as long as latency is measured, so that it is a percentile of many samples; the time is of
the slowest.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import uvloop

from isthmus.app.datadir import DataDir
from isthmus.bench import reference
from isthmus.bench.crash import holes, read_stream
from isthmus.bench.historian import GROUP_ROWS
from isthmus.bench.latency import scattered, tags
from isthmus.bench.load import TAGS, LoadServers, plant_yaml
from isthmus.bench.system import System, environment
from isthmus.bench.viewers import Viewer, percentile_ms, stop
from isthmus.historian.service import Historian
from isthmus.historian.store import StoreConfig
from isthmus.ports.frames import Arrived
from isthmus.values.clock import NS_PER_S, SystemClock
from isthmus.values.frame import Frame, Lane

SERVERS, VIEWERS, SEEN = 10, 4, 1_000
BUDGET: dict[str, tuple[str, float]] = {
    "latency_p99_ratio": ("<=", 2.0),
    "missing_frames": ("<=", 0),
    "gaps": ("<=", 0),
    "restore_s": ("<=", 300),
    "answers_that_differ": ("<=", 0),
}


def run(*, quick: bool) -> dict[str, Any]:
    """Figures and budgets. Cost: under 40 s quick; in full some minutes and 2 GB of disk."""
    result: dict[str, Any] = {"figures": uvloop.run(_measure(quick)), "budget": BUDGET}
    if quick:
        result["shortened"] = "1 M rows instead of 50 M, 4 s instead of 30 s of backups"
    return result


async def _measure(quick: bool) -> dict[str, float]:
    scale, seconds = (0.02, 4.0) if quick else (1.0, 30.0)
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as name:
        folder = Path(name)
        data = folder / "data"
        rows = int(await _child("-m", "isthmus.bench.backup", str(data), str(scale)))
        async with LoadServers(SERVERS) as servers:
            async with System(data) as system:
                await asyncio.to_thread(system.apply, plant_yaml(servers.ports, send_all=True))
                paths = await tags(system, SERVERS * TAGS)
                token = system.token("admin")
                before = await _watch(system, paths, asyncio.sleep(seconds))
                made: list[dict[str, Any]] = []
                began = time.monotonic()
                during = await _watch(system, paths, _backups(data, folder, seconds, made))
                took_s = time.monotonic() - began
                questions = [_question(p) for p in paths[:5]]
                answers = [await asyncio.to_thread(_ask, system, q) for q in questions]
                gaps = len(system.call("GET", "gaps?start=now-10m&end=now")["gaps"])
                missing = holes(await read_stream(data))
            began = time.monotonic()
            restored = folder / "restored"
            await _child("-m", "isthmus", "restore", made[-1]["file"], "--data", str(restored), "--json")
            restore_s = time.monotonic() - began
            async with System(restored) as again:
                again._token = token  # noqa: SLF001  tokens come back, too
                restored_answers = [await asyncio.to_thread(_ask, again, q) for q in questions]
                differ = sum(a != b for a, b in zip(answers, restored_answers, strict=True))
    p99_before, p99_during = percentile_ms(before, 99), percentile_ms(during, 99)
    return {
        "rows": float(rows),
        "backups": float(len(made)),
        "backup_s": max(one["took_s"] for one in made),
        "backup_MB": made[-1]["bytes"] / 1e6,
        "frames_in_backup": float(made[-1]["frames"]),
        "latency_p99_before_ms": p99_before,
        "latency_p99_during_ms": p99_during,
        "latency_p99_ratio": p99_during / p99_before,
        "samples_per_s": sum(v.samples for v in during) / VIEWERS / took_s * SERVERS * TAGS / SEEN,
        "missing_frames": float(missing),
        "gaps": float(gaps),
        "restore_s": restore_s,
        "answers_that_differ": float(differ),
    }


async def _watch(system: System, paths: list[str], work: Any) -> list[Viewer]:
    """Viewers while something goes on."""
    viewers = [Viewer(system.port, system.token(), scattered(paths, i)) for i in range(VIEWERS)]
    tasks = [asyncio.create_task(v.run()) for v in viewers]
    try:
        await work
    finally:
        await stop(tasks)
    return viewers


async def _backups(data: Path, folder: Path, seconds: float, made: list[dict[str, Any]]) -> None:
    """The command itself, again and again."""
    until = time.monotonic() + seconds
    while time.monotonic() < until or not made:
        file = folder / f"{len(made)}.isb"
        made.append(json.loads(await _child("-m", "isthmus", "backup", str(file), "--data", str(data), "--json")))


async def _child(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, env=environment()
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}")
    return out.decode()


def _question(path: str) -> str:
    """A day of the large record, as CSV."""
    start = reference.START_NS // NS_PER_S
    day = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(start + s)) for s in (0, 86_400)]
    return f"history?tag={path}&start={day[0]}&end={day[1]}&shape=raw"


def _ask(system: System, path: str) -> tuple[int, str]:
    """Length and digest of an answer's very bytes."""
    headers = {"Authorization": f"Bearer {system.token('admin')}", "Accept": "text/csv"}
    question = urllib.request.Request(f"http://127.0.0.1:{system.port}/api/v1/{path}", headers=headers)
    with urllib.request.urlopen(question, timeout=120) as answer:  # noqa: S310  our own address
        body = answer.read()
    return len(body), hashlib.sha256(body).hexdigest()


async def fill(folder: Path, scale: float) -> int:
    """A data directory with a day of the reference plant in its record; how many samples."""
    data = DataDir(folder)
    data.prepare()
    historian, rows, seq = Historian(StoreConfig(path=data.history), SystemClock()), 0, 0
    await historian.open()
    try:
        for window in reference.windows(scale):
            parts = max(1, -(-sum(map(len, window)) // GROUP_ROWS))
            for k in range(parts):
                cut = [b.rows(slice(len(b) * k // parts, len(b) * (k + 1) // parts)) for b in window]
                seq += 1
                frame = Frame(Lane.LIVE, 1, seq, 0, 1, tuple(b for b in cut if len(b)))
                await historian.take([Arrived("reference", frame, seq)])
                rows += frame.rows
        await historian.roll()
    finally:
        await historian.close()
    return rows


if __name__ == "__main__":
    print(asyncio.run(fill(Path(sys.argv[1]), float(sys.argv[2]))))

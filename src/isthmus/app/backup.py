"""`isthmus backup`: copies a snapshot that core holds into one file, in a process of its own, and reads it back."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import shutil
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from isthmus.app.archive import CHUNK, Archive, Encryptor, Sink, read_archive
from isthmus.app.datadir import DataDir
from isthmus.app.local import call
from isthmus.app.sealing import KEY_NAME
from isthmus.app.settings import load_settings
from isthmus.bus.broker import BusAddress
from isthmus.bus.client import Bus
from isthmus.values.errors import ConfigError, IsthmusError, Malformed, TryLater

SUFFIX = ".isb"
FRAMES_BYTES = 16 << 20
"""Frames are gathered to members of this size."""
LEFT_OUT = frozenset({"run", "history", "logs"})
"""Of the data directory: what matters only while something runs, and what is copied by other means."""
_LEFT_OUT_OF_BUS = frozenset({"jetstream", "field", "nats.conf", "nats.pid"})

Progress = Callable[[str, int, int], None]
"""(what, bytes done, bytes in all)"""


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was written. Units: bytes, seconds"""

    file: Path
    bytes: int
    took_s: float
    encrypted: bool
    verified: bool
    rows: int
    frames: int


def make_backup(
    data: DataDir,
    target: Path,
    secret: bytes | None = None,
    *,
    keep: int = 0,
    verify: bool = True,
    with_key: bool = False,
    progress: Progress = lambda *_: None,
) -> Made:
    """Write a backup of a running installation to a file, or into a folder under a name of its own.

    It holds secrets as they are sealed, and the key that opens them only ``with_key``, which an encrypted one alone may have.
    ``keep`` removes older backups of the folder beyond that many. Bounded in memory; whatever goes wrong, no half file stays and
    the living system goes on.
    Raises: NotConnected if nothing runs, Denied if a backup runs already, TryLater if there is no room, ConfigError
    """
    if with_key and secret is None:
        raise ConfigError("with-key: the key of the secrets goes into an encrypted backup only; add --key FILE")
    folder = target.is_dir() or str(target).endswith("/")
    if not folder and target.exists():
        raise ConfigError(f"{target}: exists already; a backup never overwrites anything")
    began = time.monotonic()
    held = call(data.root, "POST", "system/backups", {"owner": os.getpid()})
    outcome: dict[str, Any] | None = None
    try:
        file = target / _name(data) if folder else target
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
        try:
            rows, frames = _write(data, held, partial, secret, with_key, progress)
            if verify:
                verify_backup(partial, secret, progress)
            partial.replace(file)
            _sync(file.parent)
        finally:
            partial.unlink(missing_ok=True)
        made = Made(file, file.stat().st_size, time.monotonic() - began, secret is not None, verify, rows, frames)
        outcome = {
            "file": str(file), "bytes": made.bytes, "took_s": round(made.took_s, 2), "encrypted": made.encrypted,
            "verified": verify,
        }  # fmt: skip
    except FileNotFoundError as error:
        raise TryLater(f"core was started anew while it was copied ({error.filename}); run it again") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise TryLater(f"{target}: there is no room for the backup; nothing was left there", 60) from error
        raise ConfigError(f"{target}: cannot be written: {error.strerror}") from error
    finally:
        with contextlib.suppress(IsthmusError):  # core may be gone, or anew; then it has let the snapshot go by itself
            method = "DELETE" if outcome is None else "PUT"
            call(data.root, method, f"system/backups/{held['id']}", outcome)
    if folder and keep:
        for old in sorted(target.glob(f"isthmus-*{SUFFIX}"))[:-keep]:
            old.unlink()
    return made


def verify_backup(file: Path, secret: bytes | None, progress: Progress = lambda *_: None) -> dict[str, Any]:
    """Read a backup to its end; its manifest when every byte is as it was written.

    Raises: Malformed if it is not whole, ConfigError if it cannot be read or a secret is missing
    """
    try:
        size = file.stat().st_size
        done = 0

        def moved(count: int) -> None:
            nonlocal done
            done += count
            progress("verify", done, size)

        return read_archive(file, secret, _pass_over, moved)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error


def _pass_over(_: str, __: int, blocks: Iterator[bytes]) -> None:
    for _block in blocks:
        pass


def _name(data: DataDir) -> str:
    site = str(call(data.root, "GET", "site")["site"]) or "site"
    safe = "".join(c if c.isalnum() or c in "-_" else "-" for c in site)
    return f"isthmus-{safe}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}{SUFFIX}"


class _Careful:
    """A file to write that stops before the living system would run out of room."""

    def __init__(self, file: BinaryIO, data: DataDir, reserve_bytes: int) -> None:
        self._file = file
        shared = os.fstat(file.fileno()).st_dev == data.root.stat().st_dev
        self._root = data.root if shared else None
        self._reserve_bytes = reserve_bytes
        self._since_look = CHUNK * 16

    def write(self, block: bytes) -> None:
        """Write.

        Raises: TryLater when only the reserve is left, OSError
        """
        self._since_look += len(block)
        if self._root is not None and self._since_look >= CHUNK * 16:
            self._since_look = 0
            if shutil.disk_usage(self._root).free < self._reserve_bytes + CHUNK * 32:
                raise TryLater(
                    "the backup would use the space kept in reserve for the living system; choose another volume"
                )
        self._file.write(block)


def _write(
    data: DataDir, held: dict[str, Any], file: Path, secret: bytes | None, with_key: bool, progress: Progress
) -> tuple[int, int]:
    tables = held["historian"]["tables"]
    parts = [(f"history/{t['name']}/{p.relative_to(t['folder'])}", p) for t in tables for p in _inside(t["folder"])]
    plain = [
        (f"files/{p.relative_to(data.root).as_posix()}", p)
        for p in _plain_files(data)
        if with_key or p != data.root / KEY_NAME
    ]
    copied = [("records.db", Path(held["records"]["file"])), *parts]
    total = sum(p.stat().st_size for _, p in copied)
    done = 0
    reserve = load_settings(data.settings).disk.reserve_mb * 2**20
    about = {
        "made": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "version": held["version"],
        "format": held["format"],
        "records": {"revision": held["records"]["revision"]},
        "historian": {
            "schema": held["historian"]["schema"],
            "embedded": held["historian"]["embedded"],
            "tables": {t["name"]: {"create": t["create"], "rows": t["rows"]} for t in tables},
        },
        "bus": held["bus"],
        "bytes": total,
    }
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as raw:
        careful = _Careful(raw, data, reserve)
        sink: Sink = Encryptor(careful, secret) if secret is not None else careful
        archive = Archive(sink)
        archive.add_bytes("about.json", json.dumps(about).encode())
        for name, path in copied:
            size = path.stat().st_size
            archive.add(name, size, _blocks(path))
            done += size
            progress("copy", done, total)
        for name, path in plain:
            with contextlib.suppress(
                FileNotFoundError
            ):  # what is written anew beside us is small and whole at any time
                archive.add_bytes(name, path.read_bytes())
        frames = asyncio.run(_frames(data, held["bus"]["first"], held["bus"]["last"], archive))
        archive.finish(about)
        if isinstance(sink, Encryptor):
            sink.close()
        raw.flush()
        os.fsync(raw.fileno())
    return sum(t["rows"] for t in tables if t["name"] in ("sample", "text")), frames


def _inside(folder: str) -> Iterator[Path]:
    return (p for p in sorted(Path(folder).rglob("*")) if p.is_file())


def _plain_files(data: DataDir) -> Iterator[Path]:
    """Settings, credentials, what edges and connections keep: everything that is not left out, so that what later rooms
    keep there is in it, too.
    """
    for top in sorted(data.root.iterdir()):
        if top.name in LEFT_OUT or top.name.startswith("records.db") or top.is_symlink():
            continue
        for file in sorted(top.rglob("*")) if top.is_dir() else [top]:
            inside = file.relative_to(data.root).parts
            ours = inside[0] == "bus" and (inside[1] in _LEFT_OUT_OF_BUS or inside[1].startswith("nats.log"))
            ends = file.name.endswith((SUFFIX, ".partial")) or ".restored" in file.name
            if file.is_file() and not file.is_symlink() and not ours and not ends:
                yield file


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            yield data


async def _frames(data: DataDir, first: int, last: int, archive: Archive) -> int:
    """The frames that somebody still owed an effect when the snapshot was taken; how many."""
    if first > last:
        return 0
    bus = Bus(BusAddress.load(data.bus.address_file("core")), logging.getLogger("backup"))
    await bus.connect()
    gathered, count, member = bytearray(), 0, 0
    try:
        async for message in bus.copy(first, last):
            subject = message.subject.encode()
            ident = (message.headers or {}).get("Nats-Msg-Id", "").encode()
            gathered += (
                struct.pack("<HHI", len(subject), len(ident), len(message.data)) + subject + ident + message.data
            )
            count += 1
            if len(gathered) >= FRAMES_BYTES:
                archive.add_bytes(f"bus/frames-{member:06d}", bytes(gathered))
                gathered.clear()
                member += 1
    finally:
        await bus.close()
    if gathered:
        archive.add_bytes(f"bus/frames-{member:06d}", bytes(gathered))
    return count


def read_frames(content: bytes) -> Iterator[tuple[str, str, bytes]]:
    """Subject, message id and data of each frame in a member.

    Raises: Malformed
    """
    at = 0
    try:
        while at < len(content):
            a, b, c = struct.unpack_from("<HHI", content, at)
            at += 8
            subject, ident, body = (
                content[at : at + a],
                content[at + a : at + a + b],
                content[at + a + b : at + a + b + c],
            )
            if len(body) != c:
                raise Malformed("a frame in the backup is cut off")
            at += a + b + c
            yield subject.decode(), ident.decode(), body
    except struct.error:
        raise Malformed("a frame in the backup is cut off") from None


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

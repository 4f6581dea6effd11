"""What an edge did to its devices, and was asked to: lines on its own disk, written before the wire.

A line is a checksum and JSON. ``n`` grows by one with each line and never begins anew. Lines of a command: `sent` before anything
goes to the device, `answered` with how it ended; one that was refused has `answered` alone. A process that was killed in
between leaves `sent` alone: then nobody knows, and nobody sends it again. A torn last line, as a loss of power leaves it, is
cut off; a damaged one before it is left out and counted.

The journal is bounded: beyond its size the oldest segment goes. ``first`` tells a reader what is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

import orjson

from isthmus.values.clock import Clock
from isthmus.values.errors import TryLater
from isthmus.values.messages.control import Result, WriteAnswer

SEGMENT_BYTES: Final = 1 << 20
SEGMENTS: Final = 16
MOST_LINES: Final = 500
MOST_BYTES: Final = 512 * 1024
"""What one answer to core holds at most."""
_HEAD = 9  # eight hexadecimal digits and a blank
_SUFFIX = ".journal"


@dataclass(slots=True)
class Known:
    """What the journal holds of one command. ``answer`` is None while nobody knows."""

    tag: int
    value: Any
    n: int
    at_ns: int
    sent: bool
    answer: WriteAnswer | None


@dataclass(slots=True)
class _Segment:
    first: int
    path: Path
    size: int
    lines: int


class Journal:
    """One writer. ``append`` reaches the system at once (it outlives the process), ``sync`` waits for the disk.

    Limits: SEGMENTS segments of SEGMENT_BYTES; the oldest go
    Raises: TryLater when the disk takes nothing
    """

    def __init__(
        self, folder: Path, clock: Clock, *, segment_bytes: int = SEGMENT_BYTES, segments: int = SEGMENTS
    ) -> None:
        self._folder, self._clock = folder, clock
        self._segment_bytes, self._most = segment_bytes, max(2, segments)
        self._segments: list[_Segment] = []
        self._file = -1
        self._commands: dict[str, Known] = {}
        self._newest = 0
        self._synced = 0
        self.damaged = 0
        self._thread = ThreadPoolExecutor(1, "journal")
        self._syncing: asyncio.Future[None] | None = None
        self._open()

    @property
    def newest(self) -> int:
        """The number of the last line; 0 before the first."""
        return self._newest

    @property
    def first(self) -> int:
        """The number of the oldest line that is left."""
        return self._segments[0].first

    def command(self, id_: str) -> Known | None:
        """What became of a command."""
        return self._commands.get(id_)

    def unanswered(self) -> tuple[tuple[str, Known], ...]:
        """Commands that were sent, and of which nobody knows how they ended."""
        return tuple((id_, known) for id_, known in self._commands.items() if known.answer is None)

    def lines(self) -> Iterator[dict[str, Any]]:
        """Every line that is left, oldest first."""
        for segment in self._segments:
            yield from (line for _, line in _parsed(segment.path.read_bytes()))

    def after(self, n: int) -> list[dict[str, Any]]:
        """Lines behind a number, oldest first, as many as fit into one answer."""
        found: list[dict[str, Any]] = []
        size = 0
        begin = max(bisect_right([s.first for s in self._segments], n + 1) - 1, 0)
        for segment in self._segments[begin:]:
            for length, line in _parsed(segment.path.read_bytes()):
                if line["n"] <= n:
                    continue
                size += length
                if found and (len(found) >= MOST_LINES or size > MOST_BYTES):
                    return found
                found.append(line)
        return found

    def append(self, kind: str, **said: Any) -> int:
        """One more line; its number. It is not on the disk before ``sync``."""
        line = {"n": self._newest + 1, "at_ns": self._clock.now_ns(), "kind": kind, **said}
        data = orjson.dumps(line)
        whole = b"%08x %s\n" % (zlib.crc32(data), data)
        segment = self._segments[-1]
        try:
            if segment.size and segment.size + len(whole) > self._segment_bytes:
                segment = self._turn()
            self._write(segment, whole)
        except OSError as error:
            raise TryLater(f"the journal of this edge cannot be written: {error.strerror}") from error
        segment.size += len(whole)
        segment.lines += 1
        self._newest += 1
        self._learn(line)
        return self._newest

    async def sync(self) -> None:
        """Wait until everything appended so far is on the disk; who waits together shares one flush."""
        wanted = self._newest
        while self._synced < wanted:
            if self._syncing is None:
                self._syncing = asyncio.ensure_future(self._flush())
            await asyncio.shield(self._syncing)

    def close(self) -> None:
        """Let go of the file; safe twice."""
        self._thread.shutdown(wait=True)
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    # --- inside ------------------------------------------------------------------------------------------------------

    async def _flush(self) -> None:
        upto = self._newest
        try:
            mine = os.dup(self._file)  # the segment may turn meanwhile
            await asyncio.get_running_loop().run_in_executor(self._thread, _synced, mine)
        except OSError as error:
            raise TryLater(f"the journal of this edge does not reach its disk: {error.strerror}") from error
        finally:
            self._syncing = None
        self._synced = max(self._synced, upto)

    def _write(self, segment: _Segment, whole: bytes) -> None:
        try:
            written = os.write(self._file, whole)
            if written != len(whole):
                raise OSError(28, "no space left")
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, segment.size)  # half a line is no line
            raise

    def _turn(self) -> _Segment:
        """Begin a segment; what went before is flushed, and the oldest goes."""
        before = self._file
        segment = _Segment(self._newest + 1, self._folder / f"{self._newest + 1:020d}{_SUFFIX}", 0, 0)
        self._file = _opened(segment.path)
        os.fsync(before)
        os.close(before)
        self._synced = self._newest
        _sync_folder(self._folder)
        self._segments.append(segment)
        while len(self._segments) > self._most:
            oldest = self._segments.pop(0)
            oldest.path.unlink(missing_ok=True)
            keep = self._segments[0].first
            self._commands = {i: k for i, k in self._commands.items() if k.n >= keep or k.answer is None}
        return segment

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            self._read(path)
        if not self._segments:
            first = self._newest + 1
            self._segments.append(_Segment(first, self._folder / f"{first:020d}{_SUFFIX}", 0, 0))
        last = self._segments[-1]
        self._file = _opened(last.path)
        os.ftruncate(self._file, last.size)
        os.fsync(self._file)
        _sync_folder(self._folder)
        self._synced = self._newest

    def _read(self, path: Path) -> None:
        """Take in a segment; what stands behind its last good line is a torn tail."""
        data = path.read_bytes()
        good, lines = 0, 0
        for end, line in _parsed(data, ends=True):
            good, lines = end, lines + 1
            self._newest = max(self._newest, line["n"])
            self._learn(line)
        self.damaged += data[:good].count(b"\n") - lines
        first = int(path.name.removesuffix(_SUFFIX))
        self._newest = max(self._newest, first - 1)  # a segment that was begun says how far the one before had come
        self._segments.append(_Segment(first, path, good, lines))

    def _learn(self, line: dict[str, Any]) -> None:
        """Keep what a command became."""
        id_ = line.get("id")
        if line["kind"] != "write" or not id_:
            return
        if line["state"] == "sent":
            self._commands[id_] = Known(line["tag"], line["value"], line["n"], line["at_ns"], sent=True, answer=None)
            return
        known = self._commands.get(id_)
        if known is None:
            known = self._commands[id_] = Known(line["tag"], line["value"], 0, line["at_ns"], sent=False, answer=None)
        known.n, known.answer = line["n"], answer_of(line["answer"])


def answer_of(raw: dict[str, Any]) -> WriteAnswer:
    """An answer as it came from JSON.

    Raises: TypeError, KeyError, ValueError
    """
    names = {f.name for f in fields(WriteAnswer)}
    return WriteAnswer(**{**{k: v for k, v in raw.items() if k in names}, "result": Result(raw["result"])})


def answer_to(answer: WriteAnswer) -> dict[str, Any]:
    """Inverse of ``answer_of``."""
    return asdict(answer)


def _parsed(data: bytes, *, ends: bool = False) -> Iterator[tuple[int, dict[str, Any]]]:
    """Good lines with their length, or with where they end."""
    at = 0
    while (stop := data.find(b"\n", at)) >= 0:
        line = _line(data[at:stop])
        length, at = stop + 1 - at, stop + 1
        if line is not None:
            yield (at if ends else length), line


def _line(data: bytes) -> dict[str, Any] | None:
    try:
        body = data[_HEAD:]
        if data[_HEAD - 1 : _HEAD] != b" " or int(data[: _HEAD - 1], 16) != zlib.crc32(body):
            return None
        line: dict[str, Any] = orjson.loads(body)
    except ValueError:
        return None
    return line


def _opened(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _synced(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    _synced(os.open(folder, os.O_RDONLY))

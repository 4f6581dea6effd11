"""The writer: one thread appends what everybody hands in, and many who wait share one flush to the disk.

A batch is written to the segment and flushed; that is when an intent counts as durable. Then comes the list of checkpoints,
if there is one in the batch, and the head, signed; it is written with each batch, so that a killed process leaves it right,
and flushed ten times a second. So a log that ends before its head says was cut; one that goes on behind it met a loss of
power within that tenth of a second, or another hand, and the next start says so.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import itertools
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from isthmus.security.audit.files import SLOT, AuditFiles, head_slots, open_key, slot, sync_folder, write_whole
from isthmus.security.audit.record import (
    BEGIN,
    CHECKPOINT,
    INTENT,
    NOTE,
    OUTCOME,
    canonical,
    digest,
    parse,
    public_text,
    sign,
    signed,
    time_text,
)
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError

MOST_WAITING: Final = 10_000
"""Records in hand. Beyond it intents are refused, notes are dropped and counted."""
RESERVE_BYTES: Final = 8 * 2**20
"""Free space below which intents are refused; outcomes of what was begun still find room."""
_BATCH: Final = 2_000
_RETRY_S: Final = 1.0
_LAZY_S: Final = 0.05
_HEAD_NS: Final = NS_PER_S // 10
_LOOK_NS: Final = 3600 * NS_PER_S
_SYSTEM: Final = {"id": "system", "proof": "system", "role": "", "source": "", "station": ""}

Waiter = asyncio.Future[str] | concurrent.futures.Future[str]
"""Told the reason why a record is not durable, or the empty text when it is."""


@dataclass(frozen=True, slots=True)
class LogConfig:
    """How a log is cut and kept."""

    segment_bytes: int = 16 * 2**20
    keep_s: float = 1095 * 86_400
    checkpoint_records: int = 1000
    checkpoint_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Mark:
    """A record and its hash, to be known elsewhere."""

    seq: int
    hash: str
    time: str


@dataclass(slots=True)
class _Item:
    record: dict[str, Any]
    waiter: Waiter | None


@dataclass(slots=True)
class _End:
    """Where the chain ends."""

    seq: int = 0
    prev: str = BEGIN
    first: int = 1  # of the segment that is written
    offset: int = 0


class AuditLog:
    """``open`` starts the thread, ``close`` ends it; ``submit`` may be called from anywhere."""

    def __init__(
        self,
        files: AuditFiles,
        clock: Clock,
        config: LogConfig | None = None,
        log: logging.Logger | None = None,
        on_checkpoint: Callable[[Mark], None] = lambda _: None,
        held: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.files, self._clock, self._config = files, clock, config or LogConfig()
        self._log, self._on_checkpoint, self._held = log or logging.getLogger("isthmus.audit"), on_checkpoint, held
        self._changed = threading.Condition()
        self._waiting: deque[_Item] = deque()
        self._dropped = self._awaited = 0  # of those that wait: how many have somebody waiting for them
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._key: Ed25519PrivateKey | None = None
        self._end = _End()
        self._segment = self._head = -1
        self._turn = 0
        self._head_dirty, self._head_flushed_ns = False, 0
        self._last_checkpoint = ("", 0)  # hash of its line, its seq
        self._listed, self._unlisted = 0, b""  # bytes of the list of checkpoints, and what it still lacks
        self._checkpointed_ns = 0
        self._looked_ns = 0
        self._failed = ""
        self.public = b""
        self.confirmed = 0
        """The last record that is durable."""

    # for everybody

    @property
    def reason(self) -> str:
        """Why nothing can be written now, in words; empty while all is well."""
        return self._failed

    def open(self) -> None:
        """Find the end of the chain, say what was found there, and begin to write. A log that cannot be written is no
        reason not to start: effects are refused until it can.
        """
        self._checkpointed_ns = self._looked_ns = self._clock.monotonic_ns()
        with contextlib.suppress(OSError, ConfigError):
            self._ready()
        self._thread = threading.Thread(target=self._run, name="audit log")
        self._thread.start()

    def close(self) -> None:
        """Write what waits and a last checkpoint."""
        if self._thread is None:
            return
        self.submit({"kind": NOTE, "who": _SYSTEM, "action": "audit.close", "target": "audit"})
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()
        self._thread = None
        self._shut()

    def submit(self, record: dict[str, Any], waiter: Waiter | None = None) -> None:
        """Hand in a record without ``seq``, ``time`` and ``prev``. Never blocks."""
        refused = ""
        with self._changed:
            if self._thread is None or self._stopping:
                refused = "the audit log is closed"
            elif len(self._waiting) >= MOST_WAITING:
                refused = "too many records wait for the audit log"
                self._dropped += 1
            else:
                self._waiting.append(_Item(record, waiter))
                self._awaited += waiter is not None
                if len(self._waiting) == 1 or self._awaited == 1:
                    self._changed.notify_all()
        if refused and waiter is not None:
            _tell([waiter], refused)

    def wait_beyond(self, seq: int, timeout_s: float) -> int:
        """The last durable record, as soon as it is beyond ``seq``, the log closes, or time is up."""
        with self._changed:
            self._changed.wait_for(lambda: self.confirmed > seq or self._stopping, timeout_s)
            return self.confirmed

    def sign(self, record: dict[str, Any]) -> bytes:
        """A line signed by this log's key.

        Raises: ConfigError when the log has none
        """
        if self._key is None:
            raise ConfigError(f"audit: {self._failed or 'the log is not open'}")
        return sign(record, self._key)

    # the thread

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting) or self._stopping, self._pause_s())
                # what nobody waits for shares the flush of what somebody does, if that comes soon
                self._changed.wait_for(lambda: self._awaited or self._stopping, self._lazy_s())
                items = [self._waiting.popleft() for _ in range(min(len(self._waiting), _BATCH))]
                self._awaited = sum(item.waiter is not None for item in self._waiting) if self._waiting else 0
                stopping = self._stopping and not self._waiting
            try:
                self._write(items, closing=stopping)
            except (OSError, ConfigError) as error:
                self._refuse(items, error)
            except Exception as error:
                self._log.exception("the audit log met a bug")
                self._refuse(items, error)
            if stopping:
                return

    def _lazy_s(self) -> float:
        if not self._waiting:
            return 0.0
        return _RETRY_S if self._failed else _LAZY_S

    def _pause_s(self) -> float:
        if self._failed:
            return _RETRY_S
        if self._head_dirty:
            return _HEAD_NS / NS_PER_S
        return self._config.checkpoint_s if self._end.seq > self._last_checkpoint[1] else _LOOK_NS / NS_PER_S

    def _refuse(self, items: Sequence[_Item], error: Exception) -> None:
        """Nothing of the batch is in the log: who waits is told, the others go back to the front of the queue."""
        reason = f"the audit log cannot be written ({_words(error)}); nothing is changed until it can"
        if self._failed != reason:
            self._log.error("%s", reason)
        self._failed = reason
        self._shut()
        with self._changed:
            if not self._stopping:
                self._waiting.extendleft(item for item in reversed(items) if item.waiter is None)
        _tell([item.waiter for item in items if item.waiter is not None], reason)

    def _write(self, items: list[_Item], *, closing: bool) -> None:
        self._ready()
        items = self._with_room(items)
        now_ns = self._clock.monotonic_ns()
        records = [item.record for item in items]
        if self._dropped and records:
            with self._changed:
                dropped, self._dropped = self._dropped, 0
            records.append(_note("audit.dropped", {"records": dropped}))
        end, lines = self._chained(records)
        since = end.seq - self._last_checkpoint[1]
        late = now_ns - self._checkpointed_ns >= self._config.checkpoint_s * NS_PER_S
        due = since and (late or closing or since >= self._config.checkpoint_records)
        if lines or due:
            waiters = [item.waiter for item in items if item.waiter is not None]
            self._commit(lines, end, self._checkpoint(end) if due else None, lambda: self._durable(waiters))
        elif self._head_dirty:
            self._flush_head()
        try:
            if self._end.offset >= self._config.segment_bytes and not closing:
                self._new_segment()
                self._retire()
            elif now_ns - self._looked_ns >= _LOOK_NS:
                self._retire()
        except OSError as error:  # the batch is safe; the next one meets what is wrong, or it has passed
            self._log.warning("the audit log could not be tidied: %s", _words(error))
            self._shut()

    def _durable(self, waiters: Sequence[Waiter]) -> None:
        if self._failed:
            self._log.info("the audit log is written again")
            self._failed = ""
        _tell(waiters, "")

    def _with_room(self, items: list[_Item]) -> list[_Item]:
        """Refuse intents when only the reserve is left."""
        room = os.statvfs(self.files.folder)
        if room.f_bavail * room.f_frsize >= RESERVE_BYTES:
            return items
        refused = [i for i in items if i.waiter is not None and i.record["kind"] == INTENT]
        _tell([i.waiter for i in refused if i.waiter], "the disk under the audit log is full; free some space")
        return [i for i in items if i not in refused]

    def _chained(self, records: Iterable[Mapping[str, Any]]) -> tuple[_End, list[bytes]]:
        """The records as lines behind the end of the chain, and the end they make."""
        end, lines, time = self._end, [], time_text(self._clock.now_ns())
        seq, prev, offset = end.seq, end.prev, end.offset
        for record in records:
            seq += 1
            line = canonical({**record, "seq": seq, "time": time, "prev": prev})
            prev = digest(line)
            offset += len(line) + 1
            lines.append(line)
        return _End(seq, prev, end.first, offset), lines

    def _checkpoint(self, end: _End, **more: Any) -> tuple[bytes, _End]:
        """A checkpoint behind an end, and the end it makes."""
        record = {
            "kind": CHECKPOINT,
            "seq": end.seq + 1,
            "time": time_text(self._clock.now_ns()),
            "prev": end.prev,
            "previous": self._last_checkpoint[0],
            **more,
        }
        line = self.sign(record)
        return line, _End(end.seq + 1, digest(line), end.first, end.offset + len(line) + 1)

    def _commit(
        self,
        lines: list[bytes],
        end: _End,
        checkpoint: tuple[bytes, _End] | None,
        durable: Callable[[], None] = lambda: None,
    ) -> None:
        """Segment, list of checkpoints, head; each is on the disk before the next is begun.

        Raises: OSError from the segment: the end of the chain is where it was. What fails after it is made good when
                the files are opened again, which is said by closing them.
        """
        if checkpoint is not None:
            lines, end = [*lines, checkpoint[0]], checkpoint[1]
        data = b"".join(line + b"\n" for line in lines)
        _write_all(self._segment, data)
        os.fdatasync(self._segment)
        self._end = end
        with self._changed:
            self.confirmed = end.seq
            self._changed.notify_all()
        durable()
        if checkpoint is not None:
            self._last_checkpoint = (end.prev, end.seq)
            self._checkpointed_ns = self._clock.monotonic_ns()
            self._unlisted += checkpoint[0] + b"\n"
            self._on_checkpoint(Mark(end.seq, end.prev, time_text(self._clock.now_ns())))
        try:
            self._vouch(end)
        except OSError as error:
            self._log.warning("the head of the audit log could not be written: %s", _words(error))
            self._shut()

    def _vouch(self, end: _End) -> None:
        """The list of checkpoints and the head follow the segment.

        Raises: OSError
        """
        if self._unlisted:
            descriptor = os.open(self.files.checkpoints, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.ftruncate(descriptor, self._listed)  # what a failed write left behind
                os.lseek(descriptor, self._listed, os.SEEK_SET)
                _write_all(descriptor, self._unlisted)
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)
            self._listed, self._unlisted = self._listed + len(self._unlisted), b""
        self._put_head(end, flush=self._stopping)

    def _put_head(self, end: _End, *, flush: bool = False) -> None:
        self._turn = 1 - self._turn
        time = time_text(self._clock.now_ns())
        line = self.sign({"seq": end.seq, "hash": end.prev, "time": time, "place": self._turn})
        os.pwrite(self._head, slot(line), self._turn * SLOT)
        self._head_dirty = True
        if flush or self._clock.monotonic_ns() - self._head_flushed_ns >= _HEAD_NS:
            self._flush_head()

    def _flush_head(self) -> None:
        os.fdatasync(self._head)
        self._head_dirty, self._head_flushed_ns = False, self._clock.monotonic_ns()

    def _new_segment(self) -> None:
        os.close(self._segment)
        self._segment = -1
        first = self._end.seq + 1
        self._segment = os.open(self.files.segment(first), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        sync_folder(self.files.folder)
        self._end = _End(self._end.seq, self._end.prev, first, 0)

    def _retire(self) -> None:
        """Remove whole segments that are older than they are kept, after a signed checkpoint says so."""
        self._looked_ns = self._clock.monotonic_ns()
        now_ns = self._clock.now_ns()
        segments = self.files.segments()
        old: list[int] = []
        last: dict[str, Any] | None = None
        for (first, _), (_, following) in itertools.pairwise(segments):
            with following.open("rb") as file:
                record = parse(file.readline().rstrip(b"\n"))
            if record is None or not self._may_go(record, now_ns):
                break
            old.append(first)
            last = record
        if last is None:
            return
        removed = {"last": last["seq"] - 1, "hash": last["prev"], "segments": len(old)}
        self._commit([], self._end, self._checkpoint(self._end, removed=removed))
        for first in old:
            self.files.segment(first).unlink()
        sync_folder(self.files.folder)
        lines = _whole_lines(self.files.checkpoints)
        kept = b"".join(line + b"\n" for line in lines if (parse(line) or {"seq": 0})["seq"] >= last["seq"])
        write_whole(self.files.checkpoints, kept)
        self._listed = len(kept)
        self._log.info("audit records up to %d are older than they are kept and were removed", removed["last"])

    def _may_go(self, following: Mapping[str, Any], now_ns: int) -> bool:
        """Whether the segment before this record is old enough. What a receiver still lacks is kept twice as long."""
        keep_ns = round(self._config.keep_s * NS_PER_S)
        held = self._held()
        if held is not None and held < following["seq"] - 1:
            keep_ns *= 2
        return str(following.get("time")) < time_text(max(0, now_ns - keep_ns))

    # finding the end of the chain

    def _ready(self) -> None:
        """Open files where they are not open.

        Raises: OSError, ConfigError
        """
        if self._segment >= 0 and self._head >= 0:
            return
        if self._key is None:
            self.files.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._key = open_key(self.files)
            self.public = self._key.public_key().public_bytes_raw()
            self._log.debug("the audit log is signed by %s", public_text(self._key.public_key()))
            try:
                found = self._recover()
                self._open_files()
                end, lines = self._chained(found)
                self._commit(lines, end, None)
            except BaseException:
                self._key = None
                raise
            self.files.restored.unlink(missing_ok=True)
        else:
            self._open_files()
            self._vouch(self._end)

    def _open_files(self) -> None:
        self._shut()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._segment = os.open(self.files.segment(self._end.first), flags, 0o600)
        os.ftruncate(self._segment, self._end.offset)  # what a failed write left behind
        self._head = os.open(self.files.head, os.O_RDWR | os.O_CREAT, 0o600)
        self._put_head(self._end)
        self._put_head(self._end)
        os.fsync(self._head)
        sync_folder(self.files.folder)

    def _shut(self) -> None:
        for descriptor in (self._segment, self._head):
            if descriptor >= 0:
                os.close(descriptor)
        self._segment = self._head = -1

    def _recover(self) -> list[dict[str, Any]]:
        """Set the end of the chain; the notes that say what was found there."""
        found: dict[str, Any] = {}
        segments = self.files.segments()
        end = _End()
        if segments:
            end = self._last_whole(*segments[-1], found)
        self._meet_head(end, found)
        if self.files.restored.exists():
            found["restored"] = self.files.restored.read_text()[:200]
        self._complete_list(found)
        self._end = end
        for what, detail in found.items():
            self._log.warning("audit log: %s: %s", what, detail)
        return [_note("audit.open", found)]

    def _last_whole(self, first: int, path: os.PathLike[str], found: dict[str, Any]) -> _End:
        """The end as the last segment has it; what stands behind its last whole record is put aside."""
        content = self.files.segment(first).read_bytes()
        cut = content.rfind(b"\n") + 1
        record = None
        while cut and record is None:
            begin = content.rfind(b"\n", 0, cut - 1) + 1
            record = parse(content[begin : cut - 1])
            if record is None:
                cut = begin
        end = (
            _End(record["seq"], digest(content[begin : cut - 1]), first, cut)
            if record
            else _End(first - 1, BEGIN, first, 0)
        )
        torn = content[cut:]
        if torn:
            self.files.aside.mkdir(exist_ok=True, mode=0o700)
            aside = self.files.aside / f"after-{end.seq:012d}-{digest(torn)[:8]}"
            write_whole(aside, torn)
            os.truncate(path, cut)
            found["torn"] = {"after": end.seq, "bytes": len(torn), "sha256": digest(torn), "file": aside.name}
        return end

    def _meet_head(self, end: _End, found: dict[str, Any]) -> None:
        """Hold the end against the signed head; where they differ, the head's word counts, and it is said."""
        slots = head_slots(self.files.head.read_bytes()) if self.files.head.exists() else []
        good = [r for _, r in slots if r is not None and signed(r, self.public)]
        head = max(good, key=lambda r: int(r["seq"]), default=None)
        if head is None:
            if end.seq or slots:
                found["head"] = {"missing": True, "end": end.seq}
            return
        if head["seq"] > end.seq or (head["seq"] == end.seq and end.seq and head["hash"] != end.prev):
            found["missing"] = {"from": min(end.seq + 1, head["seq"]), "to": head["seq"], "hash": head["hash"]}
            end.seq, end.prev = head["seq"], head["hash"]
            if not end.offset:
                end.first = end.seq + 1
        elif head["seq"] < end.seq:
            found["unconfirmed"] = {"from": head["seq"] + 1, "to": end.seq}

    def _complete_list(self, found: dict[str, Any]) -> None:
        """What a crash kept from the list of checkpoints is added to it."""
        missing = not self.files.checkpoints.exists()
        listed = [] if missing else _whole_lines(self.files.checkpoints)
        last = parse(listed[-1]) if listed else None
        if listed and last is None:  # edited: a look at the whole log says where
            self._listed = self.files.checkpoints.stat().st_size
            return
        after = last["seq"] if last else 0
        segments = self.files.segments()
        added = []
        for (_, path), following in itertools.zip_longest(segments, segments[1:]):
            if following is not None and following[0] <= after:
                continue
            for line in _whole_lines(path):
                if b'"kind":"checkpoint"' in line:
                    record = parse(line)
                    if (
                        record
                        and record.get("kind") == CHECKPOINT
                        and record["seq"] > after
                        and signed(record, self.public)
                    ):
                        added.append(line)
        if missing and added:
            found["checkpoints"] = {"missing": True, "rebuilt": len(added)}
        content = b"".join(line + b"\n" for line in [*listed, *added])
        write_whole(self.files.checkpoints, content)
        self._listed = len(content)
        if listed or added:
            line = [*listed, *added][-1]
            self._last_checkpoint = (digest(line), (parse(line) or {"seq": 0})["seq"])


def _note(action: str, detail: Mapping[str, Any]) -> dict[str, Any]:
    return {"kind": NOTE, "who": _SYSTEM, "action": action, "target": "audit", "new": dict(detail)}


def _whole_lines(path: os.PathLike[str]) -> list[bytes]:
    with open(path, "rb") as file:  # noqa: PTH123  a path-like of any kind
        return file.read().split(b"\n")[:-1]


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _words(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error) or type(error).__name__


def _tell(waiters: Sequence[Waiter], reason: str) -> None:
    """Wake everybody of a batch, each loop once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[str]]] = {}
    for waiter in waiters:
        if isinstance(waiter, asyncio.Future):
            by_loop.setdefault(waiter.get_loop(), []).append(waiter)
        elif not waiter.done():
            waiter.set_result(reason)
    for loop, futures in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, futures, reason)


def _resolve(futures: Sequence[asyncio.Future[str]], reason: str) -> None:
    for future in futures:
        if not future.done():
            future.set_result(reason)


__all__ = ["INTENT", "NOTE", "OUTCOME", "AuditLog", "LogConfig", "Mark", "Waiter"]

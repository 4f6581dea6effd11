"""One file into the record: checked whole first, or with its refused rows set aside; resumable at any moment.

What was checked is kept aside as the blocks to be sent, so that the file is read once.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, Protocol

import pyarrow as pa

from isthmus.transfer.csv_file import CsvFile
from isthmus.transfer.model import EXAMPLES, Layout, Made, Piece, Refused, Tally, Target
from isthmus.transfer.parquet_file import ParquetFile, Source, is_parquet
from isthmus.transfer.rows import Converter
from isthmus.values.errors import ConfigError, Finding, Findings
from isthmus.values.sample import SampleBatch, ValueType

BLOCK_ROWS = 750_000
_THREADS = 2
_AHEAD = 3
_EDGE = 1 << 20
FORMAT = 1


class Door(Protocol):
    """Where blocks go."""

    def position(self, key: str) -> tuple[int | None, int]:
        """(epoch, block) of an import that is stored last; (None, 0) if there is none."""
        ...

    def send(self, key: str, epoch: int, block: int, body: bytes) -> None:
        """Store a block; it is durable when this returns. Waits while there is no room, or nobody."""
        ...


Progress = Callable[[str, int, int, int], None]
"""(what is done: checking or importing, position, size, rows so far)."""


@dataclass(frozen=True, slots=True)
class State:
    """How far an import has come, as it is kept between runs."""

    epoch: int
    block: int
    position: int
    line: int
    rejects_bytes: int
    tally: Tally

    def write(self, file: Path) -> None:
        """Replace what was there, in one step."""
        raw = {"format": FORMAT, **{n: getattr(self, n) for n in ("epoch", "block", "position", "line")}}
        raw |= {"rejects_bytes": self.rejects_bytes, "tally": self.tally.to_json()}
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = file.with_suffix(".new")
        aside.write_text(json.dumps(raw))
        aside.replace(file)

    @classmethod
    def read(cls, file: Path) -> State | None:
        """What was kept; None if there is nothing that this build understands."""
        try:
            raw = json.loads(file.read_text())
            if raw.pop("format") != FORMAT:
                return None
            return cls(**{**raw, "tally": Tally.from_json(raw["tally"])})
        except (OSError, ValueError, KeyError, TypeError):
            return None


def open_source(file: Path, layout: Layout) -> Source:
    """A file by what it is.

    Raises: ConfigError if it cannot be read
    """
    return ParquetFile(file) if is_parquet(file) else CsvFile(file, layout)


def fingerprint(file: Path, layout: Layout, targets: Mapping[str, Target]) -> str:
    """Names an import: this file, read this way, into these tags."""
    found = file.stat()
    digest = sha256(f"{found.st_size} {found.st_mtime_ns} {layout!r}\n".encode())
    with file.open("rb") as opened:
        digest.update(opened.read(_EDGE))
        opened.seek(max(0, found.st_size - _EDGE))
        digest.update(opened.read(_EDGE))
    for path in sorted(targets):
        target = targets[path]
        digest.update(f"{target.id} {path} {target.type} {sorted(target.states.items())}\n".encode())
    return digest.hexdigest()[:32]


def encode(batches: list[SampleBatch]) -> bytes:
    """A block: Arrow streams one behind the other, one for each type."""
    out = pa.BufferOutputStream()
    for batch in batches:
        value = pa.array(batch.value)
        if batch.type is ValueType.TEXT:
            value = pa.DictionaryArray.from_arrays(value, pa.array(list(batch.text), pa.string()))
        part = pa.record_batch(
            {
                "tag": pa.array(batch.id),
                "time": pa.array(batch.time_ns),
                "value": value,
                "status": pa.array(batch.status),
            }
        )
        with pa.ipc.new_stream(out, part.schema) as stream:
            stream.write_batch(part)
    return bytes(out.getvalue())


def blocks(batches: list[SampleBatch]) -> Iterator[bytes]:
    """The samples of a piece in blocks of bounded size."""
    whole = [b for b in batches if len(b)]
    if sum(map(len, whole)) <= BLOCK_ROWS:
        if whole:
            yield encode(whole)
        return
    for batch in whole:
        for start in range(0, len(batch), BLOCK_ROWS):
            yield encode([batch.rows(slice(start, start + BLOCK_ROWS))])


@dataclass(frozen=True, slots=True)
class Parcel:
    """What a piece of the file sends, and where the file goes on behind it."""

    end: int
    line: int
    told: Tally
    refused: list[Refused]
    bodies: Sequence[bytes]


class Shelf:
    """Parcels of a file that is still being checked, so that it is read once. They vanish with this process.

    It takes no more than a quarter of the room there is; what does not fit is read a second time.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  it is closed by ``close``
        self._left = shutil.disk_usage(folder).free // 4
        self._parcels: list[tuple[Parcel, list[int]]] = []
        self._tags: set[int] = set()
        self.whole = True

    def put(self, parcel: Parcel) -> None:
        """Keep a parcel, where there is room."""
        sizes = [len(body) for body in parcel.bodies]
        self._left -= sum(sizes)
        if not self.whole or self._left < 0:
            self._give_up()
            return
        try:
            for body in parcel.bodies:
                self._file.write(body)
        except OSError:  # the disk is fuller than it said
            self._give_up()
            return
        parcel.told.tags -= self._tags
        self._tags |= parcel.told.tags
        self._parcels.append((replace(parcel, bodies=()), sizes))

    def parcels(self) -> Iterator[Parcel]:
        """All of them, as they came."""
        self._file.seek(0)
        for parcel, sizes in self._parcels:
            yield replace(parcel, bodies=[self._file.read(size) for size in sizes])

    def close(self) -> None:
        """Give the room back."""
        with contextlib.suppress(OSError):  # what was not written yet need not be
            self._file.close()

    def _give_up(self) -> None:
        self.whole, self._parcels = False, []
        self.close()


class Import:
    """One file, on its way into the record."""

    def __init__(
        self,
        file: Path,
        layout: Layout,
        targets: Mapping[str, Target],
        now_ns: int,
        progress: Progress = lambda *_: None,
    ) -> None:
        self.file, self._now_ns, self._progress = file, now_ns, progress
        self.source = open_source(file, layout)
        self._converter = Converter(self.source, layout, targets, now_ns)
        self.key = fingerprint(file, layout, targets)

    def check(self, rejects: Path | None = None) -> Tally:
        """Read the whole file and send nothing."""
        tally = Tally()
        self._converter.most = None if rejects else EXAMPLES
        with _Rejects(rejects, self.file, 0) as out:
            for made in self._made("checking", 0, 0, tally):
                tally.add(made)
                out.write(made.refused)
        return tally

    def run(self, door: Door, folder: Path, rejects: Path | None = None) -> Tally:
        """Import the file: whole, or but for the rows that go into the file of rejects.

        Raises: Findings if rows would be refused and there is no file of rejects; nothing was sent then
        """
        file = folder / f"{self.key}.json"
        state = self._resumed(door, file)
        with contextlib.ExitStack() as last:
            shelf: Shelf | None = None
            if state is None and rejects is None:
                shelf = Shelf(folder)
                last.callback(shelf.close)
                self._shelve(shelf)
            state = state or State(self._epoch(door), 0, 0, 0, 0, Tally())
            if shelf is not None and shelf.whole:
                parcels = shelf.parcels()
            else:
                self._converter.most = None if rejects else EXAMPLES
                parcels = self._parcels("importing", state.position, state.line, state.tally)
            tally = self._send(door, file, state, parcels, rejects)
        file.unlink(missing_ok=True)
        return tally

    def resumes(self, door: Door, folder: Path) -> int:
        """Position at which a run would go on; 0 is the beginning."""
        state = self._resumed(door, folder / f"{self.key}.json")
        return 0 if state is None else state.position

    def _epoch(self, door: Door) -> int:
        return max(self._now_ns, (door.position(self.key)[0] or 0) + 1)

    def _resumed(self, door: Door, file: Path) -> State | None:
        """Where the last run ended; None if the record does not have what that run sent, as after a restore."""
        state = State.read(file)
        if state is None:
            return None
        epoch, block = door.position(self.key)
        if epoch != state.epoch or block < state.block:
            return None
        # A new run numbers its blocks anew: what it sends a second time has the same keys, and no second effect.
        return State(self._epoch(door), 0, state.position, state.line, state.rejects_bytes, state.tally)

    def _shelve(self, shelf: Shelf) -> None:
        """Check the whole file, and keep what is to be sent.

        Raises: Findings if rows would be refused
        """
        checked = Tally()
        self._converter.most = EXAMPLES
        for made in self._made("checking", 0, 0, checked):
            checked.add(made)
            if not checked.refused and shelf.whole:
                shelf.put(_parcel(made))
        if checked.refused:
            raise refusal(self.file, checked)

    def _parcels(self, what: str, position: int, line: int, tally: Tally) -> Iterator[Parcel]:
        return map(_parcel, self._made(what, position, line, tally))

    def _send(self, door: Door, file: Path, state: State, parcels: Iterator[Parcel], rejects: Path | None) -> Tally:
        tally, block = state.tally, 0
        with _Rejects(rejects, self.file, state.rejects_bytes) as out:
            for parcel in _joined(parcels):
                tally.join(parcel.told)
                if parcel.told.refused and rejects is None:
                    raise refusal(self.file, tally)
                out.write(parcel.refused)
                for body in parcel.bodies:
                    block += 1
                    door.send(self.key, state.epoch, block, body)
                self._progress("importing", parcel.end, self.source.size, tally.rows)
                if block == 0:  # nothing of the file was good so far: there is no position to come back to
                    continue
                State(state.epoch, block, parcel.end, parcel.line, out.bytes, tally).write(file)
        return tally

    def _made(self, what: str, position: int, line: int, tally: Tally) -> Iterator[Made]:
        """Pieces as samples, in order, a few of them made ahead in threads. Who takes them counts them in the tally."""
        pieces = self.source.pieces(position, line)
        self._progress(what, position, self.source.size, tally.rows)
        waiting: deque[Future[Made]] = deque()
        with ThreadPoolExecutor(_THREADS, "import") as pool, contextlib.ExitStack() as last:
            last.callback(lambda: [f.cancel() for f in waiting])
            while True:
                while len(waiting) < _AHEAD and (piece := next(pieces, None)) is not None:
                    waiting.append(pool.submit(self._make, piece))
                if not waiting:
                    return
                made = waiting.popleft().result()
                yield made
                self._progress(what, made.piece.end, self.source.size, tally.rows)

    def _make(self, piece: Piece) -> Made:
        return self._converter.make(piece)


def _parcel(made: Made) -> Parcel:
    told = Tally()
    told.add(made)
    return Parcel(made.piece.end, made.piece.line + made.piece.rows, told, made.refused, list(blocks(made.batches)))


def _joined(parcels: Iterator[Parcel]) -> Iterator[Parcel]:
    """The same with neighbours together up to the size of a block.

    A file is read in the pieces it happens to have, such as row groups. Each block becomes a part of the record on disk, and
    parts are merged with each other again and again: many small ones cost core twice as much.
    """
    waiting: list[Parcel] = []
    size = 0
    for parcel in parcels:
        more = max(parcel.told.samples, parcel.told.rows)  # refused rows wait too
        if waiting and size + more > BLOCK_ROWS:
            yield _together(waiting)
            waiting, size = [], 0
        waiting.append(parcel)
        size += more
    if waiting:
        yield _together(waiting)


def _together(parcels: list[Parcel]) -> Parcel:
    if len(parcels) == 1:
        return parcels[0]
    told = Tally()
    for parcel in parcels:
        told.join(parcel.told)
    body = b"".join(body for parcel in parcels for body in parcel.bodies)
    refused = [r for parcel in parcels for r in parcel.refused]
    return Parcel(parcels[-1].end, parcels[-1].line, told, refused, [body] if body else [])


class _Rejects:
    """The file of refused rows: as many bytes of it as a former run had finished, and what comes now."""

    def __init__(self, file: Path | None, source: Path, keep: int) -> None:
        self._file, self._source, self._keep = file, source, keep
        self._opened: IO[str] | None = None
        self._writer: Any = None
        self.bytes = keep

    def __enter__(self) -> _Rejects:
        if self._file is not None:
            try:
                self._opened = self._file.open(
                    "r+" if self._keep and self._file.exists() else "w", encoding="utf-8", newline=""
                )
            except OSError as error:
                raise ConfigError(f"{self._file}: {error.strerror}") from error
            self._opened.truncate(self._keep)
            self._opened.seek(0, os.SEEK_END)
            self._writer = csv.writer(self._opened)
            if not self._keep:
                self._writer.writerow(("file", "line", "column", "name", "value", "problem", "row"))
        return self

    def write(self, refused: list[Refused]) -> None:
        if self._opened is None or not refused:
            return
        self._writer.writerows(
            (self._source.name, r.line, r.column, r.name, r.value, r.problem, r.text) for r in refused
        )
        self._opened.flush()
        self.bytes = self._opened.tell()

    def __exit__(self, *_: object) -> None:
        if self._opened is not None:
            self._opened.close()


def findings(file: Path, tally: Tally) -> tuple[Finding, ...]:
    """What was refused, the first of it one by one."""
    found = [r.finding(str(file)) for r in tally.examples]
    if tally.refused > len(found):
        more = tally.refused - len(found)
        found.append(Finding("error", str(file), 0, 0, "", f"and {more} more rows like these {EXAMPLES}", ""))
    return tuple(found)


def refusal(file: Path, tally: Tally) -> Findings:
    """Why a file was not taken."""
    text = f"{tally.refused} of {tally.rows} rows cannot be taken, so nothing was; mend them, or set them aside with --rejects FILE"
    return Findings((*findings(file, tally), Finding("error", str(file), 0, 0, "", text, "")))

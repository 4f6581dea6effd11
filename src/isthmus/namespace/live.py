"""The live table: the newest value of every tag, as columns.

One row per tag of the current plant version. It is not locked: everything that writes it runs on one thread (the event
loop of core); a reader on another thread takes `read`, which copies. A value is guarded by its time: a sample older
than the one in place is ignored, so frames may arrive in any order and be sent twice.
"""

from __future__ import annotations

import io
import os
import zipfile
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from isthmus.namespace.model import EMPTY, Plant
from isthmus.ports.frames import Cursor, Position
from isthmus.values import status
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import Malformed
from isthmus.values.frame import Lane
from isthmus.values.sample import SampleBatch, ValueType

FORMS: Final = (ValueType.FLOAT, ValueType.INT, ValueType.TEXT)
"""What ``LiveTable.form`` counts in: the type of the sample a row holds."""

_FORM_OF = {value_type: np.uint8(i) for i, value_type in enumerate(FORMS)}
_FLOAT, _INT, _TEXT = (_FORM_OF[value_type] for value_type in FORMS)
_AHEAD_NS = 60 * NS_PER_S
"""A stored time further than this in the future guards nothing: one sample of a clock that jumped must not blind a tag."""

_SNAPSHOT_FORMAT = 1


@dataclass(frozen=True, slots=True)
class LiveRows:
    """A copy of some rows. Where ``status`` is Bad, or the value is a text, ``value`` is NaN.

    Shapes: all (n,)
    Units:  time_ns is UTC ns, 0 where a tag never had a sample; value in the tag's unit
    """

    time_ns: NDArray[np.int64]
    value: NDArray[np.float64]
    ints: NDArray[np.int64]  # exact, where form is INT
    form: NDArray[np.uint8]  # index into FORMS
    text: NDArray[np.object_]  # str, where form is TEXT
    status: NDArray[np.uint32]
    since_ns: NDArray[np.int64]  # of a text: time of the first sample that said it; 0 for numbers

    def python(self) -> list[float | int | str | None]:
        """The values as Python has them, None where there is none. Cost: 50 ns a row, more for texts"""
        values: list[float | int | str | None] = list(self.value.tolist())
        bad = status.is_bad(self.status)
        for i in np.flatnonzero((self.form == _INT) & ~bad).tolist():
            values[i] = int(self.ints[i])
        for i in np.flatnonzero((self.form == _TEXT) & ~bad).tolist():
            values[i] = self.text[i]
        for i in np.flatnonzero(bad | ((self.form == _FLOAT) & np.isnan(self.value))).tolist():
            values[i] = None
        return values


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the table held at one moment, and how far the bus had been read by then."""

    model_version: int
    stream_seq: int
    cursor: Cursor
    saved_ns: int
    columns: Mapping[str, NDArray[Any]] = field(repr=False)
    texts: Mapping[int, str] = field(repr=False)  # by tag id
    good_texts: Mapping[int, str] = field(default_factory=dict, repr=False)

    def write(self, path: Path) -> None:
        """Replace the file at once or not at all; may run in a thread. Cost: 40 bytes a tag, one fsync."""
        meta = {
            "format": _SNAPSHOT_FORMAT,
            "model_version": self.model_version,
            "stream_seq": self.stream_seq,
            "saved_ns": self.saved_ns,
            "cursor": [[edge, int(lane), p.epoch, p.seq] for (edge, lane), p in self.cursor.items()],
            "texts": [[key, text] for key, text in self.texts.items()],
            "good_texts": [[key, text] for key, text in self.good_texts.items()],
        }
        buffer = io.BytesIO()
        arrays: dict[str, Any] = {**self.columns, "meta": np.frombuffer(orjson.dumps(meta), np.uint8)}
        np.savez(buffer, **arrays)
        part = path.with_name(path.name + ".part")
        with part.open("wb") as file:
            file.write(buffer.getbuffer())
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)

    @classmethod
    def read(cls, path: Path) -> Snapshot:
        """Inverse of ``write``.

        Raises: FileNotFoundError; Malformed if the file is not a snapshot this build reads
        """
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
                meta = orjson.loads(file["meta"].tobytes())
                if meta["format"] != _SNAPSHOT_FORMAT:
                    raise Malformed(f"{path.name}: snapshot format {meta['format']} is not one this build reads")
                kept = [name for name in _COLUMNS if name in file or name not in _NEWER]
                columns = {name: file[name].astype(_COLUMNS[name], casting="safe") for name in kept}
            if len({c.shape for c in columns.values()}) != 1 or columns["id"].ndim != 1:
                raise Malformed(f"{path.name}: columns of the snapshot differ in length")
            for name in _NEWER - columns.keys():
                columns[name] = np.zeros(len(columns["id"]), _COLUMNS[name])
                columns["good_ns"] = np.where(status.is_good(columns["status"]), columns["good_ns"], 0)
            if any(len(columns[form]) and int(columns[form].max()) >= len(FORMS) for form in ("form", "good_form")):
                raise Malformed(f"{path.name}: a value of the snapshot has no known type")
            cursor = {(str(e), Lane(lane)): Position(int(p), int(s)) for e, lane, p, s in meta["cursor"]}
            texts = {int(key): str(text) for key, text in meta["texts"]}
            good = {int(key): str(text) for key, text in meta.get("good_texts", ())}
            return cls(
                int(meta["model_version"]), int(meta["stream_seq"]), cursor, int(meta["saved_ns"]), columns, texts, good
            )
        except (Malformed, FileNotFoundError):
            raise
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise Malformed(f"{path.name}: not a snapshot: {error}") from error


_COLUMNS: Final[dict[str, type[np.generic]]] = {
    "id": np.int32,
    "time_ns": np.int64,
    "good_ns": np.int64,
    "value": np.float64,
    "ints": np.int64,
    "form": np.uint8,
    "status": np.uint32,
    "since_ns": np.int64,
    "good_value": np.float64,
    "good_ints": np.int64,
    "good_form": np.uint8,
}
_NEWER: Final = frozenset({"good_value", "good_ints", "good_form"})
"""Columns that snapshots of earlier builds do not have: nothing is known of the last good value then."""


class LiveTable:
    """The newest value of every tag.

    ``tick`` grows with every call that changed something, ``generation`` with every ``describe``: whoever keeps row
    numbers looks them up again when it changed. ``late`` counts samples ignored because a newer one was in place,
    ``unknown`` those of tags the plant does not have.
    """

    def __init__(self) -> None:
        self.plant: Plant = EMPTY
        self.tick = 0
        self.generation = 0
        self.late = 0
        self.unknown = 0
        self._stale_edges: set[str] = set()
        self._edges: dict[str, int] = {}
        self._row_of_path: dict[str, int] = {}
        self._paths: list[str] = []
        self._by_path = np.empty(0, np.intp)
        self._allocate(0)

    def _allocate(self, rows: int) -> None:
        self.id = np.zeros(rows, np.int32)
        self.time_ns = np.zeros(rows, np.int64)
        self.good_ns = np.zeros(rows, np.int64)  # time of the last good sample, also while the value is bad
        # What that sample said, kept when a worse one takes its place; while the value is good it is the value itself.
        self.good_value = np.full(rows, np.nan)
        self.good_ints = np.zeros(rows, np.int64)
        self.good_form = np.zeros(rows, np.uint8)
        self.good_text: NDArray[np.object_] = np.full(rows, None, object)
        self.value = np.full(rows, np.nan)
        self.ints = np.zeros(rows, np.int64)
        self.form = np.zeros(rows, np.uint8)
        self.since_ns = np.zeros(rows, np.int64)
        self.text: NDArray[np.object_] = np.full(rows, None, object)
        self.stored_status = np.full(rows, status.BAD_WAITING_FOR_INITIAL_DATA, np.uint32)
        self.status = self.stored_status.copy()  # as reported: what is stored, unless the edge is not heard
        self._changed = np.zeros(rows, np.int64)  # tick of the last change
        self._edge = np.zeros(rows, np.int32)
        self._stale = np.zeros(rows, np.bool_)
        self._order = np.zeros(rows, np.intp)  # scratch: who wrote a row last within a batch
        self._row_of_id = np.full(1, -1, np.intp)

    def __len__(self) -> int:
        return len(self.id)

    @property
    def model_version(self) -> int:
        """Version of the plant the rows belong to."""
        return self.plant.version

    def describe(self, plant: Plant) -> None:
        """Rebuild the rows for another version; tags that survive keep their values. Cost: 30 ms for 50,000 tags."""
        old_rows, old = self._row_of_id, self.read(np.arange(len(self)))
        old_stored = self.stored_status
        old_good: tuple[NDArray[Any], ...] = (
            self.good_ns,
            self.good_value,
            self.good_ints,
            self.good_form,
            self.good_text,
        )
        self.plant = plant
        self._allocate(len(plant.tags))
        self.id[:] = [tag.id for tag in plant.tags]
        edges = {name: i for i, name in enumerate(dict.fromkeys(tag.edge for tag in plant.tags))}
        self._edges = edges
        self._edge[:] = [edges[tag.edge] for tag in plant.tags]
        self._row_of_path = {tag.path: row for row, tag in enumerate(plant.tags)}
        self._paths = sorted(self._row_of_path)
        self._by_path = self.rows_of(self._paths)
        self._row_of_id = np.full(int(self.id.max(initial=0)) + 1, -1, np.intp)
        self._row_of_id[self.id] = np.arange(len(self))
        was = np.full(len(self), -1, np.intp)
        known = self.id < len(old_rows)
        was[known] = old_rows[self.id[known]]
        to, source = np.flatnonzero(was >= 0), was[was >= 0]
        self.time_ns[to] = old.time_ns[source]
        new_good: tuple[NDArray[Any], ...] = (
            self.good_ns,
            self.good_value,
            self.good_ints,
            self.good_form,
            self.good_text,
        )
        for new_column, old_column in zip(new_good, old_good, strict=True):
            new_column[to] = old_column[source]
        self.value[to] = old.value[source]
        self.ints[to] = old.ints[source]
        self.form[to] = old.form[source]
        self.since_ns[to] = old.since_ns[source]
        self.text[to] = old.text[source]
        self.stored_status[to] = old_stored[source]
        self._stale_edges &= set(edges)
        self._stale[:] = np.isin(self._edge, [edges[name] for name in self._stale_edges])
        self.generation += 1
        self.tick += 1
        self._changed[:] = self.tick
        self._report(np.arange(len(self)))

    def apply(self, batches: Iterable[SampleBatch], now_ns: int) -> None:
        """Take samples. The newest of each tag wins; among equal times the one that came last. Cost: 1 ms for 50,000."""
        for batch in batches:
            if len(batch):
                self._apply(batch, now_ns)

    def _apply(self, batch: SampleBatch, now_ns: int) -> None:
        rows = self._rows_of_ids(batch.id)
        if rows.min() < 0:
            known = rows >= 0
            self.unknown += len(rows) - int(known.sum())
            batch, rows = batch.rows(known), rows[known]
            if not len(rows):
                return
        stored = self.time_ns[rows]
        ahead = stored > now_ns + _AHEAD_NS
        if ahead.any():
            stored[ahead] = 0
        fresh = batch.time_ns >= stored
        if not fresh.all():
            self.late += len(rows) - int(fresh.sum())
            batch, rows = batch.rows(fresh), rows[fresh]
            if not len(rows):
                return
        if not self._each_once(rows):
            newest = _newest(rows, batch.time_ns)
            self.late += len(rows) - len(newest)
            batch, rows = batch.rows(newest), rows[newest]
        self._store(rows, batch)

    def _each_once(self, rows: NDArray[np.intp]) -> bool:
        if bool((rows[1:] > rows[:-1]).all()):
            return True  # ascending, as edges mostly send them
        order = np.arange(len(rows))
        self._order[rows] = order
        return np.array_equal(self._order[rows], order)

    def _store(self, rows: NDArray[np.intp], batch: SampleBatch) -> None:
        """Write rows that are known, fresh and each there once."""
        bad = status.is_bad(batch.status)
        good = status.is_good(batch.status)
        if not good.all():
            self._keep_good(rows[~good])
        if batch.type is ValueType.TEXT:
            self.value[rows] = np.nan
            texts = np.array([*batch.text, None], object)
            said = texts[np.where(bad, len(batch.text), batch.value).astype(np.intp)]
            new = said != self.text[rows]
            self.since_ns[rows[new]] = batch.time_ns[new]
            self.text[rows] = said
        else:
            self.value[rows] = np.where(bad, np.nan, batch.value) if bad.any() else batch.value
            if batch.type is ValueType.INT:
                self.ints[rows] = batch.value
        self.form[rows] = _FORM_OF[batch.type]
        self.time_ns[rows] = batch.time_ns
        self.good_ns[rows[good]] = batch.time_ns[good]
        self.stored_status[rows] = batch.status
        self.tick += 1
        self._changed[rows] = self.tick
        if self._stale_edges:
            self._report(rows)
        else:
            self.status[rows] = batch.status

    def _keep_good(self, rows: NDArray[np.intp]) -> None:
        """Keep what good rows hold, before something worse takes its place."""
        leaving = rows[status.is_good(self.stored_status[rows])]
        self.good_value[leaving] = self.value[leaving]
        self.good_ints[leaving] = self.ints[leaving]
        self.good_form[leaving] = self.form[leaving]
        self.good_text[leaving] = self.text[leaving]

    def last_good(self, rows: NDArray[np.intp]) -> LiveRows:
        """The last good value of rows that are not good now; status is Bad where there never was one."""
        time_ns = self.good_ns[rows]
        never = time_ns == 0
        return LiveRows(
            time_ns,
            np.where(never, np.nan, self.good_value[rows]),
            self.good_ints[rows],
            self.good_form[rows],
            self.good_text[rows],
            np.where(never, np.uint32(status.BAD_NO_DATA), np.uint32(status.GOOD)),
            np.zeros(len(rows), np.int64),
        )

    def _report(self, rows: NDArray[np.intp]) -> None:
        """Reported status: what is stored, or 'last usable value' while the edge is not heard."""
        stored = self.stored_status[rows]
        silent = self._stale[rows] & ~status.is_bad(stored)
        stored[silent] = status.UNCERTAIN_NO_COMMUNICATION_LAST_USABLE
        self.status[rows] = stored

    def edge_stale(self, edge: str, stale: bool) -> None:
        """Its heartbeats are missing, or back. The reported status of its tags follows; nothing stored is lost."""
        if stale == (edge in self._stale_edges) or edge not in self._edges:
            return
        (self._stale_edges.add if stale else self._stale_edges.discard)(edge)
        rows = np.flatnonzero(self._edge == self._edges[edge])
        self._stale[rows] = stale
        before = self.status[rows]
        self._report(rows)
        moved = rows[self.status[rows] != before]
        self.tick += 1
        self._changed[moved] = self.tick

    def stale_edges(self) -> frozenset[str]:
        """Edges that are not heard at present."""
        return frozenset(self._stale_edges)

    def rows_of(self, paths: Sequence[str]) -> NDArray[np.intp]:
        """Rows of tags by path, -1 where there is no such tag. Shapes: n paths -> (n,)"""
        get = self._row_of_path.get
        return np.fromiter((get(path, -1) for path in paths), np.intp, len(paths))

    def rows_under(self, root: str) -> NDArray[np.intp]:
        """Rows of all tags at or below a path, ordered by path; the empty path has all. Shapes: -> (n,)"""
        if not root:
            return self._by_path.copy()
        exact = self._row_of_path.get(root)
        first = bisect_left(self._paths, root + "/")
        below = self._by_path[first : bisect_left(self._paths, root + "0", first)]  # "0" is what follows "/"
        return below.copy() if exact is None else np.concatenate(([exact], below))

    def _rows_of_ids(self, ids: NDArray[np.int32]) -> NDArray[np.intp]:
        lookup = self._row_of_id
        if ids.min() >= 0 and ids.max() < len(lookup):
            return lookup[ids]
        inside = (ids >= 0) & (ids < len(lookup))
        return np.where(inside, lookup[np.where(inside, ids, 0)], -1)

    def changed_since(self, rows: NDArray[np.intp], tick: int) -> NDArray[np.intp]:
        """Positions in ``rows`` (all known) of what changed after ``tick``. Shapes: (n,) -> (k,), k <= n"""
        if tick >= self.tick:
            return np.empty(0, np.intp)
        return np.flatnonzero(self._changed[rows] > tick)

    def read(self, rows: NDArray[np.intp]) -> LiveRows:
        """A copy of the chosen rows with the status as reported."""
        return LiveRows(
            self.time_ns[rows],
            self.value[rows],
            self.ints[rows],
            self.form[rows],
            self.text[rows],
            self.status[rows],
            self.since_ns[rows],
        )

    def capture(self, cursor: Cursor, stream_seq: int, now_ns: int) -> Snapshot:
        """What ``save`` writes, copied, so that the writing may happen in a thread."""
        rows = np.flatnonzero(self.time_ns > 0)
        source = {name: getattr(self, name)[rows] for name in _COLUMNS}
        source["status"] = self.stored_status[rows]
        texts = {
            int(self.id[row]): self.text[row] for row in rows[source["form"] == _TEXT] if self.text[row] is not None
        }
        good_texts = {int(self.id[row]): self.good_text[row] for row in rows if self.good_text[row] is not None}
        return Snapshot(self.model_version, stream_seq, dict(cursor), now_ns, source, texts, good_texts)

    def save(self, path: Path, cursor: Cursor, stream_seq: int, now_ns: int) -> None:
        """Write a snapshot of all values, and how far the bus had been read, as one file."""
        self.capture(cursor, stream_seq, now_ns).write(path)

    def load(self, path: Path) -> Snapshot | None:
        """Bring back values by tag id, where no newer one is in place; None when there is no snapshot.

        Raises: Malformed if the file is broken; nothing was brought back then
        """
        try:
            snapshot = Snapshot.read(path)
        except FileNotFoundError:
            return None
        self.restore(snapshot)
        return snapshot

    def restore(self, snapshot: Snapshot) -> None:
        """Take the values of a snapshot; tags that are gone are left out."""
        columns = snapshot.columns
        if not len(columns["id"]):
            return
        rows = self._rows_of_ids(columns["id"])
        keep = (rows >= 0) & (columns["time_ns"] >= self.time_ns[rows]) if len(self) else np.zeros(len(rows), np.bool_)
        rows = rows[keep]
        for name in _COLUMNS.keys() - {"id", "status"}:
            getattr(self, name)[rows] = columns[name][keep]
        self.stored_status[rows] = columns["status"][keep]
        keys = columns["id"][keep].tolist()
        for column, texts in ((self.text, snapshot.texts), (self.good_text, snapshot.good_texts)):
            column[rows] = np.array([*(texts.get(key) for key in keys), None], object)[:-1]
        self.tick += 1
        self._changed[rows] = self.tick
        self._report(rows)


def _newest(rows: NDArray[np.intp], time_ns: NDArray[np.int64]) -> NDArray[np.intp]:
    """Positions of each row's newest sample, the last one among equal times, in order of arrival."""
    order = np.lexsort((np.arange(len(rows)), time_ns, rows))
    ordered = rows[order]
    last = np.append(ordered[1:] != ordered[:-1], True)
    return np.sort(order[last])

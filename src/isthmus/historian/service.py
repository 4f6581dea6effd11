"""The historian: takes frames from the bus into the record, keeps the rollup right, answers questions."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from isthmus.historian import codec, importer, rollup
from isthmus.historian.model import (
    BUCKET_NS,
    EARLIEST_NS,
    LATEST_NS,
    NO_TIME,
    STANDARD,
    Dirty,
    Intake,
    LaneState,
    LaneStates,
    Stretch,
    TagInfo,
    TagTable,
    receive,
)
from isthmus.historian.reader import Latest, Reader, Samples
from isthmus.historian.schema import DATABASE, during
from isthmus.historian.store import Store, StoreConfig
from isthmus.namespace.model import Tag
from isthmus.ports.frames import Arrived, Cursor, Position
from isthmus.ports.history import Gap, HistoryAnswer, HistoryQuery
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError
from isthmus.values.frame import Lane
from isthmus.values.messages.historian import GapFound, Restated
from isthmus.values.sample import SampleBatch, ValueType, join_by_type

T = TypeVar("T")

GRACE_NS = 60 * NS_PER_S
"""A bucket is computed when it has been over for this long, so that its last samples have arrived."""

_MAX_CLASSES = 255
_MAX_MARKS = 50_000
_IMPORT_REST_NS = 10 * NS_PER_S
"""So long after the last block of an import the rollup of what was imported begins: a bucket is computed once then."""
_TAGS_TOLD = 5_000  # in one event, so that it fits into a message


async def _noted() -> None:
    """Nobody derives anything."""


@dataclass(frozen=True, slots=True)
class HistorianStatus:
    """How the record is doing.

    Units: rows include versions not merged away yet; bytes on disk; oldest_ns UTC ns or None
    """

    rows: int
    bytes: int
    oldest_ns: int | None
    state: str  # "running" or "degraded"
    reason: str
    refused: int  # samples with impossible times since the start
    dirty_buckets: int


class Historian:
    """The record of samples: a frame sink and a history reader.

    ``say`` hears what the historian finds out: Restated for late rows, GapFound for missing ones. It is called on the
    event loop, after what it tells of is durable.
    """

    name = "historian"

    def __init__(
        self,
        config: StoreConfig,
        clock: Clock,
        say: Callable[[Restated | GapFound], None] = lambda _: None,
        log: logging.Logger | None = None,
    ) -> None:
        self._store, self._clock, self._say = Store(config), clock, say
        self.noted: Callable[[], Awaitable[None]] = _noted
        """Waits until what was said of an import is kept by whoever derives something from it."""
        self._log = log or logging.getLogger("isthmus.historian")
        self._tags, self._dirty = TagTable(), Dirty()
        self._infos: dict[int, TagInfo] = {}
        self._texts: set[int] = set()  # tags that have texts, described or not
        self._lanes: LaneStates = {}
        self._gaps: list[Gap] = []
        self._classes: dict[str, int] = {STANDARD: 0}
        self._days: dict[str, int] = {}
        self._unsaved: list[tuple[int, int]] = []  # dirty marks the store does not have yet
        self._last_ver = 0
        self._oldest_ns = LATEST_NS  # no sample is older; retention may have dropped those that were
        self._refused = 0
        self._problem = ""
        self._imported_ns = 0  # when the last block of an import came
        self._taking, self._rolling, self._importing = asyncio.Lock(), asyncio.Lock(), asyncio.Lock()
        self._reader = Reader(
            self._store, clock, self._tags, self._dirty, self.info, lambda: self._gaps, lambda: self._oldest_ns
        )

    # Life.

    async def open(self) -> None:
        """Open the store and load what the last run knew.

        Raises: ConfigError if the store is newer than this build or in use, NotConnected if its server is away
        """
        await self._store.open()
        try:
            await self._store.write(self._load)
        except BaseException:
            await self._store.close()
            raise

    async def close(self) -> None:
        """Close every connection; what was taken is durable already."""
        await self._store.close()

    async def run(self, period_s: float = 60.0) -> None:
        """Keep the rollup up to date until cancelled."""
        while True:
            await asyncio.sleep(period_s)
            try:
                await self.roll()
            except Exception as error:
                self._fail(f"the rollup could not be computed: {error}")

    async def describe(self, tags: Sequence[Tag], retention: Mapping[str, int] | None = None) -> None:
        """Tell about tags when a plant is applied: type, decimals, names of states, retention class, edge.

        ``retention`` is days by class, 0 for ever. Ids never described are numbers of the class "standard".
        """
        async with self._taking:
            self._infos = {t.id: TagInfo.of(t) for t in tags}
            await self._store.write(lambda store: self._describe(store, retention or {}))

    def info(self, tag: int) -> TagInfo:
        """What is known of a tag."""
        found = self._infos.get(tag)
        if found is None:
            return TagInfo(tag, "", ValueType.TEXT if tag in self._texts else ValueType.FLOAT)
        return found

    # Frames.

    async def cursor(self) -> Cursor:
        """The last stored frame of each (edge, lane)."""
        return {key: state.position for key, state in self._lanes.items()}

    async def take(self, arrived: Sequence[Arrived]) -> None:
        """Store frames: samples, then marks of buckets they touched, then the cursor. Repeating any of it is harmless.

        Raises: TryLater, NotConnected or the engine's error; then nothing is acknowledged and the frames come again
        """
        async with self._taking:
            intake = receive(arrived, self._lanes, self._gaps)
            if not intake.fresh:
                return
            try:
                restated = await self._store.write(lambda store: self._commit(store, intake))
            except Exception as error:
                self._fail(f"samples could not be stored: {error}")
                raise
            self._heal()
        for gap in intake.gaps:
            self._say(GapFound(gap.edge, gap.start_ns, gap.end_ns, gap.reason))
        if restated is not None:
            self._say(restated)

    # Imports.

    async def import_position(self, key: str) -> Position | None:
        """The last block of an import that is stored; None if there is none."""
        state = self._lanes.get(_import_lane(key))
        return None if state is None else state.position

    async def take_import(self, key: str, position: Position, batches: Sequence[SampleBatch]) -> bool:
        """Store a block of an import: rows, then marks of what they touched, then the position. Repeating is harmless.

        False if the block was stored before, and nothing was done. Whoever derives something has noted it before the position
        is stored: a block that is cut off by a kill comes again, and is told of again.
        Raises: Malformed if a time is no measurement's; TryLater, NotConnected or the engine's error as ``take``
        """
        async with self._importing:
            known = await self.import_position(key)
            if known is not None and position <= known:
                return False
            rows = importer.check(batches)
            self._imported_ns = self._clock.monotonic_ns()
            touched: importer.Touched | None = None
            if rows:
                ids = importer.distinct(rows)
                facts = await self._store.write(lambda _: importer.Facts.of(self._tags, ids))
                touched = await self._store.bulk(lambda store: importer.insert(store, rows, facts))
                codes = facts.code
            if touched is not None:
                known_of = touched
                for event in await self._store.write(lambda _: self._restated(known_of)):
                    self._say(event)
                await self.noted()
            async with self._taking:
                await self._store.write(
                    lambda store: self._commit_import(store, key, position, touched, codes if rows else None)
                )
            self._imported_ns = self._clock.monotonic_ns()
        return True

    async def roll(self) -> int:
        """Compute the rollup of all dirty buckets that are over; how many there were."""
        async with self._rolling:
            ver = self._next_ver()
            before = (self._clock.now_ns() - GRACE_NS) // BUCKET_NS
            imported = await self._roll_imported(before, ver)
            in_hand = self._dirty.begin(before)
            if not in_hand:
                return imported
            try:
                everything = self._tags.snapshot()[0]
                await self._store.read(lambda store: rollup.compute(store, in_hand, everything, ver))
                await self._store.write(lambda store: self._rolled(store, in_hand, ver))
            except BaseException:
                self._dirty.failed()
                raise
            self._dirty.done()
            return len(in_hand) + imported

    async def _roll_imported(self, before: int, ver: int) -> int:
        """The same for stretches of imports, while no import runs; one that begins has the processor, and this goes on after it."""
        if not self._dirty.stretches or self._imports_run():
            return 0
        # In the writing thread: a stretch and its mark in the store are seen together or not at all.
        until, in_hand = await self._store.write(lambda _: (self._next_ver(), self._dirty.begin_stretches(before)))
        left = deque(in_hand)
        try:
            while left and not self._imports_run():
                rest = await self._store.bulk(
                    lambda store: rollup.compute_stretch(store, left[0], ver, self._imports_run)
                )
                left.popleft()
                left.extendleft(reversed(rest))
            await self._store.write(lambda store: self._rolled_stretches(store, until, tuple(left)))
        except BaseException:
            self._dirty.done_stretches(failed=True)
            raise
        return sum(s.last - s.first for s in in_hand) - sum(s.last - s.first for s in left)

    def _imports_run(self) -> bool:
        """Whether an import stores something now, or did a moment ago."""
        return self._importing.locked() or self._clock.monotonic_ns() - self._imported_ns <= _IMPORT_REST_NS

    async def alone(self, job: Callable[[Store], T]) -> T:
        """Run a job in the writing thread between two commits: what it sees belongs together."""
        async with self._taking:
            return await self._store.write(job)

    # Questions.

    async def query(self, query: HistoryQuery) -> HistoryAnswer:
        """Answer a question.

        Raises: TryLater when a limit was hit, ConfigError when the question makes no sense
        """
        return await self._store.read(lambda _: self._reader.answer(query))

    async def stream(self, query: HistoryQuery) -> AsyncIterator[bytes]:
        """The same as blocks of bytes, for exports too large for memory."""
        blocks: Iterator[bytes] = self._reader.blocks(query)
        while (block := await self._store.read(lambda _: next(blocks, None))) is not None:
            yield block

    async def gaps(self, edges: Sequence[str], start_ns: int, end_ns: int) -> Sequence[Gap]:
        """Gap marks overlapping the range, in order of time; of all edges where none is named."""
        return sorted(
            (g for g in self._gaps if (not edges or g.edge in edges) and g.start_ns < end_ns and g.end_ns > start_ns),
            key=lambda g: (g.start_ns, g.edge),
        )

    async def samples(self, tags: Sequence[int], start_ns: int, end_ns: int) -> dict[int, Samples]:
        """Every sample with start <= time <= end as columns, by tag.

        Raises: TryLater when a limit was hit
        """
        return await self._store.read(lambda _: self._reader.samples(tags, start_ns, end_ns))

    async def oldest(self, tags: Sequence[int]) -> int | None:
        """Time of the oldest sample of any of the tags; None if there is none. Cost: reads the times of all of them"""
        return await self._store.read(lambda _: self._reader.oldest(tags))

    async def latest(self, tags: Sequence[int]) -> dict[int, Latest]:
        """The newest sample of each tag that has one."""
        return await self._store.read(lambda _: self._reader.latest(tags))

    async def count(self) -> int:
        """Samples in the record, each counted once. Cost: reads the keys of the whole record."""
        return await self._store.read(
            lambda store: sum(
                int(store.rows(f"SELECT count() FROM {DATABASE}.{t} FINAL")[0][0]) for t in ("sample", "text")
            )
        )

    async def status(self) -> HistorianStatus:
        """How the record is doing, without reading it."""
        return await self._store.read(self._status)

    # In the writing thread.

    def _commit(self, store: Store, intake: Intake) -> Restated | None:
        batches = [self._plausible(b) for b in join_by_type(b for item in intake.fresh for b in item.frame.batches)]
        for batch in batches:
            self._tags.rows(batch.id)  # adds what is new, which moves rows; only then are row numbers good
        late: dict[int, int] = {}
        stored: list[_Ordered] = []
        for kinds, insert in (
            ((ValueType.FLOAT, ValueType.INT), self._insert_numbers),
            ((ValueType.TEXT,), self._insert_texts),
        ):
            chosen = [b for b in batches if b.type in kinds and len(b)]
            if chosen:
                ordered = _order(chosen, self._tags)
                self._late(ordered, late)
                insert(store, chosen, ordered)
                stored.append(ordered)
                if ValueType.FLOAT in kinds:
                    # In memory first: only marks that are new cost a write. Texts have no rollup.
                    self._unsaved += self._dirty.mark(ordered.time_ns // BUCKET_NS, ordered.id)
        self._store_gaps(store, intake.gaps)
        self._save_marks(store)
        self._store_lanes(store, intake.lanes)
        for ordered in stored:
            self._tags.seen(ordered.row, ordered.time_ns)
            self._oldest_ns = min(self._oldest_ns, int(ordered.time_ns.min()))
        return Restated(tuple(late), tuple(late.values())) if late else None

    def _commit_import(
        self,
        store: Store,
        key: str,
        position: Position,
        touched: importer.Touched | None,
        codes: NDArray[np.int8] | None,
    ) -> None:
        """Marks, then the position, then what is known of the tags."""
        if touched is not None and codes is not None:
            rows = self._tags.rows(touched.id)
            if touched.stretch is not None:
                self._store_stretches(store, [touched.stretch])
                self._dirty.stretch(touched.stretch)
            self._unsaved += self._dirty.mark(touched.bucket, touched.tag)
            self._save_marks(store)
            self._tags.code[rows] = codes
            self._texts |= touched.texts
        lane = _import_lane(key)
        last_ns = NO_TIME if touched is None else int(touched.last_ns.max())
        self._store_lanes(store, {lane: LaneState(position, last_ns)})
        if touched is not None:
            self._tags.seen(self._tags.rows(touched.id), touched.last_ns)
            self._oldest_ns = min(self._oldest_ns, int(touched.first_ns.min()))

    def _restated(self, touched: importer.Touched) -> list[Restated]:
        """What an import stored behind the newest of its tag."""
        late = np.flatnonzero(touched.first_ns < self._tags.newest_ns[self._tags.rows(touched.id)])
        parts = (late[i : i + _TAGS_TOLD] for i in range(0, len(late), _TAGS_TOLD))
        return [Restated(tuple(touched.id[p].tolist()), tuple(touched.first_ns[p].tolist())) for p in parts]

    def _store_stretches(self, store: Store, stretches: Sequence[Stretch]) -> None:
        n = len(stretches)
        store.insert(
            "stretch",
            [
                ("ver", "UInt64", np.array([self._next_ver() for _ in range(n)], np.uint64)),
                ("first", "Int64", np.array([s.first for s in stretches], np.int64)),
                ("last", "Int64", np.array([s.last for s in stretches], np.int64)),
                ("tags", "String", [",".join(map(str, sorted(s.tags))) for s in stretches]),
            ],
        )

    def _rolled_stretches(self, store: Store, until: int, rest: Sequence[Stretch]) -> None:
        """All marks up to a version are done with, but for what is still open of them and a rest that was not come to."""
        ids, newest = self._tags.snapshot()
        store.insert("newest", [("tag", "Int32", ids), ("ns", "Int64", newest)])
        self._store_stretches(store, (*self._dirty.stretches, *rest))
        store.forget("stretch", f"ver <= {until}")
        self._dirty.done_stretches(rest)

    def _plausible(self, batch: SampleBatch) -> SampleBatch:
        sane = (batch.time_ns >= EARLIEST_NS) & (batch.time_ns < LATEST_NS)
        if sane.all():
            return batch
        refused = int(len(batch) - sane.sum())
        if not self._refused:
            self._log.warning("%d samples with times outside 1990 to 2100 were refused", refused)
        self._refused += refused
        return batch.rows(sane)

    def _late(self, rows: _Ordered, late: dict[int, int]) -> None:
        """Add tags with rows older than their newest, each with the earliest such time."""
        older = rows.time_ns < self._tags.newest_ns[rows.row]
        back = (np.diff(rows.time_ns) < 0) & (np.diff(rows.row) == 0)
        for row in np.unique(rows.row[1:][back]):
            of_tag = np.flatnonzero(rows.row == row)
            older[of_tag] |= rows.time_ns[of_tag] < np.maximum.accumulate(rows.time_ns[of_tag])
        for tag, time_ns in zip(rows.id[older].tolist(), rows.time_ns[older].tolist(), strict=True):
            late[tag] = min(time_ns, late.get(tag, time_ns))

    def _insert_numbers(self, store: Store, batches: Sequence[SampleBatch], rows: _Ordered) -> None:
        pairs = [self._encode(batch) for batch in batches]
        store.insert(
            "sample",
            [
                ("class", "UInt8", self._tags.classes(rows.row, rows.time_ns)),
                ("tag", "Int32", rows.id),
                ("ts", "DateTime64(9, 'UTC')", rows.time_ns),
                ("mantissa", "Int64", np.concatenate([m for m, _ in pairs])[rows.order]),
                ("exponent", "Int8", np.concatenate([e for _, e in pairs])[rows.order]),
                ("status", "UInt32", rows.status),
            ],
        )

    def _encode(self, batch: SampleBatch) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
        if batch.type is ValueType.INT:
            return batch.value.astype(np.int64, copy=False), np.full(len(batch), codec.INT, np.int8)
        row = self._tags.rows(batch.id)
        mantissa, code = codec.encode(np.ascontiguousarray(batch.value, np.float64), self._tags.code[row])
        held = code < codec.SINGLE_BITS
        self._tags.code[row[held]] = code[held]
        return mantissa, code

    def _insert_texts(self, store: Store, batches: Sequence[SampleBatch], rows: _Ordered) -> None:
        self._texts.update(np.unique(rows.id).tolist())
        (batch,) = batches
        store.insert(
            "text",
            [
                ("class", "UInt8", self._tags.classes(rows.row, rows.time_ns)),
                ("tag", "Int32", rows.id),
                ("ts", "DateTime64(9, 'UTC')", rows.time_ns),
                ("text", "String", [batch.text[int(code)] for code in batch.value[rows.order]]),
                ("status", "UInt32", rows.status),
            ],
        )

    def _store_gaps(self, store: Store, gaps: Sequence[Gap]) -> None:
        new = [g for g in gaps if g not in self._gaps]
        if not new:
            return
        store.insert(
            "gap",
            [
                ("edge", "String", [g.edge for g in new]),
                ("start_ns", "Int64", np.array([g.start_ns for g in new], np.int64)),
                ("end_ns", "Int64", np.array([g.end_ns for g in new], np.int64)),
                ("reason", "String", [g.reason for g in new]),
            ],
        )
        self._gaps = [*self._gaps, *new]

    def _save_marks(self, store: Store) -> None:
        if self._unsaved:
            self._store_marks(store, self._unsaved, done=False, ver=self._next_ver())
            self._unsaved = []

    def _store_marks(self, store: Store, marks: Sequence[tuple[int, int]], *, done: bool, ver: int) -> None:
        n = len(marks)
        store.insert(
            "dirty",
            [
                ("bucket", "Int64", np.array([b for b, _ in marks], np.int64)),
                ("tag", "Int32", np.array([t for _, t in marks], np.int32)),
                ("done", "UInt8", np.full(n, done, np.uint8)),
                ("ver", "UInt64", np.full(n, ver, np.uint64)),
            ],
        )

    def _store_lanes(self, store: Store, lanes: LaneStates) -> None:
        items = list(lanes.items())
        store.insert(
            "cursor",
            [
                ("edge", "String", [key[0] for key, _ in items]),
                ("lane", "UInt8", np.array([int(key[1]) for key, _ in items], np.uint8)),
                ("epoch", "UInt64", np.array([s.position.epoch for _, s in items], np.uint64)),
                ("seq", "UInt64", np.array([s.position.seq for _, s in items], np.uint64)),
                ("last_ns", "Int64", np.array([s.last_ns for _, s in items], np.int64)),
                ("ver", "UInt64", np.full(len(items), self._next_ver(), np.uint64)),
            ],
        )
        self._lanes = {**self._lanes, **lanes}

    def _rolled(self, store: Store, in_hand: Mapping[int, set[int]], ver: int) -> None:
        """Newest times first: whatever came later than this snapshot lies in a bucket that is still marked."""
        ids, newest = self._tags.snapshot()
        store.insert("newest", [("tag", "Int32", ids), ("ns", "Int64", newest)])
        self._store_marks(store, [(b, t) for b, tags in in_hand.items() for t in sorted(tags)], done=True, ver=ver)

    def _load(self, store: Store) -> None:
        for edge, lane, epoch, seq, last_ns, ver in store.rows(
            f"SELECT edge, lane, epoch, seq, last_ns, ver FROM {DATABASE}.cursor FINAL"
        ):
            self._lanes[edge, Lane(lane)] = LaneState(Position(epoch, seq), last_ns)
            self._last_ver = max(self._last_ver, ver)
        self._gaps = [
            Gap(*row) for row in store.rows(f"SELECT edge, start_ns, end_ns, reason FROM {DATABASE}.gap FINAL")
        ]
        if store.rows(f"SELECT count() FROM {DATABASE}.dirty")[0][0] > _MAX_MARKS:
            store.forget("dirty", "done")  # a mark that outlives its removal only rolls a bucket once more
        marks = store.rows(f"SELECT bucket, tag, ver FROM {DATABASE}.dirty FINAL WHERE NOT done")
        self._dirty.load((bucket, tag) for bucket, tag, _ in marks)
        self._last_ver = max(self._last_ver, *(ver for *_, ver in marks), 0)
        for first, last, tags in store.rows(f"SELECT first, last, tags FROM {DATABASE}.stretch FINAL"):
            self._dirty.stretch(Stretch(first, last, frozenset(map(int, tags.split(",")))))
        for name, number, days in store.rows(f"SELECT name, class, days FROM {DATABASE}.retention FINAL"):
            self._classes[name], self._days[name] = number, days
        self._load_newest(store)
        for tag, number, before, since_ns in store.rows(
            f"SELECT tag, class, before, since_ns FROM {DATABASE}.tag FINAL"
        ):
            row = self._tags.rows(np.array([tag], np.int32))
            self._tags.retention[row], self._tags.before[row], self._tags.since_ns[row] = number, before, since_ns

    def _load_newest(self, store: Store) -> None:
        """The last snapshot, and what lies in buckets marked since."""
        spans = during(self._dirty.dirty_spans())
        newest = "SELECT tag, toUnixTimestamp64Nano(max(ts)) AS ns FROM"
        for table in ("sample", "text"):
            count, oldest = store.rows(f"SELECT count(), toUnixTimestamp64Nano(min(ts)) FROM {DATABASE}.{table}")[0]
            self._oldest_ns = min(self._oldest_ns, oldest if count else LATEST_NS)
        texts = store.rows(f"{newest} {DATABASE}.text GROUP BY tag")
        self._texts = {tag for tag, _ in texts}
        numbers = store.rows(
            f"SELECT tag, max(ns) FROM (SELECT tag, ns FROM {DATABASE}.newest FINAL "
            f"UNION ALL {newest} {DATABASE}.sample WHERE {spans} GROUP BY tag) GROUP BY tag"
        )
        for found in (texts, numbers):
            ids, times = np.array([t for t, _ in found], np.int32), np.array([ns for _, ns in found], np.int64)
            self._tags.rows(ids)
            self._tags.seen(self._tags.rows(ids), times)

    def _describe(self, store: Store, retention: Mapping[str, int]) -> None:
        wanted = {STANDARD, *retention, *(i.retention for i in self._infos.values())}
        for name in sorted(wanted - self._classes.keys()):
            if len(self._classes) > _MAX_CLASSES:
                raise ConfigError(f"retention: at most {_MAX_CLASSES} classes, {name!r} is one too many")
            self._classes[name] = max(self._classes.values()) + 1
        days = {name: int(retention.get(name, 0)) for name in self._classes}
        if days != self._days:
            names = sorted(days)
            store.insert(
                "retention",
                [
                    ("name", "String", names),
                    ("class", "UInt8", np.array([self._classes[n] for n in names], np.uint8)),
                    ("days", "UInt32", np.array([days[n] for n in names], np.uint32)),
                    ("ver", "UInt64", np.full(len(names), self._next_ver(), np.uint64)),
                ],
            )
            store.expire({self._classes[n]: d for n, d in days.items()})
            self._days = days
        self._describe_tags(store)

    def _describe_tags(self, store: Store) -> None:
        """Put tags into their class from now on; what they recorded before stays where it is."""
        infos = list(self._infos.values())
        if not infos:
            return
        tags, ids = self._tags, np.array([i.id for i in infos], np.int32)
        tags.rows(ids)
        rows = tags.rows(ids)
        decimals = np.array(
            [2 if i.decimals is None else min(max(i.decimals, 0), codec.MAX_DECIMALS) for i in infos], np.int8
        )
        unseen = tags.newest_ns[rows] == NO_TIME
        tags.code[rows[unseen]] = decimals[unseen]
        number = np.array([self._classes[i.retention] for i in infos], np.uint8)
        changed = tags.retention[rows] != number
        rows, number = rows[changed], number[changed]
        if not len(rows):
            return
        fresh = tags.newest_ns[rows] == NO_TIME
        before = np.where(fresh, number, tags.retention[rows]).astype(np.uint8)
        since = np.where(fresh, NO_TIME, np.maximum(tags.newest_ns[rows] + 1, self._clock.now_ns())).astype(np.int64)
        store.insert(
            "tag",
            [
                ("tag", "Int32", tags.id[rows]),
                ("class", "UInt8", number),
                ("before", "UInt8", before),
                ("since_ns", "Int64", since),
                ("ver", "UInt64", np.full(len(rows), self._next_ver(), np.uint64)),
            ],
        )
        tags.retention[rows], tags.before[rows], tags.since_ns[rows] = number, before, since

    def _status(self, store: Store) -> HistorianStatus:
        rows, size = store.rows(
            "SELECT sumIf(rows, table IN ('sample', 'text')), sum(bytes_on_disk) FROM system.parts "
            f"WHERE active AND database = '{DATABASE}'"
        )[0]
        oldest = store.rows(f"SELECT toUnixTimestamp64Nano(min(ts)) FROM {DATABASE}.sample")[0][0]
        return HistorianStatus(
            rows=rows,
            bytes=size,
            oldest_ns=oldest or None,
            state="degraded" if self._problem else "running",
            reason=self._problem,
            refused=self._refused,
            dirty_buckets=len(self._dirty),
        )

    def _next_ver(self) -> int:
        """A number that only grows, over restarts too."""
        self._last_ver = max(self._last_ver + 1, self._clock.now_ns())
        return self._last_ver

    def _fail(self, problem: str) -> None:
        if not self._problem:
            self._log.error("%s", problem)
        self._problem = problem

    def _heal(self) -> None:
        if self._problem:
            self._log.info("the historian works again")
        self._problem = ""


def _import_lane(key: str) -> tuple[str, Lane]:
    """Where the position of an import is kept: beside those of edges, whose names have no such sign."""
    return f"import/{key}", Lane.BACKFILL


@dataclass(frozen=True, slots=True)
class _Ordered:
    """Rows of several batches in the order of their tags, as the tables keep them; within a tag as they came.

    Shapes: all (n,); ``order`` points into the batches joined one after the other
    """

    order: NDArray[np.intp]
    row: NDArray[np.intp]  # in the tag table
    id: NDArray[np.int32]
    time_ns: NDArray[np.int64]
    status: NDArray[np.uint32]


def _order(batches: Sequence[SampleBatch], tags: TagTable) -> _Ordered:
    ident = np.concatenate([b.id for b in batches])
    row = tags.rows(ident)
    order = np.argsort(
        row.astype(np.uint16) if len(tags) <= 1 << 16 else row, kind="stable"
    )  # 16 bits sort 10 times faster
    time_ns, status = np.concatenate([b.time_ns for b in batches]), np.concatenate([b.status for b in batches])
    return _Ordered(order, row[order], ident[order], time_ns[order], status[order])

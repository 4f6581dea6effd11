"""Values and rules of the record: buckets, retention classes, what is known of each tag, and where data is missing."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from isthmus.namespace.model import Tag
from isthmus.ports.frames import Arrived, Position
from isthmus.ports.history import Gap
from isthmus.values.clock import NS_PER_S
from isthmus.values.frame import Lane
from isthmus.values.sample import ValueType

BUCKET_NS = 600 * NS_PER_S
"""Width of a rollup bucket: ten minutes, counted from 1970."""

WEEK_NS = 7 * 86_400 * NS_PER_S
STANDARD = "standard"
"""Retention class of every tag nobody described."""

EARLIEST_NS = 631_152_000 * NS_PER_S  # 1990
LATEST_NS = 4_102_444_800 * NS_PER_S  # 2100
"""Times outside these bounds are a broken clock, not a measurement, and are refused."""

NO_TIME = np.iinfo(np.int64).min
"""The newest time of a tag that has no sample."""

RESTARTED = "edge restarted"
LOST = "frames lost on the bus"


@dataclass(frozen=True, slots=True)
class TagInfo:
    """What the historian needs to know of one tag to answer for it."""

    id: int
    path: str
    type: ValueType = ValueType.FLOAT
    decimals: int | None = None
    retention: str = STANDARD
    edge: str = ""
    states: tuple[tuple[int, str], ...] = ()

    @classmethod
    def of(cls, tag: Tag) -> TagInfo:
        """The historian's view of a plant's tag."""
        states = tuple(sorted((tag.states or {}).items()))
        return cls(tag.id, tag.path, tag.type, tag.decimals, tag.retention or STANDARD, tag.edge, states)

    @property
    def symbolic(self) -> bool:
        """Whether its values are words: texts, or numbers with names."""
        return self.type is ValueType.TEXT or bool(self.states)


_DIRECT = 1 << 22  # ids below are looked up in an array; ids are given out one after the other, so that is all of them


class TagTable:
    """Columns about tags, by a sorted id column: any int32 may come, and none makes the table large.

    Rows are appended for ids never seen before; a row number is valid until the next ``rows`` with a new id.
    """

    def __init__(self) -> None:
        self.id: NDArray[np.int32] = np.zeros(0, np.int32)
        self.newest_ns: NDArray[np.int64] = np.zeros(0, np.int64)
        self.code: NDArray[np.int8] = np.zeros(0, np.int8)  # exponent that held last, tried first
        self.retention: NDArray[np.uint8] = np.zeros(0, np.uint8)  # class number from since_ns on
        self.before: NDArray[np.uint8] = np.zeros(0, np.uint8)  # class number of anything older
        self.since_ns: NDArray[np.int64] = np.zeros(0, np.int64)
        self._at = np.zeros(0, np.intp)  # row of each id below _DIRECT, or -1
        self._guard = threading.Lock()  # readers ask for newest times while the writer adds rows

    def __len__(self) -> int:
        return len(self.id)

    def rows(self, ids: NDArray[np.int32]) -> NDArray[np.intp]:
        """Row number of each id, adding what is new. Shapes: (n,) -> (n,)"""
        if not len(ids):
            return np.zeros(0, np.intp)
        if int(ids.min()) < 0 or int(ids.max()) >= _DIRECT:
            return self._search(ids)
        if int(ids.max()) >= len(self._at):
            self._at = np.concatenate([self._at, np.full(int(ids.max()) + 1 - len(self._at), -1, np.intp)])
            self._point()
        at = self._at[ids]
        if (at < 0).any():
            self._add(np.unique(ids[at < 0]))
            at = self._at[ids]
        return at

    def _search(self, ids: NDArray[np.int32]) -> NDArray[np.intp]:
        missing = np.setdiff1d(ids, self.id)
        if len(missing):
            self._add(missing)
        return np.searchsorted(self.id, ids)

    def newest(self, tag: int) -> int:
        """Time of a tag's newest sample, or NO_TIME."""
        with self._guard:
            at = int(np.searchsorted(self.id, tag))
            return int(self.newest_ns[at]) if at < len(self.id) and self.id[at] == tag else NO_TIME

    def snapshot(self) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Ids and newest times of all tags that have samples."""
        with self._guard:
            known = self.newest_ns != NO_TIME
            return self.id[known], self.newest_ns[known]

    def seen(self, rows: NDArray[np.intp], time_ns: NDArray[np.int64]) -> None:
        """Samples of these times are stored now."""
        with self._guard:
            np.maximum.at(self.newest_ns, rows, time_ns)

    def classes(self, rows: NDArray[np.intp], time_ns: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Retention class of samples: a function of tag and time alone, so that a row sent twice lands on itself."""
        return np.where(time_ns >= self.since_ns[rows], self.retention[rows], self.before[rows])

    def _add(self, new: NDArray[np.int32]) -> None:
        at = np.searchsorted(self.id, new)
        with self._guard:
            self.id = np.insert(self.id, at, new)
            self.newest_ns = np.insert(self.newest_ns, at, NO_TIME)
        self.code = np.insert(self.code, at, 2)  # two decimals are the commonest guess
        self.retention = np.insert(self.retention, at, 0)
        self.before = np.insert(self.before, at, 0)
        self.since_ns = np.insert(self.since_ns, at, NO_TIME)
        self._point()

    def _point(self) -> None:
        near = np.flatnonzero((self.id >= 0) & (self.id < len(self._at)))
        self._at[self.id[near]] = near


@dataclass(frozen=True, slots=True)
class LaneState:
    """The last stored frame of an (edge, lane), and the newest sample time of that lane."""

    position: Position
    last_ns: int


LaneStates = dict[tuple[str, Lane], LaneState]


@dataclass(slots=True)
class Intake:
    """What a group of frames means: the fresh ones, the lanes afterwards, and the gaps they reveal."""

    fresh: list[Arrived] = field(default_factory=list)
    lanes: LaneStates = field(default_factory=dict)  # only lanes that moved
    gaps: list[Gap] = field(default_factory=list)


def receive(arrived: Iterable[Arrived], known: Mapping[tuple[str, Lane], LaneState], gaps: Sequence[Gap]) -> Intake:
    """Sort frames into what is new and what was stored already, and find where samples are missing between them.

    A new epoch is marked from the edge's newest sample to the first of the new epoch, a skipped sequence number from
    the lane's newest sample to the first of the next frame. Lanes that speak seldom do not stretch a mark: when the
    edge has a mark already inside their silence, that one stands for them.
    """
    intake = Intake()
    lanes: LaneStates = dict(known)
    for item in arrived:
        state = lanes.get(item.key)
        if state is not None and item.position <= state.position:
            continue
        times = [b.time_ns for b in item.frame.batches if len(b)]
        first_ns = min((int(t.min()) for t in times), default=None)
        last_ns = max((int(t.max()) for t in times), default=NO_TIME)
        if first_ns is not None:
            gap = _gap_before(item, first_ns, lanes, [*gaps, *intake.gaps])
            if gap is not None:
                intake.gaps.append(gap)
        if state is not None:
            last_ns = max(last_ns, state.last_ns)
        lanes[item.key] = intake.lanes[item.key] = LaneState(item.position, last_ns)
        intake.fresh.append(item)
    return intake


def _gap_before(item: Arrived, first_ns: int, lanes: LaneStates, gaps: Sequence[Gap]) -> Gap | None:
    """The gap a fresh frame reveals, if any."""
    state, lane, epoch = lanes.get(item.key), item.frame.lane, item.frame.epoch
    of_edge = {key[1]: s for key, s in lanes.items() if key[0] == item.edge}
    if state is not None and state.position.epoch == epoch:
        if item.frame.seq == state.position.seq + 1 or state.last_ns == NO_TIME:
            return None
        start_ns, reason = state.last_ns, LOST
    else:
        older = [s.last_ns for s in of_edge.values() if s.position.epoch < epoch and s.last_ns != NO_TIME]
        told = any(s.position.epoch == epoch for s in of_edge.values())
        if not older or lane is Lane.BACKFILL or (told and lane is not Lane.LIVE):
            return None
        start_ns, reason = max(older), RESTARTED
        if told and state is not None:
            start_ns = state.last_ns
        if start_ns == NO_TIME:
            return None
    gap = Gap(item.edge, min(start_ns, first_ns), max(start_ns + 1, first_ns), reason)
    covered = lane is not Lane.LIVE and any(
        g.edge == gap.edge and gap.start_ns <= g.start_ns and g.end_ns <= gap.end_ns for g in gaps
    )
    return None if covered else gap


def merge_spans(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Half-open spans in order, overlapping and touching ones joined."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        elif end > start:
            merged.append((start, end))
    return merged


@dataclass(frozen=True, slots=True)
class Stretch:
    """Many buckets of some tags at once, as an import touches them: every bucket from first to before last."""

    first: int
    last: int
    tags: frozenset[int]

    def span(self) -> tuple[int, int]:
        """In UTC ns."""
        return self.first * BUCKET_NS, self.last * BUCKET_NS

    def joined(self, other: Stretch) -> Stretch | None:
        """Both as one, where that covers no more than they do."""
        if self.tags == other.tags and self.first <= other.last and other.first <= self.last:
            return Stretch(min(self.first, other.first), max(self.last, other.last), self.tags)
        if (self.first, self.last) == (other.first, other.last):
            return Stretch(self.first, self.last, self.tags | other.tags)
        if other.tags <= self.tags and self.first <= other.first and other.last <= self.last:
            return self
        return None


def _distinct(buckets: NDArray[np.int64]) -> list[int]:
    """Buckets that occur, in order; without sorting where they lie close together, as they nearly always do."""
    if not len(buckets):
        return []
    low, high = int(buckets.min()), int(buckets.max())
    if high - low > 10_000:
        return [int(b) for b in np.unique(buckets)]
    return [low + int(b) for b in np.flatnonzero(np.bincount(buckets - low))]


class Dirty:
    """Buckets whose rollup is not (or no longer) what their rows say.

    Live data marks a bucket for every tag at once; late rows of few tags mark (tag, bucket). A bucket being computed
    counts as dirty until that is done, and rows that arrive meanwhile mark it anew.
    """

    EVERY_TAG = -1

    def __init__(self) -> None:
        self.open: dict[int, set[int]] = {}  # bucket -> tags, or {EVERY_TAG}
        self.rolling: dict[int, set[int]] = {}
        self.stretches: tuple[Stretch, ...] = ()
        self.rolling_stretches: tuple[Stretch, ...] = ()
        self._guard = threading.Lock()

    def __len__(self) -> int:
        stretches = (*self.stretches, *self.rolling_stretches)
        return len(self.open) + len(self.rolling) + sum(s.last - s.first for s in stretches)

    def stretch(self, new: Stretch) -> None:
        """Mark a stretch; it is joined with another one where that covers no more."""
        with self._guard:
            kept = []
            for known in self.stretches:
                both = new.joined(known) or known.joined(new)
                if both is None:
                    kept.append(known)
                else:
                    new = both
            self.stretches = (*kept, new)

    def begin_stretches(self, before_bucket: int) -> tuple[Stretch, ...]:
        """Take what is over of the stretches in hand; the rest stays. Dirty for readers until ``done_stretches``."""
        with self._guard:
            over = (Stretch(s.first, min(s.last, before_bucket), s.tags) for s in self.stretches)
            rest = (Stretch(max(s.first, before_bucket), s.last, s.tags) for s in self.stretches)
            self.rolling_stretches = tuple(s for s in over if s.first < s.last)
            self.stretches = tuple(s for s in rest if s.first < s.last)
            return self.rolling_stretches

    def done_stretches(self, rest: Sequence[Stretch] = (), *, failed: bool = False) -> None:
        """What was in hand of the stretches is computed but for a rest, or all of it stays dirty."""
        with self._guard:
            self.stretches = (*self.stretches, *(self.rolling_stretches if failed else rest))
            self.rolling_stretches = ()

    def dirty_spans(self) -> list[tuple[int, int]]:
        """Time spans of everything dirty."""
        with self._guard:
            buckets = ((b * BUCKET_NS, (b + 1) * BUCKET_NS) for b in (*self.open, *self.rolling))
            stretches = (s.span() for s in (*self.stretches, *self.rolling_stretches))
            return merge_spans((*buckets, *stretches))

    def mark(self, buckets: NDArray[np.int64], tags: NDArray[np.int32], many: int = 500) -> list[tuple[int, int]]:
        """Mark what rows touched; returns the (bucket, tag) marks that were not there yet. Shapes: (n,) x 2"""
        new: list[tuple[int, int]] = []
        with self._guard:
            for bucket in _distinct(buckets):
                marked = self.open.setdefault(bucket, set())
                if self.EVERY_TAG not in marked:
                    touched = set(tags[buckets == bucket].tolist()) - marked
                    new += [(bucket, tag) for tag in self._mark(bucket, marked, touched, many)]
        return new

    def _mark(self, bucket: int, marked: set[int], touched: set[int], many: int) -> list[int]:
        if touched and (len(marked) + len(touched) > many or bucket >= self._newest()):
            self.open[bucket] = {self.EVERY_TAG}
            return [self.EVERY_TAG]
        marked |= touched
        return sorted(touched)

    def _newest(self) -> int:
        return max((*self.open, *self.rolling), default=NO_TIME)

    def load(self, marks: Iterable[tuple[int, int]]) -> None:
        """Marks as the store has them."""
        for bucket, tag in marks:
            self.open.setdefault(bucket, set()).add(tag)

    def begin(self, before_bucket: int) -> dict[int, set[int]]:
        """Take the closed buckets in hand; they stay dirty for readers until ``done`` or ``failed``."""
        with self._guard:
            self.rolling = {b: self.open.pop(b) for b in sorted(self.open) if b < before_bucket}
            return self.rolling

    def done(self) -> None:
        """What was in hand is computed."""
        self.rolling = {}

    def failed(self) -> None:
        """What was in hand stays dirty."""
        with self._guard:
            for bucket, tags in self.rolling.items():
                self.open.setdefault(bucket, set()).update(tags)
            self.rolling = {}

    def spans(self, tags: set[int], start_ns: int, end_ns: int) -> list[tuple[int, int]]:
        """Time spans of dirty buckets that concern any of the tags and overlap [start, end)."""
        wanted = tags | {self.EVERY_TAG}
        with self._guard:
            stretches = (s for s in (*self.stretches, *self.rolling_stretches) if not s.tags.isdisjoint(tags))
            found = [span for span in (s.span() for s in stretches) if span[0] < end_ns and span[1] > start_ns]
            found += (
                (b * BUCKET_NS, (b + 1) * BUCKET_NS)
                for marks in (self.open, self.rolling)
                for b, marked in marks.items()
                if b * BUCKET_NS < end_ns and (b + 1) * BUCKET_NS > start_ns and not marked.isdisjoint(wanted)
            )
            return merge_spans(found)

"""What a reader of the record may ask."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Shape(StrEnum):
    """How an answer is reduced."""

    RAW = "raw"  # every sample
    BOUNDED = "bounded"  # at most `points` buckets, each first, min, max, last, mean, count, bad time
    AGGREGATE = "aggregate"  # one row per bucket of the asked functions


class Format(StrEnum):
    """The engine's own bytes, ready to leave."""

    JSON = "json"
    CSV = "csv"
    ARROW = "arrow"


class Function(StrEnum):
    """Aggregates over a bucket [start, end). Good samples only; a gap or bad time is left out of every mean."""

    TIME_WEIGHTED_MEAN = "time_weighted_mean"
    MIN = "min"
    MAX = "max"
    SUM = "sum"
    COUNT = "count"
    FIRST = "first"
    LAST = "last"
    DURATION = "duration"  # seconds in each state
    INCREASE = "increase"  # of a counter, across resets


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """A bounded question about tags over [start_ns, end_ns).

    Units: UTC ns; points is the most buckets wanted per tag
    """

    tags: tuple[int, ...]
    start_ns: int
    end_ns: int
    shape: Shape = Shape.BOUNDED
    points: int = 1000
    functions: tuple[Function, ...] = ()
    format: Format = Format.JSON


@dataclass(frozen=True, slots=True)
class HistoryAnswer:
    """What came out. ``snapped_ns`` is the bucket width really used; it is a multiple of ten minutes on long ranges."""

    media_type: str
    body: bytes
    snapped_ns: int
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Known missing data of an edge: [start_ns, end_ns)."""

    edge: str
    start_ns: int
    end_ns: int
    reason: str


class HistoryReader(Protocol):
    """Read side of the historian, as handed to web and to other rooms."""

    async def query(self, query: HistoryQuery) -> HistoryAnswer:
        """Answer a question. Limits on time and memory hold for each.

        Raises: TryLater when a limit was hit, with what would help
        """
        ...

    def stream(self, query: HistoryQuery) -> AsyncIterator[bytes]:
        """The same as blocks of bytes, for exports too large for memory."""
        ...

    async def gaps(self, edges: Sequence[str], start_ns: int, end_ns: int) -> Sequence[Gap]:
        """Gap marks overlapping the range."""
        ...

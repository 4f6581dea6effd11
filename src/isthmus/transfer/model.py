"""Values of an import: what rows may name, how a file is read, what was refused and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError, Finding
from isthmus.values.sample import SampleBatch, ValueType

EARLIEST_NS = 631_152_000 * NS_PER_S  # 1990; the record refuses anything older
FUTURE_NS = 60 * NS_PER_S
"""How far a time may lie ahead: what is recorded has happened."""

ROLES = ("tag", "time", "value", "quality")
EXAMPLES = 20
"""Refused rows that are told one by one; all of them are counted."""

UNITS = {"s": NS_PER_S, "ms": 1_000_000, "us": 1_000, "ns": 1}


@dataclass(frozen=True, slots=True)
class Target:
    """A tag that rows may name. ``states`` are its numbers by their words."""

    id: int
    path: str
    type: ValueType
    states: Mapping[str, int] = field(default_factory=dict, hash=False)
    kept_days: int = 0  # older rows would be dropped at once; 0 is for ever


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is to be read; what is left empty is found out from its first line."""

    columns: tuple[tuple[str, str], ...] = ()
    """(role or tag path, name of the column)."""
    header: tuple[str, ...] = ()
    """Names of the columns of a file without a first line that says them."""
    wide: bool = False
    prefix: str = ""
    """Stands before every tag the file names."""
    delimiter: str = ""
    encoding: str = "utf-8"
    timezone: str = ""
    """Zone of times that have none."""
    ambiguous: str = ""
    """Which of two equal local times in autumn is meant: earlier or later."""
    time_unit: str = ""
    """Times are numbers since 1970 in s, ms, us or ns."""
    time_format: str = ""
    """Times as `strptime` reads them."""
    quality: str = "ua"
    """Numbers in the quality column are OPC UA status codes (ua) or OPC DA qualities (da)."""

    def __post_init__(self) -> None:
        for name, known in (
            ("encoding", ("utf-8", "latin-1")),
            ("ambiguous", ("", "earlier", "later")),
            ("time_unit", ("", *UNITS)),
            ("quality", ("ua", "da")),
        ):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name}: known are {', '.join(filter(None, known))}, was {getattr(self, name)!r}")
        if self.delimiter and len(self.delimiter) != 1:
            raise ConfigError(f"delimiter: must be one sign, was {self.delimiter!r}")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Rows that cannot be taken, all for one reason. ``rows`` are places in the columns of a piece."""

    column: str
    problem: str
    rows: NDArray[np.intp]


@dataclass(slots=True)
class Columns:
    """The cells of a piece of a file. Shapes: every array (n,)

    ``spoilt`` are lines that are no row at all: (line, column number, column, problem, value).
    """

    cells: dict[str, Any]  # Arrow arrays by the name of the column
    line: NDArray[np.int64]
    text: Callable[[int], str]
    """The line of a row as it stands in the file, for those who look at rejects."""
    spoilt: list[tuple[int, int, str, str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.line)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a file, always cut in the same places.

    Units: start and end in the file's own positions (bytes, or rows); line counts from 1; rows without the header
    """

    start: int
    end: int
    line: int
    rows: int
    data: Any


@dataclass(frozen=True, slots=True)
class Refused:
    """One refused row, as it is shown and written into the file of rejects."""

    line: int
    column: int
    name: str
    value: str
    problem: str
    text: str

    def finding(self, where: str) -> Finding:
        return Finding("error", where, self.line, self.column, self.name, self.problem, self.value[:200])


@dataclass(slots=True)
class Made:
    """What a piece became."""

    piece: Piece
    batches: list[SampleBatch]
    refused: list[Refused]
    """Refused rows one by one, perhaps not all of them."""
    refusals: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    empty: int = 0
    """Cells of a wide file without a value: no sample, and nothing wrong."""


@dataclass(slots=True)
class Tally:
    """What came of a file so far.

    Units: rows of the file; samples taken; first and last UTC ns
    """

    rows: int = 0
    samples: int = 0
    refused: int = 0
    empty: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    tags: set[int] = field(default_factory=set)
    unknown: Counter[str] = field(default_factory=Counter)
    examples: list[Refused] = field(default_factory=list)

    def add(self, made: Made) -> None:
        """Count a piece."""
        self.rows += made.rows
        self.empty += made.empty
        self.refused += made.refusals
        self.unknown += made.unknown
        self.examples += made.refused[: EXAMPLES - len(self.examples)]
        for batch in made.batches:
            self.samples += len(batch)
            low, high = int(batch.time_ns.min()), int(batch.time_ns.max())
            self.first_ns = low if self.first_ns is None else min(self.first_ns, low)
            self.last_ns = high if self.last_ns is None else max(self.last_ns, high)
            self.tags.update(np.flatnonzero(np.bincount(batch.id)).tolist())

    def join(self, later: Tally) -> None:
        """Count what was counted elsewhere."""
        for name in ("rows", "samples", "refused", "empty"):
            setattr(self, name, getattr(self, name) + getattr(later, name))
        self.first_ns = min((t for t in (self.first_ns, later.first_ns) if t is not None), default=None)
        self.last_ns = max((t for t in (self.last_ns, later.last_ns) if t is not None), default=None)
        self.tags |= later.tags
        self.unknown += later.unknown
        self.examples += later.examples[: EXAMPLES - len(self.examples)]

    def to_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "samples": self.samples,
            "refused": self.refused,
            "empty": self.empty,
            "first_ns": self.first_ns,
            "last_ns": self.last_ns,
            "tags": sorted(self.tags),
            "unknown": dict(self.unknown),
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Tally:
        return cls(**{**raw, "tags": set(raw["tags"]), "unknown": Counter(raw["unknown"])})

"""What production knows: classes of state, intervals, stops, what people entered, and sums of facts. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from isthmus.values.clock import NS_PER_S

MILLION: Final = 1_000_000
"""Counts are kept in millionths, so that a counter that is not whole stays an integer, too."""
MINOR: Final = "minor-stop"
"""What stands as the reason of a stop too short to ask for one."""
MINUTE_NS: Final = 60 * NS_PER_S
HOUR_NS: Final = 3600 * NS_PER_S


class StateClass(StrEnum):
    """What a state means for the accounts. The order is that of the codes in columns: append, never insert."""

    UNKNOWN = "unknown"  # nobody can say: no sample, bad status, a gap
    RUNNING = "running"
    IDLE = "idle"
    STOPPED = "stopped"
    STARVED = "starved"  # nothing comes in
    BLOCKED = "blocked"  # nothing goes out
    SETUP = "setup"
    PLANNED = "planned"  # a break, a planned stop, a holiday
    OFF = "off"  # no shift


CLASSES: Final = tuple(StateClass)
"""What the codes of columns count in."""
CODE: Final[dict[str, int]] = {str(c): i for i, c in enumerate(CLASSES)}

WAITING: Final = frozenset({StateClass.STARVED, StateClass.BLOCKED})
"""The machine could run; another one keeps it from it, and that one's stop is asked for."""

PACKML: Final[dict[int, StateClass]] = {
    1: StateClass.STOPPED,  # Clearing
    2: StateClass.STOPPED,  # Stopped
    3: StateClass.IDLE,  # Starting
    4: StateClass.IDLE,  # Idle
    5: StateClass.STARVED,  # Suspended
    6: StateClass.RUNNING,  # Execute
    7: StateClass.STOPPED,  # Stopping
    8: StateClass.STOPPED,  # Aborting
    9: StateClass.STOPPED,  # Aborted
    10: StateClass.STOPPED,  # Holding
    11: StateClass.STOPPED,  # Held
    12: StateClass.IDLE,  # Unholding
    13: StateClass.STARVED,  # Suspending
    14: StateClass.IDLE,  # Unsuspending
    15: StateClass.IDLE,  # Resetting
    16: StateClass.IDLE,  # Completing
    17: StateClass.IDLE,  # Complete
}
"""The classes of PackML's states, where a type does not say otherwise. Source: ISA-TR88.00.02, state numbers"""


@dataclass(frozen=True, slots=True)
class Interval:
    """A time in which nothing about a machine changed: [start_ns, end_ns).

    Units: UTC ns
    """

    asset: str
    start_ns: int
    end_ns: int
    state_class: StateClass  # as it counts: what is not planned is planned or off
    state: int | None  # number of the state tag; None where there is none or nobody knows
    order: str = ""
    product: str = ""
    shift: str = ""
    team: str = ""
    reason: str = ""
    stop: str = ""  # id of the stop it belongs to


@dataclass(frozen=True, slots=True)
class Stop:
    """A maximal time in which a machine did not run; waiting for the machine before or behind it is a stop apart.

    Units: UTC ns; ns is what of it lies in planned time
    """

    id: str  # "<asset>@<start_ns>"
    asset: str
    start_ns: int
    end_ns: int
    state_class: StateClass
    ns: int
    minor: bool = False  # too short to ask for a reason
    open: bool = False  # it stands still
    reason: str = ""
    entry: int = 0  # number of the entry that gave the reason
    order: str = ""
    product: str = ""
    shift: str = ""
    team: str = ""

    @property
    def coded(self) -> bool:
        """Whether somebody said why, or it is too short to ask."""
        return bool(self.reason) or self.minor

    @property
    def asks(self) -> bool:
        """Whether somebody should say why: nobody did, it is not short, and the machine did not wait for another."""
        return not self.coded and self.state_class not in WAITING


def stop_id(asset: str, start_ns: int) -> str:
    """The permanent name of a stop."""
    return f"{asset}@{start_ns}"


class EntryKind(StrEnum):
    """What people may say over intervals."""

    REASON = "reason"  # values: reason
    SPLIT = "split"  # a stop is two from start_ns on
    MERGE = "merge"  # stops that begin in (start_ns, end_ns) belong to the one at start_ns
    ORDER = "order"  # values: order, operation, product, ideal_count, ideal_per_ns
    SCRAP = "scrap"  # values: count (pieces that were counted good), reason
    REWORK = "rework"  # values: count, reason
    CREW = "crew"  # values: team


@dataclass(frozen=True, slots=True)
class Entry:
    """Something a person said that changes facts. Entries are only ever added; one that ``replaces`` another takes its place.

    Units: UTC ns; end_ns 0 is still going on
    """

    kind: EntryKind
    asset: str
    start_ns: int
    end_ns: int
    values: Mapping[str, str | int] = field(default_factory=dict)
    by: str = ""
    at_ns: int = 0
    reason: str = ""  # why it was changed
    replaces: int = 0
    number: int = 0  # given when it is stored
    void: bool = False  # it only takes back what it replaces


class MarkKind(StrEnum):
    """Why a reading was not taken as it came."""

    RESET = "reset"  # began again: what it shows is counted
    ROLLOVER = "rollover"  # went over its modulo: counted across
    JUMP_BACK = "jump_back"  # less than before and neither of both: nothing counted
    ABSURD = "absurd"  # faster than the machine can be: nothing counted
    NEGATIVE = "negative"  # refused
    NOT_A_NUMBER = "not_a_number"  # refused
    STATE_UNKNOWN = "state_unknown"  # a number of a state that no class is declared for


@dataclass(frozen=True, slots=True)
class Mark:
    """A reading that was refused or read with care. Units: UTC ns; before and after as the tag gave them"""

    asset: str
    tag: int
    time_ns: int
    kind: MarkKind
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class IdealCounts:
    """Pieces that were made at one ideal rate: ``count`` pieces in ``per_ns``; 0 where none is declared. In millionths."""

    count: int
    per_ns: int
    total_u: int
    good_u: int


@dataclass(frozen=True, slots=True)
class FactSum:
    """Facts added up: integers only, so that any order of adding gives the same.

    Units: ns; counts in millionths (``_u``); cost_u in millionths of the currency times ns per minute
    """

    key: Mapping[str, str] = field(default_factory=dict)  # what was asked by, with its value
    ns: Mapping[StateClass, int] = field(default_factory=dict)
    stops: int = 0  # but minor ones
    minor_stops: int = 0
    minor: Mapping[StateClass, int] = field(default_factory=dict)  # ns of minor stops, contained in ``ns``
    failures: int = 0  # stops in which the machine was stopped, but minor ones
    failure_ns: int = 0
    total_u: int = 0
    good_u: int = 0
    reject_u: int = 0
    rework_u: int = 0
    energy_u: int = 0
    material_u: int = 0
    ideal: tuple[IdealCounts, ...] = ()
    cost_u: int = 0
    unrated: Mapping[StateClass, int] = field(default_factory=dict)
    """ns contained in ``ns`` that no ideal rate can be held against: it ran without one, or nothing counts there."""
    counted: bool = True  # whether anything there counts pieces

    @property
    def total(self) -> int | float:
        """Pieces."""
        return pieces(self.total_u)

    @property
    def good(self) -> int | float:
        """Pieces."""
        return pieces(self.good_u)

    @property
    def reject(self) -> int | float:
        """Pieces."""
        return pieces(self.reject_u)

    @property
    def rework(self) -> int | float:
        """Pieces."""
        return pieces(self.rework_u)

    @property
    def all_ns(self) -> int:
        """Calendar time."""
        return sum(self.ns.values())

    @property
    def minor_ns(self) -> int:
        """Time in stops too short to ask for a reason."""
        return sum(self.minor.values())


def pieces(millionths: int) -> int | float:
    """Millionths as people count; an int where it is whole."""
    whole, rest = divmod(millionths, MILLION)
    return millionths / MILLION if rest else whole


@dataclass(frozen=True, slots=True)
class MachineNow:
    """A machine at this moment, with what it made in the shift that runs.

    Units: UTC ns; counts in pieces; rates in pieces per hour; ahead in pieces, below 0 is behind
    """

    asset: str
    line: str
    state_class: StateClass
    state: int | None
    since_ns: int
    reason: str = ""
    order: str = ""
    product: str = ""
    shift: str = ""
    team: str = ""
    good: int | float = 0
    reject: int | float = 0
    total: int | float = 0
    rate: float | None = None  # of the last minutes
    ideal_rate: float | None = None
    target: float | None = None  # pieces that the plan asks for by now
    ahead: float | None = None
    uncoded: int = 0  # stops that ask for a reason
    help: bool = False
    stop: str = ""  # id of the stop it stands in


@dataclass(frozen=True, slots=True)
class Restatement:
    """A closed day that came out differently when it was computed again.

    Units: UTC ns; ``before`` and ``after`` have what differs, by name of the fact, ns and millionths
    """

    id: int
    asset: str
    day: str  # ISO date of the production day
    at_ns: int
    why: str
    before: Mapping[str, int] = field(default_factory=dict)
    after: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """A question to the history that shows what a figure stands on. ``tags`` are paths. Units: UTC ns"""

    tags: tuple[str, ...]
    start_ns: int
    end_ns: int
    what: str  # state, good, reject, total, rework, energy, material


@dataclass(frozen=True, slots=True)
class Lineage:
    """What a figure of a machine was computed from. Units: UTC ns"""

    asset: str
    figure: str
    start_ns: int
    end_ns: int
    intervals: tuple[Interval, ...]
    counts: Mapping[str, int | float]  # by name, in pieces, with their first and last reading told in ``questions``
    marks: tuple[Mark, ...]
    entries: tuple[Entry, ...]
    questions: tuple[Question, ...]
    truncated: bool = False  # there are more intervals than an answer holds

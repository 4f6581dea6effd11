"""From samples, calendar and entries to intervals and facts: one pure function, in columns.

A fold over [a, c) is the fold over [a, b) and the one over [b, c) put together, when the second begins with what the first
hands on (`Carry`). That is why a day can be computed by itself, again, or while it goes on, and comes out the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
import orjson
from numpy.typing import NDArray

from isthmus.namespace.model import Machine
from isthmus.production.counters import Counted, Limit, count, usable
from isthmus.production.facts import (
    Columns,
    Names,
    changed,
    combine,
    grouped,
    order_name,
    order_of,
    structured,
    totals,
)
from isthmus.production.model import (
    CLASSES,
    CODE,
    MILLION,
    MINOR,
    Entry,
    EntryKind,
    Interval,
    Mark,
    MarkKind,
    StateClass,
    Stop,
    stop_id,
)
from isthmus.production.states import (
    NO_STATE,
    NOTHING,
    RUNNING,
    STOPPED,
    UNKNOWN,
    Codes,
    Flags,
    Ints,
    Series,
    Span,
    Steps,
    join,
    machine_steps,
    pulses,
    undeclared,
)
from isthmus.values import status as codes
from isthmus.values.clock import NS_PER_S

QUARTER_NS: Final = 900 * NS_PER_S
"""Facts of a day are kept by the quarter of an hour: every time zone and every sane shift begins on one."""
MAX_MARKS: Final = 1_000
"""Of one fold; a counter that is broken would fill the records."""

WORK, BREAK, NO_SHIFT = 0, 1, 2
"""Kinds of time a calendar tells: meant to run, planned to stand, off."""

_PLANNED, _OFF = CODE[StateClass.PLANNED], CODE[StateClass.OFF]
_GROUPS: Final = np.array([4, 0, 1, 1, 2, 3, 1, 5, 5], np.uint8)
"""Class -> what belongs together as one stop: 0 runs, 1 stands by itself, 2 starved, 3 blocked, 4 unknown, 5 planned."""
_STOPS: Final = np.array([False, False, True, True, True, True, True, False, False])
"""Whether a class is a stop."""


@dataclass(frozen=True, slots=True)
class Segments:
    """What a calendar says of a machine over a time, without holes: segment i is [start_ns[i], start_ns[i + 1]).

    Shapes: all (n,)
    Units:  UTC ns; day as date.toordinal()
    """

    start_ns: Ints
    end_ns: int  # of the last one
    day: NDArray[np.int32]
    kind: NDArray[np.uint8]  # WORK, BREAK or NO_SHIFT
    shift: tuple[str, ...]
    team: tuple[str, ...]

    def day_ends(self) -> tuple[list[int], Ints, Ints]:
        """Days with their begin and end inside."""
        first = np.flatnonzero(np.r_[True, self.day[1:] != self.day[:-1]])
        begins = self.start_ns[first]
        return self.day[first].tolist(), begins, np.r_[begins[1:], self.end_ns]


class Planner(Protocol):
    """The calendars, as a fold needs them."""

    def segments(self, asset: str, start_ns: int, end_ns: int) -> Segments:
        """All of [start_ns, end_ns), cut where shift, team, production day or kind of time change."""
        ...

    def day_span(self, asset: str, day: int) -> tuple[int, int]:
        """When a production day begins and ends."""
        ...

    def day_of(self, asset: str, time_ns: int) -> int:
        """The production day a moment is in."""
        ...


@dataclass(frozen=True, slots=True)
class Carry:
    """What a fold hands on to the one that begins where it ends: the last samples, and the stop it stands in."""

    samples: Mapping[int, Series] = field(default_factory=dict)
    group: int = 4
    since_ns: int = 0  # when the run of states it is in began, however it is called
    counted: bool = False  # whether that run is a stop that is among the facts already
    failed: bool = False  # and whether as a failure

    def to_bytes(self) -> bytes:
        """For the records."""
        samples = {tag: _plain(s) for tag, s in sorted(self.samples.items())}
        return _handed(samples, self.group, self.since_ns, self.counted, self.failed)

    @classmethod
    def from_bytes(cls, data: bytes) -> Carry:
        """Inverse of ``to_bytes``."""
        samples, group, since_ns, counted, failed = orjson.loads(data)
        return cls({int(tag): _series(*columns) for tag, columns in samples.items()}, group, since_ns, counted, failed)


_Plain = tuple[list[int], list[Any], list[int]]
"""Samples as lists of times, values and status codes."""


def _handed(samples: Mapping[int, _Plain], group: int, since_ns: int, counted: bool, failed: bool) -> bytes:
    return orjson.dumps([{str(tag): s for tag, s in samples.items()}, group, since_ns, counted, failed])


def _plain(series: Series) -> _Plain:
    """A value that is no number is handed on as a bad one: JSON has no word for it."""
    value, status = series.value, series.status
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        odd = ~np.isfinite(value)
        value, status = np.where(odd, 0.0, value), np.where(odd, status | np.uint32(codes.BAD), status)
    return series.time_ns.tolist(), value.tolist(), status.tolist()


def _series(times: list[int], values: list[Any], status: list[int]) -> Series:
    if any(isinstance(v, str) or v is None for v in values):
        column: NDArray[Any] = np.array([*values, None], object)[:-1]
    else:
        column = np.array(values, np.float64 if any(isinstance(v, float) for v in values) else np.int64)
    return Series(np.array(times, np.int64), column, np.array(status, np.uint32))


@dataclass(frozen=True, slots=True)
class Pieces:
    """Intervals as columns, cut wherever anything changes and at every quarter of an hour. Shapes: all (n,)"""

    start_ns: Ints
    end_ns: Ints
    klass: Codes  # as it counts
    raw: Codes  # as the machine said
    state: Ints
    cell: NDArray[np.intp]
    reason: NDArray[np.int32]
    stop_ns: Ints  # begin of the stop it belongs to, 0 if none
    minor: Flags


@dataclass(frozen=True, slots=True)
class Cells:
    """What is the same within a quarter of an hour of one shift and order. Shapes: all (n,)"""

    start_ns: Ints
    day: NDArray[np.int32]
    shift: NDArray[np.int32]
    team: NDArray[np.int32]
    order: NDArray[np.int32]
    product: NDArray[np.int32]
    rate: NDArray[np.int32]
    kind: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class DayEnd:
    """Where a production day ends, and what it hands on."""

    day: int
    start_ns: int
    end_ns: int
    handed: bytes

    @property
    def carry(self) -> Carry:
        """What it hands on."""
        return Carry.from_bytes(self.handed)


@dataclass(frozen=True, slots=True)
class Folded:
    """What came out of a fold over [start_ns, end_ns)."""

    asset: str
    start_ns: int
    end_ns: int
    pieces: Pieces
    cells: Cells
    columns: Columns  # those of FACT, by slot
    days: tuple[DayEnd, ...]
    marks: tuple[Mark, ...]
    steps_ns: Ints  # begins of intervals, before they are cut by anything
    open_ns: int  # begin of the run of states that goes on at the end of what is known
    open_group: int

    @property
    def rows(self) -> NDArray[np.void]:
        """Facts by slot, as FACT."""
        return structured(self.columns)


@dataclass(frozen=True, slots=True)
class Ground:
    """What facts stand on beside samples: a pure value."""

    machine: Machine
    entries: Sequence[Entry] = ()  # those that count, in order
    gaps: Sequence[Span] = ()  # in order, not overlapping
    planned: frozenset[str] = frozenset()  # reasons that leave planned time


def effective(entries: Iterable[Entry]) -> list[Entry]:
    """Entries that still count: none that was replaced, and none that only takes something back."""
    found = sorted(entries, key=lambda e: e.number)
    gone = {e.replaces for e in found if e.replaces}
    return [e for e in found if e.number not in gone and not e.void]


def state_tags(machine: Machine) -> tuple[int, ...]:
    """Tags that tell what it does."""
    found = [machine.state, *machine.inputs.values(), machine.product]
    if machine.pulse and not machine.state and not machine.rules:
        found.append(machine.pulse)
    return tuple(dict.fromkeys(t for t in found if t))


def count_tags(machine: Machine) -> tuple[int, ...]:
    """Tags that tell what it made and used."""
    found = [machine.good, machine.reject, machine.total, machine.rework, *machine.energy, *machine.material]
    return tuple(dict.fromkeys(t for t in found if t))


def fold(
    ground: Ground, segments: Segments, samples: Mapping[int, Series], carry: Carry, names: Names, known_ns: int
) -> Folded:
    """The facts of a machine over the segments.

    ``samples`` are those from the begin on, up to ``known_ns``, which is the end or later: how long a stop at the end
    lasts decides whether it is a minor one.
    """
    machine = ground.machine
    start_ns, end_ns = int(segments.start_ns[0]), segments.end_ns
    tags = (*state_tags(machine), *count_tags(machine))
    held = {tag: join([carry.samples.get(tag, NOTHING), samples.get(tag, NOTHING)]) for tag in tags}
    steps = _from(machine_steps(machine, held, ground.gaps, known_ns), start_ns, known_ns)
    runs = _runs(steps, carry, machine, start_ns, known_ns)
    cells = _cells(ground, segments, held, names, start_ns, end_ns)
    pieces, told = _pieces(ground, segments, held, steps, runs, cells, carry, names)
    counts = _counts(machine, held, start_ns, end_ns)
    columns = _columns(ground, pieces, told, cells, counts, names, end_ns)
    days = _days(machine, segments, held, steps, runs, pieces, told, carry)
    marks = [*counts.marks, *_unknown_states(machine, held, start_ns, end_ns)]
    return Folded(
        machine.asset, start_ns, end_ns, pieces, cells, columns, days, tuple(marks[:MAX_MARKS]),
        steps.time_ns[: int(np.searchsorted(steps.time_ns, end_ns))], int(runs.start_ns[-1]), int(runs.group[-1]),
    )  # fmt: skip


# --- states ------------------------------------------------------------------------------------------------------------


def _from(steps: Steps, start_ns: int, known_ns: int) -> Steps:
    """The steps from a time on; what holds then begins there."""
    a, b = np.searchsorted(steps.time_ns, (start_ns, known_ns), side="left").tolist()
    at_start = a < len(steps) and int(steps.time_ns[a]) == start_ns
    time_ns, state, klass = steps.time_ns[a:b], steps.state[a:b], steps.klass[a:b]
    if at_start and b > a:
        return Steps(time_ns, state, klass)
    before = (int(steps.state[a - 1]), int(steps.klass[a - 1])) if a else (NO_STATE, UNKNOWN)
    return Steps(
        np.r_[np.int64(start_ns), time_ns],
        np.r_[np.int64(before[0]), state],
        np.r_[np.uint8(before[1]), klass],
    )


@dataclass(frozen=True, slots=True)
class _Runs:
    """Steps that belong together: a stop, or a time in which it ran."""

    of_step: NDArray[np.intp]
    group: Codes
    start_ns: Ints
    minor: Flags


def _runs(steps: Steps, carry: Carry, machine: Machine, start_ns: int, known_ns: int) -> _Runs:
    group = _GROUPS[steps.klass]
    new = changed(group)
    first, of_step = np.flatnonzero(new), np.cumsum(new) - 1
    begins = steps.time_ns[first].copy()
    if carry.since_ns and carry.group == int(group[0]):
        begins[0] = carry.since_ns
    ends = np.r_[begins[1:], known_ns]
    kind = group[first]
    minor = (kind >= 1) & (kind <= 3) & (ends - begins < round(machine.micro_stop_s * NS_PER_S))
    minor[-1] = False  # it is not over
    return _Runs(of_step, kind, begins, minor)


def _unknown_states(machine: Machine, held: Mapping[int, Series], start_ns: int, end_ns: int) -> list[Mark]:
    if not machine.state:
        return []
    series = held.get(machine.state, NOTHING).between(start_ns - 1, end_ns - 1)
    odd = undeclared(machine, series)
    return [
        Mark(machine.asset, machine.state, t, MarkKind.STATE_UNKNOWN, 0.0, float(v))
        for t, v in zip(series.time_ns[odd].tolist(), series.value[odd].tolist(), strict=True)
    ]


# --- what is the same for a while ------------------------------------------------------------------------------------------


def _inside(times: Iterable[int], start_ns: int, end_ns: int) -> Ints:
    return np.array([t for t in times if start_ns < t < end_ns], np.int64)


def _distinct(times: Ints) -> Ints:
    """Each time once, in order; by sorting what is nearly in order."""
    found = np.sort(times, kind="stable")
    return found[changed(found)]


def _merged(a: Ints, b: Ints) -> tuple[Ints, NDArray[np.intp], NDArray[np.intp]]:
    """Times of both, each once, with the place in each of what began last; both have the first one. Times grow in each."""
    at = np.searchsorted(a, b)
    fresh = a[np.minimum(at, len(a) - 1)] != b
    found = np.insert(a, at[fresh], b[fresh])
    place = at + np.cumsum(fresh) - fresh  # where each of b came to be
    new_a, new_b = np.ones(len(found), np.bool_), np.zeros(len(found), np.bool_)
    new_a[place[fresh]] = False
    new_b[place] = True
    return found, np.cumsum(new_a) - 1, np.cumsum(new_b) - 1


def _bounds(entries: Iterable[Entry]) -> list[int]:
    return [t for e in entries for t in (e.start_ns, e.end_ns)]


def _of(entries: Sequence[Entry], *kinds: EntryKind) -> list[Entry]:
    return [e for e in entries if e.kind in kinds]


def _cells(
    ground: Ground, segments: Segments, held: Mapping[int, Series], names: Names, start_ns: int, end_ns: int
) -> Cells:
    spans = _of(ground.entries, EntryKind.ORDER, EntryKind.CREW)
    made = held.get(ground.machine.product, NOTHING) if ground.machine.product else NOTHING
    quarters = np.arange(-(-start_ns // QUARTER_NS) * QUARTER_NS, end_ns, QUARTER_NS, dtype=np.int64)
    inside = made.time_ns[(made.time_ns > start_ns) & (made.time_ns < end_ns)]
    at = _distinct(
        np.concatenate([segments.start_ns, quarters, _inside(_bounds(spans), start_ns, end_ns), _changes(made, inside)])
    )
    seg = np.searchsorted(segments.start_ns, at, side="right") - 1
    shift = _coded(names, "shift", segments.shift)[seg]
    team = _coded(names, "team", segments.team)[seg]
    order, rate = np.zeros(len(at), np.int32), np.full(len(at), _rate(names, ground.machine), np.int32)
    product = _products(made, at, names)
    for entry in spans:
        a, b = _slice(at, entry)
        if entry.kind is EntryKind.CREW:
            team[a:b] = names.code("team", str(entry.values.get("team", "")))
            continue
        name = order_name(str(entry.values.get("order", "")), entry.values.get("operation", ""))
        order[a:b] = names.code("order", name)
        product[a:b] = names.code("product", str(entry.values.get("product", "")))
        if int(entry.values.get("ideal_count", 0) or 0) > 0:
            rate[a:b] = names.rate(int(entry.values["ideal_count"]), int(entry.values["ideal_per_ns"]))
    return Cells(at, segments.day[seg], shift, team, order, product, rate, segments.kind[seg])


def _slice(at: Ints, entry: Entry) -> tuple[int, int]:
    """Places whose time is in an entry's span; one without an end is still going on."""
    a = int(np.searchsorted(at, entry.start_ns))
    return a, len(at) if not entry.end_ns else int(np.searchsorted(at, entry.end_ns))


def _coded(names: Names, kind: str, texts: Sequence[str]) -> NDArray[np.int32]:
    known = {text: names.code(kind, text) for text in dict.fromkeys(texts)}
    return np.array([known[text] for text in texts], np.int32)


def _rate(names: Names, machine: Machine) -> int:
    return names.rate(machine.ideal_count, machine.ideal_per_ns) if machine.ideal_count else 0


def _changes(made: Series, inside: Ints) -> Ints:
    """Times at which the product changes; a tag that is sent again and again changes nothing."""
    if not len(inside):
        return inside
    place = np.searchsorted(made.time_ns, inside)
    value, bad = made.value, codes.is_bad(made.status)
    before = np.maximum(place - 1, 0)
    changed = (value[place] != value[before]) | (bad[place] != bad[before]) | (place == 0)
    return inside[np.asarray(changed, np.bool_)]


def _products(made: Series, at: Ints, names: Names) -> NDArray[np.int32]:
    if not len(made):
        return np.zeros(len(at), np.int32)
    place = np.searchsorted(made.time_ns, at, side="right") - 1
    good = (place >= 0) & ~codes.is_bad(made.status)[np.maximum(place, 0)]
    found = np.zeros(len(at), np.int32)
    for i in np.unique(place[good]).tolist():
        value = made.value[i]
        text = str(value) if made.value.dtype.kind == "O" else f"{float(value):g}"
        found[good & (place == i)] = names.code("product", text)
    return found


# --- intervals ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Told:
    """Which pieces are the first of a stop that counts, or of a failure. Shapes: both (n,)"""

    stops: Flags
    failures: Flags


def _pieces(
    ground: Ground,
    segments: Segments,
    held: Mapping[int, Series],
    steps: Steps,
    runs: _Runs,
    cells: Cells,
    carry: Carry,
    names: Names,
) -> tuple[Pieces, _Told]:
    start_ns, end_ns = int(segments.start_ns[0]), segments.end_ns
    over = _of(ground.entries, EntryKind.REASON, EntryKind.SPLIT, EntryKind.MERGE)
    inside = steps.time_ns[: int(np.searchsorted(steps.time_ns, end_ns))]
    at, step, cell = _merged(inside, cells.start_ns)
    first_ns = _first_told(ground.machine, held, carry)
    cuts = _inside([*_bounds(over), first_ns], start_ns, end_ns)
    if len(cuts):
        at, place, _ = _merged(at, np.r_[at[:1], _distinct(cuts)])
        step, cell = step[place], cell[place]
    raw, run = steps.klass[step], runs.of_step[step]
    kind = cells.kind[cell]
    outside = np.where(kind == BREAK, np.uint8(_PLANNED), np.uint8(_OFF))
    klass = np.where((kind == WORK) | (raw == RUNNING), raw, outside).astype(np.uint8)
    klass[at < first_ns] = _OFF
    standing = _STOPS[raw]
    stop_ns = np.where(standing, runs.start_ns[run], 0)
    minor = runs.minor[run].copy()
    reason = np.zeros(len(at), np.int32)
    for entry in over:
        a, b = _slice(at, entry)
        if entry.kind is EntryKind.SPLIT:
            mine = standing & (at >= entry.start_ns) & (stop_ns == _stop_at(at, stop_ns, steps, runs, entry.start_ns))
            stop_ns[mine & (stop_ns > 0)] = entry.start_ns
        elif entry.kind is EntryKind.MERGE:
            mine = standing & (stop_ns >= entry.start_ns) & (stop_ns < entry.end_ns)
            stop_ns[mine], minor[mine] = entry.start_ns, False
        else:
            key = str(entry.values.get("reason", ""))
            mine = np.zeros(len(at), np.bool_)
            mine[a:b] = standing[a:b] | (raw[a:b] == UNKNOWN)
            if not entry.end_ns:  # said while the machine stood: it ends with that stop
                mine &= (stop_ns > 0) & (stop_ns == _stop_at(at, stop_ns, steps, runs, entry.start_ns))
            reason[mine] = names.code("reason", key)
            if key in ground.planned:
                klass[mine & (klass != _OFF)] = _PLANNED
    down = standing & (klass != _PLANNED) & (klass != _OFF)
    minor &= (reason == 0) & standing
    reason[minor & down] = names.code("reason", MINOR)
    ends = np.append(at[1:], end_ns)
    pieces = Pieces(at, ends, klass, raw, steps.state[step], cell, reason, stop_ns, minor)
    stops = _first(stop_ns, down, start_ns, carry.since_ns, carry.counted)
    failures = _first(stop_ns, down & (klass == STOPPED) & ~minor, start_ns, carry.since_ns, carry.failed)
    return pieces, _Told(stops, failures)


def _first_told(machine: Machine, held: Mapping[int, Series], carry: Carry) -> int:
    """When a machine told for the first time what it does; 0 where it had before, or has not yet.

    It is not accountable for the time before that: nobody had said that it was there.
    """
    tags = state_tags(machine)
    if any(len(carry.samples.get(tag, NOTHING)) for tag in tags):
        return 0
    return min((int(held[tag].time_ns[0]) for tag in tags if len(held[tag])), default=0)


def _stop_at(at: Ints, stop_ns: Ints, steps: Steps, runs: _Runs, time_ns: int) -> int:
    """The stop a moment is in, also one before the first piece."""
    place = int(np.searchsorted(at, time_ns, side="right")) - 1
    if place >= 0:
        return int(stop_ns[place])
    return int(runs.start_ns[0]) if int(runs.start_ns[0]) <= time_ns else -1


def _first(stop_ns: Ints, chosen: Flags, start_ns: int, carried_ns: int, counted: bool) -> Flags:
    """The first chosen piece of each stop; of one that began before, only if it was not told then."""
    found = np.zeros(len(stop_ns), np.bool_)
    rows = np.flatnonzero(chosen)
    if not len(rows):
        return found
    begins = stop_ns[rows]
    if bool((begins[1:] >= begins[:-1]).all()):
        first = np.flatnonzero(changed(begins))
    else:
        _, first = np.unique(begins, return_index=True)
    begins = begins[first]
    fresh = begins >= start_ns
    if not counted:
        fresh |= begins == carried_ns
    found[rows[first[fresh]]] = True
    return found


# --- facts -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Counts:
    total: Counted | None
    good: Counted | None
    reject: Counted | None
    rework: Counted | None
    energy: tuple[Counted, ...]
    material: tuple[Counted, ...]
    marks: tuple[Mark, ...]


def _counts(machine: Machine, held: Mapping[int, Series], start_ns: int, end_ns: int) -> _Counts:
    limit = Limit(machine.ideal_count, machine.ideal_per_ns)

    def read(tag: int, *, whole: bool = True) -> Counted | None:
        if not tag:
            return None
        series = held.get(tag, NOTHING)
        first = max(0, int(np.searchsorted(series.time_ns, start_ns, side="right")) - 1)
        while first and not usable(_part(series, first, first + 1))[0]:
            first -= 1  # what a bad reading hides is counted from the last one that was not
        last = int(np.searchsorted(series.time_ns, end_ns, side="right"))
        modulo = machine.modulo if whole else 0
        return count(_part(series, first, last), asset=machine.asset, tag=tag, modulo=modulo, limit=limit, whole=whole)

    total = read(machine.total)
    if total is None and not machine.good and machine.pulse and machine.pulse_on is None:
        at, amount = pulses(machine, held.get(machine.pulse, NOTHING))
        total = Counted(at, amount * MILLION)
    good, reject, rework = (read(tag) for tag in (machine.good, machine.reject, machine.rework))
    energy, material = (
        tuple(c for tag in tags if (c := read(tag, whole=False)) is not None)
        for tags in (machine.energy, machine.material)
    )
    known = [c for c in (total, good, reject, rework, *energy, *material) if c is not None]
    marks = tuple(m for c in known for m in c.marks if start_ns < m.time_ns <= end_ns)
    return _Counts(total, good, reject, rework, energy, material, marks)


def _part(series: Series, a: int, b: int) -> Series:
    return Series(series.time_ns[a:b], series.value[a:b], series.status[a:b])


def _amounts(counts: _Counts, edges_ns: Ints) -> dict[str, Ints]:
    """What was counted between edges, by column; what no tag tells follows from the others."""
    none = np.zeros(len(edges_ns) - 1, np.int64)

    def over(counted: Counted | None) -> Ints | None:
        return None if counted is None else counted.over(edges_ns)

    total, good, reject = over(counts.total), over(counts.good), over(counts.reject)
    if total is None:
        total = (none if good is None else good) + (none if reject is None else reject)
        good = none if good is None else good
    if good is None:
        good = total - (none if reject is None else reject)
    if reject is None:
        reject = total - good
    rework = over(counts.rework)
    return {
        "total": total,
        "good": good,
        "reject": reject,
        "rework": none if rework is None else rework,
        "energy": sum((c.over(edges_ns) for c in counts.energy), none),
        "material": sum((c.over(edges_ns) for c in counts.material), none),
    }


_AMOUNTS: Final = ("total", "good", "reject", "rework", "energy", "material")


def _columns(
    ground: Ground, pieces: Pieces, told: _Told, cells: Cells, counts: _Counts, names: Names, end_ns: int
) -> Columns:
    """Facts by cell, class and reason. What was counted stands with the time it ran."""
    amounts = _amounts(counts, np.append(cells.start_ns, end_ns))
    some = np.zeros(len(cells.start_ns), np.bool_)
    for name in _AMOUNTS:
        some |= amounts[name] != 0
    made = np.flatnonzero(some)
    said = _of(ground.entries, EntryKind.SCRAP, EntryKind.REWORK)
    said = [e for e in said if int(cells.start_ns[0]) <= e.start_ns < end_ns]
    at = np.searchsorted(cells.start_ns, np.array([e.start_ns for e in said], np.int64), side="right") - 1
    reason_of = np.array([names.code("reason", str(e.values.get("reason", ""))) for e in said], np.int32)
    cell = np.concatenate([pieces.cell, made, at.astype(np.intp)])
    running = np.full(len(made) + len(said), RUNNING, np.uint8)
    klass = np.concatenate([pieces.klass, running])
    reason = np.concatenate([pieces.reason, np.zeros(len(made), np.int32), reason_of])
    what, _ = grouped(combine(klass, reason)[0])
    place, first = grouped(combine(cell, what)[0])
    n, p, m = len(first), len(pieces.cell), len(made)
    of, pieces_at = cell[first], place[:p]
    columns: dict[str, NDArray[Any]] = {"slot_ns": cells.start_ns[of], "day": cells.day[of]}
    for name in ("shift", "team", "order", "product", "rate"):
        columns[name] = getattr(cells, name)[of]
    columns["klass"], columns["reason"] = klass[first], reason[first]
    columns["ns"] = totals(pieces.end_ns - pieces.start_ns, pieces_at, n)
    for name, chosen in (("stops", told.stops), ("failures", told.failures)):
        columns[name] = np.bincount(pieces_at[chosen], minlength=n)
    for name in _AMOUNTS:
        columns[name] = np.zeros(n, np.int64)
        columns[name][place[p : p + m]] = amounts[name][made]
    for entry, row in zip(said, place[p + m :].tolist(), strict=True):
        amount = int(entry.values.get("count", 0)) * MILLION
        if entry.kind is EntryKind.REWORK:
            columns["rework"][row] += amount
        else:
            columns["good"][row] -= amount
            columns["reject"][row] += amount
    return columns


# --- what a day hands on -------------------------------------------------------------------------------------------------


def _days(
    machine: Machine, segments: Segments, held: Mapping[int, Series], steps: Steps, runs: _Runs, pieces: Pieces, told: _Told,
    carry: Carry,
) -> tuple[DayEnd, ...]:  # fmt: skip
    days, begins, ends = segments.day_ends()
    run = runs.of_step[np.searchsorted(steps.time_ns, ends, side="left") - 1]
    group, since_ns = runs.group[run], runs.start_ns[run]
    first, last = np.searchsorted(pieces.start_ns, np.stack([since_ns, ends]))
    in_stop, same = (group >= 1) & (group <= 3), since_ns == carry.since_ns
    counted, failed = (
        (in_stop & (_any_between(flags, first, last) | (same & before))).tolist()
        for flags, before in ((told.stops, carry.counted), (told.failures, carry.failed))
    )
    samples = _seeds(machine, held, ends)
    found = []
    for i, (day, begin, end, g, since) in enumerate(
        zip(days, begins.tolist(), ends.tolist(), group.tolist(), since_ns.tolist(), strict=True)
    ):
        handed = _handed({t: s[i] for t, s in samples.items() if s[i][0]}, g, since, counted[i], failed[i])
        found.append(DayEnd(day, begin, end, handed))
    return tuple(found)


def _any_between(flags: Flags, first: NDArray[np.intp], last: NDArray[np.intp]) -> Flags:
    """Whether any is set in [first, last)."""
    sums = np.concatenate([np.zeros(1, np.int64), np.cumsum(flags)])
    return sums[np.maximum(last, first)] > sums[first]


def _seeds(machine: Machine, held: Mapping[int, Series], ends: Ints) -> dict[int, list[_Plain]]:
    """Of each tag the samples that are handed on at each time: the last one before it, and the one to count on from."""
    states, counters = state_tags(machine), count_tags(machine)
    found: dict[int, list[_Plain]] = {}
    for tag in sorted({*states, *counters}):
        series = held[tag]
        if tag == machine.pulse and tag in states:
            found[tag] = [_plain(_pulse_seed(machine, series, end)) for end in ends.tolist()]
            continue
        places = [np.searchsorted(series.time_ns, ends, side="left") - 1] if tag in states else []
        places += [_count_seeds(series, ends)] if tag in counters else []
        found[tag] = _picked(series, np.sort(np.stack(places, axis=1), axis=1))
    return found


def _picked(series: Series, places: NDArray[np.intp]) -> list[_Plain]:
    """Samples at places, each once; none at -1. Shapes: (days, some)"""
    if not len(series):
        return [([], [], [])] * len(places)
    times, values, status = _plain(_taken(series, np.maximum(places, 0).ravel()))
    width, kept = places.shape[1], places >= 0
    kept[:, 1:] &= places[:, 1:] != places[:, :-1]
    if kept.all():
        ranges = [(i, i + width) for i in range(0, len(times), width)]
        return [(times[a:b], values[a:b], status[a:b]) for a, b in ranges]
    rows = [[i * width + k for k, there in enumerate(row) if there] for i, row in enumerate(kept.tolist())]
    return [([times[k] for k in row], [values[k] for k in row], [status[k] for k in row]) for row in rows]


def _taken(series: Series, rows: NDArray[np.intp]) -> Series:
    return Series(series.time_ns[rows], series.value[rows], series.status[rows])


def _count_seeds(series: Series, ends: Ints) -> NDArray[np.intp]:
    """The last reading up to each time that the next one is counted from."""
    good = np.flatnonzero(usable(series))
    if not len(good):
        return np.full(len(ends), -1, np.intp)
    place = np.searchsorted(series.time_ns[good], ends, side="right") - 1
    return np.where(place >= 0, good[np.maximum(place, 0)], -1)


def _pulse_seed(machine: Machine, series: Series, end_ns: int) -> Series:
    """The samples that tell when the last pulse was, and the last reading at all."""
    b = int(np.searchsorted(series.time_ns, end_ns, side="left"))
    if not b:
        return NOTHING
    part = _part(series, 0, b)
    keep = {0, b - 1}
    if machine.pulse_on is None:
        good = np.flatnonzero(~codes.is_bad(part.status))
        at, _ = pulses(machine, part)
        if len(at):
            place = int(np.searchsorted(part.time_ns[good], at[-1]))
            keep = {int(good[place - 1]), int(good[place]), b - 1}
        if len(good):
            keep.add(int(good[-1]))
    else:
        on = np.flatnonzero(~codes.is_bad(part.status) & (part.value.astype(np.float64) >= machine.pulse_on))
        keep = {0, b - 1} if not len(on) else {int(on[-1]), min(int(on[-1]) + 1, b - 1), b - 1}
    rows = np.array(sorted(keep), np.intp)
    return Series(part.time_ns[rows], part.value[rows], part.status[rows])


# --- answers -----------------------------------------------------------------------------------------------------------


def intervals(folded: Folded, names: Names, start_ns: int, end_ns: int) -> list[Interval]:
    """Intervals that overlap a range, cut to it, joined where nothing that is told changes."""
    pieces, cells = folded.pieces, folded.cells
    a = int(np.searchsorted(pieces.end_ns, start_ns, side="right"))
    b = int(np.searchsorted(pieces.start_ns, end_ns, side="left"))
    if a >= b:
        return []
    rows = slice(a, b)
    cell = pieces.cell[rows]
    told: list[NDArray[Any]] = [pieces.klass[rows], pieces.state[rows], pieces.reason[rows], pieces.stop_ns[rows]]
    told += [getattr(cells, name)[cell] for name in ("shift", "team", "order", "product")]
    new = np.r_[True, np.any([column[1:] != column[:-1] for column in told], axis=0)]
    first = np.flatnonzero(new)
    last = np.r_[first[1:], b - a] - 1
    klass, state, reason, stop, shift, team, order, product = (column[first].tolist() for column in told)
    begins = np.maximum(pieces.start_ns[rows][first], start_ns).tolist()
    ends = np.minimum(pieces.end_ns[rows][last], end_ns).tolist()
    return [
        Interval(
            folded.asset, begins[i], ends[i], CLASSES[klass[i]], None if state[i] == NO_STATE else state[i],
            order_of(names.text("order", order[i])), names.text("product", product[i]), names.text("shift", shift[i]),
            names.text("team", team[i]), names.text("reason", reason[i]),
            stop_id(folded.asset, stop[i]) if stop[i] else "",
        )
        for i in range(len(first))
    ]  # fmt: skip


def stops(folded: Folded, names: Names, entries: Sequence[Entry], known_ns: int) -> list[Stop]:
    """Every stop that takes planned time, oldest first; its reason is the one that took most of it."""
    pieces, cells = folded.pieces, folded.cells
    rows = np.flatnonzero(pieces.stop_ns > 0)
    if not len(rows):
        return []
    coded = _of(entries, EntryKind.REASON)
    begins, place = np.unique(pieces.stop_ns[rows], return_inverse=True)
    order = np.argsort(place, kind="stable")
    bounds = np.searchsorted(place[order], np.arange(len(begins) + 1)).tolist()
    ns = pieces.end_ns - pieces.start_ns
    found = []
    for i, begin in enumerate(begins.tolist()):
        mine = rows[order[bounds[i] : bounds[i + 1]]]
        busy = mine[(pieces.klass[mine] != _PLANNED) & (pieces.klass[mine] != _OFF)]
        reasoned = mine[pieces.reason[mine] > 0]
        if not len(busy) and not len(reasoned):
            continue
        first, last = int((busy if len(busy) else mine)[0]), int(mine[-1])
        end = int(pieces.end_ns[last])
        reason = names.text("reason", _most(pieces.reason[mine], ns[mine]))
        cell = int(pieces.cell[first])
        entry = next((e.number for e in reversed(coded) if _codes(e, reason, begin, end)), 0)
        found.append(
            Stop(
                stop_id(folded.asset, begin), folded.asset, begin, end,
                CLASSES[int(pieces.raw[first])], int(ns[busy].sum()), bool(pieces.minor[mine].all()),
                folded.open_group in (1, 2, 3) and end >= min(folded.end_ns, known_ns) and begin >= folded.open_ns,
                "" if reason == MINOR else reason, entry, order_of(names.text("order", int(cells.order[cell]))),
                names.text("product", int(cells.product[cell])), names.text("shift", int(cells.shift[cell])),
                names.text("team", int(cells.team[cell])),
            )
        )  # fmt: skip
    return found


def _most(reason: NDArray[np.int32], ns: Ints) -> int:
    """The reason that took most of a time, none only where there is no other."""
    known = np.unique(reason[reason > 0]).tolist()
    return max(known, key=lambda code: (int(ns[reason == code].sum()), -code), default=0)


def _codes(entry: Entry, reason: str, start_ns: int, end_ns: int) -> bool:
    return (
        str(entry.values.get("reason", "")) == reason
        and entry.start_ns < end_ns
        and (not entry.end_ns or entry.end_ns > start_ns)
    )

"""One machine as it runs: what came since its last closed day, folded as far as nothing about it can change by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from isthmus.namespace.model import Machine
from isthmus.production.facts import FACT, Names
from isthmus.production.fold import Carry, Folded, Ground, Planner, count_tags, fold, state_tags, stops
from isthmus.production.model import Entry, Mark, Stop
from isthmus.production.states import NOTHING, Series, Span, join
from isthmus.values.clock import NS_PER_S

GRACE_NS = 60 * NS_PER_S
"""So long a sample may take to come, and is not late."""
SETTLE_NS = 900 * NS_PER_S
SETTLE_ROWS = 20_000
STOPS_NS = 10 * NS_PER_S
"""A stop grows beyond a minor one without anything being said; it is seen so often."""
MAX_LOOSE = 64
"""Parts of a tail that are joined when there are more."""


class Tail:
    """Samples of one tag as they come."""

    __slots__ = ("_parts", "_rows")

    def __init__(self, first: Series = NOTHING) -> None:
        self._parts = [first] if len(first) else []
        self._rows = len(first)

    def add(self, more: Series) -> None:
        """What came last wins where times are the same."""
        self._parts.append(more)
        self._rows += len(more)
        if len(self._parts) > MAX_LOOSE:
            self.whole()

    def whole(self) -> Series:
        """All of it, in order."""
        if len(self._parts) > 1:
            self._parts = [join(self._parts)]
            self._rows = len(self._parts[0])
        return self._parts[0] if self._parts else NOTHING

    def __len__(self) -> int:
        return self._rows


class LiveMachine:
    """The span of a machine that is not closed: [open_ns, now).

    Facts up to ``water_ns`` are settled; what comes later than that for an earlier time asks for a reload from the record.
    Not locked: everything runs on the event loop.
    """

    def __init__(self, machine: Machine, code: int, edges: frozenset[str], names: Names, planner: Planner) -> None:
        self.machine, self.code, self.edges = machine, code, edges
        self._names, self._planner = names, planner
        self.state_tags, self.count_tags = state_tags(machine), count_tags(machine)
        self.tags = tuple(dict.fromkeys((*self.state_tags, *self.count_tags)))
        self.entries: list[Entry] = []
        self.gaps: list[Span] = []
        self.planned: frozenset[str] = frozenset()
        self.open_ns = 0
        self.first = Carry()
        self.water_ns = 0
        self.carry = Carry()
        self.marks: list[Mark] = []
        self.reload_at = -1  # number of the frame that must be in the record before a reload helps; -1: none is needed
        self.begun = False
        self.newest_ns = 0
        self.stamp = 0
        self.state_stamp = 0
        self.told_stamp = -1
        self._settled: list[NDArray[np.void]] = []
        self._states: dict[int, Tail] = {}
        self._tail: dict[int, Tail] = {}
        self._view: tuple[tuple[int, int], Folded] | None = None
        self._whole: tuple[tuple[int, int], Folded] | None = None
        self._stops: tuple[tuple[int, int], list[Stop]] | None = None

    @property
    def counts(self) -> bool:
        """Whether it has something that counts pieces."""
        machine = self.machine
        return bool(machine.good or machine.total or machine.reject or (machine.pulse and machine.pulse_on is None))

    @property
    def has_rate(self) -> bool:
        """Whether it has an ideal rate, or ever ran an order that has one."""
        return bool(self.machine.ideal_count) or any(int(e.values.get("ideal_count", 0) or 0) > 0 for e in self.entries)

    def ground(self) -> Ground:
        """What facts stand on beside samples."""
        return Ground(self.machine, self.entries, self.gaps, self.planned)

    def load(self, open_ns: int, carry: Carry, samples: Mapping[int, Series], gaps: Sequence[Span]) -> None:
        """Begin anew from the record; what came from the bus meanwhile stays, and wins."""
        self.open_ns = self.water_ns = open_ns
        self.first = self.carry = carry
        self.gaps, self._settled, self.marks = list(gaps), [], []
        for tags, place in ((self.state_tags, self._states), (self.tags, self._tail)):
            for tag in tags:
                came = place[tag].whole() if tag in place else NOTHING
                place[tag] = Tail(join([samples.get(tag, NOTHING), came.between(open_ns - 1, 2**62)]))
        for tail in self._tail.values():
            series = tail.whole()
            if len(series):
                self.newest_ns = max(self.newest_ns, int(series.time_ns[-1]))
        self.begun = True
        self.touch(state=True)

    def touch(self, *, state: bool = False) -> None:
        """Something about it changed; ``state`` is more than what it counted."""
        self.stamp += 1
        self.state_stamp += state

    def hear(self, tag: int, series: Series) -> Series:
        """Take samples; those too late to be folded are given back."""
        late = NOTHING
        if int(series.time_ns[0]) <= self.water_ns:
            late = series.between(-1, self.water_ns)
            series = series.between(self.water_ns, 2**62)
        if len(series):
            self._tail.setdefault(tag, Tail()).add(series)
            if tag in self.state_tags:
                self._states.setdefault(tag, Tail()).add(series)
            self.newest_ns = max(self.newest_ns, int(series.time_ns[-1]))
        self.touch(state=tag in self.state_tags)
        return late

    def heard(self, tag: int, time_ns: int) -> bool:
        """Whether a sample after what is settled is among those that came."""
        times = self._tail[tag].whole().time_ns if tag in self._tail else NOTHING.time_ns
        at = int(np.searchsorted(times, time_ns))
        return at < len(times) and int(times[at]) == time_ns

    # what is settled

    def due(self, now_ns: int) -> bool:
        """Whether there is enough to be settled."""
        return self.begun and (now_ns - self.water_ns > SETTLE_NS + GRACE_NS or self._waiting() > SETTLE_ROWS)

    def _waiting(self) -> int:
        return sum(len(tail) for tail in self._tail.values())

    def _told(self) -> bool:
        """Whether it ever told what it does; what is before that it is not accountable for, and when it ends nobody knows yet."""
        return any(tag in self.first.samples or len(self._states.get(tag, ())) for tag in self.state_tags)

    def settle(self, until_ns: int) -> None:
        """Fold up to a time, or to where the stop begins that nobody can call a minor one yet."""
        if until_ns <= self.water_ns or not (self._told() or self._waiting() > SETTLE_ROWS):
            return
        folded = self._folded(until_ns, until_ns)
        micro_ns = round(self.machine.micro_stop_s * NS_PER_S)
        if folded.open_group in (1, 2, 3) and until_ns - folded.open_ns < micro_ns:
            if folded.open_ns <= self.water_ns:
                return
            known_ns, until_ns = until_ns, folded.open_ns
            folded = self._folded(until_ns, known_ns)  # what went before is over, and known to be
        self._settled.append(folded.rows)
        if len(self._settled) > MAX_LOOSE:
            self._settled = [np.concatenate(self._settled)]
        self.marks += folded.marks
        self.carry, self.water_ns = folded.days[-1].carry, until_ns
        for tag, tail in self._tail.items():
            self._tail[tag] = Tail(tail.whole().between(until_ns - 1, 2**62))
        self.touch()

    def _folded(self, until_ns: int, known_ns: int) -> Folded:
        segments = self._planner.segments(self.machine.asset, self.water_ns, until_ns)
        samples = {tag: tail.whole() for tag, tail in self._tail.items()}
        return fold(self.ground(), segments, samples, self.carry, self._names, known_ns)

    # what is asked

    def view(self, now_ns: int, heard_ns: int) -> Folded:
        """The part that is not settled, as of now; after ``heard_ns`` nobody knows."""
        until_ns = self._until(now_ns)
        key = (self.stamp, until_ns // NS_PER_S if heard_ns >= now_ns else heard_ns)
        if self._view is None or self._view[0] != key:
            segments = self._planner.segments(self.machine.asset, self.water_ns, until_ns)
            samples = {tag: tail.whole() for tag, tail in self._tail.items()}
            ground = self._silent(until_ns, heard_ns, now_ns)
            self._view = key, fold(ground, segments, samples, self.carry, self._names, until_ns)
        return self._view[1]

    def whole(self, now_ns: int, heard_ns: int) -> Folded:
        """All of the open span without what was counted: for intervals and stops."""
        until_ns = max(self._until(now_ns), self.open_ns + 1)
        key = (self.stamp, until_ns // NS_PER_S if heard_ns >= now_ns else heard_ns)
        if self._whole is None or self._whole[0] != key:
            segments = self._planner.segments(self.machine.asset, self.open_ns, until_ns)
            samples = {tag: tail.whole() for tag, tail in self._states.items()}
            ground = self._silent(until_ns, heard_ns, now_ns)
            bare = replace(ground, machine=_without_counts(self.machine))
            self._whole = key, fold(bare, segments, samples, self.first, self._names, until_ns)
        return self._whole[1]

    def stops(self, now_ns: int, heard_ns: int) -> list[Stop]:
        """Stops of the open span, as of some seconds ago where nothing changed since."""
        key = (self.state_stamp, now_ns // STOPS_NS)
        if self._stops is None or self._stops[0] != key:
            self._stops = key, stops(self.whole(now_ns, heard_ns), self._names, self.entries, now_ns)
        return self._stops[1]

    def _until(self, now_ns: int) -> int:
        """Now, and a little further where the edge's clock is ahead of ours."""
        ahead_ns = min(self.newest_ns + 1, now_ns + 2 * NS_PER_S)
        return max(now_ns, ahead_ns, self.water_ns + 1)

    def _silent(self, until_ns: int, heard_ns: int, now_ns: int) -> Ground:
        ground = self.ground()
        if heard_ns >= now_ns:
            return ground
        begin = max(heard_ns, self.newest_ns)
        gaps = [g for g in ground.gaps if g[0] < begin]
        if begin < until_ns:
            gaps.append((max(begin, gaps[-1][1] if gaps else begin), 2**62))
        return replace(ground, gaps=gaps)

    def told(self, until_ns: int) -> tuple[NDArray[np.void], Folded]:
        """Facts by slot and intervals of the open span up to a time not before what is settled, by what is in memory."""
        planner, ground, asset = self._planner, self.ground(), self.machine.asset
        whole = fold(
            replace(ground, machine=_without_counts(self.machine)), planner.segments(asset, self.open_ns, until_ns),
            {tag: tail.whole() for tag, tail in self._states.items()}, self.first, self._names, until_ns,
        )  # fmt: skip
        rows = list(self._settled)
        if until_ns > self.water_ns:
            rows.append(self._folded(until_ns, until_ns).rows)
        return np.concatenate([np.zeros(0, FACT), *rows]), whole

    def rows(self, now_ns: int, heard_ns: int) -> NDArray[np.void]:
        """Facts of the open span by slot."""
        if not self.begun:
            return np.zeros(0, FACT)
        return np.concatenate([*self._settled, self.view(now_ns, heard_ns).rows])


def _without_counts(machine: Machine) -> Machine:
    return replace(machine, good=0, reject=0, total=0, rework=0, energy=(), material=())

"""The line in fast time: many days side by side, a second a step, with the rules of `physics` and `machines` on columns.

Every column is one production day of its own: it begins with the machines stopped and ready, and ends with the line run empty for
its cleaning, so days do not need each other and add up. Chance is drawn ahead for each (seed, day, machine, cause), in running
time and in bottles: what one fault draws does not move what another draws, and a change of one part leaves the rest as it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from isthmus.simulators.bottling.machines import ACCUMULATION, RECIPES, Capper, Filler, Labeller, Palletiser
from isthmus.simulators.bottling.physics import (
    ABORTED,
    ABORTING,
    ACTING,
    BLOCKED,
    CHANGE,
    CLEARING,
    COMPLETE,
    COMPLETING,
    ESTOP,
    EXECUTE,
    GUARD,
    HELD,
    HOLDING,
    IDLE,
    OPERATOR,
    RESETTING,
    STARTING,
    STARVED,
    STOPPED,
    STOPPING,
    SUSPENDED,
    SUSPENDING,
    UNHOLDING,
    UNSUSPENDING,
    Machine,
)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MACHINES: Final[Mapping[str, type[Machine]]] = {
    "filler": Filler,
    "capper": Capper,
    "labeller": Labeller,
    "palletiser": Palletiser,
}
"""In the order the bottles go."""

GRID_S: Final = 10
"""How often all counters are noted, besides each change of a state."""

EMPTY_S: Final = {"filler": 3240, **dict.fromkeys(("capper", "labeller", "palletiser"), 2700)}
"""How long before the end of the day each machine is stopped: the filler first, the others when the line has run empty."""

CLEARED_S: Final = 2400
"""How long before the end of the day the bottles left on the belts are taken off, and counted as rejects."""

_NUMBERS: Final = 18  # of PackML states, and zero
_DRAWN: Final = 96  # faults of one cause that are drawn ahead for a day
_REJECTS: Final = 4096

Stops = tuple[tuple[int, float, float], ...]
"""Cause, mean time between in s, mean repair in s; as ``Machine.STOPS``."""


def _table(default: float, values: Mapping[int, float]) -> Floats:
    table = np.full(_NUMBERS, default)
    for state, value in values.items():
        table[state] = value
    return table


_LEAST_S = _table(0.0, {state: least for state, (least, _) in ACTING.items()})
_END = _table(0, {state: end for state, (_, end) in ACTING.items()}).astype(np.int64)
_ACTING = _table(0, dict.fromkeys(ACTING, 1)).astype(np.bool_)
_FREE = _table(0, dict.fromkeys((HOLDING, ABORTING, COMPLETING), 1)).astype(
    np.bool_
)  # their wait is the repair behind them
_WAITS = _table(0, dict.fromkeys((HELD, ABORTED, COMPLETE), 1)).astype(np.bool_)
_NEXT = _table(0, {HELD: UNHOLDING, ABORTED: CLEARING, COMPLETE: RESETTING, STOPPED: RESETTING, IDLE: STARTING}).astype(
    np.int64
)
_READY = _table(0, dict.fromkeys((STOPPED, IDLE), 1)).astype(np.bool_)
_STOPPABLE = _table(0, dict.fromkeys((EXECUTE, SUSPENDED, IDLE), 1)).astype(np.bool_)
_INTO = {GUARD: ABORTING, ESTOP: ABORTING, CHANGE: COMPLETING}


class Draws:
    """Chance for one machine, drawn ahead as unit exponentials: one row a day, one table a cause, one for the rejects."""

    def __init__(self, seeds: Sequence[tuple[int, int]], machine: int, stops: Stops, rejects: float) -> None:
        self.between, self.repair = [], []
        for cause, mean_s, repair_s in stops:
            rows = [np.random.default_rng((*seed, machine, cause)).exponential(size=2 * _DRAWN) for seed in seeds]
            drawn = np.array(rows).reshape(len(seeds), 2, _DRAWN)
            self.between.append(mean_s * drawn[:, 0])
            self.repair.append(np.minimum(3.0 * repair_s, repair_s * drawn[:, 1]))
        if rejects <= 0.0:
            self.bottles = np.full((len(seeds), 1), np.iinfo(np.int64).max // 2)
            return
        rows = [np.random.default_rng((*seed, machine, 0)).exponential(size=_REJECTS) for seed in seeds]
        self.bottles = 1 + np.floor(np.array(rows) / -math.log1p(-rejects)).astype(np.int64)

    def leave(self, where: Flags, other: Draws) -> None:
        """Faults on some days are those of another, of the same causes."""
        for mine, its in ((self.between, other.between), (self.repair, other.repair)):
            for table, as_it_was in zip(mine, its, strict=True):
                table[where] = as_it_was[where]


class _Column:
    """One machine on all days. Shapes: all (days,)"""

    def __init__(self, name: str, place: int, stops: Stops, draws: Draws, days: int) -> None:
        kind = MACHINES[name]
        self.name, self.kind, self.place, self.stops, self.draws = name, kind, place, stops, draws
        self.places, self.space, self.target = kind.PLACES, kind.ROOM, float(kind.target)
        self.row = np.arange(days)
        self.moved = True  # whether a state or cause may have changed in this second
        self.state = np.full(days, STOPPED, np.int64)
        self.cause = np.full(days, OPERATOR, np.int64)
        self.speed, self.turned = np.zeros(days), np.zeros(days)
        self.wait_s, self.state_s = np.zeros(days), np.zeros(days)
        self.infeed, self.good, self.reject = (np.zeros(days, np.int64) for _ in range(3))
        self.inside = np.full(days, self.places, np.int64)
        self.queue = self.room = np.full(days, 1000, np.int64)
        self.run_s = np.zeros(days, np.int64)
        self.due = np.array([table[:, 0] for table in draws.between]).reshape(len(stops), days)
        self.turn = [np.zeros(days, np.int64) for _ in stops]
        self.until_reject = draws.bottles[:, 0].copy()
        self.rejected = np.zeros(days, np.int64)
        self.above: _Column | None = None
        self.below: _Column | None = None

    def step(self, released: Flags, ending: bool, slow: Flags | None) -> None:
        """One second. ``ending`` says that some days are not released any more, ``slow`` where the accumulation asks for three
        quarters of the speed.
        """
        self._look()
        running = self.state == EXECUTE
        struck = self._faults(running)
        outside = self._external(running)
        halt = self._halt(struck, released) if ending else None
        self._wait(running, struck if halt is None else struck | halt, outside)
        self._advance(released, outside)
        self._move(slow)

    def _look(self) -> None:
        if self.above is not None:
            self.queue = self.above.good - self.infeed
        if self.below is not None:
            self.room = np.maximum(0, self.space - (self.good - self.below.infeed))

    def _external(self, running: Flags) -> Ints:
        """Why the neighbours make it wait; 0 where they do not."""
        outside = np.zeros(len(self.row), np.int64)
        if self.below is not None:
            outside[self.room < np.where(running, 2.0, max(5.0, 0.1 * self.space))] = BLOCKED
        if self.above is not None:
            outside[self.queue < np.where(running, 2, 20)] = STARVED
        return outside

    def _faults(self, running: Flags) -> Flags:
        """Own faults come in running time. True where one came now."""
        struck = np.zeros(len(self.row), np.bool_)
        due = self.due - running
        if not ((due <= 0.0) & running).any():
            self.due = due
            return struck
        for i, (cause, _, _) in enumerate(self.stops):
            self.due[i] -= running & ~struck
            hit = running & ~struck & (self.due[i] <= 0.0)
            if hit.any():
                turn = self.turn[i][hit]
                self._enter(hit, _INTO.get(cause, HOLDING), cause)
                self.wait_s[hit] += self.draws.repair[i][hit, turn % _DRAWN]
                self.turn[i][hit] = turn + 1
                self.due[i][hit] = self.draws.between[i][hit, (turn + 1) % _DRAWN]
                struck |= hit
        return struck

    def _enter(self, where: Flags, state: int, cause: int) -> None:
        self.state[where], self.state_s[where], self.cause[where] = state, 0.0, cause
        self.moved = True
        if _ACTING[state]:
            self.wait_s[where] = _LEAST_S[state]

    def _halt(self, struck: Flags, released: Flags) -> Flags:
        """Whoever is not released any more stops. True where that is now."""
        halt = ~struck & ~released & _STOPPABLE[self.state]
        if halt.any():
            self._enter(halt, STOPPING, OPERATOR)
        return halt

    def _wait(self, running: Flags, taken: Flags, outside: Ints) -> None:
        """Whoever runs and finds no bottles or no room waits."""
        wait = running & (outside > 0)
        if wait.any() and (wait := wait & ~taken).any():
            self._enter(wait, SUSPENDING, 0)
            self.cause[wait] = outside[wait]

    def _advance(self, released: Flags, outside: Ints) -> None:
        """Acting states end by themselves; standing ones when their cause is gone."""
        self.state_s += 1.0
        state = self.state
        standing = state != EXECUTE
        self.run_s += ~standing
        if not standing.any():
            return
        self.wait_s = np.where(standing, np.maximum(0.0, self.wait_s - 1.0), self.wait_s)
        over = self.wait_s <= 0.0
        ends = _ACTING[state] & (self.state_s >= _LEAST_S[state]) & (_FREE[state] | over)
        goes = (_WAITS[state] & over) | (_READY[state] & released)
        suspended = state == SUSPENDED
        resumes = suspended & (outside == 0)
        waits = suspended & ~resumes
        if waits.any():
            self.cause = np.where(waits, outside, self.cause)
            self.moved = True
        moved = ends | goes | resumes
        if not moved.any():
            return
        self.moved = True
        new = np.where(ends, _END[state], np.where(goes, _NEXT[state], np.where(resumes, UNSUSPENDING, state)))
        self.cause[ends & ((new == EXECUTE) | (new == IDLE))] = 0
        self.state_s[moved] = 0.0
        self.wait_s = np.where(moved & _ACTING[new], _LEAST_S[new], self.wait_s)
        self.state = new

    def _move(self, slow: Flags | None) -> None:
        """Speed, then whole bottles in and out."""
        running = self.state == EXECUTE
        if slow is not None:
            wanted = np.where(slow, self.target * 0.75, self.target)
        else:
            wanted = self.target * np.minimum(1.0, 0.4 + self.queue / 60.0)
        goal = np.where(running, wanted, 0.0)
        most = np.where(goal > 0.0, 25.0, 60.0)
        self.speed = np.where(
            goal > self.speed, np.minimum(goal, self.speed + most), np.maximum(goal, self.speed - most)
        )
        self.turned += self.speed / 60.0
        turns = self.turned.astype(np.int64)
        self.turned -= turns
        taken = np.maximum(0, np.minimum(turns, np.minimum(self.queue, self.room)))
        leaving = np.maximum(0, self.inside + taken - self.places)
        self.until_reject -= leaving
        self.infeed += taken
        self.good += leaving
        self.inside += taken - leaving
        while (bad := self.until_reject <= 0).any():
            self.reject[bad] += 1
            self.good[bad] -= 1
            self.rejected[bad] += 1
            self.until_reject[bad] += self.draws.bottles[bad, self.rejected[bad] % self.draws.bottles.shape[1]]

    def clear(self, where: Flags) -> None:
        """What is left on the belt before it is taken off and counted as rejected."""
        if self.above is None:
            return
        left = np.where(where, self.above.good - self.infeed, 0)
        self.infeed += left
        self.reject += left


@dataclass(frozen=True, slots=True)
class Day:
    """One production day. Units: start UTC s; length s"""

    start_s: int
    length_s: int
    seed: tuple[int, int]
    closed: bool = False


@dataclass
class Record:
    """What the line did: every change of a state with all counters, and all counters every ten seconds.

    Counters begin at 0 each day, with every machine's ring full: infeed = good + reject + what the belts hold.

    Units:  second since the day's start; speed in bottles a minute
    Shapes: change columns (n,); grid columns (steps, machines, days), step 0 being the start
    """

    days: tuple[Day, ...]
    machines: tuple[str, ...]
    change: dict[str, NDArray[np.int32]] = field(default_factory=dict)
    grid: dict[str, NDArray[np.int32]] = field(default_factory=dict)
    speed: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0, 0), np.float32))

    def totals(self) -> dict[str, Ints]:
        """Pieces of each day by machine, up to its end. Shapes: (machines, days) each"""
        found = {}
        for name in ("good", "reject"):
            column = self.grid[name]
            at = np.minimum([day.length_s // GRID_S for day in self.days], len(column) - 1)
            found[name] = np.stack([column[step, :, day] for day, step in enumerate(at)], axis=1).astype(np.int64)
        return found


CHANGE_COLUMNS: Final = ("day", "machine", "second", "state", "cause", "infeed", "good", "reject")
GRID_COLUMNS: Final = ("state", "cause", "infeed", "good", "reject")


def run(
    days: Sequence[Day],
    changes: Mapping[str, Stops] | None = None,
    rejects: Mapping[str, float] | None = None,
    progress: Callable[[float], None] = lambda _: None,
    changed: Flags | None = None,
) -> Record:
    """Let the line live through days. ``changes`` replaces the faults of machines, ``rejects`` their share of bad bottles; where
    ``changed`` is told, a machine's faults come and last otherwise on those days alone.

    Cost: about 0.3 ms a second of the longest day, for up to some hundred days together
    """
    line = _line(days, changes or {}, rejects or {}, changed)
    length = np.array([day.length_s for day in days])
    steps = int(length.max())
    opened = np.array([not day.closed for day in days])
    noted = _Notes(line, days, steps)
    level = np.zeros(len(days))
    capper, labeller = line[1], line[2]
    first_end = {name: int(length.min()) - before for name, before in EMPTY_S.items()}
    for second in range(1, steps + 1):
        for column in line:
            ending = second >= first_end[column.name]  # closed days never begin, so they have nothing to stop
            released = opened & (second < length - EMPTY_S[column.name]) if ending else opened
            column.step(released, ending, level > 90.0 if column.place == 0 else None)
            if column is capper:
                level = np.minimum(100.0, 100.0 * np.maximum(0, capper.good - labeller.infeed) / ACCUMULATION)
        cleared = np.equal(length - CLEARED_S, second)
        if cleared.any():
            for column in line:
                column.clear(cleared)
        noted.take(second)
        if not second % 3600:
            progress(second / steps)
    return noted.record()


def _line(
    days: Sequence[Day], changes: Mapping[str, Stops], rejects: Mapping[str, float], changed: Flags | None
) -> list[_Column]:
    seeds = [day.seed for day in days]
    line = []
    for place, (name, kind) in enumerate(MACHINES.items()):
        stops = tuple(changes.get(name, kind.STOPS))
        draws = Draws(seeds, place, stops, rejects.get(name, kind.REJECTS))
        if changed is not None and name in changes:
            draws.leave(~changed, Draws(seeds, place, kind.STOPS, 0.0))
        line.append(_Column(name, place, stops, draws, len(days)))
    for above, below in pairwise(line):
        below.above, above.below = above, below
    return line


class _Notes:
    """Takes down what changed."""

    def __init__(self, line: list[_Column], days: Sequence[Day], steps: int) -> None:
        self._line, self._days = line, tuple(days)
        shape = (steps // GRID_S + 1, len(line), len(days))
        self._grid = {name: np.zeros(shape, np.int32) for name in GRID_COLUMNS}
        self._speed = np.zeros(shape, np.float32)
        self._rows: list[NDArray[np.int32]] = []
        self._before = [(c.state.copy(), c.cause.copy()) for c in line]
        self._note(0)

    def take(self, second: int) -> None:
        for column, (state, cause) in zip(self._line, self._before, strict=True):
            if not column.moved:
                continue
            column.moved = False
            moved = (column.state != state) | (column.cause != cause)
            if moved.any():
                day = np.flatnonzero(moved)
                rows = np.empty((len(CHANGE_COLUMNS), len(day)), np.int32)
                rows[0], rows[1], rows[2] = day, column.place, second
                for i, name in enumerate(GRID_COLUMNS, 3):
                    rows[i] = getattr(column, name)[day]
                self._rows.append(rows)
                self._before[column.place] = (column.state.copy(), column.cause.copy())
        if not second % GRID_S:
            self._note(second // GRID_S)

    def _note(self, at: int) -> None:
        for column in self._line:
            for name in GRID_COLUMNS:
                self._grid[name][at, column.place] = getattr(column, name)
            self._speed[at, column.place] = column.speed

    def record(self) -> Record:
        rows = np.concatenate(self._rows, axis=1) if self._rows else np.zeros((len(CHANGE_COLUMNS), 0), np.int32)
        change = dict(zip(CHANGE_COLUMNS, rows, strict=True))
        return Record(self._days, tuple(MACHINES), change, self._grid, self._speed)


def recipes(record: Record, first: int = 1) -> list[tuple[int, int, int]]:
    """What the filler filled: (day, second, recipe) from which on it is that one. A change-over brings the next."""
    change = record.change
    ended = (change["machine"] == 0) & (change["state"] == IDLE) & (change["cause"] == 0)
    began = (change["machine"] == 0) & (change["state"] == COMPLETING)
    found, recipe = [(0, 0, first)], first
    for day in range(len(record.days)):
        starts = np.sort(change["second"][began & (change["day"] == day)])
        ends = np.sort(change["second"][ended & (change["day"] == day)])
        for start in starts.tolist():
            after = ends[ends > start]
            if len(after) and int(after[0]) <= record.days[day].length_s:
                recipe = recipe % len(RECIPES) + 1
                found.append((day, int(after[0]), recipe))
    return found

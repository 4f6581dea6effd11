"""From samples to states: a state tag, rules over several tags, or one pulse alone become steps of a class.

What holds when is decided by the samples' own times only, so that it does not matter in which order they came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from isthmus.namespace.model import Machine
from isthmus.production.model import CODE, PACKML, StateClass
from isthmus.values import status as codes
from isthmus.values.clock import NS_PER_S
from isthmus.values.expression import Column, Expression, compile_expression

Ints = NDArray[np.int64]
Codes = NDArray[np.uint8]
Flags = NDArray[np.bool_]
Span = tuple[int, int]

NO_STATE: Final = np.iinfo(np.int64).min
"""The number of a state nobody knows, or of a machine that has no state tag."""
UNKNOWN: Final = CODE[StateClass.UNKNOWN]
RUNNING: Final = CODE[StateClass.RUNNING]
IDLE: Final = CODE[StateClass.IDLE]
STOPPED: Final = CODE[StateClass.STOPPED]
_UNDECLARED: Final = 255
_MAX_TABLE: Final = 1_024
IDLE_AFTER_S: Final = 20.0
STOPPED_AFTER_S: Final = 60.0
"""Where a machine with a pulse says nothing else."""


@dataclass(frozen=True, slots=True)
class Series:
    """Samples of one tag in order of time, each time once.

    Shapes: all (n,); value is float64, int64 or object (texts)
    """

    time_ns: Ints
    value: NDArray[Any]
    status: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.time_ns)

    def between(self, after_ns: int, until_ns: int) -> Series:
        """Samples with after < time <= until."""
        a, b = np.searchsorted(self.time_ns, (after_ns, until_ns), side="right").tolist()
        return Series(self.time_ns[a:b], self.value[a:b], self.status[a:b])


NOTHING: Final = Series(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.uint32))


def tidy(time_ns: Ints, value: NDArray[Any], status: NDArray[np.uint32]) -> Series:
    """Samples as they came, put in order; of several at one time the last that came counts, as in the record."""
    if len(time_ns) > 1 and not bool((time_ns[1:] > time_ns[:-1]).all()):
        order = np.argsort(time_ns, kind="stable")
        time_ns, value, status = time_ns[order], value[order], status[order]
        last = np.r_[time_ns[1:] != time_ns[:-1], True]
        time_ns, value, status = time_ns[last], value[last], status[last]
    return Series(time_ns, value, status)


def join(parts: Sequence[Series]) -> Series:
    """Samples of one tag from several places; what comes later in ``parts`` wins."""
    some = [p for p in parts if len(p)]
    if not some:
        return NOTHING
    if len(some) == 1:
        return some[0]
    time_ns, status = (np.concatenate([getattr(p, n) for p in some]) for n in ("time_ns", "status"))
    kinds = {p.value.dtype.kind for p in some}
    value = np.concatenate([p.value if len(kinds) == 1 else p.value.astype(np.float64) for p in some])
    return tidy(time_ns, value, status)


@dataclass(frozen=True, slots=True)
class Steps:
    """From each time on: a class, and the number of the state. Times grow. Shapes: (n,)"""

    time_ns: Ints
    state: Ints
    klass: Codes

    def __len__(self) -> int:
        return len(self.time_ns)


def machine_steps(machine: Machine, samples: Mapping[int, Series], gaps: Sequence[Span], known_ns: int) -> Steps:
    """What a machine did, from its samples up to ``known_ns``; before the first sample nobody knows.

    ``gaps`` are in order and do not overlap.
    """
    pulse_ns = 0
    if machine.pulse and not machine.state and not machine.rules:
        series = samples.get(machine.pulse, NOTHING)
        raw, heard = _pulse_steps(machine, series, known_ns)
        gaps = _joined([*gaps, *_silent(series, known_ns)])
        pulse_ns = _after_ns(machine)[1]
    elif machine.rules:
        raw, heard = _rule_steps(machine, samples)
    else:
        raw, heard = _state_steps(machine, samples.get(machine.state, NOTHING))
    stale_ns = round(machine.stale_after_s * NS_PER_S)
    if pulse_ns and machine.pulse_on is None:
        stale_ns = 0  # a pulse that does not come is a stop, not silence
    return merged(_forgotten(raw, heard, gaps, stale_ns, known_ns))


# --- one state tag -----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _lookup(classes: tuple[tuple[int, str], ...]) -> tuple[Ints, Codes]:
    """Numbers with their classes; those that lie close together without a hole between them."""
    known = {n: CODE[c] for n, c in (dict(classes) or {n: str(c) for n, c in PACKML.items()}).items()}
    low, high = min(known), max(known)
    numbers = range(low, high + 1) if high - low < _MAX_TABLE else sorted(known)
    return np.array(numbers, np.int64), np.array([known.get(n, _UNDECLARED) for n in numbers], np.uint8)


def _told(classes: Mapping[int, str], state: Ints) -> Codes:
    """The class of each number, or that it has none."""
    numbers, klass = _lookup(tuple(classes.items()))
    last = len(numbers) - 1
    low, high = int(numbers[0]), int(numbers[-1])
    if high - low == last:
        return np.where((state >= low) & (state <= high), klass[np.clip(state, low, high) - low], np.uint8(_UNDECLARED))
    at = np.minimum(np.searchsorted(numbers, state), last)
    return np.where(numbers[at] == state, klass[at], np.uint8(_UNDECLARED))


def class_of(classes: Mapping[int, str], state: Ints) -> Codes:
    """The class of each number; one that is not declared is unknown. Shapes: (n,) -> (n,)"""
    klass = _told(classes, state)
    return np.where(klass == _UNDECLARED, np.uint8(UNKNOWN), klass)


def whole(series: Series) -> tuple[Ints, Flags]:
    """Values as whole numbers, and which of them can be used."""
    usable = ~codes.is_bad(series.status)
    if series.value.dtype.kind == "O":
        return np.zeros(len(series), np.int64), np.zeros(len(series), np.bool_)
    if series.value.dtype.kind == "f":
        usable &= np.isfinite(series.value) & (np.abs(series.value) < 2.0**53)
        return np.rint(np.where(usable, series.value, 0.0)).astype(np.int64), usable
    return series.value.astype(np.int64, copy=False), usable


def _state_steps(machine: Machine, series: Series) -> tuple[Steps, Ints]:
    number, usable = whole(series)
    klass = np.where(usable, class_of(machine.classes, number), np.uint8(UNKNOWN))
    return Steps(series.time_ns, np.where(usable, number, NO_STATE), klass), series.time_ns


def undeclared(machine: Machine, series: Series) -> Flags:
    """Samples whose number has no class. Shapes: -> (n,)"""
    number, usable = whole(series)
    odd: Flags = usable & (_told(machine.classes, number) == _UNDECLARED)
    return odd


# --- rules over several tags ---------------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def _compiled(text: str) -> Expression:
    return compile_expression(text)


def _held(series: Series, at_ns: Ints) -> Column:
    """A tag's value at each time, as a column for expressions."""
    if not len(series):
        return Column(np.zeros(len(at_ns)), np.full(len(at_ns), codes.BAD_WAITING_FOR_INITIAL_DATA, np.uint32))
    place = np.searchsorted(series.time_ns, at_ns, side="right") - 1
    there = np.maximum(place, 0)
    status = np.where(place >= 0, series.status[there], np.uint32(codes.BAD_WAITING_FOR_INITIAL_DATA))
    return Column(series.value[there], status)


def _rule_steps(machine: Machine, samples: Mapping[int, Series]) -> tuple[Steps, Ints]:
    """The first rule that holds counts. One that cannot be judged stands before all behind it: nobody knows then.

    Where none holds, the state tag tells; a machine without one is stopped.
    """
    inputs = {name: samples.get(tag, NOTHING) for name, tag in machine.inputs.items()}
    sources = [*inputs.values(), samples.get(machine.state, NOTHING)] if machine.state else list(inputs.values())
    times = np.unique(np.concatenate([np.zeros(0, np.int64), *(s.time_ns for s in sources)]))
    if machine.state:
        own, _ = _state_steps(machine, samples.get(machine.state, NOTHING))
        place = np.searchsorted(own.time_ns, times, side="right") - 1
        known = place >= 0
        state = np.where(known, np.r_[own.state, NO_STATE][place], NO_STATE)
        klass = np.where(known, np.r_[own.klass, np.uint8(UNKNOWN)][place], np.uint8(UNKNOWN))
    else:
        state = np.full(len(times), NO_STATE, np.int64)
        klass = np.full(len(times), STOPPED, np.uint8)
    columns = {name: _held(series, times) for name, series in inputs.items()}
    for name, text in reversed(machine.rules):
        rule = _compiled(text)
        if not len(times):
            break
        found = rule.evaluate({n: columns[n] for n in rule.names}, len(times))
        unknown = codes.is_bad(found.status)
        holds = found.value.astype(np.bool_) & ~unknown
        klass = np.where(holds, np.uint8(CODE[name]), np.where(unknown, np.uint8(UNKNOWN), klass))
    return Steps(times, state, klass.astype(np.uint8)), times


# --- one pulse -----------------------------------------------------------------------------------------------------------


def _after_ns(machine: Machine) -> tuple[int, int]:
    idle = round((machine.idle_after_s or IDLE_AFTER_S) * NS_PER_S)
    stopped = round((machine.stopped_after_s or STOPPED_AFTER_S) * NS_PER_S)
    return idle, max(idle, stopped)


def pulses(machine: Machine, series: Series) -> tuple[Ints, Ints]:
    """Times at which pieces came, and how many: growth of a counter, or the rising edges of a switch. Shapes: (k,) x 2

    A fall of the counter is a pulse, too: it began again, and what it shows is new.
    """
    value, usable = whole(series)
    time_ns, value = series.time_ns[usable], value[usable]
    grown = np.diff(value)
    grown = np.where(grown < 0, value[1:], grown)
    came = np.flatnonzero(grown > 0)
    return time_ns[1:][came], grown[came]


def _pulse_steps(machine: Machine, series: Series, known_ns: int) -> tuple[Steps, Ints]:
    """Running from each pulse on, idle and then stopped when none follows."""
    idle_ns, stopped_ns = _after_ns(machine)
    bad = codes.is_bad(series.status)
    if machine.pulse_on is None:
        at, _ = pulses(machine, series)
        until = at
    else:
        value = np.where(bad, -np.inf, series.value.astype(np.float64))
        on = value >= machine.pulse_on
        last = np.r_[series.time_ns[1:], known_ns] if len(series) else series.time_ns
        at, until = series.time_ns[on], last[on]
    begins = series.time_ns[~bad][:1]
    times, klass = [at], [np.full(len(at), RUNNING, np.uint8)]
    following = np.r_[at[1:], np.iinfo(np.int64).max] if len(at) else at
    for after_ns, code in ((idle_ns, IDLE), (stopped_ns, STOPPED)):
        end = until + after_ns
        lapsed = (end < following) & (end < known_ns)
        times.append(end[lapsed])
        klass.append(np.full(int(lapsed.sum()), code, np.uint8))
    if len(begins) and (not len(at) or begins[0] < at[0]):
        times.append(begins)  # before the first pulse it is not running
        klass.append(np.array([IDLE], np.uint8))
        quiet = begins + stopped_ns
        if (not len(at) or quiet[0] < at[0]) and quiet[0] < known_ns:
            times.append(quiet)
            klass.append(np.array([STOPPED], np.uint8))
    first = bad & (np.cumsum(~bad) == 0)  # later ones are times in which nothing is heard
    times += [series.time_ns[first]]
    klass += [np.full(int(first.sum()), UNKNOWN, np.uint8)]
    all_ns = np.concatenate(times)
    order = np.argsort(all_ns, kind="stable")
    return Steps(all_ns[order], np.full(len(order), NO_STATE, np.int64), np.concatenate(klass)[order]), series.time_ns[
        ~bad
    ]


def _silent(series: Series, known_ns: int) -> list[Span]:
    """Times in which a sensor said nothing usable: from each bad sample to the next good one."""
    bad = codes.is_bad(series.status)
    begins = np.flatnonzero(bad & np.r_[True, ~bad[:-1]][: len(bad)])
    good_ns = np.r_[series.time_ns[~bad], max(known_ns, int(series.time_ns[-1]) if len(series) else 0)]
    ends = good_ns[np.searchsorted(series.time_ns[~bad], series.time_ns[begins], side="right")]
    return list(zip(series.time_ns[begins].tolist(), ends.tolist(), strict=True))


def _joined(spans: Sequence[Span]) -> list[Span]:
    """The same in order, without overlaps."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        elif end > begin:
            found.append((begin, end))
    return found


# --- what nobody knows -----------------------------------------------------------------------------------------------------


def _forgotten(steps: Steps, heard_ns: Ints, gaps: Sequence[Span], stale_ns: int, known_ns: int) -> Steps:
    """The same with unknown where a value is not held: after ``stale_ns`` without a sample, and across a gap.

    A value that was heard at t holds up to the next one, but not past the first gap that ends after t.
    """
    if not (stale_ns or gaps) or not len(heard_ns):
        return steps
    following = np.r_[heard_ns[1:], known_ns]
    until = following.copy()
    if stale_ns:
        until = np.minimum(until, heard_ns + stale_ns)
    if gaps:
        begins, ends = (np.array([g[i] for g in gaps], np.int64) for i in (0, 1))
        which = np.searchsorted(ends, heard_ns, side="right")
        far = np.iinfo(np.int64).max
        until = np.minimum(until, np.maximum(np.r_[begins, far][which], heard_ns))
    lost = until < following
    if not lost.any():
        return steps
    # what is inside a lost time is not known either: steps that a pulse would have made by not coming
    inside = np.searchsorted(until[lost], steps.time_ns, side="right") - 1
    kept = (inside < 0) | (steps.time_ns >= following[lost][np.maximum(inside, 0)])
    # what holds when something is heard again: a pulse that did not come makes no step of its own
    again = following[lost]
    again = again[again < known_ns]
    held = np.searchsorted(steps.time_ns, again, side="right") - 1
    none = int(lost.sum())
    time_ns = np.concatenate([steps.time_ns[kept], again[held >= 0], until[lost]])
    held = held[held >= 0]
    order = np.argsort(time_ns, kind="stable")
    return Steps(
        time_ns[order],
        np.concatenate([steps.state[kept], steps.state[held], np.full(none, NO_STATE, np.int64)])[order],
        np.concatenate([steps.klass[kept], steps.klass[held], np.full(none, UNKNOWN, np.uint8)])[order],
    )


def merged(steps: Steps) -> Steps:
    """Each time once (the last word counts), and only where something changes."""
    if len(steps) < 2:
        return steps
    time_ns, state, klass = steps.time_ns, steps.state, steps.klass
    last = np.ones(len(steps), np.bool_)
    np.not_equal(time_ns[1:], time_ns[:-1], out=last[:-1])
    if not last.all():
        time_ns, state, klass = time_ns[last], state[last], klass[last]
    new = np.ones(len(time_ns), np.bool_)
    new[1:] = (state[1:] != state[:-1]) | (klass[1:] != klass[:-1])
    return Steps(time_ns[new], state[new], klass[new])

"""Whether a command may reach the device, as the edge sees it at one moment. Pure: nothing here waits or writes.

Each check answers with a refusal or with nothing. All of them run twice: before the journal, and again when it is the value's turn
on the wire. Whatever is unknown refuses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from isthmus.ports.field import HeldValue
from isthmus.values.clock import NS_PER_S
from isthmus.values.messages.control import Mode, WriteCommand, Written
from isthmus.values.model import WritePoint
from isthmus.values.status import BAD, SEVERITY_MASK, name

CLOCK_LIMIT_S: Final = 2.0
"""Clocks of core and edge further apart than this: expiry and freshness mean nothing, so nothing is written."""
_FLOAT: Final = 1e-6
"""A device with single precision shows a value this close, as a part of it."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not, and what would clear it."""

    code: str
    reason: str
    clears: str = ""


class Condition(Protocol):
    """A compiled expression."""

    @property
    def names(self) -> frozenset[str]: ...

    def evaluate_one(self, inputs: Mapping[str, tuple[Written, int]]) -> tuple[Written, int]: ...


@dataclass(frozen=True, slots=True)
class Moment:
    """What holds at the edge now.

    Units: now_ns UTC; offset_s core's clock at sending minus ours at receiving; idle_s since the last write of the tag
    """

    now_ns: int
    offset_s: float
    version: int  # of the model that runs; below 0 while it is being changed
    path: str  # of the tag that is to be written
    shown_path: str  # of the tag that shows it
    mode: Mode
    lock: str  # who locked it out, and why; empty where nobody did
    trip: str  # the trip that holds it; empty where none does
    idle_s: float
    held: Callable[[int], HeldValue | None]
    path_of: Callable[[int], str]
    local: Condition | None
    interlock: Condition | None
    text: bool = False
    whole: bool = False


def judge(command: WriteCommand, point: WritePoint, moment: Moment) -> Refusal | None:
    """The first thing that stands against it; None when nothing does."""
    for check in _CHECKS:
        refusal = check(command, point, moment)
        if refusal is not None:
            return refusal
    return None


def still(command: WriteCommand, point: WritePoint, moment: Moment) -> Refusal | None:
    """As ``judge``, for a value that nobody asked for just now: a lease that lapsed. The declared safe value passes modes, and
    is held back by a lock, a trip, or a machine that is surely operated by hand.
    """
    refusal = _lockout(command, point, moment) or _tripped(command, point, moment) or _local(command, point, moment)
    return None if refusal is not None and refusal.code == "local_unknown" else refusal


def same(one: Written | None, other: Written | None, tolerance: float = 0.0) -> bool:
    """Whether two values are one, as far as a device can show it."""
    if one is None or other is None or isinstance(one, str) or isinstance(other, str):
        return one == other and one is not None
    if isinstance(one, int) and isinstance(other, int):
        return abs(one - other) <= tolerance
    return abs(one - other) <= tolerance + _FLOAT * max(abs(one), abs(other))


def usable(held: HeldValue | None) -> bool:
    """Whether there is a value to compare with; one outside its range is, so that it can be brought back."""
    return held is not None and not held.status & BAD and held.value is not None


# --- the checks, in order --------------------------------------------------------------------------------------------


def _intent(command: WriteCommand, _: WritePoint, __: Moment) -> Refusal | None:
    if command.intent and command.id:
        return None
    return Refusal("no_intent", "no durable record says that somebody wants this", "ask for the write through core")


def _clock(_: WriteCommand, __: WritePoint, moment: Moment) -> Refusal | None:
    if abs(moment.offset_s) <= CLOCK_LIMIT_S:
        return None
    return Refusal(
        "clock_offset",
        f"the clocks of core and edge are {abs(moment.offset_s):.1f} s apart, at most {CLOCK_LIMIT_S:g} s are allowed",
        "set the clocks of both machines, best by NTP",
    )


def _expired(command: WriteCommand, _: WritePoint, moment: Moment) -> Refusal | None:
    if moment.now_ns <= command.expires_ns:
        return None
    late_s = (moment.now_ns - command.expires_ns) / NS_PER_S
    return Refusal("expired", f"the command expired {late_s:.1f} s ago", "ask again")


def _version(command: WriteCommand, _: WritePoint, moment: Moment) -> Refusal | None:
    if command.model_version == moment.version >= 0:
        return None
    return Refusal(
        "model_version",
        f"asked for under plant version {command.model_version}, this edge runs {moment.version}",
        "look again and ask again",
    )


def _type(command: WriteCommand, _: WritePoint, moment: Moment) -> Refusal | None:
    value = command.value
    if isinstance(value, str) != moment.text:
        wanted = "a text" if moment.text else "a number"
        return Refusal("wrong_type", f"{moment.path} takes {wanted}, was {value!r}", f"give {wanted}")
    if isinstance(value, str):
        return None
    if not math.isfinite(value):
        return Refusal("wrong_type", f"{moment.path} takes a finite number, was {value}", "give a finite number")
    if moment.whole and value != int(value):
        return Refusal("wrong_type", f"{moment.path} takes a whole number, was {value:g}", "give a whole number")
    return None


def _range(command: WriteCommand, point: WritePoint, moment: Moment) -> Refusal | None:
    value = command.value
    if isinstance(value, str):
        return None
    if (point.low is None or value >= point.low) and (point.high is None or value <= point.high):
        return None
    low, high = ("no limit" if v is None else f"{v:g}" for v in (point.low, point.high))
    return Refusal("out_of_range", f"{value:g} lies outside {low} … {high}", f"give a value from {low} to {high}")


def _lockout(_: WriteCommand, __: WritePoint, moment: Moment) -> Refusal | None:
    if not moment.lock:
        return None
    return Refusal("locked_out", f"{moment.path} is locked out: {moment.lock}", "who holds the lock removes it")


def _tripped(_: WriteCommand, __: WritePoint, moment: Moment) -> Refusal | None:
    if not moment.trip:
        return None
    return Refusal(
        "tripped", f"trip {moment.trip} holds {moment.path}", f"clear the cause, then reset trip {moment.trip}"
    )


def _mode(command: WriteCommand, point: WritePoint, moment: Moment) -> Refusal | None:
    zone = point.zone or "of the plant"
    if moment.mode is Mode.NORMAL:
        return None
    if moment.mode is Mode.HALTED:
        return Refusal("halted", f"zone {zone} is halted", f"put zone {zone} back to normal")
    clears = f"move it the safe way, or put zone {zone} back to normal"
    if not point.direction or isinstance(command.value, str):
        return Refusal(
            "safe_direction", f"zone {zone} lets the safe direction pass only, {moment.path} has none", clears
        )
    held = moment.held(point.tag)
    if not usable(held) or held is None or not _is_fresh(held, point) or isinstance(held.value, str):
        return Refusal("safe_direction", f"which way is safe cannot be told: {moment.path} has no usable value", clears)
    if (command.value - (held.value or 0)) * point.direction < 0:
        way = "up" if point.direction > 0 else "down"
        return Refusal(
            "safe_direction", f"zone {zone} lets {moment.path} go {way} only, it is at {held.value:g}", clears
        )
    return None


def _local(_: WriteCommand, point: WritePoint, moment: Moment) -> Refusal | None:
    if moment.local is None:
        return None
    operated, why = _truth(moment.local, point, moment)
    if operated is None:
        return Refusal("local_unknown", f"whether it is operated at the machine is not known: {why}", _CLEAR_INPUT)
    if operated:
        return Refusal("local", f"{moment.path} is operated at the machine", "switch the machine to remote")
    return None


def _interlock(_: WriteCommand, point: WritePoint, moment: Moment) -> Refusal | None:
    if moment.interlock is None:
        return None
    holds, why = _truth(moment.interlock, point, moment)
    if holds is None:
        return Refusal("interlock_unknown", f"the interlock cannot be judged: {why}", _CLEAR_INPUT)
    if not holds:
        return Refusal("interlock", f"the interlock does not hold: {point.interlock}; {why}", "make its condition true")
    return None


def _connection(_: WriteCommand, point: WritePoint, moment: Moment) -> Refusal | None:
    held = moment.held(point.read_back or point.tag)
    if usable(held):
        return None
    why = "was never read" if held is None else f"is {name(held.status)}"
    return Refusal("not_connected", f"{moment.shown_path}, which shows what is written, {why}", "mend the connection")


def _base(command: WriteCommand, point: WritePoint, moment: Moment) -> Refusal | None:
    if command.base is None:
        return None
    held = moment.held(point.tag)
    now = held.value if usable(held) and held is not None else None
    if same(command.base, now, point.tolerance):
        return None
    return Refusal(
        "base_changed", f"it was {command.base} when it was asked for, it is {now} now", "look again and ask again"
    )


def _step(command: WriteCommand, point: WritePoint, moment: Moment) -> Refusal | None:
    if (point.step is None and point.rate_s is None) or isinstance(command.value, str):
        return None
    held = moment.held(point.tag)
    if not usable(held) or held is None or not _is_fresh(held, point) or isinstance(held.value, str):
        return Refusal(
            "value_unknown", f"how far it would move is not known: {moment.path} has no fresh value", _CLEAR_INPUT
        )
    moved = abs(command.value - (held.value or 0))
    if point.step is not None and moved > point.step * (1 + _FLOAT):
        return Refusal("step", f"it would move by {moved:g}, at most {point.step:g} at once", "go in smaller steps")
    if point.rate_s is not None and moved > point.rate_s * moment.idle_s * (1 + _FLOAT):
        allowed = point.rate_s * moment.idle_s
        return Refusal(
            "rate",
            f"it would move by {moved:g}, {allowed:.3g} are allowed {moment.idle_s:.0f} s after the last write",
            f"wait {moved / point.rate_s - moment.idle_s:.0f} s, or move it less",
        )
    return None


_CHECKS = (
    _intent,
    _clock,
    _expired,
    _version,
    _type,
    _range,
    _lockout,
    _tripped,
    _mode,
    _local,
    _interlock,
    _connection,
    _base,
    _step,
)
_CLEAR_INPUT: Final = "bring back a good, fresh value of what it looks at"


def _is_fresh(held: HeldValue, point: WritePoint) -> bool:
    return held.age_s <= point.fresh_s


def _truth(condition: Condition, point: WritePoint, moment: Moment) -> tuple[bool | None, str]:
    """Whether a condition holds on fresh good values, with what it looked at; None where one is missing, bad or old."""
    inputs: dict[str, tuple[Written, int]] = {}
    seen = []
    for word in sorted(condition.names):
        tag = point.inputs.get(word)
        held = None if tag is None else moment.held(tag)
        path = word if tag is None else moment.path_of(tag)
        if held is None or held.value is None:
            return None, f"{path} has no value" if held is None else f"{path} is {name(held.status)}"
        if held.status & SEVERITY_MASK:
            return None, f"{path} is {name(held.status)}"
        if not _is_fresh(held, point):
            return None, f"{path} is {held.age_s:.1f} s old, at most {point.fresh_s:g} s count"
        inputs[word] = held.value, held.status
        seen.append(f"{path} is {held.value}")
    value, status = condition.evaluate_one(inputs)
    if status & SEVERITY_MASK:
        return None, f"its result is {name(status)}: {', '.join(seen)}"
    return bool(value), ", ".join(seen)

"""Pure values and rules of the way back: who asks, what a write is, where it stands, and what its value must satisfy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol

from isthmus.namespace.model import Lockout, Tag
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import Denied
from isthmus.values.messages.control import Mode, Written
from isthmus.values.model import WritePoint
from isthmus.values.sample import ValueType

WRITE: Final = "control.write"
APPROVE: Final = "control.approve"
MODE: Final = "control.mode"
LOCKOUT: Final = "control.lockout"
READ: Final = "read"

SELECTION_S: Final = 60.0
"""So long a selection is good."""
APPROVAL_S: Final = 600.0
"""So long a write waits for a second person."""
EXPIRES_S: Final = 5.0
"""After this long an edge refuses a command it has not begun."""
OFFSET_S: Final = 2.0
"""The most the clocks of core and edge may differ."""
MAX_TEXT_CHARS: Final = 1000
MAX_REASON_CHARS: Final = 1000

_STRICTNESS: Final = {Mode.NORMAL: 0, Mode.SAFE_DIRECTION_ONLY: 1, Mode.HALTED: 2}


class Stage(StrEnum):
    """Where a write stands."""

    AWAITING = "awaiting_approval"
    SENT = "sent"
    DONE = "done"
    DENIED = "denied"
    UNCERTAIN = "uncertain"
    EXPIRED = "expired"
    REJECTED = "rejected"


class Trigger(StrEnum):
    """What moves it."""

    SEND = "send"
    DONE = "done"
    DENY = "deny"
    LOSE = "lose"
    EXPIRE = "expire"
    REJECT = "reject"


NEXT: Final[Mapping[tuple[Stage, Trigger], Stage]] = {
    (Stage.AWAITING, Trigger.SEND): Stage.SENT,
    (Stage.AWAITING, Trigger.DENY): Stage.DENIED,
    (Stage.AWAITING, Trigger.EXPIRE): Stage.EXPIRED,
    (Stage.AWAITING, Trigger.REJECT): Stage.REJECTED,
    (Stage.SENT, Trigger.DONE): Stage.DONE,
    (Stage.SENT, Trigger.DENY): Stage.DENIED,
    (Stage.SENT, Trigger.LOSE): Stage.UNCERTAIN,
    (Stage.UNCERTAIN, Trigger.DONE): Stage.DONE,  # the edge knew it after all
    (Stage.UNCERTAIN, Trigger.DENY): Stage.DENIED,
    (Stage.UNCERTAIN, Trigger.LOSE): Stage.UNCERTAIN,  # and now nobody will know better
}
"""All there is. Nothing leads back to ``sent``: a command goes out once."""

ACCEPTED: Final = (Stage.SENT, Stage.DONE, Stage.UNCERTAIN)
"""Stages of a write that has reached the device, or may have."""


class Asker(Protocol):
    """Somebody who proved who they are, as the room security knows them."""

    @property
    def name(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def proof(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def user_id(self) -> int | None: ...
    @property
    def source(self) -> str: ...
    @property
    def station(self) -> str: ...


class Answer(Protocol):
    """What a policy says, with its reason."""

    @property
    def allowed(self) -> bool: ...
    @property
    def reason(self) -> str: ...
    @property
    def code(self) -> str: ...


class Permissions(Protocol):
    """The policy in force, and what is locked out."""

    def decide(self, asker: Asker, action: str, path: str = "", *, zone: str = "") -> Answer: ...

    def at_least(self, role: str, least: str) -> bool:
        """Whether a role is another one, or has everything of it."""
        ...

    def locked(self, path: str) -> Answer | None:
        """What locks a path out, whoever asks."""
        ...

    def zone_at(self, path: str) -> str: ...

    def lockouts(self) -> Mapping[str, Lockout]:
        """Everything that is locked out: by the plant file and at run time."""
        ...


@dataclass(frozen=True, slots=True)
class EdgeState:
    """An edge as its heartbeats tell. Units: age_s since the last; offset_s its clock minus ours"""

    fresh: bool
    age_s: float
    offset_s: float
    epoch: int
    model_version: int
    journal: int = 0


class Refusal(Denied):
    """We said no before anything was sent. ``clears`` says what would clear it."""

    def __init__(self, code: str, reason: str, clears: str = "") -> None:
        super().__init__(f"{reason}; {clears}" if clears else reason, code)
        self.reason, self.clears = reason, clears


@dataclass(frozen=True, slots=True)
class Selection:
    """A point somebody has chosen, and the value shown; good once, for whoever chose it. Units: UTC ns"""

    id: str
    path: str
    key: str  # of the session or token
    name: str
    value: Written | None
    expires_ns: int


@dataclass(frozen=True, slots=True)
class Write:
    """One request for a value, from its beginning to its end. ``settled``: nothing more will be known of it.

    Units: times are UTC ns, 0 for not yet; value, base, before and read_back in the tag's unit
    """

    id: str
    path: str
    tag: int
    value: Written
    unit: str
    zone: str
    edge: str
    by: str
    proof: str
    requested_ns: int
    base: Written | None = None
    user_id: int | None = None
    behind: tuple[str, ...] = ()  # people who answer for a program
    why: str = ""  # as whoever asked for it said
    state: Stage = Stage.SENT
    settled: bool = False
    approved_by: str = ""
    code: str = ""
    detail: str = ""  # how it ended, in words
    clears: str = ""
    intent: str = ""
    expires_ns: int = 0
    sent_ns: int = 0
    done_ns: int = 0
    read_back: Written | None = None
    before: Written | None = None

    @property
    def open(self) -> bool:
        """Whether it left for the edge and its end is not known."""
        return not self.settled and self.state in (Stage.SENT, Stage.UNCERTAIN)


@dataclass(frozen=True, slots=True)
class May:
    """Whether somebody may write a point now, and if not why not and what would clear it."""

    allowed: bool
    code: str = ""
    reason: str = ""
    clears: str = ""


@dataclass(frozen=True, slots=True)
class InputRow:
    """One input of an interlock as core sees it. Units: age_s since its sample"""

    path: str
    value: Written | None
    status: int
    age_s: float | None


@dataclass(frozen=True, slots=True)
class PointRow:
    """A point as people see it. ``holds`` and ``local`` are from core's live values; the truth is the gate's."""

    tag: Tag
    point: WritePoint
    zone: str
    mode: Mode
    value: Written | None
    holds: bool | None
    local: bool | None
    inputs: tuple[InputRow, ...]
    lockout: str
    may: May
    recent: Write | None


def follow(stage: Stage, trigger: Trigger) -> Stage:
    """The stage after a trigger.

    Raises: Denied (wrong_state)
    """
    found = NEXT.get((stage, trigger))
    if found is None:
        raise Denied(f"a write that is {stage} cannot be moved by {trigger}", "wrong_state")
    return found


def stricter(new: Mode, old: Mode) -> bool:
    """Whether a mode lets less pass than another."""
    return _STRICTNESS[new] > _STRICTNESS[old]


def same_person(write: Write, asker: Asker, behind: Sequence[str] = ()) -> bool:
    """Whether somebody asked for a write, or answers for the program that did."""
    if write.user_id is not None and asker.user_id is not None:
        return write.user_id == asker.user_id
    return bool({n.casefold() for n in (write.by, *write.behind)} & {n.casefold() for n in (asker.name, *behind)})


def checked_value(tag: Tag, point: WritePoint, value: object) -> Written:
    """A value fit for the point, in the type of its tag.

    Raises: Refusal (value_type, out_of_range)
    """
    if tag.type is ValueType.TEXT:
        return _text(tag, value)
    if isinstance(value, bool) and tag.kind != "switch":
        raise Refusal("value_type", f"{tag.path} takes a number, was {str(value).lower()}")
    if not isinstance(value, int | float):
        raise Refusal("value_type", f"{tag.path} takes a number, was {_shown(value)}", "send a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise Refusal("value_type", f"{tag.path} takes a finite number, was {value}", "send a finite number")
    if tag.type is ValueType.INT:
        if number != int(value) or not -(2**63) <= int(value) < 2**63:
            raise Refusal("value_type", f"{tag.path} takes a whole number of 64 bits, was {value}")
        _in_range(tag, point, int(value))
        return int(value)
    _in_range(tag, point, number)
    return number


def _text(tag: Tag, value: object) -> str:
    if not isinstance(value, str):
        raise Refusal("value_type", f"{tag.path} takes a text, was {_shown(value)}", "send a text")
    if len(value) > MAX_TEXT_CHARS or not all(c.isprintable() for c in value):
        raise Refusal("value_type", f"{tag.path} takes a printable text of at most {MAX_TEXT_CHARS} characters")
    return value


def _in_range(tag: Tag, point: WritePoint, value: float) -> None:
    if tag.states is not None and value not in tag.states:
        known = ", ".join(f"{number} {name}" for number, name in tag.states.items())
        raise Refusal("out_of_range", f"{tag.path} has no state {value:g}; it has {known}", "send one of them")
    low, high = limits(tag, point)
    if (low is not None and value < low) or (high is not None and value > high):
        between = f"{'-∞' if low is None else f'{low:g}'} to {'∞' if high is None else f'{high:g}'}"
        raise Refusal(
            "out_of_range",
            f"{tag.path} may be written from {between}{tag.unit and f' {tag.unit}'}, was {value:g}",
            "send a value within this range",
        )


def limits(tag: Tag, point: WritePoint) -> tuple[float | None, float | None]:
    """The range of a point; the tag's where it names none."""
    return (tag.low if point.low is None else point.low), (tag.high if point.high is None else point.high)


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)[:80]


def check_step(tag: Tag, point: WritePoint, value: Written, current: Written | None) -> None:
    """The most it may change at once.

    Raises: Refusal (step, value_unknown)
    """
    if point.step is None or isinstance(value, str):
        return
    if current is None or isinstance(current, str):
        raise Refusal(
            "value_unknown",
            f"the value {tag.path} has is not known, so its step of {point.step:g} cannot be checked",
            "wait until it is read",
        )
    if abs(value - current) > point.step + _grain(value, current):
        raise Refusal(
            "step",
            f"{tag.path} may change by {point.step:g} at once, from {current:g}; was {value:g}",
            "go there in smaller steps",
        )


def check_rate(tag: Tag, point: WritePoint, value: Written, last: Write | None, now_ns: int) -> None:
    """How fast it may change over time: held against the write that was accepted before.

    Raises: Refusal (rate)
    """
    if point.rate_s is None or isinstance(value, str) or last is None or isinstance(last.value, str):
        return
    passed_s = max(0.0, (now_ns - last.sent_ns) / NS_PER_S)
    allowed = point.rate_s * passed_s
    change = abs(value - last.value)
    if change > allowed + _grain(value, last.value):
        wait_s = change / point.rate_s - passed_s if point.rate_s > 0 else math.inf
        raise Refusal(
            "rate",
            f"{tag.path} may change by {point.rate_s:g} per second; {passed_s:.0f} s after {last.value:g} it was {value:g}",
            f"wait {math.ceil(wait_s)} s more, or change less" if math.isfinite(wait_s) else "change nothing",
        )


def check_direction(tag: Tag, point: WritePoint, value: Written, current: Written | None) -> None:
    """What SAFE-DIRECTION-ONLY lets pass.

    Raises: Refusal (safe_direction)
    """
    clears = "somebody who may change modes sets the zone to normal"
    if point.direction == 0 or isinstance(value, str):
        raise Refusal("safe_direction", f"{tag.path} has no safe direction, and its zone takes only that", clears)
    if current is None or isinstance(current, str):
        raise Refusal("safe_direction", f"the value {tag.path} has is not known, so no direction is safe", clears)
    if (value - current) * point.direction < 0:
        way = "up" if point.direction > 0 else "down"
        raise Refusal("safe_direction", f"only {way} is safe for {tag.path}, from {current:g}; was {value:g}", clears)


def _grain(*values: float) -> float:
    """What rounding alone may make of numbers of this size."""
    return 1e-9 * max(1.0, *(abs(v) for v in values))


def same_value(one: Written | None, other: Written | None, tolerance: float = 0.0) -> bool:
    """Whether two values are the same as far as a device can hold them (single precision)."""
    if one is None or other is None or isinstance(one, str) or isinstance(other, str):
        return one == other
    return abs(one - other) <= max(tolerance, 1e-6 * max(abs(one), abs(other)))


@dataclass(frozen=True, slots=True)
class ModeRow:
    """The mode of a zone. ``pending`` are edges that have not confirmed it yet. Units: since_ns is UTC ns, 0 for always"""

    zone: str
    mode: Mode
    by: str = ""
    reason: str = ""
    since_ns: int = 0
    edges: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a guarded point that no write explains: ``unexplained``, or made at the machine (``local``).

    Units: times are UTC ns; time_ns of the sample
    """

    id: int
    path: str
    tag: int
    kind: str
    state: str  # open, accepted or recorded
    before: Written | None
    value: Written | None
    unit: str
    time_ns: int
    seen_ns: int
    by: str = ""
    reason: str = ""
    accepted_ns: int | None = None


@dataclass(frozen=True, slots=True)
class EdgeLine:
    """A line of an edge's journal. Units: time_ns is the edge's clock, UTC ns"""

    edge: str
    n: int
    kind: str
    time_ns: int
    path: str
    said: Mapping[str, Any] = field(default_factory=dict)

"""What the plant file says about alarms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from typing import Any, ClassVar, Final, Literal

from isthmus.values.errors import ConfigError
from isthmus.values.plant.scalars import Seconds
from isthmus.values.schema import members

Priority = Literal["low", "medium", "high", "critical"]
Consequence = Literal["minor", "major", "severe"]

LIMITS: Final = ("high_high", "high", "low", "low_low")
"""The four limits of a tag, the highest first."""

PROMPT_S: Final = 300.0
SOON_S: Final = 1_800.0
MATRIX: Final[Mapping[str, tuple[Priority, Priority, Priority]]] = {
    "minor": ("medium", "low", "low"),
    "major": ("high", "medium", "low"),
    "severe": ("critical", "high", "medium"),
}
"""Priority by the class of consequence and the time there is to answer: up to 5 min, up to 30 min, longer.

Source: ANSI/ISA-18.2-2016, 9.2 asks for a rule by consequence and allowed time; the numbers are ours and stand in docs/alarms.md
"""

MAX_DELAY_S: Final = 86_400.0


def priority_of(consequence_class: str, response_s: float) -> Priority:
    """The priority that follows from what happens without an answer, and how soon."""
    row = MATRIX[consequence_class]
    return row[0] if response_s <= PROMPT_S else row[1] if response_s <= SOON_S else row[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmSection:
    """What every alarm can say, whatever it looks at."""

    priority: Priority | None = None
    """How urgent an answer is; `medium` unless it follows from `consequence_class` and `response_time`."""
    consequence_class: Consequence | None = None
    """How bad it is when nobody answers; with `response_time` it makes the priority."""
    response_time: Seconds | None = None
    """How long there is to answer before the consequence comes."""
    on_delay: Seconds = 0.0
    """How long the condition must hold before the alarm is raised, up to 1 d."""
    off_delay: Seconds = 0.0
    """How long the condition must be gone before the alarm returns to normal, up to 1 d."""
    latch: bool = False
    """Whether it stays after the condition is gone, until somebody acknowledges and resets it."""
    message: str = ""
    """What the operator reads; `{asset}`, `{tag}`, `{value}`, `{limit}` and `{unit}` are filled in."""
    cause: str = ""
    """What it mostly comes from."""
    consequence: str = ""
    """What happens when nobody answers."""
    response: str = ""
    """What the operator is to do."""
    suppress_when: str = ""
    """Suppressed by design while this expression holds; it may name alarms too, as `{speed#high_high}` or `{#tripped}`."""

    def __post_init__(self) -> None:
        check_alarm(self)

    @property
    def effective_priority(self) -> Priority:
        """The priority as said, as it follows, or `medium`."""
        if self.priority is not None:
            return self.priority
        if self.consequence_class is not None and self.response_time is not None:
            return priority_of(self.consequence_class, self.response_time)
        return "medium"


def check_alarm(section: AlarmSection) -> None:
    """What an alarm may not say, of whatever kind it is.

    Raises: ConfigError
    """
    if section.priority is not None and section.consequence_class is not None:
        raise ConfigError("priority: say it, or consequence_class and response_time from which it follows, not both")
    if section.consequence_class is not None and section.response_time is None:
        raise ConfigError("consequence_class: needs response_time, for the priority follows from both")
    for name in ("on_delay", "off_delay"):
        seconds = getattr(section, name)
        if seconds is not None and not 0 <= seconds <= MAX_DELAY_S:
            raise ConfigError(f"{name}: must lie between 0 s and 1 d, was {seconds:g} s")


def _not_negative(section: Any, *names: str) -> None:
    for name in names:
        value = getattr(section, name)
        if value is not None and value < 0:
            raise ConfigError(f"{name}: may not be negative, was {value:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSection(AlarmSection):
    """One alarm limit; a bare number is the limit alone."""

    SHORT: ClassVar[str] = "limit"

    limit: float
    """The set-point of the alarm, in the tag's unit."""
    deadband: float = 0.0
    """How far the value must come back before the alarm returns to normal, in the tag's unit."""

    def __post_init__(self) -> None:
        check_alarm(self)
        _not_negative(self, "deadband")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviationSection(AlarmSection):
    """Too far from another tag, mostly its set-point; a bare number is the limit alone."""

    SHORT: ClassVar[str] = "limit"

    limit: float
    """How far it may be away to either side, in the tag's unit."""
    source: str = field(default="", metadata={"key": "from"})
    """The tag beside it, or the path of the tag, it is compared with; its `setpoint` unless told."""
    deadband: float = 0.0
    """How far it must come back within the limit before the alarm returns to normal."""

    def __post_init__(self) -> None:
        check_alarm(self)
        _not_negative(self, "limit", "deadband")


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSection(AlarmSection):
    """Changes too fast; a bare number is the limit per second."""

    SHORT: ClassVar[str] = "limit"

    limit: float
    """The fastest change that is still fine, in the tag's unit per `per`."""
    per: Literal["s", "min", "h"] = "s"
    """What the limit counts per."""
    over: Seconds = 10.0
    """The time the change is measured over, from 1 s to 1 h: the value now against the one that held so long ago."""
    direction: Literal["up", "down", "both"] = "both"
    """Which way."""
    deadband: float = 0.0
    """How much slower it must get before the alarm returns to normal, in the same measure as the limit."""

    def __post_init__(self) -> None:
        check_alarm(self)
        _not_negative(self, "limit", "deadband")
        if self.over is not None and not 1 <= self.over <= 3_600:
            raise ConfigError(f"over: must lie between 1 s and 1 h, was {self.over:g} s")


@dataclass(frozen=True, slots=True, kw_only=True)
class StateSection(AlarmSection):
    """A state that calls for somebody; a bare word is its priority."""

    SHORT: ClassVar[str] = "priority"


@dataclass(frozen=True, slots=True, kw_only=True)
class QualitySection(AlarmSection):
    """No usable value; a bare word is the priority."""

    SHORT: ClassVar[str] = "priority"

    uncertain: bool = False
    """Whether an Uncertain value is reason enough; otherwise only a Bad one is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpressionSection(AlarmSection):
    """An alarm that is an expression. In a type each asset has its own."""

    when: str
    """The condition: true or false. It reads tags, and alarms as `{speed#high_high}` or `{#tripped}`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmsSection:
    """Alarms of one tag. Its limits are drawn on trends and bars as well."""

    high_high: LimitSection | None = None
    """Far too high."""
    high: LimitSection | None = None
    """Too high."""
    low: LimitSection | None = None
    """Too low."""
    low_low: LimitSection | None = None
    """Far too low."""
    deviation: DeviationSection | None = None
    """Too far from its set-point."""
    rate: RateSection | None = None
    """Changes too fast."""
    states: dict[str, StateSection] = field(default_factory=dict)
    """States that are alarms, by the name of the state; of a switch `true` and `false`."""
    quality: QualitySection | None = None
    """It has no usable value."""

    def __post_init__(self) -> None:
        order = [
            (name, limit.limit)
            for name in reversed(LIMITS)
            if (limit := getattr(self, name)) is not None and limit.limit is not None
        ]
        for (below, low), (above, high) in pairwise(order):
            if low >= high:
                raise ConfigError(f"{above}: must be above {below} ({low:g}), was {high:g}")

    @property
    def limits(self) -> dict[str, float]:
        """The numbers alone, by name."""
        return {name: limit.limit for name in LIMITS if (limit := getattr(self, name)) is not None}

    @property
    def by_name(self) -> dict[str, AlarmSection]:
        """What is declared, by the name of the alarm; a state's is `state:NAME`."""
        found: dict[str, AlarmSection] = {
            name: section for name in (*LIMITS, "deviation", "rate") if (section := getattr(self, name)) is not None
        }
        found |= {f"state:{name}": section for name, section in self.states.items()}
        if self.quality is not None:
            found["quality"] = self.quality
        return found


def joined(base: AlarmsSection, over: AlarmsSection) -> AlarmsSection:
    """What ``over`` says, alarm by alarm and field by field, and ``base`` where it says nothing.

    Raises: ConfigError if they do not fit together
    """
    said: dict[str, Any] = {}
    for name in members(AlarmsSection):
        own, inherited = getattr(over, name), getattr(base, name)
        if name == "states":
            both = {key: _over(inherited.get(key), section) for key, section in own.items()}
            said[name] = {**inherited, **both}
        elif own is not None:
            said[name] = _over(inherited, own)
    return replace(base, **said)


def _over(base: Any, over: Any) -> Any:
    if base is None:
        return over
    said = {f.name: value for f in fields(over) if (value := getattr(over, f.name)) != f.default}
    if "priority" in said:  # either way of telling the priority takes the other's place
        said["consequence_class"] = None
    elif "consequence_class" in said:
        said["priority"] = None
    return replace(base, **said)

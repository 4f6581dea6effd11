"""What the plant file says about production: when it is meant to run, how it is counted, and why it does not run."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from datetime import date
from fractions import Fraction
from typing import Annotated, ClassVar, Final, Literal

from isthmus.values.errors import ConfigError
from isthmus.values.ids import check_path
from isthmus.values.plant.changes import DateText
from isthmus.values.plant.scalars import Name, Seconds, Segment
from isthmus.values.schema import Scalar

StateClassName = Literal["running", "idle", "stopped", "starved", "blocked", "setup", "planned", "unknown", "off"]
"""What a state is counted as."""

Loss = Literal["breakdown", "setup", "minor_stop", "speed", "startup_reject", "production_reject"]
"""The six big losses."""

TimeElement = Literal["PDOT", "ADOT", "AUST", "ADET"]
"""What a stop counts as: planned down, unplanned down, set-up, delay. Source: ISO 22400-2, time elements"""

DAY_NAMES: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MIN: Final = 1_440

MAX_PIECES_PER_S: Final = 10_000
MIN_PIECES_PER_S: Final = Fraction(1, 100 * 86_400)
MAX_COST_PER_MIN: Final = 1e9
MAX_BUFFER_S: Final = 86_400.0
MAX_SHIFTS: Final = 24
MAX_TURN_WEEKS: Final = 52

_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})\Z")
_RATE = re.compile(r"\s*([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*/\s*(s|min|h|d)\s*\Z")
_RATE_SECONDS: Final = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}
_WEEKS = re.compile(r"\s*([0-9]{1,2})\s*(?:w|weeks?)\s*\Z")
_CURRENCY = re.compile(r"[A-Z]{3}\Z")


def minute_of_day(text: str) -> int:
    """Minutes since midnight of a time such as 06:00.

    Raises: ConfigError if it is none
    """
    match = _TIME.match(text.strip())
    minutes = int(match[1]) * 60 + int(match[2]) if match else DAY_MIN + 1
    if match is None or int(match[2]) > 59 or minutes > DAY_MIN:
        raise ConfigError("must be a time of the day such as 06:00 or 24:00")
    return minutes


def days_of_week(text: str) -> tuple[int, ...]:
    """The days of a text such as ``mon-fri``, ``sun-thu``, ``mon, wed`` or ``daily``; 0 is Monday.

    Raises: ConfigError if it names something else
    """
    if text.strip().lower() == "daily":
        return tuple(range(7))
    found: list[int] = []
    for part in text.lower().split(","):
        first, dash, last = (word.strip() for word in part.partition("-"))
        if first not in DAY_NAMES or (dash and last not in DAY_NAMES):
            raise ConfigError("must be days such as mon-fri, sun-thu, sat or daily")
        start = DAY_NAMES.index(first)
        length = (DAY_NAMES.index(last) - start) % 7 + 1 if dash else 1
        found += [(start + n) % 7 for n in range(length)]
    if len(set(found)) < len(found):
        raise ConfigError("names a day twice")
    return tuple(sorted(found))


def ideal_rate(text: str) -> tuple[int, int]:
    """The smallest whole (pieces, nanoseconds) of a rate such as 120/min, exactly.

    Raises: ConfigError if it is none, nothing, or more than a machine can do
    """
    match = _RATE.match(text)
    if match is None:
        raise ConfigError("must be a rate such as 120/min or 2/s")
    per_s = Fraction(match[1]) / _RATE_SECONDS[match[2]]
    if per_s == 0:
        raise ConfigError("must be a rate such as 120/min or 2/s, more than nothing")
    if not MIN_PIECES_PER_S <= per_s <= MAX_PIECES_PER_S:
        raise ConfigError(f"no machine makes that: from 1 piece in 100 d to {MAX_PIECES_PER_S:,} pieces/s")
    exact = per_s / 1_000_000_000
    return exact.numerator, exact.denominator


def cost_per_min(text: str) -> float:
    """The cost a minute of a text such as 42/min or 2500/h.

    Raises: ConfigError if it is none
    """
    match = _RATE.match(text)
    if match is None:
        raise ConfigError("must be a cost such as 42/min or 2500/h; the currency is plant.currency")
    cost = float(Fraction(match[1]) * 60 / _RATE_SECONDS[match[2]])
    if cost > MAX_COST_PER_MIN:
        raise ConfigError(f"more than {MAX_COST_PER_MIN:,.0f} a minute")
    return cost


def _turn(text: str) -> int:
    match = _WEEKS.match(text)
    if match is None or not 1 <= int(match[1]) <= MAX_TURN_WEEKS:
        raise ConfigError(f"must be weeks such as 1 week or 2 weeks, up to {MAX_TURN_WEEKS}")
    return int(match[1])


def _ideal(text: str) -> str:
    ideal_rate(text)
    return text


def _cost(text: str) -> str:
    cost_per_min(text)
    return text


def _currency(text: str) -> str:
    if not _CURRENCY.match(text):
        raise ConfigError("must be a currency of ISO 4217, such as EUR")
    return text


def _place(text: str) -> str:
    return check_path(text) if text else ""


_TEXT: Final = {"type": "string"}
TimeOfDay = Annotated[int, Scalar("a time of the day such as 06:00", minute_of_day, _TEXT)]
"""Minutes since midnight once read."""
WeekDays = Annotated[tuple[int, ...], Scalar("days such as mon-fri, sun-thu, sat or daily", days_of_week, _TEXT)]
"""Days of the week once read, 0 is Monday."""
Weeks = Annotated[int, Scalar("weeks such as 1 week", _turn, _TEXT)]
IdealRate = Annotated[str, Scalar("a rate such as 120/min", _ideal, _TEXT)]
"""Pieces per time; kept as written, `ideal_rate` reads it."""
CostText = Annotated[str, Scalar("a cost such as 42/min", _cost, _TEXT)]
"""Cost per time in the plant's currency; kept as written, `cost_per_min` reads it."""
CurrencyText = Annotated[str, Scalar("a currency such as EUR", _currency, _TEXT)]
CalendarPlace = Annotated[str, Scalar('a path such as area/line, or "" for the whole site', _place, _TEXT)]


# --- when -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakSection:
    """A time within a shift in which nobody means to produce."""

    start: TimeOfDay = field(metadata={"key": "from"})
    """When it begins."""
    end: TimeOfDay = field(metadata={"key": "to"})
    """When it is over."""
    name: str = "break"
    """For people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftSection:
    """A shift that comes back every week. Times are those of the plant's clock, whatever it does in that night."""

    days: WeekDays = (0, 1, 2, 3, 4)
    """Days on which it begins: `mon-fri` unless told; also `sun-thu`, `sat`, `mon, wed` or `daily`."""
    start: TimeOfDay = field(metadata={"key": "from"})
    """When it begins."""
    end: TimeOfDay = field(metadata={"key": "to"})
    """When it ends; not later than it begins means the next day."""
    breaks: tuple[BreakSection, ...] = ()
    """Breaks within it."""
    crews: tuple[Name, ...] = ()
    """Crews that take turns in it, the first one in the calendar's `first_week`; a crew may stand here several times."""
    turn: Weeks = 1
    """How long a crew's turn is; `1 week` unless told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStopSection:
    """A stop that comes back and that everybody knows of; it is no loss."""

    days: WeekDays = (0, 1, 2, 3, 4, 5, 6)
    """Days on which it begins; every day unless told."""
    start: TimeOfDay = field(metadata={"key": "from"})
    """When it begins."""
    end: TimeOfDay = field(metadata={"key": "to"})
    """When it ends; not later than it begins means the next day."""
    first: DateText = ""
    """The first day it holds for; from ever unless told."""
    last: DateText = ""
    """The last day it holds for; for ever unless told."""

    def __post_init__(self) -> None:
        if self.first and self.last and self.last < self.first:
            raise ConfigError(f"last: must not lie before first ({self.first}), was {self.last}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarSection:
    """When a part of the plant is meant to run. For each machine the calendar nearest above it holds, as a whole."""

    day_start: TimeOfDay = 0
    """When a production day begins; midnight unless told. What happens before belongs to the day before."""
    first_week: DateText = ""
    """The Monday at which the turns of crews begin; 1970-01-05 unless told."""
    shifts: dict[Name, ShiftSection] = field(default_factory=dict)
    """Shifts by name. Without any, all the time is meant for production."""
    holidays: dict[DateText, str] = field(default_factory=dict)
    """Dates on which no shift begins, with their names."""
    planned: dict[Name, PlannedStopSection] = field(default_factory=dict)
    """Planned stops by name."""

    def __post_init__(self) -> None:
        if self.day_start is not None and self.day_start >= DAY_MIN:
            raise ConfigError("day_start: must lie before 24:00, was 24:00")
        if self.first_week and date.fromisoformat(self.first_week).weekday():
            raise ConfigError(f"first_week: must be a Monday, was {self.first_week}")
        if len(self.shifts) > MAX_SHIFTS:
            raise ConfigError(f"shifts: at most {MAX_SHIFTS}, was {len(self.shifts)}")


# --- why not --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonSection:
    """One reason; a bare text is what people read."""

    SHORT: ClassVar[str] = "text"

    text: str
    """What people read."""
    loss: Loss | None = None
    """The big loss it belongs to; that of its group unless told."""
    time: TimeElement | None = None
    """What it counts as; as its group unless told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonGroupSection:
    """A group of reasons, as they are offered to whoever codes a stop or throws a piece away."""

    kind: Literal["stop", "scrap", "rework"] = "stop"
    """What they are reasons of."""
    planned: bool = False
    """Whether such a stop leaves planned time, so that it is no loss."""
    loss: Loss | None = None
    """The big loss they belong to; `breakdown` of a stop, `production_reject` of scrap and rework unless told."""
    time: TimeElement | None = None
    """What they count as (ISO 22400); PDOT where planned, AUST of set-ups, ADOT otherwise unless told."""
    reasons: dict[Name, ReasonSection]
    """The reasons by name; group/name is permanent, the text may change."""

    def __post_init__(self) -> None:
        if self.planned and self.kind != "stop":
            raise ConfigError("planned: only a stop can be planned, was true")
        if self.planned and self.loss is not None:
            raise ConfigError(f"loss: what is planned is no loss, was {self.loss}")
        if self.planned and self.time not in (None, "PDOT"):
            raise ConfigError(f"time: what is planned counts as PDOT, was {self.time}")
        if self.kind != "stop" and self.time is not None:
            raise ConfigError(f"time: only a stop takes time, was {self.time}")


# --- how much -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PulseSection:
    """A sensor that alone tells whether a machine runs; a bare name is the tag."""

    SHORT: ClassVar[str] = "tag"

    tag: Segment
    """The tag: a counter, a switch, or a value such as a current."""
    on: float | None = None
    """A value at or above it is running; unless told, each growth of a counter or edge of a switch is one piece."""
    idle_after: Seconds = 20.0
    """How long after the last sign of life it is idle."""
    stopped_after: Seconds = 60.0
    """How long after the last sign of life it stands."""

    def __post_init__(self) -> None:
        for name in ("idle_after", "stopped_after"):
            seconds = getattr(self, name)
            if seconds is not None and not 0 < seconds <= DAY_MIN * 60:
                raise ConfigError(f"{name}: must be more than 0 s and at most 1 d, was {seconds:g} s")
        if self.idle_after is not None and self.stopped_after is not None and self.stopped_after < self.idle_after:
            raise ConfigError(
                f"stopped_after: must not be shorter than idle_after ({self.idle_after:g} s), was {self.stopped_after:g} s"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductionSection:
    """How the production of an asset is counted (ISO 22400). In an asset it overrides its type's, field by field."""

    state: Segment = ""
    """The tag that tells the state."""
    classes: dict[str, StateClassName] = field(default_factory=dict)
    """What states are counted as, by number or name. PackML states have theirs; what is said here comes on top."""
    rules: dict[StateClassName, str] = field(default_factory=dict)
    """What it is counted as by conditions on several tags: the first that holds counts. None holds: `stopped`."""
    pulse: PulseSection | None = None
    """A sensor that alone tells whether it runs."""
    good: Segment = ""
    """The counter of good pieces."""
    reject: Segment = ""
    """The counter of rejected pieces."""
    total: Segment = ""
    """The counter of all pieces, where good ones are not counted."""
    rework: Segment = ""
    """The counter of pieces that are worked on again."""
    modulo: int = 0
    """Where its counters roll over, such as 65536; 0 if they only ever begin anew."""
    ideal_rate: IdealRate = ""
    """The rate at full speed, where no product tells its own."""
    speed: Segment = ""
    """The tag of its speed, for people."""
    micro_stop: Seconds = 120.0
    """A stop shorter than this is a minor stop and asks for no reason; `2 min` unless told."""
    stale_after: Seconds = 0.0
    """Without a sample of its state for this long the state is unknown; `0 s` leaves it to the gap marks."""
    energy: tuple[Segment, ...] = ()
    """Counters of energy; one unit in the whole plant."""
    material: tuple[Segment, ...] = ()
    """Counters of material; one unit in the whole plant."""
    cost: CostText = ""
    """What a minute of its downtime costs, such as 12/min."""
    product: Segment = ""
    """The tag that tells what is made, where no order does."""

    def __post_init__(self) -> None:
        told = [name for name in ("state", "rules", "pulse") if getattr(self, name)]
        if len(told) > 1:
            raise ConfigError(
                f"{told[1]}: its state is told by {told[0]} already; it takes one of state, rules and pulse"
            )
        if self.classes and told and told[0] != "state":
            raise ConfigError("classes: only a state tag has states to class")
        if self.modulo is not None and not (self.modulo == 0 or 2 <= self.modulo < 2**62):
            raise ConfigError(
                f"modulo: must be 0, or the number a counter rolls over at such as 65536, was {self.modulo}"
            )
        if self.micro_stop is not None and not 0 <= self.micro_stop <= 3_600:
            raise ConfigError(f"micro_stop: must lie between 0 s and 1 h, was {self.micro_stop:g} s")
        if self.stale_after is not None and not 0 <= self.stale_after <= DAY_MIN * 60:
            raise ConfigError(f"stale_after: must lie between 0 s and 1 d, was {self.stale_after:g} s")

    @property
    def tags(self) -> dict[str, str]:
        """The tags it names, by where they are named: `state`, `pulse.tag`, `energy.0`."""
        names = ("state", "good", "reject", "total", "rework", "speed", "product")
        found = {role: tag for role in names if (tag := getattr(self, role))}
        if self.pulse is not None and self.pulse.tag:
            found["pulse.tag"] = self.pulse.tag
        for role in ("energy", "material"):
            found |= {f"{role}.{i}": tag for i, tag in enumerate(getattr(self, role))}
        return found


def joined_production(base: ProductionSection, over: ProductionSection) -> ProductionSection:
    """What ``over`` says, and ``base`` where it says nothing; how the state is told is replaced as a whole.

    Raises: ConfigError if they do not fit together
    """
    blank = ProductionSection()
    said = {f.name: value for f in fields(over) if (value := getattr(over, f.name)) != getattr(blank, f.name)}
    if "classes" in said and "state" not in said:
        said["classes"] = {**base.classes, **over.classes}
    if said.keys() & {"state", "rules", "pulse"}:
        said |= {name: getattr(over, name) for name in ("state", "rules", "pulse", "classes")}
    return replace(base, **said)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSection:
    """How the machines of a line add up."""

    machines: tuple[str, ...] = ()
    """Its machines along the flow, by their paths below the line; those below it in the order of the file unless told."""
    constraint: str = ""
    """The machine that sets the pace: its figures are the line's. Without it all machines are added up."""
    counts_at: str = ""
    """The machine whose pieces are the line's; the constraint unless told."""
    buffers: tuple[Seconds, ...] = ()
    """How long a stop takes from each machine to the next; 0 s where nothing is told."""
    cost: CostText = ""
    """What a minute of the line's downtime costs, such as 42/min."""

    def __post_init__(self) -> None:
        for seconds in self.buffers:
            if not 0 <= seconds <= MAX_BUFFER_S:
                raise ConfigError(f"buffers: must lie between 0 s and 1 d, was {seconds:g} s")

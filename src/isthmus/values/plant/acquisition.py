"""What the plant file says about reading devices: connections, their budgets, scaling and deadbands."""

from __future__ import annotations

import keyword
import math
import re
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from isthmus.values.errors import ConfigError
from isthmus.values.plant.changes import Owners, Unpatchable
from isthmus.values.plant.policy import LockoutSection
from isthmus.values.plant.scalars import FileName, Name, Period, Seconds, UnitText
from isthmus.values.schema import Scalar
from isthmus.values.units import parse_duration_s


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSection:
    """What a connection may cost its device at most."""

    outstanding: int = 1
    """Requests that may be on their way at the same time; many controllers take one only."""
    requests_per_s: float = 0.0
    """Requests per second at most; 0 means no limit."""
    pause: Seconds = 0.0
    """Least time between an answer and the next request."""

    def __post_init__(self) -> None:
        if not 1 <= self.outstanding <= 64:
            raise ConfigError(f"outstanding: must lie between 1 and 64, was {self.outstanding}")
        if self.requests_per_s < 0:
            raise ConfigError(f"requests_per_s: may not be negative, was {self.requests_per_s}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionSection:
    """One device as an edge reaches it. All other keys are settings of its driver."""

    REST: ClassVar[str] = "settings"

    driver: Name
    """Which driver speaks to the device."""
    edge: Name = "edge-1"
    """The edge that reads it."""
    zone: Name = ""
    """The security zone (IEC 62443) the device belongs to."""
    access: Literal["read-only", "read-write"] = "read-only"
    """Whether set-points may ever be written to it. Read-only until you say otherwise."""
    lockout: LockoutSection | None = None
    """Nothing behind this connection is written to while this stands."""
    poll: Period = 1.0
    """How often its tags are read, unless a tag says `every`."""
    budget: BudgetSection = BudgetSection()
    """What reading may cost the device."""
    owner: Owners = ""
    """Who answers for it: a person or team, or a list of them."""
    alarm: Literal["off", "low", "medium", "high", "critical"] = "high"
    """Priority of the alarm that it cannot be reached; `off` for none."""
    unpatchable: Unpatchable | None = None
    """Says that the device cannot be mended any more, and what is done instead."""
    description: str = ""
    """For people."""
    was: Name = ""
    """The name it had before; its diagnostics keep their history."""
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleSection:
    """From the device's numbers to the tag's unit: two pairs of points, or a factor and an offset."""

    raw: tuple[float, float] | None = None
    """Two raw values, such as [0, 27648]."""
    eu: tuple[float, float] | None = None
    """What these two are in the tag's unit, such as [0, 100]."""
    factor: float | None = None
    """Value = raw × factor + offset."""
    offset: float | None = None
    """See factor."""

    def __post_init__(self) -> None:
        points = self.raw is not None or self.eu is not None
        if points and (self.factor is not None or self.offset is not None):
            raise ConfigError("raw and eu, or factor and offset, not both")
        if points and (self.raw is None or self.eu is None):
            raise ConfigError("raw and eu belong together")
        if self.raw is not None and self.raw[0] == self.raw[1]:
            raise ConfigError("raw: the two raw values must differ")
        if self.eu is not None and self.eu[0] == self.eu[1]:
            raise ConfigError("eu: the two values must differ")
        if not points and self.factor is None and self.offset is None:
            raise ConfigError("needs raw and eu, or factor or offset")
        if self.factor == 0:
            raise ConfigError("factor: may not be 0")

    @property
    def line(self) -> tuple[float, float]:
        """Factor and offset."""
        if self.raw is None or self.eu is None:
            return (1.0 if self.factor is None else self.factor, self.offset or 0.0)
        factor = (self.eu[1] - self.eu[0]) / (self.raw[1] - self.raw[0])
        return factor, self.eu[0] - self.raw[0] * factor


@dataclass(frozen=True, slots=True)
class Deadband:
    """How much a value must change to be sent. Units: absolute in the tag's unit; below 0 sends every reading"""

    absolute: float = 0.0
    percent: float = 0.0


def _deadband(text: str) -> Deadband:
    if text == "every":
        return Deadband(absolute=-1.0)
    number = text.rstrip()
    percent = number.endswith("%")
    try:
        value = float(number.removesuffix("%"))
    except ValueError:
        value = -1.0
    if percent and 0 <= value <= 100:
        return Deadband(percent=value)
    if not percent and 0 <= value < math.inf:
        return Deadband(absolute=value)
    raise ConfigError("must be a number in the tag's unit, a percentage such as 1 %, or the word every")


DeadbandText = Annotated[
    Deadband,
    Scalar("a number, a percentage such as 1 %, or every", _deadband, {"type": ["number", "string"]}),
]


def _identifier(text: str) -> str:
    if not text.isascii() or not text.isidentifier() or keyword.iskeyword(text) or len(text) > 64:
        raise ConfigError("must be a name as Python has them: letters, digits and _, such as bearing_health")
    return text


def _call_period(text: str) -> float:
    if text == "on change":
        return 0.0
    seconds = parse_duration_s(text)
    if not 0.1 <= seconds <= 86_400:
        raise ConfigError("must be on change, or a period from 100 ms to 1 d")
    return seconds


def _call_limit(text: str) -> float:
    seconds = parse_duration_s(text)
    if not 0.001 <= seconds <= 60:
        raise ConfigError("must lie between 1 ms and 1 min")
    return seconds


_MEMORY = re.compile(r"([0-9]{1,6})\s*(MB|GB)\Z")


def _memory_mb(text: str) -> int:
    found = _MEMORY.match(text)
    size = int(found[1]) * (1000 if found[2] == "GB" else 1) if found else 0
    if not 64 <= size <= 16_000:
        raise ConfigError("must lie between 64 MB and 16 GB, such as 256 MB")
    return size


Identifier = Annotated[str, Scalar("a name as Python has them", _identifier, {"type": "string"})]
CallPeriod = Annotated[float, Scalar("on change, or a period such as 1 s", _call_period, {"type": "string"})]
CallLimit = Annotated[float, Scalar("a duration from 1 ms to 1 min, such as 100 ms", _call_limit, {"type": "string"})]
Memory = Annotated[int, Scalar("a size such as 256 MB", _memory_mb, {"type": "string"})]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptInput:
    """One input of a function; a bare text is the tag alone."""

    SHORT: ClassVar[str] = "tag"

    tag: str
    """The tag beside it, or the path of a tag."""
    unit: UnitText | None = None
    """The unit the function wants it in; that of the tag unless told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptLimits:
    """What one call may use at most."""

    time: CallLimit = 0.1
    """How long one call may take."""
    memory: Memory = 256
    """How much memory the script's process may use; the largest of all tags of the script holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonSection:
    """A tag calculated by a function of a Python script, for what a formula cannot say."""

    file: FileName
    """The script; its text is kept with the version of the plant."""
    function: Identifier
    """The function: `(inputs, time_ns)`, or `(inputs, time_ns, state)` where state is kept."""
    inputs: dict[Identifier, ScriptInput] = field(default_factory=dict)
    """What the function gets: names with their tags."""
    every: CallPeriod = 0.0
    """When it is called: `on change` of an input, or at each whole multiple of a period."""
    state: bool = False
    """Whether it returns (value, state) and gets the state again at its next call."""
    bad_inputs: Literal["skip", "pass"] = "skip"
    """With a bad input the tag is bad without a call (skip), or the function decides (pass)."""
    limit: ScriptLimits = ScriptLimits()
    """What one call may use at most."""

    def __post_init__(self) -> None:
        if self.file is not None and not self.file.endswith(".py"):
            raise ConfigError(f"file: must be a Python file (.py) beside the plant file, was {self.file}")
        if len(self.inputs) > 256:
            raise ConfigError(f"inputs: must be at most 256, was {len(self.inputs)}")
        if not self.inputs and not self.every:
            raise ConfigError("every: a function without inputs needs a period")

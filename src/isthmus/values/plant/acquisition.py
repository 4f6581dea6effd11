"""What the plant file says about reading devices: connections, their budgets, scaling and deadbands."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from isthmus.values.errors import ConfigError
from isthmus.values.plant.scalars import Name, Period, Seconds
from isthmus.values.schema import Scalar


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
    poll: Period = 1.0
    """How often its tags are read, unless a tag says `every`."""
    budget: BudgetSection = BudgetSection()
    """What reading may cost the device."""
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

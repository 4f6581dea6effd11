"""What the plant file says about alarms."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

from isthmus.values.errors import ConfigError
from isthmus.values.plant.scalars import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSection:
    """One alarm limit; a bare number is the limit alone."""

    SHORT: ClassVar[str] = "limit"

    limit: float
    """The set-point of the alarm, in the tag's unit."""
    priority: Literal["low", "medium", "high", "critical"] = "medium"
    """How urgent an answer is."""
    deadband: float = 0.0
    """How far the value must come back before the alarm returns to normal, in the tag's unit."""
    on_delay: Seconds = 0.0
    """How long the value must stay beyond the limit before the alarm is raised."""
    off_delay: Seconds = 0.0
    """How long the value must be back before the alarm returns to normal."""
    message: str = ""
    """What the operator reads."""
    response: str = ""
    """What the operator is to do."""

    def __post_init__(self) -> None:
        if self.deadband < 0:
            raise ConfigError(f"deadband: may not be negative, was {self.deadband}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmsSection:
    """Alarm limits of one tag. They are drawn on trends and bars as well."""

    high_high: LimitSection | None = None
    """Far too high."""
    high: LimitSection | None = None
    """Too high."""
    low: LimitSection | None = None
    """Too low."""
    low_low: LimitSection | None = None
    """Far too low."""

    def __post_init__(self) -> None:
        order = [
            (name, limit.limit)
            for name in ("low_low", "low", "high", "high_high")
            if (limit := getattr(self, name)) is not None and limit.limit is not None
        ]
        for (below, low), (above, high) in pairwise(order):
            if low >= high:
                raise ConfigError(f"{above}: must be above {below} ({low:g}), was {high:g}")

    @property
    def limits(self) -> dict[str, float]:
        """The numbers alone, by name."""
        return {
            name: limit.limit
            for name in ("high_high", "high", "low", "low_low")
            if (limit := getattr(self, name)) is not None
        }

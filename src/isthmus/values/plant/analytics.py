"""What the plant file says about rules on live data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from isthmus.values.errors import ConfigError
from isthmus.values.plant.scalars import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSection:
    """A condition on live data that makes an event while it holds. In a type each asset is judged by itself."""

    when: str
    """The condition: an expression, in which `mean(speed, 5 min)` and its like look over a time."""
    hold: Seconds = field(default=0.0, metadata={"key": "for"})
    """How long it must hold without a break before there is an event; up to 1 h."""
    priority: Literal["low", "medium", "high", "critical"] = "medium"
    """How urgent it is."""
    message: str = ""
    """What the event says; `{asset}` and what the condition reads, such as `{speed}`, are filled in."""
    description: str = ""
    """For people."""

    def __post_init__(self) -> None:
        if self.hold is not None and not 0 <= self.hold <= 3600:
            raise ConfigError(f"for: must lie between 0 s and 1 h, was {self.hold:g} s")

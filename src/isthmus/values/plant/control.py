"""What the plant file says about writing to devices, and about what trips."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from isthmus.values.errors import ConfigError
from isthmus.values.plant.scalars import Name, PathText, RateText, Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldSection:
    """A value that stands only while somebody keeps writing it."""

    lease: Seconds
    """How long it stands after each write; then the safe value is written once, also when core is dead. 1 s to 1 d."""
    safe: float
    """What is written then, in the tag's unit."""

    def __post_init__(self) -> None:
        if self.lease is not None and not 1 <= self.lease <= 86_400:
            raise ConfigError(f"lease: must lie between 1 s and 1 d, was {self.lease:g} s")


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteSection:
    """Who may write a tag, and under which condition. A bare name is the role alone."""

    SHORT: ClassVar[str] = "role"

    role: Name
    """The least role that may write it."""
    interlock: str = ""
    """An expression over tags of the same edge that must be true; what is unknown, bad or stale counts as not true."""
    range: tuple[float, float] | None = None
    """Lowest and highest value that may be written, in the unit; the tag's `range` unless told."""
    step: float | None = None
    """The most it may change at once, in the unit."""
    rate: RateText | None = None
    """How fast it may change since the write before, in the unit per time, such as 5/min."""
    second_person: bool = False
    """Whether another person must agree to each write."""
    reason: bool = False
    """Whether each write needs a reason."""
    safe_direction: Literal["up", "down"] | None = None
    """Which way is the safe one; it is all that passes while the zone is in the mode safe-direction-only."""
    read_back: str = ""
    """The tag beside it (or the path of a tag) that shows what was written; the tag itself unless told."""
    tolerance: float = 0.0
    """How far what is read back may lie from what was written, in the unit."""
    within: Seconds = 5.0
    """How long the device may take to show it."""
    fresh: Seconds | None = None
    """How old an input of the interlock may be; three times the slowest of their periods, and 3 s at least, unless told."""
    hold: HoldSection | None = None
    """Declares that the value stands only while it is renewed."""
    guarded: bool = True
    """Whether a change that no record explains raises an alert."""

    def __post_init__(self) -> None:
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ConfigError(f"range: low must be below high, was {list(self.range)}")
        if self.step is not None and not self.step > 0:
            raise ConfigError(f"step: must be more than 0, was {self.step}")
        if self.tolerance is not None and not 0 <= self.tolerance < math.inf:
            raise ConfigError(f"tolerance: may not be negative, was {self.tolerance}")
        if self.within is not None and not 0.1 <= self.within <= 60:
            raise ConfigError(f"within: must lie between 100 ms and 1 min, was {self.within:g} s")
        if self.fresh is not None and not 0.1 <= self.fresh <= 3600:
            raise ConfigError(f"fresh: must lie between 100 ms and 1 h, was {self.fresh:g} s")


@dataclass(frozen=True, slots=True, kw_only=True)
class TripAction:
    """One value that a trip writes."""

    tag: str = field(metadata={"key": "set"})
    """The tag beside the trip's asset, or the path of a tag; it must say `write`."""
    to: float | str
    """The value: a number in the tag's unit, the name of a state, or true or false for a switch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TripSection:
    """A hazard, and what the edge does about it by itself. It stays tripped until a person resets it."""

    when: str | tuple[str, ...]
    """The condition, or several that vote. `first`, `last`, `min` and `max` look over a time: `t - min(t, 10 s) > 5`."""
    at: PathText = ""
    """The asset whose tags the conditions name without a path."""
    need: int = 1
    """How many of the conditions must be true: 2 of 3 is `need: 2`."""
    on_loss: Literal["trip", "ignore"] = "trip"
    """What a condition counts as that cannot be judged, because an input is bad or stale: true (trip) or false (ignore)."""
    delay: Seconds = 0.0
    """How long it must hold without a break."""
    fresh: Seconds | None = None
    """How old an input may be before its signal counts as lost; three times the slowest of their periods, and 3 s at least,
    unless told."""
    actions: tuple[TripAction, ...] = ()
    """What is written, in this order; nothing makes it an alert."""
    bound: Seconds = 0.1
    """How long it may take from the sample to the last command on the wire; taking longer is told with the trip."""
    test: tuple[TripAction, ...] = ()
    """What a test of the trip writes instead of its actions; a test writes nothing unless told."""
    priority: Literal["low", "medium", "high", "critical"] = "critical"
    """How urgent its alarm is."""
    message: str = ""
    """What people read."""

    def __post_init__(self) -> None:
        if self.when is not None and not 1 <= self.need <= len(self.votes):
            raise ConfigError(
                f"need: must lie between 1 and the number of conditions ({len(self.votes)}), was {self.need}"
            )
        if self.delay is not None and not 0 <= self.delay <= 3600:
            raise ConfigError(f"delay: must lie between 0 s and 1 h, was {self.delay:g} s")
        if self.bound is not None and not 0.01 <= self.bound <= 60:
            raise ConfigError(f"bound: must lie between 10 ms and 1 min, was {self.bound:g} s")
        if self.fresh is not None and not 0.1 <= self.fresh <= 3600:
            raise ConfigError(f"fresh: must lie between 100 ms and 1 h, was {self.fresh:g} s")

    @property
    def votes(self) -> tuple[str, ...]:
        """The conditions, one or several."""
        return (self.when,) if isinstance(self.when, str) else self.when

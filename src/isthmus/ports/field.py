"""What the gate and the trips of an edge need of its acquisition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from isthmus.values.messages.control import Written
from isthmus.values.sample import SampleBatch


@dataclass(frozen=True, slots=True)
class HeldValue:
    """The newest sample of a tag. Units: age_s since it was confirmed, by the monotonic clock: a value that was read again
    and did not change is as young as that reading
    """

    value: Written | None
    status: int
    time_ns: int
    age_s: float


class Field(Protocol):
    """The devices of an edge."""

    def held(self, tag: int) -> HeldValue | None:
        """What a tag holds; None for one that nothing was read of yet, or that is not of this edge."""
        ...

    def listen(self, hear: Callable[[Sequence[SampleBatch]], None]) -> Callable[[], None]:
        """Be called with every bound batch, before it goes to the bus; what is returned ends it."""
        ...

    async def write(self, tag: int, value: Written) -> None:
        """Write one value in the tag's unit, between two requests of its connection's own budget.

        Raises: Rejected (the device said no, nothing changed); NotConnected, TimeoutError (nobody knows);
                ConfigError (cannot be written at all)
        """
        ...

    async def read_back(self, tag: int) -> HeldValue:
        """Read one tag now, beside the schedule.

        Raises: NotConnected
        """
        ...

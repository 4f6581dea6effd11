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
        """Be called with every reading of the tags that points and trips look at, bound and judged, before a deadband leaves
        any out and before anything goes to the bus; what is returned ends it.
        """
        ...

    async def write(self, tag: int, value: Written, ready: Callable[[], None]) -> None:
        """Write one value in the tag's unit, between two requests of its connection's own budget.

        ``ready`` is called when it is the value's turn on the wire; when it raises, nothing is sent, and that is raised.
        Raises: Denied (the link is down, or the device has no such value: nothing was sent); Rejected (the device said no,
                nothing changed); NotConnected, TimeoutError (nobody knows); ConfigError (cannot be written at all)
        """
        ...

    async def read_back(self, tag: int) -> HeldValue:
        """Read one tag now, beside the schedule.

        Raises: NotConnected
        """
        ...

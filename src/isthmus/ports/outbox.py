"""Where an edge puts what it has to say; the bus side takes it from there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from isthmus.values.frame import Lane
from isthmus.values.sample import SampleBatch


class Outbox(Protocol):
    """Takes batches at any time without waiting; bounded in rows, oldest dropped first, counted and confessed as a gap."""

    def offer(self, lane: Lane, batches: Sequence[SampleBatch]) -> None:
        """Queue bound batches (ids are permanent tag ids) for the bus."""
        ...

    def when_delivered(self, done: Callable[[bool], None]) -> None:
        """Call ``done`` once all that was offered so far has left the outbox: with True if it is on the bus, with False if
        some of it was dropped. At once if nothing waits.
        """
        ...

    @property
    def queued(self) -> int:
        """Samples waiting."""
        ...

    @property
    def dropped(self) -> int:
        """Samples dropped since the start because the bus was away for too long."""
        ...

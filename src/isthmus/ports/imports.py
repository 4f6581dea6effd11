"""What takes history from elsewhere into the record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from isthmus.ports.frames import Position
from isthmus.values.sample import SampleBatch


class HistoryImports(Protocol):
    """Bulk write side of the historian: blocks of one import, in order, each with its effect once."""

    async def import_position(self, key: str) -> Position | None:
        """The last block of an import that is stored; None if there is none."""
        ...

    async def take_import(self, key: str, position: Position, batches: Sequence[SampleBatch]) -> bool:
        """Store a block; False if it was stored before, and nothing was done.

        When this returns, rows and position are durable.
        Raises: TryLater if there is no room now; nothing is lost by sending the block again
        """
        ...

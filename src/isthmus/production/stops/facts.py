"""What stops and actions ask of the facts of production."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from isthmus.production.model import Entry, FactSum, Interval, Stop


class Facts(Protocol):
    """The part of the class `Production` that this package stands on."""

    async def stops(self, under: str, start_ns: int, end_ns: int) -> list[Stop]:
        """Stops that overlap the range, oldest first."""
        ...

    async def intervals(self, asset: str, start_ns: int, end_ns: int) -> list[Interval]:
        """What a machine did, in order."""
        ...

    async def facts(self, under: str, start_ns: int, end_ns: int, by: Sequence[str] = ()) -> list[FactSum]:
        """Sums over a range."""
        ...

    async def enter(self, entry: Entry) -> int:
        """Store what somebody said; its number. The facts have followed when this returns."""
        ...

    async def enter_all(self, entries: Sequence[Entry]) -> list[int]:
        """The same for what belongs together: all of it or nothing."""
        ...

    async def entries(self, asset: str, start_ns: int, end_ns: int) -> list[Entry]:
        """What was said about a range, entries that were replaced included."""
        ...

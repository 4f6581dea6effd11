"""The room production, as others use it: signatures first, so that they can build on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from isthmus.production.figures import Figures
from isthmus.production.model import (
    Entry,
    FactSum,
    Interval,
    Lineage,
    MachineNow,
    Restatement,
    Stop,
)


class ProductionFacts(Protocol):
    """What the class `Production` of this module offers to stops, orders, KPIs and routes."""

    version: int

    async def plant_changed(self) -> None:
        """Judge by the plant as it is now."""
        ...

    async def calendar_changed(self, area: str) -> None:
        """An exception of a calendar changed: what lies in it is computed again."""
        ...

    def machines(self) -> list[MachineNow]:
        """Every machine as it is now."""
        ...

    async def wait(self, version: int, timeout_s: float) -> int:
        """Until something changed after ``version``; the version then."""
        ...

    async def intervals(self, asset: str, start_ns: int, end_ns: int) -> list[Interval]:
        """What a machine did."""
        ...

    async def stops(self, under: str, start_ns: int, end_ns: int, *, uncoded: bool = False) -> list[Stop]:
        """Stops that overlap the range, oldest first."""
        ...

    async def facts(self, under: str, start_ns: int, end_ns: int, by: Sequence[str] = ()) -> list[FactSum]:
        """Sums over a range; ``by`` of machine line shift day order product team reason group loss class hour."""
        ...

    async def figures(
        self, under: str, start_ns: int, end_ns: int, by: Sequence[str] = ()
    ) -> list[tuple[FactSum, Figures]]:
        """The same with its figures; a line that has a constraint has that machine's."""
        ...

    async def lineage(self, asset: str, start_ns: int, end_ns: int, figure: str) -> Lineage:
        """What a figure stands on."""
        ...

    async def enter(self, entry: Entry) -> int:
        """Store what somebody said; its number. Facts follow before this returns."""
        ...

    async def entries(self, asset: str, start_ns: int, end_ns: int) -> list[Entry]:
        """What was said about a range, replaced entries included."""
        ...

    async def restatements(self, under: str, limit: int = 200) -> list[Restatement]:
        """Closed days that came out differently, newest first."""
        ...

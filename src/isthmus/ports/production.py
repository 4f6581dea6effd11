"""Between the room production and those that hold back what it makes, or answer when it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Running:
    """What a machine makes, now or at a time of the past. Empty fields are not known.

    Units: UTC ns
    """

    asset: str
    order: str = ""
    operation: str = ""
    product: str = ""
    lot: str = ""
    since_ns: int = 0


class Executions(Protocol):
    """What is made where; quality ties its checks to it."""

    def running(self, asset: str) -> Running:
        """Now; fields stay empty where no order runs."""
        ...

    def ran(self, asset: str, at_ns: int) -> Running:
        """At a time of the past; may read the records, so it is asked from a thread and outside of their transactions."""
        ...

    async def pieces(self, asset: str, start_ns: int, end_ns: int) -> int:
        """Pieces the machine counted over [start, end), good and bad."""
        ...


class Holds(Protocol):
    """What quality holds back; orders ask before they use or finish a lot."""

    async def held(self, lots: Sequence[str]) -> dict[str, str]:
        """Which of the lots are held, with the reason for people."""
        ...


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a request for help stands on. ``link`` opens it on screen.

    Units: UTC ns
    """

    asset: str
    cause: str  # key of a reason, or ""
    text: str
    start_ns: int
    end_ns: int
    tags: tuple[str, ...] = ()  # paths whose trend shows it
    link: str = ""


class Requests(Protocol):
    """Where a stop, a call for help or a violation becomes somebody's work."""

    async def ask(self, key: str, kind: str, title: str, evidence: Evidence, by: str) -> int:
        """Ask for it; the same ``key`` again is the same request while it is open. Returns its number.

        With the same link to its evidence it is the same when it is closed, too: whoever was killed before it had noted the
        number asks again.
        """
        ...

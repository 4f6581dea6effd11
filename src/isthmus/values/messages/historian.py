"""What the historian says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Restated:
    """Rows older than their tag's newest arrived: whatever was derived for these tags from that time on is out of date.

    Units: since_ns is UTC ns, one per tag
    """

    tags: tuple[int, ...]
    since_ns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class GapFound:
    """Samples of an edge are known to be missing between two times (end excluded, UTC ns)."""

    edge: str
    start_ns: int
    end_ns: int
    reason: str

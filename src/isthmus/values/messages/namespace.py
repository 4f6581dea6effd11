"""What the namespace says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlantApplied:
    """A plant version became the current one; rooms compile their part from it."""

    version: int
    edges: tuple[str, ...]

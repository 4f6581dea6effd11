"""What the plant file says about writing to devices."""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.values.plant.scalars import Name


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteSection:
    """Who may write a tag, and under which condition."""

    role: Name
    """The least role that may write it."""
    interlock: str = ""
    """An expression over tags of the same edge that must hold."""

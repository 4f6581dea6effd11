"""The lanes of an edge; apart from the frame, as whoever only writes subjects needs no columns of numbers."""

from __future__ import annotations

from enum import IntEnum


class Lane(IntEnum):
    """Lanes of an edge: each has its own sequence, so that backfill never holds up live values."""

    LIVE = 0
    BACKFILL = 1
    EVENT = 2

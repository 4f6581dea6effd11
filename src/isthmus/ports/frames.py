"""What a room promises that takes frames from the bus: effect once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from isthmus.values.frame import Frame, Lane


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where a frame stands in its lane; ordered by (epoch, seq)."""

    epoch: int
    seq: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """A frame as it came from the bus. ``stream_seq`` is the bus's own number, growing over all edges and lanes."""

    edge: str
    frame: Frame
    stream_seq: int

    @property
    def key(self) -> tuple[str, Lane]:
        """Whose sequence it belongs to."""
        return self.edge, self.frame.lane

    @property
    def position(self) -> Position:
        """Where it stands in that sequence."""
        return Position(self.frame.epoch, self.frame.seq)


Cursor = dict[tuple[str, Lane], Position]
"""The last frame of each (edge, lane) whose effect is stored."""


class FrameSink(Protocol):
    """A stateful room. It stores its cursor in the transaction of its effect and ignores anything at or below it."""

    name: str

    async def cursor(self) -> Cursor:
        """What it has stored; asked once at start, before the first frame."""
        ...

    async def take(self, arrived: Sequence[Arrived]) -> None:
        """Handle frames in order and store effect and cursor together.

        When this returns, the effect is durable and the bus may be acknowledged. When it raises, nothing was stored
        and the same frames come again.
        """
        ...

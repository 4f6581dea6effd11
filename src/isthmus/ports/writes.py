"""The door to a device. Only control, the drivers and app may open this module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from isthmus.ports.drivers import Driver


@dataclass(frozen=True, slots=True)
class PointWrite:
    """One value to write, raw, in the device's own scale."""

    address: str
    value: float | int | str


@runtime_checkable
class Writes(Driver, Protocol):
    """Can change the device."""

    async def write(self, writes: Sequence[PointWrite]) -> None:
        """Write in order; the first refusal stops the rest.

        Raises: Rejected if the device said no; NotConnected if nobody knows whether it arrived
        """
        ...

"""Between the room alarms and those that feed or hear it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from isthmus.values.messages.alarms import AlarmChange, Reported


class AlarmReports(Protocol):
    """Where another room reports what it knows by itself."""

    async def report(self, alarm: Reported, *, active: bool, time_ns: int) -> None:
        """Say that it holds, or does no more; durable when this returns, and saying it twice changes nothing."""
        ...


class AlarmListener(Protocol):
    """Hears every change, in order, at least once; ``after`` is the ``seq`` it has stored the effect of."""

    name: str

    async def after(self) -> int: ...

    async def heard(self, changes: Sequence[AlarmChange]) -> None:
        """Take changes. When it raises, the same come again."""
        ...

"""Time is handed in, so that any run can be replayed to the same bytes."""

from __future__ import annotations

import time
from typing import Protocol

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


class Clock(Protocol):
    """Tells the time. ``now_ns`` may jump when somebody sets the machine's clock; ``monotonic_ns`` never does."""

    def now_ns(self) -> int:
        """UTC nanoseconds since 1970."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds that only grow, from an unnamed start."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()


class ManualClock:
    """A clock that stands still until it is told otherwise; for tests and replays."""

    def __init__(self, now_ns: int = 1_700_000_000 * NS_PER_S) -> None:
        self._now_ns = now_ns
        self._monotonic_ns = 0

    def now_ns(self) -> int:
        return self._now_ns

    def monotonic_ns(self) -> int:
        return self._monotonic_ns

    def advance(self, seconds: float) -> None:
        """Both clocks go on by ``seconds``."""
        step_ns = round(seconds * NS_PER_S)
        self._now_ns += step_ns
        self._monotonic_ns += step_ns

    def set_wall(self, now_ns: int) -> None:
        """Somebody sets the wall clock: UTC jumps, the monotonic one does not."""
        self._now_ns = now_ns

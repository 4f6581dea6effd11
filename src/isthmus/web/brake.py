"""A limit on how often one address may ask, for the few routes that anybody may ask."""

from __future__ import annotations

import math

from isthmus.values.clock import NS_PER_S

_MOST_SOURCES = 4096


class Brake:
    """So many requests at once from one address, then one every ``every_s``. Bounded; the address longest unseen is forgotten."""

    def __init__(self, burst: int = 20, every_s: float = 3.0) -> None:
        self._burst, self._every_ns = burst, round(every_s * NS_PER_S)
        self._free: dict[str, int] = {}  # when all of an address's requests are paid for

    def wait_s(self, source: str, now_ns: int) -> int:
        """Take a request: 0, or how many seconds until one is taken again. Units: now_ns is monotonic"""
        paid = max(self._free.pop(source, 0), now_ns)
        early_ns = paid + self._every_ns - (now_ns + self._burst * self._every_ns)
        self._free[source] = paid + self._every_ns if early_ns <= 0 else paid
        if len(self._free) > _MOST_SOURCES:
            del self._free[next(iter(self._free))]
        return max(0, math.ceil(early_ns / NS_PER_S))

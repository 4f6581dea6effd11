"""Wrong passwords, codes and PINs, counted so that guessing is slow and nobody is locked out for ever."""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.security.names import name_key
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import TryLater


class TooManyFailures(TryLater):
    """Wrong passwords too often for this name, or from this place."""


@dataclass(frozen=True, slots=True)
class Wait:
    """From how many failures on one waits, and how long: twice as long with each further failure.

    Units: seconds
    """

    failures: int
    first_s: float
    longest_s: float

    def after(self, count: int) -> float:
        """Units: seconds"""
        if count < self.failures:
            return 0.0
        return min(self.longest_s, self.first_s * 2.0 ** min(count - self.failures, 20))


ONE_PLACE = Wait(5, 30, 15 * 60)
"""For one name from one source."""
ANY_PLACE = Wait(25, 5, 60)
"""For one name from all sources it never signed in from: short, for the person may be among them."""
ANY_NAME = Wait(40, 5, 60)
"""For one source over all names: many people may share an address."""

_FORGET_NS = 3600 * NS_PER_S


class Attempts:
    """Failures by (name, source), by name and by source; bounded, in memory.

    A source from which a name signed in before is *known* to it: what strangers do elsewhere does not make it wait. Beyond
    ``limit`` entries the oldest is forgotten, which costs an attacker as many attempts as it gains.
    """

    def __init__(self, one_place: Wait = ONE_PLACE, limit: int = 10_000) -> None:
        self._one_place, self._limit = one_place, limit
        self._failed: dict[tuple[str, str], tuple[int, int]] = {}  # failures, and when the wait is over
        self._known: dict[tuple[str, str], None] = {}

    def _rules(self, name: str, source: str) -> list[tuple[tuple[str, str], Wait]]:
        """What counts here, by key; an empty part of a key stands for all."""
        key, place = name_key(name), source[:64]
        rules = [((key, place), self._one_place), (("", place), ANY_NAME)]
        if (key, place) not in self._known:
            rules.append(((key, ""), ANY_PLACE))
        return rules

    def check(self, name: str, source: str, now_ns: int) -> None:
        """Pass when no wait is due.

        Raises: TooManyFailures
        """
        for key, rule in self._rules(name, source):
            count, until_ns = self._failed.get(key, (0, 0))
            if count >= rule.failures and now_ns < until_ns:
                wait_s = (until_ns - now_ns) / NS_PER_S
                raise TooManyFailures(f"{count} failed attempts; try again in {wait_s:.0f} s", wait_s)

    def failed(self, name: str, source: str, now_ns: int) -> None:
        """Count a failure. An hour after the last wait the count begins anew."""
        for key, rule in self._rules(name, source):
            count, until_ns = self._failed.pop(key, (0, now_ns))
            count = 1 if now_ns > until_ns + _FORGET_NS else count + 1
            self._failed[key] = count, now_ns + round(rule.after(count) * NS_PER_S)
            if len(self._failed) > self._limit:
                del self._failed[next(iter(self._failed))]

    def succeeded(self, name: str, source: str) -> None:
        """Forget the failures of this pair, and know the place from now on."""
        key, place = name_key(name), source[:64]
        self._failed.pop((key, place), None)
        self.know(key, place)

    def know(self, name: str, source: str) -> None:
        """The person signed in from there once."""
        self._known.pop((name_key(name), source[:64]), None)
        self._known[name_key(name), source[:64]] = None
        if len(self._known) > self._limit:
            del self._known[next(iter(self._known))]

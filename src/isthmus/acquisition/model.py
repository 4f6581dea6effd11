"""Pure values and rules: what a connection can be, how long it may be silent, which edges are alive."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from isthmus.values.clock import NS_PER_S
from isthmus.values.messages.acquisition import Heartbeat


class Link(StrEnum):
    """The words of a connection's `state` tag."""

    GOOD = "Good"
    SLOW = "Slow"  # answers, but polls overrun their period persistently
    BAD = "Bad"
    CONNECTING = "Connecting"
    STOPPED = "Stopped"


STALE_PERIODS = 3
"""A group that was not answered for this many periods turns bad."""

MIN_STALE_S = 0.5
MIN_CUT_S = 10.0
MAX_CUT_S = 60.0


def cut_s(period_s: float) -> float:
    """How long a read may hang before it is cut and the connection opened anew: three periods, within 10 s to 60 s.

    A driver has time-outs of its own, far shorter; this is the last resort against a driver that hangs.
    """
    return min(max(STALE_PERIODS * period_s, MIN_CUT_S), MAX_CUT_S)


def stale_s(period_s: float, pace_s: float) -> float:
    """How long after an answer the next one may take before the group's tags turn bad.

    Three periods, and not less than half a second, for no loop is that punctual. A device known to need longer than a period (``pace_s``, its last answer time) is measured by its own
    pace, so that its tags turn bad once and not at each poll; still never longer than a read may hang.
    """
    three = max(STALE_PERIODS * period_s, MIN_STALE_S)
    return max(three, min(STALE_PERIODS * pace_s, cut_s(period_s)))


class Backoff:
    """Waits between attempts: 0.5 s doubling to 30 s, each shortened by chance by up to half.

    It begins anew only after the link has held for longer than the longest wait, so that a link which breaks as soon
    as it is up is not opened twice a second for ever.
    """

    FIRST_S = 0.5
    LONGEST_S = 30.0

    def __init__(self, random: Random) -> None:
        self._random = random
        self._next_s = self.FIRST_S

    def wait_s(self) -> float:
        """The wait before the next attempt."""
        wait_s, self._next_s = self._next_s, min(2 * self._next_s, self.LONGEST_S)
        return wait_s * (1.0 - 0.5 * self._random.random())

    def held(self, up_s: float) -> None:
        """The link was up for so long before it broke."""
        if up_s > self.LONGEST_S:
            self._next_s = self.FIRST_S


@dataclass(frozen=True, slots=True)
class ConnectionStatus:
    """One connection as it is now.

    Units: *_ns UTC ns, 0 for never; latency_s the longest answer in the last second; rates per second
    """

    name: str
    state: Link
    reason: str
    since_ns: int
    last_good_ns: int
    attempts: int  # to connect, since it last broke
    tags: int
    polls: int  # completed since the start
    skipped: int  # polls left out because an earlier one overran
    latency_s: float
    requests_per_s: float
    values_per_s: float
    errors: int
    lag_s: float
    sent: int  # samples that went on to the bus
    collisions: int  # samples that share their tag's quantised time with the one before
    held: int  # readings whose time was held because the clock went back
    unknown: int  # rows of the driver that nobody had asked for


@dataclass(frozen=True, slots=True)
class EdgeHealth:
    """What is known of an edge from its heartbeats.

    Units: age_s since the last one; offset_s is the edge's clock minus ours, positive when the edge is ahead
    """

    edge: str
    fresh: bool
    age_s: float
    offset_s: float
    epoch: int
    model_version: int
    queued: int
    dropped: int
    published: int
    journal: int = 0


@dataclass(slots=True)
class _Heard:
    beat: Heartbeat
    at_ns: int  # monotonic
    offsets_ns: deque[int] = field(default_factory=lambda: deque(maxlen=8))
    said_fresh: bool = False


class Heartbeats:
    """Which edges are alive; kept in core. An edge is stale after three missed heartbeats.

    A heartbeat comes late by its way over the bus, never early, so the clock offset is the largest of the last eight.
    """

    STALE_AFTER_S = 3.0

    def __init__(self) -> None:
        self._heard: dict[str, _Heard] = {}

    def heard(self, beat: Heartbeat, now_ns: int, monotonic_ns: int) -> None:
        """A heartbeat arrived. One of an epoch that is over (a restarted edge's late words) is ignored."""
        known = self._heard.get(beat.edge)
        if known is None:
            known = self._heard[beat.edge] = _Heard(beat, monotonic_ns)
        elif beat.epoch < known.beat.epoch:
            return
        elif beat.epoch > known.beat.epoch:
            known.offsets_ns.clear()
        known.beat, known.at_ns = beat, monotonic_ns
        known.offsets_ns.append(beat.time_ns - now_ns)

    def forget(self, edge: str) -> None:
        """The edge is no longer part of the plant."""
        self._heard.pop(edge, None)

    def edge(self, name: str, monotonic_ns: int) -> EdgeHealth | None:
        """One edge; None if it was never heard."""
        known = self._heard.get(name)
        if known is None:
            return None
        beat, age_s = known.beat, (monotonic_ns - known.at_ns) / NS_PER_S
        return EdgeHealth(
            edge=name,
            fresh=age_s <= self.STALE_AFTER_S,
            age_s=age_s,
            offset_s=max(known.offsets_ns) / NS_PER_S,
            epoch=beat.epoch,
            model_version=beat.model_version,
            queued=beat.queued,
            dropped=beat.dropped,
            published=beat.published,
            journal=beat.journal,
        )

    def edges(self, monotonic_ns: int) -> tuple[EdgeHealth, ...]:
        """All edges ever heard, by name."""
        known = (self.edge(name, monotonic_ns) for name in sorted(self._heard))
        return tuple(health for health in known if health is not None)

    def turned(self, monotonic_ns: int) -> tuple[EdgeHealth, ...]:
        """Edges that turned fresh or stale since this was last asked: each turn is told once."""
        found = []
        for health in self.edges(monotonic_ns):
            known = self._heard[health.edge]
            if known.said_fresh != health.fresh:
                known.said_fresh = health.fresh
                found.append(health)
        return tuple(found)

"""Which machine stopped a line: from a machine that waits along the line to the one that stood first.

A machine that is starved looks at the machine before it, one that is blocked at the one behind it; what stands between them
keeps it running for a while, so the stop that explains it may be over by then. A machine that waits is never a cause.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from isthmus.namespace.model import ProductionLine
from isthmus.production.model import StateClass, Stop
from isthmus.values.clock import NS_PER_S

SLACK_NS: Final = 5 * NS_PER_S
"""Two machines are not read at the same moment."""
_BEFORE, _BEHIND = -1, 1
_WAITS: Final = {_BEFORE: StateClass.STARVED, _BEHIND: StateClass.BLOCKED}


class CauseKind(StrEnum):
    """Where the cause of a stop was found."""

    OWN = "own"  # the machine itself
    MACHINE = "machine"  # another machine of the line
    OUTSIDE = "outside"  # before the first machine, or behind the last
    SLOW = "slow"  # no machine stood: the one named ran, but too slowly
    UNCLEAR = "unclear"  # the neighbour waits for this one


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a machine stood. ``path`` are the machines the stop came along, from the cause to the one that stood."""

    kind: CauseKind
    asset: str = ""  # the machine that stopped it; "" where none did
    stop: str = ""  # id of its stop
    reason: str = ""  # what was said of that stop
    state_class: StateClass = StateClass.STOPPED  # of that stop
    path: tuple[str, ...] = ()


class LineStops:
    """The stops of the machines of one line over some time. ``mute`` are machines that cannot tell that they wait.

    Cost: O(log n) a question and machine of the way
    """

    def __init__(
        self,
        line: ProductionLine,
        stops: Mapping[str, Sequence[Stop]],
        mute: Iterable[str] = (),
        slack_ns: int = SLACK_NS,
    ) -> None:
        self.line = line
        self._stops = {asset: sorted(stops.get(asset, ()), key=lambda s: s.start_ns) for asset in line.machines}
        self._ends = {asset: [s.end_ns for s in found] for asset, found in self._stops.items()}
        self._place = {asset: i for i, asset in enumerate(line.machines)}
        self._mute, self._slack_ns = frozenset(mute), slack_ns

    def cause(self, stop: Stop) -> Cause:
        """Which machine stopped this one."""
        own = Cause(CauseKind.OWN, stop.asset, stop.id, stop.reason, stop.state_class, (stop.asset,))
        if stop.asset not in self._place:
            return own
        if stop.state_class is StateClass.STARVED:
            return self._walk(stop, _BEFORE)
        if stop.state_class is StateClass.BLOCKED:
            return self._walk(stop, _BEHIND)
        if stop.reason or not self._may_wait(stop):
            return own
        for direction in (_BEFORE, _BEHIND):
            found = self._walk(stop, direction)
            if found.kind is CauseKind.MACHINE:
                return found
        return own

    def _may_wait(self, stop: Stop) -> bool:
        """Whether it may have waited without saying so: idle, or of a machine that only tells that it stands."""
        return stop.state_class is StateClass.IDLE or (
            stop.asset in self._mute and stop.state_class is StateClass.STOPPED
        )

    def _walk(self, stop: Stop, direction: int) -> Cause:
        place = self._place[stop.asset] + direction
        if not 0 <= place < len(self.line.machines):
            return Cause(CauseKind.OUTSIDE, state_class=stop.state_class, path=(stop.asset,))
        asset = self.line.machines[place]
        found = self._explains(asset, stop, self._buffer_ns(place, direction))
        same = [s for s in found if s.state_class is not _WAITS[-direction]]
        if not same:
            kind = CauseKind.UNCLEAR if found else CauseKind.SLOW
            return Cause(kind, "" if found else asset, state_class=stop.state_class, path=(asset, stop.asset))
        first = self._longest(same, stop)
        if first.state_class is _WAITS[direction]:
            return _further(self._walk(first, direction), stop)
        if not first.reason and self._may_wait(first):
            beyond = self._walk(first, direction)
            if beyond.kind is CauseKind.MACHINE:
                return _further(beyond, stop)
        return Cause(CauseKind.MACHINE, asset, first.id, first.reason, first.state_class, (asset, stop.asset))

    def _buffer_ns(self, place: int, direction: int) -> int:
        between = min(place, place - direction)
        buffers = self.line.buffers
        return round(buffers[between] * NS_PER_S) if between < len(buffers) else 0

    def _explains(self, asset: str, stop: Stop, buffer_ns: int) -> list[Stop]:
        """Stops of a neighbour that reached this machine when it stopped: begun by then, and not longer over than the buffer."""
        since_ns, until_ns = stop.start_ns - buffer_ns - self._slack_ns, stop.start_ns + self._slack_ns
        found = []
        for one in self._stops[asset][bisect_right(self._ends[asset], since_ns) :]:
            if one.start_ns > until_ns:
                break
            found.append(one)
        return found

    def _longest(self, found: Sequence[Stop], stop: Stop) -> Stop:
        """The one that took most out of the buffer; of equal ones the last."""
        until_ns = stop.start_ns + self._slack_ns

        def share(one: Stop) -> tuple[int, int]:
            return min(one.end_ns, until_ns) - one.start_ns, one.start_ns

        return max(found, key=share)


def _further(cause: Cause, stop: Stop) -> Cause:
    return replace(cause, path=(*cause.path, stop.asset))


def reach_ns(line: ProductionLine) -> int:
    """How long before a stop its cause may have begun to count: all buffers of the line, and an hour of standing."""
    return round(sum(line.buffers) * NS_PER_S) + 3600 * NS_PER_S


@dataclass(frozen=True, slots=True)
class CauseSum:
    """Lost time of a line by what stopped it. Units: ns"""

    line: str
    machine: str  # whose stops were looked at: what the line's figures are those of
    kind: CauseKind
    asset: str
    reason: str
    stops: int
    ns: int


def sums(line: ProductionLine, stops: LineStops, own: Iterable[Stop], start_ns: int, end_ns: int) -> list[CauseSum]:
    """The stops of the machine that speaks for a line within [start, end), added up by first cause; the longest first."""
    found: dict[tuple[CauseKind, str, str], tuple[int, int]] = {}
    for stop in own:
        lost_ns = min(stop.ns, min(stop.end_ns, end_ns) - max(stop.start_ns, start_ns))
        if lost_ns <= 0:
            continue
        cause = stops.cause(stop)
        key = (cause.kind, cause.asset, cause.reason)
        count, ns = found.get(key, (0, 0))
        found[key] = (count + 1, ns + lost_ns)
    speaks = speaker(line)
    rows = [CauseSum(line.path, speaks, *key, count, ns) for key, (count, ns) in found.items()]
    return sorted(rows, key=lambda row: (-row.ns, row.asset, row.reason, row.kind))


def speaker(line: ProductionLine) -> str:
    """The machine whose stops are those of the line."""
    return line.constraint or line.counts_at or (line.machines[-1] if line.machines else "")

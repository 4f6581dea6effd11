"""When to poll: a fixed grid on the monotonic clock, without drift; what overruns skips, nothing queues."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from isthmus.acquisition.binding import TagTable
from isthmus.ports.drivers import Point
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError
from isthmus.values.model import ConnectionModel, EdgeModel

_GOLDEN = 0.6180339887498949  # multiples of it, modulo one, are spread evenly however many there are


class Cadence:
    """The grid of one poll group: polls at phase + k * period, one at once whenever the link comes up.

    Units: monotonic ns; phase is the share of a period by which the grid is shifted, 0 to 1
    """

    def __init__(self, period_s: float, phase: float) -> None:
        self.period_ns = max(1, round(period_s * NS_PER_S))
        self.due_ns = 0
        self._phase_ns = int(phase % 1.0 * self.period_ns)
        self._on_grid = False

    def start(self, now_ns: int) -> None:
        """Poll at once."""
        self.due_ns, self._on_grid = now_ns, False

    def done(self, now_ns: int) -> int:
        """A poll ended: the next one is due at the next point of the grid. The answer is how many points were skipped."""
        now_ns = max(now_ns, self.due_ns)  # a timer may fire a hair early
        turn = (now_ns - self._phase_ns) // self.period_ns + 1
        next_ns = self._phase_ns + turn * self.period_ns
        skipped = (next_ns - self.due_ns) // self.period_ns - 1 if self._on_grid else 0
        self.due_ns, self._on_grid = next_ns, True
        return skipped

    def late_ns(self, now_ns: int) -> int:
        """By how much a poll that is still running, or ended now, has overrun its period; 0 if it has not."""
        return max(0, now_ns - self.due_ns - self.period_ns)


def phase_of(connection: str, group: int) -> float:
    """Where in its period a group of a connection polls: the same at each start, spread over connections and groups."""
    return (zlib.crc32(connection.encode()) / 2**32 + group * _GOLDEN) % 1.0


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """Tags of one connection with one period: rows start … stop-1 of the connection's table."""

    period_s: float
    start: int
    stop: int
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class ConnectionPlan:
    """What a supervisor runs. Rows are ordered by period, so that each group is a range of them."""

    connection: ConnectionModel
    table: TagTable
    groups: tuple[GroupPlan, ...] = field(default=())

    def same_traffic(self, other: ConnectionPlan) -> bool:
        """Whether the device would notice no difference: then nothing is opened anew, at most bound differently."""
        mine, theirs = self.connection, other.connection
        return self.groups == other.groups and (
            (mine.name, mine.driver, mine.config, mine.budget)
            == (theirs.name, theirs.driver, theirs.config, theirs.budget)
        )


def plan_connections(model: EdgeModel) -> dict[str, ConnectionPlan]:
    """Each connection of the model with its tags.

    Raises: ConfigError if a tag names a connection the model does not have, has no period, or another's id
    """
    if len(set(model.tags.id)) != len(model.tags):
        raise ConfigError("the model has a tag id twice")
    of: dict[str, list[int]] = {c.name: [] for c in model.connections}
    for i, name in enumerate(model.tags.connection):
        if not name:
            continue
        if name not in of:
            raise ConfigError(f"tag {model.tags.path[i]}: its connection is not in the model, was {name!r}")
        if not model.tags.period_s[i] > 0:
            raise ConfigError(f"tag {model.tags.path[i]}: period_s must be more than 0, was {model.tags.period_s[i]}")
        of[name].append(i)
    return {c.name: _plan(c, model, of[c.name]) for c in model.connections}


def _plan(connection: ConnectionModel, model: EdgeModel, index: list[int]) -> ConnectionPlan:
    periods = model.tags.period_s
    index = sorted(index, key=lambda i: periods[i])  # stable: within a period the model's order stays
    return ConnectionPlan(connection, TagTable.of(model.tags, index), tuple(_groups(model, index)))


def _groups(model: EdgeModel, index: Sequence[int]) -> list[GroupPlan]:
    groups: list[GroupPlan] = []
    start = 0
    for row in range(1, len(index) + 1):
        period_s = model.tags.period_s[index[start]]
        if row == len(index) or model.tags.period_s[index[row]] != period_s:
            points = tuple(Point(r, model.tags.address[index[r]], period_s) for r in range(start, row))
            groups.append(GroupPlan(period_s, start, row, points))
            start = row
    return groups

"""Diagnostics of connections as tags like any other: how a connection is goes out at once, its figures each second."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.acquisition.binding import Binder, TagTable
from isthmus.values.model import SYSTEM_TAGS, ConnectionModel, TagColumns
from isthmus.values.sample import SampleBatch, ValueType
from isthmus.values.status import GOOD

MAX_GAP_S = 60.0
"""An unchanged figure, and the state, is said again after this long."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one second of a connection was like, rounded to what a reader can use."""

    latency_ms: float
    requests_per_s: float
    values_per_s: float
    errors: int
    lag_s: float


class SystemTags:
    """The diagnostic tags of all connections of an edge, bound like any other tag: said when changed, or after a minute."""

    def __init__(self, connections: Iterable[ConnectionModel]) -> None:
        columns = TagColumns()
        self._row: dict[tuple[str, str], int] = {}
        for connection in connections:
            for name, (value_type, _, _) in SYSTEM_TAGS.items():
                if name in connection.system:
                    self._row[connection.name, name] = len(columns)
                    columns.id.append(connection.system[name])
                    columns.type.append(value_type)
        columns.max_gap_s.extend([MAX_GAP_S] * len(columns))
        self._binder = Binder(TagTable.of(columns, range(len(columns))))

    def adopt(self, other: SystemTags) -> None:
        """Repeat nothing that was said under the model before."""
        self._binder.adopt(other._binder)

    def words(self, of: Iterable[tuple[str, str, str]], now_ns: int, monotonic_ns: int) -> tuple[SampleBatch, ...]:
        """(connection, state, reason) as far as they are new; they belong on the event lane."""
        codes: dict[str, int] = {}
        rows: list[int] = []
        said: list[int] = []
        for connection, state, reason in of:
            for name, text in (("reason", reason), ("state", state)):
                row = self._row.get((connection, name))
                if row is not None:
                    rows.append(row)
                    said.append(codes.setdefault(text, len(codes)))
        return self._bind(rows, np.array(said, np.int32), now_ns, monotonic_ns, tuple(codes))

    def figures(self, of: Iterable[tuple[str, Figures]], now_ns: int, monotonic_ns: int) -> tuple[SampleBatch, ...]:
        """The figures of many connections as far as they are new; they belong on the live lane."""
        floats: list[tuple[int, float]] = []
        integers: list[tuple[int, int]] = []
        for name, figures in of:
            for tag, value in (
                ("latency", figures.latency_ms),
                ("requests", figures.requests_per_s),
                ("values", figures.values_per_s),
                ("lag", figures.lag_s),
            ):
                row = self._row.get((name, tag))
                if row is not None:
                    floats.append((row, value))
            row = self._row.get((name, "errors"))
            if row is not None:
                integers.append((row, figures.errors))
        numbers = np.array([v for _, v in floats], np.float64)
        counts = np.array([v for _, v in integers], np.int64)
        return (
            *self._bind([r for r, _ in floats], numbers, now_ns, monotonic_ns),
            *self._bind([r for r, _ in integers], counts, now_ns, monotonic_ns),
        )

    def _bind(
        self, rows: list[int], value: NDArray[Any], now_ns: int, monotonic_ns: int, text: tuple[str, ...] = ()
    ) -> tuple[SampleBatch, ...]:
        if not rows:
            return ()
        n = len(rows)
        batch = SampleBatch(
            np.array(rows, np.int32), np.full(n, now_ns, np.int64), value, np.full(n, GOOD, np.uint32), text
        )
        return self._binder.bind([batch], now_ns, monotonic_ns)


def described(connections: Iterable[ConnectionModel]) -> dict[int, tuple[str, str]]:
    """Which tag says the state or the reason of which connection; what the outage log asks by."""
    return {
        tag: (connection.name, name)
        for connection in connections
        for name, tag in connection.system.items()
        if SYSTEM_TAGS.get(name, (None,))[0] is ValueType.TEXT
    }

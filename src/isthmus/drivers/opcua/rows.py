"""Which row of a batch an item belongs to, and what of an array or a structure was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import numpy as np
from asyncua import ua
from numpy.typing import NDArray

from isthmus.drivers.opcua.address import NodeAddress, Step, parse
from isthmus.drivers.opcua.decode import EPOCH_TICKS, Column, Items, Other, time_in_words
from isthmus.ports.drivers import Point
from isthmus.values.errors import ConfigError
from isthmus.values.sample import SampleBatch, join
from isthmus.values.status import BAD_CONFIGURATION_ERROR, BAD_NO_DATA, BAD_OUT_OF_RANGE, BAD_TYPE_MISMATCH

OLDEST_TICKS: Final = EPOCH_TICKS + 10_958 * 864_000_000_000
"""2000-01-02: a time before it is that of a clock nobody has set."""

AHEAD_TICKS: Final = 864_000_000_000
"""A time more than a day ahead of ours is absurd; what lies between is for binding to judge."""

Ints = NDArray[np.int64]
Told = tuple[SampleBatch, Ints]
"""Rows, and the place of each among all that the server told: it orders rows of different types."""

LAST: Final = np.iinfo(np.int64).max
"""The place of what is found out after everything was heard."""


@dataclass(slots=True)
class _Single:
    """Values taken one by one, by kind."""

    place: list[int] = field(default_factory=list)
    row: list[int] = field(default_factory=list)
    value: list[Any] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    time_ns: list[int] = field(default_factory=list)

    def add(self, place: int, row: int, value: Any, status: int, time_ns: int) -> None:
        self.place.append(place)
        self.row.append(row)
        self.value.append(value)
        self.status.append(status)
        self.time_ns.append(time_ns)


class Rows:
    """The points of one subscription or read. A handle is a node; several tags may take their part of its value.

    ``wrong`` are rows whose address does not parse, with the reason.
    """

    def __init__(self, points: Sequence[Point]) -> None:
        self.ids = np.array([point.id for point in points], np.int32)
        self.nodes: list[NodeAddress] = []
        self.wrong: list[tuple[int, str]] = []
        self.of: list[list[int]] = []  # rows of each handle
        self.unfold: dict[int, list[tuple[int, tuple[Step, ...]]]] = {}
        plain: list[int] = []
        whole: dict[tuple[Any, ...], int] = {}
        for row, point in enumerate(points):
            try:
                address = parse(point.address)
            except ConfigError as error:
                self.wrong.append((row, str(error)))
                continue
            key = (address.namespace, address.kind, address.identifier)
            handle = whole.get(key) if address.steps else None
            if handle is None:
                handle = len(self.nodes)
                self.nodes.append(address)
                self.of.append([])
                plain.append(-1 if address.steps else row)
            self.of[handle].append(row)
            if address.steps:
                whole[key] = handle
                self.unfold.setdefault(handle, []).append((row, address.steps))
        self.plain = np.array(plain, np.int64)
        self._since_ns = np.zeros(len(plain), np.int64)

    def begins(self, handles: Iterable[int], now_ns: int) -> None:
        """These are listened to from now on: whenever they changed, we know of their first value since now.

        Else a value that last changed yesterday would come before the gap it ends.
        """
        self._since_ns[list(handles)] = now_ns

    def told(self, items: Items, arrived_ns: int, timestamps: str) -> tuple[list[Told], str, int]:
        """At most one batch a type, why a value was refused (the last reason), and how many items nobody asked for."""
        floats, ints, texts = _Single(), _Single(), _Single()
        said, unknown = "", 0
        columns: list[tuple[Column, Ints, Ints]] = []
        for column in (items.floats, items.ints, items.texts):
            known = column.handle < len(self.plain)
            if not known.all():
                unknown += int(np.count_nonzero(~known))
                column = _only(column, known)  # noqa: PLW2901  the rest of the loop is about what is left
            row = self.plain[column.handle]
            times = np.maximum(
                time_ns(column.source, column.server, arrived_ns, timestamps), self._since_ns[column.handle]
            )
            if len(row) and row.min() < 0:
                self._since_ns[column.handle] = 0
                for i in np.flatnonzero(row < 0).tolist():
                    status = int(column.status[i])
                    if not status >> 31:
                        status = BAD_TYPE_MISMATCH
                        said = f"{self.nodes[int(column.handle[i])].text}: the value has no parts, it is a single one"
                    for other in self.of[int(column.handle[i])]:
                        ints.add(int(column.place[i]), other, 0, status, int(times[i]))
                keep = row >= 0
                column, row, times = _only(column, keep), row[keep], times[keep]  # noqa: PLW2901  as above
            columns.append((column, row, times))
        for item in items.others:
            if item.handle >= len(self.plain):
                unknown += 1
                continue
            said = self._other(item, arrived_ns, timestamps, floats, ints, texts) or said
        for column, _, _ in columns:
            self._since_ns[column.handle] = 0
        made = [
            _batch(self.ids, *columns[0], floats, np.float64),
            _batch(self.ids, *columns[1], ints, np.int64),
            _text_batch(self.ids, *columns[2], texts),
        ]
        return [one for one in made if one is not None], said, unknown

    def _other(
        self, item: Other, arrived_ns: int, timestamps: str, floats: _Single, ints: _Single, texts: _Single
    ) -> str:
        """An array or a structure: its declared parts; without a declaration it is refused. Answers why."""
        times = time_ns(np.array([item.source]), np.array([item.server]), arrived_ns, timestamps)
        at_ns = max(int(times[0]), int(self._since_ns[item.handle]))
        self._since_ns[item.handle] = 0
        said = ""
        for row, steps in self.unfold.get(item.handle, [(int(self.plain[item.handle]), ())]):
            if item.status >> 31:
                ints.add(item.place, row, 0, item.status, at_ns)
                continue
            value, problem = _walk(item.value, steps)
            kind = value if not problem else None
            if problem == "" and not steps:
                problem = f"is {item.what}; {_HINTS.get(item.what[:5], 'such values are not taken')}"
            if problem:
                said = f"{self.nodes[item.handle].text}: {problem}"
                ints.add(item.place, row, 0, BAD_TYPE_MISMATCH, at_ns)
            elif isinstance(kind, bool | int):
                fits = -(1 << 63) <= kind < 1 << 63
                status = item.status if fits else BAD_OUT_OF_RANGE
                ints.add(item.place, row, int(kind) if fits else 0, status, at_ns)
            elif isinstance(kind, float):
                floats.add(item.place, row, kind, item.status, at_ns)
            elif isinstance(kind, str):
                word = kind.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
                texts.add(item.place, row, word, item.status, at_ns)
            else:
                ints.add(item.place, row, 0, BAD_NO_DATA, at_ns)
        return said

    def refused(self, rows: Iterable[tuple[int, int]], now_ns: int) -> list[SampleBatch]:
        """Rows with a bad status each, as one batch. Takes (row, status)."""
        found = list(rows)
        if not found:
            return []
        return [
            SampleBatch(
                self.ids[[row for row, _ in found]],
                np.full(len(found), now_ns, np.int64),
                np.zeros(len(found), np.int64),
                np.array([status for _, status in found], np.uint32),
            )
        ]

    def refused_addresses(self, now_ns: int) -> list[SampleBatch]:
        """The rows whose address does not parse."""
        return self.refused(((row, BAD_CONFIGURATION_ERROR) for row, _ in self.wrong), now_ns)


_HINTS: Final = {
    "an ar": "name an element, as in `ns=2;s=Array [3]`",
    "a Ext": "name a field, as in `ns=2;s=Pump #Speed`",
}


def time_ns(source: Ints, server: Ints, arrived_ns: int, timestamps: str) -> Ints:
    """The time of each item: its source's, else the server's, else ours; one that is absurd counts as absent."""
    times = np.full(len(source), arrived_ns, np.int64)
    if timestamps == "arrival":
        return times
    latest = EPOCH_TICKS + arrived_ns // 100 + AHEAD_TICKS
    for ticks in (server, source) if timestamps == "source" else (server,):
        sound = (ticks > OLDEST_TICKS) & (ticks < latest)
        if sound.all():
            times = (ticks - EPOCH_TICKS) * 100
        elif sound.any():
            times = np.where(sound, (np.where(sound, ticks, EPOCH_TICKS) - EPOCH_TICKS) * 100, times)
    return times


def _walk(value: Any, steps: tuple[Step, ...]) -> tuple[Any, str]:
    """What the steps lead to, as a plain value, or why they lead nowhere."""
    for step in steps:
        if isinstance(step, str):
            fields = value if isinstance(value, dict) else getattr(value, "__dict__", None) or _slots(value)
            if isinstance(value, ua.ExtensionObject) or fields is None:
                return None, f"no field {step}: the value is no structure whose fields are known"
            if step not in fields:
                return None, f"no field {step}; there are {', '.join(map(str, fields))}"
            value = fields[step]
        else:
            for index in step:
                if not isinstance(value, list):
                    return None, f"[{index}]: the value is no array, or has fewer dimensions"
                if index >= len(value):
                    return None, f"[{index}]: the array has {len(value)} elements"
                value = value[index]
    return _plain(value, bool(steps))


def _plain(value: Any, taken: bool) -> tuple[Any, str]:
    if isinstance(value, ua.Variant):
        value = value.Value
    if isinstance(value, ua.LocalizedText):
        return value.Text or "", ""
    if isinstance(value, ua.StatusCode):
        return int(value.value), ""
    if isinstance(value, datetime):
        since = value.replace(tzinfo=None) - datetime(1601, 1, 1)  # noqa: DTZ001  both are UTC
        return time_in_words(10 * round(since.total_seconds() * 1e6)), ""
    if value is None or isinstance(value, bool | int | float | str):
        return value, ""
    if not taken:
        return value, ""
    return None, f"the part is {type(value).__name__}, which is neither a number nor a text"


def _slots(value: Any) -> dict[str, Any] | None:
    names = getattr(type(value), "__dataclass_fields__", None)
    return None if names is None else {name: getattr(value, name) for name in names}


def _only(column: Column, keep: NDArray[np.bool_]) -> Column:
    return Column(*(getattr(column, name)[keep] for name in Column.__slots__))


def _batch(ids: NDArray[np.int32], column: Column, row: Ints, times: Ints, single: _Single, dtype: Any) -> Told | None:
    if not len(row) and not single.row:
        return None
    if not single.row:
        return SampleBatch(ids[row], times, column.value, column.status), column.place
    batch = SampleBatch(
        ids[np.concatenate([row, np.array(single.row, np.int64)])],
        np.concatenate([times, np.array(single.time_ns, np.int64)]),
        np.concatenate([column.value, np.array(single.value, dtype)]),
        np.concatenate([column.status, np.array(single.status, np.uint32)]),
    )
    return batch, np.concatenate([column.place, np.array(single.place, np.int64)])


def _text_batch(ids: NDArray[np.int32], column: Column, row: Ints, times: Ints, single: _Single) -> Told | None:
    codes: dict[str, int] = {}
    words = [*column.value.tolist(), *single.value]
    coded = np.array([codes.setdefault(word, len(codes)) for word in words], np.int32)
    column = replace(column, value=coded[: len(column)])
    single = replace(single, value=coded[len(column) :].tolist())
    told = _batch(ids, column, row, times, single, np.int32)
    return None if told is None else (replace(told[0], text=tuple(codes)), told[1])


def in_order(told: Iterable[Told]) -> tuple[SampleBatch, ...]:
    """One batch a type, rows by their place; points that were told in several types follow in as many as keep their order.

    Read batch by batch, the last row of a point is the last the server told.
    """
    kinds: dict[Any, list[Told]] = {}
    for batch, place in told:
        if len(batch):
            kinds.setdefault(batch.value.dtype, []).append((batch, place))
    whole = [_sorted(found) for found in kinds.values()]
    ids = [batch.id for batch, _ in whole]
    twice = [one[np.isin(one, other)] for i, one in enumerate(ids) for other in ids[:i]]
    mixed = np.concatenate(twice) if twice else _NOBODY
    if not len(mixed):
        return tuple(batch for batch, _ in whole)
    plain: list[SampleBatch] = []
    parts: list[Told] = []
    for batch, place in whole:
        odd = np.isin(batch.id, mixed)
        plain.append(batch.rows(~odd))
        parts.append((batch.rows(odd), place[odd]))
    return (*(batch for batch in plain if len(batch)), *_runs(parts))


_NOBODY: Final = np.empty(0, np.int32)


def _sorted(told: list[Told]) -> Told:
    batch, place = join([batch for batch, _ in told]), np.concatenate([place for _, place in told])
    if (place[1:] >= place[:-1]).all():
        return batch, place
    order = np.argsort(place, kind="stable")
    return batch.rows(order), place[order]


def _runs(parts: list[Told]) -> Iterable[SampleBatch]:
    """Rows by their place, a new batch wherever the type changes."""
    kind = np.concatenate([np.full(len(batch), i) for i, (batch, _) in enumerate(parts)])
    index = np.concatenate([np.arange(len(batch)) for batch, _ in parts])
    order = np.argsort(np.concatenate([place for _, place in parts]), kind="stable")
    for run in np.split(order, np.flatnonzero(np.diff(kind[order])) + 1):
        yield parts[kind[run[0]]][0].rows(index[run])

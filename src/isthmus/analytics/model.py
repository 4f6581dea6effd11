"""Judges rules in steps of a second, by the time of the samples; pure, so that the same frames make the same events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.analytics.windows import STEP_NS, Arrivals, Windows, is_good
from isthmus.namespace.model import Plant, Rule, RuleInstance, Tag
from isthmus.values.clock import NS_PER_S
from isthmus.values.expression import Column, Expression, Window, compile_expression, window_of
from isthmus.values.frame import Frame
from isthmus.values.sample import SampleBatch, ValueType, join_by_type
from isthmus.values.status import BAD, BAD_WAITING_FOR_INITIAL_DATA

LATE_S = 2
"""How late a sample may come behind the clock of its edge and still be counted at its own time."""
AHEAD_NS = 60 * NS_PER_S
CATCH_UP_S = 120
"""A silence longer than this is not gone through second by second."""

Key = tuple[str, str]
"""Rule and asset; the rule of a type is `type.name`."""


@dataclass(frozen=True, slots=True)
class Began:
    """A rule came true. ``since_ns`` is when its condition did, ``at_ns`` when it had held for long enough."""

    rule: str
    asset: str
    since_ns: int
    at_ns: int
    priority: str
    message: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """And is so no more."""

    rule: str
    asset: str
    at_ns: int


@dataclass(slots=True)
class Counts:
    """What became of samples the rules look at."""

    taken: int = 0
    late: int = 0  # came behind the allowance and were left out
    ahead: int = 0  # more than a minute ahead of their edge's clock, left out
    steps: int = 0


@dataclass(slots=True)
class _Group:
    """Instances of one rule. Shapes: since, active (n,); slots, rows each (n,)"""

    rule: Rule
    name: str
    expression: Expression
    instances: tuple[RuleInstance, ...]
    slots: dict[str, NDArray[np.intp]]
    windows: dict[str, tuple[Window, NDArray[np.intp]]]
    since: NDArray[np.int64]  # second at which the condition came true, 0 where it is not
    active: NDArray[np.bool_]


class _Held:
    """The value each tag holds that a condition reads by itself."""

    def __init__(self, tags: Sequence[Tag]) -> None:
        n = len(tags)
        self.id = np.array([t.id for t in tags], np.int32)
        self.number, self.integer = np.zeros(n), np.zeros(n, np.int64)
        self.text = np.full(n, "", object)
        self.kind = [t.type for t in tags]
        self.status = np.full(n, BAD_WAITING_FOR_INITIAL_DATA, np.uint32)

    def store(self, batch: SampleBatch) -> None:
        if not len(self.id):
            return
        slot = np.minimum(np.searchsorted(self.id, batch.id), len(self.id) - 1)
        mine = self.id[slot] == batch.id
        slot, batch = slot[mine], batch.rows(mine)
        if batch.type is ValueType.FLOAT:
            self.number[slot] = batch.value
        elif batch.type is ValueType.INT:
            self.integer[slot] = batch.value
        else:
            self.text[slot] = np.array([*batch.text, None], object)[batch.value.astype(np.intp)]
        self.status[slot] = batch.status

    def column(self, slots: NDArray[np.intp]) -> Column:
        kind = self.kind[int(slots[0])]
        source: NDArray[Any] = self.number
        if kind is not ValueType.FLOAT:
            source = self.integer if kind is ValueType.INT else self.text
        return Column(source[slots], self.status[slots])

    def carried(self) -> dict[str, list[Any]]:
        names = ("id", "number", "integer", "text", "status")
        return {name: getattr(self, name).tolist() for name in names}

    def carry(self, saved: dict[str, list[Any]]) -> None:
        _, mine, its = np.intersect1d(self.id, np.array(saved["id"], np.int32), assume_unique=True, return_indices=True)
        for name in ("number", "integer", "text", "status"):
            column = getattr(self, name)
            column[mine] = np.array(saved[name], column.dtype)[its]


class EdgeRules:
    """The rules that look at one edge, by the clock of its frames."""

    def __init__(self, plant: Plant, edge: str) -> None:
        mine = [(rule, tuple(i for i in some if i.edge == edge)) for rule, some in plant.rules]
        mine = [(rule, some) for rule, some in mine if some]
        wanted: set[tuple[int, Window]] = set()
        plain: set[int] = set()
        for _, some in mine:
            for instance in some:
                for name, tag in instance.inputs.items():
                    window = window_of(name)
                    if window is None:
                        plain.add(tag)
                    else:
                        wanted.add((tag, window))
        self._held = _Held([plant.by_id[t] for t in sorted(plain)])
        self.windows = Windows(sorted(wanted, key=lambda w: (w[0], w[1].name)))
        self._wanted = np.union1d(self._held.id, self.windows.id).astype(np.int32)
        self._plant = plant
        self._groups = [self._group(rule, part) for rule, some in mine for part in self._alike(some)]
        self._waiting: list[SampleBatch] = []
        self.second = 0  # the last step taken, in seconds since 1970
        self.counts = Counts()

    @property
    def horizon_s(self) -> int:
        """From how long ago samples still matter, but for what is carried."""
        return self.windows.horizon_s + int(max((g.rule.hold_s for g in self._groups), default=0)) + LATE_S + 2

    def _alike(self, some: Sequence[RuleInstance]) -> Iterable[tuple[RuleInstance, ...]]:
        """Instances whose inputs are of the same types run in one column."""
        found: dict[tuple[tuple[str, str], ...], list[RuleInstance]] = {}
        for one in some:
            kinds = tuple(sorted((name, str(self._plant.by_id[tag].type)) for name, tag in one.inputs.items()))
            found.setdefault(kinds, []).append(one)
        return [tuple(part) for part in found.values()]

    def _group(self, rule: Rule, some: tuple[RuleInstance, ...]) -> _Group:
        slots, windows = {}, {}
        for name in some[0].inputs:
            ids = np.array([i.inputs[name] for i in some], np.int32)
            window = window_of(name)
            if window is None:
                slots[name] = np.searchsorted(self._held.id, ids)
            else:
                windows[name] = window, np.searchsorted(self.windows.id, ids)
        n = len(some)
        name = f"{rule.type}.{rule.name}" if rule.type else rule.name
        return _Group(
            rule,
            name,
            compile_expression(rule.when),
            some,
            slots,
            windows,
            np.zeros(n, np.int64),
            np.zeros(n, np.bool_),
        )

    @property
    def keys(self) -> set[Key]:
        """All instances."""
        return {(g.name, i.asset) for g in self._groups for i in g.instances}

    def set_active(self, keys: set[Key]) -> None:
        """What is known to hold, from the record of events."""
        for group in self._groups:
            group.active[:] = [(group.name, i.asset) in keys for i in group.instances]

    # --- time --------------------------------------------------------------------------------------------------------

    def take(self, frame: Frame) -> int:
        """Samples of a frame; the second up to which steps may be taken now."""
        for batch in frame.batches:
            at = np.minimum(np.searchsorted(self._wanted, batch.id), max(len(self._wanted) - 1, 0))
            mine = self._wanted[at] == batch.id if len(self._wanted) else np.zeros(len(batch), np.bool_)
            if not mine.any():
                continue
            batch = batch.rows(mine)  # noqa: PLW2901  the rest of the frame is nobody's
            ahead = batch.time_ns > frame.sealed_ns + AHEAD_NS
            late = batch.time_ns <= self.second * STEP_NS if self.second else np.zeros(len(batch), np.bool_)
            self.counts.ahead += int(np.count_nonzero(ahead))
            self.counts.late += int(np.count_nonzero(late & ~ahead))
            kept = ~ahead & ~late
            if kept.any():
                self._waiting.append(batch.rows(kept))
                self.counts.taken += int(np.count_nonzero(kept))
        return max(frame.sealed_ns // STEP_NS - LATE_S, self.second)

    def advance(self, to: int, quiet_until: int = 0) -> list[Began | Ended]:
        """Steps up to a second. Up to ``quiet_until`` nothing is said: it was said before."""
        if not self.second or to - self.second > CATCH_UP_S + self.horizon_s:
            self._begin(to - 1 if not self.second else to - self.horizon_s)
        said: list[Began | Ended] = []
        while self.second < to:
            self.second += 1
            self.counts.steps += 1
            self._step()
            quiet = self.second <= quiet_until
            if quiet and self.second + self.horizon_s < quiet_until:
                continue
            for group in self._groups:
                said += self._judge(group, quiet)
        return said

    def _begin(self, second: int) -> None:
        self.second = max(self.second, second)
        # what came before the first step is what holds; nothing is known of the time before
        early = [b.rows(b.time_ns <= self.second * STEP_NS) for b in self._waiting]
        if any(len(b) for b in early):
            later = [b.rows(b.time_ns > self.second * STEP_NS) for b in self._waiting]
            self._waiting = early
            self._step()
            self._waiting = [b for b in later if len(b)]

    def _step(self) -> None:
        end_ns = self.second * STEP_NS
        due: list[SampleBatch] = []
        left: list[SampleBatch] = []
        for batch in self._waiting:
            now = batch.time_ns <= end_ns
            if now.all():
                due.append(batch)
            elif now.any():
                due.append(batch.rows(now))
                left.append(batch.rows(~now))
            else:
                left.append(batch)
        self._waiting = left
        rows, times, values, goods = [], [], [], []
        for whole in join_by_type(due):
            batch = whole.rows(np.argsort(whole.time_ns, kind="stable"))
            self._held.store(batch)  # of several samples of a tag the last one stays
            if batch.type is ValueType.TEXT or not len(self.windows.id):
                continue
            at = np.minimum(np.searchsorted(self.windows.id, batch.id), len(self.windows.id) - 1)
            mine = self.windows.id[at] == batch.id
            rows.append(at[mine])
            times.append(batch.time_ns[mine])
            values.append(batch.value[mine].astype(np.float64))
            goods.append(is_good(batch.status[mine]))
        self.windows.step(self.second, _arrivals(rows, times, values, goods, (self.second - 1) * STEP_NS))

    # --- rules -------------------------------------------------------------------------------------------------------

    def _judge(self, group: _Group, quiet: bool) -> list[Began | Ended]:
        inputs = {name: self._held.column(slots) for name, slots in group.slots.items()}
        for name, (window, rows) in group.windows.items():
            inputs[name] = self.windows.ask(window, rows, self.second)
        result = group.expression.evaluate(inputs)
        known = (result.status & BAD) == 0
        true = known & (result.value != 0)
        group.since = np.where(true, np.where(group.since > 0, group.since, self.second), 0)
        if quiet:
            return []
        begins = true & ~group.active & (self.second - group.since >= group.rule.hold_s)
        ends = known & ~true & group.active
        group.active = (group.active | begins) & ~ends
        began = [self._began(group, row, inputs) for row in np.flatnonzero(begins).tolist()]
        at_ns = self.second * STEP_NS
        ended = [Ended(group.name, group.instances[row].asset, at_ns) for row in np.flatnonzero(ends).tolist()]
        return [*began, *ended]

    def _began(self, group: _Group, row: int, inputs: dict[str, Column]) -> Began:
        instance = group.instances[row]
        values: dict[str, Any] = {}
        shown = {"asset": instance.asset}
        for name, column in inputs.items():
            tag = self._plant.by_id[instance.inputs[name]]
            bad = bool(column.status[row] & BAD)
            value = column.value[row]
            values[name] = None if bad else value if isinstance(value, str) else value.item()
            shown[name] = _shown(values[name], tag)
        since_ns = int(group.since[row]) * STEP_NS
        message = _filled(group.rule.message or "{asset}: " + group.name, shown)
        return Began(group.name, instance.asset, since_ns, self.second * STEP_NS, group.rule.priority, message, values)

    # --- beginning again ---------------------------------------------------------------------------------------------

    def carried(self) -> dict[str, Any]:
        """What a later beginning at this second needs beside the frames that follow."""
        waiting = [
            [b.id.tolist(), b.time_ns.tolist(), b.value.tolist(), b.status.tolist(), b.text, str(b.type)]
            for b in self._waiting
        ]
        return {
            "second": self.second,
            "held": self._held.carried(),
            "windows": self.windows.carried(),
            "waiting": waiting,
        }

    def carry(self, saved: dict[str, Any]) -> None:
        """Go on from there; windows fill from the frames that follow."""
        self.second = int(saved["second"])
        self._held.carry(saved["held"])
        self.windows.carry(saved["windows"])
        kinds = {"float": np.float64, "int": np.int64, "text": np.int32}
        self._waiting = [
            SampleBatch(
                np.array(ids, np.int32),
                np.array(times, np.int64),
                np.array(values, kinds[kind]),
                np.array(status, np.uint32),
                tuple(text),
            )
            for ids, times, values, status, text, kind in saved["waiting"]
        ]


def _arrivals(rows: list[Any], times: list[Any], values: list[Any], goods: list[Any], begin_ns: int) -> Arrivals:
    if not rows:
        return Arrivals(np.empty(0, np.intp), np.empty(0, np.int64), np.empty(0), np.empty(0, np.bool_))
    row, time = np.concatenate(rows), np.maximum(np.concatenate(times), begin_ns)
    order = np.lexsort((time, row))
    return Arrivals(row[order], time[order], np.concatenate(values)[order], np.concatenate(goods)[order])


def _shown(value: Any, tag: Tag) -> str:
    if value is None:
        return "unknown"
    if tag.states and isinstance(value, int) and value in tag.states:
        return tag.states[value]
    if isinstance(value, float):
        told = f"{value:.{tag.decimals}f}" if tag.decimals is not None else f"{value:.6g}"
        return f"{told} {tag.unit}".rstrip()
    return f"{value} {tag.unit}".rstrip()


def _filled(template: str, shown: dict[str, str]) -> str:
    """What stands in braces is replaced where it is known, and stays where it is not."""
    for name, text in shown.items():
        template = template.replace("{" + name + "}", text)
    return template[:500]

"""A desk of alarms that holds rows and a journal, and lives by ISA-18.2 as far as the routes can tell."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from isthmus.security.model import Principal
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError
from isthmus.values.messages.alarms import PRIORITIES, AlarmChange, State

NOW = 1_700_000_000 * NS_PER_S
_ASIDE = (State.SHELVED, State.SUPPRESSED_BY_DESIGN, State.OUT_OF_SERVICE)
_WAITING = (State.UNACKNOWLEDGED, State.RETURNED_UNACKNOWLEDGED)


@dataclass(frozen=True)
class Row:
    occurrence: int
    alarm: str
    path: str
    asset: str
    name: str
    priority: str = "medium"
    state: State = State.UNACKNOWLEDGED
    kind: str = "high"
    zone: str = ""
    message: str = "too much"
    value: float | int | str | None = 151.5
    unit: str = "1/min"
    limit: float | None = 150.0
    raised_ns: int | None = NOW
    changed_ns: int | None = NOW
    returned_ns: int | None = None
    cleared_ns: int | None = None
    acknowledged_ns: int | None = None
    by: str = ""
    comment: str = ""
    shelved_until_ns: int | None = None
    reason: str = ""
    cause: str = "drive"
    consequence: str = "glass"
    response: str = "slow down"
    response_s: float | None = 300.0
    latched: bool = False


@dataclass(frozen=True)
class Counts:
    states: Mapping[State, int]
    priorities: Mapping[str, int]
    unacknowledged: Mapping[str, int]


@dataclass(frozen=True)
class Entry:
    change: AlarmChange
    comment: str = ""


@dataclass(frozen=True)
class Occurrence:
    id: int
    alarm: str
    path: str
    asset: str
    priority: str = "low"
    message: str = "=too much"
    raised_ns: int = NOW
    acknowledged_ns: int | None = None
    returned_ns: int | None = None
    cleared_ns: int | None = None
    by: str = ""


@dataclass(frozen=True)
class Spec:
    kind: str = "high"
    priority: str = "medium"
    message: str = "too much"
    unit: str = "1/min"
    limit: float | None = 150.0
    deadband: float = 0.0
    on_delay_s: float = 0.0
    off_delay_s: float = 0.0
    latch: bool = False
    cause: str = "drive"
    consequence: str = "glass"
    consequence_class: str = ""
    response: str = "slow down"
    response_s: float | None = 300.0
    per_s: float = 1.0


@dataclass(frozen=True)
class Alarm:
    key: str
    path: str
    asset: str
    name: str
    spec: Spec = Spec()


@dataclass(frozen=True)
class Definition:
    alarm: Alarm | None
    key: str
    path: str
    asset: str
    name: str
    kind: str = "high"
    values: Mapping[str, Any] = field(default_factory=lambda: {"limit": 150.0, "priority": "medium"})
    declared: Mapping[str, Any] = field(default_factory=dict)
    changed_by: str = ""
    changed_ns: int | None = None
    change_reason: str = ""
    state: State = State.NORMAL


def alarm_at(tag: str, name: str = "high", number: int = 1, **more: Any) -> Row:
    """A row of one alarm of a tag."""
    return Row(number, f"{tag}#{name}", tag, tag.rpartition("/")[0], name, **more)


class FakeDesk:
    """Every deed changes the rows, the version and the journal."""

    def __init__(self, *rows: Row) -> None:
        self.held = list(rows)
        self.version = 1
        self.entries: list[Entry] = []
        self.past: list[Occurrence] = []
        self.defined = [
            Definition(Alarm(r.alarm, r.path, r.asset, r.name), r.alarm, r.path, r.asset, r.name) for r in rows
        ]
        self._changed = asyncio.Event()

    def rows(
        self,
        *,
        under: str = "",
        states: Sequence[State] = (),
        priorities: Sequence[str] = (),
        limit: int = 500,
        sight: Any = None,
        newest: bool = False,
    ) -> list[Row]:
        found = [
            row
            for row in self.held
            if (not under or row.path == under or row.path.startswith(f"{under}/"))
            and (not states or row.state in states)
            and (not priorities or row.priority in priorities)
            and (sight is None or sight.path(row.path))
        ]
        found.sort(key=lambda r: (r.state not in _WAITING, PRIORITIES.index(r.priority), -(r.raised_ns or 0)))
        if newest:
            found.sort(key=lambda r: -(r.raised_ns or r.changed_ns or 0))
        return found[:limit]

    def total(self, **asked: Any) -> int:
        return len(self.rows(limit=2**31, **asked))

    def paths(self, occurrences: Sequence[int]) -> dict[int, str]:
        return {row.occurrence: row.path for row in self.held if row.occurrence in occurrences}

    def path_of(self, key: str) -> str | None:
        return next((row.path for row in self.held if row.alarm == key), None)

    def counts(self, sight: Any = None) -> Counts:
        held = [row for row in self.held if sight is None or sight.path(row.path)]
        of = [row for row in held if row.state not in _ASIDE]
        return Counts(
            {state: sum(row.state is state for row in held) for state in State},
            {p: sum(row.priority == p for row in of) for p in PRIORITIES},
            {p: sum(row.priority == p and row.state in _WAITING for row in of) for p in PRIORITIES},
        )

    async def wait(self, version: int, timeout_s: float) -> int:
        if self.version == version:
            try:
                await asyncio.wait_for(self._changed.wait(), timeout_s)
            except TimeoutError:
                return self.version
        return self.version

    def _to(self, row: Row, state: State, by: str, **more: Any) -> None:
        self.version += 1
        change = AlarmChange(
            self.version, row.occurrence, row.alarm, row.path, row.asset, row.zone, row.priority, row.message,
            row.state, state, NOW, row.value, row.unit, row.limit, by,
        )  # fmt: skip
        self.entries.append(Entry(change, more.get("comment", "")))
        self.held.remove(row)
        if state is not State.NORMAL:
            self.held.append(replace(row, state=state, changed_ns=NOW, by=by, **more))
        self._changed.set()
        self._changed = asyncio.Event()

    async def acknowledge(self, who: Principal, occurrences: Sequence[int], comment: str) -> list[int]:
        done = []
        for row in [r for r in self.held if r.occurrence in occurrences and r.state in _WAITING]:
            returned = row.state is State.RETURNED_UNACKNOWLEDGED
            self._to(
                row, State.NORMAL if returned else State.ACKNOWLEDGED, who.name, comment=comment, acknowledged_ns=NOW
            )
            done.append(row.occurrence)
        return done

    async def reset(self, who: Principal, occurrences: Sequence[int]) -> list[int]:
        done = [r for r in self.held if r.occurrence in occurrences and r.state is State.LATCHED]
        for row in done:
            self._to(row, State.NORMAL, who.name)
        return [row.occurrence for row in done]

    def _of(self, alarms: Sequence[str]) -> list[Row]:
        known = {row.alarm for row in self.held} | {one.key for one in self.defined}
        missing = [alarm for alarm in alarms if alarm not in known]
        if missing:
            raise ConfigError(f"alarms: there is no such alarm, was {missing[0]}")
        return [row for row in self.held if row.alarm in alarms]

    async def shelve(self, who: Principal, alarms: Sequence[str], until_ns: int, reason: str) -> list[str]:
        done = [r for r in self._of(alarms) if r.state is not State.SHELVED]
        for row in done:
            self._to(row, State.SHELVED, who.name, shelved_until_ns=until_ns, reason=reason)
        return [row.alarm for row in done]

    async def unshelve(self, who: Principal, alarms: Sequence[str]) -> list[str]:
        done = [r for r in self._of(alarms) if r.state is State.SHELVED]
        for row in done:
            self._to(row, State.UNACKNOWLEDGED, who.name, shelved_until_ns=None, reason="")
        return [row.alarm for row in done]

    async def out_of_service(
        self, who: Principal, alarms: Sequence[str], reason: str, until_ns: int | None
    ) -> list[str]:
        done = [r for r in self._of(alarms) if r.state is not State.OUT_OF_SERVICE]
        for row in done:
            self._to(row, State.OUT_OF_SERVICE, who.name, shelved_until_ns=until_ns, reason=reason)
        return [row.alarm for row in done]

    async def in_service(self, who: Principal, alarms: Sequence[str]) -> list[str]:
        done = [r for r in self._of(alarms) if r.state is State.OUT_OF_SERVICE]
        for row in done:
            self._to(row, State.UNACKNOWLEDGED, who.name, shelved_until_ns=None, reason="")
        return [row.alarm for row in done]

    async def change(self, who: Principal, alarm: str, values: Mapping[str, Any], reason: str) -> Definition:
        self._of([alarm])
        place = next(i for i, one in enumerate(self.defined) if one.key == alarm)
        one = self.defined[place]
        said = {name: one.declared.get(name, one.values.get(name)) for name in {*one.declared, *values}}
        now = {**one.values, **values}
        self.defined[place] = replace(
            one, values=now, declared={name: v for name, v in said.items() if v != now[name]}, changed_by=who.name,
            changed_ns=NOW, change_reason=reason,
        )  # fmt: skip
        self.version += 1
        return self.defined[place]

    async def journal(
        self, start_ns: int, end_ns: int, *, under: str = "", alarm: str = "", limit: int = 1000, before: int = 2**53
    ) -> list[Entry]:
        found = [
            e
            for e in reversed(self.entries)
            if e.change.seq < before
            and start_ns <= e.change.time_ns < end_ns
            and (not under or e.change.path.startswith(under))
            and alarm in ("", e.change.alarm)
        ]
        return found[:limit]

    async def occurrences(
        self, start_ns: int, end_ns: int, *, under: str = "", alarm: str = "", limit: int = 100_000
    ) -> list[Occurrence]:
        found = [
            o
            for o in self.past
            if o.raised_ns < end_ns
            and (o.cleared_ns is None or o.cleared_ns > start_ns)
            and (not under or o.path.startswith(under))
            and alarm in ("", o.alarm)
        ]
        return sorted(found, key=lambda o: -o.raised_ns)[:limit]

    def definitions(self, under: str = "") -> list[Definition]:
        return [one for one in self.defined if not under or one.path == under or one.path.startswith(f"{under}/")]

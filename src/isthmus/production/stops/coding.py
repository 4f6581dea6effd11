"""Stops and what people say of them: a reason, another reason, two stops of one, one of several. What was said before stays.

Each stop has at most one reason in force, whose entry spans exactly the stop: splitting and merging enter it anew for what comes
out. The number of that entry is what somebody saw (``base``); who codes on top of another number is told what is there now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from isthmus.namespace.model import Machine, Plant, ProductionLine, Reason
from isthmus.production.model import Entry, EntryKind, Interval, Stop
from isthmus.production.stops.cause import Cause, CauseSum, LineStops, reach_ns, speaker, sums
from isthmus.production.stops.facts import Facts
from isthmus.production.stops.model import Choice
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError, Denied
from isthmus.values.ids import is_under

OWN_RECODE_NS: Final = 30 * 60 * NS_PER_S
"""For so long who coded a stop may change it without the right to correct."""
USED_NS: Final = 90 * 86_400 * NS_PER_S
LEAST_PART_NS: Final = NS_PER_S
"""A part of a split stop is at least so long."""
MOST_NS: Final = 31 * 86_400 * NS_PER_S
"""Of stops that are told at a time."""
MOST_MERGED: Final = 50
MOST_MERGED_NS: Final = 24 * 3600 * NS_PER_S


@dataclass(frozen=True, slots=True)
class CodedStop:
    """A stop with why it happened, as far as anybody knows. ``by`` gave the reason at ``at_ns`` (UTC ns)."""

    stop: Stop
    cause: Cause | None  # None where the machine stands in no line
    text: str = ""  # of the reason
    offered: bool = True  # whether the plant file still has it
    by: str = ""
    at_ns: int = 0
    comment: str = ""

    @property
    def asks(self) -> bool:
        """Whether somebody should say why."""
        return self.stop.asks


@dataclass(frozen=True, slots=True)
class Coded:
    """What was changed, for the answer and for the audit trail."""

    stops: tuple[Stop, ...]  # as they are now
    old: Mapping[str, object]
    new: Mapping[str, object]


Correct = Callable[[], None]
"""Raises Denied unless whoever acts may correct what was recorded."""


class StopDesk:
    """Stops of machines with their reasons and causes."""

    def __init__(self, facts: Facts, plant: Callable[[], Plant], clock: Clock) -> None:
        self._facts, self._plant, self._clock = facts, plant, clock
        self._one_at_a_time = asyncio.Lock()

    # --- reading -----------------------------------------------------------------------------------------------------

    async def listed(self, under: str, start_ns: int, end_ns: int, *, uncoded: bool = False) -> list[CodedStop]:
        """Stops that overlap [start, end): those that ask for a reason first, then the newest."""
        found = await self._facts.stops(under, start_ns, end_ns)
        if uncoded:
            found = [stop for stop in found if stop.asks]
        causes = await self._causes(found, start_ns, end_ns)
        said = await self._said(found, start_ns, end_ns)
        rows = [self._row(stop, causes.get(stop.id), said) for stop in found]
        return sorted(rows, key=lambda row: (not row.asks, -row.stop.start_ns, row.stop.asset))

    async def stop(self, ident: str) -> Stop:
        """One by its id.

        Raises: LookupError
        """
        asset, at, start = ident.rpartition("@")
        if not at or not (start.isascii() and start.isdigit()) or len(start) > 19:
            raise LookupError(ident)
        start_ns = int(start)
        for stop in await self._facts.stops(asset, start_ns, start_ns + 1):
            if stop.id == ident:
                return stop
        raise LookupError(ident)

    async def described(self, stop: Stop) -> CodedStop:
        """One with its cause and with who coded it."""
        end_ns = max(stop.end_ns, stop.start_ns + 1)
        causes = await self._causes([stop], stop.start_ns, end_ns)
        return self._row(stop, causes.get(stop.id), await self._said([stop], stop.start_ns, end_ns))

    async def timeline(self, under: str, start_ns: int, end_ns: int) -> list[tuple[Machine, list[Interval]]]:
        """What machines did in [start, end), line by line along the flow; neighbours of one class and stop are one."""
        plant = self._plant()
        order = {line.path: i for i, line in enumerate(plant.lines)}
        machines = [machine for machine in plant.machines if is_under(machine.asset, under)]
        machines.sort(key=lambda machine: (order.get(machine.line, len(order)), machine.place))
        return [(m, _joined(await self._facts.intervals(m.asset, start_ns, end_ns))) for m in machines]

    async def history(self, ident: str) -> list[Entry]:
        """All that was ever said of a stop, oldest first: what was replaced stays.

        Raises: LookupError
        """
        stop = await self.stop(ident)
        end_ns = max(stop.end_ns, stop.start_ns + 1)
        found = await self._facts.entries(stop.asset, stop.start_ns, end_ns + 1)
        told = [e for e in found if e.kind in _SAID and (e.start_ns < end_ns or e.kind is EntryKind.SPLIT)]
        return sorted(told, key=lambda e: e.number)

    async def causes(self, under: str, start_ns: int, end_ns: int) -> list[CauseSum]:
        """What stopped the lines at or below a path in [start, end), by first cause."""
        plant, rows = self._plant(), []
        for line in plant.lines:
            if is_under(line.path, under):
                stops = await self._line(plant, line, start_ns, end_ns)
                own = await self._facts.stops(speaker(line), start_ns, end_ns)
                mine = [stop for stop in own if stop.asset == speaker(line)]
                rows += sums(line, stops, mine, start_ns, end_ns)
        return rows

    async def reasons(self, kind: str, asset: str) -> list[Choice]:
        """Reasons as they are offered, those used most at the asset first; then those that are no more offered but were used."""
        plant = self._plant()
        now_ns = self._clock.now_ns()
        entries = await self._facts.entries(asset, now_ns - USED_NS, now_ns + 1) if asset else []
        used: dict[str, int] = {}
        texts: dict[str, Entry] = {}
        for entry in _in_force(entries):
            key = str(entry.values.get("reason", ""))
            if key and _KIND_OF.get(entry.kind) == kind:
                used[key] = used.get(key, 0) + 1
                texts[key] = entry
        offered = [
            Choice(r.key, r.group, r.text, r.kind, r.planned, r.loss, r.time, used.get(r.key, 0))
            for r in plant.reasons
            if r.kind == kind
        ]
        offered.sort(key=lambda choice: -choice.used)
        known = {choice.key for choice in offered}
        gone = [
            Choice(
                key, key.partition("/")[0], str(texts[key].values.get("text") or key), kind,
                bool(texts[key].values.get("planned", 0)), str(texts[key].values.get("loss", "")),
                str(texts[key].values.get("time", "")), count, offered=False,
            )
            for key, count in used.items() if key not in known
        ]  # fmt: skip
        return offered + sorted(gone, key=lambda choice: (-choice.used, choice.key))

    # --- saying ------------------------------------------------------------------------------------------------------

    async def code(self, ident: str, reason: str, comment: str, base: int, by: str, correct: Correct) -> Coded:
        """Say why a machine stood; an empty reason takes back what was said.

        Raises: LookupError; ConfigError; Denied (stale_base, or what ``correct`` raises)
        """
        given = _offered(self._plant(), reason) if reason else None
        async with self._one_at_a_time:
            stop = await self.stop(ident)
            old = await self._entry(stop)
            if old is None and not reason:
                raise ConfigError(f"reason: stop {ident} has none that could be taken back")
            same = given is not None and old is not None and stop.reason == given.key
            if old is not None and same and comment in ("", str(old.values.get("comment", ""))):
                return Coded((stop,), _told(old), _told(old))  # both said the same: nobody lost anything
            self._check_base(stop, old, base)
            if old is not None and not (old.by == by and self._clock.now_ns() - old.at_ns <= OWN_RECODE_NS):
                correct()
            entry = self._reason(stop, given, comment, by, _replaced(stop, old))
            if entry.void and not entry.replaces:
                raise ConfigError(f"reason: what is said of stop {ident} was said of more than this stop; give another")
            await self._facts.enter(entry)
            return Coded((await self._again(stop),), _told(old), _told(None if entry.void else entry))

    async def split(self, ident: str, at_ns: int, base: int, by: str) -> Coded:
        """Make two stops of one at a moment within it; both keep the reason.

        Raises: LookupError; ConfigError; Denied (stale_base)
        """
        async with self._one_at_a_time:
            stop = await self.stop(ident)
            end_ns = stop.end_ns
            if not stop.start_ns + LEAST_PART_NS <= at_ns <= end_ns - LEAST_PART_NS:
                raise ConfigError(
                    f"at: must lie within the stop, a second from both its ends, was {(at_ns - stop.start_ns) / NS_PER_S:g} s "
                    f"from the beginning of {(end_ns - stop.start_ns) / NS_PER_S:g} s"
                )
            old = await self._entry(stop)
            self._check_base(stop, old, base)
            now_ns = self._clock.now_ns()
            until_ns = 0 if stop.open else end_ns
            said = [Entry(EntryKind.SPLIT, stop.asset, at_ns, until_ns, by=by, at_ns=now_ns)]
            if old is not None and self._offers(old):
                said += [_said_of(old, stop.start_ns, at_ns, old.number), _said_of(old, at_ns, until_ns, 0)]
            await self._facts.enter_all(said)
            parts = await self._between(stop.asset, stop.start_ns, end_ns)
            return Coded(parts, _spans((stop,)), _spans(parts))

    async def merge(self, idents: Sequence[str], by: str) -> Coded:
        """Make one stop of several of a machine that follow each other; their running between stays what it was.

        Raises: LookupError; ConfigError; Denied (wrong_state)
        """
        wanted = list(dict.fromkeys(idents))
        if not 2 <= len(wanted) <= MOST_MERGED:
            raise ConfigError(f"stops: must be 2 to {MOST_MERGED} different ones, was {len(wanted)}")
        async with self._one_at_a_time:
            stops = sorted([await self.stop(ident) for ident in wanted], key=lambda s: s.start_ns)
            first, last = stops[0], stops[-1]
            await self._check_mergeable(stops, first, last)
            olds = [old for stop in stops if (old := await self._entry(stop)) is not None]
            reasons = {str(old.values.get("reason", "")) for old in olds}
            if len(reasons) > 1:
                raise Denied(
                    f"they have different reasons ({', '.join(sorted(reasons))}); give them one reason first",
                    "wrong_state",
                )
            now_ns = self._clock.now_ns()
            said = [Entry(EntryKind.MERGE, first.asset, first.start_ns, last.start_ns + 1, by=by, at_ns=now_ns)]
            if olds and self._offers(olds[0]):
                said.append(_said_of(olds[0], first.start_ns, 0 if last.open else last.end_ns, olds[0].number))
                said += [_taken_back(old, by, now_ns) for old in olds[1:]]
            await self._facts.enter_all(said)
            parts = await self._between(first.asset, first.start_ns, last.end_ns)
            return Coded(parts, _spans(stops), _spans(parts))

    async def _check_mergeable(self, stops: Sequence[Stop], first: Stop, last: Stop) -> None:
        if any(stop.asset != first.asset for stop in stops):
            raise ConfigError(f"stops: must be of one machine, were of {', '.join(sorted({s.asset for s in stops}))}")
        if last.end_ns - first.start_ns > MOST_MERGED_NS:
            raise ConfigError("stops: one stop of more than 24 hours says nothing any more")
        named = {stop.id for stop in stops}
        between = await self._between(first.asset, first.start_ns, last.end_ns)
        left = next((s for s in between if s.id not in named and not s.minor), None)
        if left is not None:
            raise ConfigError(f"stops: between them lies {left.id}, which is not named")

    # --- parts -------------------------------------------------------------------------------------------------------

    def _check_base(self, stop: Stop, old: Entry | None, base: int) -> None:
        there = 0 if old is None else old.number
        if base == there:
            return
        if old is None:
            raise Denied(f"stop {stop.id} has no reason now; yours began at entry {base}; look again", "stale_base")
        comment = f" ({old.values['comment']})" if old.values.get("comment") else ""
        raise Denied(
            f"{old.by} coded stop {stop.id} meanwhile: it is {old.values.get('text') or old.values.get('reason')}{comment} "
            f"now, entry {there}; yours began at {base}; look again",
            "stale_base",
        )

    def _reason(self, stop: Stop, given: Reason | None, comment: str, by: str, replaces: int) -> Entry:
        end_ns = 0 if stop.open else stop.end_ns
        values: dict[str, str | int] = {}
        if given is not None:
            values = {
                "reason": given.key,
                "text": given.text,
                "loss": given.loss,
                "time": given.time,
                "planned": int(given.planned),
            }
            if comment:
                values["comment"] = comment
        return Entry(
            EntryKind.REASON, stop.asset, stop.start_ns, end_ns, values, by, self._clock.now_ns(), comment, replaces,
            void=given is None,
        )  # fmt: skip

    def _offers(self, entry: Entry) -> bool:
        """Whether the plant file still has its reason: one that is gone stays as it was said, and is said of nothing new."""
        return any(r.key == entry.values.get("reason") for r in self._plant().reasons)

    async def _entry(self, stop: Stop) -> Entry | None:
        """The entry of its reason that is in force."""
        if not stop.entry:
            return None
        found = await self._facts.entries(stop.asset, stop.start_ns, max(stop.end_ns, stop.start_ns + 1))
        return next((e for e in found if e.number == stop.entry), None)

    async def _again(self, stop: Stop) -> Stop:
        try:
            return await self.stop(stop.id)
        except LookupError:
            return stop  # what was said made it planned time, which is no stop any more

    async def _between(self, asset: str, start_ns: int, end_ns: int) -> tuple[Stop, ...]:
        found = await self._facts.stops(asset, start_ns, max(end_ns, start_ns + 1))
        return tuple(s for s in found if s.asset == asset and start_ns <= s.start_ns < end_ns)

    async def _said(self, stops: Iterable[Stop], start_ns: int, end_ns: int) -> dict[int, Entry]:
        """Entries by their numbers, of the machines some of whose stops have a reason."""
        found: dict[int, Entry] = {}
        spans: dict[str, tuple[int, int]] = {}
        for stop in stops:
            if stop.entry:
                a, b = spans.get(stop.asset, (start_ns, end_ns))
                spans[stop.asset] = min(a, stop.start_ns), max(b, stop.end_ns)
        for asset, (a, b) in spans.items():
            found |= {entry.number: entry for entry in await self._facts.entries(asset, a, b)}
        return found

    def _row(self, stop: Stop, cause: Cause | None, said: Mapping[int, Entry]) -> CodedStop:
        entry = said.get(stop.entry) if stop.entry else None
        values: Mapping[str, str | int] = {} if entry is None else entry.values
        known = next((r for r in self._plant().reasons if r.key == stop.reason), None)
        text = known.text if known else str(values.get("text") or stop.reason)
        return CodedStop(
            stop, cause, text if stop.reason else "", known is not None or not stop.reason,
            "" if entry is None else entry.by, 0 if entry is None else entry.at_ns, str(values.get("comment", "")),
        )  # fmt: skip

    async def _causes(self, stops: Iterable[Stop], start_ns: int, end_ns: int) -> dict[str, Cause]:
        plant = self._plant()
        line_of = {asset: line for line in plant.lines for asset in line.machines}
        ways: dict[str, LineStops] = {}
        found: dict[str, Cause] = {}
        for stop in stops:
            line = line_of.get(stop.asset)
            if line is None:
                continue
            if line.path not in ways:
                ways[line.path] = await self._line(plant, line, start_ns, end_ns)
            found[stop.id] = ways[line.path].cause(stop)
        return found

    async def _line(self, plant: Plant, line: ProductionLine, start_ns: int, end_ns: int) -> LineStops:
        since_ns = max(0, start_ns - reach_ns(line), end_ns - MOST_NS)
        stops = {asset: await self._facts.stops(asset, since_ns, end_ns) for asset in line.machines}
        own = {asset: [s for s in found if s.asset == asset] for asset, found in stops.items()}
        mute = [m.asset for m in plant.machines if m.asset in stops and cannot_tell(m)]
        return LineStops(line, own, mute)


def cannot_tell(machine: Machine) -> bool:
    """Whether a machine only shows that it stands: a pulse says nothing of what it waits for."""
    return bool(machine.pulse) and not machine.state and not machine.rules


_SAID: Final = frozenset({EntryKind.REASON, EntryKind.SPLIT, EntryKind.MERGE})
_KIND_OF: Final = {EntryKind.REASON: "stop", EntryKind.SCRAP: "scrap", EntryKind.REWORK: "rework"}


def _joined(intervals: Iterable[Interval]) -> list[Interval]:
    found: list[Interval] = []
    for one in intervals:
        last = found[-1] if found else None
        same = last is not None and (last.end_ns, last.state_class, last.stop) == (
            one.start_ns,
            one.state_class,
            one.stop,
        )
        if last is not None and same:
            found[-1] = replace(last, end_ns=one.end_ns)
        else:
            found.append(one)
    return found


def _in_force(entries: Iterable[Entry]) -> list[Entry]:
    found = list(entries)
    gone = {entry.replaces for entry in found if entry.replaces}
    return [entry for entry in found if entry.number not in gone and not entry.void]


def _replaced(stop: Stop, old: Entry | None) -> int:
    """The entry whose place a new reason of a stop takes; one that was said of more than the stop stays for the rest."""
    if old is None:
        return 0
    whole = old.start_ns >= stop.start_ns and (stop.open or 0 < old.end_ns <= stop.end_ns)
    return old.number if whole or not old.end_ns else 0


def _offered(plant: Plant, key: str) -> Reason:
    """A reason of stops that the plant file has.

    Raises: ConfigError
    """
    found = next((r for r in plant.reasons if r.key == key), None)
    if found is None:
        raise ConfigError(f"reason: the plant has no reason {key[:200]!r}, or has it no more")
    if found.kind != "stop":
        raise ConfigError(f"reason: {key} is a reason of {found.kind}, not of a stop")
    return found


def _said_of(old: Entry, start_ns: int, end_ns: int, replaces: int) -> Entry:
    """What was said, for another span: it stays the word of who said it."""
    return Entry(old.kind, old.asset, start_ns, end_ns, old.values, old.by, old.at_ns, old.reason, replaces)


def _taken_back(old: Entry, by: str, now_ns: int) -> Entry:
    return Entry(
        old.kind, old.asset, old.start_ns, old.end_ns, by=by, at_ns=now_ns, replaces=old.number, void=True
    )  # fmt: skip


def _told(entry: Entry | None) -> dict[str, object]:
    """What the audit trail keeps of a reason."""
    if entry is None:
        return {"reason": ""}
    return {"reason": entry.values.get("reason", ""), "comment": entry.values.get("comment", ""), "by": entry.by}


def _spans(stops: Iterable[Stop]) -> dict[str, object]:
    return {"stops": [f"{stop.id} {stop.end_ns - stop.start_ns} ns {stop.reason}".rstrip() for stop in stops]}

"""A small line and what it did in one shift, for the tests of shifts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from isthmus.namespace.model import Asset, Machine, Plant, Reason
from isthmus.production.figures import Figures, add, figures
from isthmus.production.model import (
    HOUR_NS,
    MILLION,
    MINOR,
    MINUTE_NS,
    FactSum,
    IdealCounts,
    Interval,
    StateClass,
    Stop,
    stop_id,
)
from isthmus.production.shiftreport import Span
from isthmus.values.clock import NS_PER_S

START = 1_700_000_000 * NS_PER_S - (1_700_000_000 * NS_PER_S) % HOUR_NS
"""A full hour."""
EARLY = Span("early", START - 8 * HOUR_NS, START, "A", "2023-11-14")
LATE = Span("late", START, START + 8 * HOUR_NS, "B", "2023-11-14")
LINE = "hall/line1"
FILLER, CAPPER = f"{LINE}/filler", f"{LINE}/capper"
REASONS = (
    Reason("mechanical/jam", "mechanical", "jam", "Bottle jam"),
    Reason("material/labels", "material", "labels", "No labels"),
)


def line_plant(**more: Any) -> Plant:
    """Two machines, two reasons."""
    assets = (
        Asset("", "lyon", "site", "", "", 0),
        Asset("hall", "hall", "area", "", "", 1),
        Asset(LINE, "line1", "line", "", "hall", 2),
        Asset(FILLER, "filler", "asset", "filler", LINE, 3),
        Asset(CAPPER, "capper", "asset", "capper", LINE, 4),
    )
    machines = (Machine(FILLER, LINE), Machine(CAPPER, LINE, 1))
    return Plant(
        1, "acme", "lyon", "Europe/Paris", assets=assets, machines=machines, reasons=REASONS, currency="EUR", **more
    )


@dataclass(frozen=True)
class FakeTaken:
    """A shift as the calendar gives it."""

    shift: str
    start_ns: int
    end_ns: int
    crew: str
    day: str
    planned_ns: int = 1


class FakeSchedule:
    """The calendar of every place: an early and a late shift, one that was called off, and days from midnight UTC."""

    def __init__(self, *spans: Span) -> None:
        self.spans = [FakeTaken(s.name, s.start_ns, s.end_ns, s.crew, s.day) for s in spans]

    def __call__(self, path: str) -> FakeSchedule:
        return self

    def shifts(self, start_ns: int, end_ns: int) -> list[FakeTaken]:
        return [s for s in self.spans if s.start_ns < end_ns and s.end_ns > start_ns]

    def day_of(self, time_ns: int) -> str:
        return datetime.fromtimestamp(time_ns // NS_PER_S, UTC).date().isoformat()

    def day_span(self, day: str) -> tuple[int, int]:
        start = round(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp()) * NS_PER_S
        return start, start + 24 * HOUR_NS


TWO_SHIFTS = FakeSchedule(EARLY, LATE)


def hour_sum(key: Mapping[str, str], ns: Mapping[StateClass, int], good: int, reject: int, **more: Any) -> FactSum:
    """What one machine did, at 60 pieces a minute."""
    total = good + reject
    ideal = (IdealCounts(60, MINUTE_NS, total * MILLION, good * MILLION),) if total else ()
    return FactSum(
        key, ns, total_u=total * MILLION, good_u=good * MILLION, reject_u=reject * MILLION, ideal=ideal, **more
    )


class FakeProduction:
    """Facts of the late shift: each hour 40 minutes of running, 15 stopped, 5 starved; 20 minutes stand without a reason."""

    version = 1

    def __init__(self, hours: int = 3) -> None:
        self.hours = hours

    def _hour(self, machine: str, n: int) -> list[FactSum]:
        base = {"machine": machine, "order": "MO-24117", "product": "Still water 0.75 L", "hour": str(n)}
        reason = "mechanical/jam" if n else ""
        m = MINUTE_NS
        return [
            hour_sum({**base, "reason": ""}, {StateClass.RUNNING: 40 * m}, 2000 + 10 * n, 12),
            hour_sum({**base, "reason": reason}, {StateClass.STOPPED: 15 * m}, 0, 0, stops=1, cost_u=15 * m * MILLION),
            hour_sum({**base, "reason": MINOR}, {StateClass.STARVED: 5 * m}, 0, 0, minor_stops=4),
        ]

    async def facts(
        self, under: str, start_ns: int, end_ns: int, by: Sequence[str] = (), *, sees: Callable[[str], bool] = bool
    ) -> list[FactSum]:
        found: dict[tuple[str, ...], list[FactSum]] = {}
        for n in range(self.hours):
            if not start_ns <= START + n * HOUR_NS < end_ns:
                continue
            for machine in filter(sees, (FILLER, CAPPER)):
                if machine == under or machine.startswith(f"{under}/") or not under:
                    for one in self._hour(machine, n):
                        found.setdefault(tuple(one.key[b] for b in by), []).append(one)
        return [add(parts, dict(zip(by, key, strict=True))) for key, parts in found.items()]

    async def figures(
        self, under: str, start_ns: int, end_ns: int, by: Sequence[str] = (), *, sees: Callable[[str], bool] = bool
    ) -> list[tuple[FactSum, Figures]]:
        return [(one, figures(one)) for one in await self.facts(under, start_ns, end_ns, by, sees=sees)]

    async def stops(
        self, under: str, start_ns: int, end_ns: int, *, uncoded: bool = False, sees: Callable[[str], bool] = bool
    ) -> list[Stop]:
        found = []
        for n in range(self.hours):
            at = START + n * HOUR_NS + 10 * MINUTE_NS
            reason = "mechanical/jam" if n else ""
            found.append(
                Stop(
                    stop_id(FILLER, at),
                    FILLER,
                    at,
                    at + 15 * MINUTE_NS,
                    StateClass.STOPPED,
                    (15 + n) * MINUTE_NS,
                    reason=reason,
                )
            )
            found.append(
                Stop(
                    stop_id(FILLER, at + 30 * MINUTE_NS),
                    FILLER,
                    at + 30 * MINUTE_NS,
                    at + 31 * MINUTE_NS,
                    StateClass.STARVED,
                    MINUTE_NS,
                    minor=True,
                )
            )
        waited, cleaned = START + 70 * MINUTE_NS, START + 80 * MINUTE_NS
        found += [
            Stop(stop_id(CAPPER, waited), CAPPER, waited, waited + 20 * MINUTE_NS, StateClass.STARVED, 20 * MINUTE_NS),
            Stop(stop_id(CAPPER, cleaned), CAPPER, cleaned, cleaned + 9, StateClass.STOPPED, 0, reason="planned/clean"),
        ]
        return found  # fmt: skip

    async def intervals(self, asset: str, start_ns: int, end_ns: int) -> list[Interval]:
        found = []
        for n in range(self.hours):
            at = START + n * HOUR_NS
            for begin, end, what in (
                (0, 10, "running"),
                (10, 20, "stopped"),
                (20, 25, "stopped"),
                (25, 30, "starved"),
                (30, 60, "running"),
            ):
                found.append(Interval(asset, at + begin * MINUTE_NS, at + end * MINUTE_NS, StateClass(what), 6))
        return found  # fmt: skip

"""What happened in a shift, filled in from the facts: nobody types a number into a handover.

Which shift it is says the calendar; where none is declared, the days of the plant take the place of shifts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from isthmus.namespace.model import Plant
from isthmus.production.figures import Figures
from isthmus.production.figures import figures as figures_of
from isthmus.production.model import HOUR_NS, MILLION, MINOR, MINUTE_NS, FactSum, Interval, StateClass, Stop
from isthmus.values.clock import Clock
from isthmus.values.ids import is_under

DAY_NS: Final = 24 * HOUR_NS
LOOK_NS: Final = 8 * DAY_NS
"""How far the last and the next shift are looked for: beyond a week off there is none to speak of."""
DAY: Final = "day"
"""What a shift is called where none is declared."""
MOST_MACHINES: Final = 60
MOST_STOPS: Final = 20
NOT_RUNNING: Final = (
    StateClass.IDLE, StateClass.STOPPED, StateClass.STARVED, StateClass.BLOCKED, StateClass.SETUP,
)  # fmt: skip


Sees = Callable[[str], bool]
"""Whether somebody sees a machine."""


@dataclass(frozen=True, slots=True)
class Span:
    """One shift as it took place. Units: UTC ns; [start_ns, end_ns)"""

    name: str
    start_ns: int
    end_ns: int
    crew: str = ""
    day: str = ""  # ISO date of the production day


class Taken(Protocol):
    """A shift as the calendar gives it. Units: UTC ns; planned_ns is 0 for one that was called off"""

    @property
    def shift(self) -> str: ...
    @property
    def crew(self) -> str: ...
    @property
    def day(self) -> str: ...
    @property
    def start_ns(self) -> int: ...
    @property
    def end_ns(self) -> int: ...
    @property
    def planned_ns(self) -> int: ...


class Facts(Protocol):
    """What a report asks of the room's service."""

    async def figures(
        self, under: str, start_ns: int, end_ns: int, by: Sequence[str] = (), *, sees: Sees = ...
    ) -> list[tuple[FactSum, Figures]]: ...
    async def facts(
        self, under: str, start_ns: int, end_ns: int, by: Sequence[str] = (), *, sees: Sees = ...
    ) -> list[FactSum]: ...
    async def stops(
        self, under: str, start_ns: int, end_ns: int, *, uncoded: bool = False, sees: Sees = ...
    ) -> list[Stop]: ...
    async def intervals(self, asset: str, start_ns: int, end_ns: int) -> list[Interval]: ...


class Schedule(Protocol):
    """The calendar that holds at a place, with its exceptions."""

    def shifts(self, start_ns: int, end_ns: int) -> Sequence[Taken]:
        """Shifts that take place at some time in [start, end), each whole; none where none is declared."""
        ...

    def day_of(self, time_ns: int) -> str:
        """The production day a moment belongs to."""
        ...

    def day_span(self, day: str) -> tuple[int, int]:
        """Begin and end of a production day."""
        ...


@dataclass(frozen=True, slots=True)
class Around:
    """The shift of a moment, the one before and the one after; None where there is none within `LOOK_NS`."""

    now: Span | None
    last: Span | None
    next: Span | None


@dataclass(frozen=True, slots=True)
class Loss:
    """Time that one reason took. ``reason`` is empty where nobody said one. Units: ns; cost in the plant's currency"""

    reason: str
    ns: int
    count: int
    cost: float


@dataclass(frozen=True, slots=True)
class Hour:
    """An hour of a shift, the last may be shorter. ``target`` is what the ideal rate would have made of its planned time.

    Units: UTC ns; pieces
    """

    start_ns: int
    end_ns: int
    good: int | float
    reject: int | float
    target: float | None


@dataclass(frozen=True, slots=True)
class Made:
    """What was made of one order and product."""

    order: str
    product: str
    figures: Figures


@dataclass(frozen=True, slots=True)
class Strip:
    """What a machine did, neighbours of one class joined. Units: UTC ns"""

    asset: str
    pieces: tuple[tuple[int, int, StateClass], ...]


@dataclass(frozen=True, slots=True)
class ShiftFacts:
    """Everything a handover asks of the facts. Units: UTC ns; ``until_ns`` is now while the shift runs"""

    area: str
    span: Span
    until_ns: int
    whole: Figures
    machines: tuple[tuple[str, Figures], ...]
    losses: tuple[Loss, ...]  # the largest first
    made: tuple[Made, ...]
    hours: tuple[Hour, ...]
    stops: tuple[Stop, ...]  # the longest first, planned ones and waits for another machine left out
    uncoded: int
    strips: tuple[Strip, ...]


class ShiftDesk:
    """Answers what a shift did."""

    def __init__(
        self,
        production: Facts,
        schedule: Callable[[str], Schedule],
        plant: Callable[[], Plant],
        clock: Clock,
    ) -> None:
        self._production, self._schedule, self._plant, self._clock = production, schedule, plant, clock

    def around(self, area: str, time_ns: int) -> Around:
        """The shift that runs at a moment and its neighbours."""
        found = self._spans(area, time_ns)
        now = next((s for s in found if s.start_ns <= time_ns < s.end_ns), None)
        begins, ends = (now.start_ns, now.end_ns) if now else (time_ns + 1, time_ns)
        last = max((s for s in found if s.end_ns <= begins and s is not now), key=lambda s: s.start_ns, default=None)
        following = min(
            (s for s in found if s.start_ns >= ends and s is not now), key=lambda s: s.start_ns, default=None
        )
        return Around(now, last, following)

    def _spans(self, area: str, time_ns: int) -> list[Span]:
        schedule = self._schedule(area)
        found = [s for s in schedule.shifts(max(0, time_ns - LOOK_NS), time_ns + LOOK_NS) if s.planned_ns]
        return [Span(s.shift, s.start_ns, s.end_ns, s.crew, s.day) for s in found] or days(schedule, time_ns)

    async def facts(self, area: str, span: Span, sees: Sees = lambda _: True) -> ShiftFacts:
        """What the shift did, up to now where it runs, of the machines that are seen."""
        until_ns = min(span.end_ns, max(span.start_ns + 1, self._clock.now_ns()))
        ask = (area, span.start_ns, until_ns)
        room, assets = self._production, self._assets(area, sees)
        whole = await self._one(area, span.start_ns, until_ns, sees)
        machines = [(f.key["machine"], said) for f, said in await room.figures(*ask, by=("machine",), sees=sees)]
        made = await room.figures(*ask, by=("order", "product"), sees=sees)
        stops = [s for s in await room.stops(*ask, sees=sees) if s.ns and not s.minor and (s.asks or s.reason)]
        return ShiftFacts(
            area=area,
            span=span,
            until_ns=until_ns,
            whole=whole,
            machines=tuple(sorted(machines, key=lambda m: _place(assets, m[0]))),
            losses=losses(await room.facts(*ask, by=("reason",), sees=sees)),
            made=tuple(Made(f.key.get("order", ""), f.key.get("product", ""), s) for f, s in made if s.total),
            hours=await self._hours(area, span, until_ns, whole, sees),
            stops=tuple(sorted(stops, key=lambda s: -s.ns)[:MOST_STOPS]),
            uncoded=sum(s.asks for s in stops),
            strips=tuple([strip(a, await room.intervals(a, span.start_ns, until_ns)) for a in assets]),
        )

    def _assets(self, area: str, sees: Sees) -> list[str]:
        found = [m.asset for m in self._plant().machines if is_under(m.asset, area) and sees(m.asset)]
        return found[:MOST_MACHINES]

    async def _one(self, area: str, start_ns: int, end_ns: int, sees: Sees) -> Figures:
        """The figures of a time; those of no time at all where nothing is known of it."""
        found = await self._production.figures(area, start_ns, end_ns, sees=sees)
        return found[0][1] if found else figures_of(FactSum())

    async def _hours(self, area: str, span: Span, until_ns: int, whole: Figures, sees: Sees) -> tuple[Hour, ...]:
        found = []
        for start_ns in range(span.start_ns, until_ns, HOUR_NS):
            end_ns = min(start_ns + HOUR_NS, until_ns)
            said = await self._one(area, start_ns, end_ns, sees)
            found.append(Hour(start_ns, end_ns, said.good, said.reject, _target(said, whole)))
        return tuple(found)


def _place(assets: Sequence[str], asset: str) -> int:
    return assets.index(asset) if asset in assets else len(assets)


def _target(said: Figures, whole: Figures) -> float | None:
    """Pieces that the planned time allows at the rate of what was made; of the whole shift where nothing was.

    None where some piece has no ideal rate: what one machine can make is no target for another.
    """
    if whole.rated_total != whole.total:
        return None
    for one in (said, whole):
        if one.ideal_total_ns and one.total:
            return (said.planned_ns - said.unrated_ns) * one.total / one.ideal_total_ns
    return None


def losses(sums: Sequence[FactSum]) -> tuple[Loss, ...]:
    """Where planned time went, by reason, the most first."""
    found = []
    for one in sums:
        ns = sum(one.ns.get(c, 0) for c in NOT_RUNNING)
        if ns:
            cost = one.cost_u / (MILLION * MINUTE_NS)
            reason = one.key.get("reason", "")
            count = one.minor_stops if reason == MINOR else one.stops
            found.append(Loss(reason, ns, count, cost))
    return tuple(sorted(found, key=lambda loss: (-loss.ns, loss.reason)))


def strip(asset: str, intervals: Sequence[Interval]) -> Strip:
    """A machine's intervals with neighbours of one class joined."""
    joined: list[tuple[int, int, StateClass]] = []
    for one in intervals:
        if joined and joined[-1][2] is one.state_class and joined[-1][1] == one.start_ns:
            joined[-1] = (joined[-1][0], one.end_ns, one.state_class)
        else:
            joined.append((one.start_ns, one.end_ns, one.state_class))
    return Strip(asset, tuple(joined))


def days(schedule: Schedule, time_ns: int) -> list[Span]:
    """The production day of a moment, the one before and the one after."""
    today = schedule.day_of(time_ns)
    start_ns, end_ns = schedule.day_span(today)
    named = dict.fromkeys((schedule.day_of(start_ns - 1), today, schedule.day_of(end_ns)))
    return [Span(DAY, *schedule.day_span(day), day=day) for day in named]

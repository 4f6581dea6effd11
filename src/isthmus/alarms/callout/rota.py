"""Who is on duty when: people who take turns, in the plant's own time, right also where the clock is put forward or back."""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError
from isthmus.values.ids import check_name
from isthmus.values.windows import parse_window

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_HAND_OVER = re.compile(r"([A-Z][a-z]{2}) (\d\d):(\d\d)\Z")
_WEEK = timedelta(days=7)
MOST_PEOPLE = 50
MOST_WEEKS = 12
MOST_DAYS = 400
"""Of holidays and exceptions; old ones are taken out by whoever changes the rota."""
FIRST_YEAR, LAST_YEAR = 2000, 2200
LONGEST_DAYS = 400
"""As far as a schedule is worked out."""


@dataclass(frozen=True, slots=True)
class Holiday:
    """A day of its own: from its hand-over time until that of the next day. Nobody where ``person`` is empty."""

    day: date
    person: str = ""


@dataclass(frozen=True, slots=True)
class Exchange:
    """Somebody stands in for whoever has the turn, or nobody does where ``person`` is empty. Units: local time of the plant"""

    start: datetime
    end: datetime
    person: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Rota:
    """People in the order of their turns.

    ``first`` lies in the first turn of the first one; a turn lasts ``weeks`` and begins at ``hand_over``. ``hours`` narrows
    it to times of the week (a window such as ``Mon 17:00-Fri 08:00``); empty means always.
    """

    name: str
    people: tuple[str, ...]
    first: date
    weeks: int = 1
    hand_over: str = "Mon 08:00"
    hours: str = ""
    holidays: tuple[Holiday, ...] = ()
    exceptions: tuple[Exchange, ...] = ()

    def everybody(self) -> tuple[str, ...]:
        """Whoever the rota names, once each."""
        more = (*(h.person for h in self.holidays), *(e.person for e in self.exceptions))
        return tuple(dict.fromkeys(name for name in (*self.people, *more) if name))


@dataclass(frozen=True, slots=True)
class Turn:
    """[start_ns, end_ns) of one person; nobody where ``person`` is empty. ``why``: turn, hours, holiday or exception."""

    person: str
    start_ns: int
    end_ns: int
    why: str
    reason: str = ""


def check_rota(rota: Rota) -> Rota:
    """The rota itself when it can be kept.

    Raises: ConfigError naming the part
    """
    where = f"rota {check_name(rota.name, 'name')}"
    if not rota.people:
        raise ConfigError(f"{where}: people: nobody is on it; name at least one account")
    if len(rota.people) > MOST_PEOPLE:
        raise ConfigError(f"{where}: people: at most {MOST_PEOPLE}, were {len(rota.people)}")
    if not 1 <= rota.weeks <= MOST_WEEKS:
        raise ConfigError(f"{where}: weeks: a turn lasts 1 to {MOST_WEEKS} weeks, was {rota.weeks}")
    _hand_over(rota.hand_over, where)
    dates = [rota.first, *(h.day for h in rota.holidays), *(d for e in rota.exceptions for d in (e.start, e.end))]
    if any(not FIRST_YEAR <= day.year <= LAST_YEAR for day in dates):
        raise ConfigError(f"{where}: days lie between {FIRST_YEAR} and {LAST_YEAR}")
    if rota.hours:
        try:
            parse_window(rota.hours)
        except ConfigError as error:
            raise ConfigError(f"{where}: hours: {error}") from None
    for what, some in (("holidays", rota.holidays), ("exceptions", rota.exceptions)):
        if len(some) > MOST_DAYS:
            raise ConfigError(f"{where}: {what}: at most {MOST_DAYS}, were {len(some)}; take the past ones out")
    days = [holiday.day for holiday in rota.holidays]
    if len(set(days)) < len(days):
        raise ConfigError(f"{where}: holidays: a day is named twice")
    for one in rota.exceptions:
        if one.start.tzinfo is not None or one.end.tzinfo is not None:
            raise ConfigError(f"{where}: exceptions: times are the plant's own, without Z or an offset")
        if one.end <= one.start:
            raise ConfigError(
                f"{where}: exceptions: must end after {one.start:%Y-%m-%d %H:%M}, was {one.end:%Y-%m-%d %H:%M}"
            )
    return rota


def _hand_over(text: str, where: str) -> tuple[int, time]:
    found = _HAND_OVER.match(text)
    if not found or found[1] not in DAYS or int(found[2]) > 23 or int(found[3]) > 59:
        raise ConfigError(f"{where}: hand_over: must be a day and a time such as Mon 08:00, was {text!r}")
    return DAYS.index(found[1]), time(int(found[2]), int(found[3]))


def instant_ns(local: datetime, zone: ZoneInfo) -> int:
    """The instant of a local time. One that comes twice means the first; one that is skipped, as long after the jump."""
    return round(local.replace(tzinfo=zone, fold=0).timestamp()) * NS_PER_S


def local_of(time_ns: int, zone: ZoneInfo) -> datetime:
    """What clocks of the plant show."""
    return datetime.fromtimestamp(time_ns // NS_PER_S, UTC).astimezone(zone).replace(tzinfo=None)


def intervals(window: str, start_ns: int, end_ns: int, zone: ZoneInfo) -> list[tuple[int, int]]:
    """When a window of the week is open between two instants, joined and in order."""
    spans = parse_window(window).spans
    day = local_of(start_ns, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    monday = day - timedelta(days=day.weekday()) - _WEEK
    found = []
    while instant_ns(monday, zone) < end_ns:
        for span in spans:
            begin = monday + timedelta(minutes=span.start)
            found.append((instant_ns(begin, zone), instant_ns(begin + timedelta(minutes=span.minutes), zone)))
        monday += _WEEK
    joined: list[tuple[int, int]] = []
    for begin_ns, close_ns in sorted(found):
        if joined and begin_ns <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(close_ns, joined[-1][1]))
        else:
            joined.append((begin_ns, close_ns))
    return [(max(a, start_ns), min(b, end_ns)) for a, b in joined if a < end_ns and b > start_ns]


def schedule(rota: Rota, start_ns: int, end_ns: int, zone_name: str) -> list[Turn]:
    """Who is on duty over [start_ns, end_ns), without a hole: times of nobody are turns of nobody.

    Raises: ConfigError for a time longer than a schedule is worked out
    """
    if end_ns - start_ns > LONGEST_DAYS * 86_400 * NS_PER_S:
        raise ConfigError(f"days: a schedule is worked out for at most {LONGEST_DAYS} days")
    zone = ZoneInfo(zone_name)
    layers = [list(_turns(rota, start_ns, end_ns, zone))]
    if rota.hours:
        layers.append(_closed(rota.hours, start_ns, end_ns, zone))
    layers.append(list(_holidays(rota, zone)))
    # each exception is a layer: of two that overlap, the later one in the list holds
    layers += [
        [Turn(e.person, instant_ns(e.start, zone), instant_ns(e.end, zone), "exception", e.reason)]
        for e in rota.exceptions
    ]
    return _painted(layers, start_ns, end_ns)


def _turns(rota: Rota, start_ns: int, end_ns: int, zone: ZoneInfo) -> Iterator[Turn]:
    weekday, at = _hand_over(rota.hand_over, rota.name)
    first = datetime.combine(rota.first - timedelta(days=(rota.first.weekday() - weekday) % 7), at)
    number = (local_of(start_ns, zone) - first) // (_WEEK * rota.weeks) - 1
    while True:
        begin = instant_ns(first + _WEEK * (rota.weeks * number), zone)
        if begin >= end_ns:
            return
        close = instant_ns(first + _WEEK * (rota.weeks * (number + 1)), zone)
        yield Turn(rota.people[number % len(rota.people)], begin, close, "turn")
        number += 1


def _closed(hours: str, start_ns: int, end_ns: int, zone: ZoneInfo) -> list[Turn]:
    """Times outside of the hours: nobody's."""
    found, at = [], start_ns
    for begin, close in intervals(hours, start_ns, end_ns, zone):
        if begin > at:
            found.append(Turn("", at, begin, "hours"))
        at = close
    return [*found, Turn("", at, end_ns, "hours")] if at < end_ns else found


def _holidays(rota: Rota, zone: ZoneInfo) -> Iterator[Turn]:
    _, at = _hand_over(rota.hand_over, rota.name)
    for holiday in sorted(rota.holidays, key=lambda h: h.day):
        begin = datetime.combine(holiday.day, at)
        yield Turn(holiday.person, instant_ns(begin, zone), instant_ns(begin + timedelta(days=1), zone), "holiday")


def _painted(layers: Sequence[Sequence[Turn]], start_ns: int, end_ns: int) -> list[Turn]:
    """Each layer over those before it. Within a layer turns are in order and do not overlap."""
    edges = {start_ns, end_ns}
    for layer in layers:
        edges.update(e for turn in layer for e in (turn.start_ns, turn.end_ns) if start_ns < e < end_ns)
    marks = sorted(edges)
    starts = [[turn.start_ns for turn in layer] for layer in layers]
    found: list[Turn] = []
    for begin, close in itertools.pairwise(marks):
        top = Turn("", begin, close, "turn")
        for layer, begins in zip(layers, starts, strict=True):
            at = bisect_right(begins, begin) - 1
            if at >= 0 and layer[at].end_ns > begin:
                top = Turn(layer[at].person, begin, close, layer[at].why, layer[at].reason)
        before = found[-1] if found else None
        if before and (before.person, before.why, before.reason) == (top.person, top.why, top.reason):
            found[-1] = Turn(top.person, before.start_ns, close, top.why, top.reason)
        else:
            found.append(top)
    return found


def on_duty(rota: Rota, now_ns: int, zone: str) -> str:
    """Who is on duty at an instant; empty when nobody is."""
    return schedule(rota, now_ns, now_ns + NS_PER_S, zone)[0].person


def now_and_next(rota: Rota, now_ns: int, zone: str) -> tuple[Turn, Turn | None]:
    """The turn that runs, and the one of another person after it."""
    ahead = min(LONGEST_DAYS, 7 * rota.weeks * 2 + 60)
    turns = schedule(rota, now_ns, now_ns + ahead * 86_400 * NS_PER_S, zone)
    later = next((turn for turn in turns[1:] if turn.person and turn.person != turns[0].person), None)
    end_ns = next((t.start_ns for t in turns[1:] if t.person != turns[0].person), turns[-1].end_ns)
    return Turn(turns[0].person, turns[0].start_ns, end_ns, turns[0].why, turns[0].reason), later


def gaps(rota: Rota, now_ns: int, zone: str, days: int = 28) -> list[Turn]:
    """Times ahead in which nobody is on duty."""
    return [turn for turn in schedule(rota, now_ns, now_ns + days * 86_400 * NS_PER_S, zone) if not turn.person]

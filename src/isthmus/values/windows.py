"""Maintenance windows: times of the week in the plant's own zone, right also where the clock is put forward or back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY_MINUTES = 24 * 60
_WEEK_MINUTES = 7 * _DAY_MINUTES
_SPAN = re.compile(r"(?:([A-Z][a-z]{2}) )?(\d\d):(\d\d) ?- ?(?:([A-Z][a-z]{2}) )?(\d\d):(\d\d)\Z")
_MOST_SPANS = 50
_WORDS = "a window is such as Sat 22:00-Sun 06:00, or 22:00-06:00 for every day; several are parted by commas"


@dataclass(frozen=True, slots=True)
class Span:
    """From a time of the week until another, that one not included. Units: minutes since Monday 00:00 local time"""

    start: int
    minutes: int


@dataclass(frozen=True, slots=True)
class Window:
    """Spans of the week. Each opens once: a time that comes twice means the first, one that is skipped the jump over it."""

    text: str
    spans: tuple[Span, ...]

    def is_open(self, now_ns: int, zone: str) -> bool:
        """Whether changes may be applied at this instant."""
        local = datetime.fromtimestamp(now_ns // NS_PER_S, UTC).astimezone(ZoneInfo(zone))
        return any(_inside(span, local) for span in self.spans)

    def opens_ns(self, now_ns: int, zone: str) -> int | None:
        """The next minute at which it opens; now if it is open. None if the clock skips it for a year."""
        if self.is_open(now_ns, zone):
            return now_ns
        return min(filter(None, (self._next(span, now_ns, ZoneInfo(zone)) for span in self.spans)), default=None)

    def _next(self, span: Span, now_ns: int, zone: ZoneInfo) -> int | None:
        local = datetime.fromtimestamp(now_ns // NS_PER_S, UTC).astimezone(zone).replace(tzinfo=None)
        monday = local.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=local.weekday())
        for week in range(-1, 54):
            start = monday + timedelta(weeks=week, minutes=span.start)
            found = _opening(span, start, zone)
            if found is not None and found > now_ns:
                return found
        return None


def _opening(span: Span, start: datetime, zone: ZoneInfo) -> int | None:
    """The instant a span opens; None where the clock jumps over all of it. Only a skipped start has to be looked for."""
    first, later = (round(start.replace(tzinfo=zone, fold=fold).timestamp()) for fold in (0, 1))
    for second in range(min(first, later), max(first, later) + 1, 60):
        local = datetime.fromtimestamp(second, UTC).astimezone(zone)
        if _inside(span, local):
            return second * NS_PER_S
    return None


def _inside(span: Span, local: datetime) -> bool:
    at = local.weekday() * _DAY_MINUTES + local.hour * 60 + local.minute
    since = (at - span.start) % _WEEK_MINUTES
    if since >= span.minutes:
        return False
    if local.fold == 0:
        return True
    # the hour that comes a second time: what ended within it has had its turn
    end = local.replace(second=0, microsecond=0, tzinfo=None) + timedelta(minutes=span.minutes - since)
    first, second = (end.replace(tzinfo=local.tzinfo, fold=fold).utcoffset() for fold in (0, 1))
    return first == second


def parse_window(text: str) -> Window:
    """The window a text means.

    Raises: ConfigError if it is none
    """
    spans: list[Span] = []
    for part in text.split(","):
        match = _SPAN.match(part.strip())
        if match is None:
            raise ConfigError(f"{_WORDS}; {part.strip()!r} is none")
        day, until = match[1], match[4]
        if (day is None) != (until is None):
            raise ConfigError(f"{_WORDS}; {part.strip()!r} names one day only")
        start, end = _minute(match[2], match[3], part), _minute(match[5], match[6], part)
        if day is None or until is None:
            length = (end - start) % _DAY_MINUTES or _DAY_MINUTES
            spans += [Span(n * _DAY_MINUTES + start, length) for n in range(7)]
        else:
            start, end = _day(day) * _DAY_MINUTES + start, _day(until) * _DAY_MINUTES + end
            spans.append(Span(start % _WEEK_MINUTES, (end - start) % _WEEK_MINUTES or _WEEK_MINUTES))
    if len(spans) > _MOST_SPANS:
        raise ConfigError(f"a window has at most {_MOST_SPANS} spans of the week, this has {len(spans)}")
    return Window(text, tuple(spans))


def _day(name: str) -> int:
    if name not in _DAYS:
        raise ConfigError(f"days are {', '.join(_DAYS)}; {name!r} is none")
    return _DAYS.index(name)


def _minute(hours: str, minutes: str, part: str) -> int:
    if int(hours) > 24 or int(minutes) > 59 or (hours == "24" and minutes != "00"):
        raise ConfigError(f"{part.strip()!r} is no time of a day")
    return int(hours) * 60 + int(minutes)

"""Values with a form of their own that sections of the plant file share: names, paths, durations, units, rates."""

from __future__ import annotations

import re
from functools import cache
from typing import Annotated
from zoneinfo import available_timezones

from isthmus.values.errors import ConfigError
from isthmus.values.ids import check_name, check_path
from isthmus.values.schema import Scalar
from isthmus.values.units import check_unit, parse_duration_s

_RATE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*/\s*(s|min|h|d)\s*\Z")
_RATE_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_FINE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ns|us|µs)\s*\Z")
_FINE_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6}
_YEARS = re.compile(r"\s*([0-9]{1,3})\s*y\s*\Z")
_FOREVER = frozenset({"0", "forever", "for ever"})


def _name(text: str) -> str:
    return check_name(text, "a name")


def _path(text: str) -> str:
    return check_path(text)


def _segment(text: str) -> str:
    if "/" in text:
        raise ConfigError("a single name may not contain '/'")
    return check_path(text)


@cache
def _timezones() -> frozenset[str]:
    return frozenset(available_timezones())


def _timezone(text: str) -> str:
    if text not in _timezones():
        raise ConfigError("not a time zone of the IANA list, such as Europe/Paris or UTC")
    return text


def _duration_s(text: str) -> float:
    if text.isdecimal():
        raise ConfigError("a duration needs its unit, such as 500 ms, 1 s, 8 h")
    return parse_duration_s(text)


def _period_s(text: str) -> float:
    seconds = _duration_s(text)
    if not 0.01 <= seconds <= 86_400:
        raise ConfigError("a period must lie between 10 ms and 1 d")
    return seconds


def _resolution_s(text: str) -> float:
    fine = _FINE.match(text)
    seconds = float(fine[1]) * _FINE_SECONDS[fine[2]] if fine else _duration_s(text)
    if not 1e-9 <= seconds <= 1:
        raise ConfigError("a resolution must lie between 1 ns and 1 s")
    return seconds


def _days(text: str) -> int:
    if text in _FOREVER:
        return 0
    years = _YEARS.match(text)
    days = int(years[1]) * 365.0 if years else _duration_s(text) / 86_400
    if days < 1 or days != int(days):
        raise ConfigError("must be whole days, such as 400 d or 10 y, or forever")
    return int(days)


def _unit(text: str) -> str:
    return check_unit(text)


def _file_name(text: str) -> str:
    if not text or text.startswith(("/", "~")) or "\\" in text or ":" in text or ".." in text.split("/"):
        raise ConfigError("must be the name of a file beside the plant file or in a folder below it")
    return text


def rate_per_s(text: str) -> float:
    """Pieces per second of a text such as ``120/min``.

    Raises: ConfigError if it is no such text
    """
    match = _RATE.match(text)
    if match is None or float(match[1]) <= 0:
        raise ConfigError("must be a rate such as 120/min or 2/s")
    return float(match[1]) / _RATE_SECONDS[match[2]]


def _rate(text: str) -> str:
    rate_per_s(text)
    return text


_TEXT = {"type": "string"}

Name = Annotated[
    str, Scalar("a name of letters, digits, _ and -", _name, {**_TEXT, "pattern": "^[A-Za-z][A-Za-z0-9_-]{0,62}$"})
]
"""An identifier: connections, edges, zones, types, retention classes."""

Segment = Annotated[str, Scalar("a name without '/'", _segment, _TEXT)]
"""One segment of a path."""

PathText = Annotated[str, Scalar("a path such as area/line/asset", _path, _TEXT)]
"""A path of an asset or a tag."""

Timezone = Annotated[str, Scalar("a time zone of the IANA list, such as Europe/Paris", _timezone, _TEXT)]

Seconds = Annotated[float, Scalar("a duration such as 500 ms, 2 s, 8 h", _duration_s, _TEXT)]
"""A duration; seconds once read."""

Period = Annotated[float, Scalar("a period from 10 ms to 1 d, such as 1 s", _period_s, _TEXT)]
"""How often something is read; seconds once read."""

Resolution = Annotated[float, Scalar("a duration from 1 ns to 1 s, such as 1 ms", _resolution_s, _TEXT)]
"""How finely times are kept; seconds once read."""

Days = Annotated[
    int, Scalar("a time in days such as 400 d or 10 y, or forever", _days, {"type": ["string", "integer"]})
]
"""How long something is kept; days once read, 0 for ever."""

UnitText = Annotated[str, Scalar("a unit such as bar, °C, 1/min", _unit, _TEXT)]

FileName = Annotated[str, Scalar("the name of a file beside the plant file", _file_name, _TEXT)]

RateText = Annotated[str, Scalar("a rate such as 120/min", _rate, _TEXT)]
"""Pieces per time; kept as written, `rate_per_s` reads it."""

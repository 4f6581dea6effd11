"""Times as questions and answers write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_NS = 2**63 - 1
_RELATIVE = re.compile(r"now(?:-(\d{1,9})([smhdw]))?\Z")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LOST_PLUS = re.compile(r"(T.*) (\d\d:?\d\d)\Z")


def parse_time(text: str, now_ns: int, name: str) -> int:
    """UTC ns of `now`, `now-8h` (s, m, h, d, w) or ISO 8601 with Z or an offset; a date alone is its UTC midnight.

    Raises: ConfigError naming ``name``
    """
    relative = _RELATIVE.match(text)
    if relative:
        count, unit = relative.groups()
        return max(0, now_ns - (int(count) * _UNIT_S[unit] * NS_PER_S if count else 0))
    try:
        at = datetime.fromisoformat(_LOST_PLUS.sub(r"\1+\2", text))  # an unencoded + arrives as a space
        if at.tzinfo is None and len(text) == 10:
            at = at.replace(tzinfo=UTC)
        if at.tzinfo is None:
            raise ConfigError(f"{name}: needs Z or an offset such as +02:00, was {text[:80]!r}")
        ns = (at - _EPOCH) // timedelta(microseconds=1) * 1000
    except (ValueError, OverflowError):
        raise ConfigError(f"{name}: is neither ISO 8601 nor now, now-8h, now-30d; was {text[:80]!r}") from None
    if not 0 <= ns <= _LAST_NS:
        raise ConfigError(f"{name}: must lie between 1970 and 2262, was {text[:80]!r}")
    return ns


QUARTER_NS = 900 * NS_PER_S
_LATE_NS = 300 * NS_PER_S  # clocks of screens that ask until now are not quite right


def check_quarters(start_ns: int, end_ns: int, now_ns: int, *, told: bool) -> None:
    """Facts are kept by quarters of an hour, which belong to where they begin: less than one cannot be told.

    What began on a quarter and lasts until now can; so can what has rows until now, as where a shift has just begun. ``told``:
    there are some.
    Raises: ConfigError naming the range that can be told
    """
    running = end_ns >= now_ns - _LATE_NS
    whole = start_ns % QUARTER_NS == 0 and (running or end_ns % QUARTER_NS == 0)
    if end_ns - start_ns >= QUARTER_NS or whole or (running and told):
        return
    first, last = start_ns // QUARTER_NS * QUARTER_NS, -(-end_ns // QUARTER_NS) * QUARTER_NS
    raise ConfigError(
        "start: figures are kept by quarters of an hour, so less than 15 minutes cannot be told; "
        f"ask for {iso(first)} to {iso(last)}, or for the intervals of this time"
    )


def iso(time_ns: int) -> str:
    """ISO 8601 with Z, to the millisecond or as fine as needed."""
    seconds, rest = divmod(time_ns, NS_PER_S)
    fraction = f"{rest:09d}"
    if fraction.endswith("000000"):
        fraction = fraction[:3]
    elif fraction.endswith("000"):
        fraction = fraction[:6]
    return f"{(_EPOCH + timedelta(seconds=seconds)).strftime('%Y-%m-%dT%H:%M:%S')}.{fraction}Z"

"""Quantities are exact: whole millionths inside, decimal text outside, never a float."""

from __future__ import annotations

from decimal import Decimal

from isthmus.values.errors import ConfigError

ONE = 1_000_000
"""Millionths of one piece, kilogram or litre."""
DECIMALS = 6
MOST_DIGITS = 25
MOST = 10**12 * ONE
"""Of one quantity; sums of a million of them still fit an int64."""


def quantity(given: Decimal | int | str, name: str, *, least: int | None = 1) -> int:
    """Millionths of a quantity that somebody gave.

    Raises: ConfigError naming ``name`` where it is no number, finer than a millionth, or less than ``least`` millionths
    """
    try:
        value = Decimal(given)
        scaled = value.scaleb(DECIMALS)
        short = len(value.as_tuple().digits) <= MOST_DIGITS  # more would be rounded on the way
        fine = value.is_finite() and short and abs(value) <= MOST // ONE and scaled == scaled.to_integral_value()
    except (ArithmeticError, ValueError, TypeError):
        raise ConfigError(f"{name}: must be a number, was {str(given)[:40]!r}") from None
    if not fine:
        raise ConfigError(f"{name}: must be a number of at most {DECIMALS} decimals, was {str(given)[:40]}")
    whole = int(scaled)
    if least is not None and whole < least:
        raise ConfigError(f"{name}: must be {'more than 0' if least == 1 else 'at least ' + shown(least)}, was {value}")
    return whole


def shown(millionths: int) -> str:
    """As people and programs read it: 12, 0.5, -3.25."""
    sign, rest = ("-", -millionths) if millionths < 0 else ("", millionths)
    whole, part = divmod(rest, ONE)
    return f"{sign}{whole}" + (f".{part:06d}".rstrip("0") if part else "")


def share(of: int, percent: int) -> int:
    """So many percent (in millionths) of a quantity, rounded down."""
    return of * percent // (100 * ONE)


def times(count: int, each: int) -> int:
    """What ``count`` pieces take of a material that each takes ``each`` of; all in millionths. Rounded up: what is begun is used."""
    return -(-count * each // ONE)

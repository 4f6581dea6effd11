"""Columns of a file to numbers, times and qualities.

Each reader tries the whole column at once; only a column with something wrong in it is looked at cell by cell, so that
what is wrong can be named.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from isthmus.transfer.model import UNITS, Layout, Refusal
from isthmus.values import status
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

_ZONE = re.compile(r"(?:Z|[+-]\d\d(?::?\d\d)?)\Z", re.IGNORECASE)
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?)(?:[.,](\d{1,9}))?\s*(Z|[+-]\d\d(?::?\d\d)?)?", re.IGNORECASE
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_QUARTER_NS = 900 * NS_PER_S  # no zone changed its offset at any other minute since 1990
_TWICE, _NEVER = 1, 2


def texts(column: Any) -> Any:
    """A column of texts, without nulls and without blanks around them."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    column = column.cast(pa.string())
    if column.null_count:
        column = pc.fill_null(column, "")
    return column


def zoned(text: str) -> bool:
    """Whether a time says its zone."""
    return _ZONE.search(text.strip()) is not None and ":" in text


def is_text(column: Any) -> bool:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _each(
    column: Any, read: Callable[[str], Any], name: str, dtype: type[np.generic]
) -> tuple[NDArray[Any], list[Refusal]]:
    """Cell by cell; equal cells are read once. What cannot be read is 0 and refused."""
    wrong: dict[str, list[int]] = {}
    known: dict[str, Any] = {}
    out = np.zeros(len(column), dtype)
    for i, text in enumerate(column.to_pylist()):
        value = known.get(text)
        if value is None:
            try:
                value = read(text)
            except (ConfigError, ValueError, OverflowError) as error:
                value = error
            if len(known) < 100_000:
                known[text] = value
        if isinstance(value, Exception):
            wrong.setdefault(str(value), []).append(i)
        else:
            out[i] = value
    return out, [Refusal(name, problem, np.array(rows, np.intp)) for problem, rows in wrong.items()]


# Numbers.


def _point(column: Any, comma: bool) -> Any:
    """Decimal commas as points, where a comma does not divide the columns; 1.234,5 stays what it is, and is refused."""
    if not comma or not pc.any(pc.match_substring(column, ",")).as_py():
        return column
    both = pc.match_substring(column, ".")
    return pc.if_else(both, column, pc.replace_substring(column, ",", "."))


def floats(column: Any, name: str, *, comma: bool = False) -> tuple[Floats, list[Refusal]]:
    """Numbers of a column; NaN where it is empty."""
    if not is_text(column):
        if pa.types.is_boolean(column.type):
            column = column.cast(pa.uint8())
        try:
            found = pc.fill_null(column.cast(pa.float64(), safe=False), math.nan)
        except pa.ArrowException:
            raise ConfigError(f"{name}: is a column of {column.type}, numbers are needed") from None
        return np.array(found.to_numpy(zero_copy_only=False), np.float64), []
    column = _point(texts(column), comma)
    found = _cast(column, pa.float64(), "nan")
    return _each(_filled(column, "nan"), _float, name, np.float64) if found is None else (found, [])


def _cast(column: Any, kind: Any, empty: str) -> NDArray[Any] | None:
    """Texts as numbers at one go, as they are or mended; None if they are not all numbers."""
    with contextlib.suppress(pa.ArrowInvalid):
        return np.array(column.cast(kind).to_numpy(zero_copy_only=False))
    with contextlib.suppress(pa.ArrowInvalid):
        return np.array(_filled(column, empty).cast(kind).to_numpy(zero_copy_only=False))
    return None


def _filled(column: Any, empty: str) -> Any:
    """Texts without blanks around them, and with something where there is none."""
    column = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.equal(pc.binary_length(column), 0), empty, column)


def _float(text: str) -> float:
    try:
        if "_" not in text:
            return float(text)
    except ValueError:
        pass
    if re.fullmatch(r"[+-]?\d+,\d+", text):
        raise ConfigError("is no number; a decimal comma is understood only where ; or tabs divide the columns")
    raise ConfigError("is no number")


def ints(
    column: Any, name: str, states: Mapping[str, int], *, comma: bool = False
) -> tuple[Ints, Flags, list[Refusal]]:
    """Whole numbers of a column, and which cells are empty. Words are numbers where the tag has states."""
    if not is_text(column):
        empty = column.is_null().to_numpy(zero_copy_only=False)
        if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
            return _whole(column, empty, name)
        try:
            found = pc.fill_null(column.cast(pa.int64()), 0)
        except pa.ArrowException as error:
            raise ConfigError(f"{name}: does not fit whole numbers of 64 bits ({str(error)[:100]})") from None
        return np.array(found.to_numpy(zero_copy_only=False), np.int64), empty, []
    column = texts(column)
    empty = pc.equal(pc.binary_length(pc.utf8_trim_whitespace(column)), 0).to_numpy(zero_copy_only=False)
    plain = None if states else _cast(column, pa.int64(), "0")
    if plain is not None:
        return plain, empty, []
    column = _filled(column, "0") if empty.any() else pc.utf8_trim_whitespace(column)
    spoken = {word.casefold(): number for word, number in states.items()}
    found, refused = _each(column, lambda text: _int(text, spoken, list(states), comma=comma), name, np.int64)
    return found, empty, refused


def _whole(column: Any, empty: Flags, name: str) -> tuple[Ints, Flags, list[Refusal]]:
    values = pc.fill_null(column.cast(pa.float64(), safe=False), 0.0).to_numpy(zero_copy_only=False)
    with np.errstate(invalid="ignore"):
        fits = (np.abs(values) <= 2.0**53) & (values == np.rint(values))
    nothing = np.isnan(values)
    wrong = np.flatnonzero(~fits & ~nothing)
    refused = [Refusal(name, "is no whole number, as this tag's are", wrong)] if len(wrong) else []
    return np.where(fits, values, 0).astype(np.int64), empty | nothing, refused


_FLAGS = {"true": 1, "false": 0}


def _int(text: str, states: Mapping[str, int], shown: Sequence[str], *, comma: bool) -> int:
    word = text.casefold()
    if word in states:
        return states[word]
    try:
        number = int(text)
    except ValueError:
        if word in _FLAGS:
            return _FLAGS[word]
        try:
            value = float(text.replace(",", ".") if comma and "." not in text else text)
        except ValueError:
            known = f"; its states are {', '.join(shown[:8])}" if shown else ""
            raise ConfigError(f"is no whole number, as this tag's are{known}") from None
        if value != math.floor(value) or abs(value) > 2**53:
            raise ConfigError("is no whole number, as this tag's are") from None
        number = int(value)
    if not -(2**63) <= number < 2**63:
        raise ConfigError("does not fit 64 bits")
    return number


# Times.


class Times:
    """Reads a column of times to UTC ns."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        try:
            self._zone = ZoneInfo(layout.timezone) if layout.timezone else None
        except (OSError, ValueError):
            raise ConfigError(f"timezone: is no zone of the IANA list, was {layout.timezone!r}") from None
        self._offsets: dict[int, tuple[int, int]] = {}

    def read(self, column: Any, name: str) -> tuple[Ints, list[Refusal]]:
        """UTC ns of each cell.

        Raises: ConfigError if the times have no zone and none is declared
        """
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_timestamp(column.type):
            return self._stamps(column, name)
        if pa.types.is_date(column.type):
            return self._stamps(column.cast(pa.timestamp("s")), name)
        if not is_text(column):
            return self._numbers(column, name)
        column = texts(column)
        if self._layout.time_unit:
            return self._numbers(column, name)
        if self._layout.time_format:
            return self._formatted(column, name)
        return self._written(column, name)

    def _stamps(self, column: Any, name: str) -> tuple[Ints, list[Refusal]]:
        refused = _nulls(column, name)
        try:
            found = pc.fill_null(column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64()), 0)
        except pa.ArrowInvalid:
            seconds = pc.fill_null(column.cast(pa.timestamp("s", column.type.tz), safe=False).cast(pa.int64()), 0)
            far = np.abs(seconds.to_numpy(zero_copy_only=False)) > 9_000_000_000
            refused.append(Refusal(name, "lies outside the years a time may have", np.flatnonzero(far)))
            column = pc.if_else(pa.array(far), pa.scalar(None, column.type), column)
            found = pc.fill_null(column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64()), 0)
        ns = np.array(found.to_numpy(zero_copy_only=False), np.int64)
        return (ns, refused) if column.type.tz else self._local(ns, name, refused)

    def _numbers(self, column: Any, name: str) -> tuple[Ints, list[Refusal]]:
        if not self._layout.time_unit:
            raise ConfigError(f"{name}: times are numbers; say which with --time-unit s, ms, us or ns")
        unit = UNITS[self._layout.time_unit]
        refused = _nulls(column, name)
        try:
            whole = pc.fill_null(column.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
            far = np.abs(whole) > 2**63 // unit - 1
            if far.any():
                refused.append(Refusal(name, "lies outside the years a time may have", np.flatnonzero(far)))
            return np.where(far, 0, whole) * unit, refused
        except pa.ArrowInvalid:
            if is_text(column):
                return _each(column, lambda text: _ticks(text, unit), name, np.int64)
            values = pc.fill_null(column.cast(pa.float64(), safe=False), 0.0).to_numpy(zero_copy_only=False)
            whole, part = np.divmod(np.where(np.isfinite(values), values, 0), 1)
            return whole.astype(np.int64) * unit + np.rint(part * unit).astype(np.int64), refused

    def _formatted(self, column: Any, name: str) -> tuple[Ints, list[Refusal]]:
        form = self._layout.time_format

        def read(text: str) -> int:
            try:
                return _ns(datetime.strptime(text, form), 0, self._one)  # noqa: DTZ007  the zone is declared beside it
            except ValueError:
                raise ConfigError(f"is no time as {form} says") from None

        if "%f" not in form and "%z" not in form:
            found = pc.strptime(column, format=form, unit="s", error_is_null=True)
            if not found.null_count:
                return self._local(found.cast(pa.int64()).to_numpy(zero_copy_only=False) * NS_PER_S, name, [])
        return _each(column, read, name, np.int64)

    def _written(self, column: Any, name: str) -> tuple[Ints, list[Refusal]]:
        first = column[0].as_py().strip() if len(column) else ""
        utc = zoned(first)
        if not utc and self._zone is None and _ISO.fullmatch(first):
            raise ConfigError(f"{name}: times have no zone; declare it with --timezone, was {first!r}")
        try:
            found = column.cast(pa.timestamp("ns", "UTC" if utc else None)).cast(pa.int64())
        except pa.ArrowInvalid:
            return _each(pc.utf8_trim_whitespace(column), self._one_written, name, np.int64)
        ns = np.array(found.to_numpy(zero_copy_only=False), np.int64)
        return (ns, []) if utc else self._local(ns, name, [])

    def _one_written(self, text: str) -> int:
        parts = _ISO.fullmatch(text)
        if parts is None:
            raise ConfigError("is no time in ISO 8601, such as 2026-01-31T12:00:00Z")
        moment, fraction, zone = parts.groups()
        try:
            at = datetime.fromisoformat(moment + (zone or ""))
        except ValueError:
            raise ConfigError("is no time of the calendar") from None
        return _ns(at, int((fraction or "").ljust(9, "0")), self._one)

    def _one(self, local_ns: int) -> int:
        """UTC of one local time."""
        if self._zone is None:
            raise ConfigError("has no zone; declare it with --timezone")
        found, refused = self._local(np.array([local_ns], np.int64), "", [])
        if refused:
            raise ConfigError(refused[0].problem)
        return int(found[0])

    def _local(self, local_ns: Ints, name: str, refused: list[Refusal]) -> tuple[Ints, list[Refusal]]:
        """UTC of local times, by their quarters of an hour. Cost: one look-up for each quarter that occurs."""
        if self._zone is None:
            raise ConfigError(f"{name}: times have no zone; declare it with --timezone")
        quarters, place = np.unique(local_ns // _QUARTER_NS, return_inverse=True)
        found = [self._offset(int(q)) for q in quarters]
        offset = np.array([o for o, _ in found], np.int64)[place]
        fault = np.array([f for _, f in found], np.int8)[place]
        for kind, problem in (
            (_TWICE, "happened twice, as the clock went back; say which is meant with --ambiguous earlier or later"),
            (_NEVER, "never happened, as the clock went forward"),
        ):
            rows = np.flatnonzero(fault == kind)
            if len(rows):
                refused.append(Refusal(name, f"{problem} ({self._layout.timezone})", rows))
        return local_ns - offset, refused

    def _offset(self, quarter: int) -> tuple[int, int]:
        known = self._offsets.get(quarter)
        if known is None:
            known = self._offsets[quarter] = self._look_up(quarter)
        return known

    def _look_up(self, quarter: int) -> tuple[int, int]:
        try:
            at = (_EPOCH + timedelta(seconds=quarter * 900)).replace(tzinfo=self._zone)
        except OverflowError:
            return 0, 0
        early, late = (at.replace(fold=f).utcoffset() or timedelta() for f in (0, 1))
        fault = 0
        if early < late:
            fault = _NEVER
        elif early > late and not self._layout.ambiguous:
            fault = _TWICE
        chosen = late if self._layout.ambiguous == "later" else early
        return int(chosen.total_seconds()) * NS_PER_S, fault


def _ns(at: datetime, fraction_ns: int, local: Callable[[int], int]) -> int:
    naive = at.tzinfo is None
    since = (at.replace(tzinfo=UTC) if naive else at) - _EPOCH
    ns = (since.days * 86_400 + since.seconds) * NS_PER_S + since.microseconds * 1000 + fraction_ns
    if abs(ns) >= 2**62:
        raise ConfigError("lies outside the years a time may have")
    return local(ns) if naive else ns


def _ticks(text: str, unit: int) -> int:
    match = re.fullmatch(r"([+-]?\d+)(?:[.,](\d+))?", text)
    if match is None:
        raise ConfigError("is no number, as --time-unit says")
    whole, part = int(match[1]) * unit, match[2]
    ns = whole + (round(int(part) * unit / 10 ** len(part)) if part else 0)
    if abs(ns) >= 2**62:
        raise ConfigError("lies outside the years a time may have")
    return ns


def _nulls(column: Any, name: str) -> list[Refusal]:
    if not column.null_count:
        return []
    return [Refusal(name, "is empty", np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False)))]


# Qualities.

_WORDS = {name.casefold(): code for code, name in status.NAMES.items()}


def qualities(column: Any, name: str, scale: str) -> tuple[NDArray[np.uint32], list[Refusal]]:
    """Status codes of a column of names or numbers."""
    if not is_text(column):
        column = pc.fill_null(column.cast(pa.int64(), safe=False), -1).cast(pa.string())
    found, refused = _each(pc.utf8_trim_whitespace(texts(column)), lambda text: _quality(text, scale), name, np.uint32)
    return found, refused


def _quality(text: str, scale: str) -> int:
    word = text.casefold()
    if word in _WORDS:
        return _WORDS[word]
    if word == "bad":
        return status.BAD
    shown = re.fullmatch(r"\w+\((0x[0-9a-f]+)\)", word)
    try:
        number = int(shown[1] if shown else word, 0)
    except ValueError:
        raise ConfigError("is no quality: neither Good, Uncertain, Bad, a name of OPC UA nor a number") from None
    if scale == "da":
        if not 0 <= number <= 0xFFFF:
            raise ConfigError("is no OPC DA quality")
        return (status.BAD, status.UNCERTAIN, status.BAD, status.GOOD)[number >> 6 & 3]
    if not 0 <= number <= 0xFFFFFFFF:
        raise ConfigError("is no status code of 32 bits")
    return number

"""From messages to columns: each message is parsed once, each tag takes its part of it by a compiled extractor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import itemgetter
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from isthmus.drivers.mqtt.address import TYPES, MqttAddress, Step, Steps, parse
from isthmus.ports.drivers import Point, Traffic
from isthmus.values import status
from isthmus.values.errors import IsthmusError
from isthmus.values.mqtt import is_wild, matches
from isthmus.values.sample import SampleBatch, ValueType

MAX_TOPICS: Final = 200_000
"""Topics whose tags are remembered; beyond it they are looked up anew, as a client may invent any number of them."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_FACTORS: Final = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_INT64: Final = 2**63
_NS_END: Final = 2**62  # the year 2116
_WORDS: Final = {
    "good": status.GOOD,
    "ok": status.GOOD,
    "valid": status.GOOD,
    "true": status.GOOD,
    "uncertain": status.UNCERTAIN,
    "bad": status.BAD,
    "false": status.BAD,
    "invalid": status.BAD,
} | {name.lower(): code for code, name in status.NAMES.items()}
_BOOLS: Final = {"true": 1, "on": 1, "1": 1, "yes": 1, "false": 0, "off": 0, "0": 0, "no": 0}


PATIENCE_NS: Final = 60 * 10**9
"""So long messages of a tag may all be late before it is the device's clock that is behind."""


class Message(NamedTuple):
    """One PUBLISH as it arrived. ``number`` is the packet id, 0 for QoS 0."""

    topic: bytes
    payload: bytes
    first: int
    number: int
    time_ns: int

    @property
    def retained(self) -> bool:
        """Whether the broker had kept it, so that it tells what was, not what happened."""
        return bool(self.first & 1)


class Wrong(IsthmusError):
    """A message does not have what was declared; ``code`` is the status its tag gets."""

    def __init__(self, reason: str, code: int = status.BAD_DECODING_ERROR) -> None:
        super().__init__(reason)
        self.code = code


class Columns:
    """Rows of one value type while they are collected."""

    __slots__ = ("codes", "ids", "statuses", "times", "type", "values")

    def __init__(self, value_type: ValueType) -> None:
        self.type = value_type
        self.ids: list[int] = []
        self.times: list[int] = []
        self.values: list[Any] = []
        self.statuses: list[int] = []
        self.codes: dict[str, int] = {}

    def add(self, row: int, time_ns: int, value: Any, code: int) -> None:
        """One sample; ``value`` None where it is bad."""
        self.ids.append(row)
        self.times.append(time_ns)
        if self.type is ValueType.TEXT:
            value = self.codes.setdefault(value or "", len(self.codes))
        self.values.append(value if value is not None else 0)
        self.statuses.append(code)

    def batch(self) -> SampleBatch:
        """What was collected, as a batch."""
        dtype = {ValueType.FLOAT: np.float64, ValueType.INT: np.int64, ValueType.TEXT: np.int32}[self.type]
        return SampleBatch(
            np.array(self.ids, np.int32),
            np.array(self.times, np.int64),
            np.array(self.values, dtype),
            np.array(self.statuses, np.uint32),
            tuple(self.codes),
        )


class Collector:
    """Columns of all three types."""

    def __init__(self) -> None:
        self.of = {kind: Columns(kind) for kind in ValueType}

    def batches(self) -> list[SampleBatch]:
        """One batch for each type that has rows."""
        return [c.batch() for c in self.of.values() if c.ids]


@dataclass(frozen=True, slots=True)
class _Extractor:
    """One tag's part of a message."""

    row: int
    type: ValueType
    take: Callable[[Any], Any] | None  # None: the payload as a whole
    convert: Callable[[Any], Any]
    time: Callable[[Any], int] | None
    quality: Callable[[Any], int] | None
    where: Callable[[Any], bool] | None
    what: str  # for people: where in the message


@dataclass(frozen=True, slots=True)
class _Route:
    """All tags of one topic; those that need no parsing apart."""

    parsed: tuple[_Extractor, ...]
    plain: tuple[_Extractor, ...]


_NOBODY: Final = _Route((), ())


class Mapping:
    """Compiled addresses. Counts what does not fit in ``traffic``; a message spoils its own tags only.

    Cost: about 2 µs a message of one number
    """

    def __init__(
        self, points: Sequence[Point], traffic: Traffic, max_bytes: int, retained: str, since_ns: int = 0
    ) -> None:
        """``since_ns``: what is older, by its own time, tells nothing about now."""
        self._since_ns, self._late = since_ns, Collector()
        self._newest: dict[int, tuple[int, int]] = {}  # by row: own time of the newest message, when it came
        self._traffic, self._max_bytes, self._retained = traffic, max_bytes, retained
        self._exact: dict[str, list[_Extractor]] = {}
        self._wild: list[tuple[str, _Extractor]] = []
        self._routes: dict[bytes, _Route] = {}
        self.filters: list[str] = []
        for point in points:
            address = parse(point.address)
            extractor = _compile(point.id, address)
            self.filters.append(address.topic)
            if is_wild(address.topic):
                self._wild.append((address.topic, extractor))
            else:
                self._exact.setdefault(address.topic, []).append(extractor)

    def decode(self, messages: Sequence[Message]) -> list[SampleBatch]:
        """What the messages say about the tags, in their order; at most one batch per value type."""
        collector = Collector()
        routes = self._routes
        for message in messages:
            route = routes.get(message[0])
            if route is None:
                route = self._find(message[0])
            if route is _NOBODY:
                continue
            code = status.GOOD
            if message[2] & 1 and self._retained != "good":
                if self._retained == "ignore":
                    continue
                code = status.UNCERTAIN_INITIAL_VALUE
            if len(message[1]) > self._max_bytes:
                self._spoil(
                    route, message, collector, Wrong(f"a message of {len(message[1])} bytes", status.BAD_OUT_OF_RANGE)
                )
                continue
            if route.parsed:
                self._parsed(route.parsed, message, code, collector)
            for extractor in route.plain:
                self._take(extractor, message[1], message, code, collector)
        return collector.batches()

    def take_late(self) -> list[SampleBatch]:
        """What came late since the last call, to be recorded at its own times: the broker had kept it, or sent it again."""
        if not any(c.ids for c in self._late.of.values()):
            return []
        late, self._late = self._late, Collector()
        return late.batches()

    def _is_late(self, row: int, time_ns: int, now_ns: int) -> bool:
        """Whether a message is older than what its tag says already. Not for ever: a clock that was set back is followed."""
        newest_ns, at_ns = self._newest.get(row, (self._since_ns, self._since_ns))
        if time_ns < newest_ns and now_ns - at_ns < PATIENCE_NS:
            return True
        self._newest[row] = min(time_ns, now_ns), now_ns
        return False

    def _parsed(self, extractors: tuple[_Extractor, ...], message: Message, code: int, collector: Collector) -> None:
        try:
            document = orjson.loads(message[1])
        except orjson.JSONDecodeError as error:
            self._spoil(_Route(extractors, ()), message, collector, Wrong(f"not JSON ({error})"))
            return
        for extractor in extractors:
            self._take(extractor, document, message, code, collector)

    def _take(self, extractor: _Extractor, document: Any, message: Message, code: int, collector: Collector) -> None:
        try:
            if extractor.where is not None and not extractor.where(document):
                return
            value = document if extractor.take is None else extractor.take(document)
            time_ns = message[4]
            if extractor.time is not None:
                time_ns, code = extractor.time(document), status.GOOD
                if not message[2] & 1 and self._is_late(extractor.row, time_ns, message[4]):
                    collector = self._late
            if extractor.quality is not None:
                code = _worse(extractor.quality(document), code)
            if code >= status.BAD:
                collector.of[extractor.type].add(extractor.row, time_ns, None, code)
            else:
                collector.of[extractor.type].add(extractor.row, time_ns, extractor.convert(value), code)
        except Wrong as error:
            self._refuse(extractor, message, error, collector)
        except (KeyError, IndexError, TypeError):
            self._refuse(extractor, message, Wrong("is not in the message", status.BAD_NO_DATA), collector)

    def _refuse(self, extractor: _Extractor, message: Message, error: Wrong, collector: Collector) -> None:
        self._traffic.errors += 1
        topic = message.topic.decode(errors="replace")
        self._traffic.last_error = f"{topic}: {extractor.what} {error}"[:500]
        collector.of[extractor.type].add(extractor.row, message.time_ns, None, error.code)

    def _spoil(self, route: _Route, message: Message, collector: Collector, error: Wrong) -> None:
        """A message nobody can use: its tags turn bad, except those that choose among messages and cannot know it was theirs."""
        self._traffic.dropped += 1
        self._traffic.last_error = f"{message.topic.decode(errors='replace')}: {error}"[:500]
        for extractor in (*route.parsed, *route.plain):
            if extractor.where is None:
                collector.of[extractor.type].add(extractor.row, message.time_ns, None, error.code)

    def _find(self, topic: bytes) -> _Route:
        if len(self._routes) >= MAX_TOPICS:
            self._routes.clear()
        try:
            text = topic.decode()
        except UnicodeDecodeError:
            self._traffic.dropped += 1
            return _NOBODY
        found = self._exact.get(text, []) + [e for f, e in self._wild if matches(f, text)]
        parsed = tuple(e for e in found if e.take is not None)
        plain = tuple(e for e in found if e.take is None)
        route = self._routes[topic] = _Route(parsed, plain) if found else _NOBODY
        return route


def _worse(one: int, other: int) -> int:
    return one if one >> 30 >= other >> 30 else other


def _compile(row: int, address: MqttAddress) -> _Extractor:
    whole = address.path is None and address.time is None and address.quality is None and address.where is None
    convert: Callable[[Any], Any]
    if whole:
        convert = {"float": _plain_float, "int": _plain_int, "bool": _plain_bool, "text": _plain_text, "raw": _raw}[
            address.type
        ]
    else:
        convert = {"float": _float, "int": _int, "bool": _bool, "text": _text}[address.type]
    what = (
        "the payload"
        if not address.path
        else "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in address.path)
    )
    return _Extractor(
        row,
        TYPES[address.type],
        None if whole else getter(address.path or ()),
        convert,
        None if address.time is None else _timer(address.time, address.time_unit),
        None if address.quality is None else _judge(address.quality, address.quality_words),
        None if address.where is None else _chooser(*address.where),
        f"${what}" if address.path else what,
    )


def getter(steps: Steps) -> Callable[[Any], Any]:
    """A function that follows the steps; it raises KeyError, IndexError or TypeError where they lead nowhere."""
    if len(steps) == 1 and isinstance(steps[0], str):
        return itemgetter(steps[0])
    return lambda document: reduce(_step, steps, document)


def _step(document: Any, step: Step) -> Any:
    if isinstance(step, int) and not isinstance(document, list):
        raise TypeError("no list")
    return document[step]


def _mismatch(value: Any, wanted: str) -> Wrong:
    if value is None:
        return Wrong("is null", status.BAD_NO_DATA)
    shown = orjson.dumps(value).decode() if isinstance(value, (str, int, float, bool)) else type(value).__name__
    return Wrong(f"is no {wanted}: {shown[:40]}", status.BAD_TYPE_MISMATCH)


def _float(value: Any) -> float:
    kind = type(value)
    if kind is float:
        return value  # type: ignore[no-any-return]  # just looked
    if kind is int or kind is bool:
        return float(value)
    raise _mismatch(value, "number")


def _int(value: Any) -> int:
    kind = type(value)
    if kind is float and value.is_integer():
        value = int(value)
    elif kind is not int and kind is not bool:
        raise _mismatch(value, "whole number")
    if not -_INT64 <= value < _INT64:
        raise Wrong(f"does not fit into 64 bits: {value}", status.BAD_OUT_OF_RANGE)
    return int(value)


def _bool(value: Any) -> int:
    if type(value) is bool or (type(value) is int and value in (0, 1)):
        return int(value)
    raise _mismatch(value, "true or false")


def _text(value: Any) -> str:
    if type(value) is str:
        return value
    raise _mismatch(value, "text")


def _scalar(payload: bytes) -> Any:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        text = _raw(payload).strip()
        try:
            return float(text) if "_" not in text else text
        except ValueError:
            return text


def _plain_float(payload: bytes) -> float:
    return _float(_scalar(payload))


def _plain_int(payload: bytes) -> int:
    return _int(_scalar(payload))


def _plain_bool(payload: bytes) -> int:
    known = _BOOLS.get(_raw(payload).strip().lower())
    if known is None:
        raise _mismatch(_scalar(payload), "true or false")
    return known


def _plain_text(payload: bytes) -> str:
    if payload[:1] == b'"':
        try:
            return _text(orjson.loads(payload))
        except orjson.JSONDecodeError:
            pass
    return _raw(payload)


def _raw(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise Wrong("is no UTF-8 text") from None


def _timer(steps: Steps, unit: str) -> Callable[[Any], int]:
    take = getter(steps)

    def time_of(document: Any) -> int:
        try:
            value = take(document)
        except (KeyError, IndexError, TypeError):
            raise Wrong("has no time in the message") from None
        return to_ns(value, unit)

    return time_of


def to_ns(value: Any, unit: str = "") -> int:
    """A time as UTC ns: ISO 8601 (without a zone it is UTC), or a number since 1970 in a unit, which is told by its size if
    none is given.

    Raises: Wrong if it is none, or not between 1970 and 2116
    """
    if type(value) is str and unit in ("", "iso"):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise Wrong(f"has no ISO 8601 time: {value[:40]!r}") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        ns = (moment - _EPOCH) // _MICROSECOND * 1000
    elif type(value) in (int, float) and unit != "iso":
        size = abs(value)
        unit = unit or ("s" if size < 1e11 else "ms" if size < 1e14 else "us" if size < 1e17 else "ns")
        exact = type(value) is int or size < 2.0**62
        ns = round(value * _FACTORS[unit]) if exact else -1
    else:
        raise Wrong(f"has a time that is none: {value!r}"[:80])
    if not 0 <= ns < _NS_END:
        raise Wrong(f"has a time out of all reason: {value!r}"[:80])
    return ns


def _judge(steps: Steps, words: str) -> Callable[[Any], int]:
    take = getter(steps)

    def quality_of(document: Any) -> int:
        try:
            value = take(document)
        except (KeyError, IndexError, TypeError):
            raise Wrong("has no quality in the message") from None
        if type(value) is bool:
            return status.GOOD if value else status.BAD
        if type(value) is str:
            known = _WORDS.get(value.lower())
            if known is not None:
                return known
        elif type(value) is int and words == "da" and 0 <= value < 65_536:
            return (status.BAD, status.UNCERTAIN, status.BAD, status.GOOD)[value >> 6 & 3]
        elif type(value) is int and words == "opcua" and 0 <= value < 2**32:
            return value
        raise Wrong(f"has a quality nobody declared: {value!r}"[:80], status.BAD_UNKNOWN_RESPONSE)

    return quality_of


def _chooser(steps: Steps, wanted: str) -> Callable[[Any], bool]:
    take = getter(steps)

    def is_ours(document: Any) -> bool:
        try:
            value = take(document)
        except (KeyError, IndexError, TypeError):
            return False
        return bool(value == wanted if type(value) is str else orjson.dumps(value).decode() == wanted)

    return is_ours

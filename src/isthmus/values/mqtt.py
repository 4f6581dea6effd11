"""MQTT packets and topics as values: framing, strings, filters, and how a topic is written so that the bus can carry it.

Source: OASIS MQTT 3.1.1 and MQTT 5.0, sections 1.5 (data), 2 (packets), 4.7 (topics)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from isthmus.values.errors import ConfigError, Malformed

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = 8, 9, 10, 11, 12, 13, 14, 15

MAX_PACKET_BYTES: Final = 268_435_455
MAX_STRING_BYTES: Final = 65_535

# What a bus subject cannot carry (blanks, control characters) or would take for a wildcard of its own, and the escape itself.
_UNSAFE: Final = re.compile(rb"[\x01-\x20%*>\x7f]")
_ESCAPED: Final = re.compile(rb"%(0[1-9A-F]|1[0-9A-F]|20|25|2A|3E|7F)")


def boundary(data: bytes, at: int, end: int, limit: int) -> tuple[int, int]:
    """Where the body of the packet at ``at`` begins and where the packet ends; (0, 0) if its header is not there yet.

    Raises: Malformed if the length is none, or the packet would be larger than ``limit`` bytes
    """
    body, size, shift = at + 1, 0, 0
    while body < end:
        byte = data[body]
        body += 1
        size |= (byte & 0x7F) << shift
        if byte < 0x80:
            if size > limit:
                raise Malformed(f"an MQTT packet of {size} bytes; the limit is {limit}")
            return body, body + size
        shift += 7
        if shift > 21:
            raise Malformed("an MQTT packet whose length does not end")
    return 0, 0


class Packets:
    """Cuts what arrives into packets; keeps at most one unfinished packet of ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._need = 2

    def feed(self, chunk: bytes) -> list[tuple[int, bytes]]:
        """All packets that are complete now, as (first byte, body).

        Raises: Malformed; the stream cannot be followed after that
        """
        rest = self._rest
        if rest:
            rest += chunk
            if len(rest) < self._need:
                return []
            data = bytes(rest)
            rest.clear()
        else:
            data = chunk
        found: list[tuple[int, bytes]] = []
        at, end = 0, len(data)
        self._need = 2
        while at < end:
            body, stop = boundary(data, at, end, self._limit)
            if stop == 0 or stop > end:
                self._need = max(stop - at, end - at + 1)
                break
            found.append((data[at], data[body:stop]))
            at = stop
        if at < end:
            rest += data[at:]
        return found


def packet(first: int, *parts: bytes) -> bytes:
    """A packet from its first byte and the parts of its body.

    Raises: ValueError if the body is longer than the protocol can say
    """
    body = b"".join(parts)
    return bytes((first,)) + varint(len(body)) + body


def varint(number: int) -> bytes:
    """A variable byte integer.

    Raises: ValueError if it takes more than four bytes
    """
    if not 0 <= number <= MAX_PACKET_BYTES:
        raise ValueError(f"MQTT cannot say {number} in a variable byte integer")
    out = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        if not number:
            out.append(low)
            return bytes(out)
        out.append(low | 0x80)


def string(text: str | bytes) -> bytes:
    """Text, or bytes, with its length in front.

    Raises: ValueError if it is longer than 65,535 bytes
    """
    data = text.encode() if isinstance(text, str) else text
    if len(data) > MAX_STRING_BYTES:
        raise ValueError(f"MQTT strings end at {MAX_STRING_BYTES} bytes, this one has {len(data)}")
    return len(data).to_bytes(2, "big") + data


def take_string(body: bytes, at: int) -> tuple[bytes, int]:
    """The string at a place of a body, and where it ends.

    Raises: Malformed if it reaches beyond the body
    """
    stop = at + 2 + int.from_bytes(body[at : at + 2], "big")
    if at + 2 > len(body) or stop > len(body):
        raise Malformed("an MQTT string that reaches beyond its packet")
    return body[at + 2 : stop], stop


def take_varint(body: bytes, at: int) -> tuple[int, int]:
    """The variable byte integer at a place of a body, and where it ends.

    Raises: Malformed if there is none
    """
    number = shift = 0
    while at < len(body) and shift <= 21:
        byte = body[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
    raise Malformed("an MQTT number that does not end")


def to_field(topic: bytes) -> bytes:
    """The topic, or filter, as the built-in listener carries it: what the bus has no way to say becomes ``%XX``."""
    if _UNSAFE.search(topic) is None:
        return topic
    return _UNSAFE.sub(lambda m: b"%%%02X" % m[0][0], topic)


def from_field(topic: bytes) -> bytes:
    """Inverse of `to_field`."""
    if b"%" not in topic:
        return topic
    return _ESCAPED.sub(lambda m: bytes((int(m[1], 16),)), topic)


def check_filter(text: object, key: str) -> str:
    """A topic filter.

    Raises: ConfigError naming the key, the problem and the value
    """
    if not isinstance(text, str) or not text or "\0" in text or len(text.encode(errors="replace")) > MAX_STRING_BYTES:
        raise ConfigError(f"{key}: must be a topic of 1 to {MAX_STRING_BYTES} bytes, was {text!r}")
    levels = text.split("/")
    if any("#" in level for level in levels[:-1]) or ("#" in levels[-1] and levels[-1] != "#"):
        raise ConfigError(f"{key}: # may only stand alone, as the last level, was {text!r}")
    if any("+" in level and level != "+" for level in levels):
        raise ConfigError(f"{key}: + may only stand alone in its level, was {text!r}")
    return text


def is_wild(topic_filter: str) -> bool:
    """Whether a filter may match more than one topic."""
    return topic_filter == "#" or topic_filter.endswith("/#") or "+" in topic_filter


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a topic is among those a filter names; topics that begin with $ only where the filter says so."""
    if topic.startswith("$") and topic_filter[:1] in ("#", "+"):
        return False
    wanted, given = topic_filter.split("/"), topic.split("/")
    for i, level in enumerate(wanted):
        if level == "#":
            return True
        if i >= len(given) or level not in ("+", given[i]):
            return False
    return len(wanted) == len(given)


def covers(wide: str, narrow: str) -> bool:
    """Whether every topic that ``narrow`` names is among those of ``wide``."""
    if narrow.startswith("$") and wide[:1] in ("#", "+"):
        return False
    outer, inner = wide.split("/"), narrow.split("/")
    for i, level in enumerate(outer):
        if level == "#":
            return True
        if i >= len(inner) or inner[i] == "#" or level not in ("+", inner[i]):
            return False
    return len(outer) == len(inner)


def fewest(filters: Iterable[str]) -> list[str]:
    """The filters without those another one covers, so that no message comes twice.

    Cost: plain topics are compared with wildcards only
    """
    distinct = list(dict.fromkeys(filters))
    wild = [f for f in distinct if is_wild(f)]
    return [f for f in distinct if not any(w != f and covers(w, f) for w in wild)]


def batches(filters: list[str], limit: int) -> Iterator[list[str]]:
    """The filters in groups whose SUBSCRIBE stays below ``limit`` bytes."""
    group: list[str] = []
    size = 0
    for one in filters:
        length = len(one.encode()) + 3
        if group and size + length > limit:
            yield group
            group, size = [], 0
        group.append(one)
        size += length
    if group:
        yield group

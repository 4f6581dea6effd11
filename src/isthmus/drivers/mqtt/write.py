"""From a value to the message that writes it, as the address declares it."""

from __future__ import annotations

import math
from typing import Any, Final

import orjson

from isthmus.drivers.mqtt.address import PLACE, MqttAddress, parse
from isthmus.ports.writes import PointWrite
from isthmus.values.errors import Rejected

NOBODY_HEARS: Final = 0x10
"""What a broker of version 5 answers when nobody has subscribed to the topic."""

_INT64: Final = 2**63
_REFUSED: Final = {
    NOBODY_HEARS: "nobody hears this topic",
    0x80: "the broker gives no reason",
    0x83: "the broker's own rules",
    0x87: "not authorised",
    0x90: "the topic is not allowed",
    0x97: "a quota is exceeded",
    0x99: "the payload is not what the broker was told",
}


def message(item: PointWrite) -> tuple[MqttAddress, bytes]:
    """The address, and the payload to publish to its topic.

    Raises: Rejected if the address does not say how it is written, or the value does not fit; ConfigError if it is wrong
    """
    address = parse(item.address)
    if not address.write:
        raise Rejected(f"{item.address}: cannot be written; declare the topic by write=TOPIC in its address")
    value = _fitting(item, address.type)
    if address.template:
        return address, orjson.dumps(_filled(orjson.loads(address.template), value))
    if address.put:
        for name in reversed(address.put):
            value = {name: value}
        return address, orjson.dumps(value)
    return address, value.encode() if isinstance(value, str) else orjson.dumps(value)


def refusal(code: int) -> str:
    """Why a broker of version 5 did not take a message; empty if it did."""
    if code < 0x80 and code != NOBODY_HEARS:
        return ""
    return _REFUSED.get(code, f"code 0x{code:02X}")


def _fitting(item: PointWrite, kind: str) -> Any:
    """The value in the address's type.

    Raises: Rejected
    """
    value = item.value
    if kind in ("text", "raw"):
        if not isinstance(value, str):
            raise Rejected(f"{item.address}: needs a text, was {value!r}")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Rejected(f"{item.address}: the text has half a character in it") from None
        return value
    if isinstance(value, str) or not math.isfinite(value):
        raise Rejected(f"{item.address}: needs a finite number, was {value!r}")
    if kind == "float":
        return float(value)
    low, high = (0, 1) if kind == "bool" else (-_INT64, _INT64 - 1)
    if value != int(value) or not low <= value <= high:
        raise Rejected(f"{item.address}: needs a whole number from {low} to {high}, was {value!r}")
    return bool(value) if kind == "bool" else int(value)


def _filled(document: Any, value: Any) -> Any:
    if isinstance(document, dict):
        return {key: _filled(v, value) for key, v in document.items()}
    if isinstance(document, list):
        return [_filled(v, value) for v in document]
    return value if document == PLACE else document

"""What an OPC UA address says: a node, perhaps an element or a field of its value, and the type of what it gives.

ns=2;s=Line.Speed                      a node by namespace index
nsu=http://plc.example/ua;s=Line.Speed  … by namespace URI, which holds when the server renumbers
ns=2;i=1042 int                        its values are whole numbers (float unless told; int, bool, text)
ns=2;s=Recipe [3]                      element 3 of an array, from zero; [1,2] of a matrix
ns=2;s=Pump #Speed                     a field of a structure; `#Motor #Speed` of one inside it, `[2] #Speed` of an element
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from isthmus.ports.drivers import Address
from isthmus.values.errors import ConfigError
from isthmus.values.sample import ValueType

TYPES: Final[dict[str, ValueType]] = {
    "float": ValueType.FLOAT,
    "int": ValueType.INT,
    "bool": ValueType.INT,
    "text": ValueType.TEXT,
}

_PART = re.compile(r"(?:\[(?P<index>\d{1,9}(?:,\d{1,9})*)\]|#(?P<field>\S+))\Z", re.ASCII)
_MAX_CHARS = 4096

Step = tuple[int, ...] | str
"""One step into a value: the index of an element, or the name of a field."""


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """One parsed address. ``namespace`` is an index, or the URI that stands for one."""

    text: str
    namespace: int | str
    kind: str  # i, s, g or b, as in the standard's notation
    identifier: int | str | bytes | uuid.UUID
    steps: tuple[Step, ...] = ()
    type: ValueType = ValueType.FLOAT


@lru_cache(65_536)
def parse(text: str) -> NodeAddress:
    """The address, with every part checked.

    Raises: ConfigError naming the problem and the value
    Source: OPC 10000-6 section 5.3.1.10 (the text form of a NodeId)
    """
    if len(text) > _MAX_CHARS:
        raise _wrong(f"longer than {_MAX_CHARS} characters", text[:40] + "…")
    rest = text.strip()
    value_type = ValueType.FLOAT
    head, _, last = rest.rpartition(" ")
    if head and last in TYPES:
        rest, value_type = head.rstrip(), TYPES[last]
    steps: list[Step] = []
    while True:
        head, _, last = rest.rpartition(" ")
        part = _PART.match(last) if head else None
        if part is None:
            break
        steps.insert(0, part["field"] or tuple(int(number) for number in part["index"].split(",")))
        rest = head.rstrip()
    namespace, identity = _namespace(rest, text)
    kind, sign, identifier = identity.partition("=")
    if not sign or kind not in {"i", "s", "g", "b"}:
        raise _wrong("needs a node such as ns=2;s=Line.Speed or nsu=http://plc.example/ua;i=1042", text)
    return NodeAddress(text, namespace, kind, _identifier(kind, identifier, text), tuple(steps), value_type)


def parse_address(text: str) -> Address:
    """What a plan needs to know of an address; where it lies in the device nobody can tell.

    Raises: ConfigError naming the problem and the value
    """
    return Address(parse(text).type)


def _namespace(text: str, whole: str) -> tuple[int | str, str]:
    if text.startswith("nsu="):
        uri, sign, identity = text[4:].partition(";")
        if not uri or not sign:
            raise _wrong("after nsu= stands the URI of a namespace, then `;` and the node", whole)
        return uri.replace("%3B", ";").replace("%25", "%"), identity
    if text.startswith("ns="):
        number, sign, identity = text[3:].partition(";")
        if not sign or not (number.isascii() and number.isdigit()) or int(number) > 65_535:
            raise _wrong("after ns= stands the number of a namespace, 0 to 65535, then `;` and the node", whole)
        return int(number), identity
    return 0, text


def _identifier(kind: str, text: str, whole: str) -> int | str | bytes | uuid.UUID:
    if kind == "s":
        if not text:
            raise _wrong("after s= stands the name of the node", whole)
        return text
    if kind == "i":
        if not (text.isascii() and text.isdigit()) or int(text) >= 1 << 32:
            raise _wrong("after i= stands a whole number of 32 bits", whole)
        return int(text)
    try:
        return uuid.UUID(text) if kind == "g" else base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise _wrong(f"after {kind}= stands {'a GUID' if kind == 'g' else 'base64'}", whole) from None


def _wrong(problem: str, text: str) -> ConfigError:
    return ConfigError(f"address: {problem}, was {text!r}")

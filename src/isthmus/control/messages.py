"""Commands as they come over the bus: taken whole, or refused whole."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, Final, TypeVar

import orjson

from isthmus.values.errors import Malformed
from isthmus.values.messages.control import TripCommand, WriteCommand

MOST_BYTES: Final = 65_536
_MOST_CHARS: Final = 4_096

Message = TypeVar("Message", WriteCommand, TripCommand)
_KINDS: Final[dict[str, tuple[type, ...]]] = {
    "str": (str,),
    "int": (int,),
    "Written": (float, int, str),
    "Written | None": (float, int, str, type(None)),
}


def read_json(data: bytes) -> dict[str, Any]:
    """The object in a message.

    Raises: Malformed
    """
    if len(data) > MOST_BYTES:
        raise Malformed(f"{len(data)} bytes, at most {MOST_BYTES} are taken")
    try:
        raw = orjson.loads(data)
    except ValueError as error:
        raise Malformed(f"is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise Malformed("must be an object")
    return raw


def read_command(kind: type[Message], data: bytes) -> Message:
    """A command of one kind; keys it does not know are refused, as a newer core may mean something by them.

    Raises: Malformed
    """
    raw = read_json(data)
    known = {f.name: f for f in fields(kind)}
    strange = sorted(raw.keys() - known.keys())
    missing = sorted(n for n, f in known.items() if n not in raw and f.default is MISSING)
    if strange or missing:
        raise Malformed(
            f"keys do not fit: {', '.join([f'{k} is missing' for k in missing] + [f'{k} is unknown' for k in strange])}"
        )
    return kind(**{name: _checked(name, str(known[name].type), value) for name, value in raw.items()})


def _checked(name: str, kind: str, value: Any) -> Any:
    if isinstance(value, bool):
        value = int(value) if kind.startswith("Written") else None
    if not isinstance(value, _KINDS[kind]):
        raise Malformed(f"{name} has a wrong type")
    if isinstance(value, str) and len(value) > _MOST_CHARS:
        raise Malformed(f"{name} is longer than {_MOST_CHARS} characters")
    if isinstance(value, int) and abs(value) >= 2**63:
        raise Malformed(f"{name} is too large")
    return value

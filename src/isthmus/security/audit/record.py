"""One line of the audit log: canonical JSON, chained by SHA-256, signed now and then by Ed25519. Pure.

Every line holds ``seq`` and, as ``prev``, the hash of the line before it; so each line vouches for all before it, and a
signed one (a checkpoint, the head) proves them.

Source: RFC 8032 (Ed25519), FIPS 180-4 (SHA-256)
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from isthmus.values.clock import NS_PER_S

INTENT: Final = "intent"
OUTCOME: Final = "outcome"
NOTE: Final = "note"
CHECKPOINT: Final = "checkpoint"
BEGIN: Final = "0" * 64
"""``prev`` of the first line."""
MOST_DETAIL: Final = 16 * 1024
"""Bytes of an old or a new value; of a longer one its size and hash are kept."""
_MOST_TEXT: Final = 2000
_SORTED: Final = orjson.OPT_SORT_KEYS


def canonical(record: Mapping[str, Any]) -> bytes:
    """The one spelling of a record: keys sorted, no blanks, UTF-8."""
    return orjson.dumps(record, option=_SORTED)


def digest(line: bytes) -> str:
    """What the next line calls this one."""
    return hashlib.sha256(line).hexdigest()


def parse(line: bytes) -> dict[str, Any] | None:
    """A line as a record, or None if it is none in its one spelling."""
    try:
        found = orjson.loads(line)
        if type(found) is dict and type(found.get("seq")) is int and canonical(found) == line:
            return found
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, TypeError):
        pass
    return None


def time_text(time_ns: int) -> str:
    """ISO 8601 UTC to the microsecond; sorts as time does."""
    seconds, rest = divmod(time_ns, NS_PER_S)
    return f"{_second(seconds)}.{rest // 1000:06d}Z"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def clean(value: object) -> Any:
    """A value as it may stand in a record: bounded, and JSON that comes back the same."""
    try:
        data = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS, default=str)
    except (orjson.JSONEncodeError, TypeError, UnicodeError):
        data = orjson.dumps(repr(value)[:_MOST_TEXT].encode("utf-8", "replace").decode())
    if len(data) > MOST_DETAIL:
        return {"bytes": len(data), "sha256": digest(data), "cut": True}
    return orjson.loads(data)


def clean_text(text: str, most: int = _MOST_TEXT) -> str:
    """A bounded text that UTF-8 can hold."""
    return text[:most].encode("utf-8", "replace").decode()


def public_text(key: Ed25519PublicKey) -> str:
    """A public key as it stands in headers: 32 bytes, base64."""
    return base64.b64encode(key.public_bytes_raw()).decode()


def sign(record: dict[str, Any], key: Ed25519PrivateKey) -> bytes:
    """The canonical line of a record with its signature, which covers everything else in it."""
    signature = key.sign(canonical(record))
    return canonical({**record, "sig": base64.b64encode(signature).decode()})


def signed(record: Mapping[str, Any], public: bytes) -> bool:
    """Whether a record carries a good signature of the key (32 bytes)."""
    rest = dict(record)
    sig = rest.pop("sig", None)
    return isinstance(sig, str) and _holds(sig, canonical(rest), public)


@lru_cache(maxsize=4096)
def _holds(sig: str, message: bytes, public: bytes) -> bool:
    try:
        raw = base64.b64decode(sig, validate=True)
        if base64.b64encode(raw).decode() != sig:  # another spelling of the same bytes is a change, too
            return False
        Ed25519PublicKey.from_public_bytes(public).verify(raw, message)
    except (ValueError, InvalidSignature):
        return False
    return True

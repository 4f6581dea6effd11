"""Links by which somebody who was told acknowledges: signed, for one delivery, for a time, and for nothing else.

A token is a version, the delivery's number, when it expires, and HMAC-SHA-256 cut to 128 bits over them and what it is for.
Source: RFC 2104, 5 (truncation to no less than half of the hash)
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from hashlib import sha256

from isthmus.values.errors import Denied

_HEAD = struct.Struct(">BIQ")
_VERSION = 1
_MAC_BYTES = 16
_PURPOSE = b"isthmus callout acknowledge\0"
MOST_CHARS = 64


class LinkRefused(Denied):
    """A link that does nothing: ``link_wrong``, ``link_expired``, ``link_spent`` or ``link_settled``."""


def make(key: bytes, delivery: int, expires_ns: int) -> str:
    """A token, fit for an address. Units: expires_ns is kept to the second"""
    head = _HEAD.pack(_VERSION, delivery, expires_ns // 1_000_000_000)
    return base64.urlsafe_b64encode(head + _mac(key, head)).rstrip(b"=").decode()


def read(key: bytes, token: str, now_ns: int) -> int:
    """The delivery a token stands for.

    Raises: LinkRefused
    """
    try:
        data = base64.b64decode(token[:MOST_CHARS] + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        version, delivery, expires_s = _HEAD.unpack(data[: _HEAD.size])
    except (ValueError, binascii.Error, struct.error):
        raise LinkRefused("this link is damaged", "link_wrong") from None
    genuine = hmac.compare_digest(data[_HEAD.size :], _mac(key, data[: _HEAD.size]))
    if not genuine or version != _VERSION or make(key, delivery, expires_s * 1_000_000_000) != token:
        raise LinkRefused("this link is not one of ours", "link_wrong")
    if now_ns // 1_000_000_000 >= expires_s:
        raise LinkRefused("this link has expired", "link_expired")
    return int(delivery)


def _mac(key: bytes, head: bytes) -> bytes:
    return hmac.new(key, _PURPOSE + head, sha256).digest()[:_MAC_BYTES]

"""Secrets that people copy by hand: groups of five letters and digits, none of which is taken for another."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_MISREAD: Final = str.maketrans("018", "OIB")


def key_of(secret: str) -> str:
    """What stands for a token, link or session identifier in records and memory."""
    return hashlib.sha256(secret.encode()).hexdigest()


def make_code(groups: int) -> str:
    """A new one; 25 bits a group."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(groups))


def code_key(written: str) -> str:
    """What stands for a code however it was written: case, blanks and dashes do not count."""
    return key_of("".join(c for c in written.upper() if c.isalnum()).translate(_MISREAD))

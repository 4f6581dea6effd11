"""Seals small secrets of the records with a key that lies beside them in a file only its owner may read."""

from __future__ import annotations

import os
import stat
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from isthmus.bus.broker import write_private
from isthmus.values.errors import ConfigError

_NONCE: Final = 12
_FIRST: Final = b"\x01"
"""Names the layout: this byte, the nonce, the sealed bytes with their tag."""


class FileSealer:
    """AES-256-GCM under the key of a file; the key is made at the first use.

    Source: NIST SP 800-38D (GCM, 96-bit random nonces)
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._key: bytes | None = None

    def _aead(self) -> AESGCM:
        if self._key is None:
            self._key = self._load()
        return AESGCM(self._key)

    def _load(self) -> bytes:
        if not self._file.exists():
            write_private(self._file, b64encode(AESGCM.generate_key(256)).decode())
        if stat.S_IMODE(self._file.stat().st_mode) & 0o077:
            raise ConfigError(f"{self._file}: others may read this key; chmod 600 it")
        try:
            key = b64decode(self._file.read_text(), validate=True)
        except ValueError:
            key = b""
        if len(key) != 32:
            raise ConfigError(f"{self._file}: is no key of 32 bytes; take it back from a backup")
        return key

    def seal(self, plain: bytes, about: str) -> bytes:
        """Unreadable without the key."""
        nonce = os.urandom(_NONCE)
        return _FIRST + nonce + self._aead().encrypt(nonce, plain, about.encode())

    def unseal(self, sealed: bytes, about: str) -> bytes:
        """What was sealed.

        Raises: ConfigError if it was sealed by another key, about another, or changed
        """
        try:
            if sealed[:1] != _FIRST:
                raise InvalidTag
            return self._aead().decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], about.encode())
        except (InvalidTag, ValueError):
            raise ConfigError(
                f"{about}: cannot be unsealed with {self._file}; take that file back from a backup"
            ) from None

"""Sealing at rest: AES-256-GCM under a key of this installation, each sealed thing bound to what it is for.

A sealed thing is a magic word, a version, the name of its key, a nonce, and what AES-GCM made of the rest. The key file holds one
key a line, 32 bytes in base64: the first seals, all of them unseal, so that a new key can be put in front of the old one.
Source: NIST SP 800-38D (a random 96-bit nonce for each message; far below 2^32 messages a key)
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import stat
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from isthmus.bus.broker import write_private
from isthmus.values.errors import ConfigError

MAGIC = b"\x89ISTSEAL"
"""Begins with a byte that begins no UTF-8 text, so nothing written by hand can be taken for something sealed."""
VERSION = 1
KEY_BYTES, ID_BYTES, NONCE_BYTES, TAG_BYTES = 32, 8, 12, 16
KEY_NAME = "secrets.key"
CREDENTIAL = "isthmus-key"
_HEAD = len(MAGIC) + 1 + ID_BYTES


def key_id(key: bytes) -> bytes:
    """The name of a key, which tells nothing of it."""
    return sha256(b"isthmus key\0" + key).digest()[:ID_BYTES]


class Sealer:
    """Seals and unseals under the keys of one file; an own file is made when it is first needed, a given one never."""

    def __init__(self, file: Path, *, ours: bool, checked: bool = True) -> None:
        self.file, self._ours, self._checked = file, ours, checked
        self._keys: dict[bytes, AESGCM] = {}
        self._first = b""

    def __repr__(self) -> str:
        return f"Sealer({self.file})"

    @classmethod
    def of(cls, root: Path, key_file: str = "") -> Sealer:
        """That of a data directory: by ``[secrets] key_file``, else by the systemd credential, else by a file of its own."""
        if key_file:
            return cls(root / key_file, ours=False)
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if folder and (Path(folder) / CREDENTIAL).exists():
            return cls(Path(folder) / CREDENTIAL, ours=False, checked=False)  # systemd guards what it hands over
        return cls(root / KEY_NAME, ours=True)

    @property
    def ours(self) -> bool:
        """Whether the key lies in the data directory, made by ourselves."""
        return self._ours

    def seal(self, data: bytes, context: str) -> bytes:
        """Sealed for ``context``, a name such as ``secret:press-7``; unsealing asks for the same.

        Raises: ConfigError if there is no usable key
        """
        if not self._keys:
            self._load(make=True)
        nonce = os.urandom(NONCE_BYTES)
        head = MAGIC + bytes([VERSION]) + self._first
        return head + nonce + self._keys[self._first].encrypt(nonce, data, _bound(head, context))

    def unseal(self, sealed: bytes, context: str) -> bytes:
        """What was sealed.

        Raises: ConfigError for a key that is not here, and for something damaged or sealed for another context
        """
        if not is_sealed(sealed) or len(sealed) < _HEAD + NONCE_BYTES + TAG_BYTES:
            raise ConfigError(f"{context}: is damaged: it is not whole, or was never sealed")
        if sealed[len(MAGIC)] != VERSION:
            raise ConfigError(f"{context}: was sealed by a newer Isthmus; install that version")
        head, ident = sealed[:_HEAD], sealed[len(MAGIC) + 1 : _HEAD]
        if ident not in self._keys:
            self._load(make=False)  # another process may have put a new key in front
        cipher = self._keys.get(ident)
        if cipher is None:
            raise ConfigError(
                f"{context}: was sealed by key {ident.hex()}, which {self.file} does not hold; put that key back as a line of "
                "the file, or set what was sealed anew"
            )
        nonce, body = sealed[_HEAD : _HEAD + NONCE_BYTES], sealed[_HEAD + NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, body, _bound(head, context))
        except InvalidTag:
            raise ConfigError(
                f"{context}: is damaged, or was moved here from another name; set it anew or restore it"
            ) from None

    def is_current(self, sealed: bytes) -> bool:
        """Whether it is sealed by the first key."""
        if not self._keys:
            self._load(make=True)
        return is_sealed(sealed) and sealed[len(MAGIC) + 1 : _HEAD] == self._first

    def renew(self) -> None:
        """Put a new key in front; the old ones stay, for what is still sealed by them.

        Raises: ConfigError where the key is not ours to write
        """
        if not self._ours:
            raise ConfigError(
                f"{self.file}: is not written by Isthmus; put a new line in front of it "
                "(head -c 32 /dev/urandom | base64), start Isthmus anew, and run `isthmus secret rekey --same-key`"
            )
        old = self._read() if self.file.exists() else []
        write_private(self.file, _text([os.urandom(KEY_BYTES), *old]))
        self._load(make=False)

    def _load(self, *, make: bool) -> None:
        if make and self._ours and not self.file.exists():
            self._make()
        keys = self._read()
        self._keys = {key_id(key): AESGCM(key) for key in keys}
        self._first = key_id(keys[0])

    def _make(self) -> None:
        """One key, whoever of several processes comes first."""
        mine = self.file.with_name(f".{self.file.name}.{os.getpid()}.mine")
        write_private(mine, _text([os.urandom(KEY_BYTES)]))
        try:
            with contextlib.suppress(FileExistsError):
                os.link(mine, self.file)
        finally:
            mine.unlink()

    def _read(self) -> list[bytes]:
        try:
            if self._checked and stat.S_IMODE(self.file.stat().st_mode) & 0o077:
                raise ConfigError(f"{self.file}: others may read this key; chmod 600 it")
            lines = [line for line in self.file.read_text().splitlines() if line.strip()]
            keys = [base64.b64decode(line, validate=True) for line in lines]
        except FileNotFoundError:
            how = "restore it" if self._ours else "make it: (umask 077; head -c 32 /dev/urandom | base64 > FILE)"
            raise ConfigError(f"{self.file}: the key of the secrets is not there; {how}") from None
        except OSError as error:
            raise ConfigError(f"{self.file}: the key of the secrets cannot be read: {error.strerror}") from None
        except (binascii.Error, ValueError):
            raise ConfigError(f"{self.file}: must hold keys of {KEY_BYTES} bytes in base64, one a line") from None
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ConfigError(f"{self.file}: must hold keys of {KEY_BYTES} bytes in base64, one a line")
        return keys


def is_sealed(data: bytes) -> bool:
    """Whether it begins like something sealed."""
    return data.startswith(MAGIC)


def _bound(head: bytes, context: str) -> bytes:
    return head + b"\0" + context.encode()


def _text(keys: list[bytes]) -> str:
    return "".join(base64.b64encode(key).decode() + "\n" for key in keys)

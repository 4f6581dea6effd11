"""The file of a backup: a tar whose last member is a digest of everything before it, encrypted in chunks by choice.

A plain one opens with any tar program. An encrypted one is a line of magic, a header and chunks of AES-256-GCM, each
numbered and the last one marked in its nonce, so that a chunk that is missing, moved or cut off is noticed as surely as one
that was altered. The key follows from a passphrase or key file by scrypt with a salt of its own in each file.

Source: RFC 7914 (scrypt), NIST SP 800-38D (GCM); the marked last chunk is the STREAM construction of Hoang et al., 2015
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import struct
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from isthmus.values.errors import ConfigError, Malformed

MAGIC = b"ISTHMUS-BACKUP-1\n"
CHUNK = 1 << 20
SCRYPT_N = 1 << 17
MANIFEST = "manifest.json"
CHECKSUM = "checksum"
_BLOCK = 512
_TAIL = 4 * _BLOCK
_TAG = 16
_NOT_WHOLE = "the backup is cut off or was altered; nothing was taken from it"


class Sink(Protocol):
    """Where bytes go."""

    def write(self, data: bytes, /) -> object: ...


def read_secret(path: Path) -> bytes:
    """A passphrase (the first line) or a key (all bytes, when they are no text) out of a file.

    Raises: ConfigError if it cannot be read or is too short
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    with contextlib.suppress(UnicodeDecodeError):
        content = content.decode().partition("\n")[0].rstrip("\r").encode()
    if len(content) < 12:
        raise ConfigError(f"{path}: a passphrase must have 12 characters or more, a key 12 bytes or more")
    return content


def _key(secret: bytes, salt: bytes, n: int) -> AESGCM:
    return AESGCM(Scrypt(salt=salt, length=32, n=n, r=8, p=1).derive(secret))


def _nonce(number: int, last: bool) -> bytes:
    return struct.pack(">3xQB", number, last)


class Encryptor:
    """A sink that encrypts into another one. ``close`` marks the end; without it the file counts as cut off."""

    def __init__(self, out: Sink, secret: bytes, n: int = SCRYPT_N) -> None:
        salt = os.urandom(16)
        self._out, self._key = out, _key(secret, salt, n)
        header = json.dumps({"kdf": "scrypt", "n": n, "salt": salt.hex(), "cipher": "aes-256-gcm"}).encode()
        self._associated = MAGIC + struct.pack(">H", len(header)) + header
        self._held = bytearray()
        self._number = 0
        out.write(self._associated)

    def write(self, data: bytes) -> None:
        """Encrypt; the last chunk stays here until it is known whether it is the last."""
        self._held += data
        while len(self._held) > CHUNK:
            self._emit(bytes(self._held[:CHUNK]), last=False)
            del self._held[:CHUNK]

    def close(self) -> None:
        """Write the last chunk, marked as such."""
        self._emit(bytes(self._held), last=True)
        self._held.clear()

    def _emit(self, data: bytes, *, last: bool) -> None:
        sealed = self._key.encrypt(_nonce(self._number, last), data, self._associated)
        self._out.write(struct.pack(">I", len(sealed)) + sealed)
        self._number += 1


def _plain(file: BinaryIO) -> Iterator[bytes]:
    while data := file.read(CHUNK):
        yield data


def _decrypted(file: BinaryIO, secret: bytes) -> Iterator[bytes]:
    try:
        (length,) = struct.unpack(">H", file.read(2))
        raw = file.read(length)
        header = json.loads(raw)
        n, salt = int(header["n"]), bytes.fromhex(header["salt"])
        if header["kdf"] != "scrypt" or header["cipher"] != "aes-256-gcm" or n > 1 << 20 or n & (n - 1) or n < 2:
            raise ValueError("unknown cipher")
    except (struct.error, ValueError, KeyError, TypeError):
        raise Malformed(_NOT_WHOLE) from None
    key, associated = _key(secret, salt, n), MAGIC + struct.pack(">H", length) + raw
    number, last = 0, False
    ahead = _sealed(file)
    while not last:
        sealed, ahead = ahead, b""
        if len(sealed) < _TAG:
            raise Malformed(_NOT_WHOLE)
        ahead = _sealed(file)
        last = not ahead
        try:
            yield key.decrypt(_nonce(number, last), sealed, associated)
        except InvalidTag:
            why = "the passphrase is wrong, or " if number == 0 else ""
            raise Malformed(why + _NOT_WHOLE) from None
        number += 1


def _sealed(file: BinaryIO) -> bytes:
    """The next chunk as it lies there; empty at the end."""
    head = file.read(4)
    if not head:
        return b""
    length = struct.unpack(">I", head)[0] if len(head) == 4 else CHUNK * 2
    data = file.read(length) if length <= CHUNK + _TAG else b""
    if len(data) != length:
        raise Malformed(_NOT_WHOLE)
    return data


def _info(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _tail(digest: str) -> bytes:
    """The last member and the end of the tar, all of it fixed by the digest."""
    return _info(CHECKSUM, 64) + digest.encode().ljust(_BLOCK, b"\0") + bytes(2 * _BLOCK)


class Archive:
    """Writes members into a sink; ``finish`` writes manifest and digest."""

    def __init__(self, out: Sink) -> None:
        self._out = out
        self._digest = hashlib.sha256()
        self._members: dict[str, tuple[int, str]] = {}

    def _put(self, data: bytes) -> None:
        self._digest.update(data)
        self._out.write(data)

    def add(self, name: str, size: int, blocks: Iterator[bytes]) -> None:
        """One member of exactly that size.

        Raises: Malformed if the blocks do not make up that size
        """
        digest, left = hashlib.sha256(), size
        self._put(_info(name, size))
        for block in blocks:
            digest.update(block)
            self._put(block)
            left -= len(block)
        if left:
            raise Malformed(f"{name} changed while it was copied")
        self._put(bytes(-size % _BLOCK))
        self._members[name] = (size, digest.hexdigest())

    def add_bytes(self, name: str, data: bytes) -> None:
        """A small member."""
        self.add(name, len(data), iter([data]))

    def finish(self, about: dict[str, Any]) -> None:
        """The end: what is in it, and the digest of all."""
        members = {name: {"bytes": size, "sha256": digest} for name, (size, digest) in self._members.items()}
        self.add_bytes(MANIFEST, json.dumps({**about, "members": members}, indent=1).encode())
        self._out.write(_tail(self._digest.hexdigest()))


class _Whole(io.RawIOBase):
    """The bytes of an archive as a file to read; knows at the end whether its tail is the one the digest asks for."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks, self._held = blocks, bytearray()
        self._digest, self._over, self.sound = hashlib.sha256(), False, False

    def read(self, size: int = -1) -> bytes:
        """As a file's."""
        while not self._over and len(self._held) < size + _TAIL:
            block = next(self._blocks, None)
            if block is None:
                self._over = True
                tail = bytes(self._held[-_TAIL:])
                whole = self._digest.copy()
                whole.update(self._held[:-_TAIL])
                self.sound = tail == _tail(whole.hexdigest())
            else:
                self._held += block
        free = len(self._held) if self._over else max(0, len(self._held) - _TAIL)
        taken = bytes(self._held[: min(size, free)])
        del self._held[: len(taken)]
        self._digest.update(taken)
        return taken


Take = Callable[[str, int, Iterator[bytes]], None]


def read_archive(path: Path, secret: bytes | None, take: Take, moved: Callable[[int], None]) -> dict[str, Any]:
    """Hand every member to ``take`` (name, size, blocks), which reads all of its blocks; the manifest when all is right.

    What was taken counts only when this returns: a file that is cut off or altered is noticed at the latest at its end.
    Raises: Malformed if anything is not as it was written, ConfigError if a secret is missing or not needed
    """
    with path.open("rb") as file:
        start = file.read(len(MAGIC))
        if start == MAGIC:
            if secret is None:
                raise ConfigError(f"{path}: is encrypted: name its passphrase or key file with --key")
            blocks = _decrypted(file, secret)
        else:
            if secret is not None:
                raise ConfigError(f"{path}: is not encrypted; leave --key away")
            file.seek(0)
            blocks = _plain(file)
        whole = _Whole(_counted(blocks, moved))
        seen: dict[str, dict[str, Any]] = {}
        manifest: dict[str, Any] = {}
        try:
            with tarfile.open(fileobj=cast("BinaryIO", whole), mode="r|", bufsize=CHUNK) as tar:
                for info in tar:
                    inside = tar.extractfile(info)
                    if inside is None or info.name in seen:
                        raise Malformed(_NOT_WHOLE)
                    if info.name == CHECKSUM:
                        inside.read()
                        continue
                    if info.name == MANIFEST:
                        manifest = json.loads(inside.read())
                        continue
                    digest = hashlib.sha256()
                    take(info.name, info.size, _hashed(cast("BinaryIO", inside), digest))
                    seen[info.name] = {"bytes": info.size, "sha256": digest.hexdigest()}
            while whole.read(CHUNK):
                pass
        except (tarfile.TarError, ValueError, EOFError):
            raise Malformed(_NOT_WHOLE) from None
        if not whole.sound or manifest.get("members") != seen:
            raise Malformed(_NOT_WHOLE)
        return manifest


def _counted(blocks: Iterator[bytes], moved: Callable[[int], None]) -> Iterator[bytes]:
    for block in blocks:
        moved(len(block))
        yield block


def _hashed(file: BinaryIO, digest: Any) -> Iterator[bytes]:
    while data := file.read(CHUNK):
        digest.update(data)
        yield data

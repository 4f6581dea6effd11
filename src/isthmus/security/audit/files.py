"""The files of an audit log: segments of lines, the list of checkpoints, the head and the key."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from isthmus.security.audit.record import parse
from isthmus.values.errors import ConfigError

SLOT: Final = 512
"""Bytes of one of the two places of the head; they are written in turn, so that a torn write leaves the other."""


@dataclass(frozen=True, slots=True)
class AuditFiles:
    """Paths below one folder."""

    folder: Path

    @property
    def checkpoints(self) -> Path:
        """Every checkpoint once more."""
        return self.folder / "checkpoints.jsonl"

    @property
    def head(self) -> Path:
        """The signed high-water mark."""
        return self.folder / "head"

    @property
    def key(self) -> Path:
        """The private key."""
        return self.folder / "key.pem"

    @property
    def public(self) -> Path:
        """The public key."""
        return self.folder / "public.pem"

    @property
    def aside(self) -> Path:
        """Torn lines that were taken out."""
        return self.folder / "aside"

    @property
    def restored(self) -> Path:
        """Left by a restore, for the next start to tell of."""
        return self.folder / "restored"

    def segment(self, first: int) -> Path:
        """The segment that begins with a record."""
        return self.folder / f"segment-{first:012d}.jsonl"

    def segments(self) -> list[tuple[int, Path]]:
        """(first record, file), oldest first."""
        found = []
        for path in self.folder.glob("segment-*.jsonl"):
            number = path.name.removeprefix("segment-").removesuffix(".jsonl")
            if number.isdecimal():
                found.append((int(number), path))
        return sorted(found)

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """(name, bytes) of the segments, one at a time."""
        for _, path in self.segments():
            yield path.name, path.read_bytes()

    def read_public(self) -> bytes:
        """The public key's 32 bytes."""
        return read_public(self.public)


def read_public(file: Path) -> bytes:
    """The 32 bytes of an Ed25519 public key in a PEM file.

    Raises: ConfigError
    """
    try:
        key = load_pem_public_key(file.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{file}: is no public key ({error})") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{file}: is no Ed25519 public key")
    return key.public_bytes_raw()


def open_key(files: AuditFiles) -> Ed25519PrivateKey:
    """The key that signs; made with a new log.

    Raises: ConfigError when a log has lost its key, or it does not load
    """
    if not files.key.exists():
        if files.segments():
            raise ConfigError(
                f"{files.key}: is missing, so nothing more can be signed; put it back, or move {files.folder} away to begin a new log"
            )
        key = Ed25519PrivateKey.generate()
        write_whole(files.key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    try:
        loaded = load_pem_private_key(files.key.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{files.key}: does not load ({error})") from None
    if not isinstance(loaded, Ed25519PrivateKey):
        raise ConfigError(f"{files.key}: is no Ed25519 key")
    if not files.public.exists():
        pem = loaded.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        write_whole(files.public, pem)
    return loaded


def write_whole(path: Path, data: bytes) -> None:
    """Write a 0600 file in one step, durable."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def head_slots(data: bytes) -> list[tuple[bytes, dict[str, Any] | None]]:
    """What stands in the two places of a head, and as a record where it is one."""
    found = []
    for at in (0, SLOT):
        raw = data[at : at + SLOT]
        line = raw.rstrip(b" \n")
        whole = len(raw) == SLOT and raw == slot(line)
        found.append((line, parse(line) if whole else None))
    return found


def slot(line: bytes) -> bytes:
    """A line as it stands in its place."""
    return line.ljust(SLOT - 1, b" ") + b"\n"

"""Names and where they may be used: paths of assets and tags, and segments of bus subjects and topics.

A path is `area/line/cell/name`, segments joined by `/`. In a subject a segment is `[A-Za-z0-9_-]+`; anything else is
percent-encoded by `encode_segment`, and `decode_segment` is its exact inverse.
"""

from __future__ import annotations

import re

from isthmus.values.errors import ConfigError, Malformed

_PLAIN = re.compile(r"[A-Za-z0-9_-]+\Z")
_SEGMENT_CHARS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_NAME = re.compile(r"[^\W_][\w .()+-]*\Z")
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}\Z")

MAX_SEGMENT_CHARS = 80
MAX_PATH_CHARS = 400


def encode_segment(text: str) -> str:
    """A subject segment for any text: bytes outside `[A-Za-z0-9_-]` become `%XX` (upper case); empty becomes `%`."""
    if _PLAIN.match(text):
        return text
    if not text:
        return "%"
    return "".join(chr(b) if b in _SEGMENT_CHARS else f"%{b:02X}" for b in text.encode())


def decode_segment(segment: str) -> str:
    """Inverse of `encode_segment`.

    Raises: Malformed if the segment is not one that `encode_segment` writes
    """
    if _PLAIN.match(segment):
        return segment
    if segment == "%":
        return ""
    out = bytearray()
    i = 0
    try:
        while i < len(segment):
            if segment[i] == "%":
                out.append(int(segment[i + 1 : i + 3], 16))
                i += 3
            else:
                out.append(ord(segment[i]))
                i += 1
        text = out.decode()
    except ValueError as error:
        raise Malformed(f"subject segment {segment!r} is not percent-encoded UTF-8") from error
    if encode_segment(text) != segment:
        raise Malformed(f"subject segment {segment!r} is not in canonical percent-encoding")
    return text


def check_path(path: str) -> str:
    """The path itself when it is a good one.

    Raises: ConfigError naming the bad segment
    """
    if len(path) > MAX_PATH_CHARS:
        raise ConfigError(f"path is longer than {MAX_PATH_CHARS} characters, was {path[:60]}…")
    for segment in path.split("/"):
        if not _NAME.match(segment) or len(segment) > MAX_SEGMENT_CHARS or segment != segment.strip():
            raise ConfigError(
                f"path segment {segment!r} must begin with a letter or digit and hold only letters, digits, "
                f"space and _ . ( ) + - (at most {MAX_SEGMENT_CHARS}), was {path!r}"
            )
    return path


def check_name(name: str, what: str) -> str:
    """A plain identifier: connections, edges, zones, types, classes.

    Raises: ConfigError naming ``what``
    """
    if not _IDENTIFIER.match(name):
        raise ConfigError(f"{what} must begin with a letter and hold only letters, digits, _ and -, was {name!r}")
    return name


def is_under(path: str, root: str) -> bool:
    """Whether a path is the root itself or below it; the empty root holds everything."""
    return not root or path == root or path.startswith(root + "/")

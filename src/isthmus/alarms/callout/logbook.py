"""A channel that is a file on this machine: a line of JSON for each message, on the disk when it counts as delivered."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import orjson

from isthmus.alarms.callout.texts import Message
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError, Rejected

SCHEME: Final = "file"
MOST_BYTES: Final = 10_000_000
"""A file that is longer begins anew; the one before it stays beside it with `.1` behind its name."""
_WRITING = threading.Lock()


def place_of(url: str, where: str) -> Path:
    """The file an address names.

    Raises: ConfigError
    """
    split = urlsplit(url)
    path = Path(unquote(split.path))
    if split.scheme != SCHEME or split.netloc or not path.is_absolute() or path == Path("/"):
        raise ConfigError(f"{where}: a file is named as file:///absolute/path")
    return path


def write(path: Path, message: Message, clock: Clock) -> None:
    """Add one message. Raises: Rejected"""
    line = (
        orjson.dumps(
            {
                "at": datetime.fromtimestamp(clock.now_ns() / NS_PER_S, UTC).isoformat(timespec="seconds"),
                "title": message.title,
                "text": message.body,
            }
        )
        + b"\n"
    )
    try:
        with _WRITING:
            if path.exists() and path.stat().st_size + len(line) > MOST_BYTES:
                path.replace(path.with_name(f"{path.name}.1"))
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "wb") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise Rejected(f"the file takes nothing: {error.strerror or error}") from None

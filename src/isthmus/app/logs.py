"""Logs: lines on standard error, and files below the data directory that are bounded in size and number.

Whatever looks like a secret leaves as `***`, also out of a traceback: a token, a one-time link, a session, a password in an
address or beside its name. Bounded: ``files`` of ``file_mb`` for each process, the oldest goes.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from isthmus.app.settings import LogSettings

_SECRETS = (
    (re.compile(r"\bisk_[\w-]{8,}"), "isk_***"),
    (re.compile(r"(\blink=)[\w-]{8,}"), r"\1***"),
    (re.compile(r"(isthmus_session=)[^\s;]+"), r"\1***"),
    (re.compile(r"(://[^\s/:@]+:)[^\s/@]+@"), r"\1***@"),
    (re.compile(r"(?i)(\bbearer )\S+"), r"\1***"),
    (
        re.compile(
            r"(?i)((?:password|passphrase|passwd|secret|api_?key)[\"']?\s*[:=]\s*[\"']?)(?!\*\*\*)[^\s\"',;)}]+"
        ),
        r"\1***",
    ),
)


def redacted(text: str) -> str:
    """The text without what must not be in a log."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


class Lines(logging.Formatter):
    """One line an event: time in UTC, part, level and what happened."""

    @staticmethod
    def converter(seconds: float | None) -> time.struct_time:
        """UTC."""
        return time.gmtime(seconds)

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(name)s %(levelname)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


class JsonLines(Lines):
    """The same as one JSON object a line, for a program to read."""

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "time": f"{self.formatTime(record, self.datefmt)}.{record.msecs:03.0f}Z",
            "part": record.name,
            "level": record.levelname.lower(),
            "message": redacted(record.getMessage()),
        }
        if record.exc_info:
            said["trace"] = redacted(self.formatException(record.exc_info))
        return json.dumps(said, ensure_ascii=False)


class _File(RotatingFileHandler):
    """Only the owner reads it; a disk that is full loses lines, never the process."""

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  the library's name
        """Nothing: it went to standard error already."""


def log_to_files(folder: Path, part: str, settings: LogSettings) -> None:
    """Keep what is said in files, too: <part>.log, <part>.log.1 …"""
    folder.mkdir(exist_ok=True, mode=0o700)
    handler = _File(
        folder / f"{part}.log", maxBytes=round(settings.file_mb * 2**20), backupCount=settings.files - 1, delay=True
    )
    handler.setFormatter(JsonLines() if settings.json else Lines())
    root = logging.getLogger()
    for old in [h for h in root.handlers if isinstance(h, _File)]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)

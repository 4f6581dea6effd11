"""The data directory: where everything of one installation lies, and who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from isthmus.bus.broker import BrokerFiles, write_private
from isthmus.values.errors import ConfigError

FORMAT = 1
"""Grows when an older build could no longer read the directory."""


@dataclass(frozen=True, slots=True)
class DataDir:
    """Paths below one folder."""

    root: Path

    @property
    def settings(self) -> Path:
        """Node settings."""
        return self.root / "isthmus.toml"

    @property
    def records(self) -> Path:
        """The relational records."""
        return self.root / "records.db"

    @property
    def history(self) -> Path:
        """The historian's folder."""
        return self.root / "history"

    @property
    def live(self) -> Path:
        """Snapshot of the live table."""
        return self.root / "live.snapshot"

    @property
    def bus(self) -> BrokerFiles:
        """The broker's files."""
        return BrokerFiles(self.root / "bus")

    @property
    def run(self) -> Path:
        """What matters only while something runs."""
        return self.root / "run"

    @property
    def secrets(self) -> Path:
        """What references in settings stand for."""
        return self.root / "secrets"

    @property
    def tls(self) -> Path:
        """The authority of this installation and what it vouches for."""
        return self.root / "tls"

    @property
    def logs(self) -> Path:
        """What our processes said."""
        return self.root / "logs"

    @property
    def backups(self) -> Path:
        """What is known of backups that were made."""
        return self.root / "backups.json"

    @property
    def screens(self) -> Path:
        """Screens that come along with a plant, one document a file; core publishes those it does not know."""
        return self.root / "screens"

    @property
    def audit(self) -> Path:
        """The audit log and its key."""
        return self.root / "audit"

    @property
    def imports(self) -> Path:
        """How far unfinished imports have come."""
        return self.root / "imports"

    def edge(self, name: str) -> Path:
        """What one edge keeps: its epoch and its last good model."""
        return self.root / "edges" / name

    @property
    def socket(self) -> Path:
        """Core's door for commands of this machine; elsewhere if the path is too long for a socket's name."""
        path = self.run / "core.sock"
        if len(os.fsencode(path.absolute())) < 100:
            return path
        name = sha256(os.fsencode(self.root.absolute())).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"isthmus-{os.getuid()}-{name}" / "core.sock"

    def prepare(self) -> None:
        """Make the folder if it is new, check its format if it is not.

        Raises: ConfigError for a directory of a newer build, or one that cannot be written
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.run.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigError(f"data directory {self.root}: cannot be made: {error.strerror}") from error
        marker = self.root / "format.json"
        if not marker.exists():
            write_private(marker, json.dumps({"format": FORMAT}))
            return
        try:
            found = int(json.loads(marker.read_text())["format"])
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{marker}: unreadable ({error}); restore it from a backup or remove it if the data is ours"
            ) from error
        if found > FORMAT:
            raise ConfigError(
                f"data directory {self.root}: written by a newer Isthmus (format {found}, this build reads up to "
                f"{FORMAT}); install that version, nothing was changed"
            )

    def lock(self, part: str) -> Lock:
        """Hold the directory (or one part of it) for this process.

        Raises: ConfigError naming the process that holds it
        """
        return Lock(self.run / f"{part}.lock", part, self.root)


class Lock:
    """An advisory lock that the system releases when the process is gone, however it went."""

    def __init__(self, path: Path, part: str, root: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = path.open("a+")
        for attempt in range(20):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if attempt < 19:
                    time.sleep(0.05)  # the one before us may be a killed process whose children are just leaving
                    continue
                self._file.seek(0)
                holder = self._file.read().strip() or "unknown"
                self._file.close()
                raise ConfigError(
                    f"data directory {root}: {part} already runs there (process {holder}); stop it or use another --data"
                ) from None
        self._file.seek(0)
        self._file.truncate()
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Give it back."""
        self._file.close()

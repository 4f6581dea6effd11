"""Where secrets lie: one 0600 file each below the data directory, read at the moment they are needed."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from isthmus.bus.broker import write_private
from isthmus.values.errors import ConfigError
from isthmus.values.secrets import check_reference

MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of one data directory, by name."""

    folder: Path

    def reveal(self, reference: str) -> str:
        """What a reference stands for.

        Raises: ConfigError naming the reference, and what to do
        """
        kind, _, name = check_reference(reference, "secret").partition(":")
        if kind == "env":
            value = os.environ.get(name)
            if value is None:
                raise ConfigError(f"{reference}: the environment variable is not set where the edge runs")
            return value
        file = self.folder / name
        try:
            if stat.S_IMODE(file.stat().st_mode) & 0o077:
                raise ConfigError(f"{reference}: others may read {file}; chmod 600 it")
            return file.read_text()
        except FileNotFoundError:
            raise ConfigError(f"{reference}: not set here; run `isthmus secret set {name}` on this machine") from None

    def set(self, name: str, value: str) -> None:
        """Keep a secret, or replace it.

        Raises: ConfigError for a name or a value that cannot be kept
        """
        check_reference(f"secret:{name}", "name")
        if not value or len(value.encode()) > MAX_BYTES:
            raise ConfigError(f"secret {name}: must have 1 to {MAX_BYTES} bytes, has {len(value.encode())}")
        write_private(self.folder / name, value)

    def remove(self, name: str) -> None:
        """Forget one.

        Raises: ConfigError if there is none of that name
        """
        check_reference(f"secret:{name}", "name")
        try:
            (self.folder / name).unlink()
        except FileNotFoundError:
            raise ConfigError(f"secret {name}: there is none") from None

    def names(self) -> list[str]:
        """All names, never a value."""
        return sorted(p.name for p in self.folder.glob("*") if p.is_file()) if self.folder.exists() else []

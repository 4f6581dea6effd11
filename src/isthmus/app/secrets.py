"""Where secrets lie: one sealed 0600 file each below the data directory, read at the moment they are needed."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from isthmus.app.sealing import Sealer, is_sealed
from isthmus.bus.broker import write_private
from isthmus.values.errors import ConfigError
from isthmus.values.secrets import check_reference

MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of one data directory, by name. One that lies there in plain text is sealed when it is first read."""

    folder: Path
    sealer: Sealer

    @classmethod
    def of(cls, root: Path, key_file: str = "") -> Secrets:
        """Those of a data directory."""
        return cls(root / "secrets", Sealer.of(root, key_file))

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
            data = file.read_bytes()
        except FileNotFoundError:
            raise ConfigError(f"{reference}: not set here; run `isthmus secret set {name}` on this machine") from None
        if is_sealed(data):
            return self.sealer.unseal(data, f"secret:{name}").decode()
        try:
            value = data.decode()
        except UnicodeDecodeError:
            raise ConfigError(f"{reference}: is damaged; run `isthmus secret set {name}`") from None
        self._keep(name, data)
        return value

    def set(self, name: str, value: str) -> None:
        """Keep a secret, or replace it.

        Raises: ConfigError for a name or a value that cannot be kept
        """
        check_reference(f"secret:{name}", "name")
        if not value or len(value.encode()) > MAX_BYTES:
            raise ConfigError(f"secret {name}: must have 1 to {MAX_BYTES} bytes, has {len(value.encode())}")
        self._keep(name, value.encode())

    def reseal(self) -> int:
        """Seal everything that lies in plain text or under an older key by the newest one; how many that were.

        Raises: ConfigError naming one that cannot be read; those before it are done
        """
        done = 0
        for name in self.names():
            data = (self.folder / name).read_bytes()
            if not self.sealer.is_current(data):
                self._keep(name, self.sealer.unseal(data, f"secret:{name}") if is_sealed(data) else data)
                done += 1
        return done

    def seal_plain(self) -> None:
        """Seal what lies in plain text, from before secrets were sealed or put there by a tool.

        Raises: ConfigError if there is such a one and no usable key
        """
        for name in self.names():
            data = (self.folder / name).read_bytes()
            if not is_sealed(data):
                self._keep(name, data)

    def _keep(self, name: str, value: bytes) -> None:
        write_private(self.folder / name, self.sealer.seal(value, f"secret:{name}"))

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
        return sorted(p.name for p in self.folder.glob("[!.]*") if p.is_file()) if self.folder.exists() else []

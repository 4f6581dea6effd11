"""What stands at an edge until somebody changes it: modes of zones, locks, trips that fired. Kept over a restart.

A file that cannot be read is no reason to let anything pass: every zone is halted until core has told the modes again.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from isthmus.values.errors import Malformed
from isthmus.values.ids import is_under
from isthmus.values.messages.control import Mode

MOST_LOCKS = 10_000
MOST_ZONES = 1_000


@dataclass(frozen=True, slots=True)
class Lock:
    """While it stands, nothing at its path or below is written; connections/NAME is all behind a connection."""

    path: str
    who: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Fired:
    """A trip that has not been reset. ``cause`` is what was true first. Units: at_ns UTC"""

    at_ns: int
    cause: str


@dataclass(slots=True)
class _Kept:
    modes: dict[str, Mode] = field(default_factory=dict)
    unnamed: Mode = Mode.NORMAL  # of every zone that core did not name
    locks: tuple[Lock, ...] = ()
    fired: dict[str, Fired] = field(default_factory=dict)


class Standing:
    """What stands, in memory and in a file that is replaced as a whole. Cost: one flush of the disk a change"""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.damaged = False
        self._kept = self._read()

    def mode(self, zone: str) -> Mode:
        """What a zone lets pass."""
        return self._kept.modes.get(zone, self._kept.unnamed)

    def lock(self, path: str, connection: str) -> str:
        """Who locked a tag out, and why; empty where nobody did."""
        for lock in self._kept.locks:
            if is_under(path, lock.path) or lock.path == f"connections/{connection}":
                return f"{lock.who}: {lock.why}" if lock.why else lock.who
        return ""

    @property
    def modes(self) -> Mapping[str, Mode]:
        """The zones that core named."""
        return self._kept.modes

    @property
    def locks(self) -> tuple[Lock, ...]:
        """All locks."""
        return self._kept.locks

    @property
    def fired(self) -> Mapping[str, Fired]:
        """Trips that have not been reset, by name."""
        return self._kept.fired

    def set_modes(self, modes: Mapping[str, Mode]) -> None:
        """All modes there are. Raises: OSError; then they stand in memory, as what is stricter must hold at once"""
        self._kept.modes, self._kept.unnamed = dict(modes), Mode.NORMAL
        self._write()

    def set_locks(self, locks: tuple[Lock, ...]) -> None:
        """All locks there are. Raises: OSError, as ``set_modes``"""
        self._kept.locks = locks
        self._write()

    def fire(self, trip: str, fired: Fired) -> None:
        """A trip fired; in memory, until ``keep``."""
        self._kept.fired[trip] = fired

    def reset(self, trip: str) -> None:
        """A person reset a trip; in memory, until ``keep``."""
        self._kept.fired.pop(trip, None)

    def keep(self) -> None:
        """Put it on the disk. Raises: OSError"""
        self._write()

    def _read(self) -> _Kept:
        try:
            raw = orjson.loads(self._file.read_bytes())
            return _Kept(
                modes_of(raw["modes"]),
                Mode(raw["unnamed"]),
                locks_of(raw["locks"]),
                {str(name): Fired(int(one["at_ns"]), str(one["cause"])) for name, one in raw["fired"].items()},
            )
        except FileNotFoundError:
            return _Kept()
        except (OSError, ValueError, KeyError, TypeError, AttributeError, Malformed):
            self.damaged = True
            return _Kept(unnamed=Mode.HALTED)

    def _write(self) -> None:
        kept = self._kept
        said: dict[str, Any] = {
            "modes": kept.modes,
            "unnamed": kept.unnamed,
            "locks": [asdict(lock) for lock in kept.locks],
            "fired": {name: asdict(one) for name, one in kept.fired.items()},
        }
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self._file.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(orjson.dumps(said))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._file)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise


def modes_of(raw: Any) -> dict[str, Mode]:
    """Modes as a message or the file has them.

    Raises: Malformed
    """
    if not isinstance(raw, dict) or len(raw) > MOST_ZONES or not all(isinstance(zone, str) for zone in raw):
        raise Malformed("modes must be a mapping from zone to mode")
    try:
        return {zone: Mode(mode) for zone, mode in raw.items()}
    except ValueError as error:
        raise Malformed(f"modes: {error}") from error


def locks_of(raw: Any) -> tuple[Lock, ...]:
    """Locks as a message or the file has them.

    Raises: Malformed
    """
    if not isinstance(raw, list) or len(raw) > MOST_LOCKS:
        raise Malformed(f"locks must be a list of at most {MOST_LOCKS}")
    found = []
    for one in raw:
        said = {key: one.get(key, "") for key in ("path", "who", "why")} if isinstance(one, dict) else {}
        if not said or "path" not in one or not all(isinstance(text, str) for text in said.values()):
            raise Malformed("a lock needs path, who and why, all texts")
        found.append(Lock(**said))
    return tuple(found)

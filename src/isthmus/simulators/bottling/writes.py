"""What came over the wire to a controller of the hall: a line of JSON for each write, for whoever counts them.

It stands beside the state of the hall, in `writes/CONTROLLER.jsonl`, and begins anew at eight megabytes; the one before is kept.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Final

import orjson

from isthmus.simulators.modbus import WriteFrame
from isthmus.values.clock import Clock

MAX_BYTES: Final = 8 * 1024 * 1024


class WriteLog:
    """The file of one controller, made with its first write."""

    def __init__(self, state_dir: Path, plc: str, clock: Clock) -> None:
        self._file, self._clock = _file(state_dir, plc), clock

    def add(self, write: WriteFrame | Any) -> None:
        """One write, as a server told it: a dataclass."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        if self._file.exists() and self._file.stat().st_size > MAX_BYTES:
            self._file.replace(self._file.with_suffix(".old"))
        line = orjson.dumps({"at_ns": self._clock.now_ns(), **dataclasses.asdict(write)}, default=str)
        with self._file.open("ab") as out:
            out.write(line + b"\n")


def writes(state_dir: Path, plc: str) -> list[dict[str, Any]]:
    """All writes that came to a controller, oldest first; what is half written now is left for the next look."""
    found = []
    for file in (_file(state_dir, plc).with_suffix(".old"), _file(state_dir, plc)):
        if file.exists():
            found += [orjson.loads(line) for line in file.read_bytes().split(b"\n")[:-1]]
    return found


def _file(state_dir: Path, plc: str) -> Path:
    return state_dir / "writes" / f"{plc}.jsonl"

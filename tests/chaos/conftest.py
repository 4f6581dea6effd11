"""What the drills share: a volume that can be filled, and waiting for a state with a generous deadline."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MB = 2**20


class Volume:
    """A place for a data directory whose free space goes below the reserve and comes back as the test wishes.

    A small file system in memory where we may mount one; elsewhere the real one, with a reserve just above what the
    ballast leaves free.
    """

    def __init__(self, folder: Path, *, small: bool) -> None:
        self.folder, self.small = folder, small
        self._ballast = folder / "ballast"
        if small:
            self.reserve_mb = 32
        else:
            self._allocate(2048 * MB)
            self.reserve_mb = shutil.disk_usage(folder).free // MB + 1024  # others use this volume at the same time
            self.release()

    def fill(self, left_mb: int = 4) -> None:
        """Take what is free, but for some megabytes."""
        if not self.small:
            self._allocate(2048 * MB)
            return
        while (room := shutil.disk_usage(self.folder).free - left_mb * MB) > 0:
            try:
                with self._ballast.open("ab") as file:
                    file.write(bytes(min(room, MB)))
            except OSError:
                return

    def release(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def _allocate(self, size: int) -> None:
        with self._ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)


@pytest.fixture
def volume(tmp_path: Path):
    place = tmp_path / "volume"
    place.mkdir()
    mounted = False
    if sys.platform == "linux" and os.geteuid() == 0:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=384m", "none", str(place)], check=True, capture_output=True
            )
            mounted = True
    filled = Volume(place, small=mounted)
    yield filled
    filled.release()
    if mounted:
        subprocess.run(["umount", "-l", str(place)], check=True)


async def _until(look: Callable[[], Any], what: str, timeout_s: float = 90) -> Any:
    deadline = time.monotonic() + timeout_s
    found: Any = None
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError, KeyError):
            found = await asyncio.to_thread(look)
            if found:
                return found
        await asyncio.sleep(0.2)
    raise AssertionError(f"{what}: not within {timeout_s:g} s, last seen {found!r}")


@pytest.fixture
def until():
    """``await until(look, what)`` asks again and again, in a thread, until the answer is true; gives that answer."""
    return _until

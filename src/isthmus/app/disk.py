"""The free-space reserve: below it nothing more is written, so that the machine stays usable and reading goes on."""

from __future__ import annotations

import shutil
import time
from pathlib import Path


class DiskReserve:
    """Looks at most once a second; ``reason()`` is empty while there is room.

    Units: reserve_bytes; writing resumes when a tenth more than the reserve, at most 64 MB, is free, so that it does
           not flutter
    """

    def __init__(self, folder: Path, reserve_bytes: int) -> None:
        self._folder, self._reserve_bytes = folder, reserve_bytes
        self._looked_at = 0.0
        self._full = False
        self.free_bytes = 0

    def reason(self) -> str:
        """Why nothing may be written now, in words, or the empty string."""
        now = time.monotonic()
        if now - self._looked_at >= 1 or not self._looked_at:
            self._looked_at = now
            self.free_bytes = shutil.disk_usage(self._folder).free
            more = min(self._reserve_bytes // 10, 64 * 2**20) if self._full else 0
            self._full = self.free_bytes < self._reserve_bytes + more
        if not self._full:
            return ""
        return (
            f"disk is full: {self.free_bytes // 2**20} MB free on the data volume, "
            f"{self._reserve_bytes // 2**20} MB are kept in reserve; free some space"
        )

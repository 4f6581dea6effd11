"""A consistent snapshot of a living installation, held for the command that copies it.

What belongs together is fixed in this order: how far every reader of the bus is (A), the historian's tables between two
commits, the end of the bus's stream (B), the records. Frames after A up to B are copied too, so every frame that the bus had
confirmed when the snapshot was taken is in the historian's tables, or among these frames, or in both: what a room has
stored already it ignores when the frame comes again. Records come last, so they know every tag that a sample can name.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import isthmus
from isthmus.app.datadir import FORMAT, DataDir
from isthmus.app.disk import DiskReserve
from isthmus.app.frozen import clear_snapshot, snapshot_folder
from isthmus.app.migrate import HEAD
from isthmus.bus.client import Bus
from isthmus.historian import schema
from isthmus.historian.freeze import FrozenTable, freeze
from isthmus.historian.service import Historian
from isthmus.values.errors import Denied, TryLater


class Snapshots:
    """One snapshot at a time. Given up when its owner is gone, or by the next start."""

    def __init__(
        self,
        data: DataDir,
        bus: Bus,
        historian: Historian,
        reserve: DiskReserve,
        *,
        embedded: bool,
        log: logging.Logger,
    ) -> None:
        self._data, self._bus, self._historian, self._reserve, self._log = data, bus, historian, reserve, log
        self._embedded = embedded
        self._held = ""
        self._owner = 0
        self._taking = asyncio.Lock()

    @property
    def folder(self) -> Path:
        """Where copies lie that cannot be links."""
        return snapshot_folder(self._data)

    def clear(self) -> None:
        """Remove what a killed core or command left."""
        clear_snapshot(self._data, embedded=self._embedded)

    async def hold(self, owner: int) -> dict[str, Any]:
        """Take a snapshot; where its parts lie.

        Raises: Denied (backup_running), TryLater when the disk has no room
        """
        async with self._taking:
            if self._held and _lives(self._owner):
                raise Denied(f"process {self._owner} makes a backup already; wait for it", "backup_running")
            if reason := self._reserve.reason():
                raise TryLater(reason, 60.0)
            await asyncio.to_thread(self.clear)
            ident = secrets.token_hex(8)
            self._held, self._owner = ident, owner
            try:
                return await self._take(ident)
            except BaseException:
                self._held = ""
                await asyncio.to_thread(self.clear)
                raise

    async def _take(self, ident: str) -> dict[str, Any]:
        handled = await self._bus.acknowledged()
        tables: list[FrozenTable] = []
        if self._embedded:
            history = self._data.history
            tables = await self._historian.alone(lambda store: freeze(store, history, ident))
        _, last, _ = await self._bus.stream_state()
        records = self.folder / "records.db"
        await asyncio.to_thread(_copy_records, self._data.records, records)
        return {
            "id": ident,
            "version": isthmus.__version__,
            "format": FORMAT,
            "records": {"file": str(records), "revision": HEAD},
            "historian": {
                "schema": schema.VERSION,
                "embedded": self._embedded,
                "tables": [
                    {"name": t.name, "create": t.create, "folder": str(t.folder), "rows": t.rows} for t in tables
                ],
            },
            "bus": {"first": handled + 1, "last": last},
        }

    async def release(self, ident: str) -> None:
        """Let it go.

        Raises: NotFound
        """
        from isthmus.web.problems import NotFound  # what serves is loaded after the record goes on

        if not self._held or ident != self._held:
            raise NotFound("there is no such snapshot; core may have been started again since", "unknown_snapshot")
        await self._let_go()

    async def _let_go(self) -> None:
        self._held = ""
        await asyncio.to_thread(self.clear)

    async def watch(self) -> None:
        """Let the snapshot of an owner go that died."""
        if self._held and not _lives(self._owner):
            self._log.warning("a backup was cut off; its snapshot is let go")
            await self._let_go()


def _copy_records(source: Path, target: Path) -> None:
    """SQLite's own online copy, in small steps so that writers go on in between."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with closing(sqlite3.connect(source)) as from_, closing(sqlite3.connect(target)) as to:
        from_.backup(to, pages=1024, sleep=0.001)
        to.execute("PRAGMA journal_mode=DELETE")
        problem = to.execute("PRAGMA quick_check").fetchone()[0]
    if problem != "ok":
        raise TryLater(f"the copy of the records is not whole: {problem}")
    target.chmod(0o600)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

"""Where a snapshot keeps what it holds, and how that goes: before the record opens, and so before most of core is loaded."""

from __future__ import annotations

import shutil
from pathlib import Path

from isthmus.app.datadir import DataDir
from isthmus.historian.freeze import thaw


def snapshot_folder(data: DataDir) -> Path:
    """Where copies lie that cannot be links."""
    return data.run / "snapshot"


def clear_snapshot(data: DataDir, *, embedded: bool) -> None:
    """Remove what a killed core or command left of a snapshot."""
    shutil.rmtree(snapshot_folder(data), ignore_errors=True)
    if embedded:
        thaw(data.history)

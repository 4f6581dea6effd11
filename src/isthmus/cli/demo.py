"""`isthmus demo`: a working bottling hall, and faults in it on command."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add the commands."""

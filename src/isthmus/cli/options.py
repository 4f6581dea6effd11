"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isthmus.app.part import DEFAULT_DATA as DEFAULT_DATA  # noqa: PLC0414  the commands find it among the options

Data = Annotated[Path, typer.Option("--data", metavar="DIR", help="Data directory of the installation.")]
Port = Annotated[int | None, typer.Option("--port", min=1, max=65535, help="Port of screens and API (8420).")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
JsonLog = Annotated[bool, typer.Option("--json", help="Say each event as a line of JSON.")]

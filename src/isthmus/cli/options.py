"""Options that several commands share."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from isthmus.app.datadir import DataDir
from isthmus.app.settings import Settings, load_settings

DEFAULT_DATA = Path("data")

Data = Annotated[Path, typer.Option("--data", metavar="DIR", help="Data directory of the installation.")]
Port = Annotated[int | None, typer.Option("--port", min=1, max=65535, help="Port of screens and API (8420).")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Supervised = Annotated[bool, typer.Option("--supervised", hidden=True)]
JsonLog = Annotated[bool, typer.Option("--json", help="Say each event as a line of JSON.")]


def node_settings(place: DataDir, as_json: bool) -> Settings:
    """Settings of this machine, as its file and a command's --json say."""
    settings = load_settings(place.settings)
    return dataclasses.replace(settings, log=dataclasses.replace(settings.log, json=settings.log.json or as_json))

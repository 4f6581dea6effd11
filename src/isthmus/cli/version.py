"""`isthmus --version`, and what `isthmus` alone says."""

from __future__ import annotations

import json
import platform
from typing import Annotated

import typer

from isthmus import MATERIALS, __version__


def register(app: typer.Typer) -> None:
    """Add the options of the bare command."""
    app.callback(invoke_without_command=True)(main)


def main(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --version: for a program, with where the SBOM is.")
    ] = False,
) -> None:
    """The land bridge between operational technology and information technology."""
    if version and as_json:
        found = str(MATERIALS) if MATERIALS.exists() else None
        print(json.dumps({"version": __version__, "python": platform.python_version(), "sbom": found}))
    elif version:
        print(f"isthmus {__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)
    else:
        return
    raise typer.Exit

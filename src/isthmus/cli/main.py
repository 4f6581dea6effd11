"""`isthmus`: one command per wish. Heavy parts are imported by the command that needs them."""

from __future__ import annotations

import json
import platform
import sys
from typing import Annotated

import typer

from isthmus import MATERIALS, __version__
from isthmus.cli import (
    access,
    audit,
    backup,
    bench,
    browse,
    change,
    demo,
    device,
    plant,
    policy,
    processes,
    record,
    secret,
    service,
    transfer,
)
from isthmus.values.errors import IsthmusError

app = typer.Typer(
    name="isthmus",
    add_completion=False,
    pretty_exceptions_enable=False,
)
for room in (
    processes,
    plant,
    change,
    browse,
    record,
    access,
    policy,
    audit,
    secret,
    device,
    demo,
    bench,
    backup,
    service,
    transfer,
):
    room.register(app)


@app.callback(invoke_without_command=True)
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


def run() -> None:
    """The command's entry: a declared error is one clear message and exit code 2, never a traceback."""
    try:
        app()
    except IsthmusError as error:
        print(f"isthmus: {error}", file=sys.stderr)
        sys.exit(2)

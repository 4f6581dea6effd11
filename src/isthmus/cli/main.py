"""`isthmus`: one command per wish. Heavy parts are imported by the command that needs them."""

from __future__ import annotations

import sys

import typer

from isthmus.cli import (
    access,
    backup,
    bench,
    browse,
    demo,
    device,
    enrol,
    expose,
    plant,
    processes,
    record,
    secret,
    service,
    transfer,
)
from isthmus.values.errors import IsthmusError

app = typer.Typer(
    name="isthmus",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="The land bridge between operational technology and information technology.",
)
for room in (
    processes,
    enrol,
    expose,
    plant,
    browse,
    record,
    access,
    secret,
    device,
    demo,
    bench,
    backup,
    service,
    transfer,
):
    room.register(app)


def run() -> None:
    """The command's entry: a declared error is one clear message and exit code 2, never a traceback."""
    try:
        app()
    except IsthmusError as error:
        print(f"isthmus: {error}", file=sys.stderr)
        sys.exit(2)

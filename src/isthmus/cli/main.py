"""`isthmus`: one command per wish. Heavy parts are imported by the command that needs them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from isthmus.app.part import read, start
from isthmus.values.errors import IsthmusError

if TYPE_CHECKING:
    import typer


def command_line() -> typer.Typer:
    """All commands."""
    import typer

    from isthmus.cli import (
        access,
        audit,
        backup,
        bench,
        browse,
        change,
        control,
        demo,
        device,
        enrol,
        expose,
        plant,
        policy,
        processes,
        production,
        record,
        secret,
        service,
        transfer,
        version,
    )

    app = typer.Typer(name="isthmus", add_completion=False, pretty_exceptions_enable=False)
    rooms = (
        *(version, processes, enrol, expose, plant, change, control, browse, record, production, access, policy, audit),
        *(secret, device, demo, bench, backup, service, transfer),
    )
    for room in rooms:
        room.register(app)
    return app


def run() -> None:
    """The command's entry: a declared error is one clear message and exit code 2, never a traceback."""
    try:
        wish = read(sys.argv[1:])
        if wish is not None:
            sys.exit(start(wish))
        command_line()()
    except IsthmusError as error:
        print(f"isthmus: {error}", file=sys.stderr)
        sys.exit(2)

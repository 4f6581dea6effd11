"""`isthmus edge`: runs an edge; its subcommands bring edges of other machines in, and cut them off."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer

from isthmus.app.datadir import DataDir
from isthmus.app.local import call
from isthmus.app.part import Wish, start
from isthmus.app.settings import load_settings
from isthmus.cli.options import DEFAULT_DATA, Data, Json, JsonLog
from isthmus.values.errors import NotConnected

edge = typer.Typer(
    help="Run one edge alone; or bring edges of other machines in: invite, join, list, revoke.",
    invoke_without_command=True,
)

EdgeName = Annotated[str, typer.Argument(metavar="NAME", help="The edge, as the plant file names it.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(edge, name="edge")


@edge.callback()
def run_edge(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="Which edge of the plant this is.")] = "edge-1",
    data: Data = DEFAULT_DATA,
    bus: Annotated[Path | None, typer.Option(help="Bus address file, if it lies elsewhere.")] = None,
    as_json: JsonLog = False,
) -> None:
    """Run one edge alone: polls its devices and publishes to the bus, with or without core."""
    if context.invoked_subcommand is not None:
        return
    sys.exit(start(Wish("edge", data, name=name, bus=bus, json=as_json)))


@edge.command()
def invite(name: EdgeName, data: Data = DEFAULT_DATA) -> None:
    """Print a join token for an edge on another machine: good once, for 15 minutes."""
    print(call(data, "POST", "edges/invites", {"edge": name})["token"])


@edge.command()
def join(
    token: Annotated[str, typer.Argument(help="What `isthmus edge invite` printed; - reads it from standard input.")],
    data: Data = DEFAULT_DATA,
) -> None:
    """Enrol this machine as the edge of a join token: makes its keys, gets its certificate, writes where the bus is."""
    from isthmus.app import join as parts

    name = parts.join(sys.stdin.read(4096) if token == "-" else token, DataDir(data.resolve()))  # noqa: S105  a dash, not a token
    print(f"joined as {name}; start it by `isthmus edge --name {name} --data {data}`")


@edge.command("list")
def list_edges(data: Data = DEFAULT_DATA, as_json: Json = False) -> None:
    """List edges of other machines that may come."""
    found = call(data, "GET", "edges/enrolled")["edges"]
    if as_json:
        print(json.dumps(found))
        return
    for one in found:
        print(
            f"{one['edge']:<20} since {one['since']}  from {one['source']}  certificate until {one['certificate_expires']}"
        )


@edge.command()
def revoke(name: EdgeName, data: Data = DEFAULT_DATA) -> None:
    """Cut an edge off at once; also when nothing runs here."""
    try:
        call(data, "DELETE", f"edges/enrolled/{quote(name, safe='')}")
    except NotConnected:
        from isthmus.app.enrolment import Enrolment
        from isthmus.values.clock import SystemClock

        place = DataDir(data.resolve())
        settings = load_settings(place.settings)
        Enrolment(place, settings, settings.web.port, SystemClock()).revoke(name)

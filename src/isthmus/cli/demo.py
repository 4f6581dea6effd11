"""`isthmus demo`: a working bottling hall, and faults in it on command."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from isthmus.app.datadir import DataDir
from isthmus.app.settings import load_settings
from isthmus.cli.options import Port
from isthmus.values.units import parse_duration_s

demo = typer.Typer(invoke_without_command=True, help="A working bottling hall with everything on it.")
Data = Annotated[Path, typer.Option("--data", metavar="DIR", help="Data directory of the demo.")]
DEFAULT_DATA = Path("data/demo")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(demo, name="demo")


@demo.callback()
def run_all(
    context: typer.Context,
    data: Data = DEFAULT_DATA,
    port: Port = None,
    scale: Annotated[int, typer.Option(min=0, max=50_000, help="Tags of extra load servers.")] = 0,
) -> None:
    """Run the demo; Ctrl-C stops it. Its data stays and grows from run to run."""
    if context.invoked_subcommand is not None:
        return
    from isthmus.app.demo import run_demo
    from isthmus.app.process import run

    place = DataDir(data.resolve())
    settings = load_settings(place.settings)

    async def main(stop: asyncio.Event, log: logging.Logger) -> None:
        await run_demo(place, settings, port or settings.web.port, scale, stop, log)

    sys.exit(run("demo", main, structured=settings.log.json))


def _plcs() -> list[str]:
    from isthmus.simulators.bottling.maps import CONNECTIONS
    from isthmus.simulators.bottling.rig import SENSORS

    return [*CONNECTIONS, SENSORS]


@demo.command()
def fault(
    name: Annotated[str | None, typer.Argument(help="Which fault; none lists them.")] = None,
    duration: Annotated[str, typer.Option("--for", help="How long, e.g. 60s.")] = "60 s",
    data: Data = DEFAULT_DATA,
) -> None:
    """Let something go wrong."""
    from isthmus.app.demo import inject
    from isthmus.simulators.bottling.faults import FAULTS

    if name is None:
        for known, what in sorted(FAULTS.items()):
            print(f"{known:<24} {what.description}")
        return
    seconds = parse_duration_s(duration)
    inject(DataDir(data.resolve()), name, seconds)
    print(f"{name} for {seconds:g} s")


@demo.command()
def stop(plc: str, data: Data = DEFAULT_DATA) -> None:
    """Pull the plug of one simulated PLC, or of the sensors."""
    from isthmus.app.demo import stop_plc

    stop_plc(DataDir(data.resolve()), plc, _plcs())
    print(f"{plc} stops; watch its values turn stale on screen")


@demo.command()
def start(plc: str, data: Data = DEFAULT_DATA) -> None:
    """Put the plug back."""
    from isthmus.app.demo import start_plc

    start_plc(DataDir(data.resolve()), plc, _plcs())
    print(f"{plc} starts again")

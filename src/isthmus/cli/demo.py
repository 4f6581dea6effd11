"""`isthmus demo`: a working bottling hall, and faults in it on command."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from isthmus.app.datadir import DataDir
from isthmus.app.settings import load_settings
from isthmus.cli.options import Json, Port
from isthmus.values.errors import ConfigError
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
    history: Annotated[
        str, typer.Option(metavar="DAYS", help="A past to begin with, e.g. 90d; on a new data directory.")
    ] = "",
) -> None:
    """Run the demo; Ctrl-C stops it. Its data stays and grows from run to run."""
    if context.invoked_subcommand is not None:
        return
    from isthmus.app.demo import run_demo
    from isthmus.app.demo_history import MOST_DAYS
    from isthmus.app.process import run

    days = round(parse_duration_s(history) / 86_400) if history else 0
    if history and not 1 <= days <= MOST_DAYS:
        raise ConfigError(f"history: must be from 1 d to {MOST_DAYS} d, was {history}")
    place = DataDir(data.resolve())
    settings = load_settings(place.settings)

    async def main(stop: asyncio.Event, log: logging.Logger) -> None:
        await run_demo(place, settings, port or settings.web.port, scale, stop, log, days)

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
def trial(
    machine: Annotated[str, typer.Argument(help="filler, capper, labeller or palletiser.")],
    cause: Annotated[int, typer.Argument(help="Number of the cause, as its tag `cause` shows it.")],
    between: Annotated[str, typer.Option(help="Mean time between two such faults after the change, e.g. 2h.")] = "",
    repair: Annotated[str, typer.Option(help="Mean time to mend one after the change, e.g. 60s.")] = "",
    seeds: Annotated[int, typer.Option(min=2, max=100, help="How many seeds.")] = 20,
    days: Annotated[int, typer.Option(min=1, max=30, help="Days of each seed.")] = 1,
    as_json: Json = False,
) -> None:
    """Try a change to a machine on simulated days, the same ones before and after; no running demo is touched."""
    from rich.progress import Progress

    from isthmus.simulators.bottling.trial import Change, compare

    try:
        change = Change(machine, cause, *(parse_duration_s(text) if text else None for text in (between, repair)))
    except ValueError as error:
        raise ConfigError(str(error)) from None
    with Progress(transient=True) as bar:
        task = bar.add_task("living through the days", total=1.0)
        found = compare(change, range(1, seeds + 1), days, progress=lambda share: bar.update(task, completed=share))
    rows = {"stopped_min": found.stopped_min, "downtime_min": found.downtime_min, "good": found.good}
    if as_json:
        names = ("difference", "low", "high")
        told = {
            key: {"before": e.before.tolist(), "after": e.after.tolist()} | {n: getattr(e, n) for n in names}
            for key, e in rows.items()
        }
        print(json.dumps({"seeds": list(found.seeds), "days": found.days} | told))
        return
    words = {"stopped_min": "min stood for it", "downtime_min": "min the filler stood", "good": "good bottles"}
    for key, e in rows.items():
        print(
            f"{words[key]:<22} {e.before.mean():>12,.1f} -> {e.after.mean():>12,.1f} a day, "
            f"{e.difference:+,.1f} (95 %: {e.low:+,.1f} to {e.high:+,.1f})"
        )
    print(f"{seeds} seeds of {days} d, the same before and after")


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

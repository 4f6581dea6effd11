"""Commands that run something: `up` and its parts, `init`."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from isthmus.app.datadir import DataDir
from isthmus.app.settings import load_settings
from isthmus.cli.options import DEFAULT_DATA, Data, Port

Supervised = Annotated[bool, typer.Option("--supervised", hidden=True)]

_SETTINGS = """\
# Settings of this node. Everything has a default; what stands here is checked, unknown keys are refused.

# [web]
# host = "127.0.0.1"     # loopback only
# port = 8420

# [node]
# edges = ["edge-1"]     # edges that `isthmus up` starts on this machine

# [disk]
# reserve_mb = 512       # below this much free space nothing more is recorded; reading goes on

# [historian]
# url = ""               # empty: embedded; or a ClickHouse server, "http://user@host:8123/database"

# [mqtt]
# listen = ""            # "127.0.0.1:1883" switches the MQTT listener for devices on; admit them by `isthmus device add`
# certificate = ""       # PEM files: with them devices speak TLS
# key = ""
"""

_PLANT = """\
# The whole plant as one reviewable file. `isthmus plan plant.yaml` shows what would change, `isthmus apply` does it.
plant: {enterprise: my-company, site: my-site, timezone: UTC}

connections: {}
#  plc1: {driver: modbus-tcp, host: 192.0.2.10, port: 502}

types: {}
#  pump:
#    tags:
#      speed: {unit: 1/min, range: [0, 3000], decimals: 0, at: "hr {base} float32"}

assets: {}
#  area1/line1/pump1: {type: pump, source: plc1, with: {base: 100}}
"""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(init)
    app.command()(up)
    app.command()(core)
    app.command()(edge)
    app.command()(listener)


def init(data: Data = DEFAULT_DATA) -> None:
    """Make a data directory with commented settings and an empty plant file."""
    place = DataDir(data)
    place.prepare()
    for file, text in ((place.settings, _SETTINGS), (place.root / "plant.yaml", _PLANT)):
        if not file.exists():
            file.write_text(text)
            print(f"wrote {file}")
    print(
        f"next: edit {place.root / 'plant.yaml'}, then `isthmus up --data {data}` and `isthmus apply` in another terminal"
    )


def up(data: Data = DEFAULT_DATA, port: Port = None) -> None:
    """Run everything of this machine: bus, core and edges. Ctrl-C stops it cleanly."""
    from isthmus.app.process import run
    from isthmus.app.up import run_up

    place = DataDir(data.resolve())
    settings = load_settings(place.settings)

    async def main(stop: asyncio.Event, log: logging.Logger) -> None:
        await run_up(place, settings, port or settings.web.port, stop, log)

    sys.exit(run("up", main))


def core(data: Data = DEFAULT_DATA, port: Port = None, supervised: Supervised = False) -> None:
    """Run core alone: model, live values, historian, API and screens."""
    from isthmus.app.core import run_core
    from isthmus.app.process import run

    place = DataDir(data.resolve())
    settings = load_settings(place.settings)

    async def main(stop: asyncio.Event, log: logging.Logger) -> None:
        await run_core(place, settings, port or settings.web.port, stop, log)

    sys.exit(run("core", main, supervised=supervised))


def edge(
    name: Annotated[str, typer.Option(help="Which edge of the plant this is.")] = "edge-1",
    data: Data = DEFAULT_DATA,
    bus: Annotated[Path | None, typer.Option(help="Bus address file, when core is on another host.")] = None,
    supervised: Supervised = False,
) -> None:
    """Run one edge alone: polls its devices and publishes to the bus, with or without core."""
    from isthmus.app.edge import run_edge
    from isthmus.app.process import run

    place = DataDir(data.resolve())
    settings = load_settings(place.settings)

    async def main(stop: asyncio.Event, log: logging.Logger) -> None:
        await run_edge(place, settings, name, bus, stop, log)

    sys.exit(run(name, main, supervised=supervised))


def listener(data: Data = DEFAULT_DATA, supervised: Supervised = False) -> None:
    """Run the front of the MQTT listener alone; `isthmus up` does it where isthmus.toml says so."""
    from isthmus.app.listener import run_listener
    from isthmus.app.process import run

    place = DataDir(data.resolve())
    settings = load_settings(place.settings)

    async def main(stop: asyncio.Event, log: logging.Logger) -> None:
        await run_listener(place, settings, stop, log)

    sys.exit(run("mqtt", main, supervised=supervised))

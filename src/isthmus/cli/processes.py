"""Commands that run something: `up` and its parts, `init`."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from isthmus.app.datadir import DataDir
from isthmus.app.part import Wish, start
from isthmus.cli.options import DEFAULT_DATA, Data, Json, JsonLog, Port
from isthmus.values.errors import ConfigError

_SETTINGS = """\
# Settings of this node. Everything has a default; what stands here is checked, unknown keys are refused.

# [web]
# host = "127.0.0.1"     # this machine only; `isthmus expose` sets up more, by HTTPS
# hosts = []             # names and addresses by which others reach us
# https = false          # HTTPS on this machine too
# port = 8420

# [node]
# edges = ["edge-1"]     # edges that `isthmus up` starts on this machine
# spare = true           # keep loaded processes that take the place of a core or an edge that dies

# [disk]
# reserve_mb = 512       # below this much free space nothing more is recorded; reading goes on

# [log]
# json = false           # lines of JSON instead of text
# file_mb = 10           # of one file in logs/; then the next begins
# files = 5              # kept of each process

# [historian]
# url = ""               # empty: embedded; or a ClickHouse server, "https://user@host:8443/database"

# [mqtt]
# listen = ""            # "127.0.0.1:1883" switches the MQTT listener for devices on; admit them by `isthmus device add`
# certificate = ""       # PEM files, or "auto": devices speak TLS, as they must beyond this machine
# key = ""

# [bus]
# listen = ""            # "0.0.0.0:4222" lets edges on other machines in, by TLS; `isthmus edge invite` each

# [secrets]
# key_file = ""          # empty: the systemd credential isthmus-key, else secrets.key in this folder
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
    app.command()(rollback)
    app.command()(doctor)
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


def up(data: Data = DEFAULT_DATA, port: Port = None, as_json: JsonLog = False) -> None:
    """Run everything of this machine: bus, core and edges. Ctrl-C stops it cleanly."""
    sys.exit(start(Wish("up", data, port, json=as_json)))


def core(data: Data = DEFAULT_DATA, port: Port = None, as_json: JsonLog = False) -> None:
    """Run core alone: model, live values, historian, API and screens."""
    sys.exit(start(Wish("core", data, port, json=as_json)))


def doctor(
    data: Data = DEFAULT_DATA,
    port: Port = None,
    as_json: Json = False,
    security: Annotated[
        bool, typer.Option("--security", help="Prove the secure defaults on the running system.")
    ] = False,
) -> None:
    """Look at what the installation stands on; exit code 1 when something is wrong. Changes nothing."""
    from isthmus.app.doctor import examine

    if security:
        _doctor_security(data, as_json)
    found = examine(DataDir(data.resolve()), port)
    if as_json:
        print(json.dumps([dataclasses.asdict(one) for one in found]))
    else:
        for one in found:
            print(f"{one.state:<5} {one.what:<15} {one.detail}" + (f"\n{'':<22}{one.advice}" if one.advice else ""))
    sys.exit(any(one.state == "fail" for one in found))


def _doctor_security(data: Path, as_json: bool) -> NoReturn:
    from isthmus.app.doctor_security import prove

    proofs = prove(DataDir(data.resolve()))
    if as_json:
        print(json.dumps({"checks": [dataclasses.asdict(one) for one in proofs]}))
    else:
        for one in proofs:
            mend = f"\n{'':<19}{one.mend}" if one.mend else ""
            print(f"{'pass' if one.passed else 'FAIL'}  {one.id:<12} {one.title}\n{'':<19}{one.evidence}{mend}")
    sys.exit(not all(one.passed for one in proofs))


def rollback(
    data: Data = DEFAULT_DATA,
    to: Annotated[str, typer.Option(help="Revision of the records; unset: the one before the last upgrade.")] = "",
) -> None:
    """Take the records back to the schema before the last upgrade, for an older Isthmus. Nothing may run."""
    from isthmus.app.migrate import revision_before, roll_back
    from isthmus.app.process import set_up_logging
    from isthmus.app.records import open_records

    place = DataDir(data.resolve())
    if not place.records.exists():
        raise ConfigError(f"{place.records}: there are no records")
    with contextlib.ExitStack() as held:
        for part in ("isthmus up", "core"):
            held.callback(place.lock(part).release)
        engine = open_records(place.records)
        held.callback(engine.dispose)
        wanted = to or revision_before(place.records)
        if not wanted:
            raise ConfigError("to: no upgrade left a copy here; name the revision with --to")
        roll_back(engine, place.records, wanted, set_up_logging("rollback"))


def listener(data: Data = DEFAULT_DATA) -> None:
    """Run the front of the MQTT listener alone; `isthmus up` does it where isthmus.toml says so."""
    sys.exit(start(Wish("listener", data)))

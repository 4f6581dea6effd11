"""`isthmus service`: Isthmus as a service of systemd."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from isthmus.app.service import Service
from isthmus.cli.options import DEFAULT_DATA, Data, Json, Port
from isthmus.values.errors import ConfigError

service = typer.Typer(no_args_is_help=True, help="Run as a service of systemd.")

User = Annotated[bool, typer.Option("--user", help="For your own login, without root.")]
Account = Annotated[str, typer.Option(help="System user it runs as; made if new.")]
Name = Annotated[str, typer.Option(help="Name of the unit.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(service, name="service")


@service.command()
def install(
    data: Data = DEFAULT_DATA,
    port: Port = None,
    user: User = False,
    account: Account = "isthmus",
    name: Name = "isthmus",
    show: Annotated[bool, typer.Option("--print", help="Write the units to standard output; change nothing.")] = False,
    backup_every: Annotated[str, typer.Option(help="Back up this often, e.g. 1d.")] = "",
    backup_to: Annotated[Path | None, typer.Option(help="Folder of the backups.")] = None,
    backup_keep: Annotated[int, typer.Option(min=1, help="How many are kept.")] = 14,
) -> None:
    """Install, enable and start it: hardened, as a user of its own, with a watchdog."""
    from isthmus.app import service as units

    wanted = Service(
        data.resolve(),
        port,
        name,
        "" if user else account,
        backup_to.resolve() if backup_to else None,
        backup_every,
        backup_keep,
    )
    if not wanted.user and not user:
        raise ConfigError("account: must not be empty; --user installs for your own login")
    if show:
        for file, text in wanted.files().items():
            print(f"# {wanted.units / file}\n{text}")
        return
    print("\n".join(units.install(wanted)))


@service.command()
def uninstall(data: Data = DEFAULT_DATA, user: User = False, name: Name = "isthmus") -> None:
    """Stop it and remove its units; the data stays."""
    from isthmus.app import service as units

    print("\n".join(units.uninstall(Service(data.resolve(), name=name, user="" if user else "isthmus"))))


@service.command()
def status(user: User = False, name: Name = "isthmus", as_json: Json = False) -> None:
    """What systemd says of it."""
    from isthmus.app import service as units

    found = units.status(Service(Path("/"), name=name, user="" if user else "isthmus"))
    print(json.dumps(found) if as_json else "\n".join(f"{k:<22} {v}" for k, v in found.items()))

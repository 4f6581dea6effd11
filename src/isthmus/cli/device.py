"""Devices that speak MQTT to the built-in listener: admit, list, revoke."""

from __future__ import annotations

from typing import Annotated

import typer

from isthmus.app.datadir import DataDir
from isthmus.bus.field import Devices, node_topics
from isthmus.cli.options import DEFAULT_DATA, Data

device = typer.Typer(no_args_is_help=True, help="Devices that may speak MQTT to the built-in listener.")

Topics = Annotated[list[str], typer.Option(help="Topic it may publish and subscribe to; + and # as usual. Repeatable.")]
Publish = Annotated[list[str], typer.Option(help="Topic it may publish only.")]
Subscribe = Annotated[list[str], typer.Option(help="Topic it may subscribe to only.")]
Sparkplug = Annotated[str, typer.Option(help="GROUP/NODE: everything a Sparkplug edge node of that name needs.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(device, name="device")


@device.command("add")
def add_device(
    name: str,
    topics: Topics = [],  # noqa: B006  typer wants a list, and copies it
    publish: Publish = [],  # noqa: B006  as above
    subscribe: Subscribe = [],  # noqa: B006  as above
    sparkplug: Sparkplug = "",
    data: Data = DEFAULT_DATA,
) -> None:
    """Admit a device; prints its user and password, which is shown this once."""
    say, hear = [*topics, *publish], [*topics, *subscribe]
    if sparkplug:
        group, _, node = sparkplug.partition("/")
        more_say, more_hear = node_topics(group, node)
        say, hear = say + more_say, hear + more_hear
    place = DataDir(data.resolve())
    place.prepare()
    password = Devices(place.bus).add(name, say, hear)
    print(f"user {name}\npassword {password}")


@device.command("list")
def list_devices(data: Data = DEFAULT_DATA) -> None:
    """Print the devices and their topics."""
    for one in Devices(DataDir(data.resolve()).bus).all():
        print(f"{one.name}\tpublish {' '.join(one.publish) or '-'}\tsubscribe {' '.join(one.subscribe) or '-'}")


@device.command("revoke")
def revoke_device(name: str, data: Data = DEFAULT_DATA) -> None:
    """Shut a device out; its links end at once, those of others stay."""
    Devices(DataDir(data.resolve()).bus).revoke(name)

"""Secrets that settings refer to. They are read from standard input or a hidden prompt, and never printed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from isthmus.app.audited import audited
from isthmus.app.datadir import DataDir
from isthmus.app.secrets import MAX_BYTES, Secrets
from isthmus.app.settings import load_settings
from isthmus.cli.options import DEFAULT_DATA, Data
from isthmus.values.secrets import check_reference

secret = typer.Typer(no_args_is_help=True, help="Passwords and keys that the plant file refers to, as secret:NAME.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(secret, name="secret")


def _secrets(data: Path) -> Secrets:
    place = DataDir(data)
    place.prepare()
    return Secrets.of(place.root, load_settings(place.settings).secrets.key_file)


def check_name(name: str) -> str:
    """The name, if it is fit to be one; what is not may be the secret itself, in the wrong place.

    Raises: ConfigError
    """
    check_reference(f"secret:{name}", "name")
    return name


@secret.command("set")
def set_secret(name: str, data: Data = DEFAULT_DATA) -> None:
    """Keep a secret under a name, or replace it; it is used from the next connecting on."""
    if sys.stdin.isatty():
        value = typer.prompt(f"Secret {name}", hide_input=True, confirmation_prompt=True)
    else:
        value = sys.stdin.read(MAX_BYTES + 2).removesuffix("\n").removesuffix("\r")
    secrets = _secrets(data)
    with audited(DataDir(data), "secret set", check_name(name)):
        secrets.set(name, value)


@secret.command("list")
def list_secrets(data: Data = DEFAULT_DATA) -> None:
    """Print the names."""
    for name in _secrets(data).names():
        print(name)


@secret.command("remove")
def remove_secret(name: str, data: Data = DEFAULT_DATA) -> None:
    """Forget a secret."""
    secrets = _secrets(data)
    with audited(DataDir(data), "secret remove", check_name(name)):
        secrets.remove(name)


@secret.command("rekey")
def rekey_secrets(
    data: Data = DEFAULT_DATA,
    same_key: Annotated[
        bool, typer.Option("--same-key", help="Make no key; the first of the key file is new.")
    ] = False,
) -> None:
    """Seal all secrets by a new key. Older keys stay in the key file, for backups and what else is sealed by them."""
    held = _secrets(data)
    with audited(DataDir(data), "secret rekey", "secrets"):
        if not same_key:
            held.sealer.renew()
        count = held.reseal()
    print(f"{count} secret{'s' if count != 1 else ''} sealed by the first key of {held.sealer.file}")

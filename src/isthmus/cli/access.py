"""Tokens and users."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from isthmus.app.local import call
from isthmus.cli.options import DEFAULT_DATA, Data

token = typer.Typer(no_args_is_help=True, help="API tokens.")
user = typer.Typer(no_args_is_help=True, help="People who sign in.")


class Role(enum.StrEnum):
    """What a token or a person may do."""

    viewer = "viewer"
    operator = "operator"
    supervisor = "supervisor"
    engineer = "engineer"
    maintainer = "maintainer"
    security = "security"
    admin = "admin"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(token, name="token")
    app.add_typer(user, name="user")


@token.command("create")
def create_token(
    role: Annotated[Role, typer.Option(help="What it may do.")] = Role.viewer,
    name: Annotated[str, typer.Option(help="What it is for.")] = "command line",
    data: Data = DEFAULT_DATA,
) -> None:
    """Make an API token and print it, alone; it is shown this once."""
    print(call(data, "POST", "tokens", {"name": name, "role": role.value})["token"])


@token.command("list")
def list_tokens(data: Data = DEFAULT_DATA) -> None:
    """List tokens (never their secrets)."""
    for one in call(data, "GET", "tokens")["tokens"]:
        state = f"revoked {one['revoked']}" if one["revoked"] else f"expires {one['expires']}" if one["expires"] else ""
        print(f"{one['id']:>4}  {one['hint']}…  {one['role']:<9} {one['created']}  {one['name']}  {state}".rstrip())


@token.command("revoke")
def revoke_token(ident: int, data: Data = DEFAULT_DATA) -> None:
    """Make a token worthless, at once."""
    call(data, "DELETE", f"tokens/{ident}")


@user.command("link")
def user_link(
    name: str,
    role: Annotated[Role, typer.Option(help="Role, if the user is new.")] = Role.viewer,
    data: Data = DEFAULT_DATA,
) -> None:
    """Print a one-time sign-in link for a user, made if new; also the way back in when a password is lost."""
    print("/welcome?link=" + call(data, "POST", "users/link", {"name": name, "role": role.value})["link"])


@user.command("list")
def list_users(data: Data = DEFAULT_DATA) -> None:
    """List users."""
    for one in call(data, "GET", "users")["users"]:
        print(f"{one['name']:<20} {one['role']}")

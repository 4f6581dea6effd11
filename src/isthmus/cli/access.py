"""Tokens, users and stations."""

from __future__ import annotations

import enum
import re
import sys
from typing import Annotated, Any
from urllib.parse import quote

import typer

from isthmus.app.local import call
from isthmus.cli.options import DEFAULT_DATA, Data

token = typer.Typer(no_args_is_help=True, help="API tokens.")
user = typer.Typer(no_args_is_help=True, help="People who sign in.")
station = typer.Typer(no_args_is_help=True, help="Shared tablets and terminals, where people sign in by badge.")


class Role(enum.StrEnum):
    """What somebody may do at a station."""

    viewer = "viewer"
    operator = "operator"
    supervisor = "supervisor"
    engineer = "engineer"
    maintainer = "maintainer"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(token, name="token")
    app.add_typer(user, name="user")
    app.add_typer(station, name="station")


_SPAN = re.compile(r"(\d{1,6})([mhdw])\Z")
_UNIT_S = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def _seconds(text: str) -> float:
    """Raises: BadParameter"""
    found = _SPAN.match(text)
    if not found:
        raise typer.BadParameter(f"must be like 30m, 12h, 90d or 4w, was {text!r}")
    return float(found[1]) * _UNIT_S[found[2]]


@token.command("create")
def create_token(
    role: Annotated[str, typer.Option(help="What it may do: one of ours, or the plant's own.")] = "viewer",
    name: Annotated[str, typer.Option(help="What it is for.")] = "command line",
    allow: Annotated[
        list[str] | None, typer.Option(help="Only this action of its role, as plant.change; may be repeated.")
    ] = None,
    under: Annotated[
        list[str] | None, typer.Option(help="Only this path of the plant and all below it; may be repeated.")
    ] = None,
    zone: Annotated[list[str] | None, typer.Option(help="Only this zone; may be repeated.")] = None,
    source: Annotated[
        list[str] | None, typer.Option("--from", help="Only from this address or network; may be repeated.")
    ] = None,
    expires: Annotated[str, typer.Option(help="When it ends, as 12h, 90d or 4w; never if not given.")] = "",
    service: Annotated[bool, typer.Option(help="It stands for an edge or another part of Isthmus.")] = False,
    data: Data = DEFAULT_DATA,
) -> None:
    """Make an API token and print it, alone; it is shown this once."""
    scope = {"actions": allow or [], "under": under or [], "zones": zone or [], "sources": source or []}
    body: dict[str, Any] = {"name": name, "role": role, "scope": scope, "kind": "service" if service else "program"}
    body |= {"lifetime_s": _seconds(expires)} if expires else {}
    print(call(data, "POST", "tokens", body)["token"])


@token.command("list")
def list_tokens(data: Data = DEFAULT_DATA) -> None:
    """List tokens (never their secrets), what narrows them and when they were used last."""
    for one in call(data, "GET", "tokens")["tokens"]:
        state = f"revoked {one['revoked']}" if one["revoked"] else f"expires {one['expires']}" if one["expires"] else ""
        limits = " ".join(f"{key}={','.join(value)}" for key, value in one["scope"].items() if value)
        used = f"used {one['seen']}" if one["seen"] else "never used"
        parts = [
            f"{one['id']:>4}",
            one["hint"] + "…",
            f"{one['role']:<9}",
            one["created"],
            one["name"],
            limits,
            used,
            state,
        ]
        print("  ".join(part for part in parts if part))


@token.command("revoke")
def revoke_token(ident: int, data: Data = DEFAULT_DATA) -> None:
    """Make a token worthless, at once."""
    call(data, "DELETE", f"tokens/{ident}")


@user.command("link")
def user_link(
    name: str,
    role: Annotated[str, typer.Option(help="Role, if the user is new: one of ours, or the plant's own.")] = "viewer",
    data: Data = DEFAULT_DATA,
) -> None:
    """Print a one-time sign-in link for a user, made if new; also the way back in when a password is lost."""
    print("/welcome?link=" + call(data, "POST", "users/link", {"name": name, "role": role})["link"])


@user.command("list")
def list_users(data: Data = DEFAULT_DATA) -> None:
    """List users."""
    for one in call(data, "GET", "users")["users"]:
        marks = [
            m
            for m, on in (("disabled", one["disabled"]), ("second factor", one["totp"]), ("badge", one["badge"]))
            if on
        ]
        print(f"{one['name']:<20} {one['role']:<12} {', '.join(marks)}".rstrip())


@user.command("change")
def change_user(
    name: str,
    role: Annotated[str | None, typer.Option(help="Another role; all sessions of the person end.")] = None,
    disable: Annotated[
        bool | None, typer.Option("--disable/--enable", help="Close the account, or open it again.")
    ] = None,
    badge: Annotated[str | None, typer.Option(help="The number of the badge; empty takes it away.")] = None,
    pin: Annotated[bool, typer.Option("--pin", help="Ask for a new PIN, or read it from standard input.")] = False,
    data: Data = DEFAULT_DATA,
) -> None:
    """Change an account; it takes effect at once."""
    change: dict[str, Any] = {"role": role, "disabled": disable, "badge": badge}
    if pin:
        change["pin"] = (
            typer.prompt("PIN", hide_input=True, confirmation_prompt=True)
            if sys.stdin.isatty()
            else sys.stdin.readline().strip()
        )
    call(data, "PATCH", f"users/{quote(name, safe='')}", {k: v for k, v in change.items() if v is not None})


@user.command("sign-out")
def sign_out_user(name: str, data: Data = DEFAULT_DATA) -> None:
    """End all sessions of a user, at once."""
    call(data, "DELETE", f"users/{quote(name, safe='')}/sessions")


@user.command("reset-totp")
def reset_totp(name: str, data: Data = DEFAULT_DATA) -> None:
    """Take away a user's second factor, when the phone and the recovery codes are gone."""
    call(data, "DELETE", f"users/{quote(name, safe='')}/totp")


@user.command("break-glass")
def break_glass(data: Data = DEFAULT_DATA) -> None:
    """Print a new emergency credential for the safe; it is shown this once, and the one before it is void."""
    print(call(data, "POST", "users/break-glass")["credential"])


@user.command("sessions")
def list_sessions(data: Data = DEFAULT_DATA) -> None:
    """List who is signed in, and from where."""
    for one in call(data, "GET", "sessions")["sessions"]:
        place = f"{one['source']} at {one['station']}" if one["station"] else one["source"]
        print(f"{one['id']}  {one['user']:<20} {one['means']:<12} {place}  since {one['created']}  seen {one['seen']}")


@user.command("end-session")
def end_session(ident: str, data: Data = DEFAULT_DATA) -> None:
    """End one session, at once."""
    call(data, "DELETE", f"sessions/{quote(ident, safe='')}")


@station.command("add")
def add_station(
    name: str,
    under: Annotated[list[str], typer.Option(help="Path of the plant it belongs to; may be repeated.")],
    role: Annotated[Role, typer.Option(help="What somebody may do there at most.")] = Role.operator,
    badge_only: Annotated[bool, typer.Option("--badge-only", help="A badge is enough there, without a PIN.")] = False,
    idle: Annotated[str, typer.Option(help="Signed out after this long without use, as 5m.")] = "",
    data: Data = DEFAULT_DATA,
) -> None:
    """Make a station and print its one-time code: type it at /station in the tablet's browser within the hour."""
    body: dict[str, Any] = {"name": name, "under": under, "role": role.value, "badge_only": badge_only}
    body |= {"idle_s": _seconds(idle)} if idle else {}
    print(call(data, "POST", "stations", body)["code"])


@station.command("list")
def list_stations(data: Data = DEFAULT_DATA) -> None:
    """List stations."""
    for one in call(data, "GET", "stations")["stations"]:
        seen = f"seen {one['seen']}" if one["seen"] else "not enrolled"
        print(f"{one['name']:<20} {one['role']:<12} {','.join(one['under'])}  {seen}")


@station.command("remove")
def remove_station(name: str, data: Data = DEFAULT_DATA) -> None:
    """Forget a station; who is signed in there is signed out at once."""
    call(data, "DELETE", f"stations/{quote(name, safe='')}")

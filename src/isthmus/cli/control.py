"""`isthmus write` and `isthmus control`: the way back to the machines, from the command line."""

from __future__ import annotations

import json
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from isthmus.app.local import call
from isthmus.cli.options import DEFAULT_DATA, Data, Json
from isthmus.values.errors import ConfigError

control = typer.Typer(no_args_is_help=True, help="What may be written to the machines, and what was.")

Reason = Annotated[str, typer.Option(help="Why; it goes into the journal and the audit trail.")]
Token = Annotated[
    str,
    typer.Option(envvar="ISTHMUS_TOKEN", help="A token whose role may write (`isthmus token create --role operator`)."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(name="write")(write)
    app.add_typer(control, name="control")


def write(
    path: str,
    value: str,
    reason: Reason,
    token: Token = "",
    url: Annotated[str, typer.Option(envvar="ISTHMUS_URL", help="Where Isthmus answers.")] = "http://localhost:8420",
    as_json: Json = False,
) -> None:
    """Write a value to a point of the plant. Ends with 1 when it was refused, with 3 when nobody knows how it ended.

    Owning the data directory gives no right to write: the machines are run by people and programs with a role for it.
    """
    from isthmus.app.remote import ask

    if not token:
        raise ConfigError(
            "token: give one by --token or ISTHMUS_TOKEN; `isthmus token create --role operator` makes one"
        )
    body = {"path": path, "value": number_or_text(value), "reason": reason}
    done: dict[str, Any] = ask(url, token, "POST", "control/writes", body)
    if as_json:
        print(json.dumps(done))
    else:
        shown = done["value"] if done["read_back"] is None else done["read_back"]
        print(f"{done['state']}  {done['path']} {shown} {done['unit']}".rstrip())
        if done["code"]:
            print(f"  {done['reason']}")
            print(f"  {done['clears']}".rstrip())
    if done["state"] in ("uncertain", "sent"):
        raise typer.Exit(3)
    if done["state"] in ("denied", "rejected", "expired"):
        raise typer.Exit(1)


def number_or_text(text: str) -> int | float | str:
    """A value as it was typed."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


@control.command("points")
def points(under: str = "", data: Data = DEFAULT_DATA, as_json: Json = False) -> None:
    """List points that may be written, with what they hold and whether their interlocks hold."""
    found = call(data, "GET", f"control/points?{urlencode({'under': under})}")["points"]
    if as_json:
        print(json.dumps(found))
        return
    for one in found:
        interlock = one["interlock"]
        holds = (
            ""
            if interlock is None
            else {True: "interlock holds", False: "interlock open", None: "interlock unknown"}[interlock["holds"]]
        )
        print(
            f"{one['path']:<44} {one['value']} {one['unit']}  {one['role']}  {one['zone']} {one['mode']}  {holds}".rstrip()
        )


@control.command("modes")
def modes(data: Data = DEFAULT_DATA, as_json: Json = False) -> None:
    """List what each zone lets pass."""
    found = call(data, "GET", "control/modes")["modes"]
    if as_json:
        print(json.dumps(found))
        return
    for one in found:
        pending = f"; not confirmed yet by {', '.join(one['pending'])}" if one["pending"] else ""
        since = f" since {one['since']} by {one['by']}: {one['reason']}" if one["since"] else ""
        print(f"{one['zone']:<20} {one['mode']}{since}{pending}")


@control.command("lockouts")
def lockouts(under: str = "", data: Data = DEFAULT_DATA, as_json: Json = False) -> None:
    """List what is locked out."""
    found = call(data, "GET", f"control/lockouts?{urlencode({'under': under})}")["lockouts"]
    if as_json:
        print(json.dumps(found))
        return
    for one in found:
        since = f" since {one['since']}" if one["since"] else ""
        print(f"{one['path']:<44} {one['who']}: {one['why']}{since}{' (plant file)' if one['declared'] else ''}")


@control.command("lock")
def lock(
    path: str, why: Annotated[str, typer.Option(help="What is done meanwhile.")], data: Data = DEFAULT_DATA
) -> None:
    """Lock a tag, an asset or connections/NAME out: nothing there or below is written."""
    call(data, "POST", "control/lockouts", {"path": path, "why": why})
    print(f"{path} is locked out")


@control.command("unlock")
def unlock(path: str, data: Data = DEFAULT_DATA) -> None:
    """Take away a lock-out that was set from this command line."""
    call(data, "DELETE", f"control/lockouts/{quote(path)}")
    print(f"{path} is not locked out any more")


@control.command("journal")
def journal(
    under: str = "",
    text: Annotated[str, typer.Option(help="Anywhere in the line.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    before: Annotated[str, typer.Option(help="ISO 8601, or now-8h.")] = "now",
    data: Data = DEFAULT_DATA,
    as_json: Json = False,
) -> None:
    """Print writes, changes that nobody recorded, and what edges noted, newest first."""
    question = urlencode({"under": under, "text": text, "limit": limit, "before": before})
    found = call(data, "GET", f"control/journal?{question}")["lines"]
    if as_json:
        print(json.dumps(found))
        return
    for one in found:
        who = f"  {one['by']}" if one["by"] else ""
        print(f"{one['at']}  {one['kind']:<11} {one['path'] or one['edge']}  {one['text']}{who}")

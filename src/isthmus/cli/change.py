"""Changes of the plant that were put forward; and who owns what."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from isthmus.app.local import call
from isthmus.cli.options import DEFAULT_DATA, Data, Json
from isthmus.cli.plant import Emergency, PlantFile, read, show

change = typer.Typer(no_args_is_help=True, help="Changes of the plant that are put forward and approved.")

Reason = Annotated[str, typer.Option(help="Why; kept with the change.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(change, name="change")
    app.command(name="owners")(owners)


@change.command("list")
def list_changes(
    state: Annotated[str, typer.Option(help="Only those that are proposed, approved, rejected, …")] = "",
    data: Data = DEFAULT_DATA,
    as_json: Json = False,
) -> None:
    """List changes, newest first."""
    found = call(data, "GET", f"plant/changes?state={state}")["changes"]
    if as_json:
        print(json.dumps(found))
        return
    for one in found:
        zones = ", ".join(zone or "no zone" for zone in one["zones"])
        print(f"{one['id']:>5}  {one['state']:<9}  {one['created']}  {one['author']:<12}  {zones}: {one['reason']}")


@change.command("show")
def show_change(number: int, data: Data = DEFAULT_DATA, as_json: Json = False) -> None:
    """Show a change: its diff, who said what, and what stands against applying it now."""
    one = call(data, "GET", f"plant/changes/{number}")
    if as_json:
        print(json.dumps(one))
        return
    print(f"change {one['id']} is {one['state']}; {one['author']} planned it on version {one['base']}: {one['reason']}")
    if one["decided_by"]:
        print(f"decided by {one['decided_by']} at {one['decided']}: {one['decision'] or 'no reason given'}")
    if one["version"]:
        print(f"it is version {one['version']}")
    show(one["changes"], [])
    _print_obstacles(one["obstacles"])


def _print_obstacles(found: list[dict[str, Any]]) -> None:
    for obstacle in found:
        opens = f"; opens {obstacle['opens']}" if obstacle["opens"] else ""
        print(f"! {obstacle['reason']}{opens}")


@change.command("propose")
def propose(file: PlantFile, reason: Reason = "", data: Data = DEFAULT_DATA) -> None:
    """Put a plant file forward as a change, for another person to approve or for a window to come."""
    content = read(file)
    base = call(data, "POST", "plant/plan", content)["base"]
    proposed(call(data, "POST", "plant/changes", {**content, "base": base, "reason": reason}))


def proposed(one: dict[str, Any]) -> None:
    """Say what was put forward."""
    show(one["changes"], [])
    _print_obstacles(one["obstacles"])
    print(f"change {one['id']} is put forward")


@change.command("approve")
def approve(number: int, reason: Reason = "", data: Data = DEFAULT_DATA) -> None:
    """Approve a change. Refused here: only a person who signed in can, on the page /changes."""
    call(data, "POST", f"plant/changes/{number}/approve", {"reason": reason})


@change.command("reject")
def reject(number: int, reason: Reason, data: Data = DEFAULT_DATA) -> None:
    """Reject a change."""
    call(data, "POST", f"plant/changes/{number}/reject", {"reason": reason})
    print(f"change {number} is rejected")


@change.command("withdraw")
def withdraw(number: int, data: Data = DEFAULT_DATA) -> None:
    """Take a change back that was put forward from this command line."""
    call(data, "POST", f"plant/changes/{number}/withdraw")
    print(f"change {number} is withdrawn")


@change.command("apply")
def apply_change(number: int, data: Data = DEFAULT_DATA, emergency: Emergency = "") -> None:
    """Apply a change, if its rules let it now."""
    answer = call(data, "POST", f"plant/changes/{number}/apply", {"emergency": emergency})
    print(f"version {answer['version']} is current")


def owners(
    gaps: Annotated[bool, typer.Option("--gaps", help="Only what has no owner, and reviews that are due.")] = False,
    data: Data = DEFAULT_DATA,
    as_json: Json = False,
) -> None:
    """List who answers for assets, connections and connectors, what nobody answers for, and reviews that are due."""
    found = call(data, "GET", "owners")
    if as_json:
        print(json.dumps(found))
        return
    for one in found["gaps"] if gaps else found["owners"]:
        inherited = f"  (from {one['source']})" if one["source"] not in ("", one["path"]) else ""
        print(f"{one['kind']:<10}  {one['path']:<40}  {', '.join(one['owner']) or '-'}{inherited}")
    for one in found["compensations"]:
        if one["due"] or not gaps:
            due = "review is due since" if one["due"] else "next review"
            print(f"unpatchable {one['connection']}: {one['reason']}; instead: {one['control']}; {due} {one['review']}")
    print(f"{len(found['gaps'])} of {len(found['owners'])} have no owner")

"""`isthmus policy`: who may do what, and why."""

from __future__ import annotations

import json
from typing import Annotated
from urllib.parse import urlencode

import typer

from isthmus.app.local import call
from isthmus.cli.options import DEFAULT_DATA, Data, Json

policy = typer.Typer(no_args_is_help=True, help="Who may do what: roles, zones and conduits.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(policy, name="policy")


@policy.command("explain")
def explain(
    who: Annotated[str, typer.Argument(help="A user, a token, or role:NAME.")],
    what: Annotated[str, typer.Argument(help="An action, such as read or control.write.")],
    where: Annotated[str, typer.Argument(help="A path of the plant; the whole site unless told.")] = "",
    source: Annotated[str, typer.Option("--from", help="The address it comes from.")] = "127.0.0.1",
    state: Annotated[str, typer.Option(help="What the target is doing, such as stopped.")] = "",
    kind: Annotated[str, typer.Option(help="Kind of message, such as live or history.")] = "",
    data: Data = DEFAULT_DATA,
    as_json: Json = False,
) -> None:
    """Tell whether somebody may do something somewhere, and why. Ends with 1 when not."""
    question = {"who": who, "action": what, "path": where, "source": source, "state": state}
    found = call(data, "GET", "policy/explain?" + urlencode(question | ({"kind": kind} if kind else {})))
    if as_json:
        print(json.dumps(found))
    else:
        print("allowed" if found["allowed"] else f"denied ({found['code']})")
        print(f"  {found['reason']}")
        print(f"  rule: {found['rule']}")
        print(f"  from zone {found['from_zone']} to zone {found['to_zone']}")
    if not found["allowed"]:
        raise typer.Exit(1)


@policy.command("show")
def show(data: Data = DEFAULT_DATA, as_json: Json = False) -> None:
    """Print roles, zones, and every flow between them with the rule that allows it."""
    found = call(data, "GET", "policy")
    if as_json:
        print(json.dumps(found))
        return
    print("ROLES")
    for role in found["roles"]:
        narrowed = [f"{key} {', '.join(role[key])}" for key in ("under", "zones", "when") if role[key]]
        print(
            f"  {role['name']:<16} {', '.join(role['actions']) or 'nothing'}{'; ' * bool(narrowed)}{'; '.join(narrowed)}"
        )
    print("ZONES")
    for zone in found["zones"]:
        level = "" if zone["security_level"] is None else f"  SL-T {zone['security_level']}"
        print(f"  {zone['name']:<16} {', '.join(zone['networks'] + zone['connections'])}{level}")
    print("FLOWS" if found["zoned"] else "FLOWS (no zones are declared: everything is one zone)")
    for flow in found["flows"]:
        way = f"{flow['from']} → {flow['to']}"
        print(f"  {way:<32} {flow['kind']:<11} {flow['rule']}{'  ' * bool(flow['what'])}{flow['what']}")
    if found["lockouts"]:
        print("LOCKED OUT")
    for lock in found["lockouts"]:
        print(f"  {lock['path']:<32} {lock['who']}: {lock['why']}{'  since ' * bool(lock['since'])}{lock['since']}")

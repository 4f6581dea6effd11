"""`isthmus production`: whether the figures that are kept are those that raw samples give."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from isthmus.app.local import call
from isthmus.cli.options import DEFAULT_DATA, Data, Json
from isthmus.values.errors import ConfigError

production = typer.Typer(no_args_is_help=True, help="What machines did and made.")
_SHOWN = ("oee", "availability", "performance", "quality")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(production, name="production")


@production.callback()
def _group() -> None:
    """What machines did and made."""


@production.command()
def replay(
    under: Annotated[str, typer.Option(help="Machines at or below this path; empty: all.")] = "",
    start: Annotated[str, typer.Option(help="ISO 8601 or now-8h.")] = "now-1d",
    end: Annotated[str, typer.Option(help="ISO 8601 or now.")] = "now",
    data: Data = DEFAULT_DATA,
    as_json: Json = False,
) -> None:
    """Compute intervals and figures again from raw samples, and tell where what is kept says something else (exit code 1)."""
    import json

    machines = call(data, "GET", f"production/machines?{urlencode({'under': under})}")["machines"]
    if not machines:
        raise ConfigError(f"under: no machine is counted at {under!r}")
    found: dict[str, Any] = {"equal": True, "differing": 0, "differences": [], "machines": []}
    for machine in machines:  # one at a time: core answers others in between
        asset = machine["asset"]
        one = call(data, "GET", f"production/replay?{urlencode({'under': asset, 'start': start, 'end': end})}")
        own = next(each for each in one["machines"] if each["asset"] == asset)
        differences = [each for each in one["differences"] if each["asset"] == asset]  # not those of machines below it
        found["differing"] += own["differing"]
        found["differences"] += differences
        found["machines"].append(own)
        if not as_json:
            _tell(own, differences)
    found["equal"] = not found["differing"]
    if as_json:
        print(json.dumps(found))
    else:
        print(f"{len(machines)} machines: {'equal' if found['equal'] else str(found['differing']) + ' differences'}")
    if not found["equal"]:
        raise typer.Exit(1)


def _tell(machine: dict[str, Any], differences: list[dict[str, Any]]) -> None:
    for one in differences:
        kept, computed = _value(one["kept"]), _value(one["computed"])
        print(f"{one['asset']}  {one['start']} to {one['end']}  {one['what']}: kept {kept}, computed {computed}")
    for note in machine["notes"]:
        print(f"! {machine['asset']}: {note}")
    kept, computed = _figures(machine["kept"]), _figures(machine["computed"])
    verdict = "equal" if not machine["differing"] else f"{machine['differing']} differences"
    said = kept if kept == computed else f"{kept}, computed {computed}"
    print(f"{machine['asset']:<32} {machine['days']:>4} days, {machine['intervals']:>5} intervals, {said}: {verdict}")


def _value(value: float | str | None) -> str:
    return "nothing" if value is None else value if isinstance(value, str) else f"{value:,.9g}"


def _figures(figures: dict[str, float | None] | None) -> str:
    if figures is None:
        return "no figures"
    return ", ".join(f"{name} {'-' if (ratio := figures[name]) is None else f'{100 * ratio:.4f} %'}" for name in _SHOWN)

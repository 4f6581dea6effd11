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
    for machine in machines:  # one at a time: the core answers others in between
        query = urlencode({"under": machine["asset"], "start": start, "end": end})
        one = call(data, "GET", f"production/replay?{query}")
        found["equal"] = found["equal"] and one["equal"]
        found["differing"] += one["differing"]
        for part in ("differences", "machines"):
            found[part] += one[part]
        if not as_json:
            _tell(one)
    if as_json:
        print(json.dumps(found))
    else:
        print(f"{len(machines)} machines: {'equal' if found['equal'] else str(found['differing']) + ' differences'}")
    if not found["equal"]:
        raise typer.Exit(1)


def _tell(one: dict[str, Any]) -> None:
    for difference in one["differences"]:
        kept, computed = (_value(difference[side]) for side in ("kept", "computed"))
        print(
            f"{difference['asset']}  {difference['start']} to {difference['end']}  {difference['what']}: "
            f"kept {kept}, computed {computed}"
        )
    for machine in one["machines"]:
        for note in machine["notes"]:
            print(f"! {machine['asset']}: {note}")
        kept, computed = (_figures(machine[side]) for side in ("kept", "computed"))
        verdict = "equal" if not machine["differing"] else f"{machine['differing']} differences"
        said = kept if kept == computed else f"{kept}, computed {computed}"
        print(
            f"{machine['asset']:<32} {machine['days']:>4} days, {machine['intervals']:>5} intervals, {said}: {verdict}"
        )


def _value(value: float | str | None) -> str:
    return "nothing" if value is None else value if isinstance(value, str) else f"{value:,.9g}"


def _figures(figures: dict[str, float | None] | None) -> str:
    if figures is None:
        return "no figures"
    return ", ".join(f"{name} {'-' if (ratio := figures[name]) is None else f'{100 * ratio:.4f} %'}" for name in _SHOWN)

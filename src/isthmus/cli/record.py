"""How an installation is doing, told on a terminal."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from isthmus.app.local import call
from isthmus.cli.options import DEFAULT_DATA, Data, Json


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(replay)
    app.command()(status)


def replay(
    tag: Annotated[str, typer.Argument(help="Path of a calculated tag.")],
    start: Annotated[str, typer.Option(help="ISO 8601 or now-8h.")] = "now-1h",
    end: Annotated[str, typer.Option(help="ISO 8601 or now.")] = "now",
    data: Data = DEFAULT_DATA,
    as_json: Json = False,
) -> None:
    """Compute a calculated tag again from the record, and tell where the record says something else (exit code 1)."""
    import json

    answer = call(data, "GET", f"replay?{urlencode({'tag': tag, 'start': start, 'end': end})}")
    if as_json:
        print(json.dumps(answer))
    else:
        for one in answer["differences"]:
            print(
                f"{one['time']}  recorded {_sample(one['recorded'])}, computed {_sample(one['computed'])}: {one['why']}"
            )
        for note in answer["notes"]:
            print(f"! {note}")
        print(
            f"{answer['how']}: {answer['computed']} computed, {answer['recorded']} recorded, {answer['differing']} differ"
        )
    if answer["differing"]:
        raise typer.Exit(1)


def _sample(sample: dict[str, Any] | None) -> str:
    if sample is None:
        return "nothing"
    return str(sample["value"]) if sample["status"] == "Good" else f"{sample['value']} {sample['status']}"


def status(data: Data = DEFAULT_DATA, as_json: Json = False) -> None:
    """How the installation is doing: edges, connections, historian."""
    import json

    site, connections = call(data, "GET", "site"), call(data, "GET", "connections")["connections"]
    if as_json:
        print(json.dumps({**site, "connections": connections}))
        return
    print(f"{site['enterprise']}/{site['site']}, plant version {site['model_version']}, Isthmus {site['version']}")
    for one in site["edges"]:
        print(
            f"  edge {one['name']:<16} {one['state']}, heard {one['age_s']:.1f} s ago, {one['queued']} samples waiting"
        )
    for one in connections:
        print(f"  {one['name']:<21} {one['state']:<10} {one['tags']:>6} tags  {one['reason'] or ''}")
    record = site["historian"]
    print(f"  historian {record['state']}, {record['rows']} samples, {record['lag_s']:.1f} s behind")

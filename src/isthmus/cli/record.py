"""How an installation is doing, told on a terminal."""

from __future__ import annotations

import typer

from isthmus.app.local import call
from isthmus.cli.options import DEFAULT_DATA, Data, Json


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(status)


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

"""`isthmus audit`: what was done, and whether the log of it is whole."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from isthmus.app.local import call, opened
from isthmus.cli.options import DEFAULT_DATA, Data, Json
from isthmus.values.errors import ConfigError

audit = typer.Typer(no_args_is_help=True, help="The audit trail.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(audit, name="audit")


@audit.command()
def show(
    start: Annotated[str, typer.Option(help="ISO 8601 or now-8h.")] = "",
    end: Annotated[str, typer.Option(help="ISO 8601 or now.")] = "",
    who: Annotated[str, typer.Option(help="A name or a pseudonym.")] = "",
    action: Annotated[str, typer.Option(help="Part of it.")] = "",
    target: Annotated[str, typer.Option(help="Part of it.")] = "",
    text: Annotated[str, typer.Option(help="Anywhere in the record.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    before: Annotated[int, typer.Option(min=0, help="Go on before this record.")] = 0,
    data: Data = DEFAULT_DATA,
    as_json: Json = False,
) -> None:
    """What was done, newest first."""
    given = {"start": start, "end": end, "who": who, "action": action, "target": target, "text": text, "limit": limit}
    query = urlencode({key: value for key, value in {**given, "before": before}.items() if value})
    found = call(data, "GET", f"audit?{query}")
    if as_json:
        print(json.dumps(found))
        return
    for one in found["records"]:
        print(_line(one, found["people"]))
    if found["before"]:
        print(f"more: --before {found['before']}", file=sys.stderr)


def _line(one: dict[str, Any], people: dict[str, str]) -> str:
    target = one["target"]
    for pseudonym, name in people.items():
        target = target.replace(pseudonym, name)
    who = one["who"]["name"] or one["who"]["id"]
    more = " ".join(text for text in (one["result"], one["reason"] and f"({one['reason']})") if text)
    new = f" {json.dumps(one['new'], ensure_ascii=False)}" if one["new"] is not None else ""
    return f"{one['seq']:>8}  {one['time']}  {one['kind']:<7} {who}  {one['action']}  {target}  {more}{new}".rstrip()


@audit.command()
def export(
    file: Annotated[Path, typer.Argument(help="Where to; must not exist.")],
    start: Annotated[str, typer.Option(help="ISO 8601 or now-8h.")] = "",
    end: Annotated[str, typer.Option(help="ISO 8601 or now.")] = "",
    data: Data = DEFAULT_DATA,
) -> None:
    """Write a time of the log as one signed file, which `audit verify FILE` checks anywhere."""
    query = urlencode({key: value for key, value in {"start": start, "end": end}.items() if value})
    try:
        with opened(data, f"audit/export?{query}", "application/x-ndjson") as answer, file.open("xb") as out:
            while block := answer.read(65_536):
                out.write(block)
    except FileExistsError:
        raise ConfigError(f"{file}: exists already; nothing is overwritten") from None


@audit.command()
def verify(
    file: Annotated[Path | None, typer.Argument(help="An export; without it the log of the data directory.")] = None,
    against: Annotated[
        Path | None, typer.Option(help="What was forwarded: lines of records. The log must hold all of them.")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="The public key as it was kept elsewhere, instead of the one beside the log.")
    ] = None,
    data: Data = DEFAULT_DATA,
    as_json: Json = False,
) -> None:
    """Find any edit, deletion, reorder or cut, and name the first record that is wrong (exit code 1). Needs no core."""
    from isthmus.app.datadir import DataDir
    from isthmus.security.audit.check import check_export, check_log

    place = DataDir(data)
    found = (
        check_export(file, key) if file is not None else check_log(place.audit, place.records, against=against, key=key)
    )
    where = str(file or place.audit)
    if as_json:
        problem = found.problem
        named = None if problem is None else {"seq": problem.seq, "where": problem.where, "what": problem.what}
        counts = {"records": found.records, "first": found.first, "last": found.last, "checkpoints": found.checkpoints}
        print(json.dumps({"whole": problem is None, "problem": named, **counts}))
    elif found.problem is not None:
        print(f"{where}: NOT whole: {found.problem}")
    else:
        print(
            f"{where}: whole: {found.records} records, {found.first} to {found.last}, {found.checkpoints} checkpoints"
        )
    if found.problem is not None:
        raise typer.Exit(1)

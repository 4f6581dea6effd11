"""History in and out: files into the record, and the record into files."""

from __future__ import annotations

import contextlib
import enum
import json
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import typer

from isthmus.app.local import ImportDoor, call, opened
from isthmus.cli.options import DEFAULT_DATA, Data, Json
from isthmus.values.errors import ConfigError

if TYPE_CHECKING:
    from isthmus.transfer.model import Tally, Target

_PAGE = 50_000


class Quality(enum.StrEnum):
    """What numbers in a quality column are."""

    ua = "ua"
    da = "da"


class TimeUnit(enum.StrEnum):
    """What times that are numbers count."""

    s = "s"
    ms = "ms"
    us = "us"
    ns = "ns"


class Twice(enum.StrEnum):
    """Which of two equal local times is meant."""

    earlier = "earlier"
    later = "later"


class Encoding(enum.StrEnum):
    """How a text file is written."""

    utf8 = "utf-8"
    latin1 = "latin-1"


class Form(enum.StrEnum):
    """What kind of file history becomes."""

    csv = "csv"
    parquet = "parquet"
    arrow = "arrow"
    json = "json"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(name="import")(import_files)
    app.command()(history)


def tags(data: Path, under: str = "") -> list[dict[str, Any]]:
    """Every tag at or below a path, as the API tells them."""
    found: list[dict[str, Any]] = []
    while True:
        page = call(data, "GET", f"tags?{urlencode({'under': under, 'offset': len(found), 'limit': _PAGE})}")
        found += page["tags"]
        if len(found) >= page["total"] or not page["tags"]:
            return found


# In.


def import_files(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="CSV or Parquet files.")],
    data: Data = DEFAULT_DATA,
    mapping: Annotated[
        list[str], typer.Option("--map", metavar="WHAT=COLUMN", help="tag, time, value, quality or a tag's path.")
    ] = [],  # noqa: B006  typer copies it
    columns: Annotated[str, typer.Option(help="Names of the columns, a,b,c, where the first line is data.")] = "",
    wide: Annotated[
        bool, typer.Option("--wide", help="Each column is a tag (found out where all of them are).")
    ] = False,
    prefix: Annotated[str, typer.Option(help="Stands before every tag the file names.")] = "",
    timezone: Annotated[str, typer.Option(help="Zone of times that have none, such as Europe/Paris.")] = "",
    ambiguous: Annotated[Twice | None, typer.Option(help="Which of two equal local times in autumn is meant.")] = None,
    time_unit: Annotated[TimeUnit | None, typer.Option(help="Times are numbers since 1970.")] = None,
    time_format: Annotated[str, typer.Option(help="Times as strptime reads them, such as '%d.%m.%Y %H:%M:%S'.")] = "",
    quality: Annotated[Quality, typer.Option(help="Numbers in the quality column: OPC UA or OPC DA.")] = Quality.ua,
    delimiter: Annotated[str, typer.Option(help="Sign between columns; found out from the first line.")] = "",
    encoding: Annotated[Encoding, typer.Option(help="How the file is written.")] = Encoding.utf8,
    rejects: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Set refused rows aside here instead of refusing the file.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check everything, change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Import history from CSV and Parquet files. Run it again after it was cut off, and it goes on where it was."""
    from isthmus.transfer.model import Layout
    from isthmus.transfer.run import Import

    layout = Layout(
        columns=tuple(_pair(text) for text in mapping),
        header=tuple(c.strip() for c in columns.split(",")) if columns else (),
        wide=wide,
        prefix=f"{prefix.rstrip('/')}/" if prefix else "",
        delimiter="\t" if delimiter in ("\\t", "tab") else delimiter,
        encoding=encoding.value,
        timezone=timezone,
        ambiguous=ambiguous.value if ambiguous else "",
        time_unit=time_unit.value if time_unit else "",
        time_format=time_format,
        quality=quality.value,
    )
    if rejects is not None and len(files) > 1:
        raise ConfigError("rejects: is one file for one file; import them one by one")
    from isthmus.app.datadir import DataDir

    targets = _targets(data)
    found = []
    for file in files:
        began = time.monotonic()
        with _progress("rows") as (show, say):
            one = Import(file, layout, targets, time.time_ns(), show)
            door = ImportDoor(data, say)
            with contextlib.closing(door):
                at = 0 if dry_run else one.resumes(door, DataDir(data).imports)
                if at:
                    say(f"goes on at {at:,} of {one.source.size:,}")
                tally = one.check(rejects) if dry_run else one.run(door, DataDir(data).imports, rejects)
        found.append(_summary(file, tally, time.monotonic() - began, dry_run=dry_run, resumed=bool(at)))
        if not as_json:
            _tell(file, tally, found[-1], rejects, dry_run=dry_run)
    if as_json:
        print(json.dumps({"files": found}))
    if dry_run and any(f["refused"] for f in found) and rejects is None:
        raise typer.Exit(1)


def _pair(text: str) -> tuple[str, str]:
    what, sign, name = text.partition("=")
    if not sign or not what or not name:
        raise ConfigError(f"map: must be WHAT=COLUMN, such as time=Timestamp, was {text!r}")
    return what, name


def _targets(data: Path) -> dict[str, Target]:
    from isthmus.transfer.model import Target
    from isthmus.values.sample import ValueType

    kept_days = call(data, "GET", f"history/import?import={'0' * 32}")["kept_days"]
    return {
        t["path"]: Target(
            t["id"],
            t["path"],
            ValueType(t["type"]),
            {word: int(n) for n, word in (t["states"] or {}).items()},
            kept_days.get(str(t["id"]), 0),
        )
        for t in tags(data)
        if t["kind"] != "system"
    }


def _iso(time_ns: int | None) -> str | None:
    if time_ns is None:
        return None
    whole, part = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{part // 1_000_000:03d}Z"


def _summary(file: Path, tally: Tally, took_s: float, *, dry_run: bool, resumed: bool) -> dict[str, Any]:
    return {
        "file": str(file),
        "rows": tally.rows,
        "samples": tally.samples,
        "refused": tally.refused,
        "empty_cells": tally.empty,
        "tags": len(tally.tags),
        "first": _iso(tally.first_ns),
        "last": _iso(tally.last_ns),
        "unknown_tags": dict(tally.unknown.most_common(1000)),
        "wrong": [
            {"line": r.line, "column": r.column, "name": r.name, "value": r.value, "problem": r.problem}
            for r in tally.examples
        ],
        "dry_run": dry_run,
        "resumed": resumed,
        "took_s": round(took_s, 3),
    }


def _tell(file: Path, tally: Tally, found: dict[str, Any], rejects: Path | None, *, dry_run: bool) -> None:
    from isthmus.transfer.run import findings

    done = "would import" if dry_run else "imported"
    span = f", {found['first']} to {found['last']}" if found["first"] else ""
    print(f"{file}: {done} {tally.samples:,} samples of {found['tags']:,} tags from {tally.rows:,} rows{span}")
    if tally.empty:
        print(f"  {tally.empty:,} empty cells are no samples")
    for path, rows in tally.unknown.most_common(10):
        print(f"  unknown tag {path}: {rows:,} rows")
    if len(tally.unknown) > 10:
        print(f"  and {len(tally.unknown) - 10:,} more unknown tags")
    if tally.refused:
        where = f"; they are in {rejects}" if rejects else ""
        print(f"  {tally.refused:,} rows {'would be' if dry_run else 'were'} refused{where}")
        for finding in findings(file, tally):
            print(f"  {finding}")
    if not dry_run and found["took_s"] > 2:
        print(f"  {tally.samples / found['took_s']:,.0f} samples/s")


@contextlib.contextmanager
def _progress(unit: str) -> Iterator[tuple[Callable[[str, int, int, int], None], Callable[[str], None]]]:
    """A progress bar with rate and time left, on the terminal's error stream; and a place for a word."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[word]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    began: dict[str, tuple[float, int]] = {}
    with bar:
        task = bar.add_task("", total=None, rows="", word="")

        def show(what: str, position: int, size: int, rows: int) -> None:
            if what not in began:
                began[what] = time.monotonic(), rows
                bar.reset(task, total=size, description=what, completed=position)
            since, before = began[what]
            rate = (rows - before) / max(time.monotonic() - since, 0.001)
            bar.update(task, completed=position, total=size, rows=f"{rows:,} {unit}, {rate:,.0f}/s")

        def say(word: str) -> None:
            bar.update(task, word=word)
            if word and not console.is_terminal:
                print(word, file=sys.stderr)

        yield show, say


# Out.


def history(
    tag: Annotated[list[str], typer.Argument(help="Paths of tags.")] = [],  # noqa: B006  typer copies it
    start: Annotated[str, typer.Option(help="ISO 8601 or now-8h.")] = "now-1h",
    end: Annotated[str, typer.Option(help="ISO 8601 or now.")] = "now",
    under: Annotated[str | None, typer.Option(help="Every tag at or below this path; '' is the whole plant.")] = None,
    points: Annotated[int, typer.Option(help="Most buckets per tag; 0 for every sample.")] = 0,
    raw: Annotated[bool, typer.Option("--raw", help="Every sample, as without --points and --aggregate.")] = False,
    aggregate: Annotated[
        str, typer.Option(help="Functions by bucket, such as time_weighted_mean,max; with --points.")
    ] = "",
    form: Annotated[Form | None, typer.Option("--format", help="csv, parquet, arrow or json.")] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File; by its ending, if --format is not said.")
    ] = None,
    data: Data = DEFAULT_DATA,
    as_json: Json = False,
) -> None:
    """Print the history of tags as CSV, or write it into a file."""
    from isthmus.transfer.export import Ask, Column, export

    if raw and (points or aggregate):
        raise ConfigError("raw: is every sample; leave --points and --aggregate out")
    form = form or (Form.json if as_json else _by_ending(output))
    known = {t["path"]: t for t in tags(data, under)} if under is not None else {}
    for path in tag:
        if path not in known:
            known |= {t["path"]: t for t in tags(data, path) if t["path"] == path}
        if path not in known:
            raise ConfigError(f"tag: there is none at {path}")
    if not known:
        raise ConfigError(
            "tag: say which, or --under PATH" if under is None else f"under: no tag is at or below {under!r}"
        )
    if output is None and form in (Form.parquet, Form.arrow):
        raise ConfigError(f"output: {form} is no text; say a file with -o")
    asked = [Column(t["path"], t["type"], bool(t["states"])) for t in known.values()]
    ask = Ask(asked, *_fixed(start, end), points, tuple(filter(None, aggregate.split(","))))

    def fetch(query: dict[str, Any], accept: str) -> contextlib.AbstractContextManager[Any]:
        return opened(data, f"history?{urlencode(query, doseq=True)}", accept)

    with _progress("rows") as (show, _):
        began = time.monotonic()
        rows = export(fetch, ask, form.value, output, show)
    if output is not None:
        print(f"{output}: {rows:,} rows of {len(asked):,} tags in {time.monotonic() - began:.1f} s")


def _by_ending(output: Path | None) -> Form:
    endings = {
        ".parquet": Form.parquet,
        ".pq": Form.parquet,
        ".arrow": Form.arrow,
        ".arrows": Form.arrow,
        ".json": Form.json,
    }
    return endings.get(output.suffix.lower(), Form.csv) if output else Form.csv


def _fixed(start: str, end: str) -> tuple[str, str]:
    """Times that mean the same in every request of an export."""
    from isthmus.web.times import iso, parse_time

    now_ns = time.time_ns()
    return iso(parse_time(start, now_ns, "start")), iso(parse_time(end, now_ns, "end"))

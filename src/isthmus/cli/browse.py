"""`isthmus browse`: what a device offers, as a list for people or a tag list for the plant file."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from isthmus.app.local import call
from isthmus.cli.options import DEFAULT_DATA, Data, Json
from isthmus.values.errors import ConfigError
from isthmus.values.units import check_unit

_FOREIGN = re.compile(r"[^\w .()+-]+")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(browse)


def browse(
    device: Annotated[
        str, typer.Argument(help="A connection of the plant, or opc.tcp://HOST:PORT.", metavar="CONNECTION|URL")
    ],
    under: Annotated[str, typer.Option(metavar="NODE", help="Look below this node only.")] = "",
    csv_file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write a tag list for the plant file.")
    ] = None,
    path: Annotated[str, typer.Option(metavar="PATH", help="Where the tags shall be in the plant (with --csv).")] = "",
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the driver, for a URL.")
    ] = None,
    edge: Annotated[str, typer.Option(help="The edge that looks, for a URL.")] = "edge-1",
    data: Data = DEFAULT_DATA,
    as_json: Json = False,
) -> None:
    """List what a device offers that can tell, such as an OPC UA server."""
    question: dict[str, Any] = {"root": under}
    if "://" in device:
        settings = dict(_pair(text) for text in setting or [])
        question |= {"edge": edge, "driver": "opcua", "config": {"endpoint": device, **settings}}
    elif setting:
        raise ConfigError("--set: a connection of the plant has its settings already")
    else:
        question["connection"] = device
    nodes = call(data, "POST", "connections/browse", question)["nodes"]
    if csv_file is not None:
        csv_file.write_text(tag_list(nodes, "" if "://" in device else device, path), encoding="utf-8", newline="")
        left_out = sum(bool(node["note"]) for node in nodes)
        print(f"{csv_file}: {len(nodes) - left_out} tags" + (f", {left_out} more as comments" if left_out else ""))
    elif as_json:
        print(json.dumps(nodes))
    else:
        for node in nodes:
            print("  ".join(filter(None, (node["name"], node["address"], node["unit"], node["note"]))))
        print(f"{len(nodes)} values", file=sys.stderr)


def _pair(text: str) -> tuple[str, Any]:
    key, sign, value = text.partition("=")
    if not sign:
        raise ConfigError(f"--set: must be KEY=VALUE, was {text!r}")
    if value in {"true", "false"}:
        return key, value == "true"
    try:
        return key, float(value) if "." in value else int(value)
    except ValueError:
        return key, value


def tag_list(nodes: Iterable[dict[str, Any]], connection: str, under: str = "") -> str:
    """The nodes as a tag list of the plant file. What cannot be read as it is stands there as a comment.

    Names become paths: signs a path may not have become `_`, and what would be twice there is numbered.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["path", *(["connection"] if connection else []), "address", "unit", "description"])
    seen: set[str] = set()
    for node in nodes:
        path = unique("/".join(filter(None, (under, path_of(node["name"])))), seen)
        row = [path, *([connection] if connection else []), node["address"], *_unit(node)]
        if node["note"]:
            row[0] = f"# {row[0]}"
            row[-1] = node["note"]
        writer.writerow(row)
    return out.getvalue()


def path_of(name: str) -> str:
    """A browse path as a path of the plant."""
    parts = [_FOREIGN.sub("_", part).strip(" .")[:80] for part in name.split("/")]
    return "/".join(part if part[:1].isalnum() else f"x{part}" for part in parts)


def unique(path: str, seen: set[str]) -> str:
    """The path, numbered if it is there already; paths that differ in case only are kept apart as well."""
    found, number = path, 1
    while found.casefold() in seen:
        number += 1
        found = f"{path} {number}"
    seen.add(found.casefold())
    return found


def _unit(node: dict[str, Any]) -> tuple[str, str]:
    """Unit and description: a unit we do not know is told in words, and a text has none."""
    unit, description = node["unit"], node["description"]
    if not unit:
        return "", description
    if node["type"] != "text":
        try:
            return check_unit(unit), description
        except ConfigError:
            pass
    return "", f"{description} [{unit}]".strip()

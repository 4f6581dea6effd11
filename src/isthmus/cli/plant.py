"""The plant file: check, plan, apply, export, versions, revert, schema."""

from __future__ import annotations

import base64
import getpass
import json
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from isthmus.app.local import call
from isthmus.cli.options import DEFAULT_DATA, Data, Json
from isthmus.values.errors import ConfigError

_SCRIPT = re.compile(r"\w[\w./-]*\.py\b")
"""What may be the name of a script; whether the plant means it, core decides."""

Emergency = Annotated[
    str, typer.Option(metavar="REASON", help="Pass over all rules of change control, for this reason.")
]
PlantFile = Annotated[Path, typer.Argument(help="The plant file.", metavar="PLANT.YAML")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (check, plan, apply, export, versions, revert, schema):
        app.command(name=command.__name__)(command)


def read(file: Path) -> dict[str, Any]:
    """A plant file and the lists (CSV, XLSX) and scripts beside it that it names, as the API takes them.

    Raises: ConfigError naming the file and the byte that is not UTF-8
    """
    try:
        text = file.read_bytes().decode()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{file}:{line}: byte 0x{error.object[error.start]:02x} is not UTF-8; save the file as UTF-8"
        ) from error
    beside = {
        p.name: base64.b64encode(p.read_bytes()).decode()
        for p in sorted([*file.parent.glob("*.csv"), *file.parent.glob("*.xlsx")])
        if p.name in text
    }
    for name in set(_SCRIPT.findall(text)):
        script = file.parent / name
        if ".." not in script.parts and script.is_file():
            beside[name] = base64.b64encode(script.read_bytes()).decode()
    return {"text": text, "files": beside}


def show(changes: list[dict[str, str]], warnings: list[dict[str, Any]]) -> None:
    """A plan for people's eyes."""
    signs = {"add": "+", "remove": "-", "change": "~", "rename": "→"}
    for change in changes:
        print(f"{signs.get(change['action'], '?')} {change['what']:<11} {change['path']}  {change['detail']}".rstrip())
    for warning in warnings:
        print(f"! {warning['where']}:{warning['line']}: {warning['path']}: {warning['problem']}")
    print(f"{len(changes)} change{'s' if len(changes) != 1 else ''}" if changes else "nothing would change")


def check(file: PlantFile) -> None:
    """Check a plant file offline; every mistake with file, line, path and value."""
    from isthmus.app.plantcheck import check_plant

    content = read(file)
    plant, warnings = check_plant(
        content["text"], {n: base64.b64decode(b) for n, b in content["files"].items()}, str(file)
    )
    for warning in warnings:
        print(warning)
    print(f"{file}: good: {len(plant.connections)} connections, {len(plant.assets)} assets, {len(plant.tags)} tags")


def plan(file: PlantFile, data: Data = DEFAULT_DATA, as_json: Json = False) -> None:
    """Show what applying a plant file would change, and what it touches."""
    answer = call(data, "POST", "plant/plan", read(file))
    if as_json:
        print(json.dumps(answer))
    else:
        show(answer["changes"], answer["warnings"])
        print(f"planned on version {answer['base']}")


def apply(
    file: PlantFile,
    data: Data = DEFAULT_DATA,
    reason: Annotated[str, typer.Option(help="Why; kept with the version.")] = "",
    base: Annotated[
        int | None, typer.Option(help="Version it was planned on; refused if another one is current.")
    ] = None,
    emergency: Emergency = "",
) -> None:
    """Apply a plant file in one transaction, if the rules of change control let it."""
    content = read(file)
    planned = call(data, "POST", "plant/plan", content)
    show(planned["changes"], planned["warnings"])
    on = planned["base"] if base is None else base
    if not planned["changes"] and on == planned["base"] and on > 0:
        return
    if not reason and not planned["control"]["reason_required"]:  # a rule that asks for a reason means a person's
        reason = f"applied by {getpass.getuser()} from {file.name}"
    answer = call(data, "POST", "plant/apply", {**content, "base": on, "reason": reason, "emergency": emergency})
    print(f"version {answer['version']} is current")


def export(
    data: Data = DEFAULT_DATA,
    version: Annotated[int | None, typer.Option(help="An older version.")] = None,
    into: Annotated[
        Path | None, typer.Option(help="Write plant.yaml and the lists and scripts of the version into this folder.")
    ] = None,
    tags: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the tags as a list instead, .csv or .xlsx.")
    ] = None,
) -> None:
    """Print the plant file, comments kept; or write it into a folder with all that belongs to it, or its tags as a list."""
    if tags is not None:
        if version is not None or into is not None:
            raise ConfigError("tags: a tag list is of the current plant and one file; leave --version and --into out")
        _export_tags(data, tags)
        return
    answer = call(data, "GET", "plant" if version is None else f"plant/versions/{version}")
    if into is None:
        print(answer["text"], end="")
        return
    found = {"plant.yaml": answer["text"].encode()}
    found |= {name: base64.b64decode(content) for name, content in answer["files"].items()}
    there = [name for name in found if (into / name).exists()]
    if there:
        raise ConfigError(f"{into}: has {', '.join(there)} already; nothing was written")
    for name, content in found.items():
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        (into / name).write_bytes(content)
    print(f"{into}: {len(found)} files")


def _export_tags(data: Path, file: Path) -> None:
    import csv

    from isthmus.namespace.workbook import write_sheet

    kind = file.suffix.lower()
    if kind not in (".csv", ".xlsx"):
        raise ConfigError(f"tags: must be a file that ends in .csv or .xlsx, was {str(file)!r}")
    found = call(data, "GET", "plant/tag-list")
    rows = [found["columns"], *found["rows"]]
    aside = file.with_name(f".{file.name}.part")
    try:
        if kind == ".xlsx":
            write_sheet(aside, rows)
        else:
            with aside.open("w", encoding="utf-8", newline="") as out:
                csv.writer(out).writerows(["" if cell is None else cell for cell in row] for row in rows)
        aside.replace(file)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from error
    finally:
        aside.unlink(missing_ok=True)
    print(f"{file}: {len(found['rows'])} tags")
    for what in found["left_out"]:
        print(f"! {what} has no column in a list; it stays in the plant file")


def versions(data: Data = DEFAULT_DATA, as_json: Json = False) -> None:
    """List the versions of the plant."""
    answer = call(data, "GET", "plant/versions")["versions"]
    if as_json:
        print(json.dumps(answer))
        return
    for v in answer:
        print(f"{v['version']:>5}  {v['applied']}  {v['by']:<12}  {v['reason']}")


def revert(
    version: int,
    data: Data = DEFAULT_DATA,
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    propose: Annotated[bool, typer.Option("--propose", help="Put it forward as a change instead.")] = False,
    emergency: Emergency = "",
) -> None:
    """Make an older version of the plant the current one again (as a new version), under the same rules as `apply`."""
    old = call(data, "GET", f"plant/versions/{version}")
    current = call(data, "GET", "plant")["version"]
    body = {
        "text": old["text"],
        "files": old["files"],
        "base": current,
        "reason": f"back to version {version}" + (f": {reason}" if reason else ""),
    }
    if propose:
        print(f"change {call(data, 'POST', 'plant/changes', body)['id']} is put forward")
        return
    body["emergency"] = emergency
    print(f"version {call(data, 'POST', 'plant/apply', body)['version']} is current")


def schema() -> None:
    """Print the JSON Schema of the plant file, for editors."""
    from isthmus.app.plantcheck import plant_schema

    print(json.dumps(plant_schema(), indent=2))

"""The tags of a plant as a tag list: what ``taglist`` reads, written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from isthmus.namespace.compiled import Compiled
from isthmus.namespace.model import Tag
from isthmus.namespace.taglist import COLUMNS

_LIMITS = ("high_high", "high", "low", "low_low")
_FIRST = ("path", "connection", "address", "description", "kind", "unit")
Cell = str | float | None


@dataclass(frozen=True, slots=True)
class TagList:
    """Columns that say something, rows by path, and what a list has no columns for."""

    columns: list[str]
    rows: list[list[Cell]]
    left_out: list[str]


def list_tags(compiled: Compiled) -> TagList:
    """Every tag but the diagnostics of connections, with what its type says written out."""
    cells: list[dict[str, Cell]] = []
    left_out: list[str] = []
    for tag in compiled.plant.tags:
        if tag.kind == "system":
            continue
        said = compiled.said_by_id[tag.id]
        cells.append(_cells(tag, said))
        left_out += [f"{tag.path}: {what}" for what in _left(said)]
    used = {name for row in cells for name, value in row.items() if value not in (None, "")}
    columns = [*_FIRST[:3], *(n for n in (*_FIRST[3:], *(n for n in COLUMNS if n not in _FIRST)) if n in used)]
    return TagList(columns, [[row.get(name) for name in columns] for row in cells], left_out)


def _cells(tag: Tag, said: Mapping[str, Any]) -> dict[str, Cell]:
    scale, limits = said.get("scale", {}), said.get("alarms", {})
    found: dict[str, Cell] = {
        "path": tag.path,
        "connection": "" if tag.formula else tag.connection,
        "address": tag.address,
        "description": tag.description,
        "kind": said.get("kind"),
        "unit": tag.unit,
        "decimals": tag.decimals,
        "range_low": tag.low,
        "range_high": tag.high,
        "map": _map(said.get("map")),
        "factor": scale.get("factor"),
        "offset": scale.get("offset"),
        "deadband": _deadband(said["deadband"]) if "deadband" in said else None,
        "formula": tag.formula,
        "retention": said.get("retention"),
        "setpoint": tag.setpoint,
        "owner": said.get("owner"),
        **{name: _seconds(said[name]) for name in ("max_gap", "every", "resolution") if name in said},
        **{f"alarm_{name}": limits[name]["limit"] for name in _LIMITS if name in limits},
    }
    for name in ("raw", "eu"):
        if name in scale:
            found[f"{name}_low"], found[f"{name}_high"] = scale[name]
    return found


def _map(states: str | Mapping[str, str] | None) -> str | None:
    if states is None or isinstance(states, str):
        return states
    return "|".join(f"{number}={name}" for number, name in states.items())


def _deadband(said: Mapping[str, float]) -> str:
    if "percent" in said:
        return f"{said['percent']:g} %"
    absolute = said.get("absolute", 0.0)
    return "every" if absolute < 0 else repr(absolute)


def _seconds(value: float) -> str:
    """A duration as the plant file writes it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)):
        if value >= size or unit == "ns":
            break
    number = round(value / size, 9)
    return f"{int(number) if number == int(number) else number} {unit}"


def _left(said: Mapping[str, Any]) -> list[str]:
    """What a list cannot say: it stays in the plant file."""
    found = [name for name in ("write", "sis") if name in said]
    for name, alarm in said.get("alarms", {}).items():
        if name in _LIMITS:
            found += [f"alarms.{name}.{field}" for field in alarm if field != "limit"]
        else:
            found.append(f"alarms.{name}")
    return found

"""The plant file of the bottling hall, written from the same declarations that fill its registers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from isthmus.simulators.bottling import load
from isthmus.simulators.bottling.maps import BLOCKS, CONNECTIONS, LINE, LINE_FLOW, TYPES
from isthmus.simulators.bottling.points import Limit, Point, TypeMap, template

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*\Z")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})

_HEAD: Final = """\
# A bottling hall in Lyon, simulated: one line for still drinks in 0.75 L glass, the tanks that feed it, the utilities it
# lives on, and the meters that count what all of it uses.
#
#   isthmus check FILE     read it without applying it
#   isthmus apply FILE     make the running system use it
#
# Six controllers speak Modbus TCP. A type says once what all assets of its kind have: addresses count from {base}, which
# each asset fills in its `with`. The forty-first pump is one line.
plant: {enterprise: acme, site: lyon, timezone: Europe/Paris, description: Bottling hall}

# How long history is kept.
history: {standard: 400 d}

"""


def plant_yaml(ports: Mapping[str, int], scale: int = 0, load_ports: Sequence[int] = ()) -> str:
    """The plant file of the hall. With ``scale`` above 0 it holds that many thousand load tags as well.

    Raises: ValueError if a load server has no port
    """
    if len(load_ports) < scale:
        raise ValueError(f"{scale} load servers need as many ports, there are {len(load_ports)}")
    servers = list(load_ports[:scale])
    lines = [_HEAD, "connections:\n"]
    for name, about in CONNECTIONS.items():
        lines.append(
            f"  {name}: {_flow({'driver': 'modbus-tcp', 'host': '127.0.0.1', 'port': ports[name], **about})}\n"
        )
    lines += load.connection_lines(servers, "1 s")
    lines.append("\ntypes:\n")
    for mapped in TYPES.values():
        lines += _type_lines(mapped)
    if servers:
        lines += load.type_lines(send_all=False)
    lines.append("assets:\n")
    lines += _asset_lines()
    lines += load.asset_lines(len(servers))
    return "".join(lines)


def _type_lines(mapped: TypeMap) -> Iterator[str]:
    yield f"  # {mapped.description}\n  {mapped.name}:\n"
    if mapped.extends:
        yield f"    extends: {mapped.extends}\n"
    yield f"    description: {_scalar(mapped.description)}\n    tags:\n"
    width = max(len(name) for name in [*(p.name for p in mapped.points), *mapped.formulas]) + 1
    for point in mapped.points:
        yield f"      {point.name + ':':<{width}} {_flow(_tag(point))}\n"
    for name, tag in mapped.formulas.items():
        yield f"      {name + ':':<{width}} {_flow(tag)}\n"
    for section, value in mapped.extra.items():
        yield f"    {section}: {_flow(value)}\n"
    yield "\n"


def _tag(point: Point) -> dict[str, Any]:
    """What the plant file says of a point, in the order people read it."""
    said = {
        "kind": None if point.kind == "value" or point.map else point.kind,
        "map": point.map,
        "unit": point.unit,
        "at": template(point.at),
        "every": point.every,
        "scale": None if point.scale is None else {"factor": point.scale},
        "range": None if point.range is None else list(point.range),
        "decimals": point.decimals,
        "deadband": point.deadband,
        "setpoint": point.setpoint,
        "alarms": None if point.alarms is None else {k: _limit(v) for k, v in point.alarms.items()},
        "write": {"role": point.write} if isinstance(point.write, str) else point.write,
        "description": point.description,
    }
    return {key: value for key, value in said.items() if value not in (None, "")}


def _limit(limit: Limit) -> Any:
    if not isinstance(limit, tuple):
        return limit
    return dict(zip(("limit", "priority", "message", "response"), limit, strict=False))


def _asset_lines() -> Iterator[str]:
    """Every asset by area; those of the line as the bottles go."""
    blocks = [(plc, block) for plc, all_of in BLOCKS.items() for block in all_of]
    area = ""
    for plc, block in sorted(blocks, key=lambda one: _place_in_flow(one[1].asset)):
        before, area = area, block.asset.partition("/")[0]
        if before and before != area:
            yield "\n"
        said = {"type": block.type, "source": plc, "with": {"base": block.base}, "description": block.description}
        yield f"  {block.asset}: {_flow(said)}\n"


def _place_in_flow(asset: str) -> int:
    """The line itself, then its machines, then everything else as it comes."""
    if asset == LINE:
        return -1
    line, _, machine = asset.rpartition("/")
    return LINE_FLOW.index(machine) if line == LINE else len(LINE_FLOW)


def _flow(value: Any) -> str:
    """A value on one line of YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:g}" if abs(value) < 1e6 else str(value)
    text = str(value)
    if _PLAIN.match(text) and text.lower() not in _WORDS:
        return text
    if re.fullmatch(r"\d+(?:\.\d+)? (?:ms|s|min|h|d)", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

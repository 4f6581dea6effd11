"""The plant file of the bottling hall, written from the same declarations that fill its registers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from isthmus.simulators.bottling import guarded, load, production
from isthmus.simulators.bottling.hall import OPCUA
from isthmus.simulators.bottling.maps import BLOCKS, CONNECTIONS, LINE, LINE_FLOW, TYPES, points_of
from isthmus.simulators.bottling.points import Limit, Point, TypeMap, template
from isthmus.simulators.bottling.sensors import DOOR_TOPIC, GROUP, MACHINES
from isthmus.simulators.bottling.uaplc import address

USER: Final = "isthmus"
"""Who reads the controllers that speak OPC UA."""

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*\Z")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})

_HEAD: Final = """\
# A bottling hall in Lyon, simulated: one line for still drinks in 0.75 L glass, the tanks that feed it, the utilities it
# lives on, and the meters that count what all of it uses.
#
#   isthmus check FILE     read it without applying it
#   isthmus apply FILE     make the running system use it
#
# Five controllers speak Modbus TCP, the capper speaks OPC UA, sensors come by Sparkplug and a door counter by MQTT. A type says
# once what all assets of its kind have: addresses count from {base}, which each asset fills in its `with`. The forty-first
# pump is one line.
plant: {enterprise: acme, site: lyon, timezone: Europe/Paris, currency: EUR, description: Bottling hall}

# How long history is kept.
history: {standard: 400 d}

"""


_SENSOR_CONNECTIONS: Final = """\
  sensors: {driver: sparkplug, zone: line1, host_id: isthmus, description: "Vibration and energy sensors, Sparkplug B"}
  door: {driver: mqtt, zone: line1, description: "Counter at the door, MQTT"}
"""

_SENSOR_TYPES: Final = f"""\
  # Vibration and energy sensors at a drive
  drive-sensor:
    description: Vibration and energy sensors at a drive
    tags:
      velocity:
        unit: mm/s
        at: "{GROUP}/vibration/{{machine}}:velocity float"
        range: [0, 50]
        decimals: 2
        deadband: 0.05
        alarms:
          high: {{limit: 4.5, priority: medium, message: Vibration above zone B, response: Look at the bearing soon}}
          high_high: {{limit: 7.1, priority: high, message: Vibration in zone D, response: Stop and look at the bearing}}
        description: Vibration velocity, rms
      acceleration:
        unit: m/s²
        at: "{GROUP}/vibration/{{machine}}:acceleration float"
        scale: {{factor: 9.80665}}
        range: [0, 100]
        decimals: 2
        deadband: 0.05
        description: Vibration acceleration, rms
      temperature:
        unit: °C
        at: "{GROUP}/vibration/{{machine}}:temperature float"
        range: [-20, 150]
        decimals: 1
        deadband: 0.1
        description: Temperature at the bearing
      power:
        unit: kW
        at: "{GROUP}/energy/{{machine}}:power float"
        range: [0, 100]
        decimals: 2
        deadband: 0.05
        description: Power of the drive
      energy:
        kind: counter
        unit: kWh
        at: "{GROUP}/energy/{{machine}}:energy float"
        decimals: 2
        deadband: 0.01
        description: Energy of the drive

  # Counter at a door
  door:
    description: Counter at a door
    tags:
      count:
        kind: counter
        at: "'{DOOR_TOPIC}' $.count int time=$.ts:ms quality=$.ok age=30s"
        description: People who went through
      opened:
        kind: counter
        at: "'{DOOR_TOPIC}' $.opened int time=$.ts:ms quality=$.ok age=30s"
        description: How often it was opened
      open:
        map: {{0: Closed, 1: Open}}
        at: "'{DOOR_TOPIC}' $.open bool time=$.ts:ms quality=$.ok age=30s"
        description: Whether it is open

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
        lines.append(f"  {name}: {_flow({**_device(name, ports[name]), **about})}\n")
    lines.append(_SENSOR_CONNECTIONS)
    lines += load.connection_lines(servers, "1 s")
    lines.append("\ntypes:\n")
    for mapped in TYPES.values():
        lines += _type_lines(mapped)
    lines.append(_SENSOR_TYPES)
    if servers:
        lines += load.type_lines(send_all=False)
    for section, entries in (guarded.of_plant() | production.of_plant()).items():
        lines.append(f"{section}:\n")
        lines += [f"  {name}: {_flow(said)}\n" for name, said in entries.items()]
        lines.append("\n")
    lines.append("assets:\n")
    lines += _asset_lines()
    lines += _sensor_lines()
    lines += load.asset_lines(len(servers))
    return "".join(lines)


def _device(plc: str, port: int) -> dict[str, Any]:
    if plc not in OPCUA:
        return {"driver": "modbus-tcp", "host": "127.0.0.1", "port": port}
    return {
        "driver": "opcua",
        "endpoint": f"opc.tcp://127.0.0.1:{port}",
        "security": "Basic256Sha256-SignAndEncrypt",
        "user": USER,
        "password": f"secret:{plc}",
    }


def _type_lines(mapped: TypeMap) -> Iterator[str]:
    yield f"  # {mapped.description}\n  {mapped.name}:\n"
    if mapped.extends:
        yield f"    extends: {mapped.extends}\n"
    yield f"    description: {_scalar(mapped.description)}\n    tags:\n"
    width = max(len(name) for name in [*(p.name for p in mapped.points), *mapped.formulas]) + 1
    for point in mapped.points:
        yield f"      {point.name + ':':<{width}} {_flow(_tag(mapped.name, point))}\n"
    for name, tag in mapped.formulas.items():
        yield f"      {name + ':':<{width}} {_flow(tag)}\n"
    for section, value in {**mapped.extra, **production.of_type(mapped.name), **guarded.of_type(mapped.name)}.items():
        yield f"    {section}: {_flow(value)}\n"
    yield "\n"


def _tag(type_name: str, point: Point) -> dict[str, Any]:
    """What the plant file says of a point of a type, in the order people read it."""
    key = type_name, point.name
    limits = None if point.alarms is None else {k: _limit(v) for k, v in point.alarms.items()}
    role = {"role": point.write} if isinstance(point.write, str) else point.write
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
        "alarms": guarded.alarms(key, limits),
        "write": None if role is None else guarded.write(key, role),
        "sis": guarded.is_sis(key) or None,
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
        if plc not in OPCUA:
            yield f"  {block.asset}: {_flow(said)}\n"
            continue
        del said["with"]
        yield f"  {block.asset}:\n"
        yield from (f"    {key}: {_flow(value)}\n" for key, value in said.items())
        yield "    at:\n"
        yield from (f"      {p.name}: {_scalar(address(block, p))}\n" for p in points_of(block.type))


def _sensor_lines() -> Iterator[str]:
    yield "\n  # Sensors that no controller knows\n"
    for machine in MACHINES:
        yield f"  condition/{machine}: {{type: drive-sensor, source: sensors, with: {{machine: {machine}}}}}\n"
    yield "  hall/door: {type: door, source: door, description: Door between hall and yard}\n"


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

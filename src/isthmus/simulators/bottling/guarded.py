"""What the plant file of the hall says beyond the points: rationalised alarms, local switches, guards of writes, trips."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Key = tuple[str, str]
"""A type and a tag of it."""

WRITES: Final[Mapping[Key, Mapping[str, Any]]] = {
    ("machine", "target"): {"range": [0, 140], "step": 40, "safe_direction": "down", "tolerance": 0.5},
    ("machine", "enabled"): {"safe_direction": "down"},
    ("machine", "mode"): {"reason": True},
    ("filler", "bowl_setpoint"): {"step": 20, "tolerance": 0.1},
    ("filler", "volume_setpoint"): {"step": 10, "reason": True, "tolerance": 0.1},
    ("capper", "torque_setpoint"): {"step": 0.5, "tolerance": 0.01},
    ("labeller", "tension_setpoint"): {"step": 5, "tolerance": 0.1},
    ("labeller", "glue_setpoint"): {"step": 20, "rate": "60/min", "tolerance": 0.1},
    ("accumulation", "speed_factor"): {"step": 30, "safe_direction": "down"},
    ("tank", "temp_setpoint"): {"step": 20, "safe_direction": "down", "tolerance": 0.1},
    ("tank", "jacket"): {"safe_direction": "down"},
    ("tank", "outlet_pump"): {"safe_direction": "down"},
    ("boiler", "pressure_setpoint"): {
        "range": [6, 10],
        "step": 0.5,
        "rate": "1/min",
        "second_person": True,
        "reason": True,
        "safe_direction": "down",
        "tolerance": 0.05,
    },
    ("boiler", "burner_release"): {"second_person": True, "safe_direction": "down"},
    ("air", "pressure_setpoint"): {"step": 0.5, "reason": True, "tolerance": 0.05},
    ("chiller", "supply_setpoint"): {"step": 2, "tolerance": 0.05, "hold": {"lease": "30 min", "safe": 6}},
}
"""What a write must keep to, besides its role and interlock."""

LOCALS: Final[Mapping[str, str]] = dict.fromkeys(
    ("machine", "accumulation", "tank", "boiler", "air", "chiller"), "local"
)
"""By type: true while it is operated at its own panel."""

SIS_TAGS: Final = frozenset({("boiler", "flame")})
"""The flame is the burner control's own."""

ALARMS: Final[Mapping[Key, Mapping[str, Mapping[str, Any]]]] = {
    ("machine", "motor_temp"): {
        "high": {
            "deadband": 2,
            "on_delay": "10 s",
            "response_time": "15 min",
            "cause": "Fan or filter blocked, or the machine runs heavy",
            "consequence": "The drive trips at 95 °C and the line stops",
            "response": "Look at the fan and at what the machine draws; slow it down",
        },
        "high_high": {
            "deadband": 2,
            "response_time": "2 min",
            "cause": "Cooling has failed",
            "consequence": "The drive trips; its insulation ages by years",
            "suppress_when": "state == Aborted",
        },
    },
    ("machine", "vibration"): {
        "high": {
            "deadband": 0.3,
            "on_delay": "10 s",
            "response_time": "8 h",
            "cause": "Wear or imbalance at the main drive",
            "consequence": "The bearing fails within weeks",
            "response": "Have maintenance look at the bearing",
        },
        "high_high": {
            "deadband": 0.3,
            "on_delay": "5 s",
            "response_time": "30 min",
            "cause": "A bearing that breaks, or a part that came loose",
            "consequence": "The machine is damaged",
            "response": "Stop the machine and look at it",
        },
    },
    ("machine", "air_pressure"): {
        "low_low": {
            "deadband": 0.2,
            "on_delay": "2 s",
            "response_time": "5 min",
            "cause": "A hose burst, or too few compressors run",
            "consequence": "The machine suspends",
        },
    },
    ("machine", "state"): {
        "states": {
            "Aborted": {
                "priority": "high",
                "message": "Machine aborted",
                "response_time": "5 min",
                "cause": "A guard is open or an emergency stop is pressed",
                "consequence": "The line stands",
                "response": "See that nobody is inside, close the guard, reset the machine",
            },
            "Held": {
                "priority": "medium",
                "on_delay": "20 s",
                "message": "Machine held",
                "response_time": "10 min",
                "cause": "A jam, an empty hopper or a broken web: see its cause",
                "consequence": "The accumulation fills, then the filler stops",
                "response": "Clear what its cause tells, then reset",
            },
        },
    },
    ("filler", "bowl_level"): {
        "low_low": {
            "deadband": 1,
            "on_delay": "3 s",
            "response_time": "2 min",
            "message": "Filler bowl nearly empty",
            "cause": "The product tank is empty or its outlet pump stands",
            "consequence": "Air gets into bottles; the filler suspends",
            "response": "Start the outlet pump, look at the product tank",
            "suppress_when": "state == Stopped",
        },
        "high": {
            "deadband": 1,
            "on_delay": "5 s",
            "response_time": "10 min",
            "message": "Filler bowl too full",
            "cause": "The inlet valve does not close",
            "consequence": "Product foams over",
            "response": "Close the inlet valve by hand",
        },
    },
    ("filler", "volume"): {
        "low": {
            "deadband": 0.5,
            "on_delay": "30 s",
            "response_time": "10 min",
            "message": "Bottles are underfilled",
            "cause": "Bowl pressure, a worn head, or a set-point that is too low",
            "consequence": "Bottles below the declared volume may not be sold",
            "response": "Stop the filler, weigh ten bottles, mend the head or the set-point",
        },
        "high": {
            "deadband": 0.5,
            "on_delay": "30 s",
            "response_time": "30 min",
            "message": "Bottles are overfilled",
            "cause": "Bowl pressure, or a set-point that is too high",
            "consequence": "Product is given away",
            "response": "Correct the set-point",
        },
    },
    ("labeller", "web_tension"): {
        "low_low": {
            "deadband": 0.5,
            "on_delay": "2 s",
            "response_time": "5 min",
            "cause": "The web broke, or a splice came apart",
            "consequence": "The accumulation is full in ten minutes, then the filler stops",
        },
    },
    ("labeller", "glue_temp"): {
        "low": {
            "deadband": 1,
            "on_delay": "1 min",
            "response_time": "10 min",
            "message": "Glue too cold",
            "cause": "The heater failed, or the set-point was lowered",
            "consequence": "Labels come off",
            "response": "Look at the heater and at the set-point",
        },
        "deviation": {
            "limit": 8,
            "on_delay": "20 min",
            "priority": "low",
            "message": "Glue temperature away from its set-point",
            "response_time": "1 h",
            "consequence": "Labels come off or turn brown",
            "response": "Look at the heater",
        },
    },
    ("accumulation", "level"): {
        "high_high": {
            "deadband": 3,
            "response_time": "5 min",
            "cause": "The labeller or what is behind it stands",
            "consequence": "Capper and filler stop within two minutes",
        },
    },
    ("tank", "level"): {
        "low_low": {
            "deadband": 1,
            "on_delay": "2 s",
            "response_time": "5 min",
            "message": "Tank nearly empty",
            "cause": "It is not refilled: valve, pump or supply",
            "consequence": "The outlet pump runs dry and the filler starves",
            "response": "Stop the outlet pump, see why it is not refilled",
        },
        "high": {
            "deadband": 1,
            "on_delay": "10 s",
            "response_time": "10 min",
            "message": "Tank nearly full",
            "cause": "The refill does not stop",
            "consequence": "Product goes to the drain",
            "response": "Stop the refill",
        },
    },
    ("tank", "temp"): {
        "deviation": {
            "limit": 5,
            "on_delay": "15 s",
            "message": "Temperature runs away from its set-point",
            "response_time": "5 min",
            "cause": "The jacket's valve sticks",
            "consequence": "The content is spoilt, and steam pressure rises in the tank",
            "response": "Shut off the jacket",
            "suppress_when": "not jacket",
        },
    },
    ("tank", "pressure"): {
        "high": {
            "deadband": 0.1,
            "response_time": "2 min",
            "cause": "The content boils",
            "consequence": "The vent blows off hot caustic",
        },
    },
    ("tank", "pump_temp"): {
        "high_high": {
            "deadband": 3,
            "response_time": "2 min",
            "cause": "The tank is empty and the pump draws air",
            "consequence": "Its seal is destroyed",
        },
    },
    ("boiler", "pressure"): {
        "high": {
            "deadband": 0.2,
            "on_delay": "5 s",
            "response_time": "5 min",
            "message": "Steam pressure high",
            "cause": "Steam use fell away, or the burner does not follow",
            "consequence": "The boiler trips at 10.8 bar",
            "response": "Lower the set-point; take the release from the burner if it does not follow",
        },
        "high_high": {
            "deadband": 0.2,
            "latch": True,
            "response_time": "1 min",
            "cause": "The burner does not follow",
            "consequence": "The safety valve blows off",
        },
    },
    ("boiler", "water_level"): {
        "low_low": {
            "deadband": 2,
            "on_delay": "2 s",
            "latch": True,
            "response_time": "1 min",
            "cause": "The feed pump stands or leaks",
            "consequence": "The tubes burn",
        },
    },
    ("air", "pressure"): {
        "low_low": {
            "deadband": 0.2,
            "on_delay": "3 s",
            "response_time": "5 min",
            "cause": "A hose burst",
            "consequence": "All machines suspend",
        },
    },
    ("chiller", "supply"): {
        "high": {
            "deadband": 0.3,
            "on_delay": "1 min",
            "response_time": "30 min",
            "message": "Chilled water too warm",
            "cause": "The compressor is off or overloaded",
            "consequence": "Product in the tank warms up and foams at the filler",
            "response": "Start the second pump, look at the compressor",
        },
    },
}
"""Alarms of tags, merged into what the points say."""

TYPE_ALARMS: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
    "machine": {
        "in_local": {
            "when": "local",
            "priority": "low",
            "on_delay": "30 min",
            "message": "In local for half an hour",
            "cause": "Somebody works at the machine, or forgot the switch",
            "consequence": "Nobody can operate it from here",
            "response": "Ask at the machine",
            "response_time": "8 h",
        },
    },
    "tank": {
        "dry_running": {
            "when": "outlet_pump and level < 10",
            "priority": "high",
            "on_delay": "1 s",
            "message": "Outlet pump runs though the tank is empty",
            "cause": "The tank was not refilled",
            "consequence": "The pump's seal is destroyed within minutes",
            "response": "Stop the outlet pump",
            "response_time": "2 min",
            "suppress_when": "{pump_temp#high_high}",
        },
    },
}
"""Alarms that are expressions, by type."""

TRIPPING: Final[Mapping[str, Mapping[str, Any]]] = {
    "boiler-over-pressure": {
        "at": "utilities/boiler",
        "when": ["pressure > 10.8", "pressure2 > 10.8", "pressure3 > 10.8"],
        "need": 2,
        "on_loss": "ignore",
        "actions": [{"set": "burner_release", "to": False}],
        "message": "Steam pressure too high in two of three transmitters, burner shut off",
    },
    "boiler-low-water": {
        "at": "utilities/boiler",
        "when": "water_level < 25",
        "on_loss": "ignore",
        "delay": "1 s",
        "actions": [{"set": "burner_release", "to": False}],
        "message": "Boiler water too low, burner shut off",
    },
    "cip-over-temperature": {
        "at": "process/cip",
        "when": ["temp > 92", "pressure > 0.6"],
        "on_loss": "ignore",
        "actions": [{"set": "jacket", "to": False}, {"set": "outlet_pump", "to": False}],
        "message": "Cleaning tank too hot, jacket and outlet pump shut off",
    },
    "product-pump-dry": {
        "at": "process/product",
        "when": "outlet_pump and level < 7",
        "on_loss": "ignore",
        "delay": "1 s",
        "actions": [{"set": "outlet_pump", "to": False}],
        "message": "Product tank empty, outlet pump stopped before its seal burns",
    },
}
"""Hazards of the hall. All signals of one hang on one controller, so a lost one says nothing about the others: `on_loss` ignores it."""


def write(key: Key, said: Mapping[str, Any]) -> dict[str, Any]:
    """The section `write` of a tag."""
    return {**said, **WRITES.get(key, {})}


def alarms(key: Key, said: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The section `alarms` of a tag; a bare number is the limit alone."""
    more = ALARMS.get(key, {})
    if not more:
        return None if said is None else dict(said)
    found: dict[str, Any] = dict(said or {})
    for name, about in more.items():
        if name == "states":
            found[name] = dict(about)
            continue
        before = found.get(name, {})
        found[name] = {**(before if isinstance(before, Mapping) else {"limit": before}), **about}
    return found


def of_type(name: str) -> dict[str, Any]:
    """Sections of an asset type besides its tags."""
    found: dict[str, Any] = {}
    if name in LOCALS:
        found["local"] = LOCALS[name]
    if name in TYPE_ALARMS:
        found["alarms"] = TYPE_ALARMS[name]
    return found


def of_plant() -> dict[str, Any]:
    """Sections of the plant."""
    return {"trips": TRIPPING}


def is_sis(key: Key) -> bool:
    """Whether a tag is said to be of a safety instrumented system."""
    return key in SIS_TAGS

"""Parameter sets of the line, as `POST recipes` takes them: plain data, ready for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

DEMO_RECIPES: Final[Sequence[Mapping[str, Any]]] = (
    {
        "name": "still-075",
        "description": "Still 0.75 L glass",
        "asset": "packaging/line1",
        "parameters": [
            {"path": "filler/target", "value": 120},
            {"path": "filler/bowl_setpoint", "value": 62},
            {"path": "filler/volume_setpoint", "value": 750},
            {"path": "capper/target", "value": 132},
            {"path": "capper/torque_setpoint", "value": 1.85},
            {"path": "labeller/target", "value": 138},
            {"path": "labeller/tension_setpoint", "value": 14},
            {"path": "labeller/glue_setpoint", "value": 152},
            {"path": "accumulation/speed_factor", "value": 100},
        ],
    },
    {
        "name": "lemon-075",
        "description": "Lemon 0.75 L glass: slower, as it foams",
        "asset": "packaging/line1",
        "parameters": [
            {"path": "filler/target", "value": 100},
            {"path": "filler/bowl_setpoint", "value": 55},
            {"path": "filler/volume_setpoint", "value": 748},
            {"path": "capper/target", "value": 112},
            {"path": "capper/torque_setpoint", "value": 1.9},
            {"path": "labeller/target", "value": 118},
            {"path": "labeller/tension_setpoint", "value": 13},
            {"path": "labeller/glue_setpoint", "value": 148},
            {"path": "accumulation/speed_factor", "value": 95},
        ],
    },
)
"""Paths are relative to the asset. Every step is one that the guards of the points let pass from the other recipe."""

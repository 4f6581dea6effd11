"""Parameter sets of the line, as `POST recipes` takes them: plain data, ready for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

DEMO_RECIPES: Final[Sequence[Mapping[str, Any]]] = (
    {
        "name": "still-075",
        "description": "Still 0.75 L glass",
        "asset": "packaging/line1",
        "items": [
            {"tag": "filler/target", "value": 120},
            {"tag": "filler/bowl_setpoint", "value": 62},
            {"tag": "filler/volume_setpoint", "value": 750},
            {"tag": "capper/target", "value": 132},
            {"tag": "capper/torque_setpoint", "value": 1.85},
            {"tag": "labeller/target", "value": 138},
            {"tag": "labeller/tension_setpoint", "value": 14},
            {"tag": "labeller/glue_setpoint", "value": 152},
            {"tag": "accumulation/speed_factor", "value": 100},
        ],
    },
    {
        "name": "lemon-075",
        "description": "Lemon 0.75 L glass: slower, as it foams",
        "asset": "packaging/line1",
        "items": [
            {"tag": "filler/target", "value": 100},
            {"tag": "filler/bowl_setpoint", "value": 55},
            {"tag": "filler/volume_setpoint", "value": 748},
            {"tag": "capper/target", "value": 112},
            {"tag": "capper/torque_setpoint", "value": 1.9},
            {"tag": "labeller/target", "value": 118},
            {"tag": "labeller/tension_setpoint", "value": 13},
            {"tag": "labeller/glue_setpoint", "value": 148},
            {"tag": "accumulation/speed_factor", "value": 95},
        ],
    },
)
"""Tags are paths relative to the asset, in the order in which they are written. Every step is one that the guards of the points let pass from the other recipe."""

"""What the plant file of the hall says about production: calendars, reasons, the line, and how each machine is counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

LINE: Final = "packaging/line1"
DAY_START_MIN: Final = 6 * 60
"""The production day begins at six, in the plant's own time."""

CLEANING: Final = ("05:15", "06:00")
"""The line is run empty and cleaned before each day begins."""

CLOSED: Final[Mapping[str, str]] = {
    "2025-12-25": "Christmas",
    "2026-01-01": "New Year's Day",
    "2026-05-01": "Labour Day",
    "2026-07-14": "Bastille Day",
    "2026-12-25": "Christmas",
    "2027-01-01": "New Year's Day",
    "2027-05-01": "Labour Day",
    "2027-07-14": "Bastille Day",
}
"""Production days on which nobody works: ISO date of the day's beginning, and its name."""

CALENDARS: Final[Mapping[str, Mapping[str, Any]]] = {
    "": {
        "day_start": "06:00",
        "first_week": "2026-01-05",
        "shifts": {
            "early": {"days": "mon-sun", "from": "06:00", "to": "14:00", "crews": ["A", "B", "C", "D"]},
            "late": {"days": "mon-sun", "from": "14:00", "to": "22:00", "crews": ["B", "C", "D", "A"]},
            "night": {"days": "mon-sun", "from": "22:00", "to": "06:00", "crews": ["C", "D", "A", "B"]},
        },
        "holidays": dict(CLOSED),
        "planned": {"cleaning": {"days": "mon-sun", "from": CLEANING[0], "to": CLEANING[1]}},
    }
}
"""Of the whole site: three shifts on every day, four crews that take turns by the week."""

REASONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "mechanical": {
        "loss": "breakdown",
        "time": "ADOT",
        "reasons": {
            "jam": "Bottle jam",
            "web": "Label web broken",
            "drive": "Drive overheated",
            "other": "Other repair",
        },
    },
    "supply": {
        "loss": "breakdown",
        "time": "ADET",
        "reasons": {"caps": "Cap hopper empty", "air": "Air pressure low", "product": "Product supply low"},
    },
    "safety": {
        "loss": "breakdown",
        "time": "ADOT",
        "reasons": {"guard": "Guard open", "estop": "Emergency stop"},
    },
    "setup": {"loss": "setup", "time": "AUST", "reasons": {"changeover": "Change-over", "adjust": "Adjustment"}},
    "operation": {
        "loss": "minor_stop",
        "time": "ADET",
        "reasons": {"operator": "Stopped by operator", "break": "No crew"},
    },
    "planned": {
        "planned": True,
        "time": "PDOT",
        "reasons": {"cleaning": "Cleaning in place", "maintenance": "Planned maintenance", "trial": "Trial run"},
    },
    "scrap": {
        "kind": "scrap",
        "loss": "production_reject",
        "reasons": {
            "underfill": "Filled too low",
            "cap": "Cap not tight",
            "label": "Label askew",
            "broken": "Broken bottle",
        },
    },
    "start-up": {"kind": "scrap", "loss": "startup_reject", "reasons": {"first": "First bottles after a change-over"}},
    "rework": {"kind": "rework", "reasons": {"relabel": "Labelled again", "recap": "Capped again"}},
}
"""Why something stands, and why a bottle is no good."""

LINES: Final[Mapping[str, Mapping[str, Any]]] = {
    LINE: {
        "constraint": "filler",
        "counts_at": "palletiser",
        "machines": ["filler", "capper", "labeller", "palletiser"],
        "buffers": ["30 s", "7 min", "90 s"],
        "cost": "42/min",
    }
}
"""Between capper and labeller lies the accumulation; the belts take less."""

BY_CAUSE: Final[Mapping[int, str]] = {
    3: "mechanical/jam",
    4: "supply/caps",
    5: "mechanical/web",
    6: "safety/guard",
    7: "setup/changeover",
    8: "mechanical/drive",
    9: "supply/air",
    10: "supply/product",
    11: "operation/operator",
    12: "safety/estop",
}
"""The reason that stands for each cause a machine tells."""

_RULES: Final = {
    "running": "state == Execute",
    "starved": "cause == Starved",
    "blocked": "cause == Blocked",
    "setup": "cause == 'Change-over'",
    "idle": "state in (Idle, Starting, Resetting, Unholding, Unsuspending)",
}
"""PackML has one state for both kinds of waiting, so the cause has its say; what none of these is, stands."""


def _machine(ideal_rate: str, cost: str, **more: Any) -> dict[str, Any]:
    return {
        "rules": dict(_RULES),
        "good": "good",
        "reject": "reject",
        "ideal_rate": ideal_rate,
        "speed": "speed",
        "micro_stop": "2 min",
        "energy": ["energy"],
        "cost": cost,
        **more,
    }


TYPES: Final[Mapping[str, Mapping[str, Any]]] = {
    "filler": _machine("125/min", "18/min", product="recipe", material=["filled"]),
    "capper": _machine("135/min", "9/min"),
    "labeller": _machine("140/min", "11/min"),
    "palletiser": _machine("146/min", "12/min"),
    "wrapper": {
        "pulse": {"tag": "current", "on": 2.5, "idle_after": "6 min", "stopped_after": "15 min"},
        "micro_stop": "2 min",
        "cost": "3/min",
    },
}
"""How each type is counted. The wrapper is an old machine without a controller: a clamp on its supply says all there is.
A pallet comes every five minutes or so; only when none came for longer it stands."""


def of_type(name: str) -> dict[str, Any]:
    """Sections of an asset type."""
    return {"production": TYPES[name]} if name in TYPES else {}


def of_plant() -> dict[str, Any]:
    """Sections of the plant."""
    return {"calendars": CALENDARS, "reasons": REASONS, "lines": LINES}

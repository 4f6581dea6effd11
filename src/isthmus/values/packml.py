"""PackML: the numbers and names of unit machine states and modes, for `map: packml`.

Source: ISA-TR88.00.02-2015, table of PackTags Status.StateCurrent and Status.UnitModeCurrent
"""

from __future__ import annotations

from typing import Final

STATES: Final[dict[int, str]] = {
    1: "Clearing",
    2: "Stopped",
    3: "Starting",
    4: "Idle",
    5: "Suspended",
    6: "Execute",
    7: "Stopping",
    8: "Aborting",
    9: "Aborted",
    10: "Holding",
    11: "Held",
    12: "Unholding",
    13: "Suspending",
    14: "Unsuspending",
    15: "Resetting",
    16: "Completing",
    17: "Complete",
}

MODES: Final[dict[int, str]] = {1: "Production", 2: "Maintenance", 3: "Manual"}
"""Modes the report names; a maker may add more from 4 on."""

STATE_NUMBERS: Final[dict[str, int]] = {name: number for number, name in STATES.items()}

CLASSES: Final[dict[str, str]] = {
    "Execute": "running",
    **dict.fromkeys(("Idle", "Complete", "Completing", "Resetting", "Starting", "Unsuspending", "Unholding"), "idle"),
    **dict.fromkeys(("Suspending", "Suspended"), "starved"),
    **dict.fromkeys(("Held", "Holding", "Stopping", "Stopped", "Aborting", "Aborted", "Clearing"), "stopped"),
}
"""What each state is counted as, unless the plant file says otherwise (a machine blocked behind it is suspended too)."""

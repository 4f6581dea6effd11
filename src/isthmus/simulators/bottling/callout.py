"""Call-out of the hall, as the API takes it: plain data, ready for JSON. It reaches a file on this machine and nobody else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

CHANNEL: Final = "logbook"
ROTA: Final = "shift"
SECRET: Final = "callout-logbook"  # noqa: S105  its name
RULES: Final[Mapping[str, Mapping[str, Any]]] = {
    "line": {
        "priorities": ["critical", "high"],
        "under": ["packaging"],
        "steps": [{"who": f"rota:{ROTA}", "channels": [CHANNEL], "repeat_s": 300, "times": 2}],
    },
    "utilities": {
        "priorities": ["critical", "high"],
        "under": ["process", "utilities"],
        "steps": [{"who": f"rota:{ROTA}", "channels": [CHANNEL], "after_s": 30}],
        "quiet": [{"priorities": ["high"], "hours": "22:00-06:00"}],
        "until": "returned",
    },
}
"""By name. Quiet at night for what can wait."""

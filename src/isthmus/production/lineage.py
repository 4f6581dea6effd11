"""Which readings a figure stands on."""

from __future__ import annotations

from typing import Final

from isthmus.namespace.model import Machine, Plant
from isthmus.production.fold import state_tags
from isthmus.production.model import Question

_TIMES: Final = ("state",)
_COUNTS: Final = ("good", "reject", "total")
_STANDS_ON: Final[dict[str, tuple[str, ...]]] = {
    "availability": _TIMES,
    "performance": (*_TIMES, "total", "good", "reject"),
    "quality": _COUNTS,
    "oee": (*_TIMES, *_COUNTS),
    "teep": (*_TIMES, *_COUNTS),
    "utilization": _TIMES,
    "mtbf_ns": _TIMES,
    "mttr_ns": _TIMES,
    "first_pass_yield": (*_COUNTS, "rework"),
    "scrap_ratio": _COUNTS,
    "throughput_per_h": (*_TIMES, "total", "good", "reject"),
    "energy_per_good": ("good", "energy"),
    "material_per_good": ("good", "material"),
    "cost": _TIMES,
}
FIGURES: Final = tuple(_STANDS_ON)
"""Figures that can be opened."""


def questions(machine: Machine, plant: Plant, figure: str, start_ns: int, end_ns: int) -> tuple[Question, ...]:
    """Questions to the history that show what a figure stands on."""
    found = []
    for what in _STANDS_ON.get(figure, (*_TIMES, *_COUNTS)):
        tags = tuple(plant.by_id[t].path for t in _tags(machine, what) if t in plant.by_id)
        if tags:
            found.append(Question(tags, start_ns, end_ns, what))
    return tuple(found)


def _tags(machine: Machine, what: str) -> tuple[int, ...]:
    match what:
        case "state":
            return state_tags(machine)
        case "energy":
            return machine.energy
        case "material":
            return machine.material
        case "total":
            return (machine.total or (machine.pulse if machine.pulse_on is None and not machine.good else 0),)
        case "good":
            return (machine.good,)
        case "reject":
            return (machine.reject,)
        case _:
            return (machine.rework,)

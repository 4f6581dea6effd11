"""What the plant file says about maintenance."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from isthmus.values.errors import ConfigError
from isthmus.values.plant.scalars import Segment
from isthmus.values.schema import Scalar
from isthmus.values.units import parse_duration_s

_COUNT = re.compile(r"[0-9]+ (cycles|starts|pieces)\Z")


def _interval(text: str) -> str:
    if not _COUNT.match(text):
        seconds = parse_duration_s(text.removesuffix(" running"))
        if not seconds > 0:
            raise ConfigError("must be more than nothing")
    return text


Interval = Annotated[
    str, Scalar("an interval such as 90 d, 500 h running or 10000 cycles", _interval, {"type": "string"})
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSection:
    """One task that comes back."""

    every: Interval
    """When it is due again: calendar time, running time or a count."""
    task: Segment
    """Which task."""
    description: str = ""
    """What is to be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceSection:
    """The maintenance plan of an asset."""

    plan: tuple[TaskSection, ...] = ()
    """Tasks that come back."""

"""How many hours, shifts or days of planned time a row of values is of."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Final

import numpy as np

from isthmus.production.fold import WORK, Planner
from isthmus.production.model import HOUR_NS
from isthmus.values.clock import NS_PER_S

SPANS: Final = ("hour", "shift", "day")
"""What targets of counts are per: hours are planned ones, shifts and days count by the share of their planned time."""
TOLD: Final = frozenset({"machine", "line", "shift", "day", "team", "hour"})
"""Rows whose time the calendar knows; when an order or a product was made it does not."""


def spans_of(
    planner: Planner, asset: str, key: Mapping[str, str], start_ns: int, end_ns: int, per: str
) -> float | None:
    """Planned time of a row in [start, end), in such spans; None where the calendar cannot tell.

    A shift of which half the planned time is over is half a shift.
    """
    if not key.keys() <= TOLD:
        return None
    if key.get("hour"):
        begin_ns = int(datetime.fromisoformat(key["hour"]).astimezone(UTC).timestamp()) * NS_PER_S
        start_ns, end_ns = max(start_ns, begin_ns), min(end_ns, begin_ns + HOUR_NS)
    if start_ns >= end_ns:
        return 0.0
    whole_ns = planner.day_span(asset, planner.day_of(asset, start_ns))[0]
    until_ns = planner.day_span(asset, planner.day_of(asset, end_ns - 1))[1]
    told = planner.segments(asset, min(whole_ns, start_ns), max(until_ns, end_ns))
    begins, ends = told.start_ns, np.r_[told.start_ns[1:], told.end_ns]
    planned = told.kind == WORK
    whole = np.where(planned, ends - begins, 0)
    inside = np.where(planned, np.maximum(np.minimum(ends, end_ns) - np.maximum(begins, start_ns), 0), 0)
    mine = np.ones(len(begins), np.bool_)
    if key.get("day"):
        mine &= told.day == date.fromisoformat(key["day"]).toordinal()
    for name, names in (("shift", told.shift), ("team", told.team)):
        if name in key:
            mine &= np.array([one == key[name] for one in names], np.bool_)
    inside = np.where(mine, inside, 0)
    if per == "hour":
        return float(inside.sum()) / HOUR_NS
    marks = (
        told.day
        if per == "day"
        else [f"{day} {shift}" for day, shift in zip(told.day.tolist(), told.shift, strict=True)]
    )
    _, group = np.unique(marks, return_inverse=True)
    of_whole, of_inside = np.bincount(group, whole), np.bincount(group, inside)
    return float((of_inside[of_whole > 0] / of_whole[of_whole > 0]).sum())

"""The calendars as columns: what a fold cuts its facts by."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Final

import numpy as np

from isthmus.production.calendar import Calendars, Schedule
from isthmus.production.fold import BREAK, NO_SHIFT, WORK, Segments

_KEPT: Final = 64
_KINDS: Final = {"run": WORK, "break": BREAK, "planned": BREAK, "holiday": BREAK, "off": NO_SHIFT}


class CalendarPlanner:
    """Answers from the calendars in force; machines of one calendar share the answer to one question."""

    def __init__(self, calendars: Callable[[], Calendars]) -> None:
        self._calendars = calendars
        self._known: dict[tuple[Schedule, int, int], Segments] = {}

    def segments(self, asset: str, start_ns: int, end_ns: int) -> Segments:
        """All of [start_ns, end_ns), cut where anything changes."""
        schedule = self._calendars().of(asset)
        key = (schedule, start_ns, end_ns)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            found = self._known[key] = _segments(schedule, start_ns, end_ns)
        return found

    def day_span(self, asset: str, day: int) -> tuple[int, int]:
        """When a production day begins and ends."""
        return self._calendars().of(asset).day_span(date.fromordinal(day).isoformat())

    def day_of(self, asset: str, time_ns: int) -> int:
        """The production day a moment is in."""
        return date.fromisoformat(self._calendars().of(asset).day_of(time_ns)).toordinal()


def _segments(schedule: Schedule, start_ns: int, end_ns: int) -> Segments:
    pieces = schedule.pieces(start_ns, end_ns)
    days = {text: date.fromisoformat(text).toordinal() for text in {p.day for p in pieces}}
    return Segments(
        np.array([p.start_ns for p in pieces], np.int64),
        pieces[-1].end_ns,
        np.array([days[p.day] for p in pieces], np.int32),
        np.array([_KINDS[p.kind] for p in pieces], np.uint8),
        tuple(p.shift for p in pieces),
        tuple(p.crew for p in pieces),
    )

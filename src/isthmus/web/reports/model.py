"""What a shift report holds, before it becomes an answer or pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from isthmus.alarms.model import Occurrence
from isthmus.namespace.model import Plant
from isthmus.production.model import MINOR
from isthmus.production.shiftlog import Note, NoteKind
from isthmus.production.shiftreport import ShiftFacts

TOP_ALARMS = 5


@dataclass(frozen=True, slots=True)
class TopAlarm:
    """An alarm that came often."""

    alarm: str
    message: str
    priority: str
    count: int


@dataclass(frozen=True, slots=True)
class AlarmSummary:
    """Alarms that were raised in a shift. ``counts`` by priority; ``complete`` is false where there are more."""

    raised: int = 0
    unacknowledged: int = 0
    complete: bool = True
    counts: Mapping[str, int] = field(default_factory=dict)
    top: tuple[TopAlarm, ...] = ()


@dataclass(frozen=True, slots=True)
class ShiftReport:
    """One shift: facts, log, alarms. ``notes`` oldest first; ``open`` is what somebody still has to see to."""

    facts: ShiftFacts
    notes: tuple[Note, ...]
    open: tuple[Note, ...]
    alarms: AlarmSummary
    plant: Plant
    made_ns: int

    def hand(self, kind: NoteKind) -> Note | None:
        """Who handed the shift over, or took it over."""
        return next((n for n in self.notes if n.kind is kind and n.path == self.facts.area), None)

    def reason(self, key: str) -> str:
        """A reason for people: empty where nobody said one; what was taken out of the plant file keeps its key."""
        if not key or key == MINOR:
            return key
        return next((r.text or r.name for r in self.plant.reasons if r.key == key), key)


def summarised(found: Sequence[Occurrence], start_ns: int, end_ns: int, *, complete: bool) -> AlarmSummary:
    """Those that were raised within a shift."""
    raised = [o for o in found if start_ns <= o.raised_ns < end_ns]
    often = Counter(o.alarm for o in raised)
    last = {o.alarm: o for o in raised}
    top = sorted(often.items(), key=lambda pair: (-pair[1], pair[0]))[:TOP_ALARMS]
    return AlarmSummary(
        raised=len(raised),
        unacknowledged=sum(o.acknowledged_ns is None for o in raised),
        complete=complete,
        counts=dict(Counter(o.priority for o in raised)),
        top=tuple(TopAlarm(key, last[key].message, last[key].priority, count) for key, count in top),
    )

"""What the room alarms says: each change of an alarm, in the words of ISA-18.2."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Source: ANSI/ISA-18.2-2016, 5.3 (alarm state transition diagram)"""

    NORMAL = "Normal"
    UNACKNOWLEDGED = "Unacknowledged"
    ACKNOWLEDGED = "Acknowledged"
    RETURNED_UNACKNOWLEDGED = "ReturnedUnacknowledged"
    LATCHED = "Latched"
    SHELVED = "Shelved"
    SUPPRESSED_BY_DESIGN = "SuppressedByDesign"
    OUT_OF_SERVICE = "OutOfService"


PRIORITIES = ("critical", "high", "medium", "low")


@dataclass(frozen=True, slots=True)
class AlarmChange:
    """One change of one alarm. ``occurrence`` is the row of the journal from raised to cleared; ``replayed`` was over
    before anybody could hear of it, and is for the record only.

    Units: time_ns is source time of the sample, or of the act of a person, UTC ns
    """

    seq: int  # grows by one with each change of any alarm
    occurrence: int
    alarm: str  # permanent key: path of the tag or asset, "#", name of the alarm
    path: str
    asset: str
    zone: str
    priority: str
    message: str
    before: State
    after: State
    time_ns: int
    value: float | int | str | None = None
    unit: str = ""
    limit: float | None = None
    by: str = ""  # who, where a person did it
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Reported:
    """An alarm that another room knows of by itself: a trip, a change nobody recorded, a link that is gone."""

    key: str  # unique and lasting, such as "control/unexplained/hall/filler/target"
    path: str
    priority: str
    message: str
    cause: str = ""
    consequence: str = ""
    response: str = ""

"""The way back, between core and the edge that owns a device: a command, its answer, and what the edge kept in its journal.

`cmd.v1.<site>.<edge>.write` carries a WriteCommand and is answered by a WriteAnswer once the device has answered, been refused
or fallen silent. `cmd.v1.<site>.<edge>.outcome` asks for the answer to a command by its id, after core or bus were away.
`cmd.v1.<site>.<edge>.mode` brings the modes of zones, `….lock` what is locked out, `….trip` resets or tests a trip; the edge keeps all of it over a restart. `ask.v1.<edge>.journal` asks for lines of the
edge's journal behind a number; a heartbeat names the newest one.

mode    {"modes": {ZONE: Mode, …}}                      all of them: a zone that is not named is normal; answered by Told
lock    {"locks": [{"path": …, "who": …, "why": …}, …]} all of them; a path is a tag, an asset or connections/NAME, "" the plant
trip    TripCommand, answered by Told
outcome {"id": …}, answered by a WriteAnswer, or by null where the edge knows nothing of it
journal {"after": n}, answered by {"first": n, "newest": n, "lines": [{n, at_ns, kind, …}, …]}; kind is write, lease, trip, mode, lock
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Written = float | int | str


class Mode(StrEnum):
    """What a zone lets pass. Trips outrank it."""

    NORMAL = "normal"
    SAFE_DIRECTION_ONLY = "safe-direction-only"
    HALTED = "halted"


class Result(StrEnum):
    """How a write ended."""

    DONE = "done"  # written and read back
    DENIED = "denied"  # nothing reached the device
    UNCERTAIN = "uncertain"  # it may have; it is not sent again


@dataclass(frozen=True, slots=True)
class WriteCommand:
    """One value for one tag. Its effect happens at most once for an ``id``, however often it is sent.

    Units: value in the tag's unit; expires_ns is core's clock, UTC ns; after it the edge refuses
    """

    id: str
    tag: int
    value: Written
    expires_ns: int
    model_version: int
    sent_ns: int  # core's clock: more than 2 s away from the edge's own is refused
    by: str  # pseudonym of who asked, for the journal of the edge
    intent: str  # id of the durable audit intent; without one the edge refuses
    base: Written | None = None  # what was shown when it was asked for; another value at the edge is refused


@dataclass(frozen=True, slots=True)
class WriteAnswer:
    """How it ended. ``code`` is for programs, ``reason`` and ``clears`` (what would clear it) for people.

    Units: times are the edge's clock, UTC ns; 0 where it did not happen
    """

    id: str
    result: Result
    code: str = ""
    reason: str = ""
    clears: str = ""
    sent_ns: int = 0
    read_ns: int = 0
    read_back: Written | None = None
    read_status: int = 0
    before: Written | None = None


@dataclass(frozen=True, slots=True)
class TripCommand:
    """What a person wants of a trip: ``do`` is reset or test. ``by`` and ``intent`` as in a WriteCommand."""

    trip: str
    do: str
    by: str
    intent: str


@dataclass(frozen=True, slots=True)
class Told:
    """Whether the edge did it; where not, why, and what would clear it."""

    ok: bool
    code: str = ""
    reason: str = ""
    clears: str = ""

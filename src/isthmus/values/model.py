"""The compiled model of one edge: everything the edge needs to acquire, bind and publish without core.

Compiled by the namespace from the plant file, stored in the KV bucket `model` under the edge's name, kept by the edge
as its last good copy. Tags are columns so that fifty thousand of them load in milliseconds.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, fields
from typing import Any

import orjson

from isthmus.values.errors import Malformed
from isthmus.values.sample import ValueType

EDGE_MODEL_FORMAT = 3
"""2 adds scripts, 3 points that may be written and trips. A model is written in the lowest format that can say it, so that
an edge of a build before runs it."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a connection may cost its device at most.

    Units: pause_s is the least time between an answer and the next request; requests_per_s 0 means no limit
    """

    outstanding: int = 1
    requests_per_s: float = 0.0
    pause_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ConnectionModel:
    """One device as the edge sees it. ``system`` are the ids of its own diagnostic tags, by name (SYSTEM_TAGS)."""

    name: str
    driver: str
    config: dict[str, Any]
    budget: Budget = field(default_factory=Budget)
    access: str = "read-only"
    zone: str = ""
    system: dict[str, int] = field(default_factory=dict)


SYSTEM_TAGS: dict[str, tuple[ValueType, str, str]] = {
    "state": (ValueType.TEXT, "", "Good, Slow, Bad, Connecting or Stopped; event lane"),
    "reason": (ValueType.TEXT, "", "Why the state is not Good, in words for a technician; event lane"),
    "latency": (ValueType.FLOAT, "ms", "Longest answer time of a request in the last second"),
    "requests": (ValueType.FLOAT, "1/s", "Requests sent to the device per second"),
    "values": (ValueType.FLOAT, "1/s", "Values read from the device per second"),
    "errors": (ValueType.INT, "", "Requests that failed since the edge started"),
    "lag": (ValueType.FLOAT, "s", "How far polling is behind its schedule"),
}
"""Diagnostics of each connection are tags like any other, at `connections/<name>/<tag>`."""


TRIP_STATES = {0: "Armed", 1: "Tripped", 2: "Test", 3: "Cannot judge"}
TRIP_TAGS: dict[str, tuple[ValueType, str]] = {
    "state": (ValueType.INT, "Whether it is armed, tripped, under test, or cannot judge"),
    "cause": (ValueType.TEXT, "The condition that was true first, with what it looked at"),
}
"""Each trip tells how it is by tags at `trips/<name>/<tag>`, on the event lane."""


@dataclass(frozen=True, slots=True)
class TagColumns:
    """Tags of one edge, column by column; row i is one tag. All lists have the same length.

    Units: period_s, max_gap_s in seconds; resolution_ns in ns; deadband in the tag's unit after scaling
    """

    id: list[int] = field(default_factory=list)
    path: list[str] = field(default_factory=list)
    type: list[str] = field(default_factory=list)  # ValueType after binding
    connection: list[str] = field(default_factory=list)  # "" for a calculated tag
    address: list[str] = field(default_factory=list)
    period_s: list[float] = field(default_factory=list)
    factor: list[float] = field(default_factory=list)  # value = raw * factor + offset
    offset: list[float] = field(default_factory=list)
    low: list[float | None] = field(default_factory=list)  # outside low..high the value is Uncertain, limits exceeded
    high: list[float | None] = field(default_factory=list)
    deadband: list[float] = field(default_factory=list)  # 0 sends every change; below 0 sends every reading
    deadband_percent: list[float] = field(default_factory=list)  # of the last sent value; used where above 0
    max_gap_s: list[float] = field(default_factory=list)  # an unchanged value is sent again after this long
    resolution_ns: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.id)


@dataclass(frozen=True, slots=True)
class FormulaModel:
    """A calculated tag; ``inputs`` are tag ids by the name the expression uses; in dependency order within the model."""

    id: int
    expression: str
    inputs: dict[str, int]


@dataclass(frozen=True, slots=True)
class ScriptModel:
    """A tag calculated by a function of a script. ``inputs`` are (tag id, factor, offset) by the name the function
    uses; what it gets is value * factor + offset. ``reason`` is the tag that tells why there is no good value.

    Units: every_s in seconds, 0 calls it on every change of an input; limit_s per call
    """

    id: int
    reason: int
    file: str
    function: str
    inputs: dict[str, tuple[int, float, float]]
    every_s: float = 0.0
    state: bool = False
    bad_inputs: bool = False  # whether it is called with bad inputs too
    limit_s: float = 0.1
    memory_mb: int = 256


@dataclass(frozen=True, slots=True)
class WritePoint:
    """A tag that may be written, and what must hold for it. Expressions are resolved and true or false; ``inputs`` are tag
    ids of the same edge by the names they use.

    Units: low, high, step, tolerance and safe in the tag's unit; rate_s in it per second; within_s, fresh_s, hold_s in s
    """

    tag: int
    role: str  # the least role that may write it
    zone: str = ""  # whose mode holds for it
    interlock: str = ""  # must be true; unknown is not true
    local: str = ""  # true while the unit is operated at the machine: what comes from here is refused
    inputs: dict[str, int] = field(default_factory=dict)
    low: float | None = None
    high: float | None = None
    step: float | None = None  # the most it may change at once
    rate_s: float | None = None  # and over time
    second_person: bool = False
    needs_reason: bool = False
    direction: int = 0  # the safe one: 1 up, -1 down, 0 none; it is what SAFE-DIRECTION-ONLY lets pass
    read_back: int = 0  # the tag that shows what was written; 0: the tag itself
    tolerance: float = 0.0
    within_s: float = 5.0
    fresh_s: float = 3.0  # an input older than this is stale, and then nothing is written
    hold_s: float = 0.0  # lease; when nobody renews it, ``safe`` is written; 0: no lease
    safe: float | int | None = None
    guarded: bool = True  # a change that no record explains raises an alert
    lockout: str = ""  # who locked it out in the plant file, and why


@dataclass(frozen=True, slots=True)
class TripModel:
    """A hazard and what is done about it, at the edge, whatever else is dead. ``votes`` are conditions of which ``need``
    must be true for ``delay_s``; one that is unknown counts as true where ``on_loss``.

    Units: delay_s, bound_s and fresh_s in seconds, bound_s from the sample to the last command on the wire
    """

    name: str
    asset: str
    votes: tuple[str, ...]
    inputs: dict[str, int]
    need: int = 1
    on_loss: bool = True
    delay_s: float = 0.0
    bound_s: float = 0.1
    actions: tuple[tuple[int, float], ...] = ()  # (tag, value) in order; empty: an alert only
    priority: str = "critical"
    message: str = ""
    state: int = 0  # tag: 0 armed, 1 tripped, 2 test, 3 cannot judge
    cause: int = 0  # text tag: the first condition that was true, in words
    fresh_s: float = 3.0  # an input that was not confirmed for longer is lost
    test: tuple[tuple[int, float], ...] = ()  # what a test writes instead of the actions


def trip_of(raw: dict[str, Any]) -> TripModel:
    """A trip as it came from JSON.

    Raises: TypeError, KeyError, ValueError
    """
    actions, test = (tuple((int(tag), value) for tag, value in raw.get(name, ())) for name in ("actions", "test"))
    return TripModel(**{**raw, "votes": tuple(raw["votes"]), "actions": actions, "test": test})


@dataclass(frozen=True, slots=True)
class EdgeModel:
    """What one edge runs. ``version`` is the plant version it was compiled from."""

    version: int
    enterprise: str
    site: str
    edge: str
    connections: tuple[ConnectionModel, ...] = ()
    tags: TagColumns = field(default_factory=TagColumns)
    formulas: tuple[FormulaModel, ...] = ()
    scripts: tuple[ScriptModel, ...] = ()
    files: dict[str, str] = field(default_factory=dict)  # the text of each script by its name
    points: tuple[WritePoint, ...] = ()
    trips: tuple[TripModel, ...] = ()

    def to_bytes(self) -> bytes:
        """Compressed JSON with its format number; about 15 bytes a tag."""
        said = {"format": EDGE_MODEL_FORMAT, **_shallow(self)}
        if not self.points and not self.trips:
            said["format"] = 2
            del said["points"], said["trips"]
            if not self.scripts:
                said["format"] = 1
                del said["scripts"], said["files"]
        return zlib.compress(
            orjson.dumps(
                said,
                option=orjson.OPT_PASSTHROUGH_DATACLASS,
                default=_shallow,
            ),
            1,
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> EdgeModel:
        """Inverse of ``to_bytes``.

        Raises: Malformed if the bytes are not a model this build reads
        """
        try:
            raw = orjson.loads(zlib.decompress(data))
            if raw.pop("format") not in range(1, EDGE_MODEL_FORMAT + 1):
                raise Malformed("edge model has a format this build does not read")
            raw["connections"] = tuple(
                ConnectionModel(**{**c, "budget": Budget(**c["budget"])}) for c in raw["connections"]
            )
            raw["tags"] = TagColumns(**raw["tags"])
            raw["formulas"] = tuple(FormulaModel(**f) for f in raw["formulas"])
            raw["scripts"] = tuple(_script(s) for s in raw.get("scripts", ()))
            raw["points"] = tuple(WritePoint(**p) for p in raw.get("points", ()))
            raw["trips"] = tuple(trip_of(t) for t in raw.get("trips", ()))
            return cls(**raw)
        except Malformed:
            raise
        except (zlib.error, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Malformed(f"edge model does not parse: {error}") from error


def _script(raw: dict[str, Any]) -> ScriptModel:
    inputs = {name: (int(tag), float(factor), float(offset)) for name, (tag, factor, offset) in raw["inputs"].items()}
    return ScriptModel(**{**raw, "inputs": inputs})


def _shallow(value: Any) -> dict[str, Any]:
    """A dataclass as a dict without copying its columns, which `asdict` would do element by element."""
    return {f.name: getattr(value, f.name) for f in fields(value)}

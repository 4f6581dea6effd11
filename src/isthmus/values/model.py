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

EDGE_MODEL_FORMAT = 2
"""2 adds scripts. A model without scripts is still written as 1, so that an edge of the build before runs it."""


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

    def to_bytes(self) -> bytes:
        """Compressed JSON with its format number; about 15 bytes a tag."""
        said = {"format": EDGE_MODEL_FORMAT, **_shallow(self)}
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
            if raw.pop("format") not in (1, EDGE_MODEL_FORMAT):
                raise Malformed("edge model has a format this build does not read")
            raw["connections"] = tuple(
                ConnectionModel(**{**c, "budget": Budget(**c["budget"])}) for c in raw["connections"]
            )
            raw["tags"] = TagColumns(**raw["tags"])
            raw["formulas"] = tuple(FormulaModel(**f) for f in raw["formulas"])
            raw["scripts"] = tuple(_script(s) for s in raw.get("scripts", ()))
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

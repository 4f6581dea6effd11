"""What compiling works on: tags and assets before they have ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from isthmus.namespace.model import (
    AlarmSpec,
    Asset,
    Calendar,
    ChangeRule,
    Conduit,
    Connector,
    Lockout,
    Machine,
    OwnRole,
    ProductionLine,
    Reason,
    Rule,
    RuleInstance,
    Zone,
)
from isthmus.namespace.plantfile import MAX_DEPTH, Document, Spot
from isthmus.namespace.workbook import cell_of
from isthmus.ports.drivers import Address
from isthmus.values.model import TRIP_TAGS, Budget, TripModel, WritePoint
from isthmus.values.plant.namespace import TagSection, declared
from isthmus.values.sample import ValueType

DEFAULT_MAX_GAP_S = 600.0
DEFAULT_RESOLUTION_NS = 1_000_000


@dataclass(slots=True, eq=False)  # there are two of them for each row, and frozen ones cost four times as much
class InFile:
    """A cell of a tag list; never changed. Units: line and columns count from 1"""

    file: str
    line: int
    path: str
    columns: Mapping[str, int]
    name: str = "path"

    @property
    def column(self) -> int:
        """Where the cell is; the cell of the path if the list has no such column."""
        return self.columns.get(self.name) or self.columns["path"]


Place = Spot | InFile
"""Where something was declared."""


def at_field(place: Place, name: str) -> Place:
    """The place of one field of a section, or of the cell that holds it."""
    if isinstance(place, InFile):
        return InFile(place.file, place.line, place.path, place.columns, name)
    return (*place, name)


def note(
    document: Document,
    place: Place,
    problem: str,
    value: str | None = None,
    *,
    key: bool = False,
    warning: bool = False,
) -> None:
    """Notes a finding wherever it was declared."""
    if isinstance(place, InFile):
        document.report.add(
            problem,
            where=cell_of(place.file, place.line, place.column),
            line=place.line,
            column=place.column,
            path=place.path,
            value=value or "",
            warning=warning,
        )
    else:
        document.error(place, problem, value, key=key, warning=warning)


class Common:
    """What all tags with one declaration share, worked out once."""

    __slots__ = (
        "deadband",
        "deadband_percent",
        "declared",
        "factor",
        "high",
        "limits",
        "low",
        "max_gap_s",
        "offset",
        "resolution_ns",
        "retention",
        "section",
        "states",
    )

    def __init__(self, section: TagSection, states: dict[int, str] | None) -> None:
        self.section = section
        self.states = states
        self.low: float | None = section.range[0] if section.range is not None else None
        self.high: float | None = section.range[1] if section.range is not None else None
        self.limits = section.alarms.limits if section.alarms is not None else {}
        self.factor, self.offset = section.scale.line if section.scale is not None else (1.0, 0.0)
        self.deadband = section.deadband.absolute if section.deadband is not None else 0.0
        self.deadband_percent = section.deadband.percent if section.deadband is not None else 0.0
        self.max_gap_s = DEFAULT_MAX_GAP_S if section.max_gap is None else section.max_gap
        self.resolution_ns = (
            DEFAULT_RESOLUTION_NS if section.resolution is None else max(1, round(section.resolution * 1e9))
        )
        self.retention = section.retention or "standard"
        said = declared(section)
        for own in ("at", "formula", "description", "was", "source"):  # these are compared tag by tag
            said.pop(own, None)
        self.declared: dict[str, Any] = said


@dataclass(slots=True)
class DraftTag:
    """One tag without its id. ``inputs`` map names in the formula to paths."""

    path: str
    asset: str
    name: str
    common: Common
    place: Place
    at: Place  # of its address
    kind: str
    type: ValueType
    unit: str = ""
    description: str = ""
    connection: str = ""
    address: str = ""
    formula: str = ""
    edge: str = ""
    period_s: float = 1.0
    setpoint: str = ""
    occupies: Address | None = None
    resolved: str = ""  # the formula as the edge runs it
    inputs: dict[str, str] = field(default_factory=dict)
    conversions: dict[str, tuple[float, float]] = field(default_factory=dict)  # of inputs of a script: factor, offset
    reason: str = ""  # path of the tag that tells why a script gave no good value
    told_by: str = ""  # the other way round

    @property
    def calculated(self) -> bool:
        """Whether something at its edge gives it values without a device."""
        return bool(self.resolved or self.reason or self.told_by)


@dataclass(slots=True)
class DraftConnection:
    """One checked connection."""

    name: str
    driver: str
    edge: str
    zone: str
    access: str
    endpoint: str
    description: str
    config: dict[str, Any]
    budget: Budget
    poll_s: float
    declared: dict[str, Any]
    owner: tuple[str, ...] = ()
    lockout: Lockout | None = None
    tags: int = 0
    unpatchable: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DraftPoint:
    """A point without ids; inputs and read_back are paths."""

    path: str
    edge: str
    point: WritePoint
    inputs: Mapping[str, str]
    read_back: str

    def with_ids(self, ids: Mapping[str, int]) -> WritePoint:
        """The point as it travels."""
        inputs = {name: ids[path] for name, path in self.inputs.items()}
        return replace(self.point, tag=ids[self.path], inputs=inputs, read_back=ids[self.read_back])


@dataclass(frozen=True, slots=True)
class DraftTrip:
    """A trip without ids; inputs, actions and test name paths."""

    name: str
    edge: str
    trip: TripModel
    inputs: Mapping[str, str]
    actions: tuple[tuple[str, float], ...]
    test: tuple[tuple[str, float], ...]

    @property
    def tags(self) -> dict[str, str]:
        """The paths of the tags it tells itself by."""
        return {name: f"trips/{self.name}/{name}" for name in TRIP_TAGS}

    def with_ids(self, ids: Mapping[str, int]) -> TripModel:
        """The trip as it travels."""
        return replace(
            self.trip,
            inputs={name: ids[path] for name, path in self.inputs.items()},
            actions=tuple((ids[path], value) for path, value in self.actions),
            test=tuple((ids[path], value) for path, value in self.test),
            state=ids[self.tags["state"]],
            cause=ids[self.tags["cause"]],
        )


@dataclass(slots=True)
class DraftAlarm:
    """One alarm without ids: ``tag`` and ``other`` are paths; inputs are paths of tags, or keys of alarms, by name."""

    key: str
    path: str
    asset: str
    zone: str
    edge: str
    spec: AlarmSpec
    place: Place
    tag: str = ""
    other: str = ""
    inputs: dict[str, str] = field(default_factory=dict)
    suppress_inputs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DraftMachine:
    """A machine without ids: ``tags`` are paths by the field they belong to, ``inputs`` those of its rules."""

    machine: Machine
    tags: Mapping[str, str]
    energy: tuple[str, ...]
    material: tuple[str, ...]
    inputs: Mapping[str, str]

    def with_ids(self, ids: Mapping[str, int]) -> Machine:
        """The machine as everyone reads it."""
        return replace(
            self.machine,
            **{name: ids[path] for name, path in self.tags.items()},  # type: ignore[arg-type]  # fields that hold ids
            energy=tuple(ids[path] for path in self.energy),
            material=tuple(ids[path] for path in self.material),
            inputs={name: ids[path] for name, path in self.inputs.items()},
        )


@dataclass(slots=True)
class Draft:
    """A checked plant without ids and version."""

    enterprise: str
    site: str
    timezone: str
    description: str = ""
    connections: dict[str, DraftConnection] = field(default_factory=dict)
    connectors: list[Connector] = field(default_factory=list)
    assets: list[Asset] = field(default_factory=list)
    tags: dict[str, DraftTag] = field(default_factory=dict)  # without the diagnostics of connections
    formulas: list[str] = field(default_factory=list)  # paths in the order they must be computed
    rules: list[tuple[Rule, RuleInstance, dict[str, str]]] = field(default_factory=list)  # inputs as paths
    alarms: dict[str, DraftAlarm] = field(default_factory=dict)  # by key
    scripts: dict[str, str] = field(default_factory=dict)  # texts by file
    points: list[DraftPoint] = field(default_factory=list)
    trips: list[DraftTrip] = field(default_factory=list)
    zones: list[Zone] = field(default_factory=list)
    conduits: list[Conduit] = field(default_factory=list)
    roles: list[OwnRole] = field(default_factory=list)
    retention: dict[str, int] = field(default_factory=dict)
    renames: dict[str, tuple[str, ...]] = field(default_factory=dict)  # new path of a tag -> old ones, best first
    rename_places: dict[str, Place] = field(default_factory=dict)
    change_control: tuple[ChangeRule, ...] = ()
    calendars: list[Calendar] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    machines: list[DraftMachine] = field(default_factory=list)
    lines: list[ProductionLine] = field(default_factory=list)
    currency: str = ""
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)  # "type filler" etc. -> what was declared


def declared_at(document: Document, tag: DraftTag, name: str) -> Place:
    """Where one field of a tag was declared: in the tag itself, in its type, or in a row of a list."""
    if isinstance(tag.place, InFile):
        return at_field(tag.place, name)
    for spot in ((*tag.place, name), *_type_spots(document, tag, name)):
        if document.find(spot) is not None:
            return spot
    return tag.place


def _type_spots(document: Document, tag: DraftTag, name: str) -> Iterator[Spot]:
    named = document.find(("assets", tag.asset, "type"))
    for _ in range(MAX_DEPTH):  # types may extend each other in a circle, which is refused elsewhere
        if named is None:
            return
        yield ("types", named.text, "tags", tag.name, name)
        named = document.find(("types", named.text, "extends"))

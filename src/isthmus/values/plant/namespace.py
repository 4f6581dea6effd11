"""The plant file as a whole: site, connections, types, assets and tags."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

from isthmus.values.errors import ConfigError
from isthmus.values.plant.acquisition import ConnectionSection, DeadbandText, PythonSection, ScaleSection
from isthmus.values.plant.alarms import AlarmsSection, ExpressionSection
from isthmus.values.plant.alarms import joined as joined_alarms
from isthmus.values.plant.analytics import RuleSection
from isthmus.values.plant.changes import ChangeSection, Owners, ZoneKey
from isthmus.values.plant.connectors import ConnectorSection
from isthmus.values.plant.control import TripSection, WriteSection
from isthmus.values.plant.maintenance import MaintenanceSection
from isthmus.values.plant.policy import ConduitSection, LockoutSection, RoleSection, ZoneSection
from isthmus.values.plant.production import (
    CalendarPlace,
    CalendarSection,
    CurrencyText,
    LineSection,
    ProductionSection,
    ReasonGroupSection,
)
from isthmus.values.plant.scalars import (
    Days,
    FileName,
    Name,
    PathText,
    Period,
    Resolution,
    Seconds,
    Segment,
    Timezone,
    UnitText,
)
from isthmus.values.schema import Scalar

TagKind = Literal["value", "counter", "state", "switch", "text"]


def _state_set(text: str) -> str:
    if text != "packml":
        raise ConfigError("must be packml, or a mapping from number to state such as {0: Off, 1: On}")
    return "packml"


StateSet = Annotated[str, Scalar("packml", _state_set, {"const": "packml"})]


def state_number(text: str) -> int:
    """The number of a state.

    Raises: ConfigError if it is none that a device could send
    """
    try:
        number = int(text, 10)
    except ValueError:
        raise ConfigError("a state is told by a whole number") from None
    if abs(number) >= 2**63:
        raise ConfigError("a state is told by a whole number of 64 bits")
    return number


StateNumber = Annotated[int, Scalar("a whole number", state_number, {"type": "integer"})]


@dataclass(frozen=True, slots=True, kw_only=True)
class TagSection:
    """One tag. In an asset it overrides what the asset's type says, field by field."""

    kind: TagKind | None = None
    """What it is: a value, a counter that only grows, a state, a switch, or a text. State where `map` is given."""
    unit: UnitText | None = None
    """Engineering unit."""
    range: tuple[float, float] | None = None
    """Lowest and highest sensible value, in the unit; outside it the value is Uncertain."""
    decimals: int | None = None
    """How many decimals people are shown."""
    deadband: DeadbandText | None = None
    """How much it must change to be sent: a number in the unit, a percentage of the last sent value, or `every` for
    every reading. 0 sends every change."""
    max_gap: Seconds | None = None
    """An unchanged value is sent again after this long; 10 min unless told."""
    scale: ScaleSection | None = None
    """From the device's numbers to the unit."""
    at: str | None = None
    """Address in the device, in the words of its driver. `{base+2}` is filled from the asset's `with`."""
    source: Name | None = None
    """The connection its address belongs to; that of the asset unless told."""
    every: Period | None = None
    """How often it is read; the connection's `poll` unless told."""
    formula: str | None = None
    """Calculated from other tags instead of read."""
    python: PythonSection | None = None
    """Calculated by a function of a Python script, for what a formula cannot say."""
    map: StateSet | dict[StateNumber, str] | None = None
    """Names of its states: `packml`, or a mapping from number to name."""
    retention: Name | None = None
    """Which class of `history` it is kept in; `standard` unless told."""
    resolution: Resolution | None = None
    """How finely its times are kept; 1 ms unless told."""
    description: str | None = None
    """For people."""
    alarms: AlarmsSection | None = None
    """Its alarms."""
    write: WriteSection | None = None
    """Who may write it."""
    sis: bool | None = None
    """It belongs to a safety instrumented system: nothing ever writes it."""
    setpoint: str | None = None
    """The tag beside it (or the path of the tag) that holds its set-point."""
    owner: str | None = None
    """Who answers for it."""
    was: str | None = None
    """The name (or path) it had before; it keeps its history."""

    def __post_init__(self) -> None:
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ConfigError(f"range: low must be below high, was {list(self.range)}")
        if self.decimals is not None and not 0 <= self.decimals <= 12:
            raise ConfigError(f"decimals: must lie between 0 and 12, was {self.decimals}")
        if self.at is not None and self.formula is not None:
            raise ConfigError("formula: a tag is read (at) or calculated (formula), not both")
        if self.python is not None and (self.at is not None or self.formula is not None):
            raise ConfigError("python: a tag is read (at) or calculated (formula, python), one of them")


EMPTY_TAG = TagSection()


def override(base: TagSection, over: TagSection) -> TagSection:
    """What ``over`` says, and ``base`` where it says nothing; alarms are joined one by one, field by field."""
    said = {f.name: value for f in fields(over) if (value := getattr(over, f.name)) is not None}
    if base.alarms is not None and over.alarms is not None:
        said["alarms"] = joined_alarms(base.alarms, over.alarms)
    origins = ("at", "formula", "python")
    if any(getattr(over, name) is not None for name in origins):  # where it comes from is replaced as a whole
        said |= {name: getattr(over, name) for name in origins}
    return replace(base, **said) if said else base


def declared(section: object) -> dict[str, Any]:
    """What a section says, as plain data, without what it leaves open."""
    found: dict[str, Any] = {}
    for f in fields(section):  # type: ignore[arg-type]  # callers hand in sections only
        value = getattr(section, f.name)
        if value is None or value == f.default or value in ({}, ()):
            continue
        found[f.name] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return declared(value)
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class TagFile:
    """A tag list beside the plant file; a bare name is the file alone."""

    SHORT: ClassVar[str] = "file"

    file: FileName
    """Name of the CSV or XLSX file, relative to the plant file."""
    encoding: Literal["utf-8", "latin-1"] = "utf-8"
    """How its characters are written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetTags:
    """Tags of one asset. All keys but these two are names of tags."""

    REST: ClassVar[str] = "own"

    file: FileName = ""
    """CSV or XLSX file with tags of this asset; its paths are relative to the asset."""
    encoding: Literal["utf-8", "latin-1"] = "utf-8"
    """How the characters of that file are written."""
    own: dict[str, TagSection] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeSection:
    """A type of asset, declared once for all of its kind."""

    extends: Name = ""
    """The type it is like; what is said here comes on top."""
    description: str = ""
    """For people."""
    tags: dict[Segment, TagSection] = field(default_factory=dict)
    """Its tags by name."""
    production: ProductionSection | None = None
    """How its production is counted."""
    maintenance: MaintenanceSection | None = None
    """Its maintenance plan."""
    rules: dict[Name, RuleSection] = field(default_factory=dict)
    """Conditions on live data; each asset of the type is judged by itself."""
    alarms: dict[Name, ExpressionSection] = field(default_factory=dict)
    """Alarms that are expressions; each asset of the type has its own."""
    local: str = ""
    """An expression that is true while a unit is operated at the machine itself; nothing is written to it meanwhile."""
    owner: Owners = ""
    """Who answers for it: a person or team, or a list of them, of each asset that does not say it itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetSection:
    """One asset, or a mere level of the plant."""

    type: Name = ""
    """Its type; without one it has only its own tags."""
    source: Name = ""
    """The connection its addresses belong to."""
    at: dict[Segment, str] = field(default_factory=dict)
    """Addresses by tag."""
    parameters: dict[Name, int | str] = field(default_factory=dict, metadata={"key": "with"})
    """Numbers and texts that fill `{…}` in addresses."""
    tags: AssetTags = AssetTags()
    """Tags of its own, and what differs from its type."""
    production: ProductionSection | None = None
    """How its production is counted, where that differs from its type."""
    level: Literal["area", "line", "cell", "asset"] | None = None
    """ISA-95 level; told by the depth of its path unless given."""
    zone: Name = ""
    """The security zone of what is calculated or kept here, and below; that of its `source` unless told. A tag that is
    read belongs to the zone of its connection."""
    lockout: LockoutSection | None = None
    """Nothing here or below is written to while this stands."""
    local: str = ""
    """True while it is operated at the machine itself; that of its type unless told."""
    description: str = ""
    """For people."""
    was: PathText = ""
    """The path it had before; its tags keep their history."""
    owner: Owners = ""
    """Who answers for it: a person or team, or a list of them; holds for what is below it too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantSection:
    """Which plant this is."""

    enterprise: Segment
    """The company."""
    site: Segment
    """The place; tag ids are unique in it."""
    timezone: Timezone = "UTC"
    """Time zone of shifts and reports."""
    currency: CurrencyText = ""
    """The currency of all costs (ISO 4217), such as EUR."""
    description: str = ""
    """For people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantFile:
    """The whole plant as one file."""

    plant: PlantSection
    """Which plant this is."""
    connections: dict[Name, ConnectionSection] = field(default_factory=dict)
    """Devices by name."""
    connectors: dict[Name, ConnectorSection] = field(default_factory=dict)
    """Ways out by name: who is sent samples, and which."""
    types: dict[Name, TypeSection] = field(default_factory=dict)
    """Types of assets by name."""
    assets: dict[PathText, AssetSection] = field(default_factory=dict)
    """Assets by path, such as packaging/line1/filler."""
    history: dict[Name, Days] = field(default_factory=dict)
    """Retention classes: how long history is kept. `standard` is 400 d unless told."""
    tag_files: tuple[TagFile, ...] = ()
    """CSV or XLSX files with tags; their paths begin at the site."""
    renamed: dict[PathText, PathText] = field(default_factory=dict)
    """Old path to new path of tags, assets or connections/<name>; they keep their history."""
    rules: dict[Name, RuleSection] = field(default_factory=dict)
    """Conditions on live data; they name tags by their paths."""
    alarms: dict[Name, ExpressionSection] = field(default_factory=dict)
    """Alarms that are expressions; they name tags by their paths."""
    trips: dict[Name, TripSection] = field(default_factory=dict)
    """Hazards, and what an edge does about them by itself."""
    zones: dict[Name, ZoneSection] = field(default_factory=dict)
    """Security zones. Without any, everything is one zone; with the first one, only what conduits name passes between zones."""
    conduits: dict[Name, ConduitSection] = field(default_factory=dict)
    """What may pass from one zone to another."""
    roles: dict[Name, RoleSection] = field(default_factory=dict)
    """Roles of the plant's own."""
    calendars: dict[CalendarPlace, CalendarSection] = field(default_factory=dict)
    """When what is meant to run, by the path of an area, line or asset; `""` is the whole site."""
    reasons: dict[Name, ReasonGroupSection] = field(default_factory=dict)
    """Groups of reasons for stops, scrap and rework."""
    lines: dict[PathText, LineSection] = field(default_factory=dict)
    """How lines add up, by path."""
    change_control: dict[ZoneKey, ChangeSection] = field(default_factory=dict)
    """What a change needs, by the zone it touches: a reason, a second person, a maintenance window."""

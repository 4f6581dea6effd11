"""The plant as everyone reads it: immutable, compiled from one version of the plant file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from isthmus.values.model import TripModel, WritePoint
from isthmus.values.sample import ValueType


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag. ``id`` is permanent and unique in its site; ``path`` may be renamed without losing history.

    Units: low, high and limits in ``unit``; period_s in seconds
    """

    id: int
    path: str
    asset: str  # path of the asset it belongs to
    name: str
    kind: str  # value, counter, state, switch, text or system
    type: ValueType
    unit: str = ""
    decimals: int | None = None
    description: str = ""
    low: float | None = None
    high: float | None = None
    limits: dict[str, float] = field(default_factory=dict)  # high_high, high, low, low_low
    setpoint: str = ""  # path of the tag that holds its set-point
    states: dict[int, str] | None = None
    connection: str = ""
    address: str = ""
    formula: str = ""
    edge: str = ""
    retention: str = "standard"
    period_s: float = 1.0
    order: int = 0  # place in the plant file


@dataclass(frozen=True, slots=True)
class Lockout:
    """While it stands, nothing at its place or below is written to."""

    who: str
    why: str
    since: str = ""  # ISO 8601


@dataclass(frozen=True, slots=True)
class Zone:
    """A security zone (IEC 62443). ``networks`` in CIDR; ``security_level`` is the target SL-T, None if not told."""

    name: str
    networks: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    edges: tuple[str, ...] = ()
    security_level: int | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Conduit:
    """Kinds of message that may pass from one zone to another."""

    name: str
    source: str
    target: str
    allow: tuple[str, ...]
    description: str = ""


@dataclass(frozen=True, slots=True)
class OwnRole:
    """A role the plant file declares. Empty ``under``, ``zones`` and ``when`` narrow nothing."""

    name: str
    extends: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    under: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    when: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class Asset:
    """A node of the equipment tree. Levels: site, area, line, cell, asset, connection (ISA-95 names, lower case)."""

    path: str  # "" is the site itself
    name: str
    level: str
    type: str  # asset type, "" for a mere level
    parent: str
    order: int  # place in the plant file
    production: dict[str, Any] = field(default_factory=dict)  # the type's section, with tag paths resolved
    description: str = ""
    zone: str = ""  # security zone of what is calculated here; "" is the site
    owner: tuple[str, ...] = ()  # as it or its type says; what is above is not looked at here
    lockout: Lockout | None = None


@dataclass(frozen=True, slots=True)
class Connection:
    """One device connection as declared."""

    name: str
    driver: str
    edge: str
    zone: str
    access: str
    endpoint: str  # "127.0.0.1:5020", for people
    tags: int
    description: str = ""
    owner: tuple[str, ...] = ()
    lockout: Lockout | None = None
    unpatchable: dict[str, str] = field(default_factory=dict)  # reason, control, review; empty where it can be patched


@dataclass(frozen=True, slots=True)
class Connector:
    """One way out as declared. Empty ``tags`` and ``types`` mean all.

    Units: rows is the most of one batch; linger_s how long one that is not full waits
    """

    name: str
    connector: str
    config: dict[str, Any]
    tags: tuple[str, ...]
    types: tuple[str, ...]
    rows: int
    linger_s: float
    start: str  # now or all
    endpoint: str  # for people
    description: str = ""
    zone: str = ""  # of the other side; "" is outside
    owner: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition on live data. ``when`` is resolved: it needs no environment. Units: hold_s in seconds"""

    name: str
    type: str  # asset type, "" for a rule of the plant
    when: str
    hold_s: float = 0.0
    priority: str = "medium"
    message: str = ""


@dataclass(frozen=True, slots=True)
class RuleInstance:
    """A rule at one asset ("" for one of the plant); ``inputs`` are tag ids by the names the condition uses."""

    asset: str
    edge: str
    inputs: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AlarmSpec:
    """What alarms of one declaration share. ``when`` and ``suppress_when`` are resolved: they need no environment.

    Units: limit and deadband in ``unit``, which of a rate is one per ``per_s`` seconds; the others in seconds
    """

    name: str
    kind: str  # high_high, high, low, low_low, deviation, rate, state, quality, communication or expression
    priority: str = "medium"
    message: str = ""
    unit: str = ""
    limit: float | None = None
    deadband: float = 0.0
    on_delay_s: float = 0.0
    off_delay_s: float = 0.0
    latch: bool = False
    cause: str = ""
    consequence: str = ""
    consequence_class: str = ""
    response: str = ""
    response_s: float | None = None
    when: str = ""
    suppress_when: str = ""
    states: tuple[int, ...] = ()  # numbers of the state
    uncertain: bool = False  # whether quality means Uncertain too
    over_s: float = 0.0  # the time a rate is measured over
    per_s: float = 1.0  # what its limit is said per: 1, 60 or 3600
    direction: str = "both"  # of a rate: up, down or both
    factor: float = 1.0  # the other tag's value in our unit is value * factor + offset
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm. Inputs are ids of tags, or keys of alarms, by the names its expressions use."""

    key: str  # permanent: path, "#", name
    path: str  # of the tag or asset it belongs to
    asset: str
    zone: str
    edge: str  # whose clock its delays follow; "" where it reads several
    spec: AlarmSpec
    tag: int = 0  # the tag it looks at; 0 for an expression
    other: int = 0  # what it deviates from
    inputs: dict[str, int | str] = field(default_factory=dict)
    suppress_inputs: dict[str, int | str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its name beside its path."""
        return self.spec.name


@dataclass(frozen=True, slots=True)
class ChangeRule:
    """What changing a zone needs; zone "*" stands for all that have no rule of their own."""

    zone: str
    reason: bool = False
    approvals: int = 0
    window: str = ""  # as `values.windows` reads it; empty: at any time


@dataclass(frozen=True, slots=True)
class Shift:
    """A shift that comes back. It may end after midnight; wall time of the plant, so a night of the clock change is
    an hour longer or shorter.

    Units: minutes since local midnight of the day it begins on; end_min above 1,440 is the next day
    """

    name: str
    days: tuple[int, ...]  # 0 is Monday
    start_min: int
    end_min: int
    breaks: tuple[tuple[int, int, str], ...] = ()  # start_min, end_min, name; on the same scale
    crews: tuple[str, ...] = ()  # who takes turns, from the calendar's first week on
    turn_weeks: int = 1  # weeks until the next crew's turn


@dataclass(frozen=True, slots=True)
class PlannedStop:
    """Time nobody means to produce in, however often it comes back.

    Units: minutes since local midnight
    """

    name: str
    days: tuple[int, ...]
    start_min: int
    end_min: int
    first: str = ""  # ISO date from which it holds; "" from ever
    last: str = ""


@dataclass(frozen=True, slots=True)
class Calendar:
    """When an area or a machine is meant to run. The nearest above a machine holds."""

    path: str  # of the site ("") , area, line or asset it is for
    shifts: tuple[Shift, ...] = ()
    holidays: tuple[tuple[str, str], ...] = ()  # ISO date, name
    planned: tuple[PlannedStop, ...] = ()
    day_start_min: int = 0  # when a production day begins
    first_week: str = ""  # ISO date of a Monday: the crews' first turn


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something stood, was slow or was thrown away."""

    key: str  # "mechanical/jam": group and name, permanent
    group: str
    name: str
    text: str  # for people
    kind: str = "stop"  # stop, scrap or rework
    planned: bool = False  # of a stop: it leaves planned time
    loss: str = ""  # six big losses: breakdown, setup, minor_stop, speed, startup_reject, production_reject
    time: str = ""  # ISO 22400 time it counts as: PDOT (planned down), ADOT (actual unplanned down), AUST (set-up), ADET (delay)


@dataclass(frozen=True, slots=True)
class Machine:
    """How the production of an asset is counted: tag ids, 0 where it has none.

    Units: ideal rate in pieces per ideal_per_ns; seconds otherwise; cost in the plant's currency per minute
    """

    asset: str
    line: str = ""  # path of the line it stands in
    place: int = 0  # along the line, from 0
    state: int = 0
    classes: dict[int, str] = field(default_factory=dict)  # number of the state -> class
    rules: tuple[tuple[str, str], ...] = ()  # class, expression; the first that holds counts
    inputs: dict[str, int] = field(default_factory=dict)  # of the rules
    pulse: int = 0  # a counter, a switch or a current that alone tells whether it runs
    pulse_on: float | None = None  # a current at or above it is running; None: each growth or edge is one piece
    idle_after_s: float = 0.0  # without a pulse: no more running
    stopped_after_s: float = 0.0  # without a pulse: stopped
    micro_stop_s: float = 120.0  # what is shorter is a minor stop and asks for no reason
    stale_after_s: float = 0.0  # without a sample of its state: unknown; 0: as long as its edge is heard
    good: int = 0
    reject: int = 0
    total: int = 0
    rework: int = 0
    modulo: int = 0  # a counter rolls over here; 0: it only resets
    speed: int = 0
    ideal_count: int = 0  # pieces per ideal_per_ns at full speed; 0 where none is declared
    ideal_per_ns: int = 0
    energy: tuple[int, ...] = ()  # counters of energy
    material: tuple[int, ...] = ()
    cost_per_min: float = 0.0
    product: int = 0  # the tag that tells what is made, where no order does


@dataclass(frozen=True, slots=True)
class ProductionLine:
    """How machines of a line add up."""

    path: str
    machines: tuple[str, ...]  # along the flow
    constraint: str = ""  # the machine whose figures are the line's; "" adds all of them up
    counts_at: str = ""  # the machine whose good pieces are the line's
    buffers: tuple[float, ...] = ()  # s that a stop takes from each machine to the next; what is missing is 0
    cost_per_min: float = 0.0


@dataclass(frozen=True, slots=True)
class Plant:
    """One version of the whole plant, compiled. ``tags`` are ordered by path, ``assets`` as in the file."""

    version: int
    enterprise: str
    site: str
    timezone: str
    tags: tuple[Tag, ...] = ()
    assets: tuple[Asset, ...] = ()
    connections: tuple[Connection, ...] = ()
    edges: tuple[str, ...] = ()
    by_path: dict[str, Tag] = field(default_factory=dict)
    by_id: dict[int, Tag] = field(default_factory=dict)
    retention: dict[str, int] = field(default_factory=dict)  # class -> days, 0 for ever
    connectors: tuple[Connector, ...] = ()
    rules: tuple[tuple[Rule, tuple[RuleInstance, ...]], ...] = ()  # instances share their rule
    zones: tuple[Zone, ...] = ()
    conduits: tuple[Conduit, ...] = ()
    roles: tuple[OwnRole, ...] = ()
    change_control: tuple[ChangeRule, ...] = ()
    points: tuple[WritePoint, ...] = ()
    trips: tuple[TripModel, ...] = ()
    alarms: tuple[Alarm, ...] = ()  # ordered by path; alarms of one declaration share their spec
    calendars: tuple[Calendar, ...] = ()
    reasons: tuple[Reason, ...] = ()
    machines: tuple[Machine, ...] = ()  # as in the file
    lines: tuple[ProductionLine, ...] = ()
    currency: str = ""  # ISO 4217


EMPTY = Plant(version=0, enterprise="", site="", timezone="UTC")
"""A system to which no plant was applied yet."""

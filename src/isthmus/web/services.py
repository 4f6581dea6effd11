"""What web needs from the rest of core, handed in by app.

The rooms are named here, not loaded: history is served before they are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypedDict

from isthmus.namespace.control import NO_CONSENT, Consent, Demands
from isthmus.namespace.doing import Doing
from isthmus.namespace.listing import TagList
from isthmus.namespace.live import LiveTable
from isthmus.namespace.model import Plant, Tag
from isthmus.ports.drivers import DriverSpec, drivers
from isthmus.ports.history import HistoryReader
from isthmus.ports.imports import HistoryImports
from isthmus.security.audit.service import Trail
from isthmus.security.model import Principal
from isthmus.security.policy import Lockouts, Policies
from isthmus.security.service import Security
from isthmus.values.clock import Clock, SystemClock
from isthmus.values.errors import ConfigError, Finding
from isthmus.web.brake import Brake

if TYPE_CHECKING:
    from isthmus.acquisition.replay import ReplayReport
    from isthmus.alarms.callout.service import CallOut
    from isthmus.alarms.model import AlarmRow, Definition, Entry, Occurrence
    from isthmus.alarms.model import Counts as AlarmCounts
    from isthmus.analytics.model import Counts
    from isthmus.analytics.store import Event
    from isthmus.control.lines import Lines
    from isthmus.control.recipes import Recipes
    from isthmus.control.service import Control
    from isthmus.control.trip_list import TripList
    from isthmus.control.watch import Watch
    from isthmus.namespace.changes import ChangeRequests
    from isthmus.production.exceptions import CalendarRoom
    from isthmus.production.kpi.service import KpiRoom
    from isthmus.production.orders.room import OrderRoom
    from isthmus.production.service import Production
    from isthmus.production.shiftlog import ShiftLog
    from isthmus.production.shiftreport import ShiftDesk
    from isthmus.production.stops.service import StopRoom
    from isthmus.quality.service import Quality
    from isthmus.screens.service import Screens
    from isthmus.security.oidc import SignOn
    from isthmus.security.passkeys import Passkeys
    from isthmus.security.privacy import Privacy
    from isthmus.values.messages.alarms import State
    from isthmus.web.system import BackupOutcome, System


class Change(Protocol):
    """One line of a plan."""

    @property
    def action(self) -> str: ...
    @property
    def what(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def detail(self) -> str: ...


class PlanResult(Protocol):
    """What applying a text would change. ``token`` names text and base."""

    @property
    def base(self) -> int: ...
    @property
    def token(self) -> str: ...
    @property
    def changes(self) -> Sequence[Change]: ...
    @property
    def warnings(self) -> Sequence[Finding]: ...
    @property
    def demands(self) -> Demands: ...


class PlantVersion(Protocol):
    """One version of the plant text; ``applied_ns`` is UTC ns."""

    @property
    def version(self) -> int: ...
    @property
    def text(self) -> str: ...
    @property
    def applied_ns(self) -> int: ...
    @property
    def by(self) -> str: ...
    @property
    def reason(self) -> str: ...


class NamespaceService(Protocol):
    """The plant: synchronous; everything but ``current`` is called from threads."""

    def current(self) -> Plant: ...
    def plan(self, text: str, base: int, files: Mapping[str, bytes], /) -> PlanResult: ...
    def apply(
        self,
        text: str,
        base: int,
        by: str,
        reason: str,
        files: Mapping[str, bytes],
        /,
        *,
        consent: Consent = NO_CONSENT,
    ) -> int: ...
    def versions(self) -> Sequence[PlantVersion]: ...
    def version(self, number: int, /) -> PlantVersion: ...
    def files(self, number: int, /) -> Mapping[str, bytes]: ...
    def tag_list(self) -> TagList: ...
    def add_connection(self, text: str, name: str, settings: dict[str, Any], /) -> str: ...


class EdgeStatus(TypedDict):
    """How an edge is. Units: age_s since its last heartbeat, None if it was never heard; queued, dropped in samples."""

    name: str
    state: str
    age_s: float | None
    queued: int
    dropped: int


class HistorianStatus(TypedDict):
    """How the record is. Units: lag_s behind the bus; disk_hours until the volume is full, None if not known yet."""

    lag_s: float | None
    rows: int
    state: str
    disk_hours: float | None


class SiteStatus(TypedDict):
    """What core knows about its own parts."""

    edges: list[EdgeStatus]
    historian: HistorianStatus


class Outage(Protocol):
    """A time in which a connection was not Good; ``end_ns`` is None while it lasts."""

    @property
    def connection(self) -> str: ...
    @property
    def start_ns(self) -> int: ...
    @property
    def end_ns(self) -> int | None: ...
    @property
    def reason(self) -> str: ...


class Operations(Protocol):
    """The installation itself: how it is, and snapshots for backups."""

    async def system(self) -> System: ...
    async def hold_snapshot(self, owner: int, /) -> dict[str, Any]: ...
    async def release_snapshot(self, ident: str, outcome: BackupOutcome | None, /) -> None: ...


class EnrolledEdge(Protocol):
    """An edge on another machine; times are UTC ns."""

    @property
    def edge(self) -> str: ...
    @property
    def nkey(self) -> str: ...
    @property
    def since_ns(self) -> int: ...
    @property
    def source(self) -> str: ...
    @property
    def until_ns(self) -> int: ...


class Welcome(Protocol):
    """What an edge is given when it comes; certificates in PEM, ``host`` empty where it is the one it came to."""

    @property
    def edge(self) -> str: ...
    @property
    def certificate(self) -> str: ...
    @property
    def authority(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def server_name(self) -> str: ...


class Enrolment(Protocol):
    """Edges on other machines: synchronous, called from threads."""

    def edges(self) -> Sequence[EnrolledEdge]: ...
    def invite(self, edge: str, /) -> str: ...
    def enrol(self, secret: str, request: str, nkey: str, source: str, /) -> Welcome: ...
    def revoke(self, edge: str, /) -> None: ...


class ControlParts(Protocol):
    """The room control, as far as it runs in core."""

    @property
    def control(self) -> Control: ...
    @property
    def lines(self) -> Lines: ...
    @property
    def watch(self) -> Watch: ...
    @property
    def trips(self) -> TripList: ...
    @property
    def recipes(self) -> Recipes: ...


TestConnection = Callable[[str, str, dict[str, Any], list[str]], Awaitable[dict[str, Any]]]
"""(edge, driver, config, addresses) -> {"steps": […], "values": […]} as in docs/api.md.

Raises: NotConnected when the edge does not answer; ConfigError for wrong settings
"""


class ConnectorStatus(TypedDict):
    """How a way out is. Units: lag_s is the age of the oldest sample that waits for it; delivered, rejected in samples."""

    name: str
    connector: str
    endpoint: str
    state: str
    reason: str
    since_ns: int
    delivered: int
    rejected: int
    missed_frames: int
    dead_letters: int
    forgotten_letters: int
    lag_s: float


class DeadLetter(TypedDict):
    """A batch the other side refused; its samples as (path, time_ns, value, status)."""

    time_ns: int
    key: str
    reason: str
    rows: int
    samples: list[tuple[str, int, float | int | str | None, int]]


class Connectors(Protocol):
    """The ways out of the site."""

    async def statuses(self) -> Sequence[ConnectorStatus]: ...
    async def dead_letters(self, name: str, limit: int, /) -> Sequence[DeadLetter]: ...


class Sees(Protocol):
    """Which part of the plant somebody may see."""

    def path(self, path: str, /) -> bool: ...


class AlarmDesk(Protocol):
    """What people do with alarms. ``who`` is asked for permission here in web, and recorded there.

    ``rows`` come unacknowledged first, then by priority, then newest first. ``sight`` tells what may be seen. ``paths`` has
    those occurrences that have not cleared, ``path_of`` alarms that other rooms reported.
    Deeds return what they changed; what no longer fits (acknowledged by somebody else meanwhile) is left out of it.
    Raises: ConfigError where an alarm or an occurrence does not exist
    """

    @property
    def version(self) -> int: ...
    def rows(
        self,
        *,
        under: str = "",
        states: Sequence[State] = (),
        priorities: Sequence[str] = (),
        limit: int = 500,
        sight: Sees | None = None,
        newest: bool = False,
    ) -> Sequence[AlarmRow]: ...
    def total(
        self,
        *,
        under: str = "",
        states: Sequence[State] = (),
        priorities: Sequence[str] = (),
        sight: Sees | None = None,
    ) -> int: ...
    def paths(self, occurrences: Iterable[int], /) -> Mapping[int, str]: ...
    def path_of(self, key: str, /) -> str | None: ...
    def counts(self, sight: Sees | None = None, /) -> AlarmCounts: ...
    async def wait(self, version: int, timeout_s: float, /) -> int: ...
    async def acknowledge(self, who: Principal, occurrences: Sequence[int], comment: str, /) -> Sequence[int]: ...
    async def reset(self, who: Principal, occurrences: Sequence[int], /) -> Sequence[int]: ...
    async def shelve(self, who: Principal, alarms: Sequence[str], until_ns: int, reason: str, /) -> Sequence[str]: ...
    async def unshelve(self, who: Principal, alarms: Sequence[str], /) -> Sequence[str]: ...
    async def out_of_service(
        self, who: Principal, alarms: Sequence[str], reason: str, until_ns: int | None, /
    ) -> Sequence[str]: ...
    async def in_service(self, who: Principal, alarms: Sequence[str], /) -> Sequence[str]: ...
    async def change(self, who: Principal, alarm: str, values: Mapping[str, Any], reason: str, /) -> Definition: ...
    async def journal(
        self,
        start_ns: int,
        end_ns: int,
        *,
        under: str = "",
        alarm: str = "",
        limit: int = 1000,
        before: int = 2**63 - 1,
    ) -> Sequence[Entry]: ...
    async def occurrences(
        self, start_ns: int, end_ns: int, *, under: str = "", alarm: str = "", limit: int = 100_000
    ) -> Sequence[Occurrence]: ...
    def definitions(self, under: str = "") -> Sequence[Definition]: ...


RuleEvents: TypeAlias = "Callable[[str, int, int, str | None, int], Awaitable[Sequence[Event]]]"
"""(under, start_ns, end_ns, rule, limit) -> events that held at some time in the range, newest first."""


async def no_events(under: str, start_ns: int, end_ns: int, rule: str | None, limit: int) -> Sequence[Event]:
    """Where no rules are judged."""
    return ()


async def no_replay(tag: Tag, start_ns: int, end_ns: int) -> ReplayReport:
    """Where nothing can be computed."""
    raise ConfigError(f"tag: {tag.path} cannot be computed here")


Browse = Callable[[str, str, str, dict[str, Any], str], Awaitable[dict[str, Any]]]
"""(edge, connection, driver, config, root) -> {"nodes": […]} as in docs/api.md; driver and config where no connection is named.

Raises: TryLater when the edge does not answer; ConfigError for wrong settings, or where the device says no
"""


@dataclass(slots=True, kw_only=True)
class First:
    """What a request may reach while the rooms are not open yet: the history, and who may see it."""

    namespace: NamespaceService
    live: LiveTable
    history: HistoryReader
    security: Security
    audit: Trail
    clock: Clock = field(default_factory=SystemClock)
    hosts: tuple[str, ...] = ()
    """Names beside localhost under which browsers may reach us; any IP address is fine."""
    lockouts: Lockouts = field(default_factory=Lockouts)
    policies: Policies = field(init=False)

    def __post_init__(self) -> None:
        self.policies = Policies(self.namespace.current, self.lockouts, Doing(self.live).at)


@dataclass(slots=True, kw_only=True)
class Services(First):
    """Everything a request may reach. ``outages(connection, limit)``: newest first, every connection when None."""

    sign_on: SignOn
    passkeys: Passkeys
    site_status: Callable[[], SiteStatus]
    outages: Callable[[str | None, int], Awaitable[Sequence[Outage]]]
    test_connection: TestConnection
    connectors: Connectors
    browse: Browse
    on_applied: Callable[[int], Awaitable[None]]
    operations: Operations
    privacy: Privacy
    imports: HistoryImports | None = None
    alarms: AlarmDesk | None = None
    changes: ChangeRequests | None = None
    screens: Screens | None = None
    enrolment: Enrolment | None = None
    control: ControlParts | None = None
    callout: CallOut | None = None
    calendar: CalendarRoom | None = None
    kpis: KpiRoom | None = None
    stops: StopRoom | None = None
    production: Production | None = None
    orders: OrderRoom | None = None
    quality: Quality | None = None
    shift_log: ShiftLog | None = None
    shift_desk: ShiftDesk | None = None
    answers: Brake = field(default_factory=Brake)
    """Of requests to the links of call-out, which anybody may send."""
    root: Path | None = None
    """The certificate of this installation's authority, which everybody may have."""
    rule_events: RuleEvents = no_events
    rule_counts: Callable[[], Mapping[str, Counts]] = dict
    replay: Callable[[Tag, int, int], Awaitable[ReplayReport]] = no_replay
    drivers: Callable[[], Mapping[str, DriverSpec]] = drivers
    static: Path = Path(__file__).parent / "static"

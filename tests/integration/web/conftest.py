"""The application over fakes of its neighbours, served on a loopback port of its own."""

from __future__ import annotations

import asyncio
import logging
import math
import shutil
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from argon2 import PasswordHasher
from sqlalchemy import Engine

from isthmus.acquisition.model import Heartbeats
from isthmus.acquisition.store import Outage
from isthmus.alarms.callout.store import metadata as callout_metadata
from isthmus.alarms.store import metadata as alarms_metadata
from isthmus.app.callout import call_out
from isthmus.app.control import ControlRoom
from isthmus.app.records import open_records
from isthmus.app.sealing import Sealer
from isthmus.app.secrets import Secrets
from isthmus.app.settings import CalloutSettings, Settings
from isthmus.bus.broker import BusAddress
from isthmus.bus.client import Bus
from isthmus.control import recipe_store  # noqa: F401  its tables stand in the metadata of the room
from isthmus.control.store import metadata as control_metadata
from isthmus.namespace.changes import ChangeRequests
from isthmus.namespace.control import NO_DEMANDS, Consent, Demands
from isthmus.namespace.live import LiveTable
from isthmus.namespace.model import Asset, Connection, Plant, Tag
from isthmus.namespace.service import Namespace
from isthmus.namespace.store import metadata as namespace_metadata
from isthmus.ports.drivers import Address, DriverSpec
from isthmus.ports.history import Format, Gap, HistoryAnswer, HistoryQuery, Shape
from isthmus.production.calendar import Calendars
from isthmus.production.exception_store import metadata as calendar_metadata
from isthmus.production.exceptions import CalendarRoom
from isthmus.production.kpi.service import KpiRoom
from isthmus.production.kpi.store import metadata as kpi_metadata
from isthmus.production.orders.room import OrderRoom
from isthmus.production.orders.store import metadata as orders_metadata
from isthmus.production.planner import CalendarPlanner
from isthmus.production.service import Production
from isthmus.production.shiftlog import ShiftLog
from isthmus.production.shiftlog_store import metadata as shiftlog_metadata
from isthmus.production.states import NOTHING, Series, join
from isthmus.production.stops.store import metadata as stops_metadata
from isthmus.production.store import metadata as production_metadata
from isthmus.quality.service import Quality
from isthmus.quality.store import metadata as quality_metadata
from isthmus.screens.service import Screens
from isthmus.screens.store import metadata as screens_metadata
from isthmus.security.audit.service import Trail
from isthmus.security.audit.store import metadata as audit_metadata
from isthmus.security.model import Role
from isthmus.security.oidc import SignOn
from isthmus.security.origins import Origins
from isthmus.security.passkeys import Passkeys
from isthmus.security.privacy import Privacy
from isthmus.security.service import Security
from isthmus.security.store import metadata
from isthmus.values.clock import NS_PER_S, ManualClock
from isthmus.values.errors import Denied, Finding, Findings, NotConnected, TryLater
from isthmus.values.messages.alarms import Reported
from isthmus.values.sample import SampleBatch, ValueType
from isthmus.web.api import create_app
from isthmus.web.server import running
from isthmus.web.services import Services, SiteStatus
from isthmus.web.system import (
    BackupOutcome,
    Backups,
    Certificate,
    ClockState,
    Disk,
    EdgeLag,
    Lags,
    Process,
    Queue,
    System,
    Version,
)
from isthmus.web.times import iso

sys.path.insert(0, str(Path(__file__).parent))  # so that tests here can share `fake_alarms`
LOG = logging.getLogger("test")
ORIGINS = Origins(("https://plant.example", "http://localhost:8420"))
NOW = 1_700_000_000 * NS_PER_S
TABLES = (
    metadata,
    audit_metadata,
    namespace_metadata,
    alarms_metadata,
    callout_metadata,
    screens_metadata,
    calendar_metadata,
    kpi_metadata,
    shiftlog_metadata,
    control_metadata,
    orders_metadata,
    quality_metadata,
    production_metadata,
    stops_metadata,
)


class FakeRecord:
    """Samples by tag, as production reads them."""

    def __init__(self) -> None:
        self.kept: dict[int, Series] = {}

    async def samples(self, tags: Sequence[int], start_ns: int, end_ns: int) -> Mapping[int, Series]:
        return {t: self.kept[t].between(start_ns - 1, end_ns) for t in tags if t in self.kept}

    async def gaps(self, edges: Sequence[str], start_ns: int, end_ns: int) -> Sequence[Gap]:
        return ()

    async def oldest(self, tags: Sequence[int]) -> int | None:
        return min((int(self.kept[t].time_ns[0]) for t in tags if len(self.kept.get(t, NOTHING))), default=None)

    def committed(self) -> int:
        return 1 << 40

    def store(self, tag: int, *samples: tuple[int, int]) -> None:
        times, values = (np.array(column, np.int64) for column in zip(*samples, strict=True))
        self.kept[tag] = join([self.kept.get(tag, NOTHING), Series(times, values, np.zeros(len(times), np.uint32))])


class FakeConnectors:
    async def statuses(self) -> list[dict[str, Any]]:
        return [
            {
                "name": "cloud", "connector": "http-push", "endpoint": "http://receiver/in", "state": "Waiting", "reason": "busy",
                "since_ns": NOW, "delivered": 7, "rejected": 3, "missed_frames": 0, "dead_letters": 1, "forgotten_letters": 0, "lag_s": 1.5,
            }
        ]  # fmt: skip

    async def dead_letters(self, name: str, limit: int) -> list[dict[str, Any]]:
        samples = [("hall/line1/filler/speed", NOW, math.nan, 0), ("hall/line1/filler/good", NOW, 5, 0x80050000), ("hall/line1/filler/batch", NOW, "B 7", 0)]  # fmt: skip
        return [{"time_ns": NOW, "key": "k", "reason": "answered 422", "rows": 3, "samples": samples}][:limit]


def make_plant(version: int = 1, more: int = 0) -> Plant:
    def tag(number: int, path: str, **more: Any) -> Tag:
        asset, _, name = path.rpartition("/")
        given: dict[str, Any] = {"kind": "value", "type": ValueType.FLOAT, "edge": "edge-1", "connection": "plc1"}
        return Tag(id=number, path=path, asset=asset, name=name, **{**given, **more})

    tags = [
        tag(1, "hall/line1/filler/speed", unit="1/min", decimals=1, low=0.0, high=160.0, limits={"high": 140.0}, address="hr 2 float32", description="Bottles a minute"),
        tag(2, "hall/line1/filler/good", kind="counter", type=ValueType.INT, address="hr 4 uint32"),
        tag(3, "hall/line1/filler/state", kind="state", type=ValueType.INT, states={0: "Idle", 6: "Execute"}),
        tag(4, "hall/line1/filler/batch", kind="text", type=ValueType.TEXT),
        tag(5, "hall/line2/filler/speed", unit="1/min", edge="edge-2", connection="plc2"),
        *(
            tag(10 + i, f"connections/plc1/{name}", kind="system", type=kind, connection="")
            for i, (name, kind) in enumerate(
                {"state": ValueType.TEXT, "reason": ValueType.TEXT, "latency": ValueType.FLOAT, "errors": ValueType.INT}.items()
            )
        ),
        *(tag(1000 + i, f"many/t{i:06d}") for i in range(more)),
    ]  # fmt: skip
    tags.sort(key=lambda t: t.path)
    assets = (
        Asset("", "lyon", "site", "", "", 0),
        Asset("hall", "hall", "area", "", "", 1),
        Asset("hall/line1", "line1", "line", "", "hall", 2),
        Asset("hall/line1/filler", "filler", "asset", "filler", "hall/line1", 3),
    )
    connections = (
        Connection("plc1", "modbus-tcp", "edge-1", "line1", "read-only", "127.0.0.1:5020", 4),
        Connection("plc2", "modbus-tcp", "edge-2", "line2", "read-only", "127.0.0.1:5021", 1),
    )
    return Plant(
        version, "acme", "lyon", "Europe/Paris", tuple(tags), assets, connections, ("edge-1", "edge-2"),
        {t.path: t for t in tags}, {t.id: t for t in tags},
    )  # fmt: skip


@dataclass(frozen=True)
class FakeChange:
    action: str
    what: str
    path: str
    detail: str


@dataclass(frozen=True)
class FakePlan:
    base: int
    token: str
    changes: tuple[FakeChange, ...]
    warnings: tuple[Finding, ...]
    demands: Demands = NO_DEMANDS


@dataclass(frozen=True)
class FakeVersion:
    version: int
    text: str
    applied_ns: int
    by: str
    reason: str


@dataclass
class FakeNamespace:
    plant: Plant
    kept: list[FakeVersion] = field(default_factory=lambda: [FakeVersion(1, "plant: {}\n", NOW, "ana", "first")])

    def current(self) -> Plant:
        return self.plant

    def plan(self, text: str, base: int, files: Mapping[str, bytes]) -> FakePlan:
        if "wrong" in text:
            raise Findings((Finding("error", "plant.yaml", 3, 7, "assets.filler", "unknown type", "fillr"),))
        if base != self.plant.version:
            raise Denied(f"planned on version {base}, the current one is {self.plant.version}", "stale_base")
        change = FakeChange("add", "tag", "hall/x", f"float, {len(files)} files")
        return FakePlan(base, "t1", (change,), (Finding("warning", "plant.yaml", 1, 1, "plant", "no timezone"),))

    def apply(self, text: str, base: int, by: str, reason: str, files: Mapping[str, bytes], *, consent: Consent) -> int:
        self.plan(text, base, files)
        self.kept.insert(0, FakeVersion(base + 1, text, NOW, by, reason))
        self.plant = make_plant(base + 1)
        return base + 1

    def versions(self) -> Sequence[FakeVersion]:
        return self.kept

    def version(self, n: int) -> FakeVersion:
        return next(v for v in self.kept if v.version == n) if n in {v.version for v in self.kept} else {}[n]

    def files(self, n: int) -> dict[str, bytes]:
        return {"tags.csv": b"path\n"} if n == 1 else {}

    def add_connection(self, text: str, name: str, settings: dict[str, Any]) -> str:
        return f"{text}# {name} {sorted(settings)}\n"


@dataclass
class FakeHistory:
    asked: list[HistoryQuery] = field(default_factory=list)
    fails: Exception | None = None

    async def query(self, query: HistoryQuery) -> HistoryAnswer:
        self.asked.append(query)
        if self.fails:
            raise self.fails
        bodies = {
            Format.JSON: b"[[0,1700000000000,1.5,0.5,2,1.25,null,4,0]]" if query.shape is Shape.BOUNDED else b"[[0,1,2,0]]",
            Format.CSV: b"tag,time,first\n" + b"0,1,2\n" * 400,
            Format.ARROW: b"\xff\xff\xff\xff" * 1000,
        }  # fmt: skip
        return HistoryAnswer("x", bodies[query.format], 600 * NS_PER_S, query.start_ns, query.end_ns)

    async def stream(self, query: HistoryQuery) -> AsyncIterator[bytes]:
        self.asked.append(query)
        if self.fails:
            raise self.fails
        yield b"tag,time,value,status\n"
        for i in range(200):
            yield f"0,{i},1.5,0\n".encode()

    async def gaps(self, edges: Sequence[str], start_ns: int, end_ns: int) -> Sequence[Gap]:
        return [Gap(edge, start_ns, end_ns, "bus away") for edge in edges]


def make_system() -> System:
    return System(
        now=iso(NOW), started=iso(NOW - 60 * NS_PER_S), uptime_s=60.0, attention=[],
        processes=[
            Process(name="core", pid=7, state="running", memory_bytes=2**28, cpu_s=3.5, cpu_cores=0.2, uptime_s=60, restarts=1),
            Process(name="edge-1", pid=8, state="gone", memory_bytes=None, cpu_s=None, cpu_cores=None, uptime_s=None, restarts=0),
        ],
        versions=[Version(name="isthmus", version="9.9")],
        queues=[Queue(name="outbox", owner="edge-1", unit="samples", limit=100, used=1, entered=11, left=10, dropped=0)],
        lags=Lags(historian_s=0.4, live_s=0.0, edges=[EdgeLag(name="edge-1", state="running", age_s=0.5, offset_s=0.01)]),
        disk=Disk(
            folder="/d", state="", free_bytes=10, total_bytes=20, reserve_bytes=5, history_bytes=None, bus_bytes=1,
            bus_limit_bytes=2, buffer_hours=2.0, hours_left=None,
        ),
        certificates=[Certificate(file="c.pem", subject="CN=x", issuer="CN=x", expires=iso(NOW), days_left=0.0, state="expired")],
        backups=Backups(state="none", kept=[]),
        clock=ClockState(state="ok", synchronised=True, offset_s=0.0, error_s=0.001, jumps=0, last_jump_s=None, last_jump=None),
    )  # fmt: skip


class NoReports:
    """Where no alarms are kept."""

    async def report(self, alarm: Reported, *, active: bool, time_ns: int) -> None: ...


@dataclass
class FakeOperations:
    answer: System = field(default_factory=make_system)
    released: list[tuple[str, BackupOutcome | None]] = field(default_factory=list)

    async def system(self) -> System:
        return self.answer

    async def hold_snapshot(self, owner: int) -> dict[str, Any]:
        return {"id": "s1", "owner": owner}

    async def release_snapshot(self, ident: str, outcome: BackupOutcome | None) -> None:
        self.released.append((ident, outcome))


@dataclass(frozen=True, slots=True)
class SineConfig:
    """Settings."""

    host: str
    """Where it is."""

    order: str = "big"

    port: int = 502
    """TCP port;
    502 by rule."""

    secure: bool = False


@dataclass
class Plantworks:
    """Everything behind the application."""

    clock: ManualClock
    security: Security
    live: LiveTable
    namespace: FakeNamespace
    history: FakeHistory
    services: Services
    applied: list[int] = field(default_factory=list)
    crash: bool = False
    tokens: dict[str, str] = field(default_factory=dict)

    def feed(self, values: dict[str, float | str], at_s: float = 0.0, code: int = 0) -> None:
        """Samples as they would come from an edge."""
        time_ns = NOW + round(at_s * NS_PER_S)
        for path, value in values.items():
            tag = self.live.plant.by_path[path]
            texts: tuple[str, ...] = ()
            column: Any = (
                np.array([value], np.int64 if tag.type is ValueType.INT else np.float64)
                if not isinstance(value, str)
                else None
            )
            if isinstance(value, str):
                column, texts = np.zeros(1, np.int32), (value,)
            batch = SampleBatch(
                np.array([tag.id], np.int32), np.array([time_ns]), column, np.array([code], np.uint32), texts
            )
            self.live.apply([batch], self.clock.now_ns())


def quality_of(engine: Any, clock: ManualClock, plant: Plant) -> Quality:
    """The room over this plant."""
    quality = Quality(engine, clock)
    quality._begin(plant)
    return quality


def guarded(engine: Engine, clock: ManualClock, folder: Path) -> Security:
    """The accounts over these records."""
    return Security(
        engine,
        clock,
        hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1),
        sealer=Sealer.of(folder),
        context=lambda: ("acme", "lyon"),
    )


@pytest.fixture(scope="session")
def new_records(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Records as they are before a test, made once: all tables, and a token of each role."""
    folder = tmp_path_factory.mktemp("records")
    engine = open_records(folder / "records.db")
    for tables in TABLES:
        tables.create_all(engine)
    security = guarded(engine, ManualClock(NOW), folder)
    tokens = {role.value: security.create_token(role.value, role, "test")[0] for role in Role}
    engine.dispose()
    return folder / "records.db", tokens


@pytest.fixture
def works(tmp_path: Path, new_records: tuple[Path, dict[str, str]]) -> Iterator[Plantworks]:
    clock = ManualClock(NOW)
    file, tokens = new_records
    shutil.copy(file, tmp_path / "records.db")
    engine = open_records(tmp_path / "records.db")
    security = guarded(engine, clock, tmp_path)
    live = LiveTable()
    namespace = FakeNamespace(make_plant())
    live.describe(namespace.plant)
    history = FakeHistory()

    def site_status() -> SiteStatus:
        if made.crash:
            raise ZeroDivisionError("a bug")
        return {
            "edges": [
                {"name": "edge-1", "state": "running", "age_s": 0.5, "queued": 0, "dropped": 0},
                {"name": "edge-2", "state": "unknown", "age_s": None, "queued": 0, "dropped": 0},
            ],
            "historian": {"lag_s": 0.4, "rows": 10, "state": "running", "disk_hours": None},
        }

    async def outages(connection: str | None, limit: int) -> list[Outage]:
        found = [Outage("plc2", NOW, None, "no route"), Outage("plc1", NOW - NS_PER_S, NOW, "timed out")]
        return [o for o in found if connection in (None, o.connection)][:limit]

    async def test_connection(edge: str, driver: str, config: dict[str, Any], addresses: list[str]) -> dict[str, Any]:
        if edge == "edge-9":
            raise NotConnected("edge-9 does not answer")
        if edge == "edge-8":
            raise TryLater("another test runs", 2.2)
        steps = [{"what": "Port open", "reached": True, "detail": f"{driver} {config}"}]
        return {"steps": steps, "values": [{"address": a, "value": 1, "status": "Good"} for a in addresses]}

    async def browse(edge: str, connection: str, driver: str, config: dict[str, Any], root: str) -> dict[str, Any]:
        node = {"address": f"{edge} {driver} {config} {root}", "name": connection, "type": "float"}
        return {"nodes": [node | {"unit": "", "description": "", "note": ""}]}

    async def on_applied(version: int) -> None:
        made.applied.append(version)
        live.describe(namespace.plant)

    trail = Trail(tmp_path / "audit", engine, clock)
    trail.open()
    spec = DriverSpec("sine", SineConfig, lambda *_: None, lambda _: Address(ValueType.FLOAT), "A sine")  # type: ignore[arg-type]  # never built here
    services = Services(
        namespace=namespace,
        live=live,
        history=history,
        security=security,
        sign_on=SignOn(engine, clock, security, (), lambda _: "", ORIGINS),
        passkeys=Passkeys(engine, clock, security, ORIGINS),
        site_status=site_status,
        outages=outages,
        test_connection=test_connection,
        connectors=FakeConnectors(),
        browse=browse,
        on_applied=on_applied,
        operations=FakeOperations(),
        audit=trail,
        privacy=Privacy(engine, security, trail),
        callout=call_out(
            engine,
            clock,
            Settings(callout=CalloutSettings(link="https://plant.example")),
            Secrets.of(tmp_path),
            security,
            namespace.current,
            logging.getLogger("test"),
        ),
        clock=clock,
        drivers=lambda: {"sine": spec},
        screens=Screens(engine, namespace.current, clock),
        calendar=CalendarRoom(engine, namespace.current, clock),
        kpis=KpiRoom(engine, namespace.current, clock, CalendarPlanner(lambda: Calendars(namespace.current()))),
        orders=OrderRoom(engine, clock, namespace.current, trail.person),
        quality=quality_of(engine, clock, namespace.plant),
        shift_log=ShiftLog(engine, clock),
        hosts=("plant.example",),
        static=tmp_path / "static",
    )
    services.control = ControlRoom(
        engine, clock, Bus(BusAddress("nats://127.0.0.1:1", "core", "", "nobody"), LOG), namespace, live, Heartbeats(), security,
        trail, services.lockouts, NoReports(), LOG,
    )  # fmt: skip
    record = FakeRecord()
    planner = CalendarPlanner(lambda: Calendars(services.namespace.current()))
    services.production = Production(
        engine,
        clock,
        record,
        lambda: services.namespace.current(),  # noqa: PLW0108  tests put another one there
        planner,
        LOG,
    )
    made = Plantworks(clock, security, live, namespace, history, services)
    made.tokens = dict(tokens)
    yield made
    trail.close()
    engine.dispose()


CONTROLLED = """\
plant: {enterprise: acme, site: lyon, timezone: Europe/Paris}
connections:
  plc1: {driver: modbus-tcp, host: 10.0.0.1, zone: line1, owner: Automation, unpatchable: {reason: no maker, control: own switch, review: 2023-11-14}}
  plc2: {driver: modbus-tcp, host: 10.0.0.2, zone: line2, unpatchable: {reason: no maker, control: own switch, review: 2023-11-15}}
assets:
  hall: {owner: [Ana, Shift A]}
  hall/p1: {source: plc1, tags: {speed: {at: hr 0 float32}}}
  yard/p2: {source: plc2, tags: {speed: {at: hr 0 float32}}}
change_control:
  line1: {reason: required, approvals: 1}
  line2: {window: "Wed 01:00-Wed 06:00"}
"""


@pytest.fixture
def controlled(works: Plantworks, tmp_path: Path) -> Iterator[Plantworks]:
    """The same with a real plant under change control, at version 1."""
    engine = open_records(tmp_path / "plant.db")
    namespace_metadata.create_all(engine)
    namespace = Namespace(engine, works.clock)
    namespace.apply(CONTROLLED, 0, "ana", "first")

    async def on_applied(version: int) -> None:
        works.applied.append(version)
        works.live.describe(namespace.current())

    works.live.describe(namespace.current())
    works.services.namespace, works.services.on_applied = namespace, on_applied
    works.services.changes = ChangeRequests(engine, namespace, works.clock)
    yield works
    engine.dispose()


@pytest.fixture
async def port(works: Plantworks) -> AsyncIterator[int]:
    async with running(create_app(works.services), port=0) as bound:
        yield bound


@dataclass
class Clients:
    """HTTP clients by role; ``nobody`` has no credentials."""

    viewer: httpx.AsyncClient
    operator: httpx.AsyncClient
    supervisor: httpx.AsyncClient
    engineer: httpx.AsyncClient
    maintainer: httpx.AsyncClient
    security: httpx.AsyncClient
    admin: httpx.AsyncClient
    nobody: httpx.AsyncClient


@pytest.fixture
async def as_(works: Plantworks, port: int) -> AsyncIterator[Clients]:
    base = f"http://127.0.0.1:{port}/api/v1"
    clients = {
        name: httpx.AsyncClient(
            base_url=base, headers={"Authorization": f"Bearer {token}"} if token else {}, trust_env=False, verify=False
        )
        for name, token in {**works.tokens, "nobody": ""}.items()
    }
    yield Clients(**clients)
    await asyncio.gather(*(client.aclose() for client in clients.values()))

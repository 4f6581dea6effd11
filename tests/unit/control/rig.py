"""A plant with points, and everything control asks for, as fakes that say no like the real ones."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from isthmus.app.control import PolicyView
from isthmus.app.records import open_records
from isthmus.control import recipe_store  # noqa: F401  its tables stand in the metadata of the room
from isthmus.control.link import answer_of
from isthmus.control.model import EdgeLine, EdgeState
from isthmus.control.service import Control, Surroundings
from isthmus.control.store import metadata
from isthmus.namespace.compiled import make_plant
from isthmus.namespace.doing import Doing
from isthmus.namespace.live import LiveTable
from isthmus.namespace.model import Asset, Conduit, Connection, Lockout, OwnRole, Plant, Tag, Zone
from isthmus.ports.audit import NotDurable
from isthmus.security.model import Principal, Proof
from isthmus.security.policy import Lockouts, Policies
from isthmus.values.clock import NS_PER_S, ManualClock
from isthmus.values.errors import IsthmusError, TryLater
from isthmus.values.messages.control import Mode, Result, Told, TripCommand, WriteAnswer, WriteCommand
from isthmus.values.model import TripModel, WritePoint
from isthmus.values.sample import SampleBatch, ValueType

NOW = 1_700_000_000 * NS_PER_S
LOG = logging.getLogger("test")
TARGET, SWITCH, RECIPE, DUTY, REMOTE, OTHER = (
    "hall/line1/filler/target",
    "hall/line1/filler/run",
    "hall/line1/filler/recipe",
    "hall/line1/filler/duty",
    "hall/line2/filler/target",
    "hall/line1/filler/speed",
)


def tag(number: int, path: str, **more: Any) -> Tag:
    asset, _, name = path.rpartition("/")
    given: dict[str, Any] = {"kind": "value", "type": ValueType.FLOAT, "edge": "edge-1", "connection": "plc1"}
    return Tag(id=number, path=path, asset=asset, name=name, **given | more)


def plant(*points: WritePoint, **more: Any) -> Plant:
    """Two lines in two zones; what stands in ``points`` is put in the place of the point of its tag."""
    tags = (
        tag(1, TARGET, unit="1/min", low=0.0, high=140.0),
        tag(2, SWITCH, kind="switch", type=ValueType.INT),
        tag(3, RECIPE, kind="text", type=ValueType.TEXT),
        tag(4, DUTY, unit="%"),
        tag(5, OTHER, unit="1/min"),
        tag(6, "hall/line1/filler/guard", kind="switch", type=ValueType.INT),
        tag(7, "hall/line1/filler/local", kind="switch", type=ValueType.INT),
        tag(
            8,
            "hall/line1/filler/state",
            kind="state",
            type=ValueType.INT,
            states={0: "Idle", 2: "Stopped", 6: "Execute"},
        ),
        tag(9, REMOTE, unit="1/min", connection="plc2", edge="edge-2"),
        tag(10, "hall/line1/filler/mode", kind="state", type=ValueType.INT, states={1: "Production", 2: "Manual"}),
        tag(20, "trips/hot/state", kind="system", type=ValueType.INT, connection=""),
        tag(21, "trips/hot/cause", kind="system", type=ValueType.TEXT, connection=""),
    )
    inputs = {"guard": 6, "local": 7}
    known = {
        1: WritePoint(
            1, "operator", "line1", interlock="guard == 1", local="local == 1", inputs=inputs, low=0.0, high=140.0
        ),
        2: WritePoint(2, "operator", "line1"),
        3: WritePoint(3, "operator", "line1", needs_reason=True),
        4: WritePoint(4, "supervisor", "line1", low=0.0, high=100.0, step=10.0, rate_s=1.0, direction=-1),
        9: WritePoint(9, "operator", "line2", second_person=True, low=0.0, high=100.0),
        10: WritePoint(10, "operator", "line1"),
    } | {p.tag: p for p in points}
    given: dict[str, Any] = {
        "version": 7, "enterprise": "acme", "site": "lyon", "timezone": "UTC", "edges": ("edge-1", "edge-2"),
        "assets": (
            Asset("", "lyon", "site", "", "", 0), Asset("hall", "hall", "area", "", "", 1),
            Asset("hall/line1", "line1", "line", "", "hall", 2, zone="line1"),
            Asset("hall/line1/filler", "filler", "asset", "filler", "hall/line1", 3, {"state": "hall/line1/filler/state"}, zone="line1"),
            Asset("hall/line2", "line2", "line", "", "hall", 4, zone="line2"),
            Asset("hall/line2/filler", "filler", "asset", "tank", "hall/line2", 5, zone="line2"),
        ),
        "connections": (
            Connection("plc1", "modbus-tcp", "edge-1", "line1", "read-write", "127.0.0.1:5020", 4),
            Connection("plc2", "modbus-tcp", "edge-2", "line2", "read-write", "127.0.0.1:5021", 1),
        ),
        "zones": (Zone("line1", edges=("edge-1",)), Zone("line2", edges=("edge-2",)), Zone("office", networks=("10.9.0.0/16",))),
        "conduits": (
            Conduit("core1", "site", "line1", ("read", "live", "write", "edge", "change")),
            Conduit("core2", "site", "line2", ("read", "live", "write", "edge", "change")),
            Conduit("screens", "office", "site", ("read", "live", "sign-in", "write")),
            Conduit("view", "office", "line1", ("read", "live")),
        ),
        "roles": (
            OwnRole("crew", extends=("operator",), under=("hall/line1",), when=("stopped",)),
            OwnRole("line2-only", extends=("supervisor",), zones=("line2",)),
        ),
        "points": tuple(p for p in known.values()),
        "trips": (TripModel("hot", "hall/line1/filler", ("speed > 1",), {"speed": 5}, state=20, cause=21),),
    } | more  # fmt: skip
    return make_plant(tags=tags, **given)


def person(name: str = "ana", role: str = "operator", **more: Any) -> Principal:
    given: dict[str, Any] = {"proof": Proof.SESSION, "key": f"key of {name}", "source": "127.0.0.1"}
    return Principal(name, role, **given | more)


def program(name: str = "mes", role: str = "operator", **more: Any) -> Principal:
    return person(name, role, proof=Proof.TOKEN, **more)


@dataclass
class FakeAudit:
    """Keeps what it is told; ``full`` makes it take nothing."""

    full: bool = False
    begun: list[dict[str, Any]] = field(default_factory=list)
    ended: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)

    async def intent(self, who: Mapping[str, str], action: str, target: str, **more: Any) -> str:
        await asyncio.sleep(0)
        if self.full:
            raise NotDurable("the disk of the audit log is full")
        self.begun.append({"who": who, "action": action, "target": target, **more})
        return f"i{len(self.begun)}"

    async def outcome(self, ident: str, result: str, detail: str = "", **more: Any) -> None:
        self.ended.append((ident, result))

    def note(self, who: Mapping[str, str], action: str, target: str, **detail: Any) -> None:
        self.notes.append((action, target))

    def person(self, name: str) -> str:
        return f"p-{name}"


@dataclass
class FakeReports:
    """The alarm list; ``down`` makes it refuse."""

    active: dict[str, bool] = field(default_factory=dict)
    raised: list[str] = field(default_factory=list)
    down: bool = False

    async def report(self, alarm: Any, *, active: bool, time_ns: int) -> None:
        if self.down:
            raise TryLater("the records are busy")
        if active and not self.active.get(alarm.key):
            self.raised.append(alarm.key)
        self.active[alarm.key] = active


@dataclass
class FakeEdges:
    """Edges that keep every command, act on it once, and answer as ``how`` says: an error, or a result with its code.

    ``wire`` are the values that reached devices.
    """

    connected: bool = True
    how: list[Any] = field(default_factory=list)
    wire: list[WriteCommand] = field(default_factory=list)
    sent: list[WriteCommand] = field(default_factory=list)
    known: dict[str, WriteAnswer] = field(default_factory=dict)
    deaf: bool = False  # questions get no answer
    told: list[tuple[str, str, Any]] = field(default_factory=list)
    lines: list[EdgeLine] = field(default_factory=list)
    arrives: Any = None  # called when a command is there
    trip_says: Told = field(default_factory=lambda: Told(ok=True))

    async def write(self, edge: str, command: WriteCommand, timeout_s: float) -> WriteAnswer:
        self.sent.append(command)
        await asyncio.sleep(0)
        if self.arrives is not None:
            self.arrives(command)
        said = self.how.pop(0) if self.how else Result.DONE
        if isinstance(said, IsthmusError) and not getattr(said, "acted", False):
            raise said
        answer = self.act(command, said)
        if isinstance(said, IsthmusError):
            raise said
        return answer

    def act(self, command: WriteCommand, said: Any = Result.DONE) -> WriteAnswer:
        if command.id in self.known:
            return self.known[command.id]
        result = said if isinstance(said, Result) else Result.DONE
        if result is not Result.DENIED:
            self.wire.append(command)
        back = command.value if result is Result.DONE else None
        code = "" if result is Result.DONE else "interlock" if result is Result.DENIED else "no_answer"
        answer = answer_of(
            {"id": command.id, "result": str(result), "code": code, "reason": code and "as the edge says", "read_back": back}, command.id
        )  # fmt: skip
        self.known[command.id] = answer
        return answer

    async def outcome(self, edge: str, ident: str) -> WriteAnswer | None:
        if self.deaf:
            raise TryLater("no answer")
        return self.known.get(ident)

    async def modes(self, edge: str, modes: Mapping[str, Mode]) -> None:
        if self.deaf:
            raise TryLater("no answer")
        self.told.append((edge, "modes", dict(modes)))

    async def lockouts(self, edge: str, lockouts: Mapping[str, Lockout]) -> None:
        self.told.append((edge, "locks", sorted(lockouts)))

    async def trip(self, edge: str, command: TripCommand) -> Told:
        self.told.append((edge, command.do, command.trip))
        return self.trip_says

    async def journal(self, edge: str, after: int) -> list[EdgeLine]:
        if self.deaf:
            raise TryLater("no answer")
        return [line for line in self.lines if line.edge == edge and line.n > after][:2]


@dataclass
class Works:
    """Everything around one control."""

    folder: Path
    plant: Plant = field(default_factory=plant)
    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW))
    edges: FakeEdges = field(default_factory=FakeEdges)
    audit: FakeAudit = field(default_factory=FakeAudit)
    reports: FakeReports = field(default_factory=FakeReports)
    live: LiveTable = field(default_factory=LiveTable)
    lockouts: Lockouts = field(default_factory=Lockouts)
    state: dict[str, EdgeState | None] = field(default_factory=dict)
    behind: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.engine = open_records(self.folder / "records.db")
        metadata.create_all(self.engine)
        self.policies = Policies(lambda: self.plant, self.lockouts, Doing(self.live).at)
        self.permissions = PolicyView(self.policies)
        for edge in self.plant.edges:
            self.state[edge] = EdgeState(True, 0.2, 0.01, 1, self.plant.version)
        self.live.describe(self.plant)
        self.feed({TARGET: 100.0, SWITCH: 0, DUTY: 50.0, OTHER: 90.0, REMOTE: 10.0, "hall/line1/filler/guard": 1})
        self.feed({"hall/line1/filler/local": 0, "hall/line1/filler/state": 2, "hall/line1/filler/mode": 1})
        self.control = self.make()

    def make(self) -> Control:
        """A control over the same records, as after a restart of core."""
        around = Surroundings(
            lambda: self.plant, self.live, self.permissions, self.state.get, self.edges, self.audit,
            self.reports, lambda asker: self.behind.get(asker.name, ()), lambda asker: f"p-{asker.name}",
        )  # fmt: skip
        return Control(self.engine, self.clock, around, LOG)

    def apply(self, changed: Plant) -> None:
        self.plant = changed
        self.live.describe(changed)
        for edge, known in self.state.items():
            if known is not None:
                self.state[edge] = replace(known, model_version=changed.version)

    def feed(self, values: Mapping[str, float], code: int = 0) -> None:
        for path, value in values.items():
            known = self.plant.by_path[path]
            column: Any = np.array([value], np.int64 if known.type is ValueType.INT else np.float64)
            time_ns = np.array([self.clock.now_ns()])
            self.live.apply(
                [SampleBatch(np.array([known.id], np.int32), time_ns, column, np.array([code], np.uint32))],
                self.clock.now_ns(),
            )

    async def write(self, who: Principal, path: str, value: Any, **more: Any) -> Any:
        """Select and write, as a screen does."""
        chosen = await self.control.select(who, path)
        return await self.control.write(who, path, value, selection=chosen.id, **more)

    def close(self) -> None:
        self.engine.dispose()

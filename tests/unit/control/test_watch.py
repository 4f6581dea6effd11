"""Changes nobody recorded: found within one poll, and none found that is not one."""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from control_rig import DUTY, LOG, SWITCH, TARGET, Works, person, plant, program
from sqlalchemy import event

from isthmus.control.lines import Lines
from isthmus.control.model import EdgeLine, EdgeState, Refusal
from isthmus.control.watch import Scale, Watch
from isthmus.namespace.model import Plant
from isthmus.ports.frames import Arrived
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import TryLater
from isthmus.values.frame import Frame, Lane
from isthmus.values.messages.control import Result
from isthmus.values.model import WritePoint
from isthmus.values.sample import SampleBatch, ValueType

GUARD, LOCAL = "hall/line1/filler/guard", "hall/line1/filler/local"
ANA = person("ana", user_id=1)


@dataclass
class Hall:
    """Frames of an edge into a watch, beside a control over the same records."""

    works: Works
    seq: Any = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """A watch as a core that starts has it."""
        works = self.works
        self.lines = Lines(works.engine, works.clock, works.edges, lambda: works.plant, works.state.get, LOG)
        self.watch = Watch(
            works.engine,
            works.clock,
            works.control.accepted,
            self.lines,
            works.reports,
            works.audit,
            LOG,
        )

    async def describe(self, scales: dict[int, Scale] | None = None) -> None:
        await self.lines.open()
        await self.watch.describe(self.works.plant, scales or {})

    async def says(self, values: dict[str, float], *, code: int = 0, at_s: float = 0.0) -> None:
        """One poll, and what is found by it."""
        await self.watch.take([self.frame(values, code=code, at_s=at_s)])
        await self.watch.judge()

    def frame(self, values: dict[str, float], *, code: int = 0, at_s: float = 0.0) -> Arrived:
        works, now_ns = self.works, self.works.clock.now_ns() + round(at_s * NS_PER_S)
        batches = []
        for kind, form in ((ValueType.FLOAT, np.float64), (ValueType.INT, np.int64)):
            rows = [(works.plant.by_path[p].id, v) for p, v in values.items() if works.plant.by_path[p].type is kind]
            if rows:
                batches.append(
                    SampleBatch(
                        np.array([r[0] for r in rows], np.int32), np.full(len(rows), now_ns), np.array([r[1] for r in rows], form),
                        np.full(len(rows), code, np.uint32),
                    )
                )  # fmt: skip
        number = next(self.seq)
        return Arrived("edge-1", Frame(Lane.LIVE, 1, number, now_ns, 7, tuple(batches)), number)

    @property
    async def found(self) -> list[tuple[str, str, Any, Any]]:
        return [(c.path, c.kind, c.before, c.value) for c in reversed(await self.watch.changes())]


@pytest.fixture
async def hall(works: Works) -> Hall:
    made = Hall(works)
    await made.describe()
    await made.says({TARGET: 100.0, SWITCH: 0, DUTY: 50.0, GUARD: 1, LOCAL: 0})
    works.clock.advance(10)
    return made


@pytest.mark.mission("M84", "M31")
async def test_a_change_that_nothing_explains_is_told_with_the_poll_that_shows_it(hall: Hall) -> None:
    await hall.says({DUTY: 50.0, SWITCH: 1})
    assert await hall.found == [(SWITCH, "unexplained", 0, 1)]
    assert hall.works.reports.raised == [f"control/unexplained/{SWITCH}"]
    assert hall.works.audit.notes == [("control.unexplained", SWITCH)]
    hall.works.clock.advance(1)
    await hall.says({SWITCH: 1})
    assert len(await hall.found) == 1, "once"


async def test_a_write_of_ours_explains_it_whenever_its_sample_comes(hall: Hall) -> None:
    def arrives(command: Any) -> None:
        pass

    hall.works.edges.arrives = arrives
    await hall.works.control.write(program(), SWITCH, 1)
    await hall.says({SWITCH: 1})
    assert await hall.found == []
    hall.works.clock.advance(60)
    await hall.says({SWITCH: 0})  # and somebody switches it off again
    assert await hall.found == [(SWITCH, "unexplained", 1, 0)]
    hall.works.clock.advance(60)
    await hall.says({SWITCH: 1})  # a write of long ago explains nothing
    assert len(await hall.found) == 2


async def test_the_sample_may_come_before_the_answer(hall: Hall) -> None:
    frames = []

    def arrives(command: Any) -> None:
        frames.append(hall.frame({SWITCH: 1}))

    hall.works.edges.arrives = arrives
    original = hall.works.edges.write

    async def write(edge: str, command: Any, timeout_s: float) -> Any:
        answer = await original(edge, command, timeout_s)
        await hall.watch.take(frames)
        await hall.watch.judge()
        return answer

    hall.works.edges.write = write  # type: ignore[method-assign]  # the poll is faster than the answer
    await hall.works.control.write(program(), SWITCH, 1)
    assert await hall.found == []


async def test_an_uncertain_write_explains_its_value_until_there_is_a_later_one(hall: Hall) -> None:
    hall.works.edges.how = [Result.UNCERTAIN]
    await hall.works.control.write(program(), SWITCH, 1)
    hall.works.clock.advance(3600)
    await hall.says({SWITCH: 1})
    assert await hall.found == []
    await hall.works.control.write(program(), SWITCH, 0)
    await hall.says({SWITCH: 0})
    hall.works.clock.advance(3600)
    await hall.says({SWITCH: 1})
    assert len(await hall.found) == 1


async def test_a_denied_write_explains_nothing(hall: Hall) -> None:
    hall.works.edges.how = [Result.DENIED]
    await hall.works.control.write(program(), SWITCH, 1)
    await hall.says({SWITCH: 1})
    assert len(await hall.found) == 1


async def test_a_value_on_its_way_is_waited_for_and_must_arrive(hall: Hall) -> None:
    await hall.works.control.write(person("sue", "supervisor", proof="token"), DUTY, 60)
    for value in (52.0, 55.0, 60.0):
        await hall.says({DUTY: value})
        hall.works.clock.advance(1)
    assert await hall.found == []
    hall.works.clock.advance(60)
    await hall.works.control.write(person("sue", "supervisor", proof="token"), DUTY, 50)
    await hall.says({DUTY: 57.0})
    assert await hall.found == []
    hall.works.clock.advance(60)
    await hall.watch.judge()
    assert await hall.found == [(DUTY, "unexplained", 60.0, 57.0)]


async def test_what_the_edge_wrote_by_itself_is_found_in_its_journal(hall: Hall) -> None:
    at_ns = hall.works.clock.now_ns()
    hall.works.edges.lines = [
        EdgeLine(
            "edge-1",
            n,
            "lease",
            at_ns,
            "",
            {"n": n, "at_ns": at_ns, "kind": "lease", "tag": 4, "value": float(n), "state": "sent"},
        )
        for n in range(1, 6)
    ]
    await hall.says({DUTY: 5.0})
    assert await hall.found == []
    assert [line.path for line in await hall.lines.listed()] == [DUTY] * 5
    hall.works.edges.lines.append(
        EdgeLine("edge-1", 6, "write", at_ns, "", {"tag": 4, "value": 9.0, "state": "answered"})
    )
    await hall.says({DUTY: 9.0})
    assert len(await hall.found) == 1, "a refusal in the journal explains nothing"


async def test_a_heartbeat_older_than_the_lines_is_no_lost_disk_and_a_younger_one_is(hall: Hall) -> None:
    at_ns = hall.works.clock.now_ns()
    said = {"kind": "lease", "tag": 4, "value": 5.0, "state": "sent"}
    hall.works.edges.lines = [EdgeLine("edge-1", n, "lease", at_ns, "", {"n": n, **said}) for n in (1, 2)]
    await hall.lines.pull("edge-1")

    async def edges(age_s: float) -> set[str]:
        await hall.lines._look("edge-1", EdgeState(True, age_s, 0.0, 1, 7, journal=1))
        return {line.edge for line in await hall.lines.listed()}

    assert await edges(0.5) == {"edge-1"}
    hall.works.clock.advance(3)
    assert await edges(2.9) == {"edge-1"}, "it was sent before the lines came"
    assert all(name.startswith("edge-1 until") for name in await edges(0.1))


async def test_an_edge_that_cannot_be_asked_delays_the_verdict_and_does_not_stop_it(hall: Hall) -> None:
    hall.works.edges.deaf = True
    await hall.says({SWITCH: 1})
    assert await hall.found == []
    hall.works.clock.advance(6)
    await hall.watch.judge()
    assert await hall.found == [(SWITCH, "unexplained", 0, 1)]


@pytest.mark.mission("M34")
async def test_a_change_in_local_mode_is_a_local_change_also_when_the_switch_is_seen_later(hall: Hall) -> None:
    await hall.says({LOCAL: 1})
    hall.works.clock.advance(30)
    await hall.says({TARGET: 80.0})
    assert await hall.found == [(TARGET, "local", 100.0, 80.0)]
    hall.works.clock.advance(30)
    await hall.says({LOCAL: 0})
    hall.works.clock.advance(30)
    await hall.says({TARGET: 90.0})  # its poll shows the value before the switch
    assert len(await hall.found) == 1
    hall.works.clock.advance(1)
    await hall.says({LOCAL: 1})
    assert (await hall.found)[1:] == [(TARGET, "local", 80.0, 90.0)]
    assert hall.works.reports.raised == []
    hall.works.clock.advance(1)
    await hall.says({LOCAL: 0})
    hall.works.clock.advance(60)
    await hall.says({TARGET: 70.0})
    hall.works.clock.advance(2)
    await hall.says({GUARD: 1})
    assert (await hall.found)[2:] == [(TARGET, "unexplained", 90.0, 70.0)]


@pytest.mark.mission("M63")
async def test_neither_a_restart_nor_a_link_that_comes_back_is_a_change_and_one_over_them_is_found(hall: Hall) -> None:
    await hall.says({SWITCH: 0}, code=0x80000000)
    await hall.says({SWITCH: 1}, code=0x40000000)
    await hall.says({SWITCH: 0})
    assert await hall.found == []
    hall.begin()
    await hall.describe()
    await hall.says({SWITCH: 0})
    assert await hall.found == []
    hall.begin()
    await hall.describe()
    hall.works.clock.advance(600)
    await hall.says({SWITCH: 1})
    assert await hall.found == [(SWITCH, "unexplained", 0, 1)]


async def test_a_doubt_outlives_a_restart(hall: Hall) -> None:
    hall.works.edges.deaf = True
    await hall.says({SWITCH: 1})
    hall.begin()
    await hall.describe()
    hall.works.clock.advance(10)
    await hall.watch.judge()
    assert await hall.found == [(SWITCH, "unexplained", 0, 1)]


async def test_frames_that_come_again_have_no_effect(hall: Hall) -> None:
    one = hall.frame({SWITCH: 1})
    await hall.watch.take([one])
    await hall.watch.judge()
    await hall.watch.take([one])
    await hall.watch.judge()
    assert len(await hall.found) == 1
    assert (await hall.watch.cursor())[one.key] == one.position
    hall.begin()
    await hall.describe()
    await hall.watch.take([one])
    await hall.watch.judge()
    assert len(await hall.found) == 1


async def test_a_tag_that_is_not_what_it_was_begins_anew(hall: Hall) -> None:
    await hall.describe({4: Scale(factor=0.1)})
    await hall.says({DUTY: 5.0})
    assert await hall.found == []


async def test_rounding_of_the_device_and_the_deadband_are_no_change(hall: Hall) -> None:
    await hall.describe({4: Scale(factor=0.1, deadband=0.2)})
    await hall.says({DUTY: 50.0})
    for value in (50.04, 49.96, 50.2, 49.8):
        await hall.says({DUTY: value})
    assert await hall.found == []
    await hall.says({DUTY: 50.4})
    assert len(await hall.found) == 1


async def test_who_knows_where_it_comes_from_ends_the_alarm(hall: Hall) -> None:
    await hall.says({SWITCH: 1})
    hall.works.clock.advance(1)
    await hall.says({SWITCH: 0})
    first, second = reversed(await hall.watch.changes(state="open"))
    with pytest.raises(Refusal):
        await hall.watch.accept(ANA, first.id, " ")
    hall.works.reports.down = True
    done = await hall.watch.accept(ANA, first.id, "I tried it at the panel")
    assert (done.state, done.by) == ("accepted", "ana")
    with pytest.raises(Refusal):
        await hall.watch.accept(ANA, first.id, "again")
    hall.works.reports.down = False
    await hall.watch.judge()
    key = f"control/unexplained/{SWITCH}"
    assert hall.works.reports.active == {key: True}, "another one is still open"
    await hall.watch.accept(ANA, second.id, "and back")
    assert hall.works.reports.active == {key: False}
    with pytest.raises(LookupError):
        await hall.watch.accept(ANA, 99, "r")


async def test_an_alarm_list_that_is_away_hears_it_later_also_over_a_restart(hall: Hall) -> None:
    hall.works.reports.down = True
    await hall.says({SWITCH: 1})
    hall.begin()
    await hall.describe()
    hall.works.reports.down = False
    await hall.watch.judge()
    assert hall.works.reports.raised == [f"control/unexplained/{SWITCH}"]


async def test_nothing_is_watched_that_nobody_guards(works: Works) -> None:
    hall = Hall(works)
    works.apply(plant(version=8, points=()))
    await hall.describe()
    assert not hall.watch.busy
    await hall.says({SWITCH: 1})
    works.apply(plant(WritePoint(2, "operator", "line1", guarded=False), version=9))
    await hall.describe()
    assert hall.watch.busy
    await hall.says({SWITCH: 0})
    await hall.says({SWITCH: 1})
    assert await hall.found == []


async def test_a_first_watch_begins_with_what_comes_now_and_a_later_one_behind_what_it_saw(hall: Hall) -> None:
    assert await hall.watch.begin(77, 1000) in (1, 1001)
    await hall.watch.forget()
    assert await hall.watch.begin(77, 1000) == 1001
    await hall.says({SWITCH: 1})
    assert await hall.watch.begin(77, 5000) == next(hall.seq)
    assert await hall.watch.begin(78, 5000) == 1, "the bus lost its files: all of the new stream is new"


# a day of it


def simulated(seed: int) -> Plant:
    """Forty points with what makes changes hard to tell: switches polled more slowly than values, scaled integers, deadbands."""
    from control_rig import tag as make

    chance = random.Random(seed)
    tags, points, n = [], [], 100
    for i in range(20):
        asset = f"hall/line1/m{i}"
        slow = chance.choice([0.5, 1.0, 5.0])
        target = make(n, f"{asset}/target", unit="1/min", period_s=chance.choice([0.5, 1.0, 2.0]))
        speed = make(n + 1, f"{asset}/speed", period_s=1.0)
        switch = make(n + 2, f"{asset}/local", kind="switch", type=ValueType.INT, period_s=slow)
        tags += [target, speed, switch]
        local = {"local": "local == 1", "inputs": {"local": n + 2}} if i % 2 else {}
        points.append(WritePoint(n, "operator", "line1", tolerance=chance.choice([0.0, 0.5]), **local))
        points.append(WritePoint(n + 1, "operator", "line1"))
        n += 3
    whole = plant(version=7)
    by_path = {t.path: t for t in tags}
    return replace(
        whole, tags=tuple(tags), by_path=by_path, by_id={t.id: t for t in tags}, points=tuple(points), zones=(), conduits=(),
        roles=(), trips=(),
    )  # fmt: skip


@dataclass
class Machine:
    """What one point of a machine holds, and what was sent of it: by exception, quantised, every so often again."""

    path: str
    period_s: float
    step: float
    deadband: float
    value: float
    sent: float | None = None
    sent_s: float = 0.0

    def poll(self, now_s: float) -> float | None:
        shown = round(self.value / self.step) * self.step if self.step else self.value
        if self.sent is not None and abs(shown - self.sent) <= self.deadband and now_s - self.sent_s < 600:
            return None
        self.sent, self.sent_s = shown, now_s
        return shown


@pytest.mark.mission("M84", "M31", "M34")
@pytest.mark.parametrize("seed", [1])
async def test_a_simulated_day_raises_no_false_alert_and_finds_every_rogue_change(
    works: Works, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    await a_day(works, monkeypatch, seed, hours=24)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 12))
async def test_ten_more_days(works: Works, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    await a_day(works, monkeypatch, seed, hours=24)


async def a_day(works: Works, monkeypatch: pytest.MonkeyPatch, seed: int, hours: int) -> None:
    monkeypatch.setattr("isthmus.control.service.PATIENCE_S", 0.0)
    monkeypatch.setattr("isthmus.control.watch.CURSOR_EVERY_S", 600.0)
    works.engine.dispose()
    event.listen(works.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    chance = random.Random(seed)
    works.apply(simulated(seed))
    hall = Hall(works)
    machines: dict[str, Machine] = {}
    scales: dict[int, Scale] = {}
    for tag in works.plant.tags:
        step = 0.0 if tag.type is ValueType.INT else chance.choice([0.0, 0.1, 0.25])
        band = 0.0 if tag.type is ValueType.INT else chance.choice([0.0, 0.0, 0.3])
        machines[tag.path] = Machine(tag.path, tag.period_s, step, band, 0.0 if tag.type is ValueType.INT else 50.0)
        scales[tag.id] = Scale(factor=step or 1.0, deadband=band)
    await hall.describe(scales)
    act = Day(hall, machines, chance, scales)
    await act.run(hours * 3600)
    found = await hall.watch.changes(limit=1000, kind="unexplained")
    false = [c for c in found if c.path not in act.rogue]
    assert false == []
    assert {c.path for c in found} == set(act.rogue)
    assert len(found) == len(act.rogue)
    assert all(seen - at <= 2.6 * NS_PER_S for at, seen in zip(act.rogue.values(), act.told(found), strict=True))
    local = await hall.watch.changes(limit=1000, kind="local")
    assert {c.path for c in local} <= {p for p in machines if p.endswith("/target")}
    assert act.writes > 300
    assert act.locals > 50
    assert len(local) >= act.locals * 0.9


class Day:
    """Writes, ramps, local operation, links that break, restarts of core, and a few hands where none should be."""

    def __init__(
        self, hall: Hall, machines: dict[str, Machine], chance: random.Random, scales: dict[int, Scale]
    ) -> None:
        self.hall, self.machines, self.chance, self.scales = hall, machines, chance, scales
        self.agenda: list[tuple[float, int, Any]] = []
        self.changes: list[float] = []
        self.order = itertools.count()
        self.rogue: dict[str, int] = {}
        self.writes = self.locals = 0
        self.now_s = 0.0
        self.held: list[Arrived] | None = None
        self.bad = False
        self.works = hall.works
        self.works.edges.arrives = self.obey

    def at(self, seconds: float, do: Any, *, poll: bool = False) -> None:
        heapq.heappush(self.agenda, (seconds, next(self.order), do))
        if not poll:
            heapq.heappush(self.changes, seconds)

    async def run(self, seconds: float) -> None:
        chance = self.chance
        for kind, count in ((self.write, 400), (self.operate, 90), (self.break_link, 12), (self.restart, 6)):
            for _ in range(count):
                self.at(chance.uniform(30, seconds - 300), kind)
        rogues = chance.sample([p for p in self.machines if p.endswith("/speed")], 6)
        for path in rogues:
            self.at(chance.uniform(60, seconds - 300), lambda path=path: self.meddle(path))
        for period in sorted({m.period_s for m in self.machines.values()}):
            self.at(chance.uniform(0, period), lambda period=period: self.poll(period), poll=True)
        while self.agenda and self.agenda[0][0] < seconds:
            at_s, _, do = heapq.heappop(self.agenda)
            self.works.clock.advance(at_s - self.now_s)
            self.now_s = at_s
            await do()

    async def poll(self, period: float) -> None:
        """Report by exception; quiet polls are passed over as the loop would take a day."""
        said = {m.path: m.poll(self.now_s) for m in self.machines.values() if m.period_s == period}
        values = {path: value for path, value in said.items() if value is not None}
        if values:
            frame = self.hall.frame(values, code=0x80000000 if self.bad else 0)
            if self.held is not None:
                self.held.append(frame)
            else:
                await self.hall.watch.take([frame])
                await self.hall.watch.judge()
        elif any(one.doubts for one in self.hall.watch._points.values()):
            await self.hall.watch.judge()
        while self.changes and self.changes[0] <= self.now_s:
            heapq.heappop(self.changes)
        quiet = self.now_s if values or self.pending() else min([self.now_s + 595, *self.changes[:1]])
        polls = max(1, int((quiet - self.now_s) / period))
        self.at(self.now_s + polls * period, lambda: self.poll(period), poll=True)

    def pending(self) -> bool:
        return any(one.doubts for one in self.hall.watch._points.values())

    def obey(self, command: Any) -> None:
        path = self.works.plant.by_id[command.tag].path
        machine = self.machines[path]
        if self.chance.random() < 0.2:
            start, goal = machine.value, float(command.value)
            for part in (0.3, 0.7, 1.0):
                self.at(self.now_s + 2 * part, lambda part=part: self.move(machine, start + (goal - start) * part))
        else:
            machine.value = float(command.value)

    async def move(self, machine: Machine, value: float) -> None:
        machine.value = value

    async def write(self) -> None:
        path = self.chance.choice([p for p in self.machines if not p.endswith("/local")])
        if (
            self.machines.get(path.rpartition("/")[0] + "/local", Machine("", 1, 0, 0, 0)).value
            or path in self.rogue
            or self.busy(path)
        ):
            return
        if self.chance.random() < 0.1:
            lost: Any = TryLater("late")
            lost.acted = True
            self.works.edges.how = [lost]
        self.writes += 1
        await self.works.control.write(program(), path, round(self.chance.uniform(0, 100), 2))
        await self.works.control.sweep()

    def busy(self, path: str) -> bool:
        accepted = self.works.control.accepted(self.works.plant.by_path[path].id)
        return bool(accepted) and self.works.clock.now_ns() - accepted[-1].sent_ns < 20 * NS_PER_S

    async def operate(self) -> None:
        """Somebody turns a machine to local, changes its target, and turns it back."""
        number = self.chance.randrange(1, 20, 2)
        asset = f"hall/line1/m{number}"
        switch, target = self.machines[f"{asset}/local"], self.machines[f"{asset}/target"]
        if switch.value or self.busy(target.path):
            return
        switch.value = 1.0
        self.locals += 1
        last = self.now_s + self.chance.uniform(max(0.2, 0), 20)
        self.at(last, lambda: self.move(target, round(self.chance.uniform(200, 300), 1)))
        self.at(last + switch.period_s + self.chance.uniform(0.1, 40), lambda: self.move(switch, 0.0))

    async def break_link(self) -> None:
        """The device or the bus is away for a while."""
        if self.held is not None or self.bad:
            return
        if self.chance.random() < 0.5:
            self.held = []
        else:
            self.bad = True
        self.at(self.now_s + self.chance.uniform(2, 4), self.mend_link)

    async def mend_link(self) -> None:
        held, self.held, was_bad, self.bad = self.held, None, self.bad, False
        if held:
            await self.hall.watch.take(held)
            await self.hall.watch.judge()
        if was_bad:
            for machine in self.machines.values():
                machine.sent = None  # everything is told anew

    async def restart(self) -> None:
        self.works.control = self.works.make()
        await self.works.control.open()
        await self.works.control.sweep()
        self.hall.begin()
        await self.hall.describe(self.scales)

    async def meddle(self, path: str) -> None:
        machine = self.machines[path]
        if self.busy(path) or self.held is not None or self.bad:
            self.at(self.now_s + 30, lambda: self.meddle(path))
            return
        machine.value += 17.3
        self.rogue[path] = self.works.clock.now_ns()

    def told(self, found: list[Any]) -> list[int]:
        seen = {c.path: c.seen_ns for c in found}
        return [seen[path] for path in self.rogue]

"""A write, whatever happens to it in whatever order: at most one command reaches a device, none without its gates, and the
record of each tells the truth."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.bus.client import NobodyListens
from isthmus.control.model import NEXT, EdgeState, ModeRow, Stage, Trigger, follow
from isthmus.ports.audit import NotDurable
from isthmus.values.errors import Denied, TryLater
from isthmus.values.messages.control import Mode, Result

if "control_rig" not in sys.modules:
    _spec = importlib.util.spec_from_file_location(
        "control_rig", Path(__file__).parents[1] / "unit" / "control" / "rig.py"
    )
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules["control_rig"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["control_rig"])
rig = sys.modules["control_rig"]

PEOPLE = [rig.person("ana", user_id=1), rig.person("ben", user_id=2), rig.person("sue", "supervisor", user_id=3)]
PEOPLE += [rig.program("mes"), rig.person("v", "viewer")]
STEPS = st.one_of(
    st.tuples(
        st.just("write"),
        st.integers(0, 4),
        st.sampled_from([rig.TARGET, rig.DUTY, rig.REMOTE, rig.OTHER]),
        st.integers(-20, 160),
    ),
    st.tuples(st.just("approve"), st.integers(0, 4)),
    st.tuples(st.just("reject"), st.integers(0, 4)),
    st.tuples(st.just("answer"), st.sampled_from(["done", "denied", "uncertain", "late", "never", "lost", "nobody"])),
    st.tuples(
        st.just("gate"),
        st.sampled_from(["halt", "run", "guard", "open", "deaf", "hears", "silent", "speaks", "full", "room"]),
    ),
    st.tuples(st.just("time"), st.sampled_from([1, 4, 30, 700])),
    st.tuples(st.just("sweep")),
    st.tuples(st.just("restart")),
)


@pytest.mark.mission("M84", "M31", "M63")
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEPS, max_size=25))
def test_whatever_happens_a_command_goes_out_once_and_only_through_every_gate(steps: list[Any]) -> None:
    asyncio.run(walk(steps))


async def walk(steps: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        works = rig.Works(Path(folder))
        try:
            await Walk(works).run(steps)
        finally:
            works.close()


class Walk:
    """One run through the steps, with what must be true after each."""

    def __init__(self, works: Any) -> None:
        self.works = works
        self.waiting: list[str] = []
        works.edges.arrives = self.arrives
        self.halted = False
        self.interlock = True
        self.heard = True

    def arrives(self, command: Any) -> None:
        """A command is on the wire: every gate must be open at this moment, and its row and intent durable."""
        works = self.works
        rows = {w.id: w for w in self.rows()}
        assert rows[command.id].state is Stage.SENT
        assert command.intent == f"i{len(works.audit.begun)}"
        assert not works.audit.full
        path = works.plant.by_id[command.tag].path
        assert self.heard
        if path != rig.REMOTE:
            assert not self.halted
        if path == rig.TARGET:
            assert self.interlock
            assert 0 <= command.value <= 140
        if path == rig.DUTY:
            assert rows[command.id].by == "sue"
            assert abs(command.value - 50.0) <= 10
        if path == rig.REMOTE:
            row = rows[command.id]
            assert row.approved_by
            assert row.approved_by != row.by
        assert path != rig.OTHER

    def rows(self) -> list[Any]:
        from isthmus.control import store

        with self.works.engine.begin() as db:
            return store.list_writes(db, "", 2**63 - 1, 1000)

    async def run(self, steps: list[Any]) -> None:
        import isthmus.control.service as service

        before, service.PATIENCE_S = service.PATIENCE_S, 0.0
        try:
            for step in steps:
                await getattr(self, step[0])(*step[1:])
                self.check()
            await self.settle()
        finally:
            service.PATIENCE_S = before

    def check(self) -> None:
        edges = self.works.edges
        ids = [command.id for command in edges.sent]
        assert len(ids) == len(set(ids)), "nothing is sent twice"
        rows = {w.id: w for w in self.rows()}
        assert set(ids) <= rows.keys(), "each command has its record"
        open_tags = [w.tag for w in rows.values() if w.open]
        assert len(open_tags) == len(set(open_tags)), "a point has one write under way at most"
        for write in rows.values():
            known = edges.known.get(write.id)
            if write.state is Stage.DONE:
                assert known is not None
                assert known.result is Result.DONE
            if write.state in (Stage.AWAITING, Stage.EXPIRED, Stage.REJECTED):
                assert write.id not in ids
            if write.state is Stage.DENIED:
                assert write.id not in [c.id for c in edges.wire], "what is told as denied reached no device"

    async def settle(self) -> None:
        """When everything is heard again and time has passed, the end of each is known."""
        await self.gate("hears")
        await self.gate("speaks")
        self.works.clock.advance(3600)
        await self.works.control.sweep()
        assert [w for w in self.rows() if w.open] == []
        self.check()

    async def write(self, who: int, path: str, value: int) -> None:
        asker = PEOPLE[who]
        try:
            chosen = await self.works.control.select(asker, path) if asker.proof == "session" else None
            done = await self.works.control.write(asker, path, value, selection=chosen.id if chosen else "", reason="r")
        except (Denied, LookupError, NotDurable):
            return
        if done.state is Stage.AWAITING:
            self.waiting.append(done.id)

    async def approve(self, who: int) -> None:
        if self.waiting:
            try:
                await self.works.control.approve(PEOPLE[who], self.waiting[-1])
            except (Denied, LookupError, NotDurable):
                return

    async def reject(self, who: int) -> None:
        if self.waiting:
            try:
                await self.works.control.reject(PEOPLE[who], self.waiting[-1], "no")
            except (Denied, LookupError, NotDurable):
                return

    async def answer(self, how: str) -> None:
        if how in ("late", "never"):
            error: Any = TryLater("no answer in time")
            error.acted = how == "late"
            self.works.edges.how = [error]
        elif how == "lost":
            self.works.edges.how = [TryLater("gone")]
        elif how == "nobody":
            self.works.edges.how = [NobodyListens("nobody answers")]
        else:
            self.works.edges.how = [Result(how)]

    async def gate(self, what: str) -> None:
        works = self.works
        if what in ("halt", "run"):
            self.halted = what == "halt"
            works.control.modes._rows["line1"] = ModeRow("line1", Mode.HALTED if self.halted else Mode.NORMAL)
        elif what in ("guard", "open"):
            self.interlock = what == "guard"
            works.feed({"hall/line1/filler/guard": int(self.interlock)})
        elif what in ("deaf", "hears"):
            works.edges.deaf = what == "deaf"
        elif what in ("silent", "speaks"):
            self.heard = what == "speaks"
            for edge in works.plant.edges:
                works.state[edge] = replace(EdgeState(True, 0.1, 0.0, 1, 7), fresh=self.heard)
        else:
            works.audit.full = what == "full"

    async def time(self, seconds: int) -> None:
        self.works.clock.advance(seconds)

    async def sweep(self) -> None:
        await self.works.control.sweep()

    async def restart(self) -> None:
        works = self.works
        rows = works.control.modes._rows
        await works.control.close()
        works.control = works.make()
        await works.control.open()
        works.control.modes._rows = rows


@pytest.mark.mission("M31")
def test_nothing_leads_back_to_sent_and_nothing_leaves_an_end() -> None:
    into_sent = [stage for (stage, _), after in NEXT.items() if after is Stage.SENT]
    assert into_sent == [Stage.AWAITING]
    for end in (Stage.DONE, Stage.DENIED, Stage.EXPIRED, Stage.REJECTED):
        for trigger in Trigger:
            with pytest.raises(Denied):
                follow(end, trigger)

"""Control over a real nats-server, against an edge that keeps a journal, acts once, and answers well, late, twice, never, or dies."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
import pytest
from control_rig import SWITCH, TARGET, Works, person, program

from isthmus.bus import subjects
from isthmus.bus.broker import Flow, LocalBroker, set_edges
from isthmus.bus.client import Bus
from isthmus.bus.field import reload
from isthmus.control.link import EdgeLink
from isthmus.control.model import Stage
from isthmus.namespace.model import Lockout
from isthmus.values.messages.control import Mode, Result, TripCommand, WriteAnswer, WriteCommand

pytestmark = [pytest.mark.real("nats-server"), pytest.mark.mission("M84")]
LOG = logging.getLogger("test")
SITE = "lyon"


class Edge:
    """An edge as `values/messages/control.py` has it: a journal by id, a device, and moods in answering."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.journal: dict[str, WriteAnswer] = {}
        self.wire: list[WriteCommand] = []
        self.mood = "well"
        self.late = asyncio.Event()
        self.kept: dict[str, Any] = {}

    async def listen(self) -> None:
        for what in ("write", "outcome", "mode", "lock", "trip"):
            await self.bus.listen(subjects.command(SITE, "edge-1", what), getattr(self, what))
        await self.bus.listen(subjects.ask("edge-1", "journal"), self.lines)
        await self.bus.nc.flush()

    async def write(self, _: str, data: bytes) -> bytes | None:
        command = WriteCommand(**orjson.loads(data))
        if command.id not in self.journal:
            self.wire.append(command)
            self.journal[command.id] = WriteAnswer(
                command.id, Result.DONE, read_back=command.value, sent_ns=1, read_ns=2
            )
        if self.mood == "never":
            return None
        if self.mood == "late":
            await self.late.wait()
        if self.mood == "garbage":
            return b"{"
        return orjson.dumps(asdict(self.journal[command.id]))

    async def outcome(self, _: str, data: bytes) -> bytes | None:
        known = self.journal.get(orjson.loads(data)["id"])
        return b"null" if known is None else orjson.dumps(asdict(known))

    async def mode(self, _: str, data: bytes) -> bytes:
        self.kept |= orjson.loads(data)
        return b'{"ok": true}'

    async def lock(self, _: str, data: bytes) -> bytes:
        self.kept |= orjson.loads(data)
        return b'{"ok": true}'

    async def trip(self, _: str, data: bytes) -> bytes:
        self.kept["trip"] = orjson.loads(data)
        return b'{"ok": false, "code": "still_true", "reason": "too hot", "clears": "let it cool"}'

    async def lines(self, _: str, data: bytes) -> bytes:
        line = {"n": 4, "at_ns": 5, "kind": "lease", "state": "sent", "tag": 1, "value": 2.0}
        after = orjson.loads(data)["after"]
        return orjson.dumps({"first": 1, "newest": 4, "lines": [line] if after < 4 else []})


@asynccontextmanager
async def around(works: Works, folder: Path) -> AsyncIterator[tuple[Edge, LocalBroker]]:
    async with LocalBroker(folder / "bus", ("edge-1",)) as broker:
        core, field = (Bus(broker.addresses[user], LOG) for user in ("core", "edge-edge-1"))
        await asyncio.gather(core.connect(), field.connect())
        edge = Edge(field)
        await edge.listen()
        works.edges = EdgeLink(core, lambda: SITE)
        works.control = works.make()
        try:
            yield edge, broker
        finally:
            await works.control.close()
            await asyncio.gather(core.close(), field.close())


async def test_every_mood_of_an_edge_costs_one_command_and_ends_in_the_truth(
    works: Works, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "isthmus.control.service.ANSWER_S", -4.7
    )  # with the 5 s a device may take: 0.3 s for the answer
    monkeypatch.setattr("isthmus.control.service.PATIENCE_S", 0.01)
    async with around(works, tmp_path) as (edge, broker):
        done = await works.write(person("ana"), TARGET, 120, reason="r")
        assert (done.state, done.read_back) == (Stage.DONE, 120.0)
        assert edge.wire[0].base == 100.0
        for mood, value in (("never", 121), ("late", 122), ("garbage", 123)):
            edge.mood = mood
            edge.late.clear()
            found = await works.control.write(program(), TARGET, value)
            assert (found.state, found.settled) == (Stage.UNCERTAIN, False), mood
            edge.late.set()
            await works.control.sweep()
            assert (await works.control.get(found.id)).state is Stage.DONE, mood
        edge.mood = "well"
        assert [c.value for c in edge.wire] == [120.0, 121.0, 122.0, 123.0]

        set_edges(broker.files, (), {"edge-1": Flow(commands=False)})  # no conduit any more
        await asyncio.to_thread(reload, broker.files)
        closed = await works.control.write(program(), SWITCH, 1)
        assert (closed.state, closed.code) == (Stage.DENIED, "edge_unreachable")
        assert len(edge.wire) == 4


async def test_modes_locks_trips_and_the_journal_go_over_the_wire_as_the_edge_has_them(
    works: Works, tmp_path: Path
) -> None:
    async with around(works, tmp_path) as (edge, _):
        await works.control.modes.set(person("sue", "supervisor"), "line1", Mode.HALTED, "fire")
        works.lockouts.lock("hall/line1", Lockout("ben", "inside"))
        await works.control.modes.bring()
        assert edge.kept["modes"] == {"line1": "halted"}
        assert edge.kept["locks"] == [{"path": "hall/line1", "who": "ben", "why": "inside"}]
        link = works.edges
        told = await link.trip("edge-1", TripCommand("hot", "reset", "p", "i"))
        assert (told.ok, told.clears) == (False, "let it cool")
        assert edge.kept["trip"] == {"trip": "hot", "do": "reset", "by": "p", "intent": "i"}
        assert [line.n for line in await link.journal("edge-1", 0)] == [4]
        assert list(await link.journal("edge-1", 4)) == []


async def test_a_core_that_starts_anew_asks_the_edge_and_a_lost_bus_refuses(
    works: Works, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isthmus.control.service.PATIENCE_S", 0.01)
    async with around(works, tmp_path) as (edge, _):
        edge.mood = "late"
        asking = asyncio.create_task(works.control.write(program(), TARGET, 120))
        async with asyncio.timeout(20):
            while not edge.wire:
                await asyncio.sleep(0.01)
        await works.control.close()  # core dies between sending and answer
        await asyncio.gather(asking, return_exceptions=True)
        edge.late.set()
        works.control = works.make()
        await works.control.open()
        await works.control.sweep()
        assert [(w.state, w.settled) for w in await works.control.writes()] == [(Stage.DONE, True)]
        assert len(edge.wire) == 1

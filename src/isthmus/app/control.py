"""The core side of control, put together: what it asks of the policy, the live table, the heartbeats, the bus and the alarms."""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Mapping

from sqlalchemy import Engine

from isthmus.acquisition.model import Heartbeats
from isthmus.bus.client import Bus
from isthmus.bus.reader import FrameReader
from isthmus.bus.tasks import together
from isthmus.bus.turns import Urgency
from isthmus.control.lines import Lines
from isthmus.control.link import EdgeLink
from isthmus.control.model import Answer, Asker, EdgeState
from isthmus.control.recipes import Recipes
from isthmus.control.service import Control, Surroundings
from isthmus.control.trip_list import TripList
from isthmus.control.watch import Scale, Watch
from isthmus.namespace.doing import Doing
from isthmus.namespace.live import FORMS, LiveTable
from isthmus.namespace.model import Lockout, Plant
from isthmus.namespace.service import Namespace
from isthmus.ports.alarms import AlarmReports
from isthmus.security.audit.service import Trail
from isthmus.security.model import Action, Principal, Proof
from isthmus.security.policy import Lockouts, Policies, Policy
from isthmus.security.service import Security
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.sample import ValueType

ACK_EVERY_S = 5.0
RETRY_S = 1.0


class PolicyView:
    """`control.model.Permissions` over the policy in force."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies

    def decide(self, asker: Asker, action: str, path: str = "", *, zone: str = "") -> Answer:
        if not isinstance(asker, Principal):
            raise TypeError(f"{type(asker).__name__} is nobody the policy knows")
        return self._now.decide(asker, Action(action), path, zone=zone)

    @property
    def _now(self) -> Policy:
        return self._policies.current()

    def at_least(self, role: str, least: str) -> bool:
        return self._now.at_least(role, least)

    def locked(self, path: str) -> Answer | None:
        return self._now.locked(path)

    def zone_at(self, path: str) -> str:
        return self._now.zone_at(path)

    def lockouts(self) -> Mapping[str, Lockout]:
        return self._now.lockouts


class ControlRoom:
    """Everything of control that runs in core."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        bus: Bus,
        namespace: Namespace,
        live: LiveTable,
        heartbeats: Heartbeats,
        security: Security,
        trail: Trail,
        lockouts: Lockouts,
        reports: AlarmReports,
        log: logging.Logger,
    ) -> None:
        self._clock, self._bus, self._namespace, self._live = clock, bus, namespace, live
        self._heartbeats, self._security, self._trail, self._log = heartbeats, security, trail, log
        self._changed = asyncio.Event()
        plant = namespace.current
        permissions = PolicyView(Policies(plant, lockouts, Doing(live).at))
        link = EdgeLink(bus, lambda: namespace.current().site)
        around = Surroundings(plant, live, permissions, self._edge, link, trail, reports, self._behind, self._pseudonym)
        self.control = Control(engine, clock, around, log)
        self.lines = Lines(engine, clock, link, plant, self._edge, log)
        self.watch = Watch(engine, clock, self.control.accepted, self.lines, reports, trail, log, self._held)
        self.trips = TripList(clock, plant, live, permissions, link, trail, reports, self._pseudonym, log)
        self.recipes = Recipes(engine, clock, self.control, plant, permissions, trail, self._behind, log)

    async def open(self) -> None:
        """Take up what an earlier core had begun."""
        await self.control.open()
        await self.lines.open()
        await self.recipes.open()
        await self.describe()

    async def close(self) -> None:
        """End what is under way; what was sent is asked for by the next core."""
        await self.recipes.close()
        await self.control.close()

    async def describe(self) -> None:
        """Guard the points of the plant as it is now."""
        plant = self._namespace.current()
        await self.watch.describe(plant, await asyncio.to_thread(self._scales, plant))
        self._changed.set()

    async def run(self) -> None:
        """Until cancelled."""
        await together(control=self.control.run(), lines=self.lines.run(), trips=self.trips.run(), watch=self._watch())

    async def _watch(self) -> None:
        """Hear live frames while there is a guarded point; else the bus keeps none for us."""
        while True:
            self._changed.clear()
            if not self.watch.busy:
                await self.watch.forget()
                await self._bus.drop_reader(self.watch.name)
                await self._changed.wait()
                continue
            await together(judge=self.watch.run(), take=self._take(), idle=self._idle())

    async def _idle(self) -> None:
        """Return when no point is guarded any more."""
        while self.watch.busy:
            self._changed.clear()
            await self._changed.wait()

    async def _take(self) -> None:
        created, newest = await self._bus.stream_place()
        begin = await self.watch.begin(zlib.crc32(created.encode()), newest)
        reader = FrameReader(self._bus, self.watch.name, self._log, begin, urgency=Urgency.JUDGES)
        await reader.open()
        incoming = reader.frames()
        acknowledged = self._clock.monotonic_ns()
        try:
            async for arrived in incoming:
                await self.watch.take(arrived)
                now_ns = self._clock.monotonic_ns()
                if now_ns - acknowledged >= ACK_EVERY_S * NS_PER_S:
                    acknowledged = now_ns
                    await reader.acknowledge(arrived[-1].stream_seq)
        finally:
            await incoming.aclose()  # type: ignore[attr-defined]  # an async generator

    # what it asks of its neighbours

    def _edge(self, name: str) -> EdgeState | None:
        health = self._heartbeats.edge(name, self._clock.monotonic_ns())
        if health is None:
            return None
        return EdgeState(
            health.fresh, health.age_s, health.offset_s, health.epoch, health.model_version, health.journal
        )

    def _behind(self, asker: Asker) -> tuple[str, ...]:
        """People who made a token of this name."""
        if asker.proof != Proof.TOKEN:
            return ()
        return tuple(sorted({t.created_by for t in self._security.tokens() if t.name == asker.name}))

    def _pseudonym(self, asker: Asker) -> str:
        return self._trail.person(asker.name)

    def _held(self, tag: int) -> tuple[float, int, int] | None:
        known = self._namespace.current().by_id.get(tag)
        rows = self._live.rows_of([known.path] if known is not None else [])
        if not len(rows) or rows[0] < 0:
            return None
        found = self._live.read(rows)
        if FORMS[int(found.form[0])] is ValueType.TEXT or not found.time_ns[0]:
            return None
        return float(found.value[0]), int(self._live.stored_status[rows[0]]), int(found.time_ns[0])

    def _scales(self, plant: Plant) -> dict[int, Scale]:
        """How guarded points come to their values, from the models of their edges. Blocking: models are large."""
        wanted = {tag for p in plant.points if p.guarded for tag in (p.tag, p.read_back or p.tag)}
        found: dict[int, Scale] = {}
        edges = {plant.by_id[tag].edge for tag in wanted if tag in plant.by_id}
        for edge in sorted(edges & set(plant.edges)):
            tags = self._namespace.edge_model(edge).tags
            columns = zip(tags.id, tags.factor, tags.offset, tags.deadband, strict=True)
            found |= {i: Scale(factor, offset, max(0.0, band)) for i, factor, offset, band in columns if i in wanted}
        return found

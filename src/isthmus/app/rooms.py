"""Everything of core but the record of samples: live values, alarms, control, production and the other rooms.

They are loaded and opened once the record goes on again. Each hears frames on a cursor of its own on the bus, so it misses none of
those that came meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from isthmus.acquisition.model import Heartbeats
from isthmus.acquisition.replay import Replay, ReplayReport
from isthmus.acquisition.store import OutageLog
from isthmus.alarms.service import Alarms
from isthmus.analytics.service import Rules
from isthmus.app.alarms import AlarmPump, EdgeWatch
from isthmus.app.ca import Authority, wanted_names
from isthmus.app.callout import call_out
from isthmus.app.control import ControlRoom
from isthmus.app.delivery import Deliveries
from isthmus.app.delivery_store import DeliveryStore
from isthmus.app.enrolment import Enrolment
from isthmus.app.ground import Ground
from isthmus.app.operations import Operations, Parts, Stream
from isthmus.app.production import ProductionPump, SampleRecord, heard_until
from isthmus.app.pumps import LivePump, RulePump
from isthmus.app.quality import QualityPump
from isthmus.app.renewal import Renewal, Shown
from isthmus.app.said import said
from isthmus.app.snapshot import Snapshots
from isthmus.bus import subjects
from isthmus.bus.broker import Flow, write_private
from isthmus.bus.field import let_say
from isthmus.namespace.changes import ChangeRequests
from isthmus.namespace.model import Plant, Tag
from isthmus.ports.connectors import ConnectorContext, connector_spec
from isthmus.production.calendar import Schedule
from isthmus.production.exceptions import CalendarRoom
from isthmus.production.kpi.service import KpiRoom
from isthmus.production.orders.room import OrderRoom
from isthmus.production.planner import CalendarPlanner
from isthmus.production.service import Production
from isthmus.production.shiftlog import ShiftLog
from isthmus.production.shiftreport import ShiftDesk
from isthmus.production.stops.service import StopRoom
from isthmus.quality.service import Quality
from isthmus.screens.service import Screens
from isthmus.security.oidc import SignOn
from isthmus.security.passkeys import Passkeys
from isthmus.security.policy import compile_policy
from isthmus.security.privacy import Privacy, TeamFigures
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError, IsthmusError, NotConnected, TryLater
from isthmus.values.expression import compile_expression
from isthmus.values.messages.acquisition import Heartbeat
from isthmus.values.messages.historian import GapFound, Restated
from isthmus.web.services import EdgeStatus, Services, SiteStatus

PROBE_S = 20.0
RECORDED_NS = 3 * NS_PER_S
"""What is younger may not be in the record yet, and is not compared with it."""
BROWSE_S = 50.0

Work = tuple[str, Callable[[], Awaitable[None]]]
"""A part that runs until it is cancelled, and its name."""


class Rooms:
    """Wires the rooms on an open ground. ``open``, then what ``works`` names, and ``close`` when those have ended."""

    def __init__(self, ground: Ground, stream_limit: int, shown: Shown | None) -> None:
        self._ground, self._stream_limit, self._shown = ground, stream_limit, shown
        data, settings, clock, log = ground.data, ground.settings, ground.clock, ground.log
        engine, bus, plant = ground.engine, ground.bus, ground.namespace.current
        self._heartbeats = Heartbeats()
        self._edge_states: dict[str, str] = {}
        self._words: dict[int, tuple[str, str]] = {}
        self._replaying = asyncio.Lock()
        self._rows = 0
        self._stream_bytes = 0
        self._stream_rate_s = 0.0
        self._outages = OutageLog(engine, self._word)
        self._live_pump = LivePump(bus, ground.live, [self._outages], data.live, log)
        self._changes = ChangeRequests(engine, ground.namespace, clock, log)
        self._screens = Screens(engine, plant, clock, log)
        self._calendar = CalendarRoom(engine, plant, clock)
        planner = CalendarPlanner(self._calendar.calendars)
        self._kpis = KpiRoom(engine, plant, clock, planner)
        self._sign_on = SignOn(
            engine,
            clock,
            ground.security,
            settings.oidc,
            ground.secrets.reveal,
            ground.origins,
            log,
            tell=self._told_by_provider,
        )
        self._alarms = Alarms(engine, clock, log)
        self._alarm_pump = AlarmPump(bus, self._alarms, plant, ground.live, log)
        self._edge_watch = EdgeWatch(self._alarms, self._heartbeats, lambda: plant().edges, clock, log)
        self._control = ControlRoom(
            engine, clock, bus, ground.namespace, ground.live, self._heartbeats, ground.security,
            ground.trail, ground.lockouts, self._alarms, log,
        )  # fmt: skip
        figures = TeamFigures(settings.privacy.smallest_group)
        self._privacy = Privacy(engine, ground.security, ground.trail, figures)
        self._deliveries = Deliveries(bus, DeliveryStore(engine), clock, connector_spec, self._connector_context, log)
        self._rules = Rules(engine, clock)
        self._rule_pump = RulePump(bus, self._rules, plant, log)
        self._quality = Quality(engine, clock)
        self._quality_pump = QualityPump(bus, self._quality, plant, log)
        self._callout = call_out(engine, clock, settings, ground.secrets, ground.security, plant, log)
        self._callout.attach(self._alarms, self._alarms)
        self._alarms.feed(self._callout)
        record = SampleRecord(ground.historian, lambda: ground.pump.committed_seq)
        self._production = Production(
            engine, clock, record, plant, planner, log, heard=heard_until(self._heartbeats, clock)
        )
        self._stops = StopRoom(engine, self._production, plant, clock, self._production.news, log)
        self._orders = OrderRoom(engine, clock, plant, ground.trail.person, self._production, log)
        self._orders.attach(holds=self._quality)
        self._quality.executions = self._orders.orders
        self._quality.requests = self._stops.requests
        self._production.helps = self._stops.requests.calls
        self._production_pump = ProductionPump(bus, self._production, record, log)
        ground.historian.noted = self._production_pump.noted
        self._snapshots = Snapshots(
            data, bus, ground.historian, ground.reserve, embedded=not settings.historian.url, log=log
        )
        self._operations = Operations(self._parts(), self._snapshots, log)
        self._authority = Authority(data.tls, clock)
        self._enrolment = Enrolment(data, settings, ground.port, clock)
        self._authority.server(wanted_names(settings))
        self._renewal = Renewal(self._authority, settings, data.bus, shown, log)

    def _told_by_provider(self, provider: str, what: str, name: str, before: str, after: str) -> None:
        """A role that came from outside is in the audit log like one that was given here."""
        who = {"proof": "system", "source": f"provider {provider}"}
        trail = self._ground.trail
        trail.note(who, what, f"users/{trail.person(name)}", before=before, after=after)

    def _parts(self) -> Parts:
        ground = self._ground
        return Parts(
            data=ground.data,
            clock=ground.clock,
            bus=ground.bus,
            historian=ground.historian,
            reserve=ground.reserve,
            reserve_bytes=ground.settings.disk.reserve_mb * 2**20,
            pump=ground.pump,
            live=self._live_pump,
            edges=lambda: [self._edge_status(edge) for edge in ground.namespace.current().edges],
            health=lambda: list(self._heartbeats.edges(ground.clock.monotonic_ns())),
            stream=lambda: Stream(self._stream_bytes, self._stream_limit, self._stream_rate_s),
            plant_version=lambda: ground.namespace.current().version,
        )

    # life

    async def open(self) -> None:
        """Take up what an earlier core had begun, and bring the edges their models."""
        ground = self._ground
        plant = ground.namespace.current()
        await self._describe(plant)
        stored = (await ground.historian.status()).rows  # to count them exactly would read the whole record
        self._rows = stored - ground.pump.committed_rows
        self._offer_first_login()
        await self._quality.begin(plant)
        await self._control.open()
        await self._orders.open()
        await asyncio.to_thread(self._screens.load, ground.data.screens)
        await asyncio.to_thread(self._calendar.open)
        await ground.bus.listen(subjects.HEARTBEAT_FILTER, self._on_heartbeat)
        await ground.bus.listen(subjects.ENROL_FILTER, self._on_enrol)
        await self._send_models(plant)

    @property
    def works(self) -> list[Work]:
        """What runs from now on."""
        return [
            ("live", self._live_pump.run),
            ("alarms", self._alarm_pump.run),
            ("alarms of edges", self._edge_watch.run),
            ("rules", self._rule_pump.run),
            ("production", self._production_pump.run),
            ("quality", self._quality_pump.run),
            ("control", self._control.run),
            ("connectors", self._deliveries.run),
            ("edges", self._watch_edges),
            ("models", self._resend_models),
            ("disk", self._watch_disk),
            ("callout", self._callout.run),
            ("orders", self._orders.run),
            ("operations", self._operations.run),
            ("privacy", self._tidy_names),
            ("certificates", self._renewal.run),
        ]

    async def close(self) -> None:
        """Keep what the next core goes on from."""
        await self._control.close()
        for keep in (self._live_pump.save, self._alarms.flush, self._quality.flush):
            with contextlib.suppress(Exception):
                await keep()

    # what the rooms need from the plant

    async def _describe(self, plant: Plant) -> None:
        """Of the plant what the ground does not need: it has been told already."""
        self._words = {
            tag.id: (tag.asset.removeprefix("connections/"), tag.name)
            for tag in plant.tags
            if tag.kind == "system" and tag.connection and tag.name in ("state", "reason")
        }
        self._deliveries.apply(plant)
        flows = {edge: Flow(*passes) for edge, passes in compile_policy(plant).edge_flows().items()}
        await asyncio.to_thread(self._enrolment.let, flows)
        await asyncio.to_thread(lambda: let_say(self._ground.data.bus, said(plant)))

    def _word(self, tag: int) -> tuple[str, str] | None:
        return self._words.get(tag)

    def _connector_context(self, connector: str, name: str) -> ConnectorContext:
        home = self._ground.data.root / "connectors" / connector
        return ConnectorContext(self._ground.clock, f"isthmus-{name}", home, self._ground.secrets.reveal)

    async def _on_applied(self, version: int) -> None:
        ground = self._ground
        plant = ground.namespace.current()
        ground.log.info("plant version %d applied: %d tags", version, len(plant.tags))
        await ground.describe(plant)
        await self._describe(plant)
        self._rule_pump.plant_changed()
        await self._quality.plant_changed(plant)
        await self._alarm_pump.plant_changed()
        await self._production_pump.plant_changed()
        await self._control.describe()
        with contextlib.suppress(IsthmusError):
            await self._send_models(plant)

    async def _send_models(self, plant: Plant) -> None:
        """Bring every edge its model; one that is there already is left alone. Compiled off the loop: it is large."""
        for edge in plant.edges:
            data = await asyncio.to_thread(self._model_bytes, edge)
            await self._ground.bus.put_model(edge, data)

    def _model_bytes(self, edge: str) -> bytes:
        return self._ground.namespace.edge_model(edge).to_bytes()

    async def _resend_models(self) -> None:
        """After each time the bus came back: what was applied meanwhile, or lost with the bus's files, is brought again."""
        with self._ground.bus.reconnects() as returned:
            while True:
                await returned.wait()
                returned.clear()
                await self._send_models(self._ground.namespace.current())

    async def _tidy_names(self) -> None:
        """Once a day: names are untied from pseudonyms that the audit log has nothing of any more."""
        while True:
            await asyncio.to_thread(self._ground.trail.tidy)
            await asyncio.sleep(86_400)

    # edges

    async def _on_heartbeat(self, _: str, data: bytes) -> None:
        beat = Heartbeat(**orjson.loads(data))
        self._heartbeats.heard(beat, self._ground.clock.now_ns(), self._ground.clock.monotonic_ns())
        self._edge_states[beat.edge] = beat.state

    async def _on_enrol(self, subject: str, request: bytes) -> bytes:
        """The next certificate of an edge on another machine; the broker lets each ask for itself only."""
        edge = subjects.parse_enrol(subject)
        try:
            return await asyncio.to_thread(self._enrolment.renew, edge, request)
        except IsthmusError as error:
            return str(error).encode()

    async def _watch_edges(self) -> None:
        while True:
            now = self._ground.clock.monotonic_ns()
            for edge in self._ground.namespace.current().edges:
                health = self._heartbeats.edge(edge, now)
                self._ground.live.edge_stale(edge, health is None or not health.fresh)
            await asyncio.sleep(0.5)

    async def _test_connection(
        self, edge: str, driver: str, config: dict[str, Any], addresses: list[str]
    ) -> dict[str, Any]:
        question = {"driver": driver, "config": config, "addresses": addresses}
        subject = subjects.ask(edge, "probe")
        try:
            answer = await self._ground.bus.request(subject, orjson.dumps(question), timeout_s=PROBE_S)
        except NotConnected:
            raise TryLater(
                f"edge {edge} does not run or does not reach the bus, so nobody can try the connection"
            ) from None
        found: dict[str, Any] = orjson.loads(answer.data)
        if "error" in found:
            raise ConfigError(found["error"])
        return found

    async def _replay(self, tag: Tag, start_ns: int, end_ns: int) -> ReplayReport:
        """A calculated tag again; one at a time, for it may take a core."""
        if self._replaying.locked():
            raise TryLater("another replay runs", after_s=5.0)
        namespace = self._ground.namespace
        async with self._replaying:
            model = await asyncio.to_thread(namespace.edge_model, tag.edge)
            plant = namespace.current()
            end_ns = max(min(end_ns, self._ground.clock.now_ns() - RECORDED_NS), start_ns + 1)
            task = Replay(model, tag, plant.by_id, start_ns, end_ns, self._ground.historian, compile_expression)
            for version in await asyncio.to_thread(namespace.versions):
                if start_ns < version.applied_ns < end_ns:
                    task.notes.append(
                        f"plant version {version.version} was applied within this time; computed by version {plant.version}"
                    )
            return await task.run()

    async def _browse(
        self, edge: str, connection: str, driver: str, config: dict[str, Any], root: str
    ) -> dict[str, Any]:
        question = {"connection": connection, "driver": driver, "config": config, "root": root}
        subject = subjects.ask(edge, "browse")
        try:
            answer = await self._ground.bus.request(subject, orjson.dumps(question), timeout_s=BROWSE_S)
        except NotConnected:
            raise TryLater(f"edge {edge} does not run or does not reach the bus, so nobody can browse") from None
        found: dict[str, Any] = orjson.loads(zlib.decompress(answer.data))
        if "error" in found:
            raise ConfigError(found["error"])
        return found

    # the record

    def found(self, event: Restated | GapFound) -> None:
        """Whoever derives something hears that its ground changed, or that something is missing."""
        self._production_pump.found(event)

    async def _watch_disk(self) -> None:
        """How fast the bus fills, for the hours of buffer that are left; and what nobody needs any more goes."""
        before, at = 0, time.monotonic()
        while True:
            with contextlib.suppress(Exception):
                first, last, self._stream_bytes = await self._ground.bus.stream_state()
                if before and last > before and last > first:
                    per_frame = self._stream_bytes / (last - first + 1)
                    self._stream_rate_s = per_frame * (last - before) / (time.monotonic() - at)
                before, at = last, time.monotonic()
                await self._ground.bus.trim()
            await asyncio.sleep(10)

    # what web shows

    def services(self) -> Services:
        """Everything that requests may reach."""
        ground = self._ground
        return Services(
            namespace=ground.namespace,
            live=ground.live,
            history=ground.historian,
            security=ground.security,
            audit=ground.trail,
            clock=ground.clock,
            hosts=ground.hosts,
            lockouts=ground.lockouts,
            imports=ground.historian,
            changes=self._changes,
            screens=self._screens,
            calendar=self._calendar,
            kpis=self._kpis,
            shift_log=ShiftLog(ground.engine, ground.clock),
            shift_desk=ShiftDesk(self._production, self._schedule, ground.namespace.current, ground.clock),
            sign_on=self._sign_on,
            passkeys=Passkeys(ground.engine, ground.clock, ground.security, ground.origins, ground.log),
            outages=self._outages.outages,
            site_status=self._site_status,
            test_connection=self._test_connection,
            connectors=self._deliveries,
            browse=self._browse,
            on_applied=self._on_applied,
            operations=self._operations,
            privacy=self._privacy,
            replay=self._replay,
            rule_events=self._rules.events,
            rule_counts=self._rules.counts,
            alarms=self._alarms,
            control=self._control,
            enrolment=self._enrolment,
            callout=self._callout,
            production=self._production,
            stops=self._stops,
            orders=self._orders,
            quality=self._quality,
            root=self._authority.root_file,
        )

    def _schedule(self, path: str) -> Schedule:
        return self._calendar.calendars().of(path)

    def _site_status(self) -> SiteStatus:
        ground = self._ground
        hours = self._stream_limit / self._stream_rate_s / 3600 if self._stream_rate_s else None
        return {
            "edges": [self._edge_status(edge) for edge in ground.namespace.current().edges],
            "historian": {
                "lag_s": round(ground.pump.lag_s(), 3),
                "rows": self._rows + ground.pump.committed_rows,
                "state": ground.reserve.reason() or ground.pump.state or "recording",
                "disk_hours": None if hours is None else round(hours, 1),
            },
        }

    def _edge_status(self, edge: str) -> EdgeStatus:
        health = self._heartbeats.edge(edge, self._ground.clock.monotonic_ns())
        if health is None:
            return {"name": edge, "state": "never heard", "age_s": None, "queued": 0, "dropped": 0}
        state = (self._edge_states.get(edge) or "running") if health.fresh else "silent"
        return {
            "name": edge,
            "state": state,
            "age_s": round(health.age_s, 3),
            "queued": health.queued,
            "dropped": health.dropped,
        }

    def _offer_first_login(self) -> None:
        file = self._ground.data.run / "first-login"
        link = self._ground.security.first_link(file.read_text().strip() if file.exists() else "")
        if link is None:
            file.unlink(missing_ok=True)
        else:
            write_private(file, link)

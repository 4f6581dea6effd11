"""The core process: model, live values, historian, rooms, API and screens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

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
from isthmus.app.datadir import DataDir
from isthmus.app.delivery import Deliveries
from isthmus.app.delivery_store import DeliveryStore
from isthmus.app.disk import DiskReserve
from isthmus.app.enrolment import Enrolment
from isthmus.app.exposure import refuse
from isthmus.app.logs import log_to_files
from isthmus.app.migrate import migrate
from isthmus.app.operations import Operations, Parts, Stream
from isthmus.app.production import ProductionPump, SampleRecord, heard_until
from isthmus.app.pumps import HistorianPump, LivePump, RulePump
from isthmus.app.quality import QualityPump
from isthmus.app.records import open_records
from isthmus.app.renewal import Renewal, Shown
from isthmus.app.said import said
from isthmus.app.sealing import Sealer
from isthmus.app.secrets import Secrets
from isthmus.app.settings import Settings
from isthmus.app.snapshot import Snapshots
from isthmus.bus import subjects
from isthmus.bus.broker import BusAddress, Flow, write_private
from isthmus.bus.client import Bus
from isthmus.bus.field import let_say
from isthmus.bus.tasks import end
from isthmus.historian.service import Historian
from isthmus.historian.store import StoreConfig
from isthmus.namespace.changes import ChangeRequests
from isthmus.namespace.live import LiveTable
from isthmus.namespace.model import Plant, Tag
from isthmus.namespace.service import Namespace
from isthmus.ports.connectors import ConnectorContext, connector_spec
from isthmus.ports.drivers import driver_spec
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
from isthmus.security.audit.log import LogConfig
from isthmus.security.audit.service import Trail
from isthmus.security.oidc import SignOn
from isthmus.security.origins import Origins
from isthmus.security.passkeys import Passkeys
from isthmus.security.policy import Lockouts, compile_policy
from isthmus.security.privacy import Privacy, TeamFigures
from isthmus.security.service import Security
from isthmus.values.clock import NS_PER_S, SystemClock
from isthmus.values.errors import ConfigError, IsthmusError, NotConnected, TryLater
from isthmus.values.expression import compile_expression
from isthmus.values.messages.acquisition import Heartbeat
from isthmus.values.messages.historian import GapFound, Restated

if TYPE_CHECKING:
    from isthmus.web.services import EdgeStatus, SiteStatus

PROBE_S = 20.0
RECORDED_NS = 3 * NS_PER_S
"""What is younger may not be in the record yet, and is not compared with it."""
BROWSE_S = 50.0


class Core:
    """Wires one core; ``run`` returns when ``stop`` is set and everything taken is stored or still on the bus."""

    def __init__(self, data: DataDir, settings: Settings, port: int, log: logging.Logger) -> None:
        self._data, self._settings, self._port, self._log = data, settings, port, log
        self._clock = SystemClock()
        self._reserve = DiskReserve(data.root, settings.disk.reserve_mb * 2**20)
        self._engine = open_records(data.records)
        migrate(self._engine, data.records, log)
        self._namespace = Namespace(self._engine, self._clock, driver_spec)
        self._changes = ChangeRequests(self._engine, self._namespace, self._clock, log)
        self._screens = Screens(self._engine, self._namespace.current, self._clock, log)
        self._calendar = CalendarRoom(self._engine, self._namespace.current, self._clock)
        planner = CalendarPlanner(self._calendar.calendars)
        self._kpis = KpiRoom(self._engine, self._namespace.current, self._clock, planner)
        self._security = Security(
            self._engine,
            self._clock,
            settings.sign_in.lifetimes(),
            sealer=Sealer.of(data.root, settings.secrets.key_file),
            context=lambda: (self._namespace.current().enterprise, self._namespace.current().site),
        )
        self._live = LiveTable()
        self._words: dict[int, tuple[str, str]] = {}
        self._outages = OutageLog(self._engine, self._word)
        self._heartbeats = Heartbeats()
        self._replaying = asyncio.Lock()
        self._events: set[asyncio.Task[None]] = set()
        self._bus = Bus(BusAddress.load(data.bus.address_file("core")), log)
        self._historian = Historian(store_config(data, settings), self._clock, self._on_found, log)
        self._rows = 0
        self._pump = HistorianPump(self._bus, self._historian, self._reserve.reason, log)
        self._secrets = Secrets.of(data.root, settings.secrets.key_file)
        self._origins = Origins(origins(settings, port))
        self._sign_on = SignOn(
            self._engine,
            self._clock,
            self._security,
            settings.oidc,
            self._secrets.reveal,
            self._origins,
            log,
            tell=self._told_by_provider,
        )
        self._trail = Trail(
            data.audit,
            self._engine,
            self._clock,
            LogConfig(segment_bytes=settings.audit.segment_mb * 2**20, keep_s=settings.audit.keep_days * 86_400.0),
            settings.audit.targets(self._secrets.reveal),
            log,
        )
        self._lockouts = Lockouts(data.root / "lockouts.json")
        self._alarms = Alarms(self._engine, self._clock, log)
        self._alarm_pump = AlarmPump(self._bus, self._alarms, self._namespace.current, self._live, log)
        self._edge_watch = EdgeWatch(
            self._alarms, self._heartbeats, lambda: self._namespace.current().edges, self._clock, log
        )
        self._control = ControlRoom(
            self._engine, self._clock, self._bus, self._namespace, self._live, self._heartbeats, self._security,
            self._trail, self._lockouts, self._alarms, log,
        )  # fmt: skip
        figures = TeamFigures(settings.privacy.smallest_group)
        self._privacy = Privacy(self._engine, self._security, self._trail, figures)
        self._deliveries = Deliveries(
            self._bus, DeliveryStore(self._engine), self._clock, connector_spec, self._connector_context, log
        )
        self._live_pump = LivePump(self._bus, self._live, [self._outages], data.live, log)
        self._rules = Rules(self._engine, self._clock)
        self._rule_pump = RulePump(self._bus, self._rules, self._namespace.current, log)
        self._quality = Quality(self._engine, self._clock)
        self._quality_pump = QualityPump(self._bus, self._quality, self._namespace.current, log)
        self._callout = call_out(
            self._engine, self._clock, settings, self._secrets, self._security, self._namespace.current, log
        )
        self._callout.attach(self._alarms, self._alarms)
        self._alarms.feed(self._callout)
        record = SampleRecord(self._historian, lambda: self._pump.committed_seq)
        self._production = Production(
            self._engine, self._clock, record, self._namespace.current, planner, log,
            heard=heard_until(self._heartbeats, self._clock),
        )  # fmt: skip
        self._stops = StopRoom(
            self._engine, self._production, self._namespace.current, self._clock, self._production.news, log
        )
        self._orders = OrderRoom(
            self._engine, self._clock, self._namespace.current, self._trail.person, self._production, log
        )
        self._orders.attach(holds=self._quality)
        self._quality.executions = self._orders.orders
        self._quality.requests = self._stops.requests
        self._production.helps = self._stops.requests.calls
        self._production_pump = ProductionPump(self._bus, self._production, record, log)
        self._edge_states: dict[str, str] = {}
        self._stream_bytes = 0
        self._stream_limit = 0
        self._stream_rate_s = 0.0
        self._snapshots = Snapshots(
            data, self._bus, self._historian, self._reserve, embedded=not settings.historian.url, log=log
        )
        self._operations = Operations(self._parts(), self._snapshots, log)
        self._authority = Authority(data.tls, self._clock)
        self._enrolment = Enrolment(data, settings, port, self._clock)
        self._authority.server(wanted_names(settings))
        self._shown = Shown(self._authority.shown_file) if settings.web.tls else None
        self._renewal = Renewal(self._authority, settings, data.bus, self._shown, log)

    def _told_by_provider(self, provider: str, what: str, name: str, before: str, after: str) -> None:
        """A role that came from outside is in the audit log like one that was given here."""
        who = {"proof": "system", "source": f"provider {provider}"}
        self._trail.note(who, what, f"users/{self._trail.person(name)}", before=before, after=after)

    def _parts(self) -> Parts:
        return Parts(
            data=self._data,
            clock=self._clock,
            bus=self._bus,
            historian=self._historian,
            reserve=self._reserve,
            reserve_bytes=self._settings.disk.reserve_mb * 2**20,
            pump=self._pump,
            live=self._live_pump,
            edges=lambda: [self._edge_status(edge) for edge in self._namespace.current().edges],
            health=lambda: list(self._heartbeats.edges(self._clock.monotonic_ns())),
            stream=lambda: Stream(self._stream_bytes, self._stream_limit, self._stream_rate_s),
            plant_version=lambda: self._namespace.current().version,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Until stopped."""
        self._trail.open()
        try:
            await self._run(stop)
        finally:
            await asyncio.to_thread(self._trail.close)
            self._engine.dispose()

    async def _run(self, stop: asyncio.Event) -> None:
        await self._open()
        plant = self._namespace.current()
        await self._describe(plant)
        self._rows = (await self._historian.status()).rows  # to count them exactly would read the whole record
        self._offer_first_login()
        await self._quality.begin(plant)
        await self._control.open()
        await self._orders.open()
        await asyncio.to_thread(self._screens.load, self._data.screens)
        await asyncio.to_thread(self._calendar.open)
        await self._bus.listen(subjects.HEARTBEAT_FILTER, self._on_heartbeat)
        await self._bus.listen(subjects.ENROL_FILTER, self._on_enrol)
        await self._send_models(plant)
        works: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("historian", self._pump.run),
            ("live", self._live_pump.run),
            ("alarms", self._alarm_pump.run),
            ("alarms of edges", self._edge_watch.run),
            ("rules", self._rule_pump.run),
            ("production", self._production_pump.run),
            ("quality", self._quality_pump.run),
            ("control", self._control.run),
            ("rollups", self._historian.run),
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
        tasks = [asyncio.ensure_future(self._serve(stop))]
        tasks += [asyncio.create_task(self._keep(name, work), name=name) for name, work in works]
        try:
            stopping = asyncio.create_task(stop.wait(), name="stop")
            done, _ = await asyncio.wait({tasks[0], stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if tasks[0] in done:
                tasks[0].result()
        finally:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(tasks[0]), 1.0)
            await end(tasks)
            await self._control.close()
            with contextlib.suppress(Exception):
                await self._live_pump.save()
            with contextlib.suppress(Exception):
                await self._alarms.flush()
            with contextlib.suppress(Exception):
                await self._quality.flush()
            await self._historian.close()
            await self._bus.close()

    async def _open(self) -> None:
        """Record, live values and bus at the same time: opening the record is work outside of Python for the most part."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._open_history(), name="open")
                group.create_task(asyncio.to_thread(load_web), name="load")
                await asyncio.to_thread(self._restore_live)
                await self._bus.connect()
                self._stream_limit = await self._bus.ensure_stream(self._data.root)
        except BaseException:
            await self._historian.close()
            raise

    async def _open_history(self) -> None:
        await asyncio.to_thread(self._snapshots.clear)
        await self._historian.open()

    async def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """A part that fails is begun again; one line when it breaks, one when it lasts."""
        failures = 0
        while True:
            began = time.monotonic()
            try:
                await work()
            except Exception as error:
                failures = 1 if time.monotonic() - began > 10 else failures + 1
                if failures == 1:
                    self._log.warning(
                        "%s broke: %s",
                        name,
                        error or type(error).__name__,
                        exc_info=not isinstance(error, IsthmusError),
                    )
                await asyncio.sleep(min(5.0, 0.2 * failures))

    # what the rest of core needs from the plant

    async def _describe(self, plant: Plant) -> None:
        self._live.describe(plant)
        self._words = {
            tag.id: (tag.asset.removeprefix("connections/"), tag.name)
            for tag in plant.tags
            if tag.kind == "system" and tag.connection and tag.name in ("state", "reason")
        }
        await self._historian.describe(plant.tags, plant.retention)
        self._deliveries.apply(plant)
        flows = {edge: Flow(*passes) for edge, passes in compile_policy(plant).edge_flows().items()}
        await asyncio.to_thread(self._enrolment.let, flows)
        await asyncio.to_thread(lambda: let_say(self._data.bus, said(plant)))

    def _connector_context(self, connector: str, name: str) -> ConnectorContext:
        home = self._data.root / "connectors" / connector
        return ConnectorContext(self._clock, f"isthmus-{name}", home, self._secrets.reveal)

    def _word(self, tag: int) -> tuple[str, str] | None:
        return self._words.get(tag)

    async def _on_applied(self, version: int) -> None:
        plant = self._namespace.current()
        self._log.info("plant version %d applied: %d tags", version, len(plant.tags))
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
            await self._bus.put_model(edge, data)

    def _model_bytes(self, edge: str) -> bytes:
        return self._namespace.edge_model(edge).to_bytes()

    async def _resend_models(self) -> None:
        """After each time the bus came back: what was applied meanwhile, or lost with the bus's files, is brought again."""
        with self._bus.reconnects() as returned:
            while True:
                await returned.wait()
                returned.clear()
                await self._send_models(self._namespace.current())

    def _restore_live(self) -> None:
        self._live.describe(self._namespace.current())
        if self._live.load(self._data.live) is None:
            self._log.info("no snapshot of live values: they fill as samples arrive")

    async def _tidy_names(self) -> None:
        """Once a day: names are untied from pseudonyms that the audit log has nothing of any more."""
        while True:
            await asyncio.to_thread(self._trail.tidy)
            await asyncio.sleep(86_400)

    # edges

    async def _on_heartbeat(self, _: str, data: bytes) -> None:
        beat = Heartbeat(**orjson.loads(data))
        self._heartbeats.heard(beat, self._clock.now_ns(), self._clock.monotonic_ns())
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
            now = self._clock.monotonic_ns()
            for edge in self._namespace.current().edges:
                health = self._heartbeats.edge(edge, now)
                self._live.edge_stale(edge, health is None or not health.fresh)
            await asyncio.sleep(0.5)

    async def _test_connection(
        self, edge: str, driver: str, config: dict[str, Any], addresses: list[str]
    ) -> dict[str, Any]:
        question = {"driver": driver, "config": config, "addresses": addresses}
        try:
            answer = await self._bus.request(subjects.ask(edge, "probe"), orjson.dumps(question), timeout_s=PROBE_S)
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
        async with self._replaying:
            model = await asyncio.to_thread(self._namespace.edge_model, tag.edge)
            plant = self._namespace.current()
            end_ns = max(min(end_ns, self._clock.now_ns() - RECORDED_NS), start_ns + 1)
            task = Replay(model, tag, plant.by_id, start_ns, end_ns, self._historian, compile_expression)
            for version in await asyncio.to_thread(self._namespace.versions):
                if start_ns < version.applied_ns < end_ns:
                    task.notes.append(
                        f"plant version {version.version} was applied within this time; computed by version {plant.version}"
                    )
            return await task.run()

    async def _browse(
        self, edge: str, connection: str, driver: str, config: dict[str, Any], root: str
    ) -> dict[str, Any]:
        question = {"connection": connection, "driver": driver, "config": config, "root": root}
        try:
            answer = await self._bus.request(subjects.ask(edge, "browse"), orjson.dumps(question), timeout_s=BROWSE_S)
        except NotConnected:
            raise TryLater(f"edge {edge} does not run or does not reach the bus, so nobody can browse") from None
        found: dict[str, Any] = orjson.loads(zlib.decompress(answer.data))
        if "error" in found:
            raise ConfigError(found["error"])
        return found

    # historian

    def _on_found(self, event: Restated | GapFound) -> None:
        """Tell whoever derives something that its ground changed, or that something is missing."""
        if isinstance(event, GapFound):
            self._log.warning("gap in the record of %s: %s", event.edge, event.reason)
        self._production_pump.found(event)
        kind = "restated" if isinstance(event, Restated) else "gap"
        task = asyncio.create_task(self._bus.publish_json(f"evt.v1.historian.{kind}", asdict(event)))
        self._events.add(task)
        task.add_done_callback(self._events.discard)

    async def _watch_disk(self) -> None:
        """How fast the bus fills, for the hours of buffer that are left; and what nobody needs any more goes."""
        before, at = 0, time.monotonic()
        while True:
            with contextlib.suppress(Exception):
                first, last, self._stream_bytes = await self._bus.stream_state()
                if before and last > before and last > first:
                    per_frame = self._stream_bytes / (last - first + 1)
                    self._stream_rate_s = per_frame * (last - before) / (time.monotonic() - at)
                before, at = last, time.monotonic()
                await self._bus.trim()
            await asyncio.sleep(10)

    # what web shows

    def _schedule(self, path: str) -> Schedule:
        return self._calendar.calendars().of(path)

    def _site_status(self) -> SiteStatus:
        hours = self._stream_limit / self._stream_rate_s / 3600 if self._stream_rate_s else None
        return {
            "edges": [self._edge_status(edge) for edge in self._namespace.current().edges],
            "historian": {
                "lag_s": round(self._pump.lag_s(), 3),
                "rows": self._rows + self._pump.committed_rows,
                "state": self._reserve.reason() or self._pump.state or "recording",
                "disk_hours": None if hours is None else round(hours, 1),
            },
        }

    def _edge_status(self, edge: str) -> EdgeStatus:
        health = self._heartbeats.edge(edge, self._clock.monotonic_ns())
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
        file = self._data.run / "first-login"
        link = self._security.first_link(file.read_text().strip() if file.exists() else "")
        if link is None:
            file.unlink(missing_ok=True)
        else:
            write_private(file, link)

    async def _serve(self, stop: asyncio.Event) -> None:
        """The API and the screens, on the network and on the local socket."""
        from isthmus.web.api import create_app
        from isthmus.web.doors import LocalDoor
        from isthmus.web.server import running
        from isthmus.web.services import Services

        app = create_app(
            Services(
                namespace=self._namespace,
                live=self._live,
                history=self._historian,
                imports=self._historian,
                changes=self._changes,
                screens=self._screens,
                calendar=self._calendar,
                kpis=self._kpis,
                shift_log=ShiftLog(self._engine, self._clock),
                shift_desk=ShiftDesk(self._production, self._schedule, self._namespace.current, self._clock),
                security=self._security,
                sign_on=self._sign_on,
                passkeys=Passkeys(self._engine, self._clock, self._security, self._origins, self._log),
                hosts=known_hosts(self._settings, self._origins.allowed),
                clock=self._clock,
                outages=self._outages.outages,
                site_status=self._site_status,
                test_connection=self._test_connection,
                connectors=self._deliveries,
                browse=self._browse,
                on_applied=self._on_applied,
                operations=self._operations,
                audit=self._trail,
                privacy=self._privacy,
                replay=self._replay,
                rule_events=self._rules.events,
                rule_counts=self._rules.counts,
                alarms=self._alarms,
                lockouts=self._lockouts,
                control=self._control,
                enrolment=self._enrolment,
                callout=self._callout,
                production=self._production,
                stops=self._stops,
                orders=self._orders,
                quality=self._quality,
                root=self._authority.root_file,
            )
        )
        web = self._settings.web
        tls = self._shown.context if self._shown is not None else None
        async with (
            running(app, web.host, self._port, trusted_proxy=web.trusted_proxy, tls=tls),
            running(LocalDoor(app), local=self._data.socket),
        ):
            await stop.wait()


def load_web() -> None:
    """What serves is loaded while the record opens, which is work outside of Python: half a second of a start from nothing."""
    import isthmus.web.api
    import isthmus.web.server  # noqa: F401  loading it is all that is wanted


def origins(settings: Settings, port: int) -> tuple[str, ...]:
    """Addresses under which browsers reach this core; the first is where a provider of sign-on sends back to."""
    scheme = "https" if settings.web.tls else "http"
    known = [*settings.web.origins, f"{scheme}://localhost:{port}"]
    known += [f"https://{host}:{port}" for host in settings.web.hosts if settings.web.tls and ":" not in host]
    return tuple(dict.fromkeys(known))


def known_hosts(settings: Settings, allowed: Sequence[str]) -> tuple[str, ...]:
    """Names under which browsers may reach this core: those of origins, of ``web.hosts``, and of links in messages."""
    links = (*allowed, settings.callout.link)
    return (*(host for link in links if (host := urlsplit(link).hostname)), *settings.web.hosts)


def store_config(data: DataDir, settings: Settings) -> StoreConfig:
    """Where the record is: embedded in the data directory, or a ClickHouse server.

    Raises: ConfigError if the URL is none
    """
    if not settings.historian.url:
        return StoreConfig(path=data.history, reserve=settings.disk.reserve_mb * 2**20 // 2)
    url = urlsplit(settings.historian.url)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ConfigError(f"historian.url: must be http://user@host:port, was {settings.historian.url!r}")
    return StoreConfig(
        host=url.hostname,
        port=url.port or (8443 if url.scheme == "https" else 8123),
        username=url.username or "",
        password=url.password or "",
        secure=url.scheme == "https",
    )


async def run_core(data: DataDir, settings: Settings, port: int, stop: asyncio.Event, log: logging.Logger) -> None:
    """The core process's main."""
    refuse(settings)
    data.prepare()
    log_to_files(data.logs, "core", settings.log)
    lock = data.lock("core")
    try:
        await Core(data, settings, port, log).run(stop)
    finally:
        lock.release()

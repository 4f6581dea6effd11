"""What runs inside an edge: a model in, samples out.

`Acquisition.apply` brings the edge from whatever it runs to a model; connections the model leaves alone are not
disturbed. Nothing outside the model ever causes field traffic: there is no read path a viewer, a query or a failing
consumer could trigger, and the outbox never makes a poll wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from isthmus.acquisition.diagnostics import SystemTags
from isthmus.acquisition.formulas import CompileFormula, Formulas, no_formulas
from isthmus.acquisition.held import Hear, Held
from isthmus.acquisition.model import ConnectionStatus, Link
from isthmus.acquisition.probe import PROBE, ProbeReport, run_browse, run_probe
from isthmus.acquisition.scale import raw_of
from isthmus.acquisition.schedule import ConnectionPlan, plan_connections
from isthmus.acquisition.scripts import Done, ScriptPool, Scripts
from isthmus.acquisition.supervisor import Supervisor, WriteOne
from isthmus.ports.drivers import ContextOf, Driver, DriverSpec, Found
from isthmus.ports.field import HeldValue
from isthmus.ports.outbox import Outbox
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError, Denied, NotConnected, TryLater
from isthmus.values.frame import Lane
from isthmus.values.messages.control import Written
from isthmus.values.model import Budget, EdgeModel
from isthmus.values.sample import SampleBatch, ValueType, join_by_type
from isthmus.values.status import BAD_OUT_OF_SERVICE

TICK_S = 1.0
TOLD_S = 2.0
"""How long a device that only speaks by itself has to tell what was written to it, at each look."""


async def no_writes(driver: Driver, address: str, value: Written) -> None:
    """An edge without a way back."""
    raise ConfigError(f"this edge writes nothing, was {address!r}")


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a tag that may be written lies, and what the device's own number is."""

    connection: str
    row: int
    type: ValueType
    raw: ValueType
    factor: float
    offset: float
    access: str


@dataclass(slots=True)
class _Running:
    """What belongs to one model."""

    version: int
    supervisors: dict[str, Supervisor]
    formulas: Formulas
    scripts: Scripts
    system: SystemTags
    held: Held
    places: dict[int, tuple[str, int]]  # of each tag that is read: connection and row
    targets: dict[int, _Target]  # of each tag that may be written


class Acquisition:
    """The edge's room. One per process, on one event loop.

    Cost: about 0.2 ms a poll and 50 ns a value, drivers apart
    """

    def __init__(
        self,
        outbox: Outbox,
        clock: Clock,
        driver_of: Callable[[str], DriverSpec],
        context_of: ContextOf,
        log: logging.Logger | logging.LoggerAdapter[Any],
        random: Random,
        compile_formula: CompileFormula = no_formulas,
        write_one: WriteOne = no_writes,
    ) -> None:
        self._outbox, self._clock, self._driver_of = outbox, clock, driver_of
        self._context_of = context_of
        self._log, self._random, self._compile = log, random, compile_formula
        self._write_one = write_one
        nothing = EdgeModel(0, "", "", "")
        self._pool = ScriptPool(clock, self._answered, log)
        self._ticking: asyncio.Task[None] | None = None
        self._running = _Running(
            0,
            {},
            Formulas(nothing, compile_formula, log),
            Scripts(nothing, self._pool, clock, log),
            SystemTags(()),
            Held(nothing, clock, log),
            {},
            {},
        )
        self._applying = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._probing = False

    @property
    def version(self) -> int:
        """The plant version of the model that runs; 0 before the first."""
        return self._running.version

    async def apply(self, model: EdgeModel) -> None:
        """Run this model from now on. Checked whole before anything is touched.

        Connections whose traffic stays the same go on without a pause; others are closed, then opened anew. Tags that
        are no longer part of the model get one last sample, BadOutOfService.
        Raises: ConfigError if the model contradicts itself; then the old one runs on
        """
        async with self._applying:
            plans = plan_connections(model)
            formulas = Formulas(model, self._compile, self._log)
            scripts = Scripts(model, self._pool, self._clock, self._log)
            system = SystemTags(model.connections)
            held = Held(model, self._clock, self._log)
            places, targets = self._places(model, plans)
            before = self._running
            keep = set(model.tags.id)
            ending = [
                s for name, s in before.supervisors.items() if name not in plans or not s.plan.same_traffic(plans[name])
            ]
            why = {True: "its declaration changed", False: "no longer part of the plant"}
            await asyncio.gather(*(s.stop(why[s.name in plans]) for s in ending))
            for supervisor in before.supervisors.values():
                supervisor.retire(keep, BAD_OUT_OF_SERVICE)
            self._offer(before.formulas.retired(keep, BAD_OUT_OF_SERVICE, *self._now()))
            self._offer(before.scripts.retired(keep, BAD_OUT_OF_SERVICE, *self._now()))
            formulas.adopt(before.formulas)
            scripts.adopt(before.scripts)
            system.adopt(before.system)
            held.adopt(before.held)
            self._running = _Running(model.version, {}, formulas, scripts, system, held, places, targets)
            await self._begin_scripts(scripts)
            self._calculated(formulas.start(*self._now()))
            for name, plan in plans.items():
                self._running.supervisors[name] = self._supervise(plan, before.supervisors.get(name))

    async def run(self) -> None:
        """Say each second how the connections are, until ``stop``. The connections themselves run from ``apply`` on."""
        due_ns = self._clock.monotonic_ns()
        while not self._stopping.is_set():
            due_ns += round(TICK_S * NS_PER_S)
            wait_s = (due_ns - self._clock.monotonic_ns()) / NS_PER_S
            if wait_s < -TICK_S:  # the machine slept: go on from here
                due_ns = self._clock.monotonic_ns()
            try:
                await asyncio.wait_for(self._stopping.wait(), max(wait_s, 0.0))
            except TimeoutError:
                self._tick()

    async def stop(self) -> None:
        """Close every device and end; all at once, each with its own deadline."""
        self._stopping.set()
        async with self._applying:
            await asyncio.gather(*(s.stop("the edge stops") for s in self._running.supervisors.values()))
            await self._stop_ticking()
            await self._pool.stop()

    async def probe(self, driver: str, config: dict[str, Any], addresses: Sequence[str]) -> ProbeReport:
        """How far a connection would get, and what the addresses read, by a driver of its own; one at a time.

        An address that the driver does not understand is a bad reading with the reason; the others are read.

        Raises: ConfigError naming what is wrong with driver or config;
                Denied where a running connection uses this device: its budget is one connection, many controllers
                drop the first when a second one comes;
                TryLater while another probe runs
        """
        spec = self._driver_of(driver)
        checked = spec.configure(config)
        taken = self._who_uses(driver, checked)
        if taken is not None:
            raise Denied(
                f"connection {taken} reads this device now, and a device gets one connection; "
                f"look at the values of {taken}, or remove it from the plant first",
                code="device_in_use",
            )
        if self._probing:
            raise TryLater("another test read is running", after_s=5.0)
        self._probing = True
        try:
            return await run_probe(spec, checked, addresses, self._context_of(driver, PROBE, Budget()))
        finally:
            self._probing = False

    async def browse(self, connection: str, driver: str, config: dict[str, Any], root: str) -> Sequence[Found]:
        """What a device offers: that of a connection of the model, or where none is named that of driver and config.

        It takes a session of its own beside a running connection, as devices that can be browsed allow; one at a time.
        Raises: ConfigError naming what is wrong; NotConnected; TryLater while another probe or browse runs
        """
        if connection:
            running = self._running.supervisors.get(connection)
            if running is None:
                raise ConfigError(f"connection: this edge has none called {connection!r}")
            driver, config = running.plan.connection.driver, running.plan.connection.config
        spec = self._driver_of(driver)
        checked = spec.configure(config)
        if self._probing:
            raise TryLater("another test read or browse is running", after_s=5.0)
        self._probing = True
        try:
            return await run_browse(spec, checked, root, self._context_of(driver, PROBE, Budget(outstanding=4)))
        finally:
            self._probing = False

    # --- the devices, for the gate and the trips: implements `ports.field.Field`

    def held(self, tag: int) -> HeldValue | None:
        """What a tag that the gate or a trip looks at holds."""
        return self._running.held.of(tag)

    def listen(self, hear: Hear) -> Callable[[], None]:
        """Be called with every reading of such tags; what is returned ends it."""
        listeners = self._running.held.listeners
        listeners.append(hear)
        return lambda: listeners.remove(hear)

    async def write(self, tag: int, value: Written, ready: Callable[[], None]) -> None:
        """Write one value in the tag's unit; see `ports.field.Field.write`."""
        target = self._running.targets.get(tag)
        if target is None:
            raise ConfigError(f"nothing says that tag {tag} may be written")
        if target.access != "read-write":
            raise ConfigError(f"connection {target.connection} is read-only")
        raw = raw_of(value, target.type, target.factor, target.offset, target.raw)
        supervisor = self._running.supervisors.get(target.connection)
        if supervisor is None:
            raise Denied(f"{target.connection}: not connected yet", "not_connected")
        await supervisor.write(target.row, raw, self._write_one, ready)

    async def read_back(self, tag: int) -> HeldValue:
        """Read one tag now, or hear it where its device only speaks by itself. Raises: NotConnected"""
        running = self._running
        connection, row = running.places.get(tag, ("", 0))
        supervisor = running.supervisors.get(connection)
        if supervisor is None:
            raise NotConnected(f"tag {tag} is not read from a device")
        if not await supervisor.read_now(row):
            await self._told(tag, supervisor.wrote_ns)
        held = running.held.of(tag)
        if held is None:
            raise NotConnected(f"{connection}: nothing was read")
        return held

    async def _told(self, tag: int, since_ns: int) -> None:
        """Wait until a device has told of a tag by itself since something was written to it."""
        news = asyncio.Event()
        end = self.listen(lambda _: news.set())
        try:
            async with asyncio.timeout(TOLD_S):
                while self._running.held.at_ns(tag) <= since_ns:
                    news.clear()
                    await news.wait()
        except TimeoutError:
            raise NotConnected(f"the device told nothing of it within {TOLD_S:g} s") from None
        finally:
            end()

    def _places(
        self, model: EdgeModel, plans: Mapping[str, ConnectionPlan]
    ) -> tuple[dict[int, tuple[str, int]], dict[int, _Target]]:
        """Where the tags of the model's points and trips are in their devices."""
        if not model.points and not model.trips:
            return {}, {}
        tags = model.tags
        wanted = {tag for p in model.points for tag in (p.tag, p.read_back, *p.inputs.values())}
        wanted |= {tag for t in model.trips for tag in t.inputs.values()}
        at = {tag: i for i, tag in enumerate(tags.id) if tag in wanted}
        places = {
            int(tag): (name, row)
            for name, plan in plans.items()
            for row, tag in enumerate(plan.table.id.tolist())
            if tag in wanted
        }
        connections = {c.name: c for c in model.connections}
        targets = {}
        for point in model.points:
            if point.tag not in places:
                raise ConfigError(f"tag {point.tag} may be written, and is not read from a device")
            name, row = places[point.tag]
            i, connection = at[point.tag], connections[name]
            try:
                raw = self._driver_of(connection.driver).parse_address(tags.address[i]).type
            except ConfigError:  # its connection says so itself
                continue
            factor, offset = tags.factor[i] if tags.factor else 1.0, tags.offset[i] if tags.offset else 0.0
            targets[point.tag] = _Target(name, row, ValueType(tags.type[i]), raw, factor, offset, connection.access)
        return places, targets

    def status(self) -> tuple[ConnectionStatus, ...]:
        """All connections of the model, by name."""
        return tuple(s.status() for _, s in sorted(self._running.supervisors.items()))

    def _supervise(self, plan: ConnectionPlan, before: Supervisor | None) -> Supervisor:
        if before is not None and before.state is not Link.STOPPED:
            before.rebind(plan)
            self._running.held.watch(before.binder)
            return before
        supervisor = Supervisor(
            plan,
            self._driver_of,
            self._context_of,
            self._clock,
            self._random,
            self._log,
            self._offer_live,
            self._turned,
            self._outbox.when_delivered,
            self._offer_kept,
            self._judged,
        )
        self._running.held.watch(supervisor.binder)
        supervisor.start(before)
        return supervisor

    def _who_uses(self, driver: str, config: object) -> str | None:
        endpoint = _endpoint(config)
        for name, supervisor in self._running.supervisors.items():
            same = endpoint and supervisor.plan.connection.driver == driver and _endpoint(supervisor.config) == endpoint
            if same and supervisor.connected:
                return name
        return None

    def _now(self) -> tuple[int, int]:
        return self._clock.now_ns(), self._clock.monotonic_ns()

    def _offer_live(self, batches: Sequence[SampleBatch]) -> None:
        """Samples of a connection, with what they change in calculated tags."""
        calculated = self._running.formulas.update(batches, *self._now())
        self._running.held.heard(calculated)
        self._offer_all((*batches, *calculated) if calculated else batches)

    def _judged(self) -> None:
        """An answer of a device is bound: who decides by it hears of it before it goes anywhere else."""
        self._running.held.tell()

    def _calculated(self, batches: Sequence[SampleBatch]) -> None:
        """What formulas gave at the start."""
        self._running.held.heard(batches)
        self._offer_all(batches)

    def _offer_all(self, batches: Sequence[SampleBatch]) -> None:
        """Samples go to the bus, and scripts hear of them."""
        self._running.scripts.heard(batches)
        self._offer(batches)

    def _answered(self, done: Sequence[Done]) -> None:
        """Scripts answered: to everyone else their values are like those of a device."""
        values = self._running.scripts.take(done, *self._now())
        if values:
            self._running.held.heard(values)
            self._offer_live(values)

    async def _begin_scripts(self, scripts: Scripts) -> None:
        await self._stop_ticking()
        await self._pool.configure(scripts.scripts, scripts.ids)
        self._offer(scripts.start(*self._now()))
        if scripts.periodic:
            self._ticking = asyncio.create_task(scripts.run(), name="scripts")

    async def _stop_ticking(self) -> None:
        ticking, self._ticking = self._ticking, None
        if ticking is not None:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)

    def _offer_kept(self, batches: Sequence[SampleBatch]) -> None:
        """What a device had kept: for the record only, so no calculated tag follows it."""
        self._outbox.offer(Lane.BACKFILL, batches)

    def _offer(self, batches: Sequence[SampleBatch]) -> None:
        if batches:
            self._outbox.offer(Lane.LIVE, join_by_type(batches))

    def _turned(self, connection: str, state: Link, reason: str) -> None:
        self._tell([(connection, state.value, reason)])

    def _tell(self, said: Sequence[tuple[str, str, str]]) -> None:
        words = self._running.system.words(said, *self._now())
        if words:
            self._outbox.offer(Lane.EVENT, words)

    def _tick(self) -> None:
        now = self._now()
        supervisors = self._running.supervisors
        self._offer(self._running.system.figures([(name, s.tick()) for name, s in supervisors.items()], *now))
        self._tell([(name, s.state.value, s.reason) for name, s in supervisors.items()])  # once a minute, if unchanged


def _endpoint(config: object) -> tuple[tuple[str, object], ...]:
    """What of a config names the device on its network, whatever the driver; empty where nothing does."""
    names = ("host", "port", "url", "endpoint", "device", "path", "unit", "rack", "slot")
    return tuple((name, getattr(config, name)) for name in names if hasattr(config, name))

"""The driver: opens a session, reads, listens, writes, browses and probes. asyncua is imported when it first opens."""

from __future__ import annotations

import importlib
import sys
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from isthmus.drivers.opcua.address import parse
from isthmus.drivers.opcua.config import OpcUaConfig
from isthmus.drivers.opcua.thread import off_loop
from isthmus.ports.drivers import DriverContext, Found, Point, Traffic
from isthmus.ports.writes import PointWrite
from isthmus.values.errors import IsthmusError, NotConnected, Rejected
from isthmus.values.sample import SampleBatch

if TYPE_CHECKING:
    from isthmus.drivers.opcua.read import ReadPlan
    from isthmus.drivers.opcua.session import Link, Opener
    from isthmus.drivers.opcua.subscribe import Subscriptions

_PLANS: Final = 256


class OpcUa:
    """An OPC UA server, read when asked."""

    def __init__(self, config: OpcUaConfig, context: DriverContext) -> None:
        self._config, self._context = config, context
        self._peer = "{} port {}".format(*config.place())
        self._link: Link | None = None
        self._opener: Opener | None = None
        self._opening = 0  # counts opens and closes, so that a close while connecting is noticed
        self._plans: dict[int, ReadPlan] = {}
        self._kinds: dict[str, Any] = {}
        self.traffic = Traffic()

    async def open(self) -> None:
        """Connect: channel, session, user, then namespaces and limits.

        Raises: NotConnected with the reason in words a technician understands; ConfigError where the settings are to blame
        """
        await self.close()
        opening = self._opening
        opener: Opener | None = None
        try:
            module = await _module("session")
            if opening != self._opening:
                raise NotConnected(f"{self._peer}: closed while connecting")
            self._opener = opener = module.Opener(self._config, self._context, self.traffic)
            link: Link = await opener.open()
        except NotConnected as error:
            self.traffic.last_error = str(error)
            raise
        finally:
            if self._opener is opener:
                self._opener = None
        if opening != self._opening:
            await link.close()
            raise NotConnected(f"{self._peer}: closed while connecting")
        self._kinds.clear()
        for plan in self._plans.values():
            plan.resolved = False
        self._link = link

    async def close(self) -> None:
        """Let go of the session; safe at any time, in any state, twice."""
        self._opening += 1
        if self._opener is not None:
            self._opener.cancel()
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def read(self, points: Sequence[Point]) -> Sequence[SampleBatch]:
        """Read all points once. What the server refuses comes as rows with a bad status.

        Shapes: n points -> at most one batch per value type, n rows in all, all with one time_ns
        Raises: NotConnected when the link is gone
        """
        link = self._open_link()
        plan = self._plans.get(id(points))
        if plan is None or plan.points is not points:
            if len(self._plans) >= _PLANS:
                del self._plans[next(iter(self._plans))]
            module = await _module("read")
            plan = self._plans[id(points)] = module.ReadPlan(points)
        batches: Sequence[SampleBatch] = await plan.read(link)
        return batches

    async def write(self, writes: Sequence[PointWrite]) -> None:
        """Write in order; the first refusal stops the rest.

        Raises: Rejected if the server said no or the value does not fit; NotConnected if nobody knows whether it arrived
        """
        link = self._open_link()
        module = await _module("write")
        for item in writes:
            await module.write(link, item, self._kinds)

    async def browse(self, root: str = "") -> Sequence[Found]:
        """All variables below a node, by default below Objects; the server's own diagnostics are left out.

        Raises: Rejected if the server does not know the node; ConfigError if it is none; NotConnected
        """
        link = self._open_link()
        module = await _module("browse")
        node = None
        if root:
            node = link.node_id(parse(root))
            if node is None:
                raise Rejected(f"{root}: the server has no such namespace; it has {', '.join(link.namespaces)}")
        found: Sequence[Found] = await module.browse(link, node)
        return found

    async def probe(self) -> Sequence[tuple[str, bool, str]]:
        """Steps in order as (what, reached, detail); stops at the first failure. Opens a session of its own."""
        module = await _module("probe")
        try:
            steps: Sequence[tuple[str, bool, str]] = await module.probe(self._config, self._context, self.traffic)
        except IsthmusError as error:
            return [("Settings", False, str(error))]
        return steps

    def _open_link(self) -> Link:
        link = self._link
        if link is None:
            raise NotConnected(f"{self._peer}: not open")
        if not link.alive:
            raise NotConnected(link.lost or f"{self._peer}: not open")
        return link


class OpcUaSubscribed(OpcUa):
    """An OPC UA server that tells changes by itself; it can be read as well."""

    async def stream(self, points: Sequence[Point]) -> AsyncIterator[Sequence[SampleBatch]]:
        """Subscribe and yield batches as they come.

        Raises: NotConnected when the link is gone or silent, or the server ended a subscription
        """
        link = self._open_link()
        module = await _module("subscribe")
        subscriptions: Subscriptions = module.Subscriptions(link, points, self._config)
        try:
            async for batches in subscriptions.batches():
                yield batches
        finally:
            await subscriptions.close()


def build(config: OpcUaConfig, context: DriverContext) -> OpcUa:
    """The driver that the settings ask for."""
    return OpcUa(config, context) if config.mode == "poll" else OpcUaSubscribed(config, context)


async def _module(name: str) -> Any:
    """A part of this driver that needs asyncua: 0.5 s the first time, off the loop, and nothing for who never opens."""
    whole = f"isthmus.drivers.opcua.{name}"
    return sys.modules.get(whole) if whole in _READY else await off_loop(partial(_import, whole))


_READY: set[str] = set()


def _import(name: str) -> Any:
    module = importlib.import_module(name)
    _READY.add(name)  # a module stands in sys.modules before it is complete
    return module

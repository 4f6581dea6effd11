"""The driver: subscribes, turns messages into batches, confirms to the broker what is safe, publishes what is written, and probes."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from typing import Final

import numpy as np

from isthmus.drivers.mqtt.address import parse, parse_address
from isthmus.drivers.mqtt.config import MqttConfig
from isthmus.drivers.mqtt.link import Link, Unconfirmed, connect, place_of, probe_suffix
from isthmus.drivers.mqtt.mapping import Collector, Mapping
from isthmus.drivers.mqtt.write import message, refusal
from isthmus.ports.drivers import DriverContext, Kept, Point, Traffic, driver
from isthmus.ports.writes import PointWrite
from isthmus.values import mqtt, status
from isthmus.values.errors import NotConnected, Rejected
from isthmus.values.sample import SampleBatch

LOOKS: Final = 4
"""How often within the shortest age it is looked for tags that became too old."""


@driver("mqtt", config=MqttConfig, parse_address=parse_address, title="MQTT")
class Mqtt:
    """A client of the built-in listener or of an external broker."""

    def __init__(self, config: MqttConfig, context: DriverContext) -> None:
        self._config, self._context = config, context
        self._link: Link | None = None
        self._opening = 0  # counts opens and closes, so that a close while connecting is noticed
        self._unconfirmed = Unconfirmed()
        self.traffic = Traffic()

    async def open(self) -> None:
        """Connect. The broker keeps the session of a lasting connection while we are away, with all QoS 1 and 2 messages.

        Raises: NotConnected with the reason in words a technician understands
        """
        await self.close()
        opening = self._opening
        lasting = self._context.lasting
        try:
            link = await connect(
                self._config,
                self._context,
                self.traffic,
                clean=not lasting or self._config.qos == 0,
                suffix="" if lasting else probe_suffix(),
            )
        except NotConnected as error:
            self.traffic.last_error = str(error)
            raise
        if opening != self._opening:
            await link.close()
            raise NotConnected("closed while connecting")
        self._link = link

    async def close(self) -> None:
        """Let go of the connection; safe at any time, in any state, twice."""
        self._opening += 1
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def stream(self, points: Sequence[Point]) -> AsyncIterator[Sequence[SampleBatch]]:
        """Subscribe and yield what comes, until the link is gone.

        Raises: NotConnected when it is
        """
        link = self._link
        if link is None:
            raise NotConnected("not open")
        config = self._config
        since_ns = self._context.clock.now_ns()
        mapping = Mapping(points, self.traffic, config.max_message_kb * 1024, config.retained, since_ns)
        ages = Ages(points, config.max_age_s, asyncio.get_running_loop().time())
        unconfirmed = self._unconfirmed = Unconfirmed()
        refused = await self._subscribe(link, mapping.filters)
        if refused:
            unconfirmed.carried(())
            yield _bad(
                [p for p in points if refused.get(parse(p.address).topic)],
                status.BAD_NODE_ID_UNKNOWN,
                self._context.clock.now_ns(),
            )
        while True:
            try:
                messages = await link.messages(ages.next_s)
            except NotConnected as error:
                self.traffic.last_error = str(error)
                raise
            batches, late = mapping.decode(messages), mapping.take_late()
            if ages.watched:
                now_s = asyncio.get_running_loop().time()
                ages.heard([*batches, *late], now_s)
                silent = ages.silent(now_s)
                if silent:
                    self.traffic.last_error = f"no message for too long: {silent[0].address}"
                    batches += _bad(silent, status.BAD_TIMEOUT, self._context.clock.now_ns())
            if batches:
                unconfirmed.carried(() if late else messages)
                yield batches
            if late:
                unconfirmed.carried(messages)
                yield Kept(late)
            elif messages and not batches:  # nobody's: nothing to wait for, unless those before are not safe yet
                unconfirmed.carried(messages)
                yield ()

    async def _subscribe(self, link: Link, filters: Sequence[str]) -> dict[str, str]:
        """Subscribe to as little as possible; topics of tags that will never come, with the reason."""
        config = self._config
        wanted = list(dict.fromkeys(filters))
        refused = {}
        if config.subscribe:
            for one in wanted:
                if not any(mqtt.covers(wide, one) for wide in config.subscribe):
                    refused[one] = f"{one} is not among the topics of the setting subscribe"
        asked = mqtt.fewest(config.subscribe or wanted)
        said = await link.subscribe(asked, config.qos, config.timeout_s)
        for one in wanted:
            for wide, reason in said.items():
                if mqtt.covers(wide, one):
                    refused[one] = reason
        for reason in refused.values():
            self.traffic.errors += 1
            self.traffic.last_error = reason
        return refused

    def delivered(self, count: int, *, whole: bool) -> None:
        """What the first ``count`` yields carried is on the bus: confirm it. If some was lost, the broker is made to send it again."""
        link = self._link
        if link is None:
            return
        if whole:
            link.confirm(self._unconfirmed.until(count))
        elif self._unconfirmed.until(count):
            link.give_up("samples were dropped before they reached the bus; the broker is asked for them again")

    async def write(self, writes: Sequence[PointWrite]) -> None:
        """Publish in order, each as its address declares it and never retained; the first refusal stops the rest.

        Raises: Rejected if nothing is declared, the value does not fit or the broker said no; NotConnected if nobody knows whether
                it arrived
        """
        ready = [(item.address, *message(item)) for item in writes]
        timeout_s = self._config.timeout_s
        for text, address, payload in ready:
            link = self._link
            if link is None:
                raise NotConnected("not open")
            try:
                code = await link.publish(
                    address.write, payload, timeout_s, qos=address.qos, expiry_s=max(1, math.ceil(timeout_s))
                )
                if not address.qos:
                    self.traffic.requests += 1
                    await link.settle(timeout_s)
            except NotConnected as error:
                self.traffic.last_error = str(error)
                raise
            reason = refusal(code)
            if reason:
                self.traffic.errors += 1
                self.traffic.last_error = f"write {text}: refused, {reason}"
                raise Rejected(self.traffic.last_error)

    async def probe(self) -> Sequence[tuple[str, bool, str]]:
        """Steps in order as (what, reached, detail); stops at the first failure. Disturbs no running connection."""
        clock = self._context.clock
        began_ns = clock.monotonic_ns()
        what = "Broker reached"
        try:
            host, port, user, _ = place_of(self._config, self._context)
            what = f"Broker {host} port {port} lets {user or 'us'} in"
            link = await connect(self._config, self._context, self.traffic, clean=True, suffix=probe_suffix())
        except NotConnected as error:
            return [(what, False, str(error))]
        await link.close()
        return [(what, True, f"{(clock.monotonic_ns() - began_ns) / 1e6:.1f} ms")]


class Ages:
    """Which tags have been silent for longer than their age. Times are those of the loop."""

    def __init__(self, points: Sequence[Point], default_s: float, now_s: float) -> None:
        declared = [(p, parse(p.address).age_s) for p in points]
        watched = [
            (p, default_s if age is None else age) for p, age in declared if (default_s if age is None else age) > 0
        ]
        self.watched = bool(watched)
        self._points = [p for p, _ in watched]
        self._place = {p.id: i for i, p in enumerate(self._points)}
        self._age_s = np.array([age for _, age in watched])
        self._last_s = np.full(len(watched), now_s)
        self._silent = np.zeros(len(watched), np.bool_)
        self._every_s = max(float(self._age_s.min()) / LOOKS, 0.02) if watched else 0.0
        self.next_s: float | None = now_s + self._every_s if watched else None

    def heard(self, batches: Sequence[SampleBatch], now_s: float) -> None:
        """These tags have spoken."""
        place = self._place
        rows = [place[i] for b in batches for i in b.id.tolist() if i in place]
        self._last_s[rows] = now_s
        self._silent[rows] = False

    def silent(self, now_s: float) -> list[Point]:
        """Tags that have become too old since the last look."""
        if self.next_s is None or now_s < self.next_s:
            return []
        self.next_s = now_s + self._every_s
        old = (now_s - self._last_s > self._age_s) & ~self._silent
        self._silent |= old
        return [self._points[i] for i in np.flatnonzero(old)]


def _bad(points: Sequence[Point], code: int, now_ns: int) -> list[SampleBatch]:
    """Points that have no value, each in a column of its type."""
    collector = Collector()
    for point in points:
        collector.of[parse_address(point.address).type].add(point.id, now_ns, None, code)
    return collector.batches()

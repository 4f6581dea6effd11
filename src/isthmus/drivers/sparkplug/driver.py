"""The driver: says that the host is there, listens, asks for rebirths, sends commands, browses what was born, and probes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import orjson

from isthmus.drivers.mqtt.link import Link, connect, place_of, probe_suffix
from isthmus.drivers.sparkplug import payload as sparkplug
from isthmus.drivers.sparkplug.address import parse_address
from isthmus.drivers.sparkplug.config import SparkplugConfig
from isthmus.drivers.sparkplug.host import Host
from isthmus.drivers.sparkplug.write import Answers, Command, command
from isthmus.ports.drivers import DriverContext, Found, Kept, Point, Traffic, driver
from isthmus.ports.writes import PointWrite
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import NotConnected, Rejected
from isthmus.values.sample import SampleBatch

BROWSE_S = 3.0
"""How long is listened for births where no stream runs."""
STATE_S = 1.0
"""That we are here is said again at most this often, when somebody says otherwise."""


@driver("sparkplug", config=SparkplugConfig, parse_address=parse_address, title="Sparkplug B")
class Sparkplug:
    """A host application at the built-in listener or an external broker."""

    def __init__(self, config: SparkplugConfig, context: DriverContext) -> None:
        self._config, self._context = config, context
        self._host_id = config.host_id or config.client_id or context.name
        self._state_topic = f"spBv1.0/STATE/{self._host_id}"
        self._link: Link | None = None
        self._host: Host | None = None
        self._answers = Answers(())
        self._opening = 0
        self._since_ms = 0
        self._asked: dict[tuple[bytes, bytes], float] = {}
        self._said_s = 0.0
        self.traffic = Traffic()

    async def open(self) -> None:
        """Connect, with our death as will. A host's session is always a clean one: births tell everything anew.

        Raises: NotConnected with the reason in words a technician understands
        """
        await self.close()
        opening = self._opening
        self._asked.clear()  # whoever comes anew knows nothing of what was born
        lasting = self._context.lasting
        self._since_ms = self._context.clock.now_ns() // 1_000_000
        try:
            link = await connect(
                self._config,
                self._context,
                self.traffic,
                clean=True,
                will=(self._state_topic, self._state(online=False)) if lasting else None,
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
        """Say that we leave, and let go; safe at any time, in any state, twice."""
        self._opening += 1
        link, self._link, self._host = self._link, None, None
        self._answers.end("closed")
        if link is None:
            return
        if self._context.lasting and link.lost is None:
            try:
                await link.publish(self._state_topic, self._state(online=False), 1.0, qos=1, retain=True)
            except NotConnected as error:
                self.traffic.last_error = str(error)
        await link.close()

    async def stream(self, points: Sequence[Point]) -> AsyncIterator[Sequence[SampleBatch]]:
        """Listen and yield what comes, until the link is gone.

        Raises: NotConnected when it is
        """
        link = self._link
        if link is None:
            raise NotConnected("not open")
        host = self._host = Host(points, self.traffic, device_times=self._config.times == "device")
        answers = self._answers = Answers(points)
        await self._listen(link, [f"spBv1.0/{group}/#" for group in host.groups])
        while True:
            await self._ask_for_rebirths(link, host)
            try:
                messages = await link.messages(self._next_ask(host))
            except NotConnected as error:
                self.traffic.last_error = str(error)
                answers.end(str(error))
                raise
            numbers = []
            for message in messages:
                if message.number:
                    numbers.append((message.number, message.first >> 1 & 3))
                if message.topic == self._state_topic.encode():
                    await self._hear_state(link, message.payload)
                else:
                    host.hear(message.topic, message.payload, message.time_ns)
            link.confirm(numbers)
            host.settle(self._context.clock.now_ns())
            live, kept = host.take()
            batches = live.batches()
            answers.hear(batches)
            if batches:
                yield batches
            stored = kept.batches()
            if stored:
                yield Kept(stored)

    async def _listen(self, link: Link, filters: Sequence[str]) -> None:
        """Subscribe, then say that we are here: in this order, so that no birth it causes is missed."""
        lasting = self._context.lasting
        wanted = [*filters, self._state_topic] if lasting else list(filters)
        refused = await link.subscribe(wanted, 0, self._config.timeout_s)
        if refused:
            self.traffic.errors += 1
            raise NotConnected(next(iter(refused.values())))
        if lasting:
            await self._say_state(link)

    def _state(self, *, online: bool) -> bytes:
        return orjson.dumps({"online": online, "timestamp": self._since_ms})

    async def _say_state(self, link: Link) -> None:
        self._said_s = asyncio.get_running_loop().time()
        await link.publish(self._state_topic, self._state(online=True), self._config.timeout_s, qos=1, retain=True)

    async def _hear_state(self, link: Link, data: bytes) -> None:
        """A late will of our own last session says that we are gone: say again that we are here."""
        try:
            said = orjson.loads(data)
        except orjson.JSONDecodeError:
            said = None
        offline = not isinstance(said, dict) or said.get("online") is not True
        if offline and asyncio.get_running_loop().time() - self._said_s > STATE_S:
            await self._say_state(link)

    async def _ask_for_rebirths(self, link: Link, host: Host) -> None:
        """Ask the nodes that are wanted; each as often as it may be asked."""
        now_s = asyncio.get_running_loop().time()
        for place in list(host.wanted):
            if now_s - self._asked.get(place, -self._config.rebirth_s) < self._config.rebirth_s:
                continue
            del host.wanted[place]
            self._asked[place] = now_s
            await self._rebirth(link, place)
        if len(self._asked) > 100_000:  # nodes come and go, and names may be made up
            self._asked.clear()

    def _next_ask(self, host: Host) -> float | None:
        """When the next node that is wanted may be asked again, or a device should have been born."""
        times = [self._asked.get(place, 0.0) + self._config.rebirth_s for place in host.wanted]
        due_ns = host.due_ns()
        if due_ns is not None:
            wait_s = max(due_ns - self._context.clock.now_ns(), 0) / NS_PER_S
            times.append(asyncio.get_running_loop().time() + wait_s + 0.01)
        return min(times, default=None)

    async def _rebirth(self, link: Link, place: tuple[bytes, bytes]) -> None:
        """The one command that is sent without anybody asking for it.

        Source: Eclipse Sparkplug 3.0, section 5.3 ("Node Control/Rebirth")
        """
        now_ms = self._context.clock.now_ns() // 1_000_000
        command = sparkplug.Payload(timestamp=now_ms)
        sparkplug.add_metric(command, "Node Control/Rebirth", sparkplug.BOOLEAN, value=True, time_ms=now_ms)
        topic = f"spBv1.0/{place[0].decode()}/NCMD/{place[1].decode()}"
        self.traffic.requests += 1
        await link.publish(topic, command.SerializeToString(), self._config.timeout_s)

    async def write(self, writes: Sequence[PointWrite]) -> None:
        """Send commands in order; the first refusal stops the rest. Each is waited for until its metric tells the value.

        Raises: Rejected if nobody is there to take it or the value does not fit; NotConnected if nobody knows whether it arrived
        """
        if self._link is None or self._link.lost is not None:
            raise NotConnected((self._link and self._link.lost) or "not open")
        for sent in [command(self._host, item) for item in writes]:
            if not sent.target.rows and self._config.confirm == "node":
                raise Rejected(f"{sent.address}: no tag reads this metric, so nobody could tell what became of it")
            try:
                await self._send(sent)
            except NotConnected as error:
                self.traffic.errors += 1
                self.traffic.last_error = str(error)
                raise

    async def _send(self, sent: Command) -> None:
        link, answers, timeout_s = self._link, self._answers, self._config.timeout_s
        if link is None:
            raise NotConnected("not open")
        same = answers.tells(sent)
        with answers.awaited(sent) as told:
            self.traffic.requests += 1
            data = sent.payload(self._context.clock.now_ns() // 1_000_000)
            await link.publish(sent.target.topic, data, timeout_s)
            await link.settle(timeout_s)
            if same or self._config.confirm == "broker":
                return
            try:
                async with asyncio.timeout(timeout_s):
                    await told
            except TimeoutError:
                raise NotConnected(
                    f"write {sent.address}: the node did not tell the value within {timeout_s:g} s"
                ) from None

    async def browse(self, root: str = "") -> Sequence[Found]:
        """All metrics of the births that were heard; without a running stream, of those heard in three seconds.

        ``root`` is the beginning of an address, such as a group.
        Raises: NotConnected when the link is gone
        """
        if self._host is not None:
            return self._host.offered(root)
        link = self._link
        if link is None:
            raise NotConnected("not open")
        host = Host((), self.traffic)
        await self._listen(link, ["spBv1.0/+/NBIRTH/#", "spBv1.0/+/DBIRTH/#", "spBv1.0/+/NDATA/#", "spBv1.0/+/DDATA/#"])
        loop = asyncio.get_running_loop()
        end_s = loop.time() + BROWSE_S
        while loop.time() < end_s:
            for message in await link.messages(end_s):
                host.hear(message.topic, message.payload, message.time_ns)
            await self._ask_for_rebirths(link, host)
        return host.offered(root)

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
        try:
            steps = [(what, True, f"{(clock.monotonic_ns() - began_ns) / 1e6:.1f} ms")]
            refused = await link.subscribe(["spBv1.0/#"], 0, self._config.timeout_s)
            steps.append(("spBv1.0/# may be heard", not refused, next(iter(refused.values()), "subscribed")))
            return steps
        except NotConnected as error:
            return [*steps, ("spBv1.0/# may be heard", False, str(error))]
        finally:
            await link.close()

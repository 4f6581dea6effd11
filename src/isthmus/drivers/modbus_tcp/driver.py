"""The driver: connects, reads by plan, tells what the device refused, writes, and probes."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Sequence
from typing import Final

from isthmus.drivers.modbus_tcp.address import parse_address
from isthmus.drivers.modbus_tcp.config import ModbusTcpConfig
from isthmus.drivers.modbus_tcp.framer import EXCEPTIONS, Request, read_request
from isthmus.drivers.modbus_tcp.plan import EXTRA_REQUESTS, LEAST_EXTRA, Block, Key, Plan
from isthmus.drivers.modbus_tcp.transport import ABSENT, TIMED_OUT, WRONG_REPLY, Exchange, Link, Pace
from isthmus.drivers.modbus_tcp.write import UNCERTAIN, write_request
from isthmus.ports.drivers import DriverContext, Point, Traffic, driver
from isthmus.ports.writes import PointWrite
from isthmus.values import status
from isthmus.values.errors import NotConnected, Rejected
from isthmus.values.sample import SampleBatch

_PLANS: Final = 256
_CUTTING: Final = frozenset(
    (2, 3)
)  # no such address; and what many devices answer to a block that is too long for them


@driver("modbus-tcp", config=ModbusTcpConfig, parse_address=parse_address, title="Modbus TCP")
class ModbusTcp:
    """A Modbus TCP device, or a serial one behind a gateway."""

    def __init__(self, config: ModbusTcpConfig, context: DriverContext) -> None:
        self._config, self._clock = config, context.clock
        self._peer = f"{config.host} port {config.port}"
        self._pace = Pace(context.budget)
        self._plans: dict[int, Plan] = {}
        self._link: Link | None = None
        self._opening = 0  # counts opens and closes, so that a close while connecting is noticed
        self._turn = asyncio.Lock()
        self.traffic = Traffic()

    async def open(self) -> None:
        """Connect.

        Raises: NotConnected with the reason in words a technician understands
        """
        await self.close()
        for plan in self._plans.values():
            plan.ask_again_now()
        opening = self._opening
        try:
            link = await self._connect(await self._resolve())
        except NotConnected as error:
            self.traffic.last_error = str(error)
            raise
        if opening != self._opening:
            await link.close()
            raise NotConnected(f"{self._peer}: closed while connecting")
        self._link = link

    async def close(self) -> None:
        """Let go of the connection; safe at any time, in any state, twice."""
        self._opening += 1
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def read(self, points: Sequence[Point]) -> Sequence[SampleBatch]:
        """Read all points once. What the device refuses comes as rows with a bad status.

        Shapes: n points -> at most one batch per value type, n rows in all, all with one time_ns
        Raises: NotConnected when the link is gone
        Cost:   one request per block, nothing in Python per value but for strings that changed
        """
        plan = self._plan(points)
        async with self._turn:
            link = self._open_link()
            asked = plan.due(self._clock.monotonic_ns()) if plan.refused else []
            requests = plan.prepared + plan.requests(asked) if asked else plan.prepared
            exchange = await self._run(link, requests, plan.image)
            codes = plan.codes(())
            if asked or exchange.failed:
                exchange, failed = await self._learn(link, plan, exchange, asked)
                codes = plan.codes(failed)
        batches, note = plan.decode(exchange.ended_ns, codes)
        if note:
            self.traffic.last_error = note
        return batches

    async def write(self, writes: Sequence[PointWrite]) -> None:
        """Write in order; the first refusal stops the rest.

        Raises: Rejected if the device said no or the value does not fit; NotConnected if nobody knows whether it arrived
        """
        requests = [write_request(self._config, w) for w in writes]
        async with self._turn:
            for item, request in zip(writes, requests, strict=True):
                link = self._open_link()
                exchange = await self._run(link, [request], memoryview(b""))
                code = exchange.failed.get(0, 0)
                if not code:
                    continue
                words = self._words(code, exchange)
                if code == 1 and request.function == 22:
                    words += "; a bit of a register can be written only where the device has mask write, function 22"
                self.traffic.last_error = reason = f"write {item.address}: {words}"
                if code in UNCERTAIN:
                    link.give_up(reason)
                    raise NotConnected(reason)
                raise Rejected(reason)

    async def probe(self) -> Sequence[tuple[str, bool, str]]:
        """Steps in order as (what, reached, detail); stops at the first failure. Uses the open connection if there is one."""
        steps: list[tuple[str, bool, str]] = []
        what = f"Name {self._config.host} resolves"
        try:
            start_ns = self._clock.monotonic_ns()
            addresses = await self._resolve()
            steps.append((what, True, f"{', '.join(addresses)}, {self._since(start_ns)}"))
            what = f"Port {self._config.port} open"
            async with self._turn:
                if self._link is not None and self._link.lost is None:
                    steps.append((what, True, "connected already"))
                    what = f"Unit {self._config.unit} answers"
                    return [*steps, (what, *await self._ask(self._link))]
                start_ns = self._clock.monotonic_ns()
                link = await self._connect(addresses)
                try:
                    steps.append((what, True, self._since(start_ns)))
                    what = f"Unit {self._config.unit} answers"
                    return [*steps, (what, *await self._ask(link))]
                finally:
                    await link.close()
        except NotConnected as error:
            return [*steps, (what, False, str(error))]

    async def _ask(self, link: Link) -> tuple[bool, str]:
        """Whether anything answers, an exception included, and what."""
        detail = ""
        for area in ("hr", "ir"):
            start_ns = self._clock.monotonic_ns()
            request = read_request(self._config.unit, area, 0, 1)
            exchange = await link.run([request], memoryview(bytearray(2)))
            code = exchange.failed.get(0, 0)
            if not code:
                return True, f"{area} 0 read, {self._since(start_ns)}"
            detail = f"{area} 0: {self._words(code, exchange)}, {self._since(start_ns)}"
            if code < 0 or code in ABSENT:
                return False, detail
        return True, detail

    async def _learn(
        self, link: Link, plan: Plan, exchange: Exchange, asked: list[Block]
    ) -> tuple[Exchange, list[tuple[Block, int]]]:
        """Cut refused blocks until what is refused stands alone or the read has cost enough.

        Returns the last exchange, and what failed with its status.
        """
        blocks = plan.blocks + asked
        again = {(b.area, b.spans[0]) for b in asked}
        kept: list[Block] = []
        failed: list[tuple[Block, int]] = []
        refused: dict[Key, int] = {}
        healed: set[Key] = set()
        vain = len(asked) + sum(code in _CUTTING for code in exchange.failed.values())
        room = max(LEAST_EXTRA, EXTRA_REQUESTS - vain)
        resting = len(blocks) - len(asked)
        changed = False
        while blocks:
            halves: list[Block] = []
            for i, block in enumerate(blocks):
                key = block.area, block.spans[0]
                code = exchange.failed.get(i, 0)
                if i >= resting:
                    if not code:
                        healed.add(key)
                elif code in _CUTTING and len(block.spans) > 1 and room >= 2:
                    halves += plan.cut(block)
                    room -= 2
                    continue
                elif code in _CUTTING and len(block.spans) == 1:
                    refused[key] = self._status(code)
                else:
                    kept.append(block)
                if code:
                    failed.append((block, self._status(code)))
                    self.traffic.last_error = self._reason(block, code, exchange)
            changed = changed or bool(halves)
            blocks, resting = halves, len(halves)
            if halves:
                exchange = await self._run(link, plan.requests(halves), plan.image)
        layout = sorted(kept, key=lambda b: (b.area, b.start)) if changed or refused else None
        plan.learn(layout, refused, again, healed, self._clock.monotonic_ns())
        return exchange, failed

    def _plan(self, points: Sequence[Point]) -> Plan:
        plan = self._plans.get(id(points))
        if plan is None or plan.points is not points:
            if len(self._plans) >= _PLANS:
                del self._plans[next(iter(self._plans))]
            plan = self._plans[id(points)] = Plan(points, self._config)
            if plan.problem:
                self.traffic.last_error = plan.problem
        return plan

    def _open_link(self) -> Link:
        link = self._link
        if link is None:
            raise NotConnected(f"{self._peer}: not open")
        return link

    async def _run(self, link: Link, requests: Sequence[Request], image: memoryview) -> Exchange:
        try:
            return await link.run(requests, image)
        except NotConnected as error:
            self.traffic.last_error = str(error)
            raise

    async def _resolve(self) -> list[str]:
        """The host's addresses in the order the system prefers."""
        host, port = self._config.host, self._config.port
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._config.connect_timeout_s):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except TimeoutError:
            raise NotConnected(
                f"the name {host} was not resolved within {self._config.connect_timeout_s:g} s"
            ) from None
        except (OSError, UnicodeError) as error:
            raise NotConnected(f"the name {host} is not known ({getattr(error, 'strerror', None) or error})") from None
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    async def _connect(self, addresses: Sequence[str]) -> Link:
        """A link to the first address that takes one; the reason of the last refusal otherwise."""
        config = self._config
        loop = asyncio.get_running_loop()
        reason = ""
        for address in addresses:
            link = Link(self._peer, config.unit, config.timeout_s, self._pace, self.traffic, self._clock)
            try:
                async with asyncio.timeout(config.connect_timeout_s):
                    await loop.create_connection(lambda link=link: link, address, config.port)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
            except TimeoutError:
                reason = f"no answer from {address} port {config.port} within {config.connect_timeout_s:g} s"
            except ConnectionRefusedError:
                reason = f"nobody listens on port {config.port} at {address} (connection refused)"
            except OSError as error:
                words = {errno.EHOSTUNREACH: "no way to", errno.ENETUNREACH: "no network to"}
                said = words.get(error.errno or 0, "cannot connect to")
                reason = f"{said} {address} port {config.port} ({error.strerror or error})"
            else:
                return link
        raise NotConnected(reason)

    def _status(self, code: int) -> int:
        if code == TIMED_OUT:
            return status.BAD_TIMEOUT
        return EXCEPTIONS.get(code, (status.BAD_UNKNOWN_RESPONSE, ""))[0]

    def _words(self, code: int, exchange: Exchange) -> str:
        if code == TIMED_OUT:
            return f"no answer within {self._config.timeout_s:g} s"
        if code == WRONG_REPLY:
            return exchange.misfit
        return f"refused, {EXCEPTIONS.get(code, (0, 'for a reason of its own'))[1]} (exception {code})"

    def _reason(self, block: Block, code: int, exchange: Exchange) -> str:
        many = f" to {block.stop - 1}" if block.stop - block.start > 1 else ""
        return f"{block.area} {block.start}{many}: {self._words(code, exchange)}"

    def _since(self, start_ns: int) -> str:
        return f"{(self._clock.monotonic_ns() - start_ns) / 1e6:.1f} ms"

"""A small driver that streams, with its rig: the suite is seen working, and whoever writes a driver has an example.

The device listens on TCP. A line `{"watch": ["speed", …]}` is answered with the present values and then with every change,
each a line `{"name": …, "value": …}`; an empty object every now and then says that the device is alive.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from isthmus.ports.drivers import Address, DriverContext, DriverSpec, Found, Point, Traffic
from isthmus.simulators.link import Link
from isthmus.values.errors import ConfigError, NotConnected
from isthmus.values.sample import DTYPES, SampleBatch, ValueType

MOST_LINES = 1_000
_PYTHON = {ValueType.FLOAT: float, ValueType.INT: int, ValueType.TEXT: str}


@dataclass(frozen=True, slots=True)
class LinesConfig:
    """Settings of one device that speaks lines."""

    port: int
    """TCP port on this machine."""

    timeout_s: float = 1.0
    """Seconds of silence after which the device counts as gone."""

    def __post_init__(self) -> None:
        if type(self.port) is not int or not 1 <= self.port <= 65_535:
            raise ConfigError(f"port: must be a whole number from 1 to 65535, was {self.port!r}")


def parse_address(text: str) -> Address:
    """`NAME TYPE`, such as `speed float`."""
    name, _, word = text.rpartition(" ")
    if not name or word not in list(ValueType):
        raise ConfigError(f"address must be a name and one of {', '.join(ValueType)}, was {text!r}")
    return Address(ValueType(word))


class Lines:
    """Reads only as fast as its reader takes: what waits is in the socket, and the device is held up."""

    def __init__(self, config: LinesConfig, context: DriverContext) -> None:
        self._config, self._clock = config, context.clock
        self._opening = 0
        self._link: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.traffic = Traffic()

    async def open(self) -> None:
        await self.close()
        opening = self._opening
        try:
            async with asyncio.timeout(self._config.timeout_s):
                link = await asyncio.open_connection("127.0.0.1", self._config.port, limit=8192)
        except (OSError, TimeoutError) as error:
            self.traffic.last_error = f"nobody listens on port {self._config.port}, connection refused"
            raise NotConnected(self.traffic.last_error) from error
        if opening != self._opening:
            link[1].transport.abort()
            raise NotConnected("closed while connecting")
        self._link = link

    async def close(self) -> None:
        self._opening += 1
        link, self._link = self._link, None
        if link is not None:
            link[1].transport.abort()
            with contextlib.suppress(OSError):
                await link[1].wait_closed()

    async def stream(self, points: Sequence[Point]) -> AsyncIterator[Sequence[SampleBatch]]:
        reader = await self._ask({"watch": [p.address.rpartition(" ")[0] for p in points]})
        wanted = {p.address.rpartition(" ")[0]: (p.id, parse_address(p.address).type) for p in points}
        while True:
            lines = [await self._line(reader)]
            while b"\n" in reader._buffer and len(lines) < MOST_LINES:  # type: ignore[attr-defined]
                lines.append(await reader.readline())
            if batches := self._batches(lines, wanted):
                yield batches

    async def browse(self, root: str = "") -> Sequence[Found]:
        reader = await self._ask({"list": root})
        found = orjson.loads(await self._line(reader))
        return [Found(f"{name} {word}", name, ValueType(word)) for name, word in found]

    async def _ask(self, question: dict[str, Any]) -> asyncio.StreamReader:
        if self._link is None:
            raise NotConnected("not open")
        reader, writer = self._link
        line = orjson.dumps(question) + b"\n"
        writer.write(line)
        self.traffic.requests += 1
        self.traffic.sent_bytes += len(line)
        return reader

    async def _line(self, reader: asyncio.StreamReader) -> bytes:
        try:
            async with asyncio.timeout(self._config.timeout_s):
                line = await reader.readline()
        except TimeoutError:
            reason = f"silent for {self._config.timeout_s:g} s"
        except (OSError, ValueError) as error:
            reason = str(error)
        else:
            if line.endswith(b"\n"):
                return line
            reason = "the link was closed"
        self.traffic.errors += 1
        self.traffic.last_error = reason
        raise NotConnected(reason)

    def _batches(self, lines: list[bytes], wanted: dict[str, tuple[int, ValueType]]) -> list[SampleBatch]:
        rows: dict[ValueType, list[tuple[int, Any]]] = {}
        for line in lines:
            self.traffic.received_bytes += len(line)
            try:
                said = orjson.loads(line)
                if said == {}:
                    continue
                ident, type_ = wanted[said["name"]]
                if type(said["value"]) is not _PYTHON[type_]:
                    raise TypeError
            except (ValueError, KeyError, TypeError):
                self.traffic.dropped += 1
            else:
                rows.setdefault(type_, []).append((ident, said["value"]))
        now_ns = self._clock.now_ns()
        return [_batch(type_, found, now_ns) for type_, found in rows.items()]


def _batch(type_: ValueType, rows: list[tuple[int, Any]], now_ns: int) -> SampleBatch:
    values, text = [value for _, value in rows], ()
    if type_ is ValueType.TEXT:
        values, text = list(range(len(values))), tuple(values)
    return SampleBatch(
        np.array([ident for ident, _ in rows], np.int32),
        np.full(len(rows), now_ns, np.int64),
        np.array(values, DTYPES[type_]),
        np.zeros(len(rows), np.uint32),
        text,
    )


SPEC = DriverSpec("reference-lines", LinesConfig, Lines, parse_address, "Reference")


class Rig:
    truth = {"speed float": 1.5, "made int": 0, "name text": "pump 7"}  # noqa: RUF012  read only
    later = {"speed float": -2.25, "name text": "Pumpe äöü"}  # noqa: RUF012  read only
    counting = "made int"
    most_held = 4_000
    last_seen_s = 0.25

    def __init__(self) -> None:
        self._values = {a.rpartition(" ")[0]: v for a, v in self.truth.items()}
        self._types = {a.rpartition(" ")[0]: a.rpartition(" ")[2] for a in self.truth}
        self._server: asyncio.Server | None = None
        self._serving: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._watching: set[asyncio.StreamWriter] = set()
        self._link = Link("127.0.0.1", 0)

    def settings(self, timeout_s: float) -> dict[str, Any]:
        return {"port": self._link.port, "timeout_s": timeout_s}

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._taken, "127.0.0.1", 0)
        self._link.target = "127.0.0.1", self._server.sockets[0].getsockname()[1]
        await self._link.start()

    async def stop(self) -> None:
        await self._link.stop()
        if self._server is not None:
            self._server.close()
            for task in list(self._serving):
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)
            await self._server.wait_closed()
            self._server = None

    async def cut(self) -> None:
        await self._link.cut()

    def say(self, lie: Callable[[bytes], bytes] | None) -> None:
        self._link.tamper = lie

    async def change(self, values: dict[str, Any]) -> None:
        for address, value in values.items():
            name = address.rpartition(" ")[0]
            self._values[name] = value
            await self._tell({"name": name, "value": value})

    async def count(self, first: int, last: int) -> None:
        for number in range(first, last + 1):
            await self.change({self.counting: number})

    async def mangle(self) -> int:
        for said in (
            {"name": "speed", "value": "fast"},
            {"name": "nobody", "value": 1.0},
            [1],
            {"name": "made", "value": 1.5},
        ):
            await self._tell(said)
        return 4

    def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._serving[task] = writer
        task.add_done_callback(self._serving.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        beating = asyncio.ensure_future(self._beat(writer))
        try:
            while line := await reader.readline():
                question = orjson.loads(line)
                if "list" in question:
                    writer.write(
                        orjson.dumps([n for n in self._types.items() if n[0].startswith(question["list"])]) + b"\n"
                    )
                for name in question.get("watch", ()):
                    writer.write(orjson.dumps({"name": name, "value": self._values[name]}) + b"\n")
                    self._watching.add(writer)
        except OSError:
            pass
        finally:
            beating.cancel()
            self._watching.discard(writer)
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _beat(self, writer: asyncio.StreamWriter) -> None:
        while True:
            await asyncio.sleep(0.05)
            if writer in self._watching:
                writer.write(b"{}\n")

    async def _tell(self, said: Any) -> None:
        for writer in list(self._watching):
            writer.write(orjson.dumps(said) + b"\n")
            with contextlib.suppress(OSError):
                await writer.drain()

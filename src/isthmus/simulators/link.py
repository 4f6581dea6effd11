"""A TCP link between a driver and a real server that can be cut, silenced and made to lie, while the server notices nothing.

Tests of drivers whose peer cannot misbehave by itself (a broker, a server of somebody else) put it in between.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

_CHUNK = 65_536


class Link:
    """Listens on a port of its own and carries bytes both ways to ``host`` and ``port``.

    ``tamper`` may change each chunk on its way to the client; an empty one is swallowed: the link is silent, yet up.
    It reads no faster than the other side takes, so that back-pressure reaches the server.
    """

    def __init__(self, host: str, port: int) -> None:
        self.target = host, port
        self.host, self.port = "127.0.0.1", 0  # port 0 becomes the real one in start, and stays
        self.tamper: Callable[[bytes], bytes] | None = None
        self.connections = 0  # taken since the beginning
        self._server: asyncio.Server | None = None
        self._carrying: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen; connections are carried until ``stop``."""
        self._server = await asyncio.start_server(self._taken, self.host, self.port, reuse_address=True)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more and cut everything; safe twice. ``start`` takes the same port again."""
        if self._server is not None:
            server, self._server = self._server, None
            server.close()
            await self.cut()
            await server.wait_closed()

    async def cut(self) -> None:
        """Cut every open connection; new ones are still taken."""
        for writer in list(self._writers):
            writer.transport.abort()
        carrying = list(self._carrying)
        for task in carrying:
            task.cancel()
        await asyncio.gather(*carrying, return_exceptions=True)

    def _taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        task = asyncio.ensure_future(self._carry(reader, writer))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            there, back = await asyncio.open_connection(*self.target)
            writers.append(back)
            self._writers.add(back)
            ways = [
                asyncio.ensure_future(self._way(reader, back)),
                asyncio.ensure_future(self._way(there, writer, True)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            pass  # the server is not there: the client is cut, as it would be by the server's machine
        finally:
            for one in writers:
                self._writers.discard(one)
                one.transport.abort()
                with contextlib.suppress(OSError):
                    await one.wait_closed()

    async def _way(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, tampered: bool = False) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(_CHUNK):
                if tampered and self.tamper is not None:
                    data = self.tamper(data)
                if data:
                    sink.write(data)
                    await sink.drain()

"""The link that can be cut, silenced and made to lie."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from isthmus.simulators.link import Link


@pytest.fixture
async def link():
    writers = []

    async def echo(reader, writer) -> None:
        writers.append(writer)
        with contextlib.suppress(OSError):
            while data := await reader.read(1000):
                writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    link = Link("127.0.0.1", server.sockets[0].getsockname()[1])
    await link.start()
    yield link
    await link.stop()
    server.close()
    for writer in writers:
        writer.transport.abort()
    await server.wait_closed()


async def asked(reader, writer, question: bytes) -> bytes:
    writer.write(question)
    async with asyncio.timeout(60):
        return await reader.read(1000)


async def test_carries_both_ways_and_lies_on_the_way_back_only(link) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    assert await asked(reader, writer, b"one") == b"one"
    link.tamper = bytes.upper
    assert await asked(reader, writer, b"two") == b"TWO"
    link.tamper = lambda _: b""
    writer.write(b"three")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1000), 0.05)
    link.tamper = None
    assert await asked(reader, writer, b"four") == b"four"
    writer.close()
    await writer.wait_closed()
    assert link.connections == 1


async def test_a_cut_ends_the_connection_and_the_port_stays(link) -> None:
    port = link.port
    for _ in range(2):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asked(reader, writer, b"x") == b"x"
        await link.cut()
        with contextlib.suppress(ConnectionError):
            assert await reader.read(1000) == b""
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    await link.stop()
    await link.stop()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await link.start()
    assert link.port == port


async def test_a_server_that_is_away_cuts_the_client(link) -> None:
    link.target = "127.0.0.1", 1
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    with contextlib.suppress(ConnectionError):
        assert await reader.read(1000) == b""
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()

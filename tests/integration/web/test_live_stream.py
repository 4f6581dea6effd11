"""The live stream over a real WebSocket, decoded by the layout of docs/api.md and nothing else."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from isthmus.namespace.model import Tag
from isthmus.values import status
from isthmus.values.clock import NS_PER_S
from isthmus.values.sample import SampleBatch, ValueType
from isthmus.web import live as live_module
from isthmus.web.api import create_app
from isthmus.web.live import MOST_SLOTS
from isthmus.web.server import running

NOW_MS = 1_700_000_000_000.0
SPEED, GOOD, BATCH = "hall/line1/filler/speed", "hall/line1/filler/good", "hall/line1/filler/batch"
STATE = "hall/line1/filler/state"

pytestmark = [pytest.mark.real("uvicorn", "websockets"), pytest.mark.mission("M32", "M43")]


def decode(data: bytes) -> dict[str, Any]:
    """A second reading of the layout, as a browser would do it."""
    version, kind, zero, n, view, zero2, now_ms = struct.unpack_from("<BBHIIId", data)
    assert (version, kind, zero, zero2) == (1, 1, 0, 0)
    at = 24
    columns = {}
    for name, dtype, size in (("time", "<f8", 8), ("value", "<f8", 8), ("slot", "<u4", 4), ("status", "<u4", 4)):
        at += -at % 8
        columns[name] = np.frombuffer(data, dtype, n, at).tolist()
        at += n * size
    texts = json.loads(data[at:]) if at < len(data) else []
    return {"view": view, "now": now_ms, **columns, "texts": texts}


@asynccontextmanager
async def stream(port: int, works: Any, role: str = "viewer", **more: Any) -> AsyncIterator[ClientConnection]:
    headers = {"Authorization": f"Bearer {works.tokens[role]}"}
    async with connect(
        f"ws://127.0.0.1:{port}/api/v1/live",
        additional_headers=headers,
        proxy=None,
        compression=None,
        max_size=None,
        **more,
    ) as socket:
        yield socket


async def say(socket: ClientConnection, view: int, paths: list[str]) -> Any:
    """Ask for a view; the server's answer to it, other messages before it passed over."""
    await socket.send(json.dumps({"view": view, "paths": paths}))
    while True:
        message = await socket.recv()
        if isinstance(message, str) and json.loads(message).get("view") == view:
            return json.loads(message)["slots"]


async def until_closed(socket: ClientConnection) -> None:
    while True:
        await socket.recv()


async def frame(socket: ClientConnection) -> dict[str, Any]:
    while True:
        message = await socket.recv()
        if isinstance(message, bytes):
            return decode(message)


async def test_first_every_slot_then_only_what_changed(port: int, works: Any) -> None:
    works.feed({SPEED: 99.5, GOOD: 2**60 + 1, BATCH: "B-7 é"}, 0.25)
    async with stream(port, works) as socket:
        paths = [SPEED, "no/such", BATCH, GOOD, STATE]
        assert await say(socket, 7, paths) == [SPEED, None, BATCH, GOOD, STATE]
        first = await frame(socket)
        assert (first["view"], first["now"]) == (7, NOW_MS)
        assert first["slot"] == [0, 2, 3, 4]
        assert first["time"] == [NOW_MS + 250, NOW_MS + 250, NOW_MS + 250, 0.0]
        assert first["value"][0] == 99.5
        assert np.isnan(first["value"][1])
        assert first["value"][2] == float(2**60 + 1)
        assert first["status"] == [0, 0, 0, status.BAD_WAITING_FOR_INITIAL_DATA]
        assert first["texts"] == [[2, "B-7 é"], [3, str(2**60 + 1)]]
        works.feed({SPEED: 100.0}, 1)
        works.feed({"hall/line2/filler/speed": 5.0}, 1)  # not in view
        works.feed({SPEED: 101.0}, 2)
        second = await frame(socket)
        assert (second["slot"], second["value"], second["time"]) == ([0], [101.0], [NOW_MS + 2000])
        assert second["texts"] == []
        works.live.edge_stale("edge-1", True)
        third = await frame(socket)
        assert third["slot"] == [0, 2, 3]
        assert set(third["status"]) == {status.UNCERTAIN_NO_COMMUNICATION_LAST_USABLE}
        assert third["value"][0] == 101.0


async def test_what_bad_tags_said_while_they_were_good_comes_before_them(port: int, works: Any) -> None:
    works.feed({SPEED: 99.5, BATCH: "B-7"}, 0.25)
    works.feed({SPEED: 1.0, GOOD: 3}, 1, status.BAD_NO_COMMUNICATION)
    async with stream(port, works) as socket:
        await say(socket, 7, ["no/such", SPEED, BATCH, GOOD])
        assert json.loads(await socket.recv()) == {"last_good": [[1, NOW_MS + 250, 99.5]], "of_view": 7}
        assert (await frame(socket))["status"][0] == status.BAD_NO_COMMUNICATION
        works.feed({BATCH: "?"}, 2, status.BAD)
        assert json.loads(await socket.recv()) == {"last_good": [[2, NOW_MS + 250, "B-7"]], "of_view": 7}
        assert (await frame(socket))["slot"] == [2]


async def test_another_view_replaces_the_one_before(port: int, works: Any) -> None:
    works.feed({SPEED: 1.0, "hall/line2/filler/speed": 2.0})
    async with stream(port, works) as socket:
        await say(socket, 1, [SPEED])
        assert (await frame(socket))["value"] == [1.0]
        await say(socket, 2, ["hall/line2/filler/speed"])
        assert (await frame(socket))["value"] == [2.0]
        works.feed({SPEED: 3.0}, 1)
        works.feed({"hall/line2/filler/speed": 4.0}, 1)
        after = await frame(socket)
        assert (after["view"], after["slot"], after["value"]) == (2, [0], [4.0])
        assert await say(socket, 3, []) == []
        assert (await frame(socket))["slot"] == []


async def test_a_new_plant_answers_the_view_again(port: int, works: Any) -> None:
    works.feed({SPEED: 1.0})
    async with stream(port, works) as socket:
        await say(socket, 1, [SPEED, "many/t000000"])
        assert (await frame(socket))["slot"] == [0]
        plant = works.namespace.plant
        kept = tuple(t for t in plant.tags if t.path != GOOD)
        works.live.describe(type(plant)(2, "acme", "lyon", "UTC", kept))
        message = json.loads(await socket.recv())
        assert message == {"view": 1, "slots": [SPEED, None]}
        assert (await frame(socket))["value"] == [1.0]


async def test_beats_tell_edges_and_version(port: int, works: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "BEAT_TICKS", 1)
    async with stream(port, works) as socket:
        assert json.loads(await socket.recv()) == {
            "beat": int(NOW_MS), "edges": {"edge-1": 0.5}, "model_version": 1,
        }  # fmt: skip
        works.crash = True
        while json.loads(await socket.recv())["edges"]:
            pass  # a bug in the state of the edges does not end the stream


async def test_who_is_signed_out_is_cut_off(port: int, works: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "BEAT_TICKS", 1)
    async with stream(port, works) as socket:
        await socket.recv()
        for token in works.security.tokens():
            works.security.revoke_token(token.id)
        with pytest.raises(ConnectionClosed) as closed:
            await until_closed(socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401


NO_VIEWS = [
    b"", b"{", b"[]", b"7", b'{"view": -1, "paths": []}', b'{"view": 4294967296, "paths": []}',
    b'{"view": true, "paths": []}', b'{"view": 1}', b'{"view": 1, "paths": "x"}', b'{"view": 1, "paths": [1]}',
    json.dumps({"view": 1, "paths": ["x"] * (MOST_SLOTS + 1)}).encode(),
]  # fmt: skip


async def test_a_view_that_is_none_ends_the_stream_with_the_reason(port: int, works: Any) -> None:
    for message in NO_VIEWS:
        async with stream(port, works) as socket:
            await socket.send(message.decode(), text=True)
            with pytest.raises(ConnectionClosed) as closed:
                await until_closed(socket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        assert closed.value.rcvd.reason


async def test_strangers_and_other_pages_are_refused_in_the_one_shape(port: int, works: Any) -> None:
    url = f"ws://127.0.0.1:{port}/api/v1/live"
    session = works.security.sign_in_by_link(works.security.first_link(), "test").secret
    cookie = {"Cookie": f"isthmus_session={session}"}
    token = {"Authorization": f"Bearer {works.tokens['viewer']}"}
    for address, headers, code in (
        (url, {}, 401),
        (url, {"Authorization": "Bearer isk_" + "x" * 43}, 401),
        (url, cookie, 403),
        (url, {**cookie, "Origin": "http://evil.example"}, 403),
        (url, {**token, "Origin": "http://evil.example"}, 403),
        (url.replace("127.0.0.1", "evil.example"), token, 421),
        (f"{url}/more", token, 404),
    ):
        with pytest.raises(InvalidStatus) as refused:
            await connect(address, additional_headers=headers, proxy=None, host="127.0.0.1", port=port)
        answer = refused.value.response
        assert answer.status_code == code
        assert answer.headers["content-type"] == "application/problem+json"
        assert json.loads(answer.body)["status"] == code
    async with connect(url, additional_headers={**cookie, "Origin": f"http://127.0.0.1:{port}"}, proxy=None) as socket:
        assert await say(socket, 1, [SPEED]) == [SPEED]
    protocols: Any = ["isthmus.live.v1", f"isthmus.bearer.{works.tokens['viewer']}"]
    async with connect(url, subprotocols=protocols, proxy=None) as socket:
        assert socket.subprotocol == "isthmus.live.v1"
        assert await say(socket, 1, [SPEED]) == [SPEED]


async def test_a_viewer_that_does_not_read_holds_nobody(port: int, works: Any) -> None:
    works.namespace.plant = type(works.namespace.plant)(*_many(20_000))
    works.live.describe(works.namespace.plant)
    paths = [tag.path for tag in works.live.plant.tags]
    async with stream(port, works) as quick:
        host = ("127.0.0.1", port)
        reader, writer = await asyncio.open_connection(*host, limit=1)
        writer.write(
            b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            + f"Authorization: Bearer {works.tokens['viewer']}\r\n\r\n".encode()
        )
        writer.write(_masked(json.dumps({"view": 1, "paths": paths}).encode()))
        await say(quick, 1, paths[:10])
        await frame(quick)
        for turn in range(1, 16):  # 20,000 rows a turn, and the slow one never reads a byte
            works.live.apply([_batch(20_000, turn)], works.clock.now_ns())
            got = await frame(quick)
            assert got["value"] == [float(turn)] * 10
        writer.transport.abort()  # type: ignore[attr-defined]  # a real transport
        del reader


async def test_stopping_ends_streams_at_once_also_those_that_do_not_read(works: Any) -> None:
    app = create_app(works.services)
    loop = asyncio.get_running_loop()
    async with running(app, port=0) as port, stream(port, works) as socket:
        await say(socket, 1, [SPEED])
        assert app.state.live.viewers == 1
        began = loop.time()
        app.state.live.close()
        with pytest.raises(ConnectionClosed) as closed:
            await until_closed(socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1001
    assert loop.time() - began < 10
    assert app.state.live.viewers == 0


@pytest.mark.mission("M85")
async def test_many_viewers_each_get_every_change(port: int, works: Any) -> None:
    works.namespace.plant = type(works.namespace.plant)(*_many(2_000))
    works.live.describe(works.namespace.plant)
    paths = [tag.path for tag in works.live.plant.tags]

    async def watch(number: int) -> dict[int, float]:
        chosen = paths[number * 37 : number * 37 + 1000]
        seen: dict[int, float] = {}
        async with stream(port, works) as socket:
            await say(socket, number, chosen)
            ready.release()
            while set(seen.values()) != {5.0}:
                got = await frame(socket)
                assert got["view"] == number
                seen.update(zip(got["slot"], got["value"], strict=True))
        return seen

    ready = asyncio.Semaphore(0)
    watching = [asyncio.create_task(watch(number)) for number in range(20)]
    for _ in watching:
        await ready.acquire()
    for turn in range(1, 6):
        works.live.apply([_batch(2_000, turn)], works.clock.now_ns())
        await asyncio.sleep(0)
    for number, seen in enumerate(await asyncio.gather(*watching)):
        assert len(seen) == min(1000, 2000 - number * 37)


def _many(count: int) -> Any:
    tags = tuple(
        Tag(id=i, path=f"many/t{i:06d}", asset="many", name=f"t{i}", kind="value", type=ValueType.FLOAT, edge="edge-1")
        for i in range(count)
    )
    return 1, "acme", "lyon", "UTC", tags


def _batch(count: int, turn: int) -> SampleBatch:
    time_ns = 1_700_000_000 * NS_PER_S + turn
    return SampleBatch(
        np.arange(count, dtype=np.int32), np.full(count, time_ns), np.full(count, float(turn)), np.zeros(count, np.uint32)
    )  # fmt: skip


def _masked(payload: bytes) -> bytes:
    """A WebSocket text frame with a mask of zeros."""
    return struct.pack("!BBQI", 0x81, 0x80 | 127, len(payload), 0) + payload

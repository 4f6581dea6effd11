"""Who is revoked is cut off at once: real WebSockets and downloads, without waiting for a beat or a clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from isthmus.security.model import Role
from isthmus.web import live as live_module

PASSWORD = "correct horse battery"
SPEED = "hall/line1/filler/speed"
PIN, BADGE = "903817", "04A1B2C3"

pytestmark = [pytest.mark.real("uvicorn", "websockets"), pytest.mark.mission("M36")]


@pytest.fixture(autouse=True)
def no_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow way to learn of it, the beat every two seconds, never comes in these tests."""
    monkeypatch.setattr(live_module, "BEAT_TICKS", 10**9)


@asynccontextmanager
async def watching(port: int, **headers: str) -> AsyncIterator[ClientConnection]:
    origin = f"http://127.0.0.1:{port}"
    async with connect(
        f"ws://127.0.0.1:{port}/api/v1/live",
        additional_headers={"Origin": origin, **headers},
        proxy=None,
        compression=None,
    ) as socket:
        await socket.send(json.dumps({"view": 1, "paths": [SPEED]}))
        while True:
            message = await socket.recv()
            if isinstance(message, str) and json.loads(message).get("view") == 1:
                break
        yield socket


async def closed_with(socket: ClientConnection) -> int:
    async def until_closed() -> None:
        while True:
            await socket.recv()

    with pytest.raises(ConnectionClosed) as closed:
        await asyncio.wait_for(until_closed(), 30)  # no beat comes: it is at once, or never
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


def ways(works: Any) -> dict[str, tuple[dict[str, str], Callable[[], Any]]]:
    """What proves who one is, and what ends that."""
    security = works.security
    security.create_user("ana", Role.OPERATOR, PASSWORD)
    security.change_user("ana", badge=BADGE)
    security.change_user("ana", pin=PIN)

    def session() -> Any:
        return security.sign_in("ana", PASSWORD, "here")

    def cookie(secret: str, station: str = "") -> dict[str, str]:
        return {"Cookie": f"isthmus_session={secret}" + (f"; isthmus_station={station}" if station else "")}

    kiosk, _ = security.stations.enrol(security.stations.create("line 1", ["hall"], "x"), "here")
    at_station = security.stations.sign_in(BADGE, PIN, kiosk, "here")
    secret, token = security.create_token("script", Role.VIEWER, "x")
    out, other, closed, role, password = session(), session(), session(), session(), session()
    emergency = security.emergency.sign_in(security.emergency.make("x"), "here")
    return {
        "signing out": (cookie(out.secret), lambda: security.sign_out(out.principal)),
        "an administrator": (cookie(other.secret), lambda: security.end_session(other.principal.key[:16], "root")),
        "a revoked token": ({"Authorization": f"Bearer {secret}"}, lambda: security.revoke_token(token.id)),
        "a removed station": (cookie(at_station.secret, kiosk), lambda: security.stations.remove("line 1", "root")),
        "a new password": (
            cookie(password.secret),
            lambda: security.set_password(session().principal, "ana", "drei blaue Elche", PASSWORD, "here"),
        ),
        "another role": (cookie(role.secret), lambda: security.change_user("ana", role=Role.VIEWER)),
        "a closed account": (cookie(closed.secret), lambda: security.change_user("ana", disabled=True)),
        "a new break-glass credential": (cookie(emergency.secret), lambda: security.emergency.make("x")),
    }


@pytest.mark.parametrize(
    "way",
    ["signing out", "an administrator", "a revoked token", "a removed station", "a new password", "another role", "a closed account", "a new break-glass credential"],
)  # fmt: skip
async def test_a_live_stream_ends_at_once(port: int, works: Any, way: str) -> None:
    headers, end = ways(works)[way]
    async with (
        watching(port, **headers) as socket,
        watching(port, Authorization=f"Bearer {works.tokens['viewer']}") as other,
    ):
        await asyncio.to_thread(end)
        assert await closed_with(socket) == 4401
        works.feed({SPEED: 7.0}, 1)
        await asyncio.wait_for(other.recv(), 30)  # others go on
    with pytest.raises(InvalidStatus) as refused:
        async with watching(port, **headers):
            pass
    assert refused.value.response.status_code == 401


async def test_a_session_under_a_new_key_keeps_its_stream(port: int, works: Any) -> None:
    security = works.security
    security.create_user("ana", Role.OPERATOR, PASSWORD)
    entered = security.sign_in("ana", PASSWORD, "here")
    async with watching(port, Cookie=f"isthmus_session={entered.secret}") as socket:
        await socket.recv()
        moved = await asyncio.to_thread(security.rotate, entered.principal)
        works.feed({SPEED: 7.0}, 1)
        await asyncio.wait_for(socket.recv(), 30)
        await asyncio.to_thread(security.sign_out, moved.principal)
        assert await closed_with(socket) == 4401


async def test_revoked_between_the_door_and_the_seat_is_refused(
    port: int, works: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, token = works.security.create_token("script", Role.VIEWER, "x")
    verify = works.security.verify

    def revoked_meanwhile(*args: Any, **more: Any) -> Any:
        found = verify(*args, **more)
        monkeypatch.setattr(works.security, "verify", verify)
        works.security.revoke_token(token.id)
        return found

    monkeypatch.setattr(works.security, "verify", revoked_meanwhile)
    with pytest.raises(InvalidStatus) as refused:
        async with watching(port, Authorization=f"Bearer {secret}"):
            pass
    assert refused.value.response.status_code == 401


def endless(sent: asyncio.Event, go: asyncio.Event, ended: asyncio.Event) -> Callable[[object], AsyncIterator[bytes]]:
    async def stream(_: object) -> AsyncIterator[bytes]:
        try:
            yield b"tag,time,value,status\n"
            yield b"0,1,2,0\n" * 10
            sent.set()
            await go.wait()
            while True:
                yield b"0,1,2,0\n" * 10
                await asyncio.sleep(0)
        finally:
            ended.set()

    return stream


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_a_long_answer_stops_at_its_next_part_and_is_not_taken_for_whole(
    port: int, works: Any, encoding: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret, token = works.security.create_token("script", Role.VIEWER, "x")
    sent, go, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
    works.history.stream = endless(sent, go, ended)
    headers = {"Authorization": f"Bearer {secret}", "Accept": "text/csv", "Accept-Encoding": encoding}
    url = f"http://127.0.0.1:{port}/api/v1/history"
    async with httpx.AsyncClient(trust_env=False, headers=headers, timeout=30, verify=False) as client:

        async def download() -> None:
            async with client.stream("GET", url, params={"tag": SPEED, "shape": "raw"}) as answer:
                assert answer.status_code == 200
                async for _ in answer.aiter_raw():
                    pass

        loading = asyncio.create_task(download())
        await asyncio.wait_for(sent.wait(), 30)
        works.security.revoke_token(token.id)
        go.set()
        with pytest.raises(httpx.RemoteProtocolError):
            await asyncio.wait_for(loading, 10)
    await asyncio.wait_for(ended.wait(), 10)
    assert "was revoked" in caplog.text
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_somebody_elses_revocation_tears_no_answer(port: int, works: Any) -> None:
    _, token = works.security.create_token("script", Role.VIEWER, "x")
    sent, go, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def stream(_: object) -> AsyncIterator[bytes]:
        yield b"tag,time,value,status\n"
        yield b"0,1,2,0\n"
        sent.set()
        await go.wait()
        yield b"0,2,2,0\n"
        ended.set()

    works.history.stream = stream
    headers = {"Authorization": f"Bearer {works.tokens['viewer']}", "Accept": "text/csv"}
    async with httpx.AsyncClient(trust_env=False, headers=headers, timeout=30, verify=False) as client:
        url = f"http://127.0.0.1:{port}/api/v1/history"
        loading = asyncio.create_task(client.get(url, params={"tag": SPEED, "shape": "raw"}))
        await asyncio.wait_for(sent.wait(), 30)
        works.security.revoke_token(token.id)
        go.set()
        answer: httpx.Response = await loading
    assert answer.text.endswith("0,2,2,0\n")

"""How long who was revoked stays connected: a session and a token on the live stream, an edge of another machine on the bus.

Everything runs as in a plant: the command in processes of its own, HTTPS, mTLS on the bus. The time is from the moment the
administrator's request is sent to the moment the other side sees its link end.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Origin

from isthmus.app.datadir import DataDir
from isthmus.app.join import join
from isthmus.bench.system import System
from isthmus.bus.broker import BusAddress, edge_user, free_port
from isthmus.bus.client import Bus
from isthmus.values.errors import TryLater

BUDGET: dict[str, tuple[str, float]] = {
    "revoke_session_max_ms": ("<=", 1000.0),
    "revoke_token_max_ms": ("<=", 1000.0),
    "revoke_edge_max_ms": ("<=", 1000.0),
}
PATIENCE_S = 30.0


async def _seen_ms(revoke: Callable[[], Any], gone: Awaitable[Any]) -> float:
    waiting = asyncio.ensure_future(gone)
    began = time.monotonic()
    await asyncio.to_thread(revoke)
    await asyncio.wait_for(waiting, PATIENCE_S)
    return (time.monotonic() - began) * 1e3


async def _closed(socket: ClientConnection) -> None:
    try:
        while True:
            await socket.recv()
    except ConnectionClosed:
        return


async def _cut(bus: Bus) -> None:
    while bus.connected:
        await asyncio.sleep(0.002)


class _Rig:
    """A system that edges of other machines may reach, and what is needed to come to it as somebody else."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.system = folder, System(folder / "core")
        (folder / "core").mkdir()
        (folder / "core" / "isthmus.toml").write_text(
            f'[web]\nhttps = true\n[bus]\nlisten = "127.0.0.1:{free_port()}"\n[disk]\nreserve_mb = 16\n'
        )

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(DataDir(self.folder / "core").tls / "ca.crt"))

    async def watch(self, headers: dict[str, str]) -> ClientConnection:
        place = f"localhost:{self.system.port}"
        origin = Origin(f"https://{place}")
        socket = await connect(
            f"wss://{place}/api/v1/live", origin=origin, additional_headers=headers, ssl=self.context()
        )
        await socket.send(json.dumps({"view": 1, "paths": []}))
        return socket

    def enter(self, link: str) -> str:
        """Sign in by a one-time link; the cookie."""
        connection = http.client.HTTPSConnection("localhost", self.system.port, timeout=20, context=self.context())
        try:
            body = json.dumps({"link": link.rpartition("=")[2]})
            connection.request("POST", "/api/v1/session/link", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            return str(answer.headers["Set-Cookie"]).partition(";")[0]
        finally:
            connection.close()


async def _session_ms(rig: _Rig, number: int) -> float:
    name, call = f"guest{number}", rig.system.call
    made = await asyncio.to_thread(call, "POST", "users", {"name": name, "role": "viewer"})
    cookie = await asyncio.to_thread(rig.enter, made["link"])
    socket = await rig.watch({"Cookie": cookie})
    return await _seen_ms(lambda: call("DELETE", f"users/{name}/sessions"), _closed(socket))


async def _token_ms(rig: _Rig, number: int) -> float:
    call = rig.system.call
    made = await asyncio.to_thread(call, "POST", "tokens", {"name": f"program{number}", "role": "viewer"})
    socket = await rig.watch({"Authorization": f"Bearer {made['token']}"})
    listed = await asyncio.to_thread(call, "GET", "tokens")
    ident = next(t["id"] for t in listed["tokens"] if t["name"] == f"program{number}")
    return await _seen_ms(lambda: call("DELETE", f"tokens/{ident}"), _closed(socket))


async def _edge_ms(rig: _Rig, number: int) -> float:
    name, call, home = f"far-{number}", rig.system.call, DataDir(rig.folder / f"far-{number}")
    invited = await asyncio.to_thread(call, "POST", "edges/invites", {"edge": name})
    while True:
        try:
            await asyncio.to_thread(join, invited["token"], home)
            break
        except TryLater:  # joining is braked: so many a minute from one address
            await asyncio.sleep(5)
    bus = Bus(BusAddress.load(home.bus.address_file(edge_user(name))), logging.getLogger("isthmus.bench.edge"))
    await bus.connect()
    try:
        return await _seen_ms(lambda: call("DELETE", f"edges/enrolled/{name}"), _cut(bus))
    finally:
        await bus.close()


async def measure(times: int) -> dict[str, float]:
    """Figures by name, in ms; the longest and the middle of so many."""
    figures: dict[str, float] = {}
    logging.getLogger("isthmus.bench.edge").disabled = True  # it is about to be cut off, and would say so
    with tempfile.TemporaryDirectory() as place:
        rig = _Rig(Path(place))
        async with rig.system:
            for what, way in (("session", _session_ms), ("token", _token_ms), ("edge", _edge_ms)):
                took = sorted([await way(rig, number) for number in range(times)])
                figures |= {f"revoke_{what}_max_ms": took[-1], f"revoke_{what}_p50_ms": took[len(took) // 2]}
    return figures

"""A core and an edge with data directories of their own, in processes of their own, and TLS really on between them."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import logging
import signal
import socket
import ssl
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from isthmus.app.datadir import DataDir
from isthmus.app.enrolment import TOKEN, Ticket
from isthmus.app.join import join, renew
from isthmus.bench.system import System, environment
from isthmus.bus import subjects
from isthmus.bus.broker import BusAddress, edge_user, free_port
from isthmus.bus.client import Bus
from isthmus.simulators.modbus import Memory, ModbusServer
from isthmus.values.clock import ManualClock, SystemClock
from isthmus.values.errors import Denied, NotConnected, TryLater

pytestmark = [pytest.mark.real("nats-server", "chdb", "openssl"), pytest.mark.mission("M78", "M76")]

PLANT = """
plant: {{enterprise: e, site: s, timezone: UTC}}
connections:
  near: {{driver: modbus-tcp, host: 127.0.0.1, port: {port}, edge: edge-1, poll: 200 ms}}
  far: {{driver: modbus-tcp, host: 127.0.0.1, port: {port}, edge: hall-2, poll: 200 ms}}
types:
  pump: {{tags: {{speed: {{unit: 1/min, decimals: 0, at: "hr 0 uint16"}}}}}}
assets:
  a/near: {{type: pump, source: near}}
  a/far: {{type: pump, source: far}}
"""
FAR = "hall-2"


async def until(look: Any, what: str, timeout_s: float = 60) -> Any:
    deadline, found = time.monotonic() + timeout_s, None
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, KeyError):
            found = await asyncio.to_thread(look)
            if found:
                return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"{what}: not within {timeout_s:g} s, last seen {found!r}")


def over_https(port: int, root: Path, method: str, path: str, body: Any = None) -> tuple[int, Any, Any]:
    context = ssl.create_default_context(cafile=str(root))
    connection = http.client.HTTPSConnection("localhost", port, timeout=10, context=context)
    try:
        connection.request(
            method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def said_without_certificate(port: int) -> bytes:
    """What the bus tells a client that shows no certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
        try:
            with context.wrap_socket(raw) as link:
                return link.recv(100)
        except (ssl.SSLError, ConnectionError):
            return b""


@contextlib.asynccontextmanager
async def edge_process(folder: Path):
    with (folder.parent / "far.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "isthmus", "edge", "--name", FAR, "--data", str(folder)),
            stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=environment(),
        )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await process.wait()


async def test_an_edge_of_another_machine_joins_works_and_is_cut_off(tmp_path: Path) -> None:
    core, far, bus_port = tmp_path / "core", tmp_path / "far", free_port()
    core.mkdir()
    (core / "isthmus.toml").write_text(
        f'[web]\nhttps = true\n[bus]\nlisten = "127.0.0.1:{bus_port}"\n[disk]\nreserve_mb = 16\n'
    )
    far.mkdir()
    (far / "isthmus.toml").write_text("[disk]\nreserve_mb = 16\n")
    memory = Memory.sized()
    device = ModbusServer("127.0.0.1", 0, {1: memory})
    await device.start()
    system = System(core)
    try:
        await system.start()
        await until(lambda: "https://localhost" in system.log(), "it says where it is")
        await asyncio.to_thread(system.apply, PLANT.format(port=device.port))

        def states() -> dict[str, str]:
            return {e["name"]: e["state"] for e in system.call("GET", "site")["edges"]}

        def value(asset: str) -> Any:
            found = system.call("GET", f"tags/values?under=a/{asset}")["values"]
            return found[0] if found else None

        await until(lambda: states()["edge-1"] == "running", "the local edge runs over TLS")

        # HTTPS with our root, its page for tablets, and strict headers on what a name would get
        root = DataDir(core).tls / "ca.crt"
        status, headers, body = await asyncio.to_thread(over_https, system.port, root, "GET", "/ca.crt")
        assert (status, body) == (200, root.read_bytes())
        assert headers["Content-Type"] == "application/x-x509-ca-cert"
        status, _, body = await asyncio.to_thread(over_https, system.port, root, "GET", "/trust")
        assert status == 200
        assert b"isthmus certificate show" in body

        # nobody without a certificate gets as far as saying a password
        plain = BusAddress.load(DataDir(core).bus.address_file(edge_user("edge-1")))
        assert plain.url.startswith("tls://")
        with socket.create_connection(("127.0.0.1", bus_port), timeout=5) as link:
            link.sendall(b"CONNECT {}\r\nPING\r\n")
            assert b"INFO" not in link.recv(100), "the bus does not even greet in plain text"
        assert await asyncio.to_thread(said_without_certificate, bus_port) == b""

        # the invitation, and what forged and used ones meet
        text = (await asyncio.to_thread(system.call, "POST", "edges/invites", {"edge": FAR}))["token"]
        ticket = Ticket.parse(text)
        assert ticket.secret not in repr(ticket)
        forged = Ticket(FAR, ticket.host, ticket.port, ticket.root, "x" * 43).text()
        refused = {"token": "y" * 43, "request": "no request", "nkey": "U" + "A" * 55}
        status, _, body = await asyncio.to_thread(over_https, system.port, root, "POST", "/api/v1/edges/enrol", refused)
        assert (status, json.loads(body)["code"]) == (422, "invalid")
        assert b"yyy" not in body
        with pytest.raises(Denied, match="was used, has ended, or was never made here"):
            await asyncio.to_thread(join, forged, DataDir(far))
        elsewhere = Ticket(FAR, ticket.host, ticket.port, "0" * 64, ticket.secret).text()
        with pytest.raises(NotConnected, match="fingerprint of its root differs"):
            await asyncio.to_thread(join, elsewhere, DataDir(far))
        assert await asyncio.to_thread(join, text, DataDir(far)) == FAR
        with pytest.raises(Denied, match="was used"):
            await asyncio.to_thread(join, text, DataDir(tmp_path / "thief"))
        address = BusAddress.load(DataDir(far).bus.address_file(edge_user(FAR)))
        assert address.seed not in repr(address)
        assert not address.password
        for file in (DataDir(far).bus.folder).iterdir():
            assert file.stat().st_mode & 0o077 == 0, file

        # samples flow; the local edge never stopped
        async with edge_process(far):
            await until(lambda: states().get(FAR) == "running", "the far edge is heard")
            memory.hr[0] = 1234
            first = await until(lambda: (v := value("far")) and v["value"] == 1234 and v, "its value is seen")
            await until(lambda: value("near")["value"] == 1234, "so is that of the local edge")
            listed = await asyncio.to_thread(system.call, "GET", "edges/enrolled")
            assert [e["edge"] for e in listed["edges"]] == [FAR]

            # its certificate goes on over its own link, and it can ask for nobody else's
            ahead, file = ManualClock(time.time_ns() + 61 * 86_400 * 10**9), Path(address.certificate)
            before, second = file.read_bytes(), Bus(address, logging.getLogger("second"))
            await second.connect()
            assert not await renew(second, file, FAR, SystemClock()), "nothing is due yet"
            assert await renew(second, file, FAR, ahead)
            assert file.read_bytes() != before
            with pytest.raises((TryLater, NotConnected)):
                await second.request(subjects.enrol("edge-1"), b"", timeout_s=0.5)
            again = Bus(BusAddress.load(DataDir(far).bus.address_file(edge_user(FAR))), logging.getLogger("again"))
            await again.connect()  # by the new certificate
            await again.close()

            # cut off: at once, and only it
            await asyncio.to_thread(system.call, "DELETE", "edges/enrolled/hall-2")
            cut = [line for line in DataDir(core).bus.log.read_text().splitlines() if "Reloaded" in line]
            assert cut, "when the answer comes, the bus has followed"
            await until(lambda: not second.connected, "its links end")
            await second.close()
            assert "bus is gone" not in system.log()
            memory.hr[0] = 4321
            await until(lambda: value("near")["value"] == 4321, "the local edge goes on")
            far_log = tmp_path / "far.log"
            await until(lambda: "the bus refuses edge-hall-2" in far_log.read_text(), "the far edge is told")
            await until(lambda: states()[FAR] == "silent", "the far edge is silent")
            assert value("far")["value"] == first["value"], "nothing of it came after it was cut off"
    finally:
        await system.stop()
        await device.stop()
    assert "Traceback" not in system.log()
    for name in ("far.log", "core.log"):
        said = (tmp_path / name).read_text()
        for secret in (ticket.secret, address.seed, TOKEN):
            assert secret not in said

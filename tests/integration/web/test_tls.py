from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from isthmus.app.ca import Authority
from isthmus.app.renewal import Renewal, Shown
from isthmus.app.settings import Settings
from isthmus.bus.broker import BrokerFiles
from isthmus.values.clock import ManualClock, SystemClock
from isthmus.web.api import create_app
from isthmus.web.server import running

SPEED = "hall/line1/filler/speed"

pytestmark = [pytest.mark.real("uvicorn", "openssl"), pytest.mark.mission("M78")]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    authority = Authority(tmp_path / "tls", SystemClock())
    authority.server(["hall.local", "localhost", "127.0.0.1"])
    return authority


async def ask(port: int, said: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(said)
        return await asyncio.wait_for(reader.read(), 60)
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def handshake(port: int, root: Path, **more: Any) -> tuple[bytes, str, str]:
    """Certificate, version and cipher of a link."""
    context = ssl.create_default_context(cafile=str(root))
    for name, value in more.items():
        getattr(context, name)(value) if callable(getattr(context, name)) else setattr(context, name, value)
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="hall.local")
    link = writer.get_extra_info("ssl_object")
    found = link.getpeercert(binary_form=True), link.version(), link.cipher()[0]
    writer.close()
    return found


async def test_only_tls_from_1_2_on_with_forward_secrecy(works: Any, authority: Authority) -> None:
    shown, root = Shown(authority.shown_file), authority.root_file
    async with running(create_app(works.services), port=0, tls=shown.context) as port:
        assert (await handshake(port, root))[1] == "TLSv1.3"
        _, version, cipher = await handshake(port, root, maximum_version=ssl.TLSVersion.TLSv1_2)
        assert version == "TLSv1.2"
        assert cipher.startswith("ECDHE-")
        assert "GCM" in cipher or "CHACHA20" in cipher
        for weak in ("AES256-GCM-SHA384", "ECDHE-ECDSA-AES256-SHA384:ECDHE-ECDSA-AES128-SHA"):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await handshake(port, root, maximum_version=ssl.TLSVersion.TLSv1_2, set_ciphers=f"{weak}:@SECLEVEL=0")
        for old in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            with pytest.warns(DeprecationWarning, match="deprecated"):
                context.minimum_version = context.maximum_version = old
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await asyncio.open_connection("127.0.0.1", port, ssl=context)


async def test_plain_http_is_sent_on_or_refused(works: Any, authority: Authority) -> None:
    async with running(create_app(works.services), port=0, tls=Shown(authority.shown_file).context) as port:
        page = await ask(port, f"GET /overview?a=1 HTTP/1.1\r\nHost: hall.local:{port}\r\n\r\n".encode())
        assert page.startswith(b"HTTP/1.1 308 ")
        assert f"Location: https://hall.local:{port}/overview?a=1\r\n".encode() in page
        for said in (
            b"GET /api/v1/site HTTP/1.1\r\nHost: hall.local\r\nAuthorization: Bearer isk_x\r\n\r\n",
            b"POST /overview HTTP/1.1\r\nHost: hall.local\r\n\r\n",
            b"GET /x HTTP/1.1\r\n\r\n",
            b"GET /x HTTP/1.1\r\nHost: evil.example/%0d%0a\r\n\r\n",
        ):
            answer = await ask(port, said)
            assert answer.startswith(b"HTTP/1.1 403 "), said
            assert b'"code":"https_only"' in answer
            assert b"Location" not in answer
        assert await ask(port, b"\x00\x01hello\r\n\r\n") == b""
        assert await ask(port, b"SSH-2.0-x\xff\r\n") == b""


async def test_names_get_strict_transport_and_this_machine_does_not(works: Any, authority: Authority) -> None:
    works.services.hosts = ("hall.local",)
    async with (
        running(create_app(works.services), port=0, tls=Shown(authority.shown_file).context) as port,
        httpx.AsyncClient(verify=ssl.create_default_context(cafile=str(authority.root_file)), trust_env=False) as http,
    ):
        here = await http.get(f"https://localhost:{port}/api/v1/health")
        assert "strict-transport-security" not in here.headers
        there = await http.get(f"https://127.0.0.1:{port}/api/v1/health", headers={"Host": "hall.local"})
        assert there.headers["strict-transport-security"] == "max-age=31536000"


async def test_a_renewed_certificate_is_shown_while_old_links_go_on(works: Any, tmp_path: Path) -> None:
    clock = ManualClock(SystemClock().now_ns())
    authority = Authority(tmp_path / "tls", clock)
    settings = Settings()
    authority.server(["localhost", "127.0.0.1", "::1", "hall.local"])
    shown = Shown(authority.shown_file)
    renewal = Renewal(authority, settings, BrokerFiles(tmp_path / "bus"), shown, logging.getLogger("x"))
    context = ssl.create_default_context(cafile=str(authority.root_file))
    question = b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with running(create_app(works.services), port=0, tls=shown.context) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        writer.write(question)
        assert b"200 OK" in await reader.readuntil(b'"ok"}')
        first = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        await asyncio.to_thread(renewal.tend)
        assert (await handshake(port, authority.root_file))[0] == first, "nothing is due yet"
        clock.advance(61 * 86_400 - 7200)
        clock.advance(7200 - 61 * 86_400)  # made as of now, so that the client's own clock believes it
        authority.renew()
        authority.server(["localhost", "127.0.0.1", "::1", "hall.local"])
        await asyncio.to_thread(renewal.tend)
        assert (await handshake(port, authority.root_file))[0] != first
        writer.write(question)
        assert b"200 OK" in await reader.readuntil(b'"ok"}')
        writer.close()


async def test_those_who_say_nothing_hold_nobody_up(works: Any, authority: Authority) -> None:
    async with running(create_app(works.services), port=0, tls=Shown(authority.shown_file).context) as port:
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
        try:
            assert (await handshake(port, authority.root_file))[1] == "TLSv1.3"
        finally:
            for link in silent:
                link.close()


async def test_who_keeps_links_open_without_a_word_pushes_out_only_their_own_oldest(
    works: Any, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isthmus.web.tls.MOST_STRANGERS", 5)
    async with running(create_app(works.services), port=0, tls=Shown(authority.shown_file).context) as port:
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]
        try:
            assert (await handshake(port, authority.root_file))[1] == "TLSv1.3"
        finally:
            for link in silent:
                link.close()


async def test_the_python_client_trusts_the_file_it_was_given_and_nothing_else(
    works: Any, authority: Authority, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from isthmus.client import Unreachable, connect

    token = works.security.create_token("notebook", "viewer", "test")[0]
    works.feed({SPEED: 50.0})
    nonsense = tmp_path / "x.pem"
    nonsense.write_text("no certificate")
    for wrong in (nonsense, tmp_path / "gone.pem"):
        with pytest.raises(ValueError, match="ca_file must be a certificate in PEM"):
            connect("https://localhost:1", token, ca_file=wrong)
    async with running(create_app(works.services), port=0, tls=Shown(authority.shown_file).context) as port:
        url = f"https://localhost:{port}"

        def asks(**more: Any) -> int:
            with connect(url, token, **more) as plant:
                told = plant.live([SPEED])
                assert next(told).path == SPEED
                told.close()  # type: ignore[attr-defined]  # a generator, told as an iterator
                return len(plant.tags())

        assert await asyncio.to_thread(asks, ca_file=authority.root_file) > 0
        with pytest.raises(Unreachable, match="certificate verify failed"):
            await asyncio.to_thread(asks)
        monkeypatch.setenv("ISTHMUS_CA_FILE", str(authority.root_file))
        assert await asyncio.to_thread(asks) > 0

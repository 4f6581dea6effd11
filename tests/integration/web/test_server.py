from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from isthmus.values.errors import ConfigError
from isthmus.web.api import create_app
from isthmus.web.server import bind, running, serve

pytestmark = pytest.mark.real("uvicorn")


def client(port: int, **more: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, verify=False, **more)


async def test_a_taken_port_is_named_with_what_to_do(works: Any) -> None:
    async with running(create_app(works.services), port=0) as port:
        with pytest.raises(ConfigError, match=rf"{port} .*taken.*--port"):
            async with running(create_app(works.services), port=port):
                pass


def test_a_host_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match=r"host: .*192\.0\.2\.1"):
        bind("192.0.2.1", 0)
    with pytest.raises(ConfigError, match="host: "):
        bind("no such host", 0)


async def test_it_stops_when_told_and_leaves_the_port(works: Any) -> None:
    stop = asyncio.Event()
    port: asyncio.Future[int] = asyncio.Future()
    serving = asyncio.create_task(serve(create_app(works.services), port=0, stop=stop, started=port.set_result))
    async with client(await port) as http:
        assert (await http.get("/api/v1/health")).json() == {"status": "ok"}
    stop.set()
    await serving
    bind("127.0.0.1", port.result()).close()


async def test_it_stops_when_cancelled(works: Any) -> None:
    port: asyncio.Future[int] = asyncio.Future()
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(create_app(works.services), port=0, stop=stop, started=port.set_result))
    await port
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    with pytest.raises(OSError, match=r".*"), socket.socket() as probe:
        probe.connect(("127.0.0.1", port.result()))


async def test_signals_stay_with_the_host(works: Any) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with running(create_app(works.services), port=0):
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


@pytest.fixture
def pair(tmp_path: Path) -> dict[str, Path]:
    """A certificate made for this test."""
    pair = {"certificate": tmp_path / "cert.pem", "key": tmp_path / "key.pem"}
    try:
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1",
             "-keyout", str(pair["key"]), "-out", str(pair["certificate"])],
            check=True, capture_output=True,
        )  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("openssl is not here")
    return pair


async def test_https(works: Any, pair: dict[str, Path]) -> None:
    link = works.security.first_link()
    async with (
        running(create_app(works.services), port=0, **pair) as port,
        httpx.AsyncClient(base_url=f"https://127.0.0.1:{port}", trust_env=False, verify=False) as http,
    ):
        assert (await http.get("/api/v1/health")).json() == {"status": "ok"}
        entered = await http.post("/api/v1/session/link", json={"link": link})
        assert "Secure" in entered.headers["set-cookie"]


async def test_a_certificate_that_does_not_load_is_named(works: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="certificate"):
        async with running(create_app(works.services), port=0, certificate=tmp_path / "none", key=tmp_path / "none"):
            pass


# The screens


@pytest.fixture
def built(works: Any) -> Path:
    folder: Path = works.services.static
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>Isthmus</title>")
    (folder / "favicon.svg").write_text("<svg/>")
    (folder / "assets" / "app-1a2b.js").write_text("export {}")
    (folder / "assets" / "app-1a2b.js.br").write_bytes(b"brotli")
    (folder / "assets" / "app-1a2b.js.gz").write_bytes(b"gzip")
    (folder / ".secret").write_text("x")
    (folder.parent / "outside.txt").write_text("x")
    return folder


async def test_screens_come_as_files_with_the_right_headers(works: Any, built: Path, port: int) -> None:
    async with client(port, headers={"Accept-Encoding": "identity"}) as http:
        for path in ("/", "/trends", "/asset/hall/line1", "/index.html", "/a.b"):
            page = await http.get(path)
            assert page.text.startswith("<!doctype html>")
            assert page.headers["cache-control"] == "no-store"
            assert "script-src 'self'" in page.headers["content-security-policy"]
        script = await http.get("/assets/app-1a2b.js")
        assert script.text == "export {}"
        assert script.headers["content-type"] == "text/javascript; charset=utf-8"
        assert script.headers["cache-control"] == "public, max-age=31536000, immutable"
        again = await http.get("/assets/app-1a2b.js", headers={"If-None-Match": script.headers["etag"]})
        assert again.status_code == 304
        icon = await http.get("/favicon.svg")
        assert (icon.headers["content-type"], icon.headers["cache-control"]) == ("image/svg+xml", "no-cache")
        head = await http.head("/favicon.svg")
        assert (head.text, head.headers["content-length"]) == ("", "6")


async def test_packed_files_are_preferred(works: Any, built: Path, port: int) -> None:
    async with client(port) as http:
        for accepts, encoding in (("gzip, br", "br"), ("gzip", "gzip"), ("identity", None)):
            async with http.stream("GET", "/assets/app-1a2b.js", headers={"Accept-Encoding": accepts}) as answer:
                assert answer.headers.get("content-encoding") == encoding
                assert answer.headers["vary"] == "Accept-Encoding"


async def test_nothing_outside_the_folder_is_shown(works: Any, built: Path, port: int) -> None:
    index = (built / "index.html").read_bytes()
    for path in (
        b"/../outside.txt",
        b"/%2e%2e/outside.txt",
        b"/assets/..%2f..%2foutside.txt",
        b"/.secret",
        b"//etc/passwd",
        b"/..%5coutside.txt",
        b"/a%00b",
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        assert answer.endswith(index) or b"404" in answer.split(b"\r\n")[0], path
    async with client(port) as http:
        missing = await http.get("/assets/old-9z.js")
        assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
        wrong = await http.post("/trends")
        assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")


async def test_screens_that_are_not_built_say_how_to_build_them(port: int) -> None:
    async with client(port) as http:
        page = await http.get("/overview")
        assert page.status_code == 503
        assert "make setup" in page.text
        assert page.headers["content-type"].startswith("text/html")

"""HTTPS: what a listener shows, and what it says to somebody who speaks plain HTTP to it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

from isthmus.values.errors import ConfigError

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2; those of 1.3 are all forward secret and authenticated."""
GREETING_S: Final = 10.0
"""Who has not begun to speak, or not finished the handshake, by then is closed."""
MOST_STRANGERS: Final = 2000
"""Links whose handshake is not over; for one more the oldest has to go, so that nobody is kept out by those who say nothing."""
_HANDSHAKE: Final = b"\x16"
_REQUEST = re.compile(rb"(GET|HEAD) (/[!-~]{0,2000}) HTTP/1\.[01]\r?\n")
_METHOD = re.compile(rb"[A-Z]{1,20}( |\Z)")
_HOST = re.compile(rb"\r?\nhost:[ \t]*([A-Za-z0-9.:\[\]_-]{1,260})[ \t]*\r?\n", re.IGNORECASE)


def server_context(certificate: Path, key: Path | None = None) -> ssl.SSLContext:
    """For a listener: TLS 1.2 or newer, forward secret and authenticated ciphers only.

    Raises: ConfigError naming the file
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    show(context, certificate, key)
    return context


def show(context: ssl.SSLContext, certificate: Path, key: Path | None = None) -> None:
    """Have a context show a certificate from the next handshake on; links that are open go on.

    Raises: ConfigError naming the file
    """
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"certificate: {certificate} does not load ({error})" + (f" with key {key}" if key else "")
        ) from None


class Front:
    """Accepts links, hands those that begin with a TLS handshake on, and tells the others to come by HTTPS."""

    def __init__(self, listener: socket.socket, make: Callable[[], asyncio.Protocol], context: ssl.SSLContext) -> None:
        self._listener, self._make, self._context = listener, make, context
        self._strangers: dict[
            asyncio.Task[None], socket.socket | None
        ] = {}  # the oldest first; None once the loop has it
        self._task = asyncio.create_task(self._accept(), name="https front")

    async def close(self) -> None:
        """Accept no more; links that were handed on go on."""
        tasks = [self._task, *self._strangers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                link, _ = await loop.sock_accept(self._listener)
            except OSError:  # too many files are open, or the other side has gone again
                await asyncio.sleep(0.05)
                continue
            if len(self._strangers) >= MOST_STRANGERS:
                next(iter(self._strangers)).cancel()
            task = asyncio.create_task(self._greet(link), name="https greeting")
            self._strangers[task] = link
            task.add_done_callback(self._gone)

    def _gone(self, task: asyncio.Task[None]) -> None:
        link = self._strangers.pop(task, None)
        if link is not None:
            link.close()

    async def _greet(self, link: socket.socket) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        with contextlib.suppress(OSError, TimeoutError, EOFError):  # ssl.SSLError is an OSError
            async with asyncio.timeout(GREETING_S):
                await _readable(link)
                first = link.recv(1, socket.MSG_PEEK)
                if first == _HANDSHAKE:
                    if task is not None:
                        self._strangers[task] = None
                    await loop.connect_accepted_socket(
                        self._make, link, ssl=self._context, ssl_handshake_timeout=GREETING_S
                    )
                elif first:
                    await _turn_away(link)


async def _readable(link: socket.socket) -> None:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(link, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(link)


async def _turn_away(link: socket.socket) -> None:
    """A page is sent to the same address by HTTPS; a program is refused, as what it sent has been readable already."""
    loop = asyncio.get_running_loop()
    said = b""
    while b"\n\r\n" not in said and b"\n\n" not in said and len(said) < 8192:
        more = await loop.sock_recv(link, 8192)
        if not more:
            return
        said += more
        if not _METHOD.match(said):
            return  # not HTTP at all
    await loop.sock_sendall(link, refusal(said))
    with contextlib.suppress(OSError):
        link.shutdown(socket.SHUT_WR)
        await loop.sock_recv(link, 1)


def refusal(said: bytes) -> bytes:
    """The answer to a plain HTTP request."""
    request, host = _REQUEST.match(said), _HOST.search(said)
    if request and host and not request[2].startswith(b"/api"):
        place = b"https://" + host[1] + request[2]
        head = b"HTTP/1.1 308 Permanent Redirect\r\nLocation: " + place + b"\r\n"
        body = b""
    else:
        head = b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/problem+json\r\n"
        body = (
            b'{"type":"urn:isthmus:problem:https_only","title":"Forbidden","status":403,"code":"https_only",'
            b'"detail":"this address speaks HTTPS only; what you sent was readable on the way, so change any password or token in it"}'
        )
    return head + b"Content-Length: %d\r\nConnection: close\r\nCache-Control: no-store\r\n\r\n" % len(body) + body

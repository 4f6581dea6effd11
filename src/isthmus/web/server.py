"""Serving the application inside a process that has more to do than that."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from isthmus.values.errors import ConfigError
from isthmus.web.tls import Front, server_context

if TYPE_CHECKING:
    from isthmus.web.live import LiveHub

_GRACE_S = 2.0
_FAREWELL_S = 0.3
_VIEW_BYTES = 8 * 1024 * 1024
_LINE_BYTES = 256 * 1024
"""A thousand tags fit into one request line."""


class _Refusals(logging.Filter):
    """Leaves out the errors uvicorn logs for what is meant so.

    A WebSocket may be refused by a plain HTTP answer, and a long answer is torn when who asked for it is revoked.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        return "without completing handshake" not in text and "without completing response" not in text


_REFUSALS = _Refusals()


class _Server(uvicorn.Server):
    """uvicorn as a guest: signals are the host's, and viewers that do not read hold up no shutdown."""

    def __init__(self, config: uvicorn.Config, app: ASGIApp, tls: ssl.SSLContext | None) -> None:
        super().__init__(config)
        self._app, self._tls = app, tls
        self._fronts: list[Front] = []
        self.ready, self._stop = asyncio.Event(), asyncio.Event()
        self.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]  # else it re-raises SIGTERM when done

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets if self._tls is None else [])
        if self._tls is not None:
            self._fronts = [Front(listener, self._protocol, self._tls) for listener in sockets or []]
        self.ready.set()

    def _protocol(self) -> asyncio.Protocol:
        """What uvicorn makes for each link of its own."""
        make = cast("Callable[..., asyncio.Protocol]", self.config.http_protocol_class)
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    async def main_loop(self) -> None:
        """Tick once a second, for the Date header, until told to stop."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), 1.0)

    def stop(self) -> None:
        """End ``serve`` soon."""
        self.should_exit = True
        self._stop.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for front in self._fronts:
            await front.close()
        hub: LiveHub | None = getattr(getattr(self._app, "state", None), "live", None)
        if hub is not None:
            hub.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(hub.empty.wait(), _FAREWELL_S)
            self._abort(WebSocketsSansIOProtocol)  # these do not read what we send
        await super().shutdown(sockets)
        self._abort(asyncio.Protocol)  # slow downloads, after their grace

    def _abort(self, kind: type[asyncio.Protocol]) -> None:
        for connection in list(self.server_state.connections):
            if isinstance(connection, kind):
                connection.transport.abort()


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises: ConfigError naming the port and what to do
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"host: is no address of this machine ({error}), was {host!r}") from None
    listener = socket.socket(
        family, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )  # asyncio gives TCP_NODELAY to this proto only
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"port: {port} on {host} is taken by another program; stop it, or choose another with --port, was {port}"
            ) from None
        if error.errno in (errno.EACCES, errno.EPERM):
            raise ConfigError(
                f"port: {port} needs rights this user lacks; choose one from 1024 on, was {port}"
            ) from None
        raise ConfigError(f"host: cannot listen on {host} port {port} ({error}), was {host!r}") from None
    return listener


def bind_local(path: Path) -> socket.socket:
    """A listening socket in the file system that only this user reaches.

    Raises: ConfigError naming the path
    """
    listener = socket.socket(socket.AF_UNIX)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.unlink(missing_ok=True)  # left by a process that was killed; the directory's lock is ours
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(64)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ConfigError(f"socket: cannot be made ({error}), was {path}") from None
    return listener


@contextlib.asynccontextmanager
async def running(
    app: ASGIApp,
    host: str = "127.0.0.1",
    port: int = 8420,
    *,
    local: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    tls: ssl.SSLContext | None = None,
    trusted_proxy: str = "",
) -> AsyncIterator[int]:
    """The application served while the context lasts; gives the port. With a certificate it speaks HTTPS, and nothing else there.

    ``tls`` is a context instead of a certificate's file, for whoever renews what it shows.
    ``local`` is a socket's path instead of host and port.
    ``trusted_proxy`` is the address whose X-Forwarded-For and -Proto are believed.
    Raises: ConfigError when the port is taken or the certificate does not load
    """
    context = server_context(certificate, key) if certificate is not None else tls
    listener = bind(host, port) if local is None else bind_local(local)
    config = uvicorn.Config(
        app,
        loop="none",  # the host has one already
        http="h11",
        ws="websockets-sansio",
        lifespan="off",
        log_config=None,
        log_level="warning",  # its info lines hold request targets
        access_log=False,
        server_header=False,
        proxy_headers=bool(trusted_proxy),
        forwarded_allow_ips=trusted_proxy or "127.0.0.1",
        ws_max_size=_VIEW_BYTES,
        ws_per_message_deflate=False,
        h11_max_incomplete_event_size=_LINE_BYTES,
        timeout_graceful_shutdown=round(_GRACE_S),
    )
    config.load()
    logging.getLogger("uvicorn.error").addFilter(_REFUSALS)
    server = _Server(config, app, context)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="web server")
    ready = asyncio.create_task(server.ready.wait())
    try:
        await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        yield 0 if local is not None else cast("int", listener.getsockname()[1])
    finally:
        ready.cancel()
        server.stop()
        await asyncio.wait([task])
        listener.close()
        task.result()


async def serve(
    app: ASGIApp,
    host: str = "127.0.0.1",
    port: int = 8420,
    *,
    stop: asyncio.Event,
    started: Callable[[int], None] | None = None,
    local: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    trusted_proxy: str = "",
) -> None:
    """Serve until ``stop`` is set or this is cancelled; ``started`` is told the port.

    Raises: ConfigError as `running`
    """
    async with running(
        app, host, port, local=local, certificate=certificate, key=key, trusted_proxy=trusted_proxy
    ) as bound:
        if started is not None:
            started(bound)
        await stop.wait()

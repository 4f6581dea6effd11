"""Compression of JSON and CSV answers; binary streams pass as they are."""

from __future__ import annotations

import asyncio
import zlib
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LEAST: Final = 1024
_IN_THREAD: Final = 32 * 1024
_LEVEL: Final = 4
_TYPES: Final = (
    "application/json",
    "application/problem+json",
    "text/csv",
    "text/plain",
    "application/openmetrics-text",
)


def wants_gzip(headers: Headers) -> bool:
    """Whether Accept-Encoding lists gzip and does not weigh it zero."""
    for part in headers.get("accept-encoding", "").lower().split(","):
        name, _, weight = part.partition(";")
        if name.strip() == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


class Compress:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and wants_gzip(Headers(scope=scope)):
            send = _Gzip(send).send
        await self._app(scope, receive, send)


class _Gzip:
    """One answer on its way out."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message = {}
        self._packer: zlib._Compress | None = None
        self._decided = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if not self._decided:
            self._decided = True
            await self._send(self._decide(len(body), more))
        if self._packer is None:
            await self._send(message)
            return
        packed = await self._pack(self._packer, body, last=not more)
        if packed or not more:
            await self._send({**message, "body": packed})

    def _decide(self, size: int, more: bool) -> Message:
        headers = MutableHeaders(raw=list(self._start.get("headers", ())))
        fits = headers.get("content-type", "").partition(";")[0] in _TYPES and "content-encoding" not in headers
        if fits:
            headers.add_vary_header("Accept-Encoding")
            if more or size >= _LEAST:
                self._packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, 31)
                headers["content-encoding"] = "gzip"
                del headers["content-length"]
        return {**self._start, "headers": headers.raw}

    @staticmethod
    async def _pack(packer: zlib._Compress, body: bytes, *, last: bool) -> bytes:
        def work() -> bytes:
            return packer.compress(body) + (packer.flush() if last else b"")

        return work() if len(body) < _IN_THREAD else await asyncio.to_thread(work)

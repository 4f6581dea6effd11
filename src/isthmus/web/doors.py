"""The doors: what every request passes before any route sees it, and every answer on its way out.

Host name, size, credentials, cross-site requests, security headers, and the last catch for bugs.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
from dataclasses import replace
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from isthmus.security.codes import key_of
from isthmus.security.model import Principal, Proof, Role
from isthmus.security.service import Security, looks_like_token
from isthmus.values.errors import Denied, IsthmusError
from isthmus.values.plant.policy import SITE
from isthmus.web.problems import Refused, answer, internal
from isthmus.web.services import First

COOKIE: Final = "isthmus_session"
STATION_COOKIE: Final = "isthmus_station"
_HOST_ONLY: Final = "__Host-"
"""Over TLS a cookie is called so, and browsers then hold it to this very host, to TLS and to every path."""
API: Final = "/api/v1"
PUBLIC: Final = frozenset(
    {
        ("GET", f"{API}/health"),
        ("GET", f"{API}/session/methods"),
        ("GET", f"{API}/session/oidc/{{provider}}"),
        ("GET", f"{API}/session/oidc/{{provider}}/callback"),
        ("GET", f"{API}/callout/answer/{{token}}"),
        ("POST", f"{API}/callout/answer/{{token}}"),
        ("POST", f"{API}/edges/enrol"),
        ("POST", f"{API}/session"),
        ("POST", f"{API}/session/link"),
        ("POST", f"{API}/session/passkey/options"),
        ("POST", f"{API}/session/passkey"),
        ("POST", f"{API}/session/badge"),
        ("POST", f"{API}/session/break-glass"),
        ("POST", f"{API}/session/station"),
    }
)
"""All of the API that answers somebody unknown."""

_PUBLIC = re.compile("|".join(f"{m} {re.sub('{[a-z]+}', '[^/]+', path)}" for m, path in sorted(PUBLIC)))

_ANSWER: Final = f"{API}/callout/answer/"
"""Below it who acts is proven by the address itself, and by nothing that a browser adds on its own."""

METRICS: Final = "/metrics"
"""The one guarded address outside the API."""

PRINCIPAL: Final = "isthmus.principal"
"""Where a request's scope keeps who asks."""

_LOCAL: Final = "isthmus.local"
_OWNER: Final = Principal("owner of the data directory", Role.ADMIN, Proof.SOCKET, "")

_HOST = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[^:\[\]]+))(?::\d{1,5})?\Z")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_LOOPBACK = frozenset({"localhost", "ip6-localhost"})
_BODY_LIMIT: Final = 256 * 1024
_PLANT_LIMIT: Final = 32 * 1024 * 1024
_SCREEN_LIMIT: Final = 4 * 1024 * 1024
_IMPORT_LIMIT: Final = 256 * 1024 * 1024
_BEARER_PROTOCOL: Final = "isthmus.bearer."
_MOST_PLACED: Final = 4096

_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
        "connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class LocalDoor:
    """The application as the local socket serves it: who opened a 0600 socket in the data directory owns the data."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app({**scope, _LOCAL: True}, receive, send)


class Doors:
    """ASGI middleware around everything."""

    def __init__(self, app: ASGIApp, services: First, log: logging.Logger | None = None) -> None:
        self._app, self._services = app, services
        self._hosts = _LOOPBACK | {host.casefold() for host in services.hosts}
        self._log = log or logging.getLogger("isthmus.web")
        self._placed: dict[tuple[int, str], tuple[Principal, Principal]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        out = _Out(scope, send, self._services.security)
        try:
            headers = Headers(scope=scope)
            self._check_host(headers)
            path: str = scope["path"]
            if path in ("/api", METRICS) or path.startswith("/api/"):
                _check_origin(scope, headers)
                scope[PRINCIPAL] = await self._who(scope, headers)
                receive = _limited(headers, receive, _limit(path))
            await self._app(scope, receive, out.send)
        except Cut as cut:
            self._log.warning("%s %s: %s", scope.get("method"), scope["path"], cut)  # the server closes the connection
        except IsthmusError as error:
            if out.started:
                raise
            await answer(error)(scope, receive, out.deny)
        except Exception:
            if out.started:
                raise  # the server cuts the connection, so that nobody takes half an answer for a whole one
            self._log.exception("%s %s failed", scope.get("method", "WebSocket"), scope["path"])
            await internal()(scope, receive, out.deny)

    def _check_host(self, headers: Headers) -> None:
        """A page elsewhere may point its own name at us (DNS rebinding); an address cannot be rebound."""
        name = _host_name(headers.get("host", ""))
        if name in self._hosts:
            return
        try:
            ipaddress.ip_address(name)
        except ValueError:
            reason = f"this server does not answer to the name {name[:100]!r}; list it under hosts in isthmus.toml"
            raise Refused(reason, 421, "unknown_host") from None

    async def _who(self, scope: Scope, headers: Headers) -> Principal | None:
        """Who asks.

        Raises: Denied (no_credentials) unless the route is public
        """
        if _PUBLIC.fullmatch(f"{scope.get('method', '')} {scope['path']}"):
            self._check_way_in(scope)
            return None
        if _LOCAL in scope:  # a server sets this, no request can
            return _OWNER
        proof, secret = _credentials(scope, headers)
        if secret:
            security, key = self._services.security, key_of(secret)
            station = key_of(cookie(scope, headers, STATION_COOKIE))
            active = scope.get("method", "GET") not in _SAFE  # at a station, looking is not using
            principal = security.recall(proof, key, station=station, active=active)
            if principal is None:
                principal = await asyncio.to_thread(security.verify, proof, key, station=station, active=active)
            if principal is not None:
                return self._from_here(principal, _source(scope))
            raise Denied("this token or session is not valid any more; sign in again", "no_credentials")
        raise Denied("sign in, or send a token as Authorization: Bearer isk_…", "no_credentials")

    def _from_here(self, principal: Principal, source: str) -> Principal:
        """The principal with the address it asks from; the same object each time, by which the policy knows it again."""
        key = (id(principal), source)
        kept = self._placed.get(key)
        if kept is None or kept[0] is not principal:
            if len(self._placed) >= _MOST_PLACED:
                self._placed.clear()
            kept = self._placed[key] = (principal, replace(principal, source=source))
        return kept[1]

    def _check_way_in(self, scope: Scope) -> None:
        """Signing in is a message too.

        Raises: Denied (conduit_missing)
        """
        if scope["path"] == f"{API}/health" or _LOCAL in scope:
            return
        policy = self._services.policies.current()
        zone = policy.zone_of(_source(scope))
        if policy.conduit(zone, SITE, "sign-in") is None:
            raise Denied(f"no conduit from zone {zone} to zone {SITE} allows sign-in", "conduit_missing")


def _source(scope: Scope) -> str:
    """The address a request comes from. The server has put in its place what a trusted proxy said of it, if there is one."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def _limit(path: str) -> int:
    """Bytes a request may bring. Who asks is known before any of them is read."""
    if path == f"{API}/history/import":
        return _IMPORT_LIMIT
    if path == f"{API}/screens" or path.startswith(f"{API}/screens/"):
        return _SCREEN_LIMIT
    large = path.startswith(f"{API}/plant/") or path == f"{API}/alarms/rationalisation"
    return _PLANT_LIMIT if large else _BODY_LIMIT


def _strict(host: str) -> bool:
    """Whether browsers are told to use HTTPS only for this name; other programs of this machine use localhost, too."""
    return _host_name(host) not in _LOOPBACK


def _host_name(host: str) -> str:
    """The name or address in a Host header, without port and brackets; empty when it is not one."""
    found = _HOST.match(host)
    return (found["address"] or found["name"]).casefold() if found else ""


def _credentials(scope: Scope, headers: Headers) -> tuple[Proof, str]:
    """The token of the Authorization header (or, for browsers' WebSockets, of a subprotocol), else the cookie's session."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme:
        token = token.strip()
        return Proof.TOKEN, token if scheme.casefold() == "bearer" and looks_like_token(token) else ""
    for protocol in scope.get("subprotocols", ()):
        if protocol.startswith(_BEARER_PROTOCOL):
            token = protocol.removeprefix(_BEARER_PROTOCOL)
            return Proof.TOKEN, token if looks_like_token(token) else ""
    return Proof.SESSION, cookie(scope, headers, COOKIE)


def cookie_name(scope: Scope, name: str) -> str:
    """What a cookie is called on this connection: over TLS only one that no plain page can have set is taken."""
    return _HOST_ONLY + name if scope["scheme"] in ("https", "wss") else name


def cookie(scope: Scope, headers: Headers, name: str) -> str:
    """A cookie of ours; empty where there is none."""
    return cookie_parser(headers.get("cookie", "")).get(cookie_name(scope, name), "")[:100]


def _check_origin(scope: Scope, headers: Headers) -> None:
    """Nobody's browser is made to act here by another site's page.

    Raises: Denied (cross_site)
    """
    if scope["path"].startswith(_ANSWER):
        return
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2].casefold() != headers.get("host", "").casefold():
        if scope["type"] == "websocket" or scope["method"] not in _SAFE:
            raise Denied(f"requests from pages of {origin[:100]} are not taken", "cross_site")
        return  # the browser does not show the answer to that page
    if "authorization" in headers or not (cookie(scope, headers, COOKIE) or cookie(scope, headers, STATION_COOKIE)):
        return
    if scope["type"] == "websocket":
        if origin is None:
            raise Denied("a live stream opened by cookie must say its Origin", "cross_site")
    elif scope["method"] not in _SAFE and (origin is None or headers.get("x-isthmus") != "1"):
        raise Denied("a change by cookie must carry X-Isthmus: 1 and a same-origin Origin", "cross_site")


def _limited(headers: Headers, receive: Receive, limit: int) -> Receive:
    """``receive`` that refuses a body beyond the limit, announced or not."""
    announced = headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > limit:
        raise Refused(f"the request is larger than {limit} bytes", 413, "too_large")
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        if message["type"] == "http.request":
            taken += len(message.get("body", b""))
            if taken > limit:
                # an HTTPException is what FastAPI lets out of its body reader
                raise HTTPException(413, f"the request is larger than {limit} bytes")
        return message

    return counted


class Cut(Exception):
    """Who asked is nobody any more: the answer stops in its middle, so that nobody takes it for a whole one.

    No IsthmusError, for those are made answers, and this one has begun.
    """


class _Out:
    """The way out: security headers on every answer, refusals to WebSockets as plain HTTP, no word to who was revoked."""

    def __init__(self, scope: Scope, send: Send, security: Security) -> None:
        self._scope, self._send, self._security = scope, send, security
        self._revocations = security.revocations
        self.started = False
        self._long = False

    async def send(self, message: Message) -> None:
        if self._long and self._revocations != self._security.revocations:
            await self._still_somebody()
        if message["type"] in ("http.response.start", "websocket.accept", "websocket.http.response.start"):
            self.started = True
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            headers = MutableHeaders(raw=list(message.get("headers", ())))
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            if self._scope["scheme"] in ("https", "wss") and _strict(Headers(scope=self._scope).get("host", "")):
                headers.setdefault("strict-transport-security", "max-age=31536000")
            if self._scope["path"].startswith(("/api", METRICS)):
                headers.setdefault("cache-control", "no-store")
            message = {**message, "headers": headers.raw}
        await self._send(message)
        self._long = self._long or (message["type"] == "http.response.body" and message.get("more_body", False))

    async def _still_somebody(self) -> None:
        """Asked only after something was revoked, before a further part of a long answer.

        Raises: Cut
        """
        self._revocations = self._security.revocations
        who: Principal | None = self._scope.get(PRINCIPAL)
        if who is None or who.proof is Proof.SOCKET:
            return
        if await asyncio.to_thread(self._security.verify, who.proof, who.key, active=False) is None:
            raise Cut("the session or token of this answer was revoked")

    async def deny(self, message: Message) -> None:
        """Send part of an error answer; a WebSocket that was not accepted is answered by HTTP where the server can."""
        if self._scope["type"] != "websocket" or "websocket.http.response" in self._scope.get("extensions", {}):
            await self.send(message)
        elif message["type"].endswith("response.start"):
            await self._send({"type": "websocket.close", "code": 1008})

"""The one place where requests meet the audit trail: what changes something is recorded before it is done, and how it went.

A room says more through ``request.state.audit``, a dict: ``old``, ``new``, ``reason``, ``target``; ``about`` (the name of the
person it is about, kept as a pseudonym); on the routes open to all ``principal`` (who signed in) or ``tried`` (a name), and
``result`` where the status alone does not tell it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

import orjson
from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from isthmus.security.audit.service import account
from isthmus.security.audit.store import PERSON
from isthmus.security.model import Principal, Proof
from isthmus.security.names import name_key
from isthmus.values.clock import NS_PER_S
from isthmus.web.doors import API, PRINCIPAL, PUBLIC
from isthmus.web.problems import MEDIA_TYPE
from isthmus.web.services import First

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
OWN: Final = frozenset({("POST", "/audit/intents"), ("PUT", "/audit/intents/{ident}")})
"""These write the records themselves."""
QUIET: Final = frozenset({("POST", "/session/touch")})
"""These change nothing but when somebody was last seen."""
_SEEN: Final = "isthmus.audited"
_PERSON: Final = ("/users/{name}", "/privacy/people/{name}", "/callout/contacts/{name}")
_OFTEN: Final = 5
_WINDOW_NS: Final = 60 * NS_PER_S
_MOST_KEYS: Final = 1000


def told(request: Request) -> dict[str, Any]:
    """Where a route says more about what it changes."""
    found = request.scope.setdefault("state", {}).setdefault("audit", {})
    return cast("dict[str, Any]", found)


def who_asks(principal: Principal | None, scope: Scope) -> dict[str, str]:
    """Somebody as the trail takes them. Of the local socket only the account that runs core is known."""
    client = scope.get("client")
    source = client[0] if client else ""
    if principal is None:
        return {"proof": "", "source": source}
    local = principal.proof is Proof.SOCKET
    return {
        "name": account() if local else principal.name,
        "role": str(principal.role),
        "proof": str(principal.proof),
        "source": "local socket" if local else principal.source or source,
        "station": principal.station,
    }


class _Answer:
    """What was answered."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self._problem = False
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._problem = (b"content-type", MEDIA_TYPE.encode()) in message.get("headers", ())
        elif self._problem and len(self._body) < 65_536:
            self._body += message.get("body", b"")
        await self._send(message)

    @property
    def result(self) -> str:
        """In a word, the status, and the code of a refusal."""
        word = "ok" if self.status < 400 else "refused" if self.status < 500 else "failed"
        return f"{word} {self.status} {self.code}".rstrip()

    @property
    def code(self) -> str:
        if not self._body:
            return ""
        try:
            return str(orjson.loads(self._body)["code"])
        except (ValueError, KeyError, TypeError):
            return ""


class Audited:
    """ASGI middleware next to the routes: an intent before each that may change something, an outcome after it."""

    def __init__(self, app: ASGIApp, services: First, routers: Sequence[APIRouter], refusals: RefusalNotes) -> None:
        self._app, self._services, self._refusals = app, services, refusals
        self._routes = [
            r for router in routers for r in cast("Iterable[Any]", router.routes) if isinstance(r, APIRoute)
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(API):
            await self._app(scope, receive, send)
            return
        if scope["method"] in SAFE:
            await self._read(scope, receive, send)
            return
        route, values = self._route(scope["method"], scope["path"].removeprefix(API))
        if route is None or (scope["method"], route.path) in OWN | QUIET:
            await self._app(scope, receive, send)
            return
        scope[_SEEN] = True
        said: dict[str, Any] = {}
        scope.setdefault("state", {})["audit"] = said
        action = f"{scope['method']} {route.path.removeprefix('/')}"
        target = await asyncio.to_thread(self._target, route.path, values) if values else route.path.removeprefix("/")
        answered = _Answer(send)
        if (scope["method"], API + route.path) in PUBLIC:
            try:
                await self._app(scope, receive, answered.send)
            finally:
                await self._note(scope, action, target, said, answered)
            return
        audit = self._services.audit
        ident = await audit.intent(who_asks(scope.get(PRINCIPAL), scope), action, target)
        result = "failed"
        try:
            await self._app(scope, receive, answered.send)
            result = answered.result
        finally:
            about = said.get("about")
            if about:
                said["target"] = f"{target} {await asyncio.to_thread(audit.person, str(about))}"
            await audit.outcome(
                ident,
                result,
                str(said.get("reason") or ""),
                old=said.get("old"),
                new=said.get("new"),
                target=str(said.get("target") or ""),
            )

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A read leaves no trace, unless somebody signs in by it: coming back from another site is one."""
        if scope.get(PRINCIPAL) is not None:
            await self._app(scope, receive, send)
            return
        said: dict[str, Any] = {}
        scope.setdefault("state", {})["audit"] = said
        answered = _Answer(send)
        await self._app(scope, receive, answered.send)
        if "principal" in said or "tried" in said:
            path = scope["path"].removeprefix(API).removeprefix("/")
            await self._note(scope, f"{scope['method']} {path}"[:100], path, said, answered)

    def _route(self, method: str, path: str) -> tuple[APIRoute | None, dict[str, str]]:
        for route in self._routes:
            if method in (route.methods or ()):
                found = route.path_regex.match(path)
                if found:
                    return route, found.groupdict()
        return None, {}

    def _target(self, template: str, values: dict[str, str]) -> str:
        """The path, with a pseudonym where it names a person."""
        filled = template
        for name, value in values.items():
            person = name == "name" and template.startswith(_PERSON)
            shown = "…" if name == "token" else self._pseudonym(value) if person else value[:128]
            filled = filled.replace(f"{{{name}}}", shown)
        return filled.removeprefix("/")

    def _pseudonym(self, name: str) -> str:
        """Of somebody who has an account, or had one; a name that nobody has is not kept."""
        known = self._services.audit.names.find(name, PERSON)
        if known:
            return known[0]
        account = any(name_key(u.name) == name_key(name) for u in self._services.security.users())
        return self._services.audit.person(name) if account else "nobody"

    async def _note(self, scope: Scope, action: str, target: str, said: dict[str, Any], answered: _Answer) -> None:
        """Signing in or answering a call-out, or trying to."""
        target = str(said.get("target") or target)
        principal, tried = said.get("principal"), said.get("tried")
        who = who_asks(principal, scope)
        if principal is None and tried:
            users = await asyncio.to_thread(self._services.security.users)
            known = next((u.name for u in users if name_key(u.name) == name_key(str(tried))), "")
            who = {**who, "name": known, "proof": "session" if known else ""}  # an unknown name may be a password
        result = str(said.get("result") or (answered.result if answered.status else "failed"))
        if principal is not None:
            await asyncio.to_thread(self._services.audit.note, who, action, target, result=result)
        else:
            await asyncio.to_thread(self._refusals.note, who, action, target, result)


class Refusals:
    """ASGI middleware around the doors: whom they refused, and who asked for what they may not even see."""

    def __init__(self, app: ASGIApp, notes: RefusalNotes) -> None:
        self._app, self._notes = app, notes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(("/api/", "/metrics")):
            await self._app(scope, receive, send)
            return
        answered = _Answer(send)
        await self._app(scope, receive, answered.send)
        principal = scope.get(PRINCIPAL)
        wanted = answered.status in (401, 403) and (principal is not None or scope["method"] not in SAFE)
        if wanted and _SEEN not in scope and answered.code != "audit_unavailable":
            path = scope["path"].removeprefix(API).removeprefix("/")
            target = (
                path if principal is not None else path.partition("/")[0]
            )  # nobody known may fill the log with texts
            who = who_asks(principal, scope)
            await asyncio.to_thread(self._notes.note, who, f"{scope['method']} refused", target[:200], answered.result)


class RefusalNotes:
    """Notes of refusals, so many that one sees them and so few that nobody fills the log with them: five a minute of one
    kind from one address, then their number.
    """

    def __init__(self, services: First) -> None:
        self._audit, self._clock = services.audit, services.clock
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str, str], tuple[int, int, dict[str, str]]] = {}  # began, so many, who

    def note(self, who: dict[str, str], action: str, target: str, result: str) -> None:
        """Record one, or count it."""
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            due = self._swept(now_ns)
            due += self._counted(who, action, target, result, now_ns)
        for one in due:
            self._audit.note(one[0], one[1], one[2], **one[3])

    def _counted(
        self, who: dict[str, str], action: str, target: str, result: str, now_ns: int
    ) -> list[tuple[dict[str, str], str, str, dict[str, object]]]:
        key = (who.get("source", ""), action, result)
        if key not in self._counts and len(self._counts) >= _MOST_KEYS:
            key, who = ("many addresses", "refused", ""), {"source": "many addresses"}
        began, count, _ = self._counts.get(key, (now_ns, 0, who))
        self._counts[key] = (began, count + 1, who)
        return [(who, action, target, {"result": result})] if count < _OFTEN else []

    def _swept(self, now_ns: int) -> list[tuple[dict[str, str], str, str, dict[str, object]]]:
        """What is to be said of minutes that are over."""
        due: list[tuple[dict[str, str], str, str, dict[str, object]]] = []
        for key, (began, count, who) in list(self._counts.items()):
            if now_ns - began >= _WINDOW_NS:
                self._counts.pop(key, None)
                if count > _OFTEN:
                    due.append((who, key[1], "repeated", {"result": key[2], "more": count - _OFTEN}))
        return due

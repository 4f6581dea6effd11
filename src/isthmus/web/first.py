"""What is served before the rooms of core are open: the history, and for everything else that it comes in a moment."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI
from starlette.datastructures import State
from starlette.types import ASGIApp, Receive, Scope, Send

import isthmus
from isthmus.values.errors import TryLater
from isthmus.web import problems
from isthmus.web.access import check_closed
from isthmus.web.audited import RefusalNotes, Refusals
from isthmus.web.compress import Compress
from isthmus.web.doors import API, Doors
from isthmus.web.late import below
from isthmus.web.routes import history
from isthmus.web.services import First

AGAIN_S = 1.0
_SERVED = frozenset(f"{API}{route.path}" for route in below("", history.router))


class Gate:
    """What a server serves, while that changes: an application, and from some moment on another."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    @property
    def state(self) -> State:
        """That of the application."""
        return self._app.state

    def open(self, app: FastAPI) -> None:
        """Serve this one from now on; requests that have begun end with the one before."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


class _NotYet:
    """ASGI middleware next to the routes: what is not served yet is refused, with the reason."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in _SERVED:
            raise TryLater(
                "Isthmus has begun: it records and shows history, and opens everything else in a moment", AGAIN_S
            )
        await self._app(scope, receive, send)


def create_first(services: First) -> FastAPI:
    """The application before the rooms are open. Building it opens nothing and starts nothing."""
    check_closed((history.router,))
    app = application(history.router)
    app.state.services = services
    app.add_middleware(_NotYet)
    app.add_middleware(Compress)
    app.add_middleware(Doors, services=services)
    app.add_middleware(Refusals, notes=RefusalNotes(services))
    return app


def application(*routers: APIRouter) -> FastAPI:
    """An application with the routes of these rooms, and errors of one shape."""
    app = FastAPI(
        title="Isthmus",
        version=isthmus.__version__,
        description="Reads and guards machines, records what they do, and tells what it means.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    problems.install(app)
    for router in routers:
        app.router.routes.extend(below(API, router))
    return app

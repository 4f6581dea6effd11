"""The API and the screens as one ASGI application."""

from __future__ import annotations

import functools
from typing import Any

from fastapi import FastAPI, Response
from fastapi.routing import APIRoute

from isthmus.security.model import Action
from isthmus.web.access import action_of, allow, check_closed
from isthmus.web.audited import Audited, RefusalNotes, Refusals
from isthmus.web.compress import Compress
from isthmus.web.doors import API, COOKIE, PUBLIC, Doors
from isthmus.web.first import application
from isthmus.web.late import below, routes_of
from isthmus.web.live import LiveHub, Streams
from isthmus.web.problems import MEDIA_TYPE, Problem, Refused
from isthmus.web.routes import (
    account,
    accounts,
    alarms,
    analytics,
    audit,
    calendar,
    callout,
    changes,
    connections,
    connectors,
    control,
    edges,
    history,
    kpis,
    lots,
    orders,
    owners,
    passkeys,
    plant,
    policy,
    privacy,
    production,
    products,
    quality,
    readings,
    recipes,
    replay,
    screens,
    session,
    shifts,
    site,
    sso,
    stations,
    stops,
    system,
    tags,
    transfer,
)
from isthmus.web.screens import Screens
from isthmus.web.services import Services
from isthmus.web.trust import Trust

own = routes_of("api")


@own.get("/openapi.json", dependencies=allow(Action.READ, part=True), include_in_schema=False)
async def openapi() -> dict[str, Any]:
    """The contract itself."""
    return openapi_document()


@own.get(
    "/live", dependencies=allow(Action.READ, "live", part=True), status_code=426, response_model=None, tags=["live"]
)
async def open_live_stream() -> Response:
    """The live stream: a WebSocket at this address (docs/api.md has its layout)."""
    raise Refused("the live stream is a WebSocket; upgrade the connection", 426, "upgrade_required")


ROUTERS = (
    site.router,
    session.router,
    account.router,
    sso.router,
    passkeys.router,
    accounts.router,
    stations.router,
    tags.router,
    history.router,
    transfer.router,
    replay.router,
    analytics.router,
    alarms.router,
    connections.router,
    connectors.router,
    edges.router,
    plant.router,
    policy.router,
    changes.router,
    owners.router,
    control.router,
    recipes.router,
    callout.router,
    stops.router,
    production.router,
    products.router,
    orders.router,
    lots.router,
    readings.router,
    screens.router,
    calendar.router,
    kpis.router,
    quality.router,
    shifts.router,
    system.router,
    audit.router,
    privacy.router,
    own,
)


def create_app(services: Services) -> FastAPI:
    """The application over the given services. Building it opens nothing and starts nothing."""
    app = _routes()
    hub = LiveHub(
        services.live,
        services.security,
        lambda: services.site_status()["edges"],
        services.clock,
        policies=services.policies,
        alarms=alarms.News(services),
    )
    app.state.services, app.state.live = services, hub
    refusals = RefusalNotes(services)
    app.add_middleware(Audited, services=services, routers=ROUTERS, refusals=refusals)
    app.add_middleware(Screens, folder=services.static)
    app.add_middleware(Trust, root=services.root)
    app.add_middleware(Compress)
    app.add_middleware(Streams, hub=hub, path=f"{API}/live")
    app.add_middleware(Doors, services=services)
    app.add_middleware(Refusals, notes=refusals)  # added last, so it stands outermost and sees whom the doors refuse
    return app


def _routes() -> FastAPI:
    check_closed((*ROUTERS, system.scraped))
    app = application(*ROUTERS)
    app.router.routes.extend(below("", system.scraped))
    return app


@functools.cache
def openapi_document() -> dict[str, Any]:
    """The contract as OpenAPI: every route with the problems it may answer and the role it asks for."""
    document = _routes().openapi()
    _complete(document)
    return document


def _complete(document: dict[str, Any]) -> None:
    """What FastAPI cannot know: one shape of errors, and how to say who one is."""
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    shape = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(shape.pop("$defs"))
    schemas["Problem"] = shape
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "isk_…, from `isthmus token create`"},
        "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "set by signing in"},
    }
    actions = {(method, API + r.path_format): action_of(r) for r in _plain_routes() for method in r.methods or ()}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            public = (method.upper(), path) in PUBLIC
            operation["security"] = [] if public else [{"token": []}, {"session": []}]
            if not public:
                operation["x-isthmus-action"] = str(actions[method.upper(), path])
            answers = operation["responses"]
            known = [code for code in answers if int(code) >= 400]
            for code in {*known, *(() if public else ("401", "403"))}:
                answers[code] = _problem("Problem")
            answers["default"] = _problem("Any other problem")


def _plain_routes() -> list[APIRoute]:
    return [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}

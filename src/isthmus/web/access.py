"""How a route says what it needs; a route that says nothing is refused when the app is built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, Request
from fastapi.params import Depends as Dependency
from fastapi.routing import APIRoute

from isthmus.security.model import Action, Principal, authorise
from isthmus.web.doors import API, PRINCIPAL, PUBLIC
from isthmus.web.services import Services


class Allow:
    """Route dependency: passes whoever may do the action."""

    def __init__(self, action: Action) -> None:
        self.action = action

    async def __call__(self, request: Request) -> None:
        authorise(request.scope.get(PRINCIPAL), self.action)


def allow(action: Action) -> list[Dependency]:
    """For ``dependencies=`` of a route."""
    return [cast("Dependency", Depends(Allow(action)))]


def _services(request: Request) -> Services:
    return cast("Services", request.app.state.services)


def _principal(request: Request) -> Principal:
    principal = request.scope.get(PRINCIPAL)
    authorise(principal, Action.READ)
    return cast("Principal", principal)


Room = Annotated[Services, Depends(_services)]
Who = Annotated[Principal, Depends(_principal)]


def action_of(route: APIRoute) -> Action | None:
    """What a route asks for."""
    return next((d.dependency.action for d in route.dependencies if isinstance(d.dependency, Allow)), None)


def check_closed(routers: Sequence[APIRouter]) -> None:
    """Every route is public by name or asks for an action.

    Raises: RuntimeError naming the route that does neither
    """
    for router in routers:
        for route in cast("Sequence[Any]", router.routes):
            action = action_of(route) if isinstance(route, APIRoute) else None
            open_to_all = {(method, API + route.path) for method in route.methods or ()} <= PUBLIC
            if open_to_all == (action is not None):
                raise RuntimeError(f"{route.methods} {route.path} must be public or ask for an action, and not both")

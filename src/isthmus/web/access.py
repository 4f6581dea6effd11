"""How a route says what it needs, and what of the plant its answer may show; a route that says nothing is refused when
the app is built.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, cast

import numpy as np
from fastapi import APIRouter, Depends, Request
from fastapi.params import Depends as Dependency
from fastapi.routing import APIRoute
from numpy.typing import NDArray

from isthmus.namespace.live import LiveTable
from isthmus.namespace.model import Tag
from isthmus.security.model import Action, Principal
from isthmus.security.policy import Policy
from isthmus.web.doors import API, PRINCIPAL, PUBLIC
from isthmus.web.services import First, Services


class Allow:
    """Route dependency: passes whoever may do the action.

    Without ``part`` the route concerns the whole site, and who is narrowed to a part of it is refused; with it the route
    shows of the plant what ``Sight`` lets through, and nothing else. ``kind`` as `Policy.decide` has it.
    """

    def __init__(self, action: Action, kind: str = "", *, part: bool = False) -> None:
        self.action, self.kind, self.part = action, kind, part

    async def __call__(self, request: Request) -> None:
        principal = request.scope.get(PRINCIPAL)
        policy = _first(request).policies.current()
        policy.decide(principal, self.action, kind=self.kind, part=self.part).check()


def allow(action: Action, kind: str = "", *, part: bool = False) -> list[Dependency]:
    """For ``dependencies=`` of a route."""
    return [cast("Dependency", Depends(Allow(action, kind, part=part)))]


def _first(request: Request) -> First:
    return cast("First", request.app.state.services)


def _services(request: Request) -> Services:
    return cast("Services", request.app.state.services)


def _principal(request: Request) -> Principal:
    principal: Principal | None = request.scope.get(PRINCIPAL)
    if principal is None:
        _first(request).policies.current().decide(principal, Action.READ).check()
    return cast("Principal", principal)


class Sight:
    """What one principal may read of the plant."""

    def __init__(self, policy: Policy, principal: Principal, kind: str = "read") -> None:
        self._policy, self._principal, self._kind = policy, principal, kind
        self._seen = policy.sight(principal, kind)

    @property
    def narrowed(self) -> bool:
        """Whether there may be anything that is not seen."""
        return self._seen is not None

    def rows(self, live: LiveTable, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Those of the rows that are seen, in their order. Shapes: (n,) -> (k,), k <= n"""
        return rows if self._seen is None else rows[among(self._seen, live.id[rows])]

    def tag(self, tag: Tag) -> bool:
        """Whether a tag is seen."""
        return self._seen is None or (tag.id < len(self._seen) and bool(self._seen[tag.id]))

    def path(self, path: str) -> bool:
        """Whether an asset or a connection is seen for its own sake, whatever is seen below it."""
        return self._seen is None or self._policy.decide(self._principal, Action.READ, path, kind=self._kind).allowed

    def edges(self, tags: Iterable[Tag]) -> set[str]:
        """Edges that deliver something that is seen."""
        return {tag.edge for tag in tags if self.tag(tag)}


def among(seen: NDArray[np.bool_], ids: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which tags are among those somebody sees; one the policy does not know yet is not. Shapes: (n,) -> (n,)"""
    known = ids < len(seen)
    return known & seen[np.where(known, ids, 0)] if len(seen) else known


def _looks(kind: str) -> Any:
    def sight(request: Request) -> Sight:
        return Sight(_first(request).policies.current(), _principal(request), kind)

    return Depends(sight)


Room = Annotated[Services, Depends(_services)]
Ground = Annotated[First, Depends(_first)]
Who = Annotated[Principal, Depends(_principal)]
Seen = Annotated[Sight, _looks("read")]
SeenBefore = Annotated[Sight, _looks("history")]

POLICY_PARTS = frozenset({"zone", "conduit", "role"})
"""Parts of the plant file that say who may do what."""


def check_policy_change(services: Services, principal: Principal, parts: Iterable[str]) -> None:
    """Who changes who may do what needs the right to: else whoever may change the plant could give himself all rights.

    Raises: Denied
    """
    if not POLICY_PARTS.isdisjoint(parts):
        services.policies.current().decide(principal, Action.SECURITY).check()


def asked_of(route: APIRoute) -> Allow | None:
    """How a route asks for permission."""
    return next((d.dependency for d in route.dependencies if isinstance(d.dependency, Allow)), None)


def action_of(route: APIRoute) -> Action | None:
    """What a route asks for."""
    asked = asked_of(route)
    return None if asked is None else asked.action


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

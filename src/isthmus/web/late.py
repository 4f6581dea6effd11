"""What of the API is made when it is first asked for: there are hundreds of routes, and core's start is awaited.

FastAPI analyses a route's signature, and pydantic makes a model's validators, when the module is imported: most of a second of
a start, for what nobody may ask before the next one. Here both happen at a route's first request (some milliseconds), and for all of
them when the contract is asked for (`openapi_document`), so that a mistake in any route shows in its tests.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, cast

import pydantic
from fastapi import APIRouter
from fastapi.params import Depends
from fastapi.routing import APIRoute
from pydantic.warnings import UnsupportedFieldAttributeWarning
from starlette.routing import compile_path

# FastAPI gives each body an alias that pydantic tells it has no use for, and silences that only for what it makes at once.
warnings.filterwarnings("ignore", category=UnsupportedFieldAttributeWarning)


class BaseModel(pydantic.BaseModel, defer_build=True):
    """A body or an answer of the API; its validators are made when it is first used."""


class LateRoute(APIRoute):
    """A route of which only that is made what finds and guards it; whatever else is looked for makes the rest."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **how: Any) -> None:
        self._how = how
        self._whole = False
        self._below: dict[tuple[str, Callable[..., Any]], LateRoute] = {}
        self.path, self.endpoint = path, endpoint
        self.path_regex, self.path_format, self.param_convertors = compile_path(path)
        self.name: str = how["name"] or endpoint.__name__
        self.methods: set[str] = set(how["methods"])
        self.dependencies: list[Depends] = how["dependencies"]
        self.include_in_schema: bool = how["include_in_schema"]

    def below(self, prefix: str) -> LateRoute:
        """The same route for an application, below a path; one for all applications, so that it is analysed once."""
        which = prefix, self.endpoint
        if which not in self._below:
            self._below[which] = LateRoute(prefix + self.path, self.endpoint, **self._how)
        return self._below[which]

    def __getattr__(self, missing: str) -> Any:
        """Python asks here for what `__init__` left out."""
        if self.__dict__.get("_whole", True):
            raise AttributeError(missing)
        self._whole = True
        super().__init__(self.path, self.endpoint, **self._how)
        return getattr(self, missing)


def routes_of(room: str) -> APIRouter:
    """Where a room of the API registers its routes, which the contract then shows under its name."""
    return APIRouter(tags=[room], route_class=LateRoute, generate_unique_id_function=lambda route: route.name)


def below(prefix: str, router: APIRouter) -> list[LateRoute]:
    """The routes of a room for an application. `include_router` would analyse them all, and again at the first request."""
    return [cast("LateRoute", route).below(prefix) for route in router.routes]

"""Connections: how they are, what happened to them, what drivers there are, and a test before one is added."""

from __future__ import annotations

import ast
import asyncio
import dataclasses
import enum
import inspect
import itertools
import textwrap
import types
import typing
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import Query
from numpy.typing import NDArray
from pydantic import Field

from isthmus.namespace.live import LiveTable
from isthmus.namespace.model import Connection, Plant
from isthmus.ports.drivers import DriverSpec
from isthmus.security.model import Action
from isthmus.values.errors import ConfigError
from isthmus.values.model import SYSTEM_TAGS
from isthmus.web.access import Room, Seen, Sight, allow
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.services import Services
from isthmus.web.times import iso

router = routes_of("connections")

MOST_TEST_ADDRESSES = 100


class ConnectionAnswer(BaseModel):
    name: str
    driver: str
    edge: str
    zone: str
    access: str
    endpoint: str
    tags: int
    state: str = Field(
        description="Good, Slow, Bad, Connecting or Stopped; Stale while its edge is silent; else Unknown"
    )
    reason: str
    since: str | None
    latency_ms: float | None
    requests_s: float | None
    values_s: float | None
    errors: int | None
    lag_s: float | None
    last_good: str | None = Field(description="time of its newest good sample")


class Connections(BaseModel):
    connections: list[ConnectionAnswer]


class OutageAnswer(BaseModel):
    connection: str
    start: str
    end: str | None = Field(description="null while it lasts")
    reason: str


class Outages(BaseModel):
    outages: list[OutageAnswer]


class ConnectionTest(BaseModel):
    edge: str = Field(max_length=64)
    driver: str = Field(max_length=64)
    config: dict[str, Any]
    addresses: list[Annotated[str, Field(max_length=200)]] = Field([], max_length=MOST_TEST_ADDRESSES)


class TestStep(BaseModel):
    what: str
    reached: bool
    detail: str


class TestedValue(BaseModel):
    address: str
    value: float | int | str | None
    status: str
    problem: str = Field("", description="what is wrong with the address itself; the others are read all the same")


class TestResult(BaseModel):
    steps: list[TestStep]
    values: list[TestedValue]


class BrowseQuestion(BaseModel):
    edge: str = Field("edge-1", max_length=64)
    connection: str = Field("", max_length=64, description="a connection of the plant; else driver and config tell")
    driver: str = Field("", max_length=64)
    config: dict[str, Any] = Field(default={})
    root: str = Field("", max_length=4096, description="address of the node to look below; all unless told")


class BrowsedNode(BaseModel):
    address: str
    name: str = Field(description="path below the root")
    type: Literal["float", "int", "text"]
    unit: str
    description: str
    note: str = Field(description="why it cannot be read as it is; empty for most")


class Browsed(BaseModel):
    nodes: list[BrowsedNode]


class Setting(BaseModel):
    name: str
    type: Literal["text", "int", "float", "bool"]
    default: bool | int | float | str | None
    doc: str
    required: bool
    choices: list[str | int | float] | None = None


class DriverAnswer(BaseModel):
    name: str
    title: str
    settings: list[Setting]


class Drivers(BaseModel):
    drivers: list[DriverAnswer]


def _rows_by_connection(plant: Plant) -> dict[str, NDArray[np.intp]]:
    """Rows of the live table that a device itself delivers, by connection."""
    rows: dict[str, list[int]] = {}
    for row, tag in enumerate(plant.tags):
        if tag.connection and tag.kind != "system":
            rows.setdefault(tag.connection, []).append(row)
    return {name: np.array(found, np.intp) for name, found in rows.items()}


def _last_good(live: LiveTable, rows: NDArray[np.intp]) -> str | None:
    newest = int(live.good_ns[rows].max(initial=0))
    return iso(newest) if newest else None


def connection_answer(
    live: LiveTable, connection: Connection, rows: NDArray[np.intp], reasons: dict[str, str]
) -> ConnectionAnswer:
    """A connection with its own diagnostic tags read from the live table."""
    paths = [f"connections/{connection.name}/{name}" for name in SYSTEM_TAGS]
    places = live.rows_of(paths)
    read = live.read(places)
    said = read.python()
    known = {name: said[i] if places[i] >= 0 else None for i, name in enumerate(SYSTEM_TAGS)}
    since_ns = int(read.since_ns[0]) if places[0] >= 0 else 0
    state, reason = str(known["state"] or "Unknown"), str(known["reason"] or "")
    if connection.edge in live.stale_edges():
        state, reason = "Stale", reasons.get(connection.edge, f"{connection.edge} is not heard")
    numbers: dict[str, Any] = {
        "latency_ms": known["latency"],
        "requests_s": known["requests"],
        "values_s": known["values"],
        "errors": known["errors"],
        "lag_s": known["lag"],
    }
    return ConnectionAnswer(
        name=connection.name,
        driver=connection.driver,
        edge=connection.edge,
        zone=connection.zone,
        access=connection.access,
        endpoint=connection.endpoint,
        tags=connection.tags,
        state=state,
        reason=reason,
        since=iso(since_ns) if since_ns else None,
        last_good=_last_good(live, rows),
        **numbers,
    )


@router.get("/connections", dependencies=allow(Action.READ, part=True))
async def list_connections(services: Room, sight: Seen) -> Connections:
    """Every connection that may be seen, and how it is."""
    return connections_answer(services, sight)


def connections_answer(services: Services, sight: Sight | None = None) -> Connections:
    """Every connection and how it is; with ``sight`` those it lets through."""
    live = services.live
    rows = _rows_by_connection(live.plant)
    ages = {edge["name"]: edge["age_s"] for edge in services.site_status()["edges"]}
    reasons = {
        name: f"{name} was never heard" if age is None else f"{name} has not been heard for {age:.0f} s"
        for name, age in ages.items()
    }
    none = np.empty(0, np.intp)
    return Connections(
        connections=[
            connection_answer(live, c, rows.get(c.name, none), reasons)
            for c in live.plant.connections
            if sight is None or sight.path(f"connections/{c.name}")
        ]
    )


@router.get("/connections/outages", dependencies=allow(Action.READ, part=True))
async def list_outages(
    services: Room,
    sight: Seen,
    connection: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Outages:
    """Times in which connections were not Good, newest first."""
    if sight.narrowed and connection is None:
        own = [c.name for c in services.live.plant.connections if sight.path(f"connections/{c.name}")]
        lists = [await services.outages(name, limit) for name in own]
        found = sorted((o for some in lists for o in some), key=lambda o: -o.start_ns)[:limit]
    elif sight.narrowed and not sight.path(f"connections/{connection}"):
        found = []
    else:
        found = list(await services.outages(connection, limit))
    return Outages(
        outages=[
            OutageAnswer(
                connection=outage.connection,
                start=iso(outage.start_ns),
                end=None if outage.end_ns is None else iso(outage.end_ns),
                reason=outage.reason,
            )
            for outage in found
        ]
    )


@router.post("/connections/test", dependencies=allow(Action.CONNECTION_TEST))
async def test_connection(test: ConnectionTest, services: Room) -> TestResult:
    """Try a connection from its edge, step by step; reads only."""
    return TestResult.model_validate(
        await services.test_connection(test.edge, test.driver, test.config, test.addresses)
    )


@router.post("/connections/browse", dependencies=allow(Action.CONNECTION_TEST))
async def browse_connection(question: BrowseQuestion, services: Room) -> Browsed:
    """What a device offers, for devices that can tell; reads only."""
    edge = question.edge
    if question.connection:
        known = {connection.name: connection.edge for connection in services.live.plant.connections}
        if question.connection not in known:
            raise ConfigError(f"connection: the plant has none of this name, was {question.connection!r}")
        edge = known[question.connection]
    elif not question.driver:
        raise ConfigError("connection: name one, or give driver and config")
    return Browsed.model_validate(
        await services.browse(edge, question.connection, question.driver, question.config, question.root)
    )


@router.get("/drivers", dependencies=allow(Action.READ, part=True))
async def list_drivers(services: Room) -> Drivers:
    """Every driver and its settings, enough for a form."""
    specs = await asyncio.to_thread(services.drivers)
    return Drivers(drivers=[driver_answer(spec) for _, spec in sorted(specs.items())])


def driver_answer(spec: DriverSpec) -> DriverAnswer:
    """A driver's settings, told by its config dataclass: types, defaults and the text under each field."""
    hints, docs = typing.get_type_hints(spec.config), _field_docs(spec.config)
    settings = []
    for field in dataclasses.fields(spec.config):
        if not field.init:
            continue
        default = field.default
        if default is dataclasses.MISSING and field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        kind, choices = _kind(hints[field.name])
        settings.append(
            Setting(
                name=field.name,
                type=kind,
                default=default if isinstance(default, bool | int | float | str) else None,
                doc=docs.get(field.name, ""),
                required=default is dataclasses.MISSING,
                choices=choices,
            )
        )
    return DriverAnswer(name=spec.name, title=spec.title, settings=settings)


def _kind(hint: Any) -> tuple[Literal["text", "int", "float", "bool"], list[Any] | None]:
    """What a form asks for."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not types.NoneType)
    if typing.get_origin(hint) is Literal:
        choices = list(typing.get_args(hint))
        return _kind(type(choices[0]))[0], choices
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        choices = [member.value for member in hint]
        return _kind(type(choices[0]))[0], choices
    kinds: dict[Any, Literal["text", "int", "float", "bool"]] = {bool: "bool", int: "int", float: "float"}
    return kinds.get(hint, "text"), None


def _field_docs(config: type) -> dict[str, str]:
    """The string under each field of a dataclass; empty where the source is not at hand."""
    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(config))).body[0]
    except (OSError, TypeError, SyntaxError):
        return {}
    docs = {}
    lines = body.body if isinstance(body, ast.ClassDef) else []
    for line, after in itertools.pairwise(lines):
        if not (isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)):
            continue
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
            docs[line.target.id] = inspect.cleandoc(after.value.value)
    return docs

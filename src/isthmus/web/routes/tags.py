"""Assets, tags and their newest values."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import numpy as np
import orjson
from fastapi import Query, Response
from pydantic import Field

from isthmus.namespace.live import LiveRows
from isthmus.namespace.model import Plant, Tag
from isthmus.security.model import Action
from isthmus.values import status
from isthmus.values.ids import MAX_PATH_CHARS, is_under
from isthmus.web.access import Room, Seen, Sight, allow
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.times import iso

router = routes_of("tags")

MOST_TAGS = 50_000
_CHUNK = 500
Under = Annotated[str, Query(max_length=MAX_PATH_CHARS, description="at or below this path; empty: everything")]


class AssetNode(BaseModel):
    path: str = Field(description="empty for the site itself")
    name: str
    level: str = Field(description="site, area, line, cell, asset or connection")
    type: str
    parent: str
    tags: int = Field(description="tags at or below it")
    order: int = Field(description="place in the plant file")
    production: dict[str, Any] | None = Field(
        description="the type's production section, tags as paths; null if it has none"
    )
    description: str


class Assets(BaseModel):
    assets: list[AssetNode]


class Limits(BaseModel):
    high_high: float | None = None
    high: float | None = None
    low: float | None = None
    low_low: float | None = None


class TagAnswer(BaseModel):
    id: int
    path: str
    asset: str
    name: str
    kind: str = Field(description="value, counter, state, switch, text or system")
    type: Literal["float", "int", "text"]
    unit: str
    decimals: int | None
    description: str
    low: float | None
    high: float | None
    limits: Limits
    setpoint: str = Field(description="path of the tag that holds its set-point, or empty")
    states: dict[str, str] | None
    connection: str
    address: str
    formula: str
    edge: str
    order: int = Field(description="place in the plant file")


class Tags(BaseModel):
    total: int = Field(description="tags that match, whatever offset and limit")
    tags: list[TagAnswer]


class LastGood(BaseModel):
    value: float | int | str | None
    time: str


class TagValue(BaseModel):
    path: str
    value: float | int | str | None
    unit: str
    time: str | None = Field(description="null if there was never a sample")
    status: str = Field(description="name of the OPC UA status code")
    last_good: LastGood | None = Field(None, description="only where the status is bad and there was a good value")


class TagValues(BaseModel):
    values: list[TagValue]


@router.get("/assets", dependencies=allow(Action.READ, part=True))
async def list_assets(services: Room, sight: Seen, under: Under = "") -> Assets:
    """The equipment tree, in the order of the plant file; the levels above what may be seen are there by their names."""
    live = services.live
    counts = {a.path: len(sight.rows(live, live.rows_under(a.path))) for a in live.plant.assets}
    own = {asset.path for asset in live.plant.assets if sight.path(asset.path)}
    shown = own | _levels_above({path for path, count in counts.items() if count} | own)
    return Assets(
        assets=[
            AssetNode(
                path=asset.path,
                name=asset.name,
                level=asset.level,
                type=asset.type,
                parent=asset.parent,
                tags=counts[asset.path],
                order=asset.order,
                production=(asset.production or None) if asset.path in own else None,
                description=asset.description if asset.path in own else "",
            )
            for asset in live.plant.assets
            if asset.path in shown and is_under(asset.path, under)
        ]
    )


def _levels_above(paths: Iterable[str]) -> set[str]:
    """The paths and everything above them."""
    found: set[str] = set()
    for path in paths:
        at = path
        while at not in found:
            found.add(at)
            at = at.rpartition("/")[0]
    return found


def tag_answer(tag: Tag) -> dict[str, Any]:
    """A tag as the API shows it."""
    return {
        "id": tag.id,
        "path": tag.path,
        "asset": tag.asset,
        "name": tag.name,
        "kind": tag.kind,
        "type": tag.type.value,
        "unit": tag.unit,
        "decimals": tag.decimals,
        "description": tag.description,
        "low": tag.low,
        "high": tag.high,
        "limits": tag.limits,
        "setpoint": tag.setpoint,
        "states": None if tag.states is None else {str(code): name for code, name in tag.states.items()},
        "connection": tag.connection,
        "address": tag.address,
        "formula": tag.formula,
        "edge": tag.edge,
        "order": tag.order,
    }


def _list(head: bytes, items: Iterable[dict[str, Any]]) -> bytes:
    """``head``, the items and the end of the object, written by and by: one long list would stop every other thread."""
    items, parts = iter(items), []
    while chunk := list(itertools.islice(items, _CHUNK)):
        parts.append(orjson.dumps(chunk)[1:-1])
    return head + b"[" + b",".join(parts) + b"]}"


def _find(plant: Plant, sight: Sight, rows: list[int], search: str, offset: int, limit: int) -> bytes:
    words = search.casefold().split()
    tags = [plant.tags[row] for row in rows]
    if words:
        texts = (f"{tag.path} {tag.description} {tag.address}".casefold() for tag in tags)
        tags = [tag for tag, text in zip(tags, texts, strict=True) if all(word in text for word in words)]
    page = tags[offset : offset + limit]
    answers: Iterable[dict[str, Any]] = map(tag_answer, page)
    if sight.narrowed:  # what is not seen has no name either
        answers = (
            {**a, "setpoint": ""} if a["setpoint"] and not sight.tag(plant.by_path[a["setpoint"]]) else a
            for a in answers
        )
    return _list(b'{"total":%d,"tags":' % len(tags), answers)


@router.get("/tags", dependencies=allow(Action.READ, part=True), response_model=Tags)
async def list_tags(
    services: Room,
    sight: Seen,
    under: Under = "",
    search: Annotated[str, Query(max_length=200, description="words of path, description or address")] = "",
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST_TAGS)] = 1000,
) -> Response:
    """Tags ordered by path."""
    plant, rows = services.live.plant, sight.rows(services.live, services.live.rows_under(under))
    body = await asyncio.to_thread(_find, plant, sight, rows.tolist(), search, offset, limit)
    return Response(body, media_type="application/json")


def values_answer(plant: Plant, rows: list[int], live: LiveRows, last_good: LiveRows) -> bytes:
    """Newest values as JSON. ``last_good`` has the rows that are bad, in the same order."""
    before = (
        {"value": v, "time": iso(t)} if t else None
        for v, t in zip(last_good.python(), last_good.time_ns.tolist(), strict=True)
    )
    times: dict[int, str | None] = {0: None}  # a poll group shares its time, so there are few
    for time_ns in np.unique(live.time_ns).tolist():
        times[time_ns] = iso(time_ns) if time_ns else None
    bad = status.is_bad(live.status)
    columns = zip(rows, live.python(), live.time_ns.tolist(), live.status.tolist(), bad.tolist(), strict=True)
    return _list(
        b'{"values":',
        (
            {
                "path": plant.tags[row].path,
                "value": value,
                "unit": plant.tags[row].unit,
                "time": times[time_ns],
                "status": status.name(code),
                **_earlier(next(before) if bad else None),
            }
            for row, value, time_ns, code, bad in columns
        ),
    )


def _earlier(last_good: dict[str, Any] | None) -> dict[str, Any]:
    return {} if last_good is None else {"last_good": last_good}


@router.get("/tags/values", dependencies=allow(Action.READ, part=True), response_model=TagValues)
async def list_values(services: Room, sight: Seen, under: Under = "") -> Response:
    """The newest value of every tag at or below a path."""
    plant, rows = services.live.plant, sight.rows(services.live, services.live.rows_under(under))
    live = services.live.read(rows)
    last_good = services.live.last_good(rows[status.is_bad(live.status)])
    body = await asyncio.to_thread(values_answer, plant, rows.tolist(), live, last_good)
    return Response(body, media_type="application/json")

"""The record: history and known gaps. Answers leave as the engine's own bytes."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated, Any

import orjson
from fastapi import Header, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import Field
from starlette.types import Send

from isthmus.namespace.model import Tag
from isthmus.ports.history import Format, Function, HistoryAnswer, HistoryQuery, Shape
from isthmus.security.model import Action
from isthmus.values.errors import ConfigError
from isthmus.web.access import Ground, SeenBefore, Sight, allow
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.problems import NotFound, Refused
from isthmus.web.services import First
from isthmus.web.times import iso, parse_time

router = routes_of("history")

MOST_TAGS = 1000
MOST_TAGS_RAW_JSON = 100
MOST_POINTS = 20_000

MEDIA_TYPES = {
    Format.JSON: "application/json",
    Format.CSV: "text/csv",
    Format.ARROW: "application/vnd.apache.arrow.stream",
}
_FORMATS = {media_type: form for form, media_type in MEDIA_TYPES.items()}
_ANY = {"*/*": Format.JSON, "application/*": Format.JSON, "text/*": Format.CSV}

COLUMNS = {
    Shape.RAW: ["tag", "time", "value", "status"],
    Shape.BOUNDED: ["tag", "time", "first", "min", "max", "last", "mean", "count", "bad_s"],
}

Start = Annotated[str, Query(max_length=64, description="ISO 8601, now, or now-8h (s, m, h, d, w)")]


class History(BaseModel):
    shape: Shape
    start: str
    end: str
    snapped_s: float = Field(description="bucket width really used; 0 where each bucket is one sample")
    tags: list[str]
    columns: list[str]
    rows: list[list[float | int | str | None]] = Field(description="tag is an index into tags, time is ms since 1970")


class GapAnswer(BaseModel):
    edge: str
    start: str
    end: str
    reason: str


class Gaps(BaseModel):
    gaps: list[GapAnswer]


def choose_format(accept: str) -> Format:
    """The format of an Accept header.

    Raises: Refused (406)
    """
    wanted: list[tuple[float, Format]] = []
    for part in accept.split(",")[:20]:
        media_type, *parameters = (piece.strip().lower() for piece in part.split(";"))
        form = _FORMATS.get(media_type) or _ANY.get(media_type)
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        if form and re.fullmatch(r"[01](\.\d{0,3})?", weight) and float(weight) > 0:
            wanted.append((float(weight), form))
    if not wanted:
        raise Refused(
            f"history comes as {', '.join(_FORMATS)}; Accept asks for {accept[:200]!r}", 406, "not_acceptable"
        )
    return max(wanted, key=lambda pair: pair[0])[1]


def _tags(services: First, sight: Sight, paths: list[str]) -> list[Tag]:
    by_path = services.live.plant.by_path
    unknown = [path for path in paths if path not in by_path or not sight.tag(by_path[path])]
    if unknown:
        raise NotFound(f"tag: there is none at {', '.join(path[:200] for path in unknown[:5])}", "unknown_tag")
    return [by_path[path] for path in dict.fromkeys(paths)]


def _functions(shape: Shape, given: list[str]) -> tuple[Function, ...]:
    names = dict.fromkeys(name.strip() for text in given for name in text.split(","))
    if (shape is Shape.AGGREGATE) != bool(names):
        raise ConfigError(f"functions: are for shape=aggregate, which needs one or more, was {','.join(names)[:80]!r}")
    try:
        return tuple(Function(name) for name in names)
    except ValueError:
        raise ConfigError(f"functions: known are {', '.join(Function)}, was {','.join(names)[:80]!r}") from None


def _range(services: First, start: str, end: str) -> tuple[int, int]:
    now_ns = services.clock.now_ns()
    start_ns, end_ns = parse_time(start, now_ns, "start"), parse_time(end, now_ns, "end")
    if start_ns >= end_ns:
        raise ConfigError(f"start: must be before end, was {start[:80]!r} with end {end[:80]!r}")
    return start_ns, end_ns


def _file_headers(query: HistoryQuery, tags: list[Tag]) -> dict[str, str]:
    name = re.sub(r"[^A-Za-z0-9]+", "-", tags[0].path if len(tags) == 1 else f"{len(tags)}-tags").strip("-")
    span = re.sub(r"[:.]", "", f"{iso(query.start_ns)[:19]}Z_{iso(query.end_ns)[:19]}Z")
    suffix = "csv" if query.format is Format.CSV else "arrows"
    return {"Content-Disposition": f'attachment; filename="{name}_{span}.{suffix}"', "Vary": "Accept"}


def _envelope(query: HistoryQuery, tags: list[Tag], answer: HistoryAnswer) -> bytes:
    """JSON around the rows as the engine wrote them; nothing is parsed again."""
    head: dict[str, Any] = {
        "shape": query.shape.value,
        "start": iso(answer.start_ns),
        "end": iso(answer.end_ns),
        "snapped_s": answer.snapped_ns / 1e9,
        "tags": [tag.path for tag in tags],
        "columns": COLUMNS.get(query.shape) or ["tag", "time", *query.functions],
    }
    return b"".join((orjson.dumps(head)[:-1], b',"rows":', answer.body or b"[]", b"}"))


async def _opened(blocks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same blocks, the first of them already there: what fails at once is still a problem, not half an answer."""
    first = await anext(blocks, b"")

    async def rest() -> AsyncIterator[bytes]:
        try:
            yield first
            async for block in blocks:
                yield block
        finally:
            await _close(blocks)

    return rest()


async def _close(blocks: object) -> None:
    if isinstance(blocks, AsyncGenerator):
        await blocks.aclose()


class _Blocks(StreamingResponse):
    """Lets the question go when the answer ends, however it ends: the engine has few places for questions."""

    async def stream_response(self, send: Send) -> None:
        try:
            await super().stream_response(send)
        finally:
            await _close(self.body_iterator)


_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            MEDIA_TYPES[Format.CSV]: {"schema": {"type": "string"}},
            MEDIA_TYPES[Format.ARROW]: {"schema": {"type": "string", "format": "binary"}},
        }
    }
}


@router.get(
    "/history", dependencies=allow(Action.READ, "history", part=True), response_model=History, responses=_ANSWERS
)
async def get_history(
    services: Ground,
    sight: SeenBefore,
    tag: Annotated[list[str], Query(min_length=1, max_length=MOST_TAGS, description="path; may be given again")],
    start: Start = "now-1h",
    end: Start = "now",
    points: Annotated[int, Query(ge=1, le=MOST_POINTS, description="most buckets a tag")] = 1000,
    shape: Shape = Shape.BOUNDED,
    functions: Annotated[list[str], Query(max_length=20, description="for shape=aggregate")] = [],  # noqa: B006  FastAPI copies it
    accept: Annotated[str, Header(max_length=1000)] = "*/*",
) -> Response:
    """What was recorded over [start, end), as JSON, CSV or an Arrow stream."""
    start_ns, end_ns = _range(services, start, end)
    form = choose_format(accept)
    tags = _tags(services, sight, tag)
    if shape is Shape.RAW and form is Format.JSON and len(tags) > MOST_TAGS_RAW_JSON:
        raise ConfigError(
            f"tag: raw JSON takes {MOST_TAGS_RAW_JSON} tags at most; ask for CSV or Arrow, was {len(tags)}"
        )
    ids = tuple(t.id for t in tags)
    query = HistoryQuery(ids, start_ns, end_ns, shape, points, _functions(shape, functions), form)
    if form is Format.JSON:
        body = _envelope(query, tags, await services.history.query(query))
        return Response(body, media_type=MEDIA_TYPES[form], headers={"Vary": "Accept"})
    headers = _file_headers(query, tags)
    if shape is Shape.RAW:
        blocks = await _opened(services.history.stream(query))
        return _Blocks(blocks, media_type=MEDIA_TYPES[form], headers=headers)
    answer = await services.history.query(query)
    return Response(answer.body, media_type=MEDIA_TYPES[form], headers=headers)


@router.get("/gaps", dependencies=allow(Action.READ, "history", part=True))
async def list_gaps(services: Ground, sight: SeenBefore, start: Start = "now-1h", end: Start = "now") -> Gaps:
    """Times in which samples are known to be missing, by edge."""
    plant = services.live.plant
    edges = plant.edges
    if sight.narrowed:
        own = sight.edges(plant.tags)
        edges = tuple(edge for edge in edges if edge in own)
    start_ns, end_ns = _range(services, start, end)
    gaps = await services.history.gaps(edges, start_ns, end_ns)
    return Gaps(gaps=[GapAnswer(edge=g.edge, start=iso(g.start_ns), end=iso(g.end_ns), reason=g.reason) for g in gaps])

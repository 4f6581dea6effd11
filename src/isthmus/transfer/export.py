"""History out: what the public API answers, written as a file of bounded memory however long it is."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from isthmus.values.errors import ConfigError

ARROW = "application/vnd.apache.arrow.stream"
_TAGS = 50  # of one request
_MOST_TAGS_JSON = 1000
_WINDOWS = 10
_COPY = 1 << 20
_TIME = pa.timestamp("ns", "UTC")

Fetch = Callable[[dict[str, Any], str], AbstractContextManager[Any]]
"""(query, accept) → the answer of GET history, open for reading."""
Progress = Callable[[str, int, int, int], None]


@dataclass(frozen=True, slots=True)
class Column:
    """A tag that is asked for."""

    path: str
    type: str
    states: bool

    @property
    def kind(self) -> str:
        """What its values are in an answer: float, int or words."""
        return "words" if self.states or self.type == "text" else self.type


@dataclass(frozen=True, slots=True)
class Ask:
    """What is wanted. ``points`` 0 without functions is every sample; start and end are ISO 8601."""

    tags: Sequence[Column]
    start: str
    end: str
    points: int = 0
    functions: tuple[str, ...] = ()

    @property
    def raw(self) -> bool:
        return not self.points and not self.functions

    def query(self, tags: Sequence[Column]) -> dict[str, Any]:
        """The question for some of the tags."""
        asked: dict[str, Any] = {"tag": [t.path for t in tags], "start": self.start, "end": self.end}
        if self.functions:
            return {**asked, "shape": "aggregate", "functions": ",".join(self.functions), "points": self.points or 1}
        return {**asked, "shape": "raw"} if self.raw else {**asked, "shape": "bounded", "points": self.points}

    def parts(self) -> list[list[Column]]:
        """The tags in groups that make one request each; of every sample, those of one type together."""
        kinds = ("int", "float", "words") if self.raw else ("",)
        groups = ([t for t in self.tags if kind in ("", t.kind)] for kind in kinds)
        return [group[i : i + _TAGS] for group in groups for i in range(0, len(group), _TAGS)]


class Sink(Protocol):
    """What takes the rows of an answer, table by table."""

    def write(self, table: Any) -> None: ...
    def close(self) -> None: ...


def export(fetch: Fetch, ask: Ask, form: str, output: Path | None, progress: Progress = lambda *_: None) -> int:
    """Write history; how many rows. A file appears under its name when it is whole.

    Raises: ConfigError if the file cannot be written, or the answer is too large for the format
    """
    with _file(output) as out:
        if form == "csv":
            return _csv(fetch, ask, out, progress)
        if form == "json" and not ask.raw:
            return _json(fetch, ask, out)
        sink = _SINKS[form](ask, out)
        rows = 0
        parts = ask.parts()
        for done, part in enumerate(parts):
            for table in _tables(fetch, ask, part):
                sink.write(table)
                rows += table.num_rows
                progress("exporting", done, len(parts), rows)
        sink.close()
        return rows


@contextlib.contextmanager
def _file(output: Path | None) -> Iterator[BinaryIO]:
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    aside = output.with_name(f"{output.name}.part")
    try:
        with aside.open("wb") as out:
            yield out
        aside.replace(output)
    except OSError as error:
        raise ConfigError(f"{output}: {error.strerror or error}") from error
    finally:
        aside.unlink(missing_ok=True)


def _csv(fetch: Fetch, ask: Ask, out: BinaryIO, progress: Progress) -> int:
    """The engine's own text; its first line once."""
    rows = 0
    parts = [list(ask.tags[i : i + _TAGS]) for i in range(0, len(ask.tags), _TAGS)]
    for done, part in enumerate(parts):
        with fetch(ask.query(part), "text/csv") as answer:
            head = answer.readline()
            if not done:
                out.write(head)
            while block := answer.read(_COPY):
                rows += block.count(b"\n")
                out.write(block)
                progress("exporting", done, len(parts), rows)
    return rows


def _json(fetch: Fetch, ask: Ask, out: BinaryIO) -> int:
    if len(ask.tags) > _MOST_TAGS_JSON:
        raise ConfigError(f"format: JSON takes {_MOST_TAGS_JSON} tags at most; take csv, parquet or arrow")
    with fetch(ask.query(ask.tags), "application/json") as answer:
        body = answer.read()
    out.write(body + b"\n")
    return len(orjson.loads(body)["rows"])


def _tables(fetch: Fetch, ask: Ask, part: Sequence[Column]) -> Iterator[Any]:
    """Batches of an answer, with the paths of tags instead of their places."""
    paths = pa.array([t.path for t in part], pa.string())
    with fetch(ask.query(part), ARROW) as answer, pa.ipc.open_stream(io.BufferedReader(answer, _COPY)) as stream:
        for batch in stream:
            place = batch.column("tag").cast(pa.int32())
            tag = pa.DictionaryArray.from_arrays(place, paths)
            rest = {name: batch.column(name) for name in batch.schema.names if name != "tag"}
            yield pa.table({"tag": tag, **rest})


# Every sample has the same columns whatever is asked: numbers as they are where all are of one kind; else floats, and
# beside them as text what a float does not say (words, and integers beyond 2^53).

_KINDS = {"int": pa.int64(), "float": pa.float64(), "words": pa.string()}
_TAG = pa.dictionary(pa.int32(), pa.string())


def _raw_schema(ask: Ask) -> Any:
    kinds = {t.kind for t in ask.tags}
    value = {"value": _KINDS[next(iter(kinds))]} if len(kinds) == 1 else {"value": pa.float64(), "text": pa.string()}
    return pa.schema({"tag": _TAG, "time": _TIME, **value, "status": pa.uint32()})


def _shaped(table: Any, schema: Any) -> Any:
    """A table in the columns of the file."""
    columns = {"tag": table["tag"], "time": table["time"].cast(_TIME)}
    if "status" not in schema.names:
        for field in schema:
            if field.name not in columns:
                columns[field.name] = table[field.name].cast(field.type)
        return pa.table(columns, schema=schema)
    value = table["value"]
    if "text" not in schema.names:
        columns["value"] = value.cast(schema.field("value").type)
    elif pa.types.is_string(value.type):
        columns |= {"value": pa.nulls(len(table), pa.float64()), "text": value}
    elif pa.types.is_integer(value.type):
        far = pc.greater(pc.abs(value), 2**53)
        columns["value"] = value.cast(pa.float64(), safe=False)
        columns["text"] = pc.if_else(far, value.cast(pa.string()), pa.scalar(None, pa.string()))
    else:
        columns |= {"value": value, "text": pa.nulls(len(table), pa.string())}
    return pa.table({**columns, "status": table["status"].cast(pa.uint32())}, schema=schema)


class _Tabular:
    """Parquet, or an Arrow stream."""

    def __init__(self, ask: Ask, out: BinaryIO, *, parquet: bool) -> None:
        self._out, self._parquet = out, parquet
        self._schema = _raw_schema(ask) if ask.raw else None
        self._mixed = len({t.kind == "words" for t in ask.tags}) > 1
        self._writer: Any = None

    def write(self, table: Any) -> None:
        if self._schema is None:
            kinds = {f.name: _TAG if f.name == "tag" else f.type for f in table.schema}
            if self._mixed:
                kinds |= {name: pa.string() for name in ("first", "last") if name in kinds}
            self._schema = pa.schema(kinds)
        if self._writer is None:
            self._open()
        self._writer.write_table(_shaped(table, self._schema).combine_chunks())

    def close(self) -> None:
        if self._writer is None:
            if self._schema is None:
                self._schema = pa.schema({"tag": _TAG, "time": _TIME})
            self._open()
        self._writer.close()

    def _open(self) -> None:
        if self._parquet:
            self._writer = pq.ParquetWriter(self._out, self._schema, compression="zstd")
        else:
            # A stream of Arrow may change a dictionary on its way; paths differ from request to request.
            self._writer = pa.ipc.new_stream(self._out, self._schema)


class _RawJson:
    """Every sample in the shape of the API's JSON, without holding all of it."""

    def __init__(self, ask: Ask, out: BinaryIO) -> None:
        self._out, self._first = out, True
        self._place = {t.path: i for i, t in enumerate(ask.tags)}
        head = {"shape": "raw", "start": ask.start, "end": ask.end, "snapped_s": 0, "tags": list(self._place)}
        out.write(json.dumps({**head, "columns": ["tag", "time", "value", "status"]})[:-1].encode() + b', "rows": [')

    def write(self, table: Any) -> None:
        ns = table["time"].cast(pa.int64()).to_pylist()
        time = (t // 1_000_000 if t % 1_000_000 == 0 else t / 1e6 for t in ns)
        places = (self._place[path] for path in table["tag"].to_pylist())
        rows = zip(places, time, table["value"].to_pylist(), table["status"].to_pylist(), strict=True)
        for row in rows:
            self._out.write((b"" if self._first else b",\n") + orjson.dumps(row))
            self._first = False

    def close(self) -> None:
        self._out.write(b"]}\n")


_SINKS: dict[str, Callable[[Ask, BinaryIO], Sink]] = {
    "parquet": lambda ask, out: _Tabular(ask, out, parquet=True),
    "arrow": lambda ask, out: _Tabular(ask, out, parquet=False),
    "json": _RawJson,
}

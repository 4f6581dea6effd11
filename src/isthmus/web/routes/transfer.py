"""History from elsewhere, in blocks of columns, into the record."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import numpy as np
from fastapi import Query, Request
from pydantic import Field

from isthmus.historian.importer import distinct
from isthmus.namespace.model import Plant
from isthmus.ports.frames import Position
from isthmus.ports.imports import HistoryImports
from isthmus.security.model import Action
from isthmus.values.errors import ConfigError, Malformed
from isthmus.values.sample import SampleBatch
from isthmus.web.access import Room, allow
from isthmus.web.late import BaseModel, routes_of
from isthmus.web.problems import Refused
from isthmus.web.services import Services

router = routes_of("history")

MOST_ROWS = 4_000_000
"""Rows of one block."""

Key = Annotated[str, Query(alias="import", pattern=r"^[0-9a-f]{8,64}$", description="names the import; any hex digits")]


class ImportPosition(BaseModel):
    epoch: int | None = Field(description="of the run whose block was stored last; null if there is none")
    block: int
    kept_days: dict[int, int] = Field(description="by tag id; what is older would be dropped. Others are kept for ever")


class ImportTaken(BaseModel):
    rows: int
    stored: bool = Field(description="false when this block was stored before, and nothing was done")


def _imports(services: Services) -> HistoryImports:
    if services.imports is None:
        raise Refused("this server takes no imports", 501, "no_imports")
    return services.imports


@router.get("/history/import", dependencies=allow(Action.READ))
async def import_position(services: Room, key: Key) -> ImportPosition:
    """The last block of an import that is stored."""
    found = await _imports(services).import_position(key)
    plant = services.live.plant
    days = {tag.id: plant.retention.get(tag.retention, 0) for tag in plant.tags}
    return ImportPosition(
        epoch=None if found is None else found.epoch,
        block=0 if found is None else found.seq,
        kept_days={tag: kept for tag, kept in days.items() if kept},
    )


@router.post("/history/import", dependencies=allow(Action.PLANT_CHANGE))
async def take_import(
    services: Room,
    request: Request,
    key: Key,
    epoch: Annotated[int, Query(ge=1, le=2**63 - 1, description="grows with each new run of the import")],
    block: Annotated[int, Query(ge=1, le=2**63 - 1, description="1, 2, 3 … in a run")],
) -> ImportTaken:
    """Store a block: Arrow streams one behind the other, each with columns tag, time, value and status.

    tag is an int32 id, time int64 UTC ns, value float64, int64 or a text dictionary as the tag's type says, status
    uint32. The block is durable when this answers; one with a known (epoch, block) has no second effect.
    """
    body = await request.body()
    batches = await asyncio.to_thread(read_block, body, services.live.plant)
    rows = sum(map(len, batches))
    stored = await _imports(services).take_import(key, Position(epoch, block), batches)
    return ImportTaken(rows=rows, stored=stored)


def read_block(body: bytes, plant: Plant) -> list[SampleBatch]:
    """The batches of a block, checked against the plant.

    Raises: Malformed or ConfigError; then nothing of it is taken
    """
    import pyarrow as pa

    batches: list[SampleBatch] = []
    source = pa.BufferReader(body)
    try:
        while source.tell() < len(body):
            with pa.ipc.open_stream(source) as stream:
                batches += (_batch(part) for part in stream)
    except (pa.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        raise Malformed(f"this block is not the Arrow streams it should be: {str(error)[:200]}") from None
    if sum(map(len, batches)) > MOST_ROWS:
        raise ConfigError(f"import: a block has at most {MOST_ROWS} rows")
    batches = [b for b in batches if len(b)]
    for batch in batches:
        for tag in distinct([batch]).tolist():
            known = plant.by_id.get(tag)
            if known is None or known.type is not batch.type:
                what = "no such tag" if known is None else f"{known.path} is {known.type.value}"
                raise ConfigError(f"import: {what}, was {batch.type.value} values for tag {tag}")
    return batches


def _batch(part: Any) -> SampleBatch:
    import pyarrow as pa

    part.validate(full=True)  # offsets that point outside would be read
    columns = {name: part.column(name) for name in ("tag", "time", "value", "status")}
    if any(c.null_count for c in columns.values()):
        raise ValueError("a column has nulls")
    value, text = columns["value"], ()
    if pa.types.is_dictionary(value.type):
        text = tuple(value.dictionary.to_pylist())
        codes = value.indices.to_numpy(zero_copy_only=False).astype(np.int32, copy=False)
        if len(codes) and not 0 <= int(codes.min()) <= int(codes.max()) < len(text):
            raise ValueError("a text code points nowhere")
        values: Any = codes
    elif value.type in (pa.float64(), pa.int64()):
        values = value.to_numpy(zero_copy_only=False)
    else:
        raise TypeError(f"value is {value.type}")
    kinds = {"tag": pa.int32(), "time": pa.int64(), "status": pa.uint32()}
    wrong = [name for name, kind in kinds.items() if columns[name].type != kind]
    if wrong:
        raise TypeError(f"{wrong[0]} is {columns[wrong[0]].type}, must be {kinds[wrong[0]]}")
    return SampleBatch(
        columns["tag"].to_numpy(), columns["time"].to_numpy(), values, columns["status"].to_numpy(), text
    )

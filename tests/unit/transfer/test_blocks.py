"""The door of blocks takes a block whole or refuses it whole."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.namespace.model import Plant, Tag
from isthmus.transfer.run import blocks, encode
from isthmus.values.errors import ConfigError, Malformed
from isthmus.values.sample import SampleBatch, ValueType
from isthmus.web.routes import transfer

TAGS = (
    Tag(1, "a/f", "a", "f", "value", ValueType.FLOAT),
    Tag(2, "a/i", "a", "i", "counter", ValueType.INT),
    Tag(3, "a/t", "a", "t", "text", ValueType.TEXT),
)
PLANT = Plant(1, "acme", "lyon", "UTC", TAGS, by_id={t.id: t for t in TAGS})


def batch(tag: int, value: np.ndarray, text: tuple[str, ...] = ()) -> SampleBatch:
    n = len(value)
    return SampleBatch(np.full(n, tag, np.int32), np.arange(n, dtype=np.int64), value, np.zeros(n, np.uint32), text)


GOOD = [batch(1, np.ones(5)), batch(2, np.ones(5, np.int64)), batch(3, np.zeros(2, np.int32), ("x", "y"))]


def test_what_was_sent_arrives():
    found = transfer.read_block(encode(GOOD), PLANT)
    assert [(b.type, len(b), b.text) for b in found] == [(b.type, len(b), b.text) for b in GOOD]
    assert transfer.read_block(b"", PLANT) == []


@pytest.mark.parametrize(
    ("body", "error", "told"),
    [
        (b"what is this", Malformed, "not the Arrow streams"),
        (encode(GOOD)[:-70], Malformed, "not the Arrow streams"),
        (encode([batch(9, np.ones(1))]), ConfigError, "no such tag"),
        (encode([batch(2, np.ones(1))]), ConfigError, "a/i is int, was float values"),
    ],
    ids=["no Arrow", "cut off", "unknown tag", "wrong type"],
)
def test_a_block_that_does_not_fit_is_refused_whole(body, error, told):
    with pytest.raises(error, match=told):
        transfer.read_block(body, PLANT)


def test_columns_of_other_types_are_refused():
    part = pa.record_batch(
        {"tag": pa.array([1]), "time": pa.array([1]), "value": [1.0], "status": pa.array([0], pa.uint32())}
    )
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, part.schema) as stream:
        stream.write_batch(part)
    with pytest.raises(Malformed, match="tag is int64"):
        transfer.read_block(bytes(out.getvalue()), PLANT)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(encode(GOOD)) - 1), st.integers(0, 255))
def test_mutated_blocks_are_taken_or_refused_and_nothing_else(at, byte):
    body = bytearray(encode(GOOD))
    body[at] = byte
    try:
        found = transfer.read_block(bytes(body), PLANT)
    except (Malformed, ConfigError):
        return
    assert all(len(b.id) == len(b.time_ns) == len(b.value) == len(b.status) for b in found)


def test_many_rows_are_cut_into_blocks(monkeypatch):
    monkeypatch.setattr("isthmus.transfer.run.BLOCK_ROWS", 3)
    sizes = [sum(map(len, transfer.read_block(b, PLANT))) for b in blocks(GOOD)]
    assert sizes == [3, 2, 3, 2, 2]

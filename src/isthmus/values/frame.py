"""The frame: samples on the bus, in one versioned binary layout.

Little-endian, version 1:

    offset size  field
    0      4     magic "ISTF"
    4      1     version (1)
    5      1     lane: 0 live, 1 backfill, 2 event
    6      2     number of sections (one per value type, at most 3)
    8      8     epoch: grows with every start of the edge
    16     8     seq: 1, 2, 3 … within (edge, lane, epoch)
    24     8     sealed_ns: edge clock when the frame was closed, UTC ns
    32     4     model version the edge ran
    36     4     reserved, 0
    40     …     sections
    end-4  4     CRC-32 of everything before it

Each section, every column beginning on a multiple of 8 (zero padded):

    0      4     kind: 1 float64, 2 int64, 3 text
    4      4     rows n
    8      4     texts k (kind 3 only, else 0)
    12     4     bytes of all texts together
    16     8n    time_ns int64
           8n    value float64 or int64 (kind 3: 4n, int32 codes)
           4n    id int32
           4n    status uint32
           4k    (kind 3) end offset of each text in the text bytes, uint32, then the UTF-8 bytes
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isthmus.values.errors import Malformed
from isthmus.values.lane import Lane as Lane  # noqa: PLC0414  a frame's lane is found beside the frame
from isthmus.values.sample import DTYPES, SampleBatch, ValueType

MAGIC = b"ISTF"
VERSION = 1
MAX_ROWS = 8_192
"""Rows of one frame, over all its sections: what arrives beyond is the next frame."""

_HEADER = struct.Struct("<4sBBHQQqII")
_SECTION = struct.Struct("<IIII")
_CRC = struct.Struct("<I")
_KINDS = {1: ValueType.FLOAT, 2: ValueType.INT, 3: ValueType.TEXT}
_KIND_OF = {value_type: kind for kind, value_type in _KINDS.items()}
_MAX_DECODED_ROWS = 1 << 20  # a frame from outside may be larger than ours, never absurd


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame; (edge, lane, epoch, seq) names it for ever, the edge being told by the subject it came on."""

    lane: Lane
    epoch: int
    seq: int
    sealed_ns: int
    model_version: int
    batches: tuple[SampleBatch, ...]  # at most one per value type

    @property
    def rows(self) -> int:
        """Samples in the frame."""
        return sum(len(b) for b in self.batches)


def _pad(size: int) -> int:
    return -size % 8


def encode(frame: Frame) -> bytes:
    """The frame's bytes. Cost: a copy of each column and one CRC, about 1 GB/s."""
    parts: list[bytes] = [
        _HEADER.pack(
            MAGIC,
            VERSION,
            int(frame.lane),
            len(frame.batches),
            frame.epoch,
            frame.seq,
            frame.sealed_ns,
            frame.model_version,
            0,
        )
    ]
    for batch in frame.batches:
        texts = [t.encode() for t in batch.text] if batch.type is ValueType.TEXT else []
        blob = b"".join(texts)
        parts.append(_SECTION.pack(_KIND_OF[batch.type], len(batch), len(texts), len(blob)))
        columns: list[NDArray[np.generic]] = [batch.time_ns, batch.value, batch.id, batch.status]
        if texts:
            columns.append(np.cumsum([len(t) for t in texts]).astype(np.uint32))
        for column in columns:
            data = column.astype(column.dtype.newbyteorder("<"), copy=False).tobytes()
            parts += [data, bytes(_pad(len(data)))]
        parts += [blob, bytes(_pad(len(blob)))]
    body = b"".join(parts)
    return body + _CRC.pack(zlib.crc32(body))


class _Reader:
    """Hands out columns of a buffer and refuses to read past its end."""

    def __init__(self, data: bytes, start: int, end: int) -> None:
        self._data, self._at, self._end = data, start, end

    def take(self, size: int) -> int:
        at = self._at
        if at + size > self._end:
            raise Malformed(f"frame is cut short: {size} bytes wanted at {at}, {self._end - at} left")
        self._at += size + _pad(size)
        return at

    def column(self, dtype: np.dtype[np.generic], rows: int) -> NDArray[np.generic]:
        return np.frombuffer(self._data, dtype, rows, self.take(rows * dtype.itemsize))

    @property
    def left(self) -> int:
        return self._end - self._at


def decode(data: bytes) -> Frame:
    """The frame in the bytes; columns are read-only views into them.

    Raises: Malformed if anything at all is not as the layout says
    """
    if len(data) < _HEADER.size + _CRC.size:
        raise Malformed(f"frame is {len(data)} bytes, shorter than its header")
    magic, version, lane, sections, epoch, seq, sealed_ns, model_version, _ = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise Malformed(f"frame does not begin with ISTF, was {magic!r}")
    if version != VERSION:
        raise Malformed(f"frame version {version} is not one this build reads ({VERSION})")
    end = len(data) - _CRC.size
    if _CRC.unpack_from(data, end)[0] != zlib.crc32(memoryview(data)[:end]):
        raise Malformed("frame checksum does not match")
    if lane not in (0, 1, 2) or sections > len(_KINDS):
        raise Malformed(f"frame has lane {lane} and {sections} sections")
    reader = _Reader(data, _HEADER.size, end)
    batches = tuple(_section(data, reader) for _ in range(sections))
    if len({b.type for b in batches}) != len(batches):
        raise Malformed("frame has two sections of one value type")
    if reader.left > 0:
        raise Malformed(f"frame has {reader.left} bytes too many")
    return Frame(Lane(lane), epoch, seq, sealed_ns, model_version, batches)


def _section(data: bytes, reader: _Reader) -> SampleBatch:
    kind, rows, texts, text_bytes = _SECTION.unpack_from(data, reader.take(_SECTION.size))
    value_type = _KINDS.get(kind)
    if value_type is None or rows > _MAX_DECODED_ROWS or (texts and value_type is not ValueType.TEXT):
        raise Malformed(f"frame section has kind {kind}, {rows} rows, {texts} texts")
    time_ns = reader.column(np.dtype("<i8"), rows)
    value = reader.column(DTYPES[value_type].newbyteorder("<"), rows)
    ident = reader.column(np.dtype("<i4"), rows)
    status = reader.column(np.dtype("<u4"), rows)
    text: tuple[str, ...] = ()
    if value_type is ValueType.TEXT:
        text = _texts(data, reader, texts, text_bytes)
        if rows and (not texts or int(value.min()) < 0 or int(value.max()) >= texts):
            raise Malformed("frame has a text code that points at no text")
    return SampleBatch(ident, time_ns, value, status, text)  # type: ignore[arg-type]  # dtypes are those read above


def _texts(data: bytes, reader: _Reader, texts: int, text_bytes: int) -> tuple[str, ...]:
    ends = reader.column(np.dtype("<u4"), texts).tolist() if texts else []
    at = reader.take(text_bytes)
    if (ends[-1] if ends else 0) != text_bytes or sorted(ends) != ends:
        raise Malformed("frame has text offsets that do not fit its texts")
    starts = [0, *ends[:-1]]
    try:
        return tuple(data[at + a : at + b].decode() for a, b in zip(starts, ends, strict=True))
    except UnicodeDecodeError as error:
        raise Malformed("frame has a text that is not UTF-8") from error


def split(batches: Iterable[SampleBatch], max_rows: int = MAX_ROWS) -> Iterable[tuple[SampleBatch, ...]]:
    """Groups of at most ``max_rows`` rows, in order; a batch longer than what is left is cut."""
    group: list[SampleBatch] = []
    room = max_rows
    for batch in batches:
        start = 0
        while start < len(batch):
            part = batch.rows(slice(start, start + room))
            group.append(part)
            start += len(part)
            room -= len(part)
            if room == 0:
                yield tuple(group)
                group, room = [], max_rows
    if group:
        yield tuple(group)

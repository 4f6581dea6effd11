"""The unit of exchange: columns of samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class ValueType(StrEnum):
    """What a tag's values are on the wire and in the record."""

    FLOAT = "float"  # float64
    INT = "int"  # int64; booleans and every integer
    TEXT = "text"  # int32 codes into SampleBatch.text


DTYPES: dict[ValueType, np.dtype[np.generic]] = {
    ValueType.FLOAT: np.dtype(np.float64),
    ValueType.INT: np.dtype(np.int64),
    ValueType.TEXT: np.dtype(np.int32),
}
_TYPES = {dtype: value_type for value_type, dtype in DTYPES.items()}


@dataclass(frozen=True, slots=True)
class SampleBatch:
    """Columns of samples of one value type; row i is one sample.

    Shapes: id, time_ns, value, status are (n,); n may be 0
    Units:  time_ns is UTC ns; value is raw before binding, in its tag's unit after
    Status: OPC UA status codes; 0 is Good, the top two bits give the severity; value is undefined where Bad
    """

    id: NDArray[np.int32]
    time_ns: NDArray[np.int64]
    value: NDArray[np.generic]
    status: NDArray[np.uint32]
    text: tuple[str, ...] = ()  # what int32 codes in value point at, in a text batch

    def __len__(self) -> int:
        return len(self.id)

    @property
    def type(self) -> ValueType:
        """The value type, told by the dtype of the value column."""
        return _TYPES[self.value.dtype]

    def rows(self, index: NDArray[np.intp] | NDArray[np.bool_] | slice) -> SampleBatch:
        """The chosen rows, in the given order; the texts stay whole."""
        return replace(
            self,
            id=self.id[index],
            time_ns=self.time_ns[index],
            value=self.value[index],
            status=self.status[index],
        )


def join(batches: Sequence[SampleBatch]) -> SampleBatch:
    """Rows of several batches of one type, one after the other.

    Raises: ValueError if there is none, or if their types differ
    """
    if not batches:
        raise ValueError("join needs at least one batch")
    if len(batches) == 1:
        return batches[0]
    if len({b.value.dtype for b in batches}) > 1:
        raise ValueError("join takes batches of one value type")
    text: tuple[str, ...] = ()
    values: list[NDArray[np.generic]] = [b.value for b in batches]
    if batches[0].type is ValueType.TEXT:
        codes: dict[str, int] = {}
        values = [recode(b, codes) for b in batches]
        text = tuple(codes)
    return SampleBatch(
        id=np.concatenate([b.id for b in batches]),
        time_ns=np.concatenate([b.time_ns for b in batches]),
        value=np.concatenate(values),
        status=np.concatenate([b.status for b in batches]),
        text=text,
    )


def recode(batch: SampleBatch, codes: dict[str, int]) -> NDArray[np.int32]:
    """A text batch's codes, translated to a shared dictionary that grows as needed. Shapes: -> (n,)"""
    table = np.array([codes.setdefault(t, len(codes)) for t in batch.text] or [0], np.int32)
    return table[batch.value.astype(np.intp)]


def join_by_type(batches: Iterable[SampleBatch]) -> tuple[SampleBatch, ...]:
    """At most one batch per value type, rows kept in order within each type; empty ones are left out."""
    groups: dict[np.dtype[np.generic], list[SampleBatch]] = {}
    for batch in batches:
        if len(batch):
            groups.setdefault(batch.value.dtype, []).append(batch)
    return tuple(join(group) for group in groups.values())

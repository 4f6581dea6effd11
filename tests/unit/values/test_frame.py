from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.values.errors import Malformed
from isthmus.values.frame import Frame, Lane, decode, encode, split
from isthmus.values.sample import SampleBatch, join, join_by_type

GOLDEN = bytes.fromhex(
    "495354460100020005000000000000000700000000000000090000000000000003000000000000000100000002000000"
    "000000000000000001000000000000000200000000000000000000000000f83f000000000000f0bf0a0000000b000000"
    "000000000000058003000000010000000100000003000000030000000000000000000000000000000c00000000000000"
    "0000000000000000030000000000000061c3a90000000000"
)


def frame() -> Frame:
    numbers = SampleBatch(
        np.array([10, 11], np.int32), np.array([1, 2]), np.array([1.5, -1.0]), np.array([0, 0x80050000], np.uint32)
    )
    words = SampleBatch(
        np.array([12], np.int32), np.array([3]), np.array([0], np.int32), np.array([0], np.uint32), ("aé",)
    )
    return Frame(Lane.LIVE, 5, 7, 9, 3, (numbers, words))


def same(a: Frame, b: Frame) -> bool:
    return (a.lane, a.epoch, a.seq, a.sealed_ns, a.model_version, len(a.batches)) == (
        b.lane, b.epoch, b.seq, b.sealed_ns, b.model_version, len(b.batches),
    ) and all(
        x.text == y.text
        and x.value.dtype == y.value.dtype
        and x.value.tobytes() == y.value.tobytes()
        and np.array_equal(x.id, y.id)
        and np.array_equal(x.time_ns, y.time_ns)
        and np.array_equal(x.status, y.status)
        for x, y in zip(a.batches, b.batches, strict=True)
    )  # fmt: skip


def test_layout_is_the_golden_one() -> None:
    assert encode(frame())[:-4].hex() == GOLDEN.hex()


def test_round_trip() -> None:
    assert same(decode(encode(frame())), frame())


@pytest.mark.parametrize("at", range(len(encode(frame()))))
def test_any_changed_byte_is_refused(at: int) -> None:
    data = bytearray(encode(frame()))
    data[at] ^= 0x41
    with pytest.raises(Malformed):
        decode(bytes(data))


@given(st.binary(max_size=300))
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(data)


@given(st.integers(0, 200), st.integers(0, 200), st.integers(1, 50))
def test_split_loses_nothing(first: int, second: int, room: int) -> None:
    def batch(n: int, start: int) -> SampleBatch:
        return SampleBatch(
            np.arange(start, start + n, dtype=np.int32), np.zeros(n, np.int64), np.zeros(n), np.zeros(n, np.uint32)
        )

    groups = list(split([batch(first, 0), batch(second, first)], room))
    assert [i for g in groups for b in g for i in b.id] == list(range(first + second))
    assert all(sum(len(b) for b in g) <= room for g in groups)


def test_join_recodes_texts() -> None:
    def words(*texts: str) -> SampleBatch:
        n = len(texts)
        return SampleBatch(
            np.zeros(n, np.int32), np.zeros(n, np.int64), np.arange(n, dtype=np.int32), np.zeros(n, np.uint32), texts
        )

    joined = join([words("a", "b"), words("b", "c")])
    assert [joined.text[int(code)] for code in joined.value] == ["a", "b", "b", "c"]
    assert len(join_by_type([words("a"), words()])) == 1

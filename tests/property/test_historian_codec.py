from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.historian.codec import BITS, PRODUCT, SINGLE, SINGLE_BITS, decode, encode

floats = st.one_of(
    st.floats(),
    st.floats(width=32),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9).map(float),
    st.integers(-(2**60), 2**60).map(float),
    st.integers(-100_000, 100_000).map(lambda i: i * 0.1),
    st.sampled_from(
        [0.0, -0.0, 5e-324, 1e300, -1e300, 2.0**53, 2.0**53 + 2, float("nan"), float("inf"), -float("inf")]
    ),
)


def bits(values: np.ndarray) -> list[int]:
    return values.view(np.int64).tolist()


@given(st.lists(st.tuples(floats, st.integers(-1, 127)), max_size=50))
def test_every_float_comes_back_bit_for_bit(rows: list[tuple[float, int]]) -> None:
    values = np.array([v for v, _ in rows], np.float64)
    mantissa, code = encode(values, np.array([h for _, h in rows], np.int8))
    assert bits(decode(mantissa, code)) == bits(values)


@given(st.integers(-(2**63), 2**63 - 1))
def test_any_bit_pattern_comes_back(pattern: int) -> None:
    values = np.array([pattern], np.int64).view(np.float64)
    assert bits(decode(*encode(values, np.zeros(1, np.int8)))) == [pattern]


@pytest.mark.parametrize(
    ("value", "mantissa", "code"),
    [
        (119.6, 1196, 1),
        (-0.25, -25, 2),
        (1200.0, 1200, 0),
        (float(np.float32(119.6)), 1196, SINGLE + 1),
        (3 * 0.1, 3, PRODUCT + 1),
        (float(np.float32(1e-20)), int(np.float32(1e-20).view(np.int32)), SINGLE_BITS),
        (np.pi, int(np.float64(np.pi).view(np.int64)), BITS),
    ],
)
def test_numbers_take_the_smallest_form(value: float, mantissa: int, code: int) -> None:
    got = encode(np.array([value]), np.array([-1], np.int8))
    assert (got[0].tolist(), got[1].tolist()) == ([mantissa], [code])


def test_the_hint_of_a_tag_comes_first() -> None:
    mantissa, code = encode(np.array([12.5, 12.25, 1 / 3]), np.array([3, 3, 3], np.int8))
    assert code.tolist() == [3, 3, BITS]
    assert mantissa[:2].tolist() == [12_500, 12_250]

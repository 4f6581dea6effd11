from __future__ import annotations

import numpy as np

from isthmus.namespace.live import LiveRows
from isthmus.values import status
from isthmus.web.live import encode_values

GOLDEN = bytes.fromhex(
    "01010000" "03000000" "07000000" "00000000" "00008056febc7842"  # version, kind, n, view, 2023-11-14T22:13:20Z
    "00048156febc7842" "fc038056febc7842" "0000000000000000"  # times
    "000000000000f83f" "000000000000f87f" "000000000000f87f"  # 1.5, NaN, NaN
    "00000000" "02000000" "09000000" "00000000"  # slots, padded
    "00000000" "00000000" "00003280"  # status
    "20202020"  # blanks up to a multiple of 8
) + b'[[2,"Idle"]]'  # fmt: skip


def test_layout_is_the_golden_one() -> None:
    rows = LiveRows(
        time_ns=np.array([1_700_000_000_016_250_000, 1_700_000_000_000_249_000, 0]),
        value=np.array([1.5, np.nan, np.nan]),
        ints=np.zeros(3, np.int64),
        form=np.array([0, 2, 0], np.uint8),
        text=np.array([None, "Idle", None], object),
        status=np.array([0, 0, status.BAD_WAITING_FOR_INITIAL_DATA], np.uint32),
        since_ns=np.zeros(3, np.int64),
    )
    data = encode_values(7, 1_700_000_000_000_000_000, np.array([0, 2, 9], np.uint32), rows)
    assert data.hex() == GOLDEN.hex()


def test_a_frame_without_texts_ends_with_its_columns() -> None:
    for n in range(4):
        rows = LiveRows(
            np.ones(n, np.int64), np.ones(n), np.array([2**53] * n, np.int64), np.ones(n, np.uint8),
            np.full(n, None, object), np.zeros(n, np.uint32), np.zeros(n, np.int64),
        )  # fmt: skip
        data = encode_values(1, 0, np.arange(n, dtype=np.uint32), rows)
        assert len(data) == 24 + 16 * n + 4 * n + 4 * (n % 2) + 4 * n

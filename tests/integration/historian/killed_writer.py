"""Writes frames until somebody kills it, and prints the number of each one that is stored."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import numpy as np

from isthmus.historian.service import Historian
from isthmus.historian.store import StoreConfig
from isthmus.ports.frames import Arrived
from isthmus.values.clock import ManualClock
from isthmus.values.frame import Frame, Lane
from isthmus.values.sample import SampleBatch

S = 1_000_000_000
T0 = 1_767_600_000 * S
ROWS = 2000


async def main() -> None:
    historian = Historian(StoreConfig(path=Path(sys.argv[1])), ManualClock(T0))
    await historian.open()
    cursor = await historian.cursor()
    seq = cursor["e", Lane.LIVE].seq if cursor else 0
    print(seq, flush=True)  # noqa: T201  the test reads these lines
    while True:
        seq += 1
        made = SampleBatch(
            np.arange(ROWS, dtype=np.int32),
            np.full(ROWS, T0 + (seq - 1) * S),
            np.round(np.arange(ROWS) / 7, 2),
            np.zeros(ROWS, np.uint32),
        )
        await historian.take([Arrived("e", Frame(Lane.LIVE, 1, seq, 0, 1, (made,)), seq)])
        print(seq, flush=True)  # noqa: T201  the test reads these lines


asyncio.run(main())

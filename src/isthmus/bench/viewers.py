"""Viewers of the live stream as a browser would be: what they see, and how old it is when they see it."""

from __future__ import annotations

import asyncio
import json
import struct
import time
from collections.abc import Sequence

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

_HEADER = struct.Struct("<BBHIIId")


class Viewer:
    """One WebSocket that looks at some tags and notes the age of every sample at its arrival.

    Units: ages_ms in milliseconds; samples of the first frame, which brings what was known before, are left out
    """

    def __init__(self, port: int, token: str, paths: Sequence[str]) -> None:
        self._port, self._token, self._paths = port, token, list(paths)
        self.ages_ms: list[np.ndarray[tuple[int], np.dtype[np.float64]]] = []
        self.samples = 0
        self.frames = 0

    async def run(self) -> None:
        """Until cancelled."""
        async with connect(
            f"ws://127.0.0.1:{self._port}/api/v1/live",
            additional_headers={"Authorization": f"Bearer {self._token}"},
            compression=None,
            max_size=2**26,
        ) as socket:
            await socket.send(json.dumps({"view": 1, "paths": self._paths}))
            await self._read(socket)

    async def _read(self, socket: ClientConnection) -> None:
        async for message in socket:
            if isinstance(message, str):
                continue
            now_ms = time.time_ns() / 1e6
            rows = _HEADER.unpack_from(message)[3]
            at = _HEADER.size
            self.frames += 1
            self.samples += rows
            if self.frames > 1:
                self.ages_ms.append(now_ms - np.frombuffer(message, np.float64, rows, at))


def percentile_ms(viewers: Sequence[Viewer], percent: float) -> float:
    """Over all samples of all viewers; NaN when none came."""
    ages = [a for viewer in viewers for a in viewer.ages_ms]
    return float(np.percentile(np.concatenate(ages), percent)) if ages else float("nan")


async def stop(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel and wait."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

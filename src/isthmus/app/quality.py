"""Quality in core: frames on a cursor of its own, acknowledged behind what is stored."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from isthmus.bus.client import Bus
from isthmus.bus.reader import FrameReader
from isthmus.namespace.model import Plant
from isthmus.quality.service import Quality

ACK_WAIT_S = 600.0
"""Frames stay unacknowledged up to the next mark."""
RETRY_S = 1.0


class QualityPump:
    """Frames → samplers → checks; what was taken but not stored comes again after a kill, and makes the same checks."""

    def __init__(self, bus: Bus, quality: Quality, plant: Callable[[], Plant], log: logging.Logger) -> None:
        self.reader = FrameReader(bus, quality.name, log, ack_wait_s=ACK_WAIT_S)
        self._quality, self._plant, self._log = quality, plant, log

    async def run(self) -> None:
        """Until cancelled. A group that cannot be stored (a full disk, say) ends it, and it is begun again from what is."""
        await self._quality.begin(self._plant())
        await self.reader.open()
        acknowledged = self._quality.acknowledged
        incoming = self.reader.frames()
        try:
            async for arrived in incoming:
                try:
                    await self._quality.take(arrived)
                except Exception:
                    await asyncio.sleep(RETRY_S)
                    raise
                if self._quality.acknowledged > acknowledged:
                    acknowledged = self._quality.acknowledged
                    await self.reader.acknowledge(acknowledged)
        finally:
            await incoming.aclose()  # type: ignore[attr-defined]  # an async generator

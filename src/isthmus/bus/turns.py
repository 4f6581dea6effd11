"""Readers of one link go on one at a time, the urgent first.

A dozen readers take the same frames apart. When a long queue waits for all of them, whatever else the loop has to do would wait for a
portion of each; this way it waits for one. And while live values or alarms are far behind, the others hardly ask for more: the link
carries what is current first, and the record follows.
"""

from __future__ import annotations

import asyncio
from enum import IntEnum

FAR_BEHIND = 256
"""Frames that wait for a reader: what some seconds without core leave."""
PATIENCE_S = 2.0
"""So often everybody may ask, whoever is behind."""
FAIR = 4
"""Each so many-th turn goes to whoever waits longest: nobody waits for ever behind the urgent."""


class Urgency(IntEnum):
    """Who goes first while all wait."""

    LIVE = 0
    JUDGES = 1  # alarms, and what guards writes
    RECORD = 2
    OTHERS = 3


class Turns:
    """A turn ends by itself with what is done in it without waiting."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Urgency, asyncio.Future[None]]] = []  # in the order in which they came
        self._taken = False
        self._given = 0
        self._behind: dict[object, Urgency] = {}

    async def mine(self, urgency: Urgency) -> None:
        """Wait for a turn; the next one begins after whatever the caller does before it waits again."""
        loop = asyncio.get_running_loop()
        if self._taken:
            turn = loop.create_future()
            self._waiting.append((urgency, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    loop.call_soon(self._next)  # it was given while its owner ended
                raise
        self._taken = True
        loop.call_soon(self._next)

    def waits(self, reader: object, urgency: Urgency, frames: int) -> None:
        """So many frames wait for a reader."""
        if frames > FAR_BEHIND:
            self._behind[reader] = urgency
        else:
            self._behind.pop(reader, None)

    async def room(self, urgency: Urgency) -> None:
        """Wait while somebody more urgent is far behind, but not for ever."""
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE_S
        while loop.time() < until and any(other < urgency for other in self._behind.values()):
            await asyncio.sleep(0.02)

    def _next(self) -> None:
        self._waiting = [one for one in self._waiting if not one[1].done()]
        if not self._waiting:
            self._taken = False
            return
        self._given += 1
        one = self._waiting[0] if self._given % FAIR == 0 else min(self._waiting, key=lambda waits: waits[0])
        self._waiting.remove(one)
        one[1].set_result(None)

"""The edge's side of control in one piece: journal, what stands, gate, leases and trips, as a process needs them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson

from isthmus.control.gate import Gate, compile_targets
from isthmus.control.journal import Journal
from isthmus.control.messages import read_json
from isthmus.control.standing import Standing
from isthmus.control.trips import Trips, arm
from isthmus.ports.field import Field
from isthmus.ports.outbox import Outbox
from isthmus.values.clock import Clock
from isthmus.values.errors import Malformed
from isthmus.values.model import EdgeModel

Log = logging.Logger | logging.LoggerAdapter[Any]
Handle = Callable[[bytes], Awaitable[bytes]]


class EdgeControl:
    """What stands between core and the devices of one edge; it works on when core and bus are dead."""

    def __init__(self, folder: Path, field: Field, outbox: Outbox, clock: Clock, log: Log) -> None:
        self.journal = Journal(folder / "journal", clock)
        self.standing = Standing(folder / "standing.json")
        self.trips = Trips(field, self.journal, self.standing, outbox, clock, log)
        self.gate = Gate(field, self.journal, self.standing, clock, log, self.trips.trip_of)
        self.trips.taken = self.gate.leases.release
        self._version = 0
        if self.standing.damaged:
            log.error("%s cannot be read: every zone is halted until core tells the modes again", folder)
        if self.journal.damaged:
            log.error("%d lines of the journal are damaged", self.journal.damaged)

    @staticmethod
    def check(model: EdgeModel) -> None:
        """Whether it could be applied.

        Raises: ConfigError
        """
        compile_targets(model)
        for trip in model.trips:
            arm(trip, 0)

    def pause(self) -> None:
        """A model is being applied: no command passes until ``apply`` or ``resume``. Trips go on."""
        self.gate.pause()

    def resume(self) -> None:
        """The model was refused: go on with the one before."""
        self.gate.resume(self._version)

    def apply(self, model: EdgeModel) -> None:
        """Judge by this model from now on."""
        self.gate.apply(model)
        self.trips.apply(model)
        self._version = model.version

    async def run(self) -> None:
        """Watch over leases and trips until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.gate.run(), name="leases")
            group.create_task(self.trips.run(), name="trips")

    async def stop(self) -> None:
        """End what is in hand, and let go of the files."""
        await self.gate.stop()
        await self.trips.stop()
        self.journal.close()

    @property
    def commands(self) -> dict[str, Handle]:
        """What answers which command of core."""
        gate = self.gate
        return {
            "write": gate.write,
            "outcome": gate.outcome,
            "mode": gate.mode,
            "lock": gate.lock,
            "trip": self.trips.trip,
        }

    async def lines(self, data: bytes) -> bytes:
        """Lines of the journal behind a number, for core."""
        try:
            after = read_json(data).get("after", 0)
        except Malformed as error:
            return orjson.dumps({"error": str(error)})
        if not isinstance(after, int) or after < 0:
            return orjson.dumps({"error": f"after must be a number, was {after!r}"})
        found = self.journal.after(after)
        return orjson.dumps({"first": self.journal.first, "newest": self.journal.newest, "lines": found})

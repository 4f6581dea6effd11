"""Trips as core sees them: how each is, its alarm, and a person's wish to reset or test one. They are judged at the edge alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from isthmus.control.link import Edges
from isthmus.control.model import MODE, READ, WRITE, Asker, Permissions, Refusal
from isthmus.control.people import who
from isthmus.namespace.live import LiveTable
from isthmus.namespace.model import Plant
from isthmus.ports.alarms import AlarmReports
from isthmus.ports.audit import Audit
from isthmus.values import status
from isthmus.values.clock import Clock
from isthmus.values.errors import IsthmusError
from isthmus.values.messages.alarms import Reported
from isthmus.values.messages.control import TripCommand
from isthmus.values.model import TripModel

STATES = ("armed", "tripped", "test", "cannot judge")
LOOK_EVERY_S = 0.25
LOOKS = 20
LOOK_AGAIN_S = 0.05


@dataclass(frozen=True, slots=True)
class TripRow:
    """One trip. Units: since_ns of the sample that said it, UTC ns, 0 for never"""

    trip: TripModel
    edge: str
    state: str  # one of STATES, or unknown
    cause: str
    since_ns: int


class TripList:
    """Shows, resets and tests trips, and tells the alarm list which have fired."""

    def __init__(
        self,
        clock: Clock,
        plant: Callable[[], Plant],
        live: LiveTable,
        permissions: Permissions,
        link: Edges,
        audit: Audit,
        reports: AlarmReports,
        pseudonym: Callable[[Asker], str],
        log: logging.Logger,
    ) -> None:
        self._clock, self._plant, self._live, self._permissions = clock, plant, live, permissions
        self._link, self._audit, self._reports, self._pseudonym, self._log = link, audit, reports, pseudonym, log
        self._told: dict[str, bool] = {}

    def rows(self, asker: Asker) -> list[TripRow]:
        """Trips of assets somebody may read, in the order of the plant file."""
        decide = self._permissions.decide
        return [self._row(trip) for trip in self._plant().trips if decide(asker, READ, trip.asset).allowed]

    def _row(self, trip: TripModel) -> TripRow:
        plant = self._plant()
        shown, cause = plant.by_id.get(trip.state), plant.by_id.get(trip.cause)
        number, at_ns = self._value(shown.path if shown is not None else "")
        state = STATES[number] if isinstance(number, int) and 0 <= number < len(STATES) else "unknown"
        words = self._value(cause.path)[0] if cause is not None else None
        return TripRow(trip, self._edge(trip), state, str(words or "") if state == "tripped" else "", at_ns)

    def _edge(self, trip: TripModel) -> str:
        plant = self._plant()
        tags = (plant.by_id.get(tag) for tag in (trip.state, *trip.inputs.values()))
        return next((tag.edge for tag in tags if tag is not None and tag.edge), "")

    def _value(self, path: str) -> tuple[float | int | str | None, int]:
        rows = self._live.rows_of([path])
        if rows[0] < 0:
            return None, 0
        found = self._live.read(rows)
        good = not int(found.status[0]) & status.SEVERITY_MASK
        return (found.python()[0] if good else None), int(found.time_ns[0])

    async def command(self, asker: Asker, name: str, do: str, reason: str) -> TripRow:
        """Reset a trip, or test one. Resetting needs `control.write` at its asset, testing `control.mode` there.

        Raises: LookupError, Refusal, NotDurable, NotConnected, TryLater
        """
        trip = next((t for t in self._plant().trips if t.name == name), None)
        if trip is None or not self._permissions.decide(asker, READ, trip.asset).allowed:
            raise LookupError(name)
        answer = self._permissions.decide(asker, WRITE if do == "reset" else MODE, trip.asset)
        if not answer.allowed:
            raise Refusal(answer.code, answer.reason)
        if not reason.strip():
            raise Refusal("reason_needed", f"to {do} a trip needs a reason", "say why")
        before = self._row(trip)
        intent = await self._audit.intent(who(asker), f"control.trip.{do}", f"trips/{name}", reason=reason)
        result = "failed"
        try:
            told = await self._link.trip(self._edge(trip), TripCommand(name, do, self._pseudonym(asker), intent))
            result = "ok" if told.ok else f"refused {told.code}"
        finally:
            await self._audit.outcome(intent, result, target=f"trips/{name}")
        if not told.ok:
            raise Refusal(told.code or "trip_refused", told.reason or "the edge refuses", told.clears)
        return await self._changed(trip, before)

    async def _changed(self, trip: TripModel, before: TripRow) -> TripRow:
        """Its row with the edge's next sample, which follows the answer; as it is when none comes within a moment."""
        for _ in range(LOOKS):
            if self._row(trip) != before:
                break
            await asyncio.sleep(LOOK_AGAIN_S)
        return self._row(trip)

    async def run(self) -> None:
        """Until cancelled: tell the alarm list what has fired and what was reset."""
        while True:
            await self.tell()
            await asyncio.sleep(LOOK_EVERY_S)

    async def tell(self) -> None:
        """One look."""
        trips = {trip.name: trip for trip in self._plant().trips}
        for name, trip in trips.items():
            row = self._row(trip)
            if row.state == "unknown" or self._told.get(name) is (row.state == "tripped"):
                continue
            await self._tell(name, trip, row)
        for name in self._told.keys() - trips.keys():
            del self._told[name]

    async def _tell(self, name: str, trip: TripModel, row: TripRow) -> None:
        active = row.state == "tripped"
        alarm = Reported(
            key=f"control/trip/{name}",
            path=trip.asset,
            priority=trip.priority,
            message=trip.message or f"Trip {name} has fired",
            cause=row.cause,
            consequence="What the trip does was done by the edge." if trip.actions else "",
            response="Clear the cause, then reset the trip.",
        )
        try:
            await self._reports.report(alarm, active=active, time_ns=row.since_ns or self._clock.now_ns())
        except IsthmusError as error:
            self._log.debug("alarm of trip %s: %s", name, error)
            return
        self._told[name] = active

"""Alarms in core: frames of all lanes on a cursor of their own, and what core knows by itself of its edges."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

import numpy as np
from sqlalchemy.exc import SQLAlchemyError

from isthmus.acquisition.model import Heartbeats
from isthmus.alarms.service import Alarms
from isthmus.bus.client import Bus
from isthmus.bus.reader import FrameReader
from isthmus.bus.turns import Urgency
from isthmus.namespace.live import FORMS, LiveTable
from isthmus.namespace.model import Plant
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import IsthmusError
from isthmus.values.messages.alarms import Reported
from isthmus.values.sample import SampleBatch, ValueType

ACK_WAIT_S = 600.0
"""Frames stay unacknowledged up to the next mark."""
WATCH_S = 0.5
SILENT_S = 10.0
"""An edge that is begun again is back before."""
PATIENCE_NS = 15 * NS_PER_S
"""So long after a start an edge may take to be heard."""


def held(live: LiveTable) -> list[SampleBatch]:
    """What every tag of the live table holds, as samples."""
    found = []
    rows = np.flatnonzero(live.time_ns > 0)
    values = live.read(rows)
    for form, kind in enumerate(FORMS):
        own = np.flatnonzero(values.form == form)
        if not len(own):
            continue
        texts: tuple[str, ...] = ()
        column = values.ints[own] if kind is ValueType.INT else values.value[own]
        if kind is ValueType.TEXT:
            places: dict[str, int] = {}
            codes = [places.setdefault(text or "", len(places)) for text in values.text[own]]
            texts, column = tuple(places), np.array(codes, np.int32)  # type: ignore[assignment]  # codes of texts
        status = live.stored_status[rows[own]]
        found.append(SampleBatch(live.id[rows[own]], values.time_ns[own], column, status, texts))
    return found


class AlarmPump:
    """Frames → alarms on arrival; commits are grouped; the bus is acknowledged behind each mark."""

    def __init__(
        self, bus: Bus, alarms: Alarms, plant: Callable[[], Plant], live: LiveTable, log: logging.Logger
    ) -> None:
        self.reader = FrameReader(bus, alarms.name, log, ack_wait_s=ACK_WAIT_S, urgency=Urgency.JUDGES)
        self._bus, self._alarms, self._plant, self._live = bus, alarms, plant, live
        self.begun = False

    async def run(self) -> None:
        """Until cancelled; each beginning goes on from what is stored."""
        _, newest, _ = await self._bus.stream_state()
        self.begun = False
        plant = self._plant()
        await self._alarms.begin(plant, newest, held(self._live))
        self.begun = True
        if self._plant() is not plant:  # applied meanwhile
            await self.plant_changed()
        await self.reader.open()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hear(), name="alarms-hear")
            group.create_task(self._alarms.run(), name="alarms-run")

    async def plant_changed(self) -> None:
        """Judge by the plant as it is now."""
        if self.begun:
            await self._alarms.describe(self._plant(), held(self._live))

    async def _hear(self) -> None:
        incoming = self.reader.frames()
        try:
            async for arrived in incoming:
                await self._alarms.take(arrived)
                if self._alarms.mark_due():
                    stored = await self._alarms.mark()
                    if stored:
                        await self.reader.acknowledge(stored)
        finally:
            await incoming.aclose()  # type: ignore[attr-defined]  # an async generator


class EdgeWatch:
    """An edge that is not heard is an alarm of its own: its tags keep their values and no alarm of theirs would tell."""

    def __init__(
        self,
        alarms: Alarms,
        heartbeats: Heartbeats,
        edges: Callable[[], Iterable[str]],
        clock: Clock,
        log: logging.Logger,
    ) -> None:
        self._alarms, self._heartbeats, self._edges, self._clock, self._log = alarms, heartbeats, edges, clock, log
        self._began_ns = clock.monotonic_ns()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(WATCH_S)

    async def look(self) -> None:
        """Report edges that fell silent, and those that are heard again or run no more."""
        now_ns = self._clock.monotonic_ns()
        edges = set(self._edges())
        silent = {key.split("/")[1] for key in self._alarms.reported() if key.startswith("edges/")}
        for edge in sorted(edges | silent):
            health = self._heartbeats.edge(edge, now_ns) if edge in edges else None
            if edge in edges and health is None and now_ns - self._began_ns < PATIENCE_NS:
                continue
            is_silent = edge in edges and (health is None or health.age_s > SILENT_S)
            if is_silent != (edge in silent):
                await self._report(edge, silent=is_silent)

    async def _report(self, edge: str, *, silent: bool) -> None:
        try:
            await self._alarms.report(
                Reported(
                    f"edges/{edge}/silent",
                    "",
                    "high",
                    f"Edge {edge} is not heard",
                    cause="It does not run, its machine is off, or the network to it is cut",
                    consequence="Its devices are not seen: no value of theirs is new, and no alarm of theirs is raised",
                    response="Look at the machine the edge runs on, and at the way to it",
                ),
                active=silent,
                time_ns=self._clock.now_ns(),
            )
        except (IsthmusError, SQLAlchemyError) as error:
            self._log.warning(
                "that edge %s is %s could not be stored: %s", edge, "silent" if silent else "heard", error
            )

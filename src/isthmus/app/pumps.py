"""The two ways of frames through core: one to the live table and the rooms, one to the historian.

Each has a durable cursor of its own on the bus, so a slow disk delays neither live values nor alarms.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.bus.client import Bus
from isthmus.bus.reader import FrameReader
from isthmus.bus.turns import Urgency
from isthmus.namespace.live import LiveTable
from isthmus.namespace.model import Plant
from isthmus.ports.frames import Arrived, FrameSink
from isthmus.values.frame import Lane

if TYPE_CHECKING:
    from isthmus.analytics.service import Rules

GROUP_S = 0.5
GROUP_ROWS = 100_000
EAGER_S = 3.0
"""So long after a start whatever came is committed as soon as the commit before is done: the record is to go on at once."""
MAX_IN_HAND_ROWS = 300_000
SNAPSHOT_S = 5.0
RETRY_S = 1.0
RULES_ACK_WAIT_S = 86_400.0
"""The rules keep the frames of their longest windows unacknowledged, for up to two hours."""


class _Complaint:
    """Says a failure once, and once that it is over."""

    def __init__(self, log: logging.Logger, what: str) -> None:
        self._log, self._what = log, what
        self.reason = ""

    def broke(self, error: Exception) -> None:
        if not self.reason:
            self._log.warning("%s waits: %s", self._what, error)
        self.reason = str(error) or type(error).__name__

    def healed(self) -> None:
        if self.reason:
            self._log.info("%s goes on", self._what)
        self.reason = ""


class HistorianPump:
    """Frames → groups of at most half a second or 100,000 rows → one commit → acknowledgement.

    A group that cannot be committed (a full disk, say) is tried again until it can; meanwhile the bus keeps what comes.
    """

    def __init__(self, bus: Bus, sink: FrameSink, hold: Callable[[], str], log: logging.Logger) -> None:
        self.reader = FrameReader(bus, sink.name, log, urgency=Urgency.RECORD)
        self._sink, self._hold, self._log = sink, hold, log
        self._complaint = _Complaint(log, sink.name)
        self._groups: asyncio.Queue[list[Arrived]] = asyncio.Queue(maxsize=max(1, MAX_IN_HAND_ROWS // GROUP_ROWS - 1))
        self.taken_rows = 0
        self.committed_rows = 0
        self.committed_sealed_ns = 0
        self.committed_seq = 0  # number of the newest frame that is in the record; 0 before this run's first one
        self._began_ns = time.time_ns()
        self.current = asyncio.Event()
        """Set once something is in the record that was sent after this began: what was left from before is stored."""
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def state(self) -> str:
        """Empty when all is well, else why nothing is being recorded."""
        return self._complaint.reason

    def lag_s(self) -> float:
        """How far the record is behind the newest frame, 0 when nothing waits."""
        if self._idle.is_set() and not self.reader.pending:
            return 0.0
        if not self.committed_sealed_ns:
            return 0.0
        return max(0.0, (time.time_ns() - self.committed_sealed_ns) / 1e9)

    async def run(self) -> None:
        """Until cancelled; a group under way is repeated by the next run, without effect on what was stored."""
        await self.reader.open()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._collect(), name="historian-collect")
            group.create_task(self._commit(), name="historian-commit")

    async def _collect(self) -> None:
        frames: list[Arrived] = []
        rows = 0
        opened = 0.0
        loop = asyncio.get_running_loop()
        eager_until = loop.time() + EAGER_S
        incoming = self.reader.frames()
        next_group: asyncio.Task[list[Arrived]] | None = None
        try:
            while True:
                next_group = next_group or asyncio.ensure_future(anext(incoming))
                timeout = None if not frames else max(0.0, opened + GROUP_S - loop.time())
                done, _ = await asyncio.wait({next_group}, timeout=timeout)
                if done:
                    arrived = next_group.result()
                    next_group = None
                    if not frames:
                        opened = loop.time()
                        self._idle.clear()
                    frames += arrived
                    fresh = sum(a.frame.rows for a in arrived)
                    rows += fresh
                    self.taken_rows += fresh
                eager = loop.time() < eager_until and self._groups.empty()
                if frames and (eager or rows >= GROUP_ROWS or loop.time() >= opened + GROUP_S):
                    await self._groups.put(frames)
                    frames, rows = [], 0
        finally:
            if next_group is not None:
                next_group.cancel()
                await asyncio.gather(next_group, return_exceptions=True)
            await incoming.aclose()  # type: ignore[attr-defined]  # an async generator

    async def _commit(self) -> None:
        while True:
            group = await self._groups.get()
            while True:
                reason = self._hold()
                try:
                    if reason:
                        raise OSError(reason)
                    await self._sink.take(group)
                    break
                except Exception as error:
                    self._complaint.broke(error)
                    await asyncio.sleep(RETRY_S)
            self._complaint.healed()
            self.committed_rows += sum(a.frame.rows for a in group)
            self.committed_sealed_ns = group[-1].frame.sealed_ns
            self.committed_seq = group[-1].stream_seq
            if self.committed_sealed_ns >= self._began_ns:
                self.current.set()
            await self.reader.acknowledge(group[-1].stream_seq)
            if self._groups.empty():
                self._idle.set()


class LivePump:
    """Frames → live table on arrival; event frames → the rooms that store something; then a snapshot, then the acknowledgement.

    The acknowledgement follows the snapshot: whatever a killed core had shown but not kept comes again.
    """

    def __init__(
        self, bus: Bus, live: LiveTable, sinks: Sequence[FrameSink], snapshot: Path, log: logging.Logger
    ) -> None:
        self.reader = FrameReader(bus, "live", log, urgency=Urgency.LIVE)
        self._live, self._sinks, self._snapshot, self._log = live, sinks, snapshot, log
        self._complaint = _Complaint(log, "live pump")
        self._pending: list[Arrived] = []
        self._newest = 0
        self._saved = 0
        self._sealed_ns = 0

    def lag_s(self) -> float:
        """How far live values are behind the newest frame, 0 when nothing waits."""
        if not self.reader.pending or not self._sealed_ns:
            return 0.0
        return max(0.0, (time.time_ns() - self._sealed_ns) / 1e9)

    async def run(self) -> None:
        """Until cancelled."""
        await self.reader.open()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._take(), name="live-take")
            group.create_task(self._keep(), name="live-keep")

    async def _take(self) -> None:
        async for arrived in self.reader.frames():
            now_ns = time.time_ns()
            for one in arrived:
                self._live.apply(one.frame.batches, now_ns)
                if one.frame.lane is Lane.EVENT:
                    self._pending.append(one)
            self._newest, self._sealed_ns = arrived[-1].stream_seq, arrived[-1].frame.sealed_ns

    async def _keep(self) -> None:
        last = 0.0
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(0.25)
            try:
                await self._flush()
                if loop.time() - last >= SNAPSHOT_S:
                    await self.save()
                    last = loop.time()
                self._complaint.healed()
            except Exception as error:
                self._complaint.broke(error)
                await asyncio.sleep(RETRY_S)

    async def _flush(self) -> None:
        """Hand event frames to the rooms; all of them or, next time, the same again."""
        pending = self._pending
        if not pending:
            return
        for sink in self._sinks:
            await sink.take(pending)
        del self._pending[: len(pending)]

    async def save(self) -> None:
        """Keep the live table, then acknowledge what is in it."""
        if self._newest == self._saved:
            return
        await self._flush()
        newest = self._newest
        snapshot = self._live.capture({}, newest, time.time_ns())
        await asyncio.to_thread(snapshot.write, self._snapshot)
        self._saved = newest
        await self.reader.acknowledge(newest)


class RulePump:
    """Frames → the rules on live data, with a cursor of its own that stays behind by the longest window: what a killed
    core had in its windows comes again.
    """

    def __init__(self, bus: Bus, rules: Rules, plant: Callable[[], Plant], log: logging.Logger) -> None:
        self.reader = FrameReader(bus, rules.name, log, ack_wait_s=RULES_ACK_WAIT_S)
        self._bus, self._rules, self._plant = bus, rules, plant
        self._complaint = _Complaint(log, rules.name)
        self._again = asyncio.Event()

    def plant_changed(self) -> None:
        """Begin anew with the rules of the plant as it is now."""
        self._again.set()

    async def run(self) -> None:
        """Until cancelled. Each beginning reads the frames of the windows again."""
        while True:
            self._again.clear()
            _, newest, _ = await self._bus.stream_state()
            await self._rules.begin(self._plant(), newest)
            await self.reader.open()
            judging = asyncio.create_task(self._judge(), name="rules-judge")
            changed = asyncio.create_task(self._again.wait(), name="rules-again")
            try:
                done, _ = await asyncio.wait({judging, changed}, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in (judging, changed):
                    task.cancel()
                await asyncio.gather(judging, changed, return_exceptions=True)

    async def _judge(self) -> None:
        acknowledged = self._rules.acknowledged
        incoming = self.reader.frames()
        try:
            async for arrived in incoming:
                try:
                    await self._rules.take(arrived)
                except Exception as error:
                    self._complaint.broke(error)
                    await asyncio.sleep(RETRY_S)
                    self._again.set()
                    return
                self._complaint.healed()
                if self._rules.acknowledged > acknowledged:
                    acknowledged = self._rules.acknowledged
                    await self.reader.acknowledge(acknowledged)
        finally:
            await incoming.aclose()  # type: ignore[attr-defined]  # an async generator

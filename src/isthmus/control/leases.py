"""Values that stand only while somebody keeps writing them. When a lease lapses, its safe value is written once.

Leases are those of the journal: the newest command or lapse of each such tag tells whether one runs, so a restart of the edge forgets none,
and core being dead changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from isthmus.control.journal import Journal
from isthmus.control.judgement import same
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError, Denied, Rejected, TryLater
from isthmus.values.messages.control import Result, Written
from isthmus.values.model import WritePoint

Log = logging.Logger | logging.LoggerAdapter[Any]
RETRY_S: Final = 1.0


@dataclass(slots=True)
class _Lease:
    """Units: until_ns monotonic"""

    point: WritePoint
    until_ns: int
    told: str = ""  # why it could not be written yet, as told last


class Leases:
    """``lapse`` writes a safe value, or raises as `Field.write` does."""

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        log: Log,
        lapse: Callable[[WritePoint, Written], Awaitable[None]],
    ) -> None:
        self._journal, self._clock, self._log, self._lapse = journal, clock, log, lapse
        self._points: Mapping[int, WritePoint] = {}
        self._running: dict[int, _Lease] = {}
        self._changed = asyncio.Event()
        self._before = _last_of(journal)

    def apply(self, points: Mapping[int, WritePoint]) -> None:
        """The points that are held from now on; what ran goes on, by what the journal knows also from before a restart."""
        self._points = points
        self._running = {tag: lease for tag, lease in self._running.items() if tag in points}
        for tag, point in points.items():
            known = self._before.pop(tag, None)
            if tag in self._running:
                self._running[tag].point = point
            elif known is not None and not same(known[1], point.safe):
                gone_s = max(0.0, (self._clock.now_ns() - known[0]) / NS_PER_S)
                self._begin(point, max(0.0, point.hold_s - gone_s))
        self._changed.set()

    def renew(self, point: WritePoint, value: Written) -> None:
        """It is written now; the safe value needs no lease."""
        if not point.hold_s or point.safe is None:
            return
        if same(value, point.safe):
            self.release(point.tag)
        else:
            self._begin(point, point.hold_s)

    def release(self, tag: int) -> None:
        """Somebody else decides what stands there now."""
        self._running.pop(tag, None)

    def lapsed(self, tag: int) -> bool:
        """Whether its time is over."""
        lease = self._running.get(tag)
        return lease is not None and lease.until_ns <= self._clock.monotonic_ns()

    def left_s(self, tag: int) -> float | None:
        """How long it still stands; None where there is no lease."""
        lease = self._running.get(tag)
        return None if lease is None else max(0.0, (lease.until_ns - self._clock.monotonic_ns()) / NS_PER_S)

    async def run(self) -> None:
        """Wait for leases to lapse, until cancelled."""
        while True:
            self._changed.clear()
            now_ns = self._clock.monotonic_ns()
            due = [lease for lease in self._running.values() if lease.until_ns <= now_ns]
            for lease in due:
                await self._end(lease)
            if due and not any(lease.told for lease in due):
                continue
            await self._wait()

    async def _wait(self) -> None:
        now_ns = self._clock.monotonic_ns()
        waits = [RETRY_S if lease.told else (lease.until_ns - now_ns) / NS_PER_S for lease in self._running.values()]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(waits) if waits else None):
                await self._changed.wait()

    def _begin(self, point: WritePoint, seconds: float) -> None:
        self._running[point.tag] = _Lease(point, self._clock.monotonic_ns() + round(seconds * NS_PER_S))
        self._changed.set()

    async def _end(self, lease: _Lease) -> None:
        """Its safe value goes out, once. What could not even be sent is tried again; what may have arrived is not."""
        point = lease.point
        safe = point.safe
        if safe is None:
            self.release(point.tag)
            return
        if not lease.told:
            await self._note(point, "sent")
        result, why = Result.DONE, ""
        try:
            await self._lapse(point, safe)
        except Denied as error:
            if error.code == "renewed":
                return
            if str(error) != lease.told:
                self._log.warning(
                    "tag %d: its lease lapsed, the safe value cannot be written yet: %s", point.tag, error
                )
            lease.told = str(error) or "denied"
            return
        except (ConfigError, Rejected) as error:
            result, why = Result.DENIED, str(error)
        except Exception as error:  # nobody knows whether it arrived
            result, why = Result.UNCERTAIN, f"{type(error).__name__}: {error}"
        if self._running.get(point.tag) is lease:
            self.release(point.tag)
        self._log.warning("tag %d: its lease lapsed, %s is written: %s %s", point.tag, safe, result, why)
        await self._note(point, "answered", result=result, reason=why)

    async def _note(self, point: WritePoint, state: str, **said: Any) -> None:
        """The record; a disk that is full keeps no safe value from being written."""
        try:
            self._journal.append("lease", state=state, tag=point.tag, value=point.safe, **said)
            await self._journal.sync()
        except TryLater as error:
            self._log.error("not in the journal: %s", error)


def _last_of(journal: Journal) -> dict[int, tuple[int, Written]]:
    """By tag, when something was last sent to it and what; a lapse that was carried out says so by its safe value."""
    found: dict[int, tuple[int, Written]] = {}
    refused: dict[str, tuple[int, tuple[int, Written] | None]] = {}
    for line in journal.lines():
        if line["kind"] == "write" and line["state"] == "sent":
            refused[line["id"]] = line["tag"], found.get(line["tag"])
            found[line["tag"]] = line["at_ns"], line["value"]
        elif line["kind"] == "write":
            tag, before = refused.pop(line["id"], (0, None))
            if tag and line["answer"]["result"] == Result.DENIED:  # it never went out
                found.pop(tag, None)
                if before is not None:
                    found[tag] = before
        elif line["kind"] == "lease" and line["state"] == "answered":
            found[line["tag"]] = line["at_ns"], line["value"]
        elif line["kind"] == "trip" and line.get("state") == "answered":
            found.pop(line.get("tag", 0), None)
    return found

"""What zones let pass, and what is locked out: kept here, and brought to every edge until it has confirmed it.

Core refuses by what it keeps, whatever an edge has confirmed; the edge refuses by what it was brought last. So making a zone
stricter holds from the moment it is recorded, and letting it run again waits for the edge.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from isthmus.control import store
from isthmus.control.link import Edges
from isthmus.control.model import (
    MAX_REASON_CHARS,
    MODE,
    WRITE,
    Asker,
    EdgeState,
    ModeRow,
    Permissions,
    Refusal,
    stricter,
)
from isthmus.control.people import who
from isthmus.namespace.model import Lockout, Plant
from isthmus.ports.audit import Audit, NotDurable
from isthmus.values.clock import Clock
from isthmus.values.errors import IsthmusError
from isthmus.values.messages.control import Mode
from isthmus.values.plant.policy import SITE

BRING_EVERY_S = 0.5
CONFIRM_S = 2.0
"""Whoever changes a mode waits so long for its edges to confirm."""
_PASSED = frozenset({"", "locked_out", "role_state"})
"""What a lock-out or a machine's state forbids to write does not forbid to halt."""

_Brought = tuple[dict[str, Mode], dict[str, Lockout], int, int]


class Modes:
    """The modes of zones, and the edges that know them."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        permissions: Permissions,
        audit: Audit,
        link: Edges,
        plant: Callable[[], Plant],
        edges: Callable[[str], EdgeState | None],
        log: logging.Logger,
    ) -> None:
        self._engine, self._clock, self._permissions, self._audit = engine, clock, permissions, audit
        self._link, self._plant, self._edges, self._log = link, plant, edges, log
        self._rows: dict[str, ModeRow] = {}
        self._brought: dict[str, _Brought] = {}
        self._wake = asyncio.Event()
        self._confirmed = asyncio.Condition()
        self._setting = asyncio.Lock()

    async def open(self) -> None:
        """Take up what was set before."""

        def load() -> dict[str, ModeRow]:
            with self._engine.begin() as db:
                return store.load_modes(db)

        self._rows = await asyncio.to_thread(load)

    def of(self, zone: str) -> Mode:
        """The mode of a zone."""
        row = self._rows.get(zone)
        return Mode.NORMAL if row is None else row.mode

    def zones(self) -> list[str]:
        """All zones of the plant, and those that still have a mode."""
        plant = self._plant()
        points = (
            p.zone or self._permissions.zone_at(plant.by_id[p.tag].path) for p in plant.points if p.tag in plant.by_id
        )
        return list(dict.fromkeys((SITE, *(z.name for z in plant.zones), *points, *self._rows)))

    def rows(self) -> list[ModeRow]:
        """Every zone with its mode, and which of its edges have not confirmed it yet."""
        edges = self._edges_by_zone()
        found = []
        for zone in self.zones():
            row = self._rows.get(zone) or ModeRow(zone, Mode.NORMAL)
            mine = tuple(sorted(edges.get(zone, ())))
            pending = tuple(edge for edge in mine if not self._knows(edge, zone, row.mode))
            found.append(replace(row, edges=mine, pending=pending))
        return found

    def _edges_by_zone(self) -> dict[str, set[str]]:
        plant = self._plant()
        found: dict[str, set[str]] = {}
        for point in plant.points:
            tag = plant.by_id.get(point.tag)
            if tag is not None:
                found.setdefault(point.zone or self._permissions.zone_at(tag.path), set()).add(tag.edge)
        return found

    def _knows(self, edge: str, zone: str, mode: Mode) -> bool:
        known = self._brought.get(edge)
        state = self._edges(edge)
        return (
            known is not None
            and state is not None
            and known[2] == state.epoch
            and known[0].get(zone, Mode.NORMAL) is mode
        )

    async def set(self, asker: Asker, zone: str, mode: Mode, reason: str) -> ModeRow:
        """Change the mode of a zone. Stricter may be set by whoever may write there; letting more pass needs `control.mode`.

        Raises: LookupError (no such zone), Refusal, NotDurable
        """
        if zone not in self.zones():
            raise LookupError(zone)
        async with self._setting:
            before = self.of(zone)
            self._check(asker, zone, mode, before)
            if not reason.strip():
                raise Refusal("reason_needed", "changing the mode of a zone needs a reason", "say why")
            row = ModeRow(zone, mode, asker.name, reason[:MAX_REASON_CHARS], self._clock.now_ns())
            if stricter(mode, before):
                self._rows[zone] = row  # holds from now on, also while the disk is waited for
            try:
                await self._record(asker, row, before)
            except NotDurable:
                if not stricter(mode, before):
                    raise
                self._log.warning("zone %s is %s, and that cannot be recorded: it holds until core ends", zone, mode)
                raise
            self._rows[zone] = row
        self._log.info("zone %s is %s by %s: %s", zone, mode, asker.name, reason)
        await self._wait(zone)
        return next(r for r in self.rows() if r.zone == zone)

    def _check(self, asker: Asker, zone: str, mode: Mode, before: Mode) -> None:
        answer = self._permissions.decide(asker, MODE, zone=zone)
        if answer.allowed:
            return
        if stricter(mode, before) and self._may_write_in(asker, zone):
            return
        raise Refusal(
            answer.code, answer.reason, "" if stricter(mode, before) else "somebody who may change modes does it"
        )

    def _may_write_in(self, asker: Asker, zone: str) -> bool:
        if self._permissions.decide(asker, WRITE, zone=zone).code in _PASSED:
            return True
        plant = self._plant()
        for point in plant.points:
            tag = plant.by_id.get(point.tag)
            if tag is None or (point.zone or self._permissions.zone_at(tag.path)) != zone:
                continue
            if self._permissions.decide(asker, WRITE, tag.path).code in _PASSED:
                return True
        return False

    async def _record(self, asker: Asker, row: ModeRow, before: Mode) -> None:
        """Raises: NotDurable"""
        intent = await self._audit.intent(
            who(asker), MODE, f"zones/{row.zone}", old=str(before), new=str(row.mode), reason=row.reason
        )

        def save() -> None:
            with self._engine.begin() as db:
                store.save_mode(db, row)

        try:
            await asyncio.to_thread(save)
        except SQLAlchemyError as error:
            await self._audit.outcome(intent, "failed", str(error)[:200])
            raise NotDurable(f"the records take nothing ({str(error.__cause__ or error)[:200]})") from error
        await self._audit.outcome(intent, "ok")

    async def _wait(self, zone: str) -> None:
        """For the edges of a zone to confirm, a while."""
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONFIRM_S), self._confirmed:
                await self._confirmed.wait_for(lambda: not next(r for r in self.rows() if r.zone == zone).pending)

    # bringing it to edges

    async def run(self) -> None:
        """Until cancelled: bring every edge what it has not confirmed, also after it, the bus or core was away."""
        while True:
            await self.bring()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BRING_EVERY_S):
                    await self._wake.wait()
            self._wake.clear()

    async def bring(self) -> None:
        """One round over all edges that are heard."""
        wanted = {zone: row.mode for zone, row in self._rows.items()}
        locked = dict(self._permissions.lockouts())
        await asyncio.gather(*(self._bring(edge, wanted, locked) for edge in self._plant().edges))

    async def _bring(self, edge: str, modes: dict[str, Mode], locked: dict[str, Lockout]) -> None:
        state = self._edges(edge)
        if state is None or not state.fresh or not self._link.connected:
            return
        brought = (modes, locked, state.epoch, state.model_version)
        if self._brought.get(edge) == brought:
            return
        try:
            await self._link.modes(edge, modes)
            await self._link.lockouts(edge, locked)
        except IsthmusError as error:
            self._log.debug("modes of %s: %s", edge, error)
            return
        self._brought[edge] = brought
        async with self._confirmed:
            self._confirmed.notify_all()

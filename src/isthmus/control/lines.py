"""The journals of edges as core keeps them: trips that fired, leases that lapsed, commands that were carried out.

Pulled by number, so that each line has its effect once; when a heartbeat names a newer line, or when somebody must know now.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlalchemy import Engine

from isthmus.control import store
from isthmus.control.link import Edges
from isthmus.control.model import EdgeLine, EdgeState
from isthmus.namespace.model import Plant
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import IsthmusError
from isthmus.values.messages.control import Written

LOOK_EVERY_S = 0.5
UNDER_WAY_S = 2.0
"""A heartbeat may be so long under way."""
REMEMBERED = 16
"""Values an edge wrote by itself, kept for each point."""


class Lines:
    """Pulls and keeps, each line once."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        link: Edges,
        plant: Callable[[], Plant],
        edges: Callable[[str], EdgeState | None],
        log: logging.Logger,
    ) -> None:
        self._engine, self._clock, self._link, self._log = engine, clock, link, log
        self._plant, self._edges = plant, edges
        self._last: dict[str, int] = {}
        self._kept_ns: dict[str, int] = {}  # when the last line came, by the monotonic clock
        self._pulling: dict[str, asyncio.Lock] = {}
        self._written: dict[int, deque[tuple[int, Written]]] = {}

    async def open(self) -> None:
        """Take up what is kept."""

        def load() -> list[EdgeLine]:
            with self._engine.begin() as db:
                return store.list_lines(db, "", 2**63 - 1, 2000)

        for line in reversed(await asyncio.to_thread(load)):
            self._learn(line)

    async def run(self) -> None:
        """Until cancelled: whenever a heartbeat names a line that is not here."""
        while True:
            for edge in self._plant().edges:
                state = self._edges(edge)
                if state is not None and state.fresh:
                    await self._look(edge, state)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self, edge: str, state: EdgeState) -> None:
        kept, newest = await self._newest(edge), state.journal
        if newest > kept:
            await self.pull(edge)
        elif 0 < newest < kept and self._told_since(edge, state):  # the edge lost its disk: its numbers begin anew
            await self._set_aside(edge, newest)

    def _told_since(self, edge: str, state: EdgeState) -> bool:
        """Whether the heartbeat is surely younger than the lines: they are pulled between heartbeats, too."""
        since_s = (self._clock.monotonic_ns() - self._kept_ns.get(edge, 0)) / NS_PER_S
        return edge not in self._kept_ns or state.age_s + UNDER_WAY_S <= since_s

    async def _set_aside(self, edge: str, newest: int) -> None:
        self._log.warning(
            "the journal of edge %s ends at %d, line %d is kept here: it is a new one", edge, newest, self._last[edge]
        )
        name = f"{edge} until {self._clock.now_ns() // NS_PER_S}"

        def save() -> None:
            with self._engine.begin() as db:
                store.set_aside(db, edge, name)

        async with self._pulling.setdefault(edge, asyncio.Lock()):
            await asyncio.to_thread(save)
            self._last[edge] = 0

    async def _newest(self, edge: str) -> int:
        if edge not in self._last:

            def load() -> int:
                with self._engine.begin() as db:
                    return store.last_line(db, edge)

            self._last[edge] = await asyncio.to_thread(load)
        return self._last[edge]

    async def pull(self, edge: str) -> bool:
        """Bring everything that is new; whether the edge could be asked."""
        async with self._pulling.setdefault(edge, asyncio.Lock()):
            while True:
                after = await self._newest(edge)
                try:
                    found = await self._link.journal(edge, after)
                except IsthmusError as error:
                    self._log.debug("journal of %s: %s", edge, error)
                    return False
                lines = [line for line in found if line.n > after]
                await self._keep(edge, lines)
                if not lines:
                    return True

    async def _keep(self, edge: str, lines: Sequence[EdgeLine]) -> None:
        if not lines:
            return
        by_id = self._plant().by_id
        named = []
        for line in lines:
            tag = by_id.get(line.said.get("tag", -1))
            named.append(replace(line, path=tag.path) if tag is not None else line)

        def save() -> None:
            with self._engine.begin() as db:
                store.add_lines(db, named)

        await asyncio.to_thread(save)
        self._last[edge] = named[-1].n
        self._kept_ns[edge] = self._clock.monotonic_ns()
        for line in named:
            self._learn(line)

    def _learn(self, line: EdgeLine) -> None:
        """What an edge wrote, or may have written, explains a change; a line about how it ended adds nothing."""
        if line.said.get("state") == "answered":
            return
        tag, value = line.said.get("tag"), line.said.get("value")
        if isinstance(tag, int) and isinstance(value, int | float | str):
            self._written.setdefault(tag, deque(maxlen=REMEMBERED)).append((line.time_ns, value))

    def written(self, tag: int) -> Sequence[tuple[int, Written]]:
        """Times and values an edge wrote to a point, or tried to, oldest first."""
        return tuple(self._written.get(tag, ()))

    async def listed(self, under: str = "", *, before_ns: int | None = None, limit: int = 100) -> list[EdgeLine]:
        """Lines at or below a path, newest first."""
        bound = self._clock.now_ns() + 1 if before_ns is None else before_ns

        def load() -> list[EdgeLine]:
            with self._engine.begin() as db:
                return store.list_lines(db, under, bound, limit)

        return await asyncio.to_thread(load)

"""Takes frames, judges the rules, and stores events and how far it went in one transaction.

After a kill the windows are filled again from the bus: every half minute of frames a mark is stored with what holds but for
the windows, and the bus is acknowledged only up to a mark older than the longest window. A new beginning takes that
mark and reads the frames behind it; what was said before is not said again, because the last second whose events are
stored is in the same transaction as the events.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine

from isthmus.analytics import store
from isthmus.analytics.model import Began, Counts, EdgeRules, Ended
from isthmus.namespace.model import EMPTY, Plant
from isthmus.ports.frames import Arrived, Cursor, Position
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.frame import Lane

MARK_S = 30


class Rules:
    """A `ports.frames.FrameSink` on the live lanes. Frames are judged in a thread; ``acknowledged`` tells up to which
    frame the bus may forget.
    """

    name = "rules"
    lanes = frozenset({Lane.LIVE})

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock
        self._plant: Plant = EMPTY
        self._edges: dict[str, EdgeRules] = {}
        self._done: dict[str, tuple[Position, int]] = {}  # what is stored
        self._seen: dict[str, Position] = {}  # what was taken since the beginning
        self._quiet: dict[str, int] = {}  # what was said before the beginning
        self._marks: deque[tuple[int, int]] = deque()  # (stream_seq, second) not yet older than the windows
        self._marked = 0
        self._from_ns = 0
        self.skip_to = 0
        self.acknowledged = 0
        self.last_seq = 0

    async def begin(self, plant: Plant, newest_seq: int) -> None:
        """Judge these rules from now on, going on from the oldest mark; the frames behind it must come again.

        ``newest_seq`` is the bus's last frame: marks beyond it are of a bus that is gone.
        """
        await asyncio.to_thread(self._begin, plant, newest_seq)

    async def cursor(self) -> Cursor:
        """The last frame of each edge whose events are stored."""
        return {(edge, Lane.LIVE): position for edge, (position, _) in self._done.items()}

    async def take(self, arrived: Sequence[Arrived]) -> None:
        """Judge what the frames bring; when it returns, events and cursor are stored."""
        await asyncio.to_thread(self._take, arrived)

    async def events(
        self, under: str, start_ns: int, end_ns: int, rule: str | None = None, limit: int = 1000
    ) -> tuple[store.Event, ...]:
        """Events that held at some time in the range at or below a path, newest first."""

        def ask() -> tuple[store.Event, ...]:
            with self._engine.begin() as db:
                return store.list_events(db, under, start_ns, end_ns, rule, limit)

        return await asyncio.to_thread(ask)

    def counts(self) -> dict[str, Counts]:
        """What became of samples, by edge."""
        return {edge: rules.counts for edge, rules in self._edges.items()}

    def _begin(self, plant: Plant, newest_seq: int | None = None) -> None:
        self._plant = plant
        edges = {i.edge for _, some in plant.rules for i in some}
        self._edges = {edge: EdgeRules(plant, edge) for edge in sorted(edges)}
        self._seen.clear()
        self._marks.clear()
        self._marked = 0
        with self._engine.begin() as db:
            self._done = store.load_cursor(db)
            mark = store.load_mark(db)
            if mark and newest_seq is not None and mark[0] > newest_seq:
                store.drop_marks(db)
                mark = None
            known = {key for rules in self._edges.values() for key in rules.keys}
            active = store.open_events(db)
            gone = active - known
            newest = max((second for _, second in self._done.values()), default=0)
            store.save_events(db, [Ended(rule, asset, newest * NS_PER_S) for rule, asset in sorted(gone)])
        horizon_s = max((rules.horizon_s for rules in self._edges.values()), default=0)
        # rules that were never judged begin now; what the bus still has of the time before made no events then either
        begins = min((second for _, second in self._done.values()), default=self._clock.now_ns() // NS_PER_S)
        self._from_ns = 0 if mark else (begins - horizon_s - 1) * NS_PER_S
        self._quiet = {edge: second for edge, (_, second) in self._done.items()}
        self.skip_to = self.acknowledged = self.last_seq = mark[0] if mark else 0
        if mark:
            self._marks.append((mark[0], min((int(e["second"]) for e in mark[1].values()), default=0)))
        for edge, rules in self._edges.items():
            rules.set_active(active)
            if mark and edge in mark[1]:
                rules.carry(mark[1][edge])

    def _take(self, arrived: Sequence[Arrived]) -> None:
        """All or nothing: state that went on without its transaction is dropped by beginning anew."""
        try:
            self._judge(arrived)
        except BaseException:
            self._begin(self._plant)
            raise

    def _judge(self, arrived: Sequence[Arrived]) -> None:
        said: list[Began | Ended] = []
        moved: dict[str, tuple[Position, int]] = {}
        for one in arrived:
            self.last_seq = one.stream_seq
            rules = self._edges.get(one.edge)
            if not self._edges or one.frame.sealed_ns < self._from_ns:
                self.acknowledged = one.stream_seq
                continue
            if rules is None or one.frame.lane is not Lane.LIVE or one.stream_seq <= self.skip_to:
                continue
            if one.position <= self._seen.get(one.edge, Position(-1, -1)):
                continue
            self._seen[one.edge] = one.position
            said += rules.advance(rules.take(one.frame), self._quiet.get(one.edge, 0))
            before = moved.get(one.edge) or self._done.get(one.edge)
            if before is None or one.position > before[0]:
                moved[one.edge] = one.position, max(rules.second, before[1] if before else 0)
        mark = self._mark_due()
        if not (said or moved or mark):
            return
        with self._engine.begin() as db:
            store.save_events(db, said)
            for edge, (position, second) in moved.items():
                store.save_cursor(db, edge, position, second)
            if mark is not None:
                store.save_mark(db, self.last_seq, mark, self.acknowledged)
            if said:
                store.prune(db)
        self._done |= moved

    def _mark_due(self) -> dict[str, Any] | None:
        """What to store as a mark now, if one is due; moves on what may be acknowledged."""
        seconds = [rules.second for rules in self._edges.values() if rules.second]
        now = min(seconds, default=0)
        if not now or now < self._marked + MARK_S:
            return None
        self._marked = now
        self._marks.append((self.last_seq, now))
        horizon_s = max(rules.horizon_s for rules in self._edges.values())
        while len(self._marks) > 1 and self._marks[1][1] <= now - horizon_s:
            self._marks.popleft()
        if self._marks[0][1] <= now - horizon_s:
            self.acknowledged = max(self.acknowledged, self._marks[0][0])
        return {edge: rules.carried() for edge, rules in self._edges.items()}

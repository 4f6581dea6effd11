"""Calls for help and maintenance requests: asked with their evidence, taken up, answered, closed, and how long each took."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from statistics import median
from typing import Final
from urllib.parse import quote

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from isthmus.namespace.model import Machine, Plant
from isthmus.ports.production import Evidence
from isthmus.production.model import Stop
from isthmus.production.stops import store
from isthmus.production.stops.cause import Cause, CauseKind
from isthmus.production.stops.model import KINDS, HelpRequest, RequestState, Verb, follow
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError, Denied

MOST_LISTED: Final = 2000
MOST_OPEN: Final = 1000
MOST_TAGS: Final = 6
LEAD_NS: Final = 10 * 60 * NS_PER_S
"""The trend of a call begins so long before it."""


@dataclass(frozen=True, slots=True)
class Times:
    """How long requests took that were asked for in some time. Units: s; None where none got so far"""

    asked: int
    waiting: int  # nobody has taken them up
    response_median_s: float | None
    response_most_s: float | None
    repair_median_s: float | None
    repair_most_s: float | None


class HelpDesk:
    """Keeps and moves requests; what `ports.production.Requests` promises. Tells ``changed`` after each change."""

    def __init__(
        self, engine: Engine, plant: Callable[[], Plant], clock: Clock, changed: Callable[[], None] = lambda: None,
        log: logging.Logger | None = None,
    ) -> None:  # fmt: skip
        self._engine, self._plant, self._clock, self._changed = engine, plant, clock, changed
        self._calling: frozenset[str] | None = None
        self._log = log or logging.getLogger("isthmus.production.stops")

    # --- asking ------------------------------------------------------------------------------------------------------

    async def ask(self, key: str, kind: str, title: str, evidence: Evidence, by: str) -> int:
        """Ask for it; the same ``key`` again is the same request while it is open, with the same link also later. Its number.

        Raises: ConfigError; Denied (too_many_waiting)
        """
        if evidence.link:
            before = await asyncio.to_thread(self._asked, key, evidence.link)
            if before:
                return before
        found, _ = await self.call(key, kind, title, evidence, by)
        return found.id

    async def call(
        self, key: str, kind: str, title: str, evidence: Evidence, by: str, stop: str = ""
    ) -> tuple[HelpRequest, bool]:
        """The same; the request, and whether it is a new one."""
        if kind not in KINDS:
            raise ConfigError(f"kind: must be one of {', '.join(KINDS)}, was {kind[:60]!r}")
        if not key or not title.strip():
            raise ConfigError("title: says nothing")
        if not any(asset.path == evidence.asset for asset in self._plant().assets):
            raise ConfigError(f"asset: the plant has no {evidence.asset[:200]!r}")
        made = HelpRequest(
            0, key[:400], kind, title.strip()[:400], evidence, RequestState.OPEN, 1, by, self._clock.now_ns(), stop
        )
        request, new = await asyncio.to_thread(self._ask, made)
        if new:
            self._calling = await asyncio.to_thread(self._count)
            self._log.info("%s asks for %s at %s: %s", by, kind, evidence.asset, request.title)
            self._changed()
        return request, new

    def _asked(self, key: str, link: str) -> int:
        with self._engine.begin() as connection:
            last = store.last_request(connection, key[:400])
        return last.id if last is not None and last.evidence.link == link else 0

    def _ask(self, made: HelpRequest) -> tuple[HelpRequest, bool]:
        try:
            with self._engine.begin() as connection:
                there = store.open_request(connection, made.key)
                if there is not None:
                    return there, False
                if sum(count for _, count in store.calling(connection)) >= MOST_OPEN:
                    raise Denied(f"{MOST_OPEN} requests wait already; answer some first", "too_many_waiting")
                return replace(made, id=store.add_request(connection, made)), True
        except IntegrityError:  # somebody else asked for the same between our look and our word
            with self._engine.begin() as connection:
                there = store.open_request(connection, made.key)
            if there is None:
                raise
            return there, False

    # --- moving ------------------------------------------------------------------------------------------------------

    async def move(self, number: int, verb: Verb, text: str, base: int, by: str) -> tuple[HelpRequest, HelpRequest]:
        """Take it up, answer or close it; how it was, and how it is.

        Raises: LookupError; ConfigError; Denied (stale_base, wrong_state)
        """
        before, after = await asyncio.to_thread(self._move, number, verb, text.strip(), base, by)
        self._calling = await asyncio.to_thread(self._count)
        self._changed()
        return before, after

    def _move(self, number: int, verb: Verb, text: str, base: int, by: str) -> tuple[HelpRequest, HelpRequest]:
        with self._engine.begin() as connection:
            request = _known(connection, number)
            if request.version != base:
                raise _stale(request, base)
            after = moved(request, verb, text, self._clock.now_ns(), by)
            if not store.change_request(connection, after, base):
                raise _stale(_known(connection, number), base)
        return request, after

    # --- reading -----------------------------------------------------------------------------------------------------

    async def request(self, number: int) -> HelpRequest:
        """One by its number.

        Raises: LookupError
        """

        def work() -> HelpRequest:
            with self._engine.begin() as connection:
                return _known(connection, number)

        return await asyncio.to_thread(work)

    async def listed(
        self, start_ns: int | None, end_ns: int, under: str = "", states: Sequence[str] = (), limit: int = MOST_LISTED
    ) -> list[HelpRequest]:
        """Newest first: asked for in [start, end); with no start all that are not closed."""

        def work() -> list[HelpRequest]:
            with self._engine.begin() as connection:
                return store.requests(connection, start_ns, end_ns, under, states, min(limit, MOST_LISTED))

        return await asyncio.to_thread(work)

    def calls(self, asset: str) -> bool:
        """Whether somebody calls for help at an asset and nobody has put it right yet. From memory but for the first time."""
        if self._calling is None:
            self._calling = self._count()
        return asset in self._calling

    def _count(self) -> frozenset[str]:
        with self._engine.begin() as connection:
            return frozenset(asset for asset, _ in store.calling(connection))

    def evidence(self, asset: str, text: str, stop: Stop | None, cause: Cause | None) -> Evidence:
        """What a call stands on: the machine that stopped this one, what is said of its stop, and where its trend is."""
        plant, now_ns = self._plant(), self._clock.now_ns()
        at_fault = cause.asset if cause is not None and cause.kind is CauseKind.MACHINE else asset
        start_ns = now_ns if stop is None else stop.start_ns
        end_ns = now_ns if stop is None or stop.open else stop.end_ns
        tags = trend_of(plant, at_fault)
        known = "" if cause is None else cause.reason
        reason = next((r.text for r in plant.reasons if r.key == known), known)
        words = [text.strip(), *([f"{at_fault}: {reason or 'stopped it'}"] if at_fault != asset else [reason])]
        return Evidence(
            asset, known, ". ".join(word for word in words if word), start_ns, end_ns, tags,
            link=_link(tags, start_ns - LEAD_NS, now_ns) if tags else f"/downtime?under={quote(asset)}",
        )  # fmt: skip


def moved(request: HelpRequest, verb: Verb, text: str, now_ns: int, by: str) -> HelpRequest:
    """The request after a verb; taken up again after it was answered, its first response counts, and its repair goes on.

    Raises: Denied (wrong_state); ConfigError where words are missing
    """
    state = follow(request, verb)
    after = replace(request, state=state, version=request.version + 1)
    if verb is Verb.ACKNOWLEDGE:
        if request.acknowledged_ns is None:
            return replace(after, acknowledged_by=by, acknowledged_ns=now_ns)
        return replace(after, acknowledged_by=by, answered_by="", answered_ns=None)
    if verb is Verb.ANSWER:
        if not text:
            raise ConfigError("text: say what was done")
        first = request.acknowledged_ns is None
        return replace(
            after, answered_by=by, answered_ns=now_ns, answer=text,
            acknowledged_by=by if first else request.acknowledged_by,
            acknowledged_ns=now_ns if first else request.acknowledged_ns,
        )  # fmt: skip
    if request.state is not RequestState.ANSWERED and not text:
        raise ConfigError("text: say why it is closed without an answer")
    return replace(after, closed_by=by, closed_ns=now_ns, closing=text)


def times(requests: Sequence[HelpRequest]) -> Times:
    """How long they took."""
    response = [one.response_ns / NS_PER_S for one in requests if one.response_ns is not None]
    repair = [one.repair_ns / NS_PER_S for one in requests if one.repair_ns is not None]
    waiting = sum(one.state is RequestState.OPEN for one in requests)
    return Times(
        len(requests), waiting, median(response) if response else None, max(response, default=None),
        median(repair) if repair else None, max(repair, default=None),
    )  # fmt: skip


def trend_of(plant: Plant, asset: str) -> tuple[str, ...]:
    """Paths of the tags that show what a machine did: its state and speed, then what has limits."""
    machine = next((m for m in plant.machines if m.asset == asset), None)
    counted = _counted(machine) if machine is not None else ()
    first = [plant.by_id[tag].path for tag in counted if tag in plant.by_id]
    limited = [tag.path for tag in plant.tags if tag.asset == asset and tag.limits]
    return tuple(dict.fromkeys([*first, *limited]))[:MOST_TAGS]


def _counted(machine: Machine) -> tuple[int, ...]:
    return tuple(tag for tag in (machine.state, machine.speed, machine.pulse, machine.good) if tag)


def _link(tags: Sequence[str], start_ns: int, end_ns: int) -> str:
    pens = "&".join(f"pen={quote(tag, safe='')}" for tag in tags)
    start, end = (
        datetime.fromtimestamp(max(0, ns) // NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for ns in (start_ns, end_ns)
    )
    return f"/trends?{pens}&start={quote(start)}&end={quote(end)}"


def _known(connection: Connection, number: int) -> HelpRequest:
    found = store.request(connection, number)
    if found is None:
        raise LookupError(number)
    return found


def _stale(request: HelpRequest, base: int) -> Denied:
    who: Mapping[RequestState, str] = {
        RequestState.OPEN: request.asked_by,
        RequestState.ACKNOWLEDGED: request.acknowledged_by,
        RequestState.ANSWERED: request.answered_by,
        RequestState.CLOSED: request.closed_by,
    }
    return Denied(
        f"request {request.id} changed meanwhile: {who[request.state]} made it {request.state}, version {request.version}; "
        f"yours began at {base}; look again",
        "stale_base",
    )

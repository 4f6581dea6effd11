"""Improvement actions: who does what against which loss until when, what they expect, and what the record says it brought."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from sqlalchemy import Connection, Engine

from isthmus.namespace.model import Plant
from isthmus.production.figures import planned_busy_ns
from isthmus.production.model import FactSum, StateClass
from isthmus.production.stops import store
from isthmus.production.stops.effect import (
    LEAST_DAYS,
    LEAST_PLANNED_NS,
    MOST_DAYS,
    Effect,
    Rate,
    compare,
    rate,
)
from isthmus.production.stops.facts import Facts
from isthmus.production.stops.model import (
    LOSS_BY,
    ActionState,
    ImprovementAction,
    Verified,
    follow_action,
)
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError, Denied

DAY_NS: Final = 86_400 * NS_PER_S
WEEK_NS: Final = 7 * DAY_NS
BASELINE_NS: Final = 28 * DAY_NS
MOST_ACTIONS: Final = 2000
MOST_EXPECTED_MIN: Final = 7 * 24 * 60.0
NOT_LOST: Final = frozenset({StateClass.RUNNING, StateClass.OFF})


@dataclass(frozen=True, slots=True)
class ActionDraft:
    """What people say of an action. Units: UTC ns, None for what was not said; expected_min in minutes a week"""

    title: str
    under: str
    loss_by: str
    loss_key: str
    owner: str
    due: str
    expected_min: float
    text: str = ""
    before_start_ns: int | None = None
    before_end_ns: int | None = None


@dataclass(frozen=True, slots=True)
class ActionChange:
    """What is changed of an action; None leaves it as it is. There is no way to say what it brought."""

    title: str | None = None
    text: str | None = None
    owner: str | None = None
    due: str | None = None
    expected_min: float | None = None
    state: str | None = None
    done_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What an action brought, or why nobody can say yet. Units: UTC ns; week_ns is planned time in a week"""

    action: ImprovementAction
    after_start_ns: int
    after_end_ns: int
    before: Rate | None
    after: Rate | None
    effect: Effect | None
    week_ns: float
    why: str = ""


class ActionDesk:
    """Keeps improvement actions and measures them by the facts."""

    def __init__(self, engine: Engine, facts: Facts, plant: Callable[[], Plant], clock: Clock) -> None:
        self._engine, self._facts, self._plant, self._clock = engine, facts, plant, clock

    # --- reading -----------------------------------------------------------------------------------------------------

    async def listed(self, limit: int = MOST_ACTIONS) -> list[ImprovementAction]:
        """Those due first come first."""

        def work() -> list[ImprovementAction]:
            with self._engine.begin() as connection:
                return store.actions(connection, min(limit, MOST_ACTIONS))

        return await asyncio.to_thread(work)

    async def get(self, number: int) -> ImprovementAction:
        """One by its number.

        Raises: LookupError
        """

        def work() -> ImprovementAction:
            with self._engine.begin() as connection:
                return _known(connection, number)

        return await asyncio.to_thread(work)

    # --- changing ----------------------------------------------------------------------------------------------------

    async def create(self, draft: ActionDraft, by: str) -> ImprovementAction:
        """A new one, compared with the four weeks before it unless told.

        Raises: ConfigError; Denied (too_many_changes)
        """
        now_ns = self._clock.now_ns()
        self._check(draft)
        end_ns = now_ns if draft.before_end_ns is None else draft.before_end_ns
        start_ns = max(0, end_ns - BASELINE_NS) if draft.before_start_ns is None else draft.before_start_ns
        if not 0 <= start_ns < end_ns <= now_ns:
            raise ConfigError("before_start: must lie before its end, and neither in the future")
        if end_ns - start_ns > MOST_DAYS * DAY_NS:
            raise ConfigError(f"before_start: at most {MOST_DAYS} days are compared")
        made = ImprovementAction(
            0, draft.title.strip(), draft.text.strip(), draft.under, draft.loss_by, draft.loss_key, draft.owner.strip(),
            draft.due, draft.expected_min, ActionState.OPEN, 1, start_ns, end_ns, by, now_ns, by, now_ns,
        )  # fmt: skip

        def work() -> ImprovementAction:
            with self._engine.begin() as connection:
                if len(store.actions(connection, MOST_ACTIONS)) >= MOST_ACTIONS:
                    raise Denied(f"there are {MOST_ACTIONS} actions already", "too_many_changes")
                return replace(made, id=store.add_action(connection, made))

        return await asyncio.to_thread(work)

    async def change(
        self, number: int, change: ActionChange, base: int, by: str
    ) -> tuple[ImprovementAction, ImprovementAction]:
        """Change one; how it was, and how it is. To verify it is to compute what it brought and keep that.

        Raises: LookupError; ConfigError; Denied (stale_base, wrong_state)
        """
        before = await self.get(number)
        if before.version != base:
            raise _stale(before, base)
        after = self._changed(before, change, by)
        if after.state is ActionState.VERIFIED and before.state is not ActionState.VERIFIED:
            after = replace(after, verified=await self._verified(after, by))

        def work() -> None:
            with self._engine.begin() as connection:
                if not store.change_action(connection, after, base):
                    raise _stale(_known(connection, number), base)

        await asyncio.to_thread(work)
        return before, after

    def _changed(self, action: ImprovementAction, change: ActionChange, by: str) -> ImprovementAction:
        if action.state is ActionState.VERIFIED:
            raise Denied(f"action {action.id} is verified: it stays as it was measured", "wrong_state")
        now_ns = self._clock.now_ns()
        given: dict[str, Any] = {
            name: value.strip() if isinstance(value, str) else value
            for name in ("title", "text", "owner", "due", "expected_min")
            if (value := getattr(change, name)) is not None
        }
        after = replace(action, **given, version=action.version + 1, changed_by=by, changed_ns=now_ns)
        _check_words(after.title, after.owner, after.due, after.expected_min)
        if change.state is not None:
            state = ActionState(change.state)
            follow_action(action, state)
            after = replace(after, state=state)
        if change.done_ns is not None and after.state is not ActionState.DONE:
            raise ConfigError("done: is only told of an action that is done")
        if after.state in (ActionState.OPEN, ActionState.DOING):
            after = replace(after, done_ns=None)
        elif after.state is ActionState.DONE:
            done_ns = change.done_ns if change.done_ns is not None else action.done_ns
            after = replace(after, done_ns=now_ns if done_ns is None else done_ns)
        if after.done_ns is not None and not after.before_end_ns <= after.done_ns <= now_ns:
            raise ConfigError("done: must lie after the time it is compared with, and not in the future")
        return after

    # --- measuring ---------------------------------------------------------------------------------------------------

    async def effect(self, number: int) -> Measured:
        """What an action brought so far, by the facts of its loss before and after.

        Raises: LookupError
        """
        return await self._measure(await self.get(number))

    async def _measure(self, action: ImprovementAction) -> Measured:
        now_ns = self._clock.now_ns()
        start_ns = now_ns if action.done_ns is None else action.done_ns
        end_ns = max(start_ns, min(now_ns, start_ns + MOST_DAYS * DAY_NS))
        if action.verified is not None:
            end_ns = max(start_ns, min(end_ns, action.verified.at_ns))
        before = await self._rate(action, action.before_start_ns, action.before_end_ns)
        after = await self._rate(action, start_ns, end_ns) if end_ns > start_ns else None
        span_ns = end_ns - start_ns if after is not None else action.before_end_ns - action.before_start_ns
        of = after or before
        week_ns = 0.0 if of is None else of.planned_ns / span_ns * WEEK_NS
        why = _why_not(action, before, after)
        effect = None if why or before is None or after is None else compare(before, after, week_ns)
        return Measured(action, start_ns, end_ns, before, after, effect, week_ns, why)

    async def _rate(self, action: ImprovementAction, start_ns: int, end_ns: int) -> Rate | None:
        """Lost over planned time of the days that had some."""
        whole = await self._facts.facts(action.under, start_ns, end_ns, by=("day",))
        parts = await self._facts.facts(action.under, start_ns, end_ns, by=("day", action.loss_by))
        lost: dict[str, int] = {}
        for part in parts:
            if part.key.get(action.loss_by) == action.loss_key:
                lost[part.key["day"]] = lost.get(part.key["day"], 0) + lost_ns(part)
        planned = {one.key["day"]: planned_busy_ns(one.ns) for one in whole}
        days = sorted(day for day, ns in planned.items() if ns >= LEAST_PLANNED_NS)
        if not days:
            return None
        return rate([lost.get(day, 0) for day in days], [planned[day] for day in days])

    async def _verified(self, action: ImprovementAction, by: str) -> Verified:
        measured = await self._measure(action)
        if measured.effect is None:
            raise ConfigError(f"state: cannot be verified: {measured.why}")
        saved = measured.effect.saved
        return Verified(
            saved.mean, saved.low, saved.high, measured.effect.before.days, measured.effect.after.days,
            self._clock.now_ns(), by,
        )  # fmt: skip

    def _check(self, draft: ActionDraft) -> None:
        plant = self._plant()
        if draft.loss_by not in LOSS_BY:
            raise ConfigError(f"loss_by: must be one of {', '.join(LOSS_BY)}, was {draft.loss_by[:60]!r}")
        if draft.under and not any(asset.path == draft.under for asset in plant.assets):
            raise ConfigError(f"under: the plant has no {draft.under[:200]!r}")
        if not draft.loss_key.strip():
            raise ConfigError("loss_key: must name the loss")
        _check_words(draft.title, draft.owner, draft.due, draft.expected_min)


def lost_ns(part: FactSum) -> int:
    """Time of a loss: all but running and what is no shift. Planned time is in it, for a planned stop may be shortened, too."""
    return sum(ns for state_class, ns in part.ns.items() if state_class not in NOT_LOST)


def _check_words(title: str, owner: str, due: str, expected_min: float) -> None:
    if not title.strip():
        raise ConfigError("title: says nothing")
    if not owner.strip():
        raise ConfigError("owner: must name who does it")
    try:
        date.fromisoformat(due)
    except ValueError:
        raise ConfigError(f"due: must be a date such as 2026-03-31, was {due[:60]!r}") from None
    if len(due) != 10:
        raise ConfigError(f"due: must be a date such as 2026-03-31, was {due[:60]!r}")
    if not (math.isfinite(expected_min) and 0 <= expected_min <= MOST_EXPECTED_MIN):
        raise ConfigError(f"expected_min: must be 0 to {MOST_EXPECTED_MIN:g} minutes a week, was {expected_min:g}")


def _why_not(action: ImprovementAction, before: Rate | None, after: Rate | None) -> str:
    if action.done_ns is None:
        return "it is not done yet"
    if before is None or before.days < LEAST_DAYS:
        return f"before it there are less than {LEAST_DAYS} days with planned time"
    if after is None or after.days < LEAST_DAYS:
        return f"since it is done there are less than {LEAST_DAYS} days with planned time"
    return ""


def _known(connection: Connection, number: int) -> ImprovementAction:
    found = store.action(connection, number)
    if found is None:
        raise LookupError(number)
    return found


def _stale(action: ImprovementAction, base: int) -> Denied:
    return Denied(
        f"{action.changed_by} changed action {action.id} meanwhile: it is {action.state}, version {action.version}; "
        f"yours began at {base}; look again",
        "stale_base",
    )

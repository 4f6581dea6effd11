"""Quality: records checks, judges them, holds what is in doubt, keeps nonconformances and what is done about them.

A check, what follows from it, what samplers have gathered and how far frames were heard are one transaction, so a killed
core makes each check once.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import quote

import numpy as np
from sqlalchemy import Connection, Engine

from isthmus.namespace.model import EMPTY, Plant
from isthmus.ports.frames import Arrived, Cursor, Position
from isthmus.ports.production import Evidence, Executions, Requests, Running
from isthmus.quality import store
from isthmus.quality.judging import Drawn, check_kind, draw, learned, look_back, signals_of
from isthmus.quality.model import (
    CLOSED,
    DISPOSITIONS,
    DONE,
    OPEN,
    OWED,
    RELEASED,
    SEVERITIES,
    VERIFIED,
    Characteristic,
    Check,
    CorrectiveAction,
    Entered,
    Hold,
    LimitsKept,
    Nonconformance,
    Plan,
    check_plan,
    consequence,
    key_of,
    passes,
    take_entered,
    violation_of,
)
from isthmus.quality.sampling import Gathered, Sampler, rows_of
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError, Denied
from isthmus.values.frame import Lane
from isthmus.values.ids import is_under

MARK_S: Final = 30.0
"""So often what samplers gathered is stored where nothing else is."""
ASK_AGAIN_S: Final = 30.0
"""A request that was refused is asked for again after so long."""
MOST_PLANS: Final = 2_000
MOST_POINTS: Final = 5_000
"""Checks one chart shows; of more the newest."""
SYSTEM: Final = "Isthmus"
_NOWHERE: Final = Position(-1, -1)
_LEARN: Final = -1.0

T = TypeVar("T")


class NothingRuns:
    """Where no orders are kept: nothing is known of what a machine makes."""

    def running(self, asset: str) -> Running:
        return Running(asset)

    def ran(self, asset: str, at_ns: int) -> Running:
        return Running(asset)

    async def pieces(self, asset: str, start_ns: int, end_ns: int) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class Recorded:
    """A check and what followed from it; 0 where nothing did."""

    check: Check
    nonconformance: int = 0
    hold: int = 0


@dataclass(frozen=True, slots=True)
class Due:
    """A check that a person owes. ``key`` is answered once. Units: UTC ns; ``left`` pieces until it is due"""

    key: str
    characteristic: str
    plan: Plan
    one: Characteristic
    due_ns: int
    is_due: bool
    why: str  # first, time, pieces, order, product, lot, tag
    last: Check | None
    running: Running
    left: int = 0


@dataclass(frozen=True, slots=True)
class CharacteristicNow:
    """How a characteristic stands. ``state``: unchecked, learning, in control, signal, failed."""

    key: str
    plan: Plan
    one: Characteristic
    state: str
    last: Check | None
    limits: LimitsKept | None
    late: int = 0  # samples of its tag that came too late


class Quality:
    """A `ports.frames.FrameSink` on the live lanes, and a `ports.production.Holds`. Work with records is done in threads."""

    name = "quality"
    lanes = frozenset({Lane.LIVE})

    def __init__(
        self, engine: Engine, clock: Clock, executions: Executions | None = None, log: logging.Logger | None = None
    ) -> None:
        self._engine, self._clock = engine, clock
        self.executions: Executions = executions or NothingRuns()
        self._lock = threading.RLock()
        self._plant: Plant = EMPTY
        self._plans: dict[str, Plan] = {}
        self._samplers: dict[str, Sampler] = {}
        self._by_tag: dict[int, list[Sampler]] = {}
        self._tags = np.empty(0, np.int32)
        self._done: Cursor = {}
        self._taken: Cursor = {}
        self._marked_ns = clock.monotonic_ns()
        self.acknowledged = 0
        self.requests: Requests | None = None
        self._owes = True  # an earlier core may have left some
        self._ask_ns = 0
        self._log = log or logging.getLogger("isthmus.quality")

    # --- frames ------------------------------------------------------------------------------------------------------

    async def begin(self, plant: Plant) -> None:
        """Go on from what is stored, by this plant."""
        await asyncio.to_thread(self._begin, plant)

    async def plant_changed(self, plant: Plant) -> None:
        """Tags may have come, gone or be others now."""
        await asyncio.to_thread(self._describe, plant)

    async def cursor(self) -> Cursor:
        """The last frame of each edge whose effect is stored."""
        return dict(self._done)

    async def take(self, arrived: Sequence[Arrived]) -> None:
        """Gather what frames bring; a check they complete is stored when this returns, and ``acknowledged`` tells how far."""
        await asyncio.to_thread(self._take, arrived)
        await self.ask_owed()

    async def flush(self) -> None:
        """Store how far frames were heard."""
        await asyncio.to_thread(self._flush)

    def _begin(self, plant: Plant) -> None:
        with self._lock:
            with self._engine.begin() as db:
                self._plans = {plan.id: plan for plan in store.load_plans(db)}
                self._done = store.load_cursor(db)
                saved = store.load_samplers(db)
            self._taken, self._plant = {}, plant
            self._marked_ns = self._clock.monotonic_ns()
            self._watch(saved)

    def _describe(self, plant: Plant) -> None:
        with self._lock:
            self._plant = plant
            self._watch({key: sampler.carried() for key, sampler in self._samplers.items()})

    def _watch(self, saved: Mapping[str, dict[str, Any]]) -> None:
        """Samplers for all that is live, or waits for a tag."""
        self._samplers = {}
        for plan in self._plans.values():
            for one in plan.characteristics if plan.active else ():
                tag = self._plant.by_path.get(one.tag) if one.tag else None
                wanted = one.units or (one.sampling.tag if one.sampling.event == "tag" else "")
                trigger = self._plant.by_path.get(wanted) if wanted else None
                if (tag is None and (one.tag or trigger is None)) or (one.units and trigger is None):
                    continue
                key = key_of(plan.id, one.id)
                sampler = Sampler(key, one, tag.id if tag else 0, trigger.id if trigger else 0, plan.changed_ns)
                if key in saved:
                    sampler.carry(saved[key])
                self._samplers[key] = sampler
        self._by_tag = {}
        for sampler in self._samplers.values():
            for number in {sampler.tag, sampler.trigger} - {0}:
                self._by_tag.setdefault(number, []).append(sampler)
        self._tags = np.array(sorted(self._by_tag), np.int32)

    def _take(self, arrived: Sequence[Arrived]) -> None:
        """All or nothing: what was gathered without its transaction is dropped by beginning anew."""
        with self._lock:
            try:
                self._hear(arrived)
            except BaseException:
                self._begin(self._plant)
                raise

    def _hear(self, arrived: Sequence[Arrived]) -> None:
        made: list[Gathered] = []
        last_seq = 0
        for one in arrived:
            last_seq = one.stream_seq
            if one.frame.lane not in self.lanes:
                continue
            if one.position <= self._taken.get(one.key, self._done.get(one.key, _NOWHERE)):
                continue
            self._taken[one.key] = one.position
            if not len(self._tags):
                continue
            rows = rows_of(one.frame.batches, self._tags)
            touched = {id(s): s for row in rows for s in self._by_tag[row.tag]}
            for sampler in touched.values():
                made += sampler.take(rows)
        due = self._clock.monotonic_ns() - self._marked_ns >= MARK_S * NS_PER_S
        if made or due:
            self._store(made)
            self.acknowledged = max(self.acknowledged, last_seq)

    def _flush(self) -> None:
        with self._lock:
            if self._taken:
                self._store([])

    def _store(self, made: Sequence[Gathered]) -> None:
        made = sorted(made, key=lambda g: (g.time_ns, g.characteristic))
        ran = [self.executions.ran(self._find(one.characteristic)[0].asset, one.time_ns) for one in made]
        with self._engine.begin() as db:
            for one, then in zip(made, ran, strict=True):
                plan, characteristic = self._find(one.characteristic)
                size = characteristic.size if characteristic.is_measured else one.size
                entered = Entered(
                    one.characteristic, one.time_ns, one.values, one.defects, size, source="tag", by=SYSTEM
                )
                self._keep(db, plan, characteristic, entered, then)
            store.save_samplers(db, [(key, sampler.carried()) for key, sampler in self._samplers.items()])
            store.save_cursor(db, self._taken)
        self._done |= self._taken
        self._taken = {}
        self._marked_ns = self._clock.monotonic_ns()

    # --- plans -------------------------------------------------------------------------------------------------------

    def plans(self, under: str = "") -> list[Plan]:
        """Plans of assets at or below a path, by title."""
        with self._lock:
            return [plan for plan in self._plans.values() if is_under(plan.asset, under)]

    def plan(self, ident: str) -> Plan:
        """One plan.

        Raises: LookupError
        """
        with self._lock:
            if ident not in self._plans:
                raise LookupError(f"plan {ident}")
            return self._plans[ident]

    def characteristic(self, key: str) -> tuple[Plan, Characteristic]:
        """A characteristic with its plan.

        Raises: LookupError
        """
        with self._lock:
            return self._find(key)

    def _find(self, key: str) -> tuple[Plan, Characteristic]:
        ident, _, name = key.partition(".")
        plan = self._plans.get(ident)
        one = plan.find(name) if plan else None
        if plan is None or one is None:
            raise LookupError(f"characteristic {key}")
        return plan, one

    async def save_plan(self, plan: Plan, base: int, by: str, reason: str) -> Plan:
        """Keep a plan as its next version; ``base`` is the one it was changed from, 0 for a new one.

        Raises: Findings with every place that is wrong; Denied when it is not at that version
        """
        return await asyncio.to_thread(self._save_plan, plan, base, by, reason)

    def _save_plan(self, plan: Plan, base: int, by: str, reason: str) -> Plan:
        with self._lock:
            check_plan(plan, self._plant)
            old = self._plans.get(plan.id)
            now = old.version if old else 0
            if now != base:
                who = f", by {old.changed_by}" if old else ""
                raise Denied(f"plan {plan.id} is at version {now}{who}, not {base}", "stale_base")
            if old is None and len(self._plans) >= MOST_PLANS:
                raise ConfigError(f"plans: there may be {MOST_PLANS} at most")
            now_ns = self._clock.now_ns()
            kept = replace(plan, version=base + 1, changed_by=by, changed_ns=now_ns, reason=reason)
            with self._engine.begin() as db:
                store.add_plan(db, kept)
                for one in kept.characteristics:
                    self._limits_of_plan(db, kept, one, old.find(one.id) if old else None)
            self._plans = dict(sorted({**self._plans, kept.id: kept}.items(), key=lambda p: (p[1].title, p[0])))
            self._watch({key: sampler.carried() for key, sampler in self._samplers.items()})
            return kept

    def _limits_of_plan(self, db: Connection, plan: Plan, one: Characteristic, old: Characteristic | None) -> None:
        """Limits that a plan gives, or none any more where what is checked became something else."""
        key = key_of(plan.id, one.id)
        asked = (one.center, one.sigma)
        if one.center is not None:
            if old is None or (old.center, old.sigma, old.chart) != (*asked, one.chart):
                self._set_limits(db, key, one.center, one.sigma or 0.0, 0, plan.changed_by, plan.reason)
        elif old is not None and (old.chart, old.size, old.tag, old.units, old.center) != (
            one.chart,
            one.size,
            one.tag,
            one.units,
            None,
        ):
            self._set_limits(db, key, 0.0, _LEARN, 0, plan.changed_by, plan.reason)

    def _set_limits(
        self, db: Connection, key: str, center: float, sigma: float, checks: int, by: str, reason: str
    ) -> int:
        kept = LimitsKept(0, key, self._clock.now_ns(), center, sigma, checks, by, reason)
        return store.add_limits(db, kept)

    async def set_limits(
        self, key: str, center: float | None, sigma: float | None, base: int, by: str, reason: str
    ) -> LimitsKept:
        """Limits from now on; without a center they are learned anew. ``base``: number of those in force, 0 for none.

        Raises: LookupError; ConfigError; Denied when others are in force
        """

        def work() -> LimitsKept:
            with self._lock, self._engine.begin() as db:
                _, one = self._find(key)
                now = store.limits_in_force(db, (key,)).get(key)
                if (now.id if now else 0) != base:
                    raise Denied(
                        f"other limits of {key} are in force: {now.id if now else 0}, not {base}", "stale_base"
                    )
                if center is None:
                    number = self._set_limits(db, key, 0.0, _LEARN, 0, by, reason)
                else:
                    if one.is_measured and not (sigma is not None and sigma > 0):
                        raise ConfigError("sigma: must be more than 0")
                    if not one.is_measured and not 0 < center < (1 if one.chart in ("p", "np") else 1e9):
                        raise ConfigError(f"center: does not fit a {one.chart} chart, was {center}")
                    number = self._set_limits(
                        db, key, center, sigma if one.is_measured and sigma else 0.0, 0, by, reason
                    )
                return next(k for k in store.limits_of(db, key) if k.id == number)

        return await asyncio.to_thread(work)

    # --- checks ------------------------------------------------------------------------------------------------------

    async def record(self, entered: Entered) -> Recorded:
        """Keep what somebody found, and do what follows from it.

        Raises: LookupError; ConfigError naming what does not fit; Denied where somebody answered the same before
        """

        def work() -> Recorded:
            with self._lock:
                plan, one = self._find(entered.characteristic)
                if not plan.active:
                    raise Denied(f"plan {plan.title} is not in use", "wrong_state")
                if one.tag:
                    raise Denied(f"{one.title} is measured live by {one.tag}", "wrong_state")
                whole = take_entered(entered, one, self._clock.now_ns())
                then = self.executions.ran(plan.asset, whole.time_ns)
                with self._engine.begin() as db:
                    before = store.answered(db, whole.due) if whole.due else None
                    if before is not None:
                        raise Denied(f"{before.by} recorded this check meanwhile, as number {before.id}", "conflict")
                    return self._keep(db, plan, one, whole, then)

        done = await asyncio.to_thread(work)
        await self.ask_owed()
        return done

    def _keep(self, db: Connection, plan: Plan, one: Characteristic, entered: Entered, running: Running) -> Recorded:
        """``running`` is what ran when it was measured, which may be another order than the one that runs now."""
        key = entered.characteristic
        check = Check(
            0, key, plan.asset, entered.time_ns, entered.values, entered.defects, entered.size,
            passes(one, entered.values, entered.defects), fault=entered.fault, comment=entered.comment, source=entered.source,
            by=entered.by, order=running.order, product=running.product or plan.product, lot=entered.lot or running.lot, due=entered.due,
        )  # fmt: skip
        limits = store.limits_in_force(db, (key,)).get(key)
        if limits is not None and not limits.learning:
            before = store.last_checks(db, key, look_back(one), limits=limits.id)
            before = [c for c in before if c.time_ns <= check.time_ns]
            check = replace(check, limits=limits.id, signals=signals_of(one, limits, [*before, check]))
        check = replace(check, id=store.add_check(db, check))
        if not check.limits:
            self._learn(db, key, one, limits.since_ns if limits else 0)
        return self._follow(db, one, check)

    def _learn(self, db: Connection, key: str, one: Characteristic, since_ns: int) -> None:
        """Freeze limits as soon as enough checks say that the process is in control."""
        checks = [c for c in store.last_checks(db, key, one.learn, limits=0) if c.time_ns >= since_ns]
        found = learned(one, checks)
        if found is not None:
            self._set_limits(db, key, found.center, found.sigma, len(checks), SYSTEM, "learned")

    def _follow(self, db: Connection, one: Characteristic, check: Check) -> Recorded:
        what = consequence(one, passed=check.passed, signals=check.signals)
        if what == "chart":
            return Recorded(check)
        self._owes = self._owes or one.maintenance
        found = store.open_nonconformance(db, check.characteristic)
        if found is not None:
            request = OWED if one.maintenance else found.request  # one that is open stays the same
            again = replace(found, version=found.version + 1, checks=found.checks + 1, request=request)
            store.change(db, again, found.version)
            number = found.id
        else:
            number = store.add(
                db,
                Nonconformance(
                    0, 1, OPEN, _title(one, check), check.asset, one.severity, self._clock.now_ns(), check.by,
                    check.characteristic, check.id, 1, check.order, check.product, check.lot,
                    violation=violation_of(one, check), request=OWED if one.maintenance else 0,
                ),
            )  # fmt: skip
        if what != "hold":
            return Recorded(check, number)
        standing = store.open_hold(db, check.asset, check.lot, number)
        if standing is not None:
            return Recorded(check, number, standing.id)
        hold = store.add(
            db,
            Hold(
                0, 1, OPEN, check.asset, check.lot, check.order, check.product, _title(one, check),
                store.last_good_ns(db, check.characteristic, check.time_ns) or check.time_ns, self._clock.now_ns(), check.by,
                check.id, number, violation=violation_of(one, check),
            ),
        )  # fmt: skip
        return Recorded(check, number, hold)

    async def ask_owed(self) -> None:
        """Ask for the maintenance that violations call for. What is refused now, or cut off by a kill, is asked for later."""
        if self.requests is None or not self._owes or self._clock.monotonic_ns() < self._ask_ns:
            return
        self._owes = False
        for one, start_ns, end_ns in await self._ask(store.owed_requests):
            tag = self._tag_of(one.characteristic)
            said = str(one.violation or one.title)
            # the link names what is asked for, so that asking again after a kill finds the request that was made before it
            link = f"/quality?char={quote(one.characteristic, safe='')}&violation={one.id}-{one.checks}"
            evidence = Evidence(one.asset, "", said, start_ns, end_ns, (tag,) if tag else (), link)
            try:
                number = await self.requests.ask(f"quality/{one.id}", "maintenance", said, evidence, one.opened_by)
            except (Denied, ConfigError) as error:
                self._log.warning("nonconformance %d waits for its maintenance request: %s", one.id, error)
                self._owes, self._ask_ns = True, self._clock.monotonic_ns() + round(ASK_AGAIN_S * NS_PER_S)
                return
            await self._ask(partial(store.set_request, number=one.id, request=number))

    def _tag_of(self, key: str) -> str:
        try:
            return self.characteristic(key)[1].tag
        except LookupError:
            return ""

    async def void(self, number: int, by: str, reason: str) -> Check:
        """Say that a check does not count; it stays in the record.

        Raises: LookupError; Denied where it does not count already
        """

        def work() -> Check:
            with self._lock, self._engine.begin() as db:
                check = store.load_check(db, number)
                if check is None:
                    raise LookupError(f"check {number}")
                if check.void_ns:
                    raise Denied(f"{check.void_by} said so already: {check.void_reason}", "wrong_state")
                now_ns = self._clock.now_ns()
                store.void_check(db, number, now_ns, by, reason)
                return replace(check, void_ns=now_ns, void_by=by, void_reason=reason, due="")

        return await asyncio.to_thread(work)

    async def check(self, number: int) -> Check:
        """One check.

        Raises: LookupError
        """
        found = await self._ask(lambda db: store.load_check(db, number))
        if found is None:
            raise LookupError(f"check {number}")
        return found

    async def characteristics(self, under: str = "") -> list[CharacteristicNow]:
        """How everything stands that is checked at or below a path; plans in use."""

        def ask(db: Connection) -> tuple[dict[str, Check], dict[str, LimitsKept]]:
            return store.last_of_each(db, keys), store.limits_in_force(db, keys)

        plans = self.plans(under)
        keys = [key_of(plan.id, one.id) for plan in plans for one in plan.characteristics]
        last, limits = await self._ask(ask)
        found = []
        for plan in plans:
            for one in plan.characteristics if plan.active else ():
                key = key_of(plan.id, one.id)
                sampler = self._samplers.get(key)
                kept = limits.get(key)
                if kept is not None and kept.learning:
                    kept = None
                state = _state(last.get(key), kept)
                found.append(
                    CharacteristicNow(key, plan, one, state, last.get(key), kept, sampler.late if sampler else 0)
                )
        return found

    async def due(self, under: str = "") -> list[Due]:
        """Checks that people owe or will owe, the most overdue first."""
        plans = self.plans(under)
        keys = [key_of(plan.id, one.id) for plan in plans for one in plan.characteristics if not one.tag]
        last = await self._ask(lambda db: store.last_of_each(db, keys))
        now_ns = self._clock.now_ns()
        found = []
        for plan in plans:
            running = self.executions.running(plan.asset)
            if not plan.active or (plan.product and running.product and running.product != plan.product):
                continue
            for one in plan.characteristics:
                if not one.tag:
                    key = key_of(plan.id, one.id)
                    found.append(await self._due(plan, one, key, last.get(key), running, now_ns))
        wanted = [due for due in found if due is not None]
        return sorted(wanted, key=lambda d: (not d.is_due, d.due_ns, d.characteristic))

    async def _due(
        self, plan: Plan, one: Characteristic, key: str, last: Check | None, running: Running, now_ns: int
    ) -> Due | None:
        sampling = one.sampling
        name = f"{key}#{last.id if last else 0}"

        def owed(due_ns: int, why: str, left: int = 0) -> Due:
            return Due(name, key, plan, one, due_ns, left <= 0 and due_ns <= now_ns, why, last, running, left)

        if not (sampling.every_s or sampling.pieces or sampling.event):
            return None
        if last is None and sampling.event != "tag":
            return owed(plan.changed_ns, "first")
        ways = []
        since_ns = last.time_ns if last else plan.changed_ns
        if sampling.every_s:
            ways.append(owed(since_ns + round(sampling.every_s * NS_PER_S), "time"))
        if sampling.pieces:
            made = await self.executions.pieces(plan.asset, since_ns, now_ns)
            ways.append(owed(now_ns, "pieces", max(0, sampling.pieces - made)))
        if sampling.event == "tag":
            sampler = self._samplers.get(key)
            if sampler is not None and sampler.risen_ns > since_ns:
                ways.append(owed(sampler.risen_ns, "tag"))
        elif sampling.event and last is not None:
            now = getattr(running, sampling.event)
            if now and now != getattr(last, sampling.event):
                ways.append(owed(running.since_ns or now_ns, sampling.event))
        return min(ways, key=lambda d: (not d.is_due, d.due_ns), default=None)

    async def chart(self, key: str, start_ns: int, end_ns: int, kind: str = "") -> Drawn:
        """The chart of what was checked in [start, end).

        Raises: LookupError; ConfigError where the chart does not fit
        """
        _, one = self.characteristic(key)
        wanted = check_kind(one, kind)

        def work() -> Drawn:
            with self._engine.begin() as db:
                checks = store.checks_between(db, key, start_ns, end_ns, MOST_POINTS, void=False)
                kept = {k.id: k for k in store.limits_of(db, key)}
            fits = [c for c in checks if len(c.values) == one.size] if one.is_measured else checks
            return draw(one, wanted, fits, kept)

        return await asyncio.to_thread(work)

    async def limits(self, key: str) -> list[LimitsKept]:
        """All limits a characteristic ever had, oldest first."""
        return await self._ask(lambda db: store.limits_of(db, key))

    # --- holds -------------------------------------------------------------------------------------------------------

    async def held(self, lots: Sequence[str]) -> dict[str, str]:
        """As `ports.production.Holds` promises."""
        return await self._ask(lambda db: store.held_lots(db, [lot for lot in lots if lot]))

    async def holds(self, under: str = "", states: Sequence[str] = (), most: int = 500) -> list[Hold]:
        """Newest first."""
        return await self._ask(lambda db: store.listed(db, Hold, under, states, most))

    async def hold(self, asset: str, lot: str, reason: str, by: str, nonconformance: int = 0) -> Hold:
        """Hold what an asset makes, or a lot, by hand.

        Raises: Denied where that lot is held by hand already; LookupError for a nonconformance there is none of
        """
        self._check_asset(asset)
        running = self.executions.running(asset)
        now_ns = self._clock.now_ns()

        def work() -> Hold:
            with self._lock, self._engine.begin() as db:
                if nonconformance:
                    self._load(db, Nonconformance, nonconformance)
                standing = store.open_hold(db, asset, lot, nonconformance)
                if standing is not None:
                    raise Denied(f"it is held already, as number {standing.id}: {standing.reason}", "conflict")
                same = lot == running.lot or not lot
                one = Hold(
                    0, 1, OPEN, asset, lot, running.order if same else "", running.product if same else "", reason,
                    now_ns, now_ns, by, 0, nonconformance,
                )  # fmt: skip
                return replace(one, id=store.add(db, one))

        return await asyncio.to_thread(work)

    async def release(self, number: int, base: int, by: str, reason: str, disposition: str) -> Hold:
        """Let what was held go on, with a reason and what becomes of it.

        Raises: LookupError; ConfigError; Denied where somebody did meanwhile
        """
        _check_word("disposition", disposition, DISPOSITIONS)

        def change(one: Hold) -> Hold:
            if one.state != OPEN:
                raise Denied(f"{one.released_by} released it already: {one.release_reason}", "wrong_state")
            return replace(
                one,
                state=RELEASED,
                released_ns=self._clock.now_ns(),
                released_by=by,
                release_reason=reason,
                disposition=disposition,
            )

        return await self._change(Hold, number, base, change)

    async def one_hold(self, number: int) -> Hold:
        """One of them.

        Raises: LookupError
        """
        return await self._ask(lambda db: self._load(db, Hold, number))

    # --- nonconformances and actions -----------------------------------------------------------------------------------

    async def nonconformances(
        self, under: str = "", states: Sequence[str] = (), most: int = 500
    ) -> list[Nonconformance]:
        """Newest first."""
        return await self._ask(lambda db: store.listed(db, Nonconformance, under, states, most))

    async def nonconformance(self, number: int) -> Nonconformance:
        """One of them.

        Raises: LookupError
        """
        return await self._ask(lambda db: self._load(db, Nonconformance, number))

    async def open_nonconformance(self, one: Nonconformance) -> Nonconformance:
        """Somebody found something that no check tells.

        Raises: ConfigError
        """
        self._check_asset(one.asset)
        _check_word("severity", one.severity, SEVERITIES)
        running = self.executions.running(one.asset)
        whole = replace(
            one,
            id=0,
            version=1,
            state=OPEN,
            opened_ns=self._clock.now_ns(),
            order=one.order or running.order,
            product=one.product or running.product,
            lot=one.lot or running.lot,
        )

        def work(db: Connection) -> Nonconformance:
            return replace(whole, id=store.add(db, whole))

        return await self._ask(work)

    async def change_nonconformance(self, number: int, base: int, values: Mapping[str, Any], by: str) -> Nonconformance:
        """Say more about it, or close it: it needs a disposition, its actions done and its holds released.

        Raises: LookupError; ConfigError; Denied where somebody changed it meanwhile, or it cannot be closed yet
        """
        if "severity" in values:
            _check_word("severity", values["severity"], SEVERITIES)
        if values.get("disposition"):
            _check_word("disposition", values["disposition"], DISPOSITIONS)

        def change(one: Nonconformance, db: Connection) -> Nonconformance:
            if one.state == CLOSED:
                raise Denied(f"{one.closed_by} closed it", "wrong_state")
            new = replace(one, **values)
            if new.state != CLOSED:
                return new
            actions, holds = store.pending(db, number)
            lacking = [
                text
                for text, lacks in (
                    ("it has no disposition", not new.disposition),
                    ("no cause is told", not new.cause.strip()),
                    (f"{actions} of its actions are not done", bool(actions)),
                    (f"{holds} of its holds stand", bool(holds)),
                )
                if lacks
            ]
            if lacking:
                raise Denied(f"it cannot be closed yet: {', '.join(lacking)}", "wrong_state")
            return replace(new, closed_ns=self._clock.now_ns(), closed_by=by)

        return await self._change_with(Nonconformance, number, base, change)

    async def actions(self, under: str = "", states: Sequence[str] = (), most: int = 500) -> list[CorrectiveAction]:
        """Newest first."""
        return await self._ask(lambda db: store.listed(db, CorrectiveAction, under, states, most))

    async def action(self, number: int) -> CorrectiveAction:
        """One of them.

        Raises: LookupError
        """
        return await self._ask(lambda db: self._load(db, CorrectiveAction, number))

    async def open_action(self, nonconformance: int, title: str, owner: str, due_ns: int, by: str) -> CorrectiveAction:
        """Something is to be done about a nonconformance, by somebody, until some time.

        Raises: LookupError; Denied where it is closed
        """

        def work(db: Connection) -> CorrectiveAction:
            about = self._load(db, Nonconformance, nonconformance)
            if about.state == CLOSED:
                raise Denied(f"{about.closed_by} closed nonconformance {about.id}", "wrong_state")
            one = CorrectiveAction(0, 1, OPEN, about.id, about.asset, title, owner, due_ns, self._clock.now_ns(), by)
            return replace(one, id=store.add(db, one))

        return await self._ask(work)

    async def change_action(self, number: int, base: int, values: Mapping[str, Any], by: str) -> CorrectiveAction:
        """Change it, say that it is done (with what came of it), or that somebody else saw that it works.

        Raises: LookupError; Denied where somebody changed it meanwhile, or who did it verifies it
        """

        def change(one: CorrectiveAction) -> CorrectiveAction:
            now_ns = self._clock.now_ns()
            wanted = values.get("state", one.state)
            new = replace(one, **{k: v for k, v in values.items() if k != "state"}, state=wanted)
            if (one.state, wanted) == (OPEN, DONE):
                if not new.result.strip():
                    raise ConfigError("result: must say what was done")
                return replace(new, done_ns=now_ns, done_by=by)
            if (one.state, wanted) == (DONE, VERIFIED):
                if by == one.done_by:
                    raise Denied(f"{by} did it: somebody else must see that it works", "same_person")
                return replace(new, verified_ns=now_ns, verified_by=by)
            if (one.state, wanted) == (DONE, OPEN):
                return replace(new, done_ns=0, done_by="")
            if one.state != wanted or one.state == VERIFIED:
                raise Denied(f"it is {one.state} and cannot become {wanted}", "wrong_state")
            return new

        return await self._change(CorrectiveAction, number, base, change)

    async def open_counts(self) -> dict[str, int]:
        """How many holds, nonconformances and actions stand open."""
        return await self._ask(store.open_counts)

    # --- parts of these ------------------------------------------------------------------------------------------------

    async def _ask(self, work: Callable[[Connection], T]) -> T:
        def ask() -> T:
            with self._engine.begin() as db:
                return work(db)

        return await asyncio.to_thread(ask)

    def _load(self, db: Connection, kind: type[store.Kept], number: int) -> store.Kept:
        found = store.load(db, kind, number)
        if found is None:
            raise LookupError(f"{kind.__name__.lower()} {number}")
        return found

    async def _change(
        self, kind: type[store.Kept], number: int, base: int, change: Callable[[store.Kept], store.Kept]
    ) -> store.Kept:
        return await self._change_with(kind, number, base, lambda one, _: change(one))

    async def _change_with(
        self, kind: type[store.Kept], number: int, base: int, change: Callable[[store.Kept, Connection], store.Kept]
    ) -> store.Kept:
        def work(db: Connection) -> store.Kept:
            one = self._load(db, kind, number)
            if one.version != base:
                raise Denied(f"somebody changed it meanwhile: it is at version {one.version}, not {base}", "stale_base")
            new = replace(change(one, db), version=base + 1)
            store.change(db, new, base)
            return new

        return await self._ask(work)

    def _check_asset(self, asset: str) -> None:
        if asset not in {one.path for one in self._plant.assets}:
            raise ConfigError(f"asset: is no asset of the plant, was {asset!r}")


def _check_word(name: str, word: str, known: Sequence[str]) -> None:
    if word not in known:
        raise ConfigError(f"{name}: must be one of {', '.join(known)}, was {word!r}")


def _title(one: Characteristic, check: Check) -> str:
    """What is wrong, for people."""
    if not check.passed:
        fault = f": {check.fault}" if check.fault else ""
        return f"{one.title} is outside of its specification{fault}"
    return f"{one.title} is out of control ({', '.join(check.signals)})"


def _state(last: Check | None, limits: LimitsKept | None) -> str:
    if last is None:
        return "unchecked"
    if not last.passed:
        return "failed"
    if limits is None:
        return "learning"
    return "signal" if last.signals else "in control"

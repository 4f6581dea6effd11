"""Job orders: from planned to closed, at machines that count, with material that is taken by what was counted.

An order has an operation for each step of its product's routing; each walks the one table of `model.NEXT`. While it runs at a
machine the machine's accounts say so (`Shop.enter`), and what they count is the order's count. What was counted is asked
again as long as an order is not closed, because late samples restate it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from sqlalchemy import Connection

from isthmus.namespace.changes import Hand
from isthmus.namespace.model import Plant
from isthmus.ports.production import Running
from isthmus.production.model import Entry, EntryKind
from isthmus.production.orders import lot_store, stock, store
from isthmus.production.orders.floor import NoShop, Shop, change_over, count_run, entries_of, place_of, touches
from isthmus.production.orders.lots import Lots
from isthmus.production.orders.model import (
    NEXT,
    ChangeOver,
    Count,
    Done,
    Happening,
    Job,
    Labour,
    Lot,
    Need,
    Order,
    Product,
    Run,
    State,
    Tracking,
    Trigger,
    check_ident,
    follow,
    overall,
)
from isthmus.production.orders.past import Past, check_alone, corrected, moment_text, run_of
from isthmus.production.orders.people import check_skills, end_all
from isthmus.production.orders.quantity import ONE, quantity, shown
from isthmus.production.orders.records import Records
from isthmus.production.orders.signing import check_steps
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError, Denied, IsthmusError

EVERY_S = 2.0
AGAIN_S = 60.0
LATE_NS = 7 * 86_400 * NS_PER_S
"""How long after a run its count is still asked again."""
BY = "by count"
"""Who books what the machine used by itself."""


@dataclass(frozen=True, slots=True)
class Detail:
    """Everything about one order."""

    order: Order
    product: Product
    counts: Mapping[int, Count]
    runs: tuple[Run, ...]
    needs: tuple[Need, ...]
    done: tuple[Done, ...]
    labour: tuple[Labour, ...]
    events: tuple[Happening, ...]
    change_overs: tuple[ChangeOver, ...]

    def good(self) -> int:
        """What came out of the last operation."""
        return self.counts.get(self.order.jobs[-1].operation, Count()).good if self.order.jobs else 0


def wip(order: Order, counts: Mapping[int, Count]) -> dict[int, int]:
    """What an operation finished and the next has not taken up yet, by operation; the last one's is in stock."""
    numbers = [job.operation for job in order.jobs]
    return {
        here: max(0, counts.get(here, Count()).good - counts.get(there, Count()).total)
        for here, there in pairwise(numbers)
    }


class Orders:
    """Keeps orders and moves them on; implements `ports.production.Executions`."""

    def __init__(
        self,
        records: Records,
        clock: Clock,
        plant: Callable[[], Plant],
        lots: Lots,
        shop: Shop | None = None,
        log: logging.Logger | None = None,
    ) -> None:
        self._records, self._clock, self._plant, self._lots = records, clock, plant, lots
        self.shop: Shop = shop or NoShop()
        self._log = log or logging.getLogger("isthmus.orders")
        self._lock = asyncio.Lock()  # what is told to the accounts is told in the order in which it happened
        self._now: dict[str, Running] = {}
        self._last_end_ns: int | None = None  # of all runs; since then only what is in `_now` ran
        self._untold: set[int] = set()  # runs of which it was said that nobody took them

    # what others ask

    def running(self, asset: str) -> Running:
        """What a machine makes now."""
        return self._now.get(asset, Running(asset))

    def ran(self, asset: str, at_ns: int) -> Running:
        """What a machine or line made at a time; blocking, but for what runs still and what nothing can have run since."""
        now, last_end_ns = self._now.get(asset), self._last_end_ns
        if now is not None and now.since_ns <= at_ns:
            return now
        if now is None and last_end_ns is not None and at_ns >= last_end_ns:
            return Running(asset)
        lines = [line.path for line in self._plant().lines if asset in place_of(self._plant(), line.path).machines]

        def load(db: Connection) -> Running:
            run = store.run_at(db, [asset, *lines], at_ns)
            if run is None:
                return Running(asset)
            return Running(asset, run.order, str(run.operation), run.product, _order(db, run.order).lot, run.start_ns)

        return self._records.do_here(load)

    async def pieces(self, asset: str, start_ns: int, end_ns: int) -> int:
        """Whole pieces a machine or line counted over [start, end), good and bad."""
        counter = place_of(self._plant(), asset).counter
        if not counter or end_ns <= start_ns:
            return 0
        return sum(one.total_u for one in await self.shop.facts(counter, start_ns, end_ns)) // ONE

    # reading

    async def listed(
        self, *, states: Sequence[str] = (), product: str = "", search: str = "", asset: str = "", limit: int = 200
    ) -> list[tuple[Order, Product, dict[int, Count]]]:
        """By what is done first. With ``asset`` those that run there, or may."""

        def load(db: Connection) -> list[tuple[Order, Product, dict[int, Count]]]:
            found = store.orders(db, states=states, product=product, search=search, limit=limit)
            counts = store.counts(db, [one.id for one in found])
            known: dict[tuple[str, int], Product] = {}
            rows = []
            for one in found:
                key = (one.product, one.version)
                known[key] = known.get(key) or _product(db, one)
                here = {job.operation: counts.get((one.id, job.operation), Count()) for job in one.jobs}
                rows.append((one, known[key], here))
            return rows

        rows = await self._records.do(load)
        if not asset:
            return rows
        plant = self._plant()
        return [row for row in rows if any(touches(plant, asset, at) for at in places(row[0], row[1]))]

    async def get(self, ident: str) -> tuple[Order, Product]:
        """One with the version of its product. Raises: LookupError"""

        def load(db: Connection) -> tuple[Order, Product]:
            found = _order(db, ident)
            return found, _product(db, found)

        return await self._records.do(load)

    async def row(self, ident: str) -> tuple[Order, Product, dict[int, Count]]:
        """One as it stands in a list. Raises: LookupError"""

        def load(db: Connection) -> tuple[Order, Product, dict[int, Count]]:
            found = _order(db, ident)
            return found, _product(db, found), _counts(db, found)

        return await self._records.do(load)

    async def run_of(self, ident: str, number: int) -> Run | None:
        """One run of an order."""
        found = await self._records.do(lambda db: store.runs(db, ident))
        return next((run for run in found if run.id == number), None)

    async def detail(self, ident: str) -> Detail:
        """One with everything about it, counted now. Raises: LookupError"""
        await self.refresh(ident)

        def load(db: Connection) -> Detail:
            found = _order(db, ident)
            product, counts = _product(db, found), _counts(db, found)
            return Detail(
                found, product, counts, tuple(store.runs(db, ident)), tuple(stock.needs(db, found, product, counts)),
                tuple(store.done(db, ident)), tuple(store.labour(db, order=ident)), tuple(store.events(db, ident)), (),
            )  # fmt: skip

        found = await self._records.do(load)
        return replace(found, change_overs=tuple(await self._change_overs(found)))

    async def _change_overs(self, found: Detail) -> list[ChangeOver]:
        told = []
        for run in found.runs:
            before = await self._records.do(lambda db, run=run: store.run_before(db, run.asset, run.start_ns))  # type: ignore[misc]  # a lambda bound to its turn
            if before is not None and before.product != run.product:
                target = found.product.operation(run.operation).setup_target_s(before.product)
                told.append(await change_over(self.shop, self._plant(), before, run, target, self._clock.now_ns()))
        return told

    # planning

    async def create(self, given: Order, hand: Hand, *, over: int | None = None, under: int | None = None) -> Order:
        """A new order; without a number it gets the next one.

        Raises: ConfigError; Denied (name_taken)
        """
        if given.id:
            check_ident(given.id, "id")
        now_ns = self._clock.now_ns()

        def create(db: Connection) -> Order:
            product = store.product(db, given.product)
            if product is None:
                raise ConfigError(f"product: there is none of this number, was {given.product!r}")
            if not product.operations:
                raise ConfigError(f"product: {product.id} has no routing: it is bought, not made")
            ident = given.id or next_number(db)
            if store.order(db, ident) is not None:
                raise Denied(f"there is an order {ident} already", "name_taken")
            made = replace(
                given, id=ident, version=product.version, state=State.PLANNED, rev=1, created_ns=now_ns, by=hand.name,
                over=product.over if over is None else over, under=product.under if under is None else under,
                jobs=tuple(Job(one.number) for one in product.operations), lot="", ended_ns=None,
            )  # fmt: skip
            store.add_order(db, made)
            _note(db, made, 0, "create", now_ns, hand, quantity=shown(made.quantity), version=made.version)
            return made

        return await self._records.do(create)

    # the life of an order

    async def release(self, ident: str, base: int, hand: Hand) -> Order:
        """Ready to be run; from now on it keeps the version of its product.

        Raises: LookupError; Denied (stale_base, wrong_state, name_taken)
        """
        now_ns = self._clock.now_ns()

        def release(db: Connection) -> Order:
            found = _at(db, ident, base)
            follow(found.state, Trigger.RELEASE, f"order {ident}")
            found, product = _newest(db, found)
            moved = _all(found, Trigger.RELEASE)
            if product.tracking is Tracking.LOT:
                if lot_store.lot(db, ident) is not None:
                    raise Denied(f"there is a lot {ident} already, and this order would make it", "name_taken")
                moved = replace(moved, lot=ident)
                lot_store.add_lot(db, Lot(ident, product.id, 0, ident, created_ns=now_ns, by=hand.name))
            _note(db, moved, 0, "release", now_ns, hand)
            return store.save_order(db, moved)

        return await self._records.do(release)

    async def start(self, ident: str, base: int, hand: Hand, *, operation: int = 0, asset: str = "") -> Order:
        """Run an operation at a machine or line; the next one that waits unless told.

        Raises: LookupError; ConfigError; Denied (stale_base, wrong_state, machine_busy, skill_missing, operation_order)
        """
        return await self._begin(Trigger.START, ident, base, hand, operation, asset)

    async def resume(self, ident: str, base: int, hand: Hand, *, operation: int = 0, asset: str = "") -> Order:
        """Go on with one that pauses; where it was unless told.

        Raises: as ``start``
        """
        return await self._begin(Trigger.RESUME, ident, base, hand, operation, asset)

    async def _begin(self, trigger: Trigger, ident: str, base: int, hand: Hand, operation: int, asset: str) -> Order:
        plant = self._plant()
        async with self._lock:
            clock_ns = self._clock.now_ns()

            def begin(db: Connection) -> Order:
                now_ns = _after(clock_ns, store.last_end(db))
                found = _at(db, ident, base)
                product = _product(db, found)
                job = _job(found, trigger, operation)
                _next(job, trigger, ident)
                step = product.operation(job.operation)
                at = asset or job.asset or (step.assets[0] if len(step.assets) == 1 else "")
                if at not in step.assets:
                    raise ConfigError(f"asset: operation {step.number} runs at {', '.join(step.assets)}, was {at!r}")
                _check_before(found, job)
                _check_free(db, plant, at)
                if hand.person:
                    check_skills(db, hand.name, step.skills, now_ns)
                store.add_run(db, Run(0, ident, job.operation, at, found.product, now_ns, None, hand.name))
                moved = _move(found, job.operation, trigger, at)
                _note(db, moved, job.operation, str(trigger), now_ns, hand, asset=at)
                return store.save_order(db, moved)

            moved = await self._records.do(begin)
            await self._tell()
            return moved

    async def pause(self, ident: str, base: int, hand: Hand, *, operation: int = 0, reason: str = "") -> Order:
        """Stop an operation for a while; its machine is free.

        Raises: LookupError; Denied (stale_base, wrong_state)
        """
        async with self._lock:
            now_ns = self._clock.now_ns()

            def pause(db: Connection) -> Order:
                found = _at(db, ident, base)
                job = _job(found, Trigger.PAUSE, operation)
                moved = _move(found, job.operation, Trigger.PAUSE, job.asset)
                _end_runs(db, ident, job.operation, now_ns)
                _note(db, moved, job.operation, "pause", now_ns, hand, reason=reason)
                return store.save_order(db, moved)

            moved = await self._records.do(pause)
            await self._tell()
        await self.refresh(ident)
        return moved

    async def complete(self, ident: str, base: int, hand: Hand, *, operation: int = 0, reason: str = "") -> Order:
        """An operation is done, and with the last one the order. More or less than was ordered asks for a reason.

        Raises: LookupError; Denied (stale_base, wrong_state, steps_open, reason_needed)
        """
        await self.refresh(ident)
        async with self._lock:
            now_ns = self._clock.now_ns()

            def complete(db: Connection) -> Order:
                found = _at(db, ident, base)
                product = _product(db, found)
                job = _job(found, Trigger.COMPLETE, operation)
                moved = _move(found, job.operation, Trigger.COMPLETE, job.asset)
                check_steps(db, found, product, job.operation)
                good = _counts(db, found).get(job.operation, Count()).good
                told = ""
                if job.operation == found.jobs[-1].operation:
                    told = _check_quantity(found, good, reason)
                _end_runs(db, ident, job.operation, now_ns)
                end_all(db, ident, now_ns, job.operation)
                _note(
                    db, moved, job.operation, "complete", now_ns, hand, good=shown(good), quantity=told, reason=reason
                )
                return store.save_order(db, replace(moved, ended_ns=now_ns if moved.state is State.COMPLETED else None))

            moved = await self._records.do(complete)
            await self._tell()
        await self.refresh(ident)
        return moved

    async def enter_past(
        self, ident: str, base: int, hand: Hand, past: Past, *, operation: int = 0, asset: str = ""
    ) -> Order:
        """Say afterwards when an operation ran: one that waits ran then, one that runs began or ended then. Figures are restated.
        What is completed, and a run that is over (``past.run``), is moved.

        Raises: LookupError; ConfigError; Denied (stale_base, wrong_state, machine_busy, operation_order, steps_open, reason_needed)
        """
        plant = self._plant()
        async with self._lock:
            now_ns = self._clock.now_ns()
            past = past.checked(now_ns)

            def enter(db: Connection) -> Order:
                found = _at(db, ident, base)
                product = _product(db, found)
                over = _run_to_correct(db, found, operation, past.run)
                if over is not None:
                    return _correct(db, plant, found, corrected(past, over, asset), past.reason, now_ns, hand)
                job = _past_job(found, operation)
                step = product.operation(job.operation)
                at = asset or job.asset or (step.assets[0] if len(step.assets) == 1 else "")
                if at not in step.assets:
                    raise ConfigError(f"asset: operation {step.number} runs at {', '.join(step.assets)}, was {at!r}")
                _check_before(found, job)
                last = next(reversed(store.runs(db, ident, job.operation)), None)
                made = Run(0, ident, job.operation, at, found.product, past.start_ns or 0, None, hand.name)
                run, new = run_of(past, job.state, last, made)
                check_alone(db, plant, run)
                if new:
                    store.add_run(db, run)
                else:
                    store.move_run(db, run)
                moved = found
                for trigger in _past_steps(job.state, past):
                    moved = _move(moved, job.operation, trigger, run.asset)
                if past.complete:
                    check_steps(db, found, product, job.operation)
                    end_all(db, ident, now_ns, job.operation)
                    if moved.state is State.COMPLETED:
                        moved = replace(moved, ended_ns=past.end_ns)
                _note(
                    db, moved, job.operation, "past", now_ns, hand, asset=run.asset, reason=past.reason,
                    start=moment_text(run.start_ns), end=moment_text(run.end_ns) if run.end_ns else "",
                )  # fmt: skip
                return store.save_order(db, moved)

            moved = await self._records.do(enter)
            await self._tell()
        await self.refresh(ident)
        return moved

    async def close(self, ident: str, base: int, hand: Hand, *, reason: str = "") -> Order:
        """The books of an order are final: nothing is counted, taken or signed any more.

        Raises: LookupError; Denied (stale_base, wrong_state, lot_held, reason_needed where material is still owed)
        """
        await self.refresh(ident)
        found, _ = await self.get(ident)
        held = await self._lots.holds.held([found.lot] if found.lot else [])
        now_ns = self._clock.now_ns()

        def close(db: Connection) -> Order:
            order = _at(db, ident, base)
            moved = _all(order, Trigger.CLOSE)
            if held:
                raise Denied(f"lot {order.lot} is held: {held[order.lot]}", "lot_held")
            owed = [n for n in stock.needs(db, order, _product(db, order), _counts(db, order)) if n.owed]
            if owed and not reason.strip():
                parts = ", ".join(f"{shown(n.owed)} {n.material}" for n in owed)
                raise Denied(
                    f"order {ident} used {parts} that no lot covers: receive them, or say why", "reason_needed"
                )
            _note(db, moved, 0, "close", now_ns, hand, reason=reason)
            return store.save_order(db, moved)

        return await self._records.do(close)

    async def cancel(self, ident: str, base: int, hand: Hand, *, reason: str) -> Order:
        """It is not made, or not to its end; what was completed of it stays counted.

        Raises: LookupError; Denied (stale_base, wrong_state, reason_needed)
        """
        if not reason.strip():
            raise Denied("say why the order is cancelled", "reason_needed")
        now_ns = self._clock.now_ns()

        def cancel(db: Connection) -> Order:
            found = _at(db, ident, base)
            if found.state in (State.COMPLETED, State.CLOSED, State.CANCELLED):
                follow(found.state, Trigger.CANCEL, f"order {ident}")
            jobs = tuple(
                job if job.state is State.COMPLETED else replace(job, state=_next(job, Trigger.CANCEL, ident))
                for job in found.jobs
            )
            end_all(db, ident, now_ns)
            moved = replace(found, jobs=jobs, state=State.CANCELLED, ended_ns=now_ns)
            _note(db, moved, 0, "cancel", now_ns, hand, reason=reason)
            return store.save_order(db, moved)

        return await self._records.do(cancel)

    # what is counted

    async def throw_away(
        self, kind: str, ident: str, amount: int, why: str, hand: Hand, *, operation: int = 0
    ) -> Count:
        """Pieces that were counted good are scrap, or must be worked on again. ``kind`` is scrap or rework.

        Raises: LookupError; ConfigError for an unknown reason; Denied (wrong_state, beyond_count)
        """
        self._check_reason(kind, why)
        await self.refresh(ident)
        async with self._lock:
            order, product, count, run = await self._records.do(lambda db: _open_count(db, ident, operation))
            if amount > count.good:
                raise Denied(
                    f"operation {run.operation} of {ident} has {shown(count.good)} good; {shown(amount)} were said to be {kind}",
                    "beyond_count",
                )
            now_ns = self._clock.now_ns()
            entry = moment_ns = 0
            if self._counted(product, run):
                entry, moment_ns = await self._say(kind, run, amount, why, hand, now_ns)
            detail: dict[str, str | int] = {
                "quantity": shown(amount), "reason": why, "entry": entry, "run": run.id, "moment_ns": moment_ns,
            }  # fmt: skip

            def keep(db: Connection) -> None:
                if not self._counted(product, run):
                    by_hand = Count(0, -amount, amount if kind == "scrap" else 0, amount if kind == "rework" else 0)
                    _add(db, run, by_hand)
                _note(db, order, run.operation, kind, now_ns, hand, **detail)

            await self._records.do(keep)
        await self.refresh(ident)
        return await self._records.do(lambda db: _counts(db, order).get(run.operation, Count()))

    async def report(self, ident: str, amount: int, hand: Hand, *, operation: int = 0) -> Count:
        """Good pieces of an operation that no machine counts.

        Raises: LookupError; Denied (wrong_state, counted_by_machine)
        """
        order, product, _, run = await self._records.do(lambda db: _open_count(db, ident, operation))
        if self._counted(product, run):
            raise Denied(f"operation {run.operation} of {ident} is counted by its machine", "counted_by_machine")
        now_ns = self._clock.now_ns()

        def keep(db: Connection) -> Count:
            if _order(db, ident).job(run.operation).state not in (State.RUNNING, State.PAUSED):
                raise Denied(f"operation {run.operation} of {ident} is not under way", "wrong_state")
            _add(db, run, Count(amount, amount))
            _note(db, order, run.operation, "report", now_ns, hand, quantity=shown(amount))
            return _counts(db, order)[run.operation]

        found = await self._records.do(keep)
        await self.refresh(ident)
        return found

    def _counted(self, product: Product, run: Run) -> bool:
        return product.operation(run.operation).counted and bool(place_of(self._plant(), run.asset).counter)

    def _check_reason(self, kind: str, why: str) -> None:
        known = {one.key for one in self._plant().reasons if one.kind == kind}
        if not why.strip() or (known and why not in known):
            offered = f" ({', '.join(sorted(known)[:20])})" if known else ""
            raise ConfigError(f"reason: say why, by one of the plant's reasons for {kind}{offered}, was {why[:80]!r}")

    async def _say(self, kind: str, run: Run, amount: int, why: str, hand: Hand, now_ns: int) -> tuple[int, int]:
        """Into the accounts of the machine, at the last moment of the run: the entry's number, and that moment."""
        if amount % ONE:
            raise ConfigError(f"quantity: the machine counts whole pieces, was {shown(amount)}")
        moment_ns = _within(run, now_ns - 1)
        entry = _loss_entry(self._plant(), run, kind, amount // ONE, why, moment_ns, hand.name, now_ns)
        return await self.shop.enter(entry), moment_ns

    # keeping up with the machines

    async def open(self) -> None:
        """Take up what ran when an earlier core ended."""
        await self._tell()

    async def run(self) -> None:
        """Count again and again, until cancelled."""
        again_ns = 0
        while True:
            now_ns = self._clock.monotonic_ns()
            try:
                await self.catch_up(late=now_ns >= again_ns)
            except IsthmusError as error:
                self._log.warning("orders are not counted now: %s", error)
            if now_ns >= again_ns:
                again_ns = now_ns + round(AGAIN_S * NS_PER_S)
            await asyncio.sleep(EVERY_S)

    async def catch_up(self, *, late: bool = False) -> None:
        """Count what runs; with ``late`` also what ended and may still be restated."""
        async with self._lock:
            await self._tell()
        since_ns = self._clock.now_ns() - LATE_NS
        runs = await self._records.do(store.open_runs)
        if late:
            runs += await self._records.do(lambda db: store.recent_runs(db, since_ns))
        for ident in dict.fromkeys(run.order for run in runs):
            await self.refresh(ident)

    async def refresh(self, ident: str) -> None:
        """Ask again what was counted of an order, and book what follows from it. Raises: LookupError"""

        def load(db: Connection) -> tuple[Order, Product, list[Run], list[str]]:
            found = _order(db, ident)
            product = _product(db, found)
            lots = [
                lot.id for part in product.components if part.automatic for lot in lot_store.stock(db, part.material)
            ]
            return found, product, store.runs(db, ident), lots

        order, product, runs, lots = await self._records.do(load)
        if order.state in (State.PLANNED, State.CLOSED):
            return
        counted: dict[int, Count] = {}
        for run in runs:
            if product.operation(run.operation).counted:
                count = await count_run(self.shop, self._plant(), run, self._clock.now_ns())
                if count is not None and count != run.count:
                    counted[run.id] = count
        held = await self._lots.holds.held(lots) if lots else {}
        now_ns = self._clock.now_ns()

        def book(db: Connection) -> None:
            found = _order(db, ident)
            if found.state is State.CLOSED:
                return
            for run, count in counted.items():
                store.save_count(db, run, count)
            counts = _counts(db, found)
            stock.backflush(db, found, product, counts, held, now_ns, BY)
            if found.jobs:
                last = counts.get(found.jobs[-1].operation, Count()).good
                stock.bring_in(db, found, product, last, BY, now_ns)

        await self._records.do(book)

    async def _tell(self) -> None:
        """Tell the accounts what is not told yet, and remember what runs. Said twice after a crash it is the same time twice."""
        plant, now_ns = self._plant(), self._clock.now_ns()

        def load(db: Connection) -> tuple[list[tuple[Run, Order, Product]], int]:
            found = []
            for run in store.open_runs(db):
                order = _order(db, run.order)
                found.append((run, order, _product(db, order)))
            return found, store.last_end(db)

        now: dict[str, Running] = {}
        found, last_end_ns = await self._records.do(load)
        for run, order, product in found:
            if not run.told:
                await self._tell_one(run, product, plant, now_ns)
            if run.end_ns is None:
                what = Running("", order.id, str(run.operation), order.product, order.lot, run.start_ns)
                for machine in (*place_of(plant, run.asset).machines, run.asset):
                    now[machine] = replace(what, asset=machine)
        self._now, self._last_end_ns = now, last_end_ns

    async def _tell_one(self, run: Run, product: Product, plant: Plant, now_ns: int) -> None:
        """What the accounts do not take now they are told later; the order goes on, and is not counted until then."""
        entries = entries_of(plant, run, product.operation(run.operation), now_ns)
        losses = [one for one in await self._records.do(lambda db: store.losses(db, run)) if _left(run, one)]
        for one in losses:  # scrap and rework stay with the run they are of when it is moved
            moment_ns = _within(run, int(one.detail["moment_ns"]))
            count = quantity(str(one.detail["quantity"]), "quantity") // ONE
            why, number = str(one.detail["reason"]), int(one.detail["entry"])
            said = _loss_entry(plant, run, one.kind, count, why, moment_ns, one.by, now_ns)
            entries.append(replace(said, replaces=number, reason="its run was moved"))
        try:
            numbers = await self.shop.enter_all(entries) if entries else []
        except IsthmusError as error:
            if run.id not in self._untold:
                self._log.warning("order %s is not known to the accounts of %s yet: %s", run.order, run.asset, error)
            self._untold.add(run.id)
            return
        self._untold.discard(run.id)
        machines = len(entries) - len(losses)
        known = replace(run, entries=tuple(numbers[:machines]), told=True)
        moved = [
            replace(one, detail=one.detail | {"entry": number, "moment_ns": entry.start_ns})
            for one, number, entry in zip(losses, numbers[machines:], entries[machines:], strict=True)
        ]

        def save(db: Connection) -> None:
            store.save_told(db, known)
            for one in moved:
                store.save_event(db, one)

        await self._records.do(save)


# rules, within a transaction


def places(order: Order, product: Product) -> list[str]:
    """Where an order runs, or may."""
    found = []
    for job in order.jobs:
        allowed = next((one.assets for one in product.operations if one.number == job.operation), ())
        found += [job.asset] if job.asset else list(allowed)
    return found


def next_number(db: Connection) -> str:
    """JO-1, JO-2, …"""
    number = store.order_count(db) + 1
    while store.order(db, f"JO-{number}") is not None:
        number += 1
    return f"JO-{number}"


def _order(db: Connection, ident: str) -> Order:
    found = store.order(db, ident)
    if found is None:
        raise LookupError(ident)
    return found


def _product(db: Connection, order: Order) -> Product:
    found = store.product(db, order.product, order.version)
    if found is None:
        raise LookupError(order.product)
    return found


def _newest(db: Connection, order: Order) -> tuple[Order, Product]:
    """A planned order with the version of its product that holds now."""
    product = store.product(db, order.product)
    if product is None or not product.operations:
        raise Denied(f"product {order.product} has no routing any more", "wrong_state")
    jobs = tuple(Job(one.number) for one in product.operations)
    made = replace(order, version=product.version, jobs=jobs)
    store.set_jobs(db, made)
    return made, product


def _at(db: Connection, ident: str, base: int) -> Order:
    """An order at a revision. Raises: LookupError; Denied (stale_base)"""
    found = _order(db, ident)
    if found.rev != base:
        last = next(iter(store.events(db, ident, 1)), None)
        by = f" ({last.kind} by {last.by})" if last else ""
        raise Denied(f"order {ident} is {found.state} at revision {found.rev} now{by}: look at it again", "stale_base")
    return found


def _counts(db: Connection, order: Order) -> dict[int, Count]:
    found = store.counts(db, [order.id])
    return {job.operation: found.get((order.id, job.operation), Count()) for job in order.jobs}


def _next(job: Job, trigger: Trigger, ident: str) -> State:
    return follow(job.state, trigger, f"operation {job.operation} of order {ident}")


def _all(order: Order, trigger: Trigger) -> Order:
    """Every operation of an order moves. Raises: Denied (wrong_state)"""
    state = follow(order.state, trigger, f"order {order.id}")
    jobs = tuple(replace(job, state=_next(job, trigger, order.id)) for job in order.jobs)
    return replace(order, jobs=jobs, state=state)


def _move(order: Order, operation: int, trigger: Trigger, asset: str) -> Order:
    """One operation moves, and the order with it. Raises: Denied (wrong_state)"""
    jobs = tuple(
        replace(job, state=_next(job, trigger, order.id), asset=asset) if job.operation == operation else job
        for job in order.jobs
    )
    return replace(order, jobs=jobs, state=overall([job.state for job in jobs]))


def _job(order: Order, trigger: Trigger, operation: int) -> Job:
    """The operation that is meant. Raises: LookupError; Denied (wrong_state)"""
    if operation:
        return order.job(operation)
    fit = [job for job in order.jobs if (job.state, trigger) in NEXT]
    if not fit:
        follow(order.state, trigger, f"order {order.id}")
        raise Denied(f"order {order.id} is {order.state}: no operation of it can {trigger}", "wrong_state")
    return fit[0]


def _past_job(order: Order, operation: int) -> Job:
    """The operation that is meant: what runs, else what waits. Raises: LookupError; Denied (wrong_state)"""
    if operation:
        job = order.job(operation)
    else:
        fit = [job for state in _PAST_STATES for job in order.jobs if job.state is state]
        if not fit:
            raise Denied(f"order {order.id} is {order.state}: nothing of it can be entered afterwards", "wrong_state")
        job = fit[0]
    if job.state not in _PAST_STATES:
        raise Denied(
            f"operation {job.operation} of order {order.id} is {job.state}: its time cannot be entered afterwards",
            "wrong_state",
        )
    return job


def _run_to_correct(db: Connection, order: Order, operation: int, number: int) -> Run | None:
    """The run that is over and meant: by its number, else the last one of an operation that is completed.

    Raises: LookupError; ConfigError; Denied (wrong_state)
    """
    if not number and (not operation or order.job(operation).state is not State.COMPLETED):
        return None
    if order.state is State.CLOSED:
        raise Denied(f"order {order.id} is closed: its books are final", "wrong_state")
    mine = [run for run in store.runs(db, order.id, operation) if number in (0, run.id)]
    if not mine:
        raise ConfigError(f"run: order {order.id} has no such run, was {number}")
    return mine[-1]


def _correct(db: Connection, plant: Plant, order: Order, run: Run, why: str, now_ns: int, hand: Hand) -> Order:
    """A run that is over, moved; an order that is completed ended with the last of its runs. Raises: Denied (machine_busy)"""
    check_alone(db, plant, run)
    before = next(one for one in store.runs(db, order.id) if one.id == run.id)
    store.move_run(db, run)
    ends = [one.end_ns for one in store.runs(db, order.id) if one.end_ns is not None]
    moved = replace(order, ended_ns=max(ends) if order.state is State.COMPLETED else order.ended_ns)
    _note(
        db, moved, run.operation, "correct", now_ns, hand, asset=run.asset, reason=why, start=moment_text(run.start_ns),
        end=moment_text(run.end_ns or 0), was_start=moment_text(before.start_ns), was_end=moment_text(before.end_ns or 0),
    )  # fmt: skip
    return store.save_order(db, moved)


_PAST_STATES: Final = (State.RUNNING, State.PAUSED, State.RELEASED)


def _past_steps(state: State, past: Past) -> list[Trigger]:
    """What an operation goes through with what is entered afterwards."""
    begin = {State.RELEASED: [Trigger.START], State.PAUSED: [Trigger.RESUME]}.get(state, [])
    end = [] if past.end_ns is None else [Trigger.COMPLETE if past.complete else Trigger.PAUSE]
    return [*begin, *end]


def _check_before(order: Order, job: Job) -> None:
    """What comes before must at least have begun. Raises: Denied (operation_order)"""
    for other in order.jobs:
        if other.operation < job.operation and other.state in (State.PLANNED, State.RELEASED):
            raise Denied(
                f"operation {other.operation} of order {order.id} comes before {job.operation} and has not begun",
                "operation_order",
            )


def _check_free(db: Connection, plant: Plant, asset: str) -> None:
    for run in store.open_runs(db):
        if run.end_ns is None and touches(plant, run.asset, asset):
            raise Denied(
                f"{asset} makes order {run.order}, operation {run.operation}: pause or complete that first",
                "machine_busy",
            )


def _after(now_ns: int, last_ns: int) -> int:
    """Now; or the end of the run before, where that is a moment later: no piece counts for two."""
    return last_ns if 0 < last_ns - now_ns < NS_PER_S else now_ns


def _end_runs(db: Connection, ident: str, operation: int, now_ns: int) -> None:
    for run in store.runs(db, ident, operation):
        if run.end_ns is None:
            store.end_run(db, run.id, max(now_ns, run.start_ns + 1))


def _check_quantity(order: Order, good: int, reason: str) -> str:
    """Whether it is under, over, or (empty) what was ordered. Raises: Denied (reason_needed)"""
    found = "under" if good < order.least else "over" if good > order.most else ""
    if found and not reason.strip():
        raise Denied(
            f"order {order.id} is for {shown(order.quantity)} and has {shown(good)} good, {found} what is taken "
            f"({shown(order.least)} to {shown(order.most)}): say why",
            "reason_needed",
        )
    return found


def _open_count(db: Connection, ident: str, operation: int) -> tuple[Order, Product, Count, Run]:
    """The count of an operation that is not closed, and its last run. Raises: LookupError; Denied (wrong_state)"""
    order = _order(db, ident)
    runs = store.runs(db, ident, operation)
    if order.state in (State.PLANNED, State.CLOSED, State.CANCELLED) or not runs:
        what = f"operation {operation} of order {ident}" if operation else f"order {ident}"
        raise Denied(f"{what} is {order.state} and nothing of it can be counted now", "wrong_state")
    run = runs[-1]
    return order, _product(db, order), _counts(db, order).get(run.operation, Count()), run


def _within(run: Run, moment_ns: int) -> int:
    """A moment as far as a run reaches, at its last one from its end on."""
    return max(run.start_ns, moment_ns if run.end_ns is None else min(moment_ns, run.end_ns - 1))


def _left(run: Run, loss: Happening) -> bool:
    """Whether a run was moved away from what was said to be scrap or rework of it."""
    moment_ns = int(loss.detail["moment_ns"])
    return _within(run, moment_ns) != moment_ns


def _loss_entry(plant: Plant, run: Run, kind: str, count: int, why: str, moment_ns: int, by: str, now_ns: int) -> Entry:
    values: dict[str, str | int] = {
        "count": count, "reason": why, "order": run.order, "operation": run.operation, "product": run.product,
    }  # fmt: skip
    counter = place_of(plant, run.asset).counter
    return Entry(EntryKind(kind), counter, moment_ns, moment_ns + 1, values, by, now_ns)


def _add(db: Connection, run: Run, more: Count) -> None:
    """Add to the count of a run as it is now."""
    now = next(one for one in store.runs(db, run.order, run.operation) if one.id == run.id)
    store.save_count(db, run.id, now.count + more)


def _note(db: Connection, order: Order, operation: int, kind: str, at_ns: int, hand: Hand, **detail: str | int) -> None:
    told = {key: value for key, value in detail.items() if value not in ("", 0)}
    store.add_event(db, Happening(order.id, operation, kind, at_ns, hand.name, told))

"""What people of the demo's hall did in its past: orders, reasons of stops, calls and actions, checks, readings, the shift log.

Written before core first starts, by the rooms' own services at the time it happened, into records that take their place in one go:
what was cut off leaves nothing behind. Nothing of it is made up beside the line: orders are what was made from one change-over to
the next, reasons are what the machine told, checks measure what the past's own samples show.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from sqlalchemy import Engine, event

from isthmus.app import demo_production as hall
from isthmus.app.migrate import migrate
from isthmus.app.records import open_records
from isthmus.namespace.changes import Hand
from isthmus.namespace.model import Plant
from isthmus.ports.production import Running
from isthmus.production.model import Entry, EntryKind, FactSum, Interval, StateClass, Stop, stop_id
from isthmus.production.orders.floor import NoShop
from isthmus.production.orders.model import Component, Lot, Operation, Order, Point, Product, Step
from isthmus.production.orders.quantity import ONE, quantity
from isthmus.production.orders.room import OrderRoom
from isthmus.production.shiftlog import NoteKind, ShiftLog
from isthmus.production.stops.actions import ActionChange, ActionDesk, ActionDraft
from isthmus.production.stops.cause import Cause, CauseKind
from isthmus.production.stops.model import ActionState, Verb
from isthmus.production.stops.requests import HelpDesk
from isthmus.production.store import ProductionStore
from isthmus.quality.model import CLOSED, Entered, Plan, characteristics_of, key_of
from isthmus.quality.service import Quality
from isthmus.simulators.bottling import fast, quarter
from isthmus.simulators.bottling.physics import BLOCKED, EXECUTE, OPERATOR, STARVED
from isthmus.simulators.bottling.production import BY_CAUSE, LINE
from isthmus.values.clock import NS_PER_S, ManualClock

SHIFT: Final = "shift"
"""Who did it: the account of the line's supervisor."""
HAND: Final = Hand(SHIFT)
MICRO_NS: Final = 120 * NS_PER_S
"""Shorter stops ask nobody for a reason."""
LONG_NS: Final = 8 * 60 * NS_PER_S
"""A stop of its own that is longer is told to the next shift."""
LEAST_MADE: Final = 500
"""Bottles an order is worth; less was run without one."""
CHECK_NS: Final = 2 * 3600 * NS_PER_S
DAY_NS: Final = 86_400 * NS_PER_S
FAULTS: Final = ("underfilled", "cap askew", "label askew", "scratched")
SHIFT_S: Final = 8 * 3600

CALLS: Final = {
    "mechanical/jam": "maintenance",
    "mechanical/web": "maintenance",
    "mechanical/drive": "maintenance",
    "supply/caps": "material",
    "supply/air": "maintenance",
}
"""Whom a long stop of a reason calls."""
ANSWERS: Final = {"maintenance": "Put right and tried; it runs at speed.", "material": "Brought and filled up."}

Stopped = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Stand:
    """A time in which a machine stood by itself. Units: UTC ns"""

    asset: str
    start_ns: int
    end_ns: int
    cause: int
    cleaning: bool


def enter_past(
    file: Path, plant: Plant, past: quarter.Past, log: logging.Logger, stopped: Stopped = lambda: False, seed: int = 1
) -> bool:
    """Make the records of an installation that does not have any yet, with the past in them. False if it was stopped meanwhile.

    Raises: FileExistsError where there are records already
    """
    if file.exists():
        raise FileExistsError(file)
    part = file.with_name(f"{file.name}.part")
    _remove(part)
    engine = open_records(part)
    event.listen(engine, "connect", _hurry)
    try:
        migrate(engine, part, log)
        whole = asyncio.run(_People(engine, plant, past, seed, stopped).live())
        with engine.connect() as db:
            db.exec_driver_sql("COMMIT")  # a checkpoint works outside of transactions
            db.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        engine.dispose()
    if whole:
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(file)
    _remove(part)
    return whole


def _hurry(connection: Any, _: object) -> None:
    """These records count when they are whole; until then nothing needs to be on disk."""
    connection.execute("PRAGMA synchronous=OFF")


def _remove(part: Path) -> None:
    for left in (part, part.with_name(f"{part.name}-wal"), part.with_name(f"{part.name}-shm")):
        left.unlink(missing_ok=True)


def stands(past: quarter.Past) -> list[Stand]:
    """When machines stood by themselves, and for what; in order of time. What goes on at the end is not among them."""
    change, found = past.record.change, []
    starts = np.array([day.start_s for day in past.record.days], np.int64)
    ends = starts + np.array([day.length_s for day in past.record.days], np.int64)
    for m, name in enumerate(past.record.machines):
        rows = np.flatnonzero(change["machine"] == m)
        time_s = starts[change["day"][rows]] + change["second"][rows]
        rows, time_s = rows[order := np.argsort(time_s, kind="stable")], time_s[order]
        state, cause = change["state"][rows], change["cause"][rows]
        kind = np.where(state == EXECUTE, 0, np.where((cause == STARVED) | (cause == BLOCKED), 1, 2))
        first = np.flatnonzero(np.diff(kind, prepend=-1) != 0)
        for at, after in zip(first[:-1].tolist(), first[1:].tolist(), strict=True):
            if kind[at] != 2 or time_s[after] > past.end_s:
                continue
            left_s = int(ends[change["day"][rows[at]]] - time_s[at])
            asked_to = int(cause[at]) == OPERATOR and left_s <= fast.EMPTY_S["filler"]
            found.append(
                Stand(
                    f"{LINE}/{name}",
                    int(time_s[at]) * NS_PER_S,
                    int(time_s[after]) * NS_PER_S,
                    int(cause[at]),
                    asked_to,
                )
            )
    return sorted(found, key=lambda one: one.start_ns)


def reason_of(stand: Stand) -> str:
    """What a crew says of it; "" where the machine did not tell."""
    return "planned/cleaning" if stand.cleaning else BY_CAUSE.get(stand.cause, "")


def order_name(number: int) -> str:
    """What the so-manieth order of the past is called."""
    return f"JO-{number}"


class _Accounts:
    """The machines' accounts before there are any: takes what is said of machines, and tells what an order's run counted."""

    def __init__(self, engine: Engine) -> None:
        self._store = ProductionStore(engine)
        self.order, self.good, self.reject = "", 0, 0

    def ready(self, asset: str) -> bool:
        return True

    async def intervals(self, asset: str, start_ns: int, end_ns: int) -> list[Interval]:
        return []

    async def facts(self, under: str, start_ns: int, end_ns: int, by: Sequence[str] = ()) -> list[FactSum]:
        total = self.good + self.reject
        return [FactSum({"order": self.order}, total_u=total * ONE, good_u=self.good * ONE, reject_u=self.reject * ONE)]

    async def enter(self, entry: Entry) -> int:
        return (await self.enter_all((entry,)))[0]

    async def enter_all(self, entries: Sequence[Entry]) -> list[int]:
        return self._store.add_entries(entries)


class NoFacts(NoShop):
    """Actions of the past are put down, not measured: that is done by who looks at them."""

    async def stops(self, under: str, start_ns: int, end_ns: int) -> list[Stop]:
        return []

    async def entries(self, asset: str, start_ns: int, end_ns: int) -> list[Entry]:
        return []


def product_of(body: Mapping[str, Any]) -> Product:
    """A product from what the API takes."""
    operations = tuple(
        Operation(
            one["number"], one["name"], tuple(one["assets"]), one["counted"], one["ideal_count"], one["ideal_s"] * NS_PER_S,
            one["setup_s"], steps=tuple(Step(**step) for step in one["steps"]),
            labour_per_h=quantity(one["labour_per_h"], "labour_per_h"),
        )
        for one in body["operations"]
    )  # fmt: skip
    parts = tuple(
        Component(one["material"], quantity(one["each"], "each"), one["operation"]) for one in body["components"]
    )
    over, under = (quantity(body[f"{name}_percent"], name) for name in ("over", "under"))
    return Product(
        body["id"],
        0,
        body["name"],
        operations=operations,
        components=parts,
        over=over,
        under=under,
        reason=body["reason"],
    )


class _Executions:
    """What the line made at a moment of the past."""

    def __init__(self, runs: Sequence[quarter.Run]) -> None:
        self._runs, self.now_ns = runs, 0

    def running(self, asset: str) -> Running:
        """What a machine made then."""
        return self.ran(asset, self.now_ns)

    def ran(self, asset: str, at_ns: int) -> Running:
        """The same of any moment."""
        for number, run in enumerate(self._runs, 1):
            if run.start_ns <= at_ns < run.end_ns and run.good >= LEAST_MADE:
                product = list(hall.PRODUCTS)[run.recipe - 1]
                return Running(asset, order_name(number), "10", product, order_name(number), run.start_ns)
        return Running(asset)

    async def pieces(self, asset: str, start_ns: int, end_ns: int) -> int:
        """Nobody asks: checks of the past go by the clock."""
        return 0


class _People:
    """Everybody of the hall, on records of their own."""

    def __init__(self, engine: Engine, plant: Plant, past: quarter.Past, seed: int, stopped: Stopped) -> None:
        self._engine, self._plant, self._past, self._stopped = engine, plant, past, stopped
        self._chance = np.random.default_rng((seed, 11))
        self._start_ns = past.record.days[0].start_s * NS_PER_S
        self._end_ns = past.end_s * NS_PER_S
        self._stands = [one for one in stands(past) if one.end_ns - one.start_ns >= MICRO_NS]
        self._runs = list(quarter.runs(past))

    async def live(self) -> bool:
        """All of the past; False if somebody ended it."""
        parts = (self._make, self._say_why, self._call, self._improve, self._read, self._check, self._hand_over)
        for part in parts:
            await part()
            if self._stopped():
                return False
        return True

    # --- orders

    async def _make(self) -> None:
        """An order for each product from one change-over to the next; the last one runs on."""
        clock, accounts = ManualClock(self._start_ns), _Accounts(self._engine)
        room = OrderRoom(self._engine, clock, lambda: self._plant, str, accounts)
        for key, (name, unit, _) in hall.MATERIALS.items():
            cost = quantity(hall.UNIT_COSTS[key], "cost")
            await room.products.save(Product(key, 0, name, unit, reason=hall.REASON, cost=cost), 0, HAND)
        for key, (name, label) in hall.PRODUCTS.items():
            await room.products.save(product_of(hall.product_body(key, name, label)), 0, HAND)
        products = list(hall.PRODUCTS)
        for number, run in enumerate(self._runs, 1):
            if self._stopped():
                return
            last = run.end_ns >= self._end_ns
            if run.good >= LEAST_MADE or last:
                await self._run(room, clock, accounts, run, order_name(number), products[run.recipe - 1], last=last)
        await self._plan(room, clock)

    async def _plan(self, room: OrderRoom, clock: ManualClock) -> None:
        """What is in stock, and what is to be made next."""
        clock.set_wall(self._end_ns)
        for key, (_, _, stock) in hall.MATERIALS.items():
            await room.lots.receive(Lot(f"{key}-1", key, 0, supplier=hall.SUPPLIER), round(stock) * ONE, HAND)
        for product, count, hours in hall.ORDERS[1:]:
            due_ns = self._end_ns + hours * 3600 * NS_PER_S
            made = await room.orders.create(Order("", product, 0, count * ONE, due_ns=due_ns), HAND)
            if (product, count, hours) == hall.ORDERS[1]:
                await room.orders.release(made.id, made.rev, HAND)

    async def _run(
        self,
        room: OrderRoom,
        clock: ManualClock,
        accounts: _Accounts,
        run: quarter.Run,
        ident: str,
        product: str,
        *,
        last: bool,
    ) -> None:
        orders = room.orders
        accounts.order, accounts.good, accounts.reject = ident, run.good, 0
        wanted = 40_000 if last else max(1000, round(run.good / 1000 + float(self._chance.normal(0, 0.3))) * 1000)
        due_ns = run.start_ns + (24 * 3600 * NS_PER_S if last else run.end_ns - run.start_ns + 3600 * NS_PER_S)
        clock.set_wall(run.start_ns)
        label = hall.PRODUCTS[product][1]
        for key in ("bottle-075", "cap-28", label):
            lot = Lot(f"{key}-{ident}", key, 0, supplier=hall.SUPPLIER, place="dock 2")
            await room.lots.receive(lot, (max(run.good, wanted) + 500) * ONE, HAND)
        made = await orders.create(Order(ident, product, 0, wanted * ONE, due_ns=due_ns), HAND)
        made = await orders.release(ident, made.rev, HAND)
        made = await orders.start(ident, made.rev, HAND, operation=10, asset=LINE)
        if last:
            return
        clock.set_wall(run.end_ns - NS_PER_S)
        why = "" if abs(run.good - wanted) * 20 <= wanted else "the change-over came when it came"
        made = await orders.complete(ident, made.rev, HAND, reason=why)
        await orders.close(ident, made.rev, HAND, reason=hall.REASON)

    # --- stops

    async def _say_why(self) -> None:
        """Why machines stood, but for what is fresh and what was forgotten."""
        known = {one.key: one for one in self._plant.reasons}
        fresh_ns = self._end_ns - round(hall.FRESH.total_seconds()) * NS_PER_S
        said: list[Entry] = []
        for one in self._stands:
            reason = known.get(reason_of(one))
            if reason is None or one.end_ns >= fresh_ns or self._chance.integers(hall.LEFT_OUT) == 0:
                continue
            values: dict[str, str | int] = {
                "reason": reason.key,
                "text": reason.text,
                "loss": reason.loss,
                "time": reason.time,
                "planned": int(reason.planned),
            }
            told_ns = one.end_ns + 60 * NS_PER_S
            said.append(Entry(EntryKind.REASON, one.asset, one.start_ns, one.end_ns, values, SHIFT, told_ns))
        ProductionStore(self._engine).add_entries(said)

    # --- calls and actions

    async def _call(self) -> None:
        """Long stops became somebody's work: asked for, taken up before the machine ran again, put right when it did."""
        clock = ManualClock(self._start_ns)
        desk = HelpDesk(self._engine, lambda: self._plant, clock)
        long = [one for one in self._stands if reason_of(one) in CALLS and one.end_ns - one.start_ns >= LONG_NS]
        for one in sorted(long, key=lambda one: one.end_ns):
            took_ns = one.end_ns - one.start_ns
            reason, text = reason_of(one), self._text(one)
            stop = stop_id(one.asset, one.start_ns)
            about = Stop(stop, one.asset, one.start_ns, one.end_ns, StateClass.STOPPED, took_ns, reason=reason)
            cause = Cause(CauseKind.OWN, one.asset, stop, reason, path=(one.asset,))
            asked = one.start_ns + round(took_ns * self._chance.uniform(0.1, 0.25))
            clock.set_wall(asked)
            title = f"{one.asset.rpartition('/')[2].capitalize()}: {text.lower()}"
            evidence = desk.evidence(one.asset, "", about, cause)
            call, _ = await desk.call(f"{CALLS[reason]}:{stop}", CALLS[reason], title, evidence, SHIFT, stop)
            moves = (
                (Verb.ACKNOWLEDGE, asked + round(took_ns * self._chance.uniform(0.1, 0.4)), ""),
                (Verb.ANSWER, one.end_ns, ANSWERS[CALLS[reason]]),
                (Verb.CLOSE, one.end_ns + round(self._chance.uniform(2, 20)) * 60 * NS_PER_S, ""),
            )
            for verb, at_ns, said in moves:
                if at_ns < self._end_ns:
                    clock.set_wall(at_ns)
                    call = (await desk.move(call.id, verb, said, call.version, SHIFT))[1]

    async def _improve(self) -> None:
        """What is done against the reasons that took most time: one action is under way, one was done halfway through.

        What that brought is measured, and may be nothing: nobody made the line another one.
        """
        lost: dict[tuple[str, str], int] = {}
        for one in self._stands:
            if reason_of(one) in CALLS:
                lost[one.asset, reason_of(one)] = lost.get((one.asset, reason_of(one)), 0) + one.end_ns - one.start_ns
        worst = sorted(lost, key=lambda key: (-lost[key], key))[:2]
        clock = ManualClock(self._start_ns)
        desk = ActionDesk(self._engine, NoFacts(), lambda: self._plant, clock)
        for (asset, reason), share, state in zip(
            worst, (0.8, 0.5), (ActionState.DOING, ActionState.DONE), strict=False
        ):
            made_ns = self._start_ns + round((self._end_ns - self._start_ns) * share)
            clock.set_wall(made_ns)
            name = next((one.text for one in self._plant.reasons if one.key == reason), reason).lower()
            weekly_min = lost[asset, reason] / 60e9 * 7 * DAY_NS / (self._end_ns - self._start_ns)
            due = datetime.fromtimestamp((made_ns + 14 * DAY_NS) / NS_PER_S, UTC).date().isoformat()
            draft = ActionDraft(
                f"Less time lost to {name} at the {asset.rpartition('/')[2]}", asset, "reason", reason, SHIFT, due,
                float(round(weekly_min * 0.3)), "Every stop of this kind is looked at together the next morning.",
                self._start_ns, made_ns,
            )  # fmt: skip
            action = await desk.create(draft, SHIFT)
            await desk.change(action.id, ActionChange(state=str(state)), action.version, SHIFT)

    # --- readings and checks

    async def _read(self) -> None:
        """What is read by hand once a shift."""
        clock = ManualClock(self._start_ns)
        readings = OrderRoom(self._engine, clock, lambda: self._plant, str).readings
        for key, about in hall.POINTS.items():
            limits = {name: quantity(about[name], name, least=None) for name in ("lowest", "low", "high", "highest")}
            await readings.save_point(
                Point(key, about["name"], about["asset"], about["unit"], about["decimals"], **limits)
            )
        for start_ns, end_ns in self._shifts():
            clock.set_wall(min(start_ns + 4 * 3600 * NS_PER_S, end_ns))
            for key, (mean, spread) in hall.MEANS.items():
                value = f"{self._chance.normal(mean, spread):.2f}"
                await readings.take(key, value, HAND, comment="round of the shift")

    async def _check(self) -> None:
        """What somebody looked at and measured by hand every two hours of running; what failed was seen to a day later."""
        clock, running = ManualClock(self._start_ns), _Executions(self._runs)
        quality = Quality(self._engine, clock, running)
        await quality.begin(self._plant)
        for plan in hall.PLANS:
            given = Plan(plan["id"], plan["title"], plan["asset"], characteristics=characteristics_of(plan))
            await quality.save_plan(given, 0, SHIFT, hall.REASON)
        for at_ns in range(self._start_ns + CHECK_NS, self._end_ns, CHECK_NS):
            if not self._filler_runs(at_ns):
                continue
            if self._stopped():
                return
            clock.set_wall(at_ns)
            running.now_ns = at_ns
            for entered in self._found(at_ns):
                recorded = await quality.record(entered)
                if recorded.nonconformance and at_ns + DAY_NS < self._end_ns:
                    clock.set_wall(at_ns + DAY_NS)
                    await self._see_to(quality, recorded.nonconformance)
                    clock.set_wall(at_ns)

    def _found(self, at_ns: int) -> Iterator[Entered]:
        defects = int(self._chance.binomial(50, 0.008))
        fault = str(self._chance.choice(FAULTS)) if defects else ""
        yield Entered(key_of("filling", "look"), at_ns, defects=defects, size=50, fault=fault, by=SHIFT)
        worn = 0.05 if self._chance.random() < 0.01 else 0.0  # now and then a head is worn
        values = tuple(round(float(v), 2) for v in self._chance.normal(1.6 - worn, 0.03, 5))
        yield Entered(key_of("closing", "opening"), at_ns, values, by=SHIFT)

    async def _see_to(self, quality: Quality, number: int) -> None:
        one = await quality.nonconformance(number)
        said = {"cause": "Sorted and counted again", "disposition": "use as is", "state": CLOSED, "owner": SHIFT}
        await quality.change_nonconformance(number, one.version, said, SHIFT)

    def _filler_runs(self, at_ns: int) -> bool:
        record, at_s = self._past.record, at_ns // NS_PER_S
        for d, day in enumerate(record.days):
            if day.start_s <= at_s < day.start_s + day.length_s:
                return bool(record.grid["state"][(at_s - day.start_s) // fast.GRID_S, 0, d] == EXECUTE)
        return False

    # --- the shift log

    def _shifts(self) -> Iterator[tuple[int, int]]:
        """Begin and end of the shifts that are over. Units: UTC ns"""
        for day in self._past.record.days:
            if day.closed:
                continue
            day_end_s = day.start_s + day.length_s
            for turn in range(3):
                start_s = day.start_s + turn * SHIFT_S
                end_s = day_end_s if turn == 2 else min(start_s + SHIFT_S, day_end_s)  # the clock may change at night
                if start_s < end_s < self._past.end_s:
                    yield start_s * NS_PER_S, end_s * NS_PER_S

    async def _hand_over(self) -> None:
        """What one shift told the next."""
        clock = ManualClock(self._start_ns)
        log = ShiftLog(self._engine, clock)
        before: tuple[int, int] | None = None
        for start_ns, end_ns in self._shifts():
            if before is not None and before[1] == start_ns:
                clock.set_wall(start_ns + 5 * 60 * NS_PER_S)
                log.hand(LINE, NoteKind.TAKEOVER, *before, "", SHIFT)
            mine = [one for one in self._stands if start_ns <= one.start_ns < end_ns and not one.cleaning]
            for one in mine:
                if one.end_ns - one.start_ns >= LONG_NS and one.end_ns < end_ns:
                    clock.set_wall(one.end_ns)
                    minutes = (one.end_ns - one.start_ns) // (60 * NS_PER_S)
                    text = f"{self._text(one)}, {minutes} min. It runs again."
                    log.write(one.asset, NoteKind.MACHINE, text, SHIFT, time_ns=one.start_ns)
            clock.set_wall(end_ns)
            log.hand(LINE, NoteKind.HANDOVER, start_ns, end_ns, self._told(mine, start_ns, end_ns), SHIFT)
            before = (start_ns, end_ns)

    def _text(self, stand: Stand) -> str:
        return next((one.text for one in self._plant.reasons if one.key == reason_of(stand)), "It stood")

    def _told(self, mine: Sequence[Stand], start_ns: int, end_ns: int) -> str:
        names = [
            hall.PRODUCTS[list(hall.PRODUCTS)[r.recipe - 1]][0]
            for r in self._runs
            if r.end_ns > start_ns and r.start_ns < end_ns
        ]
        made = ", ".join(dict.fromkeys(names)) or "nothing"
        if not mine:
            return f"Ran {made}. No stop of more than two minutes."
        worst = max(mine, key=lambda one: one.end_ns - one.start_ns)
        machine = worst.asset.rpartition("/")[2]
        return f"Ran {made}. {len(mine)} stops of more than two minutes, the longest at the {machine}: {self._text(worst).lower()}."

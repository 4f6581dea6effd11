"""Lots and serial numbers: what comes, what goes, where it is, what it was made of and where it went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from isthmus.namespace.changes import Hand
from isthmus.ports.production import Holds
from isthmus.production.orders import lot_store, store
from isthmus.production.orders.model import OPEN, Happening, Link, Lot, Move, State, Tracking, check_ident
from isthmus.production.orders.quantity import ONE, shown
from isthmus.production.orders.records import Records
from isthmus.production.orders.stock import Taking, component_of, obstacle, take
from isthmus.values.clock import Clock
from isthmus.values.errors import ConfigError, Denied


class NothingHeld:
    """Where no quality room holds anything back."""

    async def held(self, lots: Sequence[str]) -> dict[str, str]:
        return {}


@dataclass(frozen=True, slots=True)
class Family:
    """Everything above or below a lot: (lot, distance), and what leads where."""

    lots: tuple[tuple[Lot, int], ...]
    links: tuple[Link, ...]
    complete: bool


MOST_FAMILY = 2000


class Lots:
    """Keeps lots."""

    def __init__(self, records: Records, clock: Clock, holds: Holds | None = None) -> None:
        self._records, self._clock = records, clock
        self.holds: Holds = holds or NothingHeld()

    # reading

    async def listed(
        self, *, product: str = "", order: str = "", search: str = "", stocked: bool = False, limit: int = 200
    ) -> list[Lot]:
        """Newest first."""
        return await self._records.do(
            lambda db: lot_store.lots(db, product=product, order=order, search=search, stocked=stocked, limit=limit)
        )

    async def get(self, ident: str) -> Lot:
        """One. Raises: LookupError"""
        found = await self._records.do(lambda db: lot_store.lot(db, ident))
        if found is None:
            raise LookupError(ident)
        return found

    async def moves(self, ident: str) -> list[Move]:
        """What came to a lot and left it, newest first."""
        return await self._records.do(lambda db: lot_store.moves(db, lot=ident))

    async def used(self, order: str) -> list[Move]:
        """What an order took and made, newest first."""
        return await self._records.do(lambda db: lot_store.moves(db, order=order))

    async def genealogy(self, ident: str, direction: str) -> Family:
        """``up``: what a lot was made of, down to the bought ones; ``down``: what was made of it.

        Raises: LookupError
        """

        def walk(db: Connection) -> Family:
            found = lot_store.reach(db, ident, direction, MOST_FAMILY + 1)
            names = [name for name, _ in found[:MOST_FAMILY]]
            known = lot_store.lots_of(db, names)
            pairs = tuple((known[name], far) for name, far in found[:MOST_FAMILY])
            return Family(pairs, tuple(lot_store.links(db, names)), len(found) <= MOST_FAMILY)

        family = await self._records.do(walk)
        if not family.lots:
            raise LookupError(ident)
        return family

    # changing

    async def receive(self, lot: Lot, amount: int, hand: Hand) -> Lot:
        """A lot that comes from outside, with what it holds.

        Raises: ConfigError; Denied (name_taken)
        """
        check_ident(lot.id, "id")
        now_ns = self._clock.now_ns()
        made = replace(lot, created_ns=now_ns, by=hand.name, order="")

        def receive(db: Connection) -> Lot:
            _check_new(db, made, amount)
            lot_store.add_lot(db, made)
            lot_store.add_move(db, Move(made.id, amount, "receipt", now_ns, hand.name))
            return replace(made, on_hand=amount)

        return await self._records.do(receive)

    async def serial(self, ident: str, order: str, hand: Hand, parts: Sequence[tuple[str, int]] = ()) -> Lot:
        """One piece an order made, by its serial number, with the lots and serial numbers that went into it.

        Raises: ConfigError; LookupError; Denied (name_taken, wrong_state, beyond_order, beyond_stock, lot_held …)
        """
        check_ident(ident, "id")
        now_ns = self._clock.now_ns()
        held = await self.holds.held([name for name, _ in parts])

        def make(db: Connection) -> Lot:
            found = store.order(db, order)
            product = store.product(db, found.product, found.version) if found else None
            if found is None or product is None:
                raise LookupError(order)
            if product.tracking is not Tracking.SERIAL:
                raise ConfigError(f"order: {product.id} has no serial numbers")
            if found.state in (State.PLANNED, State.CLOSED, State.CANCELLED):
                raise Denied(f"order {order} is {found.state}", "wrong_state")
            known = len(lot_store.lots(db, order=order, limit=1_000_000))
            if (known + 1) * ONE > found.most:
                raise Denied(f"order {order} is for {shown(found.most)}: it has as many serial numbers", "beyond_order")
            made = Lot(ident, product.id, 0, order, serial=True, created_ns=now_ns, by=hand.name)
            _check_new(db, made, ONE)
            lot_store.add_lot(db, made)
            lot_store.add_move(db, Move(ident, ONE, "produce", now_ns, hand.name, order))
            for name, amount in parts:
                one = _known(db, name)
                part = component_of(product, one.product, 0)
                taking = Taking(order, part.operation, ident, hand.name, now_ns)
                if no := obstacle(db, one, ident, held, now_ns):
                    raise no
                take(db, one, amount, taking)
            store.add_event(db, Happening(order, 0, "serial", now_ns, hand.name, {"lot": ident}))
            return replace(made, on_hand=ONE)

        return await self._records.do(make)

    async def consume(self, order: str, ident: str, amount: int, operation: int, hand: Hand, into: str = "") -> Move:
        """Somebody scanned a lot and takes of it for an order.

        Raises: LookupError; Denied (wrong_state, not_in_bill, beyond_stock, lot_held, lot_expired, lot_circle)
        """
        now_ns = self._clock.now_ns()
        held = await self.holds.held([ident])

        def consume(db: Connection) -> Move:
            found = store.order(db, order)
            product = store.product(db, found.product, found.version) if found else None
            if found is None or product is None:
                raise LookupError(order)
            lot = _known(db, ident)
            part = component_of(product, lot.product, operation)
            state = found.job(part.operation).state
            if state not in OPEN or state is State.PLANNED:
                raise Denied(f"operation {part.operation} of {order} is {state}: it takes no material", "wrong_state")
            target = into or found.lot
            if into and _known(db, into).order != order:
                raise Denied(f"{into} was not made by order {order}", "not_in_bill")
            if no := obstacle(db, lot, target, held, now_ns):
                raise no
            taking = Taking(order, part.operation, target, hand.name, now_ns)
            take(db, lot, amount, taking)
            detail = {"lot": ident, "material": lot.product, "quantity": shown(amount)}
            store.add_event(db, Happening(order, part.operation, "consume", now_ns, hand.name, detail))
            return lot_store.moves(db, lot=ident, limit=1)[0]

        return await self._records.do(consume)

    async def adjust(self, ident: str, counted: int, base: int, reason: str, hand: Hand) -> Lot:
        """Somebody counted what is there: ``counted`` in place of ``base``, what the record had.

        Raises: LookupError; Denied (stale_base, reason_needed)
        """
        if not reason.strip():
            raise Denied("say why the count of a lot is changed", "reason_needed")
        now_ns = self._clock.now_ns()

        def adjust(db: Connection) -> Lot:
            lot = _known(db, ident)
            if lot.on_hand != base:
                raise Denied(
                    f"lot {ident} has {shown(lot.on_hand)} on hand, not {shown(base)}: look again", "stale_base"
                )
            if counted != base:
                lot_store.add_move(db, Move(ident, counted - base, "adjust", now_ns, hand.name, reason=reason))
            return replace(lot, on_hand=counted)

        return await self._records.do(adjust)


def _known(db: Connection, ident: str) -> Lot:
    found = lot_store.lot(db, ident)
    if found is None:
        raise LookupError(ident)
    return found


def _check_new(db: Connection, lot: Lot, amount: int) -> None:
    if store.product(db, lot.product) is None:
        raise ConfigError(f"product: there is none of this number, was {lot.product!r}")
    if lot.serial and amount != ONE:
        raise ConfigError(f"quantity: a serial number is one piece, was {shown(amount)}")
    if lot_store.lot(db, lot.id) is not None:
        raise Denied(f"there is a lot {lot.id} already", "name_taken")

"""Readings that people take: a number within limits, in a unit, with so many decimals.

They are kept here and not as samples of a tag: a reading is exact, may be corrected with both values kept, and belongs to an
order; a sample is none of that. Charts and checks take them from here.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise

from sqlalchemy import Connection

from isthmus.namespace.changes import Hand
from isthmus.namespace.model import Plant
from isthmus.production.orders import lot_store as store
from isthmus.production.orders.model import Point, Reading, check_ident
from isthmus.production.orders.quantity import DECIMALS, quantity, shown
from isthmus.production.orders.records import Records
from isthmus.values.clock import NS_PER_S, Clock
from isthmus.values.errors import ConfigError, Denied

AHEAD_NS = 60 * NS_PER_S
"""What is read a minute in the future is the clock of a tablet; more is a mistake."""


class Readings:
    """Keeps points and what was read at them."""

    def __init__(self, records: Records, clock: Clock, plant: Callable[[], Plant]) -> None:
        self._records, self._clock, self._plant = records, clock, plant

    async def points(self) -> list[Point]:
        """All, by number."""
        return await self._records.do(store.points)

    async def save_point(self, one: Point) -> Point:
        """A new point, or what holds for new readings of one.

        Raises: ConfigError naming the key
        """
        check_ident(one.id, "id")
        if not 0 <= one.decimals <= DECIMALS:
            raise ConfigError(f"decimals: must be 0 to {DECIMALS}, was {one.decimals}")
        if one.asset and not any(asset.path == one.asset for asset in self._plant().assets):
            raise ConfigError(f"asset: the plant has no such asset, was {one.asset!r}")
        limits = [(name, at) for name in ("lowest", "low", "high", "highest") if (at := getattr(one, name)) is not None]
        for (under, low), (over, high) in pairwise(limits):
            if low > high:
                raise ConfigError(f"{over}: must not be less than {under}, was {shown(high)}")

        def save(db: Connection) -> None:
            store.save_point(db, one)

        await self._records.do(save)
        return one

    async def take(
        self,
        ident: str,
        given: Decimal | str,
        hand: Hand,
        *,
        at_ns: int | None = None,
        unit: str | None = None,
        order: str = "",
        comment: str = "",
        replaces: int = 0,
        may_correct: bool = True,
    ) -> Reading:
        """Take a reading, or (``replaces``) another in its place.

        Raises: LookupError; ConfigError where it is no such number; Denied (out_of_range, reason_needed, wrong_state)
        """
        now_ns = self._clock.now_ns()
        at_ns = now_ns if at_ns is None else at_ns
        if at_ns > now_ns + AHEAD_NS:
            raise ConfigError("at: lies in the future")

        def take(db: Connection) -> Reading:
            point = store.point(db, ident)
            if point is None:
                raise LookupError(ident)
            value, outside = judge(point, given, unit, comment)
            if replaces:
                _check_replaced(db, point, replaces, hand, comment, may_correct=may_correct)
            made = Reading(0, ident, at_ns, value, hand.name, now_ns, order, outside, comment, replaces)
            return store.add_reading(db, made)

        return await self._records.do(take)

    async def listed(
        self, point: str, start_ns: int, end_ns: int, *, order: str = "", every: bool = False, limit: int = 2000
    ) -> list[Reading]:
        """Over [start, end), newest first; ``every`` with those that were replaced."""
        return await self._records.do(
            lambda db: store.readings(db, point, start_ns, end_ns, order=order, every=every, limit=limit)
        )


def judge(point: Point, given: Decimal | str, unit: str | None, comment: str) -> tuple[int, str]:
    """The value in millionths, and whether it lies outside: "", low or high.

    Raises: ConfigError; Denied (out_of_range, reason_needed)
    """
    if unit is not None and unit != point.unit:
        raise ConfigError(f"unit: {point.id} is read in {point.unit or 'no unit'}, was {unit[:40]!r}")
    value = quantity(given, "value", least=None)
    if value % 10 ** (DECIMALS - point.decimals):
        raise ConfigError(f"value: {point.id} takes {point.decimals} decimals, was {shown(value)}")
    for limit, beyond in ((point.lowest, "less"), (point.highest, "more")):
        if limit is not None and (value < limit if beyond == "less" else value > limit):
            raise Denied(
                f"{shown(value)} {point.unit} is {beyond} than {point.id} can be ({shown(limit)} {point.unit})".strip(),
                "out_of_range",
            )
    low = point.low is not None and value < point.low
    outside = "low" if low else "high" if point.high is not None and value > point.high else ""
    if outside and not comment.strip():
        limit = point.low if low else point.high
        raise Denied(f"{shown(value)} is {outside} (limit {shown(limit or 0)}): say what was done", "reason_needed")
    return value, outside


def _check_replaced(db: Connection, point: Point, ident: int, hand: Hand, comment: str, *, may_correct: bool) -> None:
    before = store.reading(db, ident)
    if before is None or before.point != point.id:
        raise LookupError(f"reading {ident}")
    if store.replaced(db, ident):
        raise Denied(f"reading {ident} was replaced already", "wrong_state")
    if before.by != hand.name and not may_correct:
        raise Denied(f"reading {ident} is {before.by}'s; a supervisor corrects it", "not_yours")
    if not comment.strip():
        raise Denied("say why the reading is replaced", "reason_needed")

"""Products: their versions with routing, bill of material and work instructions. A version is never changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import Connection

from isthmus.namespace.changes import Hand
from isthmus.namespace.model import Plant
from isthmus.production.orders import lot_store, store
from isthmus.production.orders.model import Product, StepKind, check_product
from isthmus.production.orders.records import Records
from isthmus.values.clock import Clock
from isthmus.values.errors import ConfigError, Denied


class Products:
    """Keeps products."""

    def __init__(self, records: Records, clock: Clock, plant: Callable[[], Plant]) -> None:
        self._records, self._clock, self._plant = records, clock, plant

    async def listed(self, search: str = "", limit: int = 500) -> list[tuple[Product, int]]:
        """The newest version of each with what is on hand, by number."""

        def load(db: Connection) -> list[tuple[Product, int]]:
            stock = lot_store.on_hand(db)
            return [(one, stock.get(one.id, 0)) for one in store.products(db, search, limit)]

        return await self._records.do(load)

    async def get(self, ident: str, version: int = 0) -> Product:
        """One version; 0 is the newest. Raises: LookupError"""
        found = await self._records.do(lambda db: store.product(db, ident, version))
        if found is None:
            raise LookupError(ident)
        return found

    async def versions(self, ident: str) -> list[Product]:
        """All of one, newest first. Raises: LookupError"""
        found = await self._records.do(lambda db: store.product_versions(db, ident))
        if not found:
            raise LookupError(ident)
        return found

    async def save(self, given: Product, base: int, hand: Hand) -> Product:
        """A new product (``base`` 0), or the version after ``base``.

        Raises: ConfigError naming the place; Denied (name_taken, stale_base)
        """
        made = replace(given, by=hand.name, at_ns=self._clock.now_ns())
        assets = self._places()

        def save(db: Connection) -> Product:
            known = store.product(db, made.id)
            newest = known.version if known else 0
            if known and not base:
                raise Denied(f"there is a product {made.id} already: {known.name}", "name_taken")
            if newest != base:
                raise Denied(f"product {made.id} is at version {newest}, not at {base}: look at it again", "stale_base")
            check_product(made, assets, store.product_ids(db))
            _check_points(made, {one.id for one in lot_store.points(db)})
            next_one = replace(made, version=newest + 1)
            store.add_product(db, next_one)
            return next_one

        return await self._records.do(save)

    def _places(self) -> set[str]:
        plant = self._plant()
        return {asset.path for asset in plant.assets if asset.path} | {line.path for line in plant.lines}


def _check_points(product: Product, known: set[str]) -> None:
    for one in product.operations:
        for step in one.steps:
            if step.kind is StepKind.READING and step.point not in known:
                raise ConfigError(
                    f"operations.{one.number}.steps.{step.key}.point: no such reading, was {step.point!r}"
                )

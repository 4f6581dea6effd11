"""The parts of orders, put together."""

from __future__ import annotations

import logging
from collections.abc import Callable

from sqlalchemy import Engine

from isthmus.namespace.model import Plant
from isthmus.ports.production import Holds
from isthmus.production.orders import lot_store  # noqa: F401  its tables stand in the metadata of the store
from isthmus.production.orders.cost import Costs
from isthmus.production.orders.floor import Shop
from isthmus.production.orders.lots import Lots
from isthmus.production.orders.people import People
from isthmus.production.orders.products import Products
from isthmus.production.orders.readings import Readings
from isthmus.production.orders.records import Records
from isthmus.production.orders.service import Orders
from isthmus.production.orders.signing import Signing
from isthmus.values.clock import Clock


class OrderRoom:
    """Everything of orders that runs in core. ``orders`` is what quality takes as `Executions`."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        plant: Callable[[], Plant],
        pseudonym: Callable[[str], str],
        shop: Shop | None = None,
        log: logging.Logger | None = None,
    ) -> None:
        records = Records(engine)
        self.products = Products(records, clock, plant)
        self.lots = Lots(records, clock)
        self.people = People(records, clock)
        self.signing = Signing(records, clock, pseudonym)
        self.readings = Readings(records, clock, plant)
        self.orders = Orders(records, clock, plant, self.lots, shop, log)
        self.costs = Costs(records, clock, plant, shop)

    def attach(self, shop: Shop | None = None, holds: Holds | None = None) -> None:
        """Give it the machines' accounts, and what quality holds back; both are made after it."""
        if shop is not None:
            self.orders.shop = self.costs.shop = shop
        if holds is not None:
            self.lots.holds = holds

    async def open(self) -> None:
        """Take up what ran when an earlier core ended."""
        await self.orders.open()

    async def run(self) -> None:
        """Until cancelled."""
        await self.orders.run()

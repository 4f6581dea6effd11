"""Stops, calls for help and improvement actions in one piece, as core puts them together."""

from __future__ import annotations

import logging
from collections.abc import Callable

from sqlalchemy import Engine

from isthmus.namespace.model import Plant
from isthmus.production.model import Stop
from isthmus.production.stops.actions import ActionDesk
from isthmus.production.stops.cause import Cause
from isthmus.production.stops.coding import StopDesk
from isthmus.production.stops.facts import Facts
from isthmus.production.stops.model import HelpRequest
from isthmus.production.stops.requests import HelpDesk
from isthmus.values.clock import Clock
from isthmus.values.errors import ConfigError


class StopRoom:
    """``stops`` with their reasons, ``requests`` they became, ``actions`` against losses.

    ``changed`` is told when somebody called for help, or when a call was answered.
    """

    def __init__(
        self, engine: Engine, facts: Facts, plant: Callable[[], Plant], clock: Clock,
        changed: Callable[[], None] = lambda: None, log: logging.Logger | None = None,
    ) -> None:  # fmt: skip
        self.stops = StopDesk(facts, plant, clock)
        self.requests = HelpDesk(engine, plant, clock, changed, log)
        self.actions = ActionDesk(engine, facts, plant, clock)

    async def call(self, asset: str, kind: str, title: str, text: str, stop: str, by: str) -> tuple[HelpRequest, bool]:
        """A call for help at a machine, about the stop named, or about none: with its evidence. Whether it is a new one.

        Several calls of one kind at one machine, or about one stop, are one request while it is open.

        Raises: LookupError; ConfigError; Denied
        """
        about: Stop | None = None
        cause: Cause | None = None
        if stop:
            row = await self.stops.described(await self.stops.stop(stop))
            about, cause = row.stop, row.cause
            if about.asset != asset:
                raise ConfigError(f"asset: stop {stop[:200]} is of {about.asset}, was {asset[:200]!r}")
        evidence = self.requests.evidence(asset, text, about, cause)
        key = f"{kind}:{stop or asset}"
        return await self.requests.call(key, kind, title or text or f"{kind} at {asset}", evidence, by, stop)

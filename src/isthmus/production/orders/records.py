"""One transaction of the records, off the loop. SQLite takes one writer at a time, so what a piece of work saw holds while it writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from isthmus.values.errors import TryLater

T = TypeVar("T")


class Records:
    """Where orders, lots and readings are kept."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def do(self, work: Callable[[Connection], T]) -> T:
        """All of it or nothing; it is durable when this returns.

        Raises: whatever the work raises; TryLater where the records take nothing
        """
        return await asyncio.to_thread(self.do_here, work)

    def do_here(self, work: Callable[[Connection], T]) -> T:
        """The same in the thread of who asks; never on the loop. Raises: as ``do``"""
        try:
            with self._engine.begin() as db:
                return work(db)
        except SQLAlchemyError as error:
            raise TryLater(f"the records take nothing ({str(error.__cause__ or error)[:200]})", 5.0) from error

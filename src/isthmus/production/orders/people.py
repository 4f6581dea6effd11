"""Who works on what, and whether they were taught to."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from isthmus.production.orders import store
from isthmus.production.orders.model import OPEN, Labour, Order, Skill, State
from isthmus.production.orders.records import Records
from isthmus.values.clock import Clock
from isthmus.values.errors import ConfigError, Denied

MOST_SKILLS = 200


class People:
    """Keeps skills and time worked."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records, self._clock = records, clock

    async def skills(self) -> list[Skill]:
        """Of everybody, by person."""
        return await self._records.do(store.skills)

    async def set_skills(self, person: str, found: Sequence[Skill]) -> list[Skill]:
        """What somebody may do from now on, and nothing else.

        Raises: ConfigError
        """
        names = [one.skill for one in found]
        if len(set(names)) != len(names) or len(names) > MOST_SKILLS or not all(name.strip() for name in names):
            raise ConfigError(f"skills: each once and with a name, at most {MOST_SKILLS}")

        def save(db: Connection) -> list[Skill]:
            store.set_skills(db, person, found)
            return store.skills(db, person)

        return await self._records.do(save)

    async def begin(self, order: Order, operation: int, asset: str, person: str, wanted: Sequence[str]) -> Labour:
        """Somebody works on an operation from now on.

        Raises: Denied (skill_missing, wrong_state, busy_elsewhere)
        """
        now_ns = self._clock.now_ns()

        def begin(db: Connection) -> Labour:
            if order.job(operation).state not in OPEN or order.state is State.PLANNED:
                raise Denied(f"operation {operation} of {order.id} is {order.job(operation).state}", "wrong_state")
            check_skills(db, person, wanted, now_ns)
            for one in store.labour(db, person=person, open_only=True):
                raise Denied(
                    f"{person} works on operation {one.operation} of order {one.order}; end that first",
                    "busy_elsewhere",
                )
            return store.add_labour(db, Labour(0, order.id, operation, asset, person, now_ns))

        return await self._records.do(begin)

    async def end(self, order: str, person: str) -> Labour:
        """Somebody is done.

        Raises: Denied (wrong_state) where they did not work on it
        """
        now_ns = self._clock.now_ns()

        def end(db: Connection) -> Labour:
            found = store.labour(db, order=order, person=person, open_only=True)
            if not found:
                raise Denied(f"{person} does not work on order {order}", "wrong_state")
            store.end_labour(db, found[0].id, now_ns)
            return Labour(found[0].id, order, found[0].operation, found[0].asset, person, found[0].start_ns, now_ns)

        return await self._records.do(end)


def check_skills(db: Connection, person: str, wanted: Sequence[str], now_ns: int) -> None:
    """Whether somebody may work on it.

    Raises: Denied (skill_missing) naming what is missing or ran out
    """
    known = {one.skill: one.until_ns for one in store.skills(db, person)}
    missing = [name for name in wanted if name not in known]
    ended = [name for name in wanted if name in known and (until := known[name]) is not None and until <= now_ns]
    if missing or ended:
        parts = [f"was not taught {', '.join(missing)}"] * bool(missing)
        parts += [f"{', '.join(ended)} has run out"] * bool(ended)
        raise Denied(f"{person}: {'; '.join(parts)}", "skill_missing")


def end_all(db: Connection, order: str, now_ns: int, operation: int = 0) -> None:
    """Nobody works any more on what is completed."""
    for one in store.labour(db, order=order, open_only=True):
        if operation in (0, one.operation):
            store.end_labour(db, one.id, now_ns)

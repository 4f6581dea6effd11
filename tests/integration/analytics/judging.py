"""A core's rules in a process of their own, to be killed: judging.py RECORDS ADDRESS."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

from isthmus.analytics import store
from isthmus.analytics.service import Rules
from isthmus.app.pumps import RulePump
from isthmus.app.records import open_records
from isthmus.bus.broker import BusAddress
from isthmus.bus.client import Bus
from isthmus.namespace.model import Plant, Rule, RuleInstance, Tag
from isthmus.values.clock import ManualClock
from isthmus.values.sample import ValueType

S = 1_000_000_000
T0 = 1_700_000_000


def plant() -> Plant:
    """Two ovens, each hot by its value and warm by its mean."""
    tags = {10 + n: Tag(10 + n, f"a{n}/temp", f"a{n}", "temp", "value", ValueType.FLOAT, edge="edge-1") for n in (0, 1)}
    mean = "mean(temp, 10 s)"
    rules = (
        (Rule("hot", "oven", "temp > 80", 3.0), tuple(RuleInstance(f"a{n}", "edge-1", {"temp": 10 + n}) for n in (0, 1))),
        (Rule("warm", "oven", f"{{{mean}}} > 60", 2.0), tuple(RuleInstance(f"a{n}", "edge-1", {mean: 10 + n}) for n in (0, 1))),
    )  # fmt: skip
    return Plant(1, "acme", "lyon", "UTC", tags=tuple(tags.values()), by_id=tags, rules=rules)


def open_rules(records: Path) -> Rules:
    engine = open_records(records)
    store.metadata.create_all(engine)
    return Rules(engine, ManualClock(T0 * S))


async def main(records: Path, address: Path) -> None:
    bus = Bus(BusAddress.load(address), logging.getLogger("judging"))
    await bus.connect()
    await RulePump(bus, open_rules(records), plant, logging.getLogger("judging")).run()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))

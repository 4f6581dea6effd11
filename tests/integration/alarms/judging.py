"""A core's alarms in a process of their own, to be killed: judging.py RECORDS ADDRESS."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

from isthmus.alarms import service, store
from isthmus.alarms.service import Alarms
from isthmus.app.alarms import AlarmPump
from isthmus.app.records import open_records
from isthmus.bus.broker import BusAddress
from isthmus.bus.client import Bus
from isthmus.namespace.live import LiveTable
from isthmus.namespace.model import Alarm, AlarmSpec, Plant, Tag
from isthmus.values.clock import Clock, SystemClock
from isthmus.values.sample import ValueType

S = 1_000_000_000


def plant() -> Plant:
    """Two tags, each with a limit, one with a delay, and an expression that reads both alarms."""
    tags = {10 + n: Tag(10 + n, f"a{n}/t", f"a{n}", "t", "value", ValueType.FLOAT, edge="edge-1") for n in (0, 1)}
    high = AlarmSpec("high", "high", limit=80.0, deadband=5.0)
    slow = AlarmSpec("high", "high", limit=80.0, on_delay_s=3.0, off_delay_s=2.0)
    both = AlarmSpec("both", "expression", when="{x} and {y}")
    alarms = (
        Alarm("#both", "", "", "", "edge-1", both, inputs={"x": "a0/t#high", "y": "a1/t#high"}),
        Alarm("a0/t#high", "a0/t", "a0", "", "edge-1", high, 10),
        Alarm("a1/t#high", "a1/t", "a1", "", "edge-1", slow, 11),
    )
    by_path = {t.path: t for t in tags.values()}
    return Plant(1, "acme", "lyon", "UTC", tags=tuple(tags.values()), by_path=by_path, by_id=tags, alarms=alarms)


def open_alarms(records: Path, clock: Clock) -> Alarms:
    engine = open_records(records)
    store.metadata.create_all(engine)
    return Alarms(engine, clock)


async def main(records: Path, address: Path) -> None:
    service.MARK_S = 0.2  # type: ignore[misc]  # many marks in a short life
    bus = Bus(BusAddress.load(address), logging.getLogger("judging"))
    await bus.connect()
    alarms = open_alarms(records, SystemClock())
    await AlarmPump(bus, alarms, plant, LiveTable(), logging.getLogger("judging")).run()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))

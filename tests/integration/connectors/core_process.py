"""The deliveries of a core in a process of its own, to be killed: `core_process.py FOLDER ADDRESS URL`."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from conftest import connector, plant_of
from isthmus.app.delivery import Deliveries
from isthmus.app.delivery_store import DeliveryStore
from isthmus.app.records import open_records
from isthmus.bus.broker import BusAddress
from isthmus.bus.client import Bus
from isthmus.ports.connectors import ConnectorContext, connector_spec
from isthmus.values.clock import SystemClock


async def main(folder: Path, address: Path, url: str) -> None:
    log = logging.getLogger("core")
    bus = Bus(BusAddress.load(address), log)
    await bus.connect()
    engine = open_records(folder / "records.db")
    deliveries = Deliveries(
        bus, DeliveryStore(engine), SystemClock(), connector_spec, lambda *_: ConnectorContext(SystemClock()), log
    )
    deliveries.apply(plant_of(connector(url, rows=70)))
    sys.stdout.write("runs\n")
    sys.stdout.flush()
    await deliveries.run()


asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))

"""A whole Isthmus: a command from core's place on the bus reaches the device and comes back, and the journal can be asked for."""

from __future__ import annotations

import asyncio
import logging

import orjson
import pytest

from isthmus.bench.control import Core, device, plant_yaml
from isthmus.bench.system import System
from isthmus.bus import subjects
from isthmus.bus.broker import BrokerFiles, BusAddress
from isthmus.bus.client import Bus


@pytest.mark.mission("M34")
@pytest.mark.real("nats-server", "simulators.modbus")
async def test_a_command_reaches_the_device_and_the_journal_is_asked_for(tmp_path) -> None:
    async with device() as port, System(tmp_path / "data") as system:
        version = await asyncio.to_thread(system.apply, plant_yaml(port))
        known = (await asyncio.to_thread(system.get, "tags?under=hall/machine&limit=500"))["tags"]
        ids = {t["path"].rpartition("/")[2]: t["id"] for t in known}
        bus = Bus(BusAddress.load(BrokerFiles(system.folder / "bus").address_file("core")), logging.getLogger("test"))
        await bus.connect()
        try:
            core = Core(bus, version)
            await core.until_permitted(ids["s0"])
            answers = await asyncio.gather(*(core.write(ids[f"s{i}"], 100 + i) for i in range(5)))
            assert [(a["result"], a["read_back"]) for a in answers] == [("done", 100 + i) for i in range(5)]
            halt = orjson.dumps({"modes": {"site": "halted"}})
            for _ in range(20):  # the real core, which knows nothing of it, may bring its own modes in between
                told = await bus.request(subjects.command("bench", "edge-1", "mode"), halt, 10)
                assert orjson.loads(told.data)["ok"] is True
                if (await core.write(ids["s0"], 7))["code"] == "halted":
                    break
            else:
                pytest.fail("a halted zone lets commands pass")
            asked = await bus.request(subjects.ask("edge-1", "journal"), b'{"after": 0}', 10)
            found = orjson.loads(asked.data)
            sent = [line["value"] for line in found["lines"] if line.get("state") == "sent"]
            assert [value for value in sent if value >= 100][-5:] == [a["read_back"] for a in answers]
            assert found["newest"] == found["lines"][-1]["n"]
            heartbeats: asyncio.Queue[int] = asyncio.Queue(10)

            async def heard(_: str, data: bytes) -> None:
                heartbeats.put_nowait(orjson.loads(data)["journal"])

            end = await bus.listen(subjects.HEARTBEAT_FILTER, heard)
            assert await asyncio.wait_for(heartbeats.get(), 60) >= found["newest"]
            await end()
        finally:
            await bus.close()

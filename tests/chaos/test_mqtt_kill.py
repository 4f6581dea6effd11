"""kill -9 of the edge while messages of QoS 1 have reached it and not yet the bus: the broker sends them again, with their own time."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from isthmus.app.datadir import DataDir
from isthmus.bench.crash import settled
from isthmus.bench.system import System
from isthmus.bus.field import Devices, ListenerAddress

pytestmark = [pytest.mark.mission("M38", "M47"), pytest.mark.real("nats-server", "chdb", "paho-mqtt")]
PLANT = """
plant: {enterprise: acme, site: hall, timezone: UTC}
connections:
  field: {driver: mqtt}
types:
  counter:
    tags:
      n: {deadband: every, at: "hall/door $.n int time=$.t:ms"}
assets:
  door: {type: counter, source: field}
"""
KILLS = 3
EACH = 400
HISTORY = "history?tag=door/n&start=now-1h&end=now&shape=raw"


def recorded(system: System) -> int:
    """Samples with a value in the record."""
    body = system.get(HISTORY)
    return sum(row[body["columns"].index("value")] is not None for row in body["rows"])


class Door:
    """A device that counts; each message has its own millisecond."""

    def __init__(self, port: int, password: str) -> None:
        self.began_ms = int(time.time() * 1000)
        self.said = 0
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, "door", reconnect_on_failure=False)
        self._client.username_pw_set("door", password)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def say(self, count: int) -> None:
        """So many messages, all confirmed by the listener."""
        infos = []
        for _ in range(count):
            text = f'{{"n":{self.said},"t":{self.began_ms + self.said}}}'
            infos.append(self._client.publish("hall/door", text, 1))
            self.said += 1
        for info in infos:
            info.wait_for_publish(20)
            assert info.is_published()

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        self._client._reset_sockets()  # paho closes its own socket pair only when it is collected


@pytest.mark.timeout(120)
async def test_an_edge_killed_between_arrival_and_bus_loses_and_doubles_nothing(tmp_path: Path, until) -> None:
    folder = tmp_path / "data"
    data = DataDir(folder)
    data.prepare()
    (folder / "isthmus.toml").write_text('[mqtt]\nlisten = "127.0.0.1:0"\n')
    password = Devices(data.bus).add("door", ["hall/door"], [])
    async with System(folder) as system:
        await asyncio.to_thread(system.apply, PLANT)
        await until(lambda: system.get("tags?under=door")["tags"], "the plant is there")
        door = await asyncio.to_thread(Door, ListenerAddress.load(data.bus.listener).port, password)
        try:
            await until(lambda: door.say(1) or recorded(system), "the edge listens, and from then on has a session", 30)
            await settled(system)
            first = door.said - await asyncio.to_thread(recorded, system)
            for _ in range(KILLS):
                bus, edge = (system.processes()[name] for name in ("nats-server", "edge-1"))
                bus.suspend()  # what arrives now cannot leave the edge
                await asyncio.to_thread(door.say, EACH)
                edge.kill()
                bus.resume()
                await asyncio.to_thread(door.say, EACH)
                await until(lambda: recorded(system) >= door.said - first, "every message is recorded", 30)
            await settled(system)
        finally:
            await asyncio.to_thread(door.stop)
        body = await asyncio.to_thread(system.get, HISTORY)
        value = body["columns"].index("value")
        said = [row for row in body["rows"] if row[value] is not None]  # the others tell that the edge had gone
        assert sorted(int(row[value]) for row in said) == list(range(first, door.said))
        assert {row[body["columns"].index("status")] for row in said} == {0}

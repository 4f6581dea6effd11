"""The Sparkplug driver against real brokers; the edge node speaks through paho."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from isthmus.drivers.sparkplug import payload as sparkplug
from isthmus.ports.drivers import Kept, Point
from isthmus.simulators.sparkplug import EdgeNode
from isthmus.values import status

pytestmark = [pytest.mark.mission("M42"), pytest.mark.real("nats-server", "mosquitto", "paho-mqtt")]
METRICS = {"": {"uptime": (sparkplug.UINT64, 1)}, "motor 1": {"speed": (sparkplug.DOUBLE, 1.5)}}
SPEED, UPTIME = 'plant/press 1/"motor 1":speed', "plant/press 1:uptime int"


class Heard:
    def __init__(self, driver: Any) -> None:
        self.driver, self.rows, self.kept = driver, [], []
        self._addresses = [SPEED, UPTIME]

    async def __aenter__(self) -> Heard:
        await self.driver.open()
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.driver.close()

    async def _read(self) -> None:
        async for batches in self.driver.stream([Point(i, a) for i, a in enumerate(self._addresses)]):
            for batch in batches:
                for row, value, code in zip(
                    batch.id.tolist(), batch.value.tolist(), batch.status.tolist(), strict=True
                ):
                    into = self.kept if isinstance(batches, Kept) else self.rows
                    into.append((self._addresses[row], None if code >= status.BAD else value, code))

    async def until(self, wanted: Any) -> None:
        async with asyncio.timeout(60):
            while not wanted(self):
                await asyncio.sleep(0.02)


def newest(heard: Heard) -> dict[str, Any]:
    return {address: value for address, value, _ in heard.rows}


async def test_births_data_deaths_and_what_was_kept(place) -> None:
    watcher = await place.publisher()
    watcher.client.subscribe("spBv1.0/STATE/+", 1)
    while not watcher.said_no:
        await asyncio.sleep(0.02)
    user = password = ""
    if place.devices is not None:
        user = "press"
        password = await asyncio.to_thread(place.devices.add, user, ["spBv1.0/#"], ["spBv1.0/#"])
    node = EdgeNode(place.port, "plant", "press 1", METRICS, user=user, password=password)
    node.start()
    async with Heard(place.driver("sparkplug", host_id="host")) as heard:
        try:
            await heard.until(lambda h: newest(h) == {SPEED: 1.5, UPTIME: 1})
            node.say("motor 1", {"speed": 2.5})
            await heard.until(lambda h: newest(h)[SPEED] == 2.5)
            node.say("motor 1", {"speed": 0.5}, historical=True, time_ms=1_700_000_000_000)
            await heard.until(lambda h: h.kept == [(SPEED, 0.5, status.GOOD)])
            node.die("motor 1")
            await heard.until(lambda h: newest(h) == {SPEED: None, UPTIME: 1})
            node.be_born()
            await heard.until(lambda h: newest(h) == {SPEED: 2.5, UPTIME: 1})
            assert {f.name for f in await heard.driver.browse()} >= {"speed", "uptime"}
        finally:
            node.stop(orderly=False)  # its will is its death
        await heard.until(lambda h: newest(h) == {SPEED: None, UPTIME: None})
        assert heard.rows[-1][2] == status.BAD_NO_COMMUNICATION

    def said() -> list[bool]:
        return [json.loads(p)["online"] for t, p, _ in list(watcher.heard) if t.endswith("/host")]

    async with asyncio.timeout(60):
        while said()[-1:] != [False]:
            await asyncio.sleep(0.02)
    assert said()[0] is True

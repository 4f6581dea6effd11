"""The MQTT driver against real brokers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from isthmus.ports.drivers import Point
from isthmus.values import status
from isthmus.values.errors import NotConnected
from isthmus.values.status import is_bad

pytestmark = [pytest.mark.mission("M38", "M42"), pytest.mark.real("nats-server", "mosquitto", "paho-mqtt")]


class Reader:
    """Reads a stream in a task, row by row; confirms each yield at once unless told not to."""

    def __init__(self, driver: Any, *addresses: str, confirm: bool = True) -> None:
        self.driver, self.confirm = driver, confirm
        self.points = [Point(i, a) for i, a in enumerate(addresses)]
        self.rows: list[tuple[str, Any, int]] = []
        self.times: list[int] = []
        self.yields = 0
        self.error: Exception | None = None
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Reader:
        await self.driver.open()
        stands, subscribe = asyncio.Event(), self.driver._subscribe

        async def subscribed(*asked: Any) -> Any:
            try:
                return await subscribe(*asked)
            finally:
                stands.set()

        self.driver._subscribe = subscribed
        self._task = asyncio.create_task(self._read())
        async with asyncio.timeout(60):
            await stands.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self.driver.close()

    async def _read(self) -> None:
        stream = self.driver.stream(self.points)
        try:
            async for batches in stream:
                self.yields += 1
                for batch in batches:
                    bad = is_bad(batch.status)
                    for i, value in enumerate(batch.value.tolist()):
                        shown = batch.text[value] if batch.type == "text" else value
                        address = self.points[int(batch.id[i])].address
                        self.rows.append((address, None if bad[i] else shown, int(batch.status[i])))
                        self.times.append(int(batch.time_ns[i]))
                if self.confirm:
                    self.driver.delivered(self.yields, whole=True)
                self._changed.set()
        except NotConnected as error:
            self.error = error
        finally:
            await stream.aclose()
            self._changed.set()

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(60):
            while not condition(self):
                self._changed.clear()
                await self._changed.wait()

    def values(self, address: str) -> list[Any]:
        return [value for a, value, _ in self.rows if a == address]


async def test_json_plain_text_and_topics_with_blanks_and_utf8(place) -> None:
    says = await place.publisher()
    addresses = (
        "plant/press/state $.temp",
        "plant/press/state $.count int",
        "plant/press/state $.open bool",
        "plant/press/state values[1].v",
        'plant/press/state $."a.b" text',
        "'plant/Halle 1/Tür %3' float",
        "plant/+/level int",
        "plant/raw raw",
    )
    async with Reader(place.driver(), *addresses) as reader:
        document = '{"temp": 21.5, "count": 7, "open": true, "values": [{"v": 1}, {"v": 2.5}], "a.b": "grün"}'
        await says.say("plant/press/state", document)
        await says.say("plant/Halle 1/Tür %3", "-3.25", 0)
        await says.say("plant/tank.7/level", "42", 2)
        await says.say("plant/raw", "{not json")
        await reader.until(lambda r: len(r.rows) >= 8)
        expected = [21.5, 7, 1, 2.5, "grün", -3.25, 42, "{not json"]
        assert [reader.values(a) for a in addresses] == [[v] for v in expected]
        assert reader.driver.traffic.errors == 0


async def test_a_retained_message_is_an_initial_value(place) -> None:
    says = await place.publisher()
    await says.say("plant/door", "5", retain=True)
    async with Reader(place.driver(), "plant/door int") as reader:
        await reader.until(lambda r: r.rows)
        assert reader.rows == [("plant/door int", 5, status.UNCERTAIN_INITIAL_VALUE)]
        await says.say("plant/door", "6", retain=True)
        await reader.until(lambda r: len(r.rows) > 1)
        assert reader.rows[1] == ("plant/door int", 6, status.GOOD)


@pytest.mark.mission("M47")
@pytest.mark.parametrize("qos", [1, 2])
async def test_what_was_not_confirmed_comes_again_and_what_was_does_not(place, qos) -> None:
    says = await place.publisher()
    async with Reader(place.driver(qos=qos), "plant/n int", confirm=False) as reader:
        await says.say("plant/n", "1", qos)
        await reader.until(lambda r: r.rows)
        reader.driver.delivered(reader.yields, whole=True)
        await asyncio.sleep(0.1)
        for n in (2, 3):
            await says.say("plant/n", str(n), qos)
        await reader.until(lambda r: len(r.rows) == 3)
    await says.say("plant/n", "4", qos)
    async with Reader(place.driver(qos=qos), "plant/n int") as again:
        await again.until(lambda r: len(set(r.values("plant/n int"))) >= 3)
        assert sorted(again.values("plant/n int")) == [2, 3, 4]


async def test_samples_that_were_lost_on_the_way_are_asked_for_again(place) -> None:
    says = await place.publisher()
    async with Reader(place.driver(), "plant/n int", confirm=False) as reader:
        await says.say("plant/n", "1")
        await reader.until(lambda r: r.rows)
        reader.driver.delivered(reader.yields, whole=False)
        await reader.until(lambda r: r.error is not None)
        assert "asked for them again" in str(reader.error)
    async with Reader(place.driver(), "plant/n int") as again:
        await again.until(lambda r: r.values("plant/n int") == [1])


async def test_messages_that_came_while_we_were_away_are_delivered(place) -> None:
    says = await place.publisher()
    async with Reader(place.driver(), "plant/n int"):
        pass
    for n in range(50):
        await says.say("plant/n", str(n))
    async with Reader(place.driver(), "plant/n int") as reader:
        await reader.until(lambda r: len(r.rows) >= 50)
        assert reader.values("plant/n int") == list(range(50))


async def test_a_test_read_leaves_nothing_behind_and_pushes_nobody_aside(place) -> None:
    async with Reader(place.driver(), "plant/n int") as reader:
        steps = await place.driver().probe()
        assert [reached for _, reached, _ in steps] == [True]
        says = await place.publisher()
        await says.say("plant/n", "1")
        await reader.until(lambda r: r.rows)


async def test_a_tag_that_stays_silent_turns_bad_and_heals(place) -> None:
    says = await place.publisher()
    address = "plant/n int age=0.2s"
    async with Reader(place.driver(), address, "plant/m int") as reader:
        await reader.until(lambda r: r.rows)
        assert reader.rows == [(address, None, status.BAD_TIMEOUT)]
        await says.say("plant/n", "1")
        await reader.until(lambda r: len(r.rows) >= 3)
        assert [row[1] for row in reader.rows] == [None, 1, None]


async def test_a_broker_that_dies_is_told_in_words(run_mosquitto) -> None:
    async with run_mosquitto() as place:
        driver = place.driver()
        async with Reader(driver, "plant/n") as reader:
            place.broker.kill()
            await place.broker.wait()
            await reader.until(lambda r: r.error is not None)
            assert "closed the connection" in str(reader.error)
        with pytest.raises(NotConnected, match="refused"):
            await driver.open()


async def test_a_wrong_password_and_a_wrong_version_are_told_in_words(run_mosquitto, listener, tmp_path) -> None:
    async with run_mosquitto("allow_anonymous false") as place:
        for version in ("3.1.1", "5"):
            with pytest.raises(NotConnected, match=r"not authorised|wrong"):
                await place.driver(version=version).open()
            steps = await place.driver(version=version).probe()
            assert steps[-1][1] is False
    driver = listener.driver(broker=f"127.0.0.1:{listener.port}", version="5")
    with pytest.raises(NotConnected):
        await driver.open()

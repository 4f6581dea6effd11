"""What every driver promises, whatever it can do; and what an edge makes of it through the real supervisor."""

from __future__ import annotations

import asyncio
import logging
from random import Random
from typing import Any

import pytest

from isthmus.acquisition.model import Link
from isthmus.acquisition.schedule import plan_connections
from isthmus.acquisition.supervisor import Supervisor
from isthmus.values import status
from isthmus.values.clock import SystemClock
from isthmus.values.errors import ConfigError, NotConnected
from isthmus.values.model import ConnectionModel, EdgeModel, TagColumns

pytestmark = pytest.mark.mission("M37", "M44")

PERIOD_S = 0.2


def test_every_waiver_is_about_a_promise_and_has_a_reason(kinds, promises) -> None:
    for kind in kinds:
        waivers = getattr(kind.rig, "waivers", {})
        assert set(waivers) <= promises, kind.label
        assert all(reason.strip() for reason in waivers.values()), kind.label


async def test_an_address_that_is_none_is_a_config_error(bench) -> None:
    for address in ("", "no such address at all", "\0", "ä" * 500):
        with pytest.raises(ConfigError):
            bench.spec.parse_address(address)


async def test_a_setting_nobody_knows_is_a_config_error(bench) -> None:
    with pytest.raises(ConfigError, match="no_such_setting"):
        bench.spec.configure(bench.settings() | {"no_such_setting": 1})


async def test_building_touches_no_network(bench) -> None:
    settings = bench.settings()
    await bench.rig.stop()
    driver = bench.build()
    assert settings == bench.settings(), "a rig that stopped must come back at the same place"
    assert driver.traffic.requests == driver.traffic.sent_bytes == 0
    await driver.close()


async def test_opens_once_somebody_is_there(bench) -> None:
    await bench.rig.stop()
    driver = bench.build()
    for _ in range(2):
        with pytest.raises(NotConnected) as raised:
            await driver.open()
        assert str(raised.value)
        assert driver.traffic.last_error == str(raised.value)
    await bench.rig.start()
    await driver.open()


async def test_close_is_safe_at_any_time(bench) -> None:
    driver = bench.build()
    await driver.close()
    await driver.close()
    await driver.open()
    await driver.close()
    await driver.close()
    opening = asyncio.ensure_future(driver.open())
    await asyncio.sleep(0)
    await driver.close()
    with pytest.raises(NotConnected):
        await opening
    await driver.open()


async def test_an_open_that_is_cancelled_leaves_nothing_behind(bench) -> None:
    driver = bench.build()
    for turns in range(12):
        opening = asyncio.ensure_future(driver.open())
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
    bench.rig.say(lambda _: b"")
    opening = asyncio.ensure_future(driver.open())
    await asyncio.wait({opening}, timeout=0.05)
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    bench.rig.say(None)
    await bench.rig.cut()
    await driver.open()


class Watched:
    """A driver under the real supervisor: the newest value (None: bad) of each of its tags, and its state."""

    def __init__(self, bench: Any, timeout_s: float) -> None:
        addresses = list(bench.truth)
        n = len(addresses)
        tags = TagColumns(
            id=list(range(n)),
            path=[f"tag{i}" for i in range(n)],
            type=[str(bench.spec.parse_address(a).type) for a in addresses],
            connection=["device"] * n,
            address=addresses,
            period_s=[PERIOD_S] * n,
            factor=[1.0] * n,
            offset=[0.0] * n,
            low=[None] * n,
            high=[None] * n,
            deadband=[0.0] * n,
            deadband_percent=[0.0] * n,
            max_gap_s=[600.0] * n,
            resolution_ns=[1_000_000] * n,
        )
        connection = ConnectionModel("device", bench.spec.name, bench.settings(timeout_s))
        model = EdgeModel(1, "acme", "lyon", "edge-1", (connection,), tags)
        self._addresses = addresses
        self.newest: dict[str, Any] = {}
        self.state, self.reason = Link.CONNECTING, ""
        self._more = asyncio.Event()
        self.supervisor = Supervisor(
            plan_connections(model)["device"],
            lambda _: bench.spec,
            bench.context,
            SystemClock(),
            Random(1),
            logging.getLogger("conformance"),
            self._sent,
            self._turned,
            lambda done: done(True),
            self._sent,
        )

    def _sent(self, batches: Any) -> None:
        for batch in batches:
            bad = status.is_bad(batch.status)
            for i, value in enumerate(batch.value.tolist()):
                shown = batch.text[value] if batch.type == "text" and not bad[i] else value
                self.newest[self._addresses[int(batch.id[i])]] = None if bad[i] else shown
        self._more.set()

    def _turned(self, name: str, state: Link, reason: str) -> None:
        self.state, self.reason = state, reason
        self._more.set()

    async def until(self, state: Link, newest: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(20):
                while self.state is not state or self.newest != newest:
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            pytest.fail(f"wanted {state} and {newest}, is {self.state} ({self.reason}) and {self.newest}")


async def test_tags_turn_bad_when_the_device_is_gone_and_good_when_it_is_back(bench) -> None:
    watched = Watched(bench, timeout_s=5.0)
    watched.supervisor.start()
    try:
        await watched.until(Link.GOOD, bench.truth)
        await bench.rig.stop()
        await watched.until(Link.BAD, dict.fromkeys(bench.truth))
        assert watched.reason
        await bench.rig.start()
        await watched.until(Link.GOOD, bench.truth)
    finally:
        await watched.supervisor.stop("the test is over")


async def test_tags_turn_bad_when_the_device_is_silent(bench) -> None:
    watched = Watched(bench, timeout_s=max(bench.last_seen_s, PERIOD_S))
    watched.supervisor.start()
    try:
        await watched.until(Link.GOOD, bench.truth)
        bench.rig.say(lambda _: b"")
        await watched.until(Link.BAD, dict.fromkeys(bench.truth))
        bench.rig.say(None)
        await bench.rig.cut()
        await watched.until(Link.GOOD, bench.truth)
    finally:
        await watched.supervisor.stop("the test is over")

"""What every polling driver promises (ports/drivers.py), whatever its protocol."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
import pytest

from isthmus.ports.drivers import Point, Polls
from isthmus.values import status
from isthmus.values.errors import NotConnected
from isthmus.values.model import Budget
from isthmus.values.sample import DTYPES

pytestmark = pytest.mark.mission("M40", "M37")


def points_of(bench: Any, start: int = 1000) -> list[Point]:
    return bench.points(start)


def rows(points: list[Point], batches: Any) -> dict[str, Any]:
    """Value by address, with every promise about the shape checked; None where the status is bad."""
    address = {p.id: p.address for p in points}
    assert len({b.type for b in batches}) == len(batches)
    found = {}
    for batch in batches:
        assert batch.id.dtype == np.int32
        assert batch.time_ns.dtype == np.int64
        assert batch.status.dtype == np.uint32
        assert batch.value.dtype == DTYPES[batch.type]
        assert len(batch.id) == len(batch.time_ns) == len(batch.value) == len(batch.status)
        for i, value in enumerate(batch.value.tolist()):
            shown = batch.text[value] if batch.type == "text" else value
            found[address[int(batch.id[i])]] = None if status.is_bad(batch.status)[i] else shown
    assert sorted(int(i) for b in batches for i in b.id) == sorted(address)
    assert len({int(t) for b in batches for t in b.time_ns}) == 1
    return found


async def reads_the_truth(bench: Any, driver: Any, points: list[Point] | None = None) -> None:
    points = points or points_of(bench)
    assert rows(points, await driver.read(points)) == bench.rig.truth


async def read_until_lost(driver: Any, points: list[Point], until_then: set[Any] | None = None) -> None:
    """Up to three reads: the loss may be on its way while the first is answered."""
    for _ in range(3):
        found = rows(points, await driver.read(points))
        assert until_then is None or set(found.values()) == until_then
        await asyncio.sleep(0.01)


async def never_good_and_wrong(bench: Any, driver: Any, points: list[Point]) -> None:
    """A read under a lie: rows may be bad, the link may be gone, a good value is a true one."""
    try:
        found = rows(points, await driver.read(points))
    except NotConnected:
        return
    assert all(value is None or value == bench.rig.truth[address] for address, value in found.items())


async def test_reads_all_it_was_asked_for_again_and_again(bench) -> None:
    driver = bench.build()
    await driver.open()
    points = points_of(bench)
    before = bench.asked
    times = set()
    for _ in range(3):
        batches = await driver.read(points)
        assert rows(points, batches) == bench.rig.truth
        times.add(int(batches[0].time_ns[0]))
    assert len(times) == 3
    if before is not None:
        assert driver.traffic.requests == bench.asked - before
    assert driver.traffic.errors == driver.traffic.dropped == 0
    assert driver.traffic.sent_bytes > 0
    assert driver.traffic.received_bytes > 0
    assert 0 < driver.traffic.slowest_s < 5


async def test_every_address_of_the_truth_parses_to_the_type_it_comes_in(bench) -> None:
    driver = bench.build()
    await driver.open()
    points = points_of(bench)
    types = {int(i): b.type for b in await driver.read(points) for i in b.id}
    assert types == {p.id: bench.spec.parse_address(p.address).type for p in points}


async def test_nothing_to_read_is_nothing(bench) -> None:
    driver = bench.build()
    await driver.open()
    assert sum(len(b) for b in await driver.read([])) == 0


async def test_a_lost_link_is_told_and_opened_again(bench) -> None:
    """DRV-010 reconnect after power loss."""
    driver = bench.build()
    points = points_of(bench)
    for _ in range(3):
        await driver.open()
        await reads_the_truth(bench, driver, points)
        await bench.rig.cut()
        with pytest.raises(NotConnected):
            await read_until_lost(driver, points)
        with pytest.raises(NotConnected):
            await driver.read(points)


async def test_open_again_without_close(bench) -> None:
    driver = bench.build()
    await driver.open()
    await driver.open()
    await reads_the_truth(bench, driver)


async def test_a_closed_driver_reads_nothing(bench) -> None:
    driver = bench.build()
    assert isinstance(driver, Polls)
    with pytest.raises(NotConnected):
        await driver.read(points_of(bench))
    await driver.open()
    await driver.close()
    with pytest.raises(NotConnected):
        await driver.read(points_of(bench))


async def test_close_ends_a_read_that_waits(bench) -> None:
    driver = bench.build()
    await driver.open()
    bench.rig.say(lambda _: b"")
    reading = asyncio.ensure_future(driver.read(points_of(bench)))
    await asyncio.sleep(0.02)
    assert not reading.done()
    await driver.close()
    with pytest.raises(NotConnected):
        await reading


async def test_a_cut_ends_a_read_that_waits(bench) -> None:
    driver = bench.build()
    await driver.open()
    bench.rig.say(lambda _: b"")
    reading = asyncio.ensure_future(driver.read(points_of(bench)))
    await asyncio.sleep(0.02)
    await bench.rig.cut()
    with pytest.raises(NotConnected):
        await reading


async def test_a_cancelled_read_does_no_harm(bench) -> None:
    driver = bench.build()
    await driver.open()
    bench.rig.say(lambda _: b"")
    reading = asyncio.ensure_future(driver.read(points_of(bench)))
    await asyncio.sleep(0.02)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    bench.rig.say(None)
    await driver.open()
    await reads_the_truth(bench, driver)


async def test_a_silent_device_ends_in_bad_rows_and_then_in_not_connected(bench) -> None:
    driver = bench.build(timeout_s=bench.last_seen_s)
    await driver.open()
    bench.rig.say(lambda _: b"")
    points = points_of(bench)[:1]
    with pytest.raises(NotConnected):
        await read_until_lost(driver, points, {None})
    assert driver.traffic.errors
    bench.rig.say(None)
    driver = bench.build()
    await driver.open()
    await reads_the_truth(bench, driver)


async def test_a_lying_device_never_makes_a_wrong_value_good(bench, lie) -> None:
    driver = bench.build(timeout_s=bench.last_seen_s)
    await driver.open()
    points = points_of(bench)
    bench.rig.say(lie)
    await never_good_and_wrong(bench, driver, points)
    bench.rig.say(None)
    driver = bench.build()
    await driver.open()
    await reads_the_truth(bench, driver)


async def test_what_the_device_refuses_spoils_itself_alone(bench) -> None:
    driver = bench.build()
    await driver.open()
    points = [*points_of(bench), Point(1, bench.refused)]
    for _ in range(2):
        assert rows(points, await driver.read(points)) == bench.rig.truth | {bench.refused: None}
    assert driver.traffic.errors
    assert driver.traffic.last_error


async def test_two_at_one_device_do_not_know_each_other(bench) -> None:
    one, two = bench.build(), bench.build()
    await one.open()
    await two.open()
    await asyncio.gather(reads_the_truth(bench, one), reads_the_truth(bench, two))
    assert one.traffic is not two.traffic
    await one.close()
    await reads_the_truth(bench, two)


async def test_reads_at_the_same_time_are_each_answered(bench) -> None:
    driver = bench.build()
    await driver.open()
    await asyncio.gather(*(reads_the_truth(bench, driver, points_of(bench, 1000 * i)) for i in range(1, 9)))


async def test_no_more_requests_are_on_their_way_than_the_budget_allows(bench) -> None:
    for outstanding in (1, 3):
        driver = await bench.opened(budget=Budget(outstanding=outstanding))
        await reads_the_truth(bench, driver)
        bench.rig.say(lambda _: b"")
        before = driver.traffic.requests
        reads = [asyncio.ensure_future(driver.read(bench.points(1000 * i))) for i in range(1, 9)]
        await asyncio.wait(reads, timeout=0.05)
        assert driver.traffic.requests - before <= outstanding
        await driver.close()
        await asyncio.gather(*reads, return_exceptions=True)
        bench.rig.say(None)


@pytest.mark.parametrize("budget", [Budget(pause_s=0.02), Budget(requests_per_s=50)], ids=["pause", "rate"])
async def test_the_device_is_asked_no_faster_than_the_budget_allows(bench, budget) -> None:
    driver = await bench.opened(budget=budget)
    points = bench.points()
    await driver.read(points)  # what is learnt at first may cost requests of its own
    requests, began = driver.traffic.requests, time.monotonic()
    for _ in range(4):
        await driver.read(points)
    asked = driver.traffic.requests - requests
    assert asked >= 4
    assert time.monotonic() - began >= (asked - 1) * 0.02 * 0.95  # a lower bound: no machine is too slow for it


async def test_opening_often_leaves_nothing_behind(bench) -> None:
    driver = bench.build()
    for _ in range(30):
        await driver.open()
        await reads_the_truth(bench, driver)
        await driver.close()

"""What every streaming driver promises (ports/drivers.py), whatever its protocol."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from isthmus.ports.drivers import Streams
from isthmus.values.errors import NotConnected

pytestmark = pytest.mark.mission("M37", "M44")

OVERFLOW = 0x480
"""OPC UA: the status carries information about a data value, and it is that a queue ran over (Part 4, 7.38.1)."""


async def hears_the_truth(bench: Any, driver: Any, start: int = 1000) -> Any:
    heard = bench.listen(driver, start)
    await heard.hears(bench.truth)
    return heard


def counted_up(bench: Any, heard: Any) -> list[int]:
    """What came of the counting address: later never before earlier, neither in value nor in time."""
    rows = [(value, time_ns) for address, value, _, time_ns in heard.rows if address == bench.rig.counting]
    assert rows == sorted(rows)
    return [value for value, _ in rows]


def confessed(heard: Any, driver: Any, dropped_before: int) -> bool:
    return driver.traffic.dropped > dropped_before or any(status & OVERFLOW == OVERFLOW for *_, status, _ in heard.rows)


async def test_first_values_come_by_themselves(bench) -> None:
    driver = await bench.opened()
    assert isinstance(driver, Streams)
    await hears_the_truth(bench, driver)
    assert driver.traffic.errors == driver.traffic.dropped == 0
    assert driver.traffic.received_bytes > 0


async def test_changes_come_by_themselves(bench) -> None:
    driver = await bench.opened()
    heard = await hears_the_truth(bench, driver)
    await bench.rig.change(bench.rig.later)
    await heard.hears(bench.truth | bench.rig.later)
    await bench.rig.change({a: bench.truth[a] for a in bench.rig.later})
    await heard.hears(bench.truth)


async def test_changes_come_in_their_order(bench) -> None:
    driver = await bench.opened()
    heard = await hears_the_truth(bench, driver)
    first = bench.truth[bench.rig.counting] + 1
    await bench.rig.count(first, first + 99)
    await heard.hears({bench.rig.counting: first + 99})
    counted_up(bench, heard)


async def test_a_burst_faster_than_its_reader_is_kept_in_order_or_confessed(bench) -> None:
    driver = await bench.opened()
    heard = await hears_the_truth(bench, driver)
    first, rows = bench.truth[bench.rig.counting] + 1, 2_000
    dropped = driver.traffic.dropped
    heard.pause()
    burst = asyncio.ensure_future(bench.rig.count(first, first + rows - 1))
    await asyncio.wait({burst}, timeout=1)  # it may have to wait for its reader
    heard.go()
    await burst
    await heard.hears({bench.rig.counting: first + rows - 1})
    told = {value for value in counted_up(bench, heard) if value >= first}
    if getattr(bench.rig, "every_change", True):
        assert len(told) == rows or confessed(heard, driver, dropped)


async def test_what_waits_for_its_reader_is_bounded(bench) -> None:
    driver = await bench.opened()
    heard = await hears_the_truth(bench, driver)
    first = bench.truth[bench.rig.counting] + 1
    heard.pause()
    burst = asyncio.ensure_future(bench.rig.count(first, first + 3 * bench.rig.most_held))
    await asyncio.wait({burst}, timeout=3)  # until all is sent, or the device is held up
    bench.rig.say(lambda _: b"")
    await bench.rig.cut()
    before = len(heard.rows)
    with pytest.raises(NotConnected):
        await heard.ends()
    await asyncio.wait({burst})
    assert len(heard.rows) - before <= bench.rig.most_held
    counted_up(bench, heard)


async def test_a_lost_link_is_told_and_opened_again(bench) -> None:
    """DRV-010 reconnect after power loss."""
    driver = bench.build()
    for _ in range(3):
        await driver.open()
        heard = await hears_the_truth(bench, driver)
        await bench.rig.cut()
        with pytest.raises(NotConnected):
            await heard.ends()
        with pytest.raises(NotConnected):
            await bench.listen(driver).ends()
    assert driver.traffic.last_error


async def test_what_changed_while_the_link_was_gone_is_told_afterwards(bench) -> None:
    driver = await bench.opened()
    heard = await hears_the_truth(bench, driver)
    await bench.rig.cut()
    with pytest.raises(NotConnected):
        await heard.ends()
    await bench.rig.change(bench.rig.later)
    await driver.open()
    await bench.listen(driver).hears(bench.truth | bench.rig.later)


async def test_silence_ends_in_not_connected(bench) -> None:
    """The link is up, but nobody speaks: a driver that streams has a last-seen time of its own."""
    driver = await bench.opened(timeout_s=bench.last_seen_s)
    heard = await hears_the_truth(bench, driver)
    bench.rig.say(lambda _: b"")
    with pytest.raises(NotConnected):
        await heard.ends()
    assert driver.traffic.last_error
    bench.rig.say(None)
    await bench.rig.cut()
    again = await bench.opened()
    await hears_the_truth(bench, again)


async def test_quiet_values_of_a_living_device_are_no_loss(bench) -> None:
    driver = await bench.opened(timeout_s=bench.last_seen_s)
    heard = await hears_the_truth(bench, driver)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2 * bench.last_seen_s):
            await heard.ends()


async def test_a_lying_device_never_makes_a_wrong_value_good(bench, lie) -> None:
    driver = await bench.opened(timeout_s=bench.last_seen_s)
    heard = await hears_the_truth(bench, driver)
    bench.rig.say(lie)
    await bench.rig.change(bench.rig.later)
    try:
        async with asyncio.timeout(1.5 * bench.last_seen_s):
            await heard.ends()
    except (NotConnected, TimeoutError):
        pass  # nothing but these: it notices, or takes nothing of it
    true = {(address, value) for state in (bench.truth, bench.rig.later) for address, value in state.items()}
    assert {(address, value) for address, value, _, _ in heard.rows if value is not None} <= true
    bench.rig.say(None)
    await heard.close()
    await driver.open()
    await bench.listen(driver).hears(bench.truth | bench.rig.later)


async def test_what_makes_no_sense_is_counted_and_spoils_nothing(bench) -> None:
    """Messages that are well framed, but hold something else than what was agreed."""
    driver = await bench.opened()
    heard = await hears_the_truth(bench, driver)
    dropped = driver.traffic.dropped
    sent = await bench.rig.mangle()
    await bench.rig.change(bench.rig.later)
    await heard.hears(bench.truth | bench.rig.later)
    await heard.until(lambda: driver.traffic.dropped >= dropped + sent)
    true = {(address, value) for state in (bench.truth, bench.rig.later) for address, value in state.items()}
    assert {(address, value) for address, value, _, _ in heard.rows if value is not None} <= true


async def test_a_stream_that_is_left_can_be_begun_again(bench) -> None:
    driver = await bench.opened()
    for _ in range(3):
        heard = await hears_the_truth(bench, driver)
        await heard.close()
        await driver.open()


async def test_close_ends_a_stream_that_waits(bench) -> None:
    driver = await bench.opened()
    heard = await hears_the_truth(bench, driver)
    await driver.close()
    with pytest.raises(NotConnected):
        await heard.ends()
    await driver.close()
    with pytest.raises(NotConnected):
        await bench.listen(driver).ends()


async def test_two_at_one_device_do_not_know_each_other(bench) -> None:
    one, two = await bench.opened(), await bench.opened()
    heard_one, heard_two = await asyncio.gather(hears_the_truth(bench, one), hears_the_truth(bench, two, 5000))
    assert one.traffic is not two.traffic
    await one.close()
    with pytest.raises(NotConnected):
        await heard_one.ends()
    await bench.rig.change(bench.rig.later)
    await heard_two.hears(bench.truth | bench.rig.later)


async def test_opening_often_leaves_nothing_behind(bench) -> None:
    driver = bench.build()
    for _ in range(8):
        await driver.open()
        heard = await hears_the_truth(bench, driver)
        await driver.close()
        with pytest.raises(NotConnected):
            await heard.ends()


async def test_a_device_that_goes_is_bad_until_it_is_back(bench) -> None:
    """Behind a broker the link stays up when the device goes: its values turn bad."""
    driver = await bench.opened()
    heard = await hears_the_truth(bench, driver)
    await bench.rig.leave()
    await heard.hears(dict.fromkeys(bench.truth))
    await bench.rig.back()
    await heard.hears(bench.truth)

"""What every driver promises that can change the device (ports/writes.py), whatever its protocol."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from isthmus.ports.writes import PointWrite, Writes
from isthmus.values.errors import NotConnected, Rejected

pytestmark = pytest.mark.mission("M40", "M37", "M22")


def first_of(bench: Any) -> tuple[str, Any]:
    """An address that takes numbers, and one of them."""
    return next(iter(bench.rig.writable.items()))


async def written(bench: Any, driver: Any) -> int:
    """The first address holds its value by now; how many writes of it the device has taken."""
    first, value = first_of(bench)
    count = await bench.rig.arrived(first) + 1
    await driver.write([PointWrite(first, value)])
    await bench.arrives(first, count)
    return count


async def sent(driver: Any, before: int) -> None:
    """A request has left."""
    async with asyncio.timeout(20):
        while driver.traffic.requests == before:
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.02)


async def test_a_value_arrives_exactly_once(bench) -> None:
    driver = bench.build()
    assert isinstance(driver, Writes)
    with pytest.raises(NotConnected):
        await driver.write([PointWrite(a, v) for a, v in bench.rig.writable.items()])
    driver = await bench.writing()
    for address, value in bench.rig.writable.items():
        before = await bench.rig.arrived(address)
        await driver.write([PointWrite(address, value)])
        await bench.arrives(address, before + 1)
        await bench.shows(driver, {address: value})


async def test_several_are_written_in_order(bench) -> None:
    driver = await bench.writing()
    (first, value), *rest = bench.rig.writable.items()
    before = await bench.rig.arrived(first)
    writes = [PointWrite(first, value + 1), *(PointWrite(a, v) for a, v in rest), PointWrite(first, value)]
    await driver.write(writes)
    await bench.arrives(first, before + 2)
    await bench.shows(driver, bench.rig.writable)


async def test_what_it_holds_already_can_be_written_again(bench) -> None:
    driver = await bench.writing()
    first, value = first_of(bench)
    before = await bench.rig.arrived(first)
    for _ in range(2):
        await driver.write([PointWrite(first, value)])
    await bench.arrives(first, before + 2)


async def test_a_refusal_stops_the_rest_and_leaves_the_device_as_it_was(bench) -> None:
    driver = await bench.writing()
    first, value = first_of(bench)
    before = await written(bench, driver)
    with pytest.raises(Rejected, match=r".+"):
        await driver.write([PointWrite(bench.refused, 1), PointWrite(first, value + 1)])
    await bench.shows(driver, {first: value})
    assert await bench.rig.arrived(first) == before


async def test_what_does_not_fit_is_refused_before_the_wire(bench) -> None:
    driver = await bench.writing()
    writable = bench.rig.writable
    counts = {address: await bench.rig.arrived(address) + 1 for address in writable}
    await driver.write([PointWrite(a, v) for a, v in writable.items()])  # what must be asked of types is known now
    for address, count in counts.items():
        await bench.arrives(address, count)
    requests = driver.traffic.requests
    unfit = {first_of(bench)[0]: [math.nan, math.inf, "no number"], **bench.rig.unfit}
    for address, values in unfit.items():
        for value in values:
            with pytest.raises(Rejected, match=r".+"):
                await driver.write([PointWrite(address, value)])
    assert driver.traffic.requests == requests
    assert {address: await bench.rig.arrived(address) for address in writable} == counts


async def test_a_write_nobody_confirms_is_uncertain(bench) -> None:
    driver = await bench.writing(timeout_s=max(bench.last_seen_s, 1.0))
    first, value = first_of(bench)
    bench.rig.say(lambda _: b"")
    asked = driver.traffic.requests
    with pytest.raises(NotConnected):
        await driver.write([PointWrite(first, value), PointWrite(first, value)])
    assert driver.traffic.requests == asked + 1


async def test_a_link_cut_between_send_and_answer_leaves_it_open(bench) -> None:
    driver = await bench.writing()
    first, value = first_of(bench)
    before = await written(bench, driver)
    asked = driver.traffic.requests
    bench.rig.say(lambda _: b"")
    writing = asyncio.ensure_future(driver.write([PointWrite(first, value + 1)]))
    await sent(driver, asked)
    await bench.rig.cut()
    with pytest.raises(NotConnected):
        await writing
    bench.rig.say(None)
    assert await bench.rig.arrived(first) - before in (0, 1)


async def test_a_lying_answer_never_makes_a_write_what_it_was_not(bench, lie) -> None:
    driver = await bench.writing(timeout_s=max(bench.last_seen_s, 1.0))
    first, value = first_of(bench)
    before = await written(bench, driver)
    bench.rig.say(lie)
    outcome: type[Exception] | None = None
    try:
        await driver.write([PointWrite(first, value + 1)])
    except (Rejected, NotConnected) as error:
        outcome = type(error)
    bench.rig.say(None)
    if outcome is None:
        await bench.arrives(first, before + 1)
    elif outcome is Rejected:
        assert await bench.rig.arrived(first) == before
    else:
        assert await bench.rig.arrived(first) - before in (0, 1)


async def test_a_cancelled_write_does_no_harm(bench) -> None:
    driver = await bench.writing()
    first, value = first_of(bench)
    before = await written(bench, driver)
    writing = asyncio.ensure_future(driver.write([PointWrite(first, value + 1)]))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    await driver.write([PointWrite(first, value + 2)])
    await bench.shows(driver, {first: value + 2})
    assert await bench.rig.arrived(first) - before in (1, 2)


async def test_writes_at_the_same_time_arrive_once_each(bench) -> None:
    driver = await bench.writing()
    counts = {address: await bench.rig.arrived(address) for address in bench.rig.writable}
    await asyncio.gather(*(driver.write([PointWrite(a, v)]) for a, v in bench.rig.writable.items()))
    for address, count in counts.items():
        await bench.arrives(address, count + 1)
    await bench.shows(driver, bench.rig.writable)


async def test_a_write_to_a_device_that_is_gone_is_refused(bench) -> None:
    """Behind a broker the link stays up when the device goes, and it is known that nobody takes a write."""
    driver = await bench.writing()
    first, value = first_of(bench)
    await bench.rig.leave()
    await bench.shows(driver, {first: None})
    with pytest.raises(Rejected):
        await driver.write([PointWrite(first, value)])
    await bench.rig.back()
    await bench.shows(driver, bench.truth)
    await driver.write([PointWrite(first, value)])

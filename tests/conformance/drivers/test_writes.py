"""What a driver promises that can change the device (ports/writes.py)."""

from __future__ import annotations

import pytest

from isthmus.ports.writes import PointWrite, Writes
from isthmus.values.errors import NotConnected, Rejected

pytestmark = pytest.mark.mission("M40", "M37")


async def test_a_write_arrives_and_a_refusal_stops_the_rest(bench) -> None:
    driver = bench.build()
    assert isinstance(driver, Writes)
    with pytest.raises(NotConnected):
        await driver.write([PointWrite(a, v) for a, v in bench.rig.writable.items()])
    await driver.open()
    await driver.write([PointWrite(a, v) for a, v in bench.rig.writable.items()])
    assert await bench.present(driver, bench.rig.writable) == bench.rig.writable
    if bench.refused is not None:
        (first, old), *_ = bench.rig.writable.items()
        with pytest.raises(Rejected):
            await driver.write([PointWrite(bench.refused, 1), PointWrite(first, old + 1)])
        assert await bench.present(driver, bench.rig.writable) == bench.rig.writable


async def test_a_write_nobody_confirms_is_uncertain(bench) -> None:
    driver = bench.build(timeout_s=bench.last_seen_s)
    assert isinstance(driver, Writes)
    (first, value), *_ = bench.rig.writable.items()
    await driver.open()
    bench.rig.say(lambda _: b"")
    asked = driver.traffic.requests
    with pytest.raises(NotConnected):
        await driver.write([PointWrite(first, value), PointWrite(first, value)])
    assert driver.traffic.requests == asked + 1

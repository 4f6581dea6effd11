"""What a driver promises that can tell how far a connection gets."""

from __future__ import annotations

import pytest

from isthmus.ports.drivers import Probes

pytestmark = pytest.mark.mission("M37", "M44")


async def test_a_probe_tells_how_far_it_gets(bench) -> None:
    driver = bench.build()
    assert isinstance(driver, Probes)
    steps = await driver.probe()
    assert steps
    assert all(reached for _, reached, _ in steps)
    await driver.open()
    assert [what for what, _, _ in await driver.probe()] == [what for what, _, _ in steps]
    await driver.close()
    await bench.rig.stop()
    broken = await driver.probe()
    assert [reached for _, reached, _ in broken] == [True] * (len(broken) - 1) + [False]
    assert all(detail for _, _, detail in broken)

"""What a driver promises that can list what a device offers."""

from __future__ import annotations

import pytest

from isthmus.ports.drivers import Browses
from isthmus.values.errors import NotConnected

pytestmark = pytest.mark.mission("M44")


async def test_a_list_names_everything_with_its_type(bench) -> None:
    driver = await bench.opened()
    assert isinstance(driver, Browses)
    found = {f.address: f for f in await driver.browse()}
    wanted = getattr(bench.rig, "listed", list(bench.truth))
    assert [a for a in wanted if a not in found] == []
    for address in wanted:
        assert found[address].name
        assert found[address].type == bench.spec.parse_address(address).type


async def test_a_list_of_a_closed_driver_is_not_connected(bench) -> None:
    driver = bench.build()
    with pytest.raises(NotConnected):
        await driver.browse()


async def test_a_list_that_was_cut_is_not_connected(bench) -> None:
    driver = await bench.opened(timeout_s=bench.last_seen_s)
    bench.rig.say(lambda _: b"")
    with pytest.raises(NotConnected):
        await driver.browse()

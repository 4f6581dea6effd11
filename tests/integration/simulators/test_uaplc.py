"""The capper as an OPC UA machine: its values move, and a set-point written to it takes effect."""

from __future__ import annotations

import asyncio

import pytest

from isthmus.drivers.opcua import OpcUaConfig, build
from isthmus.ports.drivers import DriverContext, Point
from isthmus.ports.writes import PointWrite
from isthmus.simulators.bottling.maps import BLOCKS, points_of
from isthmus.simulators.bottling.uaplc import UaPlc, address
from isthmus.values import status
from isthmus.values.clock import SystemClock
from isthmus.values.model import Budget


@pytest.mark.mission("M95", "M64")
@pytest.mark.real("asyncua")
async def test_the_capper_is_read_and_written(tmp_path) -> None:
    (block,) = BLOCKS["plc-capper"]
    found = {point.name: address(block, point) for point in points_of(block.type)}
    points = [Point(i, text) for i, text in enumerate(found.values())]
    async with UaPlc("plc-capper", tmp_path, SystemClock()) as plc:
        end = asyncio.Event()
        living = asyncio.create_task(plc.run(end))
        driver = build(
            OpcUaConfig(plc.server.url, connect_timeout_s=20.0),
            DriverContext(Budget(), SystemClock(), home=tmp_path / "keys"),
        )
        try:
            await driver.open()
            batches = await driver.read(points)
            assert sum(len(b) for b in batches) == len(points)
            assert not any(status.is_bad(b.status).any() for b in batches)
            await driver.write([PointWrite(found["torque_setpoint"], 2.25)])
            async with asyncio.timeout(20):
                while plc.hall.units["capper"].torque_setpoint != 2.25:  # type: ignore[attr-defined]  # a capper has one
                    await asyncio.sleep(0.05)
        finally:
            await driver.close()
            end.set()
            await living

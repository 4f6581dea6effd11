"""The door to a device: the one place from which a driver's `write` is called."""

from __future__ import annotations

from isthmus.ports.drivers import Driver
from isthmus.ports.writes import PointWrite, Writes
from isthmus.values.errors import ConfigError
from isthmus.values.messages.control import Written


async def write_one(driver: Driver, address: str, value: Written) -> None:
    """Write one raw value.

    Raises: ConfigError where the driver cannot write; else as `ports.writes.Writes.write`
    """
    if not isinstance(driver, Writes):
        raise ConfigError(f"{address}: this driver cannot write")
    await driver.write([PointWrite(address, value)])

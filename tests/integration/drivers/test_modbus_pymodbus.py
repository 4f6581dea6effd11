"""Against a server of another make, which serves as the oracle: its own client converts the same registers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pymodbus.client import AsyncModbusTcpClient

from isthmus.drivers.modbus_tcp import ModbusTcp, ModbusTcpConfig
from isthmus.ports.drivers import DriverContext, Point
from isthmus.ports.writes import PointWrite
from isthmus.values import status
from isthmus.values.clock import SystemClock
from isthmus.values.errors import Rejected
from isthmus.values.model import Budget

pytestmark = [pytest.mark.real("pymodbus"), pytest.mark.mission("M40", "M19")]

VALUES: dict[str, list[Any]] = {
    "int16": [-32768, -1, 32767],
    "uint16": [0, 1, 65_535],
    "int32": [-(2**31), -2, 2**31 - 1, 0x01020304],
    "uint32": [2**32 - 1, 0x01020304],
    "int64": [-(2**63), 0x0102030405060708, 2**63 - 1],
    "uint64": [0x0102030405060708, 2**63 - 1],
    "float32": [1.5, -123.456001281738281, 3.4028234663852886e38, 1.401298464324817e-45],
    "float64": [-2.5, 1e300, 5e-324],
}


@pytest.fixture
async def bench():
    """The other server in its own process, its own client, and our driver, with the other word order by default."""
    process = subprocess.Popen(  # noqa: ASYNC220  nothing else runs yet
        [sys.executable, str(Path(__file__).parent / "pymodbus_server.py")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=5)
        await client.connect()
        drivers = []

        async def build(**settings: Any) -> ModbusTcp:
            config = ModbusTcpConfig("127.0.0.1", port, unit=5, timeout_s=5, **settings)
            driver = ModbusTcp(config, DriverContext(Budget(), SystemClock()))
            drivers.append(driver)
            await driver.open()
            return driver

        yield client, build
        for driver in drivers:
            await driver.close()
        client.close()
        assert process.stdin is not None
        process.stdin.close()


async def values(driver: ModbusTcp, addresses: list[str]) -> list[Any]:
    """One value for each address, its status where that is bad."""
    found = {}
    for batch in await driver.read([Point(i, a) for i, a in enumerate(addresses)]):
        for i, value in enumerate(batch.value.tolist()):
            code = int(batch.status[i])
            found[int(batch.id[i])] = status.name(code) if code else batch.text[value] if batch.text else value
    return [found[i] for i in range(len(addresses))]


async def test_all_types_and_orders_are_what_the_other_make_says(bench) -> None:
    client, build = bench
    big, little = await build(), await build(word_order="little")
    kinds = client.DATATYPE
    for word_order, driver, same in (("big", big, "abcdefgh"), ("little", little, "ghefcdab")):
        at, addresses, expected = 0, [], []
        for kind, samples in VALUES.items():
            for value in samples:
                registers = client.convert_to_registers(value, kinds[kind.upper()], word_order=word_order)
                assert not (await client.write_registers(at, registers, device_id=5)).isError()
                oracle = client.convert_from_registers(registers, kinds[kind.upper()], word_order=word_order)
                width = 2 * len(registers)
                named = {2: "ab", 4: "abcd" if word_order == "big" else "cdab", 8: same}[width]
                swapped = {2: "ba", 4: "badc" if word_order == "big" else "dcba", 8: _swap(same)}[width]
                turned = [int.from_bytes(r.to_bytes(2, "big"), "little") for r in registers]
                assert not (await client.write_registers(at + 4, turned, device_id=5)).isError()
                addresses += [f"hr {at} {kind}", f"hr {at} {kind} {named}", f"hr {at + 4} {kind} {swapped}"]
                expected += [oracle] * 3
                at += 8
        assert await values(driver, addresses) == expected


def _swap(order: str) -> str:
    return "".join(order[i + 1] + order[i] for i in range(0, len(order), 2))


async def test_what_we_write_is_what_the_other_make_reads(bench) -> None:
    client, build = bench
    for settings in ({}, {"word_order": "little"}, {"write_single": False}):
        driver = await build(**settings)
        at = 0
        for kind, samples in VALUES.items():
            for value in samples:
                await driver.write([PointWrite(f"hr {at} {kind}", value)])
                data_type = client.DATATYPE[kind.upper()]
                registers = (await client.read_holding_registers(at, count=data_type.value[1], device_id=5)).registers
                order = settings.get("word_order", "big")
                assert client.convert_from_registers(registers, data_type, word_order=order) == value
                assert await values(driver, [f"hr {at} {kind}"]) == [value]
                at += 4
        await driver.write([PointWrite("co 10", 1), PointWrite("co 11", 1), PointWrite("co 11", 0)])
        assert (await client.read_coils(10, count=2, device_id=5)).bits[:2] == [True, False]
        await driver.write([PointWrite("hr 400 string 4", "Öl 7")])
        registers = (await client.read_holding_registers(400, count=4, device_id=5)).registers
        assert client.convert_from_registers(registers, client.DATATYPE.STRING).rstrip("\0") == "Öl 7"
        assert await values(driver, ["hr 400 string 4"]) == ["Öl 7"]


async def test_inputs_and_bits(bench) -> None:
    client, build = bench
    driver = await build()
    assert await values(driver, [f"di {i}" for i in range(0, 999, 5)]) == [int(i % 3 == 0) for i in range(0, 999, 5)]
    assert await values(driver, [f"ir {i}" for i in range(0, 999, 5)]) == [7 * i % 65_536 for i in range(0, 999, 5)]
    assert not (await client.write_register(3, 0x8005, device_id=5)).isError()
    assert await values(driver, [f"hr 3.{i}" for i in range(16)]) == [1, 0, 1, *[0] * 12, 1]


@pytest.mark.mission("M22", "M42")
async def test_single_bits_are_written_by_a_mask_that_the_other_make_obeys(bench) -> None:
    client, build = bench
    driver = await build()
    assert not (await client.write_register(7, 0x8005, device_id=5)).isError()
    await driver.write([PointWrite("hr 7.1", 1), PointWrite("hr 7.15", 0), PointWrite("hr 7.0", 1)])
    assert (await client.read_holding_registers(7, count=1, device_id=5)).registers == [0x0007]
    swapped = await build(byte_order="little")
    await swapped.write([PointWrite("hr 7.1", 0), PointWrite("hr 7.8", 1)])
    assert await values(swapped, ["hr 7.1", "hr 7.8"]) == [0, 1]


async def test_a_hole_in_the_device_spoils_only_what_lies_in_it(bench) -> None:
    client, build = bench
    driver = await build(gap=125)
    assert not (await client.write_registers(495, [1, 2, 3, 4, 5], device_id=5)).isError()
    addresses = (
        [f"hr {i}" for i in range(480, 500)] + ["hr 550", "hr 499 uint32"] + [f"hr {i}" for i in range(600, 640)]
    )
    expected = [*[0] * 15, 1, 2, 3, 4, 5, "BadNodeIdUnknown", "BadNodeIdUnknown", *[0] * 40]
    assert await values(driver, addresses) == expected
    assert "it has no such address (exception 2)" in driver.traffic.last_error


async def test_refusals_are_told(bench) -> None:
    _, build = bench
    driver = await build()
    with pytest.raises(Rejected, match=r"write hr 550: refused, it has no such address \(exception 2\)"):
        await driver.write([PointWrite("hr 550", 1)])
    assert (await driver.probe())[-1][:2] == ("Unit 5 answers", True)

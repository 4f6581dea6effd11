"""The hall as processes, seen through a Modbus client of another make."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys

import pytest
from pymodbus.client import AsyncModbusTcpClient

from isthmus.simulators.bottling import faults
from isthmus.simulators.bottling.hall import PLCS, open_state, place
from isthmus.simulators.bottling.load import TAGS
from isthmus.simulators.bottling.physics import EXECUTE, HELD, STOPPED
from isthmus.simulators.bottling.rig import Rig, _environment
from isthmus.simulators.bottling.writes import writes

pytestmark = [pytest.mark.real("pymodbus"), pytest.mark.mission("M95", "M32")]


@contextlib.asynccontextmanager
async def client_of(port):
    client = AsyncModbusTcpClient("127.0.0.1", port=port, retries=0, timeout=20)
    assert await client.connect()
    try:
        yield client
    finally:
        client.close()


async def until(look, wanted, seconds: float = 90.0):
    """Asks again until the answer is what is wanted."""
    async with asyncio.timeout(seconds):
        while not wanted(value := await look()):
            await asyncio.sleep(0.05)
    return value


def good_of(client):
    async def look():
        words = (await client.read_holding_registers(8, count=2)).registers
        return words[0] << 16 | words[1]

    return look


def state_of(client):
    async def look():
        return (await client.read_holding_registers(0, count=1)).registers[0]

    return look


async def test_the_hall_runs_faults_stop_it_and_counters_outlive_a_kill(tmp_path) -> None:
    async with Rig(tmp_path, scale=2) as rig:
        ports = rig.ports
        assert set(ports) == set(PLCS)
        assert len(rig.load_ports) == 2
        assert "packaging/line1/filler" in rig.plant_yaml()
        async with client_of(ports["plc-filler"]) as filler:
            before = await good_of(filler)()
            assert before > 500  # a new hall is at speed already
            assert await until(good_of(filler), lambda n: n > before) > before
            text = await filler.read_holding_registers(30, count=12)
            assert b"".join(w.to_bytes(2) for w in text.registers).rstrip(b"\0") == b"Still 0.75 L glass"
            assert (await filler.read_discrete_inputs(0, count=1)).bits[0]

            faults.inject(tmp_path, "jam")
            await until(state_of(filler), lambda s: s == HELD)
            faults.clear(tmp_path)
            await until(state_of(filler), lambda s: s == EXECUTE)

            target = [0x42B4, 0x0000]  # 90.0
            assert not (await filler.write_registers(4, target)).isError()

            faults.inject(tmp_path, "plc-filler-exceptions")

            async def refused():
                return await filler.read_holding_registers(0, count=1)

            assert (await until(refused, lambda a: a.isError())).exception_code == 4
            faults.clear(tmp_path)
            await until(refused, lambda a: not a.isError())
            last = await good_of(filler)()

        await rig.kill("plc-filler")
        assert not rig.running("plc-filler")
        with pytest.raises(OSError):  # noqa: PT011  whatever the system says of a port nobody listens at
            await asyncio.open_connection("127.0.0.1", ports["plc-filler"])
        await rig.start("plc-filler")
        assert rig.ports == ports
        async with client_of(ports["plc-filler"]) as filler:
            assert await good_of(filler)() >= last
            assert (await filler.read_holding_registers(4, count=2)).registers == target

        async with client_of(rig.load_ports[1]) as load:
            cells = [
                (await load.read_holding_registers(at, count=100)).registers for at in range(0, TAGS // 2 * 3, 100)
            ]
            assert sum(map(len, cells)) == 1500
        pids, load_ports = [rig.pid(plc) for plc in (*PLCS, "load")], rig.load_ports
        with pytest.raises(ValueError, match="no controller"):
            await rig.start("plc-9")
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert Rig(tmp_path)._remembered() == {**{plc: [port] for plc, port in ports.items()}, "load": load_ports}


async def test_a_controller_ends_with_its_standard_input_and_goes_on_where_it_was(tmp_path) -> None:
    counted = 0.0
    for _ in range(2):
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "isthmus.simulators.bottling", "--plc", "plc-filler", "--state-dir", str(tmp_path),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=_environment(),
        )  # fmt: skip
        port = int((await child.stdout.readline()).split()[1])
        async with client_of(port) as filler:
            now = await good_of(filler)()
            assert now >= counted > -1
            await until(good_of(filler), lambda n, now=now: n > now)
        child.stdin.close()
        assert await child.wait() == 0
        counted = float(open_state(tmp_path)[place("filler.good")])
        assert counted > 500


@pytest.mark.mission("M22")
async def test_a_machine_of_the_hall_obeys_and_every_write_to_it_is_on_its_list(tmp_path) -> None:
    async with Rig(tmp_path) as rig, client_of(rig.ports["plc-filler"]) as client:
        assert (await state_of(client)()) == EXECUTE
        assert not (await client.write_register(23, 2)).isError()  # stop
        await until(state_of(client), lambda s: s == STOPPED)
        assert not (await client.write_register(23, 1)).isError()  # start
        await until(state_of(client), lambda s: s == EXECUTE)
        assert not (await client.write_registers(4, [0x42C8, 0])).isError()  # 100 bottles a minute
        assert not (await client.mask_write_register(address=23, and_mask=0xFFFF, or_mask=0)).isError()
        numbers = open_state(tmp_path)

        async def target() -> float:
            return float(numbers[place("filler.target")])

        await until(target, lambda speed: speed == 100.0)
    found = [(w["function"], w["start"], w["values"], w["taken"]) for w in writes(tmp_path, "plc-filler")]
    assert found == [
        (6, 23, [2], True),
        (6, 23, [1], True),
        (16, 4, [0x42C8, 0], True),
        (22, 23, [0xFFFF, 0], True),
    ]

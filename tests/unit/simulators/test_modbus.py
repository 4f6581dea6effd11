from __future__ import annotations

import asyncio
import os
import signal
import sys

import numpy as np
import pytest
from pymodbus.client import AsyncModbusTcpClient

from isthmus.simulators.modbus import Memory, ModbusServer, write_frame


@pytest.fixture
async def rig():
    memory = Memory.sized(3000)
    server = ModbusServer("127.0.0.1", 0, {1: memory})
    await server.start()
    client = AsyncModbusTcpClient("127.0.0.1", port=server.port, retries=0, timeout=20)
    await client.connect()
    yield memory, server, client
    client.close()
    await server.stop()
    await server.stop()


@pytest.mark.real("pymodbus")
@pytest.mark.mission("M40")
async def test_a_client_of_another_make_reads_and_writes_everything(rig) -> None:
    memory, _, client = rig
    memory.hr[:] = np.arange(3000)
    memory.ir[:] = np.arange(3000)[::-1]
    memory.di[::3] = True
    written = []
    memory.on_write = lambda *what: written.append(what)
    assert (await client.read_holding_registers(100, count=125)).registers == list(range(100, 225))
    assert (await client.read_input_registers(0, count=1)).registers == [2999]
    assert (await client.read_discrete_inputs(1, count=2000)).bits == [i % 3 == 0 for i in range(1, 2001)]
    assert not (await client.write_coil(7, True)).isError()
    assert not (await client.write_coils(8, [True, False, True])).isError()
    assert (await client.read_coils(7, count=4)).bits[:4] == [True, True, False, True]
    assert not (await client.write_register(5, 500)).isError()
    assert not (await client.write_registers(6, [600, 700])).isError()
    assert list(memory.hr[4:9]) == [4, 500, 600, 700, 8]
    assert written == [("co", 7, 8), ("co", 8, 11), ("hr", 5, 6), ("hr", 6, 8)]


@pytest.mark.real("pymodbus")
async def test_it_refuses_as_a_device_does(rig) -> None:
    memory, server, client = rig
    memory.refuse.append(("hr", 10, 12))
    assert (await client.read_holding_registers(2999, count=2)).exception_code == 2
    assert (await client.read_holding_registers(9, count=2)).exception_code == 2
    assert not (await client.read_holding_registers(12, count=2)).isError()
    assert (await client.write_register(11, 1)).exception_code == 2
    assert (await client.write_registers(9, [1, 2])).exception_code == 2
    assert (await client.read_holding_registers(0, count=1, device_id=9)).exception_code == 11
    assert (await client.report_device_id()).exception_code == 1
    memory.exception = 6
    assert (await client.read_coils(0, count=1)).exception_code == 6
    assert server.requests == 8


@pytest.mark.parametrize(
    ("request_pdu", "reply"),
    [
        ("03 0000 0000", "83 03"),
        ("03 0000 007e", "83 03"),
        ("01 0000 07d1", "81 03"),
        ("03 0000", "83 03"),
        ("05 0000 0001", "85 03"),
        ("06 0bb8 0001", "86 02"),
        ("0f 0000 0009 01 ff", "8f 03"),
        ("10 0000 0001 03 000000", "90 03"),
        ("10 0000 0001 02 00", "90 03"),
        ("10 0bb7 0002 04 00000000", "90 02"),
        ("10 0000", "90 03"),
        ("2b 0e 01 00", "ab 01"),
    ],
)
def test_a_wrong_request_gets_the_standards_exception(request_pdu: str, reply: str) -> None:
    assert Memory.sized(3000).answer(bytes.fromhex(request_pdu)) == bytes.fromhex(reply)


async def test_requests_in_pieces_and_together_are_answered_in_order(rig) -> None:
    memory, server, _ = rig
    memory.hr[:3] = [7, 8, 9]
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    frames = [bytes.fromhex(f"000{i} 0000 0006 01 03 000{i} 0001") for i in range(3)]
    writer.write(frames[0][:7])
    await asyncio.sleep(0)
    writer.write(frames[0][7:] + frames[1] + frames[2][:3])
    writer.write(frames[2][3:])
    replies = await reader.readexactly(33)
    assert replies == b"".join(bytes.fromhex(f"000{i} 0000 0005 01 03 02 000{7 + i}") for i in range(3))
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert await reader.read() == b""  # what is no Modbus ends the connection
    writer.close()


async def test_a_stopped_server_starts_again_on_its_port(rig) -> None:
    _, server, _ = rig
    port = server.port
    await server.stop()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await server.start()
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    assert server.port == port
    writer.close()


async def test_it_runs_as_a_process_of_its_own() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "isthmus.simulators.modbus", "--units", "2",
        stdout=asyncio.subprocess.PIPE, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    assert await client.connect()
    assert len((await client.read_holding_registers(0, count=5, device_id=2)).registers) == 5
    client.close()
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
    process._transport.close()


@pytest.mark.real("pymodbus")
@pytest.mark.mission("M40")
async def test_every_write_frame_is_told_whatever_became_of_it(rig) -> None:
    memory, server, client = rig
    told = []
    server.on_frame = told.append
    memory.refuse.append(("hr", 10, 11))
    memory.hr[20] = 0b1010
    await client.read_holding_registers(0, count=1)
    await client.write_coil(7, True)
    await client.write_coils(8, [True, False, True])
    await client.write_register(5, 500)
    await client.write_registers(6, [600, 700])
    assert (await client.write_register(10, 1)).exception_code == 2
    assert not (await client.mask_write_register(address=20, and_mask=0xFFFD, or_mask=0x0005)).isError()
    assert memory.hr[20] == 0b1000
    memory.masks = False
    assert (await client.mask_write_register(address=20, and_mask=0, or_mask=0xFFFF)).exception_code == 1
    assert (await client.mask_write_register(address=20, and_mask=0, or_mask=1, device_id=9)).exception_code == 11
    assert memory.hr[20] == 0b1000
    assert [(f.unit, f.function, f.start, f.values, f.taken) for f in server.writes] == [
        (1, 5, 7, (1,), True),
        (1, 15, 8, (1, 0, 1), True),
        (1, 6, 5, (500,), True),
        (1, 16, 6, (600, 700), True),
        (1, 6, 10, (1,), False),
        (1, 22, 20, (0xFFFD, 0x0005), True),
        (1, 22, 20, (0, 0xFFFF), False),
        (9, 22, 20, (0, 1), False),
    ]
    assert told == list(server.writes)
    assert server.write_count == 8


async def test_a_write_to_a_silent_device_is_told_as_not_taken(rig) -> None:
    memory, server, _ = rig
    memory.silent = True
    assert server.answer(bytes.fromhex("0001 0000 0006 01 06 0005 01f4")) == (b"", 0.0)
    assert [(f.values, f.taken) for f in server.writes] == [((500,), False)]
    assert memory.hr[5] == 0


@pytest.mark.parametrize("pdu", ["05", "06 0001", "0f 0000 0009 02 ff", "10 0000 0001 03 0000", "16 0000 00", "10"])
def test_a_write_that_contradicts_itself_is_told_without_values(pdu) -> None:
    assert write_frame(1, bytes.fromhex(pdu), taken=False).values == ()

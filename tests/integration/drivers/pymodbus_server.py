"""A Modbus TCP server of another make in a process of its own: prints its port, ends when its standard input does."""

from __future__ import annotations

import asyncio
import sys

from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice


async def main() -> None:
    coils = SimData(0, values=[False] * 1008, datatype=DataType.BITS)
    discrete = SimData(0, values=[i % 3 == 0 for i in range(1008)], datatype=DataType.BITS)
    holding = [SimData(0, count=500, datatype=DataType.REGISTERS), SimData(600, count=400, datatype=DataType.REGISTERS)]
    inputs = SimData(0, values=[7 * i % 65_536 for i in range(1000)], datatype=DataType.REGISTERS)
    device = SimDevice(5, ([coils], [discrete], holding, [inputs]))
    server = ModbusTcpServer(device, address=("127.0.0.1", 0))
    await server.listen()
    print(server.transport.sockets[0].getsockname()[1], flush=True)  # noqa: T201  the test reads it
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.shutdown()


asyncio.run(main())

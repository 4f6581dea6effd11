"""Each folder of modbus_tcp/ is a case: settings, points, bytes on the wire, and the rows or the error they must give."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from isthmus.drivers.modbus_tcp import ModbusTcp, ModbusTcpConfig
from isthmus.ports.drivers import DriverContext, Point
from isthmus.values import status
from isthmus.values.clock import SystemClock
from isthmus.values.errors import IsthmusError
from isthmus.values.model import Budget

CASES = {
    path.parent.name: json.loads(path.read_text())
    for path in sorted((Path(__file__).parent / "modbus_tcp").glob("*/case.json"))
}


class Peer:
    """Expects each request to the byte and sends what the case says."""

    def __init__(self, case: dict[str, Any]) -> None:
        self.case = case
        self.seen: list[str] = []
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for step in self.case["exchange"]:
            try:
                self.seen.append((await reader.readexactly(12)).hex(" "))
            except asyncio.IncompleteReadError:
                break
            for piece in step["reply"]:
                writer.write(bytes.fromhex(piece))
                await asyncio.sleep(0.002 if len(step["reply"]) > 1 else 0)  # each piece in a segment of its own
        if self.case["then"] != "close":
            self.seen += [(await reader.read()).hex(" ")]
        writer.close()
        await writer.wait_closed()
        self.ended.set()


def rows_of(points: list[Point], batches: Any) -> list[list[Any]]:
    found = {}
    for batch in batches:
        for i in range(len(batch)):
            value = batch.value[i].item()
            code = int(batch.status[i])
            found[int(batch.id[i])] = [
                batch.text[value] if batch.type == "text" and not code else value if not code else None,
                status.name(code),
            ]
    assert len(found) == sum(len(b) for b in batches) == len(points)
    assert len({b.type for b in batches}) == len(batches)
    assert len({int(t) for b in batches for t in b.time_ns}) == 1
    return [[p.address, *found[p.id]] for p in points]


@pytest.mark.mission("M40")
@pytest.mark.parametrize("name", CASES)
async def test_case(name: str) -> None:
    case = CASES[name]
    peer = Peer(case)
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    driver = ModbusTcp(ModbusTcpConfig("127.0.0.1", port, **case["config"]), DriverContext(Budget(), SystemClock()))
    points = [Point(100 + i, address) for i, address in enumerate(case["points"])]
    await driver.open()
    try:
        if "error" in case:
            with pytest.raises(IsthmusError) as raised:
                await driver.read(points)
            shown = f"{type(raised.value).__name__}: {raised.value}".replace(f"port {port}", "port PORT")
            assert shown == case["error"]
        else:
            assert rows_of(points, await driver.read(points)) == case["rows"]
    finally:
        await driver.close()
        await peer.ended.wait()
        server.close()
        await server.wait_closed()
    asked = [step["request"] for step in case["exchange"]]
    assert [s for s in peer.seen if s] == asked
    assert driver.traffic.dropped == case["dropped"]
    assert driver.traffic.requests == len(asked)
    if "last_error" in case:
        assert driver.traffic.last_error == case["last_error"]


def test_there_are_cases() -> None:
    assert len(CASES) >= 15

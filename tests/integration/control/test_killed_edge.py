"""kill -9 of an edge at the worst moments, with a real device behind a wire that counts."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import sys
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from isthmus.bench.system import environment

from .conftest import Device, Wire, start_device

HERE = Path(__file__).parent


class EdgeProcess:
    def __init__(self, folder: Path, port: int, poll: str) -> None:
        self._words = (str(folder), str(port), poll)
        self.ids: dict[str, int] = {}

    async def start(self) -> None:
        environment_ = environment() | {"PYTHONPATH": f"{environment()['PYTHONPATH']}:{HERE}"}
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(HERE / "edge_process.py"), *self._words),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment_,
        )
        self.ids = (await self.answer())["ready"]

    def say(self, what: str, **data: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(orjson.dumps({"what": what, "data": data}) + b"\n")

    async def answer(self) -> Any:
        assert self.process.stdout is not None
        return orjson.loads(await asyncio.wait_for(self.process.stdout.readline(), 60))

    async def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        self.process._transport.close()  # type: ignore[attr-defined]  # asyncio keeps the pipes open until it is collected

    def command(self, id_: str, value: float) -> dict[str, Any]:
        now_ns = time.time_ns()
        return {
            "id": id_,
            "tag": self.ids["target"],
            "value": value,
            "expires_ns": now_ns + 60 * 10**9,
            "model_version": 7,
            "sent_ns": now_ns,
            "by": "p",
            "intent": "i",
        }


async def prepare(device: Device) -> None:
    await device.switch(0, True)
    await device.switch(1, False)
    await device.number_at(0, 100.0)
    await device.number_at(10, 50.0)


async def until(condition: Any, timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        await asyncio.sleep(0.01)


@pytest.mark.mission("M34", "M63")
@pytest.mark.real("simulators.modbus")
async def test_an_edge_killed_between_send_and_answer_tells_uncertain_and_sends_no_second_time(tmp_path: Path) -> None:
    device = await start_device("--delay", "0.3")
    wire = Wire(device.port)
    await wire.start()
    edge = EdgeProcess(tmp_path, wire.port, "1 d")
    try:
        await prepare(device)
        await edge.start()
        command = edge.command("w1", 75.0)
        edge.say("write", **command)
        await until(lambda: wire.total == 1)
        await edge.kill()
        await edge.start()
        edge.say("outcome", id="w1")
        told = await edge.answer()
        assert (told["result"], told["code"], told["id"]) == ("uncertain", "edge_restarted", "w1")
        edge.say("write", **command)
        assert (await edge.answer())["result"] == "uncertain"
        assert wire.total == 1
        edge.say("write", **edge.command("w2", 60.0))
        assert (await edge.answer())["result"] == "done"
        assert wire.total == 2
    finally:
        await edge.kill()
        await wire.stop()
        await device.stop()


@pytest.mark.mission("M68")
@pytest.mark.real("simulators.modbus")
async def test_a_trip_fires_without_core_and_bus_and_outlives_a_kill(tmp_path: Path) -> None:
    device = await start_device()
    wire = Wire(device.port)
    await wire.start()
    edge = EdgeProcess(tmp_path, wire.port, "20 ms")
    try:
        await prepare(device)
        await edge.start()
        await device.number_at(0, 2000.0)
        await until(lambda: wire.total == 1)
        assert struct.unpack(">f", wire.writes[0][13:17])[0] == 0.0
        await edge.kill()
        await edge.start()
        await asyncio.sleep(0.2)
        assert wire.total == 1
        edge.say("write", **edge.command("w1", 60.0))
        assert (await edge.answer())["code"] == "tripped"
        edge.say("trip", trip="overspeed", do="reset", by="p", intent="i")
        assert (await edge.answer())["code"] == "cause_stands"
        await device.number_at(0, 100.0)
        told: dict[str, Any] = {"code": "cause_stands"}
        async with asyncio.timeout(30):
            while told.get("code") == "cause_stands":  # until the edge has read it
                edge.say("trip", trip="overspeed", do="reset", by="p", intent="i")
                told = await edge.answer()
        assert told["ok"] is True
        edge.say("write", **edge.command("w2", 60.0))
        assert (await edge.answer())["result"] == "done"
        assert wire.total == 2
    finally:
        await edge.kill()
        await wire.stop()
        await device.stop()

"""What the driver learns about a device, and how little it costs the device."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from isthmus.drivers.modbus_tcp import ModbusTcp, ModbusTcpConfig
from isthmus.drivers.modbus_tcp.plan import EXTRA_REQUESTS, LEAST_EXTRA
from isthmus.ports.drivers import DriverContext, Point
from isthmus.ports.writes import PointWrite
from isthmus.simulators.modbus import Memory, ModbusServer
from isthmus.values import status
from isthmus.values.clock import ManualClock
from isthmus.values.errors import NotConnected, Rejected
from isthmus.values.model import Budget

pytestmark = pytest.mark.mission("M40", "M37")


class Bench:
    def __init__(self) -> None:
        self.memory = Memory.sized(2000)
        self.memory.hr[:] = np.arange(2000)
        self.server = ModbusServer("127.0.0.1", 0, {1: self.memory})
        self.clock = ManualClock()

    def build(self, **settings: Any) -> ModbusTcp:
        self.driver = ModbusTcp(
            ModbusTcpConfig("127.0.0.1", self.server.port, **({"timeout_s": 5} | settings)),
            DriverContext(Budget(), self.clock),
        )
        return self.driver

    async def read(self, points: list[Point]) -> tuple[dict[int, Any], int]:
        """Values by id (a bad one as the name of its status), and the requests it took."""
        before = self.server.requests
        found = {}
        for batch in await self.driver.read(points):
            for row, value, code in zip(batch.id.tolist(), batch.value.tolist(), batch.status.tolist(), strict=True):
                found[row] = status.name(code) if code else value
        return found, self.server.requests - before


@pytest.fixture
async def bench():
    bench = Bench()
    await bench.server.start()
    await bench.build().open()
    yield bench
    await bench.driver.close()
    await bench.server.stop()


def registers(*numbers: int) -> list[Point]:
    return [Point(n, f"hr {n}") for n in numbers]


async def test_a_refused_register_rests_and_is_asked_again_ever_more_rarely(bench) -> None:
    points = registers(*range(100))
    bench.memory.refuse = [("hr", 37, 38)]
    good = {n: n for n in range(100)}
    expected = good | {37: "BadNodeIdUnknown"}
    found, first = await bench.read(points)
    assert found == expected
    assert first <= 16
    found, settled = await bench.read(points)
    assert found == expected
    assert settled <= 8
    gaps = []
    for _ in range(4):
        waited = 0
        while (await bench.read(points))[1] == settled:
            bench.clock.advance(5)
            waited += 5
        gaps.append(waited)
    assert gaps == sorted(gaps)
    assert gaps[-1] >= 4 * gaps[0]
    bench.memory.refuse = []
    bench.clock.advance(700)
    found, _ = await bench.read(points)
    assert found == good  # healed, and already in this read
    assert await bench.read(points) == (good, 1)  # and in one piece again


async def test_opening_again_asks_again(bench) -> None:
    points = registers(0, 1)
    bench.memory.refuse = [("hr", 1, 2)]
    assert (await bench.read(points))[0] == {0: 0, 1: "BadNodeIdUnknown"}
    bench.memory.refuse = []
    assert (await bench.read(points))[0] == {0: 0, 1: "BadNodeIdUnknown"}
    await bench.driver.open()
    assert (await bench.read(points))[0] == {0: 0, 1: 1}


async def test_a_device_that_refuses_everything_is_not_hammered(bench) -> None:
    points = registers(*range(1500))
    bench.memory.refuse = [("hr", 0, 2000)]
    for _ in range(250):
        found, cost = await bench.read(points)
        assert set(found.values()) == {"BadNodeIdUnknown"}
        assert cost <= EXTRA_REQUESTS + 2 * LEAST_EXTRA
    assert cost == 0  # all of it rests
    bench.memory.refuse = []
    bench.clock.advance(700)
    for _ in range(40):
        found, cost = await bench.read(points)
        assert cost <= 2 * EXTRA_REQUESTS
    assert found == {n: n for n in range(1500)}
    assert cost == 12


async def test_a_busy_device_keeps_its_blocks(bench) -> None:
    points = registers(*range(50))
    bench.memory.exception = 6
    for _ in range(3):
        found, cost = await bench.read(points)
        assert set(found.values()) == {"BadResourceUnavailable"}
        assert cost == 1
    assert bench.driver.traffic.last_error == "hr 0 to 49: refused, it is busy (exception 6)"
    bench.memory.exception = 0
    assert await bench.read(points) == ({n: n for n in range(50)}, 1)


async def test_many_point_lists_are_kept_apart(bench) -> None:
    lists = [registers(n, n + 1) for n in range(300)]
    for _ in range(2):
        for points in lists:
            found, cost = await bench.read(points)
            assert found == {p.id: p.id for p in points}
            assert cost == 1
    assert len(bench.driver._plans) <= 256


async def test_a_write_refused_on_the_way_stops_the_rest(bench) -> None:
    with pytest.raises(Rejected, match="hr 7: needs a whole number"):
        await bench.driver.write([PointWrite("hr 6", 1), PointWrite("hr 7", -1)])
    assert bench.memory.hr[6] == 6  # nothing was sent: the whole list is checked first
    bench.memory.refuse = [("hr", 7, 8)]
    with pytest.raises(Rejected, match=r"write hr 7: refused, it has no such address \(exception 2\)"):
        await bench.driver.write([PointWrite("hr 6", 1), PointWrite("hr 7", 1), PointWrite("hr 8", 1)])
    assert bench.memory.hr[6:9].tolist() == [1, 7, 8]


@pytest.mark.parametrize("code", [5, 11])
async def test_an_answer_that_leaves_a_write_open_is_uncertain(bench, code: int) -> None:
    bench.memory.exception = code
    with pytest.raises(NotConnected):
        await bench.driver.write([PointWrite("hr 6", 1)])
    with pytest.raises(NotConnected):
        await bench.driver.read(registers(0))
    bench.memory.exception = 0
    await bench.driver.open()
    assert (await bench.read(registers(0)))[0] == {0: 0}


async def test_a_write_echoed_wrongly_is_uncertain(bench) -> None:
    bench.server.tamper = lambda reply: reply[:-1] + b"\7"
    with pytest.raises(NotConnected, match="write hr 6: its answer repeats something else than was written"):
        await bench.driver.write([PointWrite("hr 6", 1)])


@pytest.mark.mission("M44")
async def test_the_slowest_answer_is_measured(bench) -> None:
    def slow(reply: bytes) -> bytes:
        bench.clock.advance(0.25)
        return reply

    bench.server.tamper = slow
    batches = await bench.driver.read(registers(0, 500))
    assert bench.driver.traffic.slowest_s == pytest.approx(0.25)
    assert batches[0].time_ns.tolist() == [bench.clock.now_ns()] * 2  # when the last byte had arrived


@pytest.mark.mission("M44")
async def test_a_read_of_many_blocks_starts_no_task_and_runs_on_the_wire_alone(bench) -> None:
    points = registers(*range(0, 2000, 20))
    tasks = asyncio.all_tasks()
    started = []
    loop = asyncio.get_running_loop()
    loop.set_task_factory(lambda loop, coro, **kw: started.append(coro) or asyncio.Task(coro, loop=loop, **kw))
    try:
        found, cost = await bench.read(points)
    finally:
        loop.set_task_factory(None)
    assert found == {p.id: p.id for p in points}
    assert cost == 100
    assert started == []
    assert asyncio.all_tasks() == tasks


async def test_a_name_that_takes_too_long_is_told(bench, monkeypatch) -> None:
    async def forever(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", forever)
    driver = ModbusTcp(ModbusTcpConfig("plc1", connect_timeout_s=0.01), DriverContext(Budget(), bench.clock))
    with pytest.raises(NotConnected, match=r"the name plc1 was not resolved within 0\.01 s"):
        await driver.open()


async def test_a_probe_says_how_far_it_got(bench) -> None:
    await bench.driver.close()
    steps = await bench.driver.probe()
    assert [(what, reached) for what, reached, _ in steps] == [
        ("Name 127.0.0.1 resolves", True),
        (f"Port {bench.server.port} open", True),
        ("Unit 1 answers", True),
    ]
    assert steps[-1][2].startswith("hr 0 read")
    bench.memory.refuse = [("hr", 0, 1)]
    assert (await bench.driver.probe())[-1][2].startswith("ir 0 read")
    bench.memory.exception = 2
    assert (await bench.driver.probe())[-1][1]  # it said no, so it is there
    bench.memory.exception = 11
    what, reached, detail = (await bench.driver.probe())[-1]
    assert (what, reached) == ("Unit 1 answers", False)
    assert "the device behind the gateway does not answer" in detail
    bench.memory.exception = 0
    bench.memory.silent = True
    await bench.build(timeout_s=0.02).close()
    assert (await bench.driver.probe())[-1] == ("Unit 1 answers", False, "hr 0: no answer within 0.02 s, 0.0 ms")
    while bench.server.connections:
        await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    ("host", "error", "words"),
    [
        ("127.0.0.1", None, r"nobody listens on port \d+ at 127\.0\.0\.1 \(connection refused\)"),
        ("no-such-name.invalid", None, r"the name no-such-name\.invalid is not known"),
        ("127.0.0.1", OSError(113, "No route to host"), r"no way to 127\.0\.0\.1 port \d+ \(No route to host\)"),
        ("127.0.0.1", OSError(101, "Network is unreachable"), r"no network to 127\.0\.0\.1"),
        ("127.0.0.1", OSError(24, "Too many open files"), r"cannot connect to 127\.0\.0\.1 port \d+ \(Too many open"),
        ("127.0.0.1", TimeoutError(), r"no answer from 127\.0\.0\.1 port \d+ within 3 s"),
    ],
)
async def test_why_it_does_not_connect_in_words(bench, monkeypatch, host, error, words) -> None:
    await bench.server.stop()
    driver = ModbusTcp(ModbusTcpConfig(host, bench.server.port), DriverContext(Budget(), bench.clock))
    if error is not None:

        async def fail(*_: Any, **__: Any) -> None:
            raise error

        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", fail)
    with pytest.raises(NotConnected, match=words):
        await driver.open()

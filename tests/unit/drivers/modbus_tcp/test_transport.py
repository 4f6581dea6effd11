"""The link without a network: what it sends when, and what it makes of what it hears."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from isthmus.drivers.modbus_tcp.framer import Request, read_request
from isthmus.drivers.modbus_tcp.transport import TIMED_OUT, WRONG_REPLY, Link, Pace
from isthmus.ports.drivers import Traffic
from isthmus.values.clock import SystemClock
from isthmus.values.errors import NotConnected
from isthmus.values.model import Budget

pytestmark = pytest.mark.mission("M40", "M37")


class Wire:
    """Stands in for a transport: keeps what was sent and when."""

    def __init__(self, link: Link) -> None:
        self.link, self.sent, self.times = link, [], []
        self.stuck = 0
        self.ended = ""

    def write(self, data: bytes) -> None:
        for at in range(0, len(data), 12):
            self.sent.append(data[at : at + 12])
            self.times.append(asyncio.get_running_loop().time())

    def get_write_buffer_size(self) -> int:
        return self.stuck

    def _end(self, how: str) -> None:
        if not self.ended:
            self.ended = how
            asyncio.get_running_loop().call_soon(self.link.connection_lost, None)

    def close(self) -> None:
        self._end("closed")

    def abort(self) -> None:
        self._end("aborted")


def reply(request: bytes, *values: int) -> bytes:
    data = b"".join(v.to_bytes(2, "big") for v in values)
    return request[:2] + (3 + len(data)).to_bytes(4, "big") + request[6:8] + bytes((len(data),)) + data


class Bench:
    def __init__(self, budget: Budget | None = None, timeout_s: float = 5.0) -> None:
        self.traffic = Traffic()
        self.pace = Pace(budget or Budget())
        self.link = Link("plc1 port 502", 1, timeout_s, self.pace, self.traffic, SystemClock())
        self.wire = Wire(self.link)
        self.link.connection_made(self.wire)  # type: ignore[arg-type]  # a stand-in
        self.image = bytearray(200)

    def run(self, n: int) -> asyncio.Task[Any]:
        requests: list[Request] = [read_request(1, "hr", 10 * i, 1, 2 * i) for i in range(n)]
        return asyncio.ensure_future(self.link.run(requests, memoryview(self.image)))

    async def sent(self, n: int) -> list[bytes]:
        while len(self.wire.sent) < n:
            await asyncio.sleep(0.001)
        return self.wire.sent


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_one_at_a_time_by_default() -> None:
    bench = Bench()
    task = bench.run(3)
    for i in range(3):
        await settle()
        assert len(bench.wire.sent) == i + 1
        bench.link.data_received(reply(bench.wire.sent[i], 100 + i))
    exchange = await task
    assert exchange.failed == {}
    assert bytes(bench.image[:6]) == bytes((0, 100, 0, 101, 0, 102))
    await bench.link.close()


async def test_as_many_as_the_budget_allows_in_any_order() -> None:
    bench = Bench(Budget(outstanding=3))
    task = bench.run(8)
    await settle()
    assert len(bench.wire.sent) == 3
    answered = 0
    while answered < 8:
        waiting = bench.wire.sent[answered:]
        assert len(waiting) <= 3
        for request in reversed(waiting):
            start = int.from_bytes(request[8:10], "big") // 10
            before = len(bench.wire.sent)
            bench.link.data_received(reply(request, 100 + start))
            assert len(bench.wire.sent) - before <= 1
        answered += len(waiting)
    assert (await task).failed == {}
    assert [bench.image[2 * i + 1] for i in range(8)] == [100 + i for i in range(8)]
    await bench.link.close()


async def test_several_answers_in_one_segment_and_a_piece_of_the_next() -> None:
    bench = Bench(Budget(outstanding=3))
    task = bench.run(3)
    await settle()
    data = b"".join(reply(request, 7) for request in bench.wire.sent)
    bench.link.data_received(data[:25])
    assert not task.done()
    bench.link.data_received(data[25:])
    assert (await task).failed == {}
    await bench.link.close()


async def test_requests_are_spaced_as_the_budget_says() -> None:
    bench = Bench(Budget(requests_per_s=200))
    task = bench.run(4)
    for i in range(4):
        bench.link.data_received(reply((await bench.sent(i + 1))[i], 1))
    await task
    steps = [b - a for a, b in zip(bench.wire.times, bench.wire.times[1:], strict=False)]
    assert min(steps) >= 0.005
    await bench.link.close()


async def test_the_pause_runs_from_the_answer() -> None:
    bench = Bench(Budget(pause_s=0.005))
    task = bench.run(3)
    answered = []
    for i in range(3):
        request = (await bench.sent(i + 1))[i]
        await asyncio.sleep(0.003)
        answered.append(asyncio.get_running_loop().time())
        bench.link.data_received(reply(request, 1))
    await task
    assert all(bench.wire.times[i + 1] - answered[i] >= 0.005 for i in range(2))
    await bench.link.close()


def test_the_pace_outlives_a_connection() -> None:
    pace = Pace(Budget(requests_per_s=10, pause_s=0.5))
    assert pace.wait_s(100.0) <= 0
    pace.sent(100.0)
    assert pace.wait_s(100.0) == pytest.approx(0.1)
    pace.answered(100.05)
    assert pace.wait_s(100.05) == pytest.approx(0.5)
    assert pace.wait_s(100.6) <= 0
    assert Pace(Budget()).unlimited
    assert Pace(Budget(outstanding=0)).depth == 1


async def test_what_a_cancelled_read_asked_still_counts_as_outstanding() -> None:
    bench = Bench()
    first = bench.run(2)
    await settle()
    first.cancel()
    await settle()
    second = bench.run(1)
    await settle()
    assert len(bench.wire.sent) == 1
    bench.link.data_received(reply(bench.wire.sent[0], 1))
    assert len(bench.wire.sent) == 2
    bench.link.data_received(reply(bench.wire.sent[1], 2))
    assert (await second).failed == {}
    assert bench.traffic.dropped == 0
    await bench.link.close()


async def test_one_silence_spoils_its_request_and_a_late_answer_is_dropped() -> None:
    bench = Bench(timeout_s=0.01)
    task = bench.run(2)
    late = (await bench.sent(1))[0]
    request = (await bench.sent(2))[1]
    bench.link.data_received(reply(late, 1) + reply(request, 2))
    assert (await task).failed == {0: TIMED_OUT}
    assert (bench.traffic.dropped, bench.traffic.errors) == (1, 1)
    assert bench.traffic.slowest_s >= 0.01
    await bench.link.close()


async def test_two_silences_in_a_row_end_the_link_even_over_two_reads() -> None:
    bench = Bench(timeout_s=0.01)
    assert (await bench.run(1)).failed == {0: TIMED_OUT}
    with pytest.raises(NotConnected, match=r"no answer from plc1 port 502 within 0\.01 s$"):
        await bench.run(1)
    assert bench.wire.ended == "closed"
    assert bench.traffic.errors == 2
    with pytest.raises(NotConnected, match="no answer"):
        await bench.run(1)


async def test_a_peer_that_takes_nothing_is_cut_off() -> None:
    bench = Bench()
    bench.wire.stuck = 100
    await bench.link.close()
    assert bench.wire.ended == "aborted"


@pytest.mark.parametrize(
    ("tail", "problem"),
    [
        (b"\0", "1 bytes too many behind an answer"),
        (b"\x40\0\0\0\0\2\1\3", "a frame nobody asked for behind an answer"),
        (b"\0\0\0\0\0\2\1\3", "a frame nobody asked for behind an answer"),
        (b"\0\0\0\0\0\5\2\3\2\0\1", "a frame nobody asked for behind an answer"),
        (b"\0\0\1", "3 bytes too many"),
        (b"\0\0\1\1", "protocol identifier 257"),
    ],
)
async def test_an_answer_with_something_behind_it_is_not_believed(tail: bytes, problem: str) -> None:
    bench = Bench()
    task = bench.run(1)
    bench.link.data_received(reply((await bench.sent(1))[0], 9) + tail)
    with pytest.raises(NotConnected, match=problem):
        await task
    assert bench.traffic.dropped == 1


async def test_a_gateway_without_its_device_is_asked_once() -> None:
    bench = Bench(Budget(outstanding=2))
    task = bench.run(5)
    await settle()
    first, second = bench.wire.sent
    bench.link.data_received(first[:2] + bytes.fromhex("0000 0003 01 83 0b"))
    bench.link.data_received(second[:2] + bytes.fromhex("0000 0003 01 83 0b"))
    assert (await task).failed == dict.fromkeys(range(5), 11)
    assert len(bench.wire.sent) == 2
    await bench.link.close()


async def test_a_flood_of_frames_nobody_asked_for_fills_nothing() -> None:
    bench = Bench()
    task = bench.run(1)
    request = (await bench.sent(1))[0]
    for _ in range(1000):
        bench.link.data_received(bytes.fromhex("7777 0000 0005 01 03 02 0009 77"))
        bench.link.data_received(bytes.fromhex("77 0000 0005 01 03 02 0009"))
    assert bench.traffic.dropped == 2000
    assert not bench.link._rest
    bench.link.data_received(reply(request, 4))
    assert (await task).failed == {}
    await bench.link.close()


async def test_transactions_wrap() -> None:
    bench = Bench()
    bench.link._transaction = 0xFFFE
    task = bench.run(3)
    for i in range(3):
        bench.link.data_received(reply((await bench.sent(i + 1))[i], 1))
    await task
    assert [r[:2].hex() for r in bench.wire.sent] == ["ffff", "0000", "0001"]
    await bench.link.close()


async def test_another_function_is_a_wrong_reply() -> None:
    bench = Bench()
    task = bench.run(1)
    request = (await bench.sent(1))[0]
    bench.link.data_received(request[:2] + bytes.fromhex("0000 0003 01 84 02"))
    assert (await task).failed == {0: WRONG_REPLY}
    await bench.link.close()


async def test_a_link_given_up_before_it_was_made_is_cut() -> None:
    bench = Bench()
    link = Link("plc1 port 502", 1, 5.0, bench.pace, bench.traffic, SystemClock())
    await link.close()
    wire = Wire(link)
    link.connection_made(wire)  # type: ignore[arg-type]  # a stand-in
    assert wire.ended == "aborted"
    await settle()
    await bench.link.close()


@pytest.mark.parametrize("refused", [False, True])
async def test_an_answer_that_swallowed_the_next_one_is_not_believed(refused: bool) -> None:
    bench = Bench(Budget(outstanding=2))
    requests = [read_request(1, "hr", 0, 10, 0), read_request(1, "hr", 50, 1, 20)]
    task = asyncio.ensure_future(bench.link.run(requests, memoryview(bench.image)))
    first, second = await bench.sent(2)
    answer = second[:2] + bytes.fromhex("0000 0003 01 83 02") if refused else reply(second, 9)
    bench.link.data_received(reply(first, *range(10))[: -len(answer)] + answer)
    with pytest.raises(NotConnected, match="an answer inside another one"):
        await task

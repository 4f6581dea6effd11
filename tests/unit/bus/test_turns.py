"""Turns of readers: one in each round of the loop, the urgent first, nobody for ever behind them."""

from __future__ import annotations

import asyncio

import pytest

from isthmus.bus.turns import FAIR, FAR_BEHIND, Turns, Urgency


class Round:
    """Counts the rounds of the loop."""

    def __init__(self) -> None:
        self.number = 0
        self._on = True
        self._go()

    def _go(self) -> None:
        self.number += 1
        if self._on:
            asyncio.get_running_loop().call_soon(self._go)

    def stop(self) -> None:
        self._on = False


async def go(turns: Turns, urgency: Urgency, times: int, said: list[Urgency]) -> None:
    for _ in range(times):
        await turns.mine(urgency)
        said.append(urgency)


async def test_the_urgent_go_first_and_nobody_waits_for_ever():
    turns, said = Turns(), []
    async with asyncio.timeout(10):
        await asyncio.gather(go(turns, Urgency.OTHERS, 10, said), go(turns, Urgency.LIVE, 100, said))
    last = max(i for i, who in enumerate(said) if who is Urgency.LIVE)
    others = [i for i, who in enumerate(said[: last + 1]) if who is Urgency.OTHERS]
    assert len(said) == 110
    assert len(others) == 10
    assert others[-1] <= 11 * FAIR
    assert said[1 : 2 * FAIR].count(Urgency.LIVE) >= len(said[1 : 2 * FAIR]) - 2


async def test_there_is_one_in_a_round_of_the_loop():
    turns = Turns()
    rounds = Round()
    at: list[int] = []

    async def one() -> None:
        for _ in range(20):
            await turns.mine(Urgency.OTHERS)
            at.append(rounds.number)

    async with asyncio.timeout(10):
        await asyncio.gather(*(one() for _ in range(5)))
    rounds.stop()
    assert len(at) == len(set(at)) == 100


@pytest.mark.parametrize("rounds", range(6))
async def test_who_ends_while_it_waits_keeps_nobody_waiting(rounds):
    turns, said = Turns(), []
    going = [asyncio.create_task(go(turns, Urgency.LIVE, 50, said)) for _ in range(3)]
    other = asyncio.create_task(go(turns, Urgency.OTHERS, 5, said))
    for _ in range(rounds):
        await asyncio.sleep(0)
    for task in going:
        task.cancel()
    async with asyncio.timeout(10):
        await other
    await asyncio.gather(*going, return_exceptions=True)
    assert said.count(Urgency.OTHERS) == 5


async def test_who_is_less_urgent_does_not_ask_while_the_urgent_are_far_behind(monkeypatch):
    turns, live = Turns(), object()
    async with asyncio.timeout(10):
        await turns.room(Urgency.OTHERS)
        turns.waits(live, Urgency.LIVE, FAR_BEHIND + 1)
        await turns.room(Urgency.LIVE)
        asks = asyncio.create_task(turns.room(Urgency.RECORD))
        await asyncio.sleep(0.05)
        assert not asks.done()
        turns.waits(live, Urgency.LIVE, FAR_BEHIND)
        await asks
        monkeypatch.setattr("isthmus.bus.turns.PATIENCE_S", 0.05)
        turns.waits(live, Urgency.LIVE, FAR_BEHIND + 1)
        await turns.room(Urgency.OTHERS)  # nobody waits for ever

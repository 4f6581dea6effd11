"""kill -9 of every process, in random order, while 10,000 samples a second come in from real Modbus servers."""

from __future__ import annotations

import pytest

from isthmus.bench.crash import measure

pytestmark = [pytest.mark.mission("M82", "M47", "M63"), pytest.mark.real("nats-server", "chdb", "modbus")]


def nothing_lost(figures: dict[str, float]) -> None:
    assert figures["lost_samples"] == 0
    assert figures["doubled_samples"] == 0
    assert figures["strange_samples"] == 0
    assert figures["holes_frames"] == 0
    assert figures["stream_samples"] > 10_000  # the drill drilled something


@pytest.mark.timeout(900)
async def test_ten_kills_lose_and_double_nothing():
    figures = await measure(10, 0.5, 100)  # raises when something does not come back
    assert figures["kills"] == 10
    nothing_lost(figures)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_a_hundred_kills_lose_and_double_nothing():
    nothing_lost(await measure(100, 4.0, 4))

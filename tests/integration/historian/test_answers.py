"""Whatever happens to a plant, the record answers what a plain computation over the same samples answers."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.real("chdb"), pytest.mark.mission("M4", "M35", "M47")]


async def misbehave(plant, steps: int) -> None:
    """A plant runs and is asked about; some of the questions are long enough to read the rollup."""
    long = 0
    for step in range(steps):
        await plant.live(plant.rng.choice([60, 600, 1800]))
        if step % 3 == 2:
            await plant.late()
        if step % 4 == 3:
            await plant.plant.historian.roll()
            long += await plant.ask(hours=48, points=50) >= 600e9
        long += await plant.ask() >= 600e9
    assert long, "no question was long enough to read the rollup"


@pytest.mark.parametrize("seed", range(2))
async def test_answers_are_those_of_the_oracle(chaos, seed: int) -> None:
    await misbehave(chaos(seed), 8)


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(10, 30))
async def test_answers_are_those_of_the_oracle_for_longer(chaos, seed: int) -> None:
    await misbehave(chaos(seed), 30)

"""Whatever happens to a plant, the record answers what a plain computation over the same samples answers."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.real("chdb"), pytest.mark.mission("M4", "M35", "M47")]


@pytest.mark.parametrize("seed", range(4))
async def test_answers_are_those_of_the_oracle(chaos, seed: int) -> None:
    plant = chaos(seed)
    long = 0
    for step in range(12):
        await plant.live(plant.rng.choice([60, 600, 1800]))
        if step % 3 == 2:
            await plant.late()
        if step % 4 == 3:
            await plant.plant.historian.roll()
        for _ in range(3):
            long += await plant.ask() >= 600e9
    assert long, "no question was long enough to read the rollup"

from __future__ import annotations

import asyncio

from isthmus.bus.tasks import end


async def test_a_task_that_forgets_a_cancellation_is_ended_all_the_same() -> None:
    forgotten = 0

    async def forgets() -> None:
        nonlocal forgotten
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                forgotten += 1
                if forgotten == 3:
                    raise

    async def breaks() -> None:
        raise ValueError

    tasks = [asyncio.create_task(forgets()), asyncio.create_task(breaks()), asyncio.create_task(asyncio.sleep(60))]
    await asyncio.sleep(0)
    await end(tasks, again_s=0.01)
    assert forgotten == 3
    assert all(task.done() for task in tasks)
    await end([])

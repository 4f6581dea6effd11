"""Ending tasks that talk to the bus."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

AGAIN_S = 3.0


async def end(tasks: Iterable[asyncio.Future[Any]], again_s: float = AGAIN_S) -> None:
    """Cancel tasks until they have ended, and take their outcomes.

    Once is not always enough: `asyncio.wait_for` of Python 3.11, which nats-py waits with, forgets a cancellation that comes
    together with the answer.
    """
    every = set(tasks)
    left = {task for task in every if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=again_s)
    await asyncio.gather(*every, return_exceptions=True)


async def together(**works: Coroutine[Any, Any, None]) -> None:
    """Until the first of them ends or fails; then all end. As a task group, for tasks that may need to be ended more than once."""
    tasks = [asyncio.create_task(work, name=name) for name, work in works.items()]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await end(tasks)

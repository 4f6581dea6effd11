"""What every process of ours has: an event loop, a log, a way to be stopped, and an eye on its parent."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator

import uvloop

from isthmus.app.logs import JsonLines, Lines
from isthmus.values.errors import IsthmusError, NotConnected, TryLater

_PR_SET_PDEATHSIG = 1
MAX_FILES = 65_536
SWITCH_S = 0.001
"""A thread that computes lets the loop go on after so long. The loop comes by a dozen times for one request: at the usual 5 ms, a
request waits for a busy historian ten times as long as it works.
"""
SUPERVISED = "--supervised"
"""The option of a process that shall end when its parent is gone."""


class _NoHalfClose(logging.Filter):
    """Leaves out what the loop says each time a TLS link of the bus ends: asyncio's own streams ask for what TLS cannot do."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "eof_received() has no effect when using ssl" not in record.getMessage()


_NO_HALF_CLOSE = _NoHalfClose()


def set_up_logging(part: str, level: int = logging.INFO, *, structured: bool = False) -> logging.Logger:
    """One line an event on standard error; secrets are left out."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if structured else Lines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("nats", "asyncio", "uvicorn.access", "clickhouse_connect", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("asyncio").addFilter(_NO_HALF_CLOSE)
    return logging.getLogger(part)


def die_with_parent() -> None:
    """Ask the system to end this process (SIGTERM) when its parent is gone; used between fork and exec."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _raise_file_limit() -> None:
    """As many descriptors as the system allows, up to 65,536: the embedded historian's threads alone may hold some hundred."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # macOS allows fewer than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _watch_parent(stop: asyncio.Event) -> None:
    """The same where the system has no such service: an orphan has another parent than before."""
    parent = os.getppid()
    while os.getppid() == parent:
        await asyncio.sleep(1)
    stop.set()


def run(
    part: str,
    main: Callable[[asyncio.Event, logging.Logger], Awaitable[None]],
    *,
    supervised: bool = False,
    structured: bool = False,
) -> int:
    """Run an async main until it ends, or until SIGINT or SIGTERM sets its stop event; the exit code.

    A declared error is one line and code 2, or code 1 where trying again may help, which a supervisor then does;
    anything else keeps its traceback and is code 1.
    """
    log = set_up_logging(part, structured=structured)
    _raise_file_limit()

    async def wrapped() -> int:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        watcher = asyncio.create_task(_watch_parent(stop)) if supervised else None
        try:
            await main(stop, log)
        except IsthmusError as error:
            log.error("%s", error)
            return _code(error)
        except BaseExceptionGroup as group:
            declared, rest = group.split(IsthmusError)
            if declared is None or rest is not None:
                raise
            leaves = _leaves(declared)
            for leaf in leaves:
                log.error("%s", leaf)
            return max(map(_code, leaves))
        finally:
            if watcher is not None:
                watcher.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await watcher
        return 0

    settle_collector()
    sys.setswitchinterval(SWITCH_S)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(wrapped())


@contextlib.contextmanager
def without_search() -> Iterator[None]:
    """What imports make stays, so looking for garbage meanwhile finds none: a tenth of their time."""
    searched = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searched:
            gc.enable()


def settle_collector() -> None:
    """Look rarely for cycles, in small steps, and never again at what the imports made: that lives for ever.

    One step stops every thread for as long as it takes to look at what came since the step before. The second number keeps them
    at 40,000 objects: steps over 120,000 stopped core for 44 ms in a flood of alarms, these for 13 ms.
    """
    gc.freeze()
    gc.set_threshold(10_000, 2, 1_800)


def _code(error: BaseException) -> int:
    return 1 if isinstance(error, (NotConnected, TryLater)) else 2


def _leaves(group: BaseExceptionGroup[IsthmusError]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found

"""One process for one script: started, given batches of calls, ended when a call takes too long."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import psutil

from isthmus.acquisition import script_worker as worker
from isthmus.values.status import (
    BAD_INTERNAL_ERROR,
    BAD_RESOURCE_UNAVAILABLE,
    BAD_TIMEOUT,
)

START_S = 10.0
STOP_S = 2.0
MAX_ANSWER_BYTES = 128 * 1024 * 1024
ASLEEP = 5
"""A call that computes is ended at its limit, one that sleeps (or waits for a busy machine) at so many times its limit."""

Given = dict[str, list[Any]]
"""Inputs by name: [value, time_ns, status]."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a function for one tag. Units: time_ns UTC ns; limit_s in seconds"""

    tag: int
    function: str
    time_ns: int
    inputs: Given
    state: bool
    limit_s: float


@dataclass(frozen=True, slots=True)
class Result:
    """What a call gave; ``value`` is None where the status is bad. ``state`` is JSON, None where none is kept."""

    value: float | int | str | None
    status: int
    reason: str = ""
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """A script as the plant has it."""

    file: str
    text: str
    memory_mb: int


@dataclass(slots=True)
class Outcome:
    """Results of the first calls of a batch. If call number ``blamed`` ended the process, ``ended`` is its result; calls
    between the results and it were made, and what they gave went with the process.
    """

    results: list[Result] = field(default_factory=list)
    ended: Result | None = None
    blamed: int = 0
    printed: str = ""


class Unusable(Exception):
    """The script does not begin, or its process talks nonsense; the text says why."""


class ScriptProcess:
    """A running script. After a call ended it, it is gone: make another one.

    Cost: 60 ms to begin, 10 MB; about 15 µs a call, in batches
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self._process: asyncio.subprocess.Process | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._marks = -1  # the pipe the number of each call comes by
        self._mark, self._most = 0, 0
        self.granted: tuple[str, ...] = ()

    async def start(self, states: dict[int, str]) -> None:
        """Begin, with the state each tag had.

        Raises: Unusable with the reason
        """
        self._folder = tempfile.TemporaryDirectory(prefix="isthmus-script-")
        reads, writes = os.pipe()
        self._marks = reads
        os.set_blocking(reads, False)
        try:
            self._process = await asyncio.create_subprocess_exec(
                # what -I would do, by an environment of our own; -I would also forbid us to fix the order of sets
                *(sys.executable, "-P", "-s", "-X", "utf8", worker.__file__, str(writes)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
                cwd=self._folder.name,
                pass_fds=(writes,),
                start_new_session=True,
                limit=1 << 20,
            )
        finally:
            os.close(writes)
        script = self._script
        setup = {
            "file": script.file,
            "text": script.text,
            "memory_bytes": script.memory_mb * 1_000_000,
            "states": {str(tag): state for tag, state in states.items()},
        }
        try:
            await self._send(setup)
            answer = await asyncio.wait_for(self._receive(), START_S)
        except TimeoutError:
            await self.stop()
            raise Unusable(f"does not begin within {START_S:g} s") from None
        except (OSError, asyncio.IncompleteReadError):
            code = await self._ended()
            raise Unusable(f"does not begin: its process ended with {_told(code)}") from None
        if not isinstance(answer, dict) or "ready" not in answer:
            await self.stop()
            raise Unusable(
                str(answer.get("refused") if isinstance(answer, dict) else answer)[: worker.MAX_REASON_CHARS]
            )
        self.granted = tuple(answer["ready"])

    async def run(self, calls: Sequence[Call]) -> Outcome:
        """The calls, in order, until one of them ends the process.

        Raises: Unusable if what came back is no answer; the process is gone then
        """
        outcome = Outcome()
        self._last_mark()  # what is left of the batch before
        self._mark, self._most = 0, len(calls) - 1
        limit_s = max(call.limit_s for call in calls)
        rows = [[c.tag, c.function, c.time_ns, c.inputs, c.state] for c in calls]
        try:
            await self._send({"calls": rows, "cpu_s": limit_s * (len(calls) + ASLEEP) + 1})
            while len(outcome.results) < len(calls):
                answer = await self._answer(calls, outcome)
                if answer is None:
                    return outcome
                outcome.results += _checked(answer, len(calls) - len(outcome.results))
                outcome.printed = str(answer.get("printed") or "")
                if answer.get("over"):
                    reason = f"needs more than {self._script.memory_mb} MB of memory"
                    outcome.ended = Result(None, BAD_RESOURCE_UNAVAILABLE, reason)
                    outcome.blamed = len(outcome.results)
                    await self.stop()
                    return outcome
        except (OSError, asyncio.IncompleteReadError):
            code = await self._ended()
            outcome.ended = Result(None, BAD_INTERNAL_ERROR, f"ended its process ({_told(code)})")
            outcome.blamed = max(self._mark, len(outcome.results))
        except (ValueError, TypeError, KeyError) as error:
            await self.stop()
            raise Unusable(f"its process gave no answer one could read: {error}") from None
        return outcome

    async def stop(self) -> None:
        """End the process, whatever it does."""
        await self._ended(kill=True)

    async def _answer(self, calls: Sequence[Call], outcome: Outcome) -> dict[str, Any] | None:
        """The next results, or None when a call was ended because it took too long."""
        receiving = asyncio.ensure_future(self._receive())
        try:
            mark, cpu_s, waited_s = -1, 0.0, 0.0
            while True:
                if self._last_mark() != mark:
                    mark, cpu_s, waited_s = self._mark, self._cpu_s(), 0.0
                limit_s = calls[mark].limit_s
                done, _ = await asyncio.wait({receiving}, timeout=limit_s)
                if done:
                    answer = receiving.result()
                    if not isinstance(answer, dict):
                        raise TypeError("no mapping")
                    return answer
                waited_s += limit_s
                if self._last_mark() != mark:
                    continue
                if self._cpu_s() - cpu_s >= 0.8 * limit_s or waited_s >= ASLEEP * limit_s:
                    outcome.ended = Result(None, BAD_TIMEOUT, f"takes longer than {limit_s * 1e3:g} ms")
                    outcome.blamed = max(mark, len(outcome.results))
                    await self.stop()
                    return None
        finally:
            if not receiving.done():
                receiving.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError, asyncio.IncompleteReadError, ValueError):
                await receiving

    def _last_mark(self) -> int:
        """The number of the call under way, as far as it was told."""
        with contextlib.suppress(BlockingIOError, OSError):
            data = os.read(self._marks, 1 << 20)
            if len(data) >= worker.LENGTH.size:
                whole = len(data) - len(data) % worker.LENGTH.size
                self._mark = min(worker.LENGTH.unpack_from(data, whole - worker.LENGTH.size)[0], self._most)
        return self._mark

    def _cpu_s(self) -> float:
        try:
            times = psutil.Process(self._process.pid).cpu_times() if self._process else None
        except psutil.Error:
            return 0.0
        return times.user + times.system if times else 0.0

    async def _send(self, message: Any) -> None:
        if self._process is None or self._process.stdin is None:
            raise BrokenPipeError
        data = orjson.dumps(message)
        self._process.stdin.write(worker.LENGTH.pack(len(data)) + data)
        await self._process.stdin.drain()

    async def _receive(self) -> Any:
        if self._process is None or self._process.stdout is None:
            raise BrokenPipeError
        size = worker.LENGTH.unpack(await self._process.stdout.readexactly(worker.LENGTH.size))[0]
        if size > MAX_ANSWER_BYTES:
            raise ValueError(f"an answer of {size} bytes")
        return json.loads(await self._process.stdout.readexactly(size))

    async def _ended(self, *, kill: bool = False) -> int:
        """Waits for the end of the process, ending it if it does not; its code."""
        process, self._process = self._process, None
        self._last_mark()
        if self._marks >= 0:
            os.close(self._marks)
            self._marks = -1
        code = 0
        if process is not None:
            if process.stdin is not None:
                process.stdin.close()
            if not kill:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), STOP_S)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            code = await process.wait()
            _close(process)
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
        return code


def _close(process: asyncio.subprocess.Process) -> None:
    transport = getattr(process, "_transport", None)
    if transport is not None:
        transport.close()


def _checked(answer: dict[str, Any], most: int) -> list[Result]:
    """Results as they must be. Raises: ValueError"""
    rows = answer["results"]
    if not isinstance(rows, list) or len(rows) > most:
        raise ValueError("not as many results as calls")
    return [_result(*row) for row in rows]


def _result(value: Any, status: Any, reason: Any, state: Any) -> Result:
    if not isinstance(status, int) or not isinstance(reason, str) or not isinstance(state, str | None):
        raise TypeError("a result of a form of its own")
    if status & worker.BAD:
        return Result(None, status & 0xFFFFFFFF, reason, state)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError("a value of a type of its own")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("a number too large")
    return Result(value, status & 0xFFFFFFFF, reason, state)


def _told(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"code {code}"

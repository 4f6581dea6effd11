"""A process made ready in advance: its modules are imported, nothing else is done, and at a word it is a part that died.

It reads no settings, opens nothing, holds no lock and never looks at the data directory before that word. The word comes
through a socket on its standard input; when that ends, it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import sys
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path

import isthmus
from isthmus.app.process import die_with_parent, without_search

OPTION = "--spare"
_GO = b"go"
_LOOK_S = 30.0
_END = object()


# In the spare.


def stand_by(load: Callable[[], None], more: Callable[[], Iterable[None]], *, waits: bool) -> None:
    """Load the modules; if it waits, return at the word, or end the process when that cannot come any more.

    ``more`` is what the part would load at its work, and has time for while nobody needs it; the word is looked for between its steps.
    """
    with without_search():
        load()
    if not waits:
        return
    with socket.socket(fileno=os.dup(0)) as supervisor:
        with without_search():
            steps = iter(more())
            while not _has_word(supervisor) and next(steps, _END) is not _END:
                pass
        try:
            word = supervisor.recv(len(_GO))
        except OSError:
            word = b""
    if word != _GO:
        sys.exit(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def _has_word(supervisor: socket.socket) -> bool:
    watch = select.poll()
    watch.register(supervisor, select.POLLIN)
    return bool(watch.poll(0))


# In the supervisor.


def code_state() -> tuple[int, ...]:
    """What differs once another version of Isthmus, or of anything beside it, is installed. Cost: some 5 ms."""
    newest = count = 0
    for folder, _, files in os.walk(Path(isthmus.__file__).parent):
        for file in files:
            if file.endswith(".py"):
                with contextlib.suppress(OSError):
                    newest, count = max(newest, os.stat(os.path.join(folder, file)).st_mtime_ns), count + 1  # noqa: PTH116, PTH118  a Path for each of hundreds costs more than the look
    paths = sysconfig.get_paths()
    places = sorted({paths["purelib"], paths["platlib"]})
    return newest, count, *(os.stat(p).st_mtime_ns for p in places if os.path.isdir(p))  # noqa: PTH112, PTH116  plain names from sysconfig


class Spare:
    """One process that stands by, as the supervisor sees it."""

    def __init__(self, process: asyncio.subprocess.Process, line: socket.socket) -> None:
        self._process, self._line = process, line
        self._code = code_state()
        self._done = asyncio.Event()

    @classmethod
    async def start(cls, argv: list[str]) -> Spare:
        """Start one; ``argv`` is the command line of the part."""
        line, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                *argv, OPTION, stdin=theirs.fileno(), start_new_session=True, preexec_fn=die_with_parent
            )
        except BaseException:
            line.close()
            raise
        finally:
            theirs.close()
        line.setblocking(False)
        return cls(process, line)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def take(self) -> asyncio.subprocess.Process | None:
        """Let it begin, at once or when it has loaded; None if it is dead or of older code, and then it is ended."""
        useful = self._process.returncode is None and self._code == code_state()
        if useful:
            try:
                self._line.send(_GO)
            except OSError:
                useful = False
        if not useful:
            await self.end()
            return None
        self._done.set()
        self._line.close()
        return self._process

    async def end(self) -> None:
        """Kill it if it was not taken; it has nothing to lose."""
        if self._done.is_set():
            return
        self._done.set()
        self._line.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def until_over(self) -> bool:
        """Wait until it was taken or ended, has died, or is of an older version than what lies on the disk; whether it died."""
        died = asyncio.ensure_future(self._process.wait())
        done = asyncio.ensure_future(self._done.wait())
        try:
            while self._code == code_state():
                if (await asyncio.wait({died, done}, timeout=_LOOK_S, return_when=asyncio.FIRST_COMPLETED))[0]:
                    break
            return died.done() and not done.done()
        finally:
            died.cancel()
            done.cancel()

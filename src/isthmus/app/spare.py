"""A process made ready in advance: its modules are imported, nothing else is done, and at a word it is a part that died.

It reads no settings, opens nothing, holds no lock and never looks at the data directory before that word. The word comes
through a socket on its standard input; when that ends, it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import sys
import sysconfig
import threading
from collections.abc import Callable
from pathlib import Path

import isthmus
from isthmus.app.process import die_with_parent

OPTION = "--spare"
AT_ONCE = "at-once"
"""Import as fast as it goes: something waits for it."""
IN_THE_BACKGROUND = "in-the-background"
"""Leave the processor to whoever wants it."""

_READY, _GO = b"ready\n", b"go\n"
_NICE = 15
_LOOK_S = 30.0


# In the spare.


def stand_by(how: str, load: Callable[[], None]) -> None:
    """Load the modules; return at the word, end the process when it cannot come any more. An empty ``how`` waits for nobody."""
    if not how:
        _load(load)
        return
    if how == IN_THE_BACKGROUND:
        _load_nicely(load)
    else:
        _load(load)
    with socket.socket(fileno=os.dup(0)) as supervisor:
        with contextlib.suppress(OSError):  # gone: seen at once below
            supervisor.sendall(_READY)
        try:
            word = supervisor.recv(len(_GO))
        except OSError:
            word = b""
    if word != _GO:
        sys.exit(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def _load(load: Callable[[], None]) -> None:
    """What imports make stays, so looking for garbage meanwhile finds none: a tenth of their time."""
    gc.disable()
    try:
        load()
    finally:
        gc.enable()


def _load_nicely(load: Callable[[], None]) -> None:
    """In a thread, as the system knows a priority for each and lets nobody take his own back."""
    failed: list[BaseException] = []

    def work() -> None:
        if sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        try:
            _load(load)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work, name="load")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


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

    def __init__(self, process: asyncio.subprocess.Process, line: socket.socket, how: str) -> None:
        self._process, self._line, self._how = process, line, how
        self._code = code_state()
        self._done = asyncio.Event()

    @classmethod
    async def start(cls, argv: list[str], how: str) -> Spare:
        """Start one; ``argv`` is the command line of the part."""
        line, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                *argv, OPTION, how, stdin=theirs.fileno(), start_new_session=True, preexec_fn=die_with_parent
            )
        except BaseException:
            line.close()
            raise
        finally:
            theirs.close()
        line.setblocking(False)
        return cls(process, line, how)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def take(self) -> asyncio.subprocess.Process | None:
        """Let it begin; None if it is of no use, and then it is ended. One that is still loading in the background is slower than a new one."""
        useful = self._process.returncode is None and self._code == code_state()
        if useful and self._how == IN_THE_BACKGROUND:
            useful = self._said_ready()
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

    def _said_ready(self) -> bool:
        try:
            return self._line.recv(len(_READY)) == _READY
        except OSError:
            return False

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

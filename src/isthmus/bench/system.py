"""A whole Isthmus as measurements and tests use it: the real command in processes of its own, on a folder of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil

from isthmus.app.datadir import DataDir
from isthmus.app.local import call
from isthmus.app.up import core_answers
from isthmus.bus.broker import free_port
from isthmus.values.errors import NotConnected


class System:
    """`isthmus up` (or `demo`) on a folder. ``start`` returns when core answers; ``stop`` is Ctrl-C."""

    def __init__(self, folder: Path, port: int | None = None, command: str = "up") -> None:
        self.folder, self._command = folder, command
        self.port = port or free_port()
        self._token = ""
        self._process: asyncio.subprocess.Process | None = None
        self._log_file = folder.parent / f"{folder.name}.log"

    async def start(self, timeout_s: float = 180) -> None:
        """Start (again, on the same port)."""
        await self.begin()
        await self.ready(timeout_s)

    async def begin(self) -> None:
        """Start, and wait for nothing."""
        with self._log_file.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "isthmus", self._command, "--data", str(self.folder), "--port", str(self.port)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment(),
            )

    async def ready(self, timeout_s: float = 180) -> None:
        """Wait until every room of core is open.

        Raises: NotConnected if it ends before, or the time is over
        """
        assert self._process is not None  # noqa: S101  it was begun
        ready = asyncio.ensure_future(core_answers(DataDir(self.folder).socket, timeout_s))
        gone = asyncio.ensure_future(self._process.wait())
        try:
            await asyncio.wait({ready, gone}, return_when=asyncio.FIRST_COMPLETED)
            if gone.done() and not ready.done():
                raise NotConnected(f"isthmus up ended with {gone.result()}: {self.log()[-2000:]}")
            await ready
        finally:
            ready.cancel()
            gone.cancel()

    async def stop(self) -> float:
        """Ctrl-C; the seconds it took."""
        process = self._process
        if process is None or process.returncode is not None:
            return 0.0
        began = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        await process.wait()
        return time.monotonic() - began

    async def kill_all(self) -> None:
        """Kill -9 of everything at once."""
        for process in self.processes().values():
            with contextlib.suppress(psutil.Error):
                process.kill()
        if self._process is not None:
            await self._process.wait()

    def log(self) -> str:
        """Everything that was printed so far."""
        return self._log_file.read_text(errors="replace") if self._log_file.exists() else ""

    def processes(self) -> dict[str, psutil.Process]:
        """The living processes by name: up, nats-server, core, edge-1 …"""
        found: dict[str, psutil.Process] = {}
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(psutil.Error):
                found["up"] = psutil.Process(self._process.pid)
        with contextlib.suppress(FileNotFoundError, ValueError):
            for name, pid in json.loads((self.folder / "run" / "pids.json").read_text()).items():
                with contextlib.suppress(psutil.Error):
                    process = psutil.Process(pid)
                    if process.status() != psutil.STATUS_ZOMBIE:
                        found[name] = process
        return found

    def spares(self) -> dict[str, psutil.Process]:
        """Processes that stand by, by name."""
        found: dict[str, psutil.Process] = {}
        with contextlib.suppress(FileNotFoundError, ValueError):
            for name, known in json.loads((self.folder / "run" / "processes.json").read_text()).items():
                with contextlib.suppress(psutil.Error):
                    if name.endswith("-spare"):
                        found[name] = psutil.Process(known["pid"])
        return found

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds so far, by process, those that stand by too."""
        found = {}
        for name, process in (self.processes() | self.spares()).items():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                found[name] = times.user + times.system
        return found

    def rss_bytes(self) -> dict[str, int]:
        """Resident memory, by process, those that stand by too."""
        found = {}
        for name, process in (self.processes() | self.spares()).items():
            with contextlib.suppress(psutil.Error):
                found[name] = int(process.memory_info().rss)
        return found

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """A call through the local socket, as the command line makes it."""
        return call(self.folder, method, path, body)

    def apply(self, text: str, reason: str = "set up") -> int:
        """Make a plant file the current one; its version."""
        base = self.call("POST", "plant/plan", {"text": text})["base"]
        return int(self.call("POST", "plant/apply", {"text": text, "base": base, "reason": reason})["version"])

    def token(self, role: str = "viewer") -> str:
        """A token for the API."""
        if not self._token:
            self._token = self.call("POST", "tokens", {"name": "measurement", "role": role})["token"]
        return self._token

    def get(self, path: str, accept: str = "application/json", timeout_s: float = 30) -> Any:
        """GET over HTTP with a token, as a business system would; bytes unless JSON was asked for.

        Raises: urllib.error.HTTPError, OSError
        """
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/v1/{path}",
            headers={"Authorization": f"Bearer {self.token()}", "Accept": accept},
        )
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310  our own address
            content = answer.read()
        return json.loads(content) if accept == "application/json" else content

    async def __aenter__(self) -> System:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        for process in self.processes().values():
            with contextlib.suppress(psutil.Error):
                process.kill()


def environment() -> dict[str, str]:
    """The environment of a child that shall find this package also when it is not installed.

    Modules are compiled once, as in any installation; a start that compiles all of them anew would measure something else.
    """
    source = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(p for p in (source, os.environ.get("PYTHONPATH", "")) if p)
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {"PYTHONPATH": path}

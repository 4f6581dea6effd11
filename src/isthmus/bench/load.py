"""The simulators' load servers in a process of their own, which ends with us; and the plant that reads them."""

from __future__ import annotations

import asyncio
import sys

from isthmus.bench.system import environment
from isthmus.simulators.bottling.load import TAGS, load_plant_yaml

__all__ = ["TAGS", "LoadServers", "plant_yaml"]

plant_yaml = load_plant_yaml


class LoadServers:
    """``servers`` Modbus servers of a thousand moving values each; ``ports`` are theirs."""

    def __init__(self, servers: int) -> None:
        self._servers = servers
        self.ports: list[int] = []
        self.pid = 0
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> LoadServers:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "isthmus.simulators.bottling", "--load", str(self._servers)),
            stdin=asyncio.subprocess.PIPE,  # its end is theirs
            stdout=asyncio.subprocess.PIPE,
            env=environment(),
        )
        assert self._process.stdout is not None  # noqa: S101  it was asked for
        line = (await asyncio.wait_for(self._process.stdout.readline(), 30)).decode()
        self.ports = [int(p) for p in line.split()[1:]]
        self.pid = self._process.pid
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()

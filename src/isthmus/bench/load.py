"""Load for measurements: light Modbus servers in one process of their own, and the plant that reads them.

Each server carries 1,000 tags: 500 float32 and 500 uint16. Once a second every value takes a step of a random walk; three of
five steps pass the deadband that the plant declares when not every reading is to be sent.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

import numpy as np

from isthmus.bench.system import environment
from isthmus.simulators.modbus import Memory, ModbusServer

TAGS = 1_000
ASSET_TAGS = 50
FLOATS = ASSET_TAGS // 2


def plant_yaml(ports: Sequence[int], *, poll: str = "1 s", send_all: bool = False, tags: int = TAGS) -> str:
    """The plant file of these servers; ``send_all`` sends every reading whether it changed or not."""
    deadband = "every" if send_all else "0.5"
    lines = ["plant: {enterprise: bench, site: load, timezone: UTC}", "connections:"]
    lines += [
        f"  load{i}: {{driver: modbus-tcp, host: 127.0.0.1, port: {port}, poll: {poll}}}"
        for i, port in enumerate(ports)
    ]
    lines += ["types:", "  block:", "    tags:"]
    for i in range(FLOATS):
        lines.append(f'      f{i:02}: {{decimals: 2, deadband: {deadband}, at: "hr {{base+{2 * i}}} float32"}}')
    for i in range(ASSET_TAGS - FLOATS):
        lines.append(f'      w{i:02}: {{kind: counter, deadband: {deadband}, at: "hr {{base+{2 * FLOATS + i}}}"}}')
    lines.append("assets:")
    for i in range(len(ports)):
        for block in range(tags // ASSET_TAGS):
            lines.append(
                f"  load/server{i}/block{block:02}: {{type: block, source: load{i}, with: {{base: {block * 75}}}}}"
            )
    return "\n".join(lines) + "\n"


async def _serve(servers: int) -> None:
    random = np.random.default_rng(7)
    memories = [Memory(hr=np.zeros(TAGS // ASSET_TAGS * 75, np.uint16)) for _ in range(servers)]
    blocks = [m.hr.reshape(-1, 75) for m in memories]
    floats = random.normal(50, 10, (servers, TAGS // ASSET_TAGS, FLOATS))
    words = random.integers(0, 10_000, (servers, TAGS // ASSET_TAGS, ASSET_TAGS - FLOATS))
    running = [ModbusServer("127.0.0.1", 0, {1: memory}) for memory in memories]
    for server in running:
        await server.start()
    print("ports", ",".join(str(server.port) for server in running), flush=True)
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
    try:
        while not ended.done():
            floats += random.normal(0, 1, floats.shape)
            np.clip(floats, -1000, 1000, out=floats)
            words += random.random(words.shape) < 0.6
            for i, block in enumerate(blocks):
                as_words = floats[i].round(2).astype(">f4").view(">u2").astype(np.uint16)
                block[:, : 2 * FLOATS] = as_words
                block[:, 2 * FLOATS :] = words[i] & 0xFFFF
            await asyncio.wait({ended}, timeout=1.0)
    finally:
        for server in running:
            await server.stop()


class LoadServers:
    """The servers in a process of their own, which ends with us."""

    def __init__(self, servers: int) -> None:
        self._servers = servers
        self.ports: list[int] = []
        self.pid = 0
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> LoadServers:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "isthmus.bench.load", "--servers", str(self._servers)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment(),
        )
        assert self._process.stdout is not None  # noqa: S101  it was asked for
        line = (await asyncio.wait_for(self._process.stdout.readline(), 30)).decode()
        self.ports = [int(p) for p in line.split()[1].split(",")]
        self.pid = self._process.pid
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()


if __name__ == "__main__":
    import uvloop

    parser = argparse.ArgumentParser()
    parser.add_argument("--servers", type=int, default=1)
    uvloop.run(_serve(parser.parse_args().servers))

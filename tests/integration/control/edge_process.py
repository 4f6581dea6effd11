"""An edge in a process of its own: `python edge_process.py FOLDER PORT POLL`. A line in is a command (`what` and its data), a line out
its answer. It is there to be killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

import orjson

from conftest import start_edge


async def main(folder: str, port: str, poll: str) -> None:
    edge = await start_edge(Path(folder), int(port), poll)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    sys.stdout.write(orjson.dumps({"ready": edge.ids}).decode() + "\n")
    sys.stdout.flush()
    waiting: set[asyncio.Task[None]] = set()

    async def answer(what: str, data: dict[str, object]) -> None:
        told = await edge.control.commands[what](orjson.dumps(data))
        sys.stdout.write(told.decode() + "\n")
        sys.stdout.flush()

    while line := await reader.readline():
        said = orjson.loads(line)
        waiting.add(asyncio.create_task(answer(said["what"], said["data"])))
    await asyncio.gather(*waiting)
    with contextlib.suppress(Exception):
        await edge.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

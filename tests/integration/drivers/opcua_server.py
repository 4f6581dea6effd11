"""asyncua's server in a process of its own, told over a TCP port what its nodes shall be: one JSON object a line.

`python opcua_server.py READY_FILE [HOME]` writes `PORT CONTROL_PORT` into the file once it listens.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

URI = "http://isthmus.example/simulated"
DEVICE: dict[str, tuple[Any, str]] = {
    "Pump.Speed": (1.5, "Double"),
    "Pump.Ratio": (0.25, "Float"),
    "Pump.Count": (7, "Int32"),
    "Pump.Big": (-(2**40), "Int64"),
    "Pump.On": (True, "Boolean"),
    "Pump.Name": ("pump 7", "String"),
    "Pump.Recipe": ([10, 20, 30], "Int16"),
    "Pump.Set": (2.5, "Double"),
    "Pump.Step": (3, "UInt16"),
    "Pump.Label": ("valve", "String"),
}


class Child:
    """The server's process, and the line to it."""

    def __init__(self, *arguments: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        ready = Path(self._folder.name) / "ready"
        source = str(Path(__file__).resolve().parents[3] / "src")
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(ready), *arguments],
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": source},
        )
        deadline = time.monotonic() + 90
        while not ready.exists() or not ready.read_text().endswith("\n"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise OSError("the server did not start")
            time.sleep(0.05)
        self.port, self._control = map(int, ready.read_text().split())

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}"

    def tell(self, **order: Any) -> Any:
        """Do this; returns when it is done."""
        with socket.create_connection(("127.0.0.1", self._control), timeout=60) as line:
            line.sendall(json.dumps(order).encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                part = line.recv(65536)
                if not part:
                    raise OSError("the server hung up")
                answer += part
        found = json.loads(answer)
        if isinstance(found, dict) and "error" in found:
            raise OSError(found["error"])
        return found

    async def asked(self, **order: Any) -> Any:
        """The same, without holding up the loop."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._control)
        try:
            writer.write(json.dumps(order).encode() + b"\n")
            found = json.loads(await reader.readline())
        finally:
            writer.close()
            await writer.wait_closed()
        if isinstance(found, dict) and "error" in found:
            raise OSError(found["error"])
        return found

    def set(self, **values: tuple[Any, str]) -> None:
        self.tell(do="set", values=values)

    def end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()


def shared() -> Child:
    """One server for all tests of this run: it takes seconds to start."""
    kept = sys.modules.setdefault("isthmus_tests_opcua_server", ModuleType("isthmus_tests_opcua_server"))
    if not hasattr(kept, "child"):
        kept.child = Child()  # type: ignore[attr-defined]  # a place that outlives the test's modules
        atexit.register(kept.child.end)
    return kept.child  # type: ignore[no-any-return]  # as above


class Control:
    """What the tests may ask of the server, in its own process."""

    def __init__(self, server: Any, ua: Any) -> None:
        self._server, self._ua = server, ua

    async def line(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        order = json.loads(await reader.readline())
        try:
            answer = await getattr(self, order.pop("do"))(**order)
        except Exception as error:
            answer = {"error": repr(error)}
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()
        writer.close()

    async def set(self, values: dict[str, Any], status: int = 0, time_s: float | None = None) -> None:
        import datetime as dt

        stamp = None if time_s is None else dt.datetime.fromtimestamp(time_s, dt.UTC)
        for name, (value, kind) in values.items():
            found = bytes.fromhex(value) if kind == "ByteString" else value
            await self._server.set(name, found, self._ua.VariantType[kind], status, stamp)

    async def get(self, name: str) -> Any:
        return await self._server.get(name)

    async def arrived(self, name: str) -> int:
        return sum(write.name == name and not write.status for write in self._server.writes)

    async def count(self, name: str, first: int, last: int) -> None:
        for number in range(first, last + 1):
            await self._server.set(name, number, self._ua.VariantType.Int32)
            if number % 20 == 0:
                await asyncio.sleep(0)

    async def add(self, name: str, value: Any, kind: str) -> None:
        from isthmus.simulators.opcua import Variable

        await self._server.add([Variable(name, value, self._ua.VariantType[kind])])

    async def remove(self, name: str) -> None:
        await self._server.remove(name)

    async def many(self, count: int) -> None:
        from isthmus.simulators.opcua import many

        await self._server.add(many(count))

    async def limit(self, **limits: int) -> None:
        self._server.limit(**limits)

    async def restart(self, before: list[str]) -> None:
        await self._server.stop()
        await start(self._server, self._ua, before)


async def start(server: Any, ua: Any, before: list[str]) -> None:
    from isthmus.simulators.opcua import Variable

    server.nodes.clear()
    server._folders.clear()
    nodes = [
        Variable(
            name,
            value,
            ua.VariantType[kind],
            writable=name in {"Pump.Set", "Pump.Step", "Pump.Label"},
            unit="bar" if name == "Pump.Set" else "",
        )
        for name, (value, kind) in DEVICE.items()
    ]
    await server.start(nodes, before)


async def main() -> None:
    from asyncua import ua

    from isthmus.simulators.opcua import OpcUaServer, ended

    parent = os.getppid()
    ready, home = Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None
    users = dict(pair.split(":") for pair in sys.argv[3:])
    server = OpcUaServer(home=home, users=users)
    await start(server, ua, [])
    control = await asyncio.start_server(Control(server, ua).line, "127.0.0.1", 0)
    ready.write_text(f"{server.port} {control.sockets[0].getsockname()[1]}\n")  # noqa: ASYNC240  a few bytes, once
    await ended(parent)
    control.close()
    await server.stop()


if __name__ == "__main__":
    asyncio.run(main())

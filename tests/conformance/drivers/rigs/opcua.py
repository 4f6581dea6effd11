"""The peer of the OPC UA driver: asyncua's server in a process of its own, behind a link that can be cut and made to lie.

Nobody here wrote that server, but it shares its codec with the driver's long way; what the driver's fast way reads is held
against it in tests/unit/drivers/opcua.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from isthmus.simulators.link import Link

_FILE = Path(__file__).parents[3] / "integration" / "drivers" / "opcua_server.py"
_SPEC = importlib.util.spec_from_file_location("opcua_server", _FILE)
assert _SPEC is not None
assert _SPEC.loader is not None
opcua_server = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(opcua_server)
URI = opcua_server.URI


class Rig:
    modes = {"subscribe": {}, "poll": {"mode": "poll"}}  # noqa: RUF012  read only
    capabilities = {  # noqa: RUF012  read only
        "subscribe": {"read", "stream", "browse", "probe", "write"},
        "poll": {"read", "browse", "probe", "write"},
    }
    refused = "ns=2;s=Pump.Nothing"
    unfit = {  # noqa: RUF012  read only
        "ns=2;s=Pump.Step int": [65_536, -1, 1.5, "4", math.nan],
        "ns=2;s=Pump.Set": ["3.25", math.inf],
        "ns=2;s=Pump.Label text": [5],
    }
    writable = {"ns=2;s=Pump.Step int": 4, "ns=2;s=Pump.Set": 3.25, "ns=2;s=Pump.Label text": "flap"}  # noqa: RUF012  read only
    truth = {  # noqa: RUF012  read only
        "ns=2;s=Pump.Speed": 1.5,
        f"nsu={URI};s=Pump.Ratio": 0.25,
        "ns=2;s=Pump.Count int": 7,
        "ns=2;s=Pump.Big int": -(2**40),
        "ns=2;s=Pump.On int": 1,
        "ns=2;s=Pump.Name text": "pump 7",
        "ns=2;s=Pump.Recipe [1] int": 20,
    }
    listed = [f"nsu={URI};s=Pump.Speed", f"nsu={URI};s=Pump.Count int", f"nsu={URI};s=Pump.Name text"]  # noqa: RUF012  read only
    later = {"ns=2;s=Pump.Speed": 9.5, "ns=2;s=Pump.Name text": "pump 8", "ns=2;s=Pump.Recipe [1] int": 21}  # noqa: RUF012  read only
    counting = "ns=2;s=Pump.Count int"
    every_change = False  # the protocol samples
    most_held = 100
    last_seen_s = 0.3

    def __init__(self) -> None:
        self._child: Any = None
        self._link = Link("127.0.0.1", 0)

    def settings(self, timeout_s: float) -> dict[str, Any]:
        return {"endpoint": f"opc.tcp://127.0.0.1:{self._link.port}", "timeout_s": timeout_s, "connect_timeout_s": 20.0}

    async def start(self) -> None:
        if self._child is None:
            self._child = opcua_server.shared()
            await self._child.asked(do="set", values=opcua_server.DEVICE)
            self._link.target = "127.0.0.1", self._child.port
        await self._link.start()

    async def stop(self) -> None:
        await self._link.stop()

    async def cut(self) -> None:
        await self._link.cut()

    def say(self, lie: Callable[[bytes], bytes] | None) -> None:
        self._link.tamper = lie

    async def change(self, values: dict[str, Any]) -> None:
        told = {}
        for address, value in values.items():
            name = address.rsplit(";s=", 1)[1].split()[0]
            kind = opcua_server.DEVICE[name][1]
            told[name] = ([10, value, 30] if "[1]" in address else value, kind)
        await self._child.asked(do="set", values=told)

    async def count(self, first: int, last: int) -> None:
        await self._child.asked(do="count", name="Pump.Count", first=first, last=last)

    async def mangle(self) -> int:
        """Values of types nobody agreed on; they are refused as bad rows, and nothing is dropped."""
        odd = {"Pump.Speed": ("00ff", "ByteString"), "Pump.Count": ([1, 2], "Int32"), "Pump.Recipe": (4, "Int16")}
        await self._child.asked(do="set", values=odd)
        await self._child.asked(do="set", values={name: opcua_server.DEVICE[name] for name in odd})
        return 0

    async def arrived(self, address: str) -> int:
        name = address.rsplit(";s=", 1)[1].split(maxsplit=1)[0]
        return int(await self._child.asked(do="arrived", name=name))

"""The whole hall as child processes: one per controller, one for the sensors, one for all load servers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from isthmus.simulators.bottling.hall import OPCUA, PLCS, open_state
from isthmus.simulators.bottling.plant import USER, plant_yaml

LOAD: Final = "load"
SENSORS: Final = "sensors"
_READY_S: Final = 90.0  # on a machine that does much else
_STOP_S: Final = 5.0


class Rig:
    """Starts the hall and ends it. Controllers keep their ports and counters over a restart; none starts again by itself.

    Use as `async with Rig(state_dir) as rig`. The children end with their standard input, so they never outlive us.
    """

    def __init__(self, state_dir: Path, scale: int = 0, seed: int = 1) -> None:
        self._state_dir, self._scale, self._seed = state_dir, scale, seed
        self._ports: dict[str, list[int]] = {}
        self._children: dict[str, asyncio.subprocess.Process] = {}
        self._listener: tuple[int, Mapping[str, tuple[str, str]]] | None = None
        self.password = ""
        """Of USER; made with the hall and kept beside its state."""

    @property
    def ports(self) -> dict[str, int]:
        """The port of each controller."""
        return {plc: self._ports[plc][0] for plc in PLCS if plc in self._ports}

    @property
    def load_ports(self) -> list[int]:
        """The port of each load server."""
        return self._ports.get(LOAD, [])[: self._scale]

    def plant_yaml(self) -> str:
        """The plant file for what runs here."""
        return plant_yaml(self.ports, self._scale, self.load_ports)

    async def __aenter__(self) -> Rig:
        await asyncio.to_thread(open_state, self._state_dir)  # once, rather than in six children at the same time
        self._ports = self._remembered()
        self.password = self._secret()
        try:
            names = [*PLCS, LOAD] if self._scale else PLCS
            started = await asyncio.gather(*map(self.start, names), return_exceptions=True)
            for failure in started:
                if isinstance(failure, BaseException):
                    raise failure
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*map(self.stop, list(self._children)))

    def running(self, plc: str) -> bool:
        """Whether its process is alive."""
        child = self._children.get(plc)
        return child is not None and child.returncode is None

    def pid(self, plc: str) -> int | None:
        """Of its process, while it runs."""
        return self._children[plc].pid if self.running(plc) else None

    async def connect(self, port: int, credentials: Mapping[str, tuple[str, str]]) -> None:
        """Start the sensors: they speak to the MQTT listener there, each with its (user, password).

        Raises: OSError if they do not come up
        """
        self._listener = (port, credentials)
        await self.start(SENSORS)

    async def start(self, plc: str) -> None:
        """Start one controller, or "load", at the ports it had before, or "sensors"; nothing happens if it runs.

        Raises: ValueError if there is no such controller, OSError if it does not come up
        """
        if plc == SENSORS and self._listener is not None:
            if not self.running(plc) and await self._spawn(plc, ()) is None:
                raise OSError("the sensors did not start; their message is above")
            return
        if plc not in PLCS and not (plc == LOAD and self._scale):
            raise ValueError(f"no controller {plc!r}, there are {', '.join(PLCS)}")
        if self.running(plc):
            return
        wanted = self._ports.get(plc, [])
        if plc == LOAD and len(wanted) < self._scale:
            wanted = [*wanted, *[0] * (self._scale - len(wanted))]
        wanted = wanted[: self._scale] if plc == LOAD else wanted
        ports = await self._spawn(plc, wanted)
        if ports is None and any(wanted):  # somebody else took a port meanwhile
            ports = await self._spawn(plc, [0] * len(wanted))
        if ports is None:
            raise OSError(f"{plc} did not start; its message is above")
        self._ports[plc] = ports
        self._remember()

    async def stop(self, plc: str) -> None:
        """End its process the orderly way."""
        await self._end(plc, kill=False)

    async def kill(self, plc: str) -> None:
        """End its process as a power cut does."""
        await self._end(plc, kill=True)

    async def _spawn(self, plc: str, ports: Sequence[int]) -> list[int] | None:
        """The ports it got, or None if it did not get ready."""
        words = ["-m", "isthmus.simulators.bottling", "--seed", str(self._seed)]
        first: object = None
        if plc == LOAD:
            words += ["--load", str(len(ports)), "--ports", ",".join(map(str, ports))]
        elif plc == SENSORS and self._listener is not None:
            listener, first = self._listener
            words = ["-m", "isthmus.simulators.bottling.sensors", "--port", str(listener)]
            words += ["--state-dir", str(self._state_dir)]
        else:
            words += ["--plc", plc, "--port", str(ports[0] if ports else 0), "--state-dir", str(self._state_dir)]
            first = {USER: self.password} if plc in OPCUA else None
        child = await asyncio.create_subprocess_exec(
            sys.executable, *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=_environment()
        )
        self._children[plc] = child
        if (
            first is not None and child.stdin is not None
        ):  # there rather than among the words, where everybody could read it
            child.stdin.write(json.dumps(first).encode() + b"\n")
        line = b""
        with contextlib.suppress(TimeoutError):
            line = await asyncio.wait_for(child.stdout.readline(), _READY_S) if child.stdout else b""
        said = line.decode().split()
        if said[:1] == ["ready"]:
            return [int(port) for port in said[1:]]
        await self.kill(plc)
        return None

    async def _end(self, plc: str, kill: bool) -> None:
        child = self._children.pop(plc, None)
        if child is None:
            return
        if child.returncode is None:
            child.kill() if kill else child.terminate()
        try:
            await asyncio.wait_for(child.wait(), _STOP_S)
        except TimeoutError:
            child.kill()
            await child.wait()
        if child.stdin is not None:
            child.stdin.close()

    def _secret(self) -> str:
        file = self._state_dir / "password"
        if not file.exists():
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
                out.write(secrets.token_urlsafe(24))
        return file.read_text()

    def _file(self) -> Path:
        return self._state_dir / "ports.json"

    def _remembered(self) -> dict[str, list[int]]:
        try:
            known = json.loads(self._file().read_text())
            return {str(name): [int(port) for port in ports] for name, ports in known.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}  # none yet, or spoilt: free ports are as good

    def _remember(self) -> None:
        part = self._file().with_suffix(".part")
        part.write_text(json.dumps(self._ports))
        part.replace(self._file())


def _environment() -> dict[str, str]:
    """Ours; the children find this package where we found it."""
    source = str(Path(__file__).resolve().parents[3])
    path = os.environ.get("PYTHONPATH", "")
    # one thread is enough for small arrays
    return {**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{path}" if path else source, "OPENBLAS_NUM_THREADS": "1"}

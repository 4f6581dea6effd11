"""`isthmus up`: starts the bus, core and the edges of this machine, keeps them running, stops them in reverse order.

Core's modules take longest to load, and it begins with them when this module is loaded: what is not needed before that (psutil, and
all that signs and seals) is imported in the functions below that use it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.app.datadir import DataDir
from isthmus.app.disk import DiskReserve
from isthmus.app.exposure import refuse
from isthmus.app.logs import log_to_files
from isthmus.app.notify import Notifier
from isthmus.app.process import SUPERVISED, die_with_parent
from isthmus.app.settings import Settings
from isthmus.app.spare import Spare
from isthmus.bus.broker import (
    BusAddress,
    BusTls,
    command,
    configure,
    find_binary,
    free_port,
    verify_binary,
    wait_ready,
    write_private,
)
from isthmus.bus.field import Devices, ListenerAddress, device_entry
from isthmus.values.clock import SystemClock
from isthmus.values.errors import ConfigError, NotConnected
from isthmus.values.hosts import is_loopback

if TYPE_CHECKING:
    import psutil

BACKOFF_S = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
STEADY_S = 10.0
"""A child that ran this long begins again with the shortest wait."""
STOP_S = 4.5
"""Everything together stops within this; what is left is killed."""
SPARE_AFTER_S = 1.0
"""A part that starts comes first; its spare is made after this."""
SPARE_AFTER_MAX_S = 300.0


@dataclass(slots=True)
class Child:
    """One process to keep running."""

    name: str
    argv: list[str]
    works: Callable[[], Awaitable[None]] | None = None
    """Waits until it is at work. A child that has this understands the option of `spare.py` and can have one."""
    spare: Spare | None = None
    providing: asyncio.Task[None] | None = None
    process: asyncio.subprocess.Process | None = None
    task: asyncio.Task[None] | None = None
    restarts: int = 0


class Supervisor:
    """Starts children, restarts those that die with a growing wait, says each death once.

    With ``spares`` each child that can have one has a spare, which takes its place at once (decision 0008).
    """

    def __init__(self, log: logging.Logger, pids: Path, *, spares: bool = False) -> None:
        self._log, self._pids, self._spares = log, pids, spares
        self._prepared: list[Child] = []
        self._children: list[Child] = []
        self._stopping = False

    async def prepare(self, child: Child) -> None:
        """Let a child load its modules already, while what it needs is not there yet; `add` then lets it begin."""
        self._prepared.append(child)
        child.spare = await Spare.start(child.argv)

    async def add(self, child: Child) -> None:
        """Start a child, which is stopped before those that were added earlier."""
        self._children.append(child)
        await self._spawn(child)
        child.task = asyncio.create_task(self._keep(child), name=f"keep-{child.name}")

    def provide(self) -> None:
        """Make spares, and keep them ready from now on: a part that starts needs the processor more than its spare does."""
        for child in self._children if self._spares else ():
            if child.works is not None:
                child.providing = asyncio.create_task(self._provide(child, child.works), name=f"spare-{child.name}")

    async def until(self, ready: Awaitable[None]) -> None:
        """Wait for something, or for a child that is gone for a reason that starting again cannot mend."""
        waiting = asyncio.ensure_future(ready)
        keeping = {c.task for c in self._children if c.task is not None}
        try:
            done, _ = await asyncio.wait({waiting, *keeping}, return_when=asyncio.FIRST_COMPLETED)
            for task in done & keeping:
                task.result()
            await waiting
        finally:
            waiting.cancel()

    async def _spawn(self, child: Child) -> None:
        spare, child.spare = child.spare, None
        child.process = await spare.take() if spare is not None else None
        if child.process is None:
            child.process = await asyncio.create_subprocess_exec(
                *child.argv,
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which stops the rest in order
                preexec_fn=die_with_parent,
            )
        write_private(self._pids, json.dumps({c.name: c.process.pid for c in self._children if c.process is not None}))
        self._tell()

    async def _provide(self, child: Child, works: Callable[[], Awaitable[None]]) -> None:
        """Keep one spare of a child ready, made once the child is at work; one that dies by itself is made again, later each time."""
        wait_s = SPARE_AFTER_S
        while True:
            await asyncio.sleep(wait_s)
            await works()
            try:
                spare = child.spare = await Spare.start(child.argv)
                self._tell()
                try:
                    died = await spare.until_over()
                finally:
                    await spare.end()
            except OSError:  # no memory for another process, say
                died = True
            child.spare = None
            self._tell()
            wait_s = min(2 * wait_s, SPARE_AFTER_MAX_S) if died else SPARE_AFTER_S
            if died:
                self._log.warning("there is no spare of %s any more, the next is tried in %g s", child.name, wait_s)

    def _tell(self) -> None:
        """Who runs and how often each was started again, for the page /system."""
        children = {
            c.name: {"pid": c.process.pid, "restarts": c.restarts} for c in self._children if c.process is not None
        }
        spares = {f"{c.name}-spare": {"pid": c.spare.pid, "restarts": 0} for c in self._children if c.spare is not None}
        known = {"up": {"pid": os.getpid(), "restarts": 0}, **children, **spares}
        write_private(self._pids.with_name("processes.json"), json.dumps(known))

    async def _keep(self, child: Child) -> None:
        failures = 0
        while True:
            assert child.process is not None  # noqa: S101  a child is kept only once it was spawned
            started = time.monotonic()
            code = await child.process.wait()
            if self._stopping:
                return
            if code == 2:
                raise ConfigError(f"{child.name}: cannot run with this configuration (see above)")
            failures = 0 if time.monotonic() - started > STEADY_S else failures + 1
            wait_s = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
            reason = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            self._log.warning("%s died (%s), starting it again in %g s", child.name, reason, wait_s)
            await asyncio.sleep(wait_s)
            child.restarts += 1
            await self._spawn(child)

    async def renew(self, name: str, why: str) -> None:
        """Stop a child, which is started again as if it had died."""
        for process in [c.process for c in self._children if c.name == name]:
            if process is None or process.returncode is not None:
                continue
            self._log.info("%s is started anew: %s", name, why)
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
                try:
                    await asyncio.wait_for(process.wait(), 3)
                except TimeoutError:
                    process.kill()

    async def wait(self) -> None:
        """Until a child cannot be kept any more, which is an error."""
        tasks = [c.task for c in self._children if c.task is not None]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def stop(self) -> None:
        """Stop in reverse order; what does not go by itself in time is killed."""
        self._stopping = True
        deadline = time.monotonic() + STOP_S
        providing = [c.providing for c in self._children if c.providing is not None]
        for task in providing:
            task.cancel()
        await asyncio.gather(*providing, return_exceptions=True)
        for child in self._prepared:
            if child.spare is not None:
                await child.spare.end()
        for child in reversed(self._children):
            if child.task is not None:
                child.task.cancel()
            process = child.process
            if process is None or process.returncode is not None:
                continue
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), max(0.3, deadline - time.monotonic()))
            except TimeoutError:
                self._log.warning("%s did not stop in time and was killed", child.name)
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        await asyncio.gather(*(c.task for c in self._children if c.task is not None), return_exceptions=True)
        self._pids.unlink(missing_ok=True)
        self._pids.with_name("processes.json").unlink(missing_ok=True)


def end_orphans(data: DataDir, log: logging.Logger) -> None:
    """Children of a supervisor that was killed may still be ending: wait for ours, and only ours, until they are gone.

    Two nats-servers on one store, or two edges on one device, must never be.
    """
    import psutil

    try:
        known = json.loads((data.run / "pids.json").read_text())
    except (FileNotFoundError, ValueError):
        return
    left, going = [], []
    for name, pid in known.items():
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(int(pid))
            if not process.cmdline():
                going.append(process)  # killed a moment ago: its memory is gone already, its ports and locks may not be
            elif str(data.root) in " ".join(process.cmdline()):
                log.warning("ending %s (process %d), left over from before", name, pid)
                process.terminate()
                left.append(process)
    for process in psutil.wait_procs(left, timeout=STOP_S)[1]:
        with contextlib.suppress(psutil.Error):
            process.kill()
            process.wait(5)
    deadline = time.monotonic() + STOP_S
    while any(map(_holds, going)) and time.monotonic() < deadline:
        time.sleep(0.01)


def _holds(process: psutil.Process) -> bool:
    """Whether a process that is going may still hold what it had open; a zombie without threads does not."""
    import psutil

    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1)
    except psutil.Error:
        return False


def check_port(host: str, port: int, what: str = "port") -> None:
    """Look whether core, or the MQTT listener, will get its port, before anything is started or changed.

    Raises: ConfigError when another program has it; any other trouble is core's to tell
    """
    with contextlib.suppress(OSError, UnicodeError):
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    choose = "choose another with --port" if what == "port" else "choose another"
                    raise ConfigError(
                        f"{what}: {port} on {host} is taken by another program; stop it, or {choose}, was {port}"
                    ) from None


async def run_up(
    data: DataDir,
    settings: Settings,
    port: int,
    stop: asyncio.Event,
    log: logging.Logger,
    on_ready: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """The supervisor's main: returns after stop was set and everything is down."""
    refuse(settings)
    data.prepare()
    log_to_files(data.logs, "up", settings.log)
    lock = data.lock("isthmus up")
    notifier = Notifier()
    supervisor = Supervisor(log, data.run / "pids.json", spares=settings.node.spare)
    me = [sys.executable, "-m", "isthmus"]
    common = ["--data", str(data.root), SUPERVISED, *(["--json"] if settings.log.json else [])]
    core = Child("core", [*me, "core", *common, "--port", str(port)], works=lambda: core_answers(data.socket, math.inf))
    edges = [Child(e, [*me, "edge", *common, "--name", e], works=_at_once) for e in settings.node.edges]
    try:
        for child in (core, *edges):
            await supervisor.prepare(child)  # seconds of imports, while we look and clear up
        from isthmus.app.enrolment import Enrolment
        from isthmus.app.secrets import Secrets

        end_orphans(data, log)
        Secrets.of(data.root, settings.secrets.key_file).seal_plain()
        check_port(settings.web.host, port)
        binary = find_binary()
        verify_binary(binary)
        tls, bus_port = _place_bus(data, settings, port, log)
        mqtt_port = _place_listener(data, settings, port)
        addresses = configure(
            data.bus,
            bus_port,
            list(settings.node.edges),
            _server_name(data),
            mqtt_port=mqtt_port,
            devices=[device_entry(d) for d in Devices(data.bus).all()],
            tls=tls,
            enrolled=Enrolment(data, settings, port, SystemClock()).keys(),
        )
        listener = Child("mqtt", [*me, "listener", *common]) if settings.mqtt.listen else None
        starting = asyncio.create_task(
            _start(supervisor, data, addresses["core"], binary, core, edges, listener), name="start"
        )
        stopping = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            await starting
            _say_ready(data, settings, port)
            notifier.say("READY=1", f"STATUS=serves port {port}")
            if on_ready is not None:
                await on_ready()
            supervisor.provide()
            keeping = asyncio.create_task(supervisor.wait(), name="keep")
            watching = asyncio.create_task(_watch_disk(supervisor, data, settings), name="disk")
            alive = asyncio.create_task(notifier.keep_alive(), name="watchdog")
            await asyncio.wait({keeping, watching, stopping}, return_when=asyncio.FIRST_COMPLETED)
            notifier.say("STOPPING=1")
            alive.cancel()
            for task in (keeping, watching):
                if task.done():
                    task.result()
                task.cancel()
        starting.cancel()
        stopping.cancel()
    finally:
        await supervisor.stop()
        lock.release()


async def _start(
    supervisor: Supervisor,
    data: DataDir,
    address: BusAddress,
    binary: Path,
    core: Child,
    edges: list[Child],
    listener: Child | None,
) -> None:
    """All at once, as each waits for those it needs: the imports of one overlap with those of the others."""
    await supervisor.add(Child("nats-server", command(binary, data.bus)))
    await supervisor.add(core)
    if listener is not None:
        await supervisor.add(Child("mqtt-server", command(binary, data.bus.field)))
        await supervisor.add(listener)
    for edge in edges:
        await supervisor.add(edge)
    await supervisor.until(wait_ready(address, math.inf))  # after a crash it may read gigabytes first
    await supervisor.until(core_answers(data.socket, math.inf))


async def _watch_disk(supervisor: Supervisor, data: DataDir, settings: Settings) -> None:
    """nats-server that once met the end of the disk refuses its stream from then on, room or not, until it starts anew."""
    reserve = DiskReserve(data.root, settings.disk.reserve_mb * 2**20)
    full = False
    while True:
        before, full = full, bool(reserve.reason())
        if before and not full:
            for server in ("nats-server", "mqtt-server"):
                await supervisor.renew(server, "the disk was full and has room again")
        await asyncio.sleep(1)


def _place_listener(data: DataDir, settings: Settings, web: int) -> int:
    """Decide where the MQTT listener will be and write it down; nats-server's own port for it, 0 while it is off.
    `web` is the port that core will take.
    """
    if not settings.mqtt.listen:
        data.bus.listener.unlink(missing_ok=True)
        return 0
    host, port = settings.mqtt.place
    if port:
        check_port(host, port, "mqtt.listen")
    address = ListenerAddress(host, port or free_port(web), free_port(web), free_port(web))
    address.save(data.bus.listener)
    return address.inner_port


def _place_bus(data: DataDir, settings: Settings, web: int, log: logging.Logger) -> tuple[BusTls | None, int]:
    """The certificates of this installation, and where the bus listens: on loopback, or by TLS where edges elsewhere reach it.
    `web` is the port that core will take.
    """
    from isthmus.app.ca import Authority, wanted_names

    authority = Authority(data.tls, SystemClock())
    names = wanted_names(settings)
    authority.server(names)
    authority.client()
    foreign = [n for n in names if not authority.may_vouch_for(n)]
    if foreign:
        log.warning(
            "the certificate lacks %s, which our authority may not vouch for; run `isthmus expose` again",
            ", ".join(foreign),
        )
    if not settings.bus.listen:
        return None, free_port(web)
    host, port = settings.bus.place
    check_port(host, port, "bus.listen")
    return BusTls(host, authority.server_file, authority.root_file, authority.client_file), port


def _server_name(data: DataDir) -> str:
    """Fixed for ever for this directory: MQTT state and leaf links hang on it."""
    file = data.bus.folder / "server_name"
    if not file.exists():
        write_private(file, f"isthmus-{os.urandom(6).hex()}")
    return file.read_text().strip()


async def _at_once() -> None:
    """An edge begins within a moment, and nobody can ask it."""


async def core_answers(socket: Path, timeout_s: float = 180.0) -> None:
    """Wait until the core of this data directory answers; on its own socket, as its port may be somebody else's.

    Raises: NotConnected when the time is over
    """
    deadline = time.monotonic() + timeout_s
    question = b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, TimeoutError):
            reader, writer = await asyncio.open_unix_connection(socket)
            try:
                writer.write(question)
                answer = await asyncio.wait_for(reader.read(), 2)
            finally:
                writer.close()
            if b'"ok"' in answer:
                return
        await asyncio.sleep(0.03)
    raise NotConnected(f"core did not answer on {socket} within {timeout_s:g} s")


def browser_address(settings: Settings, port: int) -> str:
    """What a browser is told."""
    from isthmus.app.ca import wanted_names

    host = "localhost" if is_loopback(settings.web.host) else wanted_names(settings)[0]
    return f"{'https' if settings.web.tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def _say_ready(data: DataDir, settings: Settings, port: int) -> None:
    address = browser_address(settings, port)
    link = data.run / "first-login"
    if link.exists():
        address = f"{address}/welcome?link={link.read_text().strip()}"
    print(f"Isthmus is ready: {address}", flush=True)  # noqa: T201  the one line a terminal or a script waits for

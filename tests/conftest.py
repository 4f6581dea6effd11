"""Fixtures every test shares: no test may leave a task, thread, socket or file behind."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import paho.mqtt.client
import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent


def _select(reading, writing, _broken, timeout_s):
    """``select.select`` for any descriptor. The embedded historian's threads hold some hundred, and select(2) ends at 1,024."""
    waiting = select.poll()
    for stream in {*reading, *writing}:
        waiting.register(stream, select.POLLIN * (stream in reading) | select.POLLOUT * (stream in writing))
    ready = {fd for fd, _ in waiting.poll(timeout_s * 1000)}
    return [s for s in reading if s.fileno() in ready], [s for s in writing if s.fileno() in ready], []


paho.mqtt.client.select = SimpleNamespace(select=_select)  # paho waits with select(2) alone

# How long an example takes says how busy the machine is.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def _open_files() -> dict[int, str]:
    """Descriptors that name something a test could have opened: files, sockets and pipes."""
    folder = Path("/proc/self/fd") if Path("/proc/self/fd").is_dir() else Path("/dev/fd")
    found = {}
    for name in os.listdir(folder):  # noqa: PTH208  iterdir would keep its own descriptor open while we look
        try:
            found[int(name)] = str((folder / name).readlink())
        except (OSError, ValueError):
            continue
    return found


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest):
    """Fails a test that leaves threads or descriptors behind; give `@pytest.mark.leaks("why")` where a library must."""
    if request.node.get_closest_marker("leaks"):
        yield
        return
    threads = set(threading.enumerate())
    files = _open_files()
    gc.freeze()  # what lives already need not be looked at again when we collect below
    yield
    deadline = time.monotonic() + 3
    while True:
        gc.collect()
        left = [
            t for t in threading.enumerate() if t not in threads and t.is_alive() and not t.name.startswith("asyncio_")
        ]
        now = _open_files()
        opened = {
            fd: name
            for fd, name in now.items()
            if fd not in files and not name.startswith(("anon_inode", "/dev/", "/proc"))
        }
        if not left and not opened:
            return
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    problems = [f"thread {t.name}" for t in left] + [f"descriptor {fd} {name}" for fd, name in opened.items()]
    pytest.fail("left behind: " + ", ".join(problems))


@pytest.fixture(autouse=True)
async def no_task_left_behind(request: pytest.FixtureRequest):
    """Fails an async test that ends while tasks it started still run."""
    if request.node.get_closest_marker("leaks"):
        yield
        return
    before = asyncio.all_tasks()
    yield
    for _ in range(50):
        left = {t for t in asyncio.all_tasks() - before if not t.done()} - {asyncio.current_task()}
        if not left:
            return
        await asyncio.sleep(0.02)
    pytest.fail("tasks left behind: " + ", ".join(t.get_name() + " " + repr(t.get_coro()) for t in left))


@pytest.fixture
def short_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's past is three days of half an hour, ended as whole ones are."""
    from isthmus.simulators.bottling import fast, quarter

    length_s = 1_800

    def days(start_s: int, end_s: int, seed: int, zone: str = "") -> list[fast.Day]:
        return [fast.Day(end_s - (3 - d) * length_s, length_s, (seed, 738_000 + d)) for d in range(3)]

    monkeypatch.setattr(quarter, "production_days", days)
    monkeypatch.setattr(fast, "EMPTY_S", dict.fromkeys(fast.MACHINES, 300))
    monkeypatch.setattr(fast, "CLEARED_S", 100)

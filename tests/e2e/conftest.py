"""What these tests share: one demo, one empty installation, one browser, started once and gone after the last of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, async_playwright, expect

from isthmus.app.local import call
from isthmus.bench.system import System, environment

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "ui" / "node_modules" / "axe-core" / "axe.min.js"
PATIENCE_S = 90  # what takes a second alone may take many beside other work; nothing here waits longer than it must
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run", "--disable-quic"),
)
SIZES = {"desk": (1440, 900), "phone": (390, 844), "narrow": (320, 640), "zoomed": (720, 450), "wall": (2560, 1440)}
READY = re.compile(r"^Isthmus is ready: (http://[^/\s]+)(\S*)$", re.MULTILINE)

expect.set_options(timeout=PATIENCE_S * 1000)
BOTH_WAYS = (
    ("desk", "light"),
    ("phone", "dark"),
    pytest.param("desk", "dark", marks=pytest.mark.soak),
    pytest.param("phone", "light", marks=pytest.mark.soak),
)
"""Sizes and themes: each of both is seen every time, all four together in `make soak`."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str


async def isthmus(*words: str | Path) -> Done:
    """Run `isthmus …` to its end, as a terminal would."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "isthmus", *map(str, words)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
    )
    out, err = await asyncio.wait_for(process.communicate(), 2 * PATIENCE_S)
    return Done(process.returncode or 0, out.decode(), err.decode())


async def until(
    ask: Callable[[], Awaitable[Any]], holds: Callable[[Any], bool], what: str, patience_s: float = PATIENCE_S
) -> Any:
    """The first answer that holds; fails with the last one when patience ends."""
    last: object = "nothing"
    answers = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            while True:
                answer = await ask()
                if holds(answer):
                    return answer
                last = answer
                answers += 1
                await asyncio.sleep(0.1)
    pytest.fail(f"{what}: not within {patience_s} s; the last of {answers} answers was {last!r}")


def standing_port() -> int:
    """A loopback port for a demo that is started anew on it: below all that `free_port` gives to the others, as nobody
    holds it while the demo is down or still beginning."""
    for port in random.sample(range(4_000, 10_000), 100):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    pytest.fail("none of a hundred ports from 4000 to 9999 is free")


class Demo:
    """`isthmus demo` in processes of its own, as somebody starts it in a terminal."""

    def __init__(self, folder: Path) -> None:
        self.data, self.port = folder / "demo", standing_port()
        self.origin, self.link = "", ""
        self._log = folder / "demo.log"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start (again, on the same folder and port) and wait for the line that says it is ready."""
        said = len(self.log())
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "isthmus", "demo", "--data", str(self.data), "--port", str(self.port)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment(),
            )

        async def ready() -> re.Match[str] | None:
            if self._process is not None and self._process.returncode is not None:
                pytest.fail(f"the demo ended with {self._process.returncode}:\n{self.log()[-3000:]}")
            return READY.search(self.log()[said:])

        found = await until(ready, bool, "the demo says it is ready", 3 * PATIENCE_S)  # a dozen processes begin
        assert found is not None
        self.origin, self.link = found[1], found[2]

    async def stop(self) -> int:
        """Ctrl-C; its exit code."""
        if self._process is None:
            return 0
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGINT)
        return await asyncio.wait_for(self._process.wait(), PATIENCE_S)

    async def kill_all(self) -> int:
        """Kill -9 of everything at once, as a power cut; the number of processes."""
        assert self._process is not None
        root = psutil.Process(self._process.pid)
        everything = [root, *root.children(recursive=True)]
        for end in (psutil.Process.suspend, psutil.Process.kill):  # none may hear of another's death and say goodbye
            for process in everything:
                with contextlib.suppress(psutil.NoSuchProcess):
                    end(process)
        await self._process.wait()
        return len(everything)

    def log(self) -> str:
        """Everything it printed."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """A call through the socket in the data directory, as the command line makes it."""
        return await asyncio.to_thread(call, self.data, method, path, body)

    async def value(self, path: str) -> dict[str, Any]:
        """What the live table holds for one tag."""
        under = path.rsplit("/", 1)[0]
        return next(v for v in (await self.ask("GET", f"tags/values?under={under}"))["values"] if v["path"] == path)

    async def plug(self, plc: str, *, out: bool) -> None:
        """Pull the plug of a PLC, or put it back, by the command."""
        done = await isthmus("demo", "stop" if out else "start", plc, "--data", self.data)
        assert done.code == 0, done.err


@dataclass
class Screen:
    """A page in a context of its own, with everything it complained about."""

    page: Page
    origin: str
    trouble: list[str] = field(default_factory=list)

    async def go(self, path: str) -> Page:
        """Open a path."""
        await self.page.goto(f"{self.origin}{path}")
        await expect(self.page.locator("h1")).to_be_visible()
        return self.page


@pytest.fixture(scope="package")
def own_folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("e2e")


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def demo(own_folder) -> AsyncIterator[Demo]:
    """The demo, running, every PLC connected."""
    running = Demo(own_folder)
    try:
        await running.start()
        await until(
            lambda: running.ask("GET", "connections"),
            lambda a: len(a["connections"]) == 8 and {c["state"] for c in a["connections"]} == {"Good"},
            "all PLCs of the demo are connected",
            3 * PATIENCE_S,
        )
        yield running
        assert await running.stop() == 0
    finally:
        if running._process is not None and running._process.returncode is None:
            await running.kill_all()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def own(own_folder) -> AsyncIterator[System]:
    """An installation as `isthmus init` and `isthmus up` make it, without a plant."""
    made = await isthmus("init", "--data", own_folder / "own")
    assert made.code == 0, made.err
    async with System(own_folder / "own") as system:
        yield system


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    program = os.environ.get("ISTHMUS_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    program = program or shutil.which("google-chrome")
    if program is None:
        pytest.fail("no Chromium: run `make browser`, or name one in ISTHMUS_CHROMIUM")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=list(QUIET))
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def signed_in(demo, chromium) -> Any:
    """The cookies of somebody who opened the link that the demo printed."""
    context = await chromium.new_context()
    context.set_default_timeout(PATIENCE_S * 1000)
    page = await context.new_page()
    await page.goto(demo.origin + demo.link)
    await page.get_by_role("button", name="Later").click()
    await expect(page).to_have_url(f"{demo.origin}/overview")
    state = await context.storage_state()
    await context.close()
    return state


Opens = Callable[..., Awaitable[Screen]]


@pytest_asyncio.fixture(loop_scope="session")
async def opens(chromium) -> AsyncIterator[Opens]:
    """Opens screens: `await opens(origin, state)`; a screen that complained in its console fails the test."""
    screens: list[tuple[BrowserContext, Screen]] = []

    async def one(
        origin: str, state: Any, size: str = "desk", theme: str = "light", script: Path | None = None
    ) -> Screen:
        width, height = SIZES[size]
        context = await chromium.new_context(
            viewport={"width": width, "height": height}, storage_state=state, has_touch=size == "phone"
        )
        context.set_default_timeout(PATIENCE_S * 1000)
        await context.add_init_script(f"localStorage.setItem('isthmus.theme', '{theme}')")
        if script is not None:
            await context.add_init_script(path=script)
        screen = Screen(await context.new_page(), origin)

        def heard(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                screen.trouble.append(f"{screen.page.url}: {message.type}: {message.text}")

        screen.page.on("console", heard)
        screen.page.on("pageerror", lambda error: screen.trouble.append(f"{screen.page.url}: {error}"))
        screens.append((context, screen))
        return screen

    yield one
    for context, _ in screens:
        await context.close()
    assert [line for _, screen in screens for line in screen.trouble] == []

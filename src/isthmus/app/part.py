"""What runs a part of an installation: read from the command line without the library of all the other commands.

That library, and what it needs to check an argument, takes longer to load than an edge; a part that died is awaited. Only what
is plainly right is read here: help, mistakes and every other command are the commands' own (`cli/processes.py`).
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from isthmus.app.datadir import DataDir
from isthmus.app.process import SUPERVISED, run
from isthmus.app.settings import Settings, load_settings
from isthmus.app.spare import OPTION, stand_by

DEFAULT_DATA = Path("data")
_DATA, _PORT, _JSON = "--data", "--port", "--json"
_OPTIONS = {
    "up": {_DATA, _PORT, _JSON},
    "core": {_DATA, _PORT, _JSON, SUPERVISED, OPTION},
    "edge": {_DATA, "--name", "--bus", _JSON, SUPERVISED, OPTION},
    "listener": {_DATA, _JSON, SUPERVISED},
}
_FLAGS = {_JSON, SUPERVISED, OPTION}


@dataclass(frozen=True, slots=True)
class Wish:
    """Which part shall run, and how."""

    part: str
    data: Path = DEFAULT_DATA
    port: int | None = None
    name: str = "edge-1"
    bus: Path | None = None
    json: bool = False
    supervised: bool = False
    spare: bool = False


def read(words: Sequence[str]) -> Wish | None:
    """The words of a command line, if they plainly wish for a part; else None, and somebody else explains."""
    if not words or words[0] not in _OPTIONS:
        return None
    known = _OPTIONS[words[0]]
    values: dict[str, str] = {}
    rest = iter(words[1:])
    for word in rest:
        value = "yes" if word in _FLAGS else next(rest, "")
        if word not in known or word in values or not value or value.startswith("-"):
            return None
        values[word] = value
    port = values.get(_PORT, "1")
    if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= 65_535):
        return None
    return Wish(
        words[0],
        Path(values.get(_DATA, DEFAULT_DATA)),
        int(port) if _PORT in values else None,
        values.get("--name", "edge-1"),
        Path(values["--bus"]) if "--bus" in values else None,
        json=_JSON in values,
        supervised=SUPERVISED in values,
        spare=OPTION in values,
    )


def start(wish: Wish) -> int:
    """Run the part to its end; the exit code.

    Raises: ConfigError if its settings are wrong
    """
    load, more, work = _PARTS[wish.part]
    stand_by(load, more, waits=wish.spare)
    place = DataDir(wish.data.resolve())
    settings = load_settings(place.settings)
    settings = dataclasses.replace(settings, log=dataclasses.replace(settings.log, json=settings.log.json or wish.json))

    async def main(stop: asyncio.Event, log: logging.Logger) -> None:
        await work(wish, place, settings, stop, log)

    said_by = {"edge": wish.name, "listener": "mqtt"}.get(wish.part, wish.part)
    return run(said_by, main, supervised=wish.supervised, structured=settings.log.json)


async def _up(wish: Wish, place: DataDir, settings: Settings, stop: asyncio.Event, log: logging.Logger) -> None:
    from isthmus.app.up import run_up

    await run_up(place, settings, wish.port or settings.web.port, stop, log)


async def _core(wish: Wish, place: DataDir, settings: Settings, stop: asyncio.Event, log: logging.Logger) -> None:
    from isthmus.app.core import run_core

    await run_core(place, settings, wish.port or settings.web.port, stop, log)


async def _edge(wish: Wish, place: DataDir, settings: Settings, stop: asyncio.Event, log: logging.Logger) -> None:
    from isthmus.app.edge import run_edge

    await run_edge(place, settings, wish.name, wish.bus, stop, log)


async def _listener(wish: Wish, place: DataDir, settings: Settings, stop: asyncio.Event, log: logging.Logger) -> None:
    from isthmus.app.listener import run_listener

    await run_listener(place, settings, stop, log)


def _load_up() -> None:
    import isthmus.app.up  # noqa: F401  loading it is all that is wanted


def _load_core() -> None:
    """What core imports to open its record; not the historian's engine, which begins to run when it is imported."""
    import clickhouse_connect.driver.httputil  # noqa: F401  the historian would load it when it opens

    import isthmus.app.core  # noqa: F401  loading it is all that is wanted


def _load_more_of_core() -> Iterator[None]:
    """What core loads while the record opens and when it goes on, and the drivers, whose settings it knows."""
    from isthmus.app.core import load_first, load_ground, load_rooms
    from isthmus.ports.drivers import drivers

    load_ground()
    yield
    load_first()
    yield
    yield from load_rooms()
    drivers()


def _nothing() -> Iterator[None]:
    """The others load all they need at once."""
    yield from ()


def _load_edge() -> None:
    import isthmus.app.edge  # noqa: F401  loading it is all that is wanted


def _load_more_of_edge() -> Iterator[None]:
    """All drivers; an edge that is awaited loads those of its own connections only."""
    from isthmus.ports.drivers import drivers

    drivers()
    yield


def _load_listener() -> None:
    import isthmus.app.listener  # noqa: F401  loading it is all that is wanted


_Work = Callable[[Wish, DataDir, Settings, asyncio.Event, logging.Logger], Awaitable[None]]
_PARTS: dict[str, tuple[Callable[[], None], Callable[[], Iterator[None]], _Work]] = {
    "up": (_load_up, _nothing, _up),
    "core": (_load_core, _load_more_of_core, _core),
    "edge": (_load_edge, _load_more_of_edge, _edge),
    "listener": (_load_listener, _nothing, _listener),
}

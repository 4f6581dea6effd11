"""What a driver is, and how it makes itself known.

A driver is the set of capabilities it has: `Polls`, `Streams`, `Browses`, `Probes` (writing is in `ports/writes.py`).
It never sleeps, retries or logs a repeated failure; its supervisor does. Building one touches no network; `open` may
be called again after a failure; `close` is safe at any time.

Errors tell the supervisor what to do: `NotConnected` closes, backs off and opens again; `TryLater` waits;
`Rejected` marks what was asked as bad and goes on; `ConfigError` stops the connection until its model changes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from isthmus.ports.registry import Registry
from isthmus.ports.settings import configured
from isthmus.values.clock import Clock
from isthmus.values.errors import ConfigError
from isthmus.values.model import Budget
from isthmus.values.sample import SampleBatch, ValueType


@dataclass(frozen=True, slots=True)
class Point:
    """One thing to read. ``id`` is echoed back in the batch and means nothing to the driver."""

    id: int
    address: str
    period_s: float = 1.0
    """How often its tag wants to know; a driver that subscribes asks for no more."""


@dataclass(frozen=True, slots=True)
class Address:
    """What a driver can tell about an address without any network.

    ``area`` with [start, stop) tells what it occupies in the device, so that a plan can find overlaps; empty area: unknown
    Units: start, stop in bits
    """

    type: ValueType
    area: str = ""
    start: int = 0
    stop: int = 0


@dataclass(slots=True)
class Traffic:
    """Counted by the driver, read by its supervisor. Counts only grow.

    Units: slowest_s is the longest answer since the supervisor last set it to 0
    """

    requests: int = 0
    errors: int = 0
    dropped: int = 0  # replies that belonged to no request, or came malformed
    sent_bytes: int = 0
    received_bytes: int = 0
    slowest_s: float = 0.0
    last_error: str = ""


@runtime_checkable
class Driver(Protocol):
    """What every driver has. ``traffic`` is one object for the driver's whole life."""

    traffic: Traffic

    async def open(self) -> None:
        """Connect. Called by the supervisor before the first read and after each failure.

        Raises: NotConnected with the reason in words a technician understands
        """
        ...

    async def close(self) -> None:
        """Release everything; safe at any time, in any state, twice."""
        ...


@runtime_checkable
class Polls(Driver, Protocol):
    """Answers when asked."""

    async def read(self, points: Sequence[Point]) -> Sequence[SampleBatch]:
        """Read all points once; called with the same sequence object again and again, so plans may be kept for it.

        Shapes: n points -> at most one batch per value type, n rows in all, all with one time_ns: when the last byte
                had arrived. What the device refuses comes as rows with a bad status
        Raises: NotConnected when the link is gone
        """
        ...


@runtime_checkable
class Streams(Driver, Protocol):
    """Speaks by itself once it was told what is of interest."""

    def stream(self, points: Sequence[Point]) -> AsyncIterator[Sequence[SampleBatch]]:
        """Subscribe and yield batches as they come, until the link is gone (NotConnected) or the iterator is closed."""
        ...


@runtime_checkable
class Confirms(Streams, Protocol):
    """Confirms to its device what has arrived, and must not do so before it is safe."""

    def delivered(self, count: int, *, whole: bool) -> None:
        """What the first ``count`` yields of the running stream brought is on the bus (or had nothing new to say).

        Not ``whole``: some of it was dropped before it got there. It is not confirmed; the device may send it again.
        """
        ...


class Kept(tuple[SampleBatch, ...]):
    """Yielded by a stream in place of plain batches: what the device had kept while it was away.

    It becomes part of the record at its own times, by the backfill lane, and never changes what is shown as the newest value.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Found:
    """One thing a device offers."""

    address: str
    name: str
    type: ValueType
    description: str = ""
    unit: str = ""
    note: str = ""
    """Why it cannot be read as it is, and what to write instead; empty for most."""


@runtime_checkable
class Browses(Driver, Protocol):
    """Can list what it offers."""

    async def browse(self, root: str = "") -> Sequence[Found]:
        """Everything below ``root``, in the device's order."""
        ...


@runtime_checkable
class Probes(Driver, Protocol):
    """Can tell how far a connection gets, step by step."""

    async def probe(self) -> Sequence[tuple[str, bool, str]]:
        """Steps in order as (what, reached, detail), e.g. ("Port 502 open", True, "1.2 ms"); stops at the first failure."""
        ...


def no_secrets(reference: str) -> str:
    """For drivers that run where nothing is kept.

    Raises: ConfigError, always
    """
    raise ConfigError(f"{reference}: there are no secrets here")


@dataclass(frozen=True, slots=True)
class FieldAddress:
    """The built-in MQTT listener as an edge reaches it."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)


def no_field() -> FieldAddress:
    """For drivers that run where no MQTT listener is.

    Raises: ConfigError, always
    """
    raise ConfigError("broker: there is no built-in MQTT listener here")


@dataclass(frozen=True, slots=True)
class DriverContext:
    """What a driver is handed besides its settings. ``home`` may not exist yet; whoever keeps something makes it."""

    budget: Budget
    clock: Clock
    name: str = "isthmus"
    """Who it is on its network: unique over edges and connections of a site, the same after a restart."""
    home: Path = Path("drivers")
    """Private folder of all drivers of this kind on this edge: keys, certificates, whom they trust."""
    secret: Callable[[str], str] = no_secrets
    """What a reference in the settings stands for (`values/secrets.py`). Raises: ConfigError naming the reference"""
    field: Callable[[], FieldAddress] = no_field
    """Where the built-in MQTT listener is now. Raises: ConfigError while it is off"""
    lasting: bool = True
    """Whether it runs for long; one that is here for a test read leaves nothing behind in the device."""


DriverFactory = Callable[[Any, DriverContext], Driver]
Build = TypeVar("Build", bound=DriverFactory)

ContextOf = Callable[[str, str, Budget], DriverContext]
"""The context for (driver kind, connection, budget)."""


@dataclass(frozen=True, slots=True)
class DriverSpec:
    """A registered driver. ``build(config, context)`` makes one for a checked config."""

    name: str
    config: type[Any]
    build: DriverFactory
    parse_address: Callable[[str], Address]
    title: str = ""

    def configure(self, settings: dict[str, Any]) -> object:
        """The checked config object.

        Raises: ConfigError naming the key, the problem and the value
        """
        return configured(self.config, settings, f"driver {self.name}")


_REGISTRY: Registry[DriverSpec] = Registry("driver")


def driver(
    name: str, *, config: type[Any], parse_address: Callable[[str], Address], title: str = ""
) -> Callable[[Build], Build]:
    """Register a driver class under its type name; it is built as ``cls(config, context)``.

    A function of the same two serves where the settings decide which class it is.

    Raises: ValueError if two drivers want one name
    """

    def register(cls: Build) -> Build:
        _REGISTRY.add(DriverSpec(name, config, cls, parse_address, title or name))
        return cls

    return register


def drivers() -> dict[str, DriverSpec]:
    """All drivers by name: those that entry points of the group `isthmus.drivers` bring, imported once on first use."""
    return _REGISTRY.all()


def driver_spec(name: str) -> DriverSpec:
    """One driver.

    Raises: ConfigError listing the known ones
    """
    return _REGISTRY.get(name)

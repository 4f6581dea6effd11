"""What a connector is, and how it makes itself known: the mirror image of a driver, it carries samples out of Isthmus.

A connector delivers one batch at a time and returns when the other side has it for good. It never sleeps, retries,
counts or logs a repeated failure; its runner does. Building one touches no network; `open` may be called again after a
failure; `close` is safe at any time.

Errors tell the runner what to do: `NotConnected` closes, backs off, opens again and delivers the same batch;
`TryLater` waits and delivers the same batch; `Rejected` puts the batch among the dead letters and goes on; `ConfigError`
stops the connector until its plant changes. Anything else is a bug: its traceback is kept, once, and the same batch
comes again as after `NotConnected`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from isthmus.ports.drivers import no_secrets
from isthmus.ports.registry import Registry
from isthmus.ports.settings import configured
from isthmus.values.clock import Clock
from isthmus.values.sample import SampleBatch, ValueType


@dataclass(frozen=True, slots=True)
class TagTable:
    """The tags a connector gets, column by column; row i is one tag, ids ascending. Handed over once, by `open`.

    ``version`` is the plant version it was made from
    """

    version: int
    enterprise: str
    site: str
    id: NDArray[np.int32]
    path: Sequence[str]
    unit: Sequence[str]
    type: Sequence[ValueType]

    def __len__(self) -> int:
        return len(self.id)

    def rows_of(self, ids: NDArray[np.int32]) -> NDArray[np.intp]:
        """Where the tags of a batch stand in this table. Shapes: (n,) -> (n,)"""
        return np.searchsorted(self.id, ids)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One batch on its way out: at most one `SampleBatch` per value type, in the order of arrival within each.

    ``key`` names this content for ever: a batch that comes again (nobody knew whether it had arrived) comes with the
    same key, so that the other side can tell the double.
    """

    key: str
    batches: tuple[SampleBatch, ...]

    @property
    def rows(self) -> int:
        """Samples in it."""
        return sum(len(b) for b in self.batches)


class Connector(Protocol):
    """What every connector has."""

    async def open(self, tags: TagTable) -> None:
        """Connect. Called by the runner before the first delivery, after each failure, and when the tags have changed.

        Raises: NotConnected with the reason in words for people
        """
        ...

    async def deliver(self, delivery: Delivery) -> None:
        """Hand the batch over; when this returns, the other side has it and it is never sent again.

        Raises: NotConnected when nobody knows whether it arrived, TryLater when the other side is busy, Rejected when it
                has said no for good
        """
        ...

    async def close(self) -> None:
        """Release everything; safe at any time, in any state, twice."""
        ...


@dataclass(frozen=True, slots=True)
class ConnectorContext:
    """What a connector is handed besides its settings. ``home`` may not exist yet; whoever keeps something makes it."""

    clock: Clock
    name: str = "isthmus"
    """Who it is to the other side: unique over the connectors of a site, the same after a restart."""
    home: Path = Path("connectors")
    """Private folder of all connectors of this kind."""
    secret: Callable[[str], str] = no_secrets
    """What a reference in the settings stands for (`values/secrets.py`). Raises: ConfigError naming the reference"""


ConnectorFactory = Callable[[Any, ConnectorContext], Connector]


@dataclass(frozen=True, slots=True)
class ConnectorSpec:
    """A registered connector. ``build(config, context)`` makes one for a checked config."""

    name: str
    config: type[Any]
    build: ConnectorFactory
    title: str = ""

    def configure(self, settings: dict[str, Any]) -> object:
        """The checked config object.

        Raises: ConfigError naming the key, the problem and the value
        """
        return configured(self.config, settings, f"connector {self.name}")


_REGISTRY: Registry[ConnectorSpec] = Registry("connector")


def connector(name: str, *, config: type[Any], title: str = "") -> Callable[[type[Any]], type[Any]]:
    """Register a connector class under its type name; the class is built as ``cls(config, context)``.

    Raises: ValueError if two connectors want one name
    """

    def register(cls: type[Any]) -> type[Any]:
        _REGISTRY.add(ConnectorSpec(name, config, cls, title or name))
        return cls

    return register


def connectors() -> dict[str, ConnectorSpec]:
    """All connectors by name: those that entry points of the group `isthmus.connectors` bring, imported on first use."""
    return _REGISTRY.all()


def connector_spec(name: str) -> ConnectorSpec:
    """One connector.

    Raises: ConfigError listing the known ones
    """
    return _REGISTRY.get(name)

"""A receiver that is a file: one line per sample."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from isthmus.ports.connectors import ConnectorContext, Delivery, TagTable, connector
from isthmus.values.errors import ConfigError, NotConnected


@dataclass(frozen=True, slots=True)
class LinesConfig:
    """Settings of one file of lines."""

    path: str
    """The file; lines are added to it."""

    def __post_init__(self) -> None:
        if not Path(self.path).is_absolute():
            raise ConfigError(f"path: must begin with /, was {self.path!r}")


@connector("lines", config=LinesConfig, title="Lines in a file")
class Lines:
    """Each line tells the key of its delivery, so that a reader can tell doubles."""

    def __init__(self, config: LinesConfig, context: ConnectorContext) -> None:
        self._path = Path(config.path)
        self._tags: TagTable | None = None

    async def open(self, tags: TagTable) -> None:
        self._tags = tags

    async def close(self) -> None:
        self._tags = None

    async def deliver(self, delivery: Delivery) -> None:
        tags = self._tags
        if tags is None:
            raise NotConnected("not open")
        with self._path.open("a") as file:
            for batch in delivery.batches:
                for row, value in zip(tags.rows_of(batch.id).tolist(), batch.value.tolist(), strict=True):
                    file.write(json.dumps([delivery.key, tags.path[row], value]) + "\n")

"""A device that needs no device: every point is the same wave."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isthmus.ports.drivers import Address, DriverContext, Point, Traffic, driver
from isthmus.values.errors import ConfigError
from isthmus.values.sample import SampleBatch, ValueType


@dataclass(frozen=True, slots=True)
class SineConfig:
    """Settings of one sine device."""

    period_s: float = 60.0
    """Seconds per cycle; more than zero."""

    def __post_init__(self) -> None:
        if not self.period_s > 0:
            raise ConfigError(f"period_s: must be more than 0, was {self.period_s}")


def parse_address(text: str) -> Address:
    """The phase: a part of a cycle, such as `0.25`."""
    try:
        float(text)
    except ValueError:
        raise ConfigError(f"address must be a number, the part of a cycle, was {text!r}") from None
    return Address(ValueType.FLOAT)


@driver("sine", config=SineConfig, parse_address=parse_address, title="Sine")
class Sine:
    """Every point reads the same wave, shifted by the phase in its address."""

    def __init__(self, config: SineConfig, context: DriverContext) -> None:
        self._config, self._clock = config, context.clock
        self.traffic = Traffic()

    async def open(self) -> None: ...  # a real driver connects here

    async def close(self) -> None: ...  # and releases here, safe at any time

    async def read(self, points: Sequence[Point]) -> Sequence[SampleBatch]:
        """Read all points once. Shapes: n points -> at most one batch per value type, n rows in all."""
        now_ns = self._clock.now_ns()
        turns = now_ns / 1e9 / self._config.period_s
        phase = np.array([float(p.address) for p in points])
        self.traffic.requests += 1
        wave = SampleBatch(
            id=np.array([p.id for p in points], np.int32),
            time_ns=np.full(len(points), now_ns, np.int64),
            value=np.sin(2 * math.pi * (turns + phase)),
            status=np.zeros(len(points), np.uint32),
        )
        return [wave]

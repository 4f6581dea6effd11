"""A test read for whoever sets up a connection: a driver of its own, opened, asked once, closed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from isthmus.ports.drivers import Browses, Driver, DriverContext, DriverSpec, Found, Point, Polls, Probes, Streams
from isthmus.values.clock import Clock
from isthmus.values.errors import ConfigError, IsthmusError, NotConnected, Rejected
from isthmus.values.sample import SampleBatch, ValueType
from isthmus.values.status import BAD_CONFIGURATION_ERROR, BAD_NO_DATA, name

PROBE = "test-read"
"""Who a probe is on the network, where a connection would give its name."""

PROBE_S = 15.0
"""A probe is cut after this long in all."""

BROWSE_S = 45.0
"""… and a browse, which may have a lot to list."""

MAX_FOUND = 50_000
"""A longer list is refused, with the advice to look below a node."""

CLOSE_S = 2.0
MAX_ADDRESSES = 100


@dataclass(frozen=True, slots=True)
class ProbeStep:
    """How far the connection got, in words for a technician."""

    what: str
    reached: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What one address answered, raw. ``value`` is None where the status is bad."""

    address: str
    value: float | int | str | None
    status: str
    problem: str = ""  # what is wrong with the address itself; it was not asked for then


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """Steps in order, the first failure last, and one reading per address when it came so far."""

    steps: tuple[ProbeStep, ...]
    readings: tuple[Reading, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every step was reached."""
        return all(step.reached for step in self.steps)


async def run_probe(spec: DriverSpec, config: object, addresses: Sequence[str], context: DriverContext) -> ProbeReport:
    """Probe a device with the smallest budget there is. Failures are steps, not exceptions.

    Cost: at most PROBE_S + CLOSE_S; addresses beyond MAX_ADDRESSES are not read
    """
    clock = context.clock
    driver: Driver = spec.build(config, context)
    steps: list[ProbeStep] = []
    readings: list[Reading] = []
    try:
        async with asyncio.timeout(PROBE_S):
            await _walk(spec, driver, addresses[:MAX_ADDRESSES], clock, steps, readings)
    except TimeoutError:
        steps.append(ProbeStep("Answer in time", reached=False, detail=f"nothing within {PROBE_S:.0f} s"))
    except IsthmusError as error:
        steps.append(ProbeStep(_doing(steps), reached=False, detail=str(error)))
    except Exception as error:
        steps.append(ProbeStep(_doing(steps), reached=False, detail=f"the driver failed: {error!r}"))
    finally:
        await _close(driver)
    return ProbeReport(tuple(steps), tuple(readings))


async def run_browse(spec: DriverSpec, config: object, root: str, context: DriverContext) -> Sequence[Found]:
    """What a device offers below ``root``, by a driver of its own.

    Raises: ConfigError where the driver cannot browse, the root is none, or there is too much; NotConnected
    """
    driver: Driver = spec.build(config, context)
    if not isinstance(driver, Browses):
        raise ConfigError(f"driver {spec.name}: its devices cannot tell what they offer")
    try:
        async with asyncio.timeout(BROWSE_S):
            await driver.open()
            found = await driver.browse(root)
    except TimeoutError:
        raise NotConnected(f"browsing took longer than {BROWSE_S:.0f} s; look below a node") from None
    except Rejected as error:
        raise ConfigError(str(error)) from error
    finally:
        await _close(driver)
    if len(found) > MAX_FOUND:
        raise ConfigError(f"{len(found)} values, at most {MAX_FOUND} can be listed at once; look below a node")
    return found


async def _walk(
    spec: DriverSpec,
    driver: Driver,
    addresses: Sequence[str],
    clock: Clock,
    steps: list[ProbeStep],
    readings: list[Reading],
) -> None:
    if isinstance(driver, Probes):
        steps += [ProbeStep(what, reached, detail) for what, reached, detail in await driver.probe()]
        if not all(step.reached for step in steps):
            return
    started_ns = clock.monotonic_ns()
    await driver.open()
    steps.append(ProbeStep("Connected", reached=True, detail=_took(clock, started_ns)))
    if not addresses:
        return
    refused = _refused(spec, addresses)
    points = tuple(Point(i, address) for i, address in enumerate(addresses) if i not in refused)
    started_ns = clock.monotonic_ns()
    batches = await _read(driver, points) if points else ()
    readings += [refused.get(i, reading) for i, reading in enumerate(_readings(addresses, batches))]
    bad = sum(reading.value is None for reading in readings)
    detail = f"{len(readings) - bad} of {len(readings)} values, {_took(clock, started_ns)}"
    steps.append(ProbeStep("Values read", reached=bad < len(readings), detail=detail))


def _refused(spec: DriverSpec, addresses: Sequence[str]) -> dict[int, Reading]:
    """By place in the list, what the driver does not understand; one typing error must not hide all other values."""
    refused = {}
    for i, address in enumerate(addresses):
        try:
            spec.parse_address(address)
        except ConfigError as error:
            refused[i] = Reading(address, None, name(BAD_CONFIGURATION_ERROR), str(error).removeprefix("address: "))
    return refused


async def _read(driver: Driver, points: Sequence[Point]) -> Sequence[SampleBatch]:
    if isinstance(driver, Polls):
        return await driver.read(points)
    if isinstance(driver, Streams):
        stream = driver.stream(points)
        try:
            return await anext(stream)
        finally:
            close = getattr(stream, "aclose", None)
            if close is not None:
                await close()
    return ()


async def _close(driver: Driver) -> None:
    try:
        async with asyncio.timeout(CLOSE_S):
            await driver.close()
    except Exception:  # noqa: S110  the report says what the user needs; nothing depends on this driver any more
        pass


def _readings(addresses: Sequence[str], batches: Sequence[SampleBatch]) -> list[Reading]:
    found: dict[int, Reading] = {}
    for batch in batches:
        for row, value, status in zip(
            batch.id.tolist(), batch.value.tolist(), batch.status.astype(np.int64).tolist(), strict=True
        ):
            if 0 <= row < len(addresses):
                spelt = batch.text[value] if batch.type is ValueType.TEXT and not status >> 31 else value
                found[row] = Reading(addresses[row], None if status >> 31 else spelt, name(status))
    missing = name(BAD_NO_DATA)
    return [found.get(i, Reading(address, None, missing)) for i, address in enumerate(addresses)]


def _doing(steps: Sequence[ProbeStep]) -> str:
    return "Values read" if steps and steps[-1].what == "Connected" else "Connected"


def _took(clock: Clock, started_ns: int) -> str:
    return f"{(clock.monotonic_ns() - started_ns) / 1e6:.1f} ms"

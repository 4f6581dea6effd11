"""The demo: the bottling hall's PLCs and sensors beside a whole Isthmus, and the marks by which commands reach them."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.app.datadir import DataDir
from isthmus.app.demo_screens import lay_out
from isthmus.app.local import call
from isthmus.app.secrets import Secrets
from isthmus.app.settings import Settings
from isthmus.app.up import browser_address, run_up
from isthmus.bus.field import Devices, ListenerAddress, node_topics
from isthmus.security.model import Role
from isthmus.simulators.bottling import callout, faults
from isthmus.simulators.bottling.recipe import DEMO_RECIPES
from isthmus.simulators.bottling.rig import SENSORS, Rig
from isthmus.simulators.bottling.sensors import DOOR, TOPICS
from isthmus.values.errors import ConfigError, IsthmusError

if TYPE_CHECKING:
    from isthmus.simulators.bottling.quarter import Past
from isthmus.values.clock import NS_PER_S, Clock, SystemClock

LOAD_TAGS = 1000  # of one load server
LOOK_S = 0.25
REASON = "the demo's bottling hall"
SHIFT = "shift"
"""The account of who operates the line; an administrator runs the system, not the machines."""


def plant_folder(data: DataDir) -> Path:
    """Where the simulated hall keeps its state; it outlives a restart."""
    return data.root / "bottling"


def _mark(data: DataDir, plc: str) -> Path:
    return plant_folder(data) / f"{plc}.stopped"


def stop_plc(data: DataDir, plc: str, known: list[str]) -> None:
    """Ask the running demo to stop one PLC.

    Raises: ConfigError for an unknown one
    """
    _check(data, plc, known)
    _mark(data, plc).touch()


def start_plc(data: DataDir, plc: str, known: list[str]) -> None:
    """Ask the running demo to start it again.

    Raises: ConfigError for an unknown one
    """
    _check(data, plc, known)
    _mark(data, plc).unlink(missing_ok=True)


def _check(data: DataDir, plc: str, known: list[str]) -> None:
    if not plant_folder(data).is_dir():
        raise ConfigError(f"no demo has run in {data.root}: start one with `isthmus demo --data {data.root}`")
    if plc not in known:
        raise ConfigError(f"plc: unknown, known are {', '.join(known)}, was {plc!r}")


def inject(data: DataDir, fault: str, duration_s: float) -> None:
    """Let something go wrong in the hall.

    Raises: ConfigError for an unknown fault
    """
    if fault not in faults.FAULTS:
        raise ConfigError(f"fault: unknown, known are {', '.join(sorted(faults.FAULTS))}, was {fault!r}")
    _check(data, faults.FAULTS[fault].plc, [faults.FAULTS[fault].plc])
    faults.inject(plant_folder(data), fault, duration_s)


async def _obey(rig: Rig, data: DataDir) -> None:
    """Start and stop PLCs as the marks say. One that dies by itself stays dead: that is what one wants to look at."""
    stopped: set[str] = set()
    while True:
        for plc in (*rig.ports, SENSORS):
            marked = _mark(data, plc).exists()
            if marked and plc not in stopped:
                await rig.stop(plc)
                stopped.add(plc)
            elif not marked and plc in stopped:
                await rig.start(plc)
                stopped.discard(plc)
        await asyncio.sleep(LOOK_S)


async def _apply_plant(data: DataDir, text: str, log: logging.Logger) -> None:
    """Bring the hall's plant file to core, unless somebody made the plant their own since."""
    current = await asyncio.to_thread(call, data.root, "GET", "plant")
    ours = current["version"] == 0 or current["reason"] == REASON
    if not ours or current["text"] == text:
        return
    body = {"text": text, "base": current["version"], "reason": REASON}
    answer = await asyncio.to_thread(call, data.root, "POST", "plant/apply", body)
    log.info("the bottling hall is plant version %d", answer["version"])


async def _offer_shift(data: DataDir, settings: Settings, port: int) -> None:
    """Print a one-time link for the shift operator, once for a data directory."""
    users = await asyncio.to_thread(call, data.root, "GET", "users")
    if any(user["name"] == SHIFT for user in users["users"]):
        return
    body = {"name": SHIFT, "role": Role.SUPERVISOR.value}
    answer = await asyncio.to_thread(call, data.root, "POST", "users/link", body)
    address = f"{browser_address(settings, port)}/welcome?link={answer['link']}"
    print(f"To operate the line, sign in as {SHIFT}: {address}", flush=True)  # noqa: T201  beside the line of `isthmus up`


async def _offer_call_out(data: DataDir, settings: Settings, clock: Clock) -> None:
    """An example of call-out, once for a data directory: whoever is on shift is told by a file, without any network."""
    known = await asyncio.to_thread(call, data.root, "GET", "callout")
    if known["channels"] or known["rotas"] or known["rules"]:
        return
    Secrets.of(data.root, settings.secrets.key_file).set(callout.SECRET, (data.root.resolve() / "calls.jsonl").as_uri())
    first = datetime.fromtimestamp(clock.now_ns() / NS_PER_S, UTC).date().isoformat()
    channel = {"kind": "file", "url": f"secret:{callout.SECRET}", "personal": False}
    bodies: dict[str, Mapping[str, Any]] = {
        f"channels/{callout.CHANNEL}": channel,
        f"rotas/{callout.ROTA}": {"people": [SHIFT], "first": first},
        **{f"rules/{name}": rule for name, rule in callout.RULES.items()},
    }
    for path, body in bodies.items():
        await asyncio.to_thread(call, data.root, "PUT", f"callout/{path}", {**body, "base": 0, "reason": REASON})


async def _offer_recipes(data: DataDir) -> None:
    """Recipes of the hall, once for a data directory; they wait for the shift's approval."""
    if (await asyncio.to_thread(call, data.root, "GET", "recipes"))["recipes"]:
        return
    for recipe in DEMO_RECIPES:
        await asyncio.to_thread(call, data.root, "POST", "recipes", {**recipe, "reason": REASON})


def _admit(data: DataDir) -> dict[str, tuple[str, str]]:
    """Admit the hall's sensors to the MQTT listener, each with a new password: user and password by sensor."""
    devices = Devices(data.bus)
    known = {device.name for device in devices.all()}
    found = {}
    for sensor, place in TOPICS.items():
        user = f"hall-{sensor}"
        if user in known:
            devices.revoke(user)
        group, _, node = place.partition("/")
        say, hear = ([place], []) if sensor == DOOR else node_topics(group, node)
        found[sensor] = (user, devices.add(user, say, hear))
    return found


async def _past_of(folder: Path, days: int, stop: asyncio.Event, log: logging.Logger) -> Past | None:
    """The past a new hall is to have; None for none, or when it is recorded already."""
    if not days:
        return None
    from isthmus.app import demo_history

    return await asyncio.to_thread(demo_history.prepare, folder, days, log, stop.is_set)


async def _people_of(data: DataDir, past: Past | None, text: str, stop: asyncio.Event, log: logging.Logger) -> None:
    """What people did in the past of a hall whose core has never run."""
    if past is None or data.records.exists():
        return
    from isthmus.app import demo_past
    from isthmus.app.plantcheck import check_plant

    began = time.monotonic()
    plant, _ = await asyncio.to_thread(check_plant, text, {}, "plant.yaml")
    await asyncio.to_thread(demo_past.enter_past, data.records, plant, past, log, stop.is_set)
    log.info("orders, checks, reasons and the shift log of the past took %.0f s", time.monotonic() - began)


async def _live_in(data: DataDir, past: Past | None, log: logging.Logger) -> None:
    """Bring the hall's past into the record and enter what its people know, beside everything that runs."""
    from isthmus.app import demo_history, demo_production

    ended = threading.Event()
    ask = demo_production.asker(data.root)
    try:
        await asyncio.to_thread(demo_production.furnish, ask, log)
        if past is None:
            return
        began = time.monotonic()
        samples = await asyncio.to_thread(demo_history.record, data.root, plant_folder(data), past, log, ended.is_set)
        log.info("the past is recorded: %s samples in %.0f s", f"{samples:,}", time.monotonic() - began)
    except IsthmusError as error:
        log.error("the past is not whole: %s; start the demo the same way again to go on", error)
    finally:
        ended.set()  # the threads look at it


async def run_demo(
    data: DataDir, settings: Settings, port: int, scale: int, stop: asyncio.Event, log: logging.Logger, days: int = 0
) -> None:
    """The demo's main: the hall first, then everything that reads it. ``days`` is how much of a past it has."""
    data.prepare()
    folder = plant_folder(data)
    folder.mkdir(exist_ok=True, mode=0o700)
    for left in folder.glob("*.stopped"):
        left.unlink()
    if not settings.mqtt.listen:
        settings = dataclasses.replace(settings, mqtt=dataclasses.replace(settings.mqtt, listen="127.0.0.1:0"))
    credentials = _admit(data)
    lay_out(data)
    pasts = [await _past_of(folder, days, stop, log)]  # given away, so that its memory is free when it is recorded
    if stop.is_set():
        return
    began = time.monotonic()
    async with Rig(folder, scale=-(-scale // LOAD_TAGS)) as rig:
        Secrets.of(data.root, settings.secrets.key_file).set("plc-capper", rig.password)
        log.info("%d simulated PLCs run, %.1f s", len(rig.ports) + len(rig.load_ports), time.monotonic() - began)
        await _people_of(data, pasts[0], rig.plant_yaml(), stop, log)
        if stop.is_set():
            return
        tasks = [asyncio.create_task(_obey(rig, data), name="marks")]

        async def ready() -> None:
            await rig.connect(ListenerAddress.load(data.bus.listener).port, credentials)
            await _apply_plant(data, rig.plant_yaml(), log)
            await _offer_recipes(data)
            await _offer_shift(data, settings, port)
            tasks.append(asyncio.create_task(_live_in(data, pasts.pop(), log), name="past"))
            await _offer_call_out(data, settings, SystemClock())

        try:
            await run_up(data, settings, port, stop, log, ready)
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with contextlib.suppress(asyncio.CancelledError):
                    await task

"""Sensors of the hall that no controller knows: vibration and energy by Sparkplug, the people at the door by MQTT JSON.

`python -m isthmus.simulators.bottling.sensors --state-dir DIR --port N` with the credentials as JSON on standard input:
`{"vibration": ["user", "password"], "energy": […], "door": […]}`. It ends with standard input, SIGINT or SIGTERM. What they measure
follows the machines: vibration grows with speed and bearing temperature, energy with what runs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import signal
import sys
from pathlib import Path
from random import Random
from typing import Final

import orjson
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from isthmus.drivers.sparkplug import payload as sparkplug
from isthmus.simulators.bottling.hall import Hall, open_state
from isthmus.simulators.sparkplug import EdgeNode
from isthmus.values.clock import Clock, SystemClock

GROUP: Final = "bottling"
MACHINES: Final = ("filler", "capper", "labeller", "palletiser")
DOOR_TOPIC: Final = "bottling/hall 1/door"
STEP_S: Final = 1.0
IDLE_KW: Final = 0.6
KW_AT_SPEED: Final = {"filler": 7.5, "capper": 4.0, "labeller": 3.0, "palletiser": 9.0}

DOOR: Final = "door"
TOPICS: Final = {"vibration": f"{GROUP}/vibration", "energy": f"{GROUP}/energy", DOOR: DOOR_TOPIC}
"""What each sensor's credential is for: a Sparkplug GROUP/NODE, the door's topic."""


class Sensors:
    """What the sensors measure, step by step; no network."""

    def __init__(self, hall: Hall, seed: int = 1) -> None:
        self._hall = hall
        self._chance = Random(seed)
        self.kwh = dict.fromkeys(MACHINES, 0.0)
        self.people = 0
        self.opened = 0

    def _speed(self, machine: str) -> float:
        """Share of a fast run, 0 to 1.2."""
        speed = self._hall.see(f"{machine}.speed")
        return min(max(speed / 120.0, 0.0), 1.2)

    def vibration(self, machine: str) -> dict[str, float]:
        """Velocity and acceleration at the drive's bearing. Units: mm/s rms, g rms, Celsius"""
        speed = self._speed(machine)
        noise = self._chance.gauss(0.0, 0.03)
        velocity = 0.25 + 2.4 * speed**1.5 + abs(noise)
        return {
            "velocity": round(velocity, 3),
            "acceleration": round(0.02 + 0.11 * speed**2 + abs(noise) / 5, 4),
            "temperature": round(24.0 + 18.0 * speed + noise, 2),
        }

    def energy(self, machine: str, dt: float) -> dict[str, float]:
        """Power and what it adds up to. Units: kW, kWh"""
        speed = self._speed(machine)
        power = IDLE_KW + KW_AT_SPEED[machine] * speed * (1 + self._chance.gauss(0.0, 0.02))
        self.kwh[machine] += power * dt / 3600
        return {"power": round(max(power, 0.0), 3), "energy": round(self.kwh[machine], 4)}

    def door(self, dt: float) -> dict[str, int | bool]:
        """People who went in and out, a few a minute."""
        happens = self._chance.random() < 1 - math.exp(-dt / 20)
        if happens:
            self.opened += 1
            self.people += self._chance.choice((1, 1, 1, 2))
        return {"count": self.people, "opened": self.opened, "open": happens}


class Door:
    """The counter at the door: a JSON message each second, and the last one kept by the broker."""

    def __init__(self, port: int, user: str, password: str) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2, "door")
        self._client.username_pw_set(user, password)
        self._client.max_queued_messages_set(1000)
        self._client.reconnect_delay_set(1, 5)
        self._client.connect_async("127.0.0.1", port)

    def start(self) -> None:
        """Connect, now and whenever the link is lost."""
        self._client.loop_start()

    def stop(self) -> None:
        """End."""
        self._client.disconnect()
        self._client.loop_stop()

    def say(self, values: dict[str, int | bool], now_ns: int) -> None:
        """One message, with its time."""
        self._client.publish(DOOR_TOPIC, orjson.dumps(values | {"ts": now_ns // 1_000_000, "ok": True}), 1, retain=True)


def _node(port: int, name: str, user: str, password: str, first: dict[str, dict[str, float]]) -> EdgeNode:
    metrics = {d: {m: (sparkplug.DOUBLE, v) for m, v in some.items()} for d, some in first.items()}
    return EdgeNode(port, GROUP, name, metrics, user=user, password=password, client_id=name)


async def serve(state_dir: Path, port: int, who: dict[str, tuple[str, str]], clock: Clock, stop: asyncio.Event) -> None:
    """Measure and say it once a second, until stopped."""
    sensors = Sensors(Hall(open_state(state_dir), plcs=()))
    vibration = _node(port, "vibration", *who["vibration"], {m: sensors.vibration(m) for m in MACHINES})
    energy = _node(port, "energy", *who["energy"], {m: sensors.energy(m, 0.0) for m in MACHINES})
    door = Door(port, *who["door"])
    parts = (vibration, energy, door)
    for part in parts:
        part.start()
    try:
        while not stop.is_set():
            for machine in MACHINES:
                vibration.say(machine, sensors.vibration(machine))
                energy.say(machine, sensors.energy(machine, STEP_S))
            door.say(sensors.door(STEP_S), clock.now_ns())
            try:
                await asyncio.wait_for(stop.wait(), STEP_S)
            except TimeoutError:
                continue
    finally:
        for part in parts:
            await asyncio.to_thread(part.stop)


async def _main(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, reader.feed_eof)
    who = json.loads(await reader.readline())
    serving = asyncio.create_task(serve(options.state_dir, options.port, who, SystemClock(), stop))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await reader.read()  # until whoever started us is gone
    stop.set()
    await serving


def main() -> None:
    """Run the sensors."""
    parser = argparse.ArgumentParser(description="The bottling hall's sensors, by MQTT and Sparkplug.")
    parser.add_argument("--state-dir", type=Path, required=True, help="where the hall keeps its state")
    parser.add_argument("--port", type=int, required=True, help="of the MQTT listener")
    asyncio.run(_main(parser.parse_args()))


if __name__ == "__main__":
    main()

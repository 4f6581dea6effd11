"""Random write attempts against a real device: what reaches it is counted on the wire, frame by frame."""

from __future__ import annotations

import random
import struct
import time
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pytest

from isthmus.ports.field import HeldValue
from isthmus.values.clock import NS_PER_S

from .conftest import Device, Edge, Wire, start_edge


class Aged:
    """The field of an edge, whose values can be made older than they are."""

    def __init__(self, field: Any) -> None:
        self._field, self.extra_s = field, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._field, name)

    def held(self, tag: int) -> HeldValue | None:
        held = self._field.held(tag)
        return held and replace(held, age_s=held.age_s + self.extra_s)


@dataclass
class World:
    """What stands at the device and the edge, as whoever set it knows."""

    guard: bool = True
    hand: bool = False
    speed: float = 100.0
    mode: str = "normal"
    lock: str = ""
    target: float = 50.0
    level: float = 20.0


def allowed(world: World, command: dict[str, Any], old: bool) -> bool:
    """Whether the rules in words let it pass."""
    value, tag = command["value"], command["name"]
    if tag == "blind" or isinstance(value, str) or old:
        return False
    low, high = {"target": (0, 140), "level": (0, 100)}[tag]
    if not low <= value <= high or (tag == "level" and abs(value * 100 - round(value * 100)) > 1e-6):
        return False
    if world.mode == "halted" or world.lock in {"hall", "connections/plc", f"hall/filler/{tag}"} or world.hand:
        return False
    if world.mode == "safe-direction-only" and (tag == "level" or value > world.target + 1e-9):
        return False
    if not world.guard or (tag == "target" and world.speed >= 150):
        return False
    if command["base"] is not None and abs(command["base"] - getattr(world, tag)) > 1e-3:
        return False
    return bool(
        command["intent"]
        and command["model_version"] == 7
        and abs(command["sent_late_s"]) <= 2
        and command["expires_in_s"] >= 0.5
    )


async def change(world: World, device: Device, edge: Edge, chance: random.Random) -> None:
    """Something in the plant or at the edge is another way from now on."""
    before = replace(world)
    what = chance.choice(["guard", "hand", "speed", "mode", "lock", "calm", "calm"])
    if what == "calm":
        world.guard, world.hand, world.speed, world.mode, world.lock = True, False, 100.0, "normal", ""
    elif what == "guard":
        world.guard = chance.random() < 0.7
    elif what == "hand":
        world.hand = chance.random() < 0.3
    elif what == "speed":
        world.speed = chance.choice([100.0, 149.0, 150.0, 200.0])
    elif what == "mode":
        world.mode = chance.choice(["normal", "normal", "halted", "safe-direction-only"])
    else:
        world.lock = chance.choice(["", "", "hall", "connections/plc", "hall/filler/target", "hall/fill"])
    gate, read = edge.control.gate, edge.acquisition.read_back
    if world.guard != before.guard:
        await device.switch(0, world.guard)
        await read(edge.ids["guard"])
    if world.hand != before.hand:
        await device.switch(1, world.hand)
        await read(edge.ids["hand"])
    if world.speed != before.speed:
        await device.number_at(0, world.speed)
        await read(edge.ids["speed"])
    if world.mode != before.mode:
        await gate.mode(orjson.dumps({"modes": {"line1": world.mode}}))
    if world.lock != before.lock:
        locks = [{"path": world.lock, "who": "ann", "why": ""}] if world.lock else []
        await gate.lock(orjson.dumps({"locks": locks}))


def attempt(number: int, world: World, chance: random.Random) -> dict[str, Any]:
    """A command, most of them with nothing wrong in itself."""
    name = chance.choice(["target", "target", "level", "level", "blind"])
    value: Any = round(chance.uniform(-5, 150), chance.choice([0, 1, 2, 3]))
    if chance.random() < 0.03:
        value = chance.choice(["text", 1e30, -1])
    said = {
        "name": name,
        "value": value,
        "id": f"w{number}",
        "intent": "" if chance.random() < 0.03 else "i",
        "model_version": 8 if chance.random() < 0.03 else 7,
        "sent_late_s": chance.choice([3.0, -3.0]) if chance.random() < 0.04 else 0.0,
        "expires_in_s": -1.0 if chance.random() < 0.04 else 30.0,
        "base": None,
    }
    if chance.random() < 0.2 and name != "blind":
        said["base"] = getattr(world, name) + chance.choice([0.0, 0.0, 1.0])
    return said


def message(edge: Edge, said: dict[str, Any]) -> bytes:
    now_ns = time.time_ns()
    command = {k: v for k, v in said.items() if k in {"value", "id", "intent", "model_version", "base"}}
    command |= {
        "tag": edge.ids[said["name"]],
        "by": "p-1",
        "sent_ns": now_ns + round(said["sent_late_s"] * NS_PER_S),
        "expires_ns": now_ns + round(said["expires_in_s"] * NS_PER_S),
    }
    return orjson.dumps(command)


def written(frame: bytes) -> tuple[str, float]:
    """What a frame writes, as the plant file tells it."""
    register = int.from_bytes(frame[8:10], "big")
    if register == 10:
        return "target", struct.unpack(">f", frame[13:17])[0]
    assert register == 12
    raw = int.from_bytes(frame[10:12] if frame[7] == 6 else frame[13:15], "big")
    return "level", raw / 100


async def run(attempts: int, device: Device, wire: Wire, folder: Any) -> int:
    """All attempts; how many were carried out."""
    chance = random.Random(20_260_301)
    aged: list[Aged] = []
    edge = await start_edge(folder, wire.port, field_of=lambda a: aged.append(Aged(a)) or aged[0])
    world = World()
    frames = read = 0
    try:
        await device.switch(0, world.guard)
        await device.switch(1, world.hand)
        await device.number_at(0, world.speed)
        await device.number_at(10, world.target)
        await device.poke(16, 12, struct.pack(">H", 2000))
        for name in ("guard", "hand", "speed", "target", "level", "gone"):
            await edge.acquisition.read_back(edge.ids[name])
        for number in range(attempts):
            if number % 3 == 0:
                await change(world, device, edge, chance)
            if chance.random() < 0.02:
                await edge.control.gate.write(chance.randbytes(chance.randint(0, 200)))
                assert wire.total == frames
            said = attempt(number, world, chance)
            aged[0].extra_s = 1_000_000.0 if chance.random() < 0.05 else 0.0
            may = allowed(world, said, aged[0].extra_s > 0)
            answer = orjson.loads(await edge.control.gate.write(message(edge, said)))
            assert (answer["result"] == "done") == may, (said, world, answer)
            assert answer["result"] in {"done", "denied"}, answer
            assert wire.total == frames + may, (said, world, answer)
            frames += may
            if may:
                name, value = written(wire.writes[-1])
                assert (name, value) == (said["name"], pytest.approx(said["value"], abs=1e-4))
                setattr(world, name, value)
            if number % 200 == 199:
                read = compare(edge, wire, read)
        compare(edge, wire, read)
        return frames
    finally:
        await edge.stop()


def compare(edge: Edge, wire: Wire, read: int) -> int:
    """Every frame has exactly one record, in the same order and with the same value, and no record lacks its frame."""
    sent: dict[str, dict[str, Any]] = {}
    while lines := edge.control.journal.after(read):
        for line in lines:
            if line["kind"] == "write" and line["state"] == "sent":
                assert line["id"] not in sent
                sent[line["id"]] = line
            elif line["kind"] == "write" and line["answer"]["result"] == "denied":
                sent.pop(line["id"], None)  # held back at the last moment
        read = lines[-1]["n"]
    names = {i: name for name, i in edge.ids.items()}
    assert [(names[line["tag"]], pytest.approx(line["value"], abs=1e-4)) for line in sent.values()] == [
        written(frame) for frame in wire.writes
    ]
    wire.writes.clear()
    return read


@pytest.mark.mission("M34", "M84", "M68", "M31")
@pytest.mark.real("simulators.modbus")
async def test_nothing_reaches_the_device_unless_every_gate_passes(device, wire, tmp_path) -> None:
    assert await run_counted(2_000, device, wire, tmp_path) > 200


@pytest.mark.soak
@pytest.mark.mission("M34", "M84", "M68", "M31")
@pytest.mark.real("simulators.modbus")
@pytest.mark.timeout(7200)
async def test_a_hundred_thousand_attempts(device, wire, tmp_path, record_property) -> None:
    attempts = 100_000
    frames = await run_counted(attempts, device, wire, tmp_path)
    for name, value in (("attempts", attempts), ("frames on the wire", frames), ("refused", attempts - frames)):
        record_property(name, f"{value:,}")
    assert frames > 10_000


async def run_counted(attempts: int, device: Device, wire: Wire, folder: Any) -> int:
    return await run(attempts, device, wire, folder / "control")

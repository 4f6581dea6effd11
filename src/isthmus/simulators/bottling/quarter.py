"""A past of the hall, as its historian would have recorded it: exact states and counters of the line, and all other tags by exception.

States and counters come from the line in fast time. What is measured besides follows from them on a grid of ten seconds, by the
same constants as in `physics`, `machines` and `process`, and is noted where it moved by more than its dead-band.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from isthmus.simulators.bottling import fast
from isthmus.simulators.bottling.hall import place
from isthmus.simulators.bottling.machines import (
    ACCUMULATION,
    BOTTLE_L,
    CASE,
    HEADS,
    LAYER,
    PALLET,
    RECIPES,
    TORQUE_HEADS,
    Wrapper,
)
from isthmus.simulators.bottling.maps import BLOCKS, points_of
from isthmus.simulators.bottling.physics import CAPS, EXECUTE, HALL_C, WEB
from isthmus.simulators.bottling.production import CLOSED, DAY_START_MIN, LINE
from isthmus.simulators.bottling.sensors import IDLE_KW, KW_AT_SPEED
from isthmus.values.clock import NS_PER_S

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Counts = NDArray[np.int32]

GLUE_KW: Final = 1.45
"""What the labeller's glue pot draws, in the mean."""

TOGETHER: Final = 15
"""Days whose measurements are made together: it bounds the memory."""

ZONE: Final = "Europe/Paris"


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of one tag. Shapes: all (n,)"""

    path: str
    time_ns: Ints
    value: NDArray[np.generic] | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """A time in which the line made one product. Units: UTC ns; bottles that left the palletiser, and all that were rejected"""

    recipe: int
    start_ns: int
    end_ns: int
    good: int
    reject: int


@dataclass
class Past:
    """What the line did on all days, and what it adds up to."""

    record: fast.Record
    end_s: int
    infeed: dict[str, Ints]
    good: dict[str, Ints]
    reject: dict[str, Ints]
    """By machine what was counted before each day. Shapes: (days + 1,)"""
    counted: dict[str, Floats]
    """The same of all other counters, by path."""


def production_days(start_s: int, end_s: int, seed: int, zone: str = ZONE) -> list[fast.Day]:
    """Production days that touch [start, end), as the calendar of the hall has them. Units: UTC s"""
    at = ZoneInfo(zone)
    begins = time(DAY_START_MIN // 60, DAY_START_MIN % 60)

    def start_of(day: date) -> int:
        return int(datetime.combine(day, begins, at).astimezone(UTC).timestamp())

    day = datetime.fromtimestamp(start_s, at).date() - timedelta(days=1)
    found = []
    while (start := start_of(day)) < end_s:
        after = day + timedelta(days=1)
        length = start_of(after) - start
        if start + length > start_s:
            found.append(fast.Day(start, length, (seed, day.toordinal()), day.isoformat() in CLOSED))
        day = after
    return found


def simulate(days: int, end_s: int, seed: int, progress: Callable[[float], None] = lambda _: None) -> Past:
    """Let the line live through so many days before a time."""
    found = production_days(end_s - days * 86_400, end_s, seed)
    record = fast.run(found, progress=progress)
    totals = record.totals()
    before: dict[str, dict[str, Ints]] = {"infeed": {}, "good": {}, "reject": {}}
    passed = 0  # bottles that the machines behind hold inside from the start on
    for m, name in reversed(list(enumerate(record.machines))):
        for kind, base in (("good", passed), ("reject", 0)):
            before[kind][name] = base + np.concatenate((np.zeros(1, np.int64), np.cumsum(totals[kind][m])))
        passed += fast.MACHINES[name].PLACES
        before["infeed"][name] = before["good"][name] + before["reject"][name] + fast.MACHINES[name].PLACES
    return Past(record, end_s, **before, counted=_counted(record, end_s))


def _counted(record: fast.Record, end_s: int) -> dict[str, Floats]:
    """What the counters beside the line showed before each day, and at the end."""
    steps = _steps(record, end_s)
    found: dict[str, list[float]] = {}
    for first in range(0, len(steps), TOGETHER):
        at = slice(first, min(first + TOGETHER, len(steps)))
        for path, shown in amounts(record, at).items():
            found.setdefault(path, [0.0]).extend(shown[steps[at], np.arange(at.stop - at.start)].tolist())
    return {path: np.cumsum(each) for path, each in found.items()}


def _steps(record: fast.Record, end_s: int) -> Ints:
    """How many steps of the grid each day has; the last one ends with the past."""
    return np.array([max(0, min(day.length_s, end_s - day.start_s)) // fast.GRID_S for day in record.days])


def runs(past: Past) -> list[Run]:
    """What was made when, from one change-over to the next; the last one goes on."""
    record = past.record
    starts = [s for s in fast.recipes(record) if record.days[s[0]].start_s + s[1] < past.end_s]
    last = len(record.machines) - 1
    marks = []
    for day, second, recipe in starts:
        start_ns = (record.days[day].start_s + second) * NS_PER_S
        step = min(second // fast.GRID_S, len(record.grid["good"]) - 1)
        name = record.machines[last]
        good = int(past.good[name][day]) + int(record.grid["good"][step, last, day])
        bad = sum(
            int(past.reject[n][day]) + int(record.grid["reject"][step, m, day]) for m, n in enumerate(record.machines)
        )
        marks.append((recipe, start_ns, good, bad))
    end_ns = past.end_s * NS_PER_S
    ending = _at_end(past)
    name = record.machines[last]
    marks.append((0, end_ns, ending[f"{name}.good"], sum(ending[f"{n}.reject"] for n in record.machines)))
    return [
        Run(recipe, start, stop, good_after - good, bad_after - bad)
        for (recipe, start, good, bad), (_, stop, good_after, bad_after) in pairwise(marks)
    ]


def _at_end(past: Past) -> dict[str, int]:
    """The counters of the line at the end. Whoever goes on from there counts on."""
    record = past.record
    day = len(record.days) - 1
    step = max(0, min((past.end_s - record.days[day].start_s) // fast.GRID_S, len(record.grid["good"]) - 1))
    found = {}
    for m, name in enumerate(record.machines):
        for kind in ("infeed", "good", "reject"):
            found[f"{name}.{kind}"] = int(getattr(past, kind)[name][day]) + int(record.grid[kind][step, m, day])
    return found


def amounts(record: fast.Record, at: slice) -> dict[str, Floats]:
    """What all counters but those of the line have counted since the day began, by path: rates of what ran, added up.

    Shapes: (steps, days) each
    """
    dt = float(fast.GRID_S)
    speed = record.speed[:, :, at].astype(np.float64)
    infeed = record.grid["infeed"][:, :, at].astype(np.float64)
    drawn = np.diff(infeed[:, 0], axis=0, prepend=infeed[:1, 0]) * BOTTLE_L

    def total(rate_per_h: Floats) -> Floats:
        return np.cumsum(np.broadcast_to(rate_per_h, drawn.shape), axis=0) * (dt / 3600.0)

    load = speed / 120.0
    share = np.minimum(load, 1.2)
    power = [kind.RATED_KW * (0.08 + 0.9 * load[:, m]) for m, kind in enumerate(fast.MACHINES.values())]
    power[2] = power[2] + GLUE_KW
    found: dict[str, Floats] = {}
    for m, name in enumerate(fast.MACHINES):
        found[f"{LINE}/{name}/energy"] = total(power[m])
        found[f"{LINE}/{name}/run_hours"] = total((record.grid["state"][:, m, at] == EXECUTE).astype(np.float64))
        found[f"condition/{name}/energy"] = total(IDLE_KW + KW_AT_SPEED[name] * share[:, m])
    found[f"{LINE}/filler/filled"] = infeed[:, 0] * BOTTLE_L
    found[f"{LINE}/capper/caps"] = infeed[:, 1]
    found[f"{LINE}/labeller/labels"] = infeed[:, 2]
    refilled = drawn / (3.0 * dt)
    everything = speed.sum(axis=1)
    steam = 300.0 + 420.0 * everything / 480.0
    used = 1.2 + 0.0085 * everything
    meters = {
        "filler": power[0],
        "capper": power[1],
        "packing": power[2] + power[3] + conveyor_kw(speed),
        "tanks": 1.6 + 2.2 * refilled * (1.0 + 0.6 + 0.15),  # its own pump, and the shares of water and syrup
        "boiler": 1.7 + 0.02 * steam / 16.0,
        "air": 0.6 + used / 3.6 * (17.5 + 0.8 * 6.85),
        "chilled": 5.5 + (40.0 + 97.2 * refilled + 0.25 * speed[:, 0]) / 3.9,
    }
    found |= {f"energy/{name}/energy": total(kw) for name, kw in meters.items()}
    found["energy/main/energy"] = total(6.5 + sum(meters.values()))
    found["utilities/boiler/gas_total"] = total(1.15 * steam / 16.0)
    found["utilities/boiler/steam_total"] = total(steam)
    found["utilities/air/total"] = total(60.0 * used)
    return found


def conveyor_kw(speed: Floats) -> Floats:
    """What the belts draw. Shapes: (..., machines, days) -> (..., days)"""
    targets = [kind.target for kind in fast.MACHINES.values()][1:]
    found = np.full(speed[..., 0, :].shape, 0.3)
    for i, target in enumerate(targets):
        runs = np.maximum(speed[..., i, :], speed[..., i + 1, :]) > 1.0
        found += np.where(runs, 0.11 * 0.14 * target, 0.0)
    return found


# --- what else is measured ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Signal:
    """One tag that is measured. ``of`` is the number of the hall that goes on from where it ends; "" for none."""

    path: str
    deadband: float
    decimals: int
    counts: bool = False
    whole: bool = False
    of: str = ""


_MORE: Final = {"energy": 0.1, "run_hours": 0.02, "labels_left": 50.0, "level": 0.3, "filled": 20.0, "gas_total": 0.5}
"""Dead-bands of the past where that of the device would note each step of a slow ramp."""


def signals() -> dict[str, Signal]:
    """Every tag that has a past besides states and counters of the line, by path."""
    found = {}
    for blocks in BLOCKS.values():
        for block in blocks:
            for point in points_of(block.type):
                path = f"{block.asset}/{point.name}"
                band = _MORE.get(point.name, point.deadband if isinstance(point.deadband, int | float) else 0.0)
                whole = "float" not in point.at and point.scale is None
                field = point.field.format(n=block.number)
                decimals = 0 if whole else 2 if point.decimals is None else point.decimals
                counts = point.kind == "counter" or point.name == "run_hours"
                found[path] = Signal(path, float(band), decimals, counts, whole, f"{block.unit}.{field}")
    for machine in fast.MACHINES:
        for name, band, decimals in (("velocity", 0.08, 2), ("temperature", 0.3, 1), ("power", 0.15, 2)):
            found[f"condition/{machine}/{name}"] = Signal(f"condition/{machine}/{name}", band, decimals)
        found[f"condition/{machine}/energy"] = Signal(f"condition/{machine}/energy", 0.2, 2, counts=True)
    return found


def _settled(spread: float, bottles: float) -> float:
    """What is left of a spread behind a lag of so many bottles, two of which come at a time. Source: an AR(1)'s variance"""
    keep = math.exp(-2.0 / bottles)
    return spread * math.sqrt((1.0 - keep) / (1.0 + keep))


class Measured:
    """What is measured in the hall, on some days side by side, ten seconds a step.

    Shapes: every number (days,), those of machines (machines, days)
    """

    RATED: Final = np.array([[kind.RATED_KW] for kind in fast.MACHINES.values()])

    def __init__(self, days: int, chance: np.random.Generator, first_day: Ints) -> None:
        self._chance, self._days = chance, days
        self.motor = np.full((4, days), HALL_C)
        self.power = 0.08 * self.RATED * np.ones((4, days))
        self.heads = np.full((HEADS, days), 750.0)
        self.torque = np.full((TORQUE_HEADS, days), 1.85)
        self.bowl = np.full(days, 62.0)
        self.hopper, self.elevator = np.full(days, 4600.0), np.zeros(days)
        self.tension, self.glue = np.full(days, 14.0), np.full(days, 152.0)
        self.registration = np.zeros(days)
        self.product, self.filling = np.full(days, 2500.0), np.zeros(days)
        self.water, self.water_in = np.full(days, 18_930.0), np.zeros(days)
        self.syrup, self.syrup_in = np.full(days, 7400.0), np.zeros(days)
        self.product_temp, self.cip_temp = np.full(days, 6.0), np.full(days, 75.0)
        self.air, self.compressors = np.full(days, 6.8), np.full(days, 3.6)
        self.steam, self.chilled = np.full(days, 600.0), np.full(days, 6.0)
        self.taken, self.wrap_s, self.mend_s = (np.zeros(days) for _ in range(3))
        self.weather = 9.0 + 6.0 * np.sin(2 * math.pi * (first_day - 110) / 365.2425) + chance.normal(0, 2.0, days)
        self.belts_kw, self.boiler_kw, self.air_kw, self.chilled_kw = (np.zeros(days) for _ in range(4))
        self._taken_before = np.zeros((4, days))
        self._drawn_heads = np.array([[0.4 * ((i * 5) % 7 - 3)] for i in range(1, HEADS + 1)])
        self._drawn_torque = np.array([[1.0 + 0.01 * ((i * 3) % 5 - 2)] for i in range(1, TORQUE_HEADS + 1)])

    def _noise(self, spread: float, *more: int) -> Floats:
        return self._chance.normal(0.0, spread, (*more, self._days))

    def step(self, second: int, speed: Floats, numbers: Mapping[str, Counts]) -> dict[str, Floats]:
        """What all the tags show after ten more seconds. ``numbers`` are state, cause and counters of the day."""
        dt = float(fast.GRID_S)
        taken = numbers["infeed"] - self._taken_before
        self._taken_before = numbers["infeed"].astype(np.float64)
        shown = self._machines(dt, speed, numbers)
        shown |= self._filler(dt, speed[0], taken[0])
        shown |= self._capper(dt, taken[1], numbers["cause"][1])
        shown |= self._labeller(dt, speed[2], taken[2], numbers)
        shown |= self._palletiser(numbers)
        shown |= self._belts(speed, numbers)
        shown |= self._tanks(dt, taken[0])
        shown |= self._utilities(dt, speed)
        shown |= self._energy()
        shown |= self._wrapper(dt, numbers["good"][3] // PALLET)
        turn = 2 * math.pi * (second / 86_400 - 0.3)
        shown["energy/street/outside_temp"] = self.weather + 3.0 * math.sin(turn)
        return shown

    def _machines(self, dt: float, speed: Floats, numbers: Mapping[str, Counts]) -> dict[str, Floats]:
        load = speed / 120.0
        self.motor += (HALL_C + 32.0 * load - self.motor) * -math.expm1(-dt / 420.0)
        self.power = np.maximum(0.2, 0.08 * self.RATED + self.RATED * load * (0.9 + self._noise(0.01, 4)))
        self.power[2] += GLUE_KW
        vibration = np.maximum(0.05, 0.2 + 1.6 * load + self._noise(0.045, 4))
        share = np.minimum(load, 1.2)
        velocity = 0.25 + 2.4 * share**1.5 + np.abs(self._noise(0.03, 4))
        felt = 24.0 + 18.0 * share + self._noise(0.03, 4)
        kw = np.array([[KW_AT_SPEED[m]] for m in fast.MACHINES])
        drive = IDLE_KW + kw * share * (1 + self._noise(0.02, 4))
        shown = {}
        for m, name in enumerate(fast.MACHINES):
            at = f"{LINE}/{name}"
            shown[f"{at}/speed"], shown[f"{at}/motor_temp"] = speed[m], self.motor[m]
            shown[f"{at}/vibration"], shown[f"{at}/power"] = vibration[m], self.power[m]
            shown[f"{at}/air_pressure"] = self.air
            shown[f"condition/{name}/velocity"], shown[f"condition/{name}/temperature"] = velocity[m], felt[m]
            shown[f"condition/{name}/power"] = drive[m]
        return shown

    def _filler(self, dt: float, speed: Floats, taken: Floats) -> dict[str, Floats]:
        moved = taken > 0
        values = 750.0 + self._drawn_heads + self._noise(_settled(1.2, 6.0), HEADS)
        self.heads = np.where(moved, values, self.heads)
        self.bowl += (62.0 - self.bowl) * 0.4 + self._noise(0.25)
        at = f"{LINE}/filler"
        shown = {
            f"{at}/bowl_level": self.bowl,
            f"{at}/bowl_pressure": 2.2 + 0.004 * self.bowl + self._noise(0.004),
            f"{at}/product_temp": self.product_temp + 0.8,
            f"{at}/flow": 3.6 * taken * BOTTLE_L / dt,
            f"{at}/valve": np.minimum(100.0, 0.5 * speed),
            f"{at}/volume": self.heads.mean(axis=0),
            f"{at}/spread": self.heads.max(axis=0) - self.heads.min(axis=0),
        }
        return shown | {f"{at}/head{i + 1}": self.heads[i] for i in range(HEADS)}

    def _capper(self, dt: float, taken: Floats, cause: Counts) -> dict[str, Floats]:
        moved = taken > 0
        values = 1.85 * self._drawn_torque + self._noise(_settled(0.03, 4.0), TORQUE_HEADS)
        self.torque = np.where(moved, values, self.torque)
        self.elevator = np.where(self.hopper < 3500.0, 1.0, np.where(self.hopper > 7000.0, 0.0, self.elevator))
        self.hopper = np.clip(self.hopper - taken + 15.0 * dt * self.elevator, 0.0, 10_000.0)
        self.hopper[cause == CAPS] = 0.0
        at = f"{LINE}/capper"
        shown = {f"{at}/torque": self.torque.mean(axis=0), f"{at}/hopper": self.hopper / 100.0}
        shown[f"{at}/elevator"] = self.elevator
        return shown | {f"{at}/torque{i + 1}": self.torque[i] for i in range(TORQUE_HEADS)}

    def _labeller(self, dt: float, speed: Floats, taken: Floats, numbers: Mapping[str, Counts]) -> dict[str, Floats]:
        running = numbers["state"][2] == EXECUTE
        broken = numbers["cause"][2] == WEB
        goal = np.where(broken, 0.0, np.where(running, 14.0, 11.9))
        self.tension = np.maximum(0.0, goal + np.where(broken, 0.0, self._noise(0.1)))
        self.glue += (152.0 - self.glue) * -math.expm1(-dt / 240.0) + self._noise(0.12)
        self.registration = np.where(taken > 0, self._noise(_settled(0.35, 5.0)), self.registration)
        at = f"{LINE}/labeller"
        used = self._taken_before[2]
        return {
            f"{at}/web_tension": self.tension,
            f"{at}/glue_temp": self.glue,
            f"{at}/registration": self.registration,
            f"{at}/labels_left": 20_000.0 - used % 19_800.0,
        }

    def _palletiser(self, numbers: Mapping[str, Counts]) -> dict[str, Floats]:
        good = numbers["good"][3]
        running = numbers["state"][3] == EXECUTE
        at = f"{LINE}/palletiser"
        return {
            f"{at}/layer": (good % PALLET // LAYER).astype(np.float64),
            f"{at}/wrap_force": np.where(running, 14.2, 0.0) + np.where(running, self._noise(0.05), 0.0),
            f"{at}/film_left": 1450.0 - (18.0 * (good // PALLET)) % 1410.0,
            f"{at}/gripper": self.air - 0.7,
        }

    def _belts(self, speed: Floats, numbers: Mapping[str, Counts]) -> dict[str, Floats]:
        queues = numbers["good"][:3] - numbers["infeed"][1:]
        level = np.minimum(100.0, 100.0 * np.maximum(0, queues[1]) / ACCUMULATION)
        shown = {f"{LINE}/accumulation/level": level}
        targets = [kind.target for kind in fast.MACHINES.values()][1:]
        for i, target in enumerate(targets, 1):
            runs = np.maximum(speed[i - 1], speed[i]) > 1.0
            belt = np.where(runs, 0.14 * target, 0.0)
            shown[f"{LINE}/belt{i}/bottles"] = np.maximum(0, queues[i - 1]).astype(np.float64)
            shown[f"{LINE}/belt{i}/speed"] = belt
            shown[f"{LINE}/belt{i}/current"] = np.maximum(0.0, 0.3 + 0.09 * belt + self._noise(0.02))
        self.belts_kw = conveyor_kw(speed)
        shown[f"{LINE}/accumulation/power"] = self.belts_kw
        return shown

    def _tanks(self, dt: float, taken: Floats) -> dict[str, Floats]:
        drawn = taken * BOTTLE_L
        level = self.product / 40.0
        self.filling = np.where(level < 45.0, 1.0, np.where(level > 85.0, 0.0, self.filling))
        came = 3.0 * dt * self.filling
        self.product = np.clip(self.product - drawn + came, 0.0, 4000.0)
        self.water_in = np.where(self.water < 10_500.0, 1.0, np.where(self.water > 25_500.0, 0.0, self.water_in))
        self.water = np.clip(self.water - 0.8 * came + 4.0 * dt * self.water_in, 0.0, 30_000.0)
        self.syrup_in = np.where(self.syrup < 4200.0, 1.0, np.where(self.syrup > 10_200.0, 0.0, self.syrup_in))
        self.syrup = np.clip(self.syrup - 0.2 * came + 4.0 * dt * self.syrup_in, 0.0, 12_000.0)
        self.product_temp += (6.0 + 0.5 * self.filling - self.product_temp) * 0.01 + self._noise(0.012)
        self.cip_temp += (75.0 - self.cip_temp) * 0.02 + self._noise(0.02)
        return {
            "process/product/level": self.product / 40.0,
            "process/product/volume": self.product,
            "process/product/temp": self.product_temp,
            "process/product/inflow": 3.6 * came / dt,
            "process/product/outflow": 3.6 * drawn / dt,
            "process/water/level": self.water / 300.0,
            "process/water/inflow": 3.6 * 4.0 * self.water_in,
            "process/syrup/level": self.syrup / 120.0,
            "process/cip/temp": self.cip_temp,
            "energy/street/water_flow": 3.6 * 4.0 * self.water_in,
        }

    def _utilities(self, dt: float, speed: Floats) -> dict[str, Floats]:
        running = speed.sum(axis=0) / 480.0
        use = 1.2 + speed.sum(axis=0) * 0.0085
        self.compressors = np.where(
            self.air < 6.55, np.minimum(10.8, self.compressors + 3.6),
            np.where(self.air > 7.15, np.maximum(0.0, self.compressors - 3.6), self.compressors),
        )  # fmt: skip
        self.air = np.clip(self.air + (self.compressors - use) * dt / 240.0 + self._noise(0.003), 0.0, 8.5)
        self.steam += (300.0 + 420.0 * running - self.steam) * -math.expm1(-dt / 25.0) + self._noise(4.0)
        burner = self.steam / 16.0
        self.chilled += (6.0 - self.chilled) * 0.05 + self._noise(0.02)
        cooling = 40.0 + 9.0 * 3.6 * 3.0 * self.filling + 0.25 * speed[0]
        self.boiler_kw = 1.7 + 0.02 * burner
        self.air_kw = 0.6 + self.compressors / 3.6 * (17.5 + 0.8 * self.air)
        self.chilled_kw = 5.5 + cooling / 3.9
        return {
            "utilities/air/pressure": self.air,
            "utilities/air/flow": use,
            "utilities/boiler/pressure": 9.0 + self._noise(0.012),
            "utilities/boiler/steam_flow": self.steam,
            "utilities/boiler/burner": burner,
            "utilities/boiler/gas_flow": 1.15 * burner,
            "utilities/chilled/supply": self.chilled,
            "utilities/chilled/cooling": cooling,
        }

    def _energy(self) -> dict[str, Floats]:
        packing = self.belts_kw + self.power[2] + self.power[3]
        tanks = 1.6 + 2.2 * (self.filling + self.water_in + self.syrup_in)
        behind = [self.power[0], self.power[1], packing, tanks, self.boiler_kw, self.air_kw, self.chilled_kw]
        powers = np.stack([6.5 + sum(behind), *behind])
        names = ("main", "filler", "capper", "packing", "tanks", "boiler", "air", "chilled")
        return {f"energy/{name}/power": powers[i] for i, name in enumerate(names)}

    def _wrapper(self, dt: float, pallets: Counts) -> dict[str, Floats]:
        """As `machines.Wrapper`, ten seconds a step."""
        self.taken = np.maximum(self.taken, pallets - Wrapper.WAITING)
        mending = self.mend_s > 0.0
        winding = ~mending & (self.wrap_s > 0.0)
        takes = ~mending & ~winding & (self.taken < pallets)
        tears = winding & (self._chance.random(self._days) < -math.expm1(-dt / Wrapper.TEARS_S))
        self.mend_s = np.where(mending, self.mend_s - dt, self.mend_s)
        repair = np.minimum(6.0 * Wrapper.MEND_S, self._chance.exponential(Wrapper.MEND_S, self._days))
        self.mend_s = np.where(tears, repair, self.mend_s)
        self.wrap_s = np.where(winding, self.wrap_s - dt, np.where(takes, Wrapper.WRAP_S, self.wrap_s))
        self.taken += takes
        runs = (self.wrap_s > 0.0) & (self.mend_s <= 0.0)
        return {"packaging/wrapper/current": np.where(runs, Wrapper.RUNNING_A, Wrapper.RESTING_A) + self._noise(0.02)}


# --- as samples -----------------------------------------------------------------------------------------------------


class Recorder:
    """Turns a past into samples, day by day in the order of time, and knows where its counters end."""

    def __init__(self, past: Past, seed: int) -> None:
        self.past, self._seed = past, seed
        self._known = signals()
        self._recipes = fast.recipes(past.record)
        self._ends = _steps(past.record, past.end_s)

    def days(self) -> Iterator[list[Samples]]:
        """The samples of each day."""
        days = self.past.record.days
        for first in range(0, len(days), TOGETHER):
            yield from self._some(range(first, min(first + TOGETHER, len(days))))

    def _some(self, chosen: range) -> Iterator[list[Samples]]:
        record = self.past.record
        days = [record.days[d] for d in chosen]
        at = slice(chosen.start, chosen.stop)
        chance = np.random.default_rng((self._seed, 7, chosen.start))
        measured = Measured(len(days), chance, np.array([day.seed[1] for day in days]))
        names, noted = _note(measured, record, at, self._known, self._ends[at])
        for column, d in enumerate(chosen):
            yield [*self._line(d), *self._measured(column, d, names, noted)]

    def _measured(self, column: int, d: int, names: Sequence[str], noted: Noted) -> Iterator[Samples]:
        step, row, of_day, value = noted
        mine = np.flatnonzero(of_day == column)
        order = mine[np.argsort(row[mine], kind="stable")]
        bounds = np.searchsorted(row[order], np.arange(len(names) + 1))
        start_ns = self.past.record.days[d].start_s * NS_PER_S
        for i, name in enumerate(names):
            some = order[bounds[i] : bounds[i + 1]]
            if not len(some):
                continue
            signal, shown = self._known[name], value[some]
            if name in self.past.counted:
                shown = shown + self.past.counted[name][d]
            time_ns = start_ns + step[some].astype(np.int64) * (fast.GRID_S * NS_PER_S)
            yield Samples(
                name, time_ns, np.floor(shown).astype(np.int64) if signal.whole else shown.round(signal.decimals)
            )

    def _line(self, d: int) -> Iterator[Samples]:
        """States where they change, counters there and on the grid, and what is filled."""
        record, past = self.past.record, self.past
        day = record.days[d]
        change = record.change
        for m, name in enumerate(record.machines):
            rows = np.flatnonzero((change["day"] == d) & (change["machine"] == m))
            rows = rows[np.argsort(change["second"][rows], kind="stable")]
            second = change["second"][rows].astype(np.int64)
            at = f"{LINE}/{name}"
            for kind in ("state", "cause"):
                yield from self._changes(f"{at}/{kind}", d, m, second, change[kind][rows], kind)
            if name == "filler":
                yield from self._changes(f"{LINE}/state", d, m, second, change["state"][rows], "state")
            grid_s = np.arange(len(record.speed), dtype=np.int64) * fast.GRID_S
            when = np.concatenate((grid_s, second))
            order = np.argsort(when, kind="stable")
            for kind in ("infeed", "good", "reject"):
                value = np.concatenate((record.grid[kind][:, m, d], change[kind][rows])).astype(np.int64)[order]
                value += int(getattr(past, kind)[name][d])
                yield from self._kept(f"{at}/{kind}", day, when[order], value)
            if name == "palletiser":
                good = record.grid["good"][:, m, d].astype(np.int64) + int(past.good[name][d])
                yield from self._kept(f"{at}/cases", day, grid_s, good // CASE)
                yield from self._kept(f"{at}/pallets", day, grid_s, good // PALLET)
        made = [(s, recipe) for on, s, recipe in self._recipes if on == d and self._within(day, s)]
        if made:
            times = np.array([(day.start_s + s) * NS_PER_S for s, _ in made], np.int64)
            yield Samples(f"{LINE}/filler/recipe", times, tuple(RECIPES[recipe] for _, recipe in made))

    def _within(self, day: fast.Day, second: int) -> bool:
        return second < day.length_s and day.start_s + second < self.past.end_s

    def _changes(
        self, path: str, d: int, m: int, second: Ints, value: NDArray[np.int32], kind: str
    ) -> Iterator[Samples]:
        """Where a state changed; the first day says what it was before."""
        day = self.past.record.days[d]
        if d == 0:
            second = np.concatenate((np.zeros(1, np.int64), second))
            value = np.concatenate((self.past.record.grid[kind][:1, m, d], value))
        keep = np.ones(len(value), np.bool_)
        keep[1:] = value[1:] != value[:-1]
        yield from self._cut(path, day, second[keep], value[keep].astype(np.int64))

    def _kept(self, path: str, day: fast.Day, second: Ints, value: Ints) -> Iterator[Samples]:
        """A counter where it moved, and where it stood last before it moved: nobody needs to guess a slope."""
        once = np.ones(len(value), np.bool_)
        once[:-1] = second[1:] != second[:-1]
        second, value = second[once], value[once]
        keep = np.ones(len(value), np.bool_)
        keep[1:] = value[1:] != value[:-1]
        keep[:-1] |= keep[1:]
        yield from self._cut(path, day, second[keep], value[keep])

    def _cut(self, path: str, day: fast.Day, second: Ints, value: Ints) -> Iterator[Samples]:
        mine = (second < day.length_s) & (day.start_s + second < self.past.end_s)
        if mine.any():
            yield Samples(path, (day.start_s + second[mine]) * NS_PER_S, value[mine])


Noted = tuple[NDArray[Any], NDArray[Any], NDArray[Any], Floats]
"""Step, row of the tag, day and value of what was noted. Shapes: all (n,)"""


def _note(
    measured: Measured, record: fast.Record, at: slice, known: Mapping[str, Signal], ends: Ints
) -> tuple[list[str], Noted]:
    """Steps through the days and notes what moved by more than its dead-band."""
    counted = amounts(record, at)
    names: list[str] = []
    bands = sent = np.zeros((0, 0))
    found: list[tuple[int, NDArray[np.intp], NDArray[np.intp], Floats]] = []
    for step in range(1, len(record.speed)):
        numbers = {name: column[step, :, at] for name, column in record.grid.items()}
        shown = measured.step(step * fast.GRID_S, record.speed[step, :, at].astype(np.float64), numbers)
        shown |= {path: rows[step] for path, rows in counted.items()}
        if not names:
            names = list(shown)
            bands = np.array([[known[name].deadband or 10.0 ** -known[name].decimals / 2] for name in names])
            sent = np.full((len(names), len(ends)), np.inf)
        now = np.stack([shown[name] for name in names])
        moved = (np.abs(now - sent) > bands) & (step <= ends)
        sent[moved] = now[moved]
        row, day = np.nonzero(moved)
        found.append((step, row, day, now[moved]))
    when = np.repeat(np.array([s for s, *_ in found], np.int32), [len(r) for _, r, *_ in found])
    row = np.concatenate([r for _, r, *_ in found]).astype(np.int16)
    day = np.concatenate([d for *_, d, _ in found]).astype(np.int16)
    return names, (when, row, day, np.concatenate([v for *_, v in found]))


def hall_numbers(past: Past) -> dict[str, float]:
    """The numbers of a hall that goes on where the past ends."""
    known = signals()
    ends = {key: float(value) for key, value in _at_end(past).items()}
    ends |= {known[path].of: float(before[-1]) for path, before in past.counted.items() if known[path].of}
    pallets = ends["palletiser.good"] // PALLET
    cases = ends["palletiser.good"] // CASE
    return ends | {
        "palletiser.cases": cases,
        "palletiser.pallets": pallets,
        "wrapper.taken": pallets,
        "site.gas_seen": ends["boiler.gas_total"],
    }


def carry_on(numbers: Floats, past: Past) -> None:
    """Let a hall count on from where its past ended; its levels, speeds and temperatures stay what they are."""
    for key, value in hall_numbers(past).items():
        numbers[place(key)] = value

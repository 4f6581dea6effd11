"""The machines of line 1 in flow order: filler, capper, accumulation conveyor, labeller, palletiser."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Final

from isthmus.simulators.bottling.physics import (
    CAPS,
    CHANGE,
    EXECUTE,
    GUARD,
    HALL_C,
    JAM,
    PRODUCT,
    WEB,
    Machine,
    Panel,
    See,
    Unit,
    happens,
    lag,
    ramp,
)

BOTTLE_L: Final = 0.75
BOWL_L: Final = 160.0
ACCUMULATION: Final = 1000
CASE: Final = 12
LAYER: Final = 10 * CASE
PALLET: Final = 5 * LAYER
HEADS: Final = 8
TORQUE_HEADS: Final = 6

RECIPES: Final[dict[int, str]] = {1: "Still 0.75 L glass", 2: "Lemon 0.75 L glass", 3: "Mint 0.75 L glass"}
"""What the filler fills, by its recipe number; a change-over brings the next one."""


@dataclass
class Filler(Machine):
    """Fills from a bowl that a valve keeps at its level from the product tank."""

    PLACES: ClassVar[int] = 48
    REJECTS: ClassVar[float] = 0.008
    RATED_KW: ClassVar[float] = 11.0
    STOPS: ClassVar[tuple[tuple[int, float, float], ...]] = ((JAM, 2400.0, 45.0), (CHANGE, 14_400.0, 240.0))
    COMMANDS: ClassVar[dict[str, int]] = {"jam": JAM}
    DOWNSTREAM: ClassVar[str] = "capper"
    ROOM: ClassVar[int] = 120

    recipe: float = 1.0
    bowl_l: float = 100.0
    bowl_level: float = 62.5
    bowl_setpoint: float = 62.0
    bowl_pressure: float = 2.4
    product_temp: float = 6.5
    valve: float = 42.0
    flow: float = 5.4  # m3/h from the product tank
    drawn_l: float = 0.0  # litres taken from the product tank, ever
    filled_l: float = 0.0  # litres in bottles, ever
    volume_setpoint: float = 750.0  # ml
    volume_mean: float = 750.0
    volume_spread: float = 0.8
    head1: float = 750.0
    head2: float = 750.0
    head3: float = 750.0
    head4: float = 750.0
    head5: float = 750.0
    head6: float = 750.0
    head7: float = 750.0
    head8: float = 750.0

    def step(self, dt: float, see: See, chance: Random, faults: Collection[str]) -> None:
        """As every machine, and then the bowl."""
        changing = self.state != EXECUTE and self.cause == CHANGE
        Machine.step(self, dt, see, chance, faults)
        if changing and self.cause == 0.0:  # the change-over is over
            self.recipe = self.recipe % len(RECIPES) + 1
        self._bowl(dt, see, chance)

    def _supply(self) -> int:
        return PRODUCT if self.bowl_l < (50.0 if self.state != EXECUTE else 25.0) else 0

    def _wanted(self, see: See) -> float:
        """The level of the accumulation slows it above 90 %, so that it need not stop."""
        return self.target * (0.75 if see("conveyor.level") > 90.0 else 1.0)

    def _used(self, taken: int, leaving: int, chance: Random) -> None:
        used_l = min(self.bowl_l, taken * BOTTLE_L)
        self.bowl_l -= used_l
        self.filled_l += used_l
        if not taken:
            return
        heads = []
        for i in range(1, HEADS + 1):
            mean = self.volume_setpoint + 0.4 * ((i * 5) % 7 - 3)
            value = lag(getattr(self, f"head{i}"), mean + chance.gauss(0.0, 1.2), float(taken), 6.0)
            setattr(self, f"head{i}", value)
            heads.append(value)
        self.volume_mean = sum(heads) / HEADS
        self.volume_spread = max(heads) - min(heads)

    def _bowl(self, dt: float, see: See, chance: Random) -> None:
        """The valve opens with the speed (feed-forward) and what is missing to the set-point."""
        wanted = 0.5 * self.speed + 3.0 * (self.bowl_setpoint - self.bowl_level)
        self.valve = ramp(self.valve, max(0.0, min(100.0, wanted)), 20.0 * dt)
        pressure = see("product.pressure") if see("product.outlet_pump") > 0.5 else 0.0
        most_l = min(BOWL_L - self.bowl_l, see("product.volume") * 0.2)
        inflow_l = max(0.0, min(most_l, 0.03 * self.valve * dt)) if pressure > 0.05 else 0.0
        self.bowl_l += inflow_l
        self.drawn_l += inflow_l
        self.flow = lag(self.flow, 3.6 * inflow_l / dt, dt, 3.0)
        self.bowl_level = 100.0 * self.bowl_l / BOWL_L
        self.bowl_pressure = lag(self.bowl_pressure, 2.2 + 0.4 * self.bowl_level / 100.0, dt, 4.0)
        self.bowl_pressure += chance.gauss(0.0, 0.002)
        self.product_temp = lag(self.product_temp, see("product.temp") + 0.8, dt, 300.0)


@dataclass
class Capper(Machine):
    """Screws caps on; an elevator fills its hopper."""

    PLACES: ClassVar[int] = 24
    REJECTS: ClassVar[float] = 0.004
    RATED_KW: ClassVar[float] = 5.5
    STOPS: ClassVar[tuple[tuple[int, float, float], ...]] = ((JAM, 3600.0, 40.0), (CAPS, 9000.0, 120.0))
    COMMANDS: ClassVar[dict[str, int]] = {"cap-empty": CAPS}
    HEATED_BY: ClassVar[str] = "overheat"
    UPSTREAM: ClassVar[str] = "filler"
    DOWNSTREAM: ClassVar[str] = "labeller"
    ROOM: ClassVar[int] = ACCUMULATION

    target: float = 132.0
    torque: float = 1.84  # N.m
    torque_setpoint: float = 1.85
    torque1: float = 1.85
    torque2: float = 1.85
    torque3: float = 1.85
    torque4: float = 1.85
    torque5: float = 1.85
    torque6: float = 1.85
    hopper: float = 4600.0  # caps
    hopper_level: float = 46.0
    elevator: float = 0.0
    caps_used: float = 0.0

    def step(self, dt: float, see: See, chance: Random, faults: Collection[str]) -> None:
        """As every machine; the hopper runs dry while nobody fills the elevator."""
        Machine.step(self, dt, see, chance, faults)
        if "cap-empty" in faults or self.cause == CAPS:
            self.hopper, self.elevator = 0.0, 0.0
        elif self.hopper < 3500.0:
            self.elevator = 1.0
        elif self.hopper > 7000.0:
            self.elevator = 0.0
        self.hopper = min(10_000.0, self.hopper + self.elevator * 15.0 * dt)
        self.hopper_level = self.hopper / 100.0

    def _used(self, taken: int, leaving: int, chance: Random) -> None:
        self.hopper = max(0.0, self.hopper - taken)
        self.caps_used += taken
        if not taken:
            return
        total = 0.0
        for i in range(1, TORQUE_HEADS + 1):
            goal = self.torque_setpoint * (1.0 + 0.01 * ((i * 3) % 5 - 2)) + chance.gauss(0.0, 0.03)
            value = lag(getattr(self, f"torque{i}"), goal, float(taken), 4.0)
            setattr(self, f"torque{i}", value)
            total += value
        self.torque = total / TORQUE_HEADS


@dataclass
class Labeller(Machine):
    """Glues a label from a reel on each bottle; the reel is spliced without stopping."""

    PLACES: ClassVar[int] = 30
    REJECTS: ClassVar[float] = 0.006
    RATED_KW: ClassVar[float] = 6.5
    STOPS: ClassVar[tuple[tuple[int, float, float], ...]] = ((WEB, 3000.0, 110.0), (JAM, 4200.0, 35.0))
    COMMANDS: ClassVar[dict[str, int]] = {"web-break": WEB}
    UPSTREAM: ClassVar[str] = "capper"
    DOWNSTREAM: ClassVar[str] = "palletiser"
    ROOM: ClassVar[int] = 240

    target: float = 138.0
    web_tension: float = 14.0  # N
    tension_setpoint: float = 14.0
    glue_temp: float = 152.0
    glue_setpoint: float = 152.0
    labels_left: float = 18_000.0
    reel: float = 1.0
    splices: float = 0.0
    labels_used: float = 0.0
    registration: float = 0.0  # mm

    def step(self, dt: float, see: See, chance: Random, faults: Collection[str]) -> None:
        """As every machine, with web tension and glue temperature."""
        Machine.step(self, dt, see, chance, faults)
        goal = 0.0 if self.cause == WEB else self.tension_setpoint * (1.0 if self.state == EXECUTE else 0.85)
        self.web_tension = max(0.0, lag(self.web_tension, goal, dt, 1.5) + chance.gauss(0.0, 0.06 if goal else 0.0))
        self.glue_temp = lag(self.glue_temp, self.glue_setpoint, dt, 240.0) + chance.gauss(0.0, 0.04)
        self.power += 1.8 if self.glue_temp < self.glue_setpoint else 1.1

    def _used(self, taken: int, leaving: int, chance: Random) -> None:
        self.labels_used += taken
        self.labels_left -= taken
        if self.labels_left < 200:
            self.labels_left += 20_000
            self.reel = 3.0 - self.reel
            self.splices += 1
        self.registration = max(-2.0, min(2.0, lag(self.registration, chance.gauss(0.0, 0.35), float(taken), 5.0)))


@dataclass
class Palletiser(Machine):
    """Packs twelve to a case, ten cases to a layer, five layers to a pallet."""

    PLACES: ClassVar[int] = 24
    REJECTS: ClassVar[float] = 0.0005
    RATED_KW: ClassVar[float] = 14.0
    STOPS: ClassVar[tuple[tuple[int, float, float], ...]] = ((GUARD, 5400.0, 60.0), (JAM, 5400.0, 50.0))
    COMMANDS: ClassVar[dict[str, int]] = {"guard-open": GUARD}
    UPSTREAM: ClassVar[str] = "labeller"

    target: float = 144.0
    cases: float = 0.0
    layer: float = 0.0
    pallets: float = 0.0
    wrap_force: float = 14.2  # N
    film_left: float = 1450.0  # m
    gripper_pressure: float = 5.8

    def step(self, dt: float, see: See, chance: Random, faults: Collection[str]) -> None:
        """As every machine; cases, layers and pallets follow from the good bottles."""
        before = self.pallets
        Machine.step(self, dt, see, chance, faults)
        self.cases = self.good // CASE
        self.layer = self.good % PALLET // LAYER
        self.pallets = self.good // PALLET
        self.film_left -= 18.0 * (self.pallets - before)
        if self.film_left < 40.0:
            self.film_left += 1500.0
        self.wrap_force = lag(self.wrap_force, 14.2 if self.state == EXECUTE else 0.0, dt, 6.0) + chance.gauss(
            0.0, 0.03
        )
        self.wrap_force = max(0.0, self.wrap_force)
        self.gripper_pressure = lag(self.gripper_pressure, max(0.0, self.air - 0.7), dt, 2.0)


@dataclass
class Wrapper(Unit):
    """Winds film around each pallet that comes. Now and then the film tears, and somebody mends it."""

    WRAP_S: ClassVar[float] = 70.0
    TEARS_S: ClassVar[float] = 2400.0  # mean time it winds between two tears
    MEND_S: ClassVar[float] = 150.0
    WAITING: ClassVar[float] = 3.0  # pallets that find room before it; more go by unwrapped
    RUNNING_A: ClassVar[float] = 6.4
    RESTING_A: ClassVar[float] = 0.4

    current: float = 0.4
    taken: float = 0.0  # pallets, as the palletiser counts them
    wrap_s: float = 0.0  # left of the pallet on it
    mend_s: float = 0.0

    def step(self, dt: float, see: See, chance: Random, faults: Collection[str]) -> None:
        """Take a pallet, wind, or wait for whoever mends the film."""
        pallets = see("palletiser.pallets")
        self.taken = max(self.taken, pallets - self.WAITING)
        if self.mend_s > 0.0:
            self.mend_s -= dt
        elif self.wrap_s > 0.0:
            self.wrap_s -= dt
            if happens(chance, dt, self.TEARS_S):
                self.mend_s = min(6.0 * self.MEND_S, chance.expovariate(1.0 / self.MEND_S))
        elif self.taken < pallets:
            self.taken += 1.0
            self.wrap_s = self.WRAP_S
        winding = self.wrap_s > 0.0 and self.mend_s <= 0.0
        goal = self.RUNNING_A if winding else self.RESTING_A
        self.current = max(0.0, lag(self.current, goal, dt, 0.5) + chance.gauss(0.0, 0.03))
        self.power = 0.55 * self.current


@dataclass
class Conveyor(Panel):
    """The belts between the machines, with the accumulation table between capper and labeller."""

    KNOB: ClassVar[str] = "speed_factor"
    TURNED: ClassVar[float] = 85.0

    state: float = float(EXECUTE)
    line_state: float = float(EXECUTE)  # of the line: what its filler, the slowest machine, is
    belt1: float = 0.0  # m/min, filler to capper
    belt2: float = 0.0  # accumulation
    belt3: float = 0.0  # labeller to palletiser
    current1: float = 0.4  # A
    current2: float = 0.4
    current3: float = 0.4
    queue1: float = 0.0  # bottles on each belt
    queue2: float = 0.0
    queue3: float = 0.0
    level: float = 0.0  # % of the accumulation
    nearly_full: float = 0.0
    full: float = 0.0
    speed_factor: float = 100.0  # %, set-point
    lubricant: float = 80.0  # %
    hall_temp: float = HALL_C
    hall_humidity: float = 52.0

    def step(self, dt: float, see: See, chance: Random, faults: Collection[str]) -> None:
        """Belts follow the machine they feed."""
        self._panel(faults)
        self.line_state = see("filler.state")
        pairs = (("filler", "capper"), ("capper", "labeller"), ("labeller", "palletiser"))
        for i, (above, below) in enumerate(pairs, 1):
            setattr(self, f"queue{i}", max(0.0, see(f"{above}.good") - see(f"{below}.infeed")))
            running = max(see(f"{above}.speed"), see(f"{below}.speed")) > 1.0
            goal = 0.14 * see(f"{below}.target") * self.speed_factor / 100.0 if running else 0.0
            belt = ramp(getattr(self, f"belt{i}"), goal, 4.0 * dt)
            setattr(self, f"belt{i}", belt)
            setattr(self, f"current{i}", max(0.0, 0.3 + 0.09 * belt + chance.gauss(0.0, 0.02)))
        self.level = min(100.0, 100.0 * self.queue2 / ACCUMULATION)
        self.nearly_full = float(self.level > 90.0)
        self.full = float(self.level > 98.0)
        self.power = 0.3 + 0.11 * (self.belt1 + self.belt2 + self.belt3)
        self.lubricant = self.lubricant - 0.00002 * self.belt2 * dt if self.lubricant > 15.0 else 95.0
        self.hall_temp = lag(self.hall_temp, HALL_C + 0.03 * self.power, dt, 1800.0) + chance.gauss(0.0, 0.003)
        self.hall_humidity = max(30.0, min(75.0, lag(self.hall_humidity, 52.0, dt, 900.0) + chance.gauss(0.0, 0.03)))

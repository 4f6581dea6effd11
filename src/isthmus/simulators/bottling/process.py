"""What the line lives on: process tanks, boiler, compressed air, chilled water, and the meters that count it all."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Final

from isthmus.simulators.bottling.physics import CHANGE, EXECUTE, HALL_C, Panel, See, Unit, happens, lag, ramp

LINE: Final = ("filler", "capper", "labeller", "palletiser")
COMPRESSORS: Final = 3


@dataclass
class Tank(Panel):
    """A tank with an outlet and a refill pump that starts low and stops high.

    Litres leave by what others count as drawn, so nothing is lost between two processes. The outlet pump runs hot when the tank
    runs dry, and a jacket whose valve sticks open heats whatever its set-point says, until it is shut off.
    """

    KNOB: ClassVar[str] = "temp_setpoint"
    TURNED: ClassVar[float] = 15.0
    RUNAWAY_BY: ClassVar[str] = ""  # fault on command that keeps the valve of its jacket open
    FED_BY: ClassVar[tuple[str, ...]] = ()  # outlet pumps that must run for it to be refilled
    DRY: ClassVar[float] = 8.0  # % of level below which the outlet pump draws air

    SIZE_L: ClassVar[float] = 10_000.0
    REFILL_L_S: ClassVar[float] = 4.0
    AMBIENT_S: ClassVar[float] = 20_000.0  # how slowly it takes the temperature of the hall
    HEAT_S: ClassVar[float] = 900.0  # how slowly its jacket brings it to its set-point
    DRAWS: ClassVar[tuple[tuple[str, float], ...]] = ()  # who draws from it, and which share of what they take
    START: ClassVar[float] = 35.0
    STOP: ClassVar[float] = 85.0
    STUCK_BY: ClassVar[str] = ""  # fault on command that keeps its refill valve shut

    volume: float = 6300.0  # L
    level: float = 63.0
    temp: float = 12.0
    temp_setpoint: float = 12.0
    pressure: float = 0.2  # bar, hydrostatic
    filling: float = 0.0
    pump: float = 0.0
    valve: float = 0.0  # % open
    pump_current: float = 0.0
    inflow: float = 0.0  # m3/h
    outflow: float = 0.0
    filled_l: float = 0.0  # litres it took in, ever
    taken_l: float = 0.0  # litres others drew that were let out, ever
    agitator: float = 1.0
    conductivity: float = 410.0  # uS/cm
    auto_refill: float = 1.0
    jacket: float = 1.0  # released to heat and cool
    outlet_pump: float = 1.0
    pump_temp: float = 40.0

    def step(self, dt: float, see: See, chance: Random, faults: Collection[str]) -> None:
        """Out, in, then heat."""
        self._panel(faults)
        drawn = sum(see(key) * share for key, share in self.DRAWS)
        out_l = max(0.0, min(self.volume, drawn - self.taken_l))
        self.taken_l += out_l
        self.volume -= out_l
        self.outflow = lag(self.outflow, 3.6 * out_l / dt, dt, 4.0)
        fed = all(see(pump) > 0.5 for pump in self.FED_BY)
        self._refill(dt, self.STUCK_BY in faults or not fed, chance)
        self.level = 100.0 * self.volume / self.SIZE_L
        self._heat(dt, chance, self.RUNAWAY_BY in faults)
        self.pressure = 0.0032 * self.level + 0.06 * max(0.0, self.temp - 95.0)
        self.conductivity = max(0.0, lag(self.conductivity, 410.0, dt, 300.0) + chance.gauss(0.0, 0.3))
        self.power = 2.2 * self.pump * self.valve / 100.0 + 0.4 * self.agitator

    def _heat(self, dt: float, chance: Random, runaway: bool) -> None:
        """The content by the jacket and the hall, the outlet pump by its work."""
        self.temp = lag(self.temp, HALL_C, dt, self.AMBIENT_S)
        if runaway and self.jacket:
            self.temp = min(118.0, self.temp + 0.25 * dt)
        elif self.jacket:
            self.temp = lag(self.temp, self.temp_setpoint, dt, self.HEAT_S)
        self.temp += chance.gauss(0.0, 0.004)
        warm = 0.0 if not self.outlet_pump else 120.0 if self.level < self.DRY else 19.0
        self.pump_temp = lag(self.pump_temp, HALL_C + warm, dt, 120.0)

    def _refill(self, dt: float, stuck: bool, chance: Random) -> None:
        if self.level < self.START:
            self.filling = self.auto_refill
        elif self.level > self.STOP or not self.auto_refill:
            self.filling = 0.0
        self.pump = self.filling
        self.valve = 0.0 if stuck else ramp(self.valve, 100.0 * self.filling, 12.0 * dt)
        most_l = min(self.SIZE_L - self.volume, self._available())
        in_l = max(0.0, min(most_l, self.REFILL_L_S * self.valve / 100.0 * self.pump * dt))
        self.volume += in_l
        self.filled_l += in_l
        self.inflow = lag(self.inflow, 3.6 * in_l / dt, dt, 2.0)
        load = 1.8 + 2.6 * self.valve / 100.0
        self.pump_current = max(0.0, self.pump * (load + chance.gauss(0.0, 0.03)))

    def _available(self) -> float:
        """Litres that can come in at once."""
        return math.inf


@dataclass
class Water(Tank):
    """Treated water from the mains; four fifths of the product, and what cleaning takes."""

    SIZE_L: ClassVar[float] = 30_000.0
    DRAWS: ClassVar[tuple[tuple[str, float], ...]] = (("product.filled_l", 0.8), ("cip.filled_l", 1.0))
    volume: float = 18_930.0


@dataclass
class Syrup(Tank):
    """Filled by tanker; a fifth of the product."""

    SIZE_L: ClassVar[float] = 12_000.0
    DRAWS: ClassVar[tuple[tuple[str, float], ...]] = (("product.filled_l", 0.2),)
    volume: float = 7400.0
    temp: float = 18.0
    temp_setpoint: float = 18.0


@dataclass
class Product(Tank):
    """The blend the filler draws from."""

    SIZE_L: ClassVar[float] = 4000.0
    REFILL_L_S: ClassVar[float] = 3.0
    DRAWS: ClassVar[tuple[tuple[str, float], ...]] = (("filler.drawn_l", 1.0),)
    FED_BY: ClassVar[tuple[str, ...]] = ("water.outlet_pump", "syrup.outlet_pump")
    STUCK_BY: ClassVar[str] = "refill-stuck"
    START: ClassVar[float] = 45.0
    volume: float = 2500.0
    temp: float = 6.0
    temp_setpoint: float = 6.0


@dataclass
class Cip(Tank):
    """Hot caustic for cleaning in place; used while the filler changes over."""

    SIZE_L: ClassVar[float] = 3000.0
    REFILL_L_S: ClassVar[float] = 1.5
    volume: float = 2100.0
    temp: float = 74.0
    temp_setpoint: float = 75.0
    washed_l: float = 0.0  # litres used for cleaning, ever
    DRAWS: ClassVar[tuple[tuple[str, float], ...]] = (("cip.washed_l", 1.0),)
    FED_BY: ClassVar[tuple[str, ...]] = ("water.outlet_pump",)
    RUNAWAY_BY: ClassVar[str] = "heater-stuck"
    TURNED: ClassVar[float] = 82.0

    def step(self, dt: float, see: See, chance: Random, faults: Collection[str]) -> None:
        """As every tank, with its own washing."""
        if see("filler.cause") == CHANGE and self.outlet_pump:
            self.washed_l += 2.0 * dt
        Tank.step(self, dt, see, chance, faults)


@dataclass
class Boiler(Panel):
    """Steam for the cleaning tank, the labeller's glue and the bottle washer; the burner holds the pressure, unless its valve sticks."""

    KNOB: ClassVar[str] = "pressure_setpoint"
    TURNED: ClassVar[float] = 8.0

    state: float = float(EXECUTE)
    pressure: float = 9.0  # bar
    pressure2: float = 9.0  # the second and the third transmitter
    pressure3: float = 9.0
    pressure_setpoint: float = 9.0
    burner_release: float = 1.0
    burner: float = 35.0  # %
    flame: float = 1.0
    integral: float = 35.0
    steam_flow: float = 600.0  # kg/h
    steam_total: float = 0.0  # kg
    water_level: float = 55.0
    feed_temp: float = 92.0
    feed_pump: float = 0.0
    flue_temp: float = 180.0
    gas_flow: float = 40.0  # m3/h
    gas_total: float = 0.0
    conductivity: float = 2600.0  # uS/cm
    run_h: float = 0.0

    def step(self, dt: float, see: See, chance: Random, faults: Collection[str]) -> None:
        """Demand, burner, balance."""
        self._panel(faults)
        running = sum(see(f"{name}.speed") for name in LINE) / 480.0
        demand = 300.0 + 420.0 * running + 8.0 * max(0.0, see("cip.temp_setpoint") - see("cip.temp"))
        self.steam_flow = max(0.0, lag(self.steam_flow, demand, dt, 25.0) + chance.gauss(0.0, 2.0))
        missing = self.pressure_setpoint - self.pressure
        self.integral = max(0.0, min(100.0, self.integral + 0.08 * missing * dt))
        wanted = 100.0 if "burner-stuck" in faults else max(0.0, min(100.0, self.integral + 25.0 * missing))
        if self.burner_release:
            self.burner = ramp(self.burner, wanted, 4.0 * dt)
        else:
            self.burner, self.integral = ramp(self.burner, 0.0, 25.0 * dt), 0.0
        self.flame = float(self.burner > 3.0)
        made = 16.0 * self.burner
        self.pressure += (made - self.steam_flow) * dt / 60_000.0
        self.pressure = max(0.0, min(12.0, self.pressure + chance.gauss(0.0, 0.001)))
        self.pressure2 = max(0.0, self.pressure + chance.gauss(0.02, 0.002))
        self.pressure3 = max(0.0, self.pressure + chance.gauss(-0.02, 0.002))
        self.steam_total += self.steam_flow * dt / 3600.0
        self.gas_flow = 1.15 * self.burner * self.flame
        self.gas_total += self.gas_flow * dt / 3600.0
        self.run_h += self.flame * dt / 3600.0
        self._water(dt, chance)

    def _water(self, dt: float, chance: Random) -> None:
        if self.water_level < 48.0:
            self.feed_pump = 1.0
        elif self.water_level > 62.0:
            self.feed_pump = 0.0
        self.water_level += (0.12 * self.feed_pump - 0.00005 * self.steam_flow) * dt
        self.water_level = max(0.0, min(100.0, self.water_level))
        self.feed_temp = lag(self.feed_temp, 92.0 - 6.0 * self.feed_pump, dt, 200.0)
        self.flue_temp = lag(self.flue_temp, 120.0 + 1.6 * self.burner, dt, 90.0)
        self.conductivity = lag(self.conductivity, 2600.0, dt, 1800.0) + chance.gauss(0.0, 1.5)
        self.power = 1.2 + 3.0 * self.feed_pump + 0.02 * self.burner


@dataclass
class Air(Panel):
    """Three compressors that start and stop by the pressure of the header, the least used one first."""

    KNOB: ClassVar[str] = "pressure_setpoint"
    TURNED: ClassVar[float] = 6.2

    state: float = float(EXECUTE)
    pressure: float = 6.9  # bar
    pressure_setpoint: float = 6.8
    flow: float = 4.0  # m3/min
    total: float = 0.0  # m3
    dew_point: float = 3.0
    leak: float = 0.0
    run1: float = 1.0
    run2: float = 0.0
    run3: float = 0.0
    hours1: float = 4210.0
    hours2: float = 4195.0
    hours3: float = 4188.0
    starts1: float = 0.0
    starts2: float = 0.0
    starts3: float = 0.0
    oil1: float = 70.0
    oil2: float = 35.0
    oil3: float = 35.0
    kw1: float = 18.0
    kw2: float = 0.0
    kw3: float = 0.0
    hold_s: float = 0.0  # until the next start or stop may happen

    def step(self, dt: float, see: See, chance: Random, faults: Collection[str]) -> None:
        """Demand, cascade, balance."""
        self._panel(faults)
        use = 1.2 + sum(see(f"{name}.speed") for name in LINE) * 0.0085
        self.leak = ramp(self.leak, 12.5 if "air-leak" in faults else 0.0, 1.5 * dt)
        lost = self.leak * min(1.0, self.pressure / 6.0)
        self.flow = lag(self.flow, use + lost, dt, 3.0)
        self._cascade(dt)
        made = 3.6 * (self.run1 + self.run2 + self.run3)
        balance = made - self.flow
        self.pressure = max(0.0, min(8.5, self.pressure + balance * dt / 240.0 + chance.gauss(0.0, 0.001)))
        self.total += self.flow * dt / 60.0
        self.dew_point = lag(self.dew_point, 2.0 + 0.25 * self.flow, dt, 400.0) + chance.gauss(0.0, 0.01)
        self.power = 0.6
        for i in range(1, COMPRESSORS + 1):
            self._compressor(i, dt, chance)

    def _cascade(self, dt: float) -> None:
        self.hold_s = max(0.0, self.hold_s - dt)
        if self.hold_s:
            return
        turn = sorted(range(1, COMPRESSORS + 1), key=lambda i: getattr(self, f"hours{i}"))
        if self.pressure < self.pressure_setpoint - 0.25:
            idle = [i for i in turn if not getattr(self, f"run{i}")]
            if idle:
                setattr(self, f"run{idle[0]}", 1.0)
                setattr(self, f"starts{idle[0]}", getattr(self, f"starts{idle[0]}") + 1)
                self.hold_s = 12.0
        elif self.pressure > self.pressure_setpoint + 0.35:
            busy = [i for i in turn if getattr(self, f"run{i}")]
            if busy:
                setattr(self, f"run{busy[-1]}", 0.0)
                self.hold_s = 12.0

    def _compressor(self, i: int, dt: float, chance: Random) -> None:
        run = getattr(self, f"run{i}")
        kw = max(0.0, 17.5 + 0.8 * self.pressure + chance.gauss(0.0, 0.1)) if run else 0.0
        setattr(self, f"kw{i}", kw)
        setattr(self, f"hours{i}", getattr(self, f"hours{i}") + run * dt / 3600.0)
        setattr(self, f"oil{i}", lag(getattr(self, f"oil{i}"), 32.0 + 46.0 * run, dt, 240.0))
        self.power += kw


@dataclass
class Chilled(Panel):
    """Chilled water for the product tank; the compressor follows the supply temperature."""

    KNOB: ClassVar[str] = "supply_setpoint"
    TURNED: ClassVar[float] = 8.0

    state: float = float(EXECUTE)
    supply: float = 6.2
    supply_setpoint: float = 6.0
    back: float = 11.0  # return
    flow: float = 18.0  # m3/h
    load: float = 40.0  # % of the compressor
    integral: float = 40.0
    pump1: float = 1.0
    pump2: float = 0.0
    pressure: float = 2.6
    cooling: float = 90.0  # kW
    evaporator: float = 3.1  # bar
    condenser: float = 12.4
    starts: float = 0.0
    run_h: float = 0.0

    def step(self, dt: float, see: See, chance: Random, faults: Collection[str]) -> None:
        """What it is asked, what it gives."""
        self._panel(faults)
        asked = 40.0 + 9.0 * see("product.inflow") + 0.25 * see("filler.speed")
        above = self.supply - self.supply_setpoint
        self.integral = max(0.0, min(100.0, self.integral + 0.012 * above * dt))
        self.load = ramp(self.load, max(0.0, min(100.0, self.integral + 14.0 * above)), 3.0 * dt)
        given = 2.6 * self.load
        self.supply += (asked - given) * dt / 9000.0
        self.supply = max(1.0, min(25.0, self.supply + chance.gauss(0.0, 0.003)))
        self.pump2 = float(asked > 170.0 or (self.pump2 > 0.0 and asked > 140.0))
        self.flow = lag(self.flow, 18.0 * self.pump1 + 12.0 * self.pump2, dt, 4.0) + chance.gauss(0.0, 0.02)
        self.flow = max(0.1, self.flow)
        self.cooling = lag(self.cooling, asked, dt, 20.0)
        self.back = self.supply + self.cooling / (1.163 * self.flow)
        self.pressure = lag(self.pressure, 1.4 + 1.2 * self.pump1 + 0.4 * self.pump2, dt, 3.0)
        self.evaporator = lag(self.evaporator, 3.6 - 0.01 * self.load, dt, 30.0)
        self.condenser = lag(self.condenser, 10.0 + 0.05 * self.load, dt, 60.0)
        self.power = 2.5 + 3.0 * (self.pump1 + self.pump2) + given / 3.9
        self.run_h += dt / 3600.0 if self.load > 2.0 else 0.0


@dataclass
class Meter(Unit):
    """One electricity meter. Energy only grows."""

    FEEDS: ClassVar[tuple[str, ...]] = ()  # units behind it
    BASE_KW: ClassVar[float] = 0.0

    energy: float = 0.0  # kWh
    voltage: float = 400.0
    current: float = 0.0
    power_factor: float = 0.9
    reactive: float = 0.0  # kvar
    frequency: float = 50.0
    demand: float = 0.0  # kW, quarter of an hour

    def step(self, dt: float, see: See, chance: Random, faults: Collection[str]) -> None:
        """The sum of what is behind it."""
        before = self.power
        self.power = self.BASE_KW + sum(see(f"{name}.power") for name in self.FEEDS)
        self.energy += 0.5 * (before + self.power) * dt / 3600.0
        self.voltage = max(380.0, min(420.0, lag(self.voltage, 400.0, dt, 60.0) + chance.gauss(0.0, 0.12)))
        self.power_factor = lag(self.power_factor, 0.94 - 0.25 / (1.0 + self.power), dt, 5.0)
        self.current = 1000.0 * self.power / (math.sqrt(3.0) * self.voltage * self.power_factor)
        self.reactive = self.power * math.tan(math.acos(min(1.0, self.power_factor)))
        self.frequency = max(49.8, min(50.2, lag(self.frequency, 50.0, dt, 20.0) + chance.gauss(0.0, 0.003)))
        self.demand = lag(self.demand, self.power, dt, 900.0)


def meter(name: str, feeds: tuple[str, ...], base_kw: float = 0.0) -> type[Meter]:
    """A meter for some units."""
    return type(name, (Meter,), {"FEEDS": feeds, "BASE_KW": base_kw, "__doc__": f"Electricity of {', '.join(feeds)}."})


@dataclass
class Site(Unit):
    """Water and gas as they come from the street, and the weather outside."""

    water_flow: float = 0.0  # m3/h
    water_total: float = 18_250.0  # m3
    water_l: float = 0.0  # litres of the water tank already counted
    gas_flow: float = 0.0
    gas_total: float = 96_400.0
    gas_seen: float = 0.0
    outside_temp: float = 9.0
    outside_goal: float = 9.0

    def step(self, dt: float, see: See, chance: Random, faults: Collection[str]) -> None:
        """Counts what tank and boiler took since."""
        litres = max(0.0, see("water.filled_l") - self.water_l)
        self.water_l += litres
        self.water_total += litres / 1000.0
        self.water_flow = lag(self.water_flow, 3.6 * litres / dt, dt, 3.0)
        gas = max(0.0, see("boiler.gas_total") - self.gas_seen)
        self.gas_seen += gas
        self.gas_total += gas
        self.gas_flow = see("boiler.gas_flow")
        if happens(chance, dt, 1800.0):
            self.outside_goal = chance.uniform(4.0, 16.0)
        self.outside_temp = lag(self.outside_temp, self.outside_goal, dt, 3600.0)

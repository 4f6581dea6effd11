"""The points of all controllers, declared once: the registers are filled from here, and the plant file is written from here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from isthmus.simulators.bottling.machines import RECIPES
from isthmus.simulators.bottling.physics import CAUSES
from isthmus.simulators.bottling.points import Block, Point, TypeMap

P = Point
FAST, QUICK, SLOW = "200 ms", "500 ms", "5 s"
ON_OFF: Final[Mapping[int, str]] = {0: "Off", 1: "On"}
RUNS: Final[Mapping[int, str]] = {0: "Standing", 1: "Running"}

_MACHINE = TypeMap(
    "machine",
    "What every machine of the line shows (PackML)",
    (
        P(name="state", at="hr 0", kind="state", map="packml", every=FAST, description="PackML state"),
        P(name="cause", at="hr 1", kind="state", map=CAUSES, every=FAST, description="Why it stands"),
        P(name="mode", at="hr 2", kind="state", map={1: "Production", 2: "Maintenance", 3: "Manual"},
          description="PackML mode"),
        P(name="speed", at="hr 3", unit="bottles/min", scale=0.1, range=(0, 200), decimals=1, deadband=0.3, every=FAST,
          setpoint="target", description="Bottles per minute, measured at the main drive"),
        P(name="target", at="hr 4 float32", unit="bottles/min", range=(0, 160), decimals=1, every=QUICK,
          write={"role": "operator", "interlock": "guard_closed and state != Aborted"},
          description="Speed set-point"),
        P(name="infeed", at="hr 6 uint32", kind="counter", unit="bottles", every=FAST, description="Bottles taken in"),
        P(name="good", at="hr 8 uint32", kind="counter", unit="bottles", every=FAST, description="Good bottles"),
        P(name="reject", at="hr 10 uint32", kind="counter", unit="bottles", every=FAST, description="Rejected bottles"),
        P(name="stops", at="hr 12", kind="counter", description="Stops by a fault of its own"),
        P(name="state_time", of="state_s", at="hr 13 uint32", unit="s", decimals=0, description="Time in this state"),
        P(name="run_hours", of="run_h", at="hr 15 float32", unit="h", decimals=2, deadband=0.01, every=SLOW,
          description="Hours in Execute"),
        P(name="motor_temp", at="hr 17 int16", unit="°C", scale=0.1, range=(-20, 150), decimals=1, deadband=0.3,
          alarms={"high": 75, "high_high": (90, "high", "Main drive overheated", "Stop the machine, check its fan")},
          description="Winding temperature of the main drive"),
        P(name="vibration", at="hr 18", unit="mm/s", scale=0.01, range=(0, 30), decimals=2, deadband=0.05, every=QUICK,
          alarms={"high": 4.5, "high_high": 7.1}, description="Vibration of the main drive, RMS"),
        P(name="power", at="hr 19 float32", unit="kW", range=(0, 60), decimals=2, deadband=0.1, every=QUICK,
          description="Electric power of the machine"),
        P(name="air_pressure", of="air", at="hr 21", unit="bar", scale=0.01, range=(0, 10), decimals=2, deadband=0.03,
          alarms={"low": 5.5, "low_low": (5.0, "high", "Air pressure too low to run", "Check compressors and leaks")},
          description="Compressed air at the machine"),
        P(name="inside", at="hr 22", unit="bottles", decimals=0, deadband=1, description="Bottles inside the machine"),
        P(name="guard_closed", at="di 0", kind="switch", every=FAST, description="All guards closed"),
        P(name="enabled", at="co 0", kind="switch", every=QUICK, write="operator",
          description="Released for production"),
    ),
    formulas={
        "yield": {"unit": "%", "decimals": 2, "formula": "100 * good / (good + reject)",
                  "description": "Share of good bottles since commissioning"},
        "performance": {"unit": "%", "decimals": 1, "deadband": 0.5, "formula": "100 * speed / target if target > 1 else 0",
                        "description": "Speed against its set-point"},
    },
    extra={"production": {"state": "state", "good": "good", "reject": "reject", "ideal_rate": "125/min"}},
)

_FILLER = TypeMap(
    "filler",
    "Rotary filler with bowl, valve and eight measured heads",
    (
        P(name="recipe", at="hr 30 string 12", text=RECIPES, kind="text", description="What is being filled"),
        P(name="bowl_level", at="hr 50", unit="%", scale=0.01, range=(0, 100), decimals=1, deadband=0.2, every=QUICK,
          setpoint="bowl_setpoint", alarms={"low_low": (15, "high"), "low": 30, "high": 85},
          description="Product in the filler bowl"),
        P(name="bowl_setpoint", at="hr 51", unit="%", scale=0.01, range=(20, 80), decimals=1, write="operator",
          description="Bowl level set-point"),
        P(name="bowl_pressure", at="hr 52 float32", unit="bar", range=(0, 6), decimals=2, deadband=0.005, every=QUICK,
          alarms={"low": 1.8, "high": 3.0}, description="Bowl pressure"),
        P(name="product_temp", at="hr 54 int16", unit="°C", scale=0.01, range=(-5, 60), decimals=1, deadband=0.05,
          alarms={"high": 10}, description="Product in the bowl"),
        P(name="valve", at="hr 55", unit="%", scale=0.01, range=(0, 100), decimals=0, deadband=0.5, every=QUICK,
          description="Inlet valve"),
        P(name="flow", at="hr 56 float32", unit="m³/h", range=(0, 20), decimals=2, deadband=0.05, every=QUICK,
          description="Product flow into the bowl"),
        P(name="filled", of="filled_l", at="hr 58 float32", kind="counter", unit="L", decimals=0, deadband=0.5,
          description="Litres in bottles"),
        P(name="volume", of="volume_mean", at="hr 60 float32", unit="ml", range=(600, 900), decimals=2, deadband=0.05,
          every=QUICK, alarms={"low": 746, "high": 754}, description="Mean fill volume of all heads"),
        P(name="spread", of="volume_spread", at="hr 62 float32", unit="ml", range=(0, 50), decimals=2, deadband=0.05,
          alarms={"high": 8}, description="Largest difference between two heads"),
        *(P(name=f"head{i}", at=f"hr {62 + 2 * i} float32", unit="ml", range=(600, 900), decimals=1, deadband=0.1,
            description=f"Fill volume of head {i}") for i in range(1, 9)),
    ),
    extends="machine",
    extra={"maintenance": {"plan": [{"every": "500 h running", "task": "grease-spindle",
                                     "description": "Grease the main spindle"}]}},
)

_CAPPER = TypeMap(
    "capper",
    "Six-head screw capper with cap hopper and elevator",
    (
        P(name="torque", at="hr 30 float32", unit="N*m", range=(0, 5), decimals=2, deadband=0.01, every=QUICK,
          setpoint="torque_setpoint", alarms={"low": 1.4, "high": 2.4}, description="Mean closing torque"),
        P(name="torque_setpoint", at="hr 32 float32", unit="N*m", range=(1, 3), decimals=2, write="operator",
          description="Closing torque set-point"),
        *(P(name=f"torque{i}", at=f"hr {33 + i} int16", unit="N*m", scale=0.001, range=(0, 5), decimals=3,
            deadband=0.01, description=f"Closing torque of head {i}") for i in range(1, 7)),
        P(name="hopper", of="hopper_level", at="hr 40", unit="%", scale=0.1, range=(0, 100), decimals=0, deadband=0.5,
          alarms={"low": (20, "low", "Cap hopper low", "Fill the elevator"),
                  "low_low": (5, "high", "Cap hopper empty, capper stops", "Fill the elevator now")},
          description="Caps in the hopper"),
        P(name="elevator", at="di 1", kind="switch", description="Cap elevator runs"),
        P(name="caps", of="caps_used", at="hr 41 uint32", kind="counter", unit="pcs", description="Caps used"),
    ),
    extends="machine",
)

_LABELLER = TypeMap(
    "labeller",
    "Wet-glue labeller with two reels",
    (
        P(name="web_tension", at="hr 30", unit="N", scale=0.1, range=(0, 40), decimals=1, deadband=0.1, every=FAST,
          setpoint="tension_setpoint",
          alarms={"low": 11, "low_low": (10, "high", "Web tension low-low, labeller held",
                                         "Clear the splice, re-thread the reel, reset the labeller at its panel")},
          description="Tension of the label web"),
        P(name="tension_setpoint", at="hr 31", unit="N", scale=0.1, range=(8, 25), decimals=1, write="operator",
          description="Web tension set-point"),
        P(name="glue_temp", at="hr 32 float32", unit="°C", range=(0, 220), decimals=1, deadband=0.1,
          setpoint="glue_setpoint", alarms={"low": 140, "high": 165}, description="Glue temperature"),
        P(name="glue_setpoint", at="hr 34 float32", unit="°C", range=(100, 180), decimals=1, write="operator",
          description="Glue temperature set-point"),
        P(name="labels_left", at="hr 36", unit="pcs", decimals=0, deadband=10, alarms={"low": 1000},
          description="Labels left on the reel in use"),
        P(name="reel", at="hr 37", kind="state", map={1: "Reel 1", 2: "Reel 2"}, description="Reel in use"),
        P(name="splices", at="hr 38", kind="counter", description="Reels spliced"),
        P(name="labels", of="labels_used", at="hr 39 uint32", kind="counter", unit="pcs", description="Labels used"),
        P(name="registration", at="hr 41 int16", unit="mm", scale=0.001, range=(-5, 5), decimals=2, deadband=0.02,
          every=QUICK, alarms={"low": -1.5, "high": 1.5}, description="Label position error"),
    ),
    extends="machine",
)

_PALLETISER = TypeMap(
    "palletiser",
    "Packs cases and stacks them to pallets of 600 bottles",
    (
        P(name="cases", at="hr 30 uint32", kind="counter", unit="cases", description="Cases packed"),
        P(name="layer", at="hr 32", decimals=0, range=(0, 5), description="Full layers on the pallet"),
        P(name="pallets", at="hr 33 uint32", kind="counter", unit="pcs", description="Pallets finished"),
        P(name="wrap_force", at="hr 35", unit="N", scale=0.01, range=(0, 40), decimals=1, deadband=0.1,
          description="Force of the stretch film"),
        P(name="film_left", at="hr 36", unit="m", decimals=0, deadband=5, alarms={"low": 100},
          description="Stretch film left"),
        P(name="gripper", of="gripper_pressure", at="hr 37", unit="bar", scale=0.01, range=(0, 10), decimals=2,
          deadband=0.03, alarms={"low": 4.5}, description="Gripper pressure"),
    ),
    extends="machine",
)

LINE: Final = "packaging/line1"

_LINE_FORMULAS: Final[Mapping[str, Mapping[str, Any]]] = {
    "efficiency": {
        "unit": "%", "decimals": 1, "deadband": 0.2,
        "formula": f"100 * number({{{LINE}/palletiser/speed}}) / 120",
        "description": "What leaves the line now, against 120 bottles a minute",
    },
    "good": {
        "kind": "counter", "unit": "bottles", "formula": f"{{{LINE}/palletiser/good}}",
        "description": "Good bottles on pallets",
    },
    "reject": {
        "kind": "counter", "unit": "bottles",
        "formula": " + ".join(f"{{{LINE}/{m}/reject}}" for m in ("filler", "capper", "labeller", "palletiser")),
        "description": "Bottles rejected by any machine",
    },
    "yield": {
        "unit": "%", "decimals": 2, "formula": "100 * good / (good + reject)",
        "alarms": {"low": 95}, "description": "Share of good bottles since commissioning",
    },
    "in_progress": {
        "unit": "bottles", "decimals": 0, "deadband": 2, "formula": f"{{{LINE}/filler/infeed}} - good - reject",
        "description": "Bottles between filler and pallet",
    },
    "power": {
        "unit": "kW", "decimals": 1, "deadband": 0.2,
        "formula": "{energy/filler/power} + {energy/capper/power} + {energy/packing/power}",
        "description": "Electric power of the line",
    },
    "energy_per_1000": {
        "unit": "kWh", "decimals": 2, "deadband": 0.01,
        "formula": "1000 * {energy/main/energy} / max(number(good), 1)",
        "description": "Energy of the whole site per 1,000 good bottles",
    },
    "water_per_litre": {
        "decimals": 3, "deadband": 0.002,
        "formula": "number({process/water/filled}) / max(number({packaging/line1/filler/filled}), 1)",
        "description": "Litres of water taken in per litre filled",
    },
}  # fmt: skip

_LINE = TypeMap(
    "line",
    "A line as a whole: its state as its controller tells it, the rest calculated from its machines",
    (P(name="state", of="line_state", at="ir 0", kind="state", map="packml", every=FAST, description="State of the line"),),
    formulas=_LINE_FORMULAS,
    extra={"production": {"state": "state", "good": "good", "reject": "reject", "ideal_rate": "120/min"}},
)

_BELT = TypeMap(
    "belt",
    "One conveyor belt",
    (
        P(name="speed", of="belt{n}", at="ir 0", unit="m/min", scale=0.01, range=(0, 60), decimals=1, deadband=0.1,
          every=QUICK, description="Belt speed"),
        P(name="current", of="current{n}", at="ir 1", unit="A", scale=0.01, range=(0, 20), decimals=2, deadband=0.05,
          description="Motor current"),
        P(name="bottles", of="queue{n}", at="ir 2", unit="bottles", decimals=0, deadband=1, every=QUICK,
          description="Bottles on the belt"),
    ),
)

_ACCUMULATION = TypeMap(
    "accumulation",
    "Accumulation table between capper and labeller, 1,000 bottles",
    (
        P(name="state", at="ir 0", kind="state", map="packml", description="State of the conveyors"),
        P(name="level", at="ir 1", unit="%", scale=0.1, range=(0, 100), decimals=1, deadband=0.2, every=FAST,
          alarms={"high": (80, "low", "Accumulation filling", "See why the labeller does not take bottles"),
                  "high_high": (95, "high", "Accumulation nearly full, filler will stop",
                                "Slow the filler, clear the labeller")},
          description="How full it is; above 90 % it slows the filler"),
        P(name="nearly_full", at="ir 2.0", kind="switch", every=FAST, description="Slow-down of the filler asked"),
        P(name="full", at="ir 2.1", kind="switch", every=FAST, description="No room left"),
        P(name="power", at="ir 3", unit="kW", scale=0.01, range=(0, 20), decimals=2, deadband=0.05,
          description="Electric power of all belts"),
        P(name="lubricant", at="ir 4", unit="%", scale=0.1, range=(0, 100), decimals=0, deadband=0.5,
          alarms={"low": 20}, description="Belt lubricant"),
        P(name="speed_factor", at="hr 0", unit="%", range=(50, 120), decimals=0, write="operator",
          description="Belt speed against the machines"),
        P(name="hall_temp", at="ir 5 int16", unit="°C", scale=0.01, range=(-10, 50), decimals=1, deadband=0.05,
          every=SLOW, alarms={"high": 28}, description="Air in the bottling hall"),
        P(name="hall_humidity", at="ir 6", unit="%", scale=0.01, range=(0, 100), decimals=0, deadband=0.3, every=SLOW,
          description="Relative humidity of the bottling hall"),
    ),
)

_TANK = TypeMap(
    "tank",
    "Process tank with outlet, refill pump and valve",
    (
        P(name="level", at="hr 0 float32 cdab", unit="%", range=(0, 100), decimals=1, deadband=0.1, every=QUICK,
          alarms={"low_low": (10, "high"), "low": 25, "high": 92}, description="Level"),
        P(name="volume", at="hr 2 float32 cdab", unit="L", decimals=0, deadband=2, description="Content"),
        P(name="temp", at="hr 4 float32 cdab", unit="°C", range=(-5, 120), decimals=1, deadband=0.05,
          setpoint="temp_setpoint", description="Temperature"),
        P(name="temp_setpoint", at="hr 6 float32 cdab", unit="°C", range=(2, 90), decimals=1, write="operator",
          description="Temperature set-point"),
        P(name="pressure", at="hr 8", unit="bar", scale=0.001, range=(0, 4), decimals=3, deadband=0.001,
          description="Pressure at the outlet"),
        P(name="inflow", at="hr 9", unit="m³/h", scale=0.01, range=(0, 60), decimals=2, deadband=0.05, every=QUICK,
          description="Refill flow"),
        P(name="outflow", at="hr 10", unit="m³/h", scale=0.01, range=(0, 60), decimals=2, deadband=0.05, every=QUICK,
          description="Flow out"),
        P(name="valve", at="hr 11", unit="%", scale=0.01, range=(0, 100), decimals=0, deadband=0.5, every=QUICK,
          description="Refill valve"),
        P(name="pump_current", at="hr 12", unit="A", scale=0.01, range=(0, 20), decimals=2, deadband=0.05,
          description="Refill pump current"),
        P(name="conductivity", at="hr 13", unit="µS/cm", range=(0, 20000), decimals=0, deadband=2, every=SLOW,
          description="Conductivity"),
        P(name="pump", at="co 0", kind="switch", map=None, every=QUICK, description="Refill pump runs"),
        P(name="agitator", at="co 1", kind="switch", write="operator", description="Agitator runs"),
        P(name="auto_refill", at="co 2", kind="switch", write="operator", description="Refills by itself"),
        P(name="filled", of="filled_l", at="hr 14 uint32 cdab", kind="counter", unit="L", description="Litres taken in"),
    ),
)

_BOILER = TypeMap(
    "boiler",
    "Gas-fired steam boiler",
    (
        P(name="state", at="ir 0", kind="state", map="packml", description="State of the boiler"),
        P(name="pressure", at="ir 1 float32", unit="bar", range=(0, 14), decimals=2, deadband=0.01, every=QUICK,
          setpoint="pressure_setpoint",
          alarms={"low": 7.5, "high": 10, "high_high": (10.8, "critical", "Steam pressure far too high",
                                                         "Burner off, open the relief line")},
          description="Steam pressure"),
        P(name="pressure_setpoint", at="hr 0 float32", unit="bar", range=(6, 10), decimals=1, write="engineer",
          description="Steam pressure set-point"),
        P(name="burner", at="ir 3", unit="%", scale=0.1, range=(0, 100), decimals=0, deadband=0.5,
          description="Burner load"),
        P(name="flame", at="di 0", kind="switch", every=QUICK, description="Flame seen"),
        P(name="feed_pump", at="di 1", kind="switch", description="Feed-water pump runs"),
        P(name="steam_flow", at="ir 4", unit="kg/h", range=(0, 3000), decimals=0, deadband=5,
          description="Steam to the plant"),
        P(name="steam_total", at="ir 5 uint32", kind="counter", unit="kg", description="Steam made"),
        P(name="water_level", at="ir 7", unit="%", scale=0.1, range=(0, 100), decimals=1, deadband=0.2,
          alarms={"low_low": (25, "critical", "Boiler water low-low", "Burner off"), "low": 40, "high": 75},
          description="Water in the drum"),
        P(name="feed_temp", at="ir 8 int16", unit="°C", scale=0.1, range=(0, 120), decimals=1, deadband=0.2,
          description="Feed water"),
        P(name="flue_temp", at="ir 9 int16", unit="°C", scale=0.1, range=(0, 400), decimals=0, deadband=0.5,
          alarms={"high": 280}, description="Flue gas"),
        P(name="gas_flow", at="ir 10", unit="m³/h", scale=0.1, range=(0, 300), decimals=1, deadband=0.3,
          description="Gas to the burner"),
        P(name="gas_total", at="ir 11 float32", kind="counter", unit="m³", decimals=1, deadband=0.05, every=SLOW,
          description="Gas burned"),
        P(name="conductivity", at="ir 13", unit="µS/cm", range=(0, 6000), decimals=0, deadband=5, every=SLOW,
          alarms={"high": 3500}, description="Boiler water"),
        P(name="run_hours", of="run_h", at="ir 14 float32", unit="h", decimals=2, deadband=0.01, every=SLOW,
          description="Hours with flame"),
    ),
)

_COMPRESSOR = TypeMap(
    "compressor",
    "Screw compressor",
    (
        P(name="running", of="run{n}", at="di 0", kind="switch", every=QUICK, description="Runs"),
        P(name="power", of="kw{n}", at="ir 0", unit="kW", scale=0.01, range=(0, 60), decimals=1, deadband=0.2,
          description="Electric power"),
        P(name="oil_temp", of="oil{n}", at="ir 1 int16", unit="°C", scale=0.1, range=(0, 130), decimals=1, deadband=0.3,
          alarms={"high": 95, "high_high": 105}, description="Oil temperature"),
        P(name="hours", of="hours{n}", at="ir 2 float32", unit="h", decimals=2, deadband=0.01, every=SLOW,
          description="Hours run"),
        P(name="starts", of="starts{n}", at="ir 4", kind="counter", description="Starts"),
    ),
)

_AIR = TypeMap(
    "air",
    "Compressed air header and dryer",
    (
        P(name="state", at="ir 0", kind="state", map="packml", description="State of the station"),
        P(name="pressure", at="ir 1 float32", unit="bar", range=(0, 10), decimals=2, deadband=0.02, every=QUICK,
          setpoint="pressure_setpoint",
          alarms={"low": (6.0, "medium", "Header pressure low", "Look for leaks, start a compressor by hand"),
                  "low_low": (5.3, "high", "Header pressure low-low, machines will hold", "Close the leaking branch"),
                  "high": 7.8},
          description="Header pressure"),
        P(name="pressure_setpoint", at="hr 0 float32", unit="bar", range=(5.5, 7.5), decimals=1, write="engineer",
          description="Header pressure set-point"),
        P(name="flow", at="ir 3", unit="m³/min", scale=0.01, range=(0, 30), decimals=2, deadband=0.05, every=QUICK,
          alarms={"high": 9}, description="Air to the plant"),
        P(name="total", at="ir 4 uint32", kind="counter", unit="m³", description="Air delivered"),
        P(name="dew_point", at="ir 6 int16", unit="°C", scale=0.01, range=(-60, 30), decimals=1, deadband=0.05,
          alarms={"high": 6}, description="Pressure dew point behind the dryer"),
    ),
)

_CHILLED = TypeMap(
    "chiller",
    "Chilled water set",
    (
        P(name="state", at="ir 0", kind="state", map="packml", description="State of the set"),
        P(name="supply", at="ir 1 int16", unit="°C", scale=0.01, range=(-5, 40), decimals=1, deadband=0.05, every=QUICK,
          setpoint="supply_setpoint", alarms={"high": 9.5, "high_high": 12}, description="Supply temperature"),
        P(name="supply_setpoint", at="hr 0 int16", unit="°C", scale=0.01, range=(2, 12), decimals=1, write="operator",
          description="Supply temperature set-point"),
        P(name="return", of="back", at="ir 2 int16", unit="°C", scale=0.01, range=(-5, 40), decimals=1, deadband=0.05,
          description="Return temperature"),
        P(name="flow", at="ir 3", unit="m³/h", scale=0.01, range=(0, 60), decimals=1, deadband=0.1,
          description="Water flow"),
        P(name="load", at="ir 4", unit="%", scale=0.1, range=(0, 100), decimals=0, deadband=0.5,
          description="Compressor load"),
        P(name="pressure", at="ir 5", unit="bar", scale=0.01, range=(0, 8), decimals=2, deadband=0.02,
          description="Water pressure"),
        P(name="cooling", at="ir 6 float32", unit="kW", range=(0, 400), decimals=1, deadband=0.5,
          description="Cooling power"),
        P(name="power", at="ir 8 float32", unit="kW", range=(0, 150), decimals=1, deadband=0.2,
          description="Electric power"),
        P(name="evaporator", at="ir 10", unit="bar", scale=0.01, range=(0, 20), decimals=2, deadband=0.02,
          description="Evaporator pressure"),
        P(name="condenser", at="ir 11", unit="bar", scale=0.01, range=(0, 40), decimals=2, deadband=0.05,
          alarms={"high": 18}, description="Condenser pressure"),
        P(name="pump1", at="di 0", kind="switch", description="Pump 1 runs"),
        P(name="pump2", at="di 1", kind="switch", description="Pump 2 runs"),
        P(name="run_hours", of="run_h", at="ir 12 float32", unit="h", decimals=2, deadband=0.01, every=SLOW,
          description="Hours run"),
    ),
    formulas={"cop": {"decimals": 2, "deadband": 0.05, "formula": "cooling / power",
                      "description": "Cooling power per electric power"}},
)

_METER = TypeMap(
    "meter",
    "Electricity meter, three-phase",
    (
        P(name="power", at="ir 0 float32 cdab", unit="kW", range=(0, 500), decimals=2, deadband=0.1,
          description="Active power"),
        P(name="energy", at="ir 2 float32 cdab", kind="counter", unit="kWh", decimals=2, deadband=0.01,
          description="Active energy since commissioning"),
        P(name="voltage", at="ir 4", unit="V", scale=0.1, range=(0, 500), decimals=1, deadband=0.3,
          alarms={"low": 360, "high": 440}, description="Voltage between phases"),
        P(name="current", at="ir 5 float32 cdab", unit="A", range=(0, 800), decimals=1, deadband=0.3,
          description="Current, mean of three phases"),
        P(name="power_factor", at="ir 7 int16", scale=0.001, range=(-1, 1), decimals=3, deadband=0.003,
          description="Power factor"),
        P(name="reactive", at="ir 8 float32 cdab", unit="kvar", range=(-500, 500), decimals=2, deadband=0.1,
          description="Reactive power"),
        P(name="demand", at="ir 10 float32 cdab", unit="kW", range=(0, 500), decimals=1, deadband=0.1, every=SLOW,
          description="Demand, quarter of an hour"),
    ),
)

_MAIN_METER = TypeMap(
    "main-meter",
    "Meter of the whole site",
    (
        P(name="frequency", at="ir 12", unit="Hz", scale=0.001, range=(45, 55), decimals=2, deadband=0.005,
          alarms={"low": 49.7, "high": 50.3}, description="Mains frequency"),
        P(name="demand", at="ir 10 float32 cdab", unit="kW", range=(0, 500), decimals=1, deadband=0.1, every=SLOW,
          alarms={"high": (220, "low", "Quarter-hour demand near the contract", "Shift cleaning and refilling")},
          description="Demand, quarter of an hour"),
    ),
    extends="meter",
)

_SITE = TypeMap(
    "supply",
    "Water and gas from the street",
    (
        P(name="water_flow", at="ir 0 float32 cdab", unit="m³/h", range=(0, 60), decimals=2, deadband=0.05,
          description="Water from the mains"),
        P(name="water_total", at="ir 2 uint32 cdab", kind="counter", scale=0.01, unit="m³", decimals=2,
          description="Water meter"),
        P(name="gas_flow", at="ir 4 float32 cdab", unit="m³/h", range=(0, 300), decimals=1, deadband=0.3,
          description="Gas from the mains"),
        P(name="gas_total", at="ir 6 uint32 cdab", kind="counter", scale=0.01, unit="m³", decimals=2, every=SLOW,
          description="Gas meter"),
        P(name="outside_temp", at="ir 8 int16", unit="°C", scale=0.1, range=(-40, 50), decimals=1, deadband=0.1,
          every=SLOW, description="Air outside"),
    ),
)

TYPES: Final[Mapping[str, TypeMap]] = {
    t.name: t
    for t in (
        _MACHINE, _FILLER, _CAPPER, _LABELLER, _PALLETISER, _LINE, _BELT, _ACCUMULATION, _TANK, _BOILER, _COMPRESSOR, _AIR,
        _CHILLED, _METER, _MAIN_METER, _SITE,
    )
}  # fmt: skip

BLOCKS: Final[Mapping[str, tuple[Block, ...]]] = {
    "plc-filler": (Block(f"{LINE}/filler", "filler", "filler", 0, description="Fills 0.75 L bottles, 48 places"),),
    "plc-capper": (Block(f"{LINE}/capper", "capper", "capper", 0, description="Closes the bottles"),),
    "plc-line1": (
        Block(LINE, "conveyor", "line", 330, description="Still drinks in 0.75 L glass, 12 per case"),
        Block(f"{LINE}/accumulation", "conveyor", "accumulation", 0, description="Keeps capper and labeller apart"),
        Block(f"{LINE}/labeller", "labeller", "labeller", 100, description="Front label"),
        Block(f"{LINE}/palletiser", "palletiser", "palletiser", 200, description="Cases and pallets"),
        Block(f"{LINE}/belt1", "conveyor", "belt", 300, 1, "Filler to capper"),
        Block(f"{LINE}/belt2", "conveyor", "belt", 310, 2, "Capper to labeller"),
        Block(f"{LINE}/belt3", "conveyor", "belt", 320, 3, "Labeller to palletiser"),
    ),
    "plc-tanks": (
        Block("process/water", "water", "tank", 0, description="Treated water, 30 m³"),
        Block("process/syrup", "syrup", "tank", 20, description="Syrup, 12 m³"),
        Block("process/product", "product", "tank", 40, description="Blend that feeds the filler, 4 m³"),
        Block("process/cip", "cip", "tank", 60, description="Hot caustic for cleaning in place, 3 m³"),
    ),
    "plc-utilities": (
        Block("utilities/boiler", "boiler", "boiler", 0, description="Steam for cleaning, glue and bottle washer"),
        Block("utilities/air", "air", "air", 40, description="Header of the compressed air network"),
        Block("utilities/air/compressor1", "air", "compressor", 60, 1, "Compressor 1"),
        Block("utilities/air/compressor2", "air", "compressor", 70, 2, "Compressor 2"),
        Block("utilities/air/compressor3", "air", "compressor", 80, 3, "Compressor 3"),
        Block("utilities/chilled", "chilled", "chiller", 100, description="Keeps the product tank cold"),
    ),
    "meters": (
        Block("energy/main", "m_main", "main-meter", 0, description="Whole site"),
        *(
            Block(f"energy/{name}", f"m_{name}", "meter", 20 * i, description=text)
            for i, (name, text) in enumerate(
                {
                    "filler": "Filler",
                    "capper": "Capper",
                    "packing": "Conveyors, labeller and palletiser",
                    "tanks": "Pumps and agitators of the tanks",
                    "boiler": "Boiler house",
                    "air": "Compressed air station",
                    "chilled": "Chilled water set",
                }.items(),
                1,
            )
        ),
        Block("energy/street", "site", "supply", 200, description="Water and gas meters"),
    ),
}
"""The assets in each controller."""

CONNECTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "plc-filler": {"zone": "line1", "access": "read-write", "description": "Filler, Schneider M340"},
    "plc-capper": {"zone": "line1", "access": "read-write", "description": "Capper, Schneider M340"},
    "plc-line1": {"zone": "line1", "access": "read-write", "description": "Conveyors, labeller and palletiser"},
    "plc-tanks": {"zone": "process", "access": "read-write", "description": "Tank farm; words of a value come swapped"},
    "plc-utilities": {"zone": "utilities", "access": "read-write", "description": "Boiler, compressed air, chilled water"},
    "meters": {"zone": "utilities", "description": "Gateway of the energy meters; read only"},
}
"""What the plant file says about each connection, besides where it is."""


def points_of(type_name: str) -> tuple[Point, ...]:
    """All points of a type, with those of the type it extends; its own come on top."""
    mapped = TYPES[type_name]
    inherited = points_of(mapped.extends) if mapped.extends else ()
    found = {p.name: p for p in inherited} | {p.name: p for p in mapped.points}
    return tuple(found.values())

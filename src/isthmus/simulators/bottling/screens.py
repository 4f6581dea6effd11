"""Which screens an operator of the hall wants, and what stands on each: plain data, of which drawings are made.

Tags are paths relative to the screen's asset. Levels are those of ISA-101: 1 the hall, 2 a line or area, 3 one machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Element:
    """One thing on a screen. ``kind`` is a symbol (tank, pump, valve, motor, conveyor, mixer, exchanger, compressor, fan, filler,
    capper, labeller, palletiser), a pipe, or value, bar, state, trend, table, alarms, button (opens what stands in ``to``).

    Units: x, y, width, height on a screen of 1600 by 900
    """

    kind: str
    label: str
    x: int
    y: int
    width: int = 120
    height: int = 80
    tags: tuple[str, ...] = ()
    to: str = ""  # the id of a screen


@dataclass(frozen=True, slots=True)
class Screen:
    """One screen. ``asset`` "" is the site."""

    id: str
    title: str
    level: int
    asset: str
    elements: tuple[Element, ...]
    above: str = ""  # the id of the screen it belongs below


_MACHINES: Final = ("filler", "capper", "labeller", "palletiser")


def _machines() -> tuple[Element, ...]:
    """The line from left to right: each machine with what an operator looks at first, belts between them."""
    found: list[Element] = []
    for i, name in enumerate(_MACHINES):
        x = 60 + 390 * i
        found += [
            Element(
                name,  # each machine has a symbol of its own
                name.capitalize(),
                x,
                220,
                160,
                120,
                (f"{name}/state",),
                name if name == "filler" else "",  # the others have their faceplate
            ),
            Element("state", "State", x, 350, 160, 32, (f"{name}/state",)),
            Element("state", "Why", x, 386, 160, 28, (f"{name}/cause",)),
            Element("bar", "Speed", x, 424, 160, 36, (f"{name}/speed", f"{name}/target")),
            Element("value", "Good", x, 470, 160, 28, (f"{name}/good",)),
            Element("value", "Rejected", x, 502, 160, 28, (f"{name}/reject",)),
        ]
    found += [
        Element("conveyor", f"Belt {n}", 230 + 390 * (n - 1), 290, 210, 40, (f"belt{n}/speed", f"belt{n}/bottles"))
        for n in (1, 2, 3)
    ]
    return tuple(found)


def _tank(name: str, x: int, y: int) -> tuple[Element, ...]:
    return (
        Element("tank", name.capitalize(), x, y, 150, 220, (f"{name}/level", f"{name}/volume")),
        Element("valve", "Refill", x - 70, y + 10, 50, 50, (f"{name}/valve",)),
        Element("pump", "Refill pump", x - 140, y + 10, 50, 50, (f"{name}/pump", f"{name}/pump_current")),
        Element("mixer", "Agitator", x + 50, y + 120, 50, 60, (f"{name}/agitator",)),
        Element("pump", "Outlet pump", x + 170, y + 170, 50, 50, (f"{name}/outlet_pump", f"{name}/pump_temp")),
        Element("bar", "Temperature", x - 20, y + 244, 190, 30, (f"{name}/temp", f"{name}/temp_setpoint")),
        Element("value", "Pressure", x - 20, y + 274, 190, 26, (f"{name}/pressure",)),
    )


SCREENS: Final[tuple[Screen, ...]] = (
    Screen(
        "hall",
        "Bottling hall",
        1,
        "",
        (
            Element("state", "Line 1", 60, 60, 300, 60, ("packaging/line1/state",), "line1"),
            Element(
                "bar", "Speed", 60, 140, 300, 40, ("packaging/line1/filler/speed", "packaging/line1/filler/target")
            ),
            Element("value", "Efficiency", 60, 190, 300, 30, ("packaging/line1/efficiency",)),
            Element("value", "Good", 60, 224, 300, 30, ("packaging/line1/good",)),
            Element("value", "Yield", 60, 258, 300, 30, ("packaging/line1/yield",)),
            Element("bar", "Water", 440, 60, 240, 40, ("process/water/level",), "tanks"),
            Element("bar", "Syrup", 440, 110, 240, 40, ("process/syrup/level",), "tanks"),
            Element("bar", "Product", 440, 160, 240, 40, ("process/product/level",), "tanks"),
            Element("bar", "Cleaning", 440, 210, 240, 40, ("process/cip/temp", "process/cip/temp_setpoint"), "tanks"),
            Element(
                "bar",
                "Steam",
                760,
                60,
                240,
                40,
                ("utilities/boiler/pressure", "utilities/boiler/pressure_setpoint"),
                "utilities",
            ),
            Element(
                "bar",
                "Compressed air",
                760,
                110,
                240,
                40,
                ("utilities/air/pressure", "utilities/air/pressure_setpoint"),
                "utilities",
            ),
            Element(
                "bar",
                "Chilled water",
                760,
                160,
                240,
                40,
                ("utilities/chilled/supply", "utilities/chilled/supply_setpoint"),
                "utilities",
            ),
            Element("value", "Electric power", 1080, 60, 240, 40, ("energy/main/power",)),
            Element("value", "Quarter-hour demand", 1080, 110, 240, 40, ("energy/main/demand",)),
            Element(
                "trend",
                "Line and accumulation",
                60,
                330,
                760,
                430,
                (
                    "packaging/line1/filler/speed",
                    "packaging/line1/palletiser/speed",
                    "packaging/line1/accumulation/level",
                ),
            ),
            Element(
                "trend",
                "Utilities",
                860,
                330,
                680,
                430,
                ("utilities/boiler/pressure", "utilities/air/pressure", "utilities/chilled/supply"),
            ),
            Element("alarms", "Alarms", 60, 790, 240, 40),
        ),
    ),
    Screen(
        "line1",
        "Line 1",
        2,
        "packaging/line1",
        (
            Element("state", "Line", 60, 40, 300, 48, ("state",)),
            Element("value", "Efficiency", 400, 40, 200, 48, ("efficiency",)),
            Element("value", "Bottles on the line", 640, 40, 220, 48, ("in_progress",)),
            Element("value", "Power", 900, 40, 180, 48, ("power",)),
            *_machines(),
            Element("bar", "Accumulation", 450, 140, 330, 44, ("accumulation/level",)),
            Element("value", "Belt speed factor", 800, 140, 200, 44, ("accumulation/speed_factor",)),
            Element("trend", "Speeds", 60, 570, 1480, 300, tuple(f"{m}/speed" for m in _MACHINES)),
            Element("alarms", "Alarms of the line", 1300, 40, 240, 40),
        ),
        above="hall",
    ),
    Screen(
        "filler",
        "Filler",
        3,
        "packaging/line1/filler",
        (
            Element("state", "State", 60, 40, 220, 48, ("state",)),
            Element("state", "Why", 300, 40, 260, 48, ("cause",)),
            Element("state", "Mode", 580, 40, 180, 48, ("mode",)),
            Element("state", "Local", 780, 40, 120, 48, ("local",)),
            Element("state", "Guards", 920, 40, 120, 48, ("guard_closed",)),
            Element("state", "Emergency stop", 1060, 40, 160, 48, ("estop_ok",)),
            Element("value", "Recipe", 1240, 40, 300, 48, ("recipe",)),
            Element("pipe", "Product", 60, 200, 200, 20, ("flow",)),
            Element("valve", "Inlet valve", 260, 180, 60, 60, ("valve",)),
            Element("tank", "Bowl", 380, 130, 220, 240, ("bowl_level",)),
            Element("bar", "Bowl level", 380, 404, 220, 36, ("bowl_level", "bowl_setpoint")),
            Element("value", "Bowl pressure", 380, 450, 220, 28, ("bowl_pressure",)),
            Element("value", "Product temperature", 380, 482, 220, 28, ("product_temp",)),
            Element("motor", "Main drive", 680, 180, 120, 120, ("speed", "motor_temp")),
            Element("bar", "Speed", 680, 350, 260, 40, ("speed", "target")),
            Element("value", "Winding", 680, 400, 260, 28, ("motor_temp",)),
            Element("value", "Vibration", 680, 432, 260, 28, ("vibration",)),
            Element("bar", "Fill volume", 1000, 180, 260, 40, ("volume", "volume_setpoint")),
            Element("value", "Spread", 1000, 230, 260, 28, ("spread",)),
            *(Element("bar", f"Head {i}", 1000, 270 + 30 * (i - 1), 260, 26, (f"head{i}",)) for i in range(1, 9)),
            Element("value", "Good", 1300, 180, 240, 36, ("good",)),
            Element("value", "Rejected", 1300, 222, 240, 36, ("reject",)),
            Element("value", "Yield", 1300, 264, 240, 36, ("yield",)),
            Element("button", "Command", 1300, 330, 240, 48, ("command",)),
            Element("button", "Released", 1300, 390, 240, 48, ("enabled",)),
            Element("trend", "Volume, level and speed", 60, 550, 1480, 320, ("volume", "bowl_level", "speed")),
            Element("alarms", "Alarms of the filler", 1300, 450, 240, 40),
        ),
        above="line1",
    ),
    Screen(
        "tanks",
        "Tanks and cleaning",
        2,
        "process",
        (
            *_tank("water", 220, 60),
            *_tank("syrup", 220, 400),
            *_tank("product", 720, 200),
            *_tank("cip", 1100, 60),
            Element("pipe", "Water to product", 440, 227, 140, 16, ("water/outflow",)),
            Element("pipe", "Syrup to product", 440, 588, 140, 16, ("syrup/outflow",)),
            Element("pipe", "Product to the filler", 942, 387, 150, 16, ("product/outflow",), "filler"),
            Element("state", "Cleaning jacket", 1080, 370, 150, 48, ("cip/jacket",)),
            Element("state", "Product jacket", 700, 510, 150, 48, ("product/jacket",)),
            Element("trend", "Levels", 60, 690, 720, 170, ("water/level", "syrup/level", "product/level")),
            Element("trend", "Cleaning temperature", 800, 690, 740, 170, ("cip/temp", "cip/temp_setpoint")),
        ),
        above="hall",
    ),
    Screen(
        "utilities",
        "Utilities",
        2,
        "utilities",
        (
            Element("exchanger", "Boiler", 60, 80, 200, 180, ("boiler/burner", "boiler/flame")),
            Element("bar", "Steam pressure", 60, 310, 280, 40, ("boiler/pressure", "boiler/pressure_setpoint")),
            Element("value", "Transmitter 2", 60, 360, 280, 28, ("boiler/pressure2",)),
            Element("value", "Transmitter 3", 60, 390, 280, 28, ("boiler/pressure3",)),
            Element("bar", "Water level", 60, 424, 280, 36, ("boiler/water_level",)),
            Element("state", "Burner release", 60, 504, 280, 48, ("boiler/burner_release",)),
            Element("value", "Steam", 60, 470, 280, 28, ("boiler/steam_flow",)),
            *(
                Element(
                    "compressor",
                    f"Compressor {i}",
                    420 + 180 * (i - 1),
                    80,
                    140,
                    140,
                    (f"air/compressor{i}/running", f"air/compressor{i}/oil_temp"),
                )
                for i in (1, 2, 3)
            ),
            Element("bar", "Header pressure", 420, 290, 500, 40, ("air/pressure", "air/pressure_setpoint")),
            Element("value", "Air to the plant", 420, 340, 240, 28, ("air/flow",)),
            Element("value", "Dew point", 680, 340, 240, 28, ("air/dew_point",)),
            Element("fan", "Chiller", 1020, 80, 180, 140, ("chilled/load",)),
            Element("pump", "Pump 1", 1220, 80, 70, 70, ("chilled/pump1",)),
            Element("pump", "Pump 2", 1310, 80, 70, 70, ("chilled/pump2",)),
            Element("bar", "Supply", 1020, 270, 360, 40, ("chilled/supply", "chilled/supply_setpoint")),
            Element("value", "Return", 1020, 320, 170, 28, ("chilled/return",)),
            Element("value", "Cooling", 1210, 320, 170, 28, ("chilled/cooling",)),
            Element(
                "trend",
                "Pressures and supply",
                60,
                560,
                1480,
                300,
                ("boiler/pressure", "air/pressure", "chilled/supply"),
            ),
            Element("alarms", "Alarms of the utilities", 1300, 440, 240, 40),
        ),
        above="hall",
    ),
)
"""From the hall down to the filler."""

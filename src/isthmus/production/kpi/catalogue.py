"""What a KPI is, those every plant has, and what formulas of the plant's own may read.

Source: ISO 22400-2:2014; what is not in it says so
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from isthmus.production.figures import Figures
from isthmus.production.model import MILLION, FactSum, StateClass
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError
from isthmus.values.expression import Expression, Symbol, compile_expression

Better = Literal["up", "down", ""]
"""Which way is better; empty: neither."""

MAX_NAME_CHARS: Final = 40
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")


@dataclass(frozen=True, slots=True)
class Kpi:
    """One indicator. ``figure`` names what it is among `Figures`; without one its formula is computed."""

    name: str
    title: str
    formula: str
    unit: str
    better: Better = "up"
    source: str = ""
    description: str = ""
    figure: str = ""
    scale: float = 1.0  # from the figure to the unit
    own: bool = False  # made by people of this plant
    sum: bool = False  # grows with the time it is looked at: a count, hours, money


ORDER: Final = "order:"
"""Begins the name of a figure that comes from what was booked on orders, and not from what machines did."""
MONEY: Final = frozenset({"downtime_cost", "labour_cost", "material_cost", "order_cost", "order_cost_per_good"})
"""KPIs in the plant's currency."""
_ISO = "ISO 22400-2:2014, "
_OURS = "not in ISO 22400"
_PERCENT = 100.0
_HOUR = 1 / (3_600 * NS_PER_S)
_MINUTE = 1 / (60 * NS_PER_S)

STANDARD: Final[tuple[Kpi, ...]] = (
    Kpi("oee", "OEE", "ideal_good_time / rated_planned_time (availability × performance × quality of what is rated)", "%", "up",
        _ISO + "overall equipment effectiveness index", "How much of the planned time good pieces were made at full speed.", "oee", _PERCENT),
    Kpi("availability", "Availability", "run_time / planned_time (APT / PBT)", "%", "up",
        _ISO + "availability", "How much of the planned time it ran.", "availability", _PERCENT),
    Kpi("performance", "Performance", "ideal_time / rated_run_time (PRI × PQ / APT)", "%", "up",
        _ISO + "effectiveness", "How fast it ran, against its ideal rate.", "performance", _PERCENT),
    Kpi("quality", "Quality", "ideal_good_time / ideal_time (GQ / PQ where the rate is one)", "%", "up",
        _ISO + "quality ratio", "How much of what was made is good.", "quality", _PERCENT),
    Kpi("teep", "TEEP", "ideal_good_time / rated_planned_time * planned_time / all_time", "%", "up", _OURS + ": OEE over calendar time",
        "How much of all time good pieces were made at full speed.", "teep", _PERCENT),
    Kpi("utilization", "Planned share", "planned_time / all_time", "%", "", _OURS,
        "How much of all time was planned for production.", "utilization", _PERCENT),
    Kpi("net_equipment_effectiveness", "Net equipment effectiveness",
        "100 * (rated_run_time + rated_setup_time) / rated_planned_time * ideal_good_time / rated_run_time", "%", "up",
        _ISO + "net equipment effectiveness index", "OEE with set-up counted as work."),
    Kpi("setup_ratio", "Set-up ratio", "100 * setup_time / (run_time + setup_time)", "%", "down",
        _ISO + "setup rate", "How much of the working time went into setting up."),
    Kpi("mtbf", "MTBF", "run_time / failures", "h", "up", _ISO + "mean operating time between failures",
        "How long it ran from one failure to the next.", "mtbf_ns", _HOUR),
    Kpi("mttr", "MTTR", "failure_time / failures", "min", "down", _ISO + "mean time to restoration",
        "How long a failure lasted.", "mttr_ns", _MINUTE),
    Kpi("throughput", "Throughput", "total / planned_time", "1/h", "up", _ISO + "throughput rate",
        "Pieces in an hour of planned time.", "throughput_per_h"),
    Kpi("first_pass_yield", "First pass yield", "(good - rework) / total", "%", "up", _ISO + "first pass yield",
        "How much was good without being worked on again.", "first_pass_yield", _PERCENT),
    Kpi("scrap_ratio", "Scrap ratio", "reject / total", "%", "down", _ISO + "scrap ratio",
        "How much was thrown away.", "scrap_ratio", _PERCENT),
    Kpi("rework_ratio", "Rework ratio", "100 * rework / total", "%", "down", _ISO + "rework ratio",
        "How much was worked on again."),
    Kpi("energy_per_good", "Energy per good piece", "energy / good", "", "down", _ISO + "comprehensive energy consumption",
        "Energy for one good piece, in the unit its counters have.", "energy_per_good"),
    Kpi("material_per_good", "Material per good piece", "material / good", "", "down", _OURS,
        "Material for one good piece, in the unit its counters have.", "material_per_good"),
    Kpi("downtime", "Downtime", "planned_time - run_time - unknown_time", "h", "down", _OURS,
        "Planned time in which it did not run.", "down_ns", _HOUR, sum=True),
    Kpi("downtime_cost", "Cost of downtime", "cost", "", "down", _OURS,
        "What standing still cost, in the plant's currency.", "cost", sum=True),
    Kpi("labour_cost", "Cost of labour", "time people worked on orders * what an hour of the operation costs", "", "down", _OURS,
        "What work on orders cost, in the plant's currency; asked by order, operation or product.", ORDER + "labour", sum=True),
    Kpi("material_cost", "Cost of material", "material orders took * what a unit of the lot costs", "", "down", _OURS,
        "What orders took of lots cost, in the plant's currency; asked by order, operation or product.", ORDER + "material", sum=True),
    Kpi("order_cost", "Cost of orders", "labour_cost + material_cost + downtime_cost", "", "down", _OURS,
        "Labour, material and standing still of orders, in the plant's currency; empty where one of them is not known.",
        ORDER + "all", sum=True),
    Kpi("order_cost_per_good", "Cost per good piece", "order_cost / good", "", "down", _OURS,
        "What one good piece of orders cost, in the plant's currency."),
    Kpi("unknown_share", "Unknown time", "100 * unknown_time / planned_time", "%", "down", _OURS,
        "Planned time of which nobody knows what happened; no other figure counts it as run."),
    Kpi("good", "Good pieces", "good", "", "up", _ISO + "good quantity", "Pieces counted good.", "good", sum=True),
    Kpi("reject", "Rejected pieces", "reject", "", "down", _ISO + "scrap quantity", "Pieces thrown away.", "reject", sum=True),
    Kpi("stops", "Stops", "stops", "", "down", _OURS, "Stops longer than a minor stop.", "stops", sum=True),
    Kpi("minor_stops", "Minor stops", "minor_stops", "", "down", _OURS, "Stops too short to ask for a reason.", "minor_stops", sum=True),
)  # fmt: skip
"""The KPIs every plant has."""

ELEMENTS: Final[Mapping[str, tuple[str, str]]] = {
    "all_time": ("s", "calendar time"),
    "planned_time": ("s", "planned busy time, PBT"),
    "run_time": ("s", "actual production time, APT"),
    "rated_planned_time": ("s", "planned busy time of what counts pieces and has an ideal rate"),
    "rated_run_time": ("s", "actual production time with an ideal rate"),
    "rated_setup_time": ("s", "set-up of what counts pieces and has an ideal rate"),
    "idle_time": ("s", "it could have run and did not"),
    "stopped_time": ("s", "it stood"),
    "starved_time": ("s", "nothing came in"),
    "blocked_time": ("s", "nothing went out"),
    "setup_time": ("s", "it was set up, AUST"),
    "unknown_time": ("s", "nobody knows"),
    "planned_stop_time": ("s", "breaks, planned stops, holidays"),
    "off_time": ("s", "no shift"),
    "minor_stop_time": ("s", "stops too short to ask for a reason"),
    "failure_time": ("s", "stops in which it was stopped"),
    "ideal_time": ("s", "what all pieces take at their ideal rate"),
    "ideal_good_time": ("s", "what the good pieces take at their ideal rate"),
    "total": ("", "pieces"),
    "good": ("", "good pieces"),
    "reject": ("", "rejected pieces"),
    "rework": ("", "pieces worked on again"),
    "stops": ("", "stops longer than a minor stop"),
    "minor_stops": ("", "stops too short to ask for a reason"),
    "failures": ("", "stops in which it was stopped, but minor ones"),
    "energy": ("", "in the unit of its counters"),
    "material": ("", "in the unit of its counters"),
    "cost": ("", "of downtime, in the plant's currency"),
}
"""What formulas may read beside other KPIs: unit and meaning."""

PIECES: Final = ("total", "good", "reject", "rework")
"""Elements and figures that somebody has to count."""

_CLASS_TIMES: Final = {
    "idle_time": StateClass.IDLE,
    "stopped_time": StateClass.STOPPED,
    "starved_time": StateClass.STARVED,
    "blocked_time": StateClass.BLOCKED,
    "setup_time": StateClass.SETUP,
    "planned_stop_time": StateClass.PLANNED,
    "off_time": StateClass.OFF,
}


def elements(facts: FactSum, said: Figures) -> dict[str, float | None]:
    """The values of `ELEMENTS`; None where there is none."""
    times = {name: facts.ns.get(state, 0) for name, state in _CLASS_TIMES.items()}
    times |= {
        "all_time": said.all_ns,
        "planned_time": said.planned_ns,
        "run_time": said.run_ns,
        "rated_planned_time": said.planned_ns - said.unrated_ns,
        "rated_run_time": said.run_ns - said.unrated_run_ns,
        "rated_setup_time": facts.ns.get(StateClass.SETUP, 0) - facts.unrated.get(StateClass.SETUP, 0),
        "unknown_time": said.unknown_ns,
        "minor_stop_time": facts.minor_ns,
        "failure_time": facts.failure_ns,
    }
    found: dict[str, float | None] = {name: ns / NS_PER_S for name, ns in times.items()}
    for name, ideal in (("ideal_time", said.ideal_total_ns), ("ideal_good_time", said.ideal_good_ns)):
        found[name] = None if ideal is None else ideal / NS_PER_S
    for name in (*PIECES, "stops", "minor_stops", "cost"):
        found[name] = float(getattr(said, name)) if said.counted or name not in PIECES else None
    found["failures"] = float(facts.failures)
    found["energy"], found["material"] = facts.energy_u / MILLION, facts.material_u / MILLION
    return found


def check_kpi_name(name: str) -> str:
    """The name itself when formulas could use it.

    Raises: ConfigError
    """
    if not _NAME.match(name):
        raise ConfigError(
            f"name: small letters, digits and _, beginning with a letter, at most {MAX_NAME_CHARS}, was {name[:60]!r}"
        )
    return name


def symbols(kpis: Iterable[Kpi]) -> dict[str, Symbol]:
    """What a formula may read."""
    found = {name: Symbol("number", unit) for name, (unit, _) in ELEMENTS.items()}
    return {k.name: Symbol("number", k.unit) for k in kpis} | found


def compiled(kpi: Kpi, kpis: Mapping[str, Kpi]) -> Expression:
    """The formula of one among all.

    Raises: ConfigError beginning with ``formula:``
    """
    try:
        expression = compile_expression(kpi.formula, symbols(kpis.values()), unit=kpi.unit or None)
    except ConfigError as error:
        raise ConfigError(f"formula: {error}") from None
    if expression.type != "number":
        raise ConfigError("formula: must give a number")
    return expression


def check_circle(name: str, reads: Mapping[str, frozenset[str]]) -> None:
    """No KPI may be computed from itself, be it through others.

    Raises: ConfigError naming the way round
    """
    walk: list[tuple[str, ...]] = [(name,)]
    seen: set[str] = set()
    while walk:
        way = walk.pop()
        for other in sorted(reads.get(way[-1], frozenset())):
            if other == name:
                raise ConfigError(f"formula: KPIs go round in a circle: {' → '.join((*way, name))}")
            if other not in seen:
                seen.add(other)
                walk.append((*way, other))

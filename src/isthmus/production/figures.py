"""Figures from sums of facts. Everything stays an integer or a fraction of integers until the one division at the end.

Source: ISO 22400-2:2014 (KPIs availability, effectiveness, quality ratio, OEE index, utilization efficiency, mean
operating time between failures, mean time to restoration, throughput rate, scrap ratio, rework ratio, first pass yield);
TEEP as OEE over calendar time
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from fractions import Fraction
from typing import Final

from isthmus.production.model import HOUR_NS, MILLION, MINUTE_NS, FactSum, IdealCounts, StateClass, pieces

DOWN: Final = (
    StateClass.IDLE, StateClass.STOPPED, StateClass.STARVED, StateClass.BLOCKED, StateClass.SETUP, StateClass.UNKNOWN,
)  # fmt: skip
"""What is lost of planned busy time, in the order in which it is shown."""
NOT_PLANNED: Final = (StateClass.PLANNED, StateClass.OFF)
"""What is no planned busy time. A machine that runs meanwhile is counted as running."""


NO_RATE: Final = "no ideal rate is declared for what was made"
NOT_COUNTED: Final = "nothing counts pieces here"


@dataclass(frozen=True, slots=True)
class Figures:
    """What one sum of facts says. None has no denominator, and ``why`` says which.

    Units: ns; ratios as such (1 is 100 %), not clipped: above 1 is a rate declared too low; pieces; energy and material
    in their tag's unit a piece; cost in the plant's currency
    """

    all_ns: int
    planned_ns: int  # PBT: planned busy time
    run_ns: int  # APT: actual production time
    down_ns: int  # of planned busy time, without what is unknown
    unknown_ns: int
    availability: float | None
    performance: float | None  # effectiveness
    quality: float | None
    oee: float | None
    teep: float | None
    utilization: float | None  # planned busy time over calendar time
    mtbf_ns: float | None
    mttr_ns: float | None
    stops: int
    minor_stops: int
    total: int | float
    good: int | float
    reject: int | float
    rework: int | float
    first_pass_yield: float | None
    scrap_ratio: float | None
    throughput_per_h: float | None
    energy_per_good: float | None
    material_per_good: float | None
    cost: float
    ideal_total_ns: float | None  # time that all pieces take at their ideal rate
    ideal_good_ns: float | None
    unrated_run_ns: int  # of run_ns, without an ideal rate or a counter: in neither performance nor OEE
    unrated_ns: int  # of planned_ns, the same
    rated_total: int | float  # pieces of total that have an ideal rate
    counted: bool  # whether anything counts pieces; without, counts are 0 because nobody counts
    why: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """For answers, by name."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def figures(facts: FactSum) -> Figures:
    """The figures of one sum; sum before you ask, a mean of figures is none."""
    why: dict[str, str] = {}

    def ratio(name: str, top: Fraction | int | None, bottom: Fraction | int | None, missing: str) -> float | None:
        if top is None or not bottom:
            why[name] = missing
            return None
        if isinstance(top, int) and isinstance(bottom, int):
            return top / bottom  # of integers, that is rounded once
        over, under = Fraction(top), Fraction(bottom)
        return (over.numerator * under.denominator) / (over.denominator * under.numerator)

    def no_use(used: int) -> str:
        return "no good piece" if used else "nothing of it was counted"

    def made_or(text: str) -> str:
        return text if facts.counted else NOT_COUNTED

    run = facts.ns.get(StateClass.RUNNING, 0)
    unknown = facts.ns.get(StateClass.UNKNOWN, 0)
    planned, unrated = planned_busy_ns(facts.ns), planned_busy_ns(facts.unrated)
    unrated_run, rated = facts.unrated.get(StateClass.RUNNING, 0), planned - unrated
    all_ns = facts.all_ns
    ideal_total, ideal_good = ideal_ns(facts.ideal)
    no_plan, no_rate = "no planned time", made_or(NO_RATE)
    if ideal_total:
        quality = ratio("quality", ideal_good, ideal_total, "nothing was made")
    else:
        quality = ratio("quality", facts.good_u, facts.total_u, made_or("nothing was made"))
    no_oee = no_rate if planned else no_plan
    no_effect = "it did not run"
    if run:
        no_effect = no_rate if ideal_total is None else "what has an ideal rate did not run"
    # over calendar time, of what is rated: OEE times utilization
    calendar_good = None if ideal_good is None else ideal_good * planned
    return Figures(
        all_ns=all_ns,
        planned_ns=planned,
        run_ns=run,
        down_ns=planned - run - unknown,
        unknown_ns=unknown,
        availability=ratio("availability", run, planned, no_plan),
        performance=ratio("performance", ideal_total, run - unrated_run, no_effect),
        quality=quality,
        oee=ratio("oee", ideal_good, rated, no_oee),
        teep=ratio("teep", calendar_good, rated * all_ns, no_rate if ideal_good is None else "no time"),
        utilization=ratio("utilization", planned, all_ns, "no time"),
        mtbf_ns=ratio("mtbf_ns", run, facts.failures, "no failure"),
        mttr_ns=ratio("mttr_ns", facts.failure_ns, facts.failures, "no failure"),
        stops=facts.stops,
        minor_stops=facts.minor_stops,
        total=facts.total,
        good=facts.good,
        reject=facts.reject,
        rework=facts.rework,
        first_pass_yield=ratio(
            "first_pass_yield", facts.good_u - facts.rework_u, facts.total_u, made_or("nothing was made")
        ),
        scrap_ratio=ratio("scrap_ratio", facts.reject_u, facts.total_u, made_or("nothing was made")),
        throughput_per_h=ratio(
            "throughput_per_h", facts.total_u * HOUR_NS if facts.counted else None, planned * MILLION, made_or(no_plan)
        ),
        energy_per_good=ratio("energy_per_good", facts.energy_u or None, facts.good_u, no_use(facts.energy_u)),
        material_per_good=ratio("material_per_good", facts.material_u or None, facts.good_u, no_use(facts.material_u)),
        cost=float(Fraction(facts.cost_u, MILLION * MINUTE_NS)),
        ideal_total_ns=None if ideal_total is None else float(ideal_total),
        ideal_good_ns=None if ideal_good is None else float(ideal_good),
        unrated_run_ns=unrated_run,
        unrated_ns=unrated,
        rated_total=pieces(sum(one.total_u for one in facts.ideal if one.count > 0)),
        counted=facts.counted,
        why=why,
    )


def planned_busy_ns(ns: Mapping[StateClass, int]) -> int:
    """PBT of times by class: calendar time without what is planned to stand and without time off."""
    return sum(ns.values()) - sum(ns.get(c, 0) for c in NOT_PLANNED)


def ideal_ns(ideal: Iterable[IdealCounts]) -> tuple[Fraction | None, Fraction | None]:
    """Time that all and the good pieces take at their ideal rates, as far as they have one; None where nothing has.

    Pieces of different rates add up as time: that is what keeps availability × effectiveness × quality = OEE of all that
    is rated.
    """
    total, good = Fraction(0), Fraction(0)
    declared = False
    for one in ideal:
        if one.count <= 0:
            continue
        declared = True
        total += Fraction(one.total_u * one.per_ns, one.count * MILLION)
        good += Fraction(one.good_u * one.per_ns, one.count * MILLION)
    return (total, good) if declared else (None, None)


def add(sums: Iterable[FactSum], key: Mapping[str, str] | None = None) -> FactSum:
    """Several sums as one."""
    found = list(sums)
    ns: dict[StateClass, int] = {}
    rates: dict[tuple[int, int], tuple[int, int]] = {}
    minor: dict[StateClass, int] = {}
    unrated: dict[StateClass, int] = {}
    for one in found:
        for here, there in ((one.ns, ns), (one.minor, minor), (one.unrated, unrated)):
            for state_class, value in here.items():
                there[state_class] = there.get(state_class, 0) + value
        for part in one.ideal:
            total, good = rates.get((part.count, part.per_ns), (0, 0))
            rates[part.count, part.per_ns] = total + part.total_u, good + part.good_u
    ideal = tuple(IdealCounts(*rate, *rates[rate]) for rate in sorted(rates))
    amounts = {name: sum(getattr(one, name) for one in found) for name in AMOUNTS}
    counted = not found or any(one.counted for one in found)
    return FactSum(key=key or {}, ns=ns, minor=minor, ideal=ideal, unrated=unrated, counted=counted, **amounts)


AMOUNTS: Final = (
    "stops", "minor_stops", "failures", "failure_ns", "total_u", "good_u", "reject_u", "rework_u",
    "energy_u", "material_u", "cost_u",
)  # fmt: skip
"""The plain integers of a sum."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the waterfall from calendar time to good time. Units: ns; below 0 where a rate is declared too low"""

    key: str
    ns: float
    kind: str  # total, loss, or apart: time that is left out of what follows, and no loss


def waterfall(facts: FactSum) -> list[Step]:
    """From all time down to the time that good pieces take: each loss once, and they add up."""
    said = figures(facts)
    steps = [Step("all", facts.all_ns, "total")]
    steps += [Step(str(c), facts.ns.get(c, 0), "loss") for c in (StateClass.OFF, StateClass.PLANNED)]
    steps.append(Step("planned_busy", said.planned_ns, "total"))
    steps += [Step(str(c), ns, "loss") for c, ns in _down(facts)]
    if facts.minor_ns:
        steps.append(Step("minor_stop", facts.minor_ns, "loss"))
    steps.append(Step("run", said.run_ns, "total"))
    if said.ideal_total_ns is not None and said.ideal_good_ns is not None:
        if said.unrated_run_ns:
            steps.append(Step("not_rated", said.unrated_run_ns, "apart"))
        steps.append(Step("speed", said.run_ns - said.unrated_run_ns - said.ideal_total_ns, "loss"))
        steps.append(Step("quality", said.ideal_total_ns - said.ideal_good_ns, "loss"))
        steps.append(Step("good", said.ideal_good_ns, "total"))
    return steps


def _down(facts: FactSum) -> list[tuple[StateClass, int]]:
    """Losses of availability by class; what minor stops take of them stands by itself."""
    found = [(c, facts.ns.get(c, 0) - facts.minor.get(c, 0)) for c in DOWN]
    return [(c, ns) for c, ns in found if ns]

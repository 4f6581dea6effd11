"""What is checked, how often, and what follows: plans, checks, holds, nonconformances, corrective actions. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from isthmus.namespace.model import Plant
from isthmus.quality.spc import CHARTS, MEASURED, MOST_IN_A_GROUP, NELSON, WESTERN, Shape
from isthmus.values.clock import NS_PER_S
from isthmus.values.errors import ConfigError, Finding, Findings
from isthmus.values.sample import ValueType

KINDS: Final = ("variable", "attribute", "visual")
CONSEQUENCES: Final = ("chart", "nonconformance", "hold")
"""What follows a violation: only the chart shows it; a nonconformance is opened; and what was made is held as well."""
EVENTS: Final = ("order", "product", "lot", "tag")
SEVERITIES: Final = ("minor", "major", "critical")
DISPOSITIONS: Final = ("use as is", "rework", "regrade", "scrap", "return")
OPEN, CLOSED = "open", "closed"
RELEASED: Final = "released"
OWED: Final = -1
"""In place of the number of a request that is not asked for yet."""
DONE, VERIFIED = "done", "verified"
MOST_CHARACTERISTICS: Final = 50
LEARN: Final = 25
"""Subgroups limits are estimated from unless told. Source: Montgomery 6.2, "20 to 25 samples\""""
_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,59}\Z")


@dataclass(frozen=True, slots=True)
class Sampling:
    """When the next check is due; several may be told, the first that comes counts.

    Units: every_s in seconds; pieces as the machine counts them, of a live tag its samples
    """

    every_s: float = 0.0
    pieces: int = 0
    event: str = ""
    tag: str = ""  # of the event "tag": its path
    becomes: float = 1.0  # and the value it must come to


@dataclass(frozen=True, slots=True)
class Characteristic:
    """One thing that is checked. Empty ``tag``: a person enters it.

    Units: target, lsl, usl, center and sigma in ``unit``; counts have shares or defects per unit as center
    """

    id: str
    title: str
    kind: str = "variable"
    chart: str = "imr"
    unit: str = ""
    decimals: int = 2
    size: int = 1  # values of one check, or units looked at
    target: float | None = None
    lsl: float | None = None
    usl: float | None = None
    center: float | None = None  # limits that are given instead of learned
    sigma: float | None = None
    learn: int = LEARN
    rules: tuple[str, ...] = ("nelson1",)
    shape: Shape = field(default_factory=Shape)
    sampling: Sampling = field(default_factory=Sampling)
    tag: str = ""
    units: str = ""  # of what a counter counts live: the counter of all units looked at
    faults: tuple[str, ...] = ()  # what may be wrong with it, to choose from
    allowed: int = 0  # defective units or defects that still pass
    on_signal: str = "chart"
    on_fail: str = "nonconformance"
    maintenance: bool = False  # whether the nonconformance its checks open asks for maintenance as well
    severity: str = "minor"
    instructions: str = ""

    @property
    def is_measured(self) -> bool:
        """Whether a check of it is values rather than a count."""
        return self.kind == "variable"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is checked at one asset, while it makes one product if that is told. Units: changed_ns is UTC ns"""

    id: str
    title: str
    asset: str
    product: str = ""
    characteristics: tuple[Characteristic, ...] = ()
    active: bool = True
    version: int = 0
    changed_by: str = ""
    changed_ns: int = 0
    reason: str = ""

    def find(self, ident: str) -> Characteristic | None:
        """One of its characteristics."""
        return next((c for c in self.characteristics if c.id == ident), None)


def key_of(plan: str, characteristic: str) -> str:
    """What a characteristic is called everywhere."""
    return f"{plan}.{characteristic}"


@dataclass(frozen=True, slots=True)
class Entered:
    """What somebody found, or a tag told. Units: time_ns is UTC ns"""

    characteristic: str
    time_ns: int
    values: tuple[float, ...] = ()  # of a variable
    defects: int = 0  # of the others
    size: int = 0  # units looked at; 0: as the plan says
    fault: str = ""
    comment: str = ""
    due: str = ""  # the due check it answers, so that two people do not
    lot: str = ""  # where the inspector knows better than the order
    source: str = "entered"
    by: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One subgroup as it is kept. ``void_by`` says that it does not count. Units: time_ns, void_ns are UTC ns"""

    id: int
    characteristic: str
    asset: str
    time_ns: int
    values: tuple[float, ...]
    defects: int
    size: int
    passed: bool
    signals: tuple[str, ...] = ()
    limits: int = 0  # those it was judged by; 0 while they are learned
    fault: str = ""
    comment: str = ""
    source: str = "entered"
    by: str = ""
    order: str = ""
    product: str = ""
    lot: str = ""
    due: str = ""
    void_ns: int = 0
    void_by: str = ""
    void_reason: str = ""


@dataclass(frozen=True, slots=True)
class LimitsKept:
    """Limits from some time on. ``sigma`` below 0 says that there are none until they are learned.

    Units: since_ns is UTC ns; ``checks`` is how many they were estimated from
    """

    id: int
    characteristic: str
    since_ns: int
    center: float
    sigma: float
    checks: int
    by: str
    reason: str

    @property
    def learning(self) -> bool:
        """Whether these are none: limits are to be learned from what comes from then on."""
        return self.sigma < 0


@dataclass(frozen=True, slots=True)
class Violation:
    """What a check said, in parts, so that screens tell it in words of their own.

    Units: values, lsl and usl in ``unit``
    """

    code: str  # failed: outside of the specification; signal: rules of the chart
    title: str  # of the characteristic
    unit: str = ""
    decimals: int = 2
    values: tuple[float, ...] = ()
    lsl: float | None = None
    usl: float | None = None
    defects: int = 0
    size: int = 0
    fault: str = ""
    rules: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The same for whoever reads no screen; without words but those that people gave."""
        if self.code == "signal":
            return f"{self.title}: {', '.join(self.rules)}"
        if not self.values:
            found = f"{self.defects}/{self.size}"
        else:
            low, high = ("" if limit is None else f"{limit:g}" for limit in (self.lsl, self.usl))
            found = f"{' '.join(f'{v:.{self.decimals}f}' for v in self.values)} [{low} … {high}] {self.unit}".rstrip()
        return f"{self.title}: {found}{f', {self.fault}' if self.fault else ''}"


def violation_of(one: Characteristic, check: Check) -> Violation:
    """What is wrong with a check that failed, or that completes a rule."""
    return Violation(
        "signal" if check.passed else "failed", one.title, one.unit, one.decimals, check.values, one.lsl, one.usl,
        check.defects, check.size, check.fault, check.signals,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hold:
    """What must not be used or shipped until somebody with the right says so. Units: UTC ns"""

    id: int
    version: int
    state: str
    asset: str
    lot: str
    order: str
    product: str
    reason: str
    since_ns: int  # from when on what was made is in doubt
    opened_ns: int
    opened_by: str
    check: int = 0
    nonconformance: int = 0
    released_ns: int = 0
    released_by: str = ""
    release_reason: str = ""
    disposition: str = ""
    violation: Violation | None = None  # of the check that put it there


@dataclass(frozen=True, slots=True)
class Nonconformance:
    """Something that is not as it should be, and what became of it. Units: UTC ns"""

    id: int
    version: int
    state: str
    title: str
    asset: str
    severity: str
    opened_ns: int
    opened_by: str
    characteristic: str = ""
    check: int = 0
    checks: int = 0  # how many checks said so
    order: str = ""
    product: str = ""
    lot: str = ""
    quantity: float = 0.0
    cause: str = ""
    disposition: str = ""
    owner: str = ""
    due_ns: int = 0
    closed_ns: int = 0
    closed_by: str = ""
    violation: Violation | None = None  # of the check that opened it
    request: int = 0  # number of the request for maintenance; 0: none, OWED: it is to be asked for


@dataclass(frozen=True, slots=True)
class CorrectiveAction:
    """What is done so that it does not come back. Units: UTC ns"""

    id: int
    version: int
    state: str
    nonconformance: int
    asset: str
    title: str
    owner: str
    due_ns: int
    opened_ns: int
    opened_by: str
    result: str = ""
    done_ns: int = 0
    done_by: str = ""
    verified_ns: int = 0
    verified_by: str = ""


# --- plans ---------------------------------------------------------------------------------------------------------------


def check_plan(plan: Plan, plant: Plant) -> None:
    """Take a plan whole or refuse it whole.

    Raises: Findings naming every place that is wrong
    """
    wrong: list[tuple[str, str, str]] = []

    def say(path: str, problem: str, value: object = "") -> None:
        wrong.append((path, problem, str(value)))

    if not _SLUG.match(plan.id):
        say("id", "must be lower-case letters, digits and -, at most 60", plan.id)
    if not plan.title.strip():
        say("title", "must say what is checked")
    if plan.asset not in {asset.path for asset in plant.assets}:
        say("asset", "is no asset of the plant", plan.asset)
    if not 1 <= len(plan.characteristics) <= MOST_CHARACTERISTICS:
        say("characteristics", f"must be 1 to {MOST_CHARACTERISTICS}", len(plan.characteristics))
    seen: set[str] = set()
    for i, one in enumerate(plan.characteristics):
        place = f"characteristics.{i}"
        if one.id in seen:
            say(f"{place}.id", "is there twice", one.id)
        seen.add(one.id)
        for path, problem, value in _problems(one, plant):
            say(f"{place}.{path}", problem, value)
    if wrong:
        raise Findings(tuple(Finding("error", "plan", 0, 0, path, problem, value) for path, problem, value in wrong))


def _problems(one: Characteristic, plant: Plant) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []

    def need(good: bool, path: str, problem: str, value: object = "") -> None:
        if not good:
            found.append((path, problem, str(value)))

    need(bool(_SLUG.match(one.id)), "id", "must be lower-case letters, digits and -, at most 60", one.id)
    need(bool(one.title.strip()), "title", "must say what it is")
    need(one.kind in KINDS, "kind", f"must be one of {', '.join(KINDS)}", one.kind)
    need(one.chart in CHARTS, "chart", f"must be one of {', '.join(CHARTS)}", one.chart)
    need((one.chart in MEASURED) == one.is_measured, "chart", f"does not fit what is {one.kind}", one.chart)
    most = MOST_IN_A_GROUP if one.is_measured else 1_000_000
    need(not one.units or bool(one.tag), "units", "belongs to a live tag", one.units)
    need(1 <= one.size <= most, "size", f"must be 1 to {most}", one.size)
    need(one.chart not in ("xbar_r", "xbar_s") or one.size >= 2, "size", f"{one.chart} needs at least 2", one.size)
    need(one.chart != "imr" or one.size == 1, "size", "imr is for single values: must be 1", one.size)
    for name in ("target", "lsl", "usl", "center", "sigma"):
        value = getattr(one, name)
        need(value is None or math.isfinite(value), name, "must be a number", value)
    if one.lsl is not None and one.usl is not None:
        need(one.lsl < one.usl, "lsl", "must be below usl", one.lsl)
    if one.is_measured:
        need((one.center is None) == (one.sigma is None), "center", "center and sigma are given together or not at all")
        need(one.sigma is None or one.sigma > 0, "sigma", "must be more than 0", one.sigma)
    elif one.center is not None:
        share = one.chart in ("p", "np")
        need(
            0 < one.center < (1 if share else math.inf),
            "center",
            "must be a share" if share else "must be more than 0",
            one.center,
        )
        need(one.sigma is None, "sigma", "follows from the center where things are counted", one.sigma)
    need(5 <= one.learn <= 500, "learn", "must be 5 to 500 checks", one.learn)
    known = {*NELSON, *WESTERN}
    for rule in one.rules:
        need(rule in known, "rules", f"must be of {', '.join((*NELSON, *WESTERN))}", rule)
    shape = one.shape
    need(0 < shape.weight <= 1, "weight", "must be above 0 and at most 1", shape.weight)
    need(0 < shape.width <= 10, "width", "must be above 0 and at most 10", shape.width)
    need(0 <= shape.k <= 10, "k", "must be 0 to 10", shape.k)
    need(0 < shape.h <= 100, "h", "must be above 0 and at most 100", shape.h)
    for name in ("on_signal", "on_fail"):
        need(getattr(one, name) in CONSEQUENCES, name, f"must be one of {', '.join(CONSEQUENCES)}", getattr(one, name))
    follows = one.on_signal != "chart" or one.on_fail != "chart"
    need(follows or not one.maintenance, "maintenance", "is asked for with a nonconformance; let one follow", True)
    need(one.severity in SEVERITIES, "severity", f"must be one of {', '.join(SEVERITIES)}", one.severity)
    need(0 <= one.allowed <= 1_000_000, "allowed", "must be 0 to 1,000,000", one.allowed)
    sampling = one.sampling
    need(
        sampling.every_s == 0 or 1 <= sampling.every_s <= 31 * 86_400,
        "sampling.every_s",
        "must be 1 s to 31 days",
        sampling.every_s,
    )
    need(0 <= sampling.pieces <= 100_000_000, "sampling.pieces", "must be 0 to 100,000,000", sampling.pieces)
    need(sampling.event in ("", *EVENTS), "sampling.event", f"must be one of {', '.join(EVENTS)}", sampling.event)
    if sampling.event == "tag":
        found += _tag_problems("sampling.tag", sampling.tag, plant)
        need(math.isfinite(sampling.becomes), "sampling.becomes", "must be a number", sampling.becomes)
    if one.tag:
        found += _live_problems(one, plant)
    return found


def _live_problems(one: Characteristic, plant: Plant) -> list[tuple[str, str, str]]:
    """What is wrong with a live characteristic."""
    sampling = one.sampling
    found = _tag_problems("tag", one.tag, plant)
    if one.kind == "visual":
        found.append(("tag", "what is looked at is entered by people", one.tag))
    if one.units:
        found += _tag_problems("units", one.units, plant)
    if one.is_measured and one.units:
        found.append(("units", "is for what is counted", one.units))
    if not one.is_measured and (not one.units) != (one.chart == "c"):
        found.append(("units", "p, np and u need a counter of the units looked at; c has none", one.units))
    ways = [sampling.every_s > 0, sampling.pieces > 0, sampling.event == "tag"]
    fits = sum(ways) == 1 and sampling.event in ("", "tag")
    if one.is_measured and not fits:
        found.append(("sampling", "a live tag is sampled by time, by count or by another tag: one of them", ""))
    if not one.is_measured and not (fits and not sampling.event and (one.units or not sampling.pieces)):
        found.append(("sampling", "counters are read by time or by count of units: one of them", ""))
    return found


def _tag_problems(path: str, tag: str, plant: Plant) -> list[tuple[str, str, str]]:
    known = plant.by_path.get(tag)
    if known is None:
        return [(path, "is no tag of the plant", tag)]
    if known.type is ValueType.TEXT:
        return [(path, "must be a number", tag)]
    return []


def plan_document(plan: Plan) -> dict[str, Any]:
    """What of a plan is kept as text."""
    return {"characteristics": [asdict(c) for c in plan.characteristics]}


def characteristics_of(document: Mapping[str, Any]) -> tuple[Characteristic, ...]:
    """The inverse of `plan_document`."""
    return tuple(characteristic_of(c) for c in document["characteristics"])


def characteristic_of(values: Mapping[str, Any]) -> Characteristic:
    """A characteristic from plain values."""
    given = dict(values)
    given["shape"] = Shape(**given.get("shape", {}))
    given["sampling"] = Sampling(**given.get("sampling", {}))
    for name in ("rules", "faults"):
        if name in given:
            given[name] = tuple(given[name])
    return Characteristic(**given)


# --- checks --------------------------------------------------------------------------------------------------------------

AHEAD_NS: Final = 60 * NS_PER_S
BEHIND_NS: Final = 7 * 86_400 * NS_PER_S
"""What was found longer ago is no check of the running process."""


def take_entered(entered: Entered, one: Characteristic, now_ns: int) -> Entered:
    """What was entered, made whole by the plan.

    Raises: ConfigError naming what does not fit
    """
    if entered.time_ns > now_ns + AHEAD_NS:
        raise ConfigError("time: lies in the future")
    if entered.time_ns < now_ns - BEHIND_NS:
        raise ConfigError("time: is more than seven days ago")
    if one.is_measured:
        if len(entered.values) != one.size:
            raise ConfigError(f"values: needs {one.size}, was {len(entered.values)}")
        bad = next((v for v in entered.values if not math.isfinite(v) or abs(v) > 1e15), None)
        if bad is not None:
            raise ConfigError(f"values: must be numbers a chart can show, was {bad}")
        size = one.size
    else:
        if entered.values:
            raise ConfigError("values: are for what is measured; tell defects")
        size = entered.size or one.size
        most = size if one.chart in ("p", "np") else 1_000_000_000
        if not 0 <= entered.defects <= most:
            raise ConfigError(f"defects: must be 0 to {most}, was {entered.defects}")
        if not 1 <= size <= 1_000_000:
            raise ConfigError(f"size: must be 1 to 1000000, was {size}")
        if one.chart == "c" and size != one.size:
            raise ConfigError(f"size: a c chart always looks at {one.size}, was {size}")
    if entered.fault and entered.fault not in one.faults:
        raise ConfigError(f"fault: must be one of {', '.join(one.faults) or 'none'}, was {entered.fault!r}")
    return Entered(
        entered.characteristic, entered.time_ns, entered.values, entered.defects, size, entered.fault, entered.comment,
        entered.due, entered.lot, entered.source, entered.by,
    )  # fmt: skip


def passes(one: Characteristic, values: Sequence[float], defects: int) -> bool:
    """Whether a check is within its specification."""
    if not one.is_measured:
        return defects <= one.allowed
    low = -math.inf if one.lsl is None else one.lsl
    high = math.inf if one.usl is None else one.usl
    return all(low <= v <= high for v in values)


def consequence(one: Characteristic, *, passed: bool, signals: Sequence[str]) -> str:
    """The most severe of what follows."""
    wanted = ["chart"]
    if not passed:
        wanted.append(one.on_fail)
    if signals:
        wanted.append(one.on_signal)
    return max(wanted, key=CONSEQUENCES.index)

"""The catalogue in force, and the values of KPIs over facts: computed from sums, never from other rows' values."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Final, Protocol, cast

from sqlalchemy import Engine

from isthmus.namespace.model import Plant
from isthmus.production.figures import NO_RATE, NOT_COUNTED, Figures, figures
from isthmus.production.fold import Planner
from isthmus.production.kpi import store
from isthmus.production.kpi.catalogue import (
    ELEMENTS,
    MONEY,
    ORDER,
    PIECES,
    STANDARD,
    Better,
    Kpi,
    check_circle,
    check_kpi_name,
    compiled,
    elements,
)
from isthmus.production.kpi.growth import degree
from isthmus.production.kpi.sense import check_sense
from isthmus.production.kpi.spans import SPANS, spans_of
from isthmus.production.kpi.store import Target
from isthmus.production.model import MILLION, MINUTE_NS, FactSum
from isthmus.production.orders.cost import CostKind, CostPart, Spent, machine_gap
from isthmus.values import status
from isthmus.values.clock import Clock
from isthmus.values.errors import ConfigError, Denied
from isthmus.values.expression import Expression
from isthmus.values.ids import is_under
from isthmus.values.units import check_unit

MAX_OWN: Final = 500
MAX_TARGETS: Final = 1_000
OF_ORDERS: Final = frozenset({"order", "operation", "product"})
"""What work and material are known by."""
LEVELS: Final = ("machine", "line", "shift", "day", "order", "operation", "product", "team", "hour")
"""What values may be asked by."""


class Facts(Protocol):
    """What values are computed from; the room production's service is one."""

    async def figures(
        self, under: str, start_ns: int, end_ns: int, by: Sequence[str] = ()
    ) -> list[tuple[FactSum, Figures]]: ...


class OrderCosts(Protocol):
    """What was booked on orders; `orders.cost` tells it."""

    async def between(self, under: str, start_ns: int, end_ns: int) -> Sequence[CostPart]: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A KPI of the catalogue as it stands. ``targets`` by path, "" is the whole site. Units: changed_ns is UTC ns"""

    kpi: Kpi
    owner: str = ""
    rev: int = 0
    changed_by: str = ""
    changed_ns: int = 0
    targets: Mapping[str, Target] = field(default_factory=dict)
    reads: frozenset[str] = frozenset()  # other KPIs in its formula
    sum: bool = False  # grows with the time it is looked at, so its targets are per hour, shift or day


@dataclass(frozen=True, slots=True)
class Value:
    """One value. None has no denominator or no data, and ``why`` says which. ``met`` is None without target or value.

    ``target`` is that of the row's own time; of what is counted it comes from ``each`` one ``per`` hour, shift or day.
    """

    value: float | None
    why: str = ""
    target: float | None = None
    met: bool | None = None
    per: str = ""
    each: float | None = None


@dataclass(frozen=True, slots=True)
class ValueRow:
    """Values of one sum of facts, by name of the KPI. ``path`` is whose targets hold."""

    key: Mapping[str, str]
    path: str
    values: Mapping[str, Value]
    unrated_run_ns: int = 0  # time it ran that no ideal rate can be held against; in neither performance nor OEE


class KpiRoom:
    """Keeps the catalogue and computes values. Blocking but ``values``; safe to call from several threads."""

    def __init__(
        self, engine: Engine, plant: Callable[[], Plant], clock: Clock, planner: Planner | None = None
    ) -> None:
        """``planner`` tells the planned time that targets of counts are scaled to; without one they are not judged."""
        self._planner = planner
        self._engine, self._plant, self._clock = engine, plant, clock
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] | None = None
        self._compiled: dict[str, Expression] = {}
        self._broken: dict[str, str] = {}  # why a formula cannot be computed

    # --- the catalogue -----------------------------------------------------------------------------------------------

    def catalogue(self) -> Mapping[str, Entry]:
        """Every KPI by name: those every plant has first, in their order, then the plant's own by name."""
        entries = self._entries
        if entries is None:
            with self._lock:
                entries = self._entries = self._read()
        return entries

    def get(self, name: str) -> Entry:
        """One.

        Raises: LookupError
        """
        found = self.catalogue().get(name)
        if found is None:
            raise LookupError(name)
        return found

    def put(self, kpi: Kpi, owner: str, base: int, by: str) -> Entry:
        """Make one of the plant's own, or change it; of one every plant has only the owner.

        Raises: ConfigError; Denied (stale_base, name_taken, conflict)
        """
        standard = next((k for k in STANDARD if k.name == kpi.name), None)
        row = store.Row(kpi.name, owner=owner.strip(), changed_by=by, changed_ns=self._clock.now_ns())
        if standard is not None and kpi.formula.strip():
            raise ConfigError(f"formula: {kpi.name} has its own, from {standard.source}; only its owner can be changed")
        if standard is None:
            self._check(kpi)
            row = replace(
                row,
                title=kpi.title.strip(),
                formula=kpi.formula.strip(),
                unit=kpi.unit,
                better=kpi.better,
                description=kpi.description.strip(),
            )
        self._keep(row, base)
        return self.get(kpi.name)

    def set_targets(self, name: str, wanted: Mapping[str, Target], base: int, by: str) -> Entry:
        """The targets of one, by path; the nearest above what is looked at holds.

        Raises: LookupError; ConfigError; Denied (stale_base)
        """
        entry = self.get(name)
        paths = {asset.path for asset in self._plant().assets} | {""}
        if len(wanted) > MAX_TARGETS:
            raise ConfigError(f"targets: at most {MAX_TARGETS:,}, were {len(wanted):,}")
        for path, target in wanted.items():
            value = target.value
            if entry.sum and target.per not in SPANS:
                raise ConfigError(
                    f"targets: {name} grows with time, so say per what ({', '.join(SPANS)}), was {target.per!r} for {path!r}"
                )
            if not entry.sum and target.per:
                raise ConfigError(f"targets: {name} is no count; its target holds for any time, was per {target.per!r}")
            if path not in paths and path not in entry.targets:  # one of what is gone may stay
                raise ConfigError(f"targets: no area, line or asset is at {path!r}")
            if not math.isfinite(value):
                raise ConfigError(f"targets: must be a number, was {value} for {path!r}")
            if entry.kpi.unit == "%" and not 0 <= value <= 1_000:
                raise ConfigError(f"targets: a percentage, was {value:g} for {path!r}")
        kept = self._kept(entry)
        row = replace(kept, changed_by=by, changed_ns=self._clock.now_ns())
        self._keep(row, base, wanted)
        return self.get(name)

    def remove(self, name: str, base: int) -> None:
        """Forget one of the plant's own.

        Raises: LookupError; Denied (stale_base; conflict: another one reads it, or every plant has it)
        """
        entry = self.get(name)
        if not entry.kpi.own:
            raise Denied(f"{name} is a KPI every plant has", "conflict")
        readers = [e.kpi.name for e in self.catalogue().values() if name in e.reads]
        if readers:
            raise Denied(f"{name} is read by {', '.join(readers)}", "conflict")
        with self._engine.begin() as connection:
            if not store.remove(connection, name, base):
                raise _stale(name, base)
        self._forget()

    def _keep(self, row: store.Row, base: int, targets: Mapping[str, Target] | None = None) -> None:
        with self._engine.begin() as connection:
            if not store.keep(connection, replace(row, rev=base + 1), base):
                raise _stale(row.name, base)
            if targets is not None:
                store.set_targets(connection, row.name, targets)
        self._forget()

    @staticmethod
    def _kept(entry: Entry) -> store.Row:
        kpi = entry.kpi
        if not kpi.own:
            return store.Row(kpi.name, owner=entry.owner)
        return store.Row(kpi.name, kpi.title, kpi.formula, kpi.unit, kpi.better, kpi.description, entry.owner)

    def _check(self, kpi: Kpi) -> None:
        check_kpi_name(kpi.name)
        if kpi.name in ELEMENTS:
            raise Denied(f"name: {kpi.name} is what formulas call {ELEMENTS[kpi.name][1]}", "name_taken")
        if not kpi.title.strip():
            raise ConfigError("title: say what people read")
        if not kpi.formula.strip():
            raise ConfigError("formula: say what it is computed from")
        if kpi.unit:
            check_unit(kpi.unit)
        entries = self.catalogue()
        if kpi.name not in entries and sum(e.kpi.own for e in entries.values()) >= MAX_OWN:
            raise Denied(f"there are {MAX_OWN} KPIs of the plant's own; remove some first", "conflict")
        kpis = {name: e.kpi for name, e in entries.items()} | {kpi.name: kpi}
        expression = compiled(kpi, kpis)
        check_sense(expression)
        reads = {name: e.reads for name, e in entries.items()}
        reads[kpi.name] = expression.names - ELEMENTS.keys()
        check_circle(kpi.name, reads)
        for reader in (e for e in entries.values() if kpi.name in e.reads):
            try:
                compiled(reader.kpi, kpis)
            except ConfigError as error:
                raise Denied(f"{reader.kpi.name} reads it and would not work any more: {error}", "conflict") from None

    def _read(self) -> dict[str, Entry]:
        with self._engine.begin() as connection:
            rows, targets = store.rows(connection), store.targets(connection)
        kpis = {kpi.name: kpi for kpi in STANDARD}
        kpis |= {name: _own(row) for name, row in rows.items() if name not in kpis}
        self._compiled, self._broken = {}, {}
        for name, kpi in kpis.items():
            if kpi.figure:
                continue
            try:
                self._compiled[name] = compiled(kpi, kpis)
            except ConfigError as error:  # kept by a build that knew other words; its neighbours go on
                self._broken[name] = str(error)
        found = {}
        for name, kpi in kpis.items():
            row = rows.get(name, store.Row(name))
            reads = self._compiled[name].names - ELEMENTS.keys() if name in self._compiled else frozenset()
            found[name] = Entry(
                kpi, row.owner, row.rev, row.changed_by, row.changed_ns, targets.get(name, {}), frozenset(reads),
                self._growth(name, kpis) == 1,
            )  # fmt: skip
        return found

    def _growth(self, name: str, kpis: Mapping[str, Kpi]) -> int | None:
        """How a KPI grows with the time it is looked at: 1 as that does, 0 not at all, as a ratio."""
        if name in ELEMENTS:
            return 1
        if kpis[name].figure:
            return int(kpis[name].sum)
        expression = self._compiled.get(name)
        return None if expression is None else degree(expression, lambda read: self._growth(read, kpis))

    def _forget(self) -> None:
        with self._lock:
            self._entries = None

    def unit(self, kpi: Kpi) -> str:
        """The unit its values have in this plant: what is counted in a tag's unit or in money has it from there."""
        plant = self._plant()
        if kpi.name in MONEY:
            return plant.currency
        role = kpi.name.removesuffix("_per_good")
        if role not in {"energy", "material"} or kpi.own:
            return kpi.unit
        tags = (tag for machine in plant.machines for tag in getattr(machine, role))
        return next((plant.by_id[tag].unit for tag in tags if tag in plant.by_id), "")

    # --- values ------------------------------------------------------------------------------------------------------

    async def values(
        self, facts: Facts, names: Sequence[str], under: str, start_ns: int, end_ns: int, by: Sequence[str] = (),
        costs: OrderCosts | None = None,
    ) -> list[ValueRow]:  # fmt: skip
        """The values of some KPIs, a row for each sum of facts. ``costs`` tells what was booked on orders.

        Raises: LookupError naming what is no KPI
        """
        entries = [self.get(name) for name in names]
        found = list(await facts.figures(under, start_ns, end_ns, by))
        parts: Sequence[CostPart] | None = None
        if costs is not None and by and set(by) <= OF_ORDERS and any(self._of_orders(name) for name in names):
            parts = await costs.between(under, start_ns, end_ns)
            found += without_facts(parts, by, [sums.key for sums, _ in found])
        until_ns = min(end_ns, self._clock.now_ns())
        return [self._row(entries, sums, said, under, start_ns, until_ns, parts) for sums, said in found]

    def _of_orders(self, name: str) -> bool:
        """Whether a KPI is computed from what was booked on orders, itself or through others."""
        entry = self.catalogue().get(name)
        return entry is not None and (entry.kpi.figure.startswith(ORDER) or any(map(self._of_orders, entry.reads)))

    def _row(
        self, entries: Sequence[Entry], sums: FactSum, said: Figures, under: str, start_ns: int, until_ns: int,
        parts: Sequence[CostPart] | None,
    ) -> ValueRow:  # fmt: skip
        path = sums.key.get("machine") or sums.key.get("line") or under
        known: dict[str, Value] = {}
        base = elements(sums, said)
        known |= order_values(parts, sums, said)
        known |= {name: Value(None, "nothing counts it here") for name in self._not_counted(path)}
        asset = next((m.asset for m in self._plant().machines if is_under(m.asset, path)), path)

        def spans(per: str) -> float | None:
            if self._planner is None:
                return None
            return spans_of(self._planner, asset, sums.key, start_ns, until_ns, per)

        values = {e.kpi.name: _judged(e, self._value(e.kpi, base, said, known), path, spans) for e in entries}
        return ValueRow(dict(sums.key), path, values, said.unrated_run_ns)

    def _not_counted(self, path: str) -> list[str]:
        """KPIs of what no machine there has a counter of: a zero would be a lie."""
        machines = [m for m in self._plant().machines if is_under(m.asset, path)]
        return [f"{role}_per_good" for role in ("energy", "material") if not any(getattr(m, role) for m in machines)]

    def _value(self, kpi: Kpi, base: Mapping[str, float | None], said: Figures, known: dict[str, Value]) -> Value:
        if kpi.name not in known:
            known[kpi.name] = _of_figure(kpi, said) if kpi.figure else self._of_formula(kpi, base, said, known)
        return known[kpi.name]

    def _of_formula(self, kpi: Kpi, base: Mapping[str, float | None], said: Figures, known: dict[str, Value]) -> Value:
        expression = self._compiled.get(kpi.name)
        if expression is None:
            return Value(None, self._broken.get(kpi.name, "its formula is gone"))
        inputs: dict[str, tuple[float, int]] = {}
        missing = ""
        for name in sorted(expression.names):
            if name in base:
                value, why = base[name], NO_RATE if said.counted else NOT_COUNTED
            else:
                other = self._value(self.catalogue()[name].kpi, base, said, known)
                value, why = other.value, other.why
            if value is None:
                missing = missing or f"{name}: {why}"
            inputs[name] = (value or 0.0, status.BAD_NO_DATA if value is None else status.GOOD)
        result, code = expression.evaluate_one(cast("dict[str, tuple[float | int | str | bool, int]]", inputs))
        number = float(result) if isinstance(result, int | float) else math.nan
        if code >> 31 or not math.isfinite(number):
            return Value(None, missing or "divided by nothing")
        return Value(number)


def _own(row: store.Row) -> Kpi:
    better = cast("Better", row.better)
    return Kpi(row.name, row.title, row.formula, row.unit, better, "this plant", row.description, own=True)


def _stale(name: str, base: int) -> Denied:
    return Denied(f"{name} is not at revision {base} any more; look at it again", "stale_base")


def _of_figure(kpi: Kpi, said: Figures) -> Value:
    figure = getattr(said, kpi.figure)
    if figure is None:
        return Value(None, said.why.get(kpi.figure, ""))
    if kpi.figure in PIECES and not said.counted:
        return Value(None, NOT_COUNTED)
    return Value(float(figure) * kpi.scale)


def order_values(parts: Sequence[CostPart] | None, sums: FactSum, said: Figures) -> dict[str, Value]:
    """What orders of a row cost, with the reason where nobody knows."""
    key = sums.key
    if parts is None:
        no = Value(None, "what orders cost is told by order, operation or product")
        return dict.fromkeys(("labour_cost", "material_cost", "order_cost"), no)
    if not (key.get("order") or key.get("product")):
        return dict.fromkeys(("labour_cost", "material_cost", "order_cost"), Value(None, "no order ran"))
    mine = [one for one in parts if _is_of(one, key)]
    spent = Spent(tuple(one for one in mine if one.kind is not CostKind.MACHINE))
    missing = list(dict.fromkeys(one.why for one in mine if one.kind is CostKind.MACHINE and one.why))
    gap = machine_gap(said, ()) or (missing[0] if missing and said.down_ns else "")
    found = {f"{kind}_cost": _spent(spent.of(kind), spent.why(kind)) for kind in (CostKind.LABOUR, CostKind.MATERIAL)}
    whole, whys = spent.of(), (*spent.why(), *([gap] if gap else []))
    if whole is not None and not gap:
        whole += Fraction(sums.cost_u, MINUTE_NS)
    found["order_cost"] = _spent(None if whys else whole, whys)
    if gap:
        found["downtime_cost"] = Value(None, gap)
    return found


def _spent(cost: Fraction | None, whys: Sequence[str]) -> Value:
    return Value(None, "; ".join(whys[:3])) if cost is None else Value(float(cost / MILLION))


def _is_of(part: CostPart, key: Mapping[str, str]) -> bool:
    told = {"order": part.order, "operation": str(part.operation), "product": part.product}
    return all(told[name] == value for name, value in key.items() if name in told)


def without_facts(
    parts: Sequence[CostPart], by: Sequence[str], told: Sequence[Mapping[str, str]]
) -> list[tuple[FactSum, Figures]]:
    """Rows of orders on which something was booked, but which no machine ran in that time."""
    seen = {tuple(key.get(name, "") for name in by) for key in told}
    found: dict[tuple[str, ...], FactSum] = {}
    for one in parts:
        values = {"order": one.order, "operation": str(one.operation), "product": one.product}
        key = tuple(values[name] for name in by)
        if one.kind is not CostKind.MACHINE and key not in seen:
            found[key] = FactSum(dict(zip(by, key, strict=True)), counted=False)
    return [(sums, figures(sums)) for sums in found.values()]


def _judged(entry: Entry, value: Value, path: str, spans: Callable[[str], float | None]) -> Value:
    """With the target of the nearest level above what it is of."""
    above = [p for p in entry.targets if is_under(path, p)]
    if not above:
        return value
    told = entry.targets[max(above, key=len)]
    target = told.value
    if entry.sum:
        number = spans(told.per) if told.per else None
        if not number:
            return value  # of such rows, or since before targets of counts had a span, nobody knows how much time they are of
        target, value = told.value * number, replace(value, per=told.per, each=told.value)
    if value.value is None or not entry.kpi.better:
        return replace(value, target=target)
    met = value.value >= target if entry.kpi.better == "up" else value.value <= target
    return replace(value, target=target, met=met)

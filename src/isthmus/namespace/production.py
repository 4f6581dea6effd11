"""When the plant runs, how its machines are counted and how lines add up: checked, and told as the room production reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from isthmus.namespace.draft import Draft, DraftMachine, DraftTag, note
from isthmus.namespace.formulas import symbol
from isthmus.namespace.model import Calendar, Machine, PlannedStop, ProductionLine, Reason, Shift
from isthmus.namespace.plantfile import MAX_DEPTH, Document, Spot, did_you_mean, without_value
from isthmus.values import packml
from isthmus.values.errors import ConfigError
from isthmus.values.expression import Expression, Symbol, compile_expression
from isthmus.values.plant.namespace import PlantFile, state_number
from isthmus.values.plant.production import (
    DAY_MIN,
    DAY_NAMES,
    BreakSection,
    CalendarSection,
    LineSection,
    PlannedStopSection,
    ProductionSection,
    ReasonGroupSection,
    ShiftSection,
    cost_per_min,
    ideal_rate,
)
from isthmus.values.sample import ValueType

MAX_MACHINES = 10_000
MAX_REASONS = 2_000

_WEEK_MIN = 7 * DAY_MIN
_PIECES = ("good", "reject", "total", "rework")
_CLASS_WORDS = ("running", "idle", "stopped", "starved", "blocked", "setup", "planned", "unknown", "off")
_BY_NAME = {**{name.lower(): kind for name, kind in packml.CLASSES.items()}, **{word: word for word in _CLASS_WORDS}}
"""What a state is counted as by its name alone."""


def link(document: Document, file: PlantFile, draft: Draft, counted: Mapping[str, ProductionSection]) -> None:
    """Fills calendars, reasons, machines and lines of the draft; what is wrong is noted where it stands.

    ``counted`` has, by path of the asset, how its production is counted, in the order of the file.
    """
    paths = {asset.path for asset in draft.assets}
    for path, calendar in file.calendars.items():
        _calendar(document, draft, paths, path, calendar)
    for group, section in file.reasons.items():
        _reasons(document, draft, group, section)
    _Machines(document, file, draft, counted).run()
    if not draft.currency:
        _no_currency(document, file, counted)


def _no_currency(document: Document, file: PlantFile, counted: Mapping[str, ProductionSection]) -> None:
    costs: list[Spot] = [("lines", path, "cost") for path, line in file.lines.items() if line.cost]
    costs += [("assets", path, "production", "cost") for path, section in counted.items() if section.cost]
    if costs:
        note(document, costs[0], "a cost without a currency; say it in plant.currency", warning=True)


# --- calendars ------------------------------------------------------------------------------------------------------


def _calendar(document: Document, draft: Draft, paths: Iterable[str], path: str, section: CalendarSection) -> None:
    spot: Spot = ("calendars", path)
    if path not in paths:
        note(document, spot, "no asset, line or area of this file is there" + did_you_mean(path, paths), path, key=True)
    shifts = []
    for name, one in section.shifts.items():
        shift = _shift(document, (*spot, "shifts", name), name, one)
        if shift is not None:
            shifts.append(shift)
    _overlaps(document, spot, shifts)
    planned = [
        PlannedStop(name, one.days, *_span(one), one.first, one.last)
        for name, one in section.planned.items()
        if _whole(one)
    ]
    holidays = tuple(sorted(section.holidays.items()))
    draft.calendars.append(
        Calendar(path, tuple(shifts), holidays, tuple(planned), section.day_start or 0, section.first_week)
    )


def _whole(section: ShiftSection | PlannedStopSection | BreakSection) -> bool:
    """Whether its times were understood; what was not is said before."""
    return section.start is not None and section.end is not None  # a refused value stands as None


def _span(section: ShiftSection | PlannedStopSection | BreakSection) -> tuple[int, int]:
    """Begin and end on one scale."""
    start, end = section.start, section.end
    return start, end if end > start else end + DAY_MIN


def _shift(document: Document, spot: Spot, name: str, section: ShiftSection) -> Shift | None:
    if not _whole(section):
        return None
    start, end = _span(section)
    breaks: list[tuple[int, int, str]] = []
    for i, one in enumerate(section.breaks):
        if not _whole(one):
            continue
        first, last = _span(one)
        if first < start:
            first, last = first + DAY_MIN, last + DAY_MIN
        if not start <= first < last <= end:
            note(
                document,
                (*spot, "breaks", str(i)),
                f"lies outside its shift, {_times(start, end)}",
                _times(first, last),
            )
            continue
        twin = next((b for b in breaks if first < b[1] and b[0] < last), None)
        if twin is not None:
            note(
                document, (*spot, "breaks", str(i)), f"overlaps with the break {_times(*twin[:2])}", _times(first, last)
            )
            continue
        breaks.append((first, last, one.name))
    return Shift(name, section.days, start, end, tuple(sorted(breaks)), section.crews, section.turn)


def _overlaps(document: Document, spot: Spot, shifts: list[Shift]) -> None:
    """No two shifts of a calendar at one time: the production of a moment belongs to one of them."""
    for i, shift in enumerate(shifts):
        for other in shifts[:i]:
            shared = _shared(shift, other)
            if shared is None:
                continue
            first, at = (*spot, "shifts", other.name), document.find((*spot, "shifts", other.name))
            where = f"{'.'.join(first)} (line {at.line})" if at else ".".join(first)
            note(
                document,
                (*spot, "shifts", shift.name),
                f"overlaps with {where}: both hold {shared}",
                shift.name,
                key=True,
            )
            break


def _shared(one: Shift, other: Shift) -> str | None:
    """A time of the week both shifts cover, for people."""
    for day in one.days:
        for twin in other.days:
            for week in (-_WEEK_MIN, 0, _WEEK_MIN):
                start = max(day * DAY_MIN + one.start_min, twin * DAY_MIN + other.start_min + week)
                end = min(day * DAY_MIN + one.end_min, twin * DAY_MIN + other.end_min + week)
                if start < end:
                    return f"{DAY_NAMES[start // DAY_MIN % 7]} {_times(start, end)}"
    return None


def _times(start: int, end: int) -> str:
    return f"{_clock(start)}-{_clock(end)}"


def _clock(minutes: int) -> str:
    return f"{minutes // 60 % 24:02}:{minutes % 60:02}"


# --- reasons --------------------------------------------------------------------------------------------------------


def _reasons(document: Document, draft: Draft, group: str, section: ReasonGroupSection) -> None:
    spot: Spot = ("reasons", group)
    if not section.reasons:
        if section.reasons is not None:  # else it is missing, said before
            note(document, spot, "a group without reasons is never offered", "", key=True, warning=True)
        return
    texts: dict[str, str] = {}
    for name, one in section.reasons.items():
        here: Spot = (*spot, "reasons", name)
        if section.planned and one.loss is not None:
            note(document, (*here, "loss"), "what is planned is no loss", one.loss)
        if section.planned and one.time not in (None, "PDOT"):
            note(document, (*here, "time"), "what is planned counts as PDOT", one.time)
        if section.kind != "stop" and one.time is not None:
            note(document, (*here, "time"), "only a stop takes time", one.time)
        twin = texts.setdefault(one.text or name, name)
        if twin != name:
            note(document, here, f"reads as {twin} does; nobody could tell them apart", one.text)
        loss = "" if section.planned else one.loss or section.loss or _loss(section.kind)
        time = "" if section.kind != "stop" else one.time or section.time or _time(section.planned, loss)
        draft.reasons.append(
            Reason(f"{group}/{name}", group, name, one.text or name, section.kind, section.planned, loss, time)
        )
    if len(draft.reasons) > MAX_REASONS:
        note(document, spot, f"more than {MAX_REASONS:,} reasons", group, key=True)


def _loss(kind: str) -> str:
    return "breakdown" if kind == "stop" else "production_reject"


def _time(planned: bool, loss: str) -> str:
    return "PDOT" if planned else "AUST" if loss == "setup" else "ADOT"


# --- machines and lines ---------------------------------------------------------------------------------------------


class _Machines:
    def __init__(
        self, document: Document, file: PlantFile, draft: Draft, counted: Mapping[str, ProductionSection]
    ) -> None:
        self._document, self._file, self._draft, self._counted = document, file, draft, counted
        self._compiled: dict[tuple[str, str], Expression] = {}
        self._told: set[tuple[Spot, str]] = set()  # said once of a type, whatever the number of its assets
        self._units: dict[str, tuple[str, str]] = {}  # of energy and material, with the tag that said it first
        self._types = {asset.path: asset.type for asset in draft.assets}
        self._levels = {asset.path: asset.level for asset in draft.assets}

    def run(self) -> None:
        self._lines()
        places = {asset: (line.path, place) for line in self._draft.lines for place, asset in enumerate(line.machines)}
        for path, section in self._counted.items():
            line, place = places.get(path, ("", 0))
            self._draft.machines.append(self._machine(path, section, line, place))
        if len(self._counted) > MAX_MACHINES:
            note(self._document, ("assets",), f"more than {MAX_MACHINES:,} machines", str(len(self._counted)))

    # lines

    def _lines(self) -> None:
        """Those of the file, and those that are lines by their level with machines nobody put into one."""
        taken: dict[str, str] = {}
        for path, section in self._file.lines.items():
            self._line(path, section, taken)
        found: dict[str, list[str]] = {}
        for asset in self._counted:
            line = self._line_above(asset)
            if asset not in taken and line and line not in self._file.lines:
                found.setdefault(line, []).append(asset)
        self._draft.lines += [ProductionLine(path, tuple(machines)) for path, machines in found.items()]

    def _line_above(self, path: str) -> str:
        while path and self._levels.get(path) != "line":
            path = path.rpartition("/")[0]
        return path

    def _line(self, path: str, section: LineSection, taken: dict[str, str]) -> None:
        spot: Spot = ("lines", path)
        if path not in self._levels:
            problem = "no line or asset of this file is there" + did_you_mean(path, self._levels)
            note(self._document, spot, problem, path, key=True)
            return
        below = [asset for asset in self._counted if asset.startswith(f"{path}/")]
        machines: list[str] = []
        for i, name in enumerate(section.machines):
            asset = self._named((*spot, "machines", str(i)), path, name, below)
            if asset in machines:
                note(self._document, (*spot, "machines", str(i)), "stands in this line twice", name)
            elif asset:
                machines.append(asset)
        if not section.machines:
            machines = below
        if not machines:
            note(self._document, spot, "no asset below it is counted: it has no machine", path, key=True)
        for asset in machines:
            twin = taken.setdefault(asset, path)
            if twin != path:
                note(self._document, (*spot, "machines"), f"{asset} stands in {twin} already", asset)
        constraint = self._member(spot, "constraint", section.constraint, path, machines)
        counts_at = self._member(spot, "counts_at", section.counts_at, path, machines) or constraint
        if len(section.buffers) > max(0, len(machines) - 1):
            problem = f"there are {max(0, len(machines) - 1)} gaps between {len(machines)} machines"
            note(self._document, (*spot, "buffers"), problem, str(len(section.buffers)))
        cost = cost_per_min(section.cost) if section.cost else 0.0
        self._draft.lines.append(ProductionLine(path, tuple(machines), constraint, counts_at, section.buffers, cost))

    def _named(self, place: Spot, line: str, name: str, below: list[str]) -> str:
        """The machine a line means: below it, or by its whole path."""
        found = next((p for p in (f"{line}/{name}", name) if p in self._counted), "")
        if not found:
            exists = next((p for p in (f"{line}/{name}", name) if p in self._levels), "")
            short = [p.removeprefix(f"{line}/") for p in below]
            problem = f"{exists} has no production section" if exists else "no such machine" + did_you_mean(name, short)
            note(self._document, place, problem, name)
        return found

    def _member(self, spot: Spot, key: str, name: str, line: str, machines: list[str]) -> str:
        if not name:
            return ""
        found = next((p for p in (f"{line}/{name}", name) if p in machines), "")
        if not found:
            short = [p.removeprefix(f"{line}/") for p in machines]
            note(self._document, (*spot, key), "no machine of this line" + did_you_mean(name, short), name)
        return found

    # machines

    def _machine(self, path: str, section: ProductionSection, line: str, place: int) -> DraftMachine:
        tags: dict[str, str] = {}
        lists: dict[str, list[str]] = {"energy": [], "material": []}
        for role, name in section.tags.items():
            tag = self._draft.tags.get(f"{path}/{name}")
            if tag is None:
                if self._place(path, tuple(role.split(".")))[0] == "assets":  # of a type it is said there
                    self._note(path, role, "the asset has no such tag", name)
                continue
            self._check_kind(path, role, section, tag)
            head = role.split(".", 1)[0]
            if head in lists:
                lists[head].append(tag.path)
                self._check_unit(path, role, head, tag)
            else:
                tags[head] = tag.path
        classes = self._classes(path, section)
        rules, inputs = self._rules(path, section)
        if not (section.state or section.rules or section.pulse):
            self._note(path, "", "tells no state, rules or pulse: all its time is unknown", "", warning=True)
        count, per_ns = ideal_rate(section.ideal_rate) if section.ideal_rate else (0, 0)
        pulse = section.pulse
        self._check_stale(path, section, self._draft.tags.get(tags.get("state", "")))
        machine = Machine(
            asset=path,
            line=line,
            place=place,
            classes=classes,
            rules=rules,
            pulse_on=pulse.on if pulse else None,
            idle_after_s=pulse.idle_after if pulse else 0.0,
            stopped_after_s=pulse.stopped_after if pulse else 0.0,
            micro_stop_s=section.micro_stop,
            stale_after_s=section.stale_after,
            modulo=section.modulo,
            ideal_count=count,
            ideal_per_ns=per_ns,
            cost_per_min=cost_per_min(section.cost) if section.cost else 0.0,
        )
        return DraftMachine(machine, tags, tuple(lists["energy"]), tuple(lists["material"]), inputs)

    def _note(self, path: str, role: str, problem: str, value: str, *, warning: bool = False) -> None:
        """Notes a finding where the field stands: in the asset, or in the type it comes from; of a type once."""
        place = self._place(path, tuple(role.split(".")) if role else ())
        if (place, problem) not in self._told:
            self._told.add((place, problem))
            where = "" if place[0] == "assets" else f" (in asset {path})"
            note(self._document, place, problem + where, value, warning=warning)

    def _place(self, path: str, rest: Spot) -> Spot:
        own: Spot = ("assets", path, "production", *rest)
        if self._document.find(own) is not None:
            return own
        kind = self._types.get(path, "")
        for _ in range(MAX_DEPTH):  # types may extend each other in a circle, which is refused elsewhere
            if kind not in self._file.types:
                break
            spot: Spot = ("types", kind, "production", *rest)
            if self._document.find(spot) is not None:
                return spot
            kind = self._file.types[kind].extends
        return own

    def _check_kind(self, path: str, role: str, section: ProductionSection, tag: DraftTag) -> None:
        text = tag.type is ValueType.TEXT
        head = role.split(".", 1)[0]
        if head == "state" and tag.type is not ValueType.INT:
            self._note(path, role, "a state is told by whole numbers", tag.name)
        elif head in {*_PIECES, "energy", "material"} and (text or tag.kind in {"state", "switch"}):
            self._note(path, role, f"must be a counter; this is a tag of kind {tag.kind}", tag.name)
        elif head == "speed" and (text or tag.kind in {"state", "switch"}):
            self._note(path, role, f"must be a number; this is a tag of kind {tag.kind}", tag.name)
        elif head == "pulse" and section.pulse is not None:
            self._check_pulse(path, role, section.pulse.on, tag)

    def _check_stale(self, path: str, section: ProductionSection, state: DraftTag | None) -> None:
        """A state that stands is sent again after its max_gap only: one forgotten sooner is unknown most of the time."""
        if state is not None and section.stale_after and section.stale_after <= state.common.max_gap_s:
            problem = (
                f"a state that stands is sent again every {state.common.max_gap_s:g} s (its max_gap): "
                "the machine would be unknown in between"
            )
            self._note(path, "stale_after", problem, f"{section.stale_after:g} s", warning=True)

    def _check_unit(self, path: str, role: str, head: str, tag: DraftTag) -> None:
        """Energy and material add up over machines: each has one unit in the whole plant."""
        unit, other = self._units.setdefault(head, (tag.unit, tag.path))
        if tag.unit != unit:
            self._note(path, role, f"{other} counts in {unit or 'no unit'}; {head} of a plant has one unit", tag.unit)

    def _check_pulse(self, path: str, role: str, on: float | None, tag: DraftTag) -> None:
        if tag.type is ValueType.TEXT or tag.kind == "state":
            self._note(path, role, "must be a counter, a switch or a number such as a current", tag.name)
        elif on is None and tag.kind not in {"counter", "switch"}:
            self._note(path, role, "a value needs on: from which value up it is running", tag.name)
        elif on is not None and tag.kind in {"counter", "switch"}:
            self._note(path, "pulse.on", f"a {tag.kind} tells its pieces itself; on is for a value", f"{on:g}")

    def _classes(self, path: str, section: ProductionSection) -> dict[int, str]:
        """What each number of the state is counted as: by its name, and as the file says on top."""
        tag = self._draft.tags.get(f"{path}/{section.state}") if section.state else None
        if tag is None:
            return {}
        states = tag.common.states or {}
        numbers = {name: number for number, name in states.items()}
        classes = {n: _BY_NAME[name.lower()] for n, name in states.items() if name.lower() in _BY_NAME}
        for key, kind in section.classes.items():
            number = numbers.get(key)
            if number is None:
                try:
                    number = state_number(key)
                except ConfigError:
                    number = None
            if number is None or (states and number not in states):
                problem = "the state has no such number or name" + did_you_mean(key, [*map(str, states), *numbers])
                self._note(path, f"classes.{key}" if "." not in key else "classes", problem, key)
                continue
            classes[number] = kind
        open_ = [f"{number} {name}" for number, name in states.items() if number not in classes]
        if open_ or not classes:
            told = ", ".join(open_[:5]) or "no state"
            problem = f"{told}: told no class, so counted as unknown" if open_ else "no state is told a class (classes)"
            self._note(path, "state", problem, section.state, warning=True)
        return classes

    def _rules(self, path: str, section: ProductionSection) -> tuple[tuple[tuple[str, str], ...], dict[str, str]]:
        found: list[tuple[str, str]] = []
        inputs: dict[str, str] = {}
        for kind, text in section.rules.items():
            compiled = self._rule(path, kind, text)
            if compiled is not None:
                expression, used = compiled
                found.append((kind, expression.resolved))
                inputs |= used
        return tuple(found), inputs

    def _rule(self, path: str, kind: str, text: str) -> tuple[Expression, dict[str, str]] | None:
        try:
            used = {
                name: tag.path
                for name in compile_expression(text).names
                if (tag := self._draft.tags.get(f"{path}/{name}") or self._draft.tags.get(name)) is not None
            }
            env: dict[str, Symbol] = {name: symbol(self._draft.tags[p]) for name, p in used.items()}
            key = (text, repr(sorted(env.items())))
            if key not in self._compiled:
                self._compiled[key] = compile_expression(text, env)
        except ConfigError as error:
            self._note(path, f"rules.{kind}", without_value(str(error)), text)
            return None
        expression = self._compiled[key]
        if expression.type != "bool":
            self._note(path, f"rules.{kind}", "must be true or false: compare it with something", text)
            return None
        read = {name: used[name] for name in sorted(expression.names)}
        if not read:
            self._note(path, f"rules.{kind}", "reads no tag", text)
            return None
        return expression, read

"""Alarms of a plant file: each declaration checked, and instantiated at every tag and asset it holds for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from isthmus.namespace.draft import Draft, DraftAlarm, DraftTag, InFile, Place, declared_at, note
from isthmus.namespace.formulas import symbol
from isthmus.namespace.model import AlarmSpec
from isthmus.namespace.plantfile import Document, Spot, did_you_mean, without_value
from isthmus.values.errors import ConfigError
from isthmus.values.expression import Expression, Symbol, compile_expression
from isthmus.values.plant.alarms import (
    LIMITS,
    AlarmSection,
    DeviationSection,
    ExpressionSection,
    LimitSection,
    QualitySection,
    RateSection,
)
from isthmus.values.plant.namespace import PlantFile, TypeSection
from isthmus.values.units import conversion, convert, parse_unit

MAX_ALARMS = 1_000_000
COMMUNICATION = "communication"

_WORDS = {
    "high_high": "far too high",
    "high": "too high",
    "low": "too low",
    "low_low": "far too low",
    "deviation": "too far from its set-point",
    "rate": "changes too fast",
    "quality": "has no usable value",
}
_NUMBERS = frozenset({*LIMITS, "deviation", "rate"})
_SWITCH = {"false": 0, "0": 0, "true": 1, "1": 1}
_PER_S = {"s": 1.0, "min": 60.0, "h": 3_600.0}


def link(document: Document, file: PlantFile, draft: Draft, types: Mapping[str, TypeSection]) -> None:
    """Put the alarms into the draft; what is wrong is noted where it stands."""
    _Linker(document, file, draft, types).run()


class _Linker:
    def __init__(self, document: Document, file: PlantFile, draft: Draft, types: Mapping[str, TypeSection]) -> None:
        self._document, self._file, self._draft, self._types = document, file, draft, types
        self._zones = {a.path: a.zone for a in draft.assets}
        self._edges = {name: c.edge for name, c in draft.connections.items()}
        self._specs: dict[tuple[int, str, str, object], AlarmSpec | None] = {}
        self._sections: dict[int, AlarmSection] = {}  # by identity; kept, so that no other takes its place
        self._resolved: dict[tuple[AlarmSpec, str, str], AlarmSpec] = {}
        self._names: dict[str, frozenset[str]] = {}
        self._compiled: dict[tuple[str, str], Expression] = {}
        self._said: set[tuple[str, str, str]] = set()  # findings that were told: place, problem, value
        self._whens: dict[str, tuple[AlarmSection, str]] = {}  # by key: the section and its condition

    def run(self) -> None:
        self._communication()
        self._of_tags()
        self._of_assets()
        if len(self._draft.alarms) > MAX_ALARMS:
            note(self._document, (), f"more than {MAX_ALARMS:,} alarms", str(len(self._draft.alarms)))
        for key, (section, when) in self._whens.items():
            self._resolve(self._draft.alarms[key], section, when)
        self._no_circles()

    def _error(self, place: Place, problem: str, value: str = "") -> None:
        """Each mistake once, however many tags and assets share its declaration."""
        where = f"{place.file}:{place.line}" if isinstance(place, InFile) else repr(place)
        key = (where, problem.split(" (in ", 1)[0], value)
        if key not in self._said:
            self._said.add(key)
            note(self._document, place, problem, value)

    def _add(self, alarm: DraftAlarm, section: AlarmSection | None, when: str = "") -> None:
        self._draft.alarms[alarm.key] = alarm
        if section is not None and (when or section.suppress_when):
            self._whens[alarm.key] = section, when

    # --- what is looked at -------------------------------------------------------------------------------------------

    def _communication(self) -> None:
        for name, section in self._file.connections.items():
            if name not in self._draft.connections or section.alarm == "off":
                continue
            path = f"connections/{name}"
            spec = AlarmSpec(
                COMMUNICATION,
                COMMUNICATION,
                section.alarm,
                "{asset} cannot be reached",
                cause="The device is off, its network is down, or its settings changed",
                response="Look at the connection's reason; its tags keep their last values meanwhile",
            )
            alarm = DraftAlarm(
                f"{path}#{COMMUNICATION}", path, path, section.zone, section.edge, spec, ("connections", name)
            )
            alarm.tag = f"{path}/state"
            self._add(alarm, None)

    def _of_tags(self) -> None:
        for tag in self._draft.tags.values():
            alarms = tag.common.section.alarms
            if alarms is None:
                continue
            for name, section in alarms.by_name.items():
                spec = self._spec(tag, name, section)
                if spec is None:
                    continue
                alarm = DraftAlarm(
                    f"{tag.path}#{name}", tag.path, tag.asset, self._zone(tag), tag.edge, spec, tag.place, tag.path
                )
                if isinstance(section, DeviationSection):
                    alarm.other = self._other(tag, section)
                self._add(alarm, section)

    def _of_assets(self) -> None:
        for name, section in self._file.alarms.items():
            self._expression("", name, section, ("alarms", name))
        for asset in self._draft.assets:
            kind = self._types.get(asset.type)
            for name, section in kind.alarms.items() if kind is not None else ():
                self._expression(asset.path, name, section, self._spot(asset.type, name))

    def _expression(self, asset: str, name: str, section: ExpressionSection, place: Place) -> None:
        if not section.when:  # missing or refused, said before
            return
        key = (id(section), "expression", "", None)
        if key not in self._specs:
            self._sections[id(section)] = section
            self._specs[key] = _spec(name, "expression", section, "", "{asset}: " + name)
        spec = self._specs[key]
        assert spec is not None  # noqa: S101  put there two lines above
        alarm = DraftAlarm(f"{asset}#{name}", asset, asset, self._zones.get(asset, ""), "", spec, place)
        self._add(alarm, section, section.when)

    def _spot(self, kind: str, name: str) -> Spot:
        """Where a type's alarm stands: in it, or in one it extends."""
        first: Spot = ("types", kind)
        for _ in range(len(self._file.types)):
            if kind not in self._file.types:
                break
            if self._document.find(("types", kind, "alarms", name)) is not None:
                return ("types", kind, "alarms", name)
            kind = self._file.types[kind].extends
        return first

    def _place(self, tag: DraftTag, *names: str) -> Place:
        """Where an alarm of a tag stands, as far as the file has such a place."""
        place = declared_at(self._document, tag, "alarms")
        if isinstance(place, InFile) or place == tag.place:
            return place
        for name in names:
            if self._document.find((*place, name)) is None:
                break
            place = (*place, name)
        return place

    def _zone(self, tag: DraftTag) -> str:
        connection = self._draft.connections.get(tag.connection)
        return (connection.zone if connection is not None else "") or self._zones.get(tag.asset, "")

    # --- one declaration ---------------------------------------------------------------------------------------------

    def _spec(self, tag: DraftTag, name: str, section: AlarmSection) -> AlarmSpec | None:
        """What the alarm of this declaration is for tags like this one; None where it is wrong, which is told."""
        other = self._draft.tags.get(self._other(tag, section)) if isinstance(section, DeviationSection) else None
        shared = (tag.unit, other.unit if other else None, tag.kind, id(tag.common.states))
        key = (id(section), name, tag.kind, shared)
        if key not in self._specs:
            self._sections[id(section)] = section
            self._specs[key] = self._checked(tag, name, section, other)
        elif isinstance(section, DeviationSection) and other is None:
            self._no_setpoint(tag, section)
        return self._specs[key]

    def _checked(self, tag: DraftTag, name: str, section: AlarmSection, other: DraftTag | None) -> AlarmSpec | None:
        first, _, state = name.partition(":")
        if (first in _NUMBERS and tag.kind not in {"value", "counter"}) or (
            first == "state" and tag.kind not in {"state", "switch"}
        ):
            word = "states" if first == "state" else first
            self._error(self._place(tag, word), f"a tag of kind {tag.kind} has no alarms of this kind: {word}")
            return None
        if first == "state":
            return self._state(tag, state, section)
        spec = _spec(name, first, section, tag.unit, "{tag} " + _WORDS[first])
        if isinstance(section, LimitSection):
            return replace(spec, limit=section.limit, deadband=section.deadband)
        if isinstance(section, RateSection):
            return replace(
                spec,
                unit=f"{tag.unit or '1'}/{section.per}",
                limit=section.limit,
                deadband=section.deadband,
                over_s=section.over,
                per_s=_PER_S[section.per],
                direction=section.direction,
            )
        if isinstance(section, QualitySection):
            return replace(spec, uncertain=section.uncertain)
        if isinstance(section, DeviationSection):
            return self._deviation(tag, section, spec, other)
        return spec

    def _deviation(
        self, tag: DraftTag, section: DeviationSection, spec: AlarmSpec, other: DraftTag | None
    ) -> AlarmSpec | None:
        if other is None:
            self._no_setpoint(tag, section)
            return None
        spec = replace(spec, limit=section.limit, deadband=section.deadband)
        if other.kind not in {"value", "counter"}:
            problem = f"{other.path} is a {other.kind}, which nothing can deviate from"
            self._error(self._place(tag, "deviation", "from"), problem, section.source)
            return None
        if not other.unit or not tag.unit or other.unit == tag.unit:
            return spec
        try:
            convert(0.0, other.unit, tag.unit)  # judges units that count from a zero of their own as well
            factor, offset = conversion(parse_unit(other.unit), parse_unit(tag.unit))
        except ConfigError as error:
            problem = f"{other.path} has another unit: {without_value(str(error))}"
            self._error(self._place(tag, "deviation", "from"), problem, section.source)
            return None
        return replace(spec, factor=factor, offset=offset)

    def _no_setpoint(self, tag: DraftTag, section: DeviationSection) -> None:
        place = self._place(tag, "deviation", "from")
        if section.source:
            beside = [t.name for t in self._draft.tags.values() if t.asset == tag.asset]
            problem = "names no tag beside it and no path of a tag" + did_you_mean(section.source, beside)
            self._error(place, problem, section.source)
        else:
            self._error(place, "needs from, or a setpoint of the tag, to deviate from")

    def _other(self, tag: DraftTag, section: AlarmSection) -> str:
        """Path of the tag it is compared with, "" where there is none."""
        said = section.source if isinstance(section, DeviationSection) else ""
        if not said:
            return tag.setpoint if tag.setpoint in self._draft.tags else ""
        beside = f"{tag.asset}/{said}" if tag.asset else said
        return next((p for p in (beside, said) if p in self._draft.tags and p != tag.path), "")

    def _state(self, tag: DraftTag, state: str, section: AlarmSection) -> AlarmSpec | None:
        known = dict(_SWITCH) if tag.kind == "switch" and not tag.common.states else {}
        numbers = tuple(n for n, text in (tag.common.states or {}).items() if text == state)
        if not numbers and state in known:
            numbers = (known[state],)
        if not numbers and tag.kind == "state" and not tag.common.states and state.lstrip("-").isdecimal():
            numbers = (int(state),)
        if not numbers:
            names = ["true", "false"] if known else list((tag.common.states or {}).values())
            problem = "no such state" + (
                did_you_mean(state, names) if names else "; it has no map, so write its number"
            )
            self._error(self._place(tag, "states", state), problem, state)
            return None
        return replace(_spec(f"state:{state}", "state", section, "", "{tag} is " + state), states=numbers)

    # --- expressions -------------------------------------------------------------------------------------------------

    def _resolve(self, alarm: DraftAlarm, section: AlarmSection, when: str) -> None:
        """Compile its expressions with what their names stand for at this asset."""
        resolved = {"when": "", "suppress_when": ""}
        for word, text in (("when", when), ("suppress_when", section.suppress_when)):
            if not text:
                continue
            place = self._expression_place(alarm, word)
            compiled = self._compile(alarm, place, text)
            if compiled is None:
                return
            expression, inputs = compiled
            resolved[word] = expression.resolved
            if word == "when":
                alarm.inputs = inputs
                edges = {self._edge(path) for path in inputs.values()} - {""}
                alarm.edge = edges.pop() if len(edges) == 1 else ""
            else:
                alarm.suppress_inputs = inputs
        key = (alarm.spec, resolved["when"], resolved["suppress_when"])
        if key not in self._resolved:
            self._resolved[key] = replace(alarm.spec, when=key[1], suppress_when=key[2])
        alarm.spec = self._resolved[key]

    def _expression_place(self, alarm: DraftAlarm, word: str) -> Place:
        tag = self._draft.tags.get(alarm.tag)
        if tag is None:
            return alarm.place if isinstance(alarm.place, InFile) else (*alarm.place, word)
        return self._place(tag, *alarm.spec.name.replace("state:", "states:").split(":"), word)

    def _compile(self, alarm: DraftAlarm, place: Place, text: str) -> tuple[Expression, dict[str, str]] | None:
        where = f" (in {alarm.key})"
        try:
            inputs: dict[str, str] = {}
            env: dict[str, Symbol] = {}
            if text not in self._names:
                self._names[text] = compile_expression(text).names
            for name in self._names[text]:
                found = self._named(alarm.asset, name)
                if found is not None:
                    inputs[name], env[name] = found
                elif "#" in name:
                    self._error(place, f"there is no alarm {name}{where}", text)
                    return None
            key = (text, repr(sorted(env.items())))
            if key not in self._compiled:
                self._compiled[key] = compile_expression(text, env)
        except ConfigError as error:
            self._error(place, without_value(str(error)) + where, text)
            return None
        expression = self._compiled[key]
        if expression.type != "bool":
            self._error(place, "must be true or false: compare it with something", text)
            return None
        used = {name: inputs[name] for name in sorted(expression.names)}
        if not used:
            self._error(place, "reads no tag", text)
            return None
        return expression, used

    def _named(self, asset: str, name: str) -> tuple[str, Symbol] | None:
        """A tag or alarm beside it, or by its path."""
        if "#" in name:
            beside = f"{asset}{name}" if name.startswith("#") else f"{asset}/{name}" if asset else name
            key = next((k for k in (beside, name) if k in self._draft.alarms), None)
            return None if key is None else (key, Symbol("bool"))
        beside = f"{asset}/{name}" if asset else name
        tag = self._draft.tags.get(beside) or self._draft.tags.get(name)
        return None if tag is None else (tag.path, symbol(tag))

    def _edge(self, path: str) -> str:
        if path in self._draft.alarms:
            return self._draft.alarms[path].edge
        return self._draft.tags[path].edge

    def _no_circles(self) -> None:
        """No alarm may wait for itself, be it by its condition or by what suppresses it."""
        waits = {
            key: {to for to in self._reads(self._draft.alarms[key]) if to in self._draft.alarms} for key in self._whens
        }
        done: set[str] = set()
        for first in waits:
            walk = self._circle(first, waits, done)
            if walk:
                shown = " → ".join(walk)
                alarm = self._draft.alarms[first]
                word = "when" if alarm.spec.kind == "expression" and not alarm.suppress_inputs else "suppress_when"
                self._error(self._expression_place(alarm, word), f"alarms wait for each other in a circle: {shown}")
                return

    @staticmethod
    def _reads(alarm: DraftAlarm) -> Iterator[str]:
        yield from alarm.inputs.values()
        yield from alarm.suppress_inputs.values()

    @staticmethod
    def _circle(first: str, waits: Mapping[str, set[str]], done: set[str]) -> list[str]:
        """A way from an alarm back to itself, empty where there is none."""
        path: list[str] = []
        open_ = {first: iter(sorted(waits.get(first, ())))} if first not in done else {}
        while open_:
            current = next(reversed(open_))
            path = list(open_)
            following = next((k for k in open_[current] if k not in done), None)
            if following is None:
                done.add(current)
                del open_[current]
            elif following in open_:
                at = path.index(following)
                return [*path[at:], following]
            else:
                open_[following] = iter(sorted(waits.get(following, ())))
        return []


def _spec(name: str, kind: str, section: AlarmSection, unit: str, message: str) -> AlarmSpec:
    return AlarmSpec(
        name=name,
        kind=kind,
        priority=section.effective_priority,
        message=section.message or message,
        unit=unit,
        on_delay_s=section.on_delay,
        off_delay_s=section.off_delay,
        latch=section.latch,
        cause=section.cause,
        consequence=section.consequence,
        consequence_class=section.consequence_class or "",
        response=section.response,
        response_s=section.response_time,
    )

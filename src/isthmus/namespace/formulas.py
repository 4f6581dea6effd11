"""Calculated tags: finds what they read, puts them in order, checks types and units, and tells which edge runs them."""

from __future__ import annotations

from collections import deque

from isthmus.namespace.draft import Draft, DraftTag, InFile, declared_at, note
from isthmus.namespace.plantfile import MAX_FINDINGS, Document, did_you_mean, without_value
from isthmus.values.errors import ConfigError
from isthmus.values.expression import Expression, Symbol, compile_expression
from isthmus.values.sample import ValueType
from isthmus.values.units import conversion, convert, parse_unit


def link(document: Document, draft: Draft) -> None:
    """Resolves, orders and compiles every formula of the draft; what is wrong is noted in the document's report."""
    _Linker(document, draft).run()


class _Linker:
    def __init__(self, document: Document, draft: Draft) -> None:
        self._document, self._draft = document, draft
        self._parsed: dict[str, frozenset[str]] = {}
        self._compiled: dict[tuple[str, str, str], Expression] = {}
        self._failed: set[str] = set()

    def run(self) -> None:
        formulas = {path: tag for path, tag in self._draft.tags.items() if tag.formula}
        needs = {path: self._script_inputs(t) if t.reason else self._inputs(t) for path, t in formulas.items()}
        order = self._order(needs)
        for path in order:
            if path not in self._failed and formulas[path].reason:
                self._convert(formulas[path], needs[path])
            elif path not in self._failed:
                self._compile(formulas[path], needs[path])
        self._draft.formulas = order

    def _error(self, tag: DraftTag, problem: str) -> None:
        self._failed.add(tag.path)
        note(
            self._document,
            declared_at(self._document, tag, "python" if tag.reason else "formula"),
            problem,
            tag.formula,
        )

    def _inputs(self, tag: DraftTag) -> dict[str, str]:
        """Names in the formula that are tags, with their paths; other words may be states."""
        names = self._parsed.get(tag.formula)
        if names is None:
            try:
                names = compile_expression(tag.formula).names
            except ConfigError as error:
                self._error(tag, without_value(str(error)))
                return {}
            self._parsed[tag.formula] = names
        found = {}
        for name in names:
            beside = f"{tag.asset}/{name}" if tag.asset else name
            path = beside if beside in self._draft.tags else name
            if path in self._draft.tags:
                found[name] = path
        return found

    def _script_inputs(self, tag: DraftTag) -> dict[str, str]:
        """The tags a script's function gets, by the names it gets them by."""
        section = tag.common.section.python
        found: dict[str, str] = {}
        for name, one in section.inputs.items() if section is not None else ():
            path = next(
                (p for p in (f"{tag.asset}/{one.tag}" if tag.asset else one.tag, one.tag) if p in self._draft.tags), ""
            )
            if not path:
                beside = [t.name for t in self._draft.tags.values() if t.asset == tag.asset]
                problem = "names no tag beside it and no path of a tag" + did_you_mean(one.tag, beside)
                self._note_input(tag, name, problem, one.tag)
            else:
                found[name] = path
        return found

    def _note_input(self, tag: DraftTag, name: str, problem: str, value: str) -> None:
        self._failed.add(tag.path)
        place = declared_at(self._document, tag, "python")
        spot = place if isinstance(place, InFile) else (*place, "inputs", name)
        note(self._document, spot, problem, value)

    def _convert(self, tag: DraftTag, inputs: dict[str, str]) -> None:
        """Each input in the unit the function wants."""
        section = tag.common.section.python
        if section is None or any(path in self._failed for path in inputs.values()):
            self._failed.add(tag.path)
            return
        for name, path in inputs.items():
            wanted, given = section.inputs[name].unit, self._draft.tags[path].unit
            tag.conversions[name] = (1.0, 0.0)
            if wanted is None or wanted == given:
                continue
            if not given:
                self._note_input(tag, name, f"{path} has no unit that could be told in {wanted}", wanted)
                continue
            try:
                convert(0.0, given, wanted)  # judges units that count from a zero of their own as well
                tag.conversions[name] = conversion(parse_unit(given), parse_unit(wanted))
            except ConfigError as error:
                self._note_input(tag, name, without_value(str(error)), wanted)
        tag.inputs = inputs
        self._edge(tag)
        self._draft.tags[tag.reason].edge = tag.edge

    def _order(self, needs: dict[str, dict[str, str]]) -> list[str]:
        """Each formula behind those it reads; a circle is an error that names it."""
        waits = {path: {p for p in inputs.values() if p in needs} for path, inputs in needs.items()}
        readers: dict[str, list[str]] = {path: [] for path in needs}
        for path, before in waits.items():
            for other in before:
                readers[other].append(path)
        ready = deque(path for path, before in waits.items() if not before)
        order: list[str] = []
        while ready:
            path = ready.popleft()
            order.append(path)
            for reader in readers[path]:
                waits[reader].discard(path)
                if not waits[reader]:
                    ready.append(reader)
        left = set(needs) - set(order)
        while left:
            circle = _circle(left, waits)
            first = min(circle)
            at = circle.index(first)
            shown = " → ".join([*circle[at:], *circle[:at], first])
            self._error(self._draft.tags[first], f"formulas go round in a circle: {shown}")
            self._failed.update(circle)
            left -= _reaching(circle, left, readers)
        return order

    def _compile(self, tag: DraftTag, inputs: dict[str, str]) -> None:
        if any(path in self._failed for path in inputs.values()):
            self._failed.add(tag.path)
            return
        env = tuple(sorted((name, symbol(self._draft.tags[path])) for name, path in inputs.items()))
        key = (tag.formula, tag.unit, repr(env))  # a symbol with states has no hash
        expression = self._compiled.get(key)
        if expression is None:
            try:
                expression = compile_expression(tag.formula, dict(env), unit=tag.unit or None)
            except ConfigError as error:
                self._error(tag, self._explained(tag, dict(env), error))
                return
            self._compiled[key] = expression
        self._typed(tag, expression)
        tag.resolved = expression.resolved
        tag.inputs = {name: inputs[name] for name in sorted(expression.names)}
        self._edge(tag)

    def _explained(self, tag: DraftTag, env: dict[str, Symbol], error: ConfigError) -> str:
        """The error again with all tags beside it in view, so that a misspelt name finds its neighbour."""
        if len(self._failed) > MAX_FINDINGS:
            return without_value(str(error))
        beside = {t.name: symbol(t) for t in self._draft.tags.values() if t.asset == tag.asset}
        try:
            compile_expression(tag.formula, {**beside, **env}, unit=tag.unit or None)
        except ConfigError as better:
            return without_value(str(better))
        return without_value(str(error))

    def _typed(self, tag: DraftTag, expression: Expression) -> None:
        section = tag.common.section
        if expression.type == "text":
            if section.kind not in {None, "text"} or section.map is not None:
                self._error(tag, f"gives a text, and the tag is of kind {tag.kind}")
            tag.kind, tag.type = "text", ValueType.TEXT
        elif tag.kind == "text":
            self._error(tag, "must give a text, and gives a number")
        elif expression.type == "bool":
            tag.kind = "switch" if section.kind is None and section.map is None else tag.kind
            tag.type = ValueType.INT
        elif tag.kind in {"counter", "state", "switch"}:
            tag.type = ValueType.INT
        else:
            tag.type = ValueType.FLOAT

    def _edge(self, tag: DraftTag) -> None:
        """A formula runs where its inputs are read."""
        edges: dict[str, str] = {}
        for path in tag.inputs.values():
            edge = self._draft.tags[path].edge
            if edge:
                edges.setdefault(edge, path)
        if len(edges) > 1:
            told = " and ".join(f"{path} (edge {edge})" for edge, path in sorted(edges.items())[:2])
            self._error(
                tag,
                f"reads {told}: a formula is computed at one edge, so that it goes on when the network is down; "
                "read both devices from one edge, or calculate per edge",
            )
            return
        first = next((c.edge for c in self._draft.connections.values()), "")
        tag.edge = next(iter(edges), "") or tag.edge or first


def symbol(tag: DraftTag) -> Symbol:
    """What a tag is to an expression."""
    if tag.type is ValueType.TEXT:
        return Symbol("text")
    return Symbol("bool" if tag.kind == "switch" else "number", tag.unit, tag.common.states)


def _circle(left: set[str], waits: dict[str, set[str]]) -> list[str]:
    """One circle among tags that all wait for each other, each before the one it reads."""
    path = min(left)
    seen: dict[str, int] = {}
    walk: list[str] = []
    while path not in seen:
        seen[path] = len(walk)
        walk.append(path)
        path = min(waits[path] & left)
    return walk[seen[path] :]


def _reaching(circle: list[str], left: set[str], readers: dict[str, list[str]]) -> set[str]:
    """The circle and everything that waits for it."""
    found = set(circle)
    queue = deque(circle)
    while queue:
        for reader in readers[queue.popleft()]:
            if reader in left and reader not in found:
                found.add(reader)
                queue.append(reader)
    return found

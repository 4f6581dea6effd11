"""Rules on live data: their conditions checked with the tags of each asset, and told as the room analytics runs them."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.namespace.draft import Draft, DraftTag, note
from isthmus.namespace.formulas import symbol
from isthmus.namespace.model import Rule, RuleInstance
from isthmus.namespace.plantfile import Document, Spot, without_value
from isthmus.values.errors import ConfigError
from isthmus.values.expression import Expression, Symbol, compile_expression, window_of
from isthmus.values.plant.analytics import RuleSection
from isthmus.values.units import parse_unit

MAX_INSTANCES = 100_000


class Linker:
    """Compiles each rule once for every set of symbols its names stand for; what is wrong is noted where it stands."""

    def __init__(self, document: Document, draft: Draft) -> None:
        self._document, self._draft = document, draft
        self._found: dict[tuple[str, str], list[RuleInstance]] = {}

    def add(self, spot: Spot, kind: str, name: str, section: RuleSection, assets: list[str]) -> None:
        """One rule of a type with its assets, or of the plant with the asset "" alone."""
        if not section.when:
            return
        try:
            names = compile_expression(section.when, windows=True).names
        except ConfigError as error:
            note(self._document, (*spot, "when"), without_value(str(error)), section.when)
            return
        known: dict[str, Expression] = {}
        for asset in assets:
            inputs = self._inputs(names, asset)
            env = self._env(names, inputs)
            key = repr(sorted(env.items()))
            if key not in known:
                try:
                    known[key] = compile_expression(section.when, env, windows=True)
                except ConfigError as error:
                    where = f" (in asset {asset})" if asset else ""
                    note(self._document, (*spot, "when"), without_value(str(error)) + where, section.when)
                    return
                if known[key].type != "bool":
                    note(
                        self._document,
                        (*spot, "when"),
                        "must be true or false: compare it with something",
                        section.when,
                    )
                    return
            compiled = known[key]
            used = {n: inputs[_tag(n)] for n in compiled.names}
            edge = self._edge(spot, section, used)
            if edge is None:
                return
            paths = {n: tag.path for n, tag in used.items()}
            self._draft.rules.append(
                (
                    Rule(name, kind, compiled.resolved, section.hold, section.priority, section.message),
                    RuleInstance(asset, edge, {}),
                    paths,
                )
            )
        if len(self._draft.rules) > MAX_INSTANCES:
            note(self._document, spot, f"more than {MAX_INSTANCES:,} instances of rules", name)

    def _inputs(self, names: frozenset[str], asset: str) -> dict[str, DraftTag]:
        found = {}
        for name in {_tag(n) for n in names}:
            beside = f"{asset}/{name}" if asset else name
            tag = self._draft.tags.get(beside) or self._draft.tags.get(name)
            if tag is not None:
                found[name] = tag
        return found

    def _env(self, names: frozenset[str], inputs: Mapping[str, DraftTag]) -> dict[str, Symbol]:
        env: dict[str, Symbol] = {}
        for name in names:
            window, tag = window_of(name), inputs.get(_tag(name))
            if tag is None:
                continue
            own = symbol(tag)
            if window is None:
                env[name] = own
            elif own.type != "text":
                env[name] = Symbol("number", _unit(window.function, own.unit))
        return env

    def _edge(self, spot: Spot, section: RuleSection, used: Mapping[str, DraftTag]) -> str | None:
        edges = {tag.edge: tag.path for tag in used.values()}
        if len(edges) > 1:
            told = " and ".join(f"{path} (edge {edge})" for edge, path in sorted(edges.items())[:2])
            note(
                self._document,
                (*spot, "when"),
                f"reads {told}: a rule looks at one edge, whose clock it follows",
                section.when,
            )
            return None
        if not edges:
            note(self._document, (*spot, "when"), "reads no tag", section.when)
            return None
        return next(iter(edges))


def _tag(name: str) -> str:
    window = window_of(name)
    return window.tag if window is not None else name


def _unit(function: str, unit: str) -> str:
    """The unit of what a window gives."""
    if function == "count" or not unit:
        return "" if function != "rate" else "1/s"
    whole = parse_unit(unit)
    if function in {"stdev", "increase", "rate"} and whole.offset:
        whole = whole.difference
    if function == "rate":
        whole = whole.times(parse_unit("s"), -1)
    return whole.text

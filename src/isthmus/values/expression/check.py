"""Names, types and units of a parsed expression, and the program with everything put in that they call for.

Rules of units. Both sides of `+ - %`, of comparisons, and all choices of `min max clamp coalesce if` need the same
dimension and are told in the unit of the first of them that has one; a number without a unit fits any. `*` and `/`
combine units, and what cancels to no dimension becomes a plain number. Between two temperatures in °C the difference
is in K, and K added to or taken from °C is a difference.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from isthmus.values.errors import ConfigError
from isthmus.values.expression.parse import did_you_mean
from isthmus.values.expression.program import ExpressionError, Step, Symbol, Type
from isthmus.values.units import PLAIN, Unit, compatible, conversion, parse_unit

_VERBS: Final = {"+": "add", "-": "subtract", "%": "divide"}
_SENTENCES: Final = {"bool": "true or false", "number": "a number", "text": "a text", "any": "a value"}
_POWER_LIMIT: Final = 9


@dataclass(slots=True)
class Operand:
    """A value on the stack while checking: the steps that make it and what is known of it."""

    steps: list[Step]
    type: Type
    at: int
    unit: Unit = PLAIN
    states: dict[int, str] | None = None
    label: str = ""  # a bare word: it may be a state of what stands beside it
    name: str = "this"  # what to call it in a message

    def convert(self, to: Unit) -> None:
        """Adds the steps that tell it in another unit; a plain number takes the unit as it stands."""
        if self.unit.plain or to.plain:
            self.unit = to if self.unit.plain else self.unit
            return
        factor, offset = conversion(self.unit, to)
        self.scale(factor, offset)
        self.unit = to

    def scale(self, factor: float, offset: float = 0.0) -> None:
        """Adds the steps for ``value * factor + offset``; a constant is changed on the spot."""
        if (1 / factor).is_integer():  # dividing by 1000 rounds once, multiplying by 0.001 twice
            self._apply("/", 1 / factor, 1.0)
        else:
            self._apply("*", factor, 1.0)
        self._apply("+", offset, 0.0)

    def _apply(self, op: str, by: float, nothing: float) -> None:
        if by == nothing:
            return
        step = self.steps[0]
        if len(self.steps) == 1 and step.op == "const" and isinstance(step.value, int | float):
            value = {"*": step.value * by, "/": step.value / by, "+": step.value + by}[op]
            if not math.isfinite(value):
                raise ExpressionError(f"{step.value} is too large to convert", step.at)
            self.steps = [Step("const", value, at=step.at)]
        else:
            self.steps += [Step("const", by, at=self.at), Step(op, arity=2, at=self.at)]


def check(steps: list[Step], env: Mapping[str, Symbol] | None, unit: str | None) -> Operand:
    """The checked program, its type and unit; with ``unit`` the result is told in that unit.

    Raises: ExpressionError naming the column
    """
    checker = _Checker(env)
    stack: list[Operand] = []
    for step in steps:
        if step.op == "const":
            stack.append(_constant(step))
        elif step.op == "name":
            stack.append(checker.name(step))
        else:
            taken = stack[len(stack) - step.arity :]
            del stack[len(stack) - step.arity :]
            stack.append(checker.apply(step, taken))
    result = stack[0]
    checker.settle(result)
    if unit is not None:
        _declare(result, unit)
    return result


def _constant(step: Step) -> Operand:
    plain = Step("const", step.value, at=step.at)
    if isinstance(step.value, bool):
        return Operand([plain], "bool", step.at)
    if isinstance(step.value, str):
        return Operand([plain], "text", step.at)
    return Operand([plain], "number", step.at, parse_unit(step.unit), name=str(step.value))


def _declare(result: Operand, text: str) -> None:
    unit = parse_unit(text)
    if unit.plain:
        return
    if result.type in {"bool", "text"}:
        raise ExpressionError(f"the result is {_SENTENCES[result.type]} and cannot have the unit {text}", result.at)
    if not result.unit.plain and not compatible(result.unit, unit):
        raise ExpressionError(f"the result is in {result.unit.text}, which cannot be told in {text}", result.at)
    _refuse_mixed("tell", result, Operand([], "number", result.at, unit))
    result.convert(unit)


class _Checker:
    """Applies the rules of each operator and function."""

    def __init__(self, env: Mapping[str, Symbol] | None) -> None:
        self._env = env
        self._rules: dict[str, Callable[[Step, list[Operand]], Operand]] = {
            **dict.fromkeys(("and", "or", "not"), self._logic),
            **dict.fromkeys(("==", "!=", "in"), self._equal),
            **dict.fromkeys(("<", "<=", ">", ">="), self._order),
            **dict.fromkeys(("+", "-", "%"), self._sum),
            **dict.fromkeys(("*", "/"), self._product),
            **dict.fromkeys(("neg", "abs", "floor", "ceil"), self._keeps_unit),
            **dict.fromkeys(("exp", "log", "log10"), self._plain_only),
            **dict.fromkeys(("min", "max", "clamp"), self._alike_numbers),
            **dict.fromkeys(("is_good", "is_bad"), self._quality),
            "round": self._round,
            "**": self._power,
            "sqrt": self._root,
            "coalesce": self._alike,
            "if": self._choice,
            "bit": self._bit,
            "number": self._number,
        }

    def name(self, step: Step) -> Operand:
        name = str(step.value)
        plain = Step("name", name, at=step.at)
        if self._env is None:
            return Operand([plain], "any", step.at)
        symbol = self._env.get(name)
        if symbol is None:
            if step.quoted:
                raise self._unknown(name, step.at)
            return Operand([plain], "any", step.at, label=name)
        try:
            unit = parse_unit(symbol.unit)
        except ConfigError as error:
            raise ExpressionError(f"the unit of {name}: {error}", step.at) from None
        steps = [plain]
        if symbol.type == "bool":  # booleans travel as whole numbers
            steps += [Step("const", 0, at=step.at), Step("!=", arity=2, at=step.at)]
        label = name if symbol.states is None and not step.quoted else ""
        return Operand(steps, symbol.type, step.at, unit, symbol.states, label, name)

    def _unknown(self, name: str, at: int) -> ExpressionError:
        return ExpressionError(f"there is no tag {name}{did_you_mean(name, self._env or ())}", at)

    def settle(self, operand: Operand) -> None:
        """A bare word that was not taken as a state must be a name."""
        if operand.label and operand.type == "any":
            raise self._unknown(operand.label, operand.at)

    def apply(self, step: Step, taken: list[Operand]) -> Operand:
        if step.op in {"==", "!=", "in"}:
            self._states(taken)
        for operand in taken:
            self.settle(operand)
        try:
            return self._rules[step.op](step, taken)
        except ExpressionError:
            raise
        except ConfigError as error:  # from the algebra of units, which knows no columns
            raise ExpressionError(str(error), step.at) from None

    def _states(self, taken: list[Operand]) -> None:
        """Bare words and texts beside a value with states become its numbers."""
        with_states = next((o for o in taken if o.states), None)
        if with_states is None or with_states.states is None:
            return
        numbers = {text: number for number, text in with_states.states.items()}
        for operand in taken:
            only = operand.steps[0]
            text = str(only.value) if operand.type == "text" and only.op == "const" else operand.label
            if not text:
                continue
            if text in numbers and operand.label and operand.type != "any":
                raise ExpressionError(
                    f"{text} is both a tag and a state of {with_states.name}: write '{text}' for the state "
                    f"or {{{text}}} for the tag",
                    operand.at,
                )
            if text in numbers and abs(numbers[text]) < 2**63:
                operand.steps, operand.type, operand.label = [Step("const", numbers[text], at=operand.at)], "number", ""
            elif operand.type in {"any", "text"}:
                near = did_you_mean(text, numbers)
                raise ExpressionError(f"{text} is not a state of {with_states.name}{near}", operand.at)

    # --- rules -------------------------------------------------------------------------------------------------------

    def _logic(self, step: Step, taken: list[Operand]) -> Operand:
        for operand in taken:
            _need_truth(operand, step.op)
        return _joined(step, taken, "bool")

    def _equal(self, step: Step, taken: list[Operand]) -> Operand:
        _same_type(step.op, taken)
        _same_unit("compare", taken)
        return _joined(step, taken, "bool")

    def _order(self, step: Step, taken: list[Operand]) -> Operand:
        for operand in taken:
            _need(operand, "number", step.op)
        _same_unit("compare", taken)
        return _joined(step, taken, "bool")

    def _sum(self, step: Step, taken: list[Operand]) -> Operand:
        for operand in taken:
            _need(operand, "number", step.op)
        left, right = taken
        if step.op != "%" and _mixed(left, right) and (left.unit.offset or step.op == "+"):
            return self._moved(step, left, right)
        between = step.op == "-" and not left.unit.plain and not right.unit.plain
        _same_unit(_VERBS[step.op], taken)
        unit = left.unit
        joined = _joined(step, taken, "number", unit)
        if between and unit.offset:
            joined.scale(conversion(unit.times(PLAIN), unit.difference)[0])
            joined.unit = unit.difference
        return joined

    def _moved(self, step: Step, left: Operand, right: Operand) -> Operand:
        """A temperature and a difference of temperatures, or the same of pressures."""
        base, other = (left, right) if left.unit.offset else (right, left)
        _same_dimension(_VERBS[step.op], left, right)
        other.scale(conversion(other.unit, base.unit.times(PLAIN))[0])
        return _joined(step, [left, right], "number", base.unit)

    def _product(self, step: Step, taken: list[Operand]) -> Operand:
        for operand in taken:
            _need(operand, "number", step.op)
        left, right = taken
        if right.unit.plain:
            return _joined(step, taken, "number", left.unit)
        if left.unit.plain and step.op == "*":
            return _joined(step, taken, "number", right.unit)
        for operand in taken:
            if operand.unit.offset:
                raise ExpressionError(
                    f"a value in {operand.unit.text} has no zero to multiply from: take a difference, "
                    f"or write number(…) for the bare number",
                    operand.at,
                )
        unit = left.unit.times(right.unit, 1 if step.op == "*" else -1)
        joined = _joined(step, taken, "number", unit)
        if not left.unit.plain and not unit.dimension and not unit.shares:
            joined.scale(float(unit.factor * unit.share))
            joined.unit = PLAIN
        return joined

    def _keeps_unit(self, step: Step, taken: list[Operand]) -> Operand:
        _need(taken[0], "number", _called(step.op))
        return _joined(step, taken, "number", taken[0].unit)

    def _round(self, step: Step, taken: list[Operand]) -> Operand:
        if len(taken) > 1:
            digits = taken[1].steps[0]
            if digits.op != "const" or len(taken[1].steps) > 1 or digits.value not in range(10):
                raise ExpressionError("the digits of round must be a whole number from 0 to 9", taken[1].at)
        return self._keeps_unit(step, taken)

    def _plain_only(self, step: Step, taken: list[Operand]) -> Operand:
        _need(taken[0], "number", step.op)
        _need_plain(taken[0], step.op)
        return _joined(step, taken, "number")

    def _power(self, step: Step, taken: list[Operand]) -> Operand:
        base, exponent = taken
        for operand in taken:
            _need(operand, "number", "**")
        _need_plain(exponent, "an exponent")
        if base.unit.plain:
            return _joined(step, taken, "number")
        by = exponent.steps[0].value
        if len(exponent.steps) > 1 or exponent.steps[0].op != "const" or by not in range(1, _POWER_LIMIT + 1):
            raise ExpressionError(
                f"a value in {base.unit.text} can be raised to a whole number from 1 to {_POWER_LIMIT} only: "
                f"write number(…) for the bare number",
                exponent.at,
            )
        if base.unit.offset:
            _need_plain(base, "**")
        return _joined(step, taken, "number", base.unit.power(int(by)))

    def _root(self, step: Step, taken: list[Operand]) -> Operand:
        operand = taken[0]
        _need(operand, "number", "sqrt")
        parts = operand.unit.parts
        if any(n % 2 for _, n in parts):
            _need_plain(operand, "sqrt")
        unit = PLAIN
        for symbol, n in parts:
            unit = unit.times(parse_unit(symbol).power(n // 2))
        return _joined(step, taken, "number", unit)

    def _alike(self, step: Step, taken: list[Operand]) -> Operand:
        kind = _same_type(step.op, taken)
        _same_unit(f"use in one {step.op}", taken)
        joined = _joined(step, taken, kind, _unit_of(taken))
        joined.states = taken[0].states
        return joined

    def _alike_numbers(self, step: Step, taken: list[Operand]) -> Operand:
        for operand in taken:
            _need(operand, "number", step.op)
        return self._alike(step, taken)

    def _choice(self, step: Step, taken: list[Operand]) -> Operand:
        _need_truth(taken[0], "if")
        kind = _same_type("if", taken[1:])
        _same_unit("choose between", taken[1:])
        return _joined(step, taken, kind, _unit_of(taken[1:]))

    def _quality(self, step: Step, taken: list[Operand]) -> Operand:
        return _joined(step, taken, "bool")

    def _bit(self, step: Step, taken: list[Operand]) -> Operand:
        for operand in taken:
            _need(operand, "number", "bit")
        return _joined(step, taken, "bool")

    def _number(self, step: Step, taken: list[Operand]) -> Operand:
        operand = taken[0]
        if operand.type == "text":
            _need(operand, "number", "number")
        if len(taken) > 1:
            unit = taken[1].steps[0]
            if taken[1].type != "text" or len(taken[1].steps) > 1 or unit.op != "const":
                raise ExpressionError("the unit of number must be a text, as in number(pressure, 'bar')", taken[1].at)
            wanted = parse_unit(str(unit.value))
            if not operand.unit.plain and not compatible(operand.unit, wanted):
                raise ExpressionError(f"cannot tell {operand.unit.text} in {unit.value}", taken[1].at)
            operand.convert(wanted)
        return _joined(Step("number", arity=1, at=step.at), [operand], "number")


def _joined(step: Step, taken: list[Operand], kind: Type, unit: Unit = PLAIN) -> Operand:
    steps = taken[0].steps  # taken over and extended, so that a long chain costs what its steps cost
    for operand in taken[1:]:
        steps += operand.steps
    steps.append(Step(step.op, arity=len(taken), at=step.at))
    return Operand(steps, kind, step.at, unit)


def _called(op: str) -> str:
    return "-" if op == "neg" else op


def _need(operand: Operand, kind: Type, by: str) -> None:
    if operand.type not in {kind, "any"}:
        hint = ": write if(…, 1, 0) or number(…)" if (operand.type, kind) == ("bool", "number") else ""
        raise ExpressionError(
            f"{by} needs {_SENTENCES[kind]}, but {operand.name} is {_SENTENCES[operand.type]}{hint}", operand.at
        )


def _need_truth(operand: Operand, by: str) -> None:
    if operand.type == "number":
        raise ExpressionError(
            f"{by} needs true or false, but {operand.name} is a number: compare it with something", operand.at
        )
    _need(operand, "bool", by)


def _need_plain(operand: Operand, by: str) -> None:
    if not operand.unit.plain:
        raise ExpressionError(
            f"{by} of a value in {operand.unit.text} has no meaning: write number(…) for the bare number", operand.at
        )


def _same_type(by: str, taken: list[Operand]) -> Type:
    """The one type of all of them, "any" aside."""
    kind: Type = "any"
    for operand in taken:
        if kind == "any":
            kind = operand.type
        elif operand.type not in {kind, "any"}:
            raise ExpressionError(
                f"{by} needs values of one type, but {operand.name} is {_SENTENCES[operand.type]} beside "
                f"{_SENTENCES[kind]}",
                operand.at,
            )
    return kind


def _unit_of(taken: list[Operand]) -> Unit:
    return next((o.unit for o in taken if not o.unit.plain), PLAIN)


def _same_dimension(verb: str, left: Operand, right: Operand) -> None:
    if not compatible(left.unit, right.unit):
        word = "with" if verb == "compare" else "and"
        raise ExpressionError(f"cannot {verb} {left.unit.text} {word} {right.unit.text}", right.at)


def _mixed(a: Operand, b: Operand) -> bool:
    """Whether one counts from a zero of its own and the other does not."""
    return bool(a.unit.offset) != bool(b.unit.offset) and not a.unit.plain and not b.unit.plain


def _refuse_mixed(verb: str, first: Operand, other: Operand) -> None:
    if _mixed(first, other):
        raise ExpressionError(
            f"cannot {verb} {first.unit.text} and {other.unit.text}, because one of them counts from a zero of its "
            f"own: write both in one unit, or number(…, '{first.unit.text}') for the bare number",
            other.at,
        )


def _same_unit(verb: str, taken: list[Operand]) -> None:
    """Tells all in the unit of the first that has one."""
    first = next((o for o in taken if not o.unit.plain), None)
    if first is None:
        return
    for operand in taken:
        if not operand.unit.plain:
            _same_dimension(verb, first, operand)
            _refuse_mixed(verb, first, operand)
        operand.convert(first.unit)

"""The compiled expression: what rooms keep and run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from isthmus.values.expression.check import check
from isthmus.values.expression.evaluate import Column, Scalar, run
from isthmus.values.expression.parse import parse, write
from isthmus.values.expression.program import MAX_CHARS, MAX_RESOLVED_CHARS, ExpressionError, Step, Symbol, Type


@dataclass(frozen=True, slots=True)
class Expression:
    """A formula, interlock, alarm condition or KPI, ready to run.

    ``resolved`` is the same expression with state names as numbers and conversions of units written out: compiled
    without an environment it gives the same values, so that is what travels to an edge.
    """

    text: str
    resolved: str
    names: frozenset[str]  # inputs it needs, as written
    type: Type  # "any" only where compiled without an environment
    unit: str  # of the result; "" is a plain number
    steps: tuple[Step, ...]

    def evaluate(self, inputs: Mapping[str, Column], rows: int | None = None) -> Column:
        """One result per row. Never raises on values: what cannot be computed has a bad status.

        Shapes: every input (n,), result (n,); ``rows`` gives n where the expression needs no input (else 1)
        Raises: KeyError if an input is missing, ValueError if lengths differ: both are bugs of the caller
        Cost:   a few passes over each column per operator, about 50 µs for one row of `a + b > c`, 70 µs for a thousand
        """
        return run(self.steps, {name: inputs[name] for name in self.names}, rows)

    def evaluate_one(self, inputs: Mapping[str, tuple[Scalar, int]]) -> tuple[Scalar, int]:
        """As `evaluate` for a single row of values and statuses."""
        result = self.evaluate({name: Column.of([inputs[name][0]], [inputs[name][1]]) for name in self.names}, 1)
        return result.value[0].item() if result.value.dtype != np.object_ else result.value[0], int(result.status[0])


def compile_expression(
    text: str, env: Mapping[str, Symbol] | None = None, *, unit: str | None = None, windows: bool = False
) -> Expression:
    """The expression in a text. With ``env`` every name, type and unit is checked; with ``unit`` (that of the tag it
    computes) the result is told in that unit. With ``windows`` (rules) there are functions over a time, which ``names`` tells
    and ``env`` must know by the names of `Window.name`. Without ``env`` names may be anything and units are taken as they stand.

    Raises: ExpressionError (a ConfigError) naming the column and what would be right
    """
    steps = parse(text, MAX_RESOLVED_CHARS if env is None else MAX_CHARS, windows=windows)
    result = check(steps, env, unit)
    resolved = write(result.steps)
    try:
        parse(resolved, MAX_RESOLVED_CHARS)
    except ExpressionError as error:
        raise ExpressionError(f"written out with its conversions, {error.problem}", 0) from None
    return Expression(
        text=text,
        resolved=resolved,
        names=frozenset(str(s.value) for s in result.steps if s.op == "name"),
        type=result.type,
        unit=result.unit.text,
        steps=tuple(result.steps),
    )

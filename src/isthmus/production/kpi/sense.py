"""Whether a formula can have a value at all."""

from __future__ import annotations

import math
from dataclasses import replace

from isthmus.values.errors import ConfigError
from isthmus.values.expression import Expression

_DIVIDES = frozenset({"/", "%"})


def check_sense(expression: Expression) -> None:
    """A part that reads nothing must be a number, and nothing may be divided by one that is 0.

    A formula that is one number altogether is a constant that others may read, such as a price.
    Raises: ConfigError beginning with ``formula:``
    """
    if not expression.names and _constant(expression, 0, len(expression.steps)) is None:
        raise ConfigError("formula: it reads nothing of the plant and gives no number, so it never has a value")
    stack: list[tuple[int, bool]] = []  # where each value begins, and whether it reads nothing
    for at, step in enumerate(expression.steps):
        if step.op in {"const", "name"}:
            stack.append((at, step.op == "const"))
            continue
        taken = stack[len(stack) - step.arity :]
        del stack[len(stack) - step.arity :]
        if step.op in _DIVIDES and taken[-1][1] and not _constant(expression, taken[-1][0], at):
            raise ConfigError(f"formula: column {step.at + 1}: it divides by nothing, so it never has a value")
        stack.append((taken[0][0] if taken else at, all(same for _, same in taken)))


def _constant(expression: Expression, start: int, end: int) -> float | None:
    """The number that some steps give which read nothing; None where they give none."""
    part = replace(expression, steps=expression.steps[start:end], names=frozenset())
    value, code = part.evaluate_one({})
    known = isinstance(value, int | float) and not code >> 31 and math.isfinite(value)
    return float(value) if known else None

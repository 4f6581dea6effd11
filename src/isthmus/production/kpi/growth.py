"""How a formula grows with what it reads, told by its form alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from isthmus.values.expression import Expression
from isthmus.values.expression.program import Step

_KEEP: Final = frozenset({"neg", "abs", "round", "floor", "ceil", "number"})
_ALIKE: Final = frozenset({"+", "-", "%", "min", "max", "clamp", "coalesce"})
_PLAIN: Final = frozenset({"==", "!=", "<", "<=", ">", ">=", "in", "and", "or", "not", "is_good", "is_bad", "bit"})
_NOUGHT: Final = "nought"
"""Grows like whatever it is added to."""

_Degree = int | str | None


def degree(expression: Expression, of: Callable[[str], int | None]) -> int | None:
    """1 where twice as much of everything makes twice the value, 0 where it changes nothing; None where neither can be told.

    ``of`` tells it of a name. A number of its own, as in `planned_time - 3600`, grows with nothing, so the sum is neither.
    """
    stack: list[_Degree] = []
    for step in expression.steps:
        if step.op == "const":
            stack.append(_NOUGHT if step.value == 0 else 0)
        elif step.op == "name":
            stack.append(of(str(step.value)))
        else:
            taken = stack[len(stack) - step.arity :]
            del stack[len(stack) - step.arity :]
            stack.append(_applied(step, taken))
    found = stack[-1]
    return found if isinstance(found, int) else None


def _applied(step: Step, taken: list[_Degree]) -> _Degree:
    if step.op in _PLAIN:
        return 0
    if step.op in _KEEP:
        return taken[0]
    if step.op == "if":
        return _alike(taken[1:])
    if step.op in _ALIKE:
        return _alike(taken)
    numbers = [one for one in taken if isinstance(one, int)]
    if step.op in ("*", "/") and len(numbers) == len(taken):
        return numbers[0] + (numbers[1] if step.op == "*" else -numbers[1])
    if step.op in ("*", "/") and taken[0] == _NOUGHT:
        return _NOUGHT
    return (
        0 if numbers and numbers == [0] * len(taken) else None
    )  # powers, roots, logarithms: of what grows they tell nothing


def _alike(taken: list[_Degree]) -> _Degree:
    found = set(taken) - {_NOUGHT}
    return found.pop() if len(found) == 1 else None if found else _NOUGHT

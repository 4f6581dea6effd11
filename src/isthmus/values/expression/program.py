"""What a parsed expression is made of: steps for a machine with a stack, in the order it takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from isthmus.values.errors import ConfigError

MAX_CHARS: Final = 4_000
MAX_RESOLVED_CHARS: Final = 16_000
"""Conversions and spaces make what travels longer than what a person wrote."""
MAX_DEPTH: Final = 64
"""Levels one thing may stand inside another; a chain such as `a + b + c` is one level however long it is."""

Type = Literal["number", "bool", "text", "any"]
"""Types of values; "any" is a name nothing is known about."""

Constant = int | float | bool | str


class ExpressionError(ConfigError):
    """An expression is wrong; ``column`` counts characters from 1, ``problem`` is the message without the place."""

    def __init__(self, problem: str, at: int) -> None:
        super().__init__(f"column {at + 1}: {problem}")
        self.problem = problem
        self.column = at + 1


@dataclass(frozen=True, slots=True)
class Symbol:
    """What a name stands for. ``states`` are the texts of a state's numbers."""

    type: Literal["number", "bool", "text"]
    unit: str = ""
    states: dict[int, str] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step. ``op`` is "const" (pushes ``value``), "name" (pushes the input ``value``), or a function or operator
    that takes ``arity`` values off the stack and pushes its own. ``at`` is where it stands in the text, from 0.
    """

    op: str
    value: Constant = 0
    arity: int = 0
    at: int = 0
    unit: str = ""  # of a constant, as written
    quoted: bool = False  # a name in braces, or a unit in brackets

    def same(self, other: Step) -> bool:
        """Whether both do the same, wherever they stand."""
        return (self.op, type(self.value), self.value, self.arity) == (
            other.op,
            type(other.value),
            other.value,
            other.arity,
        )


BINARY: Final[dict[str, int]] = {
    "or": 10,
    "and": 20,
    "==": 40,
    "!=": 40,
    "<": 40,
    "<=": 40,
    ">": 40,
    ">=": 40,
    "in": 40,
    "+": 50,
    "-": 50,
    "*": 60,
    "/": 60,
    "%": 60,
    "**": 80,
}
"""Operators between two values and how strongly they bind."""

TERNARY: Final = 5
NOT: Final = 30
NEGATE: Final = 70
COMPARES: Final = 40

KEYWORDS: Final = frozenset({"and", "or", "not", "if", "else", "in", "true", "false"})

FUNCTIONS: Final[dict[str, tuple[int, int]]] = {
    "abs": (1, 1),
    "min": (1, 1_000),
    "max": (1, 1_000),
    "round": (1, 2),
    "floor": (1, 1),
    "ceil": (1, 1),
    "sqrt": (1, 1),
    "exp": (1, 1),
    "log": (1, 1),
    "log10": (1, 1),
    "pow": (2, 2),
    "clamp": (3, 3),
    "coalesce": (2, 1_000),
    "is_good": (1, 1),
    "is_bad": (1, 1),
    "bit": (2, 2),
    "if": (3, 3),
    "number": (1, 2),
}
"""Functions with the least and the most arguments."""

WINDOWS: Final = frozenset({"mean", "min", "max", "sum", "count", "stdev", "rate", "first", "last", "increase"})
"""Functions that look over a time, `mean(speed, 5 min)`; in rules only. `min` and `max` are both kinds."""

MAX_WINDOW_S: Final = 3_600
SHORT_WINDOW_S: Final = 300
"""Windows up to this long slide by a second, longer ones by LONG_STEP_S."""
LONG_STEP_S: Final = 10


@dataclass(frozen=True, slots=True)
class Window:
    """A function over the last ``seconds`` of a tag; ``name`` is what it is called as an input of an expression."""

    function: str
    tag: str
    seconds: int

    @property
    def name(self) -> str:
        return f"{self.function}({self.tag}, {self.seconds} s)"


def window_of(name: str) -> Window | None:
    """Inverse of ``Window.name``; None for the name of a tag."""
    function, _, rest = name.partition("(")
    tag, _, seconds = rest.rpartition(", ")
    if function not in WINDOWS or not seconds.endswith(" s)") or not seconds[:-3].isdigit():
        return None
    return Window(function, tag, int(seconds[:-3]))

"""From text to steps: a precedence-climbing parser, and its inverse, the writer."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from isthmus.values.errors import ConfigError
from isthmus.values.expression.program import (
    BINARY,
    COMPARES,
    FUNCTIONS,
    KEYWORDS,
    LONG_STEP_S,
    MAX_CHARS,
    MAX_DEPTH,
    MAX_WINDOW_S,
    NEGATE,
    NOT,
    SHORT_WINDOW_S,
    TERNARY,
    WINDOWS,
    ExpressionError,
    Step,
    Window,
    window_of,
)
from isthmus.values.units import convert, parse_unit

_COMPARISONS: Final = tuple(sign for sign, strength in BINARY.items() if strength == COMPARES)
_INT64_MAX: Final = 2**63 - 1
_NAME: Final = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_BARE: Final = re.compile(_NAME)
_TOKENS: Final = re.compile(
    rf"(?P<number>(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    rf"|(?P<name>{_NAME})"
    r"|\{(?P<braced>[^{}\n]*)\}"
    r"""|'(?P<single>[^'\n]*)'|"(?P<double>[^"\n]*)\""""
    r"|(?P<sign>\*\*|[=!<>]=|[-+*/%<>(),])"
)
_UNIT: Final = re.compile(
    r"[ \t]*(?:\[(?P<bracketed>[^\[\]\n]*)\]|(?P<word>°?[^\W\d_]+[0-9]?(?![\w.(])|[°‰Ω]"
    r"|%(?=\s*(?:$|[),=!<>]|(?:and|or|else|if(?!\s*\())\b))))"  # elsewhere % is the remainder
)
_SPACE: Final = re.compile(r"\s*")
_HINTS: Final = {
    "=": "write == to compare",
    "&": "write and",
    "|": "write or",
    "!": "write not, or != to compare",
    "^": "write ** for a power",
    "{": "a name in braces must be closed by }",
    "'": "a text must be closed by '",
    '"': 'a text must be closed by "',
    "[": "a unit in brackets stands behind a number, as in 5 [1/min]",
    ".": "a number or a name goes on both sides of a point",
    ";": "write , between arguments",
    "≤": "write <=",
    "≥": "write >=",
    "≠": "write !=",
    "×": "write *",
    "÷": "write /",
    "°": "a unit stands right behind a number, as in 5 °C",
}


@dataclass(frozen=True, slots=True)
class _Token:
    """``kind`` is number, name, braced, text, sign, or end; a keyword is a sign."""

    kind: str
    text: str
    at: int
    unit: str = ""

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else repr(self.text)


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = _skip(text, 0)
    while at < len(text):
        match = _TOKENS.match(text, at)
        if match is None:
            hint = _HINTS.get(text[at])
            raise ExpressionError(f"{text[at]!r} is not part of the language{f': {hint}' if hint else ''}", at)
        kind = str(match.lastgroup)
        word, end, unit = match[kind], match.end(), ""
        if kind == "number":
            end, unit = _unit_behind(text, end)
        elif kind == "name" and word in KEYWORDS:
            kind = "sign"
        elif kind in {"single", "double"}:
            kind = "text"
        found.append(_Token(kind, word, at, unit))
        at = _skip(text, end)
    found.append(_Token("end", "", len(text)))
    return found


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _unit_behind(text: str, at: int) -> tuple[int, str]:
    """Where a number's unit ends, and the unit; a keyword behind a number is none."""
    match = _UNIT.match(text, at)
    if match is None or match["word"] in KEYWORDS:
        return at, ""
    unit = match["bracketed"] if match["word"] is None else match["word"]
    try:
        parse_unit(unit)
    except ConfigError as error:
        raise ExpressionError(
            f"{error} (to multiply, write *)" if match["word"] else str(error), match.start()
        ) from None
    return match.end(), unit.strip()


def parse(text: str, limit: int = MAX_CHARS, *, windows: bool = False) -> list[Step]:
    """The steps of an expression of at most ``limit`` characters. With ``windows`` functions over a time are understood:
    each becomes an input of its own, named as `Window.name` says.

    Raises: ExpressionError naming the column
    Cost:   linear in the length of the text
    """
    if len(text) > limit:
        raise ExpressionError(f"an expression must be at most {limit} characters, was {len(text)}", limit)
    return _Parser(_tokens(text), windows).whole()


class _Parser:
    """Reads tokens; every method returns the steps of what it read."""

    def __init__(self, tokens: list[_Token], windows: bool) -> None:
        self._tokens, self._windows = tokens, windows
        self._index = 0
        self._depth = 0

    def whole(self) -> list[Step]:
        if self._here.kind == "end":
            raise ExpressionError("an expression must not be empty", 0)
        steps = self._expression(TERNARY)
        if self._here.kind != "end":
            raise self._unexpected()
        return steps

    @property
    def _here(self) -> _Token:
        return self._tokens[self._index]

    def _take(self) -> _Token:
        token = self._here
        self._index += 1
        return token

    def _is(self, *signs: str) -> bool:
        return self._here.kind == "sign" and self._here.text in signs

    def _expect(self, sign: str, why: str) -> None:
        if not self._is(sign):
            raise ExpressionError(f"expected {sign} {why}, found {self._here}", self._here.at)
        self._index += 1

    def _unexpected(self) -> ExpressionError:
        return ExpressionError(f"did not expect {self._here} here", self._here.at)

    def _expression(self, least: int) -> list[Step]:
        """As much as binds at least as strongly as ``least``."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionError(f"an expression must not nest deeper than {MAX_DEPTH} levels", self._here.at)
        left = self._operand(least)
        while self._here.kind == "sign" and self._continue(left, least):
            pass
        self._depth -= 1
        return left

    def _continue(self, left: list[Step], least: int) -> bool:
        """Takes the operator that comes next and what is right of it into ``left``, if it binds strongly enough."""
        sign, at = self._here.text, self._here.at
        if sign == "if" and least <= TERNARY:
            self._choice(left, at)
            return True
        if sign == "not" and least <= COMPARES:
            self._index += 1
            if not self._is("in"):
                raise ExpressionError("did not expect 'not' here: write and not, or or not", at)
            self._members(left)
            left.append(Step("not", arity=1, at=at))
            return True
        strength = BINARY.get(sign, 0)
        if strength < max(least, 1):
            return False
        if sign == "in":
            self._members(left)
            return True
        self._index += 1
        # a power's right side may carry a sign and another power; all others group to the left
        left += self._expression(NEGATE if sign == "**" else strength + 1)
        left.append(Step(sign, arity=2, at=at))
        if strength == COMPARES and self._is(*_COMPARISONS):
            raise ExpressionError("comparisons do not chain: write a < b and b < c", self._here.at)
        return True

    def _choice(self, left: list[Step], at: int) -> None:
        """`left if condition else other`, in the order of the function if(condition, left, other)."""
        self._index += 1
        condition = self._expression(TERNARY + 1)
        self._expect("else", "and what it is otherwise")
        other = self._expression(TERNARY)
        left[:] = [*condition, *left, *other, Step("if", arity=3, at=at)]

    def _members(self, left: list[Step]) -> None:
        at = self._take().at
        self._expect("(", "after in")
        members, count = self._arguments()
        left += members
        left.append(Step("in", arity=count + 1, at=at))

    def _arguments(self) -> tuple[list[Step], int]:
        """What stands between commas up to the closing parenthesis."""
        steps, count = self._expression(TERNARY), 1
        while self._is(","):
            self._index += 1
            steps += self._expression(TERNARY)
            count += 1
        self._expect(")", "or ,")
        return steps, count

    def _operand(self, least: int) -> list[Step]:
        """What an expression begins with: a value, a name, a call, parentheses, or a sign before one of these."""
        if self._is("-", "+"):
            return self._signed(least)
        if self._is("not") and least <= NOT:
            at = self._take().at
            return [*self._expression(NOT), Step("not", arity=1, at=at)]
        if self._is("not"):
            raise ExpressionError("put not and what it negates in parentheses here", self._here.at)
        if self._is("("):
            self._index += 1
            inside = self._expression(TERNARY)
            self._expect(")", "to close the parenthesis")
            return inside
        if self._is("if"):
            return self._call(self._take())
        return self._leaf()

    def _signed(self, least: int) -> list[Step]:
        token = self._take()
        inside = self._expression(NEGATE)
        return inside if token.text == "+" else [*inside, Step("neg", arity=1, at=token.at)]

    def _leaf(self) -> list[Step]:
        token = self._here
        if token.kind == "number":
            self._index += 1
            return [Step("const", _number(token), at=token.at, unit=token.unit)]
        if token.kind == "text":
            self._index += 1
            return [Step("const", token.text, at=token.at)]
        if self._is("true", "false"):
            self._index += 1
            return [Step("const", token.text == "true", at=token.at)]
        if token.kind == "braced":
            self._index += 1
            return [_braced(token)]
        if token.kind == "name":
            self._index += 1
            if self._is("("):
                return self._call(token)
            return [Step("name", token.text, at=token.at)]
        if token.kind == "end":
            raise ExpressionError("the expression ends where a value should come", token.at)
        raise self._unexpected()

    def _call(self, name: _Token) -> list[Step]:
        limits = FUNCTIONS.get(name.text)
        if limits is None and name.text in WINDOWS:
            if not self._windows:
                raise ExpressionError(
                    f"{name.text} looks over a time, which only rules can (docs/analytics.md)", name.at
                )
            limits = (2, 2)
        if limits is None:
            raise ExpressionError(f"there is no function {name.text}{did_you_mean(name.text, FUNCTIONS)}", name.at)
        self._expect("(", f"after {name.text}")
        if self._is(")"):
            raise ExpressionError(f"{name.text} needs something in its parentheses", self._here.at)
        steps, count = self._arguments()
        least, most = limits
        if not least <= count <= most:
            wanted = str(least) if least == most else f"{least} or more" if most > 2 else f"{least} or {most}"
            raise ExpressionError(f"{name.text} takes {wanted} arguments, found {count}", name.at)
        window = self._window(name, steps) if self._windows and name.text in WINDOWS else None
        if window is not None:
            return [Step("name", window.name, at=name.at, quoted=True)]
        if name.text == "pow":
            return [*steps, Step("**", arity=2, at=name.at)]
        return [*steps, Step(name.text, arity=count, at=name.at)]

    def _window(self, name: _Token, steps: list[Step]) -> Window | None:
        """`mean(speed, 5 min)`; None for a `min` or `max` that looks over no time."""
        fits = len(steps) == 2 and steps[0].op == "name" and steps[1].op == "const" and bool(steps[1].unit)
        if not fits:
            if name.text in FUNCTIONS:
                return None
            raise ExpressionError(f"{name.text} takes a tag and a time, as in {name.text}(speed, 5 min)", name.at)
        if window_of(str(steps[0].value)) is not None:
            raise ExpressionError(f"{name.text} takes a tag, not another window", name.at)
        try:
            seconds = convert(float(steps[1].value), steps[1].unit, "s")
        except ConfigError:
            raise ExpressionError(
                f"{name.text} takes a tag and a time, as in {name.text}(speed, 5 min)", steps[1].at
            ) from None
        step = 1 if seconds <= SHORT_WINDOW_S else LONG_STEP_S
        if not 1 <= seconds <= MAX_WINDOW_S or seconds % step:
            raise ExpressionError(
                "a window must be whole seconds up to 5 min, or whole tens of seconds up to 1 h", steps[1].at
            )
        return Window(name.text, str(steps[0].value), int(seconds))


def _number(token: _Token) -> int | float:
    if token.text.isdigit():
        whole = int(token.text)
        if whole > _INT64_MAX:
            raise ExpressionError(f"a whole number must be at most {_INT64_MAX}; write 1e20 for a larger one", token.at)
        return whole
    value = float(token.text)
    if math.isinf(value):
        raise ExpressionError("a number must be at most 1.8e308", token.at)
    return value


def _braced(token: _Token) -> Step:
    name = token.text.strip()
    if not name:
        raise ExpressionError("a name in braces must not be empty", token.at)
    return Step("name", name, at=token.at, quoted=True)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question that ends a message, or nothing where nothing is near."""
    choices = list(known)
    same = [c for c in choices if c.lower() == word.lower()]
    near = same or difflib.get_close_matches(word, choices, n=3, cutoff=0.6)
    return f": did you mean {' or '.join(near)}?" if near else ""


def write(steps: Iterable[Step]) -> str:
    """The expression as text, with no more parentheses than needed; `parse` reads it back to the same steps."""
    stack: list[tuple[str, int]] = []
    for step in steps:
        if step.op == "const":
            stack.append(_written_constant(step))
        elif step.op == "name":
            name = str(step.value)
            bare = _BARE.fullmatch(name) and name not in KEYWORDS
            stack.append((name if bare else f"{{{name}}}", 100))
        else:
            taken = stack[len(stack) - step.arity :]
            del stack[len(stack) - step.arity :]
            stack.append(_written(step.op, taken))
    return stack[-1][0]


def _written_constant(step: Step) -> tuple[str, int]:
    value = step.value
    if isinstance(value, bool):
        return ("true" if value else "false"), 100
    if isinstance(value, str):
        return (f'"{value}"' if "'" in value else f"'{value}'"), 100
    unit = f" [{step.unit}]" if step.unit else ""
    written = repr(value)
    return written + unit, NEGATE if written[0] == "-" else 100


def _written(op: str, taken: list[tuple[str, int]]) -> tuple[str, int]:
    def inside(index: int, least: int) -> str:
        text, strength = taken[index]
        return text if strength >= least else f"({text})"

    if op == "neg":
        return f"-{inside(0, NEGATE)}", NEGATE
    if op == "not":
        return f"not {inside(0, NOT)}", NOT
    if op == "in":
        members = ", ".join(text for text, _ in taken[1:])
        return f"{inside(0, COMPARES + 1)} in ({members})", COMPARES
    if op == "**":
        return f"{inside(0, 81)} ** {inside(1, NEGATE)}", 80
    strength = BINARY.get(op)
    if strength is None:
        return f"{op}({', '.join(text for text, _ in taken)})", 100
    left = strength + 1 if strength == COMPARES else strength
    return f"{inside(0, left)} {op} {inside(1, strength + 1)}", strength

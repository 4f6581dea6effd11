"""Fills `{…}` in address templates from an asset's parameters: `hr {base+2} float32`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from isthmus.namespace.plantfile import did_you_mean
from isthmus.values.errors import ConfigError

_HOLE = re.compile(r"\{([^{}]*)\}")
_PART = re.compile(r"\s*(?:(?P<number>[0-9]{1,12})|(?P<name>[A-Za-z][A-Za-z0-9_]*)|(?P<sign>[-+*()]))")
_MAX_PARTS = 40
_OPERATORS: dict[str, tuple[int, Callable[[int, int], int]]] = {
    "+": (1, operator.add),
    "-": (1, operator.sub),
    "*": (2, operator.mul),
}

Step = int | str | Callable[[int, int], int]


@dataclass(frozen=True, slots=True)
class _Hole:
    """What stands in braces: steps for a stack of whole numbers, names among them."""

    text: str
    steps: tuple[Step, ...]

    def value(self, parameters: Mapping[str, int | str]) -> str:
        """Raises: ConfigError if a name is no parameter, or a text is computed with"""
        alone = parameters.get(self.text)
        if alone is not None:
            return str(alone)
        stack: list[int] = []
        for step in self.steps:
            if isinstance(step, int):
                stack.append(step)
            elif isinstance(step, str):
                stack.append(self._number(step, parameters))
            else:
                right = stack.pop()
                stack.append(step(stack.pop(), right))
        return str(stack[0])

    def _number(self, name: str, parameters: Mapping[str, int | str]) -> int:
        value = parameters.get(name)
        if value is None:
            raise _wrong(self.text, f"{name} is not among the asset's `with`{did_you_mean(name, parameters)}")
        if not isinstance(value, int):
            raise _wrong(self.text, f"{name} is a text and cannot be computed with")
        return value


def fill(template: str, parameters: Mapping[str, int | str]) -> str:
    """The address with every `{…}` computed: parameters, whole numbers, + - * and brackets.

    Raises: ConfigError naming the hole and the problem
    """
    return "".join(p if isinstance(p, str) else p.value(parameters) for p in _parsed(template))


@lru_cache(4096)
def _parsed(template: str) -> tuple[str | _Hole, ...]:
    texts = _HOLE.split(template)
    return tuple(_hole(text.strip()) if i % 2 else text for i, text in enumerate(texts))


def _wrong(text: str, problem: str) -> ConfigError:
    return ConfigError(f"{{{text}}}: {problem}")


def _split(text: str) -> list[tuple[str, str]]:
    """Kind and word of each part."""
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(text):
        match = _PART.match(text, at)
        if match is None:
            raise _wrong(text, "only names of the asset's `with`, whole numbers, + - * and brackets are understood")
        kind = str(match.lastgroup)
        found.append((kind, match[kind]))
        at = match.end()
    if not 0 < len(found) <= _MAX_PARTS:
        raise _wrong(text, f"must have 1 to {_MAX_PARTS} parts")
    return found


def _hole(text: str) -> _Hole:
    """Products before sums, from left to right."""
    steps: list[Step] = []
    waiting: list[str] = []
    value_next = True
    for kind, word in _split(text):
        if value_next != (kind in {"number", "name"} or word == "("):
            raise _wrong(text, f"{word} is at the wrong place")
        if kind == "number":
            steps.append(int(word))
        elif kind == "name":
            steps.append(word)
        elif word == "(":
            waiting.append(word)
            continue
        elif word == ")":
            while waiting and waiting[-1] != "(":
                steps.append(_OPERATORS[waiting.pop()][1])
            if not waiting:
                raise _wrong(text, "a bracket is closed that was not opened")
            waiting.pop()
            continue
        else:
            while waiting and waiting[-1] != "(" and _OPERATORS[waiting[-1]][0] >= _OPERATORS[word][0]:
                steps.append(_OPERATORS[waiting.pop()][1])
            waiting.append(word)
        value_next = not value_next
    if value_next or "(" in waiting:
        raise _wrong(text, "something is missing at the end")
    steps.extend(_OPERATORS[word][1] for word in reversed(waiting))
    return _Hole(text, tuple(steps))

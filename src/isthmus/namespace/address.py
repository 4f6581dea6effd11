"""Fills `{…}` in address templates from an asset's parameters: `hr {base+2} float32`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from isthmus.namespace.plantfile import did_you_mean
from isthmus.values.errors import ConfigError

_HOLE = re.compile(r"\{([^{}]*)\}")
_PART = re.compile(r"\s*(?:(?P<number>[0-9]{1,12})|(?P<name>[A-Za-z][A-Za-z0-9_]*)|(?P<sign>[-+*()]))")
_MAX_PARTS = 40


def fill(template: str, parameters: Mapping[str, int | str]) -> str:
    """The address with every `{…}` computed: parameters, whole numbers, + - * and brackets.

    Raises: ConfigError naming the hole and the problem
    """

    def one(match: re.Match[str]) -> str:
        inside = match[1].strip()
        value = parameters.get(inside)
        if value is not None:
            return str(value)
        return str(_Sum(inside, parameters).value())

    return _HOLE.sub(one, template)


class _Sum:
    """A sum of products, read from left to right."""

    def __init__(self, text: str, parameters: Mapping[str, int | str]) -> None:
        self._text, self._parameters = text, parameters
        self._parts = self._split()
        self._at = 0

    def value(self) -> int:
        found = self._sum()
        if self._at < len(self._parts):
            raise self._wrong(f"{self._parts[self._at]!r} is one too many")
        return found

    def _wrong(self, problem: str) -> ConfigError:
        return ConfigError(f"{{{self._text}}}: {problem}")

    def _split(self) -> list[str]:
        parts: list[str] = []
        at = 0
        while at < len(self._text.rstrip()):
            match = _PART.match(self._text, at)
            if match is None:
                raise self._wrong("only names of the asset's `with`, whole numbers, + - * and brackets are understood")
            parts.append(match[match.lastgroup or 0])
            at = match.end()
        if len(parts) > _MAX_PARTS:
            raise self._wrong(f"has more than {_MAX_PARTS} parts")
        return parts

    def _next(self) -> str:
        word = self._parts[self._at] if self._at < len(self._parts) else ""
        self._at += 1
        return word

    def _peek(self) -> str:
        return self._parts[self._at] if self._at < len(self._parts) else ""

    def _sum(self) -> int:
        total = self._product()
        while self._peek() in {"+", "-"} and self._peek():
            total += self._product() if self._next() == "+" else -self._product()
        return total

    def _product(self) -> int:
        total = self._factor()
        while self._peek() == "*":
            self._next()
            total *= self._factor()
        return total

    def _factor(self) -> int:
        word = self._next()
        if word == "(":
            inside = self._sum()
            if self._next() != ")":
                raise self._wrong("a bracket is not closed")
            return inside
        if word == "-":
            return -self._factor()
        if word.isdigit():
            return int(word)
        if not word or word in ")+*":
            raise self._wrong("something is missing")
        value = self._parameters.get(word)
        if value is None:
            raise self._wrong(f"{word} is not among the asset's `with`{did_you_mean(word, self._parameters)}")
        if not isinstance(value, int):
            raise self._wrong(f"{word} is a text and cannot be computed with")
        return value

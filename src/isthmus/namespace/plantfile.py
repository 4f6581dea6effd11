"""Reads the plant file: YAML 1.2 with the place of every key and value, then sections as their dataclasses say.

The text itself is kept as it came, so that comments and layout survive; nothing is ever written back from the values.
"""

from __future__ import annotations

import difflib
import math
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from isthmus.values.errors import ConfigError, Finding, Findings
from isthmus.values.plant.namespace import PlantFile
from isthmus.values.schema import arms, members, rest_field, rest_hint, scalar_of, short_field, words

MAX_FILE_BYTES = 4_000_000
MAX_DEPTH = 24
MAX_VALUES = 1_000_000  # values after aliases were followed; a file of the greatest size has fewer without them
MAX_FINDINGS = 200
MAX_SHOWN_CHARS = 60

Spot = tuple[str, ...]
"""A place in the document by its keys; list items by their number."""


class Report:
    """What was found wrong with a document, up to a bound; the rest is counted."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.errors: list[Finding] = []
        self.warnings: list[Finding] = []
        self._more = {"error": 0, "warning": 0}

    def add(
        self,
        problem: str,
        *,
        path: str = "",
        value: str = "",
        line: int = 0,
        column: int = 0,
        where: str = "",
        warning: bool = False,
    ) -> None:
        """Notes one finding."""
        severity = "warning" if warning else "error"
        found = self.warnings if warning else self.errors
        if len(found) >= MAX_FINDINGS:
            self._more[severity] += 1
            return
        found.append(Finding(severity, where or self.where, line, column, path, problem, _shown(value)))

    def check(self) -> None:
        """Raises: Findings in the order of the document, if there was any error"""
        if self.errors:
            raise Findings(self.ordered("error"))

    def ordered(self, severity: str) -> tuple[Finding, ...]:
        """The errors or the warnings in the order of the document, files beside it last."""
        noted = self.errors if severity == "error" else self.warnings
        found = sorted(dict.fromkeys(noted), key=lambda f: (f.where != self.where, f.where, f.line, f.column))
        if self._more[severity]:
            found.append(Finding(severity, self.where, 0, 0, "", f"and {self._more[severity]} more {severity}s"))
        return tuple(found)


def _shown(value: str) -> str:
    """Fit for a line on a terminal."""
    value = value if value.isprintable() else repr(value)[1:-1]
    return value if len(value) <= MAX_SHOWN_CHARS else value[:MAX_SHOWN_CHARS] + "…"


@dataclass(slots=True, eq=False)
class Node:
    """A value of the document and where it stands. Units: line, column count from 1; start, stop are characters"""

    value: Any  # None, bool, int, float or str; dict[str, Node]; list[Node]
    line: int
    column: int
    start: int
    stop: int
    text: str = ""  # a scalar as written
    flow: bool = False  # a collection in braces or brackets
    keys: dict[str, Node] | None = None  # of a mapping
    size: int = 1
    depth: int = 1


def decode(data: bytes, where: str) -> str:
    """The text of a file.

    Raises: Findings if it is too large or not UTF-8, naming the byte
    """
    report = Report(where)
    if len(data) > MAX_FILE_BYTES:
        report.add(
            f"larger than {MAX_FILE_BYTES // 1_000_000} MB; put long tag lists into CSV files beside it (tag_files)",
            value=f"{len(data) / 1e6:.1f} MB",
        )
        report.check()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start]
        report.add(
            f"byte {error.start + 1} is not UTF-8; save the file as UTF-8",
            line=before.count(b"\n") + 1,
            column=error.start - (before.rfind(b"\n") + 1) + 1,
            value=f"0x{data[error.start]:02X}",
        )
        report.check()
        raise  # not reached: the report holds an error


class Document:
    """A parsed text: its tree of values and the places they stand at.

    Raises: Findings if the text is no YAML, too large, too deep, or one mapping has a key twice
    """

    def __init__(self, text: str, where: str) -> None:
        self.text = text
        self.where = where
        self.report = Report(where)
        self.root = Node({}, 1, 1, 0, 0, keys={})
        self._check_size()
        try:
            _Builder(self).build()
        except MarkedYAMLError as error:
            self._not_yaml(error)
        except ReaderError as error:
            self._bad_character(error)
        except (ValueError, TypeError, AttributeError, IndexError, KeyError, AssertionError) as error:
            # the parser trips over some malformed texts with bare errors of Python
            self.report.add(f"is not YAML: {error}")
        self.report.check()

    def _check_size(self) -> None:
        try:
            size = len(self.text.encode())
        except UnicodeEncodeError as error:
            before = self.text[: error.start]
            self.report.add(
                "not a character of Unicode",
                line=before.count("\n") + 1,
                column=error.start - before.rfind("\n"),
                value=f"U+{ord(self.text[error.start]):04X}",
            )
            size = 0
        if size > MAX_FILE_BYTES:
            self.report.add(
                f"larger than {MAX_FILE_BYTES // 1_000_000} MB; put long tag lists into CSV files beside it (tag_files)",
                value=f"{size / 1e6:.1f} MB",
            )
        self.report.check()

    def _not_yaml(self, error: MarkedYAMLError) -> None:
        mark = error.problem_mark or error.context_mark
        problem = str(error.problem or error.context)
        if "'\\t'" in problem:
            problem = "a tab in front of a value; indent with spaces"
        elif error.context and error.problem:
            problem = f"{error.context}: {error.problem}"
        line = (mark.line if mark else 0) + 1
        lines = self.text.splitlines()
        self.report.add(
            f"is not YAML: {problem}",
            line=line,
            column=(mark.column if mark else 0) + 1,
            value=lines[line - 1].strip() if line <= len(lines) else "",
        )

    def _bad_character(self, error: ReaderError) -> None:
        before = self.text[: error.position]
        self.report.add(
            "a character that may not stand in a text file",
            line=before.count("\n") + 1,
            column=error.position - before.rfind("\n"),
            value=f"U+{error.character:04X}" if isinstance(error.character, int) else str(error.character),
        )

    def find(self, spot: Spot) -> Node | None:
        """The value at a place, if there is one."""
        node = self.root
        for key in spot:
            inside = node.value
            if isinstance(inside, dict) and key in inside:
                node = inside[key]
            elif isinstance(inside, list) and key.isdigit() and int(key) < len(inside):
                node = inside[int(key)]
            else:
                return None
        return node

    def error(
        self, spot: Spot, problem: str, value: str | None = None, *, key: bool = False, warning: bool = False
    ) -> None:
        """Notes a finding at a place, or at the nearest place above it that is written down."""
        reached = len(spot)
        while (node := self.find(spot[:reached])) is None:
            reached -= 1
        at = node
        if key and reached:
            above = self.find(spot[: reached - 1])
            at = (above.keys or {}).get(spot[reached - 1], node) if above else node
        if value is None:
            value = node.text if reached == len(spot) and not key else ""
        self.report.add(problem, path=".".join(spot), value=value, line=at.line, column=at.column, warning=warning)


_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]{1,100}\Z|0o[0-7]{1,100}\Z|0x[0-9a-fA-F]{1,100}\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_SPECIAL = {".inf": math.inf, ".nan": math.nan}  # never welcome anywhere; the sign does not matter
_STRING_TAG = "tag:yaml.org,2002:str"


def plain_scalar(text: str) -> Any:
    """What an unquoted scalar stands for. Source: YAML 1.2.2 section 10.3.2 (core schema)"""
    if text in _NULL:
        return None
    if text in _TRUTH:
        return _TRUTH[text]
    if _INT.match(text):
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.match(text):
        return float(text)
    return _SPECIAL.get(text.lstrip("+-").lower(), text) if "." in text[:2] else text


@dataclass(slots=True)
class _Open:
    """A collection whose end was not seen yet."""

    node: Node
    anchor: str | None
    key: Node | None = None


class _Builder:
    """Builds the tree from parser events, without recursion; an alias shares the node it names."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._report = document.report
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._path: list[str] = []
        self._documents = 0

    def build(self) -> None:
        parser = YAML(typ="safe", pure=True)
        for event in parser.parse(self._document.text):
            if isinstance(event, DocumentStartEvent):
                self._documents += 1
                if self._documents > 1:
                    self._at(event, "one file holds one document; this begins a second one")
                    return
            elif isinstance(event, NodeEvent):
                self._node(event)
            elif isinstance(event, CollectionEndEvent):
                self._close(event)
            if self._report.errors and len(self._stack) > MAX_DEPTH:
                return

    def _at(self, event: Any, problem: str, value: str = "") -> None:
        mark = event.start_mark
        self._report.add(problem, line=mark.line + 1, column=mark.column + 1, path=self._here(), value=value)

    def _here(self) -> str:
        return ".".join(o.key.text for o in self._stack if o.key is not None)

    def _node(self, event: Any) -> None:
        mark, end = event.start_mark, event.end_mark
        if isinstance(event, AliasEvent):
            known = self._anchors.get(event.anchor)
            if known is None:
                self._at(event, "no anchor of this name comes before it", f"*{event.anchor}")
                known = Node(None, mark.line + 1, mark.column + 1, mark.index, end.index)
            self._put(known, event)
            return
        node = Node(None, mark.line + 1, mark.column + 1, mark.index, end.index)
        if isinstance(event, ScalarEvent):
            node.text = event.value
            plain = event.style is None and event.tag is None and event.implicit[0]
            node.value = plain_scalar(event.value) if plain else event.value
            if event.tag is not None and event.tag not in (_STRING_TAG, "!"):
                self._at(event, "YAML tags are not used here", str(event.tag))
            if event.anchor:
                self._anchors[event.anchor] = node
            self._put(node, event)
            return
        if event.tag is not None:
            self._at(event, "YAML tags are not used here", str(event.tag))
        node.flow = bool(event.flow_style)
        if isinstance(event, MappingStartEvent):
            node.value, node.keys = {}, {}
        elif isinstance(event, SequenceStartEvent):
            node.value = []
        if len(self._stack) >= MAX_DEPTH:
            self._at(event, f"nested deeper than {MAX_DEPTH} levels")
        self._stack.append(_Open(node, event.anchor))

    def _close(self, event: Any) -> None:
        done = self._stack.pop()
        node = done.node
        node.stop = event.end_mark.index if node.flow else self._last_stop(node)
        if done.anchor:
            self._anchors[done.anchor] = node
        self._put(node, event)

    @staticmethod
    def _last_stop(node: Node) -> int:
        inside = list(node.value.values()) if isinstance(node.value, dict) else node.value
        return inside[-1].stop if inside else node.start

    def _put(self, node: Node, event: Any) -> None:
        if not self._stack:
            self._document.root = node
            return
        above = self._stack[-1]
        parent = above.node
        if isinstance(parent.value, list):
            parent.value.append(node)
        elif above.key is None:
            self._key(above, node, event)
            return
        else:
            key, above.key = above.key, None
            if key.text in parent.value:
                first = (parent.keys or {})[key.text]
                self._report.add(
                    f"this key stands here twice, first in line {first.line}",
                    line=key.line,
                    column=key.column,
                    path=".".join(filter(None, [self._here(), key.text])),
                    value=key.text,
                )
            else:
                parent.value[key.text] = node
                typing.cast("dict[str, Node]", parent.keys)[key.text] = key
        parent.size += node.size
        parent.depth = max(parent.depth, node.depth + 1)
        if parent.size > MAX_VALUES:
            raise MarkedYAMLError(
                problem=f"more than {MAX_VALUES} values once its aliases are followed", problem_mark=event.start_mark
            )
        if len(self._stack) + parent.depth > MAX_DEPTH + 1 and isinstance(event, AliasEvent):
            self._at(event, f"nested deeper than {MAX_DEPTH} levels")

    def _key(self, above: _Open, node: Node, event: Any) -> None:
        if not isinstance(node.value, dict | list):
            if node.text == "<<" and node.value == "<<":
                self._at(event, "merge keys are no part of YAML 1.2; types can extend each other (extends)", "<<")
            above.key = node
            return
        self._at(event, "a key must be a plain text or number")
        above.key = Node("?", node.line, node.column, node.start, node.stop, text="?")


_BAD = object()
"""Stands for a value that was refused."""


class SectionReader:
    """Turns the tree into sections; what is refused is noted with its place, and reading goes on."""

    def __init__(self, document: Document) -> None:
        self._document = document

    def read(self, hint: Any, node: Node, spot: Spot) -> Any:
        """The value as its hint says; None where it was refused."""
        found = self._read(hint, node, spot)
        return None if found is _BAD else found

    def _refuse(self, spot: Spot, problem: str) -> Any:
        self._document.error(spot, problem)
        return _BAD

    def _read(self, hint: Any, node: Node, spot: Spot) -> Any:
        fitting = [arm for arm in arms(hint) if _fits(arm, node)]
        if node.value is None and type(None) in typing.get_args(hint):
            return None
        if not fitting:
            return self._refuse(spot, f"must be {words(hint)}")
        for arm in fitting[:-1]:
            if _is_scalar(node):
                value = self._scalar(arm, node, None)
                if value is not _BAD:
                    return value
        return self._one(fitting[-1], node, spot)

    def _one(self, hint: Any, node: Node, spot: Spot) -> Any:
        if _is_scalar(node) and not _section(hint) and typing.get_origin(hint) not in {dict, tuple}:
            return self._scalar(hint, node, spot)
        origin, args = typing.get_origin(hint), typing.get_args(hint)
        if _section(hint):
            return self._section(hint, node, spot)
        if origin is dict:
            return {} if node.value is None else self._mapping(args[0], args[1], node, spot)
        if origin is tuple:
            return () if node.value is None else self._list(args, node, spot)
        return plain_data(node)

    def _scalar(self, hint: Any, node: Node, spot: Spot | None) -> Any:
        try:
            return read_scalar(hint, node.value, node.text)
        except (ConfigError, ValueError) as error:
            return _BAD if spot is None else self._refuse(spot, without_value(str(error)))

    def _mapping(self, key_hint: Any, hint: Any, node: Node, spot: Spot) -> dict[Any, Any]:
        found = {}
        for text, value in node.value.items():
            here = (*spot, text)
            try:
                key = read_scalar(key_hint, text, text)
            except (ConfigError, ValueError) as error:
                self._document.error(here, without_value(str(error)), text, key=True)
                key = text
            if key in found:
                self._document.error(here, "means the same as a key before it", text, key=True)
            one = self._read(hint, value, here)
            # a refused section stays known by its name, so that what refers to it is not refused as well
            if one is not _BAD:
                found[key] = one
            elif _section(hint):
                found[key] = _blank(hint)
        return found

    def _list(self, args: tuple[Any, ...], node: Node, spot: Spot) -> Any:
        if args[-1] is not Ellipsis and len(node.value) != len(args):
            return self._refuse(spot, f"must be a list of {len(args)}")
        hints = [args[0]] * len(node.value) if args[-1] is Ellipsis else args
        found = [
            self._read(hint, value, (*spot, str(i)))
            for i, (hint, value) in enumerate(zip(hints, node.value, strict=True))
        ]
        if args[-1] is Ellipsis:
            return tuple(value for value in found if value is not _BAD)
        return _BAD if _BAD in found else tuple(found)

    def _section(self, section: Any, node: Node, spot: Spot) -> Any:
        known, rest, short = members(section), rest_field(section), short_field(section)
        if short and _is_scalar(node):
            value = self._read(known[short].hint, node, spot)
            return _BAD if value is _BAD else self._build(section, {known[short].name: value}, spot)
        if node.value is None:
            node = Node({}, node.line, node.column, node.start, node.stop, keys={})
        said: dict[str, Any] = {}
        others: dict[str, Any] = {}
        for key, value in node.value.items():
            here = (*spot, key)
            member = known.get(key)
            if member is not None:
                one = self._read(member.hint, value, here)
                said[member.name] = None if one is _BAD else one
                if one is _BAD and not member.required:
                    said[member.name] = member.default
            elif rest:
                one = self._read(rest_hint(section), value, here)
                if one is not _BAD:
                    others[key] = one
            else:
                self._document.error(here, "not known here" + did_you_mean(key, known), key, key=True)
        missing = [key for key, m in known.items() if m.required and key not in node.value]
        for key in missing:
            self._document.error(spot, f"{key} is missing", "", key=bool(spot))
            said[known[key].name] = None
        if rest:
            said[rest] = others
        return self._build(section, said, spot)

    def _build(self, section: Any, said: Mapping[str, Any], spot: Spot) -> Any:
        try:
            return section(**said)
        except ConfigError as error:
            problem = str(error)
            key = problem.split(":", 1)[0]
            if key in members(section):
                self._document.error((*spot, key), without_value(problem.split(": ", 1)[1]))
            else:
                self._document.error(spot, without_value(problem))
        except TypeError:
            if (
                None not in said.values()
            ):  # else a value was refused before, and the section's own check stumbled over it
                raise
        return _BAD


def _blank(section: Any) -> Any:
    """A section with nothing said, standing in for a refused one."""
    return section(**{m.name: m.default for m in members(section).values()})


def _section(hint: Any) -> bool:
    return is_dataclass(hint) and isinstance(hint, type)


def _is_scalar(node: Node) -> bool:
    return not isinstance(node.value, dict | list)


def _fits(hint: Any, node: Node) -> bool:
    """Whether the form (scalar, mapping, list) is the one the hint wants."""
    if hint is Any:
        return True
    origin = typing.get_origin(hint)
    if _section(hint):
        return isinstance(node.value, dict) or node.value is None or (bool(short_field(hint)) and _is_scalar(node))
    if scalar_of(hint) is not None:
        return _is_scalar(node) and node.value is not None
    if origin is dict:
        return isinstance(node.value, dict) or node.value is None
    if origin is tuple:
        return isinstance(node.value, list) or (node.value is None and typing.get_args(hint)[-1] is Ellipsis)
    return _is_scalar(node) and node.value is not None


def read_scalar(hint: Any, value: Any, text: str) -> Any:
    """A scalar as its hint says.

    Raises: ConfigError or ValueError naming the problem
    """
    scalar = scalar_of(hint)
    if scalar is not None:
        return scalar.read(text)
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        return read_scalar(typing.get_args(hint)[0], value, text)
    if origin is typing.Literal:
        if text in typing.get_args(hint):
            return text
        raise ConfigError(f"must be {words(hint)}{did_you_mean(text, typing.get_args(hint))}")
    if hint is str:
        return text
    if hint is bool and isinstance(value, bool):
        return value
    if hint is int and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return value
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if hint is Any and (not isinstance(value, int | float) or (math.isfinite(value) and abs(value) < 2**63)):
        return value
    raise ConfigError(f"must be {words(hint)}")


def did_you_mean(word: str, known: Any) -> str:
    """A hint at the nearest known word; all of them when they are few and none is near."""
    choices = [str(k) for k in known]
    near = difflib.get_close_matches(word.lower(), [c.lower() for c in choices], 1, 0.6)
    if near:
        best = next(c for c in choices if c.lower() == near[0])
        return f"; did you mean {best}?"
    if 0 < len(choices) <= 24:
        return f"; known are {', '.join(sorted(choices))}"
    return ""


def without_value(problem: str) -> str:
    """An error text without the value at its end, which a finding shows by itself."""
    return problem.rsplit(", was ", 1)[0]


def plain_data(node: Node) -> Any:
    """The value as plain Python data."""
    if isinstance(node.value, dict):
        return {key: plain_data(value) for key, value in node.value.items()}
    if isinstance(node.value, list):
        return [plain_data(value) for value in node.value]
    return node.value


def named_files(text: str, where: str) -> tuple[str, ...]:
    """Names of the tag lists and scripts a plant file refers to, for whoever has to bring them along.

    Raises: Findings if the text is no plant file
    """
    document = Document(text, where)
    file = read_plant_file(document)
    document.report.check()
    if file is None:
        return ()
    names = [listed.file for listed in file.tag_files]
    names += [asset.tags.file for asset in file.assets.values() if asset.tags.file]
    tags = [t for asset in file.assets.values() for t in asset.tags.own.values()]
    tags += [t for kind in file.types.values() for t in kind.tags.values()]
    names += [tag.python.file for tag in tags if tag.python is not None and tag.python.file]
    return tuple(dict.fromkeys(names))


def read_plant_file(document: Document) -> PlantFile | None:
    """The sections of a document; what is wrong is in its report. None where not even the frame is there."""
    if document.root.value is None or document.root.value == {}:
        document.report.add("is empty; a plant file begins with plant: {enterprise: …, site: …}", line=1, column=1)
        return None
    if not isinstance(document.root.value, dict):
        document.error((), "must be a mapping with the sections " + ", ".join(members(PlantFile)))
        return None
    found = SectionReader(document).read(PlantFile, document.root, ())
    return found if isinstance(found, PlantFile) else None

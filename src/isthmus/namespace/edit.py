"""Small edits of a plant file's text that leave every other byte alone, comments and layout included."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from isthmus.namespace.plantfile import Document, Node, plain_data, plain_scalar
from isthmus.values.errors import ConfigError
from isthmus.values.ids import check_name

_SAFE = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./ +-]*(?<! )\Z")
_SECTION = "connections"


def add_connection(text: str, name: str, settings: Mapping[str, Any]) -> str:
    """The text with one more connection at the end of its section.

    Raises: Findings if the text is not YAML; ConfigError if the name is taken or no name
    """
    check_name(name, "connection")
    document = Document(text, "plant.yaml")
    section = document.find((_SECTION,))
    if section is not None and isinstance(section.value, dict) and name in section.value:
        raise ConfigError(f"{_SECTION}: there is a connection of this name already, was {name!r}")
    written = _inserted(text, document, section, f"{name}: {flow(settings)}")
    return _checked(document, written, name, dict(settings))


def drop_connection(text: str, name: str) -> str:
    """The text without one connection.

    Raises: Findings if the text is not YAML; ConfigError if there is none of this name
    """
    document = Document(text, "plant.yaml")
    section = document.find((_SECTION,))
    if section is None or not isinstance(section.value, dict) or name not in section.value:
        raise ConfigError(f"{_SECTION}: there is no connection of this name, was {name!r}")
    return _checked(document, _removed(text, section, name), name, None)


def _inserted(text: str, document: Document, section: Node | None, entry: str) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    if section is None:
        gap = "" if not text or text.endswith("\n") else newline
        return f"{text}{gap}{_SECTION}:{newline}  {entry}{newline}"
    if section.value is None:  # "connections:" with nothing below it
        keys = document.root.keys or {}
        at = _line_end(text, keys[_SECTION].start)
        return f"{text[:at]}{newline}  {entry}{text[at:]}"
    if not isinstance(section.value, dict):
        raise ConfigError(f"{_SECTION}: must be a mapping")
    if section.flow:
        close = section.stop - 1
        inside = text[section.start + 1 : close].rstrip()
        comma = "" if not section.value or inside.endswith(",") else ", "
        last = section.start + 1 + len(inside)
        return f"{text[:last]}{comma}{entry}{text[last:]}"
    keys = section.keys or {}
    first = next(iter(keys.values()))
    at = _line_end(text, _content_end(text, section.stop))
    return f"{text[:at]}{newline}{' ' * (first.column - 1)}{entry}{text[at:]}"


def _removed(text: str, section: Node, name: str) -> str:
    keys = section.keys or {}
    names = list(keys)
    start, stop = keys[name].start, _content_end(text, section.value[name].stop)
    if section.flow:
        at = names.index(name)
        if at + 1 < len(names):
            return text[:start] + text[keys[names[at + 1]].start :]
        if at:
            start = section.value[names[at - 1]].stop
        return text[:start] + text[stop:]
    begin = text.rfind("\n", 0, start) + 1
    end = _line_end(text, stop)
    if len(names) == 1:  # an empty section stays a section
        return f"{text[:begin]}{' ' * (keys[name].column - 1)}{{}}{text[end:]}"
    return text[:begin] + text[min(len(text), end + (2 if text[end : end + 2] == "\r\n" else 1)) :]


def _line_end(text: str, at: int) -> int:
    """Where the line ends that ``at`` is in, before its line break."""
    end = text.find("\n", at)
    if end < 0:
        return len(text)
    return end - 1 if end > at and text[end - 1] == "\r" else end


def _content_end(text: str, stop: int) -> int:
    """Block texts end behind their line break and blank lines; step back to what is written."""
    while stop > 0 and text[stop - 1] in "\r\n \t":
        stop -= 1
    return stop


def _checked(before: Document, written: str, name: str, settings: dict[str, Any] | None) -> str:
    """The edited text, once it was read again and says what it should and nothing else."""
    wanted = plain_data(before.root) if isinstance(before.root.value, dict) else {}
    section = dict(wanted.get(_SECTION) or {})
    if settings is None:
        section.pop(name)
    else:
        section[name] = settings
    wanted[_SECTION] = section
    found = plain_data(Document(written, before.where).root)
    if found != wanted:
        raise ConfigError(f"{_SECTION}: the text is laid out in a way that cannot be edited here; add {name} by hand")
    return written


def _escaped(char: str) -> str:
    """One character inside double quotes. Source: YAML 1.2.2 section 5.7"""
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    number = ord(char)
    if 0xD800 <= number <= 0xDFFF:
        raise ConfigError("settings: holds half a character (a lone surrogate)")
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def flow(value: Any) -> str:
    """A value in flow style, quoted where YAML would read something else.

    Raises: ConfigError for values a plant file cannot hold
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{flow(str(k))}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(v) for v in value) + "]"
    if isinstance(value, str):
        plain = _SAFE.match(value) and plain_scalar(value) == value and not value.startswith((".", "-"))
        return value if plain else f'"{"".join(map(_escaped, value))}"'
    if value is None or isinstance(value, bool | int | float):
        return orjson.dumps(value).decode()
    raise ConfigError(f"settings: cannot be written to a plant file, was {value!r}")

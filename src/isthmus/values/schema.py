"""Documents as dataclasses: reading, error texts, JSON Schema and the reference page all follow from one declaration.

A section of a document is a frozen dataclass. The text under a field is its documentation, its type hint says what may
stand there: ``str``, ``int``, ``float``, ``bool``, ``Literal``, another section, ``tuple[T, ...]``, a tuple of fixed
length, ``dict[K, V]``, ``A | B``, and ``Annotated[T, Scalar(...)]`` for text with a form of its own. Two class
variables widen it: ``SHORT`` names the field a bare scalar stands for, ``REST`` the field that collects all other keys
(without it other keys are refused). ``field(metadata={"key": "with"})`` gives a key that is no Python name.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Scalar:
    """How one value of a document is read.

    ``read`` takes the text as it is written and raises ConfigError or ValueError where it is no good; ``words`` say what
    is expected and end up in error texts and in the reference.
    """

    words: str
    read: Callable[[str], Any]
    schema: Mapping[str, Any] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Member:
    """One field of a section, as readers need it."""

    name: str
    hint: Any
    required: bool
    default: Any
    doc: str


_members: dict[type[Any], dict[str, Member]] = {}
_rest_hints: dict[type[Any], Any] = {}


def members(section: type[Any]) -> dict[str, Member]:
    """The fields of a section by their key in the document; the one that collects the rest is left out."""
    if section not in _members:
        _members[section] = _read_members(section)
    return _members[section]


def _read_members(section: type[Any]) -> dict[str, Member]:
    hints = typing.get_type_hints(section, include_extras=True)
    docs = field_docs(section)
    rest = rest_field(section)
    return {
        str(f.metadata.get("key", f.name)): Member(
            f.name, hints[f.name], _required(f), _default(f), docs.get(f.name, "")
        )
        for f in fields(section)
        if f.init and f.name != rest
    }


def rest_field(section: type[Any]) -> str:
    """The field that collects all other keys, "" when other keys are refused."""
    return str(getattr(section, "REST", ""))


def short_field(section: type[Any]) -> str:
    """The field that a bare scalar stands for, "" when a section is always written out."""
    return str(getattr(section, "SHORT", ""))


def rest_hint(section: type[Any]) -> Any:
    """The type of one value among the rest."""
    if section not in _rest_hints:
        hint = typing.get_type_hints(section, include_extras=True)[rest_field(section)]
        _rest_hints[section] = typing.get_args(hint)[1]
    return _rest_hints[section]


def _required(one: Field[Any]) -> bool:
    return one.default is MISSING and one.default_factory is MISSING


def _default(one: Field[Any]) -> Any:
    if one.default is not MISSING:
        return one.default
    return one.default_factory() if one.default_factory is not MISSING else None


def field_docs(section: type[Any]) -> dict[str, str]:
    """The text that stands under each field in the source, unfolded to one line; empty where there is no source."""
    found: dict[str, str] = {}
    for cls in reversed(section.__mro__):
        if not is_dataclass(cls):
            continue
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
        except (OSError, TypeError, SyntaxError):
            continue
        if not isinstance(body, ast.ClassDef):
            continue
        for node, after in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                found[node.target.id] = " ".join(after.value.value.split())
    return found


def arms(hint: Any) -> tuple[Any, ...]:
    """The alternatives of a hint, without None."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(arm for arm in typing.get_args(hint) if arm is not types.NoneType)
    return (hint,)


def scalar_of(hint: Any) -> Scalar | None:
    """The ``Scalar`` of an annotated hint."""
    if typing.get_origin(hint) is typing.Annotated:
        for extra in hint.__metadata__:
            if isinstance(extra, Scalar):
                return extra
    return None


_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", Any: "anything"}
_JSON: dict[Any, Any] = {str: ["string", "number", "boolean"], int: "integer", float: "number", bool: "boolean"}


def words(hint: Any) -> str:
    """What is expected there, for people: "a number", "one of read-only, read-write", "text or a mapping"."""
    scalar = scalar_of(hint)
    if scalar is not None:
        return scalar.words
    parts = arms(hint)
    if len(parts) > 1:
        return " or ".join(words(p) for p in parts)
    only = parts[0]
    if only is not hint:
        return words(only)
    if only in _WORDS:
        return _WORDS[only]
    origin, args = typing.get_origin(only), typing.get_args(only)
    if origin is typing.Annotated:
        return words(args[0])
    if origin is typing.Literal:
        return "one of " + ", ".join(str(a) for a in args)
    if origin is dict:
        return "a mapping"
    if origin is tuple and args[-1] is Ellipsis:
        return f"a list of {words(args[0])}"
    if origin is tuple:
        return f"a list of {len(args)}: " + ", ".join(words(a) for a in args)
    if is_dataclass(only):
        short = short_field(typing.cast("type[Any]", only))
        if short:
            return f"{words(members(typing.cast('type[Any]', only))[short].hint)} or a mapping"
        return "a mapping"
    return str(getattr(only, "__name__", only))


def is_known(hint: Any) -> bool:
    """Whether readers understand a hint; settings of drivers may have types of their own."""
    if scalar_of(hint) is not None:
        return True
    for arm in arms(hint):
        origin, args = typing.get_origin(arm), typing.get_args(arm)
        if arm in _WORDS or origin is typing.Literal or is_dataclass(arm):
            continue
        if origin not in {dict, tuple, typing.Annotated} or not args:
            return False
        if not all(is_known(a) for a in (args[:1] if origin is typing.Annotated else args) if a is not Ellipsis):
            return False
    return True


def json_schema(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """JSON Schema of a hint; sections go into ``definitions`` and are referred to."""
    scalar = scalar_of(hint)
    if scalar is not None:
        return dict(scalar.schema)
    parts = arms(hint)
    if len(parts) > 1:
        return {"anyOf": [json_schema(p, definitions) for p in parts]}
    only = parts[0]
    if only is not hint:
        return json_schema(only, definitions)
    if only in _JSON:
        return {"type": _JSON[only]}
    origin, args = typing.get_origin(only), typing.get_args(only)
    if origin is typing.Annotated:
        return json_schema(args[0], definitions)
    if origin is typing.Literal:
        return {"enum": list(args)}
    if origin is dict:
        return {"type": "object", "additionalProperties": json_schema(args[1], definitions)}
    if origin is tuple and args[-1] is Ellipsis:
        return {"type": "array", "items": json_schema(args[0], definitions)}
    if origin is tuple:
        items = [json_schema(a, definitions) for a in args]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
    if is_dataclass(only):
        return _section_schema(typing.cast("type[Any]", only), definitions)
    return {}


def _section_schema(section: type[Any], definitions: dict[str, Any]) -> dict[str, Any]:
    name = section.__name__
    reference = {"$ref": f"#/$defs/{name}"}
    if name in definitions:
        return reference
    definitions[name] = {}  # sections may contain themselves
    known = members(section)
    required = [key for key, m in known.items() if m.required]
    schema: dict[str, Any] = {
        "type": "object" if required else ["object", "null"],
        "description": (section.__doc__ or "").split("\n\n")[0].strip(),
        "properties": {key: property_schema(m, definitions) for key, m in known.items()},
        "required": required,
        "additionalProperties": False,
    }
    if rest_field(section):
        schema["additionalProperties"] = json_schema(rest_hint(section), definitions) or True
    short = short_field(section)
    if short:
        bare = json_schema(known[short].hint, definitions)
        schema = {"description": schema["description"], "anyOf": [bare, schema]}
    definitions[name] = schema
    return reference


def property_schema(member: Member, definitions: dict[str, Any]) -> dict[str, Any]:
    """JSON Schema of one field with its documentation."""
    schema = json_schema(member.hint, definitions)
    if not member.doc:
        return schema
    if "$ref" in schema:
        return {"allOf": [schema], "description": member.doc}
    return {**schema, "description": member.doc}

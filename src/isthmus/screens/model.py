"""The document of a process screen: what may stand in it, read whole or refused whole."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import orjson

from isthmus.screens.svg import check_clean
from isthmus.values.errors import ConfigError, Finding, Findings
from isthmus.values.ids import MAX_PATH_CHARS, check_path

SCHEMA: Final = 1
MOST_ELEMENTS: Final = 2000
MOST_BYTES: Final = 2 * 1024 * 1024
MOST_POINTS: Final = 64
MOST_ROWS: Final = 20
MOST_PENS: Final = 4
MOST_FINDINGS: Final = 100
SIZE: Final = (100.0, 8000.0)

SYMBOLS: Final[Mapping[str, tuple[str, ...]]] = {
    "pump": ("state", "value"),
    "valve": ("state", "value"),
    "control_valve": ("position", "state"),
    "motor": ("state", "value"),
    "tank": ("level", "state"),
    "vessel": ("level", "state"),
    "conveyor": ("state", "value"),
    "mixer": ("state", "value", "level"),
    "exchanger": ("state", "value"),
    "compressor": ("state", "value"),
    "fan": ("state", "value"),
    "robot": ("state", "value"),
    "filler": ("state", "value"),
    "capper": ("state", "value"),
    "labeller": ("state", "value"),
    "packer": ("state", "value"),
    "palletiser": ("state", "value"),
    "machine": ("state", "value"),
}
"""Each symbol with the places a tag can be bound to; the first one is what it is drawn by."""

PAGES: Final = ("overview", "asset", "alarms", "trends", "tags", "screens")
FILLS: Final = ("none", "panel", "well", "symbol", "band", "ink")
STROKES: Final = ("none", "edge", "ink", "muted", "divider")
LINES: Final = ("main", "secondary", "signal")
TEXT_SIZES: Final = (12, 14, 16, 20, 24, 40)
SIDES: Final = ("left", "right", "top", "bottom")
IMAGES: Final = ("image/png", "image/jpeg", "image/svg+xml")

_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}\Z")
_PATH_DATA = re.compile(r"[MmZzLlHhVvCcSsQqTtAa0-9eE+\-., \n\t]*\Z")
_DATA_URL = re.compile(r"data:([a-z]+/[a-z+]+);base64,([A-Za-z0-9+/=]*)\Z")
_MAGIC = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}

Rule = Callable[[Any], Any]
"""Gives the value back as it is kept.

Raises: ConfigError with the problem alone
"""


def check_id(text: str) -> str:
    """The name of a screen in its address.

    Raises: ConfigError
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,59}", text):
        raise ConfigError(
            f"id: must be 1 to 60 small letters, digits and -, beginning with a letter or digit, was {text[:80]!r}"
        )
    return text


def check_binding(value: Any) -> str:
    """A path of the plant, or one relative to an asset: `./speed`, `./pump1/speed`.

    Raises: ConfigError
    """
    text: str = _text(MAX_PATH_CHARS)(value)
    if not text:
        return ""
    try:
        check_path(text.removeprefix("./"))
    except ConfigError as error:
        raise ConfigError(str(error).partition(", was ")[0]) from None
    return text


def resolve(path: str, asset: str) -> str:
    """What a binding means for an asset. A relative one without an asset means nothing: it stays empty."""
    if not path.startswith("./"):
        return "" if path == "." and not asset else asset if path == "." else path
    return f"{asset}/{path[2:]}" if asset else ""


def base_of(element: Mapping[str, Any], asset: str) -> str:
    """The asset an element's relative bindings mean: its own, if it has one, else that of the screen."""
    own = element.get("asset", "")
    return resolve(own, asset) if own else asset


def bindings(element: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Where an element is bound, and to what: (`bind.state`, `./state`)."""
    for slot, path in element.get("bind", {}).items():
        if path:
            yield f"bind.{slot}", path
    for name in ("pens", "rows"):
        for i, path in enumerate(element.get(name, ())):
            yield f"{name}[{i}]", path


def _text(most: int) -> Rule:
    def rule(value: Any) -> str:
        if not isinstance(value, str):
            raise ConfigError("must be a text")
        if len(value) > most:
            raise ConfigError(f"must be at most {most} characters")
        if any((ord(c) < 32 and c != "\n") or 0xD800 <= ord(c) < 0xE000 for c in value):
            raise ConfigError("must hold no control characters")
        return value

    return rule


def _number(low: float, high: float) -> Rule:
    def rule(value: Any) -> float | int:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError("must be a number")
        if not low <= value <= high:  # not a number is not between either
            raise ConfigError(f"must lie between {low:g} and {high:g}")
        return value

    return rule


def _one_of(*allowed: Any) -> Rule:
    def rule(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | str) or value not in allowed:
            raise ConfigError(f"must be one of {', '.join(map(str, allowed))}")
        return value

    return rule


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError("must be true or false")
    return value


def _ident(value: Any) -> str:
    if not isinstance(value, str) or not _ID.match(value):
        raise ConfigError("must begin with a letter and hold at most 40 letters, digits, _ and -")
    return value


def _list(most: int, item: Rule, least: int = 0) -> Rule:
    def rule(value: Any) -> list[Any]:
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise ConfigError(f"must be a list of {least} to {most}")
        return [item(one) for one in value]

    return rule


def _point(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) != 2:
        raise ConfigError("must hold points as [x, y]")
    return [_PLACE(value[0]), _PLACE(value[1])]


def _bind(slots: tuple[str, ...]) -> Rule:
    def rule(value: Any) -> dict[str, str]:
        if not isinstance(value, dict):
            raise ConfigError("must say a path for a slot")
        for slot, path in value.items():
            if slot not in slots:
                raise ConfigError(f"has no slot {str(slot)[:40]!r}, there is {', '.join(slots)}")
            try:
                check_binding(path)
            except ConfigError as error:
                raise ConfigError(f"{slot}: {error}") from None
        return {slot: value[slot] for slot in slots if value.get(slot)}

    return rule


def _asset(value: Any) -> str:
    return value if value == "." else check_binding(value)


def _end(value: Any) -> dict[str, str]:
    """What an end of a pipe is tied to: it moves along with it."""
    if not isinstance(value, dict) or set(value) != {"id", "side"}:
        raise ConfigError("must say id and side")
    return {"id": _ident(value["id"]), "side": _one_of(*SIDES)(value["side"])}


def _target(value: Any) -> dict[str, str]:
    """Where a button leads to: a screen, an asset's page or one of our pages."""
    if not isinstance(value, dict) or not set(value) <= {"screen", "page", "asset"}:
        raise ConfigError("must say screen or page, and maybe asset")
    if ("screen" in value) == ("page" in value):
        raise ConfigError("must say either screen or page")
    target: dict[str, str] = {}
    if "screen" in value:
        screen = _text(60)(value["screen"])
        target["screen"] = check_id(screen) if screen else ""
    else:
        target["page"] = _one_of(*PAGES)(value["page"])
    if value.get("asset"):
        target["asset"] = _asset(value["asset"])
    return target


def _path_data(value: Any) -> str:
    text = _text(200_000)(value)
    if not _PATH_DATA.match(text) or not text.lstrip().startswith(("M", "m")):
        raise ConfigError("must be the data of an SVG path, beginning with M")
    return str(text)


def _box(value: Any) -> list[Any]:
    box: list[Any] = _list(4, _number(-1e6, 1e6), 4)(value)
    if box[2] <= 0 or box[3] <= 0:
        raise ConfigError("must be [x, y, width, height] with a size above 0")
    return box


def _image(value: Any) -> str:
    text = value if isinstance(value, str) else ""
    found = _DATA_URL.match(text)
    if not found or found[1] not in IMAGES:
        raise ConfigError(f"must be a data: URL of {', '.join(IMAGES)} in base64")
    try:
        data = base64.b64decode(found[2], validate=True)
    except binascii.Error:
        raise ConfigError("is not base64") from None
    if found[1] == "image/svg+xml":
        check_clean(data)
    elif not data.startswith(_MAGIC[found[1]]):
        raise ConfigError(f"is no {found[1]}")
    return text


_PLACE: Final = _number(-8000, 16000)
_COMMON: Final[dict[str, Rule]] = {
    "id": _ident,
    "kind": _text(20),
    "x": _PLACE,
    "y": _PLACE,
    "w": _number(1, 8000),
    "h": _number(1, 8000),
    "label": _text(200),
    "group": _ident,
    "locked": _flag,
}
_ON_CLICK: Final = {"on_click": _one_of("asset", "none")}
KINDS: Final[Mapping[str, dict[str, Rule]]] = {
    "symbol": {
        "symbol": _one_of(*SYMBOLS),
        "asset": _asset,
        "bind": _bind(("state", "value", "level", "position")),
        "rotate": _one_of(0, 90, 180, 270),
        "flip": _flag,
        **_ON_CLICK,
    },
    "pipe": {
        "points": _list(MOST_POINTS, _point, 2),
        "line": _one_of(*LINES),
        "arrow": _flag,
        "from": _end,
        "to": _end,
    },
    "text": {"text": _text(2000), "size": _one_of(*TEXT_SIZES), "bold": _flag, "align": _one_of("left", "middle", "right")},
    "value": {"asset": _asset, "bind": _bind(("value",)), "size": _one_of(*TEXT_SIZES), **_ON_CLICK},
    "state": {"asset": _asset, "bind": _bind(("state",)), **_ON_CLICK},
    "indicator": {"asset": _asset, "bind": _bind(("value",)), **_ON_CLICK},
    "spark": {"asset": _asset, "bind": _bind(("value",)), "span_s": _number(60, 31 * 86_400)},
    "trend": {"asset": _asset, "pens": _list(MOST_PENS, check_binding), "span_s": _number(60, 31 * 86_400)},
    "table": {"asset": _asset, "rows": _list(MOST_ROWS, check_binding)},
    "button": {"to": _target},
    "shape": {
        "d": _path_data,
        "box": _box,
        "fill": _one_of(*FILLS),
        "stroke": _one_of(*STROKES),
        "width": _number(0, 40),
    },
    "image": {"source": _image, "faint": _flag},
}  # fmt: skip
"""What each kind of element may say besides what all may."""

_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "symbol": ("symbol",),
    "pipe": ("points",),
    "text": ("text",),
    "button": ("to",),
    "shape": ("d", "box"),
    "image": ("source",),
}
_PLACED: Final = ("x", "y", "w", "h")
"""What all but pipes must say; a pipe is where its points are."""

_TOP: Final[dict[str, Rule]] = {
    "schema": _number(1, SCHEMA),
    "title": _text(120),
    "description": _text(1000),
    "width": _number(*SIZE),
    "height": _number(*SIZE),
    "grid": _number(1, 100),
    "asset": check_binding,
    "type": _text(80),
}


class _Reader:
    """Collects everything that is wrong."""

    def __init__(self, where: str) -> None:
        self._where, self.found = where, list[Finding]()

    def wrong(self, path: str, problem: str, value: Any = "") -> None:
        if len(self.found) < MOST_FINDINGS:
            self.found.append(Finding("error", self._where, 0, 0, _sendable(path), _sendable(problem), _shown(value)))

    def fields(self, raw: Mapping[Any, Any], rules: Mapping[str, Rule], at: str) -> dict[str, Any]:
        """What is known and good of an object."""
        kept: dict[str, Any] = {}
        for name in raw:
            if name not in rules:
                self.wrong(f"{at}{str(name)[:40]}", "unknown key", raw[name])
        for name, rule in rules.items():
            if name in raw:
                try:
                    kept[name] = rule(raw[name])
                except ConfigError as error:
                    self.wrong(f"{at}{name}", str(error), raw[name])
        return kept


def _sendable(text: str) -> str:
    """Half of a surrogate pair cannot be sent."""
    return text.encode("utf-8", "replace").decode()


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return _sendable(value[:80])
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()[:80]
    except TypeError:
        return _sendable(str(value)[:80])


def read(raw: Any, where: str = "screen") -> dict[str, Any]:
    """A document, checked whole, with what is left out left out.

    Raises: Findings naming every element and value that is wrong
    """
    reader = _Reader(where)
    if not isinstance(raw, dict):
        reader.wrong("", "must be an object with schema, title, width, height and elements", raw)
        raise Findings(tuple(reader.found))
    schema = raw.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        reader.wrong("schema", f"is of a newer Isthmus; this one reads up to {SCHEMA}", schema)
        raise Findings(tuple(reader.found))
    top = reader.fields({k: v for k, v in raw.items() if k != "elements"}, _TOP, "")
    for name in ("schema", "title", "width", "height"):
        if name not in raw:
            reader.wrong(name, "is missing")
    if not str(raw.get("title", "-")).strip():
        reader.wrong("title", "must not be empty")
    elements = _elements(reader, raw.get("elements", []))
    if reader.found:
        raise Findings(tuple(reader.found))
    document = {**top, "elements": elements}
    if len(orjson.dumps(document)) > MOST_BYTES:
        reader.wrong("elements", f"the screen is larger than {MOST_BYTES // 2**20} MiB; use smaller pictures")
        raise Findings(tuple(reader.found))
    return document


def _elements(reader: _Reader, raw: Any) -> list[dict[str, Any]]:
    if not isinstance(raw, list) or len(raw) > MOST_ELEMENTS:
        reader.wrong(
            "elements", f"must be a list of at most {MOST_ELEMENTS}", raw if not isinstance(raw, list) else len(raw)
        )
        return []
    kept: list[dict[str, Any]] = []
    seen: set[str] = set()
    placed: list[tuple[str, dict[Any, Any]]] = []
    for i, one in enumerate(raw):
        if not isinstance(one, dict):
            reader.wrong(f"elements[{i}]", "must be an object", one)
            continue
        ident = one.get("id")
        at = f"elements.{ident}" if isinstance(ident, str) and _ID.match(ident) else f"elements[{i}]"
        if at.startswith("elements.") and at in seen:
            reader.wrong(f"elements[{i}].id", "is used twice", ident)
        seen.add(at)
        placed.append((at, one))
        kept.append(_element(reader, one, at))
    known = {at.removeprefix("elements.") for at, one in placed if one.get("kind") != "pipe"}
    _check_ends(reader, kept, known)
    return kept


def _element(reader: _Reader, one: dict[Any, Any], at: str) -> dict[str, Any]:
    kind = one.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        reader.wrong(f"{at}.kind", f"must be one of {', '.join(KINDS)}", kind)
        return {}
    needed = ("id", *(() if kind == "pipe" else _PLACED), *_NEEDS.get(kind, ()))
    for name in needed:
        if name not in one:
            reader.wrong(f"{at}.{name}", "is missing")
    element = reader.fields(one, {**_COMMON, **KINDS[kind]}, f"{at}.")
    if kind == "symbol" and element.get("symbol") in SYMBOLS:
        slots = SYMBOLS[element["symbol"]]
        for slot in set(element.get("bind", {})) - set(slots):
            reader.wrong(f"{at}.bind", f"a {element['symbol']} has no slot {slot!r}, there is {', '.join(slots)}", slot)
    return element


def _check_ends(reader: _Reader, elements: list[dict[str, Any]], known: set[str]) -> None:
    for element in elements:
        for end in ("from", "to"):
            tied = element.get(end) if element.get("kind") == "pipe" else None
            if tied and tied["id"] not in known:
                reader.wrong(
                    f"elements.{element.get('id')}.{end}", "names no element that a pipe can end at", tied["id"]
                )


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What changed, element by element: {"action", "id", "kind", "what"}; the screen's own settings have no id."""
    lines: list[dict[str, Any]] = []
    own = [k for k in _TOP if k != "schema" and old.get(k) != new.get(k)]
    if own:
        lines.append({"action": "change", "id": "", "kind": "screen", "what": own})
    before = {e["id"]: e for e in old.get("elements", ())}
    after = {e["id"]: e for e in new.get("elements", ())}
    lines += [{"action": "remove", "id": i, "kind": e["kind"], "what": []} for i, e in before.items() if i not in after]
    for ident, element in after.items():
        was = before.get(ident)
        if was is None:
            lines.append({"action": "add", "id": ident, "kind": element["kind"], "what": []})
        elif was != element:
            what = sorted(k for k in {*was, *element} if was.get(k) != element.get(k))
            lines.append({"action": "change", "id": ident, "kind": element["kind"], "what": what})
    if [i for i in before if i in after] != [i for i in after if i in before]:
        lines.append({"action": "change", "id": "", "kind": "screen", "what": ["order"]})
    return lines
